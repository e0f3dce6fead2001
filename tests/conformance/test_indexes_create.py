"""CreateTable with indexes: every rule at its bound and one past it. Source: semantics §6.3, §6.11."""

from typing import Any

import pytest

from tests.conformance.client import Conformance
from tests.conformance.indexed import BY_GENRE, BY_YEAR, attributes, element, index, songs

INVALID = "One or more parameter values were invalid: "


def test_a_table_describes_its_indexes(api: Conformance) -> None:
    made = api.dynamodb.create_table(**songs())["TableDescription"]
    assert {index["IndexStatus"] for index in made["GlobalSecondaryIndexes"]} == {"CREATING"}
    table = api.dynamodb.describe_table(TableName="songs")["Table"]
    assert table["AttributeDefinitions"] == attributes("artist", "song", "year", "genre", "plays")
    assert table["LocalSecondaryIndexes"] == [
        {
            "IndexName": "byYear",
            "KeySchema": BY_YEAR["KeySchema"],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
            "IndexSizeBytes": 0,
            "ItemCount": 0,
            "IndexArn": f"{table['TableArn']}/index/byYear",
        }
    ]
    assert table["GlobalSecondaryIndexes"][2] == {
        "IndexName": "byGenreAndYear",
        "KeySchema": [element("genre", "HASH"), element("year", "RANGE")],
        "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["label"]},
        "IndexStatus": "ACTIVE",
        "ProvisionedThroughput": {
            "NumberOfDecreasesToday": 0,
            "ReadCapacityUnits": 0,
            "WriteCapacityUnits": 0,
        },
        "IndexSizeBytes": 0,
        "ItemCount": 0,
        "IndexArn": f"{table['TableArn']}/index/byGenreAndYear",
        "WarmThroughput": {"ReadUnitsPerSecond": 12000, "WriteUnitsPerSecond": 4000, "Status": "ACTIVE"},
    }


def of(api: Conformance, name: str = "songs") -> dict[str, Any]:
    """The first global index of a table."""
    index: dict[str, Any] = api.dynamodb.describe_table(TableName=name)["Table"]["GlobalSecondaryIndexes"][0]
    return index


def test_the_warm_throughput_of_an_index_is_kept_and_told(api: Conformance) -> None:
    warm = {"ReadUnitsPerSecond": 13_000, "WriteUnitsPerSecond": 5_000}
    api.dynamodb.create_table(
        **songs(
            GlobalSecondaryIndexes=[{**BY_GENRE, "WarmThroughput": warm}],
            LocalSecondaryIndexes=None,
            AttributeDefinitions=attributes("artist", "song", "genre", "plays"),
        )
    )
    assert of(api)["WarmThroughput"] == {**warm, "Status": "ACTIVE"}
    change = {"IndexName": "byGenre", "WarmThroughput": {"ReadUnitsPerSecond": 14_000}}
    api.dynamodb.update_table(TableName="songs", GlobalSecondaryIndexUpdates=[{"Update": change}])
    assert of(api)["WarmThroughput"] == {**warm, "ReadUnitsPerSecond": 14_000, "Status": "ACTIVE"}
    created = {**index("byPlays", "plays"), "WarmThroughput": {"WriteUnitsPerSecond": 9_000}}
    api.dynamodb.update_table(
        TableName="songs",
        AttributeDefinitions=attributes("plays"),
        GlobalSecondaryIndexUpdates=[{"Create": created}],
    )
    told = api.dynamodb.describe_table(TableName="songs")["Table"]["GlobalSecondaryIndexes"][1]
    assert told["WarmThroughput"]["WriteUnitsPerSecond"] == 9_000


@pytest.mark.parametrize(
    "given",
    [
        {"ReadUnitsPerSecond": 11_999},
        {"WriteUnitsPerSecond": 3_999},
        {"ReadUnitsPerSecond": 0},
        {"ReadUnitsPerSecond": -1},
    ],
)
def test_a_warm_throughput_below_what_an_index_has_anyway_is_refused(
    api: Conformance, given: dict[str, int]
) -> None:
    request = songs(
        GlobalSecondaryIndexes=[{**BY_GENRE, "WarmThroughput": given}],
        LocalSecondaryIndexes=None,
        AttributeDefinitions=attributes("artist", "song", "genre", "plays"),
    )
    (name,) = given
    assert api.invalid("CreateTable", **request).startswith(
        f"{INVALID}Requested {name} for WarmThroughput for index byGenre is lower than the current {name}"
    )
    assert "songs" not in api.dynamodb.list_tables()["TableNames"]


def test_the_limits_on_demand_of_an_index_are_judged_as_those_of_a_table(api: Conformance) -> None:
    plain = songs(
        GlobalSecondaryIndexes=[BY_GENRE],
        LocalSecondaryIndexes=None,
        AttributeDefinitions=attributes("artist", "song", "genre", "plays"),
    )
    none = {"OnDemandThroughput": {"MaxReadRequestUnits": 0}}
    wrong = {**plain, "GlobalSecondaryIndexes": [{**BY_GENRE, **none}]}
    assert "MaxReadRequestUnits must be" in api.invalid("CreateTable", **wrong)
    api.dynamodb.create_table(**plain)
    for units, told in ((7, {"MaxReadRequestUnits": 7}), (-1, None)):
        change = {"IndexName": "byGenre", "OnDemandThroughput": {"MaxReadRequestUnits": units}}
        api.dynamodb.update_table(TableName="songs", GlobalSecondaryIndexUpdates=[{"Update": change}])
        assert of(api).get("OnDemandThroughput") == told


