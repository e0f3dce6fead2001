"""HTTP/2 by prior knowledge, through real sockets: h2's client side asks, and sends what no client may."""

import asyncio
import json
import logging
from collections.abc import Iterator
from typing import Final
from zlib import crc32

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.api.streaming import StreamReset
from tailrace.server.http import HTTP2_PREFACE as PREFACE
from tailrace.server.http import HttpSettings
from tailrace.server.http2 import FRAME_BYTES, STREAMS, WINDOW_BYTES, FrameLengths
from tests.http2 import SIGNED, Http2Client
from tests.patience import eventually, until
from tests.serving import Client, Served, serving
from tests.unit.server.streams import NAME, Narration
from tests.unit.server.things import CREATE, LIST, FailingStore

PUT: Final = b'{"TableName":"things","Item":{"pk":{"S":"%b"},"text":{"S":"%b"}}}'
GET: Final = b'{"TableName":"things","Key":{"pk":{"S":"%b"}}}'


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    async def ready() -> tuple[int, str, bytes]:
        await asyncio.sleep(0)
        return 503, "application/json", b"{}"

    with serving(routes={"/ready": ready}) as running:
        running.loop.set_exception_handler(lambda _, context: traces.append(context))
        with running.connect() as client:
            assert client.ask(CREATE)[0] == 200
        yield running


traces: Final[list[object]] = []
"""What the loop of `served` had to catch."""


@pytest.fixture
def client(served: Served) -> Iterator[Http2Client]:
    with Http2Client(served.port) as connected:
        yield connected


@pytest.fixture
def alone() -> Iterator[Served]:
    """A server of the test's own."""
    with serving() as running:
        yield running


# ---- requests and answers ----------------------------------------------------------------------------------


def test_an_answer_is_what_it_is_over_http_1_1(client: Http2Client) -> None:
    status, headers, body = client.answer(client.ask("ListTables"))
    assert (status, json.loads(body)) == (200, {"TableNames": ["things"]})
    assert headers["content-type"] == "application/x-amz-json-1.0"
    assert int(headers["x-amz-crc32"]) == crc32(body)
    assert len(headers["x-amzn-requestid"]) == 52
    assert headers["content-length"] == str(len(body))
    assert "connection" not in headers


def test_a_preface_may_come_byte_by_byte(served: Served) -> None:
    with Http2Client(served.port) as client, Client(served.port) as raw:
        for byte in PREFACE:
            raw.send(bytes((byte,)))
        raw._more()
        assert raw.buffer[3] == 4  # our settings
        assert client.answer(client.ask("ListTables"))[0] == 200


