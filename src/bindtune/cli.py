"""The command line: parse, load the configuration, call one function. Heavy imports stand inside the commands."""

import atexit
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Literal

import typer

from bindtune import __version__
from bindtune.config import (
    AlignConfig,
    EmbedConfig,
    EvaluateConfig,
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
from bindtune.encoding import print_everything, refuse_other_encodings, use_utf8
from bindtune.errors import CheckError, ConfigError, Interrupted, is_panic, library_text
from bindtune.fault_messages import fault_message, resume_hint
from bindtune.init.files import KINDS, write_files
from bindtune.options import with_options
from bindtune.printable import PrintableFormatter, message_line, printable
from bindtune.runs.names import CONFIG

# Options may be written --like-this or, as the original scripts had them, --like_this.
_CONTEXT = {"token_normalize_func": lambda token: token.replace("_", "-"), "help_option_names": ["-h", "--help"]}

app = typer.Typer(
    help=__doc__,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings=_CONTEXT,
    rich_markup_mode=None,
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"bindtune {__version__}")
        raise typer.Exit


@app.callback(help="Adapt biological language models with annotated binding regions.")
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True)] = False,
) -> None:
    """Options that stand before the command."""
    handler = logging.StreamHandler()
    handler.setFormatter(PrintableFormatter("%(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    logging.getLogger("bindtune").setLevel(logging.INFO)
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # the error that follows says it in one line


def _say(text: str) -> None:
    if text:  # several processes run the command, and one has something to say
        typer.echo(printable(text))


@contextmanager
def _naming_init(kind: str, *, nothing_given: bool) -> Iterator[None]:
    """Where a command got no settings at all, name the one that writes a file of them."""
    try:
        yield
    except ConfigError as error:
        if not nothing_given:
            raise
        raise ConfigError(f"{error}; `bindtune init {kind}` writes a file of settings for --config") from error


@app.command()
def init(
    kind: Annotated[
        str, typer.Argument(metavar="|".join(KINDS), help="What the files are for.", autocompletion=lambda: list(KINDS))
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write to.")] = Path(),
) -> None:
    """Write files to begin with: commented settings of a command, or job scripts for SLURM."""
    for path in write_files(kind, out):
        _say(f"wrote {path}")


@app.command()
def schema(
    command: Annotated[
        str, typer.Argument(metavar="|".join(COMMANDS), help="Whose settings.", autocompletion=lambda: list(COMMANDS))
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="PATH.json", help="File to write; printed where it is left out.")
    ] = None,
) -> None:
    """Print the JSON schema of a command's settings, with which editors complete and check YAML files."""
    from bindtune.config.schema import settings_schema
    from bindtune.outputs import output_file
    from bindtune.runs.writing import write_text

    if out is not None and out.suffix != ".json":
        raise ConfigError(f"--out {out}: the name of a schema must end in .json")
    text = json.dumps(settings_schema(command), indent=2) + "\n"
    if out is None:
        typer.echo(text, nl=False)
    else:
        write_text(output_file(out), text)


@app.command()
@with_options(WindowsConfig)
def windows(config: Path | None, options: dict[str, Any]) -> None:
    """Make training windows from peaks, a genome and regions."""
    with _naming_init("windows", nothing_given=config is None and not options):
        settings = load(WindowsConfig, config=config, options=options)
    from bindtune.preparation.windows import make_windows

    _say(make_windows(settings, notify=_say))


@app.command()
@with_options(SitesConfig, exclude={"ion_groups"})
def sites(config: Path | None, options: dict[str, Any]) -> None:
    """Make labels of metal-binding residues from structures, BioLiP or UniProt."""
    with _naming_init("sites", nothing_given=config is None and not options):
        settings = load(SitesConfig, config=config, options=options)
    from bindtune.preparation.sites import make_sites

    _say(make_sites(settings))


@app.command()
@with_options(AlignConfig)
def align(config: Path | None, options: dict[str, Any]) -> None:
    """Align proteins with their homologs in a database, by MMseqs2."""
    settings = load(AlignConfig, config=config, options=options)
    from bindtune.preparation.align import align

    _say(align(settings))


@app.command()
@with_options(PretrainConfig)
def pretrain(config: Path | None, options: dict[str, Any]) -> None:
    """Continue masked-LM pretraining on windows with binding regions."""
    with _naming_init("pretrain", nothing_given=config is None and not options):
        settings = load(PretrainConfig, config=config, options=options)
    from bindtune.training.moved_run import find_pretraining_files, run_of
    from bindtune.training.pretraining.run import pretrain

    run = run_of(config)
    if run is not None and settings.resume_from_checkpoint is not None:
        settings = find_pretraining_files(settings, run)
    _print_metrics(pretrain(settings))


@app.command()
@with_options(ProbeConfig)
def probe(config: Path | None, options: dict[str, Any]) -> None:
    """Probe models: do they tell bound from unbound windows better than simple baselines, and than each other?"""
    with _naming_init("probe", nothing_given=config is None and not options):
        settings = load(ProbeConfig, config=config, options=options)
    from bindtune.probing.run import probe

    typer.echo(probe(settings, notify=typer.echo))


_Config = Annotated[Path | None, typer.Option("--config", metavar="PATH", help="YAML file of settings.")]
_Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="SECTION.KEY=VALUE", help="Settings that win over the file's.")
]


