"""Who holds what: the tables of a staffing, made from pairs of positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridpart.errors import InputError
from gridpart.staffing.case import Case
from gridpart.staffing.locate import GridTable, natural
from gridpart.staffing.posts import Outcome
from gridpart.staffing.required import posts_required

__all__ = ["Staffing", "gathered", "plural", "role_tables", "same_grids", "with_role"]

FloatArray = npt.NDArray[np.float64]
Tables = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]


@dataclass(frozen=True, repr=False, eq=False)
class Staffing:
    """Which posts hold which grids, and how heavy that is; made by :func:`assign_posts`.

    Every table is handed out as a copy. Names and phones of the roster are in none of them.

    Attributes
    ----------
    assignment : DataFrame
        One row per post and grid: `post_id`, `role`, `grid`, `grid_code`, `within`, `households`
        (of the grid) and `load` (the post's share of the grid's load, the posts of one role on a
        grid sharing it equally).
    posts : DataFrame
        One row per post: `post_id`, `role`, `n_grids`, `load` and `moved` (it holds none of the
        grids that the roster says it holds today); also `capacity` and `over_capacity` where the
        roster has capacities, and `travel_m` (metres from home to the middle of its grids, as the
        crow flies) where it has homes.
    vacancies : DataFrame
        One row per role and grid without a holder: `role`, `within`, `grid`, `grid_code`,
        `households`.
    summary : DataFrame
        One row per role: `posts`, `grids` (covered), `vacancies`, `double_duties` (grids that
        posts hold beyond their first), `moved` (posts), `households` (of the covered
        grids), `mean_load` and `worst_load` (per post), `lower_bound` (no assignment by
        the same rules has a lower worst load) and `gap` (worst load above the bound, as a
        fraction; 0 is proven to be optimal).
    workload : DataFrame or None
        The terms of the load, if it is more than households.
    required : DataFrame or None
        Posts required, filled and vacant by role and community, if a team was given; see
        :func:`gridpart.posts_required`.
    unmet_needs : DataFrame or None
        A row for every skill that a grid asks for and no holder has; None where no grid asks.
    unusable : DataFrame or None
        Rows of the roster that were left out, if that was allowed, and those that only lost a grid
        (reasons ``retired_grid`` and ``unknown_grid``): `line` (after `sheet`, where there are
        several), `post_id`, `reason`, `text`.
    """

    case: Case
    _assignment: pd.DataFrame
    _posts: pd.DataFrame
    _vacancies: pd.DataFrame
    _summary: pd.DataFrame

    @property
    def assignment(self) -> pd.DataFrame:
        """One row per post and grid."""
        return self._assignment.copy()

    @property
    def posts(self) -> pd.DataFrame:
        """One row per post."""
        return self._posts.copy()

    @property
    def vacancies(self) -> pd.DataFrame:
        """One row per role and grid without a holder."""
        return self._vacancies.copy()

    @property
    def summary(self) -> pd.DataFrame:
        """One row per role."""
        return self._summary.copy()

    @property
    def workload(self) -> pd.DataFrame | None:
        """Terms of the load of every grid."""
        table = self.case.loads.table
        return None if table is None else table.copy()

    @cached_property
    def _required(self) -> pd.DataFrame | None:
        if self.case.team is None:
            return None
        return posts_required(self.case.frame, self.case.team, self._assignment)

    @property
    def required(self) -> pd.DataFrame | None:
        """Posts required, filled and vacant."""
        return None if self._required is None else self._required.copy()

    @property
    def unmet_needs(self) -> pd.DataFrame | None:
        """Skills that grids ask for and no holder has."""
        case = self.case
        if not any(case.needs):
            return None
        skills = dict(zip(case.roster["post_id"], case.roster["skills"], strict=True))
        there: dict[str, set[str]] = {}
        for grid, post in zip(self._assignment["grid"], self._assignment["post_id"], strict=True):
            there.setdefault(grid, set()).update(skills[post])
        rows = [
            {
                "grid": grid,
                "grid_code": case.table.code[g],
                "within": case.table.within[g],
                "skill": skill,
            }
            for g, grid in enumerate(case.table.grid)
            for skill in sorted(case.needs[g] - there.get(grid, set()))
        ]
        return pd.DataFrame(rows, columns=["grid", "grid_code", "within", "skill"], dtype=object)

    @property
    def unusable(self) -> pd.DataFrame | None:
        """Rows of the roster that were left out."""
        table = self.case.roster.attrs.get("unusable")
        return None if table is None else table.copy()

    def __repr__(self) -> str:
        summary = self._summary
        lines = [
            f"Staffing: {plural(len(self._posts), 'post')} in {plural(len(summary), 'role')} "
            f"on {plural(self._assignment['grid'].nunique(), 'grid')}, "
            f"{plural(len(self._vacancies), 'vacancy', 'vacancies')}"
        ]
        by_households = self.case.loads.table is None
        for row in summary.to_dict("records"):
            mean = round(row["mean_load"])
            each = plural(mean, "household") if by_households else f"{mean:,} load"
            proof = "optimal" if row["gap"] == 0 else f"at most {row['gap']:.1%} above the optimum"
            lines.append(
                f"  {row['role']}: {plural(row['posts'], 'post')} on "
                f"{plural(row['grids'], 'grid')}, {each} per post, "
                f"worst {row['worst_load']:,.0f} ({proof})"
            )
        return "\n".join(lines)


def plural(number: int, one: str, many: str | None = None) -> str:
    """Number and noun, as in ``2 posts``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def with_role(staffing: Staffing, role: str, roster: pd.DataFrame, outcome: Outcome) -> Staffing:
    """The staffing with another roster, and other holders of one role.

    Parameters
    ----------
    staffing : Staffing
    role : str
    roster : DataFrame
        In which only posts of this role differ.
    outcome : Outcome
        Positions of posts among those of the role, and of grids among those that it serves.

    Returns
    -------
    Staffing
    """
    case = replace(staffing.case, roster=roster)
    old = (staffing.assignment, staffing.posts, staffing.vacancies, staffing.summary)
    tables: list[Tables] = []
    for name in old[3]["role"]:
        if name == role:
            tables.append(role_tables(case, role, roster[roster["role"] == role], outcome))
        else:
            a, p, v, s = (table[table["role"] == name] for table in old)
            tables.append((a, p, v, s))
    return gathered(case, tables)


