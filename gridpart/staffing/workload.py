"""What a grid asks of its staff: a weighted sum of columns, every term of which is shown."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely
from scipy.sparse import coo_array
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.spatial import Delaunay

from gridpart.errors import CRSError, InputError, Problem
from gridpart.staffing.headers import nearest, plain_text
from gridpart.staffing.locate import GridTable, grid_table, natural
from gridpart.staffing.neighbours import grids_of

if TYPE_CHECKING:
    from gridpart.plan import Plan

__all__ = ["Loads", "loads_of", "workload"]

WALKING = "walking_m"
AREA = "area_m2"
RESERVED = ("grid", "within", "load")
# Loads are whole thousandths, so that sums are exact and the same on every machine.
PARTS = 1000
MOST = 10**12  # of which the engine keeps products
ALL_PAIRS = 400  # of so few points every distance is looked at

FloatArray = npt.NDArray[np.float64]


class Loads:
    """Loads of the grids in whole parts: `parts` of them make one unit of load.

    Attributes
    ----------
    values : list of int
        In the order of the :class:`GridTable`.
    parts : int
    table : DataFrame or None
        What :func:`workload` returned, in that order.
    """

    def __init__(
        self, values: Sequence[int], parts: int = 1, table: pd.DataFrame | None = None
    ) -> None:
        self.values, self.parts, self.table = list(values), parts, table

    @property
    def floats(self) -> FloatArray:
        """Loads as they are shown."""
        return np.array(self.values, np.int64) / self.parts


def workload(
    grids: Plan | pd.DataFrame, weights: Mapping[str, float] | None = None
) -> pd.DataFrame:
    """Load of every grid: a sum of columns, each with its weight.

    Parameters
    ----------
    grids : Plan, GeoDataFrame or DataFrame
        One row per grid, as for :func:`assign_posts`. Of a plan, the columns of its units serve
        too: they are summed over the units of each grid.
    weights : mapping of str to float, optional
        Load of one unit of each column, 0 or more: ``{"households": 1, "over65": 0.5}`` counts
        every person over 65 as half a household. By default households alone count. Two terms need
        no column: ``area_m2`` (of grids with a geometry) and ``walking_m`` (of a plan only; see
        Notes).

    Returns
    -------
    DataFrame
        A row per grid on the index of the grids: `grid`, `within`, `households`, the other columns
        of `weights` as they are summed, ``load_<column>`` for each of them (its part of the load),
        and `load`, their sum.

    Raises
    ------
    InputError
        With every problem: a column that is not there (the nearest is suggested), or whose name
        the result needs itself, a value that is missing, negative or no number, a weight that is
        none, no weight above 0.
    CRSError
        If areas must be measured and the grids have no projected CRS in metres.

    Notes
    -----
    ``walking_m`` is the length in metres of the shortest network that joins the homes of a grid, as
    the crow flies: the minimum spanning tree (Kruskal, 1956) of a point in each unit that has
    households. No round that visits them all is shorter, and one of twice its length always does.

    Loads are kept to a thousandth, so that sums are exact; where all together are above
    10**9, posts are shared out by whole ones.

    Examples
    --------
    >>> grids = pd.DataFrame({"grid": ["a", "b"], "households": [300, 200], "over65": [40, 90]})
    >>> workload(grids, {"households": 1, "over65": 0.5})[["grid", "load_over65", "load"]]
      grid  load_over65   load
    0    a         20.0  320.0
    1    b         45.0  245.0
    """
    frame = grids_of(grids)
    grid_table(frame)  # its problems come before those of the terms
    wanted = {"households": 1.0} if weights is None else dict(weights)
    problems = _weight_problems(wanted)
    columns: dict[str, FloatArray] = {}
    for name in wanted:
        values, problem = _column(grids, frame, name)
        if problem is None:
            columns[name] = values
        else:
            problems.append(problem)
    if problems:
        raise InputError(problems)
    households = frame["households"].to_numpy(np.int64)
    places = frame["within"].to_numpy(object) if "within" in frame.columns else [None] * len(frame)
    result = pd.DataFrame(
        {"grid": frame["grid"].to_numpy(object), "within": places, "households": households},
        index=frame.index,
    )
    terms = {f"load_{name}": _rounded(columns[name] * wanted[name]) for name in wanted}
    for name, values in columns.items():
        if name != "households":
            result[name] = values
    for name, values in terms.items():
        result[name] = values
    result["load"] = _rounded(np.sum(list(terms.values()), axis=0))
    return result


def _rounded(values: FloatArray) -> FloatArray:
    rounded: FloatArray = np.rint(values * PARTS) / PARTS
    return rounded


def _weight_problems(weights: Mapping[str, float]) -> list[Problem]:
    wrong = [
        f"{name}: {weight!r}"
        for name, weight in weights.items()
        if not isinstance(weight, numbers.Real)
        or isinstance(weight, bool)
        or not 0 <= float(weight) < math.inf
    ]
    if wrong:
        return [Problem("weight", "weights must be numbers from 0", tuple(wrong))]
    if not any(weights.values()):
        return [Problem("weight", "some weight must be above 0, or there is no load")]
    return []


def _column(
    grids: Plan | pd.DataFrame, frame: pd.DataFrame, name: str
) -> tuple[FloatArray, Problem | None]:
    """Values of a term in the order of the grids, or what is wrong with it."""
    none = np.zeros(0)
    if name in RESERVED:
        text = f"the result has a column {name!r} of its own: give the term another name"
        return none, Problem("reserved_column", text)
    if name in frame.columns:
        values = pd.to_numeric(frame[name], errors="coerce").to_numpy(float, na_value=np.nan)
        labels = [f"grid {grid}" for grid in frame["grid"]]
        return values, _value_problem(name, labels, values, frame[name].tolist())
    if isinstance(grids, pd.DataFrame):
        if name == AREA and hasattr(grids, "geom_type"):
            return _areas(grids), None
        text = f"the grids have no column {name!r}{nearest(name, frame.columns)}"
        if name == WALKING:
            text = "walking_m is measured on the units of a plan: give the plan, or the column"
        return none, Problem("missing_column", text)
    if name == WALKING:
        return _walking(grids, frame), None
    units = grids.units
    if name not in units.columns:
        text = f"neither grids nor units have a column {name!r}{nearest(name, units.columns)}"
        return none, Problem("missing_column", text)
    values = pd.to_numeric(units[name], errors="coerce").to_numpy(float, na_value=np.nan)
    labels = [f"unit {label}" for label in units.index]
    problem = _value_problem(name, labels, values, units[name].tolist())
    summed = pd.Series(values).groupby(units["grid"].astype(str).to_numpy()).sum()
    return summed.reindex(frame["grid"].astype(str)).to_numpy(float), problem


def _value_problem(
    name: str, labels: list[str], values: FloatArray, given: list[Any]
) -> Problem | None:
    bad = np.flatnonzero(~(np.isfinite(values) & (values >= 0)))
    if not bad.size:
        return None
    text = f"column {name!r} is part of the load and must be a number from 0 everywhere"
    return Problem("load_column", text, tuple(f"{labels[k]}: {given[k]!r}" for k in bad))


def _areas(grids: Any) -> FloatArray:
    from gridpart.contiguity import is_metric

    if grids.crs is None or not is_metric(grids.crs):
        raise CRSError(
            "area_m2 is measured in a projected CRS in metres: project the grids with to_crs, "
            "or give the column"
        )
    areas: FloatArray = grids.geometry.area.to_numpy(float)
    return areas


def _walking(plan: Any, frame: pd.DataFrame) -> FloatArray:
    units = plan.units
    lived_in = units[plan.rules.households].to_numpy(np.int64) > 0
    points = shapely.get_coordinates(shapely.point_on_surface(units.geometry.to_numpy()))
    names = units["grid"].astype(str).to_numpy(object)
    rows = pd.Series(np.flatnonzero(lived_in)).groupby(names[lived_in]).indices
    where = np.flatnonzero(lived_in)
    return np.array(
        [
            _spanning_length(points[where[rows[grid]]]) if grid in rows else 0.0
            for grid in frame["grid"].astype(str)
        ]
    )


def _spanning_length(points: FloatArray) -> float:
    """Length of the shortest tree that joins the points."""
    points = np.unique(points, axis=0)
    n = len(points)
    if n < 2:
        return 0.0
    if n <= ALL_PAIRS:
        first, second = np.triu_indices(n, 1)
    else:  # the tree runs along the sides of the triangulation (Preparata and Shamos, 1985)
        triangles = Delaunay(points).simplices
        sides = np.sort(triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
        first, second = np.unique(sides, axis=0).T
    length = np.hypot(*(points[first] - points[second]).T)
    # older releases of scipy take no other indices
    ends = (first.astype(np.int32), second.astype(np.int32))
    tree = minimum_spanning_tree(coo_array((length, ends), shape=(n, n)).tocsr())
    return float(tree.sum())


def _check_total(total: float) -> None:
    if total > MOST:
        raise InputError(f"the load of all grids is {total:.3g}; at most {MOST:.0g} can be shared")


def loads_of(table: GridTable, loads: pd.DataFrame | None) -> Loads:
    """Whole parts of load of the grids in canonical order: of households, or of a workload.

    Raises
    ------
    InputError
        If `loads` lacks a column, names other grids, a load is no number from 0, or all of them
        are more than 10**12.
    """
    if loads is None:
        _check_total(sum(table.households))
        return Loads(table.households)
    missing = {"grid", "load"} - set(loads.columns)
    if missing:
        names = " and ".join(sorted(missing))
        raise InputError(f"the workload has no column {names}; gridpart.workload makes one")
    names_ = [plain_text(value) for value in loads["grid"].tolist()]
    values = pd.to_numeric(loads["load"], errors="coerce").to_numpy(float, na_value=np.nan)
    of_grid = dict(zip(names_, range(len(names_)), strict=True))
    other = sorted({str(name) for name in names_} ^ set(table.grid), key=natural)
    problem = _value_problem("load", [f"grid {n}" for n in names_], values, loads["load"].tolist())
    problems = [] if problem is None else [problem]
    if other or len(of_grid) < len(names_):
        text = "the workload must have every grid once"
        problems.append(Problem("other_grids", text, tuple(other)))
    if problems:
        raise InputError(problems)
    order = [of_grid[grid] for grid in table.grid]
    values = values[order]
    total = float(values.sum())
    _check_total(total)
    whole_already = (values == np.rint(values)).all() or total * PARTS > MOST
    parts = 1 if whole_already else PARTS
    whole = np.rint(values * parts).astype(np.int64).tolist()
    return Loads(whole, parts, loads.iloc[order].reset_index(drop=True))
