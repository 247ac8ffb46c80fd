"""Maps and charts on matplotlib axes, and map sheets as files."""

from gridpart.plots.grids import plot_grids, plot_sizes
from gridpart.plots.sheet import write_map

__all__ = ["plot_grids", "plot_sizes", "write_map"]
