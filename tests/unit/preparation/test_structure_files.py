"""Which files of a folder are structures."""

from pathlib import Path

from bindtune.preparation.structures import structure_files


def test_folders_behind_links_are_read_once_and_broken_links_are_named(tmp_path: Path) -> None:
    folder, other = tmp_path / "pdb", tmp_path / "other"
    for each in (folder / "ab", other):
        each.mkdir(parents=True)
    for path in (folder / "1abc.pdb", folder / "ab/2abc.CIF.GZ", other / "3abc.bcif", folder / "notes.txt"):
        path.write_text("")
    (folder / ".4abc.cif").write_text("")
    (folder / "linked").symlink_to(other)
    (folder / "again").symlink_to(other)
    (folder / "ab/back").symlink_to(folder)
    (folder / "5abc.cif").symlink_to(tmp_path / "missing.cif")
    files, others = structure_files([folder])
    assert [path.name for path in files] == ["1abc.pdb", "5abc.cif", "2abc.CIF.GZ", "3abc.bcif"]
    assert others == 1
