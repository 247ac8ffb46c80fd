"""The database under a register: its tables, how it is opened, and how it is written.

One code path for SQLite and PostgreSQL, through SQLAlchemy Core; docs/decisions/0006-register.md.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import (
    ArgumentError,
    DatabaseError,
    DBAPIError,
    IntegrityError,
    OperationalError,
)

from gridpart.codes.moments import as_utc
from gridpart.codes.reading import load_scheme
from gridpart.codes.scheme import Scheme
from gridpart.errors import InputError, OutputError

__all__ = [
    "CODES", "COUNTERS", "EVENTS", "GROUNDS", "LINKS", "META", "Store", "chunks", "open_store",
]  # fmt: skip

APPLICATION = "gridpart register"
SCHEMA_VERSION = 1
BUSY_SECONDS = 60.0  # how long a writer waits for another
TRIES = 20  # how often a change is repeated that PostgreSQL has called off
RETRYABLE = ("40001", "40P01")  # serialization failure, deadlock
CHUNK = 500  # codes named in one statement
# numbers of ours for PostgreSQL's advisory locks
CREATE_LOCK, GROUND_LOCK = 0x67726964, 0x67726965
Result = TypeVar("Result")
Item = TypeVar("Item")

METADATA = sa.MetaData()

META = sa.Table(
    "register_meta",
    METADATA,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

# One row a change. The numbers are those of the rows it wrote: a half-written change would show.
EVENTS = sa.Table(
    "register_events",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("n_issued", sa.Integer, nullable=False),
    sa.Column("n_retired", sa.Integer, nullable=False),
    sa.Column("n_grounds", sa.Integer, nullable=False),
    sa.Column("n_links", sa.Integer, nullable=False),
    sqlite_autoincrement=True,
)


def _event(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, sa.ForeignKey("register_events.id"), nullable=nullable)


# Every code ever issued. Rows are never deleted, so the primary key forbids using one again.
CODES = sa.Table(
    "register_codes",
    METADATA,
    sa.Column("code", sa.Text, primary_key=True),
    sa.Column("parent", sa.Text, nullable=False, index=True),
    sa.Column("level", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("serial", sa.Integer),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("issued", sa.Text, nullable=False),
    sa.Column("issue_reason", sa.Text, nullable=False),
    _event("issue_event"),
    sa.Column("retired", sa.Text),
    sa.Column("retire_reason", sa.Text),
    _event("retire_event", nullable=True),
    sa.CheckConstraint("state IN ('live', 'retired')", name="register_state"),
    sa.CheckConstraint(
        "(state = 'live' AND retired IS NULL AND retire_reason IS NULL AND retire_event IS NULL)"
        " OR (state = 'retired' AND retired >= issued AND retire_reason IS NOT NULL"
        " AND retire_event IS NOT NULL)",
        name="register_retirement",
    ),
)

# What a code stood for, from one change until another.
GROUNDS = sa.Table(
    "register_grounds",
    METADATA,
    sa.Column("code", sa.Text, sa.ForeignKey("register_codes.code"), primary_key=True),
    sa.Column("since_event", sa.Integer, sa.ForeignKey("register_events.id"), primary_key=True),
    _event("until_event", nullable=True),
    sa.Column("since", sa.Text, nullable=False),
    sa.Column("until", sa.Text),
    sa.Column("households", sa.BigInteger),
    sa.Column("area_m2", sa.Double),
    sa.Column("wkb", sa.LargeBinary),
    sa.Column("crs", sa.Text),
    *(sa.Column(name, sa.Double) for name in ("min_x", "min_y", "max_x", "max_y")),
    sa.CheckConstraint("until IS NULL OR until >= since", name="register_span"),
)

LINKS = sa.Table(
    "register_links",
    METADATA,
    sa.Column("predecessor", sa.Text, sa.ForeignKey("register_codes.code"), primary_key=True),
    sa.Column(
        "successor", sa.Text, sa.ForeignKey("register_codes.code"), primary_key=True, index=True
    ),
    sa.Column("event", sa.Integer, sa.ForeignKey("register_events.id"), primary_key=True),
    sa.CheckConstraint("predecessor <> successor", name="register_no_loop"),
)

# Last serial ever issued, for each parent and kind with serials of its own. The row with the
# series '' is what a change of codes under that parent locks.
COUNTERS = sa.Table(
    "register_counters",
    METADATA,
    sa.Column("parent", sa.Text, primary_key=True),
    sa.Column("series", sa.Text, primary_key=True),
    sa.Column("last", sa.Integer, nullable=False),
)


def chunks(items: Iterable[Item], size: int = CHUNK) -> Iterator[list[Item]]:
    """Items by the portion, for statements that name them."""
    listed = list(items)
    for start in range(0, len(listed), size):
        yield listed[start : start + size]


class Store:
    """An open register's database.

    Parameters
    ----------
    engine : Engine
    name : str
        What messages call it; without a password.
    """

    def __init__(self, engine: sa.Engine, name: str) -> None:
        self.engine = engine
        self.name = name
        self.facts: dict[str, str] = {}

    @property
    def scheme(self) -> Scheme:
        """Scheme of the codes."""
        return Scheme.from_json(self.facts["scheme"])

    def close(self) -> None:
        """Give back all connections."""
        self.engine.dispose()

    @contextmanager
    def _connected(self) -> Iterator[sa.Connection]:
        try:
            connection = self.engine.connect()
        except OperationalError as error:
            text = " ".join(str(error.orig).split())
            raise OutputError(f"register {self.name}: cannot be reached ({text})") from error
        with connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A transaction that sees one state throughout."""
        with self.told(), self._connected() as connection:
            if self.engine.dialect.name == "postgresql":
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection

    @contextmanager
    def changing(
        self,
        apply: Callable[[sa.Connection], Result],
        agree: Callable[[sa.Connection, Result], bool] | None = None,
    ) -> Iterator[Result]:
        """Apply a change in a transaction that is committed when the ``with`` block ends well.

        What PostgreSQL calls off because of another writer is applied again, from the start.

        Parameters
        ----------
        apply : callable
            Writes the change.
        agree : callable, optional
            Raises if what was written cannot stand beside the rest, whatever its community; says
            whether another writer may make that so. Then it is asked again at the end, when
            PostgreSQL lets one after the other commit; SQLite has one writer anyway.
        """
        with self.told(), self._connected() as connection:
            connection = connection.execution_options(register_writes=True)
            transaction, result, again = self._applied(connection, apply, agree)
            try:
                yield result
                if agree is not None and again and self.engine.dialect.name == "postgresql":
                    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(GROUND_LOCK)))
                    agree(connection, result)
            except BaseException:
                transaction.rollback()
                raise
            transaction.commit()

    def _applied(
        self,
        connection: sa.Connection,
        apply: Callable[[sa.Connection], Result],
        agree: Callable[[sa.Connection, Result], bool] | None,
    ) -> tuple[sa.RootTransaction, Result, bool]:
        for attempt in range(1, TRIES + 1):
            transaction = connection.begin()
            try:
                result = apply(connection)
                return transaction, result, agree is not None and agree(connection, result)
            except DBAPIError as error:
                transaction.rollback()
                if getattr(error.orig, "sqlstate", None) not in RETRYABLE or attempt == TRIES:
                    raise
            except BaseException:
                transaction.rollback()
                raise
            time.sleep(random.uniform(0, 0.01 * 2 ** min(attempt, 6)))
        raise AssertionError("unreachable: the last attempt returns or raises")

    @contextmanager
    def told(self) -> Iterator[None]:
        """Say in our own words what went wrong in the database."""
        try:
            yield
        except OperationalError as error:
            raise OutputError(f"register {self.name}: {_plainly(error)}") from error
        except IntegrityError:
            raise  # the tables' own rules are broken by us alone
        except DatabaseError as error:
            raise InputError(f"register {self.name}: {_plainly(error)}") from error

    def insert_new(self, table: sa.Table, rows: list[dict[str, Any]]) -> sa.Insert:
        """Statement that adds rows and passes over those that are there."""
        dialect = postgresql if self.engine.dialect.name == "postgresql" else sqlite
        return dialect.insert(table).values(rows).on_conflict_do_nothing()


