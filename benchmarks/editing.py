"""Random edits by hand: each against a recomputation, all taken back, register and plan agreeing.

    python benchmarks/editing.py [--data FOLDER] [--edits 1000] [--registered 1000] [--seed 1]

Porto's 1,659 census subsections are divided within their 7 parishes into grids of 200-500
households, coded by parish. Then units next to a border move over it, grids are split and merged,
units are exchanged, all at random, with an undo and a redo here and there. After every edit that
was done, the grids that were brought up to date are compared with grids computed from the units
alone, bit by bit, and networkx finds every grid connected, in one parish and in the band. After
the last one all are taken back: labels, codes, exceptions and grids must be what they were.

The second round does the same through a register of codes, a transaction for every edit: after
each, the codes that live in the register must be those of the plan, with the same households, and
no code may have been issued twice; every 50 edits the register is asked what cannot be.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import geopandas as gpd
import networkx as nx
import numpy as np
import pandas as pd

import gridpart as gp
from gridpart.errors import InputError
from gridpart.plan import Plan

LOW, HIGH = 200, 500
VERBS = ("move", "split", "merge", "swap")
Bag = dict[str, list[float]]


def town(folder: Path) -> Plan:
    """Porto, divided and coded."""
    units = gpd.read_file(folder / "porto_bgri2021" / "porto_bgri2021.gpkg", layer="units")
    parishes = sorted(units["parish_id"].unique())
    codes = {name: f"1312990{number:05d}" for number, name in enumerate(parishes, start=1)}
    units = units.assign(parent=units["parish_id"].map(codes))
    return gp.partition(units, id="unit_id", within="parish_id", low=LOW, high=HIGH)


def links(plan: Plan) -> nx.Graph:
    """Who touches whom, for networkx."""
    graph = nx.Graph()
    graph.add_nodes_from(range(len(plan.units)))
    graph.add_edges_from(zip(plan.contiguity.rows, plan.contiguity.indices, strict=True))
    return graph


class Hand:
    """Makes edits at random."""

    def __init__(self, graph: nx.Graph, seed: int) -> None:
        self.ends = np.array(graph.edges)
        self.rng = np.random.default_rng(seed)

    def draw(self, plan: Plan) -> tuple[str, tuple[object, ...]]:
        """A verb and what it is for; most are refused, as a hand without eyes deserves."""
        names = plan.units["grid"].to_numpy(object)
        ids = plan.units["unit_id"].to_numpy(object)
        verb = str(self.rng.choice(VERBS, p=(0.5, 0.15, 0.15, 0.2)))
        across = self.ends[names[self.ends[:, 0]] != names[self.ends[:, 1]]]
        a, b = across[self.rng.integers(len(across))]
        if self.rng.random() < 0.5:
            a, b = b, a
        if verb == "move":
            return verb, (ids[a], names[b])
        if verb == "split":  # the large ones, which leave two in the band
            loads = plan.grids.set_index("grid")["households"]
            large = loads[loads >= 2 * LOW].index.to_numpy(object)
            return verb, (large[self.rng.integers(large.size)] if large.size else names[a],)
        if verb == "merge":
            return verb, ([names[a], names[b]],)
        return verb, (ids[a], ids[b])


def check(plan: Plan, graph: nx.Graph) -> None:
    """The plan is what its units say, and sound."""
    alone = Plan(plan.units, plan.rules, plan.exceptions)
    pd.testing.assert_frame_equal(plan.grids, alone.grids)
    names = plan.units["grid"].to_numpy(object)
    inner = nx.Graph()
    inner.add_nodes_from(graph)
    inner.add_edges_from((a, b) for a, b in graph.edges if names[a] == names[b])
    assert nx.number_connected_components(inner) == len(alone.grids)
    assert alone.grids["households"].between(LOW, HIGH).all()
    pairs = plan.units[["grid", "parish_id"]].drop_duplicates()
    assert not pairs["grid"].duplicated().any()
    assert alone.grids["grid_code"].is_unique


def same(one: Plan, two: Plan) -> None:
    """Two plans alike in everything."""
    pd.testing.assert_frame_equal(one.units, two.units)
    pd.testing.assert_frame_equal(one.exceptions, two.exceptions)
    pd.testing.assert_frame_equal(one.grids, two.grids)
    assert dict(one.provenance) == dict(two.provenance)


def copied(plan: Plan) -> Plan:
    """A plan that shares nothing with another."""
    return Plan(
        plan.units.copy(), plan.rules, plan.exceptions.copy(), dict(plan.provenance), None, None
    )


def in_memory(plan: Plan, count: int, seed: int) -> None:
    """Edits, undone and done again, all taken back."""
    graph, first = links(plan), copied(plan)
    hand, history = Hand(graph, seed), gp.History(plan)
    _ = plan.grids
    seconds: Bag = {verb: [] for verb in VERBS}
    done = refused = undone = 0
    while done < count:
        before = history.plan
        verb, given = hand.draw(before)
        start = time.perf_counter()
        try:
            getattr(history, verb)(*given)
        except InputError:
            refused += 1
            assert history.plan is before
            continue
        seconds[verb].append(time.perf_counter() - start)
        done += 1
        check(history.plan, graph)
        if hand.rng.random() < 0.1:
            now = copied(history.plan)
            history.undo()
            same(history.plan, before)
            history.redo()
            same(history.plan, now)
            undone += 1
    changes = history.changes()
    labels = plan.units.set_index("unit_id")["grid"]
    assert changes.apply(labels).tolist() == history.plan.units["grid"].tolist()
    print(
        f"{done:,} edits done, {refused:,} refused, {undone:,} taken back and done again on the way"
    )
    print(f"{len(history.plan.grids):,} grids then; {changes.codes['kept']:,} codes kept")
    for verb, times in seconds.items():
        if times:
            print(f"  {verb:<6} {len(times):>5,}  median {statistics.median(times) * 1000:.0f} ms")
    for _ in range(done):
        history.undo()
    same(history.plan, first)
    print("all taken back: units, codes, exceptions, grids and provenance are what they were")


def registered(plan: Plan, count: int, seed: int, folder: Path) -> None:
    """Edits through a register."""
    hand = Hand(links(plan), seed)
    bare = plan.replace(units=plan.units.drop(columns="grid_code"))
    with gp.open_register(folder / "codes.sqlite", create=True) as register:
        now = gp.assign_codes(bare, parent="parent", register=register)
        done, seconds, issued = 0, [], len(now.grids)
        while done < count:
            verb, given = hand.draw(now)
            start = time.perf_counter()
            try:
                after = getattr(gp, verb)(now, *given, register=register).plan
            except InputError:
                continue
            seconds.append(time.perf_counter() - start)
            issued += len(set(after.grids["grid_code"]) - set(now.grids["grid_code"]))
            now, done = after, done + 1
            agree(now, register)
            if done % 50 == 0:
                assert register.verify().empty
        everything = register.codes()
        assert register.verify().empty
        assert len(everything) == issued == everything["code"].nunique()
    middle = statistics.median(seconds)
    print(f"{done:,} edits through a register, median {middle * 1000:.0f} ms; it agreed after each")
    print(
        f"{issued:,} codes issued, none twice; {(everything['state'] == 'retired').sum():,} retired"
    )


def agree(plan: Plan, register: gp.Register) -> None:
    """What lives in the register is the plan."""
    live = register.codes(live=True, ground="last").set_index("code").sort_index()
    grids = plan.grids.set_index("grid_code").sort_index()
    assert live.index.tolist() == grids.index.tolist()
    assert (live["households"].astype("int64") == grids["households"]).all()


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    words.add_argument("--edits", type=int, default=1000)
    words.add_argument("--registered", type=int, default=1000)
    words.add_argument("--seed", type=int, default=1)
    given = words.parse_args()
    plan = town(given.data)
    assert plan.exceptions.empty
    if given.edits:
        in_memory(gp.assign_codes(plan, parent="parent"), given.edits, given.seed)
    if given.registered:
        coded = gp.assign_codes(plan, parent="parent")
        with tempfile.TemporaryDirectory() as folder:
            registered(coded, given.registered, given.seed, Path(folder))


if __name__ == "__main__":
    main()
