"""The legacy parameters through boto3 and at the wire: Expected,
AttributeUpdates, KeyConditions, filters, AttributesToGet.

Texts marked `memory` are not in semantics: they are AWS's as far as we remember them.
"""

from typing import Any

import pytest

from tests.conformance.client import Conformance, key

E = "1 validation error detected: "
INVALID = "One or more parameter values were invalid: "
BOTH = "Can not use both expression and non-expression parameters in the same request: "
A = {"S": "a"}
ONE = {"N": "1"}
FAILED = ("ConditionalCheckFailedException", "The conditional request failed")


def said(operator: str, *values: Any) -> dict[str, Any]:
    """A condition of a legacy parameter."""
    return {"ComparisonOperator": operator, **({"AttributeValueList": list(values)} if values else {})}


@pytest.fixture
def three(things: Conformance) -> Conformance:
    """Three items of one partition with a number each, of which the first has more."""
    things.put("p", "1", n={"N": "1"}, s={"S": "abc"}, tags={"SS": ["x", "y"]}, list={"L": [A, ONE]})
    things.put("p", "2", n={"N": "2"})
    things.put("p", "3", n={"N": "3"})
    return things


# ---- every comparison, as a filter -------------------------------------------------------------------------

COMPARISONS = [
    ("n", said("EQ", {"N": "1.0"}), "1"),
    ("n", said("EQ", {"S": "1"}), ""),
    ("tags", said("EQ", {"SS": ["y", "x"]}), "1"),
    ("list", said("EQ", {"L": [A, ONE]}), "1"),
    ("n", said("NE", {"N": "1"}), "23"),
    ("s", said("NE", {"S": "other"}), "123"),
    ("n", said("LE", {"N": "2"}), "12"),
    ("n", said("LT", {"N": "2"}), "1"),
    ("n", said("GE", {"N": "2"}), "23"),
    ("n", said("GT", {"N": "2"}), "3"),
    ("n", said("GT", {"S": "0"}), ""),
    ("n", said("BETWEEN", {"N": "2"}, {"N": "3"}), "23"),
    ("n", said("IN", {"N": "3"}, {"N": "1"}), "13"),
    ("s", said("NULL"), "23"),
    ("s", said("NOT_NULL"), "1"),
    ("s", said("CONTAINS", {"S": "bc"}), "1"),
    ("tags", said("CONTAINS", {"S": "x"}), "1"),
    ("list", said("CONTAINS", ONE), "1"),
    ("tags", said("NOT_CONTAINS", {"S": "x"}), ""),
    ("tags", said("NOT_CONTAINS", {"S": "z"}), "1"),
    ("s", said("NOT_CONTAINS", {"S": "z"}), "1"),
    ("n", said("NOT_CONTAINS", {"S": "z"}), "123"),
    ("s", said("BEGINS_WITH", {"S": "ab"}), "1"),
    ("s", said("BEGINS_WITH", {"S": "b"}), ""),
]


@pytest.mark.parametrize(("attribute", "condition", "expected"), COMPARISONS)
def test_every_comparison_filters_a_query_and_a_scan(
    three: Conformance, attribute: str, condition: dict[str, Any], expected: str
) -> None:
    query = three.dynamodb.query(
        TableName="things", KeyConditions={"pk": said("EQ", {"S": "p"})}, QueryFilter={attribute: condition}
    )
    scan = three.dynamodb.scan(TableName="things", ScanFilter={attribute: condition})
    for answer in (query, scan):
        assert "".join(item["sk"]["S"] for item in answer["Items"]) == expected
        assert (answer["Count"], answer["ScannedCount"]) == (len(expected), 3)


@pytest.mark.parametrize(("attribute", "condition", "expected"), COMPARISONS)
def test_every_comparison_is_a_condition_of_a_write(
    three: Conformance, attribute: str, condition: dict[str, Any], expected: str
) -> None:
    call = {"Item": {**key("p", "1"), "new": A}, "Expected": {attribute: condition}, "TableName": "things"}
    if "1" in expected:
        three.dynamodb.put_item(**call)
        assert three.get("p", "1") == {**key("p", "1"), "new": A}
    else:
        assert three.refusal("PutItem", **call) == FAILED


