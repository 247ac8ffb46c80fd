"""Checks of what zones hold: units, households and the band.

One function a check (or a pair that is measured together), each yielding
:class:`~gridpart.coverage.findings.Finding` objects.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from gridpart.coverage.causes import MANY
from gridpart.coverage.findings import Finding
from gridpart.coverage.people import MAJORITY
from gridpart.coverage.scene import Scene
from gridpart.coverage.territory import groups_of

__all__ = ["Band", "check_rules", "check_units", "unit_without_geometry"]


@dataclass(frozen=True)
class Band:
    """Lowest and highest number of households a zone may have; None is no bound."""

    low: int | None = None
    high: int | None = None

    def __str__(self) -> str:
        low = "0" if self.low is None else str(self.low)
        return f"{low}-{'' if self.high is None else self.high}"

    def fits_a_count(self, total: int) -> bool:
        """Whether `total` households can be divided into some number of zones in the band."""
        if self.high is None or self.low is None or self.low == 0:
            return self.low is None or total >= self.low
        return -(-total // self.high) <= total // self.low


# --------------------------------------------------------------------------- units in zones


def check_units(scene: Scene) -> Iterator[Finding]:
    """Run every check of units against zones."""
    yield from unit_without_geometry(scene)
    yield from _unit_uncovered(scene)
    yield from _unit_twice(scene)
    yield from _unit_split(scene)
    if scene.assigned is not None:
        yield from _unit_unknown_zone(scene)
        yield from _unit_elsewhere(scene)


def unit_without_geometry(scene: Scene) -> Iterator[Finding]:
    """Units whose place cannot be told."""
    rows = np.flatnonzero(~scene.shaped)
    if len(rows):
        yield Finding(
            "unit_without_geometry",
            f"{len(rows)} units have no shape, so the audit cannot tell where they lie",
            scene.unit_names(rows),
            households=scene.households_at(rows),
            n=len(rows),
        )


BLIND_SHARE = 0.1  # of a unit; from here on, ground that no zone covers is an error


def _unit_uncovered(scene: Scene) -> Iterator[Finding]:
    """Units that lie mostly outside all zones, and those of which a part does."""
    located = scene.located
    outside = 1 - located.covered
    bare = np.flatnonzero(scene.shaped & (located.main < 0))
    for rows in _hanging_together(scene, bare):
        yield _blind_spot(scene, rows)
    least = scene.limits["unit_partly_uncovered"]
    partly = scene.shaped & (located.main >= 0) & (outside > 1e-12) & (outside >= least)
    mild = []
    for row in np.flatnonzero(partly):
        ground = _uncovered_part(scene, int(row))
        if shapely.area(ground) < scene.min_area:
            continue
        finding = Finding(
            "unit_partly_uncovered",
            f"unit {scene.unit_ids[row]}: {outside[row]:.1%} of it lies in no zone",
            (scene.unit_ids[row],),
            ground,
            # a blind spot, but where only the edge of a unit is bare, as along a generalised line
            severity="error" if outside[row] >= BLIND_SHARE else None,
        )
        if finding.severity is None:
            mild.append(finding)
        else:
            yield finding
    yield from mild if len(mild) < MANY else [_edges(mild)]


def _hanging_together(scene: Scene, rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Groups of units that touch each other or lie in the same gap: they share a cause."""
    shapes = scene.unit_shapes[rows]
    first, second = shapely.STRtree(shapes).query(shapes, "dwithin", scene.tolerance)
    if scene.boundary is not None and len(rows):
        spots = shapely.point_on_surface(shapes)
        spot, gap = shapely.STRtree(scene.gaps).query(spots, "within")
        first = np.concatenate([first, spot])
        second = np.concatenate([second, len(rows) + gap])
        return _members(rows, groups_of(len(rows) + len(scene.gaps), first, second)[: len(rows)])
    return _members(rows, groups_of(len(rows), first, second))


