"""Answers that go on, over HTTP/1.1 and real sockets: chunks, back pressure, and every kind of end."""

import asyncio
import json
import logging
from collections.abc import Iterator

import pytest

from tailrace.api.streaming import StreamReset
from tailrace.api.taking import LARGE as LARGE_BODY
from tailrace.api.taking import Taken
from tailrace.server.http import HttpSettings
from tests.patience import eventually, until
from tests.serving import Client, Served, request, serving
from tests.unit.server.streams import NAME, Narration
from tests.unit.server.things import CREATE, LIST, FailingStore, put

ASK = request(NAME, {})
LARGE = bytes(400_000)


@pytest.fixture
def served() -> Iterator[Served]:
    with serving() as running:
        yield running


@pytest.fixture
def narration(served: Served) -> Narration:
    return Narration(served)


def head(client: Client) -> dict[str, str]:
    """The first lines of an answer that goes on."""
    while b"\r\n\r\n" not in client.buffer:
        client._more()
    first, _, client.buffer = client.buffer.partition(b"\r\n\r\n")
    status, *lines = first.decode().split("\r\n")
    assert status == "HTTP/1.1 200 OK"
    return {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in lines}


def chunk(client: Client) -> bytes:
    """The next chunk."""
    while b"\r\n" not in client.buffer:
        client._more()
    length, _, client.buffer = client.buffer.partition(b"\r\n")
    size = int(length, 16)
    while len(client.buffer) < size + 2:
        client._more()
    piece, client.buffer = client.buffer[:size], client.buffer[size + 2 :]
    return piece


def test_an_answer_goes_on_in_chunks_and_the_connection_lives(served: Served, narration: Narration) -> None:
    with served.connect() as client:
        client.send(ASK)
        headers = head(client)
        assert headers["content-type"] == "application/vnd.amazon.eventstream"
        assert headers["transfer-encoding"] == "chunked"
        assert len(headers["x-amzn-requestid"]) == 52
        assert "x-amz-crc32" not in headers
        assert "content-length" not in headers
        narration.tell(b"one")
        assert chunk(client) == b"one"
        narration.tell(b"two", None)
        assert [chunk(client), chunk(client)] == [b"two", b""]
        assert json.loads(client.ask(LIST)[2]) == {"TableNames": []}
    assert narration.ends == ["whole"]
    assert narration.kinds == [b"application/x-amz-json-1.0"]
    assert served.server.requests[NAME, "200"] == 1


def test_other_clients_are_answered_meanwhile(served: Served, narration: Narration) -> None:
    with served.connect() as client, served.connect() as other:
        client.send(ASK)
        head(client)
        assert other.ask(CREATE)[0] == 200
        assert other.ask(put("a"))[0] == 200
        narration.tell(b"one")
        assert chunk(client) == b"one"


def test_what_was_asked_before_is_answered_before_and_what_after_after(
    served: Served, narration: Narration
) -> None:
    with served.connect() as client:
        client.send(LIST + ASK + LIST)
        assert json.loads(client.receive()[2]) == {"TableNames": []}
        head(client)
        narration.tell(b"one", None)
        assert [chunk(client), chunk(client)] == [b"one", b""]
        assert json.loads(client.receive()[2]) == {"TableNames": []}


def test_an_answer_that_is_to_close_its_connection_has_no_chunks(
    served: Served, narration: Narration
) -> None:
    for ask in (request(NAME, {}, "Connection: close"), ASK.replace(b"HTTP/1.1", b"HTTP/1.0", 1)):
        with served.connect() as client:
            client.send(ask)
            headers = head(client)
            assert headers["connection"] == "close"
            assert "transfer-encoding" not in headers
            narration.tell(b"all", None)
            while len(client.buffer) < 3:
                client._more()
            assert client.buffer == b"all"
            assert client.is_closed()


