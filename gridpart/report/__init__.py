"""Pages, files and words for what was found."""

from gridpart.report.audit import audit_text, print_audit, write_audit_html, write_findings
from gridpart.report.audit_data import audit_json, read_audit_json, write_audit_json
from gridpart.report.sheet import audit_sheets, write_audit_excel
from gridpart.report.statuses import TickedOff, read_statuses, ticked_off_text

__all__ = [
    "TickedOff",
    "audit_json",
    "audit_sheets",
    "audit_text",
    "print_audit",
    "read_audit_json",
    "read_statuses",
    "ticked_off_text",
    "write_audit_excel",
    "write_audit_html",
    "write_audit_json",
    "write_findings",
]
