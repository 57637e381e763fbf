"""Shared fixtures: where the reference data lies, a small tokenizer, one thread and a cache of its own for each run."""

import atexit
import gc
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from transformers import PreTrainedTokenizerFast

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# The command line sets both where it writes into a log file, and libraries read them when they are imported.
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
# Read when `datasets` is imported: no test writes into the user's cache.
os.environ["HF_DATASETS_CACHE"] = tempfile.mkdtemp(prefix="bindtune-tests-")
atexit.register(shutil.rmtree, os.environ["HF_DATASETS_CACHE"], ignore_errors=True)

# A first call that imports is slow, and a busy machine too: neither is a fault.
settings.register_profile("bindtune", deadline=None)
settings.load_profile("bindtune")

SHARED = Path(os.environ.get("BINDTUNE_REFERENCE", Path(__file__).parents[1].parent / "shared"))


@pytest.fixture(autouse=True)
def full_precision() -> None:
    """Undo what a command in this process did before: numbers too small for full precision are numbers again."""
    if torch := sys.modules.get("torch"):
        torch.set_flush_denormal(False)


def pytest_collection_finish() -> None:
    """Leave what was imported out of garbage collections: each fold ends with one, which would look through it all."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The reference data (golden outputs, real peaks and proteins): beside the checkout or at BINDTUNE_REFERENCE."""
    if not SHARED.is_dir():
        message = f"reference data not found at {SHARED}; set BINDTUNE_REFERENCE to its folder"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return SHARED


@pytest.fixture
def datasets_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache for this test alone."""
    import datasets

    cache = tmp_path / "datasets-cache"
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", cache)
    return cache


@pytest.fixture
def not_forked() -> "Iterator[None]":
    """Processes are started by a server, as Python 3.14 does it, by the standard library and by that of datasets."""
    import multiprocess

    libraries: tuple[Any, ...] = (multiprocessing, multiprocess)
    before = [library.get_start_method() for library in libraries]
    for library in libraries:
        library.set_start_method("forkserver", force=True)
    yield
    for library, method in zip(libraries, before, strict=True):
        library.set_start_method(method, force=True)


@pytest.fixture(scope="session")
def tokenizer() -> "PreTrainedTokenizerFast":
    """A DNA tokenizer of DNABERT-2's kind: [UNK] to [MASK] are 0 to 4, letters 5 to 8, then 18 merges."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
    merges = [(a, b) for a in "ACGT" for b in "ACGT"] + [("AC", "GT"), ("TA", "TA")]
    words = [*special, *"ACGT", *("".join(pair) for pair in merges)]
    backend = Tokenizer(models.BPE({word: position for position, word in enumerate(words)}, merges, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    names = ("unk_token", "cls_token", "sep_token", "pad_token", "mask_token")
    return PreTrainedTokenizerFast(tokenizer_object=backend, **dict(zip(names, special, strict=True)))


@pytest.fixture(scope="session")
def make_binding_run() -> "Callable[..., Path]":
    """Writes run folders of binding-site training with random models, on a small random E1 beside them.

    Ions ZN and MN, three folds, a threshold for ZN alone; out of fold are the proteins t0 to t5 of 30 residues.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq
    import torch
    import yaml

    import tiny_e1
    from bindtune import E1ForMaskedLM, E1ForResidueClassification
    from bindtune.config import BindingConfig, build, dump
    from bindtune.models.adapters import add_lora
    from bindtune.models.binding_checkpoint import save_best

    def out_of_fold(run: Path) -> None:
        drawn = random.Random(5)
        rows = []
        for number in range(6):
            sequence = "".join(drawn.choices("ACDEFGHIKLMNPQRSTVWY", k=30))
            for ion in ("ZN", "MN"):
                for position, letter in enumerate(sequence):
                    label = int(letter in "CH" and drawn.random() < 0.7)
                    probability = min(0.999, 0.3 * drawn.random() + 0.6 * label)
                    rows.append((f"t{number}", position + 1, letter, ion, label, probability, number % 3 + 1))
        names = ("protein", "position", "residue", "ion", "label", "probability", "fold")
        pq.write_table(pa.table(dict(zip(names, zip(*rows, strict=True), strict=True))), run / "oof.parquet")

    def make(run: Path, *, lora: bool = True, bias: str = "none") -> Path:
        config = tiny_e1.config(initializer_range=0.3)
        values = {
            "data": {"fasta_path": "unused_{ION}.fa"},
            "training": {"ions": ["ZN", "MN"], "num_folds": 3, "output_dir": str(run)},
            "model": {"checkpoint": str(run.parent / "encoder")},
        }
        run.mkdir(parents=True)
        (run / "config.yaml").write_text(dump(build(BindingConfig, values)))
        with torch.random.fork_rng():
            torch.manual_seed(0)
            E1ForMaskedLM(config).save_pretrained(run.parent / "encoder")
            for fold in (1, 2, 3):
                encoder = E1ForMaskedLM.from_pretrained(run.parent / "encoder")
                targets = ["q_proj", "v_proj", "w1", "w2", "w3"]
                options = {"r": 2, "alpha": 4, "dropout": 0.1, "bias": bias}
                wrapped = add_lora(encoder, target_modules=targets, **options) if lora else encoder
                model = E1ForResidueClassification(wrapped, ["ZN", "MN"])
                with torch.no_grad():
                    for name, weight in model.named_parameters():
                        if "lora_" in name or (not lora and weight.ndim == 2):
                            weight += torch.randn(weight.shape) * 0.3
                about = {"fold": fold, "epoch": 1, "metrics": {"auprc": 0.5, "hra": 0.5}}
                save_best(run / f"fold_{fold}", model, base=str(run.parent / "encoder"), about=about)
        out_of_fold(run)
        thresholds = {"ZN": {"threshold": 0.5}, "MN": {"threshold": None}}
        (run / "global_thresholds.yaml").write_text(yaml.safe_dump({"thresholds": thresholds}))
        return run

    return make


@pytest.fixture(scope="session")
def binding_run(make_binding_run: "Callable[..., Path]", tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One such run; not to be written to."""
    return make_binding_run(tmp_path_factory.mktemp("binding") / "run")
