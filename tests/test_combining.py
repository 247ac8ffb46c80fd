"""Runs that are combined: never worse, always valid, and what two agree about stays together."""

from __future__ import annotations

from dataclasses import replace

import networkx as nx
import numpy as np
import oracles
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_engine import assert_valid, planar

from gridpart.engine import EFFORTS, Effort, search, solve
from gridpart.engine.part import Bounds, Part
from gridpart.engine.run import Run

NONE = np.zeros(0, np.int64)
LOW, HIGH = 150, 400
APART = Effort(sweeps=150, starts=6, small_windows=0, restarts=5)
TOGETHER = replace(APART, combinations=4, combining_sweeps=300)


def forests(n, seed):
    """A town with a few empty units whose borders are up to a hundred times as long."""
    indptr, indices, borders, loads, x, y = planar(n, seed, thin=0.0)
    draw = np.random.default_rng(seed)
    wild = np.zeros(n, bool)
    wild[draw.permutation(n)[: n // 15]] = True
    rows = np.repeat(np.arange(n), np.diff(indptr))
    borders = np.where(wild[rows] | wild[indices], 30 * borders, borders)
    borders = np.where(wild[rows] & wild[indices], 4 * borders, borders)
    loads = np.where(wild, 0, loads)
    none = np.zeros((n, 0), np.int64)
    return Part(indptr, indices, borders, loads, loads, none, none, x, y)


def divided(part, effort, **options):
    arrays = part.indptr, part.indices, part.borders, part.loads
    n_groups = part.total // 270
    found = solve(*arrays, LOW, HIGH, x=part.x, y=part.y, n_groups=n_groups, effort=effort,
                  **options)  # fmt: skip
    assert_valid(arrays, found, LOW, HIGH)
    return found


def cost(part, found, balance):
    bounds = Bounds(LOW, HIGH, NONE, NONE)
    run = Run(part, found.n_groups, bounds, balance, np.zeros(2, np.int64))
    return run.cost(found.labels, found.n_groups)


@pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
def test_what_is_combined_is_never_worse_and_mostly_better(balance):
    better = 0
    for seed in range(10):
        part = forests(240, seed)
        apart, together, again = (
            divided(part, effort, balance=balance, seed=seed)
            for effort in (APART, TOGETHER, TOGETHER)
        )
        assert np.array_equal(together.labels, again.labels)
        assert not any(together.reasons)
        costs = [cost(part, found, balance) for found in (apart, together)]
        assert costs[1] <= costs[0]
        better += costs[1] < costs[0]
    assert better >= 8


def test_the_better_sides_of_two_plans_come_together():
    """Two halves, of which each plan has divided another one well."""
    half = forests(120, 7)
    graph = oracles.to_networkx(half.indptr, half.indices, half.borders)
    edges = [(u, v, data["border"]) for u, v, data in graph.edges(data=True)]
    edges += [(u + 120, v + 120, b) for u, v, b in edges] + [(0, 120, 1)]
    indptr, indices, borders = oracles.to_arrays(240, edges)
    twice, none = np.tile(half.loads, 2), np.zeros((240, 0), np.int64)
    x = np.append(half.x, half.x + half.x.max() + 1)
    part = Part(indptr, indices, borders, twice, twice, none, none, x, np.tile(half.y, 2))
    n_groups = half.total // 270
    good, bad = (divided(half, how, balance=0.0).labels for how in ("best", Effort(sweeps=20)))
    bounds = Bounds(LOW, HIGH, NONE, NONE)
    run = Run(part, 2 * n_groups, bounds, 0.0, np.zeros(2, np.int64))
    plans = [
        search._Plan.of(run, np.append(left, right + n_groups), 2 * n_groups)
        for left, right in ((good, bad), (bad, good))
    ]
    kept = [plan.labels.copy() for plan in plans]
    both = run.cost(np.append(good, good + n_groups), 2 * n_groups)
    assert both < run.cost(plans[0].labels, 2 * n_groups)
    given_plans = list(plans)
    longer = replace(TOGETHER, combining_sweeps=2000)
    search._combine(run, plans, longer, np.array([1], np.uint64), search._Clock(None))
    best = min(plans, key=search._by_rank)
    assert best.rank[0] == 0
    costs = [run.cost(plan.labels, 2 * n_groups) for plan in (*given_plans, best)]
    # of what the good halves together have before either plan, most is won
    assert costs[2] - both < 0.3 * (min(costs[:2]) - both)
    assert all(map(np.array_equal, kept, [plan.labels for plan in given_plans]))


@settings(max_examples=15)
@given(seed=st.integers(0, 10**6), balance=st.sampled_from([0.0, 0.5, 1.0]))
def test_what_two_plans_agree_about_is_one_unit(seed, balance):
    """At every step: blocks as networkx has them, costs kept, labels the same within a block."""
    part = forests(90, seed)
    graph = oracles.to_networkx(part.indptr, part.indices, part.borders)
    bounds = Bounds(LOW, HIGH, NONE, NONE)
    run = Run(part, part.total // 270, bounds, balance, np.zeros(2, np.int64))
    plans = [
        search._Plan.of(run, *run.wide(np.array([k], np.uint64), k, 100, False)) for k in range(3)
    ]
    steps = []
    inner = Run.again

    def noted(self, before, state, sweeps):
        after = inner(self, before, state, sweeps)
        steps.append((self, before, after))
        return after

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "again", noted)
        search._combine(run, plans, TOGETHER, np.array([seed], np.uint64), search._Clock(None))
    for plan in plans:
        assert plan.rank == search._Plan.of(run, plan.labels, plan.n_groups).rank
        for group in range(plan.n_groups):
            assert nx.is_connected(graph.subgraph(np.flatnonzero(plan.labels == group).tolist()))
    for small, before, after in steps:
        k = int(before.max()) + 1
        assert small.part.total == part.total
        assert (np.diff(small.part.indptr) > 0).all()
        assert small.part.borders.sum() <= part.borders.sum()
        assert k <= len(small.part) <= len(part)
        if after is not None:
            assert small.part.outside(after, k, bounds) == 0
            assert set(after.tolist()) == set(range(k))


def test_other_bounds_and_the_width_of_groups_hold_in_what_is_combined():
    for seed in range(5):
        part = forests(200, seed)
        area = np.random.default_rng(seed).integers(1, 30, 200)
        both = np.column_stack([part.loads, area])
        found = solve(
            part.indptr, part.indices, part.borders, both, [100, 0], [400, 260],
            x=part.x, y=part.y, n_groups=22, seed=seed, effort=TOGETHER,
        )  # fmt: skip
        assert not any(found.reasons)
        assert np.bincount(found.labels, area).max() <= 260


def test_long_borders_bring_several_runs_to_a_larger_part(monkeypatch):
    turns = []
    wide = Run.wide

    def noted(self, state, turn, sweeps, free_count):
        turns.append((turn, sweeps))
        return wide(self, state, turn, sweeps, free_count)

    monkeypatch.setattr(Run, "wide", noted)
    effort = replace(TOGETHER, sweeps=2000, starts_up_to=100, varied_starts=5)
    varied, plain = forests(240, 1), forests(240, 1)
    plain = replace(plain, borders=np.full_like(plain.borders, 7000))
    for part, runs in ((varied, 5), (plain, 1)):
        turns.clear()
        run = Run(part, 20, Bounds(LOW, HIGH, NONE, NONE), 0.5, np.zeros(2, np.int64))
        assert run.is_varied == (runs > 1)
        divided(part, effort)
        assert [turn for turn, _ in turns] == list(range(runs))
    assert turns[0][1] == 2000
    assert effort.sweeps_of(240, 0.5, varied=True) * 5 < 2000


@pytest.mark.parametrize(
    ("effort", "n"), [("fast", 1000), ("default", 300), ("default", 1000), ("best", 300)]
)
def test_work_is_what_the_kernels_visit(effort, n):
    """About: what two runs disagree about differs from graph to graph."""
    control = np.zeros(2, np.int64)
    divided(forests(n, 3), effort, control=control)
    assert control[1] == pytest.approx(EFFORTS[effort].work(n, 0.5), rel=0.35)


@pytest.mark.parametrize("times", [1, 1 << 20, 1 << 28])
def test_a_polish_never_leaves_the_band(times):
    """However large the loads, and where another quantity is worth little beside them."""
    for seed in range(6):
        part = forests(240, seed)
        area = np.random.default_rng(seed).integers(50_000, 100_000, 240)
        for extra, low, high in (
            (np.zeros((240, 0), np.int64), NONE, NONE),
            (area[:, None], np.array([0]), np.array([13 * 75_000])),
        ):
            loads = np.ones(240, np.int64) if extra.size else part.loads * times
            one = replace(part, loads=loads, work=np.ones(240, np.int64), extra=extra)
            bounds = Bounds(6, 16, low, high) if extra.size else Bounds(
                LOW * times, HIGH * times, low, high
            )  # fmt: skip
            run = Run(one, 22, bounds, 0.5, np.zeros(2, np.int64))
            labels = divided(part, APART).labels if not extra.size else None
            for turn in range(3):
                state = np.array([turn], np.uint64)
                if extra.size:
                    labels, _ = run.wide(state, turn, 300, False)
                n_groups = int(labels.max()) + 1
                if one.outside(labels, n_groups, bounds):
                    continue
                polished, _ = run._polished(labels.copy(), n_groups, state, np.zeros(20, np.int64))
                assert one.outside(polished, n_groups, bounds) == 0


def test_what_lies_outside_the_band_is_not_combined(monkeypatch):
    """No group of 150 to 155 where every unit has 100: a few runs tell, and nothing is combined."""
    part = forests(120, 2)
    hundreds = np.full(120, 100, np.int64)
    runs = []
    wide = Run.wide
    monkeypatch.setattr(Run, "wide", lambda *given: runs.append(1) or wide(*given))
    monkeypatch.setattr(Run, "again", lambda *_: pytest.fail("combined"))
    found = solve(
        part.indptr, part.indices, part.borders, hundreds, 150, 155, n_groups=78,
        x=part.x, y=part.y, effort=replace(TOGETHER, starts=12), insist=False, advise=False,
    )  # fmt: skip
    assert all(found.reasons)
    assert len(runs) == search.MOST_OUTSIDE
