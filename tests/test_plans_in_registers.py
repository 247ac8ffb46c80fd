"""Plans whose codes live in a register: grids and micro-grids agree after every change."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from shapely import box

import gridpart as gp
from gridpart.cli import main
from gridpart.codes import snapshot_of
from gridpart.errors import InputError

PARENT, OTHER = "420583001001", "420583001002"
LEVELS = {"micro": (50, 100)}


def lattice(width: int = 12, height: int = 8, households: int = 25) -> gpd.GeoDataFrame:
    """Cells of 100 m in two communities side by side, with the codes of these."""
    rows = [(x, y) for y in range(height) for x in range(width)]
    cells = [box(100 * x, 100 * (height - y), 100 * x + 100, 100 * (height - y) + 100)
             for x, y in rows]  # fmt: skip
    table = {
        "unit": [f"U{k:03d}" for k in range(len(rows))],
        "place": ["west" if x < width // 2 else "east" for x, _ in rows],
        "parent": [PARENT if x < width // 2 else OTHER for x, _ in rows],
        "households": households,
    }
    return gpd.GeoDataFrame(table, geometry=cells, crs="EPSG:4547")


@pytest.fixture(scope="module")
def bare() -> gp.Plan:
    return gp.partition(lattice(), id="unit", within="place", low=200, high=400, levels=LEVELS)


@pytest.fixture
def coded(bare: gp.Plan) -> gp.Plan:
    """Coded without a register."""
    return gp.assign_codes(bare, parent="parent", scheme="micro-grid")


@pytest.fixture
def entered(bare: gp.Plan, micro: gp.Register) -> gp.Plan:
    """Coded through a register of grids and micro-grids; both databases."""
    return gp.assign_codes(bare, parent="parent", register=micro)


@pytest.fixture
def book(tmp_path: Path) -> Iterator[gp.Register]:
    with gp.open_register(tmp_path / "b.sqlite", create=True, scheme="micro-grid") as opened:
        yield opened


def today(plan: gp.Plan) -> gpd.GeoDataFrame:
    return plan.units[["unit", "place", "parent", "households", "geometry"]].copy()


def sound(plan: gp.Plan) -> None:
    """Every area has one code of its own under its grid's, which no former one had."""
    units = plan.units
    assert units["grid_code"].notna().all()
    assert units["micro_code"].notna().all()
    assert (units["micro_code"].str[:15] == units["grid_code"]).all()
    assert (units["grid_code"].str[:12] == units["parent"]).all()
    for name, code in (("grid", "grid_code"), ("micro", "micro_code")):
        pairs = units[[name, code]].drop_duplicates()
        assert pairs[name].is_unique
        assert pairs[code].is_unique
    assert not units[["micro", "grid"]].drop_duplicates()["micro"].duplicated().any()
    below = plan.exceptions[plan.exceptions["level"] == "micro"]
    assert below["grid"].map(
        units.drop_duplicates("micro").set_index("micro")["grid"]
    ).tolist() == (below["within"].tolist())
    for key, code in (("retired_codes", "grid_code"), ("retired_codes_below", "micro_code")):
        assert not set(json.loads(plan.provenance.get(key, "[]"))) & set(units[code])


def agree(plan: gp.Plan, register: gp.Register) -> None:
    """What lives in the register is the plan, at both levels: codes, households and ground."""
    sound(plan)
    table = register.codes(live=True, ground="last")
    for level, areas in (("grid", plan.grids), ("micro", plan.at_level("micro").grids)):
        live = table[table["level"] == level].set_index("code").sort_index()
        areas = areas.set_index("grid_code").sort_index()
        assert live.index.tolist() == areas.index.tolist()
        assert live["households"].astype("int64").tolist() == areas["households"].tolist()
        assert live.geometry.geom_equals(areas.geometry).all()
    faults = register.verify()
    assert faults.empty, faults.to_string()


def codes_of(plan: gp.Plan, level: str = "micro") -> pd.Series:
    return plan.units.drop_duplicates(level).set_index(level)[f"{level}_code"]


