"""What is wrong with an attribute value, in every place where one may stand; and how they come back.

Source: semantics §6.3, §6.5; aws-texts-2026 §2.
"""

from collections.abc import Callable
from typing import Any

import pytest

from tests.conformance.client import Conformance, key

Value = dict[str, Any]
INVALID = "One or more parameter values were invalid: "
E = "1 validation error detected: "
EMPTY = "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"
SEVERAL = (
    "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the "
    "supported datatypes"
)
NOT_NUMERIC = "The parameter cannot be converted to a numeric value"
DIGITS = "Attempting to store more than 38 significant digits in a Number"
OVERFLOW = "Number overflow. Attempting to store a number with magnitude larger than supported range"
UNDERFLOW = "Number underflow. Attempting to store a number with magnitude smaller than supported range"
DEEP = (
    "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond "
    "supported limit"
)
TWICE = f"{INVALID}Input collection"


def wrapped(times: int, inner: Value | None = None) -> Value:
    """A value in so many lists and maps."""
    value = inner or {"S": "deep"}
    for level in range(times):
        value = {"L": [value]} if level % 2 else {"M": {"a": value}}
    return value


WRONG: list[tuple[Value, str, str]] = [
    *((value, text, text) for value, text in (
        ({}, EMPTY), ({"S": None}, EMPTY), ({"Q": "x"}, EMPTY), ({"S": "a", "N": "1"}, SEVERAL),
        *(({"N": text}, f"{NOT_NUMERIC}: {text}")
          for text in ("abc", "1,5", " 1", "1 ", "0x10", "1e", "NaN", "Infinity", "1.2.3")),
        ({"NS": ["1", "x"]}, f"{NOT_NUMERIC}: x"),
        ({"N": "1" * 39}, DIGITS), ({"N": "1" * 40}, DIGITS), ({"NS": ["1" * 39]}, DIGITS),
        ({"N": "1E126"}, OVERFLOW), ({"N": "-1e126"}, OVERFLOW), ({"N": "1e99999999999"}, OVERFLOW),
        ({"N": "1E-131"}, UNDERFLOW),
        ({"NULL": False}, f"{INVALID}Null attribute value types must have the value of true"),
        ({"SS": []}, f"{INVALID}An string set  may not be empty"),
        ({"NS": []}, f"{INVALID}An number set  may not be empty"),
        ({"BS": []}, f"{INVALID}Binary sets should not be empty"),
    )),
    ({"N": ""}, f"{NOT_NUMERIC}: ", NOT_NUMERIC),
    ({"N": "1e2147483647"}, OVERFLOW, UNDERFLOW),
    ({"SS": ["b", "a", "b"]}, f'{TWICE} ["a", "b", "b"] contains duplicates.',
     f"{TWICE} [b, a, b] contains duplicates."),
    ({"NS": ["1", "2", "1.0"]}, f"{TWICE} contains duplicates.", "Input collection contains duplicates"),
    (
        {"BS": ["AA==", "/w==", "AA=="]},
        f'{TWICE} ["AA==","/w==","AA=="]of type BS contains duplicates.',
        f"{TWICE} [/w==, AA==, AA==]of type BS contains duplicates.",
    ),
]  # fmt: skip
"""A value, what is said of it since 2026, and what operations say that have kept the older words."""
UNPREFIXED = (
    "contains duplicates",
    "number set",
    "numeric value",
    "significant digits",
    "number with magnitude",
)


def of_write(text: str, older: str) -> str:
    return E + text


def of_read(text: str, older: str) -> str:
    return text


def before(text: str, older: str) -> str:
    return older


def before_as_value(text: str, older: str) -> str:
    return f"ExpressionAttributeValues contains invalid value: {older} for key :v"


def as_start(text: str) -> str:
    return (
        text if any(part in text for part in UNPREFIXED) else f"The provided starting key is invalid: {text}"
    )


def start_of_query(text: str, older: str) -> str:
    return as_start(text)


def start_of_scan(text: str, older: str) -> str:
    return as_start(older)


