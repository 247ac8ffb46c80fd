"""The commands about people: staff, beats, workers."""

from __future__ import annotations

import math
import textwrap
from pathlib import Path
from typing import Any, Literal

import click
import numpy as np
import pandas as pd

from gridpart.cli.inputs import as_file, plan_at, read_register
from gridpart.cli.options import FILE, SHEET, output, say
from gridpart.errors import InputError

__all__ = ["beats", "staff", "workers"]

BEATS = (".gpkg", ".xlsx", ".csv")
SHOWN = 12  # rows of a table on the terminal
NAMED = 2  # grids of a post on the terminal; the workbook has them all
WIDTH = 80


def _pairs(texts: tuple[str, ...], option: str, what: str) -> dict[str, float]:
    """``NAME=NUMBER`` as a mapping; a name alone counts 1."""
    found: dict[str, float] = {}
    for text in texts:
        before, _, number = text.partition("=")
        name = before.strip()
        if name in found:
            raise InputError(f"{option} {text}: {name!r} was given before; say it once")
        try:
            found[name] = float(number) if number.strip() else 1.0
        except ValueError:
            raise InputError(f"{option} {text}: say {what}") from None
    return found


def _weights(texts: tuple[str, ...]) -> dict[str, float] | None:
    return _pairs(texts, "--weight", "COLUMN=NUMBER, such as over65=0.5") or None


def load_options(command: Any) -> Any:
    """Options of every command that weighs grids."""
    for add in (
        click.option("--level", metavar="NAME", help="Of another level of the plan."),
        click.option(
            "--cross-borders", is_flag=True, help="Let a beat lie in several communities."
        ),
        click.option(
            "--max-grids", type=click.IntRange(1), metavar="N", help="Most grids of one post."
        ),
        click.option(
            "--weight", "weights", multiple=True, metavar="COLUMN=NUMBER",
            help="A term of the load: a column of the units, area_m2, walking_m or households. "
            "Repeat for more; by default households alone.",
        ),
    ):  # fmt: skip
        command = add(command)
    return command


@click.command()
@click.argument("plan", type=FILE)
@click.option("--roster", type=FILE, required=True, metavar="FILE", help="CSV or Excel of posts.")
@click.option("--sheet", metavar="NAME", help="Read this sheet of the roster only.")
@output("STAFF.xlsx")
@load_options
@click.option(
    "--team", metavar="NAME|FILE.toml",
    help="Rules of the team: roles, posts required. A standard (see docs/standards.md) or a file.",
)  # fmt: skip
@click.option(
    "--free-beats", is_flag=True,
    help="Let a post hold several grids even where there is a post for each.",
)  # fmt: skip
@click.option(
    "--moves", type=click.IntRange(0), default=0, show_default=True, metavar="N",
    help="Posts of each role that may lose the grids they hold today.",
)  # fmt: skip
@click.option(
    "--skip-unusable", is_flag=True,
    help="Leave rows of the roster out that cannot be used, and list them in the workbook.",
)  # fmt: skip
@click.option(
    "--register", metavar="FILE|URL",
    help="The register of codes, or a table of them: says when grids of the roster were retired.",
)  # fmt: skip
@click.option("--limit", type=float, metavar="LOAD", help="List the posts above this load.")
@click.option(
    "--by", multiple=True, metavar="COLUMN",
    help="Households per worker by this column of the grids, or by role. Repeat to combine.",
)  # fmt: skip
@click.option(
    "--hire", "hires", multiple=True, metavar="ROLE=N",
    help="Where N more workers would lower the heaviest load most.",
)  # fmt: skip
@click.option("--leave", "leavers", multiple=True, metavar="POST", help="Who takes over from POST.")
def staff(
    plan: Path,
    roster: Path,
    sheet: str | None,
    output: Path,
    level: str | None,
    weights: tuple[str, ...],
    max_grids: int | None,
    moves: int,
    team: str | None,
    register: str | None,
    by: tuple[str, ...],
    limit: float | None,
    hires: tuple[str, ...],
    leavers: tuple[str, ...],
    *,
    cross_borders: bool,
    free_beats: bool,
    skip_unusable: bool,
) -> None:
    """Spread the posts of a roster over the grids of PLAN, and write a workbook.

    A post holds one grid, or several that touch; the heaviest load is as small as can be. What
    --limit, --by, --hire and --leave ask is answered beside it and gets a sheet of its own.
    """
    import gridpart as gp
    from gridpart import _io

    rules = [Path(team)] if team and team.endswith(".toml") else []
    _io.check_output(output, SHEET, [plan, roster, *rules, *filter(None, [as_file(register)])])
    read = plan_at(plan, level)
    asked = _weights(weights)
    standard = None if team is None else gp.load_standard(team)
    unusable: Literal["skip", "raise"] = "skip" if skip_unusable else "raise"
    staffing = gp.assign_posts(
        read, gp.read_roster(roster, sheet=sheet),
        workload=None if asked is None else gp.workload(read, asked), team=standard,
        max_grids=max_grids, cross_borders=cross_borders, free_beats=free_beats,
        max_moves=moves, unusable=unusable,
        retired=None if register is None else _retired(register),
    )  # fmt: skip
    more: dict[str, pd.DataFrame] = {}
    if limit is not None or "capacity" in staffing.posts.columns:
        more["overloaded"] = gp.overloaded(staffing, limit)
    if by:
        more["per_worker"] = gp.households_per_worker(read, staffing, by=list(by))
    for role, number in _pairs(hires, "--hire", "ROLE=N, such as leader=3").items():
        if not number.is_integer():
            raise InputError(f"--hire {role}={number:g}: say a whole number of workers")
        more[f"hire {role}"] = gp.hire(staffing, int(number), role=role).steps
    for post in leavers:
        more[f"leave {post}"] = gp.leave(staffing, post).steps
    gp.write_staff_workbook(staffing, read, output, more=more)
    _say_staffing(staffing, more)
    say(f"workbook written to {output}")


