"""Pretraining on generated data: windows from peaks, then an adaptive and a standard run with equal settings."""

import json
from collections.abc import Callable
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from bindtune.config import PretrainConfig, WindowsConfig, build
from bindtune.demo.genome import write_genome
from bindtune.io.records import read_windows
from bindtune.models.dnabert2 import DNABert2Config, DNABert2ForMaskedLM
from bindtune.preparation.windows import make_windows
from bindtune.runs.names import ALL_RESULTS
from bindtune.training.pretraining.run import pretrain

GENOME_SEED = 1
_SPECIAL = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]  # ids 0 to 4, the same as in DNABERT-2


def make_windows_and_model(folder: Path, *, small: bool, notify: Callable[[str], None]) -> tuple[Path, Path, Path]:
    """Generate a genome, cut its windows, train a tokenizer on them and make a random model.

    Args:
        folder: output folder.
        small: make little data, enough for a smoke test only.
        notify: gets messages about the progress.

    Returns:
        The training file, the validation file and the model's folder.
    """
    chromosomes, length = (4, 40_000) if small else (10, 100_000)
    files = write_genome(folder / "genome", chromosomes=chromosomes, length=length, seed=GENOME_SEED)
    settings = {
        "peaks": [str(files.peaks)], "genome": str(files.genome), "regions": str(files.regions),
        "out": str(folder / "windows"), "validation_fraction": 0.1, "overwrite": True,
    }  # fmt: skip
    notify(make_windows(build(WindowsConfig, settings), notify=notify))
    train, validation = (folder / "windows" / f"{name}.parquet" for name in ("train", "validation"))
    return train, validation, _make_model(folder / "model", train, small=small)


def _make_model(folder: Path, train: Path, *, small: bool) -> Path:
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))  # noqa: S106
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    # Short tokens: a longer token could hold a whole motif, and the peak would have no other token to predict it from.
    trainer = trainers.BpeTrainer(vocab_size=256, special_tokens=_SPECIAL, show_progress=False, max_token_length=4)
    tokenizer.train_from_iterator((window.sequence for window in read_windows(train)), trainer)
    ends = [(name, _SPECIAL.index(name)) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    names = dict(zip(("unk_token", "cls_token", "sep_token", "pad_token", "mask_token"), _SPECIAL, strict=True))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)  # type: ignore[no-untyped-call]
    config = DNABert2Config(
        vocab_size=256,
        hidden_size=48 if small else 128,
        num_hidden_layers=2 if small else 3,
        num_attention_heads=4,
        intermediate_size=256,
        initializer_range=0.05,  # the model is narrow; 0.02 is for a width of 768
    )
    with torch.random.fork_rng():
        torch.manual_seed(1)
        DNABert2ForMaskedLM(config).save_pretrained(folder)
    return folder


def run_pretraining(folder: Path, *, notify: Callable[[str], None], small: bool = False) -> str:
    """Train an adaptive and a standard run in `folder`, and return a table of their losses.

    Args:
        folder: folder of data and runs.
        notify: gets messages about the progress.
        small: train little, just to see that everything runs.
    """
    train, validation, model = make_windows_and_model(folder, small=small, notify=notify)
    steps = 8 if small else 160
    results = {}
    for name, adaptive in {"adaptive": True, "standard": False}.items():
        notify(f"training {folder / name} ({name} masking)")
        settings = {
            "model_name_or_path": str(model), "train_file": train, "validation_file": validation,
            "output_dir": folder / name, "use_adaptive_masking": adaptive, "max_steps": steps,
            "per_device_train_batch_size": 16, "gradient_accumulation_steps": 1, "learning_rate": 3e-3,
            "eval_steps": steps // 4, "save_steps": steps // 4, "logging_steps": steps // 8,
            "dataloader_num_workers": 0, "preprocessing_num_workers": 1,
        }  # fmt: skip
        pretrain(build(PretrainConfig, settings))
        results[name] = json.loads((folder / name / ALL_RESULTS).read_text(encoding="utf-8"))
    return _table(results)


_ROWS = {
    "masked in peaks, training": "train_peak_masked_rate",
    "masked in flanks, training": "train_flank_masked_rate",
    "masked in all, training": "train_masked_rate",
    "loss in peaks": "eval_peak_loss",
    "loss in flanks": "eval_flank_loss",
    "loss in all": "eval_loss",
    "accuracy in peaks": "eval_peak_accuracy",
    "accuracy in flanks": "eval_flank_accuracy",
}


def _table(results: dict[str, dict[str, float]]) -> str:
    lines = [f"{'generated data, one seed each':32s}" + "".join(f"{name:>12s}" for name in results)]
    for label, key in _ROWS.items():
        lines.append(f"{label:32s}" + "".join(f"{figures[key]:12.4f}" for figures in results.values()))
    lines.append(
        "Losses are of the same validation windows under the same uniform masks. Nothing follows for real data."
    )
    return "\n".join(lines)
