"""Properties of patterns: the compiled form against a slow model of AWS's engine, texts, and
any input at all.

The model is the engine's own way: an event becomes a sorted list of leaves as text with the array elements
they lie in, a rule walks over it from name to name. Rules of this file: the model shares nothing with the
compiled form but the nodes of a parsed pattern.
"""

import json
from collections.abc import Iterator
from decimal import Decimal
from ipaddress import ip_address, ip_network
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.errors import PatternError
from tailrace.patterns.nodes import (
    Affix,
    AnyCase,
    AnythingBut,
    AnythingButLike,
    Cidr,
    Exact,
    Exists,
    Numeric,
    Rule,
    Wildcard,
)
from tailrace.patterns.number import Number
from tailrace.patterns.parse import parse
from tailrace.patterns.pattern import Pattern, compile_pattern

relaxed = settings(deadline=None, max_examples=80)
"""Examples may take long on a busy machine; that is not what is tested."""

Leaf = tuple[str, Any, dict[int, int]]


# ---- the model ---------------------------------------------------------------------------------------------


def flattened(event: dict[str, Any]) -> list[Leaf]:
    """Every leaf: dotted name, value, element by array, sorted by name."""
    counter = iter(range(1_000_000))

    def walk(value: Any, path: tuple[str, ...], within: dict[int, int]) -> Iterator[Leaf]:
        if isinstance(value, dict):
            for name, member in value.items():
                yield from walk(member, (*path, name), within)
        elif isinstance(value, list):
            array = next(counter)
            for index, element in enumerate(value):
                yield from walk(
                    element, path, {**within, array: index} if isinstance(element, dict | list) else within
                )
        else:
            yield ".".join(path), value, within

    return sorted(walk(event, (), {}), key=lambda leaf: leaf[0].encode("utf-16-be", "surrogatepass"))


def joined(first: dict[int, int], second: dict[int, int]) -> dict[int, int] | None:
    both = {**first, **second}
    return both if all(both[array] == index for array, index in first.items()) else None


def rule_matches(rule: Rule, leaves: list[Leaf]) -> bool:
    names = sorted(rule, key=lambda name: name.encode("utf-16-be", "surrogatepass"))

    def walk(number: int, within: dict[int, int]) -> bool:
        if number == len(names):
            return True
        met = False
        for name, value, lies in leaves:
            after = joined(within, lies) if name == names[number] else None
            if after is not None:
                met = True
                if any(leaf_matches(leaf, value) for leaf in rule[name]) and walk(number + 1, after):
                    return True
        return not met and Exists(False) in rule[names[number]] and walk(number + 1, within)

    return walk(0, {})


