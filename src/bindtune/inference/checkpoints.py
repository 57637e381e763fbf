"""Trained binding models from a run folder: the best model of one fold, or those of all folds on one encoder."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bindtune.config import load_binding
from bindtune.errors import CheckpointError, library_text
from bindtune.models.adapter_config import read_adapter_config
from bindtune.models.adapters import load_adapters, merge_in_passing, use_adapter
from bindtune.models.backbones import BatchPreparer, backbone_of, load_encoder, preparer_for
from bindtune.models.base_files import weight_files
from bindtune.models.binding_checkpoint import is_untrained, read_heads
from bindtune.models.hub_names import MODEL_CONFIG
from bindtune.models.residue import E1ForResidueClassification, E1ResidueClassificationOutput
from bindtune.models.run_encoder import find_encoder, same_encoder
from bindtune.runs.kinds import require_run
from bindtune.runs.names import (
    ADAPTERS_ENDING,
    BEST,
    CONFIG,
    HEADS,
    HEADS_ENDING,
    fold_folder,
    fold_folders,
    fold_number,
)
from bindtune.runs.provenance import sha256

_ONE_FOLD = "default"


def load_lora_checkpoint(
    path: Path | str, device: torch.device | str = "cpu", *, base_model: str | None = None
) -> E1ForResidueClassification:
    """Load the best model of a fold, ready to predict: in evaluation mode, frozen.

    Args:
        path: such as `run/fold_1/best_e1_binding_model`, which `_lora` and `_heads.pt` are added to; or the folder of
            adapters, the file of heads, or the fold's folder. Runs that trained every weight load too.
        device: where to compute.
        base_model: hub name or folder of the encoder; what the heads name by default.

    Raises:
        CheckpointError: a file is missing or damaged, or does not fit the encoder.
    """
    files = _FoldFiles.at(Path(path))
    encoder = _trained_encoder(files, {_ONE_FOLD: files.adapters}, base_model)
    return _with_heads(encoder, files, adapter=_ONE_FOLD).to(device)


def load_ensemble_models(
    run_dir: Path | str,
    num_folds: int | None = None,
    device: torch.device | str = "cpu",
    *,
    base_model: str | None = None,
) -> "Ensemble":
    """Load the best models of a run's folds, with one encoder in memory.

    Args:
        run_dir: the run folder.
        num_folds: folds 1 to this; the run's number by default.
        device: where to compute.
        base_model: hub name or folder of the encoder; what the heads name by default.

    Returns:
        Something to iterate over, a model a fold; each may be called at any time and gives its own fold's output.

    Raises:
        CheckpointError: a fold or a file is missing or damaged, or does not fit the encoder or the other folds.
        ConfigError: the folder holds a pretraining run.
    """
    run = Path(run_dir)
    if not run.is_dir():
        raise CheckpointError(f"{run} is no run folder")
    count = _trained_folds(run) if num_folds is None else num_folds
    if count < 1:
        raise CheckpointError(f"{run} holds no fold_1: no fold is trained")
    return Ensemble([_FoldFiles.at(fold_folder(run, fold) / BEST) for fold in range(1, count + 1)], device, base_model)


class Ensemble:
    """The models of several folds. One encoder holds the adapters of all folds. If the encoder itself or its biases
    were trained, folds share nothing: each fold is then loaded when it is used, and one is in memory at a time.

    Args:
        folds: the files of each fold.
        device: where to compute.
        base_model: hub name or folder of the encoder; what the heads name by default.
    """

    def __init__(self, folds: "list[_FoldFiles]", device: torch.device | str, base_model: str | None) -> None:
        self._folds, self._device, self._base_model = folds, device, base_model
        first = folds[0]
        for later in folds[1:]:
            for name in ("base_model_checkpoint", "ions"):
                if later.heads[name] != first.heads[name] and (
                    name == "ions" or not _same_base(first, later, base_model)
                ):
                    raise CheckpointError(
                        f"{later.heads_path}: {name} is {later.heads[name]!r}, in {first.heads_path} it is "
                        f"{first.heads[name]!r}"
                    )
        self.ion_types: tuple[str, ...] = tuple(first.heads["ions"])
        self._models: list[E1ForResidueClassification] | None = None
        if all(fold.is_shareable() for fold in folds):
            adapters = {fold.folder.name: fold.adapters for fold in folds}
            encoder = _trained_encoder(first, adapters, base_model)
            merge_in_passing(encoder)
            self._models = [
                _with_heads(encoder, fold, adapter=name).to(device) for name, fold in zip(adapters, folds, strict=True)
            ]

    def __len__(self) -> int:
        return len(self._folds)

    def __getitem__(self, index: int) -> E1ForResidueClassification:
        if self._models is not None:
            return self._models[index]
        fold = self._folds[index]
        encoder = _trained_encoder(fold, {_ONE_FOLD: fold.adapters}, self._base_model)
        merge_in_passing(encoder)
        return _with_heads(encoder, fold, adapter=_ONE_FOLD).to(self._device)

    def __iter__(self) -> Iterator[E1ForResidueClassification]:
        return (self[index] for index in range(len(self)))

    def groups(self) -> Iterator[list[E1ForResidueClassification]]:
        """Groups of models that are in memory at the same time: one group, or one for each model."""
        if self._models is not None:
            yield self._models
            return
        for model in self:
            yield [model]

    def preparer(self) -> BatchPreparer:
        """The preparer of the models' batches."""
        encoder = next(iter(self))._original_model
        # The tokenizer is in the folder of the encoder with which the run began.
        has_tokenizer = backbone_of(encoder).has_tokenizer
        return preparer_for(encoder, self._folds[0].base(self._base_model) if has_tokenizer else "")

    def base_hashes(self) -> dict[str, str]:
        """The weight files of the shared encoder; none if each fold has its own encoder."""
        first = self._folds[0]
        if first.has_own_encoder():
            return {}
        return {name: sha256(path) for name, path in weight_files(first.base(self._base_model)).items()}

    def files(self) -> dict[str, Path]:
        """The trained files, by fold and name."""
        return {
            f"{fold.folder.name}/{path.relative_to(fold.folder)}": path for fold in self._folds for path in fold.files()
        }


