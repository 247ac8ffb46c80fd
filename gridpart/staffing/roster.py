"""Rosters of posts, checked against the grids: every problem told, no row lost unsaid."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import pandas as pd

from gridpart.errors import GridpartWarning, InputError, Problem
from gridpart.staffing.communities import (
    by_lost_grid,
    by_sheet,
    communities_in,
    community_problems,
    other_names,
    placeless_sheets,
)
from gridpart.staffing.headers import (
    LINE,
    REQUIRED,
    SHEET,
    has_sheets,
    is_header_row,
    joined,
    known_names,
    match_headers,
    nearest,
    number_in,
    plain_text,
    rename_headers,
    said_lines,
    says_nothing,
    suggester,
    texts_in,
    total_word,
    words_in,
)
from gridpart.staffing.locate import (
    Found,
    GridTable,
    Homes,
    grid_problems,
    grid_table,
    home_points,
    names_in,
    natural,
    raise_found,
    retired_names,
)
from gridpart.staffing.neighbours import grids_of
from gridpart.staffing.unusable import (
    GOES_ON,
    GRIDLESS,
    NO_POSTS,
    listed_problems,
    unusable_table,
)

if TYPE_CHECKING:
    from gridpart.plan import Plan

__all__ = [
    "LINE",
    "REQUIRED",
    "GridTable",
    "RoleNames",
    "check_roster",
    "grid_table",
    "known_names",
    "match_headers",
    "natural",
    "nearest",
    "plain_text",
    "rename_headers",
]


class RoleNames(Protocol):
    """Whatever knows how a rule calls a role: a team."""

    def name_of(self, word: str) -> str | None:
        """The rule's name for a role as a roster writes it; None if the rule has no such role."""


