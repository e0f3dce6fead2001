"""Expressions at the wire: every text of semantics §6.4 and every reserved word; the
limits are in test_limits.py.

Each case says where its text comes from: SPEC is semantics, TODAY is what AWS answers since 2026
(aws-texts, faults §3), MEMORY is AWS's words as we remember them (dynalite, Alternator's tests, the field),
for what the others leave open.
"""

from typing import Any

import pytest

from tailrace.expressions.reserved import RESERVED
from tests.conformance.client import Conformance, key

SPEC, TODAY, MEMORY = "spec", "today", "memory"
VALUES: dict[str, Any] = {
    ":s": {"S": "a"}, ":n": {"N": "1"}, ":m": {"N": "2"}, ":b": {"B": "AAE="}, ":t": {"BOOL": True},
    ":null": {"NULL": True},
    ":l": {"L": []}, ":map": {"M": {}}, ":ss": {"SS": ["a"]}, ":ns": {"NS": ["1"]}, ":bs": {"BS": ["AA=="]},
    ":x": {"S": "x"},
}  # fmt: skip
ITEM = {"n": {"N": "1"}, "s": {"S": "text"}, "l": {"L": [{"N": "0"}]}, "m": {"M": {"k": {"S": "v"}}}}


def used(text: str) -> dict[str, Any]:
    """The placeholders of a text, so that none is unused."""
    request: dict[str, Any] = {}
    values = {name: value for name, value in VALUES.items() if _occurs(name, text)}
    if values:
        request["ExpressionAttributeValues"] = values
    if "#a" in text:
        request["ExpressionAttributeNames"] = {"#a": "a"}
    return request


def _occurs(name: str, text: str) -> bool:
    return any(
        text[place:].startswith(name) and not text[place + len(name) :][:1].isalnum()
        for place in range(len(text))
    )


def refused(things: Conformance, operation: str, member: str, text: str) -> str:
    """What a request with this expression is refused with, without the name of the member and what
    writes put before it.
    """
    request = {"TableName": "things", "Key": key("p"), member: text, **used(text)}
    status, answer = things.raw(operation, request)
    assert (status, answer["__type"]) == (400, "com.amazon.coral.validate#ValidationException"), answer
    before = "" if operation == "GetItem" else "1 validation error detected: "
    return str(answer["message"]).removeprefix(f"{before}Invalid {member}: ")


def condition(things: Conformance, text: str) -> str:
    return refused(things, "DeleteItem", "ConditionExpression", text)


def update(things: Conformance, text: str) -> str:
    return refused(things, "UpdateItem", "UpdateExpression", text)


def projection(things: Conformance, text: str) -> str:
    return refused(things, "GetItem", "ProjectionExpression", text)


@pytest.fixture
def table(things: Conformance) -> Conformance:
    things.put("p", **ITEM)
    return things


WRONG = "Incorrect operand type for operator or function; operator or function: {}, operand type: {}"
COUNT = (
    "Incorrect number of operands for operator or function; operator or function: {}, number of operands: {}"
)
PATH = "Operator or function requires a document path; operator or function: {}"
DISTINCT = (
    "The first operand must be distinct from the remaining operands for this operator or function; "
    "operator: {}, first operand: [{}]"
)
MISUSED = "The function is not allowed to be used this way in an expression; function: {}"
INDEX = "List index is not within the allowable range; index: [{}]"
RESERVED_WORD = "Attribute name is a reserved keyword; reserved keyword: {}"
NAME = "An expression attribute name used in the document path is not defined; attribute name: {}"
VALUE = "An expression attribute value used in expression is not defined; attribute value: {}"
OVERLAP = (
    "Two document paths overlap with each other; must remove or rewrite one of these paths; path "
    "one: {}, path two: {}"
)
CONFLICT = (
    "Two document paths conflict with each other; must remove or rewrite one of these paths; path "
    "one: {}, path two: {}"
)
BOUNDS = "lower bound operand: AttributeValue: {{{}}}, upper bound operand: AttributeValue: {{{}}}"

