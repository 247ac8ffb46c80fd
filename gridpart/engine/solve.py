"""From a graph with loads and a band to groups: the driver around the kernels.

The order of work: groups by decree step aside; what must stay together becomes one unit; each
connected region of the rest is solved by itself (see `pieces`), and so is what must stay together
but is too large for a group.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from gridpart.engine import choice, kernels, regroup
from gridpart.engine.cures import Relaxation, of_unit
from gridpart.engine.effort import Effort
from gridpart.engine.hunt import hunt
from gridpart.engine.kernels import Flags, Ints
from gridpart.engine.layout import Layout, bounds_of, plain, whole_part
from gridpart.engine.part import Bounds, Part
from gridpart.engine.pieces import PROVEN, REASONS, Piece, solve_part
from gridpart.engine.settings import Settings
from gridpart.engine.sharing import ABOUT_A_SHARE, Sharing, effort_again
from gridpart.engine.stopping import STOPPED, stopping

__all__ = [
    "REASONS",
    "Effort",
    "Relaxation",
    "Solution",
    "fewest_groups",
    "is_compiled",
    "regrouped",
    "solve",
    "warm_up",
]


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
        Length of all borders between different groups, millimetres; closed ones do not count.
    pieces : ndarray of int64, shape (k,)
        Groups with the same number divide one connected piece between them.
    relaxations : tuple of tuple of Relaxation, length k
        Changes of the band, each of which would cure a group outside it.
    causes : tuple of ndarray of int64, length k
        Units that keep a group outside the band: the unit itself, or the pocket; all units of the
        group where no fewer can be named.
    stopped : bool
        Whether the search was stopped before its end.
    """

    labels: Ints
    group_load: Ints
    reasons: tuple[str, ...]
    cut: int
    pieces: Ints
    relaxations: tuple[tuple[Relaxation, ...], ...]
    causes: tuple[Ints, ...]
    stopped: bool = False

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return int(self.group_load.size)

    @property
    def proven(self) -> tuple[bool, ...]:
        """Whether it is proven of each group that it cannot be helped."""
        return tuple(reason in PROVEN for reason in self.reasons)

    def __repr__(self) -> str:
        inside = sum(not reason for reason in self.reasons)
        return (
            f"<Solution: {self.labels.size} units in {self.n_groups} groups, "
            f"{inside} in the band, cut {self.cut / 1e6:.1f} km>"
        )