def gathered(case: Case, tables: Sequence[Tables]) -> Staffing:
    """A staffing from the tables of its roles."""
    columns = zip(*tables, strict=True)
    assignment, posts, vacancies, summary = (
        pd.concat(list(of_roles), ignore_index=True) for of_roles in columns
    )
    return Staffing(case, assignment, posts, vacancies, summary)


def role_tables(case: Case, role: str, rows: pd.DataFrame, outcome: Outcome) -> Tables:
    """Assignment, posts, vacancies and summary of one role."""
    served, ids = case.grids_for(role), rows["post_id"].tolist()
    pairs = [(k, served[g]) for k, g in outcome.pairs]
    assignment = _assignment_table(role, pairs, ids, case)
    posts = _post_table(case, role, assignment, rows, outcome)
    vacancies = _vacancy_table(role, sorted(set(served) - {g for _, g in pairs}), case.table)
    bound = outcome.lower_bound / case.loads.parts
    summary = _role_summary(role, assignment, posts, vacancies, bound)
    return assignment, posts, vacancies, pd.DataFrame([summary])


def _assignment_table(
    role: str, pairs: list[tuple[int, int]], ids: list[str], case: Case
) -> pd.DataFrame:
    pairs, table = sorted(pairs), case.table
    posts = [k for k, _ in pairs]
    at = np.array([g for _, g in pairs], np.int64)
    holders = np.bincount(at, minlength=len(table.grid))
    return pd.DataFrame(
        {
            "post_id": pd.Series([ids[k] for k in posts], dtype=object),
            "role": pd.Series([role] * len(pairs), dtype=object),
            "grid": pd.Series([table.grid[g] for g in at], dtype=object),
            "grid_code": pd.Series([table.code[g] for g in at], dtype=object),
            "within": pd.Series([table.within[g] for g in at], dtype=object),
            "households": np.array(table.households, np.int64)[at],
            "load": case.loads.floats[at] / holders[at],
        }
    )


