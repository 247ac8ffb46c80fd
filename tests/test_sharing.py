"""A number of groups shared among parts: by load, or as near to that as all can be divided."""

from __future__ import annotations

import itertools
import random

import numpy as np
import oracles
from test_partition import row_of

import gridpart as gp
from gridpart.engine import Effort, solve
from gridpart.engine.sharing import MOST_OFF, Sharing

BRIEF = Effort(sweeps=150, starts=1, restarts=5)
LOW, HIGH = 20, 50


def parts(seed):
    """Edges and loads of two or three paths, some of which only one number of groups fits."""
    draw = random.Random(seed)
    edges, loads, ends = [], [], [0]
    for _ in range(draw.randint(2, 3)):
        stiff = [draw.randint(1, 6), *[44] * draw.randint(2, 3), draw.randint(1, 6)]
        loose = [draw.randint(8, 11) for _ in range(draw.randint(5, 8))]
        loads += draw.choice([stiff, loose])
        edges += [(u, u + 1) for u in range(ends[-1], len(loads) - 1)]
        ends.append(len(loads))
    return edges, np.array(loads), ends


def possible(edges, loads, start, stop):
    """Into how many groups one part can be divided, by looking at all ways."""
    own = [(u - start, v - start, 1000) for u, v in edges if start <= u < stop]
    graph = oracles.to_networkx(*oracles.to_arrays(stop - start, own))
    return set(oracles.least_cuts(graph, loads[start:stop, None], [LOW], [HIGH]))


def test_a_number_that_can_be_shared_in_the_band_is():
    met = {"at once": 0, "otherwise": 0, "never": 0}
    for seed in range(60):
        edges, loads, ends = parts(seed)
        pairs = list(itertools.pairwise(ends))
        fitting = [possible(edges, loads, *pair) for pair in pairs]
        totals = [int(loads[slice(*pair)].sum()) for pair in pairs]
        arrays = oracles.to_arrays(len(loads), [(u, v, 1000) for u, v in edges])
        fewest, most = (sum(t // bound for t in totals) for bound in (HIGH, LOW))
        for wanted in range(max(fewest, len(pairs)), min(most, len(loads)) + 1):
            could = any(sum(counts) == wanted for counts in itertools.product(*fitting))
            if not could and met["never"] == 60:
                continue  # these take longest
            found = solve(*arrays, loads, LOW, HIGH, n_groups=wanted, effort=BRIEF)
            assert found.n_groups == wanted
            assert could == (not any(found.reasons)), (seed, wanted)
            sharing = Sharing(totals, [b - a for a, b in pairs], LOW, HIGH)
            by_load = sharing.by_load(wanted)
            straight = all(c in fits for c, fits in zip(by_load, fitting, strict=True))
            met["at once" if straight else "otherwise" if could else "never"] += 1
    assert min(met.values()) >= 15, met


def test_no_part_gets_more_groups_than_it_has_units():
    assert Sharing([50, 500], [4, 2], 200, 500).by_load(6) == [4, 2]


def test_communities_share_a_total_otherwise_where_one_cannot_be_so_many():
    counts = [10, 440, 440, 10] + [90] * 10
    units = row_of(counts).assign(community=["a"] * 4 + ["b"] * 10)
    plan = gp.partition(units, n_grids=5, within="community", low=200, high=500, effort=BRIEF)
    assert plan.exceptions.empty
    # by households the shares are three and two
    assert plan.grids.groupby("within").size().to_dict() == {"a": 2, "b": 3}
    again = gp.partition(
        units.iloc[::-1], n_grids=5, within="community", low=200, high=500, jobs=1, effort=BRIEF
    )
    assert again.units["grid"].loc[units.index].equals(plan.units["grid"])


def test_shares_found_anew_keep_the_sum_and_avoid_what_failed():
    draw = random.Random(7)
    for _ in range(300):
        n = draw.randint(2, 5)
        totals = [draw.randint(200, 3000) for _ in range(n)]
        sizes = [draw.randint(1, 20) for _ in range(n)]
        ranges = [
            range(-(-t // 500), min(t // 200, s) + 1) for t, s in zip(totals, sizes, strict=True)
        ]
        shares = [draw.choice(r) if len(r) else 1 for r in ranges]
        failed = [{s} if draw.random() < 0.5 else set() for s in shares]
        anew = Sharing(totals, sizes, 200, 500).nearest(shares, failed)
        open_ = [
            [c for c in r if c not in f and abs(c - s) <= MOST_OFF] or [s]
            for r, f, s in zip(ranges, failed, shares, strict=True)
        ]
        distances = {
            sum(abs(c - s) for c, s in zip(chosen, shares, strict=True))
            for chosen in itertools.product(*open_)
            if sum(chosen) == sum(shares)
        }
        stuck = all(s in o for s, o in zip(shares, open_, strict=True))
        if stuck or not distances:
            assert anew is None
            continue
        assert sum(anew) == sum(shares)
        assert all(c in o for c, o in zip(anew, open_, strict=True))
        assert sum(abs(c - s) for c, s in zip(anew, shares, strict=True)) == min(distances)


def test_parts_are_solved_again_only_at_numbers_that_may_help():
    asked = []

    def again(part, count):
        asked.append((part, count))
        return count

    def outside(count):
        return int(count == 3)  # whoever has three fails

    sharing, shares = Sharing([1000, 1200, 1200], [9] * 3, 200, 500), [3, 4, 4]
    assert sharing.divide(shares, [1, 4, 4], again, outside) == [1, 4, 4]
    assert asked == []
    assert sum(sharing.divide(shares, [3, 4, 4], again, outside)) == 11
    assert len(asked) <= 6
    asked.clear()
    # nothing helps: the first results stay, and the work has an end
    assert sharing.divide(shares, [3, 4, 4], again, lambda _: 1) == [3, 4, 4]
    assert len(asked) <= 30
