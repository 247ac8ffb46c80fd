"""Hand edits: what they do, what they refuse, and that nothing is left behind when taken back."""

from __future__ import annotations

import json

import geopandas as gpd
import networkx as nx
import numpy as np
import pandas as pd
import pytest
import shapely

import gridpart as gp
from gridpart.errors import InputError
from gridpart.plan import Plan
from gridpart.redraw import Edit

CRS = "EPSG:4547"


def town(width: int, height: int, households: int | list[int] = 50, **columns: object):
    """Square parcels of 100 m in rows from the south-west; ids p0, p1, ..."""
    boxes = [
        shapely.box(x, y, x + 100, y + 100)
        for y in range(0, 100 * height, 100)
        for x in range(0, 100 * width, 100)
    ]
    frame = {"unit": [f"p{k}" for k in range(len(boxes))], "households": households, **columns}
    return gpd.GeoDataFrame(frame, geometry=boxes, crs=CRS)


def drawn(units: gpd.GeoDataFrame, labels: list[str], **rules: object) -> Plan:
    """A plan with just these grids, and the graph and lines that partition makes of the rules."""
    given = {"low": 100, "high": 300, "id": "unit", **rules}
    plan = gp.partition(units.assign(locked_in=labels), locked="locked_in", **given)
    assert sorted(set(plan.units["grid"])) == sorted(set(labels))
    own = plan.rules.__class__(**{**vars(plan.rules), "locked": None})
    return plan.replace(
        rules=own, units=plan.units.drop(columns="locked_in"), exceptions=plan.exceptions.iloc[:0]
    )


def row(plan: Plan, grid: str) -> pd.Series:
    return plan.grids.set_index("grid").loc[grid]


def verdicts(edit: Edit) -> dict[tuple[str, str], str]:
    table = edit.effects
    return {(r["rule"], r["grid"]): r["verdict"] for _, r in table.iterrows()}


def refused(call, *told: str) -> InputError:
    """The edit is refused, and its message has every one of the texts."""
    with pytest.raises(InputError) as error:
        call()
    for text in told:
        assert text in str(error.value)
    return error.value


@pytest.fixture(scope="module")
def plan() -> Plan:
    """Four grids of six parcels, 300 households each, in a strip of 12 by 2."""
    units = town(12, 2)
    labels = [f"G00{1 + (k % 12) // 3}" for k in range(24)]
    made = drawn(units, labels, low=100, high=400)
    return gp.assign_codes(made, parent="420583001001")


# ---------------------------------------------------------------- the four edits


def test_move_keeps_names_and_codes(plan):
    edit = gp.move(plan, ["p2", "p14"], "G002")
    assert edit.plan.grids["households"].tolist() == [200, 400, 300, 300]
    assert edit.plan.grids["grid_code"].tolist() == plan.grids["grid_code"].tolist()
    assert not edit.broken
    assert edit.sentence == "moved units p2, p14 (100 households) from G001 to G002"
    assert edit.changes.households_moved == 100
    assert plan.grids["households"].tolist() == [300] * 4
    assert verdicts(edit)["band", "G002"] == "kept"
    assert "kept          band, codes, connectivity" in repr(edit)


def test_move_by_code_and_by_index(plan):
    code = row(plan, "G002")["grid_code"]
    assert gp.move(plan, "p2", code).plan.units["grid"].iloc[2] == "G002"
    bare = plan.replace(rules=plan.rules.__class__(**{**vars(plan.rules), "id": None}))
    assert gp.move(bare, 2, "G002").plan.units["grid"].iloc[2] == "G002"
    assert gp.move(bare, ["2", "14"], "G002").plan.units["grid"].iloc[14] == "G002"


def test_a_grid_that_gives_its_last_unit_is_retired(plan):
    small = gp.split(plan, "G001", [["p0", "p12"]], force=True).plan
    (name,) = small.units.loc[small.units["unit"] == "p0", "grid"]
    edit = gp.move(small, ["p0", "p12"], "G006" if name == "G005" else "G005")
    assert ("codes", name) in verdicts(edit)
    assert verdicts(edit)["codes", name] == "retired"
    assert name not in set(edit.plan.grids["grid"])


