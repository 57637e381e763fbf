"""All cases."""

from corpus import intervals, models, proteins, runs, settings, windows, wrong

CASES = [*intervals.CASES, *windows.CASES, *proteins.CASES, *settings.CASES, *models.CASES, *runs.CASES, *wrong.CASES]
