"""Too little time, Ctrl-C, a community that fails, and workers of other kinds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import geopandas as gpd
import joblib
import networkx as nx
import numpy as np
import pandas as pd
import pytest
from test_options import QUICK, town
from test_partition import assert_plan, own_graph

import gridpart as gp
from gridpart.problem import solving
from gridpart.samples import county_town

OPTIONS = {"low": 200, "high": 500, "within": "quarter"}


# ---------------------------------------------------------------- too little time


@pytest.mark.parametrize("limit", [0.01, 1e-9])
def test_a_tiny_time_limit_gives_a_valid_plan_and_says_so(limit, tmp_path):
    units = town()
    with pytest.warns(gp.GridpartWarning, match="stopped before its end"):
        plan = gp.partition(units, time_limit=limit, effort="best", **OPTIONS)
    assert_plan(plan, units)
    assert plan.provenance["stopped"] == "yes"
    plan.save(tmp_path / "plan.gpkg")
    assert gp.read_plan(tmp_path / "plan.gpkg").provenance["stopped"] == "yes"
    # what the search had no time for is not called impossible
    assert not plan.exceptions["proven"].any()


def test_a_time_limit_counts_for_all_levels_together():
    units = county_town(1500, seed=2).units
    with pytest.warns(gp.GridpartWarning, match="stopped before its end"):
        plan = gp.partition(
            units, within="community", time_limit=0.5, effort="best", low=200, high=500,
            levels={"micro": (30, 120)},
        )  # fmt: skip
    graph = own_graph(plan.units)
    for level in ("grid", "micro"):
        for _, own in plan.units.reset_index().groupby(level):
            if own["households"].sum() and not set(own["grid"]) & set(plan.exceptions["grid"]):
                assert nx.is_connected(graph.subgraph(own.index.tolist()))
    assert not plan.units[["micro", "grid"]].drop_duplicates()["micro"].duplicated().any()


def test_enough_time_changes_nothing():
    units = town()
    plan = gp.partition(units, effort=QUICK, **OPTIONS)
    timed = gp.partition(units, effort=QUICK, time_limit=600, **OPTIONS)
    pd.testing.assert_series_equal(timed.units["grid"], plan.units["grid"])
    assert "stopped" not in timed.provenance


# ---------------------------------------------------------------- Ctrl-C


@pytest.fixture(scope="module")
def large_town(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("town") / "units.gpkg"
    county_town(3000, seed=1).units.to_file(path, layer="units")
    return path


# Tells on stdout when the engine is at work, so that the signal does not come while files are read.
# Who runs the tests in the background of a shell has Ctrl-C ignored: the command must not.
# A worker lingers after it was stopped once, so that there is something left to give up.
TELLING = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from gridpart.problem import solving
from gridpart.cli import main
waited, solved = solving._wait, solving.solve_one
def wait(*arguments):
    solving.say = lambda text: print(text, flush=True)
    print("solving", flush=True)
    return waited(*arguments)
def linger(*arguments):
    found, control = solved(*arguments), arguments[5]
    time.sleep(0.5 if control[0] not in (0, solving.GIVEN_UP) else 0)
    return found
solving._wait, solving.solve_one = wait, linger
sys.exit(main(sys.argv[1:]))
"""


def interrupted(source: Path, out: Path, signals: int) -> tuple[int, str]:
    """Exit code and words on stderr of a run that gets so many Ctrl-C."""
    command = [sys.executable, "-c", TELLING, "partition", str(source), "-o", str(out)]
    command += ["--within", "community", "--exclusive", "exclusive", "--effort", "best"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    ) as running:  # fmt: skip
        assert running.stdout is not None
        assert running.stdout.readline() == "solving\n"
        time.sleep(0.5)
        for number in range(signals):
            if number:  # two signals at once are one
                assert running.stdout.readline().startswith("stopping")
            running.send_signal(signal.SIGINT)
        try:
            _, said = running.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            running.kill()
            raise
    return running.returncode, said


pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals are sent as POSIX has them")


def test_ctrl_c_writes_the_best_plan_so_far(large_town, tmp_path):
    out = tmp_path / "plan.gpkg"
    code, said = interrupted(large_town, out, 1)
    assert code == 0
    assert "note: the search was stopped before its end" in said
    assert "Traceback" not in said
    plan = gp.read_plan(out)
    assert plan.provenance["stopped"] == "yes"
    units = gpd.read_file(large_town)
    assert sorted(plan.units["unit_id"]) == sorted(units["unit_id"])
    graph = own_graph(plan.units)
    for grid, own in plan.units.groupby("grid"):
        if own["households"].sum() and grid not in set(plan.exceptions["grid"]):
            assert nx.is_connected(graph.subgraph(own.index.tolist()))
    outside = plan.grids.loc[~plan.grids["in_band"], "grid"]
    assert set(outside) <= set(plan.exceptions["grid"])


