"""Query and Scan of indexes: what comes, in which order, in pages, and what is
refused. Source: semantics §6.6.
"""

from typing import Any

import pytest

from tests.conformance.client import Conformance
from tests.conformance.indexed import BY_YEAR, attributes, index, of_index, pages, put, song, songs

INVALID = "One or more parameter values were invalid: "
ROCK = {":g": {"S": "rock"}}


@pytest.fixture
def stocked(api: Conformance) -> Conformance:
    """A dozen songs: every third without a genre, every fourth without a year."""
    api.dynamodb.create_table(**songs())
    for number in range(12):
        more: dict[str, Any] = {"plays": number % 5, "label": f"l{number}", "note": "n"}
        if number % 3:
            more["genre"] = "rock" if number % 2 else "folk"
        if number % 4:
            more["year"] = 1990 - number
        put(api, f"artist{number % 2}", f"song{number:02}", **more)
    return api


def names(items: list[dict[str, Any]]) -> list[str]:
    return [item["song"]["S"] for item in items]


def test_an_index_is_sparse_and_ordered_by_its_range_key(stocked: Conformance) -> None:
    rock = of_index(stocked, "byGenre", genre="rock")
    assert [int(item["plays"]["N"]) for item in rock] == [0, 1, 1, 2]
    assert sorted(names(rock)) == ["song01", "song05", "song07", "song11"]
    assert rock == of_index(stocked, "byGenre", genre="rock")
    year = of_index(stocked, "byYear", artist="artist1")
    assert names(year) == ["song11", "song09", "song07", "song05", "song03", "song01"]


@pytest.mark.parametrize(
    ("name", "held"),
    [
        ("byGenre", {"artist", "song", "genre", "plays", "label", "note", "year"}),
        ("byGenreAndYear", {"artist", "song", "genre", "year", "label"}),
    ],
)
def test_an_entry_holds_what_the_index_projects(stocked: Conformance, name: str, held: set[str]) -> None:
    items = of_index(stocked, name, genre="rock")
    assert all(item.keys() == held for item in items)
    assert items
    plays = of_index(stocked, "byPlays", plays=1)
    assert all(item.keys() == {"artist", "song", "plays"} for item in plays)


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
@pytest.mark.parametrize("forward", [True, False])
def test_pages_of_an_index_go_on_where_they_ended(stocked: Conformance, limit: int, forward: bool) -> None:
    request: dict[str, Any] = {
        "IndexName": "byGenre",
        "KeyConditionExpression": "genre = :g",
        "ExpressionAttributeValues": ROCK,
        "ScanIndexForward": forward,
    }
    whole = stocked.dynamodb.query(TableName="songs", **request)["Items"]
    assert pages(stocked, "query", limit=limit, **request) == whole
    back = stocked.dynamodb.query(TableName="songs", **{**request, "ScanIndexForward": not forward})["Items"]
    assert back == whole[::-1]


def test_a_page_ends_with_the_keys_of_index_and_table(stocked: Conformance) -> None:
    request: dict[str, Any] = {
        "TableName": "songs",
        "IndexName": "byGenre",
        "KeyConditionExpression": "genre = :g",
        "ExpressionAttributeValues": ROCK,
    }
    page = stocked.dynamodb.query(**request, Limit=4)
    assert page["LastEvaluatedKey"].keys() == {"genre", "plays", "artist", "song"}
    rest = stocked.dynamodb.query(**request, ExclusiveStartKey=page["LastEvaluatedKey"])
    assert (rest["Items"], "LastEvaluatedKey" in rest) == ([], False)
    page = stocked.dynamodb.scan(TableName="songs", IndexName="byYear", Limit=1)
    assert page["LastEvaluatedKey"].keys() == {"artist", "year", "song"}


@pytest.mark.parametrize(
    ("condition", "values", "plays"),
    [
        ("plays = :a", [1], [1, 1]), ("plays < :a", [1], [0]), ("plays <= :a", [1], [0, 1, 1]),
        ("plays > :a", [1], [2]), ("plays >= :a", [1], [1, 1, 2]),
        ("plays BETWEEN :a AND :b", [0, 1], [0, 1, 1]),
        ("plays > :a", [2], []), ("plays < :a", [0], []),
    ],
)  # fmt: skip
def test_a_range_key_may_be_restricted(
    stocked: Conformance, condition: str, values: list[int], plays: list[int]
) -> None:
    given = {f":{name}": {"N": str(value)} for name, value in zip("ab", values, strict=False)}
    items = pages(
        stocked,
        "query",
        IndexName="byGenre",
        KeyConditionExpression=f"genre = :g AND {condition}",
        ExpressionAttributeValues={**ROCK, **given},
    )
    assert [int(item["plays"]["N"]) for item in items] == plays


