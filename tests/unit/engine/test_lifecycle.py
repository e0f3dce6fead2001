"""Tables come, change and go, at once or with AWS's waiting."""

import pytest

from tailrace.clocks.manual import ManualClock
from tailrace.engine.engine import Engine, EngineSettings
from tailrace.errors import ApiError
from tailrace.tables.definition import TableChange, TableDefinition
from tailrace.tables.mutate import Put
from tests.unit.engine.building import (
    DAY_MS,
    START_MS,
    FailingStore,
    arn_of,
    defined,
    item,
    keep_house,
    log_of,
    names_of,
    opened,
    put,
    with_table,
)

SLOW = EngineSettings(aws_delays=True)


def refusal(error: pytest.ExceptionInfo[ApiError]) -> tuple[str, str | None]:
    return error.value.code, error.value.message


def test_a_new_table_is_creating_in_the_answer_and_active_when_described() -> None:
    engine = opened()
    created = engine.create_table(defined(sort=True))
    assert created == {
        "AttributeDefinitions": [
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "N"},
        ],
        "TableName": "orders",
        "KeySchema": [
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ],
        "TableStatus": "CREATING",
        "CreationDateTime": START_MS / 1_000,
        "ProvisionedThroughput": {
            "NumberOfDecreasesToday": 0,
            "ReadCapacityUnits": 0,
            "WriteCapacityUnits": 0,
        },
        "TableSizeBytes": 0,
        "ItemCount": 0,
        "TableArn": "arn:aws:dynamodb:us-east-1:000000000000:table/orders",
        "TableId": created["TableId"],
        "DeletionProtectionEnabled": False,
        "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
        "TableThroughputModeSummary": {"TableThroughputMode": "PAY_PER_REQUEST"},
        "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        "LatestStreamLabel": "2023-11-14T22:13:20.000",
        "LatestStreamArn": "arn:aws:dynamodb:us-east-1:000000000000:table/orders/stream/"
        "2023-11-14T22:13:20.000",
    }
    described = engine.describe_table("orders")
    assert described["TableStatus"] == "ACTIVE"
    assert described["BillingModeSummary"]["LastUpdateToPayPerRequestDateTime"] == START_MS / 1_000


def test_the_same_history_gives_the_same_table_ids_and_other_tables_other_ones() -> None:
    ids = [opened().create_table(defined())["TableId"] for _ in range(2)]
    engine = opened()
    others = [engine.create_table(defined(name))["TableId"] for name in ("orders", "others")]
    assert ids[0] == ids[1] == others[0] != others[1]
    assert [len(part) for part in ids[0].split("-")] == [8, 4, 4, 4, 12]


def test_a_table_exists_only_once() -> None:
    engine, _ = with_table()
    with pytest.raises(ApiError) as refused:
        engine.create_table(defined())
    assert refusal(refused) == ("ResourceInUseException", "Table already exists: orders")


@pytest.mark.parametrize("call", ["describe_table", "delete_table"])
def test_an_unknown_table_is_named_in_the_error(call: str) -> None:
    with pytest.raises(ApiError) as refused:
        getattr(opened(), call)("missing")
    assert refusal(refused) == (
        "ResourceNotFoundException",
        "Requested resource not found: Table: missing not found",
    )


def test_tables_are_listed_alphabetically_in_pages() -> None:
    engine = opened()
    for name in ("c3", "a1", "b2"):
        engine.create_table(defined(name))
    assert engine.list_tables() == {"TableNames": ["a1", "b2", "c3"]}
    assert engine.list_tables(limit=2) == {"TableNames": ["a1", "b2"], "LastEvaluatedTableName": "b2"}
    assert engine.list_tables("b2", 2) == {"TableNames": ["c3"]}
    assert engine.list_tables("bb") == {"TableNames": ["c3"]}


def test_labels_are_unique_even_in_one_millisecond() -> None:
    engine = opened()
    labels = [
        engine.create_table(defined(name))["LatestStreamLabel"] for name in ("first", "second", "third")
    ]
    assert len(set(labels)) == 3
    for name in ("first", "second", "third"):
        described = engine.describe_table(name)
        milliseconds = round(described["CreationDateTime"] * 1_000) % 1_000
        assert described["LatestStreamLabel"].endswith(f".{milliseconds:03d}")


# ---- streams on and off ------------------------------------------------------------------------------------


def test_switching_a_stream_off_closes_its_shards_and_keeps_its_label() -> None:
    engine, _ = with_table()
    put(engine, "a")
    arn = arn_of(engine)
    engine.update_stream("orders", False)
    put(engine, "b")
    described = engine.describe_table("orders")
    assert "StreamSpecification" not in described
    assert described["LatestStreamArn"] == arn
    stream = engine.describe_stream(arn)
    assert stream["StreamStatus"] == "DISABLED"
    assert all("EndingSequenceNumber" in shard["SequenceNumberRange"] for shard in stream["Shards"])
    assert names_of(log_of(engine, arn)) == ["INSERT"]


def test_switching_it_on_again_gives_a_new_label_and_new_shards() -> None:
    engine, _ = with_table()
    before = arn_of(engine)
    engine.update_stream("orders", False)
    engine.update_stream("orders", True, "KEYS_ONLY")
    after = arn_of(engine)
    assert after != before
    put(engine, "a")
    assert names_of(log_of(engine, after)) == ["INSERT"]
    assert log_of(engine, before) == []
    ids = [shard.shard_id for arn in (before, after) for shard in engine.shards_of(arn)]
    assert len(set(ids)) == 2


