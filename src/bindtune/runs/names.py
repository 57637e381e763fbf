"""The name of every file and folder that bindtune writes into a run, a fold, a checkpoint or a folder of predictions.

Names that other libraries choose for a model's files stand in `models.hub_names`.
"""

from pathlib import Path

# Every folder that a command writes.
LOCK = ".lock"
PROVENANCE = "provenance.json"
NOTICE = "NOTICE"
README = "README.md"
PLOTS = "plots"

# Runs of both jobs.
CONFIG = "config.yaml"
LOGS = "logs"
REPORT = "report.html"

# A pretraining run; the trainer's state stands in each checkpoint too.
TRAINER_STATE = "trainer_state.json"
ALL_RESULTS = "all_results.json"
EVAL_RECORDS = "eval_records.parquet"
TRAINING_ARGUMENTS = "training_args.bin"

# A checkpoint of a pretraining run.
OPTIMIZER = "optimizer.pt"
SCHEDULE = "scheduler.pt"
LOSS_SCALE = "scaler.pt"
SAVING = ".saving-"
DELETED = ".deleted-"
_CHECKPOINT = "checkpoint-"

# A binding run.
AUDIT = "audit.json"
FOLDS = "folds.csv"
TRAINING_LOG = "training.log"
ALIGNMENT_CACHE = "alignments"
METRICS = "metrics.csv"
OUT_OF_FOLD = "oof.parquet"
OUT_OF_FOLD_ARRAYS = "oof_preds.npz"
THRESHOLDS = "global_thresholds.yaml"
SUMMARY = "summary.yaml"

# A fold of a binding run; its table of held-out proteins has the run's name for it, OUT_OF_FOLD.
FOLD_STATE = "state.pt"
HISTORY = "history.csv"
UNSETTLED = ".unsettled"
"""Stands in a fold's folder while its best weights may be newer than its state."""
BEST = "best_e1_binding_model"
"""The trained encoder of a fold, and how the names of its heads and adapters begin."""
HEADS_ENDING = "_heads.pt"
ADAPTERS_ENDING = "_lora"
HEADS = f"{BEST}{HEADS_ENDING}"
ADAPTERS = f"{BEST}{ADAPTERS_ENDING}"
BEST_UNFINISHED = ".best-"
_FOLD = "fold_"

# A folder of predictions, of `bindtune predict` and `bindtune evaluate`.
MANIFEST = "manifest.json"
PREDICTIONS = "predictions.parquet"
PREDICTIONS_TSV = "predictions.tsv"
PARTS = "parts"
_PART, _PART_ENDING = "part-", ".parquet"
INPUT_COPY = ".input.fa"
CONTEXT_CACHE = ".alignments"
COUNT_SUMMARY = "summary.json"
"""What `bindtune predict`, `bindtune windows`, `bindtune sites` and `bindtune align` counted."""
STRUCTURES = "structures"
"""Structures with probabilities as B-factors, of `bindtune predict`."""
TEST_METRICS = "test_metrics.csv"
TEST_ARRAYS = "test_predictions.npz"
TOOL_PAGE = "tools.html"
TEST_SITES = "test_sites.csv"

# A folder of `bindtune probe`, beside CONFIG, PROVENANCE, PREDICTIONS, METRICS, SUMMARY and REPORT.
PROBE_WINDOWS = "windows.parquet"
PROBE_COUNTS = "counts.json"
LEAKS = "leaks.json"
SCORES = "scores"
PROBE_HEADS = "heads"
SEED_PREDICTIONS = "predictions_by_seed.parquet"
PROBE_UNFINISHED = "unfinished"
EMBEDDING_CACHE = "embeddings"

# A folder of `bindtune scan`, beside CONFIG, MANIFEST, PARTS, PROVENANCE, COUNT_SUMMARY and REPORT.
SCAN = "scan.parquet"
SCAN_TSV = "scan.tsv"
# A folder of `bindtune explain`, beside CONFIG, PROVENANCE, SUMMARY, REPORT and PARTS.
EXPLAINED_LETTERS = "nucleotides.tsv"
EXPLAINED_SEQUENCES = "sequences.tsv"
MOTIFS = "motifs.meme"
MOTIF_SITES = "motif_sites.tsv"
TRACKS = "tracks"
BIGWIGS = "bigwig"

