"""The commands ``gridpart code`` and ``gridpart register``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gridpart.cli.options import EXIT_FINDINGS, FILE, PLAN, SHEET, output, read_one, say
from gridpart.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from gridpart.plan import Plan

__all__ = ["code", "register"]

# what is shown of a code, and the reason that stands behind a date
SHOWN = ("code", "level", "kind", "state", "issued", "retired", "predecessors", "successors")
REASON_OF = {"issued": "issue_reason", "retired": "retire_reason"}
SHARE = "share of area, %"  # of the ground of the code that is asked for
TABLES = (".csv", ".txt", ".tsv", *SHEET)
LISTS = (".csv", *SHEET, *PLAN)
REGISTER = click.option(
    "--register", "where", required=True, metavar="FILE|URL",
    help="The register: a file, or postgresql://user@host/database.",
)  # fmt: skip
REASON = click.option("--reason", metavar="TEXT", help="Why; it is kept with every code.")
AT = click.option("--at", metavar="DATE", help="When, such as 2026-05-01.  [default: now]")


@click.command()
@click.argument("plan", type=FILE)
@output("PLAN.gpkg")
@click.option("--parent-code", metavar="CODE", help="12-digit code of the one community.")
@click.option("--parent-col", metavar="COL", help="Units' column with the 12-digit codes.")
@click.option(
    "--scheme", metavar="NAME|FILE.toml", help="What codes are made of.  [default: unit-grid]"
)
@click.option("--register", "where", metavar="FILE|URL", help="Issue the codes in this register.")
@click.option(
    "--divisions",
    type=FILE,
    metavar="FILE",
    help="Table of division codes that parents must be in.",
)
@REASON
@AT
def code(
    plan: Path,
    output: Path,
    parent_code: str | None,
    parent_col: str | None,
    where: str | None,
    divisions: Path | None,
    **options: Any,
) -> None:
    """Give every grid of PLAN a code: its parent and a serial.

    With a register, serials are above all that were ever issued, and grids that have a code keep
    it.
    """
    import gridpart as gp
    from gridpart import _io
    from gridpart.codes import read_divisions

    if (parent_code is None) == (parent_col is None):
        raise click.UsageError("give either --parent-code or --parent-col")
    if where is None and (options["reason"] or options["at"]):
        raise click.UsageError("--reason and --at are for a --register FILE|URL")
    _io.check_output(output, PLAN)
    uncoded = gp.read_plan(plan)
    if parent_col is not None and parent_col not in uncoded.units.columns:
        columns = ", ".join(map(str, uncoded.units.columns.drop("geometry")))
        raise InputError(f"{plan}: the units have no column {parent_col!r}; they have: {columns}")
    communities = uncoded.grids["within"].nunique()
    if parent_code is not None and communities > 1:
        say(
            f"note: {communities} communities share the parent {parent_code}; a column of codes "
            "(--parent-col) gives each its own",
            err=True,
        )
    given = {name: value for name, value in options.items() if value is not None}
    given["parent"] = parent_col or str(parent_code)
    if divisions is not None:
        given["divisions"] = read_divisions(divisions)
    if where is None:
        coded = gp.assign_codes(uncoded, **given)
        coded.save(output)
    else:
        coded = _issue(uncoded, where, output, given)
    codes = coded.grids["grid_code"]
    say(f"{len(codes)} grids coded, {codes.min()} to {codes.max()}")
    say(f"plan written to {output}")


def _issue(uncoded: Plan, where: str, path: Path, given: dict[str, Any]) -> Plan:
    """Code a plan through a register.

    The plan is written before its codes are issued, and takes its name after: no plan that is
    there has codes that somebody else can get.
    """
    from gridpart import _io
    from gridpart.codes import issuing, open_register

    with (
        open_register(where) as opened,
        _io.writing(path) as unnamed,
        issuing(uncoded, opened, **given) as coded,
    ):
        coded.save(unnamed)
    codes = _codes_in(coded)
    new = len(codes - _codes_in(uncoded))
    say(f"{new} codes issued in {opened.name}, {len(codes) - new} kept")
    return coded


def _codes_in(plan: Plan) -> set[str]:
    """Codes of all levels of a plan."""
    columns = ["grid_code", *(f"{level}_code" for level in plan.rules.lower_levels)]
    there = [column for column in columns if column in plan.units.columns]
    return {code for column in there for code in plan.units[column].dropna()}


# --------------------------------------------------------------------------- register


@click.group()
def register() -> None:
    """Keep every code ever issued: what became of it, and what it stood for."""


@register.command()
@REGISTER
@click.option(
    "--scheme", metavar="NAME|FILE.toml", help="What its codes are made of.  [default: unit-grid]"
)
def create(where: str, scheme: str | None) -> None:
    """Make an empty register."""
    from gridpart.codes import open_register

    with open_register(where, create=True, scheme=scheme) as opened:
        say(str(opened).strip("<>"))


@register.command()
@click.argument("source", type=FILE)
@REGISTER
@click.option("--layer", help="Layer of SOURCE, where it has several and is no plan.")
@click.option("--code", "column", metavar="COL", help="Column with the codes.  [default: code]")
@click.option("--issued", metavar="DATE", help="When they were issued, where SOURCE does not say.")
@REASON
@AT
def adopt(source: Path, where: str, layer: str | None, column: str | None, **options: Any) -> None:
    """Enter the codes of SOURCE, which were issued before there was a register.

    SOURCE is a coded plan, a layer of zones or a table; columns state, issued, retired, reason,
    predecessors, successors, households and area_m2 are read where it has them.
    """
    from gridpart.codes import open_register

    given = {name: value for name, value in options.items() if value is not None}
    entries = _entries(source, layer)
    with open_register(where) as opened:
        number = opened.adopt(entries, code=column, **given)
        say(f"{number} codes adopted; {str(opened).strip('<>').removeprefix('Register: ')}")


def _entries(source: Path, layer: str | None) -> Any:
    """Plan, layer or table with codes."""
    from gridpart import _io
    from gridpart.cli.inputs import is_plan
    from gridpart.plan import read_plan

    if source.suffix.lower() in TABLES:
        return _io.read_table(source)
    if layer is None and is_plan(source):
        return read_plan(source)
    return read_one(source, layer, "--layer")


@register.command("list")
@REGISTER
@click.option("--live/--retired", default=None, help="Only those.  [default: all]")
@click.option("--parent", metavar="CODE", help="Only codes that begin so.")
@output("LIST.(csv|xlsx|gpkg)", required=False)
def list_(where: str, live: bool | None, parent: str | None, output: Path | None) -> None:
    """List codes; the list is what `gridpart audit --register` takes."""
    import pandas as pd

    from gridpart import _io
    from gridpart.codes import open_register

    if output is not None:
        _io.check_output(output, LISTS)
    with open_register(where) as opened:
        table = opened.codes(live)
    table = table[table["code"].str.startswith(parent or "")].reset_index(drop=True)
    if output is None:
        columns = [
            "code", "state", "issued", "issue_reason", "retired", "retire_reason", "successors",
            "households",
        ]  # fmt: skip
        _show(pd.DataFrame(table)[columns])
    else:
        _write_list(output, table)
        say(f"{len(table)} codes written to {output}")


def _write_list(path: Path, table: Any) -> None:
    from gridpart import _io
    from gridpart._excel import write_workbook

    plain = table.drop(columns="geometry")
    if path.suffix.lower() in PLAN:
        _io.write_layers(path, {"codes": table})
    elif path.suffix.lower() in SHEET:
        text = ("code", "predecessors", "successors", "parent")
        write_workbook(path, {"codes": plain}, text_columns=text, landscape=True)
    else:
        _io.write_bytes(path, plain.to_csv(index=False).encode("utf-8-sig"))


@register.command()
@click.argument("code")
@REGISTER
def show(code: str, where: str) -> None:
    """Say what became of CODE, what it stood for, where its area went and came from.

    The share is how much of CODE's own area lies in the other code.
    """
    from gridpart.codes import open_register

    with open_register(where) as opened:
        table = opened.lineage(code)
        codes, grounds = opened.codes(), opened.grounds(code)
    facts = codes[codes["code"] == code].iloc[0].dropna()
    for name in SHOWN:
        if facts.get(name):
            reason = facts.get(REASON_OF.get(name, ""))
            say(f"{name:13} {facts[name]}{f': {reason}' if reason else ''}")
    say("\nstood for")
    spans = grounds[["since", "until", "households", "area_m2"]]
    _show(spans.assign(area_m2=spans["area_m2"].round(1)))
    for direction, title in (("from", "came from"), ("to", "went to")):
        part = table[table["direction"] == direction]
        if len(part):
            say(f"\n{title}")
            _show(_steps(part))


def _steps(part: pd.DataFrame) -> pd.DataFrame:
    """Steps of a lineage as they are shown, headed so that each column says what it is of."""
    share = part["share"].map("{:.1%}".format).where(part["share"].notna(), "")
    shown = part.drop(columns=["direction", "share"]).assign(area_m2=part["area_m2"].round(1))
    shown.insert(3, SHARE, share)
    return shown.rename(columns={"at": "on", "reason": "because", "state": "state now"})


@register.command("at")
@click.argument("x", type=float)
@click.argument("y", type=float)
@REGISTER
@click.option("--crs", metavar="EPSG:4547", help="Of X and Y.  [default: that of the grounds]")
@click.option("--when", metavar="DATE", help="Only what covered it then.")
def at(x: float, y: float, where: str, crs: str | None, when: str | None) -> None:
    """Say which codes covered the place X (east) Y (north) over time."""
    from gridpart.codes import open_register

    with open_register(where) as opened:
        table = opened.at((x, y), crs=crs, when=when).drop(columns="share")
    _show(table.assign(area_m2=table["area_m2"].astype(float).round(1)))
    if table.empty and crs is None and abs(x) <= 180 and abs(y) <= 90:
        say("note: these look like degrees; say so with --crs EPSG:4490", err=True)


@register.command()
@click.argument("codes", nargs=-1, required=True)
@REGISTER
@click.option("--reason", required=True, metavar="TEXT", help="Why; it is kept with every code.")
@AT
def retire(codes: tuple[str, ...], where: str, reason: str, at: str | None) -> None:
    """Retire CODES whose ground goes to nobody, such as a cleared village's."""
    from gridpart.codes import open_register

    with open_register(where) as opened:
        opened.retire(codes, reason, at=at)
    say(f"{len(codes)} codes retired")


@register.command()
@REGISTER
def log(where: str) -> None:
    """List every change, with its reason."""
    from gridpart.codes import open_register

    with open_register(where) as opened:
        _show(opened.changes())


@register.command()
@REGISTER
def check(where: str) -> int:
    """Look for what cannot be: reused codes, two live ones on one ground, gaps in the lineage."""
    from gridpart.codes import open_register

    with open_register(where) as opened:
        faults = opened.verify()
        say(str(opened).strip("<>"))
    if faults.empty:
        say("no faults")
        return 0
    _show(faults)
    return EXIT_FINDINGS


def _show(table: pd.DataFrame) -> None:
    """Print a table, or that it is empty."""
    if table.empty:
        say("none")
        return
    say(table.astype(object).where(table.notna(), "").to_string(index=False))
