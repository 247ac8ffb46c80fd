"""What can be wrong with the columns and the shapes of units, each found in one pass."""

from __future__ import annotations

import difflib
import numbers
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import shapely

from gridpart._geometry.segments import Bools, Ints, Objects, finite
from gridpart.errors import InputError, Problem

POLYGONAL = (3, 6)  # shapely's type ids of Polygon and MultiPolygon
MOST_HOUSEHOLDS = 10**9  # in one unit; more is a wrong column or a wrong unit of measure


def check_frame(units: Any) -> None:
    """Units must be a GeoDataFrame with rows and a geometry column."""
    import geopandas as gpd

    if not isinstance(units, gpd.GeoDataFrame):
        raise InputError(f"units must be a GeoDataFrame, got {type(units).__name__}")
    if units.active_geometry_name is None:
        raise InputError("the units have no geometry column; choose one with set_geometry")
    if not len(units):
        raise InputError("there are no units: the layer has no rows")


def examples(names: Objects, bad: Bools, values: Any = None) -> tuple[str, ...]:
    """Name the offending units, with their values."""
    if values is None:
        return tuple(f"unit {name}" for name in names[bad])
    return tuple(f"unit {n}: {v}" for n, v in zip(names[bad], values, strict=True))


def check_shapes(geometries: Objects, names: Objects) -> tuple[Bools, list[Problem]]:
    """Which geometries can be measured, and what is wrong with the others."""
    missing = shapely.is_missing(geometries)
    empty = ~missing & shapely.is_empty(geometries)
    other = ~missing & ~empty & ~np.isin(shapely.get_type_id(geometries), POLYGONAL)
    sound = ~(missing | empty | other)
    infinite = sound & ~finite(geometries)
    sound &= ~infinite
    invalid = sound.copy()
    invalid[sound] = ~shapely.is_valid(geometries[sound])
    sound &= ~invalid
    repair = "repair_units (--repair) makes them valid"
    kinds = [
        ("missing_geometry", "units without geometry; remove them or draw them", missing, None),
        ("empty_geometry", "units with an empty geometry; remove them or draw them", empty, None),
        (
            "not_polygon",
            "every unit must be a Polygon or MultiPolygon",
            other,
            [geometry.geom_type for geometry in geometries[other]],
        ),
        ("not_finite", "coordinates must be finite numbers, up to 1e9", infinite, None),
        (
            "invalid_geometry",
            f"polygons are invalid; {repair}",
            invalid,
            shapely.is_valid_reason(geometries[invalid]),
        ),
    ]
    problems = [
        Problem(kind, message, examples(names, bad, values))
        for kind, message, bad, values in kinds
        if bad.any()
    ]
    return sound, problems


def unit_names(units: pd.DataFrame, column: str | None) -> Objects:
    """What units are called in messages: their id if it can be read, else their index."""
    if column is not None and list(units.columns).count(column) == 1:
        values = units[column]
        if not values.isna().any():
            return values.to_numpy(dtype=object)
    return units.index.to_numpy(dtype=object)


def missing_columns(units: pd.DataFrame, wanted: Mapping[str, str | None]) -> list[Problem]:
    """A problem for each wanted column that is not there, or there twice."""
    problems = []
    columns = list(units.columns)
    for role, name in wanted.items():
        if name is None or columns.count(name) == 1:
            continue
        if columns.count(name) > 1:
            text = f"column {name!r} for the {role} exists {columns.count(name)} times; keep one"
            problems.append(Problem("duplicate_column", text))
        else:
            text = f"no column {name!r} for the {role}; {_suggestion(name, columns)}"
            problems.append(Problem("missing_column", text))
    return problems


def _suggestion(name: str, columns: Sequence[Hashable]) -> str:
    plain = {str(column).casefold(): str(column) for column in columns}
    close = difflib.get_close_matches(str(name).casefold(), plain, n=1)
    if close:
        return f"did you mean {plain[close[0]]!r}?"
    return "the columns are: " + ", ".join(map(str, columns))


def _usable(units: pd.DataFrame, column: str | None) -> bool:
    return column is not None and list(units.columns).count(column) == 1