def spoken(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else json.dumps(value)


def same_number(number: Number, value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and Decimal(number.text) == Decimal(repr(value))


def leaf_matches(asked: Any, value: Any) -> bool:
    text = spoken(value)
    match asked:
        case Exact(Number() as number):
            return same_number(number, value)
        case Exact(exact):
            return text == spoken(exact)
        case Affix("prefix", wanted, any_case):
            return begins(text, '"' + wanted, any_case)
        case Affix(_, wanted, any_case):
            return begins(text[::-1], '"' + wanted[::-1], any_case)
        case AnyCase(wanted):
            return len(text) == len(wanted) + 2 and begins(text, f'"{wanted}"', True)
        case Wildcard(pieces):
            return isinstance(value, str) and is_like(pieces, value)
        case AnythingBut(values):
            return not any(
                same_number(alternative, value)
                if isinstance(alternative, Number)
                else spoken(alternative) == text
                for alternative in values
            )
        case AnythingButLike(like):
            return not any(leaf_matches(alternative, value) for alternative in like)
        case Numeric(bottom, top):
            if not isinstance(value, int | float) or isinstance(value, bool):
                return False
            exact = Decimal(repr(value))
            above = (
                bottom is None
                or exact > Decimal(bottom.number.text)
                or (not bottom.is_open and exact == Decimal(bottom.number.text))
            )
            below = (
                top is None
                or exact < Decimal(top.number.text)
                or (not top.is_open and exact == Decimal(top.number.text))
            )
            return above and below
        case Cidr(wanted):
            try:
                return (
                    ip_address(value) in ip_network(wanted, strict=False) if isinstance(value, str) else False
                )
            except ValueError:
                return False
        case Exists(there):
            return there
    raise AssertionError(asked)


def begins(text: str, wanted: str, any_case: bool) -> bool:
    if not any_case:
        return text.startswith(wanted)
    return len(text) >= len(wanted) and all(
        had in (asked.lower(), asked.upper()) for had, asked in zip(text, wanted, strict=False)
    )


def is_like(pieces: tuple[str, ...], value: str) -> bool:
    if len(pieces) == 1:
        return value == pieces[0]
    first, *rest = pieces
    if not value.startswith(first):
        return False
    left = value[len(first) :]
    return any(is_like_after(rest, left[start:]) for start in range(len(left) + 1))


def is_like_after(pieces: list[str], value: str) -> bool:
    """The same behind an asterisk that has taken what it wants."""
    return is_like(tuple(pieces), value)


# ---- inputs ------------------------------------------------------------------------------------------------

NAMES = st.sampled_from(["a", "b", "c", "a.b", "b.c", "$or", "prefix"])
TEXTS = st.text('aAbBkß"*\\.', max_size=4)
NUMBERS = st.one_of(st.integers(-3, 3), st.sampled_from([0.5, -0.0, 1e300, 3.0, 2**53, 2**60]))
SCALARS = st.one_of(
    TEXTS, NUMBERS, st.booleans(), st.none(), st.sampled_from(["10.0.0.1", "10.1.0.1", "::1"])
)
EVENTS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["a", "b", "c", "a.b"]), inner, max_size=3),
    ),
    max_leaves=10,
)
DOCUMENTS = st.dictionaries(st.sampled_from(["a", "b", "c", "a.b", "$or"]), EVENTS, max_size=4)
WORDS = st.text("aAbB", min_size=1, max_size=2)
WILDCARDS = st.lists(st.text("ab", min_size=1, max_size=2), min_size=1, max_size=3).map("*".join)
COMPARABLE = st.integers(-3, 3)


def one_or_list(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(values, st.lists(values, min_size=1, max_size=3))


EXPRESSIONS = st.one_of(
    st.fixed_dictionaries({"prefix": TEXTS}),
    st.fixed_dictionaries({"suffix": TEXTS}),
    st.fixed_dictionaries({"prefix": st.fixed_dictionaries({"equals-ignore-case": WORDS})}),
    st.fixed_dictionaries({"suffix": st.fixed_dictionaries({"equals-ignore-case": WORDS})}),
    st.fixed_dictionaries({"equals-ignore-case": WORDS}),
    st.fixed_dictionaries({"wildcard": WILDCARDS}),
    st.fixed_dictionaries({"anything-but": st.one_of(one_or_list(TEXTS), one_or_list(COMPARABLE))}),
    st.sampled_from(["prefix", "suffix", "equals-ignore-case"]).flatmap(
        lambda word: st.fixed_dictionaries(
            {"anything-but": st.fixed_dictionaries({word: one_or_list(WORDS)})}
        )
    ),
    st.fixed_dictionaries({"anything-but": st.fixed_dictionaries({"wildcard": one_or_list(WILDCARDS)})}),
    st.tuples(st.sampled_from(["=", "<", "<=", ">", ">="]), COMPARABLE).map(
        lambda pair: {"numeric": list(pair)}
    ),
    st.sampled_from([{"numeric": [">", -1, "<=", 2]}, {"cidr": "10.0.0.0/16"}, {"exactly": "a"}]),
    st.booleans().map(lambda there: {"exists": there}),
)
ALTERNATIVES = st.lists(st.one_of(SCALARS, EXPRESSIONS), min_size=1, max_size=3)
PATTERNS = st.recursive(
    st.dictionaries(NAMES, ALTERNATIVES, min_size=1, max_size=3),
    lambda inner: st.one_of(
        st.dictionaries(
            st.sampled_from(["a", "b", "c"]), st.one_of(ALTERNATIVES, inner), min_size=1, max_size=3
        ),
        st.lists(inner, min_size=2, max_size=3).map(lambda ways: {"$or": ways}),
    ),
    max_leaves=5,
)
FEW = st.sampled_from(["x", "y", 1])
ELEMENTS = st.dictionaries(
    st.sampled_from(["b", "c", "d"]),
    st.one_of(FEW, st.lists(st.one_of(FEW, st.dictionaries(st.sampled_from(["b", "c"]), FEW)), max_size=2)),
    max_size=3,
)
NESTED_EVENTS = st.dictionaries(
    st.sampled_from(["a", "b"]), st.one_of(FEW, st.lists(st.one_of(ELEMENTS, FEW), max_size=3)), min_size=1
)
FEW_ALTERNATIVES = st.lists(
    st.sampled_from(["x", "y", {"exists": False}, {"exists": True}, {"anything-but": "x"}]),
    min_size=1,
    max_size=2,
)
NESTED_PATTERNS = st.fixed_dictionaries(
    {
        "a": st.dictionaries(
            st.sampled_from(["b", "c", "d", "b.c", "b.b", "d.b"]), FEW_ALTERNATIVES, min_size=2, max_size=4
        )
    },
    optional={"b": FEW_ALTERNATIVES},
)
JUNK = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["a", "$or", "prefix", "suffix", "anything-but", "numeric", "cidr", "wildcard", "exists"]
            ),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=8,
)


