"""The commands about plans that change: diff and edit."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gridpart.cli.inputs import plan_at, read_staff
from gridpart.cli.options import FILE, JSON, MAP, PLAN, SHEET, say
from gridpart.cli.renew import note_register
from gridpart.errors import InputError, Problem

if TYPE_CHECKING:
    import pandas as pd

    from gridpart.plan import Plan
    from gridpart.redraw import Changes, Edit, History

    Step = Callable[[History, dict[str, Any]], Edit]

__all__ = ["diff", "edit"]

SHOWN = 20  # grids or posts that are listed on the terminal
OF_ALL_EDITS = "Options of all edits, such as --force: gridpart edit --help"
# of a refused edit, in the words of the command line
ADVICE = Problem("refused", "nothing was changed; with --force it is done all the same")
STAFF = click.option(
    "--staff", type=FILE, metavar="ROSTER",
    help="Who serves which grid: a table, a roster or a staff workbook. Says whose patch changes.",
)  # fmt: skip


# ---------------------------------------------------------------- diff


@click.command()
@click.argument("old", type=FILE)
@click.argument("new", type=FILE)
@click.option(
    "--by",
    type=click.Choice(["code", "name", "overlap"]),
    help="When a grid is the same: by code, by name, or so that the fewest households change grid "
    "(for plans drawn independently).  [default: code, else name]",
)
@click.option("--level", metavar="NAME", help="Compare another level of both plans.")
@click.option("--map", "map_", type=FILE, metavar="MAP.(png|pdf|svg)", help="Old and new lines.")
@click.option("--excel", type=FILE, metavar="OUT.xlsx", help="The tables, for the office.")
@click.option("--json", "json_", type=FILE, metavar="OUT.json", help="The tables, for programs.")
@click.option("--layers", type=FILE, metavar="OUT.gpkg", help="The tables, for a GIS.")
@STAFF
def diff(
    old: Path,
    new: Path,
    by: str | None,
    level: str | None,
    map_: Path | None,
    excel: Path | None,
    json_: Path | None,
    layers: Path | None,
    staff: Path | None,
) -> None:
    """Tell what changed from the plan OLD to the plan NEW, grid by grid.

    U: unchanged, S: split, M: merged, X: complex, new, retired. The figures are households.
    """
    from gridpart import _io
    from gridpart.redraw import change_table

    inputs = [old, new, *([staff] if staff else [])]
    for path, endings in ((map_, MAP), (excel, SHEET), (json_, JSON), (layers, PLAN)):
        if path is not None:
            _io.check_output(path, endings, inputs)
    changes = change_table(plan_at(old, level), plan_at(new, level), by=by)
    posts = None if staff is None else read_staff(staff)
    patches = None if posts is None else changes.staff(posts)
    _say_changes(changes)
    if patches is not None:
        _say_patches(patches)
    if map_ is not None:
        from gridpart.plots.changes import write_changes_map

        write_changes_map(changes, map_, title=f"{old.stem} → {new.stem}")
        say(f"map written to {map_}")
    for path in filter(None, (excel, layers)):
        changes.save(path, posts=posts)
        say(f"tables written to {path}")
    if json_ is not None:
        facts = changes.as_dict()
        if patches is not None:
            facts["staff"] = patches.to_dict("records")
        _io.write_bytes(json_, json.dumps(facts, ensure_ascii=False, indent=1).encode())
        say(f"tables written to {json_}")


def _say_changes(changes: Changes) -> None:
    from pandas import isna

    say(str(changes).strip("<>").removeprefix("Changes: "))
    rows = changes.grids
    rows = rows[(rows["change"] != "U") | (rows["status"] != "kept")]
    rows = rows.loc[(rows["status"] == "kept").sort_values(kind="stable").index]  # codes first
    for _, row in rows.head(SHOWN).iterrows():
        old, new = (
            row[f"{side}_grid"] if isna(row[f"{side}_code"]) else row[f"{side}_code"]
            for side in ("old", "new")
        )
        if row["status"] == "retired":
            say(f"  {row['change']}  {old} retired, now {row['successors'] or 'nowhere'}")
        elif row["status"] == "new":
            come = row["predecessors"] or "nowhere"
            same = ", the same ground" if row["recoded"] > 0 else ""
            say(f"  {row['change']}  {new} new, {row['after']:,} from {come}{same}")
        else:
            moved = f"{row['came']:,} came, {row['left']:,} left"
            say(f"  {row['change']}  {new}  {row['before']:,} → {row['after']:,} ({moved})")
    if len(rows) > SHOWN:
        say(f"  and {len(rows) - SHOWN} more")


def _say_patches(patches: pd.DataFrame) -> None:
    say(f"{len(patches)} posts whose patch changed")
    for _, post in patches.head(SHOWN).iterrows():
        parts = [f"{post['households_before']:,} → {post['households_after']:,} households"]
        parts += [f"gone {post['gone']}"] if post["gone"] else []
        parts += [f"to be given {post['added']}"] if post["added"] else []
        say(f"  {post['post_id']}: {'; '.join(parts)}")
    if len(patches) > SHOWN:
        say(f"  and {len(patches) - SHOWN} more posts")


# ---------------------------------------------------------------- edit


class _Edits(click.Group):
    """A group whose options may stand anywhere, as those of all other commands may."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the group's own options, which no edit has by the same name, before PLAN."""
        options = [one for one in self.params if isinstance(one, click.Option)]
        own = {flag for one in options for flag in one.opts}
        with_value = {flag for one in options if not one.is_flag for flag in one.opts}
        first: list[str] = []
        rest: list[str] = []
        words = list(args)
        while words:
            word = words.pop(0)
            place = first if word.split("=")[0] in own else rest
            place.append(word)
            is_edits = place is rest and len(word) > 2 and word.startswith("--")
            if words and (word in with_value or (is_edits and "=" not in word)):
                place.append(words.pop(0))  # a value, whatever it looks like
        self._help_of_an_edit(ctx, rest)
        return super().parse_args(ctx, [*first, *rest])

    def _help_of_an_edit(self, ctx: click.Context, words: list[str]) -> None:
        """Show what an edit takes, and end; that needs no plan."""
        asked = [k for k, word in enumerate(words) if word in ctx.help_option_names]
        verbs = [word for word in words[: asked[0]] if word in self.commands] if asked else []
        if verbs:
            self.commands[verbs[-1]].make_context(verbs[-1], ["--help"], parent=ctx)


