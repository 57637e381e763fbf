"""Alignments of proteins: checked once, cached, and read again where the cache is damaged."""

import pickle
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tests.context_specs import context_spec

from bindtune.data.protein.alignments import AlignmentCounts, Alignments
from bindtune.data.protein.contexts import Context, read_entry, read_homologs
from bindtune.errors import InputError

QUERY = "MKTAYIAKQR"
TEXT = f">query\n{QUERY}\n>a\nMKTAY-AKQK\n>b\nMKSAYIaaAKQR\n>c\nWWWWWWWWWW\n"
SPEC = context_spec(max_num_samples=2, max_query_similarity=0.95, seed=3)


def made(
    folder: Path, text: str = TEXT, *, name: str = "P1", bounds: Sequence[float] = (0.8,), held_bytes: int = 0
) -> Alignments:
    """Of one protein; every draw reads the folder unless memory is given."""
    path = folder / f"{name}.a3m"
    path.write_text(text)
    return Alignments(
        {name: path}, cache_dir=folder / "cache", neighbor_similarity_lower_bounds=bounds, held_bytes=held_bytes
    )


def entries(folder: Path) -> list[Path]:
    return sorted((folder / "cache").glob("*.safetensors"))


def test_what_is_prepared_is_drawn_from(tmp_path: Path) -> None:
    alignments = made(tmp_path)
    assert "P1" in alignments
    assert "P2" not in alignments
    alignments.prepare({"P1": QUERY, "P2": "MK"})
    assert alignments.residues == {"P1": 10 + 9 + 12 + 10}
    drawn = alignments.draw("P1", SPEC)
    assert drawn == alignments.draw("P1", SPEC)
    assert set(drawn.names) <= {"a", "b", "c"}
    assert len(drawn.names) == 2
    texts = {"a": "MKTAYAKQK", "b": "MKSAYIAAAKQR", "c": "W" * 10}
    assert drawn.sequences == [texts[name] for name in drawn.names]
    assert alignments.draw("P2", SPEC) == Context([], [], "there is no alignment")


def test_an_alignment_of_another_protein_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"P1\.a3m: the first row is not 'P1'"):
        made(tmp_path).prepare({"P1": QUERY[:-1] + "K"})


@pytest.mark.parametrize(
    ("protein", "row"),
    [
        ("MUTOYIBKQZ", "MXTXYIDKQE"),
        ("MUTXYIJKQR", "M-T-YILKQR"),
        ("XMTAYIXKQX", "-MTAYI-KQ-"),
        ("MUTAYIBKQR", "MUTAYIDKQR"),
    ],
)
def test_letters_that_mmseqs2_rewrites_are_the_protein_s(tmp_path: Path, protein: str, row: str) -> None:
    alignments = made(tmp_path, f">query\n{row}\n>a\nMKTAY-AKQK\n>b\nMKSAYIaaAKQR\n")
    alignments.prepare({"P1": protein})
    everything = context_spec(seed=3)
    for _ in range(2):  # the second time without the cache
        drawn = alignments.draw("P1", everything)
        assert dict(zip(drawn.names, drawn.sequences, strict=True)) == {
            "query": protein, "a": "MKTAYAKQK", "b": "MKSAYIAAAKQR",
        }  # fmt: skip
        for entry in entries(tmp_path):
            entry.unlink()


