"""One worker more, one less: what changes, and nothing else does."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from gridpart.errors import InputError
from gridpart.staffing.case import posts_of
from gridpart.staffing.loads import IntArray
from gridpart.staffing.locate import natural
from gridpart.staffing.matching import matched
from gridpart.staffing.posts import Outcome, Posts, Rules
from gridpart.staffing.questions import known_role
from gridpart.staffing.result import Staffing, plural, with_role
from gridpart.staffing.sharing import FINENESS, Group, Place, shared_out

__all__ = ["StaffChange", "hire", "leave"]


@dataclass(frozen=True, repr=False, eq=False)
class StaffChange:
    """What a change of the staff does; made by :func:`hire` and :func:`leave`.

    Attributes
    ----------
    staffing : Staffing
        After the change.
    steps : DataFrame
        After :func:`hire`, a row per new post in the order in which they help most: `post_id`,
        `within`, `grids` (that it holds, codes where there are any), `load`, `worst_before`,
        `worst_after` (heaviest load of the role). After :func:`leave`, a row per grid that changes
        hands: `grid`, `grid_code`, `within`, `to` (missing where nobody can), `load_before` and
        `load_after` (of who takes it).
    worst_before, worst_after : float
        Heaviest load of the role.
    """

    staffing: Staffing
    _steps: pd.DataFrame
    worst_before: float
    worst_after: float

    @property
    def steps(self) -> pd.DataFrame:
        """What changes, row by row."""
        return self._steps.copy()

    def __repr__(self) -> str:
        return (
            f"<StaffChange: {plural(len(self._steps), 'step')}, worst load "
            f"{self.worst_before:,.0f} -> {self.worst_after:,.0f}>"
        )


# ---------------------------------------------------------------- one role, by positions


class _Role:
    """The posts of one role and what each holds, by positions of the grids that it serves."""

    def __init__(self, staffing: Staffing, role: str) -> None:
        known_role(staffing, role)
        self.staffing, self.case, self.role = staffing, staffing.case, role
        self.served = self.case.grids_for(role)
        self.rules: Rules = self.case.rules_for(role)
        self.place_of: IntArray = self.case.places(self.served)
        if self.rules.cross_borders:
            self.place_of = np.zeros_like(self.place_of)
        if self.case.near is None:
            raise InputError(
                "nothing says which grids touch: make the staffing of the plan, or of its grids "
                "with their geometry, or with neighbours"
            )
        self.near = self.case.near.among(np.array(self.served, np.int64))
        self.loads = [self.case.loads.values[g] for g in self.served]
        rows = self.case.roster[self.case.roster["role"] == role]
        self.rows = rows
        self.ids: list[str] = rows["post_id"].tolist()
        number = {post: k for k, post in enumerate(self.ids)}
        position = {self.case.table.grid[g]: k for k, g in enumerate(self.served)}
        table = staffing.assignment
        table = table[table["role"] == role]
        self.holds: list[tuple[int, ...]] = [()] * len(self.ids)
        for post, grids in table.groupby("post_id")["grid"]:
            self.holds[number[post]] = tuple(sorted(position[g] for g in grids))

    def load(self, holds: Sequence[tuple[int, ...]]) -> list[float]:
        """Load of every post, in parts."""
        holders = Counter(g for grids in holds for g in grids)
        return [sum(self.loads[g] / holders[g] for g in grids) for grids in holds]

    def place(self, grids: Iterable[int], holders: dict[int, tuple[int, ...]]) -> Place:
        """Some grids, to be shared out by the role's rules."""
        at = np.array(sorted(grids), np.int64)
        rules = self.rules
        return Place(at, self.loads, self.near, holders, rules.max_grids, rules.free_beats)

    def named(self, grids: Iterable[int]) -> str:
        """Codes of grids, or ids where there are none."""
        table = self.case.table
        return "; ".join(table.code[self.served[g]] or table.grid[self.served[g]] for g in grids)

    def where(self, grid: int) -> str | None:
        """Community of a grid."""
        return self.case.table.within[self.served[grid]]

    def after(self, roster: pd.DataFrame, holds: list[tuple[int, ...]]) -> Staffing:
        """The staffing with other holders of this role."""
        # who held something before and has none of it now has moved
        before = dict(zip(self.ids, self.holds, strict=True))
        ids = roster.loc[roster["role"] == self.role, "post_id"].tolist()
        moved = [
            k
            for k, post in enumerate(ids)
            if before.get(post) and not {*before[post]} & {*holds[k]}
        ]
        pairs = sorted((k, g) for k, grids in enumerate(holds) for g in grids)
        total, count = sum(self.loads), max(len(ids), 1)
        held = Counter(g for _, g in pairs)
        bare = sum(self.loads[g] for g in range(len(self.loads)) if g not in held)
        outcome = Outcome(pairs, (total - bare) / count, moved)
        return with_role(self.staffing, self.role, roster, outcome)


