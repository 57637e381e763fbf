"""`bindtune align`: homologs of proteins in a database, an alignment for each protein.

Proteins are searched some at a time. Each alignment is written completely or not at all, so a stopped command goes on
with the proteins that have no alignment yet.
"""

import json
import logging
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from types import FrameType

from bindtune.config import AlignConfig
from bindtune.data.protein.input_files import SUFFIXES, alignment_name, alignment_stem
from bindtune.data.protein.mmseqs import find_mmseqs, run_mmseqs
from bindtune.errors import ConfigError, InputError, Interrupted
from bindtune.host_limits import host_memory, usable_cores
from bindtune.io.a3m import homolog_name, read_a3m, residues
from bindtune.io.proteins import Protein, read_proteins
from bindtune.io.text import numbered_lines
from bindtune.outputs import output_folder
from bindtune.preparation.homolog_database import LESS_MEMORY, homolog_database
from bindtune.preparation.homolog_tables import HomologTables, LabelledProteins
from bindtune.progress import Advance, progress
from bindtune.runs.exclusive import only_writer
from bindtune.runs.names import COUNT_SUMMARY, MANIFEST, PROVENANCE
from bindtune.runs.provenance import provenance
from bindtune.runs.writing import atomic_path, sweep, write_text, writing
from bindtune.yaml_json import read_json

log = logging.getLogger(__name__)

# Settings that change alignments. The database is recorded by its hash.
_BINDING = ("iterations", "sensitivity", "evalue", "coverage", "mask", "max_sequences")
_MEMORY_SHARE = 0.7
_MEGABYTE = 1 << 20


def align(config: AlignConfig) -> str:
    """Write the missing alignments and the tables of all, and return a summary.

    Raises:
        InputError: a file is not what it should be, or an alignment in the folder is of another protein.
        ConfigError: MMseqs2 is missing or fails, or the folder holds alignments that were made otherwise.
        Interrupted: a signal ended the search.
    """
    output_folder(config.out)
    find_mmseqs()
    labels = LabelledProteins.read(config.labels)
    count = sum(1 for _ in read_proteins(config.fasta))  # finds every mistake before anything is searched
    with only_writer(config.out, tidy=True), _ended_by_signals():
        database, content, is_new = homolog_database(config.database, config.database_dir)
        _check_manifest(config, content)
        sweep(config.out)
        searched = _search_all(config, database, total=count)
        return _finish(config, labels, database=database, is_new=is_new, searched=searched)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Turn the signals of a scheduler or a closed terminal into an exception, which ends MMseqs2 too."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Interrupted("the same command", number=number)

    numbers = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _check_manifest(config: AlignConfig, content: str) -> None:
    """Write the manifest of the alignments, or compare it with an earlier one.

    Raises:
        ConfigError: the folder holds alignments that were made otherwise, or by another program.
    """
    path = config.out / MANIFEST
    values = config.model_dump(mode="json")
    about = {"database": content, **{name: values[name] for name in _BINDING}}
    if path.is_file():
        before = read_json(path)
        before = before if isinstance(before, dict) else {}
        changed = [
            "the database has another content"
            if name == "database"
            else f"{name} was {before.get(name)!r} and is now {about[name]!r}"
            for name in about
            if before.get(name) != about[name]
        ]
        if changed:
            raise ConfigError(f"{config.out} holds other alignments: {'; '.join(changed)}; choose another --out")
        return
    strays = sorted(entry.name for entry in config.out.iterdir() if alignment_name(entry) is not None)
    if strays:
        raise ConfigError(
            f"{config.out} holds alignments of another program, such as {strays[0]}: choose another --out"
        )
    write_text(path, json.dumps(about, indent=2) + "\n")


def alignment_path(folder: Path, name: str) -> Path:
    """The file of a protein's alignment."""
    return folder / f"{alignment_stem(name)}{SUFFIXES[0]}"


def _search_all(config: AlignConfig, database: Path, *, total: int) -> int:
    """Write the missing alignments, and return their number."""
    searched = 0
    with progress("aligning", total, unit="proteins", log=log) as advance, writing(config.out):
        missing = _missing(config, advance)
        while batch := list(islice(missing, config.batch_proteins)):
            _search(config, database, batch)
            searched += len(batch)
            advance(len(batch))
    return searched


def _missing(config: AlignConfig, advance: Advance) -> Iterator[Protein]:
    """The proteins without an alignment.

    Raises:
        InputError: an alignment is of another sequence.
    """
    for protein in read_proteins(config.fasta):
        path = alignment_path(config.out, protein.name)
        if not path.is_file():
            yield protein
            continue
        first = residues(next(read_a3m(path))).decode("ascii")
        if first != protein.sequence:
            raise InputError(
                path, 2, f"is the alignment of another sequence than {protein.name!r} has now: delete it, or choose "
                "another --out"
            )  # fmt: skip
        advance(1, skipped=True)


