"""The rectification sheet of an audit: a workbook that a district ticks off."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pandas as pd

from gridpart._excel import write_workbook
from gridpart._io import PathLike
from gridpart.coverage import Comparison, audit_ok
from gridpart.coverage.catalogue import CATALOGUE, Check
from gridpart.report.audit import SEVERITY_CHINESE, STATUSES, rows_by_check, scope_lists
from gridpart.report.audit_map import shortened

if TYPE_CHECKING:
    import geopandas as gpd

__all__ = ["STATUSES", "audit_sheets", "row_key", "write_audit_excel"]

FINDINGS_SHEET, CURED_SHEET = "整改清单 findings", "已消除 cured"
IDS_SHOWN = 12
LONGEST_IDS, LONGEST_TEXT = 300, 600
LONGEST_NOTE = 32_000  # a cell holds little more
CHANGES = {
    "new": "新增",
    "stays": "仍存在",
    "reopened": "报称已整改但仍存在",
    "cured": "已消除",
    "unknown": "未复查",
}
NUMBER, CHECK, IDS = "No. 序号", "Check 检查项", "Zones, units 涉及对象"
STATUS = "Status 状态"
# what an officer writes: columns of findings, and of the sheet
NOTES = {"who": "Who 责任人", "when": "When 完成日期", "remarks": "Remarks 备注"}
# Excel would show these as numbers, or cut them
PLACE = "Place 位置 X, Y"
TEXTS = (IDS, PLACE)
WIDEST = 36
TOTAL = "all 合计"


def audit_sheets(
    findings: gpd.GeoDataFrame,
    *,
    date: datetime.date | None = None,
    since: Comparison | None = None,
) -> dict[str, pd.DataFrame]:
    """Lay an audit out as a district works through it, one table a sheet.

    Parameters
    ----------
    findings : GeoDataFrame
        From :func:`gridpart.audit` or :func:`gridpart.audit_assignment`.
    date : date, optional
        Day of the audit; default today.
    since : Comparison, optional
        With an earlier audit; its findings are listed, each with what became of it.

    Returns
    -------
    dict of str to DataFrame
        * ``整改清单 findings``: a row a finding, the gravest first: check, severity, zones and
          units, households, area (m²), the description and the suggested rectification in
          English and Chinese, the middle of its place in the CRS of the audit, the status, the
          date of the audit, and columns for who rectifies it, when, and remarks: empty, or with
          what was written in the sheet of an earlier audit (:func:`read_statuses`).
        * ``汇总 summary``: findings by check, and how many have each status.
        * ``检查范围 scope``: what was checked and what was not, and why.
        * ``已消除 cured``, of a comparison: the findings that are no more.

        The summary stands first.

    Examples
    --------
    >>> import geopandas as gpd
    >>> from shapely import box
    >>> from gridpart import audit
    >>> zones = gpd.GeoDataFrame(geometry=[box(0, 0, 9, 9), box(8, 0, 20, 9)], crs="EPSG:4547")
    >>> sheets = audit_sheets(audit(zones), date=datetime.date(2030, 1, 1))
    >>> list(sheets)
    ['汇总 summary', '整改清单 findings', '检查范围 scope']
    >>> sheets["整改清单 findings"].iloc[0, [2, 4, 10]].tolist()
    ['error 错误', '0; 1', 'open 待整改']
    """
    date = date or datetime.date.today()
    if since is not None:
        findings = since.findings
    sheets = {
        "汇总 summary": _summary(findings, date),
        FINDINGS_SHEET: _list(findings, date),
        "检查范围 scope": _scope(findings),
    }
    return sheets if since is None else sheets | {CURED_SHEET: _list(since.cured, date)}


def write_audit_excel(
    findings: gpd.GeoDataFrame,
    path: PathLike,
    *,
    date: datetime.date | None = None,
    since: Comparison | None = None,
) -> None:
    """Write the sheets of :func:`audit_sheets` as a workbook, whole or not at all.

    Parameters
    ----------
    findings : GeoDataFrame
        From :func:`gridpart.audit` or :func:`gridpart.audit_assignment`.
    path : str or path
        Where the ``.xlsx`` shall appear. The status of a finding is chosen from a list: open,
        in progress, done, accepted (it may stay as it is) or disputed; in both languages.
    date : date, optional
        Day of the audit; default today.
    since : Comparison, optional
        With an earlier audit.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    write_workbook(
        path,
        audit_sheets(findings, date=date, since=since),
        text_columns=TEXTS,
        bold_where={TOTAL},
        choices={STATUS: [_status(name) for name in STATUSES]},
        landscape=True,
        widest=WIDEST,
    )


