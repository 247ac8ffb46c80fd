"""The change table between two plans, against definitions written out by hand, and its map."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

import gridpart as gp
from gridpart.errors import InputError, OutputError
from gridpart.plan import EXCEPTION_COLUMNS, Plan
from gridpart.plots.changes import write_changes_map
from gridpart.redraw import Changes
from gridpart.rules import Rules

CRS = "EPSG:4547"


def cells(n: int, start: int = 0) -> list[shapely.Polygon]:
    return [shapely.box(100 * i, 0, 100 * i + 100, 100) for i in range(start, start + n)]


def as_plan(
    labels: dict[str, str],
    households: dict[str, int] | None = None,
    *,
    shapes: dict[str, shapely.Geometry] | None = None,
    id: str | None = "unit",
    codes: dict[str, str] | None = None,
    **rules: object,
) -> Plan:
    """A plan of units a, b, c, ... in a row, with the grid of each."""
    names = list(labels)
    place = {name: k for k, name in enumerate("abcdefghijklmnopqrstuvwxyz")}
    counted = [(households or {}).get(name, 10 + place.get(name, 0)) for name in names]
    drawn = [(shapes or {}).get(name) or cells(1, place[name])[0] for name in names]
    frame = {"unit": names, "households": counted, "grid": list(labels.values())}
    units = gpd.GeoDataFrame(frame, geometry=drawn, crs=CRS)
    if codes is not None:
        units["grid_code"] = units["grid"].map(codes)
    return Plan(units, Rules(id=id, low=1, high=1000, **rules), empty())


def empty() -> pd.DataFrame:
    return pd.DataFrame(columns=list(EXCEPTION_COLUMNS))


def set_partitions(items: list[str]) -> Iterator[list[set[str]]]:
    if not items:
        yield []
        return
    first, rest = items[0], items[1:]
    for blocks in set_partitions(rest):
        for k, block in enumerate(blocks):
            yield [*blocks[:k], {first, *block}, *blocks[k + 1 :]]
        yield [{first}, *blocks]


def labelled(blocks: list[set[str]], prefix: str) -> dict[str, str]:
    return {unit: f"{prefix}{k}" for k, block in enumerate(blocks) for unit in sorted(block)}


def kind_by_definition(old: list[set[str]], new: list[set[str]], block: set[str]) -> str:
    """U, S, M or X of the old or new grid `block`, by growing the set of linked grids."""
    ground, before = set(block), set()
    while ground != before:
        before = set(ground)
        for other in (*old, *new):
            if other & ground:
                ground |= other
    olds = sum(bool(other & ground) for other in old)
    news = sum(bool(other & ground) for other in new)
    return {(True, True): "U", (True, False): "S", (False, True): "M"}.get(
        (olds == 1, news == 1), "X"
    )


def balanced(changes: Changes) -> bool:
    g = changes.grids
    return (
        bool(
            (
                g["after"]
                == g["before"]
                + g["recounted"]
                + g["built"]
                - g["cleared"]
                + g["came"]
                - g["left"]
                + g["recoded"]
            ).all()
        )
        and int(g["came"].sum()) == int(g["left"].sum())
        and int(g["recoded"].sum()) == 0
    )


def all_pairs() -> list[tuple[list[set[str]], list[set[str]]]]:
    whole = list(set_partitions(list("abcd")))
    return [
        (old, new) for k, (old, new) in enumerate(itertools.product(whole, whole)) if k % 3 == 0
    ]


def test_kinds_and_round_trip_on_all_small_cases():
    for old, new in all_pairs():
        before, after = labelled(old, "o"), labelled(new, "n")
        changes = gp.change_table(as_plan(before), as_plan(after))
        for _, row in changes.grids.iterrows():
            if row["status"] == "new":
                block = {unit for unit, grid in after.items() if grid == row["new_grid"]}
            else:
                block = {unit for unit, grid in before.items() if grid == row["old_grid"]}
            assert row["change"] == kind_by_definition(old, new, block)
        assert changes.apply(pd.Series(before)).to_dict() == after
        assert balanced(changes)
        # every name is another; on the same ground that is all there is to it
        same = [block for block in new if block in old]
        recoded = sum(dict(zip("abcd", (10, 11, 12, 13), strict=True))[u] for b in same for u in b)
        assert changes.households_recoded == recoded
        assert changes.households_moved == 10 + 11 + 12 + 13 - recoded


def test_overlap_moves_the_fewest_households():
    loads = dict(zip("abcd", (10, 11, 12, 13), strict=True))
    for old, new in all_pairs()[::2]:
        before, after = labelled(old, "o"), labelled(new, "n")
        changes = gp.change_table(as_plan(before), as_plan(after), by="overlap")
        grids = list(range(len(old))) + [None] * len(new)
        least = min(
            sum(
                load
                for k, home in enumerate(chosen)
                for unit, load in loads.items()
                if unit in new[k] and (home is None or unit not in old[home])
            )
            for chosen in itertools.permutations(grids, len(new))
        )
        assert changes.households_moved == least
        assert balanced(changes)
        assert changes.apply(pd.Series(before)).to_dict() == after


def test_shares_are_of_households():
    old = as_plan({"a": "G1", "b": "G1", "c": "G2"}, {"a": 30, "b": 10, "c": 60})
    new = as_plan({"a": "G1", "b": "G2", "c": "G2"}, {"a": 30, "b": 10, "c": 60})
    changes = gp.change_table(old, new)
    table = changes.pairs.set_index(["old_grid", "new_grid"])
    assert table.loc[("G1", "G2"), "households"] == 10
    assert table.loc[("G1", "G2"), "share_of_old"] == pytest.approx(0.25)
    assert table.loc[("G1", "G2"), "share_of_new"] == pytest.approx(1 / 7)
    rows = changes.grids.set_index("new_grid")
    assert rows.loc["G1", "successors"] == "G1 (75%), G2 (25%)"
    assert rows.loc["G2", "predecessors"] == "G2 (86%), G1 (14%)"
    assert (rows["change"] == "X").all()
    assert (rows["status"] == "kept").all()
    assert changes.units[["unit", "what", "old_grid", "new_grid"]].to_numpy().tolist() == [
        ["b", "moved", "G1", "G2"]
    ]
    assert "X" in changes.pairs["change"].unique()
    assert "2 complex" in repr(changes)


def test_shares_of_a_grid_without_households_go_by_units():
    nobody = {"a": 0, "b": 0}
    old, new = as_plan({"a": "G1", "b": "G1"}, nobody), as_plan({"a": "G1", "b": "G2"}, nobody)
    assert gp.change_table(old, new).pairs["share_of_old"].tolist() == [0.5, 0.5]


def test_units_that_are_new_counted_again_or_no_more():
    old = as_plan({"a": "G1", "b": "G1", "c": "G2", "d": "G3"})
    new = as_plan({"a": "G1", "c": "G2", "e": "G4", "f": "G2"}, {"a": 100, "e": 7, "f": 5})
    changes = gp.change_table(old, new)
    rows = changes.grids.assign(grid=changes.grids["new_grid"].fillna(changes.grids["old_grid"]))
    rows = rows.set_index("grid")
    assert rows["change"].to_dict() == {"G1": "U", "G2": "U", "G3": "retired", "G4": "new"}
    assert rows["status"].to_dict() == {"G1": "kept", "G2": "kept", "G3": "retired", "G4": "new"}
    assert rows.loc["G1", ["before", "after", "recounted", "cleared"]].tolist() == [21, 100, 90, 11]
    assert rows.loc["G2", ["before", "after", "built"]].tolist() == [12, 17, 5]
    assert rows.loc["G4", "built"] == 7
    assert rows.loc["G3", "cleared"] == 13
    assert balanced(changes)
    assert changes.households_moved == 0
    what = changes.units.set_index("unit")["what"].to_dict()
    assert what == {"e": "new", "f": "new", "b": "vanished", "d": "vanished"}
    labels = pd.Series({"a": "G1", "b": "G1", "c": "G2", "d": "G3"})
    assert changes.apply(labels).to_dict() == new.units.set_index("unit")["grid"].to_dict()
    assert changes.counts == {"U": 2, "S": 0, "M": 0, "X": 0, "new": 1, "retired": 1}


def test_a_block_cut_into_other_parcels_stays_with_the_ground():
    old = as_plan({"a": "G1", "b": "G1", "c": "G2"})
    halves = {
        "b1": shapely.box(100, 0, 150, 100), "b2": shapely.box(150, 0, 200, 100)
    }  # fmt: skip
    loads = {"b1": 8, "b2": 9}
    new = as_plan({"a": "G1", "b1": "G1", "b2": "G2", "c": "G2"}, loads, shapes=halves)
    changes = gp.change_table(old, new)
    assert changes.households_moved == 9  # those on ground that was G1's
    assert changes.grids["change"].tolist() == ["X", "X"]
    told = changes.units.set_index("unit")
    assert told.loc["b2", ["what", "old_grid", "new_grid"]].tolist() == ["moved", "G1", "G2"]
    assert told["what"].to_dict() == {"b1": "ground", "b2": "moved", "b": "replaced"}
    assert told["how"].to_dict() == {"b1": "ground", "b2": "ground", "b": "replaced"}
    assert "1 moved; 2 by ground in place of 1, 0 new, 0 vanished" in repr(changes)
    g1 = changes.grids.set_index("new_grid").loc["G1"]
    assert g1[["before", "recounted", "left", "after"]].tolist() == [21, 6, 9, 18]
    assert not changes.grids[["built", "cleared"]].any(axis=None)
    assert balanced(changes)
    labels = pd.Series({"a": "G1", "b": "G1", "c": "G2"})
    assert changes.apply(labels).to_dict() == {"a": "G1", "b1": "G1", "b2": "G2", "c": "G2"}


def test_diff_and_redraw_match_units_by_one_rule():
    from gridpart.redraw import match_units
    from gridpart.redraw.match import in_words

    old = as_plan({"a": "G1", "b": "G1", "c": "G2", "d": "G2", "e": "G2"})
    shapes = {
        "r": shapely.box(100, 0, 160, 100), "s": shapely.box(160, 0, 200, 100),  # b in two
        "t": shapely.box(200, 0, 400, 100),  # c and d in one
        "n": shapely.box(0, 100, 100, 200),
    }  # fmt: skip
    loads = {"r": 5, "s": 6, "t": 25, "n": 7}
    today = {"a": "G1", "r": "G1", "s": "G1", "t": "G2", "n": "G2"}
    new = as_plan(today, loads, shapes=shapes)
    matched = match_units(old, new.units)
    assert matched.vanished == ["e"]
    assert sorted(matched.replaced) == ["b", "c", "d"]
    changes = gp.change_table(old, new)
    told = changes.units.set_index("unit")["how"]
    assert told.to_dict() == {
        "r": "ground", "s": "ground", "t": "ground", "n": "new",
        "b": "replaced", "c": "replaced", "d": "replaced", "e": "vanished",
    }  # fmt: skip
    both = in_words(3, 3, 1, 1)
    assert both == "3 by ground in place of 3, 1 new, 1 vanished"
    assert both in repr(matched)
    assert both in repr(changes)
    assert balanced(changes)
    assert changes.apply(old.units.set_index("unit")["grid"]).to_dict() == today


def test_what_was_split_and_merged_again_is_recoded(capsys):
    from gridpart.cli.redraw import _say_changes

    codes = {"G1": "420583001001001", "G2": "420583001001002", "G9": "420583001001009"}
    before = {"a": "G1", "b": "G1", "c": "G2"}
    after = {"a": "G9", "b": "G9", "c": "G2"}
    changes = gp.change_table(as_plan(before, codes=codes), as_plan(after, codes=codes))
    assert (changes.households_moved, changes.households_recoded) == (0, 21)
    assert changes.units["what"].tolist() == ["recoded", "recoded"]
    assert changes.grids["recoded"].tolist() == [0, 21, -21]
    assert balanced(changes)
    assert changes.apply(pd.Series(before)).to_dict() == after
    assert changes.as_dict()["households_recoded"] == 21
    _say_changes(changes)
    said = capsys.readouterr().out
    assert "0 of 33 changed grid (0.0%), 21 kept theirs under another code" in said
    assert "U  420583001001009 new, 21 from 420583001001001 (100%), the same ground" in said
    assert "U  420583001001001 retired, now 420583001001009 (100%)" in said


def test_units_without_ids_are_told_by_their_shape():
    old, new = (
        as_plan({"a": "G1", "b": "G1", "c": "G2"}),
        as_plan({"c": "G2", "b": "G2", "a": "G1"}),
    )
    bare = [plan.replace(rules=Rules(low=1, high=1000)) for plan in (old, new)]
    changes = gp.change_table(*bare)
    assert changes.units["what"].tolist() == ["moved"]
    assert changes.apply(old.units["grid"]).tolist() == ["G2", "G2", "G1"]


def test_other_crs_other_order_and_a_renamed_geometry():
    old = as_plan({"a": "G1", "b": "G1", "c": "G2"})
    moved = as_plan({"c": "G2", "b": "G2", "a": "G1"})
    units = moved.units.to_crs("EPSG:4549").rename_geometry("ground").set_index(pd.Index([7, 5, 3]))
    changes = gp.change_table(old, moved.replace(units=units))
    assert changes.grids.crs == changes.old_grids.crs == "EPSG:4549"
    assert changes.units["unit"].tolist() == ["b"]
    assert changes.grids["change"].tolist() == ["X", "X"]


def test_same_code_under_another_name_is_the_same_grid():
    codes = {"G1": "420583001001001", "G2": "420583001001002"}
    old = as_plan({"a": "G1", "b": "G2"}, codes=codes)
    new = as_plan({"a": "west", "b": "east"}, codes={"west": codes["G1"], "east": codes["G2"]})
    changes = gp.change_table(old, new)
    assert changes.by == "code"
    assert changes.households_moved == 0
    assert changes.codes == {"kept": 2, "new": 0, "retired": 0}
    assert changes.apply(pd.Series({"a": "G1", "b": "G2"})).to_dict() == {"a": "west", "b": "east"}
    by_name = gp.change_table(old, new, by="name")
    assert by_name.codes == {"kept": 0, "new": 2, "retired": 2}
    assert by_name.counts["U"] == 2


def test_a_code_on_quite_other_ground_is_complex():
    codes = {"G1": "420583001001001", "G2": "420583001001002"}
    old = as_plan({"a": "G1", "b": "G2"}, codes=codes)
    new = as_plan({"a": "G2", "b": "G1"}, codes=codes)
    assert gp.change_table(old, new).grids["change"].tolist() == ["X", "X"]


def test_nothing_changed():
    plan = as_plan({"a": "G1", "b": "G2"})
    changes = gp.change_table(plan, plan)
    assert changes.grids_touched == changes.households_moved == len(changes.units) == 0
    assert "none changed grid" in repr(changes)
    assert changes.staff(pd.DataFrame({"post_id": ["p"], "grid": ["G1"]})).empty


def test_it_agrees_with_a_redrawn_plan():
    town = gpd.GeoDataFrame(
        {"unit": [f"u{k}" for k in range(12)], "households": [100] * 12},
        geometry=cells(12), crs=CRS,
    )  # fmt: skip
    plan = gp.partition(town, id="unit", low=200, high=400, n_grids=4)
    town.loc[1, "households"] = 250
    from gridpart.redraw import redraw

    drawn = redraw(plan, town)
    changes = gp.change_table(plan, drawn.plan, by="name")
    assert changes.households_moved == drawn.households_moved > 0
    labels = plan.units.set_index("unit")["grid"]
    wanted = drawn.plan.units.set_index("unit")["grid"]
    pd.testing.assert_series_equal(
        changes.apply(labels), wanted, check_names=False, check_dtype=False
    )


# ---------------------------------------------------------------- staff


def test_staff_whose_patch_changed():
    old = as_plan({"a": "G1", "b": "G2", "c": "G3", "d": "G3", "e": "G4", "f": "G5"})
    new = as_plan({"a": "G6", "b": "G6", "c": "G7", "d": "G8", "e": "G4", "f": "G5"})
    posts = pd.DataFrame(
        {
            "post_id": ["ann", "ben", "cai", "cai", "dou"],
            "role": ["leader"] * 5,
            "grid": ["G1", "G2", "G3", "G4", "G5"],
        }
    )
    table = gp.change_table(old, new).staff(posts).set_index("post_id")
    assert table.index.tolist() == ["ann", "ben", "cai"]  # dou's grid is what it was
    assert table.loc["ann", ["gone", "added"]].tolist() == ["G1", ""]  # most of G6 is from G2
    assert table.loc["ben", ["gone", "added"]].tolist() == ["G2", "G6"]
    assert table.loc["ben", ["households_before", "households_after"]].tolist() == [11, 21]
    assert table.loc["cai", ["grids_before", "gone", "added"]].tolist() == [
        "G3, G4", "G3", "G7, G8"
    ]  # fmt: skip
    assert table.loc["cai", ["households_before", "households_after"]].tolist() == [39, 39]
    assert table["role"].eq("leader").all()


def test_staff_by_code_and_from_a_staffing():
    codes = {"G1": "420583001001001", "G2": "420583001001002"}
    old = as_plan({"a": "G1", "b": "G1", "c": "G2"}, codes=codes)
    new = as_plan({"a": "G1", "b": "G2", "c": "G2"}, codes=codes)
    changes = gp.change_table(old, new)
    posts = pd.DataFrame({"post_id": ["p"], "grid": [codes["G1"]]})
    found = changes.staff(posts)
    assert found[["post_id", "households_before", "households_after", "left"]].values.tolist() == [
        ["p", 21, 10, 11]
    ]
    roster = pd.DataFrame({"post_id": ["p", "q"], "role": ["leader", "leader"]})
    assert len(changes.staff(gp.assign_posts(old.grids, roster))) == 2


def test_staff_of_unknown_grids():
    plan = as_plan({"a": "G1", "b": "G2"})
    changes = gp.change_table(plan, plan)
    with pytest.raises(InputError, match="the old plan has not\n    G3"):
        changes.staff(pd.DataFrame({"post_id": ["p"], "grid": ["G3"]}))
    with pytest.raises(InputError, match="no column post_id"):
        changes.staff(pd.DataFrame({"grid": ["G1"]}))


# ---------------------------------------------------------------- refusals and files


def test_what_cannot_be_compared():
    plan = as_plan({"a": "G1", "b": "G2"})
    with pytest.raises(InputError, match="by must be code, name or overlap"):
        gp.change_table(plan, plan, by="shape")
    with pytest.raises(InputError, match="must have codes"):
        gp.change_table(plan, plan, by="code")
    other = plan.replace(units=plan.units.rename(columns={"unit": "parcel"}))
    with pytest.raises(InputError, match="go by their column 'unit'"):
        gp.change_table(plan, other)
    twice = as_plan({"a": "G1", "b": "G2"}, codes=dict.fromkeys(("G1", "G2"), "420583001001001"))
    with pytest.raises(InputError, match="two grids of the old plan have the code"):
        gp.change_table(twice, twice)
    changes = gp.change_table(plan, plan)
    with pytest.raises(InputError, match="units of the old plan"):
        changes.apply(pd.Series({"a": "G1"}))
    with pytest.raises(InputError, match="no grid 'G9'"):
        changes.apply(pd.Series({"a": "G1", "b": "G9"}))


def test_inputs_stay_as_they_are():
    old, new = as_plan({"a": "G1", "b": "G1"}), as_plan({"a": "G1", "b": "G2"})
    before = [old.units.copy(), new.units.copy()]
    gp.change_table(old, new)
    for plan, units in zip((old, new), before, strict=True):
        pd.testing.assert_frame_equal(plan.units, units)


def test_tables_as_files(tmp_path):
    codes = {"G1": "042058300100101", "G2": "042058300100102"}
    old = as_plan({"a": "G1", "b": "G1", "c": "G2"}, codes=codes)
    new = as_plan({"a": "G1", "b": "G2", "c": "G2"}, codes=codes)
    changes = gp.change_table(old, new)
    posts = pd.DataFrame({"post_id": ["=p"], "grid": ["G1"]})
    changes.save(tmp_path / "changes.gpkg", posts=posts)
    layer = gpd.read_file(tmp_path / "changes.gpkg", layer="grids")
    assert layer["new_code"].tolist() == ["042058300100101", "042058300100102"]
    assert layer.geometry.area.tolist() == changes.grids.area.tolist()
    assert len(gpd.read_file(tmp_path / "changes.gpkg", layer="units")) == 1
    changes.save(tmp_path / "changes.xlsx", posts=posts)
    book = pd.read_excel(tmp_path / "changes.xlsx", sheet_name=None, dtype=str)
    assert list(book) == ["summary", "grids", "units", "pairs", "staff"]
    assert book["grids"]["old_code"].tolist() == ["042058300100101", "042058300100102"]
    assert book["staff"]["post_id"].tolist() == ["=p"]
    assert book["grids"]["built"].tolist() == ["0", "0"]
    numbers = book["summary"].set_index("what")["number"]
    assert numbers["households that changed grid"] == "11"
    told = json.loads(json.dumps(changes.as_dict()))
    assert told["households_moved"] == 11
    assert told["grids"][0]["new_code"] == "042058300100101"
    with pytest.raises(OutputError, match=r"\.gpkg or \.xlsx"):
        changes.save(tmp_path / "changes.csv")


# ---------------------------------------------------------------- the map


@pytest.fixture
def pair() -> tuple[Plan, Plan]:
    """A coded town of 4 grids, one of which is split while a unit moves between two others."""
    boxes = [shapely.box(x, y, x + 100, y + 100) for y in (0, 100) for x in range(0, 1200, 100)]
    units = gpd.GeoDataFrame({"households": [50] * 24}, geometry=boxes, crs=CRS)
    plan = gp.partition(units, low=100, high=400, n_grids=4)
    old = gp.assign_codes(plan, parent="420583001001")
    history = gp.History(old)
    history.split("G001")
    column = history.plan.units["grid"]
    graph = history.plan.contiguity
    for u, v in zip(graph.rows, graph.indices, strict=True):
        a, b = column.iloc[u], column.iloc[v]
        if a != b and {a, b} <= {"G002", "G003", "G004"}:
            history.move([int(u)], b)
            break
    return old, history.plan


def words(ax) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_the_map_tells_in_words(pair):
    ax = gp.plot_changes(*pair, title="Spring", source="register of 2026")
    told = words(ax)
    assert told[0] == "unit of a split or merged grid\n(6 units, 300 households)"
    assert told[1] == "unit that went over to another grid\n(1 unit, 50 households)"
    assert {"former grid line, no longer one", "new grid line", "grid line that stays"} <= set(told)
    written = {text.get_text(): text for text in ax.texts}
    for serial in ("005", "006"):  # the codes that the split got
        assert written[serial].get_weight() == "bold"
        assert written[serial].get_color() == "#8a0d16"
    assert "001" not in written
    assert any("register of 2026" in text for text in written)
    assert any("bold red: new codes" in text for text in written)
    assert ax.get_title() == "Spring"


def test_the_map_on_given_axes_and_of_changes(pair):
    import matplotlib.pyplot as plt

    changes = gp.change_table(*pair)
    _, ax = plt.subplots()
    assert gp.plot_changes(changes, ax=ax, labels=False, legend=False, scale_bar=False) is ax
    assert ax.get_legend() is None
    assert not ax.texts


def test_the_lines_drawn_are_those_that_differ(pair):
    from gridpart.plots.changes import FORMER, NEW
    from gridpart.plots.linework import line_work

    changes = gp.change_table(*pair)
    everything = shapely.box(*changes.new_grids.total_bounds)
    gone, fresh, stays = line_work(changes.old_grids, changes.new_grids, everything)
    old, new = (
        shapely.union_all(shapely.boundary(grids.geometry.to_numpy()))
        for grids in (changes.old_grids, changes.new_grids)
    )
    assert gone.length + stays.length == pytest.approx(old.length)
    assert fresh.length + stays.length == pytest.approx(new.length)
    assert gone.length > 0
    assert fresh.length > 0
    assert FORMER["color"] != NEW["color"]


def sloping(parts: int, shift: float) -> Plan:
    """Two grids on either side of a slope; the west is in parts, drawn again with new vertices."""
    line = shapely.LineString([(100, 0), (137, 300)])
    at = [0, *(line.interpolate(k / parts, normalized=True).y for k in range(1, parts)), 300]
    ends = [(round(100 + 37 * y / 300 + shift * (0 < y < 300), 2), y) for y in at]
    west = [
        shapely.Polygon([(0, a[1]), a, b, (0, b[1])]) for a, b in itertools.pairwise(ends)
    ]  # fmt: skip
    east = shapely.Polygon([*ends, (300, 300), (300, 0)])
    units = gpd.GeoDataFrame(
        {
            "unit": [*(f"w{parts}{k}" for k in range(parts)), "e"],
            "households": [60 // parts] * parts + [50],
            "grid": ["G1"] * parts + ["G2"],
        },
        geometry=[*west, east],
        crs=CRS,
    )
    return Plan(units, Rules(id="unit", low=1, high=1000), empty())


@pytest.mark.parametrize("shift", [0.0, 0.3], ids=["rounded", "surveyed anew"])
def test_parcels_drawn_again_leave_no_former_lines(shift):
    changes = gp.change_table(sloping(2, 0.0), sloping(3, shift))
    assert changes.grids["change"].tolist() == ["U", "U"]
    ax = gp.plot_changes(changes, labels=False)
    assert words(ax) == ["grid line that stays"]


def test_the_map_where_nothing_changed(pair):
    old, _ = pair
    ax = gp.plot_changes(old, old)
    assert words(ax) == ["grid line that stays"]


def test_new_and_vanished_units_on_the_map():
    old = as_plan({"a": "G1", "b": "G1", "c": "G2"})
    new = as_plan({"a": "G1", "c": "G2", "d": "G2"})
    told = words(gp.plot_changes(old, new))
    assert told[:2] == [
        "new unit\n(1 unit, 13 households)",
        "unit that is no more\n(1 unit, 11 households)",
    ]


def test_what_cannot_be_drawn(pair):
    with pytest.raises(InputError, match="what change_table returned"):
        gp.plot_changes(pair[0])


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_the_map_as_a_file(pair, tmp_path, ending):
    changes = gp.change_table(*pair)
    path = tmp_path / f"changes.{ending}"
    write_changes_map(changes, path, dpi=60)
    again = tmp_path / f"again.{ending}"
    write_changes_map(changes, again, dpi=60)
    assert path.stat().st_size > 5_000
    assert path.read_bytes() == again.read_bytes()


def test_nothing_on_the_sheet_is_cut_off(pair):
    from gridpart.plots.changes import _draw_sheet

    figure = _draw_sheet(
        gp.change_table(*pair),
        title="What changed in spring " * 6,
        zoom=True,
        source="S",
        font=None,
    )
    figure.draw_without_rendering()
    whole = figure.bbox
    legends = [ax.get_legend() for ax in figure.axes if ax.get_legend()]
    assert legends
    texts = [text for ax in figure.axes for text in ax.texts if text.get_text()]
    for artist in [*figure.texts, *texts, *legends]:
        box = artist.get_window_extent()
        assert whole.x0 <= box.x0 < box.x1 <= whole.x1, artist
        assert whole.y0 <= box.y0 < box.y1 <= whole.y1, artist


def test_the_map_is_no_table(pair, tmp_path):
    with pytest.raises(InputError, match="a map is written as"):
        write_changes_map(gp.change_table(*pair), tmp_path / "map.xlsx")


def test_a_small_part_is_located_in_the_whole(tmp_path):
    boxes = [shapely.box(100 * i, 0, 100 * i + 100, 100) for i in range(40)]
    names = [f"u{i}" for i in range(40)]
    units = gpd.GeoDataFrame(
        {"unit": names, "households": 50, "grid": [f"G{i // 4}" for i in range(40)]},
        geometry=boxes, crs=CRS,
    )  # fmt: skip
    old = Plan(units, Rules(id="unit", low=1, high=1000), empty())
    labels = units["grid"].where(units["unit"] != "u4", "G0")
    new = old.replace(units=units.assign(grid=labels))
    ax = gp.plot_changes(old, new)
    assert np.diff(ax.get_xlim())[0] < 2000  # of 4000 m
    assert np.diff(gp.plot_changes(old, new, zoom=False).get_xlim())[0] > 4000
    write_changes_map(gp.change_table(old, new), tmp_path / "map.svg")
    assert (tmp_path / "map.svg").stat().st_size > 5_000