def test_split_gives_new_names_and_higher_codes(plan):
    edit = gp.split(plan, "G002")
    assert edit.plan.grids["grid"].tolist() == ["G001", "G003", "G004", "G005", "G006"]
    fresh = edit.plan.grids.set_index("grid").loc[["G005", "G006"]]
    assert fresh["grid_code"].tolist() == ["420583001001005", "420583001001006"]
    assert fresh["households"].sum() == 300
    assert edit.changes.pairs.set_index("new_grid").loc["G005", "change"] == "S"
    assert verdicts(edit)["codes", "G002"] == "retired"
    assert verdicts(edit)["codes", "G005"] == "new"


def test_split_into_given_groups_and_the_rest(plan):
    edit = gp.split(plan, "G002", [["p3", "p15"], ["p4", "p16"]])
    labels = edit.plan.units.set_index("unit")["grid"]
    parts = [set(labels[[a, b]]) for a, b in (("p3", "p15"), ("p4", "p16"), ("p5", "p17"))]
    assert sorted(map(len, parts)) == [1, 1, 1]
    assert set.union(*parts) == {"G005", "G006", "G007"}
    # named in rows from the north-west, as everywhere
    assert [next(iter(part)) for part in parts] == ["G005", "G006", "G007"]


def test_merge_gives_a_new_name_and_code(plan):
    halves = gp.split(plan, "G002").plan
    edit = gp.merge(halves, ["G005", "420583001001006"])
    assert row(edit.plan, "G007")["grid_code"] == "420583001001007"
    assert row(edit.plan, "G007")["households"] == 300
    assert edit.changes.pairs["change"].value_counts().to_dict() == {"U": 3, "M": 2}


def test_names_and_codes_are_never_used_again(plan):
    now = plan
    for _ in range(3):  # the highest serial is retired each time
        parts = gp.split(now, now.grids["grid"].iloc[-1]).plan
        now = gp.merge(parts, parts.grids["grid"].tolist()[-2:]).plan
    assert now.grids["grid"].tolist() == ["G001", "G002", "G003", "G013"]
    assert now.grids["grid_code"].iloc[-1] == "420583001001013"
    retired = json.loads(now.provenance["retired_codes"])
    assert len(retired) == len(set(retired)) == 9
    assert not set(retired) & set(now.grids["grid_code"])


def test_what_was_retired_is_known_after_saving(plan, tmp_path):
    halves = gp.split(plan, "G004").plan
    merged = gp.merge(halves, ["G005", "G006"], reason="both halls are one now").plan
    merged.save(tmp_path / "plan.gpkg")
    again = gp.read_plan(tmp_path / "plan.gpkg")
    fresh = gp.split(again, "G007").plan.grids
    assert fresh["grid"].tolist()[-2:] == ["G008", "G009"]
    assert fresh["grid_code"].tolist()[-2:] == ["420583001001008", "420583001001009"]
    assert "both halls" in json.loads(again.provenance["edits"])[-1]


def test_swap_exchanges_units():
    units = town(4, 2, [60, 60, 40, 40, 50, 50, 70, 70])
    plan = drawn(units, ["G1", "G1", "G2", "G2"] * 2, low=200, high=300)
    edit = gp.swap(plan, "p1", "p6", force=True)
    labels = edit.plan.units.set_index("unit")["grid"]
    assert (labels["p1"], labels["p6"]) == ("G2", "G1")
    assert edit.plan.grids["households"].tolist() == [230, 210]
    refused(lambda: gp.swap(plan, ["p1", "p2"], "p6"), "units of one grid")
    refused(lambda: gp.swap(plan, "p1", "p5"), "units of one grid")


def test_a_plan_without_codes_gets_none():
    plan = drawn(town(4, 2), ["G1", "G1", "G2", "G2"] * 2)
    edit = gp.split(plan, "G1")
    assert "grid_code" not in edit.plan.units.columns
    assert "codes" not in set(edit.effects["rule"])


def test_names_go_by_community():
    units = town(4, 2, community=["Ost", "Ost", "West", "West"] * 2)
    plan = drawn(units, ["Ost-001", "Ost-001", "West-001", "West-001"] * 2, within="community")
    edit = gp.split(plan, "West-001")
    assert edit.plan.grids["grid"].tolist() == ["Ost-001", "West-002", "West-003"]
    assert edit.plan.grids["within"].tolist() == ["Ost", "West", "West"]


# ---------------------------------------------------------------- what cannot be meant


