"""E1's vocabulary as a tokenizer of transformers, for `AutoTokenizer`, pipelines and collators of that library.

The released models come without tokenizer files: one character is one token. `E1BatchPreparer` makes the same ids, and
checks its input.
"""

import re
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from bindtune.errors import InputError
from bindtune.models.e1 import E1Config
from bindtune.models.e1_tokens import BOS, EOS, HEAD, TAIL, TOKEN_ID, VOCABULARY

_SPECIAL = {"pad_token": "<pad>", "bos_token": "<bos>", "eos_token": "<eos>", "mask_token": "?"}
_FRAME = ["<bos_glm>", "<eos_span>", "1", "2"]
_TEXT = re.compile(r"(?:[A-Z?,12]|<[a-z_]+>)*")


class E1Tokenizer(PreTrainedTokenizerFast):
    """Turns ``MFC,AY?`` into ``<bos> 1 M F C 2 <eos> <bos> 1 A Y ? 2 <eos>``: a query after the context before it.

    The models derive positions and sequence ids from these ids, so that ``model(**tokenizer(texts, padding=True,
    return_tensors="pt"))`` is enough.
    """

    vocab_files_names: dict[str, str] = {}  # noqa: RUF012 - transformers' own form; every E1 has this vocabulary
    model_input_names = ["input_ids"]  # noqa: RUF012

    def __init__(self, **kwargs: Any) -> None:
        kwargs.pop("tokenizer_file", None)
        kwargs.setdefault("extra_special_tokens", _FRAME)
        super().__init__(tokenizer_object=_backend(), **{**_SPECIAL, **kwargs})

    def __call__(self, text: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Tokenise a text or a list of texts, as in transformers.

        Raises:
            InputError: a text holds anything but A-Z, `?`, commas and the tokens themselves.
        """
        texts = [text] if isinstance(text, str) else text or ()
        for number, one in enumerate(texts, start=1):
            end = len(one) if not isinstance(one, str) else _TEXT.match(one).end()  # type: ignore[union-attr]
            if end < len(one):
                problem = f"found {one[end]!r} at character {end + 1}, expected A-Z, ? or a comma"
                raise InputError(None, None, f"text {number}: {problem}")
        return super().__call__(text, *args, **kwargs)


def _backend() -> Tokenizer:
    backend = Tokenizer(models.WordLevel(TOKEN_ID))
    backend.normalizer = normalizers.Replace(",", "2<eos><bos>1")
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"<[a-z_]+>|."), behavior="isolated")
    frame = [(VOCABULARY[token], token) for token in (BOS, HEAD, TAIL, EOS)]
    backend.post_processor = processors.TemplateProcessing(single="<bos> 1 $A 2 <eos>", special_tokens=frame)
    backend.decoder = decoders.Fuse()
    return backend


AutoTokenizer.register(E1Config, tokenizer_class=E1Tokenizer, exist_ok=True)
