"""The item operations against the service model that botocore ships, and what they share: failed conditions,
tables by ARN.
"""

from typing import Any

import botocore.session
import pytest
from botocore.model import Shape as Model

from tailrace.api.registry import find_operations
from tailrace.api.shapes import (
    Anything,
    AnyValue,
    AttributeMap,
    Flag,
    Many,
    Shape,
    String,
    StringMap,
    Structure,
    Whole,
)
from tests.conformance.client import Conformance, key

OPERATIONS = (
    "PutItem", "GetItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "BatchGetItem", "Query", "Scan",
    "TransactWriteItems", "TransactGetItems",
)  # fmt: skip
FAILED = {
    "__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException",
    "message": "The conditional request failed",
}
KINDS: dict[str, type | tuple[type, ...]] = {
    "string": String,
    "boolean": Flag,
    "integer": Whole,
    "long": Whole,
    "list": Many,
    "map": (StringMap, AttributeMap),
    "structure": (Structure, AnyValue),
}


def differences(model: Any, ours: Shape, path: str) -> list[str]:
    """Where a shape of ours constrains otherwise than the service model."""
    if not isinstance(ours, KINDS[model.type_name]):
        return [f"{path}: {model.type_name} is {ours}"]
    bounds = (model.metadata.get("min", 0), model.metadata.get("max"))
    match ours:
        case AttributeMap() | AnyValue() | Flag() | Anything():
            return []
        case String() if ours.is_table:
            return []  # the model allows for ARNs; names have their own bounds, semantics §6.3
        case String():
            ok = bounds == (ours.minimum, ours.maximum) and set(model.metadata.get("enum", ())) == set(
                ours.choices
            )
            return [] if ok else [f"{path}: {model.metadata} is {ours}"]
        case Whole():
            ok = (model.metadata.get("min"), model.metadata.get("max")) == (ours.minimum, ours.maximum)
            return [] if ok else [f"{path}: {model.metadata} is {ours}"]
        case Many() | StringMap():
            wrong = (
                []
                if bounds == (ours.minimum, ours.maximum)
                else [f"{path}: {bounds} is {ours.minimum, ours.maximum}"]
            )
            if isinstance(ours, StringMap):
                return (
                    wrong
                    + differences(model.key, ours.key, f"{path}<key>")
                    + differences(model.value, ours.of, f"{path}<>")
                )
            return wrong + differences(model.member, ours.of, f"{path}[]")
        case Structure():
            wrong = (
                [] if set(model.required_members) == ours.required else [f"{path}: requires {ours.required}"]
            )
            for name, member in model.members.items():
                inner = ours.members.get(name)
                wrong += (
                    [f"{path}.{name}: missing"]
                    if inner is None
                    else differences(member, inner, f"{path}.{name}")
                )
            return wrong


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_member_is_constrained_as_in_the_service_model(operation: str) -> None:
    model = botocore.session.get_session().get_service_model("dynamodb").operation_model(operation)
    ours = next(entry for entry in find_operations().values() if entry.name == operation)
    assert differences(model.input_shape, ours.input.structure, operation) == []


def test_the_comparison_notices_a_difference() -> None:
    model: Model = (
        botocore.session.get_session()
        .get_service_model("dynamodb")
        .operation_model("BatchGetItem")
        .input_shape
    )
    keys = Structure({"Keys": Many(AttributeMap(), 1, 99)}, frozenset({"Keys"}))
    wrong = differences(
        model,
        Structure(
            {"RequestItems": StringMap(keys, 1, 100, String(is_table=True))}, frozenset({"RequestItems"})
        ),
        "",
    )
    assert ".RequestItems<>.Keys: (1, 100) is (1, 99)" in wrong
    assert ".ReturnConsumedCapacity: missing" in wrong


# ---- ReturnValuesOnConditionCheckFailure -------------------------------------------------------------------

