"""The parts of a map: labels that fit, a scale bar, a north arrow."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from itertools import combinations, islice, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import shapely
from matplotlib import patheffects
from matplotlib.patches import Polygon, Rectangle

from gridpart.errors import CRSError, GridpartWarning, InputError

if TYPE_CHECKING:
    import geopandas as gpd
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from gridpart.plots.fonts import Lettering

__all__ = [
    "EXCEPTION",
    "draw_community_names",
    "draw_labels",
    "draw_north",
    "draw_note",
    "draw_scale",
    "in_metres",
    "label_texts",
    "parent_names",
    "points_per_unit",
]

EXCEPTION = "#c1121f"
INK = "#222222"
LABELS = ("auto", "serial", "code", "grid")
SERIAL_DIGITS = 3
LABEL_SIZES = (8.0, 7.0, 6.0, 5.0)  # points; smaller cannot be read on paper
NAME_STYLE: dict[str, Any] = {
    "color": "#123a5c",
    "weight": "bold",
    "linespacing": 1.0,
    "zorder": 7,
}
NAME_SIZES = (10.0, 8.5, 7.0, 6.0, 5.0)
NAME_INSIDE = 0.75  # share of a name that must lie in its community where it finds no room inside
WIDE_SIGNS = 0x2E7F  # from here on, letters are as wide as high
MOST_LINES, MOST_CUTS = 4, 500
FITS = 0.93  # share of a label's box that must lie inside its grid


def in_metres(frame: gpd.GeoDataFrame) -> tuple[gpd.GeoDataFrame, float]:
    """Return the frame in a projected CRS, and the metres of one unit of it.

    Raises
    ------
    CRSError
        If the frame has no CRS.
    """
    if frame.crs is None:
        raise CRSError(
            "the grids have no CRS, so there is no scale; set the one they are in with "
            "grids.set_crs(...), such as grids.set_crs('EPSG:4547')"
        )
    if frame.crs.is_geographic:
        target = frame.estimate_utm_crs()
        warnings.warn(
            f"grids in {frame.crs.name} (degrees) are drawn in {target.name}",
            GridpartWarning,
            stacklevel=3,
        )
        frame = frame.to_crs(target)
    return frame, float(frame.crs.axis_info[0].unit_conversion_factor)


def _serials(codes: pd.Series, parents: Mapping[Any, Any], within: Any) -> list[str]:
    """What follows in each code on that of its parent, if it has one, else the last digits."""

    def serial(code: str, parent: Any) -> str:
        inside = isinstance(parent, str) and code.startswith(parent) and len(code) > len(parent)
        return code[len(parent) :] if inside else code[-SERIAL_DIGITS:]

    return [
        serial(str(code), parents.get(name)) if pd.notna(code) else ""
        for code, name in zip(codes, within, strict=True)
    ]


def _short_ids(grids: gpd.GeoDataFrame) -> list[str]:
    """Ids of grids without the community that they begin with, as in ``"Neucheng-001"``."""
    pairs = zip(grids["grid"].astype(str), grids["within"].astype(str), strict=True)
    return [grid.removeprefix(f"{within}-") for grid, within in pairs]


def label_texts(
    grids: gpd.GeoDataFrame, label: str | None, parents: Mapping[Any, Any] | None = None
) -> list[str]:
    """The label of every grid; empty where there is none.

    `parents` are codes of what the areas lie in, by its name, where that has codes.
    """
    coded = "grid_code" in grids.columns and grids["grid_code"].notna().any()
    if label is None:
        return [""] * len(grids)
    if label == "auto":
        if not coded and {"grid", "within"} <= set(grids.columns):
            return _short_ids(grids)
        label = "serial" if coded else "grid" if "grid" in grids.columns else None
        return label_texts(grids, label, parents)
    if label in ("serial", "code") and not coded:
        raise InputError(f"label={label!r} needs a plan with codes; see gridpart.assign_codes")
    column = {"serial": "grid_code", "code": "grid_code"}.get(label, label)
    if column not in grids.columns:
        columns = ", ".join(map(str, grids.columns))
        raise InputError(
            f"label={label!r}: choose one of {', '.join(LABELS)}, None or a column: {columns}"
        )
    if label == "serial":
        within = grids["within"] if "within" in grids.columns else [None] * len(grids)
        return _serials(grids[column], parents or {}, within)
    return [str(value) if pd.notna(value) else "" for value in grids[column]]


def parent_names(names: pd.Index, parents: gpd.GeoDataFrame | None) -> list[str]:
    """Communities by their names; grids and areas of other levels as their own map has them."""
    if parents is None:
        return [str(name) for name in names]
    short = dict(zip(parents["grid"], label_texts(parents, "auto"), strict=True))
    return [short.get(name) or str(name) for name in names]


def points_per_unit(ax: Axes) -> float:
    """How many typographic points one map unit takes on paper."""
    figure: Any = ax.get_figure()
    if figure.get_layout_engine() is not None:
        figure.draw_without_rendering()
    ax.apply_aspect()
    left, right = ax.get_xlim()
    return float(ax.get_window_extent().width / figure.dpi * 72 / (right - left))


def _box_size(texts: Sequence[str]) -> NDArray[np.float64]:
    """Width and height of texts in multiples of their font size, estimated."""
    widths = [sum(1.0 if ord(sign) > WIDE_SIGNS else 0.62 for sign in text) for text in texts]
    return np.column_stack([np.array(widths, dtype=float), np.full(len(texts), 0.85)])


def _boxes(points: NDArray[Any], sizes: NDArray[Any]) -> NDArray[Any]:
    half = sizes / 2
    return np.asarray(
        shapely.box(
            points[:, 0] - half[:, 0],
            points[:, 1] - half[:, 1],
            points[:, 0] + half[:, 0],
            points[:, 1] + half[:, 1],
        )
    )


def _inner_points(shapes: NDArray[Any]) -> NDArray[Any]:
    """Centre of the largest circle inside each shape."""
    extent = shapely.bounds(shapes)
    sides = np.column_stack([extent[:, 2] - extent[:, 0], extent[:, 3] - extent[:, 1]])
    circles = shapely.maximum_inscribed_circle(shapes, tolerance=sides.max(axis=1) / 50)
    return np.asarray(shapely.get_coordinates(shapely.get_point(circles, 0)))


def place_labels(
    shapes: NDArray[Any], texts: Sequence[str], *, points_per_unit: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find where each text fits inside its shape, and how large.

    Parameters
    ----------
    shapes : array of shapely geometries, shape (n,)
        Polygons in map units.
    texts : sequence of str, length n
        The labels.
    points_per_unit : float
        Typographic points per map unit.

    Returns
    -------
    points : array, shape (n, 2)
        Centre of the largest inscribed circle; ``nan`` where no text is wanted or fits.
    sizes : array, shape (n,)
        Font size in points, 0 where the text does not fit.
    """
    count = len(shapes)
    points, sizes = np.full((count, 2), np.nan), np.zeros(count)
    shares = _box_size(texts) / points_per_unit
    room = shapely.area(shapes)
    open_ = np.array([bool(text) for text in texts], dtype=bool)
    open_ &= room > (shares * LABEL_SIZES[-1]).prod(axis=1)
    rows = np.flatnonzero(open_)
    if not rows.size:
        return points, sizes
    centres = _inner_points(shapes[rows])
    shapely.prepare(shapes)
    for size in LABEL_SIZES:
        boxes = _boxes(centres, shares[rows] * size)
        inside = shapely.area(shapely.intersection(boxes, shapes[rows])) / shapely.area(boxes)
        fits = (sizes[rows] == 0) & (inside >= FITS)
        sizes[rows[fits]] = size
        points[rows[fits]] = centres[fits]
    return points, sizes


