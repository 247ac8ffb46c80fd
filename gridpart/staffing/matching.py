"""Which of the posts that are alike comes to which grids: the loads are settled before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from gridpart.staffing.sharing import Group

__all__ = ["Wishes", "matched"]

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

# A pool of more posts than this is matched in slices: the table of costs has its square.
LARGEST_POOL = 2_000


@dataclass(frozen=True, eq=False)
class Wishes:
    """What is weighed, of all posts of a role and of all grids.

    Attributes
    ----------
    capacity : ndarray of float, shape (posts,)
        Largest load of each post in parts, NaN where there is none.
    skills : list of frozenset of str
        Of each post.
    held : list of tuple of int
        Grids that each holds today.
    home : ndarray of float, shape (posts, 2)
        Where each lives, millimetres; NaN where that is unknown.
    needs : list of frozenset of str
        Skills that each grid asks for.
    point : ndarray of float, shape (grids, 2)
        Where each grid lies, millimetres.
    """

    capacity: FloatArray
    skills: list[frozenset[str]]
    held: list[tuple[int, ...]]
    home: FloatArray
    needs: list[frozenset[str]]
    point: FloatArray

    @cached_property
    def indifferent(self) -> bool:
        """Whether it is all the same who comes where."""
        return bool(
            np.isnan(self.capacity).all()
            and not any(self.needs)
            and not any(self.held)
            and np.isnan(self.home).any(axis=1).all()
        )

    def costs(self, posts: Sequence[int], groups: Sequence[Group], loads: FloatArray) -> FloatArray:
        """Cost of every pair.

        A capacity exceeded weighs more than all skills that are missed, a skill more than all who
        move, and one who moves more than all travel together.
        """
        at = np.array(posts, np.int64)
        over = (
            loads[None, :]
            > np.where(np.isnan(self.capacity[at]), np.inf, self.capacity[at])[:, None]
        )
        unmet = np.zeros((at.size, len(groups)))
        wanted = [frozenset().union(*(self.needs[g] for g in group.grids)) for group in groups]
        if any(wanted):
            unmet[:] = [[len(needs - self.skills[k]) for needs in wanted] for k in posts]
        moved = np.zeros_like(unmet)
        for row, k in enumerate(posts):
            if self.held[k]:
                moved[row] = [not set(self.held[k]) & set(group.grids) for group in groups]
        centre = np.array([self.point[list(group.grids)].mean(axis=0) for group in groups])
        away = np.linalg.norm(self.home[at][:, None, :] - centre.reshape(-1, 2)[None, :, :], axis=2)
        away = np.nan_to_num(away)
        most = min(at.size, len(groups)) + 1.0
        travel = away / (max(float(away.max(initial=0)), 1.0) * most)
        kinds = 1 + unmet.max(initial=0)
        return over * kinds * most**2 * 2 + unmet * most * 2 + moved * 2 + travel


def matched(
    posts: Sequence[int],
    groups: list[Group],
    wanted: int,
    loads: dict[Group, float],
    wishes: Wishes,
) -> tuple[list[tuple[int, int]], list[Group]]:
    """Give groups to posts, one each, at the least cost.

    Parameters
    ----------
    posts : sequence of int
        In canonical order.
    groups : list of Group
    wanted : int
        Groups that get a post; not more than there are of either.
    loads : dict of Group to float
        Load of whoever holds a group, in parts.
    wishes : Wishes

    Returns
    -------
    pairs : list of tuple of int
        Post and grid.
    rest : list of Group
        Groups that nobody of these posts took.

    Notes
    -----
    Exact by the assignment method of Jonker and Volgenant, 1987 (scipy), in pools of up to 2,000;
    larger pools are cut along a line from west to east. Where all pairs cost the same, posts
    in order take groups in order.
    """
    if not wanted:
        return [], list(groups)
    if wishes.indifferent:
        served = zip(posts, groups[:wanted], strict=False)
        return [(k, g) for k, group in served for g in group.grids], groups[wanted:]
    pairs: list[tuple[int, int]] = []
    rest: list[Group] = []
    for some_posts, some_groups, some_wanted in _slices(list(posts), groups, wanted, wishes):
        load = np.array([loads[group] for group in some_groups])
        cost = wishes.costs(some_posts, some_groups, load)
        if cost.size and (cost == cost.flat[0]).all():
            rows = columns = np.arange(some_wanted)
        else:
            rows, columns = linear_sum_assignment(cost)
        rows, columns = rows[:some_wanted], columns[:some_wanted]
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
            pairs += [(some_posts[row], g) for g in some_groups[column].grids]
        taken = set(columns.tolist())
        rest += [group for k, group in enumerate(some_groups) if k not in taken]
    return pairs, rest


def _slices(
    posts: list[int], groups: list[Group], wanted: int, wishes: Wishes
) -> list[tuple[list[int], list[Group], int]]:
    if max(len(posts), len(groups)) <= LARGEST_POOL or len(posts) != len(groups):
        return [(posts, groups, wanted)]
    east = np.nan_to_num(wishes.home[posts, 0])
    by_post = [posts[k] for k in np.argsort(east, kind="stable")]
    where = np.array([wishes.point[list(group.grids), 0].mean() for group in groups])
    by_group = [groups[k] for k in np.argsort(where, kind="stable")]
    return [
        (
            by_post[k : k + LARGEST_POOL],
            by_group[k : k + LARGEST_POOL],
            len(by_post[k : k + LARGEST_POOL]),
        )
        for k in range(0, len(posts), LARGEST_POOL)
    ]
