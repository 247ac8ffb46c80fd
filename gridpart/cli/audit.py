"""The command ``gridpart audit``."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from gridpart.cli.inputs import as_file, read_register, read_staff, read_zones, tolerances
from gridpart.cli.options import (
    EXIT_FINDINGS,
    FILE,
    HTML,
    JSON,
    PLAN,
    SHEET,
    lines,
    read_one,
    say,
    size_option,
)
from gridpart.errors import GridpartWarning

if TYPE_CHECKING:
    import geopandas as gpd

    from gridpart.coverage import Comparison

__all__ = ["audit"]

DRAWN = ("boundary", "barriers", "crossings", "excluded")
LAYERS = (*DRAWN, "communities")
OF_UNITS = (
    "unit_id", "unit_within", "households", "assignment", "compound", "exclusive", "levels",
)  # fmt: skip
OF_FIX = ("id", "boundary", "tolerance", "min_area")
KINDS_SHOWN = 6
OF_FIX_WITH_UNITS = ("units", "unit_id", "households")


class Outputs(NamedTuple):
    """Files to write."""

    json: Path | None
    html: Path | None
    excel: Path | None
    findings: Path | None
    fix: Path | None


@click.command()
@click.argument("zones", type=FILE, required=False)
@click.option("--layer", help="Layer of ZONES, where it has several and is no plan.")
@click.option("--level", metavar="NAME", help="Another level of ZONES, a plan: micro-grids, say.")
@click.option("--id", metavar="COL", help="Column with the zone's name.")
@lines("boundary", "The territory to be covered.")
@lines("excluded", "Ground that needs no zone: water, enclaves of another authority.")
@click.option("--units", type=FILE, metavar="FILE", help="Units whose households must be covered.")
@click.option("--units-layer", help="Layer of the units file.")
@click.option("--unit-id", metavar="COL", help="Column with the unit's name.")
@click.option("--households", metavar="COL", help="Column of the units with their households.")
@click.option("--unit-within", metavar="COL", help="Column of the units with their community.")
@click.option("--assignment", metavar="COL", help="Column of the units with their zone.")
@click.option("--compound", metavar="COL", help="Column of the units with their compound.")
@click.option("--exclusive", metavar="COL", help="Column of the units that marks exclusive sites.")
@click.option("--within", metavar="COL", help="Column of the zones with their community.")
@click.option(
    "--level-col",
    "levels",
    multiple=True,
    metavar="COL",
    help="Column of the zones with the area they lie in, from the lower to the higher; these must "
    "nest. As often as needed.",
)
@click.option("--code", metavar="COL", help="Column of the zones with their code.")
@click.option("--parent", metavar="COL|CODE", help="Parent code of the zones.")
@click.option(
    "--register",
    metavar="FILE|URL",
    help="The register of codes, or a table of them: code, state.",
)
@click.option(
    "--scheme", metavar="NAME|FILE.toml", help="What codes are made of.  [default: unit-grid]"
)
@click.option("--staff", type=FILE, metavar="FILE", help="Table of posts and their zones.")
@click.option("--zone-households", metavar="COL", help="Column of the zones with households.")
@lines("communities", "Polygons of the communities, whose borders no zone crosses.")
@click.option("--community-id", metavar="COL", help="Column of the communities with their names.")
@lines("barriers", "Lines that no zone spans.")
@lines("crossings", "Bridges and gates, where it may all the same.")
@click.option("--low", type=int, help="Fewest households of a zone.")
@click.option("--high", type=int, help="Most households of a zone.")
@click.option(
    "--tolerance",
    multiple=True,
    metavar="[CHECK=]VALUE",
    help="Metres within which lines are the same; or the size from which defects of a check count, "
    "such as gap=5. As often as needed.",
)
@size_option("--min-area", "M2", "Square metres below which pieces are slivers.")
@click.option("--json", "json_path", type=FILE, metavar="OUT.json", help="Write the findings.")
@click.option("--html", type=FILE, metavar="OUT.html", help="Write a page to read offline.")
@click.option("--excel", type=FILE, metavar="OUT.xlsx", help="Write a sheet to tick off.")
@click.option("--findings", type=FILE, metavar="OUT.gpkg", help="Write the findings as a map.")
@click.option("--since", type=FILE, metavar="OLD.json", help="Compare with an earlier audit.")
@click.option(
    "--ticked",
    type=FILE,
    metavar="OLD.xlsx",
    help="With --since: that audit's sheet, with what was ticked off in it.",
)
@click.option("--fix", type=FILE, metavar="OUT.gpkg", help="Write the zones with safe repairs.")
@size_option(
    "--sliver-width",
    "M",
    "With --fix: gaps and overlaps nowhere wider are slivers, whatever their area.",
)
def audit(
    zones: Path | None,
    units: Path | None,
    units_layer: str | None,
    json_path: Path | None,
    html: Path | None,
    excel: Path | None,
    findings: Path | None,
    since: Path | None,
    ticked: Path | None,
    fix: Path | None,
    sliver_width: float | None,
    **options: Any,
) -> int:
    """Look for blind spots, overlaps and broken rules in ZONES: a plan, or any zone layer.

    Without ZONES, in the --units that name their zone in the column --assignment.
    """
    import gridpart as gp
    from gridpart import _io

    outputs = Outputs(json_path, html, excel, findings, fix)
    if fix is not None and (zones is None or fix == findings):
        raise click.UsageError("--fix needs ZONES, and a file of its own")
    if sliver_width is not None and fix is None:
        raise click.UsageError("--sliver-width needs --fix OUT.gpkg")
    if ticked is not None and since is None:
        raise click.UsageError("--ticked needs --since OLD.json, the audit that the sheet is of")
    if since is not None and since.suffix.lower() in SHEET:
        raise click.UsageError(
            f"--since takes OLD.json, not {since.name}; give its sheet as --ticked OLD.xlsx"
        )
    files = {name: (options.pop(name), options.pop(f"{name}_layer")) for name in LAYERS}
    for name, (path, own_layer) in files.items():
        if path is None and own_layer is not None:
            raise click.UsageError(f"--{name}-layer needs --{name} FILE")
    options["levels"] = list(options["levels"]) or None
    options.update(tolerances(options.pop("tolerance")))
    inputs = [zones, *(path for path, _ in files.values()), units, as_file(options["register"])]
    inputs = [path for path in [*inputs, options["staff"], since, ticked] if path is not None]
    _check_outputs(outputs, inputs)
    old = _earlier(since, ticked)
    known: dict[str, Any] = {}
    if zones is None:
        found, frame = _audit_table(units, units_layer, options, files)
    else:
        frame, known = read_zones(zones, options.pop("layer"), options.pop("level"))
        known.update(_given(options, files))
        if units is not None:
            # other units than the plan's own have their own columns
            known = {k: v for k, v in known.items() if k not in OF_UNITS or options.get(k) == v}
            known["units"] = gp.read_units(units, layer=units_layer)
        found = gp.audit(frame, **known)
    compared = None if old is None else gp.compare_audits(old, found)
    shown = found if compared is None else compared.findings
    with _io.together():
        told = _write(shown, outputs, frame, known, title=inputs[0].name, since=compared)
        if fix is not None and frame is not None:
            told += _write_fix(frame, known, fix, sliver_width)
    for text in told:
        say(text)
    return 0 if gp.audit_ok(shown) else EXIT_FINDINGS


def _check_outputs(outputs: Outputs, inputs: list[Path]) -> None:
    from gridpart import _io

    for path, suffixes in zip(outputs, (JSON, HTML, SHEET, PLAN, PLAN), strict=True):
        if path is not None:
            _io.check_output(path, suffixes, inputs)


def _given(
    options: dict[str, Any], files: dict[str, tuple[Path | None, str | None]]
) -> dict[str, Any]:
    """Keywords of the audit that were given, their files read."""
    known = {name: value for name, value in options.items() if value is not None}
    if "register" in known:
        known["register"] = read_register(known["register"])
    if "staff" in known:
        known["staff"] = read_staff(known["staff"])
    for name, (path, layer) in files.items():
        if path is not None:
            known[name] = read_one(path, layer, f"--{name}-layer")
    return known


def _earlier(since: Path | None, ticked: Path | None) -> gpd.GeoDataFrame | None:
    """Findings of an earlier audit, with what was ticked off in its sheet."""
    from gridpart import report

    if since is None:
        return None
    old = report.read_audit_json(since)
    if ticked is None:
        return old
    read = report.read_statuses(ticked, old)
    for line in report.ticked_off_text(read).splitlines():
        say(f"note: {ticked.name}: {line}", err=True)
    return read.findings


def _write(
    found: gpd.GeoDataFrame,
    outputs: Outputs,
    zones: gpd.GeoDataFrame | None,
    known: dict[str, Any],
    *,
    title: str,
    since: Comparison | None,
) -> list[str]:
    """Write what was asked for; the summary, to be printed."""
    from gridpart import report

    if outputs.json is not None:
        report.write_audit_json(found, outputs.json, since=since)
    if outputs.html is not None:
        report.write_audit_html(
            found, outputs.html, zones=zones, id=known.get("id"), title=title, since=since,
            **{name: known.get(name) for name in DRAWN},
        )  # fmt: skip
    if outputs.excel is not None:
        report.write_audit_excel(found, outputs.excel, since=since)
    if outputs.findings is not None:
        report.write_findings(found, outputs.findings)
    written = ", ".join(str(path) for path in outputs[:-1] if path is not None)
    return [report.audit_text(found, since=since), *([f"written to {written}"] if written else [])]


def _write_fix(
    zones: gpd.GeoDataFrame, known: dict[str, Any], path: Path, sliver_width: float | None
) -> list[str]:
    """Write the zones with safe repairs, and the changes; say what was done and what is left."""
    import gridpart as gp
    from gridpart import _io
    from gridpart.coverage import fix_text

    names = OF_FIX + (OF_FIX_WITH_UNITS if "units" in known else ())
    options = {name: value for name, value in known.items() if name in names}
    if sliver_width is not None:
        options["sliver_width"] = sliver_width
    with warnings.catch_warnings():
        # the audit has said already what it projected, or says it again of the result
        warnings.filterwarnings("ignore", "zones were projected", GridpartWarning)
        warnings.filterwarnings("ignore", ".*: projected from", GridpartWarning)
        fixed, changes = gp.fix_zones(zones, **options)
        left = gp.audit_counts(gp.audit(fixed, **known))
    _io.write_layers(path, {"zones": fixed, "changes": changes})
    kinds = [f"{n} {check}" for check, n in left.items()]
    more = f" and {len(kinds) - KINDS_SHOWN} more kinds" if len(kinds) > KINDS_SHOWN else ""
    left_over = f"then left: {', '.join(kinds[:KINDS_SHOWN]) or 'nothing'}{more}"
    return [fix_text(changes), left_over, f"written to {path}"]


def _audit_table(
    units: Path | None,
    layer: str | None,
    options: dict[str, Any],
    files: dict[str, tuple[Path | None, str | None]],
) -> tuple[gpd.GeoDataFrame, gpd.GeoDataFrame | None]:
    """Findings of units that name their zone, and the ground of the zones where they have one."""
    import inspect

    import gridpart as gp
    from gridpart import _io
    from gridpart.coverage import assigned_grids

    assignment = options.pop("assignment")
    if units is None or assignment is None:
        raise click.UsageError("give ZONES, or --units and --assignment")
    given = [name for name, value in options.items() if value is not None]
    given += [name for name, (path, _) in files.items() if path is not None]
    idle = [name for name in given if name not in inspect.signature(gp.audit_assignment).parameters]
    if idle:
        raise click.UsageError(f"{', '.join(map(_flag, idle))}: only with ZONES")
    known = _given(options, files)
    is_table = units.suffix.lower() in _io.TABLE_SUFFIXES
    table = _io.read_table(units) if is_table else gp.read_units(units, layer=layer)
    return gp.audit_assignment(table, assignment, **known), assigned_grids(table, assignment)


def _flag(name: str) -> str:
    """The flag by which an option goes."""
    named = {"levels": "level-col", "tolerances": "tolerance CHECK="}
    return f"--{named.get(name, name).replace('_', '-')}"
