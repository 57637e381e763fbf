"""Read the inputs of a run: proteins, alignments, groups and folds."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bindtune.config import BindingConfig
from bindtune.config.binding import CHUNK_OVERLAP
from bindtune.data.protein.alignments import AlignmentCounts, Alignments
from bindtune.data.protein.clusters import METHODS, cluster_proteins, read_clusters
from bindtune.data.protein.contexts import ContextSpec
from bindtune.data.protein.folds import assign_folds, inner_validation, read_folds, write_folds
from bindtune.data.protein.input_files import alignment_files, label_files
from bindtune.data.protein.protein_rows import RowSpec, count_aligned
from bindtune.data.protein.proteins import Proteins, aligned_proteins, load_proteins
from bindtune.errors import ConfigError
from bindtune.progress import tracked
from bindtune.runs.names import ALIGNMENT_CACHE

log = logging.getLogger(__name__)

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class RunInputs:
    """The inputs that all folds share.

    Args:
        proteins: N proteins, labelled or not.
        fold: (N,) folds, from 1.
        group: (N,) groups; a group lies in one fold.
        alignments: homologs of the proteins, or None.
        aligned: counts of proteins with homologs, or None without alignments.
        files: the files that were read, by their content (such as "labels of ZN").
    """

    proteins: Proteins
    fold: Ints
    group: Ints
    alignments: Alignments | None
    aligned: AlignmentCounts | None
    files: dict[str, Path]

    def write_folds(self, path: Path) -> None:
        """Write folds.csv."""
        write_folds(path, self.proteins, folds=self.fold, groups=self.group)


@dataclass(frozen=True)
class FoldProteins:
    """The proteins of one fold's training.

    Args:
        training: proteins that the model learns from.
        validation: proteins that choose the epoch.
        held_out: proteins to predict; each is labelled for at least one ion.
        inner: whether `validation` comes from the training folds and not from the held-out fold.
        alignments: homologs, or None.
    """

    training: Proteins
    validation: Proteins
    held_out: Proteins
    inner: bool
    alignments: Alignments | None


def read_proteins(config: BindingConfig) -> tuple[Proteins, dict[str, Path]]:
    """Read the proteins that the settings name, and return them with their files.

    Raises:
        InputError: a file is missing or malformed.
    """
    training, data = config.training, config.data
    if not training.ions and data.unlabelled_fasta is None and data.msa_dir is not None:
        return aligned_proteins(Path(data.msa_dir)), {}
    paths = {}
    if training.ions:
        paths = label_files(config.label_paths, ions=training.ions, groups=data.ion_groups)
    proteins = load_proteins(paths, ions=training.ions, groups=data.ion_groups, unlabelled=data.unlabelled_fasta)
    named = {f"labels of {ion}": path for ion, path in paths.items()}
    if data.unlabelled_fasta is not None:
        named["unlabelled proteins"] = data.unlabelled_fasta
    return proteins, named


def read_run(config: BindingConfig, run: Path, *, divided: tuple[Ints, Ints] | None = None) -> RunInputs:
    """Read proteins and alignments, and divide the proteins.

    Args:
        config: the settings.
        run: the run folder; it holds the cache of alignments if data.cache_dir is not set.
        divided: fold and group of each protein, if another process has divided them already.

    Raises:
        InputError: a file is missing or malformed.
        ConfigError: there are too few proteins for the folds.
    """
    proteins, named = read_proteins(config)
    if divided is None:
        group = group_proteins(config, proteins, named)
        fold = place_in_folds(config, proteins, group, named)
    else:
        fold, group = divided
    alignments, aligned = read_alignments(config, proteins, run)
    return RunInputs(proteins, fold, group, alignments, aligned, named)


def group_proteins(config: BindingConfig, proteins: Proteins, named: dict[str, Path]) -> Ints:
    """Group of each protein (N,); if groups are read from a table, its path is added to `named`.

    Raises:
        InputError: the table is malformed.
        ConfigError: the proteins cannot be clustered with these settings.
    """
    data = config.data
    if data.clusters in METHODS:
        method: Any = data.clusters
        return cluster_proteins(proteins.names, proteins.sequences, method=method, identity=data.cluster_identity)
    named["clusters"] = Path(data.clusters)
    return read_clusters(named["clusters"], names=proteins.names, sequences=proteins.sequences)


def place_in_folds(config: BindingConfig, proteins: Proteins, group: Ints, named: dict[str, Path]) -> Ints:
    """Fold of each protein (N,), from 1; if folds are read from a table, its path is added to `named`.

    Raises:
        InputError: the table is malformed.
        ConfigError: there are too few groups, or the table has another number of folds than training.num_folds.
    """
    count = config.training.num_folds
    if config.data.folds is None:
        return assign_folds(proteins, group, num_folds=count, seed=config.training.seed)
    named["folds"] = config.data.folds
    fold = read_folds(config.data.folds, names=proteins.names)
    if int(fold.max()) != count:
        raise ConfigError(f"{config.data.folds}: has {int(fold.max())} folds, training.num_folds is {count}")
    return fold


def read_alignments(
    config: BindingConfig, proteins: Proteins, run: Path
) -> tuple[Alignments | None, AlignmentCounts | None]:
    """Read the alignments of the proteins, and count the proteins with an alignment and with homologs.

    Args:
        config: the settings.
        proteins: the proteins of the run.
        run: the folder that holds the cache of alignments if data.cache_dir is not set.

    Raises:
        InputError: lists the alignments that cannot be read or that belong to another protein.
    """
    data, training = config.data, config.training
    if data.msa_dir is None:
        return None, None
    paths, _ = alignment_files(data.msa_dir, looked_for=proteins.looked_for(), groups=data.ion_groups)
    samplings = (training.msa_sampling, training.validation_context)
    bounds = [sampling.neighbor_similarity_lower_bound for sampling in samplings]
    cache = data.cache_dir or run / ALIGNMENT_CACHE
    alignments = Alignments(paths, cache_dir=cache, neighbor_similarity_lower_bounds=bounds)
    sequences = dict(zip(proteins.names, proteins.sequences, strict=True))
    alignments.prepare(
        sequences,
        progress=lambda names: tracked(names, "reading alignments", len(names), unit="alignments", log=log),
    )
    pairs = zip(proteins.names, proteins.sequences, strict=True)
    return alignments, count_aligned(pairs, spec=_sampled_rows(config), alignments=alignments)


def _sampled_rows(config: BindingConfig) -> RowSpec:
    """The settings with which training draws homologs, for any encoder."""
    sampling = config.training.msa_sampling.model_dump()
    most_residues = sampling.pop("max_query_length")
    return RowSpec(
        max_residues=most_residues,
        max_tokens=sampling["max_token_length"],
        frame=0,
        context=ContextSpec(**sampling),
        overlap=CHUNK_OVERLAP,
    )


def divide(inputs: RunInputs, config: BindingConfig, fold: int) -> FoldProteins:
    """Training, validation and held-out proteins of a fold.

    Raises:
        ConfigError: there is no such fold.
    """
    if fold not in set(inputs.fold.tolist()):
        raise ConfigError(f"there is no fold {fold}, expected 1 to {config.training.num_folds}")
    proteins, training = inputs.proteins, config.training
    labelled = np.asarray(proteins.labelled().any(axis=1))
    out, learned = np.flatnonzero(inputs.fold == fold), np.flatnonzero(inputs.fold != fold)
    chosen = out
    if training.inner_validation_fraction:
        taken = inner_validation(
            proteins.subset(learned),
            inputs.group[learned],
            fraction=training.inner_validation_fraction,
            seed=training.seed,
        )
        chosen, learned = learned[taken], learned[~taken]
    return FoldProteins(
        training=proteins.subset(learned),
        validation=proteins.subset(chosen),
        held_out=proteins.subset(out[labelled[out]]),
        inner=bool(training.inner_validation_fraction),
        alignments=inputs.alignments,
    )


def read_fold(config: BindingConfig, fold: int) -> FoldProteins:
    """Training, validation and held-out proteins of a fold, straight from the settings."""
    return divide(read_run(config, config.training.output_dir), config, fold)
