"""The fewest connected groups under a cap, against every division of a small graph."""

from __future__ import annotations

import random

import networkx as nx
import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.sparse import csc_array

from gridpart.engine import fewest_groups, kernels, solve


def rows_of(graph):
    """Compressed rows of a networkx graph on 0 .. n-1."""
    n = graph.number_of_nodes()
    neighbours = [sorted(graph[u]) for u in range(n)]
    indptr = np.cumsum([0, *map(len, neighbours)])
    return indptr, np.array([v for row in neighbours for v in row], np.int64)


def least(graph, loads, cap, marked):
    """Fewest connected groups of at most `cap`, with one marked unit at most; by subsets."""
    n = len(loads)
    fits = [False] * (1 << n)
    for mask in range(1, 1 << n):
        units = [u for u in range(n) if mask >> u & 1]
        fits[mask] = (
            sum(loads[u] for u in units) <= cap
            and sum(marked[u] for u in units) <= 1
            and nx.is_connected(graph.subgraph(units))
        )
    best = [0] + [n + 1] * ((1 << n) - 1)
    for mask in range(1, 1 << n):
        first, part = mask & -mask, mask
        while part:
            if part & first and fits[part]:
                best[mask] = min(best[mask], 1 + best[mask ^ part])
            part = (part - 1) & mask
    return best[-1]


def small_graph(seed):
    """A piece of a lattice with some diagonals, loads, marks and a cap."""
    draw = random.Random(seed)
    graph = nx.convert_node_labels_to_integers(nx.grid_2d_graph(3, draw.choice([2, 3])))
    n = graph.number_of_nodes()
    for u in range(n):
        if draw.random() < 0.2:
            graph.add_edge(u, (u + 4) % n)
    graph.remove_edges_from(nx.selfloop_edges(graph))
    loads = [draw.randint(1, 9) for _ in range(n)]
    marked = [int(draw.random() < 0.3) for _ in range(n)]
    return graph, loads, marked, draw.randint(max(loads), 20)


@pytest.mark.parametrize("by", ["choice", "program"])
@pytest.mark.parametrize("seed", range(100))
def test_as_few_groups_as_there_can_be(seed, by):
    graph, loads, marked, cap = small_graph(seed)
    indptr, indices = rows_of(graph)
    columns = np.column_stack([loads, marked])
    ones = np.ones(indices.size, np.int64)
    labels, at_least = fewest_groups(indptr, indices, ones, columns, [1, 0], [cap, 1], by=by)
    best = least(graph, loads, cap, marked)
    assert at_least <= best
    if by == "program":
        assert labels.size, "a choice is always found in the end"
        assert at_least == best
    if labels.size:
        assert int(labels.max()) + 1 == best
        for group in range(best):
            units = np.flatnonzero(labels == group).tolist()
            assert nx.is_connected(graph.subgraph(units))
            assert columns[units].sum(axis=0).tolist() <= [cap, 1]


@pytest.mark.parametrize("seed", range(60))
def test_whether_more_than_enough_are_needed(seed):
    graph, loads, marked, cap = small_graph(seed)
    indptr, indices = rows_of(graph)
    columns = np.column_stack([loads, marked])
    ones = np.ones(indices.size, np.int64)
    best = least(graph, loads, cap, marked)
    given = (indptr, indices, ones, columns, [1, 0], [cap, 1])
    for enough in range(best + 2):
        _, at_least = fewest_groups(*given, by="bound", enough=enough)
        assert 0 <= at_least <= best
        if enough < best - 1:  # where the relaxation is far enough off, it says so
            _, relaxed = fewest_groups(*given, by="bound")
            assert at_least > enough or relaxed <= enough + 1


@pytest.mark.parametrize("cap", [420, 480])
def test_the_bound_of_many_groups_is_that_of_the_whole_relaxation(cap):
    """More groups than are priced at a time, and than are listed without `enough`."""
    graph = nx.convert_node_labels_to_integers(nx.grid_2d_graph(12, 12))
    indptr, indices = rows_of(graph)
    loads = np.random.default_rng(1).integers(50, 100, 144)
    ones, nothing = np.ones(indices.size, np.int64), np.zeros((144, 0), np.int64)
    none = np.zeros(0, np.int64)
    starts, units, _ = kernels.possible_groups(
        indptr, indices, ones, loads, 1, cap, nothing, none, none, nothing, 0, 100_000, 10**8
    )
    assert starts.size - 1 > 5000
    cover = csc_array((np.ones(units.size), units, starts), shape=(144, starts.size - 1))
    whole = linprog(np.ones(starts.size - 1), A_eq=cover, b_eq=np.ones(144)).fun
    for enough in (0, int(whole) - 1, int(whole), int(whole) + 1, 144):
        _, at_least = fewest_groups(indptr, indices, ones, loads, 1, cap, by="bound", enough=enough)
        assert at_least <= np.ceil(whole - 1e-6)
        assert (at_least > enough) == (np.ceil(whole - 1e-6) > enough)


def test_the_bound_alone_and_what_cannot_be():
    indptr, indices = rows_of(nx.path_graph(4))
    ones, loads = np.ones(6, np.int64), np.array([3, 2, 2, 3])
    labels, at_least = fewest_groups(indptr, indices, ones, loads, 1, 5, by="bound")
    assert (labels.size, at_least) == (0, 2)
    labels, at_least = fewest_groups(indptr, indices, ones, loads, 1, 2)
    assert labels.size == 0
    assert at_least > 4, "a unit is above the cap: no number will do"


def test_without_advice_and_insistence_a_division_is_none_the_worse():
    graph = nx.convert_node_labels_to_integers(nx.grid_2d_graph(6, 6))
    indptr, indices = rows_of(graph)
    loads = np.random.default_rng(0).integers(60, 160, 36)
    ones = np.full(indices.size, 1000)
    for cap, possible in [(500, True), (180, False)]:
        for options in ({"insist": False}, {"advise": False}, {}):
            found = solve(indptr, indices, ones, loads, 1, cap, n_groups=10, **options)
            assert (not any(found.reasons)) == possible
            if options and not possible:
                assert not any(found.relaxations) or "insist" in options
            assert found.group_load.sum() == loads.sum()
