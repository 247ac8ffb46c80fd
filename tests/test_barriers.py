"""Rivers, railways, bridges and cheap borders, by shapely's own judgement of what they cross."""

from __future__ import annotations

import dataclasses
import json
import re
import warnings
from pathlib import Path
from typing import Any

import geopandas as gpd
import networkx as nx
import numpy as np
import pandas as pd
import pytest
import shapely
import zoo
from shapely import LineString, MultiLineString, Point, box
from test_options import QUICK, assert_accepted, audit_inputs
from test_partition import assert_plan, own_graph, row_of

import gridpart as gp
from gridpart.barriers import gather_lines, mark_borders
from gridpart.cli import main
from gridpart.errors import GridpartWarning
from gridpart.samples import sample_path

CRS = "EPSG:4547"


def lattice(columns: int = 12, rows: int = 8, households: int = 50) -> gpd.GeoDataFrame:
    """Squares of 100 m."""
    cells = [
        box(100 * x, 100 * y, 100 * x + 100, 100 * y + 100)
        for y in range(rows) for x in range(columns)
    ]  # fmt: skip
    return gpd.GeoDataFrame({"households": [households] * len(cells)}, geometry=cells, crs=CRS)


def lines(*shapes: Any, crs: Any = CRS) -> gpd.GeoSeries:
    return gpd.GeoSeries(list(shapes), crs=crs)


def line(*points: tuple[float, float]) -> LineString:
    return LineString(points)


def open_graph(plan: gp.Plan, barriers: Any, crossings: Any = None, reach: float = 1.0) -> nx.Graph:
    """Who shares a border that no barrier covers, but for crossings: by points along the border.

    Borders are sampled, not measured: a point every twentieth, and how many are near the barrier.
    """
    graph, shapes = own_graph(plan.units), plan.units.geometry.to_numpy()
    wall = shapely.union_all(barriers)
    gate = shapely.union_all(crossings) if crossings is not None else Point()
    for u, v in list(graph.edges):
        parts = shapely.get_parts(shapely.intersection(shapes[u], shapes[v], grid_size=1e-3))
        edge = shapely.line_merge(MultiLineString([p for p in parts if p.length > 0]))
        at = shapely.line_interpolate_point(edge, np.linspace(0.025, 0.975, 20), normalized=True)
        along = (shapely.distance(at, wall) <= reach).mean() >= 0.5
        if along and not (gate and shapely.distance(edge, gate) <= reach):
            graph.remove_edge(u, v)
    return graph


def assert_nothing_spans(plan: gp.Plan, barriers: Any, crossings: Any = None, reach: float = 1.0):
    """Every grid hangs together without the borders along a barrier."""
    graph = open_graph(plan, barriers, crossings, reach)
    attached = set(plan.exceptions.loc[plan.exceptions["reason"] == "enclave_attached", "grid"])
    for grid, units in plan.units.reset_index().groupby("grid"):
        if grid not in attached:
            assert nx.is_connected(graph.subgraph(units.index.tolist())), grid


def divided(units: gpd.GeoDataFrame, **options: Any) -> gp.Plan:
    return gp.partition(units, **{"low": 200, "high": 500, "effort": QUICK, **options})


# ---------------------------------------------------------------- what is closed


ACROSS = line((-50, 400), (1250, 400))


