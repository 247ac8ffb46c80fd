"""A map sheet of a plan as a file: A4 or A3, heading, legend and figures beside the map."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from shapely import box

from gridpart import __version__
from gridpart._io import writing
from gridpart.errors import InputError
from gridpart.plots.cartography import INK
from gridpart.plots.fonts import Lettering, is_outline_cff
from gridpart.plots.grids import boundary_outline, grid_legend, plot_grids
from gridpart.plots.lines import draw_lines
from gridpart.plots.words import word_of, words_of

if TYPE_CHECKING:
    import geopandas as gpd
    from matplotlib.artist import Artist
    from matplotlib.font_manager import FontProperties

    from gridpart._io import PathLike
    from gridpart.plots.grids import PlanLike

__all__ = ["write_map"]

PAGES: Mapping[str, tuple[float, float]] = {"A4": (11.69, 8.27), "A3": (16.54, 11.69)}  # inches
# Without a date the same plan gives the same bytes.
METADATA: Mapping[str, Mapping[str, str | None]] = {
    ".png": {"Software": f"gridpart {__version__}"},
    ".pdf": {"Creator": f"gridpart {__version__}", "Producer": "matplotlib", "CreationDate": None},
    ".svg": {"Creator": f"gridpart {__version__}", "Date": None},
}
BESIDE, BELOW = 2.6, 1.45  # inches for legend and figures at the right of the map, or under it
MARGIN, HEAD = 0.4, 0.45  # inches
TITLE_SIZES = (16, 14, 12.5, 11.5)  # points
TITLE_BREAKS = ((12.5, 2), (11.5, 2), (9, 3))  # points, lines


def _figures(plan: PlanLike) -> list[str]:
    """What the sheet says about the plan in words."""
    words = words_of(plan)
    grids, low, high = plan.grids, plan.rules.low, plan.rules.high
    base = grids[grids["kind"] != "exclusive"] if "kind" in grids.columns else grids
    households = grids["households"]
    inside = int(base["households"].between(low, high).sum())
    lines = [
        f"{len(grids):,} {words.areas}, {int(households.sum()):,} households",
        f"{inside:,} of {len(base):,} in the band {low:,}–{high:,}",
    ]
    if len(base):
        lines.append(f"median {np.median(base['households']):,.0f} households per {words.area}")
    return lines


class Sheet(NamedTuple):
    """A page, and whether legend and figures stand beside the map or below it."""

    width: float
    height: float
    beside: bool

    @property
    def room(self) -> tuple[float, float]:
        """Width and height that are left to the map, in inches."""
        across = self.width - 2 * MARGIN - (BESIDE + MARGIN / 2 if self.beside else 0)
        up = self.height - 2 * MARGIN - HEAD - (0 if self.beside else BELOW)
        return across, up


def _sheet(bounds: Sequence[float], paper: str) -> Sheet:
    """Lay the page so that the map comes out as large as it can."""
    west, south, east, north = bounds
    width, height = max(east - west, 1e-9), max(north - south, 1e-9)
    height += 0.13 * max(width, height)  # the strip with the scale bar
    long, short = PAGES[paper]
    sheets = [
        Sheet(*page, beside=beside)
        for page in ((long, short), (short, long))
        for beside in (True, False)
    ]
    return max(sheets, key=lambda sheet: min(sheet.room[0] / width, sheet.room[1] / height))


def _axes(figure: Figure, sheet: Sheet) -> tuple[Any, Any]:
    """The map's axes and the panel's, inside margins of one centimetre."""
    across, up = sheet.room
    low = MARGIN if sheet.beside else MARGIN + BELOW
    page = (MARGIN, low, across, up)
    panel = (sheet.width - MARGIN - BESIDE, MARGIN, BESIDE, up)
    if not sheet.beside:
        panel = (MARGIN, MARGIN, across, BELOW - 0.15)
    unit = np.array([sheet.width, sheet.height] * 2)
    return figure.add_axes(np.array(page) / unit), figure.add_axes(np.array(panel) / unit)


def _fill_panel(
    panel: Any,
    plan: PlanLike,
    sheet: Sheet,
    *,
    handles: Sequence[Artist],
    title: str,
    letters: Lettering,
) -> None:
    panel.set_axis_off()
    legend = panel.legend(
        handles=handles,
        title=title,
        loc="upper left",
        frameon=False,
        fontsize=9,
        title_fontsize=10,
        alignment="left",
        borderaxespad=0,
        ncols=1 if sheet.beside else 1 + (len(handles) > 5) + (sheet.width > 10),
    )
    legend.get_title().set(**letters.style(title), size=10)
    legend.set_zorder(9)
    side = "left" if sheet.beside else "right"
    text = "\n".join(_figures(plan))
    place: dict[str, Any] = {"ha": side, "va": "bottom" if sheet.beside else "top"}
    panel.text(
        0 if sheet.beside else 1,
        0.06 if sheet.beside else 1,
        text,
        transform=panel.transAxes,
        color=INK,
        fontsize=9,
        linespacing=1.5,
        **place,
    )


def _write(
    figure: Figure,
    place: tuple[float, float],
    text: str,
    *,
    sizes: Sequence[float],
    letters: Lettering,
    breaks: Sequence[tuple[float, int]],
    **style: Any,
) -> None:
    """Write a text inside the margins: smaller, then on more lines, at last cut short.

    `breaks` are the sizes at which it may break, each with its number of lines.
    """
    style |= letters.style(text)
    artist = figure.text(place[0], place[1], "", ha="left", linespacing=1.1, **style)
    # Letters are a little wider at other resolutions than at the one they are measured at.
    room = 0.95 * figure.bbox.width * (1 - 2 * place[0])

    def width(words: str) -> float:
        artist.set_text(words)
        return float(artist.get_window_extent().width)

    for size in sizes:
        artist.set_fontsize(size)
        if width(text) <= room:
            return
    for size, lines in breaks:
        artist.set_fontsize(size)
        filled, rest = _fill(text, lines, lambda words: width(words) <= room)
        artist.set_text("\n".join(filled))
        if not rest:
            return
    artist.set_text("\n".join(filled)[:-1] + "…")


def _fill(text: str, lines: int, fits: Callable[[str], bool]) -> tuple[list[str], str]:
    """Break a text into lines as full as fit, and what is left over; Chinese breaks anywhere."""
    filled: list[str] = []
    while text and len(filled) < lines:
        end = bisect_right(range(1, len(text) + 1), 0, key=lambda n: 0 if fits(text[:n]) else 1)
        end = max(end, 1)
        if end < len(text) and " " in text[1 : end + 1]:
            end = text.rindex(" ", 1, end + 1)
        filled.append(text[:end].rstrip())
        text = text[end:].lstrip()
    return filled, text


class Part(NamedTuple):
    """What lies in one community or grid of a plan, as much as a map needs."""

    grids: gpd.GeoDataFrame
    rules: Any
    lines: gpd.GeoDataFrame | None
    level: str = "grid"
    parent_level: str = "community"
    whole: Any = None


def _part(plan: PlanLike, within: str) -> Part:
    """What lies in a community, or in an area of a level above."""
    grids = plan.grids
    if "within" not in grids.columns:
        raise InputError(f"within={within!r}: the grids have no column 'within'")
    places = list(_places(plan))
    for _, names in places:
        rows = names.astype(str) == str(within)
        if rows.any():
            lines, whole = getattr(plan, "lines", None), getattr(plan, "whole", None)
            levels = getattr(plan, "level", "grid"), getattr(plan, "parent_level", "community")
            return Part(grids[rows], plan.rules, lines, *levels, whole)
    raise InputError(_no_such_place(str(within), places))


def _no_such_place(within: str, places: Sequence[tuple[str, pd.Series]]) -> str:
    """Say what could have been meant, and what each of it is."""
    kinds = list(dict.fromkeys(word for word, _ in places))
    near: list[str] = []
    there: list[str] = []
    most = 20 if len(kinds) == 1 else 5
    for word, names in places:
        known = sorted(names.dropna().astype(str).unique())
        near += [
            f"{'the ' + word + ' ' if len(kinds) > 1 else ''}{name!r}"
            for name in get_close_matches(within, known, n=1, cutoff=0.5)
        ]
        listed = ", ".join(known[:most]) + (", ..." if len(known) > most else "")
        there.append(f"{word} {listed}" if len(kinds) > 1 else listed)
    either = " or ".join(dict.fromkeys(near))
    advice = f"did you mean {either}?" if near else f"there are {'; '.join(dict.fromkeys(there))}"
    return f"within={within!r} is no {' and no '.join(kinds)} of the plan; {advice}"


def _places(plan: Any) -> Iterator[tuple[str, pd.Series]]:
    """What the areas of a plan lie in, the nearest first: a word, and names or codes of each."""
    grids = plan.grids
    yield words_of(plan).parent, grids["within"]
    whole = getattr(plan, "whole", None) or plan
    if getattr(whole, "units", None) is None:
        return
    rules, units = whole.rules, whole.units
    order = [*rules.upper_levels, "grid", *rules.lower_levels]
    first = np.flatnonzero(~plan.units["grid"].duplicated().to_numpy())
    row = pd.Series(first, index=plan.units["grid"].iloc[first]).reindex(grids["grid"]).to_numpy()
    above = [
        (name, name) for name in reversed(order[: order.index(getattr(plan, "level", "grid"))])
    ]
    if rules.within is not None:
        above.append(("community", rules.within))
    for level, column in above:
        code = "grid_code" if level == "grid" else f"{level}_code"
        for name in (column, code):
            if name in units.columns:
                values = units[name].to_numpy(object)[row]
                yield word_of(level), pd.Series(values, index=grids.index)


def _in_view(boundary: Any, grids: gpd.GeoDataFrame) -> gpd.GeoSeries | None:
    """The lines of the boundary beside these grids, so that the map shows no more than them."""
    outline = boundary_outline(boundary, grids.crs)
    if outline is None:
        return None
    lines = outline.boundary.intersection(box(*grids.total_bounds))
    pieces = lines.explode(ignore_index=True)
    pieces = pieces[(pieces.geom_type == "LineString") & ~pieces.is_empty]
    return pieces if len(pieces) else None


def draw_sheet(
    plan: PlanLike,
    *,
    within: str | None = None,
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
    words = words_of(plan)
    title = title or words.title
    if within is not None:
        plan = _part(plan, within)
        boundary = _in_view(boundary, plan.grids)
        title = title if str(within) in title else f"{within}: {title}"
    sheet = _sheet(plan.grids.total_bounds, paper)
    figure = Figure(figsize=(sheet.width, sheet.height))
    FigureCanvasAgg(figure)
    source = source or ""
    heading = words.heading(column)
    letters = Lettering([title, source, heading], font=font)
    page, panel = _axes(figure, sheet)
    # Under the heading, not in the middle of the room that is left.
    page.set_anchor("N")
    plot_grids(
        plan, ax=page, boundary=boundary, legend=False, label=label, column=column, font=font
    )
    handles = grid_legend(plan, column=column, boundary=boundary is not None)
    view = box(*plan.grids.total_bounds)
    handles += draw_lines(getattr(plan, "lines", None), page, view)
    _fill_panel(panel, plan, sheet, handles=handles, title=heading, letters=letters)
    left, top = MARGIN / sheet.width, 1 - MARGIN / sheet.height
    _write(
        figure,
        (left, top),
        title,
        va="top",
        sizes=TITLE_SIZES,
        breaks=TITLE_BREAKS,
        letters=letters,
    )
    foot = MARGIN / 2 / sheet.height
    _write(
        *(figure, (left, foot), source),
        sizes=(7, 6),
        breaks=((6, 2), (5, 2)),
        letters=letters,
        color="#555555",
        va="center",
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
    within: str | None = None,
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
    within : str, optional
        Draw this community only, and say so in the heading; of another level, also what lies in
        one grid, by its name or code. Of the boundary, only the part beside it is drawn.
    boundary : GeoDataFrame, GeoSeries or shapely geometry, optional
        Outline of the territory.
    paper : {"A4", "A3"}, default "A4"
        Size of the sheet; it is laid across where the territory is wider than high.
    dpi : int, default 200
        Dots per inch of a PNG.
    title, source : str, optional
        Heading (default "Service grids", or what the areas of another level are) and the line
        that names the source of the data. What is too long is written smaller, then on two or
        three lines, and only then cut short.
    label, column, font
        As for :func:`gridpart.plot_grids`.

    Raises
    ------
    InputError
        For another kind of file or paper, an unknown community, or what
        :func:`gridpart.plot_grids` refuses.
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
        within=within,
    )
    with mpl.rc_context(_settings(figure)), writing(path) as temporary:
        figure.savefig(temporary, dpi=dpi, metadata=dict(METADATA[suffix]))
