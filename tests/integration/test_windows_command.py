"""`bindtune windows` as users run it: real peaks, real letters, summaries that add up."""

import gzip
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from bindtune.cli import main
from bindtune.config import WindowsConfig, build, read_yaml
from bindtune.runs.exclusive import only_writer

Caplog = pytest.LogCaptureFixture
Run = Callable[..., tuple[int, str, str]]
COMPLEMENT = str.maketrans("ACGTN", "TGCAN")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `bindtune windows` in this process; gives exit code, output and errors without the next command."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["bindtune", "windows", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        printed = capsys.readouterr()
        errors = "".join(line for line in printed.err.splitlines(keepends=True) if not line.startswith("next: "))
        return int(stop.value.code or 0), printed.out, errors

    return call


def read(folder: Path, split: str = "train") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / f"{split}.jsonl").read_text().splitlines()]


def read_fasta(path: Path) -> dict[str, str]:
    content = path.read_bytes()
    text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
    records = (record.partition("\n") for record in text.split(">")[1:])
    return {name.strip(): lines.replace("\n", "") for name, _, lines in records}


def check_sums(folder: Path) -> dict[str, Any]:
    """Every number of the summary that can be had from others equals what they give."""
    summary: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    for kind in ("peaks", "regions"):
        part = summary[kind]
        assert part["read"] == sum(part["files"].values()) == part["used"] + sum(part["dropped"].values())
    assert summary["peaks"]["used"] == summary["peaks"]["in_windows"] + summary["peaks"]["in_no_window"]
    assert summary["peaks"]["in_no_window"] == sum(summary["peaks"]["in_no_window_by_reason"].values())
    assert sum(summary["regions"]["by_method"].values()) == summary["regions"]["used"]
    windows = summary["windows"]
    records = [
        record
        for path in folder.glob("[tv]*.*")
        for record in (read(folder, path.stem) if path.suffix == ".jsonl" else pq.read_table(path).to_pylist())
    ]
    assert windows["repeated_seq_id"] == len(records) - len({record["seq_id"] for record in records})
    with_peaks = {record["sequence"] for record in records if record["eclip_regions"]}
    twins = sum(record["sequence"] in with_peaks for record in records if not record["eclip_regions"])
    assert windows["peakless_twin_of_a_window_with_peaks"] == twins
    assert windows["laid"] == windows["written"] + sum(windows["dropped"].values())
    assert windows["written"] == sum(split["windows"] for split in summary["splits"].values())
    for name, counts in summary["splits"].items():
        path = next(folder.glob(f"{name}.*"))
        records = read(folder, name) if path.suffix == ".jsonl" else pq.read_table(path).to_pylist()
        peaks = [peak for record in records for peak in record["eclip_regions"]]
        assert counts["windows"] == len(records)
        assert counts["windows_with_peaks"] == sum(bool(record["eclip_regions"]) for record in records)
        assert counts["peaks_listed"] == len(peaks) == sum(record["num_peaks_in_window"] for record in records)
        assert counts["peaks_clipped"] == sum(sum(record["peak_clipped"]) for record in records)
        assert counts["letters"] == sum(len(record["sequence"]) for record in records)
        inside = [
            set[int]().union(*(range(p["peak_start"], p["peak_end"]) for p in r["eclip_regions"])) for r in records
        ]
        assert counts["letters_in_peaks"] == sum(map(len, inside))
    return summary


# --- Real eCLIP peaks on real hg38 blocks


@pytest.fixture(scope="module")
def blocks(shared: Path) -> dict[str, str]:
    return read_fasta(shared / "data/eclip_hg38_peakhood/exon_blocks.hg38.fa.gz")


