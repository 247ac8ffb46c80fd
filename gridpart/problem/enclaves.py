"""Parts of a community that lie apart: where they may go, and who takes empty ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import shapely

from gridpart.problem.community import Community
from gridpart.rules import Rules

if TYPE_CHECKING:
    import geopandas as gpd
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]
    Flags = npt.NDArray[np.bool_]
    Objects = npt.NDArray[np.object_]

__all__ = ["attach_enclaves", "bridged"]


def bridged(community: Community, shapes: Objects, rules: Rules) -> Community:
    """The community with a made-up border from every enclave below the band to what is nearest.

    An enclave is a connected region with too few households for a grid. With the border the engine
    finds it a place inside the band, if there is one.
    """
    # made-up borders do not make one estate of parts that lie apart
    part, _ = community.parts(community.tied)
    tied = np.where(community.tied >= 0, part, -1)
    community = dataclasses.replace(community, tied=tied)
    joined: list[tuple[int, int]] = []
    while True:
        community = community.with_borders(joined)
        region = community.layout(rules).region()
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


def _enclaves(community: Community, lonely: Flags) -> Iterator[Ints]:
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
