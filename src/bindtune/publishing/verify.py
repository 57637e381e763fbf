"""`bindtune verify`: check that a model is a released one, and that it computes the expected outputs here.

A released model is compared with hashes and with outputs of the official code; any model is tried against itself.
"""

import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from bindtune.checks import Check, run_checks
from bindtune.errors import ConfigError
from bindtune.models.base_files import base_files, weight_files
from bindtune.models.hub_names import TOKENIZER
from bindtune.publishing.releases import Release, packaged_releases
from bindtune.publishing.subject import LOGITS, Subject, load_subject
from bindtune.publishing.verify_run import check_run, is_run
from bindtune.runs.provenance import sha256
from bindtune.runs.writing import writing

_HALF, _SINGLE = 2.0**-8, 2.0**-24
"""The largest relative error of one rounding: bfloat16 has 8 bits of significand, fp32 24."""
_ROUNDINGS = 8
"""Roundings of a layer: in both branches, at the input, the weights, the product and the sum with the residual."""
_EXTREME = 5
"""The largest of some thousand normal errors is at about four standard deviations; one more is a margin."""


def verify(
    name: str,
    *,
    release: str | None = None,
    base_model: str | None = None,
    releases: Sequence[Release] | None = None,
    notify: Callable[[str], None],
) -> bool:
    """Load a model, run all its checks, and return whether all passed.

    Args:
        name: hub name, folder of a model, or run folder of `bindtune train`.
        release: the released model that it has to be; by default the one that `name` or the hash of its weights names.
        base_model: hub name or folder of the encoder of a run; what the run names by default.
        releases: those that are known; the package's by default.
        notify: gets each line.

    Raises:
        ConfigError: no release is called `release`, or `base_model` is given for a model that is no run.
        CheckpointError: the model cannot be loaded.
    """
    table = packaged_releases() if releases is None else tuple(releases)
    expected = _named(release, table) if release else next((each for each in table if each.is_called(name)), None)
    if is_run(Path(name)):
        if expected is not None:
            raise ConfigError(f"{name} is a run of bindtune train, and no release")
        return run_checks(check_run(Path(name), base_model=base_model), notify=notify)
    if base_model is not None:
        raise ConfigError(f"--base-model names the encoder of a run, and {name} is no run of bindtune train")
    subject = load_subject(name)
    kind, layers, width, _ = subject.architecture
    parameters = sum(one.numel() for one in subject.model.parameters())
    notify(f"{name}: {kind}, {layers} layers, width {width}, {parameters:,} parameters")
    digests = _digests(name)
    if expected is None:
        expected = next((each for each in table if set(digests.values()) & set(each.hashes.values())), None)
    if expected is not None:
        notify(f"compared with {expected.name}, revision {expected.revision}: {expected.source}")
        if Path(name).is_dir() and expected.is_called(name):
            notify(f"the hub was not asked: there is a folder called {name} here, and it was loaded")
        return run_checks(_checks(subject, name, digests, expected), notify=notify)
    like = next((each for each in table if each.outputs and each.architecture == subject.architecture), None)
    notify(_nothing_to_compare(subject, like))
    return run_checks(_own_checks(subject), notify=notify)


def _named(name: str, table: Sequence[Release]) -> Release:
    for each in table:
        if each.is_called(name):
            return each
    raise ConfigError(f"--release: expected one of {', '.join(each.name for each in table)}, found {name!r}")


def _digests(name: str) -> dict[str, str]:
    """SHA-256 of the files that weights and tokens were read from, by file name."""
    files = weight_files(name)
    tokenizer = base_files(name).get(f"base {TOKENIZER}")
    if tokenizer is not None:
        files[TOKENIZER] = tokenizer
    return {each: sha256(path) for each, path in files.items()}


def _checks(subject: Subject, name: str, digests: dict[str, str], release: Release) -> Iterator[Check]:
    yield _check_hash(name, digests, release)
    if TOKENIZER in release.hashes:
        digest = digests.get(TOKENIZER, "missing")
        yield Check("tokenizer file", digest == release.hashes[TOKENIZER], f"{TOKENIZER} {digest}")
    if subject.architecture != release.architecture:
        detail = f"{_shape(subject.architecture)}; expected {_shape(release.architecture)}"
        yield Check("architecture", False, detail)
        return
    ids = [list(row) for row in release.input_ids]
    computed = subject.ids(release.sequences)
    count = sum(map(len, ids))
    yield Check(
        "tokens", computed == ids, f"{len(ids)} reference sequences, {count} tokens{_first_difference(computed, ids)}"
    )
    if release.outputs and computed == ids:
        yield from compare(subject, release)
    yield from _own_checks(subject)


def _check_hash(name: str, digests: dict[str, str], release: Release) -> Check:
    weights = {each: digest for each, digest in digests.items() if each != TOKENIZER}
    listed = ", ".join(f"{each} {digest}" for each, digest in weights.items())
    comparable = [each for each in weights if each in release.hashes]
    if any(each.casefold() == name.casefold() for each in release.copies):
        return Check("hash", None, f"a copy in another form, whose hash is not known: {listed}")
    if not comparable:
        one = ", ".join(release.weight_hashes)
        return Check("hash", None, f"the release is one file, {one}, and this is another form of it: {listed}")
    wrong = [each for each in comparable if weights[each] != release.hashes[each]]
    if wrong:
        return Check("hash", False, f"{listed}; expected {release.hashes[wrong[0]]}")
    return Check("hash", True, f"{listed}, as released")


