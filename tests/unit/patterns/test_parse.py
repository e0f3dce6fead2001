"""Reading patterns: what they become, and every refusal in the words of AWS's engine."""

import json
from typing import Any

import pytest

from tailrace.errors import PatternError
from tailrace.patterns.nodes import (
    Affix,
    AnyCase,
    AnythingBut,
    AnythingButLike,
    Exact,
    Exists,
    Numeric,
    RangeEnd,
    Wildcard,
)
from tailrace.patterns.number import Number
from tailrace.patterns.parse import parse
from tailrace.patterns.pattern import compile_pattern

LIST_TEXT = "Inside anything but list, start|null|boolean is not supported."
LIKE_LIST = "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported."
MIXED = "Inside anything but list, either all values are number or string, mixed type is not supported"
SCALAR = "Value of anything-but must be an array or single string/number value."
ONE_KEY = "Only one key allowed in match expression"
AFFIX = "prefix/suffix match pattern must be a string"

WHOLE = [
    ("[]", "Filter is not an object"),
    ('"a"', "Filter is not an object"),
    ("null", "Filter is not an object"),
    ('{"a": {}}', "Empty objects are not allowed"),
    ('{"a": []}', "Empty arrays are not allowed"),
    ('{"a": "x"}', '"a" must be an object or an array'),
    ('{"a": 1}', '"a" must be an object or an array'),
    ('{"a": null}', '"a" must be an object or an array'),
    ('{"a": {"b": true}}', '"b" must be an object or an array'),
    ('{"a": [["x"]]}', "Match value must be String, number, true, false, or null"),
    ('{"a": [{}]}', "Match expression name not found"),
    ('{"a": [{"Prefix": "x"}]}', "Unrecognized match type Prefix"),
    ('{"$or": 1}', "It must be an Array followed with $or."),
    ('{"$or": []}', "Empty arrays are not allowed"),
    ('{"$or": [{"a": ["x"]}]}', "There must have at least 2 Objects in $or relationship."),
    ('{"$or": [{"a": ["x"]}, {}]}', "Empty objects are not allowed"),
    ('{"$or": [{"a": ["x"]}, ["y"]]}', "Only JSON object is allowed in array of $or relationship."),
    ('{"$or": [{"a": ["x"]}, {"date-after": ["y"]}]}',
     "date-after is Ruler reserved fieldName which cannot be used inside $or."),
]  # fmt: skip
EXPRESSIONS: list[tuple[Any, str]] = [
    ({"prefix": 1}, "prefix match pattern must be a string"),
    ({"prefix": ["a"]}, "prefix match pattern must be a string"),
    ({"prefix": {}}, "Prefix expression name not found"),
    ({"prefix": {"suffix": "a"}}, "Unsupported prefix pattern: suffix"),
    ({"prefix": {"equals-ignore-case": 1}}, "equals-ignore-case match pattern must be a string"),
    ({"prefix": {"equals-ignore-case": "a", "x": "y"}}, ONE_KEY),
    ({"suffix": None}, "suffix match pattern must be a string"),
    ({"suffix": {}}, "Suffix expression name not found"),
    ({"suffix": {"prefix": "a"}}, "Unsupported suffix pattern: prefix"),
    ({"prefix": "a", "suffix": "b"}, ONE_KEY),
    ({"equals-ignore-case": ["a"]}, "equals-ignore-case match pattern must be a string"),
    ({"exactly": 1}, "exact match pattern must be a string"),
    ({"exists": "true"}, "exists match pattern must be either true or false."),
    ({"exists": 1}, "exists match pattern must be either true or false."),
    ({"exists": True, "prefix": "a"}, ONE_KEY),
    ({"wildcard": 1}, "wildcard match pattern must be a string"),
    ({"wildcard": ["a*"]}, "wildcard match pattern must be a string"),
    ({"wildcard": "**"}, "Consecutive wildcard characters at pos 1"),
    ({"wildcard": "a**b"}, "Consecutive wildcard characters at pos 2"),
    ({"wildcard": "ä**"}, "Consecutive wildcard characters at pos 3"),
    ({"wildcard": "\\**" + "*"}, "Consecutive wildcard characters at pos 3"),
    ({"wildcard": "a\\b"}, "Invalid escape character at pos 2"),
    ({"wildcard": "a\\"}, "Invalid escape character at pos 2"),
    ({"anything-but": None}, SCALAR),
    ({"anything-but": True}, SCALAR),
    ({"anything-but": [None]}, LIST_TEXT),
    ({"anything-but": ["a", True]}, LIST_TEXT),
    ({"anything-but": [["a"]]}, LIST_TEXT),
    ({"anything-but": [{"prefix": "a"}]}, LIST_TEXT),
    ({"anything-but": ["a", 1]}, MIXED),
    ({"anything-but": {}}, "Anything-But expression name not found"),
    ({"anything-but": {"numeric": ["=", 1]}}, "Unsupported anything-but pattern: numeric"),
    ({"anything-but": {"prefix": 1}}, AFFIX),
    ({"anything-but": {"prefix": ["a", 1]}}, AFFIX),
    ({"anything-but": {"prefix": ""}}, "Null prefix/suffix not allowed"),
    ({"anything-but": {"suffix": ["a", ""]}}, "Null prefix/suffix not allowed"),
    ({"anything-but": {"suffix": []}}, "Null prefix/suffix not allowed"),
    ({"anything-but": {"prefix": {"equals-ignore-case": "a"}}}, SCALAR),
    ({"anything-but": {"equals-ignore-case": 1}}, LIKE_LIST),
    ({"anything-but": {"equals-ignore-case": ["a", 1]}}, LIKE_LIST),
    ({"anything-but": {"wildcard": 1}}, "wildcard match pattern must be a string"),
    ({"anything-but": {"wildcard": ["a", "**"]}}, "Consecutive wildcard characters at pos 1"),
    ({"anything-but": {"prefix": "a", "suffix": "b"}}, ONE_KEY),
    ({"anything-but": "a", "prefix": "b"}, ONE_KEY),
    ({"numeric": 1}, "Value of numeric must be an array."),
    ({"numeric": []}, "Invalid member in numeric match: ]"),
    ({"numeric": [1]}, "Invalid member in numeric match: 1"),
    ({"numeric": [True]}, "Invalid member in numeric match: true"),
    ({"numeric": [None]}, "Invalid member in numeric match: null"),
    ({"numeric": [[]]}, "Invalid member in numeric match: ["),
    ({"numeric": [{}]}, "Invalid member in numeric match: {"),
    ({"numeric": ["=="]}, "Unrecognized numeric range operator: =="),
    ({"numeric": ["="]}, "Value of equals must be numeric"),
    ({"numeric": ["=", "1"]}, "Value of equals must be numeric"),
    ({"numeric": [">", "1"]}, "Value of > must be numeric"),
    ({"numeric": [">="]}, "Value of >= must be numeric"),
    ({"numeric": ["<", None]}, "Value of < must be numeric"),
    ({"numeric": ["<=", True]}, "Value of <= must be numeric"),
    ({"numeric": ["=", 1, 2]}, "Too many elements in numeric expression"),
    ({"numeric": ["<", 5, ">", 1]}, "Too many elements in numeric expression"),
    ({"numeric": [">", 1, 2]}, "Bad value in numeric range: 2"),
    ({"numeric": [">", 1, ">", 2]}, "Bad numeric range operator: >"),
    ({"numeric": [">", 1, "<"]}, "Value of < must be numeric"),
    ({"numeric": [">", 1, "<", 2, "<"]}, "Too many terms in numeric range expression"),
    ({"numeric": [">", 2, "<", 2]}, "Bottom must be less than top"),
    ({"numeric": [">=", 3, "<=", 2]}, "Bottom must be less than top"),
    ({"numeric": ["=", 9007199254740993]}, "Cannot compare number : 9007199254740993"),
    ({"numeric": ["=", 1], "x": 1}, ONE_KEY),
    ({"cidr": 1}, "prefix match pattern must be a string"),
    ({"cidr": "10.0.0.0"}, "Malformed CIDR, one '/' required"),
    ({"cidr": "10.0.0.0/8/8"}, "Malformed CIDR, one '/' required"),
    ({"cidr": "10.0.0.0/x"}, "Malformed CIDR, mask bits must be an integer"),
    ({"cidr": "10.0.0.0/-1"}, "Malformed CIDR, mask bits must not be negative"),
    ({"cidr": "10.0.0.256/8"}, "Nonstandard IP address: 10.0.0.256"),
    ({"cidr": "host/8"}, "Nonstandard IP address: host"),
    ({"cidr": "10.0.0.0/32"}, "IPv4 mask bits must be < 32"),
    ({"cidr": "::/128"}, "IPv6 mask bits must be < 128"),
]