def test_a_large_request_may_have_an_answer_that_goes_on(
    served: Served, narration: Narration, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def taken(*_: object) -> Taken:  # the process that takes requests apart does not know our operation
        await asyncio.sleep(0)
        return Taken(200, f"DynamoDB_20120810.{NAME}".encode(), b"{}")

    monkeypatch.setattr(served.server.takers, "take", taken)
    with served.connect() as client:
        client.send(request(NAME, b"{" + b" " * LARGE_BODY + b"}"))
        head(client)
        narration.tell(None)
        assert chunk(client) == b""


def test_an_operation_waits_for_a_client_that_does_not_read(served: Served, narration: Narration) -> None:
    with served.connect() as client:
        client.send(ASK)
        head(client)
        narration.tell(*([LARGE] * 100), None)
        eventually(lambda: narration.look(lambda: narration.outlets[0].is_blocked))
        assert narration.written < 50  # what kernels take, and not the rest
        assert sum(len(chunk(client)) for _ in range(100)) == 100 * len(LARGE)
        assert chunk(client) == b""
    assert narration.ends == ["whole"]


def test_a_client_that_goes_ends_the_answer(served: Served, narration: Narration) -> None:
    with served.connect() as client:
        client.send(ASK)
        head(client)
    until(lambda: narration.ends, ["cancelled"])
    until(lambda: len(served.server.connections), 0)
    assert not served.server.answering


def test_a_client_that_goes_while_the_answer_waits_for_it_ends_it(
    served: Served, narration: Narration
) -> None:
    with served.connect() as client:
        client.send(ASK)
        head(client)
        narration.tell(*([LARGE] * 100))
        eventually(lambda: narration.look(lambda: narration.outlets[0].is_blocked))
    until(lambda: narration.ends, ["cancelled"])


def test_an_answer_that_breaks_off_has_no_last_chunk(served: Served, narration: Narration) -> None:
    with served.connect() as client:
        client.send(ASK)
        head(client)
        narration.tell(b"one", StreamReset())
        assert chunk(client) == b"one"
        with pytest.raises(EOFError):
            chunk(client)
        assert client.buffer == b""
    assert narration.ends == ["reset"]


def test_an_answer_that_fails_breaks_off_and_is_logged(
    served: Served, narration: Narration, caplog: pytest.LogCaptureFixture
) -> None:
    with served.connect() as client, caplog.at_level(logging.ERROR, "tailrace.server"):
        client.send(ASK)
        head(client)
        narration.tell(ZeroDivisionError("no such number"))
        assert client.is_closed()
    assert "no such number" in caplog.text


def test_a_server_that_stops_ends_the_answer(served: Served, narration: Narration) -> None:
    with served.connect() as client:
        client.send(ASK)
        head(client)
        narration.tell(b"one")
        assert chunk(client) == b"one"
        served.run(served.server.drain())
        assert chunk(client) == b""
        assert client.is_closed()
    assert narration.ends == ["cancelled"]


def test_a_client_that_never_reads_is_let_go(caplog: pytest.LogCaptureFixture) -> None:
    settings = HttpSettings(write_seconds=0.02, request_seconds=0.1, read_seconds=0.1, header_seconds=0.1)
    with serving(settings) as served, served.connect() as client:
        narration = Narration(served)
        client.send(ASK)
        head(client)
        narration.tell(*([LARGE] * 100))
        until(lambda: narration.ends, ["cancelled"])
        until(lambda: len(served.server.connections), 0)


def test_where_a_commit_fails_no_answer_goes_on() -> None:
    store = FailingStore()
    with serving(store=store) as served, served.connect() as client, served.connect() as other:
        narration = Narration(served)
        assert client.ask(CREATE)[0] == 200
        assert other.ask(LIST)[0] == 200
        store.is_failing = True

        def together() -> None:
            one, two = served.server.connections
            one.data_received(ASK)
            served.loop.call_soon(
                two.data_received, put("a")
            )  # joins the commit that the first lines wait for

        served.call(together)
        assert [client.receive()[0], other.receive()[0]] == [500, 500]
        store.is_failing = False
        assert client.ask(put("a"))[0] == 200
        assert narration.begun == 0
