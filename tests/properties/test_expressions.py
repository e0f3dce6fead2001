"""Properties of expressions: no text breaks a parser, what is built means what it says, updates
never change their input.

Rules of this file: a condition's meaning is judged by a tree built beside its text, an
update's by plain dictionaries.
"""

import operator
from collections.abc import Callable
from copy import deepcopy
from decimal import Decimal
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tailrace.errors import VALIDATION, ApiError
from tailrace.expressions.condition import parse_condition
from tailrace.expressions.keys import parse_key_condition
from tailrace.expressions.placeholders import Placeholders
from tailrace.expressions.projection import parse_projection
from tailrace.expressions.update import parse_update
from tailrace.values.types import Item

relaxed = settings(deadline=None, max_examples=120)
"""Examples may take long on a busy machine; that is not what is tested."""
NAMES = {"#a": "a", "#b": "b", "#c": "c"}
VALUES: Item = {
    ":one": {"N": "1"}, ":two": {"N": "2"}, ":text": {"S": "a"}, ":type": {"S": "N"},
    ":list": {"L": [{"N": "1"}]},
    ":strings": {"SS": ["a", "b"]}, ":map": {"M": {"a": {"N": "1"}}}, ":flag": {"BOOL": True},
    ":binary": {"B": "AA=="},
}  # fmt: skip
WORDS = [
    "a", "b", "a.b", "a[0]", "b[1].c", "#a", "#b", "#x", *VALUES, ":gone", "=", "<>", "<", "<=", ">", ">=",
    "+", "-", ",", "(", ")",
    ".", "[", "]", "0", "99999999999999999999", "SET", "REMOVE", "ADD", "DELETE", "AND", "OR", "NOT",
    "BETWEEN", "IN", "size",
    "size(", "contains(", "begins_with(", "attribute_exists(", "attribute_not_exists(", "attribute_type(",
    "if_not_exists(",
    "list_append(", "foo(", "name", "pk", "sk", "é", "_", "'", "#", ":", "((", "))", "\x00",
]  # fmt: skip
texts = st.one_of(
    st.text(max_size=20),
    st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join),
    st.lists(st.sampled_from(WORDS), max_size=6).map("".join),
    st.tuples(
        st.sampled_from(["(", "NOT ", "size(", "list_append(", "a = :one AND (", "SET a = ("]),
        st.integers(0, 3_000),
    ).map(lambda pair: pair[0] * pair[1]),
)

scalars = st.sampled_from(list(VALUES.values())) | st.integers(-3, 3).map(lambda number: {"N": str(number)})
documents: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda elements: {"L": elements})
        | st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3).map(
            lambda members: {"M": members}
        )
    ),
    max_leaves=8,
)
items = st.dictionaries(st.sampled_from(["a", "b", "c"]), documents, max_size=3)


def placeholders() -> Placeholders:
    return Placeholders(NAMES, VALUES)


def check_own(error: ApiError, part: str = "") -> None:
    """The errors of expressions, and no others."""
    assert (error.code, error.prefix) == ("ValidationException", VALIDATION)
    assert error.message
    assert part in error.message


# ---- no text breaks a parser -------------------------------------------------------------------------------

PARSERS: list[Callable[[str], Any]] = [
    lambda text: parse_condition(text, placeholders()).matches,
    lambda text: parse_condition(text, placeholders(), "FilterExpression").matches,
    lambda text: parse_update(text, placeholders()).apply,
    lambda text: parse_projection(text, placeholders()).apply,
    lambda text: parse_key_condition(text, placeholders(), ("pk",), ("sk",)),
]


@relaxed
@given(texts, items)
@example("(" * 4_000, {})
@example("SET a = " + "(" * 2_000 + ":one" + ")" * 2_000, {})
@example("SET a = " + "list_append(a, " * 200 + ":list" + ")" * 200, {"a": {"L": []}})
@example("NOT " * 1_000 + "a = :one", {})
@example("a" + "[0]" * 1_300, {"a": {"L": []}})
def test_no_text_makes_a_parser_raise_anything_but_its_own_error(text: str, item: Item) -> None:
    before = deepcopy(item)
    for parse in PARSERS:
        try:
            ready = parse(text)
            if callable(ready):
                ready(item)
        except ApiError as error:
            check_own(error)
        assert item == before


# ---- conditions mean what they say -------------------------------------------------------------------------

OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
Meaning = Callable[[dict[str, int]], bool]
Built = tuple[str, Meaning, int]
"""A condition's text, its meaning, and how tightly it binds: 3 comparison, 2 NOT, 1 AND, 0 OR."""


@st.composite
def comparisons(draw: st.DrawFn) -> Built:
    name, number = draw(st.sampled_from("abc")), draw(st.sampled_from([1, 2]))
    sign = draw(st.sampled_from(list(OPERATORS)))
    text = f"{draw(st.sampled_from([name, '#' + name]))} {sign} :{'one' if number == 1 else 'two'}"
    return text, lambda item: OPERATORS[sign](item[name], number), 3


def inside(built: Built, binding: int) -> str:
    return built[0] if built[2] >= binding else f"({built[0]})"


def negated(built: Built) -> Built:
    return f"NOT {inside(built, 2)}", lambda item: not built[1](item), 2


def joined(word: str, binding: int, parts: list[Built]) -> Built:
    every = all if word == "AND" else any
    text = f" {word} ".join(inside(part, binding + 1) for part in parts)
    return text, lambda item: every(part[1](item) for part in parts), binding


