"""Every tool that divides the graphs, behind one form: a graph in, labels and seconds out.

A peer that can leave groups broken or outside the band is followed by the plain repair of
`mending`, inside its seconds. What a tool needs before it can start (its own graph object, the
import, compilation) is outside: only dividing is timed. Every tool gets one thread.
"""

from __future__ import annotations

import functools
import importlib.util
import inspect
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from measure import HIGH, LOW, TARGET, Graph, Ints, Place, Score, score
from mending import repair


class Found(NamedTuple):
    """Labels, and what they took: seconds by the clock and of the processor."""

    labels: Ints
    seconds: float
    cpu: float


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
        """Divide; NotAvailableError, TimeoutError or, where it crashed, RuntimeError."""
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
    start, busy = time.perf_counter(), time.process_time()
    labels = run()
    return Found(np.asarray(labels), time.perf_counter() - start, time.process_time() - busy)


def plan(tool: Tool, place: Place, seed: int) -> tuple[Score, float, float]:
    """Plan every community: the score of the whole, and the sums of both kinds of seconds."""
    labels: list[Ints] = []
    seconds, cpu, left = 0.0, 0.0, tool.limit
    for community in place.communities:
        found = tool(community, seed=seed, limit=left)
        labels.append(found.labels)
        seconds += found.seconds
        cpu += found.cpu
        if left is not None:
            left = max(left - found.seconds, 1.0)
    return score(place, labels), seconds, cpu


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
    imbalance = 0.4

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


def pygeoda_maxp(graph: Graph, *, seed: int, mend: bool = False) -> Found:
    """pygeoda's greedy max-p (Anselin, Li and Koschinsky, 2022), from a weights file."""
    import pygeoda

    rows = np.split(graph.indices, graph.indptr[1:-1])
    lines = [f"0 {len(graph)} none id"]
    for i, row in enumerate(rows):
        lines += [f"{i} {row.size}", " ".join(map(str, row.tolist()))]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "weights.gal")
        path.write_text("\n".join(lines) + "\n")
        weights = pygeoda.weights.read_gal(str(path), [str(i) for i in range(len(graph))])
    positions = [(graph.x / 1000.0).tolist(), (graph.y / 1000.0).tolist()]
    loads = graph.loads.astype(float).tolist()

    def run() -> Ints:
        found = pygeoda.maxp_greedy(
            weights, positions, loads, float(LOW), random_seed=seed, cpu_threads=1
        )
        labels = np.asarray(found["Clusters"], np.int64)
        return repair(graph, labels, low=LOW, high=HIGH, seed=seed) if mend else labels

    return _timed(run)


# ---------------------------------------------------------------- Markov chains


def gerrychain(graph: Graph, *, seed: int, seconds_per_1000: float = 120.0) -> Found:
    """GerryChain (Duchin and others, 2018-): its own start, then short bursts on the cut.

    Bursts of 10 steps (Cannon and others, 2023) of recombination inside the band, as many as fit
    into its seconds.
    """
    import networkx as nx
    from gerrychain import Graph as Districts
    from gerrychain import Partition, constraints
    from gerrychain.optimization import SingleMetricOptimizer
    from gerrychain.proposals import recom
    from gerrychain.updaters import Tally, cut_edges

    network = nx.Graph()
    network.add_nodes_from((i, {"load": load}) for i, load in enumerate(graph.loads.tolist()))
    once = graph.rows < graph.indices
    network.add_weighted_edges_from(
        zip(graph.rows[once].tolist(), graph.indices[once].tolist(),
            graph.borders[once].tolist(), strict=True)
    )  # fmt: skip
    districts = Districts.from_networkx(network)
    length = {
        edge: network.edges[[districts.original_nx_node_id_for_internal_node_id(u) for u in edge]][
            "weight"
        ]
        for edge in districts.edges
    }
    limit = max(20.0, seconds_per_1000 * len(graph) / 1000)

    def run() -> Ints:
        start = time.process_time()
        first = Partition.from_random_assignment(
            districts, graph.wanted(), 0.25, "load",
            updaters={"load": Tally("load"), "cut_edges": cut_edges}, rng=seed,
        )  # fmt: skip
        proposal = functools.partial(
            recom, pop_col="load", pop_target=TARGET, epsilon=HIGH / TARGET - 1
        )
        inside = constraints.Bounds(lambda part: part["load"].values(), (LOW, HIGH))
        search = SingleMetricOptimizer(
            proposal, [inside], first,
            lambda part: sum(length[edge] for edge in part["cut_edges"]), maximize=False, rng=seed,
        )  # fmt: skip
        for _ in search.short_bursts(10, 10**6):
            if time.process_time() - start > limit:
                break
        labels = np.empty(len(graph), np.int64)
        for node, group in search.best_part.assignment.items():
            labels[districts.original_nx_node_id_for_internal_node_id(node)] = group
        return labels

    return _timed(run)


