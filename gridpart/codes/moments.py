"""Points in time as UTC text of one width, so that they sort as text."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from gridpart.errors import InputError

__all__ = ["as_past", "as_utc"]

AHEAD = timedelta(hours=14)  # where a day begins first, it does so 14 hours before UTC


def as_utc(moment: Any) -> str:
    """A moment as ``YYYY-MM-DDTHH:MM:SSZ``.

    Parameters
    ----------
    moment : datetime, date, str or None
        A datetime with its time zone, a date (its first second in UTC), ISO 8601 text of either,
        or None for now.

    Returns
    -------
    str

    Raises
    ------
    InputError
        If it is none of these, or a time of day without a time zone.

    Examples
    --------
    >>> as_utc("2021-05-01")
    '2021-05-01T00:00:00Z'
    >>> as_utc("2021-05-01T08:30:00+08:00")
    '2021-05-01T00:30:00Z'
    """
    if moment is None:
        moment = datetime.now(UTC)
    if isinstance(moment, str):
        moment = _read(moment)
    if isinstance(moment, date) and not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
    if not isinstance(moment, datetime):
        raise InputError(f"{moment!r} is no point in time; say 2021-05-01, or 2021-05-01T08:30:00Z")
    if moment.tzinfo is None:
        raise InputError(
            f"{moment.isoformat()} has no time zone; say {moment.isoformat()}Z for UTC"
        )
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def as_past(moment: Any, *, what: str = "the date of a change") -> str:
    """A moment as :func:`as_utc` has it, which must not be after today.

    Codes are issued and retired when that is decided: a later date is rather a slip of the pen,
    and would keep every later change of the same grids waiting for it.

    Parameters
    ----------
    moment : datetime, date, str or None
        Of a change. Today is today wherever on earth it is latest.
    what : str
        What the message calls it.

    Returns
    -------
    str

    Raises
    ------
    InputError
        If it is later than today, or no moment.

    Examples
    --------
    >>> as_past("2021-05-01")
    '2021-05-01T00:00:00Z'
    >>> as_past("9021-05-01")
    Traceback (most recent call last):
        ...
    gridpart.errors.InputError: the date of a change is 9021-05-01, later than today
    """
    at = as_utc(moment)
    if at[:10] > (datetime.now(UTC) + AHEAD).strftime("%Y-%m-%d"):
        raise InputError(f"{what} is {at.removesuffix('T00:00:00Z')}, later than today")
    return at


def _read(text: str) -> datetime | date:
    try:
        return date.fromisoformat(text) if len(text) == 10 else datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(
            f"{text!r} is no point in time; say 2021-05-01, or 2021-05-01T08:30:00Z"
        ) from error
