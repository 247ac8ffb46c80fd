"""Grid codes: a 12-digit parent and a 3-digit serial within it.

The parent is the statistical division code of a community (6 digits county, GB/T 2260; 3 street,
GB/T 10114; 3 community). With a serial from 001 to 999 it makes the 15-character code of a unit
grid in city management (GB/T 30428 family). Legacy codes may hold capital letters.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pandas as pd

from gridpart._geometry.order import in_rows
from gridpart.errors import CodeError, InputError, Problem

if TYPE_CHECKING:
    from gridpart.plan import Plan

__all__ = ["assign_codes", "check_code", "check_parent", "make_code"]

PARENT = re.compile(r"[0-9]{12}")
CODE = re.compile(r"[0-9A-Z]{15}")
MOST_SERIALS = 999


def check_parent(parent: Any) -> str | None:
    """Say what is wrong with a parent code; None if nothing is.

    Parameters
    ----------
    parent : object
        Should be a text of 12 digits.

    Returns
    -------
    str or None

    Examples
    --------
    >>> check_parent("420583001001")
    >>> check_parent(420583001001)
    'is a number, not text: leading zeros would be lost'
    """
    if not isinstance(parent, str):
        if isinstance(parent, int | float) and not pd.isna(parent):
            return "is a number, not text: leading zeros would be lost"
        return "is missing"
    if not PARENT.fullmatch(parent):
        return f"must be 12 digits, county 6 + street 3 + community 3, but has {len(parent)} " + (
            "characters" if len(parent) != 12 else "characters that are not all digits"
        )
    return None


def check_code(code: Any, parent: str | None = None) -> str | None:
    """Say what is wrong with a grid code; None if nothing is.

    Parameters
    ----------
    code : object
        Should be a text of 15 digits or, in legacy codes, capital letters.
    parent : str, optional
        The 12 characters with which it must begin.

    Returns
    -------
    str or None

    Examples
    --------
    >>> check_code("420583001001007")
    >>> check_code("420583001001000")
    'has the serial 000; serials run from 001 to 999'
    >>> check_code("420583001001007", parent="420583001002")
    'begins with 420583001001, not with its parent 420583001002'
    """
    if not isinstance(code, str):
        if isinstance(code, int | float) and not pd.isna(code):
            return "is a number, not text: leading zeros would be lost"
        return "is missing"
    if len(code) != 15:
        return f"has {len(code)} characters, not 15"
    if not CODE.fullmatch(code):
        return "may hold only digits and capital letters"
    if code.endswith("000"):
        return "has the serial 000; serials run from 001 to 999"
    if parent is not None and not code.startswith(parent):
        return f"begins with {code[:12]}, not with its parent {parent}"
    return None


def make_code(parent: str, serial: int) -> str:
    """Join a parent and a serial.

    Parameters
    ----------
    parent : str
        12 digits.
    serial : int
        1 to 999.

    Returns
    -------
    str
        15 digits.

    Raises
    ------
    CodeError
        If either is out of form.

    Examples
    --------
    >>> make_code("420583001001", 7)
    '420583001001007'
    """
    wrong = check_parent(parent)
    if wrong:
        raise CodeError(f"parent code {parent!r} {wrong}")
    if not 1 <= serial <= MOST_SERIALS:
        raise CodeError(f"serial {serial} under {parent}: serials run from 001 to {MOST_SERIALS}")
    return f"{parent}{serial:03d}"


def assign_codes(plan: Plan, *, parent: str) -> Plan:
    """Give every grid a code: its parent and a serial in rows from the north-west.

    Parameters
    ----------
    plan : Plan
        With or without codes; old ones are replaced.
    parent : str
        A column of the plan's units with the parent code of each, constant within a grid, or one
        12-digit code for all.

    Returns
    -------
    Plan
        A copy whose units and grids have ``grid_code``.

    Raises
    ------
    InputError
        If a parent is missing, malformed, or differs within a grid.
    CodeError
        If a parent has more than 999 grids.

    Notes
    -----
    Serials run under each parent in rows of the height ``sqrt(mean grid area)``, the northernmost
    row first, from west to east inside a row, exclusive grids among the others.
    """
    parents = _parents(plan, parent)
    grids = plan.grids
    centre = grids.geometry.centroid
    codes = pd.Series("", index=grids.index, dtype=object)
    for key, rows in grids.groupby(parents.reindex(grids["grid"]).to_numpy(), sort=True):
        if len(rows) > MOST_SERIALS:
            raise CodeError(
                f"{len(rows)} grids under {key}, but serials end at {MOST_SERIALS}; give each "
                "community a parent code of its own, or make larger grids"
            )
        order = in_rows(centre.x[rows.index], centre.y[rows.index], rows["area_m2"])
        for serial, label in enumerate(rows.index[order], start=1):
            codes[label] = make_code(str(key), serial)
    by_grid = dict(zip(grids["grid"], codes, strict=True))
    coded = plan.replace(units=plan.units.assign(grid_code=plan.units["grid"].map(by_grid)))
    # codes change no shape: what was dissolved once need not be dissolved again
    vars(coded)["grids"] = grids.assign(grid_code=codes.to_numpy(dtype=object))
    return coded


def _parents(plan: Plan, parent: str) -> pd.Series:
    """Parent code of every grid."""
    units = plan.units
    if parent in units.columns:
        given = units[parent]
    else:
        given = pd.Series(parent, index=units.index, dtype=object)
    problems = []
    for value in pd.unique(given):
        wrong = check_parent(value)
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
