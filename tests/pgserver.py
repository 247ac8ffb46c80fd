"""A PostgreSQL server of our own, in a folder of its own and on a socket, while the tests run."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PLACES = "/usr/lib/postgresql"  # Debian's, one folder a version
START_SECONDS = 60


def why_not() -> str | None:
    """Why no server can be started here; None if one can."""
    if not hasattr(os, "geteuid"):
        return "the server is started by Unix means"
    try:
        import psycopg  # noqa: F401
    except ImportError:
        return "psycopg is not installed (gridpart[postgres])"
    if binaries() is None:
        return "no PostgreSQL server is installed (make test-postgres installs Debian's)"
    return None


def binaries() -> Path | None:
    """Folder with initdb and postgres."""
    found = [Path(path).parent for path in [shutil.which("initdb")] if path]
    versions = [path for path in Path(PLACES).glob("*/bin") if (path / "initdb").exists()]
    found += sorted(versions, key=lambda path: float(path.parent.name), reverse=True)
    return next((path for path in found if (path / "postgres").exists()), None)


def _someone() -> dict[str, Any]:
    """As whom the server runs: it refuses to run as root."""
    import pwd

    if os.geteuid() != 0:
        return {}
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = names.get("postgres") or names["nobody"]
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


class Server:
    """A running server, which makes databases."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._numbers = itertools.count(1)

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@/{database}?host={self.folder}"

    def new_database(self) -> str:
        """URL of an empty database."""
        import psycopg

        name = f"register_{next(self._numbers)}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def drop(self, url: str) -> None:
        """Remove a database, whoever is still connected."""
        import psycopg

        name = url.partition("@/")[2].partition("?")[0]
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def running(*, durable: bool = False) -> Iterator[Server]:
    """Start a server, and stop it and remove its folder at the end.

    Not a durable one by default: it need not outlive the machine, only its clients.
    """
    place, someone = binaries(), _someone()
    assert place is not None, why_not()
    folder = Path(tempfile.mkdtemp(prefix="gridpart-pg-"))
    try:
        if someone:
            os.chown(folder, someone["user"], someone["group"])
        data = folder / "data"
        initdb = [place / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8"]
        _run([*initdb, "--locale=C", "--no-sync"], folder, someone)
        settings = ["listen_addresses=", "max_connections=50", "shared_buffers=32MB"]
        settings += [] if durable else ["fsync=off", "full_page_writes=off"]
        options = [word for setting in settings for word in ("-c", setting)]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [place / "postgres", "-D", data, "-k", folder, *options],
                stdout=log, stderr=log, cwd=folder, **someone,
            )  # fmt: skip
        try:
            _wait(process, folder)
            yield Server(folder)
        finally:
            process.send_signal(signal.SIGINT)  # "fast shutdown": clients are sent away
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGQUIT)
                process.wait(timeout=20)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(command: list[Any], folder: Path, someone: dict[str, Any]) -> None:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, **someone
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{done.stdout}{done.stderr}")


def _wait(process: subprocess.Popen[bytes], folder: Path) -> None:
    import psycopg

    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            psycopg.connect(Server(folder).url(), connect_timeout=5).close()
            return
        except psycopg.OperationalError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                log = (folder / "log").read_text(errors="replace")
                raise RuntimeError(f"PostgreSQL did not start:\n{log}") from error
        time.sleep(0.05)
