"""What a write may not put into an index key, what it costs, and how large item collections are.

Source: semantics §6.3, §6.4 (run-time errors), §6.5, §6.7.
"""

from typing import Any

import pytest

from tailrace.tables import limits
from tests.conformance.client import Conformance
from tests.conformance.indexed import BY_LABEL, BY_YEAR, attributes, index, of_index, put, song, songs

INVALID = "One or more parameter values were invalid: "
NOT_SUPPORTED = (
    "One or more parameter values are not valid. A value specified for a secondary index key is not "
    "supported. The AttributeValue for a key attribute cannot contain an empty string value. "
)
SCALARS = "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: {}"
KILOBYTE = "x" * 1_024


@pytest.fixture
def made(api: Conformance) -> Conformance:
    """The table `songs` without items."""
    api.dynamodb.create_table(**songs())
    return api


WRONG_PUTS: list[tuple[dict[str, Any], str]] = [
    ({"genre": {"N": "1"}},
     f"{INVALID}Type mismatch for Index Key genre Expected: S Actual: N IndexName: byGenre"),
    ({"plays": {"S": "x"}},
     f"{INVALID}Type mismatch for Index Key plays Expected: N Actual: S IndexName: byGenre"),
    ({"year": {"NULL": True}},
     f"{INVALID}Type mismatch for Index Key year Expected: N Actual: NULL IndexName: byYear"),
    ({"genre": {"S": ""}}, f"{NOT_SUPPORTED}IndexName: byGenre, IndexKey: genre"),
    ({"genre": {"S": "x" * 2_049}},
     f"{INVALID}Size of hashkey has exceeded the maximum size limit of2048 bytes"),
]  # fmt: skip


@pytest.mark.parametrize(("wrong", "message"), WRONG_PUTS)
def test_an_index_key_of_a_wrong_kind_is_refused(
    made: Conformance, wrong: dict[str, Any], message: str
) -> None:
    item = {**song("a", "s"), **wrong}
    assert made.invalid("PutItem", TableName="songs", Item=item) == message
    write = [{"PutRequest": {"Item": song("b", "s")}}, {"PutRequest": {"Item": item}}]
    assert made.invalid("BatchWriteItem", RequestItems={"songs": write}) == message
    code, text = made.refusal(
        "TransactWriteItems", TransactItems=[{"Put": {"TableName": "songs", "Item": item}}]
    )
    if message.startswith(NOT_SUPPORTED):  # an empty key refuses a transaction as a whole
        assert (code, text) == ("ValidationException", message)
    else:
        assert code == "TransactionCanceledException"
        assert "[ValidationError]" in text
    assert made.dynamodb.scan(TableName="songs")["Count"] == 0


def test_an_index_key_may_be_just_as_long_as_a_tables(made: Conformance) -> None:
    made.dynamodb.put_item(TableName="songs", Item=song("a", "s", genre="x" * 2_048, plays=1))
    assert made.dynamodb.scan(TableName="songs", IndexName="byGenre")["Count"] == 1


def test_a_range_key_of_an_index_has_1024_bytes(api: Conformance) -> None:
    api.dynamodb.create_table(
        **songs(
            GlobalSecondaryIndexes=[index("byLabel", "genre", ranges=("label", "note"))],
            LocalSecondaryIndexes=None,
            AttributeDefinitions=attributes("artist", "song", "genre", "label", "note"),
        )
    )
    put(api, "a", "s", genre="g", label="x" * 1_000, note="y" * 24)
    message = api.invalid(
        "PutItem", TableName="songs", Item=song("a", "t", genre="g", label="x" * 1_000, note="y" * 25)
    )
    assert message == f"{INVALID}Aggregated size of all range keys has exceeded the size limit of 1024 bytes"
    assert len(of_index(api, "byLabel", genre="g")) == 1


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"N": "1"}, f"{INVALID}Type mismatch for Index Key genre Expected: S Actual: N IndexName: byGenre"),
        (
            {"S": ""},
            "One or more parameter values are not valid. The update expression attempted to update a "
            "secondary index key to a value that is not supported. The AttributeValue for a key "
            "attribute cannot contain an empty string value.",
        ),
        ({"S": "x" * 2_049}, f"{INVALID}Size of hashkey has exceeded the maximum size limit of2048 bytes"),
    ],
)
def test_an_update_to_a_wrong_kind_is_refused(made: Conformance, value: dict[str, Any], message: str) -> None:
    put(made, "a", "s", genre="rock", plays=1)
    request: dict[str, Any] = {
        "TableName": "songs",
        "Key": song("a", "s"),
        "UpdateExpression": "SET genre = :g",
    }
    assert made.invalid("UpdateItem", **request, ExpressionAttributeValues={":g": value}) == message
    assert len(of_index(made, "byGenre", genre="rock")) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SET genre = plays + plays",
         f"{INVALID}Type mismatch for Index Key genre Expected: S Actual: N IndexName: byGenre"),
        ("SET genre = list_append(l, l)",
         f"{INVALID}Type mismatch for Index Key genre Expected: S Actual: L IndexName: byGenre"),
        ("SET genre = plays",
         "The update expression attempted to update the secondary index key to unsupported type"),
        ("SET x = genre.a", SCALARS.format("IndexKey: genre")),
        ("SET x = artist.a", SCALARS.format("Key: artist")),
        ("REMOVE artist[0]", f"{INVALID}Cannot update attribute artist. This attribute is part of the key"),
    ],
)  # fmt: skip
def test_an_update_tells_what_it_can_before_the_item_is_read(
    made: Conformance, text: str, message: str
) -> None:
    put(made, "a", "s", genre="rock", plays=1)
    refusing = {"ConditionExpression": "attribute_not_exists(artist)"}  # it does not even come to that
    for condition in ({}, refusing):
        is_told_late = "unsupported" in message and condition
        if not is_told_late:
            assert (
                made.invalid(
                    "UpdateItem", TableName="songs", Key=song("a", "s"), UpdateExpression=text, **condition
                )
                == message
            )


