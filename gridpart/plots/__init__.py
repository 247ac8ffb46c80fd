"""Maps and charts on matplotlib axes, and map sheets as files."""

from gridpart.plots.changes import plot_changes
from gridpart.plots.grids import plot_grids, plot_sizes
from gridpart.plots.loads import plot_lorenz
from gridpart.plots.sheet import write_map

__all__ = ["plot_changes", "plot_grids", "plot_lorenz", "plot_sizes", "write_map"]
