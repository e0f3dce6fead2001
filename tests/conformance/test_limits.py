"""Every limit of semantics §6.3 and §6.5: the last value that is accepted, and the first one past
it with its text.

Rules of this file: a row a bound. `LISTED` is the list of the specification; the guards at the end fail when
a row of it is missing, lacks a side, or does not step by one.
"""

from typing import Any

import pytest

from tailrace.api.registry import DYNAMODB, find_operations
from tests.conformance.bounds import (
    AGGREGATE,
    CREATE,
    EMPTY_KEY,
    HASH_SIZE,
    INVALID,
    INVALID_CONDITION,
    LESS,
    MEGABYTE,
    MORE,
    OVERFLOW,
    RANGE_SIZE,
    REUSED,
    TEXTS,
    TOO_DEEP,
    TOO_MANY,
    UNDERFLOW,
    E,
    Limit,
    additions,
    asking,
    batch_read,
    body,
    collection,
    constraint,
    digits,
    element,
    global_indexes,
    grown,
    heavy_read,
    heavy_write,
    index,
    keys,
    local_indexes,
    nested,
    number,
    operators,
    options,
    padded,
    page,
    path,
    placeholder,
    placeholders,
    projected,
    put,
    table,
    tagged,
    token,
    told,
    total,
    transact,
    two_tables,
    typed,
    update,
    valid_for,
    with_local_index,
    writes,
)
from tests.conformance.client import Conformance, key

