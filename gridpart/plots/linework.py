"""Which lines of two plans are the same, although parcels along them were drawn again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

if TYPE_CHECKING:
    import geopandas as gpd

__all__ = ["line_work", "without_slits"]

SAME_LINE = 1.0  # metres within which a line lies where it did


def line_work(old: gpd.GeoDataFrame, new: gpd.GeoDataFrame, frame: Any) -> tuple[Any, Any, Any]:
    """Grid lines that are gone, that are new, and that stay.

    Where parcels were drawn again, a line has other vertices, and is not quite where it was: what
    lies within a metre of the other plan's lines is the same line.

    Parameters
    ----------
    old, new : GeoDataFrame
        Grids, in one projected CRS.
    frame : Polygon
        Lines of the grids that reach into it are wanted.

    Returns
    -------
    gone, fresh, stays : shapely geometries
    """
    width = _width(new)
    now, was = _lines(new, old, frame, width), _lines(old, new, frame, width)
    gone, fresh = _beyond(was, now, width), _beyond(now, was, width)
    return gone, fresh, now.difference(fresh)


def without_slits(shapes: gpd.GeoSeries) -> Any:
    """Shapes without the slits between parcels that do not quite meet."""
    return _closed(shapes.geometry.to_numpy(), _width(shapes))


def _width(frame: gpd.GeoDataFrame | gpd.GeoSeries) -> float:
    """The metre within which lines are the same, in units of the CRS."""
    assert frame.crs is not None
    return SAME_LINE / float(frame.crs.axis_info[0].unit_conversion_factor)


def _lines(grids: gpd.GeoDataFrame, others: gpd.GeoDataFrame, frame: Any, width: float) -> Any:
    """Borders of the grids that reach into the frame, each once; those of `others` as they are."""
    shapes = grids.geometry.to_numpy()
    near = shapes[shapely.intersects(shapes, frame)]
    known = np.isin(shapely.to_wkb(near), shapely.to_wkb(others.geometry.to_numpy()))
    near[~known] = _closed(near[~known], width)
    return shapely.union_all(shapely.boundary(near))


def _closed(shapes: Any, width: float) -> Any:
    """Shapes whose slits narrower than a width are closed."""
    wider = shapely.buffer(shapes, width / 2, join_style="mitre")
    return shapely.buffer(wider, -width / 2, join_style="mitre")


def _beyond(lines: Any, others: Any, width: float) -> Any:
    """Lines that lead away from others, from where they leave them."""
    apart = shapely.get_parts(lines.difference(others.buffer(width)))
    # what only sways about the width was no line of its own
    apart = shapely.multilinestrings(apart[shapely.length(apart) > width])
    return lines.intersection(apart.buffer(2 * width)).difference(others)
