"""What only PostgreSQL does: servers that are away, deadlocks, secrets, and two databases alike."""

from __future__ import annotations

import re
import sys
import threading
import time
from pathlib import Path

import pandas as pd
import pgserver
import pytest
import shapely
import sqlalchemy as sa
from registers import CRS, OTHER, PARENT, code, refused
from shapely import box

import gridpart as gp
from gridpart.codes import NewGrid, open_register
from gridpart.codes.store import COUNTERS, Store


@pytest.fixture
def url(server):
    made = server.new_database()
    yield made
    server.drop(made)


def test_the_server_is_ours_and_not_root(server):
    assert Path(server.folder).owner() != "root" or pgserver._someone() == {}
    assert server.folder.name.startswith("gridpart-pg-")


def test_both_databases_hold_the_same_to_the_bit(url, tmp_path):
    tables = []
    for where in (url, tmp_path / "a.sqlite"):
        with open_register(where, create=True) as register:
            new = [
                NewGrid(
                    k,
                    PARENT,
                    households=k,
                    area_m2=k / 7e5,
                    shape=box(k / 3, 0, k / 3 + 0.3, k / 0.7),
                )
                for k in range(1, 40)
            ]
            issued = register.commit(new, reason="中文 ' \" \\ %s", at="2021-05-01", crs=CRS)
            register.split(issued[3], 2, at="2021-05-02")
            register.merge([issued[4], issued[5]], at="2021-05-03")
            tables.append((register.codes(), register.lineage(issued[5]), register.changes()))
    for ours, theirs in zip(*tables, strict=True):
        pd.testing.assert_frame_equal(pd.DataFrame(ours), pd.DataFrame(theirs), check_exact=True)
    wkb = [shapely.to_wkb(table[0].geometry.to_numpy()).tolist() for table in tables]
    assert wkb[0] == wkb[1]


@pytest.mark.parametrize("driver", ["postgresql", "postgresql+psycopg", "postgres"])
def test_urls_may_name_the_driver(url, driver):
    place = url.replace("postgresql", driver, 1)
    with open_register(place, create=True) as register:
        assert register.issue(PARENT) == [code(1)]
        assert register.name.startswith("postgresql://")


def test_other_tables_of_the_database_are_left_alone(url):
    engine = sa.create_engine(url.replace("postgresql", "postgresql+psycopg", 1))
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE staff (id int)"))
    with pytest.raises(gp.InputError, match="has other tables, but no register"):
        open_register(url)
    with open_register(url, create=True) as register:
        register.issue(PARENT)
    assert sa.inspect(engine).has_table("staff")
    engine.dispose()


def test_a_server_that_is_not_there(tmp_path):
    away = f"postgresql://planner:secret@/register?host={tmp_path}"
    with pytest.raises(gp.OutputError, match="cannot be reached") as caught:
        open_register(away)
    assert "secret" not in str(caught.value)
    assert "planner" in str(caught.value)


def test_a_database_that_is_not_there(server):
    with pytest.raises(gp.OutputError, match='database "nothing" does not exist'):
        open_register(server.url("nothing"))


def test_without_psycopg_the_message_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(gp.InputError, match=re.escape("pip install 'gridpart[postgres]'")):
        open_register("postgresql://me@/db")


def test_a_connection_that_breaks_is_said_and_the_next_change_works(url):
    with open_register(url, create=True) as register:
        register.issue(PARENT)
        with (
            pytest.raises(gp.OutputError, match="look whether the change was written"),
            register.changing([NewGrid(1, PARENT)], reason="x") as issued,
        ):
            _send_away(url, issued)
        assert register.issue(PARENT) == [code(2)]
        assert register.verify().empty


