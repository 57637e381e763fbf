"""The steps that doctor tries: pass here, and fail where a library, a gradient or an adapter is not as it should be."""

from typing import Any

import pytest
import torch

from bindtune.doctor import trials
from bindtune.doctor.findings import Finding
from bindtune.models import adapter_check, adapters
from bindtune.models.dnabert2 import DNABert2ForMaskedLM
from bindtune.models.residue import E1ForResidueClassification

NAMES = ["pretraining, cpu", "binding sites, cpu"]


def tried() -> dict[str, Finding]:
    return {one.name: one for one in trials.try_jobs()}


def problems() -> list[str]:
    return [name for name, one in tried().items() if one.status == "problem"]


def test_both_jobs_work_here() -> None:
    before = torch.random.get_rng_state()
    findings = tried()
    assert list(findings) == NAMES
    assert {one.status for one in findings.values()} == {"ok"}
    assert "a step of a small DNABERT-2: loss 4." in findings[NAMES[0]].text
    assert findings[NAMES[1]].text.endswith("gradients finite, adapters live")
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_library_that_renames_an_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise TypeError("E1ModelOutput.__init__() got an unexpected keyword argument 'cache'")

    monkeypatch.setattr(E1ForResidueClassification, "forward", refuse)
    finding = tried()[NAMES[1]]
    assert finding.status == "problem"
    assert finding.text.startswith("TypeError: E1ModelOutput.__init__() got an unexpected keyword argument 'cache' (")
    assert problems() == [NAMES[1]]


def test_a_library_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "bindtune.models.dnabert2", None)
    finding = tried()[NAMES[0]]
    assert finding.status == "problem"
    assert finding.text.startswith("ModuleNotFoundError: import of bindtune.models.dnabert2 halted")
    assert finding.fix


@pytest.mark.parametrize("factor", [float("nan"), 0.0])
def test_gradients_that_nothing_can_be_learned_from(monkeypatch: pytest.MonkeyPatch, factor: float) -> None:
    forward = DNABert2ForMaskedLM.forward

    def scaled(self: Any, *args: Any, **kwargs: Any) -> Any:
        output = forward(self, *args, **kwargs)
        output.loss = output.loss * factor
        return output

    monkeypatch.setattr(DNABert2ForMaskedLM, "forward", scaled)
    finding = tried()[NAMES[0]]
    assert (finding.status, finding.text.endswith("not finite" if factor else "all 0")) == ("problem", True)


def test_adapters_that_are_not_live(monkeypatch: pytest.MonkeyPatch) -> None:
    add = adapters.add_lora

    def neutral(model: Any, **options: Any) -> Any:
        adapted = add(model, **options)
        for layer in adapted.modules():
            if hasattr(layer, "scaling") and isinstance(layer.scaling, dict):
                layer.scaling = dict.fromkeys(layer.scaling, 0.0)
        return adapted

    monkeypatch.setattr(adapters, "add_lora", neutral)
    finding = tried()[NAMES[1]]
    assert finding.status == "problem"
    assert finding.text.startswith("adapters are not live: filled A and B change it (largest difference 0)")
    assert adapter_check.version("peft") in finding.text
