"""Files that were made to do harm: run code, leave their folder, fill the memory, or put markup into a page."""

import json
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bindtune.errors import BindtuneError, library_text
from corpus.models import packed_heads
from corpus.readers import READERS
from corpus.valid import E1_CONFIG, tokenizer

ROOT = Path(__file__).parents[2]


class Payload:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """The file that a payload would write; that it does so when unpickled is seen first."""
    path = tmp_path / "executed"
    pickle.loads(pickle.dumps(Payload(path)))  # noqa: S301 (the payload works)
    assert path.exists()
    path.unlink()
    return path


def _as_zip(payload: Payload) -> bytes:
    import io

    import torch

    sink = io.BytesIO()
    torch.save({"classifier_heads": {}, "x": payload}, sink)
    return sink.getvalue()


def _as_pickle(payload: Payload) -> bytes:
    return pickle.dumps({"x": payload}, protocol=2)


def _heads(folder: Path, content: bytes) -> Any:
    from bindtune.models.binding_checkpoint import read_heads

    (folder / "h.pt").write_bytes(content)
    return read_heads(folder / "h.pt")


def _state(folder: Path, content: bytes) -> Any:
    from bindtune.runs.names import FOLD_STATE
    from bindtune.training.binding.fold_files import read_state

    (folder / FOLD_STATE).write_bytes(content)
    return read_state(folder)


def _encoder(folder: Path, content: bytes) -> Any:
    from bindtune.models.backbones import load_encoder

    (folder / "config.json").write_text(json.dumps(E1_CONFIG))
    (folder / "pytorch_model.bin").write_bytes(content)
    return load_encoder(str(folder))


def _masked_lm(folder: Path, content: bytes) -> Any:
    from bindtune.models.loading import load_masked_lm

    config = {"model_type": "bert", "hidden_size": 8, "num_attention_heads": 1, "num_hidden_layers": 1,
              "intermediate_size": 8, "vocab_size": 9}  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "pytorch_model.bin").write_bytes(content)
    return load_masked_lm(str(folder))


