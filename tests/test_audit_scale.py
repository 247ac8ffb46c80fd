"""What the audit does to be quick with many zones, held against slow and simple ways."""

from __future__ import annotations

from itertools import combinations, pairwise

import geopandas as gpd
import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from shapely import MultiPolygon, Point, Polygon, box

import gridpart as gp
from gridpart.coverage import contacts, territory
from gridpart.coverage.territory import Cover

TOLERANCE = 0.001


def slow_contacts(polygons, tolerance=TOLERANCE):
    """Every pair that shares a vertex but no edge: pair to the cells of the vertices shared."""
    everything = shapely.get_coordinates(polygons)
    low = everything.min(axis=0) if len(everything) else 0.0
    at_vertex, at_edge = {}, {}
    for zone, polygon in enumerate(polygons):
        for ring in shapely.get_rings(shapely.get_parts(polygon)):
            cells = np.round((shapely.get_coordinates(ring) - low) / tolerance)
            cells = [tuple(cell) for cell in cells.tolist()]
            for cell in cells:
                at_vertex.setdefault(cell, set()).add(zone)
            for a, b in pairwise(cells):
                if a != b:
                    at_edge.setdefault(frozenset((a, b)), set()).add(zone)
    beside = {pair for zones in at_edge.values() for pair in combinations(sorted(zones), 2)}
    met = {}
    for cell, zones in at_vertex.items():
        for pair in combinations(sorted(zones), 2):
            if pair not in beside:
                met.setdefault(pair, set()).add(cell)
    return met, low


def assert_as_slow(polygons):
    polygons = np.array(polygons, dtype=object)
    pairs, points = contacts.point_contacts(polygons, TOLERANCE)
    expected, low = slow_contacts(polygons)
    assert [tuple(pair) for pair in pairs.tolist()] == sorted(expected)
    for pair, point in zip(pairs.tolist(), points, strict=True):
        assert tuple(np.round((point - low) / TOLERANCE).tolist()) in expected[tuple(pair)]
    return len(pairs)


def fishnet(side):
    """Squares of 10 by 10 m, four of which meet at a vertex."""
    corners = [(10 * x, 10 * y) for x in range(side) for y in range(side)]
    return [box(x, y, x + 10, y + 10) for x, y in corners]


def fan(spokes):
    """Triangles round one vertex."""
    angle = np.linspace(0, 2 * np.pi, spokes, endpoint=False)
    rim = np.column_stack([np.cos(angle), np.sin(angle)]) * 100
    return [Polygon([(0, 0), rim[k - 1], rim[k]]) for k in range(spokes)]