def _halo(width: float) -> list[patheffects.AbstractPathEffect]:
    return [patheffects.withStroke(linewidth=width, foreground="white", alpha=0.85)]


def _write(ax: Axes, point: Any, text: str, letters: Lettering, **style: Any) -> None:
    size = style.pop("fontsize")
    style |= letters.style(text)
    artist = ax.text(point[0], point[1], text, ha="center", va="center", clip_on=True, **style)
    artist.set_fontsize(size)
    artist.set_path_effects(_halo(size / 4))


def draw_labels(
    ax: Axes, grids: gpd.GeoDataFrame, texts: Sequence[str], *, letters: Lettering
) -> tuple[NDArray[Any], int]:
    """Write the labels that fit; return their boxes on the map and how many were left out."""
    scale = points_per_unit(ax)
    shapes = np.asarray(grids.geometry.array)
    points, sizes = place_labels(shapes, texts, points_per_unit=scale)
    shown = np.flatnonzero(sizes)
    if shown.size:
        # One size for nearly all reads calmer than a size for each grid.
        common = np.quantile(sizes[shown], 0.25)
        sizes[shown] = np.minimum(sizes[shown], common)
    for row in map(int, shown):
        _write(ax, points[row], texts[row], letters, fontsize=sizes[row], color=INK, zorder=6)
    boxes = _boxes(points[shown], _box_size(texts)[shown] / scale * sizes[shown, None])
    wanted = sum(bool(text) for text in texts)
    return boxes, wanted - len(shown)


