"""Read a roster as it comes: titles above the header, merged cells, Chinese text in any dress."""

from __future__ import annotations

import codecs
import csv
import datetime
import io
import re
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from gridpart._excel import WORKBOOKS, opened
from gridpart._io import PathLike
from gridpart.errors import GridpartWarning, InputError, Problem
from gridpart.staffing.headers import (
    LINE,
    REQUIRED,
    known_names,
    match_headers,
    plain_text,
    rename_headers,
)

__all__ = ["read_roster"]

HEADER_LINES = 10
# Sheets by which the workbook of a staffing is known.
OWN = frozenset({"summary", "by_post", "assignment"})
DELIMITED = (".csv", ".txt", ".tsv")
SEPARATORS = (",", "\t", ";")
# What spreadsheets and databases write for an empty cell.
EMPTY = frozenset({"", "NA", "N/A", "#N/A", "NaN", "nan", "NULL", "null", "None", "<NA>"})


class Row(NamedTuple):
    """A row of a table, and the line of the file on which it begins."""

    line: int
    cells: list[str]

    @property
    def blank(self) -> bool:
        """Whether nothing stands in it."""
        return not any(self.cells)


class Merged(NamedTuple):
    """A text that one merged cell wrote for several rows, and the column where it stands."""

    first: int
    last: int
    column: int
    text: str


class Sheet(NamedTuple):
    """Rows of a table, and what was filled down in them."""

    rows: list[Row]
    merged: list[Merged]


def read_roster(path: PathLike, *, sheet: str | None = None) -> pd.DataFrame:
    r"""Read a roster of posts from a CSV or Excel file.

    Parameters
    ----------
    path : str or path
        ``.csv`` or ``.xlsx`` with one row per post. Title rows above the header are passed over:
        the header is the first of the first ten lines in which a post and a role are named.
    sheet : str, optional
        Which sheet of a workbook; by default the first visible one that has a header, and of the
        workbook of a staffing ``by_post``.

    Returns
    -------
    DataFrame
        Every cell as text, empty ones missing; the index, named ``line``, is the line of the file.
        Known headers, English or Chinese (岗位编号, 岗位, 社区, 网格编码, 固定网格, 技能, 经度,
        纬度), take the names `post_id`, `role`, `within`, `grid`, `fixed`, `capacity`, `skills`,
        `x`, `y`, `lon` and `lat`; other columns pass through. Rows with sums and remarks are still
        there: :func:`check_roster` sets them apart.

    Raises
    ------
    InputError
        If the file is missing or is no table, there is no such sheet, none of its first ten lines
        is a header (the message lists the headers found and the names known), or two columns mean
        the same. What the rows say is checked by :func:`check_roster`.

    Warns
    -----
    GridpartWarning
        If a merged cell stands for several rows, which all get its text; or if a workbook has
        several sheets with a roster, of which one is read.

    Notes
    -----
    A number that a workbook shows with leading zeros (format ``000``) is read with them. A table
    whose header takes several lines of merged cells is read by the lowest of them.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "roster.csv")
    ...     text = "网格员花名册,,\n编号,岗位,社区\n001,网格长,东湖\n"
    ...     _ = path.write_text(text, encoding="gb18030")
    ...     read_roster(path)
         post_id role within
    line
    3        001  网格长     东湖
    """
    rows, merged = _table(path, sheet)
    at = _header_position(rows)
    if at is None:
        raise InputError(_no_header(path, rows))
    header = rows[at]
    width = max(len(row.cells) for row in rows[at:])
    names = [*header.cells, *[""] * (width - len(header.cells))]
    body = [row for row in rows[at + 1 :] if not row.blank]
    cells = [[*row.cells, *[""] * (width - len(row.cells))] for row in body]
    # A column without a header and without a cell is a leftover of the sheet.
    kept = [k for k in range(width) if names[k] or any(row[k] for row in cells)]
    named = rename_headers([names[k] for k in kept], where=f"{path}, line {header.line},")
    columns = [name or f"column {k + 1}" for name, k in zip(named, kept, strict=True)]
    _say_merged(path, merged, header.line, names)
    return pd.DataFrame(
        [[row[k] or float("nan") for k in kept] for row in cells],
        index=pd.Index([row.line for row in body], name=LINE, dtype="int64"),
        columns=columns,
        dtype=object,
    )