@pytest.mark.parametrize("form", [_as_zip, _as_pickle])
@pytest.mark.parametrize("load", [_heads, _state, _encoder, _masked_lm])
def test_no_pickle_is_executed(
    tmp_path: Path, mark: Path, load: Callable[[Path, bytes], Any], form: Callable[[Payload], bytes]
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    with pytest.raises(BindtuneError, match=re.escape(str(folder))) as caught:
        load(folder, form(Payload(mark)))
    assert not mark.exists()
    # torch and transformers say how to run it nevertheless.
    assert not re.search("weights_only|safe_globals|trust|torch.load|documentation", str(caught.value))


def test_no_code_of_a_folder_is_run(tmp_path: Path, mark: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(*_: object) -> str:
        raise AssertionError("somebody was asked whether to run code")

    monkeypatch.setattr("builtins.input", answer)
    (tmp_path / "evil.py").write_text(f"open({str(mark)!r}, 'w')\nclass Evil: pass\n")
    (tmp_path / "tokenizer.json").write_bytes(tokenizer())
    hostile_config = {"tokenizer_class": "Evil", "auto_map": {"AutoTokenizer": ["evil.Evil", "evil.Evil"]}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(hostile_config))
    config = {"model_type": "evil", "auto_map": {"AutoConfig": "evil.Evil", "AutoModelForMaskedLM": "evil.Evil"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    from bindtune.data.dna.tokens import load_tokenizer
    from bindtune.models.backbones import load_encoder
    from bindtune.models.loading import load_masked_lm

    for load in (load_tokenizer, load_masked_lm, load_encoder):
        with pytest.raises(BindtuneError, match=re.escape(str(tmp_path))) as caught:
            load(str(tmp_path))
        assert "trust_remote_code" not in str(caught.value)
    assert not mark.exists()


def test_nothing_in_the_package_unpickles() -> None:
    loads = re.compile(
        r"np\.load\((?![^\n]*allow_pickle=False)|pickle\.loads?\(|allow_pickle=True|trust_remote_code=True|yaml\.(unsafe_|full_)?load\("
    )
    code = {path: path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py")}
    assert len(code) > 100
    assert [str(path) for path, text in code.items() if loads.search(text)] == []
    torch_loads = [text for text in code.values() if "torch.load(" in re.sub(r"`.*?`", "", text)]
    assert torch_loads
    assert all("weights_only=True" in text for text in torch_loads)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Cannot load file containing pickled data when allow_pickle=False", "ValueError"),
        ("It is cut off. Re-run with `weights_only` set to `False`. Do it only if you trust it.", "It is cut off."),
        ("a has custom code.\nPlease pass `trust_remote_code=True`.\nThen it works.", "a has custom code."),
        ("sizes differ; use ignore_mismatched_sizes=True", "ValueError"),
        ("bad\n  header\t5", "bad header 5"),
        ("x" * 1000, "x" * 200),
        ("", "ValueError"),
    ],
)
def test_advice_that_does_harm_is_not_passed_on(text: str, shown: str) -> None:
    assert library_text(ValueError(text)) == shown


def test_the_package_words_texts_of_libraries_in_one_place() -> None:
    code = {path: path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py")}
    assert [path.name for path, text in code.items() if "str(error).split()" in text] == []


def test_endless_lines_take_little_memory() -> None:
    # Readers stop at the same place however much follows; the script's own default is 1 GB.
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "endless_files.py"), "--megabytes", "18", "--most", "150"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == 27


def test_a_packed_file_of_weights_is_not_unpacked(tmp_path: Path) -> None:
    import tracemalloc

    path = tmp_path / "h.pt"
    path.write_bytes(packed_heads())
    assert path.stat().st_size < 200_000
    tracemalloc.start()
    with pytest.raises(BindtuneError, match="its parts are packed, and have 67,"):
        READERS["heads"].read(path)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 10e6


@pytest.mark.parametrize("name", ["../secret", "a/b", "..", ".", "a\\b", "/etc/passwd"])
def test_an_id_leads_to_no_alignment_elsewhere(tmp_path: Path, name: str) -> None:
    from bindtune.data.protein.input_files import alignment_files
    from bindtune.inference.zero_shot import _alignment

    folder = tmp_path / "alignments"
    folder.mkdir()
    (tmp_path / "secret.a3m").write_text(">q\nMK\n")
    assert alignment_files(folder, looked_for={name: ["ZN"]}, groups={}) == ({}, (name,))
    assert _alignment(folder, name) is None


def test_outputs_stay_in_their_folder_whatever_ids_say(
    tmp_path: Path, binding_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow.parquet as pq

    from bindtune.config import PredictConfig, build
    from bindtune.inference.predict import predict

    folder = tmp_path / "deep" / "er"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    names = ["../../up", "/root", "..", "<script>alert(1)</script>"]
    (folder / "p.fa").write_text("".join(f">{name}\nMKTAYIAKQRHC\n" for name in names))
    predict(
        build(PredictConfig, {"run": binding_run, "fasta": folder / "p.fa", "out": folder / "out", "device": "cpu"})
    )
    paths = {path.relative_to(tmp_path).parts[:3] for path in tmp_path.rglob("*") if path.is_file()}
    assert paths == {("deep", "er", "p.fa"), ("deep", "er", "out")}
    table = pq.read_table(folder / "out" / "predictions.parquet")
    assert table["protein"].unique().to_pylist() == names


def test_names_are_escaped_in_a_report(tmp_path: Path) -> None:
    sys.path.insert(0, str(ROOT / "tests" / "integration"))
    try:
        from binding_run import write_binding_run
    finally:
        sys.path.pop(0)
    from bindtune.reports.report import write_report

    run = write_binding_run(tmp_path / "run", proteins=8, ions=("<img src=x onerror=alert(2)>",), done=2, folds=2)
    write_report(run, None)
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(2)&gt;" in page
