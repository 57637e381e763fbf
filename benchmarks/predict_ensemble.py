"""Five folds and six ions on a set of proteins: a pass for each fold and ion against what `bindtune predict` does.

    OMP_NUM_THREADS=2 python benchmarks/predict_ensemble.py                        200 proteins, a small E1
    OMP_NUM_THREADS=2 python benchmarks/predict_ensemble.py --shape 150m --proteins 4 --repeats 2

All sides compute the same batches with the same encoder, and are checked to agree first:

    a pass per fold and ion   adapters beside the layers, as PEFT runs them; one head a pass
    heads together            the same, all heads fed by one pass
    merged fold by fold       each fold's adapters added to the weights for all proteins, and the weights put back from
                              a copy; twice the memory
    merged in passing         what the package does: a layer's sum is made when the layer runs, and dropped

Times are the best of alternated repeats, on the clock and on the processors; peak memory is that of fresh processes.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bindtune import E1Config, E1ForMaskedLM, E1ForResidueClassification, load_ensemble_models, load_lora_checkpoint
from bindtune.data.protein.contexts import ContextSpec
from bindtune.data.protein.protein_rows import RowSpec
from bindtune.data.protein.step_batches import budgeted
from bindtune.inference.ensemble_scores import NamedSequence, PredictionSpec, predict_shard
from bindtune.models.adapters import add_lora
from bindtune.models.binding_checkpoint import BEST, save_best
from rows import Row, add_json_option, peak_resident, write_rows

IONS = ("CA", "MG", "MN", "ZN", "LREE", "HREE")
FOLDS = 5
TOKENS = 16384
LETTERS = "ACDEFGHIKLMNPQRSTVWY"
SHAPES = {"small": (256, 768, 6), "150m": (768, 2304, 20)}
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "w1", "w2", "w3"]
NAMES = ("input_ids", "within_seq_position_ids", "global_position_ids", "sequence_ids")
IN_PASSING, BASELINE = "merged in passing", "a pass per fold and ion"


def make_model(folder: Path, shape: str, *, ions: tuple[str, ...] = IONS) -> E1ForResidueClassification:
    """A random encoder, kept in `folder`, with adapters and heads."""
    width, inner, layers = SHAPES[shape]
    torch.manual_seed(0)
    config = E1Config(
        hidden_size=width,
        intermediate_size=inner,
        gated_mlp=True,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        num_key_value_heads=width // 64,
        global_attention_every_n_layers=3,
        clip_qkv=8,
        rope_theta_global=500000.0,
        max_num_positions_global=65536,
    )
    encoder = E1ForMaskedLM(config)
    encoder.save_pretrained(folder / "base")
    wrapped = add_lora(encoder, r=16, alpha=32, dropout=0.05, target_modules=TARGETS)
    return E1ForResidueClassification(wrapped, ions)


def make_run(folder: Path, shape: str, *, folds: int = FOLDS) -> Path:
    """A run of random adapters and heads."""
    model = make_model(folder, shape)
    for fold in range(1, folds + 1):
        for name, weight in model.named_parameters():
            if "lora_" in name:
                torch.nn.init.normal_(weight, std=0.02)
        save_best(folder / f"fold_{fold}", model, base=str(folder / "base"), about={"fold": fold})
    return folder


def make_proteins(count: int) -> list[NamedSequence]:
    """Random proteins of 60 to 440 residues."""
    drawn = np.random.default_rng(1)
    lengths = drawn.integers(60, 440, count)
    return [NamedSequence(f"p{i}", "".join(drawn.choice(list(LETTERS), n))) for i, n in enumerate(lengths)]


def batches(proteins: list[NamedSequence], preparer: Any) -> list[tuple[list[int], dict[str, torch.Tensor]]]:
    """Places of the proteins of each batch, and its tensors."""
    predictions = []
    for batch in budgeted([len(p.sequence) + 4 for p in proteins], max_tokens=TOKENS):
        whole = preparer.get_batch_kwargs([proteins[index].sequence for index in batch])
        predictions.append((batch, {name: whole[name] for name in NAMES}))
    return predictions


def averaged(proteins: list[NamedSequence], run: Callable[[int, Any], torch.Tensor], preparer: Any) -> np.ndarray:
    """Mean probabilities (R, K) over the folds, from a function that gives logits (B, T, K) of a fold."""
    ready = batches(proteins, preparer)
    predictions: dict[int, Any] = {}
    for fold in range(FOLDS):
        for batch, tensors in ready:
            scores = run(fold, tensors).double().sigmoid()
            mask = preparer.residue_mask(tensors["input_ids"], tensors["sequence_ids"])
            for index, row, inside in zip(batch, scores, mask, strict=True):
                predictions[index] = predictions.get(index, 0) + row[inside].numpy() / FOLDS
    return np.concatenate([predictions[number] for number in range(len(proteins))])


def spec() -> PredictionSpec:
    """Whole proteins, all ions, no contexts."""
    context = ContextSpec(
        max_num_samples=64,
        max_token_length=8192,
        max_query_similarity=0.95,
        min_query_similarity=0.0,
        neighbor_similarity_lower_bound=0.8,
    )
    rows = RowSpec(max_residues=1020, max_tokens=8192, frame=4, context=context, overlap=128)
    return PredictionSpec(
        rows=rows, ions=IONS, contexts=1, seed=0, max_batch_tokens=TOKENS, bf16=False, device=torch.device("cpu")
    )


def sides(folder: Path, proteins: list[NamedSequence]) -> dict[str, Callable[[], np.ndarray]]:
    """The ways to compute the same, all in one process and with encoders of their own."""
    ensemble = load_ensemble_models(folder, FOLDS)
    preparer = ensemble.preparer()
    plain = [load_lora_checkpoint(folder / f"fold_{fold}" / BEST) for fold in range(1, FOLDS + 1)]
    linear = [part for part in plain[0].modules() if hasattr(part, "get_base_layer")]
    weights = [part.get_base_layer().weight.detach().clone() for part in linear]

    @torch.no_grad()
    def per_ion(fold: int, tensors: Any) -> torch.Tensor:
        return torch.stack([plain[fold](**tensors, ion=ion).logits for ion in IONS], dim=-1)

    @torch.no_grad()
    def together(fold: int, tensors: Any) -> torch.Tensor:
        return plain[fold](**tensors).logits

    state = {"fold": -1}

    @torch.no_grad()
    def merged(fold: int, tensors: Any) -> torch.Tensor:
        model = plain[0]
        if state["fold"] != fold:
            state["fold"] = fold
            own = [part for part in plain[fold].modules() if hasattr(part, "get_base_layer")]
            for part, source, weight in zip(linear, own, weights, strict=True):
                part.get_base_layer().weight.copy_(weight + source.get_delta_weight("default"))
        with model._original_model.disable_adapter():
            hidden = model._original_model.encode(**tensors)
        logits = plain[fold]._logits(hidden, tensors["sequence_ids"], None)
        if fold == FOLDS - 1:
            for part, weight in zip(linear, weights, strict=True):
                part.get_base_layer().weight.copy_(weight)
            state["fold"] = -1
        return logits

    return {
        BASELINE: lambda: averaged(proteins, per_ion, preparer),
        "heads together": lambda: averaged(proteins, together, preparer),
        "merged fold by fold": lambda: averaged(proteins, merged, preparer),
        IN_PASSING: lambda: predict_shard(proteins, ensemble=ensemble, preparer=preparer, spec=spec()).mean,
    }


def peak(folder: Path, side: str, arguments: argparse.Namespace) -> float:
    """Peak MiB of a fresh process that loads and runs one side."""
    command = [sys.executable, __file__, "--folder", str(folder), "--side", side, "--proteins", str(arguments.proteins)]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(json.loads(out.splitlines()[-1])["peak_mib"])


def run_side(folder: Path, side: str, proteins: list[NamedSequence]) -> None:
    """Run one model, or the ensemble, and print the peak memory of this process."""
    if side == "libraries":
        pass
    else:
        ensemble = load_ensemble_models(folder, FOLDS if side == "ensemble" else 1)
        predict_shard(proteins, ensemble=ensemble, preparer=ensemble.preparer(), spec=spec())
    print(json.dumps({"peak_mib": peak_resident()}))


def main() -> None:
    """Run all sides and print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="small")
    parser.add_argument("--proteins", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--side", help=argparse.SUPPRESS)
    add_json_option(parser)
    arguments = parser.parse_args()
    proteins = make_proteins(arguments.proteins)
    if arguments.side:
        run_side(arguments.folder, arguments.side, proteins)
        return
    with tempfile.TemporaryDirectory() as made:
        folder = make_run(Path(made), arguments.shape)
        functions = sides(folder, proteins)
        few = sides(folder, proteins[:3])
        expected = few[BASELINE]()
        apart = {name: float(np.abs(function() - expected).max()) for name, function in few.items()}
        for name, difference in apart.items():
            print(f"{name:24s} largest difference {difference:.1e}", flush=True)
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in functions}
        for _ in range(arguments.repeats):
            for name, function in functions.items():
                clock, processors = time.perf_counter(), time.process_time()
                function()
                times[name].append((time.perf_counter() - clock, time.process_time() - processors))
        best = {name: [min(column) for column in zip(*values, strict=True)] for name, values in times.items()}
        for name, (clock, processors) in best.items():
            ratio = f"{best[BASELINE][0] / clock:5.2f} times (processors {best[BASELINE][1] / processors:5.2f})"
            print(f"{name:24s} {clock:8.2f} s  {ratio}{'  (goal 5)' if name == IN_PASSING else ''}", flush=True)
        mib = {side: peak(folder, side, arguments) for side in ("libraries", "one model", "ensemble")}
        share = mib["ensemble"] / mib["one model"]
        own = (mib["ensemble"] - mib["libraries"]) / (mib["one model"] - mib["libraries"])
        print(
            f"peak {mib['ensemble']:.0f} MiB, one model {mib['one model']:.0f}: {share:.2f} times (goal below 1.3); "
            f"without {mib['libraries']:.0f} of libraries {own:.2f}"
        )
    what = f"{FOLDS} folds of {len(IONS)} ions, {arguments.proteins} proteins, {arguments.shape} E1"
    seconds, baseline = best[IN_PASSING][0], best[BASELINE][0]
    rows = [
        Row(what, seconds, "s", BASELINE, baseline / seconds, "at least 5"),
        Row(f"{what}, peak memory", mib["ensemble"], "MiB", "one model", share, "at most 1.3"),
        Row(f"{what}, largest difference", apart[IN_PASSING], "", goal="at most 1e-5"),
    ]
    write_rows(arguments.json, rows)


if __name__ == "__main__":
    main()
