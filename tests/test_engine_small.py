"""Small graphs of many kinds against brute force, and larger ones with a plan planted in them."""

from __future__ import annotations

from functools import lru_cache

import networkx as nx
import numpy as np
import oracles
import pytest
from scipy.spatial import Delaunay

from gridpart.engine import Effort, solve

SHORT = Effort(sweeps=200, starts=1, restarts=3)
# A claim of these reasons is about a connected part as a whole.
OF_THE_PART = {"component_below_band", "no_count_fits", "pocket", "proven_by_search"}
KINDS = ("triangles", "tree", "path", "lattice", "star", "caterpillar", "ring", "parts")
CONNECTED = KINDS[:-1]
SEEDS = range(64)  # times 8 kinds: 512 graphs
FEW = range(20)  # where a test solves much that is impossible, which takes longer


# ---------------------------------------------------------------- graphs


def triangles(n: int, rng: np.random.Generator, thin: float) -> nx.Graph:
    """A Delaunay triangulation that has lost edges, but no unit."""
    graph = nx.Graph()
    for a, b, c in Delaunay(rng.random((n, 2))).simplices.tolist():
        graph.add_edges_from([(a, b), (b, c), (a, c)])
    for edge in sorted(graph.edges):
        if rng.random() < thin:
            graph.remove_edge(*edge)
            if not nx.has_path(graph, *edge):
                graph.add_edge(*edge)
    return graph


def caterpillar(n: int, rng: np.random.Generator) -> nx.Graph:
    spine = n // 2
    graph = nx.path_graph(spine)
    graph.add_edges_from((u, int(rng.integers(spine))) for u in range(spine, n))
    return graph