WRITES: dict[str, dict[str, Any]] = {
    "PutItem": {"Item": key("a")},
    "UpdateItem": {
        "Key": key("a"),
        "UpdateExpression": "SET n = :v",
        "ExpressionAttributeValues": {":v": {"N": "1"}},
    },
    "DeleteItem": {"Key": key("a")},
}
LEGACY_WRITES = {**WRITES, "UpdateItem": {"Key": key("a"), "AttributeUpdates": {}}}


@pytest.mark.parametrize("operation", WRITES)
@pytest.mark.parametrize("wanted", ["ALL_OLD", "NONE", None])
def test_a_failed_condition_tells_the_item_when_asked(
    things: Conformance, operation: str, wanted: str | None
) -> None:
    item = things.put("a", n={"N": "7"}, s={"SS": ["x", "y"]})
    asked = {} if wanted is None else {"ReturnValuesOnConditionCheckFailure": wanted}
    told = {**FAILED, "Item": item} if wanted == "ALL_OLD" else FAILED
    failing = {"ConditionExpression": "attribute_not_exists(pk)"}
    request = {"TableName": "things", **WRITES[operation], **failing, **asked}
    assert things.raw(operation, request) == (400, told)
    expected = {"Expected": {"pk": {"Exists": False}}}
    request = {"TableName": "things", **LEGACY_WRITES[operation], **expected, **asked}
    assert things.raw(operation, request) == (400, told)


@pytest.mark.parametrize("operation", WRITES)
def test_there_is_no_item_to_tell_of_an_absent_one(things: Conformance, operation: str) -> None:
    failing = {
        "ConditionExpression": "attribute_exists(pk)",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    request = {"TableName": "things", **WRITES[operation], **failing}
    assert things.raw(operation, request) == (400, FAILED)


@pytest.mark.parametrize("operation", WRITES)
def test_the_old_item_has_two_possible_places_only(things: Conformance, operation: str) -> None:
    message = things.invalid(
        operation, TableName="things", **WRITES[operation], ReturnValuesOnConditionCheckFailure="ALL_NEW"
    )
    assert message == (
        "1 validation error detected: Value 'ALL_NEW' at 'returnValuesOnConditionCheckFailure' "
        "failed to satisfy constraint: Member must satisfy enum value set: [ALL_OLD, NONE]"
    )


# ---- batches -----------------------------------------------------------------------------------------------


def test_a_batch_may_name_its_tables_by_arn(things: Conformance) -> None:
    arn = things.dynamodb.describe_table(TableName="things")["Table"]["TableArn"]
    things.dynamodb.batch_write_item(RequestItems={arn: [{"PutRequest": {"Item": key("a")}}]})
    answer = things.dynamodb.batch_get_item(RequestItems={arn: {"Keys": [key("a")]}})
    assert answer["Responses"] == {arn: [key("a")]}


@pytest.mark.parametrize("write", [{}, {"Nothing": {}}])
def test_a_write_request_that_says_nothing_is_refused(things: Conformance, write: dict[str, Any]) -> None:
    status, answer = things.raw("BatchWriteItem", {"RequestItems": {"things": [write]}})
    assert status == 400
    assert (
        answer["message"]
        == "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the "
        "supported datatypes"
    )


@pytest.mark.parametrize("beside", [{}, {"ProjectionExpression": "a"}])
@pytest.mark.parametrize(
    ("operation", "missing"),
    [
        ("Query", "FilterExpression and KeyConditionExpression are null"),
        ("Scan", "FilterExpression is null"),
    ],
)
def test_values_belong_to_expressions_that_take_them(
    things: Conformance, operation: str, missing: str, beside: dict[str, str]
) -> None:
    message = things.invalid(
        operation, TableName="things", ExpressionAttributeValues={":a": {"S": "a"}}, **beside
    )
    assert message == f"ExpressionAttributeValues can only be specified when using expressions: {missing}"
