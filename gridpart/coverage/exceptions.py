"""Recorded exceptions, held against the zones: which are true, which cannot be told.

A record that the zones bear out excuses its finding; a false one excuses nothing, and may not be
used to excuse another zone either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from gridpart.barriers import Barriers
from gridpart.coverage.findings import Finding
from gridpart.coverage.people import touching_units
from gridpart.coverage.rules import Band
from gridpart.coverage.scene import Scene, column_of
from gridpart.coverage.texts import as_text

__all__ = ["check_exceptions"]

Verdict = tuple[bool | None, str]
ACCEPTED = "nothing to do", "已登记的例外，经核实成立，无需整改。"
UNVERIFIED = "verify the recorded exception", "请核实已登记的例外。"
OF_ANY_BOUND = (
    "unit_above_band", "no_count_fits", "pocket", "proven_by_search", "not_found", "by_hand",
)  # fmt: skip
OF_PARTS = ("enclave_attached", "by_hand")
BAND_CHECKS = ("below_band", "above_band")


def check_exceptions(
    scene: Scene,
    findings: list[Finding],
    exceptions: pd.DataFrame,
    band: Band,
    barriers: Barriers | None = None,
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
    barriers : Barriers, optional
        What lies across them borders on nothing.
    """
    judge = _Judge(scene, band, exceptions, barriers)
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
                finding.advice, finding.advice_chinese = ACCEPTED if verdict else UNVERIFIED
    yield from judge.unfounded(used)