def test_words_that_mean_nothing(plan):
    refused(lambda: gp.move(plan, "p99", "G001"), "unit p99", "did you mean")
    refused(lambda: gp.move(plan, "p1", "G01"), "no grid 'G01'", "did you mean G0")
    refused(lambda: gp.move(plan, ["p0", "p3"], "G001"), "in grid G001 already", "unit p0")
    refused(lambda: gp.move(plan, [], "G001"), "no unit is named")
    refused(lambda: gp.move(plan, ["p3", "p3"], "G001"), "named twice")
    refused(lambda: gp.merge(plan, ["G001"]), "two grids or more")
    refused(lambda: gp.merge(plan, "G001"), "two grids or more")
    refused(lambda: gp.split(plan, "G001", into=1), "split into 2 to 6")
    refused(lambda: gp.split(plan, "G001", into=7), "split into 2 to 6")
    refused(lambda: gp.split(plan, "G001", [["p0", "p3"]]), "not in grid G001", "unit p3")
    refused(lambda: gp.split(plan, "G001", [["p0"], ["p0"]]), "unit p0 is in two groups")
    everything = [f"p{k}" for k in (0, 1, 2, 12, 13, 14)]
    refused(lambda: gp.split(plan, "G001", [everything]), "two groups or more")


def test_a_split_that_cannot_be():
    units = town(5, 1).drop(index=2)  # two pieces of one grid
    plan = drawn(units, ["G1"] * 4, low=50, high=300)
    edit = gp.split(plan, "G1", into=2)
    assert edit.plan.grids["households"].tolist() == [100, 100]
    bridge = drawn(town(5, 1).drop(index=[1, 3]), ["G1"] * 3, low=50, high=300)
    refused(lambda: gp.split(bridge, "G1", into=2), "only into 3")


# ---------------------------------------------------------------- the rules, one by one


def test_band(plan):
    error = refused(
        lambda: gp.move(plan, ["p0", "p1", "p2", "p12", "p13"], "G002"),
        "grid G001 would have 50 households, 50 fewer than 100",
        "grid G002 would have 550 households, 150 more than 400",
        "nothing was changed",
    )
    assert {problem.kind for problem in error.problems} == {"band", "refused"}


def test_a_grid_outside_the_band_may_come_nearer():
    units = town(6, 1, [100, 100, 100, 200, 200, 200])
    plan = drawn(units, ["G1"] * 3 + ["G2"] * 3, low=100, high=350)
    edit = gp.move(plan, "p3", "G1", force=True)  # 500 above 350, and 400 below 600
    assert verdicts(edit)["band", "G1"] == "broken"
    assert verdicts(edit)["band", "G2"] == "still outside"
    worse = drawn(units, ["G1"] * 2 + ["G2"] * 4, low=100, high=350)
    edit = gp.move(worse, "p2", "G1")  # 700 becomes 600: still outside, but nearer
    assert not edit.broken
    assert verdicts(edit) == {
        ("band", "G1"): "kept", ("band", "G2"): "still outside",
        ("connectivity", "G1"): "kept", ("connectivity", "G2"): "kept",
    }  # fmt: skip
    left = edit.plan.exceptions
    assert left[["grid", "households", "missed", "reason"]].to_numpy().tolist() == [
        ["G2", 600, 250, "by_hand"]
    ]
    cured = gp.split(edit.plan, "G2", [["p3"], ["p4"]])
    assert cured.plan.exceptions.empty
    assert verdicts(cured)["band", "G3"] == "better"


def test_connectivity(plan):
    refused(
        lambda: gp.move(plan, ["p1", "p13"], "G002"),
        "grid G001 would be in 2 parts: 100 households in 2 units",
        "grid G002 would be in 2 parts: 100 households in 2 units (p1, p13) lie apart",
    )


def test_barriers():
    units = town(4, 1, 100)
    river = gpd.GeoSeries([shapely.LineString([(200, -10), (200, 110)])], crs=CRS)
    plan = drawn(units, ["G1", "G1", "G2", "G2"], low=50, high=400, barriers=river)
    error = refused(
        lambda: gp.move(plan, "p1", "G2"),
        "grid G2 would be in 2 parts: 100 households in 1 unit (p1) lie beyond a barrier",
    )
    assert [problem.kind for problem in error.problems] == ["barriers", "refused"]
    refused(lambda: gp.merge(plan, ["G1", "G2"]), "beyond a barrier")


def test_communities():
    units = town(4, 1, 100, community=["A", "A", "B", "B"])
    plan = drawn(units, ["A-001", "A-001", "B-001", "B-001"], low=100, high=400, within="community")
    refused(
        lambda: gp.move(plan, "p1", "B-001"),
        "grid B-001 would cross a border of community: A (100 households) and B (200 households)",
    )
    refused(lambda: gp.merge(plan, ["A-001", "B-001"]), "would cross a border of community")


