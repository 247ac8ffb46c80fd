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

__all__ = ["hunt", "sweeps_of_a_hunt"]

VISITS, SWEEPS_A_UNIT, FEWEST_SWEEPS = 10_000_000, 250, 300
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
    found, _ = how.cooled(part, labels, n_groups, turn, sweeps_of_a_hunt(len(part)), state)
    how.in_windows(part, found, n_groups, state)
    return found, part.outside(found, n_groups, bounds)


def sweeps_of_a_hunt(n: int) -> int:
    """Passes over n units."""
    return max(min(VISITS // n, SWEEPS_A_UNIT * n), FEWEST_SWEEPS)


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
        unit = max(part.total // max(int((part.loads > 0).sum()), 1), 1) << 10
        missing = kernels.hunt(
            part.indptr, part.indices, np.column_stack([part.loads, part.extra]), found, n_groups,
            self.low, self.high, self.scale,
            geometric(unit, max(unit // COLD[turn % len(COLD)], 1), sweeps), chances(), state,
            self.control,
        )  # fmt: skip
        return found, int(missing)

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
