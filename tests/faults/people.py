"""Faults of what zones hold: units bare, doubled, cut or misplaced, sums, the band, borders."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import shapely

from faults.cases import MIN_AREA, TOLERANCE, Case, chord
from faults.ground import LEAST_WIDTH, changed
from faults.judging import Expected
from faults.kit import Site, injector
from faults.oracle import wide_parts

Rng = np.random.Generator


def some_unit(case: Case, rng: Rng, zone: int) -> int:
    """A unit of a zone."""
    return int(rng.choice(case.place.units_at[zone]))


def part_of(shape: Any, rng: Rng, share: float) -> Any:
    """The part of a shape, about `share` of its area, on one side of a line."""
    turn = rng.uniform(0, 2 * np.pi)
    along = np.array([np.cos(turn), np.sin(turn)])
    far = shapely.get_coordinates(shape.exterior) @ along
    across = np.array([-along[1], along[0]])
    low, high = far.min(), far.max()

    def beyond(at: float) -> Any:
        spot = shapely.get_coordinates(shape.centroid)[0]
        spot = spot + (at - spot @ along) * along
        size = 2e5
        corners = [spot + across * size, spot + (across + along) * size,
                   spot + (along - across) * size, spot - across * size]  # fmt: skip
        return shapely.intersection(shape, shapely.Polygon(corners))

    for _ in range(40):
        middle = (low + high) / 2
        if beyond(middle).area > share * shape.area:
            low = middle
        else:
            high = middle
    return beyond(low)


# --------------------------------------------------------------------------- units in zones


def _carved(case: Case, rng: Rng, site: Site, check: str, share: float) -> Expected | None:
    """Leave a part of a unit out of its zone."""
    unit = some_unit(case, rng, site.hit)
    whole = case.unit_shapes[unit]
    piece = part_of(whole, rng, share)
    rest = shapely.difference(case.shapes[site.hit], piece)
    if rest.geom_type != "Polygon" or piece.geom_type != "Polygon":
        return None
    found = changed(case, {site.hit: rest}, check, set(), piece)
    if found is None or case.unit_name(unit) not in found.ids:
        return None
    return dataclasses.replace(found, size=piece.area / whole.area, unit="of a unit")


@injector("unit_uncovered", "people", redraws=True)
def unit_left_out(case: Case, rng: Rng, site: Site) -> Expected | None:
    return _carved(case, rng, site, "unit_uncovered", rng.uniform(0.51, 1))


@injector("unit_partly_uncovered", "people", redraws=True)
def unit_partly_left_out(case: Case, rng: Rng, site: Site) -> Expected | None:
    share = np.exp(rng.uniform(np.log(0.0102), np.log(0.49)))
    return _carved(case, rng, site, "unit_partly_uncovered", share)


@injector("unit_uncovered", "people", "assigned")
def unit_outside(case: Case, rng: Rng, site: Site) -> Expected | None:
    """A unit, a polygon or a point, beyond all zones."""
    assert case.units is not None
    _, south, east, north = case.place.boundary.bounds
    x, y = rng.uniform(east + 200, east + 9e5), rng.uniform(south, north)
    shape = shapely.Point(x, y)
    if rng.random() < 0.5:
        shape = shapely.buffer(shape, rng.uniform(0.01, 40), quad_segs=2)
    label = len(case.place.units) + len(case.units)
    row = {"unit_id": f"unit {label}", "households": int(rng.integers(0, 90))}
    if "grid" in case.units:
        row["grid"] = case.name_of(site.hit)
    for name, value in row.items():
        case.units.loc[label, name] = value
    case.units["households"] = case.units["households"].astype(np.int64)
    case.unit_shapes[label] = shape
    return Expected("unit_uncovered", frozenset([f"unit {label}"]), shape)


def _neighbour_along(case: Case, rng: Rng, site: Site, shape: Any) -> int | None:
    """A neighbour of the zone hit that shares a line with a shape in it."""
    for other in rng.permutation(sorted(case.place.near[site.hit] - {site.hit})).tolist():
        shared = shapely.intersection(shape, case.shapes[other])
        if shapely.length(shared) > 1:
            return int(other)
    return None


@injector("unit_twice", "people", redraws=True)
def unit_taken_by_a_neighbour_too(case: Case, rng: Rng, site: Site) -> Expected | None:
    unit = some_unit(case, rng, site.hit)
    whole = case.unit_shapes[unit]
    other = _neighbour_along(case, rng, site, whole)
    if other is None:
        return None
    piece = whole if rng.random() < 0.5 else part_of(whole, rng, rng.uniform(0.51, 1))
    taken = shapely.union(case.shapes[other], piece)
    if taken.geom_type != "Polygon" or piece.area < MIN_AREA:
        return None
    ids = {site.hit, other}
    found = changed(case, {other: taken}, "unit_twice", ids, whole, region=piece)
    return found and dataclasses.replace(found, size=piece.area / whole.area, unit="of a unit")


@injector("unit_split", "people", redraws=True)
def line_through_a_unit(case: Case, rng: Rng, site: Site) -> Expected | None:
    """A neighbour takes a part of a unit, from a hair's breadth to almost all of it."""
    unit = some_unit(case, rng, site.hit)
    whole = case.unit_shapes[unit]
    other = _neighbour_along(case, rng, site, whole)
    if other is None:
        return None
    reach = np.exp(rng.uniform(np.log(LEAST_WIDTH), np.log(np.sqrt(whole.area) * 0.8)))
    near = shapely.buffer(case.shapes[other], reach, join_style="mitre")
    piece = shapely.intersection(whole, near)
    if piece.geom_type != "Polygon" or piece.area > 0.98 * whole.area:
        return None
    shapes = {
        site.hit: shapely.difference(case.shapes[site.hit], piece),
        other: shapely.union(case.shapes[other], piece),
    }
    if any(shape.geom_type != "Polygon" for shape in shapes.values()):
        return None
    smaller = piece if piece.area < whole.area / 2 else shapely.difference(whole, piece)
    found = changed(case, shapes, "unit_split", set(), smaller, region=piece, width=reach)
    return found if found is not None and case.unit_name(unit) in found.ids else None