def test_units_and_maxima_of_an_index_are_kept(api: Conformance) -> None:
    units = {"ReadCapacityUnits": 3, "WriteCapacityUnits": 4}
    api.dynamodb.create_table(
        **songs(
            BillingMode="PROVISIONED",
            ProvisionedThroughput=units,
            LocalSecondaryIndexes=None,
            GlobalSecondaryIndexes=[index("byGenre", "genre", ProvisionedThroughput=units)],
            AttributeDefinitions=attributes("artist", "song", "genre"),
        )
    )
    shown = api.dynamodb.describe_table(TableName="songs")["Table"]["GlobalSecondaryIndexes"][0]
    assert shown["ProvisionedThroughput"] == {"NumberOfDecreasesToday": 0, **units}
    assert shown["WarmThroughput"] == {"ReadUnitsPerSecond": 3, "WriteUnitsPerSecond": 4, "Status": "ACTIVE"}
    most = {"MaxReadRequestUnits": 5, "MaxWriteRequestUnits": 6}
    api.dynamodb.create_table(
        **songs(TableName="other", GlobalSecondaryIndexes=[{**BY_GENRE, "OnDemandThroughput": most}])
    )
    shown = api.dynamodb.describe_table(TableName="other")["Table"]["GlobalSecondaryIndexes"][0]
    assert shown["OnDemandThroughput"] == most


def only(**members: Any) -> dict[str, Any]:
    """A request with nothing but the table's key, and these members."""
    request = {"LocalSecondaryIndexes": None, "GlobalSecondaryIndexes": None, **members}
    return songs(**{"AttributeDefinitions": attributes("artist", "song", "year"), **request})


UNITS = {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}
NAMED = {"LocalSecondaryIndexes": [BY_YEAR]}
REFUSED: list[tuple[dict[str, Any], str]] = [
    (only(GlobalSecondaryIndexes=[]), f"{INVALID}List of GlobalSecondaryIndexes is empty"),
    (only(LocalSecondaryIndexes=[]), f"{INVALID}List of LocalSecondaryIndexes is empty"),
    (
        only(
            **NAMED, KeySchema=[element("artist", "HASH")], AttributeDefinitions=attributes("artist", "year")
        ),
        f"{INVALID}Table KeySchema does not have a range key, which is required when specifying a "
        f"LocalSecondaryIndex",
    ),
    (
        only(LocalSecondaryIndexes=[index("other", "song", ranges=("year",))]),
        f"{INVALID}Index KeySchema does not have the same leading hash key as table KeySchema for "
        f"index: other. index hash key: song, table hash key: artist",
    ),
    (
        only(
            LocalSecondaryIndexes=[index("byArtist", "artist")],
            AttributeDefinitions=attributes("artist", "song"),
        ),
        f"{INVALID}Index KeySchema does not have a range key for index: byArtist",
    ),
    (
        only(**NAMED, AttributeDefinitions=attributes("artist", "song")),
        f"{INVALID}Some index key attributes are not defined in AttributeDefinitions. "
        "Keys: [artist, year], AttributeDefinitions: [artist, song]",
    ),
    (
        only(**NAMED, AttributeDefinitions=attributes("artist", "song", "year", "genre")),
        f"{INVALID}Some AttributeDefinitions are not used. AttributeDefinitions: [artist, song, "
        f"year, genre], keys used: [artist, song, year]",
    ),
    (only(LocalSecondaryIndexes=[BY_YEAR, BY_YEAR]), f"{INVALID}Duplicate index name: byYear"),
    (
        only(**NAMED, GlobalSecondaryIndexes=[index("byYear", "year")]),
        f"{INVALID}Duplicate index name: byYear",
    ),
    (
        only(GlobalSecondaryIndexes=[index("byYear", "year", projection="INCLUDE")]),
        f"{INVALID}ProjectionType is INCLUDE, but NonKeyAttributes is not specified",
    ),
    (
        only(GlobalSecondaryIndexes=[index("byYear", "year", projection="KEYS_ONLY", include=["x"])]),
        f"{INVALID}ProjectionType is KEYS_ONLY, but NonKeyAttributes is specified",
    ),
    (
        only(GlobalSecondaryIndexes=[{**index("byYear", "year"), "Projection": {}}]),
        f"{INVALID}Unknown ProjectionType: null",
    ),
    (
        only(GlobalSecondaryIndexes=[index("byYear", ranges=("year",))]),
        "Invalid KeySchema: The first KeySchemaElement is not a HASH key type",
    ),
    (
        only(LocalSecondaryIndexes=[index("byYear", "artist", "year")]),
        "Invalid KeySchema: The second KeySchemaElement is not a RANGE key type",
    ),
    (
        only(GlobalSecondaryIndexes=[index("byYear", "year", ranges=("year",))]),
        "Invalid KeySchema: Some key elements in the KeySchema have the same name",
    ),
    (
        only(GlobalSecondaryIndexes=[index("byYear", "year", ProvisionedThroughput=UNITS)]),
        f"{INVALID}Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when "
        f"BillingMode is PAY_PER_REQUEST",
    ),
    (
        only(BillingMode=None, ProvisionedThroughput=UNITS, GlobalSecondaryIndexes=[index("byYear", "year")]),
        f"{INVALID}ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode "
        f"is PROVISIONED",
    ),
]


