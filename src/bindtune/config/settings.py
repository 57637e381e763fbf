"""What every configuration shares: how settings are read, checked and written."""

import difflib
import reprlib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from bindtune.errors import ConfigError, InputError


class Settings(BaseModel):
    """What all configurations share: frozen, unknown keys refused, field docstrings shown as help."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        defer_build=True,  # until it is used: a command needs one model, and its help none
    )

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_value_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Python takes true for 1."""
        field = cls.model_fields[str(info.field_name)]
        if isinstance(value, bool) and not _takes_truth_values(field.annotation):
            raise ValueError("expected no truth value")
        return value


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
        model: which configuration.
        values: the settings that were given; the others take their defaults.
        source: the file they came from, for messages.
        options: names (``section.key`` in a section) of those that came from the command line instead.

    Raises:
        ConfigError: the file is for another command; or names every setting that is unknown (with the nearest known
            name), of a wrong type or impossible.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        if source is not None:
            from bindtune.config.commands import refuse_other_command  # it knows all models, and this one none

            refuse_other_command(model, _in_file(values, options), Path(source))
        told: dict[bool, list[str]] = {True: [], False: []}
        for detail in error.errors(include_url=False):
            told[_is_given(detail["loc"], options)].append(_problem(model, detail))
        in_file, typed = ("; ".join(problems) for problems in (told[False], told[True]))
        where = f"{source}: " if source and in_file else ""
        between = "; on the command line: " if in_file and typed else ""
        raise ConfigError(f"{where}{in_file}{between}{typed}") from error


def _in_file(values: Mapping[str, Any], options: Collection[str]) -> list[str]:
    """Names of the first level that came from the file alone."""
    return [str(name) for name in values if str(name) not in {each.partition(".")[0] for each in options}]


def read_yaml(path: Path, *, notes: bool = False) -> dict[str, Any]:
    """Read a YAML file that holds settings.

    Args:
        path: the file.
        notes: further documents in the file are notes, and are not read.

    Raises:
        InputError: the file is missing, is not YAML, or does not hold names and values.
    """
    from bindtune.yaml_json import read_document  # here and below: --help comes without yaml

    content = read_document(path, notes=notes)
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InputError(path, None, f"expected names and values, found {type(content).__name__}")
    return content


def read_override(override: str, *, example: str) -> tuple[str, Any]:
    """Name and value of `name=value`; the value is YAML.

    Raises:
        ConfigError: it is something else; says that `example` was expected.
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
    """Settings from a YAML file, or None, and from the command line, which wins."""
    if config is None:
        return build(model, options)
    return build(model, {**read_yaml(config), **options}, source=config, options=options)


def dump(settings: Settings) -> str:
    """The resolved settings as YAML, every default written out."""
    from bindtune.yaml_json import write_document

    return write_document(settings.model_dump(mode="json"))


def _takes_truth_values(annotation: Any) -> bool:
    """Whether a field may be true or false, or holds text, of which pydantic says better what is wrong."""
    return annotation in (bool, str) or any(map(_takes_truth_values, get_args(annotation)))


def _is_given(location: tuple[Any, ...], options: Collection[str]) -> bool:
    """Whether a setting, or all that is in it, came from the command line; of several that do not fit, any of them."""
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
    """The settings model that a field holds, or None where it holds values."""
    kinds = (annotation, *get_args(annotation))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Settings)), None)


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: the known one that is most like it, if any."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean '{close[0]}'?" if close else ""
