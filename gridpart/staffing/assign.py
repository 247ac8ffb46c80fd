"""Posts to grids: the heaviest load as light as can be, then even, then with little travel."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridpart._progress import progress
from gridpart.errors import GridpartWarning, InputError, Problem
from gridpart.staffing.case import Case, posts_of, role_outcome
from gridpart.staffing.headers import plain_text, words_in
from gridpart.staffing.locate import GridTable, grid_table, natural
from gridpart.staffing.neighbours import grids_of, neighbours_of
from gridpart.staffing.posts import Posts, Rules
from gridpart.staffing.result import Staffing, gathered, role_tables, same_grids
from gridpart.staffing.roster import check_roster
from gridpart.staffing.workload import loads_of

if TYPE_CHECKING:
    from gridpart.plan import Plan
    from gridpart.standards import Standard, Team

__all__ = ["assign_posts", "households_per_worker"]

FloatArray = npt.NDArray[np.float64]

TORN = (
    "posts hold grids of several communities today; they keep those of the first, "
    "cross_borders=True (--cross-borders) lets them keep all"
)


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
    retired: pd.DataFrame | None = None,
) -> Staffing:
    """Spread posts over grids so that the heaviest load is as small as possible.

    Parameters
    ----------
    grids : Plan, GeoDataFrame or DataFrame
        A plan, coded or not, or a table with one row per grid: `grid` and `households`, optionally
        `grid_code`, `within`, `kind`, and `needs` (skills that the grid asks for; of a plan, a
        column of its units).
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
        Posts that may lose the grids they hold today. They are chosen one after the other, first
        where grids are open, then where the heaviest load is: found, not proven.
    unusable : {"raise", "skip"}, default "raise"
        What to do about rows of the roster that cannot be used: raise an error with all of them,
        or leave them out and list them in ``Staffing.unusable``.
    retired : DataFrame, optional
        Codes that are retired, as for :func:`check_roster`.

    Returns
    -------
    Staffing
        The same whatever the order of the rows.

    Raises
    ------
    InputError
        With every problem of the roster, as :func:`check_roster` finds them; or if a role has too
        few posts for the grids and nothing says which grids touch.

    Warns
    -----
    GridpartWarning
        If posts hold grids of several communities today, and may not keep them all; and of what
        :func:`check_roster` warns.

    Notes
    -----
    Each role is spread by itself, and these are the rules, in this order:

    * A post stays on its `fixed` grids, and on the grids it holds today (`grid`), but for at most
      `max_moves` posts. Who holds grids of several communities keeps those of the first, unless
      borders may be crossed.
    * A post with `within` serves only that community, so does one with a grid; a post with
      neither may come to any one community.
    * Every grid that can have a post has one. Where posts are too few for every connected set of
      grids, the heaviest sets have them; the others are in `vacancies`.
    * With a post for every grid nobody holds two, and what is left over goes where the load is
      highest, several to a grid (exact: :func:`gridpart.staffing.loads.apportion`).
    * With fewer, posts hold several grids that touch each other, a beat, of one community; nobody
      comes second to a grid while another has no post of its own.
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
    if of_team is not None and not hasattr(of_team, "name_of"):
        raise InputError(f"team must be a team or a standard, such as load_standard({team!r})")
    checked = check_roster(
        roster, grids, team=of_team, unusable=unusable, cross_borders=cross_borders,
        retired=retired,
    )  # fmt: skip
    ids = checked["post_id"].tolist()
    checked = checked.iloc[sorted(range(len(ids)), key=lambda k: natural(ids[k]))]
    near = None if scattered else neighbours_of(grids, table, neighbours)
    case = Case(
        pd.DataFrame(frame), table, _kinds(frame, table), _needs(grids, table),
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


def _needs(grids: Plan | pd.DataFrame, table: GridTable) -> list[frozenset[str]]:
    """Skills that each grid asks for: its own, or those of its units."""
    frame = grids if isinstance(grids, pd.DataFrame) else grids.units
    wanted: dict[str, set[str]] = {}
    if "needs" in frame.columns:
        for grid, cell in zip(frame["grid"], frame["needs"], strict=True):
            wanted.setdefault(str(plain_text(grid)), set()).update(words_in(cell))
    return [frozenset(wanted.get(grid, ())) for grid in table.grid]


def staffed(case: Case) -> Staffing:
    """Spread the posts of every role; see :func:`assign_posts`."""
    of_role = dict(list(case.roster.groupby("role", sort=True)))
    # in the order of the team, if there is one
    known = () if case.team is None else case.team.names
    roles = [role for role in known if role in of_role] or sorted(map(str, of_role))
    tables, torn = [], list[str]()
    with progress("assigning", len(case.roster)) as show:
        done = 0
        for role in roles:
            served = case.grids_for(role)
            place_of = case.places(served)
            asked = posts_of(case, of_role[role], served, place_of)
            torn += _torn(asked, place_of, case.rules_for(role))
            outcome = role_outcome(case, role, asked, served, place_of)
            tables.append(role_tables(case, role, of_role[role], outcome))
            done += len(of_role[role])
            show(done)
    if torn:
        text = Problem("torn_posts", TORN, tuple(f"post {post!r}" for post in torn))
        warnings.warn(str(text), GridpartWarning, stacklevel=3)
    return gathered(case, tables)


def _torn(posts: Posts, place_of: npt.NDArray[np.int64], rules: Rules) -> list[str]:
    """Posts that hold grids of several communities, and may not."""
    if rules.cross_borders or rules.scattered:
        return []
    return [
        post
        for post, held in zip(posts.ids, posts.held, strict=True)
        if np.unique(place_of[list(held)]).size > 1
    ]


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
        If `by` names something else, nothing, or a column twice, or the staffing is of other grids.

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
    if len(set(keys)) < len(keys):
        raise InputError(f"by must be columns that are named once each; not {by!r}")
    if not keys or set(keys) - known:
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
