"""A fixed number of groups, shared among parts that are divided each by itself.

The first shares follow the loads. Where a part cannot be divided into its share, the shares nearest
to these are tried that leave no part with a number it has failed at.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeVar

import numpy as np

__all__ = ["ABOUT_A_SHARE", "Sharing"]

# reasons of groups outside the band that another number of groups might cure
ABOUT_A_SHARE = ("no_count_fits", "proven_by_search", "not_found")
MOST_OFF = 12  # groups by which all shares together may be off in between
GIVERS = 40  # parts that give or take a group where others cannot
MOST_TRIED = 30  # parts that are solved again at another number

Result = TypeVar("Result")


@dataclass(frozen=True)
class Sharing:
    """Parts that share a number of groups.

    Parameters
    ----------
    totals : sequence of int
        Load of every part.
    sizes : sequence of int
        Number of units of every part, which is the most groups that it can have.
    low, high : int
        The band.
    """

    totals: Sequence[int]
    sizes: Sequence[int]
    low: int
    high: int

    def by_load(self, n_groups: int | str | None) -> list[int | None]:
        """Share a number of groups by load.

        Every part gets one, even if these are more than were asked for; then, one at a time, the
        part with most load per group gets one more, parts above the band first, parts that could
        not keep the band with more last, and none more than it has units.

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
        >>> Sharing([1000, 400], [9, 9], 200, 500).by_load(5)
        [3, 2]
        """
        if not isinstance(n_groups, int | np.integer) or not self.totals:
            return [None] * len(self.totals)
        counts = [1] * len(self.totals)

        def turn(part: int) -> tuple[bool, bool, bool, Fraction, int]:
            """Sorts parts by who is next to get one more."""
            count, total = counts[part], self.totals[part]
            return (
                count >= self.sizes[part], total <= count * self.high,
                (count + 1) * self.low > total, Fraction(-total, count), part,
            )  # fmt: skip

        queue = [turn(part) for part in range(len(counts))]
        heapq.heapify(queue)
        for _ in range(int(n_groups) - len(counts)):
            part = queue[0][-1]
            counts[part] += 1
            heapq.heapreplace(queue, turn(part))
        return list(counts)

    def could_be_otherwise(self, n_groups: int | str | None) -> bool:
        """Whether arithmetic leaves more than one way to share a number among the parts.

        Examples
        --------
        >>> both = Sharing([1000, 1000], [9, 9], 200, 500)
        >>> both.could_be_otherwise(5), both.could_be_otherwise(3)
        (True, False)
        """
        if not isinstance(n_groups, int | np.integer) or len(self.totals) < 2:
            return False
        fewest = sum(-(-total // self.high) for total in self.totals)
        most = sum(max(total // self.low, 1) for total in self.totals)
        return fewest <= n_groups <= most

    def divide(
        self,
        counts: Sequence[int | None],
        first: Sequence[Result],
        again: Callable[[int, int], Result],
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
            ``again(part, count)`` divides one part into another number of groups.
        outside : callable
            How many groups of a result are outside the band for want of another number.

        Returns
        -------
        list
            The results with the fewest groups outside; `first` where no others have fewer.
        """
        shares = [count for count in counts if count is not None]
        missed = [outside(result) for result in first]
        if len(shares) < max(len(counts), 2) or not any(missed):
            return list(first)
        known = {(part, count): first[part] for part, count in enumerate(shares)}
        failed = [{count} if missed[part] else set() for part, count in enumerate(shares)]
        best, least, left = list(first), sum(missed), MOST_TRIED
        while tried := self.nearest(shares, failed):
            new = [(part, count) for part, count in enumerate(tried) if (part, count) not in known]
            left -= len(new)
            if not new or left < 0:
                break
            for part, count in new:
                known[part, count] = again(part, count)
                if outside(known[part, count]):
                    failed[part].add(count)
            results = [known[part, count] for part, count in enumerate(tried)]
            if (now := sum(map(outside, results))) < least:
                best, least = results, now
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
        >>> Sharing([900, 600], [9, 9], 200, 500).nearest([3, 2], [{3}, set()])
        [2, 3]
        """
        mean = Fraction(sum(self.totals), max(sum(shares), 1))
        options = [
            [count for count in self._near(part, share) if count not in failed[part]] or [share]
            for part, share in enumerate(shares)
        ]
        moving = [part for part, share in enumerate(shares) if share not in options[part]]
        if not moving:
            return None
        others = [part for part, each in enumerate(options) if len(each) > 1 and part not in moving]
        # those first whose load per group is farthest from the mean
        others.sort(key=lambda part: (-abs(Fraction(self.totals[part], shares[part]) - mean), part))
        # cheapest choices by how many groups they are off all together, part by part
        reached: dict[int, tuple[Fraction, dict[int, int]]] = {0: (Fraction(0), {})}
        for part in (*moving, *others[:GIVERS]):
            after: dict[int, tuple[Fraction, dict[int, int]]] = {}
            for away, (cost, chosen) in reached.items():
                for count in options[part]:
                    step = count - shares[part]
                    if abs(away + step) > MOST_OFF:
                        continue
                    price = cost + abs(step) * mean + abs(self.totals[part] - count * mean) / 1000
                    if away + step not in after or price < after[away + step][0]:
                        after[away + step] = (price, {**chosen, part: count})
            reached = after
        if 0 not in reached:
            return None
        chosen = reached[0][1]
        return [chosen.get(part, share) for part, share in enumerate(shares)]

    def _near(self, part: int, share: int) -> range:
        """Numbers near its share that arithmetic allows a part."""
        fewest = max(-(-self.totals[part] // self.high), 1)
        most = min(self.totals[part] // self.low, self.sizes[part])
        return range(max(fewest, share - MOST_OFF), min(most, share + MOST_OFF) + 1)