def _header_position(rows: Sequence[Row]) -> int | None:
    """Position of the header; of several that follow each other, made by merging, the last."""
    at = None
    for k, row in enumerate(rows):
        if row.line > HEADER_LINES and at is None:
            break
        found = match_headers(row.cells)
        if all(found[name] for name in REQUIRED):
            at = k
        elif at is not None:
            break
    return at


def _say_merged(
    path: PathLike, merged: Iterable[Merged], header: int, names: Sequence[str]
) -> None:
    known = {k for places in match_headers(names).values() for k in places}
    examples = tuple(
        f"lines {one.first} to {one.last}, {names[one.column] or f'column {one.column + 1}'}"
        # of other columns nothing is repeated: they may hold names and numbers of people
        + (f": {one.text!r}" if one.column in known else "")
        for one in merged
        if one.last > header
    )
    if examples:
        text = f"{path}: a merged cell stands for every row that it covers"
        warnings.warn(str(Problem("merged", text, examples)), GridpartWarning, stacklevel=3)


def _no_header(path: PathLike, rows: list[Row]) -> str:
    """Say what stands in the line that is most like a header, and what is missing in it."""
    early = [row for row in rows if row.line <= HEADER_LINES and not row.blank]
    if not early:
        return f"{path}: the table is empty"

    def likeness(row: Row) -> tuple[int, int]:
        known = sum(bool(places) for places in match_headers(row.cells).values())
        return known, sum(map(bool, row.cells))

    best = max(early, key=likeness)
    found = match_headers(best.cells)
    missing = "; ".join(
        f"no column for {name!r}, which may be named {known_names(name)}"
        for name in REQUIRED
        if not found[name]
    )
    listed = ", ".join(cell for cell in best.cells if cell)
    return (
        f"{path}: no header row in the first {HEADER_LINES} lines. The nearest is line "
        f"{best.line}: {listed}. There is {missing}"
    )


def _table(path: PathLike, sheet: str | None) -> Sheet:
    file = Path(path)
    if not file.is_file():
        raise InputError(f"{path}: no such file")
    suffix = file.suffix.lower()
    if suffix in WORKBOOKS:
        return _workbook_table(file, sheet)
    if suffix not in DELIMITED:
        known = ", ".join((*DELIMITED, *WORKBOOKS))
        raise InputError(f"{path}: a roster must be one of {known}; save it as .xlsx")
    if sheet is not None:
        raise InputError(f"{path}: only a workbook has sheets; leave sheet={sheet!r} out")
    return Sheet(_delimited_rows(file), [])


# ---------------------------------------------------------------- workbooks


def _workbook_table(path: Path, wanted: str | None) -> Sheet:
    with opened(path) as book:
        sheets = {str(sheet.title): sheet for sheet in book.worksheets}
        if wanted is not None and wanted not in sheets:
            raise InputError(f"{path}: no sheet {wanted!r}; the file has: {', '.join(sheets)}")
        name = wanted or _choose(path, sheets)
        return _read_sheet(sheets[name])