def _search(config: AlignConfig, database: Path, batch: Sequence[Protein]) -> None:
    """Search some proteins, and write their alignments."""
    with tempfile.TemporaryDirectory(dir=config.out, prefix=".search.", suffix=".part") as name:
        folder = Path(name)
        query, hits, alignments, unpacked = (folder / part for part in ("query", "hits", "alignments", "unpacked"))
        fasta = "".join(f">{number}\n{protein.sequence}\n" for number, protein in enumerate(batch))
        (folder / "query.fa").write_text(fasta, encoding="ascii")
        threads = ("--threads", str(config.threads or usable_cores()), "-v", "1")
        _run("createdb", folder / "query.fa", query, "--dbtype", "1", "--shuffle", "0", "-v", "1")
        _run("search", query, database, hits, folder / "work", *_options(config), *threads)
        # Every homolog stays: contexts choose among similar ones later.
        _run("result2msa", query, database, hits, alignments, "--msa-format-mode", "5", "--filter-msa", "0", *threads)
        unpacked.mkdir()
        _run("unpackdb", alignments, unpacked, "--unpack-name-mode", "0", *threads)
        for number, protein in enumerate(batch):
            _write(config, protein, unpacked / str(number))


def _run(*arguments: str | Path) -> None:
    run_mmseqs(*arguments, less_memory=LESS_MEMORY)


def _options(config: AlignConfig) -> list[str]:
    options = ["-a", "1", "-s", f"{config.sensitivity:g}", "-e", f"{config.evalue:g}"]
    options += ["--num-iterations", str(config.iterations), "--max-seqs", str(config.max_sequences)]
    options += ["-c", f"{config.coverage:g}", "--cov-mode", "2"]  # coverage of the query
    options += ["--mask", str(int(config.mask)), "--comp-bias-corr", str(int(config.mask))]
    memory = host_memory()
    if memory:
        options += ["--split-memory-limit", f"{max(int(memory * _MEMORY_SHARE) // _MEGABYTE, 1)}M"]
    return options


def _write(config: AlignConfig, protein: Protein, result: Path) -> None:
    """Write a protein's alignment: first its own letters, even if MMseqs2 changes them, then the homologs.

    Raises:
        ConfigError: MMseqs2 made an alignment with other columns.
    """
    with atomic_path(alignment_path(config.out, protein.name)) as path, path.open("w", encoding="utf-8") as stream:
        stream.write(f">{homolog_name(protein.name)}\n{protein.sequence}\n")
        if not result.is_file():
            return
        rows = -1  # the first row is the query
        for _, raw in numbered_lines(result):
            line = raw.strip("\0")
            if line.startswith(">"):
                rows += 1
                if rows > config.max_sequences:
                    return
                line = f">{homolog_name(line[1:])}"
            elif rows == 0 and line and len(line) != len(protein.sequence):
                raise ConfigError(
                    f"{protein.name}: MMseqs2 aligned {len(line)} columns, expected {len(protein.sequence)}"
                )
            if rows and line:
                stream.write(f"{line}\n")


def _finish(config: AlignConfig, labels: "LabelledProteins", *, database: Path, is_new: bool, searched: int) -> str:
    """Count the content of all alignments, and return it as text."""
    with HomologTables(config.out, labels) as tables:
        for protein in read_proteins(config.fasta):
            path = alignment_path(config.out, protein.name)
            tables.add(protein, path, most=config.max_sequences)
    counts = tables.counts
    inputs = {"fasta": config.fasta, "database": config.database}
    inputs |= {f"labels {number}": path for number, path in enumerate(config.labels, start=1)}
    origin = provenance(inputs, ("numpy",))
    origin["mmseqs"] = run_mmseqs("version", less_memory=LESS_MEMORY).strip()
    write_text(config.out / PROVENANCE, json.dumps(origin, indent=2) + "\n")
    summary = {**counts, "searched_now": searched, "database": str(database), "database_made_now": is_new,
               "settings": config.model_dump(mode="json")}  # fmt: skip
    write_text(config.out / COUNT_SUMMARY, json.dumps(summary, indent=2) + "\n")
    lines = [f"{counts['proteins']:,} proteins aligned, {searched:,} of them now: {config.out}"]
    lines.append(f"database: {database} ({'made now' if is_new else 'as it was'})")
    lines.append(
        f"{counts['homologs']:,} homologs; {counts['without_homolog']:,} proteins have none, "
        f"{counts['with_most_homologs']:,} have the most that --max-sequences allows"
    )
    if config.labels:
        roles = counts["labelled"]
        lines.append(
            f"homologs that are labelled proteins: {roles['training']:,} for training, {roles['held_out']:,} held out: "
            f"{tables.labelled_path}"
        )
    return "\n".join(lines)
