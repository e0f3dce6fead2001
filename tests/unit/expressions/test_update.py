"""Updates: what they make of an item, and every error text. Source: semantics §6.4."""

from copy import deepcopy

import pytest

from tailrace.expressions.placeholders import Placeholders
from tailrace.expressions.update import parse_update
from tailrace.values.types import AttributeValue, Item
from tests.unit.expressions.refusing import VALUES, given, refusal

ITEM: Item = {
    "a": {"S": "abc"}, "n": {"N": "10"}, "strings": {"SS": ["a", "b"]}, "numbers": {"NS": ["1", "2"]},
    "many": {"L": [{"S": "zero"}, {"N": "1"}, {"M": {"deep": {"S": "a"}}}, {"L": [{"S": "x"}]}]},
    "m": {"M": {"k": {"N": "1"}, "nested": {"M": {"q": {"S": "z"}}}}}, "name": {"S": "reserved"},
    "a.b": {"S": "dotted"},
}  # fmt: skip
PREFIX = "Invalid UpdateExpression: "
PATH = "The document path provided in the update expression is invalid for update"
WRONG_TYPE = "An operand in the update expression has an incorrect data type"
ABSENT = "The provided expression refers to an attribute that does not exist in the item"


def applied(text: str, item: Item = ITEM, values: dict[str, AttributeValue] | None = None) -> Item:
    before = deepcopy(item)
    after = parse_update(text, given(values=values)).apply(item)
    assert item == before, "the item that comes in is never changed"
    return after


def changed(text: str) -> Item:
    """What an update makes of ITEM: the attributes that are other than before; None for those that went."""
    after = applied(text)
    names = {name for name in (*ITEM, *after) if after.get(name) != ITEM.get(name)}
    return {name: after.get(name) for name in names}  # type: ignore[misc]  # None shows what went


def elements(*texts: str) -> AttributeValue:
    return {"L": [{"S": text} for text in texts]}


def many(*replaced: AttributeValue) -> Item:
    return {"many": {"L": list(replaced)}}