@click.group(chain=True, cls=_Edits)
@click.argument("plan", type=FILE)
@click.option("-o", "--output", type=FILE, metavar="PLAN.gpkg", help="Write PLAN.gpkg.")
@click.option("--dry-run", is_flag=True, help="Say what it would do, and write nothing.")
@click.option("--force", is_flag=True, help="Do it even if a rule breaks; the plan records it.")
@click.option("--reason", default="", metavar="TEXT", help="Why; it is kept with the change.")
@click.option(
    "--scheme", metavar="NAME|FILE.toml", help="What its codes are made of.  [default: unit-grid]"
)
@click.option("--register", metavar="FILE|URL", help="Issue and retire the codes in this register.")
@click.option("--at", metavar="DATE", help="When, for the register.  [default: now]")
@STAFF
def edit(**_: Any) -> None:
    """Change PLAN by hand, with its rules checked at once.

    Several edits may follow each other; they are done one after the other, and all of them or
    none. One that breaks a rule is refused, with exit code 2 and the reasons.

    \b
    gridpart edit plan.gpkg -o new.gpkg move --units 1071,1072 --to 420583001001004
    gridpart edit plan.gpkg -o new.gpkg split --grid G017
    gridpart edit plan.gpkg -o new.gpkg merge --grids G003,G004 move --units 88 --to G005
    """  # noqa: D301 - a mark of click: what follows is not wrapped


def _listed(given: Sequence[str]) -> list[str]:
    """Names given in several options, or with commas between them."""
    return [name.strip() for text in given for name in text.split(",") if name.strip()]


def _names(flag: str, text: str, *, required: bool = True) -> Callable[[Any], Any]:
    return click.option(flag, multiple=True, required=required, metavar="A,B,...", help=text)


@edit.command(epilog=OF_ALL_EDITS)
@_names("--units", "Units by their ids.")
@click.option("--to", required=True, metavar="GRID", help="Name or code of the grid.")
def move(units: tuple[str, ...], to: str) -> Step:
    """Move units to another grid."""
    return lambda history, options: history.move(_listed(units), to, **options)


@edit.command(epilog=OF_ALL_EDITS)
@click.option("--grid", required=True, metavar="GRID", help="Name or code of the grid.")
@click.option("--into", default=2, show_default=True, help="How many grids, found by the engine.")
@click.option(
    "--part", "parts", multiple=True, metavar="A,B,...",
    help="Units of one new grid; the rest is another. May be repeated.",
)  # fmt: skip
def split(grid: str, into: int, parts: tuple[str, ...]) -> Step:
    """Split a grid."""
    groups = [_listed([part]) for part in parts] or None
    return lambda history, options: history.split(grid, groups, into=into, **options)


