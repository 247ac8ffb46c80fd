"""Posts to grids: who covers what, how much each carries, and what is left open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridpart.errors import InputError
from gridpart.staffing.headers import words_in
from gridpart.staffing.loads import ANY, IntArray
from gridpart.staffing.locate import GridTable, grid_table, natural
from gridpart.staffing.matching import Wishes
from gridpart.staffing.neighbours import Neighbours, grids_of, neighbours_of
from gridpart.staffing.posts import Outcome, Posts, Rules, assign_role
from gridpart.staffing.required import posts_required
from gridpart.staffing.roster import check_roster
from gridpart.staffing.workload import Loads, loads_of

if TYPE_CHECKING:
    from gridpart.plan import Plan
    from gridpart.standards import Standard, Team

__all__ = [
    "Case",
    "Staffing",
    "assign_posts",
    "households_per_worker",
    "plural",
    "posts_of",
    "role_outcome",
    "same_grids",
    "staffed",
    "with_role",
]

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
        roster has capacities.
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
        Rows of the roster that were left out, if that was allowed: `line`, `post_id`, `reason`,
        `text`.
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
        unit = "households" if self.case.loads.table is None else "load"
        for row in summary.to_dict("records"):
            proof = "optimal" if row["gap"] == 0 else f"at most {row['gap']:.1%} above the optimum"
            lines.append(
                f"  {row['role']}: {plural(row['posts'], 'post')} on "
                f"{plural(row['grids'], 'grid')}, {row['mean_load']:,.0f} {unit} per post, "
                f"worst {row['worst_load']:,.0f} ({proof})"
            )
        return "\n".join(lines)


def plural(number: int, one: str, many: str | None = None) -> str:
    """Number and noun, as in ``2 posts``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def assign_posts(
    grids: Plan | pd.DataFrame,
    roster: pd.DataFrame,
    *,
    workload: pd.DataFrame | None = None,
    team: Team | Standard | None = None,
    neighbours: pd.DataFrame | None = None,
    max_grids: int | None = None,
    cross_borders: bool = False,
    scattered: bool = False,
    free_beats: bool = False,
    max_moves: int = 0,
    unusable: Literal["raise", "skip"] = "raise",
) -> Staffing:
    """Spread posts over grids so that the heaviest load is as small as possible.

    Parameters
    ----------
    grids : Plan, GeoDataFrame or DataFrame
        A plan, coded or not, or a table with one row per grid: `grid` and `households`, optionally
        `grid_code`, `within`, `kind`, and `needs` (skills that the grid asks for).
    roster : DataFrame
        One row per post, as :func:`check_roster` describes and
        :func:`gridpart.staffing.read_roster` reads.
    workload : DataFrame, optional
        What :func:`gridpart.workload` makes of the same grids; by default a household is one unit
        of load.
    team : Team or Standard, optional
        Rules by which roles are known, and which grids and how many a post of each may hold.
    neighbours : DataFrame, optional
        Columns `focal` and `neighbor` (ids or codes): which grids touch, where the grids have no
        geometry.
    max_grids : int, optional
        Most grids of one post.
    cross_borders : bool, default False
        Let the grids of a post lie in several communities. `within` then only says where a post
        comes from.
    scattered : bool, default False
        Let a post hold grids that do not touch.
    free_beats : bool, default False
        Let a post hold several grids even where there is a post for each, if that lowers the
        heaviest load: two small grids to one post set another free for a large one.
    max_moves : int, default 0
        Posts that may lose the grids they hold today.
    unusable : {"raise", "skip"}, default "raise"
        What to do about rows of the roster that cannot be used: raise an error with all of them,
        or leave them out and list them in ``Staffing.unusable``.

    Returns
    -------
    Staffing
        The same whatever the order of the rows.

    Raises
    ------
    InputError
        With every problem of the roster, as :func:`check_roster` finds them; or if a role has too
        few posts for the grids and nothing says which grids touch.

    Notes
    -----
    Each role is spread by itself, and these are the rules, in this order:

    * A post stays on its `fixed` grids, and on the grids it holds today (`grid`), but for at most
      `max_moves` posts.
    * A post with `within` serves only that community, so does one with a grid; a post with
      neither may come to any one community.
    * Every grid that can have a post has one. Where posts are too few for every connected set of
      grids, the heaviest sets have them; the others are in `vacancies`.
    * With a post for every grid nobody holds two, and what is left over goes where the load is
      highest, several to a grid (exact: :func:`gridpart.staffing.loads.apportion`).
    * With fewer, posts hold several grids that touch each other, a beat, of one community.
    * The heaviest load is as small as possible. The engine that makes the grids divides them into
      beats under ever lower caps; of up to 14 grids and posts in a piece it proves what cannot be,
      and often of more. `summary` says how near the bound the result is.
    * Then loads are even, as far as the engine finds it under that cap.
    * Of the posts that are alike, each comes where its capacity suffices, then where its skills are
      asked for, then where it is today, then where the way from its home is short.

    Examples
    --------
    >>> grids = pd.DataFrame({"grid": ["g1", "g2", "g3"], "households": [300, 200, 150]})
    >>> roster = pd.DataFrame({"post_id": ["a", "b"], "role": "leader"})
    >>> touching = pd.DataFrame({"focal": ["g1", "g2"], "neighbor": ["g2", "g3"]})
    >>> staffing = assign_posts(grids, roster, neighbours=touching)
    >>> staffing
    Staffing: 2 posts in 1 role on 3 grids, 0 vacancies
      leader: 2 posts on 3 grids, 325 households per post, worst 350 (optimal)
    >>> staffing.assignment[["post_id", "grid", "load"]].values.tolist()
    [['a', 'g1', 300.0], ['b', 'g2', 200.0], ['b', 'g3', 150.0]]
    """
    rules = Rules(max_grids, cross_borders, scattered, free_beats, max_moves)
    _check_rules(rules)
    frame = grids_of(grids)
    table = grid_table(frame)
    of_team: Any = getattr(team, "team", team)
    checked = check_roster(roster, frame, team=of_team, unusable=unusable)
    ids = checked["post_id"].tolist()
    checked = checked.iloc[sorted(range(len(ids)), key=lambda k: natural(ids[k]))]
    near = None if scattered else neighbours_of(grids, table, neighbours)
    case = Case(
        pd.DataFrame(frame), table, _kinds(frame, table), _needs(frame, table),
        loads_of(table, workload), near, checked, rules, of_team,
    )  # fmt: skip
    return staffed(case)


