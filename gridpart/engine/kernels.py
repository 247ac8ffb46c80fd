"""Every compiled kernel of the engine, in one module.

A kernel cache does not notice changes in other files, so kernels that call each other live
together here. All arithmetic that decides anything is in whole numbers (borders in millimetres,
loads in households, temperatures in millimetres, chances in 1/65536), and randomness comes from
a counter-based generator, so that a plan is the same on every machine.

Names used throughout:

``indptr, indices, borders``
    the graph in compressed rows: neighbours of unit ``u`` are ``indices[indptr[u]:indptr[u+1]]``,
    ``borders`` the length shared with each.
``masks``
    for every directed edge ``u -> v`` the neighbours of ``u`` that touch ``v``, as bits.
``labels``
    the group of every unit; ``-1`` where there is none.
``group_load, group_size``
    sum of loads, and number of units, of every group.
"""

from __future__ import annotations

from typing import cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bits = NDArray[np.uint64]
Flags = NDArray[np.bool_]

MASK_BITS = 64
CHANCE_BITS = 12
STRETCH = 16  # units for which moves are proposed at a time
BLOCK = 8192  # units, with their borders about what a processor keeps close at hand
TURNS = 16  # sweeps over one block before the next has its turn
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31 = np.uint64(30), np.uint64(27), np.uint64(31)
_ONE, _ZERO = np.uint64(1), np.uint64(0)
_LOW_32 = np.uint64(0xFFFFFFFF)
_S32 = np.uint64(32)
_S61, _S62 = np.uint64(61), np.uint64(62)
_S64 = np.uint64(64)
_HUGE = np.int64(1 << 62)
# A plain 0 has a type of its own, and what it is handed to would be compiled for it once more.
_NOTHING = cast("int", np.int64(0))


@njit(cache=True, nogil=True, inline="always")
def draw(state: Bits) -> np.uint64:
    """Next 64 random bits: SplitMix64 (Steele, Lea and Flood, 2014) over a counter."""
    state[0] += _GOLDEN
    z = state[0]
    z = (z ^ (z >> _S30)) * _MIX_1
    z = (z ^ (z >> _S27)) * _MIX_2
    return z ^ (z >> _S31)


@njit(cache=True, nogil=True, inline="always")
def draw_below(state: Bits, bound: int) -> np.int64:
    """A random whole number in [0, bound), for bounds far below 2**32."""
    return np.int64(((draw(state) & _LOW_32) * np.uint64(bound)) >> _S32)


# ---------------------------------------------------------------- the graph


@njit(cache=True, nogil=True)
def neighbour_masks(indptr: Ints, indices: Ints) -> Bits:
    """For every directed edge u -> v: which neighbours of u touch v, one bit each.

    Rows longer than `MASK_BITS` get no mask; the connection test then searches instead.
    """
    masks = np.zeros(indices.size, np.uint64)
    place = np.full(indptr.size - 1, -1, np.int64)
    for u in range(indptr.size - 1):
        start, stop = indptr[u], indptr[u + 1]
        if stop - start > MASK_BITS:
            continue
        for e in range(start, stop):
            place[indices[e]] = e - start
        for e in range(start, stop):
            v = indices[e]
            bits = _ZERO
            for f in range(indptr[v], indptr[v + 1]):
                at = place[indices[f]]
                if at >= 0:
                    bits |= _ONE << np.uint64(at)
            masks[e] = bits
        for e in range(start, stop):
            place[indices[e]] = -1
    return masks


@njit(cache=True, nogil=True)
def components(indptr: Ints, indices: Ints, labels: Ints) -> tuple[Ints, int]:
    """Number the connected parts of equal label, in the order of their first unit.

    Units labelled ``-1`` stay ``-1``.
    """
    n = indptr.size - 1
    part = np.full(n, -1, np.int64)
    queue = np.empty(n, np.int64)
    count = 0
    for root in range(n):
        if part[root] >= 0 or labels[root] < 0:
            continue
        part[root] = count
        queue[0] = root
        head, tail = 0, 1
        while head < tail:
            u = queue[head]
            head += 1
            for e in range(indptr[u], indptr[u + 1]):
                v = indices[e]
                if part[v] < 0 and labels[v] == labels[root]:
                    part[v] = count
                    queue[tail] = v
                    tail += 1
        count += 1
    return part, count


@njit(cache=True, nogil=True)
def steps_from_far(indptr: Ints, indices: Ints, distance: Ints) -> Ints:
    """Steps from the unit of each connected part at which `distance` is greatest."""
    n = indptr.size - 1
    part, count = components(indptr, indices, np.zeros(n, np.int64))
    far = np.full(count, -1, np.int64)
    for u in range(n):
        if far[part[u]] < 0 or distance[u] > distance[far[part[u]]]:
            far[part[u]] = u
    steps = np.full(n, -1, np.int64)
    queue = np.empty(n, np.int64)
    for p in range(count):
        queue[p] = far[p]
        steps[far[p]] = 0
    head, tail = 0, count
    while head < tail:
        u = queue[head]
        head += 1
        for e in range(indptr[u], indptr[u + 1]):
            v = indices[e]
            if steps[v] < 0:
                steps[v] = steps[u] + 1
                queue[tail] = v
                tail += 1
    return steps


@njit(cache=True, nogil=True)
def cut_of(indptr: Ints, indices: Ints, borders: Ints, labels: Ints) -> int:
    """Length of all borders between units of different label."""
    total = 0
    for u in range(indptr.size - 1):
        for e in range(indptr[u], indptr[u + 1]):
            if labels[indices[e]] != labels[u]:
                total += borders[e]
    return total // 2


@njit(cache=True, nogil=True)
def subgraph(
    indptr: Ints, indices: Ints, borders: Ints, members: Ints, place: Ints
) -> tuple[Ints, Ints, Ints]:
    """Rows of the graph induced by `members`; `place` is scratch of n entries, all -1."""
    for i in range(members.size):
        place[members[i]] = i
    sub_indptr = np.zeros(members.size + 1, np.int64)
    for i in range(members.size):
        u = members[i]
        degree = 0
        for e in range(indptr[u], indptr[u + 1]):
            if place[indices[e]] >= 0:
                degree += 1
        sub_indptr[i + 1] = sub_indptr[i] + degree
    sub_indices = np.empty(sub_indptr[members.size], np.int64)
    sub_borders = np.empty(sub_indptr[members.size], np.int64)
    at = 0
    for i in range(members.size):
        u = members[i]
        for e in range(indptr[u], indptr[u + 1]):
            j = place[indices[e]]
            if j >= 0:
                sub_indices[at] = j
                sub_borders[at] = borders[e]
                at += 1
    for i in range(members.size):
        place[members[i]] = -1
    return sub_indptr, sub_indices, sub_borders


@njit(cache=True, nogil=True)
def contracted(
    indptr: Ints, indices: Ints, borders: Ints, node: Ints, count: int
) -> tuple[Ints, Ints, Ints]:
    """Rows of the symmetric graph in which all units of equal `node` are one; borders add up."""
    n = node.size
    first = np.full(count, -1, np.int64)
    following = np.full(n, -1, np.int64)
    for u in range(n - 1, -1, -1):
        following[u] = first[node[u]]
        first[node[u]] = u
    rows = np.zeros(count + 1, np.int64)
    columns = np.empty(indices.size, np.int64)
    lengths = np.empty(indices.size, np.int64)
    place = np.full(count, -1, np.int64)
    at = 0
    for a in range(count):
        start = at
        u = first[a]
        while u >= 0:
            for e in range(indptr[u], indptr[u + 1]):
                b = node[indices[e]]
                if b == a:
                    continue
                if place[b] < start:
                    place[b] = at
                    columns[at] = b
                    lengths[at] = 0
                    at += 1
                lengths[place[b]] += borders[e]
            u = following[u]
        rows[a + 1] = at
    # turned about its diagonal the graph is the same, and then each row ascends
    ordered, sums = np.empty(at, np.int64), np.empty(at, np.int64)
    free = rows.copy()
    for a in range(count):
        for e in range(rows[a], rows[a + 1]):
            b = columns[e]
            ordered[free[b]], sums[free[b]] = a, lengths[e]
            free[b] += 1
    return rows, ordered, sums


@njit(cache=True, nogil=True)
def group_sums(labels: Ints, loads: Ints, n_groups: int) -> tuple[Ints, Ints]:
    """Load and number of units of every group."""
    group_load = np.zeros(n_groups, np.int64)
    group_size = np.zeros(n_groups, np.int64)
    for u in range(labels.size):
        group_load[labels[u]] += loads[u]
        group_size[labels[u]] += 1
    return group_load, group_size


# ---------------------------------------------------------------- the start


