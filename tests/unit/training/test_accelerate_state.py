from accelerate import Accelerator
from accelerate.state import PartialState

from bindtune.training.accelerate_state import forget_earlier_runs


def test_a_second_run_takes_its_own_precision_and_what_another_left_is_gone() -> None:
    forget_earlier_runs()
    assert Accelerator(cpu=True, mixed_precision="bf16").mixed_precision == "bf16"
    left: object = "left by sharding"
    PartialState().distributed_type = left
    forget_earlier_runs()
    second = Accelerator(cpu=True, mixed_precision="no")
    assert second.mixed_precision == "no"
    assert second.distributed_type == "NO"
    forget_earlier_runs()
