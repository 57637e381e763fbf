"""Predictions on structures: copies with probabilities as B-factors, ChimeraX attributes, PyMOL scripts."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from bindtune.config import PredictConfig
from bindtune.errors import ConfigError, InputError
from bindtune.inference.tables import PARQUET, Predicted, read_predictions
from bindtune.io.structure import (
    Mapped,
    ResidueName,
    Structure,
    map_residues,
    read_structure,
    structure_name,
    write_b_factors,
)
from bindtune.io.structure_scripts import unsafe_names, write_attributes, write_pymol
from bindtune.outputs import LONGEST_NAME
from bindtune.wrong_files import refuse_wrong_file

_LEAST_IDENTITY, _LEAST_COVERAGE = 0.9, 0.5
_ATTRIBUTES, _SCRIPT = ".defattr", ".pml"
FOLDER = "structures"


@dataclass(frozen=True)
class Coloured:
    """A structure that was written.

    Args:
        path: the copy.
        protein: whose predictions it has.
        chain: the chain that has them.
        identity: of chain and protein.
        residues: of the chain, and those of them that have a prediction.
        unsafe: a name that kept the files for ChimeraX and PyMOL, or for PyMOL alone, from being written; None where
            both were.
    """

    path: Path
    protein: str
    chain: str
    identity: float
    residues: tuple[int, int]
    unsafe: str | None = None

    def text(self) -> str:
        """One line."""
        whole, mapped = self.residues
        alike = f"{mapped} of {whole} residues, {self.identity:.0%} identity"
        line = f"{self.protein}: chain {self.chain}, {alike}: {self.path}"
        if self.unsafe is None:
            return line
        programs = "ChimeraX or PyMOL" if self.unsafe != self.path.name else "PyMOL"
        return f"{line}; no file for {programs}, which would take the name {self.unsafe!r} for commands"

    def summary(self) -> dict[str, Any]:
        """Plain values."""
        whole, mapped = self.residues
        return {
            "file": self.path.name,
            "protein": self.protein,
            "chain": self.chain,
            "identity": self.identity,
            "residues": whole,
            "predicted": mapped,
            "unsafe_name": self.unsafe,
        }


def colour_structures(settings: PredictConfig) -> list[Coloured]:
    """Write a copy of each structure with the predictions of its protein.

    Raises:
        InputError: a structure cannot be read, or is of another protein.
        ConfigError: no protein was predicted that has a structure.
    """
    wanted = find_structures(settings)
    found = []
    for name, predicted in _proteins(settings.out / PARQUET, set(wanted)):
        found.append(_colour(wanted[name], predicted, settings))
    if not found:
        named = ", ".join(list(wanted)[:5])
        raise ConfigError(f"{settings.structure}: no protein was predicted that is called {named}")
    return found


def find_structures(settings: PredictConfig) -> dict[str, Path]:
    """Structures by protein.

    Raises:
        InputError: there is no structure file where one is expected.
        ConfigError: a protein is named for a folder of structures.
    """
    place = settings.structure
    if place is None or not place.exists():
        raise InputError(place, None, "no such file or folder")
    if place.is_file():
        name = structure_name(place)
        if name is None:
            refuse_wrong_file(place)
            raise InputError(place, None, "expected a name that ends in .pdb, .cif or either and .gz")
        _check_length(place, name)
        return {settings.protein or name: place}
    if settings.protein is not None:
        raise ConfigError("protein: the files of a folder of structures have the names of their proteins")
    named: dict[str, Path] = {}
    for path in sorted(place.iterdir()):
        name = structure_name(path)
        if name is not None and named.setdefault(name, path) != path:
            raise InputError(path, None, f"is a second structure of protein {name!r}, beside {named[name].name}")
    if not named:
        raise InputError(place, None, "holds no PDB or mmCIF file")
    for name, path in named.items():
        _check_length(path, name)
    return named


def _check_length(path: Path, name: str) -> None:
    """Refuse a name that has no room for the endings of the files that are written."""
    size = len(os.fsencode(name + _ATTRIBUTES))
    if size > LONGEST_NAME:
        raise InputError(path, None, f"its copies would have names of {size} bytes, expected at most {LONGEST_NAME}")


def _proteins(table: Path, names: set[str]) -> Iterator[tuple[str, list[Predicted]]]:
    """Predictions of all ions of each wanted protein."""
    own = (predicted for predicted in read_predictions(table) if predicted.protein in names)
    for name, predicted in groupby(own, key=lambda each: each.protein):
        yield name, list(predicted)


def _colour(path: Path, predicted: list[Predicted], settings: PredictConfig) -> Coloured:
    structure = read_structure(path)
    name, sequence = predicted[0].protein, predicted[0].sequence
    chain, mapped = _chain(structure, sequence, settings.chain, name=name)
    residues = structure.names[chain]
    by_ion = {each.ion: each for each in predicted}
    shown = [by_ion[settings.structure_ion]] if settings.structure_ion else predicted
    highest = np.max([each.probability for each in shown], axis=0)
    called = np.zeros(len(sequence), bool)
    for each in shown:
        called |= (each.call == 1) if each.call is not None else False
    there = [(residue, int(place)) for residue, place in zip(residues, mapped.places, strict=True) if place >= 0]
    target = settings.out / FOLDER / f"{structure_name(path)}{structure.suffix}"
    # Residues of the chain without a prediction get 0: their own B-factors would be taken for probabilities.
    values = {**dict.fromkeys(residues, 0.0), **{key: float(highest[at]) for key, at in there}}
    write_b_factors(target, structure, values)
    attributes = {
        f"bindtune_{ion}": {key: float(each.probability[at]) for key, at in there} for ion, each in by_ion.items()
    }
    sites = [key for key, at in there if called[at]]
    unsafe = _write_scripts(target, attributes, chain=chain, sites=sites)
    return Coloured(target, name, chain, mapped.identity, (len(residues), len(there)), unsafe)


def _write_scripts(
    target: Path, attributes: Mapping[str, Mapping[ResidueName, float]], *, chain: str, sites: list[ResidueName]
) -> str | None:
    """Write the files for ChimeraX and PyMOL, as far as names allow; returns a name that does not."""
    residues = [key for values in attributes.values() for key in values]
    unsafe = unsafe_names([ResidueName(chain, 0, ""), *residues], file=target.name)
    if unsafe in ([], [target.name]):
        write_attributes(target.with_suffix(_ATTRIBUTES), attributes)
    else:
        target.with_suffix(_ATTRIBUTES).unlink(missing_ok=True)  # of an earlier structure
    if not unsafe:
        write_pymol(target.with_suffix(_SCRIPT), target, chain=chain, sites=sites)
    else:
        target.with_suffix(_SCRIPT).unlink(missing_ok=True)
    return unsafe[0] if unsafe else None


def _chain(structure: Structure, sequence: str, chain: str | None, *, name: str) -> tuple[str, Mapped]:
    """The chain that is asked for, or the one most like the protein."""
    if chain is not None and chain not in structure.names:
        known = ", ".join(structure.names)
        raise InputError(structure.path, None, f"has no chain '{chain}' of amino acids, it has {known}")
    candidates = [chain] if chain is not None else list(structure.names)
    try:
        mapped = {each: map_residues(structure.letters[each], sequence) for each in candidates}
    except ValueError as error:
        raise InputError(structure.path, None, f"{name}: {error}") from error
    best = max(mapped, key=lambda each: _likeness(mapped[each]))
    identity, coverage = mapped[best].identity, mapped[best].coverage
    if not _is_of(mapped[best]):
        found = f"{coverage:.0%} of chain {best} can be aligned with protein '{name}', {identity:.0%} of it identical"
        expected = f"expected at least {_LEAST_COVERAGE:.0%} and {_LEAST_IDENTITY:.0%}"
        raise InputError(structure.path, None, f"{found}, {expected}")
    return best, mapped[best]


def _is_of(mapped: Mapped) -> bool:
    return mapped.identity >= _LEAST_IDENTITY and mapped.coverage >= _LEAST_COVERAGE


def _likeness(mapped: Mapped) -> tuple[bool, int]:
    """A chain that is long and the protein's goes before one that is short and more exactly so."""
    return _is_of(mapped), int((mapped.places >= 0).sum())
