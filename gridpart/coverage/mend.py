"""The repairs behind `fix_zones`: each looks at the shapes as they are, and makes or refuses.

A layer is on the bench in its measuring CRS. A repair is made only if no unit's home zone changes
by it; what was refused is listed with its reason.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from gridpart._geometry.align import rebuild
from gridpart._geometry.distinct import distinct_pairs
from gridpart._geometry.segments import corners_of
from gridpart.coverage.people import locate
from gridpart.coverage.scene import Scene
from gridpart.coverage.territory import Cover, is_wide, polygonal, true_pieces
from gridpart.units.repair import _align

__all__ = ["CHANGES", "Bench", "Change", "make_valid", "one_round"]

Geometries = NDArray[np.object_]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]
# Each kind of change, with words for one and for several, in the order in which they are told.
CHANGES = {
    "made_valid": ("broken shape made valid", "broken shapes made valid"),
    "snapped": ("zone with vertices snapped", "zones with vertices snapped"),
    "overlap_trimmed": ("sliver overlap trimmed", "sliver overlaps trimmed"),
    "gap_closed": ("sliver gap given to a zone", "sliver gaps given to zones"),
}
SNAP_TRIALS = 20
SPECK_WIDTHS = 10  # tolerances: parts not wider on average are no parts of a zone
MARGIN_M = 1.0  # around a piece, in which the border of a large zone is looked at


@dataclass(frozen=True)
class Change:
    """One repair, made or refused."""

    change: str
    rows: tuple[int, ...]
    geometry: Any
    message: str
    n: int = 1
    area_m2: float = math.nan
    households: int | None = None
    status: str = "made"


@dataclass
class Bench:
    """The layer under repair: current shapes, what was done, what was refused of late."""

    scene: Scene
    sliver_width: float = 0.0
    shapes: Geometries = field(init=False)
    editable: Bools = field(init=False)
    made: list[Change] = field(default_factory=list)
    refused: list[Change] = field(default_factory=list)
    refused_for_good: list[Change] = field(default_factory=list)

    def __post_init__(self) -> None:
        raw = self.scene.zones.raw
        self.shapes = self.scene.zones.polygons.copy()
        self.bounds = shapely.bounds(self.shapes)
        polygon = np.isin(shapely.get_type_id(raw), (3, 6))
        self.editable = polygon & self.scene.zones.finite & shapely.is_valid(raw)
        self.editable &= ~shapely.is_empty(raw)

    @property
    def tolerance(self) -> float:
        """Metres within which places are the same."""
        return self.scene.tolerance

    def name(self, row: int) -> str:
        """Id of a zone, for a sentence."""
        return self.scene.zones.ids[row] or f"in row {row}"

    def slivers(self, pieces: Geometries) -> Bools:
        """Whether each piece of ground is small or narrow enough to have one sensible owner."""
        small: Bools = shapely.area(pieces) < self.scene.min_area
        if self.sliver_width > 0:
            small |= ~is_wide(pieces, self.sliver_width)
        return small

    def put(self, row: int, shape: Any) -> None:
        """Give a zone another shape."""
        self.shapes[row] = shape
        self.bounds[row] = shapely.bounds(shape)

    def displaced(self, ground: Any, row: int, shape: Any) -> Integers:
        """Units near a piece of ground whose home would be another if a zone had this shape."""
        scene = self.scene
        if not len(scene.unit_ids):
            return np.empty(0, np.int64)
        units = np.sort(scene.unit_tree.query(ground, "dwithin", self.tolerance))
        if not len(units):
            return units.astype(np.int64)
        west, south, east, north = shapely.total_bounds(scene.unit_shapes[units])
        low, high = self.bounds[:, :2], self.bounds[:, 2:]
        near = (low <= (east, north)).all(axis=1) & (high >= (west, south)).all(axis=1)
        near[row] = True
        zones = np.flatnonzero(near)
        local = self.shapes[zones]
        local[zones == row] = shape
        main = locate(scene.unit_shapes[units], Cover(local, self.tolerance)).main
        home = np.where(main >= 0, zones[main], -1)
        return units[home != scene.located.main[units]].astype(np.int64)

    def refuse(self, change: str, rows: tuple[int, ...], piece: Any, why: str) -> None:
        """List a repair that is not made."""
        what = CHANGES[change][0]
        where = " and ".join(self.name(row) for row in rows)
        message = f"zone {where}: no {what}: {why}" if rows else f"no {what}: {why}"
        area = float(shapely.area(piece))
        self.refused.append(Change(change, rows, piece, message, area_m2=area, status="refused"))

    def refuse_for_units(
        self, change: str, rows: tuple[int, ...], piece: Any, units: Integers
    ) -> None:
        """List a repair that is not made because units would change zones."""
        names = ", ".join(self.scene.unit_names(units[:3]))
        more = f" and {len(units) - 3} more" if len(units) > 3 else ""
        where = " and ".join(self.name(row) for row in rows)
        message = f"zone {where}: no {CHANGES[change][0]}: unit {names}{more} would change zones"
        self.refused.append(
            Change(
                change, rows, piece, message, 1, float(shapely.area(piece)),
                self.scene.households_at(units), "refused",
            )
        )  # fmt: skip


def one_round(bench: Bench) -> bool:
    """Do every repair once; whether anything changed."""
    bench.refused = []
    before = bench.shapes.copy()
    _trim_overlaps(bench)
    cover = Cover(bench.shapes, bench.tolerance)
    boundary = bench.scene.boundary
    pieces = cover.holes() if boundary is None else cover.gaps(boundary)
    pieces = _in_order(pieces[bench.slivers(pieces)])
    pieces = _snap(bench, pieces)
    for piece in pieces:
        _close_gap(bench, piece)
    return not bool(shapely.equals_identical(before, bench.shapes).all())


def _in_order(pieces: Geometries) -> Geometries:
    """From west to east, whatever order they were found in."""
    bounds = shapely.bounds(pieces).reshape(-1, 4)
    ordered: Geometries = pieces[np.lexsort(bounds.T[::-1])]
    return ordered


def _like(shape: Any, model: Any) -> Any:
    """A MultiPolygon where `model` is one; else a Polygon if one is enough."""
    parts = shapely.get_parts(shape)
    if shapely.get_type_id(model) == 6:
        return shapely.multipolygons(parts)
    return parts[0] if len(parts) == 1 else shape


def _without_specks(parts: Geometries, tolerance: float) -> Geometries:
    """Leave out what came off the tip of a spike; it becomes a gap, and that is given away."""
    if len(parts) < 2:
        return parts
    width = 2 * shapely.area(parts) / shapely.length(parts)
    kept: Geometries = parts[(width > SPECK_WIDTHS * tolerance) | (width == width.max())]
    return kept


def _n_parts(shape: Any) -> int:
    return int(shapely.get_num_geometries(shape)) if not shape.is_empty else 0


# --------------------------------------------------------------------------- broken shapes


def make_valid(bench: Bench) -> None:
    """Write down the shape that the audit measures, where it has the area that was drawn."""
    scene = bench.scene
    raw = scene.zones.raw
    kinds = np.isin(shapely.get_type_id(raw), (3, 6, 7)) & scene.zones.finite
    rows = np.flatnonzero(kinds & ~shapely.is_empty(raw) & ~bench.editable)
    for row in rows.tolist():
        shape = bench.shapes[row]
        if shape.is_empty:
            continue
        readings = [raw[row].area, shapely.make_valid(raw[row]).area]
        change = max(abs(area - shape.area) for area in readings)
        place = shapely.multipoints(shapely.get_coordinates(raw[row]))
        if change >= scene.min_area:
            why = f"its area could be read otherwise by {change:,.2f} m²"
            bench.refuse("made_valid", (row,), place, why)
            continue
        bench.editable[row] = True
        message = f"zone {bench.name(row)} made valid; area changed by {change:,.3f} m²"
        bench.made.append(Change("made_valid", (row,), shape, message, area_m2=change))
    bench.refused_for_good = bench.refused


# --------------------------------------------------------------------------- vertices


def _snap(bench: Bench, pieces: Geometries) -> Geometries:
    """Draw vertices of zones, and of gaps between them, together; the gaps as they are then.

    A zone that would vanish, fall apart, gain or lose a unit through it is left out.
    """
    free = bench.editable.copy()
    for trial in range(SNAP_TRIALS):
        rows = np.flatnonzero(free)
        aligned = _aligned(np.concatenate([bench.shapes[rows], pieces]), bench.tolerance)
        snapped = bench.shapes.copy()
        snapped[rows], gaps = aligned[: len(rows)], aligned[len(rows) :]
        moved = rows[~shapely.equals_identical(bench.shapes[rows], snapped[rows])]
        bad = _spoilt(bench, snapped, moved, everything=trial == SNAP_TRIALS - 1)
        if not len(bad):
            break
        free[bad] = False
    for row in np.setdiff1d(moved, bad).tolist():
        old, new = bench.shapes[row], snapped[row]
        points = _fresh_points(new, old)
        message = f"zone {bench.name(row)}: {len(points)} vertices moved or set"
        area = abs(float(new.area - old.area))
        place = shapely.multipoints(points)
        bench.made.append(Change("snapped", (row,), place, message, len(points), area))
        bench.put(row, new)
    for row in np.flatnonzero(bench.editable & ~free).tolist():
        why = "it would vanish, fall apart, or gain or lose a unit"
        bench.refuse("snapped", (row,), bench.shapes[row].boundary, why)
    return _in_order(true_pieces(gaps, bench.tolerance))


def _spoilt(bench: Bench, snapped: Geometries, moved: Integers, *, everything: bool) -> Integers:
    """Zones that snapping must leave as they are; all that it moved, where trials run out."""
    if not len(moved):
        return moved
    before = shapely.get_num_geometries(bench.shapes[moved])
    after = shapely.get_num_geometries(snapped[moved])
    bad = moved[shapely.is_empty(snapped[moved]) | (after > before)]
    if not len(bad) and len(bench.scene.unit_ids):
        home, main = bench.scene.located.main, _homes(bench, snapped)
        lost = home != main
        touched = np.concatenate([home[lost], main[lost]])
        bad = np.intersect1d(touched, moved)
        if lost.any() and not len(bad):
            bad = moved
    return moved if everything and len(bad) else bad


def _homes(bench: Bench, shapes: Geometries) -> Integers:
    return locate(bench.scene.unit_shapes, Cover(shapes, bench.tolerance)).main


def _aligned(shapes: Geometries, tolerance: float) -> Geometries:
    """Shapes with vertices drawn together; the same objects where nothing changed."""
    if not len(shapes):
        return shapes
    corners, _, _ = _align(corners_of(shapes), None, tolerance)
    result = rebuild(shapes, corners, np.arange(len(shapes)))
    same = shapely.equals_identical(shapes, result)
    result[same] = shapes[same]
    for row in np.flatnonzero(~same):
        shape = result[row]
        if not shape.is_valid:
            shape = shapely.make_valid(shape, method="structure", keep_collapsed=False)
            shape = polygonal([shape])[0]
        shape = shapely.remove_repeated_points(shape, 0)
        shape = shapely.union_all(_without_specks(shapely.get_parts(shape), tolerance))
        result[row] = shape if shape.is_empty else _like(shape, shapes[row])
    return result


def _fresh_points(new: Any, old: Any) -> NDArray[np.float64]:
    """Vertices of one shape that the other lacks."""
    points, known = (
        np.ascontiguousarray(shapely.get_coordinates(shape)).view("f8,f8").ravel()
        for shape in (new, old)
    )
    fresh = np.setdiff1d(points, known)
    if not len(fresh):  # corners went, none came
        fresh = np.setdiff1d(known, points)
    return fresh.view("f8").reshape(-1, 2)


# --------------------------------------------------------------------------- overlaps


def _trim_overlaps(bench: Bench) -> None:
    """Let one of two zones give up each sliver that both cover."""
    cover = Cover(bench.shapes, bench.tolerance)
    # not the pairs of the audit: it overlooks the tiniest, whose borders would stay unmatched
    rows = np.flatnonzero(cover.suspect)
    left, right = cover.tree.query(bench.shapes[rows], predicate="intersects")
    pairs = distinct_pairs(np.minimum(rows[left], right), np.maximum(rows[left], right))
    pairs = pairs[pairs[:, 0] < pairs[:, 1]]
    shared = polygonal(shapely.intersection(*bench.shapes[pairs.T]))
    found = [
        (tuple(part.bounds), {int(a), int(b)}, part)
        for (a, b), shape in zip(pairs, shared, strict=True)
        for parts in [true_pieces(shape, bench.tolerance)]
        for part in parts[bench.slivers(parts)]
    ]
    for _, pair, part in sorted(found, key=lambda item: item[0]):
        _trim(bench, pair, part)


def _trim(bench: Bench, pair: set[int], part: Any) -> None:
    # an earlier repair may have taken some of it
    first, second = pair
    part = shapely.intersection(part, shapely.intersection(*bench.shapes[[first, second]]))
    pieces = true_pieces(part, bench.tolerance)
    if not len(pieces):
        return
    part = shapely.union_all(pieces)
    keepers = _keepers(bench, pair, part)
    reasons: list[tuple[tuple[int, ...], str]] = []
    displaced = None
    for keeper in keepers:
        (loser,) = pair - {keeper}
        old = bench.shapes[loser]
        rest = true_pieces(shapely.difference(old, part), bench.tolerance)
        rest = _without_specks(rest, bench.tolerance)
        if not bench.editable[loser]:
            reasons.append(((loser, keeper), "its shape is broken"))
        elif not len(rest):
            reasons.append(((loser, keeper), "nothing of it would be left"))
        elif len(rest) > _n_parts(old):
            reasons.append(((loser, keeper), "it would fall apart"))
        else:
            shape = _like(shapely.union_all(rest), old)
            units = bench.displaced(part, loser, shape)
            if not len(units):
                bench.put(loser, shape)
                message = (
                    f"zone {bench.name(loser)} gave up {part.area:,.3f} m² that zone "
                    f"{bench.name(keeper)} covers, too"
                )
                change = Change("overlap_trimmed", (loser, keeper), part, message, 1, part.area)
                bench.made.append(change)
                return
            displaced = ((loser, keeper), units)
    if displaced is not None:
        bench.refuse_for_units("overlap_trimmed", displaced[0], part, displaced[1])
    else:
        bench.refuse("overlap_trimmed", reasons[0][0], part, reasons[0][1])


def _keepers(bench: Bench, pair: set[int], part: Any) -> list[int]:
    """The two zones, first the one that should keep a piece: by units, border, place."""
    rows = np.array(sorted(pair))
    rest = _around(bench, rows, part)
    rest = shapely.difference(rest, part)
    border = np.round(_shared(rest, part, bench.tolerance), 3)
    held = _units_on(bench, rows, part)
    keys = [(-held[k], -border[k], tuple(bench.bounds[row])) for k, row in enumerate(rows)]
    return [int(rows[k]) for k in sorted(range(2), key=keys.__getitem__)]


def _units_on(bench: Bench, rows: Integers, part: Any) -> list[int]:
    """Units on a piece of ground that are at home in each zone."""
    if not len(bench.scene.unit_ids):
        return [0] * len(rows)
    units = bench.scene.unit_tree.query(part, predicate="intersects")
    cut = shapely.intersection(bench.scene.unit_shapes[units], part)
    inside = (shapely.area(cut) > bench.tolerance**2) | (shapely.get_type_id(cut) == 0)
    home = bench.scene.located.main[units[inside]]
    return [int((home == row).sum()) for row in rows]


def _around(bench: Bench, rows: Integers, piece: Any) -> Geometries:
    """What zones look like near a piece: clipped, for some are large."""
    west, south, east, north = piece.bounds
    window = shapely.box(west - MARGIN_M, south - MARGIN_M, east + MARGIN_M, north + MARGIN_M)
    return polygonal(shapely.intersection(bench.shapes[rows], window))


def _shared(shapes: Geometries, piece: Any, tolerance: float) -> NDArray[np.float64]:
    """Length (m) of the outline of a piece along each shape."""
    near = shapely.buffer(shapes, tolerance)
    lengths: NDArray[np.float64] = shapely.length(shapely.intersection(piece.boundary, near))
    return lengths


# --------------------------------------------------------------------------- gaps


def _close_gap(bench: Bench, piece: Any) -> None:
    """Give a sliver that no zone covers to the zone with the longest border along it."""
    west, south, east, north = piece.bounds
    slack = bench.tolerance
    low, high = bench.bounds[:, :2], bench.bounds[:, 2:]
    near = (low <= (east + slack, north + slack)).all(axis=1)
    near &= (high >= (west - slack, south - slack)).all(axis=1) & bench.editable
    rows = np.flatnonzero(near)
    border = np.round(_shared(_around(bench, rows, piece), piece, slack), 3)
    order = sorted(range(len(rows)), key=lambda k: (-border[k], tuple(bench.bounds[rows[k]])))
    if not order or border[order[0]] <= 0:
        bench.refuse("gap_closed", (), piece, "it touches no zone with a sound shape")
        return
    row, length = int(rows[order[0]]), float(border[order[0]])
    old = bench.shapes[row]
    shape = shapely.union_all([old, piece])
    if _n_parts(shape) > _n_parts(old):
        bench.refuse("gap_closed", (row,), piece, "it does not touch it along a line")
        return
    shape = _like(shape, old)
    units = bench.displaced(piece, row, shape)
    if len(units):
        bench.refuse_for_units("gap_closed", (row,), piece, units)
        return
    bench.put(row, shape)
    share = length / piece.length
    message = (
        f"zone {bench.name(row)} took {piece.area:,.3f} m² that no zone covered: it has "
        f"{min(share, 1):.0%} of its border"
    )
    bench.made.append(Change("gap_closed", (row,), piece, message, 1, piece.area))