def solve(
    indptr: Ints,
    indices: Ints,
    borders: Ints,
    loads: Ints,
    low: int | Sequence[int],
    high: int | Sequence[int],
    *,
    x: Ints | None = None,
    y: Ints | None = None,
    target: int | None = None,
    n_groups: int | Literal["fewest", "most"] | None = None,
    balance: float = 0.5,
    headroom: float = 0.0,
    work: Ints | None = None,
    sites: Ints | None = None,
    tied: Ints | None = None,
    closed: Flags | None = None,
    reach: Ints | None = None,
    widest: int | None = None,
    seed: int = 0,
    effort: str | float | Effort = "default",
    time_limit: float | None = None,
    control: Ints | None = None,
    advise: bool = True,
    insist: bool = True,
    shared: bool = False,
) -> Solution:
    """Divide a graph into connected groups whose loads lie in [low, high], borders short.

    Parameters
    ----------
    indptr, indices, borders : ndarray of int64
        Symmetric graph in compressed rows without self loops; shapes (n + 1,), (m,) and (m,).
        `borders` are shared lengths in millimetres, or what else a line there costs.
    loads : ndarray of int64, shape (n,) or (n, q)
        Households of every unit, not negative; in further columns other bounded quantities.
    low, high : int or sequence of int
        The band, ``1 <= low <= high``; one for each column of `loads`, where a further one may
        begin at 0.
    x, y : ndarray of int64, shape (n,), optional
        Position of every unit in millimetres, for the start. Without them the distance in steps
        from two far ends of the graph serves.
    target : int, optional
        Load a group should have on average; it sets the number of groups. Default: the middle of
        the band.
    n_groups : int or {"fewest", "most"}, optional
        The number of groups instead, sites not counted; an exact number is shared among the
        connected parts by load, at least one each, or next to that where a part cannot be divided
        into its share, and never changed, even where it cannot be in the band; only a part with
        too little load for a single group stays one. Units that no group can hold are not counted
        either.
    balance : float, default 0.5
        From 0, shortest borders, to 1, most even groups.
    headroom : float, default 0
        Keep groups, where that is possible, so far inside the band that they stay in it when
        their load grows or falls by this share; 0.1 is a tenth.
    work : ndarray of int64, shape (n,), optional
        What is to be evened out; by default the (first) load.
    sites : ndarray of int64, shape (n,), optional
        Units with the same number >= 0 are a group of their own, whatever their load.
    tied : ndarray of int64, shape (n,), optional
        Connected units with the same number >= 0 stay together in one group. Where they are too
        much for one group they are divided among themselves, without other units.
    closed : ndarray of bool, shape (m,), optional
        Borders that a group may not span, marked in both directions.
    reach : ndarray of int64, shape (n, 2 d), optional
        How far each unit reaches in d directions and in their opposites, millimetres.
    widest : int, optional
        Greatest width of a group in any of these directions, at least 1.
    seed : int
        Same input and seed, same labels.
    effort : {"fast", "default", "best"}, float or Effort
        How much work to spend, or for how many seconds to go on; where these end without a division
        inside the band, exact methods follow as after any other effort, which may take longer.
    time_limit : float, optional
        Seconds after which the best groups so far are finished and returned.
    control : ndarray of int64, shape (2,), optional
        Set ``control[0]`` to stop early with the best labels so far; ``control[1]`` counts the
        units visited.
    advise : bool, default True
        Look for relaxations of the band where a group is outside it; a caller who only asks whether
        there is a division saves the search for them.
    insist : bool, default True
        Where the search leaves a group outside the band, look for a division, or for a proof that
        there is none, by exact methods.
    shared : bool, default False
        `n_groups` is the caller's share of a larger number, and might be another one: then nothing
        that is excluded for it is called proven.

    Returns
    -------
    Solution

    Raises
    ------
    ValueError
        If arrays and bounds do not fit together.

    Examples
    --------
    Six units in a row, 100 households each, in groups of 200 to 300:

    >>> import numpy as np
    >>> indptr = np.array([0, 1, 3, 5, 7, 9, 10])
    >>> indices = np.array([1, 0, 2, 1, 3, 2, 4, 3, 5, 4])
    >>> found = solve(indptr, indices, np.full(10, 5000), np.full(6, 100), 200, 300, n_groups=2)
    >>> found.labels
    array([0, 0, 0, 1, 1, 1])
    """
    whole = whole_part(
        indptr, indices, borders, loads, x=x, y=y, work=work, reach=reach, closed=closed
    )
    bounds = bounds_of(low, high, whole, widest)
    _check_wishes(n_groups, headroom)
    control = np.zeros(2, np.int64) if control is None else control
    spent = Effort.of(effort)
    layout = Layout.of(whole, bounds, sites, tied)
    parts = list(layout.parts())
    sharing = Sharing([layout.share_of(part) for part, _, _ in parts])
    counts = sharing.by_load(n_groups)
    shared = shared or sharing.could_be_otherwise(n_groups)
    groups, place = _Groups(len(whole)), np.full(len(whole), -1, np.int64)
    for members, why in layout.decreed:
        groups.decree(members, why, of_unit(whole.take(members, place), bounds) if why else ())
    with stopping(control, STOPPED, time_limit):

        def divided(number: int, count: int | None, effort: Effort = spent) -> list[Piece]:
            part = parts[number][0]
            share = _share(effort, len(part), len(whole))
            settings = Settings(
                bounds, target or (bounds.low + bounds.high) // 2, n_groups, balance, headroom,
                share, control, advise, insist, shared,
                None if share.seconds is None else time.monotonic() + share.seconds,
            )  # fmt: skip
            # a part's own seed: what else is in the graph does not matter to it
            entropy = np.random.SeedSequence([seed, len(part), part.total])
            own = entropy.generate_state(1, np.uint64).astype(np.uint64)
            return list(solve_part(part, count, settings, own))

        found = [divided(number, count) for number, count in enumerate(counts)]
        if insist and not control[0]:
            quick = effort_again(spent)
            found = sharing.divide(
                counts, found, lambda part, count: divided(part, count, quick), _failed
            )
    for (_, members, node), pieces in zip(parts, found, strict=True):
        groups.add(members, node, pieces)
    return groups.finish(whole, stopped=bool(control[0] == STOPPED))


