"""Make the facts of released models that `bindtune verify` compares with, from reference outputs.

    python tests/golden/make_releases.py REFERENCE OUT

REFERENCE holds `golden/e1_hub` (inputs and outputs of the released E1 and ESM-2 by the official code, stored by
FastPLMs, github.com/Synthyra/FastPLMs, tests/goldens at commit 1f78282) and `golden/dnabert2/tokenizer_cases.json`
(token ids of the original tokenizer). OUT is `src/bindtune/publishing`. All logits are taken over, and hidden states of
two tokens of each sequence.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from bindtune.models.e1_tokens import VOCABULARY
from bindtune.publishing.releases import RECORDS, TENSORS

# Letters of ESM-2's vocabulary from id 4 on (facebookresearch/esm, data.py: "ESM-1b" alphabet).
_ESM = "LAGVSERTIDPKQNFYMHWCXBUZO"
_HUB = {
    # file: (copies, layers), layers as the released config.json files have them
    "e1_150m": (("Synthyra/Profluent-E1-150M",), 20),
    "e1_300m": (("Synthyra/Profluent-E1-300M",), 20),
    "e1_600m": (("Synthyra/Profluent-E1-600M",), 30),
    "esm2_8m": ((), 6),
}
_DNABERT2 = {
    "name": "zhihan1996/DNABERT-2-117M",
    "copies": [],
    "revision": "d064dece8a8b41d9fb8729fbe3435278786931f1",
    "hashes": {
        "pytorch_model.bin": "7ff39ec77a484dd01070a41bfd6e95cdd7247bec80fe357ab43a4be33687aeba",
        "tokenizer.json": "5d178e8ce2ba55df97fff197f4b30f40133b95d7096be398c2df6b526c5d8cd3",
    },
    "architecture": ["dnabert2", 12, 768, 4096],
    "rows": {},
    "source": "hashes, and token ids by the original tokenizer (Apache-2.0); outputs are not known here",
}
_DNA_CASES = ("ACGTAGCATCGG", "ACGTNNNACGT", "ACGT-ACGT", "ACGATTAAGTCACAACCAAACCATGGATTA", 101, 512)


def hub_release(path: Path, copies: tuple[str, ...], layers: int) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Facts and tensors of one release of `golden/e1_hub`."""
    about = json.loads(path.with_suffix(".json").read_text())
    stored = load_file(path)
    is_e1 = path.stem.startswith("e1")
    real = stored["input__sequence_ids"] >= 0 if is_e1 else stored["input__attention_mask"].bool()
    ids = [row[mask].tolist() for row, mask in zip(stored["input__input_ids"], real, strict=True)]
    letters = VOCABULARY if is_e1 else ("", "", "", "", *_ESM)
    frame = (2, -2) if is_e1 else (1, -1)
    logits = stored["output__logits"][real]
    starts = [sum(map(len, ids[:number])) for number in range(len(ids))]
    rows = [start + index for start, row in zip(starts, ids, strict=True) for index in (len(row) // 2, len(row) - 3)]
    hidden = stored["output__last_hidden_state"][real][rows]
    name = about["checkpoint"]["repo_id"]
    official = about["sources"][0]
    bf16 = {"logits": logits.bfloat16(), "hidden states": hidden.bfloat16()}
    record = {
        "name": name,
        "copies": list(copies),
        "revision": about["checkpoint"]["revision"],
        "hashes": {"model.safetensors": about["checkpoint"]["files"]["model.safetensors"].removeprefix("sha256:")},
        "architecture": ["E1" if is_e1 else "esm", layers, hidden.shape[-1], logits.shape[-1]],
        "sequences": ["".join(letters[one] for one in row[frame[0] : frame[1]]) for row in ids],
        "input_ids": ids,
        "rows": {"logits": list(range(len(logits))), "hidden states": rows},
        "source": f"the official code ({official['url'].removesuffix('.git')} at {official['revision'][:7]}) in "
        f"bfloat16 autocast on an {about['environment']['details']['cuda_device']}, stored by FastPLMs (Apache-2.0)",
    }
    return record, {f"{name}.{what}": tensor.contiguous() for what, tensor in bf16.items()}


def main(reference: Path, out: Path) -> None:
    records, tensors = [], {}
    for stem, (copies, layers) in _HUB.items():
        record, own = hub_release(reference / "golden" / "e1_hub" / f"{stem}.safetensors", copies, layers)
        records.append(record)
        tensors |= own
    cases = json.loads((reference / "golden" / "dnabert2" / "tokenizer_cases.json").read_text())
    taken = [case for case in cases if case["sequence"] in _DNA_CASES or len(case["sequence"]) in _DNA_CASES]
    sequences, ids = [case["sequence"] for case in taken], [case["ids"] for case in taken]
    records.append({**_DNABERT2, "sequences": sequences, "input_ids": ids})
    lines = ",\n".join("  " + json.dumps(record, sort_keys=True) for record in records)
    (out / RECORDS).write_text(f'{{"releases": [\n{lines}\n]}}\n')
    save_file(tensors, out / TENSORS)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