def whole_micro(plan: gp.Plan, source: str, target: str) -> list[str]:
    """Units of a micro-grid of one grid that borders on another."""
    names, graph = plan.units["grid"].to_numpy(object), plan.contiguity
    at = (names[graph.rows] == source) & (names[graph.indices] == target)
    micro = plan.units["micro"].iloc[graph.rows[at][0]]
    return plan.units.loc[plan.units["micro"] == micro, "unit"].tolist()


def neighbours(plan: gp.Plan) -> tuple[str, str]:
    """Two grids of one community that border on each other."""
    units, graph = plan.units, plan.contiguity
    names, place = units["grid"].to_numpy(object), units["place"].to_numpy(object)
    i, j = graph.rows, graph.indices
    at = np.flatnonzero((names[i] != names[j]) & (place[i] == place[j]))[0]
    return str(names[i[at]]), str(names[j[at]])


def refused(call: Callable[[], Any]) -> dict[str, tuple[str, ...]]:
    with pytest.raises(InputError) as caught:
        call()
    return {problem.kind: problem.examples for problem in caught.value.problems}


# --------------------------------------------------------------------------- micro-grids


def test_a_moved_micro_grid_gets_a_code_of_its_new_grid(entered, micro) -> None:
    source, target = neighbours(entered)
    own = whole_micro(entered, source, target)
    moved = gp.move(entered, own, target, force=True, register=micro).plan
    agree(moved, micro)
    units = moved.units.set_index("unit")
    before = entered.units.set_index("unit")
    assert units["grid_code"].drop(own).equals(before["grid_code"].drop(own))
    assert units["micro_code"].drop(own).equals(before["micro_code"].drop(own))
    (old,), (new,) = set(before.loc[own, "micro_code"]), set(units.loc[own, "micro_code"])
    assert new > max(code for code in before["micro_code"] if code[:15] == new[:15])
    facts = micro.codes().set_index("code")
    assert (facts.loc[old, "state"], facts.loc[old, "successors"]) == ("retired", new)
    assert facts.loc[new, "predecessors"] == old
    changes = micro.changes()
    assert len(changes) == 2  # the plan, and one change for all
    line = micro.lineage(old)
    assert line.loc[line["direction"] == "to", ["code", "share"]].to_numpy().tolist() == [[new, 1]]
    assert json.loads(moved.provenance["retired_codes_below"]) == [old]
    carried = snapshot_of(moved).set_index("code")["households"]
    assert set(carried.index) == {*units["grid_code"], *units["micro_code"]}
    assert carried[new] == entered.units.set_index("unit").loc[own, "households"].sum()


def test_micro_grids_follow_a_split_and_a_merge(entered, micro) -> None:
    grid = entered.grids["grid"].iloc[0]
    halves = gp.split(entered, grid, force=True, register=micro)
    agree(halves.plan, micro)
    told = halves.effects[halves.effects["rule"] == "codes"]["text"].tolist()
    count = entered.units.loc[entered.units["grid"] == grid, "micro"].nunique()
    assert any(f"codes of the level micro: {count} retired" in text for text in told)
    assert any(f"codes of the level micro: {count} new" in text for text in told)
    fresh = sorted(set(halves.plan.grids["grid"]) - set(entered.grids["grid"]))
    merged = gp.merge(halves.plan, fresh, force=True, register=micro).plan
    agree(merged, micro)
    old = entered.units.loc[entered.units["grid"] == grid, "micro_code"].iloc[0]
    line = micro.lineage(old)
    assert line["generation"].max() == 2
    table = micro.codes().set_index("code")
    one = merged.grids.set_index("grid")["grid_code"].drop(entered.grids["grid"], errors="ignore")
    # serials begin anew under a new grid, in the order of the areas
    below = sorted(code for code in codes_of(merged) if code[:15] == one.iloc[0])
    assert [code[15:] for code in below] == [f"{k:02d}" for k in range(1, len(below) + 1)]
    assert (table.loc[below, "state"] == "live").all()


