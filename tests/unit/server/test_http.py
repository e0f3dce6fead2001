"""The HTTP server through real sockets: order, limits, time-outs, group commit."""

import asyncio
import contextlib
import gc
import json
import logging
import socket
import threading
import weakref
from collections.abc import Callable, Iterator
from zlib import crc32

import pytest

from tailrace.engine.engine import Engine
from tailrace.server.http import HttpSettings
from tailrace.streams.dates import http_date
from tests.patience import PATIENCE_S
from tests.serving import Client, Served, chunked, request, serving
from tests.unit.server.things import CREATE, LIST, get, put

QUICK = HttpSettings(
    header_seconds=0.1,
    read_seconds=0.1,
    request_seconds=0.2,
    idle_seconds=0.15,
    linger_seconds=0.1,
    write_seconds=0.2,
)


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    async def ready() -> tuple[int, str, bytes]:
        await asyncio.sleep(0)
        return 503, "application/json", b"{}"

    async def bad() -> tuple[int, str, bytes]:
        raise ZeroDivisionError

    with serving(routes={"/ready": ready, "/bad": bad}) as running:
        with running.connect() as client:
            assert client.ask(CREATE)[0] == 200
        yield running


@pytest.fixture
def client(served: Served) -> Iterator[Client]:
    with served.connect() as connected:
        yield connected


def test_an_answer_has_awss_headers(client: Client) -> None:
    status, headers, body = client.ask(LIST)
    assert (status, json.loads(body)) == (200, {"TableNames": ["things"]})
    assert headers["content-type"] == "application/x-amz-json-1.0"
    assert int(headers["x-amz-crc32"]) == crc32(body)
    assert len(headers["x-amzn-requestid"]) == 52


def test_every_answer_says_who_and_when_by_the_servers_clock(served: Served) -> None:
    date = http_date(served.engine.clock.now().wall_ms)
    host = b" HTTP/1.1\r\nHost: localhost\r\n\r\n"
    asked = {
        200: LIST,
        404: b"DELETE /" + host,
        400: request("ListTables", b"["),
        403: LIST.replace(b"Host: localhost", b"Host: evil.example"),
        413: LIST.replace(b"Content-Length: 2", b"Content-Length: 16777217"),
        500: b"GET /bad" + host,
        503: b"GET /ready" + host,
    }
    for status, data in (*asked.items(), (200, b"GET /" + host), (400, b"nonsense\r\n\r\n")):
        with served.connect() as client:
            answer, headers, _ = client.ask(data)
            assert (answer, headers["server"], headers["date"]) == (status, "Server", date)


def test_the_date_goes_with_the_servers_clock() -> None:
    settings = HttpSettings(idle_seconds=60.0, linger_seconds=0.02)  # it sweeps every five milliseconds
    with serving(settings) as served, served.connect() as client:
        served.clock.advance(86_400_000)
        tomorrow = http_date(served.clock.now().wall_ms)
        while client.ask(LIST)[1]["date"] != tomorrow:
            pass


def test_sixteen_kilobytes_of_headers_are_read_and_no_more(client: Client) -> None:
    plain = len(LIST.partition(b"\r\n\r\n")[0].partition(b"\r\n")[2]) + len("/") + len("\r\n")
    room = 16_384 - plain - len("X: \r\n")
    client.send(request("ListTables", {}, f"X: {'y' * room}"))
    assert client.receive()[0] == 200
    client.send(request("ListTables", {}, f"X: {'y' * (room + 1)}"))
    assert client.receive()[0] == 400
    assert client.is_closed()


def test_plain_json_is_answered_as_plain_json(client: Client) -> None:
    _, headers, _ = client.ask(LIST.replace(b"x-amz-json-1.0", b"json"))
    assert headers["content-type"] == "application/json"


