"""Units, graph and rules cut into communities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import shapely
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from gridpart._geometry.order import along_curve
from gridpart.problem.community import DIRECTIONS, Community
from gridpart.problem.enclaves import bridged
from gridpart.rules import Rules, lock_names, site_marks

if TYPE_CHECKING:
    import geopandas as gpd
    import numpy.typing as npt

    from gridpart.contiguity import Contiguity

    Ints = npt.NDArray[np.int64]
    Floats = npt.NDArray[np.float64]
    Flags = npt.NDArray[np.bool_]
    Objects = npt.NDArray[np.object_]

__all__ = ["Measured", "build_communities", "measure", "site_numbers"]


class Measured(NamedTuple):
    """Centroid and area of every unit, in metres; measured once."""

    x: Floats
    y: Floats
    area: Floats


def measure(units: gpd.GeoDataFrame) -> Measured:
    """Centroid and area of every unit."""
    shapes = units.geometry.to_numpy()
    centre = shapely.centroid(shapes)
    return Measured(shapely.get_x(centre), shapely.get_y(centre), shapely.area(shapes))


def build_communities(
    units: gpd.GeoDataFrame,
    contiguity: Contiguity,
    rules: Rules,
    measured: Measured,
    together: Ints | None = None,
) -> list[Community]:
    """Cut units and graph into communities; borders between communities are closed.

    Parameters
    ----------
    units : GeoDataFrame
        As :func:`gridpart.check_units` returns them.
    contiguity : Contiguity
        Of the same units.
    rules : Rules
        Names of the columns; see :func:`gridpart.partition`.
    measured : Measured
        Of the same units.
    together : ndarray of int64, shape (n,), optional
        Units with the same number >= 0 stay together, even where they do not touch: what
        :func:`site_numbers` says, for levels above the grids.

    Returns
    -------
    list of Community
        In order of their names.
    """
    n = len(units)
    x, y = (np.rint(axis * 1000).astype(np.int64) for axis in (measured.x, measured.y))
    keys = (
        pd.Series("", index=units.index)
        if rules.parent is None
        else units[rules.parent].astype(str)
    ).to_numpy()
    codes, names = pd.factorize(keys, sort=True)
    # each community is laid along a curve of its own: what else is in the file does not matter
    extent = np.rint(shapely.bounds(units.geometry.to_numpy()) * 1000).astype(np.int64)
    order = along_curve(x - _least(x, codes), y - _least(y, codes), *extent.T)
    sites = _sites(units, keys, rules)
    tied = _tied(units, keys, rules.keep_whole)
    if together is not None:
        tied = _in_either(tied, together)
    loads = _loads(units, rules, measured)
    reach = _reach(units, rules.max_diameter_m)
    work = loads[:, 0] if rules.workload is None else units[rules.workload].to_numpy(np.int64)
    by_community = order[np.argsort(codes[order], kind="stable")]
    bounds = np.searchsorted(np.sort(codes), np.arange(len(names) + 1))
    # one permutation of the whole graph; a community is then a block on its diagonal
    place = np.arange(len(contiguity.indices))
    matrix = csr_array((place + 1, contiguity.indices, contiguity.indptr), shape=(n, n))
    matrix = matrix[by_community][:, by_community].tocsr()
    cost = contiguity.lengths_mm if contiguity.cost_mm is None else contiguity.cost_mm
    closed = np.zeros(cost.size, bool) if contiguity.closed is None else contiguity.closed
    communities = []
    for number, name in enumerate(names):
        block = slice(bounds[number], bounds[number + 1])
        members = by_community[block]
        own = matrix[block, block].tocsr()
        own.sort_indices()
        edge = own.data - 1
        communities.append(
            Community(
                str(name), members, own.indptr.astype(np.int64), own.indices.astype(np.int64),
                cost[edge], closed[edge], loads[members], x[members], y[members], work[members],
                _renumber(sites[members]), _renumber(tied[members]), reach[members],
            )
        )  # fmt: skip
    if together is not None:
        communities = [community.linked(together[community.members]) for community in communities]
    if rules.enclaves == "attach":
        shapes = units.geometry.to_numpy()
        communities = [bridged(community, shapes, rules) for community in communities]
    return communities


def _least(values: Ints, codes: Ints) -> Ints:
    """Least value of the own community, for every unit."""
    least = np.full(codes.max(initial=-1) + 1, np.iinfo(np.int64).max)
    np.minimum.at(least, codes, values)
    return least[codes]


def _loads(units: gpd.GeoDataFrame, rules: Rules, measured: Measured) -> Ints:
    """Households, and a column for every other bounded quantity; areas in whole square metres."""
    columns = [units[rules.households].to_numpy(np.int64)]
    for name in rules.bounds or ():
        by_shape = name == "area_m2" and name not in units.columns
        values = measured.area if by_shape else units[name].to_numpy(np.float64)
        columns.append(np.rint(values).astype(np.int64))
    return np.column_stack(columns)


def _reach(units: gpd.GeoDataFrame, limit: float | None) -> Ints:
    """How far every unit reaches in each of the directions, millimetres."""
    if limit is None:
        return np.zeros((len(units), 0), np.int64)
    points, unit = shapely.get_coordinates(
        shapely.convex_hull(units.geometry.to_numpy()), return_index=True
    )
    first = np.searchsorted(unit, np.arange(len(units)))
    angle = np.pi * np.arange(2 * DIRECTIONS) / DIRECTIONS
    reach = np.empty((len(units), angle.size), np.int64)
    for d, (east, north) in enumerate(zip(np.cos(angle), np.sin(angle), strict=True)):
        along = np.ceil((points @ np.array([east, north])) * 1000).astype(np.int64)
        reach[:, d] = np.maximum.reduceat(along, first)
    return reach


def _sites(units: gpd.GeoDataFrame, keys: npt.NDArray[Any], rules: Rules) -> Ints:
    """Number of the site of every unit that is exclusive or locked, -1 for none.

    A mere yes makes an exclusive site of the unit; a name makes one site of the units of a
    community that carry it. Units locked under one name are one site.
    """
    site = np.full(len(units), -1, np.int64)
    if rules.exclusive is not None:
        marked, names = site_marks(units[rules.exclusive])
        site = _named_sites(marked, names, keys)
    if rules.locked is not None:
        locked = lock_names(units[rules.locked])
        held = locked != ""
        site[held] = pd.factorize(locked[held])[0] + site.max(initial=-1) + 1
    return site


def site_numbers(units: gpd.GeoDataFrame, rules: Rules) -> Ints:
    """Number of the exclusive or locked grid that every unit is in, -1 for none.

    Parameters
    ----------
    units : GeoDataFrame of n units
    rules : Rules

    Returns
    -------
    ndarray of int64, shape (n,)
    """
    keys = np.full(len(units), "", dtype=object)
    if rules.within is not None:
        keys = units[rules.within].astype(str).to_numpy(object)
    return _sites(units, keys, rules)


def _in_either(first: Ints, second: Ints) -> Ints:
    """Number of what units are in together by one numbering, by the other, or by both in turn."""
    n, more = first.size, int(first.max(initial=-1)) + 1
    of_first, of_second = np.flatnonzero(first >= 0), np.flatnonzero(second >= 0)
    unit = np.concatenate([of_first, of_second])
    knot = np.concatenate([first[of_first], second[of_second] + more]) + n
    size = int(knot.max(initial=n - 1)) + 1
    matrix = csr_array((np.ones(unit.size), (unit, knot)), shape=(size, size))
    number = connected_components(matrix, directed=False)[1][:n].astype(np.int64)
    return np.where((first >= 0) | (second >= 0), number, -1)


def _named_sites(marked: Flags, names: Objects, keys: Objects) -> Ints:
    site = np.full(marked.size, -1, np.int64)
    alone = marked & (names == "")
    site[alone] = np.arange(alone.sum())
    named = marked & ~alone
    # a site ends at the border of its community
    community, (name, called) = pd.factorize(keys[named])[0], pd.factorize(names[named])
    site[named] = pd.factorize(community * (len(called) + 1) + name)[0] + alone.sum()
    return site


def _tied(units: gpd.GeoDataFrame, keys: Objects, keep_whole: str | None) -> Ints:
    """Number of the compound of every unit, -1 for none; a compound ends at its community."""
    if keep_whole is None:
        return np.full(len(units), -1, np.int64)
    names = lock_names(units[keep_whole])
    return _named_sites(names != "", names, keys)


def _renumber(sites: Ints) -> Ints:
    """Number sites from 0 by their first unit, so that numbers do not follow row order."""
    marked = sites >= 0
    result = np.full(sites.size, -1, np.int64)
    result[marked] = pd.factorize(sites[marked])[0]
    return result
