"""Spread loads as evenly as possible: the arithmetic under :mod:`gridpart.staffing.assign`.

Two classic problems, in integers:

* more workers than places: *apportionment*, solved exactly by :func:`apportion`;
* more places than workers: *minimum makespan*, solved by :func:`pack` exactly where it is small
  and with a stated lower bound where it is large.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

__all__ = ["ANY", "Packing", "apportion", "pack", "shared_loads"]

IntArray = npt.NDArray[np.int64]

ANY = -1  # the group of a worker who may serve every group

# Search effort is counted, never timed: the same input gives the same answer on every machine.
NODES_PER_CAP = 6_000
EXCHANGES = 2_000
LARGEST_EXACT = 150


def shared_loads(sets: Sequence[Sequence[int]], loads: Sequence[int]) -> list[float]:
    """Load of everybody who has a set of places: a place is shared equally by those who have it.

    Examples
    --------
    >>> shared_loads([(0, 1), (1,), ()], [100, 60])
    [130.0, 30.0, 0.0]
    """
    holders = Counter(place for places in sets for place in places)
    return [sum((loads[place] / holders[place] for place in places), 0.0) for places in sets]


def apportion(weights: Sequence[int], counts: IntArray, extra: int) -> IntArray:
    """Give `extra` more workers to places so that the worst weight per worker is smallest.

    Each worker goes where the weight per worker is largest at that moment.

    Parameters
    ----------
    weights : sequence of int, length n
        Households of each place.
    counts : ndarray of int64, shape (n,)
        Workers that each place has already; at least one everywhere if `extra` is positive.
    extra : int
        Workers to give.

    Returns
    -------
    ndarray of int64, shape (n,)
        Workers at each place. `counts` is not changed.

    Notes
    -----
    The greedy rule is exact. Let T be the worst ratio of any other way to give the same number,
    and suppose that greedy ends with a ratio above T at place *i*. Greedy then has fewer workers
    at *i* than the other way has, and so more at some place *j*. When greedy gave *j* the worker
    that exceeds the other's number, *j* had at most the other's number and so a ratio of at most
    T, while *i*, whose ratio never rises, had more than T: greedy would have chosen *i*. This is
    the minimax apportionment of Ibaraki and Katoh, *Resource Allocation Problems*, 1988.

    Examples
    --------
    >>> apportion([300, 900], np.array([1, 1]), 2).tolist()
    [1, 3]
    """
    counts = counts.copy()
    if extra <= 0 or len(weights) == 0:
        return counts
    heap = [(-weight / int(counts[i]), i) for i, weight in enumerate(weights)]
    heapq.heapify(heap)
    for _ in range(extra):
        i = heap[0][1]
        counts[i] += 1
        heapq.heapreplace(heap, (-weights[i] / int(counts[i]), i))
    return counts


@dataclass(frozen=True)
class Packing:
    """Who holds which item: `holder` (worker of each item), `worst` load, and a lower bound."""

    holder: list[int]
    worst: int
    lower_bound: int


@dataclass
class _Problem:
    """Items to hand out to workers; workers of group ANY take items of every group."""

    weights: list[int]
    groups: list[int]
    start: list[int]
    homes: list[int]
    order: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.order = sorted(range(len(self.weights)), key=lambda i: (-self.weights[i], i))

    def loads(self, holder: Sequence[int]) -> list[int]:
        loads = list(self.start)
        for item, worker in enumerate(holder):
            loads[worker] += self.weights[item]
        return loads

    def worst(self, holder: Sequence[int]) -> int:
        return max(self.loads(holder))


def pack(
    weights: Sequence[int],
    groups: Sequence[int],
    start: Sequence[int],
    homes: Sequence[int],
) -> Packing:
    """Hand every item to one worker so that the heaviest load is as small as possible.

    Parameters
    ----------
    weights : sequence of int, length n
        Load of each item, not negative.
    groups : sequence of int, length n
        Group of each item.
    start : sequence of int, length m
        Load that each worker has before.
    homes : sequence of int, length m
        The only group that a worker serves, or :data:`ANY`. Every group of an item must have a
        worker.

    Returns
    -------
    Packing
        `worst` equals `lower_bound` where the result is proven to be optimal.

    Notes
    -----
    Longest item first (Graham, 1969, at most 4/3 of the optimum), and best fit inside a cap found
    by bisection (MULTIFIT: Coffman, Garey and Johnson, 1978); exchanges between workers; then, up
    to 150 items, a depth-first search that either finds a smaller cap or proves that
    there is none, within a fixed number of nodes.

    Examples
    --------
    >>> found = pack([7, 6, 5, 4, 3], [0] * 5, [0, 0], [ANY, ANY])
    >>> found.worst, found.lower_bound
    (13, 13)
    """
    problem = _Problem(list(weights), list(groups), list(start), list(homes))
    lower = _lower_bound(problem)
    holder = _longest_first(problem)
    if problem.worst(holder) > lower:
        holder = _multifit(problem, holder, lower)
    holder = _exchange(problem, holder)
    if len(problem.weights) <= LARGEST_EXACT:
        holder, lower = _prove(problem, holder, lower)
    return Packing(holder, problem.worst(holder), lower)


def _eligible(problem: _Problem) -> dict[int, list[int]]:
    """Workers of each group of items, the rovers included, in order."""
    return {
        group: [k for k, home in enumerate(problem.homes) if home in (group, ANY)]
        for group in set(problem.groups)
    }


def _lower_bound(problem: _Problem) -> int:
    """No assignment has a heaviest load below this.

    Three arguments: an item must go to somebody; somebody must hold several
    (:func:`_by_counting`); and what the workers of the groups cannot hold under a cap, the rovers
    must.
    """
    rovers = [k for k, home in enumerate(problem.homes) if home == ANY]
    items_of: dict[int, list[int]] = {}
    for weight, group in zip(problem.weights, problem.groups, strict=True):
        items_of.setdefault(group, []).append(weight)
    start_of: dict[int, list[int]] = {}
    for load, home in zip(problem.start, problem.homes, strict=True):
        start_of.setdefault(home, []).append(load)
    bound = max(problem.start)
    bound = max(bound, _by_counting(problem.weights + problem.start, len(problem.start)))
    least_roving = min(start_of.get(ANY, []), default=None)
    per_group: list[tuple[int, int]] = []
    for group, items in items_of.items():
        own = start_of.get(group, [])
        least = min(own if least_roving is None else [*own, least_roving])
        bound = max(bound, max(items) + least, _by_counting(items + own, len(own) + len(rovers)))
        per_group.append((sum(items) + sum(own), len(own)))
    roving = sum(problem.start[k] for k in rovers)

    def held(cap: int) -> bool:
        over = sum(max(0, load - cap * workers) for load, workers in per_group)
        return over + roving <= cap * len(rovers)

    low, high = bound, sum(problem.weights) + sum(problem.start)
    while low < high:
        middle = (low + high) // 2
        if held(middle):
            high = middle
        else:
            low = middle + 1
    return low


def _by_counting(items: list[int], workers: int) -> int:
    """Bound from how many items somebody must hold, for workers who are all alike.

    Of the km + 1 heaviest items one of m workers holds k + 1. Of the t heaviest, up to 2m, either
    somebody holds three, or nobody more than two: then it is best to pair the lightest with the
    heaviest of the 2(t - m) that must be paired.
    """
    best = 0
    if len(items) <= workers:
        return best
    heavy = np.sort(np.array(items, np.int64))[::-1]
    for k in range(1, (len(items) - 1) // workers + 1):
        last = k * workers + 1
        best = max(best, int(heavy[last - k - 1 : last].sum()))
    for t in range(max(workers + 1, 3), min(len(items), 2 * workers) + 1):
        paired = heavy[2 * workers - t : t]
        folded = int((paired + paired[::-1]).max())
        best = max(best, min(folded, int(heavy[t - 3 : t].sum())))
    return best


def _longest_first(problem: _Problem) -> list[int]:
    """Graham's rule: heaviest item first, each to the least loaded worker who may take it."""
    heaps: dict[int, list[tuple[int, int, int]]] = {}
    for worker, (home, load) in enumerate(zip(problem.homes, problem.start, strict=True)):
        heaps.setdefault(home, []).append((load, 0, worker))
    for heap in heaps.values():
        heapq.heapify(heap)
    holder = [0] * len(problem.weights)
    for item in problem.order:
        choices = [heaps[g] for g in (problem.groups[item], ANY) if heaps.get(g)]
        heap = min(choices, key=lambda heap: heap[0])
        load, n_items, worker = heap[0]
        heapq.heapreplace(heap, (load + problem.weights[item], n_items + 1, worker))
        holder[item] = worker
    return holder


