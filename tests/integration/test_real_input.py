"""From real peaks and a real genome to a checkpoint, with the real tokenizer and a small DNABERT-2-shaped model."""

import json
import shutil
from pathlib import Path

import numpy as np

import tiny_dnabert2
from bindtune.config import PretrainConfig, WindowsConfig, build
from bindtune.data.dna.tokens import load_tokenizer
from bindtune.data.dna.window_tokens import tokenise_file
from bindtune.io.records import read_windows
from bindtune.preparation.windows import make_windows
from bindtune.training.pretraining.run import pretrain


def test_from_peakhood_peaks_to_a_checkpoint(shared: Path, tmp_path: Path) -> None:
    data = shared / "data" / "eclip_hg38_peakhood"
    settings = {
        "peaks": [str(data / "combined_peaks.hg38.bed")], "region_fasta": str(data / "exon_blocks.hg38.fa.gz"),
        "out": str(tmp_path / "windows"), "validation_fraction": 0.1,
    }  # fmt: skip
    make_windows(build(WindowsConfig, settings), notify=lambda _: None)
    train, validation = (tmp_path / "windows" / f"{name}.parquet" for name in ("train", "validation"))
    model = _model(shared / "tokenizer" / "dnabert2", tmp_path / "model")
    tokenizer = load_tokenizer(str(model))

    windows = list(read_windows(train))
    rows, report = tokenise_file(train, tokenizer, max_length=512, overlap="any", processes=1)
    assert report.windows == len(windows) == len(rows)
    assert report.peaks == sum(len(window.peaks) for window in windows) > 100
    assert report.peaks_without_token == report.unknown == 0
    _check_spans(windows, rows, tokenizer)

    options = {
        "model_name_or_path": str(model), "train_file": train, "validation_file": validation, "max_steps": 6,
        "output_dir": tmp_path / "run", "use_adaptive_masking": True, "eval_steps": 3, "save_steps": 3,
        "per_device_train_batch_size": 8, "dataloader_num_workers": 0, "preprocessing_num_workers": 1,
    }  # fmt: skip
    results = pretrain(build(PretrainConfig, options))
    trained = json.loads((tmp_path / "run" / "train_results.json").read_text())
    assert 0.19 < trained["train_peak_masked_rate"] < 0.26
    assert abs(trained["train_masked_rate"] - 0.15) < 0.005
    # An untrained model knows nothing: its loss is near that of 4096 equally likely tokens.
    assert abs(results["eval_loss"] - np.log(4096)) < 0.5
    assert 0.9 < trained["train_padding_efficiency"] <= 1


def _model(tokenizer: Path, folder: Path) -> Path:
    tiny_dnabert2.build(vocab_size=4096, initializer_range=0.02).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tokenizer / name, folder / name)
    return folder


def _check_spans(windows: list, rows: object, tokenizer: object) -> None:
    """The letters of a peak's tokens hold the peak, and dropping the first or last token loses some of it."""
    for window, row in zip(windows, rows, strict=True):
        offsets = tokenizer(window.sequence.upper(), return_offsets_mapping=True)["offset_mapping"]
        for (start, end), first, last in zip(
            window.peaks, row["eclip_token_starts"], row["eclip_token_ends"], strict=True
        ):
            assert offsets[first][0] <= start < offsets[first][1]
            assert offsets[last - 1][0] < end <= offsets[last - 1][1]