def test_what_only_begins_like_a_preface_is_http_1_1(served: Served) -> None:
    with served.connect() as client:
        client.send(b"P")
        assert client.ask(LIST.removeprefix(b"P"))[0] == 200
    with served.connect() as client:
        assert client.ask(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n")[0] == 400


def test_a_hundred_requests_are_answered_at_once(served: Served, client: Http2Client) -> None:
    puts = [client.ask("PutItem", PUT % (b"k%d" % number, b"t")) for number in range(50)]
    gets = [client.ask("GetItem", GET % b"k%d" % number) for number in range(50)]
    client.wait(*puts, *gets)
    assert {client.statuses[stream] for stream in puts + gets} == {200}
    assert [json.loads(client.bodies[stream])["Item"]["pk"]["S"] for stream in gets] == [
        f"k{number}" for number in range(50)
    ]


def test_a_body_larger_than_a_window_is_taken_and_given_back(client: Http2Client) -> None:
    text = b"x" * 350_000
    assert client.answer(client.ask("PutItem", PUT % (b"large", text)))[0] == 200
    _, headers, body = client.answer(client.ask("GetItem", GET % b"large"))
    assert len(body) > 350_000
    assert int(headers["x-amz-crc32"]) == crc32(body)
    many = b"[%b]" % b",".join(b'{"n":%d}' % number for number in range(200_000))
    assert len(many) > 2 * WINDOW_BYTES
    assert client.answer(client.ask("PutItem", many))[0] == 400


def test_answers_may_be_compressed(client: Http2Client) -> None:
    client.wait(client.ask("PutItem", PUT % (b"zip", b"x" * 9_000)))
    _, headers, body = client.answer(client.ask("GetItem", GET % b"zip", accept_encoding="gzip"))
    assert headers["content-encoding"] == "gzip"
    assert len(body) < 9_000


def test_paths_are_answered_too(client: Http2Client) -> None:
    health = client.answer(client.begin("GET", "/", ends=True))
    assert (health[0], health[2]) == (200, b"healthy: dynamodb.us-east-1.amazonaws.com ")
    assert client.answer(client.begin("GET", "/ready", ends=True))[0] == 503
    assert client.answer(client.begin("GET", "/nothing", ends=True))[0] == 404
    head = client.answer(client.begin("HEAD", "/nothing", ends=True))
    assert (head[0], head[2]) == (404, b"")


def test_a_foreign_name_is_refused(client: Http2Client) -> None:
    stream = client.begin(**SIGNED, host="evil.example", ends=True)
    assert client.answer(stream)[0] == 403


def test_whoever_waits_for_a_continue_gets_it(client: Http2Client) -> None:
    stream = client.begin(**SIGNED, x_amz_target="DynamoDB_20120810.ListTables", expect="100-continue")
    client.flush()
    while stream not in client.continued:
        client.receive()
    client.send_body(stream, b"{}")
    assert client.answer(stream)[0] == 200


def test_a_commit_that_fails_fails_the_answer() -> None:
    store = FailingStore()
    with serving(store=store) as served, served.connect() as maker, Http2Client(served.port) as client:
        assert maker.ask(CREATE)[0] == 200
        store.is_failing = True
        assert client.answer(client.ask("PutItem", PUT % (b"a", b"t")))[0] == 500
        store.is_failing = False
        assert client.answer(client.ask("PutItem", PUT % (b"a", b"t")))[0] == 200


# ---- bounds ------------------------------------------------------------------------------------------------


def test_the_client_is_told_the_bounds_and_one_stream_more_ends_the_connection(served: Served) -> None:
    with Http2Client(served.port) as client:
        client.wait(client.ask("ListTables"))
        told = client.h2.remote_settings
        assert told[SettingCodes.MAX_CONCURRENT_STREAMS] == STREAMS
        assert told[SettingCodes.MAX_HEADER_LIST_SIZE] == HttpSettings().header_bytes
        for _ in range(STREAMS):
            client.begin(**SIGNED)
        client.h2.ping(b"12345678")
        client.flush()
        while not client.pongs:
            client.receive()
        client.h2.remote_settings[SettingCodes.MAX_CONCURRENT_STREAMS] = STREAMS + 1
        client.h2.remote_settings.acknowledge()
        client.begin(**SIGNED)
        client.flush()
        assert client.wait_for_end() == ErrorCodes.PROTOCOL_ERROR


def test_headers_beyond_their_bound_end_the_connection(client: Http2Client) -> None:
    assert client.answer(client.begin("GET", "/", note="n" * 15_000, ends=True))[0] == 200
    client.begin("GET", "/", note="n" * 17_000, ends=True)
    client.flush()
    assert client.wait_for_end() == ErrorCodes.ENHANCE_YOUR_CALM


def test_a_body_beyond_its_bound_is_refused_and_other_streams_go_on() -> None:
    with serving(HttpSettings(body_bytes=1_000)) as served, Http2Client(served.port) as client:
        assert client.answer(client.ask("ListTables", b"{}" + b" " * 998))[0] == 200
        declared = client.begin(**SIGNED, content_length="1001")
        streamed = client.begin(**SIGNED)
        client.h2.send_data(streamed, b"{}" + b" " * 999)
        client.flush()
        for stream in (declared, streamed):
            assert client.answer(stream)[0] == 413
        while not client.resets.keys() >= {declared, streamed}:
            client.receive()
        assert set(client.resets.values()) == {ErrorCodes.NO_ERROR}
        assert client.answer(client.ask("ListTables"))[0] == 200


def test_bodies_together_have_a_bound_and_give_it_back() -> None:
    with serving(HttpSettings(bodies_bytes=10_000)) as served, Http2Client(served.port) as client:
        held = client.begin(**SIGNED)
        client.h2.send_data(held, b" " * 6_000)
        client.flush()
        more = client.begin(**SIGNED)
        client.h2.send_data(more, b" " * 6_000)
        client.flush()
        assert client.answer(more)[0] == 503
        client.h2.reset_stream(held)
        client.flush()
        until(lambda: served.server.held, 0)
        assert client.answer(client.ask("ListTables", b"{}" + b" " * 6_000))[0] == 200
        assert served.server.held == 0


def test_requests_wait_while_answers_wait_for_their_client(alone: Served) -> None:
    with alone.connect() as maker, Http2Client(alone.port, reads=False) as client:
        assert maker.ask(CREATE)[0] == 200
        assert client.answer(client.ask("PutItem", PUT % (b"large", b"x" * 350_000)))[0] == 200
        streams = [client.ask("GetItem", GET % b"large") for _ in range(20)]
        client.h2.ping(b"12345678")
        client.flush()
        while not client.pongs:
            client.receive()
        assert alone.server.requests["GetItem", "200"] < 8  # a MiB of answers, and one more
        client.reads = True
        client.h2.increment_flow_control_window(20_000_000)
        for stream in streams:
            client.h2.increment_flow_control_window(1_000_000, stream)
        client.flush()
        client.wait(*streams)
        assert {len(client.bodies[stream]) for stream in streams} == {len(client.bodies[streams[0]])}
    assert alone.server.requests["GetItem", "200"] == 20


def test_streams_that_are_reset_at_once_cost_no_memory(client: Http2Client, served: Served) -> None:
    for _ in range(2_000):
        stream = client.ask("ListTables")
        client.h2.reset_stream(stream)
    client.flush()
    assert client.answer(client.ask("ListTables"))[0] == 200
    assert served.server.held == 0
    (connection,) = served.server.connections
    assert not connection._streams  # type: ignore[attr-defined]


# ---- answers that go on ------------------------------------------------------------------------------------


def test_an_answer_goes_on_beside_others(alone: Served) -> None:
    narration = Narration(alone)
    with Http2Client(alone.port) as client:
        stream = client.ask(NAME)
        while stream not in client.headers:
            client.receive()
        assert client.headers[stream]["content-type"] == "application/vnd.amazon.eventstream"
        assert "transfer-encoding" not in client.headers[stream]
        narration.tell(b"one")
        assert client.body_so_far(stream, 3) == b"one"
        assert client.answer(client.ask("ListTables"))[0] == 200
        narration.tell(b"two", None)
        assert client.answer(stream)[2] == b"onetwo"
    assert narration.ends == ["whole"]


def test_an_operation_waits_for_the_windows_of_its_client_and_others_do_not(alone: Served) -> None:
    narration = Narration(alone)
    with Http2Client(alone.port, reads=False) as client:
        slow = client.ask(NAME)
        client.body_so_far(slow, 0)
        eventually(lambda: narration.begun)
        narration.tell(*([bytes(50_000)] * 10), None)
        client.body_so_far(slow, 65_535)
        assert narration.written == 1  # the second one waits for its rest
        client.h2.increment_flow_control_window(1_000_000)  # of the connection, not of the stream
        client.flush()
        assert client.answer(client.ask("ListTables"))[0] == 200
        assert len(client.bodies[slow]) == 65_535
        client.h2.increment_flow_control_window(1_000_000, slow)
        client.flush()
        assert len(client.answer(slow)[2]) == 500_000
    assert narration.ends == ["whole"]


def test_a_client_that_resets_its_stream_ends_the_answer(alone: Served) -> None:
    narration = Narration(alone)
    with Http2Client(alone.port, reads=False) as client:
        for size in (10, 100_000):  # one that waits for the operation, one that waits for the client
            stream = client.ask(NAME)
            eventually(lambda: narration.begun == len(narration.ends) + 1)
            narration.tell(bytes(size))
            client.body_so_far(stream, 10)
            client.h2.reset_stream(stream, ErrorCodes.CANCEL)
            client.flush()
            eventually(lambda: narration.begun == len(narration.ends))
        assert narration.ends == ["cancelled", "cancelled"]
        assert client.answer(client.ask("ListTables"))[0] == 200


def test_a_client_that_goes_ends_all_of_its_answers(alone: Served) -> None:
    narration = Narration(alone)
    with Http2Client(alone.port) as client:
        client.ask(NAME)
        client.ask(NAME)
        eventually(lambda: narration.begun == 2)
    until(lambda: narration.ends, ["cancelled", "cancelled"])
    until(lambda: len(alone.server.connections), 0)
    assert not alone.server.answering


def test_what_breaks_off_is_reset(alone: Served, caplog: pytest.LogCaptureFixture) -> None:
    narration = Narration(alone)
    with Http2Client(alone.port) as client, caplog.at_level(logging.ERROR, "tailrace.server"):
        for told in (StreamReset(), ZeroDivisionError("no such number")):
            stream = client.ask(NAME)
            eventually(lambda: narration.begun == len(narration.ends) + 1)
            narration.tell(b"one", told)
            client.wait(stream)
            assert client.bodies[stream] == b"one"
            assert client.resets[stream] == ErrorCodes.CANCEL
    assert narration.ends == ["reset", "failed"]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


# ---- ends --------------------------------------------------------------------------------------------------


def test_a_server_that_stops_sends_goaway_and_ends_what_goes_on(alone: Served) -> None:
    narration = Narration(alone)
    with Http2Client(alone.port) as client:
        stream = client.ask(NAME)
        body = client.begin(**SIGNED, x_amz_target="DynamoDB_20120810.ListTables")
        client.flush()
        eventually(lambda: narration.begun)
        narration.tell(b"one")
        client.body_so_far(stream, 3)
        stopping = asyncio.run_coroutine_threadsafe(alone.server.drain(), alone.loop)
        assert client.answer(stream)[2] == b"one"
        assert client.gone == ErrorCodes.NO_ERROR
        assert not client.is_closed
        late = client.ask("ListTables")
        client.wait(late)
        assert client.resets[late] == ErrorCodes.REFUSED_STREAM
        client.send_body(body, b"{}")  # what had begun is still answered
        while not client.is_closed:
            client.receive()
        assert client.statuses[body] == 200
        stopping.result()
    assert narration.ends == ["cancelled"]


def test_a_client_that_says_goaway_gets_what_it_has_asked_for(alone: Served) -> None:
    narration = Narration(alone)
    with Http2Client(alone.port) as client:
        stream = client.ask(NAME)
        eventually(lambda: narration.begun)
        client.say_goaway()
        narration.tell(b"one")
        assert client.body_so_far(stream, 3) == b"one"
        narration.tell(None)
        assert client.answer(stream)[2] == b"one"
        assert client.wait_for_end() is None
    assert narration.ends == ["whole"]


def test_a_client_that_has_said_goaway_does_not_hold_up_a_server_that_stops(alone: Served) -> None:
    narration = Narration(alone)
    with Http2Client(alone.port) as client:
        stream = client.ask(NAME)
        eventually(lambda: narration.begun)
        client.say_goaway()
        narration.tell(b"one")
        client.body_so_far(stream, 3)
        alone.run(alone.server.drain())
        assert client.answer(stream)[2] == b"one"
    assert narration.ends == ["cancelled"]


def test_a_body_may_come_in_pieces_of_a_byte(client: Http2Client) -> None:
    stream = client.begin(**{**SIGNED, "x-amz-target": "DynamoDB_20120810.ListTables"})
    for _ in range(2_000):
        client.h2.send_data(stream, b" ")
    client.send_body(stream, b"{}")
    assert client.answer(stream)[0] == 200


def test_whoever_stands_still_is_let_go() -> None:
    quick = HttpSettings(
        header_seconds=0.1, read_seconds=0.1, request_seconds=0.3, idle_seconds=0.15, write_seconds=0.1
    )
    with serving(quick) as served:
        narration = Narration(served)
        with Http2Client(served.port) as client:  # says nothing
            assert client.wait_for_end() == ErrorCodes.NO_ERROR
        with served.connect() as raw:  # not even a whole preface
            raw.send(PREFACE[:-1])
            assert raw.is_closed()
        with Http2Client(served.port) as client:  # the rest of a body never comes
            stream = client.begin(**SIGNED)
            client.flush()
            client.wait(stream)
            assert client.resets[stream] == ErrorCodes.CANCEL
        with Http2Client(served.port, reads=False) as client:  # never opens its window
            stream = client.ask(NAME)
            eventually(lambda: narration.begun)
            narration.tell(bytes(100_000))
            client.wait(stream)
            assert client.resets[stream] == ErrorCodes.CANCEL
        until(lambda: narration.ends, ["cancelled"])


def test_a_client_that_reads_nothing_at_all_is_let_go() -> None:
    with serving(HttpSettings(write_seconds=0.1)) as served:
        narration = Narration(served)
        with Http2Client(served.port, reads=False) as client:
            client.h2.increment_flow_control_window(2**31 - 1 - 65_535)
            client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 2**31 - 1})
            client.ask(NAME)
            eventually(lambda: narration.begun)
            narration.tell(*([bytes(1_000_000)] * 50))
            until(lambda: narration.ends, ["cancelled"])
            assert narration.written < 40


