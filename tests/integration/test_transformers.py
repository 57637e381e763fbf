"""Stock Trainer and PEFT on both encoders, and the page that shows them, run as it is printed."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor
from transformers import AutoModelForMaskedLM, DataCollatorForLanguageModeling, Trainer, TrainingArguments

import bindtune.auto
import tiny_dnabert2
import tiny_e1
from bindtune import (
    DNABert2ForMaskedLM,
    DNABert2ForSequenceClassification,
    DNABert2ForTokenClassification,
    E1BatchPreparer,
    E1ForMaskedLM,
    E1ForResidueClassification,
)
from bindtune.models.dnabert2_export import write_hub_layout

assert bindtune.auto.REGISTERED  # the auto classes know them now
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "transformers-and-peft.md"
PROTEINS = ["MKTAYIAKQR", "MFCATEEKLMCCASDF", "ACDEFGHIKL", "MK,WYVACDEF"] * 3
# PEFT and Trainer ask models for their checkpointing by a name that transformers 5 has given up.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore:'pin_memory':UserWarning")


def dnabert2(kind: Any, vocabulary: int, **changes: Any) -> Any:
    return tiny_dnabert2.build(kind, **{"vocab_size": vocabulary, "initializer_range": 0.02, **changes}).train()


def e1(**changes: Any) -> E1ForMaskedLM:
    torch.manual_seed(0)
    return E1ForMaskedLM(tiny_e1.config(intermediate_size=24, max_num_sequences=8, **changes))


def arguments(folder: Path, **changes: Any) -> TrainingArguments:
    settings: dict[str, Any] = {
        "max_steps": 4, "eval_strategy": "steps", "eval_steps": 2, "save_steps": 2, "load_best_model_at_end": True,
        "per_device_train_batch_size": 4, "per_device_eval_batch_size": 5, "learning_rate": 1e-2, "report_to": "none",
        "disable_tqdm": True, "use_cpu": True, "dataloader_pin_memory": False,
    }  # fmt: skip
    return TrainingArguments(str(folder), **{**settings, **changes})


def collate_proteins(rows: list[str]) -> dict[str, Any]:
    """A batch of `E1BatchPreparer` with every third residue hidden; labels of padding and context stay 0."""
    batch: dict[str, Any] = dict(E1BatchPreparer().get_batch_kwargs(rows))
    chosen = (batch["labels"] >= 8) & (torch.arange(batch["labels"].shape[1]) % 3 == 0)
    batch["labels"] = batch["labels"].masked_fill(~chosen & (batch["labels"] != 0), -100)
    batch["input_ids"] = batch["input_ids"].masked_fill(chosen, 5)
    return batch


@pytest.fixture
def dna_rows(tokenizer: Any) -> list[dict[str, Any]]:
    generator = torch.Generator().manual_seed(0)
    texts = ["".join("ACGT"[i] for i in torch.randint(4, (20 + n,), generator=generator)) for n in range(12)]
    return [dict(tokenizer(text)) for text in texts]


def check(trainer: Trainer) -> None:
    """Train; the best checkpoint is loaded at the end, and its loss is that of evaluation."""
    trainer.train()
    losses = [entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry]
    assert len(losses) == 2
    assert trainer.state.best_model_checkpoint is not None
    assert trainer.evaluate()["eval_loss"] == pytest.approx(min(losses), rel=1e-5)


@pytest.mark.slow
class TestTrainer:
    def test_masked_dna(self, tmp_path: Path, tokenizer: Any, dna_rows: list[dict[str, Any]]) -> None:
        model = dnabert2(DNABert2ForMaskedLM, len(tokenizer))
        batch = DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.3, seed=0)(dna_rows)
        rows = [{name: batch[name][row] for name in batch} for row in range(len(dna_rows))]
        seen: list[tuple[int, ...]] = []

        def metrics(predicted: Any) -> dict[str, float]:
            seen.append(predicted.predictions.shape)
            return {"labelled": float((predicted.label_ids != -100).sum())}

        trainer = Trainer(model, arguments(tmp_path), train_dataset=rows, eval_dataset=rows, compute_metrics=metrics)
        check(trainer)
        width = batch["input_ids"].shape[1]
        assert set(seen) == {(12, width, len(tokenizer))}
        assert trainer.evaluate()["eval_labelled"] == int((batch["labels"] != -100).sum())
        # Each batch's loss is the mean over its labels, and Trainer weighs batches by their rows.
        with torch.no_grad():
            means = [
                model(**{name: batch[name][part] for name in batch}).loss.item() * len(batch["labels"][part])
                for part in (slice(0, 5), slice(5, 10), slice(10, 12))
            ]
        assert trainer.evaluate()["eval_loss"] == pytest.approx(sum(means) / 12, rel=1e-5)

    def test_accumulated_batches_are_one_batch(
        self, tmp_path: Path, tokenizer: Any, dna_rows: list[dict[str, Any]]
    ) -> None:
        """The loss is divided by the labels of the whole step, which differ from batch to batch."""
        batch = DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.3, seed=0)(dna_rows)
        rows = [{name: batch[name][row] for name in batch} for row in range(len(dna_rows))]
        weights = []
        for size, steps in ((12, 1), (4, 3)):
            model = dnabert2(DNABert2ForMaskedLM, len(tokenizer), hidden_dropout_prob=0.0)
            changes: dict[str, Any] = {
                "max_steps": 1, "per_device_train_batch_size": size, "gradient_accumulation_steps": steps,
                "optim": "sgd", "eval_strategy": "no", "load_best_model_at_end": False, "save_strategy": "no",
                "max_grad_norm": 0.0,
            }  # fmt: skip
            Trainer(model, arguments(tmp_path, **changes), train_dataset=rows).train()
            weights.append(torch.cat([parameter.detach().flatten() for parameter in model.parameters()]))
        # Steps of 1e-2 times gradients below 10, each a sum in fp32 in another order: 0.1 * 2^-20 is 1e-7.
        torch.testing.assert_close(weights[0], weights[1], atol=1e-6, rtol=0)

    @pytest.mark.parametrize("kind", [DNABert2ForSequenceClassification, DNABert2ForTokenClassification])
    def test_classes_of_dna(self, kind: Any, tmp_path: Path, tokenizer: Any, dna_rows: list[dict[str, Any]]) -> None:
        from transformers import DataCollatorForTokenClassification

        tokens = kind is DNABert2ForTokenClassification
        rows = [
            {**row, "labels": [token % 2 for token in row["input_ids"]] if tokens else number % 2}
            for number, row in enumerate(dna_rows)
        ]
        model = dnabert2(kind, len(tokenizer), num_labels=2)
        collator = DataCollatorForTokenClassification(tokenizer) if tokens else None
        trainer = Trainer(
            model,
            arguments(tmp_path),
            train_dataset=rows,
            eval_dataset=rows,
            data_collator=collator,
            processing_class=tokenizer,
        )
        check(trainer)

    def test_masked_proteins(self, tmp_path: Path) -> None:
        seen: list[Any] = []

        def metrics(predicted: Any) -> dict[str, float]:
            seen.append(predicted.predictions.shape)
            return {}

        trainer = Trainer(
            e1(), arguments(tmp_path, remove_unused_columns=False, per_device_eval_batch_size=12),
            train_dataset=PROTEINS, eval_dataset=PROTEINS, data_collator=collate_proteins, compute_metrics=metrics,
        )  # fmt: skip
        check(trainer)
        assert seen[0] == (12, 20, 34)
        model: Any = trainer.model
        with torch.no_grad():
            expected = model(**collate_proteins(PROTEINS)).loss.item()
        assert trainer.evaluate()["eval_loss"] == pytest.approx(expected, rel=1e-5)

    def test_ion_heads(self, tmp_path: Path) -> None:
        model: Any = E1ForResidueClassification(e1(initializer_range=0.3), ["ZN"])

        def collate(rows: list[str]) -> dict[str, Any]:
            batch = collate_proteins(rows)
            real = batch["sequence_ids"] >= 0
            batch["labels"] = torch.where(real, batch["input_ids"] % 2, -100)[..., None]
            return {name: tensor for name, tensor in batch.items() if isinstance(tensor, Tensor)}

        trainer = Trainer(
            model, arguments(tmp_path, remove_unused_columns=False, label_names=["labels"]),
            train_dataset=PROTEINS, eval_dataset=PROTEINS, data_collator=collate,
        )  # fmt: skip
        check(trainer)

    def test_checkpointing_is_switched_on_by_its_argument(self, tmp_path: Path) -> None:
        changes: dict[str, Any] = {"remove_unused_columns": False, "gradient_checkpointing": True}
        trainer = Trainer(
            e1(), arguments(tmp_path, **changes), train_dataset=PROTEINS, eval_dataset=PROTEINS,
            data_collator=collate_proteins,
        )  # fmt: skip
        check(trainer)
        model: Any = trainer.model
        assert all(layer.gradient_checkpointing for layer in model.model.layers)


@pytest.mark.slow
def test_pipelines_fill_masks(tmp_path: Path, tokenizer: Any) -> None:
    from transformers import pipeline

    dnabert2(DNABert2ForMaskedLM, len(tokenizer), initializer_range=0.3).save_pretrained(tmp_path / "dna")
    tokenizer.save_pretrained(tmp_path / "dna")
    e1(initializer_range=0.3).save_pretrained(tmp_path / "protein")
    for name, text, position in (("dna", "AC[MASK]GT", 2), ("protein", "MKTAY,MK?A", 13)):
        fill = pipeline("fill-mask", model=str(tmp_path / name), device="cpu")
        best = fill(text, top_k=1)[0]
        ids = fill.tokenizer(text, return_tensors="pt")
        assert ids["input_ids"][0, position] == fill.tokenizer.mask_token_id
        with torch.no_grad():
            expected = fill.model(**ids).logits[0, position].softmax(-1)
        assert best["token"] == int(expected.argmax())
        assert best["score"] == pytest.approx(float(expected.max()), rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("task", [None, "FEATURE_EXTRACTION"])
@pytest.mark.parametrize("encoder", ["dnabert2", "e1"])
def test_adapters_of_peft_are_saved_and_come_back(encoder: str, task: str | None, tmp_path: Path) -> None:
    if encoder == "e1":
        base: Any = e1(initializer_range=0.3)
        batch: dict[str, Any] = collate_proteins(PROTEINS[:3])
        targets = ["q_proj", "w2"]
    else:
        base = dnabert2(DNABert2ForMaskedLM, 40, hidden_dropout_prob=0.0, initializer_range=0.3)
        ids = torch.arange(5, 35).view(2, 15)
        batch = {"input_ids": ids, "labels": ids.masked_fill(ids % 3 > 0, -100)}
        targets = ["Wqkv", "wo"]
    base.save_pretrained(tmp_path / "base")
    model = get_peft_model(base, LoraConfig(task_type=task, r=4, target_modules=targets))
    model.gradient_checkpointing_enable()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=2e-2)
    losses = []
    for _ in range(20):
        loss = model.train()(**batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    model.peft_config["default"].base_model_name_or_path = str(tmp_path / "base")
    model.eval().save_pretrained(tmp_path / "adapters")
    automatic = AutoModelForMaskedLM.from_pretrained(tmp_path / "adapters").eval()
    torch.testing.assert_close(automatic(**batch).logits, model(**batch).logits)
    again = PeftModel.from_pretrained(type(base).from_pretrained(tmp_path / "base"), tmp_path / "adapters").eval()
    expected: Tensor = model(**batch).logits
    assert torch.equal(again(**batch).logits, expected)
    merged = again.merge_and_unload()
    torch.testing.assert_close(merged(**batch).logits, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.slow
def test_the_page_runs_as_it_is_printed(tmp_path: Path, tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With small random models in the place of those of the hub."""
    write_hub_layout(dnabert2(DNABert2ForMaskedLM, len(tokenizer)), tmp_path / "zhihan1996" / "DNABERT-2-117M")
    tokenizer.save_pretrained(tmp_path / "zhihan1996" / "DNABERT-2-117M")
    e1().save_pretrained(tmp_path / "Profluent-Bio" / "E1-150m")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 7
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)  # noqa: S102 - the page's own lines
    assert names["logits"].shape == (2, 25, 34)
    assert names["output"].attentions[0].shape[:2] == (2, 6)
    expected = names["model"](**names["inputs"]).last_hidden_state
    torch.testing.assert_close(names["program"].module()(**names["inputs"])[0], expected, atol=1e-5, rtol=0)
