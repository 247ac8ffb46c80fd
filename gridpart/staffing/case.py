"""What an assignment is made from: grids, loads, neighbours, posts and rules, by positions."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridpart.errors import InputError
from gridpart.staffing.loads import ANY, IntArray
from gridpart.staffing.locate import GridTable, natural
from gridpart.staffing.matching import Wishes
from gridpart.staffing.neighbours import Neighbours
from gridpart.staffing.posts import Outcome, Posts, Rules, assign_role
from gridpart.staffing.workload import Loads

if TYPE_CHECKING:
    from gridpart.standards import Team

__all__ = ["Case", "posts_of", "role_outcome"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Case:
    """What an assignment was made from: questions about it are answered on the same ground.

    Attributes
    ----------
    frame : DataFrame
        The grids as they came.
    table : GridTable
    kind : list of str
        Of every grid: base or exclusive.
    needs : list of frozenset of str
        Skills that each grid asks for.
    loads : Loads
    near : Neighbours or None
    roster : DataFrame
        As :func:`check_roster` returned it, in canonical order.
    rules : Rules
        For roles of which a team says nothing else.
    team : Team or None
    """

    frame: pd.DataFrame
    table: GridTable
    kind: list[str]
    needs: list[frozenset[str]]
    loads: Loads
    near: Neighbours | None
    roster: pd.DataFrame
    rules: Rules
    team: Team | None = None

    def grids_for(self, role: str) -> list[int]:
        """Positions of the grids that a role serves."""
        everywhere = list(range(len(self.table.grid)))
        if self.team is None:
            return everywhere
        kinds = {kind for rule in self.team.rules_of(role) for kind in rule.kinds}
        return [g for g in everywhere if self.kind[g] in kinds]

    def places(self, served: list[int]) -> IntArray:
        """Number of the community of each grid that is served."""
        names = [self.table.within[g] or "" for g in served]
        numbers = {name: k for k, name in enumerate(sorted(set(names), key=natural))}
        return np.array([numbers[name] for name in names], np.int64)

    def rules_for(self, role: str) -> Rules:
        """What a post of a role may hold."""
        rules = () if self.team is None else self.team.rules_of(role)
        limits = [rule.max_grids for rule in rules]
        known = [limit for limit in limits if limit is not None]
        most = max(known) if known and len(known) == len(limits) else self.rules.max_grids
        crossing = self.rules.cross_borders or any(rule.cross_borders for rule in rules)
        return replace(self.rules, max_grids=most, cross_borders=crossing)


def role_outcome(
    case: Case, role: str, asked: Posts, served: list[int], place_of: IntArray
) -> Outcome:
    """Share the grids of a role among its posts; positions are those in `served`.

    Raises
    ------
    InputError
        If posts must hold several grids and nothing says which grids touch.
    """
    rules = case.rules_for(role)
    loads = [case.loads.values[g] for g in served]
    if case.near is not None:
        return assign_role(
            loads, case.near.among(np.array(served, np.int64)), place_of, asked, rules
        )
    outcome = assign_role(loads, None, place_of, asked, replace(rules, scattered=True))
    if not rules.scattered:
        size = Counter(k for k, _ in outcome.pairs)
        if any(n > max(len(asked.held[k]), 1) for k, n in size.items()):
            raise InputError(
                f"role {role!r} has too few posts for a grid each, and nothing says which grids "
                "touch: give the plan, or its grids with their geometry, or neighbours; or let "
                "the grids of a post be scattered (scattered=True)"
            )
    return outcome


def posts_of(case: Case, rows: pd.DataFrame, served: list[int], place_of: IntArray) -> Posts:
    """The posts of a role; positions are those in `served`."""
    position = {case.table.grid[g]: k for k, g in enumerate(served)}
    number = {case.table.within[g] or "": int(c) for g, c in zip(served, place_of, strict=True)}
    held = [tuple(position[g] for g in grids if g in position) for grids in rows["held"]]
    fixed = [tuple(position[g] for g in grids if g in position) for grids in rows["fixed"]]
    # In a plan with one community, whoever serves all serves that one.
    anywhere = 0 if len(number) == 1 else ANY
    home = []
    for place, mine, must in zip(rows["within"], held, fixed, strict=True):
        if mine or must:
            home.append(int(place_of[(*must, *mine)[0]]))
        else:
            home.append(anywhere if place is None else number.get(place, ANY))
    points = (
        (case.near.x, case.near.y) if case.near is not None else (np.zeros(len(case.needs)),) * 2
    )
    wishes = Wishes(
        _column(rows, "capacity") * case.loads.parts,
        [frozenset(skills) for skills in rows["skills"]],
        held,
        np.column_stack([_column(rows, "x"), _column(rows, "y")]) * 1000,
        [case.needs[g] for g in served],
        np.column_stack([axis[served] for axis in points]).astype(float),
    )
    return Posts(list(rows["post_id"]), held, fixed, np.array(home, np.int64), wishes)


def _column(rows: pd.DataFrame, name: str) -> FloatArray:
    if name not in rows.columns:
        return np.full(len(rows), np.nan)
    values: FloatArray = rows[name].to_numpy(float)
    return values
