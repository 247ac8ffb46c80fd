"""Write tables as a workbook that officers can open without losing a digit, and read one back.

Codes stay text, a cell that looks like a formula is text too, and the same tables give the same
bytes on every day.
"""

from __future__ import annotations

import datetime
import io
import math
import numbers
import re
import unicodedata
import zipfile
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gridpart._io import PathLike, writing
from gridpart.errors import InputError, OutputError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["display_width", "opened", "read_sheets", "sheet_name", "sheet_names", "write_workbook"]

WORKBOOKS = (".xlsx", ".xlsm")

CODE_COLUMNS = ("post_id", "grid", "grid_code", "within", "unit", "id", "code", "parent")
LONGEST_NAME = 31
MOST_ROWS = 1_048_576
LONGEST_TEXT = 32_767
WIDEST = 48
LINE_HEIGHT, HIGHEST = 15, 409  # points; Excel knows no higher row
TEXT, ANYTHING, COUNT, PLAIN = "@", "General", "#,##0", "0"
WHOLE, DECIMAL, PERCENT = "#,##0_._0", "#,##0.0", "0.0%"
# What a spreadsheet may take for a formula, full-width forms too; it skips blanks before them.
FORMULA_SIGNS = tuple("=+-@＝＋－＠")
ROWS_MEASURED = 500
# Fixed, so that a workbook differs only where its tables differ; 1980 is the first year of ZIP.
ZIP_DATE = (1980, 1, 1, 0, 0, 0)
DOCUMENT_DATE = "1980-01-01T00:00:00Z"


def write_workbook(
    path: PathLike,
    sheets: Mapping[str, pd.DataFrame],
    *,
    text_columns: Collection[str] = CODE_COLUMNS,
    percent_columns: Collection[str] = (),
    plain_columns: Collection[str] = ("line",),
    bold_where: Collection[str] = (),
    choices: Mapping[str, Sequence[str]] | None = None,
    landscape: bool = False,
    widest: int = WIDEST,
) -> None:
    """Write each table as a sheet, whole or not at all.

    Parameters
    ----------
    path : str or path
        Where the ``.xlsx`` shall appear.
    sheets : mapping of str to DataFrame
        Sheet name to table, in order. A name that Excel cannot take is changed as
        :func:`sheet_name` says. The index is not written.
    text_columns : collection of str, optional
        Columns that are text whatever they hold: codes and ids.
    percent_columns : collection of str, optional
        Columns of fractions, shown as per cent.
    plain_columns : collection of str, optional
        Columns of numbers that no one adds up, shown without a mark between thousands.
    bold_where : collection of str, optional
        A row with one of these texts in a cell is bold: subtotals.
    choices : mapping of str to sequence of str, optional
        Columns whose cells offer a list to choose from, and take nothing else.
    landscape : bool, default False
        Printed with the long side of the paper at the top, narrow margins, and the sheet's name
        and page number; the cells are ruled, and headers in two languages stand in two lines.
    widest : int, optional
        Characters in the widest column; longer texts, and those of several lines, are wrapped.

    Raises
    ------
    OutputError
        If there is no sheet, a table has more rows than a sheet can hold, a text is longer than a
        cell can hold, or the file cannot be replaced.

    Notes
    -----
    Missing values, and numbers that Excel does not know (infinite), are empty cells. Text is
    always stored as text; where it begins with ``=``, ``+``, ``-``, ``@``, their full-width forms,
    a tab or a line break, the cell is also marked with Excel's quote prefix, so that it stays text
    when somebody edits it. Control characters, which the format forbids, are dropped.

    Examples
    --------
    >>> import pandas as pd, tempfile, pathlib
    >>> table = pd.DataFrame({"grid_code": ["042058300100100"], "households": [312]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "grids.xlsx")
    ...     write_workbook(path, {"grids": table})
    ...     pd.read_excel(path, dtype={"grid_code": str}).values.tolist()
    [['042058300100100', 312]]
    """
    if not sheets:
        raise OutputError(f"{path}: a workbook needs at least one sheet")
    style = _Style(
        frozenset(text_columns),
        frozenset(percent_columns),
        frozenset(plain_columns),
        frozenset(bold_where),
        dict(choices or {}),
        landscape,
        widest,
    )
    content = _stable(_build(path, sheets, style))
    with writing(path) as temporary:
        temporary.write_bytes(content)


