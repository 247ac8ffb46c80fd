"""Where groups have few units: those around a violation are made anew.

Loads then come in steps so large that the search cannot pass from one division to a better one unit
by unit. Two groups are divided anew along whichever line makes them most even; of a region of many
all groups that could be made are listed, and a program chooses among them.
"""

from __future__ import annotations

import itertools

import numpy as np

from gridpart.engine import kernels
from gridpart.engine.choice import DEAR, cover, listed, priced
from gridpart.engine.kernels import Bits, Ints
from gridpart.engine.part import Bounds, Part

__all__ = ["evened", "regrouped"]

REGIONS = 1000  # in which groups are chosen anew
MOST_FAILED = 25  # of them: work for some five seconds
REGION_UNITS = (40, 130)  # from so many, and after failures up to so many
REGION_GROUPS = 40_000  # possible groups of a region
REGION_STEPS = 4_000_000
LIGHTEST = (0.6, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99)  # of the mean
FIRST_PRICED, MORE_PRICED, LONGEST_PRICED = 1200, 600, 12  # groups, groups, and times
PROGRAM_OF_A_REGION = 1500  # groups
REGION_NODES = 5
REGION_GAP = 0.3
UNITS_OF_A_HALF = 12  # of two groups of more there are too many ways to divide them
HALVES, HALF_STEPS = 20_000, 400_000
MOST_PAIRS = 5000  # divided anew: in a whole city a violation is not worth more
FEWEST_HALVES = 8  # households: a narrower window is not worth listing


def evened(
    piece: Part, labels: Ints, n_groups: int, bounds: Bounds, *, seed: Bits, control: Ints
) -> Ints:
    """Divide pairs of neighbouring groups anew while that makes them more even.

    Parameters
    ----------
    piece, labels, n_groups, bounds, seed, control
        As in :func:`regrouped`.

    Returns
    -------
    ndarray of int64
        Labels of as many groups. Of groups of many units, those that were given.
    """
    state = _Regrouping(piece, labels, n_groups, bounds, seed)
    if len(piece) <= UNITS_OF_A_HALF * n_groups:
        state.even_out(control)
    return state.labels


def regrouped(
    piece: Part, labels: Ints, n_groups: int, bounds: Bounds, *, seed: Bits, control: Ints
) -> Ints | None:
    """Choose the groups around each violation anew until none is left, their number unchanged.

    For groups of few units, whose loads come in large steps: there the search cannot pass from one
    division to a better one unit by unit.

    Parameters
    ----------
    piece : Part
    labels : ndarray of int64, shape (n,)
        Groups, some outside the bands; not changed.
    n_groups : int
    bounds : Bounds
    seed : ndarray of uint64, shape (1,)
    control : ndarray of int64, shape (2,)
        See :func:`gridpart.engine.kernels.anneal`.

    Returns
    -------
    ndarray of int64 or None
        Labels, all in the bands; None where a violation is left, or groups have too many units.

    Notes
    -----
    First as in :func:`evened`. Then a large neighbourhood search (Shaw, 1998): a program chooses
    among all groups that could be made of a region so that less is missing in it. Where it cannot,
    the next region is larger. The second for groups of at most eight units, where not too many
    groups could be made.
    """
    even = evened(piece, labels, n_groups, bounds, seed=seed, control=control)
    state = _Regrouping(piece, even, n_groups, bounds, seed)
    # of larger groups the search is good, and too many could be made
    if not piece.has_small_groups(n_groups):
        return state.labels if state.violation() is None else None
    patience, size = MOST_FAILED, REGION_UNITS[0]
    failed = set[frozenset[int]]()
    for _ in range(REGIONS):
        around = state.violation()
        if around is None:
            return state.labels
        region = frozenset(state.region(around, size))
        done = False
        if region not in failed:
            done = state.choose(sorted(region))
            patience -= not done
        if control[0] or not patience or (len(region) == n_groups and not done):
            return None
        failed = set() if done else failed | {region}
        step = size // 7
        size = max(size - step, REGION_UNITS[0]) if done else min(size + step, REGION_UNITS[1])
    return None