@edit.command(epilog=OF_ALL_EDITS)
@_names("--grids", "Names or codes, two or more.")
def merge(grids: tuple[str, ...]) -> Step:
    """Merge grids into one."""
    return lambda history, options: history.merge(_listed(grids), **options)


@edit.command(epilog=OF_ALL_EDITS)
@_names("--units", "Units of one grid.")
@_names("--with", "Units of another, for which they are exchanged.")
def swap(units: tuple[str, ...], **others: tuple[str, ...]) -> Step:
    """Exchange units between two grids."""
    return lambda history, options: history.swap(_listed(units), _listed(others["with"]), **options)


@edit.result_callback()
def _run(
    steps: list[Step],
    plan: Path,
    output: Path | None,
    dry_run: bool,
    register: str | None,
    at: str | None,
    staff: Path | None,
    **options: Any,
) -> None:
    from gridpart import _io
    from gridpart.plan import read_plan
    from gridpart.redraw import History

    if (output is None) != dry_run:
        raise click.UsageError("give either -o PLAN.gpkg or --dry-run")
    if at is not None and register is None:
        raise click.UsageError("--at is for a --register FILE|URL")
    if output is not None:
        _io.check_output(output, PLAN, [plan])
    posts = None if staff is None else read_staff(staff)
    history = History(read_plan(plan))
    note_register(history.plan, register)
    if register is not None:
        _check(history.plan, register)
    _ = history.plan.grids  # once for all edits, which then dissolve only what they touch
    for number, step in enumerate(steps, start=1):
        _say_edit(_done(step, history, options, number, len(steps)), issued=register is None)
    if posts is not None:
        _say_patches(history.changes().staff(posts))
    if output is None:
        say("nothing was written")
        return
    if register is None:
        history.plan.save(output)
    else:
        _commit(history, register, output, str(options["reason"]), at)
    say(f"plan written to {output}")


def _check(plan: Plan, where: str) -> None:
    """Refuse a plan that is out of date before anything is done, and where nothing is written."""
    from gridpart.codes import open_register
    from gridpart.codes.current import check_plan

    with open_register(where) as opened:
        check_plan(plan, opened)


def _done(step: Step, history: History, options: dict[str, Any], number: int, count: int) -> Edit:
    """Do one edit; where it is refused, say which of several."""
    try:
        return step(history, options)
    except InputError as error:
        problems = [ADVICE if one.kind == ADVICE.kind else one for one in error.problems]
        if count == 1 and ADVICE not in problems:
            raise
        if count > 1:
            first = Problem("edit", f"edit {number} of {count} was refused; nothing was written")
            problems.insert(0, first)
        raise InputError(problems) from error


def _say_edit(edit: Edit, *, issued: bool) -> None:
    say(edit.sentence)
    told = edit.effects[edit.effects["verdict"] != "kept"]
    for _, effect in told.iterrows():
        if issued or effect["verdict"] != "new":  # the register has the last word
            say(f"  {effect['verdict']}: {effect['text']}")
    band = edit.effects[(edit.effects["rule"] == "band") & (edit.effects["verdict"] == "kept")]
    for _, effect in band.iterrows():
        say(f"  band: {effect['text']}, before {effect['before']}")


def _commit(history: History, where: str, path: Path, reason: str, at: str | None) -> None:
    """Issue and retire codes only if the plan could be written, and the other way round."""
    from gridpart import _io
    from gridpart.codes import open_register

    before = set(history.edits[0].before.grids["grid"])
    with (
        open_register(where) as opened,
        _io.writing(path) as unnamed,
        history.committing(opened, reason=reason, at=at) as plan,
    ):
        plan.save(unnamed)
    fresh = plan.grids[~plan.grids["grid"].isin(before)]
    for _, grid in fresh.iterrows():
        say(f"  code {grid['grid_code']} issued for {grid['grid']} in {opened.name}")
    for level in plan.rules.lower_levels:
        column, first = f"{level}_code", history.edits[0].before.units
        if column in plan.units.columns and column in first.columns:
            issued = set(plan.units[column].dropna()) - set(first[column].dropna())
            say(f"  {len(issued)} codes of the level {level} issued in {opened.name}")
