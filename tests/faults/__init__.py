"""Faults put into clean plans, what an audit has to find of them, and a judge.

``cases_of(place)`` are the inputs of audits of a clean plan; ``INJECTORS`` put faults into them,
which ``inject`` keeps apart; ``judge`` holds the findings against what was put in. To add a check,
add an injector here: ``tests/test_faults.py`` asks for one of each.
"""

from faults import codes, ground, lines, people, tables
from faults.cases import Case, Place, cases_of, porto_place, town_place
from faults.judging import Expected, Verdict, judge
from faults.kit import INJECTORS, Injector, inject

__all__ = [
    "INJECTORS", "Case", "Expected", "Injector", "Place", "Verdict", "cases_of", "codes", "ground",
    "inject", "judge", "lines", "people", "porto_place", "tables", "town_place",
]  # fmt: skip