@njit(cache=True, nogil=True)
def bisect(x: Ints, y: Ints, orders: Ints, loads: Ints, n_groups: int) -> Ints:
    """Weighted bisection by coordinates: split the longer axis, both sides a whole number.

    Groups need not be connected; see `mend`. Every group gets at least one unit. The two rows of
    `orders` are the units from west to east and from south to north; both sides of a split keep
    them, in place.
    """
    n = x.size
    labels = np.zeros(n, np.int64)
    is_left = np.zeros(n, np.bool_)
    spare = np.empty(n, np.int64)
    stack = np.empty((256, 4), np.int64)
    stack[0, 0], stack[0, 1], stack[0, 2], stack[0, 3] = 0, n, 0, n_groups
    top = 1
    while top > 0:
        top -= 1
        start, stop, first, groups = stack[top]
        if groups == 1:
            for i in range(start, stop):
                labels[orders[0, i]] = first
            continue
        width = x[orders[0, stop - 1]] - x[orders[0, start]]
        height = y[orders[1, stop - 1]] - y[orders[1, start]]
        axis = 0 if width >= height else 1
        members, others = orders[axis], orders[1 - axis]
        left = groups // 2
        at = start + _split_at(loads, members[start:stop], left, groups)
        for i in range(start, stop):
            is_left[members[i]] = i < at
        lower, upper = start, 0
        for i in range(start, stop):
            u = others[i]
            if is_left[u]:
                others[lower] = u
                lower += 1
            else:
                spare[upper] = u
                upper += 1
        for i in range(upper):
            others[lower + i] = spare[i]
        stack[top, 0], stack[top, 1], stack[top, 2], stack[top, 3] = start, at, first, left
        top += 1
        stack[top, 0], stack[top, 1] = at, stop
        stack[top, 2], stack[top, 3] = first + left, groups - left
        top += 1
    return labels


@njit(cache=True, nogil=True)
def _split_at(loads: Ints, members: Ints, left: int, groups: int) -> int:
    """How many of `members` go to the side of `left` out of `groups` groups."""
    total = 0
    for i in range(members.size):
        total += loads[members[i]]
    goal = total * left
    least, most = left, members.size - (groups - left)
    running = 0
    best, best_gap = least, -1
    for i in range(most + 1):
        if i >= least:
            gap = abs(running * groups - goal)
            if best_gap < 0 or gap < best_gap:
                best, best_gap = i, gap
        if i < members.size:
            running += loads[members[i]]
    return best


@njit(cache=True, nogil=True)
def mend(
    indptr: Ints, indices: Ints, borders: Ints, loads: Ints, labels: Ints, n_groups: int
) -> None:
    """Make every group connected: its heaviest part stays, the others join a neighbour.

    A part goes to the group it shares the longest border with. The graph must be connected and
    every group must have a unit. Works in place.
    """
    n = labels.size
    part, count = components(indptr, indices, labels)
    if count == n_groups:
        return
    part_load = np.zeros(count, np.int64)
    part_size = np.zeros(count, np.int64)
    part_group = np.zeros(count, np.int64)
    for u in range(n):
        part_load[part[u]] += loads[u]
        part_size[part[u]] += 1
        part_group[part[u]] = labels[u]
    keep = np.full(n_groups, -1, np.int64)
    for p in range(count):
        q = keep[part_group[p]]
        if (
            q < 0
            or part_load[p] > part_load[q]
            or (part_load[p] == part_load[q] and part_size[p] > part_size[q])
        ):
            keep[part_group[p]] = p
    first = np.full(count, -1, np.int64)
    following = np.full(n, -1, np.int64)
    for u in range(n - 1, -1, -1):
        following[u] = first[part[u]]
        first[part[u]] = u
        if keep[labels[u]] != part[u]:
            labels[u] = -1
    shared = np.zeros(n_groups, np.int64)
    waiting = True
    while waiting:
        waiting = False
        for p in range(count):
            if labels[first[p]] >= 0:
                continue
            best = -1
            u = first[p]
            while u >= 0:
                for e in range(indptr[u], indptr[u + 1]):
                    g = labels[indices[e]]
                    if g >= 0:
                        shared[g] += borders[e]
                        if best < 0 or shared[g] > shared[best]:
                            best = g
                u = following[u]
            if best < 0:
                waiting = True
                continue
            u = first[p]
            while u >= 0:
                for e in range(indptr[u], indptr[u + 1]):
                    g = labels[indices[e]]
                    if g >= 0:
                        shared[g] = 0
                u = following[u]
            u = first[p]
            while u >= 0:
                labels[u] = best
                u = following[u]


# ---------------------------------------------------------------- border moves


@njit(cache=True, nogil=True)
def stays_connected(
    u: int,
    indptr: Ints,
    indices: Ints,
    masks: Bits,
    labels: Ints,
    stamp: Ints,
    mark: int,
    queue: Ints,
) -> bool:
    """Whether the group of `u` stays connected without `u`.

    Most cases are decided by the bits of `masks`: if the neighbours of `u` inside the group reach
    each other among themselves, so does the group. The rest is a search from one of them until
    all of them are met. `stamp` must hold no value equal to `mark`.
    """
    group = labels[u]
    start, stop = indptr[u], indptr[u + 1]
    first = -1
    inside = 0
    if stop - start <= MASK_BITS:
        own = _ZERO
        for e in range(start, stop):
            if labels[indices[e]] == group:
                own |= _ONE << np.uint64(e - start)
                inside += 1
                if first < 0:
                    first = e
        if inside <= 1:
            return True
        reached = _ONE << np.uint64(first - start)
        frontier = reached
        while frontier != _ZERO:
            fresh = _ZERO
            for e in range(start, stop):
                if (frontier >> np.uint64(e - start)) & _ONE:
                    fresh |= masks[e]
            frontier = fresh & own & ~reached
            reached |= frontier
        if reached == own:
            return True
    else:
        for e in range(start, stop):
            if labels[indices[e]] == group:
                inside += 1
                if first < 0:
                    first = e
        if inside <= 1:
            return True
    # A neighbour in the group is marked `mark`, a searched unit `mark + 1`.
    for e in range(start, stop):
        if labels[indices[e]] == group:
            stamp[indices[e]] = mark
    missing = inside - 1
    stamp[u] = mark + 1
    stamp[indices[first]] = mark + 1
    queue[0] = indices[first]
    head, tail = 0, 1
    while head < tail:
        w = queue[head]
        head += 1
        for e in range(indptr[w], indptr[w + 1]):
            v = indices[e]
            if labels[v] == group and stamp[v] != mark + 1:
                if stamp[v] == mark:
                    missing -= 1
                    if missing == 0:
                        return True
                stamp[v] = mark + 1
                queue[tail] = v
                tail += 1
    return False


@njit(inline="always")
def outside_band(load: int, low: int, high: int) -> int:
    """Households by which a load misses the band."""
    return max(low - load, 0) + max(load - high, 0)


@njit(cache=True, nogil=True)
def extra_change(
    group_extra: Ints,
    own: int,
    target: int,
    sizes: Ints,
    low: Ints,
    high: Ints,
    scale: Ints,
) -> int:
    """By how much moving these sizes changes what other quantities miss, in main loads / 65536."""
    change = 0
    for q in range(sizes.size):
        size = sizes[q]
        if size != 0:
            a, b = group_extra[own, q], group_extra[target, q]
            change += scale[q] * (
                outside_band(a - size, low[q], high[q])
                + outside_band(b + size, low[q], high[q])
                - outside_band(a, low[q], high[q])
                - outside_band(b, low[q], high[q])
            )
    return change


@njit(cache=True, nogil=True)
def _is_outside(
    group_load: Ints,
    group_extra: Ints,
    g: int,
    low: int,
    high: int,
    extra_low: Ints,
    extra_high: Ints,
) -> bool:
    """Whether any bounded quantity of a group is outside its band."""
    if outside_band(group_load[g], low, high) > 0:
        return True
    for q in range(extra_low.size):
        if outside_band(group_extra[g, q], extra_low[q], extra_high[q]) > 0:
            return True
    return False


@njit(cache=True, nogil=True)
def count_outside(
    group_load: Ints,
    group_extra: Ints,
    n_groups: int,
    low: int,
    high: int,
    extra_low: Ints,
    extra_high: Ints,
) -> int:
    """Number of groups of which any bounded quantity is outside its band."""
    count = 0
    for g in range(n_groups):
        if _is_outside(group_load, group_extra, g, low, high, extra_low, extra_high):
            count += 1
    return count


@njit(inline="always")
def too_far(u: int, v: int, reach: Ints, widest: int) -> bool:
    """Whether two units are too far apart for one group.

    ``reach[u, d]`` is how far the unit reaches in direction d (its support function); the second
    half of the columns are the opposite directions of the first. A set is as wide in a direction
    as the sum of how far it reaches both ways, and its diameter is its greatest width.
    """
    half = reach.shape[1] // 2
    for d in range(half):
        if reach[u, d] + reach[v, d + half] > widest or reach[v, d] + reach[u, d + half] > widest:
            return True
    return False


@njit(cache=True, nogil=True)
def far_from(u: int, start: int, following: Ints, reach: Ints, widest: int) -> int:
    """How many units of the chain that begins with `start` are too far from `u`."""
    count = 0
    v = start
    while v >= 0:
        if v != u and too_far(u, v, reach, widest):
            count += 1
        v = following[v]
    return count