# ---------------------------------------------------------------- one more


def hire(staffing: Staffing, n: int, *, role: str) -> StaffChange:
    """Where `n` more workers of a role lower its heaviest load most, if the others stay put.

    Parameters
    ----------
    staffing : Staffing
    n : int
        Workers more, at least 1.
    role : str

    Returns
    -------
    StaffChange
        Each new worker takes grids from, or shares them with, those who hold them now; nobody else
        is touched. The new posts are called ``new 1``, ``new 2``, ....

    Raises
    ------
    InputError
        If the role is unknown, `n` is not above 0, or nothing says which grids touch.

    Notes
    -----
    Posts that share grids are one office. A worker more goes to the office with the heaviest load,
    which divides its grids anew. That is exact for the heaviest load of all, because more workers
    never make an office heavier: one that got its k-th new worker was the heaviest with k - 1, so
    that any other way to lower the heaviest load needs as many there. Grids without a holder come
    first.

    Examples
    --------
    >>> import gridpart as gp
    >>> grids = pd.DataFrame({"grid": ["g1", "g2"], "households": [300, 500]})
    >>> roster = pd.DataFrame({"post_id": ["a", "b"], "role": "leader"})
    >>> touching = pd.DataFrame({"focal": ["g1"], "neighbor": ["g2"]})
    >>> change = hire(gp.assign_posts(grids, roster, neighbours=touching), 1, role="leader")
    >>> change
    <StaffChange: 1 step, worst load 500 -> 300>
    >>> change.steps[["post_id", "grids", "load"]].values.tolist()
    [['new 1', 'g2', 250.0]]
    """
    if n < 1:
        raise InputError(f"hire at least one worker, not {n}")
    office = _Role(staffing, role)
    parts = office.case.loads.parts
    offices = _offices(office)
    for one in offices:
        one.settle(office)
    before = max([*(one.worst for one in offices if one.posts), 0.0])
    steps: list[dict[str, Any]] = []
    for number in range(1, n + 1):
        worst = max(offices, key=lambda one: (not one.posts and not one.more, one.worst, one.first))
        was = max(one.worst for one in offices)
        worst.more += 1
        worst.settle(office)
        steps.append({"number": number, "office": worst, "before": was,
                      "after": max(one.worst for one in offices)})  # fmt: skip
    return _hired(office, offices, steps, before, parts, n)


@dataclass(eq=False)
class _Office:
    """Grids and the posts that share them; with some more workers."""

    grids: tuple[int, ...]
    posts: tuple[int, ...]
    worst: float = 0.0
    more: int = 0
    groups: tuple[Group, ...] = ()

    @property
    def first(self) -> int:
        return -self.grids[0]

    def settle(self, role: _Role) -> None:
        """Divide the grids among those who are there; as they are, if nobody is new."""
        if not self.more:
            loads = role.load(role.holds)
            bare = float("inf") if not self.posts else 0.0
            self.worst = max([bare, *(loads[k] for k in self.posts)])
            return
        count = len(self.posts) + self.more
        place = role.place(self.grids, {})
        regions = len(place.regions())
        if count < regions:
            self.worst = float("inf")
            return
        [found], _, _ = shared_out([place], [count], 0)
        holders = Counter(g for group in found for g in group.grids)
        self.groups = tuple(found)
        self.worst = max(sum(role.loads[g] / holders[g] for g in group.grids) for group in found)


