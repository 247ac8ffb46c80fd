"""Barriers and crossings of a plan on its map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import shapely
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D

if TYPE_CHECKING:
    import geopandas as gpd
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

__all__ = ["draw_lines"]

BARRIER: dict[str, Any] = {"color": "#7fb2e0", "linewidth": 4.5}
CROSSING: dict[str, Any] = {
    "marker": "s",
    "markersize": 4.5,
    "color": "white",
    "markeredgecolor": "#2b6fb3",
}


def draw_lines(lines: gpd.GeoDataFrame | None, ax: Axes, view: Any) -> list[Artist]:
    """Draw the barriers and crossings that lie in view, and return entries for the legend.

    Parameters
    ----------
    lines : GeoDataFrame or None
        ``plan.lines``; costs are not drawn.
    ax : Axes
        A map, in the CRS of the lines.
    view : geometry
        What the map shows.

    Returns
    -------
    list of Artist
        One entry for each kind that was drawn.
    """
    if lines is None:
        return []
    entries: list[Artist] = []
    shapes = lines.geometry.intersection(view)
    shapes = shapes[~shapes.is_empty]
    kind = lines["kind"].loc[shapes.index]
    barriers = shapes[kind == "barrier"]
    if len(barriers):
        outlines = barriers.where(barriers.geom_type.str.contains("Line"), barriers.boundary)
        paths = [shapely.get_coordinates(part) for part in shapely.get_parts(outlines.to_numpy())]
        # under the border of a community, which may run along it
        ax.add_collection(LineCollection(paths, zorder=2.5, **BARRIER))
        entries.append(Line2D([], [], label="barrier", **BARRIER))
    crossings = shapes[kind == "crossing"]
    if len(crossings) and len(barriers):
        # where the crossing meets its barrier, not where its ends happen to lie
        spots = shapely.shortest_line(shapely.union_all(barriers.to_numpy()), crossings.to_numpy())
        ends = shapely.get_point(spots, 0)
        ax.plot(shapely.get_x(ends), shapely.get_y(ends), linestyle="", zorder=5, **CROSSING)
        entries.append(Line2D([], [], linestyle="", label="crossing", **CROSSING))
    return entries
