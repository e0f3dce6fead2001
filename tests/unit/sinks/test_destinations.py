"""On-failure destinations through real AWS clients, against moto's server, and a directory."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tailrace import App, Change, Discard, Retry, sinks
from tailrace.aws.errors import AwsError, sink_error, verdict
from tailrace.errors import Refused, SettingsError, SinkError, Throttled, Unavailable
from tailrace.sinks.aws import AwsAccess
from tailrace.sinks.destinations import QUEUE_BYTES, destination_of
from tailrace.testing import World
from tests.unit.deadletters.documents import CASES, NAME, Made
from tests.unit.sinks.moto_server import client, moto


@dataclass
class Document:
    message: bytes = b'{"version":"1.0"}'
    object: bytes = b'{"version":"1.0","payload":"{}"}'
    object_name: str = "aws/lambda/m/shardId-1/2026/05/28/2026-05-28T20.26.40-n"


@pytest.fixture(scope="module")
def access() -> Iterator[AwsAccess]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        with moto() as access:
            yield access


def test_a_queue_gets_the_message(access: AwsAccess) -> None:
    sqs = client("sqs", access)
    url = sqs.create_queue(QueueName="failed")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    for queue in (url, arn):
        asyncio.run(sinks.Sqs(queue, access).deliver(Document()))
        (message,) = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=0)["Messages"]
        assert message["Body"] == '{"version":"1.0"}'
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def test_a_topic_gets_the_message(access: AwsAccess) -> None:
    sns, sqs = client("sns", access), client("sqs", access)
    topic = sns.create_topic(Name="failed")["TopicArn"]
    url = sqs.create_queue(QueueName="listener")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    asyncio.run(sinks.Sns(topic, access).deliver(Document()))
    (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
    assert json.loads(message["Body"])["Message"] == '{"version":"1.0"}'


def test_a_bucket_gets_the_object_with_the_event(access: AwsAccess) -> None:
    s3 = client("s3", access)
    s3.create_bucket(Bucket="failed")
    for _ in range(2):
        asyncio.run(sinks.S3("arn:aws:s3:::failed", access).deliver(Document()))
    (listed,) = s3.list_objects_v2(Bucket="failed")["Contents"]
    assert listed["Key"] == Document().object_name
    there = s3.get_object(Bucket="failed", Key=listed["Key"])
    assert (there["Body"].read(), there["ContentType"]) == (Document().object, "application/octet-stream")


def test_aws_gets_every_failure_document_byte_for_byte(access: AwsAccess) -> None:
    """The table of documents.py: each through a queue, a topic (heard by a queue) and a bucket of
    a real AWS client.
    """
    sqs, sns, s3 = client("sqs", access), client("sns", access), client("s3", access)
    urls = [sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("every", "heard")]
    arns = [
        sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        for url in urls
    ]
    topic = sns.create_topic(Name="every")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arns[1], Attributes={"RawMessageDelivery": "true"})
    s3.create_bucket(Bucket="every")
    for case in CASES:
        made = Made(case)
        for destination in (sinks.Sqs(arns[0], access), sinks.Sns(topic, access), sinks.S3("every", access)):
            asyncio.run(destination.deliver(made))
        for url in urls:
            (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            assert message["Body"] == case.message, case.why
        there = s3.get_object(Bucket="every", Key=NAME)
        assert (there["Body"].read(), there["ContentType"]) == (case.object, "application/octet-stream")


def test_a_directory_gets_the_same_object_whole(tmp_path: Path) -> None:
    asyncio.run(sinks.Directory(tmp_path).deliver(Document()))
    (file,) = (path for path in tmp_path.rglob("*") if path.is_file())
    assert file.relative_to(tmp_path).as_posix() == f"{Document().object_name}.json"
    assert file.read_bytes() == Document().object


def test_a_directory_that_cannot_be_written_is_a_sink_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SinkError, match="file"):
        asyncio.run(sinks.Directory(tmp_path / "file").deliver(Document()))


def test_a_queue_that_is_not_there_says_so_in_awss_words(access: AwsAccess) -> None:
    gone = f"{access.endpoint_url}/123456789012/nowhere"
    with pytest.raises(SinkError, match=r"sqs\.send_message: .*NonExistentQueue"):
        asyncio.run(sinks.Sqs(gone, access).deliver(Document()))


def test_a_service_that_is_not_there_is_an_outage() -> None:
    nowhere = AwsAccess("us-east-1", "http://127.0.0.1:9")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        with pytest.raises(Unavailable, match=r"sns\.publish"):
            asyncio.run(sinks.Sns("arn:aws:sns:us-east-1:1:t", nowhere).deliver(Document()))


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("ThrottlingException", 400, Throttled), ("SlowDown", 503, Throttled),
        ("InternalError", 500, Unavailable),
        ("ServiceUnavailable", 503, Unavailable), ("AccessDenied", 403, Unavailable),
        ("ExpiredToken", 400, Unavailable),
        ("EntityTooLarge", 400, Refused), ("SomethingNew", 400, SinkError),
    ],
)  # fmt: skip
def test_awss_answers_are_throttling_outage_or_the_calls_own_fault(
    code: str, status: int, kind: type
) -> None:
    error = sink_error(
        AwsError("s3.put_object", verdict(code, "no", status=status), code, "no", status=status)
    )
    assert type(error) is kind


def test_a_message_beyond_the_limit_of_queues_is_refused() -> None:
    with pytest.raises(SinkError, match="1,048,576"):
        asyncio.run(sinks.Sqs("https://queue").deliver(Document(message=b"x" * (QUEUE_BYTES + 1))))


@pytest.mark.parametrize(
    ("arn", "kind"),
    [
        ("arn:aws:sqs:eu-west-1:1:q", sinks.Sqs),
        ("arn:aws:sns:eu-west-1:1:t", sinks.Sns),
        ("arn:aws:s3:::b", sinks.S3),
    ],
)
def test_an_arn_names_its_destination(arn: str, kind: type) -> None:
    assert isinstance(destination_of(arn), kind)


def test_another_arn_is_refused() -> None:
    with pytest.raises(SettingsError, match="lambda"):
        destination_of("arn:aws:lambda:eu-west-1:1:function:f")


# ---- the courier -------------------------------------------------------------------------------------------


class Flaky:
    """A destination that refuses at first, and keeps what it is given."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals
        self.documents: list[Any] = []

    async def deliver(self, failure: Any) -> None:
        if self.refusals:
            self.refusals -= 1
            raise SinkError("access denied")
        self.documents.append((json.loads(failure.message), json.loads(failure.object), failure.object_name))


