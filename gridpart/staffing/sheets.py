"""The workbook of a staffing: who holds which grids, by post, by grid and by community."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gridpart._excel import CODE_COLUMNS, LONGEST_NAME, sheet_name, write_workbook
from gridpart._io import PathLike
from gridpart.staffing.assign import households_per_worker
from gridpart.staffing.communities import community_names
from gridpart.staffing.headers import plain_text
from gridpart.staffing.locate import grid_table, natural
from gridpart.staffing.neighbours import grids_of
from gridpart.staffing.result import Staffing, plural, same_grids

if TYPE_CHECKING:
    from gridpart.plan import Plan

__all__ = ["MOVED", "post_sheet", "staff_sheets", "write_staff_workbook"]

ASSIGNMENT_SHEET = ["post_id", "role", "grid", "grid_code", "households", "load"]
POST_SHEET = ["post_id", "role", "within", "n_grids", "grids", "households", "load"]
COMMUNITY_SHEET = ["role", "post_id", "grid", "grid_code", "households", "load"]
SUBTOTAL, TOTAL, VACANT = "subtotal", "total", "vacant"
MOVED = "yes"  # a truth value in every row would hide the few that count
# Of two roles posts can be added up; their grids and households are the same ones.
OF_POSTS = ["required", "filled", "vacancies", "surplus"]
OF_ROLES = ["grids", "households", *OF_POSTS, "grids_open"]
WITH_WORKER, WITHOUT_WORKER = "grids with a worker", "grids without a worker"
# A workbook with more sheets than this can no longer be leafed through.
MOST_COMMUNITY_SHEETS = 200


def staff_sheets(staffing: Staffing, grids: Plan | pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Lay a staffing out as officers read it, one table per sheet of a workbook.

    Parameters
    ----------
    staffing : Staffing
        The result of :func:`assign_posts`.
    grids : Plan, GeoDataFrame or DataFrame
        The same grids. A plan also knows the names of its communities, if a column of its units
        has one for every code.

    Returns
    -------
    dict of str to DataFrame
        * ``summary``: a row per role. `households_covered` are those of the grids that have a
          post, which `mean_load` divides by the posts; `households_open` are those of the others.
        * ``by_post``: a row per post with the codes (or ids) of its grids, their households, its
          load, and its capacity where the roster has one; where the roster says who holds what
          today, also whether it `moved` (``yes``), and if anybody holds something else now,
          `held_before` says what that was; a subtotal per role and a total, which count every grid
          once.
        * ``assignment``: `post_id`, `role`, `grid`, `grid_code`, `households`, `load`; nothing
          else, for programs.
        * ``vacancies``: a row per role and open grid.
        * ``by_grid``: a column of posts per role. Its last rows are the grids that have a worker,
          those that have none, and all. Households per worker are those of the grids that
          have one; below each role stands the mean of the summary.
        * ``required``: if a team was given, the posts that its rules ask for, by role and
          community, with a subtotal per role and a total of the posts.
        * ``workload``: if the load is more than households, its terms for every grid, and a total.
        * ``not_used``: rows of the roster that were left out, if there are any, and why.
        * ``unmet_needs``: skills that a grid asks for and no holder has, if there are any.
        * a sheet per community with a subtotal per role, under its name and code; or from 201
          communities on a single sheet ``by_community`` with all of them.

        Where communities have names, the other sheets have them as `within_name` beside `within`.

    Raises
    ------
    InputError
        If the staffing is of other grids.

    Examples
    --------
    >>> grids = pd.DataFrame({"grid": ["g1"], "within": ["East"], "households": [300]})
    >>> roster = pd.DataFrame({"post_id": ["a", "b"], "role": "leader"})
    >>> from gridpart.staffing import assign_posts
    >>> sheets = staff_sheets(assign_posts(grids, roster), grids)
    >>> list(sheets)
    ['summary', 'by_post', 'assignment', 'vacancies', 'by_grid', 'East']
    >>> sheets["East"][["role", "post_id", "load"]].values.tolist()
    [['leader', 'a', 150.0], ['leader', 'b', 150.0], ['subtotal', '2 posts', 300.0]]
    """
    names, grids = community_names(grids), grids_of(grids)
    same_grids(grid_table(grids), staffing)
    assignment = staffing.assignment
    sheets = {
        "summary": _summary(staffing),
        "by_post": post_sheet(staffing),
        "assignment": assignment[ASSIGNMENT_SHEET],
        "vacancies": staffing.vacancies,
        "by_grid": _by_grid(staffing, grids),
        **_more(staffing, grids),
    }
    listed = _by_community(staffing)
    many = listed["within"].nunique() > MOST_COMMUNITY_SHEETS
    if many:
        sheets["by_community"] = listed
    if names:
        sheets = {title: _with_names(table, names) for title, table in sheets.items()}
    if many:
        return sheets
    for place, rows in sorted(listed.groupby("within"), key=lambda pair: natural(str(pair[0]))):
        title = sheet_name(_titled(str(place), names.get(str(place))), sheets)
        sheets[title] = rows[COMMUNITY_SHEET].reset_index(drop=True)
    return sheets


