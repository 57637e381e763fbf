"""JSON schema (draft 2020-12) of a command's settings, with which editors complete and check YAML."""

from typing import Any

from bindtune.config.commands import settings_of

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_LIMITS = (
    "Each setting is checked alone; the command checks the rules between settings. Required settings may also stand on "
    "the command line, so the schema lets a file leave them out. The command also accepts numbers and switches that "
    "are written as text, such as '7'; the schema does not."
)


def settings_schema(command: str) -> dict[str, Any]:
    """JSON schema of the settings file of a command.

    Args:
        command: name of a command, such as "train".

    Raises:
        ConfigError: the command takes no settings file.

    Example:
        >>> settings_schema("windows")["properties"]["stride"]["default"]
        256
    """
    schema = settings_of(command).model_json_schema()
    for name in schema.pop("required", ()):
        schema["properties"][name]["description"] += " Required, here or on the command line."
    if command == "train":
        _add_earlier_names(schema)
    about = {"$schema": _DRAFT, "title": f"Settings of bindtune {command}", "$comment": _LIMITS}
    return {**schema, **about}


def _add_earlier_names(schema: dict[str, Any]) -> None:
    """Accept the settings' names of the original code, as the loader does."""
    from bindtune.config.binding import EARLIER_NAMES, WITHOUT_EFFECT

    general: dict[str, Any] = {"type": ["object", "null"], "properties": {}, "additionalProperties": False}
    schema["properties"]["general"] = {**general, "deprecated": True, "description": "Settings of the original code."}
    for earlier, present in EARLIER_NAMES.items():
        about = {"deprecated": True, "description": f"Earlier name of {present}."}
        _put(schema, earlier, {**_get(schema, present), **about})
    for name, reason in WITHOUT_EFFECT.items():
        _put(schema, name, {"deprecated": True, "description": f"Without effect: {reason}."})


def _section(schema: dict[str, Any], name: str) -> dict[str, Any]:
    """The object schema of a section; an empty name means the whole schema."""
    if not name:
        return schema
    section: dict[str, Any] = schema["properties"][name]
    for choice in (section, *section.get("anyOf", ())):
        if "$ref" in choice:
            definition: dict[str, Any] = schema["$defs"][choice["$ref"].rpartition("/")[2]]
            return definition
    return section


def _get(schema: dict[str, Any], path: str) -> dict[str, Any]:
    section, _, name = path.rpartition(".")
    setting: dict[str, Any] = _section(schema, section)["properties"][name]
    return setting


def _put(schema: dict[str, Any], path: str, setting: dict[str, Any]) -> None:
    section, _, name = path.rpartition(".")
    _section(schema, section)["properties"][name] = setting