def _plainly(error: DBAPIError) -> str:
    text = str(error.orig).strip().splitlines()[0]
    if "database is locked" in text:
        return f"another program has held it for {BUSY_SECONDS:.0f} s; try again"
    if "file is not a database" in text:
        return "the file is no register, and no SQLite database at all"
    if "readonly" in text:
        return "it cannot be written: the file or its folder is read-only"
    if error.connection_invalidated:
        return f"the connection broke; look whether the change was written ({text})"
    return text


# --------------------------------------------------------------------------- open


def open_store(where: Any, *, create: bool, scheme: Any) -> Store:
    """Open the database of a register; see :func:`gridpart.codes.open_register`."""
    engine, name = _engine(where, create=create)
    store = Store(engine, name)
    try:
        tables = _tables(store)
        if META.name not in tables:
            if tables and engine.dialect.name == "sqlite":
                raise InputError(f"register {name}: it is another database; choose another file")
            if not create:
                told = "has other tables, but no register" if tables else "is empty"
                raise InputError(
                    f"register {name}: it {told}; make one with: gridpart register create"
                )
            _create(store, load_scheme(scheme or "unit-grid"))
        _read_facts(store)
        _same_scheme(store, scheme)
    except BaseException:
        store.close()
        raise
    return store


def _engine(where: Any, *, create: bool) -> tuple[sa.Engine, str]:
    text = str(where)
    if "://" not in text:
        return _sqlite_engine(Path(where), create=create)
    try:
        url = sa.make_url(text)
    except (ArgumentError, ValueError) as error:
        raise InputError(f"register {_no_secret(text)}: not a database's URL ({error})") from error
    if url.get_backend_name() == "sqlite":
        if not url.database or url.database == ":memory:":
            raise InputError("register: a SQLite register is a file; name it")
        return _sqlite_engine(Path(url.database), create=create)
    if url.get_backend_name() not in ("postgresql", "postgres"):
        raise InputError(
            f"register {url.render_as_string()}: name a file, or a postgresql:// database"
        )
    url = url.set(drivername="postgresql+psycopg")
    name = url.render_as_string(hide_password=True).replace("+psycopg", "", 1)
    try:
        engine = sa.create_engine(url, pool_pre_ping=True, isolation_level="READ COMMITTED")
    except ImportError as error:
        raise InputError(
            f"register {name}: PostgreSQL needs psycopg; install it with: "
            "pip install 'gridpart[postgres]'"
        ) from error
    return engine, name


