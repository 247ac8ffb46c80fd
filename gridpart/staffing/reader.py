"""Read a roster as it comes: a title above the header, any of three separators, two encodings."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from gridpart._io import PathLike, read_table
from gridpart.errors import InputError
from gridpart.staffing.roster import (
    LINE,
    REQUIRED,
    known_names,
    match_headers,
    rename_headers,
)

__all__ = ["read_roster"]

HEADER_LINES = 10
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


def read_roster(path: PathLike) -> pd.DataFrame:
    r"""Read a roster of posts from a CSV or Excel file.

    Parameters
    ----------
    path : str or path
        ``.csv`` or ``.xlsx`` (its first sheet) with one row per post. Title rows above the header
        are passed over: the header is the first of the first ten lines in which a post and a role
        are named.

    Returns
    -------
    DataFrame
        Every cell as text, empty ones missing; the index, named ``line``, is the line of the file.
        Known headers, English or Chinese (岗位编号, 岗位, 社区, 网格编码), take the names
        `post_id`, `role`, `within`, `grid` and `capacity`; other columns pass through.

    Raises
    ------
    InputError
        If the file is missing or is no table, if none of its first ten lines is a header (the
        message lists the headers found and the names known), or two columns mean the same. What
        the rows say is checked by :func:`check_roster`.

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
    rows = _rows(path)
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
    return pd.DataFrame(
        [[row[k] or float("nan") for k in kept] for row in cells],
        index=pd.Index([row.line for row in body], name=LINE, dtype="int64"),
        columns=columns,
        dtype=object,
    )


def _header_position(rows: list[Row]) -> int | None:
    for k, row in enumerate(rows):
        if row.line > HEADER_LINES:
            break
        found = match_headers(row.cells)
        if all(found[name] for name in REQUIRED):
            return k
    return None


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


def _rows(path: PathLike) -> list[Row]:
    file = Path(path)
    if file.suffix.lower() in DELIMITED and file.is_file():
        return _delimited_rows(file)
    return _sheet_rows(path)


def _sheet_rows(path: PathLike) -> list[Row]:
    """Rows of a workbook's first sheet, the one that was taken for the header put back."""
    table = read_table(path)
    first: list[str] = []
    for k, name in enumerate(map(str, table.columns)):
        # pandas names what is empty, and numbers what stands twice
        stem, _, number = name.rpartition(".")
        repeated = number.isdigit() and stem in first
        first.append("" if name == f"Unnamed: {k}" else stem if repeated else _clean(name))
    rows = [
        Row(int(index) + 2, [_clean(cell) if isinstance(cell, str) else "" for cell in cells])
        for index, cells in zip(table.index, table.to_numpy(object).tolist(), strict=True)
    ]
    return [Row(1, first), *rows]


def _clean(cell: str) -> str:
    text = cell.strip()
    return "" if text in EMPTY else text


def _delimited_rows(file: Path) -> list[Row]:
    try:
        content = file.read_bytes()
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
