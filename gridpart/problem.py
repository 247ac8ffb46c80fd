"""Units + graph + rules → the engine's arrays per community, and labels back.

A community is solved by itself, in an order of its units that follows their geometry and with a
seed made from its own name, so that its grids depend neither on the order of the rows, nor on the
number of workers, nor on which other communities are in the file.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import shapely
from scipy.sparse import csr_array

from gridpart._geometry.order import along_curve
from gridpart._progress import progress, say
from gridpart.engine import EFFORTS, Effort, Solution, is_compiled, share_out, solve, warm_up
from gridpart.plan import Rules, site_marks

if TYPE_CHECKING:
    import geopandas as gpd
    import numpy.typing as npt

    from gridpart.contiguity import Contiguity

    Ints = npt.NDArray[np.int64]

__all__ = ["Community", "attach_enclaves", "build_communities", "solve_communities"]


@dataclass(frozen=True, eq=False)
class Community:
    """One community as the engine sees it.

    Attributes
    ----------
    key : str
        Its name; empty where all units are one community.
    members : ndarray of int64, shape (n,)
        Positions of its units, in an order that follows their geometry.
    indptr, indices, borders, loads, x, y, work, sites : ndarray of int64
        What :func:`gridpart.engine.solve` takes.
    """

    key: str
    members: Ints
    indptr: Ints
    indices: Ints
    borders: Ints
    loads: Ints
    x: Ints
    y: Ints
    work: Ints
    sites: Ints

    @property
    def households(self) -> int:
        """Households outside exclusive sites."""
        return int(self.loads[self.sites < 0, 0].sum())


def build_communities(
    units: gpd.GeoDataFrame, contiguity: Contiguity, rules: Rules
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

    Returns
    -------
    list of Community
        In order of their names.
    """
    centre = shapely.centroid(units.geometry.to_numpy())
    x, y = (
        np.rint(axis * 1000).astype(np.int64)
        for axis in (shapely.get_x(centre), shapely.get_y(centre))
    )
    extent = np.rint(shapely.bounds(units.geometry.to_numpy()) * 1000).astype(np.int64)
    keys = (
        pd.Series("", index=units.index)
        if rules.within is None
        else units[rules.within].astype(str)
    ).to_numpy()
    codes, names = pd.factorize(keys, sort=True)
    # each community is laid along a curve of its own: what else is in the file does not matter
    order = along_curve(x - _least(x, codes), y - _least(y, codes), *extent.T)
    matrix = csr_array(
        (contiguity.lengths_mm, contiguity.indices, contiguity.indptr),
        shape=(len(units), len(units)),
    )
    sites = _sites(units, keys, rules.exclusive)
    loads = _loads(units, rules)
    work = loads[:, 0] if rules.workload is None else units[rules.workload].to_numpy(np.int64)
    by_community = order[np.argsort(codes[order], kind="stable")]
    bounds = np.searchsorted(np.sort(codes), np.arange(len(names) + 1))
    # one permutation of the whole graph; a community is then a block on its diagonal
    matrix = matrix[by_community][:, by_community].tocsr()
    matrix.sort_indices()
    communities = []
    for number, name in enumerate(names):
        block = slice(bounds[number], bounds[number + 1])
        members = by_community[block]
        own = matrix[block, block].tocsr()
        own.sort_indices()
        communities.append(
            Community(
                str(name),
                members,
                own.indptr.astype(np.int64),
                own.indices.astype(np.int64),
                own.data.astype(np.int64),
                loads[members],
                x[members],
                y[members],
                work[members],
                _renumber(sites[members]),
            )
        )
    return communities


def _least(values: Ints, codes: Ints) -> Ints:
    """Least value of the own community, for every unit."""
    least = np.full(codes.max(initial=-1) + 1, np.iinfo(np.int64).max)
    np.minimum.at(least, codes, values)
    return least[codes]


