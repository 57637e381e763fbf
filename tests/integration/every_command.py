"""Runs every command one after the other in one interpreter: `python every_command.py INPUTS DISK MARK`.

INPUTS holds `windows`, `genome`, `model` and `encoder`; the working folder gets the rest. DISK is how `flock` answers:
local, nfs (descriptors that are not open for writing are refused) or none. MARK stands in the name of every file and
folder that is read or written.
"""

import errno
import fcntl
import os
import random
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

LETTERS = "ACDEFGHIKLMNPQRSTVWY"
STRUCTURE = """\
ATOM      1  NE2 HIS A   1      -2.100   0.000   0.000  1.00  9.00           N
ATOM      2  SG  CYS A   2       2.300   0.000   0.000  1.00  9.00           S
ATOM      3  CA  GLY A   3       9.000   0.000   0.000  1.00  9.00           C
HETATM    4 ZN    ZN A   4       0.000   0.000   0.000  1.00  9.00          ZN
"""
"""Two residues that hold a zinc ion, and one that does not."""


def write_inputs(inputs: Path, mark: str) -> None:
    """Copy and write what the commands read into `in` of the working folder."""
    folder = Path(f"in{mark}")
    for name in ("windows", "genome", "model", "encoder"):
        shutil.copytree(inputs / name, folder / f"{name}{mark}")
    for path in [*folder.rglob("genome.fa"), *folder.rglob("peaks.bed"), *folder.rglob("train.parquet")]:
        path.rename(path.with_name(f"{path.stem}{mark}{path.suffix}"))
    drawn = random.Random(0)
    sequences = ["".join(drawn.choices(LETTERS, k=length)) + "C" for length in range(24, 30)]
    names = [f"prötein{number}" for number in range(len(sequences))]
    pairs = list(zip(names, sequences, strict=True))
    labelled = "".join(f">{name}\n{text}\n{''.join('01'[x == 'C'] for x in text)}\n" for name, text in pairs)
    (folder / f"ZN{mark}.fa").write_text(labelled, encoding="utf-8")
    (folder / f"proteins{mark}.fa").write_text("".join(f">{n} one\n{s}\n" for n, s in pairs), encoding="utf-8")
    (folder / f"parent{mark}.fa").write_text(f">{names[0]}\n{sequences[0]}\n", encoding="utf-8")
    (folder / f"variants{mark}.txt").write_text(f"{sequences[0][0]}1C\n", encoding="utf-8")
    (folder / f"structures{mark}").mkdir()
    (folder / f"structures{mark}" / f"zinc{mark}.pdb").write_text(STRUCTURE, encoding="ascii")
    (folder / f"msa{mark}").mkdir()
    rows = "".join(f">h{n}\n{sequences[0][:9]}{''.join(drawn.choices(LETTERS, k=16))}\n" for n in (1, 2))
    alignment = f">{names[0]}\n{sequences[0]}\n{rows}"
    (folder / f"msa{mark}" / f"{names[0]}.a3m").write_text(alignment, encoding="utf-8")
    settings = f"""
data: {{fasta_path: "{folder}/{{ION}}{mark}.fa", msa_dir: "{folder}/msa{mark}"}}
training: {{ions: [ZN], num_folds: 2, epochs: 1, warmup_epochs: 1, batch_size: 2, accum_steps: 1, num_workers: 1,
  learning_rate: 0.003, mlm_weight: 0.1}}
lora: {{r: 2, alpha: 4, dropout: 0.1}}
model: {{checkpoint: "{folder}/encoder{mark}"}}
"""
    (folder / f"binding{mark}.yaml").write_text(settings, encoding="utf-8")


