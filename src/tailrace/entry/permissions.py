"""The least that IAM has to allow: what a worker's role and a function's role need for an app, as statements.

Theory of operation: who reads a stream needs the four actions of streams, on that stream; who keeps state
needs rows of one table read and written, and no scan; a sink needs what it calls. A function is called by an
event source mapping, which reads the stream in the function's name. What handlers call themselves nobody
here can know: that is said, and not guessed at with a star.
Rules of this file: pure; resources by their whole ARN where the app names them. An account that nobody has
said is `*`, which in a role's own policy is any, and `--account` narrows it. Called by cli/explain.py.
Source: Service Authorization Reference, DynamoDB, Lambda, SQS, SNS, EventBridge, S3.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from msgspec import Struct

from tailrace.app.app import App
from tailrace.app.table import Table
from tailrace.sinks.called import Function
from tailrace.sinks.destinations import S3, Directory, Sns, Sqs
from tailrace.sinks.duckdb_table import DuckDB
from tailrace.sinks.dynamodb_table import DynamoDB
from tailrace.sinks.event_bridge import EventBridge
from tailrace.sinks.postgresql_table import PostgreSQL
from tailrace.sinks.webhook import Webhook
from tailrace.stores.dynamodb_layout import named_table

READ_STREAM: Final = ("dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator")
KEEP_STATE: Final = (
    "dynamodb:ConditionCheckItem", "dynamodb:DeleteItem", "dynamodb:DescribeTable", "dynamodb:GetItem",
    "dynamodb:PutItem", "dynamodb:Query",
)  # fmt: skip
"""TransactWriteItems is allowed by its parts."""
COPY_ITEMS: Final = (
    "dynamodb:DeleteItem", "dynamodb:DescribeTable", "dynamodb:GetItem", "dynamodb:PutItem",
    "dynamodb:UpdateItem",
)  # fmt: skip
LOGS: Final = ("logs:CreateLogStream", "logs:PutLogEvents")
SEND: Final = ("sqs:GetQueueUrl", "sqs:SendMessage")
NO_CALLS: Final = Directory | DuckDB | PostgreSQL | Webhook | Function
"""Sinks of ours that call nothing of AWS's."""


class Statement(Struct, frozen=True):
    """One statement that allows. Shape: `sid` says what it is for."""

    sid: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]

    def value(self) -> dict[str, Any]:
        """As a policy has it."""
        return {
            "Sid": self.sid,
            "Effect": "Allow",
            "Action": list(self.actions),
            "Resource": list(self.resources),
        }


class Permissions(Struct, frozen=True):
    """What both roles need. Shape: `notes` are sentences about what is not in it."""

    worker: Sequence[Statement]
    function: Sequence[Statement]
    notes: Sequence[str]

    def value(self) -> dict[str, Any]:
        """Two policies as IAM reads them, and the notes."""
        return {
            "worker": _policy(self.worker),
            "function": _policy(self.function),
            "notes": list(self.notes),
        }


def permissions_of(app: App, state: str | None = None, account: str = "*") -> Permissions:
    """The statements of an app. Shape: `state` names the state table, `dynamodb:TABLE`."""
    table = None if state is None else named_table(state)
    places = _Places(app.region, account)
    common = list(_joined(_beside(app, places, table)))
    streams = sorted({places.table(mapping.table) for mapping in app.mappings})
    worker = [
        Statement("DescribeTables", ("dynamodb:DescribeTable",), tuple(streams)),
        *_streams(streams),
        *common,
    ]
    function = [
        *_streams(streams),
        Statement("AskMappings", ("lambda:ListEventSourceMappings",), ("*",)),
        Statement("WriteLogs", LOGS, (f"arn:aws:logs:{app.region}:{account}:log-group:/aws/lambda/*",)),
        *common,
    ]
    return Permissions(worker, function, list(_notes(app, state, is_table=table is not None)))


class _Places(Struct, frozen=True):
    """Where names without a place are."""

    region: str
    account: str

    def table(self, table: Table) -> str:
        """The ARN of a table that an app declares."""
        return self.named(table.name)

    def named(self, name: str) -> str:
        """The ARN of a table by its name, or by its ARN."""
        if name.startswith("arn:"):
            return name
        return f"arn:aws:dynamodb:{self.region}:{self.account}:table/{name}"

    def service(self, service: str, name: str) -> str:
        """The ARN of something of another service."""
        return name if name.startswith("arn:") else f"arn:aws:{service}:{self.region}:{self.account}:{name}"


