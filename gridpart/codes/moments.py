"""Points in time as UTC text of one width, so that they sort as text."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from gridpart.errors import InputError

__all__ = ["as_utc"]


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


def _read(text: str) -> datetime | date:
    try:
        return date.fromisoformat(text) if len(text) == 10 else datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(
            f"{text!r} is no point in time; say 2021-05-01, or 2021-05-01T08:30:00Z"
        ) from error
