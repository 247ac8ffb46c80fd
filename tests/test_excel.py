"""Workbooks: opened again with openpyxl, cell by cell."""

from __future__ import annotations

import datetime
import time
import zipfile

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import load_workbook

from gridpart._excel import sheet_name, write_workbook
from gridpart.errors import OutputError


def written(tmp_path, table, **options):
    path = tmp_path / "out.xlsx"
    write_workbook(path, {"sheet": table}, **options)
    return load_workbook(path)["sheet"]


def cells(sheet):
    return [[cell.value for cell in row] for row in sheet.iter_rows()]


def test_codes_stay_text_with_their_zeros(tmp_path):
    table = pd.DataFrame({"grid_code": ["042058300100100"], "grid": [7], "households": [312]})
    sheet = written(tmp_path, table)
    assert cells(sheet) == [["grid_code", "grid", "households"], ["042058300100100", "7", 312]]
    assert [cell.data_type for cell in sheet[2]] == ["s", "s", "n"]
    assert [cell.number_format for cell in sheet[2]] == ["@", "@", "#,##0"]


SIGNS = ["=", "+", "-", "@", "＝", "＋", "－", "＠"]


@pytest.mark.parametrize(
    "text",
    [
        *("=1+1", "+861234", "-5", "@sum", '=HYPERLINK("http://x")', "#N/A", "#REF!", "'=1"),
        *("\tabc", "\t=1", " =1", "\n-2", *(f"{sign}cmd" for sign in SIGNS)),
    ],
)
def test_what_looks_like_a_formula_is_text(tmp_path, text):
    sheet = written(tmp_path, pd.DataFrame({"note": [text], text: [1]}))
    for cell in (sheet["A2"], sheet["B1"]):
        assert (cell.value, cell.data_type) == (text, "s")
        assert cell.quotePrefix == (text[0] not in "#'")


@pytest.mark.parametrize(("text", "kept"), [("\r=1", "\n=1"), ("a\r\nb\rc", "a\nb\nc")])
def test_returns_become_line_breaks(tmp_path, text, kept):
    cell = written(tmp_path, pd.DataFrame({"note": [text]}))["A2"]
    assert (cell.value, cell.data_type, cell.quotePrefix) == (kept, "s", kept[0] == "\n")


@given(st.lists(st.text(max_size=12), min_size=1, max_size=6))
def test_no_text_becomes_anything_else(tmp_path_factory, texts):
    sheet = written(tmp_path_factory.mktemp("books"), pd.DataFrame({"a": texts}))
    for (cell,) in sheet.iter_rows(min_row=2):
        assert cell.data_type == "s" or cell.value is None
        assert cell.number_format == "@"
        if cell.value and cell.value[0] in SIGNS:
            assert cell.quotePrefix


def test_header_is_bold_frozen_and_filtered(tmp_path):
    table = pd.DataFrame({"role": ["a", "subtotal", "b"], "n": [1, 2, 3]})
    sheet = written(tmp_path, table, bold_where={"subtotal"})
    assert sheet.freeze_panes == "A2"
    assert sheet.auto_filter.ref == "A1:B4"
    assert [row[0].font.b for row in sheet.iter_rows()] == [True, False, True, False]


def test_fractions_are_shown_as_per_cent(tmp_path):
    table = pd.DataFrame({"gap": [0.0014, 0.0], "load": [0.5, 1.0]})
    sheet = written(tmp_path, table, percent_columns={"gap"})
    assert [cell.number_format for cell in sheet[2]] == ["0.0%", "#,##0.0"]
    assert [cell.number_format for cell in sheet[3]] == ["0.0%", "#,##0_._0"]
    assert sheet["A2"].value == 0.0014


def test_numbers_keep_off_the_text_beside_them(tmp_path):
    table = pd.DataFrame({"n": [12], "load": [450.0], "role": ["leader"], "over": [True]})
    sheet = written(tmp_path, table)
    assert [cell.alignment.indent for cell in sheet[2]] == [1, 1, 0, 0]
    assert [cell.alignment.horizontal for cell in sheet[2]] == ["right", "right", None, None]


def test_thousands_are_marked_but_not_in_line_numbers(tmp_path):
    table = pd.DataFrame({"n": [12345], "load": [1234.56], "line": [4711], "flag": [True]})
    sheet = written(tmp_path, table)
    assert [cell.number_format for cell in sheet[2]] == ["#,##0", "#,##0.0", "0", "General"]
    assert sheet.column_dimensions["A"].width == len("12,345") + 3
    year = written(tmp_path, table, plain_columns=("n",))
    assert [cell.number_format for cell in year[2]][:3] == ["0", "#,##0.0", "#,##0"]


def test_pages_are_as_wide_as_the_paper_with_the_header_on_each(tmp_path):
    sheet = written(tmp_path, pd.DataFrame({"a": [1]}))
    assert sheet.sheet_properties.pageSetUpPr.fitToPage
    assert sheet.page_setup.fitToHeight == 0
    assert sheet.print_title_rows == "$1:$1"


def test_chinese_text_counts_double_in_the_width(tmp_path):
    names = pd.DataFrame({"a": ["东湖社区居民委员会"], "b": ["x" * 9], "c": ["y" * 400]})
    sheet = written(tmp_path, names)
    wide, narrow, longest = (sheet.column_dimensions[k].width for k in "ABC")
    assert wide - narrow == 9
    assert longest < 60
    assert [cell.alignment.wrap_text for cell in sheet[2]] == [None, None, True]
    assert sheet.row_dimensions[2].height == 13 * 15


