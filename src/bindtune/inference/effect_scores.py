"""Effects of variants by a trained probe: the binding logit of the window with ALT minus that with REF."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import torch

from bindtune.inference.variant_scores import Reading, VariantScore
from bindtune.probing.binding_model import NEW, BindingModel, TrainedProbe, binding_model, open_probe

_ODD = re.compile("[^ACGTN]")
_BLOCK = 4096
"""Sequences between two reports of progress."""


@dataclass(frozen=True)
class EffectScorer:
    """A trained model of a probe that scores variants.

    Args:
        model: gives the binding logit of a sequence.
        width: nucleotides of a window: the usual length of the probe's windows.
    """

    model: BindingModel
    width: int

    def score(
        self, rows: Sequence[Reading], *, count: int, done: Callable[[int], None] = lambda count: None
    ) -> list[VariantScore]:
        """Score variants by the mean of all models of the cross-validation; see `VariantScorer.score`."""
        texts = [(_spelled(row.ref), _spelled(row.alt)) for row in rows]
        distinct = sorted({text for pair in texts for text in pair})
        number = {text: index for index, text in enumerate(distinct)}
        logits = np.empty(len(distinct))
        finished = 0
        for first in range(0, len(distinct), _BLOCK):
            some = distinct[first : first + _BLOCK]
            logits[first : first + len(some)] = self.model.logits(some, np.full(len(some), NEW, np.int64))
            now = (first + len(some)) * count // len(distinct)
            done(now - finished)
            finished = now
        owner = np.array([row.owner for row in rows], np.int64)
        difference = np.array([logits[number[alt]] - logits[number[ref]] for ref, alt in texts])
        means = np.bincount(owner, weights=difference, minlength=count) / np.bincount(owner, minlength=count)
        return [VariantScore(score, None, None) for score in means.tolist()]


def _spelled(text: str) -> str:
    """A probe reads A, C, G, T and N."""
    return _ODD.sub("N", text)


def effect_scorer(
    folder: Path, model: str, *, dataset: str | None, arm: str | None, device: torch.device
) -> EffectScorer:
    """Open a trained model of a probe.

    Args:
        folder: of the probe.
        model: its name in the probe, or NAME=FOLDER with the folder where its encoder lies today.
        dataset: data set that it was trained on.
        arm: kind of negatives that it was trained with.
        device: where it computes.

    Raises:
        ConfigError: there is no such model, data set or arm, or its encoder has changed.
        InputError: the probe is not finished or damaged.
    """
    probe = open_probe(folder, "score --effect")
    name, _, path = model.partition("=")
    trained = binding_model(probe, name, dataset=dataset, arm=arm, paths={name: path} if path else None, device=device)
    return EffectScorer(trained, usual_width(probe))


def usual_width(probe: TrainedProbe) -> int:
    """The most frequent length of a probe's windows."""
    lengths = pc.utf8_length(probe.windows["sequence"])
    return int(pc.mode(lengths)[0]["mode"].as_py())
