"""Units + graph + rules → the engine's arrays per community, and labels back.

A community is solved by itself, in an order of its units that follows their geometry and with a
seed made from its own name, so that its grids depend neither on the order of the rows, nor on the
number of workers, nor on which other communities are in the file.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import shapely
from joblib import Parallel, delayed
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from gridpart._geometry.order import along_curve
from gridpart._progress import progress, say
from gridpart.engine import (
    Effort,
    Solution,
    is_compiled,
    regions,
    shared_part,
    solve,
    warm_up,
)
from gridpart.engine.sharing import ABOUT_A_SHARE, Sharing, effort_again
from gridpart.rules import Rules, lock_names, site_marks

if TYPE_CHECKING:
    import geopandas as gpd
    import numpy.typing as npt

    from gridpart.contiguity import Contiguity

    Ints = npt.NDArray[np.int64]
    Floats = npt.NDArray[np.float64]
    Flags = npt.NDArray[np.bool_]
    Objects = npt.NDArray[np.object_]

__all__ = [
    "Community",
    "Failure",
    "Measured",
    "attach_enclaves",
    "build_communities",
    "diameter_m",
    "measure",
    "site_numbers",
    "solve_communities",
    "solve_one",
]


GIVEN_UP = 9  # stands in a control where the caller waits for nothing any more
DIRECTIONS = 16  # in which the width of a grid is limited


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


@dataclass(frozen=True, eq=False)
class Community:
    """One community as the engine sees it.

    Attributes
    ----------
    key : str
        Its name; empty where all units are one community.
    members : ndarray of int64, shape (n,)
        Positions of its units, in an order that follows their geometry.
    indptr, indices, borders, closed, loads, x, y, work, sites, tied, reach : ndarray
        What :func:`gridpart.engine.solve` takes.
    """

    key: str
    members: Ints
    indptr: Ints
    indices: Ints
    borders: Ints
    closed: Flags
    loads: Ints
    x: Ints
    y: Ints
    work: Ints
    sites: Ints
    tied: Ints
    reach: Ints

    def __len__(self) -> int:
        return int(self.members.size)

    @property
    def rows(self) -> Ints:
        """Unit that each entry of `indices` belongs to."""
        return np.repeat(np.arange(len(self)), np.diff(self.indptr))

    def parts(self, labels: Ints) -> tuple[Ints, int]:
        """Number the parts of equal label (not -1) that open borders connect; how many."""
        from gridpart.engine.kernels import components

        open_ = ~self.closed
        indptr = np.searchsorted(self.rows[open_], np.arange(len(self) + 1))
        part, count = components(indptr, self.indices[open_], labels)
        return part, int(count)

    @property
    def households(self) -> int:
        """Households outside exclusive sites."""
        return int(self.loads[self.sites < 0, 0].sum())


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
        communities = [linked(community, together[community.members]) for community in communities]
    if rules.enclaves == "attach":
        shapes = units.geometry.to_numpy()
        communities = [_bridged(community, shapes, rules) for community in communities]
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


def widest_mm(limit: float | None) -> int | None:
    """Width in every direction with which no diameter can be above the limit, millimetres.

    The diameter of a set is its greatest width; between two directions it can be so much more.
    """
    if limit is None:
        return None
    return int(limit * 1000 * np.cos(np.pi / (2 * DIRECTIONS)))


def diameter_m(widest: int) -> int:
    """The least limit in whole metres that allows a width, in millimetres."""
    limit = -(-widest // 1000)
    while (widest_mm(limit) or 0) < widest:
        limit += 1
    return limit


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


def linked(community: Community, together: Ints) -> Community:
    """The community with a made-up border between the parts of what stays together."""
    part, _ = community.parts(together)
    first = np.unique(part, return_index=True)[1]
    first = first[together[first] >= 0]
    first = first[np.argsort(together[first], kind="stable")]
    same = together[first[1:]] == together[first[:-1]]
    pairs = np.column_stack([first[:-1][same], first[1:][same]])
    return _with_borders(community, [(int(a), int(b)) for a, b in pairs])


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


def _seed_of(key: str, seed: int) -> int:
    digest = hashlib.blake2b(f"{seed}:{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def solve_communities(
    communities: Sequence[Community],
    rules: Rules,
    *,
    jobs: int | None = None,
    effort: str | float | Effort = "default",
    time_limit: float | None = None,
) -> list[Solution | Failure]:
    """Solve every community, several at a time on threads: the kernels release the GIL.

    Parameters
    ----------
    communities : sequence of Community
    rules : Rules
        See :func:`gridpart.partition`.
    jobs : int, optional
        Number of threads; by default one per processor. The result does not depend on it. Inside
        :func:`joblib.parallel_config` the backend and the number of workers chosen there count.
    effort : str, float or Effort
        See :func:`gridpart.engine.solve`; seconds are shared among communities by units.
    time_limit : float, optional
        Seconds after which what has been found so far is finished and returned; the first
        interruption (Ctrl-C) does the same, the second one raises.

    Returns
    -------
    list of Solution or Failure
        In the order of `communities`. One that fails does not lose the others.
    """
    spent = Effort.of(effort)
    if not is_compiled():
        say("compiling the engine, once: this takes about 20 seconds")
    warm_up()
    counts, sharing = _counts(communities, rules)
    shared = sharing is not None and sharing.could_be_otherwise(rules.n_grids)
    n = sum(map(len, communities))
    controls = [np.zeros(2, np.int64) for _ in communities]
    parallel = _parallel(jobs)
    workers = min(parallel.n_jobs if parallel.n_jobs > 0 else os.cpu_count() or 1, n)
    end = None if time_limit is None else time.time() + time_limit

    def arguments(i: int, count: Any, effort: Effort) -> tuple[Any, ...]:
        own = _share(effort, len(communities[i]), n, workers, len(communities))
        return communities[i], rules, count, own, end, controls[i], shared

    def again(i: int, count: int) -> Solution | None:
        found = solve_one(*arguments(i, count, effort_again(spent)))
        return found if isinstance(found, Solution) else None

    def run() -> list[Solution | Failure]:
        # the largest first, so that no thread is left with a long one at the end
        by_size = sorted(range(len(communities)), key=lambda i: -len(communities[i]))
        solved = parallel(delayed(solve_one)(*arguments(i, counts[i], spent)) for i in by_size)
        found: dict[int, Solution | Failure] = dict(zip(by_size, solved, strict=True))
        if sharing is not None and shared and not any(control[0] for control in controls):
            at = [i for i, count in enumerate(counts) if count is not None]
            anew = sharing.divide(
                [counts[i] for i in at], [found[i] for i in at],
                lambda place, count: again(at[place], count), _failed,
            )  # fmt: skip
            found |= zip(at, anew, strict=True)
        return [found[i] for i in range(len(communities))]

    work = sum(spent.work(len(community), rules.balance) for community in communities)
    with ThreadPoolExecutor(1) as one, progress("dividing", work) as show:
        # the caller's thread stays free to show progress and to be interrupted
        return _wait(one.submit(run), controls, show)


def _failed(solution: Solution | Failure) -> int:
    """Grids outside the band that another number of grids might cure."""
    if isinstance(solution, Failure):
        return 0
    return sum(reason in ABOUT_A_SHARE for reason in solution.reasons)


@dataclass(frozen=True)
class Failure:
    """What kept one community from being solved."""

    error: str
    details: str


def _parallel(jobs: int | None) -> Parallel:
    """Threads, one per processor, unless the caller says otherwise here or in a joblib context."""
    if jobs is not None:
        return Parallel(n_jobs=jobs, prefer="threads")
    chosen = Parallel(prefer="threads")  # takes what a context has set
    return chosen if chosen.n_jobs not in (None, 1) else Parallel(n_jobs=-1, prefer="threads")


def _share(effort: Effort, n: int, total: int, workers: int, communities: int) -> Effort:
    """The effort for a community: its share of the seconds, if there are any."""
    if effort.seconds is None:
        return effort
    share = n / total * min(workers, communities)
    return dataclasses.replace(effort, seconds=effort.seconds * min(share, 1.0))


def _limits(community: Community, rules: Rules) -> dict[str, Any]:
    """What a group may hold and span, as the engine takes it."""
    bands = [(rules.low, rules.high), *(rules.bounds or {}).values()]
    return {
        "low": [low for low, _ in bands],
        "high": [high for _, high in bands],
        "sites": community.sites,
        "tied": community.tied,
        "closed": community.closed,
        "reach": community.reach if community.reach.size else None,
        "widest": widest_mm(rules.max_diameter_m),
    }


def solve_one(
    community: Community,
    rules: Rules,
    count: Any,
    effort: Effort,
    end: float | None,
    control: Ints,
    shared: bool = False,
) -> Solution | Failure:
    """Solve one community, in a thread or in a process on another machine."""
    if control[0] == GIVEN_UP:
        return Failure("given up", "")
    try:
        return solve(
            community.indptr, community.indices, community.borders, community.loads,
            x=community.x, y=community.y, target=rules.target, n_groups=count,
            balance=rules.balance, headroom=rules.headroom, work=community.work,
            **_limits(community, rules), seed=_seed_of(community.key, rules.seed),
            effort=effort, time_limit=None if end is None else max(end - time.time(), 0.0),
            control=control, shared=shared,
        )  # fmt: skip
    except Exception as error:  # noqa: BLE001 - reported with the plan; the others go on
        return Failure(f"{type(error).__name__}: {error}", traceback.format_exc())


def _wait(
    running: Future[list[Solution | Failure]], controls: list[Ints], show: Callable[[int], None]
) -> list[Solution | Failure]:
    """Wait for the workers; the first interruption tells them to finish what they have."""
    while True:
        try:
            return running.result(timeout=0.1)
        except TimeoutError:
            if running.done():
                raise  # the workers' own
            show(sum(int(control[1]) for control in controls))
        except KeyboardInterrupt:
            again = all(control[0] for control in controls)
            for control in controls:
                control[0] = GIVEN_UP if again else 1
            if again:
                raise
            say("stopping: finishing the best plan so far (once more to give up)")


def _counts(communities: Sequence[Community], rules: Rules) -> tuple[list[Any], Sharing | None]:
    """Number of grids of every community, as the rules have it, and how a total is shared."""
    wanted = rules.n_grids
    if isinstance(wanted, Mapping):
        return [wanted.get(community.key) for community in communities], None
    if not isinstance(wanted, int | np.integer):
        return [wanted] * len(communities), None
    parts = [
        shared_part(
            community.indptr, community.indices, community.loads, **_limits(community, rules)
        )
        for community in communities
    ]
    sharing = Sharing([part for part in parts if part is not None])
    shares = iter(sharing.by_load(wanted))
    return [None if part is None else next(shares) for part in parts], sharing


# ---------------------------------------------------------------- enclaves


def _bridged(community: Community, shapes: Objects, rules: Rules) -> Community:
    """The community with a made-up border from every enclave below the band to what is nearest.

    An enclave is a connected region with too few households for a grid. With the border the engine
    finds it a place inside the band, if there is one.
    """
    joined: list[tuple[int, int]] = []
    while True:
        community = _with_borders(community, joined)
        region = regions(
            community.indptr, community.indices, community.loads, **_limits(community, rules)
        )
        total = np.bincount(region[region >= 0], community.loads[region >= 0, 0])
        small = np.flatnonzero((total > 0) & (total < rules.low))
        if not small.size or total.size == 1:
            break
        own = region == small[0]
        others = np.flatnonzero((region >= 0) & ~own)
        tree = shapely.STRtree(shapes[community.members[others]])
        mine = np.flatnonzero(own)
        pairs, distance = tree.query_nearest(
            shapes[community.members[mine]], return_distance=True, all_matches=True
        )
        nearest = pairs[:, np.flatnonzero(distance == distance.min())[0]]
        joined = [(int(mine[nearest[0]]), int(others[nearest[1]]))]
    return community


def _with_borders(community: Community, pairs: Sequence[tuple[int, int]]) -> Community:
    """The community with more borders, as short as they can be."""
    if not pairs:
        return community
    n = len(community)
    rows = community.rows
    extra = np.array([*pairs, *((b, a) for a, b in pairs)], np.int64)
    rows, columns = np.append(rows, extra[:, 0]), np.append(community.indices, extra[:, 1])
    borders = np.append(community.borders, np.ones(len(extra), np.int64))
    closed = np.append(community.closed, np.zeros(len(extra), bool))
    order = np.lexsort((columns, rows))
    return dataclasses.replace(
        community, indptr=np.searchsorted(rows[order], np.arange(n + 1)),
        indices=columns[order], borders=borders[order], closed=closed[order],
    )  # fmt: skip


def attach_enclaves(
    units: gpd.GeoDataFrame, communities: Sequence[Community], labels: Ints, exclusive: Ints
) -> Ints:
    """Give every enclave without households to the nearest grid of its community.

    Parameters
    ----------
    units : GeoDataFrame
    communities : sequence of Community
    labels : ndarray of int64, shape (n,)
        Grid of every unit; -1 in enclaves. Changed in place.
    exclusive : ndarray of int64
        Numbers of exclusive grids: they take an enclave only where there is no other grid.

    Returns
    -------
    ndarray of int64
        Positions of the units that were attached.

    Notes
    -----
    A grid that touches the enclave is nearer than one that does not, and of those that touch, the
    one with the longest border is nearest. A community without any household becomes one grid.
    """
    geometries = units.geometry.to_numpy()
    attached: list[Ints] = []
    free = labels.max(initial=-1) + 1
    for community in communities:
        own = labels[community.members]
        if (own >= 0).all():
            continue
        base = np.flatnonzero((own >= 0) & ~np.isin(own, exclusive))
        hosts = base if base.size else np.flatnonzero(own >= 0)
        if not hosts.size:
            labels[community.members] = free
            free += 1
            continue
        for enclave in _enclaves(community, own < 0):
            host = _touching(community, enclave, own, hosts)
            if host < 0:
                tree = shapely.STRtree(geometries[community.members[hosts]])
                pairs, distance = tree.query_nearest(
                    geometries[community.members[enclave]], return_distance=True, all_matches=True
                )
                nearest = pairs[1][distance == distance.min()].min()
                host = own[hosts[nearest]]
            labels[community.members[enclave]] = host
            attached.append(community.members[enclave])
    return np.concatenate(attached) if attached else np.zeros(0, np.int64)


def _enclaves(community: Community, lonely: npt.NDArray[np.bool_]) -> Iterator[Ints]:
    """Connected parts of the units marked lonely, as places within the community."""
    from gridpart.engine.kernels import components

    part, count = components(community.indptr, community.indices, np.where(lonely, 0, -1))
    for number in range(count):
        yield np.flatnonzero(part == number)


def _touching(community: Community, enclave: Ints, own: Ints, hosts: Ints) -> int:
    """Grid among `hosts` that shares the longest border with the enclave, or -1."""
    allowed = np.zeros(own.size, bool)
    allowed[hosts] = True
    shared: dict[int, int] = {}
    for u in enclave:
        row = slice(community.indptr[u], community.indptr[u + 1])
        for v, length in zip(community.indices[row], community.borders[row], strict=True):
            if allowed[v]:
                shared[int(own[v])] = shared.get(int(own[v]), 0) + int(length)
    return max(shared, key=lambda g: (shared[g], -g), default=-1)
