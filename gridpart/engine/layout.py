"""What the search is given: arrays that fit together, and the parts they fall into.

Groups by decree step aside, what must stay together becomes one unit, and each connected region of
the rest is a part of its own; so is what must stay together but is too much for one group.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gridpart.engine import kernels
from gridpart.engine.kernels import Flags, Ints
from gridpart.engine.part import Bounds, Part
from gridpart.engine.sharing import SharedPart

__all__ = [
    "MOST_LOAD",
    "Layout",
    "bounds_of",
    "lay_out",
    "plain",
    "whole_part",
]

MOST_WORK = 1 << 12  # of a unit on average
MOST_LOAD = 1 << 45  # of all units; weighed against borders, more would leave 64 bits


# ---------------------------------------------------------------- the input


def plain(array: npt.ArrayLike) -> Ints:
    """One type of array, or the kernels would be compiled for each: contiguous and writable."""
    return np.require(array, np.int64, ["C", "W"])


def whole_part(
    indptr: Ints,
    indices: Ints,
    borders: Ints,
    loads: Ints,
    *,
    x: Ints | None = None,
    y: Ints | None = None,
    work: Ints | None = None,
    reach: Ints | None = None,
    closed: Flags | None = None,
) -> Part:
    """All units as a part, without the closed borders; ValueError where arrays do not fit."""
    indptr, indices, borders = map(plain, (indptr, indices, borders))
    matrix = plain(np.atleast_2d(np.asarray(loads, np.int64).T).T)
    n, m = indptr.size - 1, indices.size
    wanted = {
        "borders": (borders, (m,)), "loads": (matrix, (n, matrix.shape[1])), "x": (x, (n,)),
        "y": (y, (n,)), "work": (work, (n,)), "closed": (closed, (m,)),
    }  # fmt: skip
    for name, (array, shape) in wanted.items():
        if array is not None and np.shape(array) != shape:
            text = f"{n} units and {m} neighbours need {name} of shape {shape}"
            raise ValueError(f"{text}, got {np.shape(array)}")
    if indptr[0] != 0 or indptr[-1] != m or (m and not 0 <= indices.min() <= indices.max() < n):
        raise ValueError("indptr must begin with 0 and end with the number of indices, all below n")
    if (matrix < 0).any() or (borders < 0).any():
        raise ValueError("loads and borders must not be negative")
    if matrix.sum(axis=0, dtype=np.float64).max(initial=0) > MOST_LOAD:
        raise ValueError(
            f"the sum of a column of loads must not be above {MOST_LOAD:,}: count in larger units"
        )
    if closed is not None and np.any(closed):
        indptr, indices, borders = _without(indptr, indices, borders, np.asarray(closed, bool))
    if x is None or y is None:
        x, y = _steps(indptr, indices)
    spread = np.zeros((n, 0), np.int64) if reach is None else reach
    if np.shape(spread)[0] != n or np.shape(spread)[1] % 2:
        raise ValueError(f"reach must have {n} rows and an even number of columns")
    main = plain(matrix[:, 0])
    return Part(
        indptr, indices, borders, main, _scaled(main if work is None else plain(work)),
        plain(matrix[:, 1:]), plain(spread), plain(x), plain(y),
    )  # fmt: skip


def _scaled(work: Ints) -> Ints:
    """Work in coarser units where units have a lot: its squares are weighed in whole numbers."""
    step = -(-int(work.sum()) // (MOST_WORK * max(work.size, 1)))
    return work if step <= 1 else plain((work + step // 2) // step)


def _without(indptr: Ints, indices: Ints, borders: Ints, closed: Flags) -> tuple[Ints, Ints, Ints]:
    kept = np.concatenate([[0], np.cumsum(~closed)])
    return plain(kept[indptr]), plain(indices[~closed]), plain(borders[~closed])


def bounds_of(
    low: int | Sequence[int], high: int | Sequence[int], whole: Part, widest: int | None = None
) -> Bounds:
    """The band of each column of loads, and of the width; ValueError where they do not fit."""
    lows, highs = (np.atleast_1d(np.asarray(bound, np.int64)) for bound in (low, high))
    columns = 1 + whole.extra.shape[1]
    if lows.shape != (columns,) or highs.shape != (columns,):
        raise ValueError(f"{columns} columns of loads need as many bounds, got {low} and {high}")
    if lows[0] < 1 or (lows > highs).any() or (lows < 0).any():
        raise ValueError(f"the band must satisfy 1 <= low <= high, got {low} and {high}")
    if (widest is None) != (whole.reach.shape[1] == 0) or (widest is not None and widest < 1):
        raise ValueError("give reach and widest, which must be at least 1, together")
    pairs = np.zeros(0 if widest is None else 1, np.int64)
    return Bounds(
        int(lows[0]), int(highs[0]), np.concatenate([lows[1:], pairs]),
        np.concatenate([highs[1:], pairs]), widest or 0,
    )  # fmt: skip


def _steps(indptr: Ints, indices: Ints) -> tuple[Ints, Ints]:
    """Stand-ins for coordinates: steps from one far end of each part, and from another."""
    first = kernels.steps_from_far(indptr, indices, np.zeros(indptr.size - 1, np.int64))
    return first, kernels.steps_from_far(indptr, indices, first)


# ---------------------------------------------------------------- what goes with what


@dataclass(frozen=True, eq=False)
class Layout:
    """Which units are groups by decree, and in which regions groups may run.

    Attributes
    ----------
    whole : Part
        All units, without the closed borders.
    bounds : Bounds
        What a group may hold and span.
    decreed : list of (ndarray of int64, str)
        Members and reason of every group that is one whatever its load.
    compounds : list of ndarray of int64
        Members of what must stay together and is too much for one group.
    rest : list of ndarray of int64
        Members of every connected region of all other units.
    node : ndarray of int64, shape (n,)
        First unit of those that stay together with each; itself where there are none.
    """

    whole: Part
    bounds: Bounds
    decreed: list[tuple[Ints, str]]
    compounds: list[Ints]
    rest: list[Ints]
    node: Ints

    @classmethod
    def of(cls, whole: Part, bounds: Bounds, sites: Ints | None, tied: Ints | None) -> Layout:
        """Lay out a whole; ValueError where `sites` or `tied` do not fit it."""
        n = len(whole)
        site = np.full(n, -1, np.int64) if sites is None else np.asarray(sites, np.int64)
        knot = np.full(n, -1, np.int64) if tied is None else np.asarray(tied, np.int64)
        if site.shape != (n,) or knot.shape != (n,):
            raise ValueError(f"sites and tied must have one number for each of {n} units")
        apart = site >= 0
        decreed = [(members, "") for members in _sets(site)]
        above = bounds.above(whole) & ~apart
        decreed += [(np.array([unit]), "unit_above_band") for unit in np.flatnonzero(above)]
        apart |= above
        node = np.arange(n)
        compounds = []
        for members in whole.connected(np.where(apart, -1, knot)):
            one = whole.take(members).contract(np.zeros(members.size, np.int64), 1)
            if bounds.above(one)[0]:
                compounds.append(members)
                apart[members] = True
            else:
                node[members] = members[0]
        rest = list(whole.connected(np.where(apart, -1, 0)))
        return cls(whole, bounds, decreed, compounds, rest, node)

    def parts(self) -> Iterator[tuple[Part, Ints, Ints]]:
        """Parts to be solved, the units of each, and the unit of the part that each of them is."""
        for members in sorted((*self.compounds, *self.rest), key=lambda members: int(members[0])):
            if not self.whole.loads[members].any():
                continue
            part = self.whole.take(members)
            nodes, inverse = np.unique(self.node[members], return_inverse=True)
            inverse = plain(inverse.reshape(-1))
            if nodes.size < members.size:
                part = part.contract(inverse, nodes.size)
            yield part, members, inverse

    def region(self) -> Ints:
        """Number of the connected region in which the group of every unit may run.

        Returns
        -------
        ndarray of int64, shape (n,)
            -1 for units that are groups by decree, or part of what is divided among itself.
        """
        region = np.full(len(self.whole), -1, np.int64)
        for number, members in enumerate(self.rest):
            region[members] = number
        return region

    def share(self) -> SharedPart | None:
        """What all parts together can do with a number of groups; None where there are none."""
        parts = [self.share_of(part) for part, _, _ in self.parts()]
        return SharedPart.together(parts) if parts else None

    def share_of(self, part: Part) -> SharedPart:
        """What one part can do with a number of groups."""
        return SharedPart.of(part.total, len(part), self.bounds.low, self.bounds.high)


def lay_out(
    indptr: Ints,
    indices: Ints,
    loads: Ints,
    low: int | Sequence[int],
    high: int | Sequence[int],
    *,
    sites: Ints | None = None,
    tied: Ints | None = None,
    closed: Flags | None = None,
    reach: Ints | None = None,
    widest: int | None = None,
) -> Layout:
    """What :func:`gridpart.engine.solve` would divide: for those who must know it beforehand.

    Parameters
    ----------
    indptr, indices, loads, low, high, sites, tied, closed, reach, widest
        As in :func:`gridpart.engine.solve`.

    Returns
    -------
    Layout

    Examples
    --------
    Three units in a row, the middle one a group by decree:

    >>> indptr, indices = np.array([0, 1, 3, 4]), np.array([1, 0, 2, 1])
    >>> layout = lay_out(indptr, indices, np.full(3, 10), 5, 20, sites=np.array([-1, 0, -1]))
    >>> layout.region().tolist()
    [0, -1, 1]
    """
    borders = np.ones(len(indices), np.int64)
    whole = whole_part(indptr, indices, borders, loads, reach=reach, closed=closed)
    return Layout.of(whole, bounds_of(low, high, whole, widest), sites, tied)


def _sets(numbers: Ints) -> Iterator[Ints]:
    """Places of each number, of those that are not negative, in ascending order."""
    order = np.argsort(numbers, kind="stable")
    order = order[numbers[order] >= 0]
    if order.size:
        yield from np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1)
