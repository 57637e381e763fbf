"""Read files of one endless line, plain and gzipped: each must be refused early, in little memory.

    python benchmarks/endless_files.py --megabytes 1000

Prints for each format what reading added to the most memory that the process had so far, how long it took, and what was
said. Exit code 1: a file was read, or added more than --most megabytes.
"""

import argparse
import gzip
import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from bindtune.errors import BindtuneError
from corpus.readers import READERS
from corpus.valid import seeds

_BEGINNINGS = {
    "peaks": b"chr1\t1\t9\t",
    "genes": b"#",
    "region FASTA": b">chr1:0-",
    "chromosome aliases": b"chr1\t",
    "training records": b'{"sequence": "',
    "protein FASTA": b">a\n",
    "label FASTA": b">a\n",
    "A3M": b">q\n",
    "cluster table": b"a\t",
    "folds": b"protein,fold\n",
    "PDB": b"HEADER",
    "mmCIF": b"data_",
    "genome FASTA": b"",
}
_ARRAY = b'[{"sequence": "'
_PIECE = 1 << 20


def _peak() -> float:
    """The most memory that this process had, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _write(path: Path, beginning: bytes, *, megabytes: int, packed: bool) -> None:
    """A beginning and then one letter again and again; the gzipped one is small, the plain one without holes."""
    letters = b"A" * _PIECE
    piece = gzip.compress(letters) if packed else letters
    with path.open("wb") as file:
        file.write(gzip.compress(beginning) if packed else beginning)
        for _ in range(megabytes):
            file.write(piece)


def main() -> None:
    """Write the files one after another, read them, and print what it took."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--megabytes", type=int, default=1000, help="of each file, unpacked")
    arguments.add_argument("--most", type=int, default=400, help="megabytes that reading may add to the most so far")
    options = arguments.parse_args()
    failures = 0
    files = [*_BEGINNINGS.items(), ("training records", _ARRAY)]
    with tempfile.TemporaryDirectory() as name:
        for format, beginning in files:
            path = Path(name) / READERS[format].file
            path.write_bytes(seeds(format)[0])
            READERS[format].read(path)  # imports are no part of it
            for packed in (False, True):
                if packed and format == "genome FASTA":
                    continue  # unpacked to a file first, whatever its lines
                _write(path, beginning, megabytes=options.megabytes, packed=packed)
                before, began = _peak(), time.perf_counter()
                try:
                    READERS[format].read(path)
                    message, refused = "it was read", False
                except BindtuneError as error:
                    message, refused = str(error).replace(name, "")[:90], True
                added = _peak() - before
                failures += not refused or added > options.most
                kind = "gzip " if packed else "plain"
                print(
                    f"{format:<19} {kind} +{added:4.0f} MB {time.perf_counter() - began:6.2f} s  {message}", flush=True
                )
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
