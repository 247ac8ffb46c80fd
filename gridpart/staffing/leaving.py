"""One worker less: who takes over, and nothing else changes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd

from gridpart.errors import InputError
from gridpart.staffing.changes import Role, StaffChange, check_staffing
from gridpart.staffing.result import Staffing, plural
from gridpart.staffing.sharing import FINENESS, Place, shared_out

__all__ = ["leave"]

_Takers = dict[int, int | None]


def leave(staffing: Staffing, post_id: str) -> StaffChange:
    """Who takes over what a post holds, with the least change.

    Parameters
    ----------
    staffing : Staffing
    post_id : str
        The post that ends.

    Returns
    -------
    StaffChange
        Only the grids of the post change hands: those that others hold too stay with them; each of
        the rest goes to a post whose grids touch it, directly or through another of them, so that
        the heaviest load among those who take any is smallest. What nobody touches, or nobody may
        hold besides what they have (``max_grids``), is left open, and the reason said; so is
        all of it where nobody else has the role.

    Raises
    ------
    InputError
        If `staffing` is none, there is no such post, or nothing says which grids touch.

    Examples
    --------
    >>> import gridpart as gp
    >>> grids = pd.DataFrame({"grid": ["g1", "g2", "g3"], "households": [300, 200, 250]})
    >>> roster = pd.DataFrame({"post_id": ["a", "b", "c"], "role": "leader"})
    >>> touching = pd.DataFrame({"focal": ["g1", "g2"], "neighbor": ["g2", "g3"]})
    >>> change = leave(gp.assign_posts(grids, roster, neighbours=touching), "b")
    >>> change.steps[["grid", "to", "load_before", "load_after"]].values.tolist()
    [['g2', 'c', 250.0, 450.0]]
    """
    role = Role(staffing, _role_of(staffing, post_id))
    gone = role.ids.index(post_id)
    before = role.load(role.holds)
    holders = Counter(g for grids in role.holds for g in grids)
    left = [g for g in role.holds[gone] if holders[g] == 1]
    holds = [() if k == gone else grids for k, grids in enumerate(role.holds)]
    takers: dict[int, int | None] = {}
    for place in sorted({int(role.place_of[g]) for g in left}):
        takers |= _handed_over(role, holds, [g for g in left if role.place_of[g] == place])
    after = role.load(holds)
    roster = role.case.roster[role.case.roster["post_id"] != post_id]
    roster.attrs = dict(role.case.roster.attrs)
    remaining = [grids for k, grids in enumerate(holds) if k != gone]
    parts = role.case.loads.parts
    return StaffChange(
        role.after(roster, remaining), _steps(role, holds, takers, before, after),
        max(before) / parts, max(after) / parts,
    )  # fmt: skip


def _role_of(staffing: Staffing, post_id: str) -> str:
    """Role of a post; a post that is none is refused."""
    check_staffing(staffing)
    posts = staffing.posts
    if not isinstance(post_id, str):
        raise InputError(f"a post is asked for by its id, which is text, not by {post_id!r}")
    roles = posts.loc[posts["post_id"] == post_id, "role"]
    if roles.empty:
        raise InputError(f"no post {post_id!r} in the staffing")
    return str(roles.iloc[0])


def _steps(
    role: Role,
    holds: list[tuple[int, ...]],
    takers: _Takers,
    before: list[float],
    after: list[float],
) -> pd.DataFrame:
    """What becomes of every grid."""
    table, parts = role.case.table, role.case.loads.parts
    reasons = _why_open(role, holds, [g for g, k in takers.items() if k is None])
    steps = [
        {
            "grid": table.grid[role.served[g]],
            "grid_code": table.code[role.served[g]],
            "within": role.where(g),
            "households": table.households[role.served[g]],
            "to": None if k is None else role.ids[k],
            "load_before": math.nan if k is None else before[k] / parts,
            "load_after": math.nan if k is None else after[k] / parts,
            "reason": reasons.get(g),
        }
        for g, k in sorted(takers.items())
    ]
    columns = [
        "grid", "grid_code", "within", "households", "to", "load_before", "load_after", "reason",
    ]  # fmt: skip
    return pd.DataFrame(steps, columns=columns)


def _handed_over(role: Role, holds: list[tuple[int, ...]], grids: list[int]) -> _Takers:
    """Who takes each of some grids of one place; `holds` is brought up to date."""
    pieces = [piece for piece in role.pieces(grids) if _there(role, holds, piece)]
    takers: _Takers = dict.fromkeys(grids)
    together = sorted(g for piece in pieces for g in piece)
    found = _taken_over(role, holds, together) if together else {}
    if found is None:  # they have no room for everything
        found = _one_by_one(role, holds, together)
    for g, k in found.items():
        holds[k] = tuple(sorted({*holds[k], g}))
    return takers | found


def _there(role: Role, holds: list[tuple[int, ...]], grids: Sequence[int]) -> list[int]:
    """Posts of the same place that touch some grids and may take more, the lightest first."""
    most, load = role.rules.max_grids, role.load(holds)
    there = (k for k in _touching(role, holds, grids) if most is None or len(holds[k]) < most)
    return sorted(there, key=lambda k: (load[k], k))


def _touching(role: Role, holds: list[tuple[int, ...]], grids: Sequence[int]) -> list[int]:
    """Posts of the same place that touch some grids."""
    place, near = int(role.place_of[grids[0]]), role.near
    touched = {int(v) for g in grids for v in near.indices[near.indptr[g] : near.indptr[g + 1]]}
    return [
        k
        for k, mine in enumerate(holds)
        if set(mine) & touched and all(int(role.place_of[g]) == place for g in mine)
    ]


def _why_open(role: Role, holds: list[tuple[int, ...]], grids: list[int]) -> dict[int, str]:
    """Why nobody takes some grids over."""
    if len(role.ids) == 1:
        return dict.fromkeys(grids, f"there is no other {role.role}")
    reasons: dict[int, str] = {}
    for place in sorted({int(role.place_of[g]) for g in grids}):
        here = [g for g in grids if role.place_of[g] == place]
        serving = any(int(role.place_of[g]) == place for mine in holds for g in mine)
        name = None if role.rules.cross_borders else role.where(here[0])
        for piece in role.pieces(here):
            if _touching(role, holds, piece):
                most = plural(role.rules.max_grids or 0, "grid")
                text = f"those who touch it have {most}, the most allowed"
            elif serving:
                text = f"no other {role.role}{f' of {name}' if name else ''} touches it"
            else:
                text = f"no other {role.role} {f'serves {name}' if name else 'has any grid'}"
            reasons |= dict.fromkeys(piece, text)
    return reasons


def _taken_over(
    role: Role, holds: list[tuple[int, ...]], grids: list[int]
) -> dict[int, int] | None:
    """Who takes each of some grids, so that the heaviest taker is lightest; None: no way."""
    there, load = _there(role, holds, grids), role.load(holds)
    best: tuple[float, int, dict[int, int]] | None = None
    # a post that takes nothing does not matter: so many of the lightest are asked at a time
    for asked in range(1, len(there) + 1):
        if best is not None and load[there[asked - 1]] >= best[0]:
            break
        found = _divided(role, holds, grids, there[:asked])
        if found is None:
            continue
        after = {k: load[k] for k in found.values()}
        for g, k in found.items():
            after[k] += role.loads[g]
        worst = max(after.values())
        if best is None or (worst, len(after)) < best[:2]:
            best = (worst, len(after), found)
    return None if best is None else best[2]


def _divided(
    role: Role, holds: list[tuple[int, ...]], grids: list[int], asked: list[int]
) -> dict[int, int] | None:
    """Grids divided among some posts, and no others; None: no way."""
    everybody = Counter(g for mine in holds for g in mine)
    theirs = Counter(g for k in asked for g in holds[k])
    # what others carry of the grids that these hold is none of their load
    unit = math.lcm(*(everybody[g] for g in theirs))
    loads = [load * unit for load in role.loads]
    for g, n in theirs.items():
        loads[g] = loads[g] // everybody[g] * n
    at = np.array(sorted({*grids, *theirs}), np.int64)
    place = Place(at, loads, role.near, {k: holds[k] for k in asked}, role.rules.max_grids)
    if any(not region.posts for region in place.regions()):
        return None
    if place.need(place.total * FINENESS).found:
        return None
    [found], _, _ = shared_out([place], [0], 0)
    return {g: group.post for group in found for g in group.grids if g in set(grids)}


def _one_by_one(role: Role, holds: list[tuple[int, ...]], grids: list[int]) -> dict[int, int]:
    """As many grids as there is room for, each to the lightest that touches it."""
    trial, takers = list(holds), dict[int, int]()
    while True:
        load = role.load(trial)
        open_ = [g for g in grids if g not in takers]
        choices = [(load[k] + role.loads[g], k, g) for g in open_ for k in _there(role, trial, [g])]
        if not choices:
            return takers
        _, k, g = min(choices)
        takers[g] = k
        trial[k] = (*trial[k], g)
