"""Plans: every unit once, every grid connected, sums conserved, the same in any order."""

from __future__ import annotations

import itertools
import re
import warnings

import geopandas as gpd
import networkx as nx
import numpy as np
import pandas as pd
import pytest
import shapely
import zoo
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import box

import gridpart as gp
from gridpart.engine import Effort
from gridpart.rules import Rules

QUICK = Effort(sweeps=150, starts=1)


def row_of(counts, **columns) -> gpd.GeoDataFrame:
    """Cells of 100 m side in a row."""
    cells = [box(100 * i, 0, 100 * i + 100, 100) for i in range(len(counts))]
    return gpd.GeoDataFrame({"households": counts, **columns}, geometry=cells, crs="EPSG:4547")


def own_graph(units: gpd.GeoDataFrame) -> nx.Graph:
    """Who shares a border, by intersecting polygons: not the library's way."""
    graph = nx.Graph()
    graph.add_nodes_from(range(len(units)))
    shapes = units.geometry.to_numpy()
    for a, b in zip(*units.sindex.query(shapes, predicate="intersects"), strict=True):
        if a < b:
            shared = shapely.intersection(shapes[a], shapes[b], grid_size=1e-6).length
            if shared > 1e-3:
                graph.add_edge(int(a), int(b))
    return graph


def assert_plan(plan: gp.Plan, units: gpd.GeoDataFrame) -> None:
    """What every plan promises, checked by other means than the library's."""
    households, within = plan.rules.households, plan.rules.within
    grids, made = plan.grids, plan.units
    pd.testing.assert_index_equal(made.index, units.index)
    assert made["grid"].notna().all()
    assert grids["grid"].is_unique
    assert set(made["grid"]) == set(grids["grid"])
    assert grids["households"].sum() == units[households].sum()
    assert grids["n_units"].sum() == len(units)
    np.testing.assert_allclose(grids["area_m2"].sum(), made.geometry.area.sum(), rtol=1e-9)
    np.testing.assert_allclose(grids.geometry.area, grids["area_m2"])
    sums = made.groupby("grid")[households].sum()
    assert (sums.reindex(grids["grid"]).to_numpy() == grids["households"]).all()
    in_band = grids["households"].between(plan.rules.low, plan.rules.high)
    assert (in_band == grids["in_band"]).all()
    assert set(grids["grid"][~in_band]) <= set(plan.exceptions["grid"])
    graph, labels = own_graph(made), made["grid"].to_numpy()
    attached = set(plan.exceptions.query("reason == 'enclave_attached'")["grid"])
    for grid in grids["grid"]:
        members = np.flatnonzero(labels == grid)
        if grid not in attached and made[households].to_numpy()[members].sum():
            assert nx.is_connected(graph.subgraph(members.tolist())), grid
    if within is not None:
        assert not made[["grid", within]].drop_duplicates()["grid"].duplicated().any()


@given(zoo.coverages(), st.data())
def test_promises_hold_on_generated_coverages(units, data):
    n = len(units)
    counts = data.draw(st.lists(st.integers(0, 90), min_size=n, max_size=n))
    quarter = data.draw(st.lists(st.sampled_from("ab"), min_size=n, max_size=n))
    units = units.assign(households=counts, quarter=quarter)
    low = data.draw(st.integers(20, 120))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gp.GridpartWarning)  # T-junctions mended
        plan = gp.partition(units, within="quarter", low=low, high=2 * low, effort=QUICK, jobs=1)
    assert_plan(plan, units)


@pytest.mark.parametrize("name", zoo.COVERAGES)
def test_promises_hold_in_the_zoo(name):
    units = zoo.COVERAGES[name]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gp.GridpartWarning)
        plan = gp.partition(units, low=20, high=45, effort=QUICK)
    assert_plan(plan, units)


@settings(max_examples=15)
@given(st.integers(0, 1000), st.integers(1, 4), st.randoms(use_true_random=False))
def test_same_plan_in_any_order_and_with_any_jobs(seed, jobs, random):
    units = zoo.lattice(9, 8, seed=seed)
    units["households"] = np.random.default_rng(seed).integers(0, 60, len(units))
    units["quarter"] = np.where(units.geometry.centroid.x > 500_220, "east", "west")
    options = {"within": "quarter", "low": 100, "high": 220, "effort": QUICK}
    plan = gp.partition(units, jobs=1, **options)
    rows = list(units.index)
    random.shuffle(rows)
    shuffled = gp.partition(units.loc[rows], jobs=jobs, **options)
    pd.testing.assert_series_equal(shuffled.units["grid"].loc[units.index], plan.units["grid"])
    # other communities in the file change nothing
    west = units[units["quarter"] == "west"]
    alone = gp.partition(west, **options)
    pd.testing.assert_series_equal(alone.units["grid"], plan.units["grid"].loc[west.index])


