"""The windows of a pretraining run: read, tokenised, and compared with the tokenizer and the model."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bindtune.config import PretrainConfig
from bindtune.data.dna.splits import Amount, few_peaks
from bindtune.data.dna.window_tokens import TokenReport, tokenise_file, windows_with_peaks
from bindtune.data.masking import total_counts
from bindtune.errors import ConfigError, InputError
from bindtune.models.loading import usable_positions

log = logging.getLogger(__name__)


def read_rows(
    config: PretrainConfig, tokenizer: PreTrainedTokenizerBase, path: Path, limit: int | None
) -> tuple[Dataset, TokenReport]:
    """At most `limit` tokenised windows of a file, and a report on the tokens of all its windows.

    Raises:
        InputError: the file is missing or malformed, or nothing in it can be masked.
        ConfigError: the tokenizer does not give the positions of its tokens.
    """
    rows, report = tokenise_file(
        path,
        tokenizer,
        max_length=config.max_seq_length,
        overlap=config.region_overlap,
        processes=config.preprocessing_num_workers,
    )
    if not _can_be_masked(config, rows):
        raise InputError(path, None, "no window has enough tokens for one to be masked")
    if limit is None or limit >= len(rows):
        return rows, report
    drawn = rows.shuffle(seed=config.seed).select(range(limit))
    if not _can_be_masked(config, drawn):
        problem = f"none of the {limit} windows drawn from it has enough tokens for one to be masked"
        raise InputError(path, None, f"{problem}: raise max_train_samples or max_eval_samples")
    return drawn, report


def _can_be_masked(config: PretrainConfig, rows: Dataset) -> bool:
    return bool(total_counts(np.asarray(rows["maskable"], dtype=np.int64), config.target_mlm_prob).any())


def read_windows(config: PretrainConfig, tokenizer: PreTrainedTokenizerBase) -> tuple[Dataset, Dataset | None]:
    """The tokenised windows to train on and to evaluate on; log what was read, and warn about what is doubtful.

    Raises:
        InputError: a file is missing or malformed, or nothing in it can be masked.
        ConfigError: the tokenizer does not give the positions of its tokens.
    """
    training = _read_and_log(config, tokenizer, config.train_file, config.max_train_samples)
    if config.validation_file is None:
        return training, None
    validation = _read_and_log(config, tokenizer, config.validation_file, config.max_eval_samples)
    doubt = peak_doubt(training, validation)
    if doubt:
        remedy = "hold out more windows" if config.max_eval_samples is None else "raise max_eval_samples"
        log.warning("%s: %s; %s", config.validation_file, doubt, remedy)
    return training, validation


def _read_and_log(config: PretrainConfig, tokenizer: PreTrainedTokenizerBase, path: Path, limit: int | None) -> Dataset:
    rows, report = read_rows(config, tokenizer, path, limit)
    log.info(
        "%s: %d windows, %.1f tokens each, %d peaks; %d letters upper-cased, %d U read as T",
        path, report.windows, report.tokens / report.windows, report.peaks, report.lower_case, report.uracil,
    )  # fmt: skip
    doubt = doubts(report)
    if doubt:
        log.warning("%s: %s", path, doubt)
    return rows


def doubts(report: TokenReport) -> str:
    """Describe what a user may not expect in a file of windows; empty where there is nothing to describe."""
    counts = {
        "tokens are unknown to the tokenizer and never masked": report.unknown,
        "windows are cut off at the token limit": report.truncated,
        "peaks touch no token": report.peaks_without_token,
    }
    return "; ".join(f"{count} {description}" for description, count in counts.items() if count)


def peak_doubt(train: Dataset, validation: Dataset) -> str | None:
    """Describe validation windows of which too few have a peak.

    Args:
        train: tokenised windows to train on.
        validation: tokenised windows to evaluate on.

    Returns:
        None where enough validation windows have a peak, and where no training window has a peak.
    """
    doubt = few_peaks(Amount(len(validation), windows_with_peaks(validation)))
    return doubt if doubt and windows_with_peaks(train) else None


def check_vocabulary(config: PretrainConfig, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> None:
    """Refuse a tokenizer with more tokens than the model.

    Raises:
        ConfigError: it has more.
    """
    embeddings: Any = model.get_input_embeddings()
    if len(tokenizer) > embeddings.weight.shape[0]:
        raise ConfigError(
            f"{config.model_name_or_path}: the tokenizer has {len(tokenizer)} tokens, the model only "
            f"{embeddings.weight.shape[0]}"
        )


def check_positions(
    config: PretrainConfig, model: PreTrainedModel, windows: Mapping[Path | None, Dataset | None]
) -> None:
    """Refuse windows with more tokens than the model has positions for.

    Args:
        config: the settings.
        model: weights are not needed.
        windows: tokenised, by file; None without a file.

    Raises:
        ConfigError: a window has more; the message names the file and its longest window.
    """
    most = usable_positions(model)
    for path, rows in windows.items():
        longest = 0 if rows is None else int(np.asarray(rows["length"]).max())
        if most is not None and longest > most:
            raise ConfigError(
                f"{path}: the longest window has {longest} tokens, and {config.model_name_or_path} has positions for "
                f"{most}: set max_seq_length to {most}, or cut shorter windows"
            )
