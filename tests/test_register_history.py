"""Lineage, places over time, codes of before, and a plan's own codes."""

from __future__ import annotations

import dataclasses

import geopandas as gpd
import pandas as pd
import pytest
import shapely
from registers import CRS, DAY, OTHER, PARENT, code, refused, states
from shapely import box

import gridpart as gp
from gridpart.codes import KeptGrid, NewGrid, issuing, open_register, snapshot_of

# ---------------------------------------------------------------- lineage


class TestLineage:
    def steps(self, register, asked, story):
        names = {own: name for name, own in story.items()}
        table = register.lineage(asked)
        return [
            (row.direction, row.generation, names[row.code], names.get(row.via), row.share)
            for row in table.itertuples()
        ]

    def test_where_the_area_went(self, register, story):
        assert self.steps(register, story["1"], story) == [
            ("self", 0, "1", None, 1.0),
            ("to", 1, "2", "1", 0.5),
            ("to", 1, "3", "1", 0.5),
            ("to", 2, "5", "3", 0.5),
            ("to", 2, "5", "2", 0.55),
        ]

    def test_where_it_came_from(self, register, story):
        assert self.steps(register, story["5"], story) == [
            ("from", -2, "1", "2", 11 / 21),
            ("from", -2, "1", "3", 11 / 21),
            ("from", -1, "4", "5", 10 / 21),
            ("from", -1, "3", "5", 10 / 21),
            ("from", -1, "2", "5", 1 / 21),
            ("self", 0, "5", None, 1.0),
        ]
        table = register.lineage(story["5"]).set_index(["code", "via"])
        assert table.loc[(story["4"], story["5"]), "at"] == "2021-05-03T00:00:00Z"
        assert table.loc[(story["2"], story["5"]), "at"] == "2021-05-04T00:00:00Z"
        assert table["generation"].tolist() == sorted(table["generation"])
        assert set(table.index.get_level_values("code")) == set(story.values())

    def test_ground_follows_the_order_of_time(self, register):
        """A gave to B before B gave to C: A's ground is in C. The other way round it is not."""
        a, b, c, d = register.issue(PARENT, 4, at=DAY.format(1))
        register.commit(kept={b: KeptGrid(predecessors=(a,))}, reason="x", at=DAY.format(2))
        register.commit(kept={c: KeptGrid(predecessors=(b,))}, reason="x", at=DAY.format(3))
        register.commit(kept={a: KeptGrid(predecessors=(d,))}, reason="x", at=DAY.format(4))
        to = register.lineage(d)
        assert to.loc[to["direction"] == "to", "code"].tolist() == [a]
        to = register.lineage(a)
        assert to.loc[to["direction"] == "to", "code"].tolist() == [b, c]
        assert to.loc[to["direction"] == "from", "code"].tolist() == [d]

    def test_an_exchange_of_ground_ends(self, register):
        a, b = register.issue(PARENT, 2, at=DAY.format(1))
        both = {a: KeptGrid(predecessors=(b,)), b: KeptGrid(predecessors=(a,))}
        for day in (2, 3, 4):
            register.commit(kept=both, reason="swapped", at=DAY.format(day))
        table = register.lineage(a)
        assert set(table["code"]) == {a, b}
        assert table["share"].isna().sum() == len(table) - 1

    def test_a_code_that_was_never_issued(self, register):
        with pytest.raises(gp.InputError, match="'1' was never issued"):
            register.lineage("1")

    def test_codes_that_covered_a_place(self, register, story):
        names = {own: name for name, own in story.items()}

        def at(place, **options):
            table = register.at(place, **options)
            return [(names[row.code], row.since[8:10]) for row in table.itertuples()]

        assert at((9.5, 5)) == [("1", "01"), ("2", "02"), ("5", "04")]
        assert at((1, 1)) == [("1", "01"), ("2", "02"), ("2", "04")]
        assert at(shapely.Point(25, 5)) == [("4", "01"), ("5", "03"), ("5", "04")]
        assert at((9.5, 5), when=DAY.format(3)) == [("2", "02")]
        assert at((9.5, 5), when="2021-04-30") == []
        assert at((9, 5), when="2022-01-01") == [("2", "04"), ("5", "04")]
        assert at((500, 5)) == []
        table = register.at(box(8, 0, 10, 10), when="2022-01-01")
        assert table["share"].tolist() == [0.5, 0.5]
        assert table["until"].isna().all()
        # areas that only touch a border do not lie in it
        assert at(box(9, 0, 10, 10), when="2022-01-01") == [("5", "04")]

    def test_places_in_another_crs(self, register, story):
        place = gpd.GeoSeries([shapely.Point(25, 5)], crs=CRS)
        degrees = place.to_crs(4326)
        for table in (
            register.at(degrees),
            register.at(degrees.iloc[0], crs=4326),
            register.at(gpd.GeoDataFrame(geometry=degrees), when="2022-01-01"),
            register.at((25, 5), crs=CRS),
        ):
            assert table["code"].tolist()[-1] == story["5"]
        with pytest.raises(gp.CRSError, match="'nowhere' is no CRS"):
            register.at((1, 1), crs="nowhere")
        with pytest.raises(gp.InputError, match="a place is a geometry"):
            register.at("town hall")

    @pytest.mark.usefixtures("story")
    def test_grounds_in_several_crs(self, register):
        shape = gpd.GeoSeries([box(30, 0, 40, 10)], crs=CRS).to_crs(4548).iloc[0]
        register.commit([NewGrid("x", PARENT, shape=shape)], reason="x", crs=4548)
        with pytest.raises(gp.CRSError, match="EPSG:4547, EPSG:4548"):
            register.at((35, 5))
        assert register.at((35, 5), crs=CRS)["code"].tolist() == [code(6)]
        table = register.codes().set_index("code")
        assert table.crs == CRS
        assert table.geometry[code(6)].symmetric_difference(box(30, 0, 40, 10)).area < 1e-3
        assert register.codes(crs=4326).crs == 4326

    def test_grounds_of_a_code_over_time(self, register, story):
        table = register.grounds(story["2"])
        assert table["since"].str[8:10].tolist() == ["02", "04"]
        assert table["area_m2"].tolist() == [100.0, 90.0]
        assert table["households"].isna().tolist() == [True, False]
        # what is left out stays as it was, and what is the same is not written again
        register.commit(kept={story["2"]: KeptGrid(households=180)}, reason="x")
        assert len(register.grounds(story["2"])) == 2
        register.commit(kept={story["2"]: KeptGrid(households=190)}, reason="x")
        assert register.grounds(story["2"])["area_m2"].tolist() == [100.0, 90.0, 90.0]
        last = register.codes(ground="last").set_index("code")
        assert last.loc[story["2"], "households"] == 190
        assert last.loc[story["1"], "area_m2"] == 200.0
        assert pd.isna(register.codes().set_index("code").loc[story["2"], "households"])

    def test_a_snapshot_for_a_plan(self, register, story):
        table = register.snapshot([story["5"], story["1"]])
        assert table["code"].tolist() == [story["5"], story["1"]]
        assert table["state"].tolist() == ["live", "retired"]
        assert table["register"].eq(register.id).all()
        assert not isinstance(table, gpd.GeoDataFrame)
        assert register.snapshot()["code"].tolist() == [story["2"], story["5"]]
        assert refused(lambda: register.snapshot(["1", story["5"]])) == {"unknown_code": ("1",)}

    def test_the_audit_takes_the_register(self, register, story):
        zones = gpd.GeoDataFrame(
            {"code": [story["2"], story["1"], code(77)]},
            geometry=[box(0, 0, 9, 10), box(9, 0, 20, 10), box(20, 0, 30, 10)],
            crs=CRS,
        )
        found = gp.audit(zones, code="code", register=register.codes())
        kinds = set(found["check"]) & {"code_retired", "code_unregistered", "code_unused"}
        assert kinds == {"code_retired", "code_unregistered", "code_unused"}


