"""Settings of functions: AWS's names, defaults and bounds."""

from typing import Any

import pytest

from tailrace import App
from tailrace.app.function_settings import FunctionSettings
from tailrace.errors import SettingsError


def handler(event: Any, context: Any) -> None:
    """A function."""


def declared(**settings: Any) -> FunctionSettings:
    app = App("shop")
    app.function(handler, app.table("orders", pk="id"), **settings)
    return app.mappings[0].function


def test_the_defaults_are_lambdas() -> None:
    assert declared() == FunctionSettings(3, 128, {})


@pytest.mark.parametrize(("timeout", "memory"), [(1, 128), (900, 10_240)])
def test_the_bounds_are_taken(timeout: int, memory: int) -> None:
    settings = declared(Timeout=timeout, MemorySize=memory, Environment={"Variables": {"COLOUR": "blue"}})
    assert settings == FunctionSettings(timeout, memory, {"COLOUR": "blue"})


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"Timeout": 0}, "Timeout: 0 is not allowed; it is a whole number from 1 to 900"),
        ({"Timeout": 901}, "Timeout: 901 is not allowed"),
        ({"Timeout": True}, "Timeout: True is not allowed"),
        ({"MemorySize": 127}, "MemorySize: 127 is not allowed; it is a whole number from 128 to 10240"),
        ({"MemorySize": 10_241}, "MemorySize: 10241 is not allowed"),
        ({"Environment": {"COLOUR": "blue"}}, "Environment: {'COLOUR': 'blue'} is not allowed"),
        ({"Environment": {"Variables": {"1x": "y"}}}, "Environment: '1x'"),
        ({"Environment": {"Variables": {"x1": 2}}}, "Environment: 'x1': 2 is not allowed"),
        ({"Environment": {"Variables": {"AWS_REGION": "x"}}},
         "Environment: 'AWS_REGION' is not allowed; Lambda sets it itself"),
    ],
)  # fmt: skip
def test_one_past_a_bound_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        declared(**settings)
    assert str(caught.value).startswith(words)
