"""Rosters of posts: know their headers, and check them against the grids at once."""

from __future__ import annotations

import difflib
import math
import numbers
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from gridpart.errors import InputError, Problem

__all__ = [
    "LINE",
    "REQUIRED",
    "GridTable",
    "check_roster",
    "grid_table",
    "known_names",
    "match_headers",
    "natural",
    "plain_text",
    "rename_headers",
]

# our name -> headers as officers write them, in ranks: the first rank that a table has is taken,
# so that a general word such as 编号 may stand beside 岗位编号; two of one rank are ambiguous.
# Compared without blanks, underscores and marks, in small letters.
HEADERS: dict[str, tuple[tuple[str, ...], ...]] = {
    "post_id": (
        ("post_id", "岗位编号", "岗位编码", "岗位代码", "岗位号"),
        ("post", "人员编号"),
        ("编号",),
    ),
    "role": (
        ("role", "岗位", "角色", "岗位类型", "岗位类别", "岗位名称"),
        ("职务",),
        ("类别",),
    ),
    "within": (("within", "community", "社区", "村", "村社区", "村/社区", "社区/村", "所属社区"),),
    "grid": (
        ("grid", "grid_id"),
        ("grid_code", "网格编码", "网格编号", "网格代码"),
        ("网格", "所属网格"),
    ),
    "capacity": (("capacity", "容量", "最大户数", "户数上限", "承载户数"),),
}
REQUIRED = ("post_id", "role")
LINE = "line"

# Only letters and digits: a full-width bracket may belong to a community's official name.
_NARROW = {wide: wide - 0xFEE0 for wide in range(0xFF01, 0xFF5F) if chr(wide).isalnum()}


def plain_text(value: Any) -> str | None:
    """Text of a cell: stripped, full-width letters and digits narrowed, None where empty.

    A whole number that a spreadsheet turned into a float loses its ``.0``.
    """
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, numbers.Real) and not isinstance(value, bool | np.bool_):
        number = float(value)
        if math.isnan(number):
            return None
        if number.is_integer():
            return str(round(value))
    return str(value).translate(_NARROW).strip() or None


def _plain_header(name: Any) -> str:
    text = (plain_text(name) or "").casefold()
    return re.sub(r"[\s_*＊:：]", "", text)


_RANKS = {
    ours: [{_plain_header(word) for word in rank} for rank in ranks]
    for ours, ranks in HEADERS.items()
}


def match_headers(names: Sequence[Any]) -> dict[str, list[int]]:
    """Positions of the headers that mean each of our names; more than one is ambiguous."""
    plain = [_plain_header(name) for name in names]
    found = {}
    for ours, ranks in _RANKS.items():
        rows = ([k for k, name in enumerate(plain) if name in rank] for rank in ranks)
        found[ours] = next((places for places in rows if places), [])
    return found


def _ambiguous(names: Sequence[Any], where: str) -> list[Problem]:
    problems = []
    for ours, places in match_headers(names).items():
        if len(places) > 1:
            listed = " and ".join(f"{str(names[k]).strip()!r} (column {k + 1})" for k in places)
            message = f"{where} has {len(places)} columns that mean {ours!r}: {listed}; keep one"
            problems.append(Problem("duplicate_column", message))
    return problems


def known_names(ours: str) -> str:
    """Every header that is understood as one of our names."""
    return ", ".join(word for rank in HEADERS[ours] for word in rank)


def rename_headers(names: Sequence[Any], *, where: str) -> list[str]:
    """Give known headers our names; others pass through.

    Raises
    ------
    InputError
        If two headers mean the same, or `post_id` or `role` is missing; the message has the
        headers as they stand.
    """
    problems = _ambiguous(names, where)
    found = match_headers(names)
    shown = [text for text in map(plain_text, names) if text]
    problems += [
        Problem(
            "missing_column",
            f"{where} has no column {ours!r}{nearest(ours, shown)} "
            f"(known names: {known_names(ours)})",
        )
        for ours in REQUIRED
        if not found[ours]
    ]
    if problems:
        raise InputError(problems)
    renamed = [str(name) for name in names]
    for ours, places in found.items():
        for k in places:
            renamed[k] = ours
    return renamed


def natural(text: str) -> tuple[list[tuple[int, str]], str]:
    """Key of an order in which P2 comes before P10."""
    parts = re.split(r"([0-9]+)", text)
    # A number sorts by its length without zeros, then by its digits.
    key = [
        (len(part.lstrip("0")), part.lstrip("0")) if k % 2 else (-1, part)
        for k, part in enumerate(parts)
    ]
    return key, text


