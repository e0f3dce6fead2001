"""Data streams: each record is read once through parents before children, and any request has an answer.

Rules of this file: the first property goes through boto3's bytes, as clients do; the second judges what is no
request of theirs.
"""

import json
from collections import defaultdict
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tailrace.api.registry import KINESIS, Operation, find_operations
from tailrace.api.shapes import Binary, Flag, Many, Shape, String, StringMap, Structure, Timestamp, Whole
from tailrace.clocks.manual import ManualClock
from tailrace.engine.engine import Engine
from tailrace.server.inprocess import InProcess
from tailrace.stores.memory import MemoryStore
from tailrace.streams.iterators import IteratorStart
from tailrace.streams.kinesis.hash_ranges import HASHES
from tests.cbor import parsed
from tests.conformance.client import SIGNED, Conformance
from tests.conformance.kinesis import ARN, stream
from tests.serving import START_MS

QUIET = settings(deadline=None, suppress_health_check=list(HealthCheck))
OPERATIONS = [
    entry
    for entry in find_operations((KINESIS,)).values()
    if entry.emulated and entry.name != "SubscribeToShard"
]
"""The other one answers with a stream of events (tests/unit/server)."""
SHARD = "shardId-000000000000"

# ---- each record once --------------------------------------------------------------------------------------

keys = st.sampled_from("abcdefgh")
moves = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.lists(keys, min_size=1, max_size=5)),
        st.tuples(st.just("split"), st.integers(0, 50), st.integers(2, HASHES)),
        st.tuples(st.just("merge"), st.integers(0, 50)),
        st.tuples(st.just("scale"), st.integers(-3, 3)),
        st.tuples(st.just("wait"), st.sampled_from([1, 999, 60_000])),
        st.tuples(st.just("read"), st.integers(1, 4)),
    ),
    max_size=25,
)


class Reader:
    """A consumer that reads a shard only when its parents are read to their ends, as the KCL does."""

    def __init__(self, engine: Engine) -> None:
        self._kinesis = engine.kinesis
        self.read: list[tuple[str, bytes]] = []
        self._after: dict[str, int | None] = {}

    def go_on(self, limit: int) -> bool:
        """One page of every shard that may be read. Returns: whether there was anything."""
        stream = self._kinesis.streams.named("orders")
        shards = {shard.index: shard for shard in stream.document.shards}
        is_moved = False
        for shard in self._kinesis.reader.shards(stream):
            done = self._after.get(shard.shard_id, 0) is None
            parents = [shards[parent].shard_id for parent in shard.parents]
            if done or any(self._after.get(parent, 0) is not None for parent in parents):
                continue
            place = self._kinesis.reader.place(stream, shard.shard_id)
            begin = self._after.setdefault(
                shard.shard_id, self._kinesis.reader.after(place, IteratorStart("TRIM_HORIZON"))
            )
            assert begin is not None
            page = self._kinesis.reader.page(place, begin, limit, 1_000_000)
            assert page.closed == bool(page.children)
            self.read += [(record.partition_key, record.data) for record in page.records]
            self._after[shard.shard_id] = None if page.closed else page.next_after
            is_moved = is_moved or bool(page.records) or page.closed
        return is_moved


