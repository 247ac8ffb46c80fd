"""Two audits of the same place: what was cured, what is new, what stays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import NDArray

from gridpart.coverage.catalogue import COLUMNS
from gridpart.coverage.territory import EMPTY
from gridpart.errors import InputError, Problem

if TYPE_CHECKING:
    import geopandas as gpd

__all__ = ["Comparison", "compare_audits", "findings_from_json"]

Geometries = NDArray[np.object_]
Pair = tuple[int, int]
# Metres within which two findings that share an id are in the same place: a line that was redrawn
# moves a sliver out of its own outline.
SAME_PLACE_M = 1.0
# Shared part of the united ground from which on two findings are the same whatever their ids:
# zones are renamed. Of the new ground alone, from which on it is what is left of an old finding.
SAME_GROUND = 0.5
# Columns of findings whose sheet was read back: what officers wrote.
NOTES = ("who", "when", "remarks")


@dataclass(frozen=True)
class Comparison:
    """Two audits of the same place.

    Parameters
    ----------
    findings : GeoDataFrame
        Those of the new audit with a column ``change``: ``new``, ``stays`` or ``reopened``. What
        stays keeps the status it was given; what was said to be done and is still found is
        reopened, and its status ``open``. Columns ``who``, ``when`` and ``remarks`` of the old
        audit, which the sheet read back adds, are handed on likewise.
    cured : GeoDataFrame
        Those of the old audit that the new one looked for and did not find; ``change`` is
        ``cured`` and the status ``done``.
    unknown : GeoDataFrame
        Those of the old audit that the new one did not look for; ``change`` is ``unknown``.
    counts : dict of str to int
        Defects: ``cured``, ``new``, ``stays``, ``unknown``, and ``reopened``, the findings among
        those that stay that were said to be done. Where a group of defects shrank or grew, the
        difference is cured or new.
    """

    findings: gpd.GeoDataFrame
    cured: gpd.GeoDataFrame
    unknown: gpd.GeoDataFrame
    counts: dict[str, int]


def compare_audits(old: gpd.GeoDataFrame | Mapping[str, Any], new: gpd.GeoDataFrame) -> Comparison:
    """Tell what was cured between two audits, what is new and what stays.

    Parameters
    ----------
    old : GeoDataFrame or mapping
        Findings of the earlier audit, or the content of its JSON file.
    new : GeoDataFrame
        Findings of the later one.

    Returns
    -------
    Comparison

    Raises
    ------
    InputError
        If `old` is no audit.

    Notes
    -----
    Findings are the same if they are of the same check and either share an id and lie within a
    metre of each other, or share at least half of their united ground. Of several candidates the
    one with the same ids and the most shared ground is taken, each finding once; a new finding
    that mostly lies in the ground of an old one is the rest of it, and stays. Findings without a
    place are the same if their ids are.

    Examples
    --------
    >>> import geopandas as gpd
    >>> from shapely import box
    >>> from gridpart import audit
    >>> cells = [box(0, 0, 10, 10), box(8, 0, 20, 10), box(40, 0, 60, 10)]
    >>> before = gpd.GeoDataFrame(geometry=cells, crs="EPSG:4547")
    >>> after = before.set_geometry([cells[0], box(10, 0, 20, 10), box(18, 0, 60, 10)], crs=4547)
    >>> result = compare_audits(audit(before), audit(after))
    >>> result.counts
    {'cured': 1, 'new': 1, 'stays': 0, 'unknown': 0, 'reopened': 0}
    >>> result.cured["ids"].tolist(), result.findings["ids"].tolist()
    (['0;1'], ['1;2'])
    """
    if isinstance(old, Mapping):
        old = findings_from_json(old, new.crs)
    elif old.crs is None and new.crs is not None:
        old = old.set_crs(new.crs)
    elif old.crs is not None and new.crs is not None and old.crs != new.crs:
        old = old.to_crs(new.crs)
    before, after = _ground(old), _ground(new)
    pairs = _pairs(old, new, before, after)
    rest = _rests(old, new, before, after, pairs)
    findings, counts = _changed(old, new, pairs, rest)
    gone = np.setdiff1d(np.arange(len(old)), [a for a, _ in pairs])
    scope = new.attrs.get("scope")
    looked_for = old["check"].isin(scope["checked"]) if scope else old["check"].notna()
    seen = looked_for.to_numpy(dtype=bool)[gone]
    cured = old.iloc[gone[seen]].assign(change="cured", status="done").reset_index(drop=True)
    unknown = old.iloc[gone[~seen]].assign(change="unknown").reset_index(drop=True)
    counts["cured"] += int(cured["n"].sum())
    counts["unknown"] = int(unknown["n"].sum())
    return Comparison(findings, cured, unknown, counts)


def findings_from_json(data: Mapping[str, Any], crs: Any = None) -> gpd.GeoDataFrame:
    """Findings of an audit from the content of its JSON file.

    Parameters
    ----------
    data : mapping
        What :func:`gridpart.report.audit_json` returns, of any version.
    crs : CRS or str, optional
        What to measure in; the first version of the file did not say its own, and is taken to
        be in this one.

    Raises
    ------
    InputError
        If it is no such content.
    """
    import geopandas as gpd
    import pandas as pd

    rows = data.get("findings")
    if "schema_version" not in data or not isinstance(rows, list):
        raise InputError("this is no audit: it has no schema_version and no list of findings")
    needed = ("check", "severity", "ids", "n", "status")
    lacking = [
        f"finding {k}: no {name}"
        for k, row in enumerate(rows)
        for name in needed
        if not (isinstance(row, Mapping) and name in row)
    ]
    if lacking:
        raise InputError(Problem("not_an_audit", "findings without a value", tuple(lacking)))
    table = pd.DataFrame([{name: row.get(name) for name in COLUMNS} for row in rows])
    table = table.reindex(columns=list(COLUMNS))
    shapes = [_shape(k, row.get("geometry")) for k, row in enumerate(rows)]
    table["bbox"] = [" ".join(f"{value:.3f}" for value in row.get("bbox") or ()) for row in rows]
    table["households"] = pd.array(table["households"], dtype="Int64")
    table["n"] = table["n"].astype("int64")
    for name in ("area_m2", "length_m"):
        table[name] = table[name].astype("float64")
    series = gpd.GeoSeries(shapes, index=table.index, crs=data.get("crs") or crs)
    frame = gpd.GeoDataFrame(table, geometry=series, crs=series.crs)
    if crs is not None and frame.crs is not None and frame.crs != crs:
        frame = frame.to_crs(crs)
    if data.get("scope"):
        frame.attrs["scope"] = data["scope"]
    return frame


def _shape(row: int, data: Any) -> Any:
    if data is None:
        return None
    try:
        return shapely.geometry.shape(data)
    except (shapely.errors.ShapelyError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"finding {row}: its geometry cannot be read ({error})") from error


def _ground(findings: gpd.GeoDataFrame) -> Geometries:
    """Valid shapes; empty where there is none."""
    shapes = np.array(findings.geometry, dtype=object)
    shapes[shapely.is_missing(shapes)] = EMPTY
    broken = ~shapely.is_valid(shapes)
    shapes[broken] = shapely.make_valid(shapes[broken])
    return shapes


def _shared(first: Any, second: Any) -> tuple[float, float]:
    """Shared part of the united ground of two shapes, and of the second alone."""
    if shapely.equals(first, second):
        return 1.0, 1.0
    common = float(shapely.area(shapely.intersection(first, second)))
    whole = float(shapely.area(first) + shapely.area(second)) - common
    own = float(shapely.area(second))
    return (common / whole if whole else 0.0), (common / own if own else 0.0)


def _near(
    old: gpd.GeoDataFrame, new: gpd.GeoDataFrame, before: Geometries, after: Geometries
) -> list[Pair]:
    """Pairs of the same check in the same place, or of the same ids where one has no place."""
    checks = old["check"].tolist(), new["check"].tolist()
    new_rows, old_rows = shapely.STRtree(before).query(
        after, predicate="dwithin", distance=SAME_PLACE_M
    )
    placed = zip(old_rows.tolist(), new_rows.tolist(), strict=True)
    pairs = [(a, b) for a, b in placed if checks[0][a] == checks[1][b]]
    nowhere = shapely.is_empty(before), shapely.is_empty(after)
    by_name: dict[tuple[str, str], list[int]] = {}
    for b, key in enumerate(zip(checks[1], new["ids"], strict=True)):
        by_name.setdefault(key, []).append(b)
    for a, key in enumerate(zip(checks[0], old["ids"], strict=True)):
        pairs += [(a, b) for b in by_name.get(key, ()) if nowhere[0][a] or nowhere[1][b]]
    return pairs


def _pairs(
    old: gpd.GeoDataFrame, new: gpd.GeoDataFrame, before: Geometries, after: Geometries
) -> list[Pair]:
    """Old and new rows of the same finding, each row once, the surest first."""
    names = [[set(text.split(";")) - {""} for text in frame["ids"]] for frame in (old, new)]
    ranked = []
    for a, b in _near(old, new, before, after):
        mine, other = names[0][a], names[1][b]
        same = len(mine & other) / len(mine | other) if mine | other else 0.0
        ground, _ = _shared(before[a], after[b])
        if same or ground >= SAME_GROUND:
            ranked.append((-(same + ground), -same, a, b))
    taken: tuple[set[int], set[int]] = (set(), set())
    pairs = []
    for *_, a, b in sorted(ranked):
        if a not in taken[0] and b not in taken[1]:
            taken[0].add(a)
            taken[1].add(b)
            pairs.append((a, b))
    return pairs


def _rests(
    old: gpd.GeoDataFrame,
    new: gpd.GeoDataFrame,
    before: Geometries,
    after: Geometries,
    pairs: list[Pair],
) -> dict[int, int]:
    """New rows that are a rest of an old finding which another row stands for, and that finding."""
    taken = {b for _, b in pairs}
    return {
        b: a
        for a, b in _near(old, new, before, after)
        if b not in taken and _shared(before[a], after[b])[1] >= SAME_GROUND
    }


def _changed(
    old: gpd.GeoDataFrame, new: gpd.GeoDataFrame, pairs: list[Pair], rest: dict[int, int]
) -> tuple[gpd.GeoDataFrame, dict[str, int]]:
    """Mark the new findings, hand on the status, and count the defects."""
    counts = {"cured": 0, "new": 0, "stays": 0, "unknown": 0, "reopened": 0}
    was = {b: a for a, b in pairs}
    n_old, n_new = old["n"].to_numpy(), new["n"].to_numpy()
    said = old["status"].tolist()
    sources = [was.get(row, rest.get(row)) for row in range(len(new))]
    change, status = [], []
    for row, (own, source) in enumerate(zip(new["status"], sources, strict=True)):
        if source is None:
            change.append("new")
            status.append(own)
            counts["new"] += int(n_new[row])
            continue
        done = said[source] == "done"
        change.append("reopened" if done else "stays")
        status.append("open" if done else said[source])
        counts["reopened"] += int(done)
        before = int(n_old[source]) if row in was else int(n_new[row])
        counts["stays"] += min(before, int(n_new[row]))
        counts["new"] += max(0, int(n_new[row]) - before)
        counts["cured"] += max(0, before - int(n_new[row]))
    notes = {
        name: ["" if source is None else texts[source] for source in sources]
        for name, texts in ((name, old[name].tolist()) for name in NOTES if name in old.columns)
    }
    return new.assign(change=change, status=status, **notes), counts
