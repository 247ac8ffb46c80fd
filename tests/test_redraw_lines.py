"""Redrawn lines are short where that costs no household; a graph of one's own is asked for."""

from __future__ import annotations

import itertools

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

import gridpart as gp
from gridpart.plan import EXCEPTION_COLUMNS, Plan, read_plan
from gridpart.problem import measure
from gridpart.redraw import drawing
from gridpart.redraw.level import Level
from gridpart.redraw.shorter import shorten
from gridpart.rules import Rules

CRS = "EPSG:4547"


def lattice(columns: int, rows: int, households: int = 20) -> gpd.GeoDataFrame:
    """Cells of 100 m, column by column from the west."""
    cells = [
        shapely.box(100 * x, 100 * y, 100 * x + 100, 100 * y + 100)
        for x in range(columns)
        for y in range(rows)
    ]
    names = [f"U{i:03d}" for i in range(len(cells))]
    return gpd.GeoDataFrame({"unit": names, "households": households}, geometry=cells, crs=CRS)


def halves(units: gpd.GeoDataFrame, low: int, high: int, **rules: object) -> Plan:
    """A plan of two grids, west and east of the middle."""
    middle = (units.total_bounds[0] + units.total_bounds[2]) / 2
    grid = np.where(units.geometry.centroid.x < middle, "G001", "G002").astype(object)
    frame = units.assign(grid=grid)
    none = pd.DataFrame(columns=list(EXCEPTION_COLUMNS))
    return Plan(frame, Rules(id="unit", low=low, high=high, **rules), none)


def shortened(plan: Plan, names: list[str], **held: object) -> list[str]:
    """What becomes of the grids `names`, if those of the plan were the old ones."""
    home = plan.units["grid"].to_numpy(object)
    given = {"kept": frozenset(), "parted": frozenset(), "pinned": np.zeros(home.size, bool)}
    level = Level("grid", plan.rules, home, **{**given, **held})  # type: ignore[arg-type]
    now = np.array(names, dtype=object)
    measured = measure(plan.units)
    return shorten(plan.units, plan.contiguity, measured, level, now, ()).tolist()


def cut_m(plan: Plan, names: list[str]) -> float:
    return plan.contiguity.cut_mm(pd.factorize(np.array(names, dtype=object))[0]) / 1000


@pytest.fixture
def notched() -> tuple[Plan, list[str]]:
    """The middle cell of the line went over to the east, where a corner would have done."""
    # the east lacks households, so that something has to go over
    units = lattice(4, 3).assign(households=[20] * 6 + [10] * 6)
    plan = halves(units, low=70, high=200)
    names = plan.units["grid"].tolist()
    names[4] = "G002"
    return plan, names


def test_a_corner_moves_in_place_of_a_notch(notched):
    plan, names = notched
    assert cut_m(plan, names) == 500
    better = shortened(plan, names)
    assert cut_m(plan, better) == 400
    assert sum(a != b for a, b in zip(better, plan.units["grid"], strict=True)) == 1


@pytest.mark.parametrize("which", ["pinned", "kept", "exclusive", "compound"])
def test_what_is_held_stays(notched, which):
    plan, names = notched
    corners = np.isin(np.arange(12), (3, 5))
    if which == "pinned":
        assert shortened(plan, names, pinned=corners) == names
    elif which == "kept":
        assert shortened(plan, names, kept=frozenset({"G001"})) == names
    else:
        # one of a kind each would be free: marks are the same for both
        marks = np.where(corners, "x", None).astype(object)
        rule = {"exclusive": "exclusive", "compound": "keep_whole"}[which]
        units = plan.units.assign(mark=marks)
        rules = Rules(id="unit", low=70, high=200, **{rule: "mark"})
        assert shortened(plan.replace(units=units, rules=rules), names) == names


@pytest.mark.parametrize("corner", [21, 5], ids=["moves more", "leaves the band"])
def test_households_and_bounds_come_before_length(notched, corner):
    plan, names = notched
    loads = plan.units["households"].to_numpy(copy=True)
    loads[[3, 5]] = corner
    other = plan.replace(units=plan.units.assign(households=loads))
    assert shortened(other, names) == names


