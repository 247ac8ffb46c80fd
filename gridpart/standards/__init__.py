"""Standards as data: what a place has published about the teams of its grids."""

from gridpart.standards.reading import list_standards, load_standard
from gridpart.standards.team import KINDS, RoleTerms, Standard, Team, TeamRule

__all__ = [
    "KINDS",
    "RoleTerms",
    "Standard",
    "Team",
    "TeamRule",
    "list_standards",
    "load_standard",
]
