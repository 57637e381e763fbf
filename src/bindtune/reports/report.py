"""The report of a run: one HTML page that needs no network, made from the run folder alone."""

from pathlib import Path

from bindtune.outputs import output_file
from bindtune.reports import page, report_binding, report_explanation, report_pretraining, report_probe, report_scan
from bindtune.runs.kinds import kind_of, run_config
from bindtune.runs.names import REPORT

_BUILDERS = {
    "binding": report_binding.build,
    "pretraining": report_pretraining.build,
    "probe": report_probe.build,
    "scan": report_scan.build,
    "explanation": report_explanation.build,
}


def write_report(run: Path, out: Path | None = None) -> Path:
    """Write the report of a pretraining run, a binding run, a probe, a scan or an explanation.

    A run that is still going on, or that lacks a piece, gets a report that says so.

    Args:
        run: the run folder.
        out: the file to write; report.html in the run folder where it is left out.

    Returns:
        The file written.

    Raises:
        InputError: the folder is not that of a run, a file in it is damaged, or `out` is no file that can be written.
    """
    config = run_config(run)
    build = _BUILDERS[kind_of(config)]
    target = out or run / REPORT
    page_file = output_file(target)
    # A run folder may come from elsewhere: a link of its own is replaced, one that the user names is followed.
    page.write(build(run, config), target if out is None else page_file)
    return target
