"""Back into the band with as few households moved as possible.

A division that was in order is no longer: loads have changed, units have come and gone. Around each
group that is outside its bounds or broken, a mixed-integer program decides which units change
their group. What random spanning trees find first is what it has to beat.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components, minimum_spanning_tree

from gridpart.engine.program import Program
from gridpart.engine.task import (
    EVICTED,
    NO_HOME,
    Division,
    Flags,
    Ints,
    Task,
    least_sum,
    moves_bound,
)

__all__ = ["EVICTED", "NO_HOME", "Moved", "Task", "least_moves", "moves_bound"]

MOST_BINARIES = 6000
IMPROVED_BINARIES = 1500
MOST_RESPLIT = 400  # units of two groups
RANDOM_TREES = 40
FEW_ROUNDS, FEW_NODES = 10, 100  # for what is in order already, and might be cheaper
NEAR = 1.02  # so near to what has to be given, nothing is tried again
RINGS = (1, 2, 3, 5, 8, 1000)


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


class _State(Division):
    """A division that is put in order."""

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

    def trouble(self) -> list[int]:
        """Groups outside their bounds or in several parts, and, as -1 - u, units in none."""
        part = self.task.parts(self.labels)
        inside = np.flatnonzero(self.labels >= 0)
        first = np.unique(part[inside], return_index=True)[1]
        broken = np.bincount(self.labels[inside][first], minlength=len(self.exempt)) > 1
        broken &= ~np.array(self.exempt, np.bool_)
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
        return wide & ~np.array(self.exempt, np.bool_)

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
        known = self.resplit(trouble) if trouble >= 0 else None
        for rings in RINGS:
            loose = self._loose(trouble)
            groups = self.around([trouble], loose, rings)
            if groups == before:
                break
            before = groups
            program = Program(self, groups, trouble, self._loose_within(groups, loose))
            if program.binaries > MOST_BINARIES and rings > 1:
                break
            if known is None:
                found = program.solve()
            else:
                found = program.solve(FEW_ROUNDS, FEW_NODES, below=program.cost_of(known))
            if found is not None:
                self._take(program, found)
                return True
            if known is not None:
                self.labels = known
                self.exempt += [False] * (int(known.max()) + 1 - len(self.exempt))
                return True
        self._come_near(trouble)
        return False

    def resplit(self, group: int) -> Ints | None:
        """Labels with a group divided in two, or merged with a neighbour and divided again.

        Of the cuts of random spanning trees that leave both sides inside their bounds, and of
        plain mergers, the one that moves fewest households; None where there is none.
        """
        best: tuple[int, Ints] | None = None
        for other in [None, *(h for h in self.around([group], self._none(), 1) if h != group)]:
            names = [group, len(self.exempt) if other is None else other]
            members = np.flatnonzero(np.isin(self.labels, names))
            if self.task.pinned[members].any() or members.size > MOST_RESPLIT:
                continue
            for inside in self._cuts(members, seed=group):
                labels = self.labels.copy()
                labels[members] = np.where(inside, names[0], names[1])
                swapped = self.labels.copy()
                swapped[members] = np.where(inside, names[1], names[0])
                for trial in (labels, swapped):
                    cost = self._cost(trial, members)
                    if (best is None or cost < best[0]) and self._fits(trial, members, names):
                        best = cost, trial
        return None if best is None else best[1]

    def _cost(self, labels: Ints, members: Ints) -> int:
        away = (self.home[members] != NO_HOME) & (self.home[members] != labels[members])
        return int(self.task.loads[members[away], 0].sum())

    def _fits(self, labels: Ints, members: Ints, names: list[int]) -> bool:
        for name in names:
            own = members[labels[members] == name]
            sums = self.task.loads[own].sum(axis=0)
            if own.size and ((sums < self.task.low) | (sums > self.task.high)).any():
                return False
            reach = self.task.reach[own]
            half = reach.shape[1] // 2
            if own.size and half:
                far = reach.max(axis=0)
                if (far[:half] + far[half:] > self.task.widest).any():
                    return False
        return True

    def _cuts(self, members: Ints, seed: int) -> Iterator[Flags]:
        """Sides of the edges of random spanning trees that may do; and everything on one side."""
        task, size = self.task, members.size
        place = np.full(len(task), -1, np.int64)
        place[members] = np.arange(size)
        rows, columns = place[task.rows], place[task.indices]
        inner = (rows >= 0) & (columns > rows)
        rows, columns = rows[inner], columns[inner]
        generator = np.random.Generator(np.random.PCG64(seed))
        loads = task.loads[members, 0]
        low, high, total = int(task.low[0]), int(task.high[0]), int(loads.sum())
        if (
            connected_components(
                csr_array((np.ones(rows.size), (rows, columns)), shape=(size, size)), directed=False
            )[0]
            > 1
        ):
            return
        yield np.ones(size, np.bool_)
        for _ in range(RANDOM_TREES):
            weights = generator.permutation(rows.size) + 1.0
            graph = csr_array((weights, (rows, columns)), shape=(size, size))
            # releases of scipy that are still in use take 32-bit indices only
            graph.indptr, graph.indices = graph.indptr.astype("i4"), graph.indices.astype("i4")
            tree = minimum_spanning_tree(graph)
            order, before = breadth_first_order(tree, int(loads.argmax()), directed=False)
            sums = loads.copy()
            for u in order[:0:-1]:
                sums[before[u]] += sums[u]
            good = (sums >= low) & (sums <= high) & (total - sums >= low) & (total - sums <= high)
            for top in order[1:][good[order[1:]]]:
                inside = np.zeros(size, np.bool_)
                inside[top] = True
                for u in order[1:]:
                    inside[u] |= inside[before[u]]
                yield inside

    def _come_near(self, trouble: int) -> None:
        """Miss the bounds by as little as the groups around allow."""
        loose = self._loose(trouble)
        groups = self.around([trouble], loose, 1)
        program = Program(self, groups, trouble, self._loose_within(groups, loose))
        found = program.solve(FEW_ROUNDS, FEW_NODES, lenient=True)
        if found is not None:
            self._take(program, found)

    def improve(self) -> None:
        """Solve each cluster of groups that gave or took once more, together with those around it.

        What was settled one by one may be cheaper together.
        """
        away = (self.home != NO_HOME) & (self.labels != self.task.home)
        changed = np.unique(np.concatenate([self.labels[away], self.task.home[away]]))
        changed = changed[changed >= 0]
        changed = changed[~np.array(self.exempt, np.bool_)[changed]]
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
            program = Program(self, self.around(own, self._none(), 1), own[0], self._none())
            small = 0 < program.binaries <= IMPROVED_BINARIES
            if not small or spent <= NEAR * self._surely(own):
                continue
            below = program.cost_of(self.labels)
            found = program.solve(FEW_ROUNDS, FEW_NODES, below=below)
            if found is not None:
                self._take(program, found)

    def _surely(self, groups: list[int]) -> int:
        """Households that the groups above the band give at least."""
        loads, high = self.task.loads[:, 0], int(self.task.high[0])
        total = 0
        for g in groups:
            own = loads[self.task.home == g]
            total += least_sum(own, int(own.sum()) - high) if own.sum() > high else 0
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

    def _take(self, program: Program, found: Ints) -> None:
        names = {g: g for g in program.groups}
        for number, label in zip(program.units, found, strict=True):
            if label not in names:
                names[int(label)] = self._new_group()
            self.labels[number] = names[int(label)]
