"""Names and codes of grids that an edit makes: always above every serial there ever was.

A plan lists in its provenance the names and codes that it retired, so that none is given to
another grid. Where a register of codes is kept, it issues them.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridpart.codes import load_scheme
from gridpart.codes import scheme_of as own_scheme
from gridpart.codes.assign import with_codes, with_snapshot
from gridpart.errors import InputError
from gridpart.plan import Plan
from gridpart.redraw.changes import change_table

if TYPE_CHECKING:
    import geopandas as gpd

    from gridpart.codes import KeptGrid, NewGrid, Register, Scheme

    Objects = npt.NDArray[np.object_]

__all__ = ["Serials", "recording", "scheme_of"]

# What the provenance of a plan lists: names and codes that its forebears carried.
RETIRED_KEY, RETIRED_NAMES, RETIRED_BELOW = "retired_codes", "retired_grids", "retired_codes_below"


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
        self.retired = {
            key: set(json.loads(plan.provenance.get(key) or "[]"))
            for key in (RETIRED_NAMES, RETIRED_KEY, RETIRED_BELOW)
        }
        labels = plan.units["grid"].to_numpy(object)
        self.names = set(pd.unique(labels))
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

    def new_name(self, community: str) -> str:
        """Name for a new grid of a community: the next serial."""
        start = f"{community}-" if community else "G"
        form = re.compile(re.escape(start) + r"([0-9]+)")
        ever = self.names | self.retired[RETIRED_NAMES]
        serials = [found[1] for name in ever if (found := form.fullmatch(str(name)))]
        width = max(map(len, serials), default=3)
        name = f"{start}{max([0, *map(int, serials)]) + 1:0{width}d}"
        self.names.add(name)
        return name

    def parent_of(self, code: str) -> str:
        """The part of a code before its serial."""
        assert self.scheme is not None
        return code[: self.scheme.parent_width(self._level(code))]

    def _level(self, code: str) -> str:
        assert self.scheme is not None
        found, wrong = self.scheme.level_of(code), self.scheme.check(code)
        if found is None or wrong is not None:
            raise InputError(
                f"the plan's codes do not follow the scheme {self.scheme.name}; name theirs with "
                f"scheme: {code} {wrong}"
            )
        return found.name

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
        self, units: gpd.GeoDataFrame, ended: Collection[str], origins: Mapping[str, Any]
    ) -> None:
        """Write the codes of new grids into the units, which are changed, and retire what ended.

        Parameters
        ----------
        units : GeoDataFrame
            With the grids after the edit: a copy that shares no column it may change.
        ended : collection of str
            Grids that are no more.
        origins : mapping of str to tuple of str
            Grids that each new grid comes from.
        """
        self.retired[RETIRED_NAMES] |= set(ended)
        self.retired[RETIRED_KEY] |= {self.code_of[g] for g in ended if g in self.code_of}
        if self.scheme is None:
            return
        codes = {name: code for name, code in self.code_of.items() if name not in ended}
        for grid, sources in origins.items():
            mother = self._mother(sources)
            if mother is not None:
                ever = {*self.code_of.values(), *codes.values(), *self.retired[RETIRED_KEY]}
                kind = self._kind(units, grid)
                codes[grid] = self._next(self.parent_of(mother), self._level(mother), kind, ever)
        values = units["grid"].map(codes)
        units["grid_code"] = values.astype(self.plan.units["grid_code"].dtype)
        if "grid_check" in units.columns and self.scheme.check_character:
            known = pd.Series(pd.unique(units["grid_code"].dropna()), dtype=object)
            marks = dict(zip(known, self.scheme.check_characters(known), strict=True))
            units["grid_check"] = units["grid_code"].map(marks)
        for level in self.plan.rules.lower_levels:
            if f"{level}_code" in units.columns:
                self._finish_level(units, level)

    def _mother(self, sources: tuple[str, ...]) -> str | None:
        """Code of the largest grid that another comes from."""
        loads = self.plan.units[self.plan.rules.households].to_numpy(np.int64)
        names = self.plan.units["grid"].to_numpy(object)
        coded = [source for source in sources if source in self.code_of]
        if not coded:
            return None
        largest = max(coded, key=lambda source: (int(loads[names == source].sum()), source))
        return self.code_of[largest]

    def _kind(self, units: gpd.GeoDataFrame, grid: str) -> str:
        own = units[(units["grid"] == grid).to_numpy()]
        return "exclusive" if self.plan._is_exclusive(own).all() else "base"

    def _finish_level(self, units: gpd.GeoDataFrame, level: str) -> None:
        """New codes for areas of a lower level whose grid has another code now."""
        assert self.scheme is not None
        column, width = f"{level}_code", self.scheme.parent_width(level)
        codes = units[column].to_numpy(object).copy()
        parents = units["grid_code"].to_numpy(object)
        ever = {code for code in pd.unique(codes) if isinstance(code, str)}
        ever |= self.retired[RETIRED_BELOW]
        fresh: dict[tuple[str, str], str] = {}
        for u, (code, parent) in enumerate(zip(codes, parents, strict=True)):
            if not isinstance(code, str) or code[:width] == parent:
                continue
            key = (code, str(parent))
            if key not in fresh:
                self.retired[RETIRED_BELOW].add(code)
                fresh[key] = self._next(str(parent), level, "base", ever)
                ever.add(fresh[key])
            codes[u] = fresh[key]
        units[column] = pd.Series(codes, units.index).astype(units[column].dtype)


# ---------------------------------------------------------------- through a register


@contextmanager
def recording(
    old: Plan, new: Plan, register: Register, *, reason: str, at: Any = None, kind: str = "change"
) -> Iterator[Plan]:
    """Enter in a register what happened between two plans, if the ``with`` block ends well.

    Save the plan in the block: if that fails, nothing was issued, retired or linked.

    Parameters
    ----------
    old : Plan
        With codes that live in the register.
    new : Plan
        Grids that the old plan has by the same name go on; the others get codes here, whatever
        codes they have. A code of a grid that the new plan has not is retired.
    register : Register
    reason : str
        Why.
    at : datetime or str, optional
        When; now, by default.
    kind : str, default "change"
        What the change is called in the register's list of changes.

    Yields
    ------
    Plan
        The new plan with the register's codes, and a snapshot of them in its provenance.

    Raises
    ------
    InputError
        If a grid of the old plan has no code, a new one no predecessor to have a parent from,
        nothing changed, or the register refuses.
    """
    bare = old.grids.loc[old.grids["grid_code"].isna(), "grid"]
    if len(bare):
        raise InputError(f"{len(bare)} grids of the plan have no code, first {bare.iloc[0]}")
    _without_codes_below(old)
    changes = change_table(old, new, by="name")
    table = changes.grids
    code_of = dict(zip(old.grids["grid"], old.grids["grid_code"], strict=True))
    before: dict[str, tuple[str, ...]] = {
        str(grid): tuple(sorted(code_of[one] for one in rows["old_grid"]))
        for grid, rows in changes.pairs.groupby("new_grid")
    }
    grids = new.grids.set_index("grid")
    fresh = table.loc[table["status"] == "new", "new_grid"]
    # a grid is numbered in its community, wherever its units come from
    going_on = table[table["status"] == "kept"]
    beside = {
        grids.loc[new_name, "within"]: code_of[old_name]
        for new_name, old_name in zip(going_on["new_grid"], going_on["old_grid"], strict=True)
    }
    added = [_new_grid(grid, grids.loc[grid], before, beside, register.scheme) for grid in fresh]
    retired = [code_of[grid] for grid in table.loc[table["status"] == "retired", "old_grid"]]
    kept: dict[str, KeptGrid | None] = {}
    for _, row in table[table["status"] == "kept"].iterrows():
        name, code = row["new_grid"], code_of[row["old_grid"]]
        drawn = row["change"] != "U" or row["built"] or row["cleared"]
        kept[code] = _kept_grid(grids.loc[name], before[name], code) if drawn else None
    if not added and not retired and not any(kept.values()):
        raise InputError("nothing changed: there is nothing to enter in the register")
    with register.changing(
        added, retired, kept, reason=reason, at=at, crs=new.units.crs, kind=kind
    ) as issued:
        codes = new.grids["grid"].map({**code_of, **{str(k): v for k, v in issued.items()}})
        coded = with_codes(new, codes.astype(object), register.scheme)
        ever = {*json.loads(old.provenance.get(RETIRED_KEY) or "[]"), *retired}
        facts = {**new.provenance, RETIRED_KEY: json.dumps(sorted(ever))}
        told = dataclasses.replace(coded, provenance=facts)
        vars(told)["grids"] = coded.grids
        yield with_snapshot(told, register, reason)


def _without_codes_below(plan: Plan) -> None:
    """Refuse what would lose codes: areas below the grids that have some."""
    coded = [
        level
        for level in plan.rules.lower_levels
        if f"{level}_code" in plan.units.columns and plan.units[f"{level}_code"].notna().any()
    ]
    if coded:
        raise InputError(
            f"areas of the level {', '.join(coded)} have codes, and a register cannot yet take "
            "over what a change makes of them; change the plan without the register, or enter the "
            "change with Register.commit"
        )


def _new_grid(
    grid: str,
    row: Any,
    before: Mapping[str, tuple[str, ...]],
    beside: Mapping[Any, str],
    scheme: Scheme,
) -> NewGrid:
    from gridpart.codes import NewGrid

    predecessors = before.get(grid, ())
    alike = beside.get(row["within"]) or next(iter(predecessors), None)
    level = None if alike is None else scheme.level_of(alike)
    if alike is None or level is None:
        raise InputError(f"grid {grid} has no predecessor with a code: assign its code first")
    return NewGrid(
        key=grid, parent=alike[: scheme.parent_width(level.name)], kind=row["kind"],
        households=int(row["households"]), area_m2=float(row["area_m2"]), shape=row["geometry"],
        predecessors=predecessors, level=level.name,
    )  # fmt: skip


def _kept_grid(row: Any, before: tuple[str, ...], code: str) -> KeptGrid:
    from gridpart.codes import KeptGrid

    others = tuple(other for other in before if other != code)
    return KeptGrid(
        households=int(row["households"]), area_m2=float(row["area_m2"]), shape=row["geometry"],
        predecessors=others,
    )  # fmt: skip
