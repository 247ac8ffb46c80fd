"""The command ``gridpart redraw``."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gridpart.cli.options import FILE, PLAN, lines, read_one, say

if TYPE_CHECKING:
    from gridpart.plan import Plan

__all__ = ["note_register", "redraw"]

SHOWN = 10  # exceptions on the terminal
SHOWN_CODES = 3


@click.command()
@click.argument("old", type=FILE)
@click.option(
    "--units", type=FILE, required=True, metavar="FILE", help="The units as they are now."
)
@click.option("--units-layer", help="Layer of the units file.")
@click.option("-o", "--output", type=FILE, metavar="PLAN.gpkg", help="Write PLAN.gpkg.")
@click.option("--dry-run", is_flag=True, help="Say what would change, and write nothing.")
@click.option(
    "--lock",
    "locked",
    multiple=True,
    metavar="GRID",
    help="A grid, by name or code, that stays as it is. As often as needed.",
)
@click.option(
    "--pin",
    "pinned",
    multiple=True,
    metavar="UNIT",
    help="A unit that stays in its grid. As often as needed.",
)
@lines("locked-borders", "Lines along which borders of grids stay where they are.")
@click.option(
    "--keep",
    type=float,
    default=0.5,
    show_default=True,
    metavar="SHARE",
    help="Share of its households that a grid must keep to keep its code.",
)
@click.option("--repair", is_flag=True, help="Mend the new units' borders first.")
@click.option("--register", metavar="FILE|URL", help="Issue and retire the codes in this register.")
@click.option("--reason", default="redrawn", metavar="TEXT", help="Why; the register keeps it.")
@click.option("--at", metavar="DATE", help="When, for the register.  [default: now]")
def redraw(
    old: Path,
    units: Path,
    units_layer: str | None,
    output: Path | None,
    dry_run: bool,
    locked: tuple[str, ...],
    locked_borders: Path | None,
    locked_borders_layer: str | None,
    register: str | None,
    at: str | None,
    **options: Any,
) -> None:  # fmt: skip
    """Draw the plan OLD again for units that have changed, moving few households.

    Everything else is read from OLD: its columns, band, barriers, locks and levels. Grids that
    are in order stay exactly as they are, and keep their codes.
    """
    import gridpart as gp
    from gridpart import _io
    from gridpart.redraw import redrawing

    if (output is None) != dry_run:
        raise click.UsageError("give either -o PLAN.gpkg or --dry-run")
    if at is not None and register is None:
        raise click.UsageError("--at is for a --register FILE|URL")
    inputs = [path for path in (old, units, locked_borders) if path is not None]
    if output is not None:
        _io.check_output(output, PLAN, inputs)
    plan = gp.read_plan(old)
    note_register(plan, register)
    by_code = dict(zip(plan.grids["grid_code"], plan.grids["grid"], strict=True))
    options["locked"] = [by_code.get(name, name) for name in locked]
    if locked_borders is not None:
        option = "--locked-borders-layer"
        options["locked_borders"] = read_one(locked_borders, locked_borders_layer, option)
    frame = gp.read_units(units, layer=units_layer)
    with ExitStack() as stack:
        if register is not None:
            from gridpart.codes import open_register
            from gridpart.codes.current import check_plan

            opened = stack.enter_context(open_register(register))
            # before the work, and where nothing is written, too; what is cleared shows later
            check_plan(plan, opened, cleared=_codes(plan))
            if output is not None:
                options |= {"register": opened, "at": at}
        # the plan takes its name only after the register has taken its codes
        unnamed = stack.enter_context(_io.writing(output)) if output is not None else None
        result = stack.enter_context(redrawing(plan, frame, **options))
        if unnamed is not None:
            result.plan.with_source(units, units_layer).save(unnamed)
    say(str(result).strip("<>").removeprefix("Redrawn: "))
    _say_codes(plan, result.plan, named=output is not None)
    _say_exceptions(plan, result.plan)
    if output is not None:
        say(f"plan written to {output}")


def _say_codes(old: Plan, new: Plan, *, named: bool) -> None:
    """Codes of all levels that came and went; new ones by name only where they are issued."""
    before, after = _codes(old), _codes(new)
    if not before:
        return
    fresh, gone = after - before, before - after
    say(f"  codes      {len(fresh)} new{_first_codes(fresh) if named else ''}, "
        f"{len(gone)} retired{_first_codes(gone)}")  # fmt: skip


def _first_codes(codes: set[str]) -> str:
    listed = ", ".join(sorted(codes)[:SHOWN_CODES]) + ", ..." * (len(codes) > SHOWN_CODES)
    return f" ({listed})" if codes else ""


def _say_exceptions(old: Plan, new: Plan) -> None:
    """Exceptions that the old plan did not have; the others are known, and only counted."""
    known = set(zip(old.exceptions["grid"], old.exceptions["reason"], strict=True))
    names = zip(new.exceptions["grid"], new.exceptions["reason"], strict=True)
    fresh = new.exceptions[[name not in known for name in names]]
    for _, row in fresh.head(SHOWN).iterrows():
        say(f"  {row['grid']}: {row['reason']}: {row['advice']}")
    if rest := len(new.exceptions) - len(fresh.head(SHOWN)):
        stood = ", all of which stood before" if len(fresh) <= SHOWN else ""
        say(
            f"  {'and ' * bool(len(fresh))}{rest} {'more ' * bool(len(fresh))}in the layer "
            f"exceptions{stood}"
        )


def note_register(plan: Plan, register: str | None) -> None:
    """Say that codes are changed which a register issued, without it."""
    if register is None and plan.provenance.get("register"):
        say(
            "note: the plan's codes are of a register, which learns nothing of this change; "
            "--register FILE|URL enters it",
            err=True,
        )


def _codes(plan: Plan) -> set[str]:
    """Codes of a plan at all levels."""
    columns = ["grid_code", *(f"{level}_code" for level in plan.rules.lower_levels)]
    there = [plan.units[name] for name in columns if name in plan.units.columns]
    return {str(code) for codes in there for code in codes.dropna()}