def _list(findings: gpd.GeoDataFrame, date: datetime.date) -> pd.DataFrame:
    rows = [
        _row(number, row, date)
        for number, row in enumerate(
            findings.drop(columns=findings.geometry.name).to_dict("records"), start=1
        )
    ]
    table = pd.DataFrame(rows, columns=list(_row(0, _NOTHING, date)), dtype=object)
    if "change" in findings.columns:
        changes = [f"{name} {CHANGES[name]}" for name in findings["change"]]
        table.insert(table.columns.get_loc(STATUS) + 1, "Change 变化", changes)
    return table


def _row(number: int, row: dict[str, Any], date: datetime.date) -> dict[str, Any]:
    """One finding as a line of the list."""
    check = CATALOGUE[row["check"]]
    area = float(row["area_m2"])
    chinese = row.get("advice_chinese") or check.advice_chinese
    return {
        NUMBER: number,
        CHECK: check.id,
        "Severity 等级": _severity(row["severity"]),
        "n 数量": int(row["n"]),
        IDS: _named(row["ids"]),
        "Households 户数": None if pd.isna(row["households"]) else int(row["households"]),
        "Area 面积 m²": round(area, 2) if math.isfinite(area) else None,
        "Description 问题说明": f"{shortened(row['message'], LONGEST_TEXT)}\n{check.chinese}",
        "Suggested rectification 整改建议": "\n".join(
            shortened(text, LONGEST_TEXT) for text in (row["advice"], chinese)
        ),
        PLACE: _middle(row["bbox"]),
        STATUS: _status(shortened(row["status"], LONGEST_TEXT)),
        "Found 发现日期": date,
        **{column: _note(row.get(name)) for name, column in NOTES.items()},
    }


_NOTHING: dict[str, Any] = {
    "check": "gap", "severity": "error", "n": 0, "ids": "", "households": None,
    "area_m2": math.nan, "message": "", "advice": "", "bbox": "", "status": "",
}  # fmt: skip


def _note(value: Any) -> Any:
    """What an officer wrote; a day as a date, so that the sheet sorts by it."""
    if not isinstance(value, str) or not value:
        return None
    if re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        with suppress(ValueError):  # no day of the calendar
            return datetime.date.fromisoformat(value)
    return shortened(value, LONGEST_NOTE)


def _severity(name: str) -> str:
    return f"{name} {SEVERITY_CHINESE[name]}"


def _status(name: str) -> str:
    """A status in both languages; words of the user's own as they are."""
    return f"{name} {STATUSES[name]}" if name in STATUSES else name


def row_key(row: Mapping[str, Any]) -> tuple[str, str | None, str | None]:
    """What a row of the list shows of a finding that no tick changes: check, ids and place."""
    return str(row["check"]), _named(row["ids"]), _middle(row["bbox"])


def _middle(bbox: str) -> str | None:
    """Whole metres of the middle of a finding, to look it up on a map."""
    if not bbox:
        return None
    west, south, east, north = map(float, bbox.split())
    return f"{(west + east) / 2:.0f}, {(south + north) / 2:.0f}"


def _named(ids: str) -> str | None:
    """Ids as a cell can show them; of a large group the first, and how many more there are."""
    names = ids.split(";") if ids else []
    shown = names[:IDS_SHOWN]
    while len(shown) > 1 and sum(map(len, shown)) > LONGEST_IDS:
        shown.pop()
    text = "; ".join(shown)[: 2 * LONGEST_IDS]
    hidden = len(names) - len(shown)
    return (f"{text} and {hidden} more 等{len(names)}个" if hidden else text) or None


def _summary(findings: gpd.GeoDataFrame, date: datetime.date) -> pd.DataFrame:
    """Defects by check and severity, the gravest first, and all of them."""
    rows = [
        _total(_severity(severity), CATALOGUE[check], findings.iloc[places], date)
        for severity, check, places in rows_by_check(findings)
    ]
    verdict = Check("OK 通过" if audit_ok(findings) else "NOT OK 不通过", "", "", "", "", "")
    rows.append(_total(TOTAL, verdict, findings, date))
    return pd.DataFrame(rows, dtype=object)


def _total(
    severity: str, check: Check, rows: gpd.GeoDataFrame, date: datetime.date
) -> dict[str, Any]:
    counts = rows["status"].value_counts()
    return {
        "Severity 等级": severity,
        CHECK: check.id,
        "Meaning": check.english or None,
        "说明": check.chinese or None,
        "Defects 数量": int(rows["n"].sum()),
        "Rows 行数": len(rows),
        **{f"{name} {word}": int(counts.get(name, 0)) for name, word in STATUSES.items()},
        "Audit of 审核日期": date,
    }


def _scope(findings: gpd.GeoDataFrame) -> pd.DataFrame:
    """What was looked for, in both languages."""
    scope = scope_lists(findings) or {"checked": [], "not_checked": []}
    words = {"checked": "checked 已检查", "not_checked": "not checked 未检查"}
    rows = [(words[kind], *pair) for kind in words for pair in scope[kind]]
    return pd.DataFrame(rows, columns=["Checked 是否检查", "What", "检查内容"], dtype=object)
