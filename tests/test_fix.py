"""Safe repairs: faults are injected into clean layers and must be gone, and nothing else moved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely
from geopandas.testing import assert_geodataframe_equal
from shapely import Polygon, affinity, box
from zoo import COVERAGES, CRS, brick_wall, lattice

import gridpart as gp
from gridpart._geometry.align import find_misaligned
from gridpart.cli import main
from gridpart.coverage import audit, audit_counts, fix_text
from gridpart.errors import CRSError, GridpartWarning, InputError

MIN_AREA = 1.0
TOLERANCE = 0.001
REPAIRED = {"sliver_gap", "overlap", "invalid_geometry", "multipart"}


def shapes_of(zones: gpd.GeoDataFrame) -> np.ndarray:
    return np.array(zones.geometry, dtype=object)


def with_shapes(zones: gpd.GeoDataFrame, shapes: Any) -> gpd.GeoDataFrame:
    result = zones.copy()
    result[zones.active_geometry_name] = gpd.GeoSeries(list(shapes), zones.index, crs=zones.crs)
    return result.set_geometry(zones.active_geometry_name)


def outline(zones: gpd.GeoDataFrame) -> gpd.GeoSeries:
    return gpd.GeoSeries([shapely.union_all(shapes_of(zones))], crs=zones.crs)


def hexagons(side: int = 7, edge: float = 60.0) -> gpd.GeoDataFrame:
    """Hexagons whose corners lie on one lattice, so that neighbours share them exactly."""
    half = edge * np.sqrt(3) / 2
    steps = [(0, 2), (1, 1), (1, -1), (0, -2), (-1, -1), (-1, 1)]
    cells = []
    for row in range(side):
        for column in range(side):
            x, y = 2 * column + row % 2, 3 * row
            cells.append(Polygon([(half * (x + a), edge / 2 * (y + b)) for a, b in steps]))
    shapes = [affinity.translate(cell, 500_000, 3_400_000) for cell in cells]
    return gpd.GeoDataFrame({"households": range(len(cells))}, geometry=shapes, crs=CRS)


def points_inside(zones: gpd.GeoDataFrame, seed: int = 0) -> gpd.GeoDataFrame:
    """Units: a point for every zone and one very near its border, but on no fault's ground."""
    rng = np.random.default_rng(seed)
    shapes = shapes_of(zones)
    inner = shapely.point_on_surface(shapely.buffer(shapes, -3.0))
    near = [
        shapely.line_interpolate_point(shapely.buffer(shape, -2.0).exterior, share, normalized=True)
        for shape, share in zip(shapes, rng.random(len(shapes)), strict=True)
    ]
    spots = np.concatenate([inner, near])
    return gpd.GeoDataFrame({"households": [7] * len(spots)}, geometry=list(spots), crs=zones.crs)


# --------------------------------------------------------------------------- faults


def nick(shape: Polygon, rng: np.random.Generator, sign: float) -> Polygon:
    """A shape whose border is pushed in or out by a triangle below the smallest area."""
    xy = shapely.get_coordinates(shape)[:-1]
    k = int(rng.integers(len(xy)))
    start, stop = xy[k], xy[(k + 1) % len(xy)]
    along = stop - start
    length = float(np.hypot(*along))
    area = float(np.exp(rng.uniform(np.log(0.004), np.log(0.9)))) * MIN_AREA
    base = min(length * rng.uniform(0.2, 0.6), 30.0)
    middle = start + along * rng.uniform(0.35, 0.65)
    out = np.array([along[1], -along[0]]) / length  # rings run counter-clockwise: to the outside
    if not shape.exterior.is_ccw:
        out = -out
    ends = [middle - along / length * base / 2, middle + along / length * base / 2]
    tip = middle + sign * out * (2 * area / base)
    return Polygon(np.insert(xy, k + 1, [ends[0], tip, ends[1]], axis=0))


def jitter(shape: Polygon, rng: np.random.Generator, reach: float) -> Polygon:
    """A shape with one vertex that lies a little off the neighbours'."""
    xy = shapely.get_coordinates(shape)[:-1].copy()
    xy[rng.integers(len(xy))] += rng.uniform(-reach, reach, 2)
    return Polygon(xy)