@pytest.mark.parametrize("view_type", ["KEYS_ONLY", "NEW_AND_OLD_IMAGES"])
def test_a_stream_that_is_on_cannot_be_switched_on(view_type: str) -> None:
    engine, _ = with_table()
    with pytest.raises(ApiError) as refused:
        engine.update_stream("orders", True, view_type)  # type: ignore[arg-type]
    assert refusal(refused) == (
        "ValidationException",
        "Table already has an enabled stream: TableName: orders",
    )


def test_a_stream_that_is_off_cannot_be_switched_off() -> None:
    engine, _ = with_table(stream=None)
    with pytest.raises(ApiError) as refused:
        engine.update_stream("orders", False)
    assert refusal(refused) == ("ValidationException", "Table has no stream to disable: TableName: orders")


# ---- other changes -----------------------------------------------------------------------------------------


def test_throughput_and_billing_can_change_but_not_to_the_same() -> None:
    engine, _ = with_table()
    change = TableChange(billing_mode="PROVISIONED", throughput=(3, 4))
    engine.update_table("orders", change)
    described = engine.describe_table("orders")
    assert described["ProvisionedThroughput"]["WriteCapacityUnits"] == 4
    assert described["BillingModeSummary"]["BillingMode"] == "PROVISIONED"
    with pytest.raises(ApiError, match=r"^The provisioned throughput for the table will not change"):
        engine.update_table("orders", TableChange(throughput=(3, 4)))
    engine.update_table("orders", TableChange(billing_mode="PAY_PER_REQUEST"))
    assert engine.describe_table("orders")["ProvisionedThroughput"]["WriteCapacityUnits"] == 0


def test_a_protected_table_cannot_be_deleted_until_it_is_not() -> None:
    engine = opened()
    engine.create_table(TableDefinition("orders", "pk", "S", deletion_protection=True))
    with pytest.raises(ApiError, match=r"^Resource cannot be deleted as it is currently protected"):
        engine.delete_table("orders")
    engine.update_table("orders", TableChange(deletion_protection=False))
    engine.delete_table("orders")
    assert engine.list_tables() == {"TableNames": []}


# ---- going -------------------------------------------------------------------------------------------------


def test_a_deleted_table_is_gone_and_its_stream_stays_a_day() -> None:
    engine, clock = with_table()
    put(engine, "a")
    arn = arn_of(engine)
    assert engine.delete_table("orders")["TableStatus"] == "DELETING"
    engine.committer.flush()
    with pytest.raises(ApiError):
        engine.describe_table("orders")
    assert names_of(log_of(engine, arn)) == ["INSERT"]
    clock.advance(DAY_MS - 1)
    assert engine.list_streams()["Streams"] != []
    clock.advance(1)
    assert engine.list_streams()["Streams"] == []
    with pytest.raises(ApiError, match=r"Stream: .* not found"):
        engine.describe_stream(arn)


def test_a_table_made_again_under_the_same_name_begins_empty() -> None:
    store = FailingStore()
    engine, _ = with_table(store=store)
    put(engine, "a")
    engine.delete_table("orders")
    engine.create_table(defined())
    engine.committer.flush()
    assert engine.get("orders", {"pk": {"S": "a"}}) is None
    assert engine.describe_table("orders")["ItemCount"] == 0
    assert keep_house(engine) > 0
    assert store.query(16, b"", None, 10) == []


# ---- AWS's waiting -----------------------------------------------------------------------------------------


def waiting() -> tuple[Engine, ManualClock]:
    return with_table(settings=SLOW)


def test_with_delays_a_table_takes_no_items_before_it_is_active() -> None:
    engine, clock = waiting()
    assert engine.describe_table("orders")["TableStatus"] == "CREATING"
    assert (
        engine.describe_stream(engine.describe_table("orders")["LatestStreamArn"])["StreamStatus"]
        == "ENABLING"
    )
    with pytest.raises(ApiError, match=r"^Requested resource not found$"):
        engine.put(Put("orders", item("a")))
    clock.advance(5_000)
    assert engine.describe_table("orders")["TableStatus"] == "ACTIVE"
    engine.put(Put("orders", item("a")))


@pytest.mark.parametrize(
    ("busy", "words"),
    [
        ("CREATING", "Table is being created"),
        ("UPDATING", "Table is being updated"),
        ("DELETING", "Table is being deleted"),
    ],
)
def test_with_delays_a_busy_table_takes_no_change(busy: str, words: str) -> None:
    engine, clock = waiting()
    if busy != "CREATING":
        clock.advance(5_000)
    if busy == "UPDATING":
        engine.update_stream("orders", False)
    if busy == "DELETING":
        engine.delete_table("orders")
    assert engine.describe_table("orders")["TableStatus"] == busy
    for call in (lambda: engine.delete_table("orders"), lambda: engine.update_stream("orders", False)):
        with pytest.raises(ApiError) as refused:
            call()
        assert refusal(refused) == (
            "ResourceInUseException",
            f"Attempt to change a resource which is still in use: {words}: orders",
        )


def test_with_delays_a_table_that_is_updating_still_takes_items() -> None:
    engine, clock = waiting()
    clock.advance(5_000)
    engine.update_stream("orders", False)
    engine.put(Put("orders", item("a")))
    clock.advance(4_000)
    assert engine.describe_table("orders")["TableStatus"] == "ACTIVE"


def test_with_delays_a_deleted_table_goes_after_a_while_and_frees_its_name() -> None:
    engine, clock = waiting()
    clock.advance(5_000)
    engine.delete_table("orders")
    with pytest.raises(ApiError, match="Table already exists"):
        engine.create_table(defined())
    clock.advance(3_000)
    assert engine.list_tables() == {"TableNames": []}
    engine.create_table(defined())