@pytest.mark.parametrize(("operator", "expected"), [("AND", "2"), ("OR", "123"), (None, "2")])
def test_conditions_are_combined(three: Conformance, operator: str | None, expected: str) -> None:
    combined = {} if operator is None else {"ConditionalOperator": operator}
    conditions = {"n": said("GE", {"N": "2"}), "sk": said("LT", {"S": "3"})}
    answer = three.dynamodb.scan(TableName="things", ScanFilter=conditions, **combined)
    assert "".join(item["sk"]["S"] for item in answer["Items"]) == expected


def test_a_dot_in_a_name_is_no_path(things: Conformance) -> None:
    item = things.put("a", **{"m.x": A, "m": {"M": {"x": {"S": "other"}}}})
    answer = things.dynamodb.scan(TableName="things", ScanFilter={"m.x": said("EQ", A)})
    assert answer["Items"] == [item]
    answer = things.dynamodb.get_item(TableName="things", Key=key("a"), AttributesToGet=["m.x", "absent"])
    assert answer["Item"] == {"m.x": A}


# ---- Expected ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expected", "holds"),
    [
        ({"n": {"Value": {"N": "1"}}}, True),
        ({"n": {"Value": {"N": "1"}, "Exists": True}}, True),
        ({"n": {"Value": {"N": "2"}}}, False),
        ({"other": {"Exists": False}}, True),
        ({"n": {"Exists": False}}, False),
        ({"n": {"Value": {"N": "0"}, "ComparisonOperator": "GT"}}, True),
        ({"n": {"Value": {"N": "1"}}, "s": {"Value": A}}, False),
        ({}, True),
    ],
)
def test_expected_conditions_every_write(three: Conformance, expected: dict[str, Any], holds: bool) -> None:
    target = {"TableName": "things", "Key": key("p", "1"), "Expected": expected}
    updates = {"AttributeUpdates": {"n": {"Value": {"N": "1"}}}}
    if holds:
        three.dynamodb.update_item(**target, **updates)
        three.dynamodb.delete_item(**target)
        assert three.get("p", "1") is None
    else:
        assert three.refusal("UpdateItem", **target, **updates) == FAILED
        assert three.refusal("DeleteItem", **target) == FAILED


def test_either_of_two_expectations_may_hold(three: Conformance) -> None:
    expected = {"n": {"Value": {"N": "9"}}, "s": {"Value": {"S": "abc"}}}
    call = {"TableName": "things", "Key": key("p", "1"), "Expected": expected}
    assert three.refusal("DeleteItem", **call) == FAILED
    three.dynamodb.delete_item(**call, ConditionalOperator="OR")


# ---- AttributeUpdates --------------------------------------------------------------------------------------

