"""Standards: what ships, files as they go wrong, and the page that explains them."""

from __future__ import annotations

import contextlib
import io
import re
from dataclasses import FrozenInstanceError, fields

import pytest

from gridpart.errors import InputError
from gridpart.standards import (
    RoleTerms,
    Standard,
    Team,
    TeamRule,
    list_standards,
    load_standard,
)

PLACES = {
    "base": ("", None),
    "changde": ("Changde, Hunan", 2021),
    "haibowan": ("Haibowan, Wuhai, Inner Mongolia", 2022),
    "shulan": ("Shulan, Jilin", 2022),
    "yumen": ("Yumen, Gansu", 2018),
    "zhijiang": ("Zhijiang, Hubei", 2021),
}
GOOD = """
name = "town"
title = "Teams of a town"
sources = ["the town hall"]
[[team.roles]]
name = "leader"
title = "网格长"
[[team.rules]]
role = "leader"
per = "grid"
"""


def faults_of(call, *arguments, **options):
    with pytest.raises(InputError) as caught:
        call(*arguments, **options)
    return str(caught.value)


@pytest.fixture
def written(tmp_path):
    """Write the text of a standard; its path."""

    def write(text, encoding="utf-8"):
        path = tmp_path / "town.toml"
        path.write_bytes(text.encode(encoding))
        return path

    return write


# ---------------------------------------------------------------- what ships


def test_the_five_places_and_a_base_ship():
    assert list_standards() == tuple(PLACES)


@pytest.mark.parametrize("name", PLACES)
def test_a_shipped_standard_says_what_it_is(name):
    standard = load_standard(name)
    assert standard.name == name
    assert (standard.place, standard.year) == PLACES[name]
    assert standard.title
    assert all(standard.sources)
    assert load_standard(standard) is load_standard(name) is standard
    text = repr(standard)
    for word in (standard.title, *standard.team.names, *standard.sources):
        assert word in text
    if standard.year:
        assert all("Published" in s or "our " in s for s in standard.sources)


@pytest.mark.parametrize(
    ("name", "rules"),
    [
        ("base", {"leader": "1 per grid", "police": "1 per community",
                  "full_timer": "1 per grid", "part_timer": "welcome, none required",
                  "doctor": "welcome, none required", "lawyer": "welcome, none required"}),
        ("haibowan", {"leader": "1 per grid, at most 2 grids each", "police": "1 per grid",
                      "full_timer": "1 per grid", "part_timer": "welcome, none required"}),
        ("shulan", {"full_timer": "1 per grid", "specialist": "welcome, none required",
                    "part_timer": "welcome, none required"}),
        ("zhijiang", {"police": "1 per community", "lawyer": "1 per community",
                      "doctor": "1 per community", "worker": "welcome, none required",
                      "micro_leader": "welcome, none required"}),
        ("yumen", {"worker": "welcome, none required",
                   "full_timer": "1 per 20 households or part of it",
                   "part_timer": "welcome, none required"}),
        ("changde", {"township_leader": "1 per grid, across communities",
                     "village_cadre": "welcome, none required",
                     "full_timer": "welcome, none required",
                     "volunteer": "welcome, none required",
                     "agency_cadre": "welcome, none required"}),
    ],
)  # fmt: skip
def test_rules_of_the_shipped_teams(name, rules):
    team = load_standard(name).team
    assert {role: "; ".join(map(str, team.rules_of(role))) for role in team.names} == rules


@pytest.mark.parametrize(
    ("name", "word", "role"),
    [
        ("haibowan", "网格长", "leader"),
        ("haibowan", "专职 网格员", "full_timer"),
        ("haibowan", "社区民警", "police"),
        ("shulan", "网格员", "full_timer"),
        ("zhijiang", "家庭医生", "doctor"),
        ("changde", "Village-Cadre", "village_cadre"),
        ("yumen", "网格员", "worker"),
    ],
)
def test_words_that_rosters_use(name, word, role):
    assert load_standard(name).team.name_of(word) == role


# ---------------------------------------------------------------- teams


