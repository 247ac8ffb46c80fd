"""Codes for the grids of a plan."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pandas as pd

from gridpart._geometry.order import in_rows
from gridpart.codes.reading import DEFAULT, load_scheme
from gridpart.codes.scheme import Scheme
from gridpart.errors import CodeError, InputError, Problem

if TYPE_CHECKING:
    import os

    import geopandas as gpd

    from gridpart.codes.changes import NewGrid
    from gridpart.codes.register import Register
    from gridpart.plan import Plan

__all__ = [
    "above", "assign_codes", "change_of", "coded_levels", "issuing", "level_below",
    "lower_levels", "scheme_of", "snapshot_of", "with_codes", "with_level_codes", "with_snapshot",
]  # fmt: skip

SNAPSHOT_KEY = "register_snapshot"
CHANGE_KEY = "register_change"  # number of the last change that the plan knows of
SCHEME_KEY = "code_scheme"  # in the provenance of plans whose codes follow another than DEFAULT


def assign_codes(
    plan: Plan,
    *,
    parent: str,
    scheme: str | os.PathLike[str] | Scheme | None = None,
    divisions: Collection[str] | None = None,
    register: Register | None = None,
    reason: str = "issued for a new plan",
    at: Any = None,
) -> Plan:
    """Give every grid a code: its parent and a serial in rows from the north-west.

    Parameters
    ----------
    plan : Plan
        With or without codes. Without a register old ones are replaced; with one they are kept.
    parent : str
        A column of the plan's units with the parent code of each, constant within a grid, or one
        12-digit code for all.
    scheme : str, path or Scheme, optional
        What codes are made of; see :func:`load_scheme`. By default that of the register, or
        ``"unit-grid"``.
    divisions : collection of str, optional
        Division codes that the parents must be among; see :func:`gridpart.codes.read_divisions`.
    register : Register, optional
        Issue the codes there, above every serial it has ever issued; grids that have a code
        already keep it, and it must be live there.
    reason : str
        What the register says of these codes.
    at : datetime or str, optional
        When, for the register; now by default.

    Returns
    -------
    Plan
        A copy whose units and grids have ``grid_code``; and units ``grid_check`` where the scheme
        has a check character, and ``<level>_code`` for lower levels of the plan that the scheme
        knows by name (``micro``). With a register its provenance carries a snapshot of the codes,
        see :func:`snapshot_of`.

    Raises
    ------
    InputError
        If a parent is missing, malformed, or differs within a grid; if the register refuses.
    CodeError
        If a parent has more grids than the scheme has serials.

    Notes
    -----
    Serials run under each parent in rows of the height ``sqrt(mean grid area)``, the northernmost
    row first, from west to east inside a row. Exclusive grids count among the others, unless the
    scheme has a range for them.
    """
    if register is None:
        return _numbered(plan, parent, load_scheme(scheme or "unit-grid"), divisions)
    with issuing(
        plan, register, parent=parent, scheme=scheme, divisions=divisions, reason=reason, at=at
    ) as coded:
        return coded


# --------------------------------------------------------------------------- without a register


def _numbered(plan: Plan, parent: str, scheme: Scheme, divisions: Collection[str] | None) -> Plan:
    level = _grid_level(plan, scheme)
    parents = _parents(plan, parent, scheme, level, divisions)
    codes = _serials(plan.grids, parents, scheme, level)
    coded = with_codes(plan, codes, scheme)
    for name in lower_levels(plan, scheme):
        coded = _with_level(coded, name, scheme)
    return coded


def _grid_level(plan: Plan, scheme: Scheme) -> str:
    """Level of the scheme that the plan's grids are at: the last that is no level of the plan's."""
    return [level.name for level in scheme.levels if level.name not in _below(plan)][-1]


def _below(plan: Plan) -> list[str]:
    return plan.rules.lower_levels


def lower_levels(plan: Plan, scheme: Scheme) -> list[str]:
    """Levels below the grids that both the plan and the scheme have."""
    known = {level.name for level in scheme.levels}
    return [name for name in _below(plan) if name in known]


def coded_levels(plan: Plan, scheme: Scheme) -> list[str]:
    """Levels below the grids, the largest first, of which areas have codes.

    Raises
    ------
    InputError
        If the scheme has no such level.
    """
    units = plan.units
    coded = [
        name
        for name in _below(plan)
        if f"{name}_code" in units.columns and units[f"{name}_code"].notna().any()
    ]
    lacking = [name for name in coded if name not in lower_levels(plan, scheme)]
    if lacking:
        raise InputError(
            f"areas of the level {', '.join(lacking)} have codes, but the scheme {scheme.name} has "
            "no such level; use a scheme, and a register of it, that has all levels of the plan"
        )
    return coded


def above(plan: Plan, name: str, scheme: Scheme) -> str:
    """What the areas of a lower level lie in, by the form of their codes: ``grid``, or a level.

    Raises
    ------
    InputError
        If codes of this level begin with those of no level of the plan.
    """
    width = scheme.parent_width(name)
    for one in ("grid", *_below(plan)):
        level = _grid_level(plan, scheme) if one == "grid" else one
        if one == name:
            break
        if (one == "grid" or one in lower_levels(plan, scheme)) and scheme.width(level) == width:
            return one
    raise InputError(
        f"codes of the level {name} begin with {width} characters by the scheme {scheme.name}, "
        "which are the code of no level above it in the plan"
    )


def level_below(units: gpd.GeoDataFrame, name: str, higher: str) -> pd.DataFrame:
    """Areas of a lower level by their names, as their codes are made.

    Parameters
    ----------
    units : GeoDataFrame
        Of a plan.
    name, higher : str
        The level, and what its areas lie in; see :func:`above`.

    Returns
    -------
    DataFrame
        ``code`` (None where there is none), ``parent`` (the area above it) and ``parent_code``.
    """
    first = units[~units[name].duplicated()].set_index(name)
    columns = {"code": f"{name}_code", "parent": higher, "parent_code": _code_column(higher)}
    table = pd.DataFrame(index=first.index)
    for title, column in columns.items():
        there = column in first.columns
        values = first[column].astype(object) if there else pd.Series(None, first.index, object)
        table[title] = values.where(values.notna(), None)
    return table


def _code_column(level: str) -> str:
    return "grid_code" if level == "grid" else f"{level}_code"


def _serials(grids: gpd.GeoDataFrame, parents: pd.Series, scheme: Scheme, level: str) -> pd.Series:
    """Code of every grid, serials from the first of each range."""
    codes = pd.Series("", index=grids.index, dtype=object)
    serials = scheme.level(level)
    series = grids["kind"].map(serials.series_of)
    own = parents.reindex(grids["grid"]).to_numpy()
    for (key, name), rows in grids.groupby([own, series.to_numpy()], sort=True):
        first, last = serials.serials[name]
        if len(rows) > last - first + 1:
            told = "" if name == "base" else f"{name} "
            raise CodeError(
                f"{len(rows)} {told}grids under {key}, but serials end at {last}; give each "
                "community a parent code of its own, or make larger grids"
            )
        for serial, label in enumerate(rows.index[_in_order(rows)], start=first):
            codes[label] = scheme.join(str(key), serial, level)
    return codes


def _in_order(rows: gpd.GeoDataFrame) -> Any:
    centre = rows.geometry.centroid
    return in_rows(centre.x, centre.y, rows["area_m2"])


def with_codes(plan: Plan, codes: pd.Series, scheme: Scheme) -> Plan:
    """Copy of a plan with codes for its grids.

    Parameters
    ----------
    plan : Plan
    codes : Series
        Code of each grid, on the index of the plan's ``grids``.
    scheme : Scheme
        What they are made of. The copy's provenance has it, if it is not ``unit-grid``.

    Returns
    -------
    Plan
        Its units have ``grid_code``, and ``grid_check`` where the scheme has a check character.
    """
    grids = plan.grids
    by_grid = dict(zip(grids["grid"], codes, strict=True))
    units = plan.units.assign(grid_code=plan.units["grid"].map(by_grid))
    if scheme.check_character:
        marks = dict(zip(codes, scheme.check_characters(codes), strict=True))
        units = units.assign(grid_check=units["grid_code"].map(marks))
    facts = {key: value for key, value in plan.provenance.items() if key != SCHEME_KEY}
    if scheme != load_scheme(DEFAULT):
        facts[SCHEME_KEY] = scheme.as_json()
    coded = plan.replace(units=units, provenance=facts)
    # codes change no shape: what was dissolved once need not be dissolved again
    vars(coded)["grids"] = grids.assign(grid_code=codes.to_numpy(dtype=object))
    return coded


def _with_level(plan: Plan, name: str, scheme: Scheme) -> Plan:
    """Copy with the codes of a lower level's areas, whose parents are the grids' codes."""
    areas = plan.at_level(name).grids
    table = level_below(plan.units, name, above(plan, name, scheme))
    codes = _serials(areas, table["parent_code"], scheme, name)
    return with_level_codes(plan, name, dict(zip(areas["grid"], codes, strict=True)))


def with_level_codes(plan: Plan, name: str, by_area: Mapping[str, str]) -> Plan:
    """Copy whose units have the codes of a lower level's areas."""
    column = plan.units[name].map(dict(by_area)).astype(object)
    coded = plan.replace(units=plan.units.assign(**{f"{name}_code": column}))
    vars(coded)["grids"] = plan.grids
    return coded


