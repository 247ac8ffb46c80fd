"""Neighbours and lengths against brute force, libpysal and themselves in another order."""

from __future__ import annotations

import dataclasses

import geopandas as gpd
import networkx as nx
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from libpysal.graph import Graph
from shapely import MultiPolygon, box
from zoo import COVERAGES, CRS, brute_borders, coverages, frame, lattice

from gridpart._geometry import align
from gridpart._geometry import segments as _segments
from gridpart._geometry.segments import unify
from gridpart.contiguity import Contiguity, build_contiguity, find_misaligned, is_metric
from gridpart.errors import CRSError, GridpartWarning, InputError

PORTO = "porto_bgri2021/porto_bgri2021.gpkg"
YAMAGUCHI = "yamaguchi_basic_units_2020/yamaguchi_r2kb35203.gpkg"


def edges(graph: Contiguity) -> dict[tuple[int, int], int]:
    """Millimetres by pair of positions, each pair once."""
    return {
        (int(i), int(j)): int(mm)
        for i, j, mm in zip(graph.rows, graph.indices, graph.lengths_mm, strict=True)
        if i < j
    }


def by_name(graph: Contiguity) -> dict[frozenset[object], int]:
    return {frozenset((graph.index[i], graph.index[j])): mm for (i, j), mm in edges(graph).items()}


def assert_sound(graph: Contiguity, units: gpd.GeoDataFrame) -> None:
    """What holds of every graph: index, order, symmetry, and that no border is lost."""
    pd.testing.assert_index_equal(graph.index, units.index)
    assert graph.n == len(units)
    assert graph.indptr.dtype == graph.lengths_mm.dtype == graph.exterior_mm.dtype == np.int64
    assert (graph.rows != graph.indices).all()
    assert (graph.lengths_mm > 0).all()
    assert (graph.exterior_mm >= 0).all()
    ranked = graph.rows * graph.n + graph.indices
    assert (np.diff(ranked) > 0).all(), "rows and neighbours must ascend"
    matrix = graph._csr()
    assert (matrix != matrix.T).nnz == 0


def assert_like_brute(graph: Contiguity, units: gpd.GeoDataFrame, slack: int = 1) -> None:
    expected = brute_borders(units)
    found = edges(graph)
    assert found.keys() == expected.keys()
    for pair, metres in expected.items():
        assert found[pair] == pytest.approx(metres * 1000, abs=slack), pair


def assert_borders_add_up(graph: Contiguity, units: gpd.GeoDataFrame) -> None:
    perimeter = units.geometry.length.to_numpy() * 1000
    shared = np.bincount(graph.rows, weights=graph.lengths_mm, minlength=graph.n)
    slack = np.diff(graph.indptr) + 1
    assert (np.abs(perimeter - shared - graph.exterior_mm) <= slack).all()


@pytest.mark.parametrize("name", COVERAGES)
def test_like_brute_force_on_the_zoo(name: str) -> None:
    units = COVERAGES[name]()
    graph = build_contiguity(units)
    assert_sound(graph, units)
    assert_like_brute(graph, units)
    assert_borders_add_up(graph, units)


@given(units=coverages())
def test_like_brute_force_on_generated_coverages(units: gpd.GeoDataFrame) -> None:
    graph = build_contiguity(units)
    assert_sound(graph, units)
    assert_like_brute(graph, units)
    assert_borders_add_up(graph, units)


@settings(max_examples=30)
@given(units=coverages(straight=False))
def test_like_libpysal_on_generated_coverages(units: gpd.GeoDataFrame) -> None:
    theirs = Graph.build_contiguity(units, rook=True, by_perimeter=True)
    assert_same_graph(build_contiguity(units), Contiguity.from_graph(theirs, units))


def assert_same_graph(ours: Contiguity, theirs: Contiguity) -> None:
    """Same edges; lengths may round to another millimetre where they end in a half."""
    assert edges(ours).keys() == edges(theirs).keys()
    assert np.abs(ours.lengths_mm - theirs.lengths_mm).max(initial=0) <= 1