def test_every_window_and_peak_list_of_the_real_blocks(run: Run, shared: Path, blocks: Any, tmp_path: Path) -> None:
    data = shared / "data/eclip_hg38_peakhood"
    peaks = [line.split("\t") for line in (data / "combined_peaks.hg38.bed").read_text().splitlines()]
    code, _, err = run(
        *("--peaks", data / "SERBP1_K562.hg38.bed", "--peaks", data / "SUPV3L1_K562.hg38.bed"),
        *("--region-fasta", data / "exon_blocks.hg38.fa.gz", "--out", tmp_path, "--format", "jsonl"),
    )
    assert (code, err) == (0, "")
    records = read(tmp_path) + read(tmp_path, "validation")
    seen = dict.fromkeys(blocks, 0)
    for record in records:
        block = record["seq_id"].split("_window_")[0]
        chrom, position = block.rsplit(":", 1)
        origin, stop = map(int, position.split("-"))
        start, end = 0, stop - origin
        if "_window_" in record["seq_id"]:
            start, end = map(int, record["seq_id"].split("_window_")[1].split("_"))
            assert end - start == 512 < stop - origin
        else:
            assert stop - origin <= 512
        assert (record["start"], record["end"], record["seq_len"]) == (start, end, end - start)
        assert record["sequence"] == blocks[block][start:end].upper()
        expected = []
        for name, first, last, *_ in peaks:
            low, high = max(int(first), origin + start), min(int(last), origin + end)
            if name == chrom and low < high:
                expected.append((low - origin - start, high - origin - start, int(first), int(last)))
        rows = [(p["peak_start"], p["peak_end"], p["genomic_start"], p["genomic_end"]) for p in record["eclip_regions"]]
        assert sorted(rows) == sorted(expected)
        seen[block] += 1
    for block, count in seen.items():
        start, end = map(int, block.rsplit(":", 1)[1].split("-"))
        assert count == (1 if end - start <= 512 else 1 + -((512 - (end - start)) // 256))
    summary = check_sums(tmp_path)
    assert summary["peaks"]["read"] == 213
    assert abs(summary["splits"]["validation"]["fraction"] - 0.02) < 0.005
    assert summary["audit"] == {
        "shared_coordinates": 0,
        "identical_sequences": 0,
        "reverse_complements": 0,
        "distance": 1000,
    }


@pytest.mark.parametrize(
    ("protein", "kind", "sites_in_blocks"),
    [
        ("SERBP1_K562", "exonic_sites.tr_con.gen", 87),
        ("SUPV3L1_K562", "exonic_sites.tr_con.gen", 19),
        ("SERBP1_K562", "exonic_sites.gen_con", 1),
    ],
)
def test_sites_that_another_project_cut_are_found_at_their_coordinates(
    run: Run, shared: Path, blocks: Any, tmp_path: Path, protein: str, kind: str, sites_in_blocks: int
) -> None:
    data = shared / "data/eclip_hg38_peakhood"
    bed, sites = data / f"{protein}.{kind}.bed", read_fasta(data / f"{protein}.{kind}.fa")
    stranded = tmp_path / "stranded.fa"
    with stranded.open("w") as out:
        for name, letters in blocks.items():
            out.write(f">{name}(+)\n{letters}\n>{name}(-)\n{letters[::-1].translate(COMPLEMENT)}\n")
    code, _, err = run(
        *("--peaks", bed, "--region-fasta", stranded, "--out", tmp_path, "--format", "jsonl"),
        *("--window", 30_000, "--validation-fraction", 0),
    )
    assert (code, err) == (0, "")
    by_place = {}
    for line in bed.read_text().splitlines():
        _, start, end, name, _, strand = line.split("\t")
        by_place[int(start), int(end), strand] = sites[name].replace("U", "T")
    hits = 0
    for record in read(tmp_path):
        for peak, clipped in zip(record["eclip_regions"], record["peak_clipped"], strict=True):
            if not clipped:
                site = by_place[peak["genomic_start"], peak["genomic_end"], record["strand"]]
                assert record["sequence"][peak["peak_start"] : peak["peak_end"]] == site
                hits += 1
    assert hits == sites_in_blocks


# --- Real chromosome with Ensembl's names


@pytest.fixture
def chr9(shared: Path) -> dict[str, Path]:
    folder = shared / "data/genome_hg38_chr9_bambu"
    return {
        "genome": folder / "Homo_sapiens.GRCh38.dna_sm.primary_assembly_chr9_1_1000000.fa.gz",
        "genes": folder / "Homo_sapiens.GRCh38.91_chr9_1_1000000.gtf.gz",
        "peaks": shared / "data/eclip_hg38_rbpbench/RBFOX2.k562_eclip.clipper_idr.bed",
    }


def test_names_that_differ_by_chr_are_refused_and_matched_on_request(
    run: Run, chr9: dict[str, Path], tmp_path: Path
) -> None:
    inputs = ("--peaks", chr9["peaks"], "--genome", chr9["genome"], "--genes", chr9["genes"])
    code, _, err = run(*inputs, "--out", tmp_path / "a")
    assert code == 2
    assert err.count("\n") == 1
    assert "clipper_idr.bed:16: chromosome 'chr9' is not in" in err
    assert "has '9': --chromosome-names match" in err
    code, out, err = run(*inputs, "--out", tmp_path / "b", "--chromosome_names", "match")
    assert (code, err) == (0, "")
    assert "3525 peaks read, 151 used, 0 of them in windows" in out
    summary = check_sums(tmp_path / "b")
    # The peaks of chromosome 9 lie outside the first million letters, those of the others outside the genome.
    assert summary["peaks"]["in_windows"] == 0 < summary["peaks"]["in_no_window"]
    assert summary["regions"]["read"] == 23


def test_genes_of_both_strands_case_and_peaks_on_a_real_chromosome(
    run: Run, chr9: dict[str, Path], tmp_path: Path
) -> None:
    letters = read_fasta(chr9["genome"])["9"].upper()
    generator = np.random.default_rng(7)
    peaks = [(int(start), int(start) + 60, "+-"[start % 2]) for start in generator.integers(0, 999_000, 800)]
    bed = tmp_path / "made.bed"
    bed.write_text("".join(f"chr9\t{start}\t{end}\tp\t1\t{strand}\n" for start, end, strand in peaks))
    code, _, err = run(
        *("--peaks", bed, "--genome", chr9["genome"], "--genes", chr9["genes"], "--out", tmp_path),
        *("--chromosome-names", "match", "--format", "jsonl"),
    )
    assert (code, err) == (0, "")
    records = read(tmp_path) + read(tmp_path, "validation")
    assert {record["strand"] for record in records} == {"+", "-"}
    for record in records:
        origin = int(record["seq_id"].split(":")[1].split("-")[0]) + record["start"]
        stop = origin + record["seq_len"]
        plus = letters[origin:stop]
        minus = record["strand"] == "-"
        assert record["sequence"] == (plus[::-1].translate(COMPLEMENT) if minus else plus)
        expected = sorted(
            (stop - min(end, stop), stop - max(start, origin), start, end)
            if minus
            else (max(start, origin) - origin, min(end, stop) - origin, start, end)
            for start, end, strand in peaks
            if strand == record["strand"] and start < stop and end > origin
        )
        rows = [(p["peak_start"], p["peak_end"], p["genomic_start"], p["genomic_end"]) for p in record["eclip_regions"]]
        assert sorted(rows) == expected
    summary = check_sums(tmp_path)
    assert abs(summary["splits"]["validation"]["fraction"] - 0.02) < 0.01


def test_the_leading_run_of_n(run: Run, chr9: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "start.bed").write_text("9\t0\t12048\n")
    (tmp_path / "peak.bed").write_text("9\t9990\t10010\n")
    inputs = ("--peaks", tmp_path / "peak.bed", "--genome", chr9["genome"], "--regions", tmp_path / "start.bed")
    options = ("--validation-fraction", 0, "--format", "jsonl")
    code, _, _ = run(*inputs, "--out", tmp_path / "all", *options, "--max-n-fraction", 1)
    assert code == 0
    whole = read(tmp_path / "all")
    assert len(whole) == 47
    assert whole[0]["sequence"] == "N" * 512
    assert run(*inputs, "--out", tmp_path / "some", *options)[0] == 0
    windows = read(tmp_path / "some")
    assert [r["seq_id"] for r in windows] == [r["seq_id"] for r in whole if r["sequence"].count("N") <= 256]
    summary = check_sums(tmp_path / "some")
    assert summary["windows"]["dropped"] == {"too_many_n": 47 - len(windows)}


# --- Small made-up files


@pytest.fixture
def small(tmp_path: Path) -> dict[str, Path]:
    """A genome of two chromosomes with forty stranded regions and peaks."""
    generator = np.random.default_rng(5)
    folder = tmp_path / "small"
    folder.mkdir()
    lines = []
    for name in ("chr1", "chr2"):
        lines += [f">{name}", *("".join(generator.choice(list("ACGT"), 70)) for _ in range(1500))]
    (folder / "g.fa").write_text("\n".join(lines) + "\n")
    starts = generator.integers(0, 100_000, 40).tolist()
    rows = [(f"chr{1 + n % 2}", start, start + 300 + 40 * n, "+-."[n % 3]) for n, start in enumerate(starts)]
    (folder / "r.bed").write_text("".join(f"{c}\t{a}\t{b}\tr\t0\t{s}\n" for c, a, b, s in rows))
    (folder / "p.bed").write_text(
        "".join(f"{c}\t{a + 50}\t{a + 90}\tp\t{n}.5\t{s}\n" for n, (c, a, _, s) in enumerate(rows))
    )
    return {"genome": folder / "g.fa", "regions": folder / "r.bed", "peaks": folder / "p.bed"}


def options_of(files: dict[str, Path]) -> list[object]:
    return [part for name, path in files.items() for part in (f"--{name}", path)]


def test_formats_hold_the_same_records(run: Run, small: dict[str, Path], tmp_path: Path) -> None:
    records = []
    for form in ("parquet", "jsonl", "json"):
        assert run(*options_of(small), "--out", tmp_path / form, "--format", form)[0] == 0
        path = tmp_path / form / f"train.{form}"
        if form == "parquet":
            records.append(pq.read_table(path).to_pylist())
        else:
            records.append(read(path.parent) if form == "jsonl" else json.loads(path.read_text()))
        check_sums(tmp_path / form) if form != "json" else None
    assert records[0] == records[1] == records[2]
    assert len(records[0]) > 100


def test_no_validation_writes_one_set(run: Run, small: dict[str, Path], tmp_path: Path) -> None:
    assert run(*options_of(small), "--out", tmp_path / "o", "--validation-fraction", 0)[0] == 0
    assert sorted(path.name for path in (tmp_path / "o").iterdir()) == ["summary.json", "train.parquet"]
    assert check_sums(tmp_path / "o")["windows"]["dropped"] == {}


def test_regions_that_the_genome_lacks_are_dropped_and_aliases_read_on_request(
    run: Run, small: dict[str, Path], tmp_path: Path
) -> None:
    renamed = tmp_path / "renamed.bed"
    renamed.write_text(small["regions"].read_text().replace("chr2\t", "NC_2.1\t"))
    aliases = tmp_path / "aliases.txt"
    aliases.write_text("# ucsc\trefseq\nchr1\tNC_1.1\nchr2\tNC_2.1\n")
    files = small | {"regions": renamed}
    options = ("--format", "jsonl", "--validation-fraction", 0)
    assert run(*options_of(files), "--out", tmp_path / "a", *options)[0] == 2
    assert run(*options_of(files), "--out", tmp_path / "b", *options, "--missing-chromosomes", "drop")[0] == 0
    assert check_sums(tmp_path / "b")["regions"]["dropped"] == {"chromosome_not_in_genome": 20}
    assert run(*options_of(files), "--out", tmp_path / "c", *options, "--chromosome-aliases", aliases)[0] == 0
    assert run(*options_of(small), "--out", tmp_path / "d", *options)[0] == 0
    expected = [record | {"seq_id": record["seq_id"].replace("chr2:", "NC_2.1:")} for record in read(tmp_path / "d")]
    assert read(tmp_path / "c") == expected


def test_named_chromosomes_and_a_test_set(run: Run, small: dict[str, Path], tmp_path: Path) -> None:
    code, _, _ = run(
        *options_of(small), "--out", tmp_path / "o", "--format", "jsonl", "--test-chromosomes", "chr2", "--seed", 3
    )
    assert code == 0
    assert {r["seq_id"].split(":")[0] for r in read(tmp_path / "o", "test")} == {"chr2"}
    assert {r["seq_id"].split(":")[0] for r in read(tmp_path / "o", "train")} == {"chr1"}
    assert read(tmp_path / "o", "validation")
    check_sums(tmp_path / "o")


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        (("--validation-fraction", 0.2), "raise --validation-fraction"),
        (("--split", "chromosome", "--validation-fraction", 0.55), "raise --validation-fraction"),
        (("--validation-chromosomes", "chr2", "--keep-peakless", 0.5), "name more with --validation-chromosomes"),
        (("--window", 5000, "--split-distance", 10**6, "--validation-fraction", 0.3), "raise --validation-fraction"),
    ],
)
def test_few_validation_windows_with_peaks_are_said_whatever_the_split(
    run: Run, small: dict[str, Path], tmp_path: Path, caplog: Caplog, options: tuple[object, ...], advice: str
) -> None:
    assert run(*options_of(small), "--out", tmp_path / "o", *options)[0] == 0
    count = check_sums(tmp_path / "o")["splits"]["validation"]
    assert 1 < count["windows_with_peaks"] < 30
    share = f"{count['windows_with_peaks']} of {count['windows']} windows have a peak, fewer than 30"
    doubt = f"{share}: the loss in peaks rests on few tokens; {advice}, or give more peaks"
    assert caplog.messages == [f"{tmp_path / 'o/validation.parquet'}: {doubt}"]


