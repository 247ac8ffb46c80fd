"""The register of codes, the same tests over SQLite and PostgreSQL."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta

import geopandas as gpd
import pandas as pd
import pytest
import shapely
import sqlalchemy as sa
from registers import CRS, DAY, OTHER, OWN_RANGE, PARENT, code, refused, states, tamper
from shapely import box

import gridpart as gp
from gridpart.codes import KeptGrid, NewGrid, load_scheme, open_register
from gridpart.codes.store import CODES, COUNTERS, EVENTS, GROUNDS, LINKS

# ---------------------------------------------------------------- issue and retire


class TestIssuing:
    def test_serials_ascend_and_are_never_used_again(self, register):
        assert register.issue(PARENT, 2) == [code(1), code(2)]
        register.retire(code(2), "cleared")
        assert register.issue(PARENT) == [code(3)]
        assert register.issue(OTHER) == [code(1, OTHER)]
        register.retire([code(1), code(3)], "cleared")
        assert register.issue(PARENT) == [code(4)]
        assert states(register) == {
            code(1): "retired", code(2): "retired", code(3): "retired", code(4): "live",
            code(1, OTHER): "live",
        }  # fmt: skip

    def test_one_change_issues_retires_keeps_and_links(self, register):
        old = register.issue(PARENT, 4, at=DAY.format(1))
        new = [
            NewGrid("a", PARENT, households=250, shape=box(0, 0, 10, 10), predecessors=(old[0],)),
            NewGrid(("b", 2), OTHER, households=0, area_m2=7.5, predecessors=(old[0], old[1])),
        ]
        kept = {old[2]: KeptGrid(households=300, predecessors=(old[1],)), old[3]: None}
        issued = register.commit(
            new, old[:2], kept, reason="street merged", at=DAY.format(2), crs=CRS
        )
        assert issued == {"a": code(5), ("b", 2): code(1, OTHER)}
        table = register.codes().set_index("code")
        assert table.loc[old[0], "successors"] == f"{code(5)};{code(1, OTHER)}"
        assert table.loc[old[1], "successors"] == f"{old[2]};{code(1, OTHER)}"
        assert table.loc[code(1, OTHER), "predecessors"] == f"{old[0]};{old[1]}"
        assert table.loc[old[:2], "state"].tolist() == ["retired"] * 2
        assert table.loc[old[:2], "retired"].tolist() == ["2021-05-02T00:00:00Z"] * 2
        assert table.loc[old[:2], "reason"].tolist() == ["street merged"] * 2
        assert table.loc[old[2:], "reason"].tolist() == ["issued"] * 2
        assert table.loc[code(5), ["households", "area_m2"]].tolist() == [250, 100.0]
        assert table.loc[code(1, OTHER), ["households", "area_m2"]].tolist() == [0, 7.5]
        assert table.geometry[code(5)].equals_exact(box(0, 0, 10, 10), 0)
        assert table.geometry[old[0]] is None
        changes = register.changes()
        numbers = changes[["n_issued", "n_retired", "n_grounds", "n_links"]].to_numpy().tolist()
        assert numbers == [[4, 0, 4, 0], [2, 2, 3, 4]]
        assert changes["kind"].tolist() == ["issue", "change"]

    def test_columns_are_those_of_the_contract(self, register):
        register.issue(PARENT)
        for table in (register.codes(), register.codes(live=False)):
            assert list(table.columns) == [
                "code", "state", "issued", "retired", "reason", "predecessors", "successors",
                "households", "area_m2", "parent", "kind", "level", "issue_reason",
                "retire_reason", "geometry",
            ]  # fmt: skip
            assert isinstance(table, gpd.GeoDataFrame)
        assert len(register.codes(live=True)) == 1
        assert str(register.codes()["households"].dtype) == "Int64"

    def test_areas_come_back_to_the_bit(self, register):
        chosen = random.Random(4)
        areas = [chosen.uniform(0, 1e7) * 10 ** chosen.randint(-9, 9) for _ in range(50)]
        shapes = [box(x, 0.1, x + chosen.random(), chosen.random() + 0.2) for x in range(50)]
        new = [
            NewGrid(k, PARENT, area_m2=area, shape=shape)
            for k, (area, shape) in enumerate(zip(areas, shapes, strict=True))
        ]
        issued = register.commit(new, reason="x", crs=CRS)
        table = register.codes().set_index("code").loc[list(issued.values())]
        assert table["area_m2"].tolist() == areas
        assert [shapely.to_wkb(g) for g in table.geometry] == [shapely.to_wkb(s) for s in shapes]
        assert table.crs == CRS

    def test_kinds_have_their_own_serials_where_the_scheme_says_so(self, new_place, tmp_path):
        (tmp_path / "city.toml").write_text(OWN_RANGE)
        where = new_place()
        with open_register(where, create=True, scheme=tmp_path / "city.toml") as register:
            new = [NewGrid(k, PARENT, kind=k) for k in ("base", "exclusive", "school")]
            issued = register.commit(new, reason="x")
            assert issued == {"base": code(1), "exclusive": code(900), "school": code(2)}
            assert register.issue(PARENT, 99, kind="exclusive")[-1] == code(999)
            full = refused(lambda: register.issue(PARENT, 2, kind="exclusive"))
            assert full == {
                "serials_used_up": (f"{PARENT}: 2 wanted, 0 left of 900 to 999 of exclusive grids",)
            }
            register.retire(code(950), "closed")
            assert "serials_used_up" in refused(lambda: register.issue(PARENT, kind="exclusive"))
            assert register.issue(PARENT) == [code(3)]
            assert register.verify().empty
        with open_register(where, scheme=tmp_path / "city.toml") as again:
            assert again.scheme.level("grid").serials["exclusive"] == (900, 999)

    def test_serials_end(self, register):
        register.issue(PARENT, 998)
        both = refused(lambda: register.commit([NewGrid(k, PARENT) for k in "ab"], reason="x"))
        assert both == {"serials_used_up": (f"{PARENT}: 2 wanted, 1 left of 1 to 999",)}
        assert register.issue(PARENT) == [code(999)]

    def test_every_problem_is_said_and_nothing_is_written(self, register):
        live, gone = register.issue(PARENT, 2)
        register.retire(gone, "cleared")
        before = register.codes(), register.changes()
        bad = [
            NewGrid("a", "42", households=-1),
            NewGrid("a", PARENT, level="micro"),
            NewGrid("c", PARENT, households=1.5, area_m2=float("nan")),
            NewGrid("d", PARENT, shape=shapely.Point(0, 0), kind=""),
            NewGrid("e", PARENT, shape=shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)])),
        ]
        kept = {live: KeptGrid(predecessors=(live,), shape=shapely.Polygon())}
        found = refused(lambda: register.commit(bad, [live, live], kept, reason=" "))
        assert set(found) == {
            "reason", "key", "new", "retired_twice", "kept_and_retired", "ground",
            "own_predecessor", "missing_crs",
        }  # fmt: skip
        assert len(found["new"]) == 3
        assert len(found["ground"]) == 6
        new = [NewGrid("a", PARENT, predecessors=("420583001001777", gone))]
        found = refused(lambda: register.commit(new, [gone], {"1": None}, reason="x"))
        assert found["unknown_code"] == ("1", "420583001001777")
        assert found["already_retired"][0].startswith(f"{gone}, since 20")
        assert "no_change" in refused(lambda: register.commit(reason="x"))
        for old, now in zip(before, (register.codes(), register.changes()), strict=True):
            pd.testing.assert_frame_equal(pd.DataFrame(old), pd.DataFrame(now))
        assert register.issue(PARENT) == [code(3)]

    def test_an_error_in_the_block_takes_everything_back(self, register):
        first = register.issue(PARENT)
        with (
            pytest.raises(RuntimeError, match="disk full"),
            register.changing([NewGrid("a", PARENT)], first, reason="x") as issued,
        ):
            self.fail_to_write(issued)
        assert states(register) == {code(1): "live"}
        assert register.issue(PARENT) == [code(2)]

    def fail_to_write(self, issued):
        assert issued == {"a": code(2)}
        raise RuntimeError("disk full")

    def test_splitting_and_merging(self, register):
        [first] = register.issue(PARENT)
        parts = register.split(first, 3, reason="too large")
        assert parts == [code(2), code(3), code(4)]
        shapes = [box(0, 0, 1, 1), NewGrid("x", "", households=7, shape=box(1, 0, 3, 1))]
        pieces = register.split(parts[0], shapes, crs=CRS)
        table = register.codes().set_index("code")
        assert table.loc[pieces, "area_m2"].tolist() == [1.0, 2.0]
        assert table.loc[pieces, "predecessors"].tolist() == [parts[0]] * 2
        merged = register.merge(pieces)
        last = register.codes().set_index("code").loc[merged]
        assert last["area_m2"] == 3.0
        assert pd.isna(last["households"])
        assert last["geometry"].equals(box(0, 0, 3, 1))
        assert last["predecessors"] == ";".join(pieces)
        with pytest.raises(gp.InputError, match="two parts or more, got 1"):
            register.split(merged, 1)
        with pytest.raises(gp.InputError, match="'1' was never issued"):
            register.split("1")
        with pytest.raises(gp.InputError, match="two codes or more"):
            register.merge([merged, merged])
        [far] = register.issue(OTHER)
        with pytest.raises(gp.InputError, match=f"several parents .*{OTHER}.*say parent="):
            register.merge([merged, far])
        assert register.merge([merged, far], parent=OTHER) == code(2, OTHER)
        assert "already_retired" in refused(lambda: register.split(first))

    def test_households_and_areas_of_a_merge_are_sums(self, register):
        new = [NewGrid(k, PARENT, households=k, area_m2=k / 8) for k in (3, 5)]
        issued = register.commit(new, reason="x")
        merged = register.merge(issued.values())
        row = register.codes().set_index("code").loc[merged]
        assert (row["households"], row["area_m2"]) == (8, 1.0)

    def test_micro_grids_live_under_live_grids(self, micro):
        grid, other = micro.issue(PARENT, 2, level="grid")
        assert micro.issue(grid, 2) == [f"{grid}01", f"{grid}02"]
        assert "bad_parent" in refused(lambda: micro.issue(code(9)))
        found = refused(lambda: micro.retire(grid, "x"))
        assert found == {"live_children": (f"{grid}: {grid}01", f"{grid}: {grid}02")}
        micro.retire([grid, f"{grid}01", f"{grid}02"], "cleared")
        assert refused(lambda: micro.issue(grid)) == {"bad_parent": (f"grid 0: {grid} is retired",)}
        micro.retire(other, "x")
        assert "new" in refused(lambda: micro.issue("42058300100100799"))

    def test_parents_may_be_new_themselves(self, micro):
        new = [NewGrid("a1", "a"), NewGrid("a", PARENT, level="grid"), NewGrid("a2", "a")]
        issued = micro.commit(new, reason="x")
        assert issued == {"a1": f"{code(1)}01", "a": code(1), "a2": f"{code(1)}02"}
        bad = refused(lambda: micro.commit([NewGrid("b1", "b")], reason="x"))
        assert bad["new"][0].startswith("grid b1: parent code 'b' must be 15 digits")
        many = [NewGrid(k, "c") for k in range(100)]
        full = refused(
            lambda: micro.commit([*many, NewGrid("c", PARENT, level="grid")], reason="x")
        )
        assert full == {"serials_used_up": (f"{code(2)}: 100 wanted, 99 left of 1 to 99",)}
        assert len(micro.codes()) == 3

    def test_divisions_are_entered_not_issued(self, new_place):
        with open_register(new_place(), create=True, scheme="yumen") as register:
            found = refused(lambda: register.issue("620981", level="first"))
            assert found["new"] == ("grid 0: codes of the level first are entered, not issued",)
            assert register.adopt(["620981001", "620981001001"]) == 2
            assert register.issue("620981001001", 2)[-1] == "620981001001002"
            assert "live_children" in refused(lambda: register.retire("620981001001", "x"))


# ---------------------------------------------------------------- time


class TestTime:
    def test_times_are_utc(self, register):
        moments = [
            (datetime(2021, 5, 1, 8, tzinfo=UTC), "2021-05-01T08:00:00Z"),
            (date(2021, 5, 2), "2021-05-02T00:00:00Z"),
            ("2021-05-03T08:30:00+08:00", "2021-05-03T00:30:00Z"),
            ("2021-05-04", "2021-05-04T00:00:00Z"),
        ]
        for given, _ in moments:
            register.issue(PARENT, at=given)
        assert register.codes()["issued"].tolist() == [text for _, text in moments]
        for bad, reason in (
            (datetime(2021, 5, 1), "has no time zone"),
            ("yesterday", "is no point in time"),
            (5, "is no point in time"),
        ):
            with pytest.raises(gp.InputError, match=reason):
                register.issue(PARENT, at=bad)

    def test_nothing_is_retired_before_it_was_issued(self, register):
        [first, second] = register.issue(PARENT, 2, at="2021-05-02")
        assert "before_issued" in refused(lambda: register.retire(first, "x", at="2021-05-01"))
        register.retire(first, "x", at="2021-05-02")
        # a clock that is behind does not stop the work
        soon = datetime.now(UTC) + timedelta(hours=1)
        [third] = register.issue(PARENT, at=soon)
        register.retire([second, third], "x")
        told = soon.strftime("%Y-%m-%dT%H:%M:%SZ")
        assert register.codes()["retired"].tolist() == ["2021-05-02T00:00:00Z", told, told]

    @pytest.mark.parametrize("name", ["at", "issued"])
    def test_nothing_happens_in_the_future(self, register, name):
        """A code of tomorrow could not be changed today."""
        calls = [lambda: register.adopt([code(1)], **{name: "2999-01-01"})]
        if name == "at":
            calls.append(lambda: register.issue(PARENT, at="2999-01-01"))
        for call in calls:
            with pytest.raises(gp.InputError, match="2999-01-01, later than today"):
                call()
        ended = pd.DataFrame({"code": [code(1)], "state": ["retired"], "retired": ["2999-01-01"]})
        assert (
            "2999-01-01, later than today" in refused(lambda: register.adopt(ended))["bad_code"][0]
        )
        assert register.codes().empty


# ---------------------------------------------------------------- against a plain model


class TestModel:
    def test_random_changes_agree_with_a_dictionary(self, register):
        """The register and a few lines of Python that cannot be wrong, over 80 changes."""
        chosen = random.Random(7)
        state: dict[str, str] = {}
        last = {PARENT: 0, OTHER: 0}
        links: set[tuple[str, str]] = set()
        for _ in range(80):
            live = sorted(name for name, now in state.items() if now == "live")
            old = chosen.sample(live, min(len(live), chosen.randint(0, 2)))
            parents = [chosen.choice([PARENT, OTHER]) for _ in range(chosen.randint(0, 3))]
            if not (old or parents):
                continue
            new = [NewGrid(k, parent, predecessors=tuple(old)) for k, parent in enumerate(parents)]
            expected = {}
            for key, parent in enumerate(parents):
                last[parent] += 1
                expected[key] = code(last[parent], parent)
            assert register.commit(new, old, reason="x") == expected
            state |= dict.fromkeys(old, "retired") | dict.fromkeys(expected.values(), "live")
            links |= {(a, b) for a in old for b in expected.values()}
        assert states(register) == state
        table = register.codes().set_index("code")
        for name, row in table.iterrows():
            assert row["successors"] == ";".join(sorted(b for a, b in links if a == name))
            assert row["predecessors"] == ";".join(sorted(a for a, b in links if b == name))
        chain = register.lineage(code(1))
        reached, frontier = set(), {code(1)}
        while frontier:
            frontier = {b for a, b in links if a in frontier} - reached
            reached |= frontier
        assert set(chain.loc[chain["direction"] == "to", "code"]) == reached


# ---------------------------------------------------------------- what verify finds


class TestVerify:
    @pytest.mark.parametrize(
        ("check", "statements"),
        [
            ("counter", [sa.update(COUNTERS).where(COUNTERS.c.series == "base").values(last=1)]),
            ("form", [sa.update(CODES).where(CODES.c.code == code(2)).values(serial=7)]),
            ("half", [sa.update(EVENTS).where(EVENTS.c.id == 1).values(n_issued=9)]),
            ("lineage", [sa.delete(LINKS)]),
            ("lineage", [sa.update(LINKS).values(event=1)]),
            ("ground", [sa.delete(GROUNDS).where(GROUNDS.c.code == code(2))]),
            ("ground", [sa.update(GROUNDS).where(GROUNDS.c.code == code(2)).values(until_event=2)]),
            (
                "order",
                [
                    sa.update(CODES).where(CODES.c.code == code(2)).values(issue_event=2),
                    sa.update(CODES).where(CODES.c.code == code(3)).values(issue_event=1),
                ],
            ),
        ],
    )
    def test_damage_is_found(self, where, check, statements):
        with open_register(where, create=True) as register:
            register.issue(PARENT, 2)
            register.split(code(1), 2)
            assert register.verify().empty
            tamper(register, *statements)
            assert check in set(register.verify()["check"])

    @pytest.mark.parametrize(
        "statement",
        [
            sa.insert(CODES).values(
                code=code(1), parent=PARENT, level="grid", kind="base", state="live",
                issued="x", issue_reason="x", issue_event=1,
            ),
            sa.update(CODES).values(state="gone"),
            sa.update(CODES).values(state="retired"),
            sa.insert(LINKS).values(predecessor=code(1), successor=code(1), event=1),
            sa.insert(LINKS).values(predecessor=code(1), successor=code(5), event=1),
        ],
    )  # fmt: skip
    def test_the_tables_refuse_what_cannot_be(self, register, statement):
        register.issue(PARENT, 2)
        with pytest.raises(sa.exc.IntegrityError):
            tamper(register, statement)


# ---------------------------------------------------------------- opening


class TestOpening:
    def test_a_register_is_made_once_and_found_again(self, where):
        with pytest.raises(gp.InputError, match=r"make (it|one) with: gridpart register create"):
            open_register(where)
        with open_register(where, create=True) as first:
            first.issue(PARENT)
            name = first.id
        with open_register(where, create=True) as again:
            assert again.id == name
            assert again.issue(PARENT) == [code(2)]
            assert "2 live and 0 retired codes of the scheme unit-grid" in repr(again)

    def test_the_scheme_stays(self, where):
        open_register(where, create=True, scheme="micro-grid").close()
        with open_register(where) as register:
            assert register.scheme == load_scheme("micro-grid")
        with pytest.raises(gp.InputError, match="follow the scheme micro-grid, not yumen"):
            open_register(where, scheme="yumen")

    def test_a_newer_one_is_not_touched(self, where):
        with open_register(where, create=True) as register:
            tamper(
                register,
                sa.text("UPDATE register_meta SET value = '2' WHERE key = 'schema_version'"),
            )
        with pytest.raises(gp.InputError, match=r"made by a newer gridpart \(version 2"):
            open_register(where)

    def test_another_programs_database(self, where):
        with open_register(where, create=True) as register:
            tamper(register, sa.text("UPDATE register_meta SET value = 'x'"))
        with pytest.raises(gp.InputError, match="another program's database"):
            open_register(where)


class TestFiles:
    def test_an_empty_file_becomes_one_only_when_told(self, tmp_path):
        path = tmp_path / "empty.sqlite"
        path.touch()
        with pytest.raises(gp.InputError, match="it is empty; make one with"):
            open_register(path)
        open_register(path, create=True).close()
        with open_register(path) as register:
            assert register.issue(PARENT) == [code(1)]

    def test_files_that_are_no_register(self, tmp_path):
        text = tmp_path / "notes.txt"
        text.write_text("hello " * 1000)
        with pytest.raises(gp.InputError, match="no SQLite database at all"):
            open_register(text, create=True)
        layer = tmp_path / "units.gpkg"
        gpd.GeoDataFrame({"a": [1]}, geometry=[box(0, 0, 1, 1)], crs=CRS).to_file(layer)
        before = layer.read_bytes()
        for create in (False, True):
            with pytest.raises(gp.InputError, match="it is another database"):
                open_register(layer, create=create)
        assert layer.read_bytes() == before
        with pytest.raises(gp.InputError, match="is a folder"):
            open_register(tmp_path)
        with pytest.raises(gp.OutputError, match="does not exist"):
            open_register(tmp_path / "no" / "r.sqlite", create=True)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt", "units.gpkg"]

    @pytest.mark.parametrize(
        ("url", "reason"),
        [
            ("sqlite://", "a SQLite register is a file"),
            ("mysql://me:secret@host/db", "name a file, or a postgresql"),
            ("nothing at all://", "not a database's URL"),
        ],
    )
    def test_urls_that_are_none(self, url, reason):
        with pytest.raises(gp.InputError, match=reason) as caught:
            open_register(url)
        assert "secret" not in str(caught.value)

    def test_a_file_can_be_named_by_its_url(self, tmp_path):
        with open_register(f"sqlite:///{tmp_path}/a.sqlite", create=True) as register:
            register.issue(PARENT)
        with open_register(tmp_path / "a.sqlite") as register:
            assert states(register) == {code(1): "live"}
        # one file, whole: nothing lies beside it that would have to be copied too
        assert [path.name for path in tmp_path.iterdir()] == ["a.sqlite"]

    def test_somebody_who_holds_it_for_too_long(self, tmp_path, monkeypatch):
        monkeypatch.setattr("gridpart.codes.store.BUSY_SECONDS", 0.1)
        open_register(tmp_path / "a.sqlite", create=True).close()
        other = sqlite3.connect(tmp_path / "a.sqlite", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with open_register(tmp_path / "a.sqlite") as register:
            with pytest.raises(gp.OutputError, match="another program has held it"):
                register.issue(PARENT)
            assert register.codes().empty  # reading is possible meanwhile
        other.rollback()
        other.close()

    def test_a_planner_killed_while_writing_leaves_nothing(self, tmp_path):
        path = tmp_path / "a.sqlite"
        open_register(path, create=True).close()
        script = (
            "import os, signal\nfrom gridpart.codes import NewGrid, open_register\n"
            f"with open_register({str(path)!r}) as r, "
            f"r.changing([NewGrid(1, {PARENT!r})], reason='x') as codes:\n"
            "    os.kill(os.getpid(), signal.SIGKILL)\n"
        )
        done = subprocess.run([sys.executable, "-c", script], check=False)
        assert done.returncode == -9
        with open_register(path) as register:
            assert register.codes().empty
            assert register.issue(PARENT) == [code(1)]
            assert register.verify().empty