def test_exclusive_grids():
    units = town(4, 1, 100, school=["", "", "", "School 3"])
    plan = gp.partition(units, id="unit", exclusive="school", low=100, high=400, n_grids=1)
    school, rest = "G002", "G001"
    assert row(plan, school)["kind"] == "exclusive"
    refused(
        lambda: gp.move(plan, "p2", school),
        "exclusive School 3 of 100 households would no longer be a grid alone: in grid G002 with",
    )
    refused(lambda: gp.merge(plan, [school, rest]), "exclusive School 3")
    forced = gp.move(plan, "p2", school, force=True, reason="one porter").plan
    by_hand = forced.exceptions.set_index("grid").loc[school]
    assert (by_hand["reason"], by_hand["missed"]) == ("by_hand", 0)
    assert "one porter" in by_hand["advice"]
    assert "no longer be a grid alone" in by_hand["advice"]


def test_an_exclusive_code_has_a_range_of_its_own(tmp_path):
    units = town(6, 1, 100, school=["", "", "", "", "S", "S"])
    plan = gp.partition(units, id="unit", exclusive="school", low=100, high=400, n_grids=1)
    plan = gp.assign_codes(plan, parent="420583001001")
    (site,) = plan.grids.loc[plan.grids["kind"] == "exclusive", "grid"]
    refused(lambda: gp.split(plan, site), "exclusive S of 200 households", "divided between")
    forced = gp.split(plan, site, force=True)
    assert (forced.plan.grids["kind"] == "exclusive").sum() == 2


def test_locked_grids():
    units = town(6, 1, 100, lock=["", "", "east", "east", "", ""])
    plan = gp.partition(units, id="unit", locked="lock", low=100, high=400, n_grids=2)
    refused(lambda: gp.move(plan, "p1", "east"), "locked east of 200 households")
    other = plan.units["grid"].iloc[0]
    refused(lambda: gp.move(plan, "p2", other), "locked east of 200 households", "divided between")
    refused(lambda: gp.split(plan, "east"), "locked east")


def test_compounds():
    units = town(6, 1, 100, estate=["", "Lotus", "Lotus", "", "", ""])
    plan = drawn(units, ["G1"] * 3 + ["G2"] * 3, low=100, high=400, keep_whole="estate")
    refused(
        lambda: gp.move(plan, "p2", "G2"),
        "compound Lotus of 200 households would be divided between G1 and G2",
    )
    assert not gp.move(plan, ["p1", "p2"], "G2", force=True).effects["rule"].eq("compound").any()
    # one that no grid can hold is divided anyhow
    narrow = plan.replace(rules=plan.rules.__class__(**{**vars(plan.rules), "high": 150}))
    edit = gp.move(narrow, "p2", "G2", force=True)
    assert verdicts(edit)["compound", "G1, G2"] == "still outside"


def test_other_bounds_and_width():
    units = town(6, 1, 100, over65=[10, 10, 10, 40, 10, 10])
    plan = drawn(
        units, ["G1"] * 3 + ["G2"] * 3, low=100, high=400,
        bounds={"over65": (0, 60), "area_m2": (0, 35_000)}, max_diameter_m=330.0,
    )  # fmt: skip
    refused(
        lambda: gp.move(plan, "p3", "G1"),
        "grid G1 would have 70 over65, 10 more than 60",
        "grid G1 would have 40,000 area_m2, 5,000 more than 35,000",
        "grid G1 would be 412 m wide, more than 330 m",
    )


def test_areas_of_a_lower_level_stay_in_one_grid():
    units = town(8, 1, 50)
    plan = gp.partition(
        units, id="unit", low=100, high=300, n_grids=2, levels={"micro": (100, 100)}
    )
    labels = plan.units
    pairs = labels.groupby("micro")["unit"].agg(list)
    edge = labels.loc[labels["grid"] == "G001", "unit"].iloc[-1]
    own = next(list(pair) for pair in pairs if edge in pair)
    assert len(own) > 1
    refused(lambda: gp.move(plan, edge, "G002"), "micro", "would be divided between G001 and G002")
    moved = gp.move(plan, own, "G002", force=True)
    assert not [problem for problem in moved.broken if problem.kind == "micro"]
    parts = gp.split(plan, "G001", force=True).plan.units
    assert not parts[["micro", "grid"]].drop_duplicates()["micro"].duplicated().any()