def test_enough_validation_windows_with_peaks_need_no_word(
    run: Run, small: dict[str, Path], tmp_path: Path, caplog: Caplog
) -> None:
    options = ("--validation-chromosomes", "chr2", "--window", 60, "--stride", 10)
    assert run(*options_of(small), "--out", tmp_path / "o", *options)[0] == 0
    assert check_sums(tmp_path / "o")["splits"]["validation"]["windows_with_peaks"] >= 30
    assert not caplog.messages
    # A test set is looked at like the validation set, and a set that nobody asked for is not.
    assert run(*options_of(small), "--out", tmp_path / "p", "--test-fraction", 0.1, "--validation-fraction", 0)[0] == 0
    assert [message.split(":")[0] for message in caplog.messages] == [str(tmp_path / "p/test.parquet")]


def test_the_default_split_of_one_protein_holds_its_share_of_peaks(
    run: Run, shared: Path, tmp_path: Path, caplog: Caplog
) -> None:
    data = shared / "data/eclip_hg38_peakhood"
    for protein, share in (("SERBP1", 2), ("SUPV3L1", 1)):  # 101 and 28 of 947 windows have a peak
        for seed in range(5):
            out = tmp_path / f"{protein}-{seed}"
            peaks = ("--peaks", data / f"{protein}_K562.hg38.bed")
            assert run(*peaks, "--region-fasta", data / "exon_blocks.hg38.fa.gz", "--out", out, "--seed", seed)[0] == 0
            count = json.loads((out / "summary.json").read_text())["splits"]["validation"]
            assert (count["windows"], count["windows_with_peaks"]) == (19, share)
    assert len(caplog.messages) == 10


