"""What is to be changed in the register, and what is wrong with it whatever the register holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gridpart.codes.grounds import check_ground, check_grounds_crs
from gridpart.codes.scheme import Level, Scheme
from gridpart.errors import Problem

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

__all__ = ["Change", "Issued", "KeptGrid", "NewGrid", "check_change", "grounds_of"]


@dataclass(frozen=True)
class NewGrid:
    """A grid that is to get a code.

    Parameters
    ----------
    key : hashable
        What the caller calls it; the answer names its code by it.
    parent : str, or key of another new grid
        Code of what it lies in; or the key of another new grid, if it lies in that.
    kind : str, default "base"
        ``"base"``, ``"exclusive"``, or another kind that the scheme has serials for.
    households : int, optional
    area_m2 : float, optional
        Measured from the shape if it is left out and the CRS is in metres.
    shape : Polygon or MultiPolygon, optional
        Its ground.
    predecessors : tuple of str
        Codes whose ground, or part of it, it takes over.
    level : str, optional
        Level of the scheme; by default the one with the longest codes.
    """

    key: Hashable
    parent: Any
    kind: str = "base"
    households: int | None = None
    area_m2: float | None = None
    shape: BaseGeometry | None = None
    predecessors: tuple[str, ...] = ()
    level: str | None = None


@dataclass(frozen=True)
class KeptGrid:
    """What a code that stays stands for from now on.

    Parameters
    ----------
    households : int, optional
    area_m2 : float, optional
    shape : Polygon or MultiPolygon, optional
    predecessors : tuple of str
        Codes whose ground, or part of it, it takes over.
    """

    households: int | None = None
    area_m2: float | None = None
    shape: BaseGeometry | None = None
    predecessors: tuple[str, ...] = ()


class Issued(dict[Hashable, str]):
    """Codes of a change by the keys of its new grids.

    Attributes
    ----------
    change : int or None
        Number of the change in the register's list; None if there was nothing to write.
    """

    change: int | None = None


@dataclass(frozen=True)
class Change:
    """All of one change. The crs is that of the shapes.

    `as_of` is the number of the last change that the caller knows of, if he says so.
    """

    new: tuple[NewGrid, ...]
    retired: tuple[str, ...]
    kept: Mapping[str, KeptGrid | None]
    reason: str
    at: str | None
    crs: str | None
    kind: str
    as_of: int | None = None


# --------------------------------------------------------------------------- what is wrong


def check_change(change: Change, scheme: Scheme) -> list[Problem]:
    """Everything that is wrong with a change whatever the register holds."""
    found: list[tuple[str, str, list[str]]] = [
        ("reason", "say the reason of a change", [] if change.reason.strip() else ["it is empty"]),
        ("key", "every new grid needs a key of its own", _twice(grid.key for grid in change.new)),
        ("new", "new grids are not usable", list(_wrong_new(change, scheme))),
        ("retired_twice", "codes are to be retired twice", _twice(change.retired)),
        (
            "kept_and_retired",
            "codes are to be kept and retired",
            sorted(set(change.kept) & set(change.retired)),
        ),
        ("ground", "grounds are not usable", list(_wrong_grounds(change))),
        ("own_predecessor", "codes are to follow themselves", _own_predecessors(change)),
    ]
    problems = [Problem(kind, text, tuple(examples)) for kind, text, examples in found if examples]
    if not (change.new or change.retired or change.kept):
        problems.append(Problem("no_change", "there is nothing to issue, retire or keep"))
    crs = check_grounds_crs(grounds_of(change), change.crs)
    return problems + ([crs] if crs is not None else [])


def _twice(items: Iterable[Hashable]) -> list[str]:
    return [str(item) for item, count in Counter(items).items() if count > 1]


def grounds_of(change: Change) -> list[NewGrid | KeptGrid]:
    """Everything in a change that may have a ground."""
    return [*change.new, *(grid for grid in change.kept.values() if grid is not None)]


def _wrong_new(change: Change, scheme: Scheme) -> Iterator[str]:
    names = {level.name for level in scheme.levels}
    above = {level.name: _above(level, scheme) for level in scheme.levels}
    homes = {(scheme.level(g.level).name, g.key) for g in change.new if g.level in {None, *names}}
    for grid in change.new:
        if grid.level is not None and grid.level not in names:
            yield f"grid {grid.key}: no level {grid.level!r} in the scheme {scheme.name}"
            continue
        level = scheme.level(grid.level)
        if not level.serials:
            yield f"grid {grid.key}: codes of the level {level.name} are entered, not issued"
            continue
        reason = scheme.check_parent(grid.parent, level=level.name)
        if reason is not None and (above[level.name], grid.parent) not in homes:
            yield f"grid {grid.key}: parent code {grid.parent!r} {reason}"
        if not isinstance(grid.kind, str) or not grid.kind:
            yield f"grid {grid.key}: kind {grid.kind!r} is no word"


def _above(level: Level, scheme: Scheme) -> str | None:
    """Level in whose codes those of a level lie."""
    width = scheme.parent_width(level.name)
    return next((one.name for one in scheme.levels if scheme.width(one.name) == width), None)


def _wrong_grounds(change: Change) -> Iterator[str]:
    for grid in change.new:
        yield from (f"grid {grid.key}: {reason}" for reason in check_ground(grid))
    for code, kept in change.kept.items():
        if kept is not None:
            yield from (f"code {code}: {reason}" for reason in check_ground(kept))


def _own_predecessors(change: Change) -> list[str]:
    return [code for code, kept in change.kept.items() if kept and code in kept.predecessors]
