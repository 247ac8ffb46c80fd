"""The commands about plans that are there: map; and demo, warm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gridpart.cli.inputs import plan_at
from gridpart.cli.options import FILE, MAP, output, read_one, say

__all__ = ["demo", "map_", "warm"]


@click.command("map")
@click.argument("plan", type=FILE)
@output("MAP.(png|pdf|svg)")
@click.option("--boundary", type=FILE, metavar="FILE", help="Outline of the territory.")
@click.option("--boundary-layer", help="Layer of the boundary file.")
@click.option("--level", metavar="NAME", help="Draw another level of the plan: micro-grids, say.")
@click.option(
    "--within", metavar="NAME", help="Draw this community only; or, with --level, this grid."
)
@click.option("--title", help="Heading of the map.")
@click.option("--paper", type=click.Choice(["A4", "A3"]), default="A4", show_default=True)
def map_(
    plan: Path,
    output: Path,
    boundary: Path | None,
    boundary_layer: str | None,
    level: str | None,
    **options: Any,
) -> None:
    """Draw the grids of PLAN with their codes, by households."""
    from gridpart import _io
    from gridpart.plots.sheet import write_map

    _io.check_output(output, MAP, [plan])
    outline = None
    if boundary is not None:
        outline = read_one(boundary, boundary_layer, "--boundary-layer")
    write_map(plan_at(plan, level), output, boundary=outline, **options)
    say(f"map written to {output}")


@click.command()
@output("DIR", required=False)
def demo(output: Path | None) -> None:
    """Plan the bundled sample town from end to end."""
    from gridpart.demo import run_demo

    run_demo(output or Path("gridpart-demo"), click.echo)


@click.command()
def warm() -> None:
    """Compile the engine now, so that no later command waits for it."""
    from gridpart.engine import warm_up

    say("compiling the engine ...", err=True)
    warm_up()
    say("the engine is compiled")
