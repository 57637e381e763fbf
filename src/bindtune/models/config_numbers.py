"""Numbers of a model's config.json, checked before a layer is made from them."""

from collections.abc import Mapping
from typing import Any

from bindtune.errors import ConfigError


def refuse_odd_numbers(
    kind: str,
    values: Mapping[str, Any],
    *,
    whole: Mapping[str, tuple[float, float]],
    ranges: Mapping[str, tuple[float, float]],
) -> None:
    """Refuse impossible numbers of a model.

    Args:
        kind: the model's, for the message.
        values: of the configuration, by name.
        whole: least and largest value of whole numbers, by name.
        ranges: the same of any other numbers.

    Raises:
        ConfigError: a value is no number, is nan or infinite, or lies outside its range.

    Examples:
        >>> refuse_odd_numbers("E1", {"hidden_size": 8}, whole={"hidden_size": (1, 1024)}, ranges={})
        >>> refuse_odd_numbers("E1", {"hidden_size": -8}, whole={"hidden_size": (1, 1024)}, ranges={})
        Traceback (most recent call last):
        bindtune.errors.ConfigError: E1 configuration: hidden_size: expected a whole number from 1 to 1024, found -8
    """
    for name, value in values.items():
        low, high = whole[name] if name in whole else ranges[name]
        kinds, what = (int, "a whole number") if name in whole else (int | float, "a number")
        is_number = isinstance(value, kinds) and not isinstance(value, bool)
        if not is_number or not low <= value <= high:
            raise ConfigError(f"{kind} configuration: {name}: expected {what} from {low} to {high}, found {value!r}")