@njit(cache=True, nogil=True)
def chains(labels: Ints, n_groups: int) -> tuple[Ints, Ints, Ints]:
    """Members of every group as a chain in ascending order: first, following, previous."""
    first = np.full(n_groups, -1, np.int64)
    following = np.full(labels.size, -1, np.int64)
    previous = np.full(labels.size, -1, np.int64)
    for u in range(labels.size - 1, -1, -1):
        g = labels[u]
        following[u] = first[g]
        if first[g] >= 0:
            previous[first[g]] = u
        first[g] = u
    return first, following, previous


@njit(cache=True, nogil=True)
def relink(u: int, own: int, target: int, first: Ints, following: Ints, previous: Ints) -> None:
    """Move a unit from one chain to the head of another."""
    before, after = previous[u], following[u]
    if before >= 0:
        following[before] = after
    else:
        first[own] = after
    if after >= 0:
        previous[after] = before
    previous[u] = -1
    following[u] = first[target]
    if first[target] >= 0:
        previous[first[target]] = u
    first[target] = u


@njit(cache=True, nogil=True)
def extra_sums(labels: Ints, extra: Ints, n_groups: int, reach: Ints, widest: int) -> Ints:
    """Other bounded quantities of every group; where `reach` has columns, pairs too far last."""
    others = extra.shape[1]
    is_wide = reach.shape[1] > 0
    sums = np.zeros((n_groups, others + (1 if is_wide else 0)), np.int64)
    for u in range(labels.size):
        for q in range(others):
            sums[labels[u], q] += extra[u, q]
    if is_wide:
        _, following, _ = chains(labels, n_groups)
        for u in range(labels.size):
            # the chain ascends, so that every pair is met once
            sums[labels[u], others] += far_from(u, following[u], following, reach, widest)
    return sums


@njit(cache=True, nogil=True)
def _others_change(
    u: int,
    own: int,
    target: int,
    penalty: int,
    extra: Ints,
    group_extra: Ints,
    low: Ints,
    high: Ints,
    scale: Ints,
    reach: Ints,
    widest: int,
    heads: Ints,
    following: Ints,
) -> int:
    """What it costs that moving `u` changes other bounded quantities and widths."""
    miss = extra_change(group_extra, own, target, extra[u], low, high, scale)
    cost = (penalty * (miss >> 16)) >> 16
    if reach.shape[1] == 0:
        return cost
    far = far_from(u, heads[target], following, reach, widest)
    far -= far_from(u, heads[own], following, reach, widest)
    pairs = int(scale[extra.shape[1]]) * far
    return cost + ((penalty * (pairs >> 16)) >> 16)


@njit(cache=True, nogil=True)
def _move_others(
    u: int,
    own: int,
    target: int,
    extra: Ints,
    group_extra: Ints,
    reach: Ints,
    widest: int,
    heads: Ints,
    following: Ints,
    previous: Ints,
) -> None:
    """Keep the sums of other quantities, and the chains, when `u` moves."""
    others = extra.shape[1]
    for q in range(others):
        group_extra[own, q] -= extra[u, q]
        group_extra[target, q] += extra[u, q]
    if reach.shape[1] > 0:
        group_extra[own, others] -= far_from(u, heads[own], following, reach, widest)
        group_extra[target, others] += far_from(u, heads[target], following, reach, widest)
        relink(u, own, target, heads, following, previous)


@njit(cache=True, nogil=True)
def _exchange(
    u: int,
    own: int,
    target: int,
    gain: int,
    temperature: int,
    penalty: int,
    even: int,
    indptr: Ints,
    indices: Ints,
    borders: Ints,
    masks: Bits,
    loads: Ints,
    work: Ints,
    extra: Ints,
    labels: Ints,
    group_load: Ints,
    group_work: Ints,
    group_extra: Ints,
    low: int,
    high: int,
    extra_low: Ints,
    extra_high: Ints,
    extra_scale: Ints,
    chances: Ints,
    state: Bits,
    stamp: Ints,
    queue: Ints,
    tally: Ints,
) -> None:
    """Let `u` change places with a unit of the other group, where that is taken at its cost.

    That unit is where a walk of two to five steps through both groups ends; `gain` is the change
    of cut if `u` moved alone.
    """
    bits = draw(state)
    v = u
    for _ in range(np.int64(2) + np.int64(bits >> _S62)):
        start = indptr[v]
        w = indices[start + draw_below(state, indptr[v + 1] - start)]
        if labels[w] == own or labels[w] == target:
            v = w
    if v == u or labels[v] == own:
        return
    touches = False
    for e in range(indptr[v], indptr[v + 1]):
        w = indices[e]
        if w == u or labels[w] == target:
            gain += borders[e]
        elif labels[w] == own:
            gain -= borders[e]
            touches = True
    if not touches:
        return
    load, share = loads[u] - loads[v], work[u] - work[v]
    a, b = group_load[own], group_load[target]
    miss = (
        outside_band(a - load, low, high)
        + outside_band(b + load, low, high)
        - outside_band(a, low, high)
        - outside_band(b, low, high)
    )
    spread = 2 * share * (group_work[target] - group_work[own] + share)
    delta = gain + ((penalty * miss) >> 16) + ((even * spread) >> 28)
    if extra.shape[1] > 0:
        sizes = extra[u] - extra[v]
        more = extra_change(group_extra, own, target, sizes, extra_low, extra_high, extra_scale)
        delta += (penalty * (more >> 16)) >> 16
    if delta > (temperature * chances[bits & np.uint64(chances.size - 1)]) >> 16:
        return
    tally[1] += 2
    if not stays_connected(u, indptr, indices, masks, labels, stamp, tally[1], queue):
        return
    labels[u] = target
    tally[1] += 2
    if not stays_connected(v, indptr, indices, masks, labels, stamp, tally[1], queue):
        labels[u] = own
        return
    labels[v] = own
    group_load[own] -= load
    group_load[target] += load
    group_work[own] -= share
    group_work[target] += share
    for q in range(extra.shape[1]):
        group_extra[own, q] -= extra[u, q] - extra[v, q]
        group_extra[target, q] += extra[u, q] - extra[v, q]
    tally[0] += gain


@njit(cache=True, nogil=True)
def _sweep(
    begin: int,
    stop: int,
    opening: int,
    closing: int,
    indptr: Ints,
    indices: Ints,
    borders: Ints,
    masks: Bits,
    loads: Ints,
    work: Ints,
    extra: Ints,
    labels: Ints,
    group_load: Ints,
    group_work: Ints,
    group_size: Ints,
    group_extra: Ints,
    low: int,
    high: int,
    extra_low: Ints,
    extra_high: Ints,
    extra_scale: Ints,
    reach: Ints,
    widest: int,
    heads: Ints,
    following: Ints,
    previous: Ints,
    outline: Ints,
    temperatures: Ints,
    penalties: Ints,
    evenness: Ints,
    chances: Ints,
    state: Bits,
    stamp: Ints,
    queue: Ints,
    tally: Ints,
    exchanges: bool,
) -> None:
    """Sweeps `opening` to `closing` over units `begin` to `stop`; `tally` is (cut, last mark)."""
    has_others = extra.shape[1] > 0 or reach.shape[1] > 0
    chance_mask = np.uint64(chances.size - 1)
    waiting, waiting_bits = np.empty(STRETCH, np.int64), np.empty(STRETCH, np.uint64)
    for sweep in range(opening, closing):
        temperature, penalty = temperatures[sweep], penalties[sweep]
        even = evenness[sweep]
        for first in range(begin, stop, STRETCH):
            # First proposals, without a branch: most are no use, and no processor foresees which.
            count = 0
            end = np.uint64(indptr[first])
            for number in range(first, min(first + STRETCH, stop)):
                # unsigned, so that no index is tested for being negative
                u = np.uint64(number)
                start = end
                end = np.uint64(indptr[u + _ONE])
                bits = draw(state)
                pick = ((bits & _LOW_32) * (end - start)) >> _S32
                elsewhere = labels[np.uint64(indices[start + pick])] != labels[u]
                is_turn = (outline[u] >= 2 * temperature) | ((number + sweep) & 3 == 0)
                waiting[count], waiting_bits[count] = number, bits
                count += int(elsewhere & is_turn)
            for turn in range(count):
                number, bits = int(waiting[turn]), waiting_bits[turn]
                u = np.uint64(number)
                start = np.uint64(indptr[u])
                degree = np.uint64(indptr[u + _ONE]) - start
                pick = ((bits & _LOW_32) * degree) >> _S32
                own = np.uint64(labels[u])
                target = np.uint64(labels[np.uint64(indices[start + pick])])
                if target == own:  # the neighbour has come over since
                    continue
                gain = _NOTHING
                inside = _ZERO
                for place in range(degree):
                    i = np.uint64(place)
                    g = np.uint64(labels[np.uint64(indices[start + i])])
                    length = borders[start + i]
                    stays, joins = g == own, g == target
                    gain += length * (np.int64(stays) - np.int64(joins))
                    inside |= np.uint64(stays) << i
                load = loads[u]
                a, b = group_load[own], group_load[target]
                miss = (
                    outside_band(a - load, low, high)
                    + outside_band(b + load, low, high)
                    - outside_band(a, low, high)
                    - outside_band(b, low, high)
                )
                share = work[u]
                # by how much the sum of the squared work of both groups changes
                spread = 2 * share * (group_work[target] - group_work[own] + share)
                delta = gain + ((penalty * miss) >> 16) + ((even * spread) >> 28)
                if has_others:
                    delta += _others_change(
                        number,
                        int(own),
                        int(target),
                        penalty,
                        extra,
                        group_extra,
                        extra_low,
                        extra_high,
                        extra_scale,
                        reach,
                        widest,
                        heads,
                        following,
                    )
                # one branch for all that is turned down, which is nearly everything
                chance = chances[(bits >> _S32) & chance_mask]
                if delta > (temperature * chance) >> 16:
                    if exchanges:
                        _exchange(
                            number,
                            int(own),
                            int(target),
                            gain,
                            temperature,
                            penalty,
                            even,
                            indptr,
                            indices,
                            borders,
                            masks,
                            loads,
                            work,
                            extra,
                            labels,
                            group_load,
                            group_work,
                            group_extra,
                            low,
                            high,
                            extra_low,
                            extra_high,
                            extra_scale,
                            chances,
                            state,
                            stamp,
                            queue,
                            tally,
                        )
                    continue
                if group_size[own] == 1:
                    continue
                if inside & (inside - _ONE) != _ZERO or degree > _S64:
                    reached = inside & (~inside + _ONE)
                    frontier = reached
                    while frontier != _ZERO and degree <= _S64:
                        fresh = _ZERO
                        for place in range(degree):
                            i = np.uint64(place)
                            if (frontier >> i) & _ONE:
                                fresh |= masks[start + i]
                        frontier = fresh & inside & ~reached
                        reached |= frontier
                    if reached != inside or degree > _S64:
                        tally[1] += 2
                        if not stays_connected(
                            number, indptr, indices, masks, labels, stamp, tally[1], queue
                        ):
                            continue
                labels[u] = target
                group_load[own] -= load
                group_load[target] += load
                group_work[own] -= share
                group_work[target] += share
                group_size[own] -= 1
                group_size[target] += 1
                if has_others:
                    _move_others(
                        number,
                        int(own),
                        int(target),
                        extra,
                        group_extra,
                        reach,
                        widest,
                        heads,
                        following,
                        previous,
                    )
                tally[0] += gain


