"""The engine against networkx, brute force and itself recomputed."""

from __future__ import annotations

import networkx as nx
import numpy as np
import oracles
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.spatial import Delaunay

from gridpart.engine import REASONS, Effort, kernels, solve
from gridpart.engine.layout import MOST_LOAD

SHORT = Effort(sweeps=200, starts=1)


def orders_of(x, y):
    """Units from west to east and from south to north, as the bisection wants them."""
    return np.array([np.argsort(axis, kind="stable") for axis in (x, y)])


def planar(n: int, seed: int, *, thin: float = 0.2, heaviest: int = 60):
    """Arrays of a random planar graph: a Delaunay triangulation without some of its edges."""
    rng = np.random.default_rng(seed)
    points = rng.random((n, 2)) * 1000
    edges = {
        (int(min(a, b)), int(max(a, b)))
        for triangle in Delaunay(points).simplices
        for a, b in (triangle[:2], triangle[1:], triangle[::2])
    }
    keep = [edge for edge in sorted(edges) if rng.random() > thin]
    rows = [(u, v, int(rng.integers(1, 100_000))) for u, v in keep]
    loads = np.where(rng.random(n) < 0.1, 0, rng.integers(1, heaviest, n)).astype(np.int64)
    xy = np.rint(points * 1000).astype(np.int64)
    return (*oracles.to_arrays(n, rows), loads, xy[:, 0].copy(), xy[:, 1].copy())


def assert_valid(arrays, solution, low: int, high: int) -> None:
    """Every unit in one connected group, sums and cut right, every group out of the band named."""
    indptr, indices, borders, loads = arrays[:4]
    graph = oracles.to_networkx(indptr, indices, borders)
    labels = solution.labels
    assert labels.shape == loads.shape
    for part in nx.connected_components(graph.subgraph(np.flatnonzero(labels < 0).tolist())):
        assert loads[list(part)].sum() == 0
    assert sorted(set(labels[labels >= 0])) == list(range(solution.n_groups))
    for g in range(solution.n_groups):
        members = np.flatnonzero(labels == g)
        assert nx.is_connected(graph.subgraph(members.tolist()))
        assert loads[members].sum() == solution.group_load[g]
        outside = not low <= solution.group_load[g] <= high
        assert (solution.reasons[g] in REASONS) if outside else (solution.reasons[g] == "")
    assert solution.cut == oracles.cut(graph, labels)


@given(st.integers(4, 60), st.integers(0, 10_000), st.data())
def test_components_masks_and_connection_like_networkx(n, seed, data):
    indptr, indices, borders, *_ = planar(n, seed, thin=0.4)
    graph = oracles.to_networkx(indptr, indices, borders)
    labels = np.array(data.draw(st.lists(st.integers(-1, 3), min_size=n, max_size=n)), np.int64)
    part, count = kernels.components(indptr, indices, labels)
    for u, v in graph.edges:
        if labels[u] == labels[v] >= 0:
            assert part[u] == part[v]
    expected = 0
    for g in range(4):
        expected += nx.number_connected_components(
            graph.subgraph(np.flatnonzero(labels == g).tolist())
        )
    assert count == expected
    assert ((part < 0) == (labels < 0)).all()

    masks = kernels.neighbour_masks(indptr, indices)
    stamp, queue = np.zeros(n, np.int64), np.empty(n, np.int64)
    for turn, u in enumerate(range(n)):
        if labels[u] < 0:
            continue
        near = [v for v in graph[u] if labels[v] == labels[u]]
        rest = graph.subgraph([v for v in range(n) if labels[v] == labels[u] and v != u])
        same = [nx.node_connected_component(rest, v) for v in near]
        assert kernels.stays_connected(
            u, indptr, indices, masks, labels, stamp, 1 + 2 * turn, queue
        ) == all(nodes == same[0] for nodes in same)