@pytest.mark.parametrize(
    ("protein", "row", "problem"),
    [
        ("MKTAYIAKQR", "MKTAYIDKQR", "at position 7 the row has D and the protein A; they have 10 and 10 letters"),
        ("MKTAYIDKQR", "MKTAYIBKQR", "at position 7 the row has B and the protein D; they"),  # not the other way round
        ("MKTAYIXKQR", "MKTAYIAKQR", "at position 7 the row has A and the protein X; they"),
        ("MKTAYIAKQR", "MKTAYI-KQR", "at position 7 the row has - and the protein A; they"),
        ("MUTAYIAKQR", "MXTAYIAKQ", "at position 10 the row has its end and the protein R; they have 9 and 10"),
        ("MUTAYIAKQ", "MXTAYIAKQR", "at position 10 the row has R and the protein its end; they have 10 and 9"),
        ("MKTA", "M", "at position 2 the row has its end and the protein K; they have 1 and 4 letters"),
    ],
)
def test_any_other_difference_is_refused_with_its_place(tmp_path: Path, protein: str, row: str, problem: str) -> None:
    with pytest.raises(InputError, match=f"P1.a3m: the first row is not 'P1', for which the alignment is: {problem}"):
        made(tmp_path, f">query\n{row}\n").prepare({"P1": protein})


def test_one_that_is_not_asked_for_is_not_read(tmp_path: Path) -> None:
    alignments = made(tmp_path, "no alignment at all")
    alignments.prepare({"P2": QUERY})
    assert alignments.draw("P1", SPEC).sequences == []
    with pytest.raises(InputError, match="P1"):
        alignments.prepare({"P1": QUERY})


def test_progress_sees_every_name_and_a_second_time_reads_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alignments = made(tmp_path)
    seen: list[str] = []
    alignments.prepare({"P1": QUERY}, progress=lambda names: (seen.append(name) or name for name in names))
    assert seen == ["P1"]
    assert len(entries(tmp_path)) == 1
    expected = alignments.draw("P1", SPEC)
    monkeypatch.setattr("bindtune.data.protein.contexts._read", lambda *_: pytest.fail("was read again"))
    again = made(tmp_path)
    again.prepare({"P1": QUERY})
    assert again.draw("P1", SPEC) == expected


def test_what_a_kill_left_half_written_in_the_cache_is_removed(tmp_path: Path) -> None:
    alignments = made(tmp_path)
    alignments.prepare({"P1": QUERY})
    (entry,) = entries(tmp_path)
    stray = entry.with_name(f".{entry.name}.1f67daf7.part")
    stray.touch()
    made(tmp_path).prepare({"P1": QUERY})
    assert not stray.exists() and entry.exists()


def test_a_draw_counts_neighbours_by_its_own_bound(tmp_path: Path) -> None:
    alike = "".join(f">a{number}\nMKTAYIAK{letters}\n" for number, letters in enumerate(("QK", "KR", "QH", "HR")))
    alignments = made(tmp_path, f">query\n{QUERY}\n{alike}>other\nWWWWWWWWWW\n", bounds=[0.7, 1.0])
    alignments.prepare({"P1": QUERY})
    assert len(entries(tmp_path)) == 2
    for bound, expected in ((0.7, 5 / 9), (1.0, 1 / 5)):  # four rows of weight 1/5 and one of 1, or five of 1
        specs = [
            context_spec(max_num_samples=1, max_query_similarity=0.95, neighbor_similarity_lower_bound=bound, seed=seed)
            for seed in range(1000)
        ]
        drawn = [alignments.draw("P1", spec).names for spec in specs]
        assert drawn.count(["other"]) / 1000 == pytest.approx(expected, abs=0.06)
    with pytest.raises(KeyError, match=r"0\.9"):
        alignments.draw("P1", context_spec(neighbor_similarity_lower_bound=0.9))


