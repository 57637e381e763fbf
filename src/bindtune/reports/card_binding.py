"""Model cards of a binding run: of the run, of a fold's adapters, of an encoder with adapters merged."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bindtune.evaluation.epoch_selection import NAMES
from bindtune.evaluation.figure_text import UNDEFINED, interval, number
from bindtune.evaluation.summary import read_summary
from bindtune.models.backbones import BACKBONES, E1, Backbone
from bindtune.models.hub_names import ADAPTER_CONFIG, MODEL_CONFIG
from bindtune.reports.model_card import (
    AUTO_CLASSES,
    Card,
    base_name,
    base_words,
    code,
    input_rows,
    inputs_of,
    licence_of,
    render,
)
from bindtune.reports.report_run import provenance
from bindtune.reports.run_settings import (
    binding_settings,
    choice_sentence,
    chooses_epoch,
    flatten,
    grouping_sentence,
    judged_by,
    section,
    training_words,
    trains_encoder,
    trains_mlm_head,
)
from bindtune.runs.kinds import run_config
from bindtune.runs.names import ADAPTERS, BEST, CONFIG, HEADS, HISTORY, NOTICE, README, SUMMARY, fold_folder, in_folds
from bindtune.runs.reading import as_number, read_csv, read_json
from bindtune.runs.writing import write_text

_FOLD_HEADS = ("ion", "base rate", "AUPRC", "AUROC", "HRA")
_RUN_HEADS = (
    "ion", "proteins", "residues", "base rate", "AUPRC (95 % interval)", "AUPRC of letters alone", "AUROC", "HRA",
)  # fmt: skip


def write_run_card(run: Path) -> None:
    """Write README.md into a run folder, from the files in it."""
    write_text(run / README, run_card(run))


def write_fold_card(
    run: Path, *, fold: int, epoch: int, config: Mapping[str, Any], encoder: str, rows: Sequence[Mapping[str, Any]]
) -> None:
    """Write README.md beside a fold's adapters, or beside its encoder where there are none.

    NOTICE goes beside it if the encoder's licence asks for one.

    Args:
        run: the run folder; missing facts are left out.
        fold: the fold.
        epoch: epoch of the weights.
        config: the run's settings.
        encoder: model type of the encoder, one of `BACKBONES`.
        rows: of metrics.csv; those of the epoch are shown.
    """
    folder = fold_folder(run, fold) / (ADAPTERS if config.get("lora") else BEST)
    text = fold_card(provenance(run), fold=fold, epoch=epoch, config=config, encoder=encoder, rows=rows)
    write_text(folder / README, text)
    if notice := BACKBONES[encoder].licence.notice:
        write_text(folder / NOTICE, notice)


def run_card(run: Path) -> str:
    """The card of a run with all its folds.

    Raises:
        InputError: a file of the run is damaged.
    """
    config, origin = run_config(run), provenance(run)
    summary = read_summary(run / SUMMARY)
    what, folds = _what(config, origin), number(as_number(_training(config).get("num_folds")), 0)
    learns_sites = bool(_training(config).get("ions"))
    about = (
        f"{what}, in {folds} folds: each `fold_K` holds the {_weights(config)} and the ion heads of "
        f"{_epoch_words(config)}.",
    )
    if not learns_sites:
        about = (f"{what}. `fold_1` holds the {_weights(config)} of {_epoch_words(config)}.",)
    note = (
        "Out of fold: each protein is predicted by the fold that did not train on it. A random order of residues has "
        "the base rate as its AUPRC; the interval is by protein."
    )
    loading = "```\nbindtune predict --run FOLDER --fasta proteins.fa --out predictions\n```"
    if not summary:
        note = "The folds are not joined yet, so nothing was scored."
    if not learns_sites:
        note, loading = "No ion was learned, so there are no sites to score.", "See `fold_1`."
    return _card(
        "Binding sites of proteins, residue by residue" if learns_sites else "A language model of proteins, adapted",
        config,
        origin,
        backbone=encoder_of(run),
        about=about,
        loading=loading,
        figures=tuple(_summary_row(ion, each) for ion, each in summary.items()),
        heads=_RUN_HEADS,
        note=note,
        relation="adapter" if config.get("lora") else "finetune",
        library="peft" if config.get("lora") else "bindtune",
        task="token-classification" if _training(config).get("ions") else "fill-mask",
    )


def fold_card(
    origin: dict[str, Any],
    *,
    fold: int,
    epoch: int,
    config: Mapping[str, Any],
    encoder: str,
    rows: Sequence[Mapping[str, Any]],
    merged: bool = False,
) -> str:
    """The card of a fold's adapters, or of the encoder that they were merged into; see `write_fold_card`."""
    backbone = BACKBONES[encoder]
    name, package = backbone.public_class.__name__, backbone.package
    adapters = bool(config.get("lora")) and not merged
    heads_alone = _trains_heads_alone(config) and not merged
    base = base_name(_checkpoint(config), inputs_of(origin)) or "BASE"
    loaded = f'{name}.from_pretrained("{base if adapters or heads_alone else "FOLDER"}")'
    lines = ["```python", f"from {package} import {name}", f"model = {loaded}", "```"]
    if adapters:
        lines[1:3] = ["from peft import PeftModel", lines[1], f'model = PeftModel.from_pretrained({loaded}, "FOLDER")']
    if package == "bindtune":
        loadable = "the encoder" if adapters or heads_alone else "this folder"
        lines += ["", AUTO_CLASSES.format(what=loadable)]
    held_out = [row for row in rows if str(row.get("epoch")) == str(epoch) and row.get("ion") != "mean"]
    tested = [row for row in held_out if row.get("split") == "test"]
    shown = tested or [row for row in held_out if row.get("split") == "validation"]
    what = "The adapters" if adapters else "The encoder with the adapters merged" if merged else "The encoder"
    what = "The heads" if heads_alone else what
    learns_sites = bool(_training(config).get("ions"))
    heads = (
        f" The ion heads are in the run's `{(fold_folder(Path(), fold) / HEADS).as_posix()}`: without them this is a "
        "masked language model with hidden states, and marks no sites."
    )
    return _card(
        f"{what} of fold {fold} of a binding-site run" if learns_sites else f"{what} of an adapted language model",
        config,
        origin,
        backbone=backbone,
        about=(f"{_what(config, origin)}: fold {fold}, epoch {epoch}.{heads if learns_sites else ''}",),
        loading="\n".join(lines),
        figures=tuple(_fold_row(row) for row in shown),
        heads=_FOLD_HEADS,
        note=_fold_note(held_out=bool(shown), tested=bool(tested), config=config),
        relation="adapter" if adapters else "finetune",
        library="peft" if adapters else package,
    )


