"""Regions and accounts are namespaces of one engine: tables of one name, each with its own items, stream and
tokens."""

import gc
from typing import Any

import orjson
import pytest

from tailrace.clocks.manual import ManualClock
from tailrace.engine.engine import Engine, EngineSettings, ScanRequest
from tailrace.errors import ApiError, SettingsError, StoreError
from tailrace.ports import ItemWrite
from tailrace.rows.writes import Write
from tailrace.stores.memory import MemoryStore
from tailrace.streams.iterators import IteratorStart
from tailrace.tables.definition import TableDefinition
from tailrace.tables.mutate import Put
from tests.unit.engine.building import DAY_MS, START_MS, FailingStore, defined, item, keep_house, opened

HERE = ("us-east-1", "000000000000")
THERE = ("eu-west-1", "000000000000")
OTHERS = ("us-east-1", "111111111111")
ARN_THERE = "arn:aws:dynamodb:eu-west-1:000000000000:table/orders"


def refusal(error: pytest.ExceptionInfo[ApiError]) -> tuple[str, str | None]:
    return error.value.code, error.value.message


def of_three(engine: Engine) -> list[Engine]:
    """The table `orders` in three namespaces, each with another key."""
    views = [engine.of(*where) for where in (HERE, THERE, OTHERS)]
    for view, name in zip(views, ("pk", "id", "number"), strict=True):
        view.create_table(TableDefinition("orders", name, "S", stream="NEW_AND_OLD_IMAGES"))
        view.put(Put("orders", {name: {"S": name}}))
    engine.committer.flush()
    return views


def stream_of(view: Engine) -> str:
    arn: str = view.describe_table("orders")["LatestStreamArn"]
    return arn


def keys_of(view: Engine) -> list[str]:
    return [name for one in view.scan(ScanRequest("orders")).items for name in orjson.loads(one)]


def test_tables_of_one_name_are_apart_by_region_and_account() -> None:
    here, there, others = of_three(opened())
    assert [keys_of(view) for view in (here, there, others)] == [["pk"], ["id"], ["number"]]
    described = [view.describe_table("orders") for view in (here, there, others)]
    assert [one["TableArn"] for one in described] == [
        "arn:aws:dynamodb:us-east-1:000000000000:table/orders",
        ARN_THERE,
        "arn:aws:dynamodb:us-east-1:111111111111:table/orders",
    ]
    assert [one["LatestStreamArn"].rpartition("/stream/")[0] for one in described] == [
        one["TableArn"] for one in described
    ]
    assert len({one["TableId"] for one in described}) == 3


def test_each_lists_its_own_tables_and_streams() -> None:
    engine = opened()
    views = of_three(engine)
    views[1].create_table(defined("others"))
    assert [view.list_tables()["TableNames"] for view in views] == [
        ["orders"],
        ["orders", "others"],
        ["orders"],
    ]
    listed = [[one["StreamArn"] for one in view.list_streams("orders")["Streams"]] for view in views]
    assert listed == [[stream_of(view)] for view in views]
    assert len(views[1].list_streams()["Streams"]) == 2
    assert len(engine.list_streams()["Streams"]) == 4


def test_a_stream_of_another_namespace_is_not_found_and_ones_own_is_read() -> None:
    here, there, _ = of_three(opened())
    arn = stream_of(there)
    with pytest.raises(ApiError) as refused:
        here.describe_stream(arn)
    assert refusal(refused) == (
        "ResourceNotFoundException",
        f"Requested resource not found: Stream: {arn} not found",
    )
    shard = there.describe_stream(arn)["Shards"][0]["ShardId"]
    token = there.get_shard_iterator(arn, shard, IteratorStart("TRIM_HORIZON"))
    assert [record.keys for record in there.get_records(token).records] == [b'{"id":{"S":"id"}}']
    with pytest.raises(ApiError):
        here.get_records(token)


def test_what_is_refused_of_an_arn_is_what_aws_refuses() -> None:
    here, there, _ = of_three(opened())
    assert there.get(ARN_THERE, {"id": {"S": "id"}}) == {"id": {"S": "id"}}
    with pytest.raises(ApiError) as refused:
        here.get(ARN_THERE, {"id": {"S": "id"}})
    assert refusal(refused) == (
        "ValidationException",
        f"Invalid TableArn: Invalid ResourceArn provided as input {ARN_THERE}",
    )
    with pytest.raises(ApiError) as refused:
        here.describe_table("arn:aws:dynamodb:us-east-1:111111111111:table/orders")
    assert refused.value.code == "AccessDeniedException"
    with pytest.raises(ApiError) as refused:
        here.create_table(defined(ARN_THERE))
    assert refused.value.code == "ValidationException"
    created = here.create_table(defined("arn:aws:dynamodb:us-east-1:000000000000:table/named"))
    assert created["TableName"] == "named"


