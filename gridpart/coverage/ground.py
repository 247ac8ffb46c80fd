"""Checks of the ground that zones cover: gaps, holes, spill, overlaps, parts, contacts.

The geometry is measured in :mod:`gridpart.coverage.territory`; here it becomes findings.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import shapely

from gridpart._geometry.distinct import distinct
from gridpart.coverage.borders import near_misses
from gridpart.coverage.causes import (
    MANY,
    along_the_rim,
    beyond_scope,
    drawn_twice,
    without_excluded,
)
from gridpart.coverage.findings import Finding
from gridpart.coverage.scene import Scene
from gridpart.coverage.territory import is_wide

__all__ = ["check_ground"]

NEIGHBOURS_NAMED = 6
RIM_ADVICE = "take the boundary and the zones from one drawing of that line"
RIM_ADVICE_CHINESE = "边界与网格外缘应采用同一条线。"


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
    yield from _misaligned(scene)


def _gap(scene: Scene) -> Iterator[Finding]:
    """Gaps inside the boundary; slender ones along its line, and what is left out, as one row."""
    pieces, free = without_excluded(scene, scene.gaps)
    yield from _excluded_ground(free)
    beyond = beyond_scope(scene, pieces)
    if beyond.any():
        yield _other_scope(scene, pieces[beyond])
        pieces = pieces[~beyond]
    rim = along_the_rim(scene, pieces) & (shapely.area(pieces) >= scene.limits["gap"])
    if rim.sum() < MANY:
        rim[:] = False
    yield from _bare_ground(scene, "gap", pieces[~rim])
    if rim.any():
        yield _rim_gap(scene, pieces[rim])


def _excluded_ground(free: Any) -> Iterator[Finding]:
    if len(free):
        ground = shapely.MultiPolygon(list(free))
        message = f"pieces of excluded ground without a zone: {len(free)}"
        yield Finding("excluded_ground", message, (), ground, n=len(free))


def _other_scope(scene: Scene, pieces: Any) -> Finding:
    """Ground that a plan may leave out; without units nothing tells that nobody lives there."""
    ground = shapely.union_all(pieces)
    share = shapely.area(ground) / shapely.area(scene.boundary)
    near = np.unique(scene.cover.tree.query(pieces, "dwithin", scene.tolerance)[1])
    blind = not len(scene.unit_ids)
    why = "no units were given to tell whether anybody lives there" if blind else "no unit is there"
    return Finding(
        "other_scope",
        f"{share:.0%} of the boundary lies in {len(pieces)} large pieces without a zone; {why}",
        scene.zones.named(near[:NEIGHBOURS_NAMED]),
        ground,
        n=len(pieces),
        severity="error" if blind else None,
    )


def _rim_gap(scene: Scene, pieces: Any) -> Finding:
    """Gaps along the boundary's line, which the zones follow in another drawing."""
    near = np.unique(np.concatenate([_border_shares(scene, piece)[0] for piece in pieces]))
    lost = np.unique(np.concatenate([scene.lost_on(piece) for piece in pieces]))
    return Finding(
        "gap",
        f"slender gaps along the boundary's line: {len(pieces)}, together "
        f"{shapely.area(pieces).sum():,.2f} m²; is it drawn otherwise than the zones?",
        scene.zones.named(near),
        shapely.MultiPolygon(list(pieces)),
        scene.households_at(lost),
        n=len(pieces),
        severity="warning" if drawn_twice(scene) and not len(lost) else None,
        advice=RIM_ADVICE,
        advice_chinese=RIM_ADVICE_CHINESE,
    )


def _hole(scene: Scene) -> Iterator[Finding]:
    """Enclosed ground; where units are known and none lies there, it may be an enclave."""
    pieces, free = without_excluded(scene, scene.cover.holes())
    yield from _excluded_ground(free)
    for finding in _bare_ground(scene, "hole", pieces):
        if finding.check == "hole" and len(scene.unit_ids):
            rows = scene.unit_tree.query(finding.geometry, predicate="intersects")
            near = scene.unit_shapes[rows]
            shared = shapely.area(shapely.intersection(near, finding.geometry)).sum()
            if shared < scene.limits["hole"] and not len(scene.lost_on(finding.geometry)):
                finding.severity = "warning"
                finding.message += "; no unit lies there: an enclave?"
        yield finding


