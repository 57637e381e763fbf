"""The command line: each command parses, loads its settings, calls one function and names the next command.

All commands are in one file, although it is long. typer lists commands in the order of their definition, so the file
has the order of `bindtune --help`. A command holds only code that its options need; other code belongs in the package
that it calls. Heavy imports are inside the commands, so `bindtune --help` does not import torch.
"""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from bindtune import __version__, exit_codes, next_commands
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
from bindtune.encoding import print_everything, use_utf8
from bindtune.errors import ConfigError
from bindtune.imports import large_imports
from bindtune.init.files import KINDS, write_files
from bindtune.options import naming_init, with_options, with_settings
from bindtune.runs.names import CONFIG
from bindtune.terminal import log_to_terminal, name_next, say

# Options may be written --like-this or, as the original scripts had them, --like_this.
_CONTEXT = {"token_normalize_func": lambda token: token.replace("_", "-"), "help_option_names": ["-h", "--help"]}

app = typer.Typer(
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
    log_to_terminal()


@app.command()
def init(
    kind: Annotated[
        str, typer.Argument(metavar="|".join(KINDS), help="What the files are for.", autocompletion=lambda: list(KINDS))
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write to.")] = Path(),
) -> None:
    """Write files to begin with: commented settings of a command, or job scripts for SLURM."""
    paths = write_files(kind, out)
    for path in paths:
        say(f"wrote {path}")
    name_next(next_commands.after_init(kind, paths))


@app.command()
def schema(
    command: Annotated[
        str, typer.Argument(metavar="|".join(COMMANDS), help="Whose settings.", autocompletion=lambda: list(COMMANDS))
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="PATH.json", help="File to write. By default it is printed.")
    ] = None,
) -> None:
    """Print the JSON schema of a command's settings. Editors use it to complete and check YAML files."""
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
        say(f"wrote {out}")
        name_next(next_commands.after_schema(command, list(KINDS)))


@app.command()
@with_settings(WindowsConfig, starter="windows")
def windows(settings: WindowsConfig) -> None:
    """Make training windows from peaks, a genome and regions."""
    from bindtune.preparation.windows import make_windows

    say(make_windows(settings, notify=say))
    name_next(next_commands.after_windows(settings))


@app.command()
@with_settings(SitesConfig, starter="sites", exclude={"ion_groups"})
def sites(settings: SitesConfig) -> None:
    """Make labels of metal-binding residues from structures, BioLiP or UniProt."""
    from bindtune.preparation.sites import make_sites

    say(make_sites(settings))
    name_next(next_commands.after_sites(settings))


@app.command()
@with_settings(AlignConfig)
def align(settings: AlignConfig) -> None:
    """Align proteins with their homologs in a database, found by MMseqs2."""
    from bindtune.preparation.align import align

    say(align(settings))
    name_next(next_commands.after_align(settings))


@app.command()
@with_options(PretrainConfig)
def pretrain(config: Path | None, options: dict[str, Any]) -> None:
    """Continue masked-LM pretraining on windows with binding regions."""
    with naming_init("pretrain", nothing_given=config is None and not options):
        settings = load(PretrainConfig, config=config, options=options)
    from bindtune.training.moved_run import find_pretraining_files, run_of

    with large_imports():
        from bindtune.training.pretraining.run import pretrain

    run = run_of(config)
    if run is not None and settings.resume_from_checkpoint is not None:
        settings = find_pretraining_files(settings, run)
    for name, value in pretrain(settings).items():
        say(f"{name}\t{value:.6g}")
    name_next(next_commands.after_pretrain(settings))


@app.command()
@with_settings(ProbeConfig, starter="probe")
def probe(settings: ProbeConfig) -> None:
    """Probe models: do they tell bound from unbound windows better than simple baselines, and than each other?"""
    with large_imports():
        from bindtune.probing.run import probe

    say(probe(settings, notify=say))
    name_next(next_commands.after_probe(settings.out))


@app.command()
@with_settings(ExplainConfig, arguments={"probe"})
def explain(settings: ExplainConfig) -> None:
    """Show which letters make the models of a probe call a sequence bound."""
    with large_imports():
        from bindtune.probing.explain import explain

    say(explain(settings, notify=say))
    name_next(next_commands.after_explain(settings))


_Config = Annotated[Path | None, typer.Option("--config", metavar="PATH", help="YAML file of settings.")]
_Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="SECTION.KEY=VALUE", help="Settings that replace those of the file.")
]


