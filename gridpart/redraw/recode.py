"""Codes after a redraw: what goes on keeps its code, what does not is retired, what is new is new.

Practice with village codes: a retired code stays listed as retired, codes are never used again,
and changed areas get new, higher serials.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gridpart.codes import load_scheme
from gridpart.errors import CodeError, InputError
from gridpart.plan import Plan

if TYPE_CHECKING:
    from gridpart.codes import Register, Scheme

__all__ = ["RETIRED_KEY", "Succession", "recoded", "succession"]

# Under this key the provenance of a plan lists the codes that its forebears carried.
RETIRED_KEY = "retired_codes"


@dataclass(frozen=True, eq=False)
class Succession:
    """Which grids go on, which end, and what comes of what.

    Parameters
    ----------
    kept : dict of str to str
        Old grid of each new grid that goes on under its code.
    ended : list of str
        Old grids that do not go on.
    predecessors : dict of str to list of str
        Of each new grid that gets a new code: the old grids it takes households or ground from.
    """

    kept: dict[str, str]
    ended: list[str]
    predecessors: dict[str, list[str]]


def succession(home: pd.Series, now: pd.Series, households: pd.Series, keep: float) -> Succession:
    """Tell which new grid an old one goes on as.

    Parameters
    ----------
    home, now : Series of length n
        Old grid (missing for none) and new grid of every unit.
    households : Series of length n
    keep : float
        Share of its households that an old grid must keep to go on.

    Notes
    -----
    A grid goes on as the new grid that has at least the share `keep` of its households, or of its
    units where it has none. Where two old grids would go on as the same new one, they are merged,
    and neither does; where two new ones have half each, it is split, and neither is it.
    """
    table = pd.DataFrame({"old": home, "new": now, "households": households.to_numpy(float)})
    table = table[table["old"].notna()]
    inhabited = table.groupby("old")["households"].transform("sum") > 0
    table["weight"] = np.where(inhabited, table["households"], 1.0)
    shared = table.groupby(["old", "new"], sort=True)["weight"].sum().reset_index()
    shared["share"] = shared["weight"] / shared.groupby("old")["weight"].transform("sum")
    enough = shared[shared["share"] >= keep]
    once = ~enough["new"].duplicated(keep=False) & ~enough["old"].duplicated(keep=False)
    kept = dict(zip(enough.loc[once, "new"], enough.loc[once, "old"], strict=True))
    old_grids = sorted(set(home.dropna()))
    going_on = set(kept.values())
    touched = shared[shared["weight"] > 0].groupby("new")["old"].agg(list).to_dict()
    return Succession(
        kept,
        [name for name in old_grids if name not in going_on],
        {name: touched.get(name, []) for name in sorted(set(now)) if name not in kept},
    )


@contextmanager
def recoded(
    old: Plan,
    new: Plan,
    home: pd.Series,
    *,
    keep: float,
    register: Register | None,
    reason: str,
    at: Any = None,
) -> Iterator[Plan]:
    """Give the grids of a redrawn plan their codes, if the ``with`` block ends well.

    Parameters
    ----------
    old, new : Plan
    home : Series
        Old grid of every unit of the new plan.
    keep : float
        See :func:`succession`.
    register : Register, optional
        Where codes are issued and retired. Without one, serials go on above the highest that the
        plan and its forebears ever had.
    reason : str
    at : datetime or str, optional

    Yields
    ------
    Plan
        The new plan with codes; as it was given where the old plan has none.
    """
    before = _codes(old)
    if not before:
        if register is not None:
            raise InputError("the plan has no codes yet: issue them with assign_codes first")
        yield new
        return
    households = new.units[new.rules.households]
    told = succession(home, new.units["grid"], households, keep)
    kept = {grid: before[was] for grid, was in told.kept.items() if was in before}
    ended = [before[name] for name in told.ended if name in before]
    bare = [grid for grid in told.predecessors if grid not in kept]
    scheme = _scheme_of(old, register)
    parents = _parents(new, kept, told, before, scheme)
    if register is None:
        ever = {*before.values(), *_retired(old)}
        issued = _numbered(new, bare, parents, ever, scheme)
        yield _with_codes(new, kept | issued, [*_retired(old), *ended])
        return
    with register.changing(
        _new_grids(new, bare, parents, told, before), ended, _kept_grids(new, kept),
        reason=reason, at=at, crs=new.units.crs, kind="redraw",
    ) as answer:  # fmt: skip
        codes = kept | {str(grid): code for grid, code in answer.items()}
        yield _with_codes(new, codes, [*_retired(old), *ended])


def _codes(plan: Plan) -> dict[str, str]:
    """Code of every grid that has one."""
    coded = plan.grids[plan.grids["grid_code"].notna()]
    return dict(zip(coded["grid"], coded["grid_code"], strict=True))


def _retired(plan: Plan) -> list[str]:
    return list(json.loads(plan.provenance.get(RETIRED_KEY) or "[]"))


def _scheme_of(plan: Plan, register: Register | None) -> Scheme:
    """What the plan's codes are made of."""
    if register is not None:
        return register.scheme
    return load_scheme(plan.provenance.get("register_scheme") or "unit-grid")


