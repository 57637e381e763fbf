"""All cases."""

from corpus import intervals, models, proteins, runs, settings, sites, windows, wrong

_PARTS = (intervals, windows, proteins, sites, settings, models, runs, wrong)
CASES = [case for part in _PARTS for case in part.CASES]
