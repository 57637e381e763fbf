"""``python -m bindtune`` and ``torchrun ... -m bindtune``."""

from bindtune.cli import main

if __name__ == "__main__":
    main()
