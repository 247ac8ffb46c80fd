"""Whether a plan still is what the register says of its codes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
import sqlalchemy as sa

from gridpart.codes.assign import change_of, coded_levels
from gridpart.codes.changes import REDRAWN, RETIRED, load_codes
from gridpart.codes.grounds import crs_text
from gridpart.codes.overlaps import in_crs
from gridpart.codes.store import CODES, EVENTS, GROUNDS, LINKS, Store, chunks
from gridpart.errors import InputError, Problem

if TYPE_CHECKING:
    import geopandas as gpd

    from gridpart.codes.register import Register
    from gridpart.plan import Plan

__all__ = ["Standing", "check_plan", "standing_of"]

LEAST_SHARE = 1e-4  # of a ground: below it shapes differ by rounding, not by a unit
RETIRED_SINCE = (
    "the plan is out of date: codes that it carries are retired in the register; use the plan that "
    "came of the last change (gridpart register log lists them all). Where the ground was cleared, "
    "and nothing followed, draw the plan again for units without it"
)
UNKNOWN = (
    "codes of the plan are not in the register; use the plan whose codes it issued, or enter those "
    "from before it with gridpart register adopt"
)
CHANGED = (
    "grids of the plan are not what the register has for their codes: the plan was changed without "
    "the register, or is an older one; use the plan that came of the last change, and change it "
    "with the register"
)


@dataclass(frozen=True)
class Standing:
    """What the register says of the codes of a plan.

    Parameters
    ----------
    problems : tuple of Problem
        Why the plan is not to be changed through the register: codes that are unknown or retired,
        or that later changes have drawn otherwise.
    adopted : frozenset of str
        Codes that were adopted for other ground than the plan's: the next change is to say what
        they stand for.
    cleared : frozenset of str
        Codes that are retired already, as nothing is left of their ground.
    """

    problems: tuple[Problem, ...]
    adopted: frozenset[str]
    cleared: frozenset[str]


def check_plan(plan: Plan, register: Register, *, cleared: Collection[str] = ()) -> Standing:
    """Refuse a plan that is out of date in a register, or whose codes are not of it.

    Parameters
    ----------
    plan : Plan
        With codes.
    register : Register
    cleared : collection of str
        Codes of ground that the plan is to lose: these may be retired, if nothing followed them.

    Returns
    -------
    Standing

    Raises
    ------
    InputError
        If codes of the plan, or of its areas of other levels, are unknown or retired there, or
        stand for other ground: with the later changes that have made it so.
    """
    levels = coded_levels(plan, register.scheme)
    tables = [plan.grids, *(plan.at_level(name).grids for name in levels)]
    standing = standing_of(register._store, tables, change_of(plan, register), cleared)
    if standing.problems:
        raise InputError(standing.problems)
    return standing


def standing_of(
    store: Store,
    tables: Iterable[gpd.GeoDataFrame],
    as_of: int | None,
    cleared: Collection[str] = (),
) -> Standing:
    """Hold the codes of a plan against the register.

    Parameters
    ----------
    store : Store
    tables : iterable of GeoDataFrame
        Grids of the plan, and areas of its other levels: ``grid_code``, ``households``, shapes.
    as_of : int, optional
        Number of the change that the plan came of, if it says so.
    cleared : collection of str
        Codes that may be retired, if nothing followed them.

    Returns
    -------
    Standing
    """
    coded = [table[table["grid_code"].notna()] for table in tables]
    codes = [str(code) for table in coded for code in table["grid_code"]]
    with store.reading() as connection:
        known = load_codes(connection, codes)
        ended = {code for code in codes if code in known and known[code].state == RETIRED}
        told, followed = _endings(connection, sorted(ended))
        now = _current_grounds(connection, set(codes) - ended)
    later = {code: row for code, row in now.items() if as_of and row.since_event > as_of}
    gone = (ended & set(cleared)) - followed
    other = {
        code
        for table in coded
        for code in _unlike(table, {code: now[code] for code in now if code not in later})
    }
    adopted = {code for code in other if now[code].kind == "adopt"}
    # without a number, a plan with other ground than the last change's came before that
    redrawn = {c for c in other if as_of is None and now[c].since_event != known[c].issue_event}
    redrawn -= adopted
    groups = (
        ("unknown_code", UNKNOWN, [code for code in codes if code not in known]),
        ("retired_since", RETIRED_SINCE, [f"{code}, {told[code]}" for code in ended - gone]),
        ("redrawn_since", REDRAWN, [_redrawn(now[code]) for code in {*later, *redrawn}]),
        ("changed_without", CHANGED, list(other - adopted - redrawn)),
    )
    problems = tuple(
        Problem(kind, text, tuple(sorted(examples))) for kind, text, examples in groups if examples
    )
    return Standing(problems, frozenset(adopted), frozenset(gone))


def _endings(connection: sa.Connection, codes: list[str]) -> tuple[dict[str, str], set[str]]:
    """By which change each code was retired, and what followed it, in words; and whom any did."""
    after: dict[str, list[str]] = {}
    found = {}
    for some in chunks(codes):
        query = sa.select(LINKS.c.predecessor, LINKS.c.successor).where(
            LINKS.c.predecessor.in_(some)
        )
        for link in connection.execute(query.distinct().order_by(LINKS.c.successor)):
            after.setdefault(link.predecessor, []).append(link.successor)
        rows = connection.execute(sa.select(CODES).where(CODES.c.code.in_(some)))
        for row in rows:
            follow = f"; followed by {', '.join(after[row.code])}" if row.code in after else ""
            change = f"by change {row.retire_event} on {row.retired} ({row.retire_reason})"
            found[row.code] = change + follow
    return found, set(after)


def _current_grounds(connection: sa.Connection, codes: Iterable[str]) -> dict[str, Any]:
    """What codes stand for now, and which change made it so."""
    found: dict[str, Any] = {}
    for some in chunks(sorted(codes)):
        query = (
            sa.select(GROUNDS, EVENTS.c.kind, EVENTS.c.reason)
            .join(EVENTS, EVENTS.c.id == GROUNDS.c.since_event)
            .where(GROUNDS.c.code.in_(some), GROUNDS.c.until_event.is_(None))
        )
        found.update((row.code, row) for row in connection.execute(query))
    return found


def _redrawn(row: Any) -> str:
    return f"{row.code}, by change {row.since_event} on {row.since} ({row.reason})"


def _unlike(table: gpd.GeoDataFrame, now: dict[str, Any]) -> Iterator[str]:
    """Codes for which the plan has other households or another shape than the register."""
    own = table[table["grid_code"].isin(list(now))]
    if own.empty:
        return
    crs = crs_text(own.crs)
    shapes = shapely.force_2d(own.geometry.to_numpy())
    known = shapely.to_wkb(shapes)
    for place, (code, households) in enumerate(
        zip(own["grid_code"], own["households"], strict=True)
    ):
        row = now[code]
        if row.households is not None and row.households != int(households):
            yield code
        elif row.wkb is not None and crs is not None and bytes(row.wkb) != known[place]:
            there = np.array([shapely.from_wkb(bytes(row.wkb))], dtype=object)
            moved = in_crs(there, row.crs, crs)[0]
            apart = shapely.symmetric_difference(moved, shapes[place]).area
            if apart > LEAST_SHARE * shapes[place].area:
                yield code
