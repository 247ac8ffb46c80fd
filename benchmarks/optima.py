"""Solve districting instances with published optima: how far from the optimum is the engine?

    python benchmarks/optima.py FOLDER [--plans OUT.json] [--seed 0] [--effort 20]

FOLDER holds `instances/*.json` (or the files themselves), each with `name`, `n`, `k`, `L`, `U`,
`nodes` (`pop`, `x`, `y`), `edges`, and `lower_bound`, `upper_bound`, `proven_optimal`. A plan
must have exactly k connected parts with a population within [L, U]; what counts is the number of
edges between parts. Prints a line per instance:

    name n k reached known_upper known_lower seconds valid

Each gets 20 seconds unless `--effort` says otherwise: other seconds, or an effort by name, with
which the same seed gives the same plan. Exits 1 if a plan is not valid, or a proven optimum is
missed. With --plans the parts are written as {name: [part of every node]}.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from measure import Graph, Ints, components
from peers import Found, NotAvailableError, gridpart
from scipy.sparse import coo_array

from gridpart.engine import warm_up

# all edges weigh the same; a metre each keeps temperatures in whole millimetres meaningful
EDGE_MM = 1000


@dataclass(frozen=True, eq=False)
class Instance:
    """A districting problem with what is known of its optimum."""

    name: str
    graph: Graph
    k: int
    low: int
    high: int
    known_lower: int | None
    known_upper: int | None
    proven: bool


def read(path: Path) -> Instance:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    nodes = content["nodes"]
    place = {node["id"]: at for at, node in enumerate(nodes)}
    pairs = np.array([[place[u], place[v]] for u, v in content["edges"]], np.int64).reshape(-1, 2)
    pairs = np.unique(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1), axis=0)
    ends = np.concatenate([pairs, pairs[:, ::-1]])
    matrix = coo_array(
        (np.full(len(ends), EDGE_MM, np.int64), (ends[:, 0], ends[:, 1])),
        shape=(len(nodes), len(nodes)),
    ).tocsr()
    matrix.sort_indices()
    # positions only help the start; degrees are as good as metres for it
    x, y = (
        np.rint(np.array([node.get(axis) or 0.0 for node in nodes]) * 1e6).astype(np.int64)
        for axis in ("x", "y")
    )
    graph = Graph(
        content["name"], matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64),
        matrix.data, np.array([node["pop"] for node in nodes], np.int64), x, y,
    )  # fmt: skip
    return Instance(
        content["name"], graph, content["k"], content["L"], content["U"],
        content.get("lower_bound"), content.get("upper_bound"),
        _is_proven(content),
    )  # fmt: skip


def _is_proven(content: dict[str, Any]) -> bool:
    lower, upper = content.get("lower_bound"), content.get("upper_bound")
    return upper is not None and (bool(content.get("proven_optimal")) or lower == upper)


def edges_cut(instance: Instance, parts: Ints) -> int:
    graph = instance.graph
    return int((parts[graph.rows] != parts[graph.indices]).sum()) // 2


def is_valid(instance: Instance, parts: Ints) -> bool:
    """Exactly k connected parts, every node in one, every population within the bounds."""
    if parts.shape != instance.graph.loads.shape or parts.min() < 0:
        return False
    if np.unique(parts).size != instance.k:
        return False
    if np.unique(components(instance.graph, parts)).size != instance.k:
        return False
    population = np.zeros(int(parts.max()) + 1, np.int64)
    np.add.at(population, parts, instance.graph.loads)
    population = population[np.unique(parts)]
    return bool(((population >= instance.low) & (population <= instance.high)).all())


def find_files(folder: Path) -> list[Path]:
    inner = folder / "instances"
    files = sorted((inner if inner.is_dir() else folder).glob("*.json"))
    files = [path for path in files if path.name != "index.json"]
    if not files:
        sys.exit(f"{folder} holds no instances (*.json)")
    return files


def solve(instance: Instance, seed: int, effort: str | float) -> Found:
    try:
        return gridpart(
            instance.graph, seed=seed, n_groups=instance.k, low=instance.low, high=instance.high,
            target=instance.graph.total // instance.k, effort=effort,
        )  # fmt: skip
    except NotAvailableError as reason:
        sys.exit(f"this version of gridpart cannot do it: {reason}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--plans", type=Path, help="write the parts of every node here")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--effort", default="20", help="seconds, or an effort by name")
    options = parser.parse_args()
    is_number = options.effort.replace(".", "", 1).isdigit()
    effort = float(options.effort) if is_number else options.effort

    warm_up()  # compilation is not timed
    failed, plans = False, {}
    print("name n k reached known_upper known_lower seconds valid")
    for path in find_files(options.folder):
        instance = read(path)
        found = solve(instance, options.seed, effort)
        valid = is_valid(instance, found.labels)
        reached = edges_cut(instance, found.labels)
        plans[instance.name] = found.labels.tolist()
        failed |= not valid or (instance.proven and reached > instance.known_upper)
        known = [
            "-" if value is None else value
            for value in (instance.known_upper, instance.known_lower)
        ]
        print(
            instance.name, len(instance.graph), instance.k, reached, *known,
            f"{found.seconds:.2f}", "yes" if valid else "no", flush=True,
        )  # fmt: skip
    if options.plans:
        options.plans.write_text(json.dumps(plans), encoding="utf-8")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
