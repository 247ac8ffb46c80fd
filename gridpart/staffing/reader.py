"""Read a roster as it comes: titles above the header, merged cells, Chinese text in any dress."""

from __future__ import annotations

import codecs
import csv
import datetime
import io
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from gridpart._excel import WORKBOOKS, opened
from gridpart._io import PathLike
from gridpart.errors import GridpartWarning, InputError, Problem
from gridpart.staffing.headers import (
    LINE,
    REQUIRED,
    SHEET,
    known_names,
    match_headers,
    plain_text,
    rename_headers,
)

__all__ = ["read_roster"]

HEADER_LINES = 10
# Of the workbook of a staffing this sheet says everything; the others say it once more.
OWN = "by_post"
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
    """Rows of a table, what was filled down in them, and its name where there are several."""

    rows: list[Row]
    merged: list[Merged]
    name: str | None = None

    @property
    def where(self) -> str:
        """Words that say which sheet it is, to stand before a line."""
        return "" if self.name is None else f"sheet {self.name!r}, "


class Posts(NamedTuple):
    """Rows below a header: their lines, and their cells by the column's name and number.

    The number tells columns apart that have the same name.
    """

    sheet: str | None
    columns: list[tuple[str, int]]
    lines: list[int]
    cells: list[dict[tuple[str, int], str]]