class _Judge:
    """Holds recorded exceptions against the zones and units."""

    def __init__(
        self, scene: Scene, band: Band, exceptions: pd.DataFrame, barriers: Barriers | None
    ) -> None:
        self.barriers = barriers
        self.scene = scene
        self.band = band
        self._around_zone: dict[int, NDArray[np.int64]] = {}
        self.grids, self.reasons = (
            [as_text(value) for value in column_of(exceptions, name, "exceptions")]
            for name in ("grid", "reason")
        )
        self.by_grid: dict[str, list[int]] = {}
        for record, grid in enumerate(self.grids):
            self.by_grid.setdefault(grid, []).append(record)
        self.households = pd.to_numeric(
            column_of(exceptions, "households", "exceptions"), errors="coerce"
        ).to_numpy(dtype="float64")
        missed = exceptions["missed"] if "missed" in exceptions.columns else pd.Series(dtype=float)
        self.misses = pd.to_numeric(missed.reindex(exceptions.index), errors="coerce").to_numpy()
        self.verifiers: dict[str, Callable[[int], Verdict]] = {
            "unit_above_band": self._unit_above_band,
            "component_below_band": self._component_below_band,
            "no_count_fits": self._no_count_fits,
            "pocket": self._pocket,
            "exclusive": self._exclusive,
            "locked": lambda _: (None, "an audit cannot tell whether a grid was locked"),
            "failed": lambda _: (None, "its community could not be solved; nothing is proven"),
            "proven_by_search": lambda _: (None, "an audit cannot repeat the proof"),
            "not_found": lambda _: (None, "no plan inside the band was found; nothing is proven"),
            "enclave_attached": self._enclave_attached,
            "by_hand": lambda _: (None, "accepted by hand, not verified"),
        }
        self.checks = {
            "unit_above_band": ("above_band",),
            "component_below_band": ("below_band",),
            "enclave_attached": ("multipart",),
            "by_hand": (*BAND_CHECKS, "multipart"),
        }

    def records_of(self, finding: Finding) -> list[int]:
        """Positions of the records that speak of a finding."""
        name = self.scene.zones.ids[finding.rows[0]]
        return [
            k
            for k in self.by_grid.get(name, ())
            if self.reasons[k] in OF_PARTS or finding.check != "multipart"
            if self.reasons[k] != "enclave_attached" or finding.check == "multipart"
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
            elif self._is_of_another_bound(record):
                continue
            elif judged or self.reasons[record] == "enclave_attached":
                message, shape = "the zone shows no such defect", self._shape(known[grid])
            else:
                continue
            text = f"exception {self.reasons[record]} recorded for zone {grid}: {message}"
            yield Finding("exception_unfounded", text, (grid,), shape)

    def _is_of_another_bound(self, record: int) -> bool:
        """Whether a record says that households are in the band, but another quantity is not."""
        return self.misses[record] == 0 and self.reasons[record] in OF_ANY_BOUND

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
        inside = households[self.scene.units_at(row)]
        one = (inside > 0).sum() == 1 and inside.max() > high
        return bool(one), "one unit above the band" if one else "it is not one unit above the band"

    def _component_below_band(self, row: int) -> Verdict:
        """Nothing of the same community that a grid could share may border on the zone."""
        neighbours, _ = self._around(row)
        if neighbours:
            return False, f"{neighbours[0]} of the same community borders on it"
        doubtful, _ = self._around(row, sure=True)
        if doubtful:
            return None, f"{doubtful[0]} borders on it; whether that stands apart cannot be told"
        return True, "nothing else of its community borders on it"

    def _pocket(self, row: int) -> Verdict:
        """One unit alone may border on the zone, and it may not be able to take it in."""
        counted, high = self.scene.counted, self.band.high
        neighbours, households = self._around(row)
        if counted is None or high is None or households is None or len(neighbours) != 1:
            return None, "an audit cannot repeat the proof"
        together = int(counted[row] + households[0])
        if together <= high:
            said = f"with {neighbours[0]} it would have {together} households"
            rest = self._connected(row) - together
            if together >= (self.band.low or 0) and (rest == 0 or self.band.fits_a_count(rest)):
                return False, said
            return None, f"{said}, which may leave others outside the band"
        return True, f"only {neighbours[0]} borders on it; together they have {together} households"

    def _exclusive(self, row: int) -> Verdict:
        """The band does not apply to a zone that its own layer calls exclusive."""
        frame = self.scene.zones.frame
        if "kind" not in frame.columns:
            return None, "the zones have no column kind to verify it"
        if frame["kind"].iloc[row] != "exclusive":
            return False, "the zone is not marked exclusive"
        return True, "an exclusive grid; the band does not apply"

    def _around(
        self, row: int, *, sure: bool = False
    ) -> tuple[tuple[str, ...], NDArray[np.int64] | None]:
        """What of the same community borders on a zone: units if there are any, else zones.

        Zones that stand apart do not count; with `sure`, only those that certainly do are left
        out. With the names come the households, where they are known.
        """
        scene = self.scene
        apart = [zone for zone, certain in self._apart.items() if certain or not sure]
        if not len(scene.unit_ids):
            rows = self._zones_around(row)
            rows = rows[~np.isin(rows, apart)]
            counted = scene.counted
            return scene.zones.named(rows), None if counted is None else counted[rows]
        rows = touching_units(self._shape(row), scene.unit_shapes, scene.unit_tree, scene.tolerance)
        rows = self._open(row, rows, scene.unit_shapes)
        home = scene.home[rows]
        rows = rows[self._same_community(rows, row) & (home != row) & ~np.isin(home, apart)]
        held = scene.unit_households
        return scene.unit_names(rows), None if held is None else held[rows]

    def _same_community(self, units: NDArray[np.int64], row: int) -> NDArray[np.bool_]:
        """Whether units are of a zone's community: by their own, else by that of their zone."""
        scene = self.scene
        if scene.unit_communities is not None:
            return scene.unit_communities.codes[units] == scene.unit_communities.code(
                self.community[row]
            )
        home = scene.home[units]
        return (self.community[home] == self.community[row]) | (home < 0)

    @cached_property
    def community(self) -> NDArray[np.object_]:
        """Community of each zone."""
        return np.array(self.scene.communities, dtype=object)

    @cached_property
    def _apart(self) -> dict[int, bool]:
        """Zones that are no partner for another, by row, and whether that is certain.

        They are marked exclusive by their own layer, or recorded as exclusive or as one unit
        above the band; but a record that the zones refute takes nobody out.
        """
        zones, counted, high = self.scene.zones, self.scene.counted, self.band.high
        apart = {}
        if "kind" in zones.frame.columns:
            apart = dict.fromkeys(np.flatnonzero(zones.frame["kind"] == "exclusive").tolist(), True)
        known = {name: row for row, name in enumerate(zones.ids)}
        for grid, reason in zip(self.grids, self.reasons, strict=True):
            row = known.get(grid)
            if row is None or reason not in ("unit_above_band", "exclusive"):
                continue
            above = counted is not None and high is not None and counted[row] > high
            if reason == "exclusive" or above:
                verdict, _ = self.verifiers[reason](row)
                if verdict is not False:
                    apart[row] = apart.get(row, False) or bool(verdict)
        return apart

    def _open(self, row: int, others: NDArray[np.int64], shapes: Any) -> NDArray[np.int64]:
        """Those of the neighbours that no barrier keeps apart from a zone."""
        if self.barriers is None:
            return others
        return others[~self.barriers.between(self._shape(row), shapes[others])]

    def _zones_around(self, row: int) -> NDArray[np.int64]:
        if row not in self._around_zone:
            cover = self.scene.cover
            rows = touching_units(
                self._shape(row), cover.polygons, cover.tree, self.scene.tolerance
            )
            rows = self._open(row, rows, cover.polygons)
            rows = rows[(self.community[rows] == self.community[row]) & (rows != row)]
            self._around_zone[row] = rows
        return self._around_zone[row]

    def _no_count_fits(self, row: int) -> Verdict:
        """Total of the connected zones of the community, but for oversize units, fits no count."""
        counted = self.scene.counted
        if counted is None:
            return None, "households were not given to verify it"
        total = self._connected(row)
        if self.band.fits_a_count(total):
            return None, f"{total} connected households would fit the band {self.band}"
        return True, f"{total} connected households fit no number of zones of {self.band}"

    def _connected(self, row: int) -> int:
        """Households of the zones of the community that are connected with this one."""
        counted, apart = self.scene.counted, self._apart
        assert counted is not None  # the callers have looked
        seen, queue = {row}, [row]
        while queue:
            for other in self._zones_around(queue.pop()):
                if int(other) not in seen and int(other) not in apart:
                    seen.add(int(other))
                    queue.append(int(other))
        return int(counted[sorted(seen)].sum())

    def _enclave_attached(self, row: int) -> Verdict:
        """The smaller parts may hold no household, or too few for a zone of their own."""
        households = self.scene.unit_households
        if households is None:
            return None, "units were not given to verify it"
        parts = shapely.get_parts(self._shape(row))
        near = np.unique(self.scene.unit_tree.query(parts, predicate="intersects")[1])
        spots = shapely.point_on_surface(self.scene.unit_shapes[near])
        part, spot = shapely.STRtree(spots).query(parts, predicate="contains")
        held = np.bincount(part, households[near[spot]], parts.size).astype(np.int64)
        others = np.delete(held, held.argmax())
        if not others.any():
            return True, "the smaller parts hold no household"
        low, most = self.band.low, int(others.max())
        if low is not None and most >= low:
            return False, f"a smaller part holds {most} households, enough for a zone of its own"
        return True, f"the smaller parts hold {most} households at most, too few for a zone"
