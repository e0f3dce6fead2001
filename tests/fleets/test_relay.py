"""A relay passes bytes on, and is cut in each of its ways."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tests.fleets.relay import Place, Relay, Relays
from tests.patience import PATIENCE_S, eventually


class Echo:
    """A server that answers each request with it, and remembers what it got."""

    def __init__(self, path: Path | None) -> None:
        self.requests: list[bytes] = []
        family = socket.AF_INET if path is None else socket.AF_UNIX
        self._listener = socket.socket(family)
        self._listener.bind(("127.0.0.1", 0) if path is None else str(path))
        self._listener.listen()
        self.place: Place = path or self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while data := connection.recv(100):
                self.requests.append(data)
                connection.sendall(data)

    def close(self) -> None:
        """Take no connection any more."""
        self._listener.close()


@pytest.fixture(params=["port", "file"])
def way(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Echo, Relay]]:
    """A server and a relay before it, at ports or at socket files."""
    directory = tmp_path_factory.mktemp("r")
    is_file = request.param == "file"
    with closing(Echo(directory / "s" if is_file else None)) as server, Relays() as relays:
        yield server, relays.open(server.place, directory / "w" if is_file else 0)


def connected(relay: Relay) -> socket.socket:
    """A connection through it."""
    place = relay.place
    connection = socket.socket(socket.AF_INET if isinstance(place, int) else socket.AF_UNIX)
    connection.settimeout(PATIENCE_S)
    connection.connect(("127.0.0.1", place) if isinstance(place, int) else str(place))
    return connection


def asked(connection: socket.socket, data: bytes) -> bytes:
    """The answer; nothing when it is closed instead."""
    try:
        connection.sendall(data)
        return connection.recv(100)
    except ConnectionError:
        return b""


def test_bytes_go_through_and_come_back(way: tuple[Echo, Relay]) -> None:
    with connected(way[1]) as connection:
        assert asked(connection, b"one") == b"one"
        assert asked(connection, b"two") == b"two"


def test_refused_closes_what_is_open_and_what_comes_until_it_is_healed(way: tuple[Echo, Relay]) -> None:
    server, relay = way
    with connected(relay) as before:
        assert asked(before, b"one") == b"one"
        relay.cut("refused")
        assert before.recv(100) == b""
        with connected(relay) as during:
            assert asked(during, b"two") == b""
        relay.heal()
        with connected(relay) as after:
            assert asked(after, b"three") == b"three"
    assert server.requests == [b"one", b"three"]


def test_an_answer_is_lost_after_the_server_has_seen_the_request(way: tuple[Echo, Relay]) -> None:
    server, relay = way
    with connected(relay) as connection:
        assert asked(connection, b"one") == b"one"
        relay.cut("lost")
        assert asked(connection, b"two") == b""
    assert server.requests == [b"one", b"two"]


def test_late_answers_come_when_it_is_healed(way: tuple[Echo, Relay]) -> None:
    server, relay = way
    with connected(relay) as connection:
        relay.cut("late")
        connection.sendall(b"one")
        eventually(lambda: server.requests == [b"one"])
        relay.heal()
        assert connection.recv(100) == b"one"


def test_a_silent_way_lets_nothing_through_until_it_is_healed(way: tuple[Echo, Relay]) -> None:
    server, relay = way
    with connected(relay) as connection:
        assert asked(connection, b"one") == b"one"
        relay.cut("silent")
        connection.sendall(b"two")
        with connected(relay) as other:
            other.sendall(b"three")
            assert server.requests == [b"one"]
            relay.heal()
            assert connection.recv(100) == b"two"
            assert other.recv(100) == b"three"
