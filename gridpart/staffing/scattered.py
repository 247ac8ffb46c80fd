"""Posts whose grids need not touch: where nobody knows, or nobody asks, which grids are neighbours.

Positions in, pairs of positions out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from gridpart.staffing.loads import ANY, IntArray, apportion, pack

__all__ = ["scattered"]

Pairs = list[tuple[int, int]]


def scattered(
    loads: Sequence[int],
    place_of: IntArray,
    stay: Sequence[tuple[int, ...]],
    own: Sequence[list[int]],
    rovers: list[int],
) -> tuple[Pairs, float]:
    """Spread posts over grids, place by place; which grids of a place a post has is all the same.

    Parameters
    ----------
    loads : sequence of int
        Of every grid.
    place_of : ndarray of int64
        Place of every grid.
    stay : sequence of tuple of int
        Grids of each post that stays; empty for the others.
    own : sequence of list of int
        Posts that come to each place and to no other.
    rovers : list of int
        Posts that may come to any.

    Returns
    -------
    pairs : list of tuple of int
        Post and grid.
    lower_bound : float
        No way of spreading them has a heaviest load below it.
    """
    weights = np.array(loads, np.int64)
    pairs = [(k, g) for k, grids in enumerate(stay) for g in grids]
    held = np.bincount([g for _, g in pairs], minlength=weights.size).astype(np.int64)
    grids_in = [np.flatnonzero(place_of == k) for k in range(len(own))]
    lacking = [
        max(0, int((held[grids] == 0).sum()) - len(mine))
        for grids, mine in zip(grids_in, own, strict=True)
    ]
    plenty = sum(lacking) <= len(rovers)
    served = [c for c in range(len(own)) if plenty or lacking[c] == 0]
    more, bound = _one_grid_each(
        weights, held, [(grids_in[c], own[c]) for c in served], rovers if plenty else []
    )
    pairs += more
    short = [c for c in range(len(own)) if c not in set(served)]
    here: list[list[int]] = [list(mine) for mine in own]
    for k, grids in enumerate(stay):
        if grids:
            here[int(place_of[grids[0]])].append(k)
    # Without rovers the places have nothing to do with each other.
    for pool in [short] if rovers and short else [[c] for c in short if here[c]]:
        workers = [k for c in pool for k in sorted(here[c])] + rovers
        homes = [c for c in pool for _ in here[c]] + [ANY] * len(rovers)
        bare = [g for c in pool for g in grids_in[c].tolist() if held[g] == 0]
        found, least = _several_grids_each(weights, held, stay, bare, place_of, workers, homes)
        pairs, bound = pairs + found, max(bound, least)
    return pairs, bound


def _one_grid_each(
    weights: IntArray, held: IntArray, parts: list[tuple[IntArray, list[int]]], rovers: list[int]
) -> tuple[Pairs, float]:
    """Posts are plenty: cover every grid, then send the others where the load is largest."""
    if not parts:
        return [], 0.0
    counts = held.copy()
    for grids, own in parts:
        bare = grids[held[grids] == 0]
        counts[bare[: len(own)]] = 1
        extra = len(own) - min(len(bare), len(own))
        if extra:  # then no grid of the place is bare
            counts[grids] = apportion(weights[grids].tolist(), counts[grids], extra)
    everywhere = np.concatenate([grids for grids, _ in parts])
    own_counts = counts.copy()
    bare = everywhere[counts[everywhere] == 0]
    counts[bare] = 1
    counts[everywhere] = apportion(
        weights[everywhere].tolist(), counts[everywhere], len(rovers) - len(bare)
    )
    pairs: Pairs = []
    for grids, own in parts:
        served = np.repeat(grids, (own_counts - held)[grids]).tolist()
        pairs += zip(own, served, strict=True)
    roving = np.repeat(everywhere, (counts - own_counts)[everywhere]).tolist()
    pairs += zip(rovers, roving, strict=True)
    return pairs, float((weights[everywhere] / counts[everywhere]).max(initial=0))


def _several_grids_each(
    weights: IntArray,
    held: IntArray,
    stay: Sequence[tuple[int, ...]],
    bare: list[int],
    place_of: IntArray,
    workers: list[int],
    homes: list[int],
) -> tuple[Pairs, float]:
    """Posts are few: hand each grid without a post to one, on top of what it has."""
    shares = [int(held[g]) for k in workers for g in stay[k]]
    # Shares of a grid with several posts become whole numbers in this unit.
    unit = math.lcm(*shares)
    start = [sum(int(weights[g]) * unit // int(held[g]) for g in stay[k]) for k in workers]
    packing = pack([int(weights[g]) * unit for g in bare], place_of[bare].tolist(), start, homes)
    pairs = [(workers[k], g) for k, g in zip(packing.holder, bare, strict=True)]
    return pairs, packing.lower_bound / unit
