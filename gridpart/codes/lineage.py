"""Where a code's area went and came from, and which codes covered a place over time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import shapely
import sqlalchemy as sa

from gridpart.codes.changes import load_codes
from gridpart.codes.grounds import Ground, crs_text
from gridpart.codes.history import row_of
from gridpart.codes.moments import as_utc
from gridpart.codes.overlaps import in_crs
from gridpart.codes.store import CODES, EVENTS, GROUNDS, LINKS, Store, chunks
from gridpart.errors import CRSError, InputError

__all__ = ["at", "lineage"]

COLUMNS = (
    "direction", "generation", "code", "via", "at", "state", "reason", "households", "area_m2",
    "share",
)  # fmt: skip
AT_COLUMNS = ("code", "since", "until", "state", "kind", "households", "area_m2", "share")
EVER = 2**31 - 1  # later than any change


@dataclass(frozen=True)
class Step:
    """Ground that went from one code to another in a change."""

    generation: int
    code: str
    via: str
    event: int


def lineage(store: Store, code: str) -> pd.DataFrame:
    """Where a code's area went and came from; see :meth:`Register.lineage`."""
    row_of(store, code)
    with store.reading() as connection:
        before = _walk(connection, code, back=True)
        after = _walk(connection, code, back=False)
        codes = sorted({code, *(step.code for step in [*before, *after])})
        rows = load_codes(connection, codes)
        grounds = _load_grounds(connection, codes)
        events = _events(connection, {step.event for step in [*before, *after]})
    own = grounds.get(code, [])
    table = []
    # all that it ever got, and all that it had before it first gave any away
    got = _around(
        own, max((step.event for step in before if step.via == code), default=0), after=True
    )
    had = _around(
        own, min((step.event for step in after if step.via == code), default=0), after=False
    )
    for direction, steps, mine in (("from", before, got), ("to", after, had)):
        for step in steps:
            theirs = _around(grounds.get(step.code, []), step.event, after=direction == "to")
            when = _when(step, rows, events[step.event], back=direction == "from")
            table.append(_row(direction, step, rows[step.code], theirs, mine, when))
    itself = Step(0, code, "", 0)
    first = own[0] if own else None
    when = (rows[code].issued, rows[code].issue_reason)
    table.append(_row("self", itself, rows[code], first, None, when))
    table.sort(key=lambda row: (row[1], row[4], row[2], row[3]))
    frame = pd.DataFrame(table, columns=list(COLUMNS))
    return frame.astype({"households": "Int64", "area_m2": float, "share": float})


def _walk(connection: sa.Connection, code: str, *, back: bool) -> list[Step]:
    """Follow links in the order of time.

    Ground that came to a code in one change can only have left it in a later one, so a link counts
    only if its change is later than that by which the code was reached; backwards, earlier.
    """
    own, other = (
        (LINKS.c.successor, LINKS.c.predecessor)
        if back
        else (LINKS.c.predecessor, LINKS.c.successor)
    )
    reached = {code: EVER if back else -1}
    steps: dict[tuple[str, str, int], Step] = {}
    frontier, generation = {code}, 0
    while frontier:
        generation += 1
        found: set[str] = set()
        for some in chunks(sorted(frontier)):
            query = sa.select(own.label("near"), other.label("far"), LINKS.c.event).where(
                own.in_(some)
            )
            for near, far, event in connection.execute(query):
                limit = reached[near]
                key = (near, far, event)
                if not (event < limit if back else event > limit) or key in steps:
                    continue
                signed = -generation if back else generation
                steps[key] = Step(signed, far, near, event)
                known = reached.get(far)
                if known is None or (event > known if back else event < known):
                    reached[far] = event
                    found.add(far)
        frontier = found
    return list(steps.values())


