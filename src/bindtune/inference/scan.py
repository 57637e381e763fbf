"""`bindtune scan`: effects of substitutions on the binding sites of a protein, from FASTA to a table and a heat map."""

import hashlib
import json
import logging
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bindtune.config import ScanConfig, dump
from bindtune.errors import ConfigError, InputError
from bindtune.evaluation.calibration import calibrate
from bindtune.inference.checkpoints import Ensemble
from bindtune.inference.ensemble_scores import Floats, NamedSequence, predict_shard
from bindtune.inference.job import claimed
from bindtune.inference.job_inputs import (
    ProteinSource,
    differences,
    job_manifest,
    load_models,
    prediction_spec,
    shard_alignments,
    sign,
)
from bindtune.inference.ranks import Processes
from bindtune.inference.trained_run import TrainedRun, read_run
from bindtune.inference.variant_sites import FollowedSite, Variant, variant_probabilities
from bindtune.inference.zero_shot import read_variants
from bindtune.io.proteins import read_proteins
from bindtune.progress import progress
from bindtune.reports.report import write_report
from bindtune.runs.names import (
    CONFIG,
    CONTEXT_CACHE,
    COUNT_SUMMARY,
    MANIFEST,
    PARTS,
    SCAN,
    SCAN_TSV,
    part_file,
    part_files,
)
from bindtune.runs.scan_table import join_scan, write_scan_part, write_scan_tsv
from bindtune.runs.writing import write_text
from bindtune.yaml_json import read_json

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Scan:
    """The protein, the variants and the sites of a scan.

    Args:
        protein: without substitutions.
        variants: V, of the protein.
        sites: S followed sites.
        wildtype: (S,) their probabilities in the protein itself, before calibration.
        uncalled: ions without a call, whose most probable residue is followed.
    """

    protein: NamedSequence
    variants: list[Variant]
    sites: list[FollowedSite]
    wildtype: Floats
    uncalled: list[str]


def scan(settings: ScanConfig) -> str:
    """Scan a protein, and return the results as text. A killed command resumes.

    Raises:
        InputError: the protein, variants, alignments or the run folder cannot be read or do not fit each other.
        CheckpointError: the models cannot be loaded.
        ConfigError: settings that cannot work, or an output folder with another scan.
    """
    run = read_run(settings, command="scan")
    processes = Processes(0, 1)
    with claimed(settings.out, processes):
        protein = _protein(settings)
        variants = _variants(settings, protein)
        models = load_models(settings, run)
        ensemble, preparer = models.ensemble, models.preparer
        content = hashlib.sha256(f">{protein.name}\n{protein.sequence}\n".encode()).hexdigest()
        source = ProteinSource(lambda: iter([protein]), content, 1, len(protein.sequence), {"fasta": settings.fasta})
        job = job_manifest(settings, run, source, models, [[protein]])
        texts = "\n".join(variant.text for variant in variants)
        job["variants"] = {"sha256": hashlib.sha256(texts.encode()).hexdigest(), "number": len(variants)}
        job["settings"] |= {"sites": settings.sites, "part_variants": settings.part_variants}
        _check_manifest(settings, job)
        sign(settings, run, source, ensemble, job)
        write_text(settings.out / CONFIG, dump(settings))
        spec = prediction_spec(settings, run, models)
        alignments = shard_alignments(settings, run, [protein], preparer)
        members: dict[str, Any] = {"ensemble": ensemble, "preparer": preparer, "spec": spec, "alignments": alignments}
        predicted = predict_shard([protein], **members).mean
        followed = _sites(settings, run, protein, predicted, variants)
        _scan_parts(settings, run, followed, predicted, members)
        return _finish(settings, run, followed, homologs=alignments is not None and protein.name in alignments)


