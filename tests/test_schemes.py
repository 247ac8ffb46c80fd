"""Code schemes as data: parse, format and check, of one code and of whole columns."""

from __future__ import annotations

import re
import sys

import geopandas as gpd
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely import box

import gridpart as gp
from gridpart.codes import (
    check_parent,
    divisions_from,
    load_scheme,
    make_code,
    read_divisions,
    scheme_of,
    shipped_schemes,
)
from gridpart.codes.scheme import Scheme
from gridpart.partition import partition

UNIT, MICRO, YUMEN = "unit-grid", "micro-grid", "yumen"
INDEX = pd.Index(["c", "a", "b"])
OWN_RANGE = """
extends = "unit-grid"
name = "city"
[levels.serials]
base = [1, 899]
exclusive = [900, 999]
"""


@pytest.fixture
def city(tmp_path):
    path = tmp_path / "city.toml"
    path.write_text(OWN_RANGE)
    return load_scheme(path)


# ---------------------------------------------------------------- what ships


def test_three_schemes_ship_and_each_says_its_source():
    assert shipped_schemes() == [MICRO, UNIT, YUMEN]
    for name in shipped_schemes():
        scheme = load_scheme(name)
        assert scheme.name == name
        assert scheme.source
        assert load_scheme(scheme) is scheme
        assert Scheme.from_json(scheme.as_json()) == scheme


@pytest.mark.parametrize(
    ("name", "widths"),
    [
        (UNIT, {"grid": 15}),
        (MICRO, {"grid": 15, "micro": 17}),
        (YUMEN, {"first": 9, "second": 12, "third": 15}),
    ],
)
def test_widths_of_the_levels(name, widths):
    scheme = load_scheme(name)
    assert {level.name: scheme.width(level.name) for level in scheme.levels} == widths


def test_what_yumen_chose_itself_is_marked_as_ours():
    scheme = load_scheme(YUMEN)
    assert "our choice" in scheme.source
    assert not scheme.level("first").serials
    assert not scheme.level("second").serials
    assert scheme.level("third").serials == {"base": (1, 999)}
    parsed = scheme.parse(pd.Series(["620981001", "620981401200", "620981100001007"]))
    assert parsed["level"].tolist() == ["first", "second", "third"]
    assert parsed["street_class"].tolist() == ["street", "park or farm", "town"]
    assert parsed["community"].tolist()[1:] == ["200", "001"]
    assert pd.isna(parsed["serial"].iloc[0])
    assert "county 420583, which must be 620981" in scheme.check("420583001001007")


# ---------------------------------------------------------------- one code


def test_a_code_is_taken_apart_and_put_together():
    scheme = load_scheme(MICRO)
    parts = scheme.parse("42058300100100742")
    assert parts == {
        "county": "420583", "street": "001", "community": "001", "serial": "007", "micro": "42",
        "street_class": "street", "community_class": "residents", "level": "micro",
    }  # fmt: skip
    named = {name: parts[name] for name in ("county", "street", "community", "serial", "micro")}
    assert scheme.format(**named) == "42058300100100742"
    assert scheme.format(parent="420583001001", serial=7, level="grid") == "420583001001007"
    assert scheme.format(parent="420583001001007", micro=42) == "42058300100100742"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("42058300100100", "has 14 characters, not 15"),
        ("42058300100100x", "has 'x' in its serial, which may hold only digits and capital"),
        ("42O583-01001001", "has '-' in its street"),
        ("420583001001000", "has the serial 000; serials run from 001 to 999"),
        ("420583００１001007", "has '０' in its street"),
        (420583001001007, "is a number, not text"),
        (None, "is missing"),
        (float("nan"), "is missing"),
        (pd.NA, "is missing"),
        (b"420583001001007", "is no text but bytes"),
    ],
)
def test_errors_name_the_segment_and_the_reason(code, reason):
    scheme = load_scheme(UNIT)
    assert scheme.check(code).startswith(reason)
    assert gp.check_code(code) == scheme.check(code)
    with pytest.raises(gp.CodeError, match=re.escape(reason)):
        scheme.parse(code)


