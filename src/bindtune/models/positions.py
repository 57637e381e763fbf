"""How many tokens a model has positions for."""

from torch import nn

_NAMES = ("position_embeddings", "embed_positions")


def usable_positions(model: nn.Module) -> int | None:
    """The most tokens of a row; None where a model has no table of positions, as with ALiBi or rotary ones.

    RoBERTa and its kin count from behind the padding's own position: they have `pad_token_id` + 1 fewer.
    """
    tables = [part for name, part in model.named_modules() if name.endswith(_NAMES) and isinstance(part, nn.Embedding)]
    rows = [table.num_embeddings - (0 if table.padding_idx is None else table.padding_idx + 1) for table in tables]
    return min(rows, default=None)