def lattice(n: int, rng: np.random.Generator) -> nx.Graph:
    rows = max(int(np.sqrt(n)) - int(rng.integers(2)), 2)
    return nx.convert_node_labels_to_integers(nx.grid_2d_graph(rows, max(n // rows, 2)))


def tree(n: int, rng: np.random.Generator) -> nx.Graph:
    graph = nx.empty_graph(n)
    graph.add_edges_from((u, int(rng.integers(u))) for u in range(1, n))
    return graph


def build(kind: str, n: int, rng: np.random.Generator) -> nx.Graph:
    """A graph of a kind, its units in random order, with borders."""
    match kind:
        case "triangles":
            graph = triangles(n, rng, thin=rng.choice([0.0, 0.2, 0.5]))
        case "tree":
            graph = tree(n, rng)
        case "path":
            graph = nx.path_graph(n)
        case "lattice":
            graph = lattice(n, rng)
        case "star":
            graph = nx.star_graph(n - 1)
        case "caterpillar":
            graph = caterpillar(n, rng)
        case "ring":
            graph = nx.cycle_graph(n)
        case _:
            graph = nx.disjoint_union(nx.path_graph(n // 2), nx.cycle_graph(n - n // 2))
    n = len(graph)
    order = rng.permutation(n).tolist()
    shuffled = nx.empty_graph(n)
    alike = rng.random() < 0.3
    for u, v in sorted(map(sorted, graph.edges)):
        border = 1 if alike else int(rng.integers(1, 100_000))
        shuffled.add_edge(order[u], order[v], border=border)
    return shuffled


def draw_loads(n: int, rng: np.random.Generator) -> np.ndarray:
    """Alike, a few small numbers, even, or with a heavy tail; some of them zero."""
    loads = [
        np.full(n, 7),
        rng.integers(1, 4, n),
        rng.integers(1, 60, n),
        np.ceil(rng.lognormal(2.5, 1.2, n)),
    ][rng.integers(4)].astype(np.int64)
    loads[rng.random(n) < rng.choice([0, 0.15, 0.4])] = 0
    return loads


def draw_band(loads: np.ndarray, rng: np.random.Generator) -> tuple[int, int]:
    """A band around an equal share, from one number to three times as much as the least."""
    share = max(loads.sum() / rng.integers(1, max(loads.size // 2, 2) + 1), 1)
    width = rng.choice([0, 0.02, 0.1, 0.25, 0.5])
    low = max(int(share * (1 - width)), 1)
    return low, max(int(share * (1 + width)), low)


def to_arrays(graph: nx.Graph):
    return oracles.to_arrays(len(graph), graph.edges(data="border"))


@lru_cache
def cases(kind: str):
    """Every small graph of a kind, with loads, a band, and what brute force says of its parts.

    What the parts are, and the shortest cuts by number of groups of each, is worked out without
    the units above the band, which nobody can put into a group; a part without load is none.
    """
    found = []
    for seed in SEEDS:
        rng = np.random.default_rng([KINDS.index(kind), seed])
        graph = build(kind, int(rng.integers(4, 12)), rng)
        loads = draw_loads(len(graph), rng)
        low, high = draw_band(loads, rng)
        rest = graph.subgraph(np.flatnonzero(loads <= high).tolist())
        parts = {}
        for part in nx.connected_components(rest):
            units = sorted(part)
            if loads[units].any():
                own = nx.convert_node_labels_to_integers(graph.subgraph(units), ordering="sorted")
                parts[tuple(units)] = oracles.least_cuts(own, loads[units], low, high)
        found.append((seed, graph, loads, low, high, parts))
    return found


def assert_connected(graph: nx.Graph, solution) -> None:
    for g in range(solution.n_groups):
        members = np.flatnonzero(solution.labels == g).tolist()
        assert nx.is_connected(graph.subgraph(members))


# ---------------------------------------------------------------- small graphs


def test_the_oracle_against_every_set_partition():
    for seed in range(12):
        rng = np.random.default_rng(seed)
        graph = build(KINDS[seed % len(KINDS)], int(rng.integers(4, 8)), rng)
        n = len(graph)
        loads = np.column_stack([rng.integers(0, 20, n), rng.integers(0, 9, n)])
        low, high = np.array([10, 1]), np.array([45, 20])
        cuts: dict[int, int] = {}
        for labels in oracles.set_partitions(n):
            of = np.array(labels)
            groups = [np.flatnonzero(of == g).tolist() for g in range(of.max() + 1)]
            sums = np.array([loads[group].sum(axis=0) for group in groups])
            if not ((sums >= low) & (sums <= high)).all():
                continue
            if all(nx.is_connected(graph.subgraph(group)) for group in groups):
                cut = oracles.cut(graph, of)
                cuts[len(groups)] = min(cut, cuts.get(len(groups), cut))
        assert oracles.least_cuts(graph, loads, low, high) == cuts


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_possible_is_found_and_the_rest_is_proven(kind):
    for seed, graph, loads, low, high, parts in cases(kind):
        solution = solve(*to_arrays(graph), loads, low, high, effort=SHORT)
        assert_connected(graph, solution)
        labels, reasons = solution.labels, solution.reasons
        inside = (solution.group_load >= low) & (solution.group_load <= high)
        assert [not reason for reason in reasons] == inside.tolist(), seed
        assert all(p for p, reason in zip(solution.proven, reasons, strict=True) if reason), seed
        for u in np.flatnonzero(loads > high):
            assert reasons[labels[u]] == "unit_above_band", seed
        assert reasons.count("unit_above_band") == (loads > high).sum(), seed
        for units, cuts in parts.items():
            of = labels[list(units)]
            assert (of >= 0).all(), seed
            why = {reasons[g] for g in of} - {""}
            # every claim is about the part, and brute force says the same
            assert bool(why) == (not cuts), (seed, why, cuts)
            assert why <= OF_THE_PART, seed
            total = loads[list(units)].sum()
            if "component_below_band" in why:
                assert total < low, seed
            if "no_count_fits" in why:
                assert all(not m * low <= total <= m * high for m in range(1, total + 1)), seed


@pytest.mark.parametrize("kind", KINDS)
def test_borders_are_the_shortest(kind):
    for seed, graph, loads, low, high, parts in cases(kind):
        if not all(parts.values()):
            continue
        solution = solve(*to_arrays(graph), loads, low, high, balance=0, effort=SHORT)
        for units, cuts in parts.items():
            labels = dict(zip(units, solution.labels[list(units)].tolist(), strict=True))
            own = oracles.cut(graph.subgraph(units), labels)
            assert own == cuts[len(set(labels.values()))], seed


def whole(kind: str):
    """Cases that are one part without a unit above the band."""
    for seed, graph, loads, low, high, parts in cases(kind):
        if len(parts) == 1 and sum(map(len, parts)) == len(graph):
            (cuts,) = parts.values()
            yield seed, graph, loads, low, high, cuts


@pytest.mark.parametrize("kind", CONNECTED)
def test_a_number_of_groups_is_kept_where_it_is_possible(kind):
    for seed, graph, loads, low, high, cuts in whole(kind):
        if loads.sum() < low or seed not in FEW:
            continue  # below the band there is one group, whatever the number
        for wanted in range(1, min(int(loads.sum()) // low + 1, len(graph)) + 1):
            solution = solve(
                *to_arrays(graph), loads, low, high, n_groups=wanted, balance=0, effort=SHORT
            )
            assert_connected(graph, solution)
            assert solution.n_groups == wanted, (seed, wanted)
            assert (not any(solution.reasons)) == (wanted in cuts), (seed, wanted)
            assert all(p for p, r in zip(solution.proven, solution.reasons, strict=True) if r)


@pytest.mark.parametrize("kind", CONNECTED)
def test_what_would_cure_it_does_and_nothing_less(kind):
    for seed, graph, loads, low, high, cuts in whole(kind):
        if cuts or not loads.any() or seed not in FEW:
            continue
        solution = solve(*to_arrays(graph), loads, low, high, effort=SHORT)
        named = zip(solution.reasons, solution.relaxations, strict=True)
        cures = [{cure.bound: cure for cure in of} for reason, of in named if reason]
        is_one_piece = len(set(solution.pieces.tolist())) == 1
        for bound, pick in (("low", min), ("high", max)):
            if not all(bound in of for of in cures):
                continue
            # where a pocket was cut off, each piece has its own: all of them together do
            value = pick(of[bound].value for of in cures)
            assert is_possible(graph, loads, low, high, bound, value), (seed, bound, value)
            if is_one_piece and all(of[bound].exact for of in cures):
                less = value + 1 if bound == "low" else value - 1
                assert not is_possible(graph, loads, low, high, bound, less), (seed, bound, value)


def is_possible(graph, loads, low, high, bound, value) -> bool:
    low, high = (value, high) if bound == "low" else (low, value)
    return bool(oracles.least_cuts(graph, loads, low, high))


@pytest.mark.parametrize("kind", CONNECTED)
def test_borders_are_the_shortest_for_a_number_of_groups(kind):
    for seed, graph, loads, low, high, cuts in whole(kind):
        for wanted, cut in cuts.items():
            solution = solve(
                *to_arrays(graph), loads, low, high, n_groups=wanted, balance=0, effort=SHORT
            )
            assert (solution.n_groups, solution.cut) == (wanted, cut), seed


def test_a_number_of_groups_is_shared_so_that_it_is_possible():
    for seed, graph, loads, low, high, parts in cases("parts"):
        if (loads > high).any() or not all(parts.values()):
            continue
        possible = {0}
        for cuts in parts.values():
            possible = {total + own for total in possible for own in cuts}
        for wanted in sorted(possible - {0}):
            solution = solve(*to_arrays(graph), loads, low, high, n_groups=wanted, effort=SHORT)
            assert solution.n_groups == wanted, (seed, wanted)
            assert not any(solution.reasons), (seed, wanted)


def test_a_number_of_groups_is_shared_by_what_parts_can_be():
    # two and two groups of one unit each; shared by load alone, two units would be three groups
    arrays = oracles.to_arrays(4, [(0, 1, 1), (2, 3, 1)])
    solution = solve(*arrays, np.array([1, 1, 3, 2]), 1, 5, n_groups=4, effort=SHORT)
    assert solution.labels.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("kind", CONNECTED)
def test_fewest_and_most_are(kind):
    for seed, graph, loads, low, high, cuts in whole(kind):
        if cuts:
            arrays = to_arrays(graph)
            fewest = solve(*arrays, loads, low, high, n_groups="fewest", effort=SHORT)
            most = solve(*arrays, loads, low, high, n_groups="most", effort=SHORT)
            assert (fewest.n_groups, most.n_groups) == (min(cuts), max(cuts)), seed


@pytest.mark.parametrize("kind", CONNECTED)
def test_two_bounded_quantities(kind):
    for seed, graph, loads, low, high, _ in whole(kind):
        if seed not in FEW:
            continue
        rng = np.random.default_rng(seed)
        area = rng.integers(0, 20, loads.size)
        most = max(int(area.max()), int(area.sum() * rng.choice([0.3, 0.5, 0.8])))
        least = int(most * rng.choice([0, 0, 0.3]))
        both, lows, highs = np.column_stack([loads, area]), [low, least], [high, most]
        cuts = oracles.least_cuts(graph, both, np.array(lows), np.array(highs))
        solution = solve(*to_arrays(graph), both, lows, highs, effort=SHORT)
        assert_connected(graph, solution)
        sums = np.zeros((solution.n_groups, 2), np.int64)
        np.add.at(sums, solution.labels, both)
        inside = ((sums >= lows) & (sums <= highs)).all(axis=1)
        assert [not reason for reason in solution.reasons] == inside.tolist(), seed
        assert inside.all() == bool(cuts), (seed, solution.reasons, cuts)
        # beside a proof that holds for the part, a group may honestly be `not_found`
        assert any(solution.proven) == (not cuts), seed


# ---------------------------------------------------------------- planted plans

HOUSEHOLDS = 350


def plant(graph: nx.Graph, k: int, rng: np.random.Generator) -> np.ndarray:
    """Labels of k connected groups: always the smallest that still can grow takes a unit."""
    labels = np.full(len(graph), -1)
    labels[rng.permutation(len(graph))[:k]] = np.arange(k)
    growing = set(range(k))
    while (labels < 0).any():
        size = np.bincount(labels[labels >= 0], minlength=k)
        g = min(growing, key=lambda g: (size[g], g))
        own = np.flatnonzero(labels == g).tolist()
        near = sorted({v for u in own for v in graph[u] if labels[v] < 0})
        if near:
            labels[near[int(rng.integers(len(near)))]] = g
        else:
            growing.remove(g)
    return labels


def planted(kind: str, n: int, per_cent: int, seed: int):
    """A graph whose loads allow a plan in a band of HOUSEHOLDS and so many per cent around it."""
    rng = np.random.default_rng([KINDS.index(kind), n, per_cent, seed])
    graph = build(kind, n, rng)
    n = len(graph)
    labels = plant(graph, max(n // 10, 2), rng)
    low = -(-HOUSEHOLDS * (100 - per_cent) // 100)
    high = HOUSEHOLDS * (100 + per_cent) // 100
    weight = np.where(rng.random(n) < 0.1, 0, rng.lognormal(2.5, 0.9, n) + 1)
    loads = np.zeros(n, np.int64)
    for g in range(labels.max() + 1):
        own = np.flatnonzero(labels == g)
        share = weight[own] + 1e-3
        loads[own] = share / share.sum() * rng.integers(low, high + 1)
        loads[own[0]] += max(low - loads[own].sum(), 0)  # what rounding down has lost
    sums = np.bincount(labels, loads)
    assert ((sums >= low) & (sums <= high)).all()
    return graph, loads, low, high


NARROW = [
    (kind, n, p)
    for kind in ("path", "tree", "caterpillar", "ring")
    for n, p in ((60, 0), (60, 2), (400, 0), (400, 1), (400, 5))
]
WIDER = [
    (kind, n, p)
    for kind in ("triangles", "lattice")
    for n, p in ((30, 1), (30, 5), (100, 5), (400, 10))
]


@pytest.mark.parametrize(("kind", "n", "per_cent"), NARROW + WIDER)
def test_a_planted_plan_is_found(kind, n, per_cent):
    for seed in range(3):
        graph, loads, low, high = planted(kind, n, per_cent, seed)
        # the longer efforts take seconds: one of each
        efforts = ["fast"] if seed else ["fast", "default"]
        if (n, per_cent, seed) == (30, 1, 0):
            efforts.append("best")
        for effort in efforts:
            solution = solve(*to_arrays(graph), loads, low, high, effort=effort)
            assert_connected(graph, solution)
            assert not any(solution.reasons), (seed, effort, solution)
