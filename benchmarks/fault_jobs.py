"""The commands that `faults.py` breaks: small inputs, the words of each command, and what its outputs must equal.

A job runs in a folder of its own with copies of its inputs in `in`, and writes to `disk/out`: all paths are relative,
so that two runs can be compared file by file.
"""

import csv
import json
import random
import re
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatch
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

OUT = "disk/out"
LETTERS = "ACDEFGHIKLMNPQRSTVWY"
# When it was run, how long that took, and what is said while it runs: all else must be equal.
_LEFT_OUT = (
    ".lock", "provenance.json", "training.log", "logs/*", "training_args.bin", "train_results.json",
    "all_results.json", "*/.lock", "report.html",
)  # fmt: skip
_TIMES = re.compile(r"_runtime$|_per_second$")


@dataclass(frozen=True)
class Job:
    """A command and its inputs.

    Args:
        name: of the command.
        words: the command line, with its option for resuming or replacing: it begins, and goes on after a fault.
        inputs: what it reads of the prepared inputs, by name.
        fault_input: the input that vanishes, changes or cannot be read; None where the run folder is the input.
        change: makes other content of that input.
        once: whether it refuses a folder in which its output stands.
        made: what stands in the output folder before the command, if anything.
    """

    name: str
    words: tuple[str, ...]
    inputs: tuple[str, ...]
    fault_input: str | None = None
    change: Callable[[str], str] | None = None
    made: str | None = None
    once: bool = False


def _without_last_line(text: str) -> str:
    return "".join(text.splitlines(keepends=True)[:-1])


def _without_last_record(text: str) -> str:
    return text[: text.rindex(">")]


_PRETRAIN = (
    "pretrain", "--model_name_or_path", "in/model", "--train_file", "in/train.jsonl",
    "--validation_file", "in/validation.parquet", "--output_dir", OUT, "--use_adaptive_masking", "--max_steps", "12",
    "--per_device_train_batch_size", "8", "--gradient_accumulation_steps", "2", "--learning_rate", "1e-3",
    "--eval_steps", "3", "--save_steps", "3", "--logging_steps", "2", "--max_eval_samples", "20",
    "--dataloader_num_workers", "1", "--preprocessing_num_workers", "2", "--resume_from_checkpoint", "auto",
)  # fmt: skip
_WINDOWS = (
    "windows", "--peaks", "in/peaks.bed", "--genome", "in/genome.fa", "--regions", "in/genes.bed", "--out", OUT,
    "--validation-fraction", "0.1", "--stride", "8", "--overwrite",
)  # fmt: skip
_TRAIN = ("train", "--config", "in/binding.yaml", "--resume", "auto")
_PREDICT = ("predict", "--run", "in/run", "--fasta", "in/proteins.fa", "--out", OUT, "--shard-proteins", "4")
_EVALUATE = ("evaluate", "--run", "in/run", "--fasta", "in/{ION}_test.fa", "--out", OUT, "--shard-proteins", "4")
_EMBED = ("embed", "--model", "in/encoder", "--fasta", "in/proteins.fa", "--out", f"{OUT}/embeddings.safetensors")
_SITES = ("sites", "--structures", "in/structures/all.txt", "--ions", "ZN", "--out", OUT, "--overwrite")
_PROBE = ("probe", "--positives", "in/positives.fa", "--negatives", "in/negatives.fa", "--model", "base=in/model",
          "--width", "41", "--folds", "2", "--draws", "50", "--out", OUT)  # fmt: skip
_SCAN = ("scan", "--run", "in/run", "--fasta", "in/parent.fa", "--positions", "1-6", "--to", "AC", "--out", OUT)
_ALIGN = ("align", "--fasta", "in/queries.fa", "--database", "in/proteins.fa", "--iterations", "1", "--out", OUT)
_EMBED_DNA = ("embed", "--model", "in/model", "--genome", "in/genome.fa", "--regions", "in/peaks.bed", "--out",
              f"{OUT}/embeddings.parquet")  # fmt: skip
_SCORE = ("score", "--model", "in/model", "--vcf", "in/variants.vcf", "--genome", "in/genome.fa", "--width", "64",
          "--part-variants", "30", "--out", f"{OUT}/scores.vcf.gz")  # fmt: skip
_EXPLAIN = ("explain", "in/probe", "--fasta", "in/positives.fa", "--out", OUT)
_EXPORT = ("export", "in/run/fold_1", "--out", OUT)

