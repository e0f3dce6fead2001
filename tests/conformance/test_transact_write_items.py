"""TransactWriteItems through boto3 and at the wire. Source: semantics §1.8, §6.7, §6.9."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tailrace.clocks.manual import ManualClock
from tailrace.engine.engine import Engine
from tailrace.stores.memory import MemoryStore
from tests.conformance.client import Conformance, key

FAILED = {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed"}
NONE = {"Code": "None"}
TEN_MINUTES_MS = 600_000
MISMATCH = "IdempotentParameterMismatchException"
EMPTY_KEY = (
    "One or more parameter values are not valid. The AttributeValue for a key attribute cannot "
    "contain an empty {} value. Key: pk"
)
KILOBYTE = "x" * 1_024
UNFIT = "The provided key element does not match the schema"
WRONG_KEY = {"TableName": "things", "Key": {"pk": {"N": "1"}, "sk": {"S": "a"}}}


def item(pk: str, **attributes: Any) -> dict[str, Any]:
    return {**key(pk), **attributes}


def put(pk: str, **more: Any) -> dict[str, Any]:
    return {"Put": {"TableName": "things", "Item": item(pk), **more}}


def put_of(content: dict[str, Any]) -> dict[str, Any]:
    return {"Put": {"TableName": "things", "Item": content}}


def update(pk: str, expression: str = "ADD n :one", **more: Any) -> dict[str, Any]:
    given = {
        "TableName": "things",
        "Key": key(pk),
        "UpdateExpression": expression,
        "ExpressionAttributeValues": {":one": {"N": "1"}},
    }
    merged = {**given, **more}
    return {"Update": {name: value for name, value in merged.items() if value is not None}}


def delete(pk: str, **more: Any) -> dict[str, Any]:
    return {"Delete": {"TableName": "things", "Key": key(pk), **more}}


def check(pk: str, expression: str = "attribute_exists(pk)", **more: Any) -> dict[str, Any]:
    return {
        "ConditionCheck": {"TableName": "things", "Key": key(pk), "ConditionExpression": expression, **more}
    }


def write(api: Conformance, *actions: dict[str, Any], **more: Any) -> dict[str, Any]:
    answer: dict[str, Any] = api.dynamodb.transact_write_items(TransactItems=list(actions), **more)
    return answer


def invalid(api: Conformance, *actions: dict[str, Any], **more: Any) -> str:
    status, answer = api.raw("TransactWriteItems", {"TransactItems": list(actions), **more})
    assert (status, answer["__type"]) == (400, "com.amazon.coral.validate#ValidationException"), answer
    message: str = answer["message"]
    return message


def cancelled(api: Conformance, *actions: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    with pytest.raises(ClientError) as failed:
        write(api, *actions, **more)
    response: Any = failed.value.response
    assert response["Error"]["Code"] == "TransactionCanceledException"
    reasons: list[dict[str, Any]] = response["CancellationReasons"]
    codes = ", ".join(reason["Code"] for reason in reasons)
    assert response["Error"]["Message"] == (
        f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]"
    )
    return reasons


def events(api: Conformance) -> list[tuple[str, str]]:
    """Event name and partition key of every record of the table's stream, in order."""
    arn = api.dynamodb.describe_table(TableName="things")["Table"]["LatestStreamArn"]
    events = []
    for shard in api.streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]:
        token = api.streams.get_shard_iterator(
            StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        for record in api.streams.get_records(ShardIterator=token)["Records"]:
            events.append((record["eventName"], record["dynamodb"]["Keys"]["pk"]["S"]))
    return events


# ---- what it does ------------------------------------------------------------------------------------------


def test_every_action_takes_effect_and_leaves_its_own_record(things: Conformance) -> None:
    things.put("old")
    things.put("checked")
    answer = write(things, put("new"), update("counter"), delete("old"), check("checked"))
    assert {name for name in answer if name != "ResponseMetadata"} == set()
    assert things.get("new") == item("new")
    assert things.get("counter") == item("counter", n={"N": "1"})
    assert things.get("old") is None
    assert events(things)[2:] == [("INSERT", "new"), ("INSERT", "counter"), ("REMOVE", "old")]


def test_actions_that_change_nothing_leave_no_record(things: Conformance) -> None:
    things.put("same")
    write(things, put("same"), delete("absent"), update("other", "REMOVE a", ExpressionAttributeValues=None))
    assert events(things) == [("INSERT", "same")]
    assert things.get("other") is None


def test_several_tables_take_part(things: Conformance) -> None:
    things.table("others", sort=None)
    other = {"Put": {"TableName": "others", "Item": {"pk": {"S": "o"}}}}
    write(things, put("a"), other)
    assert things.get("a") == item("a")
    assert things.dynamodb.get_item(TableName="others", Key={"pk": {"S": "o"}})["Item"] == {"pk": {"S": "o"}}


def test_a_table_may_be_named_by_its_arn(things: Conformance) -> None:
    arn = things.dynamodb.describe_table(TableName="things")["Table"]["TableArn"]
    write(things, {"Put": {"TableName": arn, "Item": item("a")}})
    assert things.get("a") == item("a")


# ---- cancelled ---------------------------------------------------------------------------------------------


def test_all_failing_conditions_are_told_and_nothing_is_written(things: Conformance) -> None:
    things.put("there", a={"S": "x"})
    absent = "attribute_not_exists(pk)"
    reasons = cancelled(
        things,
        put("new"),
        put("there", ConditionExpression=absent, ReturnValuesOnConditionCheckFailure="ALL_OLD"),
        delete("there2", ConditionExpression="attribute_exists(pk)"),
        check("nowhere", ReturnValuesOnConditionCheckFailure="ALL_OLD"),
    )
    assert reasons == [NONE, {**FAILED, "Item": item("there", a={"S": "x"})}, FAILED, FAILED]
    assert things.get("new") is None
    assert events(things) == [("INSERT", "there")]


def test_the_old_item_is_told_only_when_asked_for(things: Conformance) -> None:
    things.put("a")
    assert cancelled(things, check("a", "attribute_not_exists(pk)")) == [FAILED]
    told = check("a", "attribute_not_exists(pk)", ReturnValuesOnConditionCheckFailure="NONE")
    assert cancelled(things, told) == [FAILED]


def test_the_wire_says_message_with_a_capital(things: Conformance) -> None:
    status, answer = things.raw("TransactWriteItems", {"TransactItems": [check("a")]})
    assert status == 400
    assert answer == {
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "Message": "Transaction cancelled, please refer cancellation reasons for specific reasons "
        "[ConditionalCheckFailed]",
        "CancellationReasons": [FAILED],
    }


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (
            put_of({"pk": {"S": "a"}}),
            "One or more parameter values were invalid: Missing the key sk in the item",
        ),
        (
            put_of({"pk": {"N": "1"}, "sk": {"S": "a"}}),
            "One or more parameter values were invalid: Type mismatch for key pk expected: S actual: N",
        ),
        (
            update("a", "SET huge = :one", ExpressionAttributeValues={":one": {"S": "x" * 409_600}}),
            "Item size to update has exceeded the maximum allowed size",
        ),
        ({"Update": {**WRONG_KEY, "UpdateExpression": "REMOVE a"}}, UNFIT),
        ({"Delete": WRONG_KEY}, UNFIT),
        ({"ConditionCheck": {**WRONG_KEY, "ConditionExpression": "attribute_exists(a)"}}, UNFIT),
        (
            {"Delete": {"TableName": "things", "Key": {"pk": {"S": "a"}}}},
            "The provided key element does not match the schema",
        ),
        (
            update("a", "SET pk = :one"),
            "One or more parameter values were invalid: Cannot update attribute pk. This attribute "
            "is part of the key",
        ),
        (update("there", "ADD a :one"), "An operand in the update expression has an incorrect data type"),
        (
            update("there", "SET b.c = :one"),
            "The document path provided in the update expression is invalid for update",
        ),
        (
            update("there", "SET b = c + :one"),
            "The provided expression refers to an attribute that does not exist in the item",
        ),
    ],
)
def test_what_is_wrong_inside_an_action_cancels(
    things: Conformance, action: dict[str, Any], message: str
) -> None:
    things.put("there", a={"S": "x"})
    reasons = cancelled(things, put("new"), action, check("nowhere"))
    assert reasons == [NONE, {"Code": "ValidationError", "Message": message}, NONE]
    assert things.get("new") is None


