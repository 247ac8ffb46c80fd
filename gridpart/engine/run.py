"""One run over one part: start, border moves, quench, repair, polish, with the scales of the part.

Everything that sets the scale of the search comes from the part itself: temperatures from the
distribution of its border lengths, penalties and evenness from the mean border and the mean load
of a group. So towns, mountains and counties need no settings of their own.
"""

from __future__ import annotations

import copy
import math
from fractions import Fraction

import numpy as np

from gridpart.engine import kernels
from gridpart.engine.cooling import chances, geometric
from gridpart.engine.kernels import Bits, Ints
from gridpart.engine.part import Bounds, Part

__all__ = ["EXACT_UNITS", "Run"]

# Borders are scaled up inside the search until their mean has this many millimetres, so that
# whole-number temperatures are fine enough even where every border counts 1.
FINE_MEAN = 1 << 14
# Longer ones are scaled down to this mean, so that what they are weighed against stays in 64 bits.
COARSE_MEAN = 1 << 20
MOST_WEIGHED = 1 << 62
HOUSEHOLDS_OF_A_GROUP = 350  # penalties were tuned on groups of this load, and scale with it
QUENCH_SWEEPS = 20
SHORT_SWEEPS = 1000
NARROW_SWEEPS = 1500
VARIED = 3  # mean of squares to square of the mean: 1.4 in towns, 6.7 in mountains
EXACT_UNITS = 12  # parts up to this size are solved to the optimum
REPAIR = (7, 30, 40)  # widest region in groups, regions tried per width, trees per region

# Directions in which the start bisects, one per run: as given, turned by 45 and by 27 degrees.
_TURNS = ((1, 0, 0, 1), (1, 1, 1, -1), (2, 1, 1, -2), (1, 2, 2, -1))


