"""What AWS answers since 2026 to requests that the single-item and batch operations refuse: one case a text,
and which of several mistakes is told. Source: AWS's answers as captured in October 2026 (ADR 0043).

Rules of this file: a case is a sentence, a request with everything that it needs, and the whole text. Values
are told in test_values.py, the order of what comes after the constraints in test_order_of_checks.py.
"""

from typing import Any, NamedTuple

import pytest

from tests.conformance.client import Conformance, key
from tests.conformance.test_values import DEEP, wrapped


class Case(NamedTuple):
    """A request that is refused, and how."""

    sentence: str
    operation: str
    request: dict[str, Any]
    text: str


E = "1 validation error detected: "
TWO = "2 validation errors detected: "
INVALID = "One or more parameter values were invalid: "
UNFIT = "failed to satisfy constraint:"
SHORT = "Member must have length greater than or equal to"
LONG = "Member must have length less than or equal to"
CONDITION = "ConditionExpression"
PUT = {"TableName": "things", "Item": key("p")}
KEYED = {"TableName": "things", "Key": key("p")}
WRITES: dict[str, dict[str, Any]] = {"PutItem": PUT, "UpdateItem": KEYED, "DeleteItem": KEYED}
SAID = {"ComparisonOperator": "EQ", "AttributeValueList": [{"S": "p"}]}
CAPACITY = (
    f"Value 'x' at 'returnConsumedCapacity' {UNFIT} Member must satisfy enum value "
    f"set: [INDEXES, TOTAL, NONE]"
)
METRICS = (
    f"Value 'x' at 'returnItemCollectionMetrics' {UNFIT} Member must satisfy enum value set: [SIZE, NONE]"
)
RETURNS = (
    f"Value 'x' at 'returnValues' {UNFIT} Member must satisfy enum value set: [ALL_NEW, UPDATED_OLD, "
    f"ALL_OLD, NONE, UPDATED_NEW]"
)
OPERATOR = f"Value 'x' at 'conditionalOperator' {UNFIT} Member must satisfy enum value set: [OR, AND]"
NO_KEY = f"Value null at 'key' {UNFIT} Member must not be null"
NAMELESS = f"{E}Value at 'TableName' {UNFIT} {SHORT} 1"
COMBINED = "Failed to satisfy constraint: Member must satisfy enum value set: [ALL, OR]"
BOTH = (
    "Can not use both expression and non-expression parameters in the same request: "
    "Non-expression parameters: {AttributesToGet} Expression parameters: {ProjectionExpression}"
)
TWO_EXPECTED = {"a": {"Exists": False}, "b": {"Exists": False}}


def expected(**told: Any) -> dict[str, Any]:
    return {"Expected": {"a": told}}


def of_writes(sentence: str, members: dict[str, Any], text: str) -> list[Case]:
    return [Case(sentence, operation, {**base, **members}, text) for operation, base in WRITES.items()]