@pytest.mark.parametrize(("text", "reason"), WHOLE)
def test_a_wrong_pattern_is_refused_in_the_engines_words(text: str, reason: str) -> None:
    with pytest.raises(PatternError) as caught:
        parse(text, "event-bus")
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("expression", "reason"), EXPRESSIONS, ids=[str(expression) for expression, _ in EXPRESSIONS]
)
def test_a_wrong_expression_is_refused_in_the_engines_words(expression: Any, reason: str) -> None:
    for pattern in ({"a": [expression]}, json.dumps({"a": [expression]})):
        with pytest.raises(PatternError) as caught:
            parse(pattern, "event-bus")
        assert str(caught.value) == reason


def test_the_first_mistake_is_told() -> None:
    with pytest.raises(PatternError, match="Unrecognized match type first"):
        parse('{"a": [{"first": 1}, {"second": 1}], "b": 1}')


@pytest.mark.parametrize("text", ["", "{", '{"a": ["x"]', '{"a": [NaN]}', "{'a': ['x']}", "\ud800", b"\xff"])
def test_what_is_no_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(PatternError, match="Filter is not valid JSON"):
        parse(text)


@pytest.mark.parametrize("levels", [201, 5_000, 100_000])
def test_a_pattern_that_nests_too_deep_is_refused(levels: int) -> None:
    with pytest.raises(PatternError, match=r"nested|recursion"):
        parse('{"a":' * levels + '["x"]' + "}" * levels)


