"""The rules by which the posts of one role are spread over grids.

Positions in, pairs of positions out; :mod:`gridpart.staffing.assign` knows the ids and makes the
tables.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gridpart.staffing.loads import ANY, IntArray, shared_loads
from gridpart.staffing.matching import Wishes, matched
from gridpart.staffing.neighbours import Neighbours
from gridpart.staffing.scattered import scattered
from gridpart.staffing.sharing import FINENESS, Group, Place, shared_out

__all__ = ["Outcome", "Posts", "Rules", "assign_role"]

CANDIDATES = 40  # holders of a place that are tried when one may move


@dataclass(frozen=True)
class Rules:
    """What a post may hold.

    Attributes
    ----------
    max_grids : int or None
        Most grids of one post.
    cross_borders : bool
        Whether the grids of a post may lie in several communities.
    scattered : bool
        Whether they need not touch.
    free_beats : bool
        Whether a post may have several grids where there would be a post for each.
    max_moves : int
        Posts that may lose the grids they hold today.
    """

    max_grids: int | None = None
    cross_borders: bool = False
    scattered: bool = False
    free_beats: bool = False
    max_moves: int = 0


@dataclass(frozen=True)
class Posts:
    """The posts of one role in canonical order.

    Attributes
    ----------
    ids : list of str
    held : list of tuple of int
        Positions of the grids that each holds today.
    fixed : list of tuple of int
        Positions of the grids that each must keep.
    home : ndarray of int64, shape (n,)
        Place that each serves, or :data:`ANY`.
    wishes : Wishes
        What decides which of the posts that are alike comes to which grids.
    """

    ids: list[str]
    held: list[tuple[int, ...]]
    fixed: list[tuple[int, ...]]
    home: IntArray
    wishes: Wishes


@dataclass
class Outcome:
    """Pairs of post and grid.

    Attributes
    ----------
    pairs : list of tuple of int
    lower_bound : float
        No assignment by the same rules has a heaviest load below it, in parts of load.
    moved : list of int
        Posts that hold none of the grids that they held.
    """

    pairs: list[tuple[int, int]]
    lower_bound: float
    moved: list[int]


def assign_role(
    loads: Sequence[int], near: Neighbours | None, place_of: IntArray, posts: Posts, rules: Rules
) -> Outcome:
    """Share the grids of every place among the posts of one role.

    Parameters
    ----------
    loads : sequence of int
        Of every grid, whole parts.
    near : Neighbours or None
        Who touches whom; not needed where beats may be scattered.
    place_of : ndarray of int64
        Place of every grid.
    posts : Posts
    rules : Rules

    Returns
    -------
    Outcome
    """
    stay = [
        tuple(sorted({*held, *fixed})) for held, fixed in zip(posts.held, posts.fixed, strict=True)
    ]
    posts = replace(posts, fixed=[tuple(sorted(fixed)) for fixed in posts.fixed])
    if rules.cross_borders:
        place_of = np.zeros_like(place_of)
        posts = replace(posts, home=np.zeros_like(posts.home))
    elif not rules.scattered:  # who holds grids of several places keeps those of the first
        stay = [
            tuple(g for g in grids if place_of[g] == home)
            for grids, home in zip(stay, posts.home.tolist(), strict=True)
        ]
    office = _Office(list(loads), near, place_of, posts, rules)
    staying = office.assigned(stay)
    if not rules.max_moves or stay == posts.fixed:
        return staying
    return office.with_moves(staying, stay)


def _out_of_reach(places: list[Place], own: list[int], rovers: int) -> set[int]:
    """Grids that must stay without a post, where posts are too few for every connected set.

    Posts go to the heaviest sets first: their own place's, then those that may go anywhere.
    """
    caps = [max(place.total, 1) * FINENESS for place in places]
    needs = [_need_at_all(place) for place in places]
    if sum(max(need - mine, 0) for need, mine in zip(needs, own, strict=True)) <= rovers:
        return set()
    waiting: list[Group] = []
    weight: dict[Group, int] = {}
    for place, cap, need, mine in zip(places, caps, needs, own, strict=True):
        if need <= mine:
            continue
        free = [group for group in place.shared(need, cap) if group.post < 0]
        weight |= {group: sum(place.loads[g] for g in group.grids) for group in free}
        free.sort(key=lambda group: (-weight[group], group.grids))
        waiting += free[mine:]
    waiting.sort(key=lambda group: (-weight[group], group.grids))
    return {g for group in waiting[rovers:] for g in group.grids}


def _need_at_all(place: Place) -> int:
    """How many more posts a place needs, however heavy their loads."""
    return place.need(max(place.total, 1) * FINENESS).found


@dataclass
class _Office:
    """What is the same however many posts move."""

    loads: list[int]
    near: Neighbours | None
    place_of: IntArray
    posts: Posts
    rules: Rules

    def assigned(self, stay: list[tuple[int, ...]]) -> Outcome:
        """Everybody keeps the grids in `stay`; the rest is shared out."""
        if self.rules.scattered:
            return self._scattered(stay)
        own, rovers = self._pools(stay)
        number = [len(pool) for pool in own]
        places = self._places(stay)
        left_open = _out_of_reach(places, number, len(rovers))
        if left_open and self.rules.max_grids is not None:
            left_open = self._given_back(stay, left_open, places, number, len(rovers))
        if left_open:
            places = self._places(stay, without=left_open)
        shared, roving, bound = shared_out(places, number, len(rovers))
        loads = self._loads_of(group for found in shared for group in found)
        pairs: list[tuple[int, int]] = []
        waiting: list[Group] = []
        for pool, found, others in zip(own, shared, roving, strict=True):
            pairs += [(group.post, g) for group in found if group.post >= 0 for g in group.grids]
            free = [group for group in found if group.post < 0]
            named, rest = matched(pool, free, len(free) - others, loads, self.posts.wishes)
            pairs += named
            waiting += rest
        named, _ = matched(rovers, waiting, len(waiting), loads, self.posts.wishes)
        return self._outcome(pairs + named, bound / FINENESS)

    def _given_back(
        self,
        stay: list[tuple[int, ...]],
        left_open: set[int],
        places: list[Place],
        own: list[int],
        rovers: int,
    ) -> set[int]:
        """Grids of those left open that still find a post, the heaviest first.

        Where posts may have so many grids and no more, the fewest posts for all grids need not
        leave the fewest open without them. What seated posts of two grids each can cover is a
        matroid (a transversal one), so that there one after the other loses none.
        """
        kept = set(left_open)
        at = {g: k for k, place in enumerate(places) for g in place.count}
        tried = self._places(stay, without=kept)
        needs = [max(_need_at_all(place) - mine, 0) for place, mine in zip(tried, own, strict=True)]
        for g in sorted(left_open, key=lambda g: (-self.loads[g], g)):
            k = at[g]
            again = kept - {g}
            place = self._place(
                [one for one in places[k].count if one not in again], places[k].holders
            )
            need = max(_need_at_all(place) - own[k], 0)
            if sum(needs) - needs[k] + need <= rovers:
                kept, needs[k] = again, need
        return kept

    def _outcome(self, pairs: list[tuple[int, int]], bound: float) -> Outcome:
        kept = {k for k, g in pairs if g in self.posts.held[k]}
        moved = [k for k, held in enumerate(self.posts.held) if held and k not in kept]
        outcome = Outcome(sorted(pairs), bound, moved)
        # caps are whole fractions of a part, loads need not be
        outcome.lower_bound = min(bound, self._worst(outcome))
        return outcome

    def _pools(self, stay: list[tuple[int, ...]]) -> tuple[list[list[int]], list[int]]:
        """Posts that come to each place, and those that may come to any."""
        own: list[list[int]] = [[] for _ in range(self._n_places)]
        rovers: list[int] = []
        for k, home in enumerate(self.posts.home.tolist()):
            if stay[k]:
                continue
            (rovers if home == ANY else own[home]).append(k)
        return own, rovers

    @property
    def _n_places(self) -> int:
        return int(self.place_of.max(initial=-1)) + 1

    def _places(self, stay: list[tuple[int, ...]], without: Collection[int] = ()) -> list[Place]:
        holders: list[dict[int, tuple[int, ...]]] = [{} for _ in range(self._n_places)]
        for k, grids in enumerate(stay):
            if grids:
                holders[int(self.place_of[grids[0]])][k] = grids
        order = np.argsort(self.place_of, kind="stable")
        ends = np.searchsorted(self.place_of[order], np.arange(self._n_places + 1))
        return [
            self._place([g for g in order[start:end].tolist() if g not in without], holders[number])
            for number, (start, end) in enumerate(itertools.pairwise(ends.tolist()))
        ]

    def _place(self, grids: list[int], holders: dict[int, tuple[int, ...]]) -> Place:
        assert self.near is not None, "without neighbours beats are scattered"
        at, rules = np.array(grids, np.int64), self.rules
        return Place(at, self.loads, self.near, holders, rules.max_grids, rules.free_beats)

    def _loads_of(self, groups: Iterable[Group]) -> dict[Group, float]:
        """Load of whoever holds a group: a grid is shared equally by those who hold it."""
        listed = list(groups)
        loads = shared_loads([group.grids for group in listed], self.loads)
        return dict(zip(listed, loads, strict=True))

    # ------------------------------------------------------------ moving some

    def with_moves(self, staying: Outcome, stay: list[tuple[int, ...]]) -> Outcome:
        """Release one holder after the other where that lowers the heaviest load most."""
        stay, best = list(stay), staying
        for _ in range(self.rules.max_moves):
            released = self._best_release(best, stay)
            if released is None:
                break
            trial = self._without(stay, released)
            found = self.assigned(trial)
            if len(found.moved) > self.rules.max_moves or self._rank(found) >= self._rank(best):
                break
            stay, best = trial, found
        bound = min(staying.lower_bound, self.assigned(list(self.posts.fixed)).lower_bound)
        holders = Counter(g for grids in self.posts.held for g in grids)
        if any(n > 1 for n in holders.values()) or any(len(g) > 1 for g in self.posts.held):
            # whoever shares a grid, or has several, is better off than if everybody moved
            covered = {g for _, g in best.pairs}
            bound = min(bound, sum(self.loads[g] for g in covered) / len(self.posts.ids))
        # else no way of moving has a heaviest load below what everybody's moving has
        return Outcome(best.pairs, min(bound, self._worst(best)), best.moved)

    def _rank(self, outcome: Outcome) -> tuple[int, float]:
        """Grids without a post, then the heaviest load."""
        return -len({g for _, g in outcome.pairs}), self._worst(outcome)

    def _worst(self, outcome: Outcome) -> float:
        return max(self._post_loads(outcome), default=0.0)

    def _post_loads(self, outcome: Outcome) -> list[float]:
        held: list[list[int]] = [[] for _ in self.posts.ids]
        for k, g in outcome.pairs:
            held[k].append(g)
        return shared_loads(held, self.loads)

    def _best_release(self, outcome: Outcome, stay: list[tuple[int, ...]]) -> int | None:
        """Who can go where nobody is; else who should leave the place of the heaviest load."""
        loads = self._post_loads(outcome)
        open_ = set(range(len(self.loads))) - {g for _, g in outcome.pairs}
        for place in sorted({int(self.place_of[g]) for g in open_}):
            spare = self._spare(outcome, stay, place)
            if spare is not None:
                return spare
        heaviest = max({k for k, _ in outcome.pairs}, key=lambda k: (loads[k], -k))
        place = int(self.place_of[next(g for k, g in outcome.pairs if k == heaviest)])
        here = {k for k, g in outcome.pairs if self.place_of[g] == place}
        best: tuple[float, int] | None = None
        for k in self._candidates(outcome, stay, place):
            trial = self._without(stay, k)
            number = sum(not trial[one] for one in here)
            found = self._places(trial, without=open_)[place]
            if found.need(max(found.total, 1) * FINENESS).found > number:
                continue
            groups, _, _ = shared_out([found], [number], 0)
            worst = max(self._loads_of(groups[0]).values())
            if best is None or worst < best[0]:
                best = (worst, k)
        return None if best is None or best[0] >= loads[heaviest] else best[1]

    def _spare(self, outcome: Outcome, stay: list[tuple[int, ...]], place: int) -> int | None:
        """Holder without whom the others of a place need no more posts than with."""
        cap = max(sum(self.loads), 1) * FINENESS
        needed = self._places(stay)[place].need(cap).found
        for k in self._candidates(outcome, stay, place):
            if self._places(self._without(stay, k))[place].need(cap).found <= needed:
                return k
        return None

    def _candidates(self, outcome: Outcome, stay: list[tuple[int, ...]], place: int) -> list[int]:
        """Holders of a place who may move, the least loaded first."""
        loads = self._post_loads(outcome)
        here = {k for k, g in outcome.pairs if self.place_of[g] == place}
        may_move = (k for k in here if stay[k] and stay[k] != self.posts.fixed[k])
        return sorted(may_move, key=lambda k: (loads[k], k))[:CANDIDATES]

    def _without(self, stay: list[tuple[int, ...]], post: int) -> list[tuple[int, ...]]:
        """Who stays if one more post may move."""
        return [self.posts.fixed[k] if k == post else grids for k, grids in enumerate(stay)]

    # ------------------------------------------------------------ grids that need not touch

    def _scattered(self, stay: list[tuple[int, ...]]) -> Outcome:
        """Share out without regard to neighbours."""
        own, rovers = self._pools(stay)
        found = scattered(self.loads, self.place_of, stay, own, rovers)
        return self._outcome(*found)
