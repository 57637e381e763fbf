"""Rows and batches of a fold, and their order in each process."""

from collections.abc import Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader

from bindtune.config import BindingConfig, ContextSettings
from bindtune.config.binding import CHUNK_OVERLAP, MASKED_SHARE, RANDOM_SHARE
from bindtune.data.masking import Replacement
from bindtune.data.protein.collate import JointCollator, ResidueCollator
from bindtune.data.protein.protein_rows import FixedBatches, ResidueRows, row_spec
from bindtune.data.protein.proteins import Proteins
from bindtune.data.protein.step_batches import Steps, budgeted, training_steps
from bindtune.data.workers import reading
from bindtune.models.backbones import BatchPreparer
from bindtune.training.binding.inputs import FoldProteins

EVALUATION_TOKENS = 16384
"""Tokens of a batch without gradients if training.max_batch_tokens is not set; a longer row is one batch."""


class FoldBatches:
    """Batches of a fold in one process.

    Args:
        conf: the settings.
        proteins: proteins of the fold.
        preparer: preparer of the encoder's batches.
        fold: number of the fold; each fold has its own order of proteins.
        processes: number of processes that share each step.
        rank: number of this process, from 0.
        level: give all processes equally many batches; additional batches have no weight. A sharded model needs all
            processes in every batch.
    """

    def __init__(
        self,
        conf: BindingConfig,
        proteins: FoldProteins,
        preparer: BatchPreparer,
        *,
        fold: int,
        processes: int,
        rank: int,
        level: bool = False,
    ) -> None:
        self.conf, self.preparer, self.fold = conf, preparer, fold
        self.processes, self.rank, self.level = processes, rank, level
        self._alignments = proteins.alignments if preparer.reads_homologs else None
        self.training = self.rows(proteins.training, conf.training.msa_sampling)
        self.validation = self.rows(proteins.validation, conf.training.validation_context)

    def rows(self, proteins: Proteins, sampling: ContextSettings) -> ResidueRows:
        """Rows of proteins; `sampling` says how their contexts are drawn."""
        spec = row_spec(self.preparer, **sampling.model_dump(), overlap=CHUNK_OVERLAP)
        return ResidueRows(proteins, spec=spec, alignments=self._alignments, seed=self.conf.training.seed)

    @property
    def proteins_per_step(self) -> int:
        """Proteins of an optimiser step, over all processes."""
        training = self.conf.training
        return training.batch_size * training.accum_steps * self.processes

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps of an epoch."""
        return -(-len(self.training) // self.proteins_per_step)

    def steps(self, epoch: int) -> Steps:
        """The steps of an epoch, for all processes."""
        training = self.conf.training
        return training_steps(
            [self.training.cost((row, epoch)) for row in range(len(self.training))],
            proteins_per_step=self.proteins_per_step,
            processes=self.processes,
            batch_size=training.batch_size,
            max_tokens=training.max_batch_tokens,
            key=(training.seed, "epoch", epoch, self.fold),
        )

    def own(self, step: list[list[list[int]]]) -> list[list[int]]:
        """The batches of this process; it learns only from the first `counted` of them."""
        most = max(map(len, step)) if self.level else 1
        return step[self.rank] + [[step[0][0][0]]] * (most - self.counted(step))

    def counted(self, step: list[list[list[int]]]) -> int:
        """Number of batches that this process learns from."""
        return len(step[self.rank])

    def training_loader(self, steps: Steps, epoch: int, *, start: int = 0) -> DataLoader[Any]:
        """This process's batches of an epoch, beginning with step `start`."""
        batches = [[(row, epoch) for row in batch] for step in steps[start:] for batch in self.own(step)]
        return self._loader(self.training, batches, self._collator(masking=True))

    def evaluation_loader(self, rows: ResidueRows, *, masking: bool = False) -> DataLoader[Any]:
        """This process's share of all chunks of all proteins; `evaluation_rounds` says how many batches count."""
        batches = self._evaluation_batches(rows)
        share = batches[self.rank :: self.processes]
        rounds, counted = self.evaluation_rounds(rows)
        if self.level:
            share = share + batches[:1] * (rounds - counted)
        return self._loader(rows, share, self._collator(masking=masking))

    def evaluation_rounds(self, rows: ResidueRows) -> tuple[int, int]:
        """Number of batches of the process with the most batches, and of this process."""
        batches = len(self._evaluation_batches(rows))
        return -(-batches // self.processes), len(range(self.rank, batches, self.processes))

    def _evaluation_batches(self, rows: ResidueRows) -> list[list[tuple[int, int]]]:
        indices = rows.fixed()
        budget = self.conf.training.max_batch_tokens or EVALUATION_TOKENS
        costs = [rows.cost(index) for index in indices]
        return [[indices[number] for number in batch] for batch in budgeted(costs, max_tokens=budget)]

    def _collator(self, *, masking: bool) -> ResidueCollator:
        training = self.conf.training
        if masking and training.mlm_weight:
            replacement = Replacement(mask=MASKED_SHARE, random=RANDOM_SHARE)
            return JointCollator(self.preparer, mlm_probability=training.mlm_probability, replacement=replacement)
        return ResidueCollator(self.preparer)

    def _loader(
        self, rows: ResidueRows, batches: Sequence[Sequence[tuple[int, int]]], collator: ResidueCollator
    ) -> DataLoader[Any]:
        return DataLoader(
            rows,
            batch_sampler=FixedBatches(batches),
            **reading(min(self.conf.training.num_workers, len(batches)), collator, setting="training.num_workers=0"),
            generator=torch.Generator(),  # the seeds of workers come from it, so torch's random state does not change
        )