def test_values_stand_in_columns_that_the_user_names(run: Run, small: dict[str, Path], tmp_path: Path) -> None:
    # BED6 as eCLIP's pipelines write it: -log10 p in column 4, log2 fold change in column 5.
    lines = [line.split("\t") for line in small["peaks"].read_text().splitlines()]
    for number, fields in enumerate(lines):
        fields[3:5] = [f"{number % 8}.25", f"{number % 5 - 1}.5"]
    small["peaks"].write_text("".join("\t".join(fields) + "\n" for fields in lines))
    options = (*options_of(small), "--format", "jsonl", "--keep-peakless", 0, "--validation-fraction", 0)
    columns = ("--min-p-value", 3, "--p-value-column", 4, "--min-enrichment", 1, "--enrichment-column", 5)
    assert run(*options, *columns, "--out", tmp_path / "o")[0] == 0
    strong = {int(fields[1]) for fields in lines if float(fields[3]) >= 3 and float(fields[4]) >= 1}
    listed = {peak["genomic_start"] for record in read(tmp_path / "o") for peak in record["eclip_regions"]}
    assert listed == strong
    dropped = check_sums(tmp_path / "o")["peaks"]["dropped"]
    little = sum(float(fields[4]) < 1 for fields in lines)
    assert dropped == {"enrichment_below_1": little, "p_value_below_3": len(lines) - little - len(strong)}
    settings = tmp_path / "windows.yaml"
    settings.write_text("min_score: 3\nscore_column: 4\nmin_q_value: 3\nq_value_column: 4\n")
    assert run("--config", settings, *options, "--out", tmp_path / "p")[0] == 0
    assert check_sums(tmp_path / "p")["peaks"]["dropped"] == {
        "score_below_3": sum(float(fields[3]) < 3 for fields in lines)
    }