def test_a_new_unit_goes_where_the_line_is_shorter():
    plan = halves(lattice(4, 3), low=60, high=200)
    home = plan.units["grid"].to_numpy(object).copy()
    home[4] = None  # new: no household moves wherever it goes
    names = plan.units["grid"].tolist()
    names[4] = "G002"
    level = Level(
        "grid", plan.rules, home, np.zeros(12, bool), frozenset(), frozenset({"G003"})
    )  # fmt: skip
    now = np.array(names, dtype=object)
    # only G002 was touched so far: the new unit has no other grid to go to
    assert shorten(plan.units, plan.contiguity, measure(plan.units), level, now, ()).tolist() == (
        names
    )
    home[0] = "G002"  # has come over from there, so that both are
    level = Level("grid", plan.rules, home, np.arange(12) == 0, frozenset(), frozenset())
    better = shorten(plan.units, plan.contiguity, measure(plan.units), level, now, ()).tolist()
    assert better == plan.units["grid"].tolist()


def test_no_exchange_is_left_that_would_shorten_a_redrawn_line():
    """Against brute force over all single steps and exchanges, on random towns."""
    shorter_somewhere = 0
    for seed in range(8):
        draws = np.random.default_rng(seed)
        units = lattice(6, 5).assign(households=draws.choice([0, 10, 20, 30], 30))
        total = int(units["households"].sum())
        plan = halves(units, low=int(0.3 * total), high=int(0.7 * total))
        now = units.copy()
        now.loc[draws.integers(0, 15, 4), "households"] += 60
        sums = int(now["households"].sum())
        rules = Rules(id="unit", low=int(0.4 * sums), high=int(0.58 * sums))
        plan = plan.replace(rules=rules)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(drawing, "shorten", lambda *args: args[4])
            plain = gp.redraw(plan, now)
        result = gp.redraw(plan, now)
        assert result.households_moved <= plain.households_moved
        assert result.plan.grids["in_band"].tolist() == plain.plan.grids["in_band"].tolist()
        assert result.plan.cut_length_m <= plain.plan.cut_length_m
        shorter_somewhere += result.plan.cut_length_m < plain.plan.cut_length_m
        if result.households_moved:
            assert_no_exchange_helps(result)
    assert shorter_somewhere


def assert_no_exchange_helps(result: drawing.Redrawn) -> None:
    made, home = result.plan, result.matched.home.tolist()
    names = made.units["grid"].tolist()
    loads = made.units["households"].tolist()
    if set(names) != {"G001", "G002"}:
        return
    other = {"G001": "G002", "G002": "G001"}

    def cost(labels: list[str]) -> tuple[int, int]:
        away = [u for u, name in enumerate(labels) if name != home[u]]
        return sum(loads[u] for u in away), len(away)

    def sound(labels: list[str]) -> bool:
        frame = made.units.assign(grid=labels)
        for _, own in frame.groupby("grid"):
            total = int(own["households"].sum())
            joined = shapely.union_all(own.geometry.to_numpy())
            # cells that touch in a corner only are not connected
            inner = shapely.buffer(joined, -0.01)
            if not made.rules.low <= total <= made.rules.high or len(shapely.get_parts(inner)) > 1:
                return False
        return frame["grid"].nunique() == 2

    if not sound(names):
        return
    here, length = cost(names), cut_m(made, names)
    for pair in itertools.chain(
        ((u,) for u in range(len(names))), itertools.combinations(range(len(names)), 2)
    ):
        if len(pair) == 2 and names[pair[0]] == names[pair[1]]:
            continue
        trial = names.copy()
        for u in pair:
            trial[u] = other[trial[u]]
        now = cost(trial)
        if now[0] <= here[0] and now[1] <= here[1] and cut_m(made, trial) < length:
            assert not sound(trial), (pair, here, now)


# ---------------------------------------------------------------- a graph of one's own


def test_a_plan_on_its_own_graph_is_redrawn_on_one(tmp_path):
    units = lattice(6, 1, 100)
    own = gp.build_contiguity(units)
    plan = gp.partition(units, id="unit", low=200, high=400, n_grids=2, graph=own)
    plan.save(tmp_path / "plan.gpkg")
    units.loc[0, "households"] = 250
    for made in (plan, read_plan(tmp_path / "plan.gpkg")):
        with pytest.raises(gp.InputError, match=r"drawn on a graph of its own.*graph="):
            gp.redraw(made, units)
        result = gp.redraw(made, units, graph=gp.build_contiguity(units))
        assert result.plan.grids["in_band"].all()
        with pytest.raises(gp.InputError, match="graph of its own"):
            gp.redraw(result.plan, units)
    bare = gp.partition(lattice(6, 1, 100), id="unit", low=200, high=400, n_grids=2)
    assert gp.redraw(bare, units).households_moved == result.households_moved
    with pytest.raises(gp.InputError, match="on the index of the units"):
        gp.redraw(plan, units, graph=gp.build_contiguity(units.iloc[1:]))
