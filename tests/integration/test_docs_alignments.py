"""The documented MMseqs2 commands make alignments that are read, odd letters of the proteins included."""

import gzip
import random
import re
import subprocess
from pathlib import Path

import pytest
from tests.context_specs import context_spec

from bindtune.data.protein.alignments import Alignments
from bindtune.data.protein.input_files import alignment_files
from bindtune.data.protein.mmseqs import find_mmseqs
from bindtune.errors import ConfigError

PAGE = Path(__file__).parents[2] / "docs/how-to/alignments.md"


def test_the_documented_commands_of_mmseqs2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        program = find_mmseqs()
    except ConfigError as error:
        pytest.skip(str(error))
    (block,) = re.findall(r"```bash\n(mmseqs [^`]*)```", PAGE.read_text())
    drawn = random.Random(0)
    whole = "".join(drawn.choices("ACDEFGHIKLMNPQRSTVWY", k=150))
    odd = "".join({10: "U", 20: "O", 30: "X", 40: "B", 50: "Z", 60: "J"}.get(at, one) for at, one in enumerate(whole))
    proteins = {"sp|P00918|CAH2_HUMAN": whole, "odd": odd}
    homologs = [
        "".join(drawn.choice("ACDEFGHIKLMNPQRSTVWY") if drawn.random() < 0.3 else one for one in whole)
        for _ in range(6)
    ]
    (tmp_path / "proteins.fa").write_text("".join(f">{name}\n{one}\n" for name, one in proteins.items()))
    (tmp_path / "uniref50.fasta.gz").write_bytes(
        gzip.compress("".join(f">h{number}\n{one}\n" for number, one in enumerate(homologs)).encode())
    )
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "mmseqs").symlink_to(program)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    done = subprocess.run(["bash", "-e"], input=block, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    paths, alone = alignment_files(tmp_path / "alignments", looked_for=dict.fromkeys(proteins, ("ZN",)), groups={})
    assert alone == ()
    alignments = Alignments(paths, cache_dir=tmp_path / "cache", neighbor_similarity_lower_bounds=[0.8])
    alignments.prepare(proteins)
    for name, sequence in proteins.items():
        context = alignments.draw(name, context_spec())
        assert {each.split()[0] for each in context.names} >= {f"h{number}" for number in range(6)}
        assert sequence in context.sequences
