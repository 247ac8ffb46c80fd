"""Lines on the ground that decide where grids may run: barriers, crossings, and cheap borders.

A border between two units lies along a line when at least half of it is within a tolerance of it.
Along a barrier (a river, a railway, an expressway) it is closed: a grid may not span it, unless a
crossing (a bridge, a gate) is there. Along a line with a cost it counts that many times its length,
so that grids rather end at a main road than at a garden fence.
"""

from __future__ import annotations

import dataclasses
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely

from gridpart._geometry.segments import finite
from gridpart.errors import CRSError, GridpartWarning, InputError, Problem

if TYPE_CHECKING:
    import geopandas as gpd

    from gridpart.contiguity import Contiguity

    Lines: TypeAlias = gpd.GeoDataFrame | gpd.GeoSeries
    Ints = npt.NDArray[np.int64]
    Objects = npt.NDArray[np.object_]
    Flags = npt.NDArray[np.bool_]

__all__ = ["KINDS", "Barriers", "gather_lines", "mark_borders"]

KINDS = ("barrier", "crossing", "cost")
SHARE = 0.5  # of a border that has to lie along a line
GRID = 0.001  # metres to which shared borders are rounded while they are looked for
MOST_COST = 1000.0
COST_COLUMN = "cost"


def gather_lines(
    barriers: Lines | None, crossings: Lines | None, border_costs: Lines | None, crs: Any
) -> gpd.GeoDataFrame | None:
    """Put barriers, crossings and costs into one layer.

    Parameters
    ----------
    barriers, crossings : GeoDataFrame or GeoSeries, optional
        Lines or areas that no grid spans, and where it may all the same; in any CRS.
    border_costs : GeoDataFrame, optional
        Lines with a column ``cost``: by how much a border along them counts, 0 to 1000.
    crs : CRS
        Into which they are projected.

    Returns
    -------
    GeoDataFrame or None
        Columns ``kind`` (``barrier``, ``crossing`` or ``cost``), ``cost`` and the geometry; None
        where nothing was given.

    Raises
    ------
    CRSError
        If a layer has no CRS.
    InputError
        If costs are missing or not in range, or crossings come without barriers.

    Warns
    -----
    GridpartWarning
        How many shapes were left out for coordinates that no place has.
    """
    import geopandas as gpd

    given = dict(zip(KINDS, (barriers, crossings, border_costs), strict=True))
    if crossings is not None and barriers is None:
        raise InputError("crossings open barriers; there are no barriers")
    parts: list[gpd.GeoDataFrame] = []
    for kind, layer in given.items():
        if layer is None:
            continue
        if layer.crs is None:
            raise CRSError(f"the {kind} layer has no CRS; say which with set_crs('EPSG:...')")
        cost = _costs(layer).to_numpy() if kind == "cost" else np.full(len(layer), np.nan)
        shapes, rows = _usable(layer.geometry, kind, crs)
        columns = {"kind": np.full(len(rows), kind, dtype=object), COST_COLUMN: cost[rows]}
        parts.append(gpd.GeoDataFrame(columns, geometry=shapes, crs=crs))
    return pd.concat(parts, ignore_index=True) if parts else None


def _usable(layer: gpd.GeoSeries, kind: str, crs: Any) -> tuple[Objects, Ints]:
    """Valid shapes in another CRS, without those that have no place there; and their rows."""
    drawn = np.flatnonzero(~(layer.isna() | layer.is_empty))
    rows = drawn[finite(layer.to_numpy()[drawn])]
    shapes = layer.iloc[rows].to_crs(crs).force_2d().to_numpy()
    known = finite(shapes)
    lost = len(drawn) - int(known.sum())
    if lost:
        warnings.warn(
            f"{lost} of {len(drawn)} shapes of the {kind} layer are left out: they have "
            "coordinates that are not finite numbers, or lie where the CRS is not defined",
            GridpartWarning,
            stacklevel=4,
        )
    shapes, rows = shapes[known], rows[known]
    broken = ~shapely.is_valid(shapes)  # an area, such as a lake
    shapes[broken] = shapely.make_valid(shapes[broken])
    return shapes, rows


