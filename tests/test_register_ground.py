"""Ground that has a live code gets no second one: refused where it is issued, found where it is."""

from __future__ import annotations

import re
import threading
import time

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
import sqlalchemy as sa
from registers import CRS, DAY, OTHER, PARENT, code, refused, states, tamper
from shapely import box

import gridpart as gp
from gridpart.cli import main
from gridpart.codes import KeptGrid, NewGrid, open_register
from gridpart.codes.overlaps import overlapping
from gridpart.codes.store import GROUNDS

SQUARE = box(0, 0, 100, 100)


@pytest.fixture
def opened(where):
    """A register that a test may leave with faults."""
    with open_register(where, create=True) as register:
        yield register


@pytest.fixture
def live(register):
    """Two neighbours, 1 in the west and 2 in the east."""
    new = [NewGrid("west", PARENT, shape=SQUARE), NewGrid("east", PARENT, shape=east(100))]
    issued = register.commit(new, reason="first plan", at=DAY.format(1), crs=CRS)
    return issued["west"], issued["east"]


def east(metres: float) -> shapely.Polygon:
    return shapely.transform(SQUARE, lambda places: np.add(places, (metres, 0)))


def issue(register, shape, crs=CRS, **options):
    new = NewGrid("new", options.pop("parent", PARENT), shape=shape, **options)
    return register.commit([new], reason="x", crs=crs)["new"]


def taken(register, shape, **options) -> tuple[str, ...]:
    found = refused(lambda: issue(register, shape, **options))
    assert set(found) == {"ground_taken"}
    return found["ground_taken"]


# ---------------------------------------------------------------- refused where it is issued


