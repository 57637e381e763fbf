"""Options are what the model says, and only what was given arrives."""

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import typer
from pydantic import Field
from typer.testing import CliRunner

from bindtune.config import Settings, load
from bindtune.errors import ConfigError
from bindtune.options import with_options


class Trip(Settings):
    """A model with a field of every kind."""

    train_file: Path
    """Where to start."""
    steps: int = 7
    """How many."""
    rate: Annotated[float, Field(gt=0)] | None = None
    """How fast."""
    mode: Literal["on_foot", "by_bike"] = "on_foot"
    """How."""
    loud: bool = True
    """Sing."""
    stops: tuple[str, ...] = ()
    """Where to rest."""
    ages: list[int] | tuple[int, ...] = (3, 5)
    """Who comes."""
    hidden: dict[str, int] | None = None
    """Not an option."""


@pytest.fixture
def received() -> dict[str, Any]:
    return {}


@pytest.fixture
def app(received: dict[str, Any]) -> typer.Typer:
    app = typer.Typer(
        context_settings={"token_normalize_func": lambda token: token.replace("_", "-")}, rich_markup_mode=None
    )

    @app.command()
    @with_options(Trip, exclude={"hidden"})
    def travel(config: Path | None, options: dict[str, Any]) -> None:
        """Go."""
        received.update(config=config, options=options)

    return app


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ([], {}),
        (["--steps", "0"], {"steps": "0"}),
        (["--train_file", "a_b.fa"], {"train_file": "a_b.fa"}),
        (["--train-file=x"], {"train_file": "x"}),
        (["--mode", "by_bike"], {"mode": "by_bike"}),
        (["--rate", "0.5"], {"rate": "0.5"}),
        (["--no-loud"], {"loud": False}),
        (["--loud"], {"loud": True}),
        (["--stops", "Rome", "--stops", "Bonn"], {"stops": ["Rome", "Bonn"]}),
        (["--ages", "4"], {"ages": ["4"]}),
    ],
)
def test_only_what_was_given_arrives(
    app: typer.Typer, received: dict[str, Any], arguments: list[str], options: dict[str, Any]
) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert received == {"config": None, "options": options}


def test_config_is_a_path(app: typer.Typer, received: dict[str, Any]) -> None:
    assert CliRunner().invoke(app, ["--config", "a.yaml"]).exit_code == 0
    assert received == {"config": Path("a.yaml"), "options": {}}


def test_help_shows_descriptions_defaults_and_choices(app: typer.Typer) -> None:
    text = " ".join(CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"}).output.split())
    for expected in (
        "Go.",
        "How many. [default: 7]",
        "Where to start. [required]",
        "--mode [on_foot|by_bike]",
        "--loud",
        "--no-loud",
        "Sing. [default: on]",
        "Who comes. (repeatable) [default: 3, 5]",
    ):
        assert expected in text, expected
    assert "hidden" not in text


def test_an_unknown_option_is_refused(app: typer.Typer, received: dict[str, Any]) -> None:
    assert CliRunner().invoke(app, ["--stepz", "3"]).exit_code == 2
    assert received == {}


def test_a_field_that_cannot_be_an_option_must_be_excluded() -> None:
    with pytest.raises(TypeError, match="hidden"):
        with_options(Trip)


def test_the_command_line_wins_over_the_file_and_text_is_converted(tmp_path: Path) -> None:
    path = tmp_path / "trip.yaml"
    path.write_text("train_file: a.fa\nsteps: 3\nrate: 0.5\n")
    trip = load(Trip, config=path, options={"steps": "9", "ages": ["1", "2"]})
    assert trip == Trip(train_file=Path("a.fa"), steps=9, rate=0.5, ages=[1, 2])


def test_text_that_is_no_number_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"steps: .*'many'"):
        load(Trip, config=None, options={"train_file": "a", "steps": "many"})
