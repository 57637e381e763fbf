"""Code of all native encoders: loading that is strict both ways, and errors for unknown arguments."""

import logging
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any, ClassVar

import torch
from transformers import PreTrainedModel

from bindtune.errors import CheckpointError
from bindtune.models.foreign_files import check_model
from bindtune.models.load_errors import loading

# Arguments that transformers' own encoders take and that ask for nothing where they are None or False.
_SWITCHES = frozenset({
    "attention_mask", "cache_position", "cross_attn_head_mask", "cu_seq_lens_k", "cu_seq_lens_q",
    "encoder_attention_mask", "encoder_hidden_states", "head_mask", "is_causal", "max_length_k", "max_length_q",
    "output_attentions", "output_router_logits", "past_key_values", "position_ids", "token_type_ids", "use_cache",
})  # fmt: skip


class MisfitError(CheckpointError, RuntimeError):
    """Weights do not fit a class; a RuntimeError too, as transformers raises where shapes differ."""


class StrictPreTrainedModel(PreTrainedModel):
    """A `PreTrainedModel` whose weights load completely or not at all.

    transformers warns about keys that are left over and fills missing parameters with random numbers. Here both raise,
    with two exceptions, which a class names by patterns of keys:
    - `_keys_to_ignore_on_load_unexpected`, an attribute of transformers: keys of heads that the class does not have.
      They are passed over in silence.
    - `new_parts`: heads that start from random numbers if a checkpoint has nothing of them. transformers prints their
      names.
    """

    new_parts: ClassVar[tuple[str, ...]] = ()

    def post_init(self) -> None:
        """As in transformers, but keys that a submodel ignores are not ignored here."""
        super().post_init()
        self._keys_to_ignore_on_load_unexpected = set(type(self)._keys_to_ignore_on_load_unexpected or ())

    def returns_dict(self, return_dict: bool | None) -> bool:
        """Whether `forward` gives names with its values: as the caller says, or the configuration."""
        return bool(self.config.return_dict if return_dict is None else return_dict)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *args: Any, **kwargs: Any) -> Any:
        """Load from a hub name or a folder, in fp32 unless `dtype` says otherwise.

        With `ignore_mismatched_sizes` parameters of another shape than the file's start from random numbers, as in
        transformers.

        Returns:
            The model in evaluation mode; with `output_loading_info` a tuple of it and the loading info.

        Raises:
            CheckpointError: the weights are missing, damaged, or do not fit the model key by key and shape by shape.
        """
        name = pretrained_model_name_or_path
        kwargs.setdefault("dtype", kwargs.pop("torch_dtype", torch.float32))
        wants_info = kwargs.pop("output_loading_info", False)
        resizes = kwargs.pop("ignore_mismatched_sizes", False)
        kwargs["ignore_mismatched_sizes"] = True  # reported below, all of them at once
        misused = torch.get_default_device().type == "meta"  # which transformers refuses: no fault of the files
        with _table_held_back():
            with nullcontext() if misused else loading(name, "no model"):
                if name is not None:  # weights are given as `state_dict`
                    check_model(str(name))
                loaded: Any = super().from_pretrained(name, *args, output_loading_info=True, **kwargs)
            model, info = loaded
            problems = _problems(model, info, resizes=resizes)
            if problems:
                raise MisfitError(
                    f"{name} does not fit {cls.__name__}: {'; '.join(problems[:10])}"
                    + (f"; and {len(problems) - 10} more" if len(problems) > 10 else "")
                )
        return (model, info) if wants_info else model

    def tie_weights(self, missing_keys: set[str] | None = None, recompute_mapping: bool = True) -> None:
        """Tie as transformers does, which cannot compare two copies of a weight when one has another shape."""
        if missing_keys is not None:
            tied = {name for pair in self.all_tied_weights_keys.items() for name in pair}
            missing_keys |= {name for name in tied if self.get_parameter(name).is_meta}
        super().tie_weights(missing_keys=missing_keys, recompute_mapping=recompute_mapping)

    def untied(self) -> list[str]:
        """Parameters that should be one and were stored with different values."""
        ties = self.get_expanded_tied_weights_keys(all_submodels=True)
        return [
            f"{copy} differs from {original}, to which it is tied"
            for copy, original in ties.items()
            if self.get_parameter(copy) is not self.get_parameter(original)
        ]


ALL_INFO: dict[str, Any] = {"output_loading_info": True, "ignore_mismatched_sizes": True}
"""Options with which `from_pretrained` of transformers reports keys that do not fit, for `check_complete`."""


def check_complete(name: str, info: Mapping[str, Any]) -> None:
    """Refuse a stock model that lacks weights, or has some of another shape; further ones are passed over.

    Raises:
        CheckpointError: names up to ten parameters.
    """
    misfits = {key: (tuple(stored), tuple(expected)) for key, stored, expected in info["mismatched_keys"]}
    if missing := sorted(set(info["missing_keys"]) - misfits.keys()):
        raise CheckpointError(f"{name}: nothing for parameters {', '.join(missing[:10])}")
    if misfits:
        shapes = (
            f"{key} has shape {stored}, expected {expected}" for key, (stored, expected) in sorted(misfits.items())
        )
        raise CheckpointError(f"{name}: {'; '.join(list(shapes)[:10])}")


def check_carried(
    carried: dict[str, Any], *, harmless: Collection[str] = (), advice: dict[str, str] | None = None
) -> None:
    """Ignore arguments without effect, and refuse all others, so that a misspelt argument is noticed.

    Args:
        carried: arguments of `forward` that the model does not name.
        harmless: names that may hold anything, because they say nothing about the computation.
        advice: for an argument that is refused, what to do instead.

    Raises:
        TypeError: an argument is unknown.
        ValueError: an argument asks for an effect that the model does not have.
    """
    unknown = sorted(carried.keys() - _SWITCHES - set(harmless))
    if unknown:
        raise TypeError(f"unknown argument: {', '.join(unknown)}")
    for name in sorted(carried.keys() - set(harmless)):
        if carried[name] is not None and carried[name] is not False:
            raise ValueError((advice or {}).get(name, f"this model has no {name}"))


@contextmanager
def _table_held_back() -> Iterator[None]:
    """Print the messages of transformers about keys after the block, unless it raises MisfitError, which has them."""
    logger = logging.getLogger(PreTrainedModel.__module__)
    held: list[logging.LogRecord] = []

    def hold(record: logging.LogRecord) -> bool:
        held.append(record)
        return False

    logger.addFilter(hold)
    try:
        yield
    except MisfitError:
        held.clear()
        raise
    finally:
        logger.removeFilter(hold)
        for record in held:
            logger.handle(record)


def _problems(model: StrictPreTrainedModel, info: dict[str, Any], *, resizes: bool) -> list[str]:
    """The keys that do not fit, one phrase for each."""
    misfits = {key for key, *_ in info["mismatched_keys"]}
    missing = info["missing_keys"] - misfits
    for part in model.new_parts:
        keys = {name for name, _ in model.named_parameters() if re.search(part, name)}
        if keys <= missing:
            missing = missing - keys
    return [
        *(f"no parameter for {key}" for key in sorted(info["unexpected_keys"])),
        *(f"nothing for parameter {key}" for key in sorted(missing)),
        *(
            f"{key} has shape {tuple(stored)}, expected {tuple(expected)}"
            for key, stored, expected in ([] if resizes else info["mismatched_keys"])
        ),
        *model.untied(),
    ]
