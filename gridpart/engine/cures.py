"""What would cure groups outside the band: changes of bounds with which a division is known.

Arithmetic sets the least change that could do; the search starts there and goes up. Where it
succeeds at once, or a very small piece has been exhausted, the change is exact. Where no change of
one bound is found, the division in hand shows what surely is enough.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property

import numpy as np

from gridpart.engine import exact
from gridpart.engine.kernels import Bits, Ints
from gridpart.engine.part import Bounds, Part
from gridpart.engine.run import EXACT_UNITS
from gridpart.engine.settings import Settings

__all__ = ["CuresOfPart", "Relaxation", "cures_of", "found_only", "needed", "of_unit"]

RELAXED_BY = (0, 2, 5, 10, 20, 40)  # per cent beyond the bound that arithmetic sets
RELAXED_UNITS = 3000  # larger pieces are not searched again for the sake of advice


@dataclass(frozen=True)
class Relaxation:
    """A change of a bound with which a piece can be divided inside all of them.

    Attributes
    ----------
    bound : str
        ``"low"``, ``"high"`` or ``"widest"``.
    value : int
        What it would have to be.
    exact : bool
        Whether it is proven that no smaller change of this bound will do; else a division is
        known with which this one does.
    column : int, default 0
        Which column of the loads the bound is of.
    also : tuple of Relaxation
        Changes of other bounds that are needed together with this one.
    """

    bound: str
    value: int
    exact: bool
    column: int = 0
    also: tuple[Relaxation, ...] = ()

    @property
    def changes(self) -> tuple[Relaxation, ...]:
        """All that is needed together, the change itself first."""
        return self, *self.also


def found_only(relaxations: Iterable[Relaxation]) -> tuple[Relaxation, ...]:
    """The same relaxations without the proof that no smaller one will do."""
    return tuple(
        replace(relaxation, exact=False, also=found_only(relaxation.also))
        for relaxation in relaxations
    )


def needed(
    piece: Part, labels: Ints, n_groups: int, bounds: Bounds, *, proven: bool = True
) -> tuple[Relaxation, ...]:
    """The changes with which a division is inside the bounds, all of them together."""
    missed = _missed(piece, labels, n_groups, bounds, proven=proven)
    return (replace(missed[0], also=tuple(missed[1:])),) if missed else ()


def of_unit(unit: Part, bounds: Bounds) -> tuple[Relaxation, ...]:
    """What would let a unit that is above a bound be a group: each bound that it is above.

    Where it is below another bound it needs its neighbours, and nothing is known.
    """
    known = needed(unit, np.zeros(1, np.int64), 1, bounds)
    below = any(change.bound == "low" for cure in known for change in cure.changes)
    return () if below else known


def _missed(
    piece: Part, labels: Ints, n_groups: int, bounds: Bounds, *, proven: bool
) -> list[Relaxation]:
    """What every bound that a division misses would have to be; none where a group has no load."""
    load, extra = piece.sums(labels, n_groups, bounds)
    columns = [load, *extra.T[: piece.extra.shape[1]]]
    lows = [bounds.low, *bounds.extra_low.tolist()]
    highs = [bounds.high, *bounds.extra_high.tolist()]
    missed = []
    for column, values in enumerate(columns):
        least, most = int(values.min()), int(values.max())
        if least < lows[column]:
            missed.append(Relaxation("low", least, proven, column))
        if most > highs[column]:
            missed.append(Relaxation("high", most, proven, column))
    width = piece.widest(labels, n_groups) if bounds.widest else 0
    if width > bounds.widest:
        # measured in some directions only, so that a little less may do
        missed.append(Relaxation("widest", width, exact=False))
    return missed if load.min() > 0 else []


def cures_of(
    piece: Part, labels: Ints, n_groups: int, settings: Settings, seed: Bits, count: int | None
) -> tuple[Relaxation, ...]:
    """Changes, each of which cures a piece, of which a division outside the band is in hand."""
    surely = needed(piece, labels, n_groups, settings.bounds, proven=False)
    changes = [change for cure in surely for change in cure.changes]
    columns = {change.column for change in changes}
    if len(columns) == 1 and all(change.bound != "widest" for change in changes):
        known = _of_one_bound(piece, settings, seed, count, columns.pop())
        if known:
            return known
    return surely


class CuresOfPart:
    """What would cure a whole part, of which gates cut pieces off; asked once at most.

    With another band no gate might cut them off.
    """

    def __init__(self, part: Part, settings: Settings, seed: Bits) -> None:
        self.part, self.settings, self.seed = part, settings, seed

    @cached_property
    def known(self) -> tuple[Relaxation, ...]:
        """Changes of one bound of the band, each of which cures all of the part."""
        if not self.settings.advise or self.settings.control[0]:
            return ()
        return _of_one_bound(self.part, self.settings, self.seed, None, 0)


def _of_one_bound(
    piece: Part, settings: Settings, seed: Bits, count: int | None, column: int
) -> tuple[Relaxation, ...]:
    asked = _Asked(piece, settings, seed, count, column)
    found = (asked.raised(), asked.lowered())
    return tuple(relaxation for relaxation in found if relaxation is not None)


@dataclass(frozen=True, eq=False)
class _Asked:
    """Which change of a bound of one column does."""

    piece: Part
    settings: Settings
    seed: Bits
    count: int | None
    column: int

    @property
    def _values(self) -> Ints:
        """What every unit has of the quantity."""
        return self.piece.loads if self.column == 0 else self.piece.extra[:, self.column - 1]

    def raised(self) -> Relaxation | None:
        piece, bounds = self.piece, self.settings.bounds
        high = bounds.of_column(self.column)[1]
        groups = self.count
        if groups is None:
            groups = min(piece.total // bounds.low, len(piece))
        if groups == 0 or groups * bounds.low > piece.total:
            return None
        values = self._values
        bound = max(-(-int(values.sum()) // groups), high, int(values.max()))
        if len(piece) <= EXACT_UNITS:
            near = max(bound, high + 1)
            least = self._least_that_does("high", near, max(int(values.sum()), near))
            return None if least is None else self._named("high", least, exact=True)
        found = self._first_that_does("high", [bound + bound * more // 100 for more in RELAXED_BY])
        return None if found is None else self._named("high", found, exact=found == bound)

    def lowered(self) -> Relaxation | None:
        piece, bounds = self.piece, self.settings.bounds
        low, least_of_all = bounds.of_column(self.column)[0], 0 if self.column else 1
        groups = -(-piece.total // bounds.high) if self.count is None else self.count
        if groups > len(piece) or groups * bounds.high < piece.total:
            return None
        bound = min(int(self._values.sum()) // groups, low)
        if bound < least_of_all or low == least_of_all:
            return None
        if len(piece) <= EXACT_UNITS:
            least = self._least_that_does("low", min(bound, low - 1), least_of_all)
            return None if least is None else self._named("low", least, exact=True)
        tries = [max(bound * 100 // (100 + more), least_of_all) for more in RELAXED_BY]
        found = self._first_that_does("low", tries)
        return None if found is None else self._named("low", found, exact=found == bound)

    def _named(self, bound: str, value: int, *, exact: bool) -> Relaxation:
        return Relaxation(bound, value, exact, self.column)

    def _first_that_does(self, bound: str, values: list[int]) -> int | None:
        """What the first division needs that is found with one of the values."""
        piece, settings, count = self.piece, self.settings, self.count
        if len(piece) > RELAXED_UNITS:
            return None
        present = settings.bounds.of_column(self.column)[bound == "high"]
        for value in values:
            if value == present:
                continue
            bounds = settings.bounds.changed(bound, value, self.column)
            fewest = -(-piece.total // bounds.high)
            most = min(piece.total // bounds.low, len(piece))
            if not fewest <= (fewest if count is None else count) <= most:
                continue
            wanted = max(min(most, round(Fraction(piece.total, settings.target))), fewest)
            labels, n_groups, outside = settings.relaxed(bounds).search(
                piece, wanted if count is None else count, self.seed, free_count=count is None
            )
            if not outside:
                load, extra = piece.sums(labels, n_groups, bounds)
                sums = load if self.column == 0 else extra[:, self.column - 1]
                least = int(sums.max() if bound == "high" else sums.min())
                # with more luck than the search had: then no change is known to be needed
                return None if settings.bounds.keeps(bound, least, self.column) else least
        return None

    def _least_that_does(self, bound: str, near: int, far: int) -> int | None:
        """The value nearest to `near` with which a very small piece can be divided."""
        sign = 1 if far >= near else -1

        def does(value: int) -> bool:
            bounds = self.settings.bounds.changed(bound, value, self.column)
            return exact.is_possible(self.piece, bounds, self.count)

        if not does(far):
            return None
        missed, found = near - sign, far
        while abs(found - missed) > 1:
            middle = (found + missed) // 2
            if does(middle):
                found = middle
            else:
                missed = middle
        return found
