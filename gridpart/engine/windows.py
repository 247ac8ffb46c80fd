"""Windows of a division: some groups side by side, taken out, divided anew and put back."""

from __future__ import annotations

import itertools

import numpy as np

from gridpart.engine import kernels
from gridpart.engine.kernels import Bits, Ints
from gridpart.engine.part import Part

__all__ = ["Windows"]


class Windows:
    """A division that is divided anew window by window, each at the cost of the window alone.

    Parameters
    ----------
    part : Part
    labels : ndarray of int64, shape (n,)
        Changed in place by :meth:`divide`.
    n_groups : int
    """

    def __init__(self, part: Part, labels: Ints, n_groups: int) -> None:
        self.part, self.labels, self.n_groups = part, labels, n_groups
        self._first, self._following, _ = kernels.chains(labels, n_groups)
        order = np.argsort(labels, kind="stable")
        ends = np.searchsorted(labels[order], np.arange(n_groups + 1))
        self._members = [order[start:stop] for start, stop in itertools.pairwise(ends)]
        self._taken = np.zeros(n_groups, np.bool_)
        self._place = np.full(len(part), -1, np.int64)

    def around(self, group: int, size: int, state: Bits) -> tuple[Ints, Ints]:
        """Up to `size` connected groups around one, and their units, both in ascending order."""
        chosen = np.empty(max(size, 1), np.int64)
        found = kernels.gather(
            self.part.indptr, self.part.indices, self.labels, self._following, self._first,
            group, min(size, self.n_groups), state, chosen, self._taken,
        )  # fmt: skip
        groups = np.sort(chosen[:found])
        return groups, np.sort(np.concatenate([self._members[g] for g in groups]))

    def take(self, members: Ints) -> Part:
        """The units of a window as a part of their own."""
        return self.part.take(members, self._place)

    def divide(self, groups: Ints, members: Ints, anew: Ints) -> None:
        """Put the units of a window into its groups anew: `anew` says which, from 0."""
        self.labels[members] = groups[anew]
        for place, group in enumerate(groups):
            units = members[anew == place]
            self._members[group] = units
            self._first[group] = units[0]
            self._following[units[:-1]] = units[1:]
            self._following[units[-1]] = -1