@pytest.mark.parametrize(("request_", "message"), REFUSED)
def test_a_wrong_declaration_is_refused_in_awss_words(
    api: Conformance, request_: dict[str, Any], message: str
) -> None:
    assert api.invalid("CreateTable", **request_) == message
    assert api.dynamodb.list_tables()["TableNames"] == []


def many(count: int, kind: str) -> dict[str, Any]:
    ranges = ("year",)
    hash_name = "artist" if kind == "LocalSecondaryIndexes" else "song"
    return only(**{kind: [index(f"by{number}", hash_name, ranges=ranges) for number in range(count)]})


@pytest.mark.parametrize(
    ("kind", "most", "message"),
    [
        ("GlobalSecondaryIndexes", 20, "GlobalSecondaryIndex count exceeds the per-table limit of 20"),
        ("LocalSecondaryIndexes", 5, "Number of LocalSecondaryIndexes exceeds per-table limit of 5"),
    ],
)
def test_a_table_has_so_many_indexes_and_no_more(
    api: Conformance, kind: str, most: int, message: str
) -> None:
    assert api.invalid("CreateTable", **many(most + 1, kind)) == INVALID + message
    assert len(api.dynamodb.create_table(**many(most, kind))["TableDescription"][kind]) == most


def including(counts: list[int]) -> dict[str, Any]:
    return only(
        GlobalSecondaryIndexes=[
            index(
                f"by{place}", "year", projection="INCLUDE", include=[f"a{number}" for number in range(count)]
            )
            for place, count in enumerate(counts)
        ]
    )


def test_all_indexes_together_project_a_hundred_attributes(api: Conformance) -> None:
    assert "limit of 100" in api.invalid("CreateTable", **including([20, 20, 20, 20, 20, 1]))
    api.dynamodb.create_table(**including([20, 20, 20, 20, 20]))


def test_an_index_projects_twenty_attributes(api: Conformance) -> None:
    message = api.invalid("CreateTable", **including([21]))
    assert message.startswith("1 validation error detected: Value '[a0, ")
    assert message.endswith(
        "at 'globalSecondaryIndexes.1.member.projection.nonKeyAttributes' failed to satisfy constraint: "
        "Member must have length less than or equal to 20"
    )
    api.dynamodb.create_table(**including([20]))


@pytest.mark.parametrize(
    ("name", "is_fit"),
    [("xx", False), ("x" * 3, True), ("x" * 255, True), ("x" * 256, False), ("a b", False)],
)
def test_an_index_name_has_3_to_255_characters(api: Conformance, name: str, is_fit: bool) -> None:
    request = only(GlobalSecondaryIndexes=[index(name, "year")])
    if is_fit:
        api.dynamodb.create_table(**request)
    else:
        assert "globalSecondaryIndexes.1.member.indexName" in api.invalid("CreateTable", **request)


def wide(hashes: int, ranges: int) -> dict[str, Any]:
    names = [f"h{number}" for number in range(hashes)], [f"r{number}" for number in range(ranges)]
    return only(
        AttributeDefinitions=attributes("artist", "song", *names[0], *names[1]),
        GlobalSecondaryIndexes=[index("wide", *names[0], ranges=tuple(names[1]))],
    )


def test_a_global_index_has_up_to_four_and_four_key_attributes(api: Conformance) -> None:
    assert "more than 4 HASH" in api.invalid("CreateTable", **wide(5, 1))
    assert "more than 4 RANGE" in api.invalid("CreateTable", **wide(1, 5))
    made = api.dynamodb.create_table(**wide(4, 4))["TableDescription"]["GlobalSecondaryIndexes"][0]
    assert len(made["KeySchema"]) == 8


def test_key_attributes_come_in_order_and_once(api: Conformance) -> None:
    mixed = index("mixed", "song")
    mixed["KeySchema"] = [element("song", "HASH"), element("year", "RANGE"), element("artist", "HASH")]
    assert "HASH key elements must come before" in api.invalid(
        "CreateTable", **only(GlobalSecondaryIndexes=[mixed])
    )
    twice = index("twice", "song", "song", ranges=("year",))
    assert "same name" in api.invalid("CreateTable", **only(GlobalSecondaryIndexes=[twice]))
    long = index("long", "artist", ranges=("year", "song"))
    assert "keySchema" in api.invalid("CreateTable", **only(LocalSecondaryIndexes=[long]))
