"""What an audit looked for, and what it could not look for: data that goes with the findings.

An audit without errors says nothing about what was never given to it. Each topic is a group of
checks that need the same thing; its words are for the screen and the page.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from gridpart.coverage.catalogue import CATALOGUE
from gridpart.coverage.rules import Band
from gridpart.coverage.scene import Scene

__all__ = ["TOPICS", "Topic", "scope_of", "topics_of"]


@dataclass(frozen=True)
class Topic:
    """Checks that need the same thing.

    Parameters
    ----------
    id : str
        Stable identifier.
    checks : tuple of str
        Their ids.
    short : str
        What is looked for, in a word or two.
    name, chinese : str
        What is looked for.
    missing, missing_chinese : str
        Why it could not be; empty where nothing more than the zones is needed.
    undone : str
        What was not looked for, in a few words, where that is not `short`.
    """

    id: str
    checks: tuple[str, ...]
    short: str
    name: str
    chinese: str
    missing: str = ""
    missing_chinese: str = ""
    undone: str = ""

    @property
    def short_undone(self) -> str:
        """What was not looked for, in a few words."""
        return self.undone or self.short


_ENTRIES = (
    Topic(
        "rows",
        (
            "empty_geometry",
            "invalid_geometry",
            "duplicate_id",
            "missing_id",
            "crs_missing",
            "crs_differs",
        ),
        "shapes and ids",
        "Shapes and ids of the zones",
        "网格图形与编号",
    ),
    Topic(
        "overlaps",
        ("overlap", "overlap_many", "stacked", "multipart", "point_contact", "misaligned"),
        "overlaps and parts",
        "Overlaps between zones, zones in several parts",
        "网格重叠、网格不连续",
    ),
    Topic(
        "holes", ("hole", "sliver_gap"), "enclosed holes", "Holes that zones enclose", "内部空洞"
    ),
    Topic(
        "territory",
        ("gap", "sliver_gap", "spill", "other_scope"),
        "whole boundary",
        "Gaps anywhere inside the boundary, zones that reach outside it",
        "边界内的盲区、超出边界的网格",
        "no boundary was given: gaps at the rim, and zones that reach outside, were not looked for",
        "未提供边界：外缘盲区与越界网格未检查",
        "gaps at the rim (no boundary)",
    ),
    Topic(
        "excluded",
        ("excluded_ground",),
        "excluded ground",
        "Ground that needs no zone",
        "无需覆盖的区域",
    ),
    Topic(
        "units",
        (
            "unit_uncovered",
            "unit_partly_uncovered",
            "unit_twice",
            "unit_split",
            "unit_without_geometry",
        ),
        "units",
        "Units that no zone covers, that zones share, or that a zone line cuts",
        "未覆盖、重复归属或被分割的基本单元",
        "no units were given",
        "未提供基本单元",
    ),
    Topic(
        "assignment",
        ("unit_unknown_zone", "unit_elsewhere"),
        "assignment",
        "Units that lie in another zone than they are assigned to",
        "基本单元登记归属与实际位置",
        "no column of units says to which zone each is assigned",
        "基本单元未注明所属网格",
    ),
    Topic(
        "households",
        ("households_differ",),
        "household sums",
        "Households of the zones against the sum of their units",
        "网格户数与单元户数之和",
        "households are not known of both the zones and the units",
        "网格与基本单元未同时提供户数",
    ),
    Topic(
        "band",
        ("below_band", "above_band"),
        "band",
        "Zones outside the band of households",
        "网格规模标准（户数上下限）",
        "no lowest or highest number of households was given",
        "未提供户数上下限",
    ),
    Topic(
        "barriers",
        ("across_barrier",),
        "barriers",
        "Zones across barriers",
        "跨越阻隔的网格",  # not every place has barriers: without them nothing is missing
    ),
    Topic(
        "communities",
        ("crosses_community",),
        "community borders",
        "Zones that cross the border of a community",
        "跨越社区边界的网格",
        "neither polygons of communities nor a column of units with their community were given",
        "未提供社区范围，基本单元也未注明所属社区",
    ),
    # The following are not to be had everywhere: without them nothing is missing.
    Topic(
        "compounds",
        ("compound_split",),
        "compounds",
        "Compounds in several zones",
        "被分割的小区",
    ),
    Topic(
        "exclusive",
        ("exclusive_missing", "exclusive_mixed"),
        "exclusive sites",
        "Exclusive sites without a zone of their own",
        "专属网格",
    ),
    Topic(
        "levels",
        ("not_nested",),
        "nesting",
        "Areas that do not nest in the level above",
        "层级嵌套",
    ),
    Topic(
        "staff",
        ("no_staff", "post_unknown_zone", "post_scattered"),
        "staff",
        "Zones without staff, posts on zones that do not touch",
        "人员配备",
    ),
    Topic(
        "exceptions",
        ("exception_unfounded",),
        "exceptions",
        "Recorded exceptions",
        "已登记的例外",
        "no recorded exceptions were given",
        "未提供例外登记",
    ),
    Topic(
        "codes",
        ("code_missing", "code_duplicate", "code_number", "code_malformed", "code_serial_order"),
        "codes",
        "Missing, doubled and malformed codes, serials out of order",
        "编码缺失、重复、格式错误或顺序不符",
        "the zones have no codes",
        "网格没有编码",
    ),
    Topic(
        "parents",
        ("code_wrong_parent",),
        "codes' parents",
        "Codes that do not begin with the code of their community",
        "编码与所属社区代码是否一致",
        "no parent codes were given",
        "未提供上级代码",
    ),
    Topic(
        "register",
        ("code_retired", "code_unregistered", "code_unused"),
        "register",
        "Codes that are retired, were never issued, or that no zone carries",
        "编码登记册核对",
    ),
)

# Of a table that says which grid each unit is in, without a zone being drawn.
_OF_TABLES = (
    Topic(
        "listing",
        ("unit_uncovered", "unit_twice", "unit_duplicate", "unit_without_geometry"),
        "every unit in one grid",
        "Units in no grid, in two grids, or listed twice",
        "未归入、重复归入网格或重复登记的基本单元",
    ),
    Topic(
        "connection",
        ("multipart",),
        "connection",
        "Grids in several parts",
        "网格是否连片",
        "units that are points, have no shape or mostly do not touch each other cannot tell it",
        "基本单元为点、无图形或大多互不相接，无法判断",
        "connection (units do not touch)",
    ),
    Topic(
        "table_codes",
        ("code_number", "code_malformed", "code_serial_order"),
        "codes",
        "Malformed codes, serials out of order",
        "编码格式错误",
        "the column of grids does not hold codes",
        "网格列未采用编码",
    ),
    Topic(
        "drawing",
        (),
        "zone polygons",
        "Gaps, overlaps and outlines of zones",
        "网格图形的盲区、重叠与边界",
        "no polygons of zones were given",
        "未提供网格图形",
    ),
)

TOPICS: dict[str, Topic] = {topic.id: topic for topic in (*_ENTRIES, *_OF_TABLES)}


def scope_of(scene: Scene, band: Band, given: Mapping[str, bool]) -> dict[str, Any]:
    """Plain data on what was checked and what was not.

    Parameters
    ----------
    scene : Scene
        Everything the audit looked at.
    band : Band
        The band it was held against.
    given : mapping of str to bool
        Topics of tables and columns, and whether they were given.

    Returns
    -------
    dict
        ``checked`` (ids of the checks that ran), ``topics`` (ids of the topics they make up),
        ``not_checked`` (why, by topic), ``band`` (low and high, or None), ``zones``, ``units``
        and ``households`` (how many; None if they were not given). JSON can hold all of it.
    """
    has_units = scene.units is not None
    ran = {
        "rows": True,
        "overlaps": True,
        "holes": scene.boundary is None,
        "territory": scene.boundary is not None,
        "excluded": scene.excluded is not None,
        "units": has_units,
        "assignment": scene.assigned is not None,
        "households": scene.zone_households is not None and scene.unit_households is not None,
        "band": band != Band(),
        "communities": scene.unit_communities is not None or scene.areas is not None,
        **given,
    }
    counted = scene.unit_households if has_units else scene.zone_households
    return {
        **topics_of(ran, band),
        "band": None if band == Band() else [band.low, band.high],
        "zones": len(scene.zones),
        "units": len(scene.unit_ids) if has_units else None,
        "households": None if counted is None else int(counted.sum()),
    }


def topics_of(ran: Mapping[str, bool], band: Band) -> dict[str, Any]:
    """What was checked and what was not, of the topics named in `ran`."""
    topics = [TOPICS[name] for name in TOPICS if name in ran]
    done = {check for topic in topics if ran[topic.id] for check in topic.checks}
    done -= _unbounded(band)
    return {
        "checked": [name for name in CATALOGUE if name in done],
        "topics": [topic.id for topic in topics if ran[topic.id]],
        "not_checked": {
            topic.id: topic.missing for topic in topics if topic.missing and not ran[topic.id]
        },
    }


def _unbounded(band: Band) -> AbstractSet[str]:
    """Checks of the bound that a half-open band does not have."""
    sides = {"below_band": band.low, "above_band": band.high}
    return {check for check, bound in sides.items() if bound is None}