def test_of_several_validation_errors_the_first_is_told(things: Conformance) -> None:
    wrong = {"Delete": {"TableName": "things", "Key": {"pk": {"S": "a"}}}}
    reasons = cancelled(things, check("nowhere"), wrong, wrong)
    assert [reason["Code"] for reason in reasons] == ["None", "ValidationError", "None"]


# ---- refused as a whole ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (
            put_of(item("")),
            "One or more parameter values are not valid. The AttributeValue for a key attribute "
            "cannot contain an empty string value. Key: pk",
        ),
        (
            delete(""),
            EMPTY_KEY.format("string"),
        ),
        (put_of(item("a", large={"S": "x" * 409_600})), "Item size has exceeded the maximum allowed size"),
        (put_of(item("a", **{"": {"S": "x"}})), "Empty attribute name"),
        (put_of(item("a", map={"M": {"": {"S": "x"}}})), "Empty attribute name"),
        (
            {"Update": {"TableName": "things", "Key": key("a"), "UpdateExpression": "a" * 4_109}},
            "Invalid UpdateExpression: Expression size has exceeded the maximum allowed size;",
        ),
        (
            delete("a", ConditionExpression="a" * 4_109),
            "Invalid ConditionExpression: Expression size has exceeded the maximum allowed size; "
            "expression size: 4109",
        ),
        (
            update("", "SET a = :one"),
            "One or more parameter values are not valid. The AttributeValue for a key attribute "
            "cannot contain an empty string value. Key: pk",
        ),
        ({}, "TransactItems can only contain one of Check, Put, Update or Delete"),
        ({"Nothing": {}}, "TransactItems can only contain one of Check, Put, Update or Delete"),
        ({**put("a"), **delete("b")}, "TransactItems can only contain one of Check, Put, Update or Delete"),
        (
            put("a", ConditionExpression="a = :a"),
            "Invalid ConditionExpression: An expression attribute value used in expression is not defined; "
            "attribute value: :a",
        ),
        (
            put("a", ConditionExpression="a ="),
            'Invalid ConditionExpression: Syntax error; token: "<EOF>", near: "="',
        ),
        (
            put(
                "a",
                ConditionExpression="attribute_exists(a)",
                ExpressionAttributeValues={":unused": {"N": "1"}},
            ),
            "Value provided in ExpressionAttributeValues unused in expressions: keys: {:unused}",
        ),
        (
            put("a", ExpressionAttributeNames={"#a": "a"}),
            "ExpressionAttributeNames can only be specified when using expressions",
        ),
        (
            put("a", ExpressionAttributeValues={":a": {"N": "1"}}),
            "ExpressionAttributeValues can only be specified when using expressions: "
            "ConditionExpression is null",
        ),
        (
            put("a", ReturnValuesOnConditionCheckFailure="ALL_NEW"),
            "1 validation error detected: Value 'ALL_NEW' at "
            "'transactItems.1.member.put.returnValuesOnConditionCheckFailure' failed to satisfy constraint: "
            "Member must satisfy enum value set: [ALL_OLD, NONE]",
        ),
        (
            {"ConditionCheck": {"TableName": "things", "Key": key("a")}},
            "1 validation error detected: Value null at "
            "'transactItems.1.member.conditionCheck.conditionExpression' failed to satisfy "
            "constraint: Member must not be null",
        ),
        (
            {"Update": {"TableName": "things", "Key": key("a")}},
            "1 validation error detected: Value null at 'transactItems.1.member.update.updateExpression' "
            "failed to satisfy constraint: Member must not be null",
        ),
    ],
)
def test_what_is_wrong_with_the_request_refuses_it_whole(
    things: Conformance, action: dict[str, Any], message: str
) -> None:
    assert invalid(things, action) == message


