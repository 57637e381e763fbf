"""`bindtune check-lora`: are the adapters of a configuration live."""

import sys
from typing import Any

from transformers.utils.logging import disable_progress_bar

from bindtune.config import BindingConfig
from bindtune.errors import CheckError, ConfigError
from bindtune.models.adapter_check import check_lora
from bindtune.models.adapters import count_parameters
from bindtune.models.e1_tokens import IDS
from bindtune.training.binding.model import build_model

# A stretch of human carbonic anhydrase 2 (P00918), whose histidines hold a zinc.
_PROTEIN = "MSHHWGYGKHNGPEHWHKDFPIAKGERQSPVDIDTHTAKYDPSLKPLSVSYDQATSLRILNNGHAFNVEFDDSQDKAVLKGGPLDGTYRLIQFHFHWG"


def check(config: BindingConfig) -> str:
    """Put adapters on the encoder and try them.

    Returns:
        The three statements with their numbers, and the trainable parameters.

    Raises:
        ConfigError: the settings ask for no adapters.
        CheckError: a statement does not hold; says what to look at.
    """
    if config.lora is None:
        raise ConfigError("lora is null: every weight is trained, and there are no adapters to check")
    if not sys.stderr.isatty():
        disable_progress_bar()  # type: ignore[no-untyped-call]
    model, preparer = build_model(config)
    whole: Any = preparer.get_batch_kwargs([_PROTEIN])
    found = check_lora(model._original_model, {name: whole[name] for name in IDS})
    lines = [f"{'yes' if holds else 'NO '}  {statement}" for statement, holds in found.statements.items()]
    lines.append(str(count_parameters(model)))
    if not all(found.statements.values()):
        raise CheckError(lines[0], listing=[*lines[1:], found.advice])
    return "\n".join(lines)
