"""Models of a run: one fold and all folds give the same; what is wrong is said."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import rounding
import tiny_e1
from bindtune import E1BatchPreparer, E1ForMaskedLM, load_ensemble_models, load_lora_checkpoint
from bindtune.errors import CheckpointError
from bindtune.runs.names import BEST

Make = Callable[..., Path]


@pytest.fixture
def run(make_binding_run: Make, tmp_path: Path) -> Path:
    return make_binding_run(tmp_path / "run")


def batch(residues: int = 30) -> dict[str, Tensor]:
    rows: Any = E1BatchPreparer().get_batch_kwargs(["MKTAYIAKQRCH" * 40][:1])
    names = ("input_ids", "within_seq_position_ids", "global_position_ids", "sequence_ids")
    return {name: rows[name][:, : residues + 4] for name in names}


@pytest.mark.parametrize("residues", [5, 470])  # few tokens run beside the layers, many through merged ones
@pytest.mark.parametrize("kind", [{}, {"bias": "all"}, {"lora": False}], ids=["adapters", "biases", "encoders"])
def test_models_of_an_ensemble_are_those_of_the_folds(
    make_binding_run: Make, tmp_path: Path, residues: int, kind: dict[str, Any]
) -> None:
    run = make_binding_run(tmp_path / "run", **kind)
    models = list(load_ensemble_models(run, 3))
    alone = [load_lora_checkpoint(run / f"fold_{fold}" / BEST) for fold in (1, 2, 3)]
    first = alone[0](**batch(residues)).logits
    assert (first - alone[1](**batch(residues)).logits).abs().max() > 0.1
    for model, expected in reversed(list(zip(models, alone, strict=True))):
        logits = expected(**batch(residues)).logits
        close = rounding.of(expected._original_model, logits)
        torch.testing.assert_close(model(**batch(residues)).logits, logits, **close)
    again = models[0](**batch(residues))
    torch.testing.assert_close(again.logits, first, **close)
    assert not again.logits.requires_grad and not models[0].training
    torch.testing.assert_close(models[0](**batch(residues), ion="MN").logits, again.logits[..., 1])


def test_merging_in_passing_leaves_the_encoder_as_it_was(binding_run: Path) -> None:
    ensemble = load_ensemble_models(binding_run)
    models = list(ensemble)
    assert models[0]._original_model is models[2]._original_model
    before = {name: weight.clone() for name, weight in models[0].e1_backbone.state_dict().items()}
    outputs = [models[index](**batch(470)).logits for index in (0, 1, 2, 0)]
    torch.testing.assert_close(outputs[0], outputs[3], atol=0, rtol=0)
    assert all(torch.equal(weight, before[name]) for name, weight in models[0].e1_backbone.state_dict().items())


@pytest.mark.parametrize("name", ["", f"{BEST}", f"{BEST}_lora", f"{BEST}_heads.pt"])
def test_any_name_of_a_fold_will_do(binding_run: Path, name: str) -> None:
    expected = load_lora_checkpoint(binding_run / "fold_2" / BEST)(**batch()).logits
    assert torch.equal(load_lora_checkpoint(str(binding_run / "fold_2" / name))(**batch()).logits, expected)


@pytest.mark.parametrize("odd", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(run: Path, odd: float) -> None:
    """They would predict, in silence, that nothing binds."""
    fold = run / "fold_2"
    adapters = fold / f"{BEST}_lora/adapter_model.safetensors"
    weights = load_file(adapters)
    name = sorted(weights)[-1]
    before = weights[name][0, 0].item()
    weights[name][0, 0] = odd
    save_file(weights, adapters)
    count = f"nan or infinity in 1 of {weights[name].numel()} places"
    with pytest.raises(CheckpointError, match=re.escape(f"{adapters}: {name} is not finite: {count}")):
        load_ensemble_models(run)
    weights[name][0, 0] = before
    save_file(weights, adapters)
    load_ensemble_models(run)
    heads = fold / f"{BEST}_heads.pt"
    content = torch.load(heads, weights_only=True)
    name = next(iter(content["classifier_heads"]))
    content["classifier_heads"][name].view(-1)[0] = odd
    torch.save(content, heads)
    with pytest.raises(CheckpointError, match=re.escape(f"{heads}: {name} is not finite")):
        load_lora_checkpoint(fold / BEST)


def test_loading_leaves_the_random_state_alone(binding_run: Path) -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    load_ensemble_models(binding_run)
    assert torch.equal(torch.rand(2), expected)


def test_the_encoder_may_lie_elsewhere(run: Path) -> None:
    expected = load_lora_checkpoint(run / "fold_1" / BEST)(**batch()).logits
    (run.parent / "encoder").rename(run.parent / "moved")
    with pytest.raises(
        CheckpointError, match=r"the base model of .*run, '.*encoder', is not here; looked for .*base_model"
    ):
        load_lora_checkpoint(run / "fold_1" / BEST)
    moved = str(run.parent / "moved")
    assert torch.equal(load_lora_checkpoint(run / "fold_1" / BEST, base_model=moved)(**batch()).logits, expected)
    assert len(load_ensemble_models(run, base_model=moved)) == 3


def write_encoder(folder: Path, width: int) -> None:
    E1ForMaskedLM(tiny_e1.config(hidden_size=width)).save_pretrained(folder)


def test_an_encoder_of_another_shape_is_refused(run: Path) -> None:
    write_encoder(run.parent / "other", width=32)
    with pytest.raises(CheckpointError, match="do not fit the base model"):
        load_ensemble_models(run, base_model=str(run.parent / "other"))


def test_an_encoder_of_the_same_shape_but_other_weights_is_refused(run: Path) -> None:
    from bindtune.runs.provenance import provenance

    own = run.parent / "encoder/model.safetensors"
    (run / "provenance.json").write_text(json.dumps(provenance({"base model.safetensors": own}, [])))
    assert len(load_ensemble_models(run)) == 3
    write_encoder(run.parent / "other", width=16)
    with pytest.raises(CheckpointError, match="not the base model of"):
        load_ensemble_models(run, base_model=str(run.parent / "other"))


def change_heads(run: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = run / "fold_2" / f"{BEST}_heads.pt"
    content = torch.load(path, weights_only=True)
    change(content)
    torch.save(content, path)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda heads: heads["ions"].append("CA"), "no head for CA"),
        (lambda heads: heads.update(ions=["MN", "ZN"]), "ions is"),
        (lambda heads: heads.update(base_model_checkpoint="x"), "the base model of .*, 'x', is not here"),
        (lambda heads: heads.pop("ions"), "ions is missing"),
        (lambda heads: heads["classifier_heads"].update({"ZN.score.weight": torch.zeros(1, 3)}), "heads do not fit"),
    ],
)
def test_heads_that_do_not_belong(run: Path, change: Callable[[dict[str, Any]], None], problem: str) -> None:
    change_heads(run, change)
    with pytest.raises(CheckpointError, match=problem):
        load_ensemble_models(run)


@pytest.mark.parametrize("name", [f"{BEST}_heads.pt", f"{BEST}_lora/adapter_model.safetensors"])
@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_files_that_were_cut_short(run: Path, name: str, share: float) -> None:
    path = run / "fold_3" / name
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(CheckpointError, match=path.name.replace(".", r"\.")):
        load_ensemble_models(run)


def test_files_that_are_missing(run: Path) -> None:
    (run / "fold_3" / f"{BEST}_lora/adapter_config.json").write_text('{"peft_type": "LORA", "r": ')
    with pytest.raises(CheckpointError, match=r"adapter_config\.json"):
        load_ensemble_models(run)
    (run / "fold_3" / f"{BEST}_lora/adapter_config.json").unlink()
    with pytest.raises(CheckpointError, match=r"adapter_config\.json: no such file"):
        load_ensemble_models(run)
    shutil.rmtree(run / "fold_3" / f"{BEST}_lora")
    with pytest.raises(CheckpointError, match="adapters of the fold are missing"):
        load_ensemble_models(run)
    shutil.rmtree(run / "fold_3")
    with pytest.raises(CheckpointError, match="fold_3"):
        load_ensemble_models(run)
    assert len(load_ensemble_models(run, num_folds=2)) == 2
    with pytest.raises(CheckpointError, match="no run folder"):
        load_ensemble_models(run / "nothing")


def test_a_pickle_is_not_unpickled(run: Path) -> None:
    class Odd:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (run / "touched",))

    torch.save({"ions": Odd()}, run / "fold_1" / f"{BEST}_heads.pt")
    with pytest.raises(CheckpointError, match="no heads of a binding model"):
        load_ensemble_models(run)
    assert not (run / "touched").exists()
