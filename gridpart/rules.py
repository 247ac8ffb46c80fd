"""The rules of a plan: what it is made by, as text and back, and what is wrong with them."""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gridpart.errors import Problem

if TYPE_CHECKING:
    import geopandas as gpd

__all__ = ["Rules", "check_rules", "lock_names", "site_marks"]


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The rules of a plan; with the same units and the same rules the plan is the same.

    Parameters
    ----------
    households : str
        Column with the households of every unit.
    id : str, optional
        Column with the unit's name.
    within : str, optional
        Column with the community of every unit; a grid never crosses its border.
    low, high : int
        The band: fewest and most households of a grid.
    target : int, optional
        Households a grid should have on average; by default the middle of the band.
    seed : int
        Start of the random numbers.
    exclusive : str, optional
        Column that marks units which are grids of their own.
    n_grids : int, str or mapping, optional
        The number of grids: a total, ``"fewest"``, ``"most"``, or one for each community.
    balance : float
        From 0, shortest borders, to 1, most even grids.
    workload : str, optional
        Column to be evened out instead of households.
    bounds : mapping of str to (int, int), optional
        Bands of other columns; ``area_m2`` is measured.
    headroom : float
        Share by which the households of a grid may change without leaving the band.
    keep_whole : str, optional
        Column with the compound of every unit, which stays together.
    locked : str, optional
        Column with the name of the grid that a unit is locked in.
    enclaves : {"keep", "attach"}
        What becomes of a part of a community with too few households.
    max_diameter_m : float, optional
        Greatest distance between two points of a grid.
    levels : mapping of str to (int, int), optional
        Bands of other levels, above and below the grids.
    barrier_tolerance : float
        Metres within which a border lies along a barrier.
    effort : str
        How much work was spent.
    """

    households: str = "households"
    id: str | None = None
    within: str | None = None
    low: int = 200
    high: int = 500
    target: int | None = None
    seed: int = 0
    exclusive: str | None = None
    n_grids: int | str | Mapping[str, int] | None = None
    balance: float = 0.5
    workload: str | None = None
    bounds: Mapping[str, tuple[int, int]] | None = None
    headroom: float = 0.0
    keep_whole: str | None = None
    locked: str | None = None
    enclaves: str = "keep"
    max_diameter_m: float | None = None
    levels: Mapping[str, tuple[int, int]] | None = None
    barrier_tolerance: float = 1.0
    effort: str = "default"

    @property
    def upper_levels(self) -> list[str]:
        """Names of the levels above the grids, the largest first."""
        levels = sorted((self.levels or {}).items(), key=lambda item: (-item[1][1], item[0]))
        return [name for name, (_, high) in levels if high > self.high]

    @property
    def lower_levels(self) -> list[str]:
        """Names of the levels below the grids, the largest first."""
        levels = sorted((self.levels or {}).items(), key=lambda item: (-item[1][1], item[0]))
        return [name for name, (_, high) in levels if high <= self.high]

    @property
    def parent(self) -> str | None:
        """Column with what a grid never crosses: the level above it, or the community."""
        return self.upper_levels[-1] if self.upper_levels else self.within

    def at_level(self, name: str) -> Rules:
        """The rules by which one of the other levels is made."""
        low, high = (self.levels or {})[name]
        order = [*self.upper_levels, "grid", *self.lower_levels]
        at = order.index(name)
        above = self.within if at == 0 else order[at - 1]
        lower = name in self.lower_levels
        return dataclasses.replace(
            self, low=low, high=high, target=None, within=above, levels=None, n_grids=None,
            bounds=None, locked=None, max_diameter_m=None,
            exclusive=self.exclusive if lower else None,
        )  # fmt: skip

    def as_text(self) -> dict[str, str]:
        """Every rule as text, an unset one as an empty text."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {key: _as_text(value) for key, value in values.items()}

    @classmethod
    def from_text(cls, values: Mapping[str, str]) -> Rules:
        """Rules from what :meth:`as_text` wrote; other keys are passed over."""
        known = {field.name for field in dataclasses.fields(cls)}
        return cls(**{key: _from_text(key, text) for key, text in values.items() if key in known})


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Mapping):
        # numbers of numpy say what they are as Python's own
        return json.dumps(dict(value), ensure_ascii=False, sort_keys=True, default=np.generic.item)
    return str(value)


def _from_text(rule: str, text: str) -> Any:
    """Value of a rule; numbers and mappings are JSON."""
    if not text:
        return None
    numeric = rule in (
        "low", "high", "target", "seed", "balance", "bounds", "n_grids", "headroom",
        "max_diameter_m", "levels", "barrier_tolerance",
    )  # fmt: skip
    return json.loads(text) if numeric and text not in ("fewest", "most") else text


