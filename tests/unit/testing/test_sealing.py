"""Nothing leaves a world: every connection is refused in words, and afterwards the process is as it was."""

import asyncio
import http.client
import json
import socket
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Annotated, Any

import boto3
import pytest
from botocore.config import Config

from tailrace import App, Change, Depends, Retry, sinks
from tailrace.app.client import Client
from tailrace.aws.places import KNOWN
from tailrace.errors import SettingsError, StoreError
from tailrace.testing import NetworkRefused, World
from tailrace.testing.sealing import Network

QUEUE = "https://sqs.us-east-1.amazonaws.com/000000000000/orders"


@pytest.fixture(autouse=True)
def _is_tidy(the_process_is_as_it_was: None) -> None:
    """Before any other fixture, so that it looks when all of them have cleaned up."""


# ---- connections -------------------------------------------------------------------------------------------


def failure_of(act: Callable[[], Any], **settings: Any) -> str:
    """Why a handler that does this fails; "" when it does not. On the way: what it does takes
    one attempt each time.
    """
    app = App("shop")
    orders = app.table("orders", pk="id")

    @app.on(orders, retry=Retry(1))
    def reach(change: Change) -> None:
        act()

    with World(app, seed=1, **settings) as world:
        world.put(orders, {"id": "o1"})
        world.settle()
        letters = world.dead_letters(reach)
        return letters[0].error if letters else ""


def boto3_call(**config: Any) -> Any:
    client = boto3.Session().client("sqs", region_name="us-east-1", config=Config(retries=config or None))
    return client.send_message(QueueUrl=QUEUE, MessageBody="x")


