"""Model cards: what the hub reads, what people read, and names that would be markup."""

import html
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from bindtune.config import BindingConfig, PretrainConfig, build, dump
from bindtune.reports.card_binding import fold_card, merged_card, run_card, write_fold_card
from bindtune.reports.card_pretraining import pretraining_card
from bindtune.reports.model_card import base_name, code, licence_of

EVIL = '<script>alert(1)</script> | `x` ](javascript:alert(1))\n---\nlicense: mit\n# "Title": [a'


def header(card: str) -> dict[str, Any]:
    """What the hub reads, by the hub's own client and by hand."""
    values: dict[str, Any] = yaml.safe_load(card.split("---\n")[1])
    assert ModelCard(card).data.to_dict() == values
    return values


def markup(card: str) -> str:
    """The body as HTML, raw HTML let through as hubs and editors may do."""
    return MarkdownIt("commonmark", {"html": True, "linkify": False}).enable("table").render(card.split("---\n", 2)[2])


def origin(inputs: dict[str, str]) -> dict[str, Any]:
    return {"inputs": {name: {"path": f"/home/me/{path}", "sha256": "ab" * 32} for name, path in inputs.items()}}


class TestCode:
    @given(st.text())
    def test_any_text_is_one_code_span_and_nothing_else(self, text: str) -> None:
        shown = MarkdownIt("commonmark", {"html": True}).render(f"a {code(text)} b")
        plain = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
        if not plain:
            assert shown == "<p>a - b</p>\n"
            return
        inside = re.fullmatch(r"<p>a <code>([^<>]*)</code> b</p>\n", shown)
        assert inside is not None
        assert html.unescape(inside[1]) == plain

    def test_by_hand(self) -> None:
        assert code("plain") == "`plain`"
        assert code("a`b``c") == "``` a`b``c ```"
        assert code("two\nlines\u202e") == "`two lines`"
        assert code("") == "-"


class TestBase:
    def test_hub_names_and_folders(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        cached = {"base config.json": {"path": "/c/hub/models--Profluent-Bio--E1-150m/snapshots/x/config.json"}}
        assert base_name("Profluent-Bio/E1-150m", cached) == "Profluent-Bio/E1-150m"
        assert base_name("Profluent-Bio/E1-150m", {}) == "Profluent-Bio/E1-150m"
        local = {"base config.json": {"path": "models/e1/config.json"}}
        assert base_name("models/e1", local) is None  # a folder that looks like a hub name
        for name in ("/models/e1", "./e1", "e1", "a/b/c", "a b/c", "a/b\nlicense: mit", None):
            assert base_name(name, {}) is None
        (tmp_path / "models" / "e1").mkdir(parents=True)
        monkeypatch.chdir(tmp_path)
        assert base_name("models/e1", {}) is None

    @pytest.mark.parametrize(
        ("kind", "base", "licence"),
        [
            ("E1", None, "other"),
            ("E1", "Synthyra/Profluent-E1-150M", "other"),
            ("dnabert2", "zhihan1996/DNABERT-2-117M", "apache-2.0"),
            ("dnabert2", None, None),
            ("esm", "facebook/esm2_t6_8M_UR50D", "mit"),
            ("esm", "somebody/esm2", None),
        ],
    )
    def test_licences(self, kind: str, base: str | None, licence: str | None) -> None:
        facts = licence_of(kind, base)
        assert facts.header.get("license") == licence
        assert ("Profluent-E1" in facts.notice) == (kind == "E1")


@pytest.fixture
def pretraining(tmp_path: Path) -> Path:
    settings = {"train_file": f"{EVIL}.json", "output_dir": "o", "masking": "peak-only"}
    (tmp_path / "config.yaml").write_text(dump(build(PretrainConfig, settings)))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "dnabert2"}))
    hub = "hub/models--zhihan1996--DNABERT-2-117M/snapshots/1/config.json"
    (tmp_path / "provenance.json").write_text(
        json.dumps(origin({"train_file": f"{EVIL}.json", "base config.json": hub}))
    )
    results = {"eval_loss": 2.0, "eval_accuracy": 0.5, "eval_masked_rate": 0.15, "eval_peak_loss": 1.0,
               "eval_peak_accuracy": 0.25, "eval_peak_masked_rate": 0.2}  # fmt: skip
    (tmp_path / "eval_results.json").write_text(json.dumps(results))
    return tmp_path


