"""Of several things that are wrong, AWS tells one: which, by the order of its checks. Source:
semantics §6.1, §6.5; [D].

Each operation has a ladder: requests with ever fewer faults, from the top. A rung's request has its own fault
and every fault below it, so a rung passes only where its fault is told before all of those.
"""

from typing import Any

import pytest

from tests.conformance.client import Conformance, key

Request = dict[str, Any]
Rung = tuple[Request, str]
E = "1 validation error detected: "
INVALID = "One or more parameter values were invalid: "
BOTH = "Can not use both expression and non-expression parameters in the same request: "
NULLS = "Null attribute value types must have the value of true"
NOT_FOUND = "Requested resource not found"
FAILS = {"ConditionExpression": "attribute_exists(absent)"}
BIG = {"S": "x" * 409_600}

PUT: list[Rung] = [
    ({"ReturnValues": 1}, "NUMBER_VALUE cannot be converted to String"),
    ({"Item": {**key("p"), "a": {"S": 1}}, "ReturnValues": "x"},
     "NUMBER_VALUE cannot be converted to String"),
    (
        {"ReturnValues": "x"},
        "1 validation error detected: Value 'x' at 'returnValues' failed to satisfy constraint: "
        "Member must satisfy enum value set: [ALL_NEW, UPDATED_OLD, ALL_OLD, NONE, UPDATED_NEW]",
    ),
    (
        {"Expected": {}, "ExpressionAttributeNames": {}},
        f"{E}{BOTH}Non-expression parameters: {{Expected}} Expression parameters: {{ConditionExpression}}",
    ),
    ({"Item": {**key("p"), "big": BIG, "a": {"NULL": False}}}, E + INVALID + NULLS),
    ({"ReturnValues": "ALL_NEW"}, f"{E}ReturnValues can only be ALL_OLD or NONE"),
    ({"Item": {**key("p"), "big": BIG}}, f"{E}Item size has exceeded the maximum allowed size"),
    ({"ExpressionAttributeNames": {}, "ExpressionAttributeValues": {}},
     f"{E}ExpressionAttributeNames must not be empty"),
    (
        {"ExpressionAttributeNames": {"a": "b"}, "ExpressionAttributeValues": {}},
        f'{E}ExpressionAttributeNames contains invalid key: Syntax error; key: "a"',
    ),
    ({"ExpressionAttributeValues": {}}, f"{E}ExpressionAttributeValues must not be empty"),
    (
        {"ExpressionAttributeValues": {":a": {"NULL": False}, "b": {"S": "b"}}},
        f'{E}ExpressionAttributeValues contains invalid key: Syntax error; key: "b"',
    ),
    (
        {"ExpressionAttributeValues": {":a": {"NULL": False}}, "ConditionExpression": "a ="},
        E + INVALID + NULLS,
    ),
    (
        {"ExpressionAttributeValues": {":a": {"S": "a"}}, "ConditionExpression": "a ="},
        f'{E}Invalid ConditionExpression: Syntax error; token: "<EOF>", near: "="',
    ),
    (
        {"ExpressionAttributeNames": {"#a": "a"}, "ExpressionAttributeValues": {":a": {"S": "a"}}},
        f"{E}Value provided in ExpressionAttributeNames unused in expressions: keys: {{#a}}",
    ),
    (
        {"ExpressionAttributeValues": {":a": {"S": "a"}}},
        f"{E}Value provided in ExpressionAttributeValues unused in expressions: keys: {{:a}}",
    ),
    ({"TableName": "nothing", "Item": {"pk": {"N": "1"}}}, NOT_FOUND),
    ({"Item": {"pk": {"N": "1"}}}, f"{INVALID}Type mismatch for key pk expected: S actual: N"),
    ({"Item": {"pk": {"S": "x" * 2_049}}},
     f"{INVALID}Size of hashkey has exceeded the maximum size limit of2048 bytes"),
    ({"Item": {"pk": {"S": "x"}}}, f"{INVALID}Missing the key sk in the item"),
    ({}, "The conditional request failed"),
]  # fmt: skip
PUT_BASE = {"TableName": "things", "Item": key("p"), **FAILS}