UPDATES = [
    ("put is the default", {"a": {"Value": A}}, {"a": ONE}, {"a": A}),
    ("put", {"a": {"Value": A, "Action": "PUT"}}, {}, {"a": A}),
    ("delete", {"a": {"Action": "DELETE"}}, {"a": A}, {}),
    ("delete what is absent", {"a": {"Action": "DELETE"}}, {}, {}),
    ("delete members", {"a": {"Action": "DELETE", "Value": {"SS": ["x", "z"]}}}, {"a": {"SS": ["x", "y"]}},
     {"a": {"SS": ["y"]}}),
    ("delete the last member", {"a": {"Action": "DELETE", "Value": {"NS": ["1"]}}}, {"a": {"NS": ["1"]}}, {}),
    ("add a number", {"a": {"Action": "ADD", "Value": {"N": "-0.5"}}}, {"a": ONE}, {"a": {"N": "0.5"}}),
    ("add to nothing", {"a": {"Action": "ADD", "Value": ONE}}, {}, {"a": ONE}),
    ("add members", {"a": {"Action": "ADD", "Value": {"NS": ["2", "1"]}}}, {"a": {"NS": ["1", "3"]}},
     {"a": {"NS": ["1", "2", "3"]}}),
    ("add members of binaries", {"a": {"Action": "ADD", "Value": {"BS": [b"b"]}}}, {"a": {"BS": [b"a"]}},
     {"a": {"BS": [b"a", b"b"]}}),
    ("append to a list", {"a": {"Action": "ADD", "Value": {"L": [ONE]}}}, {"a": {"L": [A]}},
     {"a": {"L": [A, ONE]}}),
    ("begin a list", {"a": {"Action": "ADD", "Value": {"L": [ONE]}}}, {}, {"a": {"L": [ONE]}}),
    ("several at once", {"a": {"Value": A}, "b": {"Action": "DELETE"}, "c": {"Action": "ADD", "Value": ONE}},
     {"b": A}, {"a": A, "c": ONE}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("updates", "before", "after"), [case[1:] for case in UPDATES], ids=[case[0] for case in UPDATES]
)
def test_updates_change_attributes(
    things: Conformance, updates: dict[str, Any], before: dict[str, Any], after: dict[str, Any]
) -> None:
    things.put("p", "a", **before)
    answer = things.dynamodb.update_item(
        TableName="things", Key=key("p"), AttributeUpdates=updates, ReturnValues="ALL_NEW"
    )
    assert answer["Attributes"] == {**key("p"), **after}


def test_an_update_creates_the_item_unless_it_only_deletes(things: Conformance) -> None:
    things.dynamodb.update_item(
        TableName="things", Key=key("none"), AttributeUpdates={"a": {"Action": "DELETE"}}
    )
    assert things.get("none") is None
    things.dynamodb.update_item(TableName="things", Key=key("some"), AttributeUpdates={"a": {"Value": A}})
    assert things.get("some") == {**key("some"), "a": A}
    things.dynamodb.update_item(TableName="things", Key=key("bare"), AttributeUpdates={})
    assert things.get("bare") == key("bare")


@pytest.mark.parametrize(
    ("returns", "told"),
    [("UPDATED_OLD", {"n": ONE, "b": A}), ("UPDATED_NEW", {"n": {"N": "2"}, "c": A})],
)
def test_touched_attributes_are_returned(things: Conformance, returns: str, told: dict[str, Any]) -> None:
    things.put("p", n=ONE, b=A, other=A)
    updates = {"n": {"Action": "ADD", "Value": ONE}, "b": {"Action": "DELETE"}, "c": {"Value": A}}
    answer = things.dynamodb.update_item(
        TableName="things", Key=key("p"), AttributeUpdates=updates, ReturnValues=returns
    )
    assert answer["Attributes"] == told


# ---- KeyConditions and AttributesToGet ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (None, "123"),
        (said("EQ", {"S": "2"}), "2"),
        (said("LT", {"S": "2"}), "1"),
        (said("LE", {"S": "2"}), "12"),
        (said("GT", {"S": "2"}), "3"),
        (said("GE", {"S": "2"}), "23"),
        (said("BETWEEN", {"S": "1"}, {"S": "2"}), "12"),
        (said("BEGINS_WITH", {"S": "3"}), "3"),
    ],
)
def test_key_conditions_choose_a_range(
    three: Conformance, condition: dict[str, Any] | None, expected: str
) -> None:
    sort = {} if condition is None else {"sk": condition}
    answer = three.dynamodb.query(TableName="things", KeyConditions={"pk": said("EQ", {"S": "p"}), **sort})
    assert "".join(item["sk"]["S"] for item in answer["Items"]) == expected


def test_key_conditions_may_stand_beside_expressions_of_other_things(three: Conformance) -> None:
    answer = three.dynamodb.query(
        TableName="things",
        KeyConditions={"pk": said("EQ", {"S": "p"})},
        FilterExpression="n > :one",
        ProjectionExpression="n",
        ExpressionAttributeValues={":one": ONE},
    )
    assert answer["Items"] == [{"n": {"N": "2"}}, {"n": {"N": "3"}}]


def test_attributes_to_get_project_every_read(three: Conformance) -> None:
    wanted = ["n", "absent"]
    one = {"n": {"N": "1"}}
    read = three.dynamodb.get_item(TableName="things", Key=key("p", "1"), AttributesToGet=wanted)
    assert read["Item"] == one
    batch = {"things": {"Keys": [key("p", "1")], "AttributesToGet": wanted}}
    assert three.dynamodb.batch_get_item(RequestItems=batch)["Responses"] == {"things": [one]}
    conditions = {"pk": said("EQ", {"S": "p"}), "sk": said("EQ", {"S": "1"})}
    query = {"TableName": "things", "KeyConditions": conditions, "AttributesToGet": wanted}
    assert three.dynamodb.query(**query)["Items"] == [one]
    assert three.dynamodb.query(**query, Select="SPECIFIC_ATTRIBUTES")["Items"] == [one]
    assert three.dynamodb.scan(TableName="things", AttributesToGet=wanted, Limit=1)["Items"] == [one]


