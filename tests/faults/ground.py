"""Faults of zones as such: bare, doubled, foreign ground; broken shapes, ids, parts, contacts."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import shapely

from faults.cases import MIN_AREA, TOLERANCE, Case
from faults.judging import Expected
from faults.kit import Site, injector
from faults.oracle import consequences

Rng = np.random.Generator
# The smallest fault is a fifth wider than the tolerance, or above it by as much in area.
LEAST_WIDTH = 1.2 * TOLERANCE
LEAST_AREA = 1.02 * MIN_AREA
SLIVER = (0.0012, 0.95)  # m2: above the noise of a shared border, below the smallest area


def changed(
    case: Case,
    shapes: dict[int, Any],
    check: str,
    ids: set[int],
    place: Any,
    *,
    region: Any = None,
    width: float | None = None,
) -> Expected | None:
    """Set shapes; expect one finding of `check` at `place`, and whatever else follows.

    Returns None, and leaves the case as it was, where brute force does not see the fault: it was
    narrower than meant, or hit something besides.
    """
    before = {label: case.shapes.get(label) for label in shapes}
    for label, shape in shapes.items():
        if shape is None:
            del case.shapes[label]
        else:
            case.shapes[label] = shape
    found = consequences(case, set(shapes), place if region is None else region)
    names = {case.name_of(label) for label in ids}
    for main in found:
        if main.check != check or not (main.ids | main.may) >= names:
            continue
        main_slack = TOLERANCE * shapely.length(place) + 1e-6
        if shapely.area(shapely.symmetric_difference(main.place, place)) <= main_slack:
            others = tuple(other for other in found if other is not main)
            size, unit = (place.area, "m2") if width is None else (width, "m")
            return dataclasses.replace(
                main, place=place, implied=others, size=size, unit=unit, redrawn=region
            )
    case.shapes |= {label: shape for label, shape in before.items() if shape is not None}
    return None


def wedge(shape: Any, rng: Rng, *, outward: bool, small: bool) -> tuple[Any, Any, float] | None:
    """A shape whose border is pushed in or out by a triangle, the triangle, and its width.

    A small one is anything from wider than the tolerance to below the smallest area.
    """
    ring = shapely.get_coordinates(shapely.orient_polygons(shape).exterior)[:-1]
    steps = np.roll(ring, -1, axis=0) - ring
    lengths = np.hypot(*steps.T)
    k = int(rng.choice(len(ring), p=lengths / lengths.sum()))
    length, along = lengths[k], steps[k] / lengths[k]
    if length < 1:
        return None
    base = rng.uniform(0.3, 0.8) * min(length, 60.0)
    if small:
        height = np.exp(rng.uniform(np.log(LEAST_WIDTH), np.log(1.5)))
    else:
        height = 2 * LEAST_AREA * np.exp(rng.uniform(0, 6)) / base
    area = base * height / 2
    width = 4 * area / (base + 2 * np.hypot(base / 2, height))
    if width < LEAST_WIDTH or height > 30 or (small and not SLIVER[0] < area < SLIVER[1]):
        return None
    side = np.array([along[1], -along[0]]) * (1 if outward else -1)
    middle = ring[k] + along * length / 2
    one, other = middle - along * base / 2, middle + along * base / 2
    tip = middle + along * rng.uniform(-0.3, 0.3) * base + side * height
    triangle = shapely.Polygon([one, tip, other])
    rest = shapely.LineString(np.roll(ring, -k - 1, axis=0))
    result = shapely.Polygon(np.insert(ring, k + 1, [one, tip, other], axis=0), shape.interiors)
    if shapely.distance(triangle, rest) < 0.01 or not result.is_valid:
        return None
    if abs(result.area - shape.area - (1 if outward else -1) * area) > 1e-6:
        return None
    return result, triangle, width


def patch(shape: Any, rng: Rng, least: float, most: float) -> Any | None:
    """A small quadrangle inside a shape, of `least` to `most` square metres."""
    area = np.exp(rng.uniform(np.log(least), np.log(most)))
    long = np.sqrt(area * rng.uniform(1, 3))
    far = shapely.buffer(shape, -long)
    if far.is_empty:
        return None
    west, south, east, north = far.bounds
    spot = shapely.Point(rng.uniform(west, east), rng.uniform(south, north))
    if not far.contains(spot):
        spot = shapely.point_on_surface(far)
    half = np.array([[-long, -area / long], [long, -area / long], [long, area / long],
                     [-long, area / long]]) / 2  # fmt: skip
    turn = rng.uniform(0, np.pi)
    turned = half @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return shapely.Polygon(turned + np.array([spot.x, spot.y]))


def closed(case: Case, piece: Any) -> bool:
    """Whether ground that goes bare is seen as such.

    It lies within a boundary, or has zones all around, and is not so large that a plan might
    leave it out on purpose, which is a finding of its own.
    """
    usual = shapely.area(piece) < 4 * case.place.boundary.area / len(case.place.zones)
    return usual and (
        case.boundary is not None or bool(shapely.distance(piece, case.place.rim) > 0.5)
    )


# --------------------------------------------------------------------------- bare ground


def _removed(case: Case, site: Site, check: str) -> Expected | None:
    shape = case.shapes[site.hit]
    if not closed(case, shape):
        return None
    found = changed(case, {site.hit: None}, check, set(), shape)
    if found is not None:
        case.zones = case.zones.drop(index=site.hit)
    return found


def _nicked(case: Case, rng: Rng, site: Site, check: str, *, small: bool) -> Expected | None:
    made = wedge(case.shapes[site.hit], rng, outward=False, small=small)
    if made is None or not closed(case, made[1]):
        return None
    shape, piece, width = made
    return changed(
        case, {site.hit: shape}, check, {site.hit}, piece, width=width if small else None
    )


def _holed(case: Case, rng: Rng, site: Site, check: str, least: float, most: float) -> Any:
    piece = patch(case.shapes[site.hit], rng, least, most)
    if piece is None:
        return None
    shape = shapely.difference(case.shapes[site.hit], piece)
    return changed(case, {site.hit: shape}, check, {site.hit}, piece)


@injector("gap", "ground", "people", redraws=True)
def zone_removed(case: Case, rng: Rng, site: Site) -> Expected | None:
    return _removed(case, site, "gap")


@injector("gap", "ground", "people", redraws=True)
def border_pushed_in(case: Case, rng: Rng, site: Site) -> Expected | None:
    return _nicked(case, rng, site, "gap", small=False)


@injector("gap", "ground", "people", redraws=True)
def ground_left_out(case: Case, rng: Rng, site: Site) -> Expected | None:
    return _holed(case, rng, site, "gap", LEAST_AREA, 800)


@injector("hole", "open", redraws=True)
def zone_removed_within(case: Case, rng: Rng, site: Site) -> Expected | None:
    return _removed(case, site, "hole")


@injector("hole", "open", redraws=True)
def border_pushed_in_within(case: Case, rng: Rng, site: Site) -> Expected | None:
    return _nicked(case, rng, site, "hole", small=False)


@injector("hole", "open", redraws=True)
def ground_left_out_within(case: Case, rng: Rng, site: Site) -> Expected | None:
    return _holed(case, rng, site, "hole", LEAST_AREA, 800)


@injector("sliver_gap", "ground", "people", redraws=True)
def border_shaved(case: Case, rng: Rng, site: Site) -> Expected | None:
    return _nicked(case, rng, site, "sliver_gap", small=True)


@injector("sliver_gap", "open", redraws=True)
def border_shaved_within(case: Case, rng: Rng, site: Site) -> Expected | None:
    return _nicked(case, rng, site, "sliver_gap", small=True)


@injector("sliver_gap", "ground", "open", redraws=True)
def pin_prick(case: Case, rng: Rng, site: Site) -> Expected | None:
    return _holed(case, rng, site, "sliver_gap", 1e-5, SLIVER[1])


# --------------------------------------------------------------------------- doubled, foreign


def _pushed_out(case: Case, rng: Rng, site: Site, *, small: bool) -> Expected | None:
    made = wedge(case.shapes[site.hit], rng, outward=True, small=small)
    if made is None:
        return None
    shape, piece, width = made
    for other in case.place.near[site.hit] - {site.hit}:
        if shapely.difference(piece, case.shapes[other]).area < 1e-7:
            size = width if small else None
            return changed(case, {site.hit: shape}, "overlap", {site.hit, other}, piece, width=size)
    return None


@injector("overlap", "ground", "open", "people", redraws=True)
def border_pushed_out(case: Case, rng: Rng, site: Site) -> Expected | None:
    return _pushed_out(case, rng, site, small=False)


@injector("overlap", "ground", "open", "people", redraws=True)
def border_pushed_out_a_little(case: Case, rng: Rng, site: Site) -> Expected | None:
    return _pushed_out(case, rng, site, small=True)


@injector("overlap", "ground", "people", redraws=True)
def zone_shifted(case: Case, rng: Rng, site: Site) -> Expected | None:
    """A zone drawn beside its place: overlaps on one side, bare ground on the other."""
    old = case.shapes[site.hit]
    reach = np.exp(rng.uniform(np.log(0.05), np.log(3)))
    turn = rng.uniform(0, 2 * np.pi)
    step = reach * np.array([np.cos(turn), np.sin(turn)])
    shape = shapely.transform(old, lambda xy: xy + step)
    near = sorted(case.place.near[site.hit] - {site.hit})
    shared = shapely.intersection(shape, np.array([case.shapes[other] for other in near]))
    largest = int(shapely.area(shared).argmax())
    place = shapely.union_all(
        [part for part in shapely.get_parts(shared[largest]) if part.geom_type == "Polygon"]
    )
    region = shapely.union(shape, old)
    ids = {site.hit, near[largest]}
    return changed(case, {site.hit: shape}, "overlap", ids, place, region=region)


@injector("overlap_many", "ground", "open", "people", redraws=True)
def corner_claimed_by_all(case: Case, rng: Rng, site: Site) -> Expected | None:
    """The zones that meet at a corner all reach over it."""
    ring = shapely.get_coordinates(case.shapes[site.hit].exterior)[:-1]
    spot = shapely.Point(ring[rng.integers(len(ring))])
    near = sorted(case.place.near[site.hit])
    held = [z for z in near if shapely.distance(case.shapes[z], spot) < 1e-6]
    radius = np.sqrt(LEAST_AREA / 3) * np.exp(rng.uniform(0, 2))
    disc = shapely.buffer(spot, radius, quad_segs=4)
    ground = shapely.union_all([case.shapes[zone] for zone in held])
    if len(held) < 3 or shapely.difference(disc, ground).area > 1e-9 or disc.area < LEAST_AREA:
        return None
    shapes = {zone: shapely.union(case.shapes[zone], disc) for zone in held}
    if any(shape.geom_type != "Polygon" for shape in shapes.values()):
        return None
    return changed(case, shapes, "overlap_many", set(held), disc)


@injector("spill", "ground", "people", redraws=True)
def border_pushed_outside(case: Case, rng: Rng, site: Site) -> Expected | None:
    return _spilt(case, rng, site, small=False)


@injector("spill", "ground", "people", redraws=True)
def border_pushed_outside_a_little(case: Case, rng: Rng, site: Site) -> Expected | None:
    return _spilt(case, rng, site, small=True)


def _spilt(case: Case, rng: Rng, site: Site, *, small: bool) -> Expected | None:
    if site.hit in case.place.inner:
        return None
    for _ in range(8):
        made = wedge(case.shapes[site.hit], rng, outward=True, small=small)
        if made is not None and shapely.intersection(made[1], case.boundary).area < 1e-9:
            shape, piece, width = made
            size = width if small else None
            return changed(case, {site.hit: shape}, "spill", {site.hit}, piece, width=size)
    return None


@injector("spill", "ground", "people", redraws=True)
def zone_far_away(case: Case, rng: Rng, site: Site) -> Expected | None:
    old = case.shapes[site.hit]
    if not closed(case, old):
        return None
    away = rng.uniform(2e5, 9e5, 2) * rng.choice([-1, 1], 2)
    shape = shapely.transform(old, lambda xy: np.round(xy + away, 3))
    return changed(case, {site.hit: shape}, "spill", {site.hit}, shape, region=old)


# --------------------------------------------------------------------------- rows, shapes, ids


def with_implied(case: Case, main: Expected, zones: set[int], region: Any) -> Expected:
    """A finding that is no ground, and the ground that follows from it."""
    implied = tuple(consequences(case, zones, region))
    return dataclasses.replace(main, implied=implied, redrawn=region)


@injector("empty_geometry", "ground", "people", redraws=True)
def shape_missing(case: Case, rng: Rng, site: Site) -> Expected | None:
    old = case.shapes[site.hit]
    if not closed(case, old):
        return None
    empty = (None, shapely.Polygon(), shapely.MultiPolygon(), shapely.GeometryCollection())
    case.shapes[site.hit] = empty[rng.integers(len(empty))]
    main = Expected("empty_geometry", frozenset([case.name_of(site.hit)]))
    return with_implied(case, main, {site.hit}, old)


def broken(shape: Any, rng: Rng) -> tuple[Any, Any] | None:
    """A shape that is not valid, and where; None if this one cannot be broken so."""
    ring = shapely.get_coordinates(shape.exterior)[:-1]
    k = int(rng.integers(len(ring)))
    start, stop = ring[k], ring[(k + 1) % len(ring)]
    length = float(np.hypot(*(stop - start)))
    along = (stop - start) / max(length, 1e-9)
    across = np.array([along[1], -along[0]])
    size = float(np.exp(rng.uniform(np.log(0.01), np.log(min(length / 3, 10) + 0.02))))
    middle = (start + stop) / 2
    kind = rng.integers(5)
    if kind == 0:  # a spike without width
        tip = middle + across * size
        points = [middle, tip, middle]
        place = shapely.LineString([middle, tip])
    elif kind == 1:  # a loop in which the border crosses itself
        if size > length / 3:
            return None
        far = middle + along * size
        points = [middle, far + across * size, middle + across * size, far]
        place = shapely.Polygon([middle, far, far + across * size, middle + across * size])
    elif kind == 2:  # a hole outside of the shell
        spot = middle + across * (rng.choice([-1, 1]) * 500_000)
        hole = shapely.Point(spot).buffer(size + 0.1, quad_segs=2).exterior
        return shapely.Polygon(shape.exterior, [*shape.interiors, hole]), hole
    elif kind == 3:  # the same part twice
        return shapely.MultiPolygon([shape, shape]), shape
    else:  # two corners exchanged
        if len(ring) < 4:
            return None
        j = (k + 1) % len(ring)
        ring = ring.copy()
        ring[[k, j]] = ring[[j, k]]
        result = shapely.Polygon(ring, shape.interiors)
        return (
            (result, shapely.LineString(ring[[*range(len(ring)), 0]]))
            if (not result.is_valid)
            else None
        )
    result = shapely.Polygon(np.insert(ring, k + 1, points, axis=0), shape.interiors)
    return (result, place) if not result.is_valid else None


@injector("invalid_geometry", "ground", "people", redraws=True)
def shape_broken(case: Case, rng: Rng, site: Site) -> Expected | None:
    old = case.shapes[site.hit]
    made = broken(old, rng)
    if made is None:
        return None
    case.shapes[site.hit], place = made
    region = shapely.union_all([old, shapely.make_valid(made[0], method="structure",
                                                        keep_collapsed=False)])  # fmt: skip
    main = Expected("invalid_geometry", frozenset([case.name_of(site.hit)]), place, near=TOLERANCE)
    return with_implied(case, main, {site.hit}, region)


@injector("invalid_geometry", "ground", "people", redraws=True)
def no_polygon(case: Case, rng: Rng, site: Site) -> Expected | None:
    """A line, a point, a collection, or a coordinate that is no number."""
    old = case.shapes[site.hit]
    if not closed(case, old):
        return None
    ring = shapely.get_coordinates(old.exterior)
    lost = ring.copy()
    lost[rng.integers(1, len(ring) - 1)] = [np.nan, np.inf][rng.integers(2)]
    made = (
        shapely.LineString(ring),
        shapely.point_on_surface(old),
        shapely.GeometryCollection([old, shapely.point_on_surface(old)]),
        None,
    )
    shape = made[rng.integers(len(made))]
    if shape is None:
        with np.errstate(invalid="ignore"):
            shape = shapely.Polygon(lost)
    case.shapes[site.hit] = shape
    finite = bool(np.isfinite(shapely.get_coordinates(shape)).all())
    main = Expected(
        "invalid_geometry",
        frozenset([case.name_of(site.hit)]),
        old if finite else None,
        near=TOLERANCE,
    )
    return with_implied(case, main, {site.hit}, old)


@injector("duplicate_id", "ground", "people")
def id_taken_twice(case: Case, rng: Rng, site: Site) -> Expected | None:
    others = {site.partner(rng) for _ in range(rng.integers(1, 3))} - {None}
    if not others:
        return None
    name = case.name_of(site.hit)
    for other in others:
        case.zones.loc[other, "grid"] = rng.choice([name, f" {name} "])
    place = shapely.union_all([case.shapes[zone] for zone in (site.hit, *others)])
    return Expected("duplicate_id", frozenset([name]), place, n=len(others))


@injector("missing_id", "ground", "people")
def id_missing(case: Case, rng: Rng, site: Site) -> Expected | None:
    case.zones.loc[site.hit, "grid"] = [None, "", np.nan, "  "][rng.integers(4)]
    return Expected("missing_id", place=case.shapes[site.hit])


@injector("stacked", "ground", "open", "people", redraws=True)
def zone_copied(case: Case, rng: Rng, site: Site) -> Expected | None:
    """A zone once more, or twice, under other names; its ring may begin elsewhere or run back."""
    shape = case.shapes[site.hit]
    ring = shapely.get_coordinates(shape.exterior)[:-1]
    names, copies = {case.name_of(site.hit)}, int(rng.integers(1, 3))
    added = {}
    for _ in range(copies):
        label = max(case.shapes) + 1 + len(added)
        turned = np.roll(ring, rng.integers(len(ring)), axis=0)[:: rng.choice([-1, 1])]
        moved = turned + rng.uniform(-0.2, 0.2) * TOLERANCE * rng.integers(0, 2)
        added[label] = shapely.Polygon(moved, shape.interiors)
        case.zones.loc[label, "grid"] = f"copy {label}"
        names.add(f"copy {label}")
    case.shapes |= added
    main = Expected("stacked", frozenset(names), shape, n=copies)
    return with_implied(case, main, {site.hit, *added}, shape)