def test_codes_of_areas_of_a_lower_level_follow_their_grid():
    units = town(8, 1, 50)
    plan = gp.partition(
        units, id="unit", low=100, high=300, n_grids=2, levels={"micro": (100, 100)}
    )
    plan = gp.assign_codes(plan, parent="420583001001", scheme="micro-grid")
    edge = plan.units.loc[plan.units["grid"] == "G001", "micro"].iloc[-1]
    own = plan.units.loc[plan.units["micro"] == edge, "unit"].tolist()
    before = plan.units.set_index("unit")["micro_code"]
    moved = gp.move(plan, own, "G002", force=True, scheme="micro-grid").plan
    after = moved.units
    codes = after.set_index("unit")["micro_code"]
    assert (codes.str[:15] == after.set_index("unit")["grid_code"]).all()
    others = [unit for unit in before.index if unit not in own]
    assert codes[others].equals(before[others])
    assert not set(codes[own]) & set(before)
    home = gp.move(moved, own, "G001", force=True, scheme="micro-grid").plan
    assert set(home.units.set_index("unit")["micro_code"][own]) != set(before[own])  # never again


def test_a_grid_forced_across_a_border_is_numbered_where_most_of_it_lies():
    parents = ["420583001001"] * 2 + ["420583001002"] * 4
    units = town(6, 1, [150, 150, 100, 100, 100, 100], community=parents)
    labels = ["A", "A", "B1", "B1", "B2", "B2"]
    made = drawn(units, labels, within="community", low=100, high=800)
    coded = gp.assign_codes(made, parent="community")
    # the largest of the three lies in the first community, most households in the second
    merged = gp.merge(coded, ["A", "B1", "B2"], force=True, reason="one hall").plan
    [grid] = merged.grids.to_dict("records")
    assert grid["within"] == "420583001002"
    assert grid["grid_code"][:12] == "420583001002"
    assert grid["grid_code"] > max(coded.grids["grid_code"])


def test_codes_of_two_parents_do_not_merge():
    units = town(4, 1, 100, parent=["420583001001"] * 2 + ["420583001002"] * 2)
    plan = gp.assign_codes(drawn(units, ["G1", "G1", "G2", "G2"], high=400), parent="parent")
    refused(lambda: gp.merge(plan, ["G1", "G2"]), "codes of several parents")
    forced = gp.merge(plan, ["G1", "G2"], force=True).plan
    assert row(forced, "G3")["grid_code"] == "420583001002002"  # of the larger, else the later


def test_codes_of_another_scheme_are_not_guessed():
    plan = drawn(town(4, 1, 100), ["G1", "G1", "G2", "G2"], high=400)
    odd = plan.replace(units=plan.units.assign(grid_code=plan.units["grid"].map(
        {"G1": "A-1", "G2": "A-2"})))  # fmt: skip
    refused(lambda: gp.split(odd, "G1"), "do not follow the scheme unit-grid", "A-1")


def test_serials_that_are_used_up():
    units = town(4, 1, 100)
    plan = drawn(units, ["G1", "G1", "G2", "G2"], high=400)
    codes = {"G1": "420583001001998", "G2": "420583001001999"}
    plan = plan.replace(units=plan.units.assign(grid_code=plan.units["grid"].map(codes)))
    refused(lambda: gp.split(plan, "G1"), "serials under 420583001001 are used up")


def test_the_check_character_goes_with_the_code(tmp_path):
    from dataclasses import replace

    from gridpart.codes import load_scheme

    pytest.importorskip("stdnum")
    scheme = replace(load_scheme("unit-grid"), check_character="mod-11-2")
    plan = drawn(town(4, 1, 100), ["G1", "G1", "G2", "G2"], high=400)
    coded = gp.assign_codes(plan, parent="110101001001", scheme=scheme)
    units = gp.split(coded, "G2", scheme=scheme).plan.units
    assert units["grid_check"].tolist() == scheme.check_characters(units["grid_code"]).tolist()


# ---------------------------------------------------------------- forced


def test_forced_edits_are_recorded_and_a_warning_of_the_audit(plan):
    edit = gp.move(plan, ["p1", "p13"], "G002", force=True, reason="the lane was closed")
    assert {problem.kind for problem in edit.broken} == {"connectivity"}
    table = edit.plan.exceptions
    assert table["grid"].tolist() == ["G001", "G002"]
    assert table["reason"].unique().tolist() == ["by_hand"]
    assert table["advice"].str.contains("accepted by hand: the lane was closed").all()
    assert not table["proven"].any()
    from gridpart.coverage import audit_inputs

    findings = gp.audit(edit.plan.grids, **audit_inputs(edit.plan))
    parts = findings[findings["check"] == "multipart"]
    assert parts["severity"].unique().tolist() == ["warning"]
    assert parts["message"].str.contains("accepted by hand, not verified").all()
    assert gp.audit_ok(findings)