def fewest_groups(
    indptr: Ints,
    indices: Ints,
    borders: Ints,
    loads: Ints,
    low: int | Sequence[int],
    high: int | Sequence[int],
    *,
    by: Literal["bound", "choice", "program"] = "program",
    enough: int | None = None,
) -> tuple[Ints, int]:
    """Into how few connected groups a connected graph can be divided inside the bounds.

    For graphs of which a group is a small part: all groups that could be made are listed.

    Parameters
    ----------
    indptr, indices, borders, loads, low, high
        As in :func:`solve`.
    by : {"bound", "choice", "program"}
        How far to go: the bound alone, which is quick; a choice of just so many groups; the whole
        program.
    enough : int, optional
        The bound need only tell whether more than so many groups are needed. It is then taken from
        many more groups that could be made.

    Returns
    -------
    labels : ndarray of int64
        As few groups as were found; empty where none were, or where there are too many possible
        groups to choose among.
    at_least : int
        Fewer groups are proven to be impossible; 0 where nothing is proven.

    Examples
    --------
    >>> import numpy as np
    >>> indptr, indices = np.array([0, 1, 3, 4]), np.array([1, 0, 2, 1])
    >>> loads = np.array([3, 2, 4])
    >>> labels, at_least = fewest_groups(indptr, indices, np.ones(4, int), loads, 1, 5)
    >>> len(set(labels.tolist())), at_least
    (2, 2)
    """
    whole = whole_part(indptr, indices, borders, loads)
    return choice.fewest_groups(whole, bounds_of(low, high, whole), by=by, enough=enough)


def regrouped(
    indptr: Ints,
    indices: Ints,
    borders: Ints,
    loads: Ints,
    low: int | Sequence[int],
    high: int | Sequence[int],
    labels: Ints,
    *,
    seed: int = 0,
) -> Ints | None:
    """Choose the groups around each violation anew until all are inside the bounds.

    For groups of a few units each, all connected; their number does not change.

    Parameters
    ----------
    indptr, indices, borders, loads, low, high, seed
        As in :func:`solve`.
    labels : ndarray of int64, shape (n,)
        Connected groups from 0, some outside the bounds.

    Returns
    -------
    ndarray of int64 or None
        None where that fails, or groups have too many units.

    Examples
    --------
    >>> import numpy as np
    >>> indptr, indices = np.array([0, 1, 3, 5, 6]), np.array([1, 0, 2, 1, 3, 2])
    >>> loads, labels = np.array([3, 2, 1, 4]), np.array([0, 0, 0, 1])
    >>> regrouped(indptr, indices, np.ones(6, int), loads, 1, 5, labels).tolist()
    [0, 0, 1, 1]
    """
    whole = whole_part(indptr, indices, borders, loads)
    start = plain(labels)
    bounds = bounds_of(low, high, whole)
    return regroup.regrouped(
        whole, start, int(start.max()) + 1, bounds,
        seed=np.array([seed], np.uint64), control=np.zeros(2, np.int64),
    )  # fmt: skip


def _check_wishes(n_groups: int | str | None, headroom: float) -> None:
    """ValueError where a number of groups or a headroom is none."""
    is_number = isinstance(n_groups, int | np.integer) and n_groups >= 1
    if n_groups not in (None, "fewest", "most") and not is_number:
        raise ValueError(f"n_groups must be at least 1, 'fewest' or 'most', got {n_groups!r}")
    if not 0 <= headroom < 1:
        raise ValueError(f"headroom must be from 0 to below 1, got {headroom!r}")


