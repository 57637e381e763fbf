"""The whole demo: both jobs and the probe on generated data, with reports."""

from collections.abc import Callable
from pathlib import Path

from bindtune.demo.binding import run_binding
from bindtune.demo.pretraining import run_pretraining
from bindtune.demo.probing import run_probe
from bindtune.outputs import output_folder
from bindtune.reports.report import write_report
from bindtune.runs.exclusive import only_writer


def run_demo(out: Path, *, small: bool, notify: Callable[[str], None]) -> None:
    """Run pretraining, a probe of it and binding sites in a folder, and write their reports.

    Args:
        out: folder of the generated data and the runs.
        small: train little, just to see that everything runs.
        notify: gets tables and messages about the progress.
    """
    output_folder(out)
    with only_writer(out, tidy=True):
        notify(run_pretraining(out / "pretraining", notify=notify, small=small))
        notify(run_probe(out / "pretraining", out / "probe", notify=notify, small=small))
        notify(run_binding(out / "binding", notify=notify, small=small))
        for run in (out / "pretraining" / "adaptive", out / "binding" / "run"):
            notify(f"report: {write_report(run, None)}")
