"""Rows of a fold: training and validation draw contexts by the neighbours of their own settings."""

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bindtune import E1BatchPreparer
from bindtune.config import BindingConfig, build
from bindtune.data.protein.alignments import Alignments
from bindtune.data.protein.protein_rows import ResidueRows
from bindtune.training.binding.batches import FoldBatches
from bindtune.training.binding.inputs import read_fold

LETTERS = "ACDEFGHIKLMNPQRSTVWY"
COUNT = 8


@pytest.fixture
def values(tmp_path: Path) -> dict[str, Any]:
    """Settings of a run on proteins that have 12 homologs like each other and four like nothing."""
    drawn, labelled = random.Random(1), []
    (tmp_path / "msa").mkdir()
    for number in range(COUNT):
        sequence = "".join(drawn.choices(LETTERS, k=40))
        labelled.append(f">p{number}\n{sequence}\n{'0' * 39}1\n")
        near = [sequence[:position] + "WW" + sequence[position + 2 :] for position in range(0, 36, 3)]
        far = ["".join(drawn.choices(LETTERS, k=40)) for _ in range(4)]
        rows = "".join(f">h{number}\n{row}\n" for number, row in enumerate(near + far))
        (tmp_path / f"msa/p{number}.a3m").write_text(f">p{number}\n{sequence}\n{rows}")
    (tmp_path / "ZN.fa").write_text("".join(labelled))
    sampling = {"max_num_samples": 3, "max_query_similarity": 0.99}
    return {
        "data": {"fasta_path": str(tmp_path / "{ION}.fa"), "msa_dir": str(tmp_path / "msa")},
        "training": {
            "ions": ["ZN"], "num_folds": 2, "output_dir": str(tmp_path / "run"),
            "msa_sampling": {**sampling, "neighbor_similarity_lower_bound": 1.0},
            "validation_msa_sampling": {**sampling, "neighbor_similarity_lower_bound": 0.5},
        },
    }  # fmt: skip


def texts(rows: ResidueRows, *, epoch: int) -> list[str]:
    return [rows[position, epoch].sequences for position in range(len(rows))]


def read_with(rows: ResidueRows, bound: float, folder: Path) -> ResidueRows:
    """The same rows, from alignments that were read with one bound alone."""
    names = rows.proteins.names
    alignments = Alignments(
        {name: folder / f"msa/{name}.a3m" for name in names},
        cache_dir=folder / f"cache-{bound}",
        neighbor_similarity_lower_bounds=[bound],
    )
    alignments.prepare(dict(zip(names, rows.proteins.sequences, strict=True)))
    context = replace(rows.spec.context, neighbor_similarity_lower_bound=bound)
    return ResidueRows(rows.proteins, spec=replace(rows.spec, context=context), alignments=alignments, seed=rows.seed)


def test_validation_draws_by_its_own_neighbours(values: dict[str, Any], tmp_path: Path) -> None:
    config = build(BindingConfig, values)
    batches = FoldBatches(config, read_fold(config, 1), E1BatchPreparer(), fold=1, processes=1, rank=0)
    for rows, epoch, bound, other in ((batches.training, 1, 1.0, 0.5), (batches.validation, 0, 0.5, 1.0)):
        assert texts(rows, epoch=epoch) == texts(read_with(rows, bound, tmp_path), epoch=epoch)
        assert texts(rows, epoch=epoch) != texts(read_with(rows, other, tmp_path), epoch=epoch)


@pytest.mark.parametrize(("validation", "times"), [(1.0, 1), (0.5, 2)])
def test_alignments_are_read_once_for_each_bound(
    values: dict[str, Any], tmp_path: Path, validation: float, times: int
) -> None:
    values["training"]["validation_msa_sampling"]["neighbor_similarity_lower_bound"] = validation
    read_fold(build(BindingConfig, values), 1)
    assert len(list((tmp_path / "run/alignments").iterdir())) == COUNT * times


@pytest.mark.usefixtures("not_forked")
def test_workers_that_are_not_forked_read_the_same(values: dict[str, Any]) -> None:
    read = []
    for workers in (1, 0):
        values["training"] |= {"num_workers": workers, "mlm_weight": 0.2}
        config = build(BindingConfig, values)
        batches = FoldBatches(config, read_fold(config, 1), E1BatchPreparer(), fold=1, processes=1, rank=0)
        steps = batches.steps(1)[:1]
        read.append([*batches.training_loader(steps, 1), *batches.evaluation_loader(batches.validation, masking=True)])
    assert len(read[0]) == len(read[1]) > 1
    for first, second in zip(*read, strict=True):
        assert first.keys() == second.keys() >= {"input_ids", "labels", "mlm_labels"}
        assert all(torch.equal(first[name], second[name]) for name in ("input_ids", "labels", "mlm_labels"))
