"""What an audit found, as files: JSON for programs, a page for people, a GeoPackage for maps."""

from __future__ import annotations

import json
import math
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from gridpart._io import PathLike, write_bytes, write_layers
from gridpart.coverage import Comparison, audit_counts, audit_ok, findings_from_json
from gridpart.coverage.catalogue import CATALOGUE, COLUMNS, SEVERITIES, Check
from gridpart.coverage.scope import TOPICS
from gridpart.errors import InputError
from gridpart.report.audit_map import draw_map

if TYPE_CHECKING:
    import geopandas as gpd
    import pandas as pd

__all__ = [
    "audit_json",
    "audit_text",
    "print_audit",
    "read_audit_json",
    "write_audit_html",
    "write_audit_json",
    "write_findings",
]

SCHEMA_VERSION = 2
SCREEN_LINES = 20
SCREEN_COLUMNS = 100
IDS_SHOWN = 8
LAYERS = {0: "findings_points", 1: "findings_lines", 2: "findings_polygons"}
LAYER_WITHOUT = "findings_without_geometry"
SEVERITY_CHINESE = {"error": "错误", "warning": "警告", "note": "提示"}


def audit_json(findings: gpd.GeoDataFrame, *, since: Comparison | None = None) -> dict[str, Any]:
    """Findings as plain data for JSON.

    Parameters
    ----------
    findings : GeoDataFrame
        From :func:`gridpart.audit`.
    since : Comparison, optional
        With an earlier audit, from :func:`gridpart.compare_audits`; its findings are written.

    Returns
    -------
    dict
        ``schema_version``, ``ok``, ``counts`` (defects by check) and ``findings``: one dict each
        with every column; ``bbox`` is a list of west, south, east, north, or null; what was not
        measured is null; ``geometry`` is a GeoJSON geometry, to the millimetre, in the CRS of the
        audit. Since version 2 also ``crs`` and ``scope`` (what was checked), each null if it is
        not known, and in a comparison ``since``: its ``counts`` and the findings ``cured`` and
        ``unknown``; each finding then says its ``change``. A version only adds keys.

    Examples
    --------
    >>> import geopandas as gpd
    >>> from shapely import box
    >>> from gridpart import audit
    >>> zones = gpd.GeoDataFrame(geometry=[box(0, 0, 9, 9)], crs="EPSG:4547")
    >>> data = audit_json(audit(zones))
    >>> list(data), data["ok"], data["crs"]
    (['schema_version', 'ok', 'counts', 'crs', 'scope', 'findings'], True, 'EPSG:4547')
    """
    if since is not None:
        findings = since.findings
    data = {
        "schema_version": SCHEMA_VERSION,
        "ok": audit_ok(findings),
        "counts": audit_counts(findings),
        "crs": None if findings.crs is None else findings.crs.to_string(),
        "scope": findings.attrs.get("scope"),
        "findings": _plain_rows(findings),
    }
    if since is not None:
        data["since"] = {
            "counts": since.counts,
            "cured": _plain_rows(since.cured),
            "unknown": _plain_rows(since.unknown),
        }
    return data


def _columns(findings: gpd.GeoDataFrame) -> list[str]:
    """Columns to write: with the change, where findings were compared."""
    return [*COLUMNS, *(["change"] if "change" in findings.columns else [])]


def _plain_rows(findings: gpd.GeoDataFrame) -> list[dict[str, Any]]:
    names = _columns(findings)
    return [
        _plain(dict(zip(names, row, strict=True)), shape)
        for row, shape in zip(
            findings[names].itertuples(index=False, name=None), findings.geometry, strict=True
        )
    ]


def _plain(row: dict[str, Any], shape: Any) -> dict[str, Any]:
    """One finding without numpy types, NaN or pandas' missing values."""
    row["bbox"] = [float(part) for part in row["bbox"].split()] or None
    for name in ("area_m2", "length_m"):
        row[name] = round(float(row[name]), 6) if math.isfinite(row[name]) else None
    row["households"] = None if _is_missing(row["households"]) else int(row["households"])
    row["n"] = int(row["n"])
    row["geometry"] = None if shape is None else _rounded(json.loads(shapely.to_geojson(shape)))
    return row


