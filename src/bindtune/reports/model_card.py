"""A model card: the README.md beside a model, with the hub's YAML header, made from the files of its run.

Texts of users (names, paths, settings) are in code spans, where Markdown and HTML have no effect, or in the header,
where PyYAML quotes them. Files are named without their folders, because folders may be private.
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from bindtune import __version__
from bindtune.models.backbones import BACKBONES, Licence
from bindtune.yaml_json import write_document

AUTO_CLASSES = "The auto classes of transformers load {what} too, after the line `import bindtune.auto`."
"""A sentence of a card on models whose classes are bindtune's own."""
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_DNABERT2 = Licence(
    header={"license": "apache-2.0"},
    text="Apache-2.0, as the weights of DNABERT-2 that it was made from.",
    hub_names="zhihan1996/DNABERT-2-117M",
)
_UNKNOWN = Licence(
    header={}, text="The terms of the base model apply; they are not recorded in the run, so no licence is stated."
)


@dataclass(frozen=True)
class Card:
    """A model card. Paragraphs are Markdown with users' words in `code`; cells of inputs and settings are plain.

    Args:
        title: what it is.
        header: of the hub: tags, library_name and so on, without the licence.
        about: paragraphs on what it is and how it was made.
        loading: how it is loaded.
        inputs: (what, file, SHA-256) of what it was trained on.
        settings: (name, value) of the most important settings.
        figures: rows of the table of figures; the first cell is plain, the others are numbers.
        figure_heads: its heads.
        figure_note: a sentence about the data of the figures.
        limits: sentences about the limits of the model.
        terms: the licence.
    """

    title: str
    header: dict[str, Any]
    about: tuple[str, ...]
    loading: str
    inputs: tuple[tuple[str, str, str], ...]
    settings: tuple[tuple[str, str], ...]
    figures: tuple[tuple[str, ...], ...]
    figure_heads: tuple[str, ...]
    figure_note: str
    limits: tuple[str, ...]
    terms: Licence

    @property
    def licence(self) -> str:
        """The licence as a sentence."""
        return self.terms.text

    @property
    def notice(self) -> str:
        """The terms that must be passed on."""
        return self.terms.notice


def render(card: Card) -> str:
    """The card as Markdown."""
    header = write_document({**card.terms.header, **card.header})
    text = _template().render(card=card, header=header)
    return text.rstrip() + f"\n\nWritten by bindtune {__version__}.\n"


@cache
def _template() -> Template:
    # Nothing is escaped for HTML, as this is none: code spans and YAML quoting do it.
    environment = Environment(  # noqa: S701
        loader=PackageLoader("bindtune.reports"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["cell"] = lambda value: code(value).replace("|", "\\|")
    return environment.get_template("model_card.md.j2")


def code(value: object) -> str:
    """Any text as a code span of one line; a dash for an empty text."""
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in str(value)).split())
    if not text:
        return "-"
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence} {text} {fence}" if "`" in text else f"{fence}{text}{fence}"


def base_name(checkpoint: object, inputs: dict[str, Any]) -> str | None:
    """The hub name of a base model; None for a folder, which nobody else could load.

    Args:
        checkpoint: what the settings say.
        inputs: input files of provenance.json; where they tell of the base, they tell whether the hub's cache had it.
    """
    name = str(checkpoint)
    if _HUB_NAME.fullmatch(name) is None or Path(name).exists():
        return None
    paths = [str(_get(each, "path")) for key, each in inputs.items() if key.startswith("base ")]
    cached = f"models--{name.replace('/', '--')}"
    return name if all(cached in Path(path).parts for path in paths) else None


def licence_of(kind: str, base: str | None) -> Licence:
    """The licence of a model that derives from another one.

    Args:
        kind: model type of the base: one of `BACKBONES`, dnabert2 or another.
        base: its hub name, or None.
    """
    licence = BACKBONES[kind].licence if kind in BACKBONES else _DNABERT2
    return licence if licence.covers(base) else _UNKNOWN


def base_words(checkpoint: object, base: str | None) -> str:
    """The base model in a sentence."""
    return code(base) if base else f"the model in the folder {code(Path(str(checkpoint)).name)} (not a hub name)"


def input_rows(inputs: dict[str, Any]) -> tuple[tuple[str, str, str], ...]:
    """Its training inputs; files without their folders."""
    return tuple(
        (name, Path(str(_get(each, "path"))).name, str(_get(each, "sha256") or "-")) for name, each in inputs.items()
    )


def inputs_of(origin: dict[str, Any]) -> dict[str, Any]:
    """Input files of a provenance.json; none if it is missing or malformed."""
    inputs = origin.get("inputs")
    return inputs if isinstance(inputs, dict) else {}


def _get(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None