def test_two_actions_on_one_item_are_refused_even_if_a_condition_fails(things: Conformance) -> None:
    message = "Transaction request cannot include multiple operations on one item"
    assert invalid(things, put("a"), delete("a")) == message
    assert invalid(things, check("a"), put("b"), update("a")) == message


def test_an_unknown_table_refuses_the_request(things: Conformance) -> None:
    missing = {"Put": {"TableName": "missing", "Item": item("a")}}
    refused = things.refusal("TransactWriteItems", TransactItems=[check("nowhere"), missing])
    assert refused == ("ResourceNotFoundException", "Requested resource not found")


# ---- which mistake is told first ---------------------------------------------------------------------------

EMPTY_NAME = "Empty attribute name"
SYNTAX = 'Invalid ConditionExpression: Syntax error; token: "<EOF>", near: "="'
DEEP = "Nesting Levels have exceeded supported limits"


def nested(levels: int, name: str = "a") -> dict[str, Any]:
    """A string in this many maps."""
    value: dict[str, Any] = {"S": "x"}
    for _ in range(levels):
        value = {"M": {name: value}}
    return value


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "syntax": (put("a", ConditionExpression="a ="), SYNTAX),
    "an unused value": (
        put(
            "a", ConditionExpression="attribute_exists(a)", ExpressionAttributeValues={":unused": {"N": "1"}}
        ),
        "Value provided in ExpressionAttributeValues unused in expressions: keys: {:unused}",
    ),
    "an empty name": (put_of(item("a", **{"": {"S": "x"}})), EMPTY_NAME),
    "depth": (put_of(item("a", deep=nested(40))), DEEP),
    "size": (
        put_of(item("a", large={"S": "x" * 409_600})),
        "Item size has exceeded the maximum allowed size",
    ),
}


