"""Where the search fails: the choice among all groups that could be made.

Of a graph, or of a region of one, all connected groups inside the bands are listed; then those are
chosen that hold every unit once: depth first, or by a mixed-integer program that HiGHS solves
through scipy.
"""

from __future__ import annotations

import numpy as np

from gridpart.engine import kernels
from gridpart.engine.exact import EXHAUSTED_UNITS, exhausted
from gridpart.engine.kernels import Ints
from gridpart.engine.part import Bounds, Part

__all__ = ["fewest_groups", "of_all_groups"]

LISTED_GROUPS = 20_000  # possible groups to choose among
LISTED_STEPS = 2_000_000  # steps of the listing
CHOICES = 300_000  # steps of the choice
PROGRAM_GROUPS = 3000  # possible groups that a program is written for
NODE_LIMIT = 200
MANY_GROUPS = 10_000  # listed where only the fewest groups are asked for
MANY_STEPS = 6_000_000
WHOLE_GROUPS = 3_000  # for so many the program is solved, for more only its relaxation
FEW_CHOICES = 5_000


def _listed(piece: Part, bounds: Bounds, most: int, steps: int) -> tuple[Ints, Ints, Ints]:
    """All connected groups inside the bands; see :func:`gridpart.engine.kernels.possible_groups`."""
    listed: tuple[Ints, Ints, Ints] = kernels.possible_groups(
        piece.indptr, piece.indices, piece.borders, piece.loads, bounds.low, bounds.high,
        piece.extra, bounds.extra_low, bounds.extra_high, piece.reach, bounds.widest, most, steps,
    )  # fmt: skip
    return listed


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
        return exhausted(piece, bounds, wanted, count_is_fixed=count_is_fixed)
    starts, units, inside = _listed(piece, bounds, LISTED_GROUPS, LISTED_STEPS)
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

    starts, units, _ = _listed(piece, bounds, MANY_GROUPS, MANY_STEPS)
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
