"""The audit of a run: proteins that its folds share with each other, or with a test set."""

from typing import Any

from bindtune.config import BindingConfig
from bindtune.data.protein.folds import count_folds
from bindtune.data.protein.input_files import label_files
from bindtune.data.protein.protein_leaks import TEST, ProteinLeaks, audit_folds, audit_test_set, shortened
from bindtune.data.protein.proteins import Proteins, load_proteins
from bindtune.training.binding.inputs import RunInputs

_NAMED = 3


def audit(config: BindingConfig, inputs: RunInputs) -> dict[str, Any]:
    """Find proteins that several folds share, that training and the test set share, and folds without an ion's sites.

    Returns:
        Plain values: `leaks` (number of pairs in different folds), `sentences` for the log, `warnings` (the sentences
        that name shared proteins), and the records of both audits.

    Raises:
        InputError: a test set cannot be read.
    """
    identity = config.data.audit_identity
    folds = audit_folds(inputs.proteins, inputs.fold, groups=inputs.group, identity=identity)
    sentences = [_sentence("folds", folds, identity=identity) + _split_groups(folds, clusters=config.data.clusters)]
    result: dict[str, Any] = {"leaks": folds.total, "folds": folds.as_dict()}
    warnings = sentences[:] if folds.total else []
    test = _test_set(config)
    if test is not None:
        shared = audit_test_set(inputs.proteins, test, identity=identity)
        sentences.append(_sentence("training and test sets", shared, identity=identity))
        warnings += sentences[1:] if shared.total else []
        result["test"] = shared.as_dict()
    result["folds_without_sites"] = _empty_folds(inputs)
    return {**result, "sentences": sentences + result["folds_without_sites"], "warnings": warnings}


def _test_set(config: BindingConfig) -> Proteins | None:
    data, ions = config.data, config.training.ions
    if data.test_fasta is None:
        return None
    files = label_files(data.test_fasta, ions=ions, groups=data.ion_groups, part="test")
    return load_proteins(files, ions=ions, groups=data.ion_groups)


def _sentence(parts: str, leaks: ProteinLeaks, *, identity: float | None) -> str:
    text = f"{parts} share {leaks.identical_pairs} pairs of identical sequences"
    if leaks.similar_pairs is not None:
        text += f" and {leaks.similar_pairs} other pairs with an identity of at least {leaks.identity}"
    if names := _names(leaks):
        text += f": {shortened(names)}"
    if leaks.similar_pairs is None and identity is not None:
        text += "; too many proteins to look for similar ones: cluster them with mmseqs"
    return text


def _names(leaks: ProteinLeaks) -> list[str]:
    """Test proteins that training has too; in an audit of folds, the shared proteins of all folds."""
    test = [part.names for part in leaks.parts if part.part == TEST]
    return list(dict.fromkeys(name for names in test or [part.names for part in leaks.parts] for name in names))


def _split_groups(leaks: ProteinLeaks, *, clusters: str) -> str:
    """The groups that lie in several of the given folds; folds that bindtune draws hold whole groups."""
    if not leaks.split_groups:
        return ""
    examples = ", ".join(
        " and ".join(f"{name} (fold {part})" for name, part in zip(group.first[:2], group.parts, strict=False))
        for group in leaks.group_examples[:_NAMED]
    )
    return (
        f"; groups of data.clusters={clusters} that lie in more than one fold: {leaks.split_groups}, with "
        f"{leaks.grouped_pairs} other pairs, such as {examples}"
    )


def _empty_folds(inputs: RunInputs) -> list[str]:
    counts = count_folds(inputs.proteins, inputs.fold)
    return [
        f"fold {number} holds no binding residue of {ion}: its figures are not defined there"
        for number, positives in zip(counts.folds, counts.positives, strict=True)
        for ion, count in zip(counts.ions, positives, strict=True)
        if not count
    ]
