"""Layers as nobody should send them, through the command line.

Whatever comes in: the exit code is the documented one, no traceback is shown, nothing in a name is
carried out, and where nothing can be audited nothing is left behind.
"""

from __future__ import annotations

import json
import re
import sqlite3
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

import geopandas as gpd
import numpy as np
import openpyxl
import pandas as pd
import pyogrio
import pytest
import shapely
from shapely import GeometryCollection, LineString, Point, Polygon, box

from gridpart.cli import main

CRS = "EPSG:4547"
OUTPUTS = {
    "json": "o.json", "html": "o.html", "excel": "o.xlsx", "findings": "o.gpkg", "fix": "f.gpkg",
}  # fmt: skip
ALL = " ".join(OUTPUTS)


class Run(NamedTuple):
    """What the command did."""

    code: int
    out: str
    err: str
    written: dict[str, Path]

    @property
    def counts(self) -> dict[str, int]:
        return json.loads(self.written["o.json"].read_text(encoding="utf-8"))["counts"]


@pytest.fixture(autouse=True, scope="module")
def _unsynchronised() -> Iterator[None]:
    """Do not wait for the disk at every GeoPackage: there are hundreds."""
    pyogrio.set_gdal_config_options({"OGR_SQLITE_SYNCHRONOUS": "OFF"})
    yield
    pyogrio.set_gdal_config_options({"OGR_SQLITE_SYNCHRONOUS": None})


@pytest.fixture
def audited(tmp_path, monkeypatch, capsys) -> Callable[..., Run]:
    """Run the audit with every output, and see what it left behind, elsewhere too."""
    folder, scratch, here = (tmp_path / name for name in ("out", "scratch", "here"))
    for path in (folder, scratch, here):
        path.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    monkeypatch.chdir(here)

    def run(*arguments: object, write: str = "json html excel findings") -> Run:
        outputs = {f"--{kind}": OUTPUTS[kind] for kind in write.split()}
        for path in folder.iterdir():
            path.unlink()
        flags = [part for flag, name in outputs.items() for part in (flag, folder / name)]
        capsys.readouterr()
        code = main([str(part) for part in ["audit", *arguments, *flags]])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        assert list(scratch.iterdir()) == []
        assert list(here.iterdir()) == []
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", said.out + said.err)
        written = {path.name: path for path in folder.iterdir()}
        assert set(written) == (set() if code == 2 else set(outputs.values()))
        return Run(code, said.out, said.err, written)

    return run


def squares() -> gpd.GeoDataFrame:
    """Three by three squares, each with 60 households."""
    cells = [
        box(100 * x, 100 * y, 100 * x + 100, 100 * y + 100) for y in range(3) for x in range(3)
    ]
    names = [f"z{k}" for k in range(9)]
    return gpd.GeoDataFrame({"zone": names, "households": 60}, geometry=cells, crs=CRS)


@pytest.fixture
def zones() -> gpd.GeoDataFrame:
    return squares()


@pytest.fixture(scope="module")
def good(tmp_path_factory, _unsynchronised) -> Path:
    """File of the squares, beside which stands a bad one."""
    path = tmp_path_factory.mktemp("good") / "good.gpkg"
    squares().to_file(path)
    return path


@pytest.fixture(scope="module")
def old(good) -> Path:
    """An earlier audit of the squares."""
    path = good.with_suffix(".json")
    assert main(["audit", str(good), "--json", str(path)]) == 0
    return path


def with_shape(zones: gpd.GeoDataFrame, shape: object, row: int = 4) -> gpd.GeoDataFrame:
    shapes = zones.geometry.tolist()
    shapes[row] = shape
    return zones.set_geometry(shapes, crs=CRS)


# ---------------------------------------------------------------- files


def truncated(zones: gpd.GeoDataFrame, path: Path, share: float, n: int = 5) -> None:
    many = pd.concat([zones] * n, ignore_index=True)
    many.to_file(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("readme.txt", "no layer")


def png(path: Path) -> None:
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))


