"""Plans that change: redrawn with few households moved, edited by hand, compared."""

from gridpart.redraw.match import Matched, match_units
from gridpart.redraw.redraw import Redrawn, redraw, redrawing

__all__ = ["Matched", "Redrawn", "match_units", "redraw", "redrawing"]
