"""Reference pages made from the code when the documentation is built: commands, settings, public names.

Three directives, each without arguments: ``commands`` lists every command of the command line with its options,
``settings`` every configuration with its defaults, ``public-names`` the names that `import bindtune` offers.
"""

from typing import Any, ClassVar

import typer
from docutils import nodes
from docutils.statemachine import StringList
from pydantic_core import PydanticUndefined
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import bindtune
from bindtune.cli import app
from bindtune.config import Settings
from bindtune.config.commands import COMMANDS, settings_of
from bindtune.config.settings import section_of


class _FromCode(SphinxDirective):
    """Parses the reStructuredText that `lines` makes, headings included."""

    has_content: ClassVar[bool] = False

    def run(self) -> list[nodes.Node]:
        """Parse what the code says."""
        doc_nodes: list[nodes.Node] = []
        for title, lines in self.parts():
            section = nodes.section(ids=[nodes.make_id(title)])
            section += nodes.title(text=title)
            # The pages are MyST, which hands this fence to the reStructuredText parser.
            fenced = ["```{eval-rst}", *lines, "```"]
            self.state.nested_parse(StringList(fenced, source=type(self).__name__), 0, section)
            self.state.document.note_implicit_target(section, section)
            doc_nodes.append(section)
        return doc_nodes

    def parts(self) -> list[tuple[str, list[str]]]:
        """Title and reStructuredText of each section."""
        raise NotImplementedError


class Commands(_FromCode):
    """Every command with its arguments and options, as `--help` shows them."""

    def parts(self) -> list[tuple[str, list[str]]]:
        """One section a command."""
        group: Any = typer.main.get_command(app)
        return [(f"bindtune {name}", _command(name, command)) for name, command in sorted(group.commands.items())]


def _command(name: str, command: Any) -> list[str]:
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option" and not one.hidden]
    usage = " ".join(["bindtune", name, *(one.name.upper() for one in arguments), "[OPTIONS]" if options else ""])
    lines = [*(command.help or "").strip().splitlines(), "", ".. code-block:: text", "", f"   {usage}", ""]
    rows = [(f"``{one.name.upper()}``", one.help or "") for one in arguments]
    rows += [(_flags(one), _meaning(one)) for one in options]
    return lines + _table(("Option", "Meaning"), rows, widths="35 65")


def _flags(option: Any) -> str:
    names = ", ".join(f"``{name}``" for name in [*option.opts, *option.secondary_opts])
    choices = (option.metavar or "").replace("|", r"\|")  # a bare | begins a substitution
    return names if option.is_flag else f"{names} {choices}".strip()


def _meaning(option: Any) -> str:
    text = option.help or ""
    plain = option.default is None or option.is_flag or "[default:" in text
    return text if plain else f"{text} [default: {option.default}]"


class SettingsReference(_FromCode):
    """Every configuration: names, types, defaults and meanings, from the pydantic models."""

    def parts(self) -> list[tuple[str, list[str]]]:
        """One section a command."""
        return [(f"bindtune {command}", _model(settings_of(command))) for command in COMMANDS]


def _model(model: type[Settings]) -> list[str]:
    lines = [*(model.__doc__ or "").strip().splitlines(), ""]
    return lines + _table(("Setting", "Default", "Meaning"), _fields(model, ""), widths="30 20 50")


def _fields(model: type[Settings], before: str) -> list[tuple[str, str, str]]:
    rows = []
    for name, field in model.model_fields.items():
        section = section_of(field.annotation)
        if section is not None:
            rows.append((f"``{before}{name}``", "a section" if _is_on(field) else "null", field.description or ""))
            rows += _fields(section, f"{before}{name}.")
            continue
        default = "required" if field.is_required() else f"``{_shown(field)}``"
        rows.append((f"``{before}{name}``", default, field.description or ""))
    return rows


def _is_on(field: Any) -> bool:
    return field.is_required() or field.get_default(call_default_factory=True) is not None


def _shown(field: Any) -> str:
    default = field.get_default(call_default_factory=True)
    if default is None or default is PydanticUndefined:
        return "null"
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, list | tuple):
        return "[" + ", ".join(map(str, default)) + "]"
    return str(default)


class PublicNames(_FromCode):
    """What `import bindtune` offers, from docstrings."""

    def parts(self) -> list[tuple[str, list[str]]]:
        """One section a name."""
        return [(name, _public(name)) for name in bindtune.__all__]


def _public(name: str) -> list[str]:
    home = bindtune._HOMES[name]
    public_name = getattr(bindtune, name)
    if isinstance(public_name, type):
        own = [member for member in ("forward", "__call__", "get_batch_kwargs") if member in vars(public_name)]
        members = [f"   :members: {', '.join(own)}"] if own else []
        special = ["   :special-members: __call__"] if "__call__" in own else []
        return [f".. autoclass:: {home}.{name}", *members, *special, ""]
    return [f".. autofunction:: {home}.{name}", ""]


def _table(heads: tuple[str, ...], rows: Any, *, widths: str) -> list[str]:
    lines = [".. list-table::", "   :header-rows: 1", f"   :widths: {widths}", ""]
    for row in [heads, *rows]:
        for column, cell in enumerate(row):
            text = cell if column == 0 or cell.startswith("``") or row is heads else _plain(cell)
            lines.append(f"   {'*' if column == 0 else ' '} - {text}")
    return [*lines, ""]


def _plain(text: str) -> str:
    """Text in one line, in which nothing is markup."""
    text = " ".join(text.split())
    for sign in ("\\", "*", "`", "_", "|"):
        text = text.replace(sign, f"\\{sign}")
    return text


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives."""
    app.add_directive("commands", Commands)
    app.add_directive("settings", SettingsReference)
    app.add_directive("public-names", PublicNames)
    return {"version": bindtune.__version__, "parallel_read_safe": True}
