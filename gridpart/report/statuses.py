"""The rectification sheet read back: what an officer says has become of each finding."""

from __future__ import annotations

import datetime
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from gridpart._excel import read_sheets
from gridpart._io import PathLike
from gridpart.errors import InputError
from gridpart.report.sheet import (
    CHECK,
    CURED_SHEET,
    FINDINGS_SHEET,
    IDS,
    NOTES,
    NUMBER,
    PLACE,
    STATUS,
    STATUSES,
    row_key,
)

if TYPE_CHECKING:
    import geopandas as gpd

__all__ = ["TickedOff", "read_statuses", "ticked_off_text"]

HEADER_LINES = 10
NEEDED = (NUMBER, CHECK, IDS, PLACE, STATUS)
# Beside the words of the sheet's own list: what people write where the list was lost.
OTHER_WORDS = {
    "open": ("未整改", "未完成", "to do"),
    "in progress": ("进行中", "正在整改", "处理中", "under way"),
    "done": ("已完成", "完成", "整改完成", "finished", "completed"),
    "accepted": ("核准保留", "保留"),
    "disputed": ("不认可", "不予认可", "不接受", "not accepted", "rejected"),
}
Key = tuple[str, str, str]


@dataclass(frozen=True)
class TickedOff:
    """An audit with the statuses that its sheet was given.

    Parameters
    ----------
    findings : GeoDataFrame
        Those of the audit, ``status`` as in the sheet. If anybody wrote who rectifies a finding,
        when, or a remark, also a column ``who``, ``when`` or ``remarks``: text, empty where there
        is none; a day as year-month-day.
    taken : int
        Rows of the sheet whose status was taken.
    problems : DataFrame
        What was not taken, or taken with a doubt: ``row`` of the sheet, ``finding`` (its number
        in the audit), each missing where there is none, and ``problem``.
    """

    findings: gpd.GeoDataFrame
    taken: int
    problems: pd.DataFrame


class _Line(NamedTuple):
    """A row of the sheet."""

    row: int
    number: int | None
    key: Key
    status: str
    notes: tuple[str, ...]


class _Problem(NamedTuple):
    row: int | None
    finding: int | None
    problem: str


def read_statuses(path: PathLike, findings: gpd.GeoDataFrame) -> TickedOff:
    """Read what was ticked off in the rectification sheet of an audit.

    Parameters
    ----------
    path : str or path
        A workbook written by :func:`write_audit_excel`. Its rows may have been sorted, filtered
        or deleted, its columns moved, and others put between them.
    findings : GeoDataFrame
        The audit it was written of, such as :func:`read_audit_json` returns.

    Returns
    -------
    TickedOff
        A row is known by its check, zones and place; where one of the last two was changed, by
        its number, and that is said. Listed as problems, and not taken: rows that are no finding
        of the audit, statuses that are empty or unknown, and rows of one finding that say
        different things. Findings that have no row keep their status and are listed, too.

    Raises
    ------
    InputError
        If the file is no workbook, no sheet of it has the columns, or none of its rows is a
        finding of this audit.

    Notes
    -----
    Known are the words of the sheet's own list, in English, in Chinese, or both: open 待整改,
    in progress 整改中, done 已整改, accepted 经核准保留 (it may stay as it is), disputed 有异议
    (not accepted as a finding).

    Examples
    --------
    >>> import pathlib, tempfile, geopandas as gpd, openpyxl
    >>> from shapely import box
    >>> from gridpart import audit
    >>> from gridpart.report import write_audit_excel
    >>> zones = gpd.GeoDataFrame(geometry=[box(0, 0, 9, 9), box(8, 0, 20, 9)], crs="EPSG:4547")
    >>> findings = audit(zones)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "sheet.xlsx")
    ...     write_audit_excel(findings, path)
    ...     book = openpyxl.load_workbook(path)
    ...     book["整改清单 findings"]["K2"] = "整改中"
    ...     book.save(path)
    ...     read_statuses(path, findings).findings[["check", "status"]]
         check       status
    0  overlap  in progress
    """
    lines = _lines(path)
    keys = [_folded(row_key(row)) for row in _records(findings)]
    matched, problems = _match(lines, keys)
    if lines and not matched:
        raise InputError(
            f"{path}: none of its {len(lines)} rows is a finding of this audit; is it the sheet of "
            "another one?"
        )
    statuses = findings["status"].tolist()
    taken = 0
    for k, rows in sorted(matched.items()):
        said = {line.row: _status(line.status, statuses[k]) for line in rows}
        problems += [_unknown(line, k) for line in rows if said[line.row] is None]
        known = {row: status for row, status in said.items() if status is not None}
        if len(set(known.values())) > 1:
            told = "; ".join(f"row {row} {status}" for row, status in known.items())
            problems += [
                _Problem(row, k + 1, f"several rows of one finding say different things: {told}")
                for row in known
            ]
        elif known:
            statuses[k] = next(iter(known.values()))
            taken += len(known)
    problems += [
        _Problem(None, k + 1, "not in the sheet; the status stays as it was")
        for k in range(len(keys))
        if k not in matched
    ]
    table = pd.DataFrame(sorted(problems, key=_position), columns=list(_Problem._fields))
    table = table.astype({"row": "Int64", "finding": "Int64", "problem": object})
    return TickedOff(findings.assign(status=statuses, **_notes(findings, matched)), taken, table)


