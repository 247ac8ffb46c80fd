"""The map of an audit page: zones and findings as paths of one inline SVG drawing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import NDArray

from gridpart._geometry.segments import finite

if TYPE_CHECKING:
    import geopandas as gpd

__all__ = ["AuditMap", "Mark", "Shape", "draw_map", "shortened"]

WIDTH = 1000.0
MARGIN = 16.0
MOST_LABELS = 2000
WIDE, NARROW, PADDING = 1.0, 0.6, 0.4  # of the font size
MOST_MARKS = 200  # rings of one finding; a group may have thousands of places
LONGEST_LABEL, LONGEST_NAME = 24, 80
# Pixels by which outlines may be simplified: less than is seen when zoomed in, if they are few.
FINE, COARSE, MOST_FINE = 0.1, 0.5, 150_000


@dataclass(frozen=True)
class Shape:
    """A path of the drawing with its name, and a short label with the room it has there."""

    path: str
    name: str = ""
    label: str = ""
    x: float = 0.0
    y: float = 0.0
    width: float = 0.0
    height: float = 0.0

    @property
    def ems(self) -> float:
        """Width of the label in units of its font size: Chinese characters are square."""
        return sum(WIDE if ord(letter) > 0x2E7F else NARROW for letter in self.label) + PADDING


@dataclass(frozen=True)
class Mark:
    """One finding on the map: its shape, and rings that show where it is however small it is.

    A ring is its middle and the size of what it is drawn round, which is seen without it where it
    is large on the screen.
    """

    row: int
    severity: str
    name: str
    path: str
    lines: bool
    rings: tuple[tuple[float, float, float], ...]
    places: int = 0


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
    barrier_lines: str = ""
    barrier_areas: str = ""
    crossings: str = ""
    excluded: str = ""


class _Frame:
    """Turns metres into pixels, north up."""

    def __init__(self, bounds: NDArray[np.float64]) -> None:
        west, south, east, north = bounds
        # of what has no size a metre round it is shown
        room = max(1 - max(east - west, north - south), 0) / 2
        west, south, east, north = west - room, south - room, east + room, north + room
        size = max(east - west, north - south)
        self.scale = (WIDTH - 2 * MARGIN) / size
        self.west, self.north = west, north
        self.width = (east - west) * self.scale + 2 * MARGIN
        self.height = (north - south) * self.scale + 2 * MARGIN

    def pixels(self, coords: NDArray[np.float64]) -> NDArray[np.float64]:
        x = (coords[:, 0] - self.west) * self.scale + MARGIN
        y = (self.north - coords[:, 1]) * self.scale + MARGIN
        return np.column_stack([x, y])

    def path(self, shape: Any, *, detail: float) -> str:
        """SVG path of the lines and rings of a shape, on a raster of `detail` pixels."""
        parts = shapely.get_parts(shapely.get_parts(shape))  # of collections, too
        areas = shapely.get_rings(parts[shapely.get_dimensions(parts) == 2])
        lines = np.concatenate([areas, parts[shapely.get_dimensions(parts) == 1]])
        coords, line = shapely.get_coordinates(lines, return_index=True)
        points = np.rint(self.pixels(coords) / detail).astype(np.int64)
        kept = _needed(points, line)
        texts: list[list[str]] = [[] for _ in lines]
        for k, (x, y) in zip(line[kept], points[kept] * detail, strict=True):
            texts[k].append(f"{x:.1f} {y:.1f}")
        ends = ["Z"] * len(areas) + [""] * (len(lines) - len(areas))
        return "".join(
            f"M{'L'.join(text)}{end}" for text, end in zip(texts, ends, strict=True) if text
        )


def _needed(points: NDArray[np.int64], line: NDArray[np.int64]) -> NDArray[np.int64]:
    """Positions of the points without which the lines would look different."""
    new = np.r_[True, (np.diff(line) != 0) | np.diff(points, axis=0).any(axis=1)][: len(line)]
    kept = np.flatnonzero(new)
    step = np.diff(points[kept], axis=0)
    turns = step[:-1, 0] * step[1:, 1] != step[:-1, 1] * step[1:, 0]
    turns |= (step[:-1] * step[1:]).sum(axis=1) < 0
    ends = np.diff(line[kept]) != 0
    return kept[np.r_[True, turns | ends[:-1] | ends[1:], True][: len(kept)]]


def draw_map(
    findings: gpd.GeoDataFrame,
    zones: gpd.GeoDataFrame | None,
    boundary: Any,
    *,
    names: list[str],
    labels: list[str],
    barriers: Any = None,
    crossings: Any = None,
    excluded: Any = None,
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
    labels : list of str
        What is written on each zone where it fits.
    barriers, crossings, excluded : GeoDataFrame or GeoSeries, optional
        Drawn where they lie in view.
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
    detail = FINE if shapely.get_num_coordinates(ground).sum() <= MOST_FINE else COARSE
    view = shapely.box(*shapely.total_bounds(everything)).buffer(MARGIN / frame.scale, 0)
    lines, areas = _clipped(barriers, findings.crs, view)
    return AuditMap(
        width=frame.width,
        height=frame.height,
        zones=tuple(
            _zone(frame, *zone, detail) for zone in zip(ground, names, labels, strict=True)
        ),
        boundary=frame.path(shapely.union_all(shapely.make_valid(border)), detail=FINE),
        marks=tuple(_marks(frame, findings, places)),
        labelled=len(names) <= MOST_LABELS,
        scale_px=metres * frame.scale,
        scale_text=text,
        barrier_lines=frame.path(lines, detail=FINE),
        barrier_areas=frame.path(areas, detail=FINE),
        crossings=_crossings(frame, crossings, findings.crs, view, [lines, areas]),
        excluded=frame.path(_clipped(excluded, findings.crs, view)[1], detail=FINE),
    )


def _clipped(layer: Any, crs: Any, view: Any) -> tuple[Any, Any]:
    """Lines and areas of a layer that lie in view, each united."""
    shapes = shapely.make_valid(_shapes(layer, crs))
    shapes = shapely.get_parts(shapely.intersection(shapes, view))
    dimensions = shapely.get_dimensions(shapes)
    return (
        shapely.multilinestrings(shapes[dimensions == 1]),
        shapely.union_all(shapes[dimensions == 2]),
    )


def _crossings(frame: _Frame, layer: Any, crs: Any, view: Any, barriers: list[Any]) -> str:
    """SVG path of a dot for each crossing, where it meets its barrier."""
    shapes = _shapes(layer, crs)
    shapes = shapes[shapely.intersects(shapely.make_valid(shapes), view)]
    across = shapely.geometrycollections([shape for shape in barriers if not shape.is_empty])
    if not len(shapes):
        return ""
    if not across.is_empty:
        shapes = shapely.get_point(shapely.shortest_line(across, shapes), 0)
    spots = frame.pixels(shapely.get_coordinates(shapely.centroid(shapes)))
    return "".join(f"M{x:.1f} {y:.1f}h0" for x, y in spots)


def _shapes(layer: Any, crs: Any) -> NDArray[np.object_]:
    """Shapes of a layer in a CRS, empty where there is none or a coordinate is no place's."""
    if layer is None:
        return np.empty(0, dtype=object)
    series = layer.geometry
    if crs is not None and series.crs is not None and series.crs != crs:
        series = series.to_crs(crs)
    shapes = np.asarray(series, dtype=object).copy()
    shapes[~finite(shapes) | shapely.is_missing(shapes)] = shapely.Point()
    return shapes