class TestPretraining:
    def test_header_and_figures(self, pretraining: Path) -> None:
        card = pretraining_card(pretraining)
        assert header(card) == {
            "license": "apache-2.0", "library_name": "transformers", "pipeline_tag": "fill-mask",
            "tags": ["bindtune", "biology", "dna", "masked-lm"], "metrics": ["perplexity", "accuracy"],
            "base_model": "zhihan1996/DNABERT-2-117M", "base_model_relation": "finetune",
        }  # fmt: skip
        assert "| `all masked tokens` | 2.0000 | 7.39 | 50.0 % | 15.00 % |" in card
        assert "| `in peaks` | 1.0000 | 2.72 | 25.0 % | 20.00 % |" in card
        assert "| `masking` | `peak-only` |" in card
        assert "load this folder too, after the line `import bindtune.auto`." in card
        assert "ab" * 32 in card

    def test_names_are_shown_as_they_are_and_do_nothing(self, pretraining: Path) -> None:
        card = pretraining_card(pretraining)
        shown = markup(card)
        assert "<script" not in shown
        assert "href" not in shown
        assert "/home/me" not in card
        assert "&lt;/script&gt;" in shown or "script&gt;" in shown
        assert [line for line in card.splitlines() if line.startswith("license")] == ["license: apache-2.0"]
        assert shown.count("<h1") == 1

    def test_a_checkpoint_has_the_figures_of_its_step(self, pretraining: Path) -> None:
        checkpoint = pretraining / "checkpoint-40"
        checkpoint.mkdir()
        log = [{"step": 20, "eval_loss": 9.0}, {"step": 40, "loss": 1.0}, {"step": 40, "eval_loss": 3.0}]
        (checkpoint / "trainer_state.json").write_text(json.dumps({"log_history": log}))
        card = pretraining_card(pretraining, model=checkpoint, exported=True)
        assert "| `all masked tokens` | 3.0000 |" in card
        assert "DNABert2ForMaskedLM" in card
        assert "bindtune.auto" not in card  # the hub's layout names no model type

    def test_what_is_missing_is_said(self, pretraining: Path) -> None:
        (pretraining / "provenance.json").unlink()
        (pretraining / "eval_results.json").unlink()
        card = pretraining_card(pretraining)
        assert "Not recorded: there was no provenance.json." in card
        assert "It was not evaluated." in card


def binding_config(**options: Any) -> dict[str, Any]:
    settings = {"data": {"fasta_path": "x"}, "model": {"checkpoint": "Profluent-Bio/E1-150m"}, **options}
    return build(BindingConfig, settings).model_dump(mode="json")


ROWS = [
    {"epoch": 1, "split": "validation", "ion": "ZN", "auprc": 0.9, "auroc": 0.9, "hra": 0.9, "base_rate": 0.5},
    {"epoch": 2, "split": "train", "ion": "ZN", "loss_bce": 0.3},
    {"epoch": 2, "split": "validation", "ion": "ZN", "auprc": 0.3, "auroc": 0.7, "hra": 0.2, "base_rate": 0.0213},
    {"epoch": 2, "split": "validation", "ion": "CA", "auprc": "", "auroc": "", "hra": "", "base_rate": 0.0},
    {"epoch": 2, "split": "validation", "ion": "mean", "auprc": 0.3, "auroc": 0.7, "hra": 0.2},
]


