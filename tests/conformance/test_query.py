"""Query through boto3. Source of the texts: semantics §6.6."""

from typing import Any

import pytest

from tests.conformance.client import Conformance, key


@pytest.fixture
def orders(things: Conformance) -> Conformance:
    """Ten items in one partition, one in another."""
    for number in range(10):
        things.put("p", f"s{number}", n={"N": str(number)})
    things.put("q", "s0")
    return things


def query(
    things: Conformance, condition: str = "pk = :p", values: dict[str, str] | None = None, **more: Any
) -> Any:
    given = {":p": "p", **(values or {})}
    return things.dynamodb.query(
        TableName="things",
        KeyConditionExpression=condition,
        ExpressionAttributeValues={name: {"S": text} for name, text in given.items()},
        **more,
    )


def sorts(answer: Any) -> str:
    return "".join(item["sk"]["S"][1:] for item in answer["Items"])


@pytest.mark.parametrize(
    ("condition", "values", "chosen"),
    [
        ("pk = :p", {}, "0123456789"),
        ("pk = :p AND sk = :a", {":a": "s3"}, "3"),
        ("sk < :a AND pk = :p", {":a": "s3"}, "012"),
        ("pk = :p AND sk <= :a", {":a": "s3"}, "0123"),
        ("pk = :p AND sk > :a", {":a": "s7"}, "89"),
        ("pk = :p AND sk >= :a", {":a": "s7"}, "789"),
        ("pk = :p AND sk BETWEEN :a AND :b", {":a": "s2", ":b": "s4"}, "234"),
        ("pk = :p AND begins_with(sk, :a)", {":a": "s"}, "0123456789"),
        ("pk = :p AND begins_with(sk, :a)", {":a": "x"}, ""),
    ],
)
def test_key_conditions_choose_a_range(
    orders: Conformance, condition: str, values: dict[str, str], chosen: str
) -> None:
    answer = query(orders, condition, values)
    assert sorts(answer) == chosen
    assert (answer["Count"], answer["ScannedCount"]) == (len(chosen), len(chosen))
    assert "LastEvaluatedKey" not in answer


def test_backward_is_the_reverse(orders: Conformance) -> None:
    assert sorts(query(orders, ScanIndexForward=False)) == "9876543210"


@pytest.mark.parametrize("forward", [True, False])
def test_pages_join_to_the_whole(orders: Conformance, forward: bool) -> None:
    read, start = "", {}
    for _ in range(4):
        answer = query(orders, Limit=3, ScanIndexForward=forward, **start)
        read += sorts(answer)
        if "LastEvaluatedKey" not in answer:
            break
        start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}
    assert read == ("0123456789" if forward else "9876543210")


def test_a_limit_that_ends_exactly_still_answers_a_key(orders: Conformance) -> None:
    assert query(orders, Limit=10)["LastEvaluatedKey"] == key("p", "s9")


def test_the_filter_comes_after_the_limit(orders: Conformance) -> None:
    answer = orders.dynamodb.query(
        TableName="things",
        KeyConditionExpression="pk = :p",
        FilterExpression="n > :n",
        Limit=5,
        ExpressionAttributeValues={":p": {"S": "p"}, ":n": {"N": "2"}},
    )
    assert (sorts(answer), answer["Count"], answer["ScannedCount"]) == ("34", 2, 5)


def test_a_count_has_no_items(orders: Conformance) -> None:
    answer = query(orders, Select="COUNT")
    assert (answer["Count"], answer.get("Items")) == (10, None) or answer["Items"] == []
    _, raw = orders.raw(
        "Query",
        {
            "TableName": "things",
            "KeyConditionExpression": "pk = :p",
            "Select": "COUNT",
            "ExpressionAttributeValues": {":p": {"S": "p"}},
        },
    )
    assert raw == {"Count": 10, "ScannedCount": 10}


def test_a_projection_shows_parts(orders: Conformance) -> None:
    answer = query(orders, Limit=1, ProjectionExpression="n", Select="SPECIFIC_ATTRIBUTES")
    assert answer["Items"] == [{"n": {"N": "0"}}]