class TestIssuing:
    def test_the_same_plan_is_not_coded_twice(self, register, plan):
        coded = gp.assign_codes(plan, parent="parent", register=register)
        with pytest.raises(gp.InputError) as caught:
            gp.assign_codes(plan, parent="parent", register=register)
        told = str(caught.value)
        assert "use the plan that has these codes" in told
        assert "gridpart redraw" in told
        [problem] = caught.value.problems
        by_name = dict(zip(coded.grids["grid"], coded.grids["grid_code"], strict=True))
        assert sorted(problem.examples) == [
            f"grid {name}: 100 % on {own}" for name, own in sorted(by_name.items())
        ]
        assert len(register.codes()) == 6
        again = gp.assign_codes(coded, parent="parent", register=register)
        assert again.grids["grid_code"].tolist() == coded.grids["grid_code"].tolist()

    def test_another_parent_or_another_division_does_not_help(self, register, plan):
        gp.assign_codes(plan, parent="parent", register=register)
        cells = plan.units.geometry.reset_index(drop=True)
        drawn = [NewGrid(k, "420583001003", shape=shape) for k, shape in enumerate(cells)]
        found = refused(lambda: register.commit(drawn, reason="x", crs=CRS))
        assert len(found["ground_taken"]) == 12
        found = taken(register, shapely.union_all(cells), parent="420583001003")
        assert found[0].count(" % on ") == 5
        assert found[0].endswith("the rest on 1 more")

    @pytest.mark.usefixtures("live")
    def test_more_than_half_is_too_much(self, register):
        assert taken(register, east(-49.9)) == (f"grid new: 50.1 % on {code(1)}",)
        # of both neighbours together
        both = (f"grid new: 31.2 % on {code(1)}, 31.2 % on {code(2)}",)
        assert taken(register, box(60, -60, 140, 100)) == both

    def test_half_may_pass(self, opened):
        assert issue(opened, SQUARE) == code(1)
        assert issue(opened, east(-50)) == code(2)
        assert len(opened.verify()) == 1

    @pytest.mark.usefixtures("live")
    def test_what_only_touches_is_free(self, register):
        assert issue(register, east(-100)) == code(3)
        assert issue(register, box(0, 100, 200, 200)) == code(4)

    def test_grounds_in_other_crs_are_compared(self, register, live):
        moved = gpd.GeoSeries([SQUARE], crs=CRS).to_crs(4490).iloc[0]
        assert taken(register, moved, crs=4490) == (f"grid new: 100 % on {live[0]}",)
        moved = gpd.GeoSeries([SQUARE], crs=CRS).to_crs(4548).iloc[0]
        assert taken(register, moved, crs=4548) == (f"grid new: 100 % on {live[0]}",)

    def test_what_the_change_itself_frees_is_free(self, register, live):
        west, other = live
        new = [NewGrid("new", PARENT, shape=SQUARE, predecessors=(west,))]
        assert register.commit(new, [west], reason="x", crs=CRS) == {"new": code(3)}
        kept = {other: KeptGrid(shape=box(100, 0, 110, 100))}
        new = [NewGrid("new", PARENT, shape=box(110, 0, 200, 100), predecessors=(other,))]
        assert "ground_taken" in refused(
            lambda: register.commit(new, kept={other: None}, reason="x", crs=CRS)
        )
        assert register.commit(new, kept=kept, reason="x", crs=CRS) == {"new": code(4)}
        register.retire(code(4), "cleared")
        assert issue(register, box(110, 0, 200, 100)) == code(5)

    def test_two_new_grids_do_not_share_their_ground(self, register):
        new = [NewGrid(name, PARENT, shape=SQUARE) for name in "ab"]
        found = refused(lambda: register.commit(new, reason="x", crs=CRS))
        assert found == {"ground_taken": ("grid a: 100 % on grid b", "grid b: 100 % on grid a")}
        assert register.codes().empty

    def test_levels_lie_on_each_other(self, micro):
        new = [
            NewGrid("grid", PARENT, level="grid", shape=SQUARE),
            NewGrid(("micro", "a"), "grid", level="micro", shape=box(0, 0, 50, 100)),
            NewGrid(("micro", "b"), "grid", level="micro", shape=box(50, 0, 100, 100)),
        ]
        assert len(micro.commit(new, reason="x", crs=CRS)) == 3
        third = [NewGrid(("micro", "c"), code(1), level="micro", shape=SQUARE)]
        found = refused(lambda: micro.commit(third, reason="x", crs=CRS))
        assert found == {"ground_taken": (f"micro c: 50 % on {code(1)}01, 50 % on {code(1)}02",)}

    def test_live_grounds_that_overlap_already_count_once(self, opened):
        """Two codes on the same 40 % are not 80 %."""
        issue(opened, box(0, 0, 40, 100))
        second = issue(opened, box(200, 0, 240, 100))
        opened.commit(kept={second: KeptGrid(shape=box(0, 0, 40, 100))}, reason="slip", crs=CRS)
        assert issue(opened, SQUARE) == code(3)

    def test_the_command_leaves_everything_as_it_was(self, where, plan, tmp_path, capsys):
        bare, coded, again = (tmp_path / f"{name}.gpkg" for name in ("bare", "coded", "again"))
        plan.save(bare)
        at = ("--register", where)
        coding = ("--parent-col", "parent", *at)
        assert main(["register", "create", *at]) == 0
        assert main(["code", str(bare), "-o", str(coded), *coding]) == 0
        capsys.readouterr()
        assert main(["code", str(bare), "-o", str(again), *coding]) == 2
        told = capsys.readouterr().err
        assert re.search(rf"grid \S+: 100 % on {code(1)}\n", told)
        assert "and 1 more" in told
        assert "use the plan that has these codes" in told
        assert not again.exists()
        with open_register(where) as register:
            assert len(register.codes()) == 6
            assert register.verify().empty