# ---- refusals ----------------------------------------------------------------------------------------------

WRITE = {"TableName": "things", "Key": key("p")}
VALUE = {"Value": A}
OPERATORS = "IN, NULL, BETWEEN, LT, NOT_CONTAINS, EQ, GT, NOT_NULL, NE, LE, BEGINS_WITH, GE, CONTAINS"

EXPECTED_REFUSALS = [
    # spec: semantics §6.4, the text; the rest of this table: memory (dynalite's comparison tests with AWS).
    ({"a": {"Exists": True}}, f"{E}{INVALID}Value must be provided when Exists is true for Attribute: a"),
    ({"a": {}}, f"{E}{INVALID}Value must be provided when Exists is null for Attribute: a"),
    ({"a": {"Exists": False, **VALUE}},
     f"{E}{INVALID}Value cannot be used when Exists is false for Attribute: a"),
    ({"a": {**VALUE, "AttributeValueList": [A]}},
     f"{E}{INVALID}Value and AttributeValueList cannot be used together for Attribute: a"),
    ({"a": {"Exists": True, "ComparisonOperator": "EQ"}},
     f"{E}{INVALID}Exists and ComparisonOperator cannot be used together for Attribute: a"),
    ({"a": {"ComparisonOperator": "EQ"}},
     f"{E}{INVALID}Value or AttributeValueList must be used with ComparisonOperator: EQ for Attribute: a"),
    ({"a": {"AttributeValueList": [A]}},
     f"{E}{INVALID}AttributeValueList can only be used with a ComparisonOperator for Attribute: a"),
    ({"a": {**VALUE, "ComparisonOperator": "NULL"}},
     f"{E}{INVALID}Invalid number of argument(s) for the NULL ComparisonOperator"),
    ({"a": {"Value": {}}},
     f"{E}Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"),
    (
        {"a": {"ComparisonOperator": "XX"}},
        "1 validation error detected: Value 'XX' at 'expected.a.member.comparisonOperator' failed to "
        "satisfy constraint: "
        f"Member must satisfy enum value set: [{OPERATORS}]",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("expected", "message"), EXPECTED_REFUSALS)
def test_expected_is_refused_in_awss_words(
    things: Conformance, expected: dict[str, Any], message: str
) -> None:
    assert things.invalid("DeleteItem", **WRITE, Expected=expected) == message


COUNTS = [
    *((operator, 1) for operator in ("EQ", "NE", "LE", "LT", "GE", "GT", "CONTAINS", "NOT_CONTAINS",
        "BEGINS_WITH")),
    ("BETWEEN", 2), ("NULL", 0), ("NOT_NULL", 0),
]  # fmt: skip


@pytest.mark.parametrize(("operator", "count"), COUNTS)
def test_a_wrong_number_of_arguments_is_refused(things: Conformance, operator: str, count: int) -> None:
    message = f"{INVALID}Invalid number of argument(s) for the {operator} ComparisonOperator"
    for wrong in {count - 1, count + 1} - {-1}:
        condition = {"ComparisonOperator": operator, "AttributeValueList": [A] * wrong}
        assert things.invalid("Scan", TableName="things", ScanFilter={"a": condition}) == message
        assert things.invalid("DeleteItem", **WRITE, Expected={"a": condition}) == E + message
    empty = {"ComparisonOperator": "IN", "AttributeValueList": []}
    assert things.invalid("Scan", TableName="things", ScanFilter={"a": empty}) == message.replace(
        operator, "IN"
    )


SCALARS = ("LE", "LT", "GE", "GT", "CONTAINS", "NOT_CONTAINS", "IN")
WRONG_TYPES = [
    *((operator, {"SS": ["a"]}, "SS") for operator in SCALARS),
    ("LT", {"BOOL": True}, "BOOL"),
    ("GT", {"L": []}, "L"),
    ("CONTAINS", {"M": {}}, "M"),
    ("BEGINS_WITH", {"N": "1"}, "N"),
]


@pytest.mark.parametrize(("operator", "value", "kind"), WRONG_TYPES)
def test_a_type_that_an_operator_does_not_take_is_refused(
    things: Conformance, operator: str, value: dict[str, Any], kind: str
) -> None:
    message = f"{INVALID}ComparisonOperator {operator} is not valid for {kind} AttributeValue type"
    assert things.invalid("Scan", TableName="things", ScanFilter={"a": said(operator, value)}) == message


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (said("IN", A, ONE), f"{INVALID}AttributeValues inside AttributeValueList must be of same type"),
        (said("BETWEEN", A, ONE), f"{INVALID}AttributeValues inside AttributeValueList must be of same type"),
        (
            said("BETWEEN", {"N": "2"}, ONE),
            "The BETWEEN condition was provided a range where the lower bound is greater "
            "than the upper bound",
        ),
        ({"AttributeValueList": [A]}, "1 validation error detected: Value null at "
         "'scanFilter.a.member.comparisonOperator' failed to satisfy constraint: Member must not be null"),
    ],
)  # fmt: skip
def test_a_filter_is_refused_in_awss_words(
    things: Conformance, condition: dict[str, Any], message: str
) -> None:
    assert things.invalid("Scan", TableName="things", ScanFilter={"a": condition}) == message


