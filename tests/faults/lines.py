"""Faults of how zones meet: parts, contacts at points, borders that match only nearly; layers."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import shapely

from faults.cases import TOLERANCE, Case, chord
from faults.ground import LEAST_AREA, changed, patch
from faults.judging import Expected
from faults.kit import Site, injector
from faults.oracle import consequences, wide_parts

Rng = np.random.Generator

# --------------------------------------------------------------------------- parts, contacts


@injector("multipart", "ground", "open", "people", redraws=True)
def part_far_away(case: Case, rng: Rng, site: Site) -> Expected | None:
    """A piece of another zone is given to this one."""
    other = site.partner(rng)
    piece = None if other is None else patch(case.shapes[other], rng, 1e-5, 500)
    if piece is None:
        return None
    shapes = {
        site.hit: shapely.MultiPolygon([case.shapes[site.hit], piece]),
        other: shapely.difference(case.shapes[other], piece),
    }
    return changed(case, shapes, "multipart", {site.hit}, piece)


@injector("multipart", "ground", "open", "people", redraws=True)
def part_at_a_point(case: Case, rng: Rng, site: Site) -> Expected | None:
    """A piece of a neighbour that touches the zone at a corner only."""
    ring = shapely.get_coordinates(case.shapes[site.hit].exterior)[:-1]
    spot = ring[rng.integers(len(ring))]
    reach = np.exp(rng.uniform(np.log(0.05), np.log(12)))
    turn, open_by = rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 0.8)
    sides = [spot + reach * np.array([np.cos(a), np.sin(a)]) for a in (turn, turn + open_by)]
    piece = shapely.Polygon([spot, *sides])
    if not shapely.intersection(piece, case.shapes[site.hit]).equals(shapely.Point(spot)):
        return None
    for other in case.place.near[site.hit] - {site.hit}:
        far = shapely.buffer(piece, 0.05).difference(shapely.Point(spot).buffer(0.2))
        if case.shapes[other].covers(piece) and case.shapes[other].covers(far):
            rest = shapely.difference(case.shapes[other], piece)
            both = shapely.MultiPolygon([case.shapes[site.hit], piece])
            if rest.geom_type == "Polygon" and both.is_valid:
                shapes = {site.hit: both, other: rest}
                return changed(case, shapes, "multipart", {site.hit}, piece)
    return None


@injector("multipart", "ground", "open", "people", redraws=True)
def zone_cut_through(case: Case, rng: Rng, site: Site) -> Expected | None:
    """A neighbour takes a strip right across the zone."""
    old = case.shapes[site.hit]
    line, _, _ = chord(old, rng)
    half = np.exp(rng.uniform(np.log(0.01), np.log(3))) / 2
    strip = shapely.intersection(shapely.buffer(line, half, cap_style="flat"), old)
    parts = wide_parts(shapely.difference(old, strip))
    if strip.geom_type != "Polygon" or len(parts) != 2:
        return None
    smaller = min(parts, key=lambda part: part.area)
    for other in case.place.near[site.hit] - {site.hit}:
        taken = shapely.union(case.shapes[other], strip)
        if taken.geom_type == "Polygon":
            shapes = {site.hit: shapely.MultiPolygon(parts), other: taken}
            return changed(case, shapes, "multipart", {site.hit}, smaller, region=strip)
    return None


@injector("point_contact", "ground", "open", redraws=True)
def border_shrunk_to_a_point(case: Case, rng: Rng, site: Site) -> Expected | None:
    """The border of two zones contracts until they touch at its end only."""
    near = sorted(case.place.near[site.hit] - {site.hit})
    other = near[rng.integers(len(near))]
    shared = shapely.intersection(case.shapes[site.hit], case.shapes[other])
    chain = shapely.line_merge(shared) if shared.geom_type == "MultiLineString" else shared
    if chain.geom_type != "LineString" or shapely.distance(chain, case.place.rim) < 1:
        return None
    points = shapely.get_coordinates(chain)
    end, moved = points[-1], set(map(tuple, points[:-1].tolist()))
    shapes = {}
    for zone in case.place.near[site.hit]:
        ring = shapely.get_coordinates(case.shapes[zone].exterior)[:-1]
        at = [tuple(xy) in moved for xy in ring.tolist()]
        if any(at):
            ring = np.where(np.array(at)[:, None], end, ring)
            ring = ring[np.any(ring != np.roll(ring, 1, axis=0), axis=1)]
            if len(ring) < 3:
                return None
            shapes[zone] = shapely.Polygon(ring, case.shapes[zone].interiors)
    if not all(shape.is_valid for shape in shapes.values()) or {site.hit, other} - set(shapes):
        return None
    if not shapes[site.hit].intersection(shapes[other]).equals(shapely.Point(end)):
        return None
    names = frozenset([case.name_of(site.hit), case.name_of(other)])
    before = {zone: case.shapes[zone] for zone in shapes}
    region = shapely.union_all([*before.values(), *shapes.values()])
    case.shapes |= shapes
    if consequences(case, set(shapes), region) or _new_contacts(before, shapes) != 1:
        case.shapes |= before
        return None
    return Expected("point_contact", names, shapely.Point(end), redrawn=region)


def _new_contacts(before: dict[int, Any], after: dict[int, Any]) -> int:
    """How many pairs touch at points only now that did not before."""

    def pairs(shapes: dict[int, Any]) -> set[tuple[int, int]]:
        return {
            (a, b)
            for a in shapes
            for b in shapes
            if a < b and shapely.get_dimensions(shapes[a].intersection(shapes[b])) == 0
        }

    return len(pairs(after) - pairs(before))


# --------------------------------------------------------------------------- nearly matching


@injector("misaligned", "edges", redraws=True)
def corner_beside_the_others(case: Case, rng: Rng, site: Site) -> Expected | None:
    """One zone's corner lies within the tolerance of its neighbours', but not on it."""
    shape = case.shapes[site.hit]
    ring = shapely.get_coordinates(shape.exterior)[:-1].copy()
    k = int(rng.integers(len(ring)))
    corner = shapely.Point(ring[k])
    others = [
        zone
        for zone in case.place.near[site.hit] - {site.hit}
        if corner.coords[0] in set(map(tuple, shapely.get_coordinates(case.shapes[zone])))
    ]
    reach = np.exp(rng.uniform(np.log(5e-6), np.log(0.9 * TOLERANCE)))
    turn = rng.uniform(0, 2 * np.pi)
    ring[k] += reach * np.array([np.cos(turn), np.sin(turn)])
    if not others:
        return None
    case.shapes[site.hit] = shapely.Polygon(ring, shape.interiors)
    return _beside(case, site.hit, corner, reach)


@injector("misaligned", "edges", redraws=True)
def junction_beside_the_line(case: Case, rng: Rng, site: Site) -> Expected | None:
    """One zone has a corner on the middle of a border which its neighbour lacks, a hair off it."""
    shape = case.shapes[site.hit]
    ring = shapely.get_coordinates(shapely.orient_polygons(shape).exterior)[:-1]
    k = int(rng.integers(len(ring)))
    step = np.roll(ring, -1, axis=0)[k] - ring[k]
    length = float(np.hypot(*step))
    at = ring[k] + step * rng.uniform(0.2, 0.8)
    neighbours = [z for z in case.place.near[site.hit] - {site.hit}
                  if shapely.distance(case.shapes[z], shapely.Point(at)) < 1e-7]  # fmt: skip
    if length < 0.5 or len(neighbours) != 1:
        return None
    reach = np.exp(rng.uniform(np.log(5e-6), np.log(0.9 * TOLERANCE))) * rng.choice([-1, 1])
    at = at + np.array([step[1], -step[0]]) / length * reach
    ring = np.insert(ring, k + 1, at, axis=0)
    case.shapes[site.hit] = shapely.Polygon(ring, shape.interiors)
    return _beside(case, site.hit, shapely.Point(at), abs(reach))


def _beside(case: Case, zone: int, spot: Any, reach: float) -> Expected:
    near = frozenset(case.name_of(other) for other in case.place.near[zone])
    name = frozenset([case.name_of(zone)])
    return Expected("misaligned", name, spot, near, size=reach, unit="m")


# --------------------------------------------------------------------------- what needs no zone


@injector("excluded_ground", "excluded", "excluded open", redraws=True)
def water_left_out(case: Case, rng: Rng, site: Site) -> Expected | None:
    """Ground without a zone that the excluded layer covers, wholly or in part."""
    shape = case.shapes[site.hit]
    piece = patch(shape, rng, LEAST_AREA, 900)
    if piece is None:
        return None
    rest = shapely.difference(shape, piece)
    if rng.random() < 0.5:
        case.shapes[site.hit] = rest
        case.lines["excluded"].append(shapely.buffer(piece, rng.uniform(0, 3)))
        return Expected("excluded_ground", place=piece, size=piece.area)
    ring = shapely.get_coordinates(piece.exterior)
    share = rng.uniform(0.2, 0.8)
    cut = ring.copy()
    cut[1] = ring[0] + (ring[1] - ring[0]) * share
    cut[2] = ring[3] + (ring[2] - ring[3]) * share
    wet = shapely.Polygon(cut)
    dry = shapely.difference(piece, wet)
    if min(wet.area, dry.area) < LEAST_AREA:
        return None
    case.shapes[site.hit] = rest
    case.lines["excluded"].append(wet)
    check = "gap" if case.boundary is not None else "hole"
    bare = Expected(check, frozenset([case.name_of(site.hit)]), dry)
    return Expected("excluded_ground", place=wet, size=wet.area, implied=(bare,))


@injector("excluded_ground", "excluded", "excluded open", redraws=True)
def zone_of_another_authority(case: Case, rng: Rng, site: Site) -> Expected | None:
    """An enclave that has a zone nowhere, and needs none."""
    shape = case.shapes[site.hit]
    if site.hit not in case.place.inner:
        return None
    case.zones = case.zones.drop(index=site.hit)
    del case.shapes[site.hit]
    case.lines["excluded"].append(shape)
    return Expected("excluded_ground", place=shape, size=shape.area)


@injector("other_scope", "ground", "people", redraws=True, alone=True)
def boundary_of_more(case: Case, rng: Rng, site: Site) -> Expected | None:
    """The boundary holds other ground besides, apart from the zones or beside them."""
    _, south, east, north = case.boundary.bounds
    share = rng.uniform(0.31, 0.9)
    area = case.boundary.area * share / (1 - share)
    beside = east + rng.choice([0, 1_000])
    more = shapely.box(beside, south, beside + area / (north - south), north)
    case.boundary = shapely.union(case.boundary, more)
    severity = "warning" if case.units is not None else "error"
    names = frozenset(map(str, case.zones["grid"]))
    return Expected(
        "other_scope", frozenset(), more, names, size=share, unit="of the boundary",
        severity=severity,
    )  # fmt: skip


@injector("gap", "ground", redraws=True, alone=True)
def boundary_shifted(case: Case, rng: Rng, site: Site) -> Expected | None:
    """A boundary from another drawing: slender gaps on one side, slender spill on the other."""
    old = case.boundary
    turn, reach = rng.uniform(0, 2 * np.pi), np.exp(rng.uniform(np.log(0.2), np.log(8)))
    step = reach * np.array([np.cos(turn), np.sin(turn)])
    case.boundary = shapely.transform(old, lambda xy: xy + step)
    site.own |= set(case.shapes)
    region = shapely.union(old, case.boundary)
    found = consequences(case, set(case.shapes), region)
    main = max((one for one in found if one.check == "gap"), key=lambda one: one.place.area)
    implied = tuple(one for one in found if one is not main)
    return dataclasses.replace(main, implied=implied, size=main.place.area)


# --------------------------------------------------------------------------- layers


@injector("crs_missing", "people", "excluded", alone=True)
def layer_without_crs(case: Case, rng: Rng, site: Site) -> Expected | None:
    what = str(rng.choice(_layers(case)))
    case.crs[what] = None
    return Expected("crs_missing", frozenset([what]))


@injector("crs_differs", "people", "excluded", alone=True)
def layer_in_another_crs(case: Case, rng: Rng, site: Site) -> Expected | None:
    what = str(rng.choice([name for name in _layers(case) if name != "zones"]))
    case.crs[what] = case.place.other_crs[rng.integers(len(case.place.other_crs))]
    return Expected("crs_differs", frozenset([what]))


def _layers(case: Case) -> list[str]:
    layers = ["zones", "boundary"]
    return [*layers, "units"] if case.units is not None else layers
