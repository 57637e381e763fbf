"""The commands that are named after a command: they parse, name what was made, and are there after every command."""

import shlex
from collections.abc import Sequence
from pathlib import Path

import pytest
import typer.main

from bindtune import cli, next_commands
from bindtune.config import CompareConfig, EmbedConfig, PredictConfig, ScanConfig, ScoreConfig, SitesConfig, build
from bindtune.config.commands import COMMANDS, settings_of

GROUP = typer.main.get_command(cli.app)


def shown(commands: Sequence[Sequence[object]]) -> list[str]:
    """The commands as a terminal shows them, each of which has to be understood by the command line."""
    for words in commands:
        check(list(map(str, words)))
    return [shlex.join(map(str, words)) for words in commands]


def check(words: list[str]) -> None:
    """Let a command parse its words and check its settings, without running it."""
    with GROUP.make_context("bindtune", list(words)) as context:
        name, command, rest = GROUP.resolve_command(context, words)  # type: ignore[attr-defined]
        if rest == ["--help"]:
            return
        options = command.make_context(name, rest, parent=context).params
    if name in COMMANDS and name != "train" and not options.get("config"):
        build(settings_of(name), {key: value for key, value in options.items() if value not in (None, [], ())})


@pytest.mark.parametrize("kind", ["pretraining", "binding", "nothing"])
def test_a_report_names_what_uses_the_run(kind: str, tmp_path: Path) -> None:
    settings = {"pretraining": "target_mlm_prob: 0.15\n", "binding": "training: {}\n"}
    if kind in settings:
        (tmp_path / "config.yaml").write_text(settings[kind])
    expected = {
        "pretraining": [f"export {tmp_path} --out model"],
        "binding": [f"predict --run {tmp_path} --fasta PROTEINS.fa --out predictions"],
    }
    assert shown(next_commands.after_report(tmp_path)) == expected.get(kind, [])


def test_names_with_spaces_and_lists_are_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sites = build(SitesConfig, {"structures": ["s"], "ions": "ZN,LREE", "out": "my labels"})
    train = "train --config train.yaml 'data.fasta_path=my labels/{ION}_train.fa' 'training.ions=[ZN,LREE]'"
    assert shown(next_commands.after_sites(sites)) == ["init train", train]
    Path("train.yaml").touch()
    assert shown(next_commands.after_sites(sites)) == [train]
    compared = build(CompareConfig, {"arm": ["a=seed 1,seed 2", "b=c"]})
    assert shown(next_commands.after_compare(compared)) == ["report 'seed 1'"]


def test_a_prediction_names_its_page_and_a_scan_of_its_first_protein(tmp_path: Path) -> None:
    fasta = tmp_path / "my proteins.fa"
    fasta.write_text(">sp|P1|A_B one\nMCH\n>other\nMCH\n")
    settings = {"run": "run", "fasta": fasta, "out": "p"}
    assert shown(next_commands.after_predict(build(PredictConfig, settings))) == [
        "report p",
        f"scan --run run --fasta '{fasta}' --protein 'sp|P1|A_B' --out scan",
    ]
    share = build(PredictConfig, {**settings, "shard": "1/2", "ions": "ZN,CA", "tsv": False})
    assert shown(next_commands.after_predict(share)) == [
        f"predict --run run --out p --ions ZN,CA --fasta '{fasta}' --no-tsv"
    ]
    assert shown(next_commands.after_predict(build(PredictConfig, {**settings, "fasta": "-"}))) == ["report p"]


def test_variants_of_a_scan_are_scored_by_the_encoder(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("training: {}\nmodel: {checkpoint: my/encoder}\n")
    settings = {"run": tmp_path, "fasta": "a.fa", "out": "o"}
    assert shown(next_commands.after_scan(build(ScanConfig, settings))) == [
        f"predict --run {tmp_path} --fasta a.fa --out predictions"
    ]
    assert shown(next_commands.after_scan(build(ScanConfig, {**settings, "variants": "v.txt"}))) == [
        "score --model my/encoder --parent a.fa --variants v.txt --out scores.tsv"
    ]
    moved = build(ScanConfig, {"run": tmp_path / "moved", "fasta": "p.fa", "variants": "v.txt", "out": "s"})
    assert shown(next_commands.after_scan(moved)) == [
        f"predict --run {tmp_path / 'moved'} --fasta p.fa --out predictions"
    ]


def test_dna_leads_to_a_probe() -> None:
    embedded = {"model": "m", "genome": "g.fa", "regions": "r s.bed", "out": "e.parquet"}
    assert shown(next_commands.after_embed(build(EmbedConfig, embedded))) == [
        "probe --peaks 'peaks=r s.bed' --genome g.fa --model model=m --out probe"
    ]
    scored = {"model": "m", "vcf": "v.vcf", "genome": "g.fa", "out": "s.tsv"}
    assert shown(next_commands.after_score(build(ScoreConfig, scored))) == [
        "probe --peaks peaks=PEAKS.bed --genome g.fa --model model=m --out probe"
    ]


def test_a_checked_run_is_started_with_the_same_settings(tmp_path: Path) -> None:
    config = tmp_path / "my.yaml"
    config.write_text("max_steps: 3\n")
    assert shown(next_commands.after_doctor(config, ["max_steps=5"], None)) == [
        f"pretrain --config {config} --max_steps=5"
    ]
    config.write_text("training: {}\n")
    assert shown(next_commands.after_doctor(config, ["lora.r=4"], None)) == [f"train --config {config} lora.r=4"]
    assert shown(next_commands.after_doctor(None, [], None)) == ["smoke"]


def test_a_trial_of_an_upload_names_the_upload() -> None:
    options = {"--private": True, "--revision": "new", "--commit-message": "two words", "--base-model": None}
    assert shown(next_commands.after_push(Path("run"), "me/run", dry_run=True, options=options)) == [
        "push run --repo me/run --private --revision new --commit-message 'two words'"
    ]
    assert shown(next_commands.after_push(Path("run"), "me/run", dry_run=False, options=options)) == ["verify me/run"]


def test_every_command_names_a_next_one() -> None:
    missing = [name for name in GROUP.commands if not hasattr(next_commands, f"after_{name.replace('-', '_')}")]  # type: ignore[attr-defined]
    assert missing == ["merge"]  # it ends as train does