class _FoldModel(E1ForResidueClassification):
    """A fold's heads on an encoder with the adapters of several folds; a call uses the adapters of this fold."""

    def __init__(self, encoder: Any, ions: list[str], *, adapter: str | None) -> None:
        super().__init__(encoder, ions)
        self._adapter = adapter

    def forward(self, *args: Any, **kwargs: Any) -> E1ResidueClassificationOutput:
        """As in `E1ForResidueClassification`."""
        self._use_own_adapter()
        return super().forward(*args, **kwargs)

    def cache_context(self, **ids: Tensor) -> Any:
        """As in `E1ForResidueClassification`."""
        self._use_own_adapter()
        return super().cache_context(**ids)

    def _use_own_adapter(self) -> None:
        if self._adapter is not None:
            use_adapter(self._original_model, self._adapter)


@dataclass(frozen=True)
class _FoldFiles:
    """The files of the best model of a fold, and its heads.

    Args:
        prefix: path without `_lora` and `_heads.pt`; if every weight was trained, the encoder's folder.
        heads: content of the heads' file.
    """

    prefix: Path
    heads: dict[str, Any]

    @classmethod
    def at(cls, path: Path) -> "_FoldFiles":
        """Find the files of a prefix, of a folder of adapters, of a heads' file or of a fold's folder."""
        if path.name.endswith(HEADS_ENDING):
            prefix = path.with_name(path.name.removesuffix(HEADS_ENDING))
        elif path.name.endswith(ADAPTERS_ENDING):
            prefix = path.with_name(path.name.removesuffix(ADAPTERS_ENDING))
        elif (path / HEADS).is_file():
            prefix = path / BEST
        else:
            prefix = path
        if not prefix.parent.is_dir():
            raise CheckpointError(f"{prefix.parent}: no such folder, expected the best model of a fold there")
        heads_path = prefix.with_name(f"{prefix.name}{HEADS_ENDING}")
        if not heads_path.is_file():
            raise CheckpointError(f"{heads_path}: no such file: the fold is not trained")
        files = cls(prefix, read_heads(heads_path))
        files._check()
        return files

    @property
    def folder(self) -> Path:
        """The fold's folder."""
        return self.prefix.parent

    @property
    def heads_path(self) -> Path:
        """The heads' file."""
        return self.prefix.with_name(f"{self.prefix.name}{HEADS_ENDING}")

    @property
    def adapters(self) -> Path:
        """The folder of adapters, whether there is one or not."""
        return self.prefix.with_name(f"{self.prefix.name}{ADAPTERS_ENDING}")

    def base(self, base_model: str | None) -> str:
        """The encoder of the fold's training; `base_model` is the name that the user gives."""
        return find_encoder(self.folder.parent, str(self.heads["base_model_checkpoint"]), base_model=base_model)

    def is_shareable(self) -> bool:
        """Whether the fold has adapters that can share an encoder with other folds."""
        return not self.is_whole() and read_adapter_config(self.adapters).bias == "none"

    def is_whole(self) -> bool:
        """Whether there are heads and an encoder without adapters."""
        return not self.adapters.is_dir() and (self.prefix / MODEL_CONFIG).is_file()

    def has_own_encoder(self) -> bool:
        """Whether the encoder itself was trained; it is then in the fold's folder."""
        return self.is_whole() and not is_untrained(self.heads)

    def files(self) -> list[Path]:
        """The trained files."""
        folder = self.prefix if self.is_whole() else self.adapters
        return [self.heads_path, *sorted(path for path in folder.glob("*") if path.suffix in (".json", ".safetensors"))]

    def _check(self) -> None:
        """Raise an error if an ion has no head."""
        weights = self.heads["classifier_heads"]
        there = {str(name).partition(".")[0] for name in weights}
        missing = [ion for ion in self.heads["ions"] if ion not in there]
        if missing:
            raise CheckpointError(f"{self.heads_path}: no head for {', '.join(missing)}, which the file lists")
        if not self.is_whole() and not self.adapters.is_dir():
            raise CheckpointError(f"{self.adapters}: no such folder: the adapters of the fold are missing")