@dataclass(frozen=True)
class GridTable:
    """The grids in canonical order: row of the caller, id, code, place and households."""

    row: list[int]
    grid: list[str]
    code: list[str | None]
    within: list[str | None]
    households: list[int]
    has_within: bool

    @property
    def by_name(self) -> dict[str, int]:
        """Position of every grid by its id, and by its code where no id says otherwise."""
        codes = {code: k for k, code in enumerate(self.code) if code is not None}
        return codes | {grid: k for k, grid in enumerate(self.grid)}


def grid_table(grids: pd.DataFrame) -> GridTable:
    """Check the grids of a plan and put them in canonical order.

    Raises
    ------
    InputError
        If a column is missing, an id is missing or stands twice, a code stands twice, or
        households are not whole numbers from 0.
    """
    problems = [
        Problem(
            "missing_column", f"the grids have no column {name!r}{nearest(name, grids.columns)}"
        )
        for name in ("grid", "households")
        if name not in grids.columns
    ]
    if problems:
        raise InputError(problems)
    ids = [plain_text(value) for value in grids["grid"]]
    codes = _texts(grids, "grid_code")
    counts = grids["households"].tolist()
    wrong = [
        f"grid {grid}: {count}"
        for grid, count in zip(ids, counts, strict=True)
        if not _is_count(count)
    ]
    found = [
        ("missing_grid", "every grid needs an id in column 'grid'", _positions_missing(ids)),
        ("duplicate_grid", "a grid id stands more than once", _repeated(ids)),
        ("duplicate_code", "a grid code stands more than once", _repeated(codes)),
        ("households", "households of a grid must be a whole number from 0", wrong),
    ]
    _raise_found(found)
    order = sorted(range(len(ids)), key=lambda k: natural(str(ids[k])))
    places = _texts(grids, "within")
    return GridTable(
        row=order,
        grid=[str(ids[k]) for k in order],
        code=[codes[k] for k in order],
        within=[places[k] for k in order],
        households=[int(counts[k]) for k in order],
        has_within=any(place is not None for place in places),
    )


def _is_count(value: Any) -> bool:
    return (
        isinstance(value, numbers.Real)
        and not isinstance(value, bool)
        and float(value) >= 0
        and float(value).is_integer()
    )


def check_roster(roster: pd.DataFrame, grids: pd.DataFrame) -> pd.DataFrame:
    """Check a roster against the grids it shall serve; report every problem together.

    Parameters
    ----------
    roster : DataFrame
        One row per post: `post_id` and `role`, optionally `within` (the only community that the
        post serves) or `grid` (the grid, by id or code, at which the post stays), optionally
        `capacity` (households that the post can carry), and any other columns.
    grids : DataFrame or GeoDataFrame
        `grid` and `households`, optionally `grid_code` and `within`: the grids of a plan.

    Returns
    -------
    DataFrame
        The roster on its own index with `post_id`, `role`, `within`, `grid` (always the id) as
        text or None, `capacity` as a float or NaN, and the other columns as they came.

    Raises
    ------
    InputError
        With all of: a missing column (the nearest name is suggested), no rows, a missing or
        duplicate `post_id`, a missing role, an unknown grid or community, a community that
        contradicts the grid, a capacity that is no number from 0. Every example names its line
        (of the file, if :func:`read_roster` read it).

    Examples
    --------
    >>> grids = pd.DataFrame({"grid": ["g1"], "within": ["East"], "households": [300]})
    >>> roster = pd.DataFrame({"post_id": ["a", "a"], "role": ["leader", None]})
    >>> check_roster(roster, grids)
    Traceback (most recent call last):
        ...
    gridpart.errors.InputError: post_id stands more than once; give every post its own
        row 1: 'a', first in row 0
    role is missing
        row 1: post 'a'
    """
    table = grid_table(grids)
    names = rename_headers(list(roster.columns), where="the roster")
    roster = roster.copy()
    roster.columns = pd.Index(names)
    if roster.empty:
        raise InputError(Problem("no_posts", "the roster has no rows; it needs one per post"))
    word = "line" if roster.index.name == LINE else "row"
    lines = [f"{word} {label}" for label in roster.index]
    columns = {name: _texts(roster, name) for name in ("post_id", "role", "within", "grid")}
    _raise_found(
        [
            *_post_problems(lines, columns["post_id"], columns["role"]),
            *_place_problems(lines, columns["grid"], columns["within"], table),
            *_capacity_problems(lines, _texts(roster, "capacity")),
        ]
    )
    by_name = table.by_name
    columns["grid"] = [None if g is None else table.grid[by_name[g]] for g in columns["grid"]]
    for name, values in columns.items():
        roster[name] = pd.Series(values, index=roster.index, dtype=object)
    if "capacity" in roster.columns:
        numbers_ = [float(text) if text else np.nan for text in _texts(roster, "capacity")]
        roster["capacity"] = pd.Series(numbers_, index=roster.index, dtype=float)
    return roster