def _retired(where: str) -> pd.DataFrame:
    """Codes that are retired, of a register or a table of its codes."""
    from gridpart.codes.adopting import STATES

    table = read_register(where)
    if "state" not in table.columns:
        raise InputError(f"{where}: no column 'state' says which codes are retired")
    words = table["state"].fillna("").astype(str).str.strip().str.casefold()
    return pd.DataFrame(table[(words.map(STATES) == STATES["retired"]).to_numpy()])


def _say_staffing(staffing: Any, more: dict[str, pd.DataFrame]) -> None:
    from gridpart.staffing.sheets import MOVED, post_sheet

    say(str(staffing))
    if staffing.required is not None:
        total = staffing.required.groupby("role", sort=False)[
            ["required", "filled", "vacancies", "surplus", "grids_open"]
        ].sum()
        _say_table("posts by the rules of the team", total.reset_index())
    if staffing.unusable is not None and len(staffing.unusable):
        _say_unusable(staffing.unusable)
    if staffing.summary["moved"].any():
        posts = post_sheet(staffing)
        moved = posts.loc[posts["moved"] == MOVED, ["post_id", "role", "held_before", "grids"]]
        _say_table("moved", moved)
    for name, table in more.items():
        _say_table(name, table)


def _say_unusable(table: pd.DataFrame) -> None:
    """Lines of the roster that were left out, and those that only lost a grid."""
    from gridpart.staffing.unusable import GRIDLESS

    rows = table.set_index([name for name in ("sheet", "line") if name in table.columns])
    out = rows.index[~rows["reason"].isin(GRIDLESS)].unique()
    left = rows.index.isin(out)
    _say_reasons(rows[left], "of the roster not used")
    _say_reasons(rows[~left], "used without a grid that the roster has")


def _say_reasons(rows: pd.DataFrame, what: str) -> None:
    """One row of every reason, and how many more it has."""
    from gridpart.staffing.headers import said_lines
    from gridpart.staffing.result import plural

    lines = rows.index.nunique()
    if lines:
        say(f"{plural(lines, 'line')} {what} (sheet not_used), such as:")
    for _, alike in rows.groupby("reason", sort=False):
        others = len(alike) - 1
        where = f"{said_lines(alike.index[:1])[0]}{f' and {others} more' if others else ''}"
        text = f"{where}: {alike['text'].iloc[0]}"
        say(textwrap.fill(text, WIDTH, initial_indent="  ", subsequent_indent="    "))


