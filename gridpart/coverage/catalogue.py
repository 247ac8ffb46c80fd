"""The catalogue of audit checks, as data.

Every check has a stable id, a severity, a sentence in English and Chinese and a suggested
rectification. Adding a check means one entry here, one function that yields
:class:`~gridpart.coverage.findings.Finding` objects, and one injected fault in the tests that
proves that it fires.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CATALOGUE", "COLUMNS", "SEVERITIES", "Check", "settable"]

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
        Default size below which a defect does not count, or only as a sliver; None where there
        is nothing to measure.
    unit : str
        Unit of `tolerance`: ``"m2"``, ``"m"``, ``"households"``,
        ``"share"`` (of a unit, or of the boundary) or empty.
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
        1.0,
        "m2",
    ),
    Check(
        "point_contact",
        "note",
        "Zones that touch at a point only.",
        "网格之间仅以一点相接。",
        "nothing to do; do not count them as neighbours",
        "无需整改；不视为相邻。",
    ),
    Check(
        "misaligned",
        "note",
        "Borders that match only nearly: their vertices lie beside each other, not on each other.",
        "相邻网格边界的顶点未完全重合（容差以内）。",
        "snap the vertices of neighbouring zones to each other",
        "将相邻网格的边界顶点对齐。",
        0.001,
        "m",
    ),
    Check(
        "other_scope",
        "warning",
        "Large ground without a unit that the zones leave out, perhaps on purpose.",
        "边界与网格的范围明显不同，请确认边界是否属于本方案。",
        "give the boundary of the territory that the zones are meant to cover",
        "请提供本方案应覆盖区域的边界；若确应覆盖，请补划网格。",
        0.3,
        "share",
    ),
    Check(
        "excluded_ground",
        "note",
        "Ground without a zone that needs none: water, or ground of another authority.",
        "未划网格、但无需覆盖的区域（水域或其他单位辖区）。",
        "nothing to do",
        "无需整改。",
        1.0,
        "m2",
    ),
    Check(
        "crs_missing",
        "error",
        "A layer that does not say its coordinate reference system.",
        "图层缺少坐标系定义。",
        "write the coordinate reference system into the file",
        "为图层补充坐标系定义。",
    ),
    Check(
        "crs_differs",
        "note",
        "Layers in different coordinate reference systems; they were projected into one.",
        "各图层坐标系不一致，已统一投影后检查。",
        "keep all layers of a plan in one coordinate reference system",
        "建议统一各图层坐标系。",
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
        0.0,
        "households",
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
        1.0,
        "m2",
    ),
    Check(
        "crosses_community",
        "error",
        "A zone that crosses the border of a community.",
        "网格跨越社区边界。",
        "draw the zone line along the border of the community",
        "网格线应沿社区边界划定，跨界部分划归其所属社区的网格。",
        1.0,
        "m2",
    ),
    Check(
        "exception_unfounded",
        "warning",
        "A recorded exception that the zones do not bear out.",
        "登记的例外情况与实际不符。",
        "remove the exception, or correct its grid and households",
        "删除该例外，或更正其网格与户数。",
    ),
    Check(
        "compound_split",
        "error",
        "A compound whose units lie in several zones.",
        "同一小区被划入多个网格。",
        "draw the zone line round the compound",
        "网格线应绕开小区，整体划入同一网格。",
    ),
    Check(
        "exclusive_missing",
        "error",
        "An exclusive site without a zone of its own.",
        "学校、企业、市场等未单独设置专属网格。",
        "give the site a zone of its own",
        "为其单独划定专属网格。",
    ),
    Check(
        "exclusive_mixed",
        "error",
        "An exclusive zone that holds other units, too.",
        "专属网格内含有其他单元。",
        "give the other units to the zones around it",
        "将其他单元划入周边网格。",
    ),
    Check(
        "not_nested",
        "error",
        "An area of a lower level that lies in several of the level above it.",
        "下级区域跨越多个上级区域（层级不嵌套）。",
        "draw the line of the lower level along the line of the upper one",
        "下级界线应与上级界线一致。",
    ),
    # --- staff
    Check(
        "no_staff",
        "error",
        "A zone without staff.",
        "网格未配备人员。",
        "place a worker on it",
        "为网格配备人员。",
    ),
    Check(
        "post_unknown_zone",
        "error",
        "Posts on a zone that does not exist.",
        "岗位所填网格不存在。",
        "correct the zone of the post",
        "更正岗位所属网格。",
    ),
    Check(
        "post_scattered",
        "warning",
        "A post on zones that do not touch.",
        "同一人员负责的网格互不相邻。",
        "give the post zones that border on each other",
        "调整为相邻网格。",
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
    Check(
        "code_number",
        "error",
        "Codes that are stored as numbers, which loses leading zeros.",
        "编码以数值存储，前导零会丢失。",
        "store codes as text",
        "编码应以文本存储。",
    ),
    Check(
        "code_serial_order",
        "note",
        "Serials that do not follow the order from north to south and west to east.",
        "顺序码未按自西向东、自北向南排列。",
        "nothing to do where grids were split or merged; else number them again",
        "因拆分合并产生的无需整改；否则应重新排序赋码。",
    ),
    Check(
        "code_retired",
        "error",
        "A zone that carries a retired code.",
        "网格使用了已停用的编码。",
        "give the zone a new, higher serial; a code is never used again",
        "赋予新的顺序码；已停用编码不得再次使用。",
    ),
    Check(
        "code_unregistered",
        "warning",
        "A zone whose code was never issued.",
        "网格编码未在编码登记册中。",
        "enter the code in the register, or correct it",
        "登记该编码，或更正编码。",
    ),
    Check(
        "code_unused",
        "warning",
        "Codes that are registered as live, but that no zone carries.",
        "登记为在用、但没有网格使用的编码。",
        "draw the missing zone, or retire the code",
        "补划缺失网格，或停用该编码。",
    ),
)

CATALOGUE: dict[str, Check] = {check.id: check for check in (*_TERRITORY, *_HOLDINGS)}
OF_THE_GROUND = frozenset(check.id for check in _TERRITORY)


def settable() -> list[str]:
    """Ids of the checks whose tolerance can be set.

    Examples
    --------
    >>> "gap" in settable(), "duplicate_id" in settable()
    (True, False)
    """
    return [check.id for check in CATALOGUE.values() if check.tolerance is not None]