# ---------------------------------------------------------------- adopt


class TestAdopting:
    def test_codes_from_before_move_the_counter(self, register):
        assert register.adopt([code(7), code(3)], issued="2015-01-01") == 2
        assert register.issue(PARENT) == [code(8)]
        assert register.codes()["issued"].tolist()[:2] == ["2015-01-01T00:00:00Z"] * 2
        assert register.adopt([code(5), code(1, OTHER)]) == 2
        assert register.issue(PARENT) == [code(9)]
        assert register.issue(OTHER) == [code(2, OTHER)]

    def test_a_table_says_what_became_of_each(self, register):
        table = pd.DataFrame(
            {
                "网格编码": [code(9), code(2), "1101AB001001A01"],
                "state": ["停用", "live", None],
                "households": ["250", None, "3"],
                "area_m2": [12.5, None, None],
                "issued": ["2012-01-01", None, "2013-01-01"],
                "retired": ["2014-01-01", None, None],
                "reason": ["cleared", None, None],
                "successors": [f"{code(2)}", None, None],
            }
        )
        register.adopt(table, issued="2014-01-01", at="2020-01-01")
        rows = register.codes().set_index("code")
        assert rows.loc[code(9), ["state", "retired", "reason"]].tolist() == [
            "retired", "2014-01-01T00:00:00Z", "cleared",
        ]  # fmt: skip
        assert rows.loc[code(2), "predecessors"] == code(9)
        assert rows["households"].tolist() == [3, pd.NA, 250]
        assert register.issue(PARENT) == [code(10)]
        # old codes with letters are known, but count for no serial
        assert register.issue("110100001001") == ["110100001001001"]

    def test_everything_wrong_is_said_and_nothing_entered(self, register):
        register.issue(PARENT)
        table = pd.DataFrame(
            {
                "code": [code(2), code(2), "x", code(3), code(4), code(5), code(6), None],
                "state": ["", "", "", "gone", "retired", "", "", ""],
                "issued": [None, None, None, None, "2020-01-01", None, "soon", None],
                "retired": [None, None, None, None, "2019-01-01", None, None, None],
                "households": [None, None, None, None, None, "1.5", None, None],
            }
        )
        found = refused(lambda: register.adopt(table))
        assert found["code_twice"] == (f"{code(2)}, 2 times",)
        assert len(found["bad_code"]) == 6
        assert refused(lambda: register.adopt([code(1), code(2)])) == {
            "already_registered": (code(1),)
        }
        linked = pd.DataFrame({"code": [code(2)], "predecessors": [f"{code(99)};{code(2)}"]})
        found = refused(lambda: register.adopt(linked))
        assert found == {"unknown_code": (code(99),), "own_predecessor": (code(2),)}
        assert "no_codes" in refused(lambda: register.adopt([]))
        with pytest.raises(gp.InputError, match="no column code or grid_code"):
            register.adopt(pd.DataFrame({"name": ["x"]}))
        assert list(states(register)) == [code(1)]

    def test_micro_grids_are_adopted_with_their_grids(self, micro):
        grid = code(1)
        found = refused(lambda: micro.adopt([f"{grid}01"]))
        assert found == {"bad_parent": (f"{grid}01: {grid} is not in the register",)}
        table = pd.DataFrame({"code": [grid, f"{grid}01"], "state": ["retired", "live"]})
        assert refused(lambda: micro.adopt(table)) == {
            "bad_parent": (f"{grid}01: {grid} is retired",)
        }
        assert micro.adopt([f"{grid}04", grid]) == 2
        assert micro.issue(grid) == [f"{grid}05"]

    def test_a_layer_brings_its_grounds(self, register):
        layer = gpd.GeoDataFrame(
            {"grid_code": [code(1), code(2), code(3)]},
            geometry=[box(0, 0, 1, 1), None, shapely.Point(3, 3)],
            crs=CRS,
        ).rename_geometry("ground")
        register.adopt(layer)
        assert register.at((0.5, 0.5))["code"].tolist() == [code(1)]
        assert register.codes()["area_m2"].isna().tolist() == [False, True, True]
        with pytest.raises(gp.InputError, match="no CRS"):
            register.adopt(layer.set_crs(None, allow_override=True))

    @pytest.mark.usefixtures("story")
    def test_one_register_goes_into_another(self, register, new_place):
        table = register.codes(ground="last")
        with open_register(new_place(), create=True) as copy:
            assert copy.adopt(table) == 5
            assert copy.verify().empty
            again = copy.codes(ground="last")
            pd.testing.assert_frame_equal(pd.DataFrame(table), pd.DataFrame(again))
            assert copy.id != register.id
            assert copy.issue(PARENT) == register.issue(PARENT)