@pytest.mark.parametrize(
    ("updates", "message"),
    [
        ({"a": {}}, f"{E}{INVALID}Only DELETE action is allowed when no attribute value is specified"),
        ({"a": {"Action": "ADD"}},
         f"{E}{INVALID}Only DELETE action is allowed when no attribute value is specified"),
        ({"a": {"Action": "DELETE", "Value": A}},
         f"{E}{INVALID}DELETE action with value is not supported for the type S"),
        ({"a": {"Action": "DELETE", "Value": ONE}},
         f"{E}{INVALID}DELETE action with value is not supported for the type N"),
        ({"a": {"Action": "ADD", "Value": A}}, f"{E}{INVALID}ADD action is not supported for the type S"),
        ({"a": {"Action": "ADD", "Value": {"M": {}}}},
         f"{E}{INVALID}ADD action is not supported for the type M"),
        ({"text": {"Action": "ADD", "Value": ONE}}, "Type mismatch for attribute to update"),
        ({"text": {"Action": "ADD", "Value": {"L": [ONE]}}}, "Type mismatch for attribute to update"),
        ({"text": {"Action": "DELETE", "Value": {"SS": ["x"]}}}, "Type mismatch for attribute to update"),
        ({"pk": {"Value": A}}, f"{INVALID}Cannot update attribute pk. This attribute is part of the key"),
        ({"a": {"Action": "SET", "Value": A}}, "1 validation error detected: Value 'SET' at "
         "'attributeUpdates.a.member.action' failed to satisfy constraint: Member must satisfy enum "
         "value set: [ADD, PUT, DELETE]"),
        ({"a": {"Value": {"N": "x"}}}, f"{E}The parameter cannot be converted to a numeric value: x"),
    ],
)  # fmt: skip
def test_updates_are_refused_in_awss_words(
    things: Conformance, updates: dict[str, Any], message: str
) -> None:
    things.put("p", text=A)
    assert things.invalid("UpdateItem", **WRITE, AttributeUpdates=updates) == message


HASH = said("EQ", {"S": "p"})


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        # spec: semantics §6.6
        ({}, "Either the KeyConditions or KeyConditionExpression parameter must be specified in "
         "the request."),
        ({"KeyConditions": {}}, "Conditions can be of length 1 or 2 only"),
        ({"KeyConditions": {"pk": HASH, "sk": HASH, "a": HASH}}, "Conditions can be of length 1 or 2 only"),
        ({"KeyConditions": {"sk": HASH}}, "Query condition missed key schema element: pk"),
        ({"KeyConditions": {"pk": HASH, "a": HASH}}, "Query condition missed key schema element: sk"),
        ({"KeyConditions": {"pk": said("LT", {"S": "p"})}}, "Query key condition not supported"),
        ({"KeyConditions": {"pk": said("EQ", ONE)}},
         f"{INVALID}Condition parameter type does not match schema type"),
        # memory
        *(({"KeyConditions": {"pk": HASH, "sk": said(operator, *values)}},
           "Attempted conditional constraint is not an indexable operation")
          for operator, values in (("NE", [A]), ("IN", [A]), ("NULL", []), ("NOT_NULL", []),
              ("CONTAINS", [A]), ("NOT_CONTAINS", [A]))),
        ({"KeyConditions": {"pk": HASH}, "QueryFilter": {"sk": HASH}},
         "QueryFilter can only contain non-primary key attributes: Primary key attribute: sk"),
        ({"KeyConditions": {"pk": HASH}, "AttributesToGet": ["a", "b", "a"]},
         f"{INVALID}Duplicate value in attribute name: a"),
        ({"KeyConditions": {"pk": HASH}, "AttributesToGet": ["a"], "Select": "COUNT"},
         "Cannot specify the AttributesToGet when choosing to get only the Count"),
        ({"KeyConditions": {"pk": HASH}, "AttributesToGet": ["a"], "Select": "ALL_ATTRIBUTES"},
         "Cannot specify the AttributesToGet when choosing to get ALL_ATTRIBUTES"),
        ({"KeyConditions": {"pk": HASH}, "ConditionalOperator": "OR"},
         "ConditionalOperator cannot be used without Filter or Expected"),
        ({"KeyConditions": {"pk": HASH}, "QueryFilter": {"a": HASH}, "ConditionalOperator": "OR"},
         "ConditionalOperator can only be used when Filter or Expected has two or more elements"),
    ],
)  # fmt: skip
def test_a_query_is_refused_in_awss_words(
    things: Conformance, parameters: dict[str, Any], message: str
) -> None:
    assert things.invalid("Query", TableName="things", **parameters) == message