@pytest.mark.parametrize("text", ["artist.a", "b, artist[0]", "genre.x"])
def test_nothing_is_read_inside_a_key_attribute(made: Conformance, text: str) -> None:
    kind = "IndexKey" if text.startswith("genre") else "Key"
    message = SCALARS.format(f"{kind}: {text.removeprefix('b, ').partition('.')[0].partition('[')[0]}")
    table = {"TableName": "songs"}
    assert made.invalid("GetItem", **table, Key=song("a", "s"), ProjectionExpression=text) == message
    assert made.invalid("Scan", **table, ProjectionExpression=text) == message
    test = f"attribute_exists({text.removeprefix('b, ')})"
    assert made.invalid("Scan", **table, FilterExpression=test) == message
    partition = {
        "KeyConditionExpression": "artist = :a",
        "ExpressionAttributeValues": {":a": {"S": "a"}},
    }
    assert made.invalid("Query", **table, **partition, ProjectionExpression=text) == message


def test_entries_follow_their_items(made: Conformance) -> None:
    put(made, "a", "s", genre="rock", plays=1, year=1990)
    key = song("a", "s")
    change = {"ExpressionAttributeValues": {":g": {"S": "jazz"}}, "UpdateExpression": "SET genre = :g"}
    made.dynamodb.update_item(TableName="songs", Key=key, **change)
    assert (of_index(made, "byGenre", genre="rock"), len(of_index(made, "byGenre", genre="jazz"))) == ([], 1)
    made.dynamodb.update_item(TableName="songs", Key=key, UpdateExpression="REMOVE plays")
    assert of_index(made, "byGenre", genre="jazz") == of_index(made, "byPlays", plays=1) == []
    assert len(of_index(made, "byGenreAndYear", genre="jazz")) == 1
    made.dynamodb.transact_write_items(TransactItems=[{"Delete": {"TableName": "songs", "Key": key}}])
    assert of_index(made, "byGenreAndYear", genre="jazz") == of_index(made, "byYear", artist="a") == []
    table = made.dynamodb.describe_table(TableName="songs")["Table"]
    assert [
        index["ItemCount"] for index in (*table["GlobalSecondaryIndexes"], *table["LocalSecondaryIndexes"])
    ] == [0] * 4


# ---- what it costs -----------------------------------------------------------------------------------------


def cost(answer: dict[str, Any]) -> dict[str, Any]:
    """The parts of ConsumedCapacity, after looking that they add up."""
    told = answer["ConsumedCapacity"]
    local, others = (
        {name: units["CapacityUnits"] for name, units in told.get(member, {}).items()}
        for member in ("LocalSecondaryIndexes", "GlobalSecondaryIndexes")
    )
    parts = {"table": told["Table"]["CapacityUnits"], **local, **others}
    assert told["CapacityUnits"] == sum(parts.values())
    return parts


ALL = {"TableName": "songs", "ReturnConsumedCapacity": "INDEXES"}
FULL = {"genre": "rock", "plays": 1, "year": 1990}