@pytest.mark.parametrize("value", [object(), {"a": [b"x"]}, {"a": [object()]}])
def test_values_that_no_json_has_are_refused(value: Any) -> None:
    with pytest.raises(PatternError):
        parse(value)


@pytest.mark.parametrize(
    ("word", "expression"),
    [
        ("wildcard", {"wildcard": "a*"}),
        ("cidr", {"cidr": "10.0.0.0/8"}),
        ("exactly", {"exactly": "a"}),
        ("anything-but with prefix", {"anything-but": {"prefix": "a"}}),
        ("anything-but with suffix", {"anything-but": {"suffix": "a"}}),
        ("anything-but with equals-ignore-case", {"anything-but": {"equals-ignore-case": "a"}}),
        ("anything-but with wildcard", {"anything-but": {"wildcard": "a*"}}),
    ],
)
def test_what_only_event_buses_have_is_refused_in_mappings(word: str, expression: Any) -> None:
    with pytest.raises(PatternError, match=f"^Unsupported match type {word}: only event buses have it$"):
        parse({"a": [expression]})
    assert parse({"a": [expression]}, "event-bus")


def test_every_form_is_read() -> None:
    (rule,) = parse(
        '{"a": ["x", 3.0e2, true, null, {"exactly": "y"}, {"prefix": "p"}, {"suffix": '
        '{"equals-ignore-case": "s"}}, {"equals-ignore-case": "e"}, {"wildcard": "a*\\\\*b"}, '
        '{"anything-but": "n"}, '
        '{"anything-but": [1, 2]}, {"anything-but": {"prefix": "q"}}, {"numeric": [">", 1, "<=", '
        '2]}, {"numeric": ["=", 5]}, {"exists": false}]}',
        "event-bus",
    )
    assert rule["a"] == (
        Exact("x"),
        Exact(Number("3.0e2")),
        Exact(True),
        Exact(None),
        Exact("y"),
        Affix("prefix", "p"),
        Affix("suffix", "s", any_case=True),
        AnyCase("e"),
        Wildcard(("a", "*b")),
        AnythingBut(("n",)),
        AnythingBut((Number("1"), Number("2"))),
        AnythingButLike((Affix("prefix", "q"),), "prefix"),
        Numeric(RangeEnd(Number("1"), is_open=True), RangeEnd(Number("2"), is_open=False)),
        Numeric(RangeEnd(Number("5"), is_open=False), RangeEnd(Number("5"), is_open=False)),
        Exists(False),
    )


def test_an_empty_pattern_lets_everything_pass_in_mappings_only() -> None:
    assert compile_pattern("{}").matches({"a": 1})
    with pytest.raises(PatternError, match="Empty objects are not allowed"):
        parse("{}", "event-bus")


def test_of_a_name_given_twice_the_last_one_counts_and_objects_are_joined() -> None:
    assert parse('{"a": {"b": ["x"]}, "a.b": ["y"], "a": {"c": ["z"]}}') == (
        {"a.b": (Exact("y"),), "a.c": (Exact("z"),)},
    )


def test_or_multiplies_the_rules() -> None:
    rules = parse(
        '{"s": ["x"], "$or": [{"a": ["1"]}, {"b": ["2"]}], "d": {"$or": [{"c": ["3"]}, {"e": ["4"]}]}}'
    )
    assert [set(rule) for rule in rules] == [
        {"s", "a", "d.c"},
        {"s", "b", "d.c"},
        {"s", "a", "d.e"},
        {"s", "b", "d.e"},
    ]


def test_too_many_combinations_are_refused_at_once() -> None:
    ways = {"$or": [{f"f{number}": ["x"]} for number in range(20)]}
    with pytest.raises(PatternError, match="more than 1000 combinations"):
        parse({"a": ways, "b": ways, "c": ways, "d": ways})


def test_an_older_patterns_field_called_or_stays_a_field() -> None:
    assert parse('{"$or": ["x", {"prefix": "y"}]}') == ({"$or": (Exact("x"), Affix("prefix", "y"))},)
    assert parse('{"$or": [{"prefix": "y"}, {"suffix": "z"}]}') == (
        {"$or": (Affix("prefix", "y"), Affix("suffix", "z"))},
    )


def test_a_pattern_shows_itself_as_text() -> None:
    pattern = compile_pattern('{"a":[3.0e2,{"numeric":[">=",1]}],"$or":[{"b":["x"]},{"c":["y"]}]}')
    assert str(pattern) == '{"a": [3.0e2, {"numeric": [">=", 1]}], "$or": [{"b": ["x"]}, {"c": ["y"]}]}'
    assert compile_pattern(str(pattern)) == pattern
    assert hash(compile_pattern(str(pattern))) == hash(pattern)
    assert pattern.names == {"a", "b", "c"}
    assert "event-bus" not in repr(pattern)
