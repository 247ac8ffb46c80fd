"""Windows cooled again: never worse, always valid, and what is kept of them equals recomputing."""

from __future__ import annotations

import random
from dataclasses import replace

import networkx as nx
import numpy as np
import oracles
import pytest
from test_engine import assert_valid, planar

from gridpart.engine import Effort, solve
from gridpart.engine.part import Bounds, Part
from gridpart.engine.run import Run
from gridpart.engine.windows import Windows

NONE = np.zeros(0, np.int64)
BRIEF = Effort(sweeps=200, starts=1, restarts=5)
LOW, HIGH = 150, 400


def connected_part(n, seed):
    indptr, indices, borders, loads, x, y = planar(n, seed, thin=0.0)
    none = np.zeros((n, 0), np.int64)
    return Part(indptr, indices, borders, loads, loads, none, none, x, y)


def graph_of(part):
    return oracles.to_networkx(part.indptr, part.indices, part.borders)


def blocks(part, n_groups, draw):
    """Connected groups grown from random units."""
    graph = graph_of(part)
    labels = np.full(len(part), -1, np.int64)
    for g, u in enumerate(draw.sample(range(len(part)), n_groups)):
        labels[u] = g
    while (labels < 0).any():
        edges = [(u, v) for u in np.flatnonzero(labels >= 0) for v in graph[u] if labels[v] < 0]
        u, v = draw.choice(edges)
        labels[v] = labels[u]
    return labels


def moved(part, labels, n_groups, draw):
    """The same groups after some random moves; every group keeps a unit."""
    labels = labels.copy()
    for _ in range(20):
        u = draw.randrange(len(part))
        near = labels[part.indices[part.indptr[u] : part.indptr[u + 1]]]
        if near.size and (labels == labels[u]).sum() > 1:
            labels[u] = draw.choice(near.tolist())
    assert set(labels.tolist()) == set(range(n_groups))
    return labels


@pytest.mark.parametrize("seed", range(10))
def test_what_is_known_of_groups_equals_recomputing_at_every_step(seed):
    draw = random.Random(seed)
    part = connected_part(80, seed)
    labels = blocks(part, 12, draw)
    state = np.array([seed], np.uint64)
    run = Run(part, 12, Bounds(1, 10**6, NONE, NONE), 0.7, np.zeros(2, np.int64))
    windows = Windows(part, labels, 12)
    for _ in range(30):
        start, size = draw.randrange(12), draw.randint(1, 12)
        groups, members = windows.around(start, size, state)
        assert start in groups
        assert groups.size == size
        assert np.array_equal(members, np.flatnonzero(np.isin(labels, groups)))
        assert nx.is_connected(nx.quotient_graph(
            graph_of(part).subgraph(members.tolist()),
            [set(np.flatnonzero(labels == g).tolist()) for g in groups],
        ))  # fmt: skip
        window = windows.take(members)
        inner = run.within(window, groups.size)
        before = np.searchsorted(groups, labels[members])
        after = moved(window, before, groups.size, draw)
        change = run.cost(labels, 12), inner.cost(after, size) - inner.cost(before, size)
        windows.divide(groups, members, after)
        # evenness is rounded down, in the window and in the whole
        assert abs(run.cost(labels, 12) - change[0] - change[1]) <= 2
        anew = Windows(part, labels, 12)
        assert all(map(np.array_equal, windows._members, anew._members))
        assert np.array_equal(windows._first, anew._first)
        assert np.array_equal(windows._following, anew._following)
        assert (windows._place == -1).all()


def cost(part, labels, n_groups, balance):
    bounds = Bounds(LOW, HIGH, NONE, NONE)
    run = Run(part, n_groups, bounds, balance, np.zeros(2, np.int64))
    return run.cost(labels, n_groups)


@pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
def test_borders_are_never_longer_and_mostly_shorter(balance):
    shorter = 0
    for seed in range(12):
        part = connected_part(260, seed)
        arrays = part.indptr, part.indices, part.borders, part.loads
        options = {"x": part.x, "y": part.y, "balance": balance, "n_groups": 26, "seed": seed}
        found = [
            solve(*arrays, LOW, HIGH, effort=effort, **options)
            for effort in (BRIEF, replace(BRIEF, windows=4, window_sweeps=100))
        ]
        again = solve(
            *arrays, LOW, HIGH, effort=replace(BRIEF, windows=4, window_sweeps=100), **options
        )
        assert np.array_equal(found[1].labels, again.labels)
        assert_valid(arrays, found[1], LOW, HIGH)
        assert not any(found[1].reasons)
        costs = [cost(part, of.labels, 26, balance) for of in found]
        assert costs[1] <= costs[0]
        shorter += costs[1] < costs[0]
    assert shorter >= 8


def test_other_bounds_and_the_width_of_groups_hold_in_windows():
    for seed in range(6):
        part = connected_part(200, seed)
        area = np.random.default_rng(seed).integers(1, 30, 200)
        both = np.column_stack([part.loads, area])
        found = solve(
            part.indptr, part.indices, part.borders, both, [100, 0], [400, 220],
            x=part.x, y=part.y, n_groups=24, seed=seed,
            effort=replace(BRIEF, windows=3, window_sweeps=80),
        )  # fmt: skip
        assert not any(found.reasons)
        sums = np.bincount(found.labels, area)
        assert sums.max() <= 220


def test_a_group_that_cannot_be_in_the_band_stays_the_only_one_outside():
    part = connected_part(120, 3)
    loads = part.loads.copy()
    loads[5] = 5 * HIGH
    found = [
        solve(
            part.indptr, part.indices, part.borders, loads, LOW, HIGH, x=part.x, y=part.y,
            seed=1, effort=effort,
        )
        for effort in (BRIEF, replace(BRIEF, windows=3, window_sweeps=80))
    ]  # fmt: skip
    assert [sum(map(bool, of.reasons)) for of in found] == [1, 1]
    assert found[1].n_groups == found[0].n_groups
    assert found[1].cut < found[0].cut


def test_seconds_are_shared_between_runs_and_windows():
    part = connected_part(300, 4)
    arrays = part.indptr, part.indices, part.borders, part.loads
    short = solve(*arrays, LOW, HIGH, x=part.x, y=part.y, balance=0, n_groups=30, effort=BRIEF)
    long = solve(*arrays, LOW, HIGH, x=part.x, y=part.y, balance=0, n_groups=30, effort=1.0)
    assert_valid(arrays, long, LOW, HIGH)
    assert not any(long.reasons)
    assert long.cut < short.cut


@pytest.mark.parametrize("balance", [0.3, 0.5, 0.55, 0.75, 1.0])
def test_what_even_groups_take_more_is_shared_between_run_and_windows(balance):
    effort = Effort.of("default")
    in_run, n = replace(effort, even_windows=0), 3000
    assert effort.work(n, balance) == pytest.approx(in_run.work(n, balance), rel=0.01)
    assert effort.windows_of(n, balance) == (2 if balance > 0.5 else 0)
    assert (effort.sweeps_of(n, balance) < in_run.sweeps_of(n, balance)) == (balance > 0.5)
    small = effort.starts_up_to
    assert effort.work(small, balance) == in_run.work(small, balance)


def test_windows_of_a_larger_part_go_on_from_its_run():
    part = connected_part(260, 1)
    arrays = part.indptr, part.indices, part.borders, part.loads
    options = {"x": part.x, "y": part.y, "n_groups": 26, "balance": 0.8}
    effort = Effort(sweeps=1000, starts_up_to=100, even_windows=2)
    run_alone = Effort(sweeps=400, starts_up_to=100)
    assert effort.sweeps_of(260, 0.8) == run_alone.sweeps_of(260, 0.8)
    found = [solve(*arrays, LOW, HIGH, effort=how, **options) for how in (effort, run_alone)]
    assert_valid(arrays, found[0], LOW, HIGH)
    assert cost(part, found[0].labels, 26, 0.8) < cost(part, found[1].labels, 26, 0.8)
