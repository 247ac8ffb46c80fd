"""Units as they are now, matched to those of a plan: by id, else by the ground they stand on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely

from gridpart.plan import Plan

if TYPE_CHECKING:
    import geopandas as gpd

__all__ = ["Matched", "in_words", "match_units"]

Objects = npt.NDArray[np.object_]
# Part of a unit's ground that one old grid must have had for the unit to come from it.
MOSTLY = 0.5


@dataclass(frozen=True, eq=False)
class Matched:
    """Where the units of today come from.

    Parameters
    ----------
    home : Series of length n
        Old grid of every unit, on the index of the new units; missing where it has none.
    how : Series of length n
        ``id`` (same id), ``ground`` (another id on the ground of an old grid) or ``new``.
    households : Series of length n
        That each unit had: those of today where its id is new.
    recounted : Series of length n
        Whether a unit with the same id has other households.
    vanished : list
        Ids of old units that are no more, and that no others have replaced.
    areas : dict of str to Series
        Old area of every unit at the plan's other levels, by level.
    replaced : list
        Ids of old units that are no more because they were parcelled anew: units matched by
        ground stand on at least half of each.
    """

    home: pd.Series
    how: pd.Series
    households: pd.Series
    recounted: pd.Series
    vanished: list[Any]
    areas: dict[str, pd.Series]
    replaced: list[Any] = field(default_factory=list)

    def __repr__(self) -> str:
        counts = self.how.value_counts()
        others = in_words(
            counts.get("ground", 0), len(self.replaced), counts.get("new", 0), len(self.vanished)
        )
        return (
            f"<Matched: {counts.get('id', 0):,} units by id ({int(self.recounted.sum()):,} of them "
            f"counted again), {others}>"
        )


def in_words(ground: int, replaced: int, new: int, vanished: int) -> str:
    """How many units have no id in common with those of a plan, and why."""
    instead = f" in place of {replaced:,}" if ground or replaced else ""
    return f"{ground:,} by ground{instead}, {new:,} new, {vanished:,} vanished"


def match_units(plan: Plan, units: gpd.GeoDataFrame) -> Matched:
    """Find the old grid of every unit of today.

    Parameters
    ----------
    plan : Plan
        The plan as it was.
    units : GeoDataFrame of n units
        As they are now, in the CRS of the plan, with the plan's column of ids, if it has one.

    Returns
    -------
    Matched

    Notes
    -----
    A unit with an id that the plan knows is the same unit, whatever its shape and households.
    Where the plan has no column of ids, a unit with the very same shape is the same. Any other
    comes from the old grid that had most of its ground, if that was at least half.

    An old unit whose id is no more is replaced, if at least half of its ground is under units
    that were matched so, else it has vanished.
    """
    old = plan.units
    names = _ids(old, plan.rules.id)
    place = pd.Series(np.arange(len(old)), index=names)
    row = place.reindex(_ids(units, plan.rules.id)).to_numpy(np.float64)
    known = ~np.isnan(row)
    rest = np.flatnonzero(~known)
    homes: dict[str, pd.Series] = {}
    for level in ("grid", *(plan.rules.levels or ())):
        home = np.full(len(units), None, dtype=object)
        areas = old[level].to_numpy(object)
        home[known] = areas[row[known].astype(np.int64)]
        home[rest] = _by_ground(old.geometry.to_numpy(), areas, units.geometry.to_numpy()[rest])
        homes[level] = pd.Series(home, index=units.index, dtype=object)
    how = np.where(known, "id", "new").astype(object)
    how[~known & homes["grid"].notna().to_numpy()] = "ground"
    now = units[plan.rules.households].to_numpy()
    before = now.copy()
    before[known] = old[plan.rules.households].to_numpy()[row[known].astype(np.int64)]
    gone = np.setdiff1d(np.arange(len(old)), row[known].astype(np.int64))
    shapes = units.geometry.to_numpy()[how == "ground"]
    replaced = _covered(old.geometry.to_numpy()[gone], shapes) >= MOSTLY
    return Matched(
        homes.pop("grid"),
        pd.Series(how, index=units.index, dtype=object),
        pd.Series(before, index=units.index),
        pd.Series(now != before, index=units.index),
        names[gone[~replaced]].tolist(),
        homes,
        names[gone[replaced]].tolist(),
    )


def _ids(units: gpd.GeoDataFrame, column: str | None) -> pd.Index:
    """Ids of units; where they have none, their shapes."""
    if column is not None:
        return pd.Index(units[column].astype(str))
    return pd.Index(shapely.to_wkb(shapely.normalize(units.geometry.to_numpy())))


def _covered(old: Any, new: Any) -> npt.NDArray[np.float64]:
    """Part of each old shape under new ones, which do not overlap."""
    shape, other = shapely.STRtree(new).query(old, predicate="intersects")
    shared = shapely.area(shapely.intersection(old[shape], new[other]))
    area = shapely.area(old)
    under = np.bincount(shape, shared, len(old))
    return np.divide(under, area, out=np.zeros(len(old)), where=area > 0)


def _by_ground(old: Any, grids: Objects, new: Any) -> Objects:
    """Grid that had most of the ground of each shape, None where none had half of it."""
    home = np.full(len(new), None, dtype=object)
    shape, unit = shapely.STRtree(old).query(new, predicate="intersects")
    shared = shapely.area(shapely.intersection(new[shape], old[unit]))
    table = pd.DataFrame({"shape": shape, "grid": grids[unit], "shared": shared})
    sums = table.groupby(["shape", "grid"], sort=True)["shared"].sum().reset_index()
    best = sums.sort_values(["shape", "shared"], ascending=[True, False], kind="stable")
    best = best.drop_duplicates("shape")
    enough = best["shared"].to_numpy() >= MOSTLY * shapely.area(new)[best["shape"]]
    best = best[enough]
    home[best["shape"].to_numpy()] = best["grid"].to_numpy()
    return home
