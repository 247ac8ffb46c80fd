"""Exceptions of a plan after a hand edit: what still stands, what is proven, what was forced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gridpart.plan import EXCEPTION_COLUMNS, main_parent
from gridpart.redraw.checks import BROKEN, STILL, Effect, Touched, decreed

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["BY_HAND", "exceptions_after"]

BY_HAND = "by_hand"
BOUNDED = ("band", "bounds", "max_diameter_m")


def exceptions_after(touched: Touched, effects: Sequence[Effect], reason: str) -> pd.DataFrame:
    """The exceptions of the plan after an edit.

    Parameters
    ----------
    touched : Touched
    effects : sequence of Effect
        What :func:`check_edit` found.
    reason : str
        Why it was done; it stands beside what breaks a rule.

    Returns
    -------
    DataFrame
        Rows of grids that the edit does not touch are as they were. Of the others each that is
        outside its bounds, or in several parts, has a row: with its proven reason if that can be
        seen from the grid alone, else ``by_hand``.
    """
    table = touched.plan.exceptions
    concerned = (table["level"] == "grid") & table["grid"].isin({*touched.before, *touched.after})
    rows = [row for grid in touched.grids for row in _rows(touched, effects, grid, reason)]
    if not rows and not concerned.any():
        return table
    fresh = pd.DataFrame(rows, columns=list(EXCEPTION_COLUMNS))
    others = table[~concerned]
    both = pd.concat([others, fresh], ignore_index=True) if len(others) and rows else (
        fresh if rows else others.reset_index(drop=True)
    )  # fmt: skip
    both = both.astype({"households": "int64", "missed": "int64", "proven": bool})
    return both.sort_values(["level", "grid", "reason"], ignore_index=True, kind="stable")


def _rows(
    touched: Touched, effects: Sequence[Effect], grid: str, reason: str
) -> list[tuple[Any, ...]]:
    own = np.flatnonzero(touched.after == grid)
    load, low, high = int(touched.loads[own].sum()), touched.rules.low, touched.rules.high
    missed = max(low - load, load - high, 0)
    concerning = [effect for effect in effects if grid in effect.grid.split(", ")]
    broken = [effect.text for effect in concerning if effect.verdict == BROKEN]
    parent = main_parent(touched.units.iloc[own], touched.rules)
    within = None if parent is None else str(parent)

    def row(why: str, miss: int, proven: bool, units: str, advice: str) -> tuple[Any, ...]:
        return ("grid", grid, within, load, miss, why, proven, units, "", "", advice)

    rows = []
    held = decreed(touched, grid)
    if missed and held:
        told = (
            "an exclusive grid: the band does not apply"
            if held == "exclusive"
            else f"locked as it is: {load} households, {_miss(load, low, high)}"
        )
        own_miss = 0 if held == "exclusive" else missed
        rows.append(row(held, own_miss, True, touched.called(own), told))
    elif missed and (proof := _proof(touched, own, load)):
        why, told = proof
        rows.append(row(why, missed, True, touched.called(own), told))
    elif missed:
        broken = broken or [f"{load} households, {_miss(load, low, high)}"]
    still = [e.text for e in concerning if e.verdict == STILL and e.rule in BOUNDED[1:]]
    parted = [e for e in concerning if e.rule in ("connectivity", "barriers")]
    parts_broken = any(effect.verdict == BROKEN for effect in parted)
    in_parts = any(effect.verdict == STILL for effect in parted)
    if in_parts and not parts_broken:
        rows += _attached(touched, grid, row)
    if broken or still:
        told = "accepted by hand" + (f": {reason}" if reason else "")
        unproven = missed if not rows else 0
        rows.append(row(BY_HAND, unproven, False, "", "; ".join([told, *broken, *still])))
    return rows


def _miss(load: int, low: int, high: int) -> str:
    return f"{low - load} fewer than {low}" if load < low else f"{load - high} more than {high}"


def _proof(touched: Touched, own: NDArray[np.int64], load: int) -> tuple[str, str] | None:
    """Reason for being outside the band that the grid itself proves, with a sentence."""
    rules = touched.rules
    loads = touched.loads[own]
    if load > rules.high and (loads > 0).sum() == 1:
        miss = _miss(load, rules.low, rules.high)
        return "unit_above_band", (
            f"one unit holds {load} households, {miss}; staff it by its size, or divide the unit"
        )
    if load < rules.low and load > 0 and not _has_neighbour(touched, own):
        miss = _miss(load, rules.low, rules.high)
        return "component_below_band", (
            f"a part of the community that nothing connects holds {load} households, {miss}; open "
            "a crossing, attach it, or accept it as a small grid"
        )
    return None


def _has_neighbour(touched: Touched, own: NDArray[np.int64]) -> bool:
    """Whether a unit of the same community, outside the grid, borders on it."""
    graph, plan = touched.plan.contiguity, touched.plan
    rows = touched.rows[own]
    inside = np.zeros(graph.n, bool)
    inside[rows] = True
    parent = None if plan.rules.parent is None else plan.units[plan.rules.parent].to_numpy(object)
    for u in rows:
        at = slice(graph.indptr[u], graph.indptr[u + 1])
        near = graph.indices[at]
        if graph.closed is not None:
            near = near[~graph.closed[at]]
        near = near[~inside[near]]
        if parent is not None:
            near = near[parent[near] == parent[u]]
        if near.size:
            return True
    return False


def _attached(touched: Touched, grid: str, row: Any) -> list[tuple[Any, ...]]:
    """A grid that was in several parts before, and still is."""
    parts = touched.parts(touched.after, across=False)[grid]
    if len(parts) < 2:
        return []
    guests = touched.called(np.concatenate(parts[1:]))
    advice = (
        f"{guests}: cut off, attached to the nearest grid of the community, which has several "
        "parts now; accept, or connect by a crossing"
    )
    return [row("enclave_attached", 0, True, guests, advice)]
