"""How one piece is divided: searched, and where that fails divided by methods that insist.

Larger regions around a violation along trees first, exactly; then, where few groups could be made,
a choice among all of them, which finds a division or excludes it; then a hunt for the band alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from gridpart.engine import choice, exact, regroup
from gridpart.engine.effort import EFFORTS
from gridpart.engine.exact import EXHAUSTED_UNITS
from gridpart.engine.hunt import hunt
from gridpart.engine.kernels import Bits, Ints
from gridpart.engine.part import Part
from gridpart.engine.run import EXACT_UNITS
from gridpart.engine.settings import Settings

__all__ = ["Dividing", "Found"]

HUNTS = 4  # for any division in the band
FEW_OUTSIDE = 6  # groups that are chosen anew after a hunt, or a tenth of all


@dataclass(frozen=True, eq=False)
class Found:
    """A division of a piece.

    Attributes
    ----------
    labels : ndarray of int64, shape (n,)
    n_groups : int
    outside : int
        Groups outside their bounds.
    why : str
        Reason of those; empty where there are none.
    """

    labels: Ints
    n_groups: int
    outside: int
    why: str = "not_found"


@dataclass(frozen=True, eq=False)
class Dividing:
    """One piece, and what is asked of it.

    Attributes
    ----------
    piece : Part
    settings : Settings
    seed : ndarray of uint64, shape (1,)
    count : int, optional
        Number of groups, where it is fixed.
    """

    piece: Part
    settings: Settings
    seed: Bits
    count: int | None = None

    # ------------------------------------------------------------ searching

    def into(self, counts: range) -> Found:
        """Into one of the numbers of groups that may fit; by the main load, if none does."""
        piece, settings = self.piece, self.settings
        if not counts:
            most = min(piece.total // settings.bounds.low, len(piece))
            counts = range(min(-(-piece.total // settings.bounds.high), most), most + 1)
        fewest, most = counts[0], counts[-1]
        if settings.n_groups in ("fewest", "most"):
            end, step = (fewest, 1) if settings.n_groups == "fewest" else (most, -1)
            found = self._nearest_count(end, step, range(fewest, most + 1))
            if found is not None:
                return found
        wanted = max(min(most, round(Fraction(piece.total, settings.target))), fewest)
        found = self.searched(wanted, free_count=True)
        narrow = min(self._enough_for_width(), most)
        if found.outside and narrow > wanted:
            again = self.searched(narrow, free_count=True)
            found = min(found, again, key=lambda tried: tried.outside)
        return found

    def searched(self, wanted: int, *, free_count: bool, settings: Settings | None = None) -> Found:
        """Search inside the band that leaves headroom; in the whole band where that is missed.

        The narrow search leaves as few groups outside the narrow band as it can, and most of those
        that it must leave outside are still inside the whole one.
        """
        piece, settings = self.piece, settings or self.settings
        narrow = settings.narrowed()
        if narrow is not None:
            least, most = -(-piece.total // narrow.bounds.high), piece.total // narrow.bounds.low
            most = min(most, len(piece))
            fitting = wanted
            if free_count and least <= most:
                fitting = max(least, min(wanted, most))
            labels, n_groups, _ = narrow.search(piece, fitting, self.seed, free_count=free_count)
            if not piece.outside(labels, n_groups, settings.bounds):
                return Found(labels, n_groups, 0)
        return Found(*settings.search(piece, wanted, self.seed, free_count=free_count))

    def least_miss(self) -> Found:
        """Where no number of groups fits: that which misses the band by the fewest households."""
        piece, bounds = self.piece, self.settings.bounds
        most = piece.total // bounds.low
        too_many_households = piece.total - most * bounds.high
        too_few_households = (most + 1) * bounds.low - piece.total
        wanted = most if too_many_households <= too_few_households else most + 1
        wanted = min(wanted, len(piece))
        return Found(*self.settings.search(piece, wanted, self.seed, free_count=False))

    def _enough_for_width(self) -> int:
        """Groups that should do where their width is limited: half a square of it for each."""
        reach, widest = self.piece.reach, self.settings.bounds.widest
        if not widest:
            return 0
        half = reach.shape[1] // 2
        width = [int(reach[:, d].max() + reach[:, d + half].max()) for d in (0, half // 2)]
        return -(-2 * width[0] * width[1] // widest**2)

    def _nearest_count(self, end: int, step: int, counts: range) -> Found | None:
        """The count nearest to one end that can be had: in growing steps, then back."""
        quick = replace(self.settings, effort=replace(EFFORTS["fast"], restarts=40))

        def attempt(count: int, how: Settings) -> Found | None:
            found = self.searched(count, free_count=False, settings=how)
            return None if found.outside else found

        missed, stride, count = end - step, 1, end
        best = None
        while count in counts and best is None:
            best = attempt(count, quick)
            if best is None:
                missed, count = count, count + step * stride
                # of very few units every number is tried: what fits may have gaps
                stride *= 1 if len(self.piece) <= EXACT_UNITS else 2
        if best is None:
            return None
        while abs(count - missed) > 1:
            middle = (count + missed) // 2
            found = attempt(middle, quick)
            if found is None:
                missed = middle
            else:
                best, count = found, middle
        return attempt(count, self.settings) or best

    # ------------------------------------------------------------ insisting

    def insisted(self, found: Found) -> Found:
        """Where the search failed: trees, every group that could be made, a hunt; plan or proof."""
        if not self.settings.insist:
            return found
        if len(self.piece) > EXHAUSTED_UNITS:  # of fewer, all divisions are soon looked at
            by_trees = self._along_trees(found.labels, found.n_groups)
            if by_trees is not None:
                return self._finished(*by_trees)
        if self.settings.control[0]:
            return found
        # where few groups could be made, a moment tells what hunts would look for in vain
        settled = self._chosen(found, by="choice")
        if settled is not None and (settled.outside <= 1 or not self.settings.advise):
            return settled
        sought = self._sought(found)
        if settled is not None:  # proven; but there may be fewer groups outside
            return replace(sought, why=settled.why)
        if not sought.outside or self.settings.control[0]:
            return sought
        return self._chosen(sought, by="program") or sought

    def _chosen(self, found: Found, *, by: Literal["choice", "program"]) -> Found | None:
        """Of all groups that could be made: a division or a proof; None where there are too many.

        Where there are no cycles, one table tells as much.
        """
        piece, bounds, count = self.piece, self.settings.bounds, self.count
        proven = replace(found, why="proven_by_search")
        is_tree = count is None and not bounds.extra_low.size and exact.is_tree(piece)
        if is_tree and exact.whole_tree(piece, bounds, self.seed) is False:
            return proven
        wanted = found.n_groups if count is None else count
        is_fixed = count is not None
        chosen = choice.of_all_groups(piece, bounds, wanted, count_is_fixed=is_fixed, by=by)
        if chosen is None:
            return None
        return self._finished(chosen, int(chosen.max()) + 1) if chosen.size else proven

    def _sought(self, found: Found) -> Found:
        """Hunted, or the number asked for by way of another; what leaves the fewest outside."""
        begun = found
        if self.count is None and not self.settings.bounds.widest:
            begun = self._with_most_room(found)  # where the width may need more groups than that
        hunted = self._hunted(begun)
        if hunted.outside < found.outside:
            found = hunted
        by_trees = self._from_another_number(found) if found.outside else None
        return found if by_trees is None else self._finished(*by_trees)

    def _finished(self, labels: Ints, n_groups: int) -> Found:
        """A division that is in the band, its borders shortened."""
        return Found(*self.settings.improve(self.piece, labels, n_groups, self.seed), 0, "")

    def _along_trees(self, labels: Ints, n_groups: int) -> tuple[Ints, int] | None:
        return exact.along_trees(
            self.piece, labels, n_groups, self.settings.bounds, self.seed, count=self.count
        )

    def _from_another_number(self, found: Found) -> tuple[Ints, int] | None:
        """The number asked for by way of another, which may be easier to find a division into."""
        piece, bounds, count = self.piece, self.settings.bounds, self.count
        if count is None or self.settings.control[0]:
            return None
        free = exact.along_trees(piece, found.labels, found.n_groups, bounds, self.seed)
        if free is None:
            return None
        labels = exact.with_count(piece, *free, count, bounds, self.seed)
        return None if labels is None else (labels, count)

    def _regrouped(self, labels: Ints, n_groups: int) -> tuple[Ints, int] | None:
        anew = regroup.regrouped(
            self.piece, labels, n_groups, self.settings.bounds, seed=self.seed,
            control=self.settings.control,
        )  # fmt: skip
        return None if anew is None else (anew, n_groups)

    def _with_most_room(self, found: Found) -> Found:
        """Divided into the number of groups whose mean is farthest from both ends of the band."""
        piece, bounds = self.piece, self.settings.bounds
        counts = bounds.counts(piece)  # another quantity may need more
        middle = Fraction(2 * piece.total, bounds.low + bounds.high)
        wanted = min(max(round(middle), counts[0]), counts[-1])
        if wanted == found.n_groups:
            return found
        quick = replace(self.settings, effort=EFFORTS["fast"])
        return Found(*quick.search(piece, wanted, self.seed, free_count=False))

    def _hunted(self, begun: Found) -> Found:
        """Fewer groups outside whatever the borders, then shorter borders."""
        piece, bounds, control = self.piece, self.settings.bounds, self.settings.control
        labels, n_groups = begun.labels, begun.n_groups
        kept, least = (labels, n_groups), piece.outside(labels, n_groups, bounds)
        few = max(n_groups // 10, FEW_OUTSIDE)
        # without borders that hold them together groups sprawl: no way to keep them narrow
        if bounds.widest:
            found = self._regrouped(labels, n_groups)
            return Found(*kept, least) if found is None else self._finished(*found)
        for turn in range(HUNTS):
            hunted, outside = hunt(
                piece, labels, n_groups, bounds, turn=turn, seed=self.seed, control=control
            )
            if outside < least:
                kept, least = (hunted, n_groups), outside
            found = None
            if outside:
                found = self._along_trees(hunted, n_groups)
                if found is None and outside <= few:
                    found = self._regrouped(hunted, n_groups)
            if found is not None:
                kept, least = found, 0
            if not least or control[0] or (turn and outside > few):  # or twice so far off
                break
        if kept[0] is not labels:
            kept = self.settings.improve(piece, *kept, self.seed, exchanges=True)
            least = piece.outside(*kept, bounds)
        return Found(*kept, least, "not_found" if least else "")