def _parents(
    plan: Plan, parent: str, scheme: Scheme, level: str, divisions: Collection[str] | None
) -> pd.Series:
    """Parent code of every grid."""
    units = plan.units
    if parent in units.columns:
        given = units[parent]
    else:
        given = pd.Series(parent, index=units.index, dtype=object)
    problems = []
    for value in pd.unique(given):
        wrong = scheme.check_parent(value, level=level, divisions=divisions)
        if wrong:
            number = int((given.isna() if pd.isna(value) else given == value).sum())
            problems.append(f"{value!r} ({number} units): {wrong}")
    if problems:
        hint = "" if parent in units.columns else f"; the units have no column {parent!r} either"
        raise InputError(
            Problem("parent_code", f"parent codes are not usable{hint}", tuple(problems))
        )
    several = given.groupby(units["grid"]).agg(["nunique", "first"])
    mixed = several.index[several["nunique"] > 1]
    if len(mixed):
        text = (
            "a grid has units of several parents; partition within the communities that the "
            "parent codes name"
        )
        raise InputError(Problem("parent_differs", text, tuple(f"grid {g}" for g in mixed)))
    return several["first"]


# --------------------------------------------------------------------------- through a register


@contextmanager
def issuing(
    plan: Plan,
    register: Register,
    *,
    parent: str,
    scheme: str | os.PathLike[str] | Scheme | None = None,
    divisions: Collection[str] | None = None,
    reason: str = "issued for a new plan",
    at: Any = None,
) -> Iterator[Plan]:
    """Issue codes for the grids of a plan that have none, if the ``with`` block ends well.

    Save the plan in the block, under another name, which it changes after the block: if saving
    fails no code was issued, and no plan is there whose codes were not.

    Parameters
    ----------
    plan, register, parent, scheme, divisions, reason, at
        See :func:`assign_codes`.

    Yields
    ------
    Plan
        With all codes.

    Raises
    ------
    InputError
        If a parent is unusable, or the register refuses.
    """
    from gridpart.codes.changes import KeptGrid, NewGrid

    rules = register.scheme
    if scheme is not None and load_scheme(scheme) != rules:
        raise InputError(
            f"register {register.name}: its codes follow the scheme {rules.name}, not the other "
            "that was given"
        )
    level = _grid_level(plan, rules)
    parents = _parents(plan, parent, rules, level, divisions)
    grids = plan.grids
    ordered = grids.loc[_plan_order(grids, parents)]
    bare = ordered["grid_code"].isna()
    new = [
        NewGrid(
            key=row["grid"], parent=parents[row["grid"]], kind=row["kind"],
            households=int(row["households"]), area_m2=float(row["area_m2"]),
            shape=ordered.geometry[label], level=level,
        )
        for label, row in ordered[bare].iterrows()
    ]  # fmt: skip
    kept: dict[str, KeptGrid | None] = dict.fromkeys(ordered.loc[~bare, "grid_code"])
    below = {name: _below_grids(plan, name, rules) for name in lower_levels(plan, rules)}
    for areas, codes in below.values():
        new += areas
        kept |= dict.fromkeys(codes.values())
    with register.changing(
        new,
        kept=kept,
        reason=reason,
        at=at,
        crs=plan.units.crs,
        kind="plan",
        as_of=change_of(plan, register),
    ) as issued:
        codes = grids["grid_code"].where(grids["grid_code"].notna(), grids["grid"].map(issued))
        coded = with_codes(plan, codes.astype(object), rules)
        for name, (_, there) in below.items():
            own = [key for key in issued if isinstance(key, tuple) and key[0] == name]
            coded = with_level_codes(coded, name, there | {key[1]: issued[key] for key in own})
        yield with_snapshot(coded, register, reason, issued.change)