def test_the_whole_engine_calls_tables_of_others_by_arn() -> None:
    engine = opened()
    of_three(engine)
    assert engine.list_tables()["TableNames"] == [
        ARN_THERE,
        "arn:aws:dynamodb:us-east-1:111111111111:table/orders",
        "orders",
    ]
    assert engine.get(ARN_THERE, {"id": {"S": "id"}}) == {"id": {"S": "id"}}
    assert engine.get("arn:aws:dynamodb:us-east-1:000000000000:table/orders", {"pk": {"S": "pk"}}) is not None
    stream = engine.stream_of(ARN_THERE)
    assert (stream.table, stream.region) == (ARN_THERE, "eu-west-1")
    assert engine.stream_of("orders").table == "orders"


def test_what_a_handler_records_is_written_where_the_table_is() -> None:
    engine = opened()
    here, there, _ = of_three(engine)
    engine.state.transact(
        [
            Write("marks/1", {"v": 1}),
            ItemWrite("Put", {"TableName": ARN_THERE, "Item": {"id": {"S": "more"}}}),
        ]
    )
    assert there.get("orders", {"id": {"S": "more"}}) is not None
    assert here.get("orders", {"pk": {"S": "more"}}) is None


def test_it_is_there_again_after_a_restart_and_after_a_commit_that_failed() -> None:
    store = FailingStore()
    engine = opened(store)
    views = of_three(engine)
    engine.committer.flush()
    store.is_broken = True
    views[1].put(Put("orders", {"id": {"S": "lost"}}))
    views[1].create_table(defined("lost"))
    with pytest.raises(StoreError):
        engine.committer.flush()
    store.is_broken = False
    assert [view.list_tables()["TableNames"] for view in views] == [["orders"]] * 3
    assert [keys_of(view) for view in views] == [["pk"], ["id"], ["number"]]
    views[1].put(Put("orders", {"id": {"S": "kept"}}))
    engine.committer.flush()
    again = opened(store)
    assert keys_of(again.of(*THERE)) == ["id", "id"]
    assert keys_of(again.of(*HERE)) == ["pk"]


def test_a_deleted_table_and_its_stream_go_from_their_namespace_alone() -> None:
    clock = ManualClock(START_MS)
    engine = opened(clock=clock)
    here, there, _ = of_three(engine)
    there.delete_table("orders")
    assert (there.list_tables()["TableNames"], here.list_tables()["TableNames"]) == ([], ["orders"])
    assert len(there.list_streams()["Streams"]) == 1
    clock.advance(DAY_MS + 1_000)
    keep_house(engine)
    assert there.list_streams()["Streams"] == []
    assert len(here.list_streams()["Streams"]) == 1
    there.create_table(defined())
    lineage = [shard["ShardId"] for shard in there.describe_stream(stream_of(there))["Shards"]]
    assert len(lineage) == 1


