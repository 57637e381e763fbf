"""The report of a run: one HTML page that needs no network, made from the run folder alone."""

from pathlib import Path
from typing import Any

from bindtune.errors import InputError
from bindtune.evaluation import page, report_binding, report_pretraining
from bindtune.evaluation.run_files import read_yaml


def write_report(run: Path, out: Path | None = None) -> Path:
    """Write the report of a pretraining or a binding run.

    A run that is still going on, or that lacks a piece, gets a report that says so.

    Args:
        run: the run folder.
        out: the file to write; report.html in the run folder where it is left out.

    Returns:
        The file written.

    Raises:
        InputError: the folder is not that of a run, or a file in it is damaged.
    """
    config = _config(run)
    build = report_binding.build if isinstance(config.get("training"), dict) else report_pretraining.build
    target = out or run / "report.html"
    if target.is_dir():
        raise InputError(target, None, "is a folder; --out names a file")
    page.write(build(run, config), target)
    return target


def _config(run: Path) -> dict[str, Any]:
    if not run.is_dir():
        raise InputError(run, None, "is not a folder" if run.exists() else "does not exist")
    config = read_yaml(run / "config.yaml")
    if config is None:
        raise InputError(run, None, "holds no config.yaml, so it is not the folder of a run")
    if not isinstance(config.get("training"), dict) and "target_mlm_prob" not in config:
        raise InputError(run / "config.yaml", None, "these are not the settings of a pretraining or a binding run")
    return config
