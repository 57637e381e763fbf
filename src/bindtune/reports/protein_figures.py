"""Figures of each protein of a binding run, all proteins at once."""

import numpy as np

from bindtune.runs.out_of_fold import OutOfFold


def average_precisions(rows: OutOfFold) -> dict[int, float]:
    """Average precision within each protein that has sites; 1 if all of its residues are sites.

    It is rounded, so that the order of a sum does not decide which protein is shown.

    Args:
        rows: of one ion.

    Returns:
        By number of the protein.
    """
    falling = (rows.probability[1:] <= rows.probability[:-1]).all()
    # A stable sort of small whole numbers is counted, which is several times faster than a sort by two columns.
    order = np.argsort(rows.protein, kind="stable") if falling else np.lexsort((-rows.probability, rows.protein))
    protein, site, score = rows.protein[order], rows.label[order] == 1, rows.probability[order]
    if not site.any():
        return {}
    last_of_score = np.append((protein[1:] != protein[:-1]) | (score[1:] != score[:-1]), True)
    ends = np.flatnonzero(last_of_score)
    first = np.flatnonzero(np.append(True, protein[1:] != protein[:-1]))  # row of each protein
    of_end = np.searchsorted(first, ends, side="right") - 1
    hits = np.cumsum(site)
    before = np.append(0, hits)[first]
    own_hits, called = hits[ends] - before[of_end], ends + 1 - first[of_end]
    gained = np.diff(hits[ends], prepend=0)
    area = np.bincount(of_end, weights=gained * own_hits / called)
    sites = np.bincount(of_end, weights=gained)
    with_sites = np.flatnonzero(sites)
    return {int(protein[first[index]]): round(float(area[index] / sites[index]), 12) for index in with_sites.tolist()}