class _Regrouping:
    """Groups while they are chosen anew."""

    def __init__(
        self, piece: Part, labels: Ints, n_groups: int, bounds: Bounds, seed: Bits
    ) -> None:
        self.piece, self.bounds, self.state = piece, bounds, seed.copy()
        self.labels = labels.copy()
        order = np.argsort(labels, kind="stable")
        self.members = np.split(order, np.cumsum(np.bincount(labels, minlength=n_groups))[:-1])
        self.load, extra = piece.sums(labels, n_groups, bounds)
        self.missing = _missing(self.load, bounds.low, bounds.high)
        self.missing += _missing(extra, bounds.extra_low, bounds.extra_high).sum(axis=1)

    def violation(self) -> int | None:
        """One of the groups outside their bands."""
        outside = np.flatnonzero(self.missing)
        if not outside.size:
            return None
        return int(outside[kernels.draw_below(self.state, outside.size)])

    def region(self, around: int, size: int) -> list[int]:
        """Connected groups of at least so many units, where there are; such as may lend or take."""
        heavy = self.load[around] > self.bounds.high
        noise = max(3 * self.bounds.high // 10, 1)
        groups, units, beside = [around], self.members[around].size, set[int]()
        while units < size:
            for u in self.members[groups[-1]]:
                near = self.piece.indices[self.piece.indptr[u] : self.piece.indptr[u + 1]]
                beside.update(self.labels[near].tolist())
            beside.difference_update(groups)
            if not beside:
                break
            ranked = [
                (int(self.load[g]) * (1 if heavy else -1)
                 + int(kernels.draw_below(self.state, noise)), g)
                for g in sorted(beside)
            ]  # fmt: skip
            groups.append(min(ranked)[1])
            units += self.members[groups[-1]].size
        return groups

    def even_out(self, control: Ints) -> None:
        """Divide pairs of groups anew, the least even first, until no pair is made more even."""
        version = [0] * len(self.members)
        tried = dict[tuple[int, int], tuple[int, int]]()
        changed, left = True, MOST_PAIRS
        while changed and self.missing.any() and not control[0]:
            changed = False
            for a, b in self._pairs():
                if tried.get((a, b)) == (version[a], version[b]):
                    continue
                if left == 0:
                    return
                left -= 1
                if self._halve(a, b):
                    changed = True
                    version[a], version[b] = version[a] + 1, version[b] + 1
                tried[a, b] = (version[a], version[b])

    def _pairs(self) -> list[tuple[int, int]]:
        """Neighbouring groups, those first whose loads differ most."""
        one = np.repeat(self.labels, np.diff(self.piece.indptr))
        other = self.labels[self.piece.indices]
        pairs = np.unique(np.column_stack([one, other])[one < other], axis=0)
        unlike = np.abs(self.load[pairs[:, 0]] - self.load[pairs[:, 1]])
        return [(int(a), int(b)) for a, b in pairs[np.argsort(-unlike, kind="stable")]]

    def _halve(self, a: int, b: int) -> bool:
        """Divide two groups anew, as evenly as can be; whether they are more even now."""
        members = np.sort(np.concatenate([self.members[a], self.members[b]]))
        part = self.piece.take(members)
        high, unlike = part.total // 2, abs(int(self.load[a] - self.load[b]))
        low = (part.total - unlike) // 2 + 1
        starts = units = np.zeros(0, np.int64)
        while not starts.size and high - low >= 0:
            band = self.bounds.with_band(low, high)
            starts, units, _ = listed(part, band, HALVES, HALF_STEPS)
            low = high - (high - low) // 4 if high - low > FEWEST_HALVES else high + 1
        if starts.size < 2:
            return False
        load = np.add.reduceat(part.loads[units], starts[:-1])
        whole = self.bounds.with_band(0, part.total)
        for k in np.argsort(-load, kind="stable"):
            side = np.zeros(len(part), np.int64)
            side[units[starts[k] : starts[k + 1]]] = 1
            _, parts = kernels.components(part.indptr, part.indices, side)
            if parts == 2 and part.outside(side, 2, whole) == 0:
                # each keeps the name by which more of its units are known
                mine = int(2 * side[self.labels[members] == a].sum() > self.members[a].size)
                one, other = members[side == mine], members[side != mine]
                self._take_over(a, one)
                self._take_over(b, other)
                return True
        return False

    def _take_over(self, group: int, members: Ints) -> None:
        """Make these units a group that keeps to all bounds but that of the load."""
        self.members[group] = members
        self.labels[members] = group
        load = int(self.piece.loads[members].sum())
        self.load[group] = load
        self.missing[group] = max(self.bounds.low - load, load - self.bounds.high, 0)

    def choose(self, groups: list[int]) -> bool:
        """Choose these groups anew; whether less is missing now."""
        members = np.sort(np.concatenate([self.members[g] for g in groups]))
        part = self.piece.take(members)
        missing = int(self.missing[groups].sum())
        most = int(self.load[groups].max())
        starts, units = _near_the_band(part, len(groups), self.bounds, missing - 1, most)
        if starts.size < 2:
            return False
        load = np.add.reduceat(part.loads[units], starts[:-1])
        lacks = _missing(load, self.bounds.low, self.bounds.high)
        # as they are, too, so that there is always a choice
        for g in groups:
            units = np.append(units, np.searchsorted(members, self.members[g]))
            starts = np.append(starts, units.size)
        lacks = np.append(lacks, self.missing[groups])
        chosen = _least_missing(part, starts, units, lacks, len(groups), missing - 1)
        if chosen is None:
            return False
        for g, k in zip(groups, chosen, strict=True):
            self._take_over(g, members[units[starts[k] : starts[k + 1]]])
        self.missing[groups] = lacks[chosen]
        return True


def _missing(load: Ints, low: int | Ints, high: int | Ints) -> Ints:
    missing: Ints = np.maximum(np.maximum(low - load, load - high), 0)
    return missing


def _near_the_band(
    part: Part, count: int, bounds: Bounds, missing: int, most: int
) -> tuple[Ints, Ints]:
    """Groups that could be among `count` of which no more is missing; not too many of the light."""
    low = max(bounds.low - missing, part.total - (count - 1) * bounds.high - missing, 1)
    high = max(min(bounds.high + missing, most), bounds.high)
    for share in LIGHTEST:
        lightest = max(low, int(share * part.total / count))
        band = bounds.with_band(lightest, high)
        starts, units, _ = listed(part, band, REGION_GROUPS, REGION_STEPS)
        if starts.size or lightest >= high:
            break
    return starts, units


def _least_missing(
    part: Part, starts: Ints, units: Ints, lacks: Ints, count: int, missing: int
) -> Ints | None:
    """Choose `count` groups that hold every unit once, so that at most `missing` is missing.

    The last `count` groups are those that there are; `lacks` is what is missing in each. The
    relaxation tells quickly where nothing can be won, and which groups a program is worth writing
    for.
    """
    from scipy.optimize import Bounds as Range
    from scipy.optimize import LinearConstraint, milp
    from scipy.sparse import csc_array, vstack

    n, groups = len(part), starts.size - 1
    load = np.add.reduceat(part.loads[units], starts[:-1])
    cost = lacks.astype(float)
    rules = vstack([cover(starts, units, n), csc_array(np.ones((1, groups)))], format="csc")
    need = np.append(np.ones(n), count)
    taken = np.zeros(groups, bool)
    taken[np.argsort(np.where(cost > 0, 0, -load), kind="stable")[:FIRST_PRICED]] = True
    taken[-count:] = True
    steps = list(itertools.islice(priced(rules, cost, need, taken, MORE_PRICED), LONGEST_PRICED))
    if not steps or steps[-1][0] > missing + DEAR:
        return None
    reduced = steps[-1][2]
    ranked = np.lexsort((-load, ~taken, np.round(reduced, 6)))
    columns = np.union1d(ranked[:PROGRAM_OF_A_REGION], np.arange(groups - count, groups))
    # that no more than `missing` is, is no rule of the program: HiGHS is not faster for it; and
    # presolve leads it to write lines of its own to the terminal
    solved = milp(
        cost[columns], constraints=LinearConstraint(rules[:, columns], need, need),
        integrality=np.ones(columns.size), bounds=Range(0, 1),
        options={"node_limit": REGION_NODES, "mip_rel_gap": REGION_GAP, "presolve": False},
    )  # fmt: skip
    if solved.x is None:
        return None
    chosen: Ints = columns[solved.x > 0.5]
    held = np.concatenate([units[starts[k] : starts[k + 1]] for k in chosen])
    # some releases of HiGHS call a solution what breaks a rule
    whole = chosen.size == count and np.array_equal(np.sort(held), np.arange(n))
    return chosen if whole and cost[chosen].sum() <= missing else None
