"""How far two right answers may lie apart: tolerances from the size of a computation, not from one machine.

Each addition is rounded by at most `UNIT` times its result. Processors add in different orders, so the signs of these
errors are as good as random, and the errors of `sums` sums of `terms` numbers each grow like the root of their number
(Higham and Mary 2019, SIAM J. Sci. Comput. 41(5), A2815). The factor 16 is four standard deviations times four, because
numbers inside a model are up to about four times as large as those that come out.
"""

import math

from torch import Tensor, nn

UNIT = 2.0**-24
"""fp32: half the distance from 1 to the next larger number."""


def slack(*, terms: int, sums: int, scale: float = 1.0) -> float:
    """The largest difference that rounding in fp32 explains.

    Args:
        terms: numbers that one sum adds.
        sums: sums that stand one after another.
        scale: the largest of the results.
    """
    return 16 * UNIT * math.sqrt(terms * sums) * scale


def of(model: nn.Module, *expected: Tensor, tokens: int = 0) -> dict[str, float]:
    """Tolerances for torch.testing.assert_close, for one encoder that is run in two ways.

    Args:
        model: has a `config`. A layer is five sums deep (projection, scores, mixture, two of the feed-forward), and a
            head two.
        *expected: its outputs, or all of its gradients; the largest number in them is the scale.
        tokens: for gradients, which also sum over so many tokens, on a way that is twice as long.
    """
    widest = max(weight.shape[-1] for weight in model.parameters() if weight.ndim == 2)
    depth = 5 * int(model.config.num_hidden_layers) + 2  # type: ignore[union-attr, arg-type]
    size = {"terms": max(widest, tokens), "sums": 2 * depth if tokens else depth}
    return {"atol": slack(**size, scale=max(float(each.detach().abs().max()) for each in expected)), "rtol": 0.0}
