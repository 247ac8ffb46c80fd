"""The search for one connected part: start, border moves, repair; the best of several runs.

Of small parts the best run is then cooled again, window by window.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import replace
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
    best: tuple[tuple[int, Fraction], Ints, int] | None = None
    clock = _Clock(effort.seconds)
    for labels, n_groups in _runs(run, effort, seed, free_count, clock):
        outside = part.outside(labels, n_groups, bounds)
        # cuts of different numbers of groups compare when scaled by the root of the number
        rank = (outside, Fraction(run.cost(labels, n_groups) ** 2, n_groups))
        if best is None or rank < best[0]:
            best = (rank, labels, n_groups)
        if control[0]:
            break
    assert best is not None  # there is at least one run
    (outside, _), labels, n_groups = best
    if n_groups > 1 and not run.is_tight:
        _cool_windows(run, labels, n_groups, effort, seed, clock)
    return labels, n_groups, outside


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
    sweeps = effort.sweeps_of(n, run.balance)
    if effort.seconds is None:
        for turn in range(effort.starts_of(n)):
            yield run.wide(generator(seed, turn), turn, sweeps, free_count)
        return
    turn, least = 0, sweeps
    kept = (1 - RUNS_SHARE) * effort.seconds
    while turn == 0 or sweeps >= least:
        before = clock.left()
        yield run.wide(generator(seed, turn), turn, sweeps, free_count)
        took = max(before - clock.left(), 1e-6)
        # one long run goes further than several short ones, up to where it flattens out
        sweeps = min(int(0.9 * (clock.left() - kept) / took * sweeps), LONGEST_SWEEPS)
        turn += 1


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