CONDITIONS = [
    (SPEC, "", "The expression can not be empty;"),
    (MEMORY, "  ", "The expression can not be empty;"),
    (SPEC, "a = 1", 'Syntax error; token: "1", near: "= 1"'),
    (SPEC, "a = :n AND", 'Syntax error; token: "<EOF>", near: "AND"'),
    (SPEC, "_a = :n", 'Syntax error; token: "_", near: "_a"'),
    (SPEC, "size = :n", RESERVED_WORD.format("size")),
    (SPEC, "a.Name = :n", RESERVED_WORD.format("Name")),
    (SPEC, "#gone = :n", NAME.format("#gone")),
    (SPEC, "a = :gone", VALUE.format(":gone")),
    (SPEC, "foo(a)", "Invalid function name; function: foo"),
    (MEMORY, "Contains(a, :s)", "Invalid function name; function: Contains"),
    (SPEC, "attribute_exists(a, b)", COUNT.format("attribute_exists", 2)),
    (SPEC, "contains(a)", COUNT.format("contains", 1)),
    (SPEC, "begins_with(a, :s, :x)", COUNT.format("begins_with", 3)),
    (SPEC, "size(a, b) = :n", COUNT.format("size", 2)),
    (SPEC, "attribute_type(a)", COUNT.format("attribute_type", 1)),
    *((SPEC, f"begins_with(a, {name})", WRONG.format("begins_with", kind))
      for name, kind in ((":n", "N"), (":ss", "SS"), (":l", "L"), (":t", "BOOL"))),
    *((SPEC, f"size({name}) = :n", WRONG.format("size", kind))
      for name, kind in ((":m", "N"), (":t", "BOOL"), (":null", "NULL"))),
    *((SPEC, f"a {sign} {name}", WRONG.format(sign, kind)) for sign in ("<", "<=", ">", ">=")
      for name, kind in ((":t", "BOOL"), (":map", "M"), (":l", "L"), (":ns", "NS"), (":null", "NULL"))),
    (SPEC, "a BETWEEN :l AND :n", WRONG.format("BETWEEN", "L")),
    (SPEC, "attribute_type(a, :n)", WRONG.format("attribute_type", "N")),
    (MEMORY, "contains(:n, a)", WRONG.format("contains", "N")),
    (SPEC, "attribute_exists(:s)", PATH.format("attribute_exists")),
    (SPEC, "attribute_not_exists(:s)", PATH.format("attribute_not_exists")),
    (TODAY, "attribute_type(:s, :x)",
     "Invalid attribute type name found; type: x, valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}"),
    (MEMORY, "attribute_type(size(a), :s)", PATH.format("attribute_type")),
    (TODAY, "a[99999999999999] = :n", INDEX.format(99999999999999)),
    (TODAY, f"a[{2**31}] = :n", INDEX.format(2**31)),
    (TODAY, "a = !!", 'Syntax error; token: "!", near: "= !!"'),
    (TODAY, "a" * 4_109, "Expression size has exceeded the maximum allowed size; expression size: 4109"),
    (TODAY, "é" * 2_049, "Expression size has exceeded the maximum allowed size; expression size: 4098"),
    (SPEC, "attribute_type(a, :x)",
     "Invalid attribute type name found; type: x, valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}"),
    (SPEC, "attribute_exists(a) = :n", MISUSED.format("attribute_exists")),
    (SPEC, "size(a)", MISUSED.format("size")),
    (SPEC, "contains(a, contains(b, :s))", MISUSED.format("contains")),
    (MEMORY, "if_not_exists(a, :n)",
     "The function is not allowed in a condition expression; function: if_not_exists"),
    (SPEC, "((a = :n))", "The expression has redundant parentheses;"),
    (SPEC, "a = :n AND ((b = :n))", "The expression has redundant parentheses;"),
    *((SPEC, f"a {sign} a", DISTINCT.format(sign, "a")) for sign in ("=", "<>", "<", "<=", ">", ">=")),
    (SPEC, "a.b[0] IN (:n, a.b[0])", DISTINCT.format("IN", "a, b, [0]")),
    (SPEC, "contains(a, a)", DISTINCT.format("contains", "a")),
    (SPEC, "a BETWEEN a AND :n", DISTINCT.format("BETWEEN", "a")),
    (SPEC, "a BETWEEN :n AND :s", f"The BETWEEN operator requires same data type for lower and upper "
     f"bounds; {BOUNDS.format('N:1', 'S:a')}"),
    (SPEC, "a BETWEEN :m AND :n", f"The BETWEEN operator requires upper bound to be greater than or equal "
     f"to lower bound; {BOUNDS.format('N:2', 'N:1')}"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "text", "reason"), CONDITIONS)
def test_a_condition_is_refused_in_awss_words(
    table: Conformance, source: str, text: str, reason: str
) -> None:
    assert condition(table, text) == reason


