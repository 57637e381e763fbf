"""Settings: the YAML file of each command."""

import gzip
from collections.abc import Iterator
from typing import Any

import yaml

from corpus.case import Case, Content, looks, read, refused
from corpus.valid import YAML

_LAUGHS = b"a: &a [x, x, x, x, x, x, x, x, x, x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (name, name, b", ".join([b"*%c" % (name - 1)] * 10)) for name in range(ord("b"), ord("k"))
)
_MERGED = b"a: &a {%s}\nb: {<<: [%s]}\n" % (
    b", ".join(b"k%d: 1" % number for number in range(200)),
    b", ".join([b"*a"] * 1000),
)


def _value(format: str) -> Any:
    return next(yaml.safe_load_all(YAML[format]))


def _every(format: str) -> Iterator[Case]:
    """What may be wrong with the settings of any command."""
    content = YAML[format]
    plain = content.split(b"---")[0]
    broken: dict[str, tuple[Content | None, str]] = {
        "missing": (None, ": cannot be read: No such file"),
        "an unknown setting": (plain + b"nonsense: 1\n", ": unknown setting 'nonsense'"),
        "a setting twice": (
            plain + plain[plain.rindex(b"\n", 0, -1) + 1 :] + b"x: 1\nx: 2\n",
            r":\d+: not YAML: '.*' comes twice",
        ),
        "settings of another command": (
            YAML[_PRETRAIN if format == _TRAIN else _TRAIN].split(b"---")[0],
            ": this is a (binding|pretraining) config, for bindtune (train|pretrain); bindtune [a-z]+ has other",
        ),
        "a list": (b"- a\n- b\n", ": expected names and values, found list"),
        "text": (b"just text", ": expected names and values, found str"),
        "a bracket that is left open": (plain + b"x: [1, 2\n", r":\d+: not YAML"),
        "a tab before a name": (plain + b"\tx: 2\n", r":\d+: not YAML"),
        "a NUL": (plain + b"x: \x00\n", ": not YAML"),
        "no UTF-8": (plain + b"x: \xff\n", rf":{plain.count(10) + 1}: cannot be read: not text"),
        "gzip": (gzip.compress(plain), r":\d+: cannot be read: not text"),
        "a Python object": (plain + b"x: !!python/object/apply:os.getcwd []\n", r":\d+: not YAML: could not determine"),
        "a date that is none": (plain + b"x: !!timestamp 2001-99-99\n", ": not YAML: month must be in 1..12"),
        "a number of 5000 digits": (plain + b"x: " + b"9" * 5000, ": not YAML: Exceeds the limit"),
        "a hexadecimal number without digits": (plain + b"x: !!int 0x_\n", ": not YAML: invalid literal"),
        "a value that holds itself": (plain + b"x: &x [*x]\n", ": not settings: more than 100,000 values"),
        "ten billion values by aliases": (_LAUGHS, ": not settings: more than 100,000 values"),
        "a list of 300,000 values": (
            plain + b"x: [" + b"1," * 300_000 + b"1]\n",
            ": not YAML: more than 100,000 values",
        ),
        "200,000 values by merging": (_MERGED, ": not YAML: more than 100,000 values, merged"),
        "9 MB of comments": (plain + b"#" * 9_000_000, ": cannot be read: more than 8,388,608 bytes"),
        "names that are no text": (plain + b"1: 2\n", ": unknown setting '1'|: .*1"),
    }
    sound: dict[str, tuple[Content, Any]] = {
        "comments and blank lines": (b"# first\n\n" + plain.replace(b"\n", b"  # why\n\n"), _value(format)),
        "a document mark first": (b"---\n" + plain, _value(format)),
        "anchors": (plain.replace(b": ", b": &a ", 1) if b"training" not in plain else plain, _value(format)),
    }
    return iter([*refused(format, broken), *read(format, sound)])


def _changed(format: str, old: bytes, new: bytes) -> bytes:
    assert old in YAML[format], (format, old)
    return YAML[format].replace(old, new)