def _parents(
    plan: Plan, kept: dict[str, str], told: Succession, before: dict[str, str], scheme: Scheme
) -> dict[str, str]:
    """Parent code of each new grid: that of its community, else of what it comes from."""

    def parent_of(code: str) -> str:
        level = scheme.level_of(code)
        return code[: scheme.parent_width(None if level is None else level.name)]

    within = dict(zip(plan.grids["grid"], plan.grids["within"], strict=True))
    by_community: dict[Any, str] = {}
    for grid, code in sorted(kept.items()):
        by_community.setdefault(within[grid], parent_of(code))
    parents = {}
    for grid, sources in told.predecessors.items():
        own = by_community.get(within[grid])
        known = [parent_of(before[name]) for name in sources if name in before]
        if own is None and not known:
            raise CodeError(
                f"grid {grid}: nothing tells the parent code of its community {within[grid]}; "
                "issue codes with assign_codes"
            )
        parents[grid] = own or known[0]
    return parents


def _numbered(
    plan: Plan, grids: list[str], parents: dict[str, str], ever: set[str], scheme: Scheme
) -> dict[str, str]:
    """Codes above the highest serial that was ever used under each parent, for each kind."""
    kinds = dict(zip(plan.grids["grid"], plan.grids["kind"], strict=True))
    issued: dict[str, str] = {}
    for grid in grids:
        parent = parents[grid]
        beside = [code for code in {*ever, *issued.values()} if code.startswith(parent)]
        level = (scheme.level_of(beside[0]) if beside else None) or scheme.level()
        first, last = level.serials[level.series_of(kinds[grid])]
        serials = [scheme.serial_of(code) or 0 for code in beside]
        used = [serial for serial in serials if first <= serial <= last]
        serial = max(used, default=first - 1) + 1
        if serial > last:
            raise CodeError(f"serials under {parent} are used up; codes are never used again")
        issued[grid] = scheme.join(parent, serial, level.name)
    return issued


def _with_codes(plan: Plan, codes: dict[str, str], retired: list[str]) -> Plan:
    units = plan.units.assign(grid_code=plan.units["grid"].map(codes).astype(object))
    facts = {**plan.provenance, RETIRED_KEY: json.dumps(sorted(set(retired)))}
    return plan.replace(units=units, provenance=facts)


def _new_grids(
    plan: Plan,
    grids: list[str],
    parents: dict[str, str],
    told: Succession,
    before: dict[str, str],
) -> list[Any]:
    from gridpart.codes import NewGrid

    rows = plan.grids.set_index("grid")
    return [
        NewGrid(
            key=grid, parent=parents[grid], kind=rows.loc[grid, "kind"],
            households=int(rows.loc[grid, "households"]), area_m2=float(rows.loc[grid, "area_m2"]),
            shape=rows.geometry[grid],
            predecessors=tuple(before[name] for name in told.predecessors[grid] if name in before),
        )
        for grid in grids
    ]  # fmt: skip


def _kept_grids(plan: Plan, kept: dict[str, str]) -> dict[str, Any]:
    """What each code that stays stands for from now on."""
    from gridpart.codes import KeptGrid

    rows = plan.grids.set_index("grid")
    return {
        code: KeptGrid(
            households=int(rows.loc[grid, "households"]), area_m2=float(rows.loc[grid, "area_m2"]),
            shape=rows.geometry[grid],
        )
        for grid, code in kept.items()
    }  # fmt: skip
