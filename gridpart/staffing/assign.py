"""Posts to grids: who covers what, how many households each carries, and what is left open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from gridpart.errors import InputError
from gridpart.staffing.loads import ANY
from gridpart.staffing.posts import Posts, assign_role
from gridpart.staffing.roster import GridTable, check_roster, grid_table, natural

__all__ = ["Staffing", "assign_posts", "households_per_worker", "plural", "same_grids"]


@dataclass(frozen=True, repr=False, eq=False)
class Staffing:
    """Which posts hold which grids, and how heavy that is; made by :func:`assign_posts`.

    Every table is handed out as a copy. Names and phones of the roster are in none of them.

    Attributes
    ----------
    assignment : DataFrame
        One row per post and grid: `post_id`, `role`, `grid`, `grid_code`, `within`, `households`
        (of the grid) and `load` (the post's share of them, the posts of one role on a grid sharing
        it equally).
    posts : DataFrame
        One row per post: `post_id`, `role`, `n_grids`, `load`; also `capacity` and
        `over_capacity` where the roster has capacities.
    vacancies : DataFrame
        One row per role and grid without a holder: `role`, `within`, `grid`, `grid_code`,
        `households`.
    summary : DataFrame
        One row per role: `posts`, `grids` (covered), `vacancies`, `households` (of the covered
        grids), `mean_load` and `worst_load` (households per post), `lower_bound` (no assignment by
        the same rules has a lower worst load) and `gap` (worst load above the bound, as a
        fraction; 0 is proven to be optimal).
    """

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

    def __repr__(self) -> str:
        summary = self._summary
        lines = [
            f"Staffing: {plural(len(self._posts), 'post')} in {plural(len(summary), 'role')} "
            f"on {plural(self._assignment['grid'].nunique(), 'grid')}, "
            f"{plural(len(self._vacancies), 'vacancy', 'vacancies')}"
        ]
        for row in summary.to_dict("records"):
            proof = "optimal" if row["gap"] == 0 else f"at most {row['gap']:.1%} above the optimum"
            lines.append(
                f"  {row['role']}: {plural(row['posts'], 'post')} on "
                f"{plural(row['grids'], 'grid')}, {row['mean_load']:,.0f} households per post, "
                f"worst {row['worst_load']:,.0f} ({proof})"
            )
        return "\n".join(lines)


def plural(number: int, one: str, many: str | None = None) -> str:
    """Number and noun, as in ``2 posts``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def assign_posts(grids: pd.DataFrame, roster: pd.DataFrame) -> Staffing:
    """Spread posts over grids so that the heaviest load is as small as possible.

    Parameters
    ----------
    grids : DataFrame or GeoDataFrame
        One row per grid: `grid` and `households`, optionally `grid_code`, `within` and `kind`; for
        instance ``plan.grids``, coded or not.
    roster : DataFrame
        One row per post, as :func:`check_roster` describes and
        :func:`gridpart.staffing.read_roster` reads.

    Returns
    -------
    Staffing
        The same whatever the order of the rows.

    Raises
    ------
    InputError
        With every problem of the roster, as :func:`check_roster` finds them.

    Notes
    -----
    Each role is spread by itself, and these are the rules:

    * A post with a `grid` holds that grid. Where a community has fewer posts than grids it may
      take further grids of the same community.
    * A post with `within` serves only that community, a post with neither serves all. Posts that
      serve all go first where a community has too few of its own.
    * With enough posts every grid has at least one, every post has one grid, and the posts left
      over go where the households per post are largest. This is exact
      (:func:`gridpart.staffing.loads.apportion` has the proof).
    * With too few, every grid has one post and posts hold several grids. The worst load is the
      smallest possible for small cases and near it for large ones
      (:func:`gridpart.staffing.loads.pack`); `summary` says how near. Grids of one post need not be
      neighbours.
    * A community that no post of a role may serve is left open and listed in `vacancies`.

    `capacity` does not bend an assignment; posts above theirs are marked in `posts`.

    Examples
    --------
    >>> grids = pd.DataFrame({"grid": ["g1", "g2", "g3"], "households": [300, 200, 150]})
    >>> roster = pd.DataFrame({"post_id": ["a", "b"], "role": "leader"})
    >>> staffing = assign_posts(grids, roster)
    >>> staffing
    Staffing: 2 posts in 1 role on 3 grids, 0 vacancies
      leader: 2 posts on 3 grids, 325 households per post, worst 350 (optimal)
    >>> staffing.assignment[["post_id", "grid", "load"]].values.tolist()
    [['a', 'g1', 300.0], ['b', 'g2', 200.0], ['b', 'g3', 150.0]]
    """
    roster = check_roster(roster, grids)
    table = grid_table(grids)
    ids = roster["post_id"].tolist()
    roster = roster.iloc[sorted(range(len(ids)), key=lambda k: natural(ids[k]))]
    places = sorted({place or "" for place in table.within}, key=natural)
    number = {place: k for k, place in enumerate(places)}
    place_of = np.array([number[place or ""] for place in table.within], np.int64)
    assignments, posts, vacancies, summaries = [], [], [], []
    for role, rows in roster.groupby("role", sort=True):
        asked = _posts_of(rows, table, number)
        outcome = assign_role(table.households, place_of, len(places), asked)
        assignment = _assignment_table(str(role), outcome.pairs, asked.ids, table)
        of_role = _post_table(str(role), asked.ids, assignment, rows)
        open_grids = _vacancy_table(str(role), outcome.pairs, table)
        assignments.append(assignment)
        posts.append(of_role)
        vacancies.append(open_grids)
        summaries.append(
            _role_summary(str(role), assignment, of_role, open_grids, outcome.lower_bound)
        )
    return Staffing(
        pd.concat(assignments, ignore_index=True),
        pd.concat(posts, ignore_index=True),
        pd.concat(vacancies, ignore_index=True),
        pd.DataFrame(summaries),
    )


