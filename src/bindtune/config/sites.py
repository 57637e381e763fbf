"""Settings of `bindtune sites`."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from bindtune.config.settings import Count, Fraction, Settings, as_list, split_commas

_NAME = re.compile(r"[A-Za-z0-9_+]+")


class SitesConfig(Settings):
    """Labels of metal-binding residues from structures, BioLiP or UniProt."""

    structures: tuple[Path, ...] = ()
    """Structures: a file (mmCIF, BinaryCIF or PDB, plain or gzipped), a folder with all its subfolders, or a text file
    with one path in each line."""
    biolip: Path | None = None
    """BioLiP's annotation file with 21 columns, plain or gzipped."""
    uniprot: tuple[Path, ...] = ()
    """UniProtKB entries: flat text, JSON, or a table with the columns Entry, Sequence and Binding site."""
    ions: Annotated[list[str], Field(min_length=1)]
    """Ions: symbols of elements, or groups of ion_groups, separated by commas. Each gets a label file."""
    ion_groups: dict[str, list[str]] = {
        "LREE": ["LA", "CE", "PR", "ND", "PM", "SM", "EU"],
        "HREE": ["GD", "TB", "DY", "HO", "ER", "TM", "YB", "LU", "Y"],
        "REE": ["LREE", "HREE"],
    }
    """Groups of ions. The members are elements or other groups."""
    out: Path
    """Folder for ION_train.fa, sites.tsv, chains.tsv and summary.json."""
    overwrite: bool = False
    """Replace the files of an earlier run in the folder."""

    rule: Literal["distance", "biolip"] = "distance"
    """When a residue binds. distance: one of its heavy atoms lies within the cutoff of the ion. biolip: within the sum
    of the van der Waals radii plus 0.5 angstroms."""
    cutoff: Annotated[float, Field(gt=0, le=20)] = 3.0
    """With --rule distance: largest distance from the centre of the ion, in angstroms."""
    min_residues: Count = 2
    """Fewest residues that must hold an ion. Other ions are dropped and counted."""
    min_occupancy: Fraction = 0.0
    """Atoms and ions with a lower occupancy do not count."""
    assembly: str = "1"
    """Biological assembly whose chains also count as neighbours, if the file has it. none: only the deposited
    coordinates."""
    max_resolution: Annotated[float, Field(gt=0)] | None = None
    """Leave out structures with a worse resolution (in angstroms) or without a resolution."""
    methods: list[str] = []
    """Use only structures of these methods, separated by commas, such as X-RAY DIFFRACTION or ELECTRON MICROSCOPY. By
    default all methods."""
    unknown: Literal["?", "0"] = "?"
    """Label of residues without coordinates. Use 0 for tools that do not know the question mark."""
    errors: Literal["fail", "skip"] = "fail"
    """What happens with a broken file. fail: stop. skip: name it, count it and go on."""

    _split = field_validator("ions", "methods", mode="before", json_schema_input_type=str | list[str])(split_commas)

    _one_is_a_list = field_validator("structures", "uniprot", mode="before", json_schema_input_type=str | list[str])(
        as_list
    )

    @field_validator("unknown", mode="before")
    @classmethod
    def _zero_is_a_label(cls, value: Any) -> Any:
        return "0" if value == 0 and not isinstance(value, bool) else value

    @field_validator("assembly", mode="before")
    @classmethod
    def _assembly_is_a_name(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("methods")
    @classmethod
    def _upper(cls, value: list[str]) -> list[str]:
        return [method.upper() for method in value]

    @field_validator("ions")
    @classmethod
    def _distinct(cls, value: list[str]) -> list[str]:
        if len({name.lower() for name in value}) < len(value):
            raise ValueError("an ion comes twice")
        if bad := [name for name in value if not _NAME.fullmatch(name)]:
            raise ValueError(f"the name of an ion is letters, digits, _ and +, which {bad[0]!r} is not")
        return value

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        sources = [name for name in ("structures", "biolip", "uniprot") if getattr(self, name)]
        if len(sources) != 1:
            raise ValueError("give one of --structures, --biolip and --uniprot")
        if self.rule == "biolip" and "cutoff" in self.model_fields_set:
            raise ValueError("cutoff has no effect with rule biolip: leave it out")
        about_structures = ["rule", "cutoff", "min_occupancy", "assembly", "methods", "errors"]
        without = {"structures": [], "biolip": [*about_structures, "unknown"]}
        unused = without.get(sources[0], [*about_structures, "max_resolution", "min_residues"])
        if without_effect := [name for name in unused if name in self.model_fields_set]:
            raise ValueError(f"{without_effect[0]} has no effect with {sources[0]}: leave it out")
        return self