@pytest.mark.parametrize(("prefix", "count"), [("a", 3), ("a\0", 2), ("a\0\0", 1), ("b", 0)])
def test_a_prefix_of_a_range_key_may_hold_zeros(api: Conformance, prefix: str, count: int) -> None:
    api.dynamodb.create_table(
        **songs(
            LocalSecondaryIndexes=[index("byLabel", "artist", ranges=("label",))],
            GlobalSecondaryIndexes=None,
            AttributeDefinitions=attributes("artist", "song", "label"),
        )
    )
    for label in ("a", "a\0", "a\0\0", "A"):
        put(api, "x", label.replace("\0", "0"), label=label)
    items = pages(
        api,
        "query",
        IndexName="byLabel",
        KeyConditionExpression="artist = :a AND begins_with(label, :l)",
        ExpressionAttributeValues={":a": {"S": "x"}, ":l": {"S": prefix}},
    )
    assert len(items) == count


def test_a_scan_of_an_index_finds_every_entry_once(stocked: Conformance) -> None:
    assert sorted(names(pages(stocked, "scan", IndexName="byPlays"))) == [
        f"song{number:02}" for number in range(12)
    ]
    assert len(pages(stocked, "scan", IndexName="byGenre")) == 8
    assert stocked.dynamodb.scan(TableName="songs", IndexName="byYear", Select="COUNT")["Count"] == 9


def test_a_filter_may_name_the_tables_key_but_not_the_indexs(stocked: Conformance) -> None:
    request: dict[str, Any] = {
        "TableName": "songs",
        "IndexName": "byGenre",
        "KeyConditionExpression": "genre = :g",
        "ExpressionAttributeValues": {**ROCK, ":x": {"S": "song05"}},
    }
    page = stocked.dynamodb.query(**request, FilterExpression="song > :x")
    assert (page["Count"], page["ScannedCount"]) == (2, 4)
    message = stocked.invalid("Query", **request, FilterExpression="plays > :x")
    assert (
        message
        == "Filter Expression can only contain non-primary key attributes: Primary key attribute: plays"
    )


def test_a_local_index_fetches_what_it_does_not_hold(stocked: Conformance) -> None:
    request: dict[str, Any] = {
        "TableName": "songs",
        "IndexName": "byYear",
        "KeyConditionExpression": "artist = :a",
        "ExpressionAttributeValues": {":a": {"S": "artist1"}},
        "ConsistentRead": True,
    }
    assert stocked.dynamodb.query(**request)["Items"][0].keys() == {"artist", "song", "year"}
    for more in ({"Select": "ALL_ATTRIBUTES"}, {"ProjectionExpression": "artist, note"}):
        items = stocked.dynamodb.query(**request, **more)["Items"]
        assert {item["note"]["S"] for item in items} == {"n"}
        assert len(items) == 6
    some = {**request, "ExpressionAttributeValues": {":a": {"S": "artist1"}, ":l": {"S": "l5"}}}
    page = stocked.dynamodb.query(**some, Select="ALL_ATTRIBUTES", FilterExpression="label = :l")
    assert (names(page["Items"]), page["ScannedCount"]) == (["song05"], 6)
    scanned = stocked.dynamodb.scan(TableName="songs", IndexName="byYear", Select="ALL_ATTRIBUTES")["Items"]
    assert all("label" in item for item in scanned)


@pytest.mark.parametrize("select", [None, "ALL_PROJECTED_ATTRIBUTES", "SPECIFIC_ATTRIBUTES", "COUNT"])
def test_select_says_which_attributes_come(stocked: Conformance, select: str | None) -> None:
    request: dict[str, Any] = {
        "TableName": "songs",
        "IndexName": "byGenreAndYear",
        "KeyConditionExpression": "genre = :g",
        "ExpressionAttributeValues": ROCK,
        **({} if select is None else {"Select": select}),
    }
    if select == "SPECIFIC_ATTRIBUTES":
        request["ProjectionExpression"] = "label"
    page = stocked.dynamodb.query(**request)
    assert page["Count"] == 4
    if select == "COUNT":
        assert "Items" not in page
    else:
        held = {"label"} if select == "SPECIFIC_ATTRIBUTES" else {"artist", "song", "genre", "year", "label"}
        assert {*page["Items"][0]} == held


