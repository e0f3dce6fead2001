"""PutItem through boto3. Source of the texts: semantics §6.3, §6.5, §6.8."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conformance.client import Conformance, key

INVALID = "One or more parameter values were invalid: "
E = "1 validation error detected: "
UNFIT = f"{E}Value "


def test_an_item_of_every_type_comes_back_as_it_was(things: Conformance) -> None:
    item = things.put(
        "p",
        s={"S": "text ✓"},
        n={"N": "-12.5"},
        b={"B": b"\0\xff"},
        yes={"BOOL": True},
        nil={"NULL": True},
        ss={"SS": ["a", "b"]},
        ns={"NS": ["1", "2"]},
        bs={"BS": [b"a", b"b"]},
        empty={"S": ""},
        l={"L": [{"S": "x"}, {"N": "1"}, {"L": []}]},
        m={"M": {"inner": {"M": {}}}},
    )
    assert things.get("p") == item


@pytest.mark.parametrize(
    ("sent", "stored"),
    [("1.0", "1"), ("01", "1"), ("1E2", "100"), ("-0", "0"), ("1e-3", "0.001"), ("+5", "5")],
)
def test_numbers_are_normalised(things: Conformance, sent: str, stored: str) -> None:
    things.put("p", n={"N": sent})
    item = things.get("p")
    assert item is not None
    assert item["n"] == {"N": stored}


def test_the_old_item_is_returned_when_asked_for(things: Conformance) -> None:
    call = {"TableName": "things", "ReturnValues": "ALL_OLD"}
    first = things.dynamodb.put_item(Item={**key("p"), "n": {"N": "1"}}, **call)
    assert "Attributes" not in first
    second = things.dynamodb.put_item(Item={**key("p"), "n": {"N": "2"}}, **call)
    assert second["Attributes"] == {**key("p"), "n": {"N": "1"}}


def test_a_condition_that_does_not_hold_changes_nothing(things: Conformance) -> None:
    things.put("p", n={"N": "1"})
    refused = things.refusal(
        "PutItem", TableName="things", Item=key("p"), ConditionExpression="attribute_not_exists(pk)"
    )
    assert refused == ("ConditionalCheckFailedException", "The conditional request failed")
    assert things.get("p") == {**key("p"), "n": {"N": "1"}}


@pytest.mark.parametrize(("wanted", "shown"), [("ALL_OLD", True), ("NONE", False)])
def test_a_failed_condition_shows_the_item_when_asked_for(
    things: Conformance, wanted: str, shown: bool
) -> None:
    item = things.put("p", n={"N": "1"})
    with pytest.raises(ClientError) as failure:
        things.dynamodb.put_item(
            TableName="things",
            Item=key("p"),
            ConditionExpression="#n > :two",
            ExpressionAttributeNames={"#n": "n"},
            ExpressionAttributeValues={":two": {"N": "2"}},
            ReturnValuesOnConditionCheckFailure=wanted,
        )
    assert failure.value.response.get("Item") == (item if shown else None)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"sk": {"S": "a"}}, f"{INVALID}Missing the key pk in the item"),
        ({"pk": {"S": "a"}}, f"{INVALID}Missing the key sk in the item"),
        ({"pk": {"N": "1"}, "sk": {"S": "a"}}, f"{INVALID}Type mismatch for key pk expected: S actual: N"),
        (
            {"pk": {"S": ""}, "sk": {"S": "a"}},
            "One or more parameter values are not valid. The AttributeValue for a key attribute "
            "cannot contain an empty string value. Key: pk",
        ),
        (
            {"pk": {"S": "x" * 2049}, "sk": {"S": "a"}},
            f"{INVALID}Size of hashkey has exceeded the maximum size limit of2048 bytes",
        ),
        (
            {"pk": {"S": "x"}, "sk": {"S": "y" * 1025}},
            f"{INVALID}Aggregated size of all range keys has exceeded the size limit of 1024 bytes",
        ),
        (
            {**key("p"), "big": {"S": "x" * 410_000}},
            f"{E}Item size has exceeded the maximum allowed size",
        ),
        (
            {**key("p"), "a": {}},
            f"{E}Supplied AttributeValue is empty, must contain exactly one of the supported datatypes",
        ),
        (
            {**key("p"), "a": {"S": "x", "N": "1"}},
            f"{E}Supplied AttributeValue has more than one datatypes set, must contain exactly one "
            f"of the supported datatypes",
        ),
        ({**key("p"), "a": {"N": "abc"}}, f"{E}The parameter cannot be converted to a numeric value: abc"),
        ({**key("p"), "a": {"N": ""}}, f"{E}The parameter cannot be converted to a numeric value: "),
        (
            {**key("p"), "a": {"N": "1" * 39}},
            f"{E}Attempting to store more than 38 significant digits in a Number",
        ),
        (
            {**key("p"), "a": {"N": "1E126"}},
            f"{E}Number overflow. Attempting to store a number with magnitude larger than supported range",
        ),
        (
            {**key("p"), "a": {"N": "1E-131"}},
            f"{E}Number underflow. Attempting to store a number with magnitude smaller than supported range",
        ),
        (
            {**key("p"), "a": {"NULL": False}},
            f"{E}{INVALID}Null attribute value types must have the value of true",
        ),
        ({**key("p"), "a": {"SS": []}}, f"{E}{INVALID}An string set  may not be empty"),
        ({**key("p"), "a": {"NS": []}}, f"{E}{INVALID}An number set  may not be empty"),
        ({**key("p"), "a": {"BS": []}}, f"{E}{INVALID}Binary sets should not be empty"),
        (
            {**key("p"), "a": {"SS": ["a", "a"]}},
            f'{E}{INVALID}Input collection ["a", "a"] contains duplicates.',
        ),
        ({**key("p"), "a": {"NS": ["1", "1.0"]}}, f"{E}{INVALID}Input collection contains duplicates."),
    ],
)
def test_an_item_is_refused_in_awss_words(things: Conformance, item: dict[str, Any], message: str) -> None:
    assert things.invalid("PutItem", TableName="things", Item=item) == message


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"ReturnValues": "ALL_NEW"}, f"{E}ReturnValues can only be ALL_OLD or NONE"),
        ({"ReturnValues": "UPDATED_OLD"}, f"{E}ReturnValues can only be ALL_OLD or NONE"),
        (
            {"ReturnValues": "ALL"},
            f"{UNFIT}'ALL' at 'returnValues' failed to satisfy constraint: Member must satisfy enum "
            f"value set: [ALL_NEW, UPDATED_OLD, ALL_OLD, NONE, UPDATED_NEW]",
        ),
        (
            {"TableName": "ab"},
            f"{UNFIT}'ab' at 'tableName' failed to satisfy constraint: Member must have length "
            f"greater than or equal to 3",
        ),
        (
            {"TableName": "x" * 256},
            f"{UNFIT}'{'x' * 256}' at 'tableName' failed to satisfy constraint: "
            "Member must have length less than or equal to 255",
        ),
        (
            {"TableName": "a;", "ReturnValues": "x"},
            "3 validation errors detected: Value 'a;' at 'tableName' failed to satisfy constraint: "
            "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+; Value 'a;' at "
            "'tableName' failed to "
            "satisfy constraint: Member must have length greater than or equal to 3; Value 'x' at "
            "'returnValues' failed to "
            "satisfy constraint: Member must satisfy enum value set: [ALL_NEW, UPDATED_OLD, ALL_OLD, "
            "NONE, UPDATED_NEW]",
        ),
        (
            {"ExpressionAttributeNames": {"#a": "b"}},
            f"{E}ExpressionAttributeNames can only be specified when using expressions",
        ),
        (
            {"ExpressionAttributeValues": {":a": {"S": "b"}}},
            f"{E}ExpressionAttributeValues can only be specified when using expressions",
        ),
        (
            {"ConditionExpression": "a = b", "ExpressionAttributeNames": {}},
            f"{E}ExpressionAttributeNames must not be empty",
        ),
        (
            {"ConditionExpression": "a = b", "ExpressionAttributeValues": {}},
            f"{E}ExpressionAttributeValues must not be empty",
        ),
        (
            {"ConditionExpression": "a = b", "ExpressionAttributeNames": {"a": "b"}},
            f'{E}ExpressionAttributeNames contains invalid key: Syntax error; key: "a"',
        ),
        (
            {"ConditionExpression": "a = b", "ExpressionAttributeValues": {"a": {"S": "b"}}},
            f'{E}ExpressionAttributeValues contains invalid key: Syntax error; key: "a"',
        ),
        (
            {"ConditionExpression": "a = b", "ExpressionAttributeValues": {":a": {"N": "x"}}},
            f"{E}The parameter cannot be converted to a numeric value: x",
        ),
        (
            {"ConditionExpression": "a = b", "ExpressionAttributeNames": {"#c": "c"}},
            f"{E}Value provided in ExpressionAttributeNames unused in expressions: keys: {{#c}}",
        ),
        (
            {"ConditionExpression": "a = b", "ExpressionAttributeValues": {":c": {"S": "c"}}},
            f"{E}Value provided in ExpressionAttributeValues unused in expressions: keys: {{:c}}",
        ),
        ({"ConditionExpression": ""}, f"{E}Invalid ConditionExpression: The expression can not be empty;"),
        (
            {"Expected": {"a": {"Exists": False}}, "ConditionExpression": "a = b"},
            f"{E}Can not use both expression and non-expression parameters in the same request: "
            f"Non-expression parameters: "
            "{Expected} Expression parameters: {ConditionExpression}",
        ),
    ],
)
def test_parameters_are_refused_in_awss_words(
    things: Conformance, parameters: dict[str, Any], message: str
) -> None:
    assert things.invalid("PutItem", **{"TableName": "things", "Item": key("p"), **parameters}) == message


def test_what_is_missing_is_named(things: Conformance) -> None:
    assert things.invalid("PutItem") == (
        "2 validation errors detected: Value null at 'tableName' failed to satisfy constraint: "
        "Member must not be null; Value null at 'item' failed to satisfy constraint: Member "
        "must not be null"
    )


def test_an_unknown_table_is_not_found(things: Conformance) -> None:
    assert things.refusal("PutItem", TableName="nothing", Item=key("p")) == (
        "ResourceNotFoundException",
        "Requested resource not found",
    )


def test_a_table_may_be_named_by_its_arn(things: Conformance) -> None:
    arn = things.dynamodb.describe_table(TableName="things")["Table"]["TableArn"]
    things.dynamodb.put_item(TableName=arn, Item=key("p"))
    assert things.get("p") == key("p")