_Found = tuple[str, str, list[str]]


def _raise_found(found: Iterable[_Found]) -> None:
    problems = [Problem(kind, text, tuple(places)) for kind, text, places in found if places]
    if problems:
        raise InputError(problems)


def _post_problems(
    lines: list[str], posts: list[str | None], roles: list[str | None]
) -> list[_Found]:
    first: dict[str, str] = {}
    twice = []
    for line, post in zip(lines, posts, strict=True):
        if post is None:
            continue
        if post in first:
            twice.append(f"{line}: {post!r}, first in {first[post]}")
        first.setdefault(post, line)
    pairs = list(zip(lines, posts, roles, strict=True))
    no_post = [line for line, post, _ in pairs if post is None]
    no_role = [f"{line}: post {post!r}" for line, post, role in pairs if role is None]
    return [
        ("missing_post_id", "post_id is missing", no_post),
        ("duplicate_post_id", "post_id stands more than once; give every post its own", twice),
        ("missing_role", "role is missing", no_role),
    ]


def _place_problems(
    lines: list[str], grids: list[str | None], places: list[str | None], table: GridTable
) -> list[_Found]:
    by_name = table.by_name
    known = {place for place in table.within if place is not None}
    no_grid, no_place, contrary = [], [], []
    suggest_grid, suggest_place = _suggester(by_name), _suggester(known)
    for line, grid, place in zip(lines, grids, places, strict=True):
        if grid is not None and grid not in by_name:
            no_grid.append(f"{line}: {grid!r}{suggest_grid(grid)}")
        if place is not None and place not in known:
            no_place.append(f"{line}: {place!r}{suggest_place(place)}")
        elif grid in by_name and place is not None:
            home = table.within[by_name[grid]]
            if home != place:
                contrary.append(f"{line}: grid {grid!r} lies in {home!r}, not in {place!r}")
    advice = "" if known else "; the plan has no communities, so leave the column out"
    return [
        ("unknown_grid", "grid is neither the id nor the code of a grid in the plan", no_grid),
        ("unknown_community", f"within is no community of the plan{advice}", no_place),
        ("contradiction", "within contradicts the grid", contrary),
    ]


def _capacity_problems(lines: list[str], values: list[str | None]) -> list[_Found]:
    wrong = []
    for line, text in zip(lines, values, strict=True):
        try:
            good = text is None or 0 <= float(text) < math.inf
        except ValueError:
            good = False
        if not good:
            wrong.append(f"{line}: {text!r}")
    return [("capacity", "capacity must be a number of households from 0", wrong)]


def _texts(frame: pd.DataFrame, name: str) -> list[str | None]:
    if name not in frame.columns:
        return [None] * len(frame)
    return [plain_text(value) for value in frame[name].tolist()]


def _positions_missing(values: list[str | None]) -> list[str]:
    return [f"row {k}" for k, value in enumerate(values) if value is None]


def _repeated(values: list[str | None]) -> list[str]:
    counts = pd.Series([value for value in values if value is not None], dtype=object)
    repeated = counts.value_counts().loc[lambda times: times > 1]
    return [f"{value!r}: {times} times" for value, times in sorted(repeated.items())]


def nearest(name: str, columns: Iterable[Any]) -> str:
    """The column that was probably meant, or all of them."""
    names = [str(column) for column in columns]
    near = _suggester(names)(name)
    return near or f"; the columns are: {', '.join(names) or 'none'}"


def _suggester(known: Iterable[str]) -> Callable[[str], str]:
    """Suggest the nearest known name, for the first few only: it costs a pass over all."""
    names = sorted(known)
    remaining = [20]

    def suggest(name: str) -> str:
        remaining[0] -= 1
        if remaining[0] < 0:
            return ""
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
        return f"; did you mean {near[0]!r}?" if near else ""

    return suggest
