"""The command line: parse, call, print, exit code; no logic of its own.

Exit codes: 0 output written; 1 `audit` found errors; 2 input that cannot be used, nothing written;
70 an error of gridpart itself; 130 interrupted.
"""

from __future__ import annotations

import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gridpart._version import __version__
from gridpart.errors import GridpartError, GridpartWarning, InputError

if TYPE_CHECKING:
    import geopandas as gpd

    from gridpart.plan import Plan

__all__ = ["cli", "main"]

EXIT_FINDINGS = 1
EXIT_INPUT = 2
EXIT_OWN_ERROR = 70
EXIT_INTERRUPTED = 130

PLAN, JSON, HTML, SHEET = (".gpkg",), (".json",), (".html", ".htm"), (".xlsx",)
MAP = (".png", ".pdf", ".svg")
_FILE = click.Path(path_type=Path)
_Command = TypeVar("_Command", bound=Callable[..., Any])


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Parameters
    ----------
    arguments : list of str, optional
        By default those of the process.

    Returns
    -------
    int
        See the module.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("default", GridpartWarning)
        warnings.showwarning = _say
        try:
            return int(cli.main(arguments, prog_name="gridpart", standalone_mode=False) or 0)
        except click.ClickException as error:
            error.show()
            return EXIT_INPUT
        except GridpartError as error:
            click.echo(f"gridpart: {error}", err=True)
            return EXIT_INPUT
        except (KeyboardInterrupt, click.Abort):
            click.echo("gridpart: interrupted; nothing was written", err=True)
            return EXIT_INTERRUPTED
        except BrokenPipeError:
            # the reader went away, as `gridpart ... | head` does
            sys.stderr.close()
            return 0
        except Exception:  # noqa: BLE001 - the last door: whatever is left is our own error
            traceback.print_exc()
            click.echo("gridpart: an error of gridpart itself; please report it", err=True)
            return EXIT_OWN_ERROR


