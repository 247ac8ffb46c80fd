"""A change of the register: what is issued, retired and kept in one transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from gridpart.codes.grounds import Ground
from gridpart.codes.moments import as_utc
from gridpart.codes.proposals import Change, Issued, KeptGrid, NewGrid, check_change, grounds_of
from gridpart.codes.scheme import Level, Scheme
from gridpart.codes.store import CODES, COUNTERS, EVENTS, GROUNDS, LINKS, Store, chunks
from gridpart.errors import InputError, Problem

__all__ = [
    "Change", "Issued", "KeptGrid", "NewGrid", "check_change", "lock", "write_change",
    "write_grounds",
]  # fmt: skip

LIVE, RETIRED = "live", "retired"
REDRAWN = (
    "the plan is out of date: later changes in the register have drawn its codes otherwise; use "
    "the plan that came of the last one"
)

# --------------------------------------------------------------------------- in the transaction


def root_of(code: str, scheme: Scheme) -> str:
    """Parent of the uppermost level: what a change under it locks."""
    return code[: scheme.parent_width(scheme.levels[0].name)]


def lock(connection: sa.Connection, store: Store, roots: Iterable[str]) -> None:
    """Let no other change touch codes under these parents until this one ends.

    In one order, so that two changes do not wait for each other. SQLite has locked the whole file
    already.
    """
    ordered = sorted(set(roots))
    for some in chunks(ordered):
        rows = [{"parent": root, "series": "", "last": 0} for root in some]
        connection.execute(store.insert_new(COUNTERS, rows))
    for some in chunks(ordered):
        connection.execute(
            sa.select(COUNTERS.c.parent)
            .where(COUNTERS.c.parent.in_(some), COUNTERS.c.series == "")
            .order_by(COUNTERS.c.parent)
            .with_for_update()
        ).all()


def write_change(connection: sa.Connection, store: Store, change: Change, scheme: Scheme) -> Issued:
    """Check a change against the register and write it; returns the codes by the grids' keys."""
    named = _named(change, scheme)
    parents = [grid.parent for grid in change.new if _is_code(grid, scheme)]
    lock(connection, store, (root_of(code, scheme) for code in [*named, *parents]))
    known = load_codes(connection, named)
    drawn = _last_drawn(connection, [*change.kept, *change.retired])
    since = [row.since for row in drawn.values()]
    at = change.at or max([as_utc(None), *(row.issued for row in known.values()), *since])
    problems = list(_refused(connection, change, scheme, known, at))
    problems += _overtaken(change, drawn, at)
    issued: dict[Hashable, str] = {}
    serial_of: dict[Hashable, int] = {}
    placed: dict[Hashable, NewGrid] = {}
    # from the upper levels to the lower, so that the parents of the lower have their codes
    for level in scheme.levels:
        own = [grid for grid in change.new if scheme.level(grid.level) == level]
        own = [
            grid if _is_code(grid, scheme) else replace(grid, parent=issued[grid.parent])
            for grid in own
            if _is_code(grid, scheme) or grid.parent in issued
        ]
        serials, full = _serials(connection, own, scheme)
        problems += full
        for grid, serial in zip(own, serials, strict=True):
            placed[grid.key], serial_of[grid.key] = grid, serial
            issued[grid.key] = scheme.join(grid.parent, serial, level.name)
    if problems:
        raise InputError(problems)
    change = replace(change, new=tuple(placed[grid.key] for grid in change.new))
    answer = Issued((grid.key, issued[grid.key]) for grid in change.new)
    answer.change = _write(
        connection, change, scheme, answer, [serial_of[key] for key in answer], at
    )
    return answer


def _is_code(grid: NewGrid, scheme: Scheme) -> bool:
    """Whether the parent of a new grid is a code, not the key of another."""
    return scheme.check_parent(grid.parent, level=grid.level) is None


def _named(change: Change, scheme: Scheme) -> list[str]:
    """Codes of the register that a change names, parents that are themselves codes among them."""
    widths = {scheme.width(level.name) for level in scheme.levels}
    codes = {*change.retired, *change.kept}
    parents = (grid.parent for grid in change.new if _is_code(grid, scheme))
    codes |= {parent for parent in parents if len(parent) in widths}
    for grid in grounds_of(change):
        codes |= set(grid.predecessors)
    return sorted(codes)


def load_codes(connection: sa.Connection, codes: Iterable[str]) -> dict[str, Any]:
    """Rows of codes, by the code."""
    rows: dict[str, Any] = {}
    for some in chunks(codes):
        for row in connection.execute(sa.select(CODES).where(CODES.c.code.in_(some))):
            rows[row.code] = row
    return rows


