"""accelerate's state, which all runs of a Python process share: the one file that knows how it is forgotten.

accelerate has no public way to begin again: a second `Accelerator` refuses another precision or device than the first
had, and keeps what sharding left. transformers forgets the state in the same way before each of its own runs.
"""

from accelerate.state import AcceleratorState


def forget_earlier_runs() -> None:
    """Let the next `Accelerator` be made from its arguments and the environment alone."""
    AcceleratorState._reset_state(reset_partial_state=True)