# ---- properties --------------------------------------------------------------------------------------------


@relaxed
@given(PATTERNS, DOCUMENTS)
def test_the_compiled_form_says_what_the_engines_way_says(raw: dict[str, Any], event: dict[str, Any]) -> None:
    try:
        pattern = compile_pattern(raw, "event-bus")
    except PatternError:
        return
    leaves = flattened(event)
    assert pattern.matches(event) is any(rule_matches(rule, leaves) for rule in pattern.rules)


@settings(relaxed, max_examples=150)
@given(NESTED_PATTERNS, NESTED_EVENTS)
def test_elements_of_arrays_are_joined_as_the_engine_joins_them(
    raw: dict[str, Any], event: dict[str, Any]
) -> None:
    pattern = compile_pattern(raw)
    leaves = flattened(event)
    assert pattern.matches(event) is any(rule_matches(rule, leaves) for rule in pattern.rules)


@relaxed
@given(PATTERNS)
def test_the_text_of_a_pattern_is_read_as_the_same_pattern(raw: dict[str, Any]) -> None:
    try:
        rules = parse(raw, "event-bus")
    except PatternError:
        return
    again = parse(str(Pattern(rules, "event-bus")), "event-bus")
    assert {tuple(sorted(map(repr, rule.items()))) for rule in again} <= {
        tuple(sorted(map(repr, rule.items()))) for rule in rules
    }
    assert parse(str(Pattern(again, "event-bus")), "event-bus") == again


@relaxed
@given(PATTERNS, DOCUMENTS)
def test_the_text_matches_what_the_pattern_matches(raw: dict[str, Any], event: dict[str, Any]) -> None:
    try:
        pattern = compile_pattern(raw, "event-bus")
    except PatternError:
        return
    assert compile_pattern(str(pattern), "event-bus").matches(event) is pattern.matches(event)


@relaxed
@given(st.one_of(JUNK, st.text()))
def test_any_input_is_a_pattern_or_refused(raw: Any) -> None:
    for given_as in (raw, json.dumps(raw)):
        try:
            compile_pattern(given_as, "event-bus").matches({"a": "x"})
        except PatternError as error:
            assert str(error)


@relaxed
@given(PATTERNS, st.dictionaries(st.sampled_from(["a", "b"]), JUNK))
def test_matching_never_raises_and_never_changes_the_event(
    raw: dict[str, Any], event: dict[str, Any]
) -> None:
    try:
        pattern = compile_pattern(raw, "event-bus")
    except PatternError:
        return
    before = repr(event)
    assert pattern.matches(event) in (True, False)
    assert repr(event) == before


@relaxed
@given(PATTERNS)
def test_what_mappings_take_event_buses_take_too(raw: dict[str, Any]) -> None:
    try:
        strict = compile_pattern(raw)
    except PatternError:
        return
    assert compile_pattern(raw, "event-bus").rules == strict.rules


def test_the_model_sees_arrays() -> None:
    rule = parse('{"a": {"b": ["x"], "c": ["y"]}}')[0]
    assert rule_matches(rule, flattened({"a": [{"b": "x", "c": "y"}]}))
    assert not rule_matches(rule, flattened({"a": [{"b": "x"}, {"c": "y"}]}))