def test_a_micro_grid_that_is_forced_apart_becomes_two(entered, micro) -> None:
    source, target = neighbours(entered)
    own = whole_micro(entered, source, target)
    name = entered.units.set_index("unit").loc[own[0], "micro"]
    edit = gp.move(entered, own[:1], target, force=True, reason="the lane", register=micro)
    assert {problem.kind for problem in edit.broken} >= {"micro"}
    agree(edit.plan, micro)
    units = edit.plan.units.set_index("unit")
    other = units.loc[own[0], "micro"]
    assert set(units.loc[own[1:], "micro"]) == {name}
    assert other == f"{target}-{other[-3:]}" != name
    # what stays keeps its code, what left has one whose predecessor that is
    table = micro.codes().set_index("code")
    assert units.loc[own[1], "micro_code"] == codes_of(entered)[name]
    assert table.loc[units.loc[own[0], "micro_code"], "predecessors"] == codes_of(entered)[name]
    rows = edit.plan.exceptions.query("level == 'micro'").set_index("grid")
    assert (rows.loc[other, "reason"], rows.loc[other, "missed"]) == ("by_hand", 25)
    assert rows.loc[other, "within"] == target
    assert "the lane" in rows.loc[other, "advice"]


def test_a_redraw_takes_the_micro_grids_along(entered, micro) -> None:
    plan = entered
    rng = np.random.default_rng(5)
    for step in range(4):
        units = today(plan)
        rows = units.index[rng.choice(len(units), 3, replace=False)]
        units.loc[rows, "households"] = rng.integers(0, 300, 3)
        if step == 2:
            units = units.drop(index=units.index[40:43])
        plan = gp.redraw(plan, units, register=micro, reason=f"year {step}").plan
        agree(plan, micro)
    table = micro.codes()
    assert (table["level"] == "micro").sum() > codes_of(entered).nunique()
    # what was drawn anew says where its ground comes from
    fresh = table[(table["level"] == "micro") & table["reason"].str.startswith("year")]
    live = fresh[fresh["state"] == "live"]
    assert len(live)
    assert live["predecessors"].ne("").all()


def test_a_redraw_with_more_households_and_no_move_is_entered(entered, micro) -> None:
    units = today(entered)
    units.loc[5, "households"] += 10
    again = gp.redraw(entered, units, register=micro)
    assert again.households_moved == 0
    agree(again.plan, micro)
    assert len(micro.changes()) == 2
    nothing = gp.redraw(again.plan, units, register=micro)
    agree(nothing.plan, micro)
    assert len(micro.changes()) == 2


def test_random_edits_keep_plan_and_register_alike(bare, book, tmp_path) -> None:
    rng = np.random.default_rng(11)
    plan = gp.assign_codes(bare, parent="parent", register=book)
    done, surprises = 0, list[str]()
    while done < 18:
        ids, names = plan.units["unit"].to_numpy(object), plan.units["grid"].to_numpy(object)
        graph = plan.contiguity
        across = np.flatnonzero(names[graph.rows] != names[graph.indices])
        at = across[rng.integers(across.size)]
        a, b = graph.rows[at], graph.indices[at]
        force = plan.units["place"].iloc[a] == plan.units["place"].iloc[b]
        verb = str(rng.choice(["move", "split", "merge", "swap", "redraw"]))
        given: tuple[Any, ...] = {
            "move": (ids[a], names[b]), "split": (names[a],), "merge": ([names[a], names[b]],),
            "swap": (ids[a], ids[b]),
        }.get(verb, ())  # fmt: skip
        try:
            if verb == "redraw":
                units = today(plan)
                units.loc[units.index[a], "households"] = int(rng.integers(5, 120))
                plan = gp.redraw(plan, units, register=book).plan
            else:
                plan = getattr(gp, verb)(plan, *given, force=force, register=book).plan
        except InputError as error:
            if force:
                surprises.append(str(error))
            continue
        done += 1
        agree(plan, book)
        if done % 8 == 0:  # what is written is what is read
            plan.save(tmp_path / "plan.gpkg")
            plan = gp.read_plan(tmp_path / "plan.gpkg")
    # all that is refused with force is what cannot be split, or swapped with itself
    assert all("split" in text for text in surprises), surprises


def test_a_history_enters_micro_grids_at_its_end(entered, micro) -> None:
    history = gp.History(entered)
    source, target = neighbours(entered)
    history.move(whole_micro(entered, source, target), target, force=True)
    history.split(target, force=True)
    with history.committing(micro, reason="spring") as plan:
        pass
    agree(plan, micro)
    assert len(micro.changes()) == 2


