"""The same for one code and for a column of them: aligned results, all problems together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from gridpart.errors import CodeError, InputError, Problem

if TYPE_CHECKING:
    from gridpart.codes.scheme import Scheme

__all__ = ["convert", "join", "map_pairs", "not_text", "parse"]

Reason = str | None


def not_text(value: Any) -> Reason:
    """Say why a value is no text; None if it is one."""
    if isinstance(value, str):
        return None
    if isinstance(value, int | float) and not pd.isna(value):
        return "is a number, not text: leading zeros would be lost"
    if value is None or value is pd.NA or value is pd.NaT or isinstance(value, float):
        return "is missing"
    return f"is no text but {type(value).__name__}"


def _series(values: list[Any], index: pd.Index) -> pd.Series:
    return pd.Series(values, index=index, dtype=object)


def map_pairs(wrong: Callable[[Any, Any], Reason], codes: Any, parent: Any) -> Any:
    """Apply a check to a code and its parent, or to every pair of two columns."""
    if not isinstance(codes, pd.Series):
        return wrong(codes, parent)
    if not isinstance(parent, pd.Series):
        parents = [parent] * len(codes)
    elif parent.index.equals(codes.index):
        parents = [value if isinstance(value, str) else None for value in parent]
    else:
        raise InputError("codes and parents must have the same index")
    rows = zip(codes.tolist(), parents, strict=True)
    return _series([wrong(code, begins) for code, begins in rows], codes.index)


def convert(codes: Any, wrong: Callable[[Any], Reason], of: Callable[[Any], Any]) -> Any:
    """Convert a code, or every code of a column; refuse what is wrong.

    Raises
    ------
    CodeError
        If a single code is wrong.
    InputError
        If codes of a column are, with all of them.
    """
    if not isinstance(codes, pd.Series):
        reason = wrong(codes)
        if reason is not None:
            raise CodeError(f"code {codes!r} {reason}")
        return of(codes)
    refuse(codes, [wrong(code) for code in codes.tolist()])
    return _series([of(code) for code in codes.tolist()], codes.index)


def refuse(codes: pd.Series, reasons: list[Reason]) -> None:
    """Raise one InputError for every code that has a reason against it."""
    bad = tuple(
        f"row {label!r}: {code!r} {reason}"
        for label, code, reason in zip(codes.index, codes.tolist(), reasons, strict=True)
        if reason is not None
    )
    if bad:
        raise InputError(Problem("bad_code", "codes are out of form", bad))


def parse(scheme: Scheme, codes: Any, level: str | None) -> Any:
    """Take a code apart, or every code of a column; see :meth:`Scheme.parse`."""

    def parts(code: str) -> dict[str, str | None]:
        found: dict[str, str | None] = {segment.name: None for segment in scheme.segments}
        for segment in scheme.segments:
            if segment.classes:
                found[f"{segment.name}_class"] = None
        for segment, text in scheme.pieces(code):
            found[segment.name] = text
            if segment.classes:
                found[f"{segment.name}_class"] = segment.class_of(text)
        own = scheme.level_of(code)
        found["level"] = own.name if own is not None else None
        return found

    rows = convert(codes, lambda code: scheme.check(code, level=level), parts)
    if not isinstance(rows, pd.Series):
        return rows
    names = list(parts(""))
    return pd.DataFrame(
        {name: [row[name] for row in rows] for name in names}, index=rows.index, dtype=object
    )


def join(
    scheme: Scheme, table: pd.DataFrame | None, level: str | None, given: Mapping[str, Any]
) -> Any:
    """Join segments to codes; see :meth:`Scheme.format`."""
    parts = dict(given)
    names = _wanted(scheme, level, "parent" in parts)
    if table is not None:
        parts = {name: table[name] for name in names if name in table.columns} | parts
    _same_parts(names, parts)
    series = [value for value in parts.values() if isinstance(value, pd.Series)]
    if not series:
        code, reasons = _joined(scheme, level, names, [parts[name] for name in names])
        if reasons:
            raise CodeError("; ".join(reasons))
        return code
    index = series[0].index
    if not all(one.index.equals(index) for one in series):
        raise InputError("the columns of a code must have the same index")
    columns = [
        value.tolist() if isinstance(value, pd.Series) else [value] * len(index)
        for value in (parts[name] for name in names)
    ]
    made = [_joined(scheme, level, names, list(row)) for row in zip(*columns, strict=True)]
    bad = tuple(
        f"row {label!r}: {'; '.join(reasons)}"
        for label, (_, reasons) in zip(index, made, strict=True)
        if reasons
    )
    if bad:
        raise InputError(Problem("bad_code", "codes cannot be made", bad))
    return _series([code for code, _ in made], index)


def _wanted(scheme: Scheme, level: str | None, has_parent: bool) -> list[str]:
    width, parent = scheme.width(level), scheme.parent_width(level)
    low = parent if has_parent else 0
    names = [name for name, (_, start, end) in scheme.starts.items() if low <= start < end <= width]
    return ["parent", *names] if has_parent else names


def _same_parts(names: list[str], parts: Mapping[str, Any]) -> None:
    missing = [name for name in names if name not in parts]
    unknown = [name for name in parts if name not in names]
    told = [f"{name} is missing" for name in missing]
    told += [f"there is no {name} beside {', '.join(names)}" for name in unknown]
    if told:
        raise InputError(Problem("segments", "a code cannot be made", tuple(told)))


def _joined(
    scheme: Scheme, level: str | None, names: list[str], values: list[Any]
) -> tuple[str, list[str]]:
    """Code, and what is wrong with its parts."""
    code, reasons = "", []
    for name, value in zip(names, values, strict=True):
        if name == "parent":
            reason = scheme.check_parent(value, level=level)
            text = "" if reason else value
            reason = f"parent code {value!r} {reason}" if reason else None
        else:
            text, reason = _segment_text(scheme, name, value)
        code += text
        if reason:
            reasons.append(reason)
    return code, reasons


def _segment_text(scheme: Scheme, name: str, value: Any) -> tuple[str, Reason]:
    segment = scheme.starts[name][0]
    whole = isinstance(value, int) and not isinstance(value, bool)
    text = f"{value:0{segment.width}d}" if whole else value
    if not isinstance(text, str):
        return "", f"the {name} {value!r} is neither text nor a whole number"
    if len(text) != segment.width or text.startswith("-"):
        return "", f"the {name} {value!r} must have {segment.width} characters"
    reason = segment.wrong_with(text, segment.alphabet)
    return text, f"the code {reason}" if reason else None
