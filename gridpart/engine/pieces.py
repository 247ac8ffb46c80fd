"""One connected part, piece by piece: what can be divided, is; what cannot is named and proven.

What arithmetic or a gate forbids is cut off first; the rest is divided (see `dividing`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from gridpart.engine import kernels
from gridpart.engine.cures import CuresOfPart, Relaxation, cures_of, found_only, needed
from gridpart.engine.dividing import Dividing, Found
from gridpart.engine.kernels import Bits, Ints
from gridpart.engine.part import Bounds, Part
from gridpart.engine.settings import Settings

__all__ = ["PROVEN", "REASONS", "Piece", "solve_part"]

# Reason codes of groups outside the band; part of the interface.
REASONS = (
    "unit_above_band",
    "component_below_band",
    "no_count_fits",
    "pocket",
    "proven_by_search",
    "not_found",
)
PROVEN = REASONS[:-1]


@dataclass(frozen=True, eq=False)
class Piece:
    """Units of a part that are divided among themselves.

    Attributes
    ----------
    members : ndarray of int64
        Places of the units in the part.
    labels : ndarray of int64
        Group of each, from 0.
    reasons : list of str
        Why a group is outside the band; empty for groups inside.
    relaxations : tuple of Relaxation
        What would cure the groups that are outside.
    cause : ndarray of int64, optional
        Places of the units that keep the piece outside; by default those of each group itself.
    """

    members: Ints
    labels: Ints
    reasons: list[str]
    relaxations: tuple[Relaxation, ...] = ()
    cause: Ints | None = None

    def doubted(self) -> Piece:
        """The same where what was proven holds only under an assumption."""
        reasons = ["not_found" if why else "" for why in self.reasons]
        return replace(self, reasons=reasons, relaxations=found_only(self.relaxations))


def solve_part(part: Part, count: int | None, settings: Settings, seed: Bits) -> Iterator[Piece]:
    """Solve a connected part.

    Parameters
    ----------
    part : Part
    count : int, optional
        Number of groups, if it is fixed.
    settings : Settings
    seed : ndarray of uint64, shape (1,)

    Yields
    ------
    Piece
        They divide the units of the part between them.
    """
    everything = np.arange(len(part))
    if count is not None and part.total >= settings.bounds.low:
        yield _fixed(Dividing(part, settings, seed, count), count)
        return
    bounds = settings.bounds
    whole = CuresOfPart(part, settings, seed)
    pending = [(everything, "component_below_band", everything)]
    while pending:
        members, if_below, cause = pending.pop()
        piece = part.take(members) if members.size < len(part) else part
        of_part = None if piece is part else whole
        dividing = Dividing(piece, settings, seed)
        if piece.total < bounds.low:
            yield _below(piece, members, if_below, bounds, cause, of_part)
        elif -(-piece.total // bounds.high) > piece.total // bounds.low:
            why = "pocket" if if_below == "pocket" else "no_count_fits"
            found = replace(dividing.least_miss(), why=why)
            yield _piece(dividing, found, members, cause, of_part=of_part)
        elif (split := _cut_off_pockets(piece, bounds)) is not None:
            gate, sides = split
            for side in sides:
                causes = np.append(members[side], members[gate])
                pending.append((members[side], "pocket", np.unique(causes)))
        else:
            counts = bounds.counts(piece)
            found = dividing.into(counts)
            if not counts:
                found = replace(found, why="no_count_fits")
            elif found.outside:
                found = dividing.insisted(found)
            yield _piece(dividing, found, members, of_part=of_part, elsewhere=found.why)


def _below(
    piece: Part,
    members: Ints,
    why: str,
    bounds: Bounds,
    cause: Ints,
    of_part: CuresOfPart | None,
) -> Piece:
    """A piece with too little load for a group, which is one all the same."""
    labels = np.zeros(members.size, np.int64)
    alone = needed(piece, labels, 1, bounds)
    if of_part is None:
        # where another bound is missed, too, more groups might do
        alone = alone if all(not cure.also for cure in alone) else found_only(alone)
    else:
        known = {cure.bound for cure in of_part.known}
        alone = (*of_part.known, *(cure for cure in found_only(alone) if cure.bound not in known))
    return Piece(members, labels, [why], alone, cause)


def _fixed(dividing: Dividing, count: int) -> Piece:
    """A part with a fixed number of groups."""
    part, settings = dividing.piece, dividing.settings
    bounds = settings.bounds
    wanted, counts = min(count, len(part)), bounds.counts(part)
    found = dividing.searched(wanted, free_count=False)
    elsewhere = "not_found"
    if not count * bounds.low <= part.total <= count * bounds.high:
        found = replace(found, why="no_count_fits")
    elif wanted not in counts:
        found = replace(found, why="no_count_fits")
        elsewhere = found.why
    elif found.outside:
        found = dividing.insisted(found)
        elsewhere = found.why
    piece = _piece(dividing, found, np.arange(len(part)), elsewhere=elsewhere)
    if settings.shared and counts:
        return piece.doubted()  # shared otherwise, the number might do
    if settings.shared:
        return replace(piece, relaxations=found_only(piece.relaxations))
    return piece


def _piece(
    dividing: Dividing,
    found: Found,
    members: Ints,
    cause: Ints | None = None,
    *,
    of_part: CuresOfPart | None = None,
    elsewhere: str = "not_found",
) -> Piece:
    """A piece with reasons and cures: those of its whole part where it was cut off.

    Groups outside the band are so for the reason found, those that only miss other bounds for that
    in `elsewhere`.
    """
    piece, settings = dividing.piece, dividing.settings
    reasons = _reasons(piece, found, settings.bounds, elsewhere)
    relaxations: tuple[Relaxation, ...] = ()
    if settings.advise and any(reasons) and not settings.control[0]:
        relaxations = of_part.known if of_part is not None else ()
        if not relaxations:
            relaxations = cures_of(
                piece, found.labels, found.n_groups, settings, dividing.seed, dividing.count
            )
            relaxations = relaxations if of_part is None else found_only(relaxations)
    return Piece(members, found.labels, reasons, relaxations, cause)


def _reasons(piece: Part, found: Found, bounds: Bounds, elsewhere: str) -> list[str]:
    load, extra = piece.sums(found.labels, found.n_groups, bounds)
    outside = (load < bounds.low) | (load > bounds.high)
    others = np.any((extra < bounds.extra_low) | (extra > bounds.extra_high), axis=1)
    return [
        found.why if miss else elsewhere if other else ""
        for miss, other in zip(outside.tolist(), others.tolist(), strict=True)
    ]


# ---------------------------------------------------------------- pockets


def _cut_off_pockets(piece: Part, bounds: Bounds) -> tuple[int, list[Ints]] | None:
    """Split `piece` at a gate that forbids a plan; None where there is no such gate.

    The gate keeps the sides that fit with it, smallest rest first; the other sides are pockets.
    Returns the gate and all sides, the one with the gate first.
    """
    found = kernels.gates(piece.indptr, piece.indices, piece.loads, bounds.low, bounds.high)
    if found.size == 0:
        return None
    gate = int(found[0])
    joined = np.zeros(len(piece), np.int64)
    joined[gate] = -1
    sides = list(piece.connected(joined))
    rest = [
        int(kernels.rest_of(int(piece.loads[side].sum()), bounds.low, bounds.high))
        for side in sides
    ]
    kept, load = [np.array([gate])], int(piece.loads[gate])
    pockets = []
    for at in np.argsort(rest, kind="stable"):
        if load + rest[at] <= bounds.high:
            load += rest[at]
            kept.append(sides[at])
        else:
            pockets.append(sides[at])
    return gate, [np.sort(np.concatenate(kept)), *pockets]
