"""An interpreter that starts warm: importing torch, transformers and peft takes longer than most tests.

A server imports them once, and forks for each client. A client lends the fork its streams, folder and environment,
passes signals on and ends as the fork does; one that is killed takes its fork along. What a fork cannot show, such as
an import that is missing, is left to the tests that start interpreters of their own.
"""

import gc
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

_MESSAGE = 1 << 18
_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_READ_AT_IMPORT = ("HF_", "TRANSFORMERS_", "TOKENIZERS_", "PYTORCH_")


def ask(path: str, words: list[str]) -> None:
    """Run `python WORDS` in a fork of the server, and end as it ends."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.connect(path)

        def pass_on(number: int, _: object) -> None:
            try:
                server.send(bytes([number]))
            except OSError:  # the fork has just ended
                return

        for number in _PASSED_ON:
            signal.signal(number, pass_on)
        request = {"words": words, "folder": str(Path.cwd()), "environment": dict(os.environ)}
        socket.send_fds(server, [json.dumps(request).encode()], [0, 1, 2])
        code = int(server.recv(_MESSAGE) or b"70")
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def serve(path: str) -> None:
    """Fork for clients until standard input ends; returns in the forks, which run what was asked."""
    import select

    import_all()
    gc.collect()
    gc.freeze()  # forks look through none of it, and go on sharing its memory
    clients: dict[int, socket.socket] = {}
    woken, wakes = os.pipe()
    os.set_blocking(wakes, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakes)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(f"{path}.part")
        listener.listen(64)
        Path(f"{path}.part").rename(path)
        while True:
            ready, _, _ = select.select([0, listener, woken, *clients.values()], [], [])
            if 0 in ready:
                sys.exit()
            for process in [process for process, client in clients.items() if client in ready]:
                message = clients[process].recv(_MESSAGE)
                os.kill(process, message[0] if message else signal.SIGKILL)
                if not message:
                    clients.pop(process).close()
            if woken in ready:
                os.read(woken, 4096)
                _tell_ends(clients)
            if listener in ready:
                client, _ = listener.accept()
                request, streams, _, _ = socket.recv_fds(client, _MESSAGE, 3)
                process = os.fork()
                if not process:
                    signal.set_wakeup_fd(-1)
                    for held in (client, *clients.values()):
                        held.close()
                    for number in (woken, wakes):
                        os.close(number)
                    break
                clients[process] = client
                for stream in streams:
                    os.close(stream)
    _become(json.loads(request), streams)


def _tell_ends(clients: dict[int, socket.socket]) -> None:
    while True:
        try:
            process, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not process:
            return
        if process in clients:
            with clients.pop(process) as client:
                client.send(str(os.waitstatus_to_exitcode(status)).encode())


def import_all() -> None:
    """Import what the commands need, and check that forking is sound afterwards."""
    # A fork has no more than one of the threads that libraries start.
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    os.environ["JE_ARROW_MALLOC_CONF"] = "background_thread:false"

    import bindtune.cli
    import bindtune.demo.families
    import bindtune.demo.tiny_e1
    import bindtune.inference.evaluate
    import bindtune.inference.predict
    import bindtune.inference.score_dna
    import bindtune.inference.zero_shot
    import bindtune.preparation.windows
    import bindtune.probing.run
    import bindtune.training.binding.run
    import bindtune.training.export
    import bindtune.training.pretraining.run
    import bindtune.training.pretraining.smoke

    if (threads := len(list(Path("/proc/self/task").iterdir()))) != 1:
        raise RuntimeError(f"{threads} threads: a fork would lack all but one")


def _become(request: dict[str, Any], streams: list[int]) -> None:
    import runpy

    import torch

    os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    # Objects that were made for the server's streams would take a pipe for a file.
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    for number in _PASSED_ON:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(request["folder"])
    environment = request["environment"]
    for name in environment.keys() | os.environ.keys():
        if name.startswith(_READ_AT_IMPORT) and environment.get(name) != os.environ.get(name):
            sys.exit(f"{name} was {os.environ.get(name)} when modules were imported and is {environment.get(name)}")
    os.environ.clear()
    os.environ.update(environment)
    torch.set_num_threads(int(environment.get("OMP_NUM_THREADS", os.cpu_count() or 1)))
    for number, name in ((1, "stdout"), (2, "stderr")):  # the streams that were there before believe that they can seek
        setattr(sys, name, open(number, "w", buffering=1, encoding="utf-8", closefd=False))  # noqa: SIM115 (for all that follows)
    words = request["words"]
    if words[0] == "-u":
        sys.stdout.reconfigure(write_through=True)
        words = words[1:]
    if words[0] == "-m":
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    elif words[0] == "-":
        sys.argv = words
        exec(compile(sys.stdin.read(), "<stdin>", "exec"), {"__name__": "__main__"})  # noqa: S102
    else:
        sys.argv = words
        sys.path.insert(0, str(Path(words[0]).parent))
        runpy.run_path(words[0], run_name="__main__")


if __name__ == "__main__":
    if sys.argv[1] == "--serve":
        serve(sys.argv[2])
    else:
        ask(sys.argv[1], sys.argv[2:])
