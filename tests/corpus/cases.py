"""All cases."""

from corpus import dna_variants, intervals, models, proteins, runs, settings, sites, windows, wrong

_PARTS = (intervals, dna_variants, windows, proteins, sites, settings, models, runs, wrong)
CASES = [case for part in _PARTS for case in part.CASES]
