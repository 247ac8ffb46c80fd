"""One level of a plan put back in order: labels of the old areas in, names of the new ones out."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array

from gridpart.engine.effort import Effort
from gridpart.engine.moves import EVICTED, NO_HOME, Task, least_moves
from gridpart.engine.pieces import PROVEN
from gridpart.explain import Divided, explain
from gridpart.problem import (
    Community,
    Failure,
    Measured,
    attach_enclaves,
    build_communities,
    solve_one,
    widest_mm,
)
from gridpart.rules import Rules, lock_names

if TYPE_CHECKING:
    import geopandas as gpd

    from gridpart.contiguity import Contiguity
    from gridpart.engine import Solution

__all__ = ["Level", "redraw_level"]

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Objects = npt.NDArray[np.object_]


@dataclass(frozen=True, eq=False)
class Level:
    """What is asked of one level, and what is known of it.

    Parameters
    ----------
    name : str
        ``grid``, or that of another level.
    rules : Rules
        Of this level.
    home : ndarray of object, shape (n,)
        Old area of every unit, None for none.
    pinned : ndarray of bool, shape (n,)
        Units that stay in their area.
    kept : frozenset of str
        Areas that stay as they are: locked ones, and exceptions that nothing has happened to.
    parted : frozenset of str
        Old areas that were in several parts already.
    together : ndarray of int64, shape (n,), optional
        Units with the same number >= 0 stay together, even where they do not touch.
    """

    name: str
    rules: Rules
    home: Objects
    pinned: Flags
    kept: frozenset[str]
    parted: frozenset[str]
    together: Ints | None = None


@dataclass(frozen=True, eq=False)
class Drawn:
    """One level as it is now: names by unit, exceptions, and what had to change at least."""

    names: Objects
    exceptions: pd.DataFrame
    households_bound: int
    areas_bound: int


def redraw_level(
    units: gpd.GeoDataFrame, borders: Contiguity, measured: Measured, level: Level
) -> Drawn:
    """Put the areas of one level back inside their bounds.

    Parameters
    ----------
    units : GeoDataFrame of n units
        With the columns that the rules of the level name.
    borders : Contiguity
        Of the units.
    measured : Measured
        Of the units.
    level : Level

    Returns
    -------
    Drawn
    """
    rules = level.rules
    communities = build_communities(units, borders, rules, measured, level.together)
    owner = _owners(units, level)
    divided = Divided(np.full(len(units), -1, np.int64))
    names: list[str | None] = []
    bound, broken, sites = 0, 0, []
    for community in communities:
        desk = _Desk(community, level, owner)
        households, areas = desk.solve()
        bound, broken = bound + households, broken + areas
        first = len(names)
        names += desk.names
        found = np.where(desk.labels < 0, -1, desk.labels + first)
        divided.labels[community.members] = found
        sites.append(np.unique(found[community.sites >= 0]))
        divided.reasons += desk.reasons
        divided.relaxations += [()] * len(desk.names)
        divided.causes += [community.members[desk.labels == g] for g in range(len(desk.names))]
        divided.pieces += [first] * len(desk.names)
    divided.sites = np.concatenate(sites) if sites else np.zeros(0, np.int64)
    attach_enclaves(units, communities, divided.labels, divided.sites)
    names += [None] * (int(divided.labels.max(initial=-1)) + 1 - len(names))
    called = _named(units, divided, names, level)
    locked = np.full(len(units), "", dtype=object)
    if rules.locked is not None:
        locked = lock_names(units[rules.locked])
    table = explain(units, divided, called, rules, level.name, locked)
    return Drawn(called[divided.labels], table, bound, broken)


def _owners(units: gpd.GeoDataFrame, level: Level) -> dict[str, str]:
    """Community in which each old area goes on: that of most of its households now."""
    rules = level.rules
    keys = pd.Series("", index=units.index) if rules.parent is None else units[rules.parent]
    table = pd.DataFrame(
        {
            "home": level.home,
            "key": keys.astype(str).to_numpy(),
            "weight": units[rules.households].to_numpy(np.float64) + 1e-3,
        }
    )
    sums = table.groupby(["home", "key"], sort=True)["weight"].sum().reset_index()
    best = sums.sort_values(["home", "weight"], ascending=[True, False], kind="stable")
    best = best.drop_duplicates("home")
    return dict(zip(best["home"], best["key"], strict=True))


# ---------------------------------------------------------------- one community


class _Desk:
    """One community: the old areas in it, and the task that puts them in order."""

    def __init__(self, community: Community, level: Level, owner: dict[str, str]) -> None:
        self.community, self.level, self.rules = community, level, level.rules
        home = level.home[community.members]
        own = np.array([name is not None and owner[name] == community.key for name in home], bool)
        found, labels = np.unique(home[own].astype(str), return_inverse=True)
        self.known: list[str] = found.tolist()
        self.names: list[str | None] = list(self.known)
        self.home = np.full(home.size, NO_HOME, np.int64)
        self.home[own] = labels.reshape(-1)
        self.home[[not mine and name is not None for mine, name in zip(own, home, strict=True)]] = (
            EVICTED
        )
        self.start = np.where(self.home == EVICTED, NO_HOME, self.home)
        self.exempt = [name in level.kept for name in self.names]
        self._give_sites_their_own()
        self.reasons: list[str] = []
        self.labels = self.start.copy()
        # the last two stand for units without a home, and those whose home is elsewhere
        parted = np.array([name in level.parted for name in self.names] + [False, False], bool)
        self.community = community.linked(np.where(parted[self.home], self.home, NO_HOME))

    def _give_sites_their_own(self) -> None:
        """Exclusive and locked sites are groups: the one they were in, if it held nothing else."""
        sites = self.community.sites
        for number in np.unique(sites[sites >= 0]):
            members = sites == number
            homes = np.unique(self.home[members])
            group = int(homes[0])
            alone = homes.size == 1 and group >= 0 and not (~members & (self.home == group)).any()
            if not alone:
                group = len(self.names)
                self.names.append(None)
                self.exempt.append(False)
            self.exempt[group] = True
            self.start[members] = group

    def solve(self) -> tuple[int, int]:
        """Find the labels, and why what is outside is; what had to move and be touched at least."""
        community, rules = self.community, self.rules
        bands = [(rules.low, rules.high), *(rules.bounds or {}).values()]
        open_ = ~community.closed
        node, count = self._nodes()
        rows, columns = node[community.rows[open_]], node[community.indices[open_]]
        different = rows != columns
        graph = csr_array(
            (np.ones(different.sum()), (rows[different], columns[different])), shape=(count, count)
        )
        graph.sum_duplicates()
        graph.sort_indices()
        first = np.unique(node, return_index=True)[1]
        loads = np.zeros((count, community.loads.shape[1]), np.int64)
        np.add.at(loads, node, community.loads)
        pinned = self.level.pinned[community.members] | (community.sites >= 0)
        pinned |= np.array([*self.exempt, False])[self.start]
        self.held = pinned & (community.sites < 0)
        held = np.zeros(count, np.bool_)
        np.logical_or.at(held, node, pinned)
        reach = np.full((count, community.reach.shape[1]), np.iinfo(np.int64).min // 2)
        np.maximum.at(reach, node, community.reach)
        task = Task(
            graph.indptr.astype(np.int64), graph.indices.astype(np.int64), loads,
            self.home[first], self.start[first],
            np.array([low for low, _ in bands]), np.array([high for _, high in bands]),
            held, np.array(self.exempt, bool), reach, widest_mm(rules.max_diameter_m) or 0,
        )  # fmt: skip
        moved = least_moves(task)
        self.labels = moved.labels[node]
        self._close_up(int(moved.labels.max(initial=-1)))
        self._explain()
        self._name()
        return moved.bound, moved.broken

    def _name(self) -> None:
        """Call groups by the old areas so that most households stay in one of the same name."""
        old = np.unique(self.home[self.home >= 0])
        inside = (self.home >= 0) & (self.labels >= 0)
        shared = np.zeros((len(self.names), old.size))
        # what was to stay does so by name, too
        weight = self.community.loads[inside, 0] + 1e-3 + 1e9 * self.held[inside]
        np.add.at(shared, (self.labels[inside], np.searchsorted(old, self.home[inside])), weight)
        groups, areas = linear_sum_assignment(-shared)
        self.names = [None] * len(self.names)
        for g, area in zip(groups, areas, strict=True):
            if shared[g, area] > 0:
                self.names[g] = self.known[old[area]]

    def _nodes(self) -> tuple[Ints, int]:
        """Number the units; those of a compound that were in one area, and still are, are one."""
        tied, start = self.community.tied, self.start
        node = np.arange(tied.size)
        for number in np.unique(tied[tied >= 0]):
            members = np.flatnonzero(tied == number)
            one_home = (start[members] == start[members[0]]).all() and start[members[0]] >= 0
            fits = (self.community.loads[members].sum(axis=0) <= self._high()).all()
            if one_home and fits:
                node[members] = members[0]
        names, node = np.unique(node, return_inverse=True)
        return node.reshape(-1).astype(np.int64), int(names.size)

    def _high(self) -> Ints:
        bands = [(self.rules.low, self.rules.high), *(self.rules.bounds or {}).values()]
        return np.array([high for _, high in bands])

    def _close_up(self, most: int) -> None:
        """Names for the groups that were added; groups that nobody is in any more go."""
        self.names += [None] * (most + 1 - len(self.names))
        self.reasons = [""] * len(self.names)
        self._drop_empty()

    def _explain(self) -> None:
        """Reasons of the groups outside their bounds; what can be divided after all, is."""
        for g in self._wrong():
            if (self.community.loads[self.labels == g] > self._high()).any():
                self.reasons[g] = "unit_above_band"
        if any(not self.reasons[g] for g in self._wrong()):
            self._ask_the_engine([g for g in self._wrong() if not self.reasons[g]])
        for g in self._wrong():
            self.reasons[g] = self.reasons[g] or "not_found"

    def _wrong(self) -> list[int]:
        """Groups outside their bounds, but for exclusive and locked ones."""
        loads = self.community.loads
        totals = np.zeros((len(self.names), loads.shape[1]), np.int64)
        inside = self.labels >= 0
        np.add.at(totals, self.labels[inside], loads[inside])
        low = np.array([self.rules.low, *(low for low, _ in (self.rules.bounds or {}).values())])
        wrong = ((totals < low) | (totals > self._high())).any(axis=1)
        sites = np.unique(self.labels[self.community.sites >= 0])
        return [int(g) for g in np.setdiff1d(np.flatnonzero(wrong), sites)]

    def _ask_the_engine(self, wrong: list[int]) -> None:
        """Divide afresh what could not be put in order, where that misses the bounds by less.

        Where it does not, the reason is that of the engine.
        """
        again = solve_one(
            self.community, self.rules, None, Effort.of("default"), None, np.zeros(2, np.int64)
        )
        if isinstance(again, Failure):
            return
        while wrong:
            members = self._both_ways(self.labels == wrong[0], again)
            groups = np.unique(again.labels[members & (again.labels >= 0)])
            here = [g for g in wrong if members[self.labels == g].any()]
            reasons = [again.reasons[g] for g in groups if again.reasons[g]]
            ours = sum(self._missed(self.labels == g) for g in here)
            theirs = sum(self._missed(again.labels == g) for g in groups)
            if theirs < ours and not (members & self.held).any():
                self._adopt(members, again)
            else:
                proven = [reason for reason in reasons if reason in PROVEN]
                for g in here:
                    self.reasons[g] = proven[0] if proven else "not_found"
            wrong = [g for g in wrong if g not in here]
        self._drop_empty()

    def _both_ways(self, members: Flags, again: Solution) -> Flags:
        """Units that these, their groups and the engine's pieces have to do with, all told."""
        size = 0
        while members.sum() > size:
            size = int(members.sum())
            found = again.labels[members & (again.labels >= 0)]
            pieces = np.unique(again.pieces[np.unique(found)])
            of_piece = np.append(np.isin(again.pieces, pieces), False)[again.labels]
            members = members | of_piece
            members = members | np.isin(self.labels, np.unique(self.labels[members]))
        return members & (self.community.sites < 0)

    def _missed(self, members: Flags) -> int:
        """Households by which a group misses the band."""
        load = int(self.community.loads[members, 0].sum())
        return max(self.rules.low - load, load - self.rules.high, 0)

    def _drop_empty(self) -> None:
        """Forget groups that nobody is in any more."""
        used = np.unique(self.labels[self.labels >= 0])
        number = np.full(len(self.names) + 1, -1, np.int64)
        number[used] = np.arange(used.size)
        self.labels = number[self.labels]  # the last stands for none
        self.names = [self.names[g] for g in used]
        self.reasons = [self.reasons[g] for g in used]

    def _adopt(self, members: Flags, again: Solution) -> None:
        """Take a fresh division of some units; what its groups are called is told at the end."""
        members = members & (again.labels >= 0)
        groups, found = np.unique(again.labels[members], return_inverse=True)
        self.labels[members] = len(self.names) + found.reshape(-1)
        self.names += [None] * groups.size
        self.reasons += [again.reasons[g] for g in groups]


# ---------------------------------------------------------------- names


def _named(
    units: gpd.GeoDataFrame, divided: Divided, names: list[str | None], level: Level
) -> Objects:
    """Name of every area: its own, or the next that no area of its community ever had."""
    called = np.array(names, dtype=object)
    taken = {str(name) for name in level.home if name is not None}
    keys = np.full(len(names), "", dtype=object)
    if level.rules.parent is not None:
        keys[divided.labels] = units[level.rules.parent].astype(str).to_numpy()
    for g in np.flatnonzero(called == None):  # noqa: E711 - elementwise
        start = f"{keys[g]}-" if keys[g] else level.name[:1].upper()
        for name in _next_names(start, taken):
            called[g] = name
            taken.add(name)
            break
    return called


def _next_names(start: str, taken: set[str]) -> Iterator[str]:
    """Names with serials above those that are taken."""
    pattern = re.compile(re.escape(start) + r"(\d+)")
    found = [match[1] for name in taken if (match := pattern.fullmatch(name))]
    width = max([3, *map(len, found)])
    highest = max(map(int, found), default=0)
    for serial in itertools.count(highest + 1):
        yield f"{start}{serial:0{width}d}"