def _send_away(url: str, issued: dict[object, str]) -> None:
    """Break all other connections to a database, of which one is issuing codes."""
    import psycopg

    assert issued == {1: code(2)}

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def test_a_deadlock_is_tried_again(url):
    """Another writer takes the locks in the wrong order; PostgreSQL calls one of us off."""
    with open_register(url, create=True) as register:
        register.issue(PARENT)
        register.issue(OTHER)
        other = open_register(url)
        lock = sa.select(COUNTERS).where(COUNTERS.c.series == "").with_for_update()
        second = lock.where(COUNTERS.c.parent == OTHER)
        first = lock.where(COUNTERS.c.parent == PARENT)
        done: list[dict[object, str]] = []
        new = [NewGrid("a", PARENT), NewGrid("b", OTHER)]
        worker = threading.Thread(target=lambda: done.append(register.commit(new, reason="x")))
        with other._store.engine.connect() as connection:
            # this one waits longer before it looks for a deadlock, so that ours is called off
            connection.execute(sa.text("SET deadlock_timeout = '20s'"))
            connection.execute(second).all()
            worker.start()
            _wait_for_lock(url)
            connection.execute(first).all()  # now each waits for the other
            connection.rollback()
        worker.join(timeout=30)
        other.close()
        assert done == [{"a": code(2), "b": code(2, OTHER)}]
        assert register.verify().empty


def _wait_for_lock(url: str) -> None:
    """Until somebody waits for a row."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        for _ in range(500):
            waiting = connection.execute(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE datname = current_database() AND wait_event_type = 'Lock'"
            ).fetchone()
            if waiting is not None and waiting[0]:
                return
            time.sleep(0.01)
    raise AssertionError("nobody waits")


def test_two_who_make_the_same_register_at_once(url):
    found: list[str] = []

    def make() -> None:
        with open_register(url, create=True) as register:
            found.append(register.id)

    workers = [threading.Thread(target=make) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(found) == 4
    assert len(set(found)) == 1


def test_other_parents_do_not_wait(url):
    """A change holds its own community only."""
    with open_register(url, create=True) as register, open_register(url) as other:
        register.issue(PARENT)
        other.issue(OTHER)
        with register.changing([NewGrid(1, PARENT)], reason="x"):
            assert other.issue(OTHER) == [code(2, OTHER)]
            # and readers see what was before
            assert other.codes()["code"].tolist() == [code(1), code(1, OTHER), code(2, OTHER)]
        assert len(other.codes()) == 4


def test_neighbours_do_not_wait_for_each_other_s_grounds(url):
    """Grounds are compared at the end again, so nobody waits while another saves a plan."""
    squares = [
        NewGrid("a", parent, shape=box(x, 0, x + 9, 9)) for x, parent in ((0, PARENT), (9, OTHER))
    ]
    with open_register(url, create=True) as register, open_register(url) as other:
        with register.changing(squares[:1], reason="x", crs=CRS):
            assert other.commit(squares[1:], reason="x", crs=CRS) == {"a": code(1, OTHER)}
        assert len(register.codes()) == 2
        assert register.verify().empty


def test_a_reader_sees_one_state(url):
    with open_register(url, create=True) as register:
        register.issue(PARENT)
        query = sa.text("SELECT count(*) FROM register_codes")
        with register._store.reading() as connection:
            before = connection.execute(query).scalar()
            register.issue(PARENT)
            assert connection.execute(query).scalar() == before == 1


def test_what_cannot_be_retried_is_raised(url, monkeypatch):
    with open_register(url, create=True) as register:
        monkeypatch.setattr("gridpart.codes.store.RETRYABLE", ())
        called: list[int] = []

        def fail(connection: sa.Connection) -> None:
            called.append(1)
            connection.execute(sa.text("SELECT 1 / 0"))

        store: Store = register._store
        with pytest.raises(gp.InputError, match="division by zero"), store.changing(fail):
            pass
        assert called == [1]
    assert "unknown_code" in refused(lambda: _retire_in(url))


def _retire_in(url: str) -> None:
    with open_register(url) as register:
        register.retire(code(1), "x")