def test_connection_of_units_with_more_neighbours_than_bits():
    spokes = 80
    ring = [(i, i % spokes + 1, 5) for i in range(1, spokes + 1)]
    indptr, indices, _ = oracles.to_arrays(
        spokes + 1, [(0, i, 3) for i in range(1, spokes + 1)] + ring
    )
    masks = kernels.neighbour_masks(indptr, indices)
    stamp, queue = np.zeros(spokes + 1, np.int64), np.empty(spokes + 1, np.int64)
    labels = np.zeros(spokes + 1, np.int64)
    assert kernels.stays_connected(0, indptr, indices, masks, labels, stamp, 1, queue)
    labels[[10, 50]] = 1  # two gaps in the ring: without its hub it falls apart
    assert not kernels.stays_connected(0, indptr, indices, masks, labels, stamp, 3, queue)


NONE = np.zeros(0, np.int64)


def sums(labels, values, k):
    return np.array([values[labels == g].sum(axis=0) for g in range(k)])


def stretches(n, sweeps, block):
    """In which order units are visited: sweep by sweep, but blocks several times each in turn."""
    for opening in range(0, sweeps, kernels.TURNS):
        shift = opening // kernels.TURNS * (3 * block // 8) % block if n > block else 0
        for begin in range(-shift, n, block):
            for sweep in range(opening, min(opening + kernels.TURNS, sweeps)):
                last = min(begin + block, n)
                for first in range(max(begin, 0), last, kernels.STRETCH):
                    yield sweep, range(first, min(first + kernels.STRETCH, last))


@given(
    st.integers(12, 80), st.integers(0, 10_000), st.integers(2, 5), st.integers(0, 2),
    st.sampled_from([1000, 30, 7]), st.just(3), st.booleans(),
)  # fmt: skip
@example(40, 1, 3, 0, 25, kernels.TURNS + 3, False)  # the second time blocks begin elsewhere
def test_every_sweep_equals_a_slow_one(n, seed, k, others, block, sweeps, exchanges):
    """The kernel's running sums decide as sums made anew at every proposal would."""
    indptr, indices, borders, loads, x, y = planar(n, seed, thin=0)
    graph = oracles.to_networkx(indptr, indices, borders)
    rng = np.random.default_rng(seed)
    extra, work = rng.integers(0, 50, (n, others)), rng.integers(0, 40, n)
    extra_low, extra_high = np.full(others, 100), np.full(others, 400)
    scale = rng.integers(1, 200_000, others)
    labels = kernels.bisect(x, y, orders_of(x, y), loads, k)
    assert sorted(set(labels)) == list(range(k))
    kernels.mend(indptr, indices, borders, loads, labels, k)
    assert kernels.components(indptr, indices, labels)[1] == k
    masks = kernels.neighbour_masks(indptr, indices)
    chances = np.arange(1, 4097)[::-1] * 16
    penalty, even, temperature = 700 << 16, 90 << 28, 50_000
    slow, draws = labels.copy(), np.array([seed], np.uint64)
    fast, state, control = labels.copy(), np.array([seed], np.uint64), np.zeros(2, np.int64)

    def energy(of):
        def miss(load, low, high):
            return np.maximum(low - load, 0) + np.maximum(load - high, 0)

        others_miss = (miss(sums(of, extra, k), extra_low, extra_high) @ scale).sum()
        return (
            oracles.cut(graph, of),
            int(miss(sums(of, loads, k), 100, 300).sum()),
            int(others_miss),
            int((sums(of, work, k) ** 2).sum()),
        )

    def taken(before, after, bits):
        change = [b - a for a, b in zip(energy(before), energy(after), strict=True)]
        delta = change[0] + 700 * change[1] + 700 * (change[2] >> 16) + 90 * change[3]
        return delta <= (temperature * int(chances[bits & 4095])) >> 16

    def holds(of, group):
        return nx.is_connected(graph.subgraph(np.flatnonzero(of == group).tolist()))

    def exchanged(before, moved, u, own, target):
        bits, v = int(kernels.draw(draws)), u
        for _ in range(2 + (bits >> 62)):
            row = indices[indptr[v] : indptr[v + 1]]
            w = row[(int(kernels.draw(draws)) & 0xFFFFFFFF) * row.size >> 32]
            v = w if before[w] in (own, target) else v
        if before[v] != target or all(moved[w] != own for w in graph[v]):
            return before
        after = moved.copy()
        after[v] = own
        if not taken(before, after, bits):
            return before
        alone = moved == own  # what is left without u, before v comes
        if alone.any() and holds(moved, own) and holds(after, target):
            return after
        return before

    kernels.anneal(
        indptr, indices, borders, masks, loads, work, extra, fast, k, 100, 300, extra_low,
        extra_high, scale, np.zeros((n, 0), np.int64), 0, np.full(sweeps, temperature),
        np.full(sweeps, penalty), np.full(sweeps, even), chances, state, control, NONE, block,
        exchanges,
    )  # fmt: skip
    for sweep, units in stretches(n, sweeps, block):
        proposals = []
        for u in units:
            bits = int(kernels.draw(draws))
            row = indices[indptr[u] : indptr[u + 1]]
            v = row[(bits & 0xFFFFFFFF) * row.size >> 32]
            # a short outline: every fourth sweep
            is_turn = borders[indptr[u] : indptr[u + 1]].sum() >= 2 * temperature
            if slow[v] != slow[u] and (is_turn or (u + sweep) % 4 == 0):
                proposals.append((u, v, bits))
        for u, v, bits in proposals:
            own, target = slow[u], slow[v]
            if target == own:
                continue
            moved = slow.copy()
            moved[u] = target
            if taken(slow, moved, bits >> 32):
                if (slow == own).sum() > 1 and holds(moved, own):
                    slow = moved
            elif exchanges:
                slow = exchanged(slow, moved, u, own, target)
    assert (fast == slow).all()
    assert state[0] == draws[0]
    assert control.tolist() == [0, n * sweeps]


