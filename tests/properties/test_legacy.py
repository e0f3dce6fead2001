"""Properties of the legacy parameters: each means what its expression means, on every item.

Rules of this file: the expression is written out by hand beside the parameter; nothing of the conversion is
used to judge it.
"""

from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.errors import ApiError
from tailrace.expressions.condition import parse_condition
from tailrace.expressions.legacy import read_expected, read_filter, read_updates
from tailrace.expressions.operands import WRONG_TYPE
from tailrace.expressions.placeholders import Placeholders
from tailrace.expressions.update import parse_update
from tailrace.values.canonical import compare_values
from tailrace.values.types import AttributeValue, Item

relaxed = settings(deadline=None, max_examples=150)
"""Examples may take long on a busy machine; that is not what is tested."""
NAMES: Final = ("a", "b.c", "size")
TEXTS: Final = {
    "EQ": "{a} = {0}",
    "NE": "{a} <> {0}",
    "LE": "{a} <= {0}",
    "LT": "{a} < {0}",
    "GE": "{a} >= {0}",
    "GT": "{a} > {0}",
    "NULL": "attribute_not_exists({a})",
    "NOT_NULL": "attribute_exists({a})",
    "CONTAINS": "contains({a}, {0})",
    "NOT_CONTAINS": "attribute_exists({a}) AND NOT contains({a}, {0})",
    "BEGINS_WITH": "begins_with({a}, {0})",
    "BETWEEN": "{a} BETWEEN {0} AND {1}",
    "IN": "{a} IN ({0}, {1})",
}
numbers: st.SearchStrategy[AttributeValue] = st.integers(-3, 3).map(lambda number: {"N": str(number)})
strings: st.SearchStrategy[AttributeValue] = st.sampled_from(["", "a", "ab", "b"]).map(
    lambda text: {"S": text}
)
binaries: st.SearchStrategy[AttributeValue] = st.sampled_from(["", "AA==", "AAE="]).map(
    lambda text: {"B": text}
)
sets: st.SearchStrategy[AttributeValue] = st.sampled_from(
    [{"SS": ["a"]}, {"SS": ["a", "ab"]}, {"NS": ["-1", "2"]}, {"BS": ["AA=="]}]
)
lists: st.SearchStrategy[AttributeValue] = st.lists(numbers | strings, max_size=2).map(
    lambda elements: {"L": elements}
)
anything = numbers | strings | binaries | sets | lists
items: st.SearchStrategy[Item] = st.dictionaries(st.sampled_from(NAMES), anything, max_size=3)


@st.composite
def comparisons(draw: st.DrawFn) -> tuple[str, list[AttributeValue]]:
    """An operator and operands that it takes."""
    operator = draw(st.sampled_from(list(TEXTS)))
    kind = draw(st.sampled_from([numbers, strings, binaries]))
    match operator:
        case "NULL" | "NOT_NULL":
            return operator, []
        case "EQ" | "NE":
            return operator, [draw(anything)]
        case "BEGINS_WITH":
            return operator, [draw(strings | binaries)]
        case "IN":
            return operator, [draw(kind), draw(kind)]
        case "BETWEEN":
            one, two = draw(kind), draw(kind)
            return operator, [one, two] if (compare_values(one, two) or 0) <= 0 else [two, one]
        case _:
            return operator, [draw(kind)]


conditions = st.dictionaries(st.sampled_from(NAMES), comparisons(), min_size=1, max_size=3)


@relaxed
@given(conditions, st.sampled_from(["AND", "OR"]), items)
def test_a_legacy_condition_equals_its_expression(
    stated: dict[str, tuple[str, list[AttributeValue]]], word: str, item: Item
) -> None:
    given: dict[str, Any] = {}
    texts: list[str] = []
    names: dict[str, str] = {}
    values: Item = {}
    for index, (name, (operator, operands)) in enumerate(stated.items()):
        given[name] = {"ComparisonOperator": operator, "AttributeValueList": operands}
        names[f"#{index}"] = name
        shown = [f":{index}_{number}" for number in range(len(operands))]
        values.update(zip(shown, operands, strict=True))
        texts.append(f"({TEXTS[operator].format(*shown, a=f'#{index}')})")
    combined = word if len(given) > 1 else None
    expression = parse_condition(f" {word} ".join(texts), Placeholders(names, values or None))
    for legacy in (
        read_expected(given, combined),
        read_filter(given, combined, "QueryFilter"),
        read_filter(given, combined, "ScanFilter"),
    ):
        assert legacy is not None
        assert legacy.matches(item) == expression.matches(item)
        assert legacy.attribute_names() == expression.attribute_names()


UPDATES: Final = {
    "PUT": "SET #{0} = :{0}",
    "REMOVE": "REMOVE #{0}",
    "DELETE": "DELETE #{0} :{0}",
    "ADD": "ADD #{0} :{0}",
}


@relaxed
@given(st.sampled_from(NAMES), st.sampled_from(list(UPDATES)), numbers | sets, items)
def test_a_legacy_update_equals_its_expression(
    name: str, action: str, value: AttributeValue, item: Item
) -> None:
    if action == "DELETE" and "N" in value:
        action = "PUT"
    told = {"Action": "DELETE"} if action == "REMOVE" else {"Action": action, "Value": value}
    values = None if action == "REMOVE" else {":0": value}
    legacy = read_updates({name: told})
    expression = parse_update(UPDATES[action].format(0), Placeholders({"#0": name}, values))
    assert legacy is not None
    try:
        after = expression.apply(item)
    except ApiError as error:
        assert error.message == WRONG_TYPE
        try:
            legacy.apply(item)
        except ApiError as same:
            assert same.message == "Type mismatch for attribute to update"
        else:
            raise AssertionError("the legacy update was not refused") from None
        return
    assert legacy.apply(item) == after
    for which in ("OLD", "NEW"):
        assert legacy.touched(item, after, which) == expression.touched(item, after, which)