@njit(cache=True, nogil=True)
def anneal(
    indptr: Ints,
    indices: Ints,
    borders: Ints,
    masks: Bits,
    loads: Ints,
    work: Ints,
    extra: Ints,
    labels: Ints,
    n_groups: int,
    low: int,
    high: int,
    extra_low: Ints,
    extra_high: Ints,
    extra_scale: Ints,
    reach: Ints,
    widest: int,
    temperatures: Ints,
    penalties: Ints,
    evenness: Ints,
    chances: Ints,
    state: Bits,
    control: Ints,
    best: Ints,
    block: int,
    exchanges: bool,
) -> int:
    """Move single units over borders while the temperature falls; `labels` in place.

    One sweep visits the units in order and proposes for each the group of a random neighbour. A
    move costs the change of cut, plus ``penalties[sweep]`` / 65536 for every household outside
    the band, plus ``evenness[sweep]`` / 2**28 for every squared unit of work; it is taken if that
    is at most the temperature times -ln(chance), and if the group that loses the unit stays
    connected and is not emptied. Other bounded quantities count as households, `extra_scale` /
    65536 for each unit of them; so do pairs of units that are too far apart (see `too_far`), which
    the last column of bounds and scales is about where `reach` has columns. `control` is (stop,
    work done): the caller may set the first, and reads the second. Every unit must have a
    neighbour.

    Proposals are made for `STRETCH` units at a time. Graphs of more than `block` units are swept
    in blocks, `TURNS` times each before the next has its turn, because what a processor has just
    used it finds again soonest.

    Where `best` has n entries it receives the labels with the shortest cut among those that had
    every group in the band at the end of a sweep; all sweeps are then over the whole graph, and end
    when there is no cut left to shorten.

    With `exchanges` a unit that may not move alone may change places with one of the other group:
    that is how groups of few units become even. Not where `reach` has columns.

    Returns
    -------
    int
        The shortest cut that `best` holds, -1 if it holds none.
    """
    n = labels.size
    group_load, group_size = group_sums(labels, loads, n_groups)
    group_work = group_sums(labels, work, n_groups)[0]
    group_extra = extra_sums(labels, extra, n_groups, reach, widest)
    heads, following, previous = chains(labels, n_groups)
    tally = np.ones(2, np.int64)
    tally[0] = cut_of(indptr, indices, borders, labels)
    best_cut = -1
    stamp = np.zeros(n, np.int64)
    queue = np.empty(n, np.int64)
    # At high temperatures the state of a unit with a short outline means nothing, and changes at
    # every visit: one visit in four is enough. Not where sweeps are few and each one is judged.
    outline = np.zeros(n, np.int64)
    turns = TURNS
    if best.size != n:
        for u in range(n):
            for e in range(indptr[u], indptr[u + 1]):
                outline[u] += borders[e]
    else:
        outline[:] = _HUGE
        turns, block = 1, n
    for opening in range(0, temperatures.size, turns):
        if control[0] != 0:
            break
        closing = min(opening + turns, temperatures.size)
        control[1] += n * (closing - opening)
        # blocks begin elsewhere in each round, so that no line between them lasts
        shift = opening // turns * (3 * block // 8) % block if n > block else 0
        for begin in range(-shift, n, block):
            _sweep(
                max(begin, 0),
                min(begin + block, n),
                opening,
                closing,
                indptr,
                indices,
                borders,
                masks,
                loads,
                work,
                extra,
                labels,
                group_load,
                group_work,
                group_size,
                group_extra,
                low,
                high,
                extra_low,
                extra_high,
                extra_scale,
                reach,
                widest,
                heads,
                following,
                previous,
                outline,
                temperatures,
                penalties,
                evenness,
                chances,
                state,
                stamp,
                queue,
                tally,
                exchanges,
            )
        if (
            best.size == n
            and (best_cut < 0 or tally[0] < best_cut)
            and count_outside(group_load, group_extra, n_groups, low, high, extra_low, extra_high)
            == 0
        ):
            best_cut = tally[0]
            for u in range(n):
                best[u] = labels[u]
            if best_cut == 0:
                break
    return best_cut


# ---------------------------------------------------------------- repair


@njit(cache=True, nogil=True)
def _random_tree(
    indptr: Ints, indices: Ints, members: Ints, place: Ints, state: Bits, order: Ints, parent: Ints
) -> int:
    """Grow a random spanning tree over `members`, which `place` numbers from 0.

    Edges come in random order, as in Prim's method with random weights. Fills `order` (members by
    the time they joined) and `parent` (local numbers, -1 for the root). Returns how many joined.
    """
    size = members.size
    for i in range(size):
        parent[i] = -2
    degree_sum = 0
    for i in range(size):
        degree_sum += indptr[members[i] + 1] - indptr[members[i]]
    from_ = np.empty(degree_sum, np.int64)
    to = np.empty(degree_sum, np.int64)
    root = np.int64(draw_below(state, size))
    parent[root] = -1
    order[0] = root
    joined = 1
    waiting = 0
    newest = root
    while True:
        u = members[newest]
        for e in range(indptr[u], indptr[u + 1]):
            j = place[indices[e]]
            if j >= 0 and parent[j] == -2:
                from_[waiting] = newest
                to[waiting] = j
                waiting += 1
        newest = np.int64(-1)
        while waiting > 0:
            pick = draw_below(state, waiting)
            i, j = from_[pick], to[pick]
            waiting -= 1
            from_[pick], to[pick] = from_[waiting], to[waiting]
            if parent[j] == -2:
                parent[j] = i
                order[joined] = j
                joined += 1
                newest = j
                break
        if newest < 0:
            return joined


@njit(cache=True, nogil=True)
def _split_tree(
    order: Ints,
    parent: Ints,
    member_load: Ints,
    groups: int,
    low: int,
    high: int,
    state: Bits,
    piece: Ints,
    groups_of: Ints,
    below: Ints,
) -> bool:
    """Cut a tree into `groups` subtrees inside the band, edge by edge; False if it got stuck.

    A piece that shall become m groups is cut at a random edge whose two sides can hold m1 and
    m - m1 groups. Fills `piece` (a number from 0 to groups - 1 for every member).
    """
    size = order.size
    for i in range(size):
        piece[i] = 0
    groups_of[0] = groups
    pieces = 1
    current = 0
    while current < pieces:
        m = groups_of[current]
        if m == 1:
            current += 1
            continue
        total = 0
        for i in range(size):
            below[i] = member_load[i]
        for at in range(size - 1, -1, -1):
            i = order[at]
            if piece[i] == current:
                total += member_load[i]
                j = parent[i]
                if j >= 0 and piece[j] == current:
                    below[j] += below[i]
        found = 0
        cut, side = -1, 0
        for at in range(1, size):
            i = order[at]
            if piece[i] != current or parent[i] < 0 or piece[parent[i]] != current:
                continue
            weight = below[i]
            rest = total - weight
            for m1 in range(1, m):
                if m1 * low <= weight <= m1 * high and (m - m1) * low <= rest <= (m - m1) * high:
                    found += 1
                    if draw_below(state, found) == 0:
                        cut, side = i, m1
        if found == 0:
            return False
        groups_of[pieces] = side
        groups_of[current] = m - side
        for at in range(size):
            i = order[at]
            if i == cut or (piece[i] == current and parent[i] >= 0 and piece[parent[i]] == pieces):
                piece[i] = pieces
        pieces += 1
    return True


