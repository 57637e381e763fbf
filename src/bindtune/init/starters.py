"""The table of settings that the starter files of `bindtune init` set."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

DEFAULT = object()
"""Use the setting's default."""


@dataclass(frozen=True)
class Choice:
    """A setting of a starter file.

    Args:
        value: the value, or DEFAULT.
        note: a sentence with the reason, or with advice how to fill it in.
        fill_in: whether the user must check the value.
    """

    value: Any = DEFAULT
    note: str = ""
    fill_in: bool = False


@dataclass(frozen=True)
class Starter:
    """A starter settings file.

    Args:
        choices: the settings that it sets, by name (`section.key` in a section).
        notes: sentences at the top of the file.
    """

    choices: Mapping[str, Choice]
    notes: str = ""


def _fill_in(value: Any, note: str = "") -> Choice:
    return Choice(value, note, fill_in=True)


_PRETRAIN = Starter(
    {
        "model_name_or_path": Choice(),
        "train_file": _fill_in("windows/train.parquet", "`bindtune windows --out windows` writes this one."),
        "validation_file": _fill_in("windows/validation.parquet", "Write null if there is none."),
        "output_dir": Choice(),
        "use_adaptive_masking": Choice(True, "Peaks are masked more often. Write false for the run to compare with."),
        "fp16": Choice(True, "Write false on a CPU. On an A100 or newer, bf16 works too."),
    },
    "The defaults are those of the full run: DNABERT-2-117M on eCLIP windows, one A100.",
)

_TRAIN = Starter(
    {
        "data.fasta_path": _fill_in("labels/{ION}_train.fasta"),
        "data.msa_dir": _fill_in(None, "Write null if there are no alignments."),
        "data.clusters": Choice(
            "kmer",
            "Similar proteins stay in one fold. Write mmseqs above 20,000 (pip install 'bindtune[clusters]').",
        ),
        "training.ions": _fill_in(DEFAULT),
        "training.output_dir": Choice(),
        "training.pos_weight_mode": Choice("sqrt", "Binding residues are rare."),
        "training.num_workers": Choice(4),
        "training.msa_sampling.max_num_samples": Choice(),
        "training.msa_sampling.max_token_length": Choice(),
        "training.validation_msa_sampling.max_num_samples": Choice(128),
        "training.validation_msa_sampling.max_token_length": Choice(12288),
        "training.validation_msa_sampling.max_query_length": Choice(1280),
        "model.checkpoint": Choice(),
        "lora.r": Choice(),
        "lora.alpha": Choice(),
    },
    "One step on 2 proteins with 8,192 tokens each is predicted to take 38 GB on a GPU, and 7 GB with "
    "gradient_checkpointing. `bindtune doctor train.yaml` predicts it for your files.",
)

_ENCODE = "eCLIP files of ENCODE have it in narrowPeak's columns."

_WINDOWS = Starter(
    {
        "peaks": _fill_in(["ENCFF000AAA.bed.gz", "ENCFF000BBB.bed.gz"]),
        "genome": _fill_in("hg38.2bit"),
        "genes": _fill_in("gencode.gtf.gz", "Or leave it out and set regions."),
        "out": Choice("windows", "`bindtune init pretrain` writes a file that reads windows from there."),
        "min_enrichment": Choice(3, f"This is a log2 fold change over the input. {_ENCODE}"),
        "min_p_value": Choice(3, f"This is p < 0.001. {_ENCODE}"),
        "max_n_fraction": Choice(0.1),
        "keep_peakless": Choice(0.25, "Most windows of a gene have no peak; a quarter of them is enough."),
        "gene_type": Choice(["protein_coding", "lncRNA"]),
        "split": Choice("chromosome", "neighbourhood needs no names of chromosomes."),
        "validation_chromosomes": _fill_in(["chr18"], "Your genome must have them."),
        "test_chromosomes": _fill_in(["chr9"], "Your genome must have them."),
    },
    "The values that are set here are for eCLIP peaks of one RNA-binding protein in the human genome.",
)

_PROBE = Starter(
    {
        "peaks": _fill_in(["RBFOX2=ENCFF000AAA.bed.gz", "PUM1=ENCFF000BBB.bed.gz"], "Each name is a data set."),
        "genome": _fill_in("hg38.2bit"),
        "genes": _fill_in("gencode.gtf.gz"),
        "model": _fill_in(
            ["base=zhihan1996/DNABERT-2-117M", "adapted=models/dnabert2_tapt_eclip"], "The first is the reference."
        ),
        "out": Choice("probe"),
        "min_enrichment": Choice(3, f"This is a log2 fold change over the input. {_ENCODE}"),
        "min_p_value": Choice(3, f"This is p < 0.001. {_ENCODE}"),
        "leaks": Choice("drop", "Repeats of a genome are on many chromosomes, so fail would stop the command."),
        "seeds": Choice(3, "Fewer seeds give no interval over seeds."),
    },
    "The values that are set here are for eCLIP peaks of RNA-binding proteins in the human genome.",
)

_SITES = Starter(
    {
        "structures": _fill_in(["pdb_files"], "This is a folder; or name files, or a text file that lists them."),
        "ions": _fill_in(["ZN", "CA", "MG", "MN", "LREE", "HREE"], "Each gets a label file."),
        "ion_groups": Choice(DEFAULT, "Change the lists if your field defines the groups differently."),
        "out": Choice("labels", "`bindtune train` reads labels from there with data.fasta_path: labels."),
        "max_resolution": Choice(3.0, "In worse maps, waters and metals look alike. Write null to keep all."),
        "errors": Choice("skip", "A broken file is then named and counted, and does not stop the command."),
    },
    "The values that are set here are for a folder of entries of the Protein Data Bank.",
)

STARTERS = {"pretrain": _PRETRAIN, "train": _TRAIN, "windows": _WINDOWS, "probe": _PROBE, "sites": _SITES}
"""The starter settings file of each command that has one."""