def _protein(settings: ScanConfig) -> NamedSequence:
    """The protein that is scanned.

    Raises:
        InputError: the file has no such protein, or several and none is named.
    """
    proteins = [NamedSequence(one.name, one.sequence) for one in read_proteins(settings.fasta)
                if settings.protein in (None, one.name)]  # fmt: skip
    if not proteins:
        raise InputError(settings.fasta, None, f"has no protein {settings.protein!r}")
    if len(proteins) > 1:
        raise InputError(settings.fasta, None, f"holds {len(proteins)} proteins, expected one or --protein")
    return proteins[0]


def _variants(settings: ScanConfig, protein: NamedSequence) -> list[Variant]:
    """The variants of a file, or every single substitution at the requested positions."""
    sequence = protein.sequence
    if settings.variants is not None:
        read = read_variants(settings.variants, parent=sequence)
        return [Variant(text, _changes(sequence, changed)) for text, changed in read.items()]
    positions = _positions("positions", settings.positions, protein) or list(range(len(sequence)))
    return [
        Variant(f"{sequence[position]}{position + 1}{letter}", {position: letter})
        for position in positions
        for letter in settings.to
        if letter != sequence[position]
    ]


def _changes(sequence: str, changed: str) -> dict[int, str]:
    """The letters of a variant at the 0-based positions where it differs."""
    pairs = enumerate(zip(sequence, changed, strict=True))
    return {position: new for position, (old, new) in pairs if old != new}


def _positions(setting: str, text: str | None, protein: NamedSequence) -> list[int]:
    """0-based positions of a text such as 90-120,130, each once, in order.

    Raises:
        ConfigError: a range is backwards or ends after the protein.
    """
    positions = set[int]()
    for part in (text or "").split(","):
        if not part.strip():
            continue
        first, _, last = part.strip().partition("-")
        start, end = int(first), int(last or first)
        if start > end or end > len(protein.sequence):
            raise ConfigError(
                f"{setting}: {part.strip()}, expected residues from 1 to {len(protein.sequence)} of {protein.name}"
            )
        positions.update(range(start - 1, end))
    return sorted(positions)


def _sites(
    settings: ScanConfig, run: TrainedRun, protein: NamedSequence, predicted: Floats, variants: list[Variant]
) -> _Scan:
    """The residues whose probabilities are followed, by ion; `predicted` is (L, K), before calibration."""
    chosen = _positions("sites", settings.sites, protein)
    sites, uncalled = list[FollowedSite](), list[str]()
    for column, ion in enumerate(run.ions):
        own = chosen
        if not own:
            probabilities = _calibrated(run, ion, predicted[:, column]).astype(np.float32)
            own = np.flatnonzero(probabilities >= run.thresholds.get(ion, np.inf)).tolist()
            if not own:
                uncalled.append(ion)
                own = [int(probabilities.argmax())]
        sites += [FollowedSite(position, column) for position in own]
    wildtype = np.array([predicted[site.position, site.ion] for site in sites])
    return _Scan(protein, variants, sites, wildtype, uncalled)


def _calibrated(run: TrainedRun, ion: str, probabilities: Floats) -> Floats:
    if ion not in run.calibrations:
        return probabilities
    return calibrate(run.calibrations[ion], probabilities)


def _check_manifest(settings: ScanConfig, job: dict[str, Any]) -> None:
    """Refuse to go on with another scan.

    Raises:
        ConfigError: the folder holds one.
    """
    path = settings.out / MANIFEST
    if not path.is_file():
        return
    before = read_json(path)
    differing = differences(before if isinstance(before, dict) else {}, job)
    if differing and (part_files(settings.out / PARTS) or (settings.out / SCAN).is_file()):
        raise ConfigError(f"{settings.out} holds another scan: {'; '.join(differing)}; choose another --out")


def _cut(settings: ScanConfig, variants: Sequence[Variant]) -> Iterator[tuple[Path, Sequence[Variant]]]:
    """Each part's file and variants."""
    size = settings.part_variants
    for number, start in enumerate(range(0, len(variants), size)):
        yield settings.out / PARTS / part_file(number), variants[start : start + size]