def junction(shape: Polygon, rng: np.random.Generator) -> Polygon:
    """A shape with a vertex on the middle of an edge, which the neighbour lacks, a hair off it."""
    xy = shapely.get_coordinates(shape)[:-1]
    k = int(rng.integers(len(xy)))
    point = (xy[k] + xy[(k + 1) % len(xy)]) / 2 + rng.uniform(-5e-4, 5e-4, 2)
    return Polygon(np.insert(xy, k + 1, point, axis=0))


def bow_tie(shape: Polygon, rng: np.random.Generator) -> Polygon:
    """A shape whose border crosses itself in a loop of up to the smallest area."""
    xy = shapely.get_coordinates(shape)[:-1]
    k = int(rng.integers(len(xy)))
    start, stop = xy[k], xy[(k + 1) % len(xy)]
    unit = (stop - start) / np.hypot(*(stop - start))
    side = float(np.sqrt(rng.uniform(0.01, 1.8)))
    across = np.array([unit[1], -unit[0]]) * side
    one, other = (start + stop) / 2, (start + stop) / 2 + unit * side
    loop = [one, other + across, one + across, other]
    return Polygon(np.insert(xy, k + 1, loop, axis=0))


FAULTS: dict[str, Callable[[Polygon, np.random.Generator], Polygon]] = {
    "gap": lambda shape, rng: nick(shape, rng, -1.0),
    "overlap": lambda shape, rng: nick(shape, rng, 1.0),
    "jitter_fine": lambda shape, rng: jitter(shape, rng, 0.0007),
    "jitter": lambda shape, rng: jitter(shape, rng, 0.015),
    "junction": junction,
    "bow_tie": bow_tie,
}
LAYERS = {"lattice": lambda: lattice(8, 8, size=80.0, seed=5), "hexagons": hexagons}


def inner_rows(zones: gpd.GeoDataFrame) -> np.ndarray:
    """Zones that do not touch the rim: what happens there is between zones."""
    rim = outline(zones).iloc[0].boundary
    return np.flatnonzero(shapely.distance(shapes_of(zones), rim) > 1)


def assert_fixed(
    clean: gpd.GeoDataFrame, faulty: gpd.GeoDataFrame, units: gpd.GeoDataFrame | None = None
) -> gpd.GeoDataFrame:
    """Repair, and check all that a repair promises; return the changes."""
    boundary = outline(clean)
    given = faulty.copy()
    fixed, changes = gp.fix_zones(faulty, boundary=boundary, units=units)
    assert_geodataframe_equal(faulty, given)
    assert fixed.crs == faulty.crs
    assert fixed.index.equals(faulty.index)
    assert list(fixed.columns) == list(faulty.columns)
    assert not (set(audit_counts(audit(fixed, boundary=boundary))) & (REPAIRED | {"gap"}))
    assert find_misaligned(shapes_of(fixed), tolerance=TOLERANCE).n_near == 0
    assert shapely.is_valid(shapes_of(fixed)).all()
    assert (changes["status"] == "made").all(), changes["message"].tolist()
    # the ground is covered once, to the stated tolerance
    slack = TOLERANCE * float(shapely.length(shapes_of(fixed)).sum())
    assert fixed.area.sum() == pytest.approx(clean.area.sum(), abs=slack)
    moved = np.abs(fixed.area.to_numpy() - clean.area.to_numpy())
    assert moved.max() < 6 * MIN_AREA
    again, more = gp.fix_zones(fixed, boundary=boundary, units=units)
    assert not len(more)
    assert shapely.equals_identical(shapes_of(again), shapes_of(fixed)).all()
    return changes


