"""Make a commented settings file from a settings model: every setting with its help, default and choices."""

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from bindtune.config.commands import settings_of
from bindtune.config.settings import Settings, section_of
from bindtune.init.starters import DEFAULT, STARTERS, Choice

_WIDTH = 110

_HEAD = """\
    bindtune {command} --config {command}.yaml

A line such as #seed: 1 is a setting at its default. Remove the '#' to change it.
FILL IN marks settings that you must check. Paths start at the folder in which the command runs.
A setting on the command line wins over this file: {override}.
An editor with a YAML language server completes and checks this file once you run
`bindtune schema {command} --out {command}.schema.json` and make this the first line, without the brackets:
[# yaml-language-server: $schema={command}.schema.json]
"""


def settings_file(command: str) -> str:
    """The text of a starter settings file in YAML.

    Args:
        command: a command in `STARTERS`.

    Raises:
        ConfigError: the command takes no settings file.
    """
    model, starter = settings_of(command), STARTERS[command]
    override = "training.seed=2" if any("." in name for name in starter.choices) else "--seed 2"
    head = _HEAD.format(command=command, override=override).splitlines()
    lines = [*_comment(_one_line(model.__doc__)), "#", *(f"# {line}".rstrip() for line in head), "#"]
    lines += _comment(starter.notes)
    return "\n".join([*lines, *_settings(model, starter.choices)]) + "\n"


def _settings(model: type[Settings], choices: Mapping[str, Choice], *, sign: str = "") -> Iterator[str]:
    """Lines of all settings. Settings without a choice begin with '#'; with `sign` '#', all do."""
    for name, field in model.model_fields.items():
        section = section_of(field.annotation)
        inside = {key.removeprefix(f"{name}."): choice for key, choice in choices.items() if key.startswith(f"{name}.")}
        yield ""
        yield from _comment(_one_line(field.description))
        if section is not None and (inside or field.get_default() is not None):
            mark = sign if inside else "#"
            yield f"{mark}{name}:"
            yield from (f"  {line}" if line else "" for line in _settings(section, inside, sign=mark))
            continue
        yield from _comment(_choices(field.annotation))
        choice = choices.get(name)
        if choice is None:
            yield f"#{name}: {_yaml(_default(field))}"
            continue
        yield from _comment(_about(field, choice))
        yield f"{sign}{name}: {_yaml(_default(field) if choice.value is DEFAULT else choice.value)}"


def _about(field: FieldInfo, choice: Choice) -> str:
    """The comment of a setting that the file sets."""
    own = choice.value is DEFAULT or choice.fill_in or field.is_required()
    differs = not own and choice.value != _default(field)
    parts = [
        "FILL IN." if choice.fill_in else "",
        choice.note,
        f"The default is {_yaml(_default(field))}." if differs else "",
    ]
    return " ".join(filter(None, parts))


def _choices(annotation: Any) -> str:
    """The values of a setting, if it has only a few."""
    for kind in (annotation, *get_args(annotation)):
        if get_origin(kind) is Literal:
            return f"One of: {', '.join(map(str, get_args(kind)))}."
    return ""


def _default(field: FieldInfo) -> Any:
    default = field.get_default(call_default_factory=True)
    if isinstance(default, tuple):
        return list(default)
    return default if isinstance(default, bool | int | float | list | dict | None) else str(default)


def _yaml(value: Any) -> str:
    from bindtune.yaml_json import write_value  # here, so that --help does not import PyYAML

    return write_value(value)


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)
