"""Read, check and write the settings of all commands."""

import difflib
import reprlib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from bindtune.errors import ConfigError, InputError


class Settings(BaseModel):
    """Base of all settings: frozen, refuses unknown keys, shows field docstrings as help."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        defer_build=True,  # a command needs one model, and its help needs none
    )

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_value_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse true and false for numbers; Python would take true for 1."""
        field = cls.model_fields[str(info.field_name)]
        if isinstance(value, bool) and not _takes_truth_values(field.annotation):
            raise ValueError("expected no truth value")
        return value


def as_list(value: Any) -> Any:
    """A list of one value; a list stays as it is. For validators of settings that take one value or several."""
    return value if isinstance(value, list | tuple) else [value]


def split_commas(value: Any) -> Any:
    """The names in a text, or in a list of texts, that commas separate; other values stay, and pydantic judges them.

    Examples:
        >>> split_commas("ZN, CA"), split_commas(["ZN", "CA,MG"]), split_commas(7)
        (['ZN', 'CA'], ['ZN', 'CA', 'MG'], 7)
    """
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple):
        return value
    return [name.strip() for text in texts for name in str(text).split(",") if name.strip()]


Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]

S = TypeVar("S", bound=Settings)

_shortened = reprlib.Repr()
_shortened.maxstring = _shortened.maxother = _shortened.maxlong = 200


def build(
    model: type[S], values: Mapping[str, Any], *, source: Path | str | None = None, options: Collection[str] = ()
) -> S:
    """Validate settings.

    Args:
        model: settings model of the command.
        values: the settings of the user; all others have their defaults.
        source: the settings file, for messages.
        options: names (``section.key`` in a section) of the settings from the command line.

    Raises:
        ConfigError: the file is for another command; or settings are unknown, of a wrong type or impossible (the
            message names all of them, and the nearest name of an unknown one).
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        if source is not None:
            from bindtune.config.commands import refuse_other_command  # here, because it imports all models

            refuse_other_command(model, _in_file(values, options), Path(source))
        problems_by_source: dict[bool, list[str]] = {True: [], False: []}
        for detail in error.errors(include_url=False):
            problems_by_source[_is_given(detail["loc"], options)].append(_problem(model, detail))
        in_file, typed = ("; ".join(problems) for problems in (problems_by_source[False], problems_by_source[True]))
        where = f"{source}: " if source and in_file else ""
        between = "; on the command line: " if in_file and typed else ""
        raise ConfigError(f"{where}{in_file}{between}{typed}") from error


def _in_file(values: Mapping[str, Any], options: Collection[str]) -> list[str]:
    """First-level names that only the file has."""
    return [str(name) for name in values if str(name) not in {each.partition(".")[0] for each in options}]


def read_yaml(path: Path, *, notes: bool = False) -> dict[str, Any]:
    """Read a YAML file that holds settings.

    Args:
        path: the file.
        notes: allow further documents in the file, which are not read.

    Raises:
        InputError: the file is missing, is not YAML, or does not hold names and values.
    """
    from bindtune.yaml_json import read_document  # here and below, so that --help does not import yaml

    content = read_document(path, notes=notes)
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InputError(path, None, f"expected names and values, found {type(content).__name__}")
    return content


def read_override(override: str, *, example: str) -> tuple[str, Any]:
    """Parse `name=value`; the value is YAML.

    Raises:
        ConfigError: the text has another form; the message shows `example`.
    """
    name, equals, text = override.partition("=")
    if not equals or not name:
        raise ConfigError(f"'{override}' is no setting, expected {example}")
    from bindtune.yaml_json import read_value

    try:
        return name, read_value(text)
    except ValueError as error:
        raise ConfigError(f"'{override}': the value is not YAML: {error}") from error


def load(model: type[S], *, config: Path | None, options: Mapping[str, Any]) -> S:
    """Settings from a YAML file (or None) and from the command line; the command line wins."""
    if config is None:
        return build(model, options)
    return build(model, {**read_yaml(config), **options}, source=config, options=options)


def dump(settings: Settings) -> str:
    """All settings as YAML, including defaults."""
    from bindtune.yaml_json import write_document

    return write_document(settings.model_dump(mode="json"))


def _takes_truth_values(annotation: Any) -> bool:
    """Whether a field takes true and false, or text; for text, pydantic's own message is better."""
    return annotation in (bool, str) or any(map(_takes_truth_values, get_args(annotation)))


def _is_given(location: tuple[Any, ...], options: Collection[str]) -> bool:
    """Whether a setting, or a part of it, came from the command line."""
    name = ".".join(map(str, location))
    return any(f"{name}.".startswith(f"{each}.") or not name or f"{each}.".startswith(f"{name}.") for each in options)


def _problem(model: type[Settings], detail: Any) -> str:
    name = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        return f"unknown setting '{name}'{_nearest(model, detail['loc'])}"
    if detail["type"] == "missing":
        return f"{name} is required"
    message = str(detail["msg"]).removeprefix("Value error, ")
    if detail["type"] == "string_type" and isinstance(detail["input"], bool | int | float):
        message += " (a name that looks like a number or a truth value needs quotes)"
    return f"{name}: {message}, found {_shortened.repr(detail['input'])}" if name else message


def _nearest(model: type[Settings], location: tuple[Any, ...]) -> str:
    for part in location[:-1]:
        field = model.model_fields.get(str(part))
        section = None if field is None else section_of(field.annotation)
        if section is None:
            return ""
        model = section
    return nearest(str(location[-1]), model.model_fields)


def section_of(annotation: Any) -> type[Settings] | None:
    """The settings model of a section, or None for a field with a value."""
    kinds = (annotation, *get_args(annotation))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Settings)), None)


def nearest(name: str, names: Iterable[str]) -> str:
    """The end of a message about an unknown name: a hint at the most similar of `names`, if any."""
    close = difflib.get_close_matches(name, list(names), n=1)
    return f"; did you mean '{close[0]}'?" if close else ""
