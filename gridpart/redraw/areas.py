"""Areas below the grids after an edit: each lies in one grid, also where that was forced apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridpart.plan import EXCEPTION_COLUMNS, Plan
from gridpart.redraw.leftovers import BY_HAND
from gridpart.redraw.serials import Serials

if TYPE_CHECKING:
    import geopandas as gpd

    Ints = npt.NDArray[np.int64]

__all__ = ["Division", "divide_areas", "exceptions_below"]


@dataclass(frozen=True)
class Division:
    """An area that was forced apart: what keeps its name, and the other parts."""

    level: str
    area: str
    parts: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.level} {self.area} is divided into {', '.join((self.area, *self.parts))}"


def divide_areas(
    plan: Plan, units: gpd.GeoDataFrame, rows: Ints, serials: Serials
) -> list[Division]:
    """Give the parts of areas that are forced into several grids names of their own.

    Parameters
    ----------
    plan : Plan
        Before the edit.
    units : GeoDataFrame
        With the grids after it; columns of the levels are replaced.
    rows : ndarray of int64
        Positions of the units of all grids that are touched.
    serials : Serials

    Returns
    -------
    list of Division
        The part with most households keeps the name; of equal ones that which stays where it was.
    """
    divisions = []
    higher = "grid"
    for level in plan.rules.lower_levels:
        at = np.flatnonzero(units[level].isin(set(units[level].iloc[rows])))
        own, before = units.iloc[at], plan.units[higher].to_numpy(object)[at]
        table = pd.DataFrame({
            "area": own[level].astype(object), "parent": own[higher].astype(object),
            "load": own[plan.rules.households],
            "stays": own[higher].to_numpy(object) == before,
        })  # fmt: skip
        sums = table.groupby(["area", "parent"], sort=True)[["load", "stays"]].sum().reset_index()
        names = units[level].astype(object).copy()
        for area, parts in sums.groupby("area"):
            if len(parts) == 1:
                continue
            order = parts.sort_values(
                ["load", "stays", "parent"], ascending=[False, False, True], kind="stable"
            )
            fresh = {parent: serials.new_name(str(parent)) for parent in order["parent"].iloc[1:]}
            inside = (names == area) & units[higher].isin(list(fresh))
            names[inside] = units.loc[inside, higher].map(fresh)
            divisions.append(Division(level, str(area), tuple(fresh.values())))
        if divisions:
            units[level] = names.astype(plan.units[level].dtype)
        higher = level
    return divisions


def exceptions_below(
    plan: Plan,
    units: gpd.GeoDataFrame,
    table: pd.DataFrame,
    divisions: list[Division],
    reason: str,
) -> pd.DataFrame:
    """The exceptions with those of the levels below the grids as they are after an edit.

    Parameters
    ----------
    plan : Plan
        Before the edit.
    units : GeoDataFrame
        After it.
    table : DataFrame
        Exceptions, those of the grids up to date.
    divisions : list of Division
    reason : str
        Why it was done.

    Returns
    -------
    DataFrame
        Areas are told to be where they are now; parts outside their bounds are there by hand.
    """
    higher = "grid"
    rows = []
    within = table["within"].copy()
    gone = pd.Series(False, index=table.index)
    for level in plan.rules.lower_levels:
        of_level = table["level"] == level
        if of_level.any():
            lies_in = units.drop_duplicates(level).set_index(level)[higher].to_dict()
            within[of_level] = table.loc[of_level, "grid"].map(lies_in).astype(object)
        own = [division for division in divisions if division.level == level]
        names = [name for division in own for name in (division.area, *division.parts)]
        gone |= of_level & table["grid"].isin(names)
        for division in own:
            for name in (division.area, *division.parts):
                row = _row(plan, units, level, name, higher, f"{division}", reason)
                rows += [row] if row else []
        higher = level
    if not rows and not gone.any() and within.equals(table["within"]):
        return table
    kept = table.assign(within=within)[~gone]
    fresh = pd.DataFrame(rows, columns=list(EXCEPTION_COLUMNS))
    parts = [part for part in (kept, fresh) if len(part)] or [kept]
    both = pd.concat(parts, ignore_index=True)
    both = both.astype({"households": "int64", "missed": "int64", "proven": bool})
    return both.sort_values(["level", "grid", "reason"], ignore_index=True, kind="stable")


def _row(
    plan: Plan,
    units: gpd.GeoDataFrame,
    level: str,
    name: str,
    higher: str,
    told: str,
    reason: str,
) -> tuple[Any, ...] | None:
    """Exception of a part of an area; None if it is within its bounds."""
    own = units[(units[level] == name).to_numpy()]
    load = int(own[plan.rules.households].sum())
    levels: Mapping[str, tuple[int, int]] = plan.rules.levels or {}
    low, high = levels[level]
    missed = max(low - load, load - high, 0)
    if not missed or plan._is_exclusive(own).all():
        return None
    why = f"; {reason}" if reason else ""
    advice = f"accepted by hand: {told}{why}"
    within = str(own[higher].iloc[0])
    return (level, name, within, load, missed, BY_HAND, False, "", "", "", advice)
