"""Reading, weighing and drawing homologs, against the golden alignment."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.context_specs import context_spec

from bindtune import sample_context
from bindtune.data.protein.contexts import draw_context, read_homologs
from bindtune.io.a3m import match_columns, read_a3m, residues


@pytest.fixture(scope="module")
def alignment(shared: Path) -> Path:
    return shared / "golden/e1/sample.a3m"


@pytest.fixture(scope="module")
def golden(shared: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((shared / "golden/e1/msa_golden.json").read_text())
    return content


def test_records(alignment: Path, golden: dict[str, Any]) -> None:
    records = list(read_a3m(alignment))
    entries = [{"id": record.name, "sequence": record.sequence.decode().replace(".", "-")} for record in records]
    assert entries == golden["parsed"]
    columns = [match_columns(record, query=records[0].sequence, path=alignment).decode() for record in records]
    assert columns == golden["aligned_without_insertions"]
    assert [residues(record).decode() for record in records] == golden["ungapped_context_strings"]


@pytest.mark.parametrize("bound", ["0.5", "0.8", "0.9", "1.0"])
def test_neighbours_and_similarity(bound: str, alignment: Path, golden: dict[str, Any]) -> None:
    homologs = read_homologs(alignment, neighbor_similarity_lower_bound=float(bound))
    assert homologs.neighbours.tolist() == golden["num_neighbors"][bound]
    assert (1 / homologs.neighbours).tolist() == golden["sampling_weights"][bound]
    assert homologs.similarity.dtype == np.float32
    assert homologs.similarity.tolist() == golden["similarity_to_query"]


def test_draws(alignment: Path, golden: dict[str, Any]) -> None:
    for expected in golden["samples"]:
        context, names = sample_context(alignment, **expected["spec"])
        # What the reference refuses with an error is no context here.
        assert context == expected["corrected"].get("context", ""), expected["spec"]
        assert names == expected["corrected"].get("ids", []), expected["spec"]


def test_filter(alignment: Path, golden: dict[str, Any]) -> None:
    homologs = read_homologs(alignment, neighbor_similarity_lower_bound=0.8)
    for expected in golden["filters"]:
        limits = {key: expected[key] for key in ("min_query_similarity", "max_query_similarity")}
        drawn = draw_context(homologs, context_spec(**limits))
        assert sorted(drawn.names) == sorted(homologs.names[index] for index in expected["kept_indices"])
        assert bool(drawn.reason) == (not expected["kept_indices"])


def test_every_real_alignment_can_be_read(shared: Path) -> None:
    files = sorted((shared / "data/msa").rglob("*.a3m"))
    assert len(files) == 32
    for file in files:
        homologs = read_homologs(file, neighbor_similarity_lower_bound=0.8)
        assert len(homologs.names) == file.read_bytes().count(b">")
        assert homologs.similarity[0] == 1.0
        assert (homologs.neighbours >= 1).all()


def test_the_query_is_kept_out_of_its_own_context(shared: Path) -> None:
    file = shared / "data/msa/metal_test_sample/6jdo_A.a3m"
    homologs = read_homologs(file, neighbor_similarity_lower_bound=0.8)
    query = homologs.residues(0)
    assert draw_context(homologs, context_spec()).sequences.count(query) == 2  # itself and its own hit
    alone = draw_context(homologs, context_spec(exclude_query=True)).sequences
    assert query not in alone
    assert len(alone) == len(homologs.names) - 2
