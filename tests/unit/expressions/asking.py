"""Short ways to bind and evaluate an expression; used by the tests beside this file."""

from collections.abc import Callable
from typing import Any

import pytest

from tailrace.errors import VALIDATION, ApiError
from tailrace.expressions.condition import parse_condition
from tailrace.expressions.placeholders import Placeholders
from tailrace.expressions.update import parse_update
from tailrace.values.wire import read_item

NAMES = {"#a": "a", "#b": "b", "#dotted": "a.b", "#size": "size"}
VALUES: dict[str, Any] = {
    ":s": {"S": "a"}, ":t": {"S": "b"}, ":n": {"N": "1"}, ":two": {"N": "2"}, ":b": {"B": "AAAA"}, ":bool": {"BOOL": True},
    ":null": {"NULL": True}, ":l": {"L": [{"S": "a"}]}, ":m": {"M": {}}, ":ss": {"SS": ["a", "b"]}, ":ns": {"NS": ["1"]},
    ":bs": {"BS": ["AAAA"]}, ":S": {"S": "S"}, ":SS": {"S": "SS"}, ":x": {"S": "STRING"},
}  # fmt: skip


def placeholders() -> Placeholders:
    """Every name and value of the tables."""
    return Placeholders(NAMES, VALUES)


def holds(text: str, item: dict[str, Any]) -> bool:
    """Whether a condition holds for an item."""
    return parse_condition(text, placeholders()).matches(read_item(item))


def updated(text: str, item: dict[str, Any], **values: Any) -> dict[str, Any]:
    """The item after an update; `values` are further placeholders, without their colons."""
    given = VALUES | {f":{name}": value for name, value in values.items()}
    return parse_update(text, Placeholders(NAMES, given)).apply(item)


def refusal(ask: Callable[[], object]) -> str:
    """The message of the ValidationException that this raises."""
    with pytest.raises(ApiError) as caught:
        ask()
    assert (caught.value.code, caught.value.prefix) == ("ValidationException", VALIDATION)
    return str(caught.value.message)