def ticked_off_text(read: TickedOff) -> str:
    """Say in words what was read from a sheet, and list what was not, by row.

    Parameters
    ----------
    read : TickedOff
        From :func:`read_statuses`.

    Returns
    -------
    str
        A line for each kind of problem, with every row it is about.
    """
    lines = [f"{read.taken:,} statuses were read from the sheet"]
    for problem, rows in read.problems.groupby("problem", sort=False):
        in_sheet = rows["row"].notna().all()
        word, numbers = ("row", rows["row"]) if in_sheet else ("finding", rows["finding"])
        named = _ranges([int(number) for number in numbers])
        lines.append(f"{word}{'' if len(rows) == 1 else 's'} {named}: {problem}")
    return "\n".join(lines)


def _ranges(numbers: Sequence[int]) -> str:
    """Numbers in words, runs of them as first-last."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in runs)


def _notes(findings: gpd.GeoDataFrame, matched: dict[int, list[_Line]]) -> dict[str, list[str]]:
    """What was written beside the statuses; of several rows of a finding, each text once."""
    columns = {}
    for place, name in enumerate(NOTES):
        texts = findings[name].tolist() if name in findings.columns else [""] * len(findings)
        for k, rows in matched.items():
            written = dict.fromkeys(line.notes[place] for line in rows)
            texts[k] = "; ".join(filter(None, written))
        if name in findings.columns or any(texts):
            columns[name] = texts
    return columns


def _position(problem: _Problem) -> tuple[bool, int]:
    return problem.row is None, problem.row or problem.finding or 0


def _records(findings: gpd.GeoDataFrame) -> list[dict[str, Any]]:
    rows = pd.DataFrame(findings[["check", "ids", "bbox"]]).to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in rows]


# ---------------------------------------------------------------- rows of the sheet


def _fold(value: Any) -> str:
    """Text of a cell, whatever a spreadsheet did to its width, blanks and numbers."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return " ".join(unicodedata.normalize("NFKC", str(value)).split())


def _written(value: Any) -> str:
    """What an officer wrote in a cell, as it is; a day without the hours that Excel adds."""
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        value = value.date()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else str(value).strip()


def _folded(key: tuple[str | None, ...]) -> Key:
    check, ids, place = map(_fold, key)
    return check, ids, place


def _lines(path: PathLike) -> list[_Line]:
    sheets = read_sheets(path)
    # its own sheet, else one that was renamed; that of cured findings has the same columns
    others = [name for name in sheets if name not in (FINDINGS_SHEET, CURED_SHEET)]
    for name in [FINDINGS_SHEET, *others]:
        header = _header(path, name, sheets.get(name, []))
        if header is not None:
            at, columns = header
            return list(_read(sheets[name], at, columns))
    raise InputError(
        f"{path}: no sheet has the columns of a rectification sheet: {', '.join(NEEDED)}"
    )


