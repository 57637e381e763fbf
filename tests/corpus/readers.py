"""Every kind of file that bindtune reads, and how: with the function that the commands read it with.

A reader gives plain values, so that a case can say what it expects and a fuzzer can compare two of them. Imports stand
inside: a fuzzer of peak files loads no torch.
"""

import os
import shutil
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

GENOME = b">chr1\nACGTACGTAC\nACGTACGTAC\nACGTA\n>chr2 more\nGGGGCCCC\n"
PARENT = "MKTAYIAKQR"
METRICS = (
    b"dataset,arm,model,figure,value,low,high,n,positives,base_rate,against\n"
    b"d,given,4-mer,auroc,0.75,0.5,0.875,40,20,0.5,\nd,given,cnn,auroc,0.5,0.25,0.625,40,20,0.5,\n"
    b"d,given,cnn,auroc_difference,-0.25,nan,nan,40,20,0.5,4-mer\n"
)
WEIGHT_PARTS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


TOOL_PROTEINS = {"p1": "MCH", "p2": "CC"}
"""What the tools of the corpus predict."""


@dataclass(frozen=True)
class Reader:
    """A kind of file.

    Args:
        format: what it is called in the counts.
        file: the name it is given.
        read: from its path to plain values.
        beside: files that lie beside it.
        loads_torch: whether reading it needs torch, which takes seconds to import.
    """

    format: str
    file: str
    read: Callable[[Path], Any]
    beside: Mapping[str, bytes] = field(default_factory=dict)
    loads_torch: bool = False


def rows(table: Any) -> list[tuple[Any, ...]]:
    """Intervals as (chromosome, start, end, strand, line)."""
    names = [table.names[number] for number in table.chrom]
    columns = (table.start, table.end, table.strand, table.line)
    return list(zip(names, *(column.tolist() for column in columns), strict=True))


def _peaks(path: Path) -> Any:
    from bindtune.io.bed import read_bed

    table = read_bed(path)
    return rows(table), {name: values.tolist() for name, values in table.values.items()}


def _peaks_of_eclip(path: Path) -> Any:
    from bindtune.io.bed import read_bed

    table = read_bed(path, named={"p_value": 4, "enrichment": 5})
    return rows(table), {name: values.tolist() for name, values in table.values.items()}


def _regions(path: Path) -> Any:
    from bindtune.io.bed import read_bed

    return rows(read_bed(path, kind="bed", numbers=False))


def _genes(path: Path) -> Any:
    from bindtune.io.genes import read_genes

    return rows(read_genes(path, features=["gene"]))


def _typed_genes(path: Path) -> Any:
    from bindtune.io.genes import read_genes

    return rows(read_genes(path, features=["gene"], types=["lncRNA"]))


def _region_fasta(path: Path) -> Any:
    from bindtune.io.region_fasta import RegionFasta

    fasta = RegionFasta(path)
    spans = (fasta.regions.end - fasta.regions.start).tolist()
    return rows(fasta.regions), [fasta.fetch(number, 0, length).decode() for number, length in enumerate(spans)]


def _genome(path: Path) -> Any:
    from bindtune.io.genome import GenomeFile

    with GenomeFile(path, write_index=False, notify=lambda _: None) as genome:
        return {
            name: genome.fetch(name, start=0, end=min(size, 4096)).decode() if size else ""
            for name, size in genome.sizes.items()
        }


def _index(path: Path) -> Any:
    genome = path.with_name("genome.fa")
    os.utime(genome, (1, 1))  # an index older than its genome is not read
    return _genome(genome)


def _aliases(path: Path) -> Any:
    from bindtune.data.dna.chromosomes import read_aliases

    return read_aliases(path, genome_names=("chr1", "chr2", "chrM"))


def _windows(path: Path) -> Any:
    from bindtune.io.records import read_windows

    return [(window.seq_id, window.sequence, window.peaks, window.genomic) for window in read_windows(path)]


def _proteins(path: Path) -> Any:
    from bindtune.io.proteins import read_proteins

    return [tuple(protein) for protein in read_proteins(path)]


def _labels(path: Path) -> Any:
    from bindtune.io.labels import read_labels

    return [(one.name, one.sequence, "".join(map(str, one.labels)), one.line) for one in read_labels(path)]


def _alignment(path: Path) -> Any:
    from bindtune.data.protein.contexts import read_homologs

    content = read_homologs(path, neighbor_similarity_lower_bound=0.8)
    return [(name, content.residues(row)) for row, name in enumerate(content.names)]


def _clusters(path: Path) -> Any:
    from bindtune.data.protein.clusters import read_clusters

    return read_clusters(path, names=["a", "b", "c"], sequences=["MK", "MR", "MH"]).tolist()


