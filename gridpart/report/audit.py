"""What an audit found, as files: a page for people, a GeoPackage for maps, words for a screen."""

from __future__ import annotations

import functools
import math
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from gridpart._excel import display_width
from gridpart._io import PathLike, write_bytes, write_layers
from gridpart.coverage import Comparison, audit_ok
from gridpart.coverage.catalogue import CATALOGUE, SEVERITIES, Check
from gridpart.coverage.scope import TOPICS
from gridpart.report.audit_data import columns_of, is_missing
from gridpart.report.audit_map import draw_map, shortened

if TYPE_CHECKING:
    import geopandas as gpd
    import pandas as pd

__all__ = [
    "audit_text",
    "print_audit",
    "write_audit_html",
    "write_findings",
]

SHORT_NAME = 4  # characters that a map has room for
SCREEN_LINES = 20
SCREEN_COLUMNS = 100
IDS_SHOWN, LONGEST_ID, LONGEST_MESSAGE = 8, 60, 600
LAYERS = {0: "findings_points", 1: "findings_lines", 2: "findings_polygons"}
LAYER_WITHOUT = "findings_without_geometry"
STATUSES = {
    "open": "待整改",
    "in progress": "整改中",
    "done": "已整改",
    "accepted": "经核准保留",
    "disputed": "有异议",
}
SEVERITY_CHINESE = {"error": "错误", "warning": "警告", "note": "提示"}


def write_findings(findings: gpd.GeoDataFrame, path: PathLike) -> None:
    """Write findings as a GeoPackage with one layer a kind of geometry.

    Parameters
    ----------
    findings : GeoDataFrame
        From :func:`gridpart.audit`.
    path : str or path
        Ends in ``.gpkg``. Layers are ``findings_polygons``, ``findings_lines``,
        ``findings_points`` and the table ``findings_without_geometry``, those that have rows;
        without any finding, an empty ``findings_polygons``.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    import pandas as pd

    shapes = np.asarray(findings.geometry, dtype=object)
    bare = shapely.is_missing(shapes) | shapely.is_empty(shapes)
    dimension = np.where(bare, -1, shapely.get_dimensions(shapes))
    layers: dict[str, pd.DataFrame] = {}
    for value, name in sorted(LAYERS.items(), reverse=True):
        rows = findings[dimension == value]
        if len(rows) or (value == 2 and findings.empty):
            layers[name] = _of_one_type(rows, value)
    if bare.any():
        layers[LAYER_WITHOUT] = pd.DataFrame(findings.loc[bare, columns_of(findings)])
    write_layers(path, layers)


def _of_one_type(rows: gpd.GeoDataFrame, dimension: int) -> gpd.GeoDataFrame:
    """Multi-part shapes throughout: a layer holds one type of geometry."""
    import geopandas as gpd

    multi = (shapely.multipoints, shapely.multilinestrings, shapely.multipolygons)[dimension]
    shapes = []
    for shape in rows.geometry:
        parts = shapely.get_parts(shape)
        shapes.append(multi(parts[shapely.get_dimensions(parts) == dimension]))
    geometry = gpd.GeoSeries(shapes, index=rows.index, crs=rows.crs)
    return gpd.GeoDataFrame(rows[columns_of(rows)], geometry=geometry, crs=rows.crs)


# --------------------------------------------------------------------------- summary


@dataclass(frozen=True)
class CheckSummary:
    """One check's findings in total, and where they stand."""

    check: Check
    severity: str
    n: int
    area: float
    households: int
    rows: list[int]


def rows_by_check(findings: gpd.GeoDataFrame) -> list[tuple[str, str, list[int]]]:
    """Severity, check, and the positions of its findings, the gravest first."""
    places: dict[tuple[str, str], list[int]] = {}
    for row, key in enumerate(zip(findings["severity"], findings["check"], strict=True)):
        places.setdefault(key, []).append(row)
    return [
        (severity, check, places[severity, check])
        for severity in SEVERITIES
        for check in CATALOGUE
        if (severity, check) in places
    ]


def _summaries(findings: gpd.GeoDataFrame) -> list[CheckSummary]:
    """Totals by severity and check, the gravest first."""
    area, n = findings["area_m2"].to_numpy(), findings["n"].to_numpy()
    people = findings["households"].fillna(0).to_numpy(dtype=np.int64)
    return [
        CheckSummary(
            CATALOGUE[check],
            severity,
            int(n[rows].sum()),
            float(np.nansum(area[rows])),
            int(people[rows].sum()),
            rows,
        )
        for severity, check, rows in rows_by_check(findings)
    ]


def _by_severity(findings: gpd.GeoDataFrame) -> dict[str, int]:
    sums = findings.groupby("severity")["n"].sum()
    return {severity: int(sums.get(severity, 0)) for severity in SEVERITIES}


def _counted(n: int, word: str) -> str:
    return f"{n:,} {word}{'' if n == 1 else 's'}"