class TestBinding:
    def test_a_fold(self) -> None:
        card = fold_card({}, fold=3, epoch=2, config=binding_config(), encoder="E1", rows=ROWS)
        values = header(card)
        assert values["license"] == "other"
        assert values["license_link"] == "https://huggingface.co/Profluent-Bio"
        assert (values["base_model"], values["base_model_relation"]) == ("Profluent-Bio/E1-150m", "adapter")
        assert (values["library_name"], "profluent-e1" in values["tags"]) == ("peft", True)
        assert "| `ZN` | 0.0213 | 0.300 | 0.700 | 0.200 |\n| `CA` | 0.0000 | \u2013 | \u2013 | \u2013 |\n\n" in card
        assert "0.900" not in card
        assert "The same proteins picked the epoch" in card
        assert "> Built on Profluent-E1." in card
        assert 'PeftModel.from_pretrained(E1ForMaskedLM.from_pretrained("Profluent-Bio/E1-150m"), "FOLDER")' in card
        assert "load the encoder too, after the line `import bindtune.auto`." in card

    def test_a_test_on_the_held_out_fold_is_preferred(self) -> None:
        tested = {"epoch": 2, "split": "test", "ion": "ZN", "auprc": 0.25, "auroc": 0.6, "hra": 0.1, "base_rate": 0.02}
        inner = binding_config(training={"inner_validation_fraction": 0.1})
        card = fold_card({}, fold=1, epoch=2, config=inner, encoder="E1", rows=[*ROWS, tested])
        assert "| `ZN` | 0.0200 | 0.250 | 0.600 | 0.100 |" in card
        assert "picked the epoch" not in card

    def test_esm_has_neither_the_notice_nor_the_licence_of_e1(self, tmp_path: Path) -> None:
        config = binding_config(model={"checkpoint": "facebook/esm2_t6_8M_UR50D"})
        write_fold_card(tmp_path, fold=1, epoch=1, config=config, encoder="esm", rows=[])
        folder = tmp_path / "fold_1" / "best_e1_binding_model_lora"
        card = (folder / "README.md").read_text()
        assert header(card)["license"] == "mit"
        assert "Profluent" not in card
        assert "bindtune.auto" not in card
        assert not (folder / "NOTICE").exists()

    def test_a_full_encoder_has_its_own_folder(self, tmp_path: Path) -> None:
        write_fold_card(tmp_path, fold=2, epoch=1, config=binding_config(lora=None), encoder="E1", rows=ROWS)
        folder = tmp_path / "fold_2" / "best_e1_binding_model"
        card = (folder / "README.md").read_text()
        assert header(card)["base_model_relation"] == "finetune"
        assert "Profluent-E1" in (folder / "NOTICE").read_text()
        assert "peft" not in card

    def test_a_run(self, tmp_path: Path) -> None:
        config = binding_config(training={"ions": ["ZN"]}, model={"checkpoint": EVIL})
        config["training"]["num_folds"] = EVIL
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
        (tmp_path / "provenance.json").write_text(json.dumps(origin({"labels of ZN": EVIL})))
        auprc = {"value": 0.4, "low": 0.3, "high": 0.5, "level": 0.95, "draws": 500}
        summary = {"proteins": 12, "residues": 3400, "base_rate": 0.02, "auprc": auprc, "auroc": 0.8, "hra": None,
                 "baseline": {"auprc": {"value": 0.1}}}  # fmt: skip
        (tmp_path / "summary.yaml").write_text(yaml.safe_dump({"out_of_fold": {"ZN": summary}}))
        card = run_card(tmp_path)
        assert "| `ZN` | 12 | 3400 | 0.0200 | 0.400 (0.300 to 0.500) | 0.100 | 0.800 | \u2013 |" in card
        assert "base_model" not in header(card)
        assert header(card)["license"] == "other"  # where nothing tells the encoder, the one that asks for most
        shown = markup(card)
        assert "<script" not in shown
        assert "javascript:alert(1))\n" not in card
        assert "href" not in re.sub(r'href="https://huggingface.co[^"]*"', "", shown)
        assert "/home/me" not in card

    def test_a_merged_encoder_of_a_fold_without_its_run(self, tmp_path: Path) -> None:
        card = merged_card(tmp_path, fold=1, epoch=4, base="Profluent-Bio/E1-300m", encoder="E1")
        assert header(card)["base_model"] == "Profluent-Bio/E1-300m"
        assert header(card)["library_name"] == "bindtune"
        assert "fold 1, epoch 4" in card
        assert 'E1ForMaskedLM.from_pretrained("FOLDER")' in card
        assert "load this folder too, after the line `import bindtune.auto`." in card