@app.command()
def train(
    config: _Config = None,
    overrides: _Overrides = None,
    fold: Annotated[int | None, typer.Option(help="Train this fold alone (from 1); merge joins them.")] = None,
    resume: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="Go on in this run folder; auto: in training.output_dir, or begin there."),
    ] = None,
) -> None:
    """Fine-tune a protein encoder on binding sites, cross-validated."""
    from bindtune.config import load_binding

    run = None if resume in (None, "auto") else Path(str(resume))
    if run is not None:
        from bindtune.runs.kinds import require_run

        require_run(run, "binding", "train --resume")
    source = run / CONFIG if config is None and run is not None else config
    with _naming_init("train", nothing_given=source is None and not overrides):
        settings = load_binding(source, overrides or [])
    if run is not None and config is None:
        from bindtune.training.moved_run import find_binding_files

        settings = find_binding_files(settings, run)
    if resume == "auto" and (settings.training.output_dir / CONFIG).is_file():
        run = settings.training.output_dir
    from bindtune.training.binding.run import cross_validate

    _say(cross_validate(settings, fold=fold, resume=run))


@app.command()
def merge(run: Annotated[Path, typer.Argument(help="A run folder whose folds are all done.")]) -> None:
    """Join folds that were trained apart: out-of-fold predictions, thresholds, summary."""
    from bindtune.training.binding.merge import merge_folds

    _say(merge_folds(run))


@app.command(name="check-lora")
def check_lora(config: _Config = None, overrides: _Overrides = None) -> None:
    """Check that adapters are live: without effect at first, with one when filled, and learning."""
    from bindtune.config import load_binding

    with _naming_init("train", nothing_given=config is None and not overrides):
        settings = load_binding(config, overrides or [])
    from bindtune.training.binding.model import check_adapters

    _say(check_adapters(settings))


@app.command()
@with_options(PredictConfig)
def predict(config: Path | None, options: dict[str, Any]) -> None:
    """Predict the binding residues of new proteins with all folds of a run."""
    settings = load(PredictConfig, config=config, options=options)
    from bindtune.inference.predict import predict

    _say(predict(settings))


@app.command()
@with_options(EvaluateConfig)
def evaluate(config: Path | None, options: dict[str, Any]) -> None:
    """Predict labelled test proteins with all folds of a run, and score the predictions."""
    settings = load(EvaluateConfig, config=config, options=options)
    from bindtune.inference.evaluate import evaluate

    _say(evaluate(settings))


@app.command()
@with_options(ScanConfig)
def scan(config: Path | None, options: dict[str, Any]) -> None:
    """Scan a protein: what each substitution does to the probabilities of its binding sites."""
    settings = load(ScanConfig, config=config, options=options)
    from bindtune.inference.scan import scan

    _say(scan(settings))