def _trains_heads_alone(config: Mapping[str, Any]) -> bool:
    return not trains_encoder(config) and not config.get("lora") and not trains_mlm_head(config)


def merged_card(run: Path, *, fold: int, epoch: int, base: str, encoder: str) -> str:
    """The card of an encoder with a fold's adapters merged; facts that the run folder lacks are left out.

    Args:
        run: the run folder.
        fold: whose adapters they are.
        epoch: of the weights.
        base: the encoder that they were merged into, where the run's settings are missing.
        encoder: its model type.
    """
    has_settings = (run / CONFIG).is_file()
    config = run_config(run) if has_settings else {"model": {"checkpoint": base}, "lora": {"r": None}, "training": {}}
    rows = read_csv(fold_folder(run, fold) / HISTORY, ("epoch", "split", "ion")) or []
    return fold_card(provenance(run), fold=fold, epoch=epoch, config=config, encoder=encoder, rows=rows, merged=True)


def encoder_of(run: Path) -> Backbone:
    """The encoder, by the folds' files. If they name none, it is E1, which has the strictest licence."""
    for path in in_folds(run, f"{ADAPTERS}/{ADAPTER_CONFIG}"):
        mapping = (read_json(path) or {}).get("auto_mapping")
        if isinstance(mapping, dict) and mapping.get("base_model_class"):
            name = str(mapping["base_model_class"])
            return next((backbone for backbone in BACKBONES.values() if name in backbone.class_names), E1)
    for path in in_folds(run, f"{BEST}/{MODEL_CONFIG}"):
        return BACKBONES.get(str((read_json(path) or {}).get("model_type")), E1)
    return E1