def _below_grids(plan: Plan, name: str, scheme: Scheme) -> tuple[list[NewGrid], dict[str, str]]:
    """Areas of a lower level that have no code yet, and the codes of those that have."""
    from gridpart.codes.changes import NewGrid

    higher = above(plan, name, scheme)
    table = level_below(plan.units, name, higher)
    codes = {str(area): code for area, code in table["code"].items() if code is not None}
    areas = plan.at_level(name).grids
    areas = areas[~areas["grid"].isin(list(codes))]
    rows = areas.loc[_plan_order(areas, table["parent"])]
    new = [
        NewGrid(
            key=(name, row["grid"]), parent=_parent_or_key(table.loc[row["grid"]], higher),
            kind=row["kind"], households=int(row["households"]), area_m2=float(row["area_m2"]),
            shape=rows.geometry[label], level=name,
        )
        for label, row in rows.iterrows()
    ]  # fmt: skip
    return new, codes


def _parent_or_key(area: Any, higher: str) -> Hashable:
    """Code of what an area lies in; the key under which it is new, if it has none yet."""
    parent: str = area["parent"]
    return area["parent_code"] or (parent if higher == "grid" else (higher, parent))


def _plan_order(grids: gpd.GeoDataFrame, parents: pd.Series) -> list[Any]:
    """Labels of the grids: parent by parent, in rows from the north-west."""
    own = parents.reindex(grids["grid"]).to_numpy()
    return [
        label for _, rows in grids.groupby(own, sort=True) for label in rows.index[_in_order(rows)]
    ]


