"""E1 at 150M shape, random weights: packed against a dense, padded version of the same model written here.

    OMP_NUM_THREADS=2 python benchmarks/e1.py            all workloads
    OMP_NUM_THREADS=2 python benchmarks/e1.py --only train --repeats 5

Both sides hold the same weights and are checked to agree first. Times are the best of alternated repeats in one
process, on the clock and, for busy machines, on the processors; peak memory is that of a fresh process for each side,
libraries and weights included.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from bindtune import E1BatchPreparer, E1Config, E1ForMaskedLM
from rows import Row, add_json_option, peak_resident, write_rows

LENGTHS = (100, 180, 240, 300, 350, 400, 460, 600)
LETTERS = "ACDEFGHIKLMNPQRSTVWY"
TARGETS = {
    "forward": 2.2,
    "train": 3.0,
    "context, all": 1.6,
    "context, query": 1.6,
    "cached, cold": 4.5,
    "cached, warm": 6.5,
}
BASELINES = dict.fromkeys(("cached, cold", "cached, warm"), "12 queries, each with its context")


def shape_150m() -> E1Config:
    """The configuration of the released 150M model."""
    return E1Config(
        hidden_size=768,
        intermediate_size=2304,
        gated_mlp=True,
        num_hidden_layers=20,
        num_attention_heads=12,
        num_key_value_heads=12,
        global_attention_every_n_layers=3,
        clip_qkv=8,
        rope_theta_global=500000.0,
        max_num_positions_global=65536,
    )


def build(seed: int = 0) -> E1ForMaskedLM:
    """The 150M model with random weights."""
    torch.manual_seed(seed)
    return E1ForMaskedLM(shape_150m()).eval()


def protein(length: int, *, seed: int) -> str:
    """A random protein."""
    draws = torch.randint(len(LETTERS), (length,), generator=torch.Generator().manual_seed(seed))
    return "".join(LETTERS[i] for i in draws)


def rotate(x: Tensor, positions: Tensor, theta: float) -> Tensor:
    """Half-split rotation of (B, H, T, d)."""
    size = x.shape[-1]
    powers = theta ** -(torch.arange(0, size, 2, dtype=torch.float32) / size)
    angles = (positions[..., None] * powers)[:, None]
    cos, sin = torch.cat([angles.cos()] * 2, -1), torch.cat([angles.sin()] * 2, -1)
    x1, x2 = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-x2, x1], dim=-1) * sin


def norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """RMS norm."""
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * weight


def dense(model: E1ForMaskedLM, batch: dict[str, Tensor]) -> Tensor:
    """The same model over the padded batch: boolean masks, SDPA, stock autograd. Returns logits (B, T, V)."""
    config, encoder = model.config, model.model
    sid, rows = batch["sequence_ids"], len(batch["sequence_ids"])
    real = (sid >= 0)[:, None, :]
    masks = (sid[:, :, None] == sid[:, None, :]) & real, (sid[:, :, None] >= sid[:, None, :]) & real
    # Padding sees itself, so that no row of the softmax is empty.
    masks = [(mask | torch.eye(sid.shape[1], dtype=torch.bool))[:, None] for mask in masks]
    places = batch["within_seq_position_ids"].float(), batch["global_position_ids"].float()
    thetas = config.rope_theta_within_seq, config.rope_theta_global
    hidden = encoder.embed_tokens(batch["input_ids"]) + encoder.embed_seq_id(sid.clamp(min=0))
    for number, layer in enumerate(encoder.layers):
        kind = int(config.is_global(number))
        attention, mlp = layer.norm_attn_norm.self_attn, layer.ffn.mlp
        x = norm(hidden, layer.norm_attn_norm.input_layernorm.weight, config.rms_norm_eps)
        q, k, v = (
            projection(x)
            .clamp(-config.clip_qkv, config.clip_qkv)
            .view(rows, -1, config.num_attention_heads, 64)
            .transpose(1, 2)
            for projection in (attention.q_proj, attention.k_proj, attention.v_proj)
        )
        q, k = rotate(q, places[kind], thetas[kind]), rotate(k, places[kind], thetas[kind])
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=masks[kind])
        hidden = hidden + attention.o_proj(out.transpose(1, 2).flatten(2))
        x = norm(hidden, layer.norm_attn_norm.post_attention_layernorm.weight, config.rms_norm_eps)
        hidden = hidden + mlp.w2(F.silu(mlp.w1(x)) * mlp.w3(x))
    return model.mlm_head(norm(hidden, encoder.norm.weight, config.rms_norm_eps)).float()


def packed(model: E1ForMaskedLM, batch: dict[str, Tensor], **options: object) -> Tensor:
    """The package's model. Returns logits (B, T, V)."""
    return model(**{key: batch[key] for key in batch if key.endswith("ids")}, **options).logits


def train_step(model: E1ForMaskedLM, batch: dict[str, Tensor], logits: Callable[..., Tensor]) -> float:
    """Forward and backward of the masked-LM loss over all residues."""
    model.zero_grad(set_to_none=True)
    loss = F.cross_entropy(logits(model, batch).flatten(0, 1), batch["labels"].flatten(), ignore_index=0)
    loss.backward()
    return loss.item()