@injector("unit_without_geometry", "people", "assigned")
def unit_without_shape(case: Case, rng: Rng, site: Site) -> Expected | None:
    unit = some_unit(case, rng, site.hit)
    case.unit_shapes[unit] = [None, shapely.Polygon(), shapely.Point()][rng.integers(3)]
    return Expected("unit_without_geometry", frozenset([case.unit_name(unit)]))


@injector("unit_unknown_zone", "assigned")
def unit_of_no_zone(case: Case, rng: Rng, site: Site) -> Expected | None:
    """Units that are assigned to a zone of no such name, or to none."""
    assert case.units is not None
    lot = case.place.units_at[site.hit]
    units = rng.permutation(lot)[: rng.integers(1, 4)].tolist()
    value = [None, "", np.nan, f"no zone {site.hit}"][rng.integers(4)]
    for unit in units:
        case.units.loc[unit, "grid"] = value
    names = frozenset(case.unit_name(unit) for unit in units)
    place = shapely.union_all([case.unit_shapes[unit] for unit in units])
    return Expected("unit_unknown_zone", names, place, n=len(units))


@injector("unit_elsewhere", "assigned")
def unit_of_another_zone(case: Case, rng: Rng, site: Site) -> Expected | None:
    assert case.units is not None
    unit = some_unit(case, rng, site.hit)
    other = site.partner(rng)
    if other is None:
        return None
    case.units.loc[unit, "grid"] = case.name_of(other)
    ids = {case.unit_name(unit), case.name_of(site.hit), case.name_of(other)}
    return Expected("unit_elsewhere", frozenset(ids), case.unit_shapes[unit])


# --------------------------------------------------------------------------- sums, the band


def of_zone(case: Case, check: str, zone: int, **more: Any) -> Expected:
    """A finding that names a zone and shows it."""
    return Expected(check, frozenset([case.name_of(zone)]), case.shapes[zone], **more)


@injector("households_differ", "counted")
def own_number_wrong(case: Case, rng: Rng, site: Site) -> Expected | None:
    old = int(case.zones.loc[site.hit, "households"])
    by = max(1, int(np.exp(rng.uniform(0, 5)))) * int(rng.choice([-1, 1]))
    case.zones.loc[site.hit, "households"] = max(old + by, 0)
    off = abs(max(old + by, 0) - old)
    return of_zone(case, "households_differ", site.hit, size=off, unit="households")


def _moved_to(case: Case, rng: Rng, zone: int, total: int) -> None:
    """Bring the households of a zone to a total, by its units where there are any."""
    if case.units is None:
        case.zones.loc[zone, "households"] = total
        return
    units = case.place.units_at[zone]
    held = case.units.loc[units, "households"].to_numpy(dtype=float) + 0.01
    share = np.floor(held / held.sum() * total).astype(np.int64)
    share[rng.integers(len(units))] += total - share.sum()
    case.units.loc[units, "households"] = share


def _beyond(rng: Rng, most: int) -> int:
    return int(np.exp(rng.uniform(0, np.log(most))))


@injector("below_band", "band", "own band", "listed band")
def too_few_households(case: Case, rng: Rng, site: Site) -> Expected | None:
    by = _beyond(rng, case.place.low)
    _moved_to(case, rng, site.hit, case.place.low - by)
    place = of_zone(case, "below_band", site.hit, size=by, unit="households")
    return place if not case.listed else _of_units(case, place, site.hit)