def _scan_parts(
    settings: ScanConfig, run: TrainedRun, followed: _Scan, predicted: Floats, members: dict[str, Any]
) -> None:
    """Write the missing parts."""
    if (settings.out / SCAN).is_file():
        return
    ensemble: Ensemble = members["ensemble"]
    total = len(followed.variants) * len(ensemble)
    with progress("scanning", total, unit="variants x models", log=log) as advance:
        for part, variants in _cut(settings, followed.variants):
            if part.is_file():
                advance(len(variants) * len(ensemble), skipped=True)
                continue
            means = variant_probabilities(
                followed.protein, variants, followed.sites, wildtype=followed.wildtype, progress=advance, **members
            )
            ions = [run.ions[site.ion] for site in followed.sites]
            before = np.empty(len(ions))
            for column, ion in enumerate(ions):
                before[column] = _calibrated(run, ion, followed.wildtype[column : column + 1])[0]
                means[:, column] = _calibrated(run, ion, means[:, column])
            columns = _columns(followed, variants, ions=ions, wildtype=before, mutant=means)
            write_scan_part(part, columns)


def _columns(
    followed: _Scan, variants: Sequence[Variant], *, ions: Sequence[str], wildtype: Floats, mutant: Floats
) -> dict[str, Any]:
    """The rows of a part: by variant, by site. `ions` and `wildtype` are (S,), `mutant` is (V, S)."""
    name, sequence = followed.protein
    count = len(followed.sites)
    single = [next(iter(variant.changes.items())) if len(variant.changes) == 1 else None for variant in variants]

    def repeated(values: Sequence[Any]) -> list[Any]:
        return [value for value in values for _ in range(count)]

    return {
        "protein": [name] * (len(variants) * count),
        "position": repeated([None if change is None else change[0] + 1 for change in single]),
        "residue": repeated([None if change is None else sequence[change[0]] for change in single]),
        "mutant": repeated([None if change is None else change[1] for change in single]),
        "ion": list(ions) * len(variants),
        "site_position": [site.position + 1 for site in followed.sites] * len(variants),
        "probability_wildtype": np.tile(wildtype, len(variants)),
        "probability_mutant": mutant.ravel(),
        "change": (mutant - wildtype).ravel(),
        "variant": repeated([variant.text for variant in variants]),
    }


def _finish(settings: ScanConfig, run: TrainedRun, followed: _Scan, *, homologs: bool) -> str:
    """Join the parts, write the report and the summary, and return the results as text."""
    out = settings.out
    if not (out / SCAN).is_file():
        join_scan(part_files(out / PARTS), out / SCAN)
    if settings.tsv:
        write_scan_tsv(out / SCAN, out / SCAN_TSV)
    ions = {
        ion: {
            "sites": [site.position + 1 for site in followed.sites if site.ion == column],
            "chosen": "by --sites" if settings.sites else "most probable" if ion in followed.uncalled else "called",
        }
        for column, ion in enumerate(run.ions)
    }
    summary = {
        "protein": followed.protein.name,
        "residues": len(followed.protein.sequence),
        "variants": len(followed.variants),
        "models": run.config.training.num_folds,
        "contexts": settings.contexts if homologs else 0,
        "calibration": settings.calibration,
        "positions": "1-based",
        "ions": ions,
    }
    write_text(out / COUNT_SUMMARY, json.dumps(summary, indent=2) + "\n")
    page = write_report(out)
    for name in (PARTS, CONTEXT_CACHE):
        shutil.rmtree(out / name, ignore_errors=True)
    tables = f"{out / SCAN}{f' and {SCAN_TSV}' if settings.tsv else ''}"
    lines = [f"{followed.protein.name}: {len(followed.variants):,} variants: {tables}"]
    for ion, about in ions.items():
        places = ", ".join(map(str, about["sites"][:10])) + (" ..." if len(about["sites"]) > 10 else "")
        how = "no residue is called; followed is the most probable one" if ion in followed.uncalled else "sites"
        lines.append(f"{ion}: {how}: {places}")
    lines.append(f"heat map: {page}")
    return "\n".join(lines)