def test_micro_grids_without_codes_get_them(entered, micro) -> None:
    one = entered.units["micro"].iloc[0]
    gap = entered.units["micro_code"].where(entered.units["micro"] != one, None)
    part = entered.replace(units=entered.units.assign(micro_code=gap))
    micro.retire(codes_of(entered)[one], "lost", at=None)
    moved = gp.move(part, whole_micro(part, *neighbours(part)), neighbours(part)[1], force=True,
                    register=micro).plan  # fmt: skip
    agree(moved, micro)


def test_a_register_without_the_level_says_so(coded, tmp_path) -> None:
    with gp.open_register(tmp_path / "c.sqlite", create=True) as register:
        register.adopt(coded)
        with pytest.raises(InputError, match="level micro have codes, but the scheme unit-grid"):
            gp.split(coded, coded.grids["grid"].iloc[0], force=True, register=register)


def test_three_levels_of_codes(bare, tmp_path) -> None:
    """Areas of micro-grids, with codes of their own: parents level by level in one change."""
    scheme = tmp_path / "deep.toml"
    scheme.write_text(
        'extends = "micro-grid"\nname = "deep"\n'
        '[[segments]]\nname = "yard"\nparent = "micro"\nwidth = 2\nalphabet = "0-9"\n'
        'ranges = [[1, 99]]\n[[levels]]\nname = "yard"\nthrough = "yard"\n'
        "[levels.serials]\nbase = [1, 99]\n"
    )
    levels = {"micro": (75, 200), "yard": (25, 75)}
    plan = gp.partition(lattice(), id="unit", within="place", low=200, high=400, levels=levels)
    with gp.open_register(tmp_path / "d.sqlite", create=True, scheme=scheme) as register:
        plan = gp.assign_codes(plan, parent="parent", register=register)
        local = plan
        for _ in range(2):
            grid = plan.grids.sort_values("households")["grid"].iloc[-1]
            plan = gp.split(plan, grid, force=True, register=register).plan
            local = gp.split(local, grid, force=True).plan
            for one in (plan, local):
                units = one.units
                assert (units["micro_code"].str[:15] == units["grid_code"]).all()
                assert (units["yard_code"].str[:17] == units["micro_code"]).all()
            live = register.codes(live=True)
            assert set(live["code"]) == {
                *plan.units["grid_code"], *plan.units["micro_code"], *plan.units["yard_code"]
            }  # fmt: skip
            assert register.verify().empty


# --------------------------------------------------------------------------- without a register


def test_a_redraw_leaves_no_micro_grid_without_a_code(coded) -> None:
    plan, ever = coded, set(codes_of(coded))
    rng = np.random.default_rng(3)
    fresh_ones = 0
    for _ in range(5):
        units = today(plan)
        rows = units.index[rng.choice(len(units), 3, replace=False)]
        units.loc[rows, "households"] = rng.integers(0, 130, 3)
        now = gp.redraw(plan, units).plan
        sound(now)
        fresh = set(codes_of(now)) - set(codes_of(plan))
        assert not fresh & ever
        for code in fresh:
            assert code > max([code[:15], *(one for one in ever if one[:15] == code[:15])])
        fresh_ones += len(fresh)
        ever |= fresh
        plan = now
    assert fresh_ones > 3


def test_the_check_character_is_drawn_again_too(bare, tmp_path) -> None:
    pytest.importorskip("stdnum")
    own = tmp_path / "own.toml"
    own.write_text('extends = "micro-grid"\nname = "own"\ncheck_character = "mod-11-2"\n')
    plan = gp.assign_codes(bare, parent="parent", scheme=own)
    units = today(plan)
    units.loc[27, "households"] += 390
    again = gp.redraw(plan, units).plan
    assert set(again.units["grid_code"]) - set(plan.units["grid_code"])
    scheme = gp.load_scheme(own)
    assert again.units["grid_check"].tolist() == scheme.check_characters(
        again.units["grid_code"]
    ).tolist()  # fmt: skip


