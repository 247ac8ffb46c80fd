"""The forms of the unit grid's codes: what is wrong with one, and how one is made."""

from __future__ import annotations

from typing import Any

from gridpart.codes.reading import load_scheme
from gridpart.codes.scheme import Scheme
from gridpart.errors import CodeError

__all__ = ["check_code", "check_parent", "make_code"]


def check_parent(parent: Any, *, scheme: str | Scheme = "unit-grid") -> str | None:
    """Say what is wrong with a parent code; None if nothing is.

    Parameters
    ----------
    parent : object
        Should be a text of 12 digits.
    scheme : str, path or Scheme, default "unit-grid"
        Of the codes of which it is to be the parent.

    Returns
    -------
    str or None

    Examples
    --------
    >>> check_parent("420583001001")
    >>> check_parent(420583001001)
    'is a number, not text: leading zeros would be lost'
    """
    return load_scheme(scheme).check_parent(parent)


def check_code(
    code: Any, parent: str | None = None, *, scheme: str | Scheme = "unit-grid"
) -> str | None:
    """Say what is wrong with a grid code; None if nothing is.

    Parameters
    ----------
    code : object
        Should be a text of 15 digits or, in legacy codes, capital letters.
    parent : str, optional
        The 12 characters with which it must begin.
    scheme : str, path or Scheme, default "unit-grid"
        What codes are made of; see :func:`load_scheme`.

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
    reason: str | None = load_scheme(scheme).check(code, parent=parent)
    return reason


def make_code(parent: str, serial: int, *, scheme: str | Scheme = "unit-grid") -> str:
    """Join a parent and a serial.

    Parameters
    ----------
    parent : str
        12 digits.
    serial : int
        1 to 999.
    scheme : str, path or Scheme, default "unit-grid"
        What codes are made of; see :func:`load_scheme`.

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
    rules = load_scheme(scheme)
    wrong = rules.check_parent(parent)
    if wrong:
        raise CodeError(f"parent code {parent!r} {wrong}")
    ranges = rules.level().serials.values()
    if not any(first <= serial <= last for first, last in ranges):
        width = rules.width() - rules.parent_width()
        told = " or ".join(f"from {first:0{width}d} to {last:0{width}d}" for first, last in ranges)
        raise CodeError(f"serial {serial} under {parent}: serials run {told}")
    return rules.join(parent, serial)
