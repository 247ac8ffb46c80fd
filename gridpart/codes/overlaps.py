"""Ground that two live codes of one level would both stand for.

It is refused where a code is issued or adopted, and found by :meth:`Register.verify`. Without
PostGIS, boxes are compared first (in the database, then in a tree), and only what is left is cut.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import shapely
import sqlalchemy as sa

from gridpart.codes.changes import LIVE, Change
from gridpart.codes.grounds import in_metres
from gridpart.codes.scheme import Scheme
from gridpart.codes.store import CODES, GROUNDS, chunks
from gridpart.errors import InputError, Problem

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

    Objects = npt.NDArray[np.object_]
    Floats = npt.NDArray[np.float64]
    Ints = npt.NDArray[np.int64]

__all__ = ["Drawn", "Overlap", "in_crs", "overlapping", "refuse_taken", "shared_ground", "taken"]

MOST_SHARE = 0.5  # of a new ground, on ground of live codes; what is above is the same ground again
LEAST_SHARE = 1e-4  # of the smaller of two grounds: below it borders merely do not quite meet
LEAST_M2 = 1.0
CODES_TOLD = 5  # of one new grid
TAKEN = (
    "live codes already stand for the ground of new grids; use the plan that has these codes, and "
    "change it with gridpart redraw or edit; if the codes are to end, retire them first (or in the "
    "same change)"
)
BOX = ("min_x", "min_y", "max_x", "max_y")


@dataclass(frozen=True)
class Drawn:
    """A code with its ground; `name` is what messages call it."""

    name: str
    code: str
    level: str
    shape: BaseGeometry


@dataclass(frozen=True)
class Overlap:
    """Ground of two live codes of one level; `share` is that of the smaller, `area` in the CRS."""

    code: str
    other: str
    area: float
    share: float

    def told(self, crs: str) -> str:
        """How much it is, in words."""
        metres = f"{self.area:,.0f} m², " if in_metres(crs) else ""
        return f"{metres}{percent(self.share)} of the smaller"


def percent(share: float) -> str:
    """A share in words; what is not all is never told as 100 %."""
    return f"{min(share * 100, 99.9) if share < 0.9999 else 100:.3g} %"


def in_crs(shapes: Objects, source: str, target: str) -> Objects:
    """Shapes in another CRS."""
    if source == target or not len(shapes):
        return shapes
    import geopandas as gpd

    moved = gpd.GeoSeries(shapes, crs=source).to_crs(target)
    return np.asarray(moved.to_numpy(), dtype=object)


def _comparable(shapes: Objects, source: str, target: str) -> Objects:
    """Shapes in another CRS, to be compared there; empty where that CRS does not reach."""
    moved = in_crs(shapes, source, target).copy()
    moved[~np.isfinite(shapely.bounds(moved)).all(axis=1)] = shapely.Polygon()
    return _mended(moved)


def _cut(ours: Objects, theirs: Objects) -> Objects:
    """What pairs of grounds have in common."""
    # neighbours have no more than a border in common; to see that is faster than to cut
    inside = shapely.relate_pattern(ours, theirs, "T********")
    common = np.full(len(ours), shapely.Polygon(), dtype=object)
    common[inside] = shapely.intersection(ours[inside], theirs[inside])
    return common


def _mended(shapes: Objects) -> Objects:
    """Shapes that can be cut, whatever moving or damage has made of them."""
    bad = ~shapely.is_valid(shapes)
    if not bad.any():
        return shapes
    made = shapes.copy()
    made[bad] = shapely.make_valid(shapes[bad])
    return made


def _touch(ours: Floats, theirs: Floats) -> npt.NDArray[np.bool_]:
    """Whether pairs of boxes have no more than a border in common."""
    apart = (ours[:, :2] >= theirs[:, 2:]) | (ours[:, 2:] <= theirs[:, :2])
    return np.asarray(apart.any(axis=1))


def _counts(area: Floats, smaller: Floats, crs: str) -> npt.NDArray[np.bool_]:
    """Whether ground in common is more than borders that do not quite meet."""
    least = LEAST_M2 if in_metres(crs) else 0.0
    return np.asarray((area > LEAST_SHARE * smaller) & (area > least))


# --------------------------------------------------------------------------- all against all


def overlapping(
    codes: Sequence[str], levels: Sequence[str], shapes: Objects, crs: str
) -> list[Overlap]:
    """Pairs of codes of one level whose grounds overlap.

    Parameters
    ----------
    codes, levels : sequence of str
    shapes : array of polygons
        The ground of each code, all in `crs`.
    crs : str

    Returns
    -------
    list of Overlap
        In the order of the codes.
    """
    shapes = _comparable(shapes, crs, crs)
    boxes = shapely.bounds(shapes)
    one, two = shapely.STRtree(shapes).query(shapes)
    of_level = np.asarray(levels, dtype=object)
    pairs = (one < two) & (of_level[one] == of_level[two])
    one, two = one[pairs], two[pairs]
    near = ~_touch(boxes[one], boxes[two])
    one, two = one[near], two[near]
    area = shapely.area(_cut(shapes[one], shapes[two]))
    whole = shapely.area(shapes)
    smaller = np.minimum(whole[one], whole[two])
    found = []
    for at in np.flatnonzero(_counts(area, smaller, crs)).tolist():
        first, second = sorted((codes[one[at]], codes[two[at]]))
        found.append(Overlap(first, second, float(area[at]), float(area[at] / smaller[at])))
    return sorted(found, key=lambda pair: (pair.code, pair.other))


# --------------------------------------------------------------------------- new ones against live


@dataclass(frozen=True)
class _Shared:
    """What new grounds (by their number) have in common with live ones."""

    mine: Ints
    codes: Objects
    parts: Objects
    others: Objects


def _common(connection: sa.Connection, fresh: Sequence[Drawn], crs: str) -> _Shared:
    shapes = np.array([one.shape for one in fresh], dtype=object)
    pairs = sorted(
        pair
        for system in _systems(connection)
        for pair in _near(connection, fresh, _comparable(shapes, crs, system), system)
    )
    there = _live_shapes(connection, sorted({code for _, code in pairs}), crs)
    # what somebody has retired meanwhile is not there
    pairs = [(number, code) for number, code in pairs if code in there]
    mine = np.array([number for number, _ in pairs], dtype=np.int64)
    codes = np.array([code for _, code in pairs], dtype=object)
    others = np.array([there[code] for code in codes], dtype=object)
    return _Shared(mine, codes, _cut(shapes[mine], others), others)


def _systems(connection: sa.Connection) -> list[str]:
    """CRS of what codes stand for now."""
    query = sa.select(GROUNDS.c.crs).where(GROUNDS.c.until_event.is_(None)).distinct()
    return sorted(crs for crs in connection.execute(query).scalars() if crs is not None)


def _near(
    connection: sa.Connection, fresh: Sequence[Drawn], shapes: Objects, system: str
) -> Iterator[tuple[int, str]]:
    """New grounds and live codes of their level whose boxes overlap."""
    if shapely.is_empty(shapes).all():
        return
    west, south, east, north = shapely.total_bounds(shapes).tolist()
    query = (
        sa.select(GROUNDS.c.code, CODES.c.level, *(GROUNDS.c[name] for name in BOX))
        .join(CODES, CODES.c.code == GROUNDS.c.code)
        .where(
            GROUNDS.c.until_event.is_(None), CODES.c.state == LIVE, GROUNDS.c.crs == system,
            GROUNDS.c.min_x < east, GROUNDS.c.max_x > west,
            GROUNDS.c.min_y < north, GROUNDS.c.max_y > south,
        )
    )  # fmt: skip
    rows = connection.execute(query).all()
    if not rows:
        return
    boxes = np.array([row[2:] for row in rows], dtype=float)
    mine, other = shapely.STRtree(shapely.box(*boxes.T)).query(shapes)
    near = ~_touch(shapely.bounds(shapes)[mine], boxes[other])
    for number, at in zip(mine[near].tolist(), other[near].tolist(), strict=True):
        row = rows[at]
        if row.code != fresh[number].code and row.level == fresh[number].level:
            yield number, row.code


def _live_shapes(connection: sa.Connection, codes: list[str], crs: str) -> Mapping[str, Any]:
    rows: list[Any] = []
    for some in chunks(codes):
        query = sa.select(GROUNDS.c.code, GROUNDS.c.wkb, GROUNDS.c.crs).where(
            GROUNDS.c.code.in_(some), GROUNDS.c.until_event.is_(None)
        )
        rows += connection.execute(query).all()
    found: dict[str, Any] = {}
    for system in sorted({row.crs for row in rows}):
        own = [row for row in rows if row.crs == system]
        shapes = np.array([shapely.from_wkb(bytes(row.wkb)) for row in own], dtype=object)
        moved = _comparable(shapes, system, crs)
        found |= zip((row.code for row in own), moved, strict=True)
    return found


def _covers(parts: Objects, area: Floats, least: float) -> bool:
    """Whether parts of a ground are more than so much; what two of them have counts once."""
    return bool(area.max() > least or shapely.area(shapely.union_all(parts)) > least)


def taken(
    connection: sa.Connection, fresh: Sequence[Drawn], crs: str | None, advice: str
) -> list[Problem]:
    """Say which new grounds are for more than half those of other live codes of their level.

    Parameters
    ----------
    connection : Connection
        In the transaction that has written the new codes: what it retires or draws otherwise
        counts as that.
    fresh : sequence of Drawn
        New codes with ground.
    crs : str, optional
        Of the new grounds.
    advice : str
        What to do.

    Returns
    -------
    list of Problem
        None, or one that names each new grid with the codes and the shares of its area.
    """
    if not fresh or crs is None:
        return []
    common = _common(connection, fresh, crs)
    area = shapely.area(common.parts)
    whole = shapely.area(np.array([one.shape for one in fresh], dtype=object))
    summed = np.bincount(common.mine, weights=area, minlength=len(fresh))
    names = {one.code: one.name for one in fresh}
    told = []
    for number in np.flatnonzero(summed > MOST_SHARE * whole).tolist():
        own = common.mine == number
        if not _covers(common.parts[own], area[own], MOST_SHARE * whole[number]):
            continue
        shares = sorted(
            (-float(part / whole[number]), str(names.get(code, code)))
            for part, code in zip(area[own], common.codes[own], strict=True)
            if part > LEAST_SHARE * whole[number]
        )
        listed = [f"{percent(-share)} on {name}" for share, name in shares[:CODES_TOLD]]
        if len(shares) > CODES_TOLD:
            listed.append(f"the rest on {len(shares) - CODES_TOLD} more")
        told.append(f"{fresh[number].name}: {', '.join(listed)}")
    return [Problem("ground_taken", advice, tuple(told))] if told else []


def refuse_taken(
    connection: sa.Connection, change: Change, scheme: Scheme, issued: Mapping[Hashable, str]
) -> bool:
    """Refuse new codes for ground that already has some; returns whether new ones have ground.

    Parameters
    ----------
    connection : Connection
        In the transaction that has written the change.
    change : Change
    scheme : Scheme
    issued : mapping
        Key of each new grid to its code.

    Raises
    ------
    InputError
    """
    fresh = [
        Drawn(_name(grid.key), issued[grid.key], scheme.level(grid.level).name, grid.shape)
        for grid in change.new
        if grid.shape is not None
    ]
    problems = taken(connection, fresh, change.crs, TAKEN)
    if problems:
        raise InputError(problems)
    return bool(fresh)


def _name(key: Hashable) -> str:
    # areas below the grids have their level in their key
    return " ".join(map(str, key if isinstance(key, tuple) else ("grid", key)))


def shared_ground(
    connection: sa.Connection, fresh: Sequence[Drawn], crs: str | None
) -> list[Overlap]:
    """Pairs of a new code and another live one of its level whose grounds overlap at all.

    Parameters
    ----------
    connection, fresh, crs
        See :func:`taken`.

    Returns
    -------
    list of Overlap
    """
    if not fresh or crs is None:
        return []
    common = _common(connection, fresh, crs)
    area = shapely.area(common.parts)
    whole = shapely.area(np.array([one.shape for one in fresh], dtype=object))
    smaller = np.minimum(whole[common.mine], shapely.area(common.others))
    found = {}
    for at in np.flatnonzero(_counts(area, smaller, crs)).tolist():
        first, second = sorted((fresh[common.mine[at]].code, str(common.codes[at])))
        found[first, second] = Overlap(
            first, second, float(area[at]), float(area[at] / smaller[at])
        )
    return [found[pair] for pair in sorted(found)]