@app.command()
@with_options(EmbedConfig)
def embed(config: Path | None, options: dict[str, Any]) -> None:
    """Embed DNA or proteins: one vector for each sequence, token, nucleotide or residue."""
    settings = load(EmbedConfig, config=config, options=options)
    from bindtune.inference.zero_shot import embed

    _say(embed(settings, notify=_say))


@app.command()
@with_options(ScoreConfig)
def score(config: Path | None, options: dict[str, Any]) -> None:
    """Score variants without training: those of a VCF with a model of DNA, or substitutions of a protein."""
    settings = load(ScoreConfig, config=config, options=options)
    from bindtune.inference.zero_shot import score

    _say(score(settings, notify=_say))


def _print_metrics(metrics: dict[str, float]) -> None:
    for name, value in metrics.items():
        typer.echo(f"{name}\t{value:.6g}")


_BaseModel = Annotated[
    str | None,
    typer.Option(metavar="TEXT", help="Hub name or folder of a run's encoder; what the run names by default."),
]


@app.command()
def export(
    model: Annotated[Path, typer.Argument(help="A pretraining run or checkpoint, or RUN/fold_K of a binding run.")],
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    base_model: _BaseModel = None,
) -> None:
    """Write a trained model to a folder of its own, with its card.

    DNABERT-2 is written in the hub's layout, for code that loads the original; the encoder of a binding run with the
    adapters of one fold merged, to load like the encoder it came from.
    """
    from bindtune.training.export import export_run

    export_run(model, out, base_model=base_model)


@app.command()
def push(
    run: Annotated[Path, typer.Argument(help="Run folder, checkpoint of a pretraining run, or exported model.")],
    repo: Annotated[str, typer.Option(metavar="NAME", help="Repository, OWNER/NAME; made where it is missing.")],
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
    revision: Annotated[
        str | None, typer.Option(metavar="BRANCH", help="Branch; made where it is missing. main by default.")
    ] = None,
    commit_message: Annotated[str | None, typer.Option(help="First line of the commit.")] = None,
    base_model: Annotated[
        str | None, typer.Option(help="Hub name of the model that the run began with, where it was a folder.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that differ.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would be uploaded, and stop.")] = False,
) -> None:
    """Upload a run or a model to the Hugging Face hub, with its card, notices and a manifest.

    It uploads the files of a list: no states of optimisers, no logs, no names of proteins, no paths of this machine.
    The token comes from `hf auth login` or HF_TOKEN.
    """
    from bindtune.publishing.push import push

    push(run, repo, private=private, revision=revision, commit_message=commit_message, base_model=base_model,
         overwrite=overwrite, dry_run=dry_run, notify=_say)  # fmt: skip


@app.command()
def verify(
    model: Annotated[str, typer.Argument(help="Hub name, folder of a model, or run folder of `bindtune train`.")],
    release: Annotated[
        str | None, typer.Option(metavar="NAME", help="Released model that it has to be; its hub name.")
    ] = None,
    base_model: _BaseModel = None,
) -> None:
    """Load a model and check it: a released one by its hash and outputs, any model against itself."""
    from bindtune.publishing.verify import verify

    raise typer.Exit(0 if verify(model, release=release, base_model=base_model, notify=_say) else 1)


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="Run folder of `bindtune pretrain` or `bindtune train`.")],
    out: Annotated[Path | None, typer.Option(help="File to write; RUN/report.html where it is left out.")] = None,
) -> None:
    """Write the report of a run: one HTML page that needs no network."""
    from bindtune.reports.report import write_report

    _say(str(write_report(run, out)))


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN", help="Runs of one job; the first is the reference.")],
    out: Annotated[Path, typer.Option(help="Page to write.")] = Path("compare.html"),
) -> None:
    """Set runs that differ in one setting beside each other: paired differences with intervals, and a page of them."""
    from bindtune.reports.compare import compare_runs

    _say(compare_runs(runs, out))
    _say(f"page: {out}")


