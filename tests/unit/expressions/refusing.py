"""What the tests of expressions share: placeholders, and the text that a parser refuses with."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tailrace.errors import VALIDATION, ApiError
from tailrace.expressions.placeholders import Placeholders
from tailrace.values.types import AttributeValue

VALUES: dict[str, AttributeValue] = {
    ":s": {"S": "a"}, ":t": {"S": "b"}, ":n": {"N": "1"}, ":m": {"N": "2"}, ":b": {"B": "AAE="},
    ":bool": {"BOOL": True},
    ":null": {"NULL": True}, ":l": {"L": [{"S": "x"}]}, ":map": {"M": {"k": {"N": "1"}}},
    ":ss": {"SS": ["a", "b"]},
    ":ns": {"NS": ["1", "2"]}, ":bs": {"BS": ["AA=="]}, ":type": {"S": "N"},
}  # fmt: skip
NAMES = {"#a": "a", "#name": "name", "#dots": "a.b"}


def given(
    names: Mapping[str, str] | None = None, values: Mapping[str, AttributeValue] | None = None
) -> Placeholders:
    return Placeholders(NAMES if names is None else names, VALUES if values is None else values)


def refusal(read: Callable[[], Any]) -> str:
    """The text of the ValidationException that this raises."""
    with pytest.raises(ApiError) as refused:
        read()
    assert (refused.value.code, refused.value.prefix) == ("ValidationException", VALIDATION)
    return str(refused.value.message)