def _verdict(findings: gpd.GeoDataFrame) -> str:
    counts = _by_severity(findings)
    words = ", ".join(_counted(n, severity) for severity, n in counts.items())
    return f"{'OK' if audit_ok(findings) else 'NOT OK'}: {words}"


def audit_text(findings: gpd.GeoDataFrame, *, since: Comparison | None = None) -> str:
    """Summarise an audit in at most 20 lines of at most 100 columns.

    Below the verdict stands what was checked and what was not: nothing found is no news of what
    was not looked for. It is left out if `findings` have lost it (``attrs["scope"]``).

    Parameters
    ----------
    findings : GeoDataFrame
        From :func:`gridpart.audit`.
    since : Comparison, optional
        With an earlier audit: a line says what was cured and what is new.

    Examples
    --------
    >>> import geopandas as gpd
    >>> from shapely import box
    >>> from gridpart import audit
    >>> zones = gpd.GeoDataFrame(geometry=[box(0, 0, 9, 9), box(8, 0, 20, 9)], crs="EPSG:4547")
    >>> print(audit_text(audit(zones)))
    NOT OK: 1 error, 0 warnings, 0 notes
      checked: shapes and ids, overlaps and parts, enclosed holes
      not checked: gaps at the rim (no boundary), units, assignment, household sums, band, community
        borders, exceptions, codes, codes' parents
      error   overlap                    1  zones 0 and 1 overlap by 9.00 m²
    """
    lines = [_verdict(findings)]
    if since is not None:
        lines.append(f"  since the last audit: {_since_text(since)}")
    lines += _scope_lines(findings)
    summaries = _summaries(findings)
    room = max(SCREEN_LINES - len(lines) - 1, 1)
    for item in summaries[:room]:
        example = str(findings["message"].iloc[item.rows[0]])
        if len(item.rows) > 1:
            example = f"such as: {example}"
        lines.append(f"  {item.severity:<7} {item.check.id:<22} {item.n:>5}  {example}")
    if len(summaries) > room:
        lines.append(f"  and {len(summaries) - room} more kinds")
    return "\n".join(map(_on_screen, lines))


def _on_screen(line: str) -> str:
    """A line as a terminal can show it: names may hold anything, and Chinese takes two columns."""
    start = line[: SCREEN_COLUMNS + 1]
    line = "".join(letter if letter.isprintable() else "\ufffd" for letter in start)
    if display_width(line) <= SCREEN_COLUMNS:
        return line
    kept, width = [], 1
    for letter in line:
        width += display_width(letter)
        if width > SCREEN_COLUMNS:
            break
        kept.append(letter)
    return "".join(kept) + "…"


def _since_text(since: Comparison) -> str:
    """Counts of a comparison, those that are always of interest and those that are not 0."""
    words = {
        "unknown": "not looked for again",
        "reopened": "said to be done but still found",
    }
    counts = since.counts
    text = f"{counts['cured']:,} cured, {counts['new']:,} new, {counts['stays']:,} still there"
    return text + "".join(
        f", {counts[name]:,} {word}" for name, word in words.items() if counts[name]
    )


def _scope_lines(findings: gpd.GeoDataFrame) -> list[str]:
    """Say in a few words what was checked and what was not."""
    scope = findings.attrs.get("scope")
    if scope is None:
        return []
    done = [_checked(topic, scope, TOPICS[topic].short) for topic in scope["topics"]]
    texts = [f"checked: {', '.join(done)}"]
    if scope["not_checked"]:
        left = ", ".join(TOPICS[topic].short_undone for topic in scope["not_checked"])
        texts.append(f"not checked: {left}")
    return [
        line
        for text in texts
        for line in textwrap.wrap(
            text, SCREEN_COLUMNS, initial_indent="  ", subsequent_indent="    "
        )
    ]


def _checked(topic: str, scope: Mapping[str, Any], words: str) -> str:
    """Words for what was checked, with the band."""
    if topic != "band":
        return words
    low, high = scope["band"]
    return f"{words} {0 if low is None else low}-{'' if high is None else high}"


def print_audit(findings: gpd.GeoDataFrame) -> None:
    """Print :func:`audit_text`.

    Parameters
    ----------
    findings : GeoDataFrame
        From :func:`gridpart.audit`.
    """
    print(audit_text(findings))


# --------------------------------------------------------------------------- page


def write_audit_html(
    findings: gpd.GeoDataFrame,
    path: PathLike,
    *,
    zones: gpd.GeoDataFrame | None = None,
    id: str | None = None,
    boundary: gpd.GeoDataFrame | gpd.GeoSeries | None = None,
    barriers: gpd.GeoDataFrame | gpd.GeoSeries | None = None,
    crossings: gpd.GeoDataFrame | gpd.GeoSeries | None = None,
    excluded: gpd.GeoDataFrame | gpd.GeoSeries | None = None,
    title: str = "Coverage audit",
    since: Comparison | None = None,
) -> None:
    """Write one page that opens offline: verdict, map of the findings, sortable table.

    Parameters
    ----------
    findings : GeoDataFrame
        From :func:`gridpart.audit`.
    path : str or path
        The file.
    zones, boundary, barriers, crossings, excluded : GeoDataFrame or GeoSeries, optional
        What the audit was given, in any CRS; drawn below the findings.
    id : str, optional
        Column of `zones` with their names; default ``grid`` if there is one, else the index.
    title : str
        Heading of the page.
    since : Comparison, optional
        With an earlier audit; its findings are shown, and what was cured is listed.

    Raises
    ------
    OutputError
        If the file cannot be written.

    Notes
    -----
    The page loads nothing: its content security policy forbids every request, and all text from
    the data is escaped.
    """
    if since is not None:
        findings = since.findings
    ground = {
        "boundary": boundary, "barriers": barriers, "crossings": crossings, "excluded": excluded,
    }  # fmt: skip
    write_bytes(path, _page(findings, zones, id, ground, title, since).encode("utf-8"))


