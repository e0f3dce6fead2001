"""Questions beside a start: a process that has the directory for a moment is waited for, and is named.

Rules of this file: the other owner is a lock of this process (the kernel gives it to the open file), which
goes when the test says so.
"""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tailrace.cli import connection, running
from tailrace.cli.connection import _asked, ask
from tailrace.cli.failures import CommandFailure
from tailrace.server import nodes
from tailrace.stores.directory import DataDirectory, DirectoryInUse


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / "data"
    DataDirectory(made).close()
    return made


def test_a_question_waits_for_whoever_has_the_directory_for_a_moment(directory: Path) -> None:
    owned = DataDirectory(directory)
    looked: list[float] = []

    def sleep(seconds: float) -> None:
        looked.append(seconds)
        if len(looked) == 3:
            owned.close()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection, "pause", sleep)
        assert ask(directory, "gaps") == []
    assert len(looked) == 3


def test_a_question_that_opens_the_directory_beside_a_start_asks_the_server_then(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offline, tries = connection._offline, [0]

    def taken_at_first(*asked: Any) -> Iterator[Any]:
        tries[0] += 1
        if tries[0] == 1:
            raise DirectoryInUse("the data directory is in use by process 1")
        yield from offline(*asked)

    monkeypatch.setattr(connection, "_offline", taken_at_first)
    assert ask(directory, "gaps") == []
    assert tries == [2]


def test_a_directory_that_stays_in_use_is_told_with_its_process(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "PATIENCE_S", 0.0)
    owned = DataDirectory(directory)
    with pytest.raises(CommandFailure, match=r"is in use by process \d+, .*it is still starting or stopping"):
        ask(directory, "gaps")
    owned.close()


class OneNode:
    """A node whose directory a question has for a moment."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals

    async def start(self) -> int:
        if self.refusals:
            self.refusals -= 1
            raise DirectoryInUse("the data directory is in use by process 1")
        return 8000


def test_a_start_waits_for_a_question_that_has_the_directory(directory: Path) -> None:
    node: Any = OneNode(3)
    assert asyncio.run(running._started(node, directory)) == 8000


def test_a_start_beside_a_server_is_refused_at_once(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node: Any = OneNode(1)
    monkeypatch.setattr(nodes, "is_answering", lambda path: True)
    with pytest.raises(DirectoryInUse):
        asyncio.run(running._started(node, directory))


@pytest.mark.parametrize("reads", [True, False])
def test_a_server_that_goes_before_it_answers_is_named_whatever_it_has_read(reads: bool) -> None:
    """With something of ours unread the operating system says that the connection was reset."""
    ours, its = socket.socketpair()

    class Goes(socket.socket):
        """Whose other end goes as soon as it was asked."""

        def sendall(self, data: Any, flags: int = 0) -> None:
            super().sendall(data, flags)
            if reads:
                its.recv(10_000)
            its.close()

    with pytest.raises(CommandFailure, match="The server of data has gone"):
        list(_asked(Goes(fileno=ours.detach()), Path("data"), "status", {}, endless=False))