def _posts_of(rows: pd.DataFrame, table: GridTable, number: dict[str, int]) -> Posts:
    position = {grid: k for k, grid in enumerate(table.grid)}
    # In a plan with one community, whoever serves all serves that one.
    anywhere = 0 if len(number) == 1 else ANY
    fixed, home = [], []
    for grid, place in zip(rows["grid"], rows["within"], strict=True):
        at = -1 if grid is None else position[grid]
        fixed.append(at)
        if at >= 0:
            place = table.within[at] or ""
        home.append(anywhere if place is None else number[place])
    return Posts(list(rows["post_id"]), np.array(fixed, np.int64), np.array(home, np.int64))


def _assignment_table(
    role: str, pairs: list[tuple[int, int]], ids: list[str], table: GridTable
) -> pd.DataFrame:
    pairs = sorted(pairs)
    posts = [k for k, _ in pairs]
    at = np.array([g for _, g in pairs], np.int64)
    holders = np.bincount(at, minlength=len(table.grid))
    households = np.array(table.households, np.int64)[at]
    return pd.DataFrame(
        {
            "post_id": pd.Series([ids[k] for k in posts], dtype=object),
            "role": pd.Series([role] * len(pairs), dtype=object),
            "grid": pd.Series([table.grid[g] for g in at], dtype=object),
            "grid_code": pd.Series([table.code[g] for g in at], dtype=object),
            "within": pd.Series([table.within[g] for g in at], dtype=object),
            "households": households,
            "load": households / holders[at],
        }
    )


def _post_table(
    role: str, ids: list[str], assignment: pd.DataFrame, rows: pd.DataFrame
) -> pd.DataFrame:
    by_post = assignment.groupby("post_id")["load"].agg(["size", "sum"]).reindex(ids)
    table = pd.DataFrame(
        {
            "post_id": pd.Series(ids, dtype=object),
            "role": pd.Series([role] * len(ids), dtype=object),
            "n_grids": by_post["size"].fillna(0).to_numpy(np.int64),
            "load": by_post["sum"].fillna(0.0).to_numpy(float),
        }
    )
    if "capacity" in rows.columns:
        table["capacity"] = rows["capacity"].to_numpy(float)
        table["over_capacity"] = table["load"] > table["capacity"]
    return table


