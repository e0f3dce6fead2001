"""Fault 2.5: who we are, what we may and what time it is are no fault of a message: an outage, with a hint
what to do.

Rules of this file: real AWS clients against an HTTP server that refuses every call in the words and the form
of the service.
"""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tailrace import sinks
from tailrace.aws.errors import LOG_IN, SET_THE_CLOCK
from tailrace.errors import StoreError, Unavailable
from tailrace.ports import Failed, FailureKind, Written
from tailrace.sinks.aws import AwsAccess
from tailrace.stores.dynamodb import DynamoDbStateStore
from tailrace.testing.contracts.sink import _batch, batch_of
from tests.unit.sinks.test_destinations import Document

XML = (
    "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{words}</Message></Error>"
    "</ErrorResponse>"
)
S3_XML = "<Error><Code>{code}</Code><Message>{words}</Message></Error>"
JSON = '{{"__type":"com.amazonaws#{code}","message":"{words}"}}'
FORMS = {"sqs": JSON, "sns": XML, "events": JSON, "s3": S3_XML, "dynamodb": JSON}


@dataclass
class Gate:
    """A server that refuses every call with this code; None: it takes them."""

    url: str = ""
    code: str | None = "ExpiredToken"
    words: str = "The security token included in the request is expired"
    calls: list[str] = field(default_factory=list)

    def answer(self, service: str) -> tuple[int, str]:
        """What it says to a call of this service."""
        self.calls.append(service)
        if self.code is None:
            return 200, '{"Successful":[],"Failed":[]}'
        return 403, FORMS[service].format(code=self.code, words=self.words)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    made = Gate()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            service = self.headers["authorization"].split("/")[3]
            status, body = made.answer(service)
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def do_PUT(self) -> None:
            self.do_POST()

        def log_message(self, *arguments: Any) -> None:
            """Nothing is logged."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


def access(gate: Gate) -> AwsAccess:
    return AwsAccess("us-east-1", gate.url)


SINKS = {
    "sqs": lambda gate: sinks.Sqs(f"{gate.url}/1/queue", access(gate)),
    "sns": lambda gate: sinks.Sns("arn:aws:sns:us-east-1:1:topic", access(gate)),
    "events": lambda gate: sinks.EventBridge("bus", access=access(gate)),
    "dynamodb": lambda gate: sinks.DynamoDB("orders", access(gate)),
}
CODES = [
    ("ExpiredToken", "The security token included in the request is expired", LOG_IN),
    ("InvalidClientTokenId", "The security token included in the request is invalid.", LOG_IN),
    ("UnrecognizedClientException", "The security token included in the request is invalid.", LOG_IN),
    ("AccessDenied", "User is not authorized to perform: this", "aws sts get-caller-identity"),
    ("InvalidSignatureException", "Signature expired: 20200101T000000Z is now earlier than that",
     SET_THE_CLOCK),
    ("RequestTimeTooSkewed", "The difference between the times is too large.", SET_THE_CLOCK),
]  # fmt: skip


@pytest.mark.parametrize(("code", "words", "hint"), CODES, ids=lambda value: value.partition(" ")[0])
@pytest.mark.parametrize("service", SINKS)
def test_a_sink_that_does_not_know_us_is_an_outage_with_a_hint(
    gate: Gate, service: str, code: str, words: str, hint: str
) -> None:
    gate.code, gate.words = code, words
    outcome = asyncio.run(SINKS[service](gate).write(_batch(batch_of("abcdefghijklmnopqrstuvwxyz"))))
    assert isinstance(outcome, Failed)
    assert len(outcome.failures) == 26
    for failure in outcome.failures.values():
        assert failure.kind is FailureKind.UNAVAILABLE
        assert hint in failure.error
        assert code in failure.error
    if service != "dynamodb":
        assert gate.calls == [service], "one call says it for the whole batch"


@pytest.mark.parametrize("service", ["sqs", "sns", "s3"])
def test_a_destination_that_does_not_know_us_is_an_outage_with_a_hint(gate: Gate, service: str) -> None:
    destination: Any = sinks.S3("failed", access(gate)) if service == "s3" else SINKS[service](gate)
    with pytest.raises(Unavailable, match="aws sso login"):
        asyncio.run(destination.deliver(Document()))


def test_state_in_dynamodb_says_how_to_log_in(gate: Gate) -> None:
    gate.code = "ExpiredTokenException"
    store = DynamoDbStateStore(access(gate), "state")
    with pytest.raises(StoreError, match="aws sso login"):
        asyncio.run(store.get("a/b"))


def test_no_credentials_at_all_are_an_outage_that_ends_without_a_restart(
    gate: Gate, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gate.code = None
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    sink, batch = SINKS["sqs"](gate), _batch(batch_of("ab"))
    outcome = asyncio.run(sink.write(batch))
    assert isinstance(outcome, Failed)
    assert {failure.kind for failure in outcome.failures.values()} == {FailureKind.UNAVAILABLE}
    assert "aws sso login" in outcome.failures[0].error
    assert gate.calls == []
    (tmp_path / "credentials").write_text("[default]\naws_access_key_id = a\naws_secret_access_key = b\n")
    assert asyncio.run(sink.write(batch)) == Written()


def test_no_region_at_all_is_an_outage_that_says_what_to_set(
    gate: Gate, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    outcome = asyncio.run(sinks.Sqs(f"{gate.url}/1/queue").write(_batch(batch_of("ab"))))
    assert isinstance(outcome, Failed)
    assert {failure.kind for failure in outcome.failures.values()} == {FailureKind.UNAVAILABLE}
    assert "AWS_REGION" in outcome.failures[0].error
