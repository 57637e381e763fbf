"""The command `bindtune`, ``python -m bindtune`` and ``torchrun ... -m bindtune``."""

import sys


def main() -> None:
    """Import the command line and run it. Ctrl-C during the import is one line, as it is later."""
    try:
        from bindtune.cli import main as run
    except KeyboardInterrupt:
        sys.stderr.write("bindtune: interrupted\n")
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