def change_of(plan: Plan, register: Register) -> int | None:
    """Number of the last change of a register that a plan knows of; None if it does not say."""
    facts = plan.provenance
    number = facts.get(CHANGE_KEY, "") if facts.get("register") == register.id else ""
    return int(number) if number.isdigit() else None


def with_snapshot(plan: Plan, register: Register, reason: str, change: int | None = None) -> Plan:
    """Copy whose provenance says which register its codes are of, and what they stand for.

    Parameters
    ----------
    plan : Plan
        With codes of the register.
    register : Register
    reason : str
        What the register says of the change that made the plan.
    change : int, optional
        Number of that change; the one that the plan knows of already, if nothing was written.

    Returns
    -------
    Plan
        See :func:`snapshot_of`.
    """
    known = change if change is not None else change_of(plan, register)
    columns = ["grid_code", "kind", "households", "area_m2"]
    levels = coded_levels(plan, register.scheme)
    tables = [plan.grids, *(plan.at_level(level).grids for level in levels)]
    table = pd.concat([pd.DataFrame(part[columns]) for part in tables], ignore_index=True)
    table = table.rename(columns={"grid_code": "code"}).sort_values("code")
    facts = {
        "register": register.id,
        "register_scheme": register.scheme.name,
        "register_reason": reason,
        SNAPSHOT_KEY: table.to_csv(index=False),
    }
    if known is not None:
        facts[CHANGE_KEY] = str(known)
    before = {key: value for key, value in plan.provenance.items() if key != CHANGE_KEY}
    coded = plan.replace(provenance={**before, **facts})
    vars(coded)["grids"] = plan.grids
    return coded


def scheme_of(plan: Plan) -> Scheme:
    """What the codes of a plan are made of.

    Parameters
    ----------
    plan : Plan

    Returns
    -------
    Scheme
        The one that the plan's provenance has; ``unit-grid`` if it has none.
    """
    text = plan.provenance.get(SCHEME_KEY)
    return Scheme.from_json(text) if text else load_scheme(DEFAULT)


def snapshot_of(plan: Plan) -> pd.DataFrame:
    """What a plan carries of the register that its codes come from.

    Parameters
    ----------
    plan : Plan

    Returns
    -------
    DataFrame
        ``code``, ``kind``, ``households``, ``area_m2`` of every grid, and every area of a lower
        level that has codes, when the plan was written.

    Raises
    ------
    InputError
        If the plan's codes come from no register.
    """
    import io

    text = plan.provenance.get(SNAPSHOT_KEY)
    if not text:
        raise InputError("the plan carries no snapshot of a register; its codes come from none")
    return pd.read_csv(io.StringIO(text), dtype={"code": str, "kind": str})
