"""Time one full-size DNABERT-2 training step against two baselines, and against its own matrix products.

    python benchmarks/pretraining_step.py [--windows train.jsonl --tokenizer FOLDER] [--repeats 5]

All variants hold the same random weights (117 M) and see the same windows in fp32. `padded`: every tensor padded to
512 tokens, eager attention. `unpadded`: the linear layers skip padding, attention is eager and dense over 512 x 512, as
in the upstream code. `bindtune`: this package. Repeats are alternated and the best of each is compared.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bindtune.models.dnabert2 import DNABert2Config, DNABert2ForMaskedLM, alibi_slopes
from rows import Row, add_json_option, peak_resident, write_rows

LENGTH = 512


def batch_of_windows(windows: Path | None, tokenizer: Path | None, rows: int) -> list[list[int]]:
    """Token ids of `rows` windows of 512 nt: real ones, or random ids with the length that such windows have."""
    generator = torch.Generator().manual_seed(0)
    if windows is None or tokenizer is None:
        lengths = torch.randint(92, 108, (rows,), generator=generator).tolist()
        return [[1, *torch.randint(5, 4096, (n - 2,), generator=generator).tolist(), 2] for n in lengths]
    from transformers import AutoTokenizer

    fast = AutoTokenizer.from_pretrained(tokenizer)
    sequences = [json.loads(line)["sequence"] for line in windows.read_text().splitlines()]
    full = [sequence for sequence in sequences if len(sequence) == LENGTH]
    return [fast(sequence)["input_ids"] for sequence in full[:rows]]


def collate(ids: list[list[int]], length: int) -> dict[str, Tensor]:
    """Pad to `length` and ask for 15 % of the tokens."""
    generator = torch.Generator().manual_seed(1)
    input_ids = torch.full((len(ids), length), 3)
    mask = torch.zeros_like(input_ids)
    labels = torch.full_like(input_ids, -100)
    for row, tokens in enumerate(ids):
        input_ids[row, : len(tokens)] = torch.tensor(tokens)
        mask[row, : len(tokens)] = 1
        chosen = 1 + torch.randperm(len(tokens) - 2, generator=generator)[: round(0.15 * (len(tokens) - 2))]
        labels[row, chosen] = input_ids[row, chosen]
        input_ids[row, chosen] = 4
    return {"input_ids": input_ids, "attention_mask": mask, "labels": labels}


def eager_attention(qkv: Tensor, bias: Tensor, heads: int) -> Tensor:
    """Dense attention (B, T, 3D) -> (B, T, D) with every score written to memory."""
    q, k, v = qkv.unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)
    scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5 + bias
    return (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)


def baseline_loss(model: DNABert2ForMaskedLM, batch: dict[str, Tensor], *, unpad: bool) -> Tensor:
    """The loss computed by a plain loop over the model's own modules, with or without padding in the linear layers."""
    config = model.config
    ids, attended, labels = batch["input_ids"], batch["attention_mask"] != 0, batch["labels"]
    positions = torch.arange(ids.shape[1])
    distance = (positions[:, None] - positions).abs().float()
    slopes = torch.tensor(alibi_slopes(config.num_attention_heads))
    bias = -slopes[:, None, None] * distance + torch.where(attended, 0.0, -1e4)[:, None, None, :]
    index = attended.flatten().nonzero().flatten() if unpad else torch.arange(ids.numel())

    def pad(x: Tensor) -> Tensor:
        flat = x.new_zeros(ids.numel(), x.shape[1])
        return flat.index_copy(0, index, x).view(*ids.shape, -1)

    emb = model.bert.embeddings
    p = config.hidden_dropout_prob
    x = emb.word_embeddings(ids.flatten()[index]) + emb.token_type_embeddings.weight[0]
    x = F.dropout(emb.LayerNorm(x), p)
    for layer in model.bert.encoder.layer:
        attention, mlp = layer.attention, layer.mlp
        mixed = eager_attention(pad(attention.self.Wqkv(x)), bias, config.num_attention_heads)
        mixed = mixed.flatten(0, 1)[index]
        x = attention.output.LayerNorm(F.dropout(attention.output.dense(mixed), p) + x)
        gate, value = mlp.gated_layers(x).chunk(2, dim=-1)
        x = mlp.layernorm(mlp.wo(F.dropout(F.gelu(gate) * value, p)) + x)
    asked = labels.flatten()[index]
    if unpad:  # as upstream: the head sees labelled tokens only
        return F.cross_entropy(model.cls.predictions(x[asked != -100]), asked[asked != -100])
    return F.cross_entropy(model.cls.predictions(x), asked, ignore_index=-100)