def check_households(
    units: pd.DataFrame, column: str, names: Objects
) -> tuple[Ints, list[Problem]]:
    """Household counts as ``int64`` (0 where they are no counts), and what is wrong with them."""
    counts = np.zeros(len(units), dtype=np.int64)
    if not _usable(units, column):
        return counts, []
    values = units[column].to_numpy(dtype=object)
    missing = pd.isna(units[column]).to_numpy()
    boolean = ~missing & _of_type(values, (bool, np.bool_))
    number = ~missing & ~boolean & _of_type(values, (numbers.Number, np.number))
    number &= ~_of_type(values, (complex, np.complexfloating))
    text = ~missing & _of_type(values, str)
    strange = ~(missing | boolean | number | text)
    amount = np.zeros(len(units))
    amount[number] = [_amount(value) for value in values[number]]
    infinite = number & ~np.isfinite(amount)
    negative = number & ~infinite & (amount < 0)
    huge = number & ~infinite & (amount > MOST_HOUSEHOLDS)
    whole = number & ~(infinite | negative | huge)
    fraction = whole & (amount != np.floor(amount))
    whole &= ~fraction
    counts[whole] = amount[whole].astype(np.int64)
    digits = f"households must be numbers, but {column!r} holds text; convert it with pd.to_numeric"
    kinds = {
        "missing_households": ("households are missing; enter 0 for an empty unit", missing),
        "boolean_households": ("households must be counts, not true or false", boolean),
        "text_households": (digits, text),
        "not_a_number": ("households must be whole numbers", strange),
        "infinite_households": ("households must be finite", infinite),
        "negative_households": ("households must not be negative", negative),
        "huge_households": (f"households must be at most {MOST_HOUSEHOLDS:,}", huge),
        "fractional_households": ("households must be whole; round them first", fraction),
    }
    problems = [
        Problem(kind, message, _with_values(names, values, bad))
        for kind, (message, bad) in kinds.items()
        if bad.any()
    ]
    return counts, problems


def _amount(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:  # a Python integer may have any number of digits
        return 1e300 if value > 0 else -1e300


def _of_type(values: Objects, types: Any) -> Bools:
    return np.fromiter(
        (isinstance(value, types) for value in values), dtype=bool, count=len(values)
    )


def _with_values(names: Objects, values: Objects, bad: Bools) -> tuple[str, ...]:
    texts = (repr(v) if isinstance(v, str) else str(v) for v in values[bad])
    return tuple(f"unit {name}: {text}" for name, text in zip(names[bad], texts, strict=True))


def _blank(values: pd.Series) -> Bools:
    """Missing, or text of blanks only."""
    blank = values.isna().to_numpy().copy()
    blank |= np.fromiter(
        (isinstance(value, str) and not value.strip() for value in values), bool, len(values)
    )
    return blank


def _repeated(values: pd.Series) -> tuple[str, ...]:
    """Each value that occurs more than once, with how often."""
    if values.is_unique:
        return ()  # quick, and without the scratch space that naming them takes
    often = values[values.duplicated(keep=False)].value_counts(sort=False)
    return tuple(f"{value}: {count} times" for value, count in often.items())


def check_ids(units: pd.DataFrame, column: str | None) -> list[Problem]:
    """The index must be unique, the ids too, and complete."""
    problems = []
    repeated = _repeated(units.index.to_series())
    if repeated:
        text = "the index must be unique, for results are joined on it; use reset_index(drop=True)"
        problems.append(Problem("duplicate_index", text, repeated))
    if column is None or not _usable(units, column):
        return problems
    blank = _blank(units[column])
    if blank.any():
        rows = tuple(f"row {name}" for name in units.index[blank])
        problems.append(Problem("missing_id", f"ids are missing in {column!r}", rows))
    repeated = _repeated(units[column][~blank])
    if repeated:
        problems.append(Problem("duplicate_id", f"ids in {column!r} must be unique", repeated))
    return problems


def check_within(units: pd.DataFrame, column: str | None, names: Objects) -> list[Problem]:
    """Every unit must belong to a community."""
    if column is None or not _usable(units, column):
        return []
    blank = _blank(units[column])
    if not blank.any():
        return []
    examples = tuple(f"unit {name}" for name in names[blank])
    return [Problem("missing_within", f"the community is missing in {column!r}", examples)]
