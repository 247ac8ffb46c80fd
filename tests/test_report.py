"""What an audit writes: JSON, page, GeoPackage and text."""

from __future__ import annotations

import json
import re
from datetime import date
from html.parser import HTMLParser
from pathlib import Path

import geopandas as gpd
import openpyxl
import pandas as pd
import pyogrio
import pytest
import shapely
from shapely import box

from gridpart.coverage import audit
from gridpart.coverage.catalogue import CATALOGUE
from gridpart.coverage.scope import TOPICS
from gridpart.errors import OutputError
from gridpart.report import (
    audit_json,
    audit_text,
    print_audit,
    write_audit_excel,
    write_audit_html,
    write_audit_json,
    write_findings,
)
from gridpart.report.sheet import STATUSES

CRS = "EPSG:4547"
EVIL = "<script>alert('x')</script>\"&;=cmd|' /C calc'!A0"
KEYS = [
    "check", "severity", "ids", "area_m2", "length_m", "households", "n", "bbox", "message",
    "advice", "status", "geometry",
]  # fmt: skip


@pytest.fixture
def zones() -> gpd.GeoDataFrame:
    """An overlap, a bow-tie, an empty shape and a name that wants to be code."""
    return gpd.GeoDataFrame(
        {"name": [EVIL, "网格二", "tie", "empty"], "households": [250, 90, 300, 300]},
        geometry=[
            box(0, 0, 100, 100),
            box(90, 0, 200, 100),
            shapely.Polygon([(300, 0), (400, 100), (400, 0), (300, 100)]),
            None,
        ],
        crs=CRS,
    )


