"""Checks of what zones hold and are called: units, households, band, exceptions and codes.

One function a check (or a pair that is measured together), each yielding
:class:`~gridpart.coverage.catalogue.Finding` objects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from gridpart.coverage.catalogue import CATALOGUE, Finding
from gridpart.coverage.people import MAJORITY, touching_units
from gridpart.coverage.scene import Scene, as_text, column_of

__all__ = ["Band", "check_codes", "check_exceptions", "check_rules", "check_units"]


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
    yield from _unit_without_geometry(scene)
    yield from _unit_uncovered(scene)
    yield from _unit_twice(scene)
    yield from _unit_split(scene)
    if scene.assigned is not None:
        yield from _unit_unknown_zone(scene)
        yield from _unit_elsewhere(scene)


def _shaped(scene: Scene) -> NDArray[np.bool_]:
    return ~shapely.is_empty(scene.unit_shapes)


def _unit_without_geometry(scene: Scene) -> Iterator[Finding]:
    rows = np.flatnonzero(~_shaped(scene))
    if len(rows):
        yield Finding(
            "unit_without_geometry",
            f"{len(rows)} units have no shape, so the audit cannot tell where they lie",
            _unit_names(scene, rows),
            households=scene.households_at(rows),
            n=len(rows),
        )


def _unit_names(scene: Scene, rows: NDArray[np.int64]) -> tuple[str, ...]:
    return tuple(scene.unit_ids[row] for row in rows)


BLIND_SHARE = 0.1  # of a unit; from here on, ground that no zone covers is an error


def _unit_uncovered(scene: Scene) -> Iterator[Finding]:
    """Units that lie mostly outside all zones, and those of which a part does."""
    located = scene.located
    shapes = scene.unit_shapes
    outside = 1 - located.covered
    rows = np.flatnonzero(_shaped(scene) & (outside > 1e-12))
    partly = CATALOGUE["unit_partly_uncovered"].tolerance
    for row in rows:
        bare = located.main[row] < 0
        ground = shapes[row]
        if located.covered[row] > 0:
            zones, _ = located.zones_of(int(row))
            ground = shapely.difference(ground, shapely.union_all(scene.cover.polygons[zones]))
        if not bare and (outside[row] < partly or shapely.area(ground) < scene.min_area):
            continue
        yield Finding(
            "unit_uncovered" if bare else "unit_partly_uncovered",
            f"unit {scene.unit_ids[row]}: {outside[row]:.1%} of it lies in no zone",
            (scene.unit_ids[row],),
            ground,
            scene.households_at(np.array([row])) if bare else None,
            # a blind spot, but where only the edge of a unit is bare, as along a generalised line
            severity="error" if outside[row] >= BLIND_SHARE else None,
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
    least = CATALOGUE["unit_split"].tolerance
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
        )
    if slivers:
        rows = np.array([row for row, _ in slivers])
        yield Finding(
            "unit_split",
            f"{len(rows)} units are cut by less than {least:.0%} or {scene.min_area:g} m²",
            _unit_names(scene, rows),
            shapely.union_all([ground for _, ground in slivers]),
            n=len(rows),
            severity="warning",
        )


def _unit_unknown_zone(scene: Scene) -> Iterator[Finding]:
    assert scene.assigned is not None
    names = np.array(scene.assigned, dtype=object)
    unknown = scene.home < 0
    for name in pd.unique(names[unknown]):
        rows = np.flatnonzero(unknown & (names == name))
        said = f"zone {name}, which does not exist" if name else "no zone"
        yield Finding(
            "unit_unknown_zone",
            f"{len(rows)} units are assigned to {said}",
            _unit_names(scene, rows),
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
    for row in np.flatnonzero(own != counted):
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


# --------------------------------------------------------------------------- exceptions

Verdict = tuple[bool | None, str]
BAND_CHECKS = ("below_band", "above_band")


def check_exceptions(
    scene: Scene, findings: list[Finding], exceptions: pd.DataFrame, band: Band, within: str | None
) -> Iterator[Finding]:
    """Weigh recorded exceptions against the zones: milder findings, and records without ground.

    A record that the zones bear out turns its finding into a note; one that cannot be verified
    from what was given turns it into a warning; a false one leaves the error and is told there.

    Parameters
    ----------
    findings : list of Finding
        Findings so far; severity and message of those concerned are changed in place.
    exceptions : DataFrame
        Columns ``grid``, ``reason`` and ``households``.
    """
    judge = _Judge(scene, band, _communities(scene, within), exceptions)
    used: set[int] = set()
    for finding in findings:
        if finding.check not in (*BAND_CHECKS, "multipart") or not finding.rows:
            continue
        for record in judge.records_of(finding):
            used.add(record)
            verdict, why = judge.weigh(finding, record)
            finding.message += f"; recorded as {judge.reasons[record]}: {why}"
            if verdict is not False:
                finding.severity = "note" if verdict else "warning"
                finding.advice = "nothing to do" if verdict else "verify the recorded exception"
    yield from judge.unfounded(used)


def _communities(scene: Scene, within: str | None) -> NDArray[np.int64]:
    """Number of each zone's community; all the same without a column."""
    if within is None:
        return np.zeros(len(scene.zones), dtype=np.int64)
    column = column_of(scene.zones.frame, within, "zones")
    return pd.factorize(np.array([as_text(value) for value in column], dtype=object))[0].astype(
        np.int64
    )