ENVELOPED = [
    *of_writes("values without an expression", {"ExpressionAttributeValues": {":v": {"S": "a"}}},
               f"{E}ExpressionAttributeValues can only be specified when using expressions"),
    *of_writes("names without an expression", {"ExpressionAttributeNames": {"#a": "a"}},
               f"{E}ExpressionAttributeNames can only be specified when using expressions"),
    *of_writes("no values", {CONDITION: "a = b", "ExpressionAttributeValues": {}},
               f"{E}ExpressionAttributeValues must not be empty"),
    *of_writes("no names", {CONDITION: "a = b", "ExpressionAttributeNames": {}},
               f"{E}ExpressionAttributeNames must not be empty"),
    *of_writes("an empty condition", {CONDITION: ""},
               f"{E}Invalid ConditionExpression: The expression can not be empty;"),
    *of_writes("an undefined value", {CONDITION: "a = :v"},
               f"{E}Invalid ConditionExpression: An expression attribute value used in expression is "
               f"not defined; attribute value: :v"),
    *of_writes("a condition that is no condition", {CONDITION: "a ="},
               f'{E}Invalid ConditionExpression: Syntax error; token: "<EOF>", near: "="'),
    *of_writes("a value that no expression uses",
               {CONDITION: "a = b", "ExpressionAttributeValues": {":v": {"S": "a"}}},
               f"{E}Value provided in ExpressionAttributeValues unused in expressions: keys: {{:v}}"),
    *(case for case in of_writes("old values that are not to be had", {"ReturnValues": "ALL_NEW"},
        f"{E}ReturnValues can only be ALL_OLD or NONE")
      if case.operation != "UpdateItem"),
    *of_writes("no value of what is to exist", expected(Exists=True),
               f"{E}{INVALID}Value must be provided when Exists is true for Attribute: a"),
    *of_writes("a value of what is not to exist", expected(Exists=False, Value={"S": "a"}),
               f"{E}{INVALID}Value cannot be used when Exists is false for Attribute: a"),
    *of_writes("two kinds of values", expected(Value={"S": "a"}, AttributeValueList=[{"S": "a"}]),
               f"{E}{INVALID}Value and AttributeValueList cannot be used together for Attribute: a"),
    *of_writes("nothing to compare with", expected(ComparisonOperator="EQ"),
               f"{E}{INVALID}Value or AttributeValueList must be used with ComparisonOperator: EQ "
               f"for Attribute: a"),
    *of_writes("one end of a range", expected(ComparisonOperator="BETWEEN", AttributeValueList=[{"S": "a"}]),
               f"{E}{INVALID}Invalid number of argument(s) for the BETWEEN ComparisonOperator"),
    Case("an update that is none", "UpdateItem", {**KEYED, "UpdateExpression": "SET"},
         f'{E}Invalid UpdateExpression: Syntax error; token: "<EOF>", near: "SET"'),
    Case("an item that is too large", "PutItem", {**PUT, "Item": {**key("p"), "a": {"S": "x" * 409_600}}},
         f"{E}Item size has exceeded the maximum allowed size"),
]  # fmt: skip
BARE = [
    Case("an update of the key", "UpdateItem", {**KEYED, "UpdateExpression": "REMOVE pk"},
         f"{INVALID}Cannot update attribute pk. This attribute is part of the key"),
    Case("an empty key", "PutItem", {**PUT, "Item": key("")},
         "One or more parameter values are not valid. The AttributeValue for a key attribute cannot "
         "contain an empty string value. Key: pk"),
    Case("an empty key to update", "UpdateItem", {**KEYED, "Key": key("")},
         "One or more parameter values are not valid. The AttributeValue for a key attribute cannot "
         "contain an empty string value. Key: pk"),
    Case("a key of half", "DeleteItem", {**KEYED, "Key": {"pk": {"S": "p"}}},
         "The provided key element does not match the schema"),
    *(Case("a wrong choice of ALL and OR", operation,
           {**base, "Expected": TWO_EXPECTED, "ConditionalOperator": "x"}, COMBINED)
      for operation, base in WRITES.items()),
    Case("a wrong choice of ALL and OR, and of what to select", "Query",
         {"TableName": "things", "KeyConditions": {"pk": SAID}, "QueryFilter": {"a": SAID, "b": SAID},
          "ConditionalOperator": "x", "Select": "x"},
         COMBINED),
]  # fmt: skip
NAMES = [
    *(Case("an empty name", operation,
           {**WRITES[operation], "TableName": "", "ReturnValues": "x", "ReturnConsumedCapacity": "x"},
           NAMELESS)
      for operation in ("PutItem", "UpdateItem")),
    *of_writes("no name", {"TableName": None},
               f"{E}Value null at 'tableName' {UNFIT} Member must not be null"),
    *of_writes("a name of 256 characters", {"TableName": "a" * 256},
               f"{E}Value '{'a' * 256}' at 'tableName' {UNFIT} {LONG} 255"),
    *of_writes("a long name is echoed whole", {"TableName": "a" * 50_000},
               f"{E}Value '{'a' * 50_000}' at 'tableName' {UNFIT} {LONG} 255"),
    *of_writes("a name of wrong characters", {"TableName": "bad!"},
               f"{E}Value 'bad!' at 'tableName' {UNFIT} Member must satisfy regular expression "
               f"pattern: [a-zA-Z0-9_.-]+"),
]  # fmt: skip
JOINED = [
    Case("only the first of two choices", "UpdateItem",
         {**KEYED, "ReturnValues": "x", "ReturnConsumedCapacity": "x"},
         f"{E}Failed to satisfy constraint: Member must satisfy enum value set: [ALL_OLD, "
         f"UPDATED_OLD, ALL_NEW, UPDATE_NEW, NONE]"),
    Case("an empty name and no key", "UpdateItem", {"TableName": ""},
         f"{TWO}Value '' at 'tableName' {UNFIT} {SHORT} 1; {NO_KEY}"),
    Case("no key and every choice", "UpdateItem",
         {"TableName": "a" * 256, "ReturnValues": "x", "ReturnConsumedCapacity": "x"},
         f"4 validation errors detected: {CAPACITY}; Value '{'a' * 256}' at 'tableName' {UNFIT} "
         f"{LONG} 255; {RETURNS}; {NO_KEY}"),
    Case("no key and no metrics", "UpdateItem", {"TableName": "things", "ReturnItemCollectionMetrics": "x"},
         f"{TWO}{METRICS}; {NO_KEY}"),
    Case("no key and no operator", "UpdateItem",
         {"TableName": "things", "Expected": TWO_EXPECTED, "ConditionalOperator": "x"},
         f"{TWO}{OPERATOR}; {NO_KEY}"),
    Case("an operator with one condition", "PutItem",
         {**PUT, "Expected": {"a": {"Exists": False}}, "ConditionalOperator": "x"}, f"{E}{OPERATOR}"),
]  # fmt: skip


