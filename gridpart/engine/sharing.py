"""A fixed number of groups, shared among parts that are divided each by itself.

The first shares follow the loads. Where a part cannot be divided into its share, the shares nearest
to these are tried that leave no part with a number it has failed at.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import TypeVar

import numpy as np

__all__ = [
    "ABOUT_A_SHARE",
    "could_be_shared_otherwise",
    "divide_shares",
    "other_shares",
    "share_out",
]

# reasons of groups outside the band that another number of groups might cure
ABOUT_A_SHARE = ("no_count_fits", "proven_by_search", "not_found")
MOST_OFF = 12  # groups by which all shares together may be off in between
GIVERS = 40  # parts that give or take a group where others cannot
MOST_TRIED = 30  # parts that are solved again at another number

Result = TypeVar("Result")


def share_out(
    n_groups: int | str | None,
    totals: Sequence[int],
    low: int,
    high: int,
    sizes: Sequence[int] | None = None,
) -> list[int | None]:
    """Share a fixed number of groups among parts by load.

    Every part gets one, even if these are more than were asked for; then, one at a time, the part
    with most load per group gets one more, parts above the band first, parts that could not keep
    the band with more last, and none more than it has units.

    Parameters
    ----------
    n_groups : int, str or None
        Only a number is shared out.
    totals : sequence of int
        Load of every part.
    low, high : int
        The band.
    sizes : sequence of int, optional
        Number of units of every part, which is the most groups that it can have.

    Returns
    -------
    list of int or None
        The number for every part; None for each where `n_groups` is no number.

    Examples
    --------
    >>> share_out(5, [1000, 400], 200, 500)
    [3, 2]
    """
    if not isinstance(n_groups, int | np.integer) or not totals:
        return [None] * len(totals)
    counts = [1] * len(totals)

    def turn(part: int) -> tuple[bool, bool, bool, Fraction, int]:
        """Sorts parts by who is next to get one more."""
        count, total = counts[part], totals[part]
        full = sizes is not None and count >= sizes[part]
        return full, total <= count * high, (count + 1) * low > total, Fraction(-total, count), part

    queue = [turn(part) for part in range(len(totals))]
    heapq.heapify(queue)
    for _ in range(int(n_groups) - len(totals)):
        part = queue[0][-1]
        counts[part] += 1
        heapq.heapreplace(queue, turn(part))
    return list(counts)


def could_be_shared_otherwise(
    n_groups: int | str | None, totals: Sequence[int], low: int, high: int
) -> bool:
    """Whether arithmetic leaves more than one way to share a number among parts.

    Examples
    --------
    >>> could_be_shared_otherwise(5, [1000, 1000], 200, 500)
    True
    >>> could_be_shared_otherwise(3, [1000, 1000], 200, 500)
    False
    """
    if not isinstance(n_groups, int | np.integer) or len(totals) < 2:
        return False
    fewest = sum(-(-total // high) for total in totals)
    most = sum(max(total // low, 1) for total in totals)
    return fewest <= n_groups <= most


def divide_shares(
    counts: Sequence[int | None],
    totals: Sequence[int],
    low: int,
    high: int,
    sizes: Sequence[int],
    first: Sequence[Result],
    again: Callable[[int, int], Result],
    outside: Callable[[Result], int],
) -> list[Result]:
    """Where a part failed at its share of the number, try the shares next to it.

    Parameters
    ----------
    counts : sequence of int or None
        Shares of the parts, as :func:`share_out` gives them.
    totals, low, high, sizes
        As there.
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
    while tried := other_shares(shares, failed, totals, low, high, sizes):
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


def other_shares(
    shares: Sequence[int],
    failed: Sequence[set[int]],
    totals: Sequence[int],
    low: int,
    high: int,
    sizes: Sequence[int],
) -> list[int] | None:
    """Shares with the same sum nearest to `shares` that avoid what has failed.

    A part for which arithmetic allows no other number than failed ones keeps its own.

    Parameters
    ----------
    shares : sequence of int
    failed : sequence of set of int
        Numbers at which each part has failed.
    totals, low, high, sizes
        As in :func:`share_out`.

    Returns
    -------
    list of int or None
        None where there are no others.

    Examples
    --------
    >>> other_shares([3, 2], [{3}, set()], [900, 600], 200, 500, [9, 9])
    [2, 3]
    """
    mean = Fraction(sum(totals), max(sum(shares), 1))
    options = []
    for share, without, total, size in zip(shares, failed, totals, sizes, strict=True):
        fewest, most = max(-(-total // high), 1), min(total // low, size)
        near = range(max(fewest, share - MOST_OFF), min(most, share + MOST_OFF) + 1)
        options.append([count for count in near if count not in without] or [share])
    moving = [part for part, share in enumerate(shares) if share not in options[part]]
    if not moving:
        return None
    others = [part for part in range(len(shares)) if len(options[part]) > 1 and part not in moving]

    def off(part: int) -> Fraction:
        """Load of a part beyond its share of the whole, for each of its groups."""
        return Fraction(totals[part], shares[part]) - mean

    others.sort(key=lambda part: (-abs(off(part)), part))
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