@app.command()
def doctor(
    config: Annotated[
        Path | None, typer.Argument(help="Settings of bindtune pretrain or bindtune train; their files are checked.")
    ] = None,
    overrides: _Overrides = None,
    job: Annotated[
        Literal["pretrain", "train"] | None,
        typer.Option(help="What the settings are for, where that is unclear."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Look for what would stop a run: this machine and, with a file of settings, its inputs and its memory."""
    from bindtune.doctor.findings import as_json, as_text, passes
    from bindtune.doctor.job import diagnose

    found = diagnose(config, overrides or [], job=job)
    _say(as_json(found) if json else as_text(found))
    raise typer.Exit(0 if passes(found) else 1)


@app.command()
def smoke(
    train_file: Annotated[Path | None, typer.Option(help="Windows; generated ones where it is left out.")] = None,
    model_name_or_path: Annotated[str | None, typer.Option(help="Model; a small one where it is left out.")] = None,
    out: Annotated[Path | None, typer.Option(help="Keep the runs here instead of deleting them.")] = None,
) -> None:
    """Check that both jobs work here, on generated data.

    Pretraining: 20 adaptive steps, 20 standard ones, the masking rates. Binding sites: adapters of a small E1, two
    folds that are trained and joined, merged weights, predictions.
    """
    from bindtune.demo.smoke import run_smoke

    passed = run_smoke(train_file, model_name_or_path, out=out, notify=_say)
    raise typer.Exit(0 if passed else 1)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for generated data and runs.")] = Path("demo-output"),
    small: Annotated[bool, typer.Option("--small", help="Only see that everything runs; little is learned.")] = False,
) -> None:
    """Run both jobs on generated data: pretraining and a probe of it, binding sites cross-validated, reports."""
    from bindtune.demo.binding import run_binding
    from bindtune.demo.pretraining import run_pretraining
    from bindtune.demo.probing import run_probe
    from bindtune.outputs import output_folder
    from bindtune.reports.report import write_report
    from bindtune.runs.exclusive import only_writer

    output_folder(out)
    with only_writer(out, tidy=True):
        _say(run_pretraining(out / "pretraining", notify=_say, small=small))
        _say(run_probe(out / "pretraining", out / "probe", notify=_say, small=small))
        _say(run_binding(out / "binding", notify=_say, small=small))
        for run in (out / "pretraining" / "adaptive", out / "binding" / "run"):
            _say(f"report: {write_report(run, None)}")


def main() -> None:
    """Run the command line.

    Exit codes: 0 done, 1 a check said no, 2 the user can fix it, 130 interrupted, 143 stopped by SIGTERM and resumable,
    129 stopped by SIGHUP and resumable. A second Ctrl-C ends the command at once.
    """
    use_utf8()
    print_everything()
    threading.excepthook = _told_by_the_main_thread
    asked: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        if len(asked) > 1:  # while the first one tidies up, which the next command does too
            os.write(2, f"bindtune: interrupted twice; go on with {resume_hint()}\n".encode())
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        _run()
    except BaseException as error:
        # What leaves the block may be anything: typer and pydantic put errors of their own in its place.
        if not asked or (isinstance(error, SystemExit) and not error.code):
            raise
        sys.stderr.write(f"bindtune: interrupted; go on with {resume_hint()}\n")
        # A second Ctrl-C would be a traceback while the interpreter ends.
        atexit.register(signal.signal, signal.SIGINT, signal.SIG_DFL)
        sys.exit(130)
    finally:
        signal.signal(signal.SIGINT, before)


def _run() -> None:
    try:
        refuse_other_encodings(sys.argv[1:])
        app()
    except Interrupted as stop:
        sys.stderr.write(f"bindtune: stopped by {stop.signal.name}; go on with {message_line(str(stop))}\n")
        sys.exit(128 + stop.signal)
    except Exception as error:
        message = fault_message(error)
        if message is None:
            raise
        sys.stderr.write(f"bindtune: {printable(message)}\n")
        sys.exit(1 if isinstance(error, CheckError) else 2)
    except BaseException as error:
        if not is_panic(error):
            raise
        sys.stderr.write(f"bindtune: a library in Rust fails on an input file: {printable(library_text(error))}\n")
        sys.exit(2)


def _told_by_the_main_thread(failure: threading.ExceptHookArgs) -> None:
    """Leave out what a thread that writes curves could not write: the main thread gets the same error."""
    if not issubclass(failure.exc_type, OSError):
        threading.__excepthook__(failure)
