"""`bindtune sites`: from structures, BioLiP or UniProt to label files, the table of sites and their summary."""

import json
import logging
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bindtune import __version__
from bindtune.config import SitesConfig
from bindtune.data.protein.sites import Records, elements_of
from bindtune.errors import ConfigError, InputError
from bindtune.io.components import ion_codes, van_der_waals_radius
from bindtune.outputs import output_folder
from bindtune.preparation.annotations import BioLipReader, UniProtReader
from bindtune.preparation.ion_counts import IonCounts
from bindtune.preparation.site_files import SiteOutput, SiteTables, label_path, write_labels, write_proteins
from bindtune.preparation.structures import StructureReader
from bindtune.runs.exclusive import only_writer
from bindtune.runs.names import CHAINS, COUNT_SUMMARY, FILES, PROTEINS, PROVENANCE, SITES
from bindtune.runs.provenance import provenance
from bindtune.runs.writing import atomic_path, sweep, write_text, writing

log = logging.getLogger(__name__)

_PACKAGES = ("biotite", "numpy", "scipy")


def make_sites(config: SitesConfig) -> str:
    """Write the files, and return a summary.

    Raises:
        InputError: a file is malformed, or an output exists.
        ConfigError: an ion is unknown, or another process writes into the folder.
    """
    named = [ion if ion in config.ion_groups else ion.upper() for ion in config.ions]
    config = config.model_copy(update={"ions": named})
    elements = {ion: elements_of(ion, config.ion_groups) for ion in config.ions}
    _check_radii(config, elements)
    output_folder(config.out)
    with only_writer(config.out, tidy=True):
        return _make_sites(config, elements)


def _check_radii(config: SitesConfig, elements: Mapping[str, tuple[str, ...]]) -> None:
    if config.rule != "biolip":
        return
    for ion, members in elements.items():
        if all(van_der_waals_radius(element) is None for element in members):
            raise ConfigError(f"rule biolip: no van der Waals radius of {ion} is known, expected rule distance")


def _make_sites(config: SitesConfig, elements: Mapping[str, tuple[str, ...]]) -> str:
    out = config.out
    old = [out / name for name in (COUNT_SUMMARY, SITES, CHAINS, FILES, PROTEINS, PROVENANCE) if (out / name).exists()]
    old += sorted(path for path in out.glob("*_train.fa"))
    if old and not config.overwrite:
        raise InputError(old[0], None, "is there already; --overwrite replaces the files of an earlier run")
    sweep(out)
    records, ions = Records(), IonCounts(elements)
    with writing(out), ExitStack() as files:
        # The file that is opened first gets its name last: if the summary exists, the other files exist too.
        summary_path = files.enter_context(atomic_path(out / COUNT_SUMMARY))
        reader = _reader(config)(config, SiteOutput(elements, records, SiteTables(out, files), ions))
        reader.read()
        summary = _summary(config, reader.counts(), records, ions)
        for ion in config.ions:
            if summary["ions"][ion]["records"]:
                write_labels(label_path(out, ion), records, ion, unknown=config.unknown)
        write_proteins(out / PROTEINS, records, config.ions)
        write_text(out / PROVENANCE, json.dumps(provenance(_inputs(config), _PACKAGES), indent=2) + "\n")
        summary_path.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
        _remove_old(config, old, summary)
    _warn(config, summary)
    return _report(config, summary, reader.lines())


def _reader(config: SitesConfig) -> type[StructureReader] | type[BioLipReader] | type[UniProtReader]:
    if config.biolip is not None:
        return BioLipReader
    return UniProtReader if config.uniprot else StructureReader


def _inputs(config: SitesConfig) -> dict[str, Path]:
    """Files of annotations; structures have their own table with hashes."""
    named = {"biolip": config.biolip} if config.biolip is not None else {}
    return named | {f"uniprot {number}": path for number, path in enumerate(config.uniprot, start=1)}


def _summary(config: SitesConfig, counts: dict[str, Any], records: Records, ions: IonCounts) -> dict[str, Any]:
    used = counts["chains"]["used"]
    return {
        **counts,
        "records": {"all": len(records), "merged_chains": used - len(records)},
        "ions": ions.as_dict(records),
        "ion_groups": {name: list(elements_of(name, config.ion_groups)) for name in config.ion_groups},
        "component_codes": {
            element: list(ion_codes().get(element, ()))
            for ion in config.ions
            for element in elements_of(ion, config.ion_groups)
        },
        "settings": config.model_dump(mode="json"),
        "version": __version__,
    }


def _remove_old(config: SitesConfig, old: list[Path], summary: Mapping[str, Any]) -> None:
    written = {label_path(config.out, ion) for ion in config.ions if summary["ions"][ion]["records"]}
    for path in old:
        if path.name.endswith("_train.fa") and path not in written:
            path.unlink(missing_ok=True)


def _warn(config: SitesConfig, summary: Mapping[str, Any]) -> None:
    for ion in config.ions:
        counts = summary["ions"][ion]
        if not counts["records"]:
            log.warning(
                "%s: no residue binds it, so there is no %s; %d ions were seen, %d of them dropped",
                ion, label_path(config.out, ion).name, counts["ions"], counts["ions"] - counts["kept"],
            )  # fmt: skip


def _report(config: SitesConfig, summary: Mapping[str, Any], lines: list[str]) -> str:
    chains, records = summary["chains"]["used"], summary["records"]["all"]
    lines.append(f"{chains} proteins or chains, {records} different sequences")
    for ion in config.ions:
        counts = summary["ions"][ion]
        residues = counts["residues"]
        lines.append(
            f"{ion}: {counts['ions']} ions, {counts['kept']} kept; {counts['records']} proteins, "
            f"{residues['binding']} binding residues, {residues['unknown']} unknown"
        )
        lines += [f"{ion}: {count} ions dropped: {reason}" for reason, count in counts["dropped"].items()]
        if counts["disagreeing_residues"]:
            lines.append(f"{ion}: chains of one sequence disagree on {counts['disagreeing_residues']} residues")
    return "\n".join([*lines, f"{config.out / COUNT_SUMMARY}: all counts"])
