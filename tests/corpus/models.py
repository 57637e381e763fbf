"""Weights, configurations and tokenizers, as folders of models hold them."""

import io
import json
import math
import pickle
import struct
import zipfile
from typing import Any

from corpus.case import Case, Content, read, refused
from corpus.readers import WEIGHT_PARTS
from corpus.valid import ADAPTER_CONFIG, E1_CONFIG, WEIGHT_INDEX, adapters, heads, tokenizer


def packed_heads() -> bytes:
    """A file of heads whose parts are compressed, with 64 MB of zeros among them."""
    sink = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(heads())) as sound, zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as packed:
        for part in sound.infolist():
            packed.writestr(part.filename, sound.read(part))
        packed.writestr("archive/data/1", bytes(64 << 20))
    return sink.getvalue()


def _nan() -> Any:
    import torch

    return torch.full((1,), math.nan)


def _header(length: int, text: bytes = b"{}") -> bytes:
    return struct.pack("<Q", length) + text


def _tensor(**changes: Any) -> bytes:
    text = json.dumps({"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}}).encode()
    return _header(len(text), text) + bytes(8)


def _json(base: dict[str, Any], **changes: Any) -> bytes:
    return json.dumps({**base, **changes}).encode()


_NO_HEADS, _NO_WEIGHTS = ": no heads of a binding model: ", ": no adapters' weights: "
_DOCUMENTS: dict[str, tuple[Content | None, str]] = {
    "empty": (b"", ":1: not JSON"),
    "a list": (b"[]", ": expected names and values, found list"),
    "a number": (b"5", ": expected names and values, found int"),
    "null": (b"null", ": expected names and values, found NoneType"),
    "cut short": (b'{"r": 2,\n', ":2: not JSON"),
    "no UTF-8": (b'{\n"r": "\xff"}', ":2: cannot be read: not text"),
    "100,000 brackets": (b"[" * 100_000, ": not JSON: too many brackets are open"),
}


def _adapter(**changes: Any) -> bytes:
    return _json(ADAPTER_CONFIG, **changes)


def _e1(**changes: Any) -> bytes:
    return _json(E1_CONFIG, **changes)


CASES: list[Case] = [
    *read("heads", {"as torch writes it": (heads, (["ZN"], {"ZN.score.bias": [0.0]}))}),
    *refused(
        "heads",
        {
            "missing": (None, _NO_HEADS + "there is no such file"),
            "empty": (b"", _NO_HEADS + "not a file of weights"),
            "text": (b"weights", _NO_HEADS + "not a file of weights"),
            "cut short": (lambda: heads()[:-40], _NO_HEADS),
            "a pickle": (pickle.dumps({"ions": ["ZN"]}), _NO_HEADS + "not a file of weights"),
            "a zip of something else": (lambda: _zip({"x": b"y"}), _NO_HEADS),
            "packed parts": (packed_heads, _NO_HEADS + "its parts are packed, and have 67,"),
            "a list": (lambda: _saved([1]), _NO_HEADS + "base_model_checkpoint is missing"),
            "a weight that is no number": (
                lambda: heads(classifier_heads={"ZN.score.bias": _nan()}),
                ": ZN.score.bias is not finite: nan or infinity in 1 of 1 places",
            ),
            "no ions": (lambda: heads(ions=None), _NO_HEADS + "ions is missing or is no list"),
            "heads that are a tensor": (
                lambda: heads(classifier_heads=5),
                _NO_HEADS + "classifier_heads is missing or is no dict",
            ),
        },
    ),
    *read(
        "adapters",
        {
            "as safetensors writes them": (
                adapters,
                {"a.lora_A.weight": [[1.0] * 3] * 2, "b.lora_B.weight": [[0.0] * 2] * 3},
            )
        },
    ),
    *refused(
        "adapters",
        {
            "missing": (None, _NO_WEIGHTS),
            "empty": (b"", _NO_WEIGHTS),
            "text": (b"weights of some kind", _NO_WEIGHTS),
            "cut short": (lambda: adapters()[:-4], _NO_WEIGHTS),
            "a weight that is infinite": (
                lambda: adapters().replace(struct.pack("<f", 1.0), struct.pack("<f", math.inf), 1),
                ": a.lora_A.weight is not finite: nan or infinity in 1 of 6 places",
            ),
            "a header of 9 exabytes": (_header(2**63 - 1), _NO_WEIGHTS + ".*[Hh]eader"),
            "a header of 4 GB": (_header(2**32), _NO_WEIGHTS + ".*[Hh]eader"),
            "a header that is no JSON": (_header(4, b"\xff\xff\xff\xff"), _NO_WEIGHTS),
            "offsets beyond the end": (_tensor(data_offsets=[0, 2**40]), _NO_WEIGHTS),
            "a shape of 10 to the 18": (_tensor(shape=[10**9, 10**9]), _NO_WEIGHTS),
            "a shape below nothing": (_tensor(shape=[-2]), _NO_WEIGHTS),
            "an unknown kind of number": (_tensor(dtype="F99"), _NO_WEIGHTS),
            "a pickle": (pickle.dumps({"a": 1}), _NO_WEIGHTS),
        },
    ),
    *read(
        "adapter_config.json",
        {
            "as PEFT writes it": (_adapter(), (2, 4, ["q_proj", "v_proj"])),
            "a byte order mark": (_adapter(), (2, 4, ["q_proj", "v_proj"])),
            "an unknown setting": (_adapter(later="x"), (2, 4, ["q_proj", "v_proj"])),
        },
    ),
    *refused(
        "adapter_config.json",
        {
            **_DOCUMENTS,
            "missing": (None, ": no such file"),
            "an unknown kind": (_adapter(peft_type="EVIL"), ": no adapters' configuration: 'EVIL'"),
            "a kind that is a list": (_adapter(peft_type=[1]), ": no adapters' configuration"),
            "IA3": (_adapter(peft_type="IA3"), ": expected LoRA, found"),
            "a rank that is a word": (_adapter(r="x"), ": expected whole numbers from 1 up as ranks, found 'x'"),
            "a rank below nothing": (_adapter(r=-1), ": expected whole numbers from 1 up as ranks, found -1"),
            "layers that are a number": (
                _adapter(target_modules=5),
                ": target_modules: expected names of layers, found 5",
            ),
            **{
                f"{name} of {value!r:.20}": (
                    _adapter(**{name: value}),
                    f": {name}: expected a number( from 0 to 1)?, found ",
                )
                for name, values in {
                    "lora_alpha": ("x", True, float("nan"), float("inf"), 10**400, None),
                    "lora_dropout": ("x", True, -0.1, 1.5, float("nan")),
                }.items()
                for value in values
            },
            "a scale of a layer that is no number": (
                _adapter(alpha_pattern={"q_proj": float("nan")}),
                ": alpha_pattern: expected numbers, found",
            ),
            "a name twice": (
                json.dumps(ADAPTER_CONFIG).replace("{", '{"r": 9, ', 1).encode(),
                ".*: not JSON: 'r' comes twice",
            ),
        },
    ),
    *refused("encoder config.json", _DOCUMENTS),
    *refused(
        "encoder config.json",
        {
            "missing": (None, ": no model"),
            "no weights": (_e1(), ": no model: .*no file named model.safetensors"),
            "another model": (_e1(model_type="bert"), ": no model: the checkpoint is a 'bert' model, expected 'E1'"),
            "no kind of model": (b"{}", ": no model: the configuration names no model type"),
            "a width that is a word": (
                _e1(hidden_size="x"),
                ": no model: E1 configuration: hidden_size must be a whole number, found 'x'",
            ),
            "a width of half": (
                _e1(hidden_size=16.5),
                ": no model: E1 configuration: hidden_size must be a whole number",
            ),
            "a width below nothing": (_e1(hidden_size=-16), ": no model: E1 configuration: sizes and numbers"),
            "no heads": (_e1(num_attention_heads=0), ": no model: E1 configuration: sizes and numbers"),
            "a billion layers": (
                _e1(num_hidden_layers=10**9),
                "/config.json: num_hidden_layers: expected a number from 0 to 1000",
            ),
            "a vocabulary of 10 to the 12": (
                _e1(vocab_size=10**12),
                ": no model: E1 configuration: no model is as large as",
            ),
            **{
                f"{name} of {value!r}": (
                    _e1(**{name: value}),
                    f": no model: E1 configuration: {name}: expected a number from .*, found ",
                )
                for name, value in (
                    ("rms_norm_eps", float("nan")),
                    ("rms_norm_eps", -1),
                    ("rms_norm_eps", True),
                    ("initializer_range", float("inf")),
                    ("rope_theta_within_seq", 0),
                    ("rope_theta_global", "x"),
                )
            },
            "no limit to clipping": (_e1(clip_qkv=float("inf")), ": no model: E1 configuration: clip_qkv inf"),
            "an activation that is a list": (_e1(hidden_act=[1]), ": no model: E1 configuration: hidden_act"),
            "an activation that is unknown": (
                _e1(hidden_act="nope"),
                ": no model: E1 configuration: hidden_act 'nope' is unknown",
            ),
            "clipping at a word": (_e1(clip_qkv="x"), ": no model: E1 configuration: clip_qkv x is no positive number"),
            "a kind of number that is none": (_e1(torch_dtype="xx"), ": no model: "),
            "a kernel from elsewhere": (
                _e1(_attn_implementation="evil/kernel"),
                ": no model: .*no file named model.safetensors",
            ),
        },
        at="",
    ),
    *read("weight index", {"two parts": (json.dumps(WEIGHT_INDEX).encode(), sorted(WEIGHT_PARTS))}),
    *refused(
        "weight index",
        {
            "empty": (b"", ":1: not JSON"),
            "a list": (b"[]", ": expected the names of files with weights in weight_map, found none"),
            "no map": (_json(WEIGHT_INDEX, weight_map=None), ": expected the names of files .*, found none"),
            "an empty map": (_json(WEIGHT_INDEX, weight_map={}), ": expected the names of files .*, found none"),
            "a map that comes twice": (
                json.dumps(WEIGHT_INDEX).replace("{", '{"weight_map": {}, ', 1).encode(),
                ": not JSON: 'weight_map' comes twice",
            ),
            "a part that is missing": (
                _json(WEIGHT_INDEX, weight_map={"a": "other.safetensors"}),
                ": 1 of 1 parts are missing: other.safetensors",
            ),
            **{
                f"a part at {part!r:.30}": (
                    _json(WEIGHT_INDEX, weight_map={"a.weight": part}),
                    ": expected the names of files with weights in weight_map, found ",
                )
                for part in (
                    "../secret.safetensors",
                    "/secret.safetensors",
                    "a/b.safetensors",
                    "..\\b.safetensors",
                    "",
                    "..",
                    "b.pickle",
                    "b.safetensors\0",
                    "b.safetensors\n",
                    f"{'A' * 10_000}.safetensors",
                    5,
                    None,
                    ["x.bin"],
                )
            },
        },
    ),
    *read("tokenizer", {"as tokenizers writes it": (tokenizer, 9)}),
    *refused("tokenizer", _DOCUMENTS),
    *refused(
        "tokenizer",
        {
            "missing": (None, ": no tokenizer could be loaded"),
            "nothing in it": (b"{}", ": no tokenizer could be loaded: 'added_tokens'"),
            "an unknown kind": (
                lambda: tokenizer().replace(b"BPE", b"XXX"),
                ": no tokenizer could be loaded: data did not match",
            ),
            "a token whose number is a word": (
                lambda: tokenizer().replace(b'"[UNK]":0', b'"[UNK]":"x"'),
                ": no tokenizer could be loaded: invalid type",
            ),
        },
        at="",
    ),
]
# The reader looks at the folder's adapters; the message names the file of the folder.


def _zip(parts: dict[str, bytes]) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as made:
        for name, content in parts.items():
            made.writestr(name, content)
    return sink.getvalue()


def _saved(content: Any) -> bytes:
    import torch

    sink = io.BytesIO()
    torch.save(content, sink)
    return sink.getvalue()
