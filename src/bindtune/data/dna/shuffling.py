"""Shuffle sequences; the shuffled ones have the same letters and the same pairs of neighbouring letters.

Method: Altschul and Erickson, Mol Biol Evol 2(6), 526-538 (1985), doi 10.1093/oxfordjournals.molbev.a040370. A sequence
is a walk over its letters. Every walk that uses the same steps ends at the same letter, and is drawn with equal chance.
"""

import random
from collections import defaultdict
from itertools import pairwise

_TRIES = 20


def shuffle_pairs(sequence: str, key: int) -> str | None:
    """Shuffle a sequence; each pair of neighbouring letters occurs as often as before.

    Args:
        sequence: any letters.
        key: what the draw follows from.

    Returns:
        The shuffled sequence, which differs from the given one; None where no other was drawn.

    Example:
        >>> shuffle_pairs("AAAA", key=1) is None
        True
        >>> sorted(shuffle_pairs("ACGATCAGTA", key=1)) == sorted("ACGATCAGTA")
        True
    """
    generator = random.Random(key)
    for _ in range(_TRIES):
        shuffled = _walk(sequence, generator)
        if shuffled != sequence:
            return shuffled
    return None


def _walk(sequence: str, generator: random.Random) -> str:
    """A walk over the steps of the sequence, each of them with equal chance."""
    if len(sequence) < 4:  # two steps have one order
        return sequence
    steps: dict[str, list[str]] = defaultdict(list)
    for letter, successor in pairwise(sequence):
        steps[letter].append(successor)
    last = _last_steps(steps, end=sequence[-1], generator=generator)
    for letter, following in steps.items():
        if letter in last:
            following.remove(last[letter])
        generator.shuffle(following)
        if letter in last:
            following.append(last[letter])
        following.reverse()  # so that steps are taken from the end
    walk = [sequence[0]]
    for _ in range(len(sequence) - 1):
        walk.append(steps[walk[-1]].pop())
    return "".join(walk)


def _last_steps(steps: dict[str, list[str]], *, end: str, generator: random.Random) -> dict[str, str]:
    """The last step out of every letter but the end's: drawn until all of them lead to the end."""
    letters = [letter for letter in steps if letter != end]
    while True:
        last = {letter: generator.choice(steps[letter]) for letter in letters}
        if all(_leads_to(letter, end=end, last=last) for letter in letters):
            return last


def _leads_to(letter: str, *, end: str, last: dict[str, str]) -> bool:
    for _ in range(len(last)):
        letter = last[letter]
        if letter == end:
            return True
    return False
