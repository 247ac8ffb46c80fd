"""The same code uncompiled gives the same plans: whole numbers wrap and divide alike in both."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from test_engine import planar

from gridpart.engine import Effort, is_compiled, kernels, solve

BRIEF = Effort(sweeps=60, starts=1, restarts=1)


def town(n: int, seed: int):
    """Graph and loads, and positions as options."""
    *arrays, x, y = planar(n, seed, thin=0.1)
    return arrays, {"x": x, "y": y, "effort": BRIEF}


def plain():
    (*graph, loads), options = town(60, 1)
    return solve(*graph, loads, 150, 400, **options)


def even():
    (*graph, loads), options = town(60, 2)
    work = np.random.default_rng(5).integers(0, 70, 60)
    return solve(*graph, loads, 100, 400, work=work, balance=0.9, n_groups=7, **options)


def in_windows():
    (*graph, loads), options = town(60, 9)
    options["effort"] = Effort(sweeps=40, starts=1, windows=1, window_sweeps=20, restarts=1)
    return solve(*graph, loads, 100, 300, balance=0.7, n_groups=9, **options)


def more_bounds():
    (*graph, loads), options = town(60, 3)
    area = np.random.default_rng(6).integers(1, 30, 60)
    both = np.column_stack([loads, area])
    return solve(*graph, both, [150, 0], [450, 200], balance=0, **options)


def with_sites():
    (*graph, loads), options = town(60, 4)
    sites = np.full(60, -1)
    sites[[3, 20]], sites[41] = 0, 1
    return solve(*graph, loads, 150, 400, sites=sites, n_groups="most", **options)


def every_option():
    """Units tied, borders closed, groups of limited width, room to spare in the band."""
    (indptr, indices, borders, loads), options = town(60, 8)
    tied = np.full(60, -1)
    tied[[0, *indices[: indptr[1]][:2]]] = 0
    closed = np.zeros(indices.size, bool)
    row = np.repeat(np.arange(60), np.diff(indptr))
    for u, v in ((30, indices[indptr[30]]), (45, indices[indptr[45]])):
        closed |= ((row == u) & (indices == v)) | ((row == v) & (indices == u))
    x, y = options["x"], options["y"]
    return solve(
        indptr, indices, borders, loads, 150, 420, tied=tied, closed=closed, headroom=0.05,
        reach=np.column_stack([x, y, -x, -y]), widest=700_000, **options,
    )  # fmt: skip


def tight():
    """Few groups in a narrow band: the start from a random tree."""
    (*graph, loads), options = town(40, 5)
    share = int(loads.sum()) // 3
    return solve(*graph, loads, share - 12, share + 12, n_groups=3, **options)


def repaired():
    """A start without time to cool: repair has to bring the groups into the band."""
    (*graph, loads), options = town(60, 6)
    options["effort"] = Effort(sweeps=1, starts=1, restarts=0)
    return solve(*graph, loads, 170, 260, **options)


def exhausted():
    """Eight units of which no division is in the band: each is tried."""
    (*graph, loads), options = town(8, 7)
    half = int(loads.sum()) // 2
    return solve(*graph, loads, half, half + 1, **options)


def hunted():
    """The search for the band alone, with another quantity and with what units cut off."""
    (indptr, indices, borders, loads), options = town(60, 8)
    labels = solve(
        indptr, indices, borders, loads, 1, int(loads.sum()), n_groups=6, **options
    ).labels
    sizes = np.column_stack([loads, np.arange(60) % 7])
    mean = sizes.sum(axis=0) // 6
    left = kernels.hunt(
        indptr, indices, sizes, labels, 6, mean - 1, mean + 1, np.array([1 << 16, 200_000]),
        np.full(30, 20_000), np.arange(1, 4097)[::-1] * 16, np.array([3], np.uint64),
        np.zeros(2, np.int64),
    )  # fmt: skip
    return SimpleNamespace(labels=labels, reasons=(), cut=int(left))


def pocketed():
    """Three units behind a gate that cannot take them: one-unit steps stand in for positions."""
    indptr, indices = np.array([0, 1, 3, 5, 6]), np.array([1, 0, 2, 1, 3, 2])
    loads = np.array([150, 250, 120, 130])
    return solve(indptr, indices, np.full(6, 9), loads, 200, 300, effort=BRIEF)


CASES = [
    plain,
    even,
    in_windows,
    more_bounds,
    with_sites,
    every_option,
    tight,
    repaired,
    exhausted,
    hunted,
    pocketed,
]


def outcome(case) -> dict:
    found = case()
    return {"labels": found.labels.tolist(), "reasons": list(found.reasons), "cut": found.cut}


@pytest.fixture(scope="module")
def uncompiled() -> dict[str, dict]:
    """Outcomes of all cases from a process in which nothing is compiled."""
    ran = subprocess.run(
        [sys.executable, "-W", "error", str(Path(__file__).resolve())],
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_uncompiled_code_gives_the_same_plan(case, uncompiled):
    assert outcome(case) == uncompiled[case.__name__]


def main() -> None:
    """Write the outcomes; every number that leaves 64 bits is an error, but in the generator."""
    assert is_compiled()  # nothing is waited for where nothing is compiled
    drawn = kernels.draw

    def draw(state):
        with np.errstate(over="ignore"):
            return drawn(state)

    kernels.draw = draw
    with np.errstate(all="raise"):
        json.dump({case.__name__: outcome(case) for case in CASES}, sys.stdout)


if __name__ == "__main__":
    main()
