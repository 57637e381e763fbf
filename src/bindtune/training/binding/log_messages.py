"""Log messages of a binding run about its inputs, its folds and its epochs."""

import logging
from typing import Any

from bindtune.config import BindingConfig
from bindtune.data.protein.input_files import unmatched
from bindtune.data.protein.protein_rows import ResidueRows
from bindtune.evaluation import epoch_selection
from bindtune.progress import duration
from bindtune.training.binding.fold_files import FoldState
from bindtune.training.binding.inputs import RunInputs
from bindtune.training.binding.scoring import MEAN

log = logging.getLogger(__name__)


def log_inputs(config: BindingConfig, inputs: RunInputs, audited: dict[str, Any]) -> None:
    """Describe the proteins and alignments of a run, and warn about settings without effect and about leaks.

    Args:
        config: the settings.
        inputs: inputs of the run.
        audited: result of `audit`; empty in processes that did not audit.
    """
    for setting in config.without_effect:
        log.warning("setting without effect: %s", setting)
    proteins = inputs.proteins
    labelled, positives = proteins.labelled().sum(axis=0).tolist(), proteins.positives().sum(axis=0).tolist()
    unknown = proteins.unknown().sum(axis=0).tolist()
    for ion, count, sites, residues in zip(proteins.ions, labelled, positives, unknown, strict=True):
        log.info(
            "%s: %d proteins, %d binding residues%s", ion, count, sites,
            f", {residues} residues unknown (?)" if residues else "",
        )  # fmt: skip
    log.info(
        "%d proteins in %d groups, %d folds", len(proteins), len(set(inputs.group.tolist())), config.training.num_folds
    )
    if proteins.also_unlabelled:
        log.info("%d proteins are labelled and listed as unlabelled: their labels count", proteins.also_unlabelled)
    if inputs.aligned is not None:
        log.info("%s", inputs.aligned)
        if not inputs.aligned.with_alignment:
            log.warning("%s", unmatched(str(config.data.msa_dir), proteins.names))
    for sentence in audited.get("sentences", ()):
        log.log(logging.WARNING if sentence in audited["warnings"] else logging.INFO, "%s", sentence)


def log_rows(fold: int, training: ResidueRows, validation: ResidueRows, *, has_alignments: bool) -> None:
    """Log the proteins that do not fit into a row, and warn if the encoder does not read the run's alignments.

    Args:
        fold: the fold.
        training: its training rows.
        validation: its validation rows.
        has_alignments: whether the run has alignments.
    """
    if training.cropped() or validation.cropped():
        log.info(
            "fold %d: longer than a row: %d training proteins, of which each epoch learns a random stretch of %d "
            "residues, and %d validation proteins, predicted in overlapping stretches of %d", fold,
            training.cropped(), training.spec.max_residues, validation.cropped(), validation.spec.max_residues,
        )  # fmt: skip
    if has_alignments and training.alignments is None:
        log.warning("fold %d: the encoder reads one protein at a time: data.msa_dir has no effect", fold)


def log_site_weights(config: BindingConfig, fold: int, positives: list[int], weights: list[float]) -> None:
    """Log the weights of binding residues, and warn about ions without binding residues.

    Args:
        config: the settings.
        fold: the fold.
        positives: (K,) binding residues of the training proteins.
        weights: (K,) weight of a binding residue.
    """
    for ion, count, weight in zip(config.training.ions, positives, weights, strict=True):
        if not count:
            log.warning(
                "fold %d: %s has no binding residue to learn from; its head learns that nothing binds", fold, ion
            )
        elif config.training.pos_weight_mode != "none" and config.training.loss_type != "focal":
            log.info("fold %d: %s: weight of binding residues %.3g", fold, ion, weight)
    if config.training.loss_type == "focal" and config.training.focal_alpha < 0.5:
        log.warning(
            "training.focal_alpha %.2f weights binding residues down, which are the rare ones",
            config.training.focal_alpha,
        )


def log_epoch(fold: int, epoch: int, figures: str, *, is_best: bool, left: float, without_homologs: int) -> None:
    """Log an epoch's figures; after the first epoch, warn about validation rows without a homolog from their alignment.

    Args:
        fold: the fold.
        epoch: the epoch, from 1.
        figures: its losses and areas, as text.
        is_best: whether it is the best one so far.
        left: seconds that the remaining epochs of the fold take, if none is left out.
        without_homologs: validation rows whose alignment has no homolog that the settings allow.
    """
    best = ", the best so far" if is_best else ""
    log.info("fold %d epoch %d: %s%s, at most %s left", fold, epoch, figures, best, duration(left))
    if without_homologs and epoch == 1:
        log.warning(
            "fold %d: %d validation rows are read alone: msa_sampling allows no homolog of their alignment",
            fold, without_homologs,
        )  # fmt: skip


def log_better_later_epoch(config: BindingConfig, fold: int, state: FoldState) -> None:
    """Warn if an epoch after the best one has a clearly better AUPRC in validation."""
    means = [row for row in state.history if (row["split"], row["ion"]) == ("validation", MEAN)]
    metric = config.training.selection_metric
    later = epoch_selection.clearly_better_later(means, state.best_epoch)
    if later is not None:
        log.warning(
            "fold %d: epoch %d has a mean AUPRC of %.4f in validation, the kept epoch %d of %.4f: it was chosen by "
            "%s (training.selection_metric=%s, training.min_delta=%g)", fold, later.epoch, later.auprc,
            state.best_epoch, later.auprc_kept, epoch_selection.NAMES[metric], metric, config.training.min_delta,
        )  # fmt: skip
