"""A connected set of grids shared out among posts: beats, by the engine that makes the grids.

One level up the grids are the units and the beats are the groups. What holds a beat together or
apart is told to the engine as data: a post that is there already is a unit of its own, of which a
beat may have one at most, and a limit on the grids of a beat is a second bounded quantity.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from gridpart.engine import Effort, solve
from gridpart.staffing.neighbours import Neighbours

__all__ = ["Answer", "Region", "Sharing"]

IntArray = npt.NDArray[np.int64]

# Of so few nodes every number of posts is tried one by one: the engine proves what cannot be.
PROVABLE = 14
SEED = 0


@dataclass(frozen=True)
class Answer:
    """How many more posts a region needs under a cap.

    Attributes
    ----------
    found : int
        With so many it is known to work.
    proven : int
        With fewer it is proven not to work.
    """

    found: int
    proven: int


@dataclass(frozen=True, eq=False)
class Sharing:
    """A region divided into beats.

    Attributes
    ----------
    labels : ndarray of int64, shape (n,)
        Beat of every node.
    worst : int
        Load of the heaviest beat.
    """

    labels: IntArray
    worst: int


@dataclass(eq=False)
class Region:
    """Nodes to be shared out: grids without a post, and posts with the grids that they have.

    Parameters
    ----------
    nodes : ndarray of int64
        What the owner of the region calls its nodes.
    near : Neighbours
        Of the nodes; connected.
    loads : ndarray of int64, shape (n,)
        Of every node; what a post has already, where the node is one.
    held : ndarray of bool, shape (n,)
        Nodes that are posts: a beat may have one at most.
    grids : ndarray of int64, shape (n,)
        Grids that each node stands for.
    max_grids : int, optional
        Most grids of a beat.
    """

    nodes: IntArray
    near: Neighbours
    loads: IntArray
    held: npt.NDArray[np.bool_]
    grids: IntArray
    max_grids: int | None = None
    _found: dict[int, Sharing] = field(default_factory=dict)
    _failed: dict[int, int] = field(default_factory=dict)
    _proven: dict[int, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return int(self.nodes.size)

    @property
    def posts(self) -> int:
        """Posts that are there already."""
        return int(self.held.sum())

    @property
    def bare(self) -> int:
        """Grids without a post."""
        return len(self) - self.posts

    @property
    def least(self) -> int:
        """Fewest more posts with which every grid may have one, if nothing else forbids it."""
        return 0 if self.posts else 1

    def fewest(self, cap: int) -> Answer | None:
        """How many more posts keep every load at or below `cap`; None where no number does."""
        if int(self.loads.max()) > cap:
            return None
        proven = first = self._at_least(cap)
        if len(self) > PROVABLE:
            return self._fewest_of_many(cap, first)
        for more in range(first, self.bare):
            if self.divide(more, cap) is not None:
                return Answer(more, proven)
            if proven == more and self._proven.get(more, -1) >= cap:
                proven = more + 1
        return Answer(max(self.bare, first), proven)

    def _fewest_of_many(self, cap: int, first: int) -> Answer:
        """In growing steps, then by halves: more posts never make it harder."""
        missed, step, more = first - 1, 1, first
        while more < self.bare and self.divide(more, cap) is None:
            missed, more, step = more, more + step, 2 * step
        more = min(more, self.bare)
        while more - missed > 1:
            middle = (more + missed) // 2
            if self.divide(middle, cap) is None:
                missed = middle
            else:
                more = middle
        proven = first
        while proven < more and self._proven.get(proven, -1) >= cap:
            proven += 1
        return Answer(more, proven)

    def _at_least(self, cap: int) -> int:
        """Posts that arithmetic demands: by the total, by nodes that pair with none, by grids."""
        heavy = np.sort(self.loads)[::-1]
        # two nodes above half of the cap are never together, nor one of them with a heavier one
        apart = int((2 * heavy > cap).sum())
        if apart and apart < heavy.size and int(heavy[apart - 1] + heavy[apart]) > cap:
            apart += 1
        total = int(heavy.sum())
        wanted = max(-(-total // cap) if cap else 0, apart)  # under no load at all nobody is needed
        if self.max_grids is not None:
            held = np.minimum(self.grids[self.held], self.max_grids)
            wanted = max(wanted, -(-(self.bare + int(held.sum())) // self.max_grids))
        return max(wanted - self.posts, self.least)

    def divide(self, more: int, cap: int, *, even: bool = False) -> Sharing | None:
        """Beats of which none is above `cap`, with so many posts more.

        Parameters
        ----------
        more : int
            Posts besides those that are there; not more than there are bare grids.
        cap : int
        even : bool, default False
            Spend more on even loads.

        Returns
        -------
        Sharing or None
            None where none was found; it is then noted whether that is a proof.
        """
        count = self.posts + more
        known = self._found.get(more)
        if not even and known is not None and known.worst <= cap:
            return known
        if not even and self._failed.get(more, -1) >= cap:
            return None
        if more < self.least:
            self._failed[more] = self._proven[more] = max(self._proven.get(more, -1), cap)
            return None
        labels, proven = self._solved(count, cap, even=even)
        if labels is None:
            if even:
                return known
            self._failed[more] = cap
            if proven:
                self._proven[more] = max(self._proven.get(more, -1), cap)
            return None
        load = np.bincount(labels, self.loads).astype(np.int64)
        found = Sharing(labels, int(load.max()))
        if known is None or found.worst <= known.worst or even:
            self._found[more] = found
        return found

    def _solved(self, count: int, cap: int, *, even: bool) -> tuple[IntArray | None, bool]:
        n = len(self)
        if int(self.loads.max()) > cap or count > n:
            return None, True
        if count == n:
            return np.arange(n), True
        if count == 1 and not self._broken(np.zeros(n, np.int64), cap):
            return np.zeros(n, np.int64), True
        # a group of grids where nobody lives must count as one: all loads are larger by a little
        scale = 1 if (self.loads > 0).all() else n + 1
        first = self.loads * scale + (scale > 1)
        columns, low, high = [first], [1], [max(cap, 1) * scale + (scale > 1) * n]
        if self.posts > 1:
            columns.append(self.held.astype(np.int64))
            low.append(0)
            high.append(1)
        if self.max_grids is not None:
            columns.append(np.minimum(self.grids, self.max_grids))
            low.append(0)
            high.append(self.max_grids)
        found = solve(
            self.near.indptr, self.near.indices, self.near.borders, np.column_stack(columns),
            low, high, x=self.near.x, y=self.near.y, n_groups=count, balance=1.0, seed=SEED,
            effort=Effort.of("default" if even else "fast"), advise=False,
        )  # fmt: skip
        if any(found.reasons) or found.n_groups != count or self._broken(found.labels, cap):
            why = [
                proof for proof, reason in zip(found.proven, found.reasons, strict=True) if reason
            ]
            return None, bool(why) and all(why)
        return found.labels, True

    def _broken(self, labels: IntArray, cap: int) -> bool:
        """Whether a beat is too heavy, has two posts, or too many grids."""
        if np.bincount(labels, self.loads).max() > cap:
            return True
        if np.bincount(labels, self.held).max() > 1:
            return True
        if self.max_grids is None:
            return False
        counted = np.bincount(labels, np.minimum(self.grids, self.max_grids))
        return bool(counted.max() > self.max_grids)