def _streams(tables: Iterable[str]) -> Iterator[Statement]:
    streams = tuple(f"{table}/stream/*" for table in tables)
    if streams:
        yield Statement("ReadStreams", READ_STREAM, streams)
        yield Statement("ListStreams", ("dynamodb:ListStreams",), streams)


def _beside(app: App, places: _Places, state: str | None) -> Iterator[Statement]:
    """What a worker and a function both need."""
    if state:
        yield Statement("KeepState", KEEP_STATE, (places.named(state),))
    if app.remote is not None and app.remote[1] != state:
        yield Statement("KeepMarks", KEEP_STATE, (places.named(app.remote[1]),))
    for mapping in app.mappings:
        for sink in (mapping.sink, mapping.destination):
            yield from _sink(sink, places)


def _sink(sink: object, places: _Places) -> Iterator[Statement]:
    match sink:
        case Sqs(queue=queue):
            yield Statement("SendToQueues", SEND, (_queue(queue, places),))
        case Sns(topic=topic):
            yield Statement("PublishToTopics", ("sns:Publish",), (topic,))
        case EventBridge(bus=bus):
            named = bus if bus.startswith("arn:") else places.service("events", f"event-bus/{bus}")
            yield Statement("PutEvents", ("events:PutEvents",), (named,))
        case S3(bucket=bucket):
            yield from _arn(f"arn:aws:s3:::{bucket.removeprefix('arn:aws:s3:::')}")
        case DynamoDB(table=table):
            yield Statement("CopyItems", COPY_ITEMS, (places.named(table),))
        case str(arn):
            yield from _arn(arn)


def _arn(arn: str) -> Iterator[Statement]:
    """What an on-failure destination by its ARN needs."""
    match arn.split(":")[2:3]:
        case ["sqs"]:
            yield Statement("SendToQueues", SEND, (arn,))
        case ["sns"]:
            yield Statement("PublishToTopics", ("sns:Publish",), (arn,))
        case ["s3"]:
            yield Statement("PutObjects", ("s3:PutObject",), (f"{arn}/*",))


def _queue(queue: str, places: _Places) -> str:
    """The ARN of a queue by its URL, name or ARN: a URL ends in account and name."""
    if "://" not in queue:
        return places.service("sqs", queue)
    host, _, rest = queue.partition("://")[2].partition("/")
    words, account, name = host.split("."), *rest.rsplit("/", 1)
    region = words[1] if len(words) > 2 and words[0] == "sqs" else places.region
    return f"arn:aws:sqs:{region}:{account}:{name}"


def _joined(statements: Iterable[Statement]) -> Iterator[Statement]:
    """One statement for each purpose, with every resource once."""
    joined: dict[str, Statement] = {}
    for statement in statements:
        before = joined.get(statement.sid)
        resources = statement.resources if before is None else (*before.resources, *statement.resources)
        joined[statement.sid] = Statement(statement.sid, statement.actions, tuple(dict.fromkeys(resources)))
    yield from joined.values()


def _policy(statements: Sequence[Statement]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [statement.value() for statement in statements]}


def _notes(app: App, state: str | None, *, is_table: bool) -> Iterator[str]:
    calls = [
        mapping.id for mapping in app.mappings if mapping.kind in ("on", "batch") and not mapping.only_counts
    ]
    if calls:
        yield (
            f"what {', '.join(calls)} call themselves, and the items that they write by change.transaction "
            "or a client, are not in it"
        )
    if state is None:
        yield "no state table was named (--state dynamodb:TABLE, TAILRACE_STATE or app.lambda_state)"
    elif not is_table:
        yield f"the state {state!r} is no table of DynamoDB's, so IAM has no say in it"
    for mapping in app.mappings:
        for sink in (mapping.sink, mapping.destination):
            if _is_of_others(sink):
                yield f"what the {type(sink).__name__} of {mapping.id} calls is not known"


def _is_of_others(sink: object) -> bool:
    return sink is not None and not isinstance(sink, str | Sqs | Sns | S3 | EventBridge | DynamoDB | NO_CALLS)
