"""The register from the command line, and by several planners at once."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import geopandas as gpd
import pytest
import sqlalchemy as sa
from registers import CRS, OTHER, OWN_RANGE, PARENT, code, tamper
from shapely import box

from gridpart.cli import main
from gridpart.codes import open_register
from gridpart.codes.store import COUNTERS

SECONDS = 3.0
REASONS = {1: "first plan", 2: "tower finished", 3: "street merged", 4: "border moved"}
PLANNERS = Path(__file__).with_name("planners.py")


# ---------------------------------------------------------------- command line


@pytest.fixture
def saved(plan, tmp_path) -> Path:
    path = tmp_path / "plan.gpkg"
    plan.save(path)
    return path


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


SHOWN = """\
code          {one}
level         grid
kind          base
state         retired
issued        2021-05-01T00:00:00Z: first plan
retired       2021-05-02T00:00:00Z: tower finished
successors    {two};{three}

stood for
               since                until households area_m2
2021-05-01T00:00:00Z 2021-05-02T00:00:00Z        400   200.0

went to
generation            code             via share of area, %                   on state now        because households area_m2
         1 {two} {one}            50.0% 2021-05-02T00:00:00Z      live tower finished              100.0
         1 {three} {one}            50.0% 2021-05-02T00:00:00Z   retired tower finished              100.0
         2 {five} {three}            50.0% 2021-05-03T00:00:00Z      live  street merged              200.0
         2 {five} {two}            55.0% 2021-05-04T00:00:00Z      live   border moved              210.0