def test_a_word_is_known_whatever_its_case_blanks_and_width():
    role = RoleTerms("full_timer", "专职网格员A", ("Grid worker",))
    team = Team((role,), (TeamRule("full_timer", "grid"),))
    for word in (
        "full_timer",
        "Full-Timer",
        " FULL  timer ",
        "ＦＵＬＬ＿ｔｉｍｅｒ",
        "full\u3000timer",
    ):
        assert team.name_of(word) == "full_timer"
    assert team.name_of("专职　网格员ａ") == "full_timer"
    assert team.name_of("gridworker") == "full_timer"
    assert [team.name_of(word) for word in ("worker", "", None, 7, float("nan"))] == [None] * 5
    assert team.rules_of("GRID WORKER") == team.rules
    assert "no role 'boss' in the team, which has: full_timer" in faults_of(team.rules_of, "boss")


def test_teams_are_frozen_and_lists_become_tuples():
    rule = TeamRule("leader", "grid", kinds=["base"])
    team = Team([RoleTerms("leader", "网格长", ["boss"])], [rule])
    assert rule.kinds == ("base",)
    assert isinstance(team.roles, tuple)
    assert isinstance(team.roles[0].aliases, tuple)
    assert hash(team) == hash(Team(team.roles, team.rules))
    with pytest.raises(FrozenInstanceError):
        rule.number = 3
    assert repr(team) == "Team of 1 role\n  leader 网格长: 1 per grid, base grids"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"per": "gird"}, "per: is 'gird'; say one of grid, community, households; did you mean"),
        ({"number": -1}, "number: is -1; give a whole number from 0, where 0 means welcome"),
        ({"number": 1.0}, "number: is 1.0"),
        ({"number": True}, "number: is True"),
        ({"per": "households"}, "households: missing; say for how many households"),
        ({"per": "households", "households": 0}, "households: is 0; say for how many"),
        ({"households": 300}, 'households: stands beside per = "grid"; leave it out'),
        ({"kinds": ()}, "kinds: is (); list one or both of base, exclusive"),
        ({"kinds": ("market",)}, "kinds: is ('market',)"),
        ({"kinds": "base"}, "kinds: is 'base'"),
        ({"max_grids": 0}, "max_grids: is 0; give a whole number from 1"),
        ({"cross_borders": "yes"}, "cross_borders: is 'yes'; say true or false"),
        ({"role": " "}, "role: is ' '; name a role of the team"),
    ],
)
def test_a_rule_that_cannot_be_used(options, said):
    assert said in faults_of(TeamRule, **{"role": "leader", "per": "grid"} | options)


def test_a_team_that_does_not_fit():
    leader, doctor = RoleTerms("leader", "网格长"), RoleTerms("doctor", "医", ("网格 长",))
    text = faults_of(Team, (leader, doctor), (TeamRule("boss", "grid"), TeamRule("leader", "grid")))
    assert "roles[2].aliases: '网格 长' stands at roles[1].title already" in text
    assert "rules[1].role: no role 'boss'; the roles are: leader, doctor" in text
    assert "roles[2].name: no rule for 'doctor'; write one, with number = 0" in text
    assert "roles: there is none" in faults_of(Team, (), ())
    assert "name: is 'two words'" in faults_of(RoleTerms, "two words", "x")


# ---------------------------------------------------------------- files


def test_a_file_is_read(written):
    standard = load_standard(written(GOOD))
    assert standard == Standard(
        "town", "Teams of a town", "", None, ("the town hall",),
        Team((RoleTerms("leader", "网格长"),), (TeamRule("leader", "grid"),)),
    )  # fmt: skip
    assert repr(standard).splitlines()[0] == "Standard town: Teams of a town"
    # an editor's mark before the text is no fault
    assert load_standard(str(written("\ufeff" + GOOD))) == standard