def test_index_and_geometry_name_are_the_callers():
    units = row_of([100] * 6).rename_geometry("shape").set_index(pd.Index(list("fabdce"), name="k"))
    before = units.copy(deep=True)
    plan = gp.partition(units, low=200, high=300, target=300, effort=QUICK)
    pd.testing.assert_frame_equal(units, before)
    assert plan.units.geometry.name == "shape"
    assert plan.units["grid"].tolist() == ["G001"] * 3 + ["G002"] * 3
    assert_plan(plan, units)


def test_a_tower_is_a_grid_of_its_own():
    plan = gp.partition(row_of([100, 100, 700, 100, 100]), low=200, high=300, effort=QUICK)
    assert plan.grids["households"].tolist() == [200, 700, 200]
    (row,) = plan.exceptions.itertuples()
    assert (row.reason, row.households, row.proven) == ("unit_above_band", 700, True)
    assert "400 more than 300" in row.advice


def test_arithmetic_that_cannot_be_is_told():
    plan = gp.partition(row_of([175, 175]), low=200, high=300, effort=QUICK)
    (row,) = plan.exceptions.itertuples()
    assert (row.reason, row.proven) == ("no_count_fits", True)
    assert "has 350 households: too many for 1 of 200-300, too few for 2" in row.advice
    assert "high 300 → 350 (exact) or low 200 → 175 (exact)" in row.advice


def test_islets_without_households_join_their_nearest_grid():
    units = row_of([100, 100, 100, 100])
    far = row_of([0]).translate(xoff=2000).to_frame("geometry").assign(households=0)
    units = pd.concat([units, far], ignore_index=True)
    plan = gp.partition(units, low=200, high=200, effort=QUICK)
    assert plan.units["grid"].tolist() == ["G001", "G001", "G002", "G002", "G002"]
    (row,) = plan.exceptions.itertuples()
    assert (row.grid, row.reason, row.proven) == ("G002", "enclave_attached", True)
    assert row.advice.startswith("4: cut off")
    assert_plan(plan, units)


def test_islets_with_too_few_households_stay_and_are_told():
    units = row_of([100, 100])
    far = row_of([30]).translate(xoff=2000).to_frame("geometry").assign(households=30)
    plan = gp.partition(pd.concat([units, far], ignore_index=True), low=200, high=300, effort=QUICK)
    assert plan.exceptions[["households", "reason"]].to_numpy().tolist() == [
        [30, "component_below_band"]
    ]


def test_a_community_without_households_is_one_grid():
    plan = gp.partition(row_of([0, 0, 0, 250], c=list("aaab")), within="c", effort=QUICK)
    assert plan.grids["grid"].tolist() == ["a-001", "b-001"]
    assert plan.exceptions["reason"].tolist() == ["component_below_band"]


@pytest.mark.parametrize("mark", [[False, True, False, False], [None, "school", "", None]])
def test_exclusive_units_are_grids_of_their_own(mark):
    units = row_of([200, 0, 100, 100], site=pd.array(mark, "object" if None in mark else "bool"))
    plan = gp.partition(units, low=200, high=300, exclusive="site", effort=QUICK)
    assert plan.grids["kind"].tolist() == ["base", "exclusive", "base"]
    assert plan.exceptions["reason"].tolist() == ["exclusive"]
    assert_plan(plan, units)


def town(seed: int = 0) -> gpd.GeoDataFrame:
    units = zoo.lattice(14, 12, seed=seed)
    rng = np.random.default_rng(seed)
    units["households"] = rng.integers(0, 60, len(units))
    units["over65"] = rng.integers(0, 15, len(units))
    units["quarter"] = np.where(units.geometry.centroid.x > 500_400, "east", "west")
    return units


def test_number_of_grids_as_a_total_and_for_each_community():
    units = town()
    options = {"within": "quarter", "low": 100, "high": 500, "effort": QUICK}
    total = gp.partition(units, n_grids=20, **options)
    assert len(total.grids) == 20
    assert not len(total.exceptions)
    each = gp.partition(units, n_grids={"east": 5, "west": 15}, **options)
    assert each.grids["within"].value_counts().to_dict() == {"east": 5, "west": 15}
    fewest = gp.partition(units, n_grids="fewest", **options)
    most = gp.partition(units, n_grids="most", **options)
    assert len(fewest.grids) < 20 < len(most.grids)
    for plan in (total, each, fewest, most):
        assert_plan(plan, units)
        assert Rules.from_text(plan.rules.as_text()).n_grids == plan.rules.n_grids


