"""Heat maps: a shade for each size of a change, and nothing where nothing changed."""

import json
import re

import numpy as np

from bindtune.reports.heat_map import AMINO_ACIDS, heat_map_svg


def test_cells_stand_where_their_substitution_is() -> None:
    changes = np.full((3, 20), np.nan)
    changes[1, AMINO_ACIDS.index("W")] = -0.8
    changes[2, AMINO_ACIDS.index("G")] = 0.2
    changes[0, 0] = 0.0
    drawing = str(heat_map_svg(changes, "M K", first=9, largest=0.8))
    cells = re.findall(r'<path d="M(\d+) (\d+)h10v10h-10z" fill="var\(--s(\d)\)" fill-opacity="([\d.]+)"/>', drawing)
    loss = ("26", str(14 + 10 * AMINO_ACIDS.index("W")), "2", "1.000")
    assert sorted(cells) == sorted([loss, ("36", "14", "1", "0.250")])
    assert "role=" not in drawing  # what stands around it in the page has role and text
    assert drawing.count("<circle") == 2  # M and K; the residue between was not scanned
    assert ">9</text>" in drawing and ">10</text>" in drawing and ">11</text>" not in drawing


def test_values_stand_beside_the_drawing() -> None:
    changes = np.full((2, 20), np.nan)
    changes[1, AMINO_ACIDS.index("W")] = -0.12344
    values = json.loads(str(heat_map_svg(changes, "MK", first=9, largest=0.8)).partition('json">')[2][:-9])
    assert values["changes"][1][values["substitutions"].index("W")] == -0.1234
    assert sum(change is not None for column in values["changes"] for change in column) == 1
    assert (values["first"], values["letters"]) == (9, "MK")
