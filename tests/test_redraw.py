"""Plans drawn again for units that have changed: matched, put in order, coded."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas as gpd
import networkx as nx
import numpy as np
import pandas as pd
import pytest
import shapely
from shapely import box

import gridpart as gp
from gridpart.cli import main
from gridpart.codes import open_register
from gridpart.coverage import audit_inputs
from gridpart.errors import InputError
from gridpart.redraw import Redrawn, match_units, redrawing
from gridpart.redraw.recode import succession

CRS = "EPSG:4547"
PARENT = "420583001001"


def lattice(nx_: int = 12, ny: int = 8, households: int = 25) -> gpd.GeoDataFrame:
    """Cells of 100 m from the north-west, with ids, in two communities side by side."""
    rows = [(x, y) for y in range(ny) for x in range(nx_)]
    cells = [box(100 * x, 100 * (ny - y), 100 * x + 100, 100 * (ny - y) + 100) for x, y in rows]
    table = {
        "unit": [f"U{k:03d}" for k in range(len(rows))],
        "place": ["west" if x < nx_ // 2 else "east" for x, _ in rows],
        "households": households,
    }
    return gpd.GeoDataFrame(table, geometry=cells, crs=CRS)


@pytest.fixture(scope="module")
def base() -> gp.Plan:
    units = lattice()
    units["parent"] = np.where(units["place"] == "west", PARENT, "420583001002")
    plan = gp.partition(units, id="unit", within="place", low=200, high=400)
    return gp.assign_codes(plan, parent="parent")


def today(plan: gp.Plan) -> gpd.GeoDataFrame:
    """The plan's units as a file would hold them."""
    return plan.units.drop(columns=["grid", "grid_code"])


def check(plan: gp.Plan, result: Redrawn, *, low: int = 200, high: int = 400) -> None:
    """What holds of every redraw, told without gridpart's own checks."""
    new, edges = result.plan, result.plan.contiguity
    graph = nx.Graph(zip(edges.rows.tolist(), edges.indices.tolist(), strict=True))
    graph.add_nodes_from(range(len(new.units)))
    listed = set(new.exceptions["grid"])
    held = new.units.groupby("grid")["households"].sum()
    assert held.sum() == new.units["households"].sum()
    for name, rows in new.units.groupby("grid").indices.items():
        assert name in listed or nx.is_connected(graph.subgraph(rows.tolist())), name
        assert name in listed or low <= held[name] <= high, name
    home, now = result.matched.home, new.units["grid"]
    away = home.notna() & (home != now)
    assert result.households_moved <= new.units.loc[away, "households"].sum()
    assert result.households_bound <= result.households_moved
    before, after = (p.grids.set_index("grid")["grid_code"] for p in (plan, new))
    for name in set(before.index) & set(after.index) - {*home[away], *now[away]}:
        assert after[name] == before[name]
    assert after.dropna().is_unique
    issued = set(after.dropna()) - set(before.dropna())
    for code in issued:
        assert all(code > other for other in before.dropna() if other[:12] == code[:12])


# --------------------------------------------------------------------------- nothing, little


def test_units_as_they_were_leave_the_plan_as_it_was(base) -> None:
    shuffled = today(base).sample(frac=1, random_state=3)
    result = gp.redraw(base, shuffled)
    again = result.plan.units.set_index("unit").loc[base.units["unit"]]
    assert again["grid"].tolist() == base.units["grid"].tolist()
    assert again["grid_code"].tolist() == base.units["grid_code"].tolist()
    assert (result.households_moved, result.grids_touched) == (0, 0)
    assert result.plan.units.index.equals(shuffled.index)
    assert "96 units by id" in repr(result)


def test_a_tower_moves_no_more_than_it_must(base) -> None:
    units = today(base)
    units.loc[units["unit"] == "U027", "households"] += 300
    result = gp.redraw(base, units)
    check(base, result)
    assert result.households_moved == result.households_bound
    assert len(result.plan.exceptions) == 0
    assert result.matched.recounted.sum() == 1
    known = audit_inputs(result.plan)
    assert gp.audit_ok(gp.audit(result.plan.grids, **known))


def test_same_input_same_plan_whatever_the_order_of_rows(base) -> None:
    units = today(base)
    units.loc[[5, 40, 77], "households"] += [250, 300, 200]
    one = gp.redraw(base, units)
    other = gp.redraw(base, units.sample(frac=1, random_state=1))
    again = other.plan.units.set_index("unit").loc[units["unit"]]
    assert again["grid"].tolist() == one.plan.units["grid"].tolist()
    assert again["grid_code"].tolist() == one.plan.units["grid_code"].tolist()


