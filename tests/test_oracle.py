"""25 precincts of which every plan is known: the engine must reach the least number of cut edges.

The plans were enumerated by Fifield, Imai, Kawahara and Kenny ("The essential role of empirical
validation in legislative redistricting simulation", 2020) for the R package redist.
"""

from __future__ import annotations

import json
import math
from fractions import Fraction

import networkx as nx
import numpy as np
import oracles
import pytest

from gridpart.engine import solve

# per cent off the mean: least number of cut edges
LEAST = {1: 15, 2: 15, 5: 14, 10: 13, 20: 12}


@pytest.fixture(scope="module")
def precincts(shared_data):
    return json.loads((shared_data("bench_fl25_enum") / "fl25.json").read_text(encoding="utf-8"))


def band(precincts, per_cent: int | Fraction) -> tuple[int, int]:
    """Whole numbers within so many per cent of the mean."""
    mean = Fraction(sum(precincts["pop"]), precincts["k"])
    return math.ceil(mean * (100 - per_cent) / 100), math.floor(mean * (100 + per_cent) / 100)


def plan(precincts, per_cent: int | Fraction, seed: int, effort: str):
    arrays = oracles.to_arrays(len(precincts["pop"]), [(u, v, 1) for u, v in precincts["edges"]])
    return solve(
        *arrays, np.array(precincts["pop"]), *band(precincts, per_cent), n_groups=precincts["k"],
        balance=0, seed=seed, effort=effort,
    )  # fmt: skip


@pytest.mark.parametrize(("effort", "seeds"), [("fast", 5), ("default", 5), ("best", 1)])
@pytest.mark.parametrize("per_cent", LEAST)
def test_the_least_number_of_cut_edges_is_reached(precincts, per_cent, effort, seeds):
    known = {round(100 * entry["tol"], 3): entry["min_cut_edges"] for entry in precincts["oracle"]}
    assert known[per_cent] == LEAST[per_cent]
    graph = nx.Graph(precincts["edges"])
    low, high = band(precincts, per_cent)
    for seed in range(seeds):
        found = plan(precincts, per_cent, seed, effort)
        for g in range(3):
            members = np.flatnonzero(found.labels == g)
            assert nx.is_connected(graph.subgraph(members.tolist()))
            assert low <= np.array(precincts["pop"])[members].sum() <= high
        assert found.reasons == ("", "", "")
        assert found.cut == LEAST[per_cent], seed


def test_that_no_plan_exists_is_proven(precincts):
    assert min(entry["best_dev"] for entry in precincts["oracle"]) > 0.002
    found = plan(precincts, Fraction(1, 5), 0, "fast")
    assert found.n_groups == 3
    assert "proven_by_search" in found.reasons
    assert "not_found" not in found.reasons
