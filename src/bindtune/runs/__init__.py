"""The run folder: names of its files, kinds of runs, atomic writing, provenance, tables of a run."""
