"""Exported models: an encoder with adapters merged loads, predicts alike and is trained on; cards stand beside all."""

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from huggingface_hub import ModelCard
from peft import PeftModel

from bindtune import E1BatchPreparer, E1ForMaskedLM
from bindtune.config import BindingConfig, build
from bindtune.demo.tiny_e1 import make_tiny_e1
from bindtune.errors import BindtuneError, CheckpointError, ConfigError
from bindtune.training.binding.run import cross_validate
from bindtune.training.export import export_run

SEQUENCES = ["MKTAYIAKQRQISFVKSHFSRQ", "MSKGEELFTGVVPILVELDGDVNG", "MADEEKLPPGWEKRMSRSSGRV", "MNIFEMLRIDEGLRLKIYKDTE"]


@pytest.fixture(scope="module")
def adapted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run without ions, which adapts the language model alone, and its encoder."""
    folder = tmp_path_factory.mktemp("adapted")
    encoder = make_tiny_e1(folder / "encoder", seed=1)
    (folder / "proteins.fa").write_text("".join(f">u{n}\n{text}\n" for n, text in enumerate(SEQUENCES)))
    cross_validate(settings(folder / "run", encoder, data={"unlabelled_fasta": str(folder / "proteins.fa")}, ions=[]))
    return folder / "run", encoder


def settings(run: Path, encoder: Path, *, data: dict[str, Any], ions: list[str]) -> BindingConfig:
    training = {
        "ions": ions, "output_dir": run, "num_folds": 2, "epochs": 2, "warmup_epochs": 0, "batch_size": 2,
        "accum_steps": 1, "learning_rate": 1e-2, "num_workers": 0, "save_steps": 0, "mlm_weight": 1.0,
    }  # fmt: skip
    return build(BindingConfig, {"data": data, "training": training, "model": {"checkpoint": str(encoder)}})


def logits(model: Any) -> torch.Tensor:
    batch = E1BatchPreparer().get_batch_kwargs(SEQUENCES)
    names = ("input_ids", "within_seq_position_ids", "global_position_ids", "sequence_ids")
    with torch.no_grad():
        logits: torch.Tensor = model.eval()(**{name: batch[name] for name in names}).logits
    return logits


def test_the_export_of_a_fold_is_its_adapters_on_the_encoder(adapted: tuple[Path, Path], tmp_path: Path) -> None:
    run, encoder = adapted
    export_run(run / "fold_1", tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"config.json", "model.safetensors", "README.md", "NOTICE"}
    base = E1ForMaskedLM.from_pretrained(encoder)
    plain = logits(base)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PEFT's, of transformers
        apart = logits(PeftModel.from_pretrained(base, run / "fold_1" / "best_e1_binding_model_lora"))
    merged = logits(E1ForMaskedLM.from_pretrained(tmp_path / "out"))
    assert (apart - plain).abs().max() > 1e-2
    torch.testing.assert_close(merged, apart, rtol=1e-4, atol=1e-4)
    card = ModelCard.load(tmp_path / "out" / "README.md")
    assert card.data.to_dict()["license"] == "other"
    assert "unlabelled proteins" in card.text
    assert "fold 1, epoch" in card.text
    assert "Profluent-E1" in (tmp_path / "out" / "NOTICE").read_text()


def test_an_export_is_a_checkpoint_for_the_next_run(adapted: tuple[Path, Path], tmp_path: Path) -> None:
    run, _ = adapted
    export_run(run / "fold_1", tmp_path / "encoder")
    labels = "".join(
        f">p{n}\n{text}\n{''.join(str(int(x in 'DE')) for x in text)}\n" for n, text in enumerate(SEQUENCES)
    )
    (tmp_path / "ZN.fa").write_text(labels)
    config = settings(
        tmp_path / "next", tmp_path / "encoder", data={"fasta_path": str(tmp_path / "{ION}.fa")}, ions=["ZN"]
    )
    cross_validate(config)
    for folder in (
        tmp_path / "next",
        *(tmp_path / "next" / f"fold_{k}" / "best_e1_binding_model_lora" for k in (1, 2)),
    ):
        card = ModelCard.load(folder / "README.md")
        assert card.data.to_dict()["license"] == "other"
        assert "base rate" in card.text and "`ZN`" in card.text
        assert "More Information Needed" not in card.text
        assert "Profluent-E1" in (folder / "NOTICE").read_text()
    export_run(tmp_path / "next" / "fold_2", tmp_path / "again")
    assert logits(E1ForMaskedLM.from_pretrained(tmp_path / "again")).isfinite().all()


def test_a_run_without_adapters_is_exported_whole(adapted: tuple[Path, Path], tmp_path: Path) -> None:
    run, encoder = adapted
    values = yaml.safe_load((run / "config.yaml").read_text())
    values["lora"], values["training"]["output_dir"] = None, str(tmp_path / "whole")
    cross_validate(build(BindingConfig, values))
    assert (tmp_path / "whole" / "fold_1" / "best_e1_binding_model" / "README.md").is_file()
    export_run(tmp_path / "whole" / "fold_1", tmp_path / "out")
    out, trained = (E1ForMaskedLM.from_pretrained(folder) for folder in
                    (tmp_path / "out", tmp_path / "whole" / "fold_1" / "best_e1_binding_model"))  # fmt: skip
    assert torch.equal(logits(out), logits(trained))
    assert not torch.equal(logits(out), logits(E1ForMaskedLM.from_pretrained(encoder)))


def test_what_cannot_be_exported_is_refused(adapted: tuple[Path, Path], tmp_path: Path) -> None:
    run, encoder = adapted
    with pytest.raises(ConfigError, match=r"is a binding run: name one of its folds, such as .*fold_1"):
        export_run(run, tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("")
    for out, reason in ((tmp_path / "full", "is not empty"), (tmp_path / "full" / "x", "is a file, expected a folder")):
        with pytest.raises(BindtuneError, match=reason):
            export_run(run / "fold_1", out)
    before = (encoder / "config.json").read_text()
    (encoder / "config.json").write_text(json.dumps({**json.loads(before), "rope_theta_global": 99.0}))
    try:
        with pytest.raises(CheckpointError, match=r"not the encoder that .* was trained on: config.json changed since"):
            export_run(run / "fold_1", tmp_path / "out")
    finally:
        (encoder / "config.json").write_text(before)
    assert not (tmp_path / "out").exists()


def test_a_pretraining_run_has_a_card_and_so_has_its_export(pretraining_run: Path, tmp_path: Path) -> None:
    losses = json.loads((pretraining_run / "eval_results.json").read_text())
    for model in (pretraining_run, pretraining_run / "checkpoint-4"):
        export_run(model, tmp_path / model.name)
        assert "original code" in (tmp_path / model.name / "README.md").read_text()
    for folder in (pretraining_run, tmp_path / pretraining_run.name):
        card = ModelCard.load(folder / "README.md")
        assert f"{losses['eval_loss']:.4f}" in card.text
        assert "license" not in card.data.to_dict()  # a generated base: nobody has said
        assert "base model.safetensors" in card.text
