"""Look for what cannot be in a register: a reused code, a gap in the lineage, half a change.

And for what should not be: two live codes of one level that stand for the same ground.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pandas as pd
import sqlalchemy as sa

from gridpart.codes.changes import LIVE, RETIRED
from gridpart.codes.grounds import crs_text
from gridpart.codes.history import shapes_in
from gridpart.codes.overlaps import overlapping
from gridpart.codes.scheme import Scheme
from gridpart.codes.store import CODES, COUNTERS, EVENTS, GROUNDS, LINKS, Store

__all__ = ["verify"]

Fault = tuple[str, str, str]
FOLLOWED = ("split", "merge")  # changes after which a retired code must have a successor


def verify(store: Store, scheme: Scheme) -> pd.DataFrame:
    """Everything that cannot be; see :meth:`Register.verify`."""
    with store.reading() as connection:
        codes = {row.code: row for row in connection.execute(sa.select(CODES))}
        events = {row.id: row for row in connection.execute(sa.select(EVENTS))}
        links = connection.execute(sa.select(LINKS)).all()
        counters = connection.execute(sa.select(COUNTERS).where(COUNTERS.c.series != "")).all()
        grounds = connection.execute(sa.select(*_GROUND_FACTS)).all()
        drawn = connection.execute(_LIVE_GROUNDS).all()
    faults = [
        *_forms(codes, scheme),
        *_dates(codes, events),
        *_serials(codes, counters, scheme, events),
        *_spans(codes, grounds),
        *_handovers(codes, links, events),
        *_orphans(codes, scheme),
        *_halves(codes, events, links, grounds),
        *_overlaps(drawn),
    ]
    return pd.DataFrame(sorted(faults), columns=["check", "code", "message"])


_GROUND_FACTS = (
    GROUNDS.c.code, GROUNDS.c.since_event, GROUNDS.c.until_event, GROUNDS.c.since, GROUNDS.c.until,
)  # fmt: skip
_LIVE_GROUNDS = (
    sa.select(GROUNDS.c.code, GROUNDS.c.wkb, GROUNDS.c.crs, CODES.c.level)
    .join(CODES, CODES.c.code == GROUNDS.c.code)
    .where(CODES.c.state == LIVE, GROUNDS.c.until_event.is_(None), GROUNDS.c.wkb.is_not(None))
    .order_by(GROUNDS.c.code)
)


def _overlaps(rows: Any) -> Iterator[Fault]:
    """Live codes of one level that stand for the same ground, more than borders can be off."""
    if not rows:
        return
    shapes = shapes_in(rows, None)
    crs = crs_text(shapes.crs)
    assert crs is not None
    codes, levels = [row.code for row in rows], [row.level for row in rows]
    for pair in overlapping(codes, levels, shapes.to_numpy(), crs):
        told = f"and {pair.other} are both live and overlap: {pair.told(crs)}"
        yield "overlap", pair.code, told


def _forms(codes: dict[str, Any], scheme: Scheme) -> Iterator[Fault]:
    for code, row in codes.items():
        reason = scheme.check(code, level=row.level, parent=row.parent)
        if reason is not None:
            yield "form", code, reason
        elif row.serial != scheme.serial_of(code):
            yield "form", code, f"is entered with the serial {row.serial}"


def _dates(codes: dict[str, Any], events: dict[int, Any]) -> Iterator[Fault]:
    for code, row in codes.items():
        if row.issue_event not in events:
            yield "event", code, "was issued by no change"
        if row.state == LIVE and (row.retired or row.retire_event):
            yield "state", code, f"is live, and retired on {row.retired}"
        if row.state == RETIRED:
            if row.retire_event not in events:
                yield "event", code, "was retired by no change"
            if row.retired is None or row.retired < row.issued:
                yield "state", code, f"was retired on {row.retired}, issued on {row.issued}"


def _serials(
    codes: dict[str, Any], counters: Any, scheme: Scheme, events: dict[int, Any]
) -> Iterator[Fault]:
    """Every serial is at or below its counter, and those not adopted ascend with the changes."""
    last = {(row.parent, row.series): row.last for row in counters}
    issued: dict[tuple[str, str], list[tuple[int, int, str]]] = {}
    for code, row in codes.items():
        series = None if row.serial is None else scheme.level(row.level).series_with(row.serial)
        if series is None:
            continue
        if last.get((row.parent, series), 0) < row.serial:
            told = last.get((row.parent, series))
            yield "counter", code, f"is above the last serial that its parent's counter has: {told}"
        change = events.get(row.issue_event)
        if change is not None and change.kind != "adopt":
            issued.setdefault((row.parent, series), []).append((row.serial, change.id, code))
    for rows in issued.values():
        rows.sort()
        for (_, before, _), (_, event, code) in pairwise(rows):
            if event < before:
                yield "order", code, "has a higher serial than a code that was issued later"


def _spans(codes: dict[str, Any], grounds: Any) -> Iterator[Fault]:
    """The grounds of a code follow each other without a gap, from its issue to its end."""
    own: dict[str, list[Any]] = {}
    for row in grounds:
        own.setdefault(row.code, []).append(row)
    for code, row in codes.items():
        rows = sorted(own.get(code, []), key=lambda ground: ground.since_event)
        ends = [ground.until_event for ground in rows]
        starts = [ground.since_event for ground in rows]
        if starts[:1] != [row.issue_event] or ends[-1:] != [row.retire_event]:
            yield "ground", code, "has no ground from its issue to its end"
        elif starts[1:] != ends[:-1]:
            yield "ground", code, "has a gap between its grounds"


def _orphans(codes: dict[str, Any], scheme: Scheme) -> Iterator[Fault]:
    """Live codes under a retired one, or under one that should have been issued and was not."""
    issued = {scheme.width(level.name) for level in scheme.levels if level.serials}
    for code, row in codes.items():
        above = codes.get(row.parent)
        if row.state == LIVE and above is not None and above.state == RETIRED:
            yield "parent", code, f"lives under {row.parent}, which is retired"
        elif row.state == LIVE and above is None and len(row.parent) in issued:
            yield "parent", code, f"lives under {row.parent}, which was never issued"


def _handovers(codes: dict[str, Any], links: Any, events: dict[int, Any]) -> Iterator[Fault]:
    """Both ends of a link are known, and lived when the ground changed hands."""
    followed = set()
    for link in links:
        followed.add(link.predecessor)
        for code in (link.predecessor, link.successor):
            if code not in codes:
                yield "lineage", code, "is linked, but was never issued"
        if link.event not in events:
            yield "lineage", link.predecessor, "was followed in no change"
        elif events[link.event].kind != "adopt" and link.predecessor in codes:
            old = codes[link.predecessor]
            if old.issue_event >= link.event or (old.retire_event or link.event) < link.event:
                yield "lineage", old.code, f"did not live when {link.successor} followed it"
    for code, row in codes.items():
        change = events.get(row.retire_event)
        if change is not None and change.kind in FOLLOWED and code not in followed:
            yield "lineage", code, f"was retired by a {change.kind}, but nothing followed it"


def _halves(
    codes: dict[str, Any], events: dict[int, Any], links: Any, grounds: Any
) -> Iterator[Fault]:
    """Every change wrote as many rows as it says."""
    wrote = {
        "n_issued": Counter(row.issue_event for row in codes.values()),
        "n_retired": Counter(row.retire_event for row in codes.values()),
        "n_grounds": Counter(row.since_event for row in grounds),
        "n_links": Counter(row.event for row in links),
    }
    for number, change in events.items():
        for name, counted in wrote.items():
            said = getattr(change, name)
            if counted[number] != said:
                told = f"change {number} says {said} for {name}, but {counted[number]} are there"
                yield "half", "", told
