"""One plain repair for every peer that leaves groups broken or outside the band.

None of the peers can promise a lower bound, and some lose connection, so each of their plans goes
through the same repair, and its seconds count as theirs:

1. a group in several parts keeps its heaviest part; every other part joins the neighbouring group
   with which it shares the longest border;
2. while a group is outside the band, units on its border move in or out, the move that saves most
   border first, as long as the other group stays connected and in the band;
3. a group that is still outside is merged with a neighbour if the two fit into one; else the two
   are divided anew along random spanning trees, by the feasible division with the shortest
   border; if none is feasible, by one that misses the band by fewer households.

It is compiled, so that no peer is slowed by Python. It shares no code with gridpart.
"""

# ruff: noqa: NPY002 (compiled code has the old generator only; it is seeded)
from __future__ import annotations

import numpy as np
from measure import Graph, Ints
from numba import njit


def repair(graph: Graph, labels: Ints, *, low: int, high: int, seed: int = 0) -> Ints:
    """Return labels with connected groups, in the band where this plain repair can do it."""
    labels = np.unique(np.asarray(labels), return_inverse=True)[1].reshape(-1).astype(np.int64)
    arrays = (graph.indptr, graph.indices, graph.borders, graph.loads)
    _join_fragments(*arrays, labels)
    # divisions may add groups: at most one per `low` households in all
    room = max(int(labels.max()) + 1, graph.total // low + 1) * 2
    load = np.zeros(room, np.int64)
    np.add.at(load, labels, graph.loads)
    start = np.full(room, -1, np.int64)
    start[labels] = np.arange(labels.size)
    _seed(seed)
    _into_band(*arrays, labels, load, start, int(labels.max()) + 1, low, high)
    return np.unique(labels, return_inverse=True)[1].reshape(-1)


@njit(cache=True)
def _seed(seed):
    np.random.seed(seed)


@njit(cache=True)
def _join_fragments(indptr, indices, borders, loads, labels):
    n = labels.size
    while True:
        part = np.full(n, -1, np.int64)
        queue = np.empty(n, np.int64)
        begin = [0]
        weight = [0]
        begin.pop()
        weight.pop()
        tail = 0
        for root in range(n):
            if part[root] >= 0:
                continue
            number = len(begin)
            begin.append(tail)
            part[root] = number
            queue[tail] = root
            head = tail
            tail += 1
            total = 0
            while head < tail:
                u = queue[head]
                head += 1
                total += loads[u]
                for e in range(indptr[u], indptr[u + 1]):
                    v = indices[e]
                    if part[v] < 0 and labels[v] == labels[root]:
                        part[v] = number
                        queue[tail] = v
                        tail += 1
            weight.append(total)
        begin.append(n)
        best = np.full(labels.max() + 1, -1, np.int64)
        for p in range(len(weight)):
            g = labels[queue[begin[p]]]
            if best[g] < 0 or weight[p] > weight[best[g]]:
                best[g] = p
        changed = False
        shared = np.zeros(labels.max() + 1, np.int64)
        for p in range(len(weight)):
            g = labels[queue[begin[p]]]
            if best[g] == p:
                continue
            winner = -1
            for i in range(begin[p], begin[p + 1]):
                u = queue[i]
                for e in range(indptr[u], indptr[u + 1]):
                    h = labels[indices[e]]
                    if h == g:
                        continue
                    shared[h] += borders[e]
                    if winner < 0 or shared[h] > shared[winner]:
                        winner = h
            for i in range(begin[p], begin[p + 1]):
                u = queue[i]
                for e in range(indptr[u], indptr[u + 1]):
                    shared[labels[indices[e]]] = 0
            if winner >= 0:
                changed = True
                for i in range(begin[p], begin[p + 1]):
                    labels[queue[i]] = winner
        if not changed:
            return


@njit(cache=True)
def _miss(load, low, high):
    return max(low - load, load - high, 0)


@njit(cache=True)
def _members(indptr, indices, labels, root, place):
    """Units of root's group, breadth first; place[u] is u's rank among them (others: -1)."""
    found = [root]
    place[root] = 0
    head = 0
    while head < len(found):
        u = found[head]
        head += 1
        for e in range(indptr[u], indptr[u + 1]):
            v = indices[e]
            if place[v] < 0 and labels[v] == labels[root]:
                place[v] = len(found)
                found.append(v)
    return found


@njit(cache=True)
def _clear(found, place):
    for u in found:
        place[u] = -1


@njit(cache=True)
def _can_leave(indptr, indices, labels, u, place):
    """Whether the group of u is connected, and not empty, without u."""
    g = labels[u]
    root = -1
    inside = 0
    for e in range(indptr[u], indptr[u + 1]):
        if labels[indices[e]] == g:
            inside += 1
            root = indices[e]
    if inside <= 1:
        return inside == 1
    labels[u] = -1
    found = _members(indptr, indices, labels, root, place)
    whole = True
    for e in range(indptr[u], indptr[u + 1]):
        v = indices[e]
        if labels[v] == g and place[v] < 0:
            whole = False
    _clear(found, place)
    labels[u] = g
    return whole


@njit(cache=True)
def _gain(indptr, indices, borders, labels, u, to):
    """Border saved by moving u to group `to`."""
    gain = 0
    for e in range(indptr[u], indptr[u + 1]):
        h = labels[indices[e]]
        if h == to:
            gain += borders[e]
        elif h == labels[u]:
            gain -= borders[e]
    return gain


@njit(cache=True)
def _best_move(indptr, indices, borders, loads, labels, load, start, place, g, low, high):
    """The unit to move, and where to, that helps g, hurts none and saves most border."""
    members = _members(indptr, indices, labels, start[g], place)
    _clear(members, place)
    best, unit, goal = np.int64(-(2**62)), -1, -1
    for u in members:
        for e in range(indptr[u], indptr[u + 1]):
            v = indices[e]
            h = labels[v]
            if h == g:
                continue
            if load[g] < low:
                mover, target, taker = v, g, g
            else:
                mover, target, taker = u, h, h
            w = loads[mover]
            if w == 0 or load[taker] + w > high:
                continue
            if load[g] < low and load[h] - w < low and load[h] <= high:
                continue
            if load[g] > high and load[g] - w < low:
                continue
            gain = _gain(indptr, indices, borders, labels, mover, target)
            if gain > best and _can_leave(indptr, indices, labels, mover, place):
                best, unit, goal = gain, mover, target
    return unit, goal


@njit(cache=True)
def _balance(indptr, indices, borders, loads, labels, load, start, place, g, low, high):
    for _ in range(200):
        if load[g] == 0 or _miss(load[g], low, high) == 0:
            return
        u, goal = _best_move(
            indptr, indices, borders, loads, labels, load, start, place, g, low, high
        )
        if u < 0:
            return
        old = labels[u]
        for e in range(indptr[u], indptr[u + 1]):
            if labels[indices[e]] == old:
                start[old] = indices[e]
        labels[u] = goal
        load[old] -= loads[u]
        load[goal] += loads[u]


@njit(cache=True)
def _divide(indptr, indices, borders, loads, members, place, low, high, tries):
    """Best division of `members` in two along random spanning trees.

    Returns the households by which it misses the band, its border, and who is on the far side.
    """
    m = len(members)
    total = 0
    for u in members:
        total += loads[u]
    best_miss, best_cut = np.int64(2**62), np.int64(2**62)
    far = np.zeros(m, np.bool_)
    sums = np.empty(m, np.int64)
    side = np.zeros(m, np.bool_)
    for _ in range(tries):
        parent, order = _random_tree(indptr, indices, members, place)
        for i in range(m):
            sums[i] = loads[members[i]]
        for i in range(m - 1, 0, -1):
            sums[parent[order[i]]] += sums[order[i]]
        for i in range(1, m):
            one = sums[order[i]]
            miss = _miss(one, low, high) + _miss(total - one, low, high)
            if miss > best_miss:
                continue
            side[:] = False
            side[order[i]] = True
            for j in range(i + 1, m):
                side[order[j]] = side[order[j]] or side[parent[order[j]]]
            cut = 0
            for j in range(m):
                if side[j]:
                    u = members[j]
                    for e in range(indptr[u], indptr[u + 1]):
                        at = place[indices[e]]
                        if at >= 0 and not side[at]:
                            cut += borders[e]
            if miss < best_miss or cut < best_cut:
                best_miss, best_cut = miss, cut
                far[:] = side
    return best_miss, best_cut, far


@njit(cache=True)
def _random_tree(indptr, indices, members, place):
    """Random spanning tree by growing along random edges; parents, and an order from the root."""
    m = len(members)
    parent = np.full(m, -1, np.int64)
    seen = np.zeros(m, np.bool_)
    order = np.empty(m, np.int64)
    count = 0
    size = 1
    for u in members:
        size += indptr[u + 1] - indptr[u]
    tail_of = np.empty(size, np.int64)
    head_of = np.empty(size, np.int64)
    tail_of[0] = -1
    head_of[0] = np.random.randint(m)
    waiting = 1
    while waiting:
        at = np.random.randint(waiting)
        u, v = tail_of[at], head_of[at]
        waiting -= 1
        tail_of[at], head_of[at] = tail_of[waiting], head_of[waiting]
        if seen[v]:
            continue
        seen[v] = True
        parent[v] = u
        order[count] = v
        count += 1
        unit = members[v]
        for e in range(indptr[unit], indptr[unit + 1]):
            w = place[indices[e]]
            if w >= 0 and not seen[w]:
                tail_of[waiting], head_of[waiting] = v, w
                waiting += 1
    return parent, order


@njit(cache=True)
def _remake(indptr, indices, borders, loads, labels, load, start, place, g, groups, low, high):
    """Merge g with a neighbour, or divide it anew, alone or with one; the new number of groups."""
    before = _miss(load[g], low, high)
    own = _members(indptr, indices, labels, start[g], place)
    near = [g]
    for u in own:
        for e in range(indptr[u], indptr[u + 1]):
            h = labels[indices[e]]
            if h not in near:
                near.append(h)
    _clear(own, place)
    if load[g] >= 2 * low:
        members = _members(indptr, indices, labels, start[g], place)
        miss, _, far = _divide(indptr, indices, borders, loads, members, place, low, high, 20)
        _clear(members, place)
        if miss < before:
            _assign(loads, labels, load, start, members, far, g, groups)
            return groups + 1
    for h in near[1:]:
        if low <= load[g] + load[h] <= high:
            for u in _taken(indptr, indices, labels, start[h], place):
                labels[u] = g
            load[g] += load[h]
            load[h] = 0
            start[h] = -1
            return groups
    chosen, least, shortest = -1, before * np.int64(2), np.int64(2**62)
    best_members = [0]
    best_far = np.zeros(0, np.bool_)
    for h in near[1:]:
        members = _taken(indptr, indices, labels, start[g], place)
        for u in _taken(indptr, indices, labels, start[h], place):
            members.append(u)
        for i in range(len(members)):
            place[members[i]] = i
        old = before + _miss(load[h], low, high)
        miss, cut, far = _divide(indptr, indices, borders, loads, members, place, low, high, 20)
        _clear(members, place)
        if miss <= old and (miss < least or (miss == least and cut < shortest)):
            chosen, least, shortest = h, miss, cut
            best_members, best_far = members, far
    if chosen >= 0:
        for u in best_members:
            labels[u] = g
        load[g] += load[chosen]
        _assign(loads, labels, load, start, best_members, best_far, g, chosen)
    return groups


@njit(cache=True)
def _taken(indptr, indices, labels, root, place):
    found = _members(indptr, indices, labels, root, place)
    _clear(found, place)
    return found


@njit(cache=True)
def _assign(loads, labels, load, start, members, far, g, other):
    load[other] = 0
    for i in range(len(members)):
        u = members[i]
        if far[i]:
            labels[u] = other
            load[other] += loads[u]
            start[other] = u
        else:
            start[g] = u
    load[g] -= load[other]


@njit(cache=True)
def _into_band(indptr, indices, borders, loads, labels, load, start, groups, low, high):
    place = np.full(labels.size, -1, np.int64)
    arrays = (indptr, indices, borders, loads, labels, load, start, place)
    for _ in range(12):
        left = 0
        for g in range(groups):
            if start[g] >= 0 and _miss(load[g], low, high) > 0:
                left += 1
                _balance(*arrays, g, low, high)
        if left == 0:
            return
        g = 0
        while g < groups:
            if start[g] >= 0 and _miss(load[g], low, high) > 0 and groups < load.size:
                groups = _remake(*arrays, g, groups, low, high)
            g += 1