def _card(
    title: str,
    config: Mapping[str, Any],
    origin: dict[str, Any],
    *,
    backbone: Backbone,
    about: tuple[str, ...],
    loading: str,
    figures: tuple[tuple[str, ...], ...],
    heads: tuple[str, ...],
    note: str,
    relation: str,
    library: str,
    task: str = "fill-mask",
) -> str:
    inputs = inputs_of(origin)
    base = base_name(_checkpoint(config), inputs)
    header: dict[str, Any] = {
        "library_name": library,
        "pipeline_tag": task,
        "tags": ["bindtune", "biology", "protein"],
    }
    header["tags"] += ["binding-sites"] if _training(config).get("ions") else []
    header["tags"] += ["lora"] if config.get("lora") else []
    header["tags"] += backbone.tags
    if figures:
        header["metrics"] = ["average_precision", "roc_auc"]
    if base is not None:
        header |= {"base_model": base, "base_model_relation": relation}
    leaves = dict(flatten(config))
    return render(
        Card(
            title=title,
            header=header,
            about=about,
            loading=loading,
            inputs=input_rows(inputs),
            settings=tuple(
                (name, leaves[name]) for name in binding_settings(config) if leaves.get(name, UNDEFINED) != UNDEFINED
            ),
            figures=figures,
            figure_heads=heads,
            figure_note=note,
            limits=_limits(config),
            terms=licence_of(backbone.config.model_type, base),
        )
    )


def _training(config: Mapping[str, Any]) -> Mapping[str, Any]:
    return section(config, "training")


def _checkpoint(config: Mapping[str, Any]) -> object:
    model = config.get("model")
    return model.get("checkpoint") if isinstance(model, Mapping) else None


def _weights(config: Mapping[str, Any]) -> str:
    return "LoRA adapters" if config.get("lora") else "encoder's settings" if _trains_heads_alone(config) else "encoder"


def _epoch_words(config: Mapping[str, Any]) -> str:
    """The epoch that a fold keeps."""
    if not chooses_epoch(config):
        return "its only epoch"
    return f"its best epoch, judged by {NAMES[judged_by(config)]} in validation"


def _what(config: Mapping[str, Any], origin: dict[str, Any]) -> str:
    checkpoint = _checkpoint(config)
    words = base_words(checkpoint, base_name(checkpoint, inputs_of(origin)))
    encoder = words[0].upper() + words[1:]
    ions = _training(config).get("ions") or ()
    if not ions:
        return f"{encoder}, {training_words(config)} as a language model of proteins, without labels"
    return f"{encoder}, {training_words(config)} to mark the residues that bind {', '.join(code(ion) for ion in ions)}"


def _summary_row(ion: str, entry: Mapping[str, Any]) -> tuple[str, ...]:
    auprc, baseline = _auprc(entry), _auprc(entry.get("baseline"))
    ends = [as_number(auprc.get(name)) for name in ("low", "high")]
    return (
        ion,
        *(number(as_number(entry.get(name)), 0) for name in ("proteins", "residues")),
        number(as_number(entry.get("base_rate")), 4),
        interval(as_number(auprc.get("value")), ends),
        number(as_number(baseline.get("value"))),
        *(number(as_number(entry.get(name))) for name in ("auroc", "hra")),
    )


def _auprc(entry: Any) -> Mapping[str, Any]:
    inner = entry.get("auprc") if isinstance(entry, Mapping) else None
    return inner if isinstance(inner, Mapping) else {}


def _fold_row(row: Mapping[str, Any]) -> tuple[str, ...]:
    figures = (number(as_number(row.get(name))) for name in ("auprc", "auroc", "hra"))
    return (str(row.get("ion")), number(as_number(row.get("base_rate")), 4), *figures)


def _fold_note(*, held_out: bool, tested: bool, config: Mapping[str, Any]) -> str:
    if not held_out:
        learned = bool(_training(config).get("ions"))
        return "No figures of this epoch." if learned else "No ion was learned, so there are no sites to score."
    inner = as_number(_training(config).get("inner_validation_fraction")) > 0 and not tested
    proteins = (
        "the inner validation proteins, which the fold did not train on" if inner else "the held-out fold's proteins"
    )
    note = f"Of {proteins}. A random order of residues has the base rate as its AUPRC."
    if tested or not chooses_epoch(config):
        return note
    return f"{note} The same proteins picked the epoch, so the figures may be too high."


def _limits(config: Mapping[str, Any]) -> tuple[str, ...]:
    limits = []
    if _training(config).get("ions"):
        limits.append(
            "In proteins with labels of an ion, a residue without a mark counts as not binding. So unknown sites were "
            "learned as negatives."
        )
        limits.append(grouping_sentence(config, code))
        limits += [sentence for sentence in [choice_sentence(config)] if sentence]
        limits.append("Predictions are probabilities of a model, and no experiment.")
    limits.append(f"It is one run with one seed ({code(_training(config).get('seed'))}).")
    return tuple(limits)
