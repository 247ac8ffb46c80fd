"""A connected set of grids shared out among posts: beats, by the engine that makes the grids.

One level up the grids are the units and the beats are the groups. What holds a beat together or
apart is told to the engine as data: a post that is there already is a unit of its own, of which a
beat may have one at most, and a limit on the grids of a beat is a second bounded quantity.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order

from gridpart.engine import Effort, fewest_groups, regrouped, solve
from gridpart.staffing.neighbours import Neighbours

__all__ = ["Answer", "Region", "Sharing"]

IntArray = npt.NDArray[np.int64]

# Of so few nodes every number of posts is tried one by one: the engine proves what cannot be.
PROVABLE = 14
# More nodes are worth a long search, and to have beats chosen anew.
BROAD = 100
# Of so many nodes the relaxation of all beats takes seconds; and of beats of more nodes than these
# too many are possible.
RELAXED = (BROAD, 2000)
RELAXED_BEAT = 8
# One run: what it misses, exact methods find.
QUICK = Effort(sweeps=200, starts=1, starts_up_to=0, restarts=40)
LONG = Effort.of("default")
# Where a search under one cap failed, it is not tried again under one that is hardly higher.
NEAR = 1.002
# Beats that are known under a cap so much higher are a good start for a lower one.
SLIGHTLY = 1.02
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
    squares : float
        Sum of the squared loads: of as many beats the less, the more even.
    """

    labels: IntArray
    worst: int
    squares: float


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
    _answers: dict[int, Answer] = field(default_factory=dict)
    _bounds: dict[int, int] = field(default_factory=dict)
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

    def fewest(self, cap: int, enough: int | None = None) -> Answer | None:
        """How many more posts keep every load at or below `cap`; None where no number does.

        Parameters
        ----------
        cap : int
        enough : int, optional
            A number that is as good as any below it.
        """
        if int(self.loads.max()) > cap:
            return None
        if cap >= int(self.loads.sum()) and self.max_grids is None:
            return Answer(self.least, self.least)
        # what is known under a lower cap holds here, and what is proven under a higher one
        found = min((k for k, known in self._found.items() if known.worst <= cap), default=None)
        proven = self.proven(cap)
        if found is not None and (found == proven or (enough is not None and found <= enough)):
            return Answer(found, proven)
        answer = self._asked(cap, proven, enough)
        self._answers[cap] = answer
        return answer

    def proven(self, cap: int) -> int:
        """So many more posts are needed at least, by what is known and by arithmetic."""
        known = max((a.proven for held, a in self._answers.items() if held >= cap), default=0)
        bound = max((b for held, b in self._bounds.items() if held >= cap), default=0)
        return max(known, bound, self._at_least(cap))

    def bound(self, cap: int, enough: int | None = None) -> int:
        """The same, from the relaxation of all ways to make beats, which is quick.

        Parameters
        ----------
        cap : int
        enough : int, optional
            It need only be told whether more are needed.
        """
        proven = self.proven(cap)
        if enough is not None and proven > enough:
            return proven
        tight = any(k <= proven for k, known in self._found.items() if known.worst <= cap)
        if tight or len(self) <= PROVABLE or cap in self._bounds or cap >= int(self.loads.sum()):
            return proven
        # what takes seconds is worth it where it is all that is asked
        wanted = None
        if enough is not None and RELAXED[0] < len(self) <= RELAXED[1]:
            count = self.posts + enough
            wanted = count if len(self) <= RELAXED_BEAT * count else None
        _, at_least = fewest_groups(*self._for_engine(cap), by="bound", enough=wanted)
        self._bounds[cap] = max(proven, at_least - self.posts)
        return self._bounds[cap]

    def _asked(self, cap: int, proven: int, enough: int | None) -> Answer:
        if len(self) <= PROVABLE:
            for more in range(proven, self.bare):
                if self.divide(more, cap) is not None:
                    return Answer(more, proven)
                if proven == more and self._proven.get(more, -1) >= cap:
                    proven = more + 1
            return Answer(max(self.bare, proven), proven)
        labels, at_least = fewest_groups(*self._for_engine(cap), by="choice")
        proven = max(proven, at_least - self.posts)
        if at_least and not labels.size:  # the search is quick where it finds something
            searched, _ = self._solved(self.posts + proven, cap, insist=False)
            if searched is None:
                labels, at_least = fewest_groups(*self._for_engine(cap))
                proven = max(proven, at_least - self.posts)
            else:
                labels = searched
        if labels.size and not self._broken(labels, cap):
            found = int(labels.max()) + 1 - self.posts
            self._keep(found, labels)
            return Answer(found, proven)
        return self._searched(cap, proven, enough)

    def _searched(self, cap: int, proven: int, enough: int | None) -> Answer:
        """In growing steps, then by halves: more posts never make it harder."""
        if enough is not None and enough < self.bare:
            if proven <= enough and self.divide(enough, cap) is not None:
                return Answer(enough, proven)
            return Answer(self.bare, proven)  # how many of those that nobody has is not asked
        missed, step, more = proven - 1, 1, proven
        while more < self.bare and self.divide(more, cap) is None:
            missed, more, step = more, more + step, 2 * step
        more = min(more, self.bare)
        while more - missed > 1:
            middle = (more + missed) // 2
            if self.divide(middle, cap) is None:
                missed = middle
            else:
                more = middle
        return Answer(more, min(proven, more))

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
            Look for even loads, too.

        Returns
        -------
        Sharing or None
            None where none was found; it is then noted whether that is a proof.
        """
        known = self._known(more, cap)
        near = NEAR if len(self) > PROVABLE else 1
        if known is None and self._failed.get(more, -1) * near < cap:
            known = self._tried(more, cap)
        if even and known is not None and 1 < self.posts + more < len(self):
            labels, _ = self._solved(self.posts + more, cap, insist=False)
            if labels is not None:
                other = self._sharing(labels)
                if other.squares < known.squares:
                    return other
        return known

    def _tried(self, more: int, cap: int) -> Sharing | None:
        if more < self.least:
            self._failed[more] = self._proven[more] = max(self._proven.get(more, -1), cap)
            return None
        labels, proven = self._solved(self.posts + more, cap, insist=len(self) <= BROAD)
        if labels is None and len(self) > BROAD:
            known = self._found.get(more)
            if known is not None and known.worst <= SLIGHTLY * cap:
                labels = self._lightened(known.labels, cap)
            if labels is None:
                labels, proven = self._solved(self.posts + more, cap, effort=LONG)
        if labels is not None:
            return self._keep(more, labels)
        self._failed[more] = max(self._failed.get(more, -1), cap)
        if proven:
            self._proven[more] = max(self._proven.get(more, -1), cap)
        return None

    def _lightened(self, labels: IntArray, cap: int) -> IntArray | None:
        """Beats of which those above the cap are chosen anew; None where that fails."""
        lighter = regrouped(*self._for_engine(cap), labels, seed=SEED)
        return None if lighter is None or self._broken(lighter, cap) else lighter

    def _known(self, more: int, cap: int) -> Sharing | None:
        """Beats that were found before, of so many posts or of fewer: those are split."""
        fits = [k for k, sharing in self._found.items() if k <= more and sharing.worst <= cap]
        if not fits:
            return None
        labels = self._found[max(fits)].labels
        for _ in range(more - max(fits)):
            labels = self._split(labels)
        return self._keep(more, labels)

    def _keep(self, more: int, labels: IntArray) -> Sharing:
        found = self._sharing(labels)
        known = self._found.get(more)
        if known is None or (found.worst, found.squares) < (known.worst, known.squares):
            self._found[more] = found
        return self._found[more]

    def _sharing(self, labels: IntArray) -> Sharing:
        load = np.bincount(labels, self.loads).astype(np.int64)
        return Sharing(labels, int(load.max()), float(np.square(load.astype(float)).sum()))

    def _split(self, labels: IntArray) -> IntArray:
        """The heaviest beat of several nodes in two, where its halves are most alike."""
        load, size = np.bincount(labels, self.loads), np.bincount(labels)
        heaviest = int(np.argmax(np.where(size > 1, load, -1.0)))
        members = np.flatnonzero(labels == heaviest)
        near = self.near.among(members)
        tree = breadth_first_order(_matrix(near), 0, directed=False)
        below = self.loads[members].astype(np.int64)
        parents = tree[1]
        for node in tree[0][:0:-1]:
            below[parents[node]] += below[node]
        off = tree[0][1:]
        cut = int(off[np.argmin(np.abs(2 * below[off] - below[0]))])
        branch = np.zeros(members.size, bool)
        branch[cut] = True
        for node in off:
            branch[node] |= branch[parents[node]]
        result = labels.copy()
        # a beat with two parts, one of which has the post: the post keeps its own
        result[members[branch]] = int(labels.max()) + 1
        return result

    def _for_engine(
        self, cap: int
    ) -> tuple[IntArray, IntArray, IntArray, IntArray, list[int], list[int]]:
        """What :func:`gridpart.engine.solve` takes: graph, loads and bounds."""
        # a group of grids where nobody lives must count as one: all loads are larger by a little
        n = len(self)
        scale = 1 if (self.loads > 0).all() else n + 1
        columns = [self.loads * scale + (scale > 1)]
        low, high = [1], [max(cap, 1) * scale + (scale > 1) * n]
        if self.posts > 1:
            columns.append(self.held.astype(np.int64))
            low.append(0)
            high.append(1)
        if self.max_grids is not None:
            columns.append(np.minimum(self.grids, self.max_grids))
            low.append(0)
            high.append(self.max_grids)
        near = self.near
        return (
            near.indptr, near.indices, near.borders, np.column_stack(columns),
            low, high,
        )  # fmt: skip

    def _solved(
        self, count: int, cap: int, *, insist: bool = True, effort: Effort = QUICK
    ) -> tuple[IntArray | None, bool]:
        n = len(self)
        if int(self.loads.max()) > cap or count > n:
            return None, True
        if count == n:
            return np.arange(n), True
        if count == 1 and not self._broken(np.zeros(n, np.int64), cap):
            return np.zeros(n, np.int64), True
        indptr, indices, borders, loads, low, high = self._for_engine(cap)
        found = solve(
            indptr, indices, borders, loads, low, high, x=self.near.x, y=self.near.y,
            n_groups=count, balance=1.0, seed=SEED,
            effort=effort, advise=False,
            insist=insist,
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


def _matrix(near: Neighbours) -> csr_array:
    n = near.x.size
    # what walks graphs in older releases of scipy takes no other indices
    indices, indptr = near.indices.astype(np.int32), near.indptr.astype(np.int32)
    return csr_array((np.ones(near.indices.size), indices, indptr), shape=(n, n))
