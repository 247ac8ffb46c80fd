"""Checks of the ground that zones cover: gaps, holes, spill, overlaps, parts, contacts.

The geometry is measured in :mod:`gridpart.coverage.territory`; here it becomes findings.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import shapely

from gridpart.coverage.catalogue import Finding
from gridpart.coverage.scene import Scene

__all__ = ["check_ground"]

NEIGHBOURS_NAMED = 6


def check_ground(scene: Scene) -> Iterator[Finding]:
    """Run every check of the ground that zones cover."""
    if scene.boundary is not None:
        yield from _gap(scene)
        yield from _spill(scene)
    else:
        yield from _hole(scene)
    yield from _stacked(scene)
    yield from _overlap(scene)
    yield from _overlap_many(scene)
    yield from _multipart(scene)
    yield from _point_contact(scene)


def _gap(scene: Scene) -> Iterator[Finding]:
    yield from _bare_ground(scene, "gap", scene.cover.gaps(scene.boundary))


def _hole(scene: Scene) -> Iterator[Finding]:
    """Enclosed ground; where units are known and none lies there, it may be an enclave."""
    for finding in _bare_ground(scene, "hole", scene.cover.holes()):
        if finding.check == "hole" and len(scene.unit_ids):
            rows = scene.unit_tree.query(finding.geometry, predicate="intersects")
            near = scene.unit_shapes[rows]
            shared = shapely.area(shapely.intersection(near, finding.geometry)).sum()
            if shared < scene.min_area:
                finding.severity = "warning"
                finding.message += "; no unit lies there: an enclave?"
        yield finding


def _bare_ground(scene: Scene, check: str, pieces: Any) -> Iterator[Finding]:
    """Uncovered pieces with their neighbours, those below the smallest area as one row."""
    small = shapely.area(pieces) < scene.min_area
    for piece in pieces[~small]:
        rows, shares = _border_shares(scene, piece)
        name = scene.zones.ids[rows[0]] if len(rows) else ""
        advice = f"assign to zone {name}: shares {shares[0]:.0%} of its border" if name else None
        chinese = f"划入网格{name}：与其共用{shares[0]:.0%}的边界。" if name else None
        where = f" next to zone {name}" if name else ", touching no zone"
        yield Finding(
            check,
            f"{shapely.area(piece):,.2f} m² that no zone covers{where}",
            scene.zones.named(rows[:NEIGHBOURS_NAMED]),
            piece,
            _households_on(scene, piece),
            advice=advice,
            advice_chinese=chinese,
        )
    if small.any():
        near = np.unique(scene.cover.tree.query(pieces[small], "dwithin", scene.tolerance)[1])
        yield Finding(
            "sliver_gap",
            f"slivers that no zone covers, each below {scene.min_area:g} m²: {small.sum()}",
            scene.zones.named(near),
            shapely.MultiPolygon(list(pieces[small])),
            n=int(small.sum()),
        )


def _border_shares(scene: Scene, piece: Any) -> tuple[Any, Any]:
    """Zones along a piece of ground and the part of its outline each has, largest first."""
    rows = np.sort(scene.cover.tree.query(piece, "dwithin", scene.tolerance))
    outline = shapely.boundary(piece)
    near = shapely.buffer(scene.cover.polygons[rows], scene.tolerance)
    length = shapely.length(shapely.intersection(outline, near))
    order = np.argsort(-length, kind="stable")
    order = order[length[order] > 10 * scene.tolerance]
    return rows[order], length[order] / shapely.length(outline)


def _households_on(scene: Scene, piece: Any) -> int | None:
    """Households of the units that belong to no zone and lie on a piece of ground."""
    if scene.unit_households is None:
        return None
    return scene.households_at(scene.lost_on(piece))


def _spill(scene: Scene) -> Iterator[Finding]:
    rows, shapes = scene.cover.spill(scene.boundary)
    small = shapely.area(shapes) < scene.min_area
    for row, shape in zip(rows[~small], shapes[~small], strict=True):
        name = scene.zones.ids[row]
        message = f"zone {name} reaches {shapely.area(shape):,.2f} m² outside the boundary"
        yield Finding("spill", message, (name,), shape)
    if small.any():
        yield Finding(
            "spill",
            f"zones that reach less than {scene.min_area:g} m² outside the boundary: {small.sum()}",
            scene.zones.named(rows[small]),
            shapely.union_all(shapes[small]),
            n=int(small.sum()),
            severity="warning",
        )


def _stacked(scene: Scene) -> Iterator[Finding]:
    for rows in scene.cover.stacks:
        names = scene.zones.named(rows)
        message = f"zones {', '.join(names)} have the same shape"
        yield Finding("stacked", message, names, scene.cover.polygons[rows[0]], n=len(rows) - 1)


def _overlap(scene: Scene) -> Iterator[Finding]:
    """Pairs that share ground, but for stacks, which are told as such."""
    pairs = scene.cover.pairs
    stacked = _stack_of(scene)
    pairs = pairs.select(stacked[pairs.first] != stacked[pairs.second])
    small = pairs.area < scene.min_area
    for a, b, shape in zip(
        pairs.first[~small], pairs.second[~small], pairs.shape[~small], strict=True
    ):
        names = scene.zones.named((a, b))
        message = f"zones {names[0]} and {names[1]} overlap by {shapely.area(shape):,.2f} m²"
        yield Finding("overlap", message, names, shape)
    if small.any():
        rows = np.unique([pairs.first[small], pairs.second[small]])
        yield Finding(
            "overlap",
            f"overlaps of less than {scene.min_area:g} m² each; pairs of zones: {small.sum()}",
            scene.zones.named(rows),
            shapely.union_all(pairs.shape[small]),
            n=int(small.sum()),
            severity="warning",
            advice="snap the vertices of neighbouring zones to each other",
            advice_chinese="将相邻网格的边界顶点对齐。",
        )


def _stack_of(scene: Scene) -> Any:
    """First zone of the stack in which each zone lies; itself where it lies in none."""
    first = np.arange(len(scene.zones))
    for rows in scene.cover.stacks:
        first[rows] = rows[0]
    return first


def _overlap_many(scene: Scene) -> Iterator[Finding]:
    stacked = _stack_of(scene)
    for rows, shape in scene.cover.many(scene.min_area):
        if len(np.unique(stacked[rows])) < 3:
            continue
        names = scene.zones.named(rows)
        message = f"{len(rows)} zones cover the same {shapely.area(shape):,.2f} m²"
        yield Finding("overlap_many", message, names, shape)


def _multipart(scene: Scene) -> Iterator[Finding]:
    for row, parts in scene.cover.parts():
        name = scene.zones.ids[row]
        rest = shapely.union_all(parts[1:])
        speck = shapely.area(rest) < scene.min_area
        area = shapely.area(rest)
        yield Finding(
            "multipart",
            f"zone {name} has {len(parts)} parts; all but the largest have {area:,.2f} m²",
            (name,),
            rest,
            severity="warning" if speck else None,
            rows=(row,),
        )


def _point_contact(scene: Scene) -> Iterator[Finding]:
    pairs, points = scene.cover.point_contacts()
    if len(pairs):
        rows = np.unique(pairs)
        yield Finding(
            "point_contact",
            f"pairs of zones that touch at a point only: {len(pairs)}",
            scene.zones.named(rows),
            shapely.MultiPoint(points),
            n=len(pairs),
        )
