"""Find the label file of each ion and the alignment of each protein: paths with {ION}, folders, names of files."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from bindtune.errors import InputError
from bindtune.io.a3m import read_a3m
from bindtune.outputs import LONGEST_NAME

ION = "{ION}"
"""Stands for an ion in the path of a file or folder."""
SUFFIXES = (".a3m", ".a3m.gz", ".a2m", ".a2m.gz")
"""What the names of alignments end in, the likeliest first."""
_LABEL_SUFFIXES = (".fasta", ".fa", ".fasta.gz", ".fa.gz")
_STOCKHOLM = (".sto", ".stk", ".stockholm")
_ACCESSION = re.compile(r"(?:sp|tr|ref|gb|emb|dbj)\|([^|]+)\|.*")
_ODD_IN_FILES = re.compile(r"[^\w.-]")
_NOT_IN_FILES = re.compile(r"[/\\%\0]")
_NOT_IN_FOLDERS = re.compile(r"[/\\\0]")
_LONGEST_STEM = LONGEST_NAME - max(map(len, SUFFIXES))


def label_files(
    fasta_path: str | Path | Mapping[str, str],
    *,
    ions: Sequence[str],
    groups: Mapping[str, Sequence[str]],
    part: Literal["train", "test"] = "train",
    partly: bool = False,
) -> dict[str, Path]:
    """Find the labelled file of each ion, and of the members of each group ion.

    A group needs the files of all its members, or one of its own and none of theirs: half of them are half its sites.

    Args:
        fasta_path: a path that holds `{ION}`; a folder that holds `<ION>_<part>.fasta` or `.fa`, gzipped or not; a
            mapping from ion to path; or, for one ion alone, its file.
        ions: the ions that are wanted.
        groups: group ion -> its members.
        part: what the files of a folder are called after.
        partly: one ion with a file is enough; those without are left out.

    Returns:
        ion or member -> file, for those that have one.

    Raises:
        InputError: an ion has no file and no member with one, or has two; or a group has some of its members' files
            and not all. Says what was looked for.
    """
    candidates = {
        ion: _label_candidates(fasta_path, ion=ion, ions=ions, part=part)
        for ion in dict.fromkeys(name for ion in ions for name in (ion, *groups.get(ion, ())))
    }
    files: dict[str, Path] = {}
    for ion, paths in candidates.items():
        existing = [path for path in paths if path.is_file()]
        if len(existing) > 1:
            raise InputError(existing[0], None, f"there is {existing[1].name} as well, expected one file for ion {ion}")
        if existing:
            files[ion] = existing[0]
        elif isinstance(fasta_path, Mapping) and paths:
            raise InputError(paths[0], None, f"no such file; it is given as the labels of ion {ion}")
    missing = [ion for ion in ions if not label_sources(ion, files=files, groups=groups)]
    if missing and not (partly and len(missing) < len(ions)):
        looked = _looked_for((missing[0], *groups.get(missing[0], ())), candidates)
        raise InputError(None, None, f"ion {missing[0]}: no labelled file; looked for {looked}")
    for ion in ions:
        _check_members(ion, groups.get(ion, ()), files=files, candidates=candidates)
    return files


def label_sources(ion: str, *, files: Mapping[str, Path], groups: Mapping[str, Sequence[str]]) -> list[str]:
    """The ion and its members, those that have a file."""
    return [name for name in dict.fromkeys((ion, *groups.get(ion, ()))) if name in files]


def alignment_files(
    msa_dir: str | Path | None, *, looked_for: Mapping[str, Sequence[str]], groups: Mapping[str, Sequence[str]]
) -> tuple[dict[str, Path], tuple[str, ...]]:
    """Find the alignment of each protein.

    Args:
        msa_dir: a folder of alignments, named as `find_alignment` has them, or of folders with the names of ions that
            hold them; or a path with `{ION}` that stands for such folders. None where there are no alignments.
        looked_for: protein -> ions whose folders may hold its alignment (`Proteins.looked_for`).
        groups: group ion -> its members, whose folders count for the group.

    Returns:
        The alignments by protein, and the proteins that have none.

    Raises:
        InputError: the folder is not there, or a protein has several alignments.
    """
    if msa_dir is None:
        return {}, tuple(looked_for)
    ions = dict.fromkeys(name for own in looked_for.values() for ion in own for name in (ion, *groups.get(ion, ())))
    pattern = str(msa_dir)
    nested = {ion: Path(pattern.replace(ION, ion)) if ION in pattern else Path(pattern) / ion for ion in ions}
    present = {ion: folder for ion, folder in nested.items() if folder.is_dir()}
    flat = [] if ION in pattern else [Path(pattern)]
    if not present and not any(folder.is_dir() for folder in flat):
        looked = "" if flat else f"; looked for {', '.join(map(str, nested.values()))}"
        raise InputError(msa_dir, None, f"is no folder{looked}")
    paths: dict[str, Path] = {}
    for name, own in looked_for.items():
        members = dict.fromkeys(member for ion in own for member in (ion, *groups.get(ion, ())))
        folders = [*flat, *(present[ion] for ion in members if ion in present)]
        path = find_alignment(name, folders)
        if path is not None:
            paths[name] = path
    return paths, tuple(name for name in looked_for if name not in paths)


def find_alignment(name: str, folders: Iterable[Path]) -> Path | None:
    """The alignment of a protein in the first of some folders that has one.

    The file is named after the id (`alignment_stem`), or as programs that make alignments shorten it:
    ``sp|P00918|CAH2_HUMAN`` finds ``P00918.a3m`` (MMseqs2) and ``sp_P00918_CAH2_HUMAN.a3m`` (ColabFold). The id itself
    comes first. A folder with such a name may hold the alignment too, whatever the file is called there.

    Raises:
        InputError: the folder of the protein holds several alignments.
    """
    stems = _stems(name)
    for folder in folders:
        for stem in stems:
            for suffix in SUFFIXES:
                path = folder / f"{stem}{suffix}"
                if len(path.name.encode()) <= LONGEST_NAME and path.is_file():
                    return path
        for stem in stems:
            own = folder / stem
            alone = _alignment_within(own) if len(own.name.encode()) <= LONGEST_NAME and own.is_dir() else None
            if alone is not None:
                return alone
    return None


def alignment_name(path: Path) -> str | None:
    """The id that the name of an alignment stands for, None where it is not named as one."""
    suffix = next((suffix for suffix in SUFFIXES if path.name.endswith(suffix)), None)
    return None if suffix is None else path.name.removesuffix(suffix)


def _first_name(path: Path) -> str | None:
    """The name of the first row of an alignment, None where there is none."""
    if alignment_name(path) is None or not path.is_file():
        return None
    try:
        words = next(read_a3m(path)).name.split()
    except InputError:
        return None
    return words[0] if words else None


def _alignment_within(folder: Path) -> Path | None:
    paths = sorted(path for path in folder.iterdir() if alignment_name(path) is not None and path.is_file())
    if len(paths) > 1:
        names = ", ".join(path.name for path in paths[:3])
        raise InputError(folder, None, f"holds {len(paths)} alignments of one protein, expected one: {names}")
    return paths[0] if paths else None


def unmatched(msa_dir: str | Path, names: Sequence[str]) -> str:
    """Say that no protein has an alignment: what was looked for, and what there is."""
    folder = Path(msa_dir)
    present = sorted(folder.iterdir()) if folder.is_dir() else []
    first = next((path for path in present if alignment_name(path) is not None), present[0] if present else None)
    held = f"; the folder holds {first.name!r}" if first else "; the folder is empty" if folder.is_dir() else ""
    if first is not None and first.suffix in _STOCKHOLM:
        held += ": Stockholm is not read, write it as A2M (esl-reformat a2m)"
    query = None if first is None else _first_name(first)
    if query is not None and any(query in _stems(name) for name in names):
        held += f", which begins with {query!r}: name files after their proteins"
    looked = " or ".join(f"{stem}{SUFFIXES[0]}" for stem in _stems(names[0]))
    return (
        f"{msa_dir}: none of {len(names)} proteins has an alignment, all are read alone: looked for {looked} and the "
        f"like{held}"
    )


def alignment_stem(name: str) -> str:
    """What the alignment of a protein is called, without the suffix: its id, with escapes for what files cannot have.

    ``/``, backslash, ``%`` and NUL are written as in addresses (``%2F``). An id that is too long for a file is cut and
    gets a hash.

    Examples:
        >>> alignment_stem("sp|P00918|CAH2_HUMAN"), alignment_stem("a/b"), alignment_stem("..")
        ('sp|P00918|CAH2_HUMAN', 'a%2Fb', '%2E%2E')
    """
    escaped = _NOT_IN_FILES.sub(lambda match: f"%{ord(match[0]):02X}", name)
    if escaped.strip(".") == "":
        escaped = escaped.replace(".", "%2E")
    content = escaped.encode()
    if len(content) <= _LONGEST_STEM:
        return escaped
    digest = hashlib.sha256(content).hexdigest()[:16]
    return f"{content[: _LONGEST_STEM - 17].decode(errors='ignore')}-{digest}"


def _stems(name: str) -> list[str]:
    """What the alignment of a protein may be called, without the suffix, the likeliest first."""
    accession = _ACCESSION.fullmatch(name)
    short = [] if accession is None else [accession[1]]
    stems = dict.fromkeys([alignment_stem(name), name, *short, _ODD_IN_FILES.sub("_", name)])
    return [stem for stem in stems if not _NOT_IN_FOLDERS.search(stem) and stem.strip(".")]


def _check_members(
    ion: str, members: Sequence[str], *, files: Mapping[str, Path], candidates: Mapping[str, list[Path]]
) -> None:
    """Refuse a group of which some members have a file and others have none."""
    there = [member for member in members if member in files and member != ion]
    absent = [member for member in members if member not in files and member != ion]
    if there and absent:
        existing = ", ".join(str(files[member]) for member in there)
        looked = _looked_for(absent, candidates)
        raise InputError(
            None,
            None,
            f"ion {ion}: no labelled file of its member {' and '.join(absent)}; looked for {looked}; found {existing}, "
            f"expected the files of all members, or one of {ion} and none of theirs",
        )


def _looked_for(names: Sequence[str], candidates: Mapping[str, list[Path]]) -> str:
    return ", ".join(str(path) for name in names for path in candidates[name]) or "its name in the mapping"


def _label_candidates(
    fasta_path: str | Path | Mapping[str, str], *, ion: str, ions: Sequence[str], part: str
) -> list[Path]:
    """Where an ion's labels may lie."""
    if isinstance(fasta_path, Mapping):
        return [Path(fasta_path[ion])] if ion in fasta_path else []
    text = str(fasta_path)
    if ION in text:
        return [Path(text.replace(ION, ion))]
    folder = Path(text)
    if folder.is_file():
        if len(ions) > 1:
            raise InputError(
                folder,
                None,
                f"is one file for {len(ions)} ions, expected {ION} in its name, a folder, or one ion (--ions or "
                "training.ions)",
            )
        return [folder] if ion == ions[0] else []
    if not folder.is_dir():
        raise InputError(folder, None, "is no file and no folder")
    return [folder / f"{ion}_{part}{suffix}" for suffix in _LABEL_SUFFIXES]
