"""The map of what changed between two plans: former lines, new lines, and who changed grid."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import geopandas as gpd
import matplotlib as mpl
import numpy as np
import shapely
from matplotlib import pyplot as plt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from gridpart._io import writing
from gridpart.errors import InputError
from gridpart.plots import cartography as carto
from gridpart.plots.fonts import Lettering
from gridpart.plots.grids import _add_legend, _communities, _draw_lines, _frame_map
from gridpart.plots.linework import line_work, without_slits
from gridpart.plots.sheet import METADATA, TITLE_BREAKS, TITLE_SIZES, _settings, _write
from gridpart.plots.words import parents_of, words_of

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.font_manager import FontProperties
    from numpy.typing import NDArray

    from gridpart._io import PathLike

__all__ = ["plot_changes", "write_changes_map"]

FORMER: dict[str, Any] = {"color": "#c1121f", "linewidth": 1.1, "linestyle": (0, (4, 2.2))}
NEW: dict[str, Any] = {"color": carto.INK, "linewidth": 2.0}
STAYS: dict[str, Any] = {"color": "#8d949b", "linewidth": 0.7}
COMMUNITY: dict[str, Any] = {"color": "#4a5a6a", "linewidth": 1.6}
TOUCHED = "#eef2f6"  # grids whose ground changed, under everything
# Units by what happened: apart in lightness, so that a grey print tells them apart, too.
FILLS = {
    "whole": ("#fdf0cf", "", "unit of a split or merged {area}"),
    "moved": ("#f2b632", "", "unit that went over to another {area}"),
    "new": ("#9fd0b4", "....", "new unit"),
    "vanished": ("#d9d2e4", "xxxx", "unit that is no more"),
}
LABEL_NEW, LABEL_REST = "#8a0d16", "#6b7280"
MARGIN = 0.12  # of the view, around what changed
PANEL, HEAD, BORDER = 3.1, 0.45, 0.3  # inches: legend beside the map, heading above it, margins
LONGEST, HIGHEST, SHORTEST = 11.0, 9.0, 4.0  # inches of the map


class ChangesLike(Protocol):
    """What changes must have to be drawn."""

    @property
    def grids(self) -> gpd.GeoDataFrame:
        """One row per grid of either plan."""

    @property
    def units(self) -> gpd.GeoDataFrame:
        """Units that moved, are new or vanished."""

    @property
    def old_grids(self) -> gpd.GeoDataFrame:
        """Grids as they were."""

    @property
    def new_grids(self) -> gpd.GeoDataFrame:
        """Grids as they are."""


def plot_changes(
    changes: ChangesLike | Any,
    new: Any = None,
    *,
    ax: Axes | None = None,
    zoom: bool = True,
    labels: bool = True,
    legend: bool = True,
    scale_bar: bool = True,
    title: str | None = None,
    source: str | None = None,
    font: str | Path | FontProperties | None = None,
) -> Axes:
    """Draw what changed between two plans.

    Parameters
    ----------
    changes : Changes or Plan
        What :func:`gridpart.change_table` returned; or the old plan, with the new one in `new`.
    new : Plan, optional
    ax : Axes, optional
        Where to draw. By default a new figure.
    zoom : bool, default True
        Show the grids whose ground changed and what lies around them, not all of the plan.
    labels : bool, default True
        Write serials of codes, or names: those that are new in bold red, those of other changed
        grids in black, those of their unchanged neighbours in small grey letters.
    legend, scale_bar : bool, default True
    title, source : str, optional
        Heading, and the line that names the source of the data.
    font : str, path or FontProperties, optional
        As for :func:`gridpart.plot_grids`.

    Returns
    -------
    Axes
        The axes drawn into.

    Raises
    ------
    InputError
        If there is no grid to draw, or something else than changes or two plans was given.

    Examples
    --------
    >>> import geopandas as gpd, shapely
    >>> import gridpart as gp
    >>> cells = [shapely.box(100 * i, 0, 100 * i + 100, 100) for i in range(6)]
    >>> units = gpd.GeoDataFrame({"households": [100] * 6}, geometry=cells, crs="EPSG:4547")
    >>> old = gp.partition(units, low=200, high=400, n_grids=2)
    >>> ax = plot_changes(old, gp.move(old, 2, "G002").plan)
    >>> ax.get_legend().get_texts()[0].get_text().splitlines()
    ['unit that went over to another grid', '(1 unit, 100 households)']
    """
    told = _changes(changes, new)
    grids = told.grids
    if not len(grids):
        raise InputError("there is no grid to draw")
    letters = Lettering([title or "", source or "", *_texts(told.new_grids)], font=font)
    view = _view(told, zoom=zoom)
    if ax is None:
        west, south, east, north = view
        tall = 8 * (north - south) / max(east - west, 1e-9) + 1.0
        ax = plt.figure(figsize=(11, min(max(tall, 4), 12)), layout="constrained").add_subplot()
    _draw(ax, told, view)
    _frame_map(ax, view, foot=scale_bar)
    _draw_neatline(ax, view)
    if title:
        ax.set_title(title, **letters.style(title))
    if legend:
        _add_legend(ax, _legend_entries(told, view), title=_heading(told), letters=letters)
    notes = [source] if source else []
    if labels:
        notes += _draw_labels(ax, told, view, letters)
    if scale_bar:
        metres = float(told.new_grids.crs.axis_info[0].unit_conversion_factor)
        end = carto.draw_scale(ax, metres_per_unit=metres, corner=(0.02, 0.02))
        carto.draw_north(ax, corner=(end + 0.07, 0.015))
    if notes:
        carto.draw_note(ax, " · ".join(notes), letters=letters)
    return ax


def write_changes_map(
    changes: ChangesLike,
    path: PathLike,
    *,
    title: str = "What changed",
    dpi: int = 200,
    zoom: bool = True,
    source: str | None = None,
    font: str | Path | FontProperties | None = None,
) -> None:
    """Write the map of what changed as PNG, PDF or SVG, whole or not at all.

    Parameters
    ----------
    changes : Changes
    path : str or path
        Ends in ``.png``, ``.pdf`` or ``.svg``.
    title : str
        Heading.
    dpi : int, default 200
        Dots per inch of a PNG.
    zoom, source, font
        As for :func:`plot_changes`.

    Raises
    ------
    InputError
        For another kind of file.
    OutputError
        If the file cannot be written.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in METADATA:
        raise InputError(f"{path}: a map is written as {', '.join(METADATA)}")
    figure = _draw_sheet(changes, title=title, zoom=zoom, source=source, font=font)
    with mpl.rc_context(_settings(figure)), writing(path) as temporary:
        figure.savefig(temporary, dpi=dpi, metadata=dict(METADATA[suffix]))


