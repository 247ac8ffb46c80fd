"""The command ``gridpart partition``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gridpart.cli.options import FILE, PLAN, lines, output, read_one, say

if TYPE_CHECKING:
    from gridpart.plan import Plan

__all__ = ["partition"]


@click.command()
@click.argument("units", type=FILE)
@output("PLAN.gpkg")
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
@lines("barriers", "Lines that no grid spans.")
@lines("crossings", "Bridges and gates, where it may all the same.")
@lines("border-costs", "Lines with a column cost: how much a grid border along them counts.")
@click.option(
    "--barrier-tolerance",
    default=1.0,
    show_default=True,
    metavar="METRES",
    help="Borders this close lie along a line.",
)
@click.option(
    "--graph",
    type=FILE,
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
            rules[name] = read_one(path, own_layer, f"{option}-layer")
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
    say(str(plan).strip("<>").replace("Plan: ", "", 1))
    for _, row in plan.exceptions.head(10).iterrows():
        say(f"  {row['grid']}: {row['reason']}: {row['advice']}")
    if len(plan.exceptions) > 10:
        say(f"  and {len(plan.exceptions) - 10} more in the layer exceptions")
    say(f"plan written to {path}")
