"""The smoke test of both jobs: pretraining on the user's or generated windows, binding sites on generated proteins."""

import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from itertools import chain
from pathlib import Path

from bindtune.checks import run_checks
from bindtune.demo.pretraining import make_windows_and_model
from bindtune.demo.smoke_binding import smoke_binding
from bindtune.errors import ConfigError
from bindtune.outputs import output_folder
from bindtune.runs.exclusive import only_writer
from bindtune.runs.names import LOCK
from bindtune.training.pretraining.smoke import smoke


def run_smoke(
    train_file: Path | None, model_name_or_path: str | None, *, out: Path | None, notify: Callable[[str], None]
) -> bool:
    """Run every check, report its figures, and return whether all checks passed.

    Raises:
        ConfigError: `out` is not empty, or another process writes into it.
    """
    alone = nullcontext() if out is None else only_writer(output_folder(out), tidy=True)
    with tempfile.TemporaryDirectory() as temporary, alone:
        if out is not None and any(path.name != LOCK for path in out.iterdir()):
            raise ConfigError(f"{out} is not empty")
        folder = out or Path(temporary)
        validation = None
        if train_file is None or model_name_or_path is None:
            notify("making generated windows and a small model")
            windows, held_out, model = make_windows_and_model(folder / "generated", small=True, notify=notify)
            if train_file is None:
                train_file, validation = windows, held_out
            model_name_or_path = model_name_or_path or str(model)
        pretraining = smoke(train_file, model_name_or_path, validation_file=validation, out=folder, notify=notify)
        return run_checks(chain(pretraining, smoke_binding(folder / "binding", notify=notify)), notify=notify)
