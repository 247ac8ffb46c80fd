"""Audits of plans that others drew, beside figures measured elsewhere and beside other checkers.

    python benchmarks/real_audits.py [--data FOLDER] [--peers PYTHON]

Every zone plan of Cambridge, Massachusetts (City of Cambridge GIS, ODC PDDL 1.0), is audited with
the city's boundary and the census blocks of 2000, in EPSG:26986, and set beside
`measured_defects.csv`, whose figures were measured without gridpart. Once with the tolerance of
1 mm that is the default, once with 1 µm, because five of the overlaps are narrower than 0.1 mm.
Then the sections of Porto (INE, BGRI 2021) with the parishes as their boundary, which are clean.

Last, what others tell of the same layers. They may live in an environment of their own:

    python -m venv peers && peers/bin/pip install geopandas maup geoplanar
    python benchmarks/real_audits.py --peers peers/bin/python

One that is not installed gets a row that says so. Exits with 1 if a figure differs for which there
is no reason.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import json
import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"
CAMBRIDGE = "cambridge_plans_with_errors"
PLANS = ("wards_precincts_2010", "wards_precincts_2022", "fire_engine_districts", "police_sectors")
CRS = "EPSG:26986"
DEFAULT, FINE = 0.001, 1e-6  # tolerances in metres
OVER = 0.001  # of a unit; from here on, it counts as covered more than once
INSTALL = "python -m venv peers && peers/bin/pip install geopandas maup geoplanar"
# Round figures: the file tells tenths of a square metre.
SAME_M2 = 0.06

# ------------------------------------------------------------------------------------------
# The layers
# ------------------------------------------------------------------------------------------


def layer(data: Path, name: str) -> gpd.GeoDataFrame:
    """A layer of Cambridge, as it is."""
    return gpd.read_file(found(data, CAMBRIDGE, "cambridge.gpkg"), layer=name)


def found(data: Path, *parts: str) -> Path:
    path = data.joinpath(*parts)
    if not path.exists():
        sys.exit(f"{path} is not there; say where the data lie with --data FOLDER")
    return path


def porto(data: Path, name: str) -> gpd.GeoDataFrame:
    return gpd.read_file(found(data, "porto_bgri2021", "porto_bgri2021.gpkg"), layer=name)


# ------------------------------------------------------------------------------------------
# Cambridge beside the figures measured elsewhere
# ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """One figure: as measured elsewhere, and as audited at both tolerances."""

    plan: str
    what: str
    measured: float
    default: float
    fine: float
    reason: str

    @property
    def explained(self) -> bool:
        return bool(self.reason) or self.same(self.default)

    def same(self, value: float) -> bool:
        return abs(value - self.measured) <= (SAME_M2 if "m²" in self.what else 0)


def figures(findings: gpd.GeoDataFrame, units: gpd.GeoDataFrame) -> dict[str, float]:
    """The figures of `measured_defects.csv`, from nothing but the findings."""

    def of(*checks: str) -> gpd.GeoDataFrame:
        return findings[findings["check"].isin(checks)]

    def largest(*checks: str) -> float:
        pieces = of(*checks).geometry.explode()
        return float(pieces.area.max()) if len(pieces) else 0.0

    double = shapely.union_all(of("overlap").geometry.to_numpy())
    over = shapely.area(shapely.intersection(units.geometry.to_numpy(), double)) / units.area
    return {
        "overlap_pairs": of("overlap")["n"].sum(),
        "overlap_m2": of("overlap")["area_m2"].sum(),
        "max_overlap_m2": largest("overlap"),
        "gap_polys_gt1m2": of("gap")["n"].sum(),
        "gap_m2": of("gap", "sliver_gap")["area_m2"].sum(),
        "max_gap_m2": largest("gap"),
        "outside_m2": of("spill")["area_m2"].sum(),
        "units_uncovered": of("unit_uncovered")["n"].sum(),
        "pop_uncovered": of("unit_uncovered")["households"].fillna(0).sum(),
        "units_multi": of("unit_twice")["n"].sum(),
        "pop_multi": of("unit_twice")["households"].fillna(0).sum(),
        "units_partly_uncovered_gt1pct": of("unit_partly_uncovered")["n"].sum(),
        "units_overcovered_gt0_1pct": int((over > OVER).sum()),
        "multipart_zones": of("multipart")["n"].sum(),
    }


LABELS = {
    "overlap_pairs": "overlapping pairs",
    "overlap_m2": "overlap, m²",
    "max_overlap_m2": "largest overlap, m²",
    "gap_polys_gt1m2": "gaps above 1 m²",
    "gap_m2": "all gaps, m²",
    "max_gap_m2": "largest gap, m²",
    "outside_m2": "outside, m²",
    "units_uncovered": "blocks in no zone",
    "pop_uncovered": "people in them",
    "units_multi": "blocks in two zones",
    "pop_multi": "people in them",
    "units_partly_uncovered_gt1pct": "blocks bare by 1 %",
    "units_overcovered_gt0_1pct": "blocks in overlaps by 0.1 %",
    "multipart_zones": "zones in several parts",
}


def compare(data: Path) -> Iterator[Row]:
    """Every figure of every plan."""
    measured = pd.read_csv(found(data, CAMBRIDGE, "measured_defects.csv")).set_index("plan")
    boundary, blocks = layer(data, "city_boundary"), layer(data, "blocks2000_pop")
    units = blocks.to_crs(CRS)
    for plan in PLANS:
        zones = layer(data, plan)
        default, fine = (
            figures(audit(zones, boundary, blocks, tolerance), units)
            for tolerance in (DEFAULT, FINE)
        )
        for key, label in LABELS.items():
            ours = (float(default[key]), float(fine[key]))
            theirs = float(measured.loc[plan, key])
            why = reason(key, theirs, *ours)
            if key == "units_overcovered_gt0_1pct" and theirs == overfull(zones, units) < fine[key]:
                extra = fine[key] - theirs
                why = f"{extra:g} lie outside all zones by more: measured was the sum of shares"
            yield Row(plan, label, theirs, *ours, why)


def overfull(zones: gpd.GeoDataFrame, units: gpd.GeoDataFrame) -> int:
    """Units whose shares in all zones add up to more than the whole by `OVER`."""
    polygons, shapes = zones.to_crs(CRS).geometry.to_numpy(), units.geometry.to_numpy()
    unit, zone = shapely.STRtree(polygons).query(shapes, predicate="intersects")
    area = shapely.area(shapely.intersection(shapes[unit], polygons[zone]))
    return int((np.bincount(unit, area, len(shapes)) / shapely.area(shapes) > 1 + OVER).sum())


def audit(
    zones: gpd.GeoDataFrame, boundary: gpd.GeoDataFrame, blocks: gpd.GeoDataFrame, tolerance: float
) -> gpd.GeoDataFrame:
    import gridpart

    with warnings.catch_warnings():
        # that degrees were projected to measure
        warnings.simplefilter("ignore", gridpart.GridpartWarning)
        return gridpart.audit(
            zones, boundary=boundary, units=blocks, households="POP_LAB", crs=CRS,
            tolerance=tolerance,
        )  # fmt: skip


def reason(key: str, measured: float, default: float, fine: float) -> str:
    """Why a figure at the default tolerance is another; empty where it is not, or none is known."""
    area = key.endswith("m2") and not key.startswith("gap_polys")
    near = SAME_M2 if area else 0
    if abs(default - measured) <= near or abs(fine - measured) > near:
        return ""
    left = measured - default
    size = f"{left:.1f} m²" if area else f"{left:g}"
    return f"{size} nowhere wider than the default tolerance"


# ------------------------------------------------------------------------------------------
# What must be clean
# ------------------------------------------------------------------------------------------


def clean(data: Path) -> Iterator[tuple[str, dict[str, int], bool]]:
    """Layers without fault: name, defects by check, and whether all of them are notes."""
    import gridpart

    blocks = porto(data, "units")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gridpart.GridpartWarning)
        audits = {
            "police_sectors inside": gridpart.audit(layer(data, "police_sectors"), crs=CRS),
            "Porto's sections in its parishes": gridpart.audit(
                porto(data, "official_sections"), id="section_id",
                boundary=porto(data, "parishes"), units=blocks, unit_id="unit_id",
                assignment="section_id", unit_within="parish_id",
            ),
        }  # fmt: skip
    for name, findings in audits.items():
        notes = bool((findings["severity"] == "note").all())
        yield name, gridpart.audit_counts(findings), notes


# ------------------------------------------------------------------------------------------
# Others, perhaps in an environment of their own: nothing here needs gridpart
# ------------------------------------------------------------------------------------------


def peers(data: Path) -> dict[str, dict[str, Any]]:
    """What every checker tells of every layer: by checker, then by layer."""
    layers = {plan: layer(data, plan).to_crs(CRS) for plan in PLANS}
    boundaries = dict.fromkeys(PLANS, layer(data, "city_boundary").to_crs(CRS))
    layers["Porto's sections"] = porto(data, "official_sections")
    boundaries["Porto's sections"] = porto(data, "parishes").dissolve()
    checkers: dict[str, tuple[str, Callable[..., str]]] = {
        "shapely.coverage_invalid_edges": ("shapely", invalid_edges),
        "maup.doctor": ("maup", doctor),
        "geoplanar": ("geoplanar", geoplanar),
    }
    told: dict[str, dict[str, Any]] = {}
    for name, (module, check) in checkers.items():
        if importlib.util.find_spec(module) is None:
            told[name] = dict.fromkeys(layers, "not installed")
            continue
        told[name] = {}
        for plan, zones in layers.items():
            told[name][plan] = check(zones, boundaries[plan])
    return told


def invalid_edges(zones: gpd.GeoDataFrame, _: Any) -> str:
    edges = shapely.coverage_invalid_edges(zones.geometry.to_numpy())
    bad = int((~shapely.is_empty(edges)).sum())
    return f"{bad} zones, {shapely.length(edges).sum():,.0f} m of edges" if bad else "nothing"


def doctor(zones: gpd.GeoDataFrame, boundary: gpd.GeoDataFrame) -> str:
    import maup

    maup.progress.enabled = False
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
        healthy = maup.doctor(zones, target=boundary)
    said = re.sub(r"There are |\.$|!$", "", printed.getvalue().strip(), flags=re.MULTILINE)
    return f"{healthy}: {', '.join(said.splitlines()) or 'nothing'}"


def geoplanar(zones: gpd.GeoDataFrame, _: Any) -> str:
    import geoplanar

    gaps = geoplanar.gaps(zones).area
    first, second = geoplanar.overlaps(zones)
    pairs = np.unique(np.sort(np.stack([first, second]), axis=0), axis=1)
    shapes = zones.geometry.to_numpy()
    area = shapely.area(shapely.intersection(shapes[pairs[0]], shapes[pairs[1]]))
    if not len(gaps) and not len(area):
        return "nothing"
    return (
        f"{len(gaps)} gaps, {int((gaps > 1).sum())} above 1 m², {gaps.sum():,.1f} m²; "
        f"{len(area)} overlaps, {int((area > 0.001).sum())} above 0.001 m², {area.sum():,.1f} m²"
    )


def ask_peers(python: str, data: Path) -> dict[str, dict[str, Any]]:
    """Run `peers` with another interpreter."""
    command = [python, __file__, "--data", str(data), "--child"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"{python} failed with exit code {done.returncode}")
    told: dict[str, dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return told


def own_words(data: Path) -> dict[str, str]:
    """The same of gridpart."""
    boundary, blocks = layer(data, "city_boundary"), layer(data, "blocks2000_pop")
    words = {plan: _words(audit(layer(data, plan), boundary, blocks, FINE)) for plan in PLANS}
    import gridpart

    findings = gridpart.audit(porto(data, "official_sections"), boundary=porto(data, "parishes"))
    return {**words, "Porto's sections": _words(findings)}


def _words(findings: gpd.GeoDataFrame) -> str:
    import gridpart

    counts = gridpart.audit_counts(findings)
    return ", ".join(f"{n} {check}" for check, n in counts.items()) or "nothing"


# ------------------------------------------------------------------------------------------
# All of it
# ------------------------------------------------------------------------------------------


def number(value: float, what: str) -> str:
    return f"{value:,.1f}" if "m²" in what and "above" not in what else f"{value:,.0f}"


def report(data: Path, python: str) -> bool:
    """Print all tables; whether every figure agrees or has a reason, and the clean are clean."""
    from porto import show

    rows = list(compare(data))
    head = ["plan", "figure", "measured", "audit", "audit at 1 µm", "difference"]
    print(show([
        [
            row.plan, row.what, *(
                number(value, row.what) for value in (row.measured, row.default, row.fine)
            ),
            row.reason or ("none" if row.explained else "UNEXPLAINED"),
        ]
        for row in rows
    ], head))  # fmt: skip
    sound = [(name, counts, notes) for name, counts, notes in clean(data)]
    print()
    print(show([
        [name, "yes" if notes else "NO", json.dumps(counts) if counts else "nothing"]
        for name, counts, notes in sound
    ], ["layer", "clean", "findings"]))  # fmt: skip
    told = {"gridpart.audit, 1 µm": own_words(data), **ask_peers(python, data)}
    print()
    print(show([
        [plan, name, words] for plan in told["gridpart.audit, 1 µm"]
        for name, words in ((name, by_plan[plan]) for name, by_plan in told.items())
    ], ["layer", "checker", "what it tells"]))  # fmt: skip
    if any("not installed" in words for by_plan in told.values() for words in by_plan.values()):
        print(f"to install the others: {INSTALL}, then --peers peers/bin/python")
    return all(row.explained for row in rows) and all(notes for _, _, notes in sound)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the real layers")
    parser.add_argument("--peers", default=sys.executable, help="Python that has the others")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(peers(given.data)))
        return
    sys.exit(0 if report(given.data, given.peers) else 1)


if __name__ == "__main__":
    main()