# Words by which columns of tables say yes and no; anything else is the name of a site.
YES = ("1", "true", "t", "yes", "y", "x", "是", "有")
NO = ("", "0", "false", "f", "no", "n", "否", "无", "none", "nan", "null")


def site_marks(column: pd.Series) -> tuple[Any, Any]:
    """Which units a column marks, and the name of the site of each, if it says one.

    Parameters
    ----------
    column : Series of length n
        Truth values, numbers (0 is no), words for yes and no, or names of sites.

    Returns
    -------
    marked : ndarray of bool, shape (n,)
    names : ndarray of object, shape (n,)
        Empty where the mark is a mere yes.

    Examples
    --------
    >>> marked, names = site_marks(pd.Series(["是", "否", None, "school 3"]))
    >>> marked.tolist(), names.tolist()
    ([True, False, False, True], ['', '', '', 'school 3'])
    """
    if pd.api.types.is_numeric_dtype(column):  # truth values too
        marked = (column.fillna(0) != 0).to_numpy(bool)
        return marked, np.full(len(column), "", dtype=object)
    words = column.astype("string").fillna("").str.strip()
    lower = words.str.lower()
    marked = ~lower.isin(NO).to_numpy(bool)
    names = words.mask(lower.isin(YES + NO), "").to_numpy(object)
    return marked, names


def lock_names(column: pd.Series) -> Any:
    """Name that a column gives each unit; empty where it gives none.

    Parameters
    ----------
    column : Series of length n
        Names; missing, empty and words for no are none.

    Returns
    -------
    ndarray of object, shape (n,)

    Examples
    --------
    >>> lock_names(pd.Series(["east", None, " ", 7.0])).tolist()
    ['east', '', '', '7']
    """
    if pd.api.types.is_float_dtype(column) and (column.dropna() % 1 == 0).all():
        column = column.astype("Int64")  # whole numbers with gaps come as 7.0
    elif column.dtype == object:
        column = column.map(lambda v: int(v) if isinstance(v, float) and v.is_integer() else v)
    words = column.astype("string").fillna("").str.strip()
    return words.mask(words.str.lower().isin(NO), "").to_numpy(object)


def check_rules(rules: Rules, units: gpd.GeoDataFrame) -> list[Problem]:
    """Everything that is wrong with rules, by themselves and for these units.

    Parameters
    ----------
    rules : Rules
    units : GeoDataFrame

    Returns
    -------
    list of Problem
    """
    return [
        *_check_band(rules),
        *_check_measures(rules),
        *_check_levels(rules, units),
        *_check_columns(rules, units),
    ]


def _check_band(rules: Rules) -> list[Problem]:
    problems = []
    for name in ("low", "high", "target", "seed"):
        value = getattr(rules, name)
        if not (_is_whole(value) or (name == "target" and value is None)):
            problems.append(Problem(name, f"{name} must be a whole number, got {value!r}"))
    if problems:
        return problems
    if not 1 <= rules.low <= rules.high:
        text = f"the band must satisfy 1 <= low <= high, got low={rules.low}, high={rules.high}"
        problems.append(Problem("band", text))
    elif rules.target is not None and not rules.low <= rules.target <= rules.high:
        text = f"target {rules.target} lies outside the band {rules.low}-{rules.high}"
        problems.append(Problem("target", text))
    if rules.seed < 0:
        problems.append(Problem("seed", f"seed must not be negative, got {rules.seed}"))
    return problems


def _is_number(value: Any) -> bool:
    numbers = int | float | np.integer | np.floating
    return isinstance(value, numbers) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _check_measures(rules: Rules) -> list[Problem]:
    problems = []
    if not (_is_number(rules.balance) and 0 <= rules.balance <= 1):
        problems.append(Problem("balance", f"balance must be from 0 to 1, got {rules.balance!r}"))
    if not (_is_number(rules.headroom) and 0 <= rules.headroom < 1):
        text = f"headroom must be from 0 to below 1, got {rules.headroom!r}"
        problems.append(Problem("headroom", text))
    for name in ("max_diameter_m", "barrier_tolerance"):
        value = getattr(rules, name)
        if name == "max_diameter_m" and value is None:
            continue
        if not (_is_number(value) and 0 < value < math.inf):
            problems.append(Problem(name, f"{name} must be more than 0 metres, got {value!r}"))
    if rules.enclaves not in ("keep", "attach"):
        text = f"enclaves must be 'keep' or 'attach', got {rules.enclaves!r}"
        problems.append(Problem("enclaves", text))
    return problems + _check_numbers(rules.n_grids)