def _draw_sheet(
    changes: ChangesLike,
    *,
    title: str,
    zoom: bool,
    source: str | None,
    font: str | Path | FontProperties | None,
) -> Figure:
    """The map with its legend beside it, and where it lies."""
    view = _view(changes, zoom=zoom)
    figure, page, panel = _sheet(view)
    FigureCanvasAgg(figure)
    plot_changes(changes, ax=page, zoom=zoom, legend=False, source=source, font=font)
    letters = Lettering([title, _heading(changes)], font=font)
    handles = _legend_entries(changes, view)
    beside = panel.legend(
        handles=handles, title=_heading(changes), loc="upper left", frameon=False, fontsize=8.5,
        title_fontsize=9, alignment="left", borderaxespad=0,
    )  # fmt: skip
    beside.get_title().set(**letters.style(_heading(changes)), size=9)
    corner = (BORDER / figure.get_figwidth(), 1 - BORDER / figure.get_figheight())
    _write(figure, corner, title, va="top", sizes=TITLE_SIZES, breaks=TITLE_BREAKS, letters=letters)
    if _is_part(changes, view):
        _draw_locator(figure, changes, view)
    return figure


def _sheet(view: tuple[float, float, float, float]) -> tuple[Figure, Any, Any]:
    """A figure just as large as the map and what stands beside it, with the axes of both."""
    west, south, east, north = view
    side = max(east - west, north - south, 1e-9)
    # what _frame_map adds around the map
    wide, high = east - west + 0.04 * side, north - south + 0.13 * side
    scale = min(LONGEST / wide, HIGHEST / high)
    room = max(wide * scale, SHORTEST), max(high * scale, SHORTEST)
    size = np.array([room[0] + PANEL + 3 * BORDER, room[1] + HEAD + 2 * BORDER] * 2)
    figure = Figure(figsize=(float(size[0]), float(size[1])))
    page = figure.add_axes(np.array([BORDER, BORDER, *room]) / size)
    page.set_anchor("N")
    panel = figure.add_axes(np.array([room[0] + 2 * BORDER, BORDER, PANEL, room[1]]) / size)
    panel.set_axis_off()
    return figure, page, panel