def _offices(role: _Role) -> list[_Office]:
    """Posts that share grids, together; grids without a holder, each by itself."""
    parent = list(range(len(role.loads)))

    def root(g: int) -> int:
        while parent[g] != g:
            parent[g] = parent[parent[g]]
            g = parent[g]
        return g

    for grids in role.holds:
        for g in grids[1:]:
            parent[root(g)] = root(grids[0])
    members: dict[int, list[int]] = {}
    for g in range(len(role.loads)):
        members.setdefault(root(g), []).append(g)
    posts: dict[int, list[int]] = {}
    for k, grids in enumerate(role.holds):
        if grids:
            posts.setdefault(root(grids[0]), []).append(k)
    return [_Office(tuple(grids), tuple(posts.get(at, ()))) for at, grids in members.items()]


def _hired(
    role: _Role,
    offices: list[_Office],
    steps: list[dict[str, Any]],
    before: float,
    parts: int,
    n: int,
) -> StaffChange:
    roster = _with_new(role, n)
    rows = roster[roster["role"] == role.role]
    ids = rows["post_id"].tolist()
    place_of = role.case.places(role.served)
    asked: Posts = posts_of(role.case, rows, role.served, place_of)
    old = {post: k for k, post in enumerate(role.ids)}
    holds = [role.holds[old[post]] if post in old else () for post in ids]
    asked = replace(asked, wishes=replace(asked.wishes, held=list(holds)))
    at = {post: k for k, post in enumerate(ids)}
    names: dict[int, list[str]] = {}
    for step in steps:
        names.setdefault(id(step["office"]), []).append(f"new {step['number']}")
    for one in offices:
        if not one.more or not one.groups:
            continue
        pool = [at[role.ids[k]] for k in one.posts]
        pool += [at[name] for name in names[id(one)]]
        holders = Counter(g for group in one.groups for g in group.grids)
        loads = {g: sum(role.loads[x] / holders[x] for x in g.grids) for g in one.groups}
        pairs, _ = matched(pool, list(one.groups), len(one.groups), loads, asked.wishes)
        for k in pool:
            holds[k] = tuple(sorted(g for post, g in pairs if post == k))
    load = role.load(holds)
    rows_ = [
        {
            "post_id": f"new {step['number']}",
            "within": role.where(step["office"].grids[0]),
            "grids": role.named(holds[at[f"new {step['number']}"]]),
            "load": load[at[f"new {step['number']}"]] / parts,
            "worst_before": step["before"] / parts,
            "worst_after": step["after"] / parts,
        }
        for step in steps
    ]
    after = max(load)
    return StaffChange(
        role.after(roster, holds), pd.DataFrame(rows_), before / parts, after / parts
    )


def _with_new(role: _Role, n: int) -> pd.DataFrame:
    roster = role.case.roster
    taken = set(roster["post_id"])
    names = [f"new {k}" for k in range(1, n + 1)]
    if taken & set(names):
        raise InputError(f"the roster has a post {sorted(taken & set(names))[0]!r} already")
    blank: dict[str, Any] = {
        "within": None, "grid": None, "held": (), "fixed": (), "skills": (), "x": math.nan,
        "y": math.nan, "capacity": math.nan,
    }  # fmt: skip
    fresh = pd.DataFrame(
        [
            {name: blank.get(name) for name in roster.columns}
            | {"post_id": post, "role": role.role}
            for post in names
        ],
        columns=roster.columns,
    ).astype(roster.dtypes.to_dict())
    both = pd.concat([roster, fresh])
    order = sorted(range(len(both)), key=lambda k: natural(both["post_id"].iloc[k]))
    result = both.iloc[order]
    result.attrs = dict(roster.attrs)
    return result


# ---------------------------------------------------------------- one less