def _with_names(table: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """The same with the names of the communities beside their codes, where a row has any."""
    if "within" not in table.columns:
        return table
    codes = [[] if pd.isna(cell) else str(cell).split("; ") for cell in table["within"]]
    known = [
        "; ".join(names[code] for code in row) if row and names.keys() >= set(row) else None
        for row in codes
    ]
    if not any(known):
        return table
    named = table.copy()
    named.insert(table.columns.get_loc("within") + 1, "within_name", pd.Series(known, table.index))
    return named


def _titled(code: str, name: str | None) -> str:
    """Name and code of a community, for a tab and the head of a page: the code is never cut."""
    if name is None:
        return code
    return f"{sheet_name(name)[: max(LONGEST_NAME - len(code) - 1, 0)].strip()} {code}".strip()


def _more(staffing: Staffing, grids: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Sheets for which a staffing has tables: none of them is empty."""
    required, terms = staffing.required, staffing.workload
    sheets = {
        "required": None if required is None else _required(required),
        "workload": None if terms is None else _workload(terms, grids),
        "not_used": staffing.unusable,
        "unmet_needs": staffing.unmet_needs,
    }
    return {name: table for name, table in sheets.items() if table is not None and len(table)}


def _required(table: pd.DataFrame) -> pd.DataFrame:
    """Posts required by role and place, a subtotal per role, a total of the posts."""
    parts = []
    for role, rows in table.groupby("role", sort=False):
        parts += [rows.astype(object), _sums(rows, OF_ROLES, role=role, within=SUBTOTAL)]
    parts.append(_sums(table, OF_POSTS, role=TOTAL))
    return pd.concat(parts, ignore_index=True)[list(table.columns)]


def _sums(rows: pd.DataFrame, names: Sequence[str], **labels: Any) -> pd.DataFrame:
    """One row of sums, whole where the column is."""
    sums = {name: rows[name].sum() for name in names if name in rows.columns}
    return pd.DataFrame([labels | sums], dtype=object)


def _workload(table: pd.DataFrame, grids: pd.DataFrame) -> pd.DataFrame:
    """Terms of the load by grid in canonical order, with codes, and their sums."""
    known = grid_table(grids)
    place = {grid: k for k, grid in enumerate(known.grid)}
    rows = table.assign(grid=[plain_text(grid) for grid in table["grid"]])
    rows = rows.iloc[sorted(range(len(rows)), key=lambda k: place[rows["grid"].iloc[k]])]
    if "grid_code" not in rows.columns and any(code is not None for code in known.code):
        rows.insert(1, "grid_code", [known.code[place[grid]] for grid in rows["grid"]])
    total = _sums(rows, list(rows.select_dtypes("number")), grid=TOTAL)
    return pd.concat([rows.astype(object), total], ignore_index=True)[list(rows.columns)]


def _summary(staffing: Staffing) -> pd.DataFrame:
    """The summary, its households told apart by whether their grid has a post."""
    table = staffing.summary.rename(columns={"households": "households_covered"})
    left = staffing.vacancies.groupby("role")["households"].sum()
    open_ = left.reindex(table["role"]).fillna(0).astype(np.int64).to_numpy()
    table.insert(table.columns.get_loc("households_covered") + 1, "households_open", open_)
    return table


def post_sheet(staffing: Staffing) -> pd.DataFrame:
    """One row per post with its grids, a subtotal per role, a total; see :func:`staff_sheets`."""
    assignment, posts = staffing.assignment, staffing.posts
    held = _held(assignment)
    more = [name for name in ("capacity", "over_capacity", "travel_m") if name in posts.columns]
    if staffing.case.roster["held"].map(len).any():
        other = _held_before(staffing)
        more[:0] = ["moved", "held_before"] if other else ["moved"]
        for post, before in other.items():
            held.setdefault(post, {"households": 0})["held_before"] = before
    by_role = staffing.summary.set_index("role")
    rows: list[dict[str, Any]] = []
    for role, team in posts.groupby("role", sort=False):
        rows += [
            post
            | {"moved": MOVED if post["moved"] else None}
            | held.get(post["post_id"], {"households": 0})
            for post in team.to_dict("records")
        ]
        if len(by_role) > 1:
            rows.append(_post_total(SUBTOTAL, assignment[assignment["role"] == role], len(team)))
            rows[-1] |= {"role": role, "moved": int(team["moved"].sum())}
    rows.append(_post_total(TOTAL, assignment, len(posts)))
    rows[-1]["moved"] = int(posts["moved"].sum())
    if len(by_role) > 1:
        # Every role carries the same households: their sum would say nothing.
        rows[-1]["load"] = None
    return pd.DataFrame(rows, columns=[*POST_SHEET, *more], dtype=object)


def _held(assignment: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """What every post holds, in words: its communities, codes (or ids) of its grids, households."""
    codes = assignment["grid_code"]
    names = codes.where(codes.notna(), assignment["grid"])
    columns = (assignment["post_id"], assignment["within"], names, assignment["households"])
    places: dict[str, dict[str, None]] = {}  # as sets that keep their order
    grids: dict[str, list[str]] = {}
    households: dict[str, int] = {}
    for post, place, name, number in zip(*(column.tolist() for column in columns), strict=True):
        where = places.setdefault(post, {})
        if not pd.isna(place):
            where[str(place)] = None
        grids.setdefault(post, []).append(str(name))
        households[post] = households.get(post, 0) + int(number)
    return {
        post: {
            "within": "; ".join(places[post]) or None,
            "grids": "; ".join(listed),
            "households": households[post],
        }
        for post, listed in grids.items()
    }


def _held_before(staffing: Staffing) -> dict[str, str]:
    """Codes (or ids) of the grids of every post that does not hold the same ones now."""
    case, assignment = staffing.case, staffing.assignment
    now = assignment.groupby("post_id")["grid"].agg(set).to_dict()
    known = zip(case.table.grid, case.table.code, strict=True)
    code_of = {grid: grid if code is None else code for grid, code in known}
    return {
        post: "; ".join(code_of[grid] for grid in before)
        for post, before in zip(case.roster["post_id"], case.roster["held"], strict=True)
        if before and set(before) != now.get(post)
    }


def _post_total(word: str, held: pd.DataFrame, n_posts: int) -> dict[str, Any]:
    once = held.drop_duplicates("grid")
    return {
        "post_id": word,
        "within": plural(n_posts, "post"),
        "n_grids": len(once),
        "households": int(once["households"].sum()),
        "load": float(held["load"].sum()),
    }


def _by_grid(staffing: Staffing, grids: pd.DataFrame) -> pd.DataFrame:
    """One row per grid in canonical order, the posts of each role beside it, and totals."""
    order = grid_table(grids).row
    kept = [c for c in ("grid", "grid_code", "within", "kind", "households") if c in grids.columns]
    table = pd.DataFrame(grids)[kept].iloc[order].reset_index(drop=True)
    table["grid"] = grid_table(grids).grid
    assignment, headings = staffing.assignment, {}
    for role, rows in assignment.groupby("role"):
        posts = rows.groupby("grid")["post_id"].agg("; ".join)
        heading = str(role) if role not in table.columns else f"{role} (role)"
        headings[role] = heading
        table[heading] = posts.reindex(table["grid"]).to_numpy(object)
    workers = households_per_worker(grids, staffing).iloc[order]
    table["workers"] = workers["workers"].to_numpy()
    table["households_per_worker"] = workers["households_per_worker"].to_numpy()
    ending = pd.DataFrame(_grid_totals(staffing, table, headings), columns=table.columns)
    return pd.concat([table.astype(object), ending.astype(object)], ignore_index=True)


def _grid_totals(
    staffing: Staffing, table: pd.DataFrame, headings: dict[Any, str]
) -> list[dict[str, Any]]:
    """Grids with a worker, grids without, all: per worker only where there are workers."""
    n_workers = int(staffing.assignment["post_id"].nunique())
    has = table["workers"] > 0
    covered, bare = (int(table.loc[rows, "households"].sum()) for rows in (has, ~has))
    total: dict[str, Any] = {"grid": TOTAL, "households": covered + bare, "workers": n_workers}
    for row in staffing.summary.to_dict("records"):
        if row["role"] in headings:
            text = f"{plural(row['posts'], 'post')}, {plural(row['grids'], 'grid')}: "
            mean = f"{plural(round(row['mean_load']), 'household')} each"
            if staffing.workload is not None:
                mean = f"load {row['mean_load']:,.1f} each"
            total[headings[row["role"]]] = text + mean
    if not n_workers:
        return [total]
    per_worker = {"workers": n_workers, "households_per_worker": covered / n_workers}
    if has.all():
        return [total | per_worker]
    return [
        {"grid": WITH_WORKER, "households": covered} | per_worker,
        {"grid": WITHOUT_WORKER, "households": bare, "workers": 0},
        total,
    ]


def _by_community(staffing: Staffing) -> pd.DataFrame:
    """Posts and open grids of every community by role, each role followed by its subtotal."""
    rows = pd.concat(
        [
            staffing.assignment.astype(object),
            staffing.vacancies.assign(post_id=VACANT, load=None).astype(object),
        ],
        ignore_index=True,
    )
    rows = rows[rows["within"].notna()]
    keys = ["within", "role"]
    filled = staffing.assignment
    subtotal = rows.drop_duplicates([*keys, "grid"]).groupby(keys)[["households"]].sum()
    subtotal["load"] = filled.groupby(keys)["load"].sum()
    subtotal["posts"] = filled.groupby(keys)["post_id"].nunique()
    subtotal = subtotal.astype(float).fillna(0.0).reset_index()
    subtotal["households"] = subtotal["households"].astype(np.int64)
    subtotal["post_id"] = [plural(int(n), "post") for n in subtotal["posts"]]
    both = pd.concat([rows, subtotal.astype(object)], ignore_index=True)
    both["last"] = [False] * len(rows) + [True] * len(subtotal)
    both = both.sort_values([*keys, "last"], kind="stable", ignore_index=True)
    both["role"] = both["role"].where(~both["last"].astype(bool), SUBTOTAL)
    return both[["within", *COMMUNITY_SHEET]]


def _means_in_two_lines(table: pd.DataFrame) -> pd.DataFrame:
    """Break what stands below each role, or its column would be as wide as half a page."""
    total = [
        text.replace(": ", ":\n") if isinstance(text, str) else text for text in table.iloc[-1]
    ]
    table.iloc[-1] = total
    return table


def write_staff_workbook(
    staffing: Staffing,
    grids: Plan | pd.DataFrame,
    path: PathLike,
    *,
    more: Mapping[str, pd.DataFrame] | None = None,
) -> None:
    """Write the sheets of :func:`staff_sheets` as an Excel workbook, whole or not at all.

    Parameters
    ----------
    staffing : Staffing
        The result of :func:`assign_posts`.
    grids : Plan, GeoDataFrame or DataFrame
        The same grids; of a plan, the sheets of communities bear their names, if it knows them.
    path : str or path
        Where the ``.xlsx`` shall appear. Ids and codes are text cells, the headers stay in sight.
        Printed on A4 across, as wide as the paper, with the header on every page.
    more : mapping of str to DataFrame, optional
        Further sheets, such as ``{"hire": hire(staffing, 3, role="leader").steps}``; they come
        second.

    Raises
    ------
    InputError
        If the staffing is of other grids.
    OutputError
        If the file cannot be replaced.
    """
    roles = staffing.summary["role"]
    sheets = staff_sheets(staffing, grids)
    sheets["by_grid"] = _means_in_two_lines(sheets["by_grid"])
    asked: dict[str, pd.DataFrame] = {}
    for name, table in (more or {}).items():
        asked[sheet_name(name, {**sheets, **asked})] = table
    write_workbook(
        path,
        {"summary": sheets["summary"], **asked, **sheets},
        text_columns={*CODE_COLUMNS, *roles},
        percent_columns={"gap"},
        bold_where={SUBTOTAL, TOTAL, WITH_WORKER, WITHOUT_WORKER},
        landscape=True,
    )