# --------------------------------------------------------------------------- fault injection


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("fault", FAULTS)
def test_one_fault_of_any_size_is_repaired(layer: str, fault: str) -> None:
    clean = LAYERS[layer]()
    rows = inner_rows(clean)
    for seed in range(6):
        rng = np.random.default_rng(seed)
        shapes = shapes_of(clean)
        row = int(rng.choice(rows))
        shapes[row] = FAULTS[fault](shapes[row], rng)
        faulty = with_shapes(clean, shapes)
        changes = assert_fixed(clean, faulty)
        assert len(changes), (seed, row)
        touched = set(";".join(changes["ids"]).split(";"))
        near = set(map(str, np.flatnonzero(shapely.dwithin(shapes, shapes[row], 1.0))))
        assert touched <= near


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("seed", range(5))
def test_many_faults_at_once_are_repaired_and_nobody_moves(layer: str, seed: int) -> None:
    clean = LAYERS[layer]()
    rng = np.random.default_rng(seed)
    shapes = shapes_of(clean)
    for row in inner_rows(clean):
        if rng.random() < 0.7:
            shapes[row] = FAULTS[str(rng.choice(list(FAULTS)))](shapes[row], rng)
    units = points_inside(clean, seed)
    faulty = with_shapes(clean, shapes)
    changes = assert_fixed(clean, faulty, units)
    assert len(changes) > 10


def homes(zones: gpd.GeoDataFrame, units: np.ndarray) -> np.ndarray:
    """Oracle: the zone with most of each unit, none where less than half of it is covered."""
    shapes = shapely.make_valid(shapes_of(zones), method="structure", keep_collapsed=False)
    shares = shapely.area(shapely.intersection(units[:, None], shapes[None])) / shapely.area(
        units[:, None]
    )
    covered = shapely.area(shapely.intersection(units, shapely.union_all(shapes)))
    return np.where(covered < shapely.area(units) / 2, -1, shares.argmax(axis=1))


@pytest.mark.parametrize("seed", [1, 2, 5])
def test_units_on_the_zone_lines_keep_their_homes(seed: int) -> None:
    """Buildings of a square metre across the lines: many repairs are refused, and said to be."""
    clean = lattice(6, 6, size=80.0, seed=seed)
    rng = np.random.default_rng(seed)
    shapes = shapes_of(clean)
    for row in inner_rows(clean):
        shapes[row] = FAULTS[str(rng.choice(["gap", "overlap", "jitter"]))](shapes[row], rng)
    faulty, boundary = with_shapes(clean, shapes), outline(clean)
    slivers = audit(faulty, boundary=boundary)
    slivers = slivers[slivers["check"].isin(["sliver_gap", "overlap"])].geometry.explode()
    spots = shapely.point_on_surface(slivers.to_numpy())
    boxes = shapely.buffer(spots, 0.02 + 0.3 * rng.random(len(spots)), cap_style="square")
    boxes = shapely.transform(boxes, lambda xy: xy + 0.01)
    units = gpd.GeoDataFrame({"households": [4] * len(boxes)}, geometry=list(boxes), crs=CRS)
    fixed, changes = gp.fix_zones(faulty, boundary=boundary, units=units)
    assert homes(fixed, boxes).tolist() == homes(faulty, boxes).tolist()
    assert {"made", "refused"} <= set(changes["status"])
    again, more = gp.fix_zones(fixed, boundary=boundary, units=units)
    assert_geodataframe_equal(again, fixed)
    assert set(more["status"]) == {"refused"}


@pytest.mark.parametrize("reach", [0.0004, 0.002, 0.008])
def test_every_vertex_jittered(reach: float) -> None:
    clean = lattice(6, 6, size=60.0, seed=2)
    rng = np.random.default_rng(7)
    rings = [shapely.get_coordinates(shape)[:-1] for shape in shapes_of(clean)]
    closed = [Polygon(xy + rng.uniform(-reach, reach, xy.shape)) for xy in rings]
    faulty = with_shapes(clean, closed)
    fixed, changes = gp.fix_zones(faulty)
    assert not (set(audit_counts(audit(fixed))) & (REPAIRED | {"hole"}))
    assert (changes["status"] == "made").all()
    assert shapely.coverage_is_valid(shapes_of(fixed))
    again, more = gp.fix_zones(fixed)
    assert not len(more)
    assert_geodataframe_equal(again, fixed)


