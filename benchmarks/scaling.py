"""How the engine's time and memory grow with the number of units.

    python benchmarks/scaling.py [--sizes 10000 100000 1000000] [--seed 101] [--effort NAME]

Every size runs in a process of its own that loads the arrays from a file, so that what making the
town took does not count. Prints seconds and the memory that the process needed at most beyond
what it held before it began, and the slopes of both between the smallest and the largest size in
logarithms: 1 is linear.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import measure
import numpy as np
import towns
from measure import Graph, Place
from peers import gridpart
from porto import show

ARRAYS = ("indptr", "indices", "borders", "loads", "x", "y")


def peak_bytes() -> int:
    """Most memory this process has held so far (Linux counts kilobytes, macOS bytes)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def held_bytes() -> int:
    """What this process holds now; where the system does not say, the most it has held."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return peak_bytes()
    return int(statm.read_text().split()[1]) * resource.getpagesize()


def child(path: Path, name: str, seed: int, options: dict[str, Any], pipe: Any) -> None:
    gridpart(towns.town(300, 1).communities[0], seed=0, **options)  # loads and compiles
    with np.load(path) as arrays:
        graph = Graph(name, *(arrays[key] for key in ARRAYS))
    before = held_bytes()
    found = gridpart(graph, seed=seed, **options)
    memory = peak_bytes() - before
    pipe.send((found, memory, measure.score(Place(name, [graph]), [found.labels])))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--seed", type=int, default=101)
    parser.add_argument("--effort", help="the engine's effort; its default otherwise")
    options = parser.parse_args()
    settings = {"effort": options.effort} if options.effort else {}
    context = multiprocessing.get_context("spawn")
    rows, points = [], []
    for n in options.sizes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "town.npz")
            (graph,) = towns.town(n, options.seed).communities
            np.savez(path, **{key: getattr(graph, key) for key in ARRAYS})
            del graph
            here, there = context.Pipe(duplex=False)
            process = context.Process(
                target=child, args=(path, f"town-{n}", options.seed, settings, there)
            )
            start = time.perf_counter()
            process.start()
            there.close()
            try:
                found, memory, score = here.recv()
            except EOFError:
                process.join()
                sys.exit(f"{n:,} units failed with exit code {process.exitcode}")
            process.join()
        points.append((n, found.cpu, memory))
        rows.append([
            f"{n:,}", f"{found.seconds:.2f}", f"{found.cpu:.2f}", f"{found.cpu / n * 1e6:.0f}",
            f"{memory / n:.0f}", f"{100 * score.in_band:.2f} %", str(score.broken),
            f"{time.perf_counter() - start:.1f}",
        ])  # fmt: skip
    head = ["Units", "seconds", "of processor", "µs a unit", "bytes a unit", "in band", "broken",
            "with loading"]  # fmt: skip
    print(show(rows, head))
    if len(points) > 1:
        (n0, t0, m0), (n1, t1, m1) = points[0], points[-1]
        span = math.log(n1 / n0)
        print(f"slope of seconds {math.log(t1 / t0) / span:.3f}", end="")
        print(f", of memory {math.log(m1 / m0) / span:.3f}" if min(m0, m1) > 0 else "")


if __name__ == "__main__":
    main()