def test_a_page_ends_at_one_megabyte(things: Conformance) -> None:
    for number in range(6):
        things.put("p", f"s{number}", big={"S": "x" * 300_000})
    answer = query(things)
    assert sorts(answer) == "0123"
    assert answer["LastEvaluatedKey"] == key("p", "s3")


WRONG_START = "The provided starting key is invalid"


@pytest.mark.parametrize(
    ("condition", "values", "start", "message"),
    [
        ("pk = :p", {}, {"pk": {"S": "p"}}, WRONG_START),
        ("pk = :p", {}, {**key("p"), "x": {"S": "x"}}, WRONG_START),
        ("pk = :p", {}, {"pk": {"S": "p"}, "sk": {"N": "1"}}, WRONG_START),
        (
            "pk = :p",
            {},
            {"pk": {}, "sk": {"S": "a"}},
            f"{WRONG_START}: Supplied AttributeValue is empty, must contain exactly one of the "
            f"supported datatypes",
        ),
        ("pk = :p", {}, key("q", "s1"),
         "The provided starting key is outside query boundaries based on provided conditions"),
        ("pk = :p AND sk > :a", {":a": "s5"}, key("p", "s2"),
         "The provided starting key does not match the range key predicate"),
        ("pk = :p AND sk = :a", {":a": "s5"}, key("p", "s5"),
         "The query can return at most one row and cannot be restarted"),
    ],
)  # fmt: skip
def test_a_wrong_start_is_refused(
    orders: Conformance, condition: str, values: dict[str, str], start: dict[str, Any], message: str
) -> None:
    given = {name: {"S": text} for name, text in {":p": "p", **values}.items()}
    refused = orders.invalid(
        "Query",
        TableName="things",
        KeyConditionExpression=condition,
        ExpressionAttributeValues=given,
        ExclusiveStartKey=start,
    )
    assert refused == message


KEYS = "Invalid KeyConditionExpression: "
VALUES = {":p": {"S": "p"}, ":a": {"S": "a"}}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "Either the KeyConditions or KeyConditionExpression parameter must be specified in "
         "the request."),
        ({"KeyConditionExpression": "sk = :p"}, "Query condition missed key schema element: pk"),
        ({"KeyConditionExpression": "pk > :p"}, "Query key condition not supported"),
        ({"KeyConditionExpression": "pk = :p AND x = :a"}, "Query condition missed key schema element: sk"),
        ({"KeyConditionExpression": "pk = :p OR sk = :a"},
         "Invalid operator used in KeyConditionExpression: OR"),
        ({"KeyConditionExpression": "pk = :p AND NOT sk = :a"},
         "Invalid operator used in KeyConditionExpression: NOT"),
        ({"KeyConditionExpression": "pk = :p AND sk <> :a"},
         "Invalid operator used in KeyConditionExpression: <>"),
        ({"KeyConditionExpression": "pk = :p AND sk IN (:a)"},
         "Invalid operator used in KeyConditionExpression: IN"),
        ({"KeyConditionExpression": "pk = :p AND contains(sk, :a)"},
         "Invalid operator used in KeyConditionExpression: contains"),
        ({"KeyConditionExpression": "pk = :p AND pk = :a"},
         f"{KEYS}KeyConditionExpressions must only contain one condition per key"),
        ({"KeyConditionExpression": "pk = :p AND sk > :a AND sk < :a"},
         f"{KEYS}KeyConditionExpressions must only contain one condition per key"),
        (
            {"KeyConditionExpression": "pk = :p AND sk = :a AND x = :a"},
            "The number of query conditions (3) exceeds the number of key attributes defined "
            "in the schema (2)",
        ),
        ({"KeyConditionExpression": ""}, f"{KEYS}The expression can not be empty;"),
        (
            {
                "KeyConditionExpression": "pk = :p", "FilterExpression": "sk = :a",
                "ExpressionAttributeValues": VALUES,
            },
            "Filter Expression can only contain non-primary key attributes: Primary key attribute: sk",
        ),
        (
            {"KeyConditionExpression": "pk = :n", "ExpressionAttributeValues": {":n": {"N": "1"}}},
            "One or more parameter values were invalid: Condition parameter type does not match schema type",
        ),
        (
            {"KeyConditionExpression": "pk = :p", "Select": "ALL_PROJECTED_ATTRIBUTES"},
            "ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName",
        ),
        (
            {"KeyConditionExpression": "pk = :p", "Select": "SPECIFIC_ATTRIBUTES"},
            "Must specify the AttributesToGet or ProjectionExpression when choosing to get "
            "SPECIFIC_ATTRIBUTES",
        ),
        (
            {"KeyConditionExpression": "pk = :p", "Select": "COUNT", "ProjectionExpression": "a"},
            "Cannot specify the ProjectionExpression when choosing to get only the Count",
        ),
        (
            {"KeyConditionExpression": "pk = :p", "Limit": 0},
            "1 validation error detected: Value at 'Limit' failed to satisfy constraint: Member must "
            "have value greater than or equal to 1",
        ),
        (
            {"KeyConditionExpression": "pk = :p", "IndexName": "byName"},
            "The table does not have the specified index: byName",
        ),
    ],
)  # fmt: skip
def test_it_is_refused_in_awss_words(orders: Conformance, parameters: dict[str, Any], message: str) -> None:
    values = {}
    text = str(parameters.get("KeyConditionExpression", ""))
    if "ExpressionAttributeValues" not in parameters and ":" in text:
        values = {
            "ExpressionAttributeValues": {name: value for name, value in VALUES.items() if name in text}
        }
    assert orders.invalid("Query", TableName="things", **values, **parameters) == message


