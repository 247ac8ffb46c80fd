"""What an audit is given on the command line: files and words, read for :func:`gridpart.audit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gridpart.cli.options import as_size, read_one
from gridpart.errors import InputError

if TYPE_CHECKING:
    import geopandas as gpd
    import pandas as pd

    from gridpart.plan import Plan

__all__ = [
    "as_file",
    "is_plan",
    "plan_at",
    "read_register",
    "read_staff",
    "read_zones",
    "tolerances",
]

ASSIGNMENT_SHEET = "assignment"
REGISTER_HEADERS = {
    "code": ("code", "grid_code", "编码", "网格编码", "代码"),
    "state": ("state", "status", "状态"),
}


def tolerances(given: tuple[str, ...]) -> dict[str, Any]:
    """Keywords of the audit for every --tolerance: a number, or one for a check.

    Raises
    ------
    UsageError
        If a value is no length or size, a check has none, or one is named twice.
    """
    from gridpart.coverage import CATALOGUE

    known: dict[str, Any] = {}
    for text in given:
        name, sign, number = text.rpartition("=")
        try:
            value = as_size(number)
        except click.BadParameter as error:
            raise click.UsageError(
                f"--tolerance {text}: {error.message}; say 0.01 (metres), or gap=5"
            ) from error
        if not sign:
            name, place = "tolerance", known
        elif name in CATALOGUE and CATALOGUE[name].tolerance is not None:
            place = known.setdefault("tolerances", {})
        else:
            raise click.UsageError(f"--tolerance {text}: {_no_tolerance(name)}")
        if name in place:
            raise click.UsageError(f"--tolerance {text}: every check once")
        place[name] = value
    return known


def _no_tolerance(name: str) -> str:
    """Say which checks have a tolerance, with its unit."""
    from gridpart.coverage import CATALOGUE

    units = {"m2": "m²", "m": "m", "share": "share"}
    listed = ", ".join(
        f"{check.id} ({units.get(check.unit, check.unit)})"
        for check in CATALOGUE.values()
        if check.tolerance is not None
    )
    known = "this check has no tolerance" if name in CATALOGUE else f"no check {name!r}"
    return f"{known}; those that have one: {listed}"


def is_plan(path: Path) -> bool:
    """Whether a file is a plan of ours, be it one that was damaged."""
    from gridpart import _io

    if path.suffix.lower() in _io.PARQUET_SUFFIXES:
        return False
    return bool({"grids", "provenance"} & set(_io.list_layers(path)))


def plan_at(path: Path, level: str | None) -> Plan:
    """Read a plan, or another of its levels.

    Raises
    ------
    InputError
        If it is no plan, or has no such level; the message has those there are.
    """
    from gridpart.plan import read_plan

    plan = read_plan(path)
    if level is None:
        return plan
    if not plan.rules.levels:
        raise InputError(f"{path}: no level {level!r}: this plan was made without other levels")
    return plan.at_level(level)


def read_zones(
    path: Path, layer: str | None, level: str | None
) -> tuple[gpd.GeoDataFrame, dict[str, Any]]:
    """Zones, and what is known about them: all of it where the file is a plan of ours."""
    from gridpart import _io
    from gridpart.coverage import audit_inputs
    from gridpart.plan import LAYERS, read_plan

    if level is not None:
        if layer is not None:
            raise click.UsageError("give --level of a plan, or --layer, not both")
        known = audit_inputs(plan_at(path, level))
        return _io.read_vector(path, layer=f"level_{level}"), known
    if layer not in (None, "grids") or not is_plan(path):
        return read_one(path, layer, "--layer"), {}
    if layer == "grids" and not set(LAYERS) <= set(_io.list_layers(path)):
        return read_one(path, layer, "--layer"), {}
    known = audit_inputs(read_plan(path))
    # the zones as they stand in the file, for they may have been edited since
    return _io.read_vector(path, layer="grids"), known


def read_staff(path: Path) -> pd.DataFrame:
    """Who serves which zone: a table, a roster, or the workbook that `gridpart staff` writes.

    Returns
    -------
    DataFrame
        Columns ``post_id`` and ``grid``, text; a row a post and zone.

    Raises
    ------
    InputError
        If the file is no such table.
    """
    from gridpart import _io
    from gridpart._excel import WORKBOOKS, sheet_names
    from gridpart.staffing import read_roster
    from gridpart.staffing.roster import known_names, match_headers

    sheets = sheet_names(path) if path.suffix.lower() in WORKBOOKS else []
    if ASSIGNMENT_SHEET in sheets:
        table = _io.read_table(path, sheet=ASSIGNMENT_SHEET)
    elif len(sheets) > 1:
        table = read_roster(path)  # a sheet per community, perhaps: all with posts are read
    else:
        table = _io.read_table(path)
    found = match_headers(list(table.columns))
    if not (len(found["post_id"]) == len(found["grid"]) == 1):
        table = read_roster(path)  # knows titles above the header, and says what it misses
        found = match_headers(list(table.columns))
        if not found["grid"]:
            raise InputError(
                f"{path}: no column says the zone of a post; it may be named {known_names('grid')}"
            )
    columns = [found["post_id"][0], found["grid"][0]]
    return table.iloc[:, columns].set_axis(["post_id", "grid"], axis=1).reset_index(drop=True)


def as_file(where: str | Path | None) -> Path | None:
    """The file that a register or its table is in; None for a database on a server."""
    return None if where is None or "://" in str(where) else Path(where)


def read_register(where: str | Path) -> pd.DataFrame:
    """Codes that were issued, and what became of each: of a register, or of a table.

    Returns
    -------
    DataFrame
        Columns ``code`` and, where the file has one, ``state``, text, by whatever known name they
        go there; other columns pass through.

    Raises
    ------
    InputError
        If the file is no table, or has no codes.
    """
    from gridpart import _io

    path = as_file(where)
    if path is None or path.suffix.lower() not in _io.TABLE_SUFFIXES:
        from gridpart.codes import open_register

        with open_register(where) as register:
            return register.codes()
    table = _io.read_table(path)
    plain = {str(name).strip().casefold(): name for name in reversed(list(table.columns))}
    names = {}
    for ours, headers in REGISTER_HEADERS.items():
        theirs = next((plain[word] for word in headers if word in plain), None)
        if theirs is not None:
            names[theirs] = ours
        elif ours == "code":
            there = ", ".join(map(str, table.columns))
            raise InputError(
                f"{path}: a register needs a column {ours!r} (or {', '.join(headers[1:])}); "
                f"there are: {there}"
            )
    return table.rename(columns=names)