def _folds(path: Path) -> Any:
    from bindtune.data.protein.folds import read_folds

    return read_folds(path, names=["a", "b", "c"]).tolist()


def _vcf(path: Path) -> Any:
    from bindtune.io.vcf import read_vcf

    return [tuple(record) for record in read_vcf(path)]


def _variant_table(path: Path) -> Any:
    from bindtune.io.variant_table import read_variant_table

    return [tuple(record) for record in read_variant_table(path)]


def tool(name: str) -> Callable[[Path], Any]:
    """Reads the predictions of a tool: by protein and ion, with None for residues that it does not have."""

    def read(path: Path) -> Any:
        from bindtune.io.tool_predictions import read_tool_predictions

        predictions = read_tool_predictions(name, path, proteins=TOOL_PROTEINS, ions=("ZN",))
        return [
            (*key, [None if value != value else round(float(value), 6) for value in scores])
            for key, scores in sorted(predictions.probability.items())
        ]

    return read


def _training_proteins(path: Path) -> Any:
    from bindtune.io.training_proteins import read_training_proteins

    training = read_training_proteins(path)
    return sorted(training.names), training.sequences


def _variants(path: Path) -> Any:
    from bindtune.inference.zero_shot import read_variants

    return read_variants(path, parent=PARENT)


def _structure(path: Path) -> Any:
    from bindtune.io.structure import read_structure, write_b_factors

    content = read_structure(path)
    target = path.with_name(f"out{content.suffix}")
    write_b_factors(target, content, {})
    target.unlink()
    return content.letters, {chain: [tuple(name) for name in names] for chain, names in content.names.items()}


def _entry(path: Path) -> Any:
    from bindtune.data.protein.ion_contacts import ContactRule, bound_ions, observed
    from bindtune.io.entry_files import read_entry

    entry = read_entry(path, assembly="1")
    rule = ContactRule(cutoff=3.0, min_residues=2, min_occupancy=0.0)
    bound_ions(entry, elements={"ZN": "ZN"}, rule=rule)
    observed(entry, rule)
    return [each[:2] for each in entry.polymers], len(entry.atoms), entry.models, len(entry.copies)


def _biolip(path: Path) -> Any:
    from bindtune.io.biolip import read_biolip

    return [
        (
            one.structure,
            one.chain,
            one.component,
            one.ligand_number,
            [tuple(each) for each in one.residues],
            one.sequence,
        )
        for one in read_biolip(path, {"ZN"})
    ]


def _uniprot(path: Path) -> Any:
    from bindtune.io.uniprot import read_uniprot

    return [(one.accession, one.sequence, [each[1:6] for each in one.features]) for one in read_uniprot(path)]


def settings(model: str) -> Callable[[Path], Any]:
    """How the settings of a command are read: only those that the file gives are returned."""

    def read(path: Path) -> Any:
        import bindtune.config as config

        if model == "BindingConfig":
            return config.load_binding(path).model_dump(mode="json", exclude_unset=True)
        return config.load(getattr(config, model), config=path, options={}).model_dump(mode="json", exclude_unset=True)

    return read


def _heads(path: Path) -> Any:
    from bindtune.models.binding_checkpoint import read_heads

    content = read_heads(path)
    return content["ions"], {name: tensor.tolist() for name, tensor in content["classifier_heads"].items()}


def _adapters(path: Path) -> Any:
    from bindtune.models.adapters import read_adapters

    return {name: tensor.tolist() for name, tensor in read_adapters(path.parent).items()}


def _adapter_config(path: Path) -> Any:
    from bindtune.models.adapter_config import read_adapter_config

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT warns of settings that it does not know
        config = read_adapter_config(path.parent)
    return config.r, config.lora_alpha, sorted(config.target_modules)


def _encoder(path: Path) -> Any:
    from bindtune.models.backbones import load_encoder

    return sorted(load_encoder(str(path.parent)).state_dict())[:1]


def _weight_index(path: Path) -> Any:
    from bindtune.models.base_files import weight_files

    files = weight_files(str(path.parent))
    assert all(part.resolve().parent == path.parent.resolve() for part in files.values())
    return sorted(files)


def _tokenizer(path: Path) -> Any:
    from bindtune.data.dna.tokens import load_tokenizer

    return load_tokenizer(str(path.parent)).vocab_size


def _predictions(path: Path) -> Any:
    from bindtune.runs.prediction_table import read_predictions

    records = []
    for each in read_predictions(path):
        call = None if each.call is None else each.call.tolist()
        records.append((each.protein, each.sequence, each.ion, each.probability.tolist(), call))
    return records


