"""Large imports run without garbage collections, and what they made is left out of later ones."""

import gc

import pytest

from bindtune.imports import large_imports


def test_nothing_is_collected_inside_and_what_was_made_is_left_out_afterwards() -> None:
    before = gc.get_freeze_count()
    with large_imports():
        assert not gc.isenabled()
        made: list[list[int]] = [[] for _ in range(5000)]
    assert gc.isenabled()
    assert gc.get_freeze_count() >= before + len(made)


def test_collections_go_on_after_an_import_that_fails_and_stay_off_where_they_were() -> None:
    with pytest.raises(ImportError), large_imports():
        raise ImportError("no such library")
    assert gc.isenabled()
    gc.disable()
    try:
        with large_imports():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