GENRE = {"KeyConditionExpression": "genre = :g", "ExpressionAttributeValues": ROCK}
START = song("artist1", "song01", genre="rock", plays=1)
WRONG_START = "The provided starting key is invalid: The provided key element does not match the schema"


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"IndexName": "none"}, "The table does not have the specified index: none"),
        ({"ConsistentRead": True}, "Consistent reads are not supported on global secondary indexes"),
        (
            {"IndexName": "byGenreAndYear", "Select": "ALL_ATTRIBUTES"},
            f"{INVALID}Select type ALL_ATTRIBUTES is not supported for global secondary index "
            f"byGenreAndYear because its projection type is not ALL",
        ),
        (
            {"IndexName": "byGenreAndYear", "ProjectionExpression": "label, note, plays"},
            f"{INVALID}Global secondary index byGenreAndYear does not project [note, plays]",
        ),
        (
            {"IndexName": "byGenreAndYear", "FilterExpression": "note = :g"},
            f"{INVALID}Secondary index byGenreAndYear does not project one or more filter attributes: [note]",
        ),
        (
            {"Select": "SPECIFIC_ATTRIBUTES"},
            "Must specify the AttributesToGet or ProjectionExpression when choosing to get "
            "SPECIFIC_ATTRIBUTES",
        ),
        (
            {"Select": "ALL_PROJECTED_ATTRIBUTES", "ProjectionExpression": "label"},
            "Cannot specify the ProjectionExpression when choosing to get ALL_PROJECTED_ATTRIBUTES",
        ),
        ({"KeyConditionExpression": "plays = :g"}, "Query condition missed key schema element: genre"),
        ({"KeyConditionExpression": "genre = :g AND song = :g"},
         "Query condition missed key schema element: plays"),
        ({"KeyConditionExpression": "genre > :g"}, "Query key condition not supported"),
        ({"KeyConditionExpression": "genre = :g AND plays = :g"},
         f"{INVALID}Condition parameter type does not match schema type"),
        ({"ExclusiveStartKey": {"genre": {"S": "rock"}}}, "The provided starting key is invalid"),
        ({"ExclusiveStartKey": {**START, "label": {"S": "x"}}}, "The provided starting key is invalid"),
        ({"ExclusiveStartKey": {**START, "plays": {"S": "x"}}}, "The provided starting key is invalid"),
        ({"ExclusiveStartKey": {**START, "song": {"N": "1"}}}, "The provided starting key is invalid"),
        (
            {"ExclusiveStartKey": {**START, "genre": {"S": "folk"}}},
            "The provided starting key is outside query boundaries based on provided conditions",
        ),
        (
            {"ExclusiveStartKey": START, "KeyConditionExpression": "genre = :g AND plays > :n",
             "ExpressionAttributeValues": {**ROCK, ":n": {"N": "1"}}},
            "The provided starting key does not match the range key predicate",
        ),
    ],
)  # fmt: skip
def test_it_is_refused_in_awss_words(stocked: Conformance, parameters: dict[str, Any], message: str) -> None:
    request = {"TableName": "songs", "IndexName": "byGenre", **GENRE, **parameters}
    assert stocked.invalid("Query", **request) == message


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"IndexName": "none"}, "The table does not have the specified index: none"),
        ({"ConsistentRead": True}, "Consistent reads are not supported on global secondary indexes"),
        ({"ExclusiveStartKey": {"genre": {"S": "rock"}}}, WRONG_START),
        (
            {"IndexName": "byPlays", "Select": "ALL_ATTRIBUTES"},
            f"{INVALID}Select type ALL_ATTRIBUTES is not supported for global secondary index "
            f"byPlays because its projection type is not ALL",
        ),
    ],
)
def test_a_scan_is_refused_in_the_same_words(
    stocked: Conformance, parameters: dict[str, Any], message: str
) -> None:
    assert stocked.invalid("Scan", **{"TableName": "songs", "IndexName": "byGenre", **parameters}) == message


def test_a_page_of_an_index_ends_after_one_megabyte(api: Conformance) -> None:
    api.dynamodb.create_table(**songs(LocalSecondaryIndexes=[BY_YEAR]))
    for number in range(5):
        put(api, "a", f"s{number}", genre="rock", plays=number, year=number, text="x" * 300_000)
    page = api.dynamodb.query(TableName="songs", IndexName="byGenre", **GENRE)
    assert page["Count"] == 4
    assert "LastEvaluatedKey" in page
    assert len(api.dynamodb.scan(TableName="songs", IndexName="byYear")["Items"]) == 5