def _vacancy_table(role: str, pairs: list[tuple[int, int]], table: GridTable) -> pd.DataFrame:
    covered = {g for _, g in pairs}
    bare = [g for g in range(len(table.grid)) if g not in covered]
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
    households = int(covered["households"].sum())
    worst = float(posts["load"].max())
    # Sums of thirds and sevenths: what differs by less than a rounding error is equal.
    gap = 0.0 if worst <= lower_bound * (1 + 1e-12) else worst / lower_bound - 1
    return {
        "role": role,
        "posts": len(posts),
        "grids": len(covered),
        "vacancies": len(vacancies),
        "households": households,
        "mean_load": households / len(posts),
        "worst_load": worst,
        "lower_bound": min(lower_bound, worst),
        "gap": gap,
    }


def households_per_worker(
    grids: pd.DataFrame,
    roster: pd.DataFrame | Staffing,
    *,
    by: str | Sequence[str] = "grid",
) -> pd.DataFrame:
    """Households per worker by grid, community, role, or any of these together.

    Parameters
    ----------
    grids : DataFrame or GeoDataFrame
        The grids, as for :func:`assign_posts`.
    roster : DataFrame or Staffing
        A roster, which is assigned first, or the result of :func:`assign_posts` on these grids.
    by : {"grid", "within", "role"} or sequence of them, default "grid"
        The grouping. ``("within", "role")`` gives a row for every community and role, also
        where the role has nobody.

    Returns
    -------
    DataFrame
        The columns of `by`, `households` (of all grids of the group, held or not), `workers` (the
        posts that hold a grid of the group, each counted once) and `households_per_worker`, which
        is infinite where there are households and no worker, and NaN where there are
        neither. By ``"grid"`` alone the rows and the index are those of `grids`.

    Raises
    ------
    InputError
        If `by` names something else or nothing, or the staffing is of other grids.

    Examples
    --------
    >>> grids = pd.DataFrame({"grid": ["g1", "g2"], "households": [300, 200]})
    >>> roster = pd.DataFrame({"post_id": ["a", "b", "c"], "role": ["lead", "lead", "police"]})
    >>> households_per_worker(grids, roster, by="role")
         role  households  workers  households_per_worker
    0    lead         500        2                  250.0
    1  police         500        1                  500.0
    """
    keys = [by] if isinstance(by, str) else list(by)
    if not keys or set(keys) - {"grid", "within", "role"} or len(set(keys)) < len(keys):
        raise InputError(f"by must be 'grid', 'within', 'role' or several of them, not {by!r}")
    staffing = roster if isinstance(roster, Staffing) else assign_posts(grids, roster)
    table = grid_table(grids)
    same_grids(table, staffing)
    base = pd.DataFrame(
        {"grid": table.grid, "within": table.within, "households": table.households}, dtype=object
    )
    if "role" in keys:
        base = base.merge(staffing.summary[["role"]], how="cross")
    found = base.astype({"households": np.int64}).groupby(keys, dropna=False, sort=False)
    result = found["households"].sum().reset_index()
    held = staffing.assignment.groupby(keys, dropna=False)["post_id"].nunique()
    workers = result[keys].merge(
        held.rename("workers").reset_index(), on=keys, how="left", validate="one_to_one"
    )
    result["workers"] = workers["workers"].fillna(0).to_numpy(np.int64)
    result["households_per_worker"] = _ratio(result["households"], result["workers"])
    if keys == ["grid"]:
        result.index = grids.index[table.row]
        back = np.argsort(np.array(table.row, np.int64))
        return result.iloc[back]
    labels = list(zip(*(result[key].tolist() for key in keys), strict=True))
    order = sorted(range(len(labels)), key=lambda k: [natural(str(v)) for v in labels[k]])
    return result.iloc[order].reset_index(drop=True)


def _ratio(households: pd.Series, workers: pd.Series) -> np.ndarray[Any, np.dtype[np.float64]]:
    with np.errstate(divide="ignore", invalid="ignore"):
        return households.to_numpy(float) / workers.to_numpy(float)


def same_grids(table: GridTable, staffing: Staffing) -> None:
    """Refuse a staffing of other grids with an InputError."""
    named = {*staffing.assignment["grid"], *staffing.vacancies["grid"]}
    if named != set(table.grid):
        other = sorted(named ^ set(table.grid), key=natural)[0]
        raise InputError(f"the staffing is of other grids; grid {other!r} is only in one of them")