@app.command()
def train(
    config: _Config = None,
    overrides: _Overrides = None,
    fold: Annotated[int | None, typer.Option(help="Train only this fold, from 1. merge joins the folds.")] = None,
    resume: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="Resume this run folder. auto: resume training.output_dir, or start there."),
    ] = None,
) -> None:
    """Fine-tune a protein encoder on binding sites, cross-validated."""
    from bindtune.config import load_binding

    run = None if resume in (None, "auto") else Path(str(resume))
    if run is not None:
        from bindtune.runs.kinds import require_run

        require_run(run, "binding", "train --resume")
    source = run / CONFIG if config is None and run is not None else config
    with naming_init("train", nothing_given=source is None and not overrides):
        settings = load_binding(source, overrides or [])
    if run is not None and config is None:
        from bindtune.training.moved_run import find_binding_files

        settings = find_binding_files(settings, run)
    if resume == "auto" and (settings.training.output_dir / CONFIG).is_file():
        run = settings.training.output_dir
    with large_imports():
        from bindtune.training.binding.run import cross_validate

    say(cross_validate(settings, fold=fold, resume=run))
    name_next(next_commands.after_train(settings.training.output_dir))


@app.command()
def merge(run: Annotated[Path, typer.Argument(help="Run folder in which all folds are done.")]) -> None:
    """Join folds that were trained apart: out-of-fold predictions, thresholds, summary."""
    with large_imports():
        from bindtune.training.binding.merge import merge_folds

    say(merge_folds(run))
    name_next(next_commands.after_train(run))


@app.command(name="check-lora")
def check_lora(config: _Config = None, overrides: _Overrides = None) -> None:
    """Check that adapters work: new adapters change nothing, filled ones change the output, and they learn."""
    from bindtune.config import load_binding

    with naming_init("train", nothing_given=config is None and not overrides):
        settings = load_binding(config, overrides or [])
    with large_imports():
        from bindtune.training.binding.model import check_adapters

    say(check_adapters(settings))
    name_next(next_commands.after_check_lora(config, overrides or []))


@app.command()
@with_settings(PredictConfig)
def predict(settings: PredictConfig) -> None:
    """Predict the binding residues of new proteins with all folds of a run."""
    with large_imports():
        from bindtune.inference.predict import predict

    say(predict(settings))
    name_next(next_commands.after_predict(settings))


@app.command()
@with_settings(EvaluateConfig)
def evaluate(settings: EvaluateConfig) -> None:
    """Predict labelled test proteins with all folds of a run, and score the predictions."""
    with large_imports():
        from bindtune.inference.evaluate import evaluate

    say(evaluate(settings))
    name_next(next_commands.after_evaluate(settings))


@app.command()
@with_settings(ScanConfig)
def scan(settings: ScanConfig) -> None:
    """Scan a protein: what each substitution does to the probabilities of its binding sites."""
    with large_imports():
        from bindtune.inference.scan import scan

    say(scan(settings))
    name_next(next_commands.after_scan(settings))


@app.command()
@with_settings(EmbedConfig)
def embed(settings: EmbedConfig) -> None:
    """Embed DNA or proteins: one vector for each sequence, token, nucleotide or residue."""
    with large_imports():
        from bindtune.inference.zero_shot import embed

    say(embed(settings, notify=say))
    name_next(next_commands.after_embed(settings))


@app.command()
@with_settings(ScoreConfig)
def score(settings: ScoreConfig) -> None:
    """Score variants without training: those of a VCF with a model of DNA, or substitutions of a protein."""
    with large_imports():
        from bindtune.inference.zero_shot import score

    say(score(settings, notify=say))
    name_next(next_commands.after_score(settings))


_BaseModel = Annotated[
    str | None,
    typer.Option(metavar="TEXT", help="Hub name or folder of the run's encoder. By default as in the run."),
]


@app.command()
def export(
    model: Annotated[Path, typer.Argument(help="A pretraining run or checkpoint, or RUN/fold_K of a binding run.")],
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    base_model: _BaseModel = None,
) -> None:
    """Write a trained model to a folder of its own, with its card.

    DNABERT-2 is written in the hub's layout, for code that loads the original. The encoder of a binding run gets the
    adapters of one fold merged into its weights, and loads like the original encoder.
    """
    with large_imports():
        from bindtune.training.export import export_run

    export_run(model, out, base_model=base_model)
    say(f"model: {out}")
    name_next(next_commands.after_export(out))


@app.command()
def push(
    run: Annotated[Path, typer.Argument(help="Run folder, checkpoint of a pretraining run, or exported model.")],
    repo: Annotated[str, typer.Option(metavar="NAME", help="Repository, OWNER/NAME. A missing one is made.")],
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
    revision: Annotated[
        str | None, typer.Option(metavar="BRANCH", help="Branch. A missing one is made. By default main.")
    ] = None,
    commit_message: Annotated[str | None, typer.Option(help="First line of the commit.")] = None,
    base_model: Annotated[
        str | None, typer.Option(help="Hub name of the base model, if the run read it from a folder.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that differ.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would be uploaded, and stop.")] = False,
) -> None:
    """Upload a run or a model to the Hugging Face hub, with its card, notices and a manifest.

    It uploads only listed kinds of files: no optimiser states, no logs, no names of proteins, no paths of this machine.
    The token comes from `hf auth login` or HF_TOKEN.
    """
    from bindtune.publishing.push import push

    push(run, repo, private=private, revision=revision, commit_message=commit_message, base_model=base_model,
         overwrite=overwrite, dry_run=dry_run, notify=say)  # fmt: skip
    options = {"--private": private, "--revision": revision, "--commit-message": commit_message,
               "--base-model": base_model, "--overwrite": overwrite}  # fmt: skip
    name_next(next_commands.after_push(run, repo, dry_run=dry_run, options=options))