"""  # noqa: E501


class TestScreens:
    """Every date stands beside the reason of its own change."""

    def test_a_code_and_where_its_ground_went(self, where, register, story, capsys):
        assert run("register", "show", story["1"], "--register", where) == 0
        names = dict(zip(("one", "two", "three", "five"), "1235", strict=True))
        wanted = SHOWN.format(**{name: story[key] for name, key in names.items()})
        assert capsys.readouterr().out == wanted
        reasons = register.lineage(story["1"]).set_index("at")["reason"].to_dict()
        assert reasons == {f"2021-05-0{day}T00:00:00Z": told for day, told in REASONS.items()}

    def test_where_its_ground_came_from(self, where, register, story, capsys):
        assert run("register", "show", story["5"], "--register", where) == 0
        out = capsys.readouterr().out
        assert "issued        2021-05-03T00:00:00Z: street merged\n" in out
        assert "retired" not in out.split("stood for")[0]
        rows = re.findall(r"^ +-\d (\d+) \d+ +([\d.]+)% 2021-05-(\d\d)\S+ +\w+ +(.*?)  ", out, re.M)
        assert [(row[0][-1], *row[1:]) for row in rows] == [
            ("1", "52.4", "02", "tower finished"), ("1", "52.4", "02", "tower finished"),
            ("2", "47.6", "03", "street merged"), ("4", "47.6", "03", "street merged"),
            ("3", "4.8", "04", "border moved"),
        ]  # fmt: skip
        table = register.lineage(story["5"])
        told = dict(zip(table["at"].str[9:10].astype(int), table["reason"], strict=True))
        assert told == {day: REASONS[day] for day in (2, 3, 4)}

    @pytest.mark.usefixtures("register", "story")
    def test_the_list_and_the_log(self, where, capsys):
        assert run("register", "list", "--register", where) == 0
        first = capsys.readouterr().out.splitlines()[1].split("2021-05-")
        assert first[1].split(maxsplit=1)[1].strip() == "first plan"
        assert first[2].startswith("02T00:00:00Z tower finished")
        assert run("register", "log", "--register", where) == 0
        rows = capsys.readouterr().out.splitlines()[1:]
        assert [re.findall(r"2021-05-0(\d)", row) for row in rows] == [["1"], ["2"], ["3"], ["4"]]
        assert all(REASONS[day] in row for day, row in enumerate(rows, start=1))

    def test_what_is_not_known_is_left_out(self, where, register, capsys):
        register.issue(PARENT)
        assert run("register", "show", code(1), "--register", where) == 0
        assert "households" in capsys.readouterr().out
        assert run("register", "show", code(2), "--register", where) == 2
        assert "was never issued" in capsys.readouterr().err

    def test_nothing_is_done_in_the_future(self, where, register, saved, tmp_path, capsys):
        [own] = register.issue(PARENT)
        at = ("--register", where, "--at", "2999-01-01")
        table = tmp_path / "old.csv"
        table.write_text(f"code\n{code(44)}\n", encoding="utf-8")
        for command in (
            ("code", saved, "-o", tmp_path / "new.gpkg", "--parent-col", "parent", *at),
            ("register", "retire", own, *at, "--reason", "x"),
            ("register", "adopt", table, *at),
            ("register", "adopt", table, *at[:2], "--issued", "2999-01-01"),
        ):
            assert run(*command) == 2
            assert "2999-01-01, later than today" in capsys.readouterr().err
        assert register.codes()["state"].tolist() == ["live"]


class TestCommands:
    def test_from_a_plan_to_its_lineage(self, where, saved, capsys):
        at = ("--register", where)
        assert run("register", "create", *at) == 0
        assert "0 live and 0 retired codes of the scheme unit-grid" in capsys.readouterr().out
        coding = ("code", saved, "-o", saved, "--parent-col", "parent", *at)
        assert run(*coding, "--reason", "plan of 2021", "--at", "2021-05-01") == 0
        assert "6 codes issued in" in capsys.readouterr().out
        assert run(*coding) == 0
        assert "0 codes issued in" in capsys.readouterr().out
        with open_register(where) as register:
            table = register.codes()
            assert table["reason"].tolist() == ["plan of 2021"] * 6
            register.split(code(1), 2, reason="tower finished", at="2022-01-01")
        assert run("register", "show", code(1), *at) == 0
        out = capsys.readouterr().out
        assert "tower finished" in out
        assert re.search(rf"went to\n.*\n.*1 {code(4)}", out)
        assert run("register", "at", 50, 50, *at, "--when", "2021-06-01") == 0
        assert len(capsys.readouterr().out.strip().splitlines()) == 2
        assert run("register", "at", 500000, 50, *at) == 0
        assert capsys.readouterr().out.strip() == "none"
        assert run("register", "retire", code(2), *at, "--reason", "cleared") == 0
        assert run("register", "retire", code(2), code(99), *at, "--reason", "cleared") == 2
        err = capsys.readouterr().err
        assert "codes are retired already" in err
        assert "codes are not in the register" in err
        assert run("register", "log", *at) == 0
        assert len(capsys.readouterr().out.strip().splitlines()) == 4
        assert run("register", "check", *at) == 0
        assert "no faults" in capsys.readouterr().out

    def test_lists_are_what_the_audit_takes(self, where, saved, tmp_path, capsys):
        at = ("--register", where)
        assert run("register", "create", *at) == 0
        assert run("code", saved, "-o", saved, "--parent-col", "parent", *at) == 0
        for name in ("list.csv", "list.xlsx", "list.gpkg"):
            assert run("register", "list", *at, "--parent", PARENT, "-o", tmp_path / name) == 0
        assert "3 codes written" in capsys.readouterr().out
        assert len(gpd.read_file(tmp_path / "list.gpkg")) == 3
        assert run("register", "list", *at, "--retired") == 0
        assert capsys.readouterr().out.strip() == "none"
        assert run("register", "list", *at, "--live") == 0
        assert len(capsys.readouterr().out.strip().splitlines()) == 7
        for name in ("list.csv", "list.xlsx"):
            found = tmp_path / "found.json"
            checked = ("audit", saved, "--register", tmp_path / name, "--json", found)
            assert run(*checked) in (0, 1)
            kinds = [row["check"] for row in json.loads(found.read_text())["findings"]]
            assert kinds.count("code_unregistered") == 3

    def test_adopting_files(self, where, saved, tmp_path, capsys):
        at = ("--register", where)
        assert run("register", "create", *at) == 0
        assert run("code", saved, "-o", saved, "--parent-col", "parent") == 0
        assert run("register", "adopt", saved, *at, "--issued", "2015-01-01") == 0
        assert "6 codes adopted; 6 live and 0 retired" in capsys.readouterr().out
        table = tmp_path / "old.csv"
        table.write_text(f"kode,state\n{code(44)},retired\n", encoding="utf-8")
        assert run("register", "adopt", table, *at) == 2
        assert "no column code" in capsys.readouterr().err
        assert run("register", "adopt", table, *at, "--code", "kode", "--at", "2020-01-01") == 0
        layer = tmp_path / "old.gpkg"
        old = gpd.GeoDataFrame({"grid_code": [code(45)]}, geometry=[box(0, 0, 1, 1)], crs=CRS)
        old.to_file(layer)
        assert run("register", "adopt", layer, *at) == 2
        assert f"{code(45)}: 100 % on {code(1)}" in capsys.readouterr().err
        old.set_geometry([box(-1, 0, 0, 1)], crs=CRS).to_file(layer)
        assert run("register", "adopt", layer, *at) == 0
        with open_register(where) as register:
            assert register.issue(PARENT) == [code(46)]
            assert len(register.codes(live=False)) == 1

    def test_a_register_that_is_not_there(self, where, saved, capsys):
        at = ("--register", where)
        assert run("code", saved, "-o", saved, "--parent-col", "parent", *at) == 2
        assert "gridpart register create" in capsys.readouterr().err
        assert run("register", "list", *at) == 2

    def test_a_plan_that_cannot_be_written_uses_no_codes_up(self, where, saved, tmp_path):
        at = ("--register", where)
        assert run("register", "create", *at) == 0
        before = saved.read_bytes()
        assert (
            run("code", saved, "-o", tmp_path / "no" / "p.gpkg", "--parent-col", "parent", *at) == 2
        )
        assert run("code", saved, "-o", saved, "--parent-code", "12", *at) == 2
        with open_register(where) as register:
            assert register.codes().empty
        assert saved.read_bytes() == before

    def test_damage_is_exit_code_one(self, where, capsys):
        with open_register(where, create=True) as register:
            register.issue(PARENT, 2)
            tamper(register, sa.update(COUNTERS).values(last=1))
        assert run("register", "check", "--register", where) == 1
        assert "above the last serial" in capsys.readouterr().out


def test_coding_with_a_scheme_of_ones_own(saved, tmp_path, capsys):
    own = tmp_path / "city.toml"
    own.write_text(OWN_RANGE)
    coding = ("code", saved, "-o", saved, "--parent-col", "parent")
    assert run(*coding, "--scheme", own) == 0
    assert run(*coding, "--scheme", "nothing") == 2
    assert "no code scheme 'nothing'" in capsys.readouterr().err
    assert run(*coding, "--reason", "x") == 2
    table = tmp_path / "divisions.csv"
    table.write_text(f"code\n{PARENT}\n", encoding="utf-8")
    assert run(*coding, "--divisions", table) == 2
    assert f"{OTHER}, which is not in the list of divisions" in capsys.readouterr().err
    table.write_text(f"code\n{PARENT}\n{OTHER}\n420583\n", encoding="utf-8")
    assert run(*coding, "--divisions", table) == 0


# ---------------------------------------------------------------- several planners


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the planners are forked")
def test_planners_at_once(new_place, tmp_path):
    """8 planners, some of them shot, for a few seconds; benchmarks/registering.py: a minute."""
    # a machine that is busy otherwise gets little done in so few seconds: then once more, longer
    for seconds in (SECONDS, 6 * SECONDS):
        folder = tmp_path / f"journals of {seconds} seconds"
        folder.mkdir()
        done = subprocess.run(
            [sys.executable, PLANNERS, new_place(), folder, str(seconds), "8", "3"],
            capture_output=True, text=True, check=False,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        counts = json.loads(done.stdout)
        print(counts)
        assert not any(counts["violations"].values()), counts
        assert counts["failed"] == 0, done.stderr
        assert counts["kills"] >= 3
        if counts["acknowledged"] >= 10:
            break
    assert counts["acknowledged"] >= 10
    assert re.fullmatch(r"\d+", str(counts["codes"]))
