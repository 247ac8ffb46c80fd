"""A connected graph with what the search needs to know of its units, and the bounds of a group."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gridpart.engine import kernels
from gridpart.engine.kernels import Flags, Ints

__all__ = ["Bounds", "Part"]

UNITS_OF_A_SMALL_GROUP = 8


@dataclass(frozen=True, eq=False)
class Bounds:
    """What a group may hold.

    Attributes
    ----------
    low, high : int
        The band of the load.
    extra_low, extra_high : ndarray of int64, shape (q,) or (q + 1,)
        Bands of other quantities; where width is limited, one more column, 0 to 0, for the pairs
        of units that are too far apart.
    widest : int
        Greatest width of a group in any direction, millimetres; 0 where it is not limited.
    """

    low: int
    high: int
    extra_low: Ints
    extra_high: Ints
    widest: int = 0

    def with_band(self, low: int, high: int) -> Bounds:
        """The same with another band of the load."""
        return Bounds(low, high, self.extra_low, self.extra_high, self.widest)

    def of_column(self, column: int) -> tuple[int, int]:
        """The band of the load (0) or of another quantity."""
        if column == 0:
            return self.low, self.high
        return int(self.extra_low[column - 1]), int(self.extra_high[column - 1])

    def keeps(self, bound: str, value: int, column: int) -> bool:
        """Whether a value keeps the ``"low"`` or ``"high"`` of a column."""
        low, high = self.of_column(column)
        return value <= high if bound == "high" else value >= low

    def changed(self, bound: str, value: int, column: int) -> Bounds:
        """The same with another ``"low"`` or ``"high"`` of a column, or another ``"widest"``."""
        if bound == "widest":
            return replace(self, widest=value)
        changed: dict[str, Any] = {bound: value}
        if column > 0:
            extra = getattr(self, f"extra_{bound}").copy()
            extra[column - 1] = value
            changed = {f"extra_{bound}": extra}
        return replace(self, **changed)

    def counts(self, part: Part) -> range:
        """Numbers of groups for which the sums of a part leave all bounds open."""
        fewest, most = -(-part.total // self.high), min(part.total // self.low, len(part))
        for column, total in enumerate(part.extra.sum(axis=0).tolist(), start=1):
            low, high = self.of_column(column)
            if total > high:
                fewest = max(fewest, -(-total // high) if high else len(part) + 1)
            if low:
                most = min(most, total // low)
        return range(max(fewest, 1), most + 1)

    def above(self, part: Part) -> Flags:
        """Units that no group can hold, because they alone are above a bound."""
        quantities = part.extra.shape[1]
        above: Flags = (part.loads > self.high) | np.any(
            part.extra > self.extra_high[:quantities], axis=1
        )
        if self.widest:
            half = part.reach.shape[1] // 2
            width = part.reach[:, :half] + part.reach[:, half:]
            above |= np.any(width > self.widest, axis=1)
        return above


@dataclass(frozen=True, eq=False)
class Part:
    """A graph and its units.

    Attributes
    ----------
    indptr, indices, borders : ndarray of int64
        The graph.
    loads, work, x, y : ndarray of int64, shape (n,)
        Load in the band, work to be evened out, position.
    extra : ndarray of int64, shape (n, q)
        Other bounded quantities.
    reach : ndarray of int64, shape (n, 2 d)
        How far each unit reaches in d directions and in their opposites, millimetres; no columns
        where the width of groups is not limited. See :func:`gridpart.engine.kernels.too_far`.
    """

    indptr: Ints
    indices: Ints
    borders: Ints
    loads: Ints
    work: Ints
    extra: Ints
    reach: Ints
    x: Ints
    y: Ints

    def __len__(self) -> int:
        return int(self.loads.size)

    @property
    def total(self) -> int:
        """Sum of the loads."""
        return int(self.loads.sum())

    @property
    def unit_load(self) -> int:
        """Mean load of the units that have any."""
        return max(self.total // max(int((self.loads > 0).sum()), 1), 1)

    def has_small_groups(self, n_groups: int) -> bool:
        """Whether groups have so few units that moves of single ones hardly even them out."""
        return len(self) <= UNITS_OF_A_SMALL_GROUP * n_groups

    def take(self, members: Ints, place: Ints | None = None) -> Part:
        """The part induced by `members`; `place` is scratch of n entries, all -1."""
        if place is None:
            place = np.full(len(self), -1, np.int64)
        rows = kernels.subgraph(self.indptr, self.indices, self.borders, members, place)
        return Part(
            *rows, self.loads[members], self.work[members],
            np.ascontiguousarray(self.extra[members]), np.ascontiguousarray(self.reach[members]),
            self.x[members], self.y[members],
        )  # fmt: skip

    def connected(self, labels: Ints) -> Iterator[Ints]:
        """Members of every connected part of units of equal label (not -1), by first unit."""
        number, count = kernels.components(self.indptr, self.indices, labels)
        order = np.argsort(number, kind="stable")
        bounds = np.searchsorted(number[order], np.arange(count + 1))
        for start, stop in itertools.pairwise(bounds):
            yield order[start:stop]

    def contract(self, node: Ints, count: int) -> Part:
        """The part in which all units of equal `node` (0 to `count` - 1) are one unit."""
        size = np.bincount(node, minlength=count)
        extra = np.zeros((count, self.extra.shape[1]), np.int64)
        np.add.at(extra, node, self.extra)
        reach = np.full((count, self.reach.shape[1]), np.iinfo(np.int64).min)
        np.maximum.at(reach, node, self.reach)

        def total(values: Ints) -> Ints:
            sums = np.zeros(count, np.int64)
            np.add.at(sums, node, values)
            return sums

        return Part(
            *kernels.contracted(self.indptr, self.indices, self.borders, node, count),
            total(self.loads), total(self.work), extra, reach,
            total(self.x) // size, total(self.y) // size,
        )  # fmt: skip

    def sums(self, labels: Ints, n_groups: int, bounds: Bounds) -> tuple[Ints, Ints]:
        """Load of every group, and its other bounded quantities."""
        load, _ = kernels.group_sums(labels, self.loads, n_groups)
        extra = kernels.extra_sums(labels, self.extra, n_groups, self.reach, bounds.widest)
        return load, extra

    def extra_scale(self, n_groups: int, bounds: Bounds) -> Ints:
        """Main loads / 65536 that one unit of another quantity outside its band counts.

        One more for pairs of units too far apart, where width is limited.
        """
        mean = np.maximum(self.extra.sum(axis=0) // n_groups, 1)
        of_a_group = max(self.total // n_groups, 1) << 16
        scale = (of_a_group // mean + 1).astype(np.int64)
        if not bounds.widest:
            return scale
        # such a pair counts as the load of one unit outside the band
        return np.append(scale, np.int64(max(self.total // len(self), 1) << 16))

    def widest(self, labels: Ints, n_groups: int) -> int:
        """Greatest width of any group, in the directions in which units' reach is known."""
        ends = np.full((n_groups, self.reach.shape[1]), np.iinfo(np.int64).min)
        np.maximum.at(ends, labels, self.reach)
        half = self.reach.shape[1] // 2
        return int((ends[:, :half] + ends[:, half:]).max())

    def outside(self, labels: Ints, n_groups: int, bounds: Bounds) -> int:
        """How many groups are outside any of their bands."""
        return int(self.which_outside(labels, n_groups, bounds).size)

    def which_outside(self, labels: Ints, n_groups: int, bounds: Bounds) -> Ints:
        """The groups that are outside any of their bands, in ascending order."""
        load, extra = self.sums(labels, n_groups, bounds)
        wrong = (load < bounds.low) | (load > bounds.high)
        wrong |= np.any((extra < bounds.extra_low) | (extra > bounds.extra_high), axis=1)
        return np.flatnonzero(wrong)