def test_a_forced_band_is_a_warning_only_while_it_is_true(plan):
    from gridpart.coverage import audit_inputs

    forced = gp.merge(plan, ["G001", "G002"], force=True).plan
    findings = gp.audit(forced.grids, **audit_inputs(forced))
    assert findings.set_index("check").loc["above_band", "severity"] == "warning"
    table = forced.exceptions.assign(households=999)
    lied = gp.audit(forced.grids, **{**audit_inputs(forced), "exceptions": table})
    assert lied.set_index("check").loc["above_band", "severity"] == "error"


def test_proven_exceptions_stay_proven():
    units = town(6, 1, [700, 100, 100, 100, 100, 100])
    plan = drawn(units, ["G1"] * 2 + ["G2"] * 4, low=100, high=500)
    alone = gp.move(plan, "p1", "G2")
    assert alone.plan.exceptions[["grid", "reason", "proven"]].to_numpy().tolist() == [
        ["G1", "unit_above_band", True]
    ]
    assert alone.effects.loc[alone.effects["grid"] == "G1", "text"].str.contains("one unit").any()


def test_an_islet_too_small_is_proven():
    units = town(6, 1, 100).drop(index=4)  # p5 stands apart
    plan = drawn(units, ["G1"] * 3 + ["G2", "G2"], low=150, high=400)
    edit = gp.split(plan, "G2", [["p3"]], force=True)
    found = edit.plan.exceptions.set_index("units")["reason"]
    assert found["p5"] == "component_below_band"
    assert set(found) == {"component_below_band", "by_hand"}


def test_an_enclave_attached_stays_attached():
    units = town(6, 1, 100).drop(index=4)
    plan = drawn(units, ["G1", "G1", "G2", "G2", "G2"], low=100, high=400)
    edit = gp.move(plan, "p2", "G1")
    assert edit.plan.exceptions[["grid", "reason", "units"]].to_numpy().tolist() == [
        ["G2", "enclave_attached", "p5"]
    ]
    assert verdicts(edit)["connectivity", "G2"] == "still outside"


def test_other_exceptions_are_left_alone():
    units = town(8, 1, [700, 100, 100, 100, 100, 100, 100, 100])
    plan = drawn(units, ["G1"] + ["G2"] * 4 + ["G3"] * 3, low=100, high=500)
    alone = gp.partition(units, id="unit", low=100, high=500).exceptions.assign(grid="G1")
    edit = gp.move(plan.replace(exceptions=alone), "p4", "G3")
    pd.testing.assert_frame_equal(edit.plan.exceptions, alone)


# ---------------------------------------------------------------- staff


def test_effects_name_the_posts(plan):
    posts = pd.DataFrame({"post_id": ["ann", "ben"], "grid": ["G001", "G004"]})
    edit = gp.split(plan, "G001", staff=posts)
    told = edit.effects[edit.effects["rule"] == "staff"]
    assert told["text"].tolist() == [
        "post ann has 300 households, before 300; gone 420583001001001; to be given "
        "420583001001005, 420583001001006"
    ]
    assert told["verdict"].tolist() == ["changed"]


# ---------------------------------------------------------------- registers


@pytest.fixture
def registered(plan, tmp_path):
    """A plan whose codes live in a register, and the register."""
    bare = plan.replace(units=plan.units.drop(columns="grid_code"))
    with gp.open_register(tmp_path / "codes.sqlite", create=True) as register:
        yield gp.assign_codes(bare, parent="420583001001", register=register), register


