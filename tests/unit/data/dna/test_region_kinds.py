"""Places are in exons, introns, UTRs or outside, strand by strand."""

import numpy as np

from bindtune.data.dna.peaks import Peaks
from bindtune.data.dna.region_kinds import make_segments


def peaks(*rows: tuple[int, int, int, int]) -> Peaks:
    chrom, start, end, strand = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Peaks(
        np.array(chrom, np.int32), np.array(start, np.int64), np.array(end, np.int64), np.array(strand, np.int8)
    )


READABLE = peaks((0, 0, 1000, 0), (3, 100, 300, 0))
ANNOTATED = {
    "intron": peaks((0, 100, 500, 1), (0, 300, 600, -1)),
    "exon": peaks((0, 100, 200, 1), (0, 400, 500, 1), (3, 0, 200, 0)),
    "UTR": peaks((0, 450, 500, 1)),
}


def kinds(strand: int, *places: tuple[int, int]) -> list[str]:
    segments = make_segments(READABLE, ANNOTATED, strand=strand)
    chrom, position = (np.array(column, np.int64) for column in zip(*places, strict=True))
    return [segments.kinds[code] if code >= 0 else "?" for code in segments.kind_at(chrom, position).tolist()]


def test_the_later_kind_wins_on_its_strand() -> None:
    places = (
        (0, 99),
        (0, 100),
        (0, 199),
        (0, 200),
        (0, 400),
        (0, 449),
        (0, 450),
        (0, 499),
        (0, 500),
        (0, 999),
        (0, 1000),
    )
    plus = ["outside", "exon", "exon", "intron", "exon", "exon", "UTR", "UTR", "outside", "outside", "?"]
    assert kinds(1, *places) == plus
    assert kinds(-1, (0, 150), (0, 300), (0, 599), (0, 600)) == ["outside", "intron", "intron", "outside"]
    assert kinds(0, (0, 150), (0, 550)) == ["exon", "intron"]


def test_only_what_can_be_read_has_a_kind() -> None:
    assert kinds(1, (3, 99), (3, 100), (3, 199), (3, 200), (3, 299), (3, 300), (2, 5)) == [
        "?", "exon", "exon", "outside", "outside", "?", "?",
    ]  # fmt: skip


def test_without_annotation_all_is_outside() -> None:
    segments = make_segments(READABLE, {}, strand=1)
    assert segments.kind_at(np.array([0, 3]), np.array([5, 150])).tolist() == [0, 0]