UPDATES = [
    (SPEC, "", "The expression can not be empty;"),
    (SPEC, "SET _a = :n", 'Syntax error; token: "_", near: "SET _a"'),
    (MEMORY, "a = :n", 'Syntax error; token: "a", near: "a ="'),
    (MEMORY, "SET a = :n,", 'Syntax error; token: "<EOF>", near: ","'),
    (MEMORY, "ADD a b", 'Syntax error; token: "b", near: "a b"'),
    (SPEC, "SET name = :n", RESERVED_WORD.format("name")),
    (SPEC, "SET #gone = :n", NAME.format("#gone")),
    (SPEC, "SET a = :gone", VALUE.format(":gone")),
    (SPEC, "SET a = foo(b)", "Invalid function name; function: foo"),
    (MEMORY, "SET a = contains(b, :s)",
     "The function is not allowed in an update expression; function: contains"),
    (SPEC, "SET a = :n SET b = :n", 'The "SET" section can only be used once in an update expression;'),
    (SPEC, "REMOVE a REMOVE b", 'The "REMOVE" section can only be used once in an update expression;'),
    (SPEC, "SET a = :n REMOVE a", OVERLAP.format("[a]", "[a]")),
    (SPEC, "SET a = :n, a.b = :n", OVERLAP.format("[a]", "[a, b]")),
    (SPEC, "SET a.b = :n, a[1] = :n", CONFLICT.format("[a, b]", "[a, [1]]")),
    (SPEC, "SET a = if_not_exists(a)", COUNT.format("if_not_exists", 1)),
    (SPEC, "SET a = list_append(a)", COUNT.format("list_append", 1)),
    (SPEC, "SET a = if_not_exists(:n, :n)", PATH.format("if_not_exists")),
    (SPEC, "SET a = list_append(:s, a)", WRONG.format("list_append", "S")),
    (TODAY, "SET a = list_append(list_append(:l, :l), :l)", MISUSED.format("list_append")),
    (TODAY, "SET a = list_append(:l, list_append(a, :l))", MISUSED.format("list_append")),
    (TODAY, "SET a = if_not_exists(b, list_append(:l, list_append(a, :l)))", MISUSED.format("list_append")),
    (TODAY, "SET a[99999999999999] = :n", INDEX.format(99999999999999)),
    (TODAY, "REMOVE a[99999999999999]", INDEX.format(99999999999999)),
    (TODAY, "a" * 4_109, "Expression size has exceeded the maximum allowed size;"),
    (SPEC, "SET a = :s + :n", WRONG.format("+", "S")),
    (SPEC, "SET a = a - :ss", WRONG.format("-", "SS")),
    *((SPEC, f"ADD a {name}",
       f"Incorrect operand type for operator or function; operator: ADD, operand type: {kind}")
      for name, kind in ((":s", "STRING"), (":b", "BINARY"), (":t", "BOOLEAN"), (":null", "NULL"),
                         (":l", "LIST"), (":map", "MAP"))),
    *((SPEC, f"DELETE a {name}",
       f"Incorrect operand type for operator or function; operator: DELETE, operand type: {kind}")
      for name, kind in ((":s", "STRING"), (":n", "NUMBER"), (":b", "BINARY"), (":t", "BOOLEAN"),
                         (":null", "NULL"), (":l", "LIST"), (":map", "MAP"))),
    (SPEC, "SET m.x.y = :n", "The document path provided in the update expression is invalid for update"),
    (SPEC, "SET s.x = :n", "The document path provided in the update expression is invalid for update"),
    (SPEC, "SET m[0] = :n", "The document path provided in the update expression is invalid for update"),
    (SPEC, "REMOVE absent.x", "The document path provided in the update expression is invalid for update"),
    (SPEC, "SET a = s + :n", "An operand in the update expression has an incorrect data type"),
    (SPEC, "SET a = list_append(s, :l)", "An operand in the update expression has an incorrect data type"),
    (SPEC, "ADD s :n", "An operand in the update expression has an incorrect data type"),
    (SPEC, "DELETE s :ss", "An operand in the update expression has an incorrect data type"),
    (SPEC, "SET a = absent",
     "The provided expression refers to an attribute that does not exist in the item"),
    (SPEC, "SET a = absent + :n",
     "The provided expression refers to an attribute that does not exist in the item"),
    (SPEC, "SET pk = :s", "One or more parameter values were invalid: Cannot update attribute pk. This "
     "attribute is part of the key"),
    (SPEC, "REMOVE sk", "One or more parameter values were invalid: Cannot update attribute sk. This "
     "attribute is part of the key"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "text", "reason"), UPDATES)
def test_an_update_is_refused_in_awss_words(table: Conformance, source: str, text: str, reason: str) -> None:
    assert update(table, text) == reason
    assert table.get("p") == {**key("p"), **ITEM}


