"""A search sink and a cluster that does what clusters do: lost answers, throttled items, full disks, mappings
that do not fit, indices that are gone.

Rules of this file: whatever happens to one request, repeating the batch brings the index to what the law
says. What is read back is read by opensearch-py, as users do.
"""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from decimal import Decimal
from itertools import count
from typing import Any

import orjson
import pytest
from msgspec import structs
from msgspec.structs import replace
from opensearchpy import OpenSearch as Reader

from tailrace import sinks
from tailrace.clocks.manual import ManualClock
from tailrace.errors import SettingsError, SinkError, SinkOutage, Throttled, Unavailable
from tailrace.ports import Failed, FailureKind, Outcome, RecordBatch, Written
from tailrace.sinks.search.sink import ROUNDS
from tailrace.streams.record import ChangeRecord
from tailrace.streams.version import Version
from tailrace.testing.contracts.mirror import START_US, _batch, gone, put
from tailrace.testing.search import SearchServer
from tailrace.testing.search.server import (
    CutAnswer,
    LostAnswer,
    LostRequest,
    MissingShards,
    RefusedRequest,
    SearchFault,
)
from tailrace.testing.search.types import SearchError

NUMBER = count()
CLOCK = ManualClock()


@pytest.fixture
def server() -> Iterator[SearchServer]:
    with SearchServer() as running:
        yield running


def using(sink: Any, *steps: Callable[[Any], Awaitable[Any]]) -> Any:
    """Open a sink, do these one after the other, close it. Returns: what the last one gave."""

    async def run() -> Any:
        answer = None
        await sink.open(CLOCK)
        try:
            for step in steps:
                answer = await step(sink)
        finally:
            await sink.close()
        return answer

    return asyncio.run(run())


def writing(*records: ChangeRecord, **about: Any) -> Callable[[Any], Awaitable[Outcome]]:
    return lambda sink: sink.write(replace(_batch(records), **about))


def item(key: str, attributes: dict[str, Any], version: tuple[int, int] = (1, 1)) -> ChangeRecord:
    """A change that leaves these attributes, DynamoDB JSON."""
    new = orjson.dumps({"pk": {"S": key}, **attributes})
    return structs.replace(put(key, 0, version), new=new)


def shown_by(server: SearchServer, index: str = "orders", **query: Any) -> dict[str, Any]:
    """What readers find by a query, by `pk`."""
    with Reader(server.url) as reader:
        reader.indices.refresh(index=index)
        body = {"query": query or {"match_all": {}}, "size": 1_000}
        hits = reader.search(index=index, body=body)["hits"]["hits"]
    return {hit["_source"].get("pk", hit["_id"]): hit["_source"] for hit in hits}


def visible(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if not name.startswith(("tailrace_", "_version"))}


def failures_of(outcome: Outcome) -> dict[int, tuple[FailureKind, bool]]:
    assert isinstance(outcome, Failed)
    return {place: (failure.kind, failure.final) for place, failure in outcome.failures.items()}


# ---- what is there -----------------------------------------------------------------------------------------


def test_readers_see_items_and_no_deleted_ones(server: SearchServer) -> None:
    sink = sinks.OpenSearch(server.url, "orders")
    to = {"M": {"city": {"S": "Gent"}, "zip": {"N": "9000"}}}
    written = item("a", {"total": {"N": "10.5"}, "to": to, "tags": {"SS": ["x", "y"]}}, (1, 7))
    assert using(sink, writing(written, put("b", 1, (1, 8)), gone("b", (1, 9)))) == Written()
    assert {key: visible(one) for key, one in shown_by(server).items()} == {
        "a": {"pk": "a", "total": 10.5, "to": {"city": "Gent", "zip": 9000}, "tags": ["x", "y"]}
    }
    assert set(shown_by(server, "orders-all")) == {"a", "%key:62"}
    assert shown_by(server, term={"to.city.keyword": "Gent"}).keys() == {"a"}
    assert shown_by(server, range={"total": {"gte": 10.5}}).keys() == {"a"}
    assert shown_by(server, term={"total.exact": "10.5"}).keys() == {"a"}
    with Reader(server.url) as reader:
        document = reader.get(index="orders-all", id="%key:62")["_source"]
    assert document == {
        "tailrace_key": "62",
        "_version_pair": Version(1, 9).text,
        "tailrace_deleted": True,
        "tailrace_changed_at": START_US // 1_000,
        "tailrace_changed_us": START_US,
    }


