"""Steps and batches: every protein once, within limits, the same for any number of processes."""

from collections import Counter
from itertools import chain, pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from bindtune.data.protein.step_batches import budgeted, training_steps

COSTS = st.lists(st.integers(1, 500), min_size=1, max_size=60)


@settings(max_examples=200, deadline=None)
@given(
    costs=COSTS,
    proteins_per_step=st.integers(1, 20),
    batch_size=st.integers(1, 6),
    max_tokens=st.none() | st.integers(1, 900),
    seed=st.integers(0, 99),
)
def test_steps(costs: list[int], proteins_per_step: int, batch_size: int, max_tokens: int | None, seed: int) -> None:
    held = []
    for processes in (1, 2, 3):
        steps = training_steps(
            costs,
            proteins_per_step=proteins_per_step,
            processes=processes,
            batch_size=batch_size,
            max_tokens=max_tokens,
            key=(seed, "epoch", 1),
        )
        assert len(steps) == -(-len(costs) // proteins_per_step)
        assert all(len(step) == processes for step in steps)
        batches = [batch for step in steps for share in step for batch in share]
        assert sorted(chain(*batches)) == list(range(len(costs)))
        assert all(0 < len(batch) <= batch_size for batch in batches)
        if max_tokens is not None:
            assert all(len(batch) == 1 or sum(costs[position] for position in batch) <= max_tokens for batch in batches)
        held.append([sorted(chain(*chain(*step))) for step in steps])
        for step in steps:
            sizes = [sum(map(len, share)) for share in step]
            assert min(sizes) > 0 or sum(sizes) < processes
            tokens = [sum(costs[position] for position in chain(*share)) for share in step]
            # The last protein that the fullest process got was given to it as the emptiest.
            assert max(tokens) - min(tokens) <= max(costs)
    assert held[0] == held[1] == held[2]
    assert all(len(step) == proteins_per_step for step in held[0][:-1])


def test_the_order_follows_from_the_key() -> None:
    def order(key: object) -> list[int]:
        steps = training_steps([1] * 50, proteins_per_step=5, processes=1, batch_size=1, max_tokens=None, key=key)
        return list(chain(*(batch for step in steps for share in step for batch in share)))

    assert order((1, "epoch", 1)) == order((1, "epoch", 1))
    assert len({tuple(order((1, "epoch", epoch))) for epoch in range(5)}) == 5


def test_steps_worked_out_by_hand() -> None:
    steps = training_steps([10, 70, 40, 30], proteins_per_step=4, processes=2, batch_size=2, max_tokens=60, key="any")
    # 70 to the first process, 40 and 30 to the second, 10 (both hold 70 tokens) to the first.
    assert steps == [[[[1], [0]], [[2], [3]]]]
    assert training_steps([], proteins_per_step=4, processes=2, batch_size=2, max_tokens=None, key=1) == []


@settings(max_examples=200, deadline=None)
@given(lengths=st.lists(st.integers(1, 500), max_size=60), max_tokens=st.integers(1, 900))
def test_budgeted_batches(lengths: list[int], max_tokens: int) -> None:
    batches = list(budgeted(lengths, max_tokens=max_tokens))
    assert Counter(chain(*batches)) == Counter(range(len(lengths)))
    assert all(len(batch) == 1 or sum(lengths[position] for position in batch) <= max_tokens for batch in batches)
    flat = [lengths[position] for batch in batches for position in batch]
    assert flat == sorted(lengths, reverse=True)
    # No batch could have taken the first of the next one.
    for batch, after in pairwise(batches):
        assert sum(lengths[position] for position in batch) + lengths[after[0]] > max_tokens