def prepared(workload: str) -> dict[str, Tensor]:
    """The batch of a workload."""
    if workload in ("forward", "train"):
        return E1BatchPreparer().get_batch_kwargs([protein(n, seed=n) for n in LENGTHS])
    return E1BatchPreparer().get_batch_kwargs([",".join(protein(252, seed=n) for n in range(8))])


def sides(workload: str, model: E1ForMaskedLM) -> dict[str, Callable[[], object]]:
    """What is timed: the opponent first, then the package."""
    if workload.startswith("cached"):
        return cached_sides(model)
    batch = prepared(workload)
    if workload == "train":
        return {name: (lambda f=f: train_step(model, batch, f)) for name, f in (("dense", dense), ("packed", packed))}
    query = {"query_only": True} if workload == "context, query" else {}
    return {
        "dense": torch.no_grad()(lambda: dense(model, batch)),
        "packed": torch.no_grad()(lambda: packed(model, batch, **query)),
    }


def cached_sides(model: E1ForMaskedLM) -> dict[str, Callable[[], object]]:
    """12 queries of 124 residues on one context of 1,792 tokens (7 x 252 + frames)."""
    preparer = E1BatchPreparer()
    context = ",".join(protein(252, seed=n) for n in range(7))
    queries = [protein(124, seed=100 + n) for n in range(12)]
    whole = preparer.get_batch_kwargs([f"{context},{query}" for query in queries])
    alone = preparer.get_query_kwargs(queries, context)
    row = preparer.get_batch_kwargs([context])
    inputs = {key: row[key] for key in row if key.endswith("ids")}
    ready = model.model.cache_context(**inputs)

    @torch.no_grad()
    def cold() -> Tensor:
        return packed(model, alone, context_cache=model.model.cache_context(**inputs))

    return {
        "dense": torch.no_grad()(lambda: dense(model, whole)),
        "uncached": torch.no_grad()(lambda: packed(model, whole)),
        "cached, cold": cold,
        "cached, warm": torch.no_grad()(lambda: packed(model, alone, context_cache=ready)),
    }


def best(functions: dict[str, Callable[[], object]], repeats: int) -> dict[str, tuple[float, float]]:
    """Least seconds of each on the clock and on the processors, the functions taking turns."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            clock, processors = time.perf_counter(), time.process_time()
            function()
            times[name].append((time.perf_counter() - clock, time.process_time() - processors))
    return {name: tuple(min(column) for column in zip(*values, strict=True)) for name, values in times.items()}


def check(model: E1ForMaskedLM) -> None:
    """Both sides give the same logits at real tokens."""
    batch = E1BatchPreparer().get_batch_kwargs(["MKTAYIAK,MKTAYI", "ACDEFGHIKLMNPQ"])
    with torch.no_grad():
        ours, theirs = packed(model, batch), dense(model, batch)
    torch.testing.assert_close(
        ours[batch["sequence_ids"] >= 0], theirs[batch["sequence_ids"] >= 0], atol=1e-4, rtol=1e-4
    )


def peak(workload: str, side: str) -> float:
    """Peak MiB of a fresh process that runs one side once."""
    command = [sys.executable, __file__, "--only", workload, "--side", side]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(json.loads(out.splitlines()[-1])["peak_mib"])


def main() -> None:
    """Run the workloads and print the comparisons."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["forward", "train", "context, all", "context, query", "cached"])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--side", help=argparse.SUPPRESS)
    add_json_option(parser)
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    torch.set_flush_denormal(True)  # as every command does
    model = build()
    if arguments.side:
        sides(arguments.only, model)[arguments.side]()
        print(json.dumps({"peak_mib": peak_resident()}))
        return
    check(model)
    rows = []
    for workload in (
        [arguments.only] if arguments.only else ["forward", "train", "context, all", "context, query", "cached"]
    ):
        times = best(sides(workload, model), arguments.repeats)
        slow = times.get("uncached", times["dense"])
        for name, (clock, processors) in times.items():
            goal = TARGETS.get(name, TARGETS.get(workload) if name == "packed" else None)
            note = f"  (goal {goal})" if goal else ""
            if goal:
                what, baseline = (
                    f"E1-150M {name if name in TARGETS else workload}",
                    BASELINES.get(name, "dense, padded"),
                )
                rows.append(Row(what, clock, "s", baseline, slow[0] / clock, f"at least {goal}"))
            ratios = f"{slow[0] / clock:5.2f} times (processors {slow[1] / processors:.2f})"
            print(f"{workload:15s} {name:13s} {clock:7.2f} s  {ratios}{note}", flush=True)
        if workload == "train":
            mib = {side: peak(workload, side) for side in ("dense", "packed")}
            share = mib["packed"] / mib["dense"]
            print(f"{'':15s} peak {mib['packed']:.0f} of {mib['dense']:.0f} MiB: {share:.1%} (goal 45 %)")
            rows.append(Row("E1-150M train, peak memory", mib["packed"], "MiB", "dense, padded", share, "at most 0.45"))
    write_rows(arguments.json, rows)


if __name__ == "__main__":
    main()
