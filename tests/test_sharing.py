"""A number of groups shared among parts: by load, or as near to that as all can be divided."""

from __future__ import annotations

import itertools
import random

import geopandas as gpd
import numpy as np
import oracles
import pytest
from shapely.affinity import translate
from test_partition import row_of

import gridpart as gp
from gridpart.engine import Effort, solve
from gridpart.engine.sharing import MOST_OFF, SharedPart, Sharing, effort_again
from gridpart.problem import solving


def sharing_of(totals, sizes, low, high):
    return Sharing([SharedPart.of(*part, low, high) for part in zip(totals, sizes, strict=True)])


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
            sharing = sharing_of(totals, [b - a for a, b in pairs], LOW, HIGH)
            by_load = sharing.by_load(wanted)
            straight = all(c in fits for c, fits in zip(by_load, fitting, strict=True))
            met["at once" if straight else "otherwise" if could else "never"] += 1
    assert min(met.values()) >= 15, met


def test_no_part_gets_more_groups_than_it_has_units():
    assert sharing_of([50, 500], [4, 2], 200, 500).by_load(6) == [4, 2]


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
        anew = sharing_of(totals, sizes, 200, 500).nearest(shares, failed)
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

    sharing, shares = sharing_of([1000, 1200, 1200], [9] * 3, 200, 500), [3, 4, 4]
    assert sharing.divide(shares, [1, 4, 4], again, outside) == [1, 4, 4]
    assert asked == []
    assert sum(sharing.divide(shares, [3, 4, 4], again, outside)) == 11
    assert len(asked) <= 6
    asked.clear()
    # nothing helps: the first results stay, and the work has an end
    assert sharing.divide(shares, [3, 4, 4], again, lambda _: 1) == [3, 4, 4]
    assert len(asked) <= 30


def paths(*loads):
    """Several paths as one graph: its arrays, and the loads of all."""
    ends = np.cumsum([0, *map(len, loads)])
    pairs = [(u, u + 1, 1000) for a, b in itertools.pairwise(ends) for u in range(a, b - 1)]
    return oracles.to_arrays(int(ends[-1]), pairs), np.concatenate(loads)


STIFF, LOOSE = [10, 440, 440, 10], [90] * 10


def test_shares_of_which_all_parts_are_known_are_taken():
    arrays, loads = paths(*[STIFF, LOOSE] * 4)
    found = solve(*arrays, loads, 200, 500, n_groups=20, effort=BRIEF, advise=False)
    assert not any(found.reasons)
    assert found.n_groups == 20


def test_a_community_that_breaks_at_another_share_stays_as_it_was(monkeypatch):
    real = solving.solve

    def breaking(*args, **options):
        if len(args[0]) - 1 == 10 and options["n_groups"] == 3:
            raise MemoryError("no room")
        return real(*args, **options)

    monkeypatch.setattr(solving, "solve", breaking)
    units = row_of(STIFF + LOOSE).assign(community=["a"] * 4 + ["b"] * 10)
    plan = gp.partition(units, n_grids=5, within="community", effort=BRIEF)
    assert plan.grids.groupby("within").size().to_dict() == {"a": 3, "b": 2}
    assert set(plan.exceptions["reason"]) == {"not_found"}


def test_what_is_no_grid_to_be_shared_does_not_count_in_a_communitys_share():
    options = {"within": "community", "effort": BRIEF}
    tower = row_of([5000, *STIFF, *LOOSE]).assign(community=["a"] * 5 + ["b"] * 10)
    with pytest.warns(gp.GridpartWarning, match="5 instead of 4"):
        plan = gp.partition(tower, n_grids=4, **options)
    assert plan.exceptions["reason"].tolist() == ["unit_above_band"]
    units = row_of([*STIFF, *[10] * 6, *LOOSE]).assign(community=["a"] * 10 + ["b"] * 10)
    far = [translate(g, 0, 1000 * max(i - 3, 0) * (i < 10)) for i, g in enumerate(units.geometry)]
    plan = gp.partition(
        units.set_geometry(gpd.GeoSeries(far, crs=units.crs)), n_grids=10, **options
    )
    assert plan.exceptions["reason"].tolist() == ["component_below_band"] * 6
    assert len(plan.grids) == 10


def test_other_shares_are_tried_without_the_seconds_of_the_first():
    assert effort_again(Effort.of(4.0)) == Effort.of("fast")
    assert effort_again(BRIEF) == BRIEF


def test_no_cure_of_a_share_is_exact():
    arrays, _ = paths([0] * 12, [0] * 12)
    both = np.array([[5, 5]] * 12 + [[5, 3]] * 12)
    found = solve(*arrays, both, [15, 0], [30, 14], n_groups=5, effort=BRIEF)
    assert any(found.relaxations)
    # 30 is what its share of groups needs; in another one 20 would do
    assert not any(cure.exact for several in found.relaxations for cure in several)
    assert not any(solve(*arrays, both, [15, 0], [30, 20], n_groups=5, effort=BRIEF).reasons)