def _best_fit(problem: _Problem, cap: int) -> list[int] | None:
    """Heaviest item first, each where it leaves the least room under `cap`."""
    rooms: dict[int, list[tuple[int, int]]] = {}
    for worker, (home, load) in enumerate(zip(problem.homes, problem.start, strict=True)):
        rooms.setdefault(home, []).append((cap - load, worker))
    for room in rooms.values():
        room.sort()
    holder = [0] * len(problem.weights)
    for item in problem.order:
        weight = problem.weights[item]
        fits = []
        for group in (problem.groups[item], ANY):
            room = rooms.get(group, [])
            at = bisect_left(room, (weight, -1))
            if at < len(room):
                fits.append((room[at], group, at))
        if not fits:
            return None
        (left, worker), group, at = min(fits, key=lambda fit: fit[0])
        del rooms[group][at]
        insort(rooms[group], (left - weight, worker))
        holder[item] = worker
    return holder


def _multifit(problem: _Problem, holder: list[int], lower: int) -> list[int]:
    low, high = lower, problem.worst(holder)
    while low < high:
        cap = (low + high) // 2
        found = _best_fit(problem, cap)
        if found is None:
            low = cap + 1
        else:
            holder, high = found, cap
    return holder


def _exchange(problem: _Problem, holder: list[int]) -> list[int]:
    """Lower the heaviest loads, then the spread, by handing over or swapping single items.

    Every exchange makes the sum of squared loads smaller and the heavier of its two workers
    lighter, so the worst load never rises and the loop ends.
    """
    weights = np.array(problem.weights, np.int64)
    groups = np.array(problem.groups, np.int64)
    homes = np.array(problem.homes, np.int64)
    holders = np.array(holder, np.int64)
    loads = np.array(problem.loads(holder), np.int64)
    stuck = np.zeros(len(loads), bool)
    for _ in range(EXCHANGES):
        worker = int(np.argmax(np.where(stuck, -1, loads)))
        if stuck[worker]:
            break
        move = _best_exchange(worker, weights, groups, homes, holders, loads)
        if move is None:
            stuck[worker] = True
            continue
        item, other, back = move
        if back >= 0:
            holders[back] = worker
        holders[item] = other
        change = weights[item] - (weights[back] if back >= 0 else 0)
        loads[worker] -= change
        loads[other] += change
        stuck[:] = False
    return holders.tolist()


