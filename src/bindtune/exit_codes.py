"""Run the command line, and end the process with an exit code and at most one line: faults, Ctrl-C, stop signals."""

import atexit
import mmap
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

from bindtune.encoding import refuse_other_encodings
from bindtune.errors import CheckError, Interrupted, is_panic, library_text
from bindtune.fault_messages import fault_message, resume_hint
from bindtune.printable import message_line, printable

_RESERVE = 8 << 20
"""Bytes of address space that are given back when a command fails: the line about the fault needs memory too."""


def run(command_line: Callable[[], object]) -> None:
    """Run the command line.

    Exit codes: 0 done, 1 a check failed, 2 the user can fix it, 130 interrupted, 143 stopped by SIGTERM and resumable,
    129 stopped by SIGHUP and resumable. A second Ctrl-C ends the command at once.

    Args:
        command_line: parses the arguments and runs a command.
    """
    threading.excepthook = _told_by_the_main_thread
    interrupts: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        interrupts.append(number)
        if len(interrupts) > 1:  # the first one still removes temporary files, which the next command does too
            os.write(2, f"bindtune: interrupted twice; go on with {resume_hint()}\n".encode())
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        _run(command_line)
    except BaseException as error:
        # The error may be any: typer and pydantic replace KeyboardInterrupt by their own errors.
        if not interrupts or (isinstance(error, SystemExit) and not error.code):
            raise
        sys.stderr.write(f"bindtune: interrupted; go on with {resume_hint()}\n")
        # A second Ctrl-C would be a traceback while the interpreter ends.
        atexit.register(signal.signal, signal.SIGINT, signal.SIG_DFL)
        sys.exit(130)
    finally:
        signal.signal(signal.SIGINT, before)


def _run(command_line: Callable[[], object]) -> None:
    reserve = mmap.mmap(-1, _RESERVE)  # its pages are never written, so that it takes no memory
    try:
        refuse_other_encodings(sys.argv[1:])
        command_line()
    except Interrupted as stop:
        sys.stderr.write(f"bindtune: stopped by {stop.signal.name}; go on with {message_line(str(stop))}\n")
        sys.exit(128 + stop.signal)
    except Exception as error:
        reserve.close()
        message = fault_message(error)
        if message is None:
            raise
        sys.stderr.write(f"bindtune: {printable(message)}\n")
        sys.exit(1 if isinstance(error, CheckError) else 2)
    except BaseException as error:
        if not is_panic(error):
            raise
        sys.stderr.write(f"bindtune: a library in Rust fails on an input file: {printable(library_text(error))}\n")
        sys.exit(2)


def _told_by_the_main_thread(failure: threading.ExceptHookArgs) -> None:
    """Leave out the OSError of a thread that writes curves: the main thread gets the same error."""
    if not issubclass(failure.exc_type, OSError):
        threading.__excepthook__(failure)
