"""Collect the published files of a run: listed files, a card, notices and a manifest, without paths of this machine.

Never published are optimiser states, logs, checkpoints beside the model, and tables that name proteins or windows.
"""

import hashlib
import io
import json
import shlex
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bindtune import __version__
from bindtune.errors import CheckpointError, ConfigError
from bindtune.models.backbones import BACKBONES
from bindtune.models.binding_checkpoint import read_heads
from bindtune.models.hub_names import (
    ADAPTER_CONFIG,
    ADAPTER_FILES,
    ADDED_TOKENS,
    GENERATION_CONFIG,
    MODEL_CONFIG,
    SAFETENSORS,
    SAFETENSORS_INDEX,
    SHARDS,
    SPECIAL_TOKENS,
    TOKENIZER,
    TOKENIZER_CONFIG,
    TORCH_WEIGHTS,
    VOCABULARY,
)
from bindtune.publishing.private import find_private, without_folders
from bindtune.publishing.releases import packaged_releases
from bindtune.reports.card_binding import encoder_of, run_card
from bindtune.reports.card_pretraining import pretraining_card
from bindtune.reports.model_card import base_name, inputs_of
from bindtune.reports.report_run import provenance
from bindtune.runs.exclusive import in_use
from bindtune.runs.kinds import is_binding, kind_in_words, kind_of, run_config
from bindtune.runs.names import (
    ADAPTERS,
    ALL_RESULTS,
    BEST,
    CONFIG,
    HEADS,
    MANIFEST,
    METRICS,
    NOTICE,
    PROVENANCE,
    README,
    SUMMARY,
    THRESHOLDS,
    TRAINER_STATE,
    fold_folder,
    results_file,
)
from bindtune.runs.provenance import sha256
from bindtune.yaml_json import read_json, read_text, write_document

_MODEL = (
    MODEL_CONFIG, GENERATION_CONFIG, SAFETENSORS, SAFETENSORS_INDEX, SHARDS, TORCH_WEIGHTS, TOKENIZER,
    TOKENIZER_CONFIG, SPECIAL_TOKENS, ADDED_TOKENS, VOCABULARY,
)  # fmt: skip
_RESULTS = (ALL_RESULTS, *map(results_file, ("train", "eval")))
_FOLD = (
    HEADS,
    *(f"{ADAPTERS}/{name}" for name in (*ADAPTER_FILES, README, NOTICE)),
    *(f"{BEST}/{name}" for name in (*_MODEL, README, NOTICE)),
)
# Those that may hold paths; weights, vocabularies and figures hold none.
_CLEANED = (MODEL_CONFIG, ADAPTER_CONFIG, TOKENIZER_CONFIG, CONFIG, PROVENANCE)


@dataclass(frozen=True)
class Bundle:
    """The published files.

    Args:
        kind: what it is, for people.
        files: by path in the repository: a file as it lies on this disk, or content that was made for it.
        left: files of the folder that stay.
        base: hub name of the model that it was made from; None where it is not known.
    """

    kind: str
    files: Mapping[str, Path | bytes]
    left: tuple[str, ...]
    base: str | None

    def rows(self) -> list[tuple[str, int, str]]:
        """Path, size and SHA-256 of each file."""
        return [(name, *measure(content)) for name, content in sorted(self.files.items())]


def measure(content: Path | bytes) -> tuple[int, str]:
    """Size and SHA-256."""
    if isinstance(content, bytes):
        return len(content), hashlib.sha256(content).hexdigest()
    return content.stat().st_size, sha256(content)


def collect(source: Path, *, repo: str = "", base_model: str | None = None) -> Bundle:
    """Gather the published files of a run, a checkpoint or an exported model.

    Args:
        source: run folder of `bindtune pretrain` or `bindtune train`, a checkpoint, or a folder of `bindtune export`.
        repo: OWNER/NAME, which the card then names where it says how the model is loaded.
        base_model: hub name of the model that the run began with, where the run knows a folder only.

    Raises:
        ConfigError: it is no such folder, is not finished, or holds a secret or a link to a file elsewhere.
        InputError: a file of it is damaged.
        CheckpointError: a file of it is damaged.
    """
    if not source.is_dir():
        raise ConfigError(f"{source} is not a folder")
    _listed(source, (CONFIG, PROVENANCE))
    if any(source.glob(HEADS)):
        fold, quoted = source.resolve(), shlex.quote(str(source))
        raise ConfigError(
            f"{source} is one fold: push the run, {fold.parent}, or what `bindtune export {quoted}` writes"
        )
    if (source / CONFIG).is_file():
        config = run_config(source)
        if (kind := kind_of(config)) in ("probe", "scan", "explanation"):
            raise ConfigError(f"{source} is {kind_in_words(kind)}: it holds figures, and no model to push")
        binding = is_binding(config)
        bundle = _binding_run(source, repo, base_model) if binding else _pretraining(source, source, repo, base_model)
    elif (source / TRAINER_STATE).is_file() and (source.resolve().parent / CONFIG).is_file():
        bundle = _pretraining(source.resolve().parent, source, repo, base_model)
    else:
        bundle = _exported(source, repo)
    _refuse_private(bundle, source)
    return bundle