def sheet_name(name: object, taken: Iterable[str] = ()) -> str:
    r"""Make a name that Excel accepts and that differs from those taken.

    Parameters
    ----------
    name : object
        The wish.
    taken : iterable of str, optional
        Names in use; Excel does not tell capitals from small letters.

    Returns
    -------
    str
        At most 31 characters, none of ``[]:*?/\``, no quote at either end, never ``History``
        (which Excel keeps for itself), numbered where needed.

    Examples
    --------
    >>> sheet_name("East/West: [A]")
    'East_West_ _A_'
    >>> sheet_name("summary", ["Summary"])
    'summary (2)'
    """
    text = re.sub(r"[\[\]:*?/\\\x00-\x1f]", "_", str(name)).strip().strip("'")
    text = text or "sheet"
    used = {other.casefold() for other in taken} | {"history"}
    candidate, number = _cut(text, LONGEST_NAME), 1
    while candidate.casefold() in used:
        number += 1
        ending = f" ({number})"
        candidate = _cut(text, LONGEST_NAME - len(ending)) + ending
    return candidate


def _cut(text: str, length: int) -> str:
    """Cut to `length` UTF-16 units, which is what Excel counts, and leave no quote at the end."""
    while len(text.encode("utf-16-le")) > 2 * length:
        text = text[:-1]
    return text.rstrip("' ")


@dataclass(frozen=True)
class _Style:
    """Names of columns, and texts, that decide how a cell looks."""

    text_columns: frozenset[str]
    percent_columns: frozenset[str]
    plain_columns: frozenset[str]
    bold_where: frozenset[str]
    choices: Mapping[str, Sequence[str]]
    landscape: bool
    widest: int


def _build(path: PathLike, sheets: Mapping[str, pd.DataFrame], style: _Style) -> bytes:
    from openpyxl import Workbook

    workbook = Workbook(write_only=True)
    workbook.properties.creator = "gridpart"
    content: dict[str, tuple[list[str], list[list[Any]]]] = {}
    for wish, table in sheets.items():
        name = sheet_name(wish, content)
        if len(table) + 1 > MOST_ROWS:
            raise OutputError(f"{path}: sheet {name!r} would have {len(table):,} rows, too many")
        columns = [
            _plain(table.iloc[:, k], name, style.text_columns) for k in range(table.shape[1])
        ]
        content[name] = list(map(str, table.columns)), columns
    # a sheet that was begun has to be finished: whatever cannot be written was found above
    for name, (header, columns) in content.items():
        _fill(workbook.create_sheet(name), header, columns, style)
    stream = io.BytesIO()
    workbook.save(stream)
    return stream.getvalue()


def _plain(column: pd.Series, sheet: str, text_columns: frozenset[str]) -> list[Any]:
    """Values as plain Python objects; None where there is nothing to write."""
    as_text = str(column.name) in text_columns
    values: list[Any] = []
    for value, missing in zip(column.tolist(), column.isna(), strict=True):
        if missing or (isinstance(value, float) and not math.isfinite(value)):
            values.append(None)
        elif as_text or not _cell_can_hold(value):
            text = _printable(str(value))
            if len(text) > LONGEST_TEXT:
                raise OutputError(
                    f"sheet {sheet!r}, column {column.name!r}: a text of {len(text):,} characters "
                    f"does not fit a cell ({LONGEST_TEXT:,})"
                )
            values.append(text)
        else:
            values.append(value)
    return values


def _cell_can_hold(value: Any) -> bool:
    """Numbers, truth values and dates; Excel knows no time zones and no other kinds."""
    if isinstance(value, datetime.datetime):
        return value.tzinfo is None
    return isinstance(value, numbers.Real | datetime.date)


def _printable(text: str) -> str:
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    # a line ends as it does in a cell; XML would make a blank of a lone return
    return ILLEGAL_CHARACTERS_RE.sub("", re.sub(r"\r\n?", "\n", text))


def _may_be_formula(text: str) -> bool:
    return text.lstrip().startswith(FORMULA_SIGNS) or text.startswith(("\t", "\n"))