def _trained_encoder(files: _FoldFiles, adapters: dict[str, Path], base_model: str | None) -> Any:
    """The encoder with adapters, or the trained encoder, frozen and in evaluation mode."""
    if files.has_own_encoder():
        return load_encoder(str(files.prefix)).requires_grad_(False).eval()
    base = files.base(base_model)
    try:
        encoder = load_encoder(base)
    except CheckpointError as error:
        raise CheckpointError(f"the base model of {files.folder}: {error}; base_model names another place") from error
    if is_untrained(files.heads):
        return encoder.requires_grad_(False).eval()
    return load_adapters(encoder, adapters)


def _same_base(first: _FoldFiles, second: _FoldFiles, base_model: str | None) -> bool:
    """Whether two folds were trained on the same encoder, also under different names."""
    if first.has_own_encoder() and second.has_own_encoder():
        return True
    return base_model is not None or same_encoder(first.base(None), second.base(None))


def _with_heads(encoder: Any, files: _FoldFiles, *, adapter: str) -> E1ForResidueClassification:
    with torch.random.fork_rng(devices=[]):  # initial heads are drawn, and overwritten
        model = _FoldModel(encoder, files.heads["ions"], adapter=None if files.is_whole() else adapter)
    weights: dict[str, Tensor] = files.heads["classifier_heads"]
    try:
        model.classifier_heads.load_state_dict(weights)
    except RuntimeError as error:
        problem = library_text(error)
        raise CheckpointError(f"{files.heads_path}: the heads do not fit the base model: {problem}") from error
    model.requires_grad_(False)
    return model.eval()


def _trained_folds(run: Path) -> int:
    """The number of folds of a run, from its settings or from its folders."""
    settings = run / CONFIG
    if settings.is_file():
        require_run(run, "binding", "load_ensemble_models")
        training = load_binding(settings).training
        return training.num_folds if training.ions else 1
    return max((number for path in fold_folders(run) if (number := fold_number(path)) is not None), default=0)