def _is_part(told: ChangesLike, view: tuple[float, float, float, float]) -> bool:
    """Whether the map shows so little of the plan that one asks where it is."""
    west, south, east, north = told.new_grids.total_bounds
    return (view[2] - view[0]) * (view[3] - view[1]) < 0.6 * (east - west) * (north - south)


def _draw_locator(
    figure: Figure, told: ChangesLike, view: tuple[float, float, float, float]
) -> None:
    """The whole territory, small, with the part that the map shows."""
    size = np.array([figure.get_figwidth(), figure.get_figheight()] * 2)
    place = np.array([size[0] - BORDER - PANEL, BORDER, PANEL, min(2.2, size[1] / 3)])
    ax = figure.add_axes(place / size)
    ax.set_anchor("SW")
    shapes = _outlines(told)
    if shapes is None:
        shapes = gpd.GeoSeries([told.new_grids.geometry.union_all()], crs=told.new_grids.crs)
    shapes.plot(ax=ax, facecolor="#f4f4f1", edgecolor=COMMUNITY["color"], linewidth=0.6)
    frame = gpd.GeoSeries([shapely.box(*view)], crs=shapes.crs)
    frame.plot(ax=ax, facecolor="none", edgecolor=FORMER["color"], linewidth=1.4)
    ax.set_axis_off()


def _changes(changes: Any, new: Any) -> ChangesLike:
    from gridpart.redraw.changes import Changes, change_table

    if new is not None:
        return change_table(changes, new)
    if not isinstance(changes, Changes):
        raise InputError("give what change_table returned, or the old plan and the new one")
    return changes


def _heading(told: ChangesLike) -> str:
    moved, total = int(told.grids["came"].sum()), int(told.new_grids["households"].sum())
    recoded = int(told.grids["recoded"].clip(lower=0).sum())
    said = f"{moved:,} of {total:,} households changed {words_of(told).area}"
    return f"{said};\n{recoded:,} kept theirs under another {_called(told)}" if recoded else said


def _called(told: ChangesLike) -> str:
    return "code" if _coded(told) else "name"


# ---------------------------------------------------------------- what is drawn


def _outlines(told: ChangesLike) -> gpd.GeoSeries | None:
    """Shapes of the communities as they are; None where there are not two."""
    known: gpd.GeoSeries | None = getattr(told, "communities", None)
    shapes = _communities(told.new_grids) if known is None else known
    if shapes is not None and (told.units["what"] == "ground").any():
        shapes = gpd.GeoSeries(without_slits(shapes), shapes.index, crs=shapes.crs)
    return shapes if shapes is not None and len(shapes) > 1 else None


def _changed(told: ChangesLike) -> gpd.GeoDataFrame:
    """Grids of either plan on other ground, or under another code."""
    rows = told.grids
    drawn = (rows["change"] != "U") | (rows["status"] != "kept")
    return rows[drawn | (rows["built"] + rows["cleared"] > 0)]