@pytest.mark.slow
def test_faults_among_the_sections_of_porto(shared_data: Callable[[str], Path]) -> None:
    path = shared_data("porto_bgri2021") / "porto_bgri2021.gpkg"
    clean = gpd.read_file(path, layer="official_sections")
    units = gpd.read_file(path, layer="units")
    untouched, none = gp.fix_zones(clean, units=units, unit_id="unit_id")
    assert not len(none)
    assert_geodataframe_equal(untouched, clean)
    rng = np.random.default_rng(11)
    shapes = shapes_of(clean)
    for row in rng.choice(inner_rows(clean), 60, replace=False):
        if len(shapely.get_parts(shapes[row])) == 1 and not shapes[row].interiors:
            shapes[row] = FAULTS[str(rng.choice(["jitter", "jitter_fine", "junction"]))](
                shapes[row], rng
            )
    faulty = with_shapes(clean, shapes)
    before = gp.audit(faulty, units=units, unit_id="unit_id", low=200, high=500)
    fixed, changes = gp.fix_zones(faulty, units=units, unit_id="unit_id")
    after = gp.audit(fixed, units=units, unit_id="unit_id", low=200, high=500)
    assert len(changes) > 20
    assert not (set(audit_counts(after)) & {"sliver_gap", "overlap", "invalid_geometry"})
    for check in ("below_band", "above_band"):  # households did not move
        found = [frame.loc[frame["check"] == check] for frame in (before, after)]
        assert found[0]["households"].tolist() == found[1]["households"].tolist()
    slack = TOLERANCE * float(shapely.length(shapes_of(clean)).sum())
    assert fixed.area.sum() == pytest.approx(clean.area.sum(), abs=slack)


# --------------------------------------------------------------------------- what is left alone


@pytest.mark.parametrize("name", COVERAGES)
def test_a_clean_layer_is_not_touched_but_for_missing_vertices(name: str) -> None:
    clean = COVERAGES[name]()
    fixed, changes = gp.fix_zones(clean)
    assert set(changes["change"]) <= {"snapped"}
    assert changes["area_m2"].sum() < 1e-6
    assert shapely.equals(shapes_of(fixed), shapes_of(clean)).all()
    if not len(changes):
        assert_geodataframe_equal(fixed, clean)
        assert fix_text(changes) == "nothing to repair"


def test_t_junctions_get_their_vertices() -> None:
    wall = brick_wall()
    fixed, changes = gp.fix_zones(wall)
    assert set(changes["change"]) == {"snapped"}
    assert find_misaligned(shapes_of(wall)).n_junctions > 0
    assert find_misaligned(shapes_of(fixed)).n_junctions == 0
    assert not len(gp.fix_zones(fixed)[1])


def test_larger_defects_stay_findings() -> None:
    clean = lattice(6, 6, size=60.0)
    shapes = shapes_of(clean)
    shapes[14] = shapes[14].buffer(-0.5)  # a gap all around
    shapes[20] = shapes[20].union(shapes[21].buffer(-20))  # an overlap in two parts
    shapes[27] = Polygon(shapely.get_coordinates(shapes[27])[[0, 4, 2, 6, 0]])  # a large bow-tie
    shapes[33] = None
    faulty = with_shapes(clean, shapes)
    boundary = outline(clean)
    fixed, changes = gp.fix_zones(faulty, boundary=boundary)
    assert (changes["status"] == "refused").sum() == 1
    assert changes.loc[changes["status"] == "refused", "change"].tolist() == ["made_valid"]
    assert fixed.geometry[27].equals_exact(faulty.geometry[27], 0)
    assert fixed.geometry[33] is None
    before, after = (audit_counts(audit(frame, boundary=boundary)) for frame in (faulty, fixed))
    assert before == after
    assert not (changes["change"].isin(["gap_closed", "overlap_trimmed"])).any()


def test_a_hole_below_the_smallest_area_of_the_caller() -> None:
    ring = box(0, 0, 60, 60).difference(box(10, 10, 12, 12))
    zones = gpd.GeoDataFrame(geometry=[ring, box(60, 0, 90, 60)], crs=CRS)
    assert not len(gp.fix_zones(zones)[1])
    fixed, changes = gp.fix_zones(zones, min_area=5.0)
    assert changes[["change", "ids", "area_m2"]].to_numpy().tolist() == [["gap_closed", "0", 4.0]]
    assert fixed.area.tolist() == [3600.0, 1800.0]


