"""What comes to the door of an audit: coordinates, CRS, counts, ids, and long arrays."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from shapely import box
from test_audit_checks import CRS, extent, lattice, only, told

import gridpart as gp
from gridpart import report
from gridpart._geometry.distinct import among, distinct, distinct_pairs
from gridpart._geometry.segments import unique_points
from gridpart.coverage import audit, audit_ok
from gridpart.errors import CRSError, GridpartWarning, InputError


@pytest.fixture
def zones() -> gpd.GeoDataFrame:
    return lattice()


@pytest.fixture
def units(zones) -> gpd.GeoDataFrame:
    """A west and an east half of every zone, 150 households each."""
    rows = []
    for name, cell in zip(zones["grid"], zones.geometry, strict=True):
        west, south, east, north = cell.bounds
        middle = (west + east) / 2
        for half, part in (("w", (west, middle)), ("e", (middle, east))):
            rows.append((name + half, name, box(part[0], south, part[1], north)))
    unit, home, shapes = zip(*rows, strict=True)
    table = {"unit": unit, "home": home, "households": 150}
    return gpd.GeoDataFrame(table, geometry=list(shapes), crs=CRS)


def test_a_layer_without_crs_is_told_by_another_in_the_same_place(zones, units) -> None:
    boundary = extent(zones)
    bare = zones.set_crs(None, allow_override=True)
    findings = audit(bare, boundary=boundary, units=units, unit_id="unit")
    found = only(findings, "crs_missing")
    assert (found["ids"], found["severity"]) == ("zones", "error")
    assert told(findings) == {"crs_missing": 1}
    assert findings.crs == zones.crs
    with pytest.raises(CRSError, match="zones: no coordinate reference system"):
        audit(bare)
    with pytest.raises(CRSError, match="zones: no coordinate"):
        audit(bare, boundary=boundary.translate(1e5))
    with pytest.raises(CRSError, match="zones"):
        gp.fix_zones(bare, boundary=boundary)


@pytest.mark.parametrize("without", ["zones", "boundary", "units"])
def test_degrees_without_crs_are_told_by_degrees(zones, units, without) -> None:
    layers = {"zones": zones, "boundary": extent(zones), "units": units}
    layers = {name: layer.to_crs(4490) for name, layer in layers.items()}
    layers[without] = layers[without].set_crs(None, allow_override=True)
    with pytest.warns(GridpartWarning, match="projected"):
        findings = audit(**layers, crs=CRS)
    assert only(findings, "crs_missing")["ids"] == without
    assert told(findings) == {"crs_missing": 1}


@pytest.mark.parametrize(
    ("side", "degrees"),
    [
        (100, (0, 0, 300, 85)),  # over more degrees than there are
        (1e4, (27, 27, 33, 33)),
        (25, (70, 25, 80, 35)),  # touches it, and is no place there
        (25, (110, 0, 110.01, 0.01)),
    ],
)
def test_metres_near_0_are_no_degrees(side, degrees) -> None:
    bare = lattice(3, 3, side).set_crs(None, allow_override=True)
    boundary = gpd.GeoSeries([box(*degrees)], crs=4490)
    with pytest.raises(CRSError, match=r"zones: no coord.* 0 to .* boundary \(.*2000\).*set_crs"):
        audit(bare, boundary=boundary)
    with pytest.raises(CRSError, match="boundary: no coordinate reference system"):
        audit(lattice(3, 3).to_crs(4490), boundary=bare.geometry)


def test_metres_that_are_called_degrees_are_a_crs_error(zones, units) -> None:
    wrong = zones.set_crs(4490, allow_override=True)
    with pytest.raises(CRSError, match=r"zones: no UTM zone .* 0 to 600 and 0 to 400 .*set_crs"):
        audit(wrong)
    with pytest.raises(CRSError, match="units: no UTM zone"):
        gp.audit_assignment(units.set_crs(4490, allow_override=True), "home")
    astray = zones.to_crs(4490)
    astray = astray.set_geometry([*astray.geometry[:-1], box(600, 700, 601, 701)], crs=4490)
    with pytest.warns(GridpartWarning, match="UTM zone 49N"):
        findings = audit(astray)
    assert only(findings, "invalid_geometry")["ids"] == "Z23"


def test_layers_in_other_crs_are_a_note(zones) -> None:
    with pytest.warns(GridpartWarning, match="boundary: projected"):
        findings = audit(zones, boundary=extent(zones).to_crs(4490))
    assert only(findings, "crs_differs")["ids"] == "boundary"
    assert audit_ok(findings)


@pytest.mark.parametrize("far", [1e300, -1e160, 2e9])
def test_coordinates_of_no_place_on_earth_are_no_shape(zones, units, far) -> None:
    shapes = units.geometry.tolist()
    shapes[0] = shapely.Polygon([(0, 0), (far, 0), (10, 10)])
    units = units.set_geometry(shapes, crs=CRS)
    broken = zones.set_geometry([*zones.geometry[:-1], shapes[0]], crs=CRS)
    findings = audit(broken, units=units, boundary=broken, excluded=broken)
    assert told(findings)["invalid_geometry"] == 1
    assert only(findings, "invalid_geometry")["ids"] == "Z23"
    fixed, changes = gp.fix_zones(broken, units=units)
    assert changes.empty
    assert fixed.geometry.geom_equals_exact(broken.geometry, 0).all()
    assert only(gp.audit_assignment(units, "home"), "unit_without_geometry")["ids"] == "0"
    with pytest.raises(InputError, match="up to 1e9"):
        gp.check_units(units)
    with pytest.raises(InputError, match="up to 1e9"):
        gp.build_contiguity(units)


def test_units_without_rows_and_counts_beyond_counting_are_refused(zones, units) -> None:
    for call in (
        lambda u: audit(zones, units=u),
        lambda u: gp.fix_zones(zones, units=u),
        lambda u: gp.audit_assignment(u, "home"),
    ):
        with pytest.raises(InputError, match="there are no units"):
            call(units.iloc[:0])
        counts = [10**9, 10**9 + 1, *[150] * (len(units) - 2)]
        with pytest.raises(InputError, match=r"(?s)at most 1,000,000,000 .*row 1: 1000000001$"):
            call(units.assign(households=counts))
    counts[1] = 10**9
    findings = audit(zones, units=units.assign(households=counts))
    assert findings.attrs["scope"]["households"] == sum(counts)
    with pytest.raises(InputError, match=r"(?s)row 1: 10000"):
        audit(zones, units=units.assign(households=pd.array([1, 10**400, *counts[2:]], object)))
    both = units.assign(households=[-1, 2**62, *counts[2:]])
    with pytest.raises(InputError) as caught:
        audit(zones, units=both)
    assert [p.kind for p in caught.value.problems] == ["bad_households", "huge_households"]
    # a column that merely has the usual name is left out, and that is said
    with pytest.warns(GridpartWarning, match="(?s)own households were left out.*row 0"):
        audit(zones.assign(households=2**62))


def test_the_mark_between_ids_is_another_inside_them(tmp_path) -> None:
    names = ["a;b", "a", "b", "；"]
    cells = [box(60 * k, 0, 60 * k + 100, 50) for k in range(4)]
    zones = gpd.GeoDataFrame({"name": names}, geometry=cells, crs=CRS)
    old = audit(zones, id="name")
    split = sorted(row.split(";") for row in old["ids"])
    assert split == [["a", "b"], ["a；b", "a"], ["b", "；"]]
    report.write_audit_json(old, tmp_path / "old.json")
    report.write_audit_excel(old, tmp_path / "old.xlsx")
    read = report.read_audit_json(tmp_path / "old.json")
    ticked = report.read_statuses(tmp_path / "old.xlsx", read)
    assert (ticked.taken, len(ticked.problems)) == (3, 0)
    assert gp.compare_audits(ticked.findings, old).counts["stays"] == 3
    # what is now wrong with a and b is not what was wrong with a;b and a
    new = audit(zones.iloc[1:3], id="name")
    assert gp.compare_audits(read, new).cured["ids"].tolist() == ["a；b;a", "b;；"]
    near = zones.set_geometry([box(60 * k, 0, 60 * k + 60.001, 50) for k in range(4)], crs=CRS)
    _, changes = gp.fix_zones(near, id="name", tolerance=1e-5)
    assert {"a；b", "a"} in [set(row.split(";")) for row in changes["ids"]]


@pytest.mark.parametrize("n", [0, 1, 5, 400])
@pytest.mark.parametrize("most", [1, 30, 2**30])
def test_sets_by_sorting_are_those_of_numpy(n, most) -> None:
    rng = np.random.default_rng([n, most])
    a, b, c = rng.integers(0, most, (3, n))
    assert np.array_equal(distinct(a), np.unique(a))
    assert np.array_equal(distinct(np.stack([a, b])), np.unique([a, b]))
    pairs = distinct_pairs(a, b)
    assert np.array_equal(pairs, np.unique(np.stack([a, b], axis=1), axis=0))
    assert pairs.dtype == np.int64
    for others in (b, c[: n // 3], a[::2]):
        assert np.array_equal(among(a, others), np.isin(a, others))
    x, y = rng.random((2, n)).round(1)
    points, which = unique_points(x, y)
    expected = np.unique(np.stack([x, y], axis=1), axis=0)
    assert np.array_equal(points, expected)
    assert np.array_equal(points[which], np.stack([x, y], axis=1))