class Run:
    """One part with its scales; its methods are the stages of a run."""

    def __init__(
        self, part: Part, wanted: int, bounds: Bounds, balance: float, control: Ints
    ) -> None:
        self.part, self.wanted, self.bounds, self.control = part, wanted, bounds, control
        self.balance = balance
        mean = max(int(part.borders.sum()) // max(part.borders.size, 1), 1)
        self.factor = max(-(-FINE_MEAN // mean), 1)
        self.divisor = max(mean // COARSE_MEAN, 1)
        self.borders = self._scaled(part.borders)
        self.mean = mean * self.factor // self.divisor
        coarse = self.borders >> 8  # squares of long borders would leave 64 bits
        square = int((coarse * coarse).sum()) // coarse.size << 16
        self.hot = Fraction(square, self.mean)
        # where a few borders are very long they settle while it is hot, and are given time then
        self.bend = min(max(0.54 + 0.02 * float(self.hot / self.mean), 0.6), 0.7)
        ranked = np.sort(self.borders)
        self.cold = int(ranked[ranked.size // 10]) // 3 + 1
        self.end = max(2 * self.cold, self.mean // 16)
        self.median = int(ranked[ranked.size // 2])
        self.group_load = max(part.total // wanted, 1)
        self.group_work = max(int(part.work.sum()) // wanted, 1)
        self.masks = kernels.neighbour_masks(part.indptr, part.indices)
        self.extra_scale = part.extra_scale(wanted, bounds)
        self.even_halfway = self._even_halfway()
        self.evenness = self._evenness()

    def within(self, window: Part, n_groups: int) -> Run:
        """A run over a window, with the scales of the whole."""
        inner = copy.copy(self)
        inner.part, inner.wanted = window, n_groups
        inner.borders = self._scaled(window.borders)
        inner.masks = kernels.neighbour_masks(window.indptr, window.indices)
        inner.evenness = inner._in_64_bits(self.evenness)
        return inner

    def _scaled(self, borders: Ints) -> Ints:
        return borders * self.factor // self.divisor

    @property
    def is_tight(self) -> bool:
        """Few groups and a band as narrow as a few units: then most runs end outside it."""
        return (
            self.wanted <= 16
            and len(self.part) <= 2000
            and (self.bounds.high - self.bounds.low < 2 * self.part.unit_load)
        )

    @property
    def is_varied(self) -> bool:
        """Borders differ so much in length that a few long ones decide about the others."""
        return self.hot > VARIED * self.mean

    def wide(self, state: Bits, turn: int, sweeps: int, free_count: bool) -> tuple[Ints, int]:
        """Start by bisection and cool once: for many groups in a band that most moves keep."""
        labels = self._bisected(turn)
        even = self.evenness
        more = min(max(self.balance - 0.5, 0.0), 0.5)
        # a short run ends warmer, and leaves more to the quench
        end = self.end if sweeps >= SHORT_SWEEPS else self.end * 23 // 20
        self._moves(
            labels, self.wanted, state,
            geometric(self._mm(self.hot), end, sweeps, bend=self.bend * (1 + more)),
            self._penalty(geometric(300, 3000, sweeps)),
            geometric(min(even, self.even_halfway), even, sweeps) if even else _zeros(sweeps),
        )  # fmt: skip
        return self.settle(labels, state, free_count, even)

    def again(self, labels: Ints, state: Bits, sweeps: int) -> Ints | None:
        """Warm up a good division and cool it again; None where it ends outside the band."""
        labels = labels.copy()
        even = self.evenness
        self._moves(
            labels, self.wanted, state,
            geometric(max(self._mm(self.hot) // 2, self.end), self.end, sweeps, bend=0.7),
            self._penalty(geometric(1000, 3000, sweeps)), np.full(sweeps, even),
        )  # fmt: skip
        labels, _ = self.settle(labels, state, free_count=False, even=even)
        return None if self.part.outside(labels, self.wanted, self.bounds) else labels

    def narrow(self, state: Bits, turn: int) -> Ints | None:
        """Start from a random tree, cool by chance settings; the best in the band, if any was."""
        part = self.part
        slack = max(self.group_load // 50, 1)
        labels = kernels.tree_start(
            part.indptr, part.indices, part.loads, self.wanted, slack, 40, state
        )
        if not labels.size:
            labels = self._bisected(turn)
        # Which settings find the band and a short cut differs from graph to graph: draw them.
        hot = self.mean * (20 + int(kernels.draw_below(state, 50))) // 25
        cold = self.mean * (10 + int(kernels.draw_below(state, 40))) // 250
        push = 2 ** int(kernels.draw_below(state, 5)) * (50 + int(kernels.draw_below(state, 50)))
        rise = 1 + int(kernels.draw_below(state, 20))
        best = np.empty(len(part), np.int64)
        found = self._moves(
            labels, self.wanted, state,
            geometric(hot, cold, NARROW_SWEEPS),
            self._penalty(geometric(push, push * rise, NARROW_SWEEPS)),
            np.full(NARROW_SWEEPS, self.evenness), best,
        )  # fmt: skip
        return best if found >= 0 else None

    def _bisected(self, turn: int) -> Ints:
        part = self.part
        a, b, c, d = _TURNS[turn % len(_TURNS)]
        x, y = a * part.x + b * part.y, c * part.x + d * part.y
        orders = np.array([np.argsort(axis, kind="stable") for axis in (x, y)])
        labels = kernels.bisect(x, y, orders, part.loads, self.wanted)
        kernels.mend(part.indptr, part.indices, self.borders, part.loads, labels, self.wanted)
        return labels

    def settle(self, labels: Ints, state: Bits, free_count: bool, even: int) -> tuple[Ints, int]:
        """Quench under a high penalty, repair what is left, and polish without leaving the band."""
        part, bounds = self.part, self.bounds
        steady = np.full(QUENCH_SWEEPS, even)
        self._moves(
            labels, self.wanted, state, np.full(QUENCH_SWEEPS, self.cold),
            self._penalty(np.full(QUENCH_SWEEPS, 50_000)), steady, finishing=True,
        )  # fmt: skip
        n_groups, outside = kernels.repair(
            part.indptr, part.indices, self.borders, part.loads, labels, self.wanted,
            bounds.low, bounds.high, part.extra, bounds.extra_low, bounds.extra_high,
            part.reach, bounds.widest, *REPAIR, free_count, state,
        )  # fmt: skip
        if outside == 0:
            return self._polished(labels, int(n_groups), state, steady)
        return labels, int(n_groups)

    def cooled(self, labels: Ints, state: Bits, sweeps: int, *, exchanges: bool = False) -> Ints:
        """Cool from a middling temperature; the best labels on the way that are in the band.

        Where none are, those of the end if they have no more groups outside, else those given.
        """
        even, best, end = self.evenness, labels.copy(), labels.copy()
        found = self._moves(
            end, self.wanted, state,
            geometric(max(self._mm(self.hot) // 4, self.cold), self.cold, sweeps),
            self._penalty(geometric(3000, 50_000, sweeps)), np.full(sweeps, even), best,
            exchanges=exchanges,
        )  # fmt: skip
        if found >= 0:
            return best
        outside = [self.part.outside(of, self.wanted, self.bounds) for of in (end, labels)]
        return end if outside[0] <= outside[1] else labels

    def _polished(
        self, labels: Ints, n_groups: int, state: Bits, evenness: Ints
    ) -> tuple[Ints, int]:
        best = labels.copy()
        # more than any single move can gain, and no more: far larger would leave 64 bits
        gain = int(np.add.reduceat(self.borders, self.part.indptr[:-1]).max())
        most = MOST_WEIGHED // (2 * int(self.part.loads.max()) + 1)
        hard = np.full(evenness.size, min((gain + 1) << 16, most))
        cold = _zeros(evenness.size)
        self._moves(labels, n_groups, state, cold, hard, evenness, best, finishing=True)
        return best, n_groups

    def exact(self, free_count: bool) -> tuple[Ints, int] | None:
        """The best of all divisions in the band, or None where there is none (a proof)."""
        part, bounds = self.part, self.bounds
        most = self.wanted
        if free_count:
            most = max(min(part.total // bounds.low, len(part)), 1)
        labels, n_groups = kernels.best_division(
            part.indptr, part.indices, self.borders, part.loads, bounds.low, bounds.high,
            part.extra, bounds.extra_low, bounds.extra_high, part.reach, bounds.widest,
            part.work, min(self.evenness, MOST_WEIGHED // max(int(part.work.sum()), 1) ** 2), most,
            self.wanted,
        )  # fmt: skip
        if not labels.size or (n_groups != self.wanted and not free_count):
            return None
        return labels, int(n_groups)

    def _moves(
        self, labels: Ints, n_groups: int, state: Bits, temperatures: Ints, penalties: Ints,
        evenness: Ints, best: Ints | None = None, *, finishing: bool = False,
        exchanges: bool = False,
    ) -> int:  # fmt: skip
        """Move units; what finishes a run goes on when the search has been told to stop."""
        part, bounds = self.part, self.bounds
        found = kernels.anneal(
            part.indptr, part.indices, self.borders, self.masks, part.loads, part.work,
            part.extra, labels, n_groups, bounds.low, bounds.high,
            bounds.extra_low, bounds.extra_high, self.extra_scale, part.reach, bounds.widest,
            temperatures, penalties, evenness, chances(), state,
            np.zeros(2, np.int64) if finishing else self.control,
            np.empty(0, np.int64) if best is None else best, kernels.BLOCK,
            exchanges,
        )  # fmt: skip
        return int(found)

    def cost(self, labels: Ints, n_groups: int) -> int:
        """What runs are compared by: the cut, and unevenness as the search weighs it."""
        part = self.part
        cut = int(kernels.cut_of(part.indptr, part.indices, self.borders, labels))
        work, _ = kernels.group_sums(labels, part.work, n_groups)
        return cut + (self.evenness * sum(int(value) ** 2 for value in work) >> 28)

    def _evenness(self) -> int:
        """Millimetres / 2**28 for every squared unit of work off the mean.

        A group off the mean by the share s costs about ``b / (1 - b) * s**2`` of its outline: the
        root of its number of units, times the typical border. That is the mean border where lengths
        are alike, and less where a few long ones make up the mean.
        """
        balance = Fraction(min(max(self.balance, 0.0), 1.0)).limit_denominator(1000)
        return self._in_64_bits(int(self.even_halfway * 11 * balance / (10 - 9 * balance)))

    def _in_64_bits(self, evenness: int) -> int:
        """No more than leaves the squares of a move in 64 bits, even with next to no work."""
        largest = max(int(self.part.work.max()), 1)
        return min(evenness, MOST_WEIGHED // (2 * largest * (16 * self.group_work + largest)))

    def _even_halfway(self) -> int:
        """Evenness at balance 0.5."""
        typical = (9 * math.isqrt(self.mean * self.median) + self.mean) // 10
        outline = math.isqrt(len(self.part) * typical * typical // self.wanted)
        # less where many groups lie at the rim of the part, whose outline is partly no cut
        rim = min(max(10_000 - 120_000_000 // math.isqrt(self.wanted * 10**8), 7600), 9400)
        return 60 * outline * rim * (1 << 28) // (200_000 * self.group_work * self.group_work)

    def _penalty(self, thousandths: Ints) -> Ints:
        """Millimetres / 65536 for every household outside, from thousandths of a mean border."""
        household = self.mean * HOUSEHOLDS_OF_A_GROUP * 65536 // (1000 * self.group_load)
        return thousandths * max(household, 1)

    @staticmethod
    def _mm(value: Fraction) -> int:
        return max(round(value), 1)


def _zeros(count: int) -> Ints:
    return np.zeros(count, np.int64)