@pytest.mark.parametrize("second", BROKEN)
@pytest.mark.parametrize("first", BROKEN)
def test_actions_are_judged_one_at_a_time_and_the_first_problem_wins(
    things: Conformance, first: str, second: str
) -> None:
    (action, message), (other, _) = BROKEN[first], BROKEN[second]
    assert invalid(things, action, other).startswith(message)


@pytest.mark.parametrize("problem", BROKEN)
def test_what_is_wrong_with_an_action_is_told_before_an_unknown_table_and_duplicates(
    things: Conformance, problem: str
) -> None:
    action, message = BROKEN[problem]
    missing = {"Put": {"TableName": "missing", "Item": item("a")}}
    assert invalid(things, missing, put("b"), put("b"), action).startswith(message)


def test_an_empty_top_level_name_is_told_before_depth_and_depth_before_an_empty_name_inside(
    things: Conformance,
) -> None:
    both = put_of(item("a", **{"": {"S": "x"}}, deep=nested(40)))
    assert invalid(things, both) == EMPTY_NAME
    assert invalid(things, put_of(item("a", deep=nested(40, "")))).startswith(DEEP)


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (delete("a", ConditionExpression="a ="), SYNTAX),
        (
            update("a", "a" * 4_109),
            "Invalid UpdateExpression: Expression size has exceeded the maximum allowed size;",
        ),
        (check("a", "a ="), SYNTAX),
    ],
)
def test_an_expression_is_judged_before_the_depth_of_the_key(
    things: Conformance, action: dict[str, Any], message: str
) -> None:
    (name, members), *_ = action.items()
    members = {**members, "Key": {**key("a"), "pk": nested(40)}}
    assert invalid(things, {name: members}) == message


def test_enums_are_told_before_an_unknown_table_and_duplicates(things: Conformance) -> None:
    missing = {"Put": {"TableName": "missing", "Item": item("a")}}
    told = invalid(
        things, missing, put("b"), put("b"), ReturnConsumedCapacity="X", ReturnItemCollectionMetrics="Y"
    )
    assert told == (
        "2 validation errors detected: Value 'X' at 'returnConsumedCapacity' failed to satisfy "
        "constraint: Member must satisfy enum value set: [INDEXES, TOTAL, NONE]; Value 'Y' at "
        "'returnItemCollectionMetrics' "
        "failed to satisfy constraint: Member must satisfy enum value set: [SIZE, NONE]"
    )