@pytest.mark.parametrize("through", [True, False])
def test_a_new_community_is_numbered_under_its_own_code(coded, bare, book, through) -> None:
    """Its parent is read from the column that the other codes begin with."""
    plan = gp.assign_codes(bare, parent="parent", register=book) if through else coded
    options = {"register": book} if through else {}
    cells = [box(1200 + 100 * x, 100 * y, 1300 + 100 * x, 100 * y + 100)
             for x in range(4) for y in range(1, 4)]  # fmt: skip
    built = gpd.GeoDataFrame(
        {"unit": [f"N{k}" for k in range(12)], "place": "new", "parent": "420583001009",
         "households": 25}, geometry=cells, crs="EPSG:4547",
    )  # fmt: skip
    units = pd.concat([today(plan), built], ignore_index=True)
    again = gp.redraw(plan, units, **options).plan
    sound(again)
    if through:
        agree(again, book)
    own = again.units.set_index("unit").loc[built["unit"]]
    assert set(own["grid_code"]) == {"420583001009001"}
    unknown = units.assign(parent=units["parent"].where(units["place"] != "new", None))
    found = refused(lambda: gp.redraw(plan, unknown, **options))
    assert "no_parent" in found


# --------------------------------------------------------------------------- out of date


def test_a_plan_whose_codes_were_retired_since(entered, micro, tmp_path) -> None:
    entered.save(tmp_path / "old.gpkg")
    grid = entered.grids["grid"].iloc[0]
    code = entered.grids["grid_code"].iloc[0]
    newer = gp.split(entered, grid, force=True, register=micro, reason="a tower").plan
    before = micro.codes()
    old = gp.read_plan(tmp_path / "old.gpkg")
    other = old.grids["grid"].iloc[-1]
    for call in (
        lambda: gp.split(old, other, force=True, register=micro),
        lambda: gp.split(old, grid, force=True, register=micro),
        lambda: gp.redraw(old, today(old), register=micro),
        lambda: gp.assign_codes(old, parent="parent", register=micro),
    ):
        found = refused(call)
        assert {"retired_since", "already_retired"} & set(found)
        told = "\n".join(line for examples in found.values() for line in examples)
        assert code in told
    found = refused(lambda: gp.redraw(old, today(old), register=micro))["retired_since"]
    follow = ", ".join(sorted(set(newer.grids["grid_code"]) - set(entered.grids["grid_code"])))
    assert any(
        line.startswith(f"{code}, by change 2 on ")
        and line.endswith(f"(a tower); followed by {follow}")
        for line in found
    )
    pd.testing.assert_frame_equal(micro.codes(), before)
    agree(newer, micro)


def test_a_plan_whose_codes_were_drawn_otherwise_since(entered, micro) -> None:
    """No code was retired: the register has gone on by a border all the same."""
    source, target = neighbours(entered)
    far = sorted(set(entered.grids["grid"]) - {source, target})[0]
    units = today(entered)
    rows = entered.units["grid"] == source
    units.loc[units.index[rows][0], "households"] += 20  # re-counted, nothing more
    newer = gp.redraw(entered, units, register=micro, reason="counted").plan
    before = micro.codes(ground="last")
    for call in (
        lambda: gp.split(entered, far, force=True, register=micro),
        lambda: gp.redraw(entered, today(entered), register=micro),
        lambda: gp.assign_codes(
            entered.replace(units=entered.units.assign(
                grid_code=entered.units["grid_code"].where(entered.units["grid"] != far, None),
                micro_code=entered.units["micro_code"].where(entered.units["grid"] != far, None),
            )),
            parent="parent", register=micro,
        ),
    ):  # fmt: skip
        found = refused(call)["redrawn_since"]
        code = entered.grids.set_index("grid").loc[source, "grid_code"]
        assert any(line.startswith(f"{code}, by change 2 on ") for line in found)
        assert all(line.endswith("(counted)") for line in found)
    pd.testing.assert_frame_equal(micro.codes(ground="last"), before)
    agree(gp.split(newer, far, force=True, register=micro).plan, micro)