def test_a_deletion_outlives_the_servers_own_memory_of_it(server: SearchServer) -> None:
    sink = sinks.OpenSearch(server.url, "orders")
    using(sink, writing(put("a", 1, (1, 5)), gone("a", (1, 9))))
    server.cluster.advance(3_600)
    using(sink, writing(put("a", 2, (1, 7))), writing(put("a", 3, (0, START_US)), is_snapshot=True))
    assert shown_by(server) == {}


def by_external_version(server: SearchServer, action: str, version: int, source: Any = None) -> int:
    """What other products do: the server compares versions of 63 bits, and forgets what it deleted."""
    about = {action: {"_index": "other", "_id": "a", "version": version, "version_type": "external_gte"}}
    lines = [about] if source is None else [about, source]
    with Reader(server.url) as reader:
        (entry,) = reader.bulk(body=lines)["items"]
    status: int = entry[action]["status"]
    return status


def test_the_canary_hard_deletes_under_external_versions_bring_an_item_back(server: SearchServer) -> None:
    assert by_external_version(server, "index", 5, {"n": 1}) == 201
    assert by_external_version(server, "delete", 9) == 200
    assert by_external_version(server, "index", 7, {"n": 2}) == 409
    server.cluster.advance(61)
    assert by_external_version(server, "index", 7, {"n": 2}) == 201


def test_the_canary_seconds_as_versions_let_the_older_of_two_win(server: SearchServer) -> None:
    second = START_US // 1_000_000
    assert by_external_version(server, "index", second, {"n": "newer"}) == 201
    assert by_external_version(server, "index", second, {"n": "older"}) == 200


# ---- types -------------------------------------------------------------------------------------------------


def test_a_value_of_another_type_is_kept_beside_and_counted(server: SearchServer) -> None:
    sink = sinks.OpenSearch(server.url, "orders")
    outcome = using(
        sink, writing(item("a", {"x": {"N": "1"}}), item("b", {"x": {"S": "one"}, "y": {"S": "z"}}))
    )
    assert outcome == Written()
    document = shown_by(server)["b"]
    assert visible(document) == {
        "pk": "b", "y": "z", "_extra": [{"pointer": "/x", "value": '{"S":"one"}'}]
    }  # fmt: skip
    assert document["tailrace_misfits"] == 1
    assert shown_by(server, exists={"field": "tailrace_misfits"}).keys() == {"b"}


def test_a_number_that_no_double_holds_keeps_its_digits(server: SearchServer) -> None:
    digits = "12345678901234567890123456789012345678"
    using(sinks.OpenSearch(server.url, "orders"), writing(item("a", {"n": {"N": digits}})))
    assert shown_by(server)["a"]["n"] == digits
    assert shown_by(server, term={"n.exact": digits}).keys() == {"a"}
    assert shown_by(server, range={"n": {"gte": 1.2e37, "lt": 1.3e37}}).keys() == {"a"}


def test_fields_that_are_declared_are_taken_as_declared(server: SearchServer) -> None:
    mapping = {"properties": {"placed": {"type": "date"}, "any": {"type": "object", "enabled": False},
                              "big": {"type": "long"}}}  # fmt: skip
    sink = sinks.OpenSearch(server.url, "orders", mapping=mapping)
    attributes = {"placed": {"S": "2026-11-28"}, "big": {"N": str(2**63 - 1)},
                  "any": {"M": {name: {"N": "1"} for name in ("x", "y.z")}}}  # fmt: skip
    assert using(sink, writing(item("a", attributes))) == Written()
    assert visible(shown_by(server)["a"]) == {
        "pk": "a", "placed": "2026-11-28", "big": 2**63 - 1, "any": {"x": 1, "y.z": 1}
    }  # fmt: skip