def without(path: Path, zones: gpd.GeoDataFrame, suffix: str) -> None:
    zones.to_file(path)
    path.with_suffix(suffix).unlink()


def short_table(path: Path, zones: gpd.GeoDataFrame) -> None:
    zones.to_file(path)
    table = path.with_suffix(".dbf")
    table.write_bytes(table.read_bytes()[:100])


UNREADABLE: dict[str, Callable[[Path, gpd.GeoDataFrame], object]] = {
    "half.gpkg": lambda path, zones: truncated(zones, path, 0.5),
    "header.gpkg": lambda path, zones: truncated(zones, path, 0.002),
    "header.shp": lambda path, zones: truncated(zones, path, 0.003),
    "alone.shp": lambda path, zones: without(path, zones, ".shx"),
    "table.shp": lambda path, zones: short_table(path, zones),
    "empty.gpkg": lambda path, _: path.write_bytes(b""),
    "empty.shp": lambda path, _: path.write_bytes(b""),
    "text.gpkg": lambda path, _: path.write_text("this is no GeoPackage"),
    "text.parquet": lambda path, _: path.write_text("this is no GeoParquet"),
    "cut.geojson": lambda path, _: path.write_text('{"type": "FeatureCollection", "features": ['),
    "other.json": lambda path, _: path.write_text('{"a": 1}'),
    "picture.png": lambda path, _: png(path),
    "picture.gpkg": lambda path, _: png(path),
    "archive.zip": lambda path, _: archive(path),
    "archive.gpkg": lambda path, _: archive(path),
    "table.xlsx": lambda path, _: pd.DataFrame({"a": [1]}).to_excel(path, index=False),
    "table.csv": lambda path, _: path.write_text("a,b\n1,2\n"),
    "folder.gpkg": lambda path, _: path.mkdir(),
    "none.gpkg": lambda *_: None,
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_files_that_cannot_be_read(zones, good, tmp_path, audited, name, capsys) -> None:
    bad = tmp_path / name
    UNREADABLE[name](bad, zones)
    ran = audited(bad)
    assert ran.code == 2
    assert ran.err.startswith("gridpart: ")
    assert str(bad) in ran.err
    roles = ["boundary", "units", "barriers", "excluded", "communities", "since"]
    for role in roles if name != "table.csv" else roles[:1]:
        ran = audited(good, f"--{role}", bad)
        assert ran.code == 2, role
        assert name in ran.err
    assert main(["partition", str(bad), "-o", str(tmp_path / "plan.gpkg")]) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert not (tmp_path / "plan.gpkg").exists()


@pytest.mark.parametrize("role", ["register", "staff", "since", "ticked"])
@pytest.mark.parametrize(
    "name", ["none.csv", "none.xlsx", "empty.csv", "bytes.csv", "bytes.xlsx", "cut.xlsx", "x.png"]
)
def test_tables_that_cannot_be_read(good, old, tmp_path, audited, role, name) -> None:
    bad = tmp_path / name
    if name == "cut.xlsx":
        pd.DataFrame({"code": ["1"], "state": ["live"]}).to_excel(bad)
        bad.write_bytes(bad.read_bytes()[:1500])
    elif not name.startswith("none"):
        bad.write_bytes(b"" if name.startswith("empty") else bytes(range(256)) * 9)
    flags = [f"--{role}", bad]
    if role == "ticked":
        flags = ["--since", old, *flags]
    ran = audited(good, *flags)
    assert ran.code == 2
    assert name in ran.err


def test_a_shapefile_that_was_cut_has_rows_without_a_shape(zones, tmp_path, audited) -> None:
    truncated(zones, tmp_path / "zones.shp", 0.7, n=1)
    ran = audited(tmp_path / "zones.shp", write="json")
    assert ran.code == 1
    assert ran.counts["empty_geometry"] == 3


def test_a_zipped_shapefile_is_read(zones, tmp_path, audited) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    zones.to_file(folder / "zones.shp")
    with zipfile.ZipFile(tmp_path / "zones.zip", "w") as file:
        for part in folder.iterdir():
            file.write(part, part.name)
    assert audited(tmp_path / "zones.zip", "--id", "zone").code == 0


# ---------------------------------------------------------------- shapes


def circle(n: int) -> Polygon:
    angle = np.linspace(0, 2 * np.pi, n, endpoint=False)
    return Polygon(np.column_stack([5000 + 900 * np.cos(angle), 5000 + 900 * np.sin(angle)]))


def eight(n: int) -> Polygon:
    angle = np.linspace(0, 2 * np.pi, n, endpoint=False) + 0.1
    return Polygon(np.column_stack([5000 + 900 * np.sin(angle), 5000 + 900 * np.sin(2 * angle)]))


SHAPES = {
    "null": (lambda: None, "empty_geometry"),
    "empty": (lambda: Polygon(), "empty_geometry"),
    "NaN": (
        lambda: Polygon([(100, 100), (np.nan, 100), (200, 200), (100, 200)]),
        "invalid_geometry",
    ),
    "infinite": (lambda: Polygon([(100, 100), (np.inf, 100), (200, 200)]), "invalid_geometry"),
    "overflowing": (lambda: Polygon([(100, 100), (1e300, 100), (200, 200)]), "invalid_geometry"),
    "off the earth": (lambda: Polygon([(100, 100), (2e9, 100), (200, 200)]), "invalid_geometry"),
    "point": (lambda: Point(150, 150), "invalid_geometry"),
    "line": (lambda: LineString([(100, 100), (200, 200)]), "invalid_geometry"),
    "collection": (
        lambda: GeometryCollection([box(100, 100, 200, 200), Point(0, 0)]),
        "invalid_geometry",
    ),
    "empty collection": (lambda: GeometryCollection(), "empty_geometry"),
    "no area": (lambda: Polygon([(100, 100), (200, 100), (100, 100)]), "invalid_geometry"),
    "bow-tie": (
        lambda: Polygon([(100, 100), (200, 200), (200, 100), (100, 200)]),
        "invalid_geometry",
    ),
    "large bow-tie": (lambda: eight(100_000), "invalid_geometry"),
    "large": (lambda: circle(100_000), "hole"),
}


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
@pytest.mark.parametrize("kind", SHAPES)
def test_shapes_that_are_no_zone_are_findings(zones, tmp_path, audited, kind) -> None:
    make, check = SHAPES[kind]
    with np.errstate(invalid="ignore"):
        with_shape(zones, make()).to_file(tmp_path / "zones.gpkg")
    large = "large" in kind
    ran = audited(tmp_path / "zones.gpkg", "--id", "zone", write="json html" if large else ALL)
    assert ran.code == 1
    assert ran.counts[check] == 1
    assert ran.written["o.html"].stat().st_size < 1_000_000
    if check != "hole":
        found = json.loads(ran.written["o.json"].read_text())["findings"]
        assert [row["ids"] for row in found if row["check"] == check] == ["z4"]


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
@pytest.mark.parametrize("kind", [k for k in SHAPES if "large" not in k])
def test_shapes_that_are_none_in_other_layers(zones, good, tmp_path, audited, kind) -> None:
    with np.errstate(invalid="ignore"):
        with_shape(zones, SHAPES[kind][0]()).to_file(tmp_path / "other.gpkg")
    other = tmp_path / "other.gpkg"
    flags = ["--boundary", other, "--units", other, "--excluded", other]
    ran = audited(good, *flags, write="json html")
    # what has no area leaves a hole in the boundary; a broken shape is mended
    assert (ran.code, ran.counts.get("spill", 0)) == ((0, 0) if kind == "collection" else (1, 1))


@pytest.mark.parametrize("shape", [None, Polygon(), Point(1, 1), LineString([(0, 0), (9, 9)])])
def test_layers_without_any_polygon(zones, tmp_path, audited, shape) -> None:
    zones.set_geometry([shape] * 9, crs=CRS).to_file(tmp_path / "bare.gpkg")
    ran = audited(tmp_path / "bare.gpkg", "--id", "zone", write=ALL)
    assert ran.code == 1
    bare = shape is None or shape.is_empty
    assert ran.counts == {"empty_geometry" if bare else "invalid_geometry": 9}


@pytest.mark.parametrize("shape", [None, Polygon(), Point(1, 1), LineString([(0, 0), (9, 9)])])
def test_a_boundary_without_any_polygon(zones, good, tmp_path, audited, shape) -> None:
    zones.set_geometry([shape] * 9, crs=CRS).to_file(tmp_path / "bare.gpkg")
    ran = audited(good, "--boundary", tmp_path / "bare.gpkg")
    assert ran.code == 2
    assert "boundary: there is no polygon in it" in ran.err


def test_layers_without_rows(zones, good, tmp_path, audited) -> None:
    zones.iloc[:0].to_file(tmp_path / "none.gpkg")
    ran = audited(tmp_path / "none.gpkg")
    assert (ran.code, "the zone layer has no rows" in ran.err) == (2, True)
    ran = audited(good, "--boundary", tmp_path / "none.gpkg")
    assert (ran.code, "boundary: there is no polygon in it" in ran.err) == (2, True)
    ran = audited(good, "--units", tmp_path / "none.gpkg", write=ALL)
    assert (ran.code, "there are no units" in ran.err) == (2, True)
    ran = audited("--units", tmp_path / "none.gpkg", "--assignment", "zone")
    assert (ran.code, "there are no units" in ran.err) == (2, True)


def test_heights_and_other_coordinate_systems(zones, tmp_path, audited) -> None:
    high = zones.set_geometry(shapely.force_3d(zones.geometry.to_numpy(), z=7.5), crs=CRS)
    high.to_file(tmp_path / "zones.gpkg")
    zones.dissolve().to_crs(4490).to_file(tmp_path / "degrees.gpkg")
    zones.to_crs(2249).to_file(tmp_path / "feet.gpkg")
    ran = audited(
        tmp_path / "zones.gpkg", "--boundary", tmp_path / "degrees.gpkg", "--units",
        tmp_path / "feet.gpkg", write=ALL,
    )  # fmt: skip
    assert ran.code == 0
    assert ran.err.count("note: ") == 2
    assert "projected from" in ran.err


@pytest.mark.filterwarnings("ignore:'crs' was not provided")
def test_layers_without_a_coordinate_system(zones, tmp_path, audited) -> None:
    zones.set_crs(None, allow_override=True).to_file(tmp_path / "zones.gpkg")
    ran = audited(tmp_path / "zones.gpkg")
    assert ran.code == 2
    assert "no coordinate reference system" in ran.err
    assert "EPSG:4547" in ran.err  # what to do


# ---------------------------------------------------------------- names


class Page(HTMLParser):
    """Tags of a page that could run or fetch something, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.active: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.active += [k for k, _ in attrs if k.startswith("on") or k in ("src", "href", "srcdoc")]

    def handle_data(self, data: str) -> None:
        self.words += data


NAMES = {
    "markup": [
        "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "'\"><svg onload=alert(1)>",
        "</title></style><script>x</script>", "&lt;b&gt;", "{{ 7 * 7 }}", "${x}", "<!--", "]]>",
    ],
    "formulas": [
        "=cmd|' /C calc'!A0", "+1+1", "-1+1", "@SUM(A1)", "\t=1+1", "=HYPERLINK(\"http://x\")",
        "＝1", "%0A=1", "=1;=2",
    ],
    "paths": [
        "../../etc/passwd", "a/b", "C:\\x\\y", "con", ".", "..", "~", "$HOME", "`id`",
    ],
    "controls": [
        "\x1b[2J\x1b]0;x\x07", "a\nb", "a\r\nb", "a\tb", "\x7f", "\u202egnp.exe", "\ufeffx",
        "\u0001", "\u2028",
    ],
    "emptiness": ["a", " ", "  a ", "\u3000", "-", "None", "nan", "NULL", "0"],
}  # fmt: skip


@pytest.mark.parametrize("kind", NAMES)
def test_names_are_only_names(zones, tmp_path, audited, kind) -> None:
    names = NAMES[kind]
    zones = zones.assign(zone=names)
    path = tmp_path / "zones.gpkg"
    zones.to_file(path)
    ran = audited(path, "--id", "zone", "--zone-households", "households", "--low", 100, write=ALL)
    assert ran.code == 1
    assert ran.counts["below_band"] == 9
    assert len(ran.out.splitlines()) <= 24

    page = Page(ran.written["o.html"].read_text(encoding="utf-8"))
    assert page.tags.count("script") == 1
    assert not {"img", "iframe", "object", "link", "embed", "base", "form"} & set(page.tags)
    assert page.active == []

    book = openpyxl.load_workbook(ran.written["o.xlsx"])
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row]
    assert not [cell for cell in cells if cell.data_type == "f" or cell.hyperlink]
    risky = [c for c in cells if isinstance(c.value, str) and c.value.strip()[:1] in set("=+-@")]
    assert all(cell.quotePrefix for cell in risky)
    if kind == "formulas":
        assert len(risky) >= 5

    listed = [row["ids"] for row in json.loads(ran.written["o.json"].read_text())["findings"]]
    layer = gpd.read_file(ran.written["o.gpkg"], layer="findings_polygons")
    if kind in ("markup", "formulas", "paths"):
        stripped = {name.strip().replace(";", "；") for name in names}
        assert stripped <= {name.strip() for name in listed}
        assert stripped <= {name.strip() for name in layer["ids"]}
    if kind == "markup":
        assert all(name in page.words for name in names)
    assert gpd.read_file(ran.written["f.gpkg"], layer="zones")["zone"].tolist() == names


@pytest.mark.filterwarnings("ignore:Could not parse column:UserWarning")
def test_ids_of_mixed_type(zones, tmp_path, audited) -> None:
    features = json.loads(zones.to_crs(4326).to_json())
    values = [1, 2.5, None, "a", True, "", 0, -1, "1"]
    for feature, value in zip(features["features"], values, strict=True):
        feature["properties"]["zone"] = value
    (tmp_path / "zones.geojson").write_text(json.dumps(features))
    ran = audited(tmp_path / "zones.geojson", "--id", "zone", write=ALL)
    assert ran.code == 1
    assert (ran.counts["missing_id"], ran.counts["duplicate_id"]) == (2, 1)

    values = ["1", "2.5", None, "a", "True", "", "0", "-1", " 1 "]
    zones.assign(zone=values).to_file(tmp_path / "texts.gpkg")
    ran = audited(tmp_path / "texts.gpkg", "--id", "zone", write=ALL)
    assert ran.code == 1
    assert ran.counts["missing_id"] == 2
    assert ran.counts["duplicate_id"] == 1

    zones.assign(zone=[1.0, 2.0, np.nan, 3.5, 1e20, -0.5, 0.0, 5, 6]).to_file(tmp_path / "f.gpkg")
    ran = audited(tmp_path / "f.gpkg", "--id", "zone", write=ALL)
    assert (ran.code, ran.counts["missing_id"]) == (1, 1)
    assert "duplicate_id" not in ran.counts


def test_ids_of_a_million_letters(zones, tmp_path, audited) -> None:
    names = ["x" * 10**6 + str(k) for k in range(9)]
    names[1] = names[0]
    zones.assign(zone=names).to_file(tmp_path / "zones.gpkg")
    ran = audited(tmp_path / "zones.gpkg", "--id", "zone", "--households", "households",
                  "--low", 100)  # fmt: skip
    assert ran.code == 1
    assert ran.counts["duplicate_id"] == 1
    assert len(ran.out) < 5_000
    assert ran.written["o.html"].stat().st_size < 200_000
    assert ran.written["o.xlsx"].stat().st_size < 50_000
    listed = json.loads(ran.written["o.json"].read_text())["findings"]
    assert any(row["ids"] == names[8] for row in listed)  # whole


LAYERS = ["../../etc/x", "a'b\"c", "\x1b[2Jx", "a; drop table b", "x" * 5000]


@pytest.mark.parametrize("name", LAYERS, ids=range(len(LAYERS)))
def test_names_of_layers_are_only_names(zones, tmp_path, audited, name) -> None:
    path = tmp_path / "zones.gpkg"
    zones.to_file(path, layer="plain")
    zones.to_file(path, layer="other")
    rename_layer(path, "plain", name)
    assert name in pyogrio.list_layers(path)[:, 0]
    ran = audited(path)
    assert ran.code == 2
    assert "choose a layer with --layer" in ran.err
    ran = audited(path, "--layer", name, "--id", "zone", write="json")
    assert ran.code in (0, 2)


def rename_layer(path: Path, old: str, new: str) -> None:
    """Give a layer a name that no driver would write."""
    with sqlite3.connect(path) as file:
        file.execute("pragma synchronous = off")
        file.execute("pragma writable_schema = on")
        for row in file.execute(
            "select name from sqlite_master where type = 'trigger' and tbl_name like ?", (old,)
        ).fetchall():
            file.execute(f'drop trigger "{row[0]}"')
        quoted = new.replace('"', '""')
        file.execute(f'alter table "{old}" rename to "{quoted}"')
        for table in ("gpkg_contents", "gpkg_geometry_columns", "gpkg_ogr_contents"):
            file.execute(f"update {table} set table_name = ? where table_name = ?", (new, old))
        file.execute("update gpkg_contents set identifier = ? where identifier = ?", (new, old))
    file.close()


@pytest.mark.parametrize("column", ["<b>zo;ne", "=hh", "a/b", "zone\n", "网格"])
def test_names_of_columns_are_only_names(zones, tmp_path, audited, column) -> None:
    zones.rename(columns={"zone": column}).to_file(tmp_path / "zones.gpkg")
    ran = audited(tmp_path / "zones.gpkg", "--id", column, write="json html fix")
    assert ran.code == 0
    ran = audited(tmp_path / "zones.gpkg", "--id", "nowhere")
    assert ran.code == 2
    assert "no column 'nowhere'" in ran.err


@pytest.mark.parametrize(
    "values", [["a"], [1.0, np.nan], [1.0, np.inf], [-1], [1.5], [2**62], [10**9 + 1, 1], [1e300]]
)
def test_households_that_are_no_numbers(zones, tmp_path, audited, values) -> None:
    zones["households"] = (values * 9)[:9]
    zones.to_file(tmp_path / "zones.gpkg")
    too_many = isinstance(values[0], float | int) and values[0] > 1e9
    said = "at most 1,000,000,000 households" if too_many else "whole numbers of households"
    ran = audited(tmp_path / "zones.gpkg", "--zone-households", "households", "--low", 5)
    assert ran.code == 2
    assert said in ran.err
    assert "row " in ran.err
    ran = audited(tmp_path / "zones.gpkg", "--units", tmp_path / "zones.gpkg")
    assert (ran.code, f"units: 'households' must hold {said}" in ran.err) == (2, True)
    ran = audited("--units", tmp_path / "zones.gpkg", "--assignment", "zone")
    assert (ran.code, said in ran.err) == (2, True)