conditions: st.SearchStrategy[Built] = st.recursive(
    comparisons(),
    lambda inner: (
        inner.map(negated)
        | st.lists(inner, min_size=2, max_size=3).map(lambda parts: joined("AND", 1, parts))
        | st.lists(inner, min_size=2, max_size=3).map(lambda parts: joined("OR", 0, parts))
    ),
    max_leaves=10,
)


@relaxed
@given(conditions, st.fixed_dictionaries({name: st.integers(0, 3) for name in "abc"}))
def test_a_condition_means_what_the_tree_beside_it_means(built: Built, item: dict[str, int]) -> None:
    condition = parse_condition(built[0], placeholders())
    stored: Item = {name: {"N": str(number)} for name, number in item.items()}
    assert condition.matches(stored) is built[1](item)


# ---- updates -----------------------------------------------------------------------------------------------

ACTIONS: dict[str, Callable[[dict[str, Any], dict[str, Any], str, int], None]] = {
    "SET {name} = {name} + {value}": lambda before, after, name, n: after.update({name: before[name] + n}),
    "SET {name} = {value} - {name}": lambda before, after, name, n: after.update({name: n - before[name]}),
    "SET {name} = {value}": lambda before, after, name, n: after.update({name: Decimal(n)}),
    "SET {name} = if_not_exists(gone, {value})": lambda before, after, name, n: after.update(
        {name: Decimal(n)}
    ),
    "REMOVE {name}": lambda before, after, name, n: after.pop(name),
    "ADD {name} {value}": lambda before, after, name, n: after.update({name: before[name] + n}),
}


@relaxed
@given(
    st.dictionaries(st.sampled_from("abc"), st.sampled_from(list(ACTIONS)), min_size=1),
    st.fixed_dictionaries({name: st.integers(-10, 10).map(Decimal) for name in "abc"}),
    st.integers(-5, 5),
)
def test_an_update_does_what_plain_dictionaries_do(
    chosen: dict[str, str], item: dict[str, Decimal], number: int
) -> None:
    sections: dict[str, list[str]] = {}
    expected = dict(item)
    for name, action in chosen.items():
        section, _, rest = action.format(name=name, value=":v").partition(" ")
        sections.setdefault(section, []).append(rest)
        ACTIONS[action](item, expected, name, number)
    text = " ".join(f"{section} {', '.join(actions)}" for section, actions in sections.items())
    stored: Item = {name: {"N": str(value)} for name, value in item.items()}
    update = parse_update(text, Placeholders(None, {":v": {"N": str(number)}}))
    after = update.apply(stored)
    assert {name: Decimal(value["N"]) for name, value in after.items()} == expected
    assert stored == {name: {"N": str(value)} for name, value in item.items()}


PATHS = ["a", "a.b", "a.b.c", "a[0]", "a[1].b", "b", "b[2]", "b.c[0]", "c"]
RIGHT = ["a", "b.c", "a[0]", ":map", ":list", "if_not_exists(b, :one)", "list_append(a, :list)", "b + :one"]
updates = st.lists(
    st.one_of(
        st.tuples(st.just("SET"), st.sampled_from(PATHS), st.sampled_from(RIGHT)).map(
            lambda t: (t[0], f"{t[1]} = {t[2]}")
        ),
        st.sampled_from(PATHS).map(lambda path: ("REMOVE", path)),
        st.sampled_from(PATHS).map(lambda path: ("ADD", f"{path} :one")),
        st.sampled_from(PATHS).map(lambda path: ("ADD", f"{path} :strings")),
        st.sampled_from(PATHS).map(lambda path: ("DELETE", f"{path} :strings")),
    ),
    min_size=1,
    max_size=4,
)


@settings(relaxed, max_examples=200)
@given(updates, items)
def test_an_update_never_changes_its_input(actions: list[tuple[str, str]], item: Item) -> None:
    sections: dict[str, list[str]] = {}
    for section, action in actions:
        sections.setdefault(section, []).append(action)
    text = " ".join(f"{section} {', '.join(parts)}" for section, parts in sections.items())
    before, values = deepcopy(item), deepcopy(VALUES)
    try:
        update = parse_update(text, placeholders())
        after = update.apply(item)
    except ApiError:
        after = item
    else:
        first = deepcopy(after)
        assert update.apply(item) == first, "the same update of the same item gives the same"
        untouched = set(item) - update.top_level_names()
        assert all(after[name] is item[name] for name in untouched)
    assert item == before
    assert values == VALUES


@relaxed
@given(items, st.lists(st.sampled_from(PATHS), min_size=1, max_size=3, unique=True))
def test_a_projection_never_invents(item: Item, paths: list[str]) -> None:
    try:
        projected = parse_projection(", ".join(paths), placeholders()).apply(item)
    except ApiError as error:
        check_own(error, "document paths")
        return
    assert part_of({"M": projected}, {"M": item})


def part_of(part: Any, whole: Any) -> bool:
    """Whether a value is another one with some members and elements left out."""
    if part == whole:
        return True
    if "M" in part and "M" in whole:
        return all(
            name in whole["M"] and part_of(inner, whole["M"][name]) for name, inner in part["M"].items()
        )
    if "L" in part and "L" in whole:
        rest = iter(whole["L"])
        return all(any(part_of(inner, other) for other in rest) for inner in part["L"])
    return False
