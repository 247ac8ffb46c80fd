"""Where posts stand: the grids of a plan by any of their names, and points where posts live."""

from __future__ import annotations

import json
import math
import numbers
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridpart.errors import InputError, Problem
from gridpart.staffing.headers import (
    nearest,
    number_in,
    plain_text,
    says_nothing,
    suggester,
    texts_in,
)

if TYPE_CHECKING:
    from gridpart.plan import Plan

__all__ = [
    "Found",
    "GridTable",
    "Homes",
    "grid_problems",
    "grid_table",
    "home_points",
    "names_in",
    "natural",
    "raise_found",
    "retired_names",
]

FloatArray = npt.NDArray[np.float64]

# A name may hold blanks or strokes itself, but hardly more of them than this.
LONGEST_NAME = 8
# Where the provenance of a plan lists names and codes that its forebears carried.
RETIRED = ("retired_codes", "retired_grids", "retired_codes_below", "retired_areas")
FARTHEST_HOME_M = 200_000.0
# CGCS2000 (EPSG:4490) and WGS 84 differ by less than the width of a door.
DEGREES = "EPSG:4326"
_WORD = re.compile(r"[^\s;；、,，/／|｜]+")


class Found(NamedTuple):
    """One kind of problem: its name, what to do, and where it is (row, details) how often."""

    kind: str
    message: str
    places: list[tuple[int, str]]


def raise_found(found: Iterable[Found], lines: Sequence[str], more: Iterable[Problem] = ()) -> None:
    """Raise every problem together, each place with its line."""
    problems = [
        Problem(kind, message, tuple(f"{lines[row]}{detail}" for row, detail in places))
        for kind, message, places in found
        if places
    ]
    if problems := [*more, *problems]:
        raise InputError(problems)


# ---------------------------------------------------------------- the grids


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

    @property
    def places(self) -> frozenset[str]:
        """Every community."""
        return frozenset(place for place in self.within if place is not None)


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
    codes = texts_in(grids, "grid_code")
    counts = grids["households"].tolist()
    wrong = [
        f"grid {grid}: {count}"
        for grid, count in zip(ids, counts, strict=True)
        if not _is_count(count)
    ]
    missing = [f"row {k}" for k, value in enumerate(ids) if value is None]
    found = [
        ("missing_grid", "every grid needs an id in column 'grid'", missing),
        ("duplicate_grid", "a grid id stands more than once", _repeated(ids)),
        ("duplicate_code", "a grid code stands more than once", _repeated(codes)),
        ("households", "households of a grid must be a whole number from 0", wrong),
    ]
    problems = [Problem(kind, text, tuple(places)) for kind, text, places in found if places]
    if problems:
        raise InputError(problems)
    order = sorted(range(len(ids)), key=lambda k: natural(str(ids[k])))
    places = texts_in(grids, "within")
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


def _repeated(values: list[str | None]) -> list[str]:
    counts = pd.Series([value for value in values if value is not None], dtype=object)
    repeated = counts.value_counts().loc[lambda times: times > 1]
    return [f"{value!r}: {times} times" for value, times in sorted(repeated.items())]


# ---------------------------------------------------------------- grids in a cell


def names_in(value: Any, known: Mapping[str, Any]) -> list[str]:
    """Names of grids in a cell, known or not, each once, in order.

    They may be parted by ``;``, ``,``, ``、``, ``/``, their full-width forms, or blanks. A name
    that holds such a mark itself is found, for the longest known name is taken at every place.

    Examples
    --------
    >>> names_in("g1；g2、 A/1 g9", {"g1": 0, "g2": 1, "A/1": 2})
    ['g1', 'g2', 'A/1', 'g9']
    """
    if isinstance(value, list | tuple):
        texts = [plain_text(part) for part in value]
        return list(dict.fromkeys(text for text in texts if text is not None))
    text = plain_text(value)
    if text is None:
        return []
    if text in known:
        return [text]
    if says_nothing(text):
        return []
    spans = [match.span() for match in _WORD.finditer(text)]
    names, k = [], 0
    while k < len(spans):
        last = min(k + LONGEST_NAME, len(spans)) - 1
        ends = (j for j in range(last, k, -1) if text[spans[k][0] : spans[j][1]] in known)
        end = next(ends, k)
        names.append(text[spans[k][0] : spans[end][1]])
        k = end + 1
    if not any(name in known for name in names) and "".join(names) == re.sub(r"\s", "", text):
        return [text]  # rather one name with a blank that nobody knows
    return list(dict.fromkeys(names))


