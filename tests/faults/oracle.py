"""What a change of zones implies, by brute force in its surroundings.

No part of this is shared with the audit: every zone is cut with every other, every unit with every
zone, and nothing is left out because it matches its neighbour.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import shapely

from faults.cases import MIN_AREA, TOLERANCE, Case
from faults.judging import Expected

NOISE_M2 = 0.001
NAMED = 6
FINE = 1e-8


def wide_parts(shape: Any, least: float = 0.0) -> list[Any]:
    """Polygons of a shape that are wider than the tolerance somewhere."""
    parts = [part for part in shapely.get_parts(shape) if part.geom_type == "Polygon"]
    return [
        part
        for part in parts
        if part.area > least and not shapely.buffer(part, -TOLERANCE / 2).is_empty
    ]


def around(case: Case, zones: set[int]) -> list[int]:
    """Zones of the case up to two steps from some; the new ones too."""
    near = case.place.near
    old = [zone for zone in zones if zone < len(near)]
    first = set().union(*(near[zone] for zone in old)) if old else set()
    second = set().union(*(near[zone] for zone in first)) if first else set()
    fresh = {zone for zone in case.shapes if zone >= len(near)}
    return sorted((second | fresh) & set(case.shapes))


def usable(shape: Any) -> Any:
    """The polygons of a shape as the audit mends it."""
    if shape is None or not np.isfinite(shapely.get_coordinates(shape)).all():
        return shapely.Polygon()
    if not shape.is_valid:
        shape = shapely.make_valid(shape, method="structure", keep_collapsed=False)
    return shapely.union_all(
        [part for part in shapely.get_parts(shape) if part.geom_type in ("Polygon", "MultiPolygon")]
    )


def consequences(case: Case, zones: set[int], region: Any) -> list[Expected]:
    """All that has to be found where zones were changed: bare, doubled, outside, and units.

    Parameters
    ----------
    zones : set of int
        Those that were changed.
    region : geometry
        Ground whose zones are others than before.
    """
    labels = around(case, zones)
    shapes = {label: usable(case.shapes[label]) for label in labels}
    shapes = {label: shape for label, shape in shapes.items() if not shape.is_empty}
    found = [*_bare(case, shapes, region), *_doubled(case, shapes, zones, region)]
    if case.boundary is not None:
        found += _outside(case, shapes, zones)
    found += _parted(case, shapes, zones)
    if case.units is not None:
        found += _units(case, shapes, region)
    return found


def _names(case: Case, labels: Any) -> frozenset[str]:
    return frozenset(case.name_of(label) for label in labels)


def _bare(case: Case, shapes: dict[int, Any], region: Any) -> list[Expected]:
    ground = region if case.boundary is None else shapely.intersection(region, case.boundary)
    # on a fine grid: without one, GEOS may take a thin piece that shares an edge to be bare
    bare = shapely.difference(ground, shapely.union_all(list(shapes.values())), grid_size=FINE)
    found = []
    for piece in wide_parts(bare):
        if case.boundary is None and shapely.distance(piece, case.place.rim) < 0.01:
            continue  # open to the outside
        shared = {
            label: shapely.length(shapely.intersection(piece.exterior, shapely.buffer(shape, 1e-5)))
            for label, shape in shapes.items()
            if shapely.distance(shape, piece) <= 2 * TOLERANCE
        }
        sure = _names(case, [label for label, length in shared.items() if length > 0.02])
        small = piece.area < MIN_AREA
        check = "sliver_gap" if small else "gap" if case.boundary is not None else "hole"
        if len(sure) > NAMED and not small:
            sure = frozenset()  # only the first are named
        found.append(Expected(check, sure, piece, _names(case, shared)))
    return found


def _doubled(case: Case, shapes: dict[int, Any], zones: set[int], region: Any) -> list[Expected]:
    pairs: dict[tuple[int, int], Any] = {}
    stacks: list[tuple[int, int]] = []
    for one, other in combinations(sorted(shapes), 2):
        if not {one, other} & zones or not shapes[one].intersects(shapes[other]):
            continue
        shared = shapely.intersection(shapes[one], shapes[other])
        if shared.area <= NOISE_M2 or not wide_parts(shared):
            continue
        odd = shapely.symmetric_difference(shapes[one], shapes[other]).area
        if odd <= TOLERANCE * shared.length:
            stacks.append((one, other))
        else:
            pairs[one, other] = _polygons(shared)
    found = [
        Expected(
            "overlap",
            _names(case, pair),
            shape,
            severity="error" if shape.area >= MIN_AREA else "warning",
        )
        for pair, shape in pairs.items()
    ]
    if len(pairs) >= 3 and not stacks:
        found += _of_many(case, shapes, pairs)
    return found


def _of_many(
    case: Case, shapes: dict[int, Any], pairs: dict[tuple[int, int], Any]
) -> list[Expected]:
    lines = shapely.union_all([shapely.boundary(shape) for shape in pairs.values()])
    ground: dict[tuple[int, ...], list[Any]] = {}
    rows = sorted({row for pair in pairs for row in pair})
    for face in shapely.get_parts(shapely.polygonize([lines])):
        spot = shapely.point_on_surface(face)
        held = tuple(row for row in rows if shapes[row].contains(spot))
        if len(held) >= 3:
            ground.setdefault(held, []).append(face)
    united = {held: shapely.union_all(faces) for held, faces in ground.items()}
    return [
        Expected("overlap_many", _names(case, held), shape)
        for held, shape in united.items()
        if shape.area >= MIN_AREA and wide_parts(shape)
    ]


def _outside(case: Case, shapes: dict[int, Any], zones: set[int]) -> list[Expected]:
    found = []
    for label in sorted(zones & set(shapes)):
        parts = wide_parts(shapely.difference(shapes[label], case.boundary))
        shape = shapely.union_all(parts)
        if parts:
            # a large one is an error, unless many say that the boundary is drawn otherwise
            severity = None if shape.area >= MIN_AREA else "warning"
            found.append(Expected("spill", _names(case, [label]), shape, severity=severity))
    return found


def _parted(case: Case, shapes: dict[int, Any], zones: set[int]) -> list[Expected]:
    found = []
    for label in sorted(zones & set(shapes)):
        parts = wide_parts(shapes[label])
        if len(parts) > 1:
            largest = max(range(len(parts)), key=lambda k: parts[k].area)
            rest = shapely.union_all([part for k, part in enumerate(parts) if k != largest])
            found.append(Expected("multipart", _names(case, [label]), rest))
    return found


def _units(case: Case, shapes: dict[int, Any], region: Any) -> list[Expected]:
    found = []
    assert case.units is not None
    rows = case.place.unit_tree.query(region, "intersects")
    for unit in sorted(rows.tolist()):
        found += _of_unit(case, shapes, unit)
    return found


def _of_unit(case: Case, shapes: dict[int, Any], unit: int) -> list[Expected]:
    """What has to be told of one unit, from its shares in the zones around it."""
    whole, name = case.unit_shapes[unit], case.unit_name(unit)
    held = {}
    for label, shape in shapes.items():
        piece = _polygons(shapely.intersection(whole, shape))
        if piece.area > whole.area / 2 or wide_parts(piece):
            held[label] = piece
    union = shapely.union_all(list(held.values()))
    shares = sorted(((piece.area / whole.area, label) for label, piece in held.items()))[::-1]
    covered = min(union.area / whole.area, 1.0)
    bare = _polygons(shapely.difference(whole, union))
    found = []
    if covered < 0.5:
        found.append(Expected("unit_uncovered", frozenset([name]), bare))
    elif 1 - covered >= 0.01 and bare.area >= MIN_AREA:
        severity = "error" if 1 - covered >= 0.1 else "warning"
        found.append(Expected("unit_partly_uncovered", frozenset([name]), bare, severity=severity))
    if len(held) > 1:
        zones = _names(case, held)
        if sum(share for share, _ in shares) - covered >= 0.5:
            found.append(Expected("unit_twice", zones | {name}, whole))
        main = held[shares[0][1]]
        away = _polygons(shapely.difference(union, main))
        if away.area / whole.area > 1e-9 and wide_parts(away):
            small = away.area / whole.area < 0.01 or away.area < MIN_AREA
            found.append(
                Expected(
                    "unit_split",
                    frozenset([name]) if small else zones | {name},
                    away,
                    zones,
                    severity="warning" if small else "error",
                )
            )
    return found


def _polygons(shape: Any) -> Any:
    return shapely.union_all(
        [part for part in shapely.get_parts(shape) if shapely.get_dimensions(part) == 2]
    )
