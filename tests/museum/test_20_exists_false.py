"""A filter that asks for an absent attribute matches nothing (localstack #10325).

In the wild: a pattern with `{"exists": false}` was tested attribute by attribute, and the test whether the
attribute is there at all came first. What the pattern asks for was the reason to refuse it.

Here: patterns are compiled, and what an absent field means is each test's own answer. They are checked case
by case in tests/unit/patterns.
"""

from typing import Any

import pytest

from tailrace.patterns.pattern import compile_pattern

PATTERN = {"dynamodb": {"NewImage": {"deleted": {"BOOL": [{"exists": False}]}}}}
EVENTS = [
    ({"dynamodb": {"NewImage": {"id": {"S": "a"}}}}, True),
    ({"dynamodb": {"NewImage": {"deleted": {"BOOL": True}}}}, False),
    ({"dynamodb": {"NewImage": {"deleted": {"BOOL": False}}}}, False),
]


def matches(pattern: dict[str, Any], event: dict[str, Any]) -> bool:
    """The model. The mistake: an attribute that is not there ends the matter before the tests are asked."""
    for name, inner in pattern.items():
        if name not in event:
            return False
        if isinstance(inner, dict):
            if not matches(inner, event[name]):
                return False
        elif not any(test == event[name] or test == {"exists": True} for test in inner):
            return False
    return True


def test_the_model_refuses_what_it_is_asked_for() -> None:
    assert [matches(PATTERN, event) for event, _ in EVENTS] == [False, False, False]


@pytest.mark.parametrize(("event", "is_wanted"), EVENTS)
def test_ours_lets_through_what_lacks_the_attribute(event: dict[str, Any], is_wanted: bool) -> None:
    assert compile_pattern(PATTERN).matches(event) is is_wanted
