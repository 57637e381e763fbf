"""How fast are structures read by `bindtune sites`, and in how much memory?

    python benchmarks/sites.py STRUCTURES [--count 1000]

STRUCTURES is a folder of structures. They are linked again and again until there are as many as asked for, under other
names, and read with the biological assembly. The memory is compared with that of a tenth of them.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bindtune.io.entry_files import entry_name
from rows import Row, add_json_option, write_rows

_RUN = """
import json, resource, sys
from bindtune.config import SitesConfig, load
from bindtune.preparation.sites import make_sites
options = {"structures": sys.argv[1], "ions": "ZN,CA,MG,MN,FE,LREE,HREE", "out": sys.argv[2]}
make_sites(load(SitesConfig, config=None, options=options))
print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))
"""


def link(source: Path, folder: Path, count: int) -> None:
    """Put so many links to the structures of a folder into another one."""
    paths = [path for path in sorted(source.rglob("*")) if path.is_file() and entry_name(path) is not None]
    folder.mkdir()
    for number in range(count):
        path = paths[number % len(paths)]
        (folder / f"s{number:06d}.{path.name.partition('.')[2]}").symlink_to(path.resolve())


def measure(source: Path, work: Path, count: int) -> tuple[float, float]:
    """Seconds and peak MiB of a run on so many structures, in a process of its own."""
    folder = work / f"structures-{count}"
    link(source, folder, count)
    start = time.perf_counter()
    command = [sys.executable, "-c", _RUN, str(folder), str(work / f"labels-{count}")]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    return time.perf_counter() - start, float(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Print the rate, and the memory for all and for a tenth."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("structures", type=Path, help="a folder of structures")
    parser.add_argument("--count", type=int, default=1000)
    add_json_option(parser)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        _, small = measure(arguments.structures, Path(work), max(arguments.count // 10, 1))
        seconds, large = measure(arguments.structures, Path(work), arguments.count)
    rate = arguments.count / seconds
    print(f"{arguments.count} structures in {seconds:.1f} s: {rate:.1f} a second")
    print(f"peak memory: {large:.0f} MiB, {small:.0f} MiB for a tenth of them")
    rows = [
        Row(f"sites: {arguments.count} structures", rate, "structures/s"),
        Row("the same, peak memory", large, "MiB", "a tenth of the structures", large / small, goal="at most 1.5"),
    ]
    write_rows(arguments.json, rows)


if __name__ == "__main__":
    main()