def compare(subject: Subject, release: Release) -> Iterator[Check]:
    """Outputs against those of the official code.

    These were rounded to bfloat16 at each step. Roundings are independent of each other, so after L layers of eight
    the typical error is at most sqrt(8 L) / 256 of a typical value (standard deviation), and the largest error five
    times that. Between fp32 and bfloat16, a fifth of this was seen on released E1 models, nine tenths on random ones.
    """
    outputs = subject.outputs(release.sequences)
    spread = _HALF * math.sqrt(_ROUNDINGS * subject.architecture[1])
    for name, reference in release.outputs.items():
        computed, expected = outputs[name][list(release.rows[name])], reference.float()
        scale = float(expected.std())
        difference = (computed - expected).abs()
        typical, largest = float(difference.square().mean().sqrt()), float(difference.max())
        passed = typical <= spread * scale and largest <= _EXTREME * spread * scale
        both = torch.stack([computed.flatten(), expected.flatten()])
        detail = (
            f"largest difference {largest:.3g} (allowed {_EXTREME * spread * scale:.3g}), typical {typical:.3g} "
            f"(allowed {spread * scale:.3g}), correlation {float(torch.corrcoef(both)[0, 1]):.6f}"
        )
        if name == LOGITS:
            same = int((computed.argmax(-1) == expected.argmax(-1)).sum())
            detail += f", the same token is likeliest at {same} of {len(expected)}"
        yield Check(name, passed, detail)


def _nothing_to_compare(subject: Subject, like: Release | None) -> str:
    """The message for a model without an expected release."""
    text = "not a release that is known here, by name or by the hash of its weights: there is nothing to compare with"
    if like is None or subject.ids(like.sequences) != [list(row) for row in like.input_ids]:
        return text
    checks = list(compare(subject, like))
    if all(check.passed for check in checks):
        text = f"{text}; its outputs are those of {like.name}, so it is likely a copy in another form"
    else:
        text = f"{text}; it has the shape of {like.name} and other outputs, as an adapted model has"
    return f"{text} (--release {like.name} makes it a check)"


def _own_checks(subject: Subject) -> Iterator[Check]:
    """Checks for every model."""
    tensors = {**dict(subject.model.named_parameters()), **dict(subject.model.named_buffers())}
    broken = [name for name, tensor in tensors.items() if not bool(torch.isfinite(tensor).all())]
    yield Check("weights", not broken, f"{len(tensors)} tensors, not finite: {', '.join(broken[:5]) or 'none'}")
    size = subject.model.get_input_embeddings().num_embeddings
    fits = subject.vocabulary <= size
    yield Check("vocabulary", fits, f"the tokenizer has {subject.vocabulary} tokens, the model {size}")
    if not fits or broken:
        return
    together, again = subject.outputs(subject.sequences), subject.outputs(subject.sequences)
    same = all(torch.equal(tensor, again[name]) for name, tensor in together.items())
    finite = all(bool(torch.isfinite(tensor).all()) for tensor in together.values())
    detail = "equal in every bit" if same and finite else "not equal, or not finite"
    yield Check("computed twice", same and finite, detail)
    yield _check_padding(subject, together)
    yield _check_saving(subject)


def _check_saving(subject: Subject) -> Check:
    """Whether a saved copy is the same; it needs room in the folder for temporary files."""
    name = "saved and loaded again"
    try:
        with tempfile.TemporaryDirectory(prefix="bindtune-verify-") as folder, writing(Path(folder)):
            subject.model.save_pretrained(folder)
            stored = subject.read(Path(folder)).state_dict()
    except OSError as error:
        return Check(name, None, f"{tempfile.gettempdir()}: {error.strerror}; TMPDIR names another folder")
    weights = subject.model.state_dict()
    names = stored.keys() == weights.keys()
    equal = names and all(torch.equal(stored[each], tensor) for each, tensor in weights.items())
    return Check(name, equal, "equal in every bit" if equal else "not equal")


def _check_padding(subject: Subject, together: dict[str, Tensor]) -> Check:
    """Sequences of several lengths in one batch against each alone; sums in another order are rounded otherwise."""
    alone = [subject.outputs([sequence]) for sequence in subject.sequences]
    spread = _SINGLE * math.sqrt(_ROUNDINGS * subject.architecture[1] * subject.widest_sum)
    details, passed = [], True
    for name, tensor in together.items():
        apart = torch.cat([each[name] for each in alone])
        difference = float((tensor - apart).abs().max())
        allowed = _EXTREME * spread * float(apart.double().square().mean().sqrt())
        passed = passed and difference <= allowed
        details.append(f"{name} largest difference {difference:.3g} (allowed {allowed:.3g})")
    return Check("alone and beside longer ones", passed, ", ".join(details))


def _first_difference(computed: list[list[int]], ids: list[list[int]]) -> str:
    number = next((number for number, (one, two) in enumerate(zip(computed, ids, strict=True)) if one != two), None)
    if number is None:
        return " as in the original"
    return f"; sequence {number + 1}: {computed[number]}, expected {ids[number]}"


def _shape(architecture: tuple[str, int, int, int]) -> str:
    kind, layers, width, vocabulary = architecture
    return f"{kind}, {layers} layers, width {width}, {vocabulary} tokens"