@pytest.fixture
def findings(zones: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    boundary = gpd.GeoSeries([box(0, 0, 220, 100)], crs=CRS)
    return audit(zones, id="name", boundary=boundary, low=200, high=500)


@pytest.fixture
def nothing() -> gpd.GeoDataFrame:
    return audit(gpd.GeoDataFrame(geometry=[box(0, 0, 9, 9)], crs=CRS))


class Page(HTMLParser):
    """Tags and text of a page, as a browser takes them apart."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)


def page_of(tmp_path: Path, findings: gpd.GeoDataFrame, **options: object) -> tuple[str, Page]:
    path = tmp_path / "audit.html"
    write_audit_html(findings, path, **options)
    text = path.read_text(encoding="utf-8")
    return text, Page(text)


def test_json_is_exactly_the_promised_shape(tmp_path, findings) -> None:
    path = tmp_path / "audit.json"
    write_audit_json(findings, path)
    data = json.loads(path.read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert data == audit_json(findings)
    assert list(data) == ["schema_version", "ok", "counts", "crs", "scope", "findings"]
    assert (data["schema_version"], data["crs"]) == (2, CRS)
    assert data["scope"] == findings.attrs["scope"]
    assert data["ok"] is False
    assert sum(data["counts"].values()) == sum(row["n"] for row in data["findings"])
    for row in data["findings"]:
        assert list(row) == KEYS
    by_check = {row["check"]: row for row in data["findings"]}
    overlap = by_check["overlap"]
    assert overlap["bbox"] == [90, 0, 100, 100]
    assert overlap["area_m2"] == 1000
    assert overlap["households"] is None
    assert overlap["geometry"]["type"] == "Polygon"
    assert EVIL.replace(";", "；") in overlap["ids"]
    empty = by_check["empty_geometry"]
    assert (empty["geometry"], empty["bbox"], empty["area_m2"]) == (None, None, None)
    assert by_check["below_band"]["households"] == 90


def test_json_of_a_clean_plan(tmp_path, nothing) -> None:
    path = tmp_path / "audit.json"
    write_audit_json(nothing, path)
    data = json.loads(path.read_text())
    assert (data["ok"], data["counts"], data["findings"]) == (True, {}, [])


def test_findings_are_one_layer_a_kind_of_geometry(tmp_path, findings) -> None:
    path = tmp_path / "findings.gpkg"
    write_findings(findings, path)
    layers = [str(name) for name, _ in pyogrio.list_layers(path)]
    assert layers == ["findings_polygons", "findings_points", "findings_without_geometry"]
    read = {layer: gpd.read_file(path, layer=layer) for layer in layers}
    assert sum(map(len, read.values())) == len(findings)
    polygons = read["findings_polygons"]
    assert polygons.crs == findings.crs
    assert set(polygons.geom_type) == {"MultiPolygon"}
    assert polygons.loc[polygons["check"] == "overlap", "area_m2"].item() == 1000
    assert set(read["findings_points"]["check"]) == {"invalid_geometry"}
    bare = read["findings_without_geometry"]
    assert not isinstance(bare, gpd.GeoDataFrame)
    assert set(bare["check"]) == {"empty_geometry"}


def test_no_findings_make_a_readable_file(tmp_path, nothing) -> None:
    path = tmp_path / "findings.gpkg"
    write_findings(nothing, path)
    read = gpd.read_file(path, layer="findings_polygons")
    assert len(read) == 0
    assert {"check", "severity", "n"} <= set(read.columns)


def test_names_are_text_on_the_page_and_nothing_is_fetched(tmp_path, findings, zones) -> None:
    text, page = page_of(tmp_path, findings, zones=zones, id="name", title=EVIL)
    assert page.count("script") == 1
    assert "alert('x')" not in "".join(re.findall(r"<script>(.*?)</script>", text, re.DOTALL))
    assert EVIL in "".join(page.words)
    links = [value for _, tag in page.tags for key, value in tag.items() if key in ("src", "href")]
    assert links == []
    assert "://" not in text
    policy = [tag["content"] for name, tag in page.tags if tag.get("http-equiv")]
    assert policy[0].startswith("default-src 'none'")


def test_the_page_shows_every_status_in_both_languages(tmp_path, findings) -> None:
    words = [*STATUSES, "<b>" + "x" * 500]
    findings["status"] = (words * 2)[: len(findings)]
    text, _ = page_of(tmp_path, findings)
    cells = re.findall(r"<td>([^<]*?)(?: <span class=\"zh\">([^<]*)</span>)?</td></tr>", text)
    told = [cell for cell in cells if cell[1]]
    assert told == [(name, STATUSES[name]) for name in findings["status"] if name in STATUSES]
    assert len(set(told)) == 5
    own = next(cell for cell in cells if not cell[1])[0]
    assert own.startswith("&lt;b&gt;xxx")
    assert len(own) < 100


def test_the_page_says_the_verdict_draws_and_lists(tmp_path, findings, zones) -> None:
    boundary = gpd.GeoSeries([box(0, 0, 220, 100)], crs=CRS).to_crs(4490)
    text, page = page_of(tmp_path, findings, zones=zones, id="name", boundary=boundary)
    assert "NOT OK" in text
    listed = [tag for name, tag in page.tags if name == "tr" and "data-row" in tag]
    assert [tag["data-check"] for tag in listed] == list(findings["check"])
    drawn = {tag["data-row"] for name, tag in page.tags if name == "g" and "data-row" in tag}
    placed = {str(k) for k, shape in enumerate(findings.geometry) if shape is not None}
    assert drawn == placed
    assert sum(tag.get("class") == "zone" for _, tag in page.tags) == 3
    assert sum(tag.get("class") == "boundary" for _, tag in page.tags) == 1
    assert "两个网格相互重叠。" in text
    assert "nan" not in re.sub(r"[^a-z ]", " ", text.lower()).split()


def test_the_page_of_a_clean_plan_says_ok(tmp_path, nothing) -> None:
    text, page = page_of(tmp_path, nothing)
    assert "Nothing was found" in text
    assert "NOT OK" not in text
    assert page.count("svg") == 0


def test_the_same_audit_gives_the_same_page(tmp_path, findings, zones) -> None:
    first, _ = page_of(tmp_path, findings, zones=zones)
    second, _ = page_of(tmp_path, findings, zones=zones)
    assert first == second


def test_the_summary_fits_a_screen(findings, capsys) -> None:
    many = pd.concat([findings] * 40, ignore_index=True)
    text = audit_text(many)
    lines = text.splitlines()
    assert lines[0].startswith("NOT OK: ")
    assert len(lines) <= 20
    assert max(map(len, lines)) <= 100
    assert re.search(r"error +overlap +40 ", text)
    print_audit(findings)
    assert capsys.readouterr().out == audit_text(findings) + "\n"


def test_a_clean_summary_says_what_was_not_looked_for(nothing) -> None:
    verdict, checked, *left = audit_text(nothing).splitlines()
    assert verdict == "OK: 0 errors, 0 warnings, 0 notes"
    assert checked == "  checked: shapes and ids, overlaps and parts, enclosed holes"
    assert left[0].startswith("  not checked: gaps at the rim (no boundary), units")
    assert len(left) <= 2


def test_a_summary_with_a_boundary_names_it_and_the_band(findings) -> None:
    text = audit_text(findings)
    assert "enclosed holes, " not in text
    assert "whole boundary, band 200-500" in text
    assert "gaps at the rim" not in text
    lost = findings.copy()
    lost.attrs = {}
    assert "checked" not in audit_text(lost)


def test_the_page_says_what_was_not_checked_in_both_languages(tmp_path, nothing, findings) -> None:
    text, _ = page_of(tmp_path, nothing)
    assert "no boundary was given: gaps at the rim" in text
    assert "未提供边界" in text
    text, _ = page_of(tmp_path, findings)
    assert "no boundary was given" not in text
    assert "网格规模标准（户数上下限） 200-500" in text
    findings.attrs = {}
    text, _ = page_of(tmp_path, findings)
    assert "Not checked" not in text


def test_an_accepted_exception_is_not_told_to_merge_in_chinese(tmp_path) -> None:
    zones = gpd.GeoDataFrame({"households": [20]}, geometry=[box(0, 0, 9, 9)], crs=CRS)
    table = pd.DataFrame({"grid": ["0"], "reason": ["component_below_band"], "households": [20]})
    text, _ = page_of(tmp_path, audit(zones, low=200, exceptions=table))
    assert "nothing to do" in text
    assert "无需整改" in text
    assert "与相邻网格合并" not in text


def test_labels_are_serials_and_hidden_where_they_do_not_fit(tmp_path) -> None:
    zones = gpd.GeoDataFrame(
        {
            "grid": ["420583001001-001", "420583001001-002", "东门_网格3"],
            "grid_code": ["420583001001017", None, None],
        },
        geometry=[box(0, 0, 100, 100), box(100, 0, 101, 100), box(101, 0, 200, 100)],
        crs=CRS,
    )
    _, page = page_of(tmp_path, audit(zones, boundary=zones), zones=zones)
    labels = [tag for name, tag in page.tags if name == "text"]
    assert ["hidden" in (tag["class"] or "") for tag in labels] == [False, True, False]
    drawn = [word for word in page.words if word in ("017", "002", "网格3")]
    assert drawn == ["017", "002", "网格3"]
    titles = [word for word in page.words if word == "420583001001-001"]
    assert titles == ["420583001001-001"]


def test_places_beyond_the_first_are_said_to_be_left_out(tmp_path) -> None:
    cells = [box(x, y, x + 1, y + 1) for x in range(12) for y in range(12)]
    zones = gpd.GeoDataFrame(geometry=cells, crs=CRS)
    text, page = page_of(tmp_path, audit(zones), zones=zones)
    assert page.count("circle") == 200
    assert "only the first 200 of 242 places are ringed" in text
    assert "仅标出前200处，共242处" in text


@pytest.mark.parametrize(
    "write", [write_audit_json, write_audit_html, write_audit_excel, write_findings]
)
def test_nothing_is_left_where_nothing_can_be_written(tmp_path, findings, write) -> None:
    with pytest.raises(OutputError, match="does not exist"):
        write(findings, tmp_path / "missing" / "audit.gpkg")
    assert list(tmp_path.iterdir()) == []


# --------------------------------------------------------------------------- rectification sheet


def workbook_of(tmp_path: Path, findings: gpd.GeoDataFrame) -> openpyxl.Workbook:
    path = tmp_path / "audit.xlsx"
    write_audit_excel(findings, path, date=date(2030, 5, 6))
    return openpyxl.load_workbook(path)


def test_the_sheet_has_a_line_a_finding_to_tick_off(tmp_path, findings) -> None:
    book = workbook_of(tmp_path, findings)
    assert book.sheetnames == ["汇总 summary", "整改清单 findings", "检查范围 scope"]
    sheet = book["整改清单 findings"]
    assert sheet.freeze_panes == "A2"
    header, *rows = sheet.iter_rows(values_only=True)
    header = [title.replace("\n", " ") for title in header]
    assert len(rows) == len(findings)
    lines = [dict(zip(header, row, strict=True)) for row in rows]
    assert [line["Check 检查项"] for line in lines] == list(findings["check"])
    overlap = next(line for line in lines if line["Check 检查项"] == "overlap")
    assert overlap["Severity 等级"] == "error 错误"
    assert overlap["Area 面积 m²"] == 1000
    assert overlap["Place 位置 X, Y"] == "95, 50"
    assert overlap["Description 问题说明"].endswith("\n两个网格相互重叠。")
    assert overlap["Suggested rectification 整改建议"].startswith("let one of the two zones")
    assert (overlap["Status 状态"], overlap["Found 发现日期"].date()) == (
        "open 待整改",
        date(2030, 5, 6),
    )
    assert [overlap[name] for name in header[-3:]] == [None, None, None]
    (rule,) = sheet.data_validations.dataValidation
    assert rule.formula1 == (
        '"open 待整改,in progress 整改中,done 已整改,accepted 经核准保留,disputed 有异议"'
    )
    column = header.index("Status 状态")
    assert str(rule.sqref) == f"{chr(65 + column)}2:{chr(65 + column)}{len(findings) + 1}"
    assert max(part.width for part in sheet.column_dimensions.values()) <= 36


def test_names_in_the_sheet_are_never_formulas(tmp_path, zones) -> None:
    zones["name"] = ["=1+1", "+49", "@SUM(A1)", "-2"]
    book = workbook_of(tmp_path, audit(zones, id="name", low=200, high=500))
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row]
    assert not [cell.coordinate for cell in cells if cell.data_type == "f"]
    marked = [cell for cell in cells if isinstance(cell.value, str) and cell.value[:1] in "=+-@"]
    assert marked
    assert all(cell.quotePrefix for cell in marked)


def test_the_summary_sheet_counts_and_the_scope_sheet_tells(tmp_path, findings) -> None:
    findings.loc[findings["check"] == "overlap", "status"] = "accepted"
    book = workbook_of(tmp_path, findings)
    header, *rows = book["汇总 summary"].iter_rows(values_only=True)
    header = [title.replace("\n", " ") for title in header]
    total = dict(zip(header, rows[-1], strict=True))
    assert (total["Check 检查项"], total["Defects 数量"]) == ("NOT OK 不通过", findings["n"].sum())
    assert total["accepted 经核准保留"] == 1
    assert total["open 待整改"] == len(findings) - 1
    _, *told = book["检查范围 scope"].iter_rows(values_only=True)
    assert {row[0] for row in told} == {"checked 已检查", "not checked 未检查"}


def test_the_sheet_of_a_clean_plan_and_of_a_group_of_thousands(tmp_path, nothing) -> None:
    book = workbook_of(tmp_path, nothing)
    assert book["整改清单 findings"].max_row == 1
    assert book["汇总 summary"]["B2"].value == "OK 通过"
    cells = [box(x, y, x + 1, y + 1) for x in range(60) for y in range(60)]
    many = gpd.GeoDataFrame({"name": [f"zone {k:030d}" for k in range(3600)]}, geometry=cells)
    book = workbook_of(tmp_path, audit(many.set_crs(CRS), id="name"))
    text = book["整改清单 findings"]["E2"].value
    assert text.endswith("等3600个")
    assert len(text) < 400


# --------------------------------------------------------------------------- map of the page


def test_the_map_draws_barriers_crossings_and_excluded_ground(tmp_path, zones, findings) -> None:
    barriers = gpd.GeoSeries(
        [
            shapely.LineString([(-9_000_000, 40), (9_000, 40)]),  # of which a piece is in view
            box(150, -50, 160, 150),
            shapely.LineString([(9_000, 0), (9_000, 9)]),
            None,
        ],
        crs=CRS,
    )
    crossings = gpd.GeoSeries([shapely.Point(50, 43), shapely.Point(8_000, 40)], crs=CRS)
    bow_tie = shapely.Polygon([(180, 0), (220, 40), (220, 0), (180, 40)])
    given = {
        "barriers": barriers,
        "crossings": crossings.to_crs(4490),
        "excluded": gpd.GeoDataFrame(geometry=[bow_tie], crs=CRS),
    }
    _, page = page_of(tmp_path, findings, zones=zones, id="name", **given)
    drawn = {tag["class"]: tag["d"] for _, tag in page.tags if tag.get("d") and tag.get("class")}
    assert {"barrier", "barrier area", "crossing", "crossing inner", "excluded"} <= set(drawn)
    coords = [float(value) for value in re.findall(r"-?[0-9.]+", drawn["barrier"])]
    assert min(coords) >= 0
    assert max(coords) <= 1000
    # the crossing stands on the barrier, drawn once; the other one is out of view
    assert drawn["crossing"] == drawn["crossing inner"]
    ((_, y),) = re.findall(r"M([0-9.]+) ([0-9.]+)h0", drawn["crossing"])
    assert float(y) == pytest.approx(coords[1], abs=0.1)
    legend = " ".join(page.words)
    for words in ("barrier 阻隔", "crossing 通道", "excluded 无需覆盖"):
        assert words in legend

    text, page = page_of(tmp_path, findings, zones=zones, id="name")
    assert "barrier 阻隔" not in text
    assert not [tag for _, tag in page.tags if "barrier" in (tag.get("class") or "")]


def test_crossings_without_barriers_in_view_stand_where_they_are(tmp_path, zones, findings) -> None:
    crossings = gpd.GeoSeries([shapely.LineString([(40, 40), (60, 40)])], crs=CRS)
    _, page = page_of(tmp_path, findings, zones=zones, id="name", crossings=crossings)
    (path,) = (tag["d"] for _, tag in page.tags if tag.get("class") == "crossing")
    assert path.count("h0") == 1


def test_names_of_any_length_leave_the_page_readable(tmp_path) -> None:
    cells = [box(x, y, x + 1, y + 1) for x in range(9) for y in range(9)]
    names = [f"{k}" + "长" * 10_000 for k in range(81)]
    zones = gpd.GeoDataFrame({"name": names}, geometry=cells, crs=CRS)
    zones.loc[4, "geometry"] = box(0, 4, 1.5, 5)
    text, page = page_of(tmp_path, audit(zones, id="name"), zones=zones, id="name")
    assert len(text) < 200_000
    assert max(map(len, page.words[-200:])) < 15_000  # the script itself
    listed = [word for word in page.words if word.startswith("0长")]
    assert listed
    assert max(map(len, listed)) <= 600
    assert re.search(r"and \d+ more", text)  # of the contacts


def test_summaries_fit_a_screen_whatever_the_names(tmp_path, zones) -> None:
    names = ["\x1b[2J\x07清屏", "一" * 5000, "a\nb\r\nc", "\u202egnp"]
    text = audit_text(audit(zones.assign(name=names), id="name", low=200))
    assert "\x1b" not in text
    assert "\r" not in text
    lines = text.splitlines()
    assert len(lines) <= 20
    assert all(len(line) + sum("一" <= c <= "鿿" for c in line) <= 100 for line in lines)


def test_a_summary_of_all_kinds_fits_a_screen(findings) -> None:
    kinds = list(CATALOGUE)
    assert len(kinds) >= 30
    many = pd.concat([findings.iloc[[0]]] * len(kinds), ignore_index=True).assign(check=kinds)
    many = pd.concat([many, many.assign(severity="note")], ignore_index=True)
    many.attrs["scope"] = {
        "topics": list(TOPICS), "band": [200, 500], "not_checked": dict.fromkeys(TOPICS, "why"),
    }  # fmt: skip
    lines = audit_text(many).splitlines()
    assert len(lines) <= 20
    assert lines[-1].endswith("more kinds")
    assert sum(line.startswith("  error") for line in lines) >= 1