JOBS = {
    job.name: job
    for job in (
        Job("windows", _WINDOWS, ("genome.fa", "genes.bed", "peaks.bed"), "peaks.bed",
            _without_last_line),
        Job("pretrain", _PRETRAIN, ("model", "train.jsonl", "validation.parquet"), "train.jsonl", _without_last_line),
        Job("train", _TRAIN, ("encoder", "binding.yaml", "ZN.fa", "msa"), "ZN.fa",
            _without_last_record),
        Job("merge", ("merge", OUT), ("encoder",), made="unmerged"),
        Job("predict", _PREDICT, ("encoder", "run", "proteins.fa"), "proteins.fa", _without_last_record),
        Job("evaluate", _EVALUATE, ("encoder", "run", "ZN_test.fa"), "ZN_test.fa", _without_last_record),
        Job("embed", _EMBED, ("encoder", "proteins.fa"), "proteins.fa", _without_last_record),
        Job("sites", _SITES, ("structures",), "structures/s0.pdb", _without_last_line),
        Job("probe", _PROBE, ("model", "positives.fa", "negatives.fa"), "positives.fa", _without_last_record),
        Job("scan", _SCAN, ("encoder", "run", "parent.fa"), "parent.fa"),
        Job("align", _ALIGN, ("queries.fa", "proteins.fa"), "queries.fa", _without_last_record),
        Job("embed-dna", _EMBED_DNA, ("model", "genome.fa", "peaks.bed"), "peaks.bed", _without_last_line),
        Job("score", _SCORE, ("model", "genome.fa", "variants.vcf"), "variants.vcf", _without_last_line),
        Job("explain", _EXPLAIN, ("model", "probe", "positives.fa"), "positives.fa", _without_last_record),
        Job("export", _EXPORT, ("encoder", "run"), "run/fold_1/best_e1_binding_model_heads.pt",
            once=True),
    )
}  # fmt: skip


# -------------------------------------------------------------------- inputs


def make_inputs(folder: Path) -> None:
    """Write what all jobs read into `folder`; computes, so it has a process of its own."""
    import torch

    from bindtune.demo.pretraining import make_windows_and_model
    from bindtune.io.records import read_windows
    from bindtune.models.e1 import E1Config, E1ForMaskedLM

    train, validation, _ = make_windows_and_model(folder / "generated", small=True, notify=lambda _: None)
    for name in ("genome.fa", "genes.bed", "peaks.bed"):
        (folder / "generated" / "genome" / name).rename(folder / name)
    windows = (
        {"seq_id": window.seq_id, "sequence": window.sequence,
         "eclip_regions": [{"peak_start": start, "peak_end": end} for start, end in window.peaks]}
        for window in read_windows(train)
    )  # fmt: skip
    (folder / "train.jsonl").write_text("".join(json.dumps(window) + "\n" for window in windows), encoding="ascii")
    validation.rename(folder / "validation.parquet")
    (folder / "generated" / "model").rename(folder / "model")
    torch.manual_seed(0)
    E1ForMaskedLM(
        E1Config(
            hidden_size=16, intermediate_size=32, gated_mlp=True, num_hidden_layers=2, num_attention_heads=2,
            num_key_value_heads=2, global_attention_every_n_layers=2, clip_qkv=8.0, max_num_sequences=16,
        )
    ).save_pretrained(folder / "encoder")  # fmt: skip
    drawn = random.Random(0)
    sequences = ["".join(drawn.choices(LETTERS, k=length)) + "C" for length in range(24, 32)]
    labelled = "".join(f">p{n}\n{s}\n{''.join('01'[x == 'C'] for x in s)}\n" for n, s in enumerate(sequences))
    (folder / "ZN.fa").write_text(labelled)
    (folder / "msa").mkdir()
    for number, sequence in enumerate(sequences[:4]):
        rows = "".join(f">h{n}\n{sequence[:9]}{''.join(drawn.choices(LETTERS, k=len(sequence) - 9))}\n" for n in (1, 2))
        (folder / "msa" / f"p{number}.a3m").write_text(f">p{number}\n{sequence}\n{rows}")
    (folder / "binding.yaml").write_text(yaml.safe_dump(_binding_settings()))
    proteins = ["".join(drawn.choices(LETTERS, k=drawn.randint(20, 150))) for _ in range(160)]
    (folder / "proteins.fa").write_text("".join(f">q{n}\n{s}\n" for n, s in enumerate(proteins)))
    marked = (f">t{n}\n{s}\n{''.join('01'[x == 'C'] for x in s)}\n" for n, s in enumerate(proteins[:60]))
    (folder / "ZN_test.fa").write_text("".join(marked))
    _make_structures(folder / "structures", drawn)
    (folder / "queries.fa").write_text("".join(f">q{n}\n{s}\n" for n, s in enumerate(proteins[:6])))
    (folder / "parent.fa").write_text(f">parent\n{proteins[0][:40]}\n")
    (folder / "variants.vcf").write_text(_variants((folder / "genome.fa").read_text()))
    for name, motif in (("positives", "TGTAAATA"), ("negatives", "")):
        windows = ("".join(drawn.choices("ACGT", k=41 - len(motif))) for _ in range(60))
        records = (f">{name}{n}\n{letters[:16]}{motif}{letters[16:]}\n" for n, letters in enumerate(windows))
        (folder / f"{name}.fa").write_text("".join(records))


