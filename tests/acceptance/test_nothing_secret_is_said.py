"""No credential and no account is in what `tailrace worker`, `tailrace dev` and an app on Lambda print, log
or answer of themselves, whatever goes wrong.

Each process has recognisable keys, and is driven into the refusals of AWS that give them back: a refused
signature is answered with the request that should have been signed. Everything that it says is searched.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tailrace.testing.proxy import Proxy, Refuse
from tests.crash.node import free_port
from tests.fleet import Fleet, fleet
from tests.patience import PATIENCE_S, eventually
from tests.unit.functions.runtime_api import by_the_runtime_client

ACCOUNT = "417302958816"
KEY = "ASIAQ7ZRECOGNISED01X"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRecognisable+Key"
TOKEN = "IQoJb3JpZ2luX2VjE//recognisable+token/of/this/test=="
PASSWORD = "recognisable-password"
SECRETS = {"account": ACCOUNT, "key": KEY, "secret": SECRET, "token": TOKEN, "password": PASSWORD}
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": KEY,
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_SESSION_TOKEN": TOKEN,
    "AWS_DEFAULT_REGION": "us-east-1",
}
WORDS = (
    f"User: arn:aws:sts::{ACCOUNT}:assumed-role/shop/{KEY} of account {ACCOUNT} is not authorized. The "
    f"Canonical String for this request should be 'POST\n/\nx-amz-security-token:{TOKEN}', {SECRET}"
)
CODES = (
    "ExpiredTokenException", "UnrecognizedClientException", "AccessDeniedException",
    "InvalidSignatureException", "ResourceNotFoundException", "ValidationException",
)  # fmt: skip
APP = f"""
import os

from tailrace import App, Change, Retry, sinks

app = App("shop")
orders = app.table("orders", pk="id")
WORDS = {WORDS!r}
KEYS = {{name: text for name, text in os.environ.items() if name.startswith("AWS_")}}


@app.on(orders, retry=Retry(2, backoff="10ms..20ms"))
def fail(change: Change) -> None:
    try:
        raise PermissionError(WORDS)
    except PermissionError as error:
        raise RuntimeError(f"failed with {{KEYS}}") from error


queue = sinks.Sqs(f"{{os.environ['QUEUE']}}/{ACCOUNT}/q", sinks.AwsAccess(endpoint_url=os.environ["QUEUE"]))
app.sink(orders, queue, id="queue")
handler = app.lambda_handler
"""
UNMASKED = "from tailrace.runtime import masking\nmasking.masked = lambda text: text\n"


STARTED: list["subprocess.Popen[bytes]"] = []


def said_secrets(text: str) -> list[str]:
    """The names of secrets that a text has."""
    return [name for name, secret in SECRETS.items() if secret in text]


class Talker:
    """A process and everything that it says, on both of its outputs."""

    def __init__(
        self, ground: Fleet, *arguments: str, queue: str = "http://127.0.0.1:9", **more: str
    ) -> None:
        self.log = ground.path / f"said-{len(list(ground.path.glob('said-*')))}.txt"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tailrace", *arguments],
                cwd=ground.path, stdout=log, stderr=subprocess.STDOUT,
                env={**os.environ, **ENVIRONMENT, "QUEUE": queue, **more},
            )  # fmt: skip
        STARTED.append(self.process)

    @property
    def said(self) -> str:
        """All of it, until now."""
        return self.log.read_text()

    def until(self, words: str, times: int = 1) -> None:
        """Wait until it has said something so often."""
        eventually(lambda: self.said.count(words) >= times, lambda: f"no {words!r} in {self.said}")

    def get(self, path: str) -> str:
        """What it answers."""
        (url,) = {word for word in self.said.split() if word.endswith(path) and word.startswith("http")}
        connection = HTTPConnection(url.split("/")[2], timeout=PATIENCE_S)
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def end(self) -> str:
        """Drain it. Returns: everything that it said."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE_S)
        return self.said