def test_a_register_issues_and_retires(registered):
    plan, register = registered
    register.issue("420583001001", 3)  # somebody else took 005 to 007
    edit = gp.split(plan, "G002", register=register, reason="a tower was finished")
    fresh = edit.plan.grids.set_index("grid")["grid_code"]
    assert fresh[["G005", "G006"]].tolist() == ["420583001001008", "420583001001009"]
    assert edit.plan.units["grid_code"].tolist() == fresh[edit.plan.units["grid"]].tolist()
    table = register.codes().set_index("code")
    old = table.loc["420583001001002"]
    assert (old["state"], old["successors"]) == ("retired", "420583001001008;420583001001009")
    assert table.loc["420583001001008", "reason"] == "a tower was finished"
    assert register.verify().empty
    moved = gp.move(edit.plan, "p2", "G005", force=True, register=register)
    line = register.lineage("420583001001001")
    assert set(line.loc[line["direction"] == "to", "code"]) == {"420583001001008"}
    live = register.codes(live=True, ground="last").set_index("code")
    for _, grid in moved.plan.grids.iterrows():
        assert live.loc[grid["grid_code"], "households"] == grid["households"]
        assert live.geometry[grid["grid_code"]].equals(grid["geometry"])


def test_a_history_is_entered_at_its_end(registered, tmp_path):
    plan, register = registered
    history = gp.History(plan)
    history.split("G001")
    history.undo()
    history.split("G002")
    history.merge(["G005", "G006"])
    history.move("p2", "G007")
    with pytest.raises(InputError, match="use committing"):
        history.move("p14", "G007", register=register)
    before = register.codes()
    with pytest.raises(RuntimeError, match="disk"), history.committing(register):
        raise RuntimeError("the disk is full")
    pd.testing.assert_frame_equal(register.codes(), before)
    with history.committing(register, reason="spring") as committed:
        committed.save(tmp_path / "plan.gpkg")
    # what came and went within the history never had a code
    assert register.codes()["code"].tolist() == [f"42058300100100{k}" for k in range(1, 6)]
    assert set(gp.read_plan(tmp_path / "plan.gpkg").grids["grid_code"]) == set(
        register.codes(live=True)["code"]
    )
    assert register.changes().iloc[-1]["reason"] == "spring"
    assert register.verify().empty


def test_a_register_wants_codes_and_changes(registered):
    plan, register = registered
    bare = plan.replace(units=plan.units.drop(columns="grid_code"))
    refused(lambda: gp.split(bare, "G001", register=register), "have no code")
    history = gp.History(plan)
    with pytest.raises(InputError, match="nothing changed"), history.committing(register):
        pass


# ---------------------------------------------------------------- many edits, and back


def state(plan: Plan) -> dict[str, object]:
    return {
        "units": plan.units.copy(),
        "exceptions": plan.exceptions.copy(),
        "provenance": dict(plan.provenance),
        "grids": plan.grids.copy(),
    }


def same(one: dict[str, object], two: dict[str, object]) -> None:
    for key, value in one.items():
        if isinstance(value, pd.DataFrame):
            pd.testing.assert_frame_equal(value, two[key])
        else:
            assert value == two[key]


def recomputed(plan: Plan) -> gpd.GeoDataFrame:
    """Grids of the plan from nothing but its units."""
    return Plan(plan.units, plan.rules, plan.exceptions).grids


def sound(plan: Plan, graph: nx.Graph, high: int, low: int) -> bool:
    """The rules again, by networkx: every grid connected, in the band, in one community."""
    units = plan.units
    names = units["grid"].to_numpy()
    inner = nx.Graph()
    inner.add_nodes_from(range(len(units)))
    inner.add_edges_from((a, b) for a, b in graph.edges if names[a] == names[b])
    loads = units.groupby("grid")["households"].sum()
    pairs = units[["grid", "community"]].drop_duplicates()
    return (
        nx.number_connected_components(inner) == len(loads)
        and bool(loads.between(low, high).all())
        and not pairs["grid"].duplicated().any()
    )


def random_edit(history: gp.History, graph: nx.Graph, rng: np.random.Generator) -> str:
    """Try some edit; returns its verb, whatever became of it."""
    units = history.plan.units
    names, ids = units["grid"].to_numpy(object), units["unit"].to_numpy(object)
    verb = str(rng.choice(["move", "split", "merge", "swap"], p=[0.55, 0.15, 0.15, 0.15]))
    a, b = list(graph.edges)[rng.integers(graph.number_of_edges())]
    if verb == "split":
        history.split(names[a], into=int(rng.integers(2, 4)))
    elif names[a] != names[b]:
        if verb == "move":
            history.move(ids[a], names[b])
        elif verb == "merge":
            history.merge([names[a], names[b]])
        else:
            history.swap(ids[a], ids[b])
    return verb


