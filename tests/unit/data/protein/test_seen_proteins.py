"""Which proteins of a comparison are in a training set: by name, by sequence, by similarity."""

import numpy as np
import pytest

from bindtune.data.protein.proteins import Proteins
from bindtune.data.protein.seen_proteins import seen_proteins
from bindtune.io.training_proteins import TrainingProteins

SEQUENCES = {"a": "MKTAYIAKQR" * 4, "b": "GGSWHLLEDP" * 4, "c": "NNQRTVYFCM" * 4}
COMPARED = Proteins(
    tuple(SEQUENCES), tuple(SEQUENCES.values()), (), tuple(np.empty((40, 0), np.int8) for _ in range(3))
)


@pytest.mark.parametrize(
    ("training", "names", "how"),
    [
        (TrainingProteins(frozenset({"a", "z"}), {}), {"a"}, "equal names"),
        (TrainingProteins(frozenset({"z"}), {"z": SEQUENCES["b"]}), {"b"}, "equal names or equal sequences"),
        (TrainingProteins(frozenset({"z"}), {"z": SEQUENCES["b"][:-1] + "A"}), set(), "equal names or equal sequences"),
        (TrainingProteins(frozenset({"c"}), {"c": "W" * 40}), {"c"}, "equal names or equal sequences"),
    ],
)
def test_equal_names_and_sequences(training: TrainingProteins, names: set[str], how: str) -> None:
    seen = seen_proteins(COMPARED, [training], identity=None)
    assert (seen.names, seen.how) == (names, how)


def test_a_set_without_sequences_is_said() -> None:
    sets = [TrainingProteins(frozenset({"a"}), {}), TrainingProteins(frozenset({"z"}), {"z": SEQUENCES["b"]})]
    seen = seen_proteins(COMPARED, sets, identity=None)
    assert seen.names == {"a", "b"}
    assert seen.how.endswith("; a training set without sequences by names alone")