def reading(count: int, **more: Any) -> dict[str, Any]:
    return {"RequestItems": {"things": {"Keys": [key(str(number)) for number in range(count)]}}, **more}


def writing(count: int, table: str = "things", **more: Any) -> dict[str, Any]:
    puts = [{"PutRequest": {"Item": {"pk": {"S": f"{number}"}}}} for number in range(count)]
    return {"RequestItems": {table: puts}, **more}


KEYS_OF_MAP = (
    "Map keys must satisfy constraint: [Member must have length less than or equal to 255, Member "
    "must have length greater than or equal to 3, Member must satisfy regular expression pattern: "
    "[a-zA-Z0-9_.-]+]"
)
BAD_READ = {"RequestItems": {"bad!name": {"Keys": [{"pk": {"S": "a"}}]}}}
BAD_READ_TEXT = (
    f"""Value '{{"bad!name":{{"Keys":[{{"pk":{{"S":"a"}}}}]}}}}' at 'requestItems' {UNFIT} {KEYS_OF_MAP}"""
)
BAD_WRITE_TEXT = (
    f"Value '{{bad!name=[{{PutRequest={{Item={{pk={{S=0}}}}}}}}]}}' at 'requestItems' {UNFIT} {KEYS_OF_MAP}"
)
CHOICES = {"ReturnConsumedCapacity": "x", "ReturnItemCollectionMetrics": "x"}
TWICE = [{"PutRequest": {"Item": key("a")}}, {"DeleteRequest": {"Key": key("a")}}]
OVERLAP = (
    "Two document paths overlap with each other; must remove or rewrite one of these paths; path "
    "one: {}, path two: {}"
)
BATCHES = [
    *(Case("no tables", f"Batch{verb}Item", {"RequestItems": {}},
           f"{E}Value at 'RequestItems' {UNFIT} {SHORT} 1") for verb in ("Get", "Write")),
    Case("101 keys", "BatchGetItem", reading(101),
         f"{E}Value at 'RequestItems.things.member.Keys' {UNFIT} {LONG} 100"),
    Case("no keys", "BatchGetItem", reading(0),
         f"{E}Value at 'RequestItems.things.member.Keys' {UNFIT} {SHORT} 1"),
    Case("26 writes", "BatchWriteItem", writing(26),
         f"{E}Value at 'RequestItems.things.member' {UNFIT} {LONG} 25"),
    Case("no writes", "BatchWriteItem", writing(0),
         f"{E}Value '{{things=[]}}' at 'requestItems' {UNFIT} Map value must satisfy constraint: "
         f"[{LONG} 25, {SHORT} 1]"),
    Case("a bad name", "BatchGetItem", BAD_READ, f"{E}{BAD_READ_TEXT}"),
    Case("a bad name and a wrong choice", "BatchGetItem", {**BAD_READ, "ReturnConsumedCapacity": "x"},
         f"{TWO}{CAPACITY}; {BAD_READ_TEXT}"),
    Case("a bad name", "BatchWriteItem", writing(1, "bad!name"), f"{E}{BAD_WRITE_TEXT}"),
    Case("a bad name and a wrong choice", "BatchWriteItem",
         writing(1, "bad!name", ReturnConsumedCapacity="x"), f"{E}{CAPACITY}"),
    Case("both choices before a bad name", "BatchWriteItem", writing(1, "bad!name", **CHOICES),
         f"{TWO}{CAPACITY}; {METRICS}"),
    Case("both choices before a missing table", "BatchWriteItem", writing(1, "absent", **CHOICES),
         f"{TWO}{CAPACITY}; {METRICS}"),
    Case("both choices before a key that does not fit", "BatchWriteItem", writing(1, **CHOICES),
         f"{TWO}{CAPACITY}; {METRICS}"),
    Case("both choices before duplicates", "BatchWriteItem", {"RequestItems": {"things": TWICE}, **CHOICES},
         f"{TWO}{CAPACITY}; {METRICS}"),
    Case("a wrong choice before duplicates", "BatchGetItem",
         {"RequestItems": {"absent": {"Keys": [key("a"), key("a")]}}, "ReturnConsumedCapacity": "x"},
         f"{E}{CAPACITY}"),
    Case("a projection of one table and attributes to get of another", "BatchGetItem",
         {"RequestItems": {"things": {"Keys": [key("a")], "ProjectionExpression": "a"},
                           "others": {"Keys": [key("a")], "AttributesToGet": ["a"]}}},
         BOTH),
    Case("a projection and attributes to get of one table", "BatchGetItem",
         {"RequestItems": {"things": {"Keys": [key("a")], "ProjectionExpression": "a",
             "AttributesToGet": ["a"]}}}, BOTH),
    Case("paths that overlap", "BatchGetItem",
         {"RequestItems": {"things": {"Keys": [key("a")], "ProjectionExpression": "a.b, a"}}},
         f"Invalid ProjectionExpression: {OVERLAP.format('[a, b]', '[a]')}"),
    Case("paths that overlap", "GetItem", {**KEYED, "ProjectionExpression": "a, a"},
         f"Invalid ProjectionExpression: {OVERLAP.format('[a]', '[a]')}"),
    Case("a value that nests too deep", "BatchWriteItem",
         {"RequestItems": {"things": [{"PutRequest": {"Item": {**key("p"), "a": wrapped(32)}}}]}},
         DEEP),
]  # fmt: skip
OTHERS = [
    Case("a page of nothing", "Query", {"TableName": "things", "KeyConditions": {"pk": SAID}, "Limit": 0},
         f"{E}Value at 'Limit' {UNFIT} Member must have value greater than or equal to 1"),
    Case("a long token before a wrong choice", "TransactWriteItems",
         {"TransactItems": [{"Put": PUT}], "ClientRequestToken": "t" * 37, "ReturnConsumedCapacity": "x"},
         f"{E}Value at 'ClientRequestToken' {UNFIT} {LONG} 36"),
    Case("two bad names are told once", "BatchWriteItem", {"RequestItems": {"bad!1": [{}], "bad!2": [{}]}},
         f"{E}Value '{{bad!1=[{{}}], bad!2=[{{}}]}}' at 'requestItems' {UNFIT} {KEYS_OF_MAP}"),
]  # fmt: skip
CASES = [*OTHERS, *ENVELOPED, *BARE, *NAMES, *JOINED, *BATCHES]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.operation}: {case.sentence}")
def test_it_is_refused_in_awss_words_over_the_wire(things: Conformance, case: Case) -> None:
    things.table("others")
    status, answer = things.raw(case.operation, case.request)
    assert (status, answer) == (
        400,
        {"__type": "com.amazon.coral.validate#ValidationException", "message": case.text},
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.operation}: {case.sentence}")
def test_a_client_is_told_the_same(things: Conformance, case: Case) -> None:
    things.table("others")
    request = {name: value for name, value in case.request.items() if value is not None}
    assert things.invalid(case.operation, **request) == case.text


