"""Binding sites on generated data: cross-validate on protein families with planted sites."""

from collections.abc import Callable
from pathlib import Path

from bindtune.config import BindingConfig, build
from bindtune.demo.families import IONS, write_families
from bindtune.demo.tiny_e1 import make_tiny_e1
from bindtune.training.binding.run import cross_validate


def run_binding(folder: Path, *, notify: Callable[[str], None], small: bool = False) -> str:
    """Generate proteins and a small E1 in `folder`, cross-validate, and return the table of figures.

    Args:
        folder: folder of the data and the run.
        notify: gets messages about the progress.
        small: train little, just to see that everything runs.
    """
    families, members = (12, 2) if small else (84, 3)
    proteins = write_families(folder / "proteins", families=families, members=members, seed=1)
    encoder = make_tiny_e1(folder / "encoder", seed=1)
    notify(
        f"generated {families * members} proteins of {families} families and their alignments: {folder / 'proteins'}"
    )
    notify(f"training {folder / 'run'} (3 folds, LoRA on a random E1)")
    settings = {
        "data": {
            "fasta_path": {ion: str(path) for ion, path in proteins.train.items()},
            "clusters": "kmer",
            "cluster_identity": 0.4,
            "audit_identity": 0.4,
        },
        "training": {
            "ions": list(IONS), "output_dir": folder / "run", "num_folds": 3,
            "epochs": 1 if small else 14, "warmup_epochs": 1,
            "batch_size": 8, "accum_steps": 1, "learning_rate": 4e-3, "min_lr": 2e-4, "patience": 0,
            "mlm_weight": 0.05, "pos_weight_mode": "sqrt", "num_workers": 0, "save_steps": 0,
        },
        "model": {"checkpoint": str(encoder)},
    }  # fmt: skip
    text = cross_validate(build(BindingConfig, settings))
    return f"generated proteins, one seed; nothing follows for real ones\n{text}"