DEGENERATE = {
    "nothing": ([], 0),
    "only empty": ([Polygon(), MultiPolygon()], 0),
    "one": ([box(0, 0, 9, 9)], 0),
    "empty between": ([Polygon(), box(0, 0, 9, 9), Polygon(), box(9, 9, 18, 18), Polygon()], 1),
    "corner on corner": ([box(0, 0, 9, 9), box(9, 9, 18, 18)], 1),
    "two corners": ([Polygon([(0, 0), (9, 0), (9, 9), (0, 9)]),
                     Polygon([(9, 0), (12, 4), (9, 9), (20, 4)])], 1),
    "a ring begins at the contact": (
        [Polygon([(9, 9), (0, 9), (0, 0), (9, 0)]), Polygon([(9, 9), (18, 9), (18, 18)])], 1),
    "an edge elsewhere": ([Polygon([(0, 0), (9, 0), (9, 9), (0, 9)]),
                           Polygon([(9, 0), (12, 4), (9, 9), (0, 9), (0, 20), (20, 20), (20, 0)])],
                          0),
    "vertices doubled within a cell": (
        [Polygon([(0, 0), (9, 0), (9, 8.99999), (9, 9), (0, 9)]),
         Polygon([(9, 9), (9, 9.00001), (9, 18), (18, 18), (18, 9)])], 1),
    "edge with a doubled vertex": (
        [Polygon([(0, 0), (9, 0), (9, 4.99999), (9, 5), (9, 9), (0, 9)]),
         Polygon([(9, 0), (18, 0), (18, 9), (9, 9), (9, 5)])], 0),
    "same shape thrice": ([box(0, 0, 9, 9)] * 3, 0),
    "an edge of three": ([box(0, 0, 9, 9), box(9, 0, 18, 9), Polygon([(9, 0), (12, 4), (9, 9)])],
                         0),
    "in its own hole": ([MultiPolygon([box(0, 0, 90, 90).difference(box(30, 30, 60, 60)),
                                       Polygon([(30, 30), (50, 40), (40, 50)])]),
                         Polygon([(30, 30), (59, 31), (50, 40)])], 0),
    "a hole at the shell": (
        [Polygon([(0, 0), (90, 0), (90, 90), (0, 90)], [[(0, 0), (60, 30), (30, 60)]]),
         Polygon([(0, 0), (0, -9), (-9, 0)])], 1),
    "a fan": (fan(7), 7 * 6 // 2 - 7),
    "far apart": ([box(0, 0, 9, 9), box(9, 9, 18, 18), box(3e9, 3e9, 4e9, 4e9)], 1),
}  # fmt: skip


@pytest.mark.parametrize(("polygons", "expected"), DEGENERATE.values(), ids=DEGENERATE)
def test_degenerate_layers_have_the_contacts_that_a_slow_search_finds(polygons, expected):
    assert assert_as_slow(polygons) == expected


def test_input_is_not_changed_and_order_of_zones_does_not_matter():
    zones = np.array(fishnet(5), dtype=object)
    before = shapely.to_wkb(zones)
    shuffled = np.random.default_rng(3).permutation(len(zones))
    pairs, points = contacts.point_contacts(zones, TOLERANCE)
    turned, same_points = contacts.point_contacts(zones[shuffled], TOLERANCE)
    assert (shapely.to_wkb(zones) == before).all()
    named = np.sort(shuffled[turned], axis=1)
    order = np.lexsort((named[:, 1], named[:, 0]))
    np.testing.assert_array_equal(named[order], pairs)
    np.testing.assert_array_equal(same_points[order], points)


@given(
    side=st.integers(2, 6),
    dropped=st.sets(st.integers(0, 35)),
    moved=st.integers(0, 2**32 - 1),
    merged=st.booleans(),
)
def test_any_fishnet_has_the_contacts_that_a_slow_search_finds(side, dropped, moved, merged):
    zones = [zone for k, zone in enumerate(fishnet(side)) if k not in dropped]
    if merged and len(zones) > 2:
        zones = [shapely.union_all(zones[:2]), *zones[2:]]
    random = np.random.default_rng(moved)
    rounding = random.uniform(-1e-9, 1e-9)
    turned = [shapely.reverse(zone) if random.random() < 0.5 else zone for zone in zones]
    assert_as_slow(shapely.transform(turned, lambda xy: xy + rounding) if turned else [])


def test_a_towns_units_have_the_contacts_that_a_slow_search_finds():
    units = gp.county_town(600, seed=5).units.geometry.to_numpy()
    assert assert_as_slow(units) > 0


def test_corners_and_bends_of_a_coverage_are_settled_without_the_full_comparison():
    # rows of bricks: three zones at a corner, two at a bend, none touching at a point only
    bricks = [
        Polygon([(x, y), (x + 1, y), (x + 2, y), (x + 2, y + 1), (x + 1, y + 1), (x, y + 1)])
        for y in range(20)
        for x in range(y % 2, 40, 2)
    ]
    bricks = np.array(bricks, dtype=object)
    corners = contacts.corners_of(bricks)
    key = contacts.vertex_keys(corners.xy, TOLERANCE)
    assert len(contacts._doubtful(key, corners)) == 0
    assert len(contacts.point_contacts(bricks, TOLERANCE)[0]) == 0


@pytest.mark.parametrize("values", [[], [3], [2, 2, 2], [5, -1, 5, 0, -1]])
def test_distinct_values_are_those_of_numpy(values):
    values = np.array(values, dtype=np.int64)
    found = contacts.distinct(values)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, np.unique(values))