# ---------------------------------------------------------------- plans


class TestPlans:
    def test_codes_come_from_the_register(self, register, plan, tmp_path):
        register.issue(PARENT, 5)
        coded = gp.assign_codes(plan, parent="parent", register=register, at=DAY.format(1))
        grids = coded.grids
        by_parent = grids.groupby("within")["grid_code"].apply(sorted).to_dict()
        assert by_parent[PARENT] == [code(6), code(7), code(8)]
        assert by_parent[OTHER] == [code(k, OTHER) for k in (1, 2, 3)]
        plain = gp.assign_codes(plan, parent="parent").grids.set_index("grid")["grid_code"]
        order = grids.set_index("grid")["grid_code"]
        for parent in (PARENT, OTHER):
            own = plain[plain.str.startswith(parent)]
            assert own.sort_values().index.tolist() == order[own.index].sort_values().index.tolist()
        rows = register.codes().set_index("code").loc[grids["grid_code"]]
        assert rows["area_m2"].tolist() == grids["area_m2"].tolist()
        assert rows["households"].tolist() == grids["households"].tolist()
        assert rows.geometry.to_numpy().tolist() == grids.geometry.to_numpy().tolist()
        coded.save(tmp_path / "plan.gpkg")
        carried = snapshot_of(gp.read_plan(tmp_path / "plan.gpkg"))
        assert sorted(carried["code"]) == sorted(grids["grid_code"])
        assert carried["households"].sum() == 720
        found = gp.audit(grids, code="grid_code", register=register.codes())
        assert "code_unregistered" not in set(found["check"])
        with pytest.raises(gp.InputError, match="carries no snapshot"):
            snapshot_of(plan)

    def test_a_second_run_keeps_the_codes(self, register, plan):
        coded = gp.assign_codes(plan, parent="parent", register=register)
        again = gp.assign_codes(coded, parent="parent", register=register)
        assert again.grids["grid_code"].tolist() == coded.grids["grid_code"].tolist()
        assert len(register.codes()) == 6
        some = coded.units["grid"] != coded.units["grid"].iloc[0]
        part = coded.replace(
            units=coded.units.assign(grid_code=coded.units["grid_code"].where(some, None))
        )
        lost = coded.units.loc[~some, "grid_code"].iloc[0]
        # the code still stands for this ground, whatever the plan has forgotten
        found = refused(lambda: gp.assign_codes(part, parent="parent", register=register))
        assert [row.split(": ")[1] for row in found["ground_taken"]] == [f"100 % on {lost}"]
        register.retire(lost, "its file was lost")
        third = gp.assign_codes(part, parent="parent", register=register)
        assert len(set(third.grids["grid_code"]) - set(coded.grids["grid_code"])) == 1
        register.retire(coded.grids["grid_code"].iloc[-1], "cleared")
        assert "already_retired" in refused(
            lambda: gp.assign_codes(coded, parent="parent", register=register)
        )

    def test_a_plan_that_cannot_be_written_issues_nothing(self, register, plan, tmp_path):
        with pytest.raises(gp.OutputError), issuing(plan, register, parent="parent") as coded:
            coded.save(tmp_path / "nowhere" / "plan.gpkg")
        assert register.codes().empty

    def test_micro_grids_are_issued_with_their_grids(self, micro, plan):
        """In one change, though their parents have no codes before it."""
        names = [f"m{number}" for number in range(12)]
        nested = plan.replace(
            units=plan.units.assign(micro=names),
            rules=dataclasses.replace(plan.rules, levels={"micro": (60, 60)}),
        )
        coded = gp.assign_codes(nested, parent="parent", register=micro)
        units = coded.units
        assert (units["micro_code"].str[:15] == units["grid_code"]).all()
        assert sorted(units["micro_code"].str[15:]) == ["01"] * 6 + ["02"] * 6
        assert micro.changes()["n_issued"].tolist() == [18]
        table = micro.codes().set_index("code")
        assert table.loc[units["micro_code"], "parent"].tolist() == units["grid_code"].tolist()
        assert table.loc[units["micro_code"], "area_m2"].eq(10000).all()
        again = gp.assign_codes(coded, parent="parent", register=micro)
        assert again.units["micro_code"].tolist() == units["micro_code"].tolist()
        assert len(micro.codes()) == 18
        bare = units.assign(micro_code=units["micro_code"].where(units["micro"] != "m3"))
        lost = units.loc[units["micro"] == "m3", "micro_code"].iloc[0]
        found = refused(
            lambda: gp.assign_codes(coded.replace(units=bare), parent="parent", register=micro)
        )
        assert found == {"ground_taken": (f"micro m3: 100 % on {lost}",)}
        micro.retire(lost, "lost")
        third = gp.assign_codes(coded.replace(units=bare), parent="parent", register=micro)
        own = third.units.set_index("micro").loc["m3"]
        assert own["micro_code"] == f"{own['grid_code']}03"
        # a grid that has lost its code, and its micro-grids theirs
        units = third.units
        others = units["grid"] != units["grid"].iloc[0]
        bare = units.assign(
            grid_code=units["grid_code"].where(others), micro_code=units["micro_code"].where(others)
        )
        lost = set(units.loc[~others, ["grid_code", "micro_code"]].to_numpy().ravel())
        micro.retire(sorted(lost), "lost")
        fourth = gp.assign_codes(third.replace(units=bare), parent="parent", register=micro)
        own = fourth.units[~others]
        assert own["micro_code"].tolist() == [
            f"{own['grid_code'].iloc[0]}{k}" for k in ("01", "02")
        ]
        assert own["grid_code"].iloc[0] not in set(units["grid_code"])

    def test_a_coded_plan_is_adopted(self, register, plan):
        coded = gp.assign_codes(plan, parent="parent")
        assert register.adopt(coded) == 6
        assert register.issue(PARENT) == [code(4)]
        assert register.codes()["area_m2"].iloc[:3].eq(20000).all()
        with pytest.raises(gp.InputError, match="6 of the plan's 6 grids have no code"):
            register.adopt(plan)

    def test_another_scheme_is_refused(self, register, plan):
        with pytest.raises(gp.InputError, match="follow the scheme unit-grid"):
            gp.assign_codes(plan, parent="parent", register=register, scheme="micro-grid")
        assert (
            gp.assign_codes(plan, parent="parent", register=register, scheme="unit-grid")
            .grids["grid_code"]
            .notna()
            .all()
        )
