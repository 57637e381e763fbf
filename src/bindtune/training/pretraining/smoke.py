"""The local smoke test: does pretraining work here, with this model and these windows? Three checks with figures."""

import json
import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from bindtune.checks import Check, attempt_check
from bindtune.config import PretrainConfig, build
from bindtune.data.dna.row_order import KeyedRows
from bindtune.data.dna.tokens import load_tokenizer
from bindtune.data.dna.window_tokens import tokenise_file
from bindtune.data.masking import FLANK, PEAK, total_counts
from bindtune.models.loading import load_masked_lm
from bindtune.models.token_loss import IGNORED
from bindtune.runs.names import ALL_RESULTS, TRAINER_STATE
from bindtune.training.pretraining.arguments import collator
from bindtune.training.pretraining.run import pretrain

_STEPS = 20
_SEQUENCES = 20_000  # masked in the statistical check
_FALSE_ALARM = 1e-6  # chance that a correct sampler fails it


def smoke(
    train_file: Path, model_name_or_path: str, *, validation_file: Path | None, out: Path, notify: Callable[[str], None]
) -> Iterator[Check]:
    """Run the checks one after the other.

    Args:
        train_file: windows.
        model_name_or_path: the model to train for 20 steps.
        validation_file: windows to evaluate on, or None.
        out: an empty folder for both runs.
        notify: called with progress messages.
    """
    settings = {
        "model_name_or_path": model_name_or_path, "train_file": train_file, "validation_file": validation_file,
        "max_steps": _STEPS, "max_eval_samples": 200, "per_device_train_batch_size": 4, "eval_steps": 10,
        "save_steps": 10, "logging_steps": 5, "gradient_accumulation_steps": 1, "dataloader_num_workers": 0,
        "preprocessing_num_workers": 1,
    }  # fmt: skip
    for name, adaptive in {"adaptive": True, "standard": False}.items():
        notify(f"{_STEPS} steps with {name} masking")
        config = build(PretrainConfig, {**settings, "output_dir": out / name, "use_adaptive_masking": adaptive})
        yield attempt_check(f"{name} run", partial(_run, name, config))
    notify(f"masking {_SEQUENCES} sequences")
    config = build(PretrainConfig, {**settings, "output_dir": out, "use_adaptive_masking": True})
    yield attempt_check("masking", partial(_statistics, config))


def _run(name: str, config: PretrainConfig) -> Check:
    """Train, and load what was written."""
    pretrain(config)
    results = json.loads((config.output_dir / ALL_RESULTS).read_text(encoding="utf-8"))
    state = json.loads((config.output_dir / TRAINER_STATE).read_text(encoding="utf-8"))
    load_masked_lm(str(config.output_dir))
    load_tokenizer(str(config.output_dir))
    losses = [entry["loss"] for entry in state["log_history"] if "loss" in entry]
    rates = {kind: results.get(f"train_{kind}masked_rate", math.nan) for kind in ("", "peak_", "flank_")}
    learned = bool(losses) and bool(np.isfinite(losses).all())
    passed = state["global_step"] == _STEPS and learned and rates[""] > 0
    curve = ", ".join(f"{loss:.3f}" for loss in losses)
    rated = f"masked {rates['']:.4f} of all, {rates['peak_']:.4f} of peaks, {rates['flank_']:.4f} of flanks"
    return Check(f"{name} run", passed, f"{state['global_step']} steps, loss {curve}; {rated}; saved and loaded again")


def _statistics(config: PretrainConfig) -> Check:
    """Every total exact; the mean peak rate of unrelaxed sequences within the range, up to chance."""
    tokenizer = load_tokenizer(config.model_name_or_path)
    table, _ = tokenise_file(
        config.train_file,
        tokenizer,
        max_length=config.max_seq_length,
        overlap=config.region_overlap,
        processes=config.preprocessing_num_workers,
    )
    rows, mask = KeyedRows(table, seed="smoke"), collator(config, tokenizer, masking="adaptive")
    wrong, relaxed, rates = 0, 0, []
    for start in range(0, _SEQUENCES, 100):
        batch = mask(rows.__getitems__(range(start, start + 100)))
        selected, region = (batch["labels"] != IGNORED).numpy(), batch["region"].numpy()
        wrong += int((selected.sum(1) != total_counts((region > 0).sum(1), config.target_mlm_prob)).sum())
        mixed = (region == PEAK).any(1) & (region == FLANK).any(1) & ~batch["relaxed"].numpy()
        relaxed += int(batch["relaxed"].sum())
        rates += ((selected & (region == PEAK)).sum(1) / np.maximum((region == PEAK).sum(1), 1))[mixed].tolist()
    if not rates:
        return Check("masking", wrong == 0, f"{wrong} totals off; no window has both peaks and flanks")
    mean = float(np.mean(rates))
    slack = math.sqrt(math.log(2 / _FALSE_ALARM) / (2 * len(rates)))  # Hoeffding's bound for means of [0, 1]
    lo, hi = config.eclip_mlm_lo, config.eclip_mlm_hi
    return Check(
        "masking",
        wrong == 0 and lo - slack <= mean <= hi + slack,
        f"{wrong} of {_SEQUENCES} totals off; mean peak rate {mean:.4f}, allowed {lo} to {hi} give or take "
        f"{slack:.4f} (false alarm 1 in {1 / _FALSE_ALARM:.0e}); {relaxed} sequences relaxed",
    )
