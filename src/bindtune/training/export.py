"""Give a trained model back as a folder of its own: DNABERT-2 in the hub's layout, an encoder with adapters merged."""

from pathlib import Path
from typing import Any

from bindtune.data.dna.tokens import load_tokenizer
from bindtune.errors import CheckpointError, ConfigError
from bindtune.models.adapters import merge_adapters
from bindtune.models.backbones import backbone_of, load_encoder
from bindtune.models.binding_checkpoint import is_untrained, read_heads
from bindtune.models.dnabert2 import DNABert2ForMaskedLM
from bindtune.models.dnabert2_export import write_hub_layout
from bindtune.models.finite import check_finite_model
from bindtune.models.run_encoder import find_encoder
from bindtune.outputs import output_folder
from bindtune.reports.card_binding import merged_card
from bindtune.reports.card_pretraining import pretraining_card
from bindtune.runs.kinds import is_binding, require_run, run_config
from bindtune.runs.names import ADAPTERS, BEST, CONFIG, HEADS, NOTICE, README, fold_folder, fold_number
from bindtune.runs.writing import atomic_folder, sweep, write_text


def export_run(model: Path, out: Path, *, base_model: str | None = None) -> None:
    """Write a model with its card.

    A pretraining run or checkpoint becomes `config.json`, `pytorch_model.bin` and the tokenizer, as the hub has
    DNABERT-2. A fold of a binding run becomes `config.json` and `model.safetensors`, its adapters added to the weights
    of the encoder, with the notice that its licence asks for.

    Args:
        model: a pretraining run folder or checkpoint, or the folder of a fold.
        out: a folder that does not exist, or is empty.
        base_model: hub name or folder of the encoder of a fold; what its run names by default.

    Raises:
        ConfigError: `out` holds something or is written by another process, or `model` is a binding run and no fold.
        CheckpointError: `model` holds no DNABERT-2 and no fold, or the encoder is not the one that was adapted.
    """
    if not model.is_dir():
        raise CheckpointError(f"{model} is not a folder")
    out = output_folder(out)
    if not out.name:
        raise ConfigError(f"{out} is the folder that you are in, expected the name of a new one")
    if out.is_dir() and any(out.iterdir()):
        raise ConfigError(f"{out} is not empty")
    sweep(out.parent, out.name)
    with atomic_folder(out) as new:
        _export(model, new, base_model)


def _export(model: Path, out: Path, base_model: str | None) -> None:
    if any((model / name).exists() for name in (HEADS, ADAPTERS, BEST)):
        _export_fold(model, out, base_model)
        return
    if base_model is not None:
        raise ConfigError(f"--base-model names the encoder of a fold, and {model} is none")
    if (model / CONFIG).is_file() and is_binding(run_config(model)):
        raise ConfigError(f"{model} is a binding run: name one of its folds, such as {fold_folder(model, 1)}")
    if (model / CONFIG).is_file():
        require_run(model, "pretraining", "export")
    trained = DNABert2ForMaskedLM.from_pretrained(model)
    check_finite_model(trained, str(model))
    write_hub_layout(trained, out)
    load_tokenizer(str(model)).save_pretrained(out)
    run = next((folder for folder in (model, model.resolve().parent) if (folder / CONFIG).is_file()), None)
    if run is not None:
        write_text(out / README, pretraining_card(run, model=model, exported=True))


def _export_fold(folder: Path, out: Path, base_model: str | None) -> None:
    heads = read_heads(folder / HEADS)
    base, run = str(heads["base_model_checkpoint"]), folder.resolve().parent
    adapters = folder / ADAPTERS
    if adapters.is_dir():
        encoder = load_encoder(find_encoder(run, base, base_model=base_model))
        merged = merge_adapters(encoder, adapters)
    else:
        own = not is_untrained(heads)
        merged = load_encoder(str(folder / BEST) if own else find_encoder(run, base, base_model=base_model))
    merged.save_pretrained(out)
    backbone = backbone_of(merged)
    if backbone.has_tokenizer:
        load_tokenizer(find_encoder(run, base, base_model=base_model)).save_pretrained(out)
    fold, epoch = _fold(heads, folder), int(heads.get("epoch") or 0)
    card = merged_card(run, fold=fold, epoch=epoch, base=base, encoder=backbone.config.model_type)
    write_text(out / README, card)
    if backbone.licence.notice:
        write_text(out / NOTICE, backbone.licence.notice)


def _fold(heads: dict[str, Any], folder: Path) -> int:
    number = str(heads.get("fold") or fold_number(folder.resolve()))
    if not number.isdigit():
        raise CheckpointError(f"{folder}: the heads do not say which fold this is")
    return int(number)
