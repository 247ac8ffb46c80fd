"""Pairs of groups divided anew: against every way to divide them."""

from __future__ import annotations

import itertools

import networkx as nx
import numpy as np
import pytest

from gridpart.engine import regroup
from gridpart.engine.part import Bounds, Part

NONE = np.zeros(0, np.int64)


def part_of(graph, loads, extra=None):
    """A graph on 0 .. n-1 as the engine knows it."""
    n = graph.number_of_nodes()
    rows = [sorted(graph[u]) for u in range(n)]
    indptr = np.cumsum([0, *map(len, rows)])
    indices = np.array([v for row in rows for v in row], np.int64)
    nothing = np.zeros((n, 0), np.int64)
    extra = nothing if extra is None else np.asarray(extra, np.int64).reshape(n, -1)
    place = np.arange(n)
    return Part(
        indptr, indices, np.ones(indices.size, np.int64), loads, loads, extra, nothing, place, place
    )


def lattice(rows, columns):
    return nx.convert_node_labels_to_integers(nx.grid_2d_graph(rows, columns))


def evened(part, labels, n_groups, bounds, *, told=0):
    return regroup.evened(
        part, labels, n_groups, bounds, seed=np.zeros(1, np.uint64),
        control=np.array([told, 0], np.int64),
    )  # fmt: skip


def heavier_halves(graph, loads, marked, most):
    """Load of the heavier side of every division in two connected sides of few enough marks."""
    n = len(loads)
    for size in range(1, n):
        for side in itertools.combinations(range(n), size):
            rest = [u for u in range(n) if u not in side]
            marks = int(marked[list(side)].sum()), int(marked[rest].sum())
            if (
                max(marks) <= most
                and nx.is_connected(graph.subgraph(side))
                and nx.is_connected(graph.subgraph(rest))
            ):
                yield max(loads[list(side)].sum(), loads[rest].sum())


@pytest.mark.parametrize("seed", range(40))
def test_two_groups_become_as_even_as_they_can_be(seed):
    draw = np.random.default_rng(seed)
    graph = lattice(2, int(draw.integers(3, 6)))
    n = graph.number_of_nodes()
    loads = draw.integers(1, 40, n)
    marked = np.zeros(n, np.int64)
    marked[[0, n - 1]] = seed % 2
    labels = np.array([0] * (n // 2) + [1] * (n - n // 2))
    best = min(heavier_halves(graph, loads, marked, 1))
    bounds = Bounds(1, int(best), np.zeros(1, np.int64), np.ones(1, np.int64))
    if np.bincount(labels, loads).max() <= best:
        bounds = bounds.with_band(1, int(best) - 1)  # so that there is a reason to try
    found = evened(part_of(graph, loads, marked), labels, 2, bounds)
    assert np.bincount(found, loads).max() == best
    assert np.bincount(found, marked).max() <= 1


@pytest.mark.parametrize("seed", range(20))
def test_many_groups_stay_connected_and_no_pair_is_left_that_could_be_more_even(seed):
    draw = np.random.default_rng(seed)
    graph = lattice(6, 6)
    loads = draw.integers(5, 60, 36)
    labels = np.arange(36) // 6
    before = labels.copy()
    impossible = Bounds(1, int(loads.sum()) // 6 - 1, NONE, NONE)
    found = evened(part_of(graph, loads), labels, 6, impossible)
    assert np.array_equal(labels, before)
    assert np.array_equal(found, evened(part_of(graph, loads), labels, 6, impossible))
    sums, started = np.bincount(found, loads, minlength=6), np.bincount(labels, loads)
    assert sums.sum() == loads.sum()
    assert np.square(sums).sum() <= np.square(started).sum()
    for g in range(6):
        assert nx.is_connected(graph.subgraph(np.flatnonzero(found == g).tolist()))
    for a, b in itertools.combinations(range(6), 2):
        units = np.flatnonzero((found == a) | (found == b))
        both = nx.convert_node_labels_to_integers(graph.subgraph(units.tolist()), ordering="sorted")
        touch = any(found[u] != found[v] for u, v in graph.subgraph(units.tolist()).edges)
        if touch and units.size <= 11:
            halves = heavier_halves(both, loads[units], np.zeros(units.size, np.int64), 0)
            assert max(sums[a], sums[b]) == min(halves)


def test_it_stops_when_it_is_told_to_and_where_nothing_is_wrong():
    loads = np.arange(1, 17)
    labels = np.arange(16) // 4
    part = part_of(lattice(4, 4), loads)
    assert np.array_equal(evened(part, labels, 4, Bounds(1, 1000, NONE, NONE)), labels)
    assert np.array_equal(evened(part, labels, 4, Bounds(1, 40, NONE, NONE), told=1), labels)
    assert not np.array_equal(evened(part, labels, 4, Bounds(1, 40, NONE, NONE)), labels)
    assert np.array_equal(evened(part, labels // 2, 2, Bounds(1, 60, NONE, NONE)), labels // 2) == (
        np.bincount(labels // 2, loads).max() <= 60
    )


def test_groups_of_many_units_are_left_as_they_are():
    labels = np.repeat([0, 1], 18)
    part = part_of(lattice(6, 6), np.arange(36))
    assert np.array_equal(evened(part, labels, 2, Bounds(1, 320, NONE, NONE)), labels)
