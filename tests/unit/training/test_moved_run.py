"""A run that was moved, copied, or is gone on with from another folder: its files are found by their hashes."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from bindtune.config import BindingConfig, PretrainConfig, build, dump
from bindtune.errors import CheckpointError, ConfigError
from bindtune.models.run_encoder import find_encoder, lasting_name, same_encoder
from bindtune.runs.names import CONFIG, PROVENANCE
from bindtune.runs.provenance import FOLDER, provenance, refuse_other_inputs, sha256
from bindtune.training.binding.run import _logging_to
from bindtune.training.binding.run_folder import check_folder
from bindtune.training.moved_run import find_binding_files, find_pretraining_files, run_of
from bindtune.training.pretraining.run_folder import find_checkpoint


def encoder(folder: Path, weights: str = "weights", config: str = "{}") -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(config)
    (folder / "model.safetensors").write_text(weights)
    return folder


def sign(run: Path, files: dict[str, Path], *, notes_folder: bool = True) -> None:
    """Leave what a run notes of its inputs."""
    run.mkdir(parents=True, exist_ok=True)
    origin = provenance(files, [])
    if notes_folder:
        origin[FOLDER] = str(run.absolute())
    (run / PROVENANCE).write_text(json.dumps(origin))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a run in `runs/r`, on the encoder in `models/enc`; the tests are elsewhere."""
    folder = tmp_path / "project"
    model = encoder(folder / "models" / "enc")
    sign(folder / "runs" / "r", {f"base {path.name}": path for path in sorted(model.iterdir())})
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return folder


NAMES = ["models/enc", "./models/enc", "../project/models/enc", "ABSOLUTE"]


