"""Matching: every operator at its bound and one past it, presence, arrays, names with dots."""

from typing import Any

import pytest

from tailrace.patterns.pattern import compile_pattern

ABSENT = object()
# alternatives, values that match, values that do not
OPERATORS: list[tuple[list[Any], list[Any], list[Any]]] = [
    (["x"], ["x"], ["X", "", "xx", 1, None, True, ABSENT, {}, [], {"x": "x"}]),
    ([""], [""], [" ", None, 0, False, ABSENT]),
    (["x", "y"], ["x", "y"], ["z", ABSENT]),
    ([True], [True], [1, "true", False, None]),
    ([False], [False], [0, "false", "", None, ABSENT]),
    ([None], [None], ["null", "", 0, False, ABSENT]),
    ([1], [1, 1.0], ["1", True, 2]),
    ([0], [0, 0.0, -0.0], ["0", False, None]),
    ([300.0], [300, 300.0], ["300", "300.0", 301]),
    ([9007199254740993], [9007199254740993], [9007199254740992, 9007199254740992.0]),
    ([{"exactly": "x"}], ["x"], ["y", ABSENT]),
    ([{"prefix": "ab"}], ["ab", "abc"], ["a", "Ab", "xab", 1, None, ABSENT]),
    ([{"prefix": ""}], ["", "a"], [1, None, ABSENT]),
    ([{"prefix": 'a"'}], ['a"', 'a"b', "a"], ["ab", "", 'a"'[1:]]),
    ([{"suffix": "bc"}], ["bc", "abc"], ["c", "bC", "bcx", 1, None, ABSENT]),
    ([{"suffix": '"a'}], ['"a', "a"], ["ba", ""]),
    ([{"prefix": {"equals-ignore-case": "aB"}}], ["ab", "ABc", "Ab"], ["b", "xab", None]),
    ([{"suffix": {"equals-ignore-case": "aB"}}], ["ab", "cAB", "\nAb"], ["b", "abx", None]),
    ([{"suffix": {"equals-ignore-case": '"a'}}], ['"A', "A"], ["bA"]),
    ([{"prefix": {"equals-ignore-case": 'a"'}}], ['A"b', "A"], ["Ab"]),
    ([{"equals-ignore-case": "StraSSe"}], ["strasse", "STRASSE"], ["straße", "strass", 1, ABSENT]),
    ([{"equals-ignore-case": "ß"}], ["ß", "SS"], ["ss", "ẞ"]),
    ([{"equals-ignore-case": "k"}], ["k", "K"], ["\u212a"]),
    ([{"equals-ignore-case": "a.c"}], ["A.C"], ["abc"]),
    ([{"equals-ignore-case": ""}], [""], ["a", None]),
    ([{"wildcard": "*"}], ["", "x", "a\nb"], [1, None, ABSENT]),
    ([{"wildcard": "a*"}], ["a", "ab"], ["", "ba"]),
    ([{"wildcard": "*a"}], ["a", "ba"], ["", "ab"]),
    ([{"wildcard": "a*a"}], ["aa", "aba"], ["a", "ab"]),
    ([{"wildcard": "a*b*c"}], ["abc", "a-b-b-c", "abbc"], ["acb", "ac", "ab"]),
    ([{"wildcard": "a*b*b"}], ["abb", "a1b2b"], ["ab"]),
    ([{"wildcard": "plain"}], ["plain"], ["plains"]),
    ([{"wildcard": ""}], [""], ["x"]),
    ([{"wildcard": "a\\*b"}], ["a*b"], ["axb", "a\\*b"]),
    ([{"wildcard": "a\\\\*"}], ["a\\", "a\\b"], ["a*"]),
    ([{"anything-but": "x"}], ["y", "", 1, True, None], ["x", ABSENT, {}, []]),
    ([{"anything-but": 5}], [6, "5", None, False], [5, 5.0, ABSENT]),
    ([{"anything-but": 0}], [1, False, "0", ""], [0, 0.0, -0.0, ABSENT]),
    ([{"anything-but": ["x", "y"]}], ["z", 1, None], ["x", "y", ABSENT]),
    ([{"anything-but": [1, 2]}], [3, "1", None], [1, 2.0, ABSENT]),
    ([{"anything-but": []}], ["x", None, 0], [ABSENT]),
    ([{"anything-but": {"prefix": "ab"}}], ["a", 1, None], ["ab", "abc", ABSENT]),
    ([{"anything-but": {"prefix": ["a", "b"]}}], ["c", ""], ["ax", "bx"]),
    ([{"anything-but": {"suffix": ["a", "b"]}}], ["c", ""], ["xa", "xb"]),
    ([{"anything-but": {"equals-ignore-case": ["Aa", "b"]}}], ["a", 1], ["aA", "B"]),
    ([{"anything-but": {"wildcard": "a*c"}}], ["ab", None], ["ac", "abc"]),
    ([{"numeric": ["=", 5]}], [5, 5.0], ["5", 4, None, True, ABSENT]),
    ([{"numeric": [">", 0]}], [0.1, 1e300], [0, -1, "1", True]),
    ([{"numeric": [">=", 0]}], [0, -0.0, 1], [-0.1, None]),
    ([{"numeric": ["<", 0]}], [-1], [0, 1]),
    ([{"numeric": ["<=", 0]}], [0, -1], [0.5]),
    ([{"numeric": [">", 0, "<=", 5]}], [5, 0.1], [0, 5.1]),
    ([{"numeric": [">=", 0, "<", 5]}], [0, 4.9], [5, -0.1]),
    ([{"numeric": [">", 5e9]}], [5_000_000_001], [5_000_000_000]),
    ([{"cidr": "10.0.0.0/24"}], ["10.0.0.0", "10.0.0.255"],
     ["10.0.1.0", "9.255.255.255", "x", "", 1, ABSENT]),
    ([{"cidr": "10.0.0.99/24"}], ["10.0.0.1"], ["10.0.1.1"]),
    ([{"cidr": "10.0.0.0/0"}], ["255.255.255.255", "0.0.0.0"], ["::1"]),
    ([{"cidr": "10.0.0.0/24"}], ["::ffff:10.0.0.7", "10.0.7", "10.7"],
     ["10.256", "10.0.0.0.1", "10.0.0.", "10.0.0.256"]),
    ([{"cidr": "2001:db8::/32"}], ["2001:db8::1", "2001:0DB8:FFFF::"],
     ["2001:db9::", "10.0.0.1", "2001:db8"]),
    ([{"exists": True}], ["x", None, False, 0], [ABSENT, {}, [], {"b": 1}]),
    ([{"exists": False}], [ABSENT, {}, [], {"b": 1}, [{}], [[]]], ["x", None, False, 0, ["x"]]),
    ([{"exists": False}, "x"], [ABSENT, "x", {}], ["y", None]),
    ([{"numeric": [">", 100]}, {"anything-but": "101"}], ["42", 101, 7], ["101", ABSENT]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("alternatives", "matching", "others"), OPERATORS, ids=[str(case[0]) for case in OPERATORS]
)
def test_an_operator_matches_this_and_not_that(
    alternatives: list[Any], matching: list[Any], others: list[Any]
) -> None:
    for nested in (False, True):
        pattern = compile_pattern({"o": {"a": alternatives}} if nested else {"a": alternatives}, "event-bus")
        for value in [*matching, *others]:
            inner = {"z": 1} if value is ABSENT else {"a": value, "z": 1}
            event = {"o": inner} if nested else inner
            assert pattern.matches(event) is any(value is matched for matched in matching), value


# pattern, event, whether it matches
STRUCTURE: list[tuple[Any, Any, bool]] = [
    ({"a": ["x"], "b": ["y"]}, {"a": "x", "b": "y"}, True),
    ({"a": ["x"], "b": ["y"]}, {"a": "x", "b": "z"}, False),
    ({"a": ["x"], "b": [{"exists": False}]}, {"a": "x"}, True),
    ({"A": ["x"]}, {"a": "x"}, False),
    # names with dots
    ({"a.b": ["x"]}, {"a": {"b": "x"}}, True),
    ({"a": {"b": ["x"]}}, {"a.b": "x"}, True),
    ({"a": {"b": {"c": ["x"]}}}, {"a.b": {"c": "x"}}, True),
    ({"a": {"b": {"c": ["x"]}}}, {"a": {"b.c": "x"}}, True),
    ({"a.b": [{"exists": False}]}, {"a": {"b": "x"}}, False),
    ({"a": {"b": ["x"]}}, {"a.b": "y", "a": {"b": "x"}}, True),
    ({"a": {"": ["x"]}}, {"a": {"": "x"}}, True),
    # alternatives of OR
    ({"$or": [{"a": ["x"]}, {"b": ["y"]}]}, {"b": "y"}, True),
    ({"$or": [{"a": ["x"]}, {"b": ["y"]}]}, {"b": "x"}, False),
    ({"s": ["1"], "$or": [{"a": ["x"]}, {"b": ["y"]}]}, {"a": "x"}, False),
    ({"s": ["1"], "$or": [{"a": ["x"]}, {"b": ["y"]}]}, {"a": "x", "s": "1"}, True),
    ({"d": {"$or": [{"a": ["x"]}, {"b": [{"exists": False}]}]}}, {"d": {"b": "y"}}, False),
    ({"$or": [{"prefix": "y"}, {"suffix": "z"}]}, {"$or": "yes"}, True),
    # arrays
    ({"a": ["x"]}, {"a": ["y", "x"]}, True),
    ({"a": ["x"]}, {"a": []}, False),
    ({"a": ["x"]}, {"a": [["x"]]}, True),
    ({"a": [{"anything-but": "x"}]}, {"a": ["x", "y"]}, True),
    ({"a": [{"anything-but": "x"}]}, {"a": ["x"]}, False),
    ({"a": {"b": ["x"]}}, {"a": ["x"]}, False),
    ({"a": {"b": ["x"]}}, {"a": [1, {"b": "x"}]}, True),
    ({"a": {"b": ["x"], "c": ["y"]}}, {"a": [{"b": "x", "c": "y"}]}, True),
    ({"a": {"b": ["x"], "c": ["y"]}}, {"a": [{"b": "x"}, {"c": "y"}]}, False),
    ({"a": {"b": ["x"]}, "z": ["q"]}, {"a": [{"b": "x"}, {"b": "y"}], "z": ["p", "q"]}, True),
    ({"a": {"b": {"c": ["x"]}, "d": ["y"]}}, {"a": [{"b": [{"c": "x"}], "d": "y"}]}, True),
    ({"a": {"b": {"c": ["x"]}, "d": ["y"]}},
     {"a": [{"b": [{"c": "x"}], "d": "n"}, {"b": [{"c": "n"}], "d": "y"}]},
     False),
    ({"a": {"b": {"c": ["x"], "d": ["y"]}}}, {"a": [{"b": [{"c": "x"}, {"d": "y"}]}]}, False),
    ({"a": {"b": ["x"], "c": [{"exists": False}]}}, {"a": [{"b": "x"}, {"b": "y", "c": 1}]}, True),
    ({"a": {"b": ["x"], "c": [{"exists": False}]}}, {"a": [{"b": "x", "c": 1}, {"b": "y"}]}, False),
    # absence is asked in the order of names, of the elements chosen so far
    ({"a": {"b": [{"exists": False}], "c": ["x"]}}, {"a": [{"c": "x"}, {"b": 1}]}, False),
    ({"a": {"b": [{"exists": False}]}}, {"a": [{"c": "x"}, {"c": "y"}]}, True),
    # a scalar of an array lies in none of its elements
    ({"a": ["x"], "a.b": ["y"]}, {"a": ["x", {"b": "y"}]}, True),
    ({"a": ["x"], "a.b": ["y"], "a.c": ["z"]}, {"a": ["x", {"b": "y"}, {"c": "z"}]}, False),
    ({"a": ["x"], "a.b": ["y"], "a.c": ["z"]}, {"a": [{"b": "y", "c": "z"}, "x"]}, True),
    ({"a": ["x"], "a.b": [{"exists": False}]}, {"a": ["x", {"b": "y"}]}, False),
    ({"a": ["x"], "a.b": ["y"]}, {"a": [["x"], {"b": "y"}]}, False),
]  # fmt: skip


@pytest.mark.parametrize(("pattern", "event", "expected"), STRUCTURE)
def test_fields_are_joined_as_the_engine_joins_them(pattern: Any, event: Any, expected: bool) -> None:
    assert compile_pattern(pattern, "event-bus").matches(event) is expected


def test_an_item_with_thousands_of_elements_is_judged_at_once() -> None:
    many = [{"M": {"sku": {"S": f"s{index}"}, "n": {"N": str(index)}}} for index in range(3_000)]
    inside = {"L": {"M": {"sku": {"S": [{"exists": True}]}, "n": {"N": ["2999"]}, "x": {"S": ["none"]}}}}
    pattern = compile_pattern({"NewImage": {"lines": inside, "more": inside}})
    assert not pattern.matches({"NewImage": {"lines": {"L": many}, "more": {"L": many}}})


@pytest.mark.parametrize("event", [{}, {"a": object()}, {"a": b"x"}, {"a": ("x",)}, {"a": float("nan")}])
def test_values_that_no_json_has_match_nothing_and_raise_nothing(event: Any) -> None:
    assert not compile_pattern({"a": ["x", 1, {"numeric": [">", 0]}, {"prefix": "x"}]}).matches(event)
