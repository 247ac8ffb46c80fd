"""The command ``gridpart audit``."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gridpart.cli.options import EXIT_FINDINGS, FILE, HTML, JSON, PLAN, SHEET, lines, read_one
from gridpart.errors import GridpartWarning

if TYPE_CHECKING:
    import geopandas as gpd

__all__ = ["audit"]


@click.command()
@click.argument("zones", type=FILE, required=False)
@click.option("--layer", help="Layer of ZONES, where it has several and is no plan.")
@click.option("--id", metavar="COL", help="Column with the zone's name.")
@click.option("--boundary", type=FILE, metavar="FILE", help="The territory to be covered.")
@click.option("--boundary-layer", help="Layer of the boundary file.")
@click.option("--units", type=FILE, metavar="FILE", help="Units whose households must be covered.")
@click.option("--units-layer", help="Layer of the units file.")
@click.option("--unit-id", metavar="COL", help="Column with the unit's name.")
@click.option("--households", metavar="COL", help="Column of the units with their households.")
@click.option("--unit-within", metavar="COL", help="Column of the units with their community.")
@click.option("--assignment", metavar="COL", help="Column of the units with their zone.")
@click.option("--within", metavar="COL", help="Column of the zones with their community.")
@click.option("--code", metavar="COL", help="Column of the zones with their code.")
@click.option("--parent", metavar="COL|CODE", help="Parent code of the zones.")
@click.option("--zone-households", metavar="COL", help="Column of the zones with households.")
@lines("barriers", "Lines that no zone spans.")
@lines("crossings", "Bridges and gates, where it may all the same.")
@click.option("--low", type=int, help="Fewest households of a zone.")
@click.option("--high", type=int, help="Most households of a zone.")
@click.option("--json", "json_path", type=FILE, metavar="OUT.json", help="Write the findings.")
@click.option("--html", type=FILE, metavar="OUT.html", help="Write a page to read offline.")
@click.option("--excel", type=FILE, metavar="OUT.xlsx", help="Write a sheet to tick off.")
@click.option("--findings", type=FILE, metavar="OUT.gpkg", help="Write the findings as a map.")
@click.option("--since", type=FILE, metavar="OLD.json", help="Compare with an earlier audit.")
@click.option("--fix", type=FILE, metavar="OUT.gpkg", help="Write the zones with safe repairs.")
def audit(
    zones: Path | None,
    boundary: Path | None,
    boundary_layer: str | None,
    units: Path | None,
    units_layer: str | None,
    json_path: Path | None,
    html: Path | None,
    excel: Path | None,
    findings: Path | None,
    since: Path | None,
    fix: Path | None,
    **options: Any,
) -> int:
    """Look for blind spots, overlaps and broken rules in ZONES: a plan, or any zone layer.

    Without ZONES, in the --units that name their zone in the column --assignment.
    """
    import gridpart as gp
    from gridpart import _io, report

    lines = {
        name: (options.pop(name), options.pop(f"{name}_layer"))
        for name in ("barriers", "crossings")
    }
    for name, (path, own_layer) in lines.items():
        if path is None and own_layer is not None:
            raise click.UsageError(f"--{name}-layer needs --{name} FILE")
    inputs = [zones, boundary, units, since, *(path for path, _ in lines.values())]
    inputs = [path for path in inputs if path is not None]
    outputs = {json_path: JSON, html: HTML, excel: SHEET, findings: PLAN, fix: PLAN}
    if fix is not None and (zones is None or fix == findings):
        raise click.UsageError("--fix needs ZONES, and a file of its own")
    for path, suffixes in outputs.items():
        if path is not None:
            _io.check_output(path, suffixes, inputs)
    known: dict[str, Any] = {}
    if zones is None:
        given = {
            **options,
            "boundary": boundary,
            **{name: path for name, (path, _) in lines.items()},
        }
        found, frame = _audit_table(units, units_layer, given)
    else:
        frame, known = _zones(zones, options.pop("layer"))
        known.update({name: value for name, value in options.items() if value is not None})
        if units is not None:
            # other units than the plan's own have their own columns
            own = ("unit_id", "unit_within", "households", "assignment")
            known = {k: v for k, v in known.items() if k not in own or options.get(k) == v}
            known["units"] = gp.read_units(units, layer=units_layer)
        if boundary is not None:
            known["boundary"] = read_one(boundary, boundary_layer, "--boundary-layer")
        for name, (path, own_layer) in lines.items():
            if path is not None:
                known[name] = read_one(path, own_layer, f"--{name}-layer")
        found = gp.audit(frame, **known)
    compared = None
    if since is not None:
        compared = gp.compare_audits(report.read_audit_json(since, crs=found.crs), found)
        found = compared.findings
    if json_path is not None:
        report.write_audit_json(found, json_path, since=compared)
    if html is not None:
        report.write_audit_html(
            found, html, zones=frame, id=known.get("id"), boundary=known.get("boundary"),
            title=inputs[0].name, since=compared,
        )  # fmt: skip
    if excel is not None:
        report.write_audit_excel(found, excel, since=compared)
    if findings is not None:
        report.write_findings(found, findings)
    click.echo(report.audit_text(found, since=compared))
    for path in filter(None, (json_path, html, excel, findings)):
        click.echo(f"written to {path}")
    if fix is not None and frame is not None:
        _write_fix(frame, known, fix)
    return 0 if gp.audit_ok(found) else EXIT_FINDINGS


def _write_fix(zones: gpd.GeoDataFrame, known: dict[str, Any], path: Path) -> None:
    """Write the zones with safe repairs and the list of changes; say what the audit finds then."""
    import gridpart as gp
    from gridpart import _io
    from gridpart.coverage import fix_text

    names = ["id", "boundary"]
    if "units" in known:
        names += ["units", "unit_id", "households"]
    with warnings.catch_warnings():
        # the audit has said already what it projected, or says it again of the result
        warnings.filterwarnings("ignore", "zones were projected", GridpartWarning)
        warnings.filterwarnings("ignore", ".*: projected from", GridpartWarning)
        fixed, changes = gp.fix_zones(zones, **{k: v for k, v in known.items() if k in names})
        left = gp.audit_counts(gp.audit(fixed, **known))
    _io.write_layers(path, {"zones": fixed, "changes": changes})
    click.echo(fix_text(changes))
    click.echo(f"then left: {', '.join(f'{n} {check}' for check, n in left.items()) or 'nothing'}")
    click.echo(f"written to {path}")


def _audit_table(
    units: Path | None, layer: str | None, options: dict[str, Any]
) -> tuple[gpd.GeoDataFrame, gpd.GeoDataFrame | None]:
    """Findings of units that name their zone, and the ground of the zones where they have one."""
    import gridpart as gp
    from gridpart import _io
    from gridpart.coverage import assigned_grids

    assignment = options.pop("assignment")
    if units is None or assignment is None:
        raise click.UsageError("give ZONES, or --units and --assignment")
    used = ("unit_id", "households", "unit_within", "parent", "low", "high")
    idle = [name for name in options if name not in used and options[name] not in (None, False)]
    if idle:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in idle)
        raise click.UsageError(f"{flags}: only with ZONES")
    is_table = units.suffix.lower() in _io.TABLE_SUFFIXES
    table = _io.read_table(units) if is_table else gp.read_units(units, layer=layer)
    found = gp.audit_assignment(table, assignment, **{name: options[name] for name in used})
    return found, assigned_grids(table, assignment)


def _zones(path: Path, layer: str | None) -> tuple[gpd.GeoDataFrame, dict[str, Any]]:
    """Zones, and what is known about them: all of it where the file is a plan of ours."""
    from gridpart import _io
    from gridpart.coverage import audit_inputs
    from gridpart.plan import LAYERS, read_plan

    layers = [] if path.suffix.lower() in _io.PARQUET_SUFFIXES else _io.list_layers(path)
    if layer not in (None, "grids") or not {"grids", "provenance"} & set(layers):
        return read_one(path, layer, "--layer"), {}
    if layer == "grids" and not set(LAYERS) <= set(layers):
        return read_one(path, layer, "--layer"), {}
    known = audit_inputs(read_plan(path))
    # the zones as they stand in the file, for they may have been edited since
    return _io.read_vector(path, layer="grids"), known
