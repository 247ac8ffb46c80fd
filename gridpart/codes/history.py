"""What the register knows, as tables."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import shapely
import sqlalchemy as sa

from gridpart.codes.changes import LIVE, RETIRED, NewGrid, load_codes
from gridpart.codes.grounds import Ground
from gridpart.codes.moments import as_utc
from gridpart.codes.overlaps import in_crs
from gridpart.codes.store import CODES, EVENTS, GROUNDS, LINKS, Store, chunks
from gridpart.errors import InputError, Problem

if TYPE_CHECKING:
    import geopandas as gpd
    from shapely.geometry.base import BaseGeometry

__all__ = ["changes", "codes", "count", "grounds", "merged", "row_of", "shapes_in", "snapshot"]

FACTS = (
    "code", "state", "issued", "retired", "reason", "predecessors", "successors", "households",
    "area_m2", "parent", "kind", "level", "issue_reason", "retire_reason",
)  # fmt: skip
SNAPSHOT = FACTS[:9]
MOST_CRS = "EPSG:4326"  # of a register without any ground


def count(store: Store) -> tuple[int, int]:
    """Numbers of live and of retired codes."""
    query = sa.select(CODES.c.state, sa.func.count()).group_by(CODES.c.state)
    with store.reading() as connection:
        found = {row[0]: int(row[1]) for row in connection.execute(query)}
    return found.get(LIVE, 0), found.get(RETIRED, 0)


def row_of(store: Store, code: str) -> Any:
    """Row of a code; InputError if it was never issued."""
    with store.reading() as connection:
        rows = load_codes(connection, [code])
    if code not in rows:
        raise InputError(f"register {store.name}: code {code!r} was never issued")
    return rows[code]


def _ground_columns(rows: list[Any]) -> dict[str, Any]:
    households = pd.array([row.households for row in rows], dtype="Int64")
    area = np.array([np.nan if row.area_m2 is None else row.area_m2 for row in rows], dtype=float)
    return {"households": households, "area_m2": area}


def shapes_in(rows: list[Any], crs: Any) -> gpd.GeoSeries:
    """Shapes of rows with ``wkb`` and ``crs``, all in one CRS: by default that of most."""
    import geopandas as gpd

    names = pd.Series([row.crs for row in rows], dtype=object)
    wanted = crs
    if wanted is None:
        most = names.dropna().mode()
        wanted = most.iloc[0] if len(most) else MOST_CRS
    shapes = np.array(
        [None if row.wkb is None else shapely.from_wkb(bytes(row.wkb)) for row in rows],
        dtype=object,
    )
    for name in names.dropna().unique():
        if name != wanted:
            own = (names == name).to_numpy()
            shapes[own] = in_crs(shapes[own], name, wanted)
    return gpd.GeoSeries(shapes, crs=wanted)


def codes(store: Store, live: bool | None, crs: Any, ground: str) -> gpd.GeoDataFrame:
    """Every code; see :meth:`Register.codes`."""
    import geopandas as gpd

    if ground not in ("issued", "last"):
        raise InputError(f"ground must be 'issued' or 'last', got {ground!r}")
    join = CODES.outerjoin(GROUNDS, sa.and_(GROUNDS.c.code == CODES.c.code, _which(ground)))
    query = sa.select(
        CODES, GROUNDS.c.households, GROUNDS.c.area_m2, GROUNDS.c.wkb, GROUNDS.c.crs
    ).select_from(join)
    if live is not None:
        query = query.where(CODES.c.state == (LIVE if live else RETIRED))
    with store.reading() as connection:
        rows = sorted(connection.execute(query).all(), key=lambda row: str(row.code))
        links = connection.execute(sa.select(LINKS.c.predecessor, LINKS.c.successor)).all()
    return gpd.GeoDataFrame(_facts(rows, links), geometry=shapes_in(rows, crs))


def _which(ground: str) -> Any:
    """The ground of a code that is meant."""
    if ground == "issued":
        return GROUNDS.c.since_event == CODES.c.issue_event
    return sa.or_(GROUNDS.c.until_event.is_(None), GROUNDS.c.until_event == CODES.c.retire_event)


def _facts(rows: list[Any], links: Iterable[Any]) -> pd.DataFrame:
    before: dict[str, set[str]] = {}
    after: dict[str, set[str]] = {}
    for old, new in links:
        before.setdefault(new, set()).add(old)
        after.setdefault(old, set()).add(new)

    def listed(found: dict[str, set[str]]) -> list[str]:
        return [";".join(sorted(found.get(row.code, ()))) for row in rows]

    facts = {
        name: np.array([getattr(row, name) for row in rows], dtype=object)
        for name in (
            "code", "state", "issued", "retired", "parent", "kind", "level", "issue_reason",
            "retire_reason",
        )
    }  # fmt: skip
    facts["reason"] = np.array(
        [row.retire_reason if row.state == RETIRED else row.issue_reason for row in rows],
        dtype=object,
    )
    facts["predecessors"] = np.array(listed(before), dtype=object)
    facts["successors"] = np.array(listed(after), dtype=object)
    return pd.DataFrame({**facts, **_ground_columns(rows)}, columns=list(FACTS))


def snapshot(store: Store, wanted: Iterable[str] | None) -> pd.DataFrame:
    """What a plan carries; see :meth:`Register.snapshot`."""
    as_of = as_utc(None)
    table = pd.DataFrame(codes(store, None if wanted is not None else True, None, "issued"))
    if wanted is not None:
        named = list(dict.fromkeys(wanted))
        known = set(table["code"])
        missing = tuple(str(code) for code in named if code not in known)
        if missing:
            text = f"register {store.name}: codes are not in the register"
            raise InputError(Problem("unknown_code", text, missing))
        table = table.set_index("code").loc[named].reset_index()
    return table[list(SNAPSHOT)].assign(register=store.facts["id"], as_of=as_of)


def grounds(store: Store, code: str) -> gpd.GeoDataFrame:
    """What a code stood for over time; see :meth:`Register.grounds`."""
    import geopandas as gpd

    row_of(store, code)
    query = sa.select(GROUNDS).where(GROUNDS.c.code == code).order_by(GROUNDS.c.since_event)
    with store.reading() as connection:
        rows = list(connection.execute(query).all())
    names = ("code", "since", "until")
    facts = {name: np.array([getattr(row, name) for row in rows], object) for name in names}
    table = pd.DataFrame({**facts, **_ground_columns(rows)})
    return gpd.GeoDataFrame(table, geometry=shapes_in(rows, None))


def changes(store: Store) -> pd.DataFrame:
    """Every change; see :meth:`Register.changes`."""
    with store.reading() as connection:
        rows = connection.execute(sa.select(EVENTS).order_by(EVENTS.c.id)).all()
    columns = ["change", "at", "kind", "reason", "n_issued", "n_retired", "n_grounds", "n_links"]
    return pd.DataFrame([tuple(row) for row in rows], columns=columns)


def merged(
    store: Store,
    listed: list[str],
    shape: BaseGeometry | None,
    parent: str | None,
    kind: str | None,
) -> tuple[NewGrid, str | None]:
    """The grid that takes the place of several, and the CRS of its shape."""
    with store.reading() as connection:
        rows = load_codes(connection, listed)
        now: dict[str, Ground] = {}
        for some in chunks(listed):
            query = sa.select(GROUNDS).where(
                GROUNDS.c.code.in_(some), GROUNDS.c.until_event.is_(None)
            )
            now |= {row.code: Ground.from_row(row) for row in connection.execute(query)}
    missing = tuple(code for code in listed if code not in rows)
    if missing:
        text = f"register {store.name}: codes are not in the register"
        raise InputError(Problem("unknown_code", text, missing))
    level = _common("level", [row.level for row in rows.values()], None)
    parts = [now.get(code, Ground()) for code in listed]
    crs = None
    area = None
    if shape is None:
        systems = {part.crs for part in parts}
        if len(systems) == 1 and None not in systems:
            shape, crs = shapely.union_all([part.shape for part in parts]), systems.pop()
        areas = [part.area_m2 for part in parts]
        area = None if shape is not None or None in areas else sum(filter(None, areas))
    counts = [part.households for part in parts]
    grid = NewGrid(
        key="merged",
        parent=_common("parent", [row.parent for row in rows.values()], parent),
        kind=_common("kind", [row.kind for row in rows.values()], kind),
        households=None if None in counts else sum(filter(None, counts)),
        area_m2=area,
        shape=shape,
        predecessors=tuple(listed),
        level=level,
    )
    return grid, crs


def _common(name: str, values: list[str], given: str | None) -> str:
    if given is not None:
        return given
    if len(set(values)) > 1:
        told = ", ".join(sorted(set(values)))
        raise InputError(f"codes of several {name}s are to be merged ({told}); say {name}=")
    return values[0]