@pytest.mark.parametrize("operation", WRITES)
def test_what_stored_data_decides_is_told_bare(things: Conformance, operation: str) -> None:
    request = {**WRITES[operation], CONDITION: "attribute_exists(absent)"}
    assert things.refusal(operation, **request) == (
        "ConditionalCheckFailedException",
        "The conditional request failed",
    )
    assert things.refusal(operation, **{**request, "TableName": "absent"}) == (
        "ResourceNotFoundException",
        "Requested resource not found",
    )


@pytest.mark.parametrize("times", [31, 32])
@pytest.mark.parametrize("operation", ["PutItem", "UpdateItem", "BatchWriteItem", "TransactWriteItems"])
def test_a_value_may_stand_in_31_lists_and_maps(things: Conformance, operation: str, times: int) -> None:
    item = {**key("p"), "a": wrapped(times)}
    request: dict[str, Any] = {
        "PutItem": {**PUT, "Item": item},
        "UpdateItem": {
            **KEYED,
            "UpdateExpression": "SET a = :v",
            "ExpressionAttributeValues": {":v": wrapped(times)},
        },
        "BatchWriteItem": {"RequestItems": {"things": [{"PutRequest": {"Item": item}}]}},
        "TransactWriteItems": {"TransactItems": [{"Put": {"TableName": "things", "Item": item}}]},
    }[operation]
    status, answer = things.raw(operation, request)
    text = f"{E}{DEEP}" if operation in WRITES else DEEP
    assert (status, answer.get("message")) == ((200, None) if times == 31 else (400, text))


def transacting(times: int, **action: Any) -> dict[str, Any]:
    values = {":v": wrapped(times)}
    return {
        "TransactItems": [
            {name: {**KEYED, **more, "ExpressionAttributeValues": values} for name, more in action.items()}
        ]
    }


def test_the_depth_of_a_transactions_values_is_not_looked_at(things: Conformance) -> None:
    things.put("p", a=wrapped(31))
    check = {CONDITION: "a <> :v"}
    assert things.raw("TransactWriteItems", transacting(40, ConditionCheck=check))[0] == 200
    failing = {CONDITION: "a = :v"}
    code, _ = things.refusal("TransactWriteItems", **transacting(40, ConditionCheck=failing))
    assert code == "TransactionCanceledException"


def test_a_transaction_that_would_store_too_deep_a_value_is_cancelled(things: Conformance) -> None:
    status, answer = things.raw(
        "TransactWriteItems", transacting(40, Update={"UpdateExpression": "SET a = :v"})
    )
    assert (status, answer["__type"].partition("#")[2]) == (400, "TransactionCanceledException")
    assert answer["CancellationReasons"] == [{"Code": "ValidationError", "Message": DEEP}]
    assert things.get("p") is None
