"""The command line: parse, load the configuration, call one function. Heavy imports stand inside the commands."""

import sys
from typing import Annotated

import typer

from bindtune import __version__
from bindtune.errors import BindtuneError

# Options may be written --like-this or, as the original scripts had them, --like_this.
_CONTEXT = {"token_normalize_func": lambda token: token.replace("_", "-"), "help_option_names": ["-h", "--help"]}

app = typer.Typer(
    help=__doc__,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings=_CONTEXT,
    rich_markup_mode=None,
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"bindtune {__version__}")
        raise typer.Exit


@app.callback(help="Adapt biological language models with annotated binding regions.")
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True)] = False,
) -> None:
    """Options that stand before the command."""


def main() -> None:
    """Run the command line; exit codes: 0 done, 1 a check said no, 2 the user can fix it, 130 interrupted."""
    try:
        app()
    except BindtuneError as error:
        sys.stderr.write(f"bindtune: {error}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.stderr.write("bindtune: interrupted\n")
        sys.exit(130)
