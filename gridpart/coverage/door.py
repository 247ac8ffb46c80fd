"""What was asked of an audit, held against what was given to it, before anything is measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from numbers import Real
from typing import TYPE_CHECKING

from gridpart.coverage.rules import Band
from gridpart.coverage.scene import default_column
from gridpart.errors import InputError, Problem

if TYPE_CHECKING:
    import geopandas as gpd
    import pandas as pd

__all__ = ["NO_UNITS", "check_request"]

NO_UNITS = "there are no units: the layer has no rows"


def check_request(
    zones: gpd.GeoDataFrame,
    units: gpd.GeoDataFrame | None,
    band: Band,
    *,
    zone_columns: Mapping[str, str | None],
    unit_columns: Mapping[str, str | None],
) -> None:
    """Refuse what could only end in a check that silently does not run.

    Parameters
    ----------
    zones, units : GeoDataFrame
        As given to the audit.
    band : Band
        The band asked for.
    zone_columns, unit_columns : mapping of str to str or None
        Options of the audit that name columns, and the columns they name.

    Raises
    ------
    InputError
        With one problem for each thing that cannot be checked as asked.
    """
    problems = [*_missing(zones, zone_columns, "zones")]
    if units is None:
        problems += _without_units(unit_columns)
    else:
        problems += _missing(units, unit_columns, "units")
        if not len(units):
            problems.append(Problem("no_units", NO_UNITS))
    problems += _band(zones, units, band, {**zone_columns, **unit_columns})
    if problems:
        raise InputError(problems)


def _missing(
    frame: pd.DataFrame, columns: Mapping[str, str | None], what: str
) -> Iterator[Problem]:
    """Say which named columns a layer lacks, and what it has."""
    names = ", ".join(str(column) for column in frame.columns)
    for name in dict.fromkeys(columns.values()):
        if name is not None and name not in frame.columns:
            yield Problem("missing_column", f"{what}: no column {name!r}; there are: {names}")


def _without_units(columns: Mapping[str, str | None]) -> Iterator[Problem]:
    for option, name in columns.items():
        if name is not None:
            yield Problem(
                "needs_units",
                f"{option} {name!r} names a column of units, but no units were given: give the "
                f"units, or leave {option} out",
            )


def _band(
    zones: gpd.GeoDataFrame,
    units: gpd.GeoDataFrame | None,
    band: Band,
    columns: Mapping[str, str | None],
) -> Iterator[Problem]:
    """Say why a band cannot be held against the zones."""
    if band == Band():
        return
    bounds = {"low": band.low, "high": band.high}
    wrong = [
        name for name, n in bounds.items() if not (n is None or (isinstance(n, Real) and n >= 0))
    ]
    for name in wrong:
        said = f"{name} must be a number of households, not below 0, got {bounds[name]!r}"
        yield Problem("bad_band", said)
    if not wrong and band.low is not None and band.high is not None and band.low > band.high:
        yield Problem("empty_band", f"the band is empty: low {band.low} is above high {band.high}")
    named = columns.get("households") or columns.get("zone_households")
    counted = units is not None and "households" in units.columns
    if not (named or counted or default_column(zones, "households")):
        yield Problem(
            "band_without_households",
            f"the band {band} was asked for, but there are no households to judge by: give units "
            "with a column of households and name it by households, or name the column of the "
            "zones by zone_households, or leave low and high out",
        )