def _last_drawn(connection: sa.Connection, codes: Iterable[str]) -> dict[str, Any]:
    """Since when, and by which change, each code stands for the ground that it stands for now."""
    found: dict[str, Any] = {}
    for some in chunks(codes):
        query = (
            sa.select(GROUNDS.c.code, GROUNDS.c.since, GROUNDS.c.since_event, EVENTS.c.reason)
            .join(EVENTS, EVENTS.c.id == GROUNDS.c.since_event)
            .where(GROUNDS.c.code.in_(some), GROUNDS.c.until.is_(None))
        )
        found.update((row.code, row) for row in connection.execute(query))
    return found


def _overtaken(change: Change, drawn: Mapping[str, Any], at: str) -> Iterator[Problem]:
    """Changes of the same grounds that came first, or that the caller does not know of."""
    rows = sorted(drawn.items())
    late = tuple(f"{code}, on {row.since}" for code, row in rows if row.since > at)
    if late:
        text = f"grounds of codes changed after {at}; a change cannot come before them"
        yield Problem("before_changed", text, late)
    if change.as_of is None:
        return
    later = tuple(
        f"{code}, by change {row.since_event} on {row.since} ({row.reason})"
        for code, row in rows
        if row.since_event > change.as_of
    )
    if later:
        yield Problem("redrawn_since", REDRAWN, later)


def _refused(
    connection: sa.Connection, change: Change, scheme: Scheme, known: Mapping[str, Any], at: str
) -> Iterator[Problem]:
    predecessors = {code for grid in grounds_of(change) for code in grid.predecessors}
    used = {*change.retired, *change.kept, *predecessors}
    groups = {
        ("unknown_code", "codes are not in the register"): [c for c in used if c not in known],
        ("already_retired", "codes are retired already"): [
            f"{code}, since {known[code].retired}"
            for code in used
            if code in known and known[code].state == RETIRED
        ],
        ("before_issued", f"codes were issued after {at}"): [
            f"{code}, on {known[code].issued}"
            for code in used
            if code in known and known[code].issued > at
        ],
        ("bad_parent", "parents do not live"): _bad_parents(change, scheme, known),
        ("live_children", "codes have live codes under them; retire these too"): (
            _live_children(connection, change, scheme)
        ),
    }
    for (kind, text), examples in groups.items():
        if examples:
            yield Problem(kind, text, tuple(sorted(set(examples))))


def _bad_parents(change: Change, scheme: Scheme, known: Mapping[str, Any]) -> list[str]:
    """Parents that are codes of this register themselves, and are not live in it."""
    issues = {scheme.width(level.name) for level in scheme.levels if level.serials}
    found = []
    for grid in change.new:
        if not _is_code(grid, scheme):
            continue
        row = known.get(grid.parent)
        if grid.parent in change.retired or (row is not None and row.state == RETIRED):
            found.append(f"grid {grid.key}: {grid.parent} is retired")
        elif row is None and len(grid.parent) in issues:
            found.append(f"grid {grid.key}: {grid.parent} is not in the register")
    return found


def _live_children(connection: sa.Connection, change: Change, scheme: Scheme) -> list[str]:
    parents = {scheme.parent_width(level.name) for level in scheme.levels}
    found: list[str] = []
    for some in chunks(code for code in change.retired if len(code) in parents):
        query = sa.select(CODES.c.code, CODES.c.parent).where(
            CODES.c.parent.in_(some), CODES.c.state == LIVE
        )
        found += [
            f"{row.parent}: {row.code}"
            for row in connection.execute(query)
            if row.code not in change.retired
        ]
    return found


def _serials(
    connection: sa.Connection, grids: list[NewGrid], scheme: Scheme
) -> tuple[list[int], list[Problem]]:
    """Next serials above every one that was ever issued, and ranges that are used up."""
    series = [
        (grid.parent, scheme.level(grid.level).series_of(grid.kind), scheme.level(grid.level))
        for grid in grids
    ]
    wanted = Counter((parent, name) for parent, name, _ in series)
    last = load_counters(connection, {parent for parent, _ in wanted})
    levels: dict[tuple[str, str], Level] = {(parent, name): lvl for parent, name, lvl in series}
    full = []
    for (parent, name), number in sorted(wanted.items()):
        low, high = levels[parent, name].serials[name]
        last.setdefault((parent, name), low - 1)
        free = high - last[parent, name]
        if number > free:
            told = "" if name == "base" else f" of {name} grids"
            full.append(f"{parent}: {number} wanted, {free} left of {low} to {high}{told}")
    text = "serials are used up; codes are never used again, so give new grids another parent"
    problems = [Problem("serials_used_up", text, tuple(full))] if full else []
    serials = []
    for parent, name, _ in series:
        last[parent, name] += 1
        serials.append(last[parent, name])
    return serials, problems


def load_counters(connection: sa.Connection, parents: Iterable[str]) -> dict[tuple[str, str], int]:
    """Last serials by parent and series."""
    counters = {}
    for some in chunks(sorted(parents)):
        query = sa.select(COUNTERS).where(COUNTERS.c.parent.in_(some), COUNTERS.c.series != "")
        for row in connection.execute(query):
            counters[row.parent, row.series] = row.last
    return counters