def in_a_thread(act: Callable[[], Any]) -> Any:
    """What a thread of the handler's raises."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            act()
        except BaseException as error:  # told to the handler
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if raised:
        raise raised[0]


def connected(address: Any, *, tells: bool = True) -> None:
    """A socket that is closed again."""
    with socket.socket() as sock:
        (sock.connect if tells else sock.connect_ex)(address)


def a_datagram() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"statsd", ("192.0.2.1", 8125))


def a_unix_socket() -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect("/nowhere/docker.sock")


def another_loop() -> None:
    async def main() -> None:
        await asyncio.open_connection("192.0.2.1", 80)

    asyncio.run(main())


def requests_get() -> None:
    import requests

    requests.get("https://pay.example/charge", timeout=300)


REACHES: dict[str, tuple[Callable[[], Any], str]] = {
    "a socket": (lambda: socket.create_connection(("192.0.2.1", 80)), "192.0.2.1:80"),
    "a socket that tells no error": (lambda: connected(("192.0.2.1", 80), tells=False), "192.0.2.1:80"),
    "a name": (lambda: socket.getaddrinfo("pay.example", 443), "pay.example:443"),
    "an old name": (lambda: socket.gethostbyname("pay.example"), "pay.example"),
    "loopback": (lambda: socket.create_connection(("localhost", 9)), "localhost:9"),
    "a datagram": (a_datagram, "192.0.2.1:8125"),
    "a unix socket": (a_unix_socket, "/nowhere/docker.sock"),
    "http.client": (lambda: http.client.HTTPConnection("pay.example").request("GET", "/"), "pay.example:80"),
    "urllib": (lambda: urllib.request.urlopen("https://pay.example/charge"), "pay.example:443"),
    "requests": (requests_get, "pay.example:443"),
    "a thread": (lambda: in_a_thread(lambda: socket.create_connection(("192.0.2.1", 80))), "192.0.2.1:80"),
    "a loop in a thread": (lambda: in_a_thread(another_loop), "192.0.2.1:80"),
    "boto3": (boto3_call, "sqs.us-east-1.amazonaws.com:443"),
    "boto3 in a thread": (lambda: in_a_thread(boto3_call), "sqs.us-east-1.amazonaws.com:443"),
}


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize("kind", REACHES)
def test_a_handler_reaches_nothing_and_the_error_names_the_host(kind: str) -> None:
    act, host = REACHES[kind]
    said = failure_of(act)
    assert said.startswith(f"NetworkRefused: nothing leaves a test world: {host}"), said


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize("mode", ["legacy", "standard", "adaptive"])
def test_botocore_is_stopped_before_it_sends_and_tries_once(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from botocore.httpsession import URLLib3Session

    sent: list[str] = []
    monkeypatch.setattr(URLLib3Session, "send", lambda self, request: sent.append(request.url))
    slept: list[float] = []
    app = App("shop")
    orders = app.table("orders", pk="id")

    @app.on(orders, retry=Retry(0))
    def reach(change: Change) -> None:
        client = boto3.client(
            "sqs", region_name="us-east-1", config=Config(retries={"mode": mode, "total_max_attempts": 5})
        )
        client.meta.events.register("before-send.sqs", lambda **_: slept.append(1.0))
        client.send_message(QueueUrl=QUEUE, MessageBody="x")

    with World(app, seed=1) as world:
        world.put(orders, {"id": "o1"})
        world.settle()
        (letter,) = world.dead_letters(reach)
        assert letter.error.startswith("NetworkRefused")
        assert letter.attempts == len(slept)
    assert sent == []


def test_without_credentials_the_refusal_is_told_and_not_the_credentials(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED", raising=False)
    said = failure_of(boto3_call)
    assert said.startswith(
        "NetworkRefused: nothing leaves a test world: sqs.us-east-1.amazonaws.com:443 (sqs.SendMessage)"
    ), said


def test_a_client_that_is_answered_before_it_sends_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """As moto and botocore's Stubber do."""
    from botocore.stub import Stubber

    client = boto3.client(
        "sqs", region_name="us-east-1", aws_access_key_id="any", aws_secret_access_key="any"
    )
    with Stubber(client) as stubber:
        stubber.add_response("send_message", {"MessageId": "1"})
        assert failure_of(lambda: client.send_message(QueueUrl=QUEUE, MessageBody="x")) == ""


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize("has_credentials", [True, False])
def test_a_real_sink_and_a_handlers_client_elsewhere_are_stopped_before_they_send(
    has_credentials: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    import moto.server  # noqa: F401 - with which a mock may answer in AWS's place, and does not

    if not has_credentials:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
    KNOWN.forget(None)
    app = App("shop")
    orders = app.table("orders", pk="id")
    app.sink(orders, sinks.Sqs(QUEUE), id="out", retry=Retry(0))
    app.transactions(sinks.AwsAccess(region="us-east-1"), "marks")

    @app.on(orders, retry=Retry(0))
    def look(change: Change, db: Annotated[Client, Depends(app.client)]) -> None:
        db.get(orders, {"id": "o1"})

    with World(app, seed=1, sinks="real", allow_failures=True) as world:
        world.put(orders, {"id": "o1"})
        world.settle()
        (sent,), (looked,) = world.dead_letters("out"), world.dead_letters(look)
    KNOWN.forget(None)
    host = "sqs.us-east-1.amazonaws.com:443 (sqs.SendMessageBatch) was not reached"
    assert sent.error.startswith(f"NetworkRefused: nothing leaves a test world: {host}"), sent.error
    host = "dynamodb.us-east-1.amazonaws.com:443 (dynamodb.GetItem) was not reached"
    assert looked.error.startswith(f"NetworkRefused: nothing leaves a test world: {host}"), looked.error


@pytest.mark.usefixtures("credentials")
def test_a_real_sink_speaks_to_what_the_world_admits_and_to_moto_in_its_place() -> None:
    from moto import mock_aws

    app = App("shop")
    orders = app.table("orders", pk="id")
    with mock_aws():
        KNOWN.forget(None)
        queues = boto3.client("sqs")
        url = queues.create_queue(QueueName="orders")["QueueUrl"]
        app.sink(orders, sinks.Sqs(url), id="out")
        with World(app, seed=1, sinks="real") as world:  # nothing leaves: moto answers before
            world.put(orders, {"id": "o1"})
            world.settle()
            assert world.lag() == 0
        (message,) = queues.receive_message(QueueUrl=url)["Messages"]
    KNOWN.forget(None)
    assert json.loads(message["Body"])["keys"] == {"id": "o1"}


@pytest.mark.parametrize(
    ("act", "host"),
    [
        (lambda: asyncio.open_connection("pay.example", 443), "pay.example:443"),
        (lambda: asyncio.get_running_loop().getaddrinfo("pay.example", 443), "pay.example:443"),
        (lambda: asyncio.get_running_loop().sock_connect(None, ("192.0.2.1", 80)), "192.0.2.1:80"),  # type: ignore[arg-type]
    ],
)
def test_a_coroutine_reaches_nothing_either(act: Callable[[], Any], host: str) -> None:
    app = App("shop")
    orders = app.table("orders", pk="id")

    @app.on(orders, retry=Retry(0))
    async def reach(change: Change) -> None:
        await act()

    with World(app, seed=1, network=True) as world:
        world.put(orders, {"id": "o1"})
        world.settle()
        (letter,) = world.dead_letters(reach)
    assert letter.error.startswith("NetworkRefused")
    assert f"{host} was not reached" in letter.error


def test_aiohttp_is_refused_with_the_host() -> None:
    aiohttp = pytest.importorskip("aiohttp")
    app = App("shop")
    orders = app.table("orders", pk="id")

    @app.on(orders, retry=Retry(0))
    async def reach(change: Change) -> None:
        async with aiohttp.ClientSession() as session:
            await session.get("https://pay.example/charge")

    with World(app, seed=1) as world:
        world.put(orders, {"id": "o1"})
        world.settle()
        (letter,) = world.dead_letters(reach)
    assert letter.error.startswith("NetworkRefused")
    assert "pay.example:443 was not reached" in letter.error


# ---- opting in ---------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[str]:
    """An HTTP server of the test's own."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Answer) as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield f"127.0.0.1:{made.server_address[1]}"
        made.shutdown()
        thread.join()


@pytest.mark.parametrize(
    "network", [True, "localhost", "127.0.0.1", "the server", ["other.example", "the server"]]
)
def test_what_a_world_is_told_to_let_through_is_reached(server: str, network: Any) -> None:
    given = (
        [server if host == "the server" else host for host in network]
        if isinstance(network, list)
        else network
    )
    given = server if given == "the server" else given
    assert failure_of(lambda: urllib.request.urlopen(f"http://{server}/"), network=given) == ""


@pytest.mark.parametrize("network", [(), False, "other.example", "localhost:1", ["localhost:1"]])
def test_nothing_else_is_let_through(server: str, network: Any) -> None:
    said = failure_of(lambda: urllib.request.urlopen(f"http://{server}/"), network=network)
    assert said.startswith(f"NetworkRefused: nothing leaves a test world: {server}")


def test_the_error_says_how_to_let_it_through() -> None:
    with pytest.raises(NetworkRefused) as caught:
        Network().check(("pay.example", 443), socket.AF_INET)
    assert caught.value.hint is not None
    assert "World(app, network='pay.example:443')" in caught.value.hint


def test_a_name_that_may_be_reached_has_addresses_that_may() -> None:
    network = Network("queue.example")
    network.check_lookup("queue.example", 443)
    network.note({"192.0.2.7"})
    network.check(("192.0.2.7", 443), socket.AF_INET)
    with pytest.raises(NetworkRefused):
        network.check(("192.0.2.8", 443), socket.AF_INET)


@pytest.mark.parametrize("name", ["::1", "[::1]:80", "127.0.0.9", "LOCALHOST:80", "localhost."])
def test_this_machine_has_many_names(name: str) -> None:
    Network(name).check(("::1", 80, 0, 0), socket.AF_INET6)


@pytest.mark.parametrize("wrong", [[""], [1], ""])
def test_what_names_nothing_is_refused(wrong: Any) -> None:
    with pytest.raises(SettingsError, match="network: "):
        World(network=wrong)
    with pytest.raises(SettingsError, match="'kept' or 'real'"):
        World(sinks="fake")  # type: ignore[arg-type]


@pytest.mark.usefixtures("credentials")
def test_real_sinks_call_as_far_as_the_network_lets_them() -> None:
    app = App("shop")
    orders = app.table("orders", pk="id")
    app.sink(orders, sinks.Sqs(QUEUE), id="out", retry=Retry(0))
    with World(app, seed=1, sinks="real") as world:
        world.put(orders, {"id": "o1"})
        world.settle()
        (letter,) = world.dead_letters("out")
        assert letter.error.startswith(
            "NetworkRefused: nothing leaves a test world: sqs.us-east-1.amazonaws.com:443"
        )
        with pytest.raises(SettingsError, match="real"):
            world.sent("out")


# ---- the process -------------------------------------------------------------------------------------------


def test_the_test_itself_may_connect_between_two_calls_of_the_world(server: str) -> None:
    with World(seed=1) as world:
        world.settle()
        with urllib.request.urlopen(f"http://{server}/") as answer:
            assert answer.status == 204


def test_worlds_in_several_threads_keep_their_own_walls_and_leave_nothing_behind(server: str) -> None:
    barrier = threading.Barrier(4)
    failures: dict[bool, list[str]] = {True: [], False: []}

    def run(*, is_open: bool) -> None:
        barrier.wait()
        for _ in range(5):
            said = failure_of(lambda: urllib.request.urlopen(f"http://{server}/"), network=is_open)
            failures[is_open].append(said[:15])

    threads = [threading.Thread(target=run, kwargs={"is_open": number % 2 == 0}) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == {True: [""] * 10, False: ["NetworkRefused:"] * 10}


def test_what_somebody_else_laid_over_a_socket_is_there_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def connect(self: socket.socket, address: Any) -> None:
        asked.append(address)

    monkeypatch.setattr(socket.socket, "connect", connect)
    assert failure_of(lambda: connected(("192.0.2.1", 80)), network=True) == ""
    assert vars(socket.socket)["connect"] is connect
    assert asked == [("192.0.2.1", 80)]


def test_a_refusal_that_a_handler_swallows_stands_in_the_events() -> None:
    app = App("shop")
    orders = app.table("orders", pk="id")

    @app.on(orders)
    def reach(change: Change) -> None:
        with suppress(Exception):
            socket.create_connection(("192.0.2.1", 80))

    with World(app, seed=1) as world:
        world.put(orders, {"id": "o1"})
        world.settle()
        assert any("refused: nothing leaves a test world: 192.0.2.1:80" in line for line in world.events())


# ---- clients of a world that went on -----------------------------------------------------------------------


def test_a_client_goes_on_with_the_engine_of_now(credentials: None) -> None:
    app = App("shop")
    orders = app.table("orders", pk="id")

    @app.on(orders)
    def note(change: Change) -> None: ...

    with World(app, seed=1) as world:
        client = world.client("dynamodb")
        for number, act in enumerate((world.kill, world.restart, lambda: world.advance("1s"))):
            act()
            client.put_item(TableName="orders", Item={"id": {"S": f"o{number}"}})
        with world.faults(crash="after-effect"):
            client.put_item(TableName="orders", Item={"id": {"S": "o3"}})
            world.settle()
        client.put_item(TableName="orders", Item={"id": {"S": "o4"}})
        world.settle()
        assert {item["id"] for item in world.scan(orders)} == {f"o{number}" for number in range(5)}
        assert set(world.delivered(note)) == {f"o{number}" for number in range(5)}
        assert world.client("dynamodb") is client


def test_an_engine_that_was_killed_refuses_in_words() -> None:
    app = App("shop")
    orders = app.table("orders", pk="id")
    with World(app, seed=1) as world:
        engine = world.engine
        world.put(orders, {"id": "o1"})
        world.kill()
        with pytest.raises(StoreError, match=r"world\.engine is the one of now"):
            engine.get("orders", {"id": {"S": "o1"}})
        assert world.get(orders, {"id": "o1"}) == {"id": "o1"}


def test_a_closed_world_refuses_in_words() -> None:
    app = App("shop")
    orders = app.table("orders", pk="id")

    @app.on(orders)
    def note(change: Change) -> None: ...

    with World(app, seed=1) as world:
        client = world.client("dynamodb")
    for act in (
        lambda: world.put(orders, {"id": "o1"}), lambda: world.get(orders, {"id": "o1"}), world.settle,
        world.restart,
        lambda: world.use(app), lambda: client.put_item(TableName="orders", Item={"id": {"S": "o1"}}),
        lambda: app.dlq(note).groups(),
    ):  # fmt: skip
        with pytest.raises((SettingsError, StoreError), match="this world is closed"):
            act()


def test_a_client_that_was_made_before_an_exploration_is_one_of_the_orders_that_are_played() -> None:
    app = App("shop")
    orders = app.table("orders", pk="id")

    @app.on(orders)
    def note(change: Change) -> None: ...

    with World(app, seed=1) as world:
        client = world.client("dynamodb")

        def check() -> None:
            assert world.delivered(note) == ["o1"]

        world.explore(
            lambda: client.put_item(TableName="orders", Item={"id": {"S": "o1"}}), check=check, schedules=5
        )