def test_an_unknown_table_is_not_found(orders: Conformance) -> None:
    assert orders.refusal(
        "Query",
        TableName="nothing",
        KeyConditionExpression="pk = :p",
        ExpressionAttributeValues={":p": {"S": "p"}},
    ) == ("ResourceNotFoundException", "Requested resource not found")


# ---- before the table is looked up -------------------------------------------------------------------------

WRONG = (
    f"{KEYS}Incorrect operand type for operator or function; operator or function: {{}}, operand type: {{}}"
)
TYPED: dict[str, Any] = {":p": {"S": "p"}, ":n": {"N": "1"}, ":t": {"BOOL": True}}


@pytest.mark.parametrize("table", ["things", "missing"])
@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("pk = :p AND begins_with(sk, :n)", WRONG.format("begins_with", "N")),
        *((f"pk = :p AND sk {sign} :t", WRONG.format(sign, "BOOL")) for sign in ("<", "<=", ">", ">=")),
        ("pk = :p AND sk BETWEEN :t AND :t", WRONG.format("BETWEEN", "BOOL")),
        ("begins_with(sk, :n) AND pk < :t", WRONG.format("begins_with", "N")),
        ("pk < :t AND begins_with(sk, :n)", WRONG.format("<", "BOOL")),
    ],
)
def test_values_refused_by_type_are_told_from_left_to_right_before_the_table_is_looked_up(
    orders: Conformance, table: str, condition: str, message: str
) -> None:
    values = {name: value for name, value in TYPED.items() if name in condition}
    refused = orders.invalid(
        "Query", TableName=table, KeyConditionExpression=condition, ExpressionAttributeValues=values
    )
    assert refused == message


@pytest.mark.parametrize("table", ["things", "missing"])
def test_conditions_of_old_are_refused_by_type_before_the_table_is_looked_up(
    orders: Conformance, table: str
) -> None:
    prefix = {"ComparisonOperator": "BEGINS_WITH", "AttributeValueList": [{"N": "1"}]}
    refused = orders.invalid("Query", TableName=table, KeyConditions={"pk": prefix})
    assert refused.endswith("ComparisonOperator BEGINS_WITH is not valid for N AttributeValue type")
