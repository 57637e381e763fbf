"""The smoke test of binding sites: train a small E1 with adapters in two folds, merge, export and predict."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch

from bindtune.checks import Check, attempt_check
from bindtune.config import BindingConfig, PredictConfig, build
from bindtune.demo.families import write_families
from bindtune.demo.tiny_e1 import make_tiny_e1
from bindtune.errors import CheckError
from bindtune.inference.checkpoints import load_lora_checkpoint
from bindtune.inference.predict import predict
from bindtune.io.proteins import read_proteins
from bindtune.models.adapter_check import adapter_effect
from bindtune.models.backbones import load_backbone
from bindtune.models.e1_tokens import IDS
from bindtune.runs.names import OUT_OF_FOLD, PREDICTIONS, fold_folder
from bindtune.training.binding.model import check_adapters
from bindtune.training.binding.run import cross_validate
from bindtune.training.export import export_run

_IONS = ("ZN", "CA")


def smoke_binding(folder: Path, *, notify: Callable[[str], None]) -> Iterator[Check]:
    """Run the checks one after the other; each uses the files of the check before.

    Args:
        folder: output folder.
        notify: gets messages about the progress.
    """
    notify("making generated proteins and a small E1")
    proteins = write_families(folder / "proteins", families=7, members=2, seed=1, siblings=(3, 5))
    settings = {
        "data": {"fasta_path": {ion: str(proteins.train[ion]) for ion in _IONS}, "msa_dir": str(proteins.alignments),
                 "clusters": "kmer"},
        "training": {
            "ions": list(_IONS), "output_dir": folder / "run", "num_folds": 2, "epochs": 2, "warmup_epochs": 0,
            "batch_size": 4, "accum_steps": 1, "learning_rate": 3e-3, "patience": 0, "num_workers": 0, "save_steps": 0,
        },
        "model": {"checkpoint": str(make_tiny_e1(folder / "encoder", seed=1))},
    }  # fmt: skip
    config = build(BindingConfig, settings)
    yield attempt_check("adapters", partial(_adapters, config))
    notify("two folds of binding sites with E1, trained apart")
    trained = attempt_check("binding run", partial(_run, config))
    yield trained
    if trained.passed:
        yield attempt_check("adapted weights", partial(_learned, config, folder / "merged"))
        yield attempt_check("prediction", partial(_prediction, config, proteins.unlabelled, folder / "predictions"))


def _adapters(config: BindingConfig) -> Check:
    """Whether new adapters are neutral, live, and learn first in B."""
    try:
        text = check_adapters(config)
    except CheckError as error:
        return Check("adapters", False, "; ".join(str(error).splitlines()))
    return Check("adapters", True, "; ".join(line.removeprefix("yes").strip() for line in text.splitlines()))


def _run(config: BindingConfig) -> Check:
    """Train both folds separately, join them, and check the out-of-fold predictions."""
    run = config.training.output_dir
    for fold in (1, 2):
        cross_validate(config, fold=fold)  # the second one joins them
    table = pq.read_table(run / OUT_OF_FOLD)
    probabilities = table["probability"].to_numpy()
    finite = bool(np.isfinite(probabilities).all())
    pairs = len({*zip(table["protein"].to_pylist(), table["ion"].to_pylist(), strict=True)})
    detail = (
        f"{len(table):,} residues of {pairs} proteins and ions out of fold, {'all' if finite else 'not all'} finite"
    )
    return Check("binding run", finite and len(table) > 0, detail)


@torch.no_grad()
def _learned(config: BindingConfig, merged: Path) -> Check:
    """Whether trained adapters have an effect, and the same effect after they are merged into the encoder."""
    fold = fold_folder(config.training.output_dir, 1)
    encoder = load_lora_checkpoint(fold)._original_model
    export_run(fold, merged)
    whole, preparer = load_backbone(str(merged))
    batch = preparer.get_batch_kwargs(["MSHHWGYGKHNGPEHWHKDFPIAKGERQSP", "HWGYGKH"])
    inputs = {name: batch[name] for name in IDS}
    change = adapter_effect(encoder, inputs)
    apart = float((whole.encode(**inputs) - encoder.encode(**inputs)).abs().max())
    # Merged weights W + B A are rounded once more. This changes far less than a trained adapter does.
    passed = change > 0 and apart < 0.01 * change
    detail = f"adapters change hidden states by up to {change:.3g}; merged weights give the same up to {apart:.2g}"
    return Check("adapted weights", passed, detail)


def _prediction(config: BindingConfig, fasta: Path, out: Path) -> Check:
    """Predict further proteins with both folds."""
    predict(build(PredictConfig, {"run": config.training.output_dir, "fasta": fasta, "out": out}))
    residues = sum(len(protein.sequence) for protein in read_proteins(fasta))
    probabilities = pq.read_table(out / PREDICTIONS)["probability"].to_numpy()
    fits = bool(((probabilities >= 0) & (probabilities <= 1)).all())  # false for nan too
    passed = fits and len(probabilities) == residues * len(_IONS)
    detail = (
        f"{len(probabilities):,} probabilities of {residues:,} residues, {'all' if fits else 'not all'} from 0 to 1"
    )
    return Check("prediction", passed, detail)