@pytest.mark.parametrize(
    ("operation", "parameters", "legacy", "expressions"),
    [
        ("PutItem", {"Item": key("p"), "Expected": {}, "ConditionExpression": "a"}, "Expected",
         "ConditionExpression"),
        ("DeleteItem", {"Key": key("p"), "Expected": {}, "ConditionExpression": "a"}, "Expected",
         "ConditionExpression"),
        ("UpdateItem",
         {"Key": key("p"), "AttributeUpdates": {}, "Expected": {}, "UpdateExpression": "a",
          "ConditionExpression": "a"},
         "AttributeUpdates, Expected", "UpdateExpression, ConditionExpression"),
        ("UpdateItem", {"Key": key("p"), "AttributeUpdates": {}, "ConditionExpression": "a"},
         "AttributeUpdates", "ConditionExpression"),
        ("GetItem", {"Key": key("p"), "AttributesToGet": ["a"], "ProjectionExpression": "a"},
         "AttributesToGet", "ProjectionExpression"),
        ("Query", {"KeyConditions": {"pk": HASH}, "KeyConditionExpression": "a"}, "KeyConditions",
         "KeyConditionExpression"),
        ("Query", {"QueryFilter": {}, "KeyConditionExpression": "a"}, "QueryFilter",
         "KeyConditionExpression"),
        ("Query", {"KeyConditions": {"pk": HASH}, "QueryFilter": {}, "FilterExpression": "a"}, "QueryFilter",
         "FilterExpression"),
        ("Query", {"KeyConditionExpression": "a", "ConditionalOperator": "OR"}, "ConditionalOperator",
         "KeyConditionExpression"),
        ("Scan", {"ScanFilter": {}, "FilterExpression": "a"}, "ScanFilter", "FilterExpression"),
        ("Scan", {"AttributesToGet": ["a"], "FilterExpression": "a"}, "AttributesToGet", "FilterExpression"),
    ],
)  # fmt: skip
def test_both_kinds_of_parameters_are_refused(
    things: Conformance, operation: str, parameters: dict[str, Any], legacy: str, expressions: str
) -> None:
    before = E if operation in ("PutItem", "UpdateItem", "DeleteItem") else ""
    assert things.invalid(operation, TableName="things", **parameters) == (
        f"{before}{BOTH}Non-expression parameters: {{{legacy}}} Expression parameters: {{{expressions}}}"
    )


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("PutItem", {"Item": key("p"), "Expected": {"a": {"Value": {"S": 1}}}}),
        ("UpdateItem", {"Key": key("p"), "AttributeUpdates": {"a": {"Value": {"S": 1}}}}),
        ("Scan", {"ScanFilter": {"a": {"ComparisonOperator": "XX", "AttributeValueList": [{"S": 1}]}}}),
    ],
)
def test_wrong_json_types_of_values_come_first(
    things: Conformance, operation: str, parameters: dict[str, Any]
) -> None:
    status, answer = things.raw(operation, {"TableName": "things", **parameters})
    assert status == 400
    assert answer == {
        "__type": "com.amazon.coral.service#SerializationException",
        "Message": "NUMBER_VALUE cannot be converted to String",
    }