def test_cleared_units_end_a_grid_or_take_from_others(base) -> None:
    units = today(base)
    first = base.units["grid"].iloc[0]
    rows = np.flatnonzero(base.units["grid"] == first)[:6]
    units.loc[units.index[rows], "households"] = 0
    result = gp.redraw(base, units)
    check(base, result)
    assert result.households_moved > 0


def test_many_shocks_with_every_kind_of_change(base) -> None:
    rng = np.random.default_rng(4)
    for _ in range(6):
        units = today(base)
        rows = rng.choice(len(units), 9, replace=False)
        units.loc[units.index[rows], "households"] = rng.integers(0, 160, 9)
        gone = units.index[rng.choice(len(units), 3, replace=False)]
        result = gp.redraw(base, units.drop(index=gone))
        check(base, result)
        assert set(result.matched.vanished) <= set(units.loc[gone, "unit"])


# --------------------------------------------------------------------------- matching


@pytest.mark.filterwarnings("ignore:1 T-junctions mended")
def test_a_unit_with_another_id_comes_from_the_ground_it_stands_on(base) -> None:
    units = today(base)
    cell = units.geometry[10]
    west, south, east, north = cell.bounds
    middle = (west + east) / 2
    halves = [box(west, south, middle, north), box(middle, south, east, north)]
    new = units.loc[[10, 10]].assign(unit=["N1", "N2"], households=[15, 10])
    new = new.set_geometry(gpd.GeoSeries(halves, index=new.index, crs=CRS))
    beyond = units.loc[[0]].assign(unit="N3", households=0)
    beyond = beyond.set_geometry(gpd.GeoSeries([box(-100, 800, 0, 900)], index=[0], crs=CRS))
    changed = pd.concat([units.drop(index=10), new, beyond], ignore_index=True)
    matched = match_units(base, changed)
    own = base.units["grid"].iloc[10]
    assert matched.home[changed["unit"].isin(["N1", "N2"])].tolist() == [own, own]
    assert matched.how.value_counts().to_dict() == {"id": 95, "ground": 2, "new": 1}
    assert (matched.replaced, matched.vanished) == (["U010"], [])
    result = gp.redraw(base, changed)
    check(base, result)
    assert result.households_moved == 0
    assert result.plan.units["grid"].notna().all()


def test_without_ids_shapes_tell(base) -> None:
    units = lattice().drop(columns="unit")
    plan = gp.partition(units, within="place", low=200, high=400)
    again = units.sample(frac=1, random_state=5).reset_index(drop=True)
    matched = match_units(plan, again)
    assert (matched.how == "id").all()
    assert gp.redraw(plan, again).households_moved == 0


def test_a_community_border_that_moves_takes_its_units_along(base) -> None:
    units = today(base)
    moved = units["unit"].isin(["U005", "U017", "U029"])
    assert (units.loc[moved, "place"] == "west").all()
    units.loc[moved, "place"] = "east"
    result = gp.redraw(base, units)
    check(base, result)
    grids = result.plan.units.groupby("grid")["place"].nunique()
    assert (grids == 1).all()
    assert result.households_bound >= units.loc[moved, "households"].sum()


# --------------------------------------------------------------------------- locks, marks


def test_locked_grids_and_pinned_units_stay(base) -> None:
    units = today(base)
    row = 27
    own = base.units["grid"].iloc[row]
    units.loc[units.index[row], "households"] += 300
    locked = sorted(set(base.units.loc[base.units["place"] == "west", "grid"]) - {own})
    result = gp.redraw(base, units, locked=locked)
    was = base.units.set_index("unit")["grid"]
    now = result.plan.units.set_index("unit")["grid"]
    for name in locked:
        assert set(now.index[now == name]) == set(was.index[was == name])
    pinned = base.units.loc[base.units["grid"] == own, "unit"].tolist()[:4]
    result = gp.redraw(base, units, pinned=pinned)
    now = result.plan.units.set_index("unit")["grid"]
    assert (now[pinned] == own).all()
    with pytest.raises(InputError, match="locked names no grid"):
        gp.redraw(base, units, locked=["G999"])
    with pytest.raises(InputError, match="pinned names units that there are not"):
        gp.redraw(base, units, pinned=["U999"])