def test_no_action_at_all_is_too_few(things: Conformance) -> None:
    assert invalid(things) == (
        "1 validation error detected: Value '[]' at 'transactItems' failed to satisfy constraint: "
        "Member must have length greater than or equal to 1"
    )


def test_an_empty_binary_key_refuses_the_request_whole(api: Conformance) -> None:
    api.dynamodb.create_table(
        TableName="binary",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "B"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
    )
    empty = {"Put": {"TableName": "binary", "Item": {"pk": {"B": ""}}}}
    assert invalid(api, empty) == EMPTY_KEY.format("binary")


# ---- capacity ----------------------------------------------------------------------------------------------


def test_writes_and_checks_cost_twice(things: Conformance) -> None:
    things.put("large", a={"S": KILOBYTE * 2})
    answer = write(things, put("a"), check("large"), delete("nowhere"), ReturnConsumedCapacity="TOTAL")
    assert answer["ConsumedCapacity"] == [
        {"TableName": "things", "CapacityUnits": 10.0, "WriteCapacityUnits": 10.0}
    ]


def test_a_check_alone_costs_two_write_units_and_a_cancelled_transaction_tells_none(
    things: Conformance,
) -> None:
    absent = check("nowhere", "attribute_not_exists(pk)")
    answer = write(things, absent, ReturnConsumedCapacity="TOTAL")
    assert answer["ConsumedCapacity"] == [
        {"TableName": "things", "CapacityUnits": 2.0, "WriteCapacityUnits": 2.0}
    ]
    asked = {"TransactItems": [check("nowhere")], "ReturnConsumedCapacity": "TOTAL"}
    _, refused = things.raw("TransactWriteItems", asked)
    assert set(refused) == {"__type", "Message", "CancellationReasons"}


def test_indexes_tell_the_table_apart(things: Conformance) -> None:
    answer = write(things, put("a"), ReturnConsumedCapacity="INDEXES")
    told = {"CapacityUnits": 2.0, "WriteCapacityUnits": 2.0}
    assert answer["ConsumedCapacity"] == [{"TableName": "things", **told, "Table": told}]


# ---- tokens ------------------------------------------------------------------------------------------------


def test_the_same_token_and_request_write_once_and_then_cost_reads(things: Conformance) -> None:
    call: dict[str, Any] = {"ClientRequestToken": "t", "ReturnConsumedCapacity": "TOTAL"}
    large = put_of(item("large", a={"S": KILOBYTE * 5}))
    first = write(things, update("n"), large, **call)
    assert first["ConsumedCapacity"][0]["WriteCapacityUnits"] == 14.0
    second = write(things, update("n"), large, **call)
    assert second["ConsumedCapacity"] == [
        {"TableName": "things", "CapacityUnits": 6.0, "ReadCapacityUnits": 6.0}
    ]
    assert things.get("n") == item("n", n={"N": "1"})
    assert len(events(things)) == 2


def test_boto3_gives_each_call_its_own_token(things: Conformance) -> None:
    write(things, update("n"))
    write(things, update("n"))
    assert things.get("n") == item("n", n={"N": "2"})


BASE = {
    "Update": {
        "TableName": "things",
        "Key": {"pk": {"S": "a"}, "sk": {"S": "a"}},
        "UpdateExpression": "SET n = :n, m = :m",
        "ExpressionAttributeValues": {":n": {"N": "1"}, ":m": {"SS": ["x", "y"]}},
    }
}
SAME = {
    "the order of maps": {
        "Update": {
            "Key": {"sk": {"S": "a"}, "pk": {"S": "a"}},
            "ExpressionAttributeValues": {":m": {"SS": ["x", "y"]}, ":n": {"N": "1"}},
            "UpdateExpression": "SET n = :n, m = :m",
            "TableName": "things",
        }
    },
    "numbers and sets": {
        "Update": {
            **BASE["Update"],
            "ExpressionAttributeValues": {":n": {"N": "1.0"}, ":m": {"SS": ["y", "x"]}},
        }
    },
    "a NONE that may be left out": {
        "Update": {**BASE["Update"], "ReturnValuesOnConditionCheckFailure": "NONE"}
    },
}


