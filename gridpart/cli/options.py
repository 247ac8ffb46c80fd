"""What several commands share: kinds of options, endings of files, exit codes."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gridpart.errors import InputError

if TYPE_CHECKING:
    import geopandas as gpd

__all__ = [
    "EXIT_FINDINGS",
    "EXIT_INPUT",
    "FILE",
    "HTML",
    "JSON",
    "MAP",
    "PLAN",
    "SHEET",
    "as_size",
    "lines",
    "output",
    "read_one",
    "say",
    "size_option",
]

EXIT_FINDINGS = 1
EXIT_INPUT = 2
PLAN, JSON, HTML, SHEET = (".gpkg",), (".json",), (".html", ".htm"), (".xlsx",)
MAP = (".png", ".pdf", ".svg")
FILE = click.Path(path_type=Path)
_Command = TypeVar("_Command", bound=Callable[..., Any])


def say(text: str, *, err: bool = False) -> None:
    """Print a text; names out of files may hold what a terminal would obey."""
    shown = (letter if letter.isprintable() or letter in "\n\t" else "\ufffd" for letter in text)
    click.echo("".join(shown), err=err)


def as_size(text: str) -> float:
    """A length or an area: a number from 0 up; BadParameter if it is none."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise click.BadParameter(f"{text!r} is not a number from 0 up")
    return number


def _size(_: click.Context, __: click.Parameter, text: str | None) -> float | None:
    return None if text is None else as_size(text)


def size_option(flag: str, unit: str, text: str) -> Callable[[_Command], _Command]:
    """Option for a length or an area."""
    return click.option(flag, callback=_size, metavar=unit, help=text)


def output(kind: str, *, required: bool = True) -> Callable[[_Command], _Command]:
    """Give a command its ``--output``."""
    return click.option(
        "-o", "--output", type=FILE, required=required, metavar=kind, help=f"Write {kind}."
    )


def lines(name: str, text: str) -> Callable[[_Command], _Command]:
    """Options for a layer of lines: its file, and its layer where the file has several."""

    def add(command: _Command) -> _Command:
        layer = click.option(f"--{name}-layer", help=f"Layer of the {name} file.")(command)
        return click.option(f"--{name}", type=FILE, metavar="FILE", help=text)(layer)

    return add


def read_one(path: Path, layer: str | None, option: str) -> gpd.GeoDataFrame:
    """Read a layer; of a file with several the one that `option` named."""
    from gridpart import _io

    if layer is None and path.suffix.lower() not in _io.PARQUET_SUFFIXES:
        layers = _io.list_layers(path)
        if len(layers) > 1:
            raise InputError(f"{path}: choose a layer with {option}: {', '.join(layers)}")
    return _io.read_vector(path, layer=layer)
