"""What integration tests share: generated windows and a small model, runs of both jobs, a browser."""

import json
import os
import resource
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

import warm
from bindtune.demo.pretraining import make_windows_and_model

CHROMIUM = "/usr/bin/chromium"
# Nothing is looked up, updated or sent by the browser itself.
_BROWSER = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Training windows, validation windows and a random two-layer model with its tokenizer."""
    folder = tmp_path_factory.mktemp("generated")
    return make_windows_and_model(folder, small=True, notify=lambda _: None)


@pytest.fixture(scope="session")
def still_model(generated: tuple[Path, Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The generated model without dropout, whose draws differ between processes."""
    copy = tmp_path_factory.mktemp("still") / "model"
    shutil.copytree(generated[2], copy)
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "hidden_dropout_prob": 0.0}))
    return copy


@pytest.fixture(scope="session")
def pretraining_run(generated: tuple[Path, Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished pretraining run of eight steps; copy it before changing it."""
    from bindtune.config import PretrainConfig, build
    from bindtune.training.pretraining.run import pretrain

    train, validation, model = generated
    run = tmp_path_factory.mktemp("runs") / "pretraining"
    settings = {
        "model_name_or_path": str(model), "train_file": train, "validation_file": validation, "output_dir": run,
        "use_adaptive_masking": True, "max_steps": 8, "eval_steps": 4, "save_steps": 4, "logging_steps": 2,
        "per_device_train_batch_size": 4, "gradient_accumulation_steps": 1, "dataloader_num_workers": 0,
        "preprocessing_num_workers": 1, "max_eval_samples": 20, "report_to": "none",
    }  # fmt: skip
    pretrain(build(PretrainConfig, settings))
    return run


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., int]:
    """Runs a command line in a folder of its own, and gives its exit code."""
    from bindtune import cli

    monkeypatch.chdir(tmp_path)

    def run(*words: object) -> int:
        monkeypatch.setattr("sys.argv", ["bindtune", *map(str, words)])
        try:
            cli.main()
        except SystemExit as stop:
            return int(stop.code or 0)
        return 0

    return run


@pytest.fixture(scope="session")
def warm_python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A program that runs `python WORDS...` without the seconds of importing torch: see warm.py."""
    folder = tmp_path_factory.mktemp("warm")
    program, server = folder / "python", folder / "server"
    words = [sys.executable, "-IS", warm.__file__, str(server)]
    program.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
    program.chmod(0o755)
    with subprocess.Popen([sys.executable, warm.__file__, "--serve", server], stdin=subprocess.PIPE) as process:
        while not server.exists():
            assert process.poll() is None
            time.sleep(0.02)
        yield program
        process.communicate()


@pytest.fixture
def slurm_environment(tmp_path: Path, warm_python: Path) -> Callable[..., dict[str, str]]:
    """Makes the environment of a job: a folder of the PATH where `scontrol` writes down what it is asked."""

    def environment(name: str, **more: object) -> dict[str, str]:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        scontrol = folder / "scontrol"
        scontrol.write_text(f'#!/bin/sh\necho "$@" >> "{folder}/asked"\n')
        scontrol.chmod(0o755)
        path = f"{folder}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        fixed = {"PATH": path, "BINDTUNE": f"{warm_python} -m bindtune", "PYTHON_EXEC": str(warm_python)}
        fixed["SLURM_CPUS_PER_TASK"] = "1"
        options = {name: str(value) for name, value in more.items()}
        return {**os.environ, **fixed, "GLOO_SOCKET_IFNAME": "lo", **options}

    return environment


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures take most of the time of a small binding run."""
    from bindtune.training.binding import merge, tensorboard

    monkeypatch.setattr(tensorboard, "save_fold_plots", lambda *_, **__: None)
    monkeypatch.setattr(merge, "_draw", lambda *_: None)


@pytest.fixture
def small_disk() -> Callable[[int], AbstractContextManager[None]]:
    """A block in which files cannot grow beyond a size in bytes."""

    @contextmanager
    def limited(size: int) -> Iterator[None]:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limited


@pytest.fixture(scope="session")
def write_binding_run() -> Callable[..., Path]:
    """Writes the folder of a binding run: see binding_run.py."""
    spec = spec_from_file_location("binding_run", Path(__file__).with_name("binding_run.py"))
    if spec is None or spec.loader is None:
        raise ImportError("binding_run.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    writer: Callable[..., Path] = module.write_binding_run
    return writer


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Debian's chromium with an empty profile; skips where it is not installed, fails where CI=true."""
    if not Path(CHROMIUM).is_file():
        message = f"{CHROMIUM} is not installed (apt-get install chromium): reports are not tried in a browser"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    from playwright.sync_api import sync_playwright

    profile = tmp_path_factory.mktemp("profile")
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=CHROMIUM, headless=True, args=_BROWSER
        )
        yield context
        context.close()
    shutil.rmtree(profile, ignore_errors=True)
