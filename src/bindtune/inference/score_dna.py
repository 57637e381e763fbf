"""Score variants with a model of DNA, part by part: `bindtune score` with a VCF, a table or a parent of DNA."""

import hashlib
import json
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import torch

from bindtune.config import ScoreConfig
from bindtune.data.dna.tokens import load_tokenizer
from bindtune.errors import ConfigError, InputError
from bindtune.inference.ranks import choose_device
from bindtune.inference.variant_files import JoinedCounts, ScoredAllele, join_parts, unscored_path, write_part
from bindtune.inference.variant_scores import UNKNOWN_NEARBY, Reading, VariantScore, VariantScorer, readings
from bindtune.inference.variant_source import Allele, Survey, VariantSource, open_source
from bindtune.io.text import rereadable
from bindtune.io.vcf import check_info_name
from bindtune.models.base_files import base_files
from bindtune.models.loading import load_masked_lm
from bindtune.outputs import LONGEST_NAME, output_file
from bindtune.progress import Advance, progress
from bindtune.runs.exclusive import only_writer
from bindtune.runs.names import MANIFEST, PREDICTIONS, part_file, part_files
from bindtune.runs.provenance import sha256
from bindtune.runs.writing import sweep, write_text
from bindtune.yaml_json import read_json

log = logging.getLogger(__name__)

_STRANDS = {1: "+", -1: "-", 0: "."}
# Settings that change scores. The variants and the models are recorded by their hashes.
_BINDING = (
    "genome", "parent", "genes", "gene_feature", "strand", "width", "phases", "method", "dtype", "mismatches",
    "chromosome_names", "chromosome_aliases", "part_variants", "effect", "dataset", "arm",
)  # fmt: skip


def score_dna(settings: ScoreConfig, *, notify: Callable[[str], None] = lambda text: None) -> str:
    """Score the variants of a file with a model of DNA, and return a summary.

    Args:
        settings: the settings.
        notify: gets a sentence about each slow step.

    Raises:
        InputError: variants, genome or genes cannot be read or do not fit each other.
        CheckpointError: the model cannot be loaded.
        ConfigError: the folder of parts holds scores of something else.
    """
    out = output_file(settings.out)
    for path in (out, output_file(unscored_path(out))):
        sweep(path.parent, path.name)
    about = {"model": settings.model, "settings": settings.model_dump_json()}
    with rereadable(settings.variant_file) as variants:
        named = {name: variants for name in ("vcf", "table", "variants") if getattr(settings, name) is not None}
        return _score_file(settings.model_copy(update=named), out, about, notify=notify)


def _score_file(settings: ScoreConfig, out: Path, about: dict[str, str], *, notify: Callable[[str], None]) -> str:
    """Score variants that can be read several times: to check them, to score them and to write them."""
    if settings.vcf is not None and settings.writes_vcf:
        check_info_name(settings.vcf, settings.info_field)
    with open_source(settings, notify=notify) as source:
        survey = source.survey()
        scorer = _scorer(settings)
        parts = _parts_folder(out)
        with only_writer(parts, tidy=True):
            _begin(parts, _manifest(settings))
            _score_parts(settings, source, scorer, survey, parts=parts)
            counts = join_parts(
                parts, out, vcf=settings.vcf, info_field=settings.info_field,
                description=_description(settings), metadata=about,
            )  # fmt: skip
            for path in (*part_files(parts), parts / MANIFEST):
                path.unlink()
        with suppress(OSError):  # another process has just begun in it
            parts.rmdir()
    return _summary(settings, survey, counts, unscored_path(out))


def _parts_folder(out: Path) -> Path:
    """The folder of the finished parts, beside the output."""
    name = f".{out.name}.parts"
    if len(name.encode()) > LONGEST_NAME // 2:
        name = f".{hashlib.sha256(out.name.encode()).hexdigest()[:32]}.parts"
    return out.with_name(name)


def _manifest(settings: ScoreConfig) -> dict[str, Any]:
    values = settings.model_dump(mode="json")
    content: dict[str, Any] = {"settings": {name: values[name] for name in _BINDING}}
    content["variants"] = sha256(settings.variant_file)
    if settings.effect is None:
        content["model"] = {name: sha256(path) for name, path in base_files(settings.model).items()}
    else:  # its predictions depend on all learned weights
        content["model"] = {settings.model: sha256(settings.effect / PREDICTIONS)}
    for name in ("genome", "parent", "genes", "chromosome_aliases"):
        path = getattr(settings, name)
        if path is not None:  # a genome is large, so its size and time are used instead of a hash
            content[name] = [path.stat().st_size, path.stat().st_mtime_ns]
    return content