@settings(max_examples=30)
@given(units=coverages(), seed=st.integers(0, 9), reverse=st.booleans())
def test_independent_of_the_order_of_rows_rings_and_vertices(
    units: gpd.GeoDataFrame, seed: int, reverse: bool
) -> None:
    shuffled = units.sample(frac=1, random_state=seed)
    shapes = shapely.normalize(shuffled.geometry.to_numpy())
    shuffled = shuffled.set_geometry(
        gpd.GeoSeries(shapely.reverse(shapes) if reverse else shapes, index=shuffled.index, crs=CRS)
    )
    one, other = build_contiguity(units), build_contiguity(shuffled)
    assert by_name(one) == by_name(other)
    exterior = pd.Series(other.exterior_mm, index=other.index)
    assert exterior[one.index].to_numpy().tolist() == one.exterior_mm.tolist()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "layer", "count", "parts"),
    [(PORTO, "units", 4378, 1), (YAMAGUCHI, "units_snapped_epsg6671", 12154, 2)],
)
def test_like_libpysal_on_real_units(shared_data, path, layer, count, parts) -> None:
    units = gpd.read_file(shared_data(path), layer=layer)
    graph = build_contiguity(units)
    assert (graph.n_edges, graph.components().max() + 1) == (count, parts)
    theirs = Graph.build_contiguity(units, rook=True, by_perimeter=True)
    assert_same_graph(graph, Contiguity.from_graph(theirs, units))
    assert_borders_add_up(graph, units)


@pytest.mark.slow
def test_last_digits_do_not_part_neighbours(shared_data) -> None:
    raw = gpd.read_file(shared_data(YAMAGUCHI), layer="units_raw_jgd2000").to_crs(6671)
    graph = build_contiguity(raw)
    assert (graph.n_edges, graph.components().max() + 1) == (12154, 2)
    assert find_misaligned(raw.geometry.to_numpy()).n_near > 10_000


def test_like_libpysal_on_a_lattice() -> None:
    units = lattice(30, 20, bends=3)
    theirs = Graph.build_contiguity(units, rook=True, by_perimeter=True)
    assert_same_graph(build_contiguity(units), Contiguity.from_graph(theirs, units))


# ---- what almost fits


@pytest.mark.parametrize("offset", [0.0, 0.0004, -0.0004])
def test_t_junction_within_tolerance(offset: float) -> None:
    units = frame([box(0, 0, 1, 2), box(1 + offset, 0, 2, 1), box(1 - offset, 1, 2, 2)])
    assert edges(build_contiguity(units)) == {
        (0, 1): pytest.approx(1000, abs=1),
        (0, 2): pytest.approx(1000, abs=1),
        (1, 2): pytest.approx(1000, abs=1),
    }


def test_beyond_the_tolerance_is_apart() -> None:
    units = frame([box(0, 0, 1, 1), box(1.002, 0, 2, 1)])
    assert build_contiguity(units).n_edges == 0
    assert edges(build_contiguity(units, tolerance=0.003)) == {(0, 1): pytest.approx(1000, abs=3)}


def test_nearly_equal_vertices_on_two_sides_of_a_rounding_boundary() -> None:
    edge = 1.0000005  # half a micrometre: one side rounds down, the other up
    units = frame([box(0, 0, edge - 1e-9, 1), box(edge + 1e-9, 0, 2, 1)])
    assert edges(build_contiguity(units)) == {(0, 1): 1000}


def test_points_of_a_dense_border_do_not_melt_together() -> None:
    x = np.arange(0, 0.05, 0.0004)
    xy = np.column_stack([x, np.zeros_like(x)])
    stands = unify(xy, _segments.micro_keys(xy), 0.001)
    chosen = np.unique(stands)
    assert len(chosen) > 10
    assert (np.diff(x[chosen]) > 0.001).all()
    assert (np.abs(x - x[stands]) <= 0.001).all()
    shuffle = np.random.default_rng(1).permutation(len(xy))
    again = unify(xy[shuffle], _segments.micro_keys(xy[shuffle]), 0.001)
    assert (xy[shuffle][again] == xy[stands][shuffle]).all()


def test_parts_of_one_unit_that_touch_have_no_border() -> None:
    units = frame([MultiPolygon([box(0, 0, 1, 1), box(1, 0, 2, 1)]), box(2, 0, 3, 1)])
    graph = build_contiguity(units)
    assert edges(graph) == {(0, 1): 1000}
    assert graph.exterior_mm.tolist() == [5000, 3000]


# ---- overlaps


@pytest.mark.parametrize(
    "shapes",
    [
        [box(0, 0, 1, 1), box(0, 0, 1, 1), box(1, 0, 2, 1)],
        [box(0, 0, 1, 1)] * 4,
        [box(0, 0, 1, 1), box(1, 0, 2, 1), box(1, 0, 3, 1), box(1, 0, 4, 1)],
    ],
)
def test_border_of_three_units_counts_for_each_pair_and_is_said(shapes) -> None:
    units = frame(shapes)
    with pytest.warns(GridpartWarning, match="belong to three or more units"):
        graph = build_contiguity(units)
    for pair, metres in brute_borders(units).items():
        assert edges(graph)[pair] <= metres * 1000 + 1
    shared = edges(graph)
    assert shared[0, 1] == brute_borders(units)[0, 1] * 1000
    assert graph.exterior_mm.sum() >= 0