def _check_rules(rules: Rules) -> None:
    if rules.max_grids is not None and rules.max_grids < 1:
        raise InputError(f"max_grids must be at least 1, got {rules.max_grids}")
    if rules.max_moves < 0:
        raise InputError(f"max_moves must be at least 0, got {rules.max_moves}")
    if rules.scattered and (rules.max_grids or rules.cross_borders or rules.free_beats):
        raise InputError(
            "scattered posts are shared out without max_grids, cross_borders and free_beats; "
            "leave scattered or these out"
        )


def _kinds(frame: pd.DataFrame, table: GridTable) -> list[str]:
    kinds = frame["kind"].tolist() if "kind" in frame.columns else ["base"] * len(frame)
    return [str(kinds[row]) for row in table.row]


def _needs(frame: pd.DataFrame, table: GridTable) -> list[frozenset[str]]:
    cells = frame["needs"].tolist() if "needs" in frame.columns else [None] * len(frame)
    return [frozenset(words_in(cells[row])) for row in table.row]


_Tables = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]


def staffed(case: Case) -> Staffing:
    """Spread the posts of every role; see :func:`assign_posts`."""
    tables = []
    for role, rows in case.roster.groupby("role", sort=True):
        served = case.grids_for(str(role))
        place_of = case.places(served)
        asked = posts_of(case, rows, served, place_of)
        outcome = role_outcome(case, str(role), asked, served, place_of)
        tables.append(_role_tables(case, str(role), rows, outcome))
    return _gathered(case, tables)


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
    tables: list[_Tables] = []
    for name in old[3]["role"]:
        if name == role:
            tables.append(_role_tables(case, role, roster[roster["role"] == role], outcome))
        else:
            a, p, v, s = (table[table["role"] == name] for table in old)
            tables.append((a, p, v, s))
    return _gathered(case, tables)


