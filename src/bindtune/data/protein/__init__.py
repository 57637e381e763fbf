"""Proteins: labels, groups, folds, alignments, contexts, rows, batches."""
