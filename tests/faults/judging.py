"""A judge who holds what an audit finds against the faults that were put in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import pandas as pd
import shapely

from faults.cases import TOLERANCE, Case
from gridpart.coverage import audit_counts

__all__ = ["Expected", "Verdict", "judge", "text_of"]


@dataclass(frozen=True)
class Expected:
    """One finding that there has to be.

    Parameters
    ----------
    check : str
    ids : frozenset of str
        What the finding has to name; `may` is what it may name besides.
    place : geometry or None
        Where: the geometry of the finding has to be this, but for `slack` square metres. None
        where the finding has none.
    n : int
        Defects it counts for.
    implied : tuple of Expected
        What else has to be found because of it.
    size : float or None
        How large it is, in `unit`; the smallest are reported.
    near : float or None
        Where given, the geometry has to be within so many metres of the place, no more.
    redrawn : geometry or None
        Ground, beside the places, along which borders were drawn anew. Those may match to within
        the tolerance but not exactly, which is no false alarm if it is told.
    optional : bool
        Whether it may be missing: what is only nearly implied.
    """

    check: str
    ids: frozenset[str] = frozenset()
    place: Any = None
    may: frozenset[str] = frozenset()
    n: int = 1
    implied: tuple[Expected, ...] = ()
    size: float | None = None
    unit: str = "m2"
    near: float | None = None
    severity: str | None = None
    redrawn: Any = None
    optional: bool = False

    @property
    def slack(self) -> float:
        """Square metres by which the place may differ: the tolerance along its outline."""
        return TOLERANCE * float(shapely.length(self.place)) + 1e-6

    def all(self) -> Iterator[Expected]:
        """Itself and what it implies."""
        yield self
        for other in self.implied:
            yield from other.all()


@dataclass(frozen=True)
class Verdict:
    """What became of one fault.

    Parameters
    ----------
    found, right_ids, right_place : bool
        There is a finding of this check that names it or lies there; it names the right zones
        and units; it lies at the right place.
    implied : tuple of Expected
        What it implies and was not found.
    """

    fault: Expected
    found: bool
    right_ids: bool
    right_place: bool
    implied: tuple[Expected, ...] = ()

    @property
    def good(self) -> bool:
        return self.found and self.right_ids and self.right_place and not self.implied


def judge(
    case: Case,
    findings: gpd.GeoDataFrame,
    clean: gpd.GeoDataFrame,
    expected: list[Expected],
    changed: set[int],
) -> tuple[list[Verdict], list[str]]:
    """Hold findings against what was put in.

    Parameters
    ----------
    findings, clean : GeoDataFrame
        The audit of the faulty case, and of the clean one, whose notes are no false alarms.
    changed : set of int
        Zones that may have been changed.

    Returns
    -------
    verdicts, false alarms as text
    """
    known = Counter(zip(clean["check"], clean["ids"], clean["n"], strict=True))
    rows: list[_Row] = []
    for row in findings.itertuples():
        key = (row.check, row.ids, row.n)
        if row.check == "point_contact":
            continue
        if known[key]:
            known[key] -= 1
        else:
            rows.append(_Row(row))
    traces = [trace for fault in expected for trace in fault.all()]
    met = {id(trace): _meet(trace, rows) for trace in traces if trace.check != "point_contact"}
    contacts = [trace for trace in traces if trace.check == "point_contact"]
    unmet, alarms = _contacts(case, findings, clean, traces, contacts, changed)
    met |= {id(trace): trace not in unmet for trace in contacts}
    verdicts = []
    for fault in expected:
        good = met[id(fault)]
        missed = tuple(trace for trace in fault.implied if not (met[id(trace)] or trace.optional))
        if good:
            verdicts.append(Verdict(fault, True, True, True, missed))
        else:
            named = any(row.names(fault) for row in rows)
            there = any(row.lies_at(fault) for row in rows)
            verdicts.append(Verdict(fault, named or there, named, there, missed))
    drawn = [shape for trace in traces for shape in (trace.place, trace.redrawn) if shape]
    rows = [row for row in rows if not _is_of_drawing(row, traces, drawn)]
    alarms += [f"{row.check} {row.text}: {row.n - row.used} too many" for row in rows if row.spare]
    alarms += [f"{row.check} {row.text}: names {odd}" for row in rows if (odd := row.odd_ids())]
    alarms += [
        f"{row.check} {row.text}: {odd} m2 of its own" for row in rows if (odd := row.odd_ground())
    ]
    counts = Counter(audit_counts(findings))
    counts.pop("point_contact", None)
    sums = findings[findings.check != "point_contact"].groupby("check")["n"].sum()
    if counts != Counter(sums.to_dict()):
        alarms.append("audit_counts differs from the sums of n")
    return verdicts, alarms


class _Row:
    """A finding and how many of its defects are explained."""

    def __init__(self, row: Any) -> None:
        self.check, self.n, self.text = row.check, int(row.n), f"{row.message[:150]} [{row.ids}]"
        self.ids = set(row.ids.split(";")) - {""}
        self.shape = row.geometry
        self.severity = row.severity
        self.used = 0
        self.told: set[str] = set()
        self.places: list[Any] = []

    @property
    def spare(self) -> bool:
        return self.used < self.n

    def names(self, trace: Expected) -> bool:
        """Whether it names what has to be named, and if it is of one defect, nothing else."""
        if self.check != trace.check or not trace.ids <= self.ids:
            return False
        return self.n > trace.n or self.ids <= trace.ids | trace.may

    def lies_at(self, trace: Expected) -> bool:
        """Whether its geometry is the place; of a group, the part of it that is near."""
        if self.check != trace.check:
            return False
        if trace.place is None:
            return True
        if self.shape is None:
            return False
        if trace.near is not None:
            return bool(shapely.distance(self.shape, trace.place) <= trace.near)
        if shapely.get_dimensions(trace.place) < 2:
            return bool(shapely.distance(self.shape, trace.place) <= TOLERANCE)
        differ = shapely.difference if self.n > trace.n else shapely.symmetric_difference
        return bool(shapely.area(differ(trace.place, self.shape)) <= trace.slack)

    def odd_ground(self) -> float:
        """Square metres beyond all faults in it, and what they may differ by."""
        if not self.used or not self.places or shapely.get_dimensions(self.shape) < 2:
            return 0.0
        rest = shapely.difference(self.shape, shapely.union_all(self.places))
        slack = TOLERANCE * sum(shapely.length(place) for place in self.places) + 1e-6
        return max(float(shapely.area(rest)) - slack, 0.0)

    def odd_ids(self) -> set[str]:
        """Ids that none of the faults in it explains."""
        return self.ids - self.told if self.used else set()


def _meet(trace: Expected, rows: list[_Row]) -> bool:
    """Find the row that tells of a trace, single ones first, and count it there."""
    for row in sorted(rows, key=lambda row: row.n):
        fits = row.used + trace.n <= row.n and row.names(trace) and row.lies_at(trace)
        if fits and (trace.severity in (None, row.severity) or row.n > trace.n):
            row.used += trace.n
            if trace.place is not None and trace.near is None:
                row.places.append(trace.place)
            row.told |= trace.ids | trace.may
            return True
    return False


def _is_of_drawing(row: _Row, traces: list[Expected], drawn: list[Any]) -> bool:
    """Whether a row tells that borders drawn anew do not match exactly, and no other."""
    if row.check != "misaligned" or row.used or row.shape is None:
        return False
    where = shapely.union_all([shapely.buffer(shape, 0.01) for shape in drawn])
    return bool(shapely.covers(where, row.shape))


def _contacts(
    case: Case,
    findings: gpd.GeoDataFrame,
    clean: gpd.GeoDataFrame,
    traces: list[Expected],
    contacts: list[Expected],
    changed: set[int],
) -> tuple[list[Expected], list[str]]:
    """Contacts at points: new ones only where something was put in, lost ones only near there."""
    before, after = _points(clean), _points(findings)
    places = [trace.place for trace in traces if trace.place is not None]
    new, lost = after - before, before - after
    names = set(";".join(findings.loc[findings.check == "point_contact", "ids"]).split(";"))
    unmet = []
    for trace in contacts:
        key = next((key for key in new if _apart(key, trace.place) <= TOLERANCE), None)
        if key is None or not trace.ids <= names:
            unmet.append(trace)
        else:
            new[key] -= 1
    near = shapely.union_all([case.place.zones.geometry[zone] for zone in changed])
    alarms = [
        f"point_contact at {key}"
        for key, n in new.items()
        if n > 0 and not any(_apart(key, place) < 0.01 for place in places)
    ]
    alarms += [
        f"point_contact at {key} lost" for key, n in lost.items() if n > 0 and _apart(key, near) > 1
    ]
    return unmet, alarms


def _points(findings: gpd.GeoDataFrame) -> Counter[tuple[float, float]]:
    shapes = findings.geometry[findings.check == "point_contact"].to_numpy()
    return Counter((round(x, 3), round(y, 3)) for x, y in shapely.get_coordinates(shapes).tolist())


def _apart(key: tuple[float, float], place: Any) -> float:
    return float(shapely.distance(shapely.Point(key), place))


def text_of(values: pd.Series | Iterable[Any]) -> frozenset[str]:
    """Ids as a set of texts."""
    return frozenset(map(str, values))