def _is_missing(value: Any) -> bool:
    import pandas as pd

    return bool(pd.isna(value))


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, list):
        return [_rounded(part) for part in value]
    if isinstance(value, dict):
        return {key: _rounded(part) for key, part in value.items()}
    return value


def write_audit_json(
    findings: gpd.GeoDataFrame, path: PathLike, *, since: Comparison | None = None
) -> None:
    """Write :func:`audit_json` to a file, whole or not at all.

    Parameters
    ----------
    findings : GeoDataFrame
        From :func:`gridpart.audit`.
    path : str or path
        The file.
    since : Comparison, optional
        With an earlier audit.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    text = json.dumps(
        audit_json(findings, since=since), ensure_ascii=False, allow_nan=False, indent=1
    )
    write_bytes(path, (text + "\n").encode("utf-8"))


def read_audit_json(path: PathLike, *, crs: Any = None) -> gpd.GeoDataFrame:
    """Read the findings of an earlier audit.

    Parameters
    ----------
    path : str or path
        Written by :func:`write_audit_json`.
    crs : CRS or str, optional
        See :func:`gridpart.coverage.findings_from_json`.

    Raises
    ------
    InputError
        If there is no such file, or it holds no audit.
    """
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as an earlier audit ({error})") from error
    if not isinstance(data, dict):
        raise InputError(f"{path}: this is no audit")
    return findings_from_json(data, crs)


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
        layers[LAYER_WITHOUT] = pd.DataFrame(findings.loc[bare, _columns(findings)])
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
    return gpd.GeoDataFrame(rows[_columns(rows)], geometry=geometry, crs=rows.crs)


# --------------------------------------------------------------------------- summary


@dataclass(frozen=True)
class CheckSummary:
    """One check's findings in total."""

    check: Check
    severity: str
    n: int
    area: float
    households: int


def _summaries(findings: gpd.GeoDataFrame) -> list[CheckSummary]:
    """Totals by severity and check, the gravest first."""
    result = []
    for severity in SEVERITIES:
        for name, check in CATALOGUE.items():
            rows = findings[(findings["severity"] == severity) & (findings["check"] == name)]
            if len(rows):
                area = float(np.nansum(rows["area_m2"].to_numpy()))
                people = int(rows["households"].fillna(0).sum())
                result.append(CheckSummary(check, severity, int(rows["n"].sum()), area, people))
    return result


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
    room = SCREEN_LINES - len(lines) - 1
    for item in summaries[:room]:
        rows = findings[
            (findings["severity"] == item.severity) & (findings["check"] == item.check.id)
        ]
        example = str(rows["message"].iloc[0])
        if len(rows) > 1:
            example = f"such as: {example}"
        lines.append(f"  {item.severity:<7} {item.check.id:<22} {item.n:>5}  {example}")
    if len(summaries) > room:
        lines.append(f"  and {len(summaries) - room} more kinds")
    return "\n".join(
        line if len(line) <= SCREEN_COLUMNS else line[: SCREEN_COLUMNS - 1] + "…" for line in lines
    )


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
    zones, boundary : GeoDataFrame, optional
        Drawn below the findings.
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
    write_bytes(path, _page(findings, zones, id, boundary, title, since).encode("utf-8"))


def _page(
    findings: gpd.GeoDataFrame,
    zones: gpd.GeoDataFrame | None,
    id: str | None,
    boundary: Any,
    title: str,
    since: Comparison | None,
) -> str:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("gridpart.report", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    if zones is not None and id is None and "grid" in zones.columns:
        id = "grid"
    names = [] if zones is None else [str(v) for v in (zones.index if id is None else zones[id])]
    return environment.get_template("audit.html").render(
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
        map=draw_map(findings, zones, boundary, names=names, labels=_labels(zones, id, names)),
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
    """Serial of a 15-digit code, or what follows the last mark between the parts of an id."""
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
        "ids": "; ".join(ids[:IDS_SHOWN]) + (f" and {hidden} more" if hidden > 0 else ""),
        "check_data": CATALOGUE[row["check"]],
        "change": row.get("change"),
        "advice_chinese": row.get("advice_chinese") or CATALOGUE[row["check"]].advice_chinese,
        "area": f"{area:,.1f}" if math.isfinite(area) else "",
        "area_key": area if math.isfinite(area) else -1,
        "households": "" if _is_missing(row["households"]) else int(row["households"]),
    }
