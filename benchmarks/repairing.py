"""How fast the engine brings a damaged plan of a large town back into the band.

    python benchmarks/repairing.py [--units 100000] [--violations 1000] [--seeds 101 102 103]

A good plan is damaged: units on borders, chosen at random, change to a neighbouring group, all
groups staying connected, until so many groups lie outside the band. What the engine does to a
plan at the end of a run brings it back: a quench under a high penalty, repair of what is left, and
a polish that keeps the band. Repair is also timed alone. The bar: none left within 2 seconds.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import measure
import numpy as np
import towns
from measure import HIGH, LOW, TARGET, Graph, Ints, Place
from porto import show

from gridpart.engine import kernels, run, solve, warm_up
from gridpart.engine.part import Bounds, Part

BAR_S = 2.0
NONE = np.zeros(0, np.int64)


@dataclass(frozen=True)
class Outcome:
    """What bringing one plan back took: seconds on the clock and of the processor."""

    groups: int
    outside: int
    broken: int
    cut_km: float
    seconds: float
    cpu: float


def damaged(graph: Graph, labels: Ints, violations: int, seed: int) -> tuple[Ints, int]:
    """The plan after random moves that leave `violations` groups outside; how many moves."""
    generator = np.random.default_rng(seed)
    labels = labels.copy()
    load = np.bincount(labels, graph.loads).astype(np.int64)
    size = np.bincount(labels)
    outside = int(((load < LOW) | (load > HIGH)).sum())
    moves = 0
    while outside < violations:
        for u in generator.integers(len(graph), size=10_000).tolist():
            near = graph.indices[graph.indptr[u] : graph.indptr[u + 1]]
            target, own = int(labels[near[generator.integers(near.size)]]), int(labels[u])
            if target == own or size[own] == 1 or not stays_connected(graph, labels, u):
                continue
            changed = [own, target]
            before = ((load[changed] < LOW) | (load[changed] > HIGH)).sum()
            labels[u] = target
            size[changed] += [-1, 1]
            load[changed] += np.array([-1, 1]) * graph.loads[u]
            outside += int(((load[changed] < LOW) | (load[changed] > HIGH)).sum() - before)
            moves += 1
            if outside >= violations:
                break
    return labels, moves


def stays_connected(graph: Graph, labels: Ints, unit: int) -> bool:
    """Whether the group of a unit holds together without it, by a search."""

    def inside(u: int) -> list[int]:
        near = graph.indices[graph.indptr[u] : graph.indptr[u + 1]]
        return near[labels[near] == labels[unit]].tolist()

    missing = set(inside(unit))
    if not missing:
        return False  # it is all of its group
    stack = [missing.pop()]
    seen = {unit, *stack}
    while stack and missing:
        for v in inside(stack.pop()):
            if v not in seen:
                seen.add(v)
                missing.discard(v)
                stack.append(v)
    return not missing


def part_of(graph: Graph) -> Part:
    nothing = np.zeros((len(graph), 0), np.int64)
    return Part(
        graph.indptr, graph.indices, graph.borders, graph.loads, graph.loads, nothing, nothing,
        graph.x, graph.y,
    )  # fmt: skip


def settle(graph: Graph, labels: Ints, seed: int) -> Ints:
    """Quench, repair and polish, as every run of the engine ends."""
    bounds = Bounds(LOW, HIGH, NONE, NONE)
    wanted = int(labels.max()) + 1
    one = run.Run(part_of(graph), wanted, bounds, 0.5, np.zeros(2, np.int64))
    state = np.array([seed], np.uint64)
    return one.settle(labels.copy(), state, True, one.evenness)[0]


def repair(graph: Graph, labels: Ints, seed: int) -> Ints:
    """Repair alone."""
    labels, state = labels.copy(), np.array([seed], np.uint64)
    nothing = np.zeros((len(graph), 0), np.int64)
    kernels.repair(
        graph.indptr, graph.indices, graph.borders, graph.loads, labels, int(labels.max()) + 1,
        LOW, HIGH, nothing, NONE, NONE, nothing, 0, *run.REPAIR, True, state,
    )  # fmt: skip
    return labels


WAYS: dict[str, Callable[[Graph, Ints, int], Ints]] = {
    "quench, repair, polish": settle,
    "repair alone": repair,
}


def timed(way: Callable[[Graph, Ints, int], Ints], graph: Graph, labels: Ints, seed: int):
    clock, processor = time.perf_counter(), time.process_time()
    found = way(graph, labels, seed)
    seconds, cpu = time.perf_counter() - clock, time.process_time() - processor
    score = measure.score(Place(graph.name, [graph]), [found])
    return Outcome(score.groups, score.outside, score.broken, score.cut_km, seconds, cpu)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--units", type=int, default=100_000)
    parser.add_argument("--violations", type=int, default=1000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[101, 102, 103])
    options = parser.parse_args()

    warm_up()  # compilation is not timed
    rows, taken, left = [], {way: [] for way in WAYS}, 0
    for seed in options.seeds:
        (graph,) = towns.town(options.units, seed).communities
        found = solve(
            graph.indptr, graph.indices, graph.borders, graph.loads, LOW, HIGH, x=graph.x,
            y=graph.y, target=TARGET, seed=seed, effort="fast",
        )  # fmt: skip
        labels, moves = damaged(graph, found.labels, options.violations, seed)
        before = measure.score(Place(graph.name, [graph]), [labels])
        for way, function in WAYS.items():
            after = timed(function, graph, labels, seed)
            taken[way].append(after)
            left += after.outside + after.broken
            rows.append([
                str(seed), way, f"{moves:,}", f"{before.outside:,} of {before.groups:,}",
                f"{after.outside} of {after.groups:,}", f"{after.seconds:.2f}", f"{after.cpu:.2f}",
                f"{found.cut / 1e6:.1f}", f"{before.cut_km:.1f}", f"{after.cut_km:.1f}",
                f"{100 * (after.cut_km / (found.cut / 1e6) - 1):+.2f} %",
            ])  # fmt: skip
    head = ["Seed", "way", "moves", "outside", "left", "seconds", "of processor", "cut before, km",
            "damaged", "brought back", "cost"]  # fmt: skip
    print(show(rows, head))
    slow = False
    for way, outcomes in taken.items():
        seconds = statistics.median(outcome.seconds for outcome in outcomes)
        cpu = statistics.median(outcome.cpu for outcome in outcomes)
        slow |= seconds > BAR_S
        print(f"{way}: median {seconds:.2f} s, of processor {cpu:.2f} s; bar {BAR_S} s, none left")
    sys.exit(bool(left) or slow)


if __name__ == "__main__":
    main()
