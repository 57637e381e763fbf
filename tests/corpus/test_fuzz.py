"""A moment of fuzzing for each quick parser, with a fixed seed; benchmarks/fuzz_parsers.py goes on for minutes."""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from bindtune.errors import ConfigError
from bindtune.io.structure import ResidueName
from bindtune.io.structure_scripts import write_attributes, write_pymol
from corpus.fuzzing import changed, check
from corpus.mutations import names, patterns, structured, with_foreign_rows
from corpus.readers import READERS, Reader
from corpus.valid import seeds

BYTES = [reader for reader in READERS.values() if not reader.loads_torch]
VALUES = [reader for reader in READERS.values() if structured(reader.format) is not None]
ROWS = ((">q", "MKTAYIAK"), (">h1", "MRTAYIAK"), (">h2", "MKT-YVAK"))


def quickly(examples: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A few examples, the same each time."""
    few = settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    return lambda test: seed(1)(few(test))


def fuzz(reader: Reader, contents: st.SearchStrategy[bytes], folder: Path, *, examples: int) -> None:
    """Read some drawn files."""
    for name, content in reader.beside.items():
        (folder / name).write_bytes(content)

    @quickly(examples)
    @given(content=contents)
    def run(content: bytes) -> None:
        finding = check(reader, content, folder, seconds=60)
        assert finding is None, finding.told

    run()


@pytest.mark.parametrize("reader", BYTES, ids=lambda reader: reader.format)
def test_changed_files_are_read_or_refused_by_name(reader: Reader, tmp_path: Path) -> None:
    fuzz(reader, changed(seeds(reader.format)), tmp_path, examples=12)


@pytest.mark.parametrize("reader", VALUES, ids=lambda reader: reader.format)
def test_changed_values_are_read_or_refused_by_name(reader: Reader, tmp_path: Path) -> None:
    values = structured(reader.format)
    assert values is not None
    fuzz(reader, values, tmp_path, examples=30)


def test_rows_that_are_no_homologs_change_nothing(tmp_path: Path) -> None:
    reader = READERS["A3M"]
    sound = [(header[1:], letters.replace("-", "")) for header, letters in ROWS]

    @quickly(40)
    @given(content=with_foreign_rows(ROWS))
    def run(content: bytes) -> None:
        (tmp_path / reader.file).write_bytes(content)
        assert reader.read(tmp_path / reader.file) == sound

    run()


def test_a_damaged_cache_of_an_alignment_changes_nothing(tmp_path: Path) -> None:
    from bindtune.data.protein.contexts import cache_entry, read_homologs

    alignment, cache = tmp_path / "q.a3m", tmp_path / "cache"
    cache.mkdir()
    alignment.write_text("\n".join(part for row in ROWS for part in row))
    entry = cache_entry(alignment, 0.8, cache)

    def read() -> list[Any]:
        homologs = read_homologs(alignment, neighbor_similarity_lower_bound=0.8, cache_dir=cache)
        arrays = (homologs.text, homologs.bounds, homologs.similarity, homologs.neighbours, homologs.query)
        return [homologs.names, *(array.tolist() for array in arrays)]

    sound = read()
    content = entry.read_bytes()

    @quickly(60)
    @given(damaged=changed((content,)))
    def run(damaged: bytes) -> None:
        entry.write_bytes(damaged)
        assert read() == sound
        assert read() == sound
        assert list(cache.iterdir()) == [entry]

    run()


def test_patterns_of_adapters_are_tried_in_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    from bindtune.models import adapter_config

    monkeypatch.setattr(adapter_config, "_SECONDS", 0.05)
    layers = [f"layers.{number}.attention.{name}" for number in range(12) for name in ("q_proj", "v_proj", "a" * 40)]

    @quickly(25)
    @given(pattern=patterns())
    def run(pattern: str) -> None:
        began = time.process_time()
        try:
            matched = adapter_config.matching_layers(pattern, layers)
        except ConfigError as error:
            assert "\n" not in str(error)
        else:
            assert matched == [name for name in layers if name in matched]
        assert time.process_time() - began < 5  # the limit, and compiling

    run()
    assert adapter_config.matching_layers("(.+)+_proj$", ["a", "q_proj"]) == ["q_proj"]


def test_names_are_no_commands_of_scripts(tmp_path: Path) -> None:
    script, attributes = tmp_path / "s.pml", tmp_path / "s.defattr"
    command = re.compile(r"(load|hide|show|color|spectrum|select|zoom|orient|set|deselect)( [^;\n'\"$`#@]*)?")
    attribute = re.compile(r"(attribute: \w+|match mode: 1-to-1|recipient: residues|\t/?\w*:-?\d+\w*\t[\d.e-]+)")

    @quickly(80)
    @given(chain=names(), insertion=names(), file=names(), ion=names().filter(bool))
    def run(chain: str, insertion: str, file: str, ion: str) -> None:
        residue = ResidueName(chain, 10, insertion)
        for path, line, write in (
            (script, command, lambda: write_pymol(script, tmp_path / f"{file}.cif", chain=chain, sites=[residue])),
            (attributes, attribute, lambda: write_attributes(attributes, {ion: {residue: 0.5}})),
        ):
            path.unlink(missing_ok=True)
            try:
                write()
            except ValueError:
                assert not path.exists()
                continue
            lines = path.read_text().replace(" chain '' ", " ").splitlines()
            assert [text for text in lines if not line.fullmatch(text)] == []

    run()


def test_a_parser_that_breaks_is_found(tmp_path: Path) -> None:
    def careless(path: Path) -> int:
        return int(path.read_bytes())

    finding = check(Reader("x", "x", careless), b"five", tmp_path)
    assert finding is not None
    assert finding.key.startswith("ValueError")

    def loses(path: Path) -> list[str]:
        return path.read_text().splitlines()[1:]

    finding = check(Reader("protein FASTA", "x", loses), b">a\nM\n", tmp_path)
    assert finding is not None

    def endless(path: Path) -> None:
        while True:
            pass

    finding = check(Reader("x", "x", endless), b"", tmp_path, seconds=1)
    assert finding is not None
    assert finding.key == "hang"