def matrix_products(tokens: int, labelled: int, config: DNABert2Config) -> tuple[float, Callable[[], None]]:
    """FLOP of the products of one forward and backward pass over packed tokens, and a function that runs just those."""
    d, f, v = config.hidden_size, config.intermediate_size, config.vocab_size
    per_layer = [(d, 3 * d), (d, d), (d, 2 * f), (f, d)]
    last = [(tokens, *per_layer[0]), *((labelled, *shape) for shape in per_layer[1:])]
    shapes = [(tokens, *shape) for shape in per_layer] * (config.num_hidden_layers - 1) + last
    shapes += [(labelled, d, d), (labelled, d, v)]
    made = {shape: (torch.randn(shape[0], shape[1]), torch.randn(shape[2], shape[1])) for shape in set(shapes)}

    def run() -> None:
        for shape in shapes:
            x, w = made[shape]
            y = x @ w.t()
            y @ w
            y.t() @ x

    return sum(6.0 * n * i * o for n, i, o in shapes), run


def timed(step: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def peak_of(variant: str, arguments: list[str]) -> float:
    """Peak memory in GB (10^9 bytes) of a fresh process that runs two steps of one variant."""
    command = [sys.executable, __file__, "--only", variant, *arguments]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=Path)
    parser.add_argument("--tokenizer", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=["padded", "unpadded", "bindtune"], help=argparse.SUPPRESS)
    add_json_option(parser)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)  # as every command does
    torch.manual_seed(0)
    model: nn.Module = DNABert2ForMaskedLM(DNABert2Config()).train()
    ids = batch_of_windows(args.windows, args.tokenizer, args.batch)
    short, long = collate(ids, max(map(len, ids))), collate(ids, LENGTH)
    losses: dict[str, Callable[[], Tensor]] = {
        "padded": lambda: baseline_loss(model, long, unpad=False),
        "unpadded": lambda: baseline_loss(model, long, unpad=True),
        "bindtune": lambda: model(**short, logits_at=short["labels"] != -100).loss,
    }
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-5, betas=(0.9, 0.98), eps=1e-6, fused=True)

    def step(name: str) -> Callable[[], None]:
        def run() -> None:
            losses[name]().backward()
            optimizer.step()
            optimizer.zero_grad()

        return run

    if args.only:
        for _ in range(2):
            step(args.only)()
        print(peak_resident() * 2**20 / 1e9)
        return

    tokens, labelled = sum(map(len, ids)), int((short["labels"] != -100).sum())
    flop, products = matrix_products(tokens, labelled, model.config)
    steps = {name: step(name) for name in losses}
    steps["forward+backward"] = lambda: losses["bindtune"]().backward()
    steps["products"] = products
    best = dict.fromkeys(steps, float("inf"))
    for round_ in range(args.repeats + 1):
        for name, run in steps.items():
            seconds = timed(run)
            optimizer.zero_grad()
            if round_:  # the first round warms up
                best[name] = min(best[name], seconds)
    print(f"{args.batch} windows of {LENGTH} nt, {tokens} tokens, {labelled} labelled, {args.threads} threads, fp32")
    for name, seconds in best.items():
        print(f"{name:18s} {seconds:7.3f} s")
    print(f"speed over padded             {best['padded'] / best['bindtune']:.2f}")
    print(f"speed over unpadded linears   {best['unpadded'] / best['bindtune']:.2f}")
    rate = best["products"] / best["forward+backward"]
    print(f"rate of the matrix products   {flop / best['products'] / 1e9:.0f} GFLOP/s alone, {rate:.1%} of it reached")
    passed_on = {name: value for name, value in vars(args).items() if name not in ("repeats", "json")}
    rest = [f"--{name}={value}" for name, value in passed_on.items() if value is not None]
    peaks = {name: peak_of(name, rest) for name in losses}
    for name, peak in peaks.items():
        print(f"peak memory {name:18s} {peak:.2f} GB")
    what, seconds = f"DNABERT-2 117M step, {tokens} tokens", best["bindtune"]
    rows = [
        Row(what, seconds, "s", "all padded to 512, eager attention", best["padded"] / seconds, "at least 7"),
        Row(what, seconds, "s", "linears unpadded, dense attention", best["unpadded"] / seconds, "at least 3.5"),
        Row(
            "DNABERT-2 117M forward + backward",
            best["forward+backward"],
            "s",
            f"its matrix products alone ({flop / best['products'] / 1e9:.0f} GFLOP/s)",
            rate,
            "at least 0.75",
        ),
        Row(
            "the same, dense step",
            best["unpadded"],
            "s",
            "the products of the packed step alone",
            best["unpadded"] / best["products"],
        ),
        Row("DNABERT-2 117M step, peak memory", peaks["bindtune"], "GB", "", None, "at most 3.0"),
        Row("the same", peaks["bindtune"], "GB", "all padded", peaks["bindtune"] / peaks["padded"]),
        Row("the same", peaks["bindtune"], "GB", "dense attention", peaks["bindtune"] / peaks["unpadded"]),
    ]
    write_rows(args.json, rows)


if __name__ == "__main__":
    main()