def _loads(units: gpd.GeoDataFrame, rules: Rules) -> Ints:
    """Households, and a column for every other bounded quantity; areas in whole square metres."""
    columns = [units[rules.households].to_numpy(np.int64)]
    for name in rules.bounds or ():
        measured = name == "area_m2" and name not in units.columns
        values = units.geometry.area if measured else units[name]
        columns.append(np.rint(values.to_numpy(np.float64)).astype(np.int64))
    return np.column_stack(columns)


def _sites(units: gpd.GeoDataFrame, keys: npt.NDArray[Any], exclusive: str | None) -> Ints:
    """Number of the exclusive site of every unit, -1 for none.

    A mere yes makes a site of the unit; a name makes one site of the units of a community that
    carry it.
    """
    site = np.full(len(units), -1, np.int64)
    if exclusive is None:
        return site
    marked, names = site_marks(units[exclusive])
    alone = marked & (names == "")
    site[alone] = np.arange(alone.sum())
    named = marked & ~alone
    # a site ends at the border of its community; NUL stands in no name
    pairs = [f"{key}\0{name}" for key, name in zip(keys[named], names[named], strict=True)]
    site[named] = pd.factorize(np.array(pairs, dtype=object))[0] + alone.sum()
    return site


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
    effort: str | Effort = "default",
) -> list[Solution]:
    """Solve every community, several at a time on threads: the kernels release the GIL.

    Parameters
    ----------
    communities : sequence of Community
    rules : Rules
        See :func:`gridpart.partition`.
    jobs : int, optional
        Number of threads; by default one per processor. The result does not depend on it.
    effort : str or Effort
        See :func:`gridpart.engine.solve`.

    Returns
    -------
    list of Solution
        In the order of `communities`.
    """
    from joblib import Parallel, delayed

    spent = effort if isinstance(effort, Effort) else EFFORTS[effort]
    control = np.zeros(2, np.int64)
    if not is_compiled():
        say("compiling the engine, once: this takes about 20 seconds")
    warm_up()
    bands = [(rules.low, rules.high), *(rules.bounds or {}).values()]
    counts = _counts(communities, rules)

    def one(number: int) -> Solution:
        community = communities[number]
        return solve(
            community.indptr, community.indices, community.borders, community.loads,
            [low for low, _ in bands], [high for _, high in bands],
            x=community.x, y=community.y, target=rules.target, n_groups=counts[number],
            balance=rules.balance, work=community.work, sites=community.sites,
            seed=_seed_of(community.key, rules.seed), effort=spent, control=control,
        )  # fmt: skip

    work = sum(
        len(c.loads) * spent.sweeps * (spent.starts if len(c.loads) <= spent.starts_up_to else 1)
        for c in communities
    )
    # the largest first, so that no thread is left with a long one at the end
    by_size = sorted(range(len(communities)), key=lambda i: -len(communities[i].loads))
    with progress("dividing", work) as show, _watching(control, show):
        found = Parallel(n_jobs=jobs or -1, prefer="threads")(delayed(one)(i) for i in by_size)
    solutions = dict(zip(by_size, found, strict=True))
    return [solutions[i] for i in range(len(communities))]


def _counts(communities: Sequence[Community], rules: Rules) -> list[Any]:
    """Number of grids of every community, as the rules have it."""
    wanted = rules.n_grids
    if isinstance(wanted, Mapping):
        return [wanted.get(community.key) for community in communities]
    if isinstance(wanted, int):
        settled = [number for number, c in enumerate(communities) if c.households]
        totals = [communities[number].households for number in settled]
        counts: list[Any] = [None] * len(communities)
        for number, count in zip(
            settled, share_out(wanted, totals, rules.low, rules.high), strict=True
        ):
            counts[number] = count
        return counts
    return [wanted] * len(communities)


@contextmanager
def _watching(control: Ints, show: Callable[[int], None]) -> Iterator[None]:
    """Show the kernels' work counter while they run; stop them when the caller is interrupted."""
    finished = threading.Event()

    def watch() -> None:
        while not finished.wait(0.2):
            show(int(control[1]))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    except BaseException:
        control[0] = 1
        raise
    finally:
        finished.set()
        watcher.join()


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