# ---- what no client may send -------------------------------------------------------------------------------


def conversation() -> bytes:
    """What an honest client says: a PutItem, a GetItem and a ping."""
    client = H2Connection(H2Configuration(client_side=True))
    client.initiate_connection()
    for operation, body in ("PutItem", PUT % (b"a", b"t")), ("GetItem", GET % b"a"):
        stream = client.get_next_available_stream_id()
        pseudo = {":method": "POST", ":path": "/", ":scheme": "http", ":authority": "localhost"}
        headers = {**pseudo, **SIGNED, "x-amz-target": f"DynamoDB_20120810.{operation}"}
        client.send_headers(stream, list(headers.items()))
        client.send_data(stream, body, end_stream=True)
    client.ping(b"12345678")
    client.increment_flow_control_window(1_000)
    return client.data_to_send()


HONEST: Final = conversation()


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(len(PREFACE), len(HONEST) - 1), st.integers(0, 255)), min_size=1, max_size=4
    ),
    st.booleans(),
)
def test_damaged_frames_end_in_an_answer_or_in_goaway(
    served: Served, damages: list[tuple[int, int]], cut: bool
) -> None:
    data = bytearray(HONEST)
    for at, byte in damages:
        data[at] = byte
    with Client(served.port) as client:
        client.send(bytes(data[: damages[0][0]] if cut else data))
        client.socket.shutdown(1)
        while chunk := received(client):
            assert chunk
    with Http2Client(served.port) as client:
        assert client.answer(client.ask("ListTables"))[0] == 200
    assert traces == []


