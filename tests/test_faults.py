"""Faults of every kind, put into clean plans at random, and found where they are.

The same in full, with a table: ``benchmarks/faults.py``.
"""

from __future__ import annotations

from collections.abc import Iterator

import geopandas as gpd
import numpy as np
import pytest
import shapely
import shapely.affinity
from faults import (
    INJECTORS,
    Case,
    Injector,
    Place,
    cases_of,
    inject,
    judge,
    porto_place,
    town_place,
)

from gridpart.coverage import CATALOGUE, audit_ok

SINGLES = 3  # of each injector and case
SEED = 20


@pytest.fixture(scope="module")
def town() -> Place:
    return town_place(500, 1)


@pytest.fixture(scope="module")
def cases(town) -> dict[str, Case]:
    return cases_of(town)


def assert_found(case: Case, kinds: list[Injector], rng: np.random.Generator, most: int) -> int:
    """Put faults in, and check that all of them are found and nothing else; how many."""
    faulty, expected, changed = inject(case, kinds, rng, most=most)
    verdicts, alarms = judge(faulty, faulty.audit(), case.audited, expected, changed)
    assert [verdict for verdict in verdicts if not verdict.good] == []
    assert alarms == []
    return len(expected)


def pairs() -> Iterator[tuple[str, Injector]]:
    for kind in INJECTORS:
        for name in kind.cases:
            yield name, kind


def test_every_check_has_an_injector() -> None:
    assert {kind.check for kind in INJECTORS} == set(CATALOGUE)


@pytest.mark.parametrize(
    ("name", "kind"), list(pairs()), ids=lambda value: getattr(value, "name", value)
)
def test_single_faults_are_found_and_nothing_else(cases, name: str, kind: Injector) -> None:
    rng = np.random.default_rng([SEED, *map(ord, name + kind.name)])
    done = sum(assert_found(cases[name], [kind], rng, 1) for _ in range(SINGLES))
    assert done == SINGLES


@pytest.mark.parametrize("name", sorted({name for kind in INJECTORS for name in kind.cases}))
def test_many_faults_at_once_are_found_and_nothing_else(cases, name: str) -> None:
    kinds = [kind for kind in INJECTORS if name in kind.cases and not kind.alone]
    rng = np.random.default_rng([SEED, *map(ord, name)])
    if kinds:
        assert assert_found(cases[name], kinds, rng, 1_000) > 1


def test_clean_plans_have_true_notes_only(cases) -> None:
    """Contacts at points, and recorded exceptions that the zones bear out."""
    for case in cases.values():
        findings = case.audit()
        assert set(findings["severity"]) <= {"note"}, case.name
        assert set(findings["check"]) <= {"point_contact", "below_band", "above_band"}
        assert audit_ok(findings)


def test_the_judge_sees_what_is_missing_misplaced_misnamed_or_too_much(cases) -> None:
    case = cases["ground"]
    kinds = [kind for kind in INJECTORS if kind.name == "ground_left_out"]
    faulty, expected, changed = inject(case, kinds, np.random.default_rng(1), most=1)
    found = faulty.audit()
    at = found.index[found["check"] == "gap"][0]

    def verdict(findings: gpd.GeoDataFrame) -> tuple[tuple[bool, bool, bool], int]:
        (one,), alarms = judge(faulty, findings, case.audited, expected, changed)
        return (one.found, one.right_ids, one.right_place), len(alarms)

    assert verdict(found) == ((True, True, True), 0)
    assert verdict(found.drop(index=at)) == ((False, False, False), 0)
    moved = found.copy()
    moved.loc[at, "geometry"] = shapely.affinity.translate(found.geometry[at], 0.1)
    assert verdict(moved) == ((True, True, False), 1)
    named = found.copy()
    named.loc[at, "ids"] = "another"
    assert verdict(named) == ((True, False, True), 1)
    twice = found.loc[[*found.index, at]]
    assert verdict(twice) == ((True, True, True), 1)
    other = found.assign(check=found["check"].replace("gap", "hole"))
    assert verdict(other) == ((False, False, False), 1)


def test_portos_sections_show_many_faults_at_once(shared_data) -> None:
    place = porto_place(shared_data("porto_bgri2021") / "porto_bgri2021.gpkg")
    cases = cases_of(place)
    rng = np.random.default_rng(SEED)
    for name in ("ground", "people", "coded"):
        kinds = [kind for kind in INJECTORS if name in kind.cases and not kind.alone]
        assert assert_found(cases[name], kinds, rng, 1_000) > 10
