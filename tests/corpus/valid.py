"""A sound file of every kind, made here: what cases break, and where fuzzers begin."""

import gzip
import io
import json
import struct
from collections.abc import Callable
from functools import cache
from typing import Any

from corpus.readers import GENOME, METRICS, RUN, WEIGHT_PARTS
from corpus.site_tables import BIOLIP, UNIPROT_JSON, UNIPROT_TABLE, UNIPROT_TEXT
from corpus.structures import binary_cif, cif, pdb

PEAKS = b"chr1\t10\t20\tp1\t3.5\t+\nchr2\t0\t8\tp2\t-1e3\t-\nchr1\t5\t9\tp3\t0\t.\n"
NARROW = b"chr1\t10\t20\tp\t1000\t+\t4.5\t3.1\t-1\t4\nchr2\t0\t8\tq\t0\t.\t1.5\t2\t0.5\t-1\n"
# As eCLIP's pipelines write BED6: -log10 p and log2 fold change for the name and the score.
ECLIP = b"chr1\t10\t20\t400.0\t3.5\t+\nchr2\t0\t8\t2.75\t-1e-3\t-\n"
BROAD = b"chr1\t10\t20\tp\t100\t+\t4.5\t3.1\t-1\n"
BED12 = b"chr1\t100\t200\tn\t7.5\t-\t110\t190\t0,0,255\t2\t10,20\t0,80\n"
REGIONS = b"chr1\t0\t20\tENSG1\tlncRNA\t+\nchr2\t1\t7\tENSG2\t\t-\n"
GTF = (
    b'#!genome-build x\nchr1\thavana\tgene\t11\t20\t.\t+\t.\tgene_id "G"; gene_type "lncRNA";\n'
    b'chr1\thavana\texon\t11\t15\t.\t+\t.\tgene_id "G"; exon_number 1;\n'
    b'chr2\thavana\tgene\t1\t8\t.\t-\t.\tgene_id "H"; gene_type "miRNA"; tag "a;b";\n'
)
GFF3 = (
    b"##gff-version 3\nchr1\tx\tgene\t11\t20\t.\t+\t.\tID=gene:G;Name=A%3BB;biotype=lncRNA\n"
    b"chr2\tx\tgene\t1\t8\t.\t?\t.\tID=gene:H;gene_biotype=lncRNA\n###\n##FASTA\n>chr1\nACGT\n"
)
REGION_FASTA = b">chr1:10-16\nacg\nUNN\n\n>GENE::chrX_alt:0-4(-) more\r\nAACC\r\n>HLA-A*01:5-7(+)\nGT\n"
INDEX = b"chr1\t25\t6\t10\t11\nchr2\t8\t45\t8\t9\n"
ALIASES = b"#alias\tchrom\nENSEMBL1\tchr1\nCM2.1\tchr2\tRefSeq2\nMT\tchrM\n"
PROTEINS = b">a first\nMKTAY\nIAK\n>b\nmkxu*\n"
LABELS = b">a first\nMKT\n010\n\n>b|1\tmore\nmkxu\n0000\n"
ALIGNMENT = b"#8\t1\n>q\nMKTAY\n>hit\t215\t0.9\nMK-aaAY\n>r\nMK.TA.Y\n>s\n-----\n"
CLUSTERS = b"protein\tcluster\na\t1\nb\t2\nc\t1\n"
FOLDS = b"protein,fold,group\na,1,g\nb,2,g\nc,1,h\n"
VARIANTS = b"# comment\nK2R\nM1A:T3C\n\nA4C # no comment\n".replace(b" # no comment", b"")
SEQUENCE = "ACGTTGCA" * 4

PREDICTIONS = [
    {
        "protein": name,
        "position": position,
        "residue": letter,
        "ion": "ZN",
        "probability": 0.25,
        "spread": 0.0,
        "call": 0,
    }
    for name, sequence in (("a", "MKT"), ("b", "HC"))
    for position, letter in enumerate(sequence, start=1)
]


def window(number: int = 0, **changes: Any) -> dict[str, Any]:
    """A training record; `changes` None leaves a field out."""
    fields = {
        "sequence": SEQUENCE,
        "seq_id": f"chr7:100-900_window_{number}_{number + 32}",
        "seq_len": len(SEQUENCE),
        "eclip_regions": [{"peak_start": 3, "peak_end": 9, "genomic_start": 103, "genomic_end": 109}],
        **changes,
    }
    return {name: value for name, value in fields.items() if value is not None}


def windows(*records: dict[str, Any]) -> bytes:
    """Training records as JSON Lines."""
    return b"".join(json.dumps(one).encode() + b"\n" for one in records or (window(), window(1, eclip_regions=[])))