def read_roster(path: PathLike, *, sheet: str | None = None) -> pd.DataFrame:
    r"""Read a roster of posts from a CSV or Excel file.

    Parameters
    ----------
    path : str or path
        ``.csv`` or ``.xlsx`` with one row per post. Title rows above the header are passed over:
        the header is the first of the first ten lines in which a post and a role are named.
    sheet : str, optional
        Which sheet of a workbook; by default all visible ones that have a header, read together,
        and of the workbook of a staffing ``by_post`` alone.

    Returns
    -------
    DataFrame
        Every cell as text, empty ones missing; the index, named ``line``, is the line of the file.
        Where a workbook has posts on several sheets, it has two levels: ``sheet``, ``line``.
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
        If a merged cell stands for several rows, which all get its text; if sheets are not
        read because they have no header of a roster, or are hidden and have one.

    Notes
    -----
    Every sheet has a header of its own; the columns need not be the same. A sheet may bear the
    name of a community: see :func:`check_roster`.
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
    sheets, notes = _sheets(path, sheet)
    parts: list[Posts] = []
    problems: list[Problem] = []
    for one in sheets:
        try:
            posts, merged = _posts(path, one)
        except InputError as error:  # those of the other sheets are told with them
            problems += error.problems
        else:
            parts.append(posts)
            notes += merged
    if problems:
        raise InputError(problems)
    for note in notes:
        warnings.warn(note, GridpartWarning, stacklevel=2)
    return _together(parts)


def _posts(path: PathLike, sheet: Sheet) -> tuple[Posts, list[str]]:
    """Rows below the header of one sheet, and what is to be said of its merged cells."""
    rows = sheet.rows
    at = _header_position(rows)
    if at is None:
        raise InputError(_no_header(path, sheet))
    header = rows[at]
    width = max(len(row.cells) for row in rows[at:])
    names = [*header.cells, *[""] * (width - len(header.cells))]
    body = [row for row in rows[at + 1 :] if not row.blank]
    # A column without a header and without a cell is a leftover of the sheet.
    filled = {k for row in body for k, cell in enumerate(row.cells) if cell}
    kept = [k for k in range(width) if names[k] or k in filled]
    where = f"{path}, {sheet.where}line {header.line},"
    named = rename_headers([names[k] for k in kept], where=where)
    columns = [name or f"column {k + 1}" for name, k in zip(named, kept, strict=True)]
    numbered = [(name, columns[:k].count(name)) for k, name in enumerate(columns)]
    by_place = dict(zip(kept, numbered, strict=True))
    cells = [
        {by_place[k]: cell for k, cell in enumerate(row.cells) if cell and k in by_place}
        for row in body
    ]
    posts = Posts(sheet.name, numbered, [row.line for row in body], cells)
    return posts, _on_merged(path, sheet, header.line, names)


def _together(parts: Sequence[Posts]) -> pd.DataFrame:
    """One table of the rows of all sheets; a column that a sheet does not have is empty there."""
    columns = list(dict.fromkeys(column for part in parts for column in part.columns))
    lines = [line for part in parts for line in part.lines]
    index = pd.Index(lines, name=LINE, dtype="int64")
    if any(part.sheet is not None for part in parts):
        names = [part.sheet for part in parts for _ in part.lines]
        index = pd.MultiIndex.from_arrays([names, index], names=[SHEET, LINE])
    empty = float("nan")
    return pd.DataFrame(
        [[row.get(column, empty) for column in columns] for part in parts for row in part.cells],
        index=index,
        columns=[name for name, _ in columns],
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


def _on_merged(path: PathLike, sheet: Sheet, header: int, names: Sequence[str]) -> list[str]:
    known = {k for places in match_headers(names).values() for k in places}
    examples = tuple(
        f"{sheet.where}lines {one.first} to {one.last}, "
        f"{names[one.column] or f'column {one.column + 1}'}"
        # of other columns nothing is repeated: they may hold names and numbers of people
        + (f": {one.text!r}" if one.column in known else "")
        for one in sheet.merged
        if one.last > header
    )
    text = f"{path}: a merged cell stands for every row that it covers"
    return [str(Problem("merged", text, examples))] if examples else []


def _nearest(sheet: Sheet) -> tuple[Row, dict[str, list[int]]] | None:
    """The line that is most like a header, and the columns known in it."""

    def known(row: Row) -> dict[str, list[int]]:
        return {name: places for name, places in match_headers(row.cells).items() if places}

    early = [row for row in sheet.rows if row.line <= HEADER_LINES and not row.blank]
    best = max(early, key=lambda row: (len(known(row)), sum(map(bool, row.cells))), default=None)
    return None if best is None else (best, known(best))


def _no_header(path: PathLike, sheet: Sheet) -> str:
    """Say what stands in the line that is most like a header, and what is missing in it."""
    found = _nearest(sheet)
    if found is None:
        return f"{path}: {sheet.where}the table is empty"
    best, known = found
    missing = "; ".join(
        f"no column for {name!r}, which may be named {known_names(name)}"
        for name in REQUIRED
        if name not in known
    )
    listed = ", ".join(cell for cell in best.cells if cell)
    return (
        f"{path}: {sheet.where}no header row in the first {HEADER_LINES} lines. The nearest is "
        f"line {best.line}: {listed}. There is {missing}"
    )


def _sheets(path: PathLike, sheet: str | None) -> tuple[list[Sheet], list[str]]:
    """Sheets that are to be read, and what is to be said of the others."""
    file = Path(path)
    if not file.is_file():
        raise InputError(f"{path}: no such file")
    suffix = file.suffix.lower()
    if suffix in WORKBOOKS:
        return _of_workbook(file, sheet)
    if suffix not in DELIMITED:
        known = ", ".join((*DELIMITED, *WORKBOOKS))
        raise InputError(f"{path}: a roster must be one of {known}; save it as .xlsx")
    if sheet is not None:
        raise InputError(f"{path}: only a workbook has sheets; leave sheet={sheet!r} out")
    return [Sheet(_delimited_rows(file), [])], []


# ---------------------------------------------------------------- workbooks


def _of_workbook(path: Path, wanted: str | None) -> tuple[list[Sheet], list[str]]:
    with opened(path) as book:
        state = {str(sheet.title): sheet.sheet_state for sheet in book.worksheets}
        sheets = {str(sheet.title): _read_sheet(sheet) for sheet in book.worksheets}
    if wanted is not None and wanted not in sheets:
        raise InputError(f"{path}: no sheet {wanted!r}; the file has: {', '.join(sheets)}")
    visible = [name for name in sheets if state[name] == "visible"] or list(sheets)
    with_posts = [name for name in sheets if _header_position(sheets[name].rows) is not None]
    rosters = [name for name in visible if name in with_posts]
    if OWN in rosters:
        rosters = with_posts = visible = [OWN]
    # The sheet stands in the index where it is needed to tell lines apart, also of one of them.
    several = len(rosters) > 1 and (wanted is None or wanted in rosters)
    if wanted is not None:
        chosen, notes = [wanted], []
    else:
        written = [name for name in visible if sheets[name].rows]
        chosen = rosters or (written or visible)[:1]
        bare = {name: sheets[name] for name in written if name not in chosen}
        notes = _on_others(path, bare, [name for name in with_posts if name not in rosters])
    return [sheets[n]._replace(name=n if several else None) for n in chosen], notes


def _on_others(path: Path, bare: Mapping[str, Sheet], hidden: Sequence[str]) -> list[str]:
    """What is to be said of sheets that are not read."""
    whose = []
    for name, sheet in bare.items():
        found = _nearest(sheet)
        lacking = [ours for ours in REQUIRED if found is not None and ours not in found[1]]
        if found is None or len(found[1]) < len(REQUIRED):
            whose.append(f"{name!r}, which has no header of a roster")
        else:  # one column short of it: posts may stand there
            listed = " and ".join(map(repr, lacking))
            whose.append(f"{name!r}, whose line {found[0].line} has no column for {listed}")
    notes = [f"{path}: not read: {'; '.join(whose)}"] if whose else []
    if hidden:
        listed = ", ".join(map(repr, hidden))
        notes.append(f"{path}: not read, for it is hidden, but there are posts on it: {listed}")
    return notes


def _read_sheet(sheet: Any) -> Sheet:
    """Rows as they are shown, and every merged cell written into all rows that it covers."""
    lines: dict[int, dict[int, str]] = {}
    # only the cells that are there: a sheet may be formatted down to its millionth row
    for (line, column), cell in sheet._cells.items():
        if text := _shown(cell):
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
