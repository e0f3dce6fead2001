"""Lambda's API in REST: which operation a method and a path ask for, and answers and errors as bytes.

Rules of this file: no behaviour of its own; every operation is a file of api/lambdas. Called by lambdas/service.py. Source: AWS Lambda API
Reference (the paths of 2015-03-31), "Common errors".
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias
from urllib.parse import parse_qsl, unquote

import orjson
from msgspec import Struct, field

from tailrace.api.wire import Headers
from tailrace.errors import ApiError

if TYPE_CHECKING:
    from tailrace.api.lambdas.service import LambdaService

PREFIX: Final = re.compile(rb"/201[57]-03-31/")
"""Tags have a path of their own."""
SERVER_FAULT: Final = 500
DEEPEST: Final = 64
"""Levels of a body: many times what the model of any operation has. Payloads of functions are not read."""
MODULES: Final = (
    "create_event_source_mapping", "create_function", "delete_event_source_mapping", "delete_function", "get_function_configuration",
    "update_function_configuration", "get_event_source_mapping", "get_function", "invoke",
    "list_event_source_mappings", "list_functions", "list_tags", "tag_resource", "untag_resource", "update_event_source_mapping",
)  # fmt: skip


def is_deeper(value: object, levels: int) -> bool:
    """Whether JSON has more levels than these: what is nested without end must not reach code that walks it.

    >>> is_deeper({"a": [1]}, 2), is_deeper({"a": [1]}, 3)
    (True, False)
    """
    layer: list[Any] = [value]
    for _ in range(levels):
        containers = (
            one.values() if isinstance(one, dict) else one for one in layer if isinstance(one, dict | list)
        )
        layer = [inside for container in containers for inside in container]
        if not layer:
            return False
    return True


class Ask(Struct, frozen=True):
    """One request. Shape: `names` are the parts of the path, `parameters` what follows the `?`."""

    names: Mapping[str, str]
    parameters: Sequence[tuple[str, str]]
    headers: Headers
    body: bytes

    @property
    def query(self) -> dict[str, str]:
        """What follows the `?`, the last of a name."""
        return dict(self.parameters)

    def several(self, name: str) -> list[str]:
        """Every value of a name after the `?`."""
        return [value for key, value in self.parameters if key == name]

    def payload(self) -> dict[str, Any]:
        """The members of a JSON body. Raises: ApiError."""
        try:
            found = orjson.loads(self.body or b"{}")
        except orjson.JSONDecodeError as error:
            raise ApiError(
                "InvalidRequestContentException", f"Could not parse request body into json: {error}"
            ) from error
        if not isinstance(found, dict):
            raise ApiError(
                "InvalidRequestContentException", "Could not parse request body into json: it is no object"
            )
        if is_deeper(found, DEEPEST):
            raise ApiError(
                "InvalidRequestContentException",
                f"Could not parse request body into json: more than {DEEPEST} levels",
            )
        return found


class Told(Struct, frozen=True):
    """One answer. Shape: `headers` beside the usual ones."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    def lines(self) -> bytes:
        """The further headers as they stand on the wire."""
        return "".join(f"{name}: {value}\r\n" for name, value in self.headers.items()).encode("latin-1")


Run: TypeAlias = Callable[["LambdaService", Ask], Awaitable[Told]]


class LambdaOperation(NamedTuple):
    """One operation and where it is asked for."""

    name: str
    method: bytes
    path: re.Pattern[str]
    run: Run


_REGISTERED: Final[dict[str, LambdaOperation]] = {}


def lambda_operation(name: str, method: str, path: str) -> Callable[[Run], Run]:
    """Register what does an operation. Shape: `path` below 2015-03-31, with parts as `{FunctionName}`."""

    def register(run: Run) -> Run:
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path)
        _REGISTERED[name] = LambdaOperation(name, method.encode(), re.compile(f"{pattern}/?"), run)
        return run

    return register


def lambda_operations() -> list[LambdaOperation]:
    """Every operation, by name."""
    for module in MODULES:
        import_module(f"tailrace.api.lambdas.{module}")
    return [_REGISTERED[name] for name in sorted(_REGISTERED)]


def find(
    operations: list[LambdaOperation], method: bytes, url: bytes, headers: Headers, body: bytes
) -> tuple[LambdaOperation, Ask]:
    """The operation of a request. Raises: ApiError for a path that is none."""
    path, _, query = url.partition(b"?")
    rest = PREFIX.sub(b"", path, count=1).decode("latin-1")
    for each in operations:
        if each.method == method and (found := each.path.fullmatch(rest)):
            names = {name: unquote(part) for name, part in found.groupdict().items()}
            return each, Ask(names, parse_qsl(query.decode("latin-1")), headers, body)
    raise ApiError(
        "UnknownOperationException",
        "Tailrace does not emulate this operation of Lambda. `tailrace coverage` lists what it does.",
        status=404,
    )


def refusal(error: ApiError) -> Told:
    """An error as Lambda's clients read it."""
    members: dict[str, object] = {"Type": "User" if error.status < SERVER_FAULT else "Server"}
    members |= {"Message": error.message, "message": error.message, **error.extra}
    return Told(error.status, orjson.dumps(members), {"X-Amzn-ErrorType": error.code})