def test_tags_policies_time_to_live_and_tokens_are_of_their_namespace() -> None:
    clock = ManualClock(START_MS)
    engine = opened(clock=clock)
    here, there, _ = of_three(engine)
    there.resources.tag(ARN_THERE, {"where": "there"})
    assert there.resources.tags(ARN_THERE) == {"where": "there"}
    assert here.resources.tags("arn:aws:dynamodb:us-east-1:000000000000:table/orders") == {}
    for ask in (here.resources.tags, here.resources.policy):
        with pytest.raises(ApiError):
            ask(ARN_THERE)
    with pytest.raises(ApiError):
        here.resources.policy(stream_of(there))
    there.resources.put_policy(stream_of(there), "{}")
    assert there.resources.policy(stream_of(there)).policy == "{}"
    there.time_to_live.update("orders", "until", enabled=True)
    assert here.time_to_live.describe("orders") == {"TimeToLiveStatus": "DISABLED"}
    there.put(Put("orders", {"id": {"S": "old"}, "until": {"N": str(START_MS // 1_000 - 10)}}))
    keep_house(engine)
    assert there.get("orders", {"id": {"S": "old"}}) is None
    here.requests.keep("token", "digest", {})
    assert here.requests.done("token", "digest") == {}
    assert there.requests.done("token", "another") is None
    there.requests.keep("token", "another", {})
    clock.advance(DAY_MS)
    keep_house(engine)
    assert (here.requests.done("token", "x"), there.requests.done("token", "x")) == (None, None)


def test_where_a_table_is_that_is_not_here_is_noted_and_not_answered() -> None:
    here, there, _ = of_three(opened())
    there.create_table(defined("only"))
    asks: list[Any] = [
        lambda: here.get("only", item("a")), lambda: here.describe_table("only"),
        lambda: here.put(Put("only", item("a"))),
    ]  # fmt: skip
    for ask in asks:
        with pytest.raises(ApiError) as refused:
            ask()
        assert refused.value.note == (
            "there is no table only in region us-east-1, account 000000000000; "
            "there is arn:aws:dynamodb:eu-west-1:000000000000:table/only"
        )
        assert "eu-west-1" not in str(refused.value.message)
    with pytest.raises(ApiError) as refused:
        here.describe_table("nowhere")
    assert refused.value.note == ""


def test_a_new_directory_keeps_the_default_namespace_that_it_was_begun_with() -> None:
    store = MemoryStore()
    begun = opened(store, settings=EngineSettings(region="eu-west-1"))
    begun.create_table(defined())
    begun.committer.flush()
    again = opened(store, settings=EngineSettings(region="ap-south-1"))
    assert again.settings.region == "eu-west-1"
    assert again.describe_table("orders")["TableArn"] == ARN_THERE
    assert again.of("ap-south-1", "000000000000").list_tables()["TableNames"] == []
    with pytest.raises(SettingsError, match="--one-namespace is for new data directories"):
        opened(store, settings=EngineSettings(one_namespace=True))


def test_a_directory_that_nothing_was_made_in_takes_what_it_is_told_next() -> None:
    store = MemoryStore()
    opened(store).committer.flush()
    assert opened(store, settings=EngineSettings(region="eu-west-1")).settings.region == "eu-west-1"
    assert store.query(0, b"", None, 10) == []


def test_one_namespace_is_kept_and_takes_every_region_and_account() -> None:
    store = MemoryStore()
    begun = opened(store, settings=EngineSettings(one_namespace=True))
    begun.of(*THERE).create_table(defined())
    begun.of(*OTHERS).put(Put(ARN_THERE, item("a")))
    begun.committer.flush()
    again = opened(store)
    assert again.settings.one_namespace
    assert again.get("orders", {"pk": {"S": "a"}}) is not None
    assert again.of(*THERE).describe_table("orders")["TableArn"].startswith("arn:aws:dynamodb:us-east-1:")
    assert again.of(*THERE) is again.of(*OTHERS)


def test_a_directory_of_before_namespaces_keeps_one() -> None:
    store = MemoryStore()
    begun = opened(store)
    begun.create_table(defined())
    begun.committer.put_row(0, b"namespaces", None)  # what was written before there were others
    begun.committer.flush()
    again = opened(store, settings=EngineSettings(region="eu-west-1"))
    assert (again.settings.one_namespace, again.settings.region) == (True, "us-east-1")
    again.of(*OTHERS).create_table(defined("more"))
    again.committer.flush()
    assert opened(store).settings.one_namespace


def test_documents_of_the_default_namespace_are_as_before_and_older_versions_refuse_others() -> None:
    store = MemoryStore()
    engine = opened(store)
    of_three(engine)
    engine.committer.flush()
    kept = dict(store.query(0, b"", None, 100))
    assert b'"region"' not in kept[b"table/orders"]
    assert kept[b"table/orders"].endswith(b'"v":1}')
    there = kept[b"table/" + ARN_THERE.encode()]
    assert b'"region":"eu-west-1","account":"000000000000","v":2}' in there
    streams = [data for key, data in kept.items() if key.startswith(b"stream/")]
    assert sorted(data.endswith(b'"v":2}') for data in streams) == [False, True, True]


def test_a_region_that_was_only_asked_for_is_forgotten() -> None:
    engine = opened()
    for number in range(50):
        assert engine.of(f"no-where-{number}", "000000000000").list_tables()["TableNames"] == []
    gc.collect()
    assert len(engine._catalog.namespaces) == 1
    there = engine.of(*THERE)
    there.create_table(defined())
    del there
    gc.collect()
    assert engine.of(*THERE).list_tables()["TableNames"] == ["orders"]
