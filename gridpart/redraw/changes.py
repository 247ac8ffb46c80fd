"""What changed between two plans: grid by grid, unit by unit, household by household, and for whom.

The kinds of change are those of the lookups that the Office for National Statistics publishes
between its output areas of two censuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridpart import _io
from gridpart._excel import write_workbook
from gridpart.errors import InputError, OutputError
from gridpart.plan import Plan
from gridpart.redraw.compare import Places, Table, goes_on, way
from gridpart.redraw.match import in_words
from gridpart.redraw.patches import changed_patches

if TYPE_CHECKING:
    import geopandas as gpd

    Ints = npt.NDArray[np.int64]

__all__ = ["KINDS", "Changes", "change_table"]

KINDS = ("U", "S", "M", "X", "new", "retired")
STATUSES = ("kept", "new", "retired")
IN_WORDS = {
    "U": "unchanged", "S": "split", "M": "merged", "X": "complex", "new": "new",
    "retired": "retired",
}  # fmt: skip
TEXT_COLUMNS = (
    "old_grid", "new_grid", "old_code", "new_code", "unit", "within", "predecessors", "successors",
    "post_id", "grids_before", "gone", "added",
)  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class Changes:
    """What :func:`change_table` found.

    Attributes
    ----------
    grids : GeoDataFrame
        One row a grid of either plan; a grid that goes on has one row. ``old_grid``,
        ``new_grid`` (missing where the grid is only in the other plan), ``old_code``,
        ``new_code``, ``within``, ``change`` (``U``, ``S``, ``M``, ``X``, ``new``, ``retired``),
        ``status`` of the code, or of the name in plans without codes (``kept``, ``new``,
        ``retired``), ``predecessors`` (where its households of today were, with their shares of
        it), ``successors`` (where its former households are, with their shares of them),
        ``before`` and ``after`` (households), ``came``, ``left``, ``recoded`` (households whose
        grid is the same ground under another code: below 0 in the row of the old code),
        ``recounted`` (ground that was parcelled anew among them), ``built`` and ``cleared``
        (households of units that are new, or no more), and the geometry of today, else the last.
        ``after = before + recounted + built - cleared + came - left + recoded``.
    units : GeoDataFrame
        One row a unit that changed grid or its code, is new or no more: ``unit``, ``what``
        (``moved``, ``recoded``, ``ground``: another id in the same grid, ``new``, ``vanished``,
        ``replaced``: parcelled anew), ``how`` it was matched (``id``, ``ground`` or ``new``, as
        :func:`gridpart.redraw.match_units` has it; of those no more ``vanished`` or
        ``replaced``), ``old_grid`` (the grid whose ground it stands on), ``new_grid``,
        ``households`` and the geometry.
    pairs : DataFrame
        One row for every old grid and new grid that share ground: ``old_grid``, ``new_grid``,
        ``change``, ``units``, ``households``, ``share_of_old``, ``share_of_new``. This is how
        the published lookups look.
    old_grids, new_grids : GeoDataFrame
        Grids of both plans, in the CRS of the new one.
    by : str
        How grids were told to be the same: ``code``, ``name`` or ``overlap``.
    level, parent_level : str
        Which level of the plans it is, and what its areas lie in; see :class:`gridpart.Plan`.
    communities : GeoSeries, optional
        Shapes of what the new grids lie in; see :attr:`gridpart.Plan.communities`.
    whole : Plan, optional
        The new plan, where another level of it is compared.
    """

    grids: gpd.GeoDataFrame
    units: gpd.GeoDataFrame
    pairs: pd.DataFrame
    old_grids: gpd.GeoDataFrame
    new_grids: gpd.GeoDataFrame
    by: str
    level: str = "grid"
    parent_level: str = "community"
    communities: gpd.GeoSeries | None = None
    whole: Plan | None = None
    _old_units: pd.Index = field(default_factory=pd.Index)
    _new_units: pd.Index = field(default_factory=pd.Index)
    _origin: Ints = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def households_moved(self) -> int:
        """Households whose grid is another now, as counted in the new plan."""
        return int(self.grids["came"].sum())

    @property
    def households_recoded(self) -> int:
        """Households whose grid is the same ground under another code (or name)."""
        return int(self.grids["recoded"].clip(lower=0).sum())

    @property
    def grids_touched(self) -> int:
        """Grids of either plan whose ground is not what it was."""
        return int((self.grids["change"] != "U").sum())

    @property
    def counts(self) -> dict[str, int]:
        """Number of old grids by kind of change, and number of new ones on no old ground."""
        rows = self.grids[self.grids["old_grid"].notna() | (self.grids["change"] == "new")]
        found = rows["change"].value_counts()
        return {kind: int(found.get(kind, 0)) for kind in KINDS}

    @property
    def codes(self) -> dict[str, int]:
        """Number of codes (in plans without codes: of names) kept, new and retired."""
        found = self.grids["status"].value_counts()
        return {status: int(found.get(status, 0)) for status in STATUSES}

    def apply(self, labels: pd.Series) -> pd.Series:
        """Grids of today, from those of before and this table.

        Parameters
        ----------
        labels : Series
            Old grid of every unit, on the ids of the old units (on their index where the plan has
            no column of ids).

        Returns
        -------
        Series
            New grid of every unit, on the ids of the new units.

        Raises
        ------
        InputError
            If a label is missing, or one is no grid of the old plan.
        """
        if not labels.index.is_unique or set(labels.index) != set(self._old_units):
            raise InputError("labels must be on the units of the old plan, each once")
        kept = self.grids[self.grids["status"] == "kept"]
        goes_on = dict(zip(kept["old_grid"], kept["new_grid"], strict=True))
        unknown = set(labels) - set(self.grids["old_grid"].dropna())
        if unknown:
            raise InputError(f"no grid {min(map(str, unknown))!r} in the old plan")
        there = self._origin >= 0
        old = labels.reindex(self._old_units).map(goes_on).to_numpy(object)
        result = pd.Series(None, index=self._new_units, dtype=object, name="grid")
        result.iloc[np.flatnonzero(there)] = old[self._origin[there]]
        told = self.units[self.units["new_grid"].notna()]
        result.loc[told["unit"]] = told["new_grid"].to_numpy(object)
        return result

    def staff(self, posts: pd.DataFrame | Any) -> pd.DataFrame:
        """Posts whose patch changed.

        Parameters
        ----------
        posts : DataFrame or Staffing
            Who served which grid before: columns ``post_id`` and ``grid`` (its name or code), a
            row a post and grid, and ``role`` if it is known; or what
            :func:`gridpart.assign_posts` returned.

        Returns
        -------
        DataFrame
            One row a post whose ground is not what it was: ``post_id``, ``role`` if it is known,
            ``grids_before``, ``gone`` (grids that were retired), ``added`` (the new grids
            that hold more of a gone grid's households than any other), ``households_before``,
            ``households_after`` (of the grids that it kept, and those added), ``came`` and
            ``left`` (households that changed to and from its grids).

        Raises
        ------
        InputError
            If a column is missing, or a grid is none of the old plan.
        """
        return changed_patches(self.grids, self.pairs, getattr(posts, "assignment", posts))

    def to_frame(self) -> pd.DataFrame:
        """The grids as a table without geometry."""
        return pd.DataFrame(self.grids.drop(columns=self.grids.geometry.name))

    def as_dict(self) -> dict[str, Any]:
        """What changed as numbers, texts and lists, as JSON has them."""
        units = pd.DataFrame(self.units.drop(columns=self.units.geometry.name))
        return {
            "by": self.by,
            "grids_before": len(self.old_grids),
            "grids_after": len(self.new_grids),
            "counts": self.counts,
            "codes": self.codes,
            "households_moved": self.households_moved,
            "households_recoded": self.households_recoded,
            "households": int(self.new_grids["households"].sum()),
            "grids": _records(self.to_frame()),
            "pairs": _records(self.pairs),
            "units": _records(units),
        }

    def save(self, path: _io.PathLike, *, posts: pd.DataFrame | Any = None) -> None:
        """Write the tables as a GeoPackage, or as a workbook for the office.

        Parameters
        ----------
        path : str or path
            Ends in ``.gpkg`` (layers ``grids``, ``units``, ``pairs``) or ``.xlsx`` (the same as
            sheets, after a summary, printed on A4 across). It appears whole or not at all.
        posts : DataFrame or Staffing, optional
            As :meth:`staff` takes it: ``staff`` is written, too.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        suffix = str(path).lower()
        tables: dict[str, pd.DataFrame] = {"grids": self.grids, "units": self.units}
        tables["pairs"] = self.pairs
        if posts is not None:
            tables["staff"] = self.staff(posts)
        if suffix.endswith(".gpkg"):
            _io.write_layers(path, tables)
        elif suffix.endswith(".xlsx"):
            plain = {name: _plain(table) for name, table in tables.items()}
            write_workbook(
                path, {"summary": self._summary(), **plain}, text_columns=TEXT_COLUMNS,
                percent_columns=("share_of_old", "share_of_new"), landscape=True,
            )  # fmt: skip
        else:
            raise OutputError(f"{path}: let the name end in .gpkg or .xlsx")

    def _summary(self) -> pd.DataFrame:
        counts = {f"old grids {IN_WORDS[kind]} ({kind})": self.counts[kind] for kind in "USMX"}
        codes = {f"codes {status}": n for status, n in self.codes.items()}
        what, how = self.units["what"].value_counts(), self.units["how"].value_counts()
        numbers = {
            "grids before": len(self.old_grids),
            "grids after": len(self.new_grids),
            **counts,
            "old grids of which nothing is left": self.counts["retired"],
            "new grids on no old ground": self.counts["new"],
            **codes,
            "households": int(self.new_grids["households"].sum()),
            "households that changed grid": self.households_moved,
            "households whose grid has another code": self.households_recoded,
            "units moved": int(what.get("moved", 0)),
            "units by ground": int(how.get("ground", 0)),
            "units in place of which these are": int(how.get("replaced", 0)),
            **{f"units {name}": int(how.get(name, 0)) for name in ("new", "vanished")},
        }  # fmt: skip
        return pd.DataFrame({"what": list(numbers), "number": list(numbers.values())})

    def __repr__(self) -> str:
        counts = self.counts
        total = int(self.new_grids["households"].sum())
        share = f" ({self.households_moved / total:.1%})" if total else ""
        listed = ", ".join(f"{n:,} {IN_WORDS[kind]}" for kind, n in counts.items() if n)
        codes = ", ".join(f"{n:,} {status}" for status, n in self.codes.items() if n)
        called = "code" if self.by == "code" else "name"
        recoded = f", {self.households_recoded:,} kept theirs under another {called}"
        area, areas = ("grid", "grids") if self.level == "grid" else ("area", "areas")
        which = areas if self.level == "grid" else f"areas of the level {self.level}"
        return (
            f"<Changes: {len(self.old_grids):,} {which} before, {len(self.new_grids):,} after\n"
            f"  {areas}       {listed}\n"
            f"  {called}s       {codes}\n"
            f"  households  {self.households_moved:,} of {total:,} changed {area}{share}"
            f"{recoded if self.households_recoded else ''}\n"
            f"  units       {self._units_in_words()}>"
        )

    def _units_in_words(self) -> str:
        area = "grid" if self.level == "grid" else "area"
        what, how = self.units["what"].value_counts(), self.units["how"].value_counts()
        moved = f"{what['moved']:,} moved" if "moved" in what else f"none changed {area}"
        others = [int(how.get(name, 0)) for name in ("ground", "replaced", "new", "vanished")]
        return f"{moved}; {in_words(*others)}" if any(others) else moved


def change_table(old: Plan, new: Plan, *, by: str | None = None) -> Changes:
    """Tell what changed between two plans.

    Parameters
    ----------
    old, new : Plan
        Their units are matched by id; a unit with an id of its own, or in a plan without ids, by
        the ground that it stands on, as :func:`gridpart.redraw.match_units` does.
    by : {"code", "name", "overlap"}, optional
        When a grid of the new plan is one of the old: if it has the same code, the same name, or
        (``overlap``) if that way the fewest households change grid. By default by code if all
        grids of both plans have one, else by name. ``overlap`` is for plans that were drawn
        independently, whose names mean nothing to each other.

    Returns
    -------
    Changes

    Raises
    ------
    InputError
        If `by` is another word, or codes are missing or stand twice where they are wanted.

    Notes
    -----
    The kinds of change follow the change indicator of the Office for National Statistics ("OA
    (2011) to OA (2021) to Local Authority District exact fit lookup", field CHNGIND). Old and new
    grids that share a unit, or the ground of one, are linked; of every set of linked grids,

    * ``U``, unchanged: one old grid, one new grid;
    * ``S``, split: one old grid, several new ones;
    * ``M``, merged: several old grids, one new one;
    * ``X``, complex: several of both, whose figures cannot be compared. A single unit that moves
      from one grid to another makes both of them X.

    A grid that has the same ground under another code, such as one that was split and merged
    again, is U; its households are recoded, not moved.

    A grid without any unit of the other plan is ``new`` or ``retired``. A unit that is new and
    stands on no old ground, or that vanished, makes no link, and so no change of kind. The kind
    says what became of the ground, ``status`` what became of the code: an X may have kept its
    code, and a U may have got another.

    Where a code went on, but on quite other ground (no set has both), the kind is X.

    Examples
    --------
    >>> import geopandas as gpd, shapely
    >>> import gridpart as gp
    >>> cells = [shapely.box(100 * i, 0, 100 * i + 100, 100) for i in range(6)]
    >>> units = gpd.GeoDataFrame({"households": [100] * 6}, geometry=cells, crs="EPSG:4547")
    >>> old = gp.partition(units, low=200, high=400, target=300)
    >>> new = gp.split(old, "G001", groups=[[0]], force=True).plan
    >>> changes = gp.change_table(old, new)
    >>> changes.pairs[["old_grid", "new_grid", "change", "households"]].values.tolist()
    [['G001', 'G003', 'S', 100], ['G001', 'G004', 'S', 200], ['G002', 'G002', 'U', 300]]
    """
    old_units, old_grids = old.units, old.grids
    if old_units.crs != new.units.crs:
        old_units = old_units.to_crs(new.units.crs)
        old_grids = old_grids.to_crs(new.units.crs)
        old = old.replace(units=old_units)
    places = Places.of(old, new)
    by = way(by, old_grids, new.grids)
    kept = goes_on(by, places, old_grids, new.grids)
    table = Table(places, old_grids, new.grids, kept)
    return Changes(
        grids=table.grids(), units=table.units(old, new), pairs=table.pairs, old_grids=old_grids,
        new_grids=new.grids, by=by, level=new.level, parent_level=new.parent_level,
        communities=new.communities, whole=new.whole, _old_units=places.old_names,
        _new_units=places.new_names, _origin=places.origin,
    )  # fmt: skip


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    geometry = getattr(table, "_geometry_column_name", None)
    return pd.DataFrame(table.drop(columns=geometry)) if geometry else table


def _records(table: pd.DataFrame) -> list[Mapping[str, Any]]:
    """Rows as JSON has them."""
    plain = table.astype(object).where(table.notna(), None)
    return [
        {str(k): v.item() if isinstance(v, np.generic) else v for k, v in row.items()}
        for row in plain.to_dict("records")
    ]