def _costs(layer: Lines) -> pd.Series:
    if COST_COLUMN not in getattr(layer, "columns", ()):
        raise InputError(f"border costs need a column {COST_COLUMN!r}: 1 counts a border as it is")
    cost = pd.to_numeric(layer[COST_COLUMN], errors="coerce")
    wrong = ~cost.between(0, MOST_COST)
    if wrong.any():
        bad = tuple(f"row {row}: {value}" for row, value in layer[COST_COLUMN][wrong].items())
        raise InputError(Problem("cost", f"costs must be from 0 to {MOST_COST:.0f}", bad))
    return cost


def mark_borders(
    contiguity: Contiguity, units: gpd.GeoDataFrame, lines: gpd.GeoDataFrame, *, tolerance: float
) -> Contiguity:
    """Mark the borders that lie along lines as closed, or give them another cost.

    Parameters
    ----------
    contiguity : Contiguity
        Of the units.
    units : GeoDataFrame of n units
    lines : GeoDataFrame
        As :func:`gather_lines` makes it, in the CRS of the units.
    tolerance : float
        Metres, more than 0, within which a border lies along a line.

    Returns
    -------
    Contiguity
        The same with `closed` and `cost_mm`. Where several costs apply, the lowest counts. What
        was closed before stays so, and costs multiply those there were.

    Warns
    -----
    GridpartWarning
        If a barrier runs through the inside of units, where it closes nothing; and if barriers
        run along no border at all.

    Examples
    --------
    >>> import geopandas as gpd, shapely
    >>> from gridpart.contiguity import build_contiguity
    >>> cells = [shapely.box(x, 0, x + 1, 1) for x in range(3)]
    >>> units = gpd.GeoDataFrame(geometry=cells, crs=32650)
    >>> river = gpd.GeoSeries([shapely.LineString([(1, -9), (1, 9)])], crs=32650)
    >>> lines = gather_lines(river, None, None, units.crs)
    >>> mark_borders(build_contiguity(units), units, lines, tolerance=0.1).closed.tolist()
    [True, True, False, False]
    """
    shapes = units.geometry.to_numpy()
    once = contiguity.rows < contiguity.indices
    edges = np.column_stack([contiguity.rows[once], contiguity.indices[once]])
    of_kind = {kind: lines[lines["kind"] == kind] for kind in KINDS}
    near = _near(shapes, lines.geometry.to_numpy(), tolerance)
    asked = np.flatnonzero(near[edges].all(axis=1))
    shared = shapely.intersection(shapes[edges[asked, 0]], shapes[edges[asked, 1]], grid_size=GRID)

    closed = np.zeros(len(edges), bool)
    barriers = of_kind["barrier"].geometry.to_numpy()
    if barriers.size:
        along = _along(shared, barriers, tolerance)
        _warn_of_barriers(units, shapes, barriers, tolerance, any_border=bool(along.any()))
        open_ = _touched(shared, of_kind["crossing"].geometry.to_numpy(), tolerance)
        closed[asked] = along & ~open_
    factor = np.full(len(edges), np.inf)
    for cost, group in of_kind["cost"].groupby("cost"):
        along = _along(shared, group.geometry.to_numpy(), tolerance)
        factor[asked[along]] = np.minimum(factor[asked[along]], float(cost))
    factor[np.isinf(factor)] = 1
    both = _both_ways(contiguity, once)
    closed = closed[both]
    if contiguity.closed is not None:  # of a graph of the caller's own
        closed |= contiguity.closed
    cost = contiguity.lengths_mm if contiguity.cost_mm is None else contiguity.cost_mm
    cost_mm = np.rint(cost * factor[both]).astype(np.int64)
    return dataclasses.replace(contiguity, closed=closed, cost_mm=cost_mm)


