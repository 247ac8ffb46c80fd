"""Two audits of the same place: cured, new and still there."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import openpyxl
import pytest
from shapely import affinity, box

import gridpart as gp
from gridpart.cli import main
from gridpart.errors import InputError
from gridpart.report import (
    audit_json,
    audit_text,
    read_audit_json,
    write_audit_excel,
    write_audit_html,
    write_audit_json,
    write_findings,
)

CRS = "EPSG:4547"
COUNTS = ("cured", "new", "stays", "unknown", "reopened")


@pytest.fixture
def zones() -> gpd.GeoDataFrame:
    """A row of ten zones of 100 m."""
    cells = [box(100 * k, 0, 100 * k + 100, 100) for k in range(10)]
    return gpd.GeoDataFrame(
        {"name": list("abcdefghij"), "households": 300}, geometry=cells, crs=CRS
    )


def audit(zones: gpd.GeoDataFrame, **options: object) -> gpd.GeoDataFrame:
    boundary = gpd.GeoSeries([box(0, 0, 1000, 100)], crs=CRS)
    return gp.audit(zones, **({"id": "name", "boundary": boundary, "low": 200} | options))


def without(zones: gpd.GeoDataFrame, *names: str) -> gpd.GeoDataFrame:
    return zones[~zones["name"].isin(names)]


def counts(old: object, new: gpd.GeoDataFrame) -> tuple[int, ...]:
    result = gp.compare_audits(old, new)
    assert tuple(result.counts) == COUNTS
    # every defect of the new audit is new or stays
    assert result.counts["new"] + result.counts["stays"] == new["n"].sum()
    return tuple(result.counts.values())


def as_file(findings: gpd.GeoDataFrame) -> dict[str, object]:
    return json.loads(json.dumps(audit_json(findings)))


def test_the_same_audit_twice_changes_nothing(zones) -> None:
    zones.loc[2, "households"] = 7
    findings = audit(without(zones, "c", "f", "g"))
    assert counts(findings, findings) == (0, 0, len(findings), 0, 0)
    assert counts(as_file(findings), findings) == (0, 0, len(findings), 0, 0)
    result = gp.compare_audits(as_file(findings), findings)
    assert set(result.findings["change"]) == {"stays"}
    assert result.findings.attrs["scope"] == findings.attrs["scope"]


def test_cured_new_and_still_there_are_told_apart(zones) -> None:
    old = audit(without(zones, "b", "e"))
    new = audit(without(zones, "e", "h"))
    result = gp.compare_audits(as_file(old), new)
    assert tuple(result.counts.values()) == (1, 1, 1, 0, 0)
    (cured,) = result.cured.geometry
    assert cured.equals(zones.geometry[1])
    assert result.cured[["change", "status"]].values.tolist() == [["cured", "done"]]
    change = dict(zip(result.findings.geometry.centroid.x, result.findings["change"], strict=True))
    assert change == {450.0: "stays", 750.0: "new"}


def test_gaps_with_the_same_neighbours_in_another_place_are_not_the_same(zones) -> None:
    old = audit(without(zones, "b").assign(name="z"))
    new = audit(without(zones, "h").assign(name="z"))
    # what stays is the one id that nine zones carry, eight defects
    assert counts(old, new) == (1, 1, 8, 0, 0)


def test_rows_and_their_order_do_not_matter(zones) -> None:
    zones.loc[[1, 6], "households"] = [3, 4]
    new = audit(zones)
    old = audit(zones.sample(frac=1, random_state=2)).sample(frac=1, random_state=5)
    assert counts(old, new) == (0, 0, 2, 0, 0)


def test_a_status_is_handed_on_but_what_is_still_there_is_not_done(zones) -> None:
    zones.loc[[1, 4, 6], "households"] = 3
    old = audit(zones)
    old["status"] = old["ids"].map({"b": "accepted", "e": "done", "g": "waits for the map"})
    result = gp.compare_audits(as_file(old), audit(zones))
    status = result.findings.set_index("ids")["status"]
    assert status.to_dict() == {"b": "accepted", "e": "open", "g": "waits for the map"}
    change = result.findings.set_index("ids")["change"]
    assert change.to_dict() == {"b": "stays", "e": "reopened", "g": "stays"}
    assert tuple(result.counts.values()) == (0, 0, 3, 0, 1)


def test_a_group_that_shrank_is_cured_in_part(zones) -> None:
    def shaken(n: int) -> gpd.GeoDataFrame:
        frame = zones.copy()
        for k in range(n):
            frame.loc[[k], "geometry"] = box(100 * k, 0, 100 * k + 99.995, 100)
        return audit(frame)

    assert gp.audit_counts(shaken(6)) == {"sliver_gap": 6}
    assert counts(shaken(6), shaken(2)) == (4, 0, 2, 0, 0)
    assert counts(shaken(2), shaken(6)) == (0, 4, 2, 0, 0)


def test_half_a_gap_is_still_there_and_so_are_its_halves(zones) -> None:
    old = audit(without(zones, "e"))
    middle = gpd.GeoDataFrame({"name": ["e"], "households": 300}, geometry=[box(430, 0, 470, 100)])
    new = audit(gpd.pd.concat([without(zones, "e"), middle.set_crs(CRS)], ignore_index=True))
    assert gp.audit_counts(new) == {"gap": 2}
    assert counts(old, new) == (0, 0, 2, 0, 0)


def test_renamed_zones_and_shifted_lines_are_the_same_finding(zones) -> None:
    zones.loc[3, "households"] = 5
    old = audit(without(zones, "g"))
    moved = without(zones, "g").assign(name=[f"new {k}" for k in range(9)])
    moved["geometry"] = [affinity.translate(shape, 0.2, 0) for shape in moved.geometry]
    new = audit(moved)
    kept = gp.compare_audits(old, new)
    assert kept.counts["cured"] == 0
    change = {
        (row.check, round(row.geometry.centroid.x)): row.change
        for row in kept.findings.itertuples()
    }
    # the shift leaves a new strip in the west and reaches out in the east
    assert change == {
        ("gap", 650): "stays", ("below_band", 350): "stays", ("gap", 0): "new",
        ("spill", 1000): "new",
    }  # fmt: skip


def test_what_was_not_looked_for_again_is_not_cured(zones) -> None:
    zones.loc[3, "households"] = 5
    old = audit(without(zones, "j"))
    new = gp.audit(without(zones, "j"), id="name")
    result = gp.compare_audits(old, new)
    assert tuple(result.counts.values()) == (0, 0, 0, 2, 0)
    assert set(result.unknown["check"]) == {"gap", "below_band"}


def test_findings_without_a_place_go_by_their_ids(zones) -> None:
    shapes = zones.geometry.tolist()
    shapes[2] = shapes[5] = None
    broken = zones.set_geometry(shapes, crs=CRS)
    mended = broken.copy()
    mended.loc[[2], "geometry"] = zones.geometry[2]
    result = gp.compare_audits(as_file(audit(broken)), audit(mended))
    bare = result.cured[result.cured["check"] == "empty_geometry"]
    assert bare["ids"].tolist() == ["c"]
    assert result.counts["new"] == 0


def test_other_crs_and_the_first_version_of_the_file(zones) -> None:
    findings = audit(without(zones, "e"))
    assert counts(findings.to_crs(4490), findings) == (0, 0, 1, 0, 0)
    first = as_file(findings)
    assert first.pop("crs") == CRS
    first.pop("scope")
    first["schema_version"] = 1
    assert counts(first, findings) == (0, 0, 1, 0, 0)


def test_no_findings_on_either_side(zones) -> None:
    clean, faulty = audit(zones), audit(without(zones, "e"))
    assert counts(as_file(clean), clean) == (0, 0, 0, 0, 0)
    assert counts(as_file(clean), faulty) == (0, 1, 0, 0, 0)
    assert counts(as_file(faulty), clean) == (1, 0, 0, 0, 0)


def test_random_changes_are_told_exactly(zones) -> None:
    rng = np.random.default_rng(4)
    for _ in range(15):
        was, now = (set(rng.choice(10, 4, replace=False).tolist()) for _ in range(2))
        old, new = (
            audit(zones.assign(households=[9 if k in low else 300 for k in range(10)]))
            for low in (was, now)
        )
        expected = (len(was - now), len(now - was), len(was & now), 0, 0)
        assert counts(as_file(old), new) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "cannot be read as an earlier audit"),
        ("[1]", "no audit"),
        ('{"a": 1}', "no schema_version"),
        ('{"schema_version": 1, "findings": [{"check": "gap"}]}', "finding 0: no severity"),
        (
            '{"schema_version": 1, "findings": [{"check": "gap", "severity": "error", "ids": "",'
            ' "n": 1, "status": "open", "geometry": {"type": "Nonsense"}}]}',
            "finding 0: its geometry cannot be read",
        ),
    ],
)
def test_files_that_are_no_audit(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "old.json"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        read_audit_json(path)


def test_every_output_says_what_changed(zones, tmp_path) -> None:
    old, new = audit(without(zones, "b", "e")), audit(without(zones, "e", "h"))
    since = gp.compare_audits(old, new)
    lines = audit_text(since.findings, since=since).splitlines()
    assert lines[1] == "  since the last audit: 1 cured, 1 new, 1 still there"
    write_audit_json(new, tmp_path / "a.json", since=since)
    data = json.loads((tmp_path / "a.json").read_text())
    assert list(data)[-1] == "since"
    assert data["since"]["counts"] == since.counts
    assert [row["change"] for row in data["since"]["cured"]] == ["cured"]
    assert sorted(row["change"] for row in data["findings"]) == ["new", "stays"]
    again = gp.compare_audits(read_audit_json(tmp_path / "a.json"), new)
    assert again.counts["stays"] == 2
    write_audit_html(new, tmp_path / "a.html", since=since)
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "1 cured, 1 new, 1 still there" in page
    assert "已整改1处，新增1处，仍存在1处" in page
    assert page.count("still there 仍存在") == page.count("new 新增") == 1
    write_findings(since.findings, tmp_path / "a.gpkg")
    assert set(gpd.read_file(tmp_path / "a.gpkg")["change"]) == {"new", "stays"}
    write_audit_excel(new, tmp_path / "a.xlsx", since=since)
    book = openpyxl.load_workbook(tmp_path / "a.xlsx")
    assert book["已消除 cured"].max_row == 2
    header, *rows = book["整改清单 findings"].iter_rows(values_only=True)
    assert {row[header.index("Change\n变化")] for row in rows} == {"new 新增", "stays 仍存在"}


def test_the_command_compares(zones, tmp_path, capsys) -> None:
    for name, frame in (("old", without(zones, "b", "e")), ("new", without(zones, "e"))):
        frame.to_file(tmp_path / f"{name}.gpkg")
    gpd.GeoSeries([box(0, 0, 1000, 100)], crs=CRS).to_file(tmp_path / "city.gpkg")
    shared = ["--id", "name", "--boundary", str(tmp_path / "city.gpkg")]
    old, out = str(tmp_path / "old.json"), str(tmp_path / "new.json")
    assert main(["audit", str(tmp_path / "old.gpkg"), *shared, "--json", old]) == 1
    after = ["audit", str(tmp_path / "new.gpkg"), *shared, "--since", old]
    capsys.readouterr()
    assert main([*after, "--json", out, "--excel", str(tmp_path / "a.xlsx")]) == 1
    assert "since the last audit: 1 cured, 0 new, 1 still there" in capsys.readouterr().out
    assert json.loads(Path(out).read_text())["since"]["counts"]["cured"] == 1
    assert main([*after, "--json", old]) == 2  # the earlier audit is not written over
    assert "since" not in json.loads(Path(old).read_text())
    assert main(["audit", str(tmp_path / "new.gpkg"), "--since", str(tmp_path / "no.json")]) == 2