@pytest.mark.parametrize("again", SAME.values(), ids=SAME)
def test_requests_are_compared_by_meaning(things: Conformance, again: dict[str, Any]) -> None:
    write(things, BASE, ClientRequestToken="t")
    write(things, again, ClientRequestToken="t", ReturnConsumedCapacity="NONE")
    assert len(events(things)) == 1


OTHER: dict[str, dict[str, Any]] = {
    "a value": {"TransactItems": [put_of(item("a", n={"N": "2"})), put("b")]},
    "the order of the actions": {"TransactItems": [put("b"), put_of(item("a", n={"N": "1"}))]},
    "the capacity that is told": {
        "TransactItems": [put_of(item("a", n={"N": "1"})), put("b")],
        "ReturnConsumedCapacity": "TOTAL",
    },
    "what a failed condition tells": {
        "TransactItems": [
            put_of(item("a", n={"N": "1"})),
            put("b", ReturnValuesOnConditionCheckFailure="ALL_OLD"),
        ]
    },
}


@pytest.mark.parametrize("request_", OTHER.values(), ids=OTHER)
def test_another_request_under_the_same_token_is_refused(
    things: Conformance, request_: dict[str, Any]
) -> None:
    write(things, put_of(item("a", n={"N": "1"})), put("b"), ClientRequestToken="t")
    code, _ = things.refusal("TransactWriteItems", ClientRequestToken="t", **request_)
    assert code == MISMATCH


def test_a_token_stands_for_ten_minutes(things: Conformance, clock: ManualClock) -> None:
    write(things, update("n"), ClientRequestToken="t")
    clock.advance(TEN_MINUTES_MS - 1)
    write(things, update("n"), ClientRequestToken="t")
    assert things.get("n") == item("n", n={"N": "1"})
    clock.advance(1)
    write(things, update("n"), ClientRequestToken="t")
    assert things.get("n") == item("n", n={"N": "2"})


def test_a_cancelled_request_may_be_tried_again_but_not_changed(things: Conformance) -> None:
    request = (put("a"), check("wanted"))
    cancelled(things, *request, ClientRequestToken="t")
    code, _ = things.refusal("TransactWriteItems", TransactItems=[put("b")], ClientRequestToken="t")
    assert code == MISMATCH
    things.put("wanted")
    write(things, *request, ClientRequestToken="t")
    assert things.get("a") == item("a")


def test_an_invalid_request_reserves_nothing(things: Conformance) -> None:
    invalid(things, put("a"), delete("a"), ClientRequestToken="t")
    invalid(things, put("a", ConditionExpression="a ="), ClientRequestToken="t")
    write(things, put("a"), ClientRequestToken="t")


def test_tokens_are_shared_by_all_tables(things: Conformance) -> None:
    things.table("others")
    write(things, put("a"), ClientRequestToken="t")
    other = {"Put": {"TableName": "others", "Item": item("a")}}
    code, _ = things.refusal("TransactWriteItems", TransactItems=[other], ClientRequestToken="t")
    assert code == MISMATCH


def test_a_token_outlives_the_process_and_is_forgotten_in_time(clock: ManualClock) -> None:
    store = MemoryStore()
    api = Conformance(Engine(store, clock))
    api.table(view="NEW_AND_OLD_IMAGES")
    write(api, update("n"), ClientRequestToken="t")
    again = Conformance(Engine(store, clock))
    write(again, update("n"), ClientRequestToken="t")
    assert again.get("n") == item("n", n={"N": "1"})
    clock.advance(TEN_MINUTES_MS)
    for _ in again.engine.housekeeping():
        again.engine.committer.flush()
    assert store.query(2, b"", None, 10) == []
