"""Back into the band with few households moved: small cases against every possible division."""

from __future__ import annotations

import itertools

import networkx as nx
import numpy as np
import pytest

from gridpart.engine.moves import EVICTED, NO_HOME, Moved, Task, least_moves, moves_bound

LOW, HIGH = 20, 50


def task_of(
    graph: nx.Graph, loads: list[int], home: list[int], *, start: list[int] | None = None,
    pinned: tuple[int, ...] = (), exempt: tuple[int, ...] = (), low: int = LOW, high: int = HIGH,
) -> Task:  # fmt: skip
    n = len(loads)
    matrix = nx.to_scipy_sparse_array(graph, nodelist=range(n), format="csr")
    count = max(max(home), *(start or [0])) + 1
    held = np.zeros(n, bool)
    held[list(pinned)] = True
    free = np.zeros(count, bool)
    free[list(exempt)] = True
    return Task(
        matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64),
        np.array(loads, np.int64)[:, None], np.array(home, np.int64),
        np.array(home if start is None else start, np.int64),
        np.array([low]), np.array([high]), held, free, np.zeros((n, 0), np.int64), 0,
    )  # fmt: skip


def is_valid(graph: nx.Graph, loads: np.ndarray, labels: np.ndarray, exempt: set[int]) -> bool:
    for g in set(labels.tolist()) - exempt:
        members = np.flatnonzero(labels == g)
        if not LOW <= loads[members].sum() <= HIGH:
            return False
        if not nx.is_connected(graph.subgraph(members.tolist())):
            return False
    return True


def fewest_moved(graph: nx.Graph, loads: list[int], home: list[int]) -> int | None:
    """Of every division into the old groups and a new one, the fewest households moved."""
    n, groups = len(loads), max(home) + 2
    labels = np.array(list(itertools.product(range(groups), repeat=n)))
    weight, at = np.array(loads), np.array(home)
    sums = np.stack([(labels == g) @ weight for g in range(groups)], axis=1)
    used = np.stack([(labels == g).any(axis=1) for g in range(groups)], axis=1)
    inside = (~used | ((sums >= LOW) & (sums <= HIGH))).all(axis=1)
    labels = labels[inside]
    moved = ((labels != at) & (at >= 0)) @ weight
    for row in np.argsort(moved, kind="stable"):
        if is_valid(graph, weight, labels[row], set()):
            return int(moved[row])
    return None


def shocked(rng: np.random.Generator) -> tuple[nx.Graph, list[int], list[int]]:
    """A small planar graph in connected groups, and loads some of which have changed."""
    nx_, ny = [(3, 2), (4, 2), (2, 4)][rng.integers(3)]
    graph = nx.convert_node_labels_to_integers(nx.grid_2d_graph(nx_, ny), ordering="sorted")
    for a, b in list(graph.edges):
        graph.remove_edge(a, b)
        if rng.random() > 0.12 or not nx.is_connected(graph):
            graph.add_edge(a, b)
    n = graph.number_of_nodes()
    while True:
        loads = rng.integers(4, 20, n)
        seeds = rng.choice(n, 3, replace=False)
        home = np.full(n, -1)
        home[seeds] = range(3)
        while (home < 0).any():
            a, b = list(graph.edges)[rng.integers(graph.number_of_edges())]
            if (home[a] < 0) != (home[b] < 0):
                home[a] = home[b] = max(home[a], home[b])
        if is_valid(graph, loads, home, set()):
            break
    for u in rng.choice(n, rng.integers(1, 3), replace=False):
        loads[u] = max(0, loads[u] + rng.integers(-15, 30))
    return graph, loads.tolist(), home.tolist()


def check(graph: nx.Graph, task: Task, moved: Moved) -> None:
    """What holds of every result, good or bad."""
    loads = task.loads[:, 0]
    away = (task.home != NO_HOME) & (moved.labels != task.home)
    assert moved.households == loads[away].sum()
    assert moved.bound == moves_bound(task)
    wrong = set(moved.outside.tolist())
    for g in set(moved.labels.tolist()) - wrong - {NO_HOME}:
        if g < task.exempt.size and task.exempt[g]:
            continue
        members = np.flatnonzero(moved.labels == g)
        assert nx.is_connected(graph.subgraph(members.tolist()))
        alone = members.size == 1 and loads[members].sum() > task.high[0]
        assert alone or task.low[0] <= loads[members].sum() <= task.high[0]


def test_as_few_as_any_division_moves() -> None:
    rng = np.random.default_rng(20)
    best = feasible = 0
    while feasible < 100:
        graph, loads, home = shocked(rng)
        if max(loads) > HIGH:
            continue
        task = task_of(graph, loads, home)
        moved = least_moves(task)
        check(graph, task, moved)
        exact = fewest_moved(graph, loads, home)
        if exact is None:
            assert moved.outside.size
            continue
        feasible += 1
        assert not moved.outside.size, (loads, home)
        assert moved.bound <= exact <= moved.households
        best += moved.households == exact
    assert best >= 95, f"{best} of 100 move no more than has to be"


