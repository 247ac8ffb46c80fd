"""The rectification sheet read back, as officers leave it: sorted, filtered, cut, edited."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import geopandas as gpd
import openpyxl
import pandas as pd
import pytest
from shapely import box

import gridpart as gp
from gridpart._excel import read_sheets, sheet_names
from gridpart.cli import main
from gridpart.errors import InputError
from gridpart.report import (
    read_audit_json,
    read_statuses,
    ticked_off_text,
    write_audit_excel,
    write_audit_json,
)
from gridpart.report.sheet import STATUSES

CRS = "EPSG:4547"
SHEET = "整改清单 findings"
NO, CHECK, IDS, PLACE, STATUS = (
    "No. 序号", "Check 检查项", "Zones, units 涉及对象", "Place 位置 X, Y", "Status 状态",
)  # fmt: skip
NOTES = WHO, WHEN, REMARKS = "Who 责任人", "When 完成日期", "Remarks 备注"


@pytest.fixture
def zones() -> gpd.GeoDataFrame:
    """Twelve zones in a row, eleven of them below the band, one missing."""
    cells = [box(100 * k, 0, 100 * k + 100, 100) for k in range(12)]
    names = [f"00{k}" if k < 6 else f"东门_{k}" for k in range(12)]
    frame = gpd.GeoDataFrame({"name": names, "households": range(12)}, geometry=cells, crs=CRS)
    return frame[frame["name"] != "004"]


@pytest.fixture
def findings(zones) -> gpd.GeoDataFrame:
    boundary = gpd.GeoSeries([box(0, 0, 1200, 100)], crs=CRS)
    found = gp.audit(zones, id="name", boundary=boundary, low=200)
    assert gp.audit_counts(found) == {"gap": 1, "below_band": 11}
    return found


@pytest.fixture
def path(findings, tmp_path) -> Path:
    write_audit_excel(findings, tmp_path / "sheet.xlsx")
    return tmp_path / "sheet.xlsx"


def edited(path: Path, edit: Callable[[openpyxl.worksheet.worksheet.Worksheet], object]) -> Path:
    book = openpyxl.load_workbook(path)
    edit(book[SHEET])
    book.save(path)
    return path


def columns(sheet) -> dict[str, int]:
    return {str(cell.value).replace("\n", " "): cell.column for cell in sheet[1]}


def tick(**statuses: str) -> Callable:
    """Give statuses by zone; `gap` is the finding of the gap."""

    def edit(sheet) -> None:
        at = columns(sheet)
        for row in range(2, sheet.max_row + 1):
            gap = sheet.cell(row, at[CHECK]).value == "gap"
            name = "gap" if gap else "z" + str(sheet.cell(row, at[IDS]).value)
            if name in statuses:
                sheet.cell(row, at[STATUS]).value = statuses.pop(name)
        assert not statuses

    return edit


def statuses(read) -> dict[str, str]:
    frame = read.findings[read.findings["status"] != "open"]
    names = frame["ids"].where(frame["check"] != "gap", "gap")
    return dict(zip(names, frame["status"], strict=True))


TICKS = {"gap": "done 已整改", "z000": "in progress", "z003": "有异议", "z东门_7": "accepted"}
TICKED = {"gap": "done", "000": "in progress", "003": "disputed", "东门_7": "accepted"}


def test_an_untouched_sheet_says_what_the_audit_says(path, findings) -> None:
    read = read_statuses(path, findings)
    pd.testing.assert_frame_equal(read.findings, findings)
    assert (read.taken, len(read.problems)) == (12, 0)
    assert ticked_off_text(read) == "12 statuses were read from the sheet"


def test_every_choice_of_the_sheet_is_known_in_both_languages(path, findings) -> None:
    book = openpyxl.load_workbook(path)
    (rule,) = book[SHEET].data_validations.dataValidation
    offered = rule.formula1.strip('"').split(",")
    assert len(offered) == len(STATUSES) == 5
    for choice, (english, chinese) in zip(offered, STATUSES.items(), strict=True):
        for text in (choice, english, chinese, english.upper(), f" {chinese}　/ {english} "):
            read = read_statuses(edited(path, tick(gap=text)), findings)
            assert read.findings["status"][0] == english
            assert read.problems.empty
    for text, english in (("not accepted", "disputed"), ("进行中", "in progress")):
        read = read_statuses(edited(path, tick(gap=text)), findings)
        assert read.findings["status"][0] == english


def test_a_sheet_that_was_sorted_filtered_and_had_rows_deleted(path, findings) -> None:
    def edit(sheet) -> None:
        tick(**TICKS)(sheet)
        at = columns(sheet)
        header, *rows = [[cell.value for cell in row] for row in sheet.iter_rows()]
        rows.sort(key=lambda row: str(row[at[IDS] - 1])[::-1])
        for k, row in enumerate(rows, start=2):
            for j, value in enumerate(row, start=1):
                sheet.cell(k, j).value = value
            sheet.row_dimensions[k].hidden = k % 2 == 0
        gone = [k for k, row in enumerate(rows, 2) if row[at[IDS] - 1] in ("001", "东门_9")]
        for k in reversed(gone):
            sheet.delete_rows(k)
        sheet.move_range(f"A1:{openpyxl.utils.get_column_letter(len(header))}12", rows=3, cols=2)
        sheet["A1"] = "第一批整改"

    read = read_statuses(edited(path, edit), findings)
    assert statuses(read) == TICKED
    assert read.taken == 10
    lost = findings.index[findings["ids"].isin(["001", "东门_9"])] + 1
    assert read.problems["finding"].tolist() == sorted(lost)
    assert read.problems["row"].isna().all()
    assert "not in the sheet; the status stays as it was" in ticked_off_text(read)


def test_rows_that_are_odd_are_listed_with_their_number(path, findings) -> None:
    def edit(sheet) -> None:
        at = columns(sheet)
        rows = {str(sheet.cell(k, at[IDS]).value): k for k in range(2, sheet.max_row + 1)}
        tick(z000="soon", z001="", z002="done", z003="done", z005="done")(sheet)
        sheet.cell(rows["002"], at[IDS]).value = 2  # a spreadsheet took the zeros
        sheet.cell(rows["003"], at[CHECK]).value = "overlap"
        sheet.cell(rows["东门_6"], at[PLACE]).value = "see the map"
        sheet.cell(rows["东门_6"], at[STATUS]).value = "done"
        sheet.append([sheet.cell(rows["005"], k).value for k in range(1, sheet.max_column + 1)])
        sheet.cell(sheet.max_row, at[STATUS]).value = "open"
        sheet.append([None, None, "checked by Mr. Li"])
        sheet.append([99, "gap", None, None, "nowhere"])

    rows = {name: k for k, name in enumerate(findings["ids"], start=2)}
    read = read_statuses(edited(path, edit), findings)
    assert statuses(read) == {"002": "done", "东门_6": "done"}
    listed = dict(zip(read.problems["row"], read.problems["problem"], strict=True))
    assert listed[rows["000"]] == "unknown status 'soon'; the status stays as it was"
    assert listed[rows["001"]] == "no status; the status stays as it was"
    assert listed[rows["002"]] == f"taken by its number; {IDS!r} was changed"
    assert "not the finding" in listed[rows["003"]]
    assert listed[rows["东门_6"]] == f"taken by its number; {PLACE!r} was changed"
    for row in (rows["005"], 14):
        assert "different things: row" in listed[row]
    assert 15 not in listed  # a remark in a column that is not ours is no row of the list
    assert listed[16] == "no such finding in the audit: gap of nowhere"
    not_there = read.problems[read.problems["row"].isna()]
    assert findings["ids"][not_there["finding"] - 1].tolist() == ["003"]
    text = ticked_off_text(read)
    assert f"rows {rows['005']}, 14: several rows of one finding" in text
    assert all(str(row) in text for row in read.problems["row"].dropna())


def test_findings_that_look_alike_go_by_their_number(findings, tmp_path) -> None:
    twice = findings.iloc[[0, 0, 1]].reset_index(drop=True)
    write_audit_excel(twice, tmp_path / "sheet.xlsx")

    def second_done(sheet) -> None:
        sheet.cell(3, columns(sheet)[STATUS]).value = "done"

    read = read_statuses(edited(tmp_path / "sheet.xlsx", second_done), twice)
    assert read.findings["status"].tolist() == ["open", "done", "open"]

    def unnumbered(sheet) -> None:
        sheet.cell(3, columns(sheet)[NO]).value = None

    read = read_statuses(edited(tmp_path / "sheet.xlsx", unnumbered), twice)
    assert read.findings["status"].tolist() == ["open"] * 3
    assert read.problems["row"].tolist()[0] == 3
    assert "which of the findings 1, 2" in read.problems["problem"][0]


def test_a_status_of_the_users_own_stays(findings, tmp_path) -> None:
    findings.loc[0, "status"] = "waits for the map"
    write_audit_excel(findings, tmp_path / "sheet.xlsx")
    read = read_statuses(tmp_path / "sheet.xlsx", findings)
    assert read.findings["status"][0] == "waits for the map"
    assert read.problems.empty


def test_sheets_of_another_audit_and_foreign_files(path, findings, tmp_path) -> None:
    other = findings[findings["check"] == "gap"].assign(ids="x", bbox="0 0 1 1")
    with pytest.raises(InputError, match="none of its 12 rows is a finding of this audit"):
        read_statuses(path, other)
    with pytest.raises(InputError, match="has lost its column Place"):
        read_statuses(edited(path, lambda sheet: sheet.delete_cols(columns(sheet)[PLACE])), other)

    def doubled(sheet) -> None:
        sheet.cell(1, sheet.max_column + 1).value = STATUS

    write_audit_excel(findings, path)
    with pytest.raises(InputError, match="two columns Status"):
        read_statuses(edited(path, doubled), findings)
    pd.DataFrame({"a": [1]}).to_excel(path)
    with pytest.raises(InputError, match="no sheet has the columns"):
        read_statuses(path, findings)
    for content in (b"", b"text", b"PK\x03\x04 broken", path.read_bytes()[:2000]):
        (tmp_path / "bad.xlsx").write_bytes(content)
        with pytest.raises(InputError, match=r"bad.xlsx: cannot be read as a workbook"):
            read_statuses(tmp_path / "bad.xlsx", findings)
    with pytest.raises(InputError, match="no such file"):
        read_statuses(tmp_path / "none.xlsx", findings)
    with pytest.raises(InputError, match="a workbook must be one of"):
        read_statuses(tmp_path / "sheet.csv", findings)


def test_the_sheet_may_be_renamed_but_that_of_the_cured_is_not_read(zones, findings, tmp_path):
    since = gp.compare_audits(findings, gp.audit(zones.iloc[3:], id="name", low=200))
    path = tmp_path / "sheet.xlsx"
    write_audit_excel(since.findings, path, since=since)
    book = openpyxl.load_workbook(path)
    assert book.sheetnames[-1] == "已消除 cured"
    book.move_sheet("已消除 cured", -3)
    book[SHEET].title = "李四"
    book.save(path)
    assert sheet_names(path)[0] == "已消除 cured"
    read = read_statuses(path, since.findings)
    assert read.problems.empty
    assert read.taken == len(since.findings)


def test_cells_are_read_as_they_were_shown(tmp_path) -> None:
    book = openpyxl.Workbook()
    book.active.append(["a", None, "=1+1"])
    book.active.append([])
    book.active.append([7])
    book.save(tmp_path / "a.xlsx")
    rows = read_sheets(tmp_path / "a.xlsx")["Sheet"]
    assert rows == [["a", None, None], [None] * 3, [7, None, None]]  # nothing is worked out


def test_the_command_hands_ticks_on_and_reopens_what_was_not_done(zones, tmp_path, capsys) -> None:
    zones.to_file(tmp_path / "zones.gpkg")
    gpd.GeoSeries([box(0, 0, 1200, 100)], crs=CRS).to_file(tmp_path / "city.gpkg")
    old, sheet, new = tmp_path / "old.json", tmp_path / "old.xlsx", tmp_path / "new.json"
    call = ["audit", tmp_path / "zones.gpkg", "--id", "name", "--boundary", tmp_path / "city.gpkg"]
    call = [str(part) for part in [*call, "--zone-households", "households", "--low", 4]]
    assert main([*call, "--json", str(old), "--excel", str(sheet)]) == 1
    edited(sheet, tick(gap="done 已整改", z001="已整改", z002="整改中", z003="perhaps"))
    row = 1 + read_audit_json(old)["ids"].tolist().index("003") + 1
    before = sheet.read_bytes()
    capsys.readouterr()
    again = [*call, "--since", str(old), "--ticked", str(sheet), "--json", str(new)]
    assert main([*again, "--excel", str(tmp_path / "new.xlsx")]) == 1
    said = capsys.readouterr()
    assert "note: old.xlsx: 4 statuses were read from the sheet" in said.err
    assert f"note: old.xlsx: row {row}: unknown status 'perhaps'" in said.err
    assert "2 said to be done but still found" in said.out
    found = {(r["check"], r["ids"]): r for r in json.loads(new.read_text())["findings"]}
    gap = next(r for (check, _), r in found.items() if check == "gap")
    assert (gap["change"], gap["status"]) == ("reopened", "open")
    assert found["below_band", "002"]["status"] == "in progress"
    assert found["below_band", "002"]["change"] == "stays"
    header, *rows = read_sheets(tmp_path / "new.xlsx")[SHEET]
    header = [title.replace("\n", " ") for title in header]
    told = {row[header.index(IDS)]: row for row in rows}
    assert told["001"][header.index("Change 变化")] == "reopened 报称已整改但仍存在"
    assert told["002"][header.index(STATUS)] == "in progress 整改中"

    for flags, words in (
        (["--ticked", str(sheet)], "--ticked needs --since"),
        (["--since", str(sheet)], "give its sheet as --ticked"),
        (["--since", str(old), "--ticked", str(old)], "a workbook must be one of"),
        (["--since", str(old), "--ticked", str(sheet), "--excel", str(sheet)], "is an input"),
    ):
        assert main([*call, *flags]) == 2
        assert words in capsys.readouterr().err
    assert sheet.read_bytes() == before


def test_a_second_round_starts_from_the_first(zones, findings, tmp_path) -> None:
    """The sheet of a comparison is read back against the JSON of the same comparison."""
    since = gp.compare_audits(findings, findings)
    write_audit_json(findings, tmp_path / "a.json", since=since)
    write_audit_excel(findings, tmp_path / "sheet.xlsx", since=since)
    edited(tmp_path / "sheet.xlsx", tick(gap="done"))
    read = read_statuses(tmp_path / "sheet.xlsx", read_audit_json(tmp_path / "a.json"))
    assert statuses(read) == {"gap": "done"}
    result = gp.compare_audits(read.findings, findings)
    assert result.counts["reopened"] == 1


def written(path: Path, notes: dict[str, tuple[object, object, object]]) -> Path:
    """Write who, when and remarks into the rows of some zones."""

    def edit(sheet) -> None:
        at = columns(sheet)
        for row in range(2, sheet.max_row + 1):
            name = sheet.cell(row, at[IDS]).value
            for column, value in zip(NOTES, notes.get(name, ()), strict=name in notes):
                cell = sheet.cell(row, at[column])
                cell.value = value
                if isinstance(value, str):
                    cell.data_type = "s"  # typed with an apostrophe: no formula

    return edited(path, edit)


def notes_in(path: Path, sheet: str = SHEET) -> dict[str, list[object]]:
    header, *rows = read_sheets(path)[sheet]
    at = [[str(title).replace("\n", " ") for title in header].index(c) for c in (IDS, *NOTES)]
    return {row[at[0]]: [row[k] for k in at[1:]] for row in rows if any(row[k] for k in at[1:])}


def test_what_officers_wrote_is_in_the_next_sheet(path, zones, findings, tmp_path) -> None:
    notes = {
        "000": ("王五", datetime(2030, 5, 6), "先测量\n再上报"),
        "001": (7, "6月底", None),
        "002": ("=cmd|' /C calc'!A0", "2030-02-30", "-1"),
        "003": (None, datetime(2030, 5, 6, 8, 30), "x" * 32_767),
    }
    read = read_statuses(written(path, notes), findings)
    table = read.findings.set_index("ids")
    assert table.loc["000", ["who", "when", "remarks"]].tolist() == [
        "王五", "2030-05-06", "先测量\n再上报",
    ]  # fmt: skip
    assert table.loc["001", ["who", "when", "remarks"]].tolist() == ["7", "6月底", ""]
    assert table.loc["005", ["who", "when", "remarks"]].tolist() == ["", "", ""]
    later = gp.audit(zones.drop(index=0), id="name", low=200)
    since = gp.compare_audits(read.findings, later)
    assert since.cured["who"].tolist()[-1] == "王五"
    write_audit_excel(since.findings, tmp_path / "next.xlsx", since=since)
    again = notes_in(tmp_path / "next.xlsx")
    assert again["001"] == ["7", "6月底", None]
    assert again["002"] == list(notes["002"])
    assert again["003"][:2] == [None, "2030-05-06 08:30:00"]
    assert len(again["003"][2]) == 32_000
    assert set(again) == {"001", "002", "003"}
    cured = notes_in(tmp_path / "next.xlsx", "已消除 cured")
    assert cured["000"][0] == "王五"
    assert cured["000"][1].date() == date(2030, 5, 6)
    book = openpyxl.load_workbook(tmp_path / "next.xlsx")
    assert not [c for row in book[SHEET].iter_rows() for c in row if c.data_type == "f"]
    # what was taken out of the sheet is not there in the third
    emptied = written(tmp_path / "next.xlsx", {"001": (None, None, None)})
    third = read_statuses(emptied, since.findings).findings.set_index("ids")
    assert third.loc["001", ["who", "when", "remarks"]].tolist() == ["", "", ""]
    assert third.loc["002", "who"] == notes["002"][0]


def test_notes_in_several_rows_of_a_finding_are_all_kept(path, findings) -> None:
    def copy(sheet) -> None:
        at = columns(sheet)
        row = [cell.value for cell in sheet[2]]
        sheet.append(row)
        for k, who in ((2, "A"), (sheet.max_row, "B")):
            sheet.cell(k, at[WHO]).value = who
            sheet.cell(k, at[REMARKS]).value = "same"
        sheet.delete_cols(at[WHEN])

    read = read_statuses(edited(path, copy), findings)
    assert read.problems.empty
    assert read.findings.loc[0, ["who", "remarks"]].tolist() == ["A; B", "same"]
    assert "when" not in read.findings.columns


def test_the_command_hands_notes_on(zones, tmp_path, capsys) -> None:
    zones.to_file(tmp_path / "zones.gpkg")
    call = ["audit", tmp_path / "zones.gpkg", "--id", "name", "--zone-households", "households"]
    call = [str(part) for part in [*call, "--low", 4]]
    old, sheet, new = tmp_path / "old.json", tmp_path / "old.xlsx", tmp_path / "new.xlsx"
    assert main([*call, "--json", str(old), "--excel", str(sheet)]) == 1
    written(sheet, {"002": ("王五", datetime(2030, 5, 6), "ok")})
    assert main([*call, "--since", str(old), "--ticked", str(sheet), "--excel", str(new)]) == 1
    assert notes_in(new) == {"002": ["王五", datetime(2030, 5, 6), "ok"]}
    assert main([*call, "--since", str(old), "--excel", str(new)]) == 1
    assert notes_in(new) == {}
    capsys.readouterr()