@pytest.mark.parametrize("width", [-0.02, 0.02])
def test_a_long_narrow_sliver_is_one_by_its_width(width: float) -> None:
    zones = gpd.GeoDataFrame(
        geometry=[box(0, 0, 50 + width, 400), box(50, 0, 100, 400), box(0, 400, 100, 420)], crs=CRS
    )
    boundary = gpd.GeoSeries([box(0, 0, 100, 420)], crs=CRS)
    for options, area in (({}, 42_000 + 400 * width), ({"sliver_width": 0.03}, 42_000)):
        fixed, _ = gp.fix_zones(zones, boundary=boundary, **options)
        assert fixed.area.sum() == pytest.approx(area)


# --------------------------------------------------------------------------- who gets what


def test_a_gap_goes_to_the_longest_border_and_an_overlap_to_the_longer() -> None:
    zones = gpd.GeoDataFrame(
        {"grid": ["long", "top", "right"]},
        geometry=[
            Polygon([(0, 0), (9.9, 0), (9.9, 4), (10, 4), (10, 10), (0, 10)]),
            box(10, 3, 20, 10),
            box(10, 0, 20, 3),
        ],
        crs=CRS,
    )
    boundary = gpd.GeoSeries([box(0, 0, 20, 10)], crs=CRS)
    fixed, changes = gp.fix_zones(zones, boundary=boundary)
    closed = changes[changes["change"] == "gap_closed"].iloc[0]
    assert closed["ids"] == "long"
    assert closed["area_m2"] == pytest.approx(0.4)
    assert "took 0.400 m²" in closed["message"]
    assert fixed.area.tolist() == pytest.approx([100, 70, 30])


def strip(width: float) -> gpd.GeoDataFrame:
    """Two zones that share a strip of ground, or leave one between them where it is negative."""
    return gpd.GeoDataFrame(
        {"grid": ["A", "B"]},
        geometry=[box(0, 0, 50 + width, 10), box(50, 0, 100, 10)],
        crs=CRS,
    )


@pytest.mark.parametrize("owner", ["A", "B"])
def test_an_overlap_stays_with_the_zone_whose_unit_stands_there(owner: str) -> None:
    inside = box(48, 4, 50.05, 5) if owner == "A" else box(50.01, 4, 53, 5)
    units = gpd.GeoDataFrame({"households": [9]}, geometry=[inside], crs=CRS)
    fixed, changes = gp.fix_zones(strip(0.05), units=units)
    made = changes[changes["change"] == "overlap_trimmed"].iloc[0]
    assert made["ids"].split(";")[1] == owner
    assert fixed.area.sum() == pytest.approx(1000)
    grown = dict(zip(["A", "B"], fixed.area, strict=True))
    assert grown[owner] == pytest.approx(500.5 if owner == "A" else 500.0)


def test_a_repair_that_would_move_a_household_is_refused() -> None:
    """A unit stands in the gap: whoever gets the ground would get the unit."""
    units = gpd.GeoDataFrame(
        {"name": ["u1", "u2"], "households": [12, 5]},
        geometry=[shapely.Point(49.98, 5), shapely.Point(20, 5)],
        crs=CRS,
    )
    zones = strip(-0.05)
    boundary = gpd.GeoSeries([box(0, 0, 100, 10)], crs=CRS)
    fixed, changes = gp.fix_zones(zones, boundary=boundary, units=units, unit_id="name")
    refused = changes[changes["status"] == "refused"].iloc[0]
    assert refused["change"] == "gap_closed"
    assert refused["households"] == 12
    assert "unit u1 would change zones" in refused["message"]
    assert "not repaired: 1 sliver gap" in fix_text(changes)
    assert_geodataframe_equal(fixed, zones)
    mended, _ = gp.fix_zones(zones, boundary=boundary)
    assert mended.area.sum() == pytest.approx(1000)


def test_a_unit_in_the_balance_keeps_its_zone() -> None:
    """49.9 % and 50.1 %: the overlap decides, so only one of the two may give it up."""
    units = gpd.GeoDataFrame({"households": [3]}, geometry=[box(49.0, 0, 51.05, 1)], crs=CRS)
    zones = strip(0.05)
    fixed, _ = gp.fix_zones(zones, units=units)
    unit = units.geometry[0]
    shares = [
        [shape.intersection(unit).area for shape in frame.geometry] for frame in (zones, fixed)
    ]
    assert np.argmax(shares[0]) == np.argmax(shares[1])
    assert fixed.area.sum() == pytest.approx(1000)