def move(
    api: Conformance, clock: ManualClock, reader: Reader, put: list[tuple[str, bytes]], step: Any
) -> None:
    """One thing that happens to the stream."""
    kinesis = api.engine.kinesis
    state = kinesis.streams.named("orders")
    match step:
        case ("put", chosen):
            records = [(key, b"%d" % (len(put) + place)) for place, key in enumerate(chosen)]
            entries = [{"PartitionKey": key, "Data": data} for key, data in records]
            api.kinesis.put_records(StreamName="orders", Records=entries)
            put += records
        case ("split", which, at):
            shard = state.open_shards[which % len(state.open_shards)]
            first, last = shard.hash_range
            if last - first > 4:
                kinesis.resharding.split(state, shard.shard_id, str(first + 2 + at % (last - first - 3)))
        case ("merge", which) if len(state.open_shards) > 1:
            place = which % (len(state.open_shards) - 1)
            lower, upper = state.open_shards[place : place + 2]
            kinesis.resharding.merge(state, upper.shard_id, lower.shard_id)
        case ("scale", more) if len(state.document.scalings_ms) < 10:
            count = len(state.open_shards)
            kinesis.resharding.scale(state, max((count + 1) // 2, min(2 * count, count + more)))
        case ("wait", ms):
            clock.advance(ms)
        case ("read", limit):
            reader.go_on(limit)
    api.engine.committer.flush()


@settings(QUIET, max_examples=120)
@given(steps=moves, limit=st.integers(1, 3))
def test_each_record_is_read_once_and_each_key_in_its_order(steps: list[Any], limit: int) -> None:
    clock = ManualClock(START_MS)
    api = Conformance(Engine(MemoryStore(), clock))
    stream(api, shards=2)
    reader, put = Reader(api.engine), list[tuple[str, bytes]]()
    for step in steps:
        move(api, clock, reader, put, step)
    while reader.go_on(limit):
        pass
    assert sorted(reader.read) == sorted(put)
    by_key: dict[str, list[bytes]] = defaultdict(list)
    for key, data in put:
        by_key[key].append(data)
    for key, expected in by_key.items():
        assert [data for of, data in reader.read if of == key] == expected
    ranges = [shard.hash_range for shard in api.engine.kinesis.streams.named("orders").open_shards]
    assert [part.first for part in ranges] == [0, *(part.last + 1 for part in ranges[:-1])]
    assert ranges[-1].last == HASHES - 1


def test_a_reader_that_begins_children_early_would_be_seen() -> None:
    """The canary: without parents first the order of a key is lost."""
    clock = ManualClock(START_MS)
    api = Conformance(Engine(MemoryStore(), clock))
    stream(api)
    reader, put = Reader(api.engine), list[tuple[str, bytes]]()
    for step in (("put", ["a"]), ("split", 0, 2**127), ("put", ["a"])):
        move(api, clock, reader, put, step)
    reader._after[SHARD] = None
    while reader.go_on(1):
        pass
    reader._after[SHARD] = 0
    reader.go_on(1)
    assert [data for _, data in reader.read] != [data for _, data in put]


# ---- any request has an answer -----------------------------------------------------------------------------

texts = st.text(max_size=8) | st.sampled_from(
    [
        "orders",
        ARN,
        f"{ARN}/consumer/mail:{START_MS // 1_000}",
        SHARD,
        "0",
        "5",
        str(2**128),
        "AA==",
        "{}",
        "mail",
    ]
)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
RIGHT = {
    "StreamName": "orders", "StreamARN": ARN, "ResourceARN": ARN, "ShardId": SHARD, "ConsumerName": "mail",
    "ConsumerARN": f"{ARN}/consumer/mail:{START_MS // 1_000}",
}  # fmt: skip


def fitting(shape: Shape, name: str = "") -> st.SearchStrategy[Any]:
    """Values of about the right shape."""
    match shape:
        case String(choices=choices) if choices:
            return st.sampled_from(choices)
        case String():
            return st.just(RIGHT[name]) | texts if name in RIGHT else texts
        case Whole():
            return st.integers(-1, 200) | st.integers()
        case Flag():
            return st.booleans()
        case Timestamp():
            return st.floats(allow_nan=False, allow_infinity=False) | st.integers()
        case Binary():
            return st.sampled_from(["", "AA==", "AAA", "="])
        case Many(of):
            return st.lists(fitting(of), max_size=3)
        case StringMap(of):
            return st.dictionaries(texts, fitting(of), max_size=3)
        case Structure(members, required):
            return st.fixed_dictionaries(
                {one: fitting(members[one], one) for one in members if one in required},
                optional={one: fitting(members[one], one) for one in members if one not in required},
            )
        case _:
            return anything


ENOUGH: dict[str, Any] = {
    "CreateStream": {"StreamName": "new", "ShardCount": 1},
    "DescribeStreamConsumer": ("ConsumerARN",),
    "DeregisterStreamConsumer": ("ConsumerARN",),
    "RegisterStreamConsumer": {"ConsumerName": "new"},
    "DeleteStream": {"EnforceConsumerDeletion": True},
    "GetShardIterator": {"ShardIteratorType": "LATEST"},
    "PutRecords": {"Records": [{"Data": "", "PartitionKey": "a"}]},
    "PutResourcePolicy": {"Policy": "{}"},
}
"""What makes a request right beside the names that are always the same."""


def barely(entry: Operation) -> st.SearchStrategy[Any]:
    """Nothing but what is required, and that right; and the stream, where it is named by its name."""
    members, more = entry.input.structure.members, ENOUGH.get(entry.name, ())
    chosen: dict[str, st.SearchStrategy[Any]] = {}
    for name in (*entry.input.structure.required, *more, *({"StreamName"} & members.keys())):
        match members[name]:
            case String(choices=()):
                chosen[name] = st.just(RIGHT.get(name, "5"))
            case Many(of):
                chosen[name] = st.lists(
                    fitting(of) if isinstance(of, Structure) else st.just("ALL"), min_size=1
                )
            case StringMap():
                chosen[name] = st.just({"a": "b"})
            case shape:
                chosen[name] = fitting(shape, name)
    if isinstance(more, dict):
        chosen |= {name: st.just(value) for name, value in more.items()}
    return st.fixed_dictionaries(chosen)


@pytest.fixture(scope="module")
def server() -> InProcess:
    """An engine with a stream, a record and a consumer."""
    return made().server


def made() -> Conformance:
    """A fresh one."""
    api = Conformance(Engine(MemoryStore(), ManualClock(START_MS)))
    stream(api)
    api.kinesis.put_record(StreamName="orders", Data=b"1", PartitionKey="a")
    api.kinesis.register_stream_consumer(StreamARN=ARN, ConsumerName="mail")
    return api


STATUSES: dict[str, set[int]] = defaultdict(set)
SELDOM_RIGHT = {
    "GetRecords", "UpdateStreamWarmThroughput", "StopStreamEncryption", "GetResourcePolicy",
    "DeleteResourcePolicy", "MergeShards", "IncreaseStreamRetentionPeriod", "DecreaseStreamRetentionPeriod",
    "UpdateMaxRecordSize", "SplitShard", "UpdateShardCount", "ListStreamConsumers",
}  # fmt: skip
"""No generator guesses a token, a second shard, a policy that is there, or numbers within narrow bounds."""


def judged(server: InProcess, target: str, body: bytes, kind: str) -> None:
    """Send a request; whatever it was, the answer must be a proper one."""
    answer = server.call({**SIGNED, "Content-Type": kind, "X-Amz-Target": target}, body)
    assert answer.status in (200, 400), (answer, body)
    STATUSES[target.rpartition(".")[2]].add(answer.status)
    if not answer.body:
        assert answer.status == 200
        return
    decoded = json.loads(answer.body) if kind.endswith("json-1.1") else parsed(answer.body)
    if answer.status == 400:
        assert "#" not in decoded["__type"]
        assert "tailrace." not in decoded.get("message", "")


@pytest.mark.parametrize("entry", OPERATIONS, ids=lambda entry: entry.name)
@settings(QUIET, max_examples=40)
@given(data=st.data())
def test_any_payload_of_any_operation_is_answered(entry: Operation, data: st.DataObject) -> None:
    right = fitting(entry.input.structure)
    members = sorted(entry.input.structure.members) or ["Anything"]
    wrong = st.dictionaries(st.sampled_from(members), anything, max_size=2)
    mixed = st.builds(lambda good, bad: {**good, **bad}, right, wrong)
    payload = data.draw(st.one_of(barely(entry), right, mixed, anything))
    judged(made().server, entry.target.decode(), json.dumps(payload).encode(), "application/x-amz-json-1.1")


def test_the_payloads_reached_both_answers() -> None:
    """A strategy that only ever makes refusals would prove nothing."""
    lacking = {
        entry.name: {200, 400} - STATUSES[entry.name]
        for entry in OPERATIONS
        if entry.input.structure.members and entry.name not in SELDOM_RIGHT
    }
    assert {name: statuses for name, statuses in lacking.items() if statuses} == {}


@settings(QUIET, max_examples=200)
@given(body=st.binary(max_size=80), entry=st.sampled_from(OPERATIONS))
def test_any_bytes_are_answered_in_both_forms(server: InProcess, body: bytes, entry: Operation) -> None:
    for kind in ("application/x-amz-json-1.1", "application/x-amz-cbor-1.1"):
        judged(server, entry.target.decode(), body, kind)
