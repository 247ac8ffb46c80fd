"""Plans that change: redrawn with few households moved, edited by hand, compared."""

from gridpart.redraw.changes import Changes, change_table
from gridpart.redraw.drawing import Redrawn, redraw, redrawing
from gridpart.redraw.edits import Edit, EditOptions, merge, move, split, swap
from gridpart.redraw.history import History
from gridpart.redraw.match import Matched, match_units

__all__ = [
    "Changes",
    "Edit",
    "EditOptions",
    "History",
    "Matched",
    "Redrawn",
    "change_table",
    "match_units",
    "merge",
    "move",
    "redraw",
    "redrawing",
    "split",
    "swap",
]