def edited(old, new):
    assert old in GOOD
    return GOOD.replace(old, new, 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (edited('title = "Teams of a town"', ""), "title: missing; write a text"),
        (edited('"Teams of a town"', "7"), "title: is 7; write a text"),
        (edited('sources = ["the town hall"]', ""), "sources: missing; list where the figures"),
        (edited('["the town hall"]', "[]"), "sources: is []; list where"),
        (edited('["the town hall"]', '"the town hall"'), "sources: is 'the town hall'; list"),
        ("year = 'old'\n" + GOOD, "year: is 'old'; write a whole number, or leave"),
        ("place = 3\n" + GOOD, "place: is 3; write a text, or leave"),
        ("titel = 'x'\n" + GOOD, "titel: unknown key; did you mean 'title'?"),
        ("zzz = 1\n" + GOOD, "zzz: unknown key; known are: name, title, place, year, sources,"),
        (GOOD + "kind = ['base']", "team.rules[1].kind: unknown key; did you mean 'kinds'?"),
        (GOOD + "number = -2", "team.rules[1].number: is -2; give a whole number from 0"),
        (GOOD + "kinds = ['school']", "team.rules[1].kinds: is ['school']; list one or both"),
        (edited('per = "grid"', ""), "team.rules[1].per: missing; say one of grid, community"),
        (edited('"grid"', '"households"'), "team.rules[1].households: missing; say for how many"),
        (edited('role = "leader"', 'role = "boss"'), "team.rules[1].role: no role 'boss'; the"),
        (edited('title = "网格长"', ""), "team.roles[1].title: missing; give the official"),
        (edited('title = "网格长"', 'title = "x"\nalias = []'), "team.roles[1].alias: unknown"),
        (edited('title = "网格长"', 'title = "x"\naliases = "y"'), "team.roles[1].aliases: is 'y'"),
        (GOOD.split("[[team")[0], "team: missing; write tables [[team.roles]] and [[team.rules]]"),
        (GOOD.split("[[team")[0] + "team = 4", "team: is 4; write tables"),
        (GOOD.split("[[team")[0] + "[team]\nroles = 4", "team.roles: must be tables; write [[team"),
        (GOOD.split("[[team.rules")[0], "team.roles[1].name: no rule for 'leader'; write one"),
        (GOOD.replace("[[team.rules]]", "[[team.rule]]"), "team.rule: unknown key; did you mean"),
        (
            GOOD + "[[team.roles]]\nname = 'LEADER'\ntitle = 'x'",
            "team.roles[2].name: 'LEADER' stands at team.roles[1].name already",
        ),
    ],
)  # fmt: skip
def test_a_fault_is_named_by_its_key_path(written, text, said):
    path = written(text)
    assert f"standard {path}: {said}" in faults_of(load_standard, path)


def test_all_faults_are_told_together(written):
    text = GOOD + "number = -1\nmax_grids = 0\nkinds = []\n"
    text = edited('title = "Teams of a town"', "") + text.split('per = "grid"')[1]
    text += "households = 5\ncross_borders = 1\n[[team.rules]]\nrole = 'boss'\nper = 'x'\n"
    with pytest.raises(InputError) as caught:
        load_standard(written(text))
    paths = [line.split(": ")[1] for line in str(caught.value).splitlines()]
    assert paths == [
        "title", "team.rules[1].number", "team.rules[1].households", "team.rules[1].kinds",
        "team.rules[1].max_grids", "team.rules[1].cross_borders", "team.rules[2].per",
        "team.rules[2].role",
    ]  # fmt: skip
    assert len(caught.value.problems) == len(paths)


def test_what_is_no_standard(tmp_path, written):
    text = faults_of(load_standard, "haibowen")
    assert "no standard 'haibowen'; did you mean 'haibowan'?; name one of base, changde," in text
    assert "no standard" in faults_of(load_standard, tmp_path)
    assert "not a TOML file in UTF-8" in faults_of(load_standard, written("name = "))
    assert "not a TOML file in UTF-8" in faults_of(load_standard, written(GOOD, "gb18030"))


# ---------------------------------------------------------------- what the page says


@pytest.fixture
def page(project_root):
    return (project_root / "docs" / "standards.md").read_text(encoding="utf-8")


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


def test_the_pages_own_standard_runs_as_printed(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "our-town.toml").write_text(blocks(page, "toml")[0], encoding="utf-8")
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        exec(blocks(page, "python")[0], {})
    assert shown.getvalue() == blocks(page, "text")[0]


def test_the_pages_errors_are_those_of_its_standard_spoilt(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = blocks(page, "toml")[0].replace('per = "grid"\nnumber', 'per = "gird"\nnumber', 1)
    text = text.replace("households = 1000\n", "")
    (tmp_path / "our-town.toml").write_text(text, encoding="utf-8")
    assert faults_of(load_standard, "our-town.toml") + "\n" == blocks(page, "text")[1]


def test_the_page_lists_every_standard_and_every_key(page):
    for name in list_standards():
        assert f"| `{name}` |" in page
    tables = {row.split("|")[1] for row in page.splitlines() if row.startswith("| `")}
    keys = {key for cell in tables for key in re.findall(r"`(\w+)`", cell)}
    for kind in (TeamRule, RoleTerms):
        assert {field.name for field in fields(kind)} <= keys
    assert {"name", "title", "place", "year", "sources"} <= keys
