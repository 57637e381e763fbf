"""All cases."""

from corpus import (
    dna_variants,
    explanations,
    intervals,
    models,
    probes,
    proteins,
    runs,
    settings,
    sites,
    tools,
    windows,
    wrong,
)

_PARTS = (intervals, dna_variants, windows, proteins, sites, settings, models, runs, probes, explanations, tools, wrong)
CASES = [case for part in _PARTS for case in part.CASES]
