"""Units + graph + rules → the engine's arrays per community, and labels back.

A community is solved by itself, in an order of its units that follows their geometry and with a
seed made from its own name, so that its grids depend neither on the order of the rows, nor on the
number of workers, nor on which other communities are in the file.
"""

from gridpart.problem.building import Measured, build_communities, measure, site_numbers
from gridpart.problem.community import Community, diameter_m, widest_mm
from gridpart.problem.enclaves import attach_enclaves
from gridpart.problem.solving import Failure, solve_communities, solve_one

__all__ = [
    "Community",
    "Failure",
    "Measured",
    "attach_enclaves",
    "build_communities",
    "diameter_m",
    "measure",
    "site_numbers",
    "solve_communities",
    "solve_one",
    "widest_mm",
]