def grid_problems(
    held: Sequence[Sequence[str]],
    fixed: Sequence[Sequence[str]],
    by_name: Mapping[str, int],
    retired: Mapping[str, str],
) -> list[Found]:
    """Grids that the plan does not know, or knows to be retired."""
    gone: list[tuple[int, str]] = []
    no_grid: list[tuple[int, str]] = []
    no_fixed: list[tuple[int, str]] = []
    suggest = suggester(by_name)
    for row, (now, always) in enumerate(zip(held, fixed, strict=True)):
        for word, names, unknown in (("grid", now, no_grid), ("fixed grid", always, no_fixed)):
            for g in names:
                if g in by_name:
                    continue
                if g in retired:
                    gone.append((row, f": {word} {g!r}{retired[g]}"))
                else:
                    unknown.append((row, f": {g!r}{_rounded(g) or suggest(g)}"))
    neither = "neither the id nor the code of a grid in the plan"
    return [
        Found("retired_grid", "a grid that the roster names is retired", gone),
        Found("unknown_grid", f"grid is {neither}", no_grid),
        Found("unknown_fixed_grid", f"a fixed grid is {neither}", no_fixed),
    ]


def retired_names(
    grids: Plan | pd.DataFrame, retired: pd.DataFrame | None = None
) -> dict[str, str]:
    """Names and codes of grids that are no more, and what is known of their end, in words.

    Parameters
    ----------
    grids : Plan or DataFrame
        A plan that was redrawn or edited lists those of its forebears, without their day.
    retired : DataFrame, optional
        Retired codes of a register: `code`, and where it has them `retired` (when) and `successors`
        (codes parted by ``;``).

    Raises
    ------
    InputError
        If `retired` has no column `code`.
    """
    facts = {} if isinstance(grids, pd.DataFrame) else grids.provenance
    known = {str(name): "" for key in RETIRED for name in json.loads(facts.get(key) or "[]")}
    if retired is None:
        return known
    if "code" not in retired.columns:
        raise InputError(f"retired codes need a column 'code'{nearest('code', retired.columns)}")
    columns = (texts_in(retired, name) for name in ("code", "retired", "successors"))
    for code, when, after in zip(*columns, strict=True):
        if code is not None:
            day = f" on {when[:10]}" if when else ""
            known[code] = day + (f", followed by {after.replace(';', ', ')}" if after else "")
    return known


def _rounded(name: str) -> str:
    """Advice where a spreadsheet has made a number of a code, and rounded it."""
    if re.fullmatch(r"\d\.\d+E\+?\d{2}", name, re.IGNORECASE):
        return "; a spreadsheet has rounded this code: enter it anew in a column of text"
    return ""


# ---------------------------------------------------------------- home points


@dataclass
class Homes:
    """Home points in the CRS of the grids, NaN where unknown, and what is wrong with them."""

    x: FloatArray
    y: FloatArray
    wrong: list[tuple[int, str]] = field(default_factory=list)
    hindrance: list[Problem] = field(default_factory=list)

    @property
    def found(self) -> Found:
        """The bad points as one kind of problem."""
        return Found(
            "home_point",
            "the home point cannot be used: it needs x and y in metres in the plan's CRS, or lon "
            f"and lat in degrees, at most {FARTHEST_HOME_M / 1000:.0f} km from the plan",
            self.wrong,
        )