def test_unit_twice_on_a_segment_shared_with_another() -> None:
    units = frame([MultiPolygon([box(0, 0, 1, 1), box(1, 0, 2, 1)]), box(1, 0, 3, 1)])
    assert edges(build_contiguity(units))[0, 1] == 3000


# ---- kernels


@pytest.mark.parametrize("name", COVERAGES)
def test_hash_collisions_change_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    units = COVERAGES[name]()
    expected = build_contiguity(units)

    def weak(x, y):
        return (x & 1).view(np.uint64)

    monkeypatch.setattr(_segments, "hash_points", weak)
    assert edges(build_contiguity(units)) == edges(expected)


# ---- the object


def test_components_are_numbered_by_their_first_unit() -> None:
    units = frame([box(9, 0, 10, 1), box(0, 0, 1, 1), box(10, 0, 11, 1), box(1, 0, 2, 1)])
    assert build_contiguity(units).components().tolist() == [0, 1, 0, 1]


@given(units=coverages(), data=st.data())
def test_components_and_cut_like_networkx(units: gpd.GeoDataFrame, data) -> None:
    graph = build_contiguity(units)
    other = nx.Graph()
    other.add_nodes_from(range(graph.n))
    other.add_weighted_edges_from((i, j, mm) for (i, j), mm in edges(graph).items())
    parts = {frozenset(np.flatnonzero(graph.components() == k)) for k in set(graph.components())}
    assert parts == {frozenset(part) for part in nx.connected_components(other)}
    size = st.lists(st.integers(0, 3), min_size=graph.n, max_size=graph.n)
    labels = data.draw(size)
    expected = sum(w for i, j, w in other.edges(data="weight") if labels[i] != labels[j])
    assert graph.cut_mm(labels) == expected


def test_cut_wants_a_label_for_each_unit() -> None:
    graph = build_contiguity(COVERAGES["pair"]())
    with pytest.raises(ValueError, match="2 units need as many labels"):
        graph.cut_mm([0, 1, 2])


def test_graph_there_and_back() -> None:
    units = COVERAGES["apart"]().set_axis(["x", "y", "z"])
    graph = build_contiguity(units)
    there = graph.to_graph()
    assert list(there.isolates) == ["x"]
    assert list(there.unique_ids) == ["x", "y", "z"]
    back = Contiguity.from_graph(there, units)
    assert by_name(back) == by_name(graph)
    assert back.exterior_mm.tolist() == graph.exterior_mm.tolist()
    shuffled = Contiguity.from_graph(there, units.index[::-1])
    assert by_name(shuffled) == by_name(graph)
    assert shuffled.exterior_mm.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("adjacency", "index", "message"),
    [
        ({("a", "b"): 1.0, ("b", "a"): 2.0}, ["a", "b"], "same in both directions"),
        ({("a", "b"): -1.0, ("b", "a"): -1.0}, ["a", "b"], "finite metres, 0 or more"),
        ({("a", "b"): 1.0, ("b", "a"): 1.0}, ["a", "c"], "only in the units: c"),
        ({("a", "b"): 1.0, ("b", "a"): 1.0}, ["a"], "only in the graph: b"),
        ({("a", "b"): 1.0, ("b", "a"): 1.0}, ["a", "b", "b"], "must be unique"),
    ],
)
def test_graphs_that_do_not_fit(adjacency, index, message) -> None:
    series = pd.Series(adjacency, name="weight")
    series.index.names = ["focal", "neighbor"]
    with pytest.raises(InputError, match=message):
        Contiguity.from_graph(Graph(series), pd.Index(index))


def test_graph_needs_a_unique_index() -> None:
    graph = build_contiguity(COVERAGES["pair"]().set_axis([7, 7]))
    with pytest.raises(InputError, match="unique index"):
        graph.to_graph()


def test_immutable_and_telling() -> None:
    graph = build_contiguity(COVERAGES["brick_wall"]())
    assert "16 units, 33 borders of 33.0 m, 1 component, 0 units" in repr(graph)
    with pytest.raises(dataclasses.FrozenInstanceError):
        graph.indptr = graph.indices  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        graph.lengths_mm[0] = 1


