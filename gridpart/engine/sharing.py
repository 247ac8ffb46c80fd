"""A fixed number of groups, shared among parts that are divided each by itself.

The first shares follow the loads. Where a part cannot be divided into its share, the shares nearest
to these are tried that leave no part with a number it has failed at.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple, TypeVar

import numpy as np

from gridpart.engine.effort import EFFORTS, Effort

__all__ = ["ABOUT_A_SHARE", "SharedPart", "Sharing", "effort_again"]

# reasons of groups outside the band that another number of groups might cure
ABOUT_A_SHARE = ("no_count_fits", "proven_by_search", "not_found")
MOST_OFF = 12  # groups by which all shares together may be off in between
GIVERS = 40  # parts that give or take a group where others cannot
MOST_TRIED = 30  # parts that are solved again at another number

Result = TypeVar("Result")


def effort_again(effort: Effort) -> Effort:
    """What another share is tried with: seconds were for the first."""
    return effort if effort.seconds is None else EFFORTS["fast"]


class SharedPart(NamedTuple):
    """What a part, or several that are one to the caller, can do with a number of groups.

    Attributes
    ----------
    total : int
        Its load.
    size : int
        Its units, which are the most groups that it can have.
    fewest, most : int
        Groups that arithmetic allows inside the band.
    least : int
        Groups that it gets in any case, one for each connected part.
    """

    total: int
    size: int
    fewest: int
    most: int
    least: int = 1

    @classmethod
    def of(cls, total: int, size: int, low: int, high: int) -> SharedPart:
        """A connected part; with too little load for a group it is one all the same."""
        return cls(total, size, max(-(-total // high), 1), max(total // low, 1))

    @classmethod
    def together(cls, parts: Sequence[SharedPart]) -> SharedPart:
        """Several parts as one."""
        return cls(*(sum(figures) for figures in zip(*parts, strict=True)))


@dataclass(frozen=True)
class Sharing:
    """Parts that share a number of groups.

    Parameters
    ----------
    parts : sequence of SharedPart
    """

    parts: Sequence[SharedPart]

    def by_load(self, n_groups: int | str | None) -> list[int | None]:
        """Share a number of groups by load.

        Every connected part gets one, even if these are more than were asked for; then, one at a
        time, the part with most load per group gets one more, parts above the band first, parts
        that could not keep the band with more last, and none more than it has units.

        Parameters
        ----------
        n_groups : int, str or None
            Only a number is shared out.

        Returns
        -------
        list of int or None
            The number for every part; None for each where `n_groups` is no number.

        Examples
        --------
        >>> parts = [SharedPart.of(total, 9, 200, 500) for total in (1000, 400)]
        >>> Sharing(parts).by_load(5)
        [3, 2]
        """
        if not isinstance(n_groups, int | np.integer) or not self.parts:
            return [None] * len(self.parts)
        counts = [part.least for part in self.parts]

        def turn(number: int) -> tuple[bool, bool, bool, Fraction, int]:
            """Sorts parts by who is next to get one more."""
            count, part = counts[number], self.parts[number]
            return (
                count >= part.size, count >= part.fewest, count >= part.most,
                Fraction(-part.total, count), number,
            )  # fmt: skip

        queue = [turn(part) for part in range(len(counts))]
        heapq.heapify(queue)
        for _ in range(int(n_groups) - sum(counts)):
            number = queue[0][-1]
            counts[number] += 1
            heapq.heapreplace(queue, turn(number))
        return list(counts)

    def could_be_otherwise(self, n_groups: object) -> bool:
        """Whether arithmetic leaves more than one way to share a number among the parts.

        Examples
        --------
        >>> both = Sharing([SharedPart.of(1000, 9, 200, 500)] * 2)
        >>> both.could_be_otherwise(5), both.could_be_otherwise(3)
        (True, False)
        """
        if not isinstance(n_groups, int | np.integer) or len(self.parts) < 2:
            return False
        fewest = sum(part.fewest for part in self.parts)
        return fewest <= int(n_groups) <= sum(part.most for part in self.parts)

    def divide(
        self,
        counts: Sequence[int | None],
        first: Sequence[Result],
        again: Callable[[int, int], Result | None],
        outside: Callable[[Result], int],
    ) -> list[Result]:
        """Where a part failed at its share of the number, try the shares next to it.

        Parameters
        ----------
        counts : sequence of int or None
            Shares of the parts, as :meth:`by_load` gives them.
        first : sequence
            What came of these shares, part by part.
        again : callable
            ``again(part, count)`` divides one part into another number of groups; None where that
            breaks.
        outside : callable
            How many groups of a result are outside the band for want of another number.

        Returns
        -------
        list
            Of the results that were tried those with the fewest groups outside, `first` if none
            have fewer.
        """
        shares = [count for count in counts if count is not None]
        missed = [outside(result) for result in first]
        if len(shares) < max(len(counts), 2) or not any(missed):
            return list(first)
        known: dict[tuple[int, int], Result | None] = {
            (part, count): first[part] for part, count in enumerate(shares)
        }
        failed = [{count} if missed[part] else set() for part, count in enumerate(shares)]
        best, least, left = list(first), sum(missed), MOST_TRIED
        while tried := self.nearest(shares, failed):
            new = [pair for pair in enumerate(tried) if pair not in known]
            left -= len(new)
            if left < 0:
                break
            for part, count in new:
                result = known[part, count] = again(part, count)
                if result is None or outside(result):
                    failed[part].add(count)
            results = [known[pair] for pair in enumerate(tried)]
            whole = [result for result in results if result is not None]
            if len(whole) == len(results) and (now := sum(map(outside, whole))) < least:
                best, least = whole, now
            if not new:
                break
        return best

    def nearest(self, shares: Sequence[int], failed: Sequence[set[int]]) -> list[int] | None:
        """Shares with the same sum nearest to `shares` that avoid what has failed.

        A part for which arithmetic allows no other number than failed ones keeps its own.

        Parameters
        ----------
        shares : sequence of int
        failed : sequence of set of int
            Numbers at which each part has failed.

        Returns
        -------
        list of int or None
            None where there are no others.

        Examples
        --------
        >>> parts = [SharedPart.of(total, 9, 200, 500) for total in (900, 600)]
        >>> Sharing(parts).nearest([3, 2], [{3}, set()])
        [2, 3]
        """
        totals = [part.total for part in self.parts]
        mean = Fraction(sum(totals), max(sum(shares), 1))
        options = [
            [count for count in self._near(part, share) if count not in failed[part]] or [share]
            for part, share in enumerate(shares)
        ]
        moving = [part for part, share in enumerate(shares) if share not in options[part]]
        if not moving:
            return None
        others = [part for part, each in enumerate(options) if len(each) > 1 and part not in moving]
        # those first whose load per group is farthest from the mean
        others.sort(key=lambda part: (-abs(Fraction(totals[part], shares[part]) - mean), part))
        # cheapest choices by how many groups they are off all together, part by part
        reached: dict[int, tuple[Fraction, dict[int, int]]] = {0: (Fraction(0), {})}
        for part in (*moving, *others[:GIVERS]):
            after: dict[int, tuple[Fraction, dict[int, int]]] = {}
            for away, (cost, chosen) in reached.items():
                for count in options[part]:
                    step = count - shares[part]
                    if abs(away + step) > MOST_OFF:
                        continue
                    price = cost + abs(step) * mean + abs(totals[part] - count * mean) / 1000
                    if away + step not in after or price < after[away + step][0]:
                        after[away + step] = (price, {**chosen, part: count})
            reached = after
        if 0 not in reached:
            return None
        chosen = reached[0][1]
        return [chosen.get(part, share) for part, share in enumerate(shares)]

    def _near(self, number: int, share: int) -> range:
        """Numbers near its share that arithmetic allows a part."""
        part = self.parts[number]
        most = min(part.most, part.size)
        return range(max(part.fewest, share - MOST_OFF), min(most, share + MOST_OFF) + 1)