def _no_secret(text: str) -> str:
    """A URL without what stands between :// and @."""
    before, sign, rest = text.partition("://")
    return f"{before}{sign}{rest.rpartition('@')[2]}"


def _sqlite_engine(path: Path, *, create: bool) -> tuple[sa.Engine, str]:
    if path.is_dir():
        raise InputError(f"register {path}: is a folder, not a file")
    if not path.exists():
        if not create:
            raise InputError(
                f"register {path}: no such file; make it with: gridpart register create"
            )
        if not path.parent.is_dir():
            raise OutputError(f"register {path}: the folder {path.parent} does not exist")
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=str(path)),
        poolclass=sa.NullPool,
        connect_args={"timeout": BUSY_SECONDS},
    )
    sa.event.listen(engine, "connect", _on_connect)
    sa.event.listen(engine, "begin", _on_begin)
    return engine, str(path)


def _on_connect(connection: Any, _: Any) -> None:
    # we begin transactions ourselves; the driver would begin them late, and never IMMEDIATE
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")
    # a register may lie on a network folder and be copied while nobody writes: one file, no WAL
    connection.execute("PRAGMA synchronous = FULL")


def _on_begin(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get("register_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _tables(store: Store) -> list[str]:
    with store.reading() as connection:
        return sa.inspect(connection).get_table_names()


def _create(store: Store, scheme: Scheme) -> None:
    """Make the tables, unless somebody else has just done so."""

    def apply(connection: sa.Connection) -> None:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(CREATE_LOCK)))
        if sa.inspect(connection).has_table(META.name):
            return
        METADATA.create_all(connection, checkfirst=False)
        facts = {
            "application": APPLICATION,
            "schema_version": str(SCHEMA_VERSION),
            "id": uuid.uuid4().hex,
            "created": as_utc(None),
            "scheme": scheme.as_json(),
        }
        rows = [{"key": key, "value": value} for key, value in facts.items()]
        connection.execute(sa.insert(META), rows)

    with store.changing(apply):
        pass


def _read_facts(store: Store) -> None:
    with store.reading() as connection:
        rows = connection.execute(sa.select(META.c.key, META.c.value)).all()
    store.facts = {row.key: row.value for row in rows}
    if store.facts.get("application") != APPLICATION:
        raise InputError(f"register {store.name}: it is another program's database")
    version = store.facts.get("schema_version", "")
    if not version.isdigit() or int(version) > SCHEMA_VERSION:
        raise InputError(
            f"register {store.name}: made by a newer gridpart (version {version} of its tables; "
            f"this one knows {SCHEMA_VERSION}); install a newer gridpart"
        )


def _same_scheme(store: Store, scheme: Any) -> None:
    if scheme is None:
        return
    wanted, there = load_scheme(scheme), store.scheme
    if wanted != there:
        told = there.name if there.name != wanted.name else f"another version of {there.name}"
        raise InputError(
            f"register {store.name}: its codes follow the scheme {told}, not {wanted.name}; a "
            "register keeps the scheme it was made with"
        )
