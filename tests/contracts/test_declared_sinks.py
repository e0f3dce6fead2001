"""Sinks that write elsewhere keep the contract of Sink: SQS, SNS, EventBridge, DynamoDB, a
webhook, DuckDB, a function.

Rules of this file: AWS is moto's server, the webhook's far side an HTTP server; what they cannot refuse by
themselves is refused on the way, in the words of the service.
"""

import asyncio
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from tailrace import sinks
from tailrace.errors import SinkError, Throttled, Unavailable
from tailrace.ports import Failed, FailureKind, Outcome, Sink, Written
from tailrace.sinks.aws import AwsAccess
from tailrace.sinks.messages import messages_of
from tailrace.streams.record import SequenceNumber, change_record
from tailrace.streams.version import Version
from tailrace.testing import check_sink, check_versioned_sink
from tailrace.testing.contracts import mirror
from tailrace.testing.contracts.sink import _batch, batch_of
from tests.unit.sinks.moto_server import client, moto

NUMBER = count()


@dataclass(frozen=True)
class Refusing(AwsAccess):
    """Access to moto's server that refuses some changes, entry by entry, and notes the others in order."""

    refused: frozenset[int] = field(default=frozenset(), compare=False)
    arrived: list[int] = field(default_factory=list, compare=False)

    async def call(self, service: str, operation: str, **parameters: Any) -> Any:
        """As AWS would: an entry that is refused fails alone."""
        name = next(
            (member for member in ("Entries", "PublishBatchRequestEntries") if member in parameters), None
        )
        if name is None:
            return await self._call_one(service, operation, parameters)
        entries = parameters[name]
        bad = [self._number(entry) in self.refused for entry in entries]
        parameters[name] = [entry for entry, is_bad in zip(entries, bad, strict=True) if not is_bad]
        self.arrived.extend(self._number(entry) for entry in parameters[name])
        answer = await super().call(service, operation, **parameters) if parameters[name] else {}
        if service == "events":
            told = iter(answer.get("Entries", ()))
            answer["Entries"] = [{"ErrorCode": "InvalidArgument"} if is_bad else next(told) for is_bad in bad]
            return {**answer, "FailedEntryCount": sum(bad)}
        failed = [
            {"Id": entry["Id"], "SenderFault": True, "Code": "InvalidMessageContents"}
            for entry, is_bad in zip(entries, bad, strict=True)
            if is_bad
        ]
        return {**answer, "Failed": failed}

    async def _call_one(self, service: str, operation: str, parameters: dict[str, Any]) -> Any:
        version = parameters.get("ExpressionAttributeValues", {}).get(":version", {}).get("S")
        number = 0 if version is None else Version.from_text(version).sequence
        if number in self.refused:
            raise SinkError("dynamodb.put_item: ValidationException: refused")
        if number:
            self.arrived.append(number)
        return await super().call(service, operation, **parameters)

    @staticmethod
    def _number(entry: dict[str, Any]) -> int:
        body = json.loads(entry.get("MessageBody") or entry.get("Message") or entry["Detail"])
        return int(SequenceNumber.from_wire(body["sequence_number"]))


