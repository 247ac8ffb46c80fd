"""One role of a staffing by positions, and what a change of its posts does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from gridpart.errors import InputError
from gridpart.staffing.loads import IntArray, shared_loads
from gridpart.staffing.posts import Outcome, Rules
from gridpart.staffing.questions import known_role
from gridpart.staffing.result import Staffing, plural, with_role
from gridpart.staffing.sharing import Place

__all__ = ["Role", "StaffChange", "check_staffing"]


@dataclass(frozen=True, repr=False, eq=False)
class StaffChange:
    """What a change of the staff does; `hire` and `leave` make it.

    Attributes
    ----------
    staffing : Staffing
        After the change. Those of its posts have `moved` that hold none of the grids that they
        held before the change.
    steps : DataFrame
        After :func:`~gridpart.staffing.hire`, a row per new post in the order in which they help
        most: `post_id`, `within`, `grids` (that it holds, codes where there are any), `load`,
        `worst_before`, `worst_after` (heaviest load of the role). After
        :func:`~gridpart.staffing.leave`, a row per grid that changes hands: `grid`, `grid_code`,
        `within`, `households`, `to` (missing where nobody can), `load_before` and `load_after`
        (of who takes it), `reason` (why nobody can; missing where somebody does).
    worst_before, worst_after : float
        Heaviest load of a post of the role; 0 where it has none.
    """

    staffing: Staffing
    _steps: pd.DataFrame
    worst_before: float
    worst_after: float

    @property
    def steps(self) -> pd.DataFrame:
        """What changes, row by row."""
        return self._steps.copy()

    def __repr__(self) -> str:
        return (
            f"<StaffChange: {plural(len(self._steps), 'step')}, worst load "
            f"{self.worst_before:,.0f} -> {self.worst_after:,.0f}>"
        )


def check_staffing(staffing: Any) -> None:
    """Refuse what is no staffing with an InputError."""
    if isinstance(staffing, StaffChange):
        raise InputError("that is a change of the staff; what comes of it is its staffing")
    if not isinstance(staffing, Staffing):
        raise InputError(
            f"a staffing is asked for, as assign_posts makes it, not a {type(staffing).__name__}"
        )


# ---------------------------------------------------------------- one role, by positions


class Role:
    """The posts of one role and what each holds, by positions of the grids that it serves."""

    def __init__(self, staffing: Staffing, role: str) -> None:
        if not isinstance(role, str):
            raise InputError(f"a role is asked for by its name, not by {role!r}")
        known_role(staffing, role)
        self.staffing, self.case, self.role = staffing, staffing.case, role
        self.served = self.case.grids_for(role)
        self.rules: Rules = self.case.rules_for(role)
        self.place_of: IntArray = self.case.places(self.served)
        if self.rules.cross_borders:
            self.place_of = np.zeros_like(self.place_of)
        if self.case.near is None:
            raise InputError(
                "nothing says which grids touch: make the staffing of the plan, or of its grids "
                "with their geometry, or with neighbours"
            )
        self.near = self.case.near.among(np.array(self.served, np.int64))
        self.loads = [self.case.loads.values[g] for g in self.served]
        rows = self.case.roster[self.case.roster["role"] == role]
        self.rows = rows
        self.ids: list[str] = rows["post_id"].tolist()
        number = {post: k for k, post in enumerate(self.ids)}
        position = {self.case.table.grid[g]: k for k, g in enumerate(self.served)}
        table = staffing.assignment
        table = table[table["role"] == role]
        self.fixed = [
            tuple(sorted(position[g] for g in grids if g in position)) for grids in rows["fixed"]
        ]
        self.holds: list[tuple[int, ...]] = [()] * len(self.ids)
        for post, grids in table.groupby("post_id")["grid"]:
            self.holds[number[post]] = tuple(sorted(position[g] for g in grids))

    def load(self, holds: Sequence[tuple[int, ...]]) -> list[float]:
        """Load of every post, in parts."""
        return shared_loads(holds, self.loads)

    def place(
        self, grids: Iterable[int], holders: dict[int, tuple[int, ...]], max_grids: int | None
    ) -> Place:
        """Some grids, to be shared out."""
        at = np.array(sorted(grids), np.int64)
        return Place(at, self.loads, self.near, holders, max_grids, self.rules.free_beats)

    def pieces(self, grids: Sequence[int]) -> list[tuple[int, ...]]:
        """Connected sets of some grids."""
        at = np.array(grids, np.int64)
        return [tuple(at[members].tolist()) for members in self.near.among(at).regions()]

    def named(self, grids: Iterable[int]) -> str:
        """Codes of grids, or ids where there are none."""
        table = self.case.table
        return "; ".join(table.code[self.served[g]] or table.grid[self.served[g]] for g in grids)

    def where(self, grid: int) -> str | None:
        """Community of a grid."""
        return self.case.table.within[self.served[grid]]

    def after(self, roster: pd.DataFrame, holds: list[tuple[int, ...]]) -> Staffing:
        """The staffing with other holders of this role."""
        # who held something before and has none of it now has moved
        before = dict(zip(self.ids, self.holds, strict=True))
        ids = roster.loc[roster["role"] == self.role, "post_id"].tolist()
        moved = [
            k
            for k, post in enumerate(ids)
            if before.get(post) and not {*before[post]} & {*holds[k]}
        ]
        pairs = sorted((k, g) for k, grids in enumerate(holds) for g in grids)
        total, count = sum(self.loads), max(len(ids), 1)
        held = Counter(g for _, g in pairs)
        bare = sum(self.loads[g] for g in range(len(self.loads)) if g not in held)
        outcome = Outcome(pairs, (total - bare) / count, moved)
        return with_role(self.staffing, self.role, roster, outcome)