def _view(told: ChangesLike, *, zoom: bool) -> tuple[float, float, float, float]:
    """West, south, east and north of what is shown."""
    shown = _changed(told)
    everything = np.vstack([told.new_grids.total_bounds, told.old_grids.total_bounds])
    if zoom and len(shown):
        drawn = told.units[np.isin(_happened(told), list(FILLS))]
        boxes = [shown.total_bounds] + ([drawn.total_bounds] if len(drawn) else [])
        corners = np.vstack(boxes)
    else:
        corners = everything
    west, south = corners[:, :2].min(axis=0)
    east, north = corners[:, 2:].max(axis=0)
    if zoom and len(shown):
        margin = MARGIN * max(east - west, north - south)
        west, south = np.maximum((west - margin, south - margin), everything[:, :2].min(axis=0))
        east, north = np.minimum((east + margin, north + margin), everything[:, 2:].max(axis=0))
    return float(west), float(south), float(east), float(north)


def _draw(ax: Axes, told: ChangesLike, view: Any) -> None:
    """Everything but letters."""
    crs = told.new_grids.crs
    changed = _changed(told)
    if len(changed):
        changed.plot(ax=ax, color=TOUCHED, edgecolor="none", aspect=None, zorder=1)
    happened = _happened(told)
    for what, (color, hatch, _) in FILLS.items():
        own = told.units[happened == what]
        if len(own):  # what stands there now is drawn over what is no more
            own.plot(
                ax=ax, facecolor=color, edgecolor="#5d5d5d", linewidth=0.35, hatch=hatch,
                aspect=None, zorder=1.2 if what == "vanished" else 1.5,
            )  # fmt: skip
    gone, fresh, stays = line_work(told.old_grids, told.new_grids, shapely.box(*view))
    for lines, style, zorder in ((stays, STAYS, 2), (fresh, NEW, 4), (gone, FORMER, 5)):
        # the white below parts a line from the fills it crosses
        if style is not STAYS:
            halo = {"color": "white", "linewidth": style["linewidth"] + 1.6}
            _draw_lines(ax, _series(lines, crs), zorder=zorder - 0.1, **halo)
        _draw_lines(ax, _series(lines, crs), zorder=zorder, **style)
    communities = _outlines(told)
    if communities is not None:
        _draw_lines(
            ax, communities[communities.intersects(shapely.box(*view))], zorder=3, **COMMUNITY
        )


def _happened(told: ChangesLike) -> NDArray[Any]:
    """What happened to every unit that is listed; with a whole grid, or by itself."""
    rows = told.grids
    whole = (rows["status"] == "new") & rows["change"].isin(["S", "M"])
    what = told.units["what"].to_numpy(object)
    together = told.units["new_grid"].isin(rows.loc[whole, "new_grid"]).to_numpy()
    return np.where((what == "moved") & together, "whole", what)


def _draw_neatline(ax: Axes, view: Any) -> None:
    """A thin frame: what ends there goes on in nature."""
    west, south, east, north = view
    frame = Rectangle(
        (west, south), east - west, north - south, facecolor="none", edgecolor="#b5bcc4",
        linewidth=0.6, zorder=7.5,
    )  # fmt: skip
    ax.add_patch(frame)
    for drawn in (*ax.collections, *ax.lines):
        drawn.set_clip_path(frame)


def _legend_entries(told: ChangesLike, view: Any) -> list[Artist]:
    """What every colour and line means, in words."""
    handles: list[Artist] = []
    happened, called = _happened(told), words_of(told)
    for what, (color, hatch, text) in FILLS.items():
        own = told.units[happened == what]
        if len(own):
            counted = f"{len(own):,} unit" + "s" * (len(own) > 1)
            counted += f", {int(own['households'].sum()):,} households"
            said = f"{text.format(area=called.area)}\n({counted})"
            handles.append(Patch(facecolor=color, edgecolor="#5d5d5d", hatch=hatch, label=said))
    changed = int(_changed(told)["new_grid"].notna().sum())
    if changed:
        text = f"{called.area} that changed  ({changed:,} of {len(told.new_grids):,})"
        handles.append(Patch(facecolor=TOUCHED, edgecolor="#aab4be", label=text))
    area = called.area
    words = (f"former {area} line, no longer one", f"new {area} line", f"{area} line that stays")
    lines = line_work(told.old_grids, told.new_grids, shapely.box(*view))
    for part, style, text in zip(lines, (FORMER, NEW, STAYS), words, strict=True):
        if not part.is_empty:
            handles.append(Line2D([], [], label=text, **style))
    if _outlines(told) is not None:
        handles.append(Line2D([], [], label=f"{called.parent} border", **COMMUNITY))
    return handles


