"""A map sheet of a plan as a file: A4 or A3, heading, legend and figures beside the map."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from gridpart import __version__
from gridpart._cartography import INK
from gridpart._fonts import Lettering, is_outline_cff
from gridpart._io import writing
from gridpart.errors import InputError
from gridpart.plots import grid_legend, legend_title, plot_grids

if TYPE_CHECKING:
    from matplotlib.font_manager import FontProperties

    from gridpart._io import PathLike
    from gridpart.plots import PlanLike

__all__ = ["write_map"]

PAGES: Mapping[str, tuple[float, float]] = {"A4": (11.69, 8.27), "A3": (16.54, 11.69)}  # inches
# Without a date the same plan gives the same bytes.
METADATA: Mapping[str, Mapping[str, str | None]] = {
    ".png": {"Software": f"gridpart {__version__}"},
    ".pdf": {"Creator": f"gridpart {__version__}", "Producer": "matplotlib", "CreationDate": None},
    ".svg": {"Creator": f"gridpart {__version__}", "Date": None},
}
PANEL = 2.6  # inches for legend and figures beside or below the map
MARGIN = 0.4  # inches


def _figures(plan: PlanLike) -> list[str]:
    """What the sheet says about the plan in words."""
    grids, low, high = plan.grids, plan.rules.low, plan.rules.high
    base = grids[grids["kind"] != "exclusive"] if "kind" in grids.columns else grids
    households = grids["households"]
    inside = int(base["households"].between(low, high).sum())
    lines = [
        f"{len(grids):,} grids, {int(households.sum()):,} households",
        f"{inside:,} of {len(base):,} in the band {low:,}–{high:,}",
    ]
    if len(base):
        lines.append(f"median {np.median(base['households']):,.0f} households per grid")
    return lines


def _axes(figure: Figure, *, landscape: bool) -> tuple[Any, Any]:
    """The map's axes and the panel's, in a page with margins of one centimetre."""
    width, height = figure.get_size_inches()
    across, up = MARGIN / width, MARGIN / height
    head = 0.45 / height
    if landscape:
        side = PANEL / width
        page = (across, up, 1 - 2.5 * across - side, 1 - 2 * up - head)
        panel = (1 - across - side, up, side, 1 - 2 * up - head)
    else:
        side = PANEL / height
        page = (across, up + side, 1 - 2 * across, 1 - 2 * up - head - side)
        panel = (across, up, 1 - 2 * across, side)
    return figure.add_axes(page), figure.add_axes(panel)


def _fill_panel(
    panel: Any,
    plan: PlanLike,
    *,
    boundary: bool,
    column: str,
    source: str | None,
    letters: Lettering,
) -> None:
    panel.set_axis_off()
    handles = grid_legend(plan, column=column, boundary=boundary)
    legend = panel.legend(
        handles=handles,
        title=legend_title(column),
        loc="upper left",
        frameon=False,
        fontsize=9,
        title_fontsize=10,
        alignment="left",
        borderaxespad=0,
        ncols=1,
    )
    legend.set_zorder(9)
    place = {"ha": "left", "va": "bottom", "color": INK, "fontsize": 9, "linespacing": 1.5}
    panel.text(0, 0.06, "\n".join(_figures(plan)), transform=panel.transAxes, **place)
    note = panel.text(0, 0, source or "", transform=panel.transAxes, **letters.style(source or ""))
    note.set_fontsize(7)
    note.set_color("#555555")


def draw_sheet(
    plan: PlanLike,
    *,
    boundary: Any = None,
    paper: str = "A4",
    title: str | None = None,
    source: str | None = None,
    label: str | None = "auto",
    column: str = "households",
    font: str | Path | FontProperties | None = None,
) -> Figure:
    """Lay out one sheet; see :func:`write_map` for the parameters."""
    if paper not in PAGES:
        raise InputError(f"paper={paper!r}: choose one of {', '.join(PAGES)}")
    west, south, east, north = plan.grids.total_bounds
    landscape = (east - west) >= 0.9 * (north - south)
    size = PAGES[paper] if landscape else PAGES[paper][::-1]
    figure = Figure(figsize=size)
    FigureCanvasAgg(figure)
    title = title or "Service grids"
    letters = Lettering([title, source or ""], font=font)
    page, panel = _axes(figure, landscape=landscape)
    # Labels are fitted to the size of the axes, so the axes come first.
    page.set_anchor("N")
    plot_grids(
        plan, ax=page, boundary=boundary, legend=False, label=label, column=column, font=font
    )
    left = MARGIN / size[0]
    top = 1 - MARGIN / size[1]
    heading = figure.text(left, top, title, ha="left", va="top", **letters.style(title))
    heading.set_fontsize(16)
    _fill_panel(
        panel, plan, boundary=boundary is not None, column=column, source=source, letters=letters
    )
    return figure


def _settings(figure: Figure) -> Any:
    """Settings under which the file is written: embedded fonts, the same bytes every time."""
    texts: list[Any] = figure.findobj(mpl.text.Text)
    fonts = [text.get_fontproperties() for text in texts if text.get_text()]
    named = {font.get_file(): font for font in fonts if font.get_file()}
    # TrueType can be searched and edited; PostScript outlines are only drawn right as Type 3.
    kind = 3 if any(map(is_outline_cff, named.values())) else 42
    return {"pdf.fonttype": kind, "svg.fonttype": "path", "svg.hashsalt": "gridpart"}


def write_map(
    plan: PlanLike,
    path: PathLike,
    *,
    boundary: Any = None,
    paper: str = "A4",
    dpi: int = 200,
    title: str | None = None,
    source: str | None = None,
    label: str | None = "auto",
    column: str = "households",
    font: str | Path | FontProperties | None = None,
) -> None:
    """Write the map of a plan as PNG, PDF or SVG, whole or not at all.

    The same plan gives the same bytes on the same machine. Fonts are embedded in PDF; SVG holds
    letters as shapes, so that it looks the same where the font is missing.

    Parameters
    ----------
    plan : Plan
        With `grids` and `rules`.
    path : str or path
        Ends in ``.png``, ``.pdf`` or ``.svg``.
    boundary : GeoDataFrame, GeoSeries or shapely geometry, optional
        Outline of the territory.
    paper : {"A4", "A3"}, default "A4"
        Size of the sheet; it is laid across where the territory is wider than high.
    dpi : int, default 200
        Dots per inch of a PNG.
    title, source : str, optional
        Heading (default "Service grids") and the line that names the source of the data.
    label, column, font
        As for :func:`gridpart.plot_grids`.

    Raises
    ------
    InputError
        For another kind of file or paper, or what :func:`gridpart.plot_grids` refuses.
    OutputError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile, types
    >>> import geopandas as gpd, shapely
    >>> grids = gpd.GeoDataFrame(
    ...     {"grid": ["a", "b"], "households": [250, 320]},
    ...     geometry=shapely.box([0, 400], 0, [400, 800], 300), crs="EPSG:4547")
    >>> plan = types.SimpleNamespace(grids=grids, rules=types.SimpleNamespace(low=200, high=500))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_map(plan, f"{folder}/map.svg")
    """
    suffix = Path(path).suffix.lower()
    if suffix not in METADATA:
        raise InputError(f"{path}: a map is written as {', '.join(METADATA)}")
    figure = draw_sheet(
        plan,
        boundary=boundary,
        paper=paper,
        title=title,
        source=source,
        label=label,
        column=column,
        font=font,
    )
    with mpl.rc_context(_settings(figure)), writing(path) as temporary:
        figure.savefig(temporary, dpi=dpi, metadata=dict(METADATA[suffix]))
