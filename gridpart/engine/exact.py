"""Where the search fails: divisions that are found, or excluded, by exact methods.

Three of them, from the widest reach to the strongest proof: dynamic programming on random spanning
trees of a region (a proof only where the graph is a tree), the choice among all groups that could
be made (depth first; then, where that gives up, a mixed-integer program solved by HiGHS through
scipy), and dynamic programming over all subsets of very few units.
"""

from __future__ import annotations

import numpy as np

from gridpart.engine import kernels
from gridpart.engine.kernels import Bits, Ints
from gridpart.engine.part import Bounds, Part

__all__ = [
    "EXHAUSTED_UNITS",
    "along_trees",
    "fewest_groups",
    "is_possible",
    "is_tree",
    "of_all_groups",
    "whole_tree",
]

EXHAUSTED_UNITS = 14  # every subset of so many units can be looked at
TREE_BITS = 1 << 27  # units times loads in the table of one tree
TREE_WORK = 1 << 31  # units times loads squared / 64 spent on the trees of one region
TREE_WIDTHS = (2, 3, 4, 6, 8, 12, 16, 30, 60)  # groups merged around a violation
MOST_TREES = 400  # tried for a region
TREES_WITH_BOUNDS = 8
MOST_REGIONS = 400
MOST_VIOLATIONS = 200  # more are hopeless, and would take long
LISTED_GROUPS = 20_000  # possible groups to choose among
LISTED_STEPS = 2_000_000  # steps of the listing
CHOICES = 300_000  # steps of the choice
PROGRAM_GROUPS = 3000  # possible groups that a program is written for
NODE_LIMIT = 200
MANY_GROUPS = 10_000  # listed where only the fewest groups are asked for
MANY_STEPS = 6_000_000
WHOLE_GROUPS = 3_000  # for so many the program is solved, for more only its relaxation
FEW_CHOICES = 5_000


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
        load, extra = piece.sums(labels, n_groups, bounds)
        outside = _outside(load, extra, bounds)
        if not outside.size:
            return labels, n_groups
        for groups in _regions(piece, labels, n_groups, int(outside[0]), state):
            regions += 1
            if regions > MOST_REGIONS:
                return None
            divided = _along_trees(piece, labels, groups, bounds, state, count is not None)
            if divided is not None:
                labels, n_groups = divided
                break
        else:
            return None
    return None


def _outside(load: Ints, extra: Ints, bounds: Bounds) -> Ints:
    wrong = (load < bounds.low) | (load > bounds.high)
    wrong |= np.any((extra < bounds.extra_low) | (extra > bounds.extra_high), axis=1)
    return np.flatnonzero(wrong)


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
    piece: Part, labels: Ints, groups: Ints, bounds: Bounds, state: Bits, count_is_fixed: bool
) -> tuple[Ints, int] | None:
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
            tries, groups.size if count_is_fixed else 0, state, found,
        )  # fmt: skip
        if not made:
            return None
        merged = labels.copy()
        names = np.append(groups, np.arange(made) + labels.max() + 1)
        merged[members] = names[found]
        numbers, merged = np.unique(merged, return_inverse=True)
        merged = merged.reshape(-1).astype(np.int64)
        if piece.outside(merged, numbers.size, bounds) < before:
            return merged, numbers.size
    return None


def of_all_groups(piece: Part, bounds: Bounds, wanted: int, *, count_is_fixed: bool) -> Ints | None:
    """Choose among all groups that could be made.

    Parameters
    ----------
    piece : Part
    bounds : Bounds
    wanted : int
        Number of groups; where it is not fixed, what few units are divided into if possible.
    count_is_fixed : bool

    Returns
    -------
    ndarray of int64 or None
        Labels of a division, of very few units the one with the shortest borders; empty where
        there is none, which is a proof; None where this would take too long to tell.
    """
    if len(piece) <= EXHAUSTED_UNITS:
        return _exhausted(piece, bounds, wanted, count_is_fixed=count_is_fixed)
    starts, units, inside = kernels.possible_groups(
        piece.indptr, piece.indices, piece.borders, piece.loads, bounds.low, bounds.high,
        piece.extra, bounds.extra_low, bounds.extra_high, piece.reach, bounds.widest,
        LISTED_GROUPS, LISTED_STEPS,
    )  # fmt: skip
    if starts.size == 0:
        return None
    groups = starts.size - 1
    chosen, verdict = kernels.choose_groups(
        starts, units, len(piece), wanted if count_is_fixed else 0, CHOICES
    )
    if verdict < 0:
        if groups > PROGRAM_GROUPS:
            return None
        program = _programmed(starts, units, inside, len(piece), wanted * count_is_fixed)
        if program is None:
            return None
        chosen = program
    labels = np.full(len(piece), -1, np.int64)
    for number, group in enumerate(chosen):
        labels[units[starts[group] : starts[group + 1]]] = number
    return labels if chosen.size else np.zeros(0, np.int64)