@njit(cache=True, nogil=True)
def gather(
    indptr: Ints,
    indices: Ints,
    labels: Ints,
    following: Ints,
    first: Ints,
    start: int,
    wanted: int,
    state: Bits,
    chosen: Ints,
    taken: Flags,
) -> int:
    """Choose up to `wanted` connected groups around group `start`, at random; how many.

    `taken` is scratch, all false; `chosen` must have room for `wanted` groups.
    """
    chosen[0] = start
    taken[start] = True
    count = 1
    while count < wanted:
        seen = 0
        pick = -1
        for c in range(count):
            u = first[chosen[c]]
            while u >= 0:
                for e in range(indptr[u], indptr[u + 1]):
                    g = labels[indices[e]]
                    if not taken[g]:
                        seen += 1
                        if draw_below(state, seen) == 0:
                            pick = g
                u = following[u]
        if pick < 0:
            break
        chosen[count] = pick
        taken[pick] = True
        count += 1
    for c in range(count):
        taken[chosen[c]] = False
    return count


@njit(cache=True, nogil=True)
def _region_cut(
    indptr: Ints, indices: Ints, borders: Ints, members: Ints, place: Ints, piece: Ints
) -> int:
    """Border length, counted twice, between different pieces of one region."""
    total = 0
    for i in range(members.size):
        u = members[i]
        for e in range(indptr[u], indptr[u + 1]):
            j = place[indices[e]]
            if j >= 0 and piece[j] != piece[i]:
                total += borders[e]
    return total


@njit(cache=True, nogil=True)
def repair(
    indptr: Ints,
    indices: Ints,
    borders: Ints,
    loads: Ints,
    labels: Ints,
    n_groups: int,
    low: int,
    high: int,
    extra: Ints,
    extra_low: Ints,
    extra_high: Ints,
    reach: Ints,
    widest: int,
    width: int,
    regions: int,
    trees: int,
    free_count: bool,
    state: Bits,
) -> tuple[int, int]:
    """Bring groups into the band by merging a few neighbours and splitting them again.

    Every group outside the band is merged with 1 to `width` - 1 random neighbours, and the
    region is split along random spanning trees, cutting only where all sides fit: first into as
    many groups as before, then (if `free_count`) into one fewer or one more. Of the splits found
    the one with the shortest borders is taken, so the number of groups outside only falls.
    Works in place on `labels`, whose groups are renumbered without gaps.

    Returns
    -------
    tuple of int
        Number of groups, and how many are still outside the band.
    """
    n = labels.size
    capacity = n_groups + 1
    group_load = _grown(group_sums(labels, loads, n_groups)[0], capacity, 0)
    group_extra = _more_rows(extra_sums(labels, extra, n_groups, reach, widest), capacity)
    first, following, _ = chains(labels, n_groups)
    first = _grown(first, capacity, -1)
    taken = np.zeros(capacity, np.bool_)
    chosen = np.empty(width + 1, np.int64)
    place = np.full(n, -1, np.int64)
    left = 0
    g = _NOTHING
    while g < n_groups:
        if not _is_outside(group_load, group_extra, g, low, high, extra_low, extra_high):
            g += 1
            continue
        done = False
        for change in range(3 if free_count else 1):
            for joined in range(1 if change > 0 else 2, width + 1):
                for _ in range(regions):
                    count = gather(
                        indptr, indices, labels, following, first, g, joined, state, chosen, taken
                    )
                    if count < joined:
                        break
                    # the same number of groups, one fewer, one more
                    wanted = count + (0 if change == 0 else (-1 if change == 1 else 1))
                    total = 0
                    outside = 0
                    for c in range(count):
                        total += group_load[chosen[c]]
                        if _is_outside(
                            group_load, group_extra, chosen[c], low, high, extra_low, extra_high
                        ):
                            outside += 1
                    if wanted < 1 or total < wanted * low or total > wanted * high:
                        continue
                    members, piece, still = _resplit(
                        indptr,
                        indices,
                        borders,
                        loads,
                        following,
                        first,
                        chosen[:count],
                        wanted,
                        low,
                        high,
                        extra,
                        extra_low,
                        extra_high,
                        reach,
                        widest,
                        trees,
                        place,
                        state,
                    )
                    if piece.size == 0 or still >= outside:
                        continue
                    if wanted > count:
                        if n_groups == capacity:
                            capacity *= 2
                            first = _grown(first, capacity, -1)
                            group_load = _grown(group_load, capacity, 0)
                            group_extra = _more_rows(group_extra, capacity)
                            taken = np.zeros(capacity, np.bool_)
                        chosen[count] = n_groups
                        n_groups += 1
                    for c in range(wanted):
                        first[chosen[c]] = -1
                        group_load[chosen[c]] = 0
                    for i in range(members.size - 1, -1, -1):
                        target = chosen[piece[i]]
                        u = members[i]
                        labels[u] = target
                        following[u] = first[target]
                        first[target] = u
                        group_load[target] += loads[u]
                    sums = extra_sums(piece, extra[members], wanted, reach[members], widest)
                    for c in range(wanted):
                        _copy_row(sums, c, group_extra, chosen[c])
                    if wanted < count:
                        gone, last = chosen[count - 1], n_groups - 1
                        if gone != last:
                            first[gone] = first[last]
                            group_load[gone] = group_load[last]
                            _copy_row(group_extra, last, group_extra, gone)
                            u = first[gone]
                            while u >= 0:
                                labels[u] = gone
                                u = following[u]
                        n_groups -= 1
                    done = True
                    break
                if done:
                    break
            if done:
                break
        if not done:
            left += 1
            g += 1
        # when done, group g is looked at again: another group may have taken its number
    return n_groups, left


@njit(cache=True, nogil=True)
def _grown(array: Ints, capacity: int, filler: int) -> Ints:
    larger = np.full(capacity, filler, np.int64)
    for i in range(array.size):
        larger[i] = array[i]
    return larger


@njit(cache=True, nogil=True)
def _more_rows(array: Ints, capacity: int) -> Ints:
    larger = np.zeros((capacity, array.shape[1]), np.int64)
    for i in range(array.shape[0]):
        _copy_row(array, i, larger, i)
    return larger


@njit(cache=True, nogil=True)
def _copy_row(source: Ints, i: int, target: Ints, j: int) -> None:
    """Entry by entry: assigning slices takes numba seconds to compile, for words of errors."""
    for q in range(source.shape[1]):
        target[j, q] = source[i, q]


@njit(cache=True, nogil=True)
def _resplit(
    indptr: Ints,
    indices: Ints,
    borders: Ints,
    loads: Ints,
    following: Ints,
    first: Ints,
    groups: Ints,
    wanted: int,
    low: int,
    high: int,
    extra: Ints,
    extra_low: Ints,
    extra_high: Ints,
    reach: Ints,
    widest: int,
    trees: int,
    place: Ints,
    state: Bits,
) -> tuple[Ints, Ints, int]:
    """Split the union of `groups` into `wanted` groups in the band, borders short.

    Returns the members of the region, the new piece of each (no pieces where none was found), and
    how many pieces miss the bounds of another quantity.
    """
    size = 0
    for g in groups:
        u = first[g]
        while u >= 0:
            size += 1
            u = following[u]
    # the order of the units, not of the groups, so that the outcome follows the geometry: chains
    # ascend, and the least of their heads comes next
    members = np.empty(size, np.int64)
    heads = first[groups]
    for at in range(size):
        least = 0
        for c in range(1, heads.size):
            if heads[c] >= 0 and (heads[least] < 0 or heads[c] < heads[least]):
                least = c
        members[at] = heads[least]
        heads[least] = following[heads[least]]
    member_load = loads[members]
    for i in range(size):
        place[members[i]] = i
    order = np.empty(size, np.int64)
    parent = np.empty(size, np.int64)
    piece = np.empty(size, np.int64)
    below = np.empty(size, np.int64)
    groups_of = np.empty(wanted + 1, np.int64)
    best = np.empty(0, np.int64)
    best_cut, best_missing = -1, wanted + 1
    inside = np.full(wanted, low, np.int64)
    own_extra, own_reach = extra[members], reach[members]
    for _ in range(trees):
        _random_tree(indptr, indices, members, place, state, order, parent)
        if _split_tree(
            order, parent, member_load, wanted, low, high, state, piece, groups_of, below
        ):
            missing = 0
            if extra_low.size > 0:
                sums = extra_sums(piece, own_extra, wanted, own_reach, widest)
                missing = count_outside(inside, sums, wanted, low, high, extra_low, extra_high)
            if missing > best_missing:
                continue
            cut = _region_cut(indptr, indices, borders, members, place, piece)
            if missing < best_missing or cut < best_cut:
                best_cut, best_missing = cut, missing
                best = piece.copy()
    for i in range(size):
        place[members[i]] = -1
    return members, best, best_missing


