"""What processes that read for a training process do with signals."""

import signal


def leave_signals(worker: int) -> None:
    """Let those that train answer a signal to all processes of a job; at their end they signal their workers again."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: signal.signal(number, signal.SIG_DFL))
