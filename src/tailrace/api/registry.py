"""Every operation the server knows: by the raw `X-Amz-Target` that asks for it.

Rules of this file: it knows how an operation is declared, never what one does. `@operation` in each file of
`api.dynamodb` and `api.streams` registers it; `find_operations` makes the table that `api.wire` reads requests with, in
which the operations of AWS's models that Tailrace does not have yet answer so.
"""

import pkgutil
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from msgspec import Struct

from tailrace.api import overrides
from tailrace.api.inputs import NOTHING, Model, without
from tailrace.api.models import dynamodb, streams
from tailrace.api.shapes import Input, structure
from tailrace.api.validation import Check, compile_input, read_types
from tailrace.api.wire import Payload
from tailrace.api.wordings import in_words_of
from tailrace.errors import CORAL, ApiError

if TYPE_CHECKING:
    from tailrace.engine.engine import Engine
    from tailrace.engine.slices import Slices

Answer: TypeAlias = "Mapping[str, Any] | bytes"
"""Members, or the JSON itself where stored bytes are spliced."""
Result: TypeAlias = "Answer | Slices[Answer]"
"""What an operation comes to: the answer, or the work to it in slices."""
Function: TypeAlias = "Callable[[Engine, Payload], Result]"


class Service(Struct, frozen=True):
    """One of AWS's APIs. Shape: `target` is the part of `X-Amz-Target` before the operation's name."""

    name: str
    target: str
    package: str
    model: Model


DYNAMODB: Final = Service(
    "DynamoDB",
    "DynamoDB_20120810",
    "dynamodb",
    Model(dynamodb.OPERATIONS, dynamodb.SHAPES, overrides.DYNAMODB),
)
STREAMS: Final = Service(
    "DynamoDB Streams",
    "DynamoDBStreams_20120810",
    "streams",
    Model(streams.OPERATIONS, streams.SHAPES, overrides.STREAMS),
)
SERVICES: Final = (DYNAMODB, STREAMS)


class Operation(Struct, frozen=True):
    """One operation: `check` reads and validates its members, `run` does it."""

    service: Service
    name: str
    input: Input
    check: Check
    run: Function
    emulated: bool = True

    def told(self, error: ApiError, payload: Payload | None = None) -> ApiError:
        """What a client is told of an error: a wrong type anywhere before any wrong value, and a wrong value in the words of
        this operation. Shape: `payload` is None where its types are known to be right. Raises: ApiError SerializationException.
        """
        if error.code != "ValidationException":
            return error
        if payload is not None:
            read_types(self.input.structure, payload)
        return in_words_of(self.name, error)

    @property
    def target(self) -> bytes:
        """The header value that asks for it."""
        return f"{self.service.target}.{self.name}".encode()


_REGISTERED: Final[dict[bytes, Operation]] = {}


def operation(
    service: Service,
    name: str,
    refused: Mapping[str, object] = NOTHING,
    limited: Mapping[str, object] = NOTHING,
) -> Callable[[Function], Function]:
    """Register the function that does an operation; what it takes is told by the service's model.

    Shape:   `refused` and `limited` as in `Input`.
    """
    known = service.model.input(name)
    if strangers := {*refused, *limited}.difference(known.members):
        raise LookupError(f"{name} has no {', '.join(sorted(strangers))}")
    takes = Input(without(known, refused), refused, limited)

    def register(function: Function) -> Function:
        entry = Operation(service, name, takes, compile_input(takes), function)
        _REGISTERED[entry.target] = entry
        return function

    return register


def find_operations() -> dict[bytes, Operation]:
    """The table of every operation of every service: first those that are there, both in the order of their targets."""
    for service in SERVICES:
        package = import_module(f"tailrace.api.{service.package}")
        for module in pkgutil.iter_modules(package.__path__):
            import_module(f"{package.__name__}.{module.name}")
    table = dict(sorted(_REGISTERED.items()))
    for service in SERVICES:
        for name in service.model.operations:
            absent = _absent(service, name)
            table.setdefault(absent.target, absent)
    return table


def _absent(service: Service, name: str) -> Operation:
    def refuse(payload: Payload) -> Payload:
        raise ApiError(
            "UnknownOperationException",
            f"Tailrace does not emulate {name} yet. `tailrace coverage` lists what it does.",
            prefix=CORAL,
        )

    def never(engine: "Engine", payload: Payload) -> Result:
        refuse(payload)
        return {}

    return Operation(service, name, Input(structure(f"{name}Input")), refuse, never, emulated=False)
