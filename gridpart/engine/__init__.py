"""The solver: whole-number arrays in, labels out.

It knows no GeoDataFrame, no file and no progress bar; what it minimises and respects is data.
"""

from gridpart.engine.effort import EFFORTS, Effort
from gridpart.engine.layout import Layout, lay_out
from gridpart.engine.solve import (
    REASONS,
    Relaxation,
    Solution,
    fewest_groups,
    is_compiled,
    regrouped,
    solve,
    warm_up,
)

__all__ = [
    "EFFORTS",
    "REASONS",
    "Effort",
    "Layout",
    "Relaxation",
    "Solution",
    "fewest_groups",
    "is_compiled",
    "lay_out",
    "regrouped",
    "solve",
    "warm_up",
]