@pytest.fixture(scope="module")
def aws() -> Iterator[AwsAccess]:
    """moto's server."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        with moto() as access:
            yield access


@dataclass(frozen=True)
class Throttling(Refusing):
    """Access to an AWS that wants fewer calls: the whole call is refused, or each of its entries."""

    by_entry: bool = False

    async def call(self, service: str, operation: str, **parameters: Any) -> Any:
        """As AWS would."""
        entries = parameters.get("Entries", parameters.get("PublishBatchRequestEntries"))
        if entries is None or not self.by_entry:
            raise Throttled(f"{service}.{operation}: ThrottlingException: Rate exceeded")
        if service == "events":
            answers = [{"ErrorCode": "ThrottlingException"} for _ in entries]
            return {"Entries": answers, "FailedEntryCount": len(entries)}
        failed = [
            {"Id": entry["Id"], "SenderFault": True, "Code": "ThrottlingException"} for entry in entries
        ]
        return {"Failed": failed}


def throttling(*, by_entry: bool) -> Throttling:
    return Throttling("us-east-1", None, None, frozenset(), [], by_entry)


def refusing(aws: AwsAccess, refused: frozenset[int]) -> Refusing:
    return Refusing(aws.region, aws.endpoint_url, None, refused, [])


def arrived_at(sink: Any) -> list[int]:
    return list(sink.access.arrived)


@pytest.mark.parametrize(("suffix", "by_entry"), [("", False), (".fifo", True)])
def test_a_queue_keeps_the_contract(aws: AwsAccess, suffix: str, by_entry: bool) -> None:
    attributes = {"FifoQueue": "true"} if suffix else {}
    name = f"contract{suffix}"
    url = client("sqs", aws).create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    check_sink(
        lambda refused: sinks.Sqs(url, refusing(aws, refused)),
        arrived_at,
        throttled=lambda: sinks.Sqs(url, throttling(by_entry=by_entry)),
    )


@pytest.mark.parametrize(("suffix", "by_entry"), [("", True), (".fifo", False)])
def test_a_topic_keeps_the_contract(aws: AwsAccess, suffix: str, by_entry: bool) -> None:
    attributes = {"FifoTopic": "true"} if suffix else {}
    topic = client("sns", aws).create_topic(Name=f"contract{suffix}", Attributes=attributes)["TopicArn"]
    check_sink(
        lambda refused: sinks.Sns(topic, refusing(aws, refused)),
        arrived_at,
        throttled=lambda: sinks.Sns(topic, throttling(by_entry=by_entry)),
    )


@pytest.mark.parametrize("by_entry", [False, True])
def test_a_bus_keeps_the_contract(aws: AwsAccess, by_entry: bool) -> None:
    bus = f"contract-{by_entry}"
    client("events", aws).create_event_bus(Name=bus)
    check_sink(
        lambda refused: sinks.EventBridge(bus, access=refusing(aws, refused)),
        arrived_at,
        throttled=lambda: sinks.EventBridge(bus, access=throttling(by_entry=by_entry)),
    )


def test_a_table_keeps_the_contract(aws: AwsAccess) -> None:
    dynamodb = client("dynamodb", aws)

    def make(refused: frozenset[int]) -> Sink:
        name = f"contract-{next(NUMBER)}"
        dynamodb.create_table(
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        )
        return sinks.DynamoDB(name, refusing(aws, refused))

    check_sink(make, arrived_at, throttled=lambda: sinks.DynamoDB("away", throttling(by_entry=False)))


def test_a_table_keeps_the_versions_and_the_sources(aws: AwsAccess) -> None:
    dynamodb = client("dynamodb", aws)

    def make() -> sinks.DynamoDB:
        name = f"contract-{next(NUMBER)}"
        dynamodb.create_table(
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        )
        return sinks.DynamoDB(name, aws)

    def versions(sink: sinks.DynamoDB) -> dict[str, Version]:
        items = dynamodb.scan(TableName=sink.table)["Items"]
        rows = [
            item for item in items if item["pk"]["S"] != "tailrace_sources" and "tailrace_deleted" not in item
        ]
        return {item["pk"]["S"]: Version.from_text(item["tailrace_sequence"]["S"]) for item in rows}

    check_versioned_sink(make, versions, again=lambda sink: sinks.DynamoDB(sink.table, aws))


@pytest.mark.parametrize("keep", [timedelta(days=2), None])
def test_an_item_that_was_removed_comes_back_by_something_older_only_where_that_is_not_kept(
    aws: AwsAccess, keep: timedelta | None
) -> None:
    dynamodb = client("dynamodb", aws)
    name = f"contract-{next(NUMBER)}"
    dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
    )
    sink = sinks.DynamoDB(name, aws, keep_deletions=keep)
    for change in (mirror.gone("a", (1, 5), 7_000_000), mirror.put("a", 1, (1, 4))):
        assert asyncio.run(sink.write(_batch([change]))) == Written()
    (item,) = dynamodb.scan(TableName=name)["Items"]
    if keep is None:
        assert item["n"] == {"N": "1"}
    else:
        assert item["tailrace_deleted"] == {"BOOL": True}
        assert item["tailrace_expires_at"] == {"N": str(7 + 2 * 86_400)}
        assert "n" not in item


# ---- a webhook ---------------------------------------------------------------------------------------------


class Endpoint:
    """An HTTP server that refuses some changes, and keeps what it was sent."""

    def __init__(self) -> None:
        self.refused: frozenset[int] = frozenset()
        self.arrived: list[int] = []
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.answer: tuple[int, dict[str, str]] = (204, {})
        endpoint = self

        class Answer(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                status, headers = endpoint.take({k.lower(): v for k, v in self.headers.items()}, body)
                self.send_response(status)
                for name, value in {**headers, "content-length": "0"}.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing is printed."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook"

    def take(self, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str]]:
        self.requests.append((headers, body))
        document = json.loads(body)
        if isinstance(document, dict) and "sequence_number" in document:
            number = int(SequenceNumber.from_wire(document["sequence_number"]))
            if number in self.refused:
                return 422, {}
            self.arrived.append(number)
        return self.answer


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    endpoint = Endpoint()
    thread = threading.Thread(target=endpoint.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield endpoint
    endpoint.server.shutdown()
    endpoint.server.server_close()
    thread.join()


def test_a_webhook_keeps_the_contract(endpoint: Endpoint) -> None:
    def make(refused: frozenset[int]) -> Sink:
        endpoint.refused, endpoint.arrived = refused, []
        endpoint.answer = (204, {})
        return sinks.Webhook(endpoint.url, secret="s3cret")

    def throttled() -> Sink:
        made = make(frozenset())
        endpoint.answer = (429, {})
        return made

    check_sink(make, lambda sink: endpoint.arrived, throttled=throttled)


def posted(endpoint: Endpoint, webhook: sinks.Webhook, letters: str = "a") -> Outcome:
    return asyncio.run(webhook.write(_batch(batch_of(letters))))


def test_a_post_is_signed_as_standard_webhooks_are(endpoint: Endpoint) -> None:
    import hmac
    from base64 import b64encode
    from hashlib import sha256

    assert (
        posted(endpoint, sinks.Webhook(endpoint.url, secret="whsec_" + b64encode(b"key").decode()))
        == Written()
    )
    ((headers, body),) = endpoint.requests
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    wanted = b64encode(hmac.new(b"key", signed, sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{wanted}"
    assert headers["idempotency-key"] == headers["webhook-id"] == json.loads(body)["event_id"]


@pytest.mark.parametrize(
    ("status", "headers", "kind", "wait_ms"),
    [
        (400, {}, FailureKind.RECORD, 0),
        (500, {}, FailureKind.RECORD, 0),
        (301, {"location": "/elsewhere"}, FailureKind.RECORD, 0),
        (429, {"retry-after": "7"}, FailureKind.THROTTLED, 7_000),
        (503, {"retry-after": "3"}, FailureKind.UNAVAILABLE, 3_000),
        (502, {}, FailureKind.UNAVAILABLE, 0),
    ],
)
def test_what_an_answer_means(
    endpoint: Endpoint, status: int, headers: dict[str, str], kind: FailureKind, wait_ms: int
) -> None:
    endpoint.answer = (status, headers)
    outcome = posted(endpoint, sinks.Webhook(endpoint.url))
    assert isinstance(outcome, Failed)
    assert (outcome.failures[0].kind, outcome.failures[0].retry_after_ms) == (kind, wait_ms)
    assert str(status) in outcome.failures[0].error


def test_nobody_at_the_address_is_an_outage() -> None:
    outcome = asyncio.run(sinks.Webhook("http://127.0.0.1:9/hook").write(_batch(batch_of("ab"))))
    assert isinstance(outcome, Failed)
    assert {failure.kind for failure in outcome.failures.values()} == {FailureKind.UNAVAILABLE}


# ---- DuckDB and a function ---------------------------------------------------------------------------------


def test_a_duckdb_file_that_another_process_writes_is_an_outage(tmp_path: Path) -> None:
    import subprocess
    import sys

    path = tmp_path / "held.duckdb"
    program = (
        f"import duckdb, sys; c = duckdb.connect({str(path)!r}); print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(Unavailable, match=r"held\.duckdb"):
            asyncio.run(sinks.DuckDB(path, "things").write(_batch(batch_of("a"))))
    finally:
        holder.communicate()


def test_a_function_keeps_the_contract() -> None:
    class Taking:
        def __init__(self, refused: frozenset[int]) -> None:
            self.refused, self.arrived = refused, list[int]()

        def take(self, document: dict[str, Any]) -> None:
            number = int(SequenceNumber.from_wire(document["sequence_number"]))
            if number in self.refused:
                raise ValueError("refused")
            self.arrived.append(number)

    takers: dict[int, Taking] = {}

    def make(refused: frozenset[int]) -> Sink:
        taking = Taking(refused)
        sink = sinks.Function(taking.take)
        takers[id(sink)] = taking
        keep.append(sink)
        return sink

    def throttled() -> Sink:
        def away(document: dict[str, Any]) -> None:
            raise Throttled("later")

        sink = sinks.Function(away)
        takers[id(sink)] = Taking(frozenset())
        keep.append(sink)
        return sink

    keep: list[Sink] = []
    check_sink(make, lambda sink: takers[id(sink)].arrived, throttled=throttled)


def test_messages_of_one_record_have_ids_of_their_own() -> None:
    (record,) = batch_of("a")
    batch = _batch([record, record])
    ids = [message.id for message in messages_of(batch) if not isinstance(message, tuple)]
    assert len(set(ids)) == 2
    assert ids[1] == f"{ids[0]}-1"


@pytest.mark.parametrize(
    ("there", "generation", "sequence", "is_written"),
    [
        ({"S": Version(1, 900).text}, 2, 7, True), ({"S": Version(2, 7).text}, 2, 7, False),
        ({"S": Version(2, 1).text}, 1, 900, False),
        ({"N": "900"}, 1, 901, True), ({"N": "900"}, 1, 900, False), ({"N": "900"}, 2, 1, True),
    ],
)  # fmt: skip
def test_an_item_in_either_form_is_written_over_by_what_is_newer_and_by_nothing_else(
    aws: AwsAccess, there: dict[str, str], generation: int, sequence: int, is_written: bool
) -> None:
    dynamodb, name = client("dynamodb", aws), f"contract-{next(NUMBER)}"
    dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
    )
    dynamodb.put_item(TableName=name, Item={"pk": {"S": "a"}, "tailrace_sequence": there})
    record = change_record(
        sequence=sequence,
        shard=1,
        created_ms=0,
        partition=1,
        key=b"a",
        keys={"pk": {"S": "a"}},
        old=None,
        new=b'{"pk":{"S":"a"}}',
        size_bytes=1,
    )
    batch = _batch([structs.replace(record, generation=generation)])
    assert asyncio.run(sinks.DynamoDB(name, aws).write(batch)) == Written()
    item = dynamodb.get_item(TableName=name, Key={"pk": {"S": "a"}})["Item"]
    assert (item["tailrace_sequence"] != there) is is_written