def test_snapping_leaves_out_the_zone_that_would_lose_a_unit() -> None:
    zones = gpd.GeoDataFrame(geometry=[box(0, 0, 50, 10), box(50.0008, 0, 100, 10)], crs=CRS)
    spots = [shapely.Point(x, 5) for x in (49.9999, 50.0001, 50.0007, 50.0009)]
    units = gpd.GeoDataFrame({"households": [1] * 4}, geometry=spots, crs=CRS)
    boundary = gpd.GeoSeries([box(0, 0, 100, 10)], crs=CRS)
    fixed, changes = gp.fix_zones(zones, boundary=boundary, units=units)
    for frame in (zones, fixed):
        inside = [
            np.flatnonzero(shapely.contains(shapes_of(frame), spot)).tolist() for spot in spots
        ]
        assert inside == [[0], [], [], [1]]
    assert (changes["status"] == "refused").any()


# --------------------------------------------------------------------------- the door


def test_degrees_come_back_as_degrees_and_untouched_vertices_bit_by_bit() -> None:
    metric = lattice(5, 5, size=70.0, seed=4)
    clean = metric.to_crs("EPSG:4490")
    rng = np.random.default_rng(3)
    shapes = shapes_of(metric)
    shapes[12] = nick(shapes[12], rng, -1.0)
    shapes[18] = nick(shapes[18], rng, 1.0)
    faulty = with_shapes(metric, shapes).to_crs("EPSG:4490")
    with pytest.warns(GridpartWarning, match="projected from"):
        fixed, changes = gp.fix_zones(faulty)
    assert fixed.crs == faulty.crs
    assert changes.crs.is_projected
    kept = {int(row) for row in ";".join(changes["ids"]).split(";")}
    for row in range(25):
        same = shapely.equals_identical(fixed.geometry[row], faulty.geometry[row])
        assert same or row in kept
    old = set(map(tuple, shapely.get_coordinates(clean.geometry.to_numpy()).tolist()))
    new = set(map(tuple, shapely.get_coordinates(fixed.geometry.to_numpy()).tolist()))
    assert old <= new
    with pytest.warns(GridpartWarning, match="projected from"):
        assert not len(gp.fix_zones(fixed)[1])


def test_heights_an_index_of_texts_and_a_renamed_geometry() -> None:
    zones = strip(0.05).set_index("grid").rename_geometry("shape")
    zones["shape"] = shapely.force_3d(shapes_of(zones), 4.0)
    with pytest.warns(GridpartWarning, match="heights"):
        fixed, changes = gp.fix_zones(zones)
    assert fixed.active_geometry_name == "shape"
    assert fixed.index.tolist() == ["A", "B"]
    assert not shapely.has_z(shapes_of(fixed)).any()
    assert set(";".join(changes["ids"]).split(";")) == {"A", "B"}


def test_a_multipolygon_stays_one() -> None:
    zones = with_shapes(strip(0.05), [shapely.multipolygons([s]) for s in strip(0.05).geometry])
    fixed, _ = gp.fix_zones(zones)
    assert set(fixed.geom_type) == {"MultiPolygon"}


def test_stacked_slivers_do_not_vanish() -> None:
    speck = box(0, 0, 0.5, 0.5)
    zones = gpd.GeoDataFrame(geometry=[speck, speck, box(5, 5, 9, 9)], crs=CRS)
    fixed, changes = gp.fix_zones(zones)
    assert_geodataframe_equal(fixed, zones)
    assert changes["status"].tolist() == ["refused"]
    assert "nothing of it would be left" in changes["message"][0]


def test_the_order_of_rows_does_not_matter() -> None:
    clean = lattice(5, 5, size=80.0)
    rng = np.random.default_rng(1)
    shapes = [nick(shape, rng, float(rng.choice([-1, 1]))) for shape in shapes_of(clean)]
    faulty = with_shapes(clean, shapes)
    order = rng.permutation(len(faulty))
    one, _ = gp.fix_zones(faulty)
    other, _ = gp.fix_zones(faulty.iloc[order])
    assert shapely.equals_exact(
        shapely.normalize(shapes_of(one)[order]), shapely.normalize(shapes_of(other)), 1e-9
    ).all()


