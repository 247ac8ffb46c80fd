"""Slow and simple answers that the fast ones are held against."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

import networkx as nx
import numpy as np


def to_networkx(indptr, indices, borders) -> nx.Graph:
    """The graph of the engine's arrays."""
    graph = nx.Graph()
    graph.add_nodes_from(range(len(indptr) - 1))
    for u in range(len(indptr) - 1):
        for e in range(indptr[u], indptr[u + 1]):
            graph.add_edge(u, int(indices[e]), border=int(borders[e]))
    return graph


def to_arrays(n: int, edges: Iterable[tuple[int, int, int]]):
    """Compressed rows of an edge list (u, v, border)."""
    rows: list[list[tuple[int, int]]] = [[] for _ in range(n)]
    for u, v, border in edges:
        rows[u].append((v, border))
        rows[v].append((u, border))
    indptr = np.cumsum([0, *map(len, rows)])
    flat = [pair for row in rows for pair in sorted(row)]
    indices = np.array([v for v, _ in flat], np.int64)
    borders = np.array([border for _, border in flat], np.int64)
    return indptr.astype(np.int64), indices, borders


def cut(graph: nx.Graph, labels) -> int:
    """Border between different labels, each once."""
    return sum(d["border"] for u, v, d in graph.edges(data=True) if labels[u] != labels[v])


def best_division(graph: nx.Graph, loads, low: int, high: int) -> int | None:
    """Shortest cut of any division into connected groups in the band; None if there is none.

    Tries every subset of the units: for some 12 units at most.
    """
    n = graph.number_of_nodes()
    adjacent = [sum(1 << v for v in graph[u]) for u in range(n)]
    border = {frozenset((u, v)): d["border"] for u, v, d in graph.edges(data=True)}

    def connected(mask: int) -> bool:
        reached = mask & -mask
        while True:
            grown = reached
            for u in range(n):
                if reached >> u & 1:
                    grown |= adjacent[u] & mask
            if grown == reached:
                return reached == mask
            reached = grown

    def inside(mask: int) -> int:
        return sum(b for pair, b in border.items() if all(mask >> u & 1 for u in pair))

    groups: dict[int, list[tuple[int, int]]] = {u: [] for u in range(n)}
    for mask in range(1, 1 << n):
        load = sum(int(loads[u]) for u in range(n) if mask >> u & 1)
        if low <= load <= high and connected(mask):
            groups[(mask & -mask).bit_length() - 1].append((mask, inside(mask)))

    @lru_cache(None)
    def kept(left: int) -> int:
        if not left:
            return 0
        first = (left & -left).bit_length() - 1
        best = -1
        for mask, own in groups[first]:
            if mask & left == mask:
                rest = kept(left & ~mask)
                if rest >= 0:
                    best = max(best, own + rest)
        return best

    most = kept((1 << n) - 1)
    return None if most < 0 else sum(border.values()) - most


def least_cuts(graph: nx.Graph, loads, low, high) -> dict[int, int]:
    """Shortest cut for every number of groups with which a division in all bands exists.

    `loads` has one row a unit and one or more columns, `low` and `high` one bound a column. Every
    subset of the units is weighed and flooded at once; then the subsets are divided in increasing
    order, always by the group of their first unit. For some 12 units at most.
    """
    n = graph.number_of_nodes()
    masks = np.arange(1 << n)
    holds = (masks[:, None] >> np.arange(n)) & 1
    sums = holds @ np.asarray(loads).reshape(n, -1)
    possible = ((sums >= low) & (sums <= high)).all(axis=1)
    reached, before = masks & -masks, np.zeros_like(masks)
    while (reached != before).any():
        before = reached.copy()
        for u in range(n):
            near = sum(1 << v for v in graph[u])
            reached |= np.where(reached >> u & 1, near, 0) & masks
    possible &= reached == masks
    inside = np.zeros_like(masks)
    for u, v, border in graph.edges(data="border"):
        inside += border * holds[:, u] * holds[:, v]
    groups = [masks[possible & (masks & -masks == 1 << u)] for u in range(n)]
    nothing = -(1 << 60)
    kept = np.full((n + 1, 1 << n), nothing)  # by number of groups and subset
    kept[0, 0] = 0
    for mask in range(1, 1 << n):
        group = groups[(mask & -mask).bit_length() - 1]
        group = group[group & mask == group]
        if group.size:
            kept[1:, mask] = (kept[:-1, mask ^ group] + inside[group]).max(axis=1)
    total = int(inside[-1])
    return {k: total - int(kept[k, -1]) for k in range(1, n + 1) if kept[k, -1] >= 0}


def set_partitions(n: int) -> Iterator[list[int]]:
    """Labels of every way to divide `n` things, groups numbered by their first."""

    def extended(labels: list[int], used: int) -> Iterator[list[int]]:
        if len(labels) == n:
            yield labels
            return
        for group in range(used + 1):
            yield from extended([*labels, group], max(used, group + 1))

    return extended([], 0)