def _load_grounds(connection: sa.Connection, codes: list[str]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for some in chunks(codes):
        query = sa.select(GROUNDS).where(GROUNDS.c.code.in_(some)).order_by(GROUNDS.c.since_event)
        for row in connection.execute(query):
            found.setdefault(row.code, []).append(row)
    return found


def _events(connection: sa.Connection, events: set[int]) -> dict[int, Any]:
    found: dict[int, Any] = {}
    for some in chunks(sorted(events)):
        query = sa.select(EVENTS).where(EVENTS.c.id.in_(some))
        found |= {row.id: row for row in connection.execute(query)}
    return found


def _when(step: Step, rows: dict[str, Any], event: Any, *, back: bool) -> tuple[str, str]:
    """When ground changed hands, and why."""
    if event.kind != "adopt":
        return event.at, event.reason
    # adopted later than it happened: the codes' own dates say when
    old, new = (step.code, step.via) if back else (step.via, step.code)
    if rows[new].issue_event == event.id:
        return rows[new].issued, rows[new].issue_reason
    if rows[old].retire_event == event.id:
        return rows[old].retired, rows[old].retire_reason
    return event.at, event.reason


def _around(grounds: list[Any], event: int, *, after: bool) -> Any:
    """What a code stood for right after a change, or right before it."""
    for row in grounds:
        until = EVER if row.until_event is None else row.until_event
        if (row.since_event <= event < until) if after else (row.since_event < event <= until):
            return row
    return None


def _row(
    direction: str, step: Step, facts: Any, theirs: Any, mine: Any, when: tuple[str, str]
) -> tuple[Any, ...]:
    share = 1.0 if direction == "self" else _share(mine, theirs)
    moment, reason = when
    return (
        direction, step.generation, step.code, step.via or None, moment, facts.state,
        reason, None if theirs is None else theirs.households,
        None if theirs is None else theirs.area_m2, share,
    )  # fmt: skip


def _share(mine: Any, theirs: Any) -> float:
    """Part of one ground that lies in another; NaN if either is not known."""
    if mine is None or theirs is None or mine.wkb is None or theirs.wkb is None:
        return float("nan")
    shape = Ground.from_row(mine).shape
    other = _moved(Ground.from_row(theirs).shape, theirs.crs, mine.crs)
    return float(shapely.area(shapely.intersection(shape, other)) / shapely.area(shape))


def _moved(shape: Any, source: str, target: str) -> Any:
    """Shape in another CRS."""
    return in_crs(np.array([shape], dtype=object), source, target)[0]


# --------------------------------------------------------------------------- places


def at(store: Store, place: Any, crs: Any, when: Any) -> pd.DataFrame:
    """Which codes covered a place; see :meth:`Register.at`."""
    shape, own = _place(place)
    moment = None if when is None else as_utc(when)
    with store.reading() as connection:
        used = connection.execute(
            sa.select(GROUNDS.c.crs).where(GROUNDS.c.crs.is_not(None)).distinct()
        )
        source, systems = _source(crs_text(crs) or own, sorted(used.scalars()))
        found = []
        for system in systems:
            found += _covering(connection, _moved(shape, source, system), system, moment)
    found.sort(key=lambda row: (row[1], row[0]))
    frame = pd.DataFrame(found, columns=list(AT_COLUMNS))
    return frame.astype({"households": "Int64", "area_m2": float, "share": float})


def _place(place: Any) -> tuple[Any, str | None]:
    """Geometry of a place, and its CRS if it has one."""
    shape, own = place, None
    if isinstance(place, tuple | list) and len(place) == 2:
        shape = shapely.Point(*place)
    elif hasattr(place, "geometry"):
        own = crs_text(place.geometry.crs)
        shape = shapely.union_all(place.geometry.to_numpy())
    if not isinstance(shape, shapely.Geometry) or shape.is_empty:
        raise InputError(f"a place is a geometry or (x, y), got {place!r}")
    return shape, own


def _source(given: str | None, systems: list[str]) -> tuple[str, list[str]]:
    if given is not None:
        return given, systems
    if len(systems) > 1:
        raise CRSError(
            "say the CRS of the place: the grounds of the register are in " + ", ".join(systems)
        )
    return (systems[0] if systems else ""), systems


def _covering(
    connection: sa.Connection, place: Any, system: str, moment: str | None
) -> list[tuple[Any, ...]]:
    west, south, east, north = place.bounds
    query = (
        sa.select(GROUNDS, CODES.c.state, CODES.c.kind)
        .join(CODES, CODES.c.code == GROUNDS.c.code)
        .where(
            GROUNDS.c.crs == system,
            GROUNDS.c.min_x <= east, GROUNDS.c.max_x >= west,
            GROUNDS.c.min_y <= north, GROUNDS.c.max_y >= south,
        )
    )  # fmt: skip
    if moment is not None:
        query = query.where(
            GROUNDS.c.since <= moment,
            sa.or_(GROUNDS.c.until.is_(None), GROUNDS.c.until > moment),
        )
    rows = list(connection.execute(query).all())
    shapes = np.array([shapely.from_wkb(bytes(row.wkb)) for row in rows], dtype=object)
    hit = shapely.intersects(shapes, place)
    area = shapely.area(place)
    share = np.full(len(rows), np.nan)
    if area > 0:
        share = shapely.area(shapely.intersection(shapes, place)) / area
        hit &= share > 0
    return [
        (row.code, row.since, row.until, row.state, row.kind, row.households, row.area_m2, part)
        for row, part, touched in zip(rows, share, hit, strict=True)
        if touched
    ]
