"""What keeps a city of a million units lean gives what the plain way gives."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from geopandas.testing import assert_geodataframe_equal
from zoo import lattice

import gridpart as gp
from gridpart import _io
from gridpart._geometry import segments
from gridpart._geometry.segments import corners_of
from gridpart.coverage.texts import Names, Texts, as_text

RING = shapely.box(0, 0, 9, 9).difference(shapely.box(3, 3, 6, 6))
AWKWARD = {
    "polygons": [shapely.box(0, 0, 1, 1), shapely.Point(5, 5).buffer(1)],
    "holes": [shapely.box(0, 0, 1, 1), RING, shapely.box(3, 3, 6, 6)],
    "parts": [shapely.MultiPolygon([RING, shapely.box(20, 0, 21, 1)]), shapely.box(9, 0, 10, 1)],
    "all parts": [shapely.MultiPolygon([shapely.box(0, 0, 1, 1)]), shapely.MultiPolygon([RING])],
    "heights": [shapely.force_3d(RING, 7.0), shapely.box(0, 0, 1, 1)],
    "nothing": [],
}


@pytest.mark.parametrize("name", AWKWARD)
def test_corners_are_those_of_rings_cut_out_one_by_one(name):
    shapes = np.array(AWKWARD[name], dtype=object)
    corners = corners_of(shapes)
    parts, unit = shapely.get_parts(shapes, return_index=True)
    rings, part = shapely.get_rings(parts, return_index=True)
    xy, ring = shapely.get_coordinates(rings, return_index=True)
    np.testing.assert_array_equal(corners.xy, xy)
    for found, expected in zip(corners[1:], (ring, part, unit), strict=True):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(corners.unit, corners.unit_at(np.arange(len(xy))))


def test_borders_over_many_blocks_are_those_of_a_lattice():
    side = 75
    units = lattice(side, side, bends=2)
    assert shapely.get_num_coordinates(units.geometry.to_numpy()).sum() > 2 * segments.BLOCK
    graph = gp.build_contiguity(units)
    place = np.arange(side * side).reshape(side, side)
    pairs = np.concatenate([
        np.column_stack([place[:, :-1].ravel(), place[:, 1:].ravel()]),
        np.column_stack([place[:-1].ravel(), place[1:].ravel()]),
    ])  # fmt: skip
    expected = {frozenset(pair) for pair in pairs.tolist()}
    assert {frozenset(pair) for pair in zip(graph.rows, graph.indices, strict=True)} == expected
    moved = units.set_geometry(units.translate(-5e5, 3e6))
    order = np.random.default_rng(0).permutation(len(units))
    again = gp.build_contiguity(moved.iloc[order])
    assert again.n_edges == graph.n_edges
    assert abs(int(again.lengths_mm.sum()) - int(graph.lengths_mm.sum())) <= graph.n_edges


COLUMNS = {
    "texts": pd.Series(["b", None, "a ", "b", ""]),
    "objects": pd.Series([1, True, 1.0, "1", None, np.nan], dtype=object),
    "numbers": pd.Series([3.0, np.nan, 2.5, 3.0]),
    "whole": pd.Series([7, 7, 0]),
    "nullable": pd.Series([1, None, 1], dtype="Int64"),
    "strings": pd.Series(["x", None, " x"], dtype="string"),
    "categories": pd.Series(["k", None, "k"], dtype="category"),
    "truth": pd.Series([True, False, True]),
    "none": pd.Series([], dtype=object),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_texts_read_as_every_value_would_by_itself(name):
    column = COLUMNS[name]
    expected = [as_text(value) for value in column]
    texts, names = Texts.of(column), Names(column)
    assert [texts[row] for row in range(len(texts))] == expected
    assert [names[row] for row in range(len(names))] == expected
    assert texts.names == sorted(set(texts.names))
    assert all(texts.names[texts.code(text)] == text for text in expected)
    assert texts.code("no such text") == -1


def test_texts_are_counted_by_group():
    random = np.random.default_rng(3)
    column = pd.Series(random.choice(["", "a", "b", "c"], 200))
    groups = random.integers(-1, 5, 200)
    table = pd.DataFrame({"group": groups, "text": column})
    table = table[(table["group"] >= 0) & (table["text"] != "")]
    expected = table.groupby(["group", "text"]).size()
    texts = Texts.of(column)
    group, code, count = texts.counts(groups)
    assert list(zip(group, (texts.names[c] for c in code), count, strict=True)) == [
        (*key, size) for key, size in expected.items()
    ]


@pytest.mark.parametrize("parts", [False, True])
@pytest.mark.parametrize("remark", [[None] * 10, ["x", None] * 5, [1, "x"] * 5])
def test_portions_make_the_same_layer(tmp_path, monkeypatch, parts, remark):
    shapes = [shapely.box(i, 0, i + 1, 1) for i in range(10)]
    if parts:
        shapes[7] = shapely.MultiPolygon([shapes[7], shapely.box(0, 5, 1, 6)])
    columns = {"name": list("abcdefghij"), "remark": pd.Series(remark, dtype=object)}
    frame = gpd.GeoDataFrame(columns, geometry=shapes, crs=4547)
    plain = frame.drop(columns="geometry")
    whole, portions = tmp_path / "whole.gpkg", tmp_path / "portions.gpkg"
    _io.write_layers(whole, {"units": frame, "facts": plain})
    monkeypatch.setattr(_io, "PORTION", 3)
    _io.write_layers(portions, {"units": frame, "facts": plain})
    assert_geodataframe_equal(
        _io.read_vector(portions, layer="units"), _io.read_vector(whole, layer="units")
    )
    pd.testing.assert_frame_equal(
        _io.read_attributes(portions, layer="facts"), _io.read_attributes(whole, layer="facts")
    )


@pytest.fixture(scope="module")
def plan():
    cells = [shapely.box(100 * (i % 6), 100 * (i // 6), 100 * (i % 6 + 1), 100 * (i // 6 + 1))
             for i in range(36)]  # fmt: skip
    units = gpd.GeoDataFrame(
        {"households": 50, "parent": ["420583001001"] * 18 + ["420583001002"] * 18},
        geometry=cells,
        crs="EPSG:4547",
    )
    return gp.partition(units, within="parent", effort="fast")


def test_coded_grids_are_those_that_would_be_dissolved_anew(plan):
    coded = gp.assign_codes(plan, parent="parent")
    assert_geodataframe_equal(coded.grids, coded.replace().grids)
    assert plan.grids["grid_code"].isna().all()


def test_an_audit_leaves_no_trace_in_the_shapes_it_was_given(plan):
    grids, units = plan.grids, plan.units
    before = [grids.copy(), units.copy()]
    shapely.prepare(grids.geometry.to_numpy()[0])
    findings = gp.audit(grids, units=units, assignment="grid", unit_within="parent")
    assert gp.audit_ok(findings)
    prepared = shapely.is_prepared(grids.geometry.to_numpy())
    assert prepared.tolist() == [True] + [False] * (len(grids) - 1)
    assert not shapely.is_prepared(units.geometry.to_numpy()).any()
    assert_geodataframe_equal(grids, before[0])
    assert_geodataframe_equal(units, before[1])
