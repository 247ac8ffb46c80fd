"""All options of the engine together, on arrays, against networkx and brute force."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import networkx as nx
import numpy as np
import oracles
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from test_engine import planar

from gridpart.engine import REASONS, Effort, lay_out, solve

BRIEF = Effort(sweeps=150, starts=1, restarts=5)


@dataclass(frozen=True, eq=False)
class Case:
    """A graph and every option of :func:`gridpart.engine.solve` that says what is allowed."""

    arrays: tuple[Any, Any, Any]
    loads: np.ndarray  # one column a bounded quantity
    lows: list[int]
    highs: list[int]
    rules: dict[str, Any]  # closed, tied, sites, reach, widest

    def __len__(self) -> int:
        return len(self.loads)

    def open_graph(self) -> nx.Graph:
        """What groups may run over."""
        graph = oracles.to_networkx(*self.arrays)
        closed = self.rules.get("closed")
        if closed is not None:
            rows = np.repeat(np.arange(len(self)), np.diff(self.arrays[0]))
            graph.remove_edges_from(zip(rows[closed], self.arrays[1][closed], strict=True))
        return graph

    def width(self, units) -> int:
        """Greatest width of a set of units in any direction."""
        if "reach" not in self.rules:
            return 0
        reach = self.rules["reach"][list(units)].max(axis=0)
        half = reach.size // 2
        return int((reach[:half] + reach[half:]).max())

    def too_much(self, units) -> bool:
        """Whether a group of these units would be above a bound."""
        above = (self.loads[list(units)].sum(axis=0) > self.highs).any()
        return bool(above or self.width(units) > self.rules.get("widest", 0))

    def keeps_others(self, units) -> bool:
        """Whether a group of these units is inside all bounds but the first."""
        sums = self.loads[list(units)].sum(axis=0)
        wrong = (sums > self.highs) | (sums < self.lows)
        return not wrong[1:].any() and self.width(units) <= self.rules.get("widest", 0)

    def in_bounds(self, units) -> bool:
        return not self.too_much(units) and bool(
            (self.loads[list(units)].sum(axis=0) >= self.lows).all()
        )

    def decreed(self) -> tuple[list[list[int]], list[int]]:
        """Units of every site, and units that are too much for a group by themselves."""
        sites = self.rules.get("sites", np.full(len(self), -1))
        of_site = [np.flatnonzero(sites == s).tolist() for s in np.unique(sites[sites >= 0])]
        towers = [u for u in range(len(self)) if sites[u] < 0 and self.too_much([u])]
        return of_site, towers

    def knots(self) -> list[list[int]]:
        """Connected units tied to one another, with no site and no tower among them."""
        tied = self.rules.get("tied", np.full(len(self), -1))
        of_site, towers = self.decreed()
        out = {*towers, *(u for site in of_site for u in site)}
        graph = self.open_graph()
        found = []
        for knot in np.unique(tied[tied >= 0]):
            units = [u for u in np.flatnonzero(tied == knot).tolist() if u not in out]
            found += [sorted(part) for part in nx.connected_components(graph.subgraph(units))]
        return found

    def regions(self) -> list[list[int]]:
        """Connected units that no decree and no compound takes out."""
        of_site, towers = self.decreed()
        out = {*towers, *(u for site in of_site for u in site)}
        out |= {u for knot in self.knots() if self.too_much(knot) for u in knot}
        rest = self.open_graph().subgraph(sorted(set(range(len(self))) - out))
        return sorted(sorted(part) for part in nx.connected_components(rest))

    def whole(self, units) -> list[tuple[int, ...]]:
        """What cannot be divided: units, and tied ones together."""
        knot = {u: tuple(knot) for knot in self.knots() for u in knot if not self.too_much(knot)}
        return sorted({knot.get(u, (u,)) for u in units})

    def has_a_lonely_unit_below(self) -> bool:
        """Whether a region of one unit is below a bound that is not the first."""
        parts = [*self.regions(), *(knot for knot in self.knots() if self.too_much(knot))]
        alone = [part for part in parts if len(self.whole(part)) == 1]
        return any((self.loads[part].sum(axis=0) < self.lows)[1:].any() for part in alone)

    def has_a_lonely_unit_near_its_bound(self, share: float) -> bool:
        parts = [*self.regions(), *(knot for knot in self.knots() if self.too_much(knot))]
        alone = [part for part in parts if len(self.whole(part)) == 1]
        return any(self.loads[part, 0].sum() * (1 + share) > self.highs[0] for part in alone)

    def solve(self, **more):
        return solve(*self.arrays, self.loads, self.lows, self.highs, **self.rules, **more)


@st.composite
def cases(draw: st.DrawFn, least: int = 4, most: int = 60, heaviest: int = 60) -> tuple[Case, Any]:
    """A thinned triangulation with any of the rules, and options of how to search."""
    n, seed = draw(st.integers(least, most)), draw(st.integers(0, 10_000))
    indptr, indices, borders, first, x, y = planar(
        n, seed, thin=draw(st.sampled_from([0, 0.3])), heaviest=heaviest
    )
    rng = np.random.default_rng(seed + 1)
    low = draw(st.integers(20, 120))
    lows, highs, loads = [low], [low + draw(st.sampled_from([0, 30, low]))], [first]
    for _ in range(draw(st.integers(0, 2))):
        quantity = rng.integers(0, 20, n)
        loads.append(quantity)
        share = int(quantity.sum() * highs[0] / max(first.sum(), 1))
        highs.append(max(share, 15) + draw(st.integers(0, 20)))
        lows.append(draw(st.sampled_from([0, 0, min(3, highs[-1])])))
    rules: dict[str, Any] = {}
    if draw(st.booleans()):
        rows = np.repeat(np.arange(n), np.diff(indptr))
        shut = {(u, v) for u in range(n) for v in range(u, n) if rng.random() < 0.15}
        rules["closed"] = np.array(
            [(min(u, v), max(u, v)) in shut for u, v in zip(rows, indices, strict=True)], bool
        )
    if draw(st.booleans()):
        rules["tied"] = np.where(rng.random(n) < 0.4, x // 300_000, -1)
    if draw(st.booleans()):
        rules["sites"] = np.where(rng.random(n) < 0.1, rng.integers(0, 3, n), -1)
    if draw(st.booleans()):
        # each unit is a square of side 20 m; two directions and their opposites
        rules["reach"] = np.column_stack([x, y, -x, -y]) + 10_000
        rules["widest"] = draw(st.sampled_from([250_000, 500_000, 5_000_000]))
    how: dict[str, Any] = {"seed": draw(st.integers(0, 3))}
    if draw(st.booleans()):
        how |= {"x": x, "y": y}
    if draw(st.booleans()):
        how["work"] = rng.integers(0, 50, n)
    if draw(st.booleans()):
        how["target"] = draw(st.integers(lows[0], highs[0]))
    how["balance"] = draw(st.sampled_from([0, 0.5, 1]))
    how["headroom"] = draw(st.sampled_from([0, 0.1, 0.9]))
    how["n_groups"] = draw(st.sampled_from([None, None, "fewest", "most", 2, 5]))
    if draw(st.booleans()):
        how["time_limit"] = 600.0
    how["effort"] = BRIEF
    case = Case((indptr, indices, borders), np.column_stack(loads), lows, highs, rules)
    # see the tests of single units
    assume(not case.has_a_lonely_unit_below())
    assume(not (how["headroom"] and case.has_a_lonely_unit_near_its_bound(how["headroom"])))
    return case, how


def assert_allowed(case: Case, found) -> None:
    """What every solution promises, whatever the options."""
    graph, labels = case.open_graph(), found.labels
    n_groups = len(found.reasons)
    assert found.n_groups == n_groups == len(found.relaxations) == len(found.causes)
    assert sorted(set(labels[labels >= 0].tolist())) == list(range(n_groups))
    groups = [np.flatnonzero(labels == g).tolist() for g in range(n_groups)]
    assert [group[0] for group in groups] == sorted(group[0] for group in groups)
    of_site, towers = case.decreed()
    decreed = [*of_site, *([u] for u in towers)]
    for group in decreed:
        assert group in groups
    for g, units in enumerate(groups):
        assert found.group_load[g] == case.loads[units, 0].sum()
        assert found.reasons[g] in ("", *REASONS)
        if units in of_site:
            assert found.reasons[g] == ""
            continue
        assert nx.is_connected(graph.subgraph(units)), g
        assert (found.reasons[g] == "") == case.in_bounds(units), (g, found.reasons[g])
        assert (found.reasons[g] == "unit_above_band") == (units in decreed)
        assert bool(found.causes[g].size) == bool(found.reasons[g])
    for knot in case.knots():
        of = set(labels[knot].tolist())
        if case.too_much(knot):
            for g in of - {-1}:
                assert set(groups[g]) <= set(knot)
        else:
            assert len(of) == 1
    # what is left to the caller is a region without any load
    for region in [*case.regions(), *(k for k in case.knots() if case.too_much(k))]:
        lost = labels[region] < 0
        assert lost.all() if not case.loads[region, 0].any() else not lost.any()
    assert found.cut == oracles.cut(graph, labels)


@settings(max_examples=15)
@given(cases(4, 26))
def test_every_option_together(drawn):
    case, how = drawn
    found = case.solve(**how)
    assert_allowed(case, found)
    assert not found.stopped
    again = case.solve(**how)
    assert (again.labels == found.labels).all()
    assert again.reasons == found.reasons
    assert again.relaxations == found.relaxations
    if isinstance(how["n_groups"], int):
        kept_exactly(case, found, how["n_groups"])


def kept_exactly(case: Case, found, wanted: int) -> None:
    """A number of groups is kept where every part can have as many."""
    compounds = [knot for knot in case.knots() if case.too_much(knot)]
    parts = [*case.regions(), *compounds]
    parts = [part for part in parts if case.loads[part, 0].any()]
    if any(case.loads[part, 0].sum() < case.lows[0] for part in parts):
        return  # such a part is one group, whatever its share of the number
    small = [set(knot) for knot in case.knots() if knot not in compounds]
    nodes = sum(len(part) for part in parts)
    nodes -= sum(len(knot) - 1 for knot in small if any(knot <= set(part) for part in parts))
    made = len({g for part in parts for g in found.labels[part].tolist()})
    assert made == max(min(wanted, nodes), len(parts))


@settings(max_examples=12)
@given(cases(), st.sampled_from(["fast", 0.02, 1e-4]), st.sampled_from([None, 1e-4]))
def test_every_option_with_efforts_and_little_time(drawn, effort, limit):
    case, how = drawn
    found = case.solve(**(how | {"effort": effort, "time_limit": limit}))
    assert_allowed(case, found)
    assert not found.stopped or limit is not None


@given(cases())
def test_regions_are_the_parts_that_are_left(drawn):
    case, _ = drawn
    indptr, indices, _ = case.arrays
    found = lay_out(indptr, indices, case.loads, case.lows, case.highs, **case.rules).region()
    expected = np.full(len(case), -1)
    for number, units in enumerate(case.regions()):
        expected[units] = number
    assert found.tolist() == expected.tolist()


# ---------------------------------------------------------------- against brute force


def divisions(case: Case, units: list[int]) -> set[int]:
    """Numbers of groups into which units can be divided inside all bounds: every way is tried."""
    graph, nodes = case.open_graph(), case.whole(units)
    good: dict[tuple[int, ...], bool] = {}

    def is_good(chosen: tuple[int, ...]) -> bool:
        if chosen not in good:
            own = [u for node in chosen for u in nodes[node]]
            good[chosen] = case.in_bounds(own) and nx.is_connected(graph.subgraph(own))
        return good[chosen]

    possible = set()
    for labels in oracles.set_partitions(len(nodes)):
        groups = [tuple(np.flatnonzero(np.array(labels) == g)) for g in range(max(labels) + 1)]
        if len(groups) not in possible and all(map(is_good, groups)):
            possible.add(len(groups))
    return possible


@settings(max_examples=60)
@given(cases(4, 7, heaviest=80))
def test_small_graphs_are_divided_where_brute_force_can(drawn):
    case, how = drawn
    wanted = how.pop("n_groups")
    found = case.solve(**how, n_groups=None if isinstance(wanted, int) else wanted)
    assert_allowed(case, found)
    for units in [*case.regions(), *(k for k in case.knots() if case.too_much(k))]:
        if not case.loads[units, 0].any():
            continue
        counts = divisions(case, units)
        of = set(found.labels[units].tolist())
        reasons = {found.reasons[g] for g in of} - {""}
        assert bool(reasons) == (not counts), (reasons, counts)
        # a group that is outside another bound may be called `not_found` beside a proof
        assert bool(reasons - {"not_found"}) == (not counts), (reasons, counts)
        if counts and isinstance(wanted, str):
            assert len(of) == (min if wanted == "fewest" else max)(counts)


@settings(max_examples=40)
@given(cases(4, 7, heaviest=80), st.integers(1, 4))
def test_a_number_of_groups_where_brute_force_can(drawn, wanted):
    case, how = drawn
    parts = case.regions()
    if len(parts) != 1 or any(map(case.too_much, case.knots())):
        return
    if case.loads[parts[0], 0].sum() < case.lows[0]:
        return
    found = case.solve(**(how | {"n_groups": wanted}))
    counts = divisions(case, parts[0])
    if wanted > len(case.whole(parts[0])):
        return  # more than there are units: one each
    reasons = [found.reasons[g] for g in set(found.labels[parts[0]].tolist())]
    assert (not any(reasons)) == (wanted in counts)
    if any(reasons):
        assert set(reasons) - {"", "not_found"}


@settings(max_examples=40)
@given(cases(4, 7, heaviest=80))
def test_what_would_cure_small_graphs_does(drawn):
    case, how = drawn
    how["n_groups"] = None
    found = case.solve(**how)
    for g, cures in enumerate(found.relaxations):
        for cure in cures:
            if found.reasons[g] in ("unit_above_band", "pocket"):
                continue  # of a unit, or of what lies behind it: the rest may need its own
            piece = [u for u in range(len(case)) if found.pieces[found.labels[u]] == found.pieces[g]
                     and found.labels[u] >= 0]  # fmt: skip
            if piece not in case.regions():
                continue  # what lies before a gate, or within a compound
            groups = [[u for u in piece if found.labels[u] == h] for h in set(found.labels[piece])]
            if not all(case.keeps_others(group) for group in groups):
                continue  # see the next tests
            assert divides(case, piece, cure.bound, cure.value)
            if cure.exact:
                less = cure.value - 1 if cure.bound == "high" else cure.value + 1
                assert not divides(case, piece, cure.bound, less)


def test_a_cure_of_a_part_below_the_band_respects_its_other_bounds():
    loads = np.array([[5, 10], [5, 10]])  # 10 of 20 households, but 20 of at most 15 over 65
    found = solve(*path(2), loads, [20, 0], [30, 15], effort=BRIEF)
    assert found.reasons == ("component_below_band",)
    for cure in found.relaxations[0]:
        assert [(c.bound, c.column, c.value) for c in cure.changes] == [
            ("low", 0, 10),
            ("high", 1, 20),
        ]
        again = solve(*path(2), loads, [10, 0], [30, 20], effort=BRIEF)
        assert not any(again.reasons)


def divides(case: Case, piece: list[int], bound: str, value: int) -> bool:
    lows, highs = list(case.lows), list(case.highs)
    (lows if bound == "low" else highs)[0] = value
    relaxed = Case(case.arrays, case.loads, lows, highs, case.rules)
    # the units of the piece, with whatever else no longer is too much, are not its business
    return bool(divisions(relaxed, piece))


# ---------------------------------------------------------------- planted plans


def planted(seed: int, spread: float) -> tuple[Case, dict[str, Any], int]:
    """A case of every rule with a plan hidden in it, and the number of its groups."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(20, 50))
    indptr, indices, borders, loads, x, y = planar(n, seed, thin=0, heaviest=40)
    graph = oracles.to_networkx(indptr, indices, borders)
    k = int(rng.integers(2, n // 6))
    labels = plant(graph, k, rng)
    sites = np.where(labels == 0, 0, -1)  # a whole planted group by decree
    area = rng.integers(1, 20, n)
    both = np.column_stack([loads, area])
    sums = np.array([both[labels == g].sum(axis=0) for g in range(1, k)])
    low, high = int(sums[:, 0].min() * (1 - spread)), int(sums[:, 0].max() * (1 + spread)) + 1
    rows = np.repeat(np.arange(n), np.diff(indptr))
    across = labels[rows] != labels[indices]
    shut = {(min(u, v), max(u, v)) for u, v in zip(rows[across], indices[across], strict=True)
            if rng.random() < 0.1}  # fmt: skip
    closed = [(min(u, v), max(u, v)) in shut for u, v in zip(rows, indices, strict=True)]
    tied = np.where(rng.random(n) < 0.15, labels, -1)
    reach = np.column_stack([x, y, -x, -y]) + 10_000
    case = Case(
        (indptr, indices, borders), both, [max(low, 1), 0],
        [high, int(sums[:, 1].max() * (1 + spread))],
        {"closed": np.array(closed, bool), "tied": tied, "sites": sites, "reach": reach},
    )  # fmt: skip
    case.rules["widest"] = 0
    widths = [case.width(np.flatnonzero(labels == g)) for g in range(1, k)]
    case.rules["widest"] = int(max(widths) * (1 + spread))
    return case, {"x": x, "y": y, "work": area, "headroom": 0.05, "seed": seed}, k - 1


def plant(graph: nx.Graph, k: int, rng: np.random.Generator) -> np.ndarray:
    """Labels of k connected groups grown from random units, the smallest first."""
    labels = np.full(len(graph), -1)
    labels[rng.permutation(len(graph))[:k]] = np.arange(k)
    while (labels < 0).any():
        rims = {
            g: sorted({v for u in np.flatnonzero(labels == g).tolist() for v in graph[u]
                       if labels[v] < 0})
            for g in range(k)
        }  # fmt: skip
        g = min((g for g in rims if rims[g]), key=lambda g: (labels == g).sum())
        labels[rng.choice(rims[g])] = g
    return labels


@pytest.mark.parametrize("spread", [0.0, 0.1, 0.4])
def test_a_plan_hidden_among_all_rules_is_found(spread):
    for seed in range(8):
        case, how, k = planted(seed, spread)
        for n_groups in (None, k):
            found = case.solve(**how, n_groups=n_groups, effort=BRIEF)
            assert_allowed(case, found)
            assert not any(found.reasons), (seed, n_groups, found)


# ---------------------------------------------------------------- documented outcomes


def path(n: int):
    return oracles.to_arrays(n, [(u, u + 1, 1000) for u in range(n - 1)])


@pytest.mark.parametrize(
    ("loads", "labels", "reasons"),
    [
        ([250], [0], [""]),
        ([0], [-1], []),
        ([1], [0], ["component_below_band"]),
        ([301], [0], ["unit_above_band"]),
        ([0, 0, 0], [-1, -1, -1], []),
        ([100, 0, 100], [0, 0, 0], [""]),  # k = 1
        ([100, 100, 700, 100, 100], [0, 0, 1, 2, 2], ["", "unit_above_band", ""]),
        ([50, 700, 0], [0, 1, -1], ["component_below_band", "unit_above_band"]),
        ([150, 250, 120, 130], [0, 1, 2, 2], ["pocket", "", ""]),
        ([175, 175], [0, 0], ["no_count_fits"]),
        ([200, 100, 200], [0, 0, 1], ["", ""]),
        ([150, 0, 290, 0, 150], None, None),
    ],
)
def test_rows_of_units_have_documented_outcomes(loads, labels, reasons):
    found = solve(*path(len(loads)), np.array(loads), 200, 300, effort=BRIEF)
    if labels is None:  # nothing fits: three groups of which two miss, or two of which one misses
        assert all(p for p, why in zip(found.proven, found.reasons, strict=True) if why)
        assert any(found.reasons)
        return
    assert found.reasons == tuple(reasons)
    assert found.labels.tolist() in (labels, [0, 1, 1] if labels == [0, 0, 1] else labels)


def test_a_single_unit_below_another_bound_is_told():
    loads = np.array([[250, 1]])
    found = solve(*path(1), loads, [200, 3], [300, 15], effort=BRIEF)
    assert found.labels.tolist() == [0]
    assert len(found.reasons[0]) > 0


def test_a_single_unit_without_headroom_is_a_group():
    found = solve(*path(1), np.array([480]), 200, 500, headroom=0.1, effort=BRIEF)
    assert found.labels.tolist() == [0]
    assert found.reasons == ("",)


def test_islets_are_parts_of_their_own():
    arrays = oracles.to_arrays(6, [(0, 1, 9), (1, 2, 9)])  # and three units that touch nothing
    found = solve(*arrays, np.array([100, 100, 100, 30, 0, 250]), 200, 300, effort=BRIEF)
    assert found.labels.tolist() == [0, 0, 0, 1, -1, 2]
    assert found.reasons == ("", "component_below_band", "")
    assert found.causes[1].tolist() == [3]
    assert [(r.bound, r.value, r.exact) for r in found.relaxations[1]] == [("low", 30, True)]


def test_closed_borders_make_parts_and_do_not_count_in_the_cut():
    arrays = path(4)
    rows = np.repeat(np.arange(4), np.diff(arrays[0]))
    closed = np.minimum(rows, arrays[1]) == 1  # between the second and the third
    found = solve(*arrays, np.full(4, 100), 100, 200, n_groups=2, closed=closed, effort=BRIEF)
    assert found.labels.tolist() == [0, 0, 1, 1]
    assert found.cut == 0


def test_a_compound_too_large_is_divided_within_itself():
    tied = np.array([-1, 0, 0, 0, 0, -1])
    found = solve(*path(6), np.full(6, 100), 100, 200, tied=tied, target=200, effort=BRIEF)
    assert found.labels.tolist() == [0, 1, 1, 2, 2, 3]
    assert not any(found.reasons)


def test_headroom_is_kept_where_there_is_room_and_given_up_where_not():
    roomy = solve(*path(12), np.full(12, 50), 100, 300, headroom=0.2, n_groups=3, effort=BRIEF)
    assert roomy.group_load.tolist() == [200, 200, 200]
    tight = solve(*path(4), np.full(4, 100), 200, 210, headroom=0.2, effort=BRIEF)
    assert tight.group_load.tolist() == [200, 200]
    assert not any(tight.reasons)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"x": np.zeros(3, int)}, "need x of shape"),
        ({"work": np.zeros(3, int)}, "need work of shape"),
        ({"closed": np.zeros(3, bool)}, "need closed of shape"),
        ({"sites": np.zeros(3, int)}, "sites and tied must have one number"),
        ({"tied": np.zeros(3, int)}, "sites and tied must have one number"),
        ({"widest": 5}, "together"),
        ({"reach": np.zeros((4, 4), int)}, "together"),
        ({"reach": np.zeros((4, 3), int), "widest": 5}, "an even number of columns"),
        ({"reach": np.zeros((4, 4), int), "widest": 0}, "at least 1"),
        ({"effort": "harder"}, "effort must be one of"),
        ({"effort": 0.0}, "more than 0 seconds"),
    ],
)
def test_arrays_that_do_not_fit_are_told(wrong, words):
    with pytest.raises(ValueError, match=words):
        solve(*path(4), np.full(4, 100), 100, 200, **wrong)