def test_bounds_workload_and_balance():
    units = town(1)
    options = {"low": 100, "high": 400, "effort": QUICK}
    bounds = {"over65": (0, 75), "area_m2": (0, 60_000)}
    plan = gp.partition(units, bounds=bounds, **options)
    assert not len(plan.exceptions)
    sums = plan.units.groupby("grid")["over65"].sum()
    assert sums.max() <= 75
    assert plan.grids["area_m2"].max() <= 60_000 + 1
    assert Rules.from_text(plan.rules.as_text()).bounds == {k: list(v) for k, v in bounds.items()}
    long = gp.partition(units, balance=0, **options)
    even = gp.partition(units, balance=0.95, **options)
    by_age = gp.partition(units, balance=0.95, workload="over65", **options)
    assert even.grids["households"].std() < long.grids["households"].std()
    assert long.cut_length_m < even.cut_length_m
    ages = [p.units.groupby("grid")["over65"].sum().std() for p in (even, by_age)]
    assert ages[1] < ages[0]


def test_a_bound_that_a_unit_breaks_alone_is_told():
    units = row_of([100] * 4, over65=[10, 90, 10, 10])
    plan = gp.partition(units, low=100, high=300, bounds={"over65": (0, 50)}, effort=QUICK)
    (row,) = plan.exceptions.itertuples()
    assert (row.reason, row.households) == ("unit_above_band", 100)
    assert "beyond a bound by itself (over65 90, above 50)" in row.advice
    assert (row.relaxation, row.certainty) == ("over65 high 50 → 90", "exact")
    cured = gp.partition(units, low=100, high=300, bounds={"over65": (0, 90)}, effort=QUICK)
    assert cured.exceptions.empty


def test_a_sum_that_no_number_of_grids_fits_is_proven_and_cured():
    units = row_of([100] * 6, over65=[30] * 6)
    options = {"low": 200, "high": 300, "effort": QUICK}
    rows = gp.partition(units, bounds={"over65": (0, 55)}, **options).exceptions
    assert set(rows["reason"]) == {"no_count_fits"}
    assert rows["proven"].all()
    # three grids at most have 60 each
    assert set(rows["relaxation"]) == {"over65 high 55 → 60"}
    assert set(rows["certainty"]) == {"exact"}
    told = "600 households, which fit 2 to 3 grids, and 180 over65, which fit at least 4 grids"
    assert rows["advice"].str.contains(told).all()
    assert gp.partition(units, bounds={"over65": (0, 60)}, **options).exceptions.empty
    # a fixed number that households fit, but others do not
    two = gp.partition(units, n_grids=2, bounds={"over65": (0, 60)}, **options).exceptions
    assert set(two["reason"]) == {"no_count_fits"}
    assert set(two["relaxation"]) == {"over65 high 60 → 90"}
    assert two["advice"].str.contains("180 over65, which fit at least 3 grids .made 2.").all()
    six = gp.partition(units, n_grids=6, **options).exceptions
    assert six["advice"].str.contains("600 households, which fit 2 to 3 grids .made 6.").all()


def test_a_grid_that_is_too_wide_says_how_wide_grids_would_have_to_be():
    units = row_of([50] * 8)
    options = {"low": 200, "high": 400, "effort": QUICK}
    rows = gp.partition(units, max_diameter_m=250, **options).exceptions
    assert not rows.empty
    (cure,) = set(rows["relaxation"])
    assert set(rows["certainty"]) == {"found"}
    limit = float(cure.removeprefix("max_diameter_m 250 → "))
    assert gp.partition(units, max_diameter_m=limit, **options).exceptions.empty


def test_wrong_options_of_the_engine_are_told_together():
    units = row_of([100, 100], over65=[1.5, 2])
    with pytest.raises(gp.InputError) as caught:
        gp.partition(
            units, balance=2, effort="harder", n_grids="few", workload="over56",
            bounds={"over65": (5, 1)},
        )  # fmt: skip
    kinds = [problem.kind for problem in caught.value.problems]
    assert kinds == ["balance", "n_grids", "missing_column", "not_whole", "bounds", "effort"]
    assert "did you mean 'over65'" in str(caught.value)
    with pytest.raises(gp.InputError, match="names no community of the units: x"):
        gp.partition(row_of([200], c=["a"]), within="c", n_grids={"x": 1})
    with pytest.raises(gp.InputError, match="1 grids are fewer than the 2 communities"):
        gp.partition(row_of([200, 200], c=["a", "b"]), within="c", n_grids=1)