class TestTwoAtOnce:
    @pytest.mark.parametrize("parents", [(PARENT, PARENT), (PARENT, OTHER)])
    def test_one_of_two_planners_is_refused(self, register, where, parents):
        """Both code the same ground before either has committed, under one parent or two."""
        done: list[str] = []
        inside = threading.Event()

        def second() -> None:
            inside.wait(20)
            with open_register(where) as other:
                try:
                    issue(other, SQUARE, parent=parents[1])
                    done.append("issued")
                except gp.InputError as error:
                    done.append(error.problems[0].kind)

        worker = threading.Thread(target=second)
        worker.start()
        new = [NewGrid("new", parents[0], shape=SQUARE)]
        try:
            with register.changing(new, reason="x", crs=CRS):
                inside.set()
                time.sleep(1.0)  # the second waits for the first, or is through before it
            done.append("issued")
        except gp.InputError as error:
            done.append(error.problems[0].kind)
        worker.join(30)
        assert sorted(done) == ["ground_taken", "issued"]
        assert list(states(register).values()) == ["live"]


# ---------------------------------------------------------------- found where it is


class TestVerifying:
    def test_both_codes_and_the_area_are_named(self, opened):
        first, second = (issue(opened, shape) for shape in (SQUARE, east(100)))
        assert opened.verify().empty
        kept = {second: KeptGrid(shape=box(90, 0, 200, 100))}
        opened.commit(kept=kept, reason="border moved in one grid only", crs=CRS)
        assert opened.verify().to_numpy().tolist() == [
            [
                "overlap",
                first,
                f"and {second} are both live and overlap: 1,000 m², 10 % of the smaller",
            ]
        ]
        opened.retire(second, "cleared")
        assert opened.verify().empty

    def test_borders_that_do_not_quite_meet_are_none(self, opened):
        first = issue(opened, SQUARE)
        for width, faults in ((0.005, 0), (0.05, 1)):
            kept = {first: KeptGrid(shape=SQUARE)}
            new = [NewGrid("new", PARENT, shape=box(100 - width, 0, 200, 100))]
            made = opened.commit(new, kept=kept, reason="x", crs=CRS)["new"]
            assert len(opened.verify()) == faults
            opened.retire(made, "x")

    def test_grounds_in_several_crs(self, opened):
        for serial, crs in enumerate((CRS, "EPSG:4548", "EPSG:4490")):
            shape = east(100 * serial)
            moved = gpd.GeoSeries([shape], crs=CRS).to_crs(crs).iloc[0]
            issue(opened, moved, crs=crs)
        assert opened.verify().empty
        moved = gpd.GeoSeries([east(50)], crs=CRS).to_crs(4490).iloc[0]
        opened.commit(kept={code(3): KeptGrid(shape=moved)}, reason="x", crs=4490)
        faults = opened.verify()
        assert faults["code"].tolist() == [code(1), code(2)]
        assert faults["message"].str.contains(f"and {code(3)} are both live").all()
        assert faults["message"].str.contains("50 % of the smaller").all()

    def test_a_crs_that_does_not_reach_so_far(self, opened):
        """At the other side of the earth a zone has no numbers: nothing is in common."""
        issue(opened, SQUARE)
        assert issue(opened, box(-156.1, -0.1, -155.9, 0.1), crs=4326) == code(2)
        assert issue(opened, box(-156.3, -0.1, -156.1, 0.1), crs=4326) == code(3)
        assert issue(opened, east(100)) == code(4)
        assert opened.verify().empty

    def test_degrees_are_told_without_metres(self, opened):
        issue(opened, box(111, 30, 112, 31), crs=4490)
        second = issue(opened, box(112, 30, 113, 31), crs=4490)
        kept = {second: KeptGrid(shape=box(111.5, 30, 112.5, 31))}
        opened.commit(kept=kept, reason="x", crs=4490)
        assert opened.verify()["message"].tolist() == [
            f"and {second} are both live and overlap: 50 % of the smaller"
        ]

    def test_damaged_shapes_are_mended_to_be_compared(self, opened):
        first, second = issue(opened, SQUARE), issue(opened, east(100))
        bow = shapely.Polygon([(0, 0), (200, 100), (200, 0), (0, 100)])
        here = sa.update(GROUNDS).where(GROUNDS.c.code == second)
        tamper(opened, here.values(wkb=shapely.to_wkb(bow)))
        assert opened.verify()["code"].tolist() == [first]

    def test_the_command_finds_it(self, where, opened, capsys):
        first, second = issue(opened, SQUARE), issue(opened, east(100))
        opened.commit(kept={second: KeptGrid(shape=SQUARE)}, reason="x", crs=CRS)
        assert main(["register", "check", "--register", where]) == 1
        out = capsys.readouterr().out
        assert f"overlap {first}" in out
        assert f"{second} are both live" in out

    def test_ten_thousand_are_compared_at_once(self):
        west, south = (axis.ravel() * 10.0 for axis in np.meshgrid(range(100), range(100)))
        shapes = shapely.box(west, south, west + 10, south + 10)
        shapes[5050] = shapely.box(500, 500, 511, 510)
        names = [f"{number:05d}" for number in range(10_000)]
        begun = time.perf_counter()
        found = overlapping(names, ["grid"] * 10_000, shapes, CRS)
        assert time.perf_counter() - begun < 10
        assert [(pair.code, pair.other, pair.area) for pair in found] == [("05050", "05051", 10.0)]


