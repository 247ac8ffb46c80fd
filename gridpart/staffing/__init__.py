"""Households per worker, and posts spread over grids."""

from gridpart.staffing.assign import (
    Staffing,
    assign_posts,
    check_roster,
    households_per_worker,
    read_roster,
    staff_sheets,
    write_staff_workbook,
)

__all__ = [
    "Staffing",
    "assign_posts",
    "check_roster",
    "households_per_worker",
    "read_roster",
    "staff_sheets",
    "write_staff_workbook",
]
