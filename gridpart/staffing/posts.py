"""The rules by which the posts of one role are spread over grids.

Positions in, pairs of positions out; :mod:`gridpart.staffing.assign` knows the ids and makes the
tables.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gridpart.staffing.loads import ANY, IntArray, apportion, pack

__all__ = ["Outcome", "Posts", "assign_role"]


@dataclass(frozen=True)
class Posts:
    """The posts of one role in canonical order: where each stays (grid) or serves (place)."""

    ids: list[str]
    fixed: IntArray
    home: IntArray


@dataclass
class Outcome:
    """Pairs of post and grid, and the bounds of the parts that were solved one by one."""

    pairs: list[tuple[int, int]]
    lower_bound: float = 0.0

    def raise_bound(self, bound: float) -> None:
        """Keep the largest lower bound of the worst load that was shown."""
        self.lower_bound = max(self.lower_bound, bound)


def assign_role(
    households: Sequence[int], place_of: IntArray, n_places: int, posts: Posts
) -> Outcome:
    """Decide, place by place, whether posts are plenty or few, and solve each part."""
    held = np.bincount(posts.fixed[posts.fixed >= 0], minlength=len(households)).astype(np.int64)
    free = posts.fixed < 0
    rovers = np.flatnonzero(free & (posts.home == ANY)).tolist()
    grids_in = _members(place_of, n_places)
    free_in = _members(np.where(free, posts.home, ANY), n_places)
    posts_in = _members(posts.home, n_places)
    lacking = [
        max(0, int((held[grids] == 0).sum()) - len(own))
        for grids, own in zip(grids_in, free_in, strict=True)
    ]
    outcome = Outcome([(k, g) for k, g in enumerate(posts.fixed.tolist()) if g >= 0])
    plenty = sum(lacking) <= len(rovers)
    served = [c for c in range(n_places) if plenty or lacking[c] == 0]
    _one_grid_each(
        outcome,
        np.array(households, np.int64),
        held,
        [(grids_in[c], free_in[c]) for c in served],
        rovers if plenty else [],
    )
    short = [c for c in range(n_places) if c not in set(served)]
    # Without rovers the communities have nothing to do with each other.
    for pool in [short] if rovers and short else [[c] for c in short if len(posts_in[c])]:
        grids = np.concatenate([grids_in[c] for c in pool])
        workers = [k for c in pool for k in posts_in[c].tolist()] + rovers
        _several_grids_each(outcome, households, held, place_of, posts, grids, workers)
    return outcome


def _members(labels: IntArray, n: int) -> list[IntArray]:
    """Positions of each label 0 .. n-1, in order."""
    order = np.argsort(labels, kind="stable")
    ends = np.searchsorted(labels[order], np.arange(n + 1))
    return [order[ends[k] : ends[k + 1]] for k in range(n)]


def _one_grid_each(
    outcome: Outcome,
    households: IntArray,
    held: IntArray,
    parts: list[tuple[IntArray, IntArray]],
    rovers: list[int],
) -> None:
    """Posts are plenty: cover every grid, then send the others where the load is largest."""
    counts = held.copy()
    for grids, own in parts:
        bare = grids[held[grids] == 0]
        counts[bare[: len(own)]] = 1
        extra = len(own) - min(len(bare), len(own))
        if extra:  # then no grid of the place is bare
            counts[grids] = apportion(households[grids].tolist(), counts[grids], extra)
    everywhere = np.concatenate([grids for grids, _ in parts]) if parts else np.array([], np.int64)
    if len(everywhere) == 0:
        return
    own_counts = counts.copy()
    bare = everywhere[counts[everywhere] == 0]
    counts[bare] = 1
    counts[everywhere] = apportion(
        households[everywhere].tolist(), counts[everywhere], len(rovers) - len(bare)
    )
    for grids, own in parts:
        served = np.repeat(grids, (own_counts - held)[grids]).tolist()
        outcome.pairs += zip(own.tolist(), served, strict=True)
    roving = np.repeat(everywhere, (counts - own_counts)[everywhere]).tolist()
    outcome.pairs += zip(rovers, roving, strict=True)
    outcome.raise_bound(float((households[everywhere] / counts[everywhere]).max()))


def _several_grids_each(
    outcome: Outcome,
    households: Sequence[int],
    held: IntArray,
    place_of: IntArray,
    posts: Posts,
    grids: IntArray,
    workers: list[int],
) -> None:
    """Posts are few: hand each grid without a post to one, on top of what fixed posts hold."""
    # Shares of a grid with several fixed posts become whole numbers in this unit.
    unit = math.lcm(*(int(n) for n in held[grids] if n > 0))
    start = []
    for worker in workers:
        at = int(posts.fixed[worker])
        start.append(0 if at < 0 else households[at] * unit // int(held[at]))
    bare = grids[held[grids] == 0].tolist()
    packing = pack(
        [households[g] * unit for g in bare],
        place_of[bare].tolist(),
        start,
        posts.home[workers].tolist(),
    )
    outcome.pairs += [(workers[k], g) for k, g in zip(packing.holder, bare, strict=True)]
    outcome.raise_bound(packing.lower_bound / unit)
