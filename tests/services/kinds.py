"""Which servers there are, each as a block in which it answers on loopback.

Rules of this file: a free port of 127.0.0.1, chosen by the server itself or just before it starts; nothing is
left behind when the block ends. Run by __main__.py, one process a server.
"""

import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final

from moto.server import ThreadedMotoServer

from tailrace.testing.search import SearchServer
from tests.postgres import NOBODY, PostgresServer

HOST: Final = "127.0.0.1"


@contextmanager
def postgres() -> Iterator[str]:
    """PostgreSQL of the locked requirements, reached over TCP."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        if os.geteuid() == 0:
            os.chown(directory, NOBODY, NOBODY)
        server = PostgresServer(directory, listen=(HOST, port))
        try:
            yield f"postgresql://tests:secret@{HOST}:{port}/postgres"
        finally:
            server.stop()


@contextmanager
def moto() -> Iterator[str]:
    """moto's server: S3, SQS, SNS, EventBridge, and what else of AWS tests write to."""
    server = ThreadedMotoServer(ip_address=HOST, port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@contextmanager
def search() -> Iterator[str]:
    """The search cluster in memory that obeys OpenSearch's documented rules."""
    with SearchServer() as server:
        yield server.url


SERVICES: Final[dict[str, Callable[[], AbstractContextManager[str]]]] = {
    "postgres": postgres,
    "moto": moto,
    "search": search,
}


def free_port() -> int:
    """A port of loopback that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