Build = Callable[[Value], dict[str, Any]]
T = {"TableName": "things"}
SETTING = {**T, "Key": key("p"), "UpdateExpression": "SET a = :v"}
PLACES: dict[str, tuple[str, Build, Callable[[str, str], str]]] = {
    "an item": ("PutItem", lambda value: {**T, "Item": {**key("p"), "a": value}}, of_write),
    "a list": ("PutItem", lambda value: {**T, "Item": {**key("p"), "a": {"L": [{"S": "x"}, value]}}},
               of_write),
    "a map": ("PutItem", lambda value: {**T, "Item": {**key("p"), "a": {"M": {"x": {"S": "x"}, "y": value}}}},
              of_write),
    "a key to get": ("GetItem", lambda value: {**T, "Key": {**key("p"), "sk": value}}, of_read),
    "a key to delete": ("DeleteItem", lambda value: {**T, "Key": {**key("p"), "sk": value}}, of_write),
    "a key to update": ("UpdateItem", lambda value: {**T, "Key": {**key("p"), "sk": value}}, of_write),
    "an update": ("UpdateItem", lambda value: {**SETTING, "ExpressionAttributeValues": {":v": value}},
                  of_write),
    "a condition": (
        "PutItem",
        lambda value: {**T, "Item": key("p"), "ConditionExpression": "a = :v",
                       "ExpressionAttributeValues": {":v": value}},
        of_write,
    ),
    "a filter": ("Scan",
                 lambda value: {**T, "FilterExpression": "a = :v",
                                "ExpressionAttributeValues": {":v": value}}, before_as_value),
    "a key condition": ("Query",
                        lambda value: {**T, "KeyConditionExpression": "pk = :v",
                                       "ExpressionAttributeValues": {":v": value}}, of_read),
    "a starting key": ("Scan", lambda value: {**T, "ExclusiveStartKey": {**key("p"), "sk": value}},
                       start_of_scan),
    "a query's starting key": (
        "Query",
        lambda value: {
            **T, "KeyConditionExpression": "pk = :v", "ExpressionAttributeValues": {":v": {"S": "p"}},
            "ExclusiveStartKey": {**key("p"), "sk": value},
        },
        start_of_query,
    ),
    "a batch's put": ("BatchWriteItem",
                      lambda value: {"RequestItems": {"things": [{"PutRequest": {"Item": {**key("p"),
                          "a": value}}}]}}, before),
    "a batch's delete": ("BatchWriteItem",
                         lambda value: {"RequestItems": {"things": [{"DeleteRequest": {"Key": {**key("p"),
                             "sk": value}}}]}}, before),
    "a batch's key": ("BatchGetItem",
                      lambda value: {"RequestItems": {"things": {"Keys": [{**key("p"), "sk": value}]}}},
                      of_read),
    "a transaction's put": ("TransactWriteItems",
                            lambda value: {"TransactItems": [{"Put": {**T,
                                "Item": {**key("p"), "a": value}}}]}, before),
    "a transaction's update": ("TransactWriteItems",
        lambda value: {"TransactItems": [{"Update": {**SETTING,
            "ExpressionAttributeValues": {":v": value}}}]}, before_as_value),
    "a transaction's key": ("TransactGetItems",
                            lambda value: {"TransactItems": [{"Get": {**T,
                                "Key": {**key("p"), "sk": value}}}]}, before),
    "a legacy update": ("UpdateItem",
                        lambda value: {**T, "Key": key("p"),
                                       "AttributeUpdates": {"a": {"Value": value, "Action": "PUT"}}},
                                       of_write),
    "a legacy condition": ("PutItem",
                           lambda value: {**T, "Item": key("p"), "Expected": {"a": {"Value": value}}},
                           of_write),
    "a legacy condition's list": (
        "DeleteItem",
        lambda value: {**T, "Key": key("p"),
                       "Expected": {"a": {"ComparisonOperator": "EQ", "AttributeValueList": [value]}}},
        of_write,
    ),
    "a transaction's check": (
        "TransactWriteItems",
        lambda value: {"TransactItems": [{"ConditionCheck": {
            **T, "Key": key("p"), "ConditionExpression": "a = :v",
            "ExpressionAttributeValues": {":v": value}}}]},
        before_as_value,
    ),
    "a legacy filter": ("Scan",
                        lambda value: {**T,
                                       "ScanFilter": {"a": {"ComparisonOperator": "EQ",
                                                            "AttributeValueList": [value]}}}, before),
    "a legacy key condition": ("Query",
        lambda value: {**T,
                       "KeyConditions": {"pk": {"ComparisonOperator": "EQ", "AttributeValueList": [value]}}},
                       of_read),
}  # fmt: skip


UNFATHOMED = ("a transaction's update", "a transaction's check")
"""Here a value's depth is not looked at before it is stored."""


@pytest.mark.parametrize("place", PLACES)
def test_a_wrong_value_is_refused_wherever_it_stands(things: Conformance, place: str) -> None:
    operation, build, telling = PLACES[place]
    for value, text, older in WRONG:
        status, answer = things.raw(operation, build(value))
        kind = "com.amazon.coral.validate#ValidationException"
        assert (status, answer) == (400, {"__type": kind, "message": telling(text, older)}), value
    assert things.raw("Scan", T)[1]["Count"] == 0


