"""Load a tokenizer, and get the ids and the positions of the tokens of sequences."""

import json
from typing import Any

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from bindtune.errors import ConfigError
from bindtune.models.base_files import check_reachable
from bindtune.models.foreign_files import check_tokenizer
from bindtune.models.load_errors import loading, tokenising


def load_tokenizer(name: str) -> PreTrainedTokenizerBase:
    """Load a tokenizer by hub name or folder.

    Raises:
        CheckpointError: there is none.
    """
    check_reachable(name)
    with loading(name, "no tokenizer could be loaded"):
        check_tokenizer(name)
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    return tokenizer


def check_offsets(tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuse a tokenizer that cannot say which letters a token stands for.

    Raises:
        ConfigError: it is neither fast nor gives one token a letter.
    """
    probe = "ACGTGCAT"
    if tokenizer.is_fast:
        return
    if tokenizer(probe, add_special_tokens=False)["input_ids"] != tokenizer.convert_tokens_to_ids(list(probe)):
        raise ConfigError(
            f"{type(tokenizer).__name__} gives no character offsets and other tokens than letters, so peaks "
            "cannot be placed on its tokens; use a fast tokenizer (tokenizer.json)"
        )


def special_ids(tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """Tokens that stand for no letters, [UNK] among them: never masked, and never a random replacement."""
    # A tokenizer.json may call a token special, [UNK] above all, that tokenizer_config.json does not name.
    ids = {*tokenizer.all_special_ids, *(i for i, token in tokenizer.added_tokens_decoder.items() if token.special)}
    if tokenizer.is_fast and (unknown := getattr(tokenizer.backend_tokenizer.model, "unk_token", None)):
        ids.add(tokenizer.backend_tokenizer.token_to_id(unknown))
    return {int(token) for token in ids if token is not None}


def spelled_for(tokenizer: PreTrainedTokenizerBase, sequences: list[str]) -> list[str]:
    """DNA with U in the place of T where a tokenizer reads U alone.

    Args:
        tokenizer: of the model that reads them.
        sequences: upper-case letters with T.
    """
    unknown = tokenizer.unk_token_id
    if tokenizer.convert_tokens_to_ids("T") in (None, unknown) and tokenizer.convert_tokens_to_ids("U") != unknown:
        return [each.replace("T", "U") for each in sequences]
    return sequences


def encode(
    tokenizer: PreTrainedTokenizerBase, sequences: list[str], max_length: int
) -> tuple[list[list[int]], list[Any]]:
    """Token ids and (start, end) offsets of each sequence, cut to `max_length` tokens.

    Raises:
        CheckpointError: the tokenizer fails on one of them.
    """
    with tokenising(tokenizer):
        if not tokenizer.is_fast:
            rows = [_encode_letters(tokenizer, sequence, max_length) for sequence in sequences]
            return [ids for ids, _ in rows], [offsets for _, offsets in rows]
        batch = tokenizer(
            sequences,
            truncation=True,
            max_length=max_length,
            return_offsets_mapping=True,
            return_attention_mask=False,
            return_token_type_ids=False,
        )
    return batch["input_ids"], batch["offset_mapping"]


def _encode_letters(
    tokenizer: PreTrainedTokenizerBase, sequence: str, max_length: int
) -> tuple[list[int], list[tuple[int, int]]]:
    """Ids and offsets with one letter a token. A slow tokenizer itself makes one token of a run of unknown letters."""
    room = max(max_length - tokenizer.num_special_tokens_to_add(), 0)
    letters = [int(tokenizer.convert_tokens_to_ids(letter)) for letter in sequence[:room]]  # type: ignore[arg-type]
    added = tokenizer.get_special_tokens_mask(letters)
    positions = iter(range(len(letters)))
    offsets = [(0, 0) if special else (position := next(positions), position + 1) for special in added]
    return tokenizer.build_inputs_with_special_tokens(letters), offsets


def tokenizer_identity(tokenizer: PreTrainedTokenizerBase) -> str:
    """What decides which tokens a sequence becomes; not how an earlier call happened to cut or pad."""
    if tokenizer.is_fast:
        settings = json.loads(tokenizer.backend_tokenizer.to_str())
        settings |= {"truncation": None, "padding": None, "unknown": tokenizer.unk_token_id}
        return json.dumps(settings, sort_keys=True)
    return f"{type(tokenizer).__name__} {sorted(tokenizer.get_vocab().items())}"