def test_names_run_in_rows_from_the_north_west():
    units = zoo.lattice(4, 4, jitter=0).assign(households=100)
    plan = gp.partition(units, low=100, high=100, effort=QUICK)
    centre = plan.grids.geometry.centroid
    order = sorted(range(16), key=lambda i: (-round(centre.y[i]), round(centre.x[i])))
    assert order == list(range(16))


def test_everything_wrong_with_the_options_is_told_together():
    units = row_of([1])
    with pytest.raises(gp.InputError) as caught:
        gp.partition(units, low=500, high=200, jobs=0, exclusive="houshold")
    kinds = [problem.kind for problem in caught.value.problems]
    assert kinds == ["band", "missing_column", "jobs"]
    with pytest.raises(gp.InputError, match=r"low must be a whole number, got 2\.5"):
        gp.partition(units, low=2.5)
    with pytest.raises(gp.InputError, match="target 900 lies outside the band 200-500"):
        gp.partition(units, target=900)
    with pytest.raises(gp.InputError, match="seed must not be negative"):
        gp.partition(units, seed=-1)


def test_old_grid_columns_are_replaced_and_it_is_said():
    units = row_of([100, 100], grid=["x", "y"])
    with pytest.warns(gp.GridpartWarning, match="column grid already"):
        plan = gp.partition(units, low=200, high=300, effort=QUICK)
    assert plan.units["grid"].tolist() == ["G001", "G001"]


# ---------------------------------------------------------------- plans


@pytest.fixture(scope="module")
def plan() -> gp.Plan:
    units = row_of([100, 100, 700, 100, 100], name=list("abcde"), ward=["012"] * 5)
    return gp.partition(units, id="name", within="ward", low=200, high=300, effort=QUICK)


def test_repr_tells(plan):
    text = repr(plan)
    assert text.startswith("<Plan: 3 grids of 5 units\n")
    assert "in band     2 of 3 (200-300)" in text
    assert "exceptions  1 (unit_above_band 1)" in text
    assert "cut length  0.2 km inside 1 communities" in text


def test_saved_plans_read_back_the_same(plan, tmp_path):
    coded = gp.assign_codes(plan, parent="012345678901")
    coded = coded.replace(provenance={**plan.provenance, "input": "x.gpkg"})
    path = tmp_path / "plan.gpkg"
    coded.save(path)
    again = gp.read_plan(path)
    assert again.rules == coded.rules
    assert again.provenance == coded.provenance
    pd.testing.assert_frame_equal(again.exceptions, coded.exceptions, check_dtype=False)
    assert again.exceptions["proven"].dtype == bool
    assert again.units["ward"].tolist() == ["012"] * 5
    for column in ("grid", "grid_code", "within", "kind", "households", "in_band"):
        assert again.grids[column].tolist() == coded.grids[column].tolist()
    layers = gpd.list_layers(path)["name"].tolist()
    assert layers == ["grids", "units", "exceptions", "provenance"]
    grids = gpd.read_file(path, layer="grids")
    assert list(grids.columns) == [
        "grid", "grid_code", "within", "kind", "households", "n_units", "area_m2", "compactness",
        "in_band", "geometry",
    ]  # fmt: skip
    assert list(tmp_path.iterdir()) == [path]


def test_compactness_is_one_for_a_circle_and_pi_quarter_for_a_square(plan):
    np.testing.assert_allclose(plan.grids["compactness"][1], np.pi / 4)


def test_files_that_are_no_plan(tmp_path):
    row_of([1]).to_file(tmp_path / "units.gpkg", layer="units")
    with pytest.raises(gp.InputError, match="not a plan; it has no layer grids, exceptions"):
        gp.read_plan(tmp_path / "units.gpkg")
    (tmp_path / "text.gpkg").write_text("hello")
    with pytest.raises(gp.InputError, match="not a vector file"):
        gp.read_plan(tmp_path / "text.gpkg")


def test_a_plan_needs_a_grid_for_every_unit(plan):
    with pytest.raises(gp.InputError, match="1 units have no grid, first 1"):
        plan.replace(units=plan.units.assign(grid=["x", None, "x", "x", "x"]))


def test_rules_as_text_and_back():
    rules = Rules(households="n", within="w", low=3, high=9, target=5, seed=2)
    assert Rules.from_text(rules.as_text()) == rules
    assert Rules.from_text({**Rules().as_text(), "input": "x"}) == Rules()


def test_cut_length_counts_every_border_once(plan):
    assert plan.cut_length_m == 200
    assert plan.inner_cut_m == 200


