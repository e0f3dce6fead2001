"""What a world's loop waits for outside of it: sockets of C libraries, here one end of a pair."""

import asyncio
import socket
import threading
from collections.abc import Iterator

import pytest

from tailrace.testing import descriptors
from tailrace.testing.loop import SeededLoop
from tailrace.testing.sealing import NetworkRefused


@pytest.fixture
def loop() -> Iterator[SeededLoop]:
    """A loop whose sinks may call."""
    loop = SeededLoop(1)
    loop.descriptors.is_open = True
    yield loop
    loop.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two connected sockets."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


async def readable(loop: SeededLoop, ours: socket.socket) -> bytes:
    """What comes, once it has come."""
    came = asyncio.Event()
    loop.add_reader(ours, came.set)
    await came.wait()
    assert loop.remove_reader(ours)
    assert not loop.remove_reader(ours)
    return ours.recv(100)


def test_an_answer_is_waited_for_and_no_time_passes_meanwhile(
    loop: SeededLoop, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = pair
    answering = threading.Thread(target=theirs.send, args=[b"answer"])

    async def wait() -> tuple[bytes, float]:
        begun = loop.time()
        async with asyncio.timeout_at(begun + 60):  # it would jump there if nothing were waited for
            loop.call_soon(answering.start)
            return await readable(loop, ours), loop.time() - begun

    assert loop.run_until_complete(wait()) == (b"answer", 0.0)
    answering.join()


def test_a_socket_that_takes_bytes_is_told_beside_one_that_has_some(
    loop: SeededLoop, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = pair

    async def both() -> bytes:
        writable = asyncio.Event()
        loop.add_writer(ours, writable.set)
        reading = asyncio.ensure_future(readable(loop, ours))
        await writable.wait()
        assert loop.remove_writer(ours)
        theirs.send(b"answer")
        return await reading

    assert loop.run_until_complete(both()) == b"answer"


def test_who_stays_silent_is_left_to_the_timeouts_of_virtual_time(
    loop: SeededLoop, pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(descriptors, "SILENT_S", 0.01)

    async def wait() -> None:
        async with asyncio.timeout_at(loop.time() + 3_600):
            await readable(loop, pair[0])

    with pytest.raises(TimeoutError):
        loop.run_until_complete(wait())
    assert loop.time() >= 3_600


def test_nothing_is_watched_unless_sinks_may_call(pair: tuple[socket.socket, socket.socket]) -> None:
    loop = SeededLoop(1)
    for watch in (loop.add_reader, loop.add_writer):
        with pytest.raises(NetworkRefused, match="no sockets") as caught:
            watch(pair[0], print)
        assert 'sinks="real"' in str(caught.value.hint)
    assert not loop.remove_reader(pair[0])
    loop.close()