class TestEncoder:
    @pytest.mark.parametrize("name", NAMES)
    def test_where_it_was(self, project: Path, name: str) -> None:
        options = str(project / "models/enc") if name == "ABSOLUTE" else name
        assert find_encoder(project / "runs/r", options) == str(project / "models/enc")

    @pytest.mark.parametrize("name", NAMES)
    def test_moved_together_with_the_run(self, project: Path, tmp_path: Path, name: str) -> None:
        options = str(project / "models/enc") if name == "ABSOLUTE" else name
        moved = project.rename(tmp_path / "moved")
        assert find_encoder(moved / "runs/r", options) == str(moved / "models/enc")
        assert find_encoder(Path("../moved/runs/r"), options) == str(moved / "models/enc")

    @pytest.mark.parametrize("folder_name", ["copy/enc", "copy/r/enc"])
    def test_beside_the_run_and_in_it(self, project: Path, tmp_path: Path, folder_name: str) -> None:
        run = shutil.copytree(project / "runs/r", tmp_path / "copy/r")
        shutil.move(project / "models/enc", tmp_path / folder_name)
        shutil.rmtree(project)
        assert find_encoder(run, "models/enc") == str(tmp_path / folder_name)

    def test_a_run_of_an_older_version_notes_relative_paths(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        model = encoder(tmp_path / "project/models/enc")
        run = tmp_path / "project/runs/r"
        sign(run, {f"base {path.name}": path for path in sorted(model.iterdir())}, notes_folder=False)
        text = (run / PROVENANCE).read_text().replace(f"{tmp_path}/project/", "")
        (run / PROVENANCE).write_text(text)
        assert '"models/enc/config.json"' in text
        monkeypatch.chdir(tmp_path)
        assert find_encoder(run, "models/enc") == str(model)
        model.rename(tmp_path / "project/runs/enc")
        assert find_encoder(run, "models/enc") == str(tmp_path / "project/runs/enc")

    def test_hashes_decide_between_several(self, project: Path, tmp_path: Path) -> None:
        """A folder of the same name here is another encoder; the one that was copied beside the run is right."""
        other = encoder(tmp_path / "elsewhere/models/enc", "other weights")
        assert find_encoder(project / "runs/r", "models/enc") == str(project / "models/enc")
        shutil.move(project / "models/enc", project / "runs/enc")
        assert find_encoder(project / "runs/r", "models/enc") == str(project / "runs/enc")
        shutil.rmtree(project / "runs/enc")
        with pytest.raises(CheckpointError, match=rf"{other}: not the encoder that .* model.safetensors changed"):
            find_encoder(project / "runs/r", "models/enc")

    def test_one_that_changed_where_it_was_is_named(self, project: Path) -> None:
        (project / "models/enc/config.json").write_text('{"rope": 99}')
        with pytest.raises(CheckpointError, match=r"trained on: config\.json changed since"):
            find_encoder(project / "runs/r", "models/enc")

    def test_the_message_says_where_it_was_looked_for(self, project: Path, tmp_path: Path) -> None:
        shutil.rmtree(project / "models")
        run = project.rename(tmp_path / "moved") / "runs/r"
        with pytest.raises(CheckpointError) as failure:
            find_encoder(run, "models/enc")
        for path in (project / "models/enc", tmp_path / "moved/models/enc", run / "enc", run.parent / "enc"):
            assert str(path) in str(failure.value)
        assert "--base-model" in str(failure.value)
        assert "\n" not in str(failure.value)

    def test_the_users_word(self, project: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        same = encoder(tmp_path / "same")
        assert find_encoder(project / "runs/r", "models/enc", base_model=str(same)) == str(same)
        assert not caplog.messages
        (same / "config.json").write_text('{"saved by": "another version"}')
        assert find_encoder(project / "runs/r", "models/enc", base_model=str(same)) == str(same)
        assert "its config.json is not the one that" in caplog.text
        (same / "model.safetensors").write_text("other")
        with pytest.raises(CheckpointError, match=r"same: not the base model of .*model.safetensors"):
            find_encoder(project / "runs/r", "models/enc", base_model=str(same))

    def test_a_hub_model_keeps_its_name(self, tmp_path: Path) -> None:
        cached = encoder(tmp_path / "models--a--enc/snapshots/1")
        sign(tmp_path / "run", {"base config.json": cached / "config.json"})
        shutil.rmtree(cached)
        assert find_encoder(tmp_path / "run", "a/enc") == "a/enc"
        beside = encoder(tmp_path / "enc")
        assert find_encoder(tmp_path / "run", "a/enc") == str(beside)  # a machine without a network

    def test_names(self, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(project)
        assert lasting_name("models/enc") == str(project / "models/enc")
        assert lasting_name("a/enc") == "a/enc"
        assert same_encoder("models/enc", str(project / "models/enc"))
        shutil.copytree(project / "models/enc", project / "copy")
        assert same_encoder("models/enc", "copy")
        (project / "copy/model.safetensors").write_text("other")
        assert not same_encoder("models/enc", "copy")
        assert not same_encoder("models/enc", "nothing")


class TestSettings:
    def test_of_a_binding_run(self, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        run, model = project / "runs/r", project / "models/enc"
        for name in ("ZN_train.fa", "more.fa", "groups.csv"):
            (project / name).write_text(f">{name}\n")
        (project / "msa").mkdir()
        named = {"labels of ZN": "ZN_train.fa", "unlabelled proteins": "more.fa", "clusters": "groups.csv"}
        sign(run, {name: project / path for name, path in named.items()}
             | {f"base {path.name}": path for path in sorted(model.iterdir())})  # fmt: skip
        text = (
            (run / PROVENANCE)
            .read_text()
            .replace('"inputs": {', f'"inputs": {{"alignments": {{"path": "{project}/msa", "sha256": "x"}},')
        )
        (run / PROVENANCE).write_text(text)
        data = {"fasta_path": "{ION}_train.fa", "unlabelled_fasta": "more.fa", "clusters": "groups.csv",
                "msa_dir": "msa"}  # fmt: skip
        values = {
            "data": data,
            "training": {"ions": ["ZN"], "output_dir": "runs/r"},
            "model": {"checkpoint": "models/enc"},
        }
        config = build(BindingConfig, values)
        monkeypatch.chdir(project)
        assert find_binding_files(config, run) == config  # nothing moved: nothing changes
        monkeypatch.chdir(tmp_path / "elsewhere")
        (tmp_path / "elsewhere/more.fa").write_text(">another file of the same name\n")
        moved = project.rename(tmp_path / "moved")
        now = find_binding_files(config, moved / "runs/r")
        assert now.data.fasta_path == {"ZN": str(moved / "ZN_train.fa")}
        assert (now.data.unlabelled_fasta, now.data.clusters) == (moved / "more.fa", str(moved / "groups.csv"))
        assert (now.data.msa_dir, now.model.checkpoint) == (str(moved / "msa"), str(moved / "models/enc"))
        assert now.training.output_dir == moved / "runs/r"

    def test_of_a_pretraining_run(self, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        run, model = project / "runs/r", project / "models/enc"
        (project / "w.jsonl").write_text("{}")
        sign(run, {"train_file": project / "w.jsonl"} | {f"base {path.name}": path for path in sorted(model.iterdir())})
        config = build(
            PretrainConfig, {"train_file": "w.jsonl", "output_dir": "runs/r", "model_name_or_path": "models/enc"}
        )
        monkeypatch.chdir(project)
        assert find_pretraining_files(config, run) == config
        monkeypatch.chdir(tmp_path / "elsewhere")
        now = find_pretraining_files(config, run)
        assert (now.train_file, now.output_dir) == (project / "w.jsonl", run)
        assert now.model_name_or_path == str(model)

    def test_own_settings_are_told_from_others(self, project: Path) -> None:
        run = project / "runs/r"
        (run / CONFIG).touch()
        assert run_of(run / CONFIG) == run
        assert run_of(project / "config.yaml") is None
        assert run_of(None) is None


class TestResume:
    """Another spelling or place of the same file is no change; another content at the same place is one."""

    @pytest.fixture
    def begun(self, project: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
        monkeypatch.chdir(project)
        for name in ("w.jsonl", "v.jsonl"):
            Path(name).write_text(f"{name}\n")
        values = {"train_file": "w.jsonl", "validation_file": "v.jsonl", "output_dir": "runs/r",
                  "model_name_or_path": "models/enc", "resume_from_checkpoint": "auto"}  # fmt: skip
        run, config = Path("runs/r"), build(PretrainConfig, values)
        files = {"train_file": config.train_file, "validation_file": Path("v.jsonl")}
        sign(run, files | {f"base {path.name}": path for path in sorted(Path("models/enc").iterdir())})
        (run / "config.yaml").write_text(dump(config))
        (run / "checkpoint-2").mkdir()
        (run / "checkpoint-2/model.safetensors").touch()
        (run / "checkpoint-2/trainer_state.json").write_text('{"global_step": 2}')
        return values

    @pytest.mark.parametrize("spelling", ["./w.jsonl", "ABSOLUTE", "models/../w.jsonl", "link.jsonl", "moved/x.jsonl"])
    def test_another_spelling_or_place(self, project: Path, begun: dict[str, str], spelling: str) -> None:
        Path("link.jsonl").symlink_to("w.jsonl")
        Path("moved").mkdir()
        shutil.copy("w.jsonl", "moved/x.jsonl")
        path = str(project / "w.jsonl") if spelling == "ABSOLUTE" else spelling
        shutil.copytree("models/enc", "enc2")
        config = build(PretrainConfig, {**begun, "train_file": path, "model_name_or_path": "./enc2"})
        assert find_checkpoint(config) == Path("runs/r/checkpoint-2")

    def test_another_content(self, begun: dict[str, str]) -> None:
        Path("w.jsonl").write_text("changed\n")
        with pytest.raises(ConfigError, match=r"began with: train_file has another content, /.*/w.jsonl$"):
            find_checkpoint(build(PretrainConfig, begun))

    def test_an_input_that_is_left_out(self, begun: dict[str, str]) -> None:
        left_out = {name: value for name, value in begun.items() if name != "validation_file"}
        with pytest.raises(ConfigError, match=r"began with: validation_file is missing$"):
            find_checkpoint(build(PretrainConfig, left_out))

    def test_without_hashes_the_spelling_decides(self, begun: dict[str, str]) -> None:
        Path("runs/r", PROVENANCE).unlink()
        with pytest.raises(ConfigError, match=r"train_file was 'w.jsonl' and is now './w.jsonl'|now 'x"):
            find_checkpoint(build(PretrainConfig, {**begun, "train_file": "x.jsonl"}))

    def test_the_names_of_inputs_that_are_compared(self, project: Path) -> None:
        origin = {"inputs": {"base config.json": {"sha256": "another"}}}
        refuse_other_inputs(project / "runs/r" / PROVENANCE, origin, names={"train_file"})
        with pytest.raises(
            ConfigError, match=r"base config.json has another content; base model.safetensors is missing"
        ):
            refuse_other_inputs(project / "runs/r" / PROVENANCE, origin)


class TestBindingFolder:
    """`train --resume`: what is compared by its hash, and what by its value."""

    @pytest.fixture
    def begun(self, project: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
        monkeypatch.chdir(project)
        values: dict[str, dict[str, Any]] = {
            "data": {"fasta_path": "{ION}.fa", "unlabelled_fasta": "more.fa", "clusters": "groups.csv",
                     "msa_dir": "msa", "folds": "folds.csv", "test_fasta": "test"},
            "training": {"ions": ["ZN"], "output_dir": "runs/r"},
            "model": {"checkpoint": "models/enc"},
        }  # fmt: skip
        for name in ("ZN.fa", "more.fa", "groups.csv", "folds.csv"):
            Path(name).touch()
        named = {"labels of ZN": "ZN.fa", "unlabelled proteins": "more.fa", "clusters": "groups.csv",
                 "folds": "folds.csv", "base config.json": "models/enc/config.json", "alignments": "ZN.fa"}  # fmt: skip
        run = Path("runs/r")
        sign(run, {name: Path(path) for name, path in named.items()})
        (run / CONFIG).write_text(dump(build(BindingConfig, values)))
        (run / "fold_1").mkdir()
        (run / "fold_1/state.pt").touch()
        return values

    @pytest.mark.parametrize(
        ("section", "name", "value"),
        [
            ("data", "fasta_path", "./{ION}.fa"),
            ("data", "fasta_path", {"ZN": "/a/ZN.fa"}),
            ("data", "unlabelled_fasta", "/a/more.fa"),
            ("data", "clusters", "./groups.csv"),
            ("data", "msa_dir", "../msa"),
            ("data", "folds", "/a/folds.csv"),
            ("data", "test_fasta", "./test"),
            ("model", "checkpoint", "./models/enc"),
        ],
    )
    def test_files_are_left_to_their_hashes(
        self, begun: dict[str, dict[str, Any]], section: str, name: str, value: Any
    ) -> None:
        begun[section][name] = value
        check_folder(build(BindingConfig, begun), Path("runs/r"), fold=None, resumed=True)

    def test_values_are_compared(self, begun: dict[str, dict[str, Any]]) -> None:
        begun["data"]["clusters"] = "kmer"
        begun["training"]["epochs"] = 3
        with pytest.raises(
            ConfigError, match=r"data.clusters was 'groups.csv' and is now 'kmer'; training.epochs was 30"
        ):
            check_folder(build(BindingConfig, begun), Path("runs/r"), fold=None, resumed=True)

    def test_a_link_in_place_of_the_log_is_not_written_to(self, begun: dict[str, dict[str, Any]]) -> None:
        Path("precious").write_text("as it was")
        Path("runs/r/training.log").symlink_to(Path("precious").absolute())
        with pytest.raises(ConfigError, match=r"training\.log is a symbolic link, expected a file that bindtune makes"):
            check_folder(build(BindingConfig, begun), Path("runs/r"), fold=None, resumed=True)
        with pytest.raises(ConfigError, match="is a symbolic link"), _logging_to(Path("runs/r/training.log")):
            raise AssertionError
        assert Path("precious").read_text() == "as it was"
        with _logging_to(Path("log")) as note:
            note("one")
        with _logging_to(Path("log")) as note:
            note("two")
        assert [line.split()[-1] for line in Path("log").read_text().splitlines()] == ["one", "two"]

    def test_without_hashes_the_spelling_decides(self, begun: dict[str, dict[str, Any]]) -> None:
        Path("runs/r", PROVENANCE).unlink()
        begun["data"]["folds"] = "./x.csv"
        with pytest.raises(ConfigError, match=r"data.folds was 'folds.csv' and is now 'x.csv'"):
            check_folder(build(BindingConfig, begun), Path("runs/r"), fold=None, resumed=True)


def test_a_file_is_hashed_once_and_again_when_it_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, hashed = tmp_path / "large", list[str]()
    path.write_text("one")
    digest = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda *arguments: hashed.append("read") or digest(*arguments))
    first = sha256(path)
    (tmp_path / "link").symlink_to(path)
    assert [sha256(path), sha256(tmp_path / "link"), len(hashed)] == [first, first, 1]
    path.write_text("two")
    assert sha256(path) != first
    assert len(hashed) == 2