def _say_table(title: str, table: pd.DataFrame) -> None:
    """A table on the terminal: its first rows."""
    say(f"{title}: {'none' if table.empty else ''}".rstrip())
    if table.empty:
        return
    shown = table.head(SHOWN).dropna(axis=1, how="all")
    for name in shown.columns.intersection(["held_before", "grids"]):
        if not pd.api.types.is_numeric_dtype(shown[name]):
            shown = shown.assign(**{name: [_first_grids(text) for text in shown[name]]})
    _say_rows(shown)
    if len(table) > SHOWN:
        say(f"  ... {len(table) - SHOWN} more in the workbook")


def _first_grids(text: Any) -> Any:
    if not isinstance(text, str):
        return text
    names = text.split("; ")
    more = len(names) - NAMED
    return "; ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _say_rows(table: pd.DataFrame) -> None:
    """Rows of a table; numbers as everywhere else, a dash where there is nothing to say."""
    shown = {
        name: map(_number if pd.api.types.is_numeric_dtype(column) else _word, column)
        for name, column in table.items()
    }
    text = pd.DataFrame({name: list(words) for name, words in shown.items()}, dtype=object)
    say("\n".join(f"  {line}" for line in text.to_string(index=False).splitlines()))


def _word(value: Any) -> str:
    return "-" if pd.isna(value) else str(value)


def _number(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return str(value)
    return f"{value:,.0f}" if math.isfinite(value) else "-"


@click.command()
@click.argument("plan", type=FILE)
@click.option("-n", "number", type=click.IntRange(1), required=True, help="Number of beats.")
@output("BEATS.(gpkg|xlsx|csv)")
@load_options
def beats(
    plan: Path,
    number: int,
    output: Path,
    level: str | None,
    weights: tuple[str, ...],
    max_grids: int | None,
    *,
    cross_borders: bool,
) -> None:
    """Group the grids of PLAN into beats for those who serve several: police, doctors, lawyers."""
    import gridpart as gp
    from gridpart import _io

    _io.check_output(output, BEATS, [plan])
    read = plan_at(plan, level)
    asked = _weights(weights)
    found = gp.beats(
        read, number, workload=None if asked is None else gp.workload(read, asked),
        max_grids=max_grids, cross_borders=cross_borders,
    )  # fmt: skip
    _write_beats(found, read.grids, output)
    say(repr(found))
    say(f"beats written to {output}")


def _write_beats(found: Any, grids: Any, path: Path) -> None:
    from gridpart import _excel, _io

    kind = path.suffix.lower()
    if kind == ".csv":
        _io.write_bytes(path, found.grids.to_csv(index=False).encode("utf-8-sig"))
    elif kind == ".xlsx":
        _excel.write_workbook(path, {"beats": found.beats, "grids": found.grids}, landscape=True)
    else:
        grids = grids[["grid", grids.geometry.name]].merge(found.grids, on="grid")
        shapes = grids[["beat", grids.geometry.name]].dissolve("beat", method="coverage")
        beats = shapes.reset_index().merge(found.beats, on="beat")
        _io.write_layers(path, {"beats": beats, "grids": grids})


@click.command()
@click.argument("plan", type=FILE)
@click.option(
    "--limit", "limits", type=float, multiple=True, required=True, metavar="LOAD",
    help="Greatest load of a worker. Repeat to compare.",
)  # fmt: skip
@load_options
@click.option("--one-grid-each", is_flag=True, help="Give every grid a worker of its own.")
@click.option("--by-community", is_flag=True, help="Show the number of each community.")
def workers(
    plan: Path,
    limits: tuple[float, ...],
    level: str | None,
    weights: tuple[str, ...],
    max_grids: int | None,
    *,
    cross_borders: bool,
    one_grid_each: bool,
    by_community: bool,
) -> None:
    """How many workers it takes that nobody's load is above a limit, and what is proven."""
    import gridpart as gp
    from gridpart.staffing.result import plural

    read = plan_at(plan, level)
    asked = _weights(weights)
    load = None if asked is None else gp.workload(read, asked)
    for limit in limits:
        found = gp.workers_needed(
            read, limit, workload=load, max_grids=max_grids, cross_borders=cross_borders,
            one_grid_each=one_grid_each,
        )  # fmt: skip
        proof = (
            "proven: fewer cannot do"
            if found.proven
            else f"fewer than {found.at_least:,} are proven not to do"
        )
        say(f"at most {limit:,g} each: {plural(found.workers, 'worker')} ({proof})")
        if by_community:
            _say_rows(found.places)
