"""What the command line says when the system stops a command: the file, the reason, and how to go on."""

import errno
import os
import sys

from bindtune.errors import library_text

_FULL = (errno.ENOSPC, errno.EDQUOT)
_RESUMING = {"pretrain": "--resume_from_checkpoint auto", "train": "--resume auto"}


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
    return f"{text}; make room, and go on with {resume_hint()}" if error.errno in _FULL else text