def test_filters_merging_sampling_and_thinning_add_up(run: Run, small: dict[str, Path], tmp_path: Path) -> None:
    code, out, _ = run(
        *options_of(small),
        *("--peaks", small["peaks"], "--out", tmp_path / "o", "--min-score", 10, "--merge-peaks", "--deduplicate"),
        *("--long-regions", "sample", "--long-region-length", 1000, "--keep-peakless", 0.5, "--test-fraction", 0.1),
        *("--window", 100, "--stride", 30),
    )
    assert code == 0
    summary = check_sums(tmp_path / "o")
    assert summary["peaks"]["dropped"]["score_below_10"] == 20
    assert summary["peaks"]["dropped"]["merged_into_another"] >= 30
    assert summary["windows"]["dropped"]["peakless"] > 0
    assert summary["regions"]["by_method"]["weighted_peak_centered"] > 5
    assert f"{summary['windows']['dropped']['peakless']} windows left out: peakless" in out


@pytest.mark.parametrize("keep_peakless", [0, 0.3, 1])
def test_a_cut_region_gives_validation_its_share_of_the_written_windows(
    run: Run, tmp_path: Path, keep_peakless: float
) -> None:
    generator = np.random.default_rng(5)
    (tmp_path / "g.fa").write_text(">chr1\n" + "".join(generator.choice(list("ACGT"), 600_000)) + "\n")
    (tmp_path / "r.bed").write_text("chr1\t0\t600000\n")
    starts = generator.integers(0, 599_900, 200).tolist()
    (tmp_path / "p.bed").write_text("".join(f"chr1\t{start}\t{start + 50}\n" for start in starts))
    files = {"genome": tmp_path / "g.fa", "regions": tmp_path / "r.bed", "peaks": tmp_path / "p.bed"}
    for seed in (42, 1, 2):
        options = ("--validation-fraction", 0.1, "--keep-peakless", keep_peakless, "--seed", seed)
        assert run(*options_of(files), *options, "--out", tmp_path / f"{seed}")[0] == 0
        summary = check_sums(tmp_path / f"{seed}")
        assert abs(summary["splits"]["validation"]["fraction"] - 0.1) < 0.005
        assert summary["windows"]["dropped"]["near_split_border"] > 0


@pytest.fixture
def repeated(tmp_path: Path) -> Path:
    """Regions on different chromosomes that share sequences, one as its reverse complement."""
    generator = np.random.default_rng(1)
    one, two, three = ("".join(generator.choice(list("ACGT"), 100)) for _ in range(3))
    path = tmp_path / "repeats.fa"
    records = [("chr1", one), ("chr2", one), ("chr2", three), ("chr1", two), ("chr2", two[::-1].translate(COMPLEMENT))]
    path.write_text("".join(f">{name}:{n * 5000}-{n * 5000 + 100}\n{seq}\n" for n, (name, seq) in enumerate(records)))
    (tmp_path / "p.bed").write_text("chr1\t0\t50\n")
    return path


