"""What `accelerate launch` runs for test_distributed.py: several commands in the same processes, which start but once.

`accelerate launch --config_file fsdp.yaml tests/integration/distributed_runs.py FOLDER`, where
FOLDER/commands.json holds lists of words. A first word of "stop" stops the command by SIGTERM after its second step,
"copy" takes two paths. FOLDER/held-RANK.json tells what part of the trained parameters each process held.
"""

import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import torch
from torch.distributed.tensor import DTensor
from torch.optim.optimizer import register_optimizer_step_post_hook

from bindtune.cli import main
from bindtune.training.accelerate_state import forget_earlier_runs

RANK = os.environ["RANK"]


def share(optimizer: torch.optim.Optimizer) -> float:
    learned = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    own = sum(part.to_local().numel() if isinstance(part, DTensor) else part.numel() for part in learned)
    return own / sum(part.numel() for part in learned)


def run(words: list[str], shares: list[float]) -> str | int | None:
    stops, words = words[0] == "stop", words[words[0] == "stop" :]
    steps = 0

    def after_step(optimizer: Any, *_: Any) -> None:
        nonlocal steps
        steps += 1
        shares.append(share(optimizer))
        if stops and steps == 2 and RANK == "1":
            os.kill(os.getpid(), signal.SIGTERM)

    forget_earlier_runs()  # as in a process of its own
    hook = register_optimizer_step_post_hook(after_step)
    sys.argv = ["bindtune", *words]
    try:
        main()
    except SystemExit as end:
        return end.code
    finally:
        hook.remove()
    return 0


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    held: list[float] = []
    codes = []
    for command in json.loads((folder / "commands.json").read_text()):
        if command[0] == "copy":
            if RANK == "0":
                (shutil.copytree if Path(command[1]).is_dir() else shutil.copy)(command[1], command[2])
            torch.distributed.barrier()  # type: ignore[no-untyped-call]
        else:
            codes.append(run(command, held))
    (folder / f"held-{RANK}.json").write_text(json.dumps({"shares": sorted(set(held)), "codes": codes}))
