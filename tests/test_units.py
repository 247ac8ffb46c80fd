"""Every kind of bad input is refused by name, all at once; repair cures what it says."""

from __future__ import annotations

import dataclasses
import decimal
import warnings

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from geopandas.testing import assert_geodataframe_equal
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import LineString, MultiPolygon, Point, Polygon, box
from zoo import COVERAGES, brick_wall, coverages, frame, lattice

from gridpart.contiguity import build_contiguity, find_misaligned
from gridpart.errors import CRSError, GridpartWarning, InputError
from gridpart.units import check_units, describe_units, read_units, repair_units
from gridpart.units.repair import enclosed_gaps, overlapping_pairs

YAMAGUCHI = "yamaguchi_basic_units_2020/yamaguchi_r2kb35203.gpkg"
CAMBRIDGE = "cambridge_plans_with_errors/cambridge.gpkg"
BOWTIE = Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])


def row(count: int = 4, **columns) -> gpd.GeoDataFrame:
    return frame([box(x, 0, x + 1, 1) for x in range(count)]).assign(**columns)


def problems(units: gpd.GeoDataFrame, **options) -> dict[str, tuple[str, ...]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GridpartWarning)
        with pytest.raises(InputError) as caught:
            check_units(units, **options)
    return {problem.kind: problem.examples for problem in caught.value.problems}


def assert_exact_coverage(units: gpd.GeoDataFrame) -> None:
    shapes = units.geometry.to_numpy()
    assert shapely.is_valid(shapes).all()
    assert shapely.coverage_is_valid(shapes)
    found = find_misaligned(shapes)
    assert (found.n_near, found.n_junctions) == (0, 0)