@pytest.mark.parametrize("wrong", [{"n_groups": 0}, {"n_groups": 2.5}, {"n_groups": "few"},
                                   {"headroom": 1.0}, {"headroom": -0.1}])  # fmt: skip
def test_wishes_that_are_none_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        solve(*oracles.to_arrays(2, [(0, 1, 5)]), np.array([3, 3]), 2, 9, **wrong)


@pytest.mark.parametrize("headroom", [0.9, 0.9999, 0.99996, 0.9999999])
def test_headroom_that_no_band_has_is_none(headroom):
    found = solve(*oracles.to_arrays(2, [(0, 1, 5)]), np.array([3, 3]), 2, 9, headroom=headroom)
    assert not any(found.reasons)


@pytest.mark.parametrize("border", [1, 10**9, 10**12])
@pytest.mark.parametrize("balance", [0.5, 0.9, 1.0])
@pytest.mark.parametrize("worked", [0, 1, 60])
def test_next_to_no_work_and_very_long_borders_stay_in_64_bits(border, balance, worked):
    n = 60
    work = np.zeros(n, np.int64)
    work[:worked] = 1
    path = oracles.to_arrays(n, [(u, u + 1, border) for u in range(n - 1)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = solve(
            *path, np.full(n, 30), 200, 900, n_groups=3, work=work, balance=balance,
            effort=Effort(sweeps=200, starts=1, restarts=2),
        )  # fmt: skip
    assert not any(found.reasons)
    assert found.n_groups == 3
    few = oracles.to_arrays(6, [(u, u + 1, border) for u in range(5)])
    found = solve(*few, np.full(6, 5), 5, 20, n_groups=3, work=work[:6], balance=balance)
    assert found.cut == 2 * border
    if balance == 1.0 and worked == 60:
        assert sorted(np.bincount(found.labels)) == [2, 2, 2]
