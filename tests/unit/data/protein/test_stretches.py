"""Stretches of labelled proteins are found letter by letter, and in no other protein."""

from hypothesis import given
from hypothesis import strategies as st

from bindtune.data.protein.stretches import SHORTEST_STRETCH, StretchIndex

PROTEINS = st.lists(st.text("ACW", max_size=60), max_size=5)


@given(PROTEINS, st.data())
def test_holders_are_those_that_hold_it(proteins: list[str], data: st.DataObject) -> None:
    source = data.draw(st.sampled_from([*proteins, "ACW" * 10]))
    start = data.draw(st.integers(0, len(source)))
    stretch = source[start : start + data.draw(st.integers(0, 60))]
    expected = [index for index, one in enumerate(proteins) if stretch in one]
    holders = list(StretchIndex(proteins).holders(stretch.encode()))
    assert holders == (expected if len(stretch) >= SHORTEST_STRETCH else [])


def test_letters_are_compared_as_mmseqs2_writes_them() -> None:
    whole = "MKTAYIAKQRQISFVKSHFSRQ"
    odd = f"{whole}UOBZJ{whole}"
    read = f"{whole}XXDEL{whole}"
    assert list(StretchIndex([whole, odd]).holders(read.encode())) == [1]
    assert list(StretchIndex([read]).holders(odd.encode())) == [0]
    assert list(StretchIndex([]).holders(odd.encode())) == []