class _Judge:
    """Holds recorded exceptions against the zones and units."""

    def __init__(
        self, scene: Scene, band: Band, community: NDArray[np.int64], exceptions: pd.DataFrame
    ) -> None:
        self.scene = scene
        self.band = band
        self.community = community
        self.grids, self.reasons = (
            [as_text(value) for value in column_of(exceptions, name, "exceptions")]
            for name in ("grid", "reason")
        )
        self.households = pd.to_numeric(
            column_of(exceptions, "households", "exceptions"), errors="coerce"
        ).to_numpy(dtype="float64")
        self.verifiers: dict[str, Callable[[int], Verdict]] = {
            "unit_above_band": self._unit_above_band,
            "component_below_band": self._component_below_band,
            "no_count_fits": self._no_count_fits,
            "pocket": self._pocket,
            "exclusive": self._exclusive,
            "proven_by_search": lambda _: (None, "an audit cannot repeat the proof"),
            "not_found": lambda _: (None, "no plan inside the band was found; nothing is proven"),
            "enclave_attached": self._enclave_attached,
        }
        self.checks = {
            "unit_above_band": ("above_band",),
            "component_below_band": ("below_band",),
            "enclave_attached": ("multipart",),
        }

    def records_of(self, finding: Finding) -> list[int]:
        """Positions of the records that speak of a finding."""
        name = self.scene.zones.ids[finding.rows[0]]
        return [
            k
            for k, grid in enumerate(self.grids)
            if grid == name
            and (finding.check == "multipart") == (self.reasons[k] == "enclave_attached")
        ]

    def weigh(self, finding: Finding, record: int) -> Verdict:
        """Whether a record excuses a finding (None: cannot be told), and why."""
        row, reason = finding.rows[0], self.reasons[record]
        if reason not in self.verifiers:
            return False, "this reason is not known"
        if finding.check not in self.checks.get(reason, BAND_CHECKS):
            return False, f"this reason does not explain {finding.check}"
        counted = self.scene.counted
        if counted is not None and self.households[record] != counted[row]:
            said = self.households[record]
            said_text = "no number" if np.isnan(said) else f"{said:.0f}"
            return False, f"the record says {said_text} of households, counted were {counted[row]}"
        return self.verifiers[reason](row)

    def unfounded(self, used: set[int]) -> Iterator[Finding]:
        """Records about zones that do not exist, or show no such defect."""
        known = {name: row for row, name in enumerate(self.scene.zones.ids)}
        judged = self.band != Band() and self.scene.counted is not None
        for record, grid in enumerate(self.grids):
            if record in used:
                continue
            if grid not in known:
                message, shape = "there is no such zone", None
            elif judged or self.reasons[record] == "enclave_attached":
                message, shape = "the zone shows no such defect", self._shape(known[grid])
            else:
                continue
            text = f"exception {self.reasons[record]} recorded for zone {grid}: {message}"
            yield Finding("exception_unfounded", text, (grid,), shape)

    def _shape(self, row: int) -> Any:
        return self.scene.zones.polygons[row]

    def _unit_above_band(self, row: int) -> Verdict:
        households = self.scene.unit_households
        high = self.band.high
        assert high is not None
        if households is None:
            frame = self.scene.zones.frame
            if "n_units" in frame.columns:
                one = frame["n_units"].iloc[row] == 1
                return bool(one), "one unit above the band" if one else "it has several units"
            return None, "units were not given to verify it"
        inside = households[self.scene.home == row]
        one = (inside > 0).sum() == 1 and inside.max() > high
        return bool(one), "one unit above the band" if one else "it is not one unit above the band"

    def _component_below_band(self, row: int) -> Verdict:
        """Nothing of the same community that a grid could share may border on the zone."""
        neighbours, _ = self._around(row)
        if neighbours:
            return False, f"{neighbours[0]} of the same community borders on it"
        return True, "nothing else of its community borders on it"

    def _pocket(self, row: int) -> Verdict:
        """One unit alone may border on the zone, and it may not be able to take it in."""
        counted, high = self.scene.counted, self.band.high
        neighbours, households = self._around(row)
        if counted is None or high is None or households is None or len(neighbours) != 1:
            return None, "an audit cannot repeat the proof"
        together = int(counted[row] + households[0])
        if together <= high:
            return False, f"with {neighbours[0]} it would have {together} households"
        return True, f"only {neighbours[0]} borders on it; together they have {together} households"

    def _exclusive(self, row: int) -> Verdict:
        """The band does not apply to a zone that its own layer calls exclusive."""
        frame = self.scene.zones.frame
        if "kind" not in frame.columns:
            return None, "the zones have no column kind to verify it"
        if frame["kind"].iloc[row] != "exclusive":
            return False, "the zone is not marked exclusive"
        return True, "an exclusive grid; the band does not apply"

    def _around(self, row: int) -> tuple[tuple[str, ...], NDArray[np.int64] | None]:
        """What of the same community borders on a zone: units if there are any, else zones.

        Zones that stand apart by decree (exclusive, one unit above the band) do not count. With
        the names come the households, where they are known.
        """
        scene = self.scene
        apart = [zone for zone, name in enumerate(scene.zones.ids) if name in self._apart()]
        if not len(scene.unit_ids):
            rows = self._zones_around(row)
            rows = rows[~np.isin(rows, apart)]
            counted = scene.counted
            return scene.zones.named(rows), None if counted is None else counted[rows]
        home = scene.home
        same = (home < 0) | (self.community[home] == self.community[row])
        rows = np.flatnonzero(same & (home != row) & ~np.isin(home, apart) & _shaped(scene))
        around = touching_units(self._shape(row), scene.unit_shapes[rows], scene.tolerance)
        held = scene.unit_households
        return _unit_names(scene, rows[around]), None if held is None else held[rows[around]]

    def _apart(self) -> set[str]:
        by_decree = ("unit_above_band", "exclusive")
        pairs = zip(self.grids, self.reasons, strict=True)
        return {grid for grid, reason in pairs if reason in by_decree}

    def _zones_around(self, row: int) -> NDArray[np.int64]:
        rows = np.flatnonzero(self.community == self.community[row])
        rows = rows[rows != row]
        shapes = self.scene.zones.polygons[rows]
        return rows[touching_units(self._shape(row), shapes, self.scene.tolerance)]

    def _no_count_fits(self, row: int) -> Verdict:
        """Total of the connected zones of the community, but for oversize units, fits no count."""
        counted = self.scene.counted
        if counted is None:
            return None, "households were not given to verify it"
        apart = self._apart()
        seen, queue = {row}, [row]
        while queue:
            for other in self._zones_around(queue.pop()):
                if int(other) not in seen and self.scene.zones.ids[other] not in apart:
                    seen.add(int(other))
                    queue.append(int(other))
        total = int(counted[sorted(seen)].sum())
        if self.band.fits_a_count(total):
            return None, f"{total} connected households would fit the band {self.band}"
        return True, f"{total} connected households fit no number of zones of {self.band}"

    def _enclave_attached(self, row: int) -> Verdict:
        """The smaller parts may hold no household."""
        households = self.scene.unit_households
        if households is None:
            return None, "units were not given to verify it"
        parts = shapely.get_parts(self._shape(row))
        small = shapely.union_all(np.delete(parts, shapely.area(parts).argmax()))
        spots = shapely.point_on_surface(self.scene.unit_shapes)
        inside = households[shapely.contains(small, spots)].sum()
        if inside:
            return False, f"the smaller parts hold {inside} households"
        return True, "the smaller parts hold no household"


