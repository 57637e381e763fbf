"""`bindtune windows` on files that do not fit each other: exit code 2, one line that names file and line.

What is wrong with one file alone stands in the tables of cases beside this module.
"""

import gzip
import re
import sys
from pathlib import Path

import pytest

from bindtune.cli import main

GENOME = ">chr1\n" + ("ACGTACGTAC\n" * 20) + ">chr2\nACGTACGTAC\nACG\n"
REGIONS = "chr1\t0\t50\tr\t0\t+\nchr1\t60\t200\tr\t0\t-\n"
PEAKS = "chr1\t10\t20\tp\t3.5\t+\nchr1\t70\t90\tp\t2.5\t-\n"
GTF = 'chr1\tx\tgene\t11\t20\t.\t+\t.\tgene_id "G";\n'
NARROW = "chr1\t10\t20\tp\t3\t+\t4.5\t3.1\t-1\t4\n"

FILES: dict[str, str | bytes] = {"g.fa": GENOME, "r.bed": REGIONS, "p.bed": PEAKS}
BED = ("--peaks", "p.bed", "--genome", "g.fa", "--regions", "r.bed")
GENES = ("--peaks", "p.bed", "--genome", "g.fa", "--genes", "a.gtf")
FASTA = ("--peaks", "p.bed", "--region-fasta", "r.fa")
TWO_BIT = ("--peaks", "p.bed", "--genome", "g.2bit", "--regions", "r.bed")

