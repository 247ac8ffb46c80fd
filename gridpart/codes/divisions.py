"""Lists of division codes that exist, against which the parents of grids can be checked.

The national list of village codes has not been published since October 2024, so the list is the
user's own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any

from gridpart.errors import InputError, Problem

if TYPE_CHECKING:
    from gridpart._io import PathLike

__all__ = ["division_lengths", "divisions_from", "read_divisions"]

LENGTHS = (2, 4, 6, 9, 12)
HEADERS = ("code", "division_code", "编码", "代码", "区划代码", "统计用区划代码")


def read_divisions(path: PathLike, *, column: str | None = None) -> frozenset[str]:
    """Read division codes of a table.

    Parameters
    ----------
    path : str or path
        CSV or Excel; every cell is read as text.
    column : str, optional
        Column with the codes; by default one called ``code`` or its like.

    Returns
    -------
    frozenset of str
        Codes of 2, 4, 6, 9 and 12 digits; see :func:`divisions_from`.

    Raises
    ------
    InputError
        If there is no such column, or a code is out of form.
    """
    from gridpart import _io

    table = _io.read_table(path)
    names = {str(name).strip().casefold(): name for name in reversed(list(table.columns))}
    wanted = (column,) if column is not None else HEADERS
    found = next((names[word.casefold()] for word in wanted if word.casefold() in names), None)
    if found is None:
        there = ", ".join(map(str, table.columns))
        raise InputError(f"{path}: no column {' or '.join(wanted)}; there are: {there}")
    return divisions_from(table[found].dropna())


def divisions_from(codes: Iterable[Any]) -> frozenset[str]:
    """Division codes as they begin grid codes: without the zeros that fill them up.

    Parameters
    ----------
    codes : iterable of str
        2 (province), 4 (prefecture), 6 (county), 9 (street) or 12 digits (community). A code of
        12 digits that ends with ``000000`` is a county's, one that ends with ``000`` a street's.

    Returns
    -------
    frozenset of str

    Raises
    ------
    InputError
        If a code is out of form, with all of them.

    Examples
    --------
    >>> sorted(divisions_from(["330102", "330102001000", "330102001051"]))
    ['330102', '330102001', '330102001051']
    """
    found, bad = set(), []
    for code in codes:
        if not isinstance(code, str) or not code.isascii() or not code.isdigit():
            bad.append(f"{code!r}")
            continue
        if len(code) == 12:
            code = (
                code.removesuffix("000000") if code.endswith("000000") else code.removesuffix("000")
            )
        if len(code) not in LENGTHS:
            bad.append(f"{code!r}")
        found.add(code)
    if bad:
        text = "division codes must be texts of 2, 4, 6, 9 or 12 digits"
        raise InputError(Problem("division_code", text, tuple(bad)))
    return frozenset(found)


def division_lengths(divisions: Collection[str]) -> tuple[int, ...]:
    """Lengths of codes that a list has, ascending."""
    return tuple(sorted({len(code) for code in divisions}))