def test_an_older_plan_that_does_not_say_its_change(entered, micro) -> None:
    """As plans are that other versions wrote: told by the ground."""
    source, target = neighbours(entered)
    facts = {key: text for key, text in entered.provenance.items() if key != "register_change"}
    old = entered.replace(provenance=facts)
    own = whole_micro(old, source, target)
    moved = gp.move(old, own, target, force=True, register=micro).plan
    agree(moved, micro)
    back = codes_of(moved)
    # the micro-grid goes back under a new code, and the old plan is out of date all the same
    assert refused(lambda: gp.split(old, target, force=True, register=micro)).keys() >= {
        "retired_since", "redrawn_since"
    }  # fmt: skip
    assert back.notna().all()


def test_an_adopted_plan_that_has_a_successor(coded, book) -> None:
    """It says nothing of any register: only its ground tells."""
    book.adopt(coded, at="2021-05-01")
    source, target = neighbours(coded)
    far = sorted(set(coded.grids["grid"]) - {source, target})[0]
    newer = gp.move(coded, whole_micro(coded, source, target), target, force=True, register=book)
    found = refused(lambda: gp.split(coded, far, force=True, register=book))
    codes = coded.grids.set_index("grid")["grid_code"]
    assert {line.split(",")[0] for line in found["redrawn_since"]} == {codes[source], codes[target]}
    assert len(found["retired_since"]) == 1
    agree(newer.plan, book)


def test_a_plan_that_was_changed_without_the_register(entered, micro) -> None:
    source, target = neighbours(entered)
    aside = gp.move(entered, whole_micro(entered, source, target), target, force=True).plan
    found = refused(lambda: gp.redraw(aside, today(aside), register=micro))
    assert set(found) == {"unknown_code", "changed_without"}
    codes = entered.grids.set_index("grid")["grid_code"]
    assert {codes[source], codes[target]} <= set(found["changed_without"])


def test_an_adopted_plan_may_have_other_ground(coded, book) -> None:
    """The first change tells the register what its codes stand for."""
    grids = coded.grids.assign(households=7)
    book.adopt(grids.drop(columns="grid"), code="grid_code", at="2021-05-01")
    below = coded.at_level("micro").grids
    book.adopt(below.drop(columns="grid"), code="grid_code", at="2021-05-01")
    units = today(coded)
    agree(gp.redraw(coded, units, register=book).plan, book)


def test_ground_that_was_cleared_may_have_lost_its_code_before(entered, micro) -> None:
    """Retired by hand in the register, then drawn out of the plan; never while it is there."""
    grid = entered.grids["grid"].iloc[0]
    own = entered.units[entered.units["grid"] == grid]
    codes = [own["grid_code"].iloc[0], *own["micro_code"].unique()]
    micro.retire(codes, "cleared")
    told = refused(lambda: gp.redraw(entered, today(entered), register=micro))
    assert {line.split(",")[0] for line in told["retired_since"]} == set(codes)
    far = entered.grids["grid"].iloc[-1]
    assert "retired_since" in refused(lambda: gp.split(entered, far, force=True, register=micro))
    units = today(entered).drop(index=own.index)
    left = gp.redraw(entered, units, register=micro).plan
    agree(left, micro)
    assert set(codes) <= {
        *json.loads(left.provenance["retired_codes"]),
        *json.loads(left.provenance["retired_codes_below"]),
    }


def test_a_coded_plan_is_adopted_with_its_micro_grids(coded, book, tmp_path) -> None:
    number = book.adopt(coded, at="2021-05-01")
    assert number == len(coded.grids) + codes_of(coded).nunique()
    agree(coded, book)
    source, target = neighbours(coded)
    agree(gp.merge(coded, [source, target], force=True, register=book).plan, book)
    with gp.open_register(tmp_path / "u.sqlite", create=True) as plain:
        assert plain.adopt(coded) == len(coded.grids)  # a scheme without micro-grids


def test_somebody_is_quicker_between_the_check_and_the_change(entered, micro, monkeypatch) -> None:
    """The change itself looks again, in its transaction."""
    import gridpart.codes.current as current

    source, target = neighbours(entered)
    far = sorted(set(entered.grids["grid"]) - {source, target})[0]
    units = today(entered)
    units.loc[units.index[entered.units["grid"] == source][0], "households"] += 20
    gp.redraw(entered, units, register=micro, reason="counted")
    nothing = current.Standing((), frozenset(), frozenset())
    monkeypatch.setattr(current, "check_plan", lambda *_, **__: nothing)
    found = refused(lambda: gp.split(entered, far, force=True, register=micro))
    assert list(found) == ["redrawn_since"]