def checked(units: gpd.GeoDataFrame, **options) -> gpd.GeoDataFrame:
    """Check; T-junctions may be mended on the way."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "[0-9]+ T-junctions mended", GridpartWarning)
        return check_units(units, **options)


# ---- what passes


@pytest.mark.parametrize("name", COVERAGES)
def test_the_zoo_passes_and_fits_vertex_by_vertex(name: str) -> None:
    units = COVERAGES[name]()
    before = units.copy(deep=True)
    result = checked(units)
    assert_geodataframe_equal(units, before)
    pd.testing.assert_index_equal(result.index, units.index)
    assert list(result.columns) == list(units.columns)
    assert result.active_geometry_name == units.active_geometry_name
    assert result.crs == units.crs
    assert result["households"].dtype == np.int64
    assert result["households"].tolist() == units["households"].tolist()
    assert shapely.equals(result.geometry.to_numpy(), units.geometry.to_numpy()).all()
    assert (result.geom_type == units.geom_type).all()
    if name != "self_touching":  # shapely does not want the contact of a hole with its shell noded
        assert_exact_coverage(result)


@given(units=coverages())
def test_generated_coverages_pass_and_dissolve_exactly(units: gpd.GeoDataFrame) -> None:
    result = checked(units)
    shapes = result.geometry.to_numpy()
    assert find_misaligned(shapes).n_near == 0
    united = shapely.coverage_union_all(shapes)
    assert united.area == pytest.approx(units.geometry.area.sum())
    assert shapely.equals(united, shapely.union_all(units.geometry.to_numpy()))


@pytest.mark.parametrize(
    "values",
    [
        np.array([3.0, 0.0, 5.0, 7.0]),
        np.array([3, 0, 5, 7], dtype="uint8"),
        pd.array([3, 0, 5, 7], dtype="Int64"),
        pd.array([3.0, 0.0, 5.0, 7.0], dtype="Float64"),
        np.array([3, 0.0, decimal.Decimal(5), np.int16(7)], dtype=object),
    ],
)
def test_whole_numbers_of_any_type(values) -> None:
    result = check_units(row(households=values))
    assert result["households"].tolist() == [3, 0, 5, 7]
    assert result["households"].dtype == np.int64


def test_named_columns_and_communities() -> None:
    units = row(hh=[1, 2, 3, 4], name=list("abcd"), village=["x", "x", "y", "y"])
    assert len(check_units(units, households="hh", id="name", within="village")) == 4


# ---- households


@pytest.mark.parametrize(
    ("values", "kind", "example"),
    [
        ([1, np.nan, 3, 4], "missing_households", "unit 1: nan"),
        ([1, None, 3, 4], "missing_households", "unit 1: nan"),
        (pd.array([1, None, 3, 4], dtype="Int64"), "missing_households", "unit 1: <NA>"),
        ([1, -2, 3, 4], "negative_households", "unit 1: -2"),
        ([1, 2.5, 3, 4], "fractional_households", "unit 1: 2.5"),
        ([1, np.inf, 3, 4], "infinite_households", "unit 1: inf"),
        ([1, -np.inf, 3, 4], "infinite_households", "unit 1: -inf"),
        ([1, 10**12, 3, 4], "huge_households", "unit 1: 1000000000000"),
        (np.array([1, 10**400, 3, 4], dtype=object), "huge_households", "unit 1: 1" + "0" * 400),
        ([1, "20", 3, 4], "text_households", "unit 1: '20'"),
        (["1", "20", "3", "x"], "text_households", "unit 0: '1'"),
        ([True, False, True, True], "boolean_households", "unit 0: True"),
        (np.array([1, [2], 3, 4], dtype=object), "not_a_number", "unit 1: [2]"),
        (np.array([1, 2j, 3, 4], dtype=object), "not_a_number", "unit 1: 2j"),
        (pd.date_range("2020", periods=4), "not_a_number", "unit 0: 2020-01-01 00:00:00"),
    ],
)
def test_bad_households(values, kind: str, example: str) -> None:
    found = problems(row(households=values))
    assert found.keys() == {kind}
    assert found[kind][0] == example


def test_text_says_how_to_convert() -> None:
    with pytest.raises(InputError, match=r"holds text; convert it with pd\.to_numeric"):
        check_units(row(households=["1", "2", "3", "4"]))


def test_five_examples_and_the_rest_counted() -> None:
    with pytest.raises(InputError) as caught:
        check_units(row(60, households=-1))
    text = str(caught.value)
    assert "unit 4: -1" in text
    assert "unit 5: -1" not in text
    assert "and 55 more" in text


# ---- columns, ids, communities


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"households": "HOUSEHOLDS"}, "did you mean 'households'?"),
        ({"households": "housholds"}, "did you mean 'households'?"),
        ({"within": "vilage"}, "no column 'vilage' for the communities; did you mean 'village'?"),
        ({"id": "zzz"}, "no column 'zzz' for the ids; the columns are: households, geometry"),
    ],
)
def test_missing_column_and_the_nearest_name(options, message) -> None:
    with pytest.raises(InputError) as caught:
        check_units(row(village="x"), **options)
    assert message in str(caught.value)


def test_column_that_exists_twice() -> None:
    units = row()
    units = units.iloc[:, [0, 0, 1]]
    assert problems(units).keys() == {"duplicate_column"}


def test_ids() -> None:
    units = row(6, name=["a", "b", "a", None, " ", "a"])
    assert problems(units, id="name") == {
        "missing_id": ("row 3", "row 4"),
        "duplicate_id": ("a: 3 times",),
    }


def test_problems_are_named_by_the_id() -> None:
    assert problems(row(2, name=["甲", "乙"], households=[-1, 0]), id="name") == {
        "negative_households": ("unit 甲: -1",)
    }


def test_duplicate_index() -> None:
    assert problems(row().set_axis([7, 8, 8, 9])) == {"duplicate_index": ("8: 2 times",)}


def test_missing_community() -> None:
    units = row(village=["x", None, "", "y"])
    assert problems(units, within="village") == {"missing_within": ("unit 1", "unit 2")}


# ---- geometry


def test_every_bad_geometry_together_with_every_bad_value() -> None:
    with np.errstate(invalid="ignore"):
        not_a_number = Polygon([(0, 0), (np.nan, 1), (1, 1)])
    shapes = [
        None,
        Polygon(),
        Point(0, 0),
        LineString([(0, 0), (1, 1)]),
        BOWTIE,
        not_a_number,
        box(0, 0, np.inf, 1),
        box(10, 0, 11, 1),
        box(10.5, 0, 11.5, 1),
    ]
    units = frame(shapes, households=[1, 2, -3, 4, 5, 6, 7, 8, 9], index=list("abcdefghi"))
    assert problems(units, id="nme") == {
        "missing_column": (),
        "negative_households": ("unit c: -3",),
        "missing_geometry": ("unit a",),
        "empty_geometry": ("unit b",),
        "not_polygon": ("unit c: Point", "unit d: LineString"),
        "not_finite": ("unit f", "unit g"),
        "invalid_geometry": ("unit e: Self-intersection[1 1]",),
        "overlap": ("units h and i: 0.500 m2",),
    }


@pytest.mark.parametrize(
    ("shapes", "examples"),
    [
        ([box(0, 0, 2, 2), box(1, 1, 3, 3)], ("units 0 and 1: 1.000 m2",)),
        ([box(0, 0, 5, 5), box(1, 1, 2, 2)], ("units 0 and 1: 1.000 m2",)),
        ([box(0, 0, 5, 5), box(0, 0, 5, 5)], ("units 0 and 1: 25.000 m2",)),
        ([box(0, 0, 5, 5), box(5, 0, 9, 5), box(4, 0, 5, 5)], ("units 0 and 2: 5.000 m2",)),
        ([box(0, 0, 100, 1), box(0, 0.99, 100, 2)], ("units 0 and 1: 1.000 m2",)),
        (
            [box(0, 0, 2, 2), box(1, 0, 3, 2), box(1.5, 0, 4, 2)],
            ("units 0 and 1: 2.000 m2", "units 0 and 2: 1.000 m2", "units 1 and 2: 3.000 m2"),
        ),
    ],
)
def test_overlaps_in_square_metres(shapes, examples) -> None:
    units = frame(shapes)
    assert problems(units) == {"overlap": examples}
    with pytest.warns(GridpartWarning) as caught:
        result = check_units(units, overlaps="warn")
    assert examples[0] in "".join(str(warning.message) for warning in caught)
    assert len(result) == len(shapes)


def test_near_miss_points_to_repair() -> None:
    units = frame([box(0, 0, 1, 1), box(1 + 1e-7, 0, 2, 1)])
    with pytest.raises(InputError, match=r"repair_units \(--repair\)") as caught:
        check_units(units)
    (problem,) = caught.value.problems
    assert problem.kind == "misaligned"
    assert problem.examples[0] == "units 0 and 1: 1e-07 m apart"
    assert problem.count == 2


def test_gap_wider_than_the_tolerance_is_no_fault() -> None:
    assert len(check_units(frame([box(0, 0, 1, 1), box(1.01, 0, 2, 1)]))) == 2


def test_t_junctions_are_mended_and_said() -> None:
    units = brick_wall()
    assert not shapely.coverage_is_valid(units.geometry.to_numpy())
    with pytest.warns(GridpartWarning, match="T-junctions mended"):
        result = check_units(units)
    assert_exact_coverage(result)
    assert check_units(result).geom_equals_exact(result, 0).all()


def test_off_line_t_junction_moves_the_edge() -> None:
    units = frame([box(0, 0, 1, 2), Polygon([(1, 0), (2, 0), (2, 1), (1.0005, 1)]),
                   Polygon([(1.0005, 1), (2, 1), (2, 2), (1, 2)])])  # fmt: skip
    result = checked(units)
    assert_exact_coverage(result)
    assert result.geometry[0].area == pytest.approx(2.0005)


# ---- CRS


def test_missing_crs_is_told_with_all_the_rest() -> None:
    units = row(households=[1, 2, 3, -4]).set_crs(None, allow_override=True)
    with pytest.raises(CRSError, match="set_crs") as caught:
        check_units(units)
    assert "unit 3: -4" in str(caught.value)


def test_degrees_are_projected_and_said() -> None:
    units = lattice(4, 3).to_crs("EPSG:4490")
    with pytest.warns(GridpartWarning, match=r"projected from .*2000.*\(degree\) to WGS 84 / UTM"):
        result = check_units(units)
    assert result.crs.to_epsg() == 32650
    with pytest.warns(GridpartWarning, match="EPSG:4547"):
        result = check_units(units, crs="EPSG:4547")
    assert result.geometry.area.sum() == pytest.approx(lattice(4, 3).geometry.area.sum(), rel=1e-6)


def test_feet_are_projected() -> None:
    units = lattice(3, 3, origin=(230_000, 900_000)).set_crs("EPSG:26986", allow_override=True)
    with pytest.warns(GridpartWarning, match="US survey foot"):
        result = check_units(units.to_crs("EPSG:2249"), crs="EPSG:26986")
    assert result.geometry.area.sum() == pytest.approx(units.geometry.area.sum(), rel=1e-9)


def test_t_junction_of_a_long_edge_in_degrees() -> None:
    """Projected, the middle of a straight edge of 0.2 degrees lies metres off the line."""
    low = box(114, 30, 114.2, 30.1)
    units = frame([low, box(114, 30.1, 114.1, 30.2), box(114.1, 30.1, 114.2, 30.2)])
    units = units.set_crs("EPSG:4490", allow_override=True)
    with pytest.warns(GridpartWarning) as caught:
        result = check_units(units)
    assert any("1 T-junctions mended" in str(warning.message) for warning in caught)
    assert_exact_coverage(result)
    assert build_contiguity(result).n_edges == 3


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:2249", "nonsense"])
def test_crs_to_measure_in_must_be_metric(crs: str) -> None:
    with pytest.raises(CRSError, match=r"not a projected CRS in metres|no CRS that can be"):
        check_units(row(), crs=crs)


def test_metres_called_degrees() -> None:
    units = lattice(2, 2).set_crs("EPSG:4326", allow_override=True)
    with pytest.raises(CRSError, match="is the CRS right"):
        check_units(units)


def test_outside_the_crs() -> None:
    units = row().set_geometry([box(x + 200, 95, x + 201, 96) for x in range(4)], crs="EPSG:4326")
    assert problems(units, crs="EPSG:4547").keys() == {"outside_crs"}


def test_heights_are_dropped_and_said() -> None:
    units = row()
    high = units.set_geometry(shapely.force_3d(units.geometry.to_numpy(), 5.0), crs=units.crs)
    with pytest.warns(GridpartWarning, match="heights"):
        result = check_units(high)
    assert not result.has_z.any()
    assert high.has_z.all()


# ---- the frame itself


def test_what_is_no_frame_of_units() -> None:
    with pytest.raises(InputError, match="GeoDataFrame, got DataFrame"):
        check_units(pd.DataFrame({"households": [1]}))
    with pytest.raises(InputError, match="no rows"):
        check_units(row().iloc[:0])
    with pytest.raises(InputError, match="no geometry column"):
        check_units(gpd.GeoDataFrame({"households": [1]}))
    with pytest.raises(InputError, match="overlaps must be"):
        check_units(row(), overlaps="ignore")


# ---- repair


def test_repair_of_nearly_equal_values_on_two_sides_of_a_rounding_boundary() -> None:
    middle = 1.0005
    units = frame([box(0, 0, middle - 1e-9, 1), box(middle + 1e-9, 0, 2, 1)])
    result, repair = repair_units(units)
    assert repair.valid
    assert repair.components == 1
    assert_exact_coverage(result)


def shaken(units: gpd.GeoDataFrame, size: float, seed: int) -> gpd.GeoDataFrame:
    """Move every vertex of every polygon by itself, by at most half of `size` on each axis."""
    rng = np.random.default_rng(seed)

    def ring(line) -> np.ndarray:
        xy = shapely.get_coordinates(line)[:-1]
        return xy + rng.uniform(-size / 2, size / 2, xy.shape)

    def polygon(shape) -> Polygon:
        return Polygon(ring(shape.exterior), [ring(hole) for hole in shape.interiors])

    shapes = [
        MultiPolygon([polygon(part) for part in shapely.get_parts(s)]) for s in units.geometry
    ]
    return units.set_geometry(gpd.GeoSeries(shapes, index=units.index, crs=units.crs))


@settings(max_examples=30)
@given(units=coverages(), seed=st.integers(0, 99), size=st.sampled_from([1e-9, 1e-5, 2e-4, 4e-4]))
def test_repair_cures_misalignment(units: gpd.GeoDataFrame, seed: int, size: float) -> None:
    """Every polygon gets vertices of its own; the graph of the clean coverage must come back."""
    noisy = shaken(units, size, seed)
    result, repair = repair_units(noisy)
    assert repair.valid
    assert repair.overlaps == ()
    assert_exact_coverage(result)
    clean, cured = build_contiguity(units), build_contiguity(result)
    assert cured.indices.tolist() == clean.indices.tolist()
    assert np.abs(cured.lengths_mm - clean.lengths_mm).max(initial=0) <= 60
    assert check_units(result).geom_equals_exact(result, 0).all()
    again, nothing = repair_units(result)
    assert again.geom_equals_exact(result, 0).all()
    assert (nothing.vertices_moved, nothing.junctions_mended, nothing.made_valid) == (0, 0, 0)
    shuffled, same = repair_units(noisy.sample(frac=1, random_state=seed))
    assert dataclasses.asdict(same) == dataclasses.asdict(repair)
    assert shuffled.loc[result.index].geom_equals_exact(result, 0).all()


def test_repair_leaves_the_input_and_its_index_alone() -> None:
    units = frame([box(0, 0, 1, 1), box(1 + 1e-7, 0, 2, 1)], index=["x", "y"], geometry="shape")
    before = units.copy(deep=True)
    result, _ = repair_units(units)
    assert_geodataframe_equal(units, before)
    assert result.active_geometry_name == "shape"
    assert list(result.columns) == list(units.columns)
    pd.testing.assert_index_equal(result.index, units.index)


def test_repair_reports_what_it_does_not_cure() -> None:
    units = frame(
        [box(0, 0, 2, 1), box(1.5, 0, 4, 1), box(0, 2, 4, 3), box(0, 1, 1, 2), box(3, 1, 4, 2)]
    )
    result, repair = repair_units(units)
    assert not repair.valid
    assert repair.overlaps == ((0, 1, pytest.approx(0.5)),)
    assert repair.overlap_m2 == pytest.approx(0.5)
    assert repair.gaps == 1
    assert repair.gap_m2 == pytest.approx(2)
    assert "1 overlaps (0.500 m2), 1 gaps (2.000 m2), 1 components; not a valid" in repr(repair)
    assert problems(result).keys() >= {"overlap"}
    with pytest.warns(GridpartWarning, match="units overlap"):
        check_units(result, overlaps="warn")


def test_repair_makes_polygons_valid() -> None:
    units = frame([BOWTIE, box(2, 0, 3, 2)])
    result, repair = repair_units(units)
    assert repair.made_valid == 1
    assert result.geometry[0].area == pytest.approx(2)
    assert isinstance(result.geometry[0], MultiPolygon)
    assert result.geometry.is_valid.all()


def test_repair_drops_what_collapses() -> None:
    sliver = Polygon(box(0, 0, 2, 2).exterior, [box(0.5, 0.5, 1.5, 0.5002).exterior])
    parts = MultiPolygon([box(3, 0, 4, 1), box(5, 5, 5.0002, 5.0002)])
    result, repair = repair_units(frame([sliver, parts]))
    assert repair.rings_dropped + repair.made_valid >= 2
    assert result.geometry[0].equals(box(0, 0, 2, 2))
    assert result.geometry[1].equals(box(3, 0, 4, 1))


@pytest.mark.parametrize(
    "tiny", [box(1, 0, 1.0002, 0.0002), box(1, 0, 1.0002, 1), Polygon([(1, 0), (1, 1), (1, 0)])]
)
def test_repair_never_loses_a_unit(tiny) -> None:
    with pytest.raises(InputError, match="would vanish") as caught:
        repair_units(frame([box(0, 0, 1, 1), tiny], index=["big", "tiny"]))
    assert caught.value.problems[0].examples == ("unit tiny",)


def test_repair_refuses_what_has_no_shape() -> None:
    with pytest.raises(InputError) as caught:
        repair_units(frame([None, Point(0, 0), box(0, 0, np.inf, 1), BOWTIE]))
    kinds = {problem.kind for problem in caught.value.problems}
    assert kinds == {"missing_geometry", "not_polygon", "not_finite"}
    with pytest.raises(CRSError, match="set_crs"):
        repair_units(row().set_crs(None, allow_override=True))


@pytest.mark.parametrize("tolerance", [0.001, 0.01, 0.1, 0.003])
def test_repair_to_another_grid(tolerance: float) -> None:
    result, repair = repair_units(lattice(5, 4), tolerance=tolerance)
    assert_exact_coverage(result)
    xy = shapely.get_coordinates(result.geometry.to_numpy()) / tolerance
    assert np.abs(xy - np.rint(xy)).max() < 1e-4
    assert 0 < repair.largest_move_m <= 3 * tolerance


def test_gaps_hold_islands() -> None:
    shapes = np.array([box(0, 0, 9, 9).difference(box(1, 1, 8, 8)), box(3, 3, 4, 4)])
    assert shapely.area(enclosed_gaps(shapes, matched=True)).tolist() == [48.0]
    assert len(enclosed_gaps(np.array([box(0, 0, 1, 1)]), matched=True)) == 0


def test_width_of_an_overlap_ignores_the_border_beside_it() -> None:
    one = box(0, 0, 1000, 1)
    other = Polygon([(0, 1), (990, 1), (990, 0.99), (1000, 0.99), (1000, 2), (0, 2)])
    pairs, area, width = overlapping_pairs(np.array([other, one]), np.array([0, 1]))
    assert pairs.tolist() == [[0, 1]]
    assert area == pytest.approx([0.1])
    assert width == pytest.approx([0.01], rel=0.01)


# ---- real layers


@pytest.mark.slow
def test_raw_yamaguchi_becomes_one_coverage(shared_data) -> None:
    raw = read_units(shared_data(YAMAGUCHI), layer="units_raw_jgd2000")
    assert problems(raw, households="SETAI", id="unit_id").keys() == {"misaligned"}
    with pytest.warns(GridpartWarning, match="projected from JGD2000"):
        units, repair = repair_units(raw, crs="EPSG:6671")
    assert (repair.valid, repair.components, repair.overlaps, repair.gaps) == (True, 2, (), 0)
    assert repair.largest_move_m < 0.001
    assert_exact_coverage(units)
    graph = build_contiguity(units)
    assert graph.n_edges == 12154
    assert check_units(units, households="SETAI", id="unit_id")["SETAI"].sum() == 87_094


@pytest.mark.slow
def test_cambridge_layers(shared_data) -> None:
    path = shared_data(CAMBRIDGE)
    blocks = read_units(path, layer="blocks2000_pop")
    with pytest.warns(GridpartWarning, match="projected"):
        units = check_units(blocks, households="POP_LAB")
    assert_exact_coverage(units)
    assert units["POP_LAB"].sum() == 101_355
    wards = read_units(path, layer="wards_precincts_2010").assign(households=1)
    assert problems(wards, crs="EPSG:26986").keys() == {"misaligned", "overlap"}
    with pytest.warns(GridpartWarning, match="projected"):
        wards, repair = repair_units(wards, crs="EPSG:26986")
    assert len(repair.overlaps) == 8
    assert repair.overlap_m2 == pytest.approx(522.4, abs=1)
    with pytest.warns(GridpartWarning, match="units overlap"):
        check_units(wards, overlaps="warn")


# ---- reading and describing


def test_read_units_prefers_the_layer_of_that_name(tmp_path) -> None:
    path = tmp_path / "plan.gpkg"
    row(2).to_file(path, layer="grids", driver="GPKG")
    row(3).to_file(path, layer="units", driver="GPKG")
    assert len(read_units(path)) == 3
    assert len(read_units(path, layer="grids")) == 2


@pytest.mark.parametrize("suffix", ["gpkg", "geojson", "shp", "parquet"])
def test_read_units_of_any_format(tmp_path, suffix: str) -> None:
    path = tmp_path / f"units.{suffix}"
    units = row().set_crs("EPSG:32650", allow_override=True)
    if suffix == "parquet":
        units.to_parquet(path)
    elif suffix == "shp":
        units.rename(columns={"households": "hh"}).to_file(path)
    else:
        units.to_file(path)
    read = read_units(path)
    assert len(read) == 4
    assert check_units(read, households="hh" if suffix == "shp" else "households").crs is not None


def test_read_units_must_choose(tmp_path) -> None:
    path = tmp_path / "two.gpkg"
    row(2).to_file(path, layer="a", driver="GPKG")
    row(3).to_file(path, layer="b", driver="GPKG")
    with pytest.raises(InputError, match="choose a layer; the file has: a, b"):
        read_units(path)


def test_describe_by_community() -> None:
    units = row(households=[350, 0, 100, 150], village=["b", "b", "a", "a"])
    table = describe_units(units, within="village", low=200, high=300)
    assert table.index.tolist() == ["a", "b"]
    assert table.index.name == "village"
    assert table.loc["b"].to_dict() == {
        "units": 2,
        "households": 350,
        "empty_units": 1,
        "largest_unit": 350,
        "area_m2": 2.0,
        "fewest_grids": 2,
        "most_grids": 1,
    }
    assert "fewest_grids" not in describe_units(units).columns


@pytest.mark.parametrize(
    "band", [{"low": 5}, {"high": 5}, {"low": 5, "high": 4}, {"low": 0, "high": 4}]
)
def test_describe_wants_a_band(band) -> None:
    with pytest.raises(InputError, match="the band must be"):
        describe_units(row(), **band)
