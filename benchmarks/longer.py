"""How far more work goes on towns: multiples of the best effort beside METIS, in one run.

    python benchmarks/longer.py [--units 300 1000] [--towns 10] [--times 1 4 16]

The best effort is given so many times its runs and its windows. Where the cut hardly falls any
more, no other setting of this search will go much below it. Cuts are scaled to the number of grids
that was asked for; at balance 0, the shortest borders, at 0.5, and at 0.97, which is beside METIS
with ufactor 30 for grids nearly all alike.
"""

from __future__ import annotations

import argparse
import math
import statistics
from dataclasses import replace

import peers
import towns
from measure import Place, score
from peers import Found
from porto import show

from gridpart.engine import EFFORTS, Effort, warm_up

FIRST_SEED = 101  # as in the comparison
EVENEST = 0.9  # from this balance on grids are to be as even as METIS's with the smaller ufactor


def times_the_best(factor: int) -> Effort:
    """The best effort with so many times its work on small parts."""
    best = EFFORTS["best"]
    assert best.small_windows is not None
    return replace(best, starts=best.starts * factor, small_windows=best.small_windows * factor)


def scaled(place: Place, found: Found) -> tuple[float, float]:
    """Cut at the number of groups wanted, and CV; infinite where the plan is not valid."""
    result = score(place, [found.labels])
    if not result.valid:
        return math.inf, math.inf
    return result.scaled_km, result.cv


def rows(n: int, balance: float, count: int, factors: list[int]) -> list[list[str]]:
    """A line for every multiple: medians over the towns."""
    places = [towns.town(n, seed) for seed in range(FIRST_SEED, FIRST_SEED + count)]
    theirs, ufactor = [], 400 if balance < EVENEST else 30
    for place in places:
        graph = place.communities[0]
        found = peers.metis(graph, seed=0, ufactor=ufactor, ncuts=10, niter=50, mend=True)
        theirs.append((scaled(place, found)[0], found.cpu))
    table = []
    for factor in factors:
        cuts, evenness, times = [], [], []
        for seed, (place, (cut, seconds)) in enumerate(zip(places, theirs, strict=True)):
            graph = place.communities[0]
            found = peers.gridpart(
                graph, seed=seed, balance=balance, effort=times_the_best(factor)
            )  # fmt: skip
            mine, cv = scaled(place, found)
            cuts.append(mine / cut)
            evenness.append(cv)
            times.append(found.cpu / seconds)
        middle = [statistics.median(values) for values in (cuts, evenness, times)]
        table.append([
            f"{n:,}", f"{balance:g}", f"{factor} x best", str(ufactor),
            f"{middle[0]:.4f}", f"{middle[1]:.3f}", f"{middle[2]:.0f}",
        ])  # fmt: skip
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--units", type=int, nargs="+", default=[300, 1000])
    parser.add_argument("--towns", type=int, default=10)
    parser.add_argument("--times", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--balances", type=float, nargs="+", default=[0.0, 0.5, 0.97])
    options = parser.parse_args()
    warm_up()
    table = [
        row
        for n in options.units
        for balance in options.balances
        for row in rows(n, balance, options.towns, options.times)
    ]
    heads = ["units", "balance", "effort", "ufactor", "cut beside METIS", "CV", "times its time"]
    print(show(table, heads))


if __name__ == "__main__":
    main()
