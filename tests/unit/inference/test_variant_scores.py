"""Scores follow their definition: log-odds of single tokens, exact signs, and the same alone as among others."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForMaskedLM, EsmConfig, EsmForMaskedLM

import tiny_dnabert2
from bindtune.data.dna.alleles import trim
from bindtune.errors import BindtuneError, CheckpointError
from bindtune.inference.model_kinds import alphabet_of
from bindtune.inference.variant_scores import Reading, VariantScorer, readings

DRAWN = random.Random(3)
LETTERS = "".join(DRAWN.choices("ACGT", k=400))
WIDTH = 80


def drawn_variants() -> list[tuple[int, str, str]]:
    """Position from 1, REF and ALT: substitutions, insertions and deletions of up to 20 letters."""
    rows = []
    for position in range(1, 400, 7):
        kind = position % 3
        size = DRAWN.randint(1, 20)
        ref = LETTERS[position - 1 : position + (size if kind == 2 else 0)]
        alt = DRAWN.choice("ACGT".replace(ref[0], "")) if kind == 0 else ref[0]
        rows.append((position, ref, alt + "".join(DRAWN.choices("ACGT", k=size)) if kind == 1 else alt))
    return [row for row in rows if row[1] != row[2]]


VARIANTS = drawn_variants()


def rows_of(
    variants: Sequence[tuple[int, str, str]], *, strand: int = 0, phases: int = 2, swapped: bool = False
) -> list[Reading]:
    """The readings of variants of `LETTERS`; swapped, of the sequence that has the other allele."""
    rows = []
    for owner, (position, ref, alt) in enumerate(variants):
        letters = LETTERS
        if swapped:
            letters = LETTERS[: position - 1] + alt + LETTERS[position - 1 + len(ref) :]
            ref, alt = alt, ref
        rows += readings(
            owner, trim(position, ref, alt), fetch=lambda start, end, text=letters: text[start:end], size=len(letters),
            width=WIDTH, strand=strand, phases=phases,
        )  # fmt: skip
    return rows


def bert(vocabulary: int) -> BertForMaskedLM:
    return BertForMaskedLM(
        BertConfig(
            vocab_size=vocabulary, hidden_size=24, num_hidden_layers=2, num_attention_heads=2, intermediate_size=40,
            initializer_range=0.3, max_position_embeddings=128,
        )
    ).eval()  # fmt: skip


@pytest.fixture(scope="module", params=["dnabert2", "bert"])
def scorer(request: pytest.FixtureRequest, tokenizer: Any) -> VariantScorer:
    torch.manual_seed(1)
    model = tiny_dnabert2.build() if request.param == "dnabert2" else bert(60)
    return VariantScorer("tiny", model, tokenizer, 2000)


def by_definition(scorer: VariantScorer, ref: str, alt: str) -> tuple[float, int, int]:
    """The score of one reading in plain Python, and how many tokens differ."""
    rows = [scorer.tokenizer(text)["input_ids"] for text in (ref, alt)]
    first = 0
    while first < min(map(len, rows)) and rows[0][first] == rows[1][first]:
        first += 1
    last = 0
    while last < min(map(len, rows)) - first and rows[0][-1 - last] == rows[1][-1 - last]:
        last += 1
    sums = []
    for row in rows:
        places = range(first, len(row) - last)
        masked = [4 if index in places else token for index, token in enumerate(row)]
        with torch.no_grad():
            table = scorer.model(input_ids=torch.tensor([masked])).logits[0].log_softmax(-1)
        sums.append(sum(float(table[position, row[position]]) for position in places))
    return sums[1] - sums[0], *(len(row) - last - first for row in rows)


def test_scores_are_those_of_the_definition(scorer: VariantScorer) -> None:
    rows = rows_of(VARIANTS)
    scores = scorer.score(rows, count=len(VARIANTS))
    for owner, score in enumerate(scores):
        plain = [by_definition(scorer, row.ref, row.alt) for row in rows if row.owner == owner]
        assert len(plain) >= 2
        np.testing.assert_allclose(score, np.mean(plain, axis=0), atol=1e-4)  # fp32, logits of about 50


def test_one_token_each_is_the_log_odds_at_one_masked_place(scorer: VariantScorer) -> None:
    substitutions = [
        (index + 1, LETTERS[index], other) for index in range(100, 160) for other in "ACGT" if other != LETTERS[index]
    ]
    rows = rows_of(substitutions, strand=1, phases=1)
    scores = scorer.score(rows, count=len(substitutions))
    single = [index for index, score in enumerate(scores) if score.tokens_ref == score.tokens_alt == 1]
    assert len(single) > 20
    for index in single:
        ref, alt = (scorer.tokenizer(text)["input_ids"] for text in (rows[index].ref, rows[index].alt))
        (changed,) = [at for at, (one, two) in enumerate(zip(ref, alt, strict=True)) if one != two]
        masked = torch.tensor([ref])
        masked[0, changed] = 4
        with torch.no_grad():
            logits = scorer.model(input_ids=masked).logits[0, changed]
        assert scores[index].score == pytest.approx(float(logits[alt[changed]] - logits[ref[changed]]), abs=1e-5)


def test_swapped_alleles_have_the_other_sign_exactly(scorer: VariantScorer) -> None:
    scores = scorer.score(rows_of(VARIANTS), count=len(VARIANTS))
    back = scorer.score(rows_of(VARIANTS, swapped=True), count=len(VARIANTS))
    assert [score.score for score in scores] == [-score.score for score in back]
    assert any(score.score for score in scores)
    assert [score[1:] for score in scores] == [(score.tokens_alt, score.tokens_ref) for score in back]


def test_alone_is_as_in_a_batch(scorer: VariantScorer) -> None:
    scores = scorer.score(rows_of(VARIANTS), count=len(VARIANTS))
    for variant, score in zip(VARIANTS, scores, strict=True):
        (alone,) = scorer.score(rows_of([variant]), count=1)
        assert alone.score == pytest.approx(score.score, abs=1e-5)


def test_progress_adds_up_and_unknown_letters_give_no_number(scorer: VariantScorer) -> None:
    counted: list[int] = []
    scorer.score(rows_of(VARIANTS), count=len(VARIANTS), done=counted.append)
    assert sum(counted) == len(VARIANTS)
    text = LETTERS[:40] + "N" + LETTERS[40:80]
    (score,) = scorer.score([Reading(0, text, text[:40] + "A" + text[41:])], count=1)
    assert np.isnan(score.score)


def test_models_are_told_apart_by_what_they_read(tmp_path: Path, tokenizer: Any) -> None:
    tiny_dnabert2.build().save_pretrained(tmp_path / "dnabert2")
    bert(60).save_pretrained(tmp_path / "bert")
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 20}
    esm = EsmConfig(vocab_size=60, **sizes, mask_token_id=4, pad_token_id=3, position_embedding_type="rotary")
    EsmForMaskedLM(esm).save_pretrained(tmp_path / "esm of DNA")
    for name in ("dnabert2", "bert", "esm of DNA"):
        tokenizer.save_pretrained(tmp_path / name)
        assert alphabet_of(str(tmp_path / name)) == "DNA"
    (tmp_path / "gpt2").mkdir()
    (tmp_path / "gpt2/config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(CheckpointError, match=r"'gpt2' model, expected DNABERT-2 or .*Profluent-E1, ESM-2"):
        alphabet_of(str(tmp_path / "gpt2"))


def test_an_output_that_is_not_finite_is_named(tokenizer: Any) -> None:
    model = tiny_dnabert2.build()
    with torch.no_grad():
        model.cls.predictions.decoder.bias[0] = torch.inf
    with pytest.raises(BindtuneError, match=r"^broken: the model's output is not finite"):
        VariantScorer("broken", model, tokenizer, 2000).score(rows_of(VARIANTS[:3]), count=3)