def _begin(parts: Path, manifest: dict[str, Any]) -> None:
    """Write the manifest of the parts, or compare it with an earlier one.

    Raises:
        ConfigError: the parts have other inputs or settings.
    """
    path = parts / MANIFEST
    sweep(parts)
    if path.is_file() and part_files(parts):
        before = read_json(path)
        if not isinstance(before, dict):
            raise InputError(path, None, "no manifest of scores")
        differing = [name for name in manifest.keys() | before.keys() if before.get(name) != manifest.get(name)]
        if differing:
            raise ConfigError(
                f"{parts} holds scores of a stopped command, and {', '.join(sorted(differing))} are not those that the "
                "run began with: give that command again, choose another --out, or delete the folder"
            )
        log.info("%s: going on behind %d finished parts", parts, len(part_files(parts)))
    write_text(path, json.dumps(manifest, indent=2) + "\n")


class _Scorer(Protocol):
    def score(self, rows: Sequence[Reading], *, count: int, done: Callable[[int], None]) -> list[VariantScore]: ...


def _scorer(settings: ScoreConfig) -> tuple[_Scorer, int]:
    """The scorer of variants, and the number of nucleotides that it reads."""
    device = choose_device(settings.device)
    if settings.effect is not None:
        from bindtune.inference.effect_scores import effect_scorer  # here: it imports scikit-learn and PEFT

        effects = effect_scorer(
            settings.effect, settings.model, dataset=settings.dataset, arm=settings.arm, device=device
        )
        return effects, settings.width if "width" in settings.model_fields_set else effects.width
    model: Any = load_masked_lm(settings.model)
    model = model.to(getattr(torch, settings.dtype)).eval().to(device)
    scorer = VariantScorer(settings.model, model, load_tokenizer(settings.model), settings.max_batch_tokens)
    return scorer, settings.width


def _chunks(source: VariantSource, size: int) -> Iterator[list[Allele]]:
    """Alleles of some records at a time: at least `size`, so that no record is cut."""
    chunk: list[Allele] = []
    for record in source.records():
        chunk += source.alleles(record)
        if len(chunk) >= size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _score_parts(
    settings: ScoreConfig, source: VariantSource, scorer: tuple[_Scorer, int], survey: Survey, *, parts: Path
) -> None:
    """Write the missing parts."""
    with progress("scoring", survey.scorable, unit="variants", log=log) as advance:
        for number, chunk in enumerate(_chunks(source, settings.part_variants)):
            part = parts / part_file(number)
            scorable = [allele for allele in chunk if not allele.reason]
            if part.is_file():
                advance(len(scorable), skipped=True)
                continue
            write_part(part, _scored(settings, source, scorer, chunk, scorable, advance))


def _scored(
    settings: ScoreConfig,
    source: VariantSource,
    scorer: tuple[_Scorer, int],
    chunk: list[Allele],
    scorable: list[Allele],
    done: Advance,
) -> list[ScoredAllele]:
    strands, (model, width) = source.strands(scorable).tolist(), scorer
    rows = []
    for owner, (allele, strand) in enumerate(zip(scorable, strands, strict=True)):
        name, change = allele.name, allele.change
        if change is None:
            raise AssertionError("an allele without a change is not scored")

        def fetch(start: int, end: int, name: str = name) -> str:
            return source.letters.fetch(name, start=start, end=end).decode("ascii")

        rows += readings(
            owner, change, fetch=fetch, size=source.letters.sizes[name], width=width, strand=strand,
            phases=settings.phases,
        )  # fmt: skip
    scores = iter(zip(model.score(rows, count=len(scorable), done=done), strands, strict=True))
    scored = []
    for allele in chunk:
        if allele.reason:
            scored.append(ScoredAllele(allele, "", None, "", allele.reason))
            continue
        score, strand = next(scores)
        scored.append(
            ScoredAllele(allele, _STRANDS[strand], None, "", UNKNOWN_NEARBY)
            if math.isnan(score.score)
            else ScoredAllele(allele, _STRANDS[strand], score, settings.variant_method, "")
        )
    return scored


def _description(settings: ScoreConfig) -> str:
    if settings.effect is not None:
        return f"bindtune score: binding logit of ALT minus that of REF, by the model {settings.model} of a probe"
    return (
        f"bindtune score of {settings.model}: log P of the tokens that only ALT has minus log P of those that only REF "
        f"has, masked, in nats; {settings.method}, {settings.width} nt"
    )


def _summary(settings: ScoreConfig, survey: Survey, counts: JoinedCounts, unscored: Path) -> str:
    """A summary in some lines."""
    lines = [f"{counts.scored:,} of {survey.alleles:,} alleles of {survey.records:,} records scored: {settings.out}"]
    if counts.scored and settings.effect is None:
        lines.append(f"{counts.single / counts.scored:.1%} of them change exactly one token")
    if counts.unscored:
        reasons = ", ".join(f"{number:,} {reason}" for reason, number in counts.unscored.most_common())
        lines.append(f"not scored: {reasons}: {unscored}")
    return "\n".join(lines)