def failing(destination: Any) -> tuple[App, World]:
    app = App("shop")
    orders = app.table("orders", pk="id")

    @app.on(orders, retry=Retry(1), on_failure=Discard(to=destination), id="note")
    def note(change: Change) -> None:
        raise ValueError("no")

    return app, World(app, seed=5, allow_failures=True)


def test_what_is_given_up_is_told_once_with_the_whole_event() -> None:
    kept = Flaky(0)
    app, world = failing(kept)
    with world:
        world.put(app.tables["orders"], {"id": "a"})
        world.settle()
        world.advance("1m")
    ((message, whole, name),) = kept.documents
    assert message["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert message["requestContext"]["approximateInvokeCount"] == 2
    assert message["responseContext"]["functionError"] == "Unhandled"
    assert message["DDBStreamBatchInfo"]["batchSize"] == 1
    (record,) = json.loads(whole["payload"])["Records"]
    assert record["dynamodb"]["NewImage"] == {"id": {"S": "a"}}
    assert name.startswith("aws/lambda/")


def test_a_destination_that_fails_loses_nothing_and_is_told_later(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "tailrace.handlers")
    kept = Flaky(3)
    app, world = failing(kept)
    with world:
        world.put(app.tables["orders"], {"id": "a"})
        world.settle()
        tally = world._running[0].worker.tallies.of("note")
        assert (tally.undelivered, tally.dropped, tally.delivered) == (1, 1, 0)
        assert len(app.dlq("note")) == 1
        world.advance("1m")
        assert (tally.undelivered, tally.dropped, tally.delivered) == (3, 1, 1)
        assert len(kept.documents) == 1
        assert len(app.dlq("note")) == 1  # told is not forgotten
    lines = [record.getMessage() for record in caplog.records if "destination" in record.getMessage()]
    assert lines == [
        "the on-failure destination of note fails: SinkError: access denied; it is asked again, and "
        "the dead letters stay",
        "the on-failure destination of note accepts again",
    ]


def test_a_restart_tells_what_was_not_told() -> None:
    kept = Flaky(1_000)
    app, world = failing(kept)
    with world:
        world.put(app.tables["orders"], {"id": "a"})
        world.settle()
        kept.refusals = 0
        world.restart()
        world.advance("10m")
    assert len(kept.documents) == 1


def test_what_was_put_back_before_it_was_told_is_not_told() -> None:
    kept = Flaky(1_000)
    app, world = failing(kept)
    with world:
        world.put(app.tables["orders"], {"id": "a"})
        world.settle()
        app.dlq("note").drop()
        kept.refusals = 0
        world.advance("10m")
    assert kept.documents == []


def test_a_notice_names_the_stream_that_its_records_are_of_and_not_the_one_after_it() -> None:
    kept = Flaky(1_000)
    app, world = failing(kept)
    with world:
        own = world.engine.stream_of("orders").arn
        world.put(app.tables["orders"], {"id": "a"})
        world.settle()
        for is_on in (False, True):
            world.engine.update_stream("orders", is_on, "NEW_AND_OLD_IMAGES" if is_on else None)
            world.engine.committer.flush()
        assert world.engine.stream_of("orders").arn != own
        kept.refusals = 0
        world.advance("10m")
    ((message, whole, _),) = kept.documents
    assert message["DDBStreamBatchInfo"]["streamArn"] == own
    assert json.loads(whole["payload"])["Records"][0]["eventSourceARN"] == own


def test_a_notice_whose_table_has_no_stream_any_more_keeps_nobody_waiting() -> None:
    kept, app = Flaky(1_000), App("shop")
    orders, parcels = app.table("orders", pk="id"), app.table("parcels", pk="id")

    def refuse(change: Change) -> None:
        raise ValueError("no")

    for table, name in ((orders, "first"), (parcels, "second")):
        app.on(table, retry=Retry(1), on_failure=Discard(to=kept), id=name)(refuse)
    with World(app, seed=5, allow_failures=True) as world:
        world.put(orders, {"id": "a"})
        world.settle()
        world.engine.update_stream("orders", False)
        world.engine.committer.flush()
        world.advance("26h")
        kept.refusals = 0
        world.put(parcels, {"id": "b"})
        world.settle()
        world.advance("1m")
        told = [
            json.loads(whole["payload"])["Records"][0]["dynamodb"]["NewImage"]
            for _, whole, _ in kept.documents
        ]
        assert told == [{"id": {"S": "b"}}]
