"""The program around one violation: which units change their group, so that few households move.

A unit is in one group, loads keep inside the bounds, and groups stay connected by cuts that are
added until no solution breaks one (compare Oehrlein and Haunert, *A cutting-plane method for
contiguity-constrained spatial aggregation*, 2017). HiGHS solves the programs, through scipy.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from gridpart.engine.task import NO_HOME, Division, Flags, Ints, least_sum

__all__ = ["Program"]

# Columns and their values, the sum of which is at most a number.
Row = tuple[Ints, npt.NDArray[np.float64], float]

MOST_ROUNDS = 40  # of cuts, for one program
EXACT_BINARIES = 120
GAP = 0.02  # of larger programs: not worth the time to close
REACH = 3  # units that a unit may be away from a group it moves to
NODE_LIMIT = 3000
# A household outside the band weighs more than any number of moved ones.
PENALTY = 1e3


class Program:
    """Units of some groups, and the groups each may be in: binaries of a program."""

    def __init__(self, state: Division, groups: list[int], trouble: int, loose: Ints) -> None:
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
        self,
        rounds: int = MOST_ROUNDS,
        nodes: int = NODE_LIMIT,
        *,
        lenient: bool = False,
        below: float | None = None,
    ) -> Ints | None:
        """Labels of the units; None where no solution was found.

        Groups that are in trouble besides the one that the program is for may stay so; where it
        is `lenient`, so may that. Only what costs less than `below` counts.
        """
        strict = np.ones(len(self.names), np.bool_)
        outside = self.state.outside()
        strict[: len(self.groups)] = ~outside[self.groups] & (not lenient)
        if not lenient and self.trouble in self.groups:
            strict[self.groups.index(self.trouble)] = True
        base = self._base()
        cuts: list[Row] = [*self._first_cuts(), *self._least_given()]
        if below is not None:
            dear = np.flatnonzero(base["cost"][: self.binaries])
            cuts.append((dear, base["cost"][dear], below - 1))
        for _ in range(rounds):
            chosen = self._solved(base, cuts, nodes, strict)
            if chosen is None:
                return None
            more = [*self._broken(chosen), *self._wide(chosen)]
            if not more:
                return np.array(self.names)[chosen] if self._holds(chosen, strict) else None
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

    def _holds(self, chosen: Ints, strict: Flags) -> bool:
        """Whether groups keep their bounds: some releases of HiGHS call optimal what does not."""
        sums = np.zeros((len(self.names), self.task.loads.shape[1]), np.int64)
        np.add.at(sums, chosen, self.task.loads[self.units])
        wrong = ((sums < self.task.low) | (sums > self.task.high)).any(axis=1)
        used = np.bincount(chosen, minlength=len(self.names)) > 0
        return not (wrong & used & strict).any()

    def cost_of(self, labels: Ints) -> float:
        """What the program would count for these labels of all units."""
        home = self.state.home[self.units]
        away = (home != NO_HOME) & (home != labels[self.units])
        return float((self.task.loads[self.units, 0][away] + 1 / (2 * self.units.size)).sum())

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
                least = float(loads[own].sum()) - least_sum(loads[own], excess)
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
