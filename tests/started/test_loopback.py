"""Whoever talks to another machine is stopped and fails its test; what stays on this one is left alone.

192.0.2.1 and names under `.invalid` are of nobody (RFC 5737, RFC 2606): a guard that lets go reaches nothing.
"""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from tests.conftest import BEYOND
from tests.patience import PATIENCE_S
from tests.started import tests_stay_on_loopback
from tests.started.tests_stay_on_loopback import FILE, FOLDER, is_loopback
from tests.unit.testing.test_plugin import pytest_in

BeyondLoopback = sys.modules.get("tests_stay_on_loopback", tests_stay_on_loopback).BeyondLoopback
"""Of the guard of this process: its start has imported that by itself, if tests have started it."""
FOREIGN = ("192.0.2.1", 9)
NAME = "tables.invalid"


def taken() -> str:
    """What was written down, so that this test does not fail for it."""
    words = BEYOND.read_text() if BEYOND.exists() else ""
    BEYOND.unlink(missing_ok=True)
    return words


def datagram() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"a metric", FOREIGN)


def connect_ex() -> None:
    with socket.socket() as client:
        client.connect_ex(FOREIGN)


def in_loop(factory: Callable[[], asyncio.AbstractEventLoop], host: str) -> Callable[[], None]:
    async def connect() -> None:
        await asyncio.get_running_loop().create_connection(asyncio.Protocol, host, 9)

    def run() -> None:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(connect())

    return run


async def resolve() -> None:
    await asyncio.get_running_loop().getaddrinfo(NAME, 443)


def resolve_by_uvloop() -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(resolve())


def client_of_aws() -> Coroutine[Any, Any, object]:
    from tailrace.aws import client
    from tailrace.aws.places import Access

    return client.call(Access("us-east-1", f"http://{NAME}"), "dynamodb", "list_tables", {})


WAYS: dict[str, Callable[[], object]] = {
    "a connection": lambda: socket.create_connection(FOREIGN, timeout=PATIENCE_S),
    "a connection that tells its error": connect_ex,
    "a datagram": datagram,
    "a name": lambda: socket.getaddrinfo(NAME, 443),
    "a name, as of old": lambda: socket.gethostbyname(NAME),
    "a loop of asyncio": in_loop(asyncio.new_event_loop, FOREIGN[0]),
    "uvloop": in_loop(uvloop.new_event_loop, FOREIGN[0]),
    "a name by uvloop": resolve_by_uvloop,
}


@pytest.mark.parametrize("way", WAYS)
def test_what_leaves_this_machine_is_stopped_and_written_down(way: str) -> None:
    with pytest.raises(BeyondLoopback):
        WAYS[way]()
    assert "192.0.2.1:9" in (words := taken()) or repr(NAME) in words


def test_the_client_of_aws_is_stopped_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    with contextlib.suppress(BeyondLoopback, Exception):
        asyncio.run(client_of_aws())
    assert repr(NAME) in taken()


def test_a_process_that_a_test_starts_is_stopped_and_written_down_whatever_it_makes_of_it() -> None:
    program = "import socket\ntry: socket.create_connection(('192.0.2.1', 9))\nexcept BaseException: pass\n"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
    assert "192.0.2.1:9" in taken()


def test_no_process_is_started_that_nobody_watches() -> None:
    with pytest.raises(BeyondLoopback):
        subprocess.run([sys.executable, "-c", ""], check=False, env={"PATH": os.environ["PATH"]})
    assert "nobody watches" in taken()


def test_what_stays_on_this_machine_is_left_alone(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as local:
        socket.create_connection(("localhost", server.getsockname()[1])).close()
        with contextlib.suppress(OSError):
            local.connect(str(tmp_path / "control"))
    assert socket.getaddrinfo("192.0.2.1", 9)  # a number: nobody is asked
    assert not taken()


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.255.255.255", True),
        ("128.0.0.1", False),
        ("126.255.255.255", False),
        ("::1", True),
        ("::2", False),
        ("::ffff:127.0.0.1", True),
        ("::ffff:10.0.0.1", False),
        ("127.0.0.1.example.com", False),
        ("localhost", True),
        ("localhost.example.com", False),
        (None, True),
        (b"10.0.0.1", False),
    ],
)
def test_loopback_is_what_the_standards_say(host: object, expected: bool) -> None:
    assert is_loopback(host) is expected


CAREFREE = """
import socket
def test_asks_for_a_name_and_makes_nothing_of_it():
    try:
        socket.getaddrinfo("tables.invalid", 443)
    except BaseException:
        pass
"""


def test_a_test_that_catches_it_fails_all_the_same(tmp_path: Path) -> None:
    code, said = pytest_in(tmp_path, CAREFREE, "-p", "tests.conftest")
    assert code == 1, said
    assert "1 error" in said or "1 failed" in said
    assert "'tables.invalid'" in said


def test_every_process_of_the_tests_knows_where_to_write() -> None:
    program = "import os, sys; print(os.environ[sys.argv[1]], sys.argv[2] in sys.path)"
    ran = subprocess.run(
        [sys.executable, "-c", program, FILE, FOLDER], capture_output=True, text=True, check=True
    )
    assert ran.stdout.split() == [str(BEYOND), "True"]