def test_old_codes_with_letters_pass_where_the_scheme_says_so():
    scheme = load_scheme(UNIT)
    assert scheme.check("1101AB001001001") is None
    assert "has 'A' in its county" in scheme.check("1101AB001001001", legacy=False)
    assert "has 'A' in its county" in load_scheme(YUMEN).check("1101AB001001001")
    assert scheme.check("1101AB001001A0Z") is None
    assert scheme.serial_of("1101AB001001A0Z") is None
    # new codes never hold letters, so no parent may
    assert "not all digits: it has 'A' in its county" in scheme.check_parent("1101AB001001")


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"parent": "42058300100", "serial": 1}, "must be 12 digits, county 6 + street 3"),
        ({"parent": 420583001001, "serial": 1}, "is a number, not text"),
        ({"parent": "420583001001", "serial": 0}, "has the serial 000"),
        ({"parent": "420583001001", "serial": 1000}, "serial 1000 must have 3 characters"),
        ({"parent": "420583001001", "serial": -1}, "serial -1 must have 3 characters"),
        ({"parent": "420583001001", "serial": "7"}, "serial '7' must have 3 characters"),
        ({"parent": "420583001001", "serial": 7.0}, "neither text nor a whole number"),
        ({"parent": "420583001001", "serial": True}, "neither text nor a whole number"),
        ({"parent": "420583001001", "serial": "00A"}, "has 'A' in its serial"),
    ],
)
def test_what_cannot_be_joined(given, reason):
    with pytest.raises(gp.CodeError, match=re.escape(reason)):
        load_scheme(UNIT).format(**given)


def test_segments_that_are_missing_or_unknown():
    with pytest.raises(gp.InputError) as caught:
        load_scheme(UNIT).format(county="420583", city="x", serial=1)
    text = str(caught.value)
    assert "street is missing" in text
    assert "community is missing" in text
    assert "there is no city beside county, street, community, serial" in text
    with pytest.raises(gp.InputError, match="no level 'micro'; there are grid"):
        load_scheme(UNIT).check("420583001001007", level="micro")


def test_the_old_functions_rest_on_the_scheme(city):
    assert make_code("420583001001", 7) == "420583001001007"
    assert make_code("420583001001", 900, scheme=city) == "420583001001900"
    with pytest.raises(gp.CodeError, match="serial 1000 under 420583001001: serials run from 001"):
        make_code("420583001001", 1000)
    with pytest.raises(gp.CodeError, match="parent code '42' must be 12 digits"):
        make_code("42", 1)
    assert check_parent("420583001001007", scheme=MICRO) is None
    assert gp.check_code("42058300100100700", scheme=MICRO) == (
        "has the micro 00; micros run from 01 to 99"
    )


# ---------------------------------------------------------------- columns


def test_columns_come_back_on_their_index():
    scheme = load_scheme(UNIT)
    codes = pd.Series(["420583001001001", "bad", None], index=INDEX)
    reasons = scheme.check(codes)
    assert reasons.index.equals(INDEX)
    assert reasons.isna().tolist() == [True, False, False]
    assert reasons["a"] == "has 3 characters, not 15"
    good = pd.Series(["420583001001001", "420583001200002", "110101100003999"], index=INDEX)
    parts = scheme.parse(good)
    assert parts.index.equals(INDEX)
    assert parts["community_class"].tolist() == ["residents", "villagers", "residents"]
    again = scheme.format(parts)
    assert again.index.equals(INDEX)
    assert again.tolist() == good.tolist()
    parents = pd.Series(["420583001001", "110101100003", None], index=INDEX)
    assert scheme.check(good, parent=parents).tolist()[0] is None
    assert scheme.check(good, parent=parents)["a"] == (
        "begins with 420583001200, not with its parent 110101100003"
    )
    assert scheme.check(good, parent="420583001001").notna().tolist() == [False, True, True]
    with pytest.raises(gp.InputError, match="same index"):
        scheme.check(good, parent=parents.reset_index(drop=True))


def test_every_bad_row_of_a_column_is_named():
    scheme = load_scheme(UNIT)
    with pytest.raises(gp.InputError) as caught:
        scheme.parse(pd.Series(["420583001001000", "420583001001001", "x"], index=INDEX))
    assert caught.value.problems[0].examples == (
        "row 'c': '420583001001000' has the serial 000; serials run from 001 to 999",
        "row 'b': 'x' has 1 characters, not 15",
    )
    serials = pd.Series([1, 1000, 0], index=INDEX)
    with pytest.raises(gp.InputError) as caught:
        scheme.format(parent="420583001001", serial=serials)
    assert len(caught.value.problems[0].examples) == 2
    with pytest.raises(gp.InputError, match="same index"):
        scheme.format(parent=pd.Series(["420583001001"] * 3), serial=serials)