CASES: dict[str, tuple[tuple[str, ...], dict[str, str | bytes], str]] = {
    "end before start": (
        BED,
        {"p.bed": PEAKS + "chr1\t1250\t1200\n"[:-1] + "\tp\t1\t+\n"},
        r"p\.bed:3: end 1200 is not",
    ),
    "no q value": (
        ("--peaks", "q.narrowPeak", *BED[2:], "--min-q-value", "2"),
        {"q.narrowPeak": NARROW},
        r"q\.narrowPeak:1: no q_value is given",
    ),
    "no enrichment": (
        (*BED, "--min-enrichment", "2"),
        {},
        r"p\.bed: has no enrichment to filter by \(it has: score\); .* --enrichment-column",
    ),
    "names for p values": (
        (*BED, "--min-p-value", "2", "--p-value-column", "4"),
        {},
        r"p\.bed:1: column 4 is not a number: 'p'; --p-value-column says",
    ),
    "a column that is not there": (
        (*BED, "--min-q-value", "2", "--q-value-column", "9"),
        {},
        r"p\.bed:1: found 6 columns, expected the q_value in column 9: see --q-value-column",
    ),
    "a q value that is missing in a named column": (
        (*BED, "--min-q-value", "2", "--q-value-column", "4"),
        {"p.bed": "chr1\t10\t20\t3\t3.5\t+\nchr1\t70\t90\t.\t2.5\t-\n"},
        r"p\.bed:2: no q_value is given",
    ),
    "the column of the strand": (
        (*BED, "--min-score", "2", "--score-column", "6"),
        {},
        r"p\.bed:1: column 6 is the position or the strand, not the score: see --score-column",
    ),
    "a column without a floor": ((*BED, "--score-column", "4"), {}, r"score_column needs min_score"),
    "the column of the end": ((*BED, "--min-score", "4", "--score-column", "3"), {}, r"score_column.* 4"),
    "all too weak": ((*BED, "--min-score", "9"), {}, r"no peak is left: of 2 none reaches score 9"),
    "empty peaks": (BED, {"p.bed": ""}, r"p\.bed: holds no peaks"),
    "only comments": (BED, {"p.bed": "# nothing\n"}, r"p\.bed: holds no peaks"),
    "cut gzip": (
        BED,
        {"p.bed": gzip.compress(PEAKS.encode() * 9)[:-12]},
        r"p\.bed:\d+: gzip data is damaged or cut short",
    ),
    "missing peaks": (("--peaks", "none.bed", *BED[2:]), {}, r"none\.bed: cannot be read: No such file"),
    "a folder": (("--peaks", ".", *BED[2:]), {}, r"\.: is a folder, expected a file"),
    "peaks elsewhere": (
        BED,
        {"p.bed": "chr7\t1\t9\n"},
        r"p\.bed:1: no peak lies on a chromosome of g\.fa .*chr1, chr2",
    ),
    "a FASTA of regions as the genome": (
        BED,
        {"g.fa": ">chr1:0-40\n" + "ACGT" * 10 + "\n"},
        r"r\.bed:1: chromosome 'chr1' is not in g\.fa .*chr1:0-40; --region-fasta takes a FASTA of regions",
    ),
    "peaks without chr": (
        BED,
        {"p.bed": PEAKS.replace("chr", "")},
        r"p\.bed:1: chromosome '1' .* has 'chr1': --chromosome-names",
    ),
    "regions without chr": (BED, {"r.bed": REGIONS + "2\t0\t5\tr\t0\t+\n"}, r"r\.bed:3: chromosome '2' .* has 'chr2'"),
    "region elsewhere": (
        BED,
        {"r.bed": REGIONS + "chr9\t0\t5\tr\t0\t+\n"},
        r"r\.bed:3: chromosome 'chr9' is not in g\.fa .*--chromosome-aliases",
    ),
    "region beyond the end": (
        BED,
        {"r.bed": "chr2\t5\t14\n"},
        r"r\.bed:1: end 14 lies beyond the end of 'chr2', which has 13",
    ),
    "empty regions": (BED, {"r.bed": "\n"}, r"r\.bed: holds no regions"),
    "GTF without genes": (
        GENES,
        {"a.gtf": GTF.replace("gene\t", "exon\t")},
        r"a\.gtf: no line is a gene.*there are exon",
    ),
    "letters of no kind": (
        BED,
        {"g.fa": GENOME.replace("ACGTACGTAC\n", "ACGT-CGTAC\n", 1)},
        r"g\.fa: chr1, position 5: '-' is not",
    ),
    "cut gzip genome": (
        BED,
        {"g.fa": gzip.compress(GENOME.encode())[:-9]},
        r"g\.fa: gzip data is damaged or cut short",
    ),
    "index of another file": (
        BED,
        {"g.fa.fai": "chr1\t200\t6\t10\t11\nchr2\t13\t99\t10\t11\n"},
        r"g\.fa\.fai:2: does not fit g\.fa",
    ),
    "region FASTA letters": (FASTA, {"r.fa": ">chr1:0-4\nAC*G\n"}, r"r\.fa: chr1:0-4, position 3: '\*' is not"),
    "alias table is missing": ((*BED, "--chromosome-aliases", "no.txt"), {}, r"no\.txt: cannot be read"),
    "split by a chromosome without regions": (
        (*BED, "--validation-chromosomes", "chr2"),
        {},
        r"'chr2' has no regions.*chr1",
    ),
    "no genome": (("--peaks", "p.bed"), {}, r"give either --genome or --region-fasta"),
    "two kinds of regions": ((*BED, "--genes", "a.gtf"), {}, r"--genome needs either --regions or --genes"),
    "window of no length": ((*BED, "--window", "0"), {}, r"window: .*greater than or equal to 1, found '0'"),
    "nothing to train on": (
        (*BED, "--validation-fraction", "0.6", "--test-fraction", "0.5"),
        {},
        r"leave nothing to train on",
    ),
    "nothing given": ((), {}, r"bindtune: peaks is required$"),
    "out below a file": ((*BED, "--out", "g.fa/out"), {}, r"g\.fa: is a file, expected a folder"),
    "out is a file": ((*BED, "--out", "g.fa"), {}, r"g\.fa: is a file, expected a folder"),
}


@pytest.mark.parametrize("name", CASES)
def test_broken_input(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, changed, problem = CASES[name]
    for path, content in (FILES | changed).items():
        (tmp_path / path).write_bytes(content if isinstance(content, bytes) else content.encode())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["bindtune", "windows", "--out", "out", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    error = capsys.readouterr().err
    assert stop.value.code == 2
    assert error.startswith("bindtune: ")
    assert error.count("\n") == 1
    assert re.search(problem, error), error
    assert not list(tmp_path.glob("out/*"))


def test_the_same_files_unbroken_are_fine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path, content in FILES.items():
        (tmp_path / path).write_text(str(content))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["bindtune", "windows", "--out", "out", *BED])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code in (0, None)
