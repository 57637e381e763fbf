"""Settings of a run as text: settings with an effect, values as text, and sentences about settings."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bindtune.data.masking_strategies import STRATEGIES, strategy_name
from bindtune.errors import InputError
from bindtune.evaluation.epoch_selection import NAMES, Metric, metric_of
from bindtune.evaluation.figure_text import UNDEFINED, exact_percent, number
from bindtune.runs.reading import as_number

Config = Mapping[str, Any]


def pretraining_settings(config: Config) -> tuple[str, ...]:
    """Names of the settings of a pretraining run that shaped its weights and figures, in the order of a card."""
    return tuple(_of_pretraining(config))


def _of_pretraining(config: Config) -> Iterator[str]:
    evaluated = config.get("validation_file") is not None
    yield "target_mlm_prob"
    with_rates = [name for name, strategy in STRATEGIES.items() if strategy.uses_rates]
    if masking_mode(config) in with_rates or (evaluated and config.get("eval_masking") in with_rates):
        yield from ("eclip_mlm_lo", "eclip_mlm_hi", "min_flanking_prob")
    if evaluated:
        yield "eval_masking"
    yield "max_seq_length"
    if config.get("max_train_samples") is not None:
        yield "max_train_samples"
    if evaluated and config.get("max_eval_samples") is not None:
        yield "max_eval_samples"
    yield "max_steps" if as_number(config.get("max_steps")) > 0 else "num_train_epochs"
    yield from ("per_device_train_batch_size", "gradient_accumulation_steps", "learning_rate")
    if evaluates_while_training(config) and as_number(config.get("early_stopping_patience")) > 0:
        yield "early_stopping_patience"
    yield "seed"


def masking_mode(config: Config) -> str:
    """The strategy that drew a pretraining run's training masks.

    Raises:
        InputError: the settings name another strategy.
    """
    name = strategy_name(config.get("masking"), adaptive=bool(config.get("use_adaptive_masking")))
    if name not in STRATEGIES:
        raise InputError(None, None, f"config.yaml: masking is {name!r}, expected {' or '.join(STRATEGIES)}")
    return name


def masking_words(config: Config) -> str:
    """How a pretraining run masked peaks and flanks, as the beginning of a sentence."""
    target, lo, hi, _ = _masking_rates(config)
    strategy = STRATEGIES[masking_mode(config)]
    if strategy.uses_rates and lo == hi == target:
        strategy = STRATEGIES["uniform"]
    return _with_rates(strategy.sentence, config)


def masking_goals(config: Config) -> tuple[str, str]:
    """The targets of masking in peaks and in flanks of a pretraining run."""
    in_peaks, in_flanks = STRATEGIES[masking_mode(config)].goals
    return _with_rates(in_peaks, config), _with_rates(in_flanks, config)


def _with_rates(text: str, config: Config) -> str:
    """A text of a masking strategy, with the run's rates in its fields."""
    target, lo, hi, floor = _masking_rates(config)
    return text.format(
        target=exact_percent(target),
        peak_range=exact_percent(lo) if lo == hi else f"{exact_percent(lo)} to {exact_percent(hi)}",
        floor=exact_percent(floor),
        comparison="more often than" if lo >= target else "less often than" if hi <= target else "apart from",
    )


def _masking_rates(config: Config) -> tuple[float, float, float, float]:
    """Target, lowest and highest peak rate, and flank floor."""
    names = ("target_mlm_prob", "eclip_mlm_lo", "eclip_mlm_hi", "min_flanking_prob")
    target, lo, hi, floor = (as_number(config.get(name)) for name in names)
    return target, lo, hi, floor


def evaluates_while_training(config: Config) -> bool:
    """Whether a pretraining run evaluates before its end."""
    return config.get("validation_file") is not None and config.get("eval_strategy") != "no"


def binding_settings(config: Config) -> tuple[str, ...]:
    """Names of the settings of a binding run that shaped its weights, in the order of a card."""
    return tuple(_of_binding(config))


def _of_binding(config: Config) -> Iterator[str]:
    training = section(config, "training")
    learns_sites, learns_language = bool(training.get("ions")), as_number(training.get("mlm_weight")) > 0
    if learns_sites:
        yield "training.ions"
    yield from ("training.num_folds", "training.epochs", "training.learning_rate")
    if learns_sites:
        yield "training.mlm_weight"
    if learns_language:
        yield "training.mlm_probability"
    if learns_sites:
        yield "training.loss_type"
        is_focal = training.get("loss_type") == "focal"
        yield from ("training.focal_gamma", "training.focal_alpha") if is_focal else ("training.pos_weight_mode",)
    if chooses_epoch(config):
        if learns_sites:
            yield "training.selection_metric"
        if as_number(training.get("patience")) > 0:
            yield "training.patience"
    if as_number(training.get("inner_validation_fraction")) > 0:
        yield "training.inner_validation_fraction"
    yield "training.seed"
    if config.get("lora"):
        yield from ("lora.r", "lora.alpha", "lora.dropout", "lora.target_modules")


