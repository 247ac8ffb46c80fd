"""Every tool that divides the graphs, behind one form: a graph in, labels and seconds out.

A peer that can leave groups broken or outside the band is followed by the plain repair of
`mending`, inside its seconds. What a tool needs before it can start (its own graph object, the
import, compilation) is outside: only dividing is timed. Every tool gets one thread.
"""

from __future__ import annotations

import importlib.util
import inspect
import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from measure import HIGH, LOW, TARGET, Graph, Ints
from mending import repair

Found = tuple[Ints, float]


class NotAvailableError(Exception):
    """The tool is not installed, or has no such option."""


@dataclass(frozen=True)
class Tool:
    """A tool with its settings.

    Attributes
    ----------
    name : str
        As it stands in the tables.
    run : callable
        ``run(graph, seed=..., **options)`` gives labels and seconds.
    options : dict
        Settings for `run`.
    needs : str
        Module without which it cannot run.
    limit : float, optional
        Seconds after which it is stopped; it then runs in a process of its own.
    largest : int
        Graphs with more units are not given to it.
    seeds : int
        Seeds for which it is run at most.
    """

    name: str
    run: Callable[..., Found]
    options: dict[str, Any] = field(default_factory=dict)
    needs: str = "gridpart"
    limit: float | None = None
    largest: int = 2_000_000
    seeds: int = 1000

    def __call__(self, graph: Graph, *, seed: int, limit: float | None = None) -> Found:
        """Divide; NotAvailableError, TimeoutError or RuntimeError (the tool crashed) where it fails."""
        if importlib.util.find_spec(self.needs) is None:
            raise NotAvailableError("not installed")
        if self.limit is None:
            return self.run(graph, seed=seed, **self.options)
        return _apart(self, graph, seed, self.limit if limit is None else limit)


def _child(tool: Tool, graph: Graph, seed: int, pipe: Any) -> None:
    pipe.send(tool.run(graph, seed=seed, **tool.options))


def _apart(tool: Tool, graph: Graph, seed: int, limit: float) -> Found:
    """Run in a process of its own, which a crash or the end of its time does not outlive."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(tool, graph, seed, there))
    process.start()
    there.close()
    try:
        if not here.poll(limit):
            raise TimeoutError(f"not done after {limit:.0f} s")
        return here.recv()
    except EOFError:
        process.join()
        raise RuntimeError(f"failed with exit code {process.exitcode}") from None
    finally:
        process.kill()
        process.join()


def _timed(run: Callable[[], Ints]) -> Found:
    start = time.perf_counter()
    labels = run()
    return np.asarray(labels), time.perf_counter() - start


# ---------------------------------------------------------------- gridpart


def gridpart(graph: Graph, *, seed: int, n_groups: int | None = None, **options: Any) -> Found:
    """Call the engine; the one place that knows how it is called."""
    from gridpart import engine

    known = inspect.signature(engine.solve).parameters
    if isinstance(options.get("effort"), str) and "str" not in str(known["effort"].annotation):
        raise NotAvailableError("the engine does not know efforts by name")
    if n_groups is not None:
        options["n_groups"] = n_groups
    options = {"low": LOW, "high": HIGH, "target": TARGET, **options}
    missing = [name for name in options if name not in known]
    if missing:
        raise NotAvailableError(f"the engine has no option {missing[0]!r}")
    return _timed(
        lambda: engine.solve(
            graph.indptr, graph.indices, graph.borders, graph.loads,
            x=graph.x, y=graph.y, seed=seed, **options,
        ).labels
    )  # fmt: skip


# ---------------------------------------------------------------- graph partitioners


def _edge_weights(graph: Graph, bits: int = 31) -> Ints:
    """Borders as positive whole numbers whose sum fits: millimetres, or the next coarser power."""
    unit = 1
    while graph.borders.sum() // unit >= 2 ** (bits - 1):
        unit *= 10
    return np.maximum((graph.borders + unit // 2) // unit, 1)


def metis(
    graph: Graph,
    *,
    seed: int,
    ufactor: int,
    ncuts: int = 1,
    niter: int = 10,
    recursive: bool = False,
    mend: bool = False,
) -> Found:
    """METIS (Karypis and Kumar, 1998), k-way or recursive, loads even within ufactor/1000."""
    import pymetis

    settings = {"seed": seed, "ncuts": ncuts, "niter": niter, "ufactor": ufactor}
    if not recursive:
        settings["contig"] = 1
    arrays = [
        np.ascontiguousarray(a, np.int32)
        for a in (graph.indptr, graph.indices, graph.loads, _edge_weights(graph))
    ]
    wanted = graph.wanted()

    def run() -> Ints:
        if wanted == 1:
            return np.zeros(len(graph), np.int64)
        _, labels = pymetis.part_graph(
            wanted, xadj=arrays[0], adjncy=arrays[1], vweights=arrays[2], eweights=arrays[3],
            recursive=recursive, options=pymetis.Options(**settings),
        )  # fmt: skip
        return repair(graph, labels, low=LOW, high=HIGH, seed=seed) if mend else labels

    return _timed(run)


def kahip(graph: Graph, *, seed: int, mode: str) -> Found:
    """KaHIP (Sanders and Schulz, 2013) and repair; its binding cannot ask for connection."""
    import kahip

    lists = [a.tolist() for a in (graph.loads, graph.indptr, _edge_weights(graph), graph.indices)]
    imbalance = HIGH / TARGET - 1

    def run() -> Ints:
        _, labels = kahip.kaffpa(
            *lists, graph.wanted(), imbalance, True, seed, getattr(kahip, mode)
        )
        return repair(graph, labels, low=LOW, high=HIGH, seed=seed)

    return _timed(run)


# ---------------------------------------------------------------- clustering and regions


def ward(graph: Graph, *, seed: int, mend: bool = True) -> Found:
    """scikit-learn's Ward linkage of positions along the graph, and repair."""
    from scipy.sparse import csr_array
    from sklearn.cluster import AgglomerativeClustering

    matrix = csr_array((np.ones(graph.indices.size), graph.indices, graph.indptr))
    positions = np.column_stack([graph.x, graph.y]) / 1000.0
    model = AgglomerativeClustering(n_clusters=graph.wanted(), connectivity=matrix, linkage="ward")

    def run() -> Ints:
        labels = model.fit_predict(positions)
        return repair(graph, labels, low=LOW, high=HIGH, seed=seed) if mend else labels

    return _timed(run)


def spopt_maxp(graph: Graph, *, seed: int, mend: bool = False) -> Found:
    """spopt's max-p (Wei, Rey and Knaap, 2021): most regions with at least `low`, compact."""
    import geopandas as gpd
    from libpysal.weights import W
    from spopt.region import MaxPHeuristic

    frame = gpd.GeoDataFrame(
        {"x": graph.x / 1000.0, "y": graph.y / 1000.0, "households": graph.loads},
        geometry=gpd.points_from_xy(graph.x / 1000.0, graph.y / 1000.0),
    )
    rows = np.split(graph.indices, graph.indptr[1:-1])
    weights = W({i: row.tolist() for i, row in enumerate(rows)}, silence_warnings=True)
    # its random draws come from numpy's global state
    np.random.seed(seed)  # noqa: NPY002

    def run() -> Ints:
        model = MaxPHeuristic(frame, weights, ["x", "y"], "households", LOW)
        model.solve()
        labels = np.asarray(model.labels_, np.int64)
        return repair(graph, labels, low=LOW, high=HIGH, seed=seed) if mend else labels

    return _timed(run)
