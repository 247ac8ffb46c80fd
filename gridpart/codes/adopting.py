"""Codes that were issued before the register existed."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import shapely
import sqlalchemy as sa

from gridpart.codes.assign import lower_levels
from gridpart.codes.changes import (
    LIVE,
    RETIRED,
    NewGrid,
    insert_event,
    load_codes,
    lock,
    root_of,
    save_counters,
)
from gridpart.codes.grounds import Ground, check_ground, crs_text
from gridpart.codes.moments import as_past
from gridpart.codes.overlaps import Drawn, Overlap, shared_ground, taken
from gridpart.codes.scheme import Scheme
from gridpart.codes.store import CODES, GROUNDS, LINKS, Store
from gridpart.errors import GridpartWarning, InputError, Problem

if TYPE_CHECKING:
    from gridpart.plan import Plan

__all__ = ["adopt", "as_frame", "part"]

CODE_COLUMNS = ("code", "grid_code", "编码", "网格编码")
TAKEN = (
    "live codes would stand for ground that other live codes of their level stand for; say in the "
    "column state which of them are retired, and give each the ground that it stands for now"
)
WARN_LEVEL = 4  # the caller of Register.adopt
STATES = {
    **dict.fromkeys(("", "live", "active", "current", "在用", "启用", "有效"), LIVE),
    **dict.fromkeys(("retired", "inactive", "停用", "注销", "废止", "作废"), RETIRED),
}


@dataclass(frozen=True)
class Entry:
    """A code as a table has it. Also what has a ground: households, area_m2, shape."""

    code: str
    level: str
    state: str = LIVE
    kind: str = "base"
    issued: str = ""
    retired: str | None = None
    issue_reason: str = ""
    retire_reason: str | None = None
    predecessors: tuple[str, ...] = ()
    successors: tuple[str, ...] = ()
    households: int | None = None
    area_m2: float | None = None
    shape: Any = field(default=None, compare=False)


def part(
    given: Any, key: int, parent: str, kind: str, level: str, predecessors: tuple[str, ...]
) -> NewGrid:
    """New grid for a part of another: of a shape, of a grid, or of nothing known."""
    if isinstance(given, NewGrid):
        return replace(given, key=key, parent=parent, predecessors=predecessors, level=level)
    return NewGrid(key, parent, kind=kind, shape=given, predecessors=predecessors, level=level)


def as_frame(codes: Any, column: str | None, scheme: Scheme) -> pd.DataFrame:
    """Table with a column ``code``, from whatever holds codes.

    Of a plan those of the lower levels, too, that the scheme has.

    Raises
    ------
    InputError
        If there is no such column.
    """
    from gridpart.plan import Plan

    if isinstance(codes, Plan):
        return _of_plan(codes, scheme)
    if not isinstance(codes, pd.DataFrame):
        return pd.DataFrame({"code": [codes] if isinstance(codes, str) else list(codes)})
    names = {str(name).strip().casefold(): name for name in reversed(list(codes.columns))}
    wanted = (column,) if column is not None else CODE_COLUMNS
    found = next((names[word.casefold()] for word in wanted if word.casefold() in names), None)
    if found is None:
        there = ", ".join(map(str, codes.columns))
        raise InputError(f"no column {' or '.join(wanted)} with codes; there are: {there}")
    others = [name for name in codes.columns if name == "code" and name != found]
    return codes.drop(columns=others).rename(columns={found: "code"})


def _of_plan(plan: Plan, scheme: Scheme) -> pd.DataFrame:
    grids = plan.grids
    bare = int(grids["grid_code"].isna().sum())
    if bare:
        raise InputError(f"{bare} of the plan's {len(grids)} grids have no code; code it first")
    tables = [grids]
    for level in lower_levels(plan, scheme):
        areas = plan.at_level(level).grids
        tables.append(areas[areas["grid_code"].notna()])
    columns = ["grid_code", "kind", "households", "area_m2", grids.geometry.name]
    table = pd.concat([part[columns] for part in tables if len(part)], ignore_index=True)
    return table.rename(columns={"grid_code": "code"})


# --------------------------------------------------------------------------- read a table


def adopt(
    store: Store, scheme: Scheme, frame: pd.DataFrame, issued: Any, reason: str, moment: Any
) -> int:
    """Enter the codes of a table; see :meth:`Register.adopt`."""
    at = as_past(moment)
    default = at if issued is None else as_past(issued, what="the date of issue")
    entries, bad = [], []
    shapes, crs = _shapes(frame)
    columns = {str(name): frame[name].tolist() for name in frame.columns if name in KNOWN}
    for number, label in enumerate(frame.index):
        row = {name: values[number] for name, values in columns.items()}
        try:
            entry = _entry(row, scheme, default, reason, at)
        except InputError as error:
            bad.append(f"row {label!r}: {error}")
            continue
        entry = replace(entry, shape=shapes[number])
        bad += [f"row {label!r}: {wrong}" for wrong in check_ground(entry)]
        entries.append(entry)
    counted = Counter(entry.code for entry in entries)
    twice = tuple(f"{code}, {number} times" for code, number in counted.items() if number > 1)
    problems, shared = [], list[Overlap]()
    if bad:
        problems.append(Problem("bad_code", "codes cannot be adopted", tuple(bad)))
    if twice:
        problems.append(Problem("code_twice", "codes stand in several rows", twice))
    if not entries and not bad:
        problems.append(Problem("no_codes", "there are no codes to adopt"))
    if problems:
        raise InputError(problems)
    drawn = [
        Drawn(entry.code, entry.code, entry.level, shapely.force_2d(entry.shape))
        for entry in entries
        if entry.state == LIVE and entry.shape is not None
    ]
    with store.changing(
        lambda link: _enter(link, store, scheme, entries, reason, at, crs),
        lambda link, _: _refuse_taken(link, drawn, crs, shared),
    ):
        pass
    _warn_of(shared, crs)
    return len(entries)


def _refuse_taken(
    connection: sa.Connection, drawn: list[Drawn], crs: str | None, shared: list[Overlap]
) -> bool:
    """Refuse codes for ground that has others, and note those that only overlap."""
    problems = taken(connection, drawn, crs, TAKEN)
    if problems:
        raise InputError(problems)
    shared[:] = shared_ground(connection, drawn, crs)
    return bool(drawn)


def _warn_of(shared: list[Overlap], crs: str | None) -> None:
    if not shared:
        return
    assert crs is not None
    pairs = [f"{pair.code} and {pair.other}: {pair.told(crs)}" for pair in shared]
    text = "live codes were adopted whose grounds overlap; gridpart register check lists them"
    warnings.warn(
        str(Problem("overlap", text, tuple(pairs))), GridpartWarning, stacklevel=WARN_LEVEL
    )


KNOWN = (
    "code", "state", "kind", "issued", "retired", "reason", "predecessors", "successors",
    "households", "area_m2", "issue_reason", "retire_reason",
)  # fmt: skip


def _shapes(frame: pd.DataFrame) -> tuple[list[Any], str | None]:
    """Shapes of a table, and their CRS; none of a table without geometry."""
    import geopandas as gpd

    if not isinstance(frame, gpd.GeoDataFrame):
        return [None] * len(frame), None
    shapes = frame.geometry
    known = shapes.notna() & ~shapes.is_empty
    if not known.any():
        return [None] * len(frame), None
    if frame.crs is None:
        raise InputError("the table has shapes, but no CRS; set it with set_crs")
    kinds = shapely.get_type_id(shapes.to_numpy())
    # points, say, are no ground; they are passed over as if there were none
    area = known.to_numpy() & np.isin(kinds, (3, 6))
    return [shape if use else None for shape, use in zip(shapes, area, strict=True)], crs_text(
        frame.crs
    )


def _text(value: Any) -> str:
    return "" if value is None or (not isinstance(value, str) and pd.isna(value)) else str(value)


def _entry(row: dict[str, Any], scheme: Scheme, issued: str, reason: str, at: str) -> Entry:
    """Entry of a row; InputError says what is wrong with it."""
    code = row["code"]
    wrong = scheme.check(code)
    if wrong is not None:
        raise InputError(f"code {code!r} {wrong}")
    level = scheme.level_of(code)
    assert level is not None
    word = _text(row.get("state")).strip().lower()
    if word not in STATES:
        raise InputError(f"code {code}: state {word!r} must be live or retired")
    retired = STATES[word] == RETIRED
    begins = as_past(_text(row.get("issued")) or issued, what=f"code {code}: the date of issue")
    end = _text(row.get("retired")) or max(at, begins)
    ends = as_past(end, what=f"code {code}: the date of retirement") if retired else None
    if ends is not None and ends < begins:
        raise InputError(f"code {code}: retired on {ends}, before it was issued on {begins}")
    # reason is that of the last of issue and retirement, as Register.codes has it
    last = _text(row.get("reason"))
    began = _text(row.get("issue_reason")) or ("" if retired else last) or reason
    ended = (_text(row.get("retire_reason")) or last or reason) if retired else None
    return Entry(
        code=code,
        level=level.name,
        state=STATES[word],
        kind=_text(row.get("kind")) or "base",
        issued=begins,
        retired=ends,
        issue_reason=began,
        retire_reason=ended,
        predecessors=_codes_of(row.get("predecessors")),
        successors=_codes_of(row.get("successors")),
        households=_number(row.get("households"), int, code, "households"),
        area_m2=_number(row.get("area_m2"), float, code, "area_m2"),
    )


def _codes_of(value: Any) -> tuple[str, ...]:
    return tuple(one.strip() for one in _text(value).split(";") if one.strip())


def _number(value: Any, kind: type, code: str, name: str) -> Any:
    text = _text(value).strip()
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not np.isfinite(number) or (kind is int and number != int(number)):
        raise InputError(f"code {code}: {name} {text!r} is no {'whole ' * (kind is int)}number")
    return kind(number)


# --------------------------------------------------------------------------- enter


def _enter(
    connection: sa.Connection,
    store: Store,
    scheme: Scheme,
    entries: list[Entry],
    reason: str,
    at: str,
    crs: str | None,
) -> None:
    links = sorted({pair for entry in entries for pair in _pairs(entry)})
    new = {entry.code for entry in entries}
    linked = {code for pair in links for code in pair}
    lock(connection, store, (root_of(code, scheme) for code in new | linked))
    known = load_codes(connection, new | linked)
    problems = [
        Problem(kind, text, tuple(sorted(examples)))
        for kind, text, examples in (
            ("already_registered", "codes are in the register already", new & set(known)),
            ("unknown_code", "predecessors or successors are unknown", linked - new - set(known)),
            ("own_predecessor", "codes follow themselves", {a for a, b in links if a == b}),
        )
        if examples
    ]
    orphans = _orphans(entries, load_codes(connection, _parents(entries, scheme)), scheme)
    if orphans:
        problems.append(Problem("bad_parent", "parents do not live", orphans))
    if problems:
        raise InputError(problems)
    event = insert_event(
        connection, at=at, kind="adopt", reason=reason, n_issued=len(entries),
        n_retired=sum(entry.state == RETIRED for entry in entries), n_grounds=len(entries),
        n_links=len(links),
    )  # fmt: skip
    connection.execute(sa.insert(CODES), [_code_row(entry, scheme, event) for entry in entries])
    connection.execute(sa.insert(GROUNDS), [_ground_row(entry, event, crs) for entry in entries])
    if links:
        rows = [{"predecessor": a, "successor": b, "event": event} for a, b in links]
        connection.execute(sa.insert(LINKS), rows)
    save_counters(connection, _last_serials(entries, scheme))


def _parents(entries: Iterable[Entry], scheme: Scheme) -> set[str]:
    """Parents that are codes of the scheme themselves, at a level where codes are issued."""
    issued = {scheme.width(level.name) for level in scheme.levels if level.serials}
    widths = {level.name: scheme.parent_width(level.name) for level in scheme.levels}
    return {e.code[: widths[e.level]] for e in entries if widths[e.level] in issued}


def _orphans(entries: list[Entry], known: dict[str, Any], scheme: Scheme) -> tuple[str, ...]:
    """Live codes whose parents should be codes too, and are none that live."""
    states = {code: row.state for code, row in known.items()}
    states |= {entry.code: entry.state for entry in entries}
    wanted = _parents(entries, scheme)
    found = []
    for entry in entries:
        parent = entry.code[: scheme.parent_width(entry.level)]
        if entry.state == LIVE and parent in wanted and states.get(parent) != LIVE:
            found.append(f"{entry.code}: {parent} is {states.get(parent, 'not in the register')}")
    return tuple(sorted(found))


def _pairs(entry: Entry) -> Iterator[tuple[str, str]]:
    yield from ((other, entry.code) for other in entry.predecessors)
    yield from ((entry.code, other) for other in entry.successors)


def _code_row(entry: Entry, scheme: Scheme, event: int) -> dict[str, Any]:
    retired = entry.state == RETIRED
    return {
        "code": entry.code, "parent": entry.code[: scheme.parent_width(entry.level)],
        "level": entry.level, "kind": entry.kind, "serial": scheme.serial_of(entry.code),
        "state": entry.state, "issued": entry.issued, "issue_reason": entry.issue_reason,
        "issue_event": event, "retired": entry.retired,
        "retire_reason": entry.retire_reason,
        "retire_event": event if retired else None,
    }  # fmt: skip


def _ground_row(entry: Entry, event: int, crs: str | None) -> dict[str, Any]:
    ground = Ground.of(entry, crs)
    return {
        "code": entry.code, "since_event": event, "since": entry.issued, "until": entry.retired,
        "until_event": event if entry.retired else None, **ground.as_row(),
    }  # fmt: skip


def _last_serials(entries: Iterable[Entry], scheme: Scheme) -> dict[tuple[str, str], int]:
    """Highest serial of each parent and range among the adopted."""
    last: dict[tuple[str, str], int] = {}
    for entry in entries:
        serial = scheme.serial_of(entry.code)
        series = None if serial is None else scheme.level(entry.level).series_with(serial)
        if serial is not None and series is not None:
            key = (entry.code[: scheme.parent_width(entry.level)], series)
            last[key] = max(last.get(key, 0), serial)
    return last