# ---------------------------------------------------------------- codes


def test_codes_are_unique_in_rows_and_as_promised():
    units = zoo.lattice(6, 5, jitter=0.3, seed=2).assign(households=100)
    units["parent"] = np.where(units.geometry.centroid.x > 500_150, "420583001002", "420583001001")
    plan = gp.partition(units, within="parent", low=100, high=300, effort=QUICK)
    coded = gp.assign_codes(plan, parent="parent")
    grids = coded.grids
    assert grids["grid_code"].is_unique
    assert grids["grid_code"].str.fullmatch(r"\d{15}").all()
    assert (grids["grid_code"].str[:12] == grids["within"]).all()
    pairs = coded.units[["grid", "grid_code"]].drop_duplicates()
    assert len(pairs) == len(grids)
    for _, rows in grids.groupby("within"):
        rows = rows.sort_values("grid_code")
        assert rows["grid_code"].str[12:].astype(int).tolist() == list(range(1, len(rows) + 1))
        centre, height = rows.geometry.centroid, np.sqrt(rows["area_m2"].mean())
        place = [
            (int((centre.y.max() - y) / height), x) for x, y in zip(centre.x, centre.y, strict=True)
        ]
        assert place == sorted(place)
    assert "grid_code" not in plan.units.columns


def test_serials_end_at_999():
    cells = [box(i, 0, i + 1, 1) for i in range(1000)]
    units = gpd.GeoDataFrame({"households": 1}, index=range(1000), geometry=cells, crs=4547)
    plan = gp.partition(units, low=1, high=1, effort=QUICK)
    with pytest.raises(gp.CodeError, match="1000 grids under 420583001001, but serials end at 999"):
        gp.assign_codes(plan, parent="420583001001")


@pytest.mark.parametrize(
    ("parent", "message"),
    [
        ("42058300100", "has 11 characters"),
        ("42058300100X", "not all digits"),
        (420583001001, "is a number, not text"),
        ("nocolumn", "no column 'nocolumn' either"),
    ],
)
def test_parents_out_of_form(plan, parent, message):
    with pytest.raises(gp.InputError, match=message):
        gp.assign_codes(plan, parent=parent)


def test_a_parent_must_be_one_within_a_grid(plan):
    mixed = plan.replace(
        units=plan.units.assign(p=["420583001001", *["420583001002"] * 4], q=[None] * 5)
    )
    with pytest.raises(gp.InputError, match="units of several parents"):
        gp.assign_codes(mixed, parent="p")
    with pytest.raises(gp.InputError, match=re.escape("None (5 units): is missing")):
        gp.assign_codes(mixed, parent="q")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("42058300100100", "has 14 characters, not 15"),
        ("42058300100100x", "only digits and capital letters"),
        (420583001001001, "is a number"),
        (float("nan"), "is missing"),
        (None, "is missing"),
    ],
)
def test_codes_out_of_form(code, message):
    assert message in gp.check_code(code)


def test_legacy_codes_may_hold_letters():
    assert gp.check_code("1101AB001001001") is None


# ---------------------------------------------------------------- real places


@pytest.mark.parametrize(
    ("file", "layer", "options", "grids", "reasons"),
    [
        (
            "porto_bgri2021/porto_bgri2021.gpkg", "units",
            {"id": "unit_id", "within": "parish_id"}, 294, [],
        ),
        (
            "yamaguchi_basic_units_2020/yamaguchi_r2kb35203.gpkg", "units_snapped_epsg6671",
            {"id": "unit_id", "households": "SETAI"}, 249, ["enclave_attached"],
        ),
    ],
)  # fmt: skip
def test_real_places_are_all_in_the_band(shared_data, file, layer, options, grids, reasons):
    units = gpd.read_file(shared_data(file), layer=layer)
    plan = gp.partition(units, **options)
    assert len(plan.grids) == grids
    assert plan.grids["in_band"].all()
    assert plan.exceptions["reason"].tolist() == reasons
    assert_plan(plan, units)


def test_pairs_of_rows_order():
    from gridpart._geometry.order import along_curve, in_rows

    x, y = np.array([5, 1, 9, 3]), np.array([0, 0, 100, 100])
    assert in_rows(x, y, [400] * 4).tolist() == [3, 2, 1, 0]
    points = np.array(list(itertools.product(range(8), range(8))), np.int64)
    order = along_curve(points[:, 0].copy(), points[:, 1].copy())
    steps = np.abs(np.diff(points[order], axis=0)).sum(axis=1)
    assert sorted(order) == list(range(64))
    assert steps.mean() < 2  # neighbours along the curve are near in the plane
