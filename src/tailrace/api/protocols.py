"""Protocols that ask by path or by form: requests → operations and members, answers and errors → bytes.

Rules of this file: pure; what stands where is told by the models. `api.wire` has the protocols that ask by a
header; called by `api.dispatch`. Source: AWS's smithy pages on restJson1 and awsQuery; AWS Lambda API
Reference, "Common errors".
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, unquote
from xml.sax.saxutils import escape

import orjson
from msgspec import Struct, field

from tailrace.api.registry import ApiService, Operation
from tailrace.api.shapes import Flag, Many, Shape, Whole
from tailrace.api.wire import Headers, Payload
from tailrace.errors import ApiError

SERVER_FAULT: Final = 500
DEEPEST: Final = 64
"""Levels of a body: many times what the model of any operation has. Payloads of functions are not read."""
FORM: Final = b"application/x-www-form-urlencoded"
XML: Final = b"text/xml"
MISSING_TOKEN: Final = "MissingAuthenticationToken"


class HttpAnswer(Struct, frozen=True):
    """One answer. Shape: `headers` beside the usual ones."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    def lines(self) -> bytes:
        """The further headers as they stand on the wire."""
        return "".join(f"{name}: {value}\r\n" for name, value in self.headers.items()).encode("latin-1")


# ---- rest-json ---------------------------------------------------------------------------------------------


class Route(NamedTuple):
    """Where an operation is asked for. Shape: `query` are parameters that must be there."""

    operation: Operation
    method: bytes
    path: re.Pattern[str]
    query: frozenset[tuple[str, str]]


def routes_of(operations: Iterable[Operation]) -> list[Route]:
    """Where the model has them; those that need a parameter before those that do not."""
    routes = []
    for operation in operations:
        place = operation.service.model.operations[operation.name]
        path, _, query = place["path"].partition("?")
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(path))
        routes.append(
            Route(
                operation, place["method"].encode(), re.compile(f"{pattern}/?"), frozenset(parse_qsl(query))
            )
        )
    return sorted(routes, key=lambda route: not route.query)


def read_rest(
    routes: Sequence[Route], method: bytes, url: bytes, headers: Headers, body: bytes
) -> tuple[Operation, Payload]:
    """What a method and a path ask for. Raises: ApiError for an unknown path or a body that is no JSON."""
    path, _, query = url.partition(b"?")
    text, parameters = path.decode("latin-1"), parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    for route in routes:
        if (
            route.method == method
            and (match := route.path.fullmatch(text))
            and route.query.issubset(parameters)
        ):
            names = {name: unquote(part) for name, part in match.groupdict().items()}
            return route.operation, _members(route.operation, names, parameters, headers, body)
    raise ApiError(
        "UnknownOperationException",
        "Tailrace does not emulate this operation of Lambda. `tailrace coverage` lists what it does.",
        status=404,
    )


def _members(
    operation: Operation,
    names: Mapping[str, str],
    parameters: Sequence[tuple[str, str]],
    headers: Headers,
    body: bytes,
) -> Payload:
    model, shapes = operation.service.model, operation.input.structure.members
    whole = model.body(operation.name)
    places = model.places(operation.name)
    members: Payload = {whole: body} if whole is not None else _json(body)
    for name, (where, called) in places.items():
        members.pop(name, None)
        match where:
            case "uri":
                members[name] = names[called]
            case "querystring" if isinstance(shapes.get(name), Many):
                if values := [value for key, value in parameters if key == called]:
                    members[name] = values
            case "querystring":
                if (value := dict(parameters).get(called)) not in (None, ""):
                    members[name] = _read(shapes.get(name), str(value))
            case _:
                if (header := headers.get(called.lower().encode())) is not None:
                    members[name] = _read(shapes.get(name), header.decode("latin-1"))
    return members


def _read(shape: Shape | None, text: str) -> object:
    """A member of a path or a form by its type; what is none of it stays text, and is refused as such."""
    match shape:
        case Whole() if re.fullmatch(r"-?[0-9]{1,19}", text):
            return int(text)
        case Flag() if text in ("true", "false"):
            return text == "true"
        case _:
            return text


