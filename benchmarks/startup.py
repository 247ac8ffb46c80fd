"""How long one waits before the work begins: importing, compiling, loading what was compiled.

    python benchmarks/startup.py [--pairs 7] [--kernels 12]

Everything is timed in fresh processes. Importing gridpart and importing geopandas take turns, so
that a busy machine hits both. Kernels are compiled into a folder of their own and loaded from
there; `--kernels` lists that many of those which take longest to load. Beside the seconds on the
clock stand those of the processor, which other work on the machine does not lengthen. A bar
missed on the clock is said, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

IMPORT_S, COMPILE_S, LOAD_S = 0.1, 20.0, 0.5

# What every script below times with: seconds on the clock and of the processor since `begin`.
CLOCK = """
import json, time
def now():
    return time.perf_counter(), time.process_time()
def since(begin):
    return [after - before for before, after in zip(begin, now())]
"""
IMPORT = """
begin = now()
import {module}
print(json.dumps(since(begin)))
"""
# numpy and numba are imported before the clock starts. The first kernel that is called makes numba
# ready: it reads its own modules and scipy.linalg; that is done, and timed, ahead of the kernels.
LOAD = """
begin = now()
import numpy, numba
from numba.core import caching, registry
libraries = since(begin)
begin = now()
from gridpart import engine
modules = since(begin)
begin = now()
registry.cpu_target.typing_context.refresh()
registry.cpu_target.target_context.refresh()
ready = since(begin)
taken, read = [], caching.Cache.load_overload
def timed(self, signature, target):
    begin = now()
    found = read(self, signature, target)
    if found is not None:
        taken.append([found.fndesc.qualname, *since(begin)])
    return found
if {listing}:
    caching.Cache.load_overload = timed
begin = now()
engine.warm_up()
kernels = since(begin)
print(json.dumps(dict(
    libraries=libraries, modules=modules, ready=ready, kernels=kernels, taken=taken,
)))
"""
PARTS = {
    "libraries": "numpy and numba (not counted)",
    "modules": "modules of the engine",
    "ready": "numba makes itself ready",
    "kernels": "kernels, and tiny solves",
}
Seconds = tuple[float, float]


def run(code: str, **environment: str) -> str:
    """What a fresh process prints; its errors are ours."""
    done = subprocess.run(
        [sys.executable, "-c", CLOCK + code], env=os.environ | environment, check=True,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    return done.stdout


def median(several: list[Seconds]) -> Seconds:
    clock, processor = zip(*several, strict=True)
    return statistics.median(clock), statistics.median(processor)


def importing(pairs: int) -> tuple[Seconds, Seconds]:
    """Median seconds of importing gridpart, and geopandas."""
    taken: dict[str, list[Seconds]] = {"gridpart": [], "geopandas": []}
    for module in taken:
        run(IMPORT.format(module=module))  # the first reads from the disk
    for _ in range(pairs):
        for module, seconds in taken.items():
            seconds.append(json.loads(run(IMPORT.format(module=module))))
    return median(taken["gridpart"]), median(taken["geopandas"])


def warm(folder: Path, *, listing: bool = False) -> dict:
    """Seconds of a process that begins, with all that was compiled in `folder`, and solves.

    What Python itself compiles lies there, too, as it does where gridpart is installed.
    """
    caches = {
        "NUMBA_CACHE_DIR": str(folder / "kernels"),
        "PYTHONPYCACHEPREFIX": str(folder / "modules"),
        "PYTHONDONTWRITEBYTECODE": "",
    }
    return json.loads(run(LOAD.format(listing=listing), **caches))


def line(words: str, seconds: Seconds) -> str:
    return f"{words:32} {seconds[0]:7.3f} s, of processor {seconds[1]:7.3f} s"


def bar(words: str, seconds: Seconds, most: float) -> bool:
    kept = seconds[0] <= most
    verdict = "kept" if kept else "MISSED"
    print(f"{line(words, seconds)}; bar {most:.3f} s {verdict}", flush=True)
    return kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=7, help="runs, of which the median counts")
    parser.add_argument("--kernels", type=int, default=0, help="kernels to list")
    options = parser.parse_args()

    ours, theirs = importing(options.pairs)
    print(line("import geopandas", theirs))
    kept = [bar("import gridpart", ours, theirs[0] + IMPORT_S)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kept.append(bar("compile every kernel", warm(folder)["kernels"], COMPILE_S))
        later = [warm(folder) for _ in range(options.pairs)]
        parts = {part: median([each[part] for each in later]) for part in PARTS}
        counted = [parts[part] for part in ("modules", "ready", "kernels")]
        clock, processor = (sum(each) for each in zip(*counted, strict=True))
        kept.append(bar("load them in a later process", (clock, processor), LOAD_S))
        for part, words in PARTS.items():
            print(line(f"  {words}", parts[part]))
        if options.kernels:
            taken = warm(folder, listing=True)["taken"]
            whole = sum(each[1] for each in taken), sum(each[2] for each in taken)
            print(line(f"  {len(taken)} kernels", whole))
            for name, *seconds in sorted(taken, key=lambda each: -each[1])[: options.kernels]:
                print(line(f"    {name}", seconds))
        size = sum(
            path.stat().st_size for path in (folder / "kernels").rglob("*") if path.is_file()
        )
        print(f"cache: {size / 1e6:.1f} MB")
    sys.exit(not all(kept))


if __name__ == "__main__":
    main()
