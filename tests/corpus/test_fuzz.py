"""A moment of fuzzing for each quick parser, with a fixed seed; benchmarks/fuzz_parsers.py goes on for minutes."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, seed, settings

from corpus.fuzzing import changed, check
from corpus.readers import READERS, Reader
from corpus.valid import seeds

QUICK = [reader for reader in READERS.values() if not reader.loads_torch]


@pytest.mark.parametrize("reader", QUICK, ids=lambda reader: reader.format)
def test_changed_files_are_read_or_refused_by_name(reader: Reader, tmp_path: Path) -> None:
    for name, content in reader.beside.items():
        (tmp_path / name).write_bytes(content)

    @seed(1)
    @settings(max_examples=12, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(content=changed(seeds(reader.format)))
    def run(content: bytes) -> None:
        found = check(reader, content, tmp_path, seconds=60)
        assert found is None, found.told

    run()


def test_a_parser_that_breaks_is_found(tmp_path: Path) -> None:
    def careless(path: Path) -> int:
        return int(path.read_bytes())

    found = check(Reader("x", "x", careless), b"five", tmp_path)
    assert found is not None
    assert found.key.startswith("ValueError")

    def loses(path: Path) -> list[str]:
        return path.read_text().splitlines()[1:]

    found = check(Reader("protein FASTA", "x", loses), b">a\nM\n", tmp_path)
    assert found is not None

    def endless(path: Path) -> None:
        while True:
            pass

    found = check(Reader("x", "x", endless), b"", tmp_path, seconds=1)
    assert found is not None
    assert found.key == "hang"
