"""Names and codes that a change makes: always above every serial there ever was.

A plan lists in its provenance the names and codes that it retired, so that none is given to
another grid, or to another area of the levels below. Where a register is kept, it issues them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridpart.codes import load_scheme
from gridpart.codes import scheme_of as own_scheme
from gridpart.codes.assign import above, coded_levels, level_below
from gridpart.errors import InputError
from gridpart.plan import Plan
from gridpart.redraw.parents import Parents, parent_of

if TYPE_CHECKING:
    import geopandas as gpd

    from gridpart.codes import Scheme

    Objects = npt.NDArray[np.object_]

__all__ = [
    "RETIRED", "RETIRED_AREAS", "RETIRED_BELOW", "RETIRED_KEY", "RETIRED_NAMES", "Serials",
    "listed", "scheme_of",
]  # fmt: skip

# What the provenance of a plan lists: names and codes that its forebears carried.
RETIRED_KEY, RETIRED_NAMES = "retired_codes", "retired_grids"
RETIRED_BELOW, RETIRED_AREAS = "retired_codes_below", "retired_areas"
RETIRED = (RETIRED_KEY, RETIRED_NAMES, RETIRED_BELOW, RETIRED_AREAS)


def listed(plan: Plan, key: str) -> set[str]:
    """Names or codes that the provenance of a plan lists as retired."""
    return set(json.loads(plan.provenance.get(key) or "[]"))


def scheme_of(plan: Plan, scheme: Any = None) -> Scheme | None:
    """Scheme of a plan's codes; None if it has none.

    Parameters
    ----------
    plan : Plan
    scheme : str, path or Scheme, optional
        By default the one that the plan's provenance has, or ``unit-grid``.

    Raises
    ------
    InputError
        If there is no such scheme.
    """
    if "grid_code" not in plan.units.columns or plan.units["grid_code"].isna().all():
        return None
    return own_scheme(plan) if scheme is None else load_scheme(scheme)


class Serials:
    """Gives out names and codes for new grids of a plan, and remembers what is retired.

    Parameters
    ----------
    plan : Plan
        As it is before the edit.
    scheme : Scheme or None
        Of its codes.
    """

    def __init__(self, plan: Plan, scheme: Scheme | None) -> None:
        self.plan = plan
        self.scheme = scheme
        self.retired = {key: listed(plan, key) for key in RETIRED}
        labels = plan.units["grid"].to_numpy(object)
        self.names = set(pd.unique(labels))
        for level in plan.rules.lower_levels:
            self.names |= set(pd.unique(plan.units[level].astype(object)))
        self.code_of: dict[str, str] = {}
        if scheme is not None:
            first = ~pd.Series(labels).duplicated().to_numpy()
            pairs = zip(labels[first], plan.units["grid_code"].to_numpy(object)[first], strict=True)
            self.code_of = {name: code for name, code in pairs if isinstance(code, str)}

    def facts(self) -> dict[str, str]:
        """What the provenance of the plan is to say from now on."""
        return {
            key: json.dumps(sorted(values), ensure_ascii=False)
            for key, values in self.retired.items()
            if values
        }

    def new_name(self, parent: str) -> str:
        """Name for a new grid of a community, or a new area of a grid: the next serial."""
        start = f"{parent}-" if parent else "G"
        form = re.compile(re.escape(start) + r"([0-9]+)")
        ever = self.names | self.retired[RETIRED_NAMES] | self.retired[RETIRED_AREAS]
        serials = [found[1] for name in ever if (found := form.fullmatch(str(name)))]
        width = max(map(len, serials), default=3)
        name = f"{start}{max([0, *map(int, serials)]) + 1:0{width}d}"
        self.names.add(name)
        return name

    def parent_of(self, code: str) -> str:
        """The part of a code before its serial."""
        assert self.scheme is not None
        return parent_of(code, self.scheme)

    def _next(self, parent: str, level: str, kind: str, ever: Iterable[str]) -> str:
        """Code above all that there ever were under a parent."""
        assert self.scheme is not None
        steps = self.scheme.level(level)
        low, high = steps.serials[steps.series_of(kind)]
        serials = [self.scheme.serial_of(code) for code in ever if code.startswith(parent)]
        last = max([low - 1, *(n for n in serials if n is not None and low <= n <= high)])
        if last >= high:
            raise InputError(
                f"serials under {parent} are used up: the last was {last}, and codes are never "
                "used again; give new grids another parent"
            )
        return self.scheme.join(parent, last + 1, level)

    def finish(
        self,
        units: gpd.GeoDataFrame,
        ended: Collection[str],
        origins: Mapping[str, tuple[str, ...]],
        parents: Parents | None = None,
    ) -> None:
        """Write the codes of new grids into the units, which are changed, and retire what ended.

        Parameters
        ----------
        units : GeoDataFrame
            With the grids after the change: a copy that shares no column it may change.
        ended : collection of str
            Grids that are no more.
        origins : mapping of str to tuple of str
            Old grids that each new grid comes from.
        parents : Parents, optional
            Under which codes new grids are numbered; by default that of the largest grid that
            each comes from.

        Raises
        ------
        InputError
            If a new grid comes from none, and nothing else tells its parent; if serials are used
            up, or codes follow another scheme.
        """
        self.retired[RETIRED_NAMES] |= set(ended)
        self.retired[RETIRED_KEY] |= {self.code_of[g] for g in ended if g in self.code_of}
        for level in self.plan.rules.lower_levels:
            self.retired[RETIRED_AREAS] |= set(self.plan.units[level]) - set(units[level])
        if self.scheme is None:
            return
        codes = {name: code for name, code in self.code_of.items() if name not in ended}
        parents = parents or Parents(self.plan, self.scheme, self.code_of)
        for grid, sources in origins.items():
            if sources and not any(source in self.code_of for source in sources):
                continue  # what it comes from never had a code
            parent, level = parents.of(grid, sources)
            ever = {*self.code_of.values(), *codes.values(), *self.retired[RETIRED_KEY]}
            codes[grid] = self._next(parent, level, self._kind(units, "grid", grid), ever)
        values = units["grid"].map(codes)
        units["grid_code"] = values.astype(self.plan.units["grid_code"].dtype)
        if "grid_check" in self.plan.units.columns and self.scheme.check_character:
            known = pd.Series(pd.unique(units["grid_code"].dropna()), dtype=object)
            marks = dict(zip(known, self.scheme.check_characters(known), strict=True))
            units["grid_check"] = units["grid_code"].map(marks)
        for level in coded_levels(self.plan, self.scheme):
            self._finish_level(units, level)

    def _kind(self, units: gpd.GeoDataFrame, level: str, name: str) -> str:
        own = units[(units[level] == name).to_numpy()]
        return "exclusive" if self.plan._is_exclusive(own).all() else "base"

    def _finish_level(self, units: gpd.GeoDataFrame, level: str) -> None:
        """Codes of a lower level: an area keeps its own while what it lies in keeps its, too."""
        assert self.scheme is not None
        column, width = f"{level}_code", self.scheme.parent_width(level)
        higher = above(self.plan, level, self.scheme)
        before = level_below(self.plan.units, level, higher)["code"]
        own = {str(area): code for area, code in before.items() if code is not None}
        there = set(self.plan.units[column].dropna())
        ever = there | self.retired[RETIRED_BELOW]
        codes: dict[str, str] = {}
        now = level_below(units, level, higher).sort_index()
        for area, parent in zip(now.index.astype(str), now["parent_code"], strict=True):
            code = own.get(area)
            if parent is None:
                continue
            if code is None or code[:width] != parent:
                code = self._next(parent, level, self._kind(units, level, area), ever)
            codes[area] = code
            ever.add(code)
        units[column] = units[level].map(codes).astype(self.plan.units[column].dtype)
        self.retired[RETIRED_BELOW] |= there - set(codes.values())
