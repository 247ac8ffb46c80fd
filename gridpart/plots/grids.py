"""Maps and charts of a plan: ``ax=None`` in, ``ax`` out; nothing is shown or saved.

matplotlib's settings stay as the caller has them. Colours say whether a grid is inside the band of
households: greens inside, violet below, orange above. The three differ in lightness and hue, so
that they stay apart for every kind of colour vision and on a grey print.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import geopandas as gpd
import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from gridpart.errors import CRSError, InputError
from gridpart.plots import cartography as carto
from gridpart.plots.classes import (
    ABOVE,
    BELOW,
    EXCLUSIVE,
    INSIDE,
    MapClass,
    band_classes,
    bar_width,
    bars,
    class_of,
    plain_classes,
)
from gridpart.plots.fonts import Lettering
from gridpart.plots.words import Words, parents_of, words_of

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.font_manager import FontProperties
    from numpy.typing import NDArray

__all__ = ["boundary_outline", "grid_legend", "plot_grids", "plot_sizes"]

BOUNDARY: dict[str, Any] = {"color": carto.INK, "linestyle": (0, (3.5, 1.8))}


class PlanLike(Protocol):
    """What a plan must have to be drawn."""

    @property
    def grids(self) -> gpd.GeoDataFrame:
        """One row per grid."""

    @property
    def rules(self) -> Any:
        """Has the band as `low` and `high`."""


def _unpack(
    plan: PlanLike | gpd.GeoDataFrame, low: int | None, high: int | None, needed: Sequence[str]
) -> tuple[gpd.GeoDataFrame, int | None, int | None]:
    if isinstance(plan, gpd.GeoDataFrame):
        grids = plan
    else:
        grids = plan.grids
        low = plan.rules.low if low is None else low
        high = plan.rules.high if high is None else high
    missing = [name for name in needed if name not in grids.columns]
    if missing:
        raise InputError(
            f"the grids have no column {missing[0]!r}; they have: {', '.join(map(str, grids))}"
        )
    if (low is None) != (high is None) or (low is not None and high is not None and low > high):
        raise InputError(f"a band needs low <= high, got low={low}, high={high}")
    if not len(grids):
        raise InputError("there is no grid to draw")
    return grids, low, high


def _exclusive(grids: gpd.GeoDataFrame) -> pd.Series:
    if "kind" not in grids.columns:
        return pd.Series(data=False, index=grids.index)
    return grids["kind"] == "exclusive"


def _exceptions(
    grids: gpd.GeoDataFrame, column: str, low: int | None, high: int | None
) -> pd.Series:
    if "in_band" in grids.columns:
        outside = ~grids["in_band"].astype(bool)
    elif low is not None and column == "households":
        outside = ~grids[column].between(low, high)
    else:
        outside = pd.Series(data=False, index=grids.index)
    return outside & ~_exclusive(grids)


def _classes(
    grids: gpd.GeoDataFrame, column: str, cmap: str, low: int | None, high: int | None
) -> list[MapClass]:
    if not pd.api.types.is_numeric_dtype(grids[column]):
        raise InputError(f"column={column!r} holds no numbers, so it has no classes")
    if column == "households" and low is not None and high is not None:
        return band_classes(low, high, cmap=cmap)
    return plain_classes(grids[column].to_numpy(dtype=float), cmap=cmap)


def grid_legend(
    plan: PlanLike | gpd.GeoDataFrame,
    *,
    column: str = "households",
    cmap: str = "YlGn",
    low: int | None = None,
    high: int | None = None,
    boundary: bool = False,
) -> list[Artist]:
    """Legend entries of :func:`plot_grids`, with the number of grids in each class.

    Parameters
    ----------
    plan : Plan or GeoDataFrame
        As for :func:`plot_grids`, with the same `column`, `cmap`, `low` and `high`.
    boundary : bool, default False
        Add an entry for the boundary of the territory.

    Returns
    -------
    list of Artist
        Handles, each with its label. Classes that no grid falls into are left out, except those
        inside the band.

    Examples
    --------
    >>> import geopandas as gpd, shapely
    >>> grids = gpd.GeoDataFrame(
    ...     {"grid": ["a", "b"], "households": [150, 320]},
    ...     geometry=shapely.box([0, 100], 0, [100, 200], 100), crs="EPSG:4547")
    >>> [entry.get_label() for entry in grid_legend(grids, low=200, high=500)][:3]
    ['below 200  (1)', '200–299  (0)', '300–399  (1)']
    """
    grids, low, high = _unpack(plan, low, high, [column])
    classes = _classes(grids, column, cmap, low, high)
    exclusive = _exclusive(grids)
    members = class_of(grids.loc[~exclusive, column], classes)
    handles: list[Artist] = []
    for i, part in enumerate(classes):
        count = int((members == i).sum())
        if count or part.color not in (BELOW, ABOVE):
            handles.append(
                Patch(facecolor=part.color, edgecolor="#777777", label=f"{part.label}  ({count:,})")
            )
    if exclusive.any():
        handles.append(
            Patch(
                facecolor=EXCLUSIVE,
                edgecolor="#777777",
                hatch="////",
                label=f"exclusive {words_of(plan).area}  ({int(exclusive.sum()):,})",
            )
        )
    outside = _exceptions(grids, column, low, high)
    if outside.any():
        label = f"outside the band  ({int(outside.sum()):,})"
        handles.append(
            Patch(facecolor="none", edgecolor=carto.EXCEPTION, linewidth=1.6, label=label)
        )
    if _communities(plan) is not None:
        label = f"{words_of(plan).parent} border"
        handles.append(Line2D([], [], color=carto.INK, linewidth=1.4, label=label))
    if boundary:
        handles.append(Line2D([], [], linewidth=1.5, label="boundary", **BOUNDARY))
    return handles


def _communities(plan: PlanLike | gpd.GeoDataFrame) -> gpd.GeoSeries | None:
    """Shape of every community, or None where there are not two of them.

    A plan knows those of its units; of grids alone they are made.
    """
    known: gpd.GeoSeries | None = getattr(plan, "communities", None)
    if known is not None:
        return known if len(known) > 1 else None
    grids = plan if isinstance(plan, gpd.GeoDataFrame) else plan.grids
    if "within" not in grids.columns or grids["within"].nunique() < 2:
        return None
    shapes: gpd.GeoSeries = grids.geometry.groupby(grids["within"]).apply(
        lambda part: part.union_all()
    )
    return gpd.GeoSeries(shapes, crs=grids.crs)


def _draw_areas(
    ax: Axes, grids: gpd.GeoDataFrame, values: pd.Series, classes: Sequence[MapClass]
) -> None:
    thin: dict[str, Any] = {"edgecolor": "#666666", "linewidth": 0.4, "aspect": None, "zorder": 1}
    exclusive = _exclusive(grids).to_numpy()
    # The colour after the last class is for a grid without a value.
    palette = np.array([*(part.color for part in classes), "#ffffff"])
    colors = palette[class_of(values, classes)]
    if not exclusive.all():
        grids[~exclusive].plot(ax=ax, color=list(colors[~exclusive]), **thin)
    if exclusive.any():
        grids[exclusive].plot(ax=ax, color=EXCLUSIVE, hatch="////", **thin)


def _draw_lines(
    ax: Axes, shapes: gpd.GeoSeries | None, *, color: str, linewidth: float, **style: Any
) -> None:
    if shapes is not None and len(shapes):
        lines = shapes.where(shapes.geom_type.str.contains("Line"), shapes.boundary)
        lines.plot(ax=ax, color=color, linewidth=linewidth, aspect=None, **style)


def boundary_outline(boundary: Any, crs: Any) -> gpd.GeoSeries | None:
    """Boundary of the territory in the CRS of the map."""
    if boundary is None:
        return None
    if not isinstance(boundary, (gpd.GeoDataFrame, gpd.GeoSeries)):
        return gpd.GeoSeries([boundary], crs=crs)
    if boundary.crs is None:
        raise CRSError("the boundary has no CRS; set the one it is in with set_crs(...)")
    return boundary.geometry.to_crs(crs)


def _extent(grids: gpd.GeoDataFrame, outline: gpd.GeoSeries | None) -> tuple[float, ...]:
    """West, south, east and north of all that is drawn."""
    both = [grids.total_bounds] if outline is None else [grids.total_bounds, outline.total_bounds]
    corners = np.array(both)
    return (*corners[:, :2].min(axis=0), *corners[:, 2:].max(axis=0))


def _new_map(bounds: tuple[float, ...]) -> Axes:
    west, south, east, north = bounds
    tall = 8 * (north - south) / max(east - west, 1e-9) + 1.2
    size = (10, min(max(tall, 4), 12))
    return plt.figure(figsize=size, layout="constrained").add_subplot()


def _frame_map(ax: Axes, bounds: Any, *, foot: bool) -> None:
    """Equal aspect, no ticks, and a strip below the map for the scale bar."""
    west, south, east, north = bounds
    side = max(east - west, north - south)
    ax.set_xlim(west - 0.02 * side, east + 0.02 * side)
    ax.set_ylim(south - (0.11 if foot else 0.02) * side, north + 0.02 * side)
    ax.set_aspect("equal")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_xlabel("")  # geopandas names the axes of the CRS
    ax.set_ylabel("")
    for spine in ax.spines.values():
        spine.set_visible(False)


def _add_legend(ax: Axes, handles: list[Artist], *, title: str, letters: Lettering) -> None:
    figure: Any = ax.get_figure()
    place: dict[str, Any] = {"loc": "best"}
    if figure.get_layout_engine() is not None:  # it makes room for what stands beside the axes
        place = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0), "borderaxespad": 0.0}
    legend = ax.legend(
        handles=handles, title=title, fontsize=8, title_fontsize=8, framealpha=0.9, **place
    )
    legend.get_title().set(**letters.style(title), size=8)
    legend.get_frame().set_linewidth(0.4)
    legend.set_zorder(9)


def plot_grids(
    plan: PlanLike | gpd.GeoDataFrame,
    *,
    ax: Axes | None = None,
    label: str | None = "auto",
    column: str = "households",
    cmap: str = "YlGn",
    low: int | None = None,
    high: int | None = None,
    boundary: Any = None,
    communities: bool = True,
    scale_bar: bool = True,
    legend: bool = True,
    title: str | None = None,
    source: str | None = None,
    font: str | Path | FontProperties | None = None,
) -> Axes:
    """Draw the map of a plan: grids by households, their codes, community borders, a scale.

    Parameters
    ----------
    plan : Plan or GeoDataFrame
        A plan, or its grids alone: a column `households`, and where known `grid`, `grid_code`,
        `within`, `kind` and `in_band`.
    ax : Axes, optional
        Where to draw. By default a new figure, 10 inches wide and as high as the map needs.
    label : {"auto", "serial", "code", "grid"}, column name or None, default "auto"
        What is written on a grid: the last three characters of its code, the whole code, its id,
        or any column. ``"auto"`` is the serial where there are codes, else the id without the
        community that it begins with. A label that does not fit into its grid on paper is made
        smaller, and below 5 points left out; a note under the map says how many were.
    column : str, default "households"
        The quantity shown.
    cmap : str, default "YlGn"
        Name of the colours inside the band.
    low, high : int, optional
        The band in households, if `plan` does not carry it.
    boundary : GeoDataFrame, GeoSeries or shapely geometry, optional
        Outline of the territory, drawn dashed. A bare geometry is in the CRS of the grids.
    communities : bool, default True
        Draw the borders of communities thicker, and their names off all labels: smaller, on
        several lines or a little across their border where they must. The note counts those left
        out.
    scale_bar : bool, default True
        Draw a scale bar of round length in metres or kilometres, and a north arrow (grid north).
    legend : bool, default True
        Draw the legend: beside the map in a figure of its own or one with constrained layout,
        else inside the given axes.
    title, source : str, optional
        Heading, and a line below the map that names the source of the data.
    font : str, path or FontProperties, optional
        Family or file for all labels. By default each text keeps the current font if that can
        write it, and gets an installed Chinese one if not.

    Returns
    -------
    Axes
        The axes drawn into.

    Raises
    ------
    InputError
        For an unknown column, label or font, or grids without a row.
    CRSError
        If the grids have no CRS: a map without one has no scale.

    Warns
    -----
    GridpartWarning
        If coordinates in degrees are projected for drawing, or no font can write the labels.

    Notes
    -----
    A label stands at the centre of the largest circle inside its grid, as in Garcia-Castellanos
    and Lombardo (2007), "Poles of inaccessibility", doi:10.1080/14702540801897809.

    Examples
    --------
    >>> import geopandas as gpd, shapely
    >>> grids = gpd.GeoDataFrame(
    ...     {"grid_code": ["420583001001001", "420583001001002"], "households": [250, 320]},
    ...     geometry=shapely.box([0, 400], 0, [400, 800], 300), crs="EPSG:4547")
    >>> ax = plot_grids(grids, low=200, high=500)
    >>> [text.get_text() for text in ax.texts][:2]
    ['001', '002']
    """
    grids, low, high = _unpack(plan, low, high, [column])
    grids, metres = carto.in_metres(grids)
    parents = parents_of(plan)
    known = {} if parents is None else dict(zip(parents["grid"], parents["grid_code"], strict=True))
    texts = carto.label_texts(grids, label, known)
    classes = _classes(grids, column, cmap, low, high)
    outline = boundary_outline(boundary, grids.crs)
    if ax is None:
        ax = _new_map(_extent(grids, outline))
    words = words_of(plan)
    shapes = _communities(plan) if communities else None
    if shapes is not None:
        shapes = shapes.to_crs(grids.crs)
        shapes.index = carto.parent_names(shapes.index, parents)
    names = [] if shapes is None else [str(name) for name in shapes.index]
    heading = words.heading(column)
    letters = Lettering([*texts, *names, heading, title or "", source or ""], font=font)
    _draw_areas(ax, grids, grids[column], classes)
    _draw_lines(ax, shapes, color=carto.INK, linewidth=1.4, zorder=3)
    # The white below the dashes parts them from a community border along the same line.
    _draw_lines(ax, outline, color="white", linewidth=2.4, zorder=4)
    _draw_lines(ax, outline, linewidth=1.5, zorder=4.1, **BOUNDARY)
    outside = grids.geometry[_exceptions(grids, column, low, high)]
    _draw_lines(ax, outside, color=carto.EXCEPTION, linewidth=1.6, zorder=5)
    _frame_map(ax, _extent(grids, outline), foot=scale_bar)
    if title:
        ax.set_title(title, **letters.style(title))
    if legend:
        given: dict[str, Any] = {"low": low, "high": high, "boundary": outline is not None}
        handles = grid_legend(plan, column=column, cmap=cmap, **given)
        _add_legend(ax, handles, title=heading, letters=letters)
    nameless = 0
    taken, left_out = carto.draw_labels(ax, grids, texts, letters=letters)
    if shapes is not None:
        nameless = carto.draw_community_names(ax, shapes, taken, letters=letters)
    if scale_bar:
        end = carto.draw_scale(ax, metres_per_unit=metres, corner=(0.02, 0.02))
        carto.draw_north(ax, corner=(end + 0.07, 0.015))
    notes = [source] if source else []
    if left_out:
        notes.append(f"{left_out} of {sum(map(bool, texts))} labels left out for want of room")
    if nameless:
        notes.append(f"{nameless} of {len(names)} {words.parent} names left out for want of room")
    if notes:
        carto.draw_note(ax, " · ".join(notes), letters=letters)
    return ax


def plot_sizes(
    plan: PlanLike | gpd.GeoDataFrame,
    *,
    ax: Axes | None = None,
    width: int | None = None,
    low: int | None = None,
    high: int | None = None,
    title: str | None = None,
    font: str | Path | FontProperties | None = None,
) -> Axes:
    """Draw how many grids have how many households, with the band shaded.

    Parameters
    ----------
    plan : Plan or GeoDataFrame
        A plan, or its grids alone with a column `households`. Exclusive grids are not counted:
        the band does not bind them.
    ax : Axes, optional
        Where to draw. By default a new figure of 7 by 4 inches.
    width : int, optional
        Households per bar. By default a round number that divides the band, into 8 bars or more
        where that leaves no more than 60 in all.
    low, high : int, optional
        The band in households, if `plan` does not carry it.
    title : str, optional
        Heading.
    font : str, path or FontProperties, optional
        As for :func:`plot_grids`.

    Returns
    -------
    Axes
        The axes drawn into.

    Raises
    ------
    InputError
        Without a band, without a column `households`, or without a grid.

    Examples
    --------
    >>> import geopandas as gpd, shapely
    >>> grids = gpd.GeoDataFrame(
    ...     {"households": [150, 320, 500]},
    ...     geometry=shapely.box([0, 100, 200], 0, [100, 200, 300], 100), crs="EPSG:4547")
    >>> ax = plot_sizes(grids, low=200, high=500)
    >>> ax.texts[0].get_text()
    '2 of 3 grids in the band 200–500; median 320'
    """
    grids, low, high = _unpack(plan, low, high, ["households"])
    if low is None or high is None:
        raise InputError("a band is needed: give low= and high=")
    values = grids.loc[~_exclusive(grids), "households"].to_numpy(dtype=float)
    if not values.size:
        raise InputError("every grid is exclusive, so the band binds none of them")
    if ax is None:
        ax = plt.figure(figsize=(7, 4), layout="constrained").add_subplot()
    lefts, rights, counts = bars(values, low, high, width or bar_width(low, high, values))
    colors = np.where(rights <= low, BELOW, np.where(lefts >= high, ABOVE, INSIDE))
    ax.axvspan(low, high, color="#e3f1e1", zorder=0)
    ax.bar(lefts, counts, rights - lefts, align="edge", color=colors, edgecolor="white", zorder=2)
    words = words_of(plan)
    _describe_band(ax, values, low, high, words)
    letters = Lettering([title or ""], font=font)
    if title:
        ax.set_title(title, pad=28, **letters.style(title))
    ax.set_xlabel(f"Households per {words.area}")
    ax.set_ylabel(words.areas[:1].upper() + words.areas[1:])
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _describe_band(ax: Axes, values: NDArray[Any], low: int, high: int, words: Words) -> None:
    """Lines at both ends of the band, and how many areas lie below, inside and above."""
    for end in (low, high):
        ax.axvline(end, color=carto.INK, linewidth=0.8, linestyle=":", zorder=3)
    # Above the axes, where no line and no bar crosses them however narrow the band is.
    below, above = int((values < low).sum()), int((values > high).sum())
    inside = len(values) - below - above
    middle = f"{inside:,} of {len(values):,} {words.areas} in the band {low:,}–{high:,}"
    middle += f"; median {np.median(values):,.0f}"
    notes = [(middle, 0.5, 14, "center")]
    notes += [(f"{below:,} below {low:,}", 0.0, 3, "left")] if below else []
    notes += [(f"{above:,} above {high:,}", 1.0, 3, "right")] if above else []
    for text, across, points, side in notes:
        ax.annotate(
            text,
            (across, 1.0),
            (0, points),
            xycoords="axes fraction",
            textcoords="offset points",
            ha=side,
            va="bottom",
            fontsize=8,
        )