def test_a_locked_border_does_not_move(base) -> None:
    units = today(base)
    units.loc[units["unit"] == "U027", "households"] += 300
    own = base.units["grid"].iloc[27]
    outline = base.grids.set_index("grid").geometry[own].boundary
    lines = gpd.GeoSeries([outline], crs=CRS)
    result = gp.redraw(base, units, locked_borders=lines)
    was, now = base.units["grid"], result.plan.units["grid"]
    graph = base.contiguity
    rim = np.unique(
        graph.rows[(was.to_numpy()[graph.rows] == own) != (was.to_numpy()[graph.indices] == own)]
    )
    assert (was.iloc[rim].to_numpy() == now.iloc[rim].to_numpy()).all()


def test_barriers_and_exclusive_sites_of_the_plan_count(base) -> None:
    units = lattice()
    units["school"] = units["unit"].isin(["U030", "U031"])
    river = gpd.GeoSeries([shapely.LineString([(0, 500), (1200, 500)])], crs=CRS)
    plan = gp.partition(
        units, id="unit", within="place", low=200, high=400, exclusive="school", barriers=river
    )
    changed = units.drop(columns="school")  # the mark comes from the plan
    changed.loc[[20, 60], "households"] += 300
    result = gp.redraw(plan, changed)
    known = audit_inputs(result.plan)
    assert known["barriers"] is not None
    findings = gp.audit(result.plan.grids, **known)
    assert gp.audit_ok(findings), findings[["check", "ids", "message"]].to_string()
    sites = result.plan.grids.set_index("grid")["kind"]
    assert (sites == "exclusive").sum() == (plan.grids["kind"] == "exclusive").sum()
    now = result.plan.units.set_index("unit")["grid"]
    assert now["U030"] not in set(now.drop(["U030", "U031"]))


def test_levels_are_drawn_again_too() -> None:
    units = lattice()
    plan = gp.partition(
        units, id="unit", low=200, high=400,
        levels={"quarter": (800, 1600), "micro": (50, 100)},
    )  # fmt: skip
    changed = units.copy()
    changed.loc[27, "households"] += 300
    result = gp.redraw(plan, changed)
    frame = result.plan.units
    assert len(frame[["micro", "grid"]].drop_duplicates()) == frame["micro"].nunique()
    assert len(frame[["grid", "quarter"]].drop_duplicates()) == frame["grid"].nunique()
    same = frame["grid"] == plan.units["grid"]
    untouched = same.groupby(frame["grid"]).transform("all")
    assert (frame.loc[untouched, "micro"] == plan.units.loc[untouched, "micro"]).mean() > 0.9
    findings = gp.audit(result.plan.grids, **audit_inputs(result.plan))
    assert gp.audit_ok(findings)


def test_an_exception_to_which_nothing_happened_stays_as_it_is() -> None:
    units = lattice()
    units.loc[3, "households"] = 700
    plan = gp.partition(units, id="unit", within="place", low=200, high=400)
    assert "unit_above_band" in set(plan.exceptions["reason"])
    changed = units.copy()
    changed.loc[90, "households"] += 250
    result = gp.redraw(plan, changed)
    assert "unit_above_band" in set(result.plan.exceptions["reason"])
    was, now = plan.units["grid"], result.plan.units["grid"]
    assert now[3] == was[3]
    assert result.plan.grids["in_band"].sum() == len(result.plan.grids) - 1


def test_what_cannot_be_in_the_band_is_listed_with_its_reason() -> None:
    units = lattice(4, 2, 60)
    plan = gp.partition(units, id="unit", low=200, high=300)
    changed = units.assign(households=20)  # 160 households in all
    result = gp.redraw(plan, changed)
    assert set(result.plan.exceptions["reason"]) <= {"component_below_band", "no_count_fits"}
    assert result.plan.exceptions["proven"].all()


def test_a_pocket_behind_a_unit_that_grew_is_told() -> None:
    cells = [box(100 * k, 0, 100 * k + 100, 100) for k in range(12)]
    units = gpd.GeoDataFrame(
        {"unit": [f"u{k:02d}" for k in range(12)], "households": 100}, geometry=cells, crs=CRS
    )
    plan = gp.partition(units, id="unit", low=200, high=400, n_grids=4)
    units.loc[1, "households"] = 350
    result = gp.redraw(plan, units)
    assert "u00" in result.plan.exceptions["units"].str.cat()
    assert not result.plan.grids.set_index("grid").loc[result.plan.units["grid"][0], "in_band"]