def test_best_labels_are_in_the_band_and_shortest():
    indptr, indices, borders, loads, x, y = planar(80, 3, thin=0)
    labels = kernels.bisect(x, y, orders_of(x, y), loads, 8)
    kernels.mend(indptr, indices, borders, loads, labels, 8)
    best, sweeps = np.empty(80, np.int64), 300
    found = kernels.anneal(
        indptr, indices, borders, kernels.neighbour_masks(indptr, indices), loads, loads,
        np.zeros((80, 0), np.int64), labels, 8, 180, 400, NONE, NONE, NONE,
        np.zeros((80, 0), np.int64), 0,
        np.full(sweeps, 40_000), np.full(sweeps, 5_000 << 16), np.zeros(sweeps, np.int64),
        np.arange(1, 4097)[::-1] * 16, np.array([1], np.uint64), np.zeros(2, np.int64), best, 16,
        False,
    )  # fmt: skip
    assert found == kernels.cut_of(indptr, indices, borders, best)
    load, _ = kernels.group_sums(best, loads, 8)
    assert ((load >= 180) & (load <= 400)).all()
    assert kernels.components(indptr, indices, best)[1] == 8


@given(st.integers(30, 120), st.integers(0, 10_000), st.booleans())
def test_repair_keeps_groups_connected_and_never_adds_violations(n, seed, free_count):
    indptr, indices, borders, loads, x, y = planar(n, seed, thin=0)
    k = max(int(loads.sum()) // 100, 1)
    labels = kernels.bisect(x, y, orders_of(x, y), loads, k)
    kernels.mend(indptr, indices, borders, loads, labels, k)
    low, high = 70, 140
    before = kernels.group_sums(labels, loads, k)[0]
    violations = int(((before < low) | (before > high)).sum())
    state = np.array([seed], np.uint64)
    groups, left = kernels.repair(
        indptr, indices, borders, loads, labels, k, low, high, np.zeros((n, 0), np.int64), NONE,
        NONE, np.zeros((n, 0), np.int64), 0, 7, 10, 20, free_count, state,
    )  # fmt: skip
    after = kernels.group_sums(labels, loads, groups)[0]
    assert sorted(set(labels)) == list(range(groups))
    assert free_count or groups == k
    assert kernels.components(indptr, indices, labels)[1] == groups
    assert left == int(((after < low) | (after > high)).sum()) <= violations


@given(st.integers(1, 80), st.integers(0, 10_000), st.integers(20, 120), st.integers(0, 150))
def test_solutions_are_valid(n, seed, low, width):
    arrays = planar(max(n, 4), seed, thin=0.3, heaviest=90)
    solution = solve(*arrays[:4], low, low + width, x=arrays[4], y=arrays[5], effort=SHORT)
    assert_valid(arrays, solution, low, low + width)


@given(st.integers(4, 11), st.integers(0, 100_000), st.integers(20, 80), st.integers(0, 60))
def test_proofs_are_confirmed_by_brute_force(n, seed, low, width):
    arrays = planar(n, seed, thin=0.4, heaviest=60)
    indptr, indices, borders, loads = arrays[:4]
    high = low + width
    solution = solve(*arrays[:4], low, high, x=arrays[4], y=arrays[5], effort=SHORT)
    assert_valid(arrays, solution, low, high)
    graph = oracles.to_networkx(indptr, indices, borders)
    for part in nx.connected_components(graph):
        units = sorted(part)
        sub = nx.convert_node_labels_to_integers(graph.subgraph(units), ordering="sorted")
        possible = oracles.best_division(sub, loads[units], low, high)
        labels = solution.labels[units]
        why = [solution.reasons[g] for g in set(labels[labels >= 0])]
        if any(reason and reason != "not_found" for reason in why):
            assert possible is None or not loads[units].any()


@given(st.integers(4, 9), st.integers(0, 100_000), st.integers(20, 80), st.integers(0, 60))
def test_every_division_like_brute_force(n, seed, low, width):
    indptr, indices, borders, loads, *_ = planar(n, seed, thin=0.3, heaviest=60)
    graph = oracles.to_networkx(indptr, indices, borders)
    cuts = []
    for wanted in range(1, n + 1):
        labels, count = kernels.best_division(
            indptr, indices, borders, loads, low, low + width, np.zeros((n, 0), np.int64), NONE,
            NONE, np.zeros((n, 0), np.int64), 0, loads, 0, n, wanted,
        )  # fmt: skip
        if labels.size:
            assert sorted(set(labels)) == list(range(count))
            assert kernels.components(indptr, indices, labels)[1] == count
            load, _ = kernels.group_sums(labels, loads, count)
            assert ((load >= low) & (load <= low + width)).all()
            cuts.append(kernels.cut_of(indptr, indices, borders, labels))
    assert min(cuts, default=None) == oracles.best_division(graph, loads, low, low + width)


@given(st.integers(4, 10), st.integers(0, 100_000), st.integers(20, 80), st.integers(0, 60))
def test_what_is_possible_is_found_and_what_is_not_is_proven(n, seed, low, width):
    arrays = planar(n, seed, thin=0.2, heaviest=60)
    indptr, indices, borders, loads = arrays[:4]
    graph = oracles.to_networkx(indptr, indices, borders)
    high = low + width
    solution = solve(*arrays[:4], low, high, x=arrays[4], y=arrays[5], effort=SHORT)
    if nx.is_connected(graph) and loads.max() <= high and loads.any():
        possible = oracles.best_division(graph, loads, low, high) is not None
        assert possible == (not any(solution.reasons))
        assert all(solution.proven[g] for g, why in enumerate(solution.reasons) if why)


def test_number_of_groups():
    arrays = planar(200, 11, thin=0)
    loads, options = arrays[3], {"x": arrays[4], "y": arrays[5], "effort": SHORT}
    total = int(loads.sum())
    for wanted in (3, 20, 31):
        solution = solve(*arrays[:4], 100, 400, n_groups=wanted, **options)
        assert solution.n_groups == wanted
        assert_valid(arrays, solution, 100, 400)
    fewest = solve(*arrays[:4], 100, 400, n_groups="fewest", **options)
    most = solve(*arrays[:4], 100, 400, n_groups="most", **options)
    assert not any(fewest.reasons + most.reasons)
    assert -(-total // 400) <= fewest.n_groups < 20 < most.n_groups <= total // 100


def test_a_total_is_shared_among_connected_parts_by_load():
    edges = [(i, i + 1, 10) for i in range(5)] + [(i, i + 1, 10) for i in range(6, 8)]
    arrays = oracles.to_arrays(9, edges)
    solution = solve(*arrays, np.full(9, 100), 100, 300, n_groups=6)
    assert sorted(solution.group_load.tolist()) == [100, 100, 100, 200, 200, 200]
    at_least_one_each = solve(*arrays, np.full(9, 100), 100, 300, n_groups=1)
    assert sorted(at_least_one_each.group_load.tolist()) == [300, 600]
    assert sorted(at_least_one_each.reasons) == ["", "no_count_fits"]


def test_more_balance_is_more_even_and_costs_borders():
    arrays = planar(600, 4, thin=0, heaviest=40)
    spreads, cuts = [], []
    for balance in (0, 0.5, 1):
        solution = solve(
            *arrays[:4], 200, 500, x=arrays[4], y=arrays[5], balance=balance, n_groups=35,
            effort=Effort(sweeps=1500, starts=1),
        )  # fmt: skip
        assert not any(solution.reasons)
        spreads.append(solution.group_load.std())
        cuts.append(solution.cut)
    assert spreads[0] > spreads[1] > spreads[2]
    assert cuts[0] < cuts[1] < cuts[2]


def test_work_is_evened_out_instead_of_load():
    arrays = planar(400, 8, thin=0, heaviest=40)
    work = np.random.default_rng(1).integers(0, 100, 400)
    options = {"x": arrays[4], "y": arrays[5], "balance": 0.95, "n_groups": 24, "effort": SHORT}
    by_load = solve(*arrays[:4], 150, 600, **options)
    by_work = solve(*arrays[:4], 150, 600, work=work, **options)
    spread = [sums(found.labels, work, 24).std() for found in (by_load, by_work)]
    assert spread[1] < spread[0] / 2


def test_several_bounded_quantities():
    arrays = planar(300, 9, thin=0, heaviest=40)
    area = np.random.default_rng(2).integers(1, 30, 300)
    loads = np.column_stack([arrays[3], area])
    indptr, indices, borders = arrays[:3]
    solution = solve(
        indptr, indices, borders, loads, [150, 0], [600, 260], x=arrays[4], y=arrays[5],
        effort=SHORT,
    )  # fmt: skip
    free = solve(indptr, indices, borders, arrays[3], 150, 600, x=arrays[4], y=arrays[5])
    assert not any(solution.reasons)
    assert sums(solution.labels, area, solution.n_groups).max() <= 260
    assert sums(free.labels, area, free.n_groups).max() > 260
    alone = solve(indptr, indices, borders, loads, [150, 0], [600, 20], effort=SHORT)
    big = np.flatnonzero(area > 20)
    assert all(alone.reasons[alone.labels[u]] == "unit_above_band" for u in big)


def test_proven_optima(shared_data):
    """Districting graphs whose least number of cut edges is proven (Validi and Buchanan, 2022)."""
    import json

    folder = shared_data("bench_cut_edges")
    for name in ("ME_county", "NM_county", "ID_county", "WV_county", "NE_county"):
        case = json.loads((folder / "instances" / f"{name}.json").read_text())
        place = {node["id"]: i for i, node in enumerate(case["nodes"])}
        edges = [(place[a], place[b], 1) for a, b in case["edges"]]
        arrays = oracles.to_arrays(case["n"], edges)
        loads = np.array([node["pop"] for node in case["nodes"]])
        solution = solve(
            *arrays, loads, case["L"], case["U"], n_groups=case["k"], balance=0, effort="best"
        )
        assert not any(solution.reasons), name
        assert solution.cut == case["upper_bound"], name


def test_gates_are_named():
    # 150 behind a gate of 250, band 200-300: alone too few, with the gate too many
    indptr, indices, borders = oracles.to_arrays(4, [(0, 1, 10), (1, 2, 10), (2, 3, 10)])
    loads = np.array([150, 250, 120, 130])
    assert kernels.gates(indptr, indices, loads, 200, 300).tolist() == [1]
    solution = solve(indptr, indices, borders, loads, 200, 300)
    assert solution.labels.tolist() == [0, 1, 2, 2]
    assert solution.reasons == ("pocket", "", "")


@pytest.mark.parametrize(
    ("loads", "low", "high", "groups", "reasons"),
    [
        ([350, 0, 0], 200, 300, [350], ["unit_above_band"]),
        ([175, 175, 0], 200, 300, [350], ["no_count_fits"]),
        ([50, 60, 0], 200, 300, [110], ["component_below_band"]),
        ([0, 0, 0], 200, 300, [], []),
        ([250, 0, 250], 200, 300, [250, 250], ["", ""]),
        ([100, 100, 100], 200, 300, [300], [""]),
    ],
)
def test_what_arithmetic_says(loads, low, high, groups, reasons):
    arrays = oracles.to_arrays(3, [(0, 1, 1000), (1, 2, 1000)])
    solution = solve(*arrays, np.array(loads), low, high)
    assert sorted(solution.group_load.tolist()) == groups
    assert sorted(solution.reasons) == sorted(reasons)


def test_sites_are_groups_of_their_own():
    arrays = oracles.to_arrays(5, [(i, i + 1, 1000) for i in range(4)])
    sites = np.array([-1, -1, 0, -1, -1])
    solution = solve(*arrays, np.array([100, 100, 700, 100, 100]), 200, 300, sites=sites)
    assert solution.labels.tolist() == [0, 0, 1, 2, 2]
    assert solution.reasons[0] == solution.reasons[2] == ""


def test_same_seed_same_labels_and_stopping_is_valid():
    arrays = planar(300, 7, thin=0)
    first = solve(*arrays[:4], 100, 250, x=arrays[4], y=arrays[5], seed=3, effort=SHORT)
    again = solve(*arrays[:4], 100, 250, x=arrays[4], y=arrays[5], seed=3, effort=SHORT)
    assert (first.labels == again.labels).all()
    stopped = solve(*arrays[:4], 100, 250, control=np.array([1, 0]), effort=SHORT)
    assert_valid(arrays, stopped, 100, 250)


def test_read_only_arrays_and_other_types_are_welcome():
    indptr, indices, borders, loads, x, y = planar(60, 5, thin=0)
    expected = solve(indptr, indices, borders, loads, 100, 250, x=x, y=y, effort=SHORT)
    for array in (indptr, indices, borders, loads):
        array.flags.writeable = False
    found = solve(
        indptr, indices.astype(np.int32), borders, loads, 100, 250, x=x, y=y, effort=SHORT
    )
    assert (found.labels == expected.labels).all()


def test_bounds_must_fit_the_loads():
    arrays = oracles.to_arrays(2, [(0, 1, 5)])
    with pytest.raises(ValueError, match="2 columns of loads need as many bounds"):
        solve(*arrays, np.ones((2, 2), int), 1, 2)


def test_the_band_must_be_one():
    with pytest.raises(ValueError, match="1 <= low <= high, got 300 and 200"):
        solve(*oracles.to_arrays(2, [(0, 1, 5)]), np.array([1, 1]), 300, 200)


def test_loads_too_large_to_be_weighed_are_refused():
    arrays, loads = planar(60, 1, thin=0)[:3], np.full(60, 20)
    most = MOST_LOAD // int(loads.sum())
    found = solve(*arrays, loads * most, 200 * most, 500 * most, effort="fast")
    assert not any(found.reasons)
    for columns in (loads * (most + 1), np.column_stack([loads, loads * (most + 1)])):
        bounds = [(200, 500 * most)] * (columns.size // 60)
        with pytest.raises(ValueError, match="count in larger units"):
            solve(*arrays, columns, *zip(*bounds, strict=True), effort="fast")
