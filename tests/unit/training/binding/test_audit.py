"""The audit of a binding run: which files it takes for the test set."""

from pathlib import Path

from bindtune.config import BindingConfig, build
from bindtune.training.binding.audit import audit
from bindtune.training.binding.inputs import read_run


def test_a_folder_of_training_and_test_files_is_compared_part_by_part(tmp_path: Path) -> None:
    (tmp_path / "ZN_train.fa").write_text(">a\nMKTC\n0001\n>b\nACDC\n0001\n>c\nWWHC\n0010\n")
    (tmp_path / "ZN_test.fa").write_text(">t\nACDC\n0001\n>u\nGGGC\n0001\n")
    settings = {
        "data": {"fasta_path": str(tmp_path), "test_fasta": str(tmp_path)},
        "training": {"ions": ["ZN"], "num_folds": 2},
    }
    config = build(BindingConfig, settings)
    leaks = audit(config, read_run(config, tmp_path / "run"))
    assert leaks["warnings"] == ["training and test sets share 1 pairs of identical sequences: t"]
    assert leaks["sentences"][:2] == ["folds share 0 pairs of identical sequences", *leaks["warnings"]]
    (part,) = (part for part in leaks["test"]["parts"] if part["part"] == "test")
    assert (part["proteins"], part["identical"], part["names"]) == (2, 1, ("t",))
