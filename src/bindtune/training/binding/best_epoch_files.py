"""Files of a fold's best epoch: heads, adapters or the trained encoder, and the model card."""

import math
from pathlib import Path

from bindtune.config import BindingConfig
from bindtune.models.binding_checkpoint import save_best
from bindtune.models.residue import E1ForResidueClassification
from bindtune.models.run_encoder import lasting_name
from bindtune.reports.card_binding import write_fold_card
from bindtune.runs.names import fold_folder
from bindtune.training.binding.fold_files import FoldState, Row
from bindtune.training.binding.scoring import MEAN


def last_mean(state: FoldState) -> Row:
    """The row of means of the last validated epoch; empty before the first validation."""
    return next((row for row in reversed(state.history) if row["ion"] == MEAN), {})


def write_best_epoch(
    run: Path, model: E1ForResidueClassification, config: BindingConfig, state: FoldState, *, fold: int
) -> None:
    """Write a model's weights as the best weights of its fold, with a model card.

    Args:
        run: the run folder.
        model: the model with the weights of `state.best_epoch`.
        config: the settings.
        state: state of the fold.
        fold: the fold.
    """
    about = {
        "epoch": state.best_epoch,
        "fold": fold,
        "lora_config": None if config.lora is None else config.lora.model_dump(mode="json"),
        "metrics": {name: last_mean(state).get(name, math.nan) for name in ("auprc", "hra")},
    }
    save_best(fold_folder(run, fold), model, base=lasting_name(config.model.checkpoint), about=about)
    write_card(run, model, config, state, fold=fold)


def write_card(
    run: Path, model: E1ForResidueClassification, config: BindingConfig, state: FoldState, *, fold: int
) -> None:
    """Write the model card of a fold beside its best weights; the arguments of `write_best_epoch`."""
    write_fold_card(
        run,
        fold=fold,
        epoch=state.best_epoch,
        config=config.model_dump(mode="json"),
        encoder=str(model._original_model.config.model_type),
        rows=state.history,
    )