UPDATE: list[Rung] = [
    (
        {"AttributeUpdates": {}, "ExpressionAttributeNames": {}},
        f"{E}{BOTH}Non-expression parameters: {{AttributeUpdates}} Expression parameters: "
        f"{{UpdateExpression, ConditionExpression}}",
    ),
    ({"Key": {"pk": {"NULL": False}}, "ExpressionAttributeNames": {}}, E + INVALID + NULLS),
    ({"ExpressionAttributeNames": {}}, f"{E}ExpressionAttributeNames must not be empty"),
    ({"UpdateExpression": "SET", "ConditionExpression": "a ="},
     f'{E}Invalid UpdateExpression: Syntax error; token: "<EOF>", near: "SET"'),
    ({"ConditionExpression": "a ="},
     f'{E}Invalid ConditionExpression: Syntax error; token: "<EOF>", near: "="'),
    (
        {"ExpressionAttributeNames": {"#a": "a"}, "TableName": "nothing"},
        f"{E}Value provided in ExpressionAttributeNames unused in expressions: keys: {{#a}}",
    ),
    ({"TableName": "nothing", "Key": {"pk": {"S": "a"}}}, NOT_FOUND),
    ({"Key": {"pk": {"S": "a"}}, "UpdateExpression": "REMOVE pk"},
     "The provided key element does not match the schema"),
    (
        {"Key": {"pk": {"S": "x" * 2_049}, "sk": {"N": "1"}}},
        f"{INVALID}Size of hashkey has exceeded the maximum size limit of2048 bytes",
    ),
    ({"UpdateExpression": "REMOVE pk.a"},
     f"{INVALID}Cannot update attribute pk. This attribute is part of the key"),
    (
        {"UpdateExpression": "SET a = pk.a"},
        "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: Key: pk",
    ),
    ({"UpdateExpression": "SET a = absent", **FAILS}, "The conditional request failed"),
    (
        {"UpdateExpression": "SET a = absent", "ConditionExpression": "attribute_not_exists(absent)"},
        "The provided expression refers to an attribute that does not exist in the item",
    ),
]  # fmt: skip
UPDATE_BASE = {"TableName": "things", "Key": key("p"), "UpdateExpression": "REMOVE a", **FAILS}

GET: list[Rung] = [
    (
        {"AttributesToGet": ["a"], "ExpressionAttributeNames": {}},
        f"{BOTH}Non-expression parameters: {{AttributesToGet}} Expression parameters: "
        f"{{ProjectionExpression}}",
    ),
    ({"Key": {"pk": {"NULL": False}}, "ExpressionAttributeNames": {}}, INVALID + NULLS),
    ({"ExpressionAttributeNames": {}, "ProjectionExpression": "a,"},
     "ExpressionAttributeNames must not be empty"),
    ({"ProjectionExpression": "a,", "TableName": "nothing"},
     'Invalid ProjectionExpression: Syntax error; token: "<EOF>", near: ","'),
    (
        {"ExpressionAttributeNames": {"#a": "a"}, "TableName": "nothing"},
        "Value provided in ExpressionAttributeNames unused in expressions: keys: {#a}",
    ),
    ({"TableName": "nothing", "Key": {"pk": {"S": "a"}}}, NOT_FOUND),
    ({"Key": {"pk": {"S": "a"}}}, "The provided key element does not match the schema"),
]  # fmt: skip
GET_BASE = {"TableName": "things", "Key": key("p"), "ProjectionExpression": "a"}

DELETE: list[Rung] = [
    (
        {"Expected": {}, "ReturnValues": "ALL_NEW"},
        f"{E}{BOTH}Non-expression parameters: {{Expected}} Expression parameters: {{ConditionExpression}}",
    ),
    ({"Key": {"pk": {"NULL": False}}, "ReturnValues": "ALL_NEW"}, E + INVALID + NULLS),
    ({"ReturnValues": "ALL_NEW", "ExpressionAttributeValues": {}},
     f"{E}ReturnValues can only be ALL_OLD or NONE"),
    ({"ExpressionAttributeValues": {}, "ConditionExpression": ""},
     f"{E}ExpressionAttributeValues must not be empty"),
    ({"ConditionExpression": "", "TableName": "nothing"},
     f"{E}Invalid ConditionExpression: The expression can not be empty;"),
    ({"TableName": "nothing", "Key": {}}, NOT_FOUND),
    ({"Key": {}}, "The provided key element does not match the schema"),
    ({}, "The conditional request failed"),
]  # fmt: skip
DELETE_BASE = {"TableName": "things", "Key": key("p"), **FAILS}

SCAN: list[Rung] = [
    ({"ExclusiveStartKey": {"pk": {"NULL": False}}, "Segment": 1},
     f"The provided starting key is invalid: {INVALID}{NULLS}"),
    ({"ExclusiveStartKey": {"pk": {"N": "x"}}, "Segment": 1},
     "The parameter cannot be converted to a numeric value: x"),
    (
        {"Segment": 1, "FilterExpression": "a ="},
        "The TotalSegments parameter is required but was not present in the request when Segment "
        "parameter is present",
    ),
    ({"FilterExpression": "a =", "TableName": "nothing"},
     'Invalid FilterExpression: Syntax error; token: "<EOF>", near: "="'),
    ({"TableName": "nothing", "IndexName": "nothing"}, NOT_FOUND),
    ({"IndexName": "nothing"}, "The table does not have the specified index: nothing"),
]  # fmt: skip
SCAN_BASE = {"TableName": "things"}

