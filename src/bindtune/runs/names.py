"""The names of the files in a run folder."""

LOCK = ".lock"
PROVENANCE = "provenance.json"