def _gathered(case: Case, tables: Sequence[_Tables]) -> Staffing:
    columns = zip(*tables, strict=True)
    assignment, posts, vacancies, summary = (
        pd.concat(list(of_roles), ignore_index=True) for of_roles in columns
    )
    return Staffing(case, assignment, posts, vacancies, summary)


def _role_tables(case: Case, role: str, rows: pd.DataFrame, outcome: Outcome) -> _Tables:
    served, ids = case.grids_for(role), rows["post_id"].tolist()
    pairs = [(k, served[g]) for k, g in outcome.pairs]
    assignment = _assignment_table(role, pairs, ids, case)
    posts = _post_table(role, ids, assignment, rows, outcome)
    vacancies = _vacancy_table(role, sorted(set(served) - {g for _, g in pairs}), case.table)
    bound = outcome.lower_bound / case.loads.parts
    summary = _role_summary(role, assignment, posts, vacancies, bound)
    return assignment, posts, vacancies, pd.DataFrame([summary])


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
    role: str, ids: list[str], assignment: pd.DataFrame, rows: pd.DataFrame, outcome: Outcome
) -> pd.DataFrame:
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
    return table


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
    worst = float(posts["load"].max())
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
        "mean_load": float(posts["load"].sum()) / len(posts),
        "worst_load": worst,
        "lower_bound": min(lower_bound, worst),
        "gap": gap,
    }


def households_per_worker(
    grids: Plan | pd.DataFrame,
    roster: pd.DataFrame | Staffing,
    *,
    by: str | Sequence[str] = "grid",
) -> pd.DataFrame:
    """Households per worker by grid, community, role, any column, or several of these together.

    Parameters
    ----------
    grids : Plan, GeoDataFrame or DataFrame
        The grids, as for :func:`assign_posts`.
    roster : DataFrame or Staffing
        The result of :func:`assign_posts` on these grids; or a roster, which is assigned first (the
        grids of a post are neighbours only if the grids have a geometry).
    by : str or sequence of str, default "grid"
        ``"role"``, or columns of the grids, such as ``"within"``, ``"kind"`` or a street of your
        own. ``("within", "role")`` gives a row for every community and role, also where the
        role has nobody.

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
    frame = grids_of(grids)
    keys = [by] if isinstance(by, str) else list(by)
    known = {"grid", "within", "role", *frame.columns} - {
        getattr(frame, "_geometry_column_name", "")
    }
    if not keys or set(keys) - known or len(set(keys)) < len(keys):
        listed = ", ".join(sorted(map(str, known)))
        raise InputError(f"by must be one or several of {listed}; not {by!r}")
    table = grid_table(frame)
    if isinstance(roster, Staffing):
        staffing = roster
    else:
        plain = isinstance(grids, pd.DataFrame) and not hasattr(grids, "geom_type")
        staffing = assign_posts(grids, roster, scattered=plain)
    same_grids(table, staffing)
    base = pd.DataFrame(
        {"grid": table.grid, "within": table.within, "households": table.households}, dtype=object
    )
    own = [key for key in keys if key not in ("grid", "within", "role")]
    for key in own:
        base[key] = frame[key].to_numpy(object)[table.row]
    held = staffing.assignment
    held = held[["post_id", "role", "grid", "within"]].merge(base[["grid", *own]], on="grid")
    if "role" in keys:
        base = base.merge(staffing.summary[["role"]], how="cross")
    found = base.astype({"households": np.int64}).groupby(keys, dropna=False, sort=False)
    result = found["households"].sum().reset_index()
    counted = held.groupby(keys, dropna=False)["post_id"].nunique()
    workers = result[keys].merge(
        counted.rename("workers").reset_index(), on=keys, how="left", validate="one_to_one"
    )
    result["workers"] = workers["workers"].fillna(0).to_numpy(np.int64)
    result["households_per_worker"] = _ratio(result["households"], result["workers"])
    if keys == ["grid"]:
        result.index = frame.index[table.row]
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