def test_random_edits_and_back():
    rng = np.random.default_rng(20260512)
    communities = ["A" if k % 12 < 7 else "B" for k in range(96)]
    units = town(12, 8, rng.integers(10, 90, 96).tolist(), community=communities)
    plan = gp.partition(units, id="unit", within="community", low=200, high=900, target=450)
    plan = gp.assign_codes(plan, parent="420583001001")
    side = np.arange(96).reshape(8, 12)
    graph = nx.Graph()
    graph.add_edges_from(zip(side[:, :-1].ravel(), side[:, 1:].ravel(), strict=True))
    graph.add_edges_from(zip(side[:-1].ravel(), side[1:].ravel(), strict=True))
    first = state(plan)
    history = gp.History(plan)
    done, refusals, states = 0, 0, []
    for _ in range(170):
        before = history.plan
        codes_before = set(before.grids["grid_code"])
        try:
            random_edit(history, graph, rng)
        except InputError:
            refusals += 1
            assert history.plan is before
            continue
        if history.plan is before:
            continue
        done += 1
        now = history.plan
        assert sound(now, graph, 900, 200)
        pd.testing.assert_frame_equal(now.grids, recomputed(now))
        fresh = set(now.grids["grid_code"]) - codes_before
        assert not fresh & set(json.loads(before.provenance.get("retired_codes", "[]")))
        assert all(code > max(codes_before) for code in fresh)
        states.append(state(now))
        if rng.random() < 0.2:
            history.undo()
            assert history.plan is before
            history.redo()
            same(state(history.plan), states[-1])
    assert done > 25
    assert refusals > 30
    assert len(history.edits) == done
    changes = history.changes()
    labels = plan.units.set_index("unit")["grid"]
    assert (changes.apply(labels).to_numpy() == history.plan.units["grid"].to_numpy()).all()
    for expected in reversed(states):
        same(state(history.plan), expected)
        history.undo()
    same(state(history.plan), first)
    with pytest.raises(InputError, match="no edit to take back"):
        history.undo()
    for expected in states:
        history.redo()
        same(state(history.plan), expected)
    with pytest.raises(InputError, match="no edit to do again"):
        history.redo()


def test_refused_edits_break_what_they_say():
    """Every single move over a border: refused exactly where networkx finds something wrong."""
    rng = np.random.default_rng(7)
    units = town(8, 6, rng.integers(20, 80, 48).tolist(), community=["A"] * 48)
    plan = gp.partition(units, id="unit", low=250, high=700, target=400)
    side = np.arange(48).reshape(6, 8)
    graph = nx.Graph()
    graph.add_edges_from(zip(side[:, :-1].ravel(), side[:, 1:].ravel(), strict=True))
    graph.add_edges_from(zip(side[:-1].ravel(), side[1:].ravel(), strict=True))
    assert sound(plan, graph, 700, 250)
    names = plan.units["grid"].to_numpy(object)
    tried = 0
    for a, b in graph.edges:
        if names[a] == names[b]:
            continue
        tried += 1
        after = plan.units["grid"].copy()
        after.iloc[a] = names[b]
        wanted = sound(plan.replace(units=plan.units.assign(grid=after)), graph, 700, 250)
        edit = gp.move(plan, f"p{a}", names[b], force=True)
        assert bool(edit.broken) is not wanted
    assert tried > 15


def test_the_log_tells_everything(plan):
    history = gp.History(plan)
    history.move("p2", "G002", reason="a gate was closed")
    history.undo()
    history.redo()
    log = history.log
    assert log["edit"].tolist() == ["move", "undo", "redo"]
    assert log["sentence"].iloc[1].startswith("took back: moved unit p2")
    assert log["time"].is_monotonic_increasing
    assert str(log["time"].dt.tz) == "UTC"
    history.undo()
    history.split("G001")
    with pytest.raises(InputError, match="no edit to do again"):
        history.redo()
    assert repr(history) == "<History: 1 edits, 0 taken back\n  split G001 into G005, G006>"


def test_inputs_stay_as_they_are_and_other_columns_pass(plan):
    units = plan.units.rename_geometry("ground").assign(note="x").set_index(
        pd.Index([f"i{k}" for k in range(24)])
    )  # fmt: skip
    given = Plan(units, plan.rules, plan.exceptions)
    copy = units.copy()
    edit = gp.split(given, "G001")
    pd.testing.assert_frame_equal(given.units, copy)
    assert edit.plan.units.index.equals(copy.index)
    assert edit.plan.units.geometry.name == "ground"
    assert edit.plan.units["note"].eq("x").all()
    assert edit.plan.units.columns.tolist() == copy.columns.tolist()
