"""The commands to give after each command, made of what that command was given.

Words in capitals, such as PROTEINS.fa, stand for files that only the user knows. All other commands work as they are.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bindtune.config import (
    AlignConfig,
    CompareConfig,
    EmbedConfig,
    EvaluateConfig,
    ExplainConfig,
    PredictConfig,
    PretrainConfig,
    ProbeConfig,
    ScanConfig,
    ScoreConfig,
    SitesConfig,
    WindowsConfig,
    load,
)
from bindtune.config.commands import COMMANDS
from bindtune.runs.kinds import is_binding, kind_of, run_config
from bindtune.runs.names import CONFIG, OUT_OF_FOLD

Words = tuple[object, ...]
_JOBS = {"protein": "train", "DNA": "pretrain"}
"""The command that trains models of each alphabet."""


def after_init(kind: str, paths: Sequence[Path]) -> list[Words]:
    """The command that takes the file, or for job scripts the file that they take."""
    if kind in _JOBS.values():
        return [("doctor", paths[0])]
    if kind in COMMANDS:
        return [(kind, "--config", paths[0])]
    return _settings_file("train", paths[0].parent)


def after_schema(command: str, kinds: Sequence[str]) -> list[Words]:
    """The command that makes a file of these settings, where there is one."""
    return [("init", command) if command in kinds else (command, "--help")]


def after_windows(settings: WindowsConfig) -> list[Words]:
    """Pretraining on the windows."""
    validation = settings.out / f"validation.{settings.format}"
    evaluated = ("--validation_file", validation) if validation.is_file() else ()
    train = settings.out / f"train.{settings.format}"
    return [("pretrain", "--train_file", train, *evaluated, "--output_dir", "run")]


def after_sites(settings: SitesConfig) -> list[Words]:
    """Training on the labels."""
    labels = f"data.fasta_path={settings.out}/{{ION}}_train.fa"
    return [*_missing_file("train"), (*_TRAIN, labels, f"training.ions=[{','.join(settings.ions)}]")]


def after_align(settings: AlignConfig) -> list[Words]:
    """Training with the alignments."""
    return [*_missing_file("train"), (*_TRAIN, f"data.msa_dir={settings.out}")]


_TRAIN = ("train", "--config", "train.yaml")


def after_pretrain(settings: PretrainConfig) -> list[Words]:
    """The page of the run."""
    return [("report", settings.output_dir)]


def after_train(run: Path) -> list[Words]:
    """The page of a run whose folds are joined; before that, the command that joins them."""
    return [("report" if (run / OUT_OF_FOLD).is_file() else "merge", run)]


def after_check_lora(config: Path | None, overrides: Sequence[str]) -> list[Words]:
    """Training with the same settings."""
    return [("train", *(() if config is None else ("--config", config)), *overrides)]


def after_probe(probe: Path) -> list[Words]:
    """An explanation of the sequences that were probed, where their file is still there."""
    settings = load(ProbeConfig, config=probe / CONFIG, options={})
    sequences: Words = ("--fasta", "SEQUENCES.fa")
    if settings.positives is not None and settings.positives.is_file():
        sequences = ("--fasta", settings.positives)
    elif settings.genome is not None and settings.genome.is_file():
        peaks = next(iter(settings.data_sets.values()))[0]
        sequences = ("--regions", peaks, "--genome", settings.genome)
    data_set = ("--dataset", next(iter(settings.data_sets))) if len(settings.data_sets) > 1 else ()
    return [("explain", probe, *sequences, *data_set, "--out", "explained")]


def after_explain(settings: ExplainConfig) -> list[Words]:
    """Effects of variants on the same model."""
    named = [*settings.model_names, *_models_of(settings.probe), "4-mer"]
    data_set = ("--dataset", settings.dataset) if settings.dataset else ()
    files = ("--vcf", "VARIANTS.vcf", "--genome", settings.genome or "GENOME.fa", "--out", "effects.tsv")
    return [("score", "--effect", settings.probe, "--model", named[0], *data_set, *files)]


def _models_of(probe: Path) -> list[str]:
    """Names of the models that a probe compares, if its folder is still there."""
    return list(load(ProbeConfig, config=probe / CONFIG, options={}).models) if (probe / CONFIG).is_file() else []


def after_predict(settings: PredictConfig) -> list[Words]:
    """The page, and a scan of the first protein; after a share, the command that joins all shares."""
    if settings.shard is not None:
        return [("predict", *_options(settings, without="shard"))]
    return [("report", settings.out), *_scan(settings.run, settings.fasta, settings.msa_dir)]


def _scan(run: Path, fasta: Path, msa_dir: str | None) -> list[Words]:
    """A scan of the first protein of a file that can be read again."""
    from bindtune.io.proteins import read_proteins

    if not fasta.is_file():
        return []
    name = next(read_proteins(fasta)).name
    aligned = ("--msa-dir", msa_dir) if msa_dir else ()
    return [("scan", "--run", run, *aligned, "--fasta", fasta, "--protein", name, "--out", "scan")]


def after_scan(settings: ScanConfig) -> list[Words]:
    """Scores of the same variants by the encoder alone, or predictions for all proteins of the file."""
    aligned = ("--msa-dir", settings.msa_dir) if settings.msa_dir else ()
    is_moved = not (settings.run / CONFIG).is_file()  # the report of a scan may be written on another machine
    if settings.variants is None or settings.protein is not None or is_moved:
        return [("predict", "--run", settings.run, *aligned, "--fasta", settings.fasta, "--out", "predictions")]
    encoder = settings.base_model or run_config(settings.run)["model"]["checkpoint"]
    files = ("--parent", settings.fasta, "--variants", settings.variants, "--out", "scores.tsv")
    return [("score", "--model", encoder, *files)]


def after_embed(settings: EmbedConfig) -> list[Words]:
    """DNA: whether vectors of the model tell these sequences from others. Proteins: training."""
    if settings.genome is not None:
        sources: Words = ("--peaks", f"peaks={settings.regions}", "--genome", settings.genome)
    elif _alphabet(settings.model) == "protein":
        return _settings_file("train", Path())
    else:
        sources = ("--positives", settings.fasta, "--negatives", "NEGATIVES.fa")
    return [("probe", *sources, "--model", f"model={settings.model}", "--out", "probe")]


def after_score(settings: ScoreConfig) -> list[Words]:
    """What tells more about the variants: an explanation, a probe of the model, or a scan of the protein."""
    if settings.effect is not None:
        return after_probe(settings.effect)
    if settings.parent is not None and _alphabet(settings.model) == "protein":
        files = ("--fasta", settings.parent, "--variants", settings.variants)
        return [("scan", "--run", "RUN", *files, "--out", "scan")]
    genome = settings.genome or "GENOME.fa"
    peaks = ("--peaks", "peaks=PEAKS.bed", "--genome", genome)
    return [("probe", *peaks, "--model", f"model={settings.model}", "--out", "probe")]


def after_export(out: Path) -> list[Words]:
    """A check of the model."""
    return [("verify", out)]


def after_evaluate(settings: EvaluateConfig) -> list[Words]:
    """The page of the predictions."""
    return [("report", settings.out)]


def after_push(run: Path, repo: str, *, dry_run: bool, options: Mapping[str, str | bool | None]) -> list[Words]:
    """A check of what the hub has now; after a trial, the upload with the same options."""
    if not dry_run:
        return [("verify", repo)]
    pairs = [(name, value) for name, value in options.items() if value]
    words = [word for name, value in pairs for word in ((name,) if value is True else (name, value))]
    return [("push", run, "--repo", repo, *words)]


def after_verify(model: str) -> list[Words]:
    """Predictions of a binding run; an upload of another folder, as a trial; training of a released model."""
    folder = Path(model)
    if (folder / CONFIG).is_file() and is_binding(run_config(folder)):
        return _predict(folder)
    if folder.is_dir():
        return [("push", folder, "--repo", "OWNER/NAME", "--dry-run")]
    return _settings_file(_JOBS[_alphabet(model)], Path())


def after_report(run: Path) -> list[Words]:
    """The command that uses what the page shows."""
    if not (run / CONFIG).is_file():
        return _after_prediction(run)
    config = run_config(run)
    kind = kind_of(config)
    if kind == "pretraining":
        return [("export", run, "--out", "model")]
    if kind == "binding":
        return _predict(run)
    if kind == "probe":
        return after_probe(run)
    if kind == "scan":
        return after_scan(load(ScanConfig, config=run / CONFIG, options={}))
    return after_explain(load(ExplainConfig, config=run / CONFIG, options={}))


def _after_prediction(folder: Path) -> list[Words]:
    """A scan of the first predicted protein; after an evaluation, predictions of other proteins."""
    from bindtune.reports.report_run import provenance

    inputs: dict[str, Any] = provenance(folder).get("inputs") or {}
    paths = {name: Path(str(entry.get("path"))) for name, entry in inputs.items() if isinstance(entry, dict)}
    if "run settings" not in paths:
        return []
    run = paths["run settings"].parent
    return _scan(run, paths["fasta"], None) if "fasta" in paths else _predict(run)


def after_compare(settings: CompareConfig) -> list[Words]:
    """The page of the reference alone."""
    if not settings.arm:
        return [("report", settings.runs[0])]
    return [("report", settings.arm[0].partition("=")[2].split(",")[0])]


def after_doctor(config: Path | None, overrides: Sequence[str], job: str | None) -> list[Words]:
    """The run that was checked; after a look at the machine alone, a trial of both jobs."""
    if config is None:
        return [("smoke",)]
    from bindtune.doctor.job import recognise

    if (job or recognise(config)) == "train":
        return [("train", "--config", config, *overrides)]
    pairs = (override.partition("=") for override in overrides)
    return [("pretrain", "--config", config, *(f"--{name}={value}" for name, _, value in pairs))]


def after_smoke() -> list[Words]:
    """The same with models that learn something."""
    return [("demo",)]


def after_demo(out: Path) -> list[Words]:
    """Predictions of the binding run for its test proteins."""
    binding = out / "binding"
    labels = binding / "proteins" / "{ION}_test.fa"
    return [("evaluate", "--run", binding / "run", "--fasta", labels, "--out", out / "evaluation")]


def _predict(run: Path) -> list[Words]:
    return [("predict", "--run", run, "--fasta", "PROTEINS.fa", "--out", "predictions")]


def _alphabet(model: str) -> str:
    from bindtune.inference.model_kinds import alphabet_of

    return alphabet_of(model)


def _missing_file(command: str) -> list[Words]:
    """The command that writes the settings file of a command into the working folder, if it is not there."""
    return [] if Path(f"{command}.yaml").exists() else [("init", command)]


def _settings_file(command: str, folder: Path) -> list[Words]:
    """The command that writes the settings file of a job into a folder, or checks the one that is there."""
    path = folder / f"{command}.yaml"
    if path.exists():
        return [("doctor", path)]
    return [("init", command, *(() if folder == Path() else ("--out", folder)))]


def _options(settings: PredictConfig, *, without: str) -> Words:
    """The options that give these settings again."""
    words: list[object] = []
    for name, value in settings.model_dump(mode="json", exclude_unset=True, exclude={without}).items():
        option = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            words.append(option if value else f"--no-{option[2:]}")
        elif value is not None:
            words += [option, ",".join(value) if isinstance(value, list) else value]
    return tuple(words)