def _choose(path: Path, sheets: dict[str, Any]) -> str:
    """The first visible sheet with a header; what is not read is said."""
    visible = [name for name, sheet in sheets.items() if sheet.sheet_state == "visible"]
    names = visible or list(sheets)
    rosters = [
        name
        for name in names
        if _header_position(_read_sheet(sheets[name], last=HEADER_LINES).rows) is not None
    ]
    if not rosters:
        return names[0]
    if set(names) >= OWN:
        return "by_post"  # the others say the same once more
    chosen, others = rosters[0], rosters[1:]
    if others:
        listed = ", ".join(repr(name) for name in others)
        warnings.warn(
            f"{path}: only sheet {chosen!r} is read; there are posts on {listed} too: put all on "
            "one sheet, or name the one that is meant (sheet=, --sheet)",
            GridpartWarning,
            stacklevel=5,
        )
    elif chosen != names[0]:
        text = f"{path}: sheet {chosen!r} is read; {names[0]!r} has no header of a roster"
        warnings.warn(text, GridpartWarning, stacklevel=5)
    return chosen


def _read_sheet(sheet: Any, *, last: int | None = None) -> Sheet:
    """Rows as they are shown, and every merged cell written into all rows that it covers."""
    lines: dict[int, dict[int, str]] = {}
    # only the cells that are there: a sheet may be formatted down to its millionth row
    for (line, column), cell in sheet._cells.items():
        if (last is None or line <= last) and (text := _shown(cell)):
            lines.setdefault(line, {})[column] = text
    end = max(lines, default=0)
    merged = []
    for area in sorted(sheet.merged_cells.ranges, key=lambda area: area.bounds):
        left, top, _, bottom = area.bounds
        shared = lines.get(top, {}).get(left)
        covered = [line for line in range(top + 1, min(bottom, end) + 1) if line in lines]
        if shared and covered:
            merged.append(Merged(top, covered[-1], left - 1, shared))
            for line in covered:
                lines[line][left] = shared
    rows = [
        Row(line, [cells.get(column, "") for column in range(1, max(cells) + 1)])
        for line, cells in sorted(lines.items())
    ]
    return Sheet(rows, merged)


def _shown(cell: Any) -> str:
    """Text of a cell as an officer sees it."""
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, str):
        return _clean(value)
    if isinstance(value, datetime.datetime):
        return str(value.date()) if value.time() == datetime.time() else str(value)
    text = plain_text(value) or ""
    # a format of zeros shows 7 as 007
    if text.isdigit() and re.fullmatch("0{2,}", str(cell.number_format)):
        return text.zfill(len(cell.number_format))
    return _clean(text)


# ---------------------------------------------------------------- delimited text


def _clean(cell: str) -> str:
    text = cell.strip()
    # ="007" and '007 are how programs keep a spreadsheet from cutting the zeros
    kept = re.fullmatch(r"=\s*\"([^\"]*)\"|'(\d+)", text)
    if kept:
        text = (kept[1] or kept[2] or "").strip()
    return "" if text in EMPTY else text


def _delimited_rows(file: Path) -> list[Row]:
    try:
        content = file.read_bytes()
        if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            text = content.decode("utf-16")  # what a spreadsheet calls Unicode text
        else:
            try:
                text = content.decode("utf-8-sig")
            except UnicodeDecodeError:
                text = content.decode("gb18030")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read as a table ({error})") from error
    parsed, errors = [], []
    for separator in SEPARATORS:
        try:
            rows = _parse(text, separator)
        except csv.Error as error:
            errors.append(str(error))
            continue
        # A title, or a remark in a cell, may hold other separators: the header decides.
        if _header_position(rows) is not None:
            return rows
        parsed.append(rows)
    if errors:
        raise InputError(f"{file}: cannot be read as a table ({errors[0]})")
    return max(parsed, key=lambda rows: max((len(row.cells) for row in rows), default=0))


def _parse(text: str, separator: str) -> list[Row]:
    # strict: a quote that is never closed must not swallow the posts after it
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows, line = [], 1
    try:
        for cells in reader:
            rows.append(Row(line, [_clean(cell) for cell in cells]))
            line = reader.line_num + 1
    except csv.Error as error:
        raise csv.Error(f"line {line}: {error}") from error
    return rows