def _fill(sheet: Any, header: list[str], columns: list[list[Any]], style: _Style) -> None:
    from openpyxl.utils import get_column_letter
    from openpyxl.worksheet.page import PageMargins
    from openpyxl.worksheet.properties import PageSetupProperties

    titles = [_in_two_lines(name) if style.landscape else name for name in header]
    # A write-only sheet takes its layout before its rows.
    for k, (name, values) in enumerate(zip(titles, columns, strict=True)):
        sheet.column_dimensions[get_column_letter(k + 1)].width = _column_width(
            name, values, style.widest
        )
    sheet.freeze_panes = "A2"
    # Printed: as wide as the paper, as long as it needs, the header on every page.
    sheet.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)
    sheet.page_setup.fitToHeight = 0
    if style.landscape:
        sheet.page_setup.orientation = "landscape"
        sheet.page_setup.paperSize = 9  # A4
        sheet.page_margins = PageMargins(0.3, 0.3, 0.6, 0.6, header=0.3, footer=0.3)
        sheet.HeaderFooter.oddHeader.center.text = "&A"
        sheet.HeaderFooter.oddFooter.center.text = "&P / &N"
    sheet.print_title_rows = "1:1"
    n_rows = len(columns[0]) if columns else 0
    if columns:
        sheet.auto_filter.ref = f"A1:{get_column_letter(len(columns))}{n_rows + 1}"
    _offer(sheet, header, n_rows, style)
    make = _CellMaker(sheet, style.widest, ruled=style.landscape)
    if any("\n" in title for title in titles):
        sheet.row_dimensions[1].height = 2 * LINE_HEIGHT
    own = dict.fromkeys(style.plain_columns, PLAIN) | dict.fromkeys(style.percent_columns, PERCENT)
    forms = [own.get(name) for name in header]
    sheet.append([make.cell(_printable(name), bold=True, header=True) for name in titles])
    for number, row in enumerate(zip(*columns, strict=True), start=2):
        lines = max(
            (_lines(value, style.widest) for value in row if isinstance(value, str)), default=1
        )
        if lines > 1:
            sheet.row_dimensions[number].height = min(lines * LINE_HEIGHT, HIGHEST)
        bold = any(isinstance(value, str) and value in style.bold_where for value in row)
        sheet.append(
            [make.cell(value, bold=bold, form=form) for value, form in zip(row, forms, strict=True)]
        )


def _offer(sheet: Any, header: list[str], n_rows: int, style: _Style) -> None:
    """Let the cells of some columns offer a list."""
    from openpyxl.utils import get_column_letter
    from openpyxl.worksheet.datavalidation import DataValidation

    for k, name in enumerate(header, start=1):
        if name in style.choices and n_rows:
            listed = ",".join(style.choices[name])
            rule = DataValidation("list", formula1=f'"{listed}"', allow_blank=True)
            rule.showErrorMessage = True
            letter = get_column_letter(k)
            rule.add(f"{letter}2:{letter}{n_rows + 1}")
            sheet.data_validations.append(rule)


class _CellMaker:
    """Makes cells; a style is built once, for all cells like it."""

    def __init__(self, sheet: Any, widest: int, *, ruled: bool) -> None:
        self.sheet = sheet
        self.widest = widest
        self.ruled = ruled
        self.styles: dict[tuple[str, bool, bool, bool], Any] = {}

    def cell(self, value: Any, *, bold: bool, form: str | None = None, header: bool = False) -> Any:
        from openpyxl.cell import WriteOnlyCell

        if value is None and not self.ruled:
            return None
        text = isinstance(value, str)
        form = form if form and not text and value is not None else _number_format(value)
        quoted = text and _may_be_formula(value)
        wrapped = text and (_lines(value, self.widest) > 1 or (header and self.ruled))
        kind = (form, bold, quoted, wrapped)
        cell: Any = WriteOnlyCell(self.sheet, value)
        if text:
            cell.data_type = "s"  # else "=1+1" would be a formula and "#N/A" an error
        if kind not in self.styles:
            self._style(cell, *kind)
            self.styles[kind] = cell._style
        cell._style = self.styles[kind]
        return cell

    def _style(self, cell: Any, form: str, bold: bool, quoted: bool, wrapped: bool) -> None:
        from openpyxl.styles import Alignment, Border, Font, Side

        cell.number_format = form
        if self.ruled:
            thin = Side(style="thin", color="B9C2CB")
            cell.border = Border(left=thin, right=thin, top=thin, bottom=thin)
        # A row with a long cell is read from its top.
        cell.alignment = Alignment(vertical="top")
        if form not in (TEXT, ANYTHING):
            # Numbers stand at the right edge, where the text of the next column begins.
            cell.alignment = Alignment(horizontal="right", indent=1, vertical="top")
        if wrapped:
            cell.alignment = Alignment(wrap_text=True, vertical="top")
        if bold:
            # A font without a name would fall back to another face than the cells beside it.
            cell.font = Font(name="Calibri", family=2, scheme="minor", sz=11, bold=True)
        if quoted:
            cell.quotePrefix = True