# --------------------------------------------------------------------------- codes


def told(table: dict[str, list[object]], keep: float) -> tuple[list[str], list[str], list[str]]:
    frame = pd.DataFrame(table)
    today = frame.get("today", frame["before"])
    result = succession(frame["home"], frame["now"], frame["before"], today, keep)
    assert all(old == new for new, old in result.kept.items())
    return sorted(result.kept), result.ended, sorted(result.predecessors)


def test_who_goes_on_keeps_name_and_code_and_the_rest_is_new() -> None:
    redrawn = {
        "home": ["A", "A", "A", "B", "B", "D", "D", None],
        "now": ["A", "A", "B", "B", "B", "D", "N", "D"],
        "before": [40, 40, 20, 50, 50, 50, 50, 10],
    }
    # A keeps 80 of 100, B all of it, D only half
    assert told(redrawn, 0.6) == (["A", "B"], ["D"], ["D", "N"])
    assert told(redrawn, 0.5) == (["A", "B", "D"], [], ["N"])
    merged = {"home": ["A", "B"], "now": ["A", "A"], "before": [60, 50]}
    assert told(merged, 0.5) == ([], ["A", "B"], ["A"])
    # a tower that was built in A goes to B: A has less than half of what is there, but all else
    tower = {
        "home": ["A", "A", "B"], "now": ["B", "A", "B"], "before": [20, 180, 200],
        "today": [320, 180, 200],
    }  # fmt: skip
    assert told(tower, 0.5) == (["A", "B"], [], [])
    empty = {"home": ["A", "A", "A"], "now": ["A", "A", "N"], "before": [0, 0, 0]}
    assert told(empty, 0.5) == (["A"], [], ["N"])


def test_codes_are_never_used_again_over_many_redraws(base) -> None:
    plan, ever = base, set(base.grids["grid_code"])
    rng = np.random.default_rng(9)
    for _ in range(4):
        units = today(plan)
        rows = rng.choice(len(units), 4, replace=False)
        units.loc[units.index[rows], "households"] = rng.integers(0, 250, 4)
        result = gp.redraw(plan, units)
        now = set(result.plan.grids["grid_code"])
        gone = set(json.loads(result.plan.provenance.get("retired_codes", "[]")))
        assert not now & gone
        assert now | gone >= ever
        fresh = now - set(plan.grids["grid_code"])
        assert not fresh & ever
        ever |= now
        plan = result.plan


def test_a_register_issues_and_retires_in_the_same_change(base, tmp_path: Path) -> None:
    units = today(base)
    units.loc[27, "households"] += 390
    with open_register(tmp_path / "codes.sqlite", create=True) as register:
        register.adopt(base)
        result = gp.redraw(base, units, register=register, reason="tower finished")
        table = register.codes().set_index("code")
        live = set(table.index[table["state"] == "live"])
        assert live == set(result.plan.grids["grid_code"])
        fresh = live - set(base.grids["grid_code"])
        assert fresh
        for code in fresh:
            assert table.loc[code, "predecessors"]
            assert table.loc[code, "reason"] == "tower finished"
        findings = gp.audit(
            result.plan.grids, register=register.codes(), **audit_inputs(result.plan)
        )
        assert not {"code_retired", "code_unregistered", "code_unused"} & set(findings["check"])
        before = register.codes()
        units.loc[70, "households"] += 390
        again = redrawing(result.plan, units, register=register)
        with pytest.raises(OSError, match="disk"), again:
            raise OSError("disk full")
        pd.testing.assert_frame_equal(
            pd.DataFrame(register.codes().drop(columns="geometry")),
            pd.DataFrame(before.drop(columns="geometry")),
        )


# --------------------------------------------------------------------------- the command


def test_the_command_draws_a_plan_again(base, tmp_path: Path, capsys) -> None:
    old, new = tmp_path / "old.gpkg", tmp_path / "new.gpkg"
    base.save(old)
    units = today(base)
    units.loc[27, "households"] += 300
    units.to_file(tmp_path / "units.gpkg", layer="units")
    assert main(["redraw", str(old), "--units", str(tmp_path / "units.gpkg"), "-o", str(new)]) == 0
    said = capsys.readouterr().out
    assert "households moved" in said
    assert "at least" in said
    result = gp.redraw(base, units)
    assert gp.read_plan(new).units["grid"].tolist() == result.plan.units["grid"].tolist()
    assert main(["audit", str(new)]) == 0
    capsys.readouterr()
    arguments = ["redraw", str(old), "--units", str(tmp_path / "units.gpkg"), "--dry-run"]
    assert main(arguments) == 0
    assert main([*arguments, "--lock", "G999"]) == 2
    assert "locked names no grid" in capsys.readouterr().err
    assert main([*arguments, "-o", str(new)]) == 2
    assert main([*arguments, "--keep", "2"]) == 2