def test_a_field_that_has_another_type_already_is_told_when_it_is_declared(server: SearchServer) -> None:
    using(sinks.OpenSearch(server.url, "orders"), writing(item("a", {"x": {"S": "text"}})))
    mapping = {"properties": {"x": {"type": "date"}}}
    with pytest.raises(Unavailable, match="cannot be changed from type") as caught:
        using(sinks.OpenSearch(server.url, "orders", mapping=mapping))
    assert "another index name" in (caught.value.hint or "")


def test_a_class_declares_its_fields(server: SearchServer) -> None:
    from tailrace import App, Item

    table = App("shop").table("shop", pk="pk")

    class Order(Item, table=table, pk="{id}"):
        id: str
        number: int = 0
        total: Decimal = Decimal(0)
        note: str | None = None

    mapping = {"properties": {"note": {"type": "keyword"}}}
    using(sinks.OpenSearch(server.url, "orders", item=Order, mapping=mapping))
    properties = server.cluster.indices["orders-000001"].mapping["properties"]
    kinds = {name: properties[name]["type"] for name in ("pk", "id", "number", "total", "note")}
    assert kinds == {"pk": "text", "id": "text", "number": "long", "total": "double", "note": "keyword"}
    with pytest.raises(SettingsError, match="dict"):
        using(sinks.OpenSearch(server.url, "orders", item=dict))


def test_what_the_server_refuses_is_a_dead_letter_with_its_reason(server: SearchServer) -> None:
    mapping = {"properties": {"placed": {"type": "date"}}}
    sink = sinks.OpenSearch(server.url, "orders", mapping=mapping)
    bad = item("a", {"placed": {"S": "tomorrow"}}, (1, 3))
    outcome = using(sink, writing(put("b", 1, (1, 1)), bad, put("c", 1, (1, 2))))
    assert failures_of(outcome) == {1: (FailureKind.RECORD, True)}
    assert isinstance(outcome, Failed)
    assert "failed to parse field [placed] of type [date]" in outcome.failures[1].error
    assert "tomorrow" in outcome.failures[1].error
    assert set(shown_by(server)) == {"b", "c"}


def test_before_a_refused_change_the_one_before_it_is_written(server: SearchServer) -> None:
    sink = sinks.OpenSearch(server.url, "orders", mapping={"properties": {"placed": {"type": "date"}}})
    bad = item("a", {"placed": {"S": "tomorrow"}}, (1, 3))
    outcome = using(sink, writing(put("a", 1, (1, 1)), put("a", 2, (1, 2)), bad, put("a", 9, (1, 1))))
    assert failures_of(outcome) == {2: (FailureKind.RECORD, True)}
    assert shown_by(server)["a"]["n"] == 2


def test_an_index_without_room_for_a_field_holds_back_only_what_needs_it(server: SearchServer) -> None:
    sink = sinks.OpenSearch(server.url, "orders", most_fields=20)
    using(sink, writing(put("a", 1, (1, 1))))
    wide = item("b", {f"x{number}": {"S": "y"} for number in range(9)}, (1, 2))
    outcome = using(sink, writing(put("a", 2, (1, 3)), wide))
    assert failures_of(outcome) == {1: (FailureKind.UNAVAILABLE, False)}
    assert isinstance(outcome, Failed)
    assert "most_fields" in outcome.failures[1].error
    assert shown_by(server)["a"]["n"] == 2
    server.cluster.put_settings("orders-all", {"index": {"mapping.total_fields.limit": 100}})
    assert using(sink, writing(wide)) == Written()


