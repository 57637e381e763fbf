"""Alleles are trimmed alike from both sides, stand in the same stretch, and differ in as few tokens as can be."""

from hypothesis import given
from hypothesis import strategies as st

from bindtune.data.dna.alleles import (
    Change,
    allele_sequences,
    changed_tokens,
    masked_rows,
    stretches,
    trim,
)
from bindtune.io.genome import reverse_complement

LETTERS = st.text("ACGT", min_size=1, max_size=8)


@given(LETTERS, LETTERS, st.text("ACGT", max_size=5))
def test_trimming_keeps_what_the_variant_does(ref: str, alt: str, behind: str) -> None:
    sequence = "GATTACA" + ref + behind
    change = trim(8, ref, alt)
    after = sequence[: change.start] + change.alt + sequence[change.start + len(change.ref) :]
    assert sequence[change.start : change.start + len(change.ref)] == change.ref
    assert after == "GATTACA" + alt + behind
    if change.ref and change.alt:
        assert change.ref[0] != change.alt[0] and change.ref[-1] != change.alt[-1]
    assert trim(8, alt, ref) == Change(change.start, change.alt, change.ref)


@given(
    st.integers(0, 299), st.text("ACGT", max_size=20), st.integers(0, 20), st.integers(1, 6), st.sampled_from((1, -1))
)
def test_stretches_hold_the_variant(start: int, alt: str, length: int, phases: int, strand: int) -> None:
    ref = "A" * min(length, 300 - start)
    change = Change(start, ref, alt)
    pieces = stretches(change, size=300, width=64, strand=strand, phases=phases)
    assert 1 <= len(pieces) <= phases
    for first, last in pieces:
        assert 0 <= first <= start and start + len(ref) <= last <= 300
        assert last - first - len(ref) + change.size <= 64
    other = Change(start, alt, ref)
    swapped = stretches(other, size=300 + len(alt) - len(ref), width=64, strand=strand, phases=1)
    assert start - swapped[0][0] == start - pieces[0][0]  # the same letters before, whichever allele the sequence has
    assert swapped[0][1] - len(alt) == pieces[0][1] - len(ref)  # and behind


def test_the_minus_strand_is_the_plus_strand_of_the_other_side() -> None:
    letters = "".join("ACGT"[(n * n + n // 3) % 4] for n in range(200))
    turned = reverse_complement(letters.encode()).decode()
    change = Change(90, letters[90:93], "T")
    mirrored = Change(107, reverse_complement(change.ref.encode()).decode(), "A")
    for phase in range(3):
        start, end = stretches(change, size=200, width=64, strand=-1, phases=3)[phase]
        minus = allele_sequences(change, start=start, letters=letters[start:end], strand=-1)
        start, end = stretches(mirrored, size=200, width=64, strand=1, phases=3)[phase]
        assert minus == allele_sequences(mirrored, start=start, letters=turned[start:end], strand=1)


def test_alleles_stand_in_their_stretch() -> None:
    letters = "AACCGGTT"
    assert allele_sequences(Change(12, "CC", "T"), start=10, letters=letters, strand=1) == ("AACCGGTT", "AATGGTT")
    assert allele_sequences(Change(12, "CC", "T"), start=10, letters=letters, strand=-1) == ("AACCGGTT", "AACCATT")
    assert allele_sequences(Change(12, "", "T"), start=10, letters=letters, strand=1) == ("AACCGGTT", "AATCCGGTT")


ROWS = st.lists(st.integers(5, 8), max_size=6).map(lambda ids: [1, *ids, 2])


@given(ROWS, ROWS)
def test_changed_tokens_are_what_the_rows_do_not_share(ref: list[int], alt: list[int]) -> None:
    changed = changed_tokens(ref, alt)
    for row, own, other in ((ref, changed.ref, changed.alt), (alt, changed.alt, changed.ref)):
        rebuilt = [*row[: changed.first], *other, *row[changed.first + len(own) :]]
        assert rebuilt == (alt if row is ref else ref)
    if changed.ref and changed.alt:
        assert changed.ref[0] != changed.alt[0] and changed.ref[-1] != changed.alt[-1]
    back = changed_tokens(alt, ref)
    assert (back.first, back.ref, back.alt) == (changed.first, changed.alt, changed.ref)
    (one, tokens), (two, others) = masked_rows(ref, alt, changed, mask=4)
    assert tokens == changed.ref and others == changed.alt
    assert one.ids[one.first : one.first + one.masked] == (4,) * len(tokens)
    assert (one == two) == (len(tokens) == len(others))
