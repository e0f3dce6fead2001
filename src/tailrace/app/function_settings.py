"""A Lambda function without its event source mapping: its code, its time-out, its memory, its environment.

Rules of this file: AWS's names, ranges and defaults (a time-out of 3 s among them). Carried out by functions/
and sinks/lambda_function.py. Source: AWS Lambda API Reference, CreateFunction.
"""

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from operator import attrgetter
from typing import Any, Final

from tailrace.errors import SettingsError

NAMES: Final = ("Timeout", "MemorySize", "Environment")
VARIABLE: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9_]+").fullmatch
RESERVED: Final = frozenset(
    (
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
        "AWS_DEFAULT_REGION",
        "AWS_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_LAMBDA_RUNTIME_API",
        "LAMBDA_TASK_ROOT",
        "LAMBDA_RUNTIME_DIR",
    )
)
"""What Lambda itself sets. Source: Lambda Developer Guide, "Defined runtime environment variables"."""


@dataclass(frozen=True, slots=True)
class FunctionSettings:
    """Shape: `timeout_s` 1 to 900, `memory_mb` 128 to 10,240; `variables` are added to the environment."""

    timeout_s: int = 3
    memory_mb: int = 128
    variables: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> "FunctionSettings":
        """Out of AWS's names. Raises: SettingsError."""
        return cls(
            _whole("Timeout", given.get("Timeout", 3), 1, 900),
            _whole("MemorySize", given.get("MemorySize", 128), 128, 10_240),
            _variables(given.get("Environment")),
        )


@dataclass(frozen=True, slots=True)
class CodePlace:
    """Where a process finds a function. Shape: a module by name, else its file; `attribute` inside it."""

    module: str
    attribute: str
    file: str = ""


class NamedFunction:
    """A function by its name. Its module is loaded where it is called, in an environment of its own."""

    def __init__(self, module: str, attribute: str) -> None:
        self.code = CodePlace(module, attribute)
        self.__name__ = self.__qualname__ = attribute

    def __call__(self, event: Any, context: Any) -> Any:
        """Load it and call it. Raises: whatever loading it raises."""
        return attrgetter(self.code.attribute)(import_module(self.code.module))(event, context)


def split_name(text: str) -> tuple[str, str]:
    """The module and the attribute of "module:attribute", or of "module.attribute" as Lambda writes handlers.

    >>> split_name("orders.handlers:tally"), split_name("orders.handlers.tally")
    (('orders.handlers', 'tally'), ('orders.handlers', 'tally'))
    """
    module, colon, attribute = text.partition(":")
    if not colon:
        module, _, attribute = text.rpartition(".")
    return module, attribute


def function_named(text: str) -> tuple[Callable[..., Any], CodePlace]:
    """The function behind a name as `split_name` reads it, and where that name says its code is.

    Shape:   a module that fails to load (it may need the environment of its function) gives a NamedFunction.
    Raises:  SettingsError for what is not there.
    """
    module, attribute = split_name(text)
    try:
        function = attrgetter(attribute)(import_module(module))
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingsError(
            f"function {text!r} cannot be loaded: {error}; write 'module:attribute'"
        ) from error
    except Exception:  # the user's module wants what only the function's own process has
        named = NamedFunction(module, attribute)
        return named, named.code
    if not callable(function):
        raise SettingsError(f"function {text!r} is no function but {function!r}")
    return function, CodePlace(module, attribute, _file_of(sys.modules.get(module)))


def place_of_code(function: Callable[..., Any]) -> CodePlace | None:
    """Where a process of its own finds this very function; None for what only this process has (a lambda, a
    function in a function).

    What a function says of itself is believed only where exactly it stands under that name: a decorator with
    `functools.wraps` says the name of what it wraps. Else it is looked for under the names of the modules
    that are loaded, as a callable object is.
    """
    if isinstance(function, NamedFunction):
        return function.code
    own = getattr(function, "__module__", None)
    qualname = getattr(function, "__qualname__", "")
    modules = dict(sys.modules)
    if (
        isinstance(own, str)
        and isinstance(qualname, str)
        and own in modules
        and _is_at(modules[own], qualname, function)
    ):
        return CodePlace(own, qualname, _file_of(modules[own]))
    names = sorted(name for name in modules if not name.startswith(_NOT_THEIRS))
    for name in sorted(names, key=lambda name: name != own):
        for attribute, value in list(getattr(modules[name], "__dict__", {}).items()):
            if value is function:
                return CodePlace(name, attribute, _file_of(modules[name]))
    return None


_NOT_THEIRS: Final = ("__main__", "__mp_main__", "tailrace.", "_pytest.")
"""Modules that hold functions of others: another process has another `__main__`."""


def _is_at(module: Any, attribute: str, function: Callable[..., Any]) -> bool:
    member = module
    for name in attribute.split("."):
        member = getattr(member, name, None)
    return member is function


def _file_of(module: Any) -> str:
    file = getattr(module, "__file__", None)
    return file if isinstance(file, str) else ""


def _whole(name: str, value: object, lowest: int, highest: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
        raise SettingsError(
            f"{name}: {value!r} is not allowed; it is a whole number from {lowest} to {highest}"
        )
    return value


def _variables(value: object) -> dict[str, str]:
    match value:
        case None:
            return {}
        case {"Variables": dict() as variables, **rest} if not rest:
            pass
        case _:
            raise SettingsError(
                f"Environment: {value!r} is not allowed; it is {{'Variables': {{'NAME': 'value'}}}}"
            )
    for name, text in variables.items():
        if not isinstance(name, str) or not VARIABLE(name) or not isinstance(text, str):
            raise SettingsError(
                f"Environment: {name!r}: {text!r} is not allowed; names are letters, digits and _, "
                "values are texts"
            )
        if name in RESERVED:
            raise SettingsError(f"Environment: {name!r} is not allowed; Lambda sets it itself")
    return dict(variables)
