"""The solver: whole-number arrays in, labels out.

It knows no GeoDataFrame, no file and no progress bar; what it minimises and respects is data.
"""

from gridpart.engine.search import EFFORTS, Effort
from gridpart.engine.solve import REASONS, Solution, is_compiled, share_out, solve, warm_up

__all__ = [
    "EFFORTS",
    "REASONS",
    "Effort",
    "Solution",
    "is_compiled",
    "share_out",
    "solve",
    "warm_up",
]