def test_the_commands_refuse_what_is_out_of_date(coded, tmp_path, capsys) -> None:
    plan, newer, codes = tmp_path / "p.gpkg", tmp_path / "n.gpkg", tmp_path / "c.sqlite"
    coded.replace(units=coded.units.drop(columns=["grid_code", "micro_code"])).save(plan)
    units = tmp_path / "u.gpkg"
    today(coded).to_file(units, layer="units")
    at = ("--register", str(codes))
    assert main(["register", "create", *at, "--scheme", "micro-grid"]) == 0
    assert main(["code", str(plan), "-o", str(plan), "--parent-col", "parent", *at]) == 0
    grid = coded.grids["grid"].iloc[0]
    splitting = ["edit", str(plan), "--force", *at, "split", "--grid", grid]
    assert main([*splitting[:2], "-o", str(newer), *splitting[2:]]) == 0
    assert "codes of the level micro issued in" in capsys.readouterr().out
    written = codes.read_bytes()
    redrawing = ["redraw", str(plan), "--units", str(units), *at]
    out = ["-o", str(tmp_path / "o.gpkg")]
    for words in (
        [*splitting[:2], *out, *splitting[2:]], [*splitting[:2], "--dry-run", *splitting[2:]],
        [*redrawing, *out], [*redrawing, "--dry-run"],
        ["code", str(plan), *out, "--parent-col", "parent", *at],
    ):  # fmt: skip
        capsys.readouterr()
        assert main(words) == 2, words
        told = capsys.readouterr().err
        assert coded.grids["grid_code"].iloc[0] in told
        assert "retired" in told
    assert codes.read_bytes() == written
    # without the register it can be done, but not without a word
    assert main([*redrawing[:4], "--dry-run"]) == 0
    assert "the plan's codes are of a register" in capsys.readouterr().err
    assert main([*splitting[:2], "--dry-run", "--force", *splitting[5:]]) == 0
    assert "the plan's codes are of a register" in capsys.readouterr().err
    assert not (tmp_path / "o.gpkg").exists()
    assert main(["redraw", str(newer), "--units", str(units), *at, *out]) == 0
    with sqlite3.connect(codes) as link:
        assert link.execute("SELECT count(*) FROM register_events").fetchone() == (2,)


# --------------------------------------------------------------------------- dates


def test_a_change_is_not_of_tomorrow(entered, micro) -> None:
    grid = entered.grids["grid"].iloc[0]
    soon = datetime.now(UTC) + timedelta(days=3)
    for at in ("2062-11-22", soon):
        with pytest.raises(InputError, match="later than today"):
            gp.split(entered, grid, force=True, register=micro, at=at)
        with pytest.raises(InputError, match="later than today"):
            gp.redraw(entered, today(entered), register=micro, at=at)
    agree(entered, micro)


def test_no_command_takes_a_date_to_come(coded, tmp_path, capsys) -> None:
    plan, codes = tmp_path / "p.gpkg", tmp_path / "c.sqlite"
    coded.save(plan)
    units = tmp_path / "u.gpkg"
    today(coded).to_file(units, layer="units")
    at = ["--register", str(codes), "--at", "2062-11-22"]
    assert main(["register", "create", *at[:2], "--scheme", "micro-grid"]) == 0
    grid, code = coded.grids.iloc[0][["grid", "grid_code"]]
    out = ["-o", str(tmp_path / "o.gpkg")]
    assert main(["register", "adopt", str(plan), *at]) == 2
    assert "later than today" in capsys.readouterr().err
    with gp.open_register(codes) as register:
        assert register.codes().empty
        register.adopt(coded, at="2021-05-01")
    for words in (
        ["edit", str(plan), *out, *at, "--force", "split", "--grid", grid],
        ["redraw", str(plan), "--units", str(units), *out, *at],
        ["code", str(plan), *out, "--parent-col", "parent", *at],
        ["register", "retire", code, "--reason", "x", *at],
    ):
        assert main(words) == 2, words
        assert "2062-11-22, later than today" in capsys.readouterr().err