def received(client: Client) -> bytes:
    try:
        return client.socket.recv(65_536)
    except ConnectionError:
        return b""


@given(st.binary(max_size=300))
@settings(max_examples=60)
def test_any_bytes_behind_a_preface_are_survived(served: Served, data: bytes) -> None:
    with Client(served.port) as client:
        client.send(PREFACE + data)
        client.socket.shutdown(1)
        while received(client):
            pass
    assert served.call(lambda: served.server.held) == 0
    assert traces == []


def test_frames_that_are_none_end_in_goaway(served: Served) -> None:
    with Http2Client(served.port) as client:
        client.wait(client.ask("ListTables"))
        client.socket.sendall(b"\x00\x00\x01\x06\x00\x00\x00\x00\x00x")  # a ping of one byte
        assert client.wait_for_end() == ErrorCodes.FRAME_SIZE_ERROR


def test_a_frame_that_says_it_is_too_long_is_not_waited_for(served: Served) -> None:
    def told(length: int) -> bytes:
        return length.to_bytes(3) + b"\xfa\x00\x00\x00\x00\x00"  # of a kind that nobody knows

    with Http2Client(served.port) as client:
        client.socket.sendall(told(FRAME_BYTES) + bytes(FRAME_BYTES))
        assert client.answer(client.ask("ListTables"))[0] == 200
        client.socket.sendall(told(FRAME_BYTES + 1))
        assert client.wait_for_end() == ErrorCodes.FRAME_SIZE_ERROR


@given(st.lists(st.integers(0, FRAME_BYTES + 2), max_size=5), st.lists(st.integers(1, 40_000), max_size=8))
def test_frames_are_measured_in_whatever_pieces_they_come(sizes: list[int], cuts: list[int]) -> None:
    data = PREFACE + b"".join(size.to_bytes(3) + bytes(6 + size) for size in sizes)
    lengths, at, fits = FrameLengths(len(PREFACE)), 0, True
    for cut in (*cuts, len(data)):
        fits = fits and lengths.fit(data[at : at + cut])
        at += cut
    assert fits == all(size <= FRAME_BYTES for size in sizes)
