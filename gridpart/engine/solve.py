"""From a graph with loads and a band to groups: the driver around the kernels.

The order of work: units that are groups of their own step aside; each connected part of the rest
is solved by itself; what arithmetic or a gate forbids is cut off and named; what remains is
started by bisection, improved by border moves and brought into the band by repair.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from gridpart.engine import kernels
from gridpart.engine.kernels import Bits, Ints

__all__ = ["REASONS", "Effort", "Solution", "is_compiled", "solve", "warm_up"]

# Reason codes of groups outside the band; part of the interface.
REASONS = (
    "unit_above_band",
    "component_below_band",
    "no_count_fits",
    "pocket",
    "proven_by_search",
    "not_found",
)
_PROVEN = ("unit_above_band", "component_below_band", "no_count_fits", "pocket", "proven_by_search")


@dataclass(frozen=True)
class Effort:
    """How much work is spent on a connected part.

    Parameters
    ----------
    sweeps : int
        Passes over all units while the temperature falls.
    starts : int
        Independent runs for a part of up to `starts_up_to` units; the best is kept.
    starts_up_to : int
        Larger parts get one run: there the differences between runs average out.
    """

    sweeps: int = 4000
    starts: int = 3
    starts_up_to: int = 3000


@dataclass(frozen=True, eq=False)
class Solution:
    """What the engine found.

    Attributes
    ----------
    labels : ndarray of int64, shape (n,)
        Group of every unit, numbered from 0 by first unit; -1 for the units of a connected part
        without any load, which the caller attaches as it sees fit.
    group_load : ndarray of int64, shape (k,)
        Load of every group.
    reasons : tuple of str, length k
        Why a group is outside the band, one of `REASONS`; empty for groups inside.
    cut : int
        Length of all borders between different groups, millimetres.
    """

    labels: Ints
    group_load: Ints
    reasons: tuple[str, ...]
    cut: int

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return int(self.group_load.size)

    @property
    def proven(self) -> tuple[bool, ...]:
        """Whether it is proven of each group that it cannot be helped."""
        return tuple(reason in _PROVEN for reason in self.reasons)

    def __repr__(self) -> str:
        inside = sum(not reason for reason in self.reasons)
        return (
            f"<Solution: {self.labels.size} units in {self.n_groups} groups, "
            f"{inside} in the band, cut {self.cut / 1e6:.1f} km>"
        )


@dataclass(frozen=True, eq=False)
class _Part:
    """A connected graph with what the search needs to know of its units."""

    indptr: Ints
    indices: Ints
    borders: Ints
    loads: Ints
    x: Ints
    y: Ints

    def __len__(self) -> int:
        return int(self.loads.size)

    @property
    def total(self) -> int:
        return int(self.loads.sum())

    def take(self, members: Ints) -> _Part:
        """The part induced by `members`."""
        place = np.full(len(self), -1, np.int64)
        rows = kernels.subgraph(self.indptr, self.indices, self.borders, members, place)
        return _Part(*rows, self.loads[members], self.x[members], self.y[members])


def solve(
    indptr: Ints,
    indices: Ints,
    borders: Ints,
    loads: Ints,
    low: int,
    high: int,
    *,
    x: Ints | None = None,
    y: Ints | None = None,
    target: int | None = None,
    sites: Ints | None = None,
    seed: int = 0,
    effort: Effort | None = None,
    control: Ints | None = None,
) -> Solution:
    """Divide a graph into connected groups whose loads lie in [low, high], borders short.

    Parameters
    ----------
    indptr, indices, borders : ndarray of int64
        Symmetric graph in compressed rows without self loops; shapes (n + 1,), (m,) and (m,).
        `borders` are shared lengths in millimetres.
    loads : ndarray of int64, shape (n,)
        Households of every unit, not negative.
    low, high : int
        The band, ``1 <= low <= high``.
    x, y : ndarray of int64, shape (n,), optional
        Position of every unit in millimetres, for the start. Without them the distance in steps
        from two far ends of the graph serves.
    target : int, optional
        Load a group should have on average; it sets the number of groups. Default: the middle of
        the band.
    sites : ndarray of int64, shape (n,), optional
        Units with the same number >= 0 are a group of their own, whatever their load.
    seed : int
        Same input and seed, same labels.
    effort : Effort, optional
        How much work to spend.
    control : ndarray of int64, shape (2,), optional
        Set ``control[0]`` to stop early with the best labels so far; ``control[1]`` counts the
        units visited.

    Returns
    -------
    Solution

    Examples
    --------
    Six units in a row, 100 households each, in groups of 200 to 300:

    >>> import numpy as np
    >>> indptr = np.array([0, 1, 3, 5, 7, 9, 10])
    >>> indices = np.array([1, 0, 2, 1, 3, 2, 4, 3, 5, 4])
    >>> found = solve(indptr, indices, np.full(10, 5000), np.full(6, 100), 200, 300, target=300)
    >>> found.labels
    array([0, 0, 0, 1, 1, 1])
    """
    if not 1 <= low <= high:
        raise ValueError(f"the band must satisfy 1 <= low <= high, got {low} and {high}")
    # one type of array, or the kernels would be compiled for each: contiguous and writable
    indptr, indices, borders, loads = map(_plain, (indptr, indices, borders, loads))
    if x is None or y is None:
        x, y = _steps(indptr, indices)
    whole = _Part(indptr, indices, borders, loads, _plain(x), _plain(y))
    effort = effort or Effort()
    control = np.zeros(2, np.int64) if control is None else control
    run = _Run(low, high, target or (low + high) // 2, effort, control)

    labels = np.full(len(whole), -1, np.int64)
    reasons: list[str] = []
    for members in _groups_apart(whole, sites, high):
        labels[members] = len(reasons)
        reasons.append("")  # a site has no band; a unit above the band is named below
    joined = np.where(labels < 0, 0, -1)
    for members in _parts(whole, joined):
        part = whole.take(members)
        if part.total == 0:
            continue
        # a part's own seed: what else is in the graph does not matter to it
        seeds = np.random.SeedSequence([seed, len(part), part.total])
        generator = seeds.generate_state(1, np.uint64).astype(np.uint64)
        for inner, found, why in _solve_part(part, run, generator):
            labels[members[inner]] = found + len(reasons)
            reasons += why
    return _finish(whole, labels, reasons, sites, run)


def _plain(array: Ints) -> Ints:
    return np.require(array, np.int64, ["C", "W"])


@dataclass(frozen=True)
class _Run:
    """What is the same for every part."""

    low: int
    high: int
    target: int
    effort: Effort
    control: Ints


def _steps(indptr: Ints, indices: Ints) -> tuple[Ints, Ints]:
    """Stand-ins for coordinates: steps from one far end of each part, and from another."""
    first = kernels.steps_from_far(indptr, indices, np.zeros(indptr.size - 1, np.int64))
    return first, kernels.steps_from_far(indptr, indices, first)


def _groups_apart(whole: _Part, sites: Ints | None, high: int) -> Iterator[Ints]:
    """Members of every group that is one by decree: sites, then single units above the band."""
    site = np.full(len(whole), -1, np.int64) if sites is None else np.asarray(sites, np.int64)
    for number in np.unique(site[site >= 0]):
        yield np.flatnonzero(site == number)
    for unit in np.flatnonzero((site < 0) & (whole.loads > high)):
        yield np.array([unit])


def _parts(whole: _Part, joined: Ints) -> Iterator[Ints]:
    """Members of every connected part of the units labelled 0 (not -1)."""
    part, count = kernels.components(whole.indptr, whole.indices, joined)
    order = np.argsort(part, kind="stable")
    bounds = np.searchsorted(part[order], np.arange(count + 1))
    for start, stop in itertools.pairwise(bounds):
        yield order[start:stop]


def _solve_part(part: _Part, run: _Run, seeds: Bits) -> Iterator[tuple[Ints, Ints, list[str]]]:
    """Solve a connected part, piece by piece; yield members, labels and reasons of each."""
    pending = [(np.arange(len(part)), "component_below_band")]
    while pending:
        members, if_below = pending.pop()
        piece = part.take(members) if members.size < len(part) else part
        total = piece.total
        if total < run.low:
            yield members, np.zeros(members.size, np.int64), [if_below]
            continue
        fewest, most = -(-total // run.high), total // run.low
        if fewest > most:
            labels, reasons = _least_miss(piece, run, seeds)
            yield members, labels, ["pocket" if r and if_below == "pocket" else r for r in reasons]
            continue
        split = _cut_off_pockets(piece, run)
        if split is not None:
            pending += [(members[inner], "pocket") for inner in split]
            continue
        wanted = max(fewest, min(most, round(Fraction(total, run.target)), len(piece)))
        labels, n_groups = _search(piece, wanted, run, seeds, free_count=True)
        yield members, labels, _reasons(piece, labels, n_groups, run, "not_found")


def _least_miss(piece: _Part, run: _Run, seeds: Bits) -> tuple[Ints, list[str]]:
    """Where no number of groups fits: the number that misses the band by the fewest households."""
    most = piece.total // run.low
    too_many_households = piece.total - most * run.high
    too_few_households = (most + 1) * run.low - piece.total
    wanted = most if too_many_households <= too_few_households else most + 1
    labels, n_groups = _search(piece, min(wanted, len(piece)), run, seeds, free_count=False)
    return labels, _reasons(piece, labels, n_groups, run, "no_count_fits")


def _reasons(piece: _Part, labels: Ints, n_groups: int, run: _Run, why: str) -> list[str]:
    load, _ = kernels.group_sums(labels, piece.loads, n_groups)
    return [why if (value < run.low or value > run.high) else "" for value in load]


def _cut_off_pockets(piece: _Part, run: _Run) -> list[Ints] | None:
    """Split `piece` at a gate that forbids a plan; None where there is no such gate.

    The gate keeps the sides that fit with it, smallest rest first; the other sides are pockets.
    """
    found = kernels.gates(piece.indptr, piece.indices, piece.loads, run.low, run.high)
    if found.size == 0:
        return None
    gate = found[0]
    joined = np.zeros(len(piece), np.int64)
    joined[gate] = -1
    sides = list(_parts(piece, joined))
    rest = [int(kernels.rest_of(int(piece.loads[side].sum()), run.low, run.high)) for side in sides]
    kept, load = [np.array([gate])], int(piece.loads[gate])
    pockets = []
    for at in np.argsort(rest, kind="stable"):
        if load + rest[at] <= run.high:
            load += rest[at]
            kept.append(sides[at])
        else:
            pockets.append(sides[at])
    return [np.sort(np.concatenate(kept)), *pockets]


def _search(
    piece: _Part, wanted: int, run: _Run, seeds: Bits, *, free_count: bool
) -> tuple[Ints, int]:
    """Best of a few runs of start, border moves and repair: fewest groups outside, then cut."""
    if wanted == 1:
        return np.zeros(len(piece), np.int64), 1
    masks = kernels.neighbour_masks(piece.indptr, piece.indices)
    starts = run.effort.starts if len(piece) <= run.effort.starts_up_to else 1
    best: tuple[int, Fraction, Ints, int] | None = None
    for start in range(starts):
        state = np.array([seeds[0] + np.uint64(start << 32)], np.uint64)
        labels, n_groups, outside = _one_run(piece, masks, wanted, run, state, start, free_count)
        cut = int(kernels.cut_of(piece.indptr, piece.indices, piece.borders, labels))
        # cuts of different numbers of groups compare when scaled by the root of the number
        scaled = Fraction(cut * cut, n_groups)
        if best is None or (outside, scaled) < best[:2]:
            best = (outside, scaled, labels, n_groups)
        if run.control[0]:
            break
    assert best is not None  # there is at least one start
    return best[2], best[3]


# Directions in which the start bisects, one per run: as given, turned by 45 and by 27 degrees.
_TURNS = ((1, 0, 0, 1), (1, 1, 1, -1), (2, 1, 1, -2), (1, 2, 2, -1))


def _one_run(
    piece: _Part,
    masks: Bits,
    wanted: int,
    run: _Run,
    state: Bits,
    start: int,
    free_count: bool,
) -> tuple[Ints, int, int]:
    graph = (piece.indptr, piece.indices, piece.borders)
    a, b, c, d = _TURNS[start % len(_TURNS)]
    labels = kernels.bisect(
        a * piece.x + b * piece.y, c * piece.x + d * piece.y, piece.loads, wanted
    )
    kernels.mend(*graph, piece.loads, labels, wanted)
    mean = max(int(piece.borders.mean()), 1)
    _moves(piece, masks, labels, wanted, run, state, _cooling(mean, run.effort.sweeps))
    quench = _constant(mean // 20, 50 * mean, 20)
    _moves(piece, masks, labels, wanted, run, state, quench)
    n_groups, outside = kernels.repair(
        *graph, piece.loads, labels, wanted, run.low, run.high,
        7, 30, 40, free_count, state, run.control,
    )  # fmt: skip
    if outside == 0:
        # nothing may leave the band any more: a household outside costs more than any border
        hard = int(piece.borders.sum()) + 1
        _moves(piece, masks, labels, n_groups, run, state, _constant(0, hard, 20))
    return labels, int(n_groups), int(outside)


@dataclass(frozen=True, eq=False)
class _Schedule:
    """Temperature (mm), penalty (mm per household outside) and evenness of every sweep."""

    temperatures: Ints
    penalties: Ints
    evenness: Ints


def _cooling(mean: int, sweeps: int) -> _Schedule:
    """From 3 mean borders down to 1/20 while the penalty rises from 0.3 to 3 mean borders."""
    return _Schedule(
        _geometric(3 * mean, mean // 20, sweeps),
        _geometric(3 * mean // 10, 3 * mean, sweeps),
        np.zeros(sweeps, np.int64),
    )


def _constant(temperature: int, penalty: int, sweeps: int) -> _Schedule:
    return _Schedule(
        np.full(sweeps, temperature), np.full(sweeps, penalty), np.zeros(sweeps, np.int64)
    )


def _geometric(start: int, stop: int, count: int) -> Ints:
    """`count` whole numbers from `start` to `stop`, each the same multiple of the one before.

    Rounded to 6 digits of the exponent first, so that a last bit that differs between machines
    cannot show.
    """
    ratio = np.linspace(0, 1, count)
    low = np.log2(max(start, 1))
    span = np.log2(max(stop, 1)) - low
    return np.round(np.exp2(np.round(low + span * ratio, 6))).astype(np.int64)


def _moves(
    piece: _Part,
    masks: Bits,
    labels: Ints,
    n_groups: int,
    run: _Run,
    state: Bits,
    schedule: _Schedule,
) -> None:
    group_load, group_size = kernels.group_sums(labels, piece.loads, n_groups)
    kernels.anneal(
        piece.indptr, piece.indices, piece.borders, masks, piece.loads,
        labels, group_load, group_size, run.low, run.high,
        schedule.temperatures, schedule.penalties, schedule.evenness, _chances(), state,
        run.control,
    )  # fmt: skip


def _chances() -> Ints:
    """-ln of 4096 evenly spread chances, in 1/65536; far from rounding ties on any machine."""
    size = 1 << kernels.CHANCE_BITS
    return np.rint(-np.log((np.arange(size) + 0.5) / size) * 65536).astype(np.int64)


def _finish(
    whole: _Part, labels: Ints, reasons: list[str], sites: Ints | None, run: _Run
) -> Solution:
    """Number groups by their first unit and name the units above the band."""
    numbers, first = np.unique(labels[labels >= 0], return_index=True)
    position = np.flatnonzero(labels >= 0)[first]
    order = numbers[np.argsort(position)]
    renumber = np.full(len(reasons) + 1, -1, np.int64)
    renumber[order] = np.arange(order.size)
    final = renumber[labels]
    group_load = np.zeros(order.size, np.int64)
    np.add.at(group_load, final[final >= 0], whole.loads[final >= 0])
    why = [reasons[g] for g in order]
    size = np.bincount(final[final >= 0], minlength=order.size)
    site = np.zeros(len(whole), bool) if sites is None else np.asarray(sites) >= 0
    at_site = np.zeros(order.size, bool)
    at_site[final[site]] = True
    for g in np.flatnonzero((size == 1) & (group_load > run.high) & ~at_site):
        why[g] = "unit_above_band"
    cut = int(kernels.cut_of(whole.indptr, whole.indices, whole.borders, final))
    return Solution(final, group_load, tuple(why), cut)


def is_compiled() -> bool:
    """Whether the kernels lie compiled in the cache, so that no one has to wait for them."""
    if not hasattr(kernels.anneal, "stats"):
        return True  # compilation is switched off (NUMBA_DISABLE_JIT)
    folder = kernels.anneal.stats.cache_path
    return folder is not None and any(Path(folder).glob("kernels.anneal-*.nbi"))


def warm_up() -> None:
    """Compile every kernel, or load it from the cache, by solving a very small problem."""
    indptr = np.array([0, 1, 3, 5, 6, 6])
    indices = np.array([1, 0, 2, 1, 3, 2])
    solve(indptr, indices, np.full(6, 1000), np.array([2, 1, 1, 2, 1]), 2, 4, target=3)