@pytest.fixture
def losing(tmp_path: Path) -> tuple[object, ...]:
    """Peaks that come into no window for every reason, and two that come into one."""
    rng = np.random.default_rng(1)
    letters = "".join(rng.choice([*"ACGT"], size=6000))
    (tmp_path / "g.fa").write_text(f">chr1\n{letters[:200]}{'N' * 100}{letters[300:]}\n")
    (tmp_path / "r.bed").write_text("chr1\t0\t300\tr\t0\t+\nchr1\t1000\t1250\tr\t0\t+\n")
    spans = [
        *((10, 30, "+"), (40, 60, "."), (7000, 7020, "+"), (5990, 6010, "+"), (3000, 3020, "-"), (20, 40, "-")),
        *((1095, 1105, "+"), (1110, 1130, "+"), (260, 280, "+"), (280, 290, "+")),
    ]
    (tmp_path / "p.bed").write_text("".join(f"chr1\t{a}\t{b}\tp\t0\t{strand}\n" for a, b, strand in spans))
    files = ("--peaks", tmp_path / "p.bed", "--genome", tmp_path / "g.fa", "--regions", tmp_path / "r.bed")
    return (*files, "--window", 100, "--stride", 150, "--max-n-fraction", 0.1, "--validation-fraction", 0)


def test_why_peaks_are_in_no_window(run: Run, losing: tuple[object, ...], tmp_path: Path) -> None:
    code, out, _ = run(*losing, "--min-peak-overlap", 10, "--out", tmp_path / "o")
    assert code == 0
    peaks = check_sums(tmp_path / "o")["peaks"]
    assert peaks["in_windows"] == 2
    assert peaks["in_no_window_by_reason"] == {
        "past_chromosome_end": 1,
        "outside_all_regions": 2,
        "opposite_strand": 1,
        "too_small_an_overlap": 1,
        "between_windows": 1,
        "with_a_dropped_window": 2,
    }
    assert "2 peaks in no window: with_a_dropped_window" in out
    assert run(*losing, "--opposite-strand", "--out", tmp_path / "both")[0] == 0
    peaks = check_sums(tmp_path / "both")["peaks"]
    assert peaks["in_windows"] == 4
    assert peaks["in_no_window_by_reason"] == {
        "past_chromosome_end": 1,
        "outside_all_regions": 2,
        "between_windows": 1,
        "with_a_dropped_window": 2,
    }