@functools.cache
def _template() -> Any:
    """The page to be filled; compiled once."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("gridpart.report", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("audit.html")


def _page(
    findings: gpd.GeoDataFrame,
    zones: gpd.GeoDataFrame | None,
    id: str | None,
    ground: dict[str, Any],
    title: str,
    since: Comparison | None,
) -> str:
    if zones is not None and id is None and "grid" in zones.columns:
        id = "grid"
    names = [] if zones is None else [str(v) for v in (zones.index if id is None else zones[id])]
    return _template().render(
        title=title,
        ok=audit_ok(findings),
        severities=_by_severity(findings),
        severity_chinese=SEVERITY_CHINESE,
        summaries=_summaries(findings),
        rows=[
            _table_row(row)
            for row in findings.drop(columns=findings.geometry.name).to_dict("records")
        ],
        scope=scope_lists(findings),
        since=None if since is None else _since_lists(since),
        map=draw_map(findings, zones, names=names, labels=_labels(zones, id, names), **ground),
        zone_count=None if zones is None else len(zones),
        crs="" if findings.crs is None else findings.crs.name,
    )


def _since_lists(since: Comparison) -> dict[str, Any]:
    """Counts of a comparison in words, and lines for what is no more, or was not looked for."""
    listed = {}
    for kind, rows in (("cured", since.cured), ("unknown", since.unknown)):
        records = rows.drop(columns=rows.geometry.name).to_dict("records")
        listed[kind] = [_table_row(row) for row in records if row["check"] in CATALOGUE]
    return {"text": _since_text(since), "counts": since.counts, **listed}


def scope_lists(findings: gpd.GeoDataFrame) -> dict[str, Any] | None:
    """What was checked, and what was not and why, as pairs of English and Chinese."""
    scope = findings.attrs.get("scope")
    if scope is None:
        return None
    done = [TOPICS[topic] for topic in scope["topics"]]
    left = [TOPICS[topic] for topic in scope["not_checked"]]
    return {
        "checked": [
            (_checked(t.id, scope, t.name), _checked(t.id, scope, t.chinese)) for t in done
        ],
        "not_checked": [
            (f"{t.name}: {t.missing}", f"{t.chinese}：{t.missing_chinese}") for t in left
        ],
    }


def _labels(zones: gpd.GeoDataFrame | None, id: str | None, names: list[str]) -> list[str]:
    """Short names for the map: the serial of a code, else the last part of an id."""
    if zones is None:
        return []
    codes: list[Any] = [""] * len(names)
    if id in (None, "grid", "grid_code") and "grid_code" in zones.columns:
        codes = zones["grid_code"].tolist()
    return [
        _serial(str(code) if isinstance(code, str) and code else name)
        for code, name in zip(codes, names, strict=True)
    ]


def _serial(name: str) -> str:
    """Serial of a 15-digit code, or what follows the last mark in an id that is long."""
    if len(name.strip()) <= SHORT_NAME:
        return name.strip()
    if re.fullmatch(r"[0-9A-Z]{15}", name):
        return name[12:]
    return re.split(r"[-_/.:\s]+", name.strip())[-1] or name


def _table_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Cells of one finding: text to show, and numbers to sort by."""
    ids = row["ids"].split(";") if row["ids"] else []
    hidden = len(ids) - IDS_SHOWN
    area = row["area_m2"]
    return {
        **row,
        "ids": "; ".join(shortened(name, LONGEST_ID) for name in ids[:IDS_SHOWN])
        + (f" and {hidden} more" if hidden > 0 else ""),
        "message": shortened(row["message"], LONGEST_MESSAGE),
        "advice": shortened(row["advice"], LONGEST_MESSAGE),
        "check_data": CATALOGUE[row["check"]],
        "status": shortened(row["status"], LONGEST_ID),
        "status_chinese": STATUSES.get(row["status"], ""),
        "change": row.get("change"),
        "advice_chinese": shortened(
            row.get("advice_chinese") or CATALOGUE[row["check"]].advice_chinese, LONGEST_MESSAGE
        ),
        "area": f"{area:,.1f}" if math.isfinite(area) else "",
        "area_key": area if math.isfinite(area) else -1,
        "households": "" if is_missing(row["households"]) else int(row["households"]),
    }