@pytest.mark.parametrize("place", [place for place in PLACES if place not in UNFATHOMED])
def test_a_value_that_nests_too_deep_is_refused_wherever_it_stands(things: Conformance, place: str) -> None:
    operation, build, telling = PLACES[place]
    status, answer = things.raw(operation, build(wrapped(32)))
    assert (status, answer["message"]) == (400, telling(DEEP, DEEP))


@pytest.mark.parametrize("place", PLACES)
def test_a_wrong_json_type_is_refused_wherever_it_stands(things: Conformance, place: str) -> None:
    operation, build, _ = PLACES[place]
    for value, text in (
        ({"S": 1}, "NUMBER_VALUE cannot be converted to String"),
        ({"N": 1.5}, "DECIMAL_VALUE cannot be converted to String"),
        ({"B": "?"}, "Base64 encoded length is expected a multiple of 4 bytes but found: 1"),
        ({"BOOL": "perhaps"}, "Unexpected token received from parser"),
        ({"SS": {"a": "b"}}, "Start of structure or map found where not expected"),
        ({"L": "x"}, "Unexpected field type"),
    ):
        status, answer = things.raw(operation, build(value))
        kind = "com.amazon.coral.service#SerializationException"
        assert (status, answer) == (400, {"__type": kind, "Message": text}), value


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ({"N": "1.0"}, {"N": "1"}), ({"N": "1E2"}, {"N": "100"}), ({"N": "-0"}, {"N": "0"}),
        ({"N": "+007.50"}, {"N": "7.5"}),
        ({"N": "1e-5"}, {"N": "0.00001"}), ({"N": "1E39"}, {"N": "1" + "0" * 39}),
        ({"N": ".5"}, {"N": "0.5"}),
        ({"NS": ["2", "1.0", "-3"]}, {"NS": ["-3", "1", "2"]}), ({"SS": ["b", "a"]}, {"SS": ["a", "b"]}),
        ({"L": [{"N": "1.0"}]}, {"L": [{"N": "1"}]}), ({"M": {"a": {"N": "01"}}}, {"M": {"a": {"N": "1"}}}),
        ({"S": "a", "N": None}, {"S": "a"}),
    ],
)  # fmt: skip
def test_a_value_comes_back_in_its_one_form(things: Conformance, sent: Value, stored: Value) -> None:
    for operation, build, _ in (
        PLACES["an item"],
        PLACES["an update"],
        PLACES["a batch's put"],
        PLACES["a transaction's update"],
    ):
        assert things.raw(operation, build(sent))[0] == 200
        read = things.raw("GetItem", {**T, "Key": key("p")})[1]["Item"]["a"]
        ((kind, content),) = read.items()
        assert {kind: sorted(content) if kind.endswith("S") and kind != "S" else content} == {
            kind: sorted(one) if kind.endswith("S") and kind != "S" else one for kind, one in stored.items()
        }
        things.raw("DeleteItem", {**T, "Key": key("p")})


@pytest.mark.parametrize(("stored", "asked"), [("1", "1.0"), ("100", "1E2"), ("0", "-0.00"), ("0.5", ".50")])
def test_a_number_is_found_however_it_is_written(api: Conformance, stored: str, asked: str) -> None:
    api.dynamodb.create_table(
        TableName="numbers",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "n", "AttributeType": "N"}],
        KeySchema=[{"AttributeName": "n", "KeyType": "HASH"}],
    )
    api.raw("PutItem", {"TableName": "numbers", "Item": {"n": {"N": asked}}})
    assert api.raw("GetItem", {"TableName": "numbers", "Key": {"n": {"N": stored}}})[1] == {
        "Item": {"n": {"N": stored}}
    }
    query = {"KeyConditionExpression": "n = :n", "ExpressionAttributeValues": {":n": {"N": asked}}}
    assert api.raw("Query", {"TableName": "numbers", **query})[1]["Count"] == 1
    twice = {"numbers": {"Keys": [{"n": {"N": asked}}, {"n": {"N": stored}}]}}
    assert (
        api.raw("BatchGetItem", {"RequestItems": twice})[1]["message"]
        == "Provided list of item keys contains duplicates"
    )


def test_sets_come_back_sorted(things: Conformance) -> None:
    given = {
        "s": {"SS": ["b", "\u00e9", "a", "Z", "\U0001f600", "\uffff"]},
        "n": {"NS": ["10", "9", "-1", "1E-5"]},
        "b": {"BS": [b"\xff", b"\x00", b"\x7f\x80", b"\x7f"]},
    }
    things.put("p", **given)
    item = things.get("p")
    assert item is not None
    assert item["s"] == {"SS": ["Z", "a", "b", "\u00e9", "\uffff", "\U0001f600"]}
    assert item["n"] == {"NS": ["-1", "0.00001", "9", "10"]}
    assert item["b"] == {"BS": [b"\x00", b"\x7f", b"\x7f\x80", b"\xff"]}
