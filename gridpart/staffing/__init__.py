"""Households per worker, and posts spread over grids."""

from gridpart.staffing.assign import Staffing, assign_posts, households_per_worker
from gridpart.staffing.reader import read_roster
from gridpart.staffing.required import posts_required
from gridpart.staffing.roster import check_roster
from gridpart.staffing.sheets import staff_sheets, write_staff_workbook

__all__ = [
    "Staffing",
    "assign_posts",
    "check_roster",
    "households_per_worker",
    "posts_required",
    "read_roster",
    "staff_sheets",
    "write_staff_workbook",
]
