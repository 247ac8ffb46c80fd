"""What is to be put back inside its bounds, how it stands, and what no method can beat."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

__all__ = ["EVICTED", "NO_HOME", "Division", "Task", "least_sum", "moves_bound"]

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

NO_HOME = -1  # of a unit that is new: it may go anywhere at no cost
EVICTED = -2  # of a unit whose group is another's now: it moves, whatever happens


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


@dataclass(eq=False)
class Division:
    """Labels as they stand; groups are appended, never removed.

    `home` is that of the task, but for units that have lost their group on the way.
    """

    task: Task
    exempt: list[bool]
    labels: Ints = field(init=False)
    home: Ints = field(init=False)

    def __post_init__(self) -> None:
        """Begin where the task says."""
        self.labels = self.task.start.copy()
        self.home = self.task.home.copy()

    def outside(self) -> Flags:
        """Whether each group that is in use is outside its bounds."""
        sums = self.task.sums(self.labels, len(self.exempt))
        used = np.bincount(self.labels[self.labels >= 0], minlength=len(self.exempt)) > 0
        wrong = ((sums < self.task.low) | (sums > self.task.high)).any(axis=1)
        return used & wrong & ~np.array(self.exempt, np.bool_)


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
            gives += least_sum(own, int(sums[g]) - high)
        elif 0 < sums[g] < low and not free:
            others = loads[(here >= 0) & (here != g) & (loads > 0)]
            lacking = low - int(sums[g])
            least = least_sum(others, lacking)
            takes += min(int(sums[g]), least)
    # what has lost its group, or has one of its own from now on, moves in any case
    sure = (task.home != NO_HOME) & (task.start != task.home)
    return int(loads[sure].sum()) + max(gives, -(-(gives + takes) // 2))


def least_sum(loads: Ints, wanted: int) -> int:
    """Least sum of some of the loads that is not below a number; all of them where it is more."""
    if loads.sum() <= wanted:
        return int(loads.sum())
    most = wanted + int(loads.max(initial=0))
    possible = np.zeros(most + 1, np.bool_)
    possible[0] = True
    for load in loads[loads > 0]:
        possible[load:] |= possible[: most + 1 - load].copy()
    return int(np.flatnonzero(possible[wanted:])[0]) + wanted