ITEMS = [
    Limit("item", "put", 409_600, 409_601, asking("PutItem", lambda size: put(big={"S": "x" * (size - 9)})),
          f"{E}Item size has exceeded the maximum allowed size"),
    Limit("item", "update", 409_600, 409_601,
          asking("UpdateItem",
                 lambda size: update("SET big = :v",
                                     v={"S": "é" * ((size - 10) // 2) + "x" * (1 + size % 2)})),
          "Item size to update has exceeded the maximum allowed size"),
    Limit("item", "with its local index", 204_800, 204_801, with_local_index,
          "Item size has exceeded the maximum allowed size"),
    Limit("item", "in a batch", 409_600, 409_601,
          asking("BatchWriteItem",
                 lambda size: {"RequestItems": {"things": [
                     {"PutRequest": {"Item": put(big={"S": "x" * (size - 9)})["Item"]}}]}}),
          "Item size has exceeded the maximum allowed size"),
    *(Limit("partition key", f"longest {kind}", 2_048, 2_049, typed(kind, False), HASH_SIZE)
      for kind in "SB"),
    *(Limit("sort key", f"longest {kind}", 1_024, 1_025, typed(kind, True), RANGE_SIZE) for kind in "SB"),
    *(Limit(f"{'sort' if sort else 'partition'} key", f"shortest {kind}", 1, 0, typed(kind, sort),
            EMPTY_KEY.format("string" if kind == "S" else "binary", "range" if sort else "hash"))
            for kind in "SB" for sort in (False, True)),
    Limit("attribute name", "longest", 65_535, 65_536,
          asking("PutItem", lambda size: put(**{"x" * size: {"S": ""}})),
          f"{E}{INVALID}Attribute name is too large, must be less than 65536 bytes"),
    Limit("attribute name", "shortest", 1, 0, asking("PutItem", lambda size: put(**{"x" * size: {"S": ""}})),
          f"{E}Empty attribute name"),
    Limit("attribute name", "longest of an element", 65_535, 65_536,
          asking("PutItem", lambda size: put(m={"M": {"x" * size: {"S": ""}}})),
          f"{E}{INVALID}Attribute name is too large, must be less than 65536 bytes"),
    Limit("nesting", "put", 32, 33, asking("PutItem", lambda levels: put(a=nested(levels))), E + TOO_DEEP),
    Limit("nesting", "update", 32, 33, lambda api, levels: grown(levels)(api), TOO_DEEP),
    *(Limit("number", f"digits {sign}", 38, 39, digits(sign),
            E + "Attempting to store more than 38 significant digits in a Number") for sign in ("", "-")),
    Limit("number", "digits of a sum", 38, 39, total,
          "Attempting to store more than 38 significant digits in a Number"),
    *(Limit("number", f"largest {sign}", 125, 126,
            number(f"{sign}9.9999999999999999999999999999999999999E+{{}}"), E + OVERFLOW) for sign in ("",
            "-")),
    *(Limit("number", f"smallest {sign}", -130, -131, number(f"{sign}1E{{}}"), E + UNDERFLOW)
      for sign in ("", "-")),
    Limit("sets", "SS", 1, 0, element("SS"), f"{E}{INVALID}An string set  may not be empty"),
    Limit("sets", "NS", 1, 0, element("NS"), f"{E}{INVALID}An number set  may not be empty"),
    Limit("sets", "BS", 1, 0, element("BS"), f"{E}{INVALID}Binary sets should not be empty"),
    Limit("sets", "SS once", 1, 2, element("SS"),
          f'{E}{INVALID}Input collection ["1", "1"] contains duplicates.'),
    Limit("sets", "NS once", 1, 2, element("NS"), E + INVALID + "Input collection contains duplicates."),
    Limit("sets", "BS once", 1, 2, element("BS"),
          f'{E}{INVALID}Input collection ["AA==","AA=="]of type BS contains duplicates.'),
]  # fmt: skip
EXPRESSIONS = [
    *(Limit("expression string", member, 4_096, 4_097, padded(member),
            f"{E if operation[0] in ('UpdateItem', 'DeleteItem') else ''}Invalid {member}: "
            f"Expression size has exceeded the maximum allowed size;"
            + ("" if member == "UpdateExpression" else " expression size: 4097"))
            for member, operation in TEXTS.items()),
    Limit("expression string", "placeholder #", 255, 256, placeholder("#"),
          E + 'ExpressionAttributeNames contains invalid key: Syntax error; key: "#' + "x" * 255 + '"'),
    Limit("expression string", "placeholder :", 255, 256, placeholder(":"),
          E + 'ExpressionAttributeValues contains invalid key: Syntax error; key: ":' + "x" * 255 + '"'),
    Limit("expression string", "all names and values", 2 * MEGABYTE, 2 * MEGABYTE + 1,
          asking("DeleteItem", placeholders),
          f"{E}The size of ExpressionAttributeNames and ExpressionAttributeValues has exceeded the "
          f"maximum allowed size; size: {2 * MEGABYTE + 1}"),
    Limit("expression string", "operators of a condition", 300, 301, asking("DeleteItem", operators),
          f"{E}{INVALID_CONDITION}The expression contains too many operators; operator count: 301"),
    Limit("expression string", "operators of an update", 300, 301, asking("UpdateItem", additions),
          f"{E}Invalid UpdateExpression: The expression contains too many operators; operator count: 301"),
    Limit("expression string", "operands of IN", 100, 101, asking("DeleteItem", options),
          f"{E}{INVALID_CONDITION}The IN operator is provided with too many operands; "
          f"number of operands: 101"),
    Limit("expression string", "operands of IN, at least", 1, 0, asking("DeleteItem", options),
          f'{E}{INVALID_CONDITION}Syntax error; token: ")", near: "()"'),
    Limit("nesting", "document path", 32, 33, asking("GetItem", path),
          "Invalid ProjectionExpression: The document path has too many nesting "
          "elements; nesting levels: 33"),
]  # fmt: skip
REQUESTS = [
    Limit("BatchGetItem", "keys of a table", 100, 101,
          asking("BatchGetItem", lambda count: {"RequestItems": {"things": {"Keys": keys(count)}}}),
          f"{E}Value at 'RequestItems.things.member.Keys' failed to satisfy constraint: {LESS.format(100)}"),
    Limit("BatchGetItem", "keys, at least", 1, 0,
          asking("BatchGetItem", lambda count: {"RequestItems": {"things": {"Keys": keys(count)}}}),
          f"{E}Value at 'RequestItems.things.member.Keys' failed to satisfy constraint: {MORE.format(1)}"),
    Limit("BatchGetItem", "keys of two tables", 100, 101,
          two_tables("BatchGetItem", lambda count: {"Keys": keys(count)}), TOO_MANY.format("Get")),
    Limit("BatchWriteItem", "requests of a table", 25, 26,
          asking("BatchWriteItem", lambda count: {"RequestItems": {"things": writes(count)}}),
          f"{E}Value at 'RequestItems.things.member' failed to satisfy constraint: {LESS.format(25)}"),
    Limit("BatchWriteItem", "requests, at least", 1, 0,
          asking("BatchWriteItem", lambda count: {"RequestItems": {"things": writes(count)}}),
          constraint("requestItems",
                     f"Map value must satisfy constraint: [{LESS.format(25)}, {MORE.format(1)}]")),
    Limit("BatchWriteItem", "requests of two tables", 25, 26, two_tables("BatchWriteItem", writes),
          TOO_MANY.format("Write")),
    Limit("BatchGetItem", "16 MB answered", 16 * MEGABYTE, 16 * MEGABYTE + 1, batch_read, "1 key is left"),
    Limit("BatchGetItem", "1 MB of a partition", MEGABYTE, MEGABYTE + 1,
          lambda api, size: batch_read(api, size, 1), "1 key is left"),
    Limit("item collection", "with a local index", 400, 401, collection, "Collection size exceeded."),
    Limit("request", "16 MB", 16 * MEGABYTE, 16 * MEGABYTE + 1, body, "413 Request body is too large."),
    Limit("Transact*", "actions", 100, 101,
          asking("TransactWriteItems", lambda count: transact([{"Put": {"TableName": "things", "Item": one}}
              for one in keys(count)])),
          constraint("transactItems", LESS.format(100))),
    Limit("Transact*", "actions, at least", 1, 0,
          asking("TransactWriteItems", lambda count: transact([{"Put": {"TableName": "things", "Item": one}}
              for one in keys(count)])),
          constraint("transactItems", MORE.format(1))),
    Limit("Transact*", "gets", 100, 101,
          asking("TransactGetItems", lambda count: transact([{"Get": {"TableName": "things", "Key": one}}
              for one in keys(count)])),
          constraint("transactItems", LESS.format(100))),
    Limit("Transact*", "gets, at least", 1, 0,
          asking("TransactGetItems", lambda count: transact([{"Get": {"TableName": "things", "Key": one}}
              for one in keys(count)])),
          constraint("transactItems", MORE.format(1))),
    Limit("Transact*", "4 MB written", 4 * MEGABYTE, 4 * MEGABYTE + 1, heavy_write, AGGREGATE),
    Limit("Transact*", "4 MB read", 4 * MEGABYTE, 4 * MEGABYTE + 1, heavy_read, AGGREGATE),
    *(Limit("Query/Scan page", operation, MEGABYTE - 1, MEGABYTE, page(operation), "3 items, then 2")
      for operation in ("Query", "Scan")),
    *(Limit("Query/Scan page", f"Limit of {operation}", 1, 0,
            asking(operation, lambda count, more=more: {"TableName": "things", "Limit": count, **more}),  # type: ignore[misc]
            constraint("limit", "Member must have value greater than or equal to 1") if operation == "Scan"
            else f"{E}Value at 'Limit' failed to satisfy constraint: Member must have value "
            f"greater than or equal to 1")
      for operation, more in (("Scan", {}),
                              ("Query",
                               {"KeyConditionExpression": "pk = :p",
                                "ExpressionAttributeValues": {":p": {"S": "p"}}}))),
    Limit("Scan segments", "TotalSegments, at least", 1, 0,
          asking("Scan", lambda count: {"TableName": "things", "Segment": 0, "TotalSegments": count}),
          constraint("totalSegments", "Member must have value greater than or equal to 1")),
    Limit("Scan segments", "TotalSegments", 1_000_000, 1_000_001,
          asking("Scan", lambda count: {"TableName": "things", "Segment": 0, "TotalSegments": count}),
          constraint("totalSegments", "Member must have value less than or equal to 1000000")),
    Limit("Scan segments", "Segment, at least", 0, -1,
          asking("Scan", lambda count: {"TableName": "things", "Segment": count, "TotalSegments": 2}),
          constraint("segment", "Member must have value greater than or equal to 0")),
    Limit("Scan segments", "Segment", 999_999, 1_000_000,
          asking("Scan", lambda count: {"TableName": "things", "Segment": count, "TotalSegments": 1_000_000}),
          constraint("segment", "Member must have value less than or equal to 999999")),
    Limit("Scan segments", "Segment of two", 1, 2,
          asking("Scan", lambda count: {"TableName": "things", "Segment": count, "TotalSegments": 2}),
          "The Segment parameter is zero-based and must be less than parameter TotalSegments: "
          "Segment: 2 is not less than TotalSegments: 2"),
    Limit("ClientRequestToken", "longest", 36, 37, asking("TransactWriteItems", token),
          f"{E}Value at 'ClientRequestToken' failed to satisfy constraint: {LESS.format(36)}"),
    Limit("ClientRequestToken", "shortest", 1, 0, asking("TransactWriteItems", token),
          constraint("clientRequestToken", MORE.format(1))),
    Limit("ClientRequestToken", "free again after ten minutes", 600_000, 599_999, valid_for, REUSED),
    Limit("tags", "tags", 50, 51, tagged("tags"),
          "Number of Tags exceed the current limit for the provided ResourceArn"),
    Limit("tags", "key", 128, 129, tagged("Key"), constraint("tags.1.member.key", LESS.format(128))),
    Limit("tags", "shortest key", 1, 0, tagged("Key"), constraint("tags.1.member.key", MORE.format(1))),
    Limit("tags", "value", 256, 257, tagged("Value"), constraint("tags.1.member.value", LESS.format(256))),
]  # fmt: skip
TABLES = [
    Limit("table name", "longest", 255, 256, asking(CREATE, lambda size: table("t" * size)),
          constraint("tableName", LESS.format(255))),
    Limit("table name", "shortest", 3, 2, asking(CREATE, lambda size: table("t" * size)),
          constraint("tableName", MORE.format(3))),
    Limit("index name", "longest", 255, 256,
          asking(CREATE, lambda size: table(GlobalSecondaryIndexes=[index("i" * size, "r")])),
          constraint("globalSecondaryIndexes.1.member.indexName", LESS.format(255))),
    Limit("index name", "shortest", 3, 2,
          asking(CREATE, lambda size: table(GlobalSecondaryIndexes=[index("i" * size, "r")])),
          constraint("globalSecondaryIndexes.1.member.indexName", MORE.format(3))),
    Limit("attribute name", "longest of a key", 255, 256,
          asking(CREATE, lambda size: table(hash_name="h" * size)),
          f"2 validation errors detected: "
          f"{constraint('attributeDefinitions.1.member.attributeName', LESS.format(255)).partition(': ')[2]}"
          f"; {constraint('keySchema.1.member.attributeName', LESS.format(255)).partition(': ')[2]}"),
    Limit("attribute name", "longest that an index projects", 255, 256,
          asking(CREATE,
                 lambda size: table(GlobalSecondaryIndexes=[index("byR", "r", projected=["p" * size])])),
          constraint("globalSecondaryIndexes.1.member.projection.nonKeyAttributes.1.member",
                     LESS.format(255))),
    Limit("indexes", "global", 20, 21, asking(CREATE, global_indexes),
          f"{INVALID}GlobalSecondaryIndex count exceeds the per-table limit of 20"),
    Limit("indexes", "local", 5, 6, asking(CREATE, local_indexes),
          f"{INVALID}Number of LocalSecondaryIndexes exceeds per-table limit of 5"),
    Limit("projected attributes", "of an index", 20, 21, asking(CREATE, lambda count: projected([count])),
          constraint("globalSecondaryIndexes.1.member.projection.nonKeyAttributes", LESS.format(20))),
    Limit("projected attributes", "of all indexes", 100, 101,
          asking(CREATE, lambda count: projected([20, 20, 20, 20, 19, count - 99])),
          f"{INVALID}Number of projected NonKeyAttributes of all indexes exceeds the per-table limit of 100"),
]  # fmt: skip
ROWS = [*ITEMS, *EXPRESSIONS, *REQUESTS, *TABLES]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.entry}: {row.part}")
def test_the_last_is_accepted_and_the_next_is_refused(things: Conformance, row: Limit) -> None:
    assert row.ask(things, row.last) == ""
    assert row.ask(things, row.past) == row.text


LISTED = {
    "item": {"put", "update", "with its local index", "in a batch"},
    "partition key": {"longest S", "longest B", "shortest S", "shortest B"},
    "sort key": {"longest S", "longest B", "shortest S", "shortest B"},
    "table name": {"longest", "shortest"},
    "index name": {"longest", "shortest"},
    "attribute name": {"longest", "shortest", "longest of an element", "longest of a key",
                       "longest that an index projects"},
    "nesting": {"put", "update", "document path"},
    "number": {f"{part} {sign}" for part in ("digits", "largest", "smallest")
               for sign in ("", "-")} | {"digits of a sum"},
    "sets": {"SS", "NS", "BS", "SS once", "NS once", "BS once"},
    "expression string": {*TEXTS, "placeholder #", "placeholder :", "all names and values",
                          "operators of a condition",
                          "operators of an update", "operands of IN", "operands of IN, at least"},
    "BatchGetItem": {"keys of a table", "keys, at least", "keys of two tables", "16 MB answered",
                     "1 MB of a partition"},
    "BatchWriteItem": {"requests of a table", "requests, at least", "requests of two tables"},
    "request": {"16 MB"},
    "Transact*": {"actions", "actions, at least", "gets", "gets, at least", "4 MB written", "4 MB read"},
    "Query/Scan page": {"Query", "Scan", "Limit of Query", "Limit of Scan"},
    "indexes": {"global", "local"},
    "projected attributes": {"of an index", "of all indexes"},
    "item collection": {"with a local index"},
    "Scan segments": {"TotalSegments, at least", "TotalSegments", "Segment, at least", "Segment",
                      "Segment of two"},
    "ClientRequestToken": {"longest", "shortest", "free again after ten minutes"},
    "tags": {"tags", "key", "shortest key", "value"},
}  # fmt: skip


def lacking(rows: list[Limit]) -> list[str]:
    """What the rows lack of the list, and sides that are not next to each other."""
    covered = {(row.entry, row.part) for row in rows}
    wanted = {(entry, part) for entry, parts in LISTED.items() for part in parts}
    apart = [f"{row.entry}: {row.part}" for row in rows if abs(row.last - row.past) != 1 or not row.text]
    return [f"{entry}: {part}" for entry, part in sorted(covered ^ wanted)] + apart


def test_every_limit_of_the_list_has_its_row_with_both_sides() -> None:
    assert lacking(ROWS) == []
    assert len({(row.entry, row.part) for row in ROWS}) == len(ROWS)


def test_a_row_that_is_missing_or_has_one_side_is_noticed() -> None:
    one_sided = Limit("item", "put", 409_600, 409_600, ROWS[0].ask, "text")
    unsaid = Limit("item", "put", 409_600, 409_601, ROWS[0].ask, "")
    assert lacking(ROWS[1:]) == ["item: put"]
    assert lacking([one_sided, *ROWS[1:]]) == ["item: put"]
    assert lacking([unsaid, *ROWS[1:]]) == ["item: put"]


def test_the_limits_of_partiql_come_with_partiql() -> None:
    absent = {one.name for one in find_operations().values() if not one.emulated and one.service is DYNAMODB}
    assert {"ExecuteStatement", "BatchExecuteStatement", "ExecuteTransaction"} <= absent


@pytest.mark.parametrize(
    "value", [{"S": ""}, {"B": ""}, {"L": []}, {"M": {}}, {"SS": [""]}, {"BS": [""]}, {"L": [{"S": ""}]}]
)
def test_what_is_empty_is_allowed_outside_of_keys(things: Conformance, value: dict[str, Any]) -> None:
    assert told(things.raw("PutItem", put(a=value))) == ""
    assert things.raw("GetItem", {"TableName": "things", "Key": key("p")})[1]["Item"]["a"] == value


@pytest.mark.parametrize("name", ["a b", "a;b", "ä.b", "a/b", "a:b"])
def test_names_of_tables_and_indexes_have_few_characters(things: Conformance, name: str) -> None:
    pattern = "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"
    assert told(things.raw(CREATE, table(name))) == constraint("tableName", pattern)
    path = "globalSecondaryIndexes.1.member.indexName"
    assert told(things.raw(CREATE, table(GlobalSecondaryIndexes=[index(name, "r")]))) == constraint(
        path, pattern
    )
    assert told(things.raw(CREATE, table("aZ0_.-", GlobalSecondaryIndexes=[index("aZ0_.-", "r")]))) == ""