def test_arrays_must_fit_together() -> None:
    graph = build_contiguity(COVERAGES["pair"]())
    with pytest.raises(ValueError, match="3 units need 4 row starts"):
        dataclasses.replace(graph, index=pd.RangeIndex(3))
    with pytest.raises(ValueError, match="as many lengths"):
        dataclasses.replace(graph, lengths_mm=np.array([1]))


def test_empty_frame() -> None:
    graph = build_contiguity(COVERAGES["pair"]().iloc[:0])
    assert (graph.n, graph.n_edges, len(graph.components())) == (0, 0, 0)
    assert "0 units, 0 borders" in repr(graph)


# ---- what is refused


@pytest.mark.parametrize(
    ("crs", "message"),
    [
        (None, "set_crs"),
        ("EPSG:4490", "not a projected CRS in metres"),
        ("EPSG:2249", "not a projected CRS in metres"),
    ],
)
def test_crs_must_measure_in_metres(crs, message) -> None:
    units = COVERAGES["pair"]().set_crs(crs, allow_override=True)
    with pytest.raises(CRSError, match=message):
        build_contiguity(units)


def test_metric_crs() -> None:
    units = COVERAGES["pair"]()
    assert is_metric(units.crs)
    assert is_metric(units.set_crs("EPSG:7405", allow_override=True).crs)  # with heights
    assert not is_metric(units.set_crs("EPSG:4326", allow_override=True).crs)


def test_geometries_that_have_no_border() -> None:
    shapes = [None, shapely.Polygon(), shapely.Point(0, 0), box(0, 0, np.inf, 1), box(0, 0, 1, 1)]
    with pytest.raises(InputError) as caught:
        build_contiguity(frame(shapes, index=list("abcde")))
    found = {problem.kind: problem.examples for problem in caught.value.problems}
    assert found == {
        "no_geometry": ("unit a", "unit b"),
        "not_polygon": ("unit c",),
        "not_finite": ("unit d",),
    }


@pytest.mark.parametrize("tolerance", [0, -1, 1e-9, float("nan"), float("inf")])
def test_tolerance_must_be_a_length(tolerance: float) -> None:
    with pytest.raises(InputError, match="tolerance must be at least"):
        build_contiguity(COVERAGES["pair"](), tolerance=tolerance)


# ---- places that almost fit


def test_misaligned_places() -> None:
    shapes = np.array([box(0, 0, 1, 2), box(1.0004, 0, 2, 1), box(1, 1, 2, 2), box(5, 5, 6, 6)])
    found = find_misaligned(shapes)
    assert found.near_xy.tolist() == [[[1.0, 0.0], [1.0004, 0.0]], [[1.0, 1.0], [1.0004, 1.0]]]
    assert found.near_units.tolist() == [[0, 1], [2, 1]]
    assert found.near_gap == pytest.approx([0.0004, 0.0004])
    assert found.junction_xy.tolist() == [[1.0, 1.0], [1.0004, 1.0]]
    assert found.junction_units.tolist() == [[0, 2], [0, 1]]
    assert repr(found) == "<Misaligned: 2 near-miss vertices, 2 T-junctions>"


@pytest.mark.parametrize("name", COVERAGES)
def test_the_zoo_has_junctions_where_it_says(name: str) -> None:
    found = find_misaligned(COVERAGES[name]().geometry.to_numpy())
    assert found.n_near == 0
    expected = "t_junction" in name or name in ("brick_wall", "self_touching")
    assert (found.n_junctions > 0) == expected


@pytest.mark.parametrize("name", COVERAGES)
def test_misaligned_survives_hash_collisions(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from gridpart._geometry import align as _align

    shapes = COVERAGES[name]().geometry.to_numpy()
    expected = find_misaligned(shapes)
    monkeypatch.setattr(_align, "hash_points", lambda x, _: (x & 1).view(np.uint64))
    found = find_misaligned(shapes)
    assert found.junction_xy.tolist() == expected.junction_xy.tolist()


def test_multipolygons_of_corners_there_and_back() -> None:
    # of one part and many, with holes, numbers with gaps: what shapely's ragged arrays hold
    square, holed = box(0, 0, 1, 1), box(3, 0, 6, 3).difference(box(4, 1, 5, 2))
    several = MultiPolygon([holed, *(box(i, 9, i + 1, 10) for i in range(0, 20, 2))])
    shapes = [MultiPolygon([square]), several]
    _, xy, offsets = shapely.to_ragged_array(shapes)
    ring, part, unit = (3 * np.repeat(np.arange(len(at) - 1), np.diff(at)) for at in offsets)
    for made, shape in zip(align.multipolygons(xy, ring, part, unit), shapes, strict=True):
        assert shapely.equals_exact(made, shape)
