"""The smoke test on the user's windows and model, or on generated ones."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from bindtune.demo.pretraining import make_windows_and_model
from bindtune.errors import ConfigError
from bindtune.training.smoke import smoke


def run_smoke(
    train_file: Path | None, model_name_or_path: str | None, *, out: Path | None, notify: Callable[[str], None]
) -> bool:
    """Run every check, tell its figures, and say whether all of them passed.

    Raises:
        ConfigError: `out` is not empty.
    """
    if out is not None and out.exists() and any(out.iterdir()):
        raise ConfigError(f"{out} is not empty")
    with tempfile.TemporaryDirectory() as temporary:
        folder = out or Path(temporary)
        validation = None
        if train_file is None or model_name_or_path is None:
            notify("making generated windows and a small model")
            windows, held_out, model = make_windows_and_model(folder / "generated", small=True, notify=notify)
            if train_file is None:
                train_file, validation = windows, held_out
            model_name_or_path = model_name_or_path or str(model)
        passed = []
        for check in smoke(train_file, model_name_or_path, validation_file=validation, out=folder, notify=notify):
            notify(f"{'passed' if check.passed else 'FAILED'}  {check.name}: {check.detail}")
            passed.append(check.passed)
    notify(f"{sum(passed)} of {len(passed)} checks passed")
    return all(passed)
