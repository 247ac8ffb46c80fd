"""Posts that a team's rules ask for, and which of them a roster fills."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_flow

from gridpart.errors import InputError, Problem
from gridpart.staffing.roster import GridTable, grid_table, natural, nearest, plain_text
from gridpart.standards import KINDS, Standard, Team, TeamRule

__all__ = ["posts_required"]

COUNTS = ("grids", "households", "required")
HELD = ("filled", "vacancies", "surplus", "grids_open")
IntArray = npt.NDArray[np.int64]
Pairs = dict[str, set[int]]  # post -> positions of its grids
_Stand = tuple[int, str, int]  # rule, what it counts, and which of them


class HasGrids(Protocol):
    """A plan, as far as it matters here."""

    @property
    def grids(self) -> pd.DataFrame:
        """The grids."""


class HasAssignment(Protocol):
    """A staffing, as far as it matters here."""

    @property
    def assignment(self) -> pd.DataFrame:
        """One row per post and grid."""


def posts_required(
    grids: pd.DataFrame | HasGrids,
    team: Team | Standard,
    assignment: pd.DataFrame | HasAssignment | None = None,
) -> pd.DataFrame:
    """Count the posts that a team's rules ask for, by role and place, and those filled.

    Parameters
    ----------
    grids : DataFrame, GeoDataFrame or Plan
        One row per grid: `grid` and `households`, optionally `grid_code`, `within` and `kind`
        (``base`` or ``exclusive``; without it every grid is a base grid).
    team : Team or Standard
        The rules, as :func:`gridpart.standards.load_standard` reads them.
    assignment : DataFrame or Staffing, optional
        Who holds which grid: one row per post and grid with `post_id`, `role` (any word that the
        team knows) and `grid` (id or code), as :func:`gridpart.staffing.assign_posts` gives it.

    Returns
    -------
    DataFrame
        One row per role, in the team's order, and place, in natural order: `role`, `within` (None
        where a grid has no community), `grids` and `households` (those that the role's rules
        speak of) and `required` (posts). With `assignment` also `filled`, `vacancies`
        (required less filled), `surplus` (holders who fill no required post) and `grids_open`
        (grids that the rules speak of and nobody of the role holds). Counts are int64.

    Raises
    ------
    InputError
        With everything that is wrong with the grids (as for
        :func:`gridpart.staffing.assign_posts`, and an unknown `kind`) or with the assignment: a
        missing column or cell, an unknown grid, a role that is not the team's, a post with two
        roles, a community that is not the grid's.

    Notes
    -----
    What a rule asks for in a place, with *n* for its `number`:

    * ``per="grid"``: *n* times the grids it speaks of, whatever their households: an empty grid
      is still ground to cover.
    * ``per="community"``: *n*, if there is a grid that it speaks of; else 0.
    * ``per="households"``: *n* times the households of those grids, divided by the rule's
      `households` and rounded up; so 0 without households. Parts are rounded in every
      community, and the sum over communities can be more than all households together would ask.

    Rules of one role add up. Grids without a community are one place, `None`.

    A holder counts once, however many grids he holds, and in one place: where his grids have most
    households (grids that the rules speak of before others; of equals the place with more of them,
    then the first). There he can fill one post of a grid that he holds or, of rules per
    community or per households, one of the place if he holds such a grid. Two leaders of one grid
    do not fill the post of its neighbour. `filled` is the largest number of posts that can be
    filled so: a maximum flow from holders to posts (Dinic, *Soviet Math. Doklady* 11, 1970).

    `max_grids` and `cross_borders` are for who assigns posts; they do not bend the count.

    Of a role that is welcome (`number` 0) all holders are `surplus`. Posts that hold no grid are
    not in an assignment, so they are not counted.

    Examples
    --------
    >>> from gridpart.standards import load_standard
    >>> grids = pd.DataFrame({"grid": ["g1", "g2", "g3"], "households": [300, 200, 150]})
    >>> leaders = pd.DataFrame(
    ...     {"post_id": ["a", "b", "b"], "role": "leader", "grid": ["g1", "g2", "g3"]}
    ... )
    >>> result = posts_required(grids, load_standard("base"), leaders)
    >>> result.drop(columns=["within", "households"]).head(2)
         role  grids  required  filled  vacancies  surplus  grids_open
    0  leader      3         3       2          1        0           0
    1  police      3         1       0          1        0           3
    """
    frame = grids if isinstance(grids, pd.DataFrame) else grids.grids
    team = team.team if isinstance(team, Standard) else team
    ground = _ground(frame)
    held: dict[str, Pairs] | None = None
    if assignment is not None:
        rows = assignment if isinstance(assignment, pd.DataFrame) else assignment.assignment
        held = _held(rows, team, ground.table)
    tables = []
    for role in team.names:
        asked = _Asked(ground, team.rules_of(role))
        columns = asked.counts()
        if held is not None:
            columns |= _holding(asked, held.get(role, {}))
        tables.append(_role_table(role, ground.places, columns))
    return pd.concat(tables, ignore_index=True)


def _role_table(
    role: str, places: Sequence[str | None], columns: dict[str, IntArray]
) -> pd.DataFrame:
    names = {
        "role": pd.Series([role] * len(places), dtype=object),
        "within": pd.Series(list(places), dtype=object),
    }
    counts = {name: pd.Series(values, dtype=np.int64) for name, values in columns.items()}
    return pd.DataFrame(names | counts)


# --------------------------------------------------------------------------- what is asked for


@dataclass(frozen=True)
class _Ground:
    """The grids, their kinds, and their places in natural order."""

    table: GridTable
    kind: list[str]
    places: list[str | None]
    place_of: list[int]


def _ground(grids: pd.DataFrame) -> _Ground:
    table = grid_table(grids)
    kinds = [KINDS[0]] * len(table.grid)
    if "kind" in grids.columns:
        given = [plain_text(value) for value in grids["kind"].tolist()]
        kinds = [given[row] or KINDS[0] for row in table.row]
    wrong = [
        f"grid {grid}: {kind!r}"
        for grid, kind in zip(table.grid, kinds, strict=True)
        if kind not in KINDS
    ]
    if wrong:
        text = f"kind of a grid must be {' or '.join(KINDS)}"
        raise InputError(Problem("unknown_kind", text, tuple(wrong)))
    places = sorted(set(table.within), key=lambda place: natural(place or ""))
    number = {place: k for k, place in enumerate(places)}
    return _Ground(table, kinds, places, [number[place] for place in table.within])


class _Asked:
    """What the rules of one role ask for on some ground.

    `by_rule` has the posts that each rule asks for in every place, `required` their sum; `spoken`
    says of every grid whether any rule speaks of it.
    """

    def __init__(self, ground: _Ground, rules: Sequence[TeamRule]) -> None:
        self.ground = ground
        self.rules = rules
        kinds = {kind for rule in rules for kind in rule.kinds}
        self.spoken = [kind in kinds for kind in ground.kind]
        self.by_rule = [self._of_rule(rule) for rule in rules]
        self.required: IntArray = sum(self.by_rule, np.zeros(len(ground.places), np.int64))

    def counts(self) -> dict[str, IntArray]:
        """Grids, households and posts required, of every place."""
        grids, households = self._sums(self.spoken)
        return dict(zip(COUNTS, (grids, households, self.required), strict=True))

    def _of_rule(self, rule: TeamRule) -> IntArray:
        grids, households = self._sums([kind in rule.kinds for kind in self.ground.kind])
        if rule.per == "grid":
            return rule.number * grids
        if rule.per == "community":
            return rule.number * (grids > 0).astype(np.int64)
        assert rule.households is not None  # the rule's own check has seen to it
        return rule.number * -(-households // rule.households)

    def _sums(self, spoken: Sequence[bool]) -> tuple[IntArray, IntArray]:
        """Grids and households of every place, of the grids that are spoken of."""
        size = len(self.ground.places)
        grids, households = np.zeros(size, np.int64), np.zeros(size, np.int64)
        chosen = np.flatnonzero(np.array(spoken, bool))
        place_of = np.array(self.ground.place_of, np.int64)[chosen]
        np.add.at(grids, place_of, 1)
        np.add.at(households, place_of, np.array(self.ground.table.households, np.int64)[chosen])
        return grids, households


# --------------------------------------------------------------------------- who fills it


def _holding(asked: _Asked, posts: Pairs) -> dict[str, IntArray]:
    """Posts filled, vacancies, surplus and open grids of every place."""
    ground = asked.ground
    size = len(ground.places)
    homes = [_home(asked, grids) for grids in posts.values()]
    holders = np.bincount(np.array(homes, np.int64), minlength=size)
    filled = _filled(asked, list(posts.values()), homes)
    taken = {grid for grids in posts.values() for grid in grids}
    free = [
        place
        for grid, place in enumerate(ground.place_of)
        if asked.spoken[grid] and grid not in taken
    ]
    bare = np.bincount(np.array(free, np.int64), minlength=size)
    values = (filled, asked.required - filled, holders - filled, bare)
    return dict(zip(HELD, values, strict=True))


def _home(asked: _Asked, grids: Iterable[int]) -> int:
    """Place in which a holder counts."""
    weight: dict[int, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for grid in grids:
        households = asked.ground.table.households[grid]
        own = weight[asked.ground.place_of[grid]]
        own[2] += households
        own[3] += 1
        if asked.spoken[grid]:
            own[0] += households
            own[1] += 1
    return max(sorted(weight), key=lambda place: weight[place])


def _filled(asked: _Asked, posts: Sequence[Iterable[int]], homes: Sequence[int]) -> IntArray:
    """Most posts that can be filled in every place: each holder fills one, at home.

    What is asked for of one grid, or by one rule of one place, is a stand with room for some
    holders. Places have no edges in common, so what is most in all is most in each.
    """
    stands: dict[_Stand, int] = {}
    room: list[int] = []
    place: list[int] = []
    edges: list[tuple[int, int]] = []
    for holder, (grids, home) in enumerate(zip(posts, homes, strict=True)):
        for stand, most in _stands(asked, grids, home):
            if stand not in stands:
                stands[stand] = len(stands)
                room.append(most)
                place.append(home)
            edges.append((holder, stands[stand]))
    filled = np.zeros(len(asked.ground.places), np.int64)
    if edges:
        np.add.at(filled, place, _flow(edges, len(posts), room))
    return filled


def _stands(asked: _Asked, grids: Iterable[int], home: int) -> Iterator[tuple[_Stand, int]]:
    """Where a holder can stand at home, each with the number of posts there."""
    ground = asked.ground
    at_home = sorted(grid for grid in grids if ground.place_of[grid] == home)
    for k, (rule, required) in enumerate(zip(asked.rules, asked.by_rule, strict=True)):
        mine = [grid for grid in at_home if ground.kind[grid] in rule.kinds]
        if rule.per == "grid":
            yield from (((k, "grid", grid), rule.number) for grid in mine if rule.number)
        elif mine and required[home]:
            yield (k, "place", home), int(required[home])


def _flow(edges: Sequence[tuple[int, int]], holders: int, room: Sequence[int]) -> IntArray:
    """Holders at every stand, where as many holders as can be have one stand each.

    The network runs from a source over holders and stands to a sink.
    """
    tails, heads = np.array(edges, np.int64).T
    first, sink = 1 + holders, 1 + holders + len(room)
    able, stands = np.unique(tails), np.arange(first, sink)
    start = np.concatenate([np.zeros_like(able), tails + 1, stands])
    end = np.concatenate([able + 1, heads + first, np.full_like(stands, sink)])
    ones = np.ones(len(able) + len(tails), np.int64)
    # no more can pass than there are holders, so capacities fit into 32 bits
    capacity = np.concatenate([ones, np.minimum(room, holders)]).astype(np.int32)
    network = csr_array((capacity, (start, end)), shape=(sink + 1, sink + 1))
    network.indices = network.indices.astype(np.int32)
    network.indptr = network.indptr.astype(np.int32)
    # what leaves a stand is what the sink has, with the other sign
    back = maximum_flow(network, 0, sink).flow[[sink], :].toarray()[0]
    return np.asarray(-back[first:sink], np.int64)


# --------------------------------------------------------------------------- the assignment


def _held(rows: pd.DataFrame, team: Team, table: GridTable) -> dict[str, Pairs]:
    """Check an assignment; role -> post -> its grids."""
    columns = _columns(rows)
    lines = [f"row {label}" for label in rows.index]
    by_name = table.by_name
    missing: dict[str, list[str]] = defaultdict(list)
    no_grid, no_role, two_roles, contrary = [], [], [], []
    roles: dict[str, str] = {}
    held: dict[str, Pairs] = {role: {} for role in team.names}
    for line, post, word, grid, within in zip(lines, *columns, strict=True):
        for name, value in (("post_id", post), ("role", word), ("grid", grid)):
            if value is None:
                missing[name].append(line)
        role = team.name_of(word)
        if word is not None and role is None:
            no_role.append(f"{line}: {word!r}")
        if grid is not None and grid not in by_name:
            no_grid.append(f"{line}: {grid!r}")
        if post is None or role is None or grid not in by_name:
            continue
        if roles.setdefault(post, role) != role:
            two_roles.append(f"{line}: post {post!r} is {role}, and {roles[post]} before")
        at = by_name[grid]
        if within is not None and within != table.within[at]:
            contrary.append(f"{line}: grid {grid!r} lies in {table.within[at]!r}, not {within!r}")
        held[role].setdefault(post, set()).add(at)
    known = ", ".join(team.names)
    found = [
        *((f"missing_{name}", f"{name} is missing", places) for name, places in missing.items()),
        ("unknown_grid", "grid is neither the id nor the code of a grid in the plan", no_grid),
        ("unknown_role", f"role is not in the team, which has: {known}", no_role),
        ("two_roles", "post has two roles; give it one", two_roles),
        ("contradiction", "within contradicts the grid", contrary),
    ]
    problems = [Problem(kind, text, tuple(places)) for kind, text, places in found if places]
    if problems:
        raise InputError(problems)
    return held


def _columns(rows: pd.DataFrame) -> list[list[str | None]]:
    """Text of post_id, role, grid and within; the last may be missing."""
    problems = [
        Problem(
            "missing_column",
            f"the assignment has no column {name!r}{nearest(name, rows.columns)}",
        )
        for name in ("post_id", "role", "grid")
        if name not in rows.columns
    ]
    if problems:
        raise InputError(problems)
    texts = [
        [plain_text(value) for value in rows[name].tolist()] for name in ("post_id", "role", "grid")
    ]
    if "within" in rows.columns:
        return [*texts, [plain_text(value) for value in rows["within"].tolist()]]
    return [*texts, [None] * len(rows)]
