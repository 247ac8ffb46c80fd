"""The solver: whole-number arrays in, labels out.

It knows no GeoDataFrame, no file and no progress bar; what it minimises and respects is data.
"""

from gridpart.engine.effort import EFFORTS, Effort
from gridpart.engine.layout import regions, shared_part
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
    "Relaxation",
    "Solution",
    "fewest_groups",
    "is_compiled",
    "regions",
    "regrouped",
    "shared_part",
    "solve",
    "warm_up",
]
