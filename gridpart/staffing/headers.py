"""The words of a roster: which headers are known, what a cell says, which rows are no posts."""

from __future__ import annotations

import difflib
import math
import numbers
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from gridpart.errors import InputError, Problem

__all__ = [
    "HEADERS",
    "LINE",
    "REQUIRED",
    "SHEET",
    "has_sheets",
    "is_header_row",
    "joined",
    "known_names",
    "match_headers",
    "nearest",
    "number_in",
    "plain_text",
    "rename_headers",
    "said_lines",
    "says_nothing",
    "suggester",
    "texts_in",
    "total_word",
    "words_in",
]

# our name -> headers as officers write them, in ranks: the first rank that a table has is taken,
# so that a general word such as 编号 may stand beside 岗位编号; two of one rank are ambiguous.
# Compared without blanks, underscores and marks, in small letters.
HEADERS: dict[str, tuple[tuple[str, ...], ...]] = {
    "post_id": (
        ("post_id", "岗位编号", "岗位编码", "岗位代码", "岗位号"),
        ("post", "人员编号"),
        ("网格员编号", "岗位id", "岗位序号"),
        ("编号",),
    ),
    "role": (
        ("role", "岗位", "角色", "岗位类型", "岗位类别", "岗位名称"),
        ("职务",),
        ("类别",),
    ),
    "within": (
        ("within", "community", "社区", "村", "村社区", "村/社区", "社区/村", "所属社区"),
        ("所在社区", "社区名称", "所属村", "村名", "村居", "所属村居"),
    ),
    "grid": (
        ("grid", "grid_id"),
        ("grid_code", "网格编码", "网格编号", "网格代码"),
        ("网格", "所属网格"),
        ("held", "grids", "现管网格", "现有网格", "负责网格", "责任网格", "管辖网格", "包保网格"),
        ("网格名称", "网格名"),
    ),
    "fixed": (
        ("fixed", "fixed_grids", "fixed_grid", "固定网格", "必管网格"),
        ("固定网格编码", "固定网格编号", "必管网格编码", "必管网格编号", "指定网格"),
    ),
    "capacity": (("capacity", "容量", "最大户数", "户数上限", "承载户数"),),
    "skills": (
        (
            *("skills", "skill", "languages", "language", "技能", "技能特长", "特长", "专长"),
            *("语言", "方言", "资质", "证书", "资格证书", "职业资格"),
        ),
    ),
    "x": (("x", "home_x"), ("x坐标", "坐标x", "东坐标", "横坐标", "easting")),
    "y": (("y", "home_y"), ("y坐标", "坐标y", "北坐标", "纵坐标", "northing")),
    "lon": (("lon", "longitude", "lng", "经度"), ("东经", "驻地经度", "住址经度", "x经度")),
    "lat": (("lat", "latitude", "纬度"), ("北纬", "驻地纬度", "住址纬度", "y纬度")),
}
REQUIRED = ("post_id", "role")
# Half a point is none: a column x alone means something else.
PAIRS = (("x", "y"), ("lon", "lat"))
# Several columns of these are read together.
TOGETHER = frozenset({"skills"})
SHEET, LINE = "sheet", "line"

# What officers write where there is nothing to write.
_NOTHING = frozenset({"/", "\\", "-", "--", "—", "——", "–", "无", "暂无", "none", "n/a", "na"})
# Only letters and digits: a full-width bracket may belong to a community's official name.
_NARROW: dict[int, int | None] = {
    wide: wide - 0xFEE0 for wide in range(0xFF01, 0xFF5F) if chr(wide).isalnum()
}
# Marks without width come along when a text is copied from a page; nobody sees them.
_NARROW |= dict.fromkeys([0x200B, 0x200E, 0x200F, 0x2060, 0xFEFF])
# In a number the marks mean what they mean in ASCII.
_NARROW_MARKS = {wide: wide - 0xFEE0 for wide in range(0xFF01, 0xFF5F)} | {0x2212: "-"}
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?")
_SEPARATORS = re.compile(r"[;；、,，/／|｜\t\r\n]+")
# Words of Chinese characters hold no blanks: one between two of them parts them.
_CHINESE_BLANK = re.compile(r"(?<=[㐀-鿿])\s+(?=[㐀-鿿])")
_LONG_CODE = re.compile(r"[0-9]{9,}(-[0-9-]+)?")
# rows of our own workbook, which name the role that they add up
_OURS = frozenset({"subtotal", "total"})
_REMARK = re.compile(r"[（(\[［【][^（(]*[）)\]］】]$")
_TOTAL = re.compile(
    r"(?P<total>合计|总计|小计|共计|累计|总数|total|subtotal|grandtotal|sum)([:：(（\d].*)?"
    r"|(?P<remark>制表|制表人|制表单位|制表日期|填表|填表人|填报人|填表日期|填报日期|填报单位|审核|审核人"
    r"|复核|复核人|负责人|单位负责人|经办人|联系人|联系电话|日期|备注|说明|注|单位盖章|盖章"
    r"|preparedby|checkedby|note|notes|remark|remarks)([:：(（].*)?",
    re.DOTALL,
)