# --------------------------------------------------------------------------- codes


def check_codes(scene: Scene, code: str, parent: str | None) -> Iterator[Finding]:
    """Run every check of grid codes."""
    column = column_of(scene.zones.frame, code, "zones")
    codes = [as_text(value) for value in column]
    yield from _code_missing(scene, codes)
    yield from _code_duplicate(scene, codes)
    yield from _code_malformed(scene, codes, list(column))
    if parent is not None:
        yield from _code_wrong_parent(scene, codes, _parents(scene, parent))


def _code_missing(scene: Scene, codes: list[str]) -> Iterator[Finding]:
    for row, code in enumerate(codes):
        if not code:
            name = scene.zones.ids[row]
            shape = scene.zones.polygons[row]
            yield Finding("code_missing", f"zone {name} has no code", (name,), shape)


def _code_duplicate(scene: Scene, codes: list[str]) -> Iterator[Finding]:
    named = pd.Series(codes)
    named = named[named != ""]
    for code, rows in named[named.duplicated(keep=False)].groupby(named).groups.items():
        names = scene.zones.named(list(rows))
        shape = shapely.union_all(scene.zones.polygons[list(rows)])
        message = f"code {code} is carried by {len(rows)} zones: {', '.join(names)}"
        yield Finding("code_duplicate", message, names, shape, n=len(rows) - 1)


def _code_malformed(scene: Scene, codes: list[str], values: list[Any]) -> Iterator[Finding]:
    from gridpart.codes import check_code

    for row, (code, value) in enumerate(zip(codes, values, strict=True)):
        if not code:
            continue
        text = isinstance(value, str)
        reason = check_code(code) if text else "is a number, not text: leading zeros would be lost"
        if reason is not None:
            name = scene.zones.ids[row]
            shape = scene.zones.polygons[row]
            yield Finding("code_malformed", f"zone {name}: code {code} {reason}", (name,), shape)


def _parents(scene: Scene, parent: str) -> list[str]:
    """Parent code of each zone: of a column, or one for all."""
    frame = scene.zones.frame
    if parent in frame.columns:
        return [as_text(value) for value in frame[parent]]
    return [str(parent)] * len(frame)


def _code_wrong_parent(scene: Scene, codes: list[str], parents: list[str]) -> Iterator[Finding]:
    for row, (code, parent) in enumerate(zip(codes, parents, strict=True)):
        if code and parent and not code.startswith(parent):
            name = scene.zones.ids[row]
            message = f"zone {name}: code {code} does not begin with its parent {parent}"
            yield Finding("code_wrong_parent", message, (name,), scene.zones.polygons[row])