# A folder of labels that `bindtune sites` made.
SITES = "sites.tsv"
CHAINS = "chains.tsv"
FILES = "files.tsv"
PROTEINS = "proteins.fa"

# A folder of alignments that `bindtune align` made, beside PROVENANCE and MANIFEST.
HOMOLOGS = "homologs.tsv"
LABELLED_HOMOLOGS = "labelled_homologs.tsv"


def results_file(split: str) -> str:
    """The name of the file with the figures of a split: train or eval."""
    return f"{split}_results.json"


def random_state_file(process: int, *, processes: int) -> str:
    """The name of the file with a process's random numbers in a checkpoint.

    Examples:
        >>> random_state_file(0, processes=1), random_state_file(1, processes=2)
        ('random_state.pt', 'random_state_1.pt')
    """
    return "random_state.pt" if processes == 1 else f"random_state_{process}.pt"


def checkpoint_folder(run: Path, step: int) -> Path:
    """The folder of the checkpoint of an optimiser step."""
    return run / f"{_CHECKPOINT}{step}"


def checkpoint_folders(run: Path) -> list[Path]:
    """Every checkpoint folder of a run, complete or not, by step."""
    steps = [(path.name.removeprefix(_CHECKPOINT), path) for path in run.glob(f"{_CHECKPOINT}*")]
    return [path for _, path in sorted((int(step), path) for step, path in steps if step.isdigit())]


def checkpoint_step(folder: Path) -> int:
    """The optimiser step of a checkpoint folder.

    Examples:
        >>> checkpoint_step(Path("run/checkpoint-200"))
        200
    """
    return int(folder.name.removeprefix(_CHECKPOINT))


def fold_folder(run: Path, fold: int) -> Path:
    """The folder of a fold.

    Examples:
        >>> fold_folder(Path("run"), 2).as_posix()
        'run/fold_2'
    """
    return run / f"{_FOLD}{fold}"


def fold_number(folder: Path) -> int | None:
    """The fold that a folder is named after, None where it has another name.

    Examples:
        >>> fold_number(Path("run/fold_2")), fold_number(Path("run/plots"))
        (2, None)
    """
    number = folder.name.removeprefix(_FOLD)
    return int(number) if folder.name.startswith(_FOLD) and number.isdecimal() else None


def fold_folders(run: Path) -> list[Path]:
    """The folders of a run that are named as a fold's."""
    return sorted(path for path in run.glob(f"{_FOLD}*") if path.is_dir())


def in_folds(run: Path, name: str) -> list[Path]:
    """The files of one name in the folds of a run, sorted by path."""
    return sorted(run.glob(f"{_FOLD}*/{name}"))


def is_part_of_run(folder: Path) -> bool:
    """Whether a folder is named as a fold or a checkpoint."""
    return folder.name.startswith((_FOLD, _CHECKPOINT))


def calls_file(ion: str) -> str:
    """The name of the 3-line FASTA with an ion's calls."""
    return f"calls_{ion}.fa"


def part_file(number: int) -> str:
    """The name of the table of one shard, from 0."""
    return f"{_PART}{number:05d}{_PART_ENDING}"


def part_files(folder: Path) -> list[Path]:
    """The tables of shards in a folder, by number."""
    paths = folder.glob(f"{_PART}*{_PART_ENDING}")
    return sorted(paths, key=lambda path: int(path.stem.removeprefix(_PART)))


def threshold_plot(ion: str) -> str:
    """The name of the picture of an ion's thresholds."""
    return f"thresholds_{ion}.png"


def calibration_plot(ion: str) -> str:
    """The name of the picture of an ion's calibration."""
    return f"calibration_{ion}.png"


def fold_plot(figure: str, *, fold: int, ion: str) -> str:
    """The name of a picture of a fold."""
    return f"{figure}_fold_{fold}_{ion}.png"
