"""Under which codes new grids are numbered."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from gridpart.errors import InputError, Problem
from gridpart.plan import Plan

if TYPE_CHECKING:
    from gridpart.codes import Scheme

__all__ = ["Parents", "level_of", "parent_of"]


def level_of(code: str, scheme: Scheme) -> str:
    """Level of a grid's code.

    Raises
    ------
    InputError
        If it does not follow the scheme.
    """
    found, wrong = scheme.level_of(code), scheme.check(code)
    if found is None or wrong is not None:
        raise InputError(
            f"the plan's codes do not follow the scheme {scheme.name}; name theirs with "
            f"scheme: {code} {wrong}"
        )
    return found.name


def parent_of(code: str, scheme: Scheme) -> str:
    """The part of a code before its serial."""
    return code[: scheme.parent_width(level_of(code, scheme))]


class Parents:
    """Under which codes the new grids of a changed plan are numbered.

    Parameters
    ----------
    plan : Plan
        Before the change.
    scheme : Scheme
        Of its codes.
    code_of : mapping of str to str
        Codes of its grids by their names.
    new : Plan, optional
        After the change.
    kept : collection of str
        Grids of both that go on under their codes.

    Notes
    -----
    A new grid is numbered where its ground lies, wherever its households came from. So that column
    of the units counts first with which all codes that go on begin; then the codes of grids that
    go on in the same community; then the largest of the grids that it comes from.
    """

    def __init__(
        self,
        plan: Plan,
        scheme: Scheme,
        code_of: Mapping[str, str],
        new: Plan | None = None,
        kept: Collection[str] = (),
    ) -> None:
        self.plan, self.scheme, self.code_of = plan, scheme, code_of
        self.new, self.kept = new, frozenset(kept)

    def of(self, grid: str, sources: Collection[str]) -> tuple[str, str]:
        """Parent code of a new grid that comes from others, and the level of its code."""
        if grid in self._told:
            return self._told[grid], self._level_of_grids()
        alike = self._beside.get(grid) or self._mother(sources)
        if alike is not None:
            return parent_of(alike, self.scheme), level_of(alike, self.scheme)
        text = (
            "nothing tells the parent codes of new grids: they stand on ground of no grid with a "
            "code; give the units the column of parent codes that the plan was coded with"
        )
        raise InputError(Problem("no_parent", text, (f"grid {grid}",)))

    def _mother(self, sources: Collection[str]) -> str | None:
        """Code of the largest grid that another comes from."""
        coded = [source for source in sources if source in self.code_of]
        if not coded:
            return None
        loads = self.plan.units[self.plan.rules.households].to_numpy(np.int64)
        names = self.plan.units["grid"].to_numpy(object)
        largest = max(coded, key=lambda source: (int(loads[names == source].sum()), source))
        return self.code_of[largest]

    @cached_property
    def _beside(self) -> dict[str, str]:
        """Code of a grid of the same community as each grid: of one that goes on, if there is."""
        if self.new is None:
            return {}
        within = dict(zip(self.new.grids["grid"], self.new.grids["within"], strict=True))
        known: dict[object, str] = {}
        column = self.plan.rules.parent
        if column is not None:
            units = self.plan.units
            before = dict(zip(units["grid"], units[column], strict=True))
            known = {before[grid]: code for grid, code in sorted(self.code_of.items())}
        known |= {
            within[grid]: self.code_of[grid] for grid in sorted(self.kept & set(self.code_of))
        }
        return {
            grid: known[where]
            for grid, where in within.items()
            if where is not None and where in known
        }

    @cached_property
    def _told(self) -> dict[str, str]:
        """Parents by the column of the units with which all codes that go on begin."""
        kept = self.kept & set(self.code_of)
        if self.new is None or not kept:
            return {}
        units, rules, level = self.new.units, self.new.rules, self._level_of_grids()
        begins = {grid: parent_of(self.code_of[grid], self.scheme) for grid in kept}
        own = {"grid", "grid_code", "grid_check", units.geometry.name, rules.id}
        columns = [name for name in units.columns if name not in own]
        columns.sort(key=lambda name: name != rules.within)
        for column in columns:
            values = units[column]
            if pd.api.types.infer_dtype(values, skipna=True) != "string":
                continue
            of_grid = values.groupby(units["grid"]).agg(["nunique", "first", "size", "count"])
            whole = of_grid[(of_grid["nunique"] == 1) & (of_grid["size"] == of_grid["count"])]
            told: dict[str, str] = whole["first"].to_dict()
            agree = [told[g] == parent for g, parent in begins.items() if g in told]
            if agree and all(agree):
                fine = {
                    p for p in told.values() if self.scheme.check_parent(p, level=level) is None
                }
                return {grid: parent for grid, parent in told.items() if parent in fine}
        return {}

    def _level_of_grids(self) -> str:
        return level_of(min(self.code_of.values()), self.scheme)