def test_an_empty_column_stays_empty():
    scheme = load_scheme(UNIT)
    empty = pd.Series([], dtype=object)
    assert scheme.check(empty).empty
    assert list(scheme.parse(empty).columns)[:4] == ["county", "street", "community", "serial"]


@given(
    st.lists(
        st.tuples(st.integers(0, 999999), *[st.integers(0, 999)] * 2, st.integers(1, 999)),
        max_size=5,
    )
)
def test_parsing_undoes_formatting(rows):
    scheme = load_scheme(UNIT)
    names = ["county", "street", "community", "serial"]
    frame = pd.DataFrame(rows, columns=names, dtype=object)
    codes = scheme.format(frame) if rows else pd.Series([], dtype=object)
    assert scheme.check(codes).isna().all()
    parsed = scheme.parse(codes)
    assert [tuple(map(int, row)) for row in parsed[names].to_numpy()] == rows


# ---------------------------------------------------------------- check characters


@pytest.mark.parametrize(("code", "mark"), [("110101001001001", "0"), ("420106005012003", "1")])
def test_mod_11_2(code, mark):
    scheme = load_scheme(UNIT)
    assert scheme.check_characters(code, method="mod-11-2") == mark
    column = scheme.check_characters(pd.Series([code], index=["x"]), method="mod-11-2")
    assert column.to_dict() == {"x": mark}
    # the defining congruence of ISO 7064, summed afresh: weights are powers of 2
    digits = [*map(int, code), 10 if mark == "X" else int(mark)]
    assert sum(digit * pow(2, k, 11) for k, digit in enumerate(reversed(digits))) % 11 == 1


def test_mod_37_36_knows_letters_and_mod_11_2_does_not():
    scheme = load_scheme(UNIT)
    mark = scheme.check_characters("1101AB001001001", method="mod-37-36")
    alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    product = 36
    for letter in "1101AB001001001":
        product = ((product + alphabet.index(letter)) % 36 or 36) * 2 % 37
    assert (product + alphabet.index(mark)) % 36 == 1
    with pytest.raises(gp.CodeError, match="holds 'A'; mod-11-2 knows digits only"):
        scheme.check_characters("1101AB001001001", method="mod-11-2")
    with pytest.raises(gp.InputError, match=r"row 1: .* is missing"):
        scheme.check_characters(pd.Series(["1", None]), method="mod-11-2")
    with pytest.raises(gp.InputError, match="choose a check character's method: mod-11-2"):
        scheme.check_characters("1")


def test_without_stdnum_the_message_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "stdnum.iso7064.mod_11_2", None)
    with pytest.raises(gp.InputError, match=re.escape("pip install 'gridpart[check]'")):
        load_scheme(UNIT).check_characters("1", method="mod-11-2")


# ---------------------------------------------------------------- lists of divisions


def test_parents_are_looked_up_as_far_as_the_list_goes(tmp_path):
    scheme = load_scheme(UNIT)
    known = divisions_from(["330102", "330102001000", "330102001051", "420583000000"])
    assert known == {"330102", "330102001", "330102001051", "420583"}
    check = scheme.check
    assert check("330102001051001", divisions=known) is None
    assert check("330102001052001", divisions=known) == (
        "has the community 330102001052, which is not in the list of divisions"
    )
    assert "has the street 330102002," in check("330102002051001", divisions=known)
    assert "has the county 110101," in check("110101002051001", divisions=known)
    assert "has the street 420583001," in scheme.check_parent("420583001001", divisions=known)
    assert check("420583999999001", divisions=["420583"]) is None
    table = tmp_path / "list.csv"
    table.write_text("编码,name\n330102,上城区\n330102001051,清波门社区\n", encoding="utf-8")
    assert read_divisions(table) == {"330102", "330102001051"}
    with pytest.raises(gp.InputError, match="no column c; there are: 编码, name"):
        read_divisions(table, column="c")
    with pytest.raises(gp.InputError, match="'33010'"):
        divisions_from(["33010", "330102"])


