"""Files that `bindtune init` writes are run: with what had to be filled in, and with less to compute."""

from collections.abc import Callable
from pathlib import Path

import yaml

from bindtune.demo.families import IONS, write_families
from bindtune.demo.tiny_e1 import make_tiny_e1


def test_pretraining_from_its_file(
    generated: tuple[Path, Path, Path], tmp_path: Path, run: Callable[..., int], datasets_cache: Path
) -> None:
    train, validation, model = generated
    assert run("init", "pretrain") == 0
    filled_in = ("--train_file", train, "--validation_file", validation, "--model_name_or_path", model, "--no-fp16")
    small = ("--max_steps", 2, "--eval_steps", 2, "--save_steps", 2, "--per_device_train_batch_size", 2)
    processes = ("--dataloader_num_workers", 0, "--preprocessing_num_workers", 1, "--max_eval_samples", 4)
    assert run("pretrain", "--config", "pretrain.yaml", *filled_in, *small, *processes) == 0
    settings = yaml.safe_load((tmp_path / "models" / "dnabert2_tapt_eclip" / "config.yaml").read_text())
    assert settings["use_adaptive_masking"] is True
    assert settings["learning_rate"] == 3e-5


def test_training_from_its_file(tmp_path: Path, run: Callable[..., int], no_pictures: None) -> None:
    proteins = write_families(tmp_path / "proteins", families=6, members=2, seed=1)
    encoder = make_tiny_e1(tmp_path / "encoder", seed=1)
    assert run("init", "train") == 0
    files = ", ".join(f"{ion}: {path}" for ion, path in proteins.train.items())
    filled_in = (f"data.fasta_path={{{files}}}", f"training.ions=[{', '.join(IONS)}]", f"model.checkpoint={encoder}")
    small = ("training.num_folds=2", "training.epochs=1", "training.num_workers=0", "training.accum_steps=1")
    assert run("train", "--config", "train.yaml", *filled_in, *small) == 0
    settings = yaml.safe_load((tmp_path / "results" / "e1_binding" / "config.yaml").read_text())
    assert (settings["data"]["clusters"], settings["lora"]["r"]) == ("kmer", 16)
    assert settings["training"]["validation_msa_sampling"]["max_token_length"] == 12288


def test_windows_from_its_file(generated: tuple[Path, Path, Path], tmp_path: Path, run: Callable[..., int]) -> None:
    genome = generated[0].parents[1] / "genome"
    assert run("init", "windows") == 0
    path = tmp_path / "windows.yaml"
    settings = yaml.safe_load(path.read_text())
    filled_in = {
        "peaks": [str(genome / "peaks.bed")],
        "genome": str(genome / "genome.fa"),
        "test_chromosomes": ["chr3"],
    }
    filled_in |= {"regions": str(genome / "genes.bed"), "validation_chromosomes": ["chr2"]}
    # The generated peaks are BED, and the regions too: these four have nothing to choose by.
    without = {"genes", "gene_type", "min_enrichment", "min_p_value"}
    path.write_text(yaml.safe_dump({name: each for name, each in settings.items() if name not in without} | filled_in))
    assert run("windows", "--config", "windows.yaml") == 0
    assert sorted(each.stem for each in (tmp_path / "windows").glob("*.parquet")) == ["test", "train", "validation"]