ZERO, ONE, TWO, THREE = ITEM["many"]["L"]
A, B = VALUES[":s"], VALUES[":t"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SET n = :n", {"n": {"N": "1"}}), ("SET fresh = :s", {"fresh": A}),
        ("SET a = :n, n = :s", {"a": {"N": "1"}, "n": A}),
        ("SET a = n, n = a", {"a": {"N": "10"}, "n": {"S": "abc"}}),
        ("SET fresh = n + :m", {"fresh": {"N": "12"}}),
        ("SET n = n - :m", {"n": {"N": "8"}}), ("SET n = :m - n", {"n": {"N": "-8"}}),
        ("SET n = n + n", {"n": {"N": "20"}}),
        ("SET n = (n + :m)", {"n": {"N": "12"}}),
        ("SET fresh = if_not_exists(n, :n)", {"fresh": {"N": "10"}}),
        ("SET fresh = if_not_exists(gone, :n) + :m", {"fresh": {"N": "3"}}),
        ("SET n = if_not_exists(gone, n)", {}),
        ("SET fresh = if_not_exists(gone, if_not_exists(m.gone, :s))", {"fresh": A}),
        ("SET fresh = list_append(:l, :l)", {"fresh": elements("x", "x")}),
        ("SET fresh = list_append(if_not_exists(gone, :l), :l)", {"fresh": elements("x", "x")}),
        ("SET many = list_append(many, :l)", many(ZERO, ONE, TWO, THREE, {"S": "x"})),
        ("SET m.k = :s", {"m": {"M": {"k": A, "nested": ITEM["m"]["M"]["nested"]}}}),
        ("SET m.fresh = m.k", {"m": {"M": {**ITEM["m"]["M"], "fresh": {"N": "1"}}}}),
        ("SET m.nested.q = :s, m.nested.r = :t",
         {"m": {"M": {"k": {"N": "1"}, "nested": {"M": {"q": A, "r": B}}}}}),
        ("SET many[0] = :s", many(A, ONE, TWO, THREE)),
        ("SET many[2].deep = :t", many(ZERO, ONE, {"M": {"deep": B}}, THREE)),
        ("SET many[3][0] = :t", many(ZERO, ONE, TWO, {"L": [B]})),
        ("SET many[9] = :s", many(ZERO, ONE, TWO, THREE, A)),
        ("SET many[99] = :t, many[50] = :s", many(ZERO, ONE, TWO, THREE, A, B)),
        ("SET #name = :s", {"name": A}),
        ("SET #dots = :s", {"a.b": A}), ("SET #a = :s", {"a": A}), ("SET m = n", {"m": {"N": "10"}}),
        ("REMOVE a", {"a": None}), ("REMOVE gone", {}),
        ("REMOVE m.k", {"m": {"M": {"nested": ITEM["m"]["M"]["nested"]}}}),
        ("REMOVE m.gone", {}), ("REMOVE many[1]", many(ZERO, TWO, THREE)),
        ("REMOVE many[0], many[2]", many(ONE, THREE)),
        ("REMOVE many[2], many[0]", many(ONE, THREE)), ("REMOVE many[9]", {}),
        ("REMOVE many[2].deep", many(ZERO, ONE, {"M": {}}, THREE)),
        ("ADD n :n", {"n": {"N": "11"}}), ("ADD fresh :m", {"fresh": {"N": "2"}}),
        ("ADD m.k :m", {"m": {"M": {**ITEM["m"]["M"], "k": {"N": "3"}}}}),
        ("ADD many[1] :m", many(ZERO, {"N": "3"}, TWO, THREE)), ("ADD strings :ss", {}),
        ("ADD fresh :ss", {"fresh": {"SS": ["a", "b"]}}),
        ("ADD n :n, fresh :ns", {"n": {"N": "11"}, "fresh": {"NS": ["1", "2"]}}),
        ("DELETE strings :ss", {"strings": None}), ("DELETE gone :ss", {}),
        ("DELETE numbers :ns", {"numbers": None}),
        ("set n = :n remove a add numbers :ns delete strings :ss",
         {"n": {"N": "1"}, "a": None, "strings": None}),
        ("DELETE strings :ss REMOVE a ADD fresh :n SET n = a",
         {"strings": None, "a": None, "fresh": {"N": "1"}, "n": {"S": "abc"}}),
        ("SET n = a REMOVE a", {"n": {"S": "abc"}, "a": None}),
        ("SET many[1] = :s REMOVE many[0]", many(A, TWO, THREE)),
    ],
)  # fmt: skip
def test_an_update_sees_the_item_as_it_was_before(text: str, expected: Item) -> None:
    assert changed(text) == expected


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ("ADD strings :x", {"SS": ["c", "A"]}, {"SS": ["A", "a", "b", "c"]}),
        ("DELETE strings :x", {"SS": ["b", "c"]}, {"SS": ["a"]}),
        ("ADD numbers :x", {"NS": ["-1", "10"]}, {"NS": ["-1", "1", "2", "10"]}),
        ("DELETE numbers :x", {"NS": ["1"]}, {"NS": ["2"]}),
        ("ADD n :x", {"N": "-10"}, {"N": "0"}), ("ADD n :x", {"N": "0.5"}, {"N": "10.5"}),
        ("SET n = n - :x", {"N": "0.1"}, {"N": "9.9"}),
    ],
)  # fmt: skip
def test_sets_and_numbers_stay_canonical(text: str, value: AttributeValue, expected: AttributeValue) -> None:
    name = text.split()[1]
    assert applied(text, values={":x": value})[name] == expected


def test_an_absent_item_is_filled() -> None:
    assert applied("SET a = :s, n = if_not_exists(n, :n) ADD strings :ss", {}) == {
        "a": A,
        "n": {"N": "1"},
        "strings": {"SS": ["a", "b"]},
    }


def test_an_update_copies_only_what_it_changes() -> None:
    after = applied("SET m.k = :s")
    assert after["many"] is ITEM["many"]
    assert after["m"]["M"]["nested"] is ITEM["m"]["M"]["nested"]
    again = applied("SET fresh = m.nested, m.nested.q = :s")
    assert again["fresh"] == {"M": {"q": {"S": "z"}}}
    assert again["m"]["M"]["nested"] == {"M": {"q": A}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SET gone.b = :s", PATH), ("SET a.b = :s", PATH), ("SET a[0] = :s", PATH), ("SET m[0] = :s", PATH),
        ("SET many.k = :s", PATH),
        ("SET many[0].k = :s", PATH), ("SET many[7].k = :s", PATH), ("SET m.gone.k = :s", PATH),
        ("SET gone[0] = :s", PATH),
        ("REMOVE gone.b", PATH), ("REMOVE a[0]", PATH), ("ADD gone.b :n", PATH), ("ADD a.b :ss", PATH),
        ("SET fresh = gone", ABSENT), ("SET fresh = n + gone", ABSENT), ("SET fresh = m.gone", ABSENT),
        ("SET fresh = list_append(gone, :l)", ABSENT),
        ("SET fresh = if_not_exists(gone, m.gone)", ABSENT),
        ("SET n = n + a", WRONG_TYPE), ("SET n = a - :n", WRONG_TYPE),
        ("SET fresh = list_append(a, :l)", WRONG_TYPE),
        ("SET fresh = list_append(:l, n)", WRONG_TYPE), ("ADD a :n", WRONG_TYPE), ("ADD n :ss", WRONG_TYPE),
        ("ADD strings :ns", WRONG_TYPE),
        ("ADD strings :n", WRONG_TYPE), ("DELETE numbers :ss", WRONG_TYPE), ("DELETE a :ss", WRONG_TYPE),
    ],
)  # fmt: skip
def test_what_an_item_does_not_allow_is_refused(text: str, message: str) -> None:
    update = parse_update(text, given())
    assert refusal(lambda: update.apply(ITEM)) == message


