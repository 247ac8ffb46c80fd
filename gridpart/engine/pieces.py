"""One connected part, piece by piece: what can be divided, is; what cannot is named and proven.

What arithmetic or a gate forbids is cut off first. Where the search leaves a group outside the
band, larger regions are divided along trees, exactly; then, where they are few enough, all groups
that could be made are listed and the best division into them is found or excluded.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from gridpart.engine import choice, exact, kernels, regroup
from gridpart.engine.cures import CuresOfPart, Relaxation, cures_of, found_only, needed
from gridpart.engine.effort import EFFORTS, Effort
from gridpart.engine.hunt import hunt
from gridpart.engine.kernels import Bits, Ints
from gridpart.engine.part import Bounds, Part
from gridpart.engine.search import EXACT_UNITS, improve, search
from gridpart.engine.stopping import SPENT, stopping

__all__ = ["PROVEN", "REASONS", "Piece", "Settings", "connected", "solve_part"]

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
HUNTS = 4  # for any division in the band
FEW_OUTSIDE = 6  # groups that are chosen anew after a hunt, or a tenth of all
LEAST_SHARE = 5  # of its seconds a search gets a fifth, even where searches before it took all


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


@dataclass(frozen=True)
class Settings:
    """What is the same for every piece of a part.

    `shared` is for a number of groups that was shared among parts, so that no proof about one
    part's number is a proof about all; `until` is when seconds of effort end, as
    :func:`time.monotonic` tells it.
    """

    bounds: Bounds
    target: int
    n_groups: int | str | None
    balance: float
    headroom: float
    effort: Effort
    control: Ints
    advise: bool = True
    insist: bool = True
    shared: bool = False
    until: float | None = None

    def search(
        self, part: Part, wanted: int, seed: Bits, *, free_count: bool
    ) -> tuple[Ints, int, int]:
        """Search one part with these settings."""
        effort = self.effort
        if effort.seconds is not None and self.until is not None:
            left = max(self.until - time.monotonic(), effort.seconds / LEAST_SHARE)
            effort = replace(effort, seconds=min(left, effort.seconds))
        with stopping(self.control, SPENT, effort.seconds):
            return search(
                part, wanted, self.bounds, balance=self.balance, effort=effort, seed=seed,
                free_count=free_count, control=self.control,
            )  # fmt: skip

    def improve(
        self, part: Part, labels: Ints, n_groups: int, seed: Bits, *, exchanges: bool = False
    ) -> tuple[Ints, int]:
        """Shorten the borders of groups, of which no more will be outside the band."""
        return improve(
            part, labels, n_groups, self.bounds, balance=self.balance, effort=self.effort,
            seed=seed, control=self.control, exchanges=exchanges,
        )  # fmt: skip

    def narrowed(self) -> Settings | None:
        """The same with the band that leaves headroom; None where there is no such band."""
        if self.headroom <= 0:
            return None
        share = Fraction(self.headroom).limit_denominator(10_000)
        low = -(-self.bounds.low // (1 - share))
        high = int(self.bounds.high / (1 + share))
        if low > high:
            return None
        return replace(self, bounds=self.bounds.with_band(int(low), high))

    def relaxed(self, bounds: Bounds) -> Settings:
        """The same with other bounds, for a short search."""
        fast = replace(EFFORTS["fast"], restarts=20)
        return replace(self, bounds=bounds, effort=fast, headroom=0.0)


def connected(part: Part, labels: Ints) -> Iterator[Ints]:
    """Members of every connected part of units of equal label (not -1), by first unit."""
    number, count = kernels.components(part.indptr, part.indices, labels)
    order = np.argsort(number, kind="stable")
    bounds = np.searchsorted(number[order], np.arange(count + 1))
    for start, stop in itertools.pairwise(bounds):
        yield order[start:stop]


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
        yield _fixed(part, everything, count, settings, seed)
        return
    bounds = settings.bounds
    whole = CuresOfPart(part, settings, seed)
    pending = [(everything, "component_below_band", everything)]
    while pending:
        members, if_below, cause = pending.pop()
        piece = part.take(members) if members.size < len(part) else part
        of_part = None if piece is part else whole
        fewest, most = -(-piece.total // bounds.high), piece.total // bounds.low
        if piece.total < bounds.low:
            yield _below(piece, members, if_below, bounds, cause, of_part)
        elif fewest > most:
            labels, n_groups = _least_miss(piece, settings, seed)
            why = "pocket" if if_below == "pocket" else "no_count_fits"
            yield _piece(
                piece, members, labels, n_groups, settings, why, seed, cause, of_part=of_part
            )
        elif (split := _cut_off_pockets(piece, bounds)) is not None:
            gate, sides = split
            for side in sides:
                causes = np.append(members[side], members[gate])
                pending.append((members[side], "pocket", np.unique(causes)))
        else:
            counts = bounds.counts(piece)
            labels, n_groups, outside = _divide(piece, counts, settings, seed)
            why = "not_found" if counts else "no_count_fits"
            if outside and counts:
                labels, n_groups, why = _insist(piece, labels, n_groups, settings, seed)
            yield _piece(
                piece,
                members,
                labels,
                n_groups,
                settings,
                why,
                seed,
                of_part=of_part,
                elsewhere=why,
            )


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


def _fixed(part: Part, members: Ints, count: int, settings: Settings, seed: Bits) -> Piece:
    """A part with a fixed number of groups."""
    bounds = settings.bounds
    wanted, counts = min(count, len(part)), bounds.counts(part)
    labels, n_groups, outside = _with_headroom(part, wanted, settings, seed, free_count=False)
    why = elsewhere = "not_found"
    if not count * bounds.low <= part.total <= count * bounds.high:
        why = "no_count_fits"
    elif wanted not in counts:
        why = elsewhere = "no_count_fits"
    elif outside:
        labels, n_groups, why = _insist(part, labels, n_groups, settings, seed, count=count)
        elsewhere = why
    piece = _piece(
        part, members, labels, n_groups, settings, why, seed, count=count, elsewhere=elsewhere
    )
    if settings.shared and counts:
        return piece.doubted()  # shared otherwise, the number might do
    if settings.shared:
        return replace(piece, relaxations=found_only(piece.relaxations))
    return piece


def _piece(
    piece: Part,
    members: Ints,
    labels: Ints,
    n_groups: int,
    settings: Settings,
    why: str,
    seed: Bits,
    cause: Ints | None = None,
    *,
    count: int | None = None,
    of_part: CuresOfPart | None = None,
    elsewhere: str = "not_found",
) -> Piece:
    """A piece with reasons and cures: those of its whole part where it was cut off.

    `why` is the reason of groups outside the band, `elsewhere` of those that only miss others.
    """
    reasons = _reasons(piece, labels, n_groups, settings.bounds, why, elsewhere)
    relaxations: tuple[Relaxation, ...] = ()
    if settings.advise and any(reasons) and not settings.control[0]:
        relaxations = of_part.known if of_part is not None else ()
        if not relaxations:
            relaxations = cures_of(piece, labels, n_groups, settings, seed, count)
            relaxations = relaxations if of_part is None else found_only(relaxations)
    return Piece(members, labels, reasons, relaxations, cause)


# ---------------------------------------------------------------- dividing


def _divide(piece: Part, counts: range, settings: Settings, seed: Bits) -> tuple[Ints, int, int]:
    """Divide a piece for which some number of groups may fit; by its main load, if by no more."""
    if not counts:
        most = min(piece.total // settings.bounds.low, len(piece))
        counts = range(min(-(-piece.total // settings.bounds.high), most), most + 1)
    fewest, most = counts[0], counts[-1]
    if settings.n_groups in ("fewest", "most"):
        end, step = (fewest, 1) if settings.n_groups == "fewest" else (most, -1)
        found = _nearest_count(piece, end, step, range(fewest, most + 1), settings, seed)
        if found is not None:
            return found
    wanted = max(min(most, round(Fraction(piece.total, settings.target))), fewest)
    found = _with_headroom(piece, wanted, settings, seed, free_count=True)
    narrow = min(_enough_for_width(piece, settings.bounds), most)
    if found[2] and narrow > wanted:
        again = _with_headroom(piece, narrow, settings, seed, free_count=True)
        found = min(found, again, key=lambda tried: tried[2])
    return found


def _enough_for_width(piece: Part, bounds: Bounds) -> int:
    """Groups that should do where their width is limited: half a square of it for each."""
    if not bounds.widest:
        return 0
    half = piece.reach.shape[1] // 2
    width = [int(piece.reach[:, d].max() + piece.reach[:, d + half].max()) for d in (0, half // 2)]
    return -(-2 * width[0] * width[1] // bounds.widest**2)


def _nearest_count(
    piece: Part, end: int, step: int, counts: range, settings: Settings, seed: Bits
) -> tuple[Ints, int, int] | None:
    """The count nearest to one end with which a division is found: in growing steps, then back."""
    quick = replace(settings, effort=replace(EFFORTS["fast"], restarts=40))

    def attempt(count: int, how: Settings) -> tuple[Ints, int, int] | None:
        found = _with_headroom(piece, count, how, seed, free_count=False)
        return None if found[2] else found

    missed, stride, count = end - step, 1, end
    best = None
    while count in counts and best is None:
        best = attempt(count, quick)
        if best is None:
            missed, count = count, count + step * stride
            # of very few units every number is tried: what fits may have gaps
            stride *= 1 if len(piece) <= EXACT_UNITS else 2
    if best is None:
        return None
    while abs(count - missed) > 1:
        middle = (count + missed) // 2
        found = attempt(middle, quick)
        if found is None:
            missed = middle
        else:
            best, count = found, middle
    return attempt(count, settings) or best


def _with_headroom(
    piece: Part, wanted: int, settings: Settings, seed: Bits, *, free_count: bool
) -> tuple[Ints, int, int]:
    """Search inside the band that leaves headroom; in the whole band where even that is missed.

    The narrow search leaves as few groups outside the narrow band as it can, and most of those that
    it must leave outside are still inside the whole one.
    """
    narrow = settings.narrowed()
    if narrow is None:
        return settings.search(piece, wanted, seed, free_count=free_count)
    least, most = -(-piece.total // narrow.bounds.high), piece.total // narrow.bounds.low
    most = min(most, len(piece))
    fitting = wanted
    if free_count and least <= most:
        fitting = max(least, min(wanted, most))
    labels, n_groups, _ = narrow.search(piece, fitting, seed, free_count=free_count)
    outside = piece.outside(labels, n_groups, settings.bounds)
    if outside == 0:
        return labels, n_groups, 0
    return settings.search(piece, wanted, seed, free_count=free_count)


def _least_miss(piece: Part, settings: Settings, seed: Bits) -> tuple[Ints, int]:
    """Where no number of groups fits: the number that misses the band by the fewest households."""
    low, high = settings.bounds.low, settings.bounds.high
    most = piece.total // low
    too_many_households = piece.total - most * high
    too_few_households = (most + 1) * low - piece.total
    wanted = most if too_many_households <= too_few_households else most + 1
    labels, n_groups, _ = settings.search(piece, min(wanted, len(piece)), seed, free_count=False)
    return labels, n_groups


def _insist(
    piece: Part,
    labels: Ints,
    n_groups: int,
    settings: Settings,
    seed: Bits,
    *,
    count: int | None = None,
) -> tuple[Ints, int, str]:
    """Where the search failed: trees, then every group that could be made; a plan or a proof."""
    if not settings.insist:
        return labels, n_groups, "not_found"
    bounds = settings.bounds
    if len(piece) > EXACT_UNITS:  # of fewer, every division has been looked at
        by_trees = exact.along_trees(piece, labels, n_groups, bounds, seed, count=count)
        if by_trees is not None:
            return *settings.improve(piece, *by_trees, seed), ""
        begun = (labels, n_groups)
        if count is None and not bounds.widest:  # which may need more groups than leave most room
            begun = _with_most_room(piece, labels, n_groups, settings, seed)
        hunted, number, outside = _hunted(piece, *begun, settings, seed, count=count)
        if not outside:
            return hunted, number, ""
        if outside < piece.outside(labels, n_groups, bounds):
            labels, n_groups = hunted, number
    if settings.control[0]:
        return labels, n_groups, "not_found"
    if exact.is_tree(piece) and not bounds.extra_low.size and count is None:
        tried = exact.whole_tree(piece, bounds, seed)
        if tried is False:
            return labels, n_groups, "proven_by_search"
    chosen = choice.of_all_groups(piece, bounds, n_groups if count is None else count,
                                  count_is_fixed=count is not None)  # fmt: skip
    if chosen is None:
        return labels, n_groups, "not_found"
    if not chosen.size:
        return labels, n_groups, "proven_by_search"
    return *settings.improve(piece, chosen, int(chosen.max()) + 1, seed), ""


def _with_most_room(
    piece: Part, labels: Ints, n_groups: int, settings: Settings, seed: Bits
) -> tuple[Ints, int]:
    """Divided into the number of groups whose mean is farthest from both ends of the band."""
    counts = settings.bounds.counts(piece)  # another quantity may need more
    middle = Fraction(2 * piece.total, settings.bounds.low + settings.bounds.high)
    wanted = min(max(round(middle), counts[0]), counts[-1])
    if wanted == n_groups:
        return labels, n_groups
    quick = replace(settings, effort=EFFORTS["fast"])
    labels, n_groups, _ = quick.search(piece, wanted, seed, free_count=False)
    return labels, n_groups


def _hunted(
    piece: Part, labels: Ints, n_groups: int, settings: Settings, seed: Bits, *, count: int | None
) -> tuple[Ints, int, int]:
    """Fewer groups outside whatever the borders, then shorter borders; how many are outside."""
    bounds, control = settings.bounds, settings.control
    kept, least = (labels, n_groups), piece.outside(labels, n_groups, bounds)
    few = max(n_groups // 10, FEW_OUTSIDE)

    def finished(labels: Ints) -> tuple[Ints, int] | None:
        anew = regroup.regrouped(piece, labels, n_groups, bounds, seed=seed, control=control)
        return None if anew is None else (anew, n_groups)

    # without borders that hold them together groups sprawl: no way to keep them narrow
    if bounds.widest:
        found = finished(labels)
        return (*kept, least) if found is None else (*settings.improve(piece, *found, seed), 0)
    for turn in range(HUNTS):
        hunted, outside = hunt(
            piece, labels, n_groups, bounds, turn=turn, seed=seed, control=control
        )
        if outside < least:
            kept, least = (hunted, n_groups), outside
        found = None
        if outside:
            found = exact.along_trees(piece, hunted, n_groups, bounds, seed, count=count)
            if found is None and outside <= few:
                found = finished(hunted)
        if found is not None:
            kept, least = found, 0
        if not least or control[0] or (turn and outside > few):  # or twice so far off
            break
    if kept[0] is not labels:
        kept = settings.improve(piece, *kept, seed, exchanges=True)
    return *kept, least


def _reasons(
    piece: Part, labels: Ints, n_groups: int, bounds: Bounds, why: str, elsewhere: str
) -> list[str]:
    load, extra = piece.sums(labels, n_groups, bounds)
    outside = (load < bounds.low) | (load > bounds.high)
    others = np.any((extra < bounds.extra_low) | (extra > bounds.extra_high), axis=1)
    return [
        why if miss else elsewhere if other else ""
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
    sides = list(connected(piece, joined))
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
