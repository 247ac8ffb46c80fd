"""Read a scheme from TOML, and say everything that is wrong with it at once."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from gridpart.codes.checkchar import METHODS
from gridpart.codes.scheme import Level, Scheme, Segment
from gridpart.errors import InputError, Problem

__all__ = ["DEFAULT", "load_scheme", "shipped_schemes"]

DEFAULT = "unit-grid"
ORDERS = ("rows",)
TEXTS = ("name", "title", "title_zh", "source", "order", "legacy_alphabet", "check_character")
KEYS = (*TEXTS, "segments", "levels")
SEGMENT_KEYS = ("name", "width", "alphabet", "parent", "values", "ranges", "classes", "source")
LEVEL_KEYS = ("name", "through", "serials", "source")
Table = Mapping[str, Any]


def load_scheme(name_or_path: str | os.PathLike[str] | Scheme = DEFAULT) -> Scheme:
    """Load a scheme that ships with gridpart, or one of your own.

    Parameters
    ----------
    name_or_path : str, path or Scheme
        ``"unit-grid"``, ``"micro-grid"``, ``"yumen"``, or a TOML file; a scheme is returned as it
        is.

    Returns
    -------
    Scheme

    Raises
    ------
    InputError
        If there is no such scheme, or the file breaks rules; the message has all that is wrong.

    Examples
    --------
    >>> [segment.name for segment in load_scheme("micro-grid").segments]
    ['county', 'street', 'community', 'serial', 'micro']
    """
    if isinstance(name_or_path, Scheme):
        return name_or_path
    if str(name_or_path) in shipped_schemes():
        return _shipped(str(name_or_path))
    return _from_file(Path(name_or_path), ())


def shipped_schemes() -> list[str]:
    """Names of the schemes that ship with gridpart."""
    folder = resources.files("gridpart.codes") / "schemes"
    return sorted(entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".toml"))


@lru_cache(maxsize=16)
def _shipped(name: str) -> Scheme:
    file = resources.files("gridpart.codes") / "schemes" / f"{name}.toml"
    return _load(file.read_bytes(), name, None, ())


def _from_file(path: Path, seen: tuple[Path, ...]) -> Scheme:
    if not path.is_file():
        known = ", ".join(shipped_schemes())
        raise InputError(f"no code scheme {str(path)!r}: name one of {known}, or a TOML file")
    path = path.resolve()
    if path in seen:
        raise InputError(f"code scheme {path}: it extends itself")
    return _load(path.read_bytes(), str(path), path.parent, (*seen, path))


def _load(content: bytes, name: str, folder: Path | None, seen: tuple[Path, ...]) -> Scheme:
    """Read a scheme, on top of the one that it extends."""
    try:
        table = tomllib.loads(content.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"code scheme {name}: not a TOML file ({error})") from error
    base = table.pop("extends", None)
    below = None
    if isinstance(base, str) and base in shipped_schemes():
        below = _shipped(base)
    elif base is not None:
        below = _from_file((folder or Path()) / str(base), seen)
    wrong = list(_wrong(table, below))
    if not wrong:
        scheme = _made(table, below)
        wrong = list(_does_not_fit(scheme))
        if not wrong:
            return scheme
    text = f"code scheme {name} cannot be used"
    raise InputError(Problem("code_scheme", text, tuple(wrong)))


# --------------------------------------------------------------------------- what a table may say


def _wrong(table: Table, below: Scheme | None) -> Iterator[str]:
    """Keys and values that are of no use."""
    yield from (f"unknown key {key!r}" for key in table if key not in KEYS)
    for key in TEXTS:
        if not isinstance(table.get(key, ""), str):
            yield f"{key} must be a text"
    needed = ("name", "title", "source", "segments", "levels") if below is None else ("name",)
    yield from (f"{key} is missing" for key in needed if not table.get(key))
    if table.get("order", ORDERS[0]) not in ORDERS:
        yield f"order must be {' or '.join(ORDERS)}"
    if table.get("check_character") not in (None, "", *METHODS):
        yield f"check_character must be {' or '.join(METHODS)}"
    yield from _wrong_rows(table, "segments", SEGMENT_KEYS, below)
    yield from _wrong_rows(table, "levels", LEVEL_KEYS, below)


def _wrong_rows(
    table: Table, key: str, known: tuple[str, ...], below: Scheme | None
) -> Iterator[str]:
    rows = table.get(key, [])
    if key == "levels" and isinstance(rows, dict):
        yield from _wrong_changes(rows, below)
        return
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        yield f"{key} must be tables: [[{key}]]"
        return
    for number, row in enumerate(rows, start=1):
        name = f"{key[:-1]} {row.get('name', number)}"
        yield from (f"{name}: unknown key {field!r}" for field in row if field not in known)
        if not (isinstance(row.get("name"), str) and row["name"].isidentifier()):
            yield f"{name}: its name must be one word"
        yield from (_wrong_segment if key == "segments" else _wrong_level)(name, row)


def _wrong_changes(rows: Table, below: Scheme | None) -> Iterator[str]:
    """Other serials for levels of the scheme that is extended: of the last, or of one by name."""
    if below is None:
        yield "levels must be tables: [[levels]] (without extends there is nothing to change)"
        return
    there = [level.name for level in below.levels]
    for name, value in rows.items():
        if name == "serials":
            yield from _wrong_serials("levels.serials", value)
        elif name not in there:
            yield f"levels: no level {name!r} in {below.name}; there are {', '.join(there)}"
        elif not (isinstance(value, dict) and set(value) == {"serials"}):
            yield f"levels.{name} may hold serials only: [levels.{name}.serials]"
        else:
            yield from _wrong_serials(f"levels.{name}.serials", value["serials"])


def _wrong_segment(name: str, row: Table) -> Iterator[str]:
    width = row.get("width")
    if not (_whole(width) and width > 0):  # type: ignore[operator]
        yield f"{name}: width must be a whole number from 1 up"
        return
    if not _letters(row.get("alphabet", "0-9")):
        yield f"{name}: alphabet must be characters, such as 0-9A-Z"
    values = row.get("values", [])
    if not (
        isinstance(values, list) and all(isinstance(v, str) and len(v) == width for v in values)
    ):
        yield f"{name}: values must be texts of {width} characters"
    ranges = row.get("ranges", [])
    if not (isinstance(ranges, list) and all(_is_range(pair) for pair in ranges)):
        yield f"{name}: ranges must be pairs [first, last]"
    classes = row.get("classes", [])
    if not (isinstance(classes, list) and all(_is_class(one) for one in classes)):
        yield f"{name}: classes must be tables with name, first and last"


def _wrong_level(name: str, row: Table) -> Iterator[str]:
    if not isinstance(row.get("through"), str):
        yield f"{name}: through must name a segment"
    yield from _wrong_serials(f"{name}: serials", row.get("serials", {}))


def _wrong_serials(name: str, serials: Any) -> Iterator[str]:
    if not (isinstance(serials, dict) and all(_is_range(pair) for pair in serials.values())):
        yield f"{name} must have kinds with [first, last], such as base = [1, 999]"
    elif serials and "base" not in serials:
        yield f"{name} must say the range of base grids"


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_range(pair: Any) -> bool:
    return (
        isinstance(pair, list)
        and len(pair) == 2
        and all(_whole(end) for end in pair)
        and 0 <= pair[0] <= pair[1]
    )


def _is_class(one: Any) -> bool:
    return (
        isinstance(one, dict)
        and set(one) == {"name", "first", "last"}
        and isinstance(one["name"], str)
        and _is_range([one["first"], one["last"]])
    )


def _letters(text: Any) -> str:
    """Every character of an alphabet that is written with ranges, such as ``0-9A-Z``."""
    if not isinstance(text, str):
        return ""
    letters, at = "", 0
    while at < len(text):
        if at + 2 < len(text) and text[at + 1] == "-":
            letters += "".join(map(chr, range(ord(text[at]), ord(text[at + 2]) + 1)))
            at += 3
        else:
            letters += text[at]
            at += 1
    return letters


# --------------------------------------------------------------------------- make


def _made(table: Table, below: Scheme | None) -> Scheme:
    """Scheme of a table whose values are of the right kinds."""
    segments = tuple(_segment(row) for row in table.get("segments", []))
    given = table.get("levels", [])
    levels: tuple[Level, ...]
    if below is None:
        levels = tuple(_level(row) for row in given)
        texts = {key: table[key] for key in TEXTS if key in table}
    else:
        # what a scheme adds stands after what it extends; of a level that is there it may say
        # other serials
        segments = (*below.segments, *segments)
        texts = {key: table.get(key, getattr(below, key)) for key in TEXTS}
        if isinstance(given, dict):
            own = [_renumbered(level, given, below) for level in below.levels]
        else:
            own = [_level(row) for row in given]
        levels = tuple(
            next((one for one in own if one.name == level.name), level) for level in below.levels
        )
        known = {level.name for level in levels}
        levels = (*levels, *(level for level in own if level.name not in known))
    texts["legacy_alphabet"] = (
        _letters(table["legacy_alphabet"])
        if "legacy_alphabet" in table
        else (below.legacy_alphabet if below else "")
    )
    return Scheme(segments=segments, levels=levels, **texts)


def _renumbered(level: Level, given: Table, below: Scheme) -> Level:
    """A level of the scheme that is extended, with other serials if the table has some."""
    serials = given.get(level.name, {}).get("serials")
    if serials is None and level == below.levels[-1]:
        serials = given.get("serials")
    if serials is None:
        return level
    return Level(level.name, level.through, _serials(serials), level.source)


def _segment(row: Table) -> Segment:
    classes = tuple((one["name"], one["first"], one["last"]) for one in row.get("classes", []))
    return Segment(
        name=row["name"],
        width=row["width"],
        alphabet=_letters(row.get("alphabet", "0-9")),
        parent=row.get("parent"),
        values=tuple(row.get("values", [])),
        ranges=tuple((a, b) for a, b in row.get("ranges", [])),
        classes=classes,
        source=row.get("source", ""),
    )


def _level(row: Table) -> Level:
    return Level(
        row["name"], row["through"], _serials(row.get("serials", {})), row.get("source", "")
    )


def _serials(given: Table) -> dict[str, tuple[int, int]]:
    return {kind: (first, last) for kind, (first, last) in given.items()}


def _does_not_fit(scheme: Scheme) -> Iterator[str]:
    """Segments and levels that do not fit each other."""
    names = [segment.name for segment in scheme.segments]
    if len(set(names)) < len(names):
        yield "two segments have the same name"
        return
    before: str | None = None
    for segment in scheme.segments:
        if segment.parent != before:
            told = f"parent = {before!r}" if before else "no parent"
            yield f"segment {segment.name}: it stands after {before or 'nothing'}: say {told}"
        before = segment.name
        most = 10**segment.width - 1
        if any(last > most for _, last in segment.ranges):
            yield f"segment {segment.name}: its ranges go beyond {most}"
        if any(set(value) - set(segment.alphabet) for value in segment.values):
            yield f"segment {segment.name}: its values hold what its alphabet does not"
    ends = [names.index(level.through) if level.through in names else -1 for level in scheme.levels]
    for level, end in zip(scheme.levels, ends, strict=True):
        if end < 0:
            yield f"level {level.name}: no segment {level.through!r}"
        else:
            yield from _serials_do_not_fit(level, scheme.segments[end])
    if sorted(set(ends)) != ends:
        yield "levels must stand from the shortest code to the longest, each with its own segment"


def _serials_do_not_fit(level: Level, segment: Segment) -> Iterator[str]:
    taken: list[tuple[int, int]] = []
    for kind, (first, last) in level.serials.items():
        bounds = segment.ranges or ((0, 10**segment.width - 1),)
        if not any(low <= first and last <= high for low, high in bounds):
            told = " or ".join(f"{low} to {high}" for low, high in bounds)
            yield (
                f"level {level.name}: serials of {kind}, {first} to {last}, are not within {told} "
                f"of its segment {segment.name}; [levels.serials] is of the last level, "
                "[levels.NAME.serials] of another"
            )
        if any(first <= high and low <= last for low, high in taken):
            yield f"level {level.name}: serials of {kind} are also those of another kind"
        taken.append((first, last))