def draw_community_names(
    ax: Axes,
    communities: gpd.GeoSeries,
    taken: NDArray[Any],
    *,
    letters: Lettering,
) -> int:
    """Write each community's name where it hides no label; return how many found no room."""
    scale = points_per_unit(ax)
    left_out = 0
    for name, shape in communities.items():
        forms = [(form, _name_box(ax, form, letters)) for form in wrapped(str(name))]
        spot = _free_spot(shape, forms, taken, scale)
        if spot is None:
            left_out += 1
            continue
        point, size, box, text = spot
        taken = np.append(taken, box)
        _write(ax, point, text, letters, fontsize=size, **NAME_STYLE)
    return left_out


def wrapped(text: str) -> list[str]:
    r"""The text on one line, on two and on three, as even as its words allow.

    Examples
    --------
    >>> wrapped("East Lake Gardens")
    ['East Lake Gardens', 'East Lake\nGardens', 'East\nLake\nGardens']
    >>> wrapped("东湖花园社区")[1]
    '东湖花\n园社区'
    """
    words = text.split()
    forms = [text]
    if len(words) == 1 and max(map(ord, text)) > WIDE_SIGNS:
        counts = range(2, min(MOST_LINES, len(text) // 2) + 1)
        sizes = [math.ceil(len(text) / lines) for lines in counts]
        return forms + ["\n".join(_pieces(text, size)) for size in sizes]
    for lines in range(2, min(MOST_LINES, len(words)) + 1):
        cuts = combinations(range(1, len(words)), lines - 1)
        ways = ([0, *cut, len(words)] for cut in islice(cuts, MOST_CUTS))
        parts = ([" ".join(words[i:j]) for i, j in pairwise(way)] for way in ways)
        forms.append("\n".join(min(parts, key=lambda part: max(map(len, part)))))
    return forms


def _pieces(text: str, size: int) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


def _name_box(ax: Axes, text: str, letters: Lettering) -> NDArray[np.float64]:
    """Width and height of a name on its lines in multiples of the font size, as it is drawn."""
    artist = ax.text(0, 0, text, **NAME_STYLE, **letters.style(text))
    artist.set_fontsize(10)
    with warnings.catch_warnings():
        # A letter that the font lacks is said when the map is drawn.
        warnings.simplefilter("ignore", UserWarning)
        extent = artist.get_window_extent()
    artist.remove()
    figure: Any = ax.get_figure()
    # half a letter's room at the sides, none above and below the ink
    return np.array([extent.width, extent.height]) * 72 / figure.dpi / 10 + (0.4, 0.0)


def _free_spot(
    shape: Any,
    forms: Sequence[tuple[str, NDArray[np.float64]]],
    taken: NDArray[Any],
    scale: float,
) -> tuple[NDArray[Any], float, Any, str] | None:
    """Where a name stands inside its community, or a little across its border, off all labels."""
    west, south, east, north = shape.bounds
    across, up = np.meshgrid(np.linspace(west, east, 41)[1:-1], np.linspace(south, north, 41)[1:-1])
    spots = np.column_stack([across.ravel(), up.ravel()])
    centre = _inner_points(np.array([shape]))[0]
    spots = spots[np.argsort(np.hypot(*(spots - centre).T), kind="stable")]
    tree = shapely.STRtree(taken)
    tries = [(1.0, size, form) for size in NAME_SIZES for form in forms]
    tries += [(NAME_INSIDE, size, form) for size in NAME_SIZES[-2:] for form in forms]
    for inside, size, (form, extent) in tries:
        wide, high = extent * size / scale
        if wide * high * inside > shape.area or (
            inside == 1 and (wide > east - west or high > north - south)
        ):
            continue
        sizes = np.tile((wide, high), (len(spots), 1))
        boxes = _boxes(spots, sizes)
        free = np.ones(len(spots), dtype=bool)
        free[np.unique(tree.query(boxes, predicate="intersects")[0])] = False
        rows = np.flatnonzero(free)
        if inside == 1.0:
            good = shapely.contains_properly(shape, boxes[rows])
        else:
            shares = shapely.area(shapely.intersection(shape, boxes[rows]))
            good = shares >= inside * sizes[rows].prod(axis=1)
        if good.any():
            first = int(rows[np.argmax(good)])
            return spots[first], size, boxes[first], form
    return None


def round_length(longest: float) -> float:
    """The largest of 1, 2, 5 times a power of ten that is not above `longest`.

    Examples
    --------
    >>> round_length(2730.0), round_length(640.0)
    (2000.0, 500.0)
    """
    power = 10.0 ** math.floor(math.log10(longest))
    return next(power * step for step in (5, 2, 1) if power * step <= longest * (1 + 1e-12))


def _points_of_height(ax: Axes) -> float:
    """Share of the height of the axes that one typographic point takes."""
    figure: Any = ax.get_figure()
    return float(figure.dpi / 72 / ax.get_window_extent().height)


def draw_scale(ax: Axes, *, metres_per_unit: float, corner: tuple[float, float]) -> float:
    """Draw a two-part scale bar of round length; `corner` is its lower left in axes shares.

    Returns
    -------
    float
        Where its right end lies, in shares of the axes' width.
    """
    left, right = ax.get_xlim()
    width = (right - left) * metres_per_unit
    length = round_length(width / 4)
    share, height = length / width, 4 * _points_of_height(ax)
    x, y = corner
    for i, color in enumerate((INK, "white")):
        part = Rectangle(
            (x + i * share / 2, y),
            share / 2,
            height,
            transform=ax.transAxes,
            facecolor=color,
            edgecolor=INK,
            linewidth=0.6,
            zorder=8,
        )
        ax.add_patch(part)
    unit, factor = ("km", 1000.0) if length >= 1000 else ("m", 1.0)
    for place, text in ((0.0, "0"), (0.5, ""), (1.0, f"{length / factor:g} {unit}")):
        ax.text(
            x + place * share,
            y + height + 3 * _points_of_height(ax),
            text,
            transform=ax.transAxes,
            fontsize=7,
            ha="left" if place == 0 else "center",
            va="bottom",
            color=INK,
            path_effects=_halo(1.5),
            zorder=8,
        )
    return x + share


def draw_note(ax: Axes, text: str, *, letters: Lettering) -> None:
    """Write a line in small print below the map, at the right."""
    style: dict[str, Any] = dict(letters.style(text))
    note = ax.text(0.995, 0.004, text, transform=ax.transAxes, color="#555555", zorder=8, **style)
    note.set_fontsize(6)
    note.set_horizontalalignment("right")


def draw_north(ax: Axes, *, corner: tuple[float, float]) -> None:
    """Draw an arrow to grid north; `corner` is the middle of its foot in axes shares."""
    box = ax.get_window_extent()
    x, y = corner
    point = _points_of_height(ax)
    height = 24 * point
    half = height * 0.28 * box.height / box.width
    for side, color in ((-1, INK), (1, "white")):
        corners = [(x, y + height), (x + side * half, y), (x, y + height * 0.25)]
        shape = Polygon(
            corners,
            transform=ax.transAxes,
            facecolor=color,
            edgecolor=INK,
            linewidth=0.6,
            zorder=8,
        )
        ax.add_patch(shape)
    ax.text(
        x,
        y + height + 2 * point,
        "N",
        transform=ax.transAxes,
        fontsize=8,
        weight="bold",
        ha="center",
        va="bottom",
        color=INK,
        path_effects=_halo(1.5),
        zorder=8,
    )