def _out_of_fold(path: Path) -> Any:
    from bindtune.runs.out_of_fold import read_out_of_fold

    content = read_out_of_fold(path.parent)
    assert content is not None
    return [
        (
            [content.proteins[i] for i in content.protein],
            [content.ions[i] for i in content.ion],
            content.letters().astype(str).tolist(),
        ),
        *(getattr(content, name).tolist() for name in ("position", "label", "probability", "fold")),
    ]


def _record_losses(path: Path) -> Any:
    from bindtune.runs.eval_records import read_record_losses

    return [column.tolist() for column in read_record_losses(path)]


def _run_json(path: Path) -> Any:
    from bindtune.runs.reading import read_json

    return read_json(path)


def _run_yaml(path: Path) -> Any:
    from bindtune.runs.reading import read_yaml

    return read_yaml(path)


def _run_csv(path: Path) -> Any:
    from bindtune.runs.reading import read_csv

    return read_csv(path, ("protein", "fold"))


RUN = b"training: {ions: [ZN], num_folds: 2, output_dir: out}\ndata: {fasta_path: x}\nmodel: {checkpoint: m}\n"


def _run_to_predict(path: Path) -> Any:
    from bindtune.config import PredictConfig, build
    from bindtune.inference.trained_run import read_run

    run = read_run(
        build(PredictConfig, {"run": path.parent, "out": path.parent / "out", "fasta": "p.fa"}), command="predict"
    )
    return run.ions, run.thresholds


def _run_to_report(path: Path) -> Any:
    from bindtune.runs.kinds import run_config

    return run_config(path.parent)["training"].get("ions")


def _run_to_merge(path: Path) -> Any:
    from bindtune.training.binding.merge import merge_folds

    return merge_folds(path.parent)


def _run_to_compare(path: Path) -> Any:
    from bindtune.reports.compared_runs import read_runs

    other = path.parent / "other"
    other.mkdir(exist_ok=True)
    (other / "config.yaml").write_bytes(RUN)
    try:
        runs, binding = read_runs([other, path.parent])
        return [run.name for run in runs], binding
    finally:
        shutil.rmtree(other)


def _trained_heads(path: Path) -> Any:
    from bindtune.probing.heads import read_heads

    heads = read_heads(path)
    return heads.facts["features"], sorted(heads.states)


def _sequences_to_explain(path: Path) -> Any:
    from bindtune.config import ExplainConfig, build
    from bindtune.probing.explained import read_sequences

    source = {"regions": path, "genome": path.parent / "genome.fa"} if path.suffix == ".bed" else {"fasta": path}
    config = build(ExplainConfig, {"probe": "p", "out": "o"} | source)
    sequences, _ = read_sequences(config, notify=lambda text: None)
    return [(each.name, each.sequence, None if each.location is None else tuple(each.location)) for each in sequences]


def _bound_windows(path: Path) -> Any:
    from bindtune.probing.positives import read_given

    windows = read_given(path, path.with_name("negatives.fa"), max_n_fraction=0.5)
    sites = windows.sites
    spans = (
        None
        if sites is None
        else list(zip(sites.start.tolist(), sites.end.tolist(), sites.strand.tolist(), strict=True))
    )
    return windows.names, windows.sequences, windows.bound.tolist(), spans, dict(windows.tally.dropped)


def _windows_of_peaks(path: Path) -> Any:
    from bindtune.config import ProbeConfig, build
    from bindtune.probing.positives import positives_of
    from bindtune.probing.sources import open_letters

    settings = {"peaks": f"p={path}", "genome": path.with_name("genome.fa"), "out": "o", "width": 10}
    config = build(ProbeConfig, settings)
    with open_letters(config, notify=lambda text: None) as letters:
        positives = positives_of("p", [path], config=config, letters=letters)
    return positives.sites.start.tolist(), positives.sequences, dict(+positives.tally.dropped)


def _figures_of_a_probe(path: Path) -> Any:
    from bindtune.reports.report_probe import build

    return [section.title for section in build(path.parent, {}).sections]


def _scores_of_a_probe(path: Path) -> Any:
    from bindtune.probing.run_folder import read_scores

    scores = read_scores(path, count=2)
    return None if scores is None else scores.tolist()


def _fold_in_training(path: Path) -> Any:
    from bindtune.probing.fold_progress import FoldProgress

    progress = FoldProgress(path.parent, "net")
    done, epoch = progress.finished(0, count=2), progress.epoch(0)
    return None if done is None else done[0].tolist(), None if epoch is None else epoch.done