def test_health_routes_and_everything_else(client: Client) -> None:
    host = b" HTTP/1.1\r\nHost: localhost\r\n"
    assert client.ask(b"GET /" + host + b"\r\n")[2] == b"healthy: dynamodb.us-east-1.amazonaws.com "
    assert client.ask(b"GET /ready" + host + b"\r\n")[0] == 503
    for target in (b"GET /nothing", b"PUT /", b"DELETE /", b"OPTIONS /", b"POST /other"):
        assert client.ask(target + host + b"\r\n")[::2] == (404, b"<UnknownOperationException/>\n")
    assert client.ask(LIST.replace(b"application/x-amz-json-1.0", b"text/plain"))[0] == 404


def test_what_is_no_operation_has_an_identity_and_a_checksum_too(client: Client) -> None:
    for target in (b"GET /", b"DELETE /", b"POST /other"):
        _, headers, body = client.ask(target + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert headers["x-amz-crc32"] == str(crc32(body))
        assert len(headers["x-amzn-requestid"]) == 52


def test_head_is_answered_without_a_body(client: Client) -> None:
    client.send(b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n" + LIST)
    data = b""
    while b"TableNames" not in data:
        data += client.socket.recv(65536)
    assert data.startswith(b"HTTP/1.1 404")
    assert b"<Unknown" not in data


def test_a_fault_of_a_route_is_500_and_logged(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    assert client.ask(b"GET /bad HTTP/1.1\r\nHost: localhost\r\n\r\n")[0] == 500
    assert client.ask(LIST)[0] == 200
    assert "ZeroDivisionError" in caplog.text


def test_answers_of_pipelined_requests_come_in_order(client: Client) -> None:
    names = [f"p{number}" for number in range(300)]
    client.send(b"".join(put(name) for name in names) + b"".join(get(name) for name in names))
    for _ in names:
        assert client.receive()[0] == 200
    assert [json.loads(client.receive()[2])["Item"]["pk"]["S"] for _ in names] == names


def test_a_request_may_arrive_byte_by_byte(client: Client) -> None:
    for byte in LIST:
        client.send(bytes([byte]))
    assert client.receive()[0] == 200


def test_chunked_bodies_are_read(client: Client) -> None:
    assert client.ask(chunked("ListTables", b'{"Li', b'mit":', b" 1}"))[0] == 200


def test_the_client_is_told_to_continue_once_and_in_order(client: Client) -> None:
    head, _, body = get("p1", "Expect: 100-continue").partition(b"\r\n\r\n")
    client.send(head + b"\r\n\r\n")
    assert client.receive()[0] == 100
    assert client.ask(body)[0] == 200
    client.send(LIST + head + b"\r\n\r\n")
    assert [client.receive()[0], client.receive()[0]] == [200, 100]
    assert client.ask(body)[0] == 200


@pytest.mark.parametrize(
    "data",
    [
        request("ListTables", {}, "Connection: close"),
        LIST.replace(b"HTTP/1.1", b"HTTP/1.0"),
        LIST.replace(b"HTTP/1.1", b"HTTP/1.0").replace(b"Host", b"Connection: keep-alive\r\nHost"),
    ],
)
def test_the_connection_closes_when_the_client_says_so(client: Client, data: bytes) -> None:
    status, headers, _ = client.ask(data)
    assert (status, headers["connection"]) == (200, "close")
    assert client.is_closed()


def test_a_half_closed_client_gets_its_answers(client: Client) -> None:
    client.send(LIST + LIST)
    client.socket.shutdown(1)
    assert [client.receive()[0], client.receive()[0]] == [200, 200]
    assert client.is_closed()


@pytest.mark.parametrize("data", [b"", LIST[:20], LIST[:-1], b"POST / HT"])
def test_a_half_closed_client_without_a_whole_request_is_let_go(client: Client, data: bytes) -> None:
    client.send(data)
    client.socket.shutdown(1)
    assert client.is_closed()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 400),
        (LIST.replace(b"Content-Length: 2", b"Content-Length: x"), 400),
        (LIST.replace(b"Content-Length: 2", b"Content-Length: 2\r\nContent-Length: 3"), 400),
        (LIST.replace(b"Content-Length: 2", b"Content-Length: 2\r\nTransfer-Encoding: chunked"), 400),
        (LIST.replace(b"Content-Length: 2", b"Content-Length: 16777217"), 413),
        (LIST.replace(b"Content-Length: 2", b"Content-Length: 9" + b"9" * 17), 413),
        (b"GET / HTTP/1.1\r\nX: " + b"y" * 70_000 + b"\r\n\r\n", 400),
        (b"GET /" + b"y" * 70_000 + b" HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + b"".join(b"X%d: y\r\n" % n for n in range(20_000)) + b"\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: " + b"y" * 700_000, 400),
    ],
)  # fmt: skip
def test_what_is_no_good_http_is_refused_and_closed(client: Client, data: bytes, status: int) -> None:
    client.send(data)
    answer, headers, _ = client.receive()
    assert (answer, headers["connection"]) == (status, "close")
    assert client.is_closed()


def test_a_body_that_grows_too_large_is_refused(client: Client) -> None:
    piece = b"x" * 1_000_000
    client.send(chunked("PutItem", *[piece] * 18))
    assert client.receive()[0] == 413


@pytest.mark.parametrize(
    "data",
    [
        b"CONNECT x HTTP/1.1\r\nHost: localhost\r\n\r\n",
        LIST.replace(b"Host", b"Upgrade: h2c\r\nConnection: upgrade\r\nHost"),
    ],
)
def test_nothing_is_upgraded(client: Client, data: bytes) -> None:
    client.send(data)
    assert client.receive()[0] in (200, 400, 404)


def test_another_host_name_is_forbidden(client: Client) -> None:
    status, _, body = client.ask(LIST.replace(b"Host: localhost", b"Host: evil.example"))
    assert status == 403
    assert "'evil.example'" in json.loads(body)["message"]
    assert client.ask(LIST)[0] == 200


def test_what_a_client_did_wrong_keeps_the_connection(client: Client) -> None:
    assert client.ask(request("PutItem", b"{"))[0] == 400
    assert client.ask(request("Nothing", {}))[0] == 400
    assert client.ask(LIST)[0] == 200


def test_a_fault_inside_is_logged_once_and_answered_500(
    served: Served, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("planted")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Engine, "list_tables", broken)
        status, _, body = client.ask(LIST)
    assert (status, json.loads(body)) == (
        500,
        {
            "__type": "com.amazonaws.dynamodb.v20120810#InternalServerError",
            "message": "Internal server error",
        },
    )
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert client.ask(LIST)[0] == 200
    assert served.server.requests[("ListTables", "500")] == 1


def test_large_answers_of_a_pipeline_wait_for_the_reader(served: Served, client: Client) -> None:
    big = "x" * 300_000
    assert (
        client.ask(
            request("PutItem", {"TableName": "things", "Item": {"pk": {"S": "big"}, "a": {"S": big}}})
        )[0]
        == 200
    )
    client.send(get("big") * 60)
    lengths = {len(client.receive()[2]) for _ in range(60)}
    assert len(lengths) == 1
    assert lengths.pop() > 300_000


def test_points_are_passed_in_order(served: Served, client: Client) -> None:
    # On the loop, before and after: the last point is passed when a client may have its answer already.
    served.call(served.points.clear)
    assert client.ask(put("point"))[0] == 200
    points = served.call(lambda: list(served.points))
    assert points[0] == "write.received"
    assert points.index("write.mutated") < points.index("commit.done")
    assert points[-1] == "answer.sent"


def test_no_connection_leaks(served: Served) -> None:
    for _ in range(20):
        with served.connect() as client:
            client.send(LIST[:30])
    with served.connect() as client:
        client.ask(LIST)
        assert served.call(lambda: len(served.server.connections)) <= 2


# ---- memory and work ---------------------------------------------------------------------------------------


def test_header_bytes_count_for_one_request_however_many_are_pipelined(client: Client) -> None:
    client.send(put("p1"))
    assert client.receive()[0] == 200
    many = get("p1") * 3_000
    sender = threading.Thread(target=client.send, args=(many,))
    sender.start()
    assert {client.receive()[0] for _ in range(3_000)} == {200}
    sender.join()


@pytest.mark.parametrize("second", ["Host", "host", "HOST"])
def test_the_first_of_two_host_lines_counts(client: Client, second: str) -> None:
    good, bad = "Host: localhost\r\n", f"{second}: evil.example\r\n"
    first = LIST.replace(good.encode(), (good + bad).encode())
    other = LIST.replace(good.encode(), (bad + good).encode())
    assert [client.ask(first)[0], client.ask(other)[0], client.ask(LIST)[0]] == [200, 403, 200]


def test_trailers_without_an_end_are_refused(client: Client) -> None:
    head = chunked("ListTables", b"{}").removesuffix(b"\r\n")
    client.send(head)
    trailers = b"".join(b"x-%d: %b\r\n" % (number, b"y" * 1_000) for number in range(1_000))
    client.send(trailers)
    assert client.receive()[0] == 400
    assert client.is_closed()


def test_a_trailer_replaces_no_header(client: Client) -> None:
    head = chunked("ListTables", b"{}").removesuffix(b"\r\n")
    assert client.ask(head + b"Host: evil.example\r\n\r\n")[0] == 200


def wait_for(served: Served, expected: int, size: Callable[[], int]) -> None:
    """Until the server has taken in what was sent; each round takes a turn of its loop."""
    while served.call(size) != expected:
        pass


def test_bodies_that_are_not_complete_share_one_bound_and_the_next_is_told_to_retry() -> None:
    with serving(HttpSettings(bodies_bytes=900_000)) as served, contextlib.ExitStack() as stack:
        started = request("PutItem", b" " * 600_000)[:-100_000]
        head = started.index(b"\r\n\r\n") + 4
        one, two, three = (stack.enter_context(served.connect()) for _ in range(3))
        one.send(started)
        wait_for(served, len(started) - head, lambda: served.server.held)
        two.send(started)
        status, headers, body = two.receive()
        assert (status, headers["retry-after"], headers["connection"]) == (503, "1", "close")
        assert json.loads(body)["__type"] == "com.amazon.coral.service#ServiceUnavailable"
        assert three.ask(LIST)[0] == 200  # a small request needs no room
        one.send(b" " * 100_000)
        assert one.receive()[0] == 400
        wait_for(served, 0, lambda: served.server.held)


@pytest.mark.parametrize("is_half", [True, False])
def test_an_aborted_upload_gives_its_room_back(is_half: bool) -> None:
    with serving() as served, served.connect() as client:
        client.send(request("PutItem", b" " * 600_000)[:-1])
        while served.call(lambda: served.server.held) < 599_999:
            pass
        if is_half:
            client.socket.shutdown(socket.SHUT_WR)
        else:
            client.socket.close()
        wait_for(served, 0, lambda: len(served.server.connections))
        assert served.call(lambda: served.server.held) == 0


def test_a_connection_is_given_back_when_it_ends_without_a_collection_of_garbage() -> None:
    with serving() as served:
        gc.collect()
        gc.disable()
        try:
            with served.connect() as client:
                client.send(request("PutItem", b" " * 100_000)[:-1])
                while served.call(lambda: served.server.held) < 99_999:
                    pass
                known = served.call(lambda: [weakref.ref(one) for one in served.server.connections])
            wait_for(served, 0, lambda: len(served.server.connections))
            wait_for(served, 0, lambda: sum(one() is not None for one in known))
        finally:
            gc.enable()


# ---- time --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"", LIST, LIST[:25], LIST[:-1]])
def test_a_client_that_stands_still_is_let_go(data: bytes) -> None:
    with serving(QUICK) as served, served.connect() as client:
        client.send(data)
        if data == LIST:
            assert client.receive()[0] == 200
        assert client.is_closed()
        assert served.call(lambda: len(served.server.connections)) == 0


def test_a_client_that_does_not_read_is_let_go() -> None:
    with serving(QUICK) as served, served.connect() as client:
        assert client.ask(CREATE)[0] == 200
        item = {"pk": {"S": "big"}, "a": {"S": "x" * 390_000}}
        assert client.ask(request("PutItem", {"TableName": "things", "Item": item}))[0] == 200
        client.send(get("big") * 200)
        while served.call(lambda: len(served.server.connections)):
            pass  # the server's own timer ends it; each round of this loop takes a turn of its loop


def test_a_refused_client_that_goes_on_sending_is_let_go() -> None:
    with serving(QUICK) as served, served.connect() as client:
        client.send(b"nonsense\r\n\r\n")
        assert client.receive()[0] == 400
        while served.call(lambda: len(served.server.connections)):
            client.send(b"x" * 1_000)


# ---- end ---------------------------------------------------------------------------------------------------


def test_a_drain_answers_what_is_under_way_and_closes() -> None:
    with serving() as served, served.connect() as idle, served.connect() as busy:
        assert idle.ask(LIST)[0] == 200
        assert busy.ask(LIST)[0] == 200
        busy.send(LIST[:-1])
        while not served.call(lambda: any(one._in_body for one in served.server.connections)):
            pass
        future = asyncio.run_coroutine_threadsafe(served.server.drain(), served.loop)
        assert idle.is_closed()
        status, headers, _ = busy.ask(LIST[-1:])
        assert (status, headers["connection"]) == (200, "close")
        future.result(PATIENCE_S)
        with pytest.raises(ConnectionRefusedError):
            served.connect()


def test_a_drain_ends_although_a_client_never_finishes() -> None:
    with serving(HttpSettings(drain_seconds=0.1)) as served, served.connect() as client:
        client.send(LIST[:-1])
        while not served.call(lambda: any(one._in_body for one in served.server.connections)):
            pass
        served.run(served.server.drain())
        assert client.is_closed()


# ---- CORS --------------------------------------------------------------------------------------------------


def test_pages_of_other_origins_are_told_nothing(client: Client) -> None:
    _, headers, _ = client.ask(request("ListTables", {}, "Origin: https://app.example"))
    assert not any(name.startswith("access-control") for name in headers)


def test_pages_of_the_configured_origin_may_ask() -> None:
    with serving(HttpSettings(cors="https://app.example")) as served, served.connect() as client:
        origin = "Origin: https://app.example"
        preflight = f"OPTIONS / HTTP/1.1\r\nHost: localhost\r\n{origin}\r\n\r\n".encode()
        status, headers, _ = client.ask(preflight)
        assert status == 200
        assert "x-amz-target" in headers["access-control-allow-headers"]
        asked = preflight[:-2] + b"Access-Control-Request-Headers: x-amz-target,x-mine\r\n\r\n"
        status, headers, body = client.ask(asked)
        assert (status, headers["access-control-allow-headers"], body) == (200, "x-amz-target,x-mine", b"")
        assert len(headers["x-amzn-requestid"]) == 52
        _, headers, _ = client.ask(request("ListTables", {}, origin))
        assert headers["access-control-allow-origin"] == "https://app.example"
        _, headers, _ = client.ask(request("ListTables", {}, "Origin: https://evil.example"))
        assert "access-control-allow-origin" not in headers


def test_whoever_asks_for_another_protocol_is_answered_in_this_one(client: Client) -> None:
    wish = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")
    asked = request("ListTables", {}, *wish)
    for pieces in ([asked + LIST], [asked[:-1], asked[-1:] + LIST], [asked[:60], asked[60:], LIST]):
        for piece in pieces:
            client.send(piece)
        for _ in range(2):
            status, _, body = client.receive()
            assert (status, json.loads(body)) == (200, {"TableNames": ["things"]})
    lines = "".join(f"{line}\r\n" for line in wish)
    health = f"GET / HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n".encode()
    assert client.ask(health)[0] == 200
    assert client.ask(LIST)[0] == 200


def test_nobody_is_connected_to_elsewhere(served: Served) -> None:
    with served.connect() as client:
        assert client.ask(b"CONNECT localhost:1 HTTP/1.1\r\nHost: localhost:1\r\n\r\n" + LIST)[0] == 404
        assert client.is_closed()