def _header(path: PathLike, sheet: str, rows: list[list[Any]]) -> tuple[int, dict[str, int]] | None:
    """Which row is the header, and where each column stands; None where there is none."""
    wanted = {_plain(name): name for name in (*NEEDED, *NOTES.values())}
    for at, row in enumerate(rows[:HEADER_LINES]):
        found = [(wanted[_plain(cell)], k) for k, cell in enumerate(row) if _plain(cell) in wanted]
        columns = dict(found)
        if set(NEEDED) <= set(columns):
            twice = [name for name in columns if [n for n, _ in found].count(name) > 1]
            if twice:
                raise InputError(
                    f"{path}: sheet {sheet!r} has two columns {', '.join(twice)}; keep one"
                )
            return at, columns
        if {CHECK, STATUS} <= set(columns):
            lost = ", ".join(name for name in NEEDED if name not in columns)
            raise InputError(f"{path}: sheet {sheet!r} has lost its column {lost}")
    return None


def _plain(cell: Any) -> str:
    return _fold(cell).replace(" ", "").casefold()


def _read(rows: list[list[Any]], at: int, columns: dict[str, int]) -> Iterator[_Line]:
    for row, cells in enumerate(rows[at + 1 :], start=at + 2):
        cell = {name: _fold(cells[columns[name]]) for name in NEEDED}
        notes = tuple(
            _written(cells[columns[name]]) if name in columns else "" for name in NOTES.values()
        )
        if any(cell.values()):
            number = int(cell[NUMBER]) if cell[NUMBER].isdecimal() else None
            yield _Line(row, number, (cell[CHECK], cell[IDS], cell[PLACE]), cell[STATUS], notes)


# ---------------------------------------------------------------- which finding, which status


def _match(lines: list[_Line], keys: list[Key]) -> tuple[dict[int, list[_Line]], list[_Problem]]:
    """Rows of each finding, and what is doubtful about them."""
    places: dict[Key, list[int]] = {}
    for k, key in enumerate(keys):
        places.setdefault(key, []).append(k)
    matched: dict[int, list[_Line]] = {}
    problems = []
    for line in lines:
        found, problem = _finding(line, keys, places.get(line.key, []))
        if problem:
            problems.append(_Problem(line.row, None if found is None else found + 1, problem))
        if found is not None:
            matched.setdefault(found, []).append(line)
    return matched, problems


def _finding(line: _Line, keys: list[Key], alike: list[int]) -> tuple[int | None, str]:
    """Position of the finding that a row stands for, and what is odd about it."""
    named = None if line.number is None else line.number - 1
    if named is not None and not 0 <= named < len(keys):
        named = None
    if named in alike or len(alike) == 1:
        return (named if named in alike else alike[0]), ""
    if alike:
        listed = ", ".join(str(k + 1) for k in alike)
        return None, f"its number does not say which of the findings {listed} it stands for"
    what = f"{line.key[0]} of {_short(line.key[1])}" if line.key[1] else line.key[0] or "nothing"
    if named is None:
        return None, f"no such finding in the audit: {what}"
    check, ids, place = keys[named]
    if check == line.key[0] and ((ids and ids == line.key[1]) or (place and place == line.key[2])):
        column = IDS if ids != line.key[1] else PLACE
        return named, f"taken by its number; {column!r} was changed"
    return None, f"not the finding {line.number} of the audit: {what}"


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:39] + "…"


_WORDS = {
    _plain(word): status
    for status, chinese in STATUSES.items()
    for word in (status, chinese, f"{status}{chinese}", f"{chinese}{status}", *OTHER_WORDS[status])
}


def _status(text: str, old: Any) -> str | None:
    """Status that a cell means: a known word, or what the finding had been given before."""
    if "?" in text or "？" in text:
        return text if text == _fold(old) else None  # a question is no answer
    plain = "".join(letter for letter in _plain(text) if letter.isalnum())
    return _WORDS.get(plain, text if text and text == _fold(old) else None)


def _unknown(line: _Line, finding: int) -> _Problem:
    said = f"unknown status {_short(line.status)!r}" if line.status else "no status"
    return _Problem(line.row, finding + 1, f"{said}; the status stays as it was")
