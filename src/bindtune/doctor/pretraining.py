"""Check the files of a `bindtune pretrain` with the readers that training uses, and count their records."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bindtune.config import PretrainConfig
from bindtune.data.dna.collate import check_special_tokens
from bindtune.data.dna.tokens import load_tokenizer
from bindtune.data.dna.window_tokens import windows_with_peaks
from bindtune.doctor.encoders import check_weights
from bindtune.doctor.findings import Finding, attempt, noted, warning
from bindtune.doctor.machine import check_room
from bindtune.doctor.memory_fit import TrainingDevice, check_memory
from bindtune.models.activation_bytes import WIDE, Arithmetic, BatchShape
from bindtune.models.loading import empty_masked_lm
from bindtune.training.pretraining.arguments import check_rates, training_arguments
from bindtune.training.pretraining.run_folder import check_inputs, find_checkpoint
from bindtune.training.pretraining.windows import check_positions, check_vocabulary, doubts, peak_doubt, read_rows
from bindtune.training.sharding import check_launcher


def check_pretraining(config: PretrainConfig, *, find_device: Callable[[], TrainingDevice]) -> list[Finding]:
    """Read and tokenise the windows of a run, build its model without weights, and predict the memory of a step.

    The tokens are written to the cache of `datasets`, so training does not tokenise again.

    Args:
        config: the settings.
        find_device: finds the device of the training; it is called after everything is read.
    """
    findings: list[Finding] = []
    attempt("settings", "masking rates", lambda: check_rates(config), findings)
    attempt("settings", "launcher", lambda: check_launcher(precision=config.precision), findings)
    arguments = attempt("settings", "training", lambda: training_arguments(config), findings)
    if arguments is not None and arguments.n_gpu > 1:
        fix = (
            f"torchrun --standalone --nproc_per_node={arguments.n_gpu} -m bindtune pretrain, or CUDA_VISIBLE_DEVICES=0"
        )
        text = f"one process sees {arguments.n_gpu} GPUs, and runs refuse this"
        findings.append(warning("settings", "GPUs", arguments.n_gpu, fix, text=text))
    checkpoint = attempt("output", "run folder", lambda: find_checkpoint(config), findings)
    if checkpoint is not None:
        findings.append(noted("output", "goes on from", str(checkpoint)))
        attempt("output", "inputs", lambda: check_inputs(config, checkpoint), findings)
    tokenizer = attempt("encoder", "tokenizer", lambda: load_tokenizer(config.model_name_or_path), findings)
    model = _model(config, tokenizer, findings)
    if tokenizer is None:
        return findings
    attempt("encoder", "special tokens", lambda: check_special_tokens(tokenizer), findings)
    train = _windows(config, tokenizer, config.train_file, config.max_train_samples, findings)
    read: dict[Path | None, Dataset | None] = {config.train_file: train}
    if config.validation_file is not None:
        held_out = _windows(config, tokenizer, config.validation_file, config.max_eval_samples, findings)
        read[config.validation_file] = held_out
        if train is not None and held_out is not None:
            findings.append(_shared(train, held_out))
            doubt = peak_doubt(train, held_out)
            if doubt:
                fix = "hold out more windows" if config.max_eval_samples is None else "raise max_eval_samples"
                findings.append(warning("windows", "validation peaks", windows_with_peaks(held_out), fix, text=doubt))
    if model is not None:
        attempt("encoder", "positions", lambda: check_positions(config, model, read), findings)
    if train is None:
        return findings
    batch = _batches(config, train, findings)
    if model is None:
        return findings
    arithmetic = Arithmetic(
        checkpointing=config.gradient_checkpointing,
        half=config.fp16 or config.bf16,
        on_gpu=torch.cuda.is_available(),
        accumulated=config.gradient_accumulation_steps,
    )
    return findings + check_memory(
        model, batch, arithmetic, device=find_device(), advice=lambda tokens: _advice(config, tokens, batch)
    )


def _model(
    config: PretrainConfig, tokenizer: PreTrainedTokenizerBase | None, findings: list[Finding]
) -> PreTrainedModel | None:
    name = config.model_name_or_path
    model = attempt("encoder", name, lambda: empty_masked_lm(name), findings)
    findings += check_weights(name)
    if model is None:
        return None
    if tokenizer is not None:
        attempt("encoder", "vocabulary", lambda: check_vocabulary(config, tokenizer, model), findings)
    settings, parameters = model.config, sum(one.numel() for one in model.parameters())
    about = f"{settings.model_type}, {settings.num_hidden_layers} layers, width {settings.hidden_size}"
    findings.append(noted("encoder", "shape", about))
    findings.append(noted("encoder", "parameters", parameters, f"{parameters:,}"))
    # Each checkpoint holds weights and two moments. One more exists while it is written, and the weights at the end.
    needed = WIDE * parameters * (3 * (config.save_total_limit + 2) + 1)
    findings += check_room(config.output_dir, needed=needed)
    return model


def _windows(
    config: PretrainConfig, tokenizer: PreTrainedTokenizerBase, path: Path, limit: int | None, findings: list[Finding]
) -> Dataset | None:
    read = attempt("windows", str(path), lambda: read_rows(config, tokenizer, path, limit), findings)
    if read is None:
        return None
    rows, report = read
    about = f"{report.windows:,} windows, {report.peaks:,} peaks, {report.tokens / report.windows:.1f} tokens a window"
    value = {name: getattr(report, name) for name in ("windows", "peaks", "tokens", "unknown", "truncated")}
    doubtful = doubts(report)
    if doubtful:
        fix = "raise max_seq_length where windows are cut off" if report.truncated else "check the file"
        findings.append(warning("windows", str(path), value, fix, text=f"{about}; {doubtful}"))
    else:
        findings.append(noted("windows", str(path), value, about))
    if len(rows) < report.windows:
        findings.append(noted("windows", "drawn of these", len(rows), f"{len(rows):,}"))
    return rows


def _shared(train: Dataset, validation: Dataset) -> Finding:
    """Windows with the same id and sequence in both files; `record` is a hash of id and sequence."""
    shared = np.intersect1d(np.asarray(train["record"]), np.asarray(validation["record"]))
    if not len(shared):
        return noted("windows", "in both files", 0)
    return warning("windows", "in both files", len(shared), "evaluation would use training windows: split them again")


def _batches(config: PretrainConfig, rows: Dataset, findings: list[Finding]) -> BatchShape:
    """Count tokens in a batch and steps in an epoch; return the largest batch that an epoch may draw."""
    lengths, size = np.asarray(rows["length"], dtype=np.int64), config.per_device_train_batch_size
    longest = np.sort(lengths)[::-1][:size]
    typical = round(float(lengths.mean()) * min(size, len(lengths)))
    findings.append(noted("batches", "tokens in a batch", {"mean": typical, "most": int(longest.sum())},
                          f"{typical:,} (mean) to {int(longest.sum()):,}"))  # fmt: skip
    batches = -(-len(lengths) // size)
    steps = -(-batches // config.gradient_accumulation_steps)
    total = config.max_steps if config.max_steps > 0 else int(np.ceil(steps * config.num_train_epochs))
    findings.append(noted("batches", "steps in an epoch", steps))
    findings.append(noted("batches", "steps of the run", total))
    return BatchShape(
        rows=len(longest),
        columns=int(longest[0]),
        tokens=int(longest.sum()),
        masked=round(config.target_mlm_prob * int(longest.sum())),
    )


def _advice(config: PretrainConfig, tokens: int, batch: BatchShape) -> str:
    ways = [] if config.gradient_checkpointing else ["--gradient_checkpointing"]
    windows = tokens // batch.columns
    if windows:
        summed = config.per_device_train_batch_size * config.gradient_accumulation_steps
        ways.insert(
            0,
            f"--per_device_train_batch_size {windows} --gradient_accumulation_steps {-(-summed // windows)}, "
            f"at most {tokens:,} tokens a batch",
        )
    return "; or ".join(ways) or "a smaller model, shorter windows, or a device with more memory"