def test_the_command_leaves_nothing_behind_when_it_fails(base, tmp_path: Path, capsys) -> None:
    old = tmp_path / "old.gpkg"
    base.save(old)
    units = today(base)
    units.loc[5, "households"] = -4
    units.to_file(tmp_path / "units.gpkg", layer="units")
    new = tmp_path / "new.gpkg"
    assert main(["redraw", str(old), "--units", str(tmp_path / "units.gpkg"), "-o", str(new)]) == 2
    assert "U005" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old.gpkg", "units.gpkg"]


def test_the_audit_reads_the_register_itself(base, tmp_path: Path, capsys) -> None:
    plan, codes = tmp_path / "plan.gpkg", tmp_path / "codes.sqlite"
    base.save(plan)
    with open_register(codes, create=True) as register:
        register.adopt(base)
        register.issue(PARENT)
    assert main(["audit", str(plan), "--register", str(codes)]) == 0
    said = capsys.readouterr().out
    assert "code_unused" in said
    assert "code_unregistered" not in said
    assert main(["audit", str(plan), "--register", str(tmp_path / "none.sqlite")]) == 2


def test_micro_grids_show_their_codes_at_their_level() -> None:
    units = lattice()
    units["parent"] = PARENT
    plan = gp.partition(units, id="unit", low=200, high=400, levels={"micro": (50, 100)})
    coded = gp.assign_codes(plan, parent="parent", scheme="micro-grid")
    below = coded.at_level("micro").grids
    assert below["grid_code"].str.len().eq(17).all()
    assert below["grid_code"].is_unique
    changed = units.copy()
    changed.loc[27, "households"] += 300
    again = gp.redraw(coded, changed).plan.at_level("micro").grids
    assert again["grid_code"].dropna().is_unique
    kept = set(again["grid"]) & set(below["grid"])
    assert kept
    assert set(again["grid_code"].dropna()) & set(below["grid_code"])


def test_the_audit_passes_over_codes_of_other_levels(tmp_path: Path) -> None:
    units = lattice()
    units["parent"] = PARENT
    plan = gp.partition(units, id="unit", low=200, high=400, levels={"micro": (50, 100)})
    with open_register(tmp_path / "c.sqlite", create=True, scheme="micro-grid") as register:
        coded = gp.assign_codes(plan, parent="parent", register=register)
        findings = gp.audit(coded.grids, register=register.codes(), **audit_inputs(coded))
        assert not {"code_malformed", "code_unused"} & set(findings["check"])
        below = coded.at_level("micro")
        findings = gp.audit(below.grids, **audit_inputs(below))
        assert "code_malformed" not in set(findings["check"])


def test_a_change_cannot_come_before_the_last_one(base, tmp_path: Path) -> None:
    with open_register(tmp_path / "c.sqlite", create=True) as register:
        register.adopt(base, at="2025-01-01")
        first = gp.move(base, ["U027"], _beside(base, "U027"), register=register, at="2025-06-01")
        grid = first.plan.units.set_index("unit").loc["U027", "grid"]
        other = base.units.set_index("unit").loc["U027", "grid"]
        again = {"force": True, "register": register}
        with pytest.raises(InputError, match="cannot come before"):
            gp.move(first.plan, ["U027"], other, at="2025-03-01", **again)
        assert gp.move(first.plan, ["U027"], other, **again).plan.units["grid"].notna().all()
        assert grid != other


def _beside(plan: gp.Plan, unit: str) -> str:
    """A grid of the same community that a unit borders on, or any other of it."""
    rows = plan.units.reset_index(drop=True)
    at = rows.index[rows["unit"] == unit][0]
    graph = plan.contiguity
    near = rows.loc[graph.indices[graph.indptr[at] : graph.indptr[at + 1]], "grid"]
    near = near[near != rows.loc[at, "grid"]]
    same = rows.loc[rows["place"] == rows.loc[at, "place"], "grid"]
    return str(near.iloc[0] if len(near) else same[same != rows.loc[at, "grid"]].iloc[0])