def commands(mark: str) -> Iterator[list[str]]:
    """The words of each command."""
    inputs = {name: f"in{mark}/{name}{mark}" for name in ("windows", "genome", "model", "encoder", "msa")}
    genome = [f"{inputs['genome']}/{name}" for name in (f"peaks{mark}.bed", f"genome{mark}.fa", "genes.bed")]
    yield ["windows", "--peaks", genome[0], "--genome", genome[1], "--regions", genome[2], "--out", f"windows{mark}",
           "--validation-fraction", "0.1", "--stride", "256", "--write-index"]  # fmt: skip
    yield ["pretrain", "--model_name_or_path", inputs["model"], "--output_dir", f"pretraining{mark}",
           "--train_file", f"{inputs['windows']}/train{mark}.parquet",
           "--validation_file", f"{inputs['windows']}/validation.parquet",
           "--max_steps", "2", "--eval_steps", "1", "--save_steps", "1", "--logging_steps", "1",
           "--max_eval_samples", "8", "--max_train_samples", "40",
           "--per_device_train_batch_size", "4", "--gradient_accumulation_steps", "1",
           "--dataloader_num_workers", "1", "--preprocessing_num_workers", "2"]  # fmt: skip
    for fold in ("1", "2"):
        yield ["train", "--config", f"in{mark}/binding{mark}.yaml", f"training.output_dir=run{mark}", "--fold", fold]
    yield ["merge", f"run{mark}"]
    tested = ["--run", f"run{mark}", "--msa-dir", inputs["msa"]]
    yield ["predict", *tested, "--fasta", f"in{mark}/proteins{mark}.fa", "--out", f"predicted{mark}"]
    yield ["scan", *tested, "--fasta", f"in{mark}/parent{mark}.fa", "--positions", "3", "--out", f"scanned{mark}"]
    yield ["align", "--fasta", f"in{mark}/parent{mark}.fa", "--database", f"in{mark}/proteins{mark}.fa",
           "--labels", f"in{mark}/ZN{mark}.fa", "--iterations", "1", "--out", f"aligned{mark}"]  # fmt: skip
    yield ["sites", "--structures", f"in{mark}/structures{mark}", "--ions", "ZN", "--out", f"labels{mark}"]
    yield ["evaluate", *tested, "--fasta", f"in{mark}/{{ION}}{mark}.fa", "--out", f"evaluated{mark}"]
    shutil.copytree(f"run{mark}", "other")
    settings = (Path("other") / "config.yaml").read_text(encoding="utf-8")
    (Path("other") / "config.yaml").write_text(settings.replace("dropout: 0.1", "dropout: 0.2"), encoding="utf-8")
    yield ["report", f"run{mark}", "--out", f"report{mark}.html"]
    yield ["report", f"pretraining{mark}"]
    yield ["compare", f"run{mark}", "other", "--out", f"compare{mark}.html"]
    yield ["export", f"run{mark}/fold_1", "--out", f"merged{mark}"]
    yield ["export", f"pretraining{mark}", "--out", f"exported{mark}"]
    for suffix in (".safetensors", ".parquet"):
        yield ["embed", "--model", inputs["encoder"], "--fasta", f"in{mark}/proteins{mark}.fa",
               "--msa-dir", inputs["msa"], "--out", f"embeddings{mark}{suffix}"]  # fmt: skip
    yield ["score", "--model", inputs["encoder"], "--parent", f"in{mark}/parent{mark}.fa",
           "--cache-dir", f"cache{mark}", "--variants", f"in{mark}/variants{mark}.txt",
           "--msa", f"{inputs['msa']}/prötein0.a3m", "--out", f"scores{mark}.tsv"]  # fmt: skip
    yield from dna_commands(mark, model=inputs["model"], genome=genome[1], peaks=genome[0])
    yield ["init", "train", "--out", f"init{mark}"]
    yield ["schema", "train", "--out", f"schema{mark}.json"]
    yield ["check-lora", "--config", f"in{mark}/binding{mark}.yaml"]
    yield ["verify", f"run{mark}"]
    yield ["push", f"run{mark}", "--repo", "example/run", "--dry-run"]


def dna_commands(mark: str, *, model: str, genome: str, peaks: str) -> Iterator[list[str]]:
    """The words of the commands that use a model of DNA."""
    drawn = random.Random(1)
    for name in ("positives", "negatives"):
        records = (f">{name}{n}\n{''.join(drawn.choices('ACGT', k=30))}\n" for n in range(40))
        Path(f"in{mark}/{name}{mark}.fa").write_text("".join(records), encoding="ascii")
    positives, negatives = (f"in{mark}/{name}{mark}.fa" for name in ("positives", "negatives"))
    yield ["probe", "--positives", positives, "--negatives", negatives, "--model", f"base={model}", "--folds", "2",
           "--draws", "10", "--out", f"probe{mark}"]  # fmt: skip
    yield ["explain", f"probe{mark}", "--fasta", positives, "--model", "4-mer", "--out", f"explained{mark}"]
    yield ["report", f"probe{mark}"]
    yield ["report", f"explained{mark}"]
    yield ["embed", "--model", model, "--genome", genome, "--regions", peaks, "--out", f"letters{mark}.safetensors"]
    header, *lines = Path(genome).read_text(encoding="ascii").split(">")[1].splitlines()
    ref = "".join(lines)[299].upper()
    variant = f"{header.split()[0]}\t300\t{ref}\t{'A' if ref != 'A' else 'C'}\n"
    Path(f"in{mark}/variants{mark}.tsv").write_text(variant, encoding="ascii")
    yield ["score", "--model", model, "--table", f"in{mark}/variants{mark}.tsv", "--genome", genome, "--width", "64",
           "--out", f"effects{mark}.parquet"]  # fmt: skip


def answer_as(disk: str) -> None:
    """Let `flock` answer as a kind of disk does."""
    flock = fcntl.flock

    def answer(descriptor: int, operation: int) -> None:
        number = {"none": errno.ENOLCK, "nfs": errno.EBADF}.get(disk)
        reads_only = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
        if number is not None and (disk == "none" or reads_only):
            raise OSError(number, os.strerror(number))
        flock(descriptor, operation)

    fcntl.flock = answer


def main(inputs: Path, disk: str, mark: str) -> None:
    """Run everything; ends with the code of the first command that fails."""
    from bindtune import cli, locks
    from bindtune.encoding import use_utf8

    use_utf8()
    answer_as(disk)
    import datasets

    datasets.config.HF_DATASETS_CACHE = Path(f"cache{mark}").absolute()
    if disk != "local":
        from bindtune.training.binding import merge, tensorboard

        tensorboard.save_fold_plots = lambda *_, **__: None  # pictures take long, and hold no locks
        merge._draw = lambda *_: None
    write_inputs(inputs, mark)
    for words in commands(mark):
        locks._warned.clear()
        sys.stderr.write(f"== {' '.join(words)}\n")
        sys.argv = ["bindtune", *words]
        try:
            cli.main()
        except SystemExit as stop:
            if stop.code:
                raise


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
