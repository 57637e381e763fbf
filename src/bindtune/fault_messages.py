"""What the command line says when the system stops a command: what happened, and how to go on, in one line."""

import errno
import os
import re
import resource
import sys

from bindtune.encoding import not_utf8
from bindtune.errors import BindtuneError, library_text
from bindtune.memory_errors import OutOfMemoryError, is_no_thread, is_out_of_memory, out_of_memory
from bindtune.printable import message_line

_FULL = (errno.ENOSPC, errno.EDQUOT)
_RESUMING = {"pretrain": "--resume_from_checkpoint auto", "train": "--resume auto"}
_LESS_MEMORY = {
    "pretrain": "lower --per_device_train_batch_size, --per_device_eval_batch_size, --dataloader_num_workers or "
    "--preprocessing_num_workers, or set --gradient_checkpointing",
    "train": "lower training.batch_size, training.max_batch_tokens, training.msa_sampling.max_token_length or "
    "training.num_workers, or set training.gradient_checkpointing",
    "predict": "lower --max-batch-tokens, --max-query-length or --max-token-length",
    "embed": "lower --max-batch-tokens or --max-token-length",
}
_LESS_MEMORY |= {"evaluate": _LESS_MEMORY["predict"], "score": _LESS_MEMORY["embed"]}
_LESS_MEMORY["check-lora"] = _LESS_MEMORY["train"]
"""Settings that lower the need for memory, by command."""
NO_WORKERS = {"pretrain": "--dataloader_num_workers=0", "train": "training.num_workers=0"}
"""The setting with which a command reads without processes of their own."""
_WORKER_DIED = re.compile(
    r"DataLoader worker \(pid(?:\(s\))? [\d, ]+\) (is killed by signal: [\w ]+|exited unexpectedly)"
)
_WORKER_RAISED = re.compile(r"Caught \w+ in DataLoader worker process \d+\.\n")
_FRAMES = re.compile(r"^ .*\n", re.MULTILINE)
"""Lines of a traceback; what stands after the last of them is the error."""


def fault_message(error: Exception) -> str | None:
    """What to say about an error in one line, or None where it is a bug.

    What the user can fix is said by the error itself, all else is put into words here.
    """
    if is_out_of_memory(error) and not isinstance(error, OutOfMemoryError):
        return out_of_memory(error, _less_memory())
    if isinstance(error, BindtuneError):
        return str(error)
    if isinstance(error, UnicodeEncodeError) and error.reason == "surrogates not allowed":
        return not_utf8(error.object)  # the name of a file in a folder that was given
    if is_no_thread(error):
        return _more_threads("no thread can be started")
    if (message := worker_fault(error)) or not isinstance(error, OSError):
        return message
    return message_line(system_error(error))  # a full disk, a folder that may not be written


def _command() -> str:
    return next(iter(sys.argv[1:]), "")


def _less_memory() -> str:
    return _LESS_MEMORY.get(_command(), "free some, or run the command where there is more")


def resume_hint() -> str:
    """What to give after a fault: the same command, with its option for resuming where it has one and lacks it."""
    words = [word.partition("=")[0].replace("_", "-") for word in sys.argv[1:]]
    option = _RESUMING.get(next(iter(words), ""), "")
    if not option or option.partition(" ")[0].replace("_", "-") in words:
        return "the same command"
    return f"the same command and {option}"


def system_error(error: OSError) -> str:
    """The file, and what is wrong with it, in one line."""
    if error.errno is None:
        return library_text(error)
    text = f"{os.fsdecode(error.filename)}: {error.strerror}" if error.filename else str(error.strerror)
    if error.errno in _FULL:
        return f"{text}; make room, and go on with {resume_hint()}"
    if error.errno == errno.EMFILE:
        return f"{text}: raise the limit (ulimit -n, now {resource.getrlimit(resource.RLIMIT_NOFILE)[0]})"
    if error.errno == errno.EAGAIN:
        return _more_threads(text)
    return text


def _more_threads(text: str) -> str:
    limit = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    now = "no limit" if limit == resource.RLIM_INFINITY else limit
    return f"{text}: raise the limit of processes and threads (ulimit -u, now {now}) or of memory"


def worker_fault(error: Exception) -> str | None:
    """What happened in a process that read for this one, or None where the error is about something else."""
    text = str(error)
    if death := _WORKER_DIED.search(text):
        how = death[1].replace("is killed by signal: ", "was killed by a signal: ").rstrip()
        return (
            f"a process that reads batches {how}, as the kernel does it where memory runs out (`dmesg` names it); "
            f"set {_no_workers()}, and go on with {resume_hint()}"
        )
    if "subprocesses has abruptly died during map operation" in text:
        return (
            "a process that tokenises was killed, as the kernel does it where memory runs out (`dmesg` names it); "
            "lower --preprocessing_num_workers, and give the same command again"
        )
    if _WORKER_RAISED.match(text):
        return _raised_in_worker(text.rstrip())
    return None


def _raised_in_worker(text: str) -> str | None:
    """What an error in a worker says, of which only the traceback has come here; None where it is a bug."""
    kind, _, said = _FRAMES.split(text)[-1].partition(": ")
    if kind.endswith("MemoryError") or (kind in ("RuntimeError", "OSError") and is_out_of_memory(RuntimeError(said))):
        return out_of_memory(MemoryError(), f"set {_no_workers()}, or {_less_memory()}")
    if kind.startswith("bindtune.errors."):
        return said
    if kind.endswith("Error") and (number := re.match(r"\[Errno (\d+)\] ", said)):
        return system_error(OSError(int(number[1]), said[number.end() :]))
    return None


def _no_workers() -> str:
    return NO_WORKERS.get(_command(), "num_workers=0")