_ALL = (
    Reader("peaks", "p.bed", _peaks),
    Reader("peaks of eCLIP", "p.bed", _peaks_of_eclip),
    Reader("regions BED", "r.bed", _regions),
    Reader("genes", "g.gtf", _genes),
    Reader("genes of a type", "g.gff3", _typed_genes),
    Reader("region FASTA", "r.fa", _region_fasta),
    Reader("genome FASTA", "genome.fa", _genome),
    Reader("2bit", "genome.2bit", _genome),
    Reader("FASTA index", "genome.fa.fai", _index, {"genome.fa": GENOME}),
    Reader("chromosome aliases", "aliases.txt", _aliases),
    Reader("training records", "windows", _windows),
    Reader("protein FASTA", "proteins.fa", _proteins),
    Reader("label FASTA", "ZN_train.fa", _labels),
    Reader("A3M", "q.a3m", _alignment),
    Reader("cluster table", "clusters.tsv", _clusters),
    Reader("folds", "folds.csv", _folds),
    Reader("VCF", "v.vcf", _vcf),
    Reader("variant table", "v.tsv", _variant_table),
    Reader("variants", "variants.txt", _variants, loads_torch=True),
    Reader("PDB", "s.pdb", _structure),
    Reader("mmCIF", "s.cif", _structure),
    Reader("entry in PDB", "1abc.pdb", _entry),
    Reader("entry in mmCIF", "1abc.cif", _entry),
    Reader("entry in BinaryCIF", "1abc.bcif", _entry),
    Reader("BioLiP", "BioLiP.txt", _biolip),
    Reader("table of a tool", "t.tsv", tool("mine")),
    Reader("LMetalSite", "l.csv", tool("lmetalsite")),
    Reader("GPSite", "p1.txt", tool("gpsite")),
    Reader("training proteins of a tool", "train.fa", _training_proteins),
    Reader("UniProt text", "u.txt", _uniprot),
    Reader("UniProt table", "u.tsv", _uniprot),
    Reader("UniProt JSON", "u.json", _uniprot),
    Reader("settings of windows", "windows.yaml", settings("WindowsConfig")),
    Reader("settings of pretrain", "pretrain.yaml", settings("PretrainConfig")),
    Reader("settings of train", "train.yaml", settings("BindingConfig")),
    Reader("settings of predict", "predict.yaml", settings("PredictConfig")),
    Reader("settings of evaluate", "evaluate.yaml", settings("EvaluateConfig")),
    Reader("settings of embed", "embed.yaml", settings("EmbedConfig")),
    Reader("settings of score", "score.yaml", settings("ScoreConfig")),
    Reader("settings of explain", "explain.yaml", settings("ExplainConfig")),
    Reader("sequences to explain", "s.fa", _sequences_to_explain, loads_torch=True),
    Reader("regions to explain", "r.bed", _sequences_to_explain, {"genome.fa": GENOME}, loads_torch=True),
    Reader("trained heads", "trained.safetensors", _trained_heads, loads_torch=True),
    Reader("bound windows", "p.fa", _bound_windows, {"negatives.fa": b">n\nACGTACGT\n"}),
    Reader("peaks of a probe", "p.narrowPeak", _windows_of_peaks, {"genome.fa": GENOME}),
    Reader("figures of a probe", "metrics.csv", _figures_of_a_probe, {"summary.yaml": b"{arms: {}, models: {}}\n"}),
    Reader("summary of a probe", "summary.yaml", _figures_of_a_probe, {"metrics.csv": METRICS}),
    Reader("scores of a probe", "s.npy", _scores_of_a_probe, loads_torch=True),
    Reader("fold in training", "net-fold-0.safetensors", _fold_in_training, loads_torch=True),
    Reader("heads", "best_e1_binding_model_heads.pt", _heads, loads_torch=True),
    Reader("adapters", "adapter_model.safetensors", _adapters, loads_torch=True),
    Reader("adapter_config.json", "adapter_config.json", _adapter_config, loads_torch=True),
    Reader("encoder config.json", "config.json", _encoder, loads_torch=True),
    Reader("weight index", "model.safetensors.index.json", _weight_index, dict.fromkeys(WEIGHT_PARTS, b"")),
    Reader("tokenizer", "tokenizer.json", _tokenizer, loads_torch=True),
    Reader("predictions", "predictions.parquet", _predictions, loads_torch=True),
    Reader("out-of-fold table", "oof.parquet", _out_of_fold),
    Reader("record losses", "eval_records.parquet", _record_losses),
    Reader("run folder of predict", "global_thresholds.yaml", _run_to_predict, {"config.yaml": RUN}, loads_torch=True),
    Reader("run folder of report", "config.yaml", _run_to_report),
    Reader("run folder of merge", "config.yaml", _run_to_merge, loads_torch=True),
    Reader("run folder of compare", "config.yaml", _run_to_compare),
    Reader("run JSON", "audit.json", _run_json),
    Reader("run YAML", "config.yaml", _run_yaml),
    Reader("run CSV", "folds.csv", _run_csv),
)
READERS = {reader.format: reader for reader in _ALL}
