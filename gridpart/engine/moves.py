"""Back into the band with as few households moved as possible.

A division that was in order is no longer: loads have changed, units have come and gone. Around each
group that is outside its bounds or broken, a mixed-integer program decides which units change
their group. Groups stay connected by cuts that are added until no solution breaks one
(compare Oehrlein and Haunert, *A cutting-plane method for contiguity-constrained spatial
aggregation*, 2017). HiGHS solves the programs, through scipy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

__all__ = ["EVICTED", "NO_HOME", "Moved", "Task", "least_moves", "moves_bound"]

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
# Columns and their values, the sum of which is at most a number.
Row = tuple[Ints, npt.NDArray[np.float64], float]

NO_HOME = -1  # of a unit that is new: it may go anywhere at no cost
EVICTED = -2  # of a unit whose group is another's now: it moves, whatever happens
MOST_ROUNDS = 80  # of cuts, for one program
MOST_BINARIES = 6000
EXACT_BINARIES = 300
IMPROVED_BINARIES = 1500
FEW_ROUNDS, FEW_NODES = 30, 300  # for what is in order already, and might be cheaper
NEAR = 1.02  # so near to what has to be given, nothing is tried again
GAP = 0.01  # of larger programs: not worth the time to close
REACH = 3  # units that a unit may be away from a group it moves to
RINGS = (1, 2, 3, 5, 8, 1000)
NODE_LIMIT = 20_000
# A household outside the band weighs more than any number of moved ones.
PENALTY = 1e3


@dataclass(frozen=True, eq=False)
class Task:
    """What is to be put in order.

    Parameters
    ----------
    indptr, indices : ndarray of int64
        Graph over which groups hang together: open borders only.
    loads : ndarray of int64, shape (n, q)
        Households first, then other bounded quantities.
    home : ndarray of int64, shape (n,)
        Group of every unit so far, from 0; `NO_HOME` for none, `EVICTED` for one that is gone.
    low, high : ndarray of int64, shape (q,)
        Bounds of a group.
    start : ndarray of int64, shape (n,)
        Where every unit is to begin with: its home, but for what has a group of its own from now
        on; `NO_HOME` for what has lost its place.
    pinned : ndarray of bool, shape (n,)
        Units that stay where they start.
    exempt : ndarray of bool, shape (k,)
        Groups to which no bound applies and which neither take nor give: exclusive or locked.
    reach : ndarray of int64, shape (n, 2 d)
        How far every unit reaches in d directions and their opposites; d may be 0.
    widest : int
        Greatest width of a group in any of these directions.
    """

    indptr: Ints
    indices: Ints
    loads: Ints
    home: Ints
    start: Ints
    low: Ints
    high: Ints
    pinned: Flags
    exempt: Flags
    reach: Ints
    widest: int

    def __len__(self) -> int:
        return int(self.home.size)

    @property
    def rows(self) -> Ints:
        """Unit that each entry of `indices` belongs to."""
        return np.repeat(np.arange(len(self)), np.diff(self.indptr))

    def neighbours(self, u: int) -> Ints:
        """Units that border on one."""
        return self.indices[self.indptr[u] : self.indptr[u + 1]]

    def sums(self, labels: Ints, count: int) -> Ints:
        """Loads of every group, shape (count, q)."""
        total = np.zeros((count, self.loads.shape[1]), np.int64)
        inside = labels >= 0
        np.add.at(total, labels[inside], self.loads[inside])
        return total

    def parts(self, labels: Ints) -> Ints:
        """Connected parts of the groups, numbered; of units in no group each its own."""
        rows = self.rows
        same = (labels[rows] == labels[self.indices]) & (labels[rows] >= 0)
        n = len(self)
        matrix = csr_array((np.ones(same.sum()), (rows[same], self.indices[same])), shape=(n, n))
        return connected_components(matrix, directed=False)[1].astype(np.int64)


@dataclass(frozen=True, eq=False)
class Moved:
    """Where every unit is now.

    Parameters
    ----------
    labels : ndarray of int64, shape (n,)
        Old groups keep their numbers; those from ``exempt.size`` on are new. `NO_HOME` for units
        without any load that border on no group.
    households : int
        That changed their group; units without a home do not count.
    bound : int
        Fewest households that any method has to move.
    broken : int
        Groups that were outside their bounds or in several parts: so many have to be touched.
    outside : ndarray of int64
        Groups that still are.
    """

    labels: Ints
    households: int
    bound: int
    broken: int
    outside: Ints


def least_moves(task: Task) -> Moved:
    """Put groups back inside their bounds, connected, moving few households.

    Parameters
    ----------
    task : Task

    Returns
    -------
    Moved

    Notes
    -----
    Programs are solved to optimality around one violation at a time, with as many rings of groups
    as it takes; what one leaves is what the next begins with. So few households are moved, but
    that no method could move fewer is proven only where `households` equals `bound`.
    """
    state = _State(task, task.exempt.tolist())
    state.set_apart_what_is_too_large()
    broken = sum(g >= 0 for g in state.trouble())
    given_up: set[int] = set()
    while True:
        trouble = [g for g in state.trouble() if g not in given_up]
        if not trouble:
            break
        if not state.settle(trouble[0]):
            given_up.add(trouble[0])
    state.improve()
    return Moved(
        state.labels, state.moved(), moves_bound(task), broken, np.array(state.trouble(), np.int64)
    )


# ---------------------------------------------------------------- the division at hand


@dataclass(eq=False)
class _State:
    """Labels as they stand; groups are appended, never removed."""

    task: Task
    exempt: list[bool]
    labels: Ints = field(init=False)
    home: Ints = field(init=False)

    def __post_init__(self) -> None:
        self.labels = self.task.start.copy()
        self.home = self.task.home.copy()

    def moved(self) -> int:
        """Households away from home."""
        away = (self.home != NO_HOME) & (self.labels != self.task.home)
        return int(self.task.loads[away, 0].sum())

    def set_apart_what_is_too_large(self) -> None:
        """A unit above a bound is a group of its own, and keeps the number of the one it was in.

        What else was in it has fewer households to move.
        """
        above = (self.task.loads > self.task.high).any(axis=1) & ~self._is_exempt(self.labels)
        for u in np.flatnonzero(above):
            g = int(self.labels[u])
            if g < 0:
                g = self._new_group()
            others = np.flatnonzero((self.labels == g) & (np.arange(len(self.task)) != u))
            self.home[others] = EVICTED
            self.labels[others] = NO_HOME
            self.labels[u] = g
            self.exempt[g] = True

    def _is_exempt(self, labels: Ints) -> Flags:
        flags = np.array([*self.exempt, False])
        return flags[labels]

    def _new_group(self) -> int:
        self.exempt.append(False)
        return len(self.exempt) - 1

    def outside(self) -> Flags:
        """Whether each group that is in use is outside its bounds."""
        sums = self.task.sums(self.labels, len(self.exempt))
        used = np.bincount(self.labels[self.labels >= 0], minlength=len(self.exempt)) > 0
        wrong = ((sums < self.task.low) | (sums > self.task.high)).any(axis=1)
        return used & wrong & ~np.array(self.exempt)

    def trouble(self) -> list[int]:
        """Groups outside their bounds or in several parts, and, as -1 - u, units in none."""
        part = self.task.parts(self.labels)
        inside = np.flatnonzero(self.labels >= 0)
        first = np.unique(part[inside], return_index=True)[1]
        broken = np.bincount(self.labels[inside][first], minlength=len(self.exempt)) > 1
        broken &= ~np.array(self.exempt)
        found = np.flatnonzero(self.outside() | broken | self._too_wide()).tolist()
        return found + [-1 - int(u) for u in self._homeless()]

    def _homeless(self) -> Ints:
        """One unit of every connected lot of units in no group, but for islets without a load."""
        loose = self.labels < 0
        if not loose.any():
            return np.zeros(0, np.int64)
        part = self.task.parts(np.where(loose, 0, -1))
        rows, columns = self.task.rows, self.task.indices
        bordering = part[rows[loose[rows] & ~loose[columns]]]
        loaded = part[loose & self.task.loads.any(axis=1)]
        lots = np.union1d(bordering, loaded)
        _, first = np.unique(np.where(loose, part, -1), return_index=True)
        return first[np.isin(part[first], lots) & loose[first]]

    def _too_wide(self) -> Flags:
        reach, count = self.task.reach, len(self.exempt)
        if not reach.shape[1]:
            return np.zeros(count, np.bool_)
        far = np.full((count, reach.shape[1]), np.iinfo(np.int64).min // 2)
        inside = self.labels >= 0
        np.maximum.at(far, self.labels[inside], reach[inside])
        half = reach.shape[1] // 2
        wide = (far[:, :half] + far[:, half:] > self.task.widest).any(axis=1)
        return wide & ~np.array(self.exempt)

    def around(self, groups: Sequence[int], units: Ints, rings: int) -> list[int]:
        """Groups within some rings of groups around others and around units in none."""
        rows, columns = self.labels[self.task.rows], self.labels[self.task.indices]
        chosen = {g for g in groups if g >= 0}
        for u in units:
            beside = self.labels[self.task.neighbours(int(u))]
            chosen |= set(beside[beside >= 0].tolist())
        for _ in range(rings):
            here = np.isin(rows, list(chosen)) & (columns >= 0)
            more = set(columns[here].tolist()) - chosen
            if not more:
                break
            chosen |= more
        return sorted(g for g in chosen if not self.exempt[g])

    def settle(self, trouble: int) -> bool:
        """Solve a program around one violation, with more groups until it is gone."""
        before: list[int] = []
        for rings in RINGS:
            loose = self._loose(trouble)
            groups = self.around([trouble], loose, rings)
            if groups == before:
                break
            before = groups
            program = _Program(self, groups, trouble, self._loose_within(groups, loose))
            if program.binaries > MOST_BINARIES and rings > 1:
                break
            found = program.solve()
            if found is not None:
                self._take(program, found)
                return True
        self._come_near(trouble)
        return False

    def _come_near(self, trouble: int) -> None:
        """Miss the bounds by as little as the groups around allow."""
        loose = self._loose(trouble)
        groups = self.around([trouble], loose, 1)
        program = _Program(self, groups, trouble, self._loose_within(groups, loose))
        found = program.solve(nodes=FEW_NODES, lenient=True)
        if found is not None:
            self._take(program, found)

    def improve(self) -> None:
        """Solve each cluster of groups that gave or took once more, together with those around it.

        What was settled one by one may be cheaper together.
        """
        away = (self.home != NO_HOME) & (self.labels != self.task.home)
        changed = np.unique(np.concatenate([self.labels[away], self.task.home[away]]))
        changed = changed[changed >= 0]
        changed = changed[~np.array(self.exempt)[changed]]
        rows, columns = self.labels[self.task.rows], self.labels[self.task.indices]
        both = np.isin(rows, changed) & np.isin(columns, changed)
        first, second = np.searchsorted(changed, (rows[both], columns[both]))
        size = changed.size
        graph = csr_array((np.ones(first.size), (first, second)), shape=(size, size))
        cluster = connected_components(graph, directed=False)[1]
        for number in range(cluster.max(initial=-1) + 1):
            own = changed[cluster == number].tolist()
            if any(g in self.trouble() for g in own):
                continue
            inside = np.isin(self.labels, own) | np.isin(self.task.home, own)
            spent = int(self.task.loads[inside & away, 0].sum())
            program = _Program(self, self.around(own, self._none(), 1), own[0], self._none())
            small = 0 < program.binaries <= IMPROVED_BINARIES
            if not small or spent <= NEAR * self._surely(own):
                continue
            before = self.labels.copy(), len(self.exempt), self.moved(), len(self.trouble())
            found = program.solve(rounds=FEW_ROUNDS, nodes=FEW_NODES)
            if found is None:
                continue
            self._take(program, found)
            if (len(self.trouble()), self.moved()) >= (before[3], before[2]):
                self.labels = before[0]
                del self.exempt[before[1] :]

    def _surely(self, groups: list[int]) -> int:
        """Households that the groups above the band give at least."""
        loads, high = self.task.loads[:, 0], int(self.task.high[0])
        total = 0
        for g in groups:
            own = loads[self.task.home == g]
            total += _least_sum(own, int(own.sum()) - high) if own.sum() > high else 0
        return total

    @staticmethod
    def _none() -> Ints:
        return np.zeros(0, np.int64)

    def _loose(self, trouble: int) -> Ints:
        """Units in no group that hang together with the one in trouble."""
        if trouble >= 0:
            return np.zeros(0, np.int64)
        loose = self.labels < 0
        part = self.task.parts(np.where(loose, 0, -1))
        return np.flatnonzero(loose & (part == part[-1 - trouble]))

    def _loose_within(self, groups: Sequence[int], loose: Ints) -> Ints:
        """All units in no group that border on the groups of a program, or on each other there."""
        free = self.labels < 0
        part = self.task.parts(np.where(free, 0, -1))
        rows, columns = self.task.rows, self.task.indices
        beside = free[rows] & np.isin(self.labels[columns], groups)
        parts = np.union1d(part[rows[beside]], part[loose])
        return np.flatnonzero(free & np.isin(part, parts))

    def _take(self, program: _Program, found: Ints) -> None:
        names = {g: g for g in program.groups}
        for number, label in zip(program.units, found, strict=True):
            if label not in names:
                names[int(label)] = self._new_group()
            self.labels[number] = names[int(label)]


# ---------------------------------------------------------------- one program


class _Program:
    """Units of some groups, and the groups each may be in: binaries of a program."""

    def __init__(self, state: _State, groups: list[int], trouble: int, loose: Ints) -> None:
        self.state, self.task, self.groups, self.trouble = state, state.task, groups, trouble
        self.units = np.union1d(np.flatnonzero(np.isin(state.labels, groups)), loose)
        self.place = np.full(len(self.task), -1, np.int64)
        self.place[self.units] = np.arange(self.units.size)
        rows, columns = self.place[self.task.rows], self.place[self.task.indices]
        inner = (rows >= 0) & (columns >= 0)
        n = self.units.size
        self.graph = csr_array((np.ones(inner.sum()), (rows[inner], columns[inner])), shape=(n, n))
        self.names = [*groups, *self._fresh(trouble, loose)]
        self.allowed = self._allowed(trouble, loose)
        self.unit_of, self.group_of = np.nonzero(self.allowed)
        self.column = np.full(self.allowed.shape, -1, np.int64)
        self.column[self.unit_of, self.group_of] = np.arange(self.unit_of.size)

    @property
    def binaries(self) -> int:
        """Number of choices."""
        return int(self.allowed.sum())

    def _fresh(self, trouble: int, loose: Ints) -> list[int]:
        """Numbers for groups that may be added: one, or as many as a load is too much for."""
        members = loose if trouble < 0 else np.flatnonzero(self.state.labels == trouble)
        load = int(self.task.loads[members, 0].sum())
        first = len(self.state.exempt)
        return list(range(first, first + max(1, -(-load // int(self.task.high[0])) - 1)))

    def _allowed(self, trouble: int, loose: Ints) -> Flags:
        """Groups that each unit may be in: where it is, its home, and what is near."""
        labels, n, k = self.state.labels[self.units], self.units.size, len(self.groups)
        allowed = np.zeros((n, len(self.names)), np.bool_)
        for number, group in enumerate(self.groups):
            near = labels == group
            for _ in range(REACH):
                near = near | (self.graph @ near > 0)
            allowed[:, number] = near | (self.state.home[self.units] == group)
        near = np.isin(self.units, loose) if trouble < 0 else labels == trouble
        for _ in range(REACH):
            near = near | (self.graph @ near > 0)
        allowed[:, k:] = near[:, None]
        free = labels < 0  # what is in no group has nowhere to be
        allowed[free] = True
        fixed = self.task.pinned[self.units] & (labels >= 0)
        allowed[fixed] = labels[fixed, None] == np.array(self.names)
        return allowed

    def solve(
        self, rounds: int = MOST_ROUNDS, nodes: int = NODE_LIMIT, *, lenient: bool = False
    ) -> Ints | None:
        """Labels of the units; None where no solution was found.

        Groups that are in trouble besides the one that the program is for may stay so; where it
        is `lenient`, so may that.
        """
        strict = np.ones(len(self.names), np.bool_)
        outside = self.state.outside()
        strict[: len(self.groups)] = ~outside[self.groups] & (not lenient)
        if not lenient and self.trouble in self.groups:
            strict[self.groups.index(self.trouble)] = True
        base = self._base()
        cuts: list[Row] = [*self._first_cuts(), *self._least_given()]
        for _ in range(rounds):
            chosen = self._solved(base, cuts, nodes, strict)
            if chosen is None:
                return None
            more = [*self._broken(chosen), *self._wide(chosen)]
            if not more:
                return np.array(self.names)[chosen]
            cuts += more
        return None

    def _base(self) -> dict[str, Any]:
        """Objective and rows that do not change: one group a unit, loads inside the bounds.

        Columns are the binaries, then a switch for every group, then what each bound is missed by,
        below and above.
        """
        task, n, k = self.task, self.units.size, len(self.names)
        q = task.loads.shape[1]
        m = self.binaries
        loads = task.loads[self.units]
        home = self.state.home[self.units]
        names = np.array(self.names)
        # a unit that moves costs its households, and a little, so that few units move
        cost = np.zeros(m + k + 2 * k * q)
        away = (home[self.unit_of] != NO_HOME) & (home[self.unit_of] != names[self.group_of])
        cost[:m][away] = loads[self.unit_of[away], 0] + 1 / (2 * n)
        cost[m + k :] = PENALTY
        rows, columns, values = [self.unit_of], [np.arange(m)], [np.ones(m)]
        lower, upper = [np.ones(n)], [np.ones(n)]
        at = n
        for quantity in range(q):
            for sign, bound in ((1.0, task.low[quantity]), (-1.0, task.high[quantity])):
                side = 2 * quantity + (sign < 0)
                slack = m + k + side * k + np.arange(k)
                # what is inside, less the bound of a group in use, plus what is missed: not below 0
                rows += [at + self.group_of, at + np.arange(k), at + np.arange(k)]
                columns += [np.arange(m), m + np.arange(k), slack]
                values += [
                    sign * loads[self.unit_of, quantity].astype(float),
                    np.full(k, -sign * float(bound)),
                    np.ones(k),
                ]
                lower.append(np.zeros(k))
                upper.append(np.full(k, np.inf))
                at += k
        # nobody is in a group that is switched off
        rows += [at + self.group_of, at + np.arange(k)]
        columns += [np.arange(m), m + np.arange(k)]
        values += [np.ones(m), np.full(k, -float(n))]
        lower.append(np.full(k, -np.inf))
        upper.append(np.zeros(k))
        at += k
        matrix = csr_array(
            (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))),
            shape=(at, cost.size),
        )
        return {
            "cost": cost,
            "matrix": matrix,
            "lower": np.concatenate(lower),
            "upper": np.concatenate(upper),
        }

    def _first_cuts(self) -> list[Row]:
        """A unit that joins a group has a neighbour in it, unless it is large enough alone."""
        cuts = []
        home = self.state.labels[self.units]
        small: Flags = np.asarray((self.task.loads[self.units] < self.task.low).any(axis=1))
        neighbours = np.split(self.graph.indices, self.graph.indptr[1:-1])
        for column, (u, g) in enumerate(zip(self.unit_of, self.group_of, strict=True)):
            name = self.names[g]
            if home[u] == name or (name >= len(self.state.exempt) and not small[u]):
                continue
            beside = self.column[neighbours[u], g]
            cuts.append(_row(np.array([column]), beside[beside >= 0], 0.0))
        return cuts

    def _least_given(self) -> list[Row]:
        """What a group above the band gives at least: a sum of whole units."""
        cuts = []
        home, loads = self.state.home[self.units], self.task.loads[self.units, 0]
        for g, name in enumerate(self.groups):
            own = np.flatnonzero(home == name)
            excess = int(loads[own].sum()) - int(self.task.high[0])
            if excess > 0:
                stay = self.column[own, g]
                least = float(loads[own].sum()) - _least_sum(loads[own], excess)
                cuts.append((stay[stay >= 0], loads[own][stay >= 0].astype(float), least))
        return cuts

    def _solved(
        self, base: dict[str, Any], cuts: list[Row], nodes: int, strict: Flags
    ) -> Ints | None:
        # imported where it is needed: it takes longer to load than the whole engine
        from scipy.optimize import Bounds, LinearConstraint, milp

        cost = base["cost"]
        constraints = [LinearConstraint(base["matrix"], base["lower"], base["upper"])]
        if cuts:
            size = [len(columns) for columns, _, _ in cuts]
            matrix = csr_array(
                (
                    np.concatenate([values for _, values, _ in cuts]),
                    (
                        np.repeat(np.arange(len(cuts)), size),
                        np.concatenate([columns for columns, _, _ in cuts]),
                    ),
                ),
                shape=(len(cuts), cost.size),
            )
            constraints.append(LinearConstraint(matrix, -np.inf, [side for *_, side in cuts]))
        m, k = self.binaries, len(self.names)
        whole = np.zeros(cost.size)
        whole[: m + k] = 1
        upper = np.full(cost.size, np.inf)
        upper[: m + k] = 1
        upper[m + k :][np.tile(strict, 2 * self.task.low.size)] = 0
        solved = milp(
            cost, constraints=constraints, integrality=whole, bounds=Bounds(0, upper),
            options={"node_limit": nodes, "mip_rel_gap": 0.0 if m <= EXACT_BINARIES else GAP},
        )  # fmt: skip
        if solved.x is None:
            return None
        chosen = np.zeros(self.units.size, np.int64)
        taken = solved.x[:m] > 0.5
        chosen[self.unit_of[taken]] = self.group_of[taken]
        return chosen

    def _broken(self, chosen: Ints) -> list[Row]:
        """Cuts for every part of a group that is apart from its largest.

        One of the part and one of the rest are both in the group only if something between them
        is: a neighbour of the part from which the rest can be reached.
        """
        graph = self.graph.tocoo()
        same = chosen[graph.row] == chosen[graph.col]
        n = self.units.size
        inner = csr_array((np.ones(same.sum()), (graph.row[same], graph.col[same])), shape=(n, n))
        part = connected_components(inner, directed=False)[1]
        loads = self.task.loads[self.units, 0]
        cuts = []
        for g in np.unique(chosen):
            own = np.unique(part[chosen == g])
            if own.size == 1:
                continue
            weight = [(int(loads[part == p].sum()), -int(p)) for p in own]
            main = own[max(range(own.size), key=weight.__getitem__)]
            root = _heaviest(loads, part == main)
            for p in own[own != main]:
                inside = part == p
                wall = self._wall(inside, root, g)
                for u in np.flatnonzero(inside):
                    pair = self.column[np.array([u, root]), g]
                    cuts.append(_row(pair, self.column[wall, g], 1.0))
        return cuts

    def _wall(self, inside: Flags, root: int, g: int) -> Ints:
        """Neighbours of a part that may be in a group and that its root reaches round the part."""
        may = self.allowed[:, g] & ~inside
        graph = self.graph.tocoo()
        kept = may[graph.row] & may[graph.col]
        n = self.units.size
        outer = csr_array((np.ones(kept.sum()), (graph.row[kept], graph.col[kept])), shape=(n, n))
        reached = connected_components(outer, directed=False)[1]
        beside = (self.graph @ inside > 0) & may & (reached == reached[root])
        return np.flatnonzero(beside)

    def _wide(self, chosen: Ints) -> list[Row]:
        """Cuts for pairs of units that are too far from each other for one group."""
        reach = self.task.reach[self.units]
        half = reach.shape[1] // 2
        cuts = []
        for g in np.unique(chosen) if half else ():
            members = np.flatnonzero(chosen == g)
            for d in range(half):
                a = members[reach[members, d].argmax()]
                b = members[reach[members, d + half].argmax()]
                if a != b and reach[a, d] + reach[b, d + half] > self.task.widest:
                    cuts.append(_row(self.column[[a, b], g], np.zeros(0, np.int64), 1.0))
        return cuts


def _row(plus: Ints, minus: Ints, side: float) -> Row:
    """The row: sum of `plus` less sum of `minus` is at most `side`."""
    return (
        np.concatenate([plus, minus]),
        np.concatenate([np.ones(plus.size), -np.ones(minus.size)]),
        side,
    )


def _heaviest(loads: Ints, mask: Flags) -> int:
    return int(np.where(mask, loads, -1).argmax())


# ---------------------------------------------------------------- what no method can beat


def moves_bound(task: Task) -> int:
    """Fewest households that have to change their group, whatever the method.

    Parameters
    ----------
    task : Task

    Returns
    -------
    int

    Notes
    -----
    A group above the band has to give away units that hold at least what it has too much; one
    below it has to take in what it lacks, or to vanish. Of every group the least sum of units that
    does is found exactly. What moves leaves one group and comes to one: it can serve two of them,
    so half of all that is needed counts, or what is given. New units cost nothing.
    """
    count, exempt = task.exempt.size, task.exempt
    here = np.where(task.start == task.home, task.home, NO_HOME)
    sums = task.sums(here, count)[:, 0]
    low, high = int(task.low[0]), int(task.high[0])
    loads = task.loads[:, 0]
    free = int(loads[here < 0].sum())  # it may fill what lacks households at no cost
    gives = takes = 0
    for g in np.flatnonzero(~exempt):
        own = loads[here == g]
        largest = int(own.max(initial=0))
        if largest > high:
            gives += min(largest, int(sums[g]) - largest)
        elif sums[g] > high:
            gives += _least_sum(own, int(sums[g]) - high)
        elif 0 < sums[g] < low and not free:
            others = loads[(here >= 0) & (here != g) & (loads > 0)]
            lacking = low - int(sums[g])
            least = _least_sum(others, lacking)
            takes += min(int(sums[g]), least)
    # what has lost its group, or has one of its own from now on, moves in any case
    sure = (task.home != NO_HOME) & (task.start != task.home)
    return int(loads[sure].sum()) + max(gives, -(-(gives + takes) // 2))


def _least_sum(loads: Ints, wanted: int) -> int:
    """Least sum of some of the loads that is not below a number; all of them where it is more."""
    if loads.sum() <= wanted:
        return int(loads.sum())
    most = wanted + int(loads.max(initial=0))
    possible = np.zeros(most + 1, np.bool_)
    possible[0] = True
    for load in loads[loads > 0]:
        possible[load:] |= possible[: most + 1 - load].copy()
    return int(np.flatnonzero(possible[wanted:])[0]) + wanted