def _best_exchange(
    worker: int,
    weights: IntArray,
    groups: IntArray,
    homes: IntArray,
    holders: IntArray,
    loads: IntArray,
) -> tuple[int, int, int] | None:
    """Item, other worker and item back (or -1) that lower the squared loads most."""
    excess = loads[worker] - loads
    best, best_gain = None, 0
    may_return = (homes[worker] == ANY) | (groups == homes[worker])
    for item in np.flatnonzero(holders == worker):
        takers = (homes == ANY) | (homes == groups[item])
        gain = np.where(takers, weights[item] * (excess - weights[item]), 0)
        other = int(np.argmax(gain))
        if gain[other] > best_gain:
            best, best_gain = (int(item), other, -1), int(gain[other])
        change = weights[item] - weights
        allowed = takers[holders] & may_return & (change > 0)
        gain = np.where(allowed, change * (excess[holders] - change), 0)
        back = int(np.argmax(gain))
        if gain[back] > best_gain:
            best, best_gain = (int(item), int(holders[back]), back), int(gain[back])
    return best


def _prove(problem: _Problem, holder: list[int], lower: int) -> tuple[list[int], int]:
    """Bisect between the bound and the best known load; each answer is found, proven or open."""
    worst = problem.worst(holder)
    search = lower
    while search < worst:
        cap = (search + worst - 1) // 2
        attempt = _Search(problem, cap)
        found = attempt.run()
        if found is not None:
            holder = _exchange(problem, found)
            worst = problem.worst(holder)
        else:
            search = cap + 1
            if attempt.complete:
                lower = search
    return holder, lower


class _Search:
    """Depth-first search for an assignment under a cap, heaviest item first.

    Workers with the same home and the same room left are tried once, and a state seen before is
    not entered again.
    """

    def __init__(self, problem: _Problem, cap: int) -> None:
        self.problem = problem
        self.room = [cap - load for load in problem.start]
        self.holder = [0] * len(problem.weights)
        self.nodes = NODES_PER_CAP
        self.complete = True
        self.seen: set[tuple[int, tuple[tuple[int, int], ...]]] = set()
        self.workers = _eligible(problem)
        self.lightest = min(problem.weights)
        self.total = sum(problem.weights)

    def run(self) -> list[int] | None:
        if min(self.room) < 0:
            return None
        return list(self.holder) if self._place(0, self.total) else None

    def _place(self, depth: int, left: int) -> bool:
        if depth == len(self.problem.order):
            return True
        # Room too small for the lightest item is lost.
        if sum(room for room in self.room if room >= self.lightest) < left:
            return False
        state = (depth, tuple(sorted(zip(self.problem.homes, self.room, strict=True))))
        if state in self.seen:
            return False
        self.nodes -= 1
        if self.nodes < 0:
            self.complete = False
            return False
        self.seen.add(state)
        item = self.problem.order[depth]
        weight = self.problem.weights[item]
        for worker in self._choices(item, weight):
            self.room[worker] -= weight
            self.holder[item] = worker
            if self._place(depth + 1, left - weight):
                return True
            self.room[worker] += weight
            if self.nodes < 0:
                return False
        return False

    def _choices(self, item: int, weight: int) -> list[int]:
        """Workers with room, tightest first, one of each kind."""
        kinds: dict[tuple[int, int], int] = {}
        for worker in self.workers[self.problem.groups[item]]:
            room = self.room[worker]
            if room >= weight:
                kinds.setdefault((room, self.problem.homes[worker]), worker)
        return [kinds[kind] for kind in sorted(kinds)]
