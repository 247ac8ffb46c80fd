"""The catalogue of audit checks as data, and the table that findings become.

Every check has a stable id, a severity, a sentence in English and Chinese and a suggested
rectification. Adding a check means one entry here, one function that yields
:class:`Finding` objects, and one injected fault in the tests that proves that it fires.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

if TYPE_CHECKING:
    import geopandas as gpd
    from shapely.geometry.base import BaseGeometry

__all__ = ["CATALOGUE", "COLUMNS", "SEVERITIES", "Check", "Finding", "findings_frame"]

SEVERITIES = ("error", "warning", "note")
COLUMNS = (
    "check",
    "severity",
    "ids",
    "area_m2",
    "length_m",
    "households",
    "n",
    "bbox",
    "message",
    "advice",
    "status",
)


@dataclass(frozen=True)
class Check:
    """One kind of defect an audit looks for.

    Parameters
    ----------
    id : str
        Stable identifier.
    severity : str
        ``"error"``, ``"warning"`` or ``"note"``; a single finding may be milder.
    english, chinese : str
        What is wrong, in a plain sentence.
    advice, advice_chinese : str
        What to do about it.
    tolerance : float, optional
        Default size below which a finding is a sliver or noise; see `unit`.
    unit : str
        Unit of `tolerance`: ``"m2"``, ``"m"`` or empty.
    """

    id: str
    severity: str
    english: str
    chinese: str
    advice: str
    advice_chinese: str
    tolerance: float | None = None
    unit: str = ""


_TERRITORY = (
    Check(
        "gap",
        "error",
        "Ground inside the boundary that no zone covers.",
        "边界内有未被任何网格覆盖的区域（盲区）。",
        "assign it to a neighbouring zone",
        "划入相邻网格。",
        1.0,
        "m2",
    ),
    Check(
        "hole",
        "error",
        "Ground enclosed by zones that no zone covers.",
        "被网格包围、但不属于任何网格的空洞。",
        "assign it to a surrounding zone, or give a boundary that leaves the enclave out",
        "划入周围网格；若属飞地，请提供已扣除飞地的边界。",
        1.0,
        "m2",
    ),
    Check(
        "sliver_gap",
        "warning",
        "Slivers between zones, each smaller than the smallest area that counts.",
        "网格之间有细小缝隙。",
        "snap the vertices of neighbouring zones to each other",
        "将相邻网格的边界顶点对齐。",
        0.001,
        "m",
    ),
    Check(
        "overlap",
        "error",
        "Two zones cover the same ground.",
        "两个网格相互重叠。",
        "let one of the two zones give the ground up",
        "明确该区域归属，由其中一个网格让出。",
        0.001,
        "m2",
    ),
    Check(
        "overlap_many",
        "error",
        "Three or more zones cover the same ground.",
        "三个以上网格重叠于同一区域。",
        "decide which zone keeps the ground",
        "明确该区域唯一归属。",
        1.0,
        "m2",
    ),
    Check(
        "spill",
        "error",
        "A zone reaches outside the boundary.",
        "网格超出边界范围。",
        "cut the zone at the boundary, or correct the boundary",
        "按边界裁切网格，或更正边界。",
        1.0,
        "m2",
    ),
    Check(
        "empty_geometry",
        "error",
        "A zone without a shape.",
        "网格没有图形。",
        "draw the zone, or delete the row",
        "补绘图形，或删除该记录。",
    ),
    Check(
        "invalid_geometry",
        "error",
        "A zone whose shape is broken.",
        "网格图形无效（如自相交）。",
        "redraw the zone where it is broken",
        "在标示位置修正图形。",
    ),
    Check(
        "duplicate_id",
        "error",
        "Several zones carry the same id.",
        "多个网格使用同一编号。",
        "give every zone an id of its own, or merge the rows",
        "为每个网格赋予唯一编号，或合并记录。",
    ),
    Check(
        "missing_id",
        "error",
        "A zone without an id.",
        "网格缺少编号。",
        "give the zone an id",
        "补填编号。",
    ),
    Check(
        "stacked",
        "error",
        "Zones with the same shape lie on one another.",
        "多个图形完全相同的网格叠放。",
        "delete all but one",
        "仅保留一个，删除其余。",
    ),
    Check(
        "multipart",
        "error",
        "A zone in several parts that do not touch along a line.",
        "网格由互不相连的几部分组成。",
        "give the smaller parts to the zones around them",
        "将较小部分划入周边网格。",
    ),
    Check(
        "point_contact",
        "note",
        "Zones that touch at a point only.",
        "网格之间仅以一点相接。",
        "nothing to do; do not count them as neighbours",
        "无需整改；不视为相邻。",
    ),
)
_HOLDINGS = (
    # --- people covered
    Check(
        "unit_uncovered",
        "error",
        "A unit that no zone covers.",
        "基本单元未被任何网格覆盖。",
        "assign the unit to a neighbouring zone",
        "将该单元划入相邻网格。",
        0.5,
        "share",
    ),
    Check(
        "unit_partly_uncovered",
        "warning",
        "A unit of which a part lies in no zone.",
        "基本单元有一部分未被网格覆盖。",
        "draw the zone line along the unit's border",
        "沿单元边界调整网格线。",
        0.01,
        "share",
    ),
    Check(
        "unit_twice",
        "error",
        "A unit that several zones cover at once.",
        "基本单元同时属于多个网格。",
        "decide which zone keeps the unit",
        "明确该单元唯一归属。",
        0.5,
        "share",
    ),
    Check(
        "unit_duplicate",
        "error",
        "Several rows stand for the same unit.",
        "同一基本单元重复登记。",
        "keep one row, and count its households once",
        "仅保留一条记录，户数只计一次。",
    ),
    Check(
        "unit_split",
        "error",
        "A unit that a zone line cuts.",
        "基本单元被网格线分割。",
        "draw the zone line round the unit, with the side that holds most of it",
        "网格线应绕开该单元，整体划入占比较大的一侧。",
        0.01,
        "share",
    ),
    Check(
        "unit_without_geometry",
        "warning",
        "Units without a usable shape cannot be located.",
        "基本单元没有可用图形，无法定位。",
        "draw the units, or name their zone in a column and pass it as the assignment",
        "补绘单元图形，或在属性中注明所属网格。",
    ),
    Check(
        "unit_unknown_zone",
        "error",
        "Units assigned to a zone that does not exist.",
        "基本单元所填网格编号不存在。",
        "correct the assignment",
        "更正所属网格编号。",
    ),
    Check(
        "unit_elsewhere",
        "error",
        "Units that lie in another zone than the one they are assigned to.",
        "基本单元所在位置与所填网格不符。",
        "correct the assignment or the zone line",
        "更正归属或网格线。",
    ),
    Check(
        "households_differ",
        "error",
        "A zone's own number of households is not the sum of its units.",
        "网格登记户数与所含单元户数之和不符。",
        "count again, or correct the column",
        "重新核算户数，或更正登记。",
    ),
    # --- rules
    Check(
        "below_band",
        "error",
        "A zone with fewer households than the band allows.",
        "网格户数低于规模下限。",
        "merge it with a neighbour, or take over units from one",
        "与相邻网格合并，或从相邻网格调入单元。",
    ),
    Check(
        "above_band",
        "error",
        "A zone with more households than the band allows.",
        "网格户数高于规模上限。",
        "split it, or give units to a neighbour",
        "拆分网格，或将部分单元调至相邻网格。",
    ),
    Check(
        "across_barrier",
        "error",
        "A zone on both sides of a barrier, with no crossing inside it.",
        "网格跨越河流、铁路等阻隔，且其间无通道。",
        "draw the zone line along the barrier, or record the crossing",
        "网格线应沿阻隔划定；确有桥梁、通道的，请补充登记。",
    ),
    Check(
        "crosses_community",
        "error",
        "A zone that crosses the border of a community.",
        "网格跨越社区边界。",
        "draw the zone line along the border of the community",
        "网格线应沿社区边界划定，跨界部分划归其所属社区的网格。",
    ),
    Check(
        "exception_unfounded",
        "warning",
        "A recorded exception that the zones do not bear out.",
        "登记的例外情况与实际不符。",
        "remove the exception, or correct its grid and households",
        "删除该例外，或更正其网格与户数。",
    ),
    # --- codes
    Check(
        "code_missing",
        "error",
        "A zone without a code.",
        "网格缺少编码。",
        "assign a code",
        "赋码。",
    ),
    Check(
        "code_duplicate",
        "error",
        "Several zones carry the same code.",
        "多个网格使用同一编码。",
        "keep the code for one zone and give the others new serials",
        "仅保留一个，其余重新编码。",
    ),
    Check(
        "code_malformed",
        "error",
        "A code that does not have the form of a grid code.",
        "编码格式不符合规定。",
        "use the 12-digit parent code and a 3-digit serial, stored as text",
        "采用12位上级代码加3位顺序码，并以文本存储。",
    ),
    Check(
        "code_wrong_parent",
        "error",
        "A code that does not begin with the code of its community.",
        "编码与所属社区代码不一致。",
        "assign a code of the zone's own community",
        "按所属社区重新编码。",
    ),
)

CATALOGUE: dict[str, Check] = {check.id: check for check in (*_TERRITORY, *_HOLDINGS)}


@dataclass
class Finding:
    """One defect, or a group of small ones of a kind, before it becomes a row.

    Areas and lengths left out are measured from `geometry`; `severity`, `advice` and
    `advice_chinese` left out are those of the catalogue. An advice of its own comes in both
    languages, or they contradict each other. `rows` are the positions of the zones meant, for
    checks that look at a finding again. `weight` is the households by which the finding is
    ranked where they are not `households`: of a unit that is cut, those of the smaller share.
    """

    check: str
    message: str
    ids: tuple[str, ...] = ()
    geometry: BaseGeometry | None = None
    households: int | None = None
    n: int = 1
    severity: str | None = None
    advice: str | None = None
    advice_chinese: str | None = None
    rows: tuple[int, ...] = ()
    weight: float | None = None

    @property
    def rank(self) -> float:
        """Households at stake, for the order of findings."""
        return float(self.households or 0) if self.weight is None else self.weight

    def as_row(self) -> dict[str, Any]:
        """Values of the columns of a findings table, geometry included."""
        check = CATALOGUE[self.check]
        shape = self.geometry
        dimension = -1 if shape is None or shape.is_empty else shapely.get_dimensions(shape)
        return {
            "check": self.check,
            "severity": self.severity or check.severity,
            "ids": ";".join(self.ids),
            "area_m2": float(shapely.area(shape)) if dimension == 2 else math.nan,
            "length_m": float(shapely.length(shape)) if dimension >= 1 else math.nan,
            "households": self.households,
            "n": self.n,
            "bbox": bbox_text(shape),
            "message": self.message,
            "advice": self.advice or check.advice,
            "status": "open",
            "advice_chinese": self.advice_chinese or check.advice_chinese,
            "geometry": shape,
        }


def bbox_text(shape: BaseGeometry | None) -> str:
    """West, south, east and north to the millimetre, parted by blanks; empty without a shape."""
    if shape is None or shape.is_empty:
        return ""
    return " ".join(f"{value:.3f}" for value in shapely.bounds(shape))


def findings_frame(findings: Iterable[Finding], crs: Any) -> gpd.GeoDataFrame:
    """Rows in order, the gravest first.

    Within a severity the zones themselves come first (gaps, overlaps, spill, broken rows), for
    what is counted in a faulty layer is faulty, too; then everything that was counted, by the
    households at stake, which of a cut unit are those of its smaller share, and by area.
    """
    import geopandas as gpd
    import pandas as pd

    findings = list(findings)
    columns = [*COLUMNS, "advice_chinese", "geometry"]
    frame = pd.DataFrame([finding.as_row() for finding in findings], columns=columns)
    frame["households"] = frame["households"].astype("Int64")
    frame["n"] = frame["n"].astype("int64")
    for name in ("area_m2", "length_m"):
        frame[name] = frame[name].astype("float64")
    order = list(CATALOGUE)
    keys = pd.DataFrame(
        {
            "severity": [SEVERITIES.index(value) for value in frame["severity"]],
            "counted": [order.index(value) >= len(_TERRITORY) for value in frame["check"]],
            "households": [-finding.rank for finding in findings],
            "area": -np.nan_to_num(frame["area_m2"].to_numpy()),
            "check": [order.index(value) for value in frame["check"]],
            "ids": frame["ids"].to_numpy(),
        }
    )
    frame = frame.iloc[keys.sort_values(list(keys.columns), kind="stable").index]
    shapes = gpd.GeoSeries(frame.pop("geometry").to_list(), crs=crs)
    return gpd.GeoDataFrame(frame.reset_index(drop=True), geometry=shapes, crs=crs)
