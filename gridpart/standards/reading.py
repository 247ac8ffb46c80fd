"""Read a standard from TOML, and say everything that is wrong with it at once."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from gridpart.errors import InputError, Problem
from gridpart.standards.team import (
    Fault,
    RoleTerms,
    Standard,
    Team,
    TeamRule,
    is_text,
    meant,
    team_faults,
)

__all__ = ["list_standards", "load_standard"]

KEYS = ("name", "title", "place", "year", "sources", "team")
TEAM_KEYS = ("roles", "rules")
Table = Mapping[str, Any]


def load_standard(name_or_path: str | os.PathLike[str] | Standard) -> Standard:
    """Load a standard that ships with gridpart, or one of your own.

    Parameters
    ----------
    name_or_path : str, path or Standard
        One of :func:`list_standards`, such as ``"haibowan"``, or a TOML file; a standard is
        returned as it is.

    Returns
    -------
    Standard

    Raises
    ------
    InputError
        If there is no such standard, or the file cannot be used. The message has everything that
        is wrong, each by its key path and with what to do.

    Examples
    --------
    >>> standard = load_standard("base")
    >>> standard.team.names
    ('leader', 'police', 'full_timer', 'part_timer', 'doctor', 'lawyer')
    >>> standard.team.name_of("网格长")
    'leader'
    """
    if isinstance(name_or_path, Standard):
        return name_or_path
    if str(name_or_path) in list_standards():
        return _shipped(str(name_or_path))
    path = Path(name_or_path)
    if not path.is_file():
        known = list_standards()
        near = meant(name_or_path, known)
        advice = f"name one of {', '.join(known)}, or a TOML file"
        raise InputError(f"no standard {str(name_or_path)!r}{near}; {advice}")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"standard {path}: cannot be read ({error.strerror})") from error
    return _load(content, str(path))


def list_standards() -> tuple[str, ...]:
    """Names of the standards that ship with gridpart.

    Examples
    --------
    >>> list_standards()
    ('base', 'changde', 'haibowan', 'shulan', 'yumen', 'zhijiang')
    """
    folder = resources.files("gridpart.standards")
    names = (entry.name for entry in folder.iterdir())
    return tuple(sorted(name[:-5] for name in names if name.endswith(".toml")))


@lru_cache(maxsize=16)
def _shipped(name: str) -> Standard:
    file = resources.files("gridpart.standards") / f"{name}.toml"
    return _load(file.read_bytes(), name)


def _load(content: bytes, name: str) -> Standard:
    try:
        # editors on Windows put a mark before the text
        table = tomllib.loads(content.decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"standard {name}: not a TOML file in UTF-8 ({error})") from error
    faults = list(dict.fromkeys(f"{path}: {text}" for path, text in _faults(table)))
    if faults:
        # one problem each: a message shows only the first few examples of a problem
        raise InputError(Problem("standard", f"standard {name}: {where}") for where in faults)
    return _made(table)


def _faults(table: Table) -> Iterator[Fault]:
    """Keys and values that are of no use, by their key paths."""
    yield from _unknown(table, KEYS, "")
    for key in ("name", "title"):
        if not is_text(table.get(key)):
            yield key, _needed(table, key, "write a text")
    if not isinstance(table.get("place", ""), str):
        yield "place", _needed(table, "place", "write a text, or leave the key out")
    year = table.get("year", 0)
    if isinstance(year, bool) or not isinstance(year, int) or year < 0:
        yield "year", _needed(table, "year", "write a whole number, or leave the key out")
    sources = table.get("sources")
    if not (isinstance(sources, list) and sources and all(map(is_text, sources))):
        yield "sources", _needed(table, "sources", 'list where the figures come from: ["..."]')
    team = table.get("team")
    if not isinstance(team, dict):
        yield "team", _needed(table, "team", "write tables [[team.roles]] and [[team.rules]]")
        return
    yield from _unknown(team, TEAM_KEYS, "team.")
    rows = {}
    for key in TEAM_KEYS:
        rows[key] = team.get(key, [])
        if not (isinstance(rows[key], list) and all(isinstance(row, dict) for row in rows[key])):
            yield f"team.{key}", f"must be tables; write [[team.{key}]] before each"
            return
    yield from team_faults(rows["roles"], rows["rules"], above="team.")


def _unknown(table: Table, known: tuple[str, ...], above: str) -> Iterator[Fault]:
    for key in table:
        if key not in known:
            near = meant(key, known) or f"; known are: {', '.join(known)}"
            yield f"{above}{key}", f"unknown key{near}"


def _needed(table: Table, key: str, advice: str) -> str:
    told = f"is {table[key]!r}" if key in table else "missing"
    return f"{told}; {advice}"


def _made(table: Table) -> Standard:
    """Standard of a table without faults."""
    team = Team(
        tuple(RoleTerms(**row) for row in table["team"]["roles"]),
        tuple(TeamRule(**row) for row in table["team"]["rules"]),
    )
    return Standard(
        name=table["name"],
        title=table["title"],
        place=table.get("place", ""),
        year=table.get("year"),
        sources=tuple(table["sources"]),
        team=team,
    )
