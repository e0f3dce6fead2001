"""Every operation the server knows, of every service and protocol.

Rules of this file: it knows how an operation is declared, never what one does. `@operation` in a file of a
service's package registers it; `find_operations` makes the table that `api.wire` and `api.protocols` read
requests with, in which the operations of AWS's models that Tailrace does not have yet answer so.
"""

import pkgutil
from collections.abc import Awaitable, Callable, Iterable, Mapping
from importlib import import_module
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypeVar

from msgspec import Struct

from tailrace.api import overrides
from tailrace.api.inputs import NOTHING, ServiceModel, without
from tailrace.api.listed import Listed
from tailrace.api.models import dynamodb, kinesis, lambdas, streams, sts
from tailrace.api.shapes import Input, structure
from tailrace.api.streaming import Streamed
from tailrace.api.validation import Check, compile_input, read_types
from tailrace.api.wire import KINESIS_TARGET, Payload
from tailrace.api.wordings import in_words_of
from tailrace.errors import CORAL, ApiError

if TYPE_CHECKING:
    from tailrace.engine.engine import Engine
    from tailrace.engine.slices import Slices

Members: TypeAlias = "Mapping[str, Any]"
"""An answer by the names of its members."""
Answer: TypeAlias = Mapping[str, Any] | bytes
"""Members, or the JSON itself where stored bytes are spliced."""
Result: TypeAlias = "Answer | Streamed | Slices[Answer | Streamed] | Slices[Listed]"
"""What an operation comes to: the answer, one that goes on, or the work to it in slices."""
Function: TypeAlias = "Callable[[Engine, Payload], Result]"
AsyncFunction: TypeAlias = Callable[[Any, Payload], Awaitable[Any]]
"""A function that waits. Shape: it gets what its service keeps, and returns members, None or an answer."""
FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


Protocol: TypeAlias = Literal["json-1.0", "json-1.1", "rest-json", "query"]


class ApiService(Struct, frozen=True):
    """One of AWS's APIs.

    Shape:   `package` has its operations; `target` is the part of `X-Amz-Target` before an operation's name,
             and what the service is called in lists.
    """

    target: str
    protocol: Protocol
    package: str
    model: ServiceModel

    @property
    def has_targets(self) -> bool:
        """Whether a header names the operation."""
        return self.protocol in ("json-1.0", "json-1.1")


DYNAMODB: Final = ApiService(
    "DynamoDB_20120810",
    "json-1.0",
    "dynamodb",
    ServiceModel(dynamodb.OPERATIONS, dynamodb.SHAPES, overrides.DYNAMODB),
)
STREAMS: Final = ApiService(
    "DynamoDBStreams_20120810",
    "json-1.0",
    "streams",
    ServiceModel(streams.OPERATIONS, streams.SHAPES, overrides.STREAMS),
)
KINESIS: Final = ApiService(
    KINESIS_TARGET.decode(),
    "json-1.1",
    "kinesis",
    ServiceModel(kinesis.OPERATIONS, kinesis.SHAPES, overrides.KINESIS, is_strict=True, has_blobs=True),
)
LAMBDA: Final = ApiService(
    "Lambda",
    "rest-json",
    "lambdas",
    ServiceModel(lambdas.OPERATIONS, lambdas.SHAPES, overrides.LAMBDA, is_strict=True),
)
STS: Final = ApiService(
    "STS", "query", "sts", ServiceModel(sts.OPERATIONS, sts.SHAPES, NOTHING, sts.NAMESPACE)
)
BY_TARGET: Final = (DYNAMODB, STREAMS, KINESIS)
"""Those that are asked by a header."""
SERVICES: Final = (*BY_TARGET, LAMBDA, STS)


class Operation(Struct, frozen=True):
    """One operation: `check` reads and validates its members, `run` does it."""

    service: ApiService
    name: str
    input: Input
    check: Check
    run: Function
    emulated: bool = True
    ask: AsyncFunction | None = None
    """What does it where it has to wait: then `run` does nothing."""

    def worded(self, error: ApiError, payload: Payload | None = None) -> ApiError:
        """What a client is told of an error: a wrong type anywhere before any wrong value, and that in this
        operation's words.

        Shape:   `payload` is None where its types are known to be right.
        Raises:  ApiError SerializationException.
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
    service: ApiService,
    name: str,
    refused: Mapping[str, object] = NOTHING,
    limited: Mapping[str, object] = NOTHING,
) -> Callable[[FunctionT], FunctionT]:
    """Register the function that does an operation; what it takes is told by the service's model.

    Shape:   `refused` and `limited` as in `Input`. A function that waits is an `AsyncFunction`, any
             other one a `Function`.
    """
    known = service.model.input(name)
    if strangers := {*refused, *limited}.difference(known.members):
        raise LookupError(f"{name} has no {', '.join(sorted(strangers))}")
    takes = Input(without(known, {*refused, *limited}), refused, limited)

    def register(function: FunctionT) -> FunctionT:
        check = compile_input(takes)
        if iscoroutinefunction(function):
            entry = Operation(service, name, takes, check, _nothing, ask=function)
        else:
            entry = Operation(service, name, takes, check, function)
        _REGISTERED[entry.target] = entry
        return function

    return register


def find_operations(services: Iterable[ApiService] = BY_TARGET) -> dict[bytes, Operation]:
    """The table of every operation of some services: those that are there first, by target."""
    wanted = tuple(services)
    for service in wanted:
        package = import_module(f"tailrace.api.{service.package}")
        for module in pkgutil.iter_modules(package.__path__):
            import_module(f"{package.__name__}.{module.name}")
    table = {
        target: operation for target, operation in sorted(_REGISTERED.items()) if operation.service in wanted
    }
    for service in wanted:
        for name in service.model.operations:
            absent = _absent(service, name)
            table.setdefault(absent.target, absent)
    return table


def _nothing(engine: "Engine", payload: Payload) -> Result:
    return b""


def _absent(service: ApiService, name: str) -> Operation:
    def refuse(payload: Payload) -> Payload:
        raise ApiError(
            "UnknownOperationException",
            f"Tailrace does not emulate {name} yet. `tailrace coverage` lists what it does.",
            prefix=CORAL,
            status=400 if service.has_targets else 404,
        )

    return Operation(service, name, Input(structure(f"{name}Input")), refuse, _nothing, emulated=False)