def test_windows_that_are_taken_for_one_another_are_counted(run: Run, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    shared, own = ("".join(rng.choice([*"ACGT"], size=200)) for _ in range(2))
    (tmp_path / "g.fa").write_text(f">chrX\n{shared}{own}\n>chrY\n{shared}\n")
    regions = ["chrX\t0\t200\tg\t0\t+", "chrY\t0\t200\tg\t0\t+", "chrX\t200\t400\ta\t0\t+", "chrX\t200\t400\tb\t0\t-"]
    (tmp_path / "r.bed").write_text("".join(f"{line}\n" for line in [*regions, "chrX\t201\t400\tc\t0\t+", regions[2]]))
    (tmp_path / "p.bed").write_text("chrX\t20\t40\tp\t0\t+\nchrX\t120\t140\tp\t0\t+\nchrX\t310\t320\tp\t0\t+\n")
    files = ("--peaks", tmp_path / "p.bed", "--genome", tmp_path / "g.fa", "--regions", tmp_path / "r.bed")
    options = ("--window", 100, "--stride", 100, "--validation-fraction", 0, "--format", "jsonl")
    code, out, _ = run(*files, *options, "--out", tmp_path / "o")
    assert code == 0
    windows = check_sums(tmp_path / "o")["windows"]
    # chrX:200-400 comes three times with two windows each; two windows of chrY are those of chrX without peaks.
    assert (windows["repeated_seq_id"], windows["peakless_twin_of_a_window_with_peaks"]) == (4, 2)
    assert "4 windows have a seq_id that an earlier one has: regions come twice" in out
    assert "2 windows without a peak have the sequence of one with peaks: --deduplicate" in out
    code, out, _ = run(*files, *options, "--deduplicate", "--out", tmp_path / "once")
    windows = check_sums(tmp_path / "once")["windows"]
    assert (windows["repeated_seq_id"], windows["peakless_twin_of_a_window_with_peaks"]) == (2, 0)
    assert "seq_id" in out
    assert "without a peak" not in out


def test_windows_of_n_alone_are_left_out_by_default(run: Run, tmp_path: Path) -> None:
    (tmp_path / "p.bed").write_text("chr1\t0\t5\n")
    records = {"chr1:0-20": "ACGTG" * 2 + "N" * 10, "chr1:30-50": "ACGTA" + "A" * 4 + "N" * 11, "chr1:60-80": "n" * 20}
    (tmp_path / "r.fa").write_text("".join(f">{name}\n{letters}\n" for name, letters in records.items()))
    inputs = ("--peaks", tmp_path / "p.bed", "--region-fasta", tmp_path / "r.fa", "--validation-fraction", 0)
    assert run(*inputs, "--out", tmp_path / "o", "--format", "jsonl")[0] == 0
    assert [record["seq_id"] for record in read(tmp_path / "o")] == ["chr1:0-20"]
    assert check_sums(tmp_path / "o")["windows"]["dropped"] == {"too_many_n": 2}
    assert run(*inputs, "--out", tmp_path / "all", "--format", "jsonl", "--max-n-fraction", 1)[0] == 0
    assert [record["seq_id"] for record in read(tmp_path / "all")] == list(records)


def test_peaks_of_another_assembly_are_said(
    run: Run, losing: tuple[object, ...], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert run(*losing, "--out", tmp_path / "a")[0] == 0
    genome = tmp_path / "g.fa"
    said = f"2 of 10 peaks reach beyond the end of their chromosome in {genome}: they seem to be of another assembly"
    assert caplog.messages == [said]
    caplog.clear()
    with (tmp_path / "p.bed").open("a") as peaks:
        peaks.write("chr1\t10\t30\tp\t0\t+\n" * 10)  # a tenth is not yet many
    assert run(*losing, "--out", tmp_path / "b")[0] == 0
    assert caplog.messages == []


def test_shared_sequences_are_dropped_from_the_held_out_side(run: Run, repeated: Path, tmp_path: Path) -> None:
    inputs = ("--peaks", tmp_path / "p.bed", "--region-fasta", repeated, "--validation-chromosomes", "chr2")
    assert run(*inputs, "--out", tmp_path / "o", "--format", "jsonl")[0] == 0
    assert [record["seq_id"] for record in read(tmp_path / "o", "validation")] == ["chr2:10000-10100"]
    assert len(read(tmp_path / "o")) == 2
    assert check_sums(tmp_path / "o")["windows"]["dropped"] == {"sequence_in_another_split": 2}


def test_the_audit_fails_the_command_unless_told_otherwise(
    run: Run, repeated: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    inputs = ("--peaks", tmp_path / "p.bed", "--region-fasta", repeated, "--validation-chromosomes", "chr2")
    inputs += ("--shared-sequences", "keep", "--out", tmp_path / "o", "--format", "jsonl")
    code, _, err = run(*inputs)
    assert code == 1
    assert "1 held-out windows have a sequence of another split, 1 the reverse complement of one" in err
    assert not (tmp_path / "o").exists()
    assert run(*inputs, "--leaks", "allow")[0] == 0
    (warned,) = (one for one in caplog.records if one.getMessage().startswith("the splits leak: "))
    assert warned.levelname == "WARNING"
    audit = check_sums(tmp_path / "o")["audit"]
    assert (audit["identical_sequences"], audit["reverse_complements"]) == (1, 1)


def test_identical_sequences_are_removed_on_request(run: Run, repeated: Path, tmp_path: Path) -> None:
    inputs = ("--peaks", tmp_path / "p.bed", "--region-fasta", repeated, "--validation-fraction", 0)
    assert run(*inputs, "--out", tmp_path / "o", "--deduplicate")[0] == 0
    windows = check_sums(tmp_path / "o")["windows"]
    assert (windows["laid"], windows["dropped"], windows["written"]) == (5, {"repeated_sequence": 1}, 4)


def test_a_second_command_in_the_same_folder_is_refused(run: Run, small: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "o"
    with only_writer(out):
        for more in ((), ("--overwrite",)):
            assert run(*options_of(small), "--out", out, *more) == (
                2,
                "",
                f"bindtune: {out} is in use by another process\n",
            )
        assert [path.name for path in out.iterdir()] == [".lock"]
    assert run(*options_of(small), "--out", out)[0] == 0
    assert sorted(path.name for path in out.iterdir()) == ["summary.json", "train.parquet", "validation.parquet"]


def test_commands_that_begin_at_once_write_one_set(small: dict[str, Path], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bindtune", "windows", *map(str, options_of(small)), "--out", "o", "--write-index"]
    runs = [subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    answers = [(each.communicate()[1], each.returncode) for each in runs]
    assert sorted(code for _, code in answers) == [0, 2, 2, 2]
    refused = {error for error, code in answers if code}
    assert refused <= {
        "bindtune: o is in use by another process\n",
        "bindtune: o/summary.json: is there already; --overwrite replaces the files of an earlier run\n",
    }


def test_earlier_files_are_kept_unless_told_otherwise(run: Run, small: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "o"
    assert run(*options_of(small), "--out", out, "--format", "jsonl")[0] == 0
    before = (out / "train.jsonl").read_bytes()
    code, _, err = run(*options_of(small), "--out", out, "--window", 100)
    assert code == 2
    assert "is there already; --overwrite" in err
    assert (out / "train.jsonl").read_bytes() == before
    assert run(*options_of(small), "--out", out, "--overwrite", "--validation-fraction", 0)[0] == 0
    assert sorted(path.name for path in out.iterdir()) == ["summary.json", "train.parquet"]
    assert run(*options_of(small), "--out", out, "--overwrite", "--validation-fraction", 0)[0] == 0
    assert sorted(path.name for path in out.iterdir()) == ["summary.json", "train.parquet"]


def test_a_run_is_repeated_to_the_byte_and_another_seed_splits_otherwise(
    run: Run, small: dict[str, Path], tmp_path: Path
) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert run(*options_of(small), "--out", tmp_path / name, "--format", "jsonl", "--seed", seed)[0] == 0
    first, same, other_seed = ((tmp_path / name / "validation.jsonl").read_bytes() for name in "abc")
    assert first == same != other_seed


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_run_leaves_no_file_of_that_name(tmp_path: Path, number: signal.Signals) -> None:
    generator = np.random.default_rng(5)
    letters = "".join(generator.choice(list("ACGT"), 1_000_000))
    (tmp_path / "g.fa").write_text(f">chr1\n{letters}\n")
    (tmp_path / "r.bed").write_text("chr1\t0\t1000000\n" * 20)
    (tmp_path / "p.bed").write_text("chr1\t0\t50\n")
    arguments = ["--peaks", "p.bed", "--genome", "g.fa", "--regions", "r.bed", "--out", "o", "--stride", "5"]
    process = subprocess.Popen([sys.executable, "-m", "bindtune", "windows", *arguments], cwd=tmp_path)
    out = tmp_path / "o"
    deadline = time.monotonic() + 60
    while not any(path.stat().st_size for path in out.glob(".train.*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(number)
    assert process.wait(60) == (130 if number == signal.SIGINT else -signal.SIGKILL)
    left = [path.name for path in out.glob("*")]
    assert all(name.startswith(".") for name in left)
    if number == signal.SIGINT:
        assert left == []


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory from /proc")
def test_memory_does_not_grow_with_the_windows(tmp_path: Path) -> None:
    generator = np.random.default_rng(5)
    letters = generator.choice(np.frombuffer(b"ACGT", np.uint8), 1_000_000).tobytes().decode()
    (tmp_path / "g.fa").write_text(f">chr1\n{letters}\n")
    (tmp_path / "r.bed").write_text("chr1\t0\t1000000\n")
    (tmp_path / "p.bed").write_text("".join(f"chr1\t{start}\t{start + 50}\n" for start in range(0, 999_000, 500)))
    arguments = ["--peaks", "p.bed", "--genome", "g.fa", "--regions", "r.bed", "--overwrite", "--out", "o"]
    # The high-water mark of the process itself: what `wait4` says includes the memory of the process that started it.
    code = "import atexit, sys, bindtune.cli as c; from pathlib import Path\n"
    code += "atexit.register(lambda: sys.stderr.write(Path('/proc/self/status').read_text())); c.main()"
    peaks = []
    for stride in ("100", "10"):
        command = [sys.executable, "-c", code, "windows", *arguments, "--stride", stride]
        status = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stderr
        peaks.append(int(status.split("VmHWM:")[1].split()[0]) / 1024)
    assert peaks[0] > 50
    # Ten thousand and a hundred thousand windows: the sequences of the further 90,000 alone are 44 MiB.
    assert peaks[1] - peaks[0] < 15


def test_settings_come_from_a_file_and_the_command_line_wins(run: Run, small: dict[str, Path], tmp_path: Path) -> None:
    lines = [f"peaks: [{small['peaks']}]", f"genome: {small['genome']}", f"regions: {small['regions']}"]
    path = tmp_path / "c.yaml"
    path.write_text("\n".join([*lines, f"out: {tmp_path / 'o'}", "window: 100", "format: jsonl", "stride: 7"]))
    assert run("--config", path, "--stride", 50)[0] == 0
    settings = check_sums(tmp_path / "o")["settings"]
    assert (settings["window"], settings["stride"]) == (100, 50)
    path.write_text("\n".join([*lines, "out: x", "windw: 100"]))
    code, _, err = run("--config", path)
    assert code == 2
    assert "c.yaml: unknown setting 'windw'; did you mean 'window'?" in err


def test_a_file_may_name_one_thing_without_a_list_and_chromosomes_by_number(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("peaks: p.bed\nregion_fasta: r.fa\nout: o\ntest_chromosomes: [9, X]\nvalidation_chromosomes: 8\n")
    config = build(WindowsConfig, read_yaml(path))
    assert config.peaks == (Path("p.bed"),)
    assert (config.test_chromosomes, config.validation_chromosomes) == (("9", "X"), ("8",))


def test_the_example_configuration_is_valid() -> None:
    path = Path(__file__).parents[2] / "configs/windows.yaml"
    config = build(WindowsConfig, read_yaml(path))
    assert config.floors == {"enrichment": 3, "p_value": 3}
    assert config.validation_chromosomes == ("chr18",)


def test_help_needs_no_heavy_import() -> None:
    code = "import sys, bindtune.cli; print(sorted({'torch', 'numpy', 'pandas', 'pyarrow'} & set(sys.modules)))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