@app.command()
def verify(
    model: Annotated[str, typer.Argument(help="Hub name, folder of a model, or run folder of `bindtune train`.")],
    release: Annotated[str | None, typer.Option(metavar="NAME", help="Hub name of the expected release.")] = None,
    base_model: _BaseModel = None,
) -> None:
    """Load a model and check it: a released one by its hash and outputs, any model against itself."""
    with large_imports():
        from bindtune.publishing.verify import verify

    if not verify(model, release=release, base_model=base_model, notify=say):
        raise typer.Exit(1)
    name_next(next_commands.after_verify(model))


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="Folder of a run, a probe, an explanation, a scan or a prediction.")],
    out: Annotated[Path | None, typer.Option(help="File to write. By default RUN/report.html.")] = None,
    structure: Annotated[
        Path | None, typer.Option(help="Structure file, or folder of structures with the proteins' names, to show.")
    ] = None,
) -> None:
    """Write the report of a run or a prediction: one HTML page that needs no network."""
    from bindtune.reports.report import write_report

    say(str(write_report(run, out, structure)))
    name_next(next_commands.after_report(run))


@app.command()
@with_settings(CompareConfig, arguments={"runs"})
def compare(settings: CompareConfig) -> None:
    """Set runs, arms of several runs, or a run and other tools beside each other: differences with intervals."""
    rules = settings.site_rules
    if settings.arm:
        from bindtune.reports.arm_page import write_arms

        say(write_arms(settings.arm, settings.out, seed=settings.seed))
    elif settings.tool:
        from bindtune.reports.compare_tools import compare_run_with_tools
        from bindtune.reports.compared_tools import tool_sources

        sources = tool_sources(
            settings.tool,
            settings.tool_training,
            position_base=settings.position_base,
            identity=settings.audit_identity,
            rules=rules,
        )
        say(compare_run_with_tools(settings.runs[0], sources, settings.out, draws=settings.draws, seed=settings.seed))
    else:
        from bindtune.reports.compare import compare_runs

        say(compare_runs(settings.runs, settings.out, draws=settings.draws, seed=settings.seed, rules=rules))
    say(f"page: {settings.out}")
    name_next(next_commands.after_compare(settings))


@app.command()
def doctor(
    config: Annotated[Path | None, typer.Argument(help="Settings of pretrain or train, to check their files.")] = None,
    overrides: _Overrides = None,
    job: Annotated[Literal["pretrain", "train"] | None, typer.Option(help="Job, if the settings fit both.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Look for what would stop a run: this machine and, with a file of settings, its inputs and its memory."""
    from bindtune.doctor.findings import as_json, as_text, passes
    from bindtune.doctor.job import diagnose

    findings = diagnose(config, overrides or [], job=job)
    say(as_json(findings) if json else as_text(findings))
    if not passes(findings):
        raise typer.Exit(1)
    name_next(next_commands.after_doctor(config, overrides or [], job))


@app.command()
def smoke(
    train_file: Annotated[Path | None, typer.Option(help="Windows. By default they are generated.")] = None,
    model_name_or_path: Annotated[str | None, typer.Option(help="Model. By default a small generated one.")] = None,
    out: Annotated[Path | None, typer.Option(help="Keep the runs here instead of deleting them.")] = None,
) -> None:
    """Check that both jobs work here, on generated data.

    Pretraining: 20 adaptive steps, 20 standard ones, the masking rates. Binding sites: adapters of a small E1, two
    folds that are trained and joined, merged weights, predictions.
    """
    with large_imports():
        from bindtune.demo.smoke import run_smoke

    if not run_smoke(train_file, model_name_or_path, out=out, notify=say):
        raise typer.Exit(1)
    name_next(next_commands.after_smoke())


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for generated data and runs.")] = Path("demo-output"),
    small: Annotated[
        bool, typer.Option("--small", help="Only check that everything runs; models learn little.")
    ] = False,
) -> None:
    """Run both jobs on generated data: pretraining and a probe of it, binding sites cross-validated, reports."""
    with large_imports():
        from bindtune.demo.run import run_demo

    run_demo(out, small=small, notify=say)
    name_next(next_commands.after_demo(out))


def main() -> None:
    """Run the command line; `exit_codes.run` says what the exit codes mean."""
    use_utf8()
    print_everything()
    exit_codes.run(app)