def test_each_changed_entry_costs_its_own(made: Conformance) -> None:
    every = {"byYear": 1, "byGenre": 1, "byPlays": 1, "byGenreAndYear": 1}

    def putting(**more: Any) -> dict[str, Any]:
        return cost(made.dynamodb.put_item(Item=song("a", "s", **more), **ALL))

    assert putting() == {"table": 1}
    assert putting(**FULL) == {"table": 1, **every}
    assert putting(**FULL) == {"table": 1}, "what changes nothing costs no entry"
    assert putting(**FULL, note="n") == {"table": 1, "byGenre": 1}, "only one index projects it"
    assert putting(**FULL, label="l") == {"table": 1, "byGenre": 1, "byGenreAndYear": 1}
    assert putting(**FULL, label=KILOBYTE) == {"table": 2, "byGenre": 2, "byGenreAndYear": 2}
    moved = {**FULL, "genre": "jazz", "label": KILOBYTE}
    assert putting(**moved) == {"table": 2, "byGenre": 4, "byGenreAndYear": 4}, (
        "out of one place, into another"
    )
    removed = cost(made.dynamodb.delete_item(Key=song("a", "s"), **ALL))
    assert removed == {"table": 2, "byYear": 1, "byGenre": 2, "byPlays": 1, "byGenreAndYear": 2}


def test_total_is_a_single_figure(made: Conformance) -> None:
    answer = made.dynamodb.put_item(
        TableName="songs", Item=song("a", "s", **FULL), ReturnConsumedCapacity="TOTAL"
    )
    assert answer["ConsumedCapacity"] == {"TableName": "songs", "CapacityUnits": 5.0}
    update = {"UpdateExpression": "SET plays = :p", "ExpressionAttributeValues": {":p": {"N": "2"}}}
    assert cost(made.dynamodb.update_item(Key=song("a", "s"), **update, **ALL)) == {
        "table": 1,
        "byGenre": 2,
        "byPlays": 2,
    }


def test_batches_and_transactions_tell_the_indexes_too(made: Conformance) -> None:
    write = [{"PutRequest": {"Item": song("a", f"s{number}", **FULL)}} for number in range(3)]
    answer = made.dynamodb.batch_write_item(RequestItems={"songs": write}, ReturnConsumedCapacity="INDEXES")
    (told,) = answer["ConsumedCapacity"]
    assert cost({"ConsumedCapacity": told}) == {
        "table": 3,
        "byYear": 3,
        "byGenre": 3,
        "byPlays": 3,
        "byGenreAndYear": 3,
    }
    actions = [{"Put": {"TableName": "songs", "Item": song("a", "t", **FULL)}}]
    (told,) = made.dynamodb.transact_write_items(TransactItems=actions, ReturnConsumedCapacity="INDEXES")[
        "ConsumedCapacity"
    ]
    assert cost({"ConsumedCapacity": told}) == {
        "table": 2,
        "byYear": 2,
        "byGenre": 2,
        "byPlays": 2,
        "byGenreAndYear": 2,
    }
    assert told["GlobalSecondaryIndexes"]["byGenre"] == {"CapacityUnits": 2.0, "WriteCapacityUnits": 2.0}
    keys = {"songs": {"Keys": [song("a", "s0"), song("a", "none")]}}
    (told,) = made.dynamodb.batch_get_item(RequestItems=keys, ReturnConsumedCapacity="INDEXES")[
        "ConsumedCapacity"
    ]
    assert cost({"ConsumedCapacity": told}) == {"table": 1}


def test_reading_an_index_costs_what_its_entries_weigh(made: Conformance) -> None:
    for number in range(4):
        put(made, "a", f"s{number}", genre="rock", plays=number, year=number, note=KILOBYTE * 3)

    def reading(name: str, **more: Any) -> dict[str, Any]:
        field = "artist = :v" if name == "byYear" else "genre = :v"
        value = {":v": {"S": "a" if name == "byYear" else "rock"}}
        request = {"KeyConditionExpression": field, "ExpressionAttributeValues": value, **more}
        return cost(made.dynamodb.query(IndexName=name, **request, **ALL))

    assert reading("byGenre") == {"table": 0, "byGenre": 2}, (
        "twelve kilobytes and a little are four blocks, halved"
    )
    assert reading("byGenreAndYear") == {"table": 0, "byGenreAndYear": 0.5}
    assert reading("byYear") == {"table": 0, "byYear": 0.5}
    assert reading("byYear", ConsistentRead=True) == {"table": 0, "byYear": 1}
    assert reading("byYear", Select="ALL_ATTRIBUTES") == {"table": 2, "byYear": 0.5}, (
        "and each item that it fetches"
    )
    assert reading("byYear", Select="ALL_ATTRIBUTES", ConsistentRead=True) == {"table": 4, "byYear": 1}
    assert cost(made.dynamodb.scan(IndexName="byGenre", Select="COUNT", **ALL)) == {"table": 0, "byGenre": 2}


# ---- item collections --------------------------------------------------------------------------------------

SIZE = {"ReturnItemCollectionMetrics": "SIZE"}
OF_A = {"ItemCollectionKey": {"artist": {"S": "a"}}, "SizeEstimateRangeGB": [0.0, 1.0]}