def _variants(genome: str) -> str:
    """A VCF of substitutions along the first sequence of a FASTA text."""
    name, _, letters = genome.removeprefix(">").split(">")[0].partition("\n")
    letters = letters.replace("\n", "").upper()
    other = {"A": "C", "C": "G", "G": "T", "T": "A"}
    records = (
        f"{name.split()[0]}\t{place + 1}\t.\t{letters[place]}\t{other[letters[place]]}\t.\t.\t.\n"
        for place in range(200, 2000, 12) if letters[place] in other
    )  # fmt: skip
    return "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n" + "".join(records)


def _make_structures(folder: Path, drawn: random.Random) -> None:
    """Write PDB files of a chain of cysteines and other residues, with a zinc ion beside two cysteines."""
    folder.mkdir()
    names = ("CYS", "ALA", "GLY", "SER", "LEU", "LYS", "GLU")
    for number in range(20):
        residues = ["CYS", "CYS", *drawn.choices(names, k=30)]
        lines = [
            f"ATOM  {n + 1:5d}  CA  {name} A{n + 1:4d}    {3.8 * n:8.3f}{0:8.3f}{0:8.3f}  1.00 20.00           C"
            for n, name in enumerate(residues)
        ]
        zinc = f"HETATM  999 ZN    ZN A 900    {1.9:8.3f}{1:8.3f}{0:8.3f}  1.00 20.00          ZN"
        (folder / f"s{number}.pdb").write_text("\n".join([*lines, "TER", zinc, "END"]) + "\n")
    (folder / "all.txt").write_text("".join(f"s{number}.pdb\n" for number in range(20)))


def _binding_settings() -> dict[str, Any]:
    return {
        "data": {"fasta_path": "in/{ION}.fa", "msa_dir": "in/msa"},
        "training": {
            "ions": ["ZN"], "num_folds": 2, "epochs": 2, "warmup_epochs": 1, "batch_size": 1, "accum_steps": 2,
            "learning_rate": 3e-3, "num_workers": 0, "save_steps": 1, "output_dir": OUT, "mlm_weight": 0.1,
        },
        "lora": {"r": 2, "alpha": 4, "dropout": 0.1},
        "model": {"checkpoint": "in/encoder"},
    }  # fmt: skip


def set_up(job: Job, inputs: Path, folder: Path) -> Path:
    """Give a job a new folder with copies of its inputs."""
    for name in job.inputs:
        source, target = inputs / name, folder / "in" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        _copy(source, target)
    (folder / "disk").mkdir(parents=True)
    return folder


def put_made(job: Job, inputs: Path, folder: Path) -> None:
    """Put what stands before the command into the output folder."""
    if job.made is not None:
        _copy(inputs / job.made, folder / OUT)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)


def unmerged(run: Path, target: Path) -> None:
    """A run folder whose folds are done and not merged: what `merge` begins with."""
    shutil.copytree(run, target)
    for name in ("oof.parquet", "metrics.csv", "oof_preds.npz", "global_thresholds.yaml", "summary.yaml", "README.md"):
        (target / name).unlink()
    shutil.rmtree(target / "plots")


# -------------------------------------------------------------------- comparing