@pytest.mark.parametrize("operation", ["query", "scan"])
def test_a_page_counts_items_without_the_overhead_of_an_index_entry(api: Conformance, operation: str) -> None:
    api.dynamodb.create_table(
        TableName="small",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("id", "g")],
        GlobalSecondaryIndexes=[index("byG", "g")],
    )
    size, fixed = 2_000, len("id") + len("0000") + len("g") + len("g") + len("t")
    most = (
        1_048_576 // size
    )  # as many as fit before the page is full: a hundred bytes more an entry, and they would not
    for number in range(most + 1):
        item = {"id": {"S": f"{number:04}"}, "g": {"S": "g"}, "t": {"S": "x" * (size - fixed)}}
        api.dynamodb.put_item(TableName="small", Item=item)
    asked: dict[str, Any] = {"TableName": "small", "IndexName": "byG"}
    if operation == "query":
        asked |= {"KeyConditionExpression": "g = :g", "ExpressionAttributeValues": {":g": {"S": "g"}}}
    assert getattr(api.dynamodb, operation)(**asked)["Count"] == most + 1


# ---- keys of several attributes ----------------------------------------------------------------------------


@pytest.fixture
def wide(api: Conformance) -> Conformance:
    """An index with two hash and three range attributes."""
    keys = ("country", "city"), ("weekday", "slot", "seat")
    api.dynamodb.create_table(
        TableName="seats",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[
            {"AttributeName": name, "AttributeType": "N" if name in ("weekday", "slot") else "S"}
            for name in ("id", *keys[0], *keys[1])
        ],
        GlobalSecondaryIndexes=[index("byPlace", *keys[0], ranges=keys[1])],
    )
    for number in range(24):
        item = {
            "country": "no" if number % 2 else "se",
            "city": "x",
            "weekday": number % 3,
            "slot": number // 12,
            "seat": f"s{number:02}",
        }
        values = {
            name: {"N": str(value)} if isinstance(value, int) else {"S": value}
            for name, value in item.items()
        }
        api.dynamodb.put_item(TableName="seats", Item={"id": {"S": f"i{number}"}, **values})
    api.dynamodb.put_item(
        TableName="seats", Item={"id": {"S": "sparse"}, "country": {"S": "no"}, "city": {"S": "x"}}
    )
    return api


VALUES = {
    ":no": {"S": "no"},
    ":x": {"S": "x"},
    ":d": {"N": "1"},
    ":h": {"N": "0"},
    ":s": {"S": "s0"},
    ":t": {"S": "s07"},
}
GAP = (
    "RANGE key attributes {} must have equality conditions specified in the query because a "
    "condition is present on key attribute {}"
)
PLACE = "country = :no AND city = :x"


def seats(api: Conformance, condition: str, **more: Any) -> list[str]:
    given = {name: value for name, value in VALUES.items() if name in condition}
    items = pages(
        api,
        "query",
        "seats",
        IndexName="byPlace",
        KeyConditionExpression=condition,
        ExpressionAttributeValues=given,
        **more,
    )
    return [item["seat"]["S"] for item in items]


@pytest.mark.parametrize(
    ("condition", "count"),
    [
        (PLACE, 12), (f"{PLACE} AND weekday = :d", 4), (f"{PLACE} AND weekday < :d", 4),
        (f"{PLACE} AND weekday >= :d", 8),
        (f"{PLACE} AND weekday = :d AND slot = :h", 2), (f"{PLACE} AND weekday = :d AND slot > :h", 2),
        (f"{PLACE} AND weekday = :d AND slot = :h AND seat = :t", 1),
        (f"{PLACE} AND weekday = :d AND slot = :h AND begins_with(seat, :s)", 2),
        (f"{PLACE} AND weekday = :d AND slot = :h AND seat BETWEEN :s AND :t", 2),
        (f"weekday > :d AND {PLACE}", 4),
    ],
)  # fmt: skip
def test_range_attributes_are_given_from_the_left(wide: Conformance, condition: str, count: int) -> None:
    chosen = seats(wide, condition)
    assert len(chosen) == len({*chosen}) == count
    assert seats(wide, condition, ScanIndexForward=False) == chosen[::-1]


