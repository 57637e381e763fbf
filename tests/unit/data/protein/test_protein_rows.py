"""Rows: stretches that cover a protein, and contexts that keep to their limits."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.context_specs import context_spec

from bindtune import E1BatchPreparer
from bindtune.data.chunks import Chunk, chunks
from bindtune.data.protein.alignments import Alignments
from bindtune.data.protein.protein_rows import FixedBatches, ResidueRows, RowSpec
from bindtune.data.protein.proteins import Proteins
from bindtune.io.a3m import read_a3m, residues

LETTERS = "ACDEFGHIKLMNPQRSTVWY"
FRAME = E1BatchPreparer.frame


def protein(length: int, seed: int) -> str:
    return "".join(np.random.default_rng(seed).choice(list(LETTERS), length))


LENGTHS = {"short": 30, "long": 200, "medium": 60, "alone": 45}
SEQUENCES = {name: protein(length, number) for number, (name, length) in enumerate(LENGTHS.items())}


def proteins(names: list[str]) -> Proteins:
    """Labels of two ions: the first counts the residues modulo two, the second is unknown."""
    labels = []
    for name in names:
        made = np.full((LENGTHS[name], 2), -1, np.int8)
        made[:, 0] = np.arange(LENGTHS[name]) % 2
        labels.append(made)
    return Proteins(tuple(names), tuple(SEQUENCES[name] for name in names), ("ZN", "CA"), tuple(labels))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Alignments of all but one protein: 30 homologs, from nearly equal to unlike, some with insertions and gaps."""
    made = tmp_path_factory.mktemp("alignments")
    for number, name in enumerate(["short", "long", "medium"]):
        generator = np.random.default_rng(100 + number)
        lines = [">query", SEQUENCES[name]]
        for homolog in range(30):
            row = list(SEQUENCES[name])
            for index in generator.permutation(len(row))[: len(row) * homolog // 30]:
                row[index] = generator.choice([*LETTERS, "-", "acd" + row[index]])
            lines += [f">h{homolog}", "".join(row)]
        (made / f"{name}.a3m").write_text("\n".join(lines) + "\n")
    return made


@pytest.fixture(scope="module")
def alignments(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Alignments:
    alignments = Alignments(
        {path.stem: path for path in folder.glob("*.a3m")},
        cache_dir=tmp_path_factory.mktemp("cache"),
        neighbor_similarity_lower_bounds=[0.8],
    )
    alignments.prepare(SEQUENCES)
    return alignments


def spec(**changes: Any) -> RowSpec:
    context = context_spec(max_num_samples=6, max_query_similarity=0.9, min_query_similarity=0.3)
    given_ = {"max_residues": 80, "max_tokens": 300, "frame": FRAME, "context": context, "overlap": 20}
    return RowSpec(**{**given_, **changes})


def rows(names: list[str], alignments: Alignments | None, *, seed: int = 1, **changes: Any) -> ResidueRows:
    return ResidueRows(proteins(names), spec=spec(**changes), alignments=alignments, seed=seed)


@settings(max_examples=500, deadline=None)
@given(length=st.integers(1, 3000), size=st.integers(1, 400), overlap=st.integers(0, 500))
@example(length=3, size=1, overlap=0)
@example(length=5, size=2, overlap=1)
@example(length=81, size=80, overlap=79)
@example(length=100, size=80, overlap=0)
def test_chunks_cover_every_residue_once(length: int, size: int, overlap: int) -> None:
    chunk_list = chunks(length, size=size, overlap=overlap)
    positions = [positions for chunk in chunk_list for positions in range(chunk.first, chunk.last)]
    assert positions == list(range(length))
    for chunk in chunk_list:
        assert 0 <= chunk.start <= chunk.first < chunk.last <= chunk.end <= length
        assert chunk.end - chunk.start == min(size, length)
    for left, right in itertools.pairwise(chunk_list):
        shared = left.end - right.start
        assert shared >= min(overlap, size // 2)
        # Neighbours meet halfway in what they share.
        assert left.last == right.first
        assert abs((left.last - right.start) - (left.end - left.last)) <= 1


def test_chunks_worked_out_by_hand() -> None:
    assert chunks(10, size=10, overlap=4) == [Chunk(0, 10, 0, 10)]
    assert chunks(16, size=10, overlap=4) == [Chunk(0, 10, 0, 8), Chunk(6, 16, 8, 16)]


def test_validation_rows_are_the_chunks_with_their_labels() -> None:
    protein_rows = rows(["long", "short"], None)
    indices = protein_rows.fixed()
    parts = chunks(200, size=80, overlap=20)
    assert indices == [(0, 0), (0, -1), (0, -2), (1, 0)]
    assert len(parts) == 3
    for index, part in zip(indices, parts, strict=False):
        row = protein_rows[index]
        assert (row.name, row.chunk, row.sequences) == ("long", part, [SEQUENCES["long"][part.start : part.end]])
        assert (row.labels[:, 0] == np.arange(part.start, part.end) % 2).all()
        assert (row.labels[:, 1] == -1).all()
    assert protein_rows[1, 0].chunk == Chunk(0, 30, 0, 30)
    assert len({protein_rows[index].key for index in indices}) == 4
    assert (len(protein_rows), protein_rows.cropped()) == (2, 1)


def test_the_training_stretch_is_a_function_of_seed_epoch_and_name() -> None:
    protein_rows, other = rows(["long", "short"], None), rows(["short", "alone", "long"], None)
    starts = []
    for epoch in range(1, 60):
        row = protein_rows[0, epoch]
        assert row.chunk.end - row.chunk.start == 80
        assert (row.chunk.first, row.chunk.last) == (row.chunk.start, row.chunk.end)
        assert row.sequences == [SEQUENCES["long"][row.chunk.start : row.chunk.end]]
        assert (row.labels[:, 0] == np.arange(row.chunk.start, row.chunk.end) % 2).all()
        assert row.chunk == other[2, epoch].chunk
        assert row.key == other[2, epoch].key
        starts.append(row.chunk.start)
    assert len(set(starts)) > 30
    assert min(starts) < 15
    assert max(starts) > 105
    assert [rows(["long"], None, seed=2)[0, epoch].chunk.start for epoch in range(1, 60)] != starts
    assert protein_rows[1, 5].chunk == Chunk(0, 30, 0, 30)


def test_contexts_keep_to_their_limits(folder: Path, alignments: Alignments) -> None:
    protein_rows = rows(list(LENGTHS), alignments)
    preparer = E1BatchPreparer()
    used = 0
    for number, name in enumerate(LENGTHS):
        allowed, total = set[str](), 0
        if name in alignments:
            records = list(read_a3m(folder / f"{name}.a3m"))
            query = records[0].sequence
            for record in records:
                aligned = bytes(letter for letter in record.sequence if not 97 <= letter <= 122)
                similarity = np.mean([a == b for a, b in zip(aligned, query, strict=True)])
                total += 1
                if 0.3 <= np.float32(similarity) <= np.float32(0.9):
                    allowed.add(residues(record).decode())
            assert 0 < len(allowed) < total
        for index in [(number, epoch) for epoch in range(1, 25)] + [i for i in protein_rows.fixed() if i[0] == number]:
            row = protein_rows[index]
            *context, query_text = row.sequences
            assert query_text == SEQUENCES[name][row.chunk.start : row.chunk.end]
            assert set(context) <= allowed
            assert len(context) == len(set(context)) <= 6
            tokens = int((preparer.get_batch_kwargs([row.sequences])["sequence_ids"] >= 0).sum())
            assert tokens == sum(len(part) + FRAME for part in (*context, query_text))
            assert tokens <= 300
            assert tokens <= protein_rows.cost(index)
            used += len(context)
    assert used > 100


def test_contexts_do_not_depend_on_place_or_company(alignments: Alignments) -> None:
    whole, part = rows(list(LENGTHS), alignments), rows(["medium", "alone", "long"], alignments)
    for name in ("medium", "alone", "long"):
        position, other = whole.proteins.index(name), part.proteins.index(name)
        for epoch in (1, 2, 0):
            assert whole[position, epoch].sequences == part[other, epoch].sequences
            assert whole[position, epoch].key == part[other, epoch].key


def test_contexts_are_new_in_each_epoch_and_fixed_in_validation(alignments: Alignments) -> None:
    protein_rows = rows(["medium", "alone"], alignments)
    drawn = [protein_rows[0, epoch].sequences for epoch in range(11)]
    assert len({tuple(sequences) for sequences in drawn[1:]}) == 10
    assert drawn[0] == rows(["alone", "medium"], alignments)[1, 0].sequences
    assert drawn[0] != rows(["medium"], alignments, seed=2)[0, 0].sequences
    assert drawn[0] not in drawn[1:]
    assert all(protein_rows[1, epoch].sequences == [SEQUENCES["alone"]] for epoch in range(11))


@settings(max_examples=40, deadline=None)
@given(max_tokens=st.integers(1, 600), samples=st.integers(0, 40), size=st.integers(5, 250), epoch=st.integers(1, 99))
def test_cost_is_an_upper_bound(alignments: Alignments, max_tokens: int, samples: int, size: int, epoch: int) -> None:
    protein_rows = rows(
        ["short", "long", "alone"],
        alignments,
        max_tokens=max_tokens,
        max_residues=size,
        context=context_spec(max_num_samples=samples),
    )
    for index in [*((position, epoch) for position in range(3)), *protein_rows.fixed()]:
        row = protein_rows[index]
        parts = row.sequences
        tokens = sum(len(part) + FRAME for part in parts)
        assert tokens <= protein_rows.cost(index)
        assert len(parts) == 1 or tokens <= max_tokens
        assert protein_rows.cost(index) <= max(max_tokens, len(parts[-1]) + FRAME)
        assert len(parts) <= samples + 1


def test_batches_come_in_the_order_given() -> None:
    batches = FixedBatches([[(0, 1)], [(2, 1), (1, 1)]])
    assert len(batches) == 2
    assert list(batches) == list(batches) == [[(0, 1)], [(2, 1), (1, 1)]]