def test_ctrl_c_stops_the_levels_that_are_still_to_come(monkeypatch):
    module, limits = sys.modules["gridpart.partition"], []
    solve_communities, waited = module.solve_communities, solving._wait

    def watched(*arguments: Any, **options: Any) -> Any:
        limits.append(options["time_limit"])
        return solve_communities(*arguments, **options)

    def waiting(running: Any, controls: Any, show: Any) -> Any:
        for control in controls:
            control[0] = 1  # what the first Ctrl-C does
        return waited(running, controls, show)

    monkeypatch.setattr(module, "solve_communities", watched)
    monkeypatch.setattr(solving, "_wait", waiting)
    units = town()
    levels = {"area": (800, 2500), "micro": (30, 120), "nano": (10, 30)}
    with pytest.warns(gp.GridpartWarning, match="stopped before its end"):
        plan = gp.partition(units, effort=QUICK, levels=levels, **OPTIONS)
    assert limits == [None, 0.0, 0.0, 0.0]
    assert_plan(plan, units)


def test_ctrl_c_twice_gives_up_and_leaves_nothing(large_town, tmp_path):
    out = tmp_path / "plan.gpkg"
    code, said = interrupted(large_town, out, 2)
    assert code == 130
    assert "interrupted; nothing was written" in said
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- one community that fails


def test_a_community_that_fails_does_not_lose_the_others(monkeypatch, tmp_path):
    units = town()
    units["site"] = np.where(units["quarter"] == "east", "", "")
    east = units.index[units["quarter"] == "east"]
    units.loc[east[3], "site"] = "school"
    before = gp.partition(units, exclusive="site", effort=QUICK, **OPTIONS)
    solve, size = solving.solve, int((units["quarter"] == "east").sum())
    assert size != int((units["quarter"] == "west").sum())

    def fails(indptr: Any, *arguments: Any, **options: Any) -> Any:
        if indptr.size == size + 1:
            raise FloatingPointError("a made-up mistake")
        return solve(indptr, *arguments, **options)

    monkeypatch.setattr(solving, "solve", fails)
    with pytest.warns(gp.GridpartWarning, match="community east could not be solved") as told:
        plan = gp.partition(units, exclusive="site", effort=QUICK, **OPTIONS)
    assert "FloatingPointError: a made-up mistake" in str(told[0].message)
    assert "Traceback" in str(told[0].message)
    assert_plan(plan, units)
    west = units["quarter"] == "west"
    pd.testing.assert_series_equal(plan.units["grid"][west], before.units["grid"][west])
    rows = plan.exceptions[plan.exceptions["reason"] == "failed"]
    base = plan.grids[(plan.grids["within"] == "east") & (plan.grids["kind"] == "base")]
    assert set(rows["grid"]) == set(base["grid"])
    assert not rows["proven"].any()
    assert rows["advice"].str.contains("a made-up mistake; please report it").all()
    assert (plan.grids["kind"] == "exclusive").sum() == 1
    plan.save(tmp_path / "plan.gpkg")
    assert gp.read_plan(tmp_path / "plan.gpkg").exceptions["reason"].eq("failed").sum() == len(rows)


def test_when_every_community_fails_there_is_a_plan_of_what_is_connected(monkeypatch):
    units = town()

    def fails(*_: Any, **__: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(solving, "solve", fails)
    with pytest.warns(gp.GridpartWarning, match="could not be solved") as told:
        plan = gp.partition(units, low=200, high=500, effort=QUICK)
    assert "the units could not be solved and stayed whole: MemoryError" in str(told[0].message)
    assert len(plan.grids) == 1
    assert plan.exceptions["reason"].tolist() == ["failed"]


# ---------------------------------------------------------------- other workers


@pytest.fixture(scope="module")
def default_plan() -> gp.Plan:
    return gp.partition(town(), effort=QUICK, **OPTIONS)


@pytest.mark.parametrize(
    "context",
    [
        {"backend": "loky", "n_jobs": 2},
        {"backend": "threading", "n_jobs": 2},
        {"backend": "sequential"},
        {"n_jobs": 2},
    ],
    ids=str,
)
def test_joblib_backends_give_the_same_plan(default_plan, context):
    with joblib.parallel_config(**context):
        plan = gp.partition(town(), effort=QUICK, **OPTIONS)
    pd.testing.assert_series_equal(plan.units["grid"], default_plan.units["grid"])
    pd.testing.assert_frame_equal(plan.exceptions, default_plan.exceptions)


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_a_time_limit_reaches_workers_elsewhere(backend):
    units = town()
    with (
        joblib.parallel_config(backend=backend, n_jobs=2),
        pytest.warns(gp.GridpartWarning, match="stopped before its end"),
    ):
        plan = gp.partition(units, effort="best", time_limit=0.05, **OPTIONS)
    assert_plan(plan, units)
