"""One training step of each job on small models in memory, to see that libraries, processor and GPU work."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import torch
from torch import Tensor, nn

from bindtune.checks import Check, attempt_check
from bindtune.doctor.findings import Finding, attempt, noted, problem

FIX = "install the tested versions that are named above, or a newer bindtune: pip install -U bindtune"
_SEQUENCES = ("MSHHWGYGKHNGPEHWHKDFPIAKGERQSP,MSHHWGYGKHNGPEHWHRDFPIAEGERQSP", "HWGYGKH")


def try_jobs() -> list[Finding]:
    """Try both jobs on the CPU and, if there is one, on the first GPU. A GPU with bfloat16 computes in bfloat16."""
    findings: list[Finding] = []
    for device in ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]:
        for name, trial in {"pretraining": _try_pretraining, "binding sites": _try_binding}.items():
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                findings += _try(f"{name}, {device}", partial(trial, device))
    return findings


def _try(name: str, trial: Callable[[], Check]) -> list[Finding]:
    problems: list[Finding] = []
    check = attempt("jobs", name, partial(attempt_check, name, trial), problems)
    if check is None:
        return problems
    if check.passed:
        return [noted("jobs", name, True, check.detail)]
    return [problem("jobs", name, check.detail, FIX)]


def _try_pretraining(device: str) -> Check:
    """Forward and backward through a DNABERT-2, with padding."""
    from bindtune.models.dnabert2 import DNABert2Config, DNABert2ForMaskedLM

    config = DNABert2Config(
        vocab_size=64, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64
    )
    model = DNABert2ForMaskedLM(config).train().to(device)
    ids = torch.randint(5, 64, (3, 40)).to(device)
    mask = (torch.arange(40, device=device) < torch.tensor([[40], [25], [7]], device=device)).long()
    with _precision(device):
        loss = model(input_ids=ids, attention_mask=mask, labels=ids).loss
    return _judge("DNABERT-2", model, loss)


def _try_binding(device: str) -> Check:
    """Forward and backward through an E1 with adapters, heads and a context; check that the adapters are live."""
    from bindtune.demo.tiny_e1 import tiny_e1
    from bindtune.models.adapter_check import check_lora
    from bindtune.models.adapters import add_lora
    from bindtune.models.e1_tokens import IDS, E1BatchPreparer
    from bindtune.models.residue import E1ForJointBindingMLM

    encoder = add_lora(tiny_e1(1), r=4, alpha=8, dropout=0.0, target_modules=["q_proj", "v_proj", "w1", "w2"])
    model = E1ForJointBindingMLM(encoder, ["ZN"], dropout=0.0).train().to(device)
    batch = E1BatchPreparer().get_batch_kwargs(_SEQUENCES, device)
    inputs: dict[str, Tensor] = {name: batch[name] for name in IDS}  # type: ignore[literal-required]
    live = check_lora(encoder, inputs)
    with _precision(device):
        loss = model(**inputs, labels=(inputs["input_ids"] % 2)[..., None], mlm_labels=inputs["input_ids"]).loss
    check = _judge("E1", model, loss)
    if not all(live.statements.values()):
        wrong = next(statement for statement, holds in live.statements.items() if not holds)
        return Check(check.name, False, f"adapters are not live: {wrong}; {live.advice}")
    return check._replace(detail=f"{check.detail}, adapters live")


def _precision(device: str) -> AbstractContextManager[object]:
    if device == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.autocast(device, dtype=torch.bfloat16)
    return nullcontext()


def _judge(name: str, model: nn.Module, loss: Tensor) -> Check:
    """Whether a loss and its gradients are finite, and some gradient is not 0."""
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = [one.grad for one in model.parameters() if one.requires_grad and one.grad is not None]
    finite = bool(torch.isfinite(loss)) and all(bool(torch.isfinite(gradient).all()) for gradient in gradients)
    moved = any(bool(gradient.any()) for gradient in gradients)
    how = "finite" if finite else "not finite"
    detail = f"a step of a small {name}: loss {float(loss.detach()):.4g}, gradients {how}"
    return Check(name, finite and moved, detail if moved else f"{detail}, all 0")