def plain_text(value: Any) -> str | None:
    """Text of a cell: stripped, full-width letters and digits narrowed, None where empty.

    Marks that have no width are dropped, and a whole number that a spreadsheet turned into a
    float loses its ``.0``.
    """
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, numbers.Real) and not isinstance(value, bool | np.bool_):
        number = float(value)
        if math.isnan(number):
            return None
        if number.is_integer():
            return str(round(value))
    return str(value).translate(_NARROW).strip() or None


def texts_in(frame: pd.DataFrame, name: str) -> list[str | None]:
    """Texts of a column; nothing but None where there is none."""
    if name not in frame.columns:
        return [None] * len(frame)
    return [plain_text(value) for value in frame[name].tolist()]


def has_sheets(index: pd.Index) -> bool:
    """Whether the rows of a roster come from several sheets of a workbook."""
    return list(index.names) == [SHEET, LINE]


def said_lines(index: pd.Index) -> list[str]:
    """Where every row of a roster stands, in words.

    Examples
    --------
    >>> said_lines(pd.Index([3], name="line")), said_lines(pd.RangeIndex(1))
    (['line 3'], ['row 0'])
    >>> said_lines(pd.MultiIndex.from_tuples([("东湖", 3)], names=["sheet", "line"]))
    ["sheet '东湖', line 3"]
    """
    if has_sheets(index):
        return [f"sheet {sheet!r}, line {line}" for sheet, line in index]
    word = "line" if index.name == LINE else "row"
    return [f"{word} {label}" for label in index]


def says_nothing(text: str | None) -> bool:
    """Whether a cell is empty, or a mark such as ``/`` or ``无`` stands for that."""
    return text is None or text.translate(_NARROW_MARKS).casefold() in _NOTHING


def number_in(text: str) -> float | None:
    """Number that a text says; None if it says none.

    Full-width marks, commas between thousands and a unit behind it (户, 米, °) are understood.

    Examples
    --------
    >>> number_in("１,２００ 户"), number_in("114.35°"), number_in("-5"), number_in("1_0")
    (1200.0, 114.35, -5.0, None)
    """
    plain = re.sub(r"\s", "", text.translate(_NARROW_MARKS)).casefold()
    plain = re.sub(r"(户|米|度|°|m)$", "", plain)
    if _THOUSANDS.fullmatch(plain):
        plain = plain.replace(",", "")
    if not _NUMBER.fullmatch(plain):
        return None
    number = float(plain)
    return number if math.isfinite(number) else None


def joined(text: str) -> str:
    """Text without the blanks that stretch a word of Chinese characters, as in 网 格 长."""
    return _CHINESE_BLANK.sub("", text)


def words_in(value: Any) -> tuple[str, ...]:
    """Words of a cell that holds several, each once, in order.

    Examples
    --------
    >>> words_in("first aid；藏语、 消防 急救/藏语")
    ('first aid', '藏语', '消防', '急救')
    """
    if isinstance(value, list | tuple):
        texts = [plain_text(part) for part in value]
    elif says_nothing(text := plain_text(value)):
        return ()
    else:
        parts = _SEPARATORS.split(str(text))
        texts = [plain_text(word) for part in parts for word in _CHINESE_BLANK.split(part)]
    return tuple(dict.fromkeys(word for word in texts if word is not None))