def _series(lines: Any, crs: Any) -> gpd.GeoSeries | None:
    """The lines of a geometry; points, where lines only touched, are dropped."""
    parts = shapely.get_parts(lines)
    parts = parts[shapely.get_type_id(parts) == 1]
    merged = shapely.line_merge(shapely.multilinestrings(parts)) if parts.size else None
    return None if merged is None else gpd.GeoSeries(shapely.get_parts(merged), crs=crs)


# ---------------------------------------------------------------- letters


def _texts(grids: gpd.GeoDataFrame) -> list[str]:
    names = [] if "within" not in grids.columns else [str(n) for n in grids["within"].dropna()]
    return [*carto.label_texts(grids, "auto"), *names[:200]]


def _draw_labels(ax: Axes, told: ChangesLike, view: Any, letters: Lettering) -> list[str]:
    """Labels of the grids in view; returns what is to be noted under the map."""
    grids = told.new_grids.copy()
    frame = shapely.box(*view)
    grids = grids[grids.intersects(frame)]
    # a label stands in the part of its grid that is shown
    cut = grids.geometry.intersection(frame)
    polygons = cut.where(cut.geom_type.isin(["Polygon", "MultiPolygon"]))
    grids = grids.set_geometry(polygons)[~(polygons.isna() | polygons.is_empty)]
    rows = told.grids.set_index("new_grid")
    fresh = set(rows.index[rows["status"] == "new"])
    changed = set(_changed(told)["new_grid"]) - fresh
    kinds = np.select([grids["grid"].isin(fresh), grids["grid"].isin(changed)], [0, 1], 2)
    left_out, taken = 0, np.zeros(0, dtype=object)
    for kind, style in enumerate((
        {"color": LABEL_NEW, "weight": "bold"}, {"color": carto.INK, "weight": "bold"},
        {"color": LABEL_REST},
    )):  # fmt: skip
        own = grids[kinds == kind]
        if not len(own):
            continue
        first = len(ax.texts)
        boxes, missing = carto.draw_labels(ax, own, _labels(told, own), letters=letters)
        for text in ax.texts[first:]:
            text.set(**style)
            if kind == 2:
                text.set_fontsize(min(text.get_fontsize(), 6.0))
        taken = np.append(taken, boxes)
        left_out += missing if kind < 2 else 0
    if parents_of(told) is None:  # a community's name stands beside what changed, not on it
        taken = np.append(taken, _changed(told).geometry.to_numpy())
    _draw_names(ax, told, frame, taken, letters)
    notes = []
    if fresh:
        notes.append(f"bold red: new {_called(told)}s")
    if left_out:
        notes.append(
            f"{left_out} labels of changed {words_of(told).areas} left out for want of room"
        )
    return notes


def _labels(told: ChangesLike, grids: gpd.GeoDataFrame) -> list[str]:
    """Serials or names, without what tells the grid or community they are in."""
    parents = parents_of(told)
    known = {} if parents is None else dict(zip(parents["grid"], parents["grid_code"], strict=True))
    return carto.label_texts(grids, "auto", known)


def _coded(told: ChangesLike) -> bool:
    return bool(told.new_grids["grid_code"].notna().any())


def _draw_names(
    ax: Axes, told: ChangesLike, frame: Any, taken: NDArray[Any], letters: Lettering
) -> None:
    """Names of the communities in view, where they find room."""
    communities = _outlines(told)
    if communities is None:
        return
    shown = communities.intersection(frame)
    shown = shown[shown.area > 0]
    shown.index = carto.parent_names(shown.index, parents_of(told))
    carto.draw_community_names(ax, shown, taken, letters=letters)
