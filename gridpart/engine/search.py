"""The search for one connected part: several runs, which are combined, and windows of the best.

Of larger parts one run does, unless borders differ very much in length.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from gridpart.engine import kernels
from gridpart.engine.cooling import generator
from gridpart.engine.effort import LONGEST_SWEEPS, WINDOW_GROUPS, Effort
from gridpart.engine.hunt import sweeps_by_moves
from gridpart.engine.kernels import Bits, Ints
from gridpart.engine.part import Bounds, Part
from gridpart.engine.run import EXACT_UNITS, Run
from gridpart.engine.windows import Windows

__all__ = ["improve", "search"]

AFTER_RUNS = 1 << 20  # number of a generator that no run has
MOST_PLANS = 32  # kept to be combined
MOST_OUTSIDE = 6  # runs that all left groups outside the band: so will the next ones
RUNS_SHARE = 0.5  # of the seconds that are given; the rest goes to windows


def search(
    part: Part,
    wanted: int,
    bounds: Bounds,
    *,
    balance: float,
    effort: Effort,
    seed: Bits,
    free_count: bool,
    control: Ints,
) -> tuple[Ints, int, int]:
    """Divide a connected part into about `wanted` groups; fewest outside the band, then cut.

    Parameters
    ----------
    part : Part
    wanted : int
        Number of groups; with `free_count` repair may make one more or fewer in places.
    bounds : Bounds
    balance : float
        From 0, shortest borders, to 1, most even work.
    effort : Effort
    seed : ndarray of uint64, shape (1,)
    free_count : bool
    control : ndarray of int64, shape (2,)
        See :func:`gridpart.engine.kernels.anneal`.

    Returns
    -------
    labels : ndarray of int64, shape (n,)
    n_groups : int
    outside : int
        Groups outside the band.
    """
    if wanted == 1:
        labels = np.zeros(len(part), np.int64)
        return labels, 1, part.outside(labels, 1, bounds)
    run = Run(part, wanted, bounds, balance, control)
    if len(part) <= EXACT_UNITS:
        exact = run.exact(free_count)
        if exact is not None:
            return *exact, 0
        effort = replace(effort, starts=1, restarts=0)  # there is no plan to be found
    clock, plans = _Clock(effort.seconds), []
    for labels, n_groups in _runs(run, effort, seed, free_count, clock):
        plans.append(_Plan.of(run, labels, n_groups))
        if run.is_tight or len(plans) > MOST_PLANS:  # many runs, of which few are worth keeping
            plans = sorted(plans, key=_by_rank)[: 1 if run.is_tight else MOST_PLANS]
        hopeless = len(plans) >= MOST_OUTSIDE and all(plan.rank[0] for plan in plans)
        if control[0] or hopeless:
            break
    _combine(run, plans, effort, seed, clock)
    best = min(plans, key=_by_rank)
    if best.n_groups > 1 and not run.is_tight:
        _cool_windows(run, best.labels, best.n_groups, effort, seed, clock)
    return best.labels, best.n_groups, best.rank[0]


def improve(
    part: Part,
    labels: Ints,
    n_groups: int,
    bounds: Bounds,
    *,
    balance: float,
    effort: Effort,
    seed: Bits,
    control: Ints,
    exchanges: bool = False,
) -> tuple[Ints, int]:
    """Shorten the borders of groups, of which no more will be outside the band.

    Parameters
    ----------
    part, bounds, balance, effort, seed, control
        As in :func:`search`.
    labels : ndarray of int64, shape (n,)
    n_groups : int
    exchanges : bool, default False
        Let units change places, too, for as long as a hunt takes: where single moves are too large.

    Returns
    -------
    labels : ndarray of int64, shape (n,)
    n_groups : int
    """
    run = Run(part, n_groups, bounds, balance, control)
    sweeps = effort.sweeps
    if exchanges:
        sweeps = min(sweeps, sweeps_by_moves(len(part)))
    return run.cooled(labels, generator(seed, 0), sweeps, exchanges=exchanges), n_groups


def _runs(
    run: Run, effort: Effort, seed: Bits, free_count: bool, clock: _Clock
) -> Iterator[tuple[Ints, int]]:
    """Runs of one part, in the order in which they are made."""
    found = False
    if run.is_tight:
        for turn in range(effort.restarts):
            labels = run.narrow(generator(seed, turn), turn)
            if labels is not None:
                found = True
                yield labels, run.wanted
            if clock.left() <= 0 or run.control[0]:
                break
    if found:
        return
    n = len(run.part)
    starts = effort.starts_of(n, varied=run.is_varied)
    sweeps = effort.sweeps_of(n, run.balance, varied=run.is_varied)
    if effort.seconds is None:
        for turn in range(starts):
            yield run.wide(generator(seed, turn), turn, sweeps, free_count)
        return
    turn, least = 0, sweeps
    kept = (1 - RUNS_SHARE) * effort.seconds
    while turn == 0 or sweeps >= least:
        before = clock.left()
        yield run.wide(generator(seed, turn), turn, sweeps, free_count)
        took = max(before - clock.left(), 1e-6)
        # a short run says how many sweeps the others may have, up to where they flatten out
        share = (clock.left() - kept) / max(starts - turn, 1)
        sweeps = min(int(0.9 * share / took * sweeps), LONGEST_SWEEPS)
        turn += 1


@dataclass(frozen=True, eq=False)
class _Plan:
    """A division of the part, and what it is compared by: groups outside, then cost."""

    rank: tuple[int, Fraction]
    labels: Ints
    n_groups: int

    @classmethod
    def of(cls, run: Run, labels: Ints, n_groups: int) -> _Plan:
        outside = run.part.outside(labels, n_groups, run.bounds)
        # cuts of different numbers of groups compare when scaled by the root of the number
        return cls((outside, Fraction(run.cost(labels, n_groups) ** 2, n_groups)), labels, n_groups)


def _by_rank(plan: _Plan) -> tuple[int, Fraction]:
    return plan.rank


def _combine(run: Run, plans: list[_Plan], effort: Effort, seed: Bits, clock: _Clock) -> None:
    """Combine two plans after the other; what is better takes the place of the worse of the two.

    Units that are together in both are one unit, and the better plan is cooled again: what changes
    sides then are whole stretches, which no row of single moves would bring over. It makes the most
    where borders differ very much in length, and which group has a forest decides about all others
    (the combine operator of evolutionary partitioning, Sanders and Schulz, 2012).
    """
    state, part = generator(seed, AFTER_RUNS + 1), run.part
    for _ in range(effort.combinations * len(plans) if len(plans) > 1 else 0):
        if clock.left() <= 0 or run.control[0]:
            break
        first = int(kernels.draw_below(state, len(plans)))
        second = (first + 1 + int(kernels.draw_below(state, len(plans) - 1))) % len(plans)
        better, worse = sorted((first, second), key=lambda at: (plans[at].rank, at))
        labels, n_groups = plans[better].labels, plans[better].n_groups
        if plans[better].rank[0]:  # the band is not for this to find
            continue
        both = labels * plans[worse].n_groups + plans[worse].labels
        block, count = kernels.components(part.indptr, part.indices, both)
        if count == n_groups:  # one and the same
            continue
        inner = run.within(part.contract(block, count), n_groups)
        before = np.empty(count, np.int64)
        before[block] = labels
        after = inner.again(before, state, effort.combining_sweeps)
        if after is None:
            continue
        child = _Plan.of(run, after[block], n_groups)
        if child.rank < plans[worse].rank and all(child.rank != plan.rank for plan in plans):
            plans[worse] = child


def _cool_windows(
    run: Run, labels: Ints, n_groups: int, effort: Effort, seed: Bits, clock: _Clock
) -> None:
    """Shorten the borders of `labels` window by window: warm up, cool, keep what is better.

    A run anew is better in some places and worse in others; this keeps the better ones.
    """
    state = generator(seed, AFTER_RUNS)
    sweeps = effort.window_sweeps_of(len(labels), run.balance)
    windows = Windows(run.part, labels, n_groups)
    for _ in range(effort.windows_of(len(labels), run.balance) * n_groups):
        if clock.left() <= 0 or run.control[0]:
            break
        groups, members = windows.around(
            int(kernels.draw_below(state, n_groups)), WINDOW_GROUPS, state
        )
        inner = run.within(windows.take(members), groups.size)
        before = np.searchsorted(groups, labels[members])
        if inner.part.outside(before, groups.size, run.bounds):
            continue
        after = inner.again(before, state, sweeps)
        if after is not None and inner.cost(after, groups.size) < inner.cost(before, groups.size):
            windows.divide(groups, members, after)


class _Clock:
    """Seconds that are left of an allowance; without one, always some."""

    def __init__(self, seconds: float | None) -> None:
        self.end = math.inf if seconds is None else time.monotonic() + seconds

    def left(self) -> float:
        return self.end - time.monotonic()
