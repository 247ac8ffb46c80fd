"""Workload, posts spread over grids, beats, and what one worker more would change."""

from gridpart.staffing.assign import assign_posts, households_per_worker
from gridpart.staffing.beats import Beats, Needed, beats, workers_needed
from gridpart.staffing.changes import StaffChange
from gridpart.staffing.hiring import hire
from gridpart.staffing.leaving import leave
from gridpart.staffing.questions import gini, lorenz, overloaded
from gridpart.staffing.reader import read_roster
from gridpart.staffing.required import posts_required
from gridpart.staffing.result import Staffing
from gridpart.staffing.roster import check_roster
from gridpart.staffing.sheets import staff_sheets, write_staff_workbook
from gridpart.staffing.workload import workload

__all__ = [
    "Beats",
    "Needed",
    "StaffChange",
    "Staffing",
    "assign_posts",
    "beats",
    "check_roster",
    "gini",
    "hire",
    "households_per_worker",
    "leave",
    "lorenz",
    "overloaded",
    "posts_required",
    "read_roster",
    "staff_sheets",
    "workers_needed",
    "workload",
    "write_staff_workbook",
]