def _programmed(starts: Ints, units: Ints, inside: Ints, n: int, count: int) -> Ints | None:
    """Choose groups by a mixed-integer program; none where that is impossible, None if too hard."""
    # imported where it is needed: it takes longer to load than the whole engine
    from scipy.optimize import Bounds as Range
    from scipy.optimize import LinearConstraint, milp
    from scipy.sparse import csc_array, vstack

    groups = starts.size - 1
    rows, sides = csc_array((np.ones(units.size), units, starts), shape=(n, groups)), np.ones(n)
    if count:
        rows = vstack([rows, csc_array(np.ones((1, groups)))])
        sides = np.append(sides, count)
    solved = milp(
        -inside / max(float(inside.max()), 1.0), constraints=LinearConstraint(rows, sides, sides),
        integrality=np.ones(groups), bounds=Range(0, 1), options={"node_limit": NODE_LIMIT},
    )  # fmt: skip
    if solved.status == 2:
        return np.zeros(0, np.int64)
    if solved.x is None:
        return None
    chosen: Ints = np.flatnonzero(solved.x > 0.5)
    return chosen


def fewest_groups(piece: Part, bounds: Bounds, *, by: str = "program") -> tuple[Ints, int]:
    """Into how few groups a piece can be divided, among all groups that could be made.

    Parameters
    ----------
    piece : Part
    bounds : Bounds
    by : {"bound", "choice", "program"}
        How far to go: the bound alone, which is quick; a choice of just so many groups; the whole
        program.

    Returns
    -------
    labels : ndarray of int64
        Groups that are as few as was found; empty where nothing was, or there are too many groups
        to choose among.
    at_least : int
        Fewer groups are proven to be impossible; 0 where nothing is proven.

    Notes
    -----
    Covering every unit once by groups that could be made: the linear relaxation says how many it
    takes at least, and mostly a search finds so many; else the whole program is solved, unless
    there are more than some thousand groups.
    """
    from scipy.optimize import Bounds as Range
    from scipy.optimize import LinearConstraint, OptimizeResult, milp
    from scipy.sparse import csc_array

    starts, units, _ = kernels.possible_groups(
        piece.indptr, piece.indices, piece.borders, piece.loads, bounds.low, bounds.high,
        piece.extra, bounds.extra_low, bounds.extra_high, piece.reach, bounds.widest,
        MANY_GROUPS, MANY_STEPS,
    )  # fmt: skip
    nothing = np.zeros(0, np.int64)
    groups = starts.size - 1
    if groups < 1:
        return nothing, 0
    if not np.bincount(units, minlength=len(piece)).all():  # some unit is in no group
        return nothing, len(piece) + 1
    # HiGHS of older releases of scipy takes no other indices
    at, ends = units.astype(np.int32), starts.astype(np.int32)
    once = csc_array((np.ones(units.size), at, ends), shape=(len(piece), groups))

    def solved(whole: int) -> OptimizeResult:
        # presolve takes as long as it saves here, and leads HiGHS to print a line now and then
        return milp(
            np.ones(groups), constraints=LinearConstraint(once, 1, 1), bounds=Range(0, 1),
            integrality=np.full(groups, whole),
            options={"node_limit": NODE_LIMIT, "mip_rel_gap": 0.0, "presolve": False},
        )  # fmt: skip

    relaxed = solved(0)
    if relaxed.x is None:
        return nothing, 0
    at_least = int(np.ceil(relaxed.fun - 1e-6))
    if by == "bound":
        return nothing, at_least
    # mostly there is a division into just so many
    chosen, _ = kernels.choose_groups(starts, units, len(piece), at_least, FEW_CHOICES)
    if by == "program" and not chosen.size and groups <= WHOLE_GROUPS:
        program = solved(1)
        if program.mip_dual_bound is not None:
            at_least = max(at_least, int(np.ceil(program.mip_dual_bound - 1e-6)))
        if program.x is not None:
            chosen = np.flatnonzero(program.x > 0.5)
    labels = np.full(len(piece) if chosen.size else 0, -1, np.int64)
    for number, group in enumerate(chosen):
        labels[units[starts[group] : starts[group + 1]]] = number
    return labels, at_least


def _exhausted(piece: Part, bounds: Bounds, wanted: int, *, count_is_fixed: bool) -> Ints:
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
    return bool(_exhausted(piece, bounds, wanted, count_is_fixed=count is not None).size)
