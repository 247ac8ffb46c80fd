"""The audit of any zone layer: findings with geometry."""

from gridpart.coverage.assignment import assigned_grids, audit_assignment
from gridpart.coverage.audit import audit, audit_counts, audit_ok
from gridpart.coverage.catalogue import CATALOGUE, Check
from gridpart.coverage.compare import Comparison, compare_audits, findings_from_json
from gridpart.coverage.fix import fix_text, fix_zones
from gridpart.coverage.plans import audit_inputs

__all__ = [
    "CATALOGUE",
    "Check",
    "Comparison",
    "assigned_grids",
    "audit",
    "audit_assignment",
    "audit_counts",
    "audit_inputs",
    "audit_ok",
    "compare_audits",
    "findings_from_json",
    "fix_text",
    "fix_zones",
]