def test_an_outage_while_fields_are_declared_is_not_taken_for_a_full_index(server: SearchServer) -> None:
    async def fails(sink: Any) -> Outcome:
        server.on("_mapping", RefusedRequest(503))
        outcome: Outcome = await sink.write(_batch([put("a", 1, (1, 1))]))
        return outcome

    with pytest.raises(Unavailable, match="503"):
        using(sinks.OpenSearch(server.url, "orders"), fails)
    server.off()


def test_a_digest_knows_the_types_that_another_worker_gave(server: SearchServer) -> None:
    change = item("b", {"x": {"S": "one"}})

    async def compared(sink: Any) -> tuple[Any, Any]:
        other = sinks.OpenSearch(server.url, "orders")
        await other.open(CLOCK)
        await other.write(_batch([item("a", {"x": {"N": "1"}}), change]))
        await other.close()
        (_, row), (digest,) = await sink.rows(b"", 9), await sink.digests(_batch([change]))
        return row.digest, digest

    there, digest = using(sinks.OpenSearch(server.url, "orders"), compared)
    assert there == digest


def test_two_workers_give_a_field_two_types_and_nothing_is_lost(server: SearchServer) -> None:
    first, second = (sinks.OpenSearch(server.url, "orders") for _ in range(2))

    async def race() -> None:
        for sink in (first, second):
            await sink.open(CLOCK)
        assert await first.write(_batch([item("a", {"x": {"N": "1"}})])) == Written()
        assert await second.write(_batch([item("b", {"x": {"S": "one"}})])) == Written()
        for sink in (first, second):
            await sink.close()

    asyncio.run(race())
    documents = shown_by(server)
    assert documents["a"]["x"] == 1
    assert documents["b"]["_extra"] == [{"pointer": "/x", "value": '{"S":"one"}'}]


# ---- outages -----------------------------------------------------------------------------------------------


def test_throttled_items_wait_and_the_others_are_written(server: SearchServer) -> None:
    sink = sinks.OpenSearch(server.url, "orders")
    busy = SearchError(429, "es_rejected_execution_exception", "queue is full")
    server.cluster.judge = lambda action, name, source: busy if name == "%key:62" else None
    records = [put("a", 1, (1, 1)), put("b", 1, (1, 2)), put("b", 2, (1, 3)), put("c", 1, (1, 4))]
    outcome = using(sink, writing(*records))
    assert failures_of(outcome) == {1: (FailureKind.THROTTLED, False)}
    assert set(shown_by(server)) == {"a", "c"}


def conflict_with_the_writes_of(server: SearchServer, key: str) -> None:
    """Have another writer be quicker every time."""
    lost = SearchError(409, "version_conflict_engine_exception", "another writer was quicker")
    name = f"%key:{key.encode().hex()}"
    server.cluster.judge = lambda action, written, source: lost if written == name else None


def test_a_document_that_others_keep_changing_waits_and_the_others_are_written(server: SearchServer) -> None:
    sink = sinks.OpenSearch(server.url, "orders")
    conflict_with_the_writes_of(server, "a")
    outcome = using(sink, writing(put("b", 1, (1, 1)), put("a", 1, (1, 2)), put("a", 2, (1, 3))))
    assert failures_of(outcome) == {1: (FailureKind.THROTTLED, False)}
    assert set(shown_by(server)) == {"b"}
    reads = [path for _, path in server.cluster.requests if path.endswith("_mget")]
    assert len(reads) == ROUNDS - 1


def test_a_sweep_or_repair_that_others_always_overtake_says_so(server: SearchServer) -> None:
    sink = sinks.OpenSearch(server.url, "orders")
    using(sink, writing(put("a", 1, (1, 1)), put("b", 1, (1, 1))))
    conflict_with_the_writes_of(server, "a")
    with pytest.raises(Throttled):
        using(sink, lambda sink: sink.sweep(b"", None, Version(2, 0), Version(2, 1), 9))
    assert set(shown_by(server)) == {"a"}
    with pytest.raises(Throttled):
        using(sink, lambda sink: sink.mend(_batch([put("a", 2, (1, 1))]), [Version(1, 1)]))