def _say(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    """Print what was done to the input as a note; pass over what concerns only developers."""
    if issubclass(category, GridpartWarning):
        click.echo(f"note: {message}", err=True)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gridpart")
def cli() -> None:
    """Divide communities into service grids, code them, audit them, staff them."""


def _output(kind: str, *, required: bool = True) -> Callable[[_Command], _Command]:
    return click.option(
        "-o", "--output", type=_FILE, required=required, metavar=kind, help=f"Write {kind}."
    )


def _lines(name: str, text: str) -> Callable[[_Command], _Command]:
    """Options for a layer of lines: its file, and its layer where the file has several."""

    def add(command: _Command) -> _Command:
        layer = click.option(f"--{name}-layer", help=f"Layer of the {name} file.")(command)
        return click.option(f"--{name}", type=_FILE, metavar="FILE", help=text)(layer)

    return add


# ---------------------------------------------------------------- partition


@cli.command()
@click.argument("units", type=_FILE)
@_output("PLAN.gpkg")
@click.option("--layer", help="Layer of UNITS, where it has several.")
@click.option(
    "--households",
    default="households",
    show_default=True,
    metavar="COL",
    help="Column with the households of each unit.",
)
@click.option("--id", metavar="COL", help="Column with the unit's own name.")
@click.option("--within", metavar="COL", help="Column with the community; no grid crosses it.")
@click.option("--low", default=200, show_default=True, help="Fewest households of a grid.")
@click.option("--high", default=500, show_default=True, help="Most households of a grid.")
@click.option("--target", type=int, help="Households on average.  [default: middle of the band]")
@click.option(
    "--n-grids",
    multiple=True,
    metavar="N|fewest|most|COMMUNITY=N",
    help="Number of grids instead of a target, shared among communities by households; or of a "
    "community, as often as needed.",
)
@click.option(
    "--balance",
    default=0.5,
    show_default=True,
    metavar="0..1",
    help="0 for the shortest borders, 1 for the most even grids.",
)
@click.option("--workload", metavar="COL", help="Column to even out instead of households.")
@click.option(
    "--bound",
    "bounds",
    multiple=True,
    metavar="COL:LOW:HIGH",
    help="Band of another column; area_m2 is measured. May be repeated.",
)
@click.option(
    "--max-diameter-m",
    type=float,
    metavar="METRES",
    help="Greatest distance between two points of a grid.",
)
@click.option(
    "--headroom",
    default=0.0,
    show_default=True,
    metavar="0..1",
    help="Stay in the band when households change by this share, where possible.",
)
@click.option(
    "--keep-whole", metavar="COL", help="Column with the compound of a unit, which stays together."
)
@click.option("--locked", metavar="COL", help="Column with the grid that a unit is locked in.")
@click.option(
    "--enclaves",
    type=click.Choice(["keep", "attach"]),
    default="keep",
    show_default=True,
    help="What becomes of parts cut off with too few households.",
)
@click.option(
    "--level",
    "levels",
    multiple=True,
    metavar="NAME:LOW:HIGH",
    help="Band of another level, above or below the grids. May be repeated.",
)
@_lines("barriers", "Lines that no grid spans.")
@_lines("crossings", "Bridges and gates, where it may all the same.")
@_lines("border-costs", "Lines with a column cost: how much a grid border along them counts.")
@click.option(
    "--barrier-tolerance",
    default=1.0,
    show_default=True,
    metavar="METRES",
    help="Borders this close lie along a line.",
)
@click.option(
    "--graph",
    type=_FILE,
    metavar="FILE",
    help="Table focal, neighbor, weight (metres) of units by --id: who touches whom.",
)
@click.option(
    "--effort",
    default="default",
    show_default=True,
    metavar="fast|default|best|SECONDS",
    help="How much work to spend.",
)
@click.option(
    "--time-limit", type=float, metavar="SECONDS", help="Finish with the best plan by then."
)
@click.option("--exclusive", metavar="COL", help="Column that marks units that are grids alone.")
@click.option("--seed", default=0, show_default=True, help="Same input and seed, same plan.")
@click.option("--jobs", type=int, help="Threads.  [default: one per processor]")
@click.option("--crs", help="Projected CRS to measure in, such as EPSG:4547.")
@click.option("--repair", is_flag=True, help="Snap borders that almost fit, and report it.")
@click.option(
    "--tolerance",
    default=0.001,
    show_default=True,
    metavar="METRES",
    help="Vertices this close count as the same.",
)
def partition(units: Path, output: Path, layer: str | None, **rules: Any) -> None:
    """Divide UNITS into connected grids inside a band of households.

    Ctrl-C finishes the best plan so far; a second one gives up.
    """
    import gridpart as gp
    from gridpart import _io

    for name in ("bounds", "levels"):
        bands = [_band(f"--{name[:-1]}", text) for text in rules[name]]
        if len(dict(bands)) < len(bands):
            raise click.UsageError(f"--{name[:-1]}: every name once")
        rules[name] = dict(bands) or None
    rules["n_grids"] = _counts(rules["n_grids"])
    if _is_number(rules["effort"]):
        rules["effort"] = float(rules["effort"])
    inputs = [units]
    for name in ("barriers", "crossings", "border_costs"):
        path, own_layer = rules[name], rules.pop(f"{name}_layer")
        option = f"--{name.replace('_', '-')}"
        if path is not None:
            inputs.append(path)
            rules[name] = _read_one(path, own_layer, f"{option}-layer")
        elif own_layer is not None:
            raise click.UsageError(f"{option}-layer needs {option} FILE")
    _io.check_output(output, PLAN, inputs)
    frame = gp.read_units(units, layer=layer)
    _io.check_names(frame)
    if rules["graph"] is not None:
        table = _io.read_table(rules["graph"])
        rules["graph"] = gp.Contiguity.from_table(table, frame, id=rules["id"])
    plan = gp.partition(frame, **rules)
    plan = plan.with_source(units, layer)
    plan.save(output)
    _report_plan(plan, output)


def _band(option: str, text: str) -> tuple[str, tuple[int, int]]:
    """Name and band of a --bound or a --level."""
    name, *band = text.rsplit(":", 2)
    example = "over65:0:150" if option == "--bound" else "micro:30:40"
    if len(band) != 2 or not all(number.isdigit() for number in band):
        raise click.UsageError(f"{option} {text}: say NAME:LOW:HIGH, such as {example}")
    return name, (int(band[0]), int(band[1]))


def _counts(given: tuple[str, ...]) -> int | str | dict[str, int] | None:
    """Numbers of grids: one for all, a word, or one for each community."""
    if not given:
        return None
    if len(given) == 1 and ("=" not in given[0]):
        return int(given[0]) if given[0].isdigit() else given[0]
    counts = {}
    for text in given:
        community, _, number = text.rpartition("=")
        if not community or not number.isdigit():
            raise click.UsageError(
                f"--n-grids {text}: say N, fewest or most, once; or COMMUNITY=N, several times"
            )
        counts[community] = int(number)
    return counts


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdigit()


def _report_plan(plan: Plan, path: Path) -> None:
    click.echo(str(plan).strip("<>").replace("Plan: ", "", 1))
    for _, row in plan.exceptions.head(10).iterrows():
        click.echo(f"  {row['grid']}: {row['reason']}: {row['advice']}")
    if len(plan.exceptions) > 10:
        click.echo(f"  and {len(plan.exceptions) - 10} more in the layer exceptions")
    click.echo(f"plan written to {path}")


# ---------------------------------------------------------------- code


@cli.command()
@click.argument("plan", type=_FILE)
@_output("PLAN.gpkg")
@click.option("--parent-code", metavar="CODE", help="12-digit code of the one community.")
@click.option("--parent-col", metavar="COL", help="Units' column with the 12-digit codes.")
def code(plan: Path, output: Path, parent_code: str | None, parent_col: str | None) -> None:
    """Give every grid of PLAN a 15-character code: its parent and a serial."""
    import gridpart as gp
    from gridpart import _io

    if (parent_code is None) == (parent_col is None):
        raise click.UsageError("give either --parent-code or --parent-col")
    _io.check_output(output, PLAN)
    uncoded = gp.read_plan(plan)
    if parent_col is not None and parent_col not in uncoded.units.columns:
        columns = ", ".join(map(str, uncoded.units.columns.drop("geometry")))
        raise InputError(f"{plan}: the units have no column {parent_col!r}; they have: {columns}")
    communities = uncoded.grids["within"].nunique()
    if parent_code is not None and communities > 1:
        click.echo(
            f"note: {communities} communities share the parent {parent_code}; a column of codes "
            "(--parent-col) gives each its own",
            err=True,
        )
    coded = gp.assign_codes(uncoded, parent=parent_col or str(parent_code))
    coded.save(output)
    codes = coded.grids["grid_code"]
    click.echo(f"{len(codes)} grids coded, {codes.min()} to {codes.max()}")
    click.echo(f"plan written to {output}")


# ---------------------------------------------------------------- audit


@cli.command()
@click.argument("zones", type=_FILE, required=False)
@click.option("--layer", help="Layer of ZONES, where it has several and is no plan.")
@click.option("--id", metavar="COL", help="Column with the zone's name.")
@click.option("--boundary", type=_FILE, metavar="FILE", help="The territory to be covered.")
@click.option("--boundary-layer", help="Layer of the boundary file.")
@click.option("--units", type=_FILE, metavar="FILE", help="Units whose households must be covered.")
@click.option("--units-layer", help="Layer of the units file.")
@click.option("--unit-id", metavar="COL", help="Column with the unit's name.")
@click.option("--households", metavar="COL", help="Column of the units with their households.")
@click.option("--unit-within", metavar="COL", help="Column of the units with their community.")
@click.option("--assignment", metavar="COL", help="Column of the units with their zone.")
@click.option("--within", metavar="COL", help="Column of the zones with their community.")
@click.option("--code", metavar="COL", help="Column of the zones with their code.")
@click.option("--parent", metavar="COL|CODE", help="Parent code of the zones.")
@click.option("--zone-households", metavar="COL", help="Column of the zones with households.")
@_lines("barriers", "Lines that no zone spans.")
@_lines("crossings", "Bridges and gates, where it may all the same.")
@click.option("--low", type=int, help="Fewest households of a zone.")
@click.option("--high", type=int, help="Most households of a zone.")
@click.option("--json", "json_path", type=_FILE, metavar="OUT.json", help="Write the findings.")
@click.option("--html", type=_FILE, metavar="OUT.html", help="Write a page to read offline.")
@click.option("--excel", type=_FILE, metavar="OUT.xlsx", help="Write a sheet to tick off.")
@click.option("--findings", type=_FILE, metavar="OUT.gpkg", help="Write the findings as a map.")
@click.option("--since", type=_FILE, metavar="OLD.json", help="Compare with an earlier audit.")
@click.option("--fix", type=_FILE, metavar="OUT.gpkg", help="Write the zones with safe repairs.")
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
            known["boundary"] = _read_one(boundary, boundary_layer, "--boundary-layer")
        for name, (path, own_layer) in lines.items():
            if path is not None:
                known[name] = _read_one(path, own_layer, f"--{name}-layer")
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
        return _read_one(path, layer, "--layer"), {}
    if layer == "grids" and not set(LAYERS) <= set(layers):
        return _read_one(path, layer, "--layer"), {}
    known = audit_inputs(read_plan(path))
    # the zones as they stand in the file, for they may have been edited since
    return _io.read_vector(path, layer="grids"), known


def _read_one(path: Path, layer: str | None, option: str) -> gpd.GeoDataFrame:
    from gridpart import _io

    if layer is None and path.suffix.lower() not in _io.PARQUET_SUFFIXES:
        layers = _io.list_layers(path)
        if len(layers) > 1:
            raise InputError(f"{path}: choose a layer with {option}: {', '.join(layers)}")
    return _io.read_vector(path, layer=layer)


# ---------------------------------------------------------------- staff, map


@cli.command()
@click.argument("plan", type=_FILE)
@click.option("--roster", type=_FILE, required=True, metavar="FILE", help="CSV or Excel of posts.")
@_output("STAFF.xlsx")
def staff(plan: Path, roster: Path, output: Path) -> None:
    """Spread the posts of a roster over the grids of PLAN, and write a workbook."""
    import gridpart as gp
    from gridpart import _io
    from gridpart.staffing import read_roster, write_staff_workbook

    _io.check_output(output, SHEET, [plan, roster])
    grids = gp.read_plan(plan).grids
    staffing = gp.assign_posts(grids, read_roster(roster))
    write_staff_workbook(staffing, grids, output)
    click.echo(str(staffing))
    click.echo(f"workbook written to {output}")


@cli.command("map")
@click.argument("plan", type=_FILE)
@_output("MAP.(png|pdf|svg)")
@click.option("--boundary", type=_FILE, metavar="FILE", help="Outline of the territory.")
@click.option("--boundary-layer", help="Layer of the boundary file.")
@click.option("--within", metavar="NAME", help="Draw this community only.")
@click.option("--title", help="Heading of the map.")
@click.option("--paper", type=click.Choice(["A4", "A3"]), default="A4", show_default=True)
def map_(
    plan: Path,
    output: Path,
    boundary: Path | None,
    boundary_layer: str | None,
    **options: Any,
) -> None:
    """Draw the grids of PLAN with their codes, by households."""
    import gridpart as gp
    from gridpart import _io
    from gridpart.plots.sheet import write_map

    _io.check_output(output, MAP, [plan])
    outline = None
    if boundary is not None:
        outline = _read_one(boundary, boundary_layer, "--boundary-layer")
    write_map(gp.read_plan(plan), output, boundary=outline, **options)
    click.echo(f"map written to {output}")


# ---------------------------------------------------------------- demo, warm


@cli.command()
@_output("DIR", required=False)
def demo(output: Path | None) -> None:
    """Plan the bundled sample town from end to end."""
    from gridpart.demo import run_demo

    run_demo(output or Path("gridpart-demo"), click.echo)


@cli.command()
def warm() -> None:
    """Compile the engine now, so that no later command waits for it."""
    from gridpart.engine import warm_up

    click.echo("compiling the engine ...", err=True)
    warm_up()
    click.echo("the engine is compiled")


def run() -> None:
    """Entry point of the installed command."""
    sys.exit(main())