QUERY: list[Rung] = [
    (
        {"AttributesToGet": ["a"], "ExclusiveStartKey": {"pk": {"NULL": False}}},
        f"{BOTH}Non-expression parameters: {{AttributesToGet}} Expression parameters: "
        f"{{ProjectionExpression, FilterExpression, KeyConditionExpression}}",
    ),
    ({"ExclusiveStartKey": {"pk": {"NULL": False}}, "ExpressionAttributeNames": {}},
     f"The provided starting key is invalid: {INVALID}{NULLS}"),
    ({"ExpressionAttributeNames": {}, "KeyConditionExpression": "a ="},
     "ExpressionAttributeNames must not be empty"),
    ({"KeyConditionExpression": "a =", "FilterExpression": "a <"},
     'Invalid KeyConditionExpression: Syntax error; token: "<EOF>", near: "="'),
    ({"FilterExpression": "a <", "ProjectionExpression": "a,"},
     'Invalid FilterExpression: Syntax error; token: "<EOF>", near: "<"'),
    ({"ProjectionExpression": "a,"}, 'Invalid ProjectionExpression: Syntax error; token: "<EOF>", near: ","'),
    (
        {"KeyConditionExpression": "pk <> :p", "ExpressionAttributeNames": {"#a": "a"},
         "TableName": "nothing"},
        "Value provided in ExpressionAttributeNames unused in expressions: keys: {#a}",
    ),
    ({"KeyConditionExpression": "pk <> :p", "TableName": "nothing"},
     "Invalid operator used in KeyConditionExpression: <>"),
    ({"TableName": "nothing", "KeyConditionExpression": "sk = :p"}, NOT_FOUND),
    ({"IndexName": "nothing", "KeyConditionExpression": "sk = :p"},
     "The table does not have the specified index: nothing"),
    ({"KeyConditionExpression": "sk = :p"}, "Query condition missed key schema element: pk"),
]  # fmt: skip
QUERY_BASE = {
    "TableName": "things",
    "KeyConditionExpression": "pk = :p",
    "FilterExpression": "a > b",
    "ProjectionExpression": "a",
    "ExpressionAttributeValues": {":p": {"S": "p"}},
}

LADDERS = {
    "Query": (QUERY_BASE, QUERY),
    "PutItem": (PUT_BASE, PUT),
    "UpdateItem": (UPDATE_BASE, UPDATE),
    "GetItem": (GET_BASE, GET),
    "DeleteItem": (DELETE_BASE, DELETE),
    "Scan": (SCAN_BASE, SCAN),
}


@pytest.mark.parametrize(
    ("operation", "number"),
    [(operation, number) for operation, (_, rungs) in LADDERS.items() for number in range(len(rungs))],
)
def test_the_fault_that_stands_highest_is_told(things: Conformance, operation: str, number: int) -> None:
    base, rungs = LADDERS[operation]
    request = dict(base)
    for faults, _ in reversed(rungs[number:]):  # what is lower is overwritten by what is higher
        request.update(faults)
    status, answer = things.raw(operation, request)
    assert (status, answer.get("message", answer.get("Message"))) == (400, rungs[number][1])


def test_a_wrong_type_anywhere_is_told_before_a_wrong_value(things: Conformance) -> None:
    lonely = {"ExpressionAttributeNames": {"#a": "a"}}
    request = {"TableName": "things", "Item": {**key("p"), "a": {"L": [{"N": 1}]}}, **lonely}
    status, answer = things.raw("PutItem", request)
    assert (status, answer) == (
        400,
        {
            "__type": "com.amazon.coral.service#SerializationException",
            "Message": "NUMBER_VALUE cannot be converted to String",
        },
    )


def test_duplicates_of_a_batch_are_told_before_its_table_is_looked_for(things: Conformance) -> None:
    twice = {"Keys": [key("a"), {"sk": {"S": "a"}, "pk": {"S": "a"}}]}
    assert things.invalid("BatchGetItem", RequestItems={"nothing": twice}) == (
        "Provided list of item keys contains duplicates"
    )
    request = {"RequestItems": {"nothing": {"Keys": [key("a")]}}}
    assert things.refusal("BatchGetItem", **request) == ("ResourceNotFoundException", NOT_FOUND)


def test_what_an_operation_does_not_take_is_not_looked_at(things: Conformance) -> None:
    values = {"ExpressionAttributeValues": {":a": {"NULL": False}}, "Nonsense": 1}
    request = {
        "TableName": "things",
        "Key": key("p"),
        "ProjectionExpression": "#a",
        "ExpressionAttributeNames": {"#a": "a"},
    }
    assert things.raw("GetItem", {**request, **values}) == (200, {})
    assert things.raw("GetItem", {"TableName": "things", "Key": key("p"), **values}) == (200, {})