def _json(body: bytes) -> Payload:
    try:
        payload = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError as error:
        raise unparsable(str(error)) from error
    if not isinstance(payload, dict):
        raise unparsable("it is no object")
    if is_deeper(payload, DEEPEST):
        raise unparsable(f"more than {DEEPEST} levels")
    return payload


def unparsable(why: str) -> ApiError:
    """A body that is no JSON object."""
    return ApiError("InvalidRequestContentException", f"Could not parse request body into json: {why}")


def is_deeper(value: object, levels: int) -> bool:
    """Whether JSON has more levels than these: what is nested without end must not reach code that walks it.

    >>> is_deeper({"a": [1]}, 2), is_deeper({"a": [1]}, 3)
    (True, False)
    """
    layer: list[Any] = [value]
    for _ in range(levels):
        containers = (
            value.values() if isinstance(value, dict) else value
            for value in layer
            if isinstance(value, dict | list)
        )
        layer = [inside for container in containers for inside in container]
        if not layer:
            return False
    return True


def rest_answer(operation: Operation, result: Any) -> HttpAnswer:
    """An answer as the model has it: its status, and members as JSON."""
    if isinstance(result, HttpAnswer):
        return result
    status: int = operation.service.model.operations[operation.name]["status"]
    return HttpAnswer(status, b"" if result is None else orjson.dumps(result))


def rest_refusal(error: ApiError) -> HttpAnswer:
    """An error as clients of rest-json read it."""
    members: dict[str, object] = {"Type": "User" if error.status < SERVER_FAULT else "Server"}
    members |= {"Message": error.message, "message": error.message, **error.extra}
    return HttpAnswer(error.status, orjson.dumps(members), {"X-Amzn-ErrorType": error.code})


# ---- Query -------------------------------------------------------------------------------------------------


def read_query(operations: Mapping[str, Operation], body: bytes) -> tuple[Operation, Payload]:
    """What a form asks for. Raises: ApiError for an action that is none."""
    parameters = dict(parse_qsl(body.decode("latin-1"), keep_blank_values=True))
    action, version = parameters.pop("Action", ""), parameters.pop("Version", "")
    operation = operations.get(action)
    if operation is None:
        raise ApiError("InvalidAction", f"Could not find operation {action} for version {version}")
    tree: dict[str, Any] = {}
    for name, value in parameters.items():
        *parents, last = name.split(".")[:DEEPEST]
        inner = tree
        for part in parents:
            inside = inner.setdefault(part, {})
            inner = inside if isinstance(inside, dict) else {}
        inner[last] = value
    return operation, {name: _unfolded(value) for name, value in tree.items()}


def _unfolded(value: Any) -> Any:
    """`member.1`, `member.2`, … as a list."""
    if not isinstance(value, dict):
        return value
    if value.keys() == {"member"} and isinstance(value["member"], dict):
        elements = sorted(value["member"].items(), key=lambda numbered: (len(numbered[0]), numbered[0]))
        return [_unfolded(element) for _, element in elements]
    return {name: _unfolded(inner) for name, inner in value.items()}


def query_answer(operation: Operation, result: Mapping[str, Any], request_id: str) -> HttpAnswer:
    """Members as XML. Shape: texts and structures of them."""
    name = operation.name
    body = (
        f"<{name}Response "
        f'xmlns="{operation.service.model.namespace}"><{name}Result>{_xml(result)}</{name}Result>'
        f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{name}Response>"
    )
    return HttpAnswer(200, body.encode())


def query_refusal(service: ApiService, error: ApiError, request_id: str) -> HttpAnswer:
    """An error as XML."""
    code = error.code.removesuffix("Exception") if error.prefix else error.code
    members = {
        "Type": "Sender" if error.status < SERVER_FAULT else "Receiver",
        "Code": code,
        "Message": error.message or "",
    }
    body = (
        f'<ErrorResponse xmlns="{service.model.namespace}"><Error>{_xml(members)}</Error>'
        f"<RequestId>{request_id}</RequestId></ErrorResponse>"
    )
    return HttpAnswer(403 if code == MISSING_TOKEN else error.status, body.encode())


def _xml(members: Mapping[str, Any]) -> str:
    return "".join(
        f"<{name}>{_xml(value) if isinstance(value, Mapping) else escape(str(value))}</{name}>"
        for name, value in members.items()
    )