def _card(text: str, repo: str) -> bytes:
    """A card whose commands name the repository, with its owner, instead of a folder."""
    if "/" in repo:
        text = text.replace('"FOLDER"', f'"{repo}"')
        predict = "bindtune predict --run FOLDER"
        text = text.replace(predict, f"hf download {repo} --local-dir FOLDER\n{predict}")
    return text.encode()


def _binding_run(run: Path, repo: str, base_model: str | None) -> Bundle:
    config = run_config(run)
    _refuse_unfinished_folds(run, config)
    base = base_model or _base(run, config.get("model", {}).get("checkpoint"))
    cleaned = _settings(run, base, section="model", key="checkpoint")
    files: dict[str, Path | bytes] = {path.name: path for path in _listed(run, (THRESHOLDS, SUMMARY, METRICS))}
    for number in _folds(config):
        fold = fold_folder(run, number)
        for path in _listed(fold, _FOLD, run=run):
            name = f"{fold.name}/{path.relative_to(fold)}"
            files[name] = _heads(path, base) if path.name == HEADS else _cleaned(path, base)
    files |= cleaned
    with tempfile.TemporaryDirectory(prefix="bindtune-push-") as folder:
        small = {name: each for name, each in files.items() if not name.endswith((".pt", ".safetensors", ".bin"))}
        _write(Path(folder), small)
        files[README] = _card(run_card(Path(folder)), repo)
    if notice := encoder_of(run).licence.notice:
        files[NOTICE] = notice.encode()
    return _bundle("a run of bindtune train", run, files, base)


def _pretraining(run: Path, model: Path, repo: str, base_model: str | None) -> Bundle:
    if in_use(run):
        raise ConfigError(f"{run} is in use by another process: push it when the run has ended")
    if model == run and not (run / README).is_file():  # written last
        raise ConfigError(
            f"{run} is not finished: go on with bindtune pretrain --resume_from_checkpoint auto, or push one of its "
            "checkpoints"
        )
    base = base_model or _base(run, run_config(run).get("model_name_or_path"))
    files: dict[str, Path | bytes] = {path.name: _cleaned(path, base) for path in _listed(model, (*_MODEL, *_RESULTS))}
    _refuse_weightless(model, files)
    files |= _settings(run, base, section=None, key="model_name_or_path")
    with tempfile.TemporaryDirectory(prefix="bindtune-push-") as folder:
        small = {name: each for name, each in files.items() if name.endswith((".json", ".yaml"))}
        # The card says what the trainer's state tells of the weights; the state itself is not published.
        _write(Path(folder), small | {path.name: path for path in _listed(run, (TRAINER_STATE,))})
        files[README] = _card(pretraining_card(Path(folder), model=None if model == run else model), repo)
    what = "a run of bindtune pretrain" if model == run else f"{model.name} of a run of bindtune pretrain"
    return _bundle(what, model, files, base)


def _exported(folder: Path, repo: str) -> Bundle:
    files: dict[str, Path | bytes] = {
        path.name: _cleaned(path, None) for path in _listed(folder, (*_MODEL, README, NOTICE))
    }
    _refuse_weightless(folder, files)
    if README not in files:
        raise ConfigError(f"{folder} has no model card: bindtune export writes README.md beside a model of a run")
    files[README] = _card(read_text(folder / README), repo)
    backbone = BACKBONES.get(str((read_json(folder / MODEL_CONFIG) or {}).get("model_type")))
    if backbone is not None and backbone.licence.notice:
        files[NOTICE] = backbone.licence.notice.encode()
    return _bundle("an exported model", folder, files, None)


def _bundle(kind: str, source: Path, files: dict[str, Path | bytes], base: str | None) -> Bundle:
    rows = [
        {"path": name, "size": size, "sha256": digest} for name, size, digest in Bundle(kind, files, (), base).rows()
    ]
    about = {"bindtune": __version__, "kind": kind, "files": rows}
    files[MANIFEST] = (json.dumps(about, indent=2) + "\n").encode()
    there = {str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()}
    return Bundle(kind, files, tuple(sorted(there - files.keys())), base)