def test_every_write_tells_the_size_of_its_collection(made: Conformance) -> None:
    item, key = song("a", "s", **FULL), song("a", "s")
    assert made.dynamodb.put_item(TableName="songs", Item=item, **SIZE)["ItemCollectionMetrics"] == OF_A
    assert made.dynamodb.update_item(TableName="songs", Key=key, **SIZE)["ItemCollectionMetrics"] == OF_A
    assert made.dynamodb.delete_item(TableName="songs", Key=key, **SIZE)["ItemCollectionMetrics"] == OF_A
    assert "ItemCollectionMetrics" not in made.dynamodb.put_item(TableName="songs", Item=item)
    assert "ItemCollectionMetrics" not in made.dynamodb.put_item(
        TableName="songs", Item=item, ReturnItemCollectionMetrics="NONE"
    )


def test_batches_tell_each_collection_once(made: Conformance) -> None:
    write = [{"PutRequest": {"Item": song(artist, title)}} for artist in "ab" for title in "st"]
    answer = made.dynamodb.batch_write_item(RequestItems={"songs": write}, **SIZE)
    of_b = {**OF_A, "ItemCollectionKey": {"artist": {"S": "b"}}}
    assert answer["ItemCollectionMetrics"] == {"songs": [OF_A, of_b]}
    actions = [{"Put": {"TableName": "songs", "Item": song("a", title)}} for title in "uv"]
    answer = made.dynamodb.transact_write_items(TransactItems=actions, **SIZE)
    assert answer["ItemCollectionMetrics"] == {"songs": [OF_A]}


def test_a_table_without_local_indexes_has_no_collections(api: Conformance) -> None:
    api.dynamodb.create_table(
        **songs(
            LocalSecondaryIndexes=None,
            GlobalSecondaryIndexes=[BY_LABEL],
            AttributeDefinitions=attributes("artist", "song", "genre", "year"),
        )
    )
    answer = api.dynamodb.put_item(TableName="songs", Item=song("a", "s"), **SIZE)
    assert "ItemCollectionMetrics" not in answer
    answer = api.dynamodb.batch_write_item(
        RequestItems={"songs": [{"PutRequest": {"Item": song("a", "s")}}]}, **SIZE
    )
    assert answer["ItemCollectionMetrics"] == {}


def test_a_collection_ends_at_its_limit(made: Conformance, monkeypatch: pytest.MonkeyPatch) -> None:
    from tailrace.engine import indexing

    assert limits.COLLECTION_BYTES == 10 * 1024**3
    item = song("a", "s", year=1)
    made.dynamodb.put_item(TableName="songs", Item=item)
    weight = made.engine.collection_bytes("songs", item)
    assert weight == 2 * (len("artistasongs") + len("year") + 2), "the item and its entry in the local index"
    monkeypatch.setattr(indexing, "COLLECTION_BYTES", weight * 2)
    made.dynamodb.put_item(TableName="songs", Item=song("a", "t", year=1))
    more = {"TableName": "songs", "Item": song("a", "u")}
    assert made.refusal("PutItem", **more) == (
        "ItemCollectionSizeLimitExceededException",
        "Collection size exceeded.",
    )
    _, text = made.refusal("TransactWriteItems", TransactItems=[{"Put": more}])
    assert "[ItemCollectionSizeLimitExceeded]" in text
    made.dynamodb.put_item(TableName="songs", Item=song("b", "u"))
    made.dynamodb.delete_item(TableName="songs", Key=song("a", "t"))
    made.dynamodb.put_item(**more)


def test_entries_in_local_indexes_count_towards_the_items_limit(api: Conformance) -> None:
    whole = index("byYear", "artist", ranges=("year",), projection="INCLUDE", include=["text"])
    for name, local in (("songs", [BY_YEAR]), ("heavy", [whole])):
        api.dynamodb.create_table(
            **songs(
                TableName=name,
                LocalSecondaryIndexes=local,
                GlobalSecondaryIndexes=None,
                AttributeDefinitions=attributes("artist", "song", "year"),
            )
        )
    half = song("a", "s", year=1, text="x" * 204_770)
    api.dynamodb.put_item(TableName="heavy", Item=half)
    over = song("a", "s", year=1, text="x" * 204_800)
    api.dynamodb.put_item(TableName="songs", Item=over)
    assert (
        api.invalid("PutItem", TableName="heavy", Item=over)
        == "Item size has exceeded the maximum allowed size"
    )
    change: dict[str, Any] = {
        "UpdateExpression": "SET #t = :t",
        "ExpressionAttributeNames": {"#t": "text"},
        "ExpressionAttributeValues": {":t": over["text"]},
    }
    message = api.invalid("UpdateItem", TableName="heavy", Key=song("a", "s"), **change)
    assert message == "Item size to update has exceeded the maximum allowed size"
