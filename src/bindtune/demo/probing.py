"""The probe on generated data: does adaptive pretraining help to find the generated binding sites?"""

from collections.abc import Callable
from pathlib import Path

from bindtune.config import ProbeConfig, build
from bindtune.probing.run import probe

_PROTEIN, _NAME = "DEMO1", 3


def run_probe(pretraining: Path, folder: Path, *, notify: Callable[[str], None], small: bool = False) -> str:
    """Compare the adaptive run with its base model, and return the table.

    Args:
        pretraining: folder of the demo's pretraining, with its genome, model and runs.
        folder: output folder of the probe.
        notify: gets messages about the progress.
        small: compute little, just to see that everything runs.
    """
    genome = pretraining / "genome"
    peaks = folder.with_name(f"{folder.name}-{_PROTEIN}.bed")
    lines = (genome / "peaks.bed").read_text(encoding="utf-8").splitlines()
    own = [line for line in lines if line.split("\t")[_NAME].startswith(_PROTEIN)]
    peaks.write_text("\n".join(own) + "\n", encoding="utf-8")
    settings = {
        "peaks": [f"{_PROTEIN}={peaks}"], "genome": str(genome / "genome.fa"), "regions": str(genome / "genes.bed"),
        "model": [f"base={pretraining / 'model'}", f"adapted={pretraining / 'adaptive'}"], "out": str(folder),
        "overwrite": True, "width": 41, "arms": ["gc-region"], "candidates": 5, "folds": 2 if small else 3,
        "draws": 50 if small else 500,
        "leaks": "allow",  # the generated sites are copies of one motif, so many share 32 letters
    }  # fmt: skip
    notify(f"probing {folder} (base against adapted)")
    text = probe(build(ProbeConfig, settings), notify=notify)
    return f"generated sites, one seed; nothing follows for real ones\n{text}"