def _number_format(value: Any) -> str:
    if value is None or isinstance(value, str):
        return TEXT
    if isinstance(value, bool):
        return ANYTHING
    if isinstance(value, datetime.datetime):
        return "yyyy-mm-dd hh:mm"
    if isinstance(value, datetime.date):
        return "yyyy-mm-dd"
    if isinstance(value, float):
        # A whole number leaves the room of a decimal, so that units stand below units.
        return WHOLE if abs(value - round(value)) < 1e-6 else DECIMAL
    return COUNT


def _in_two_lines(header: str) -> str:
    """A header in two languages, the Chinese below: a spreadsheet would cut that anywhere."""
    words = header.split(" ")
    cut = next((k for k, word in enumerate(words) if display_width(word) > len(word)), 0)
    return "\n".join((" ".join(words[:cut]), " ".join(words[cut:]))) if cut else header


def _column_width(header: str, values: list[Any], widest: int) -> float:
    """Width in characters; a Chinese one counts two, and the filter's arrow needs its place."""
    longest = max(map(display_width, header.split("\n"))) + 3
    for value in values[:ROWS_MEASURED]:
        if value is not None:
            width = max(map(display_width, _as_shown(value).split("\n")))
            # numbers are indented by about two characters
            longest = max(longest, width + (1 if isinstance(value, str) else 3))
    return float(min(longest, widest))


def _as_shown(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"
    return str(value)


def _lines(text: str, widest: int) -> int:
    """Lines that a text takes where it is wrapped, rather one too many."""
    return sum(_wrapped(line, widest) for line in text.split("\n"))


def _wrapped(line: str, widest: int) -> int:
    if 2 * len(line) <= widest or display_width(line) <= widest:
        return 1
    number, used = 1, 0
    for width in map(display_width, line.split(" ")):
        if used and used + 1 + width > 0.9 * widest:
            number, used = number + 1, 0
        if width > widest:  # cut somewhere: a third of a line stays empty
            number += math.ceil(width / (widest * 2 / 3)) - 1
        used += 1 + width
    return number


def display_width(text: str) -> int:
    """Columns that a text takes: two for a Chinese character."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def _stable(content: bytes) -> bytes:
    """Take the clock out of a workbook: file dates in the archive, dates in its properties."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(stream, "w") as new:
        for entry in old.infolist():
            data = old.read(entry)
            if entry.filename == "docProps/core.xml":
                data = re.sub(
                    rb"(<dcterms:(created|modified)[^>]*>)[^<]*",
                    rb"\g<1>" + DOCUMENT_DATE.encode(),
                    data,
                )
            fixed = zipfile.ZipInfo(entry.filename, ZIP_DATE)
            fixed.compress_type = zipfile.ZIP_DEFLATED
            new.writestr(fixed, data)
    return stream.getvalue()


# ---------------------------------------------------------------- reading back


@contextmanager
def opened(path: PathLike) -> Iterator[Any]:
    """Open a workbook: values as they were last shown; no formula is worked out.

    Raises
    ------
    InputError
        If it is no workbook.
    """
    from xml.etree.ElementTree import ParseError

    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    path = Path(path)
    if path.suffix.lower() not in WORKBOOKS:
        raise InputError(f"{path}: a workbook must be one of {', '.join(WORKBOOKS)}")
    if not path.exists():
        raise InputError(f"{path}: no such file")
    try:
        # the whole sheet, not `read_only`: that trusts what the file says of its own size
        book = load_workbook(path, data_only=True)
    except (
        InvalidFileException, zipfile.BadZipFile, zlib.error, ParseError, OSError, EOFError,
        KeyError, ValueError, TypeError, IndexError, AttributeError,
    ) as error:  # fmt: skip
        # openpyxl passes on whatever it stumbles over in a file that is none of its kind
        raise InputError(f"{path}: cannot be read as a workbook ({error})") from error
    try:
        yield book
    finally:
        book.close()


def sheet_names(path: PathLike) -> list[str]:
    """Names of the sheets of a workbook, in its order.

    Raises
    ------
    InputError
        If it is no workbook.
    """
    with opened(path) as book:
        return [str(sheet.title) for sheet in book.worksheets]


def read_sheets(path: PathLike) -> dict[str, list[list[Any]]]:
    """Every cell of a workbook, hidden and filtered rows too.

    Parameters
    ----------
    path : str or path
        An ``.xlsx``.

    Returns
    -------
    dict of str to list of lists
        Sheet name to rows; the first is row 1 of the sheet, empty cells are None.

    Raises
    ------
    InputError
        If it is no workbook.
    """
    with opened(path) as book:
        return {
            str(sheet.title): [list(row) for row in sheet.iter_rows(min_row=1, values_only=True)]
            for sheet in book.worksheets
        }
