"""Large imports run without garbage collections, and what they made is left out of later ones."""

import gc
import resource
from contextlib import nullcontext

import pytest

from bindtune.imports import large_imports
from bindtune.memory_errors import OutOfMemoryError


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


@pytest.mark.parametrize(("limit", "refused"), [(700 << 20, True), (5 << 28, False), (resource.RLIM_INFINITY, False)])
def test_a_limit_of_address_space_that_is_too_low_is_refused(
    monkeypatch: pytest.MonkeyPatch, limit: int, refused: bool
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (limit, resource.RLIM_INFINITY))
    fault = r"^out of memory: this process may use 0\.68 GiB of address space, .* needs 1\.25 GiB; raise the limit"
    with pytest.raises(OutOfMemoryError, match=fault) if refused else nullcontext(), large_imports():
        pass


def test_numbers_too_small_for_full_precision_count_as_zero_where_torch_was_imported() -> None:
    import torch

    assert (torch.tensor(1e-30) * 1e-10).item() > 0
    with large_imports():
        pass
    assert (torch.tensor(1e-30) * 1e-10).item() == 0
    assert (torch.tensor(1e-30) * 1e-7).item() > 0