def _failed(pieces: Sequence[Piece]) -> int:
    """Groups outside the band that another number of groups might cure."""
    return sum(reason in ABOUT_A_SHARE for piece in pieces for reason in piece.reasons)


def _share(effort: Effort, n: int, total: int) -> Effort:
    """The effort for a part: its share of the seconds, if there are any."""
    if effort.seconds is None:
        return effort
    return replace(effort, seconds=effort.seconds * n / total)


# ---------------------------------------------------------------- the result


class _Groups:
    """Groups as they are found."""

    def __init__(self, n: int) -> None:
        self.labels = np.full(n, -1, np.int64)
        self.reasons: list[str] = []
        self.pieces: list[int] = []
        self.relaxations: list[tuple[Relaxation, ...]] = []
        self.causes: list[Ints | None] = []

    def decree(self, unit: Ints, why: str, relaxation: tuple[Relaxation, ...]) -> None:
        """Add a group that is one by decree."""
        self.labels[unit] = len(self.reasons)
        self._name([why], relaxation, None)

    def add(self, members: Ints, node: Ints, found: Sequence[Piece]) -> None:
        """Add the pieces of a part; `node` is the unit of the part that each member is in."""
        of_node = np.full(int(node.max(initial=-1)) + 1, -1, np.int64)
        for piece in found:
            of_node[piece.members] = piece.labels + len(self.reasons)
            cause = None if piece.cause is None else members[np.isin(node, piece.cause)]
            self._name(piece.reasons, piece.relaxations, cause)
        self.labels[members] = of_node[node]

    def _name(
        self, reasons: list[str], relaxations: tuple[Relaxation, ...], cause: Ints | None
    ) -> None:
        self.pieces += [len(self.reasons)] * len(reasons)
        self.relaxations += [relaxations if why else () for why in reasons]
        self.causes += [cause if why else None for why in reasons]
        self.reasons += reasons

    def finish(self, whole: Part, *, stopped: bool) -> Solution:
        """Number groups by their first unit."""
        labels = self.labels
        numbers, first = np.unique(labels[labels >= 0], return_index=True)
        position = np.flatnonzero(labels >= 0)[first]
        order = numbers[np.argsort(position)]
        renumber = np.full(len(self.reasons) + 1, -1, np.int64)
        renumber[order] = np.arange(order.size)
        final = renumber[labels]
        group_load = np.zeros(order.size, np.int64)
        np.add.at(group_load, final[final >= 0], whole.loads[final >= 0])
        causes = tuple(
            np.zeros(0, np.int64) if not self.reasons[old]
            else np.flatnonzero(final == new) if self.causes[old] is None
            else self.causes[old]
            for new, old in enumerate(order)
        )  # fmt: skip
        return Solution(
            final, group_load, tuple(self.reasons[g] for g in order),
            int(kernels.cut_of(whole.indptr, whole.indices, whole.borders, final)),
            np.array(self.pieces, np.int64)[order],
            tuple(self.relaxations[g] for g in order), causes, stopped,
        )  # fmt: skip


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
    # one group that is as it should be is all that hunts are asked for here
    pair = whole_part(np.array([0, 1, 2]), np.array([1, 0]), np.full(2, 1000), np.full(2, 1))
    nothing = np.zeros(0, np.int64)
    for turn in range(2):
        hunt(
            pair, np.zeros(2, np.int64), 1, Bounds(1, 9, nothing, nothing), turn=turn,
            seed=np.zeros(1, np.uint64), control=np.zeros(2, np.int64),
        )  # fmt: skip
    pair.contract(np.zeros(2, np.int64), 1)
    # a row of two units that no count divides reaches the last resort
    solve(np.array([0, 1, 2]), np.array([1, 0]), np.full(2, 1000), np.array([1, 3]), 2, 3)
