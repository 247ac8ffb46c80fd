"""What happened between two plans, entered in a register of codes in one change."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from gridpart.codes.assign import (
    above,
    change_of,
    coded_levels,
    level_below,
    with_codes,
    with_level_codes,
    with_snapshot,
)
from gridpart.errors import InputError
from gridpart.plan import Plan
from gridpart.redraw.changes import Changes, change_table
from gridpart.redraw.parents import Parents, level_of
from gridpart.redraw.serials import (
    RETIRED_AREAS,
    RETIRED_BELOW,
    RETIRED_KEY,
    RETIRED_NAMES,
    listed,
)

if TYPE_CHECKING:
    import geopandas as gpd

    from gridpart.codes import KeptGrid, NewGrid, Register, Scheme
    from gridpart.codes.changes import Issued

__all__ = ["recording"]

SAME = 1e-9  # part of a ground by which shapes may differ and be the same


@contextmanager
def recording(
    old: Plan,
    new: Plan,
    register: Register,
    *,
    reason: str,
    at: Any = None,
    kind: str = "change",
    empty: bool = False,
) -> Iterator[Plan]:
    """Enter in a register what happened between two plans, if the ``with`` block ends well.

    Save the plan in the block: if that fails, nothing was issued, retired or linked.

    Parameters
    ----------
    old : Plan
        With codes that live in the register.
    new : Plan
        Grids that the old plan has by the same name go on; the others get codes here, whatever
        codes they have. A code of a grid that the new plan has not is retired. So are areas of
        the levels below that have codes: one goes on while the code of what it lies in does.
    register : Register
    reason : str
        Why.
    at : datetime or str, optional
        When; now, by default.
    kind : str, default "change"
        What the change is called in the register's list of changes.
    empty : bool, default False
        Whether it is all right if there is nothing to enter.

    Yields
    ------
    Plan
        The new plan with the register's codes, and a snapshot of them in its provenance.

    Raises
    ------
    InputError
        If the old plan is out of date in the register, or not of it, see
        :func:`gridpart.codes.current.check_plan`; if a grid of it has no code, nothing tells the
        parent of a new one, nothing changed, or the register refuses.
    """
    from gridpart.codes.current import check_plan

    bare = old.grids.loc[old.grids["grid_code"].isna(), "grid"]
    if len(bare):
        raise InputError(f"{len(bare)} grids of the plan have no code, first {bare.iloc[0]}")
    scheme = register.scheme
    levels = coded_levels(old, scheme)
    turns = {"grid": _grids(old, new, scheme)}
    for name in levels:
        turns[name] = _areas(old, new, name, scheme, turns)
    cleared = {code for turn in turns.values() for code in turn.cleared}
    standing = check_plan(old, register, cleared=cleared)
    for turn in turns.values():
        turn.tell(standing.adopted)
    added = [grid for turn in turns.values() for grid in turn.new]
    # ground that is cleared may have lost its codes before
    retired = [c for turn in turns.values() for c in turn.retired if c not in standing.cleared]
    kept = {code: grid for turn in turns.values() for code, grid in turn.kept.items()}
    if not (added or retired or any(kept.values()) or empty):
        raise InputError("nothing changed: there is nothing to enter in the register")
    known = change_of(old, register)
    with register.changing(
        added, retired, kept, reason=reason, at=at, crs=new.units.crs, kind=kind, as_of=known
    ) as issued:
        codes = new.grids["grid"].map(_codes_of(turns["grid"], issued))
        coded = with_codes(new, codes.astype(object), scheme)
        for name in levels:
            coded = with_level_codes(coded, name, _codes_of(turns[name], issued))
        told = _with_trail(old, coded, turns)
        yield with_snapshot(told, register, reason, issued.change or known)


def _codes_of(turn: _Turn, issued: Issued) -> dict[str, str]:
    """Codes of a level by the names of its areas."""
    names = [grid.key[1] if isinstance(grid.key, tuple) else grid.key for grid in turn.new]
    fresh = (issued[grid.key] for grid in turn.new)
    return turn.goes_on | dict(zip(map(str, names), fresh, strict=True))


def _with_trail(old: Plan, coded: Plan, turns: Mapping[str, _Turn]) -> Plan:
    """Copy whose provenance lists the names and codes that are retired."""
    below = [turn for name, turn in turns.items() if name != "grid"]
    trail = {
        RETIRED_KEY: listed(old, RETIRED_KEY) | set(turns["grid"].retired),
        RETIRED_NAMES: listed(old, RETIRED_NAMES) | listed(coded, RETIRED_NAMES)
        | turns["grid"].ended,
        RETIRED_BELOW: listed(old, RETIRED_BELOW).union(*(turn.retired for turn in below)),
        RETIRED_AREAS: listed(old, RETIRED_AREAS) | listed(coded, RETIRED_AREAS),
    }  # fmt: skip
    for level in old.rules.lower_levels:
        trail[RETIRED_AREAS] |= set(old.units[level]) - set(coded.units[level])
    facts = {key: text for key, text in coded.provenance.items() if key not in trail}
    for key, values in trail.items():
        if values:
            facts[key] = json.dumps(sorted(values), ensure_ascii=False)
    told = dataclasses.replace(coded, provenance=facts)
    vars(told)["grids"] = coded.grids
    return told


# --------------------------------------------------------------------------- level by level


@dataclass
class _Turn:
    """What becomes of the codes of one level.

    `goes_on` has the codes that go on by the names of their areas, `stays` what those of them
    stand for that are as they were, `cleared` the codes of which no ground is left in the plan.
    """

    new: list[NewGrid] = field(default_factory=list)
    retired: list[str] = field(default_factory=list)
    kept: dict[str, KeptGrid | None] = field(default_factory=dict)
    stays: dict[str, Callable[[], KeptGrid]] = field(default_factory=dict)
    goes_on: dict[str, str] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    cleared: set[str] = field(default_factory=set)

    def tell(self, codes: Collection[str]) -> None:
        """Say what some codes stand for, though nothing has happened to them."""
        self.kept |= {code: self.stays[code]() for code in codes if code in self.stays}


def _grids(old: Plan, new: Plan, scheme: Scheme) -> _Turn:
    code_of = {
        str(grid): str(code)
        for grid, code in zip(old.grids["grid"], old.grids["grid_code"], strict=True)
    }
    changes = change_table(old, new, by="name")
    kept = {str(name) for name in changes.grids.loc[changes.grids["status"] == "kept", "new_grid"]}
    parents = Parents(old, scheme, code_of, new, kept)
    sources = _sources(changes)
    return _turned(
        changes, code_of, level_of(min(code_of.values()), scheme),
        goes_on=code_of.__contains__,
        parent_of=lambda name: parents.of(name, sources.get(name, ()))[0],
        key_of=lambda name: name,
    )  # fmt: skip


def _areas(
    old: Plan,
    new: Plan,
    level: str,
    scheme: Scheme,
    turns: Mapping[str, _Turn],
) -> _Turn:
    """Areas of a lower level; one that goes on in a grid with another code gets another, too."""
    higher, width = above(old, level, scheme), scheme.parent_width(level)
    own = level_below(old.units, level, higher)["code"].dropna()
    code_of = {str(area): str(code) for area, code in own.items()}
    lies_in = level_below(new.units, level, higher)["parent"].to_dict()
    codes_above = turns[higher].goes_on

    def goes_on(area: str) -> bool:
        parent = codes_above.get(lies_in[area])
        return area in code_of and code_of[area][:width] == parent

    def parent_of(area: str) -> Hashable:
        parent = lies_in[area]
        key = parent if higher == "grid" else (higher, parent)
        return codes_above.get(parent, key)

    turn = _turned(
        change_table(old.at_level(level), new.at_level(level), by="name"), code_of, level,
        goes_on=goes_on, parent_of=parent_of, key_of=lambda area: (level, area),
    )  # fmt: skip
    # an area that was forced into two grids once may have had two codes
    every = set(old.units[f"{level}_code"].dropna())
    turn.retired = sorted(every - set(turn.kept))
    return turn


def _turned(
    changes: Changes,
    code_of: Mapping[str, str],
    level: str,
    *,
    goes_on: Callable[[str], bool],
    parent_of: Callable[[str], Hashable],
    key_of: Callable[[str], Hashable],
) -> _Turn:
    """New, retired and kept codes of one level."""
    from gridpart.codes import KeptGrid, NewGrid

    turn = _Turn()
    before = {
        area: tuple(sorted(code_of[one] for one in sources if one in code_of))
        for area, sources in _sources(changes).items()
    }
    now = changes.new_grids.set_index("grid")
    drawn = _drawn(changes)

    def facts(name: str) -> dict[str, Any]:
        grid = now.loc[name]
        return {
            "households": int(grid["households"]), "area_m2": float(grid["area_m2"]),
            "shape": now.geometry[name], "predecessors": before.get(name, ()),
        }  # fmt: skip

    def stands(name: str) -> KeptGrid:
        known = facts(name)
        others = (other for other in known.pop("predecessors") if other != code_of[name])
        return KeptGrid(**known, predecessors=tuple(others))

    rows = changes.grids.sort_values(["within", "new_grid"], kind="stable")
    for status, change, was, name in zip(
        rows["status"], rows["change"], rows["old_grid"], rows["new_grid"], strict=True
    ):
        if status == "retired":
            turn.ended.add(was)
            if change == "retired" and was in code_of:
                turn.cleared.add(code_of[was])
        elif status == "kept" and goes_on(name):
            code = turn.goes_on[name] = code_of[name]
            turn.kept[code] = stands(name) if name in drawn else None
            if name not in drawn:
                turn.stays[code] = partial(stands, name)
        else:
            kind, parent = now.loc[name, "kind"], parent_of(name)
            turn.new.append(NewGrid(key_of(name), parent, kind=kind, level=level, **facts(name)))
    turn.retired = sorted(set(code_of.values()) - set(turn.kept))
    return turn


def _sources(changes: Changes) -> dict[str, list[str]]:
    """Old areas that share ground with each new one."""
    found: dict[str, list[str]] = {}
    for old, new in zip(changes.pairs["old_grid"], changes.pairs["new_grid"], strict=True):
        found.setdefault(str(new), []).append(str(old))
    return found


def _drawn(changes: Changes) -> set[str]:
    """Areas that go on, but not as they were: other households, or another shape."""
    table = changes.grids
    kept = table[table["status"] == "kept"]
    old = changes.old_grids.set_index("grid").loc[kept["old_grid"]]
    new = changes.new_grids.set_index("grid").loc[kept["new_grid"]]
    return set(
        kept.loc[
            ((kept["change"] != "U") | (kept["before"] != kept["after"])).to_numpy()
            | _reshaped(old, new),
            "new_grid",
        ]
    )


def _reshaped(old: gpd.GeoDataFrame, new: gpd.GeoDataFrame) -> Any:
    """Whether areas have another shape, row by row."""
    before, after = (frame.geometry.to_numpy() for frame in (old, new))
    other = ~shapely.equals_exact(before, after, 0.0, normalize=True)
    at = np.flatnonzero(other)
    apart = shapely.area(shapely.symmetric_difference(before[at], after[at]))
    other[at] = apart > SAME * shapely.area(after[at])
    return other