def _bare_ground(scene: Scene, check: str, pieces: Any) -> Iterator[Finding]:
    """Uncovered pieces with their neighbours, those below the smallest area as one row."""
    least = scene.limits[check]
    small = shapely.area(pieces) < least
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
    small &= is_wide(pieces, scene.limits["sliver_gap"])
    if small.any():
        near = np.unique(np.concatenate([_border_shares(scene, p)[0] for p in pieces[small]]))
        yield Finding(
            "sliver_gap",
            f"slivers that no zone covers, each below {least:g} m²: {small.sum()}",
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
    """Zones that leave the boundary; along its line, where many do, as one row."""
    rows, shapes = scene.spills
    least = scene.limits["spill"]
    small = shapely.area(shapes) < least
    rim = along_the_rim(scene, shapes) & ~small
    if rim.sum() < MANY and not drawn_twice(scene):
        rim[:] = False
    lone = ~(small | rim)
    for row, shape in zip(rows[lone], shapes[lone], strict=True):
        name = scene.zones.ids[row]
        message = f"zone {name} reaches {shapely.area(shape):,.2f} m² outside the boundary"
        yield Finding("spill", message, (name,), shape)
    if rim.any():
        area = shapely.area(shapes[rim]).sum()
        yield Finding(
            "spill",
            f"zones that reach outside along the boundary's line: {rim.sum()}, by {area:,.2f} m²; "
            "is it drawn otherwise than the zones?",
            scene.zones.named(rows[rim]),
            shapely.union_all(shapes[rim]),
            n=int(rim.sum()),
            severity="warning" if drawn_twice(scene) else None,
            advice=RIM_ADVICE,
            advice_chinese=RIM_ADVICE_CHINESE,
        )
    if small.any():
        yield Finding(
            "spill",
            f"zones that reach less than {least:g} m² outside the boundary: {small.sum()}",
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
        rows = distinct(np.concatenate([pairs.first[small], pairs.second[small]]))
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
    for rows, shape in scene.cover.many(scene.limits["overlap_many"]):
        if len(np.unique(stacked[rows])) < 3:
            continue
        names = scene.zones.named(rows)
        message = f"{len(rows)} zones cover the same {shapely.area(shape):,.2f} m²"
        yield Finding("overlap_many", message, names, shape)


def _multipart(scene: Scene) -> Iterator[Finding]:
    """Zones in several parts; parts on which no zone and no gap borders are islets."""
    for row, parts in scene.cover.parts():
        name = scene.zones.ids[row]
        rest = shapely.union_all(parts[1:])
        area = shapely.area(rest)
        islet = _is_islet(scene, row, parts[1:])
        mild = islet or area < scene.limits["multipart"]
        yield Finding(
            "multipart",
            f"zone {name} has {len(parts)} parts; all but the largest have {area:,.2f} m²"
            + ("; no other zone borders on them: an islet?" if islet else ""),
            (name,),
            rest,
            severity="warning" if mild else None,
            rows=(row,),
        )


def _is_islet(scene: Scene, row: int, parts: Any) -> bool:
    """Whether parts of a zone border on no other zone, and on no ground that should have one."""
    near = np.unique(scene.cover.tree.query(parts, "dwithin", scene.tolerance)[1])
    if len(near) and (near != row).any():
        return False
    if scene.boundary is None:
        return True
    rim = shapely.buffer(parts, 2 * scene.tolerance)
    ring = shapely.difference(shapely.intersection(rim, scene.boundary), scene.cover.polygons[row])
    return bool(shapely.area(ring).sum() <= scene.tolerance * shapely.length(parts).sum() / 10)


def _point_contact(scene: Scene) -> Iterator[Finding]:
    pairs, points = scene.cover.point_contacts()
    if len(pairs):
        rows = distinct(pairs)
        yield Finding(
            "point_contact",
            f"pairs of zones that touch at a point only: {len(pairs)}",
            scene.zones.named(rows),
            shapely.MultiPoint(points),
            n=len(pairs),
        )


def _misaligned(scene: Scene) -> Iterator[Finding]:
    """Borders that match within the tolerance, but for their vertices; all as one row."""
    width = scene.limits["misaligned"]
    missed = near_misses(scene.cover, width)
    if len(missed.points):
        yield Finding(
            "misaligned",
            f"places where the borders of two zones match within {width:g} m, but not exactly: "
            f"{len(missed.points)}",
            scene.zones.named(missed.zones),
            shapely.MultiPoint(missed.points),
            n=len(missed.points),
        )
