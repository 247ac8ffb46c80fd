"""Two plans side by side: their units matched, their grids linked, their households counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from gridpart.errors import InputError
from gridpart.plan import Plan
from gridpart.redraw.match import _ids, match_units

if TYPE_CHECKING:
    import geopandas as gpd

    Ints = npt.NDArray[np.int64]
    Objects = npt.NDArray[np.object_]
    Flags = npt.NDArray[np.bool_]

__all__ = ["WAYS", "Places", "Table", "goes_on", "way"]

WAYS = ("code", "name", "overlap")


# ---------------------------------------------------------------- units


@dataclass(frozen=True, eq=False)
class Places:
    """Where every unit was and is, as positions of grids in the plans' own order.

    Attributes
    ----------
    origin : ndarray, shape (n_new,)
        Position of the same unit in the old plan, -1 for none.
    home : ndarray, shape (n_new,)
        Old grid whose ground it stands on, -1 for none.
    old_grid, new_grid : ndarray, shapes (n_old,) and (n_new,)
    old_load, new_load : ndarray
        Households.
    how : ndarray of object, shape (n_new,)
        ``id``, ``ground`` or ``new``; see :class:`gridpart.redraw.match.Matched`.
    replaced : ndarray
        Positions of old units that were parcelled anew.
    """

    old_names: pd.Index
    new_names: pd.Index
    origin: Ints
    home: Ints
    old_grid: Ints
    new_grid: Ints
    old_load: Ints
    new_load: Ints
    how: Objects
    replaced: Ints

    @classmethod
    def of(cls, old: Plan, new: Plan) -> Places:
        """Places of the units of two plans in one CRS."""
        ids = old.rules.id
        if ids is not None and ids not in new.units.columns:
            raise InputError(
                f"the units of the old plan go by their column {ids!r}, which the new plan's have "
                "not; rename it there"
            )
        matched = match_units(old, new.units.assign(**{
            old.rules.households: new.units[new.rules.households]
        }))  # fmt: skip
        place = pd.Index(old.grids["grid"])
        names = [
            pd.Index(plan.units[ids]).astype(str) if ids is not None else plan.units.index
            for plan in (old, new)
        ]
        return cls(
            names[0], names[1], _same_units(old, new, ids),
            place.get_indexer(matched.home), place.get_indexer(old.units["grid"]),
            pd.Index(new.grids["grid"]).get_indexer(new.units["grid"]),
            old.units[old.rules.households].to_numpy(np.int64),
            new.units[new.rules.households].to_numpy(np.int64),
            matched.how.to_numpy(object),
            np.asarray(_ids(old.units, ids).get_indexer(matched.replaced), np.int64),
        )  # fmt: skip

    @property
    def gone(self) -> Ints:
        """Positions of old units whose ids are no more."""
        return np.setdiff1d(np.arange(self.old_grid.size), self.origin)

    @property
    def vanished(self) -> Ints:
        """Those of them that no others have replaced."""
        return np.setdiff1d(self.gone, self.replaced)


def _same_units(old: Plan, new: Plan, ids: str | None) -> Ints:
    """Position of the old unit with the same id, or shape, for every new unit; -1 for none."""
    return np.asarray(_ids(old.units, ids).get_indexer(_ids(new.units, ids)), np.int64)


# ---------------------------------------------------------------- which grid goes on


def way(by: str | None, old: gpd.GeoDataFrame, new: gpd.GeoDataFrame) -> str:
    """How grids are told to be the same; InputError if they cannot be told so."""
    coded = old["grid_code"].notna().all() and new["grid_code"].notna().all()
    if by is None:
        return "code" if coded else "name"
    if by not in WAYS:
        raise InputError(f"by must be {', '.join(WAYS[:-1])} or {WAYS[-1]}, got {by!r}")
    if by == "code" and not coded:
        raise InputError("grids of both plans must have codes to be compared by code")
    return by


def goes_on(by: str, places: Places, old: gpd.GeoDataFrame, new: gpd.GeoDataFrame) -> Ints:
    """Old grid that every new grid continues, -1 for none."""
    if by == "overlap":
        return _by_overlap(places, len(old), len(new))
    column = "grid_code" if by == "code" else "grid"
    for frame, which in ((old, "old"), (new, "new")):
        twice = frame[column][frame[column].duplicated()]
        if len(twice):
            raise InputError(f"two grids of the {which} plan have the code {twice.iloc[0]}")
    return np.asarray(pd.Index(old[column]).get_indexer(new[column]), np.int64)


def _by_overlap(places: Places, n_old: int, n_new: int) -> Ints:
    """Pairs of old and new grids that together keep most households; each grid in one pair.

    The assignment problem, solved exactly for each set of linked grids.
    """
    known = places.home >= 0
    # a unit without households weighs less than any household
    n = places.new_load.size + 1
    weight = places.new_load[known] * n + 1
    shared = coo_array(
        (weight, (places.home[known], places.new_grid[known])), shape=(n_old, n_new)
    ).tocsr()
    _, part = _linked(shared.tocoo(), n_old, n_new)
    goes_on = np.full(n_new, -1, np.int64)
    olds, news = part[:n_old], part[n_old:]
    order_old, order_new = np.argsort(olds, kind="stable"), np.argsort(news, kind="stable")
    for number in np.intersect1d(olds, news):
        rows = order_old[slice(*np.searchsorted(olds[order_old], (number, number + 1)))]
        columns = order_new[slice(*np.searchsorted(news[order_new], (number, number + 1)))]
        block = shared[rows][:, columns].toarray()
        a, b = linear_sum_assignment(block, maximize=True)
        real = block[a, b] > 0
        goes_on[columns[b[real]]] = rows[a[real]]
    return goes_on


def _linked(pairs: Any, n_old: int, n_new: int) -> tuple[int, Ints]:
    """Sets of grids that are linked: number of the set of every old grid, then of every new one."""
    size = n_old + n_new
    matrix = coo_array((np.ones(pairs.row.size), (pairs.row, pairs.col + n_old)), (size, size))
    count, part = connected_components(matrix, directed=False)
    return int(count), part.astype(np.int64)


# ---------------------------------------------------------------- the tables


class Table:
    """Counts everything by rows: new grids in their order, then the old ones that end."""

    def __init__(
        self, places: Places, old: gpd.GeoDataFrame, new: gpd.GeoDataFrame, goes_on: Ints
    ) -> None:
        self.places, self.old, self.new, self.goes_on = places, old, new, goes_on
        ended = np.setdiff1d(np.arange(len(old)), goes_on)
        self.ended = ended
        self.row_of_old = np.full(len(old) + 1, -1, np.int64)  # the last for "none"
        kept = np.flatnonzero(goes_on >= 0)
        self.row_of_old[goes_on[kept]] = kept
        self.row_of_old[ended] = len(new) + np.arange(ended.size)
        self.size = len(new) + ended.size
        self.pairs, self.old_kind, self.new_kind = self._pairs()

    def _pairs(self) -> tuple[pd.DataFrame, Objects, Objects]:
        places, n_old, n_new = self.places, len(self.old), len(self.new)
        known = places.home >= 0
        units = pd.DataFrame({
            "old": places.home[known], "new": places.new_grid[known],
            "households": places.new_load[known], "units": 1,
        })  # fmt: skip
        pairs = units.groupby(["old", "new"], sort=True)[["units", "households"]].sum()
        pairs = pairs.reset_index()
        links = coo_array((np.ones(len(pairs)), (pairs["old"], pairs["new"])), (n_old, n_new))
        count, part = _linked(links, n_old, n_new)
        olds = np.bincount(part[:n_old], minlength=count)
        news = np.bincount(part[n_old:], minlength=count)
        kind = np.select(
            [news == 0, olds == 0, (olds == 1) & (news == 1), olds == 1, news == 1],
            ["retired", "new", "U", "S", "M"], "X",
        ).astype(object)  # fmt: skip
        self.part_old, self.part_new = part[:n_old], part[n_old:]
        table = pd.DataFrame({
            "old_grid": self.old["grid"].to_numpy(object)[pairs["old"]],
            "new_grid": self.new["grid"].to_numpy(object)[pairs["new"]],
            "change": kind[part[pairs["old"]]] if len(pairs) else np.zeros(0, object),
            "units": pairs["units"], "households": pairs["households"],
            "share_of_old": _shares(pairs, "old"), "share_of_new": _shares(pairs, "new"),
        })  # fmt: skip
        return table, kind[self.part_old], kind[self.part_new]

    def grids(self) -> gpd.GeoDataFrame:
        """One row a grid of either plan."""
        import geopandas as gpd

        goes_on, ended, n_new = self.goes_on, self.ended, len(self.new)
        was = np.concatenate([goes_on, ended])
        old = self.old.iloc[np.where(was < 0, 0, was)] if len(self.old) else self.old

        def of_old(column: str) -> Objects:
            return np.asarray(np.where(was < 0, None, old[column].to_numpy(object)), dtype=object)

        def of_new(column: str) -> Objects:
            return np.append(self.new[column].to_numpy(object), [None] * ended.size)

        status = np.where(
            np.arange(self.size) >= n_new, "retired", np.where(was < 0, "new", "kept")
        )
        code = self.new["grid_code"].notna().any() and self.old["grid_code"].notna().any()
        called = "code" if code else "grid"
        shapes = np.concatenate([self.new.geometry.to_numpy(), self.old.geometry.to_numpy()[ended]])
        within = of_new("within")
        within[n_new:] = self.old["within"].to_numpy(object)[ended]
        return gpd.GeoDataFrame(
            {
                "old_grid": of_old("grid"), "new_grid": of_new("grid"),
                "old_code": of_old("grid_code"), "new_code": of_new("grid_code"),
                "within": within, "change": self._kinds(was), "status": status.astype(object),
                "predecessors": self._named(called, "new", of_new("grid")),
                "successors": self._named(called, "old", of_old("grid")),
                **self._counts(),
            },
            geometry=shapes, crs=self.new.crs,
        )  # fmt: skip

    def _kinds(self, was: Ints) -> Objects:
        """Kind of every row; X where what goes on by its code stands on other ground."""
        kinds = np.append(self.new_kind, self.old_kind[self.ended])
        kept = np.flatnonzero(self.goes_on >= 0)
        elsewhere = self.part_old[was[kept]] != self.part_new[kept]
        kinds[kept[elsewhere]] = "X"
        return kinds

    def _named(self, called: str, side: str, own: Objects) -> Objects:
        """Grids on the other side of every row, with their shares, the largest first."""
        other = "old" if side == "new" else "new"
        frame = getattr(self, other)
        column = "grid_code" if called == "code" else "grid"
        names = dict(zip(frame["grid"], frame[column], strict=True))
        pairs = self.pairs.sort_values(f"share_of_{side}", ascending=False, kind="stable")
        told: dict[Any, list[str]] = {}
        for one, two, share in zip(
            pairs[f"{side}_grid"], pairs[f"{other}_grid"], pairs[f"share_of_{side}"], strict=True
        ):
            told.setdefault(one, []).append(f"{names[two]} ({share:.0%})")
        return np.array([", ".join(told.get(name, ())) for name in own], dtype=object)

    def _counts(self) -> dict[str, Ints]:
        p, size, rows = self.places, self.size, self.row_of_old
        same, ground, new = (p.how == how for how in ("id", "ground", "new"))
        now, was = p.new_grid, rows[p.home]  # -1 finds "none"
        moved, recoded = self._other_grid()
        gone, anew = p.vanished, p.replaced

        def summed(row: Ints, load: Ints) -> Ints:
            return np.bincount(row, load, size).astype(np.int64)

        return {
            "before": summed(rows[p.old_grid], p.old_load),
            "after": summed(now, p.new_load),
            "came": summed(now[moved], p.new_load[moved]),
            "left": summed(was[moved], p.new_load[moved]),
            "recoded": summed(now[recoded], p.new_load[recoded])
            - summed(was[recoded], p.new_load[recoded]),
            "recounted": summed(was[same], p.new_load[same] - p.old_load[p.origin[same]])
            + summed(was[ground], p.new_load[ground])
            - summed(rows[p.old_grid[anew]], p.old_load[anew]),
            "built": summed(now[new], p.new_load[new]),
            "cleared": summed(rows[p.old_grid[gone]], p.old_load[gone]),
        }

    def _other_grid(self) -> tuple[Flags, Flags]:
        """New units that are in another grid, and those whose grid only has another code."""
        p = self.places
        other = (p.home >= 0) & (self.row_of_old[p.home] != p.new_grid)
        whole = np.append(self.old_kind == "U", np.False_)[p.home]
        return other & ~whole, other & whole

    def units(self, old: Plan, new: Plan) -> gpd.GeoDataFrame:
        """Units that changed grid or its code, have another id, are new or no more."""
        import geopandas as gpd

        p = self.places
        moved, recoded = self._other_grid()
        what = np.select([moved, recoded], ["moved", "recoded"], p.how).astype(object)
        rows, gone = np.flatnonzero(what != "id"), p.gone
        left = np.where(np.isin(gone, p.replaced), "replaced", "vanished").astype(object)
        was = np.array([*self.old["grid"], None], dtype=object)
        names = self.new["grid"].to_numpy(object)
        return gpd.GeoDataFrame(
            {
                "unit": np.concatenate([
                    p.new_names.to_numpy(object)[rows], p.old_names.to_numpy(object)[gone]
                ]),
                "what": np.concatenate([what[rows], left]),
                "how": np.concatenate([p.how[rows], left]),
                "old_grid": np.concatenate([was[p.home[rows]], was[p.old_grid[gone]]]),
                "new_grid": np.append(names[p.new_grid[rows]], [None] * gone.size),
                "households": np.concatenate([p.new_load[rows], p.old_load[gone]]),
            },
            geometry=np.concatenate(
                [new.units.geometry.to_numpy()[rows], old.units.geometry.to_numpy()[gone]]
            ),
            crs=new.units.crs,
        )  # fmt: skip


def _shares(pairs: pd.DataFrame, side: str) -> pd.Series:
    """Part of each pair in the households of one side; by units where there are none."""
    whole = pairs.groupby(side)[["units", "households"]].transform("sum")
    by_units = pairs["units"] / whole["units"]
    empty = whole["households"] == 0
    return (pairs["households"] / whole["households"].mask(empty, 1)).mask(empty, by_units)
