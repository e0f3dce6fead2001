"""TransactGetItems through boto3 and at the wire. Source: semantics §6.7, §6.9."""

from typing import Any

import pytest

from tests.conformance.client import Conformance, key


def get(pk: str, **more: Any) -> dict[str, Any]:
    return {"Get": {"TableName": "things", "Key": key(pk), **more}}


def read(api: Conformance, *gets: dict[str, Any], **more: Any) -> dict[str, Any]:
    answer: dict[str, Any] = api.dynamodb.transact_get_items(TransactItems=list(gets), **more)
    return answer


def test_one_answer_a_key_in_order_and_nothing_for_an_absent_item(things: Conformance) -> None:
    things.put("a", n={"N": "1"})
    things.put("b")
    answer = read(things, get("b"), get("missing"), get("a"))
    assert answer["Responses"] == [{"Item": key("b")}, {}, {"Item": {**key("a"), "n": {"N": "1"}}}]
    assert "ConsumedCapacity" not in answer


def test_a_projection_belongs_to_its_key(things: Conformance) -> None:
    things.put("a", n={"N": "1"}, m={"N": "2"})
    names = {"ExpressionAttributeNames": {"#n": "n"}}
    answer = read(things, get("a", ProjectionExpression="#n", **names))
    assert answer["Responses"] == [{"Item": {"n": {"N": "1"}}}]


def test_an_item_whose_projection_shows_nothing_has_no_item_member(things: Conformance) -> None:
    things.put("a", n={"N": "1"})
    get = {"Get": {"TableName": "things", "Key": key("a"), "ProjectionExpression": "absent"}}
    assert things.dynamodb.transact_get_items(TransactItems=[get])["Responses"] == [{}]


def test_gets_are_judged_one_at_a_time_and_the_first_problem_wins(things: Conformance) -> None:
    wrong = {"Get": {"TableName": "missing", "Key": key("a"), "ProjectionExpression": "!!!"}}
    other = {"Get": {"TableName": "things", "Key": {"pk": {"S": "a"}, "": {"S": "a"}}}}
    refused = 'Invalid ProjectionExpression: Syntax error; token: "!", near: "!!"'
    assert things.invalid("TransactGetItems", TransactItems=[wrong, other]) == refused
    assert things.invalid("TransactGetItems", TransactItems=[other, wrong]) == "Empty attribute name"


def test_every_read_costs_twice_and_an_absent_item_the_least(things: Conformance) -> None:
    things.put("large", a={"S": "x" * 5_000})
    answer = read(things, get("large"), get("missing"), ReturnConsumedCapacity="TOTAL")
    assert answer["ConsumedCapacity"] == [
        {"TableName": "things", "CapacityUnits": 6.0, "ReadCapacityUnits": 6.0}
    ]
    told = {"CapacityUnits": 2.0, "ReadCapacityUnits": 2.0}
    answer = read(things, get("missing"), ReturnConsumedCapacity="INDEXES")
    assert answer["ConsumedCapacity"] == [{"TableName": "things", **told, "Table": told}]


def test_a_key_that_does_not_fit_cancels_with_reasons(things: Conformance) -> None:
    wrong = {"Get": {"TableName": "things", "Key": {"pk": {"S": "a"}}}}
    status, answer = things.raw("TransactGetItems", {"TransactItems": [get("a"), wrong]})
    assert status == 400
    assert answer == {
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "Message": "Transaction cancelled, please refer cancellation reasons for specific reasons [None, "
        "ValidationError]",
        "CancellationReasons": [
            {"Code": "None"},
            {"Code": "ValidationError", "Message": "The provided key element does not match the schema"},
        ],
    }


@pytest.mark.parametrize(
    ("gets", "message"),
    [
        (
            [get("a"), get("a")],
            "Transaction request cannot include multiple operations on one item",
        ),
        (
            [get("a", ProjectionExpression="#n")],
            "Invalid ProjectionExpression: An expression attribute name used in the document path is "
            "not defined; attribute name: #n",
        ),
        (
            [get("a", ProjectionExpression="n", ExpressionAttributeNames={"#n": "n"})],
            "Value provided in ExpressionAttributeNames unused in expressions: keys: {#n}",
        ),
        (
            [get("a", ExpressionAttributeNames={"#n": "n"})],
            "ExpressionAttributeNames can only be specified when using expressions",
        ),
        (
            [{}],
            "1 validation error detected: Value null at 'transactItems.1.member.get' failed to "
            "satisfy constraint: Member must not be null",
        ),
        (
            [],
            "1 validation error detected: Value '[]' at 'transactItems' failed to satisfy constraint: "
            "Member must have length greater than or equal to 1",
        ),
    ],
)
def test_what_is_wrong_with_the_request_refuses_it_whole(
    things: Conformance, gets: list[dict[str, Any]], message: str
) -> None:
    assert things.invalid("TransactGetItems", TransactItems=gets) == message


def test_an_unknown_table_refuses_the_request(things: Conformance) -> None:
    missing = {"Get": {"TableName": "missing", "Key": key("a")}}
    refused = things.refusal("TransactGetItems", TransactItems=[get("a"), missing])
    assert refused == ("ResourceNotFoundException", "Requested resource not found")
