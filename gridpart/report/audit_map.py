"""The map of an audit page: zones and findings as paths of one inline SVG drawing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import NDArray

if TYPE_CHECKING:
    import geopandas as gpd

__all__ = ["AuditMap", "Mark", "Shape", "draw_map"]

WIDTH = 1000.0
MARGIN = 16.0
MOST_LABELS = 160
MOST_MARKS = 200  # rings of one finding; a group may have thousands of places


@dataclass(frozen=True)
class Shape:
    """A path of the drawing with the name it shows."""

    path: str
    name: str = ""
    x: float = 0.0
    y: float = 0.0


@dataclass(frozen=True)
class Mark:
    """One finding on the map: its shape, and rings that show where it is however small it is."""

    row: int
    severity: str
    name: str
    path: str
    lines: bool
    rings: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class AuditMap:
    """Everything the template draws, in pixels of a drawing `width` wide."""

    width: float
    height: float
    zones: tuple[Shape, ...]
    boundary: str
    marks: tuple[Mark, ...]
    labelled: bool
    scale_px: float
    scale_text: str


class _Frame:
    """Turns metres into pixels, north up."""

    def __init__(self, bounds: NDArray[np.float64]) -> None:
        west, south, east, north = bounds
        size = max(east - west, (north - south), 1e-6)
        self.scale = (WIDTH - 2 * MARGIN) / size
        self.west, self.north = west, north
        self.width = (east - west) * self.scale + 2 * MARGIN
        self.height = (north - south) * self.scale + 2 * MARGIN

    def pixels(self, coords: NDArray[np.float64]) -> NDArray[np.float64]:
        x = (coords[:, 0] - self.west) * self.scale + MARGIN
        y = (self.north - coords[:, 1]) * self.scale + MARGIN
        return np.column_stack([x, y])

    def path(self, shape: Any, *, detail: float = 0.5) -> str:
        """SVG path of the lines and rings of a shape, simplified to `detail` pixels."""
        shape = shapely.simplify(shape, detail / self.scale)
        closed = shapely.get_dimensions(shape) == 2
        lines = shapely.get_parts(shapely.boundary(shape) if closed else shape)
        text = []
        for line in lines:
            if line.geom_type in ("LineString", "LinearRing"):
                points = self.pixels(shapely.get_coordinates(line))
                text.append("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points))
        return "Z".join(text) + ("Z" if closed and text else "")


def draw_map(
    findings: gpd.GeoDataFrame,
    zones: gpd.GeoDataFrame | None,
    boundary: Any,
    *,
    names: list[str],
) -> AuditMap | None:
    """Lay out the drawing; None if there is nothing that has a place.

    Parameters
    ----------
    findings : GeoDataFrame
        From the audit; gives the CRS of the drawing.
    zones, boundary : GeoDataFrame or GeoSeries, optional
        Drawn below the findings, projected if need be.
    names : list of str
        What each zone is called.
    """
    ground = _shapes(zones, findings.crs)
    border = _shapes(boundary, findings.crs)
    places = _shapes(findings, findings.crs)
    everything = np.concatenate([ground, border, places])
    everything = everything[~shapely.is_empty(everything)]
    if not len(everything):
        return None
    frame = _Frame(shapely.total_bounds(everything))
    metres, text = _round_length(frame.width / frame.scale / 5)
    return AuditMap(
        width=frame.width,
        height=frame.height,
        zones=tuple(_zone(frame, *pair) for pair in zip(ground, names, strict=True)),
        boundary=frame.path(shapely.union_all(shapely.make_valid(border))) if len(border) else "",
        marks=tuple(_marks(frame, findings, places)),
        labelled=len(names) <= MOST_LABELS,
        scale_px=metres * frame.scale,
        scale_text=text,
    )


def _shapes(layer: Any, crs: Any) -> NDArray[np.object_]:
    """Shapes of a layer in a CRS, empty where there is none or a coordinate is no number."""
    if layer is None:
        return np.empty(0, dtype=object)
    series = layer.geometry
    if crs is not None and series.crs is not None and series.crs != crs:
        series = series.to_crs(crs)
    shapes = np.asarray(series, dtype=object).copy()
    coords, rows = shapely.get_coordinates(shapes, return_index=True)
    shapes[rows[~np.isfinite(coords).all(axis=1)]] = None
    shapes[shapely.is_missing(shapes)] = shapely.Point()
    return shapes


def _zone(frame: _Frame, shape: Any, name: str) -> Shape:
    if shape.is_empty:
        return Shape("", name)
    spot = frame.pixels(shapely.get_coordinates(shapely.point_on_surface(shape)))[:1]
    x, y = spot[0] if len(spot) else (0.0, 0.0)
    return Shape(frame.path(shape), name, round(float(x), 1), round(float(y), 1))


def _marks(frame: _Frame, findings: Any, shapes: NDArray[np.object_]) -> list[Mark]:
    """Marks in reverse order, so that the gravest are drawn on top."""
    marks = []
    columns = zip(findings["severity"], findings["check"], shapes, strict=True)
    for row, (severity, check, shape) in enumerate(columns):
        if shape.is_empty:
            continue
        parts = shapely.get_parts(shape)[:MOST_MARKS]
        spots = frame.pixels(shapely.get_coordinates(shapely.point_on_surface(parts)))
        flat = shapely.get_dimensions(shape) == 0
        marks.append(
            Mark(
                row=row,
                severity=severity,
                name=check,
                path="" if flat else frame.path(shape, detail=0.1),
                lines=shapely.get_dimensions(shape) == 1,
                rings=tuple((round(float(x), 1), round(float(y), 1)) for x, y in spots),
            )
        )
    return marks[::-1]


def _round_length(metres: float) -> tuple[float, str]:
    """Largest of 1, 2 or 5 times a power of ten that is not longer."""
    power = 10.0 ** np.floor(np.log10(max(metres, 1e-6)))
    length = max(step * power for step in (1, 2, 5) if step * power <= metres * (1 + 1e-9))
    return length, f"{length / 1000:g} km" if length >= 1000 else f"{length:g} m"
