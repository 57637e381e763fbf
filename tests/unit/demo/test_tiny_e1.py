"""The small random model."""

from pathlib import Path

import torch

from bindtune.demo.tiny_e1 import make_tiny_e1
from bindtune.models.e1 import E1ForMaskedLM
from bindtune.models.e1_tokens import E1BatchPreparer


def test_it_loads_strictly_reads_a_context_and_follows_from_the_seed(tmp_path: Path) -> None:
    state = torch.get_rng_state()
    models = [
        E1ForMaskedLM.from_pretrained(make_tiny_e1(tmp_path / str(number), seed))
        for number, seed in enumerate([1, 1, 2])
    ]
    assert torch.equal(torch.get_rng_state(), state)
    first, same, other = (model.model.layers[0].ffn.mlp.w1.weight for model in models)
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    preparer = E1BatchPreparer.for_model(models[0].config)
    alone, led = (preparer.get_batch_kwargs([text]) for text in ("MKTAYIAK", "MKTWYIAK,MKTAYIAK"))
    with torch.no_grad():
        hidden = [
            models[0]
            .model(
                **{k: batch[k] for k in ("input_ids", "within_seq_position_ids", "global_position_ids", "sequence_ids")}
            )
            .last_hidden_state[0, -12:]
            for batch in (alone, led)
        ]
    assert hidden[0].std() > 0.5
    assert (hidden[0] - hidden[1]).abs().max() > 0.01
