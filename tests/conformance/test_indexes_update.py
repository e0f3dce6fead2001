"""UpdateTable with global indexes: created and filled, changed, deleted, and what is
refused. Source: semantics §6.11.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from tailrace.clocks.manual import ManualClock
from tailrace.engine.engine import Engine, EngineSettings
from tailrace.stores.memory import MemoryStore
from tests.conformance.client import Conformance
from tests.conformance.conftest import START_MS
from tests.conformance.indexed import attributes, index, of_index, put, song, songs

INVALID = "One or more parameter values were invalid: "
PLAIN = {
    "LocalSecondaryIndexes": None,
    "GlobalSecondaryIndexes": None,
    "AttributeDefinitions": attributes("artist", "song"),
}
BY_GENRE = index("byGenre", "genre", ranges=("plays",))
ONE_AT_A_TIME = (
    "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table"
)


@pytest.fixture
def small() -> Iterator[Conformance]:
    """A table with 25 songs in an engine that takes ten rows a slice: an index is filled in three."""
    engine = Engine(MemoryStore(), ManualClock(START_MS), EngineSettings(slice_rows=10))
    api = Conformance(engine)
    api.dynamodb.create_table(**songs(**PLAIN))
    for number in range(25):
        put(api, f"a{number}", "s", genre="rock", plays=number)
    yield api
    engine.close()


def create(api: Conformance, new: dict[str, Any] = BY_GENRE, *names: str, **more: Any) -> dict[str, Any]:
    request = {"AttributeDefinitions": attributes(*(names or ("genre", "plays"))), **more}
    answer: dict[str, Any] = api.dynamodb.update_table(
        TableName="songs", GlobalSecondaryIndexUpdates=[{"Create": new}], **request
    )
    return answer["TableDescription"]


def described(api: Conformance) -> dict[str, Any]:
    table: dict[str, Any] = api.dynamodb.describe_table(TableName="songs")["Table"]
    return table


def statuses(api: Conformance) -> list[tuple[str, bool | None]]:
    return [
        (index["IndexStatus"], index.get("Backfilling"))
        for index in described(api).get("GlobalSecondaryIndexes", [])
    ]


def test_an_index_is_filled_and_then_active(small: Conformance) -> None:
    answer = create(small)
    assert answer["TableStatus"] == "UPDATING"
    told = answer["GlobalSecondaryIndexes"][0]
    assert (told["IndexStatus"], told["Backfilling"], told["ItemCount"]) == ("CREATING", False, 0)
    assert [statuses(small) for _ in range(3)] == [
        [("CREATING", True)],
        [("ACTIVE", None)],
        [("ACTIVE", None)],
    ]
    assert described(small)["AttributeDefinitions"] == attributes("artist", "song", "genre", "plays")
    assert described(small)["GlobalSecondaryIndexes"][0]["ItemCount"] == 25
    assert [int(item["plays"]["N"]) for item in of_index(small, "byGenre", genre="rock")] == list(range(25))


def test_an_index_cannot_be_read_before_it_is_active(small: Conformance) -> None:
    create(small)
    message = small.invalid("Scan", TableName="songs", IndexName="byGenre")
    assert message == "Cannot read from backfilling global secondary index: byGenre"


def test_writes_in_the_middle_of_a_back_fill_are_in_the_index(small: Conformance) -> None:
    create(small)
    for number in range(0, 25, 2):
        put(small, f"a{number}", "s", genre="jazz", plays=number)
    for number in range(1, 25, 8):
        small.dynamodb.delete_item(TableName="songs", Key=song(f"a{number}", "s"))
    put(small, "new", "s", genre="jazz", plays=99)
    while statuses(small) != [("ACTIVE", None)]:
        pass
    items = of_index(small, "byGenre", genre="jazz")
    assert [int(item["plays"]["N"]) for item in items] == [*range(0, 25, 2), 99]
    assert len(of_index(small, "byGenre", genre="rock")) == 9
    table = described(small)
    assert (table["ItemCount"], table["GlobalSecondaryIndexes"][0]["ItemCount"]) == (23, 23)
    assert table["GlobalSecondaryIndexes"][0]["IndexSizeBytes"] == table["TableSizeBytes"]


def test_items_of_a_wrong_type_are_passed_over(small: Conformance) -> None:
    put(small, "odd", "s", genre=7, plays=1)
    put(small, "none", "s")
    small.dynamodb.put_item(TableName="songs", Item={**song("empty", "s", plays=1), "genre": {"S": ""}})
    create(small)
    while statuses(small) != [("ACTIVE", None)]:
        pass
    assert described(small)["GlobalSecondaryIndexes"][0]["ItemCount"] == 25
    # What is there may be touched elsewhere, as long as the index key stays as it is.
    small.dynamodb.update_item(
        TableName="songs",
        Key=song("odd", "s"),
        UpdateExpression="SET label = :l",
        ExpressionAttributeValues={":l": {"S": "x"}},
    )


def test_one_index_at_a_time_is_created_or_deleted(small: Conformance) -> None:
    other = index("byPlays", "plays")
    updates = [{"Create": BY_GENRE}, {"Create": other}]
    request: dict[str, Any] = {"TableName": "songs", "AttributeDefinitions": attributes("genre", "plays")}
    refusal = small.refusal("UpdateTable", **request, GlobalSecondaryIndexUpdates=updates)
    assert refusal == ("LimitExceededException", ONE_AT_A_TIME)
    create(small)
    refusal = small.refusal("UpdateTable", **request, GlobalSecondaryIndexUpdates=[{"Create": other}])
    assert refusal == ("LimitExceededException", ONE_AT_A_TIME)
    delete(small, "byGenre")
    assert statuses(small) == []
    create(small, other, "plays")


def delete(api: Conformance, name: str) -> dict[str, Any]:
    answer: dict[str, Any] = api.dynamodb.update_table(
        TableName="songs", GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": name}}]
    )
    return answer["TableDescription"]


def test_a_deleted_index_is_gone_with_its_rows(api: Conformance) -> None:
    api.dynamodb.create_table(**songs())
    for number in range(5):
        put(api, f"a{number}", "s", genre="rock", plays=number, year=number)
    told = {
        index["IndexName"]: index["IndexStatus"] for index in delete(api, "byGenre")["GlobalSecondaryIndexes"]
    }
    assert told == {"byGenre": "DELETING", "byPlays": "ACTIVE", "byGenreAndYear": "ACTIVE"}
    assert [index["IndexName"] for index in described(api)["GlobalSecondaryIndexes"]] == [
        "byPlays",
        "byGenreAndYear",
    ]
    message = api.invalid("Scan", TableName="songs", IndexName="byGenre")
    assert message == "The table does not have the specified index: byGenre"
    put(api, "a0", "s", genre="jazz", plays=7)
    create(api)
    assert len(of_index(api, "byGenre", genre="rock")) == 4
    for name in ("byGenre", "byPlays", "byGenreAndYear"):
        delete(api, name)
    assert "GlobalSecondaryIndexes" not in described(api)
    assert described(api)["AttributeDefinitions"] == attributes("artist", "song", "year")


def test_a_table_takes_its_indexes_along(api: Conformance) -> None:
    api.dynamodb.create_table(**songs())
    put(api, "a", "s", genre="rock", plays=1)
    api.dynamodb.delete_table(TableName="songs")
    for _ in api.engine.housekeeping():
        api.engine.committer.flush()
    store = api.engine.committer.store
    assert all(not store.query(number, b"", None, 10) for number in range(16, 40))
    api.dynamodb.create_table(**songs())
    assert of_index(api, "byGenre", genre="rock") == []


def update(api: Conformance, *updates: dict[str, Any], **more: Any) -> str:
    return api.invalid("UpdateTable", TableName="songs", GlobalSecondaryIndexUpdates=list(updates), **more)


UNITS = {"ReadCapacityUnits": 1, "WriteCapacityUnits": 2}


def test_wrong_updates_are_refused_in_awss_words(api: Conformance) -> None:
    api.dynamodb.create_table(**songs())
    types = {"AttributeDefinitions": attributes("genre", "plays")}
    assert update(api, {"Create": BY_GENRE}, **types) == "Attempting to create an index which already exists"
    new = {**BY_GENRE, "IndexName": "new"}
    one_of = (
        f"{INVALID}One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, "
        "GlobalSecondaryIndexUpdate.Delete must not be null"
    )
    assert update(api, {}) == one_of
    assert update(api, {"Create": new, "Delete": {"IndexName": "x" * 3}}, **types) == one_of
    assert update(api, {"Create": new}, {"Delete": {"IndexName": "new"}}, **types) == (
        f"{INVALID}Only one global secondary index update per index is allowed simultaneously. Index: new"
    )
    unknown = index("new", "label")
    defined: tuple[tuple[dict[str, Any], str], ...] = (
        ({}, ""),
        ({"AttributeDefinitions": []}, ""),
        ({"AttributeDefinitions": attributes("genre")}, "genre"),
    )
    for definitions, told in defined:
        assert update(api, {"Create": unknown}, **definitions) == (
            f"{INVALID}Some index key attributes are not defined in AttributeDefinitions. Keys: [label], "
            f"AttributeDefinitions: [{told}]"
        )
    # The table knows both, and the request must say them all the same.
    assert "AttributeDefinitions" in update(api, {"Create": new}, AttributeDefinitions=attributes("genre"))
    twice = {**unknown, "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["a", "a"]}}
    assert update(api, {"Create": twice}, AttributeDefinitions=attributes("label")) == (
        f"{INVALID}NonKeyAttributes of index new names an attribute twice"
    )
    assert update(
        api, {"Create": {**unknown, "ProvisionedThroughput": UNITS}}, AttributeDefinitions=attributes("label")
    ) == (
        f"{INVALID}Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when "
        f"BillingMode is PAY_PER_REQUEST"
    )
    assert "is already defined as S" in update(
        api,
        {"Create": new},
        AttributeDefinitions=[*attributes("plays"), {"AttributeName": "genre", "AttributeType": "N"}],
    )
    stream = {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"}
    assert update(api, {"Create": new}, StreamSpecification=stream, **types) == (
        f"{INVALID}You cannot create or delete index while changing stream status"
    )
    for action in ("Delete", "Update"):
        code, message = api.refusal(
            "UpdateTable", TableName="songs", GlobalSecondaryIndexUpdates=[{action: {"IndexName": "none"}}]
        )
        assert (code, message) == (
            "ResourceNotFoundException",
            "Requested resource not found: Index: none not found",
        )
    code, _ = api.refusal(
        "UpdateTable", TableName="songs", GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "byYear"}}]
    )
    assert code == "ResourceNotFoundException"  # a local index lives as long as its table


def test_what_an_update_defines_and_does_not_need_is_dropped(api: Conformance) -> None:
    """As Terraform adds two indexes: one call each, all definitions in each."""
    types = attributes("artist", "song", "genre", "plays", "label")
    request = {"TableName": "songs", "AttributeDefinitions": types}
    api.dynamodb.create_table(**songs(**PLAIN))
    for name, key, known in (("byGenre", "genre", {"genre"}), ("byPlays", "plays", {"genre", "plays"})):
        api.dynamodb.update_table(**request, GlobalSecondaryIndexUpdates=[{"Create": index(name, key)}])
        while any(status != "ACTIVE" for status, _ in statuses(api)):
            pass
        told = {one["AttributeName"] for one in described(api)["AttributeDefinitions"]}
        assert told == {"artist", "song"} | known
    # Nor does it matter that what is not needed has another type than the table knows.
    odd = [*attributes("label"), {"AttributeName": "genre", "AttributeType": "N"}]
    api.dynamodb.update_table(
        TableName="songs",
        AttributeDefinitions=odd,
        GlobalSecondaryIndexUpdates=[{"Create": index("byLabel", "label")}],
    )


def test_units_of_an_index_out_of_bounds_are_told_after_the_table_is_looked_up(api: Conformance) -> None:
    units = {"ReadCapacityUnits": 10**12 + 1, "WriteCapacityUnits": 1}
    asked = [{"Update": {"IndexName": "byGenre", "ProvisionedThroughput": units}}]
    code, _ = api.refusal("UpdateTable", TableName="missing", GlobalSecondaryIndexUpdates=asked)
    assert code == "ResourceNotFoundException"
    api.dynamodb.create_table(**songs())
    assert update(api, *asked) == (
        "Given value 1000000000001 for ReadCapacityUnits is out of bounds for index byGenre"
    )


def test_a_twenty_first_index_is_refused(api: Conformance) -> None:
    twenty = [index(f"by{number}", "plays") for number in range(20)]
    api.dynamodb.create_table(
        **songs(
            LocalSecondaryIndexes=None,
            GlobalSecondaryIndexes=twenty,
            AttributeDefinitions=attributes("artist", "song", "plays"),
        )
    )
    message = update(api, {"Create": index("more", "plays")}, AttributeDefinitions=attributes("plays"))
    assert message == f"{INVALID}GlobalSecondaryIndex count exceeds the per-table limit of 20"
    delete(api, "by0")
    create(api, index("more", "plays"), "plays")


def test_units_of_an_index_change(api: Conformance) -> None:
    api.dynamodb.create_table(
        **songs(
            **{**PLAIN, "AttributeDefinitions": attributes("artist", "song", "genre")},
            BillingMode="PROVISIONED",
            ProvisionedThroughput=UNITS,
        )
        | {"GlobalSecondaryIndexes": [index("byGenre", "genre", ProvisionedThroughput=UNITS)]}
    )
    same = update(api, {"Update": {"IndexName": "byGenre", "ProvisionedThroughput": UNITS}})
    assert same.startswith(
        "The provisioned throughput for the index byGenre will not change. The requested value equals"
    )
    assert "Current ReadCapacityUnits provisioned for the index: 1. Requested ReadCapacityUnits: 1. " in same
    more = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 6}
    api.dynamodb.update_table(
        TableName="songs",
        GlobalSecondaryIndexUpdates=[{"Update": {"IndexName": "byGenre", "ProvisionedThroughput": more}}],
    )
    assert described(api)["GlobalSecondaryIndexes"][0]["ProvisionedThroughput"]["WriteCapacityUnits"] == 6
    api.dynamodb.update_table(TableName="songs", BillingMode="PAY_PER_REQUEST")
    assert described(api)["GlobalSecondaryIndexes"][0]["ProvisionedThroughput"]["ReadCapacityUnits"] == 0
    request: dict[str, Any] = {
        "TableName": "songs",
        "BillingMode": "PROVISIONED",
        "ProvisionedThroughput": UNITS,
    }
    message = api.invalid("UpdateTable", **request)
    assert message == f"{INVALID}ProvisionedThroughput must be specified for index: byGenre"
    change = {"Update": {"IndexName": "byGenre", "ProvisionedThroughput": more}}
    api.dynamodb.update_table(**request, GlobalSecondaryIndexUpdates=[change])
    assert described(api)["GlobalSecondaryIndexes"][0]["ProvisionedThroughput"]["ReadCapacityUnits"] == 5


def test_indexes_take_awss_time_when_asked_to() -> None:
    clock = ManualClock(START_MS)
    api = Conformance(Engine(MemoryStore(), clock, EngineSettings(aws_delays=True)))
    api.dynamodb.create_table(**songs(**PLAIN))
    clock.advance(10_000)
    put(api, "a", "s", genre="rock", plays=1)
    create(api)
    assert statuses(api) == [("CREATING", False)]
    clock.advance(4_000)
    assert statuses(api) == [("ACTIVE", None)]
    delete(api, "byGenre")
    assert statuses(api) == [("DELETING", None)]
    assert "does not have the specified index" in api.invalid("Scan", TableName="songs", IndexName="byGenre")
    clock.advance(4_000)
    assert statuses(api) == []
    api.engine.close()