# ---------------------------------------------------------------- codes of before


def layer(**shapes) -> gpd.GeoDataFrame:
    codes = [code(int(name[1:])) for name in shapes]
    return gpd.GeoDataFrame({"code": codes}, geometry=list(shapes.values()), crs=CRS)


class TestAdopting:
    def test_ground_of_live_codes_is_refused(self, register, live):
        found = refused(lambda: register.adopt(layer(_7=SQUARE, _8=box(0, 100, 10, 110))))
        assert found == {"ground_taken": (f"{code(7)}: 100 % on {live[0]}",)}
        assert len(register.codes()) == 2

    def test_live_codes_of_one_table_are_compared(self, register):
        table = layer(_7=SQUARE, _8=SQUARE)
        found = refused(lambda: register.adopt(table))
        assert found == {
            "ground_taken": (f"{code(7)}: 100 % on {code(8)}", f"{code(8)}: 100 % on {code(7)}")
        }
        assert register.adopt(table.assign(state=["retired", "live"])) == 2

    def test_a_smaller_overlap_is_a_warning(self, opened):
        with pytest.warns(gp.GridpartWarning, match="1,000 m², 10 % of the smaller") as caught:
            assert opened.adopt(layer(_7=SQUARE, _8=east(90))) == 2
        assert f"{code(7)} and {code(8)}" in str(caught[0].message)
        assert caught[0].filename == __file__
        assert opened.verify()["check"].tolist() == ["overlap"]

    def test_reasons_of_issue_and_of_retirement_stay_apart(self, register):
        old = pd.DataFrame(
            {
                "code": [code(1), code(2), code(3)],
                "state": ["retired", "retired", "live"],
                "issued": ["2015-01-01", "2015-01-02", "2020-01-01"],
                "retired": ["2020-01-01", "2019-01-01", None],
                "reason": ["merged", "cleared", "street merged"],
                "issue_reason": ["first plan", None, None],
                "successors": [code(3), None, None],
            }
        )
        register.adopt(old, reason="paper list of 2020")
        table = register.codes().set_index("code")
        assert table["issue_reason"].tolist() == [
            "first plan", "paper list of 2020", "street merged",
        ]  # fmt: skip
        assert table["retire_reason"].fillna("").tolist() == ["merged", "cleared", ""]
        # the ground went over when the successor was issued, not when both were entered
        steps = register.lineage(code(1))
        assert steps[["at", "reason"]].to_numpy().tolist() == [
            ["2015-01-01T00:00:00Z", "first plan"], ["2020-01-01T00:00:00Z", "street merged"],
        ]  # fmt: skip
