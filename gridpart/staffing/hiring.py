"""One worker more: where that helps most, and nothing else changes."""

from __future__ import annotations

import math
import numbers
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from gridpart.errors import InputError
from gridpart.staffing.case import posts_of
from gridpart.staffing.changes import Role, StaffChange, check_staffing
from gridpart.staffing.loads import IntArray
from gridpart.staffing.locate import natural
from gridpart.staffing.matching import matched
from gridpart.staffing.posts import Posts
from gridpart.staffing.result import Staffing
from gridpart.staffing.sharing import FINENESS, Group, Place, shared_out

__all__ = ["hire"]

TRIED = 14  # connected grids without a holder of which one after the other is tried


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
        If `staffing` is none, the role is unknown, `n` is no whole number from 1, or nothing says
        which grids touch.

    Notes
    -----
    Posts that share grids are one office. A worker more goes to the office with the heaviest load,
    which divides its grids anew; fixed grids stay with their posts. That is exact for the heaviest
    load of all as far as the divisions are, because more workers never make an office heavier: one
    that got its k-th new worker was the heaviest with k - 1, so that any other way to lower the
    heaviest load needs as many there. Grids without a holder come first, the heaviest connected
    set of them before all others; as they had no holder before, the heaviest load may then rise.
    Where nobody lives, a grid without a holder is no load: it comes along with others, and alone
    it comes last. Where posts are too few for a beat each, because somebody holds grids that do
    not touch, a newcomer takes one of the pieces.

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
    check_staffing(staffing)
    if not isinstance(n, numbers.Integral) or isinstance(n, bool):
        raise InputError(f"hire a whole number of workers, such as 3, not {n!r}")
    n = int(n)
    if n < 1:
        raise InputError(f"hire at least one worker, not {n}")
    office = Role(staffing, role)
    if not office.served:
        raise InputError(f"no grid asks for a {role}: there is nothing to hire for")
    offices = _offices(office)
    steps: list[dict[str, Any]] = []
    for number in range(1, n + 1):
        worst = max(offices, key=lambda one: one.urgency)
        was = _heaviest(offices)
        worst.more += 1
        worst.settle(office)
        steps.append(
            {"number": number, "office": worst, "before": was, "after": _heaviest(offices)}
        )
    return _hired(office, offices, steps, max(office.load(office.holds), default=0.0), n)


def _heaviest(offices: Iterable[_Office]) -> float:
    """Heaviest load of those who hold any grids."""
    return max((one.worst for one in offices if one.posts or one.more), default=0.0)


@dataclass(eq=False)
class _Office:
    """Grids and the posts that share them; with some more workers."""

    grids: tuple[int, ...]
    posts: tuple[int, ...]
    worst: float  # without end where nobody holds what is a load
    load: int = 0  # of grids without a holder
    more: int = 0
    groups: tuple[Group, ...] = ()

    @property
    def urgency(self) -> tuple[float, bool, int, int]:
        """Load without a holder comes first, the heaviest before all other; grids of none last."""
        return self.worst, not (self.posts or self.more), self.load, -self.grids[0]

    def settle(self, role: Role) -> None:
        """Divide the grids among those who are there and those who come."""
        fixed = {k: role.fixed[k] for k in self.posts if role.fixed[k]}
        free = len(self.posts) - len(fixed) + self.more
        place = self._place(role, fixed, free)
        if place is None:
            self.groups = _pieces(role, self.posts, self.more)
        else:
            [found], _, _ = shared_out([place], [free], 0)
            self.groups = tuple(found)
        self.worst = max(role.load([group.grids for group in self.groups]))

    def _place(self, role: Role, fixed: dict[int, tuple[int, ...]], free: int) -> Place | None:
        """Its grids, if posts are enough for them; who has more than allowed may keep some."""
        most = role.rules.max_grids
        limits = [None] if most is None else range(most, max(most, len(self.grids)) + 1)
        for limit in limits:
            place = role.place(self.grids, fixed, limit)
            if place.need(max(place.total, 1) * FINENESS).found <= free:
                return place
        return None


def _pieces(role: Role, posts: Sequence[int], more: int) -> tuple[Group, ...]:
    """Each newcomer takes one piece of the heaviest post that has several which do not touch."""
    groups = [Group(k, role.holds[k]) for k in posts]
    for _ in range(more):
        load = role.load([group.grids for group in groups])
        holders = Counter(g for group in groups for g in group.grids)
        for at in sorted(range(len(groups)), key=lambda at: (-load[at], at)):
            post, grids = groups[at]
            pieces = role.pieces(grids)
            kept = set(role.fixed[post]) if post >= 0 else set(grids)
            movable = [piece for piece in pieces if not kept & set(piece)]
            if len(pieces) > 1 and movable:
                weight = {p: sum(role.loads[g] / holders[g] for g in p) for p in movable}
                taken = min(movable, key=lambda p: (max(weight[p], load[at] - weight[p]), p))
                groups[at] = Group(post, tuple(g for g in grids if g not in taken))
                groups.append(Group(-1, taken))
                break
    return tuple(groups)


