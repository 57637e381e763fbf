"""The report of a run: one HTML page that needs no network, made from the run folder alone."""

from collections.abc import Callable
from pathlib import Path

from bindtune.errors import ConfigError
from bindtune.outputs import output_file
from bindtune.reports import (
    page,
    report_binding,
    report_explanation,
    report_prediction,
    report_pretraining,
    report_probe,
    report_scan,
)
from bindtune.runs.kinds import kind_in_words, kind_of, run_config
from bindtune.runs.names import CONFIG, REPORT

_BUILDERS = {
    "pretraining": report_pretraining.build,
    "probe": report_probe.build,
    "scan": report_scan.build,
    "explanation": report_explanation.build,
}


def write_report(run: Path, out: Path | None = None, structures: Path | None = None) -> Path:
    """Write the report of a pretraining run, a binding run, a probe, a scan, an explanation or a prediction.

    The report of an unfinished run, or of a run with missing files, says so.

    Args:
        run: the run folder.
        out: the file to write; report.html in the run folder where it is left out.
        structures: a structure file or a folder of them, called like proteins of a binding run or of a prediction.

    Returns:
        The file written.

    Raises:
        InputError: the folder is not that of a run, a file in it or a structure is damaged, or `out` is no file that
            can be written.
        ConfigError: `structures` is set for a run without proteins.
    """
    build = _builder(run, structures)
    target = out or run / REPORT
    page_file = output_file(target)
    # A run folder may come from somebody else: a link in it is replaced, a link that the user names is followed.
    page.write(build(), target if out is None else page_file)
    return target


def _builder(run: Path, structures: Path | None) -> Callable[[], page.Page]:
    """The function that makes the page of a folder."""
    if report_prediction.is_prediction(run) and not (run / CONFIG).is_file():
        return lambda: report_prediction.build(run, structures)
    config = run_config(run)
    kind = kind_of(config)
    if kind == "binding":
        return lambda: report_binding.build(run, config, structures)
    if structures is not None:
        raise ConfigError(f"structure: {run} is {kind_in_words(kind)}, which has no proteins to show")
    return lambda: _BUILDERS[kind](run, config)