def array(*records: dict[str, Any]) -> bytes:
    """Training records as a JSON array."""
    return json.dumps(records or (window(), window(1, eclip_regions=[]))).encode()


def parquet(records: list[dict[str, Any]] | None = None, *, schema: Any = None) -> bytes:
    """Records as Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    records = [window(), window(1)] if records is None else records
    pq.write_table(pa.Table.from_pylist(records, schema=schema), sink)
    return bytes(sink.getvalue())


def predictions(records: list[dict[str, Any]] = PREDICTIONS) -> bytes:
    """A table of predictions."""
    return parquet(records, schema=predictions_schema())


def predictions_schema() -> Any:
    """The columns of a table of predictions."""
    import pyarrow as pa

    kinds = {"protein": pa.string(), "position": pa.int32(), "residue": pa.string(), "ion": pa.string()}
    kinds |= {"probability": pa.float32(), "spread": pa.float32(), "call": pa.int8()}
    return pa.schema(list(kinds.items()))


def two_bit(*sequences: tuple[str, str], version: int = 0) -> bytes:
    """Sequences of A, C, G, T and N as 2bit; lower case is masked."""
    names = [name.encode() for name, _ in sequences]
    offset = 16 + sum(len(name) + 5 for name in names)
    index, records = b"", b""
    for name, (_, letters) in zip(names, sequences, strict=True):
        index += struct.pack("<B", len(name)) + name + struct.pack("<I", offset + len(records))
        codes = ["TCAG".find(letter.upper()) % 4 for letter in letters] + [0] * (-len(letters) % 4)
        packed = bytes(
            codes[at] << 6 | codes[at + 1] << 4 | codes[at + 2] << 2 | codes[at + 3] for at in range(0, len(codes), 4)
        )
        unknown, masked = (_blocks(letters, str.__contains__, kind) for kind in ("Nn", "acgtn"))
        records += struct.pack("<I", len(letters)) + unknown + masked + struct.pack("<I", 0) + packed
    return struct.pack("<IIII", 0x1A412743, version, len(sequences), 0) + index + records


def _blocks(letters: str, holds: Callable[[str, str], bool], kind: str) -> bytes:
    inside = [holds(kind, letter) for letter in letters]
    starts = [at for at, now in enumerate(inside) if now and not (at and inside[at - 1])]
    sizes = [next((end for end in range(at, len(inside)) if not inside[end]), len(inside)) - at for at in starts]
    return struct.pack(f"<I{2 * len(starts)}I", len(starts), *starts, *sizes)


TWO_BIT = (("chr1", "acgtNNNNACGTTTGACCATTTagacca"), ("chr2", "GGGGCCCC"))


def bgzip(content: bytes, *, block: int = 40) -> bytes:
    """Blocks of gzip one after another, as bgzip writes them."""
    return b"".join(gzip.compress(content[at : at + block], mtime=0) for at in range(0, len(content), block))


VCF = (
    b'##fileformat=VCFv4.2\n##INFO=<ID=AF,Number=A,Type=Float,Description="share">\n'
    b"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ts1\n"
    b"chr1\t5\trs1\tA\tC,G\t.\tPASS\tAF=0.1,0.2\tGT\t0/1\nchr1\t7\t.\tacg\tA,*,<DEL>\t9\t.\t.\tGT\t1/1\n"
    b"chr2\t0\t.\tN\t.\t.\t.\t.\tGT\t0/0\n"
)
TOOL_TABLE = (
    b"protein\tposition\tion\tprobability\tresidue\np1\t1\tZN\t0.125\tM\np1\t2\tZN\t0.5\tC\np1\t3\tZN\t0.25\tH\n"
    b"p2\t1\tZN\t0\tC\np2\t2\tZN\t1\tC\n"
)
LMETALSITE = b"""ID,Sequence,ZN_prob,ZN_pred,MG_prob,MG_pred
p1,MCH,"0.125,0.5,0.25","0,1,0","0,0,0","0,0,0"
p2,CC,"0.0,1.0","0,1","0,0","0,0"
"""
GPSITE = b"No.\tAA\tDNA_binding\tZN_binding\n1\tM\t0\t0.125\n2\tC\t0\t0.500\n3\tH\t0\t0.250\n"
TOOL_TRAINING = b">p1\nMCH\n010\n>p2\nCC\n01\n"
VARIANT_TABLE = b"chrom\tpos\tref\talt\tscore\nchr1\t5\tA\tC\t1\nchr2\t9\tGT\tG,GTA\t2\n"
YAML = {
    "settings of windows": b"peaks: [p.bed]\ngenome: g.fa\nregions: r.bed\nout: o\nwindow: 512\nmin_score: 1.5\n",
    "settings of pretrain": b"model_name_or_path: m\ntrain_file: t.json\nvalidation_file: v.json\noutput_dir: out\n"
    b"learning_rate: 0.00005\nmax_steps: 10\n",
    "settings of train": b"training:\n  ions: [ZN, CA]\n  epochs: 3\n  output_dir: out\n"
    b"data:\n  fasta_path: '{ION}.fa'\n"
    b"model:\n  checkpoint: m\nlora: {r: 4}\n---\n- notes\n",
    "settings of predict": b"run: run\nout: out\nfasta: p.fa\nions: [ZN]\ncontexts: 2\n",
    "settings of evaluate": b"run: run\nout: out\nfasta: '{ION}_test.fa'\nlevel: 0.9\nleaks: fail\n",
    "settings of embed": b"model: m\nfasta: p.fa\nout: e.parquet\nper: residue\n",
    "settings of explain": b"probe: p\nfasta: s.fa\nout: o\nmotif_length: 10\n",
    "settings of score": b"model: m\nparent: p.fa\nvariants: v.txt\nout: s.tsv\nnum_contexts: 3\n",
}

BOUND = b">chr1:2-10(+) a\nACGTACGT\n>chr2:0-4(-)\nacgu\n"
SUMMITS = b"chr1\t4\t16\tp\t1000\t+\t4.5\t3.1\t-1\t4\nchr1\t10\t20\tq\t0\t+\t1.5\t2\t0.5\t-1\n"
PROBE_SUMMARY = (
    b"windows:\n  folds: {folds: 5, grouped_by: chromosome}\n"
    b"  arms: {d: {given: {positives: 20, negatives: 20, left_out: {}}}}\n"
    b"leaks: {shared_32mers: 0}\nmodels: {4-mer: counts}\narms: {}\n"
    b"conclusions: {d: {given: [cnn is behind 4-mer by 0.250 AUROC.]}}\n"
)


def array_file(values: Any) -> bytes:
    """A file of numpy."""
    import numpy as np

    stream = io.BytesIO()
    np.save(stream, np.asarray(values))
    return stream.getvalue()


def fold_in_training(facts: Any = None, scores: tuple[float, ...] = (0.5, -1.0)) -> bytes:
    """A fold of a probe that is done, or one in training where the facts say so."""
    import torch
    from safetensors.torch import save

    tensors = {"scores/all": torch.tensor(scores, dtype=torch.float64), "learned/w": torch.ones(2)}
    return save(tensors, {"bindtune": json.dumps({"stage": "done"} if facts is None else facts)})


EXPLAINED = b">a one\nACGT\n>chr1:3-7(-)\nacguN\n>chr2:0-4(+)\nGGGG\n"

OUT_OF_FOLD = [
    {"protein": name, "position": position, "residue": letter, "ion": "ZN", "label": int(letter in "CH"),
     "probability": 0.25, "fold": fold}
    for name, sequence, fold in (("a", "MKT", 1), ("b", "HC", 2))
    for position, letter in enumerate(sequence, start=1)
]  # fmt: skip
RECORD_LOSSES = [
    {"record": number, "masks": 7, "masked": 3, "loss": 6.0, "peak_masked": 1, "peak_loss": 2.0, "flank_masked": 2,
     "flank_loss": 4.0}
    for number in range(2)
]  # fmt: skip
RUN_FILES = {
    "run JSON": b'{"pairs_compared": 10, "leaks": []}',
    "run YAML": b"training: {ions: [ZN], epochs: 2}\ndata: {fasta_path: x}\n",
    "run CSV": b'protein,fold,group\na,1,g\n"b,c",2,g\n',
}
ADAPTER_CONFIG = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj", "v_proj"], "bias": "none"}
WEIGHT_INDEX = {
    "metadata": {"total_size": 8},
    "weight_map": {"a.weight": WEIGHT_PARTS[0], "b.weight": WEIGHT_PARTS[1]},
}
E1_CONFIG = {
    "model_type": "E1", "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
    "num_key_value_heads": 2, "rope_theta_within_seq": 10000.0, "max_num_sequences": 4,
}  # fmt: skip


def adapters() -> bytes:
    """Two tensors as safetensors."""
    import numpy as np
    from safetensors.numpy import save

    return save({"a.lora_A.weight": np.ones((2, 3), np.float32), "b.lora_B.weight": np.zeros((3, 2), np.float32)})


def trained_heads(facts: dict[str, Any] | None = None, **tensors: Any) -> bytes:
    """The heads of a probe's regression on two features, in two folds."""
    import numpy as np
    from safetensors.numpy import save

    parts: dict[str, Any] = {"mean": np.ones(2), "scale": np.ones(2), "weight": np.zeros(2), "intercept": np.zeros(1)}
    named = {
        f"{fold}/{name}": value for fold in (1, 2) for name, value in (parts | tensors).items() if value is not None
    }
    written = {"features": "composition", "folds": [1, 2], "version": "0.1.0"} if facts is None else facts
    return save(named, {"bindtune": json.dumps(written)})


