"""A plan of our own, as an audit sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gridpart.codes import check_parent, scheme_of

if TYPE_CHECKING:
    from gridpart.plan import Plan

__all__ = ["audit_inputs"]


def audit_inputs(plan: Plan) -> dict[str, Any]:
    """What a plan knows that its audit asks for: units, band, exceptions, communities, barriers.

    Parameters
    ----------
    plan : Plan

    Returns
    -------
    dict of str to object
        Keywords for :func:`gridpart.audit`, beside ``plan.grids``.
    """
    known: dict[str, Any] = {
        "id": "grid",
        "units": plan.units,
        "unit_id": plan.rules.id,
        "households": plan.rules.households,
        "assignment": "grid",
        "low": plan.rules.low,
        "high": plan.rules.high,
        "exceptions": plan.exceptions[plan.exceptions["level"] == "grid"],
        "unit_within": plan.rules.parent,
        "compound": plan.rules.keep_whole,
        "exclusive": plan.rules.exclusive,
        "levels": _levels(plan),
        "scheme": scheme_of(plan),
    }
    if plan.lines is not None and (plan.lines["kind"] == "barrier").any():
        known["barriers"] = plan.lines[plan.lines["kind"] == "barrier"]
        known["crossings"] = plan.lines[plan.lines["kind"] == "crossing"]
        known["barrier_tolerance"] = plan.rules.barrier_tolerance
    if plan.rules.parent is not None and _are_parents(plan):
        known["parent"] = "within"
    return known


def _levels(plan: Plan) -> list[str] | None:
    """Columns of the units that must nest, the lowest first; None where there is one level only."""
    rules = plan.rules
    names = [*reversed(rules.lower_levels), "grid", *reversed(rules.upper_levels)]
    names += [] if rules.within is None else [rules.within]
    return names if len(names) > 1 else None


def _are_parents(plan: Plan) -> bool:
    """Whether the communities of a plan go by their 12-digit codes, and its grids are coded."""
    codes = plan.grids["grid_code"]
    coded = bool(codes.notna().any())
    return coded and all(check_parent(name) is None for name in plan.grids["within"])