def path(loads: list[int], home: list[int], **options: object) -> tuple[nx.Graph, Task]:
    graph = nx.path_graph(len(loads))
    return graph, task_of(graph, loads, home, **options)


def test_what_is_in_order_stays() -> None:
    _, task = path([15, 15, 15, 15], [0, 0, 1, 1])
    moved = least_moves(task)
    assert moved.labels.tolist() == [0, 0, 1, 1]
    assert (moved.households, moved.bound, moved.broken) == (0, 0, 0)


def test_a_group_that_is_too_large_gives() -> None:
    graph, task = path([15, 30, 15, 15, 15], [0, 0, 0, 1, 1])
    moved = least_moves(task)
    check(graph, task, moved)
    assert moved.labels.tolist() == [0, 0, 1, 1, 1]
    assert (moved.households, moved.bound, moved.broken) == (15, 15, 1)


def test_a_group_is_added_where_nobody_can_take() -> None:
    graph, task = path([20, 20, 20, 20], [0, 0, 0, 0])
    moved = least_moves(task)
    check(graph, task, moved)
    assert sorted(np.bincount(moved.labels)) == [2, 2]
    assert (moved.households, moved.bound) == (40, 40)


def test_a_group_ends_where_others_can_take_it() -> None:
    graph, task = path([20, 10, 3, 10, 20], [0, 0, 1, 2, 2])
    moved = least_moves(task)
    check(graph, task, moved)
    assert moved.households == 3
    assert 1 not in moved.labels


def test_pinned_units_and_exempt_groups_stay() -> None:
    _graph, task = path([15, 30, 15, 15, 15], [0, 0, 0, 1, 1], pinned=(2,))
    moved = least_moves(task)
    assert moved.labels[2] == 0
    assert moved.labels[0] != 0  # the other end goes, to a group of its own or outside
    _, task = path([15, 30, 15, 15, 15], [0, 0, 0, 1, 1], exempt=(1,))
    moved = least_moves(task)
    assert moved.labels[3:].tolist() == [1, 1]
    assert 1 not in moved.labels[:3]


def test_a_unit_above_the_band_keeps_the_number_and_is_alone() -> None:
    _graph, task = path([15, 80, 15, 15], [0, 0, 1, 1])
    moved = least_moves(task)
    assert moved.labels[1] == 0
    assert (moved.labels == 0).sum() == 1
    # what was beside it is cut off, and too little for a group of its own
    assert moved.labels[0] in moved.outside


def test_a_broken_group_is_made_whole() -> None:
    graph, task = path([15, 8, 2, 8, 15], [0, 0, 1, 0, 0])
    moved = least_moves(task)
    check(graph, task, moved)
    assert moved.households == 2


def test_new_units_cost_nothing_and_evicted_ones_count() -> None:
    graph, task = path([15, 10, 9, 10, 15], [0, 0, NO_HOME, 1, 1])
    moved = least_moves(task)
    check(graph, task, moved)
    assert (moved.households, moved.bound) == (0, 0)
    assert moved.labels[2] in (0, 1)
    graph, task = path(
        [15, 10, 9, 10, 15], [0, 0, EVICTED, 1, 1], start=[0, 0, NO_HOME, 1, 1]
    )  # fmt: skip
    moved = least_moves(task)
    assert (moved.households, moved.bound) == (9, 9)


def test_an_islet_without_a_load_has_no_group() -> None:
    graph = nx.path_graph(3)
    graph.add_node(3)
    task = task_of(graph, [15, 15, 15, 0], [0, 0, 0, NO_HOME])
    assert least_moves(task).labels.tolist() == [0, 0, 0, NO_HOME]


def test_what_cannot_be_cured_is_left_and_named() -> None:
    _graph, task = path([15, 3], [0, 0])
    moved = least_moves(task)
    assert moved.outside.tolist() == [0]
    assert moved.labels.tolist() == [0, 0]


@pytest.mark.parametrize("seed", range(3))
def test_many_shocks_at_once(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = nx.convert_node_labels_to_integers(nx.grid_2d_graph(12, 12), ordering="sorted")
    home = np.unique([4 * (u // 12 // 3) + (u % 12) // 4 for u in graph.nodes], return_inverse=True)
    loads = rng.integers(1, 5, 144)
    sums = np.bincount(home[1], loads)
    loads[rng.choice(144, 12, replace=False)] += 8
    task = task_of(
        graph, loads.tolist(), home[1].tolist(), low=int(sums.min()) - 2, high=int(sums.max()) + 6
    )
    moved = least_moves(task)
    check(graph, task, moved)
    assert moved.bound <= moved.households <= 3 * max(moved.bound, 10)