@pytest.mark.parametrize(
    "damage",
    [
        "missing",
        "truncated",
        "empty",
        "other",
        "partial",
        "bytes",
        "names",
        "text",
        "bounds",
        "neighbours",
        "kind",
        "left",
    ],
)
def test_a_missing_or_damaged_cache_entry_is_read_again(tmp_path: Path, damage: str) -> None:
    alignments = made(tmp_path)
    alignments.prepare({"P1": QUERY})
    expected = alignments.draw("P1", SPEC)
    (entry,) = entries(tmp_path)
    whole = entry.read_bytes()
    if damage == "missing":
        entry.unlink()
    elif damage == "other":
        save_file({"something": np.zeros(3)}, entry)
    elif damage == "partial":
        save_file({"names": np.frombuffer(b"query", np.uint8)}, entry)
    elif damage in ("names", "text", "bounds", "neighbours", "kind", "left"):
        parts = load_file(entry)
        parts |= {
            "names": {"names": np.frombuffer(b"query\xff\na\nb\nc", np.uint8)},
            "text": {"text": parts["text"][:-3]},
            "bounds": {"bounds": parts["bounds"][[0, 2, 1, 3, 4]]},
            "neighbours": {"neighbours": parts["neighbours"] * 0},
            "kind": {"similarity": parts["similarity"].astype(np.float64)},
            "left": {"left_out": parts["left_out"] + 1},
        }[damage]
        save_file(parts, entry)
    else:
        entry.write_bytes({"truncated": whole[:-5], "empty": b"", "bytes": b"\xff" * 400}[damage])
    assert alignments.draw("P1", SPEC) == expected
    assert entry.read_bytes() == whole
    entry.write_bytes(whole[:-5])
    again = made(tmp_path)
    again.prepare({"P1": QUERY})
    assert again.draw("P1", SPEC) == expected
    assert entry.read_bytes() == whole


def test_any_flipped_byte_of_a_cache_entry_is_said_and_written_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    alignments = made(tmp_path)
    alignments.prepare({"P1": QUERY})
    (entry,) = entries(tmp_path)
    whole = entry.read_bytes()
    for index in range(len(whole)):
        entry.write_bytes(whole[:index] + bytes([whole[index] ^ 4]) + whole[index + 1 :])
        held = read_entry(entry)
        # A flipped byte of the header's white space changes nothing that is read.
        assert held is None or (held.names, held.text.tobytes()) == (("query", "a", "b", "c"), b"".join(
            (QUERY.encode(), b"MKTAYAKQK", b"MKSAYIAAAKQR", b"WWWWWWWWWW"))), index  # fmt: skip
    entry.write_bytes(whole.replace(b"query\na\nb\nc", b"query\nA\nb\nc"))
    again = made(tmp_path)
    again.prepare({"P1": QUERY})
    assert entry.read_bytes() == whole
    assert [f"{entry} is damaged and is written anew"] == caplog.messages


def test_an_alignment_that_changed_since_is_not_drawn_from(tmp_path: Path) -> None:
    alignments = made(tmp_path)
    alignments.prepare({"P1": QUERY})
    before = alignments.digest()
    (tmp_path / "P1.a3m").write_text(TEXT.replace("WWWWW", "WWWWY"))
    assert "c" in alignments.draw("P1", context_spec()).names  # what was read is kept
    for entry in entries(tmp_path):
        entry.unlink()
    with pytest.raises(InputError, match=r"P1\.a3m: has changed since it was first read"):
        alignments.draw("P1", SPEC)
    alignments.prepare({"P1": QUERY})
    assert alignments.digest() != before


def test_counts_and_rows_of_other_queries_come_from_the_cache_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = f">ss_pred\nHHHHHHHHHH\n>P1_consensus\nMKTAYIAKQK\n{TEXT}\0>z\nMKTAWIAKQR\n>y\nMKTAW-AKQR\n"
    counts = AlignmentCounts(1, 1, 0, annotation_rows=1, consensus_rows=1, other_query_rows=2)
    for _ in range(2):
        caplog.clear()
        alignments = made(tmp_path, text)
        alignments.prepare({"P1": QUERY})
        assert alignments.count("P1", SPEC) == counts
        assert sorted(alignments.draw("P1", context_spec(exclude_query=True)).names) == ["a", "b", "c"]
        assert caplog.messages == [
            f"{tmp_path / 'P1.a3m'}: 2 rows stand after a NUL byte below another query; they are left out"
        ]
    assert str(counts + alignments.count("P2", SPEC)) == (
        "1 of 2 proteins have an alignment, 0 give no homolog; rows left out: 1 annotate, 1 are a consensus, "
        "2 stand below another query"
    )
    assert alignments.count("P1", replace(SPEC, min_query_similarity=0.94)).without_homolog == 1
    estimated = AlignmentCounts(proteins=3, with_alignment=3, estimated=2)
    assert str(estimated).endswith("; near neighbours are estimated in 2 with more than 20,000 rows")