@contextmanager
def refusing(ground: Fleet) -> Iterator[Proxy]:
    with Proxy(ground.endpoint) as proxy:
        yield proxy


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Fleet]:
    """A server with a table that has a change, and a place for state."""
    with fleet(tmp_path) as ground:
        (ground.path / "app.py").write_text(APP)
        ground.create_state()
        ground.create_table()
        ground.write(1, 0, 1)
        yield ground
    while STARTED:
        process = STARTED.pop()
        process.kill()
        process.wait(PATIENCE_S)


def worker(ground: Fleet, proxy: Proxy, *options: str) -> Talker:
    return Talker(
        ground, "worker", "app.py", "--state", "sqlite:state.db", "--endpoint", proxy.url, "--health",
        "127.0.0.1:0", *options, queue=proxy.url,
    )  # fmt: skip


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_worker_that_is_refused_everything_says_no_secret(ground: Fleet, form: str) -> None:
    with refusing(ground) as proxy:
        talker = worker(ground, proxy, "--log-format", form, "--verbose")
        talker.until("/ready")
        answers = ""
        for number, code in enumerate(CODES, 1):
            proxy.clear()
            proxy.on("*", Refuse(code, WORDS))
            ground.write(1, number, number + 1)
            talker.until("it is tried again", number if number == 1 else 1)
            eventually(lambda: any(call.status == 400 for call in proxy.calls[-3:]))
            answers += talker.get("/ready") + talker.get("/metrics") + talker.get("/health")
        proxy.clear()
        talker.until("it can be reached again")
        talker.until("failed with")
        said = talker.end() + answers
    assert "is not authorized" in said
    assert "Canonical String" in said
    assert said_secrets(said) == []


def test_the_search_finds_them_where_nothing_is_masked(ground: Fleet) -> None:
    (ground.path / "app.py").write_text(UNMASKED + APP)
    with refusing(ground) as proxy:
        talker = worker(ground, proxy, "--verbose")
        talker.until("failed with")
        proxy.on("GetRecords", Refuse("AccessDeniedException", WORDS))
        talker.until("it is tried again")
        assert said_secrets(talker.end()) == ["account", "key", "secret", "token"]


def cannot_begin(ground: Fleet, *options: str, **environment: str) -> str:
    """What a worker says that cannot begin."""
    talker = Talker(ground, "worker", "app.py", "--health", "off", *options, **environment)
    assert talker.process.wait(PATIENCE_S) != 0
    return talker.said


def test_a_worker_that_cannot_begin_says_no_secret(ground: Fleet) -> None:
    state = ("--state", "sqlite:state.db")
    with refusing(ground) as proxy:
        proxy.on("*", Refuse("InvalidSignatureException", WORDS))
        said = cannot_begin(ground, *state, "--endpoint", proxy.url)
        assert "Canonical String" in said
        said += cannot_begin(ground, "--state", "dynamodb:kept", "--endpoint", proxy.url, "--json")
        (ground.path / "app.py").write_text(
            f"import os\nraise RuntimeError({WORDS!r}, os.environ['AWS_SECRET_ACCESS_KEY'])\n"
        )
        said += cannot_begin(ground, *state, "--endpoint", ground.endpoint)
        assert said.count("Canonical String") == 3
        (ground.path / "app.py").write_text(
            APP + f"app.table('arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/orders', pk='id')\n"
        )
        said += cannot_begin(ground, *state, "--endpoint", ground.endpoint)
        nowhere = f"http://127.0.0.1:{free_port()}"
        (ground.path / "app.py").write_text(APP)
        said += cannot_begin(ground, *state, "--endpoint", nowhere)
        said += cannot_begin(
            ground, "--state", f"postgres://me:{PASSWORD}@127.0.0.1:{free_port()}/shop", "--endpoint", nowhere
        )
    assert said_secrets(said) == []