def test_real_divisions(shared_data):
    folder = shared_data("cn_codes_2023")
    known = read_divisions(folder / "communities_hangzhou.csv")
    known |= read_divisions(folder / "areas.csv")
    assert len([code for code in known if len(code) == 12]) == 3320
    scheme = load_scheme(UNIT)
    column = pd.Series(sorted(code for code in known if len(code) == 12))
    codes = scheme.format(parent=column, serial=pd.Series([7] * len(column)))
    assert scheme.check(codes, divisions=known).isna().all()
    classes = scheme.parse(codes)["community_class"].value_counts()
    assert classes.to_dict() == {"villagers": 1906, "residents": 1392, "other": 22}
    assert "county 339999" in scheme.check("339999001001001", divisions=known)
    assert "620981" in known


# ---------------------------------------------------------------- schemes of one's own


def test_a_city_gives_exclusive_grids_their_own_serials(city):
    assert city.name == "city"
    assert city.segments == load_scheme(UNIT).segments
    assert city.legacy_alphabet == load_scheme(UNIT).legacy_alphabet
    assert city.level("grid").serials == {"base": (1, 899), "exclusive": (900, 999)}


def test_a_file_can_extend_a_file(tmp_path, city):
    (tmp_path / "more.toml").write_text(
        'extends = "city.toml"\nname = "more"\ncheck_character = "mod-11-2"\n'
        '[[segments]]\nname = "part"\nparent = "serial"\nwidth = 1\nalphabet = "A-CX"\n'
        '[[levels]]\nname = "part"\nthrough = "part"\n'
    )
    more = load_scheme(tmp_path / "more.toml")
    assert [level.name for level in more.levels] == ["grid", "part"]
    assert more.check("420583001001007B", legacy=False) is None
    assert more.check("420583001001007D", legacy=False) == (
        "has 'D' in its part, which may hold only A, B, C, X"
    )
    assert more.check_characters("420106005012003") == "1"


def test_serials_of_any_level_can_be_said_anew(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(
        'extends = "micro-grid"\nname = "own"\n[levels.serials]\nbase = [1, 40]\n'
        "[levels.grid.serials]\nbase = [1, 899]\nexclusive = [900, 999]\n"
    )
    own = load_scheme(path)
    assert own.level("grid").serials == {"base": (1, 899), "exclusive": (900, 999)}
    assert own.level("micro").serials == {"base": (1, 40)}
    assert load_scheme(MICRO).level("grid").serials == {"base": (1, 999)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "not a TOML file"),
        (
            'extends = "micro-grid"\nname = "x"\n[levels.serials]\nbase = [1, 899]',
            "level micro: serials of base, 1 to 899, are not within 1 to 99 of its segment micro; "
            "[levels.serials] is of the last level, [levels.NAME.serials] of another",
        ),
        (
            'extends = "micro-grid"\nname = "x"\n[levels.gird.serials]\nbase = [1, 9]',
            "no level 'gird' in micro-grid; there are grid, micro",
        ),
        (
            'extends = "micro-grid"\nname = "x"\n[levels.grid]\nthrough = "serial"',
            "levels.grid may hold serials only",
        ),
        (
            'extends = "micro-grid"\nname = "x"\n[levels.grid.serials]\nexclusive = [1, 9]',
            "levels.grid.serials must say the range of base grids",
        ),
        (
            'name = "x"\ntitle = "x"\nsource = "x"\n[levels.serials]\nbase = [1, 9]',
            "levels must be tables: [[levels]]",
        ),
        ('name = "x"', "title is missing"),
        ('extends = "unit-grid"\nname = "x"\ncolour = "red"', "unknown key 'colour'"),
        ('extends = "unit-grid"', "name is missing"),
        ('extends = "none"\nname = "x"', "no code scheme"),
        ('extends = "own.toml"\nname = "x"', "it extends itself"),
        ('extends = "unit-grid"\nname = "x"\norder = "spiral"', "order must be rows"),
        ('extends = "unit-grid"\nname = "x"\ncheck_character = "luhn"', "mod-11-2 or mod-37-36"),
        ('extends = "unit-grid"\nname = "x"\n[levels.serials]\nbase = [1, 1000]', "not within"),
        ('extends = "unit-grid"\nname = "x"\n[levels.serials]\nexclusive = [1, 9]', "of base"),
        (
            'extends = "unit-grid"\nname = "x"\n[levels.serials]\nbase = [1, 950]\n'
            "exclusive = [900, 999]",
            "serials of exclusive are also those of another kind",
        ),
        (
            'extends = "unit-grid"\nname = "x"\n[[segments]]\nname = "s"\nwidth = 0',
            "width must be a whole number",
        ),
        (
            'extends = "unit-grid"\nname = "x"\n[[segments]]\nname = "s"\nwidth = 2\n'
            'parent = "street"',
            "it stands after serial",
        ),
        (
            'extends = "unit-grid"\nname = "x"\n[[segments]]\nname = "s"\nwidth = 2\n'
            'parent = "serial"\nvalues = ["abc"]',
            "values must be texts of 2 characters",
        ),
        (
            'extends = "unit-grid"\nname = "x"\n[[levels]]\nname = "l"\nthrough = "nothing"',
            "no segment 'nothing'",
        ),
        ('extends = "unit-grid"\nname = "x"\nsegments = 3', "segments must be tables"),
    ],
)  # fmt: skip
def test_schemes_that_cannot_be_used(tmp_path, text, message):
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(gp.InputError, match=re.escape(message)):
        load_scheme(path)