def save_counters(connection: sa.Connection, store_rows: Mapping[tuple[str, str], int]) -> None:
    """Set last serials; the parents are locked."""
    there = load_counters(connection, {parent for parent, _ in store_rows})
    new = [
        {"parent": parent, "series": name, "last": last}
        for (parent, name), last in store_rows.items()
        if (parent, name) not in there
    ]
    moved = [
        {"p": parent, "s": name, "n": last}
        for (parent, name), last in store_rows.items()
        if there.get((parent, name), last) < last
    ]
    if new:
        connection.execute(sa.insert(COUNTERS), new)
    if moved:
        connection.execute(
            sa.update(COUNTERS)
            .where(COUNTERS.c.parent == sa.bindparam("p"), COUNTERS.c.series == sa.bindparam("s"))
            .values(last=sa.bindparam("n")),
            moved,
        )


# --------------------------------------------------------------------------- write


def _write(
    connection: sa.Connection,
    change: Change,
    scheme: Scheme,
    issued: Mapping[Hashable, str],
    serials: list[int],
    at: str,
) -> int | None:
    """Write a change; returns its number, None if all that was to be kept is as it was."""
    changed = _changed_grounds(connection, change)
    links = _links(change, issued)
    if not (issued or change.retired or changed or links):
        return None
    event = insert_event(
        connection, at=at, kind=change.kind, reason=change.reason, n_issued=len(issued),
        n_retired=len(change.retired), n_grounds=len(issued) + len(changed), n_links=len(links),
    )  # fmt: skip
    rows = [
        {
            "code": issued[grid.key], "parent": grid.parent, "kind": grid.kind, "serial": serial,
            "level": scheme.level(grid.level).name, "state": LIVE, "issued": at,
            "issue_reason": change.reason, "issue_event": event,
        }
        for grid, serial in zip(change.new, serials, strict=True)
    ]  # fmt: skip
    if rows:
        connection.execute(sa.insert(CODES), rows)
    _retire(connection, change, event, at)
    close_grounds(connection, list(changed), event, at)
    grounds = {issued[grid.key]: Ground.of(grid, change.crs) for grid in change.new}
    write_grounds(connection, {**grounds, **changed}, event, at)
    if links:
        connection.execute(
            sa.insert(LINKS),
            [{"predecessor": a, "successor": b, "event": event} for a, b in links],
        )
    last: dict[tuple[str, str], int] = {}
    for grid, serial in zip(change.new, serials, strict=True):
        key = (grid.parent, scheme.level(grid.level).series_of(grid.kind))
        last[key] = max(last.get(key, 0), serial)
    save_counters(connection, last)
    return event


def insert_event(connection: sa.Connection, **facts: Any) -> int:
    """Write the row of a change and return its number."""
    result = connection.execute(sa.insert(EVENTS).values(**facts))
    key = result.inserted_primary_key
    assert key is not None
    return int(key[0])


def _links(change: Change, issued: Mapping[Hashable, str]) -> list[tuple[str, str]]:
    pairs = [(code, issued[grid.key]) for grid in change.new for code in grid.predecessors]
    for code, kept in change.kept.items():
        pairs += [(other, code) for other in (kept.predecessors if kept else ())]
    return sorted(set(pairs))


def _retire(connection: sa.Connection, change: Change, event: int, at: str) -> None:
    for some in chunks(sorted(change.retired)):
        connection.execute(
            sa.update(CODES)
            .where(CODES.c.code.in_(some))
            .values(state=RETIRED, retired=at, retire_reason=change.reason, retire_event=event)
        )
    close_grounds(connection, sorted(change.retired), event, at)


def close_grounds(connection: sa.Connection, codes: list[str], event: int, at: str) -> None:
    """End what codes stood for until now."""
    for some in chunks(codes):
        connection.execute(
            sa.update(GROUNDS)
            .where(GROUNDS.c.code.in_(some), GROUNDS.c.until_event.is_(None))
            .values(until=at, until_event=event)
        )


def write_grounds(
    connection: sa.Connection, grounds: Mapping[str, Ground], event: int, at: str
) -> None:
    """Write what codes stand for from now on."""
    rows = [
        {"code": code, "since_event": event, "since": at, **ground.as_row()}
        for code, ground in grounds.items()
    ]
    if rows:
        connection.execute(sa.insert(GROUNDS), rows)


def _changed_grounds(connection: sa.Connection, change: Change) -> dict[str, Ground]:
    """Kept codes that stand for something else than before."""
    kept = {code: grid for code, grid in change.kept.items() if grid is not None}
    there = {}
    for some in chunks(kept):
        query = sa.select(GROUNDS).where(GROUNDS.c.code.in_(some), GROUNDS.c.until_event.is_(None))
        for row in connection.execute(query):
            there[row.code] = Ground.from_row(row)
    wanted = {code: Ground.of(grid, change.crs, there.get(code)) for code, grid in kept.items()}
    return {code: ground for code, ground in wanted.items() if ground != there.get(code)}