def _post_table(
    case: Case, role: str, assignment: pd.DataFrame, rows: pd.DataFrame, outcome: Outcome
) -> pd.DataFrame:
    ids = rows["post_id"].tolist()
    by_post = assignment.groupby("post_id")["load"].agg(["size", "sum"]).reindex(ids)
    moved = np.zeros(len(ids), bool)
    moved[outcome.moved] = True
    table = pd.DataFrame(
        {
            "post_id": pd.Series(ids, dtype=object),
            "role": pd.Series([role] * len(ids), dtype=object),
            "n_grids": by_post["size"].fillna(0).to_numpy(np.int64),
            "load": by_post["sum"].fillna(0.0).to_numpy(float),
            "moved": moved,
        }
    )
    if "capacity" in rows.columns:
        table["capacity"] = rows["capacity"].to_numpy(float)
        table["over_capacity"] = table["load"] > table["capacity"]
    if case.near is not None and case.roster["x"].notna().any():
        table["travel_m"] = _travel(case, assignment, rows)
    return table


def _travel(case: Case, assignment: pd.DataFrame, rows: pd.DataFrame) -> FloatArray:
    """Metres from each home to the middle of the grids, as the crow flies; NaN without a home."""
    assert case.near is not None, "who knows no neighbours knows no places either"
    number = {grid: g for g, grid in enumerate(case.table.grid)}
    at = assignment["grid"].map(number).to_numpy(np.int64)
    points = pd.DataFrame({"x": case.near.x[at] / 1000, "y": case.near.y[at] / 1000})
    middle = points.groupby(assignment["post_id"].to_numpy(object)).mean()
    middle = middle.reindex(rows["post_id"].to_numpy(object))
    away: FloatArray = np.hypot(
        *(middle[axis].to_numpy(float) - rows[axis].to_numpy(float) for axis in ("x", "y"))
    )
    return away


def _vacancy_table(role: str, bare: list[int], table: GridTable) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "role": pd.Series([role] * len(bare), dtype=object),
            "within": pd.Series([table.within[g] for g in bare], dtype=object),
            "grid": pd.Series([table.grid[g] for g in bare], dtype=object),
            "grid_code": pd.Series([table.code[g] for g in bare], dtype=object),
            "households": pd.Series([table.households[g] for g in bare], dtype=np.int64),
        }
    )


def _role_summary(
    role: str,
    assignment: pd.DataFrame,
    posts: pd.DataFrame,
    vacancies: pd.DataFrame,
    lower_bound: float,
) -> dict[str, Any]:
    covered = assignment.drop_duplicates("grid")
    worst = 0.0 if posts.empty else float(posts["load"].max())
    # Sums of thirds and sevenths: what differs by less than a rounding error is equal.
    gap = 0.0 if worst <= lower_bound * (1 + 1e-12) else worst / lower_bound - 1
    return {
        "role": role,
        "posts": len(posts),
        "grids": len(covered),
        "vacancies": len(vacancies),
        "double_duties": int((posts["n_grids"] - 1).clip(lower=0).sum()),
        "moved": int(posts["moved"].sum()),
        "households": int(covered["households"].sum()),
        "mean_load": float(posts["load"].sum()) / max(len(posts), 1),
        "worst_load": worst,
        "lower_bound": min(lower_bound, worst),
        "gap": gap,
    }


def same_grids(table: GridTable, staffing: Staffing) -> None:
    """Refuse a staffing of other grids with an InputError."""
    named = {*staffing.assignment["grid"], *staffing.vacancies["grid"]}
    if named != set(table.grid):
        other = sorted(named ^ set(table.grid), key=natural)[0]
        raise InputError(f"the staffing is of other grids; grid {other!r} is only in one of them")
