"""One connected part, piece by piece: what can be divided, is; what cannot is named and proven.

What arithmetic or a gate forbids is cut off first. Where the search leaves a group outside the
band, larger regions are divided along trees, exactly; then, where they are few enough, all groups
that could be made are listed and the best division into them is found or excluded.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from gridpart.engine import choice, exact, kernels, regroup
from gridpart.engine.effort import EFFORTS, Effort
from gridpart.engine.kernels import Bits, Ints
from gridpart.engine.part import Bounds, Part
from gridpart.engine.search import EXACT_UNITS, hunt, improve, search
from gridpart.engine.stopping import SPENT, stopping

__all__ = ["PROVEN", "REASONS", "Piece", "Relaxation", "Settings", "connected", "solve_part"]

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
RELAXED_BY = (0, 2, 5, 10, 20, 40)  # per cent beyond the bound that arithmetic sets
LEAST_SHARE = 5  # of its seconds a search gets a fifth, even where searches before it took all
RELAXED_UNITS = 3000  # larger pieces are not searched again for the sake of advice


@dataclass(frozen=True)
class Relaxation:
    """A change of the band with which a piece can be divided inside it.

    Attributes
    ----------
    bound : str
        ``"low"`` or ``"high"``.
    value : int
        What it would have to be.
    exact : bool
        Whether it is proven that no smaller change of this bound will do; else a division is
        known with which this one does.
    """

    bound: str
    value: int
    exact: bool


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
        return replace(self, reasons=reasons, relaxations=_found_only(self.relaxations))


def _found_only(relaxations: Iterable[Relaxation]) -> tuple[Relaxation, ...]:
    """The same relaxations without the proof that no smaller one will do."""
    return tuple(replace(relaxation, exact=False) for relaxation in relaxations)


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

    def relaxed(self, low: int, high: int) -> Settings:
        """The same with another band, for a short search."""
        fast = replace(EFFORTS["fast"], restarts=20)
        return replace(self, bounds=self.bounds.with_band(low, high), effort=fast, headroom=0.0)


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
    pending = [(everything, "component_below_band", everything)]
    while pending:
        members, if_below, cause = pending.pop()
        piece = part.take(members) if members.size < len(part) else part
        fewest, most = -(-piece.total // bounds.high), piece.total // bounds.low
        if piece.total < bounds.low:
            labels = np.zeros(members.size, np.int64)
            needed: tuple[Relaxation, ...] = ()
            if not piece.outside(labels, 1, bounds.with_band(1, bounds.high)):
                needed = (Relaxation("low", piece.total, exact=if_below != "pocket"),)
            yield Piece(members, labels, [if_below], needed, cause)
        elif fewest > most:
            labels, n_groups = _least_miss(piece, settings, seed)
            why = "pocket" if if_below == "pocket" else "no_count_fits"
            found = _piece(piece, members, labels, n_groups, settings, why, seed, cause)
            yield found if piece is part else _cured_with(part, found, settings, seed)
        elif (split := _cut_off_pockets(piece, bounds)) is not None:
            gate, sides = split
            for side in sides:
                causes = np.append(members[side], members[gate])
                pending.append((members[side], "pocket", np.unique(causes)))
        else:
            labels, n_groups, outside = _divide(piece, fewest, most, settings, seed)
            why = "not_found"
            if outside:
                labels, n_groups, why = _insist(piece, labels, n_groups, settings, seed)
            found = _piece(piece, members, labels, n_groups, settings, why, seed)
            yield found if piece is part else _cured_with(part, found, settings, seed)


def _cured_with(part: Part, piece: Piece, settings: Settings, seed: Bits) -> Piece:
    """A piece with what would cure the whole part: with another band no gate would cut it off."""
    if not piece.relaxations:
        return piece
    whole = [_relaxed_high(part, settings, seed, None), _relaxed_low(part, settings, seed, None)]
    known = tuple(relaxation for relaxation in whole if relaxation is not None)
    return replace(piece, relaxations=known or _found_only(piece.relaxations))


def _fixed(part: Part, members: Ints, count: int, settings: Settings, seed: Bits) -> Piece:
    """A part with a fixed number of groups."""
    bounds = settings.bounds
    impossible = not count * bounds.low <= part.total <= count * bounds.high
    wanted = min(count, len(part))
    labels, n_groups, outside = _with_headroom(part, wanted, settings, seed, free_count=False)
    why = "no_count_fits" if impossible else "not_found"
    if outside and not impossible:
        labels, n_groups, why = _insist(part, labels, n_groups, settings, seed, count=count)
    piece = _piece(part, members, labels, n_groups, settings, why, seed, count=count)
    if settings.shared and -(-part.total // bounds.high) <= part.total // bounds.low:
        piece = piece.doubted()  # shared otherwise, the number might do
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
) -> Piece:
    reasons = _reasons(piece, labels, n_groups, settings.bounds, why)
    relaxations: tuple[Relaxation, ...] = ()
    if settings.advise and any(reasons) and not settings.control[0]:
        relaxations = _relaxations(piece, labels, n_groups, settings, seed, count)
    return Piece(members, labels, reasons, relaxations, cause)


# ---------------------------------------------------------------- dividing


def _divide(
    piece: Part, fewest: int, most: int, settings: Settings, seed: Bits
) -> tuple[Ints, int, int]:
    """Divide a piece for which some number of groups may fit."""
    most = min(most, len(piece))
    quantities = piece.extra.sum(axis=0)
    for total, limit in zip(quantities, settings.bounds.extra_high, strict=False):
        fewest = max(fewest, -(-int(total) // max(int(limit), 1)))
    fewest = min(fewest, len(piece))
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
        labels, n_groups, outside = _hunted(piece, labels, n_groups, settings, seed, count=count)
        if not outside:
            return labels, n_groups, ""
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


def _reasons(piece: Part, labels: Ints, n_groups: int, bounds: Bounds, why: str) -> list[str]:
    load, extra = piece.sums(labels, n_groups, bounds)
    outside = (load < bounds.low) | (load > bounds.high)
    elsewhere = np.any((extra < bounds.extra_low) | (extra > bounds.extra_high), axis=1)
    return [
        why if miss or (other and why == "proven_by_search") else "not_found" if other else ""
        for miss, other in zip(outside.tolist(), elsewhere.tolist(), strict=True)
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


# ---------------------------------------------------------------- what would cure it


def _relaxations(
    piece: Part, labels: Ints, n_groups: int, settings: Settings, seed: Bits, count: int | None
) -> tuple[Relaxation, ...]:
    """Changes of one bound with which a division of the piece is known.

    Arithmetic sets the least change that could do; the search starts there and goes up. Where it
    succeeds at once, or a very small piece has been exhausted, the change is exact.
    """
    low, high = settings.bounds.low, settings.bounds.high
    load, _ = piece.sums(labels, n_groups, settings.bounds)
    if piece.outside(labels, n_groups, settings.bounds.with_band(1, piece.total)):
        return ()  # another quantity is outside its bounds: another band cures nothing
    raised = _relaxed_high(piece, settings, seed, count)
    lowered = _relaxed_low(piece, settings, seed, count)
    known = [relaxation for relaxation in (raised, lowered) if relaxation is not None]
    if known:
        return tuple(known)
    # the plan in hand shows what surely is enough; both bounds where it misses both
    least, most = int(load.min()), int(load.max())
    wide = [Relaxation("low", least, False)] if 0 < least < low else []
    wide += [Relaxation("high", most, False)] if most > high else []
    return tuple(wide) if len(wide) == 1 else ()


def _relaxed_high(
    piece: Part, settings: Settings, seed: Bits, count: int | None
) -> Relaxation | None:
    low, high = settings.bounds.low, settings.bounds.high
    groups = min(piece.total // low, len(piece)) if count is None else count
    if groups == 0 or groups * low > piece.total:
        return None
    bound = max(-(-piece.total // groups), high, int(piece.loads.max()))
    if len(piece) <= EXACT_UNITS:
        near = max(bound, high + 1)
        least = _least_that_does(piece, settings, count, near, max(piece.total, near))
        return None if least is None else Relaxation("high", least, True)
    tries = ((low, bound + (bound * extra) // 100) for extra in RELAXED_BY)
    found = _first_that_does(piece, settings, seed, count, tries)
    if found is None:
        return None
    value = int(found.max())
    return Relaxation("high", value, value == bound)


def _relaxed_low(
    piece: Part, settings: Settings, seed: Bits, count: int | None
) -> Relaxation | None:
    low, high = settings.bounds.low, settings.bounds.high
    groups = -(-piece.total // high) if count is None else count
    if groups > len(piece) or groups * high < piece.total:
        return None
    bound = min(piece.total // groups, low)
    if bound < 1:
        return None
    if len(piece) <= EXACT_UNITS:
        near = min(bound, low - 1)
        least = _least_that_does(piece, settings, count, near, 1) if near >= 1 else None
        return None if least is None else Relaxation("low", least, True)
    tries = ((max(bound * 100 // (100 + extra), 1), high) for extra in RELAXED_BY)
    found = _first_that_does(piece, settings, seed, count, tries)
    if found is None:
        return None
    value = int(found.min())
    return Relaxation("low", value, value == bound)


def _first_that_does(
    piece: Part,
    settings: Settings,
    seed: Bits,
    count: int | None,
    bands: Iterable[tuple[int, int]],
) -> Ints | None:
    """Loads of the first division found in one of the bands."""
    if len(piece) > RELAXED_UNITS:
        return None
    for low, high in bands:
        fewest, most = -(-piece.total // high), min(piece.total // low, len(piece))
        if not fewest <= (fewest if count is None else count) <= most:
            continue
        wanted = max(min(most, round(Fraction(piece.total, settings.target))), fewest)
        labels, n_groups, outside = settings.relaxed(low, high).search(
            piece, wanted if count is None else count, seed, free_count=count is None
        )
        if not outside:
            return piece.sums(labels, n_groups, settings.bounds)[0]
    return None


def _least_that_does(
    piece: Part, settings: Settings, count: int | None, near: int, far: int
) -> int | None:
    """The value of a bound nearest to `near` with which a very small piece can be divided."""
    bounds, sign = settings.bounds, 1 if far >= near else -1

    def does(value: int) -> bool:
        low, high = (bounds.low, value) if sign > 0 else (value, bounds.high)
        return exact.is_possible(piece, bounds.with_band(low, high), count)

    if not does(far):
        return None
    missed, found = near - sign, far
    while abs(found - missed) > 1:
        middle = (found + missed) // 2
        if does(middle):
            found = middle
        else:
            missed = middle
    return found