def test_keys_are_by_x_then_y_and_equal_within_a_cell():
    xy = np.array([[5.0, 1.0], [5.0, 0.0], [0.0, 9.0], [5.0002, 0.9999], [0.0, 0.0]])
    near = contacts.vertex_keys(xy, 0.001)
    far = contacts.vertex_keys(np.vstack([xy, [[1e12, 1e12]]]), 0.001)[:-1]
    for key in (near, far):
        assert key[0] == key[3]
        assert np.argsort(key[[4, 2, 1, 0]]).tolist() == [0, 1, 2, 3]


def test_the_audit_looks_closely_where_borders_do_not_match():
    # the second has no vertex where the third begins: they share a line, not only a vertex
    zones = gpd.GeoDataFrame(
        geometry=[box(0, 0, 9, 9), box(9, 0, 18, 18), box(0, 9, 9, 18), box(18, 18, 27, 27)],
        crs="EPSG:4547",
    )
    cover = Cover(zones.geometry.to_numpy(), TOLERANCE)
    assert cover.suspect.any()
    pairs, points = cover.point_contacts()
    assert pairs.tolist() == [[1, 3]]
    assert points.tolist() == [[18, 18]]
    (found,) = gp.audit(zones).itertuples()
    assert (found.check, found.ids, found.n) == ("point_contact", "1;3", 1)
    assert found.geometry.equals(shapely.MultiPoint([Point(18, 18)]))


def clustered():
    """Squares of which nearly all lie together and one far away, one of two parts, one empty."""
    near = fishnet(9)
    return [*near[2:], MultiPolygon(near[:2]), Polygon(), box(1e6, 1e6, 1e6 + 9, 1e6 + 9)]


UNITED = {
    "town": lambda: gp.county_town(600, seed=5).units.geometry.tolist(),
    "squares": lambda: fishnet(12),
    "with holes": lambda: [zone for k, zone in enumerate(fishnet(12)) if k % 7],
    "one above another": lambda: [box(0, y, 10, y + 1) for y in range(60)],
    "clustered": clustered,
    "only empty": lambda: [Polygon()] * 40,
}


@pytest.mark.parametrize("make", UNITED.values(), ids=UNITED)
@pytest.mark.parametrize("block", [1, 3, 8])
def test_zones_united_in_blocks_are_the_ground_of_all_at_once(make, block, monkeypatch):
    zones = np.array(make(), dtype=object)
    random = np.random.default_rng(block)
    monkeypatch.setattr(territory, "BLOCK_ZONES", block)
    blockwise = shapely.normalize(territory.united(zones[random.permutation(len(zones))]))
    assert blockwise.equals_exact(shapely.normalize(shapely.coverage_union_all(zones)))
    assert territory.united(zones[:0]).equals(Polygon())


def test_the_audit_of_blocks_finds_the_same(monkeypatch):
    zones = [zone for k, zone in enumerate(fishnet(8)) if k not in (9, 30, 31)]
    zones[20] = box(20, 41, 30, 57)
    frame = gpd.GeoDataFrame(geometry=zones, crs="EPSG:4547")
    boundary = gpd.GeoSeries([box(0, 0, 81, 80)], crs="EPSG:4547")
    whole = gp.audit(frame, boundary=boundary)
    monkeypatch.setattr(territory, "BLOCK_ZONES", 4)
    blockwise = gp.audit(frame, boundary=boundary)
    columns = ["check", "ids", "n", "message"]
    assert set(whole["check"]) >= {"gap", "overlap", "point_contact"}
    assert blockwise[columns].equals(whole[columns])
    assert blockwise.geometry.geom_equals(whole.geometry).all()