def test_all_that_is_wrong_with_a_scheme_is_said_together(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text('colour = 1\norder = "x"\n[[segments]]\nname = "a b"\nwidth = "2"\n')
    with pytest.raises(gp.InputError) as caught:
        load_scheme(path)
    assert len(caught.value.problems[0].examples) >= 6


def test_unknown_schemes_name_those_there_are():
    with pytest.raises(gp.InputError, match="name one of micro-grid, unit-grid, yumen, or a TOML"):
        load_scheme("nothing")


# ---------------------------------------------------------------- plans


@pytest.fixture
def plan():
    cells = [box(100 * i, 100 * j, 100 * i + 100, 100 * j + 100) for j in (1, 0) for i in range(4)]
    units = gpd.GeoDataFrame({"households": 60}, index=range(8), geometry=cells, crs=4547)
    units["site"] = [number == 5 for number in range(8)]
    return partition(
        units, low=60, high=130, exclusive="site", levels={"micro": (60, 60)}, effort="fast"
    )


def test_exclusive_grids_take_their_own_range(plan, city):
    coded = gp.assign_codes(plan, parent="420583001001", scheme=city)
    by_kind = coded.grids.groupby("kind")["grid_code"].apply(sorted).to_dict()
    assert by_kind["exclusive"] == ["420583001001900"]
    base = len(plan.grids) - 1
    assert by_kind["base"] == [make_code("420583001001", k) for k in range(1, base + 1)]
    among = gp.assign_codes(plan, parent="420583001001").grids
    assert sorted(among["grid_code"]) == [make_code("420583001001", k) for k in range(1, base + 2)]


def test_micro_grids_are_numbered_inside_their_grids(plan):
    coded = gp.assign_codes(plan, parent="420583001001", scheme=MICRO)
    units = coded.units
    assert (units["micro_code"].str[:15] == units["grid_code"]).all()
    pairs = units[["micro", "micro_code"]].drop_duplicates()
    assert pairs["micro_code"].is_unique
    assert len(pairs) == units["micro"].nunique()
    for _, own in pairs.groupby(pairs["micro_code"].str[:15]):
        assert sorted(own["micro_code"].str[15:].astype(int)) == list(range(1, len(own) + 1))
    assert "micro_code" not in gp.assign_codes(plan, parent="420583001001").units


def test_a_scheme_with_a_check_character_fills_its_own_column(plan, tmp_path):
    path = tmp_path / "marked.toml"
    path.write_text('extends = "unit-grid"\nname = "marked"\ncheck_character = "mod-11-2"\n')
    coded = gp.assign_codes(plan, parent="420106005012", scheme=path)
    scheme = load_scheme(path)
    for _, unit in coded.units.iterrows():
        assert unit["grid_check"] == scheme.check_characters(unit["grid_code"])
    assert coded.units["grid_code"].str.len().eq(15).all()
    # the plan knows what its codes are made of, wherever the file has gone
    path.unlink()
    coded.save(tmp_path / "plan.gpkg")
    assert scheme_of(gp.read_plan(tmp_path / "plan.gpkg")) == scheme
    assert scheme_of(plan) == load_scheme(UNIT)
    assert scheme_of(gp.assign_codes(coded, parent="420106005012")) == load_scheme(UNIT)