def test_a_sum_out_of_range_is_refused() -> None:
    nines = {":x": {"N": "9" * 38}}
    update = parse_update("ADD n :x", given(values=nines))
    assert refusal(lambda: update.apply({"n": {"N": "0.1"}})) == (
        "Attempting to store more than 38 significant digits in a Number"
    )


OPERAND = "Incorrect operand type for operator or function; "
COUNT = "Incorrect number of operands for operator or function; operator or function: "
OVERLAP = "Two document paths overlap with each other; must remove or rewrite one of these paths; "
CONFLICT = "Two document paths conflict with each other; must remove or rewrite one of these paths; "
RESERVED = "Attribute name is a reserved keyword; reserved keyword: "


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "The expression can not be empty;"), ("\t", "The expression can not be empty;"),
        ("VALUE 1", 'Syntax error; token: "VALUE", near: "VALUE 1"'),
        ("SET _123 = :s", 'Syntax error; token: "_", near: "SET _123"'),
        ("SET", 'Syntax error; token: "<EOF>", near: "SET"'),
        ("SET a", 'Syntax error; token: "<EOF>", near: "a"'),
        ("SET a =", 'Syntax error; token: "<EOF>", near: "="'),
        ("SET a = :s,", 'Syntax error; token: "<EOF>", near: ","'),
        ("SET a = :n + :n + :n", 'Syntax error; token: "+", near: ":n + :n"'),
        ("SET a = -:n", 'Syntax error; token: "-", near: "= -:n"'),
        ("SET a = 1", 'Syntax error; token: "1", near: "= 1"'),
        ("ADD a b", 'Syntax error; token: "b", near: "a b"'),
        ("ADD a", 'Syntax error; token: "<EOF>", near: "a"'),
        ("DELETE a = :ss", 'Syntax error; token: "=", near: "a = :ss"'),
        ("REMOVE a = :s", 'Syntax error; token: "=", near: "a = :s"'),
        ("SET :s = a", 'Syntax error; token: ":s", near: "SET :s ="'),
        ("a = :s", 'Syntax error; token: "a", near: "a ="'),
        ("SET a = :s; REMOVE m", 'Syntax error; token: ";", near: ":s; REMOVE"'),
        ("SET name = :s", f"{RESERVED}name"), ("SET a = m.Key", f"{RESERVED}Key"),
        ("REMOVE a, Table", f"{RESERVED}Table"),
        ("SET a = #x",
         "An expression attribute name used in the document path is not defined; attribute name: #x"),
        ("SET a = :x",
         "An expression attribute value used in expression is not defined; attribute value: :x"),
        ("SET a = foo(a)", "Invalid function name; function: foo"),
        ("SET a = If_Not_Exists(a, :s)", "Invalid function name; function: If_Not_Exists"),
        ("SET a = size(a)", "The function is not allowed in an update expression; function: size"),
        ("SET a = attribute_exists(a)",
         "The function is not allowed in an update expression; function: attribute_exists"),
        ('SET a = :s SET n = :n', 'The "SET" section can only be used once in an update expression;'),
        ("REMOVE a SET n = :n remove m",
         'The "REMOVE" section can only be used once in an update expression;'),
        ("ADD n :n ADD m.k :n", 'The "ADD" section can only be used once in an update expression;'),
        ("DELETE n :ss DELETE m.k :ss",
         'The "DELETE" section can only be used once in an update expression;'),
        ("SET a = :s, a = :t", f"{OVERLAP}path one: [a], path two: [a]"),
        ("SET a = :s REMOVE a", f"{OVERLAP}path one: [a], path two: [a]"),
        ("SET a = :s, a.b = :t", f"{OVERLAP}path one: [a], path two: [a, b]"),
        ("SET a[0].b = :s REMOVE a[0]", f"{OVERLAP}path one: [a, [0], b], path two: [a, [0]]"),
        ("SET #a = :s, a = :t", f"{OVERLAP}path one: [a], path two: [a]"),
        ("SET m.b = :s, m[1] = :t", f"{CONFLICT}path one: [m, b], path two: [m, [1]]"),
        ("ADD a :s", f"{OPERAND}operator: ADD, operand type: STRING"),
        ("ADD a :b", f"{OPERAND}operator: ADD, operand type: BINARY"),
        ("ADD a :l", f"{OPERAND}operator: ADD, operand type: LIST"),
        ("ADD a :map", f"{OPERAND}operator: ADD, operand type: MAP"),
        ("ADD a :null", f"{OPERAND}operator: ADD, operand type: NULL"),
        ("ADD a :bool", f"{OPERAND}operator: ADD, operand type: BOOLEAN"),
        ("DELETE a :s", f"{OPERAND}operator: DELETE, operand type: STRING"),
        ("DELETE a :n", f"{OPERAND}operator: DELETE, operand type: NUMBER"),
        ("SET a = a + :s", f"{OPERAND}operator or function: +, operand type: S"),
        ("SET a = :l - a", f"{OPERAND}operator or function: -, operand type: L"),
        ("SET a = list_append(a, :s)", f"{OPERAND}operator or function: list_append, operand type: S"),
        ("SET a = list_append(:n, a)", f"{OPERAND}operator or function: list_append, operand type: N"),
        ("SET a = list_append(a)", f"{COUNT}list_append, number of operands: 1"),
        ("SET a = if_not_exists(a)", f"{COUNT}if_not_exists, number of operands: 1"),
        ("SET a = if_not_exists(a, :s, :t)", f"{COUNT}if_not_exists, number of operands: 3"),
        ("SET a = if_not_exists(:s, a)",
         "Operator or function requires a document path; operator or function: if_not_exists"),
        ("SET a = list_append(list_append(a), :l)", f"{COUNT}list_append, number of operands: 1"),
    ],
)  # fmt: skip
def test_a_wrong_update_is_refused_in_awss_words(text: str, message: str) -> None:
    assert refusal(lambda: parse_update(text, given())) == PREFIX + message


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("SET a = foo(a), name = :s", f"{RESERVED}name"),
        ("SET a = :s SET n = foo(n)", "Invalid function name; function: foo"),
        ("SET a = #x SET n = :n", 'The "SET" section can only be used once in an update expression;'),
        ("SET a = :x, n = #x",
         "An expression attribute name used in the document path is not defined; attribute name: #x"),
        ("SET a = :s, a = :x",
         "An expression attribute value used in expression is not defined; attribute value: :x"),
        ("SET m.b = :s, m[1] = :t, a = :s, a = :t", f"{OVERLAP}path one: [a], path two: [a]"),
        ("ADD a :s SET m.b = :s, m[1] = :t", f"{CONFLICT}path one: [m, b], path two: [m, [1]]"),
        ("SET n = size(n) ADD a :s", f"{OPERAND}operator: ADD, operand type: STRING"),
        ("SET n = if_not_exists(n) ADD a :s", f"{OPERAND}operator: ADD, operand type: STRING"),
        ("SET a = foo(", 'Syntax error; token: "<EOF>", near: "("'),
    ],
)  # fmt: skip
def test_of_several_errors_the_one_that_aws_reports_comes_first(text: str, first: str) -> None:
    assert refusal(lambda: parse_update(text, given())) == PREFIX + first


def test_updated_values_are_the_touched_parts() -> None:
    update = parse_update("SET m.k = :s, fresh = :n REMOVE a", given())
    after = update.apply(ITEM)
    assert update.top_level_names() == {"m", "fresh", "a"}
    assert update.touched(ITEM, after, "OLD") == {"m": {"M": {"k": {"N": "1"}}}, "a": {"S": "abc"}}
    assert update.touched(ITEM, after, "NEW") == {"m": {"M": {"k": A}}, "fresh": {"N": "1"}}


def test_one_text_serves_other_names_and_values() -> None:
    for name, value in (("one", {"S": "x"}), ("two", {"N": "1"})):
        update = parse_update("SET #p = :v", Placeholders({"#p": name}, {":v": value}))
        assert update.apply({}) == {name: value}
