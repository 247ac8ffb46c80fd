"""Where the search fails: the choice among all groups that could be made.

Of a graph all connected groups inside the bands are listed; then those are chosen that hold every
unit once: depth first, or by a mixed-integer program that HiGHS solves through scipy.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from gridpart.engine import kernels
from gridpart.engine.exact import EXHAUSTED_UNITS, exhausted
from gridpart.engine.kernels import Flags, Ints
from gridpart.engine.part import Bounds, Part

if TYPE_CHECKING:
    from scipy.sparse import csc_array

Floats = npt.NDArray[np.float64]

__all__ = ["cover", "fewest_groups", "listed", "of_all_groups", "priced"]

LISTED_GROUPS = 20_000  # possible groups to choose among
LISTED_STEPS = 2_000_000  # steps of the listing
CHOICES = 300_000  # steps of the choice
PROGRAM_GROUPS = 3000  # possible groups that a program is written for
NODE_LIMIT = 200
MANY_GROUPS = 10_000  # listed where only the fewest groups are asked for
MANY_STEPS = 6_000_000
BOUND_GROUPS = 2_000_000  # listed where it is only asked whether more than so many are needed
BOUND_STEPS = 60_000_000
PRICED_WHOLE = 1000  # so few are all taken into the relaxation at once, which is sooner
PRICED_GROUPS = 4000  # taken into it at first and at a time
SLACK = 1.5  # what a unit costs that is in no group yet, of what it costs in a mean one
DEAR = 1e-7  # what is worth so little more than a group is not taken in
WHOLE_GROUPS = 3_000  # for so many the program is solved, for more only its relaxation
FEW_CHOICES = 5_000


def listed(piece: Part, bounds: Bounds, most: int, steps: int) -> tuple[Ints, Ints, Ints]:
    """All connected groups inside the bands; see :func:`.kernels.possible_groups`."""
    groups: tuple[Ints, Ints, Ints] = kernels.possible_groups(
        piece.indptr, piece.indices, piece.borders, piece.loads, bounds.low, bounds.high,
        piece.extra, bounds.extra_low, bounds.extra_high, piece.reach, bounds.widest, most, steps,
    )  # fmt: skip
    return groups


def of_all_groups(
    piece: Part,
    bounds: Bounds,
    wanted: int,
    *,
    count_is_fixed: bool,
    by: Literal["choice", "program"] = "choice",
) -> Ints | None:
    """Choose among all groups that could be made.

    Parameters
    ----------
    piece : Part
    bounds : Bounds
    wanted : int
        Number of groups; where it is not fixed, what few units are divided into if possible.
    count_is_fixed : bool
    by : {"choice", "program"}
        Depth first, which takes a moment; or by a program, where that took too long.

    Returns
    -------
    ndarray of int64 or None
        Labels of a division, of very few units the one with the shortest borders; empty where
        there is none, which is a proof; None where this would take too long to tell.
    """
    if len(piece) <= EXHAUSTED_UNITS:
        return exhausted(piece, bounds, wanted, count_is_fixed=count_is_fixed)
    starts, units, inside = listed(piece, bounds, LISTED_GROUPS, LISTED_STEPS)
    if starts.size == 0:
        return None
    count = wanted if count_is_fixed else 0
    chosen: Ints | None = None
    if by == "choice":
        first, verdict = kernels.choose_groups(starts, units, len(piece), count, CHOICES)
        chosen = first if verdict >= 0 else None
    elif starts.size - 1 <= PROGRAM_GROUPS:
        chosen = _programmed(starts, units, inside, len(piece), count)
    return None if chosen is None else _labels(chosen, starts, units, len(piece))


def _labels(chosen: Ints, starts: Ints, units: Ints, n: int) -> Ints:
    """Which of the chosen groups each unit is in; empty where none were chosen."""
    labels = np.full(n if chosen.size else 0, -1, np.int64)
    for number, group in enumerate(chosen):
        labels[units[starts[group] : starts[group + 1]]] = number
    return labels


def cover(starts: Ints, units: Ints, n: int) -> csc_array:
    """Which units each group has: a row per unit, a column per group."""
    # imported where it is needed: it takes longer to load than the whole engine
    from scipy.sparse import csc_array

    # HiGHS of older releases of scipy takes no other indices
    at, ends = units.astype(np.int32), starts.astype(np.int32)
    return csc_array((np.ones(units.size), at, ends), shape=(n, starts.size - 1))


def _programmed(starts: Ints, units: Ints, inside: Ints, n: int, count: int) -> Ints | None:
    """Choose groups by a mixed-integer program; none where that is impossible, None if too hard."""
    # imported where it is needed: it takes longer to load than the whole engine
    from scipy.optimize import Bounds as Range
    from scipy.optimize import LinearConstraint, milp

    groups = starts.size - 1
    once = [LinearConstraint(cover(starts, units, n), 1, 1)]
    if count:
        once.append(LinearConstraint(np.ones((1, groups)), count, count))
    solved = milp(
        -inside / max(float(inside.max()), 1.0), constraints=once,
        integrality=np.ones(groups), bounds=Range(0, 1),
        # presolve leads HiGHS to print a line now and then
        options={"node_limit": NODE_LIMIT, "presolve": False},
    )  # fmt: skip
    if solved.status == 2:
        return np.zeros(0, np.int64)
    if solved.x is None:
        return None
    chosen: Ints = np.flatnonzero(solved.x > 0.5)
    return chosen


def fewest_groups(
    piece: Part, bounds: Bounds, *, by: str = "program", enough: int | None = None
) -> tuple[Ints, int]:
    """Into how few groups a piece can be divided, among all groups that could be made.

    Parameters
    ----------
    piece : Part
    bounds : Bounds
    by : {"bound", "choice", "program"}
        How far to go: the bound alone, which is quick; a choice of just so many groups; the whole
        program.
    enough : int, optional
        The bound need only tell whether more than so many groups are needed. It is then taken from
        many more groups that could be made.

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
    from scipy.optimize import LinearConstraint, milp

    most, steps = (MANY_GROUPS, MANY_STEPS) if enough is None else (BOUND_GROUPS, BOUND_STEPS)
    starts, units, _ = listed(piece, bounds, most, steps)
    nothing = np.zeros(0, np.int64)
    groups = starts.size - 1
    if groups < 1:
        return nothing, 0
    if not np.bincount(units, minlength=len(piece)).all():  # some unit is in no group
        return nothing, len(piece) + 1
    at_least = int(np.ceil(_relaxed(starts, units, piece.loads, enough) - 1e-6))
    if by == "bound" or groups > MANY_GROUPS:
        return nothing, at_least
    # mostly there is a division into just so many
    chosen, _ = kernels.choose_groups(starts, units, len(piece), at_least, FEW_CHOICES)
    if by == "program" and not chosen.size and groups <= WHOLE_GROUPS:
        # presolve takes as long as it saves here, and leads HiGHS to print a line now and then
        program = milp(
            np.ones(groups),
            constraints=LinearConstraint(cover(starts, units, len(piece)), 1, 1),
            bounds=Range(0, 1), integrality=np.ones(groups),
            options={"node_limit": NODE_LIMIT, "mip_rel_gap": 0.0, "presolve": False},
        )  # fmt: skip
        if program.mip_dual_bound is not None:
            at_least = max(at_least, int(np.ceil(program.mip_dual_bound - 1e-6)))
        if program.x is not None:
            chosen = np.flatnonzero(program.x > 0.5)
    return _labels(chosen, starts, units, len(piece)), at_least


