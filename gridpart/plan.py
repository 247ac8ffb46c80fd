"""A plan: units with the grid of each, the rules they were made by, and what could not be done.

Grids are derived from units and labels once; a plan never changes, methods return copies.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import shapely

from gridpart import _io
from gridpart._geometry.dissolve import dissolve, runs_of
from gridpart.errors import InputError
from gridpart.rules import Rules, site_marks

if TYPE_CHECKING:
    import geopandas as gpd

    from gridpart.contiguity import Contiguity

__all__ = ["EXCEPTION_COLUMNS", "Plan", "main_parent", "read_plan"]

EXCEPTION_COLUMNS = (
    "level",
    "grid",
    "within",
    "households",
    "missed",
    "reason",
    "proven",
    "units",
    "relaxation",
    "certainty",
    "advice",
)
GRAPH_KEY = "graph"  # in the provenance of plans that were drawn on a graph of the caller's
LAYERS = ("grids", "units", "exceptions", "provenance")


@dataclass(frozen=True, eq=False, repr=False)
class Plan:
    """Units divided into grids.

    Parameters
    ----------
    units : GeoDataFrame
        Every input column, the geometry in the projected CRS in which it was measured, ``grid``
        (text), and ``grid_code`` once codes are assigned. The index is the caller's.
    rules : Rules
        What the plan was made by.
    exceptions : DataFrame
        One row for every grid that is outside the band or in several parts: ``level`` (``grid``,
        or the name of another level), ``grid``, ``within``, ``households``, ``missed`` (how many
        households outside the band), ``reason``, ``proven``, ``units`` (those that cause it),
        ``relaxation`` (a change that would cure it), ``certainty`` (``exact`` where no smaller
        change will do, ``found`` where this one is known to), ``advice``.
    provenance : mapping of str to str, optional
        Where the plan comes from: version, name and SHA-256 of the input.
    contiguity : Contiguity, optional
        Of the units; built when first needed if it is not given.
    lines : GeoDataFrame, optional
        Barriers, crossings and border costs; see :func:`gridpart.barriers.gather_lines`.
    level : str, default "grid"
        What the areas are: another name where this is another level of a plan, `whole`.
    whole : Plan, optional
        Made by :meth:`at_level`.

    Raises
    ------
    InputError
        If a unit has no grid or a needed column is missing.
    """

    units: gpd.GeoDataFrame
    rules: Rules
    exceptions: pd.DataFrame
    provenance: Mapping[str, str] = dataclasses.field(default_factory=dict)
    _contiguity: Contiguity | None = None
    lines: gpd.GeoDataFrame | None = None
    level: str = "grid"
    whole: Plan | None = None

    def __post_init__(self) -> None:
        for column in filter(None, ("grid", self.rules.households, self.rules.parent)):
            if column not in self.units.columns:
                raise InputError(f"the units of a plan need a column {column!r}")
        missing = self.units["grid"].isna()
        if missing.any():
            raise InputError(f"{missing.sum()} units have no grid, first {missing.idxmax()!r}")

    @cached_property
    def contiguity(self) -> Contiguity:
        """Who touches whom, along how many metres."""
        if self._contiguity is not None:
            return self._contiguity
        from gridpart.barriers import mark_borders
        from gridpart.contiguity import build_contiguity

        graph = build_contiguity(self.units)
        if self.lines is None:
            return graph
        tolerance = self.rules.barrier_tolerance
        return mark_borders(graph, self.units, self.lines, tolerance=tolerance)

    @property
    def grids(self) -> gpd.GeoDataFrame:
        """One row per grid, in the order of their names.

        Columns are ``grid``, ``grid_code`` (missing before codes are assigned), ``grid_check``
        (its check character, only where the scheme has one), ``within`` (the community; of a
        grid that was forced across a border the one with most of its households, then area),
        ``kind`` (``base`` or ``exclusive``), ``households``, ``n_units``, ``area_m2``,
        ``compactness`` (4 pi area / perimeter squared, 1 for a circle; Polsby and Popper, 1991),
        ``in_band`` and the geometry.
        """
        known = vars(self).get("grids")
        if known is None or known is not vars(self).get("_checked"):
            # a table that was taken over has codes of its own, whose check characters units have
            known = self._with_checks(self._derived() if known is None else known)
            vars(self)["grids"] = vars(self)["_checked"] = known
        return known

    def _derived(self) -> gpd.GeoDataFrame:
        import geopandas as gpd

        names, first, size, order = runs_of(self.units["grid"])
        households = self.units[self.rules.households].to_numpy(np.int64)[order]
        shapes = dissolve(self.units.geometry.to_numpy()[order], first, size)
        units = self.units.iloc[order[first]]  # one of each grid
        total = np.add.reduceat(households, first) if first.size else households
        area = shapely.area(shapes)
        perimeter = shapely.length(shapes)
        within = _column(units, self.rules.parent)
        for number in self._crossing(first, order):
            members = order[first[number] : first[number] + size[number]]
            within[number] = main_parent(self.units.iloc[members], self.rules)
        return gpd.GeoDataFrame(
            {
                "grid": names,
                "grid_code": _column(units, "grid_code"),
                "within": within,
                "kind": np.where(self._is_exclusive(units), "exclusive", "base"),
                "households": total,
                "n_units": size,
                "area_m2": area,
                "compactness": 4 * np.pi * area / perimeter**2,
                "in_band": (total >= self.rules.low) & (total <= self.rules.high),
            },
            geometry=shapes,
            crs=self.units.crs,
        )

    def _with_checks(self, grids: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
        """Grids with the check characters of their units."""
        bare = grids.drop(columns="grid_check", errors="ignore")
        if "grid_check" not in self.units.columns:
            return bare
        one = self.units.drop_duplicates("grid").set_index("grid")
        marks = _column(one.reindex(bare["grid"]), "grid_check")
        bare.insert(bare.columns.get_loc("grid_code") + 1, "grid_check", marks)
        return bare

    def _crossing(self, first: Any, order: Any) -> list[int]:
        """Numbers of the grids with units of several communities: only an edit forces these."""
        if self.rules.parent is None or not first.size:
            return []
        parents = pd.factorize(self.units[self.rules.parent])[0][order]
        mixed = np.minimum.reduceat(parents, first) != np.maximum.reduceat(parents, first)
        return [int(number) for number in np.flatnonzero(mixed)]

    @cached_property
    def communities(self) -> gpd.GeoSeries | None:
        """Shape of every area that a grid should not cross, by its name; None where all is one.

        Community borders are those of the units, also where a grid was forced across them.
        """
        import geopandas as gpd

        if self.rules.parent is None:
            return None
        names, first, _, order = runs_of(self.units["grid"])
        crossing = self._crossing(first, order)
        own = self.units[self.units["grid"].isin(names[crossing])]
        grids = self.grids[~self.grids["grid"].isin(names[crossing])]
        shapes = np.concatenate([grids.geometry.to_numpy(), own.geometry.to_numpy()])
        known = [*grids["within"], *_column(own, self.rules.parent)]
        names, first, size, order = runs_of(pd.Series(known, dtype=object))
        return gpd.GeoSeries(dissolve(shapes[order], first, size), index=names, crs=self.units.crs)

    def _is_exclusive(self, units: gpd.GeoDataFrame) -> Any:
        if self.rules.exclusive is None or self.rules.exclusive not in units.columns:
            return np.zeros(len(units), bool)
        return site_marks(units[self.rules.exclusive])[0]

    @cached_property
    def cut_length_m(self) -> float:
        """Length of all borders between different grids, in metres, each counted once.

        Borders of the communities are among them; see `inner_cut_m`.
        """
        return self.contiguity.cut_mm(pd.factorize(self.units["grid"])[0]) / 1000

    @cached_property
    def inner_cut_m(self) -> float:
        """The part of `cut_length_m` that the plan chose: borders inside the communities."""
        if self.rules.parent is None:
            return self.cut_length_m
        fixed = self.contiguity.cut_mm(pd.factorize(self.units[self.rules.parent])[0]) / 1000
        return self.cut_length_m - fixed

    def at_level(self, name: str) -> Plan:
        """The plan of another level, whose areas take the place of the grids.

        Parameters
        ----------
        name : str
            One of ``rules.levels``.

        Returns
        -------
        Plan
        """
        if name not in (self.rules.levels or {}):
            raise InputError(f"no level {name!r}; there are {', '.join(self.rules.levels or ())}")
        exceptions = self.exceptions[self.exceptions["level"] == name]
        rules = self.rules.at_level(name)
        # those of the grids say nothing of this level
        units = self.units.drop(columns=["grid_code", "grid_check"], errors="ignore")
        own = {f"{name}_{what}": f"grid_{what}" for what in ("code", "check")}
        units = units.rename(columns=own)
        if rules.within == "grid":
            # the grids are the parents here
            units, rules = (
                units.assign(parent_grid=units["grid"]),
                dataclasses.replace(rules, within="parent_grid"),
            )
        return dataclasses.replace(
            self,
            units=units.assign(grid=units[name]),
            rules=rules,
            exceptions=exceptions.assign(level="grid").reset_index(drop=True),
            level=name,
            whole=self,
        )

    @property
    def parent_level(self) -> str:
        """What the areas lie in: the name of another level, ``grid``, or ``community``."""
        whole = self.whole or self
        order = [*whole.rules.upper_levels, "grid", *whole.rules.lower_levels]
        at = order.index(self.level)
        return order[at - 1] if at else "community"

    def summary(self, *, near: float = 0.1) -> pd.DataFrame:
        """Count grids, households and borders, and say which grids are near a bound.

        Parameters
        ----------
        near : float, default 0.1
            A grid in the band is near a bound if a change of its households by this share would
            take it out.

        Returns
        -------
        DataFrame
            One row a community and one for ``all``: ``grids``, ``units``, ``households``,
            ``in_band``, ``below``, ``above``, ``near_low``, ``near_high`` (numbers of grids that
            are no exclusive ones), ``least``, ``mean``, ``most`` households of a grid, ``cv``
            (standard deviation over mean), and ``near``, the names of the grids near a bound.

        Examples
        --------
        >>> import geopandas as gpd, shapely
        >>> cells = [shapely.box(x, 0, x + 100, 100) for x in range(0, 400, 100)]
        >>> units = gpd.GeoDataFrame({"households": [105] * 4}, geometry=cells, crs="EPSG:4547")
        >>> import gridpart as gp
        >>> plan = gp.partition(units, low=200, high=400, n_grids=2)
        >>> plan.summary().loc["all", ["grids", "in_band", "near_low"]].tolist()
        [2, 2, 2]
        """
        grids = self.grids[self.grids["kind"] == "base"]
        low, high = self.rules.low, self.rules.high
        load = grids["households"]
        inside = load.between(low, high)
        marks = pd.DataFrame(
            {
                "community": grids["within"].fillna("").astype(str),
                "grid": grids["grid"],
                "households": load,
                "units": grids["n_units"],
                "in_band": inside,
                "below": load < low,
                "above": load > high,
                "near_low": inside & (load * (1 - near) < low),
                "near_high": inside & (load * (1 + near) > high),
            }
        )
        rows = {}
        if self.rules.parent is not None:
            rows = {str(key): _summary(group) for key, group in marks.groupby("community")}
        return pd.DataFrame.from_dict({**rows, "all": _summary(marks)}, orient="index")

    def replace(self, **changes: Any) -> Plan:
        """Copy of the plan with some of its parts replaced.

        Parameters
        ----------
        **changes
            ``units``, ``rules``, ``exceptions`` or ``provenance``.

        Returns
        -------
        Plan
        """
        return dataclasses.replace(self, **changes)

    def with_source(self, path: _io.PathLike, layer: str | None = None) -> Plan:
        """Copy with the name and the checksum of the file that the units come from.

        Parameters
        ----------
        path : str or path
        layer : str, optional

        Returns
        -------
        Plan
        """
        facts = {
            "input": Path(path).name,
            "input_layer": layer or "",
            "input_sha256": _io.file_sha256(path),
        }
        return self.replace(provenance={**self.provenance, **facts})

    def save(self, path: _io.PathLike) -> None:
        """Write a GeoPackage with the layers ``grids, units, exceptions, provenance``.

        Parameters
        ----------
        path : str or path
            Ends in ``.gpkg``. The file appears whole or not at all.

        Raises
        ------
        OutputError
            If it cannot be written, for instance because another program holds it open.
        """
        facts = {**self.provenance, **self.rules.as_text()}
        provenance = pd.DataFrame({"key": list(facts), "value": list(facts.values())})
        layers = (self.grids, self.units, self.exceptions, provenance)
        named = dict(zip(LAYERS, layers, strict=True))
        if self.lines is not None:
            named["lines"] = self.lines
        for level in self.rules.levels or ():
            named[f"level_{level}"] = self.at_level(level).grids
        _io.write_layers(path, named)

    def __repr__(self) -> str:
        grids = self.grids
        low, high = self.rules.low, self.rules.high
        lines = [
            f"<Plan: {len(grids)} grids of {len(self.units)} units",
            f"  households  {int(grids['households'].sum()):,}",
            f"  in band     {int(grids['in_band'].sum())} of {len(grids)} ({low}-{high})",
            f"  exceptions  {len(self.exceptions)}{_tally(self.exceptions)}",
            f"  cut length  {self.inner_cut_m / 1000:,.1f} km"
            + (f" inside {grids['within'].nunique()} communities" if self.rules.parent else ""),
            f"  CRS         {self.units.crs.to_string()}>",
        ]
        return "\n".join(lines)


def _summary(marks: pd.DataFrame) -> dict[str, Any]:
    load = marks["households"]
    near = marks["near_low"] | marks["near_high"]
    counted = {name: int(marks[name].sum()) for name in marks.columns[3:]}
    mean = float(load.mean()) if len(load) else 0.0
    return {
        "grids": len(marks),
        "households": int(load.sum()),
        **counted,
        "least": int(load.min()) if len(load) else 0,
        "mean": mean,
        "most": int(load.max()) if len(load) else 0,
        "cv": float(load.std(ddof=0) / mean) if mean else 0.0,
        "near": ", ".join(marks.loc[near, "grid"]),
    }


def main_parent(units: gpd.GeoDataFrame, rules: Rules) -> Any:
    """Community of some units: that of most of their households, then ground, then by name.

    Parameters
    ----------
    units : GeoDataFrame
        With the columns that the rules name, in a CRS in metres.
    rules : Rules

    Returns
    -------
    object
        A value of the column ``rules.parent``; None where there is none.
    """
    if rules.parent is None:
        return None
    table = pd.DataFrame(
        {
            "parent": units[rules.parent].to_numpy(object),
            "households": units[rules.households].to_numpy(np.int64),
            "area": shapely.area(units.geometry.to_numpy()),
        }
    )
    sums = table.groupby("parent", sort=False).sum()
    # the areas of the same ground differ in their last digits
    ranked = sorted((-row.households, -round(row.area, 3), str(row.Index), row.Index)
                    for row in sums.itertuples())  # fmt: skip
    return ranked[0][-1] if ranked else None


def _column(frame: pd.DataFrame, column: str | None) -> Any:
    """Values of a column as objects, None for what is missing."""
    if column is None or column not in frame.columns:
        return np.full(len(frame), None, dtype=object)
    values = frame[column]
    return values.astype(object).where(values.notna(), None).to_numpy(copy=True)


def _tally(exceptions: pd.DataFrame) -> str:
    counts = exceptions["reason"].value_counts(sort=False).sort_index()
    listed = ", ".join(f"{reason} {count}" for reason, count in counts.items())
    return f" ({listed})" if listed else ""


def read_plan(path: _io.PathLike) -> Plan:
    """Read a plan that :meth:`Plan.save` wrote.

    Parameters
    ----------
    path : str or path
        GeoPackage with the layers ``grids, units, exceptions, provenance``.

    Returns
    -------
    Plan
        Its units have a fresh index, 0 to n - 1.

    Raises
    ------
    InputError
        If the file is not a plan.

    Examples
    --------
    >>> read_plan("missing.gpkg")
    Traceback (most recent call last):
        ...
    gridpart.errors.InputError: missing.gpkg: no such file
    """
    present = _io.list_layers(path)
    missing = [layer for layer in LAYERS if layer not in present]
    if missing:
        raise InputError(
            f"{path}: not a plan; it has no layer {', '.join(missing)} (make one with partition)"
        )
    facts = _io.read_attributes(path, layer="provenance")
    provenance = dict(zip(facts["key"], facts["value"].fillna(""), strict=True))
    exceptions = _io.read_attributes(path, layer="exceptions")
    if len(exceptions):
        exceptions["proven"] = exceptions["proven"].astype(bool)
    try:
        rules = Rules.from_text(provenance)
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: its layer provenance is damaged ({error})") from error
    known = set(rules.as_text())
    lines = _io.read_vector(path, layer="lines") if "lines" in present else None
    return Plan(
        units=_io.read_vector(path, layer="units"),
        rules=rules,
        exceptions=exceptions,
        provenance={key: value for key, value in provenance.items() if key not in known},
        lines=lines,
    )
