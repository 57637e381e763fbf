"""A binding run's folder as training writes it, with generated figures: what reports are tested on.

`python tests/integration/binding_run.py FOLDER` makes one to look at.
"""

import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

LETTERS = "ACDEFGHIKLMNPQRSTVWY"
SITES = {"ZN": "CHDE", "CA": "DENGS", "MG": "DENST"}
NOTICE = "Profluent-E1 is used under the Profluent-E1 licence agreement.\nThis is a notice made up for tests."


def write_binding_run(
    folder: Path,
    *,
    proteins: int = 60,
    ions: Sequence[str] = ("ZN", "CA", "MG"),
    done: int = 5,
    folds: int = 5,
    seed: int = 3,
) -> Path:
    """Write the folder of a run in which `done` of the folds are done; it is merged if all of them are."""
    generator = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    names = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', *(f"P{n:05d}" for n in range(2, proteins))]
    fold_of = {name: 1 + index % folds for index, name in enumerate(names)}
    config = {
        "training": {"ions": [*ions, "LREE"], "epochs": 8, "num_folds": folds, "batch_size": 2, "learning_rate": 1e-4,
                     "mlm_weight": 0.4, "threshold_method": "mcc", "seed": 1},
        "lora": {"r": 16, "alpha": 32, "dropout": 0.2, "target_modules": ["q_proj", "k_proj", "v_proj"]},
        "model": {"checkpoint": "Profluent-Bio/E1-150m", "dropout": 0.3},
        "data": {"fasta_path": "proteins/{ION}_train.fasta", "msa_dir": None, "unlabelled_fasta": None},
    }  # fmt: skip
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    inputs = {f"{ion}_train": {"path": f"proteins/{ion}_train.fasta", "sha256": "ab" * 32} for ion in ions}
    origin = {"command": ["bindtune", "train", "--config", "binding.yaml"], "started": "2026-01-02T03:04:05+00:00",
              "python": "3.11.7", "platform": "Linux", "versions": {"bindtune": "0.1.0", "torch": "2.8"},
              "inputs": inputs}  # fmt: skip
    (folder / "provenance.json").write_text(json.dumps(origin))
    (folder / "NOTICE").write_text(NOTICE)
    (folder / "audit.json").write_text(json.dumps({"pairs_compared": 1770, "groups": proteins, "leaks": []}))
    _write_csv(folder / "folds.csv", [{"protein": n, "fold": f, "group": f"g{i}"}
                                      for i, (n, f) in enumerate(fold_of.items())])  # fmt: skip
    rows = _predictions(names, fold_of, ions, generator)
    history = _history(ions, folds, done, generator)
    for fold in range(1, done + 2 if done < folds else folds + 1):
        fold_path = folder / f"fold_{fold}"
        fold_path.mkdir()
        _write_csv(fold_path / "history.csv", [row for row in history if row["fold"] == fold])
        if fold <= done:
            _write_parquet(fold_path / "oof.parquet", [row for row in rows if row["fold"] == fold])
    if done == folds:
        _write_parquet(folder / "oof.parquet", rows)
        _write_csv(folder / "metrics.csv", history)
        (folder / "global_thresholds.yaml").write_text(yaml.safe_dump(_thresholds(ions, rows)))
    return folder


def _predictions(
    names: list[str], fold_of: dict[str, int], ions: Sequence[str], generator: np.random.Generator
) -> list[dict[str, Any]]:
    rows = []
    for number, name in enumerate(names):
        length = int(generator.integers(60, 420))
        sequence = "".join(generator.choice(list(LETTERS), length))
        for index, ion in enumerate(ions):
            if number >= 2 and (number + index) % 3 == 0:  # not looked for in this protein
                continue
            liked = np.isin(list(sequence), list(SITES.get(ion, "DE")))
            label = np.zeros(length, int)
            label[generator.choice(np.flatnonzero(liked), min(4, int(liked.sum())), replace=False)] = 1
            logit = generator.normal(-5.0, 1.2, length) + 1.2 * liked
            logit += label * generator.normal(5.5 - index, 2.0, length)
            rows += [
                {"protein": name, "position": position, "residue": sequence[position - 1], "ion": ion,
                 "label": int(label[position - 1]), "probability": float(1 / (1 + np.exp(-logit[position - 1]))),
                 "fold": fold_of[name]}
                for position in range(1, length + 1)
            ]  # fmt: skip
    return rows


def _history(ions: Sequence[str], folds: int, done: int, generator: np.random.Generator) -> list[dict[str, Any]]:
    rows = []
    for fold in range(1, min(done + 1, folds) + 1):
        for epoch in range(1, 9 if fold <= done else 4):
            for split in ("train", "validation"):
                for ion in (*ions, "mean"):
                    wobble = float(generator.normal(0, 0.01))
                    loss = 0.12 + 0.5 * np.exp(-epoch / 2) + wobble + (0.05 if split == "validation" else 0)
                    row: dict[str, Any] = {
                        "fold": fold,
                        "epoch": epoch,
                        "split": split,
                        "ion": ion,
                        "loss": round(loss, 5),
                        "loss_bce": round(loss / 2, 5),
                        "loss_mlm": "",
                    }
                    row["loss_mlm"] = round(2.3 + 0.3 * np.exp(-epoch / 3) + wobble, 5)
                    learned = 0.7 * (1 - np.exp(-epoch / 2.5)) + wobble - 0.01 * max(0, epoch - 6)
                    for name in ("auroc", "auprc", "hra"):
                        row[name] = round(learned + (0.2 if name == "auroc" else 0), 5) if split == "validation" else ""
                    row["base_rate"] = 0.02 if split == "validation" else ""
                    rows.append(row)  # fmt: skip
    return rows


def _thresholds(ions: Sequence[str], rows: list[dict[str, Any]]) -> dict[str, Any]:
    figures = {"f1": 0.71, "mcc": 0.7, "recall": 0.68, "precision": 0.74}
    honest = {"f1": 0.69, "mcc": 0.68, "precision": 0.72, "recall": 0.66}
    each = {"threshold": 0.25, **figures, "num_samples": len(rows), "pos_ratio": 0.02,
            "cross_fitted": honest, "methods": {"youden": 0.04, "f1": 0.25, "mcc": 0.25}}  # fmt: skip
    nothing = {"threshold": None, **dict.fromkeys(figures), "num_samples": 0, "pos_ratio": None,
               "cross_fitted": dict.fromkeys(honest), "methods": {}}  # fmt: skip
    return {
        "threshold_method": "mcc",
        "computed_from": "oof.parquet",
        "thresholds": {**dict.fromkeys(ions, each), "LREE": nothing},
    }


def _write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _write_parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    pq.write_table(pa.Table.from_pylist(rows), path)


if __name__ == "__main__":
    write_binding_run(Path(sys.argv[1]))