@dataclass(frozen=True, eq=False)
class Barriers:
    """Barriers and crossings, to ask what they keep apart.

    Parameters
    ----------
    lines : GeoDataFrame
        As :func:`gather_lines` makes it.
    tolerance : float
        Metres within which a border lies along a barrier.
    """

    lines: gpd.GeoDataFrame
    tolerance: float

    def between(self, shape: Any, others: Objects) -> Flags:
        """Whether a barrier without crossing lies between a shape and each of its neighbours."""
        shared = shapely.intersection(shape, others, grid_size=GRID)
        kind = self.lines["kind"]
        barriers, crossings = (
            self.lines.geometry[kind == name].to_numpy() for name in ("barrier", "crossing")
        )
        return _along(shared, barriers, self.tolerance) & ~_touched(
            shared, crossings, self.tolerance
        )

    def severed(self, shapes: Objects, least: float) -> list[tuple[int, Any]]:
        """Shapes that lie on both sides of a barrier, and the smaller sides of each.

        Parameters
        ----------
        shapes : ndarray of polygons
        least : float
            Square metres; smaller sides do not count.
        """
        kind = self.lines["kind"]
        barriers = shapely.union_all(self.lines.geometry[kind == "barrier"].to_numpy())
        gaps = shapely.buffer(self.lines.geometry[kind == "crossing"].to_numpy(), self.tolerance)
        strips = shapely.buffer(
            shapely.get_parts(shapely.difference(barriers, shapely.union_all(gaps))), 2 * GRID
        )
        strip, shape = shapely.STRtree(shapes).query(strips, predicate="intersects")
        found = []
        for row in np.unique(shape):
            cut = shapely.difference(shapes[row], shapely.union_all(strips[strip[shape == row]]))
            sides = shapely.get_parts(cut)
            # a barrier that is drawn beside the border, within the tolerance, leaves mere strips
            wide = ~shapely.is_empty(shapely.buffer(sides, -self.tolerance))
            sides = sides[wide & (shapely.area(sides) > least)]
            if sides.size > shapely.get_num_geometries(shapes[row]):
                largest = shapely.area(sides).argmax()
                found.append((int(row), shapely.union_all(np.delete(sides, largest))))
        return found


def _both_ways(contiguity: Contiguity, once: Flags) -> npt.NDArray[np.int64]:
    """For every directed edge its place among the edges listed once."""
    n = np.int64(contiguity.n)
    rows, columns = contiguity.rows, contiguity.indices.astype(np.int64)
    key = np.minimum(rows, columns) * n + np.maximum(rows, columns)
    return np.searchsorted(key[once], key)


def _near(shapes: Objects, lines: Objects, tolerance: float) -> Flags:
    """Units within the tolerance of any line."""
    near = np.zeros(shapes.size, bool)
    near[shapely.STRtree(shapes).query(lines, predicate="dwithin", distance=tolerance)[1]] = True
    return near


def _along(shared: Objects, lines: Objects, tolerance: float) -> Flags:
    """Borders of which at least half lies within the tolerance of the lines."""
    if not shared.size:
        return np.zeros(0, bool)
    # united, a line that was drawn twice counts once
    strips = shapely.buffer(
        shapely.get_parts(shapely.union_all(lines)), tolerance, cap_style="flat"
    )
    border, strip = shapely.STRtree(strips).query(shared, predicate="intersects")
    covered = shapely.length(shapely.intersection(shared[border], strips[strip]))
    length = shapely.length(shared)
    return (np.bincount(border, covered, shared.size) >= SHARE * length) & (length > 0)


def _touched(shared: Objects, crossings: Objects, tolerance: float) -> Flags:
    """Borders that a crossing reaches."""
    touched = np.zeros(shared.size, bool)
    if shared.size and crossings.size:
        tree = shapely.STRtree(shared)
        touched[tree.query(crossings, predicate="dwithin", distance=tolerance)[1]] = True
    return touched


def _warn_of_barriers(
    units: gpd.GeoDataFrame, shapes: Objects, barriers: Objects, tolerance: float, *,
    any_border: bool,
) -> None:  # fmt: skip
    """Say where barriers close nothing."""
    barrier, unit = shapely.STRtree(shapes).query(barriers, predicate="intersects")
    inside = shapely.buffer(shapes[unit], -2 * tolerance)
    # the length of an area is that of its rim
    through = shapely.length(shapely.intersection(barriers[barrier], inside)) > 2 * tolerance
    names = units.index[np.unique(unit[through])]
    if len(names):
        listed = ", ".join(map(str, names[:5])) + (" ..." if len(names) > 5 else "")
        warnings.warn(
            f"barriers run through the inside of {len(names)} units ({listed}), which they cannot "
            "divide; divide these units along them",
            GridpartWarning,
            stacklevel=4,
        )
    if not any_border:
        warnings.warn(
            f"no border of two units lies along a barrier, to within {tolerance:g} m; check the "
            "CRS of the barriers, or raise barrier_tolerance",
            GridpartWarning,
            stacklevel=4,
        )
