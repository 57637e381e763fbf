"""Heat maps of substitutions: residues of a protein from left to right, amino acids from top to bottom."""

import json
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

AMINO_ACIDS = "GAVLIMPFWYSTNQCHKRDE"
"""The rows from top to bottom: small and hydrophobic, aromatic, polar, charged."""
COLUMNS = 60
"""Residues beside each other in one drawing."""
_CELL, _LEFT, _TOP, _BOTTOM = 10, 16, 14, 16
_SHADES = 8
_LOSS, _GAIN = "var(--s2)", "var(--s1)"


def heat_map_svg(changes: NDArray[np.float64], letters: str, *, first: int, largest: float) -> Markup:
    """Draw the changes of a stretch: orange where a probability falls, blue where it rises; its values stand beside it.

    Args:
        changes: (L, 20) by residue and amino acid of `AMINO_ACIDS`; nan where nothing was computed.
        letters: the L residues of the stretch, A-Z.
        first: 1-based number of the first of them.
        largest: change of the strongest shade.

    Examples:
        >>> drawing = heat_map_svg(np.full((2, 20), -0.5), "MK", first=1, largest=1.0)
        >>> drawing[:5], drawing.count("<path")
        (Markup('<svg '), 1)
    """
    width, height = _LEFT + COLUMNS * _CELL, _TOP + len(AMINO_ACIDS) * _CELL + _BOTTOM
    parts = [f'<svg class="heat-map" viewBox="0 0 {width} {height}" width="{width}" height="{height}">']
    parts += [_text(_LEFT - 8, _TOP + row * _CELL + 8, letter) for row, letter in enumerate(AMINO_ACIDS)]
    for column, letter in enumerate(letters):
        parts.append(_text(_LEFT + column * _CELL + _CELL // 2, _TOP - 4, letter))
        if (first + column) % 10 == 0 or column == 0:
            parts.append(_text(_LEFT + column * _CELL + _CELL // 2, height - 5, str(first + column)))
    frame = f'width="{len(letters) * _CELL}" height="{len(AMINO_ACIDS) * _CELL}"'
    parts.append(f'<rect x="{_LEFT}" y="{_TOP}" {frame} fill="none" stroke="var(--grid)"/>')
    parts += _shaded(changes, largest)
    parts += _dots(
        [(column, AMINO_ACIDS.index(letter)) for column, letter in enumerate(letters) if letter in AMINO_ACIDS]
    )
    return Markup("".join([*parts, "</svg>", _values(changes, letters, first)]))  # noqa: S704 (numbers, and letters A-Z)


def _values(changes: NDArray[np.float64], letters: str, first: int) -> str:
    """The drawing's values for `templates/charts.js`; null where nothing was computed."""
    columns = [[None if np.isnan(change) else round(change, 4) for change in column] for column in changes.tolist()]
    layout = {"left": _LEFT, "top": _TOP, "cell": _CELL, "first": first}
    values = layout | {"letters": letters, "substitutions": AMINO_ACIDS, "changes": columns}
    return f'<script type="application/json">{json.dumps(values, separators=(",", ":"))}</script>'


def _shaded(changes: NDArray[np.float64], largest: float) -> list[str]:
    """One path for each shade."""
    shades = np.nan_to_num(np.clip(changes / (largest or 1.0), -1, 1)) * _SHADES
    steps = np.sign(shades) * np.ceil(np.abs(shades) - 1e-9)
    paths = []
    for step in np.unique(steps[steps != 0]).astype(int).tolist():
        cells = "".join(
            f"M{_LEFT + column * _CELL} {_TOP + row * _CELL}h{_CELL}v{_CELL}h-{_CELL}z"
            for column, row in np.argwhere(steps == step).tolist()
        )
        colour = _LOSS if step < 0 else _GAIN
        paths.append(f'<path d="{cells}" fill="{colour}" fill-opacity="{abs(step) / _SHADES:.3f}"/>')
    return paths


def _dots(cells: Sequence[tuple[int, int]]) -> list[str]:
    """A dot at the protein's own residue."""
    half = _CELL // 2
    return [
        f'<circle cx="{_LEFT + column * _CELL + half}" cy="{_TOP + row * _CELL + half}" r="1.5" fill="var(--soft)"/>'
        for column, row in cells
    ]


def _text(x: int, y: int, text: str) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="middle" fill="var(--soft)">{text}</text>'