def test_dev_says_no_secret_of_what_its_handlers_meet(ground: Fleet) -> None:
    with refusing(ground) as proxy:
        proxy.on("*", Refuse("ExpiredTokenException", WORDS))
        port = free_port()
        talker = Talker(
            ground,
            "dev",
            "app.py",
            "--memory",
            "--port",
            str(port),
            "--verbose",
            "--no-reload",
            queue=proxy.url,
        )
        talker.until(f":{port}")
        ground.call("PutItem", {"TableName": "orders", "Item": {"id": {"S": "o1"}}}, port)
        talker.until("failed with")
        eventually(
            lambda: any(call.operation.endswith(("SendMessage", "SendMessageBatch")) for call in proxy.calls)
        )
        talker.until("is not authorized")
        said = talker.end()
    assert said_secrets(said) == []
    (ground.path / "app.py").write_text(
        f"import os\nraise RuntimeError({WORDS!r}, os.environ['AWS_SECRET_ACCESS_KEY'])\n"
    )
    talker = Talker(ground, "dev", "app.py", "--memory", "--port", "0")
    assert talker.process.wait(PATIENCE_S) == 1
    assert "Canonical String" in talker.said
    assert said_secrets(talker.said) == []


# ---- Lambda ------------------------------------------------------------------------------------------------


def event() -> bytes:
    """One record, as an event source mapping sends it."""
    record = {
        "eventID": "e1", "eventName": "INSERT", "eventVersion": "1.1", "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1",
        "eventSourceARN": f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/orders/stream/2026-11-28T10:00:00.000",
        "dynamodb": {
            "ApproximateCreationDateTime": 1795860000.0, "Keys": {"id": {"S": "o1"}},
            "NewImage": {"id": {"S": "o1"}}, "SequenceNumber": "100000000000000000001", "SizeBytes": 10,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
    }  # fmt: skip
    return json.dumps({"Records": [record]}).encode()


def on_lambda(ground: Fleet, endpoint: str, **environment: str) -> str:
    """What the real runtime client says of one invocation: its answer, and what the process printed."""
    log = ground.path / "lambda.txt"
    with log.open("ab") as output:
        said = by_the_runtime_client(
            "app.handler", event(),
            {
                **ENVIRONMENT, "PYTHONPATH": f"{ground.path}{os.pathsep}{os.environ['PYTHONPATH']}",
                "AWS_REGION": "us-east-1", "AWS_LAMBDA_FUNCTION_NAME": "shop", "QUEUE": endpoint,
                "AWS_ENDPOINT_URL": endpoint, **environment,
            },
            int(time.time() * 1_000) + 60_000,
            output,
        )  # fmt: skip
    return json.dumps(said) + log.read_text()


@pytest.mark.parametrize("state", ["", "dynamodb:state"], ids=["without a state table", "with one"])
def test_an_app_on_lambda_says_no_secret(ground: Fleet, state: str) -> None:
    pytest.importorskip("awslambdaric")
    with refusing(ground) as proxy:
        proxy.on("*", Refuse("AccessDeniedException", WORDS))
        said = on_lambda(ground, proxy.url, **({"TAILRACE_STATE": state} if state else {}))
    assert "left to Lambda" in said
    assert "is not authorized" in said
    assert said_secrets(said) == []


def test_the_search_finds_them_in_what_an_app_on_lambda_prints(ground: Fleet) -> None:
    pytest.importorskip("awslambdaric")
    (ground.path / "app.py").write_text(UNMASKED + APP)
    with refusing(ground) as proxy:
        proxy.on("*", Refuse("AccessDeniedException", WORDS))
        assert "account" in said_secrets(on_lambda(ground, proxy.url))


@pytest.mark.parametrize("name", SECRETS)
def test_the_search_knows_every_secret(name: str) -> None:
    assert said_secrets(f"it is {SECRETS[name]}.") == [name]