def heads(**changes: Any) -> bytes:
    """A file of heads."""
    import torch

    content = {
        "base_model_checkpoint": "m",
        "ions": ["ZN"],
        "classifier_heads": {"ZN.score.bias": torch.zeros(1)},
        **changes,
    }
    sink = io.BytesIO()
    torch.save(content, sink)
    return sink.getvalue()


def tokenizer() -> bytes:
    """A tokenizer of DNA letters."""
    from tokenizers import Tokenizer, models

    words = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]", *"ACGT"]
    made = Tokenizer(models.BPE({word: index for index, word in enumerate(words)}, [], unk_token="[UNK]"))
    return str(made.to_str()).encode()


@cache
def seeds(format: str) -> tuple[bytes, ...]:
    """Sound files of a format, for fuzzers to begin with."""
    if format in YAML:
        return (YAML[format],)
    if format in RUN_FILES:
        return (RUN_FILES[format],)
    plain = {
        "peaks": (PEAKS, NARROW, BROAD, BED12, b"track name=x\n" + PEAKS),
        "peaks of eCLIP": (ECLIP, NARROW),
        "regions BED": (REGIONS, BED12),
        "genes": (GTF,),
        "genes of a type": (GFF3, GTF),
        "region FASTA": (REGION_FASTA,),
        "genome FASTA": (GENOME, bgzip(GENOME)),
        "FASTA index": (INDEX,),
        "chromosome aliases": (ALIASES,),
        "training records": (windows(), array()),
        "protein FASTA": (PROTEINS,),
        "sequences to explain": (EXPLAINED,),
        "regions to explain": (b"chr1\t0\t20\tx\t0\t+\nchr2\t1\t7\n",),
        "bound windows": (BOUND, REGION_FASTA),
        "peaks of a probe": (SUMMITS,),
        "figures of a probe": (METRICS,),
        "summary of a probe": (PROBE_SUMMARY,),
        "label FASTA": (LABELS,),
        "A3M": (ALIGNMENT,),
        "cluster table": (CLUSTERS, b"a a\na b\nc c\n", b"cluster,protein\n1,a\n1,b\n2,c\n"),
        "folds": (FOLDS, FOLDS.replace(b",", b"\t")),
        "variants": (VARIANTS,),
        "VCF": (VCF,),
        "variant table": (VARIANT_TABLE, VARIANT_TABLE.partition(b"\n")[2]),
        "BioLiP": (BIOLIP,),
        "table of a tool": (TOOL_TABLE, TOOL_TABLE.replace(b"\t", b",")),
        "LMetalSite": (LMETALSITE,),
        "GPSite": (GPSITE,),
        "training proteins of a tool": (TOOL_TRAINING, b"p1\np2\n"),
        "UniProt text": (UNIPROT_TEXT,),
        "UniProt table": (UNIPROT_TABLE,),
        "UniProt JSON": (UNIPROT_JSON,),
        "run folder of predict": (b"thresholds: {ZN: {threshold: 0.25}}\n",),
        "run folder of report": (RUN,),
        "run folder of merge": (RUN,),
        "run folder of compare": (RUN,),
        "adapter_config.json": (json.dumps(ADAPTER_CONFIG).encode(),),
        "encoder config.json": (json.dumps(E1_CONFIG).encode(),),
        "weight index": (json.dumps(WEIGHT_INDEX).encode(),),
    }
    made: dict[str, Callable[[], bytes]] = {
        "2bit": lambda: two_bit(*TWO_BIT),
        "training records": parquet,
        "PDB": pdb,
        "mmCIF": cif,
        "entry in PDB": pdb,
        "entry in mmCIF": cif,
        "entry in BinaryCIF": binary_cif,
        "heads": heads,
        "adapters": adapters,
        "trained heads": trained_heads,
        "scores of a probe": lambda: array_file([0.5, -1.0]),
        "fold in training": fold_in_training,
        "tokenizer": tokenizer,
        "predictions": predictions,
        "out-of-fold table": lambda: parquet(OUT_OF_FOLD),
        "record losses": lambda: parquet(RECORD_LOSSES),
    }
    return (*plain.get(format, ()), *((made[format](),) if format in made else ()))