def test_items_come_in_the_order_of_the_range_attributes_and_a_page_ends_with_every_key(
    wide: Conformance,
) -> None:
    given = {":no": {"S": "no"}, ":x": {"S": "x"}}
    request = {
        "TableName": "seats",
        "IndexName": "byPlace",
        "KeyConditionExpression": PLACE,
        "ExpressionAttributeValues": given,
    }
    items = wide.dynamodb.query(**request)["Items"]
    keys = [(int(item["weekday"]["N"]), int(item["slot"]["N"]), item["seat"]["S"]) for item in items]
    assert keys == sorted(keys)
    assert "sparse" not in {item["id"]["S"] for item in items}
    page = wide.dynamodb.query(**request, Limit=1)
    assert page["LastEvaluatedKey"] == {
        name: items[0][name] for name in ("id", "country", "city", "weekday", "slot", "seat")
    }


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("country = :no", "Query condition missed key schema element: city"),
        (f"{PLACE} AND seat = :s", GAP.format("weekday, slot", "seat")),
        (f"{PLACE} AND weekday = :d AND seat = :s", GAP.format("slot", "seat")),
        (f"seat > :s AND weekday = :d AND {PLACE}", GAP.format("slot", "seat")),
        (f"{PLACE} AND weekday > :d AND slot = :h", GAP.format("weekday", "slot")),
        (
            f"{PLACE} AND weekday = :d AND weekday > :d",
            "Invalid KeyConditionExpression: KeyConditionExpressions must only contain one condition per key",
        ),
        (f"{PLACE} AND id = :x", "Query condition missed key schema element: weekday"),
        ("country = :no AND city > :x", "Query key condition not supported"),
        (f"{PLACE} AND weekday = :s", f"{INVALID}Condition parameter type does not match schema type"),
    ],
)
def test_other_conditions_of_a_wide_key_are_refused(wide: Conformance, condition: str, message: str) -> None:
    given = {name: value for name, value in VALUES.items() if name in condition}
    request = {"KeyConditionExpression": condition, "ExpressionAttributeValues": given}
    assert wide.invalid("Query", TableName="seats", IndexName="byPlace", **request) == message


# ---- parallel scan -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("total", [1, 2, 3, 7, 1_000_000])
@pytest.mark.parametrize("name", [None, "byPlays", "byYear"])
def test_segments_are_disjoint_and_together_everything(
    stocked: Conformance, total: int, name: str | None
) -> None:
    request = {} if name is None else {"IndexName": name}
    everything = names(pages(stocked, "scan", **request))
    listed: list[str] = []
    for segment in range(total) if total < 100 else ():
        listed += names(pages(stocked, "scan", Segment=segment, TotalSegments=total, limit=1, **request))
    if total < 100:
        assert listed == everything  # segments follow one another in the hash space
    last = stocked.dynamodb.scan(TableName="songs", Segment=total - 1, TotalSegments=total, **request)
    assert len(last["Items"]) <= 12


def test_a_starting_key_belongs_to_its_segment(stocked: Conformance) -> None:
    for name in (None, "byYear"):
        request: dict[str, Any] = {"TableName": "songs", **({} if name is None else {"IndexName": name})}
        whole = stocked.dynamodb.scan(**request, Limit=1)["LastEvaluatedKey"]
        wrong = [
            segment
            for segment in range(64)
            if "Items"
            not in answer(stocked, **request, Segment=segment, TotalSegments=64, ExclusiveStartKey=whole)
        ]
        assert len(wrong) == 63
        message = stocked.invalid(
            "Scan", **request, Segment=wrong[0], TotalSegments=64, ExclusiveStartKey=whole
        )
        assert message == (
            "The provided starting key is invalid: Invalid ExclusiveStartKey. Please use "
            "ExclusiveStartKey with correct "
            f"Segment. TotalSegments: 64 Segment: {wrong[0]}"
        )


def answer(api: Conformance, **request: Any) -> dict[str, Any]:
    _, answer = api.raw("Scan", request)
    return answer


@pytest.mark.parametrize(("segment", "total"), [(0, 1_000_001), (-1, 2), (1_000_000, 1_000_000), (0, 0)])
def test_segments_have_bounds(stocked: Conformance, segment: int, total: int) -> None:
    message = stocked.invalid("Scan", TableName="songs", Segment=segment, TotalSegments=total)
    assert "failed to satisfy constraint: Member must have value" in message