def _check_numbers(n_grids: Any) -> list[Problem]:
    """Numbers of grids are whole, at least 1; how many can be had, the units tell."""
    if n_grids is None or (isinstance(n_grids, str) and n_grids in ("fewest", "most")):
        return []
    if isinstance(n_grids, Mapping):
        wrong = {key: n for key, n in n_grids.items() if not (_is_whole(n) and n >= 1)}
        bad = tuple(f"community {key}: {n!r}" for key, n in wrong.items())
        text = "n_grids of a community must be a whole number, at least 1"
        return [Problem("n_grids", text, bad)] if bad else []
    if _is_whole(n_grids) and n_grids >= 1:
        return []
    text = f"n_grids must be a number, at least 1, 'fewest' or 'most', got {n_grids!r}"
    return [Problem("n_grids", text)]


def _check_bands(option: str, bands: Any, what: str, least: int) -> list[Problem]:
    """Bands by name: pairs of whole numbers in order."""
    if bands is None:
        return []
    if not isinstance(bands, Mapping) or not all(isinstance(name, str) for name in bands):
        text = f"{option} must map names to pairs (low, high), got {bands!r}"
        return [Problem(option, text)]
    problems = []
    for name, band in bands.items():
        pair = isinstance(band, Sequence) and not isinstance(band, str) and len(band) == 2
        if not (pair and all(_is_number(end) and end % 1 == 0 for end in band)):
            text = f"{what} {name!r} must be two whole numbers (low, high), got {band!r}"
            problems.append(Problem(option, text))
        elif not least <= band[0] <= band[1]:
            order = f"{least} <= low <= high, got {band[0]} to {band[1]}"
            problems.append(Problem(option, f"{what} {name!r} must satisfy {order}"))
    return problems


def _check_levels(rules: Rules, units: gpd.GeoDataFrame) -> list[Problem]:
    """Levels need bands and names that are free."""
    problems = _check_bands("levels", rules.levels, "the band of level", 1)
    taken = {str(column).lower() for column in getattr(units, "columns", [])}
    taken |= {"grid", "grid_code", "parent_grid"}
    for name in rules.levels if isinstance(rules.levels, Mapping) else ():
        if str(name).lower() in taken:
            text = f"a level cannot be called {name!r}: there is a column of that name"
            problems.append(Problem("levels", text))
    if (
        not problems
        and _is_whole(rules.high)
        and rules.upper_levels
        and isinstance(rules.n_grids, Mapping)
    ):
        text = "numbers of grids by community do not go with levels above the grids"
        problems.append(Problem("levels", text))
    return problems


def _check_locks(rules: Rules, units: gpd.GeoDataFrame) -> list[Problem]:
    """A locked grid lies in one community and holds its exclusive units alone."""
    if rules.locked is None or rules.within is None or rules.within not in units.columns:
        return []
    names = lock_names(units[rules.locked])
    held = names != ""
    communities = units[rules.within][held].groupby(names[held]).nunique()
    bad = tuple(f"grid {name}" for name in communities.index[communities > 1])
    if not bad:
        return []
    return [Problem("locked", "a locked grid must lie in one community", bad)]


def _check_columns(rules: Rules, units: gpd.GeoDataFrame) -> list[Problem]:
    """Columns that rules name besides those that the door checks."""
    problems = []
    columns = [str(column) for column in getattr(units, "columns", [])]
    named = rules.bounds if isinstance(rules.bounds, Mapping) else ()
    measured = [name for name in named if name != "area_m2" or name in columns]
    counted = [name for name in (rules.workload, *measured) if name is not None]
    wanted = {**dict.fromkeys(counted, "of whole numbers")}
    marks = {
        rules.exclusive: "to mark exclusive units",
        rules.keep_whole: "to name compounds",
        rules.locked: "to name locked grids",
    }
    wanted.update({name: use for name, use in marks.items() if name is not None})
    for name, use in wanted.items():
        if name not in columns:
            near = difflib.get_close_matches(name, columns, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            problems.append(Problem("missing_column", f"no column {name!r} {use}{hint}"))
        elif name in counted:
            values = pd.to_numeric(units[name], errors="coerce").to_numpy(np.float64)
            wrong = ~(np.isfinite(values) & (values >= 0) & (values == np.rint(values)))
            bad = tuple(f"unit {u}: {v}" for u, v in units[name][wrong].items())
            if bad:
                text = f"column {name!r} must hold whole numbers, 0 or more"
                problems.append(Problem("not_whole", text, bad))
    problems += _check_bands("bounds", rules.bounds, "the bounds of", 0)
    if not problems:
        problems += _check_locks(rules, units)
    return problems
