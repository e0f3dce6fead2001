"""What a Lambda function is beside its event source mapping: where its code is, how long it may take, what its environment holds.

Rules of this file: AWS's names, ranges and defaults (a time-out of 3 s among them). Read by app.py, carried out by functions/ and
sinks/lambda_function.py. Source: AWS Lambda API Reference, CreateFunction.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final

from tailrace.errors import SettingsError

NAMES: Final = ("Timeout", "MemorySize", "Environment")
VARIABLE: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9_]+").fullmatch
RESERVED: Final = frozenset((
    "_HANDLER", "_X_AMZN_TRACE_ID", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_EXECUTION_ENV", "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION", "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_LAMBDA_RUNTIME_API", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR",
))  # fmt: skip
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
    """A function by its name, whose module could not be loaded here: it is loaded where it is called, in its own environment."""

    def __init__(self, module: str, attribute: str) -> None:
        self.code = CodePlace(module, attribute)
        self.__name__ = self.__qualname__ = attribute

    def __call__(self, event: Any, context: Any) -> Any:
        """Load it and call it. Raises: whatever loading it raises."""
        return getattr(import_module(self.code.module), self.code.attribute)(event, context)


def function_named(text: str) -> Callable[..., Any]:
    """The function behind "module:attribute", or "module.attribute" as Lambda writes handlers.

    Shape:   a module that fails while it is loaded (it may need the environment of its function) gives a NamedFunction.
    Raises:  SettingsError for what is not there.
    """
    module, colon, attribute = text.partition(":")
    if not colon:
        module, _, attribute = text.rpartition(".")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingsError(
            f"function {text!r} cannot be loaded: {error}; write 'module:attribute'"
        ) from error
    except Exception:  # the user's module wants what only the function's own process has
        return NamedFunction(module, attribute)
    if not callable(found):
        raise SettingsError(f"function {text!r} is no function but {found!r}")
    loaded: Callable[..., Any] = found
    return loaded


def place_of_code(function: Callable[..., Any]) -> CodePlace | None:
    """Where a process of its own finds this function; None for what only this process has (a lambda, a function in a function)."""
    if isinstance(function, NamedFunction):
        return function.code
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", "")
    if not isinstance(module, str) or not name or "<" in name:
        return None
    try:
        file = inspect.getsourcefile(inspect.unwrap(function)) or ""
    except TypeError:
        file = ""
    return CodePlace(module, name, file)


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
        case {"Variables": dict() as found, **rest} if not rest:
            pass
        case _:
            raise SettingsError(
                f"Environment: {value!r} is not allowed; it is {{'Variables': {{'NAME': 'value'}}}}"
            )
    for name, text in found.items():
        if not isinstance(name, str) or not VARIABLE(name) or not isinstance(text, str):
            raise SettingsError(
                f"Environment: {name!r}: {text!r} is not allowed; names are letters, digits and _, values are texts"
            )
        if name in RESERVED:
            raise SettingsError(f"Environment: {name!r} is not allowed; Lambda sets it itself")
    return dict(found)