def _members(rows: NDArray[np.int64], label: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Rows of each label, in the order in which the labels first come."""
    order = np.argsort(label, kind="stable")
    groups = np.split(rows[order], np.flatnonzero(np.diff(label[order])) + 1)
    return sorted((group for group in groups if len(group)), key=lambda group: int(group[0]))


def _uncovered_part(scene: Scene, row: int) -> Any:
    ground = scene.unit_shapes[row]
    zones, _ = scene.located.zones_of(row)
    if not len(zones):
        return ground
    return shapely.difference(ground, shapely.union_all(scene.cover.polygons[zones]))


def _blind_spot(scene: Scene, rows: NDArray[np.int64]) -> Finding:
    """Units that hang together and belong to no zone."""
    outside = 1 - scene.located.covered[rows]
    message = (
        f"unit {scene.unit_ids[rows[0]]}: {outside[0]:.1%} of it lies in no zone"
        if len(rows) == 1
        else f"{len(rows)} units that hang together lie in no zone"
    )
    return Finding(
        "unit_uncovered",
        message,
        scene.unit_names(rows),
        shapely.union_all([_uncovered_part(scene, int(row)) for row in rows]),
        scene.households_at(rows),
        n=len(rows),
    )


def _edges(findings: list[Finding]) -> Finding:
    """Many units of which a little lies in no zone: a line that was drawn twice."""
    return Finding(
        "unit_partly_uncovered",
        f"units of which less than {BLIND_SHARE:.0%} lies in no zone: {len(findings)}",
        tuple(name for finding in findings for name in finding.ids),
        shapely.union_all([finding.geometry for finding in findings]),
        n=len(findings),
    )


def _crossing(scene: Scene) -> NDArray[np.int64]:
    """Units that share ground with more than one zone."""
    return np.flatnonzero(np.bincount(scene.located.unit, minlength=len(scene.unit_ids)) > 1)


def _shares_text(scene: Scene, row: int) -> str:
    zones, shares = scene.located.zones_of(row)
    return ", ".join(
        f"{share:.1%} in zone {scene.zones.ids[zone]}"
        for zone, share in zip(zones, shares, strict=True)
    )


def _unit_twice(scene: Scene) -> Iterator[Finding]:
    """Units of which more than half lies in a second zone as well."""
    located = scene.located
    for row in _crossing(scene):
        zones, shares = located.zones_of(row)
        doubled = shares.sum() - located.covered[row]
        if doubled >= MAJORITY:
            yield Finding(
                "unit_twice",
                f"unit {scene.unit_ids[row]}: {_shares_text(scene, row)}",
                (scene.unit_ids[row], *scene.zones.named(zones)),
                scene.unit_shapes[row],
                scene.households_at(np.array([row])),
            )


def _unit_split(scene: Scene) -> Iterator[Finding]:
    """Units that a zone line cuts; cuts of less than 1 % or the smallest area as one row."""
    located = scene.located
    least = scene.limits["unit_split"]
    slivers: list[tuple[int, Any]] = []
    for row in _crossing(scene):
        zones, shares = located.zones_of(row)
        away = located.covered[row] - shares[0]
        if away <= 1e-9:
            continue
        main = scene.cover.polygons[zones[0]]
        others = shapely.union_all(scene.cover.polygons[zones[1:]])
        ground = shapely.difference(shapely.intersection(scene.unit_shapes[row], others), main)
        if away < least or shapely.area(ground) < scene.min_area:
            slivers.append((int(row), ground))
            continue
        name = scene.unit_ids[row]
        yield Finding(
            "unit_split",
            f"unit {name}: {_shares_text(scene, row)}",
            (name, *scene.zones.named(zones)),
            ground,
            scene.households_at(np.array([row])),
            advice=f"draw the line round unit {name}; zone {scene.zones.ids[zones[0]]} holds "
            f"{shares[0]:.0%} of it",
            advice_chinese=f"网格线应绕开单元{name}；其{shares[0]:.0%}在网格"
            f"{scene.zones.ids[zones[0]]}内。",
            weight=float(away) * (scene.households_at(np.array([row])) or 0),
        )
    if slivers:
        rows = np.array([row for row, _ in slivers])
        yield Finding(
            "unit_split",
            f"{len(rows)} units are cut by less than {least:.0%} or {scene.min_area:g} m²",
            scene.unit_names(rows),
            shapely.union_all([ground for _, ground in slivers]),
            n=len(rows),
            severity="warning",
        )


def _unit_unknown_zone(scene: Scene) -> Iterator[Finding]:
    assert scene.assigned is not None
    unknown = np.flatnonzero(scene.home < 0)
    codes = scene.assigned.codes[unknown]
    for code in pd.unique(codes):
        rows = unknown[codes == code]
        name = scene.assigned.names[code]
        said = f"zone {name}, which does not exist" if name else "no zone"
        yield Finding(
            "unit_unknown_zone",
            f"{len(rows)} units are assigned to {said}",
            scene.unit_names(rows),
            shapely.union_all(scene.unit_shapes[rows]),
            scene.households_at(rows),
            n=len(rows),
        )


def _unit_elsewhere(scene: Scene) -> Iterator[Finding]:
    assert scene.assigned is not None
    main = scene.located.main
    for row in np.flatnonzero((scene.home >= 0) & (main >= 0) & (main != scene.home)):
        here = scene.zones.ids[main[row]]
        yield Finding(
            "unit_elsewhere",
            f"unit {scene.unit_ids[row]} is assigned to zone {scene.assigned[row]} "
            f"but lies in zone {here}",
            (scene.unit_ids[row], scene.assigned[row], here),
            scene.unit_shapes[row],
            scene.households_at(np.array([row])),
        )


# --------------------------------------------------------------------------- households, band


def check_rules(scene: Scene, band: Band) -> Iterator[Finding]:
    """Run every check of household numbers."""
    yield from _households_differ(scene)
    yield from _out_of_band(scene, band)


def _households_differ(scene: Scene) -> Iterator[Finding]:
    own, counted = scene.zone_households, scene.counted
    if own is None or counted is None or scene.unit_households is None:
        return
    for row in np.flatnonzero(abs(own - counted) > scene.limits["households_differ"]):
        name = scene.zones.ids[row]
        yield Finding(
            "households_differ",
            f"zone {name} says {own[row]} households, its units add up to {counted[row]}",
            (name,),
            scene.zones.polygons[row],
            abs(int(own[row] - counted[row])),
        )


def _out_of_band(scene: Scene, band: Band) -> Iterator[Finding]:
    counted = scene.counted
    if counted is None:
        return
    kinds = (
        ("below_band", band.low, counted < (-1 if band.low is None else band.low)),
        ("above_band", band.high, counted > (np.inf if band.high is None else band.high)),
    )
    for check, bound, outside in kinds:
        word = "fewer" if check == "below_band" else "more"
        for row in np.flatnonzero(outside):
            name = scene.zones.ids[row]
            yield Finding(
                check,
                f"zone {name} has {counted[row]} households, {word} than {bound}",
                (name,),
                scene.zones.polygons[row],
                int(counted[row]),
                rows=(int(row),),
            )
