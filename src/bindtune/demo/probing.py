"""The probe on generated data: does adaptive pretraining help to find the generated binding sites?

The sites are fainter than those of the pretraining windows, and lie in a genome of their own. Sites of the pretraining
windows are several copies of one motif: any method finds all of them, and folds would share words of 32 letters.
"""

from collections.abc import Callable
from pathlib import Path

from bindtune.config import ProbeConfig, build
from bindtune.demo.genome import FAINT_SITES, write_genome
from bindtune.demo.pretraining import GENOME_SEED
from bindtune.probing.run import probe
from bindtune.runs.writing import write_text

_PROTEIN, _NAME = "DEMO1", 3


def run_probe(pretraining: Path, folder: Path, *, notify: Callable[[str], None], small: bool = False) -> str:
    """Compare the adaptive run with its base model, and return the table.

    Args:
        pretraining: folder of the demo's pretraining, with its model and runs.
        folder: output folder of the probe; its genome and peaks go beside it.
        notify: gets messages about the progress.
        small: compute little, just to see that everything runs.
    """
    files = write_genome(
        folder.with_name(f"{folder.name}-genome"), chromosomes=3 if small else 6, length=20_000 if small else 50_000,
        seed=GENOME_SEED + 1, sites=FAINT_SITES, background_of=GENOME_SEED,
    )  # fmt: skip
    peaks = files.peaks.with_name(f"{_PROTEIN}.bed")
    lines = files.peaks.read_text(encoding="utf-8").splitlines()
    own = [line for line in lines if line.split("\t")[_NAME].startswith(_PROTEIN)]
    write_text(peaks, "\n".join(own) + "\n")
    settings = {
        "peaks": [f"{_PROTEIN}={peaks}"], "genome": str(files.genome), "regions": str(files.regions),
        "model": [f"base={pretraining / 'model'}", f"adapted={pretraining / 'adaptive'}"], "out": str(folder),
        "overwrite": True, "width": 41, "arms": ["gc-region"], "candidates": 5, "folds": 2 if small else 3,
        "draws": 50 if small else 500,
    }  # fmt: skip
    notify(f"probing {folder} (base against adapted)")
    text = probe(build(ProbeConfig, settings), notify=notify)
    return f"generated sites, one seed; nothing follows for real ones\n{text}"
