"""Fixtures of the register's tests: the same over SQLite and PostgreSQL."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import geopandas as gpd
import pgserver
import pytest
from registers import CRS, DAY, OTHER, PARENT
from shapely import box

import gridpart as gp
from gridpart.codes import KeptGrid, NewGrid, open_register
from gridpart.partition import partition


@pytest.fixture(scope="session")
def server() -> Iterator[pgserver.Server]:
    """A PostgreSQL server; a test that needs it skips where there can be none."""
    reason = pgserver.why_not()
    if reason is not None:
        if os.environ.get("GRIDPART_POSTGRES") == "required":
            pytest.fail(reason)
        pytest.skip(reason)
    with pgserver.running() as started:
        yield started


@pytest.fixture(params=["sqlite", "postgres"])
def new_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], str]]:
    """Where a register can be made."""
    if request.param == "sqlite":
        names = iter(range(100))
        yield lambda: str(tmp_path / f"register{next(names)}.sqlite")
        return
    started = request.getfixturevalue("server")
    made: list[str] = []

    def new() -> str:
        made.append(started.new_database())
        return made[-1]

    yield new
    for url in made:
        started.drop(url)


@pytest.fixture
def where(new_place: Callable[[], str]) -> str:
    return new_place()


@pytest.fixture
def register(where: str) -> Iterator[gp.Register]:
    with open_register(where, create=True) as opened:
        yield opened
        assert opened.verify().empty, opened.verify().to_string()


@pytest.fixture
def micro(new_place: Callable[[], str]) -> Iterator[gp.Register]:
    with open_register(new_place(), create=True, scheme="micro-grid") as opened:
        yield opened
        assert opened.verify().empty, opened.verify().to_string()


@pytest.fixture
def story(register):
    """1 is split in 2 and 3; 3 and 4 become 5; 2 loses a corner to 5, which stays."""
    first = register.commit(
        [
            NewGrid(1, PARENT, households=400, shape=box(0, 0, 20, 10)),
            NewGrid(4, PARENT, households=50, shape=box(20, 0, 30, 10)),
        ],
        reason="first plan", at=DAY.format(1), crs=CRS,
    )  # fmt: skip
    two, three = register.split(
        first[1], [box(0, 0, 10, 10), box(10, 0, 20, 10)], reason="tower finished",
        at=DAY.format(2), crs=CRS,
    )  # fmt: skip
    five = register.merge([three, first[4]], reason="street merged", at=DAY.format(3))
    kept = {
        two: KeptGrid(households=180, shape=box(0, 0, 9, 10)),
        five: KeptGrid(shape=box(9, 0, 30, 10), predecessors=(two,)),
    }
    register.commit(kept=kept, reason="border moved", at=DAY.format(4), crs=CRS)
    return {"1": first[1], "4": first[4], "2": two, "3": three, "5": five}


@pytest.fixture(scope="session")
def plan():
    cells = [box(100 * i, 100 * j, 100 * i + 100, 100 * j + 100) for j in (1, 0) for i in range(6)]
    units = gpd.GeoDataFrame({"households": 60}, index=range(12), geometry=cells, crs=CRS)
    units["parent"] = [PARENT, PARENT, PARENT, OTHER, OTHER, OTHER] * 2
    return partition(units, low=120, high=120, within="parent", effort="fast")
