"""Command-line options made from a settings model, so that a setting's name, help and default have one home.

A command shows every field of its model as an option, and receives only those that were given. The others stay unset:
a YAML file may supply them, and the model supplies the rest.
"""

import functools
import inspect
import types
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from bindtune.config import Settings, load
from bindtune.errors import ConfigError

_METAVARS = {int: "INTEGER", float: "NUMBER", str: "TEXT", Path: "PATH"}


def with_options(
    model: type[Settings], *, exclude: Collection[str] = (), arguments: Collection[str] = ()
) -> Callable[[Callable[..., Any]], Any]:
    """Give a typer command `--config` and one option for every field of a settings model.

    The decorated function is called as ``command(config=..., options=...)``: the path of the YAML file or None, and a
    dict of the settings that stood on the command line, by field name. Values are the text that was typed (flags: bool;
    repeatable options: a list of text): the model converts and refuses them, in one place for YAML and command line.

    Args:
        model: fields of type int, float, str, bool, Path, Literal, a list or tuple of these, or any of them or None.
        exclude: fields that get no option.
        arguments: fields that stand on the command line without the name of an option.

    Raises:
        TypeError: a field is of another kind and is not excluded.
    """
    fields = {name: field for name, field in model.model_fields.items() if name not in exclude}
    parameters = [_config_parameter(), *(_parameter(name, field, name in arguments) for name, field in fields.items())]

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def run(config: Path | None, **values: Any) -> Any:
            options = {name: value for name, value in values.items() if value is not None and value != []}
            return command(config=config, options=options)

        # Typer reads these two instead of the code: a name each, all of them keyword-only.
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return run

    return decorate


def with_settings(
    model: type[Settings],
    *,
    starter: str | None = None,
    exclude: Collection[str] = (),
    arguments: Collection[str] = (),
) -> Callable[[Callable[..., Any]], Any]:
    """Give a typer command the options of `with_options`, and call it with the settings that they and the file make.

    Args:
        model: as in `with_options`.
        starter: kind of `bindtune init` whose file starts the user off, or None.
        exclude: as in `with_options`.
        arguments: as in `with_options`.
    """

    def decorate(command: Callable[..., Any]) -> Any:
        @functools.wraps(command)
        def run(config: Path | None, options: dict[str, Any]) -> Any:
            with naming_init(starter, nothing_given=config is None and not options):
                settings = load(model, config=config, options=options)
            return command(settings)

        return with_options(model, exclude=exclude, arguments=arguments)(run)

    return decorate


@contextmanager
def naming_init(starter: str | None, *, nothing_given: bool) -> Iterator[None]:
    """If a command gets no settings at all, name the `bindtune init` that writes a file of them.

    Raises:
        ConfigError: the error of the block, with the name added.
    """
    try:
        yield
    except ConfigError as error:
        if starter is None or not nothing_given:
            raise
        raise ConfigError(f"{error}; `bindtune init {starter}` writes a file of settings for --config") from error


def _config_parameter() -> inspect.Parameter:
    option = typer.Option("--config", metavar="PATH", help="YAML file of settings; an option given here wins over it.")
    return _optional("config", Path, option=option)


def _parameter(name: str, field: FieldInfo, is_argument: bool) -> inspect.Parameter:
    kind, repeated = _kind(name, field.annotation)
    flag = "--" + name.replace("_", "-")
    text = _help(field, repeated and not is_argument)
    if is_argument:
        metavar = name.upper().removesuffix("S") if repeated else name.upper()
        return _optional(name, list[str] if repeated else str, option=typer.Argument(metavar=metavar, help=text))
    if kind is bool:
        return _optional(name, bool, option=typer.Option(f"{flag}/--no-{flag[2:]}", help=text))
    option = typer.Option(flag, metavar=_metavar(kind), help=text)
    return _optional(name, list[str] if repeated else str, option=option)


def _optional(name: str, kind: Any, *, option: Any) -> inspect.Parameter:
    annotation = Annotated[kind | None, option]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _kind(name: str, annotation: Any) -> tuple[Any, bool]:
    """The type of one value, and whether there may be several."""
    if get_origin(annotation) in (Union, types.UnionType):
        options = [part for part in get_args(annotation) if part is not type(None)]
        kinds = [_kind(name, part) for part in options]
        # `int | Literal["auto"]`: any text will do here, and the model tells them apart.
        return kinds[0] if len(kinds) == 1 else (str, any(repeated for _, repeated in kinds))
    if get_origin(annotation) is Annotated:
        return _kind(name, get_args(annotation)[0])
    if get_origin(annotation) in (list, tuple):
        return _kind(name, get_args(annotation)[0])[0], True
    if annotation is bool or annotation in _METAVARS or get_origin(annotation) is Literal:
        return annotation, False
    raise TypeError(f"field '{name}' cannot be a command-line option: its type is {annotation}")


def _metavar(kind: Any) -> str | None:
    if get_origin(kind) is Literal:
        return "[" + "|".join(str(choice) for choice in get_args(kind)) + "]"
    return _METAVARS.get(kind)


def _help(field: FieldInfo, repeated: bool) -> str:
    text = field.description or ""
    if repeated:
        text += " (repeatable)"
    if field.is_required():
        return f"{text} [required]"
    default = field.get_default(call_default_factory=True)
    if default is None or default == "" or default in ([], ()):
        return text
    if isinstance(default, bool):
        return f"{text} [default: {'on' if default else 'off'}]"
    shown = ", ".join(map(str, default)) if isinstance(default, list | tuple) else default
    return f"{text} [default: {shown}]"