@dataclass(frozen=True)
class _Plan:
    """What the grids say about space; none of it where they are a plain table."""

    crs: Any = None
    bounds: tuple[float, float, float, float] | None = None

    @property
    def metres(self) -> float:
        """Metres in a unit of the CRS."""
        if self.crs is None:
            return 1.0
        return float(self.crs.axis_info[0].unit_conversion_factor)

    def distance(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Metres from the box around the grids; NaN where that is not known."""
        if self.bounds is None:
            return np.full(len(x), np.nan)
        west, south, east, north = self.bounds
        outside_x = np.maximum(np.maximum(west - x, x - east), 0.0)
        outside_y = np.maximum(np.maximum(south - y, y - north), 0.0)
        return np.hypot(outside_x, outside_y) * self.metres


def _plan_of(grids: pd.DataFrame) -> _Plan:
    import geopandas as gpd

    if not isinstance(grids, gpd.GeoDataFrame) or grids.active_geometry_name is None:
        return _Plan()
    bounds = tuple(float(value) for value in grids.total_bounds)
    west, south, east, north = bounds
    known = all(map(math.isfinite, bounds))
    return _Plan(grids.crs, (west, south, east, north) if known else None)


def home_points(roster: pd.DataFrame, grids: pd.DataFrame) -> Homes:
    """Read home points from `x` and `y`, or else from `lon` and `lat`.

    Parameters
    ----------
    roster : DataFrame
        Under our names, as :func:`gridpart.staffing.headers.rename_headers` gives them.
    grids : DataFrame or GeoDataFrame
        Whose CRS the points shall have.
    """
    homes = Homes(np.full(len(roster), np.nan), np.full(len(roster), np.nan))
    given = {
        pair: _filled(roster, pair) for pair in (("x", "y"), ("lon", "lat")) if pair[0] in roster
    }
    given = {pair: cells for pair, cells in given.items() if cells}
    if not given:
        return homes
    plan = _plan_of(grids)
    homes.hindrance = _hindrance(plan, degrees=("lon", "lat") in given)
    if homes.hindrance:
        return homes
    taken: set[int] = set()
    for pair, cells in given.items():
        points = _points(pair, {k: v for k, v in cells.items() if k not in taken}, homes)
        taken |= cells.keys()
        _locate(pair, points, plan, homes)
    homes.wrong.sort(key=lambda place: place[0])
    return homes


def _filled(
    roster: pd.DataFrame, pair: tuple[str, str]
) -> dict[int, tuple[str | None, str | None]]:
    """Rows in which at least one of two coordinates is given."""
    if pair[1] not in roster:
        return {}
    both = zip(*(map(_cell, roster[name].tolist()) for name in pair), strict=True)
    return {row: (one, two) for row, (one, two) in enumerate(both) if one or two}


def _cell(value: Any) -> str | None:
    text = plain_text(value)
    return None if says_nothing(text) else text


def _hindrance(plan: _Plan, *, degrees: bool) -> list[Problem]:
    """What about the grids forbids to place any point."""
    if plan.crs is None:
        if not degrees:
            return []
        text = (
            "lon and lat cannot be turned into metres, for the grids have no CRS; give them as a "
            "GeoDataFrame with one, or give x and y in the plan's metres"
        )
    elif not plan.crs.is_projected:
        text = (
            f"home points need grids in metres, and these are in {plan.crs.name}; project them "
            "with to_crs first"
        )
    else:
        return []
    return [Problem("home_point_crs", text)]


def _points(
    pair: tuple[str, str], cells: Mapping[int, tuple[str | None, str | None]], homes: Homes
) -> dict[int, tuple[float, float]]:
    """Numbers of the cells; what is none is entered as wrong."""
    points = {}
    for row, texts in cells.items():
        values: list[float] = []
        for name, other, text in zip(pair, reversed(pair), texts, strict=True):
            number = None if text is None else number_in(text)
            if text is None:
                homes.wrong.append((row, f": {other} is given, {name} is missing"))
            elif number is None:
                homes.wrong.append((row, f": {name} is no number: {text!r}"))
            else:
                values.append(number)
        if len(values) == 2:
            points[row] = (values[0], values[1])
    return points


def _locate(
    pair: tuple[str, str], points: Mapping[int, tuple[float, float]], plan: _Plan, homes: Homes
) -> None:
    """Put points where they belong, and enter those far off as wrong."""
    rows = list(points)
    if not rows:
        return
    one, two = np.array([points[row] for row in rows], float).T
    x, y = _projected(pair, one, two, plan)
    distance = plan.distance(x, y)
    # what lies where the projection knows nothing has no distance at all
    lost = ~(np.isfinite(x) & np.isfinite(y))
    far = np.flatnonzero(lost | (distance > FARTHEST_HOME_M))
    swapped = plan.distance(*_projected(pair, two[far], one[far], plan)) <= FARTHEST_HOME_M
    for k, exchange in zip(far.tolist(), swapped.tolist(), strict=True):
        where = "nowhere in its CRS" if lost[k] else f"{distance[k] / 1000:,.0f} km from the plan"
        advice = f"; are {pair[0]} and {pair[1]} exchanged?" if exchange else ""
        said = f"{pair[0]} {one[k]:.10g}, {pair[1]} {two[k]:.10g}"
        homes.wrong.append((rows[k], f": {said} lies {where}{advice}"))
    near = np.ones(len(rows), bool)
    near[far] = False
    at = np.array(rows, np.int64)[near]
    homes.x[at], homes.y[at] = x[near], y[near]


def _projected(
    pair: tuple[str, str], one: FloatArray, two: FloatArray, plan: _Plan
) -> tuple[FloatArray, FloatArray]:
    if pair[0] == "x":
        return one, two
    from pyproj import Transformer

    x, y = Transformer.from_crs(DEGREES, plan.crs, always_xy=True).transform(one, two)
    # a latitude above 90 degrees is folded back by some projections
    inside = (np.abs(one) <= 180) & (np.abs(two) <= 90)
    return np.where(inside, x, np.nan), np.where(inside, y, np.nan)
