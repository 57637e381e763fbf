"""`bindtune align`: what MMseqs2 finds, as files that the readers take, whatever ids and letters proteins have."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.context_specs import context_spec

from bindtune.data.protein.alignments import Alignments
from bindtune.data.protein.input_files import alignment_files
from bindtune.errors import ConfigError
from bindtune.io.a3m import match_columns, read_a3m, residues
from bindtune.preparation import align as module

Run = Callable[..., int]
LETTERS = "ACDEFGHIKLMNPQRSTVWY"
ODD = {10: "U", 20: "O", 30: "X", 40: "B", 50: "Z", 60: "J"}


def table(path: Path) -> list[dict[str, str]]:
    head, *rows = (line.split("\t") for line in path.read_text(encoding="utf-8").splitlines())
    return [dict(zip(head, row, strict=True)) for row in rows]


def family(seed: int, *, length: int = 120, homologs: int = 5) -> tuple[str, list[str]]:
    drawn = random.Random(seed)
    whole = "".join(drawn.choices(LETTERS, k=length))
    mutate = lambda: "".join(drawn.choice(LETTERS) if drawn.random() < 0.3 else one for one in whole)  # noqa: E731
    return whole, [mutate() for _ in range(homologs)]


@pytest.fixture
def proteins(tmp_path: Path) -> dict[str, str]:
    """Proteins with hard ids and letters, the last without homologs; their homologs are the database."""
    names = ["sp|P00918|CAH2_HUMAN", "a/b", "a%2Fb", "..", "ss_pred", "é=1" + "x" * 300]
    families = [family(seed) for seed in range(len(names))]
    sequences = {name: whole for name, (whole, _) in zip(names, families, strict=True)}
    sequences["a/b"] = "".join(ODD.get(position, letter) for position, letter in enumerate(sequences["a/b"]))
    sequences["alone"] = "MKTAYW"
    (tmp_path / "proteins.fa").write_text("".join(f">{n} of a family\n{s.lower()}\n" for n, s in sequences.items()))
    rows = [
        f">{'aa_' if index == 0 else ''}h{seed}_{index} what it is\n{row}\n"
        for seed, (_, homologs) in enumerate(families)
        for index, row in enumerate(homologs)
    ]
    (tmp_path / "database.fa").write_text("".join(rows))
    return sequences


def test_alignments_are_those_that_commands_read(
    run: Run, proteins: dict[str, str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    labelled = family(0)[1][1]  # the whole of a homolog of the first protein
    stretch = "MW" + family(2)[1][2] + "WM"
    (tmp_path / "ZN_train.fa").write_text(f">own\n{labelled}\n{'0' * len(labelled)}\n>ss_pred\nMK\n00\n")
    (tmp_path / "ZN_test.fa").write_text(f">longer\n{stretch}\n{'0' * len(stretch)}\n>h3_1\nMKT\n000\n")
    words = ["align", "--fasta", "proteins.fa", "--database", "database.fa", "--out", "out"]
    assert run(*words, "--labels", "ZN_train.fa", "--labels", "ZN_test.fa") == 0
    out = tmp_path / "out"
    paths, missing = alignment_files(out, looked_for=dict.fromkeys(proteins, ("ZN",)), groups={})
    assert not missing and {path.parent for path in paths.values()} == {out}
    assert paths["sp|P00918|CAH2_HUMAN"].name == "sp|P00918|CAH2_HUMAN.a3m" and paths["a/b"].name == "a%2Fb.a3m"
    for name, sequence in proteins.items():
        assert residues(next(read_a3m(paths[name]))).decode() == sequence
    alignments = Alignments(paths, cache_dir=tmp_path / "cache", neighbor_similarity_lower_bounds=[0.8])
    alignments.prepare(proteins)
    for seed, name in enumerate(list(proteins)[:-1]):
        names = {each.split()[0] for each in alignments.draw(name, context_spec()).names}
        assert names >= {f"_aa_h{seed}_0", *(f"h{seed}_{position}" for position in range(1, 5))}, name
    rows = {row["protein"]: row for row in table(out / "homologs.tsv")}
    assert [row["homologs"] for row in rows.values()] == ["5"] * 6 + ["0"]
    assert (rows["sp|P00918|CAH2_HUMAN"]["training"], rows["a%2Fb"]["held_out"]) == ("1", "1")
    homologs_of_labelled = {(row["protein"], row["labelled_protein"], row["role"], row["same"])
             for row in table(out / "labelled_homologs.tsv")}  # fmt: skip
    assert homologs_of_labelled == {
        ("sp|P00918|CAH2_HUMAN", "own", "training", "residues"),
        ("a%2Fb", "longer", "held_out", "residues"),
        ("..", "h3_1", "held_out", "name"),
    }
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["proteins"], summary["homologs"], summary["without_homolog"]) == (7, 30, 1)
    assert summary["labelled"] == {"training": 1, "held_out": 2}
    assert "7 proteins aligned, 7 of them now: out" in capfd.readouterr().out


def test_a_stopped_command_searches_what_is_missing(
    run: Run, proteins: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    real, searched = module._search, list[list[str]]()

    def stops(config: Any, database: Path, batch: Any) -> None:
        if len(searched) == 1:
            raise ConfigError("MMseqs2 failed")
        searched.append([protein.name for protein in batch])
        real(config, database, batch)

    monkeypatch.setattr(module, "_search", stops)
    words = [
        "align",
        "--fasta",
        "proteins.fa",
        "--database",
        "database.fa",
        "--out",
        "out",
        "--batch-proteins",
        4,
        "--iterations",
        1,
    ]
    assert run(*words) == 2
    assert len(list((tmp_path / "out").glob("*.a3m"))) == 4 and not (tmp_path / "out/homologs.tsv").exists()
    made = (tmp_path / "database.fa.mmseqs").stat().st_mtime_ns
    searched.clear()
    (tmp_path / "database.fa").rename(tmp_path / "moved.fa")
    moved = [word if word != "database.fa" else "moved.fa" for word in words]
    assert run(*moved, "--database-dir", "database.fa.mmseqs") == 0
    assert [name for batch in searched for name in batch] == list(proteins)[4:]
    assert (tmp_path / "database.fa.mmseqs").stat().st_mtime_ns == made  # a database is known by its content
    assert "(as it was)" in capfd.readouterr().out
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.endswith(".part")]
    # Other settings, another database and another sequence of a protein are no continuation.
    for change, message in (
        (["--evalue", 1], "evalue was 0.001 and is now 1.0; choose another --out"),
        (["--database", "proteins.fa"], "the database has another content"),
    ):
        assert run(*moved, "--database-dir", "database.fa.mmseqs", *change) == 2
        assert message in capfd.readouterr().err
    (tmp_path / "proteins.fa").write_text(">alone\nMKTAYWW\n")
    assert run(*moved, "--database-dir", "database.fa.mmseqs") == 2
    assert "alone.a3m:2: is the alignment of another sequence than 'alone' has now" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "database.fa: holds no sequence"),
        ("MKT\n>a\nMKT\n", "database.fa:1: expected '>' and a header, found 'MKT'"),
        (">a\nMKT\n>b\nMK7T\n", "database.fa:4: '7' at column 3, expected residues A-Z"),
        (">a\nACGTACGT\n>b\nacgtn\n", "database.fa: holds nucleotides alone, expected proteins"),
        ("<html><body>not found", "is a page of HTML or XML"),
    ],
)
def test_a_database_that_is_none(
    run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str], content: str, message: str
) -> None:
    (tmp_path / "proteins.fa").write_text(">a\nMKTAYW\n")
    (tmp_path / "database.fa").write_text(content)
    assert run("align", "--fasta", "proteins.fa", "--database", "database.fa", "--out", "out") == 2
    assert message in capfd.readouterr().err
    assert not list(tmp_path.glob("**/*.a3m")) and not list(tmp_path.glob("database.fa.mmseqs/*"))


def test_alignments_of_another_program_stay(run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "proteins.fa").write_text(">a\nMKTAYW\n")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a.a3m").write_text(">a\nMKTAYW\n>h\nMKTA-W\n")
    assert run("align", "--fasta", "proteins.fa", "--database", "proteins.fa", "--out", "out") == 2
    assert "out holds alignments of another program, such as a.a3m: choose another --out" in capfd.readouterr().err
    assert "MKTA-W" in (tmp_path / "out/a.a3m").read_text()


def test_rows_of_public_alignments_are_found_again(run: Run, shared: Path, tmp_path: Path) -> None:
    """The rows of all public alignments are the database: those near a protein are in its alignment."""
    near: dict[str, set[str]] = {}
    with (tmp_path / "db.fa").open("w") as database, (tmp_path / "q.fa").open("w") as queries:
        for path in sorted((shared / "data/msa").rglob("*.a3m")):
            first = b""
            for number, row in enumerate(read_a3m(path)):
                name = f"{path.stem}.{number}"
                database.write(f">{name}\n{residues(row).decode()}\n")
                if path.parent.name != "metal_test_sample":
                    continue
                if not number:
                    first = row.sequence
                    queries.write(f">{path.stem}\n{first.decode()}\n")
                columns = match_columns(row, query=first, path=path)
                pairs = [(one, two) for one, two in zip(first, columns, strict=True) if two != ord("-")]
                same = sum(one == two for one, two in pairs)
                if same > 0.4 * len(pairs) and len(pairs) >= 0.7 * len(first):
                    near.setdefault(path.stem, set()).add(name)
    assert len(near) == 20 and sum(map(len, near.values())) == 64
    assert run("align", "--fasta", "q.fa", "--database", "db.fa", "--out", "out", "--threads", 2) == 0
    names = {name: {row.name for row in read_a3m(tmp_path / "out" / f"{name}.a3m")} for name in near}
    again = sum(len(rows & names[name]) for name, rows in near.items())
    assert again >= 0.99 * sum(map(len, near.values()))


def test_proteins_of_few_kinds_of_residues_find_homologs_without_masks(run: Run, tmp_path: Path) -> None:
    drawn = random.Random(1)
    whole = "".join(drawn.choices("HA", k=150))
    rows = ["".join(drawn.choice(LETTERS) if drawn.random() < 0.15 else one for one in whole) for _ in range(6)]
    (tmp_path / "proteins.fa").write_text(f">few\n{whole}\n")
    (tmp_path / "database.fa").write_text("".join(f">h{n}\n{row}\n" for n, row in enumerate(rows)))
    counts = []
    for folder, options in (("masked", ()), ("whole", ("--no-mask",))):
        assert run("align", "--fasta", "proteins.fa", "--database", "database.fa", "--out", folder, *options) == 0
        counts.append(int(table(tmp_path / folder / "homologs.tsv")[0]["homologs"]))
    assert counts[0] == 0 and counts[1] >= 4