def _listed(folder: Path, patterns: Iterable[str], *, run: Path | None = None) -> list[Path]:
    """The listed files of a folder.

    Raises:
        ConfigError: one is, through a symbolic link, a file outside `run`, by default of `folder`.
    """
    listed = [path for pattern in patterns for path in sorted(folder.glob(pattern)) if path.is_file()]
    for path in listed:
        if not path.resolve().is_relative_to((run or folder).resolve()):
            raise ConfigError(
                f"{path} is a symbolic link to {path.resolve()}, outside what is published: put the file itself there"
            )
    return listed


def _folds(config: dict[str, Any]) -> range:
    training = config["training"]
    return range(1, 1 + (int(training.get("num_folds") or 1) if training.get("ions") else 1))


def _refuse_unfinished_folds(run: Path, config: dict[str, Any]) -> None:
    folds = [fold_folder(run, number) for number in _folds(config)]
    if any(in_use(folder) for folder in (run, *folds)):
        raise ConfigError(f"{run} is in use by another process: push it when the run has ended")
    done = [fold for fold in folds if (fold / HEADS).is_file()]
    if len(done) < len(folds):
        raise ConfigError(
            f"{run} is not finished: {len(done)} of {len(folds)} folds are trained; go on with bindtune train "
            f"--resume {shlex.quote(str(run))}"
        )
    if config["training"].get("ions") and not (run / THRESHOLDS).is_file():
        merge = shlex.join(["bindtune", "merge", str(run)])
        raise ConfigError(f"{run} is not finished: its folds were not joined; {merge} does it")


def _refuse_weightless(folder: Path, files: Mapping[str, object]) -> None:
    if MODEL_CONFIG not in files or not any(name.endswith((".safetensors", ".bin")) for name in files):
        raise ConfigError(f"{folder} is no run and no model: it holds no config.json with weights beside it")


def _base(run: Path, checkpoint: object) -> str | None:
    """Hub name of the model that a run began with, from its settings or from the hash of its weights."""
    inputs = inputs_of(provenance(run))
    digests = {
        each.get("sha256") for name, each in inputs.items() if name.startswith("base ") and isinstance(each, dict)
    }
    by_hash = (release.name for release in packaged_releases() if digests & set(release.weight_hashes.values()))
    return base_name(checkpoint, inputs) or next(by_hash, None)


def _settings(run: Path, base: str | None, *, section: str | None, key: str) -> dict[str, Path | bytes]:
    """Settings and provenance of a run, without folders; the base as if it came from the hub, if its name is known."""
    config: dict[str, Any] = without_folders(run_config(run))
    origin = without_folders(provenance(run))
    if base is not None:
        (config if section is None else config[section])[key] = base
        for name, each in inputs_of(origin).items():
            if name.startswith("base ") and isinstance(each, dict):
                each["path"] = f"models--{base.replace('/', '--')}/{name.removeprefix('base ')}"
    made: dict[str, Path | bytes] = {CONFIG: write_document(config).encode()}
    if origin:
        made[PROVENANCE] = (json.dumps(origin, indent=2) + "\n").encode()
    return made


def _cleaned(path: Path, base: str | None) -> Path | bytes:
    """A file, or its content without folders of this machine if it holds any."""
    if path.name not in _CLEANED:
        return path
    content = read_json(path)
    cleaned = without_folders(content)
    if base is not None and path.name == ADAPTER_CONFIG and isinstance(cleaned, dict):
        cleaned["base_model_name_or_path"] = base
    return path if cleaned == content else (json.dumps(cleaned, indent=2, ensure_ascii=False) + "\n").encode()


def _heads(path: Path, base: str | None) -> Path | bytes:
    """The heads of a fold, which name their encoder."""
    heads = read_heads(path)
    name = base or without_folders(heads["base_model_checkpoint"])
    if heads["base_model_checkpoint"] == name:
        return path
    stream = io.BytesIO()
    torch.save({**heads, "base_model_checkpoint": name}, stream)
    return stream.getvalue()


def _write(folder: Path, files: Mapping[str, Path | bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.read_bytes())


def _refuse_private(bundle: Bundle, source: Path) -> None:
    """Check all texts and the heads once more.

    Raises:
        ConfigError: a file holds a secret or a folder of this machine.
        CheckpointError: a file went while it was read.
    """
    folders = [source.resolve().parent]
    with suppress(RuntimeError):  # no HOME, and a user that the machine does not know, as in a container
        folders.append(Path.home())
    for name, content in bundle.files.items():
        if name.endswith((".safetensors", ".bin")):
            continue
        secret = find_private(content if isinstance(content, bytes) else _read(content), tuple(folders))
        if secret is not None:
            raise ConfigError(f"{source}: {name} would be published with {secret}: take it out first")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from error
