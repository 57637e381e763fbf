"""Predictions on structures: copies with probabilities as B-factors; files for ChimeraX, PyMOL and Mol*."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from bindtune.config import PredictConfig
from bindtune.errors import ConfigError, InputError
from bindtune.inference.ensemble_scores import NamedSequence
from bindtune.io.molviewspec import write_scene
from bindtune.io.structure import (
    ResidueName,
    read_structure,
    structure_name,
    write_b_factors,
)
from bindtune.io.structure_files import StructureFiles, best_chain, structure_files
from bindtune.io.structure_scripts import unsafe_names, write_attributes, write_pymol
from bindtune.outputs import LONGEST_NAME
from bindtune.runs.names import PREDICTIONS, STRUCTURES
from bindtune.runs.prediction_table import Predicted, read_predictions

_ATTRIBUTES, _SCRIPT, _SCENE = ".defattr", ".pml", ".mvsj"


@dataclass(frozen=True)
class Coloured:
    """A structure that was written.

    Args:
        path: the copy.
        protein: the protein of the predictions.
        chain: the chain with the predictions.
        identity: identity of chain and protein.
        residues: residues of the chain, and residues with a prediction.
        unsafe: a name because of which the files for ChimeraX and PyMOL, or only for PyMOL, were not written; None if
            both were written.
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


@dataclass(frozen=True)
class ColouredStructures:
    """Structures that were written, and files that were skipped.

    Args:
        coloured: copies that were written.
        unpredicted: names of structures whose protein was not predicted.
        unreadable: names of files of a folder that are neither PDB nor mmCIF.
    """

    coloured: tuple[Coloured, ...]
    unpredicted: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """One line for each copy, and one for each kind of skipped files."""
        lines = [each.text() for each in self.coloured]
        if self.unpredicted:
            total = len(self.coloured) + len(self.unpredicted)
            names = _first_names(self.unpredicted)
            lines.append(f"structures without a predicted protein: {len(self.unpredicted)} of {total} ({names})")
        if self.unreadable:
            names = _first_names(self.unreadable)
            lines.append(f"skipped files that are neither PDB nor mmCIF: {len(self.unreadable)} ({names})")
        return lines

    def summary(self) -> dict[str, Any]:
        """Entries of summary.json."""
        return {
            "structures": [each.summary() for each in self.coloured],
            "structures_without_prediction": list(self.unpredicted),
            "skipped_structure_files": list(self.unreadable),
        }


def colour_structures(settings: PredictConfig) -> ColouredStructures:
    """Write a copy of each structure with the predictions of its protein.

    Raises:
        InputError: a structure cannot be read, or is of another protein.
    """
    files = find_structures(settings)
    coloured = {
        protein: _colour(files.by_protein[protein], predictions, settings)
        for protein, predictions in _proteins(settings.out / PREDICTIONS, set(files.by_protein))
    }
    unpredicted = [path.name for protein, path in files.by_protein.items() if protein not in coloured]
    return ColouredStructures(tuple(coloured.values()), tuple(unpredicted), files.unreadable)


def check_structures(settings: PredictConfig, proteins: Iterable[NamedSequence]) -> None:
    """Read each structure and compare it with its protein, so that a wrong structure is refused before a model runs.

    Raises:
        InputError: a structure cannot be read, or is of another protein.
        ConfigError: no structure has the name of a protein.
    """
    files = find_structures(settings).by_protein
    count = 0
    for protein in proteins:
        if protein.name in files:
            structure = read_structure(files[protein.name])
            best_chain(structure, protein.sequence, settings.chain, name=protein.name)
            count += 1
    if not count:
        raise ConfigError(f"{settings.structure}: no protein is called {_first_names(list(files))}")


def find_structures(settings: PredictConfig) -> StructureFiles:
    """Find the structure of each protein.

    Raises:
        InputError: there is no structure file where one is expected.
        ConfigError: `protein` is set for a folder of structures.
    """
    path = settings.structure
    if path is None or not path.exists():
        raise InputError(path, None, "no such file or folder")
    if path.is_file() and settings.protein is not None:
        return StructureFiles({settings.protein: path})
    if settings.protein is not None:
        raise ConfigError("protein: the files of a folder of structures have the names of their proteins")
    files = structure_files(path)
    for protein, file in files.by_protein.items():
        _check_length(file, protein)
    return files


def _first_names(names: Sequence[str]) -> str:
    """Up to five names."""
    return ", ".join(names[:5]) + (" and more" if len(names) > 5 else "")


def _check_length(path: Path, name: str) -> None:
    """Refuse a name that becomes too long with the endings of the output files."""
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
    chain, mapped = best_chain(structure, sequence, settings.chain, name=name)
    residues = structure.names[chain]
    by_ion = {each.ion: each for each in predicted}
    shown = [by_ion[settings.structure_ion]] if settings.structure_ion else predicted
    highest = np.max([each.probability for each in shown], axis=0)
    called = np.zeros(len(sequence), bool)
    for each in shown:
        called |= (each.call == 1) if each.call is not None else False
    aligned = [(residue, int(index)) for residue, index in zip(residues, mapped.places, strict=True) if index >= 0]
    target = settings.out / STRUCTURES / f"{structure_name(path)}{structure.suffix}"
    # Residues of the chain without a prediction get 0: their own B-factors would be taken for probabilities.
    values = {**dict.fromkeys(residues, 0.0), **{key: float(highest[index]) for key, index in aligned}}
    write_b_factors(target, structure, values)
    attributes = {
        f"bindtune_{ion}": {key: float(each.probability[index]) for key, index in aligned}
        for ion, each in by_ion.items()
    }
    sites = [key for key, index in aligned if called[index]]
    aligned_values = {key: values[key] for key, _ in aligned}
    title = f"{name}: {settings.structure_ion or 'highest probability of all ions'}"
    write_scene(target.with_suffix(_SCENE), target, values=aligned_values, sites=sites, title=title)
    unsafe_name = _write_scripts(target, attributes, chain=chain, sites=sites)
    return Coloured(target, name, chain, mapped.identity, (len(residues), len(aligned)), unsafe_name)


def _write_scripts(
    target: Path, attributes: Mapping[str, Mapping[ResidueName, float]], *, chain: str, sites: list[ResidueName]
) -> str | None:
    """Write the files for ChimeraX and PyMOL, and return a name that forbids one of them, or None."""
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