def leave(staffing: Staffing, post_id: str) -> StaffChange:
    """Who takes over what a post holds, with the least change.

    Parameters
    ----------
    staffing : Staffing
    post_id : str
        The post that ends.

    Returns
    -------
    StaffChange
        Only the grids of the post change hands: those that others hold too stay with them; each of
        the rest goes to a post whose grids touch it, directly or through another of them, so that
        the heaviest load among those who take any is smallest. What nobody touches is left open.

    Raises
    ------
    InputError
        If there is no such post, or nothing says which grids touch.

    Examples
    --------
    >>> import gridpart as gp
    >>> grids = pd.DataFrame({"grid": ["g1", "g2", "g3"], "households": [300, 200, 250]})
    >>> roster = pd.DataFrame({"post_id": ["a", "b", "c"], "role": "leader"})
    >>> touching = pd.DataFrame({"focal": ["g1", "g2"], "neighbor": ["g2", "g3"]})
    >>> change = leave(gp.assign_posts(grids, roster, neighbours=touching), "b")
    >>> change.steps[["grid", "to", "load_before", "load_after"]].values.tolist()
    [['g2', 'c', 250.0, 450.0]]
    """
    posts = staffing.posts
    rows = posts[posts["post_id"] == post_id]
    if rows.empty:
        raise InputError(f"no post {post_id!r} in the staffing")
    role = _Role(staffing, str(rows["role"].iloc[0]))
    if len(role.ids) == 1:
        raise InputError(f"{post_id!r} is the only {role.role}: nobody can take over")
    gone = role.ids.index(post_id)
    before = role.load(role.holds)
    holders = Counter(g for grids in role.holds for g in grids)
    left = [g for g in role.holds[gone] if holders[g] == 1]
    holds = [() if k == gone else grids for k, grids in enumerate(role.holds)]
    takers: dict[int, int | None] = {}
    for component in role.near.among(np.array(left, np.int64)).regions() if left else []:
        takers |= _taken_over(role, holds, [left[k] for k in component])
    for g, k in takers.items():
        if k is not None:
            holds[k] = tuple(sorted({*holds[k], g}))
    after = role.load(holds)
    parts = role.case.loads.parts
    steps = [
        {
            "grid": role.case.table.grid[role.served[g]],
            "grid_code": role.case.table.code[role.served[g]],
            "within": role.where(g),
            "to": None if k is None else role.ids[k],
            "load_before": math.nan if k is None else before[k] / parts,
            "load_after": math.nan if k is None else after[k] / parts,
        }
        for g, k in sorted(takers.items())
    ]
    columns = ["grid", "grid_code", "within", "to", "load_before", "load_after"]
    roster = role.case.roster[role.case.roster["post_id"] != post_id]
    roster.attrs = dict(role.case.roster.attrs)
    remaining = [grids for k, grids in enumerate(holds) if k != gone]
    return StaffChange(
        role.after(roster, remaining), pd.DataFrame(steps, columns=columns),
        max(before) / parts, max(after) / parts,
    )  # fmt: skip


def _taken_over(
    role: _Role, holds: list[tuple[int, ...]], grids: list[int]
) -> dict[int, int | None]:
    """Who takes each of some connected grids, so that the heaviest taker is lightest."""
    near, place = role.near, int(role.place_of[grids[0]])
    touched = {
        int(v) for g in grids for v in near.indices[near.indptr[g] : near.indptr[g + 1]]
    } - set(grids)
    load = role.load(holds)
    there = sorted(
        (k for k, mine in enumerate(holds) if set(mine) & touched and _serves(role, mine, place)),
        key=lambda k: (load[k], k),
    )
    if role.rules.max_grids is not None:
        there = [k for k in there if len(holds[k]) < role.rules.max_grids]
    best: tuple[float, int, dict[int, int | None]] | None = None
    # a post that takes nothing does not matter: so many of the lightest are asked at a time
    for asked in range(1, len(there) + 1):
        found = _divided(role, holds, grids, there[:asked])
        if found is None:
            continue
        after = dict.fromkeys(found.values(), 0.0)
        for g, k in found.items():
            after[k] += role.loads[g]
        worst = max(load[k] + extra for k, extra in after.items() if k is not None)
        if best is None or (worst, len(after)) < best[:2]:
            best = (worst, len(after), found)
    return dict.fromkeys(grids) if best is None else best[2]


def _serves(role: _Role, mine: tuple[int, ...], place: int) -> bool:
    return all(int(role.place_of[g]) == place for g in mine)


def _divided(
    role: _Role, holds: list[tuple[int, ...]], grids: list[int], asked: list[int]
) -> dict[int, int | None] | None:
    """Grids divided among posts, and those who share a grid with one of these; None: no way."""
    near_by = {g for k in asked for g in holds[k]}
    there = {k: mine for k, mine in enumerate(holds) if set(mine) & near_by}
    place = role.place({*grids, *(g for mine in there.values() for g in mine)}, there)
    if any(not region.posts for region in place.regions()):
        return None
    answer = place.need(place.total * FINENESS)
    if answer is None or answer.found:
        return None
    [found], _, _ = shared_out([place], [0], 0)
    return {g: group.post for group in found for g in group.grids if g in set(grids)}
