"""Where the search fails: divisions that are found, or excluded, by dynamic programming.

On random spanning trees of a region (a proof only where the graph is a tree), and over all subsets
of very few units.
"""

from __future__ import annotations

import numpy as np

from gridpart.engine import kernels
from gridpart.engine.kernels import Bits, Ints
from gridpart.engine.part import Bounds, Part

__all__ = [
    "EXHAUSTED_UNITS",
    "along_trees",
    "exhausted",
    "is_possible",
    "is_tree",
    "whole_tree",
    "with_count",
]

EXHAUSTED_UNITS = 14  # every subset of so many units can be looked at
TREE_BITS = 1 << 27  # units times loads in the table of one tree
TREE_WORK = 1 << 31  # units times loads squared / 64 spent on the trees of one region
TREE_WIDTHS = (2, 3, 4, 6, 8, 12, 16, 30, 60)  # groups merged around a violation
MOST_TREES = 400  # tried for a region
TREES_WITH_BOUNDS = 8
MOST_REGIONS = 400
MOST_MISFITS = 40  # regions that do not go into one group more or fewer
MOST_VIOLATIONS = 200  # more are hopeless, and would take long


def is_tree(piece: Part) -> bool:
    """Whether a connected piece has no cycle."""
    return piece.indices.size == 2 * (len(piece) - 1)


def whole_tree(piece: Part, bounds: Bounds, seed: Bits) -> bool | None:
    """Whether a tree can be divided inside the band; None where it is too large to tell."""
    if len(piece) * (bounds.high + 1) > TREE_BITS:
        return None
    everything = np.arange(len(piece))
    groups = kernels.divide_tree(
        piece.indptr, piece.indices, everything, everything, piece.loads, bounds.low, bounds.high,
        1, 0, seed.copy(), np.empty(len(piece), np.int64),
    )  # fmt: skip
    return bool(groups)


def along_trees(
    piece: Part,
    labels: Ints,
    n_groups: int,
    bounds: Bounds,
    seed: Bits,
    *,
    count: int | None = None,
) -> tuple[Ints, int] | None:
    """Divide ever larger regions around the violations along spanning trees, exactly.

    Parameters
    ----------
    piece : Part
    labels : ndarray of int64, shape (n,)
        Groups, some outside the band; not changed.
    n_groups : int
    bounds : Bounds
    seed : ndarray of uint64, shape (1,)
    count : int, optional
        Number of groups, if it is fixed.

    Returns
    -------
    tuple of (ndarray of int64, int) or None
        Labels and number of groups, all in the band; None where a violation is left.
    """
    state, labels = seed.copy(), labels.copy()
    regions = 0
    for _ in range(MOST_VIOLATIONS):
        outside = piece.which_outside(labels, n_groups, bounds)
        if not outside.size:
            return labels, n_groups
        for groups in _regions(piece, labels, n_groups, int(outside[0]), state):
            regions += 1
            if regions > MOST_REGIONS:
                return None
            wanted = 0 if count is None else groups.size
            divided = _along_trees(piece, labels, groups, bounds, state, wanted)
            if divided is not None:
                labels, n_groups = divided
                break
        else:
            return None
    return None


def with_count(
    piece: Part, labels: Ints, n_groups: int, count: int, bounds: Bounds, seed: Bits
) -> Ints | None:
    """As many groups as asked for, from another number that are all in the band.

    Regions are divided along trees into one group more or fewer, one after another.

    Parameters
    ----------
    piece : Part
    labels : ndarray of int64, shape (n,)
        Groups in the band; not changed.
    n_groups, count : int
        Their number, and that asked for.
    bounds : Bounds
    seed : ndarray of uint64, shape (1,)

    Returns
    -------
    ndarray of int64 or None
        None where no region can be divided so.
    """
    state, labels, failed = seed.copy(), labels.copy(), 0
    while n_groups != count:
        if failed > MOST_MISFITS:
            return None
        step = 1 if count > n_groups else -1
        load, _ = piece.sums(labels, n_groups, bounds)
        group = int(kernels.draw_below(state, n_groups))
        for groups in _regions(piece, labels, n_groups, group, state):
            wanted = int(groups.size) + step
            if not wanted * bounds.low <= load[groups].sum() <= wanted * bounds.high:
                continue
            divided = _along_trees(piece, labels, groups, bounds, state, wanted)
            if divided is not None:
                labels, n_groups = divided
                break
            failed += 1
        else:
            failed += 1
    return labels


def _regions(piece: Part, labels: Ints, n_groups: int, group: int, state: Bits) -> list[Ints]:
    """Groups of regions around a group, small ones first."""
    first, following, _ = kernels.chains(labels, n_groups)
    taken = np.zeros(n_groups, np.bool_)
    regions = []
    for width in TREE_WIDTHS:
        chosen = np.empty(width + 1, np.int64)
        size = kernels.gather(
            piece.indptr, piece.indices, labels, following, first, group, min(width, n_groups),
            state, chosen, taken,
        )  # fmt: skip
        regions.append(chosen[:size])
        if size == n_groups:
            break
    return regions


def _along_trees(
    piece: Part, labels: Ints, groups: Ints, bounds: Bounds, state: Bits, wanted: int
) -> tuple[Ints, int] | None:
    """The region of some groups divided anew, into `wanted` or (0) any number.

    Where groups are outside fewer must be by then, else none.
    """
    members = np.flatnonzero(np.isin(labels, groups))
    if members.size * (bounds.high + 1) > TREE_BITS:
        return None
    place = np.full(len(piece), -1, np.int64)
    place[members] = np.arange(members.size)
    loads = piece.loads[members]
    found = np.empty(members.size, np.int64)
    work = members.size * ((bounds.high + 1) ** 2 // 64 + 50)
    tries = max(min(TREE_WORK // work // groups.size, MOST_TREES), 1)
    before = piece.outside(labels, int(labels.max()) + 1, bounds)
    # trees that break another bound are drawn again, a few times
    for _ in range(TREES_WITH_BOUNDS if bounds.extra_low.size else 1):
        made = kernels.divide_tree(
            piece.indptr, piece.indices, members, place, loads, bounds.low, bounds.high,
            tries, wanted, state, found,
        )  # fmt: skip
        if not made:
            return None
        merged = labels.copy()
        names = np.append(groups, np.arange(made) + labels.max() + 1)
        merged[members] = names[found]
        numbers, merged = np.unique(merged, return_inverse=True)
        merged = merged.reshape(-1).astype(np.int64)
        if piece.outside(merged, numbers.size, bounds) < max(before, 1):
            return merged, numbers.size
    return None


def exhausted(piece: Part, bounds: Bounds, wanted: int, *, count_is_fixed: bool) -> Ints:
    """The division of very few units with the shortest borders; empty where there is none."""
    most = wanted if count_is_fixed else min(piece.total // bounds.low, len(piece))
    labels, count = kernels.best_division(
        piece.indptr, piece.indices, piece.borders, piece.loads, bounds.low, bounds.high,
        piece.extra, bounds.extra_low, bounds.extra_high, piece.reach, bounds.widest,
        piece.work, 0, max(most, 1), wanted,
    )  # fmt: skip
    if count_is_fixed and count != wanted:
        return np.zeros(0, np.int64)
    found: Ints = labels
    return found


def is_possible(piece: Part, bounds: Bounds, count: int | None) -> bool:
    """Whether a very small piece can be divided inside all bands."""
    wanted = 1 if count is None else count
    return bool(exhausted(piece, bounds, wanted, count_is_fixed=count is not None).size)