def test_what_excel_does_not_know(tmp_path):
    table = pd.DataFrame(
        {
            "number": [np.inf, -np.inf, np.nan, 1.5],
            "object": [None, pd.NA, {"a": 1}, np.int64(3)],
            "text": ["a\x00b\x1fc", "d\ne", "", None],
            "when": pd.to_datetime(["2024-02-29"] * 3 + [None]),
            "zoned": pd.to_datetime(["2024-02-29"] * 4).tz_localize("Asia/Shanghai"),
            "flag": [True, False, True, True],
        }
    )
    sheet = written(tmp_path, table)
    columns = list(zip(*cells(sheet)[1:], strict=True))
    assert columns[0] == (None, None, None, 1.5)
    assert columns[1] == (None, None, "{'a': 1}", 3)
    assert columns[2][:2] == ("abc", "d\ne")
    assert columns[3] == (*[datetime.datetime(2024, 2, 29)] * 3, None)
    assert columns[4][0].startswith("2024-02-29 00:00:00+08:00")
    assert columns[5] == (True, False, True, True)


def test_empty_table_and_equal_columns(tmp_path):
    assert cells(written(tmp_path, pd.DataFrame({"a": []}))) == [["a"]]
    twice = pd.DataFrame([[1, 2]], columns=["a", "a"])
    assert cells(written(tmp_path, twice)) == [["a", "a"], [1, 2]]


def test_same_tables_give_the_same_bytes(tmp_path, monkeypatch):
    table = pd.DataFrame({"a": ["x", "y"], "b": [1.5, 2.0]})
    write_workbook(tmp_path / "one.xlsx", {"s": table})
    time.sleep(2.1)  # ZIP counts in steps of two seconds
    write_workbook(tmp_path / "two.xlsx", {"s": table})
    assert (tmp_path / "one.xlsx").read_bytes() == (tmp_path / "two.xlsx").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.xlsx") as archive:
        core = archive.read("docProps/core.xml").decode()
    assert core.count("1980-01-01T00:00:00Z") == 2
    assert "gridpart" in core


def test_the_table_is_not_changed(tmp_path):
    table = pd.DataFrame({"grid": [1, 2], "n": [0.5, np.inf]}, index=["p", "q"])
    before = table.copy(deep=True)
    written(tmp_path, table)
    pd.testing.assert_frame_equal(table, before)


@pytest.mark.parametrize(
    ("sheets", "message"),
    [
        ({}, "at least one sheet"),
        ({"s": pd.DataFrame({"note": ["x" * 40_000]})}, "does not fit a cell"),
        ({"s": pd.DataFrame(index=range(1_048_576), columns=["a"])}, "too many"),
    ],
)
def test_what_cannot_be_written_leaves_the_old_file(tmp_path, sheets, message):
    path = tmp_path / "out.xlsx"
    path.write_text("old")
    with pytest.raises(OutputError, match=message):
        write_workbook(path, sheets)
    assert path.read_text() == "old"
    assert [other.name for other in tmp_path.iterdir()] == ["out.xlsx"]


@pytest.mark.parametrize(
    ("wish", "taken", "name"),
    [
        ("a/b\\c?d*e:f[g]", (), "a_b_c_d_e_f_g_"),
        ("", (), "sheet"),
        ("  'quoted'  ", (), "quoted"),
        ("History", (), "History (2)"),
        ("summary", ("SUMMARY", "summary (2)"), "summary (3)"),
        ("x" * 40, ("x" * 31,), "x" * 27 + " (2)"),
        (12, (), "12"),
    ],
)
def test_sheet_names(wish, taken, name):
    assert sheet_name(wish, taken) == name


@given(st.lists(st.text(max_size=45), min_size=1, max_size=8))
def test_sheet_names_are_valid_and_differ(wishes):
    taken: list[str] = []
    for wish in wishes:
        name = sheet_name(wish, taken)
        assert name
        assert len(name.encode("utf-16-le")) <= 62
        assert not set(name) & set("[]:*?/\\")
        assert name[0] != "'"
        assert name[-1] != "'"
        assert name.casefold() not in {other.casefold() for other in [*taken, "history"]}
        taken.append(name)


def test_sheets_are_renamed_apart_in_the_file(tmp_path):
    table = pd.DataFrame({"a": [1]})
    path = tmp_path / "out.xlsx"
    write_workbook(path, {"东湖/社区": table, "东湖:社区": table, "y" * 40: table})
    assert load_workbook(path).sheetnames == ["东湖_社区", "东湖_社区 (2)", "y" * 31]


def test_forms_are_ruled_and_their_headers_stand_in_two_lines(tmp_path):
    table = pd.DataFrame({"Zones, units 涉及对象": ["a"], "Area 面积 m²": [None], "What": [1]})
    sheet = written(tmp_path, table, landscape=True, choices={"Area 面积 m²": ["x", "y"]})
    assert [cell.value for cell in sheet[1]] == ["Zones, units\n涉及对象", "Area\n面积 m²", "What"]
    assert all(cell.border.left.style == "thin" for row in sheet.iter_rows() for cell in row)
    assert sheet.row_dimensions[1].height == 30
    assert sheet.data_validations.dataValidation[0].sqref == "B2:B2"
    assert sheet.page_setup.orientation == "landscape"
    assert sheet.oddHeader.center.text == "&A"
    assert sheet.oddFooter.center.text == "&P / &N"
    plain = written(tmp_path, table)
    assert plain["A1"].value == "Zones, units 涉及对象"
    assert plain["A1"].border.left.style is None
