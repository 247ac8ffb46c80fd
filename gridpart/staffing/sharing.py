"""Places that posts are shared out to: how many each needs under a cap, and who then holds what.

A place is what a post may serve: a community, or everything where beats may cross borders. Loads
are whole parts; caps are whole fractions of a part, because several posts may share a grid.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array

from gridpart.staffing.loads import IntArray, apportion, shared_loads
from gridpart.staffing.neighbours import Neighbours
from gridpart.staffing.region import Answer, Region

__all__ = ["FINENESS", "Group", "Place", "shared_out"]

# Shares of a grid among up to ten posts are whole in this unit.
FINENESS = 5040
IMPOSSIBLE = 1 << 40


class Group(NamedTuple):
    """What one post holds: the post, or -1 for any that comes, and positions of grids."""

    post: int
    grids: tuple[int, ...]


@dataclass(eq=False)
class Place:
    """Grids that may be served by the same posts.

    Parameters
    ----------
    grids : ndarray of int64
        Positions of its grids.
    loads : list of int
        Of all grids, whole parts.
    near : Neighbours
        Of all grids.
    holders : dict of int to tuple of int
        Grids of each post that stays.
    max_grids : int, optional
        Most grids of one post.
    free_beats : bool
        Whether a post may have several grids where there would be a post for each.
    undivided : bool
        Whether a grid has one post at most.
    """

    grids: IntArray
    loads: list[int]
    near: Neighbours
    holders: dict[int, tuple[int, ...]]
    max_grids: int | None = None
    free_beats: bool = False
    undivided: bool = False
    _regions: dict[tuple[int, ...], list[Region]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.count = {int(g): 0 for g in self.grids}
        for grids in self.holders.values():
            for g in grids:
                self.count[g] += 1
        # shares of a grid among those who stay there become whole numbers in this unit, or
        # are rounded up where it would be too fine to count with
        lcm = math.lcm(*(n for n in self.count.values() if n > 0))
        self.share = lcm if lcm <= FINENESS else FINENESS
        self._at = {int(g): k for k, g in enumerate(self.grids)}
        self._near = self.near.among(self.grids)
        shares = (-(-self.loads[g] * FINENESS // max(n, 1)) for g, n in self.count.items())
        self._heaviest = max(shares, default=0)

    @property
    def bare(self) -> list[int]:
        """Grids that no post has yet."""
        return [g for g, n in self.count.items() if n == 0]

    @property
    def total(self) -> int:
        """Load of the place."""
        return sum(self.loads[g] for g in self.count)

    @property
    def floor(self) -> int:
        """Heaviest load of a post that stays with several grids, in the unit of caps."""
        held = (grids for grids in self.holders.values() if len(grids) > 1)
        loads = (sum(FINENESS * self.loads[g] // self.count[g] for g in grids) for grids in held)
        return max(loads, default=0)

    def heavy(self, cap: int) -> list[int]:
        """Grids that are too much for those who hold them, or for one post."""
        if cap >= self._heaviest:
            return []
        return [g for g, n in self.count.items() if self.loads[g] * FINENESS > cap * max(n, 1)]

    def need(self, cap: int, enough: int | None = None) -> Answer:
        """How many more posts keep every load at or below ``cap / FINENESS``.

        Found are so many as are never there, if posts that stay carry more than that already.

        Parameters
        ----------
        cap : int
        enough : int, optional
            A number that is as good as any below it.
        """
        heavy = self.heavy(cap)
        if heavy and self.undivided:
            return Answer(IMPOSSIBLE, IMPOSSIBLE)
        if heavy and not self.free_beats:
            more = sum(self._missing(g, cap) for g in self.count)
            return Answer(more, more)
        found = proven = sum(self._missing(g, cap) for g in heavy)
        regions = self.regions(tuple(heavy))
        alone = enough - found if enough is not None and len(regions) == 1 else None
        for region in regions:
            answer = region.fewest(cap * self.share // FINENESS, alone)
            if answer is None:
                # who stays with several grids is helped only where newcomers are left over
                joined = sum(
                    self._missing(g, cap) for g in (heavy if self.free_beats else self.count)
                )
                left_over = 1 if self.free_beats else len(self.bare) + 1
                return Answer(IMPOSSIBLE, max(joined, left_over))
            found, proven = found + answer.found, proven + answer.proven
        return Answer(found, proven)

    def bound(self, cap: int, enough: int | None = None) -> int:
        """So many more posts are needed under a cap at least: less exact, but quick.

        Parameters
        ----------
        cap, enough
            As in :meth:`need`.
        """
        heavy = self.heavy(cap)
        if heavy and (self.undivided or not self.free_beats):
            return self.need(cap).proven
        limit = cap * self.share // FINENESS
        needed = sum(self._missing(g, cap) for g in heavy)
        regions = self.regions(tuple(heavy))
        alone = enough - needed if enough is not None and len(regions) == 1 else None
        for region in regions:
            if int(region.loads.max()) > limit:
                return self.need(cap).proven
            needed += region.bound(limit, alone)
        return needed

    def _missing(self, grid: int, cap: int) -> int:
        """Posts that a grid needs besides its own, if nobody on it holds anything else."""
        wanted = max(-(-self.loads[grid] * FINENESS // cap), 1)
        return max(wanted - self.count[grid], 0)

    def regions(self, heavy: tuple[int, ...] = ()) -> list[Region]:
        """Connected sets of grids and posts, without the grids that are too heavy for one post."""
        if heavy not in self._regions:
            self._regions[heavy] = self._cut_up(set(heavy))
        return self._regions[heavy]

    @cached_property
    def _active(self) -> list[int]:
        """Posts that may take a grid: of those that hold the same, one for every bare grid."""
        alike = Counter[tuple[int, ...]]()
        active, most = [], max(len(self.bare), 1)
        for post, grids in self.holders.items():
            alike[grids] += 1
            if alike[grids] <= most:
                active.append(post)
        return active

    def _cut_up(self, heavy: set[int]) -> list[Region]:
        posts = [post for post in self._active if not heavy & set(self.holders[post])]
        bare = [g for g in self.bare if g not in heavy]
        parts = [*(self.holders[post] for post in posts), *((g,) for g in bare)]
        if not parts:
            return []
        names = np.array([*posts, *(-1 - g for g in bare)], np.int64)
        near = _contracted(
            self._near, [tuple(self._at[g] for g in part) for part in parts], len(posts)
        )
        loads = [
            sum(-(-self.loads[g] * self.share // max(self.count[g], 1)) for g in part)
            for part in parts
        ]
        load, held = np.array(loads, np.int64), names >= 0
        size = np.array([len(part) for part in parts], np.int64)
        return [
            Region(names[at], near.among(at), load[at], held[at], size[at], self.max_grids)
            for at in near.regions()
        ]

    def shared(self, more: int, cap: int) -> list[Group]:
        """Who holds what, with so many posts more than those who stay; heavy where they must be.

        Parameters
        ----------
        more : int
            At least what :meth:`need` finds for `cap`.
        cap : int
        """
        if more < len(self.bare):
            return self._in_beats(more, cap)
        one_each = self._one_each(more)
        if not self.free_beats:
            return one_each
        return min(self._in_beats(more, cap), one_each, key=self._worst)

    def _worst(self, groups: list[Group]) -> float:
        return max(shared_loads([group.grids for group in groups], self.loads), default=0.0)

    def _in_beats(self, more: int, cap: int) -> list[Group]:
        """Beats below the cap; who has a grid above it has nothing else."""
        heavy = self.heavy(cap)
        groups = self._on_heavy(heavy, cap)
        more -= sum(group.post < 0 for group in groups)
        regions = self.regions(tuple(heavy))
        limit = cap * self.share // FINENESS
        enough = more if len(regions) == 1 else None
        counts = [_found(region, limit, enough) for region in regions]
        for _ in range(more - sum(counts)):
            # another post goes where the mean load of a post is highest
            open_ = [k for k, region in enumerate(regions) if counts[k] < region.bare]
            if not open_:
                break
            k = max(open_, key=lambda k: (_mean(regions[k], counts[k]), -k))
            counts[k] += 1
        for region, count in zip(regions, counts, strict=True):
            groups += self._beats(region, count, limit)
        told = {group.post for group in groups}
        groups += [Group(post, grids) for post, grids in self.holders.items() if post not in told]
        return [*groups, *self._beside(groups, more - sum(counts))]

    def _one_each(self, more: int) -> list[Group]:
        """Every grid has a post of its own; the others go where the load of a post is highest."""
        order = list(self.count)
        counts = np.array([max(self.count[g], 1) for g in order], np.int64)
        extra = more - len(self.bare)
        if extra and any(len(grids) > 1 for grids in self.holders.values()):
            counts = self._relieved(order, counts, extra)
        else:
            counts = apportion([self.loads[g] for g in order], counts, extra)
        groups = [Group(post, grids) for post, grids in self.holders.items()]
        for g, n in zip(order, counts.tolist(), strict=True):
            groups += [Group(-1, (g,))] * (n - self.count[g])
        return groups

    def _relieved(self, order: list[int], counts: IntArray, extra: int) -> IntArray:
        """Each newcomer joins the heaviest post, on the grid where that takes most off it."""
        at = {g: k for k, g in enumerate(order)}
        several = sorted(
            {tuple(at[g] for g in grids) for grids in self.holders.values() if len(grids) > 1}
        )
        loads = np.array([self.loads[g] for g in order], np.float64)
        for _ in range(extra):
            share = loads / counts
            sums = [float(share[list(grids)].sum()) for grids in several]
            heaviest = several[int(np.argmax(sums))]
            joined = int(share.argmax())
            if max(sums) > share[joined]:
                joined = max(heaviest, key=lambda k: (share[k] / (counts[k] + 1), -k))
            counts[joined] += 1
        return counts

    def _on_heavy(self, heavy: list[int], cap: int) -> list[Group]:
        groups = [
            Group(post, grids) for post, grids in self.holders.items() if set(heavy) & set(grids)
        ]
        for g in heavy:
            groups += [Group(-1, (g,))] * self._missing(g, cap)
        return groups

    def _beats(self, region: Region, count: int, limit: int) -> list[Group]:
        sharing = region.divide(count, limit, even=True)
        assert sharing is not None, "a number of posts that was found is found again"
        groups = []
        for label in range(int(sharing.labels.max()) + 1):
            names = region.nodes[sharing.labels == label].tolist()
            post = next((name for name in names if name >= 0), -1)
            held = self.holders[post] if post >= 0 else ()
            grids = {-1 - name for name in names if name < 0}
            groups.append(Group(post, tuple(sorted({*held, *grids}))))
        return groups

    def _beside(self, groups: list[Group], extra: int) -> list[Group]:
        """Posts that are left join those who have one grid only, where the load is highest."""
        several = {g for group in groups if len(group.grids) > 1 for g in group.grids}
        single: dict[int, int] = {}
        for group in groups:
            if group.grids[0] not in several:
                single[group.grids[0]] = single.get(group.grids[0], 0) + 1
        if extra <= 0 or not single:
            return []
        order = list(single)
        counts = np.array([single[g] for g in order], np.int64)
        after = apportion([self.loads[g] for g in order], counts, extra)
        return [
            Group(-1, (g,))
            for g, n in zip(order, (after - counts).tolist(), strict=True)
            for _ in range(n)
        ]


def _mean(region: Region, more: int) -> float:
    return float(region.loads.sum() / max(region.posts + more, 1))


def _found(region: Region, limit: int, enough: int | None) -> int:
    answer = region.fewest(limit, enough)
    assert answer is not None, "the place has no beats under this cap"
    return answer.found


def _contracted(near: Neighbours, parts: list[tuple[int, ...]], posts: int) -> Neighbours:
    """Neighbours of sets of grids; sets may share grids.

    The first sets are those of posts. Two of them are never in one beat: that they touch is left
    out, which makes regions small.
    """
    n, size = len(parts), near.x.size
    of = np.repeat(np.arange(n), [len(part) for part in parts])
    grids = np.array([g for part in parts for g in part], np.int64)
    member = coo_array((np.ones(grids.size, np.int64), (of, grids)), shape=(n, size)).tocsr()
    rows = np.repeat(np.arange(size), np.diff(near.indptr))
    graph = coo_array((near.borders, (rows, near.indices)), shape=(size, size)).tocsr()
    matrix = (member @ graph @ member.T).tocoo()
    useful = (matrix.row != matrix.col) & ((matrix.row >= posts) | (matrix.col >= posts))
    ends = (matrix.row[useful], matrix.col[useful])
    matrix = coo_array((matrix.data[useful], ends), shape=(n, n)).tocsr()
    matrix.sort_indices()
    first = np.array([part[0] for part in parts], np.int64)
    return Neighbours(
        matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64),
        matrix.data.astype(np.int64), near.x[first], near.y[first],
    )  # fmt: skip


def shared_out(
    places: list[Place], own: list[int], rovers: int
) -> tuple[list[list[Group]], list[int], int]:
    """Share posts out to places so that the heaviest load is as small as possible.

    Parameters
    ----------
    places : list of Place
    own : list of int
        Posts that come to each place and to no other.
    rovers : int
        Posts that may come to any.

    Returns
    -------
    groups : list of list of Group
        Of each place.
    roving : list of int
        Groups of each place that rovers take.
    bound : int
        No way of sharing has a heaviest load below ``bound / FINENESS``.

    Notes
    -----
    The smallest cap is found by halves: what each place needs under a cap adds up. Where the
    needs are proven, so is the cap.
    """
    pool = _Pool(places, own, rovers)
    least, most = pool.range()
    if pool.lacking(most, proven=False) > rovers:
        raise ValueError("there are too few posts for every grid to have one")
    # who holds several grids and stays has a load that no sharing changes
    low = min(max([least, *(place.floor for place in places)]), most)
    cap = _smallest(low, most, lambda cap: pool.lacking(cap, proven=False) <= rovers)
    bound = cap
    if least < cap and pool.lacking(cap - 1, proven=True) <= rovers:
        bound = _smallest(least, cap - 1, lambda cap: pool.lacking(cap, proven=True) <= rovers)
    more = pool.spread(cap)
    groups = [place.shared(count, cap) for place, count in zip(places, more, strict=True)]
    roving = [
        max(sum(group.post < 0 for group in found) - mine, 0)
        for found, mine in zip(groups, own, strict=True)
    ]
    return groups, roving, bound


@dataclass(eq=False)
class _Pool:
    """Places, the posts that come to each, and those that may come to any."""

    places: list[Place]
    own: list[int]
    rovers: int

    def __post_init__(self) -> None:
        bare = [len(place.bare) for place in self.places]
        lacking = sum(max(n - mine, 0) for n, mine in zip(bare, self.own, strict=True))
        self.free = any(place.free_beats for place in self.places)
        self.plenty = lacking <= self.rovers
        self.bare = bare
        # who is alone need not know how few would do
        self.enough: list[int | None] = [None] * len(self.places)
        if len(self.places) == 1:
            self.enough = [self.own[0] + self.rovers]
        elif not self.rovers:
            self.enough = list(self.own)

    def needed(self, k: int, cap: int, *, proven: bool) -> int:
        """Posts that a place needs under a cap."""
        answer = self.places[k].need(cap, self.enough[k])
        return self._allowed(k, answer.proven if proven else answer.found)

    def _allowed(self, k: int, count: int) -> int:
        """The same, by the rules about posts that are plenty or few."""
        if self.free:
            return count
        if self.plenty:  # then nobody holds two grids
            return max(count, self.bare[k])
        # nobody comes second to a grid while others have none of their own
        return count if count <= max(self.bare[k], self.own[k]) else IMPOSSIBLE

    def lacking(self, cap: int, *, proven: bool) -> int:
        """Rovers that are needed under a cap."""
        bounds = (
            self._allowed(k, place.bound(cap, self.enough[k]))
            for k, place in enumerate(self.places)
        )
        total = sum(max(n - mine, 0) for n, mine in zip(bounds, self.own, strict=True))
        if total > self.rovers:
            return total
        total = 0
        for k, mine in enumerate(self.own):
            total += max(self.needed(k, cap, proven=proven) - mine, 0)
            if total > self.rovers:
                break
        return total

    def range(self) -> tuple[int, int]:
        """Caps between which the best one lies."""
        posts = sum(self.own) + self.rovers + sum(len(place.holders) for place in self.places)
        low = -(-sum(place.total for place in self.places) * FINENESS // max(posts, 1))
        for place, mine in zip(self.places, self.own, strict=True):
            count = len(place.holders) + mine + self.rovers
            low = max(low, -(-place.total * FINENESS // max(count, 1)))
        high = max((place.total for place in self.places), default=0) * FINENESS
        return max(min(low, high), 1), max(high, 1)

    def spread(self, cap: int) -> list[int]:
        """Posts of each place: what it needs, and the others where their mean load is highest."""
        result = [max(self.needed(k, cap, proven=False), mine) for k, mine in enumerate(self.own)]
        left = self.rovers + sum(self.own) - sum(result)
        most = [
            IMPOSSIBLE if self.free or (self.plenty and not place.undivided) else max(n, mine)
            for place, n, mine in zip(self.places, self.bare, self.own, strict=True)
        ]
        there = [len(place.holders) for place in self.places]
        heap = [
            (-place.total / max(there[k] + result[k], 1), k)
            for k, place in enumerate(self.places)
            if place.count
        ]
        heapq.heapify(heap)
        while left > 0 and heap:
            _, k = heapq.heappop(heap)
            if result[k] < most[k]:
                result[k] += 1
                left -= 1
                heapq.heappush(heap, (-self.places[k].total / (there[k] + result[k]), k))
        return result


def _smallest(low: int, high: int, does: Callable[[int], bool]) -> int:
    """The smallest number from `low` that does; `high` is known to.

    In growing steps from below, then by halves: the best cap is mostly near what arithmetic
    allows, and beats under a high cap are of no use.
    """
    step = max(low // 16, 1)
    while low < high and low + step < high:
        if does(low + step):
            high = low + step
            break
        low, step = low + step + 1, 2 * step
    while low < high:
        middle = (low + high) // 2
        if does(middle):
            high = middle
        else:
            low = middle + 1
    return high
