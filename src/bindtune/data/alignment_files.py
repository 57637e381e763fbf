"""Where the alignment of each protein lies: names of files, and folders by ion."""

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from bindtune.errors import InputError
from bindtune.outputs import LONGEST_NAME

log = logging.getLogger(__name__)

ION = "{ION}"
"""Stands for an ion in the path of a file or folder."""
SUFFIXES = (".a3m", ".a3m.gz")
_ACCESSION = re.compile(r"(?:sp|tr|ref|gb|emb|dbj)\|([^|]+)\|.*")
_ODD_IN_FILES = re.compile(r"[^\w.-]")


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
        InputError: the folder is not there, or a name would lead out of it.
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
        check_file_name(name, msa_dir)
        members = dict.fromkeys(member for ion in own for member in (ion, *groups.get(ion, ())))
        folders = [*flat, *(present[ion] for ion in members if ion in present)]
        path = find_alignment(name, folders)
        if path is not None:
            paths[name] = path
    return paths, tuple(name for name in looked_for if name not in paths)


def find_alignment(name: str, folders: Iterable[Path]) -> Path | None:
    """The alignment of a protein in the first of some folders that has one; an id too long for a file has none.

    The file is named after the id, or as programs that make alignments shorten it: ``sp|P00918|CAH2_HUMAN`` finds
    ``P00918.a3m`` (MMseqs2) and ``sp_P00918_CAH2_HUMAN.a3m`` (ColabFold). The id itself comes first.
    """
    names = [f"{stem}{suffix}" for stem in _stems(name) for suffix in SUFFIXES]
    paths = (folder / each for folder in folders for each in names if len(each.encode()) <= LONGEST_NAME)
    return next((path for path in paths if path.is_file()), None)


def warn_unmatched(msa_dir: str | Path, names: Sequence[str]) -> None:
    """Say that no protein has an alignment: what was looked for, and what there is."""
    folder = Path(msa_dir)
    there = sorted(path.name for path in folder.iterdir())[:1] if folder.is_dir() else []
    held = f"; the folder holds {there[0]!r}" if there else "; the folder is empty" if folder.is_dir() else ""
    looked = " or ".join(f"{stem}.a3m" for stem in _stems(names[0]))
    log.warning(
        "%s: none of %d proteins has an alignment, all are read alone: looked for %s and the like%s",
        msa_dir, len(names), looked, held,
    )  # fmt: skip


def _stems(name: str) -> list[str]:
    """What the alignment of a protein may be called, without the suffix, the likeliest first."""
    accession = _ACCESSION.fullmatch(name)
    short = [] if accession is None else [accession[1]]
    return list(dict.fromkeys([name, *short, _ODD_IN_FILES.sub("_", name)]))


def check_file_name(name: str, msa_dir: str | Path) -> None:
    """Refuse a protein whose alignment would be looked for outside of its folder.

    Raises:
        InputError: the name has a path in it.
    """
    if "/" in name or "\\" in name or "\0" in name or name in (".", ".."):
        raise InputError(msa_dir, None, f"protein {name!r}: an id with a path in it has no alignment file")