def chooses_epoch(config: Config) -> bool:
    """Whether a binding run chooses one of several epochs."""
    return as_number(section(config, "training").get("epochs")) != 1


def stops_early(config: Config) -> bool:
    """Whether a fold of a binding run may end before its last epoch."""
    return chooses_epoch(config) and as_number(section(config, "training").get("patience")) > 0


def trains_encoder(config: Config) -> bool:
    """Whether a binding run trains the encoder's own weights, and not only adapters or heads."""
    return not config.get("lora") and not section(config, "model").get("freeze_backbone")


def trains_mlm_head(config: Config) -> bool:
    """Whether a binding run trains the masked-LM head."""
    training = section(config, "training")
    return bool(training.get("train_mlm_head")) and as_number(training.get("mlm_weight")) > 0


def training_words(config: Mapping[str, Any]) -> str:
    """The training of the encoder, in words."""
    head = trains_mlm_head(config)
    if config.get("lora"):
        return "adapted with LoRA, its masked-LM head trained too," if head else "adapted with LoRA"
    if trains_encoder(config):
        return "fine-tuned"
    ions = bool(section(config, "training").get("ions"))
    kinds = [*(["heads for each ion"] if ions else []), *(["its masked-LM head"] if head else [])]
    return f"left as it is, with {' and '.join(kinds)} trained on it,"


def grouping_sentence(config: Config, quoted: Callable[[str], str] = str) -> str:
    """A sentence about the similarity of training and held-out proteins.

    Args:
        config: of a binding run.
        quoted: writes a name of a setting or a file, such as with Markdown's code signs.
    """
    data = section(config, "data")
    clusters = Path(str(data["clusters"])).name if data.get("clusters") else ""
    if data.get("folds") is not None:
        return (
            f"The folds come from a table, {quoted(Path(str(data['folds'])).name)}. Similar proteins may be in "
            "different folds; the run's audit.json lists those that the audit looked for."
        )
    if clusters == "identical":
        return (
            "Only identical sequences were kept in one fold. Similar proteins may be in different folds, so figures "
            "for new kinds of proteins may be lower."
        )
    if not clusters:
        return "The settings do not say which proteins were kept in one fold: similar ones may be in different folds."
    return (
        f"Proteins were kept in one fold by {quoted(clusters)}. The run's audit.json lists similar proteins that are "
        "in different folds nevertheless."
    )


def choice_sentence(config: Config) -> str:
    """Whether the held-out proteins chose the epoch; empty where they did not."""
    if not chooses_epoch(config) or as_number(section(config, "training").get("inner_validation_fraction")) > 0:
        return ""
    stopped = " and may have stopped training" if stops_early(config) else ""
    return f"The held-out fold picked the epoch{stopped}: its figures may be too high."


def judged_by(config: Config) -> Metric:
    """The figure that chooses the epoch of a binding run; without ions it is the loss."""
    training = section(config, "training")
    return metric_of(training) if training.get("ions") else "loss"


def kept_epoch_sentences(config: Config) -> str:
    """A sentence about the chosen epoch and the proteins that chose it."""
    training = section(config, "training")
    inner = as_number(training.get("inner_validation_fraction")) > 0
    held = "a part of the training proteins" if inner else "the fold's held-out proteins"
    lines = f"One colour a fold. Dashed lines are training, solid ones validation on {held}."
    if not chooses_epoch(config):
        return f"{lines} The run has one epoch, so none was chosen."
    metric, min_delta = judged_by(config), max(0.0, as_number(training.get("min_delta", 0)))
    best = "lowest" if metric == "loss" else "highest"
    better = f"; it had to be better by {number(min_delta)} at least" if min_delta > 0 else ""
    return f"{lines} The epoch that is kept is the one with the {best} {NAMES[metric]} in validation{better}."


def weights_words(config: Config) -> str:
    """The saved weights of a binding run, in words."""
    if config.get("lora"):
        return "adapters"
    return "weights" if trains_encoder(config) or trains_mlm_head(config) else "heads"


def section(config: Config, name: str) -> Mapping[str, Any]:
    """A section of the settings; empty where it is missing or null."""
    values = config.get(name)
    return values if isinstance(values, Mapping) else {}


def flatten(values: Mapping[str, Any], before: str = "") -> list[tuple[str, str]]:
    """(name, value) of every leaf; nested names are joined with dots, lists with commas."""
    rows: list[tuple[str, str]] = []
    for name, value in values.items():
        path = f"{before}{name}"
        if isinstance(value, Mapping) and value:
            rows += flatten(value, f"{path}.")
        else:
            rows.append((path, shown(value)))
    return rows


def shown(value: Any) -> str:
    """A setting as text."""
    if value is None or value == {} or value == []:
        return UNDEFINED
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list | tuple):
        return ", ".join(shown(part) for part in value)
    return str(value)