def several(folder: Path, number: int, held_bytes: int) -> Alignments:
    paths = {f"P{index}": folder / f"P{index}.a3m" for index in range(number)}
    for index, path in enumerate(paths.values()):
        path.write_text(TEXT.replace("WWWWWWWWWW", "W" * 9 + "ACDEFGHIKL"[index]))
    alignments = Alignments(
        paths, cache_dir=folder / "cache", neighbor_similarity_lower_bounds=[0.8], held_bytes=held_bytes
    )
    alignments.prepare(dict.fromkeys(paths, QUERY))
    return alignments


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Every entry that a draw reads from the folder."""
    entries: list[Path] = []
    monkeypatch.setattr(
        "bindtune.data.protein.alignments.read_entry", lambda entry: (entries.append(entry), read_entry(entry))[1]
    )
    return entries


def test_draws_of_one_protein_read_the_folder_once(tmp_path: Path, reads: list[Path]) -> None:
    in_memory, on_disk = several(tmp_path, 2, held_bytes=2**20), several(tmp_path, 2, held_bytes=0)
    seeds = [replace(SPEC, seed=seed) for seed in range(20)]
    drawn = [in_memory.draw(name, spec) for spec in seeds for name in ("P0", "P1")]
    assert len(reads) == 2
    assert drawn == [on_disk.draw(name, spec) for spec in seeds for name in ("P0", "P1")]
    assert len(reads) == 2 + 40


def test_memory_holds_what_was_drawn_from_last(tmp_path: Path, reads: list[Path]) -> None:
    one = read_homologs(several(tmp_path, 1, held_bytes=0)._paths["P0"], neighbor_similarity_lower_bound=0.8)
    alignments = several(tmp_path, 3, held_bytes=2 * one.held_bytes)
    for name, count in (("P0", 1), ("P1", 2), ("P0", 2), ("P2", 3), ("P0", 3), ("P1", 4), ("P2", 5), ("P1", 5)):
        alignments.draw(name, SPEC)
        assert len(reads) == count, name


def test_an_alignment_larger_than_the_memory_is_read_for_each_draw(tmp_path: Path, reads: list[Path]) -> None:
    one = read_homologs(several(tmp_path, 1, held_bytes=0)._paths["P0"], neighbor_similarity_lower_bound=0.8)
    alignments = several(tmp_path, 1, held_bytes=one.held_bytes - 1)
    assert [alignments.draw("P0", SPEC).names for _ in range(3)] == [alignments.draw("P0", SPEC).names] * 3
    assert len(reads) == 4


def test_an_alignment_that_is_prepared_again_is_read_again(tmp_path: Path) -> None:
    alignments = made(tmp_path, held_bytes=2**20)
    alignments.prepare({"P1": QUERY})
    assert "new" not in alignments.draw("P1", context_spec()).names
    (tmp_path / "P1.a3m").write_text(TEXT + ">new\nMKTAYIWWWW\n")
    alignments.prepare({"P1": QUERY})
    assert "new" in alignments.draw("P1", context_spec()).names


def test_a_worker_gets_no_alignment_from_the_memory_of_another_process(tmp_path: Path, reads: list[Path]) -> None:
    alignments = made(tmp_path, held_bytes=2**20)
    alignments.prepare({"P1": QUERY})
    drawn = alignments.draw("P1", SPEC)
    copy = pickle.loads(pickle.dumps(alignments))  # noqa: S301 - our own
    assert [copy.draw("P1", SPEC), copy.draw("P1", SPEC)] == [drawn, drawn]
    assert len(reads) == 2