_WINDOWS, _PRETRAIN, _TRAIN = "settings of windows", "settings of pretrain", "settings of train"
_PREDICT, _EVALUATE, _EMBED, _SCORE = (f"settings of {name}" for name in ("predict", "evaluate", "embed", "score"))
_ONE: dict[str, dict[str, tuple[Content | None, str]]] = {
    _WINDOWS: {
        "empty": (b"", ": .*peaks is required"),
        "a window of no length": (_changed(_WINDOWS, b"512", b"0"), ": window: .*greater than or equal to 1, found 0"),
        "a window that is a word": (_changed(_WINDOWS, b"512", b"long"), ": window: .*found 'long'"),
        "NaN": (_changed(_WINDOWS, b"1.5", b".nan"), ": min_score: .*finite"),
        "1200 brackets": (YAML[_WINDOWS] + b"x: " + b"[" * 1200, ": not YAML: too many brackets are open"),
        "several documents": (YAML[_WINDOWS] + b"---\n- notes\n", ": expected one YAML document, found several"),
        "two sources of sequence": (
            YAML[_WINDOWS] + b"region_fasta: r.fa\n",
            ": give either --genome or --region-fasta",
        ),
        "a huge list": (_changed(_WINDOWS, b"512", b"[" + b"1, " * 5000 + b"1]"), ": window: "),
    },
    _PRETRAIN: {
        "empty": (b"", ": .* is required"),
        "a rate that is a word": (_changed(_PRETRAIN, b"0.00005", b"fast"), ": learning_rate: .*found 'fast'"),
        "steps below nothing": (_changed(_PRETRAIN, b"10", b"-10"), ": max_steps must be -1 or at least 1, found -10"),
        "a misspelt setting": (
            _changed(_PRETRAIN, b"max_steps", b"max_step"),
            ": unknown setting 'max_step'; did you mean 'max_steps'",
        ),
    },
    _TRAIN: {
        "an ion twice": (_changed(_TRAIN, b"[ZN, CA]", b"[ZN, ZN]"), ": training.ions: an ion comes twice"),
        "an ion with a path": (
            _changed(_TRAIN, b"[ZN, CA]", b"[../ZN]"),
            ": training.ions: the name of an ion is letters",
        ),
        "an ion that is false": (
            _changed(_TRAIN, b"[ZN, CA]", b"[false, CA]"),
            r": training.ions.0: .*valid string \(a name that .* needs quotes\), found False",
        ),
        "an ion that is a number": (_changed(_TRAIN, b"[ZN, CA]", b"[ZN, 1.50]"), ": training.ions.1: .*needs quotes"),
        "a truth value for a number": (_changed(_TRAIN, b"{r: 4}", b"{r: true}"), ": lora.r: expected no truth value"),
        "a truth value in a rate": (
            _changed(_TRAIN, b"{r: 4}", b"{r: 4, dropout: false}"),
            ": lora.dropout: expected no truth value, found False",
        ),
        "a number beyond all numbers": (
            _changed(_TRAIN, b"{r: 4}", b"{r: 4, alpha: 1.0e+999}"),
            ": lora.alpha: .*finite",
        ),
        "a section that is a number": (_changed(_TRAIN, b"{r: 4}", b"5"), ": lora: "),
        "an unknown setting of a section": (
            _changed(_TRAIN, b"epochs", b"epoch"),
            ": unknown setting 'training.epoch'; did you mean 'epochs'",
        ),
        "ignored_keys that is a number": (
            _changed(_TRAIN, b"---", b"ignored_keys: 5\n---"),
            ": ignored_keys: expected a list, found 5",
        ),
        "a setting under two names": (
            _changed(_TRAIN, b"{r: 4}", b"{r: 4, alpha: 1, lora_alpha: 2}"),
            ": lora.lora_alpha and lora.alpha are the same setting",
        ),
        "no labels": (_changed(_TRAIN, b"fasta_path: '{ION}.fa'", b"fasta_path:"), ": data.fasta_path is required"),
        "a broken line after the settings is no note": (YAML[_TRAIN].replace(b"---", b"x: ["), r":\d+: not YAML"),
    },
    _PREDICT: {
        "empty": (b"", ": .*run is required"),
        "an ion twice": (_changed(_PREDICT, b"[ZN]", b"[ZN, ZN]"), ": ions: expected names of ions, each once"),
        "no contexts": (_changed(_PREDICT, b"contexts: 2", b"contexts: 0"), ": contexts: .*found 0"),
        "a chain without a structure": (
            YAML[_PREDICT] + b"chain: A\n",
            ": protein, chain and structure_ion need structure",
        ),
    },
    _EVALUATE: {
        "a level of 1": (_changed(_EVALUATE, b"0.9", b"1"), ": level: .*less than 1, found 1"),
        "an unknown way with leaks": (_changed(_EVALUATE, b"fail", b"ignore"), ": leaks: .*found 'ignore'"),
    },
    _EMBED: {
        "an output of another format": (_changed(_EMBED, b"e.parquet", b"e.csv"), ": out: the name must end in"),
        "an unknown unit": (_changed(_EMBED, b"per: residue", b"per: atom"), ": per: .*found 'atom'"),
    },
    "settings of explain": {
        "no sequences": (b"probe: p\nout: o\n", ": give either --fasta, or --regions and --genome"),
        "regions without a genome": (b"probe: p\nout: o\nregions: r.bed\n", ": --regions and --genome go together"),
        "bigWig of sequences": (YAML["settings of explain"] + b"bigwig: true\n", ": --bigwig needs --regions"),
        "a motif of two letters": (_changed("settings of explain", b"10", b"2"), ": motif_length: .*found 2"),
        "no tolerance": (YAML["settings of explain"] + b"tolerance: 0\n", ": tolerance: .*found 0"),
    },
    _SCORE: {
        "a seed below 0": (YAML[_SCORE] + b"seed: -1\n", ": seed: .*found -1"),
        "half a context": (_changed(_SCORE, b"num_contexts: 3", b"num_contexts: 2.5"), ": num_contexts: .*found 2.5"),
    },
}

_NAMES = b"training: {ions: %s, use_bf16: %s}\ndata: {fasta_path: x}\n"


def _read_names(ions: bytes, flag: bytes, names: list[str], value: bool) -> tuple[bytes, Any]:
    return _NAMES % (ions, flag), {"training": {"ions": names, "use_bf16": value}, "data": {"fasta_path": "x"}}


CASES = [
    *read(
        _TRAIN,
        {
            "nitric oxide and other truth values of YAML 1.1": _read_names(
                b"[NO, ZN, Y, on, Off]", b"no", ["NO", "ZN", "Y", "on", "Off"], False
            ),
            "names that look like numbers": _read_names(
                b"[1E10, 007, 0x10, 0o10, 1_000]", b"TRUE", ["1E10", "007", "0x10", "0o10", "1_000"], True
            ),
        },
    ),
    *(
        case
        for format in YAML
        for case in (
            *looks(format, YAML[format], _value(format), packed=False),
            *_every(format),
            *refused(format, _ONE[format]),
        )
    ),
]
