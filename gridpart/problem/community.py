"""One community as the engine sees it, and what its grids may hold and span."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gridpart.rules import Rules

if TYPE_CHECKING:
    import numpy.typing as npt

    from gridpart.engine import Layout

    Ints = npt.NDArray[np.int64]
    Flags = npt.NDArray[np.bool_]

__all__ = ["DIRECTIONS", "Community", "diameter_m", "widest_mm"]

DIRECTIONS = 16  # in which the width of a grid is limited


@dataclass(frozen=True, eq=False)
class Community:
    """One community as the engine sees it.

    Attributes
    ----------
    key : str
        Its name; empty where all units are one community.
    members : ndarray of int64, shape (n,)
        Positions of its units, in an order that follows their geometry.
    indptr, indices, borders, closed, loads, x, y, work, sites, tied, reach : ndarray
        What :func:`gridpart.engine.solve` takes.
    """

    key: str
    members: Ints
    indptr: Ints
    indices: Ints
    borders: Ints
    closed: Flags
    loads: Ints
    x: Ints
    y: Ints
    work: Ints
    sites: Ints
    tied: Ints
    reach: Ints

    def __len__(self) -> int:
        return int(self.members.size)

    @property
    def rows(self) -> Ints:
        """Unit that each entry of `indices` belongs to."""
        return np.repeat(np.arange(len(self)), np.diff(self.indptr))

    def parts(self, labels: Ints) -> tuple[Ints, int]:
        """Number the parts of equal label (not -1) that open borders connect; how many."""
        from gridpart.engine.kernels import components

        open_ = ~self.closed
        indptr = np.searchsorted(self.rows[open_], np.arange(len(self) + 1))
        part, count = components(indptr, self.indices[open_], labels)
        return part, int(count)

    @property
    def households(self) -> int:
        """Households outside exclusive sites."""
        return int(self.loads[self.sites < 0, 0].sum())

    def limits(self, rules: Rules) -> dict[str, Any]:
        """What a group may hold and span, as the engine takes it."""
        bands = [(rules.low, rules.high), *(rules.bounds or {}).values()]
        return {
            "low": [low for low, _ in bands],
            "high": [high for _, high in bands],
            "sites": self.sites,
            "tied": self.tied,
            "closed": self.closed,
            "reach": self.reach if self.reach.size else None,
            "widest": widest_mm(rules.max_diameter_m),
        }

    def layout(self, rules: Rules) -> Layout:
        """What of the community is to be divided, as the engine sees it."""
        from gridpart.engine import lay_out

        return lay_out(self.indptr, self.indices, self.loads, **self.limits(rules))

    def linked(self, together: Ints) -> Community:
        """The community with a made-up border between the parts of what stays together."""
        part, _ = self.parts(together)
        first = np.unique(part, return_index=True)[1]
        first = first[together[first] >= 0]
        first = first[np.argsort(together[first], kind="stable")]
        same = together[first[1:]] == together[first[:-1]]
        pairs = np.column_stack([first[:-1][same], first[1:][same]])
        return self.with_borders([(int(a), int(b)) for a, b in pairs])

    def with_borders(self, pairs: Sequence[tuple[int, int]]) -> Community:
        """The community with more borders, as short as they can be."""
        if not pairs:
            return self
        n = len(self)
        rows = self.rows
        extra = np.array([*pairs, *((b, a) for a, b in pairs)], np.int64)
        rows, columns = np.append(rows, extra[:, 0]), np.append(self.indices, extra[:, 1])
        borders = np.append(self.borders, np.ones(len(extra), np.int64))
        closed = np.append(self.closed, np.zeros(len(extra), bool))
        order = np.lexsort((columns, rows))
        return dataclasses.replace(
            self, indptr=np.searchsorted(rows[order], np.arange(n + 1)),
            indices=columns[order], borders=borders[order], closed=closed[order],
        )  # fmt: skip


def widest_mm(limit: float | None) -> int | None:
    """Width in every direction with which no diameter can be above the limit, millimetres.

    The diameter of a set is its greatest width; between two directions it can be so much more.
    """
    if limit is None:
        return None
    return int(limit * 1000 * np.cos(np.pi / (2 * DIRECTIONS)))


def diameter_m(widest: int) -> int:
    """The least limit in whole metres that allows a width, in millimetres."""
    limit = -(-widest // 1000)
    while (widest_mm(limit) or 0) < widest:
        limit += 1
    return limit
