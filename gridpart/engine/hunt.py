"""The hunt for the band alone: any division inside all bounds, whatever its borders.

First over the whole part, then in windows around one violation after another, which keep what they
have won.
"""

from __future__ import annotations

import numpy as np

from gridpart.engine import kernels
from gridpart.engine.cooling import chances, generator, geometric
from gridpart.engine.kernels import Bits, Ints
from gridpart.engine.part import Bounds, Part
from gridpart.engine.windows import Windows

__all__ = ["hunt", "sweeps_by_moves"]

VISITS, VISITS_BY_MOVES, SWEEPS_A_UNIT, FEWEST_SWEEPS = 10_000_000, 40_000_000, 250, 300
HOT_BY_MOVES = (8, 1)  # such a part of the load of a unit, by turns
FINE = 1000  # temperatures of single moves are in so many parts of a load
COLD = (10, 30)  # from the load of a unit as temperature to such a part of it, by turns
WINDOW_GROUPS = (4, 7, 12, 20)  # by turns
WINDOW_SWEEPS = 2000
PATIENCE = 100  # windows after the last that left less missing


def hunt(
    part: Part,
    labels: Ints,
    n_groups: int,
    bounds: Bounds,
    *,
    turn: int,
    seed: Bits,
    control: Ints,
) -> tuple[Ints, int]:
    """Look for any division inside the bands, whatever its borders.

    Parameters
    ----------
    part, bounds, seed, control
        As in :func:`gridpart.engine.search.search`.
    labels : ndarray of int64, shape (n,)
        Where to begin.
    n_groups : int
    turn : int
        Number of the attempt; each goes another way.

    Returns
    -------
    labels : ndarray of int64, shape (n,)
        As many groups.
    outside : int
        Groups outside their bands.
    """
    how = _Hunt(part, n_groups, bounds, control)
    state = generator(seed, turn)
    small = part.has_small_groups(n_groups)
    # the first goes by single moves and exchanges, and of small groups every other one
    goes_by_moves = turn == 0 or (small and turn % 2 == 0)
    found = labels
    if goes_by_moves:
        found = how.by_moves(part, labels, n_groups, turn // 2, state)
        if not part.outside(found, n_groups, bounds):
            return found, 0
    if not (goes_by_moves and small):
        found, _ = how.cooled(part, labels, n_groups, turn, _sweeps(len(part), VISITS), state)
    how.in_windows(part, found, n_groups, state)
    return found, part.outside(found, n_groups, bounds)


def sweeps_by_moves(n: int) -> int:
    """Passes over n units, where these move alone or change places."""
    return _sweeps(n, VISITS_BY_MOVES)


def _sweeps(n: int, visits: int) -> int:
    return max(min(visits // n, SWEEPS_A_UNIT * n), FEWEST_SWEEPS)


class _Hunt:
    """What is the same for a part and its windows: all bounds as columns, the load first."""

    def __init__(self, part: Part, n_groups: int, bounds: Bounds, control: Ints) -> None:
        self.bounds, self.control = bounds, control
        self.low = np.append(bounds.low, bounds.extra_low)
        self.high = np.append(bounds.high, bounds.extra_high)
        self.scale = np.append(1 << 16, part.extra_scale(n_groups, bounds))

    def cooled(
        self, part: Part, labels: Ints, n_groups: int, turn: int, sweeps: int, state: Bits
    ) -> tuple[Ints, int]:
        """Cool with what is missing as the only cost; the labels with the least, and how much."""
        found = labels.copy()
        unit = part.unit_load << 10
        missing = kernels.hunt(
            part.indptr, part.indices, np.column_stack([part.loads, part.extra]), found, n_groups,
            self.low, self.high, self.scale,
            geometric(unit, max(unit // COLD[turn % len(COLD)], 1), sweeps), chances(), state,
            self.control,
        )  # fmt: skip
        return found, int(missing)

    def by_moves(self, part: Part, labels: Ints, n_groups: int, turn: int, state: Bits) -> Ints:
        """Cool with moves and exchanges of single units, borders costing nothing.

        Of groups of few units these leave a better start for what follows.
        """
        bounds, n = self.bounds, len(part)
        hot = max(part.unit_load // HOT_BY_MOVES[turn % len(HOT_BY_MOVES)], 1) * FINE
        best, end, sweeps = np.empty(n, np.int64), labels.copy(), sweeps_by_moves(n)
        found = kernels.anneal(
            part.indptr, part.indices, np.zeros(part.borders.size, np.int64),
            kernels.neighbour_masks(part.indptr, part.indices), part.loads, part.work,
            part.extra, end, n_groups, bounds.low, bounds.high, bounds.extra_low,
            bounds.extra_high, self.scale[1:], part.reach, bounds.widest,
            geometric(hot, FINE // 4, sweeps), np.full(sweeps, FINE << 16),
            np.zeros(sweeps, np.int64), chances(), state, self.control, best, kernels.BLOCK, True,
        )  # fmt: skip
        return best if found >= 0 else end

    def in_windows(self, part: Part, labels: Ints, n_groups: int, state: Bits) -> None:
        """Hunt around one violation after another, and keep what leaves no more missing."""
        windows = Windows(part, labels, n_groups)
        turn, failed = 0, 0
        while failed < PATIENCE and not self.control[0]:
            outside = part.which_outside(labels, n_groups, self.bounds)
            if not outside.size:
                break
            group = int(outside[kernels.draw_below(state, outside.size)])
            size = WINDOW_GROUPS[turn % len(WINDOW_GROUPS)]
            groups, members = windows.around(group, size, state)
            window, before = windows.take(members), np.searchsorted(groups, labels[members])
            _, missing = self.cooled(window, before, groups.size, turn, 0, state)
            after, left = self.cooled(window, before, groups.size, turn, WINDOW_SWEEPS, state)
            if left <= missing:  # another that lacks as much may be the way to a better one
                windows.divide(groups, members, after)
            turn, failed = turn + 1, 0 if left < missing else failed + 1