def _zone(frame: _Frame, shape: Any, name: str, label: str, detail: float) -> Shape:
    name = shortened(name, LONGEST_NAME)
    path = "" if shape.is_empty else frame.path(shape, detail=detail)
    if not path or not shapely.area(shape):
        return Shape(path, name)
    # as the audit mends it; making lines of what collapses would take 30 times as long
    ground = shapely.make_valid(shape, method="structure", keep_collapsed=False)
    if ground.is_empty:
        return Shape(path, name)
    spot = shapely.point_on_surface(ground)
    middle, width, height = _room(ground, spot.x, spot.y)
    x, y = frame.pixels(np.array([[middle, spot.y]]))[0]
    return Shape(
        path,
        name,
        label if len(label) <= LONGEST_LABEL else "",
        round(float(x), 1),
        round(float(y), 1),
        round(width * frame.scale, 1),
        round(height * frame.scale, 1),
    )


def _room(shape: Any, x: float, y: float) -> tuple[float, float, float]:
    """Middle and width of the ground along the row through a point, and its height there."""
    west, south, east, north = shapely.bounds(shape)
    row = _piece(shape, shapely.LineString([(west - 1, y), (east + 1, y)]), shapely.Point(x, y))
    left, _, right, _ = shapely.bounds(row)
    middle = (left + right) / 2
    column = shapely.LineString([(middle, south - 1), (middle, north + 1)])
    _, bottom, _, top = shapely.bounds(_piece(shape, column, shapely.Point(middle, y)))
    # the label is centred, so the nearer edge counts twice
    return middle, right - left, 2 * min(top - y, y - bottom)


def _piece(shape: Any, line: Any, point: Any) -> Any:
    """Part of a line inside a shape that is nearest to a point; the point where there is none."""
    # rounding may leave nothing of a line in a shape of almost no width
    parts = shapely.get_parts(shapely.intersection(shape, line))
    return parts[np.argmin(shapely.distance(parts, point))] if len(parts) else point


def _marks(frame: _Frame, findings: Any, shapes: NDArray[np.object_]) -> list[Mark]:
    """Marks in reverse order, so that the gravest are drawn on top."""
    marks = []
    columns = zip(findings["severity"], findings["check"], shapes, strict=True)
    for row, (severity, check, shape) in enumerate(columns):
        if shape.is_empty:
            continue
        places = shapely.get_parts(shape)
        parts = places[:MOST_MARKS]
        spots = frame.pixels(shapely.get_coordinates(shapely.point_on_surface(parts)))
        west, south, east, north = shapely.bounds(parts).T
        sizes = np.maximum(east - west, north - south) * frame.scale
        flat = shapely.get_dimensions(shape) == 0
        marks.append(
            Mark(
                row=row,
                severity=severity,
                name=check,
                path="" if flat else frame.path(shape, detail=FINE),
                lines=shapely.get_dimensions(shape) == 1,
                rings=tuple(
                    (round(float(x), 1), round(float(y), 1), round(float(size), 1))
                    for (x, y), size in zip(spots, sizes, strict=True)
                ),
                places=len(places),
            )
        )
    return marks[::-1]


def shortened(text: str, longest: int) -> str:
    """Begin of a text that is too long to be read."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _round_length(metres: float) -> tuple[float, str]:
    """Largest of 1, 2 or 5 times a power of ten that is not longer."""
    power = 10.0 ** np.floor(np.log10(max(metres, 1e-6)))
    length = max(step * power for step in (1, 2, 5) if step * power <= metres * (1 + 1e-9))
    return length, f"{length / 1000:g} km" if length >= 1000 else f"{length:g} m"