def differences(expected: Path, folder: Path) -> list[str]:
    """What two output folders do not have alike, but for times and where they lie: files that lack or differ."""
    ours, theirs = _files(expected), _files(folder)
    lines = [f"{name} is missing" for name in sorted(ours.keys() - theirs.keys())]
    lines += [f"{name} was left behind" for name in sorted(theirs.keys() - ours.keys())]
    both = sorted(ours.keys() & theirs.keys())
    roots = (_root(expected), _root(folder))
    return lines + [f"{name} differs" for name in both if not _equal(ours[name], theirs[name], roots)]


def _root(folder: Path) -> str:
    """The folder of a job, whose absolute path a run notes."""
    return str(folder.absolute().parents[1])


def _files(folder: Path) -> dict[str, Path]:
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {name: path for name, path in files.items() if not any(fnmatch(name, left) for left in _LEFT_OUT)}


def _equal(one: Path, other: Path, roots: tuple[str, str]) -> bool:
    if one.suffix == ".json":
        ours, theirs = (
            json.loads(path.read_text(encoding="utf-8").replace(root, ""))
            for path, root in zip((one, other), roots, strict=True)
        )
        return bool(_timeless(ours) == _timeless(theirs))
    if one.suffix == ".pt":
        return _unpacked(one, roots[0]) == _unpacked(other, roots[1])
    if one.suffix == ".safetensors":
        return _tensors(one) == _tensors(other)
    return one.read_bytes() == other.read_bytes()


def _unpacked(path: Path, root: str) -> Any:
    """What torch saved, with tensors as their bytes."""
    import torch

    return _plain(torch.load(path, map_location="cpu", weights_only=True), root)


def _plain(value: Any, root: str) -> Any:
    if isinstance(value, dict):
        return {name: _plain(each, root) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each, root) for each in value]
    if hasattr(value, "numpy"):
        return str(value.dtype), tuple(value.shape), value.contiguous().numpy().tobytes()
    return value.replace(root, "") if isinstance(value, str) else value


def _tensors(path: Path) -> tuple[Any, bytes]:
    """What stands before the tensors, and their bytes; safetensors writes notes in another order in each process."""
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + size]), content[8 + size :]


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        # Losses of training are logged over the steps since the last log line, or since the resume.
        document = {**value, "log_history": [row for row in value.get("log_history", []) if "eval_loss" in row]}
        return {name: _timeless(each) for name, each in document.items() if not _TIMES.search(name)}
    return [_timeless(each) for each in value] if isinstance(value, list) else value


def half_written(folder: Path) -> list[str]:
    """Files that stand under a final name and are not whole. A checkpoint without its state counts as not there."""
    broken = []
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        unfinished = any(part.startswith(".") for part in parts) or "logs" in parts or path.suffix == ".log"
        checkpoint = next((folder / part for part in parts if part.startswith("checkpoint-")), None)
        if unfinished or not path.is_file() or (checkpoint and not _whole(checkpoint / "trainer_state.json")):
            continue
        if not _whole(path):
            broken.append(str(path.relative_to(folder)))
    return broken


def _whole(path: Path) -> bool:
    """Whether a file ends where its format says that it ends."""
    try:
        return _CHECKS.get(path.suffix, lambda content: len(content) > 0)(path.read_bytes())
    except (OSError, ValueError, zipfile.BadZipFile, yaml.YAMLError):
        return False


def _safetensors(content: bytes) -> bool:
    size = int.from_bytes(content[:8], "little")
    tensors = json.loads(content[8 : 8 + size])
    return 8 + size + max(each["data_offsets"][1] for name, each in tensors.items() if name[0] != "_") == len(content)


def _zip(content: bytes) -> bool:
    import io

    return zipfile.ZipFile(io.BytesIO(content)).testzip() is None


def _csv(content: bytes) -> bool:
    lengths = [len(row) for row in csv.reader(content.decode().splitlines())]
    return content.endswith(b"\n") and all(one == other for one, other in pairwise(lengths))


_CHECKS: dict[str, Callable[[bytes], bool]] = {
    ".json": lambda content: json.loads(content) is not None,
    ".yaml": lambda content: content.endswith(b"\n") and yaml.safe_load(content) is not None,
    ".parquet": lambda content: len(content) > 8 and content[:4] == content[-4:] == b"PAR1",
    ".png": lambda content: content[-8:-4] == b"IEND",
    ".safetensors": _safetensors,
    ".npz": _zip,
    ".pt": _zip,
    ".bin": _zip,
    ".csv": _csv,
    ".fa": lambda content: content.endswith(b"\n"),
    ".tsv": lambda content: content.endswith(b"\n"),
}