@pytest.mark.parametrize(
    "river",
    [
        [ACROSS],
        [ACROSS, ACROSS],  # drawn twice
        [line((-50, 400), (700, 400)), line((500, 400), (1250, 400))],  # overlapping
        [line((-50, 400), (601, 400)), line((601, 400), (1250, 400))],  # meeting in a border
        [line(*((x, 400) for x in range(-50, 1260, 10)))],  # of many vertices
        [line((1250, 400), (-50, 400))],  # upstream
        [MultiLineString([[(-50, 400), (550, 400)], [(550, 400), (1250, 400)]])],
        [line((-50, 400.5), (1250, 399.5))],  # misaligned by half a metre
        [line(*((x, 400 + 0.5 * (-1) ** (x // 50)) for x in range(-50, 1260, 50)))],  # zigzag
        [box(-50, 400, 1250, 400.8)],  # an area
        [box(-50, 399.5, 1250, 400.5), box(0, 399.8, 300, 401)],  # areas that overlap
    ],
    ids=range(11),
)
def test_no_grid_spans_a_river(river):
    units = lattice()
    plan = divided(units, barriers=lines(*river))
    assert_plan(plan, units)
    assert_nothing_spans(plan, [ACROSS])
    north = plan.units.geometry.centroid.y > 400
    assert not set(plan.units.loc[north, "grid"]) & set(plan.units.loc[~north, "grid"])
    closed = plan.contiguity.closed
    assert closed.sum() == 24  # twelve borders, both ways
    assert_accepted(plan)
    # open, some grid would have spanned it
    assert any(g.crosses(ACROSS) for g in divided(units).grids.geometry)


@pytest.mark.parametrize("off", [2.0, 20.0])
def test_a_river_off_the_borders_closes_nothing_and_this_is_said(off):
    river = lines(line((-50, 400 + off), (1250, 400 + off)))
    with pytest.warns(gp.GridpartWarning) as told:
        plan = divided(lattice(), barriers=river)
    said = " ".join(str(w.message) for w in told)
    assert "no border of two units lies along a barrier" in said
    assert not plan.contiguity.closed.any()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gp.GridpartWarning)
        wide = divided(lattice(), barriers=river, barrier_tolerance=off + 1)
    assert wide.contiguity.closed.sum() == 24
    assert_nothing_spans(wide, river, reach=off + 1)


def test_a_river_through_units_names_them():
    units = lattice(4, 2).set_index(pd.Index(list("abcdefgh")))
    river = lines(line((150, -50), (150, 100), (400, 100)))
    with pytest.warns(gp.GridpartWarning, match=r"the inside of 1 units \(b\)"):
        plan = divided(units, barriers=river, low=50, high=200)
    assert plan.contiguity.closed.sum() == 2 * 2 + 2  # under c and d, and half of the border b-f
    area = lines(box(140, -50, 160, 80))
    with pytest.warns(gp.GridpartWarning) as told:
        divided(units, barriers=area, low=50, high=200)
    said = [str(warning.message) for warning in told]
    assert "the inside of 1 units (b)" in said[0]
    assert "no border of two units lies along a barrier" in said[1]


def test_half_a_border_is_enough_and_less_is_not():
    units = lattice(1, 2)
    for length, closed in ((40, False), (49.9, False), (50.1, True), (100, True)):
        river = lines(line((0, 100), (length, 100)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", gp.GridpartWarning)
            plan = divided(units, barriers=river, low=50, high=100)
        assert plan.contiguity.closed.all() == closed, length


def test_crossings_open_what_they_reach():
    units = lattice(12, 8, households=20)
    river = lines(ACROSS)
    options = {"low": 150, "high": 400}
    for bridge in (Point(350, 400), line((350, 390), (350, 410)), box(340, 380, 360, 420)):
        plan = divided(units, barriers=river, crossings=lines(bridge), **options)
        assert plan.contiguity.closed.sum() == 22
        rows, columns = plan.contiguity.rows, plan.contiguity.indices
        mid = units.geometry.centroid
        spans = ((mid.y.to_numpy()[rows] < 400) & (mid.y.to_numpy()[columns] > 400)
                 & ~plan.contiguity.closed)  # fmt: skip
        assert mid.x.to_numpy()[rows[spans]].tolist() == [350]
        assert_nothing_spans(plan, river, [bridge])
        assert_accepted(plan)
    far = divided(units, barriers=river, crossings=lines(Point(350, 405)), **options)
    assert far.contiguity.closed.sum() == 24
    corner = divided(units, barriers=river, crossings=lines(Point(300, 400)), **options)
    assert corner.contiguity.closed.sum() == 20  # it reaches the borders on both its sides


def test_a_grid_may_use_a_crossing_where_nothing_else_fits():
    units = row_of([100, 100, 100, 100])
    river = lines(line((100, -5), (100, 105)), line((300, -5), (300, 105)))
    shut = divided(units, barriers=river, low=200, high=200)
    assert shut.exceptions["reason"].tolist() == ["component_below_band"] * 2
    bridges = lines(Point(100, 50), Point(300, 20))
    plan = divided(units, barriers=river, crossings=bridges, low=200, high=200)
    assert not len(plan.exceptions)
    assert plan.units["grid"].tolist() == ["G001", "G001", "G002", "G002"]
    assert_accepted(plan)


# ---------------------------------------------------------------- shapes and systems


@pytest.mark.parametrize("crs", ["EPSG:4490", "EPSG:4326", "EPSG:32649", "EPSG:3857"])
def test_barriers_in_other_systems(crs):
    units = lattice().translate(500_000, 3_400_000).to_frame("geometry").assign(households=50)
    river = line(*((500_000 + x, 3_400_400) for x in range(-50, 1260, 20)))
    bridge = Point(500_350, 3_400_400)
    here = divided(units, barriers=lines(river), crossings=lines(bridge))
    there = divided(units, barriers=lines(river).to_crs(crs), crossings=lines(bridge).to_crs(crs))
    assert there.contiguity.closed.sum() == 22
    assert there.contiguity.closed.tolist() == here.contiguity.closed.tolist()
    pd.testing.assert_series_equal(there.units["grid"], here.units["grid"])
    assert there.lines.crs == units.crs


@pytest.mark.parametrize("name", ["barriers", "crossings", "border_costs"])
def test_lines_without_a_crs_are_an_error(name):
    given: dict[str, Any] = {"barriers": lines(ACROSS)}
    given[name] = gpd.GeoDataFrame({"cost": [1]}, geometry=[ACROSS])
    with pytest.raises(gp.CRSError, match="has no CRS; say which"):
        divided(lattice(), **given)


def test_layers_that_cannot_be_used():
    units = lattice()
    with pytest.raises(gp.InputError, match="there are no barriers"):
        divided(units, crossings=lines(Point(0, 0)))
    with pytest.raises(gp.InputError, match="need a column 'cost'"):
        divided(units, border_costs=lines(ACROSS))
    for cost in (-1, 1001, "dear", None):
        bad = gpd.GeoDataFrame({"cost": [1, cost]}, geometry=[ACROSS, ACROSS], crs=CRS)
        with pytest.raises(gp.InputError, match="costs must be from 0 to 1000"):
            divided(units, border_costs=bad)


def test_empty_layers_and_missing_shapes_are_none():
    units = lattice()
    plain = divided(units)
    empty = gpd.GeoSeries([], crs=CRS)
    nothing = gpd.GeoSeries([None, LineString()], crs=CRS)
    for layer in (empty, nothing):
        plan = divided(units, barriers=layer, crossings=layer)
        pd.testing.assert_series_equal(plan.units["grid"], plain.units["grid"])
    with_height = lines(LineString([(-50, 400, 7), (1250, 400, 9)]))
    assert divided(units, barriers=with_height).contiguity.closed.sum() == 24


@pytest.mark.filterwarnings("ignore:.*T-junctions mended")
@pytest.mark.parametrize("name", ["brick_wall", "t_junctions_facing", "t_junction"])
def test_barriers_over_t_junctions(name):
    units = zoo.COVERAGES[name]()
    west, south, east, north = units.total_bounds
    river = line((1, south), (1, north)) if name != "brick_wall" else line((0, 2), (9, 2))
    plan = divided(units, barriers=lines(river), low=10, high=60, barrier_tolerance=0.01)
    assert_plan(plan, units)
    assert_nothing_spans(plan, [river], reach=0.01)
    sides = shapely.ops.split(box(west, south, east, north), river).geoms
    for grid in plan.grids.geometry:
        assert sum(grid.intersection(side).area > 1e-6 for side in sides) == 1
    assert plan.contiguity.closed.any()


@pytest.mark.parametrize("seed", range(6))
def test_barriers_over_bent_borders_of_a_town(seed):
    units = zoo.lattice(14, 12, seed=seed)
    rng = np.random.default_rng(seed)
    units["households"] = rng.integers(5, 60, len(units))
    # a river along real borders: the rim of what lies below a row that goes up and down
    below = [12 * 0 + 14 * y + x for x in range(14) for y in range(5 + x % 3)]
    rim = shapely.boundary(shapely.coverage_union_all(units.geometry.to_numpy()[below]))
    river = rim.difference(shapely.buffer(units.union_all().boundary, 0.5))
    bridge = Point(river.representative_point())
    for crossings in (None, lines(bridge, crs=units.crs)):
        plan = divided(
            units, barriers=lines(river, crs=units.crs), crossings=crossings,
            barrier_tolerance=0.2,
        )  # fmt: skip
        assert_plan(plan, units)
        assert_nothing_spans(plan, [river], crossings, reach=0.2)
        assert_accepted(plan)


def test_barriers_go_with_enclaves_compounds_and_sites():
    units = lattice(6, 6, households=40)
    units["estate"] = np.where(units.geometry.centroid.x < 200, "west", None)
    units["site"] = np.where(units.index == 14, "school", "")
    river = lines(line((-50, 300), (650, 300)), line((500, 300), (500, 650)))
    plan = divided(
        units, barriers=river, keep_whole="estate", exclusive="site", enclaves="attach",
        low=200, high=320,
    )  # fmt: skip
    assert_plan(plan, units)
    assert_nothing_spans(plan, river)
    # a compound on both banks is one on each
    west = plan.units[plan.units["estate"] == "west"]
    north = west.geometry.centroid.y > 300
    assert len(set(west.loc[north, "grid"])) == len(set(west.loc[~north, "grid"])) == 1
    assert set(west.loc[north, "grid"]) != set(west.loc[~north, "grid"])
    # the strip behind the second river has 120: too few, attached
    strip = plan.units[
        (plan.units.geometry.centroid.x > 500) & (plan.units.geometry.centroid.y > 300)
    ]
    assert set(strip["grid"]) <= set(plan.exceptions["grid"])
    assert "enclave_attached" in set(plan.exceptions["reason"])


# ---------------------------------------------------------------- costs


def street(cost: float, *points: tuple[float, float]) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame({"cost": [cost]}, geometry=[line(*points)], crs=CRS)


def test_cheap_borders_attract_and_dear_ones_repel():
    units = lattice(12, 4)
    at = ((500, -50), (500, 450))
    lengths = {}
    for cost in (0, 1, 30):
        plan = divided(
            units, border_costs=street(cost, *at), low=700, high=1700, balance=0, n_grids=2
        )
        assert_plan(plan, units)
        rim = shapely.boundary(plan.grids.geometry.to_numpy()[0])
        lengths[cost] = rim.intersection(line(*at).buffer(1)).length
    assert lengths[0] > 390  # as far as the street goes
    assert lengths[30] < 10
    # a cost is no barrier
    assert not divided(units, border_costs=street(0, *at)).contiguity.closed.any()


def test_costs_count_as_multiples_and_the_lowest_counts():
    units = lattice(2, 3)
    costs = pd.concat(
        [street(3, (100, 0), (100, 200)), street(0.5, (100, 100), (100, 200)),
         street(2, (0, 200), (200, 200))], ignore_index=True,
    )  # fmt: skip
    graph = gp.build_contiguity(units)
    marked = mark_borders(graph, units, gather_lines(None, None, costs, units.crs), tolerance=1)
    found = {
        (int(u), int(v)): int(c)
        for u, v, c in zip(marked.rows, marked.indices, marked.cost_mm, strict=True)
    }
    expected = {(0, 1): 300_000, (2, 3): 50_000, (2, 4): 200_000, (3, 5): 200_000}
    for (u, v), cost in found.items():
        assert cost == expected.get((min(u, v), max(u, v)), 100_000)
    np.testing.assert_array_equal(marked.lengths_mm, graph.lengths_mm)


def test_a_graph_of_ones_own_keeps_its_closed_borders_and_costs():
    units = row_of([100] * 4)
    graph = gp.build_contiguity(units)
    pairs = np.minimum(graph.rows, graph.indices)
    own = dataclasses.replace(graph, closed=pairs == 0, cost_mm=graph.lengths_mm * 2)
    plan = divided(units, graph=own, border_costs=street(0.5, (300, 0), (300, 100)),
                   low=100, high=300)  # fmt: skip
    assert plan.units["grid"].iloc[0] != plan.units["grid"].iloc[1]
    assert plan.contiguity.cost_mm[pairs == 1].tolist() == [200_000] * 2
    assert plan.contiguity.cost_mm[pairs == 2].tolist() == [100_000] * 2
    river = lines(line((200, 0), (200, 100)))
    both = divided(units, graph=own, barriers=river, low=100, high=300)
    assert both.contiguity.closed.tolist() == (pairs <= 1).tolist()


# ---------------------------------------------------------------- what would help


def test_the_crossing_that_is_suggested_cures():
    units = lattice(6, 4, households=50)
    units["name"] = [f"u{i}" for i in units.index]
    river = line((500, -50), (500, 450))  # a strip of 200 behind it, where 250 are wanted
    options = {"id": "name", "low": 250, "high": 500}
    plan = divided(units, barriers=lines(river), **options)
    (row,) = plan.exceptions[plan.exceptions["reason"] == "component_below_band"].itertuples()
    assert row.certainty in ("found", "exact")
    names = re.search(r"open a crossing between (\w+) and (\w+)", row.relaxation).groups()
    assert "open a crossing between" in row.advice
    ends = units.set_index("name").geometry[list(names)]
    shared = shapely.intersection(*ends)
    assert shared.length > 0
    assert shared.distance(river) == 0
    bridge = lines(shared.interpolate(0.5, normalized=True))
    again = divided(units, barriers=lines(river), crossings=bridge, **options)
    assert not len(again.exceptions)
    assert_nothing_spans(again, [river], bridge)
    assert_accepted(again)


def test_the_audit_accepts_a_part_that_a_barrier_cuts_off():
    units = lattice(6, 4, households=50)
    plan = divided(units, barriers=lines(line((500, -50), (500, 450))), low=250)
    assert plan.exceptions["reason"].tolist() == ["component_below_band"]
    assert_accepted(plan)


def test_no_crossing_is_suggested_that_would_not_help():
    units = row_of([100, 30])
    plan = divided(units, barriers=lines(line((100, -5), (100, 105))), low=200, high=300)
    assert plan.exceptions["reason"].tolist() == ["component_below_band"] * 2
    assert not plan.exceptions["relaxation"].str.contains("crossing").any()


# ---------------------------------------------------------------- saved, and on the command line


def test_lines_are_saved_and_the_audit_of_the_file_knows_them(tmp_path):
    units = lattice()
    bridge = lines(Point(350, 400))
    costs = street(0.2, (600, 0), (600, 800))
    plan = divided(units, barriers=lines(ACROSS), crossings=bridge, border_costs=costs)
    plan.save(tmp_path / "plan.gpkg")
    again = gp.read_plan(tmp_path / "plan.gpkg")
    assert again.lines["kind"].tolist() == ["barrier", "crossing", "cost"]
    assert again.lines.geometry.geom_equals(plan.lines.geometry).all()
    assert again.contiguity.closed.tolist() == plan.contiguity.closed.tolist()
    assert again.contiguity.cost_mm.tolist() == plan.contiguity.cost_mm.tolist()
    assert_accepted(again)


def test_the_audit_finds_a_grid_over_a_river():
    plan = divided(lattice(6, 2, households=100), barriers=lines(line((-50, 100), (650, 100))))
    grids = plan.units["grid"]
    merged = plan.replace(units=plan.units.assign(grid=grids.replace(grids[6], grids[0])))
    found = gp.audit(merged.grids, **(audit_inputs(merged) | {"low": 1, "high": 2000}))
    assert gp.audit_counts(found)["across_barrier"] == 1
    (row,) = found[found["check"] == "across_barrier"].itertuples()
    assert row.ids == str(grids[0])
    assert not gp.audit_ok(found)
    bridge = lines(line((50, 90), (50, 110)))
    opened = audit_inputs(merged) | {"low": 1, "high": 2000, "crossings": bridge}
    assert "across_barrier" not in gp.audit_counts(gp.audit(merged.grids, **opened))


def test_the_sample_town_through_the_command_line(tmp_path, capsys):
    sample = Path(sample_path("town"))
    out = tmp_path / "plan.gpkg"
    call = [
        "partition", str(sample), "--layer", "units", "-o", str(out), "--id", "unit_id",
        "--within", "community", "--exclusive", "exclusive", "--effort", "fast",
        "--barriers", str(sample), "--barriers-layer", "river",
    ]  # fmt: skip
    shut = [*call]
    opened = [*call, "--crossings", str(sample), "--crossings-layer", "bridges"]
    river = gpd.read_file(sample, layer="river").geometry
    bridges = gpd.read_file(sample, layer="bridges").geometry
    closed = {}
    for name, arguments, crossings in (("shut", shut, None), ("open", opened, bridges)):
        assert main(arguments) == 0
        plan = gp.read_plan(out)
        closed[name] = int(plan.contiguity.closed.sum())
        assert_nothing_spans(plan, river, crossings)
    assert main(["audit", str(out), "--json", str(tmp_path / "a.json")]) == 0
    assert json.loads((tmp_path / "a.json").read_text())["ok"] is True
    assert closed["shut"] > closed["open"] > 0
    capsys.readouterr()
    assert main([*call[:-2]]) == 2
    assert "choose a layer with --barriers-layer" in capsys.readouterr().err


NOWHERE = {
    "NaN": "LINESTRING (0 50, nan 50, 300 50)",
    "infinite": "LINESTRING (0 50, inf 50)",
    "overflowing": "LINESTRING (0 50, 1e300 50)",
    "one of two parts": "MULTILINESTRING ((0 50, nan 50), (0 50, 9 50))",
    "area": "POLYGON ((0 0, 200 nan, 200 0, 0 0))",
}


def nowhere(name: str) -> Any:
    with np.errstate(invalid="ignore"):
        return shapely.from_wkt(NOWHERE[name])


@pytest.mark.parametrize("kind", NOWHERE)
def test_lines_that_are_nowhere_are_left_out_and_said(kind) -> None:
    shape = nowhere(kind)
    units = lattice(4, 2, 100).assign(home=["a", "a", "a", "b"] * 2)
    wall = line((200, -50), (200, 350))
    said = r"1 of 2 shapes of the barrier layer are left out"
    with pytest.warns(GridpartWarning, match=said):
        layer = gather_lines(lines(shape, wall), None, None, CRS)
    assert layer.geometry.tolist() == [wall]
    with pytest.warns(GridpartWarning, match=said) as caught:
        plan = gp.partition(units, low=350, high=450, barriers=lines(shape, wall), effort=QUICK)
    assert caught[0].filename == __file__
    assert not plan.grids.crosses(wall).any()
    tall = units.dissolve("home")
    with pytest.warns(GridpartWarning, match=said) as caught:
        found = gp.audit(tall, barriers=lines(shape, wall))
    assert caught[0].filename == __file__
    assert gp.audit_counts(found)["across_barrier"] == 1
    with pytest.warns(GridpartWarning, match=said):
        found = gp.audit_assignment(units, "home", barriers=lines(shape, wall))
    assert gp.audit_counts(found)["across_barrier"] == 1
    with pytest.warns(GridpartWarning, match="1 of 1 shapes of the barrier layer"):
        assert "across_barrier" not in gp.audit_counts(gp.audit(tall, barriers=lines(shape)))


def test_costs_follow_their_lines_where_one_is_left_out() -> None:
    shapes = [None, nowhere("infinite"), line((0, 0), (9, 0)), line((1, 1), (2, 2))]
    costs = gpd.GeoDataFrame({"cost": [1, 2, 3, 4]}, geometry=shapes, crs=CRS, index=[0, 0, 1, 1])
    with pytest.warns(GridpartWarning, match="1 of 3 shapes of the cost layer"):
        layer = gather_lines(None, None, costs, CRS)
    assert layer["cost"].tolist() == [3, 4]
    assert layer.index.tolist() == [0, 1]


def test_a_lake_that_is_drawn_wrong_is_a_barrier_all_the_same() -> None:
    tall = lattice(4, 2).assign(grid=["a", "b", "b", "b"] * 2).dissolve("grid")
    bow_tie = shapely.Polygon([(90, 20), (110, 180), (90, 180), (110, 20)])
    wet = shapely.Polygon([(190, -20), (210, 220), (210, -20), (190, 220)])
    found = gp.audit(tall, barriers=lines(bow_tie, wet))
    assert gp.audit_counts(found)["across_barrier"] == 1