PROJECTIONS = [
    (SPEC, "", "The expression can not be empty;"),
    (SPEC, "a,", 'Syntax error; token: "<EOF>", near: ","'),
    (SPEC, "a.status", RESERVED_WORD.format("status")),
    (SPEC, "#gone", NAME.format("#gone")),
    (SPEC, "a, b, a", OVERLAP.format("[a]", "[a]")),
    (SPEC, "a.b.c, a.b", OVERLAP.format("[a, b, c]", "[a, b]")),
    (SPEC, "a.b, a[1]", CONFLICT.format("[a, b]", "[a, [1]]")),
    (TODAY, "!!!", 'Syntax error; token: "!", near: "!!"'),
    (TODAY, "a[99999999999999]", INDEX.format(99999999999999)),
    (MEMORY, "size(a)", 'Syntax error; token: "(", near: "size(a"'),
]


@pytest.mark.parametrize(("source", "text", "reason"), PROJECTIONS)
def test_a_projection_is_refused_in_awss_words(
    table: Conformance, source: str, text: str, reason: str
) -> None:
    assert projection(table, text) == reason


def test_every_reserved_word_is_refused_in_any_case(table: Conformance) -> None:
    assert len(RESERVED) == 573
    for word in RESERVED:
        for written in (word, word.lower(), word.title()):
            if written.upper() not in ("AND", "OR", "NOT", "IN", "BETWEEN"):
                assert condition(table, f"{written} = :n") == RESERVED_WORD.format(written)


# ---- what is accepted --------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["REMOVE x.y", "REMOVE x[0]", "REMOVE x.y, z"])
def test_removing_inside_an_attribute_of_an_absent_item_is_accepted_and_makes_no_item(
    table: Conformance, text: str
) -> None:
    table.dynamodb.update_item(TableName="things", Key=key("absent"), UpdateExpression=text)
    assert table.get("absent") is None


def test_beside_another_section_a_path_must_lead_somewhere_on_an_absent_item_too(table: Conformance) -> None:
    request: dict[str, Any] = {
        "TableName": "things",
        "Key": key("absent"),
        "UpdateExpression": "SET a = :n REMOVE x.y",
    }
    message = table.invalid("UpdateItem", **request, ExpressionAttributeValues={":n": {"N": "1"}})
    assert message == "The document path provided in the update expression is invalid for update"


@pytest.mark.parametrize("member", ["FilterExpression", "KeyConditionExpression", "ProjectionExpression"])
def test_an_index_has_its_range_in_the_expressions_of_a_query_too(table: Conformance, member: str) -> None:
    texts = {"KeyConditionExpression": "pk = :s", member: "a[99999999999999] = :n"}
    if member == "ProjectionExpression":
        texts[member] = "a[99999999999999]"
    message = table.invalid("Query", TableName="things", **texts, **used(" ".join(texts.values())))
    assert message == f"Invalid {member}: {INDEX.format(99999999999999)}"


@pytest.mark.parametrize(("kind", "holds"), [("N", True), ("S", False)])
def test_the_type_of_a_value_of_the_request_may_be_asked_for(
    table: Conformance, kind: str, holds: bool
) -> None:
    answer = table.dynamodb.scan(
        TableName="things",
        FilterExpression="attribute_type(:n, :kind)",
        ExpressionAttributeValues={":n": {"N": "1"}, ":kind": {"S": kind}},
    )
    assert answer["Count"] == int(holds)


def test_list_append_takes_if_not_exists_and_is_taken_by_it(table: Conformance) -> None:
    values = {":l": {"L": [{"S": "x"}]}}
    for text in (
        "SET a = list_append(if_not_exists(a, :l), :l)",
        "SET b = if_not_exists(b, list_append(:l, :l))",
    ):
        table.dynamodb.update_item(
            TableName="things", Key=key("p"), UpdateExpression=text, ExpressionAttributeValues=values
        )
    item = table.get("p")
    assert item is not None
    assert item["a"] == item["b"] == {"L": [{"S": "x"}] * 2}


def test_the_largest_index_is_accepted_and_appends_without_padding(table: Conformance) -> None:
    table.dynamodb.update_item(
        TableName="things",
        Key=key("p"),
        UpdateExpression=f"SET l[{2**31 - 1}] = :n",
        ExpressionAttributeValues={":n": {"N": "1"}},
    )
    item = table.get("p")
    assert item is not None
    assert item["l"] == {"L": [{"N": "0"}, {"N": "1"}]}
