"""The main job from end to end on the bundled sample: plan, codes, audit, staff, map."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import gridpart as gp
from gridpart import report
from gridpart.coverage import audit_inputs
from gridpart.errors import OutputError
from gridpart.plan import Plan
from gridpart.plots.sheet import write_map
from gridpart.samples import load_sample, sample_path
from gridpart.staffing import read_roster, write_staff_workbook

__all__ = ["run_demo"]


def run_demo(folder: Path, say: Callable[[str], None]) -> Plan:
    """Plan the sample town and write everything a community would need into `folder`.

    Parameters
    ----------
    folder : Path
        Made if it is missing; files in it with the same names are replaced.
    say : callable
        Takes each line of the account.

    Returns
    -------
    Plan
        The coded plan.

    Raises
    ------
    OutputError
        If the folder cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: the folder cannot be made ({error.strerror})") from error
    source = sample_path("town")
    units, boundary = load_sample("town"), load_sample("town", layer="boundary")
    say(f"units    {len(units):,} with {units['households'].sum():,} households, of {source.name}")

    plan = gp.partition(units, id="unit_id", within="community", exclusive="exclusive")
    plan = gp.assign_codes(plan, parent="community")
    plan = plan.with_source(source, "units")
    say(str(plan))
    findings = gp.audit(plan.grids, boundary=boundary, **audit_inputs(plan))
    say(report.audit_text(findings))
    staffing = gp.assign_posts(plan, read_roster(sample_path("roster")))
    say(str(staffing))

    names = {
        "plan": folder / "plan.gpkg",
        "map": folder / "map.png",
        "audit report": folder / "audit.html",
        "audit data": folder / "audit.json",
        "staff": folder / "staff.xlsx",
    }
    plan.save(names["plan"])
    write_map(plan, names["map"], boundary=boundary, title="Service grids of the sample town")
    report.write_audit_html(
        findings, names["audit report"], zones=plan.grids, boundary=boundary, title="Sample town"
    )
    report.write_audit_json(findings, names["audit data"])
    write_staff_workbook(staffing, plan, names["staff"])
    for name, path in names.items():
        say(f"{name:<13}{path}")
    return plan
