"""What no model names: silent where it asks for nothing, refused where it would be lost."""

import pytest

from bindtune.models.strict import check_carried


def test_what_asks_for_nothing_passes() -> None:
    check_carried({})
    check_carried({"use_cache": False, "head_mask": None, "output_attentions": False})
    check_carried({"context": ["<bos>"]}, harmless=("context",))


def test_an_effect_that_there_is_not_is_refused() -> None:
    for name, value in (("use_cache", True), ("is_causal", True), ("max_length_q", 0)):
        with pytest.raises(ValueError, match=f"this model has no {name}"):
            check_carried({name: value})
    with pytest.raises(ValueError, match="cache it yourself"):
        check_carried({"use_cache": True}, advice={"use_cache": "cache it yourself"})


def test_a_misspelt_argument_is_named() -> None:
    with pytest.raises(TypeError, match="unknown argument: atention_mask, lables"):
        check_carried({"lables": None, "use_cache": False, "atention_mask": 1})