def _relaxed(starts: Ints, units: Ints, loads: Ints, enough: int | None) -> float:
    """So many groups are needed at least where units may be in parts of several.

    The prices of units, scaled until no group is worth more than 1, prove a bound at every step
    (Farley, 1990), so that nothing rests on the solver's word.
    """
    n, groups = loads.size, starts.size - 1
    load = np.add.reduceat(loads[units], starts[:-1])
    # a unit that is in none of the groups taken in has a column of its own, which costs more than
    # its share of a group that is taken in
    weight = np.maximum(loads, 1)
    share = np.ones(n) if enough is None else SLACK * max(enough, 1) * weight / weight.sum()
    cost = np.append(np.ones(groups), np.minimum(share, 1))
    units = np.append(units, np.arange(n))
    rules = cover(np.append(starts, np.arange(units.size - n + 1, units.size + 1)), units, n)
    taken = np.arange(groups + n) >= groups
    if groups <= PRICED_WHOLE:
        taken[:] = True
    else:  # heavy ones from everywhere: they are listed by their first unit
        heavy = np.flatnonzero(load >= np.quantile(load, 0.8))
        taken[heavy[:: heavy.size // PRICED_GROUPS + 1]] = True
    bound = 0.0
    method = "highs-ds" if enough is None else "highs-ipm"  # of long lists, ten times as fast
    for value, prices, reduced in priced(rules, cost, np.ones(n), taken, PRICED_GROUPS, method):
        bound = max(bound, float(prices.sum() / (1 - reduced[:groups].min())))
        if enough is not None and (bound > enough + DEAR or value <= enough + DEAR):
            break
    return bound


def priced(
    rules: csc_array, cost: Floats, need: Floats, taken: Flags, more: int, method: str = "highs-ds"
) -> Iterator[tuple[float, Floats, Floats]]:
    """Solve a relaxation over few columns, and take in more by what they would save.

    Column generation (Gilmore and Gomory, 1961), from a list of all columns. `taken` says which are
    in, and is changed; `method` is that of :func:`scipy.optimize.linprog`. Yields after each
    solution its value, the prices of the rows, and what each column costs beyond the prices of its
    rows; ends where none would save anything.
    """
    from scipy.optimize import linprog

    while True:
        columns = np.flatnonzero(taken)
        solved = linprog(cost[columns], A_eq=rules[:, columns], b_eq=need, method=method)
        if solved.status:
            return
        prices = solved.eqlin.marginals
        reduced = cost - rules.T @ prices
        yield float(solved.fun), prices, reduced
        worth = np.flatnonzero(~taken & (reduced < -DEAR))
        if not worth.size:
            return
        taken[worth[np.argsort(reduced[worth], kind="stable")[:more]]] = True