# ---------------------------------------------------------------- who is compared

BALANCES = (0.0, 0.25, 0.5, 0.52, 0.7, 1.0)
EVENEST = (0.96, 0.97)  # just even enough where as even as possible is not wanted
# where units are large grids are even enough only from a higher balance, in small towns from a
# little higher
EVENER = (0.525, 0.68)


def at_balance(balance: float) -> str:
    """Name of gridpart at a balance; half is its default."""
    return "gridpart" if balance == 0.5 else f"gridpart balance {balance:g}"


# settings of gridpart among which a user chooses who wants even grids
SETTINGS = (
    *map(at_balance, BALANCES),
    *map(at_balance, EVENER),
    "gridpart fast, balance 0.8",
    *(f"gridpart best, balance {balance}" for balance in EVENEST),
)


def _kway(ufactor: int, ncuts: int, niter: int, *, mend: bool = False) -> Tool:
    name = f"METIS ufactor {ufactor}, ncuts {ncuts}" + (" + repair" if mend else "")
    options = {"ufactor": ufactor, "ncuts": ncuts, "niter": niter, "mend": mend}
    return Tool(name, metis, options, "pymetis")


def _recursive(ufactor: int) -> Tool:
    options = {"ufactor": ufactor, "ncuts": 10, "niter": 50, "recursive": True, "mend": True}
    return Tool(f"METIS recursive {ufactor} + repair", metis, options, "pymetis")


def roster(limit: float = 600.0) -> list[Tool]:
    """Every tool of the comparison; the slow ones get three seeds and small graphs."""
    slow = {"limit": limit, "seeds": 3}
    maxp = {**slow, "largest": 3000}
    return [
        Tool("gridpart", gridpart),
        Tool("gridpart fast", gridpart, {"effort": "fast"}),
        Tool("gridpart best", gridpart, {"effort": "best"}, largest=3000),
        Tool(
            "gridpart best, balance 0", gridpart, {"effort": "best", "balance": 0.0}, largest=3000
        ),
        *(
            Tool(
                f"gridpart best, balance {balance}",
                gridpart,
                {"effort": "best", "balance": balance},
                largest=10_000,
            )
            for balance in EVENEST
        ),
        Tool("gridpart fast, balance 0.8", gridpart, {"effort": "fast", "balance": 0.8}),
        *(Tool(at_balance(b), gridpart, {"balance": b}) for b in BALANCES if b != 0.5),
        *(Tool(at_balance(b), gridpart, {"balance": b}, largest=10_000) for b in EVENER),
        *(_kway(ufactor, 1, 10) for ufactor in (30, 300, 400)),
        *(_kway(ufactor, 10, 50) for ufactor in (30, 300, 400)),
        _kway(400, 10, 50, mend=True),
        *(_recursive(ufactor) for ufactor in (30, 200)),
        Tool("KaHIP eco + repair", kahip, {"mode": "ECO"}, "kahip", largest=10_000, **slow),
        Tool("KaHIP strong + repair", kahip, {"mode": "STRONG"}, "kahip", largest=10_000, **slow),
        Tool("Ward + repair", ward, {}, "sklearn"),
        Tool("GerryChain short bursts", gerrychain, {}, "gerrychain", largest=1660, **slow),
        Tool("pygeoda max-p", pygeoda_maxp, {}, "pygeoda", **maxp),
        Tool("spopt max-p", spopt_maxp, {}, "spopt", **maxp),
    ]