def total_word(post: str | None, role: str | None, cells: Iterable[str | None]) -> str | None:
    """The word for which a row is a sum, a remark or a signature, and no post; else None.

    Such a row has no role, and the word stands where the post's id should, or first in a row
    without one. What follows the word is not returned: it may be somebody's name. The word for a
    sum may also stand in any other cell, beside counts where post and role should be.

    Examples
    --------
    >>> total_word("制表人：张三", None, []), total_word(None, None, [None, "合 计", "3"])
    ('制表人', '合计')
    >>> total_word(None, "16", ["小计", "16"]), total_word("149", None, ["合计", "149"])
    ('小计', '合计')
    """
    texts = [cell for cell in cells if cell is not None]
    if post is not None and post.casefold() in _OURS:
        return post
    if role is None:
        first = post if post is not None else next(iter(texts), None)
        found = _sum_or_remark(first)
        if found:
            return found["total"] or found["remark"]
    if all(cell is None or number_in(cell) is not None for cell in (post, role)):
        # what might be a post with a number for a role must begin with the word
        where = texts if post is None or role is None else texts[:1]
        sums = (found["total"] for cell in where if (found := _sum_or_remark(cell)))
        return next(filter(None, sums), None)
    return None


def _sum_or_remark(text: str | None) -> re.Match[str] | None:
    return None if text is None else _TOTAL.fullmatch(re.sub(r"\s", "", text).casefold())


def is_header_row(post: str | None, role: str | None) -> bool:
    """Whether a row repeats the header, as it does where a page of the table begins."""
    return all(
        any(_plain_header(text) in rank for rank in _RANKS[ours])
        for ours, text in zip(REQUIRED, (post, role), strict=True)
    )


def _plain_header(name: Any) -> str:
    text = (plain_text(name) or "").casefold()
    return re.sub(r"[\s_*＊:：]", "", text)


_RANKS = {
    ours: [{_plain_header(word) for word in rank} for rank in ranks]
    for ours, ranks in HEADERS.items()
}


def match_headers(names: Sequence[Any]) -> dict[str, list[int]]:
    """Positions of the headers that mean each of our names; more than one is ambiguous.

    A remark in brackets behind a header, as in 经度（度）, counts only where no header matches as
    it stands. Coordinates count in pairs.
    """
    plain = [_plain_header(name) for name in names]
    bare = [_REMARK.sub("", name) for name in plain]
    found = {}
    for ours, ranks in _RANKS.items():
        rows = (
            [k for k, name in enumerate(spelling) if name in rank]
            for spelling in (plain, bare)
            for rank in ranks
        )
        found[ours] = next((places for places in rows if places), [])
    for pair in PAIRS:
        if not all(found[ours] for ours in pair):
            found |= {ours: [] for ours in pair}
    return found


def _ambiguous(names: Sequence[Any], where: str) -> list[Problem]:
    problems = []
    for ours, places in match_headers(names).items():
        if len(places) > 1 and ours not in TOGETHER:
            listed = " and ".join(f"{str(names[k]).strip()!r} (column {k + 1})" for k in places)
            message = f"{where} has {len(places)} columns that mean {ours!r}: {listed}; keep one"
            problems.append(Problem("duplicate_column", message))
    return problems


def known_names(ours: str) -> str:
    """Every header that is understood as one of our names."""
    return ", ".join(word for rank in HEADERS[ours] for word in rank)


def rename_headers(names: Sequence[Any], *, where: str) -> list[str]:
    """Give known headers our names; others pass through.

    Of several columns with skills only the first is renamed: they are read together.

    Raises
    ------
    InputError
        If two headers mean the same, or `post_id` or `role` is missing; the message has the
        headers as they stand.
    """
    problems = _ambiguous(names, where)
    found = match_headers(names)
    shown = [text for text in map(plain_text, names) if text]
    problems += [
        Problem(
            "missing_column",
            f"{where} has no column {ours!r}{nearest(ours, shown)} "
            f"(known names: {known_names(ours)})",
        )
        for ours in REQUIRED
        if not found[ours]
    ]
    if problems:
        raise InputError(problems)
    renamed = [str(name) for name in names]
    for ours, places in found.items():
        if places and ours not in renamed:
            renamed[places[0]] = ours
    return renamed


def nearest(name: str, columns: Iterable[Any]) -> str:
    """The column that was probably meant, or all of them."""
    names = [str(column) for column in columns]
    near = suggester(names)(name)
    return near or f"; the columns are: {', '.join(names) or 'none'}"


def suggester(known: Iterable[str]) -> Callable[[str], str]:
    """Suggest the nearest known name, for the first few only: it costs a pass over all."""
    names = sorted(known)
    remaining = [20]

    def suggest(name: str) -> str:
        remaining[0] -= 1
        if remaining[0] < 0:
            return ""
        # all codes of a county are alike: only what looks like a slip is worth a hint
        cutoff = 0.9 if _LONG_CODE.fullmatch(name) else 0.5
        near = difflib.get_close_matches(name, names, n=1, cutoff=cutoff)
        return f"; did you mean {near[0]!r}?" if near else ""

    return suggest