def _offices(role: Role) -> list[_Office]:
    """Posts that share grids, together; grids without a holder, as one post would hold them."""
    graph, now = nodes_together(role.holds, len(role.loads)), role.load(role.holds)
    posts: dict[int, list[int]] = {}
    for k, grids in enumerate(role.holds):
        if grids:
            posts.setdefault(int(graph[grids[0]]), []).append(k)
    found = [
        _Office(tuple(np.flatnonzero(graph == at).tolist()), tuple(here), max(now[k] for k in here))
        for at, here in posts.items()
    ]
    bare = np.array(sorted(set(range(len(role.loads))) - {g for o in found for g in o.grids}), int)
    for number in np.unique(role.place_of[bare]).tolist():
        open_ = bare[role.place_of[bare] == number].tolist()
        apart = _apart(role, open_)
        sets = _in_sets(role, [g for g in open_ if g not in apart])
        sets += _in_sets(role, sorted(apart))
        for group in sets:
            load = sum(role.loads[g] for g in group.grids)
            found.append(_Office(group.grids, (), math.inf if load else 0.0, load))
    return found


def _in_sets(role: Role, grids: Sequence[int]) -> list[Group]:
    """As few sets of grids as can be, each for one newcomer."""
    if not grids:
        return []
    place = role.place(grids, {}, role.rules.max_grids)
    most = max(place.total, 1) * FINENESS
    return place.shared(place.need(most).found, most)


def _apart(role: Role, grids: Sequence[int]) -> set[int]:
    """Grids of no load, of those without a holder, that would cost the others a newcomer."""
    if role.rules.max_grids in (None, 1):  # then they come along, or are alone anyway
        return set()
    return {
        g
        for piece in role.pieces(grids)
        if any(role.loads[g] for g in piece) and not all(role.loads[g] for g in piece)
        for g in set(piece) - _needing_fewest(role, piece)
    }


def _needing_fewest(role: Role, piece: tuple[int, ...]) -> set[int]:
    """Connected grids without some of no load, so that fewer newcomers do; as many as then can."""

    def needed(some: Iterable[int]) -> int:
        return len(_in_sets(role, sorted(some)))

    idle = [g for g in piece if not role.loads[g]]
    kept, fewest = set(piece), needed(piece)
    at_first = fewest
    if len(piece) > TRIED:
        alone = kept - set(idle)
        return alone if needed(alone) < fewest else kept
    for joining in (False, True):  # first those without which the others still hang together
        for g in [*idle, *reversed(idle)]:
            without = kept - {g}
            if g not in kept or joining == (len(role.pieces(sorted(without))) == 1):
                continue
            number = needed(without)
            if number < fewest or (number == fewest and not joining):
                kept, fewest = without, number
    if fewest == at_first:
        return set(piece)
    for g in [*idle, *reversed(idle)]:
        if g not in kept and needed({*kept, g}) <= fewest:
            kept.add(g)
    return kept


def nodes_together(sets: Iterable[Sequence[int]], n: int) -> IntArray:
    """Number of the connected set of each of n nodes, where the nodes of a set belong together."""
    pairs = [(grids[0], g) for grids in sets for g in grids]
    rows, columns = np.array(pairs, np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(rows.size), (rows, columns)), shape=(n, n))
    label: IntArray = connected_components(graph, directed=False)[1].astype(np.int64)
    return label


def _hired(
    role: Role,
    offices: list[_Office],
    steps: list[dict[str, Any]],
    before: float,
    n: int,
) -> StaffChange:
    parts = role.case.loads.parts
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
        if not one.more:
            continue
        loads = dict(zip(one.groups, role.load([g.grids for g in one.groups]), strict=True))
        staying = {group.post: group.grids for group in one.groups if group.post >= 0}
        pool = [at[role.ids[k]] for k in one.posts if k not in staying]
        pool += [at[name] for name in names[id(one)]]
        free = [group for group in one.groups if group.post < 0]
        pairs, _ = matched(pool, free, len(free), loads, asked.wishes)
        for k in pool:
            holds[k] = tuple(sorted(g for post, g in pairs if post == k))
        for k, grids in staying.items():
            holds[at[role.ids[k]]] = grids
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


def _with_new(role: Role, n: int) -> pd.DataFrame:
    roster = role.case.roster
    taken = set(roster["post_id"])
    names = [f"new {k}" for k in range(1, n + 1)]
    if taken & set(names):
        raise InputError(f"the roster has a post {sorted(taken & set(names))[0]!r} already")
    ours: dict[str, list[Any]] = {
        "post_id": names, "role": [role.role] * n, "within": [None] * n, "grid": [None] * n,
        "held": [()] * n, "fixed": [()] * n, "skills": [()] * n,
    }  # fmt: skip
    # what else a roster says of its posts is not known of these
    both = roster.reset_index(drop=True).reindex(range(len(roster) + n))
    for name, values in ours.items():
        both[name] = pd.Series([*roster[name], *values], dtype=object)
    both.index = pd.Index([*roster.index, *names], name=roster.index.name)
    order = sorted(range(len(both)), key=lambda k: natural(both["post_id"].iloc[k]))
    result = both.iloc[order]
    result.attrs = dict(roster.attrs)
    return result
