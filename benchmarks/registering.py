"""Eight planners change one register for a minute, some of them shot: on SQLite and on PostgreSQL.

    python benchmarks/registering.py [--seconds 60] [--planners 8] [--seed 1] [--only sqlite]

Each planner issues, splits, merges, retires and redraws codes as fast as it can, in four
communities at a time that all share, and writes down what it was told. A random one is killed with
SIGKILL every 0.05 to 0.4 s and another takes its place. At the end the register is held against
what the planners were told. PostgreSQL is a server that this script starts (with fsync on).
Exits with 1 if there is any violation.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path.insert(0, str(TESTS))

import pgserver  # noqa: E402


def measure(where: str, seconds: float, planners: int, seed: int) -> dict[str, Any]:
    """Counts of one run; the planners are forked from a process of their own, without threads."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, TESTS / "planners.py", where, folder, seconds, planners, seed]
        done = subprocess.run(
            [str(word) for word in command], stdout=subprocess.PIPE, text=True, check=True,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        )  # fmt: skip
    return json.loads(done.stdout)


def show(name: str, counts: dict[str, Any], seconds: float) -> int:
    print(f"\n{name}, {seconds:.0f} s")
    violations = counts.pop("violations")
    for key, value in counts.items():
        text = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
        print(f"  {key:24} {text or 'none'}")
    for key, value in violations.items():
        print(f"  violation: {key:22} {value}")
    return sum(violations.values()) + counts["failed"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--planners", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=["sqlite", "postgres"])
    options = parser.parse_args()
    wrong = 0
    with ExitStack() as stack:
        places = {}
        if options.only != "postgres":
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            places["SQLite"] = str(Path(folder) / "register.sqlite")
        if options.only != "sqlite":
            reason = pgserver.why_not()
            if reason is None:
                places["PostgreSQL"] = stack.enter_context(pgserver.running(durable=True)).url()
            else:
                print(f"PostgreSQL: skipped, {reason}")
        for name, where in places.items():
            counts = measure(where, options.seconds, options.planners, options.seed)
            wrong += show(name, counts, options.seconds)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