def check_roster(
    roster: pd.DataFrame,
    grids: Plan | pd.DataFrame,
    *,
    team: RoleNames | None = None,
    unusable: Literal["raise", "skip"] = "raise",
    cross_borders: bool = False,
    retired: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Check a roster against the grids it shall serve; report every problem together.

    Parameters
    ----------
    roster : DataFrame
        One row per post: `post_id` and `role`, optionally

        * `within`: the only community that the post serves; several (``A; B``) only where a grid
          says which, or borders may be crossed;
        * `grid`: the grid or grids, by id or code, that the post holds today;
        * `fixed`: those that it must hold, all of one community;
        * `capacity`: households that it can carry;
        * `skills`: what its holder can do, in one column or several;
        * `x` and `y`: where its holder lives or works, in metres in the CRS of `grids`, x to the
          east; or `lon` and `lat` in degrees (EPSG:4490 or 4326; not as web maps show them, which
          may be half a kilometre off);

        and any other columns. Cells with several names part them by ``;``, ``,``, ``、``, ``/`` or
        blanks. Headers may be Chinese, as :func:`gridpart.staffing.read_roster` reads them. With
        an index of two levels, ``sheet`` and ``line``, posts on a sheet that says no community
        are of the one whose name the sheet bears.
    grids : Plan, GeoDataFrame or DataFrame
        `grid` and `households`, optionally `grid_code` and `within`: the grids of a plan. Of a plan
        itself, communities are also known by what other columns of its units call them, the grids
        around the areas of another level also by their codes, and the grids that it has retired
        since it was first made are told from those that nobody knows.
    team : object with ``name_of(word)``, optional
        The rule of a standard: roles get its names, and others are a problem.
    unusable : {"raise", "skip"}, default "raise"
        What to do with rows that cannot be used: raise one error that names all of them, or go
        on without and list them. A grid held today that nobody knows costs a post only that
        grid then.
    cross_borders : bool, default False
        Whether the fixed grids of a post may lie in several communities.
    retired : DataFrame, optional
        Codes that are retired, with their last day and successors:
        ``register.codes(live=False)`` (`code`, `retired`, `successors`).

    Returns
    -------
    DataFrame
        The usable rows on their own index: `post_id`, `role`, `within` and `grid` (the id of the
        first grid held today) as text or None; `held` and `fixed` (tuples of ids), `skills` (tuple
        of text); `x` and `y` in the CRS of the grids, NaN where unknown; `capacity` as a float or
        NaN, if there is such a column; and the other columns as they came.
        ``.attrs["unusable"]`` is a DataFrame `line` (after `sheet`, where there are several),
        `post_id`, `reason`, `text` of the others, one row per problem: rows with a sum or a remark
        (``total_row``), a header repeated (``header_row``), and with ``unusable="skip"`` whatever
        would else be raised; also grids that a post goes on without: retired ones
        (``retired_grid``) and with ``"skip"`` unknown ones that it holds (``unknown_grid``).
        What an earlier check left out is listed first.

    Raises
    ------
    InputError
        With all of: a missing column (the nearest name is suggested), no rows, a missing or
        duplicate `post_id`, a missing role or one that is not in the rule, an unknown grid or
        community, a community that contradicts the grid, fixed grids in several communities, a
        capacity that is no number from 0, a home point that is none or lies more than 200 km from
        the plan. Every example names its line (of the file and sheet, if
        :func:`~gridpart.staffing.read_roster` read it). With ``"skip"`` only if a column is
        missing, the home points cannot be placed at all, or no row is left.

    Warns
    -----
    GridpartWarning
        If rows are no posts: sums, remarks, headers; if grids are retired; if nothing places
        posts of a sheet in a community, where there are several sheets.

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
    >>> checked = check_roster(roster, grids, unusable="skip")
    >>> checked["post_id"].tolist()
    ['a']
    >>> checked.attrs["unusable"]["reason"].tolist()
    ['duplicate_post_id', 'missing_role']
    """
    if unusable not in ("raise", "skip"):
        raise InputError(f"unusable must be 'raise' or 'skip', not {unusable!r}")
    frame = grids_of(grids)
    table = grid_table(frame)
    before = roster.attrs.get("unusable")
    roster = _named(roster)
    lines = said_lines(roster.index)
    apart = _rows_apart(roster)
    _say(apart, lines, before="left out of the roster: ")
    away = {row for found in apart for row, _ in found.places}
    rows = [row for row in range(len(roster)) if row not in away]
    if not rows:
        only = "; it has only sums, remarks and headers" if away else "; it needs one per post"
        raise InputError(Problem("no_posts", f"the roster has no posts{only}"))
    listed = listed_problems(apart, roster, range(len(roster)))
    posts = roster.iloc[rows]
    lines = [lines[row] for row in rows]
    other, gone = other_names(grids), retired_names(grids, retired)
    cells = _read(posts, frame, table, other, gone)
    found = _all_problems(cells, lines, table, team, gone, cross_borders=cross_borders)
    bad = {row for one in found if one.kind not in GRIDLESS for row, _ in one.places}
    if unusable == "raise" or cells.homes.hindrance or len(bad) == len(posts):
        raise_found([f for f in found if f.kind != "retired_grid"], lines, cells.homes.hindrance)
    gone_of_posts = [
        one._replace(places=[place for place in one.places if place[0] not in bad])
        for one in found
        if one.kind == "retired_grid"
    ]
    _say(gone_of_posts, lines, after=GOES_ON)
    checked = _checked(posts, cells, table, team)
    listed = sorted([*listed, *listed_problems(found, posts, rows, bad)], key=lambda one: one[0])
    checked = checked.iloc[[row for row in range(len(posts)) if row not in bad]].copy()
    _say_placeless(checked, table, other)
    checked.attrs["unusable"] = unusable_table(listed, before, sheets=has_sheets(roster.index))
    return checked


def _named(roster: pd.DataFrame) -> pd.DataFrame:
    """A copy under our names, without attributes of other tables."""
    names = rename_headers(list(roster.columns), where="the roster")
    copy = roster.copy()
    copy.columns = pd.Index(names)
    copy.attrs = {}
    return copy


def _rows_apart(roster: pd.DataFrame) -> list[Found]:
    """Rows that are no posts and no mistakes either."""
    found: dict[str, list[tuple[int, str]]] = {kind: [] for kind in NO_POSTS}
    posts, roles = texts_in(roster, "post_id"), texts_in(roster, "role")
    for row, (post, role) in enumerate(zip(posts, roles, strict=True)):
        if role is not None and is_header_row(post, role):
            found["header_row"].append((row, f": {post!r}"))
        elif not post or not role or number_in(role) is not None or total_word(post, role, ()):
            texts = [plain_text(cell) for cell in roster.iloc[row].tolist()]
            if word := total_word(post, role, texts):
                found["total_row"].append((row, f": {word!r}"))
    return [Found(kind, NO_POSTS[kind], places) for kind, places in found.items()]


def _say(
    found: Iterable[Found], lines: Sequence[str], *, before: str = "", after: str = ""
) -> None:
    for kind, message, places in found:
        if places:
            examples = tuple(f"{lines[row]}{detail}" for row, detail in places)
            text = str(Problem(kind, f"{before}{message}{after}", examples))
            warnings.warn(text, GridpartWarning, stacklevel=3)


def _say_placeless(checked: pd.DataFrame, table: GridTable, other: dict[str, str]) -> None:
    held, fixed, within = (checked[name].tolist() for name in ("held", "fixed", "within"))
    placed = [
        bool(now or must or place) for now, must, place in zip(held, fixed, within, strict=True)
    ]
    problem = placeless_sheets(checked.index, placed, table.places, other)
    if problem is not None:
        warnings.warn(str(problem), GridpartWarning, stacklevel=3)


# ---------------------------------------------------------------- what the cells say


@dataclass(frozen=True)
class _Cells:
    """The columns that are checked, by row."""

    post_id: list[str | None]
    role: list[str | None]
    within: list[tuple[str, ...]]
    held: list[list[str]]
    fixed: list[list[str]]
    skills: list[tuple[str, ...]]
    capacity: list[str | None]
    homes: Homes


def _read(
    roster: pd.DataFrame,
    grids: pd.DataFrame,
    table: GridTable,
    other: dict[str, str],
    retired: dict[str, str],
) -> _Cells:
    by_name, known = table.by_name, table.places
    names = by_name | dict.fromkeys(retired, 0)
    held, fixed = (_names(roster, name, names) for name in (_held_column(roster), "fixed"))
    capacity = texts_in(roster, "capacity")
    places = by_sheet(
        communities_in(texts_in(roster, "within"), known, other), roster.index, known, other
    )
    grids_named = [[*now, *must] for now, must in zip(held, fixed, strict=True)]
    return _Cells(
        post_id=texts_in(roster, "post_id"),
        role=[None if role is None else joined(role) for role in texts_in(roster, "role")],
        within=by_lost_grid(places, grids_named, by_name, known, other),
        held=held,
        fixed=fixed,
        skills=_skills(roster),
        capacity=[None if says_nothing(text) else text for text in capacity],
        homes=home_points(roster, grids),
    )


def _held_column(roster: pd.DataFrame) -> str:
    """`grid`; of a roster that was checked before, `held`, which has all of them."""
    again = "held" in roster and any(isinstance(cell, tuple) for cell in roster["held"])
    return "held" if again else "grid"


def _names(frame: pd.DataFrame, name: str, known: dict[str, int]) -> list[list[str]]:
    if name not in frame.columns:
        return [[] for _ in range(len(frame))]
    return [names_in(value, known) for value in frame[name].tolist()]


def _skills(roster: pd.DataFrame) -> list[tuple[str, ...]]:
    places = match_headers(list(roster.columns))["skills"]
    columns = [[words_in(value) for value in roster.iloc[:, k].tolist()] for k in places]
    if not columns:
        return [()] * len(roster)
    return [
        tuple(dict.fromkeys(word for cell in row for word in cell))
        for row in zip(*columns, strict=True)
    ]


# ---------------------------------------------------------------- what is wrong with them


def _all_problems(
    cells: _Cells,
    lines: Sequence[str],
    table: GridTable,
    team: RoleNames | None,
    retired: dict[str, str],
    *,
    cross_borders: bool,
) -> list[Found]:
    by_name = table.by_name
    fixed = [[g for g in names if g in by_name] for names in cells.fixed]
    named = [
        [*(("grid", g) for g in now if g in by_name), *(("fixed grid", g) for g in must)]
        for now, must in zip(cells.held, fixed, strict=True)
    ]
    return [
        *_post_problems(lines, cells.post_id, cells.role),
        *_role_problems(cells.role, team),
        *grid_problems(cells.held, cells.fixed, by_name, retired),
        *community_problems(cells.within, named, fixed, table, cross_borders=cross_borders),
        *_capacity_problems(cells.capacity),
        cells.homes.found,
    ]


def _post_problems(
    lines: Sequence[str], posts: Sequence[str | None], roles: Sequence[str | None]
) -> list[Found]:
    first: dict[str, str] = {}
    twice = []
    for row, post in enumerate(posts):
        if post is None:
            continue
        if post in first:
            twice.append((row, f": {post!r}, first in {first[post]}"))
        first.setdefault(post, lines[row])
    advice = "give every post its own"
    if any(line.startswith(SHEET) for line in lines):
        advice += "; of sheets that say the same, name the one that is meant (sheet=, --sheet)"
    no_post = [(row, "") for row, post in enumerate(posts) if post is None]
    no_role = [(row, f": post {posts[row]!r}") for row, role in enumerate(roles) if role is None]
    return [
        Found("missing_post_id", "post_id is missing", no_post),
        Found("duplicate_post_id", f"post_id stands more than once; {advice}", twice),
        Found("missing_role", "role is missing", no_role),
    ]


def _role_problems(roles: Sequence[str | None], team: RoleNames | None) -> list[Found]:
    if team is None:
        return []
    known, words = _known_roles(team)
    suggest = suggester(words)
    names = {role: team.name_of(role) for role in set(roles) if role is not None}
    unknown = [
        (row, f": {role!r}{suggest(role)}")
        for row, role in enumerate(roles)
        if role is not None and names[role] is None
    ]
    listed = f", which knows {', '.join(known)}" if known else ""
    return [Found("unknown_role", f"role is not in the rule{listed}", unknown)]


def _known_roles(team: RoleNames) -> tuple[list[str], set[str]]:
    """Roles of a rule as they are shown, and every word for them, as far as the rule tells."""
    shown, words = [], set()
    for role in getattr(team, "roles", ()):
        name, title = str(getattr(role, "name", role)), str(getattr(role, "title", ""))
        shown.append(f"{name} ({title})" if title else name)
        words |= {name, *map(str, getattr(role, "words", ()))}
    return shown, words


def _capacity_problems(values: Sequence[str | None]) -> list[Found]:
    wrong = []
    for row, text in enumerate(values):
        number = 0.0 if text is None else number_in(text)
        if number is None or number < 0:
            wrong.append((row, f": {text!r}"))
    return [Found("capacity", "capacity must be a number of households from 0", wrong)]


# ---------------------------------------------------------------- the checked roster


def _checked(
    roster: pd.DataFrame, cells: _Cells, table: GridTable, team: RoleNames | None
) -> pd.DataFrame:
    """The columns as they are promised; rows with problems are dropped afterwards."""
    roles = cells.role
    if team is not None:
        roles = [None if role is None else team.name_of(role) for role in roles]
    held, fixed = (_ids(names, table) for names in (cells.held, cells.fixed))
    objects: dict[str, Sequence[Any]] = {
        "post_id": cells.post_id,
        "role": roles,
        "within": ["; ".join(places) or None for places in cells.within],
        "grid": [grids[0] if grids else None for grids in held],
        "held": held,
        "fixed": fixed,
        "skills": cells.skills,
    }
    checked = roster.copy()
    for name, values in objects.items():
        checked[name] = pd.Series(values, index=checked.index, dtype=object)
    checked["x"], checked["y"] = cells.homes.x, cells.homes.y
    if "capacity" in roster.columns:
        limits = [np.nan if text is None else number_in(text) for text in cells.capacity]
        checked["capacity"] = np.array([np.nan if n is None else n for n in limits], float)
    return checked


def _ids(names: Sequence[Sequence[str]], table: GridTable) -> list[tuple[str, ...]]:
    """Ids of the grids that are known by those names."""
    by_name = table.by_name
    return [
        tuple(dict.fromkeys(table.grid[by_name[name]] for name in row if name in by_name))
        for row in names
    ]