@injector("above_band", "band", "own band", "listed band")
def too_many_households(case: Case, rng: Rng, site: Site) -> Expected | None:
    by = _beyond(rng, 5000)
    _moved_to(case, rng, site.hit, case.place.high + by)
    place = of_zone(case, "above_band", site.hit, size=by, unit="households")
    return place if not case.listed else _of_units(case, place, site.hit)


def _of_units(case: Case, found: Expected, zone: int) -> Expected:
    """The same with the ground of the zone's units as its place."""
    shapes = [case.unit_shapes[unit] for unit in case.place.units_at[zone]]
    return dataclasses.replace(found, place=shapely.union_all(shapes))


@injector("exception_unfounded", "band", "own band")
def exception_without_ground(case: Case, rng: Rng, site: Site) -> Expected | None:
    reasons = ("unit_above_band", "component_below_band", "not_found", "pocket", "whatever",
               "enclave_attached")  # fmt: skip
    known = rng.random() < 0.7
    name = case.name_of(site.hit) if known else f"no zone {site.hit}"
    row = {"grid": name, "reason": rng.choice(reasons), "households": int(rng.integers(1, 900))}
    table = case.tables["exceptions"]
    case.tables["exceptions"] = pd.concat([table, pd.DataFrame([row])], ignore_index=True)
    place = case.shapes[site.hit] if known else None
    return Expected("exception_unfounded", frozenset([name]), place)


# --------------------------------------------------------------------------- borders


def _sides(shape: Any, line: Any) -> list[Any] | None:
    parts = wide_parts(shapely.difference(shape, shapely.buffer(line, 2 * TOLERANCE)))
    usable = [
        part
        for part in parts
        if part.area > 1.05 * MIN_AREA and not shapely.buffer(part, -1.05).is_empty
    ]
    return usable if len(usable) == len(parts) == 2 else None


def _severed(case: Case, zone: int, line: Any) -> Expected | None:
    """What is found of a zone that a barrier cuts, if it cuts it in two."""
    sides = _sides(case.shapes[zone], line)
    if sides is None:
        return None
    smaller = min(sides, key=lambda side: side.area)
    return Expected("across_barrier", frozenset([case.name_of(zone)]), smaller, size=smaller.area)


@injector("across_barrier", "barrier")
def barrier_through_a_zone(case: Case, rng: Rng, site: Site) -> Expected | None:
    shape = case.shapes[site.hit]
    if shapely.distance(shapely.union_all(case.lines["barriers"]), shape) < 2:
        return None
    line, _, _ = chord(shape, rng)
    aside = rng.uniform(-0.45, 0.45) * np.sqrt(shape.area)
    moved = shapely.offset_curve(line, aside)
    runs = shapely.intersection(moved, shapely.buffer(shape, 0.4))
    if runs.geom_type != "LineString" or runs.length < 3:
        return None
    found = _severed(case, site.hit, runs)
    if found is not None:
        case.lines["barriers"].append(runs)
    return found


@injector("across_barrier", "barrier")
def crossing_gone(case: Case, rng: Rng, site: Site) -> Expected | None:
    """The only crossing of a barrier inside a zone is not recorded."""
    shape = case.shapes[site.hit]
    inside = [k for k, spot in enumerate(case.lines["crossings"]) if shape.contains(spot)]
    if len(inside) != 1:
        return None
    spot = case.lines["crossings"][inside[0]]
    line = min(case.lines["barriers"], key=lambda line: shapely.distance(line, spot))
    found = _severed(case, site.hit, line)
    if found is not None:
        del case.lines["crossings"][inside[0]]
    return found


@injector("crosses_community", "community")
def units_of_another_community(case: Case, rng: Rng, site: Site) -> Expected | None:
    assert case.units is not None
    units = case.place.units_at[site.hit]
    if len(units) < 3:
        return None
    moved = rng.permutation(units)[: rng.integers(1, (len(units) - 1) // 2 + 1)].tolist()
    case.units.loc[moved, "community"] = f"another {site.hit}"
    place = shapely.union_all([case.unit_shapes[unit] for unit in moved])
    name = frozenset([case.name_of(site.hit)])
    return Expected("crosses_community", name, place, size=len(moved), unit="units")


@injector("crosses_community", "community")
def zone_names_another_community(case: Case, rng: Rng, site: Site) -> Expected | None:
    case.zones.loc[site.hit, "within"] = f"another {site.hit}"
    place = shapely.union_all([case.unit_shapes[u] for u in case.place.units_at[site.hit]])
    return Expected("crosses_community", frozenset([case.name_of(site.hit)]), place)