def test_what_cannot_be_measured_is_an_error() -> None:
    zones = strip(0.05)
    with pytest.raises(InputError, match="none were given"):
        gp.fix_zones(zones, households="households")
    with pytest.raises(InputError, match="sliver_width must not be below 0"):
        gp.fix_zones(zones, sliver_width=-1.0)
    with pytest.raises(InputError, match="no column 'nobody'"):
        gp.fix_zones(zones, id="nobody")
    with pytest.raises(InputError, match="no rows"):
        gp.fix_zones(zones.iloc[:0])
    with pytest.raises(CRSError, match="no coordinate reference system"):
        gp.fix_zones(zones.set_crs(None, allow_override=True))


# --------------------------------------------------------------------------- the command line


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """A faulty layer, its boundary and units."""
    clean = lattice(4, 4, size=80.0)
    shapes = shapes_of(clean)
    shapes[5] = nick(shapes[5], np.random.default_rng(1), -1.0)
    shapes[10] = bow_tie(shapes[10], np.random.default_rng(2))
    clean = clean.drop(columns="households")
    faulty = with_shapes(clean, shapes).assign(name=[f"网格{k}" for k in range(16)])
    frames = {"zones": faulty, "boundary": outline(clean).to_frame("geometry")}
    frames["units"] = points_inside(clean)
    paths = {name: tmp_path / f"{name}.gpkg" for name in frames}
    for name, frame in frames.items():
        frame.to_file(paths[name], layer=name)
    return paths


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def test_the_command_writes_zones_and_changes(
    files: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    given = {path: path.read_bytes() for path in files.values()}
    out = files["zones"].with_name("fixed.gpkg")
    options = ("--id", "name", "--boundary", files["boundary"], "--units", files["units"])
    assert run("audit", files["zones"], *options, "--fix", out) == 1
    said = capsys.readouterr().out
    assert "repaired: 1 broken shape made valid" in said
    assert "sliver gap" in said
    assert "then left: " in said
    assert f"written to {out}" in said
    zones, fixed = gpd.read_file(files["zones"]), gpd.read_file(out, layer="zones")
    changes = gpd.read_file(out, layer="changes")
    assert list(fixed.columns) == list(zones.columns)
    assert fixed["name"].tolist() == zones["name"].tolist()
    assert {"made_valid", "gap_closed", "snapped"} <= set(changes["change"])
    assert set(changes["status"]) == {"made"}
    assert {"网格5", "网格10"} <= set(";".join(changes["ids"]).split(";"))
    assert run("audit", out, "--layer", "zones", *options, "--fix", out.with_name("x.gpkg")) == 0
    assert "nothing to repair" in capsys.readouterr().out
    again = gpd.read_file(out.with_name("x.gpkg"), layer="zones")
    assert_geodataframe_equal(again, fixed)
    assert not len(gpd.read_file(out.with_name("x.gpkg"), layer="changes"))
    for path, content in given.items():
        assert path.read_bytes() == content


def test_the_command_never_replaces_an_input_and_leaves_nothing_behind(
    files: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = files["zones"].parent
    for path in files.values():
        options = ("--boundary", files["boundary"], "--units", files["units"])
        assert run("audit", files["zones"], *options, "--fix", path) == 2
        assert "is an input" in capsys.readouterr().err
    assert run("audit", files["zones"], "--fix", folder / "fixed.shp") == 2
    both = folder / "both.gpkg"
    assert run("audit", files["zones"], "--findings", both, "--fix", both) == 2
    assert sorted(folder.iterdir()) == sorted(files.values())


def test_a_plan_is_repaired_with_its_own_units(tmp_path: Path) -> None:
    units = lattice(6, 6, size=50.0).assign(households=60)
    units.to_file(tmp_path / "units.gpkg", layer="units")
    plan = tmp_path / "plan.gpkg"
    assert run("partition", tmp_path / "units.gpkg", "-o", plan, "--effort", "fast") == 0
    out = tmp_path / "fixed.gpkg"
    assert run("audit", plan, "--fix", out) == 0
    grids = gpd.read_file(plan, layer="grids")
    fixed = gpd.read_file(out, layer="zones")
    assert_geodataframe_equal(fixed, grids)