@njit(cache=True, nogil=True)
def tree_start(
    indptr: Ints, indices: Ints, loads: Ints, n_groups: int, slack: int, tries: int, state: Bits
) -> Ints:
    """Connected groups of nearly equal load: cut a random spanning tree of the whole graph.

    A tree that cannot be cut within `slack` of the mean is drawn again, up to `tries` times, the
    slack doubling each time. Empty where none could be cut.
    """
    n = loads.size
    members = np.arange(n)
    total = loads.sum()
    order, parent = np.empty(n, np.int64), np.empty(n, np.int64)
    piece, below = np.empty(n, np.int64), np.empty(n, np.int64)
    groups_of = np.empty(n_groups + 1, np.int64)
    for _ in range(tries):
        _random_tree(indptr, indices, members, members, state, order, parent)
        low = max(total // n_groups - slack, 1)
        high = total // n_groups + 1 + slack
        if _split_tree(order, parent, loads, n_groups, low, high, state, piece, groups_of, below):
            return piece
        slack *= 2
    return np.empty(0, np.int64)


# ---------------------------------------------------------------- the band alone


@njit(cache=True, nogil=True)
def sides_without(
    u: int,
    indptr: Ints,
    indices: Ints,
    labels: Ints,
    stamp: Ints,
    mark: int,
    queue: Ints,
    ends: Ints,
) -> int:
    """Connected sides of the group of `u` without `u`, one after another in `queue`.

    `ends` receives where each ends. Returns how many there are. `stamp` must hold no `mark`.
    """
    group = labels[u]
    stamp[u] = mark
    count, tail = 0, 0
    for first in range(indptr[u], indptr[u + 1]):
        if labels[indices[first]] != group or stamp[indices[first]] == mark:
            continue
        stamp[indices[first]] = mark
        queue[tail] = indices[first]
        head, tail = tail, tail + 1
        while head < tail:
            w = queue[head]
            head += 1
            for e in range(indptr[w], indptr[w + 1]):
                v = indices[e]
                if labels[v] == group and stamp[v] != mark:
                    stamp[v] = mark
                    queue[tail] = v
                    tail += 1
        ends[count] = tail
        count += 1
    return count


@njit(cache=True, nogil=True)
def missing_of(sums: Ints, a: int, b: int, low: Ints, high: Ints, scale: Ints) -> int:
    """What groups a to b miss their bounds by, in main loads; at least 1 where one misses one."""
    missing = 0
    for group in range(a, b + 1):
        for q in range(low.size):
            outside = outside_band(sums[group, q], low[q], high[q])
            missing -= (-scale[q] * outside) >> 16
    return missing


@njit(inline="always")
def _hand_over(
    u: int,
    target: int,
    sizes: Ints,
    sums: Ints,
    low: Ints,
    high: Ints,
    scale: Ints,
    temperature: int,
    chances: Ints,
    state: Bits,
    indptr: Ints,
    indices: Ints,
    labels: Ints,
    stamp: Ints,
    mark: int,
    queue: Ints,
    ends: Ints,
    trial: Ints,
    span: Ints,
) -> int:
    """Which side stays where `u` goes over to another group with all other sides of its own.

    It is drawn, rather one that leaves less missing. Nothing is changed yet: `span` receives where
    in `queue` the side that stays begins and ends, and where the last side ends. Returns what is
    missing in both groups then; -1 where nothing would stay.
    """
    own = labels[u]
    count = sides_without(u, indptr, indices, labels, stamp, mark, queue, ends)
    left, least, start = -1, _NOTHING, _NOTHING
    for side in range(count):
        for q in range(low.size):
            trial[0, q], trial[1, q] = 0, sums[own, q] + sums[target, q]
        for i in range(start, ends[side]):
            for q in range(low.size):
                trial[0, q] += sizes[queue[i], q]
                trial[1, q] -= sizes[queue[i], q]
        missing = missing_of(trial, 0, 1, low, high, scale)
        rank = missing << 10
        if count > 1:
            rank -= (temperature * chances[draw(state) & np.uint64(chances.size - 1)]) >> 16
        if side == 0 or rank < least:
            left, least = missing, rank
            span[0], span[1] = start, ends[side]
        start = ends[side]
    span[2] = start
    return left


@njit(cache=True, nogil=True)
def _move(
    u: int, group: int, queue: Ints, span: Ints, sizes: Ints, sums: Ints, labels: Ints
) -> None:
    """Put `u` into a group, and what `queue` holds but for the side that stays."""
    for i in range(-1, span[2]):
        if i < 0 or i < span[0] or i >= span[1]:
            v = u if i < 0 else queue[i]
            for q in range(sums.shape[1]):
                sums[labels[v], q] -= sizes[v, q]
                sums[group, q] += sizes[v, q]
            labels[v] = group


@njit(inline="always")
def _back_from(
    u: int, own: int, target: int, indptr: Ints, indices: Ints, labels: Ints, state: Bits
) -> int:
    """A unit of `target` beside `own`, at the end of a short walk through both; -1 for none."""
    w = u
    for _ in range(3):
        v = indices[indptr[w] + draw_below(state, indptr[w + 1] - indptr[w])]
        if labels[v] == own or labels[v] == target:
            w = v
    if w == u or labels[w] != target:
        return -1
    for e in range(indptr[w], indptr[w + 1]):
        if labels[indices[e]] == own:
            return w
    return -1


@njit(cache=True, nogil=True)
def hunt(
    indptr: Ints,
    indices: Ints,
    sizes: Ints,
    labels: Ints,
    n_groups: int,
    low: Ints,
    high: Ints,
    scale: Ints,
    temperatures: Ints,
    chances: Ints,
    state: Bits,
    control: Ints,
) -> int:
    """Look for groups inside all bounds, whatever their borders; `labels` in place.

    What a unit cuts off from its group goes over with it, because where units hang together by
    single borders no unit could pass otherwise. What is turned down is tried once more together
    with a move the other way. Of proposals between two groups inside their bounds one in eight is
    looked at: enough for what is missing to find its way to where it can be had. Every unit must
    have a neighbour.

    Parameters
    ----------
    sizes : ndarray of int64, shape (n, q)
        Bounded quantities of every unit, the main load first.
    low, high, scale : ndarray of int64, shape (q,)
        Their bounds, and main loads / 65536 that one unit of each outside them counts.
    temperatures : ndarray of int64
        For each sweep, in main loads / 1024.
    control : ndarray of int64, shape (2,)
        See :func:`anneal`.

    Returns
    -------
    int
        What is missing at the end, in main loads; `labels` are those with the least.
    """
    n = labels.size
    sums = np.zeros((n_groups, low.size), np.int64)
    for u in range(n):
        for q in range(low.size):
            sums[labels[u], q] += sizes[u, q]
    lacks = np.empty(n_groups, np.int64)
    for g in range(n_groups):
        lacks[g] = missing_of(sums, g, g, low, high, scale)
    missing = lacks.sum()
    best, least = labels.copy(), missing
    stamp, mark, ends = np.zeros(n, np.int64), 0, np.empty(n, np.int64)
    trial = np.empty((2, low.size), np.int64)
    # of a move, and of another the other way: what went over, and the unit that took it along
    queues, spans, movers = (
        np.empty((2, n), np.int64),
        np.empty((2, 3), np.int64),
        np.empty(2, np.int64),
    )
    chance_mask = np.uint64(chances.size - 1)
    for sweep in range(temperatures.size):
        if control[0] != 0 or least == 0:
            break
        control[1] += n
        temperature = temperatures[sweep]
        for u in range(n):
            bits = draw(state)
            degree = np.uint64(indptr[u + 1] - indptr[u])
            v = indices[indptr[u] + np.int64(((bits & _LOW_32) * degree) >> _S32)]
            own, target = labels[u], labels[v]
            if own == target:
                continue
            before = lacks[own] + lacks[target]
            if before == 0 and bits >> _S61 != _ZERO:
                continue
            chance = chances[(bits >> _S32) & chance_mask]
            limit = (before << 10) + ((temperature * chance) >> 16)
            after, done, is_taken = before, 0, False
            movers[0] = u
            while done < 2 and movers[done] >= 0 and not is_taken:
                group = target if done == 0 else own
                mark += 1
                after = _hand_over(
                    movers[done],
                    group,
                    sizes,
                    sums,
                    low,
                    high,
                    scale,
                    temperature,
                    chances,
                    state,
                    indptr,
                    indices,
                    labels,
                    stamp,
                    mark,
                    queues[done],
                    ends,
                    trial,
                    spans[done],
                )
                if after < 0:
                    break
                _move(movers[done], group, queues[done], spans[done], sizes, sums, labels)
                done += 1
                is_taken = after << 10 <= limit
                if done == 1 and not is_taken:
                    movers[1] = _back_from(u, own, target, indptr, indices, labels, state)
            if not is_taken:
                while done > 0:
                    done -= 1
                    group = own if done == 0 else target
                    _move(movers[done], group, queues[done], spans[done], sizes, sums, labels)
                continue
            lacks[own] = missing_of(sums, own, own, low, high, scale)
            lacks[target] = after - lacks[own]
            missing += after - before
            if missing < least:
                least = missing
                for i in range(n):
                    best[i] = labels[i]
                if least == 0:
                    break
    for i in range(n):
        labels[i] = best[i]
    return least


# ---------------------------------------------------------------- trees, exactly


@njit(cache=True, nogil=True)
def divide_tree(
    indptr: Ints,
    indices: Ints,
    members: Ints,
    place: Ints,
    loads: Ints,
    low: int,
    high: int,
    tries: int,
    wanted: int,
    state: Bits,
    piece: Ints,
) -> int:
    """Cut random spanning trees of `members` into groups in the band, if that can be done at all.

    Dynamic programming from the leaves: for every subtree, which loads the group of its root can
    have by then, all groups below being complete and in the band; one bit a load. Where the graph
    is a tree, the answer is exact. Compare Ito, Zhou and Nishizeki, *Partitioning a graph of
    bounded tree-width to connected subgraphs of almost uniform size* (2006).

    Parameters
    ----------
    members, place : ndarray of int64
        Units of a connected region, and the number of each in it.
    loads : ndarray of int64
        Of the members.
    tries : int
        Trees to try.
    wanted : int
        Number of groups; 0 for any.
    piece : ndarray of int64
        Receives the group of every member.

    Returns
    -------
    int
        Number of groups; 0 where none of the trees could be divided.
    """
    size = members.size
    words = high // 64 + 1
    for i in range(size):
        if loads[i] > high:
            return 0
    order = np.empty(size, np.int64)
    parent = np.empty(size, np.int64)
    # reach[i]: loads that the group of i can have; before[i]: of its parent's before i joined it
    reach = np.empty((size, words), np.uint64)
    before = np.empty((size, words), np.uint64)
    weight = np.empty(size, np.int64)
    for _ in range(tries):
        _random_tree(indptr, indices, members, place, state, order, parent)
        reach[:] = _ZERO
        for i in range(size):
            reach[i, loads[i] >> 6] |= _ONE << np.uint64(loads[i] & 63)
        for at in range(size - 1, 0, -1):
            child = order[at]
            _join(reach, before, child, parent[child], low, high)
        root = order[0]
        seen = 0
        for w in range(low, high + 1):
            if _has(reach[root], w):
                seen += 1
                if draw_below(state, seen) == 0:
                    weight[root] = w
        if seen == 0:
            continue
        piece[root] = 0
        groups = 1
        for at in range(1, size):
            # children of a unit joined it last to first in `order`: undone, the first comes first
            child = order[at]
            p = parent[child]
            weight[p], weight[child], joins = _undo(
                before[child], reach[child], weight[p], low, high, state
            )
            if joins:
                piece[child] = piece[p]
            else:
                piece[child] = groups
                groups += 1
        if wanted == 0 or groups == wanted:
            return groups
    return 0


@njit(inline="always")
def _has(bits: Bits, w: int) -> bool:
    return (bits[w >> 6] >> np.uint64(w & 63)) & _ONE != _ZERO


@njit(cache=True, nogil=True)
def _join(reach: Bits, before: Bits, child: int, p: int, low: int, high: int) -> None:
    """Let a child join the group of its parent, or be complete by itself."""
    words = reach.shape[1]
    for i in range(words):
        before[child, i] = reach[p, i]
    complete = False
    for w in range(low, high + 1):
        if _has(reach[child], w):
            complete = True
            break
    if not complete:
        reach[p] = _ZERO
    for b in range(high + 1):
        if not _has(reach[child], b):
            continue
        # every load of the parent plus b
        word, bit = b >> 6, np.uint64(b & 63)
        for i in range(words - 1, word - 1, -1):
            bits = before[child, i - word] << bit
            if bit != _ZERO and i > word:
                bits |= before[child, i - word - 1] >> (np.uint64(64) - bit)
            reach[p, i] |= bits
    # loads above the band fall away
    last = np.uint64((high & 63) + 1)
    if last < np.uint64(64):
        reach[p, words - 1] &= (_ONE << last) - _ONE


@njit(cache=True, nogil=True)
def _undo(
    before: Bits, child: Bits, w: int, low: int, high: int, state: Bits
) -> tuple[int, int, bool]:
    """How a group came to weigh `w` when a child was added; one of all ways, by chance.

    Returns the weight without the child, that of the child, and whether the child is in the group.
    """
    seen = 0
    rest, own, joins = w, 0, False
    if _has(before, w):
        for b in range(low, high + 1):
            if _has(child, b):
                seen += 1
                if draw_below(state, seen) == 0:
                    rest, own, joins = w, b, False
    for b in range(w + 1):
        if _has(child, b) and _has(before, w - b):
            seen += 1
            if draw_below(state, seen) == 0:
                rest, own, joins = w - b, b, True
    return rest, own, joins


# ---------------------------------------------------------------- pockets


@njit(cache=True, nogil=True)
def rest_of(load: int, low: int, high: int) -> int:
    """Least load of a side that must join the gate's group, the rest being whole groups."""
    most = load // low
    return max(load - most * high, 0)


@njit(cache=True, nogil=True)
def gates(indptr: Ints, indices: Ints, loads: Ints, low: int, high: int) -> Ints:
    """Units of a connected graph at which no plan can be in the band.

    A gate is a unit whose removal leaves several sides. Groups that do not hold the gate lie
    wholly on one side, so a side whose load is not that of whole groups must give the rest of it
    to the gate's group; where all these rests and the gate itself exceed `high`, that group cannot
    be in the band. Sides come from one depth-first search (Hopcroft and Tarjan, 1973).

    Returns
    -------
    ndarray of int64
        The gates, in the order in which the search leaves them.
    """
    n = indptr.size - 1
    entered = np.full(n, -1, np.int64)
    lowest = np.zeros(n, np.int64)
    parent = np.full(n, -1, np.int64)
    at = indptr[:-1].copy()
    below = loads.copy()
    cut_off = np.zeros(n, np.int64)
    rests = np.zeros(n, np.int64)
    sides = np.zeros(n, np.int64)
    found = np.empty(n, np.int64)
    n_found = 0
    total = loads.sum()
    stack = np.empty(n, np.int64)
    stack[0] = 0
    entered[0] = 0
    top, clock = 1, 1
    while top > 0:
        u = stack[top - 1]
        if at[u] < indptr[u + 1]:
            v = indices[at[u]]
            at[u] += 1
            if entered[v] < 0:
                parent[v] = u
                entered[v] = clock
                lowest[v] = clock
                clock += 1
                stack[top] = v
                top += 1
            elif v != parent[u]:
                lowest[u] = min(lowest[u], entered[v])
            continue
        top -= 1
        # all that hangs below u is known now; what is not below u is its last side
        others = total - loads[u] - cut_off[u]
        n_sides = sides[u]
        need = loads[u] + rests[u]
        if others > 0:
            n_sides += 1
            need += rest_of(others, low, high)
        if n_sides > 1 and need > high:
            found[n_found] = u
            n_found += 1
        p = parent[u]
        if p >= 0:
            below[p] += below[u]
            lowest[p] = min(lowest[p], lowest[u])
            if lowest[u] >= entered[p] and below[u] > 0:
                sides[p] += 1
                cut_off[p] += below[u]
                rests[p] += rest_of(below[u], low, high)
    return found[:n_found]


# ---------------------------------------------------------------- every group, every division


@njit(cache=True, nogil=True)
def possible_groups(
    indptr: Ints,
    indices: Ints,
    borders: Ints,
    loads: Ints,
    low: int,
    high: int,
    extra: Ints,
    extra_low: Ints,
    extra_high: Ints,
    reach: Ints,
    widest: int,
    most: int,
    steps: int,
) -> tuple[Ints, Ints, Ints]:
    """List every connected group inside all bands, each once (compare Wernicke, 2006).

    From every unit the group grows over units that come later; each unit met is either taken in
    or ruled out for all that follows.

    Returns
    -------
    starts : ndarray of int64, shape (k + 1,)
        Where the units of each group begin; no entries if there are more than `most` groups, or
        more than `steps` decisions were needed.
    units : ndarray of int64
    inside : ndarray of int64, shape (k,)
        Length of the borders inside each group.
    """
    n = loads.size
    others = extra.shape[1]
    nothing = np.empty(0, np.int64)
    starts = np.zeros(most + 1, np.int64)
    inside = np.zeros(most, np.int64)
    units = np.empty(64, np.int64)
    found, filled, done = 0, 0, 0
    mark = np.zeros(n, np.int64)  # 0 free, 1 taken in, 2 ruled out
    chosen = np.empty(n, np.int64)
    trail = np.empty(n, np.int64)
    sums = np.zeros(others, np.int64)
    for root in range(n):
        sums[:] = 0
        size, depth, load = 0, 0, 0
        u = root
        while True:
            done += 1
            if done > steps:
                return nothing, nothing, nothing
            if u >= 0:
                fits = load + loads[u] <= high
                for q in range(others):
                    fits = fits and sums[q] + extra[u, q] <= extra_high[q]
                if fits and reach.shape[1] > 0:
                    for i in range(size):
                        fits = fits and not too_far(u, chosen[i], reach, widest)
                if fits:
                    mark[u] = 1
                    chosen[size] = u
                    size += 1
                    load += loads[u]
                    for q in range(others):
                        sums[q] += extra[u, q]
                else:
                    mark[u] = 2
                trail[depth] = u
                depth += 1
            else:
                fits = load >= low
                for q in range(others):
                    fits = fits and sums[q] >= extra_low[q]
                if fits and size > 0:
                    if found == most:
                        return nothing, nothing, nothing
                    while filled + size > units.size:
                        units = _grown(units, 2 * units.size, 0)
                    length = 0
                    for i in range(size):
                        units[filled + i] = chosen[i]
                        for e in range(indptr[chosen[i]], indptr[chosen[i] + 1]):
                            if mark[indices[e]] == 1:
                                length += borders[e]
                    inside[found] = length // 2
                    filled += size
                    found += 1
                    starts[found] = filled
                while depth > 0 and mark[trail[depth - 1]] == 2:
                    depth -= 1
                    mark[trail[depth]] = 0
                if depth <= 1:
                    break  # without its root there is no group here
                v = trail[depth - 1]
                mark[v] = 2
                size -= 1
                load -= loads[v]
                for q in range(others):
                    sums[q] -= extra[v, q]
            u = -1
            for i in range(size):
                for e in range(indptr[chosen[i]], indptr[chosen[i] + 1]):
                    if mark[indices[e]] == 0:
                        u = indices[e]
                        break
                if u >= 0:
                    break
        mark[root] = 2  # for all that follow; whatever else was marked is free again
    return starts[: found + 1].copy(), units[:filled].copy(), inside[:found].copy()


@njit(cache=True, nogil=True)
def choose_groups(starts: Ints, units: Ints, n: int, count: int, steps: int) -> tuple[Ints, int]:
    """Choose groups so that every unit is in exactly one: depth first, the hardest unit first.

    Parameters
    ----------
    starts, units : ndarray of int64
        As `possible_groups` lists them.
    n : int
        Number of units.
    count : int
        Number of groups to choose; 0 for any.
    steps : int
        Choices after which the search gives up.

    Returns
    -------
    chosen : ndarray of int64
    verdict : int
        1 where a choice was found, 0 where there is none (a proof), -1 where it gave up.
    """
    k = starts.size - 1
    holds = np.zeros(n + 1, np.int64)
    for i in range(units.size):
        holds[units[i] + 1] += 1
    holds = np.cumsum(holds)
    of_unit = np.empty(units.size, np.int64)
    fill = holds[:-1].copy()
    for g in range(k):
        for i in range(starts[g], starts[g + 1]):
            of_unit[fill[units[i]]] = g
            fill[units[i]] += 1
    blocked = np.zeros(k, np.int64)  # how many chosen groups share a unit with each
    free = holds[1:] - holds[:-1]  # groups of each unit that are not blocked
    taken = np.zeros(n, np.bool_)
    chosen = np.empty(n, np.int64)
    at = np.zeros(n + 1, np.int64)
    pick = np.empty(n + 1, np.int64)
    depth, left, done = 0, n, 0
    pick[0] = -1
    while True:
        if pick[depth] < 0 and left > 0:
            best = -1
            for u in range(n):
                if not taken[u] and (best < 0 or free[u] < free[best]):
                    best = u
            pick[depth], at[depth] = best, holds[best]
        if left == 0 and (count == 0 or depth == count):
            return chosen[:depth].copy(), 1
        found = -1
        if left > 0 and (count == 0 or depth < count):
            u = pick[depth]
            while at[depth] < holds[u + 1] and found < 0:
                g = of_unit[at[depth]]
                at[depth] += 1
                if blocked[g] == 0:
                    found = g
        if found >= 0:
            done += 1
            if done > steps:
                return chosen[:0].copy(), -1
            chosen[depth] = found
            left -= _block(found, 1, starts, units, holds, of_unit, blocked, free, taken)
            depth += 1
            pick[depth] = -1
        else:
            if depth == 0:
                return chosen[:0].copy(), 0
            depth -= 1
            left += _block(chosen[depth], -1, starts, units, holds, of_unit, blocked, free, taken)


@njit(cache=True, nogil=True)
def _block(
    g: int,
    sign: int,
    starts: Ints,
    units: Ints,
    holds: Ints,
    of_unit: Ints,
    blocked: Ints,
    free: Ints,
    taken: Flags,
) -> int:
    """Take a group, or give it back; how many units it has."""
    for i in range(starts[g], starts[g + 1]):
        u = units[i]
        taken[u] = sign > 0
        for j in range(holds[u], holds[u + 1]):
            other = of_unit[j]
            before = blocked[other]
            blocked[other] += sign
            if before == 0 or blocked[other] == 0:
                for e in range(starts[other], starts[other + 1]):
                    free[units[e]] -= sign
    return int(starts[g + 1] - starts[g])


# ---------------------------------------------------------------- every division


@njit(cache=True, nogil=True)
def best_division(
    indptr: Ints,
    indices: Ints,
    borders: Ints,
    loads: Ints,
    low: int,
    high: int,
    extra: Ints,
    extra_low: Ints,
    extra_high: Ints,
    reach: Ints,
    widest: int,
    work: Ints,
    even: int,
    most: int,
    wanted: int,
) -> tuple[Ints, int]:
    """Try every division of a very small graph: at most some 16 units.

    Dynamic programming over subsets of the units: the shortest borders with which a subset can be
    divided into so many connected groups inside all bands. Unevenness is weighed as in `anneal`.

    Parameters
    ----------
    even : int
        Millimetres / 2**28 for every squared unit of work of a group.
    most : int
        Most groups to consider.
    wanted : int
        Preferred number of groups; of the numbers that are possible the nearest is taken, the
        smaller of two.

    Returns
    -------
    labels : ndarray of int64
        Empty where no division is possible, which is a proof.
    n_groups : int
    """
    n = loads.size
    full = (1 << n) - 1
    adjacent = np.zeros(n, np.int64)
    for u in range(n):
        for e in range(indptr[u], indptr[u + 1]):
            adjacent[u] |= 1 << indices[e]
    apart = np.zeros(n, np.int64)
    if reach.shape[1] > 0:
        for u in range(n):
            for v in range(n):
                if u != v and too_far(u, v, reach, widest):
                    apart[u] |= 1 << v
    # worth[mask]: borders inside a subset that is a possible group less what its work costs
    never = -(1 << 62)
    worth = np.full(full + 1, never, np.int64)
    for mask in range(1, full + 1):
        load = 0
        for u in range(n):
            if (mask >> u) & 1:
                load += loads[u]
        if load < low or load > high:
            continue
        fits = True
        for q in range(extra.shape[1]):
            other = 0
            for u in range(n):
                if (mask >> u) & 1:
                    other += extra[u, q]
            fits = fits and extra_low[q] <= other <= extra_high[q]
        effort = 0
        for u in range(n):
            if (mask >> u) & 1:
                effort += work[u]
                fits = fits and (apart[u] & mask) == 0
        reached = mask & -mask
        grown = 0
        while grown != reached and fits:
            grown = reached
            for u in range(n):
                if (reached >> u) & 1:
                    reached |= adjacent[u] & mask
        if not fits or reached != mask:
            continue
        inside = 0
        for u in range(n):
            if (mask >> u) & 1:
                for e in range(indptr[u], indptr[u + 1]):
                    if (mask >> indices[e]) & 1:
                        inside += borders[e]
        worth[mask] = inside // 2 - ((even * effort * effort) >> 28)
    most = min(most, n)
    score = np.full((most + 1, full + 1), never, np.int64)
    choice = np.zeros((most + 1, full + 1), np.int64)
    score[0, 0] = 0
    for k in range(1, most + 1):
        for mask in range(1, full + 1):
            lowest = mask & -mask
            others = mask ^ lowest
            # every group that holds the lowest unit of the subset
            part = others
            while True:
                group = part | lowest
                if worth[group] > never and score[k - 1, mask ^ group] > never:
                    total = worth[group] + score[k - 1, mask ^ group]
                    if total > score[k, mask]:
                        score[k, mask] = total
                        choice[k, mask] = group
                if part == 0:
                    break
                part = (part - 1) & others
    chosen = -1
    for k in range(1, most + 1):
        if score[k, full] > never and (chosen < 0 or abs(k - wanted) < abs(chosen - wanted)):
            chosen = k
    if chosen < 0:
        return np.empty(0, np.int64), 0
    labels = np.empty(n, np.int64)
    left = full
    for k in range(chosen, 0, -1):
        group = choice[k, left]
        for u in range(n):
            if (group >> u) & 1:
                labels[u] = chosen - k
        left ^= group
    return labels, chosen