@pytest.mark.parametrize("seed", range(6))
def test_two_workers_converge_over_a_cluster_that_fails_at_random(server: SearchServer, seed: int) -> None:
    draw = random.Random(seed)
    changes: list[ChangeRecord] = []
    for number in range(80):
        version = (1 + number // 40, number % 40 + 1)
        key = draw.choice("abcdef")
        changes.append(gone(key, version) if draw.random() < 0.3 else put(key, number, version))
    for fault in FAULTS:
        server.on("", fault, calls=draw.sample(range(4, 200), 20))

    async def work(records: list[ChangeRecord]) -> None:
        sink = sinks.OpenSearch(server.url, "orders")
        await until_answered(lambda: sink.open(CLOCK))
        for start in range(0, len(records), 10):
            batch = _batch(records[start : start + 10], is_snapshot=draw.random() < 0.2)
            await until_answered(lambda batch=batch: sink.write(batch))  # type: ignore[misc]
            if draw.random() < 0.3:
                await until_answered(lambda: sink.sweep(b"", None, Version(1, 0), Version(1, 0), 3))
        await sink.close()

    async def both() -> None:
        again = [*changes, *draw.sample(changes, 40)]
        await asyncio.gather(*(work(draw.sample(again, len(again))) for _ in range(2)))

    asyncio.run(both())
    server.off()
    last = {record.key.decode(): record for record in changes}
    expected = {key: orjson.loads(one.new)["n"]["N"] for key, one in last.items() if one.new is not None}
    assert {key: str(one["n"]) for key, one in shown_by(server).items()} == expected


@pytest.mark.parametrize("block", ["write", "read_only_allow_delete"])
def test_a_blocked_index_is_an_outage_in_words(server: SearchServer, block: str) -> None:
    sink = sinks.OpenSearch(server.url, "orders")
    using(sink, writing(put("a", 1, (1, 1))))
    server.cluster.put_settings("orders-all", {f"index.blocks.{block}": True})
    outcome = using(sink, writing(put("a", 2, (1, 2))))
    assert failures_of(outcome) == {0: (FailureKind.UNAVAILABLE, False)}
    assert isinstance(outcome, Failed)
    assert "read_only_allow_delete" in outcome.failures[0].error
    server.cluster.put_settings("orders-all", {f"index.blocks.{block}": None})
    assert using(sink, writing(put("a", 2, (1, 2)))) == Written()


@pytest.mark.parametrize(
    ("status", "wait"), [(429, "7"), (503, "3"), (502, ""), (504, ""), (401, ""), (403, "")]
)
def test_a_refused_request_is_an_outage_of_the_batch(server: SearchServer, status: int, wait: str) -> None:
    sink = sinks.OpenSearch(server.url, "orders")
    using(sink)
    server.on("_bulk", RefusedRequest(status, b"no", wait))
    with pytest.raises(SinkOutage) as caught:
        using(sink, writing(put("a", 1, (1, 1))))
    assert caught.value.retry_after == float(wait or 0)
    assert server.url in str(caught.value)


def test_an_index_that_is_gone_is_an_outage_and_is_not_made_by_accident(server: SearchServer) -> None:
    sink = sinks.OpenSearch(server.url, "orders")

    async def gone_meanwhile(sink: Any) -> Outcome:
        server.cluster.delete_index("orders-000001")
        outcome: Outcome = await sink.write(_batch([put("a", 1, (1, 1))]))
        return outcome

    scanned = structs.replace(put("a", 1, (1, 1)), event_name="INSERT")
    with suppress(SinkOutage):
        failed = using(sink, gone_meanwhile)
        assert set(failures_of(failed).values()) == {(FailureKind.UNAVAILABLE, False)}
    assert server.cluster.indices == {}
    using(sink, writing(scanned))
    assert set(shown_by(server)) == {"a"}


def test_a_request_that_is_too_large_is_halved(server: SearchServer) -> None:
    sink = sinks.OpenSearch(server.url, "orders")
    using(sink)
    server.most_bytes = 1_500
    records = [put(f"k{number}", number, (1, number + 1)) for number in range(20)]
    large = item("large", {"text": {"S": "x" * 2_000}}, (1, 99))
    outcome = using(sink, writing(*records, large))
    assert failures_of(outcome) == {20: (FailureKind.RECORD, True)}
    assert isinstance(outcome, Failed)
    assert "413" in outcome.failures[20].error
    server.most_bytes = 10**6
    assert len(shown_by(server)) == 20


def test_requests_keep_to_the_bounds_that_are_set(server: SearchServer) -> None:
    sink = sinks.OpenSearch(server.url, "orders", most_actions=3)
    using(sink, writing(*(put(f"k{number}", number, (1, number + 1)) for number in range(10))))
    asked = [path for method, path in server.cluster.requests if path.endswith("_bulk")]
    assert len(asked) == 4


def test_an_answer_that_misses_shards_is_no_answer(server: SearchServer) -> None:
    sink = sinks.OpenSearch(server.url, "orders")
    using(sink, writing(put("a", 1, (1, 1))))
    server.on("_search", MissingShards())
    with pytest.raises(Unavailable, match="only a part"):
        using(sink, lambda sink: sink.rows(b"", 10))
    server.off()
    server.on("_refresh", MissingShards())
    with pytest.raises(Unavailable, match="refreshed"):
        using(sink, lambda sink: sink.sweep(b"", None, Version(9, 0), Version(9, 1), 10))


# ---- every call may be lost --------------------------------------------------------------------------------

FAULTS: list[SearchFault] = [LostRequest(), LostAnswer(), CutAnswer(20), RefusedRequest(503)]
STEPS: list[tuple[str, Callable[[Any], Awaitable[Any]]]] = [
    ("write", writing(put("a", 2, (1, 6)), gone("b", (1, 7)), put("d", 1, (1, 8)))),
    ("scan", writing(put("a", 9, (0, 1)), put("c", 3, (2, 1)), put("e", 5, (2, 2)), is_snapshot=True)),
    ("sources", lambda sink: sink.keep_sources({"orders/1": 1, "orders/2": 2})),
    ("sweep", lambda sink: sink.sweep(b"", None, Version(2, 0), Version(2, 9), 99)),
    ("mend", lambda sink: sink.mend(_batch([put("c", 4, (2, 1))]), [Version(2, 1)])),
    ("forget", lambda sink: sink.forget(START_US + 1, 99)),
    ("again", writing(put("a", 7, (3, 1)), put("b", 8, (3, 2)))),
]


async def until_answered(step: Callable[[], Awaitable[Any]]) -> None:
    for _ in range(99):
        try:
            if not isinstance(await step(), Failed):
                return
        except SinkOutage:
            continue
    raise AssertionError("never answered")


async def all_steps(sink: Any) -> None:
    await until_answered(lambda: sink.open(CLOCK))
    try:
        for _, step in STEPS:
            await until_answered(lambda step=step: step(sink))  # type: ignore[misc]
    finally:
        await sink.close()


def rows_there(sink: Any) -> list[Any]:
    rows: list[Any] = using(sink, lambda sink: sink.rows(b"", 100))
    return rows


def test_whichever_call_is_lost_the_index_is_the_same_in_the_end(server: SearchServer) -> None:
    def begun() -> Any:
        sink = sinks.OpenSearch(server.url, f"orders-{next(NUMBER)}")
        using(sink, writing(put("a", 1, (1, 1)), put("b", 1, (1, 2)), put("c", 1, (1, 3))))
        server.cluster.requests.clear()
        return sink

    sink = begun()
    asyncio.run(all_steps(sink))
    expected, calls = rows_there(sink), len(server.cluster.requests)
    assert len(expected) == 4
    assert calls > 20
    for number in range(1, calls):
        fault = FAULTS[number % len(FAULTS)]
        sink = begun()
        server.on("", fault, calls=[number])
        asyncio.run(all_steps(sink))
        server.off()
        assert using(sink, lambda sink: sink.sources()) == {"orders/1": 1, "orders/2": 2}
        assert rows_there(sink) == expected, f"{fault} at call {number}"


# ---- the index and its aliases -----------------------------------------------------------------------------


def test_an_index_is_made_once_with_both_aliases(server: SearchServer) -> None:
    async def both() -> None:
        pair = [sinks.OpenSearch(server.url, "orders", settings={"number_of_shards": 3}) for _ in range(2)]
        await asyncio.gather(*(sink.open(CLOCK) for sink in pair))
        for sink in pair:
            await sink.close()

    asyncio.run(both())
    (index,) = server.cluster.indices.values()
    assert index.settings == {"mapping.total_fields.limit": 1_000, "number_of_shards": 3}
    assert index.mapping["dynamic"] is False
    assert set(index.aliases) == {"orders", "orders-all"}


def test_an_alias_that_was_taken_away_comes_back(server: SearchServer) -> None:
    sink = sinks.OpenSearch(server.url, "orders")
    using(sink, writing(put("a", 1, (1, 1)), gone("b", (1, 2))))
    server.cluster.alias([{"remove": {"index": "orders-000001", "alias": "orders"}}])
    using(sink)
    assert set(shown_by(server)) == {"a"}


def test_without_leave_to_make_it_the_command_is_told(server: SearchServer) -> None:
    sink = sinks.OpenSearch(server.url, "orders", create_index=False)
    with pytest.raises(Unavailable) as caught:
        using(sink)
    command = (caught.value.hint or "").partition(" /orders-000001 ")
    assert command[0] == "PUT"
    server.cluster.create("orders-000001", json.loads(command[2]))
    assert using(sink, writing(put("a", 1, (1, 1)))) == Written()


@pytest.mark.parametrize(
    ("there", "words"),
    [
        ([("orders", {})], "is an index already"),
        ([("orders-all", {})], "must be an alias of one index"),
        ([("orders-000001", {})], "is there, and alias orders-all is not"),
        ([("a", {"aliases": {"orders-all": {}}}), ("b", {"aliases": {"orders-all": {}}})], "of one index"),
    ],
)
def test_what_stands_in_the_way_is_told(
    server: SearchServer, there: list[tuple[str, dict[str, Any]]], words: str
) -> None:
    for name, body in there:
        server.cluster.create(name, body)
    with pytest.raises(Unavailable, match=words) as caught:
        using(sinks.OpenSearch(server.url, "orders"))
    assert caught.value.hint


def test_a_document_that_somebody_else_put_there_is_replaced(server: SearchServer) -> None:
    sink = sinks.OpenSearch(server.url, "orders")
    using(sink)
    with Reader(server.url) as reader:
        reader.bulk(body=[{"index": {"_index": "orders-all", "_id": "%key:61"}}, {"pk": "theirs"}])
    assert using(sink, writing(put("a", 1, (1, 1)))) == Written()
    assert shown_by(server)["a"]["n"] == 1


# ---- values, settings, worlds ------------------------------------------------------------------------------


def test_a_transform_makes_the_document(server: SearchServer) -> None:
    sink = sinks.OpenSearch(server.url, "orders")
    records = [put("a", 1, (1, 1)), gone("b", (1, 2)), put("c", 1, (1, 3)), put("d", 1, (1, 4))]
    outcome = using(sink, writing(*records, values=[{"title": "A"}, {"title": "gone"}, "text", {"n": 1.5}]))
    assert failures_of(outcome) == {2: (FailureKind.RECORD, True), 3: (FailureKind.RECORD, True)}
    assert [visible(one) for one in shown_by(server).values()] == [{"title": "A"}]


def test_several_documents_of_one_change_are_refused(server: SearchServer) -> None:
    sink = sinks.OpenSearch(server.url, "orders")
    one, other = put("a", 1, (1, 1)), put("b", 1, (1, 2))
    outcome = using(sink, writing(one, one, other, values=[{"n": 1}, {"n": 2}, {"n": 3}]))
    assert failures_of(outcome) == {1: (FailureKind.RECORD, True)}
    assert sorted(visible(document)["n"] for document in shown_by(server).values()) == [1, 3]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"url": "search.example"}, "begins with https"),
        ({"url": "https://abc.eu-west-1.aoss.amazonaws.com"}, "Serverless"),
        ({"url": "https://me:secret@search.example"}, "basic="),
        ({"index": "Orders"}, "small letters"),
        ({"index": "_orders"}, "small letters"),
        ({"most_fields": 0}, "at least 1"),
    ],
)
def test_wrong_settings_are_told(options: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        sinks.OpenSearch(**{"url": "http://127.0.0.1:9", "index": "orders", **options})


def test_one_way_to_log_in_is_enough() -> None:
    sink = sinks.Elasticsearch("http://127.0.0.1:9", "orders", basic=("me", "secret"), api_key="key")
    with pytest.raises(SettingsError, match="not several"):
        using(sink)
    assert "secret" not in repr(sink)


@pytest.mark.parametrize(
    ("sink", "header"),
    [
        (lambda url: sinks.OpenSearch(url, "orders", basic=("me", "secret")), "Basic bWU6c2VjcmV0"),
        (lambda url: sinks.Elasticsearch(url, "orders", api_key="a2V5"), "ApiKey a2V5"),
    ],
)
def test_a_login_is_sent_with_every_request(
    server: SearchServer, sink: Callable[[str], Any], header: str
) -> None:
    server.authorization = header
    assert using(sink(server.url), writing(put("a", 1, (1, 1)))) == Written()
    server.authorization = "another"
    with pytest.raises(Unavailable, match="check basic="):
        using(sink(server.url), writing(put("a", 1, (1, 1))))


def test_nobody_at_the_address_is_an_outage() -> None:
    with pytest.raises(Unavailable, match="127"):
        using(sinks.OpenSearch("http://127.0.0.1:9", "orders", timeout=1))


def test_a_signature_is_of_the_domains_region_and_of_what_is_sent(
    server: SearchServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI")
    access = sinks.AwsAccess(region="eu-west-1")
    sink = sinks.OpenSearch(server.url, "orders", access=access)
    assert using(sink, writing(put("a", 1, (1, 1)))) == Written()
    for headers in server.headers:
        assert "/eu-west-1/es/aws4_request, SignedHeaders=" in headers["authorization"]
        assert headers["host"] == server.url.removeprefix("http://")
    with pytest.raises(SinkError, match="region"):
        using(sinks.OpenSearch(server.url, "orders", access=sinks.AwsAccess()))


def test_nothing_leaves_a_test_world() -> None:
    from tailrace import App
    from tailrace.testing import World

    app = App("shop")
    orders = app.table("orders", pk="id")
    sink = sinks.OpenSearch("https://search.example", "orders")
    app.sink(orders, sink)
    with World(app) as world:
        world.put(orders, {"id": "o1", "total": 3})
        world.settle()
        (sent,) = world.sent("orders.OpenSearch")
    assert (sent.to, sent.service, sent.operation) == ("orders", "opensearch", "index")
    assert visible(sent.body) == {"id": "o1", "total": 3}
    assert sent.request["id"] == "o1"


def test_a_batch_without_records_asks_nothing(server: SearchServer) -> None:
    sink = sinks.OpenSearch(server.url, "orders")
    assert using(sink, lambda sink: sink.write(RecordBatch([], "a", _batch([]).stream, "1"))) == Written()
    assert not [path for _, path in server.cluster.requests if path.endswith(("_bulk", "_mget"))]
