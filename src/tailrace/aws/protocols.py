"""AWS's protocols: parameters → the request of an operation, and an answer → its members or its error.

Theory of operation: parameters are shaped as boto3 takes them, without its classes: numbers, texts, lists,
dictionaries, bytes. JSON goes as it is: bytes become base64, as a blob must, and a text that is base64
already stays what it is. Answers are as the wire has them: in JSON a blob is base64 and a time a number, in
XML a time is the text that the service wrote.
Rules of this file: pure. What cannot be said is refused as botocore refuses it. Sources: Smithy, "AWS
protocols" (awsJson1_0, awsJson1_1, awsQuery, restJson1, restXml); botocore.serialize and botocore.parsers,
the oracles of the tests.
"""

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping
from email.utils import format_datetime
from typing import Any, Final
from urllib.parse import quote, urlencode
from xml.etree.ElementTree import Element, ParseError, fromstring

import orjson
from isal.isal_zlib import crc32
from msgspec import Struct

from tailrace.aws.errors import AwsError, ErrorMeaning, Meaning, verdict
from tailrace.aws.operations import OperationModel, ShapeModel
from tailrace.aws.signing import UNESCAPED

FORM: Final = "application/x-www-form-urlencoded; charset=utf-8"
WORDS: Final = 200
"""Characters of an unreadable answer that are shown."""
EPOCH: Final = "timestamp"


class Wire(Struct, frozen=True):
    """An unsigned request. Shape: `path` and `query` are escaped; names of `headers` in lower case."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    body: bytes


def wire_of(operation: OperationModel, parameters: Mapping[str, Any]) -> Wire:
    """The request of a call. Raises: AwsError for parameters that the protocol cannot say."""
    try:
        match operation.protocol:
            case "json":
                return Wire("POST", "/", (), operation.headers, to_json(parameters))
            case "query":
                form = [("Action", operation.name), ("Version", operation.version)]
                form += _form(operation.input_shape, "", parameters)
                return Wire("POST", "/", (), {"content-type": FORM}, urlencode(form).encode())
        return _rest(operation, parameters)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        words = f"{type(error).__name__}: {error}"
        raise AwsError(
            operation.call, ErrorMeaning(Meaning.REFUSED), "ParamValidationError", words
        ) from error


def to_json(value: Any) -> bytes:
    """JSON as AWS reads it: bytes are base64, a time is its seconds. Raises: TypeError."""
    return orjson.dumps(value, default=_wire_value, option=orjson.OPT_PASSTHROUGH_DATETIME)


def _wire_value(value: Any) -> Any:
    if isinstance(value, bytes | bytearray | memoryview):
        return b64encode(value).decode()
    seconds: Callable[[], float] | None = getattr(value, EPOCH, None)
    if seconds is not None:
        return seconds()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not allowed")


def members_of(
    operation: OperationModel, status: int, headers: Mapping[str, str], body: bytes
) -> dict[str, Any]:
    """The members of an answer that says yes. Shape: `headers` are found by names in lower case. Raises:
    AwsError for what is no answer of this protocol.
    """
    _check(operation, headers, body)
    try:
        match operation.protocol:
            case "json":
                return _object(body)
            case "query":
                root = _xml(body)
                wrapped = root.find(f"{{*}}{operation.wrapper}") if operation.wrapper else root
                members = {} if wrapped is None else _from_xml(operation.answer, wrapped)
                return dict(members)
        return _rest_members(operation, status, headers, body)
    except (ParseError, ValueError, TypeError, LookupError, AttributeError) as error:
        shown = body[:WORDS].decode(errors="replace")
        words = f"an answer that is none of {operation.protocol} ({status}): {shown!r}"
        raise AwsError(operation.call, ErrorMeaning(Meaning.UNAVAILABLE), "", words, status=status) from error


def error_of(
    operation: OperationModel, status: int, headers: Mapping[str, str], body: bytes, reason: str = ""
) -> AwsError:
    """What an answer that says no means. Shape: `headers` are found by names in lower case."""
    members: dict[str, Any] = {}
    try:
        if operation.protocol in ("json", "rest-json"):
            members = _object(body)
            code, words = _json_error(members, headers)
        else:
            code, words = _xml_error(body)
    except (ParseError, ValueError):
        code, words = "", body[:WORDS].decode(errors="replace")
    code = code or str(status)
    judged = verdict(code, words, status=status, service=operation.service, operation=operation.python_name)
    return AwsError(
        operation.call,
        judged,
        code,
        words or reason,
        status=status,
        retry_after_ms=_retry_after_ms(headers, members),
        members=members,
    )


def _json_error(members: Mapping[str, Any], headers: Mapping[str, str]) -> tuple[str, str]:
    old = headers.get("x-amzn-query-error", "")
    code = str(
        old.partition(";")[0]
        or headers.get("x-amzn-errortype", "")
        or members.get("__type", "")
        or members.get("code", "")
    )
    words = members.get("message") or members.get("Message") or members.get("errorMessage") or ""
    return code.partition(":")[0].rpartition("#")[2], str(words)


def _xml_error(body: bytes) -> tuple[str, str]:
    if not body:
        return "", ""
    root = _xml(body)
    error = root if _name(root) == "Error" else root.find("{*}Error")
    if error is None:
        error = root.find("{*}Errors/{*}Error")
    if error is None:
        return "", "".join(root.itertext()).strip()[:WORDS]
    return error.findtext("{*}Code", ""), error.findtext("{*}Message", "")


def _retry_after_ms(headers: Mapping[str, str], members: Mapping[str, Any]) -> int:
    """The least time to wait: Retry-After or its member in seconds, or x-amz-retry-after in ms."""
    for text, factor in (
        (headers.get("x-amz-retry-after"), 1),
        (headers.get("retry-after"), 1_000),
        (members.get("retryAfterSeconds"), 1_000),
    ):
        if text is not None and str(text).strip().isdecimal():
            return int(text) * factor
    return 0


def _check(operation: OperationModel, headers: Mapping[str, str], body: bytes) -> None:
    """DynamoDB sends a checksum of its answers. Raises: AwsError."""
    checksum = headers.get("x-amz-crc32")
    if checksum is not None and checksum.isdecimal() and int(checksum) != crc32(body):
        words = "the answer is not what was sent: its checksum differs"
        raise AwsError(operation.call, ErrorMeaning(Meaning.UNAVAILABLE), "", words)


def _object(body: bytes) -> dict[str, Any]:
    document = orjson.loads(body) if body else {}
    if not isinstance(document, dict):
        raise ValueError("no JSON object")
    return document


# ---- query -------------------------------------------------------------------------------------------------


def _form(shape: ShapeModel, prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    """The arguments of a value, by their dotted names."""
    match shape.kind:
        case "structure":
            for name, inside in value.items():
                member = shape.members[name]
                yield from _form(member, _joined(prefix, member.name or name), inside)
        case "list":
            (item,) = shape.inner
            if not value:
                yield prefix, ""
            place = _flat(prefix, item.name) if shape.is_flat else _joined(prefix, item.name or "member")
            for number, inside in enumerate(value, 1):
                yield from _form(item, f"{place}.{number}", inside)
        case "map":
            key, inner = shape.inner
            place = prefix if shape.is_flat else f"{prefix}.entry"
            for number, (name, inside) in enumerate(value.items(), 1):
                yield f"{place}.{number}.{key.name or 'key'}", str(name)
                yield from _form(inner, f"{place}.{number}.{inner.name or 'value'}", inside)
        case _:
            yield prefix, _text(shape, value)


def _joined(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name


def _flat(prefix: str, name: str) -> str:
    """A flat list is called after its items where these have a name."""
    return ".".join((*prefix.split(".")[:-1], name)) if name else prefix


def _text(shape: ShapeModel, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes | bytearray | memoryview):
        return b64encode(value).decode()
    if shape.kind == EPOCH and not isinstance(value, str):
        if shape.place == "header":
            return format_datetime(value, usegmt=True)
        return str(value.isoformat()).replace("+00:00", "Z")
    return str(value)


# ---- REST --------------------------------------------------------------------------------------------------


def _rest(operation: OperationModel, parameters: Mapping[str, Any]) -> Wire:
    path, query = operation.path, [*operation.query]
    headers: dict[str, str] = {}
    rest: dict[str, Any] = {}
    for name, value in parameters.items():
        shape = operation.input_shape.members[name]
        wire = shape.name or name
        match shape.place:
            case "uri":
                path = _with_label(path, wire, _text(shape, value))
            case "querystring":
                query += _arguments(shape, wire, value)
            case "header":
                headers[wire.lower()] = _header(shape, value)
            case "headers":
                headers.update({f"{wire}{key}".lower(): str(header) for key, header in value.items()})
            case _:
                rest[name] = value
    if "{" in path:
        raise ValueError(f"the parameter {path.partition('{')[2].partition('}')[0].rstrip('+')} is missing")
    body = b""
    if operation.payload:
        body = _payload(operation.input_shape.members[operation.payload], rest.pop(operation.payload, b""))
    elif rest or any(not shape.place for shape in operation.input_shape.members.values()):
        body = to_json(rest)
        headers.setdefault("content-type", "application/json")
    return Wire(operation.method, path, tuple(query), headers, body)


def _with_label(path: str, name: str, text: str) -> str:
    if not text:
        raise ValueError(f"the parameter {name} is empty")
    return path.replace(f"{{{name}+}}", quote(text, safe=f"/{UNESCAPED}")).replace(
        f"{{{name}}}", quote(text, safe=UNESCAPED)
    )


def _arguments(shape: ShapeModel, name: str, value: Any) -> Iterator[tuple[str, str]]:
    match value:
        case Mapping():
            pairs = [(str(key), element) for key, element in value.items()]
        case list() | tuple():
            pairs = [(name, element) for element in value]
        case _:
            pairs = [(name, value)]
    for key, element in pairs:
        yield quote(key, safe=UNESCAPED), quote(_text(shape, element), safe=UNESCAPED)


def _header(shape: ShapeModel, value: Any) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    text = _text(shape, value)
    if "\n" in text or "\r" in text:
        raise ValueError("a header has one line")
    return text


def _payload(shape: ShapeModel, value: Any) -> bytes:
    match value:
        case bytes() | bytearray() | memoryview():
            return bytes(value)
        case str():
            return value.encode()
    if shape.kind == "structure":
        return to_json(value)
    raise TypeError(f"{type(value).__name__} is not allowed as a body; it is bytes")


def _rest_members(
    operation: OperationModel, status: int, headers: Mapping[str, str], body: bytes
) -> dict[str, Any]:
    members: dict[str, Any] = {}
    answer = operation.answer
    for name, shape in answer.members.items():
        wire = (shape.name or name).lower()
        match shape.place:
            case "statusCode":
                members[name] = status
            case "header" if wire in headers:
                members[name] = _scalar(shape, headers[wire])
            case "headers":
                members[name] = {
                    header[len(wire) :].lower(): text
                    for header, text in headers.items()
                    if header.lower().startswith(wire)
                }
    if operation.answer_payload:
        shape = answer.members[operation.answer_payload]
        if shape.kind in ("blob", "string"):
            members[operation.answer_payload] = body if shape.kind == "blob" else body.decode()
        elif body:
            is_json = operation.protocol == "rest-json"
            members[operation.answer_payload] = (
                orjson.loads(body) if is_json else _from_xml(shape, _xml(body))
            )
    elif body and any(not shape.place for shape in answer.members.values()):
        is_json = operation.protocol == "rest-json"
        members.update(_object(body) if is_json else _from_xml(answer, _xml(body)))
    return members


# ---- XML ---------------------------------------------------------------------------------------------------


def _xml(body: bytes) -> Element:
    """The root of a document. Raises: ParseError; ValueError for declared entities: AWS sends none."""
    if b"<!DOCTYPE" in body[:1_024] or b"<!ENTITY" in body:
        raise ValueError("a document with entities of its own")
    return fromstring(body)


def _name(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _from_xml(shape: ShapeModel, element: Element) -> Any:
    match shape.kind:
        case "structure":
            return _structure(shape, element)
        case "list":
            (item,) = shape.inner
            wanted = item.name or "member"
            return [_from_xml(item, child) for child in element if _name(child) == wanted]
        case "map":
            return _map(shape, list(element))
    return _scalar(shape, element.text or "")


def _structure(shape: ShapeModel, element: Element) -> dict[str, Any]:
    children: dict[str, list[Element]] = {}
    for child in element:
        children.setdefault(_name(child), []).append(child)
    members: dict[str, Any] = {}
    for name, member in shape.members.items():
        if member.place:
            continue
        flat = member.is_flat and member.kind in ("list", "map")
        wire = member.name or name
        if flat and member.kind == "list":
            wire = member.inner[0].name or wire
        inside = children.get(wire)
        if inside is None:
            continue
        if flat:
            members[name] = (
                _map(member, inside)
                if member.kind == "map"
                else [_from_xml(member.inner[0], child) for child in inside]
            )
        else:
            members[name] = _from_xml(member, inside[0])
    return members


def _map(shape: ShapeModel, entries: list[Element]) -> dict[str, Any]:
    key, value = shape.inner
    mapping: dict[str, Any] = {}
    for entry in entries:
        inside = {_name(child): child for child in entry}
        name = inside[key.name or "key"].text or ""
        mapping[name] = _from_xml(value, inside[value.name or "value"])
    return mapping


def _scalar(shape: ShapeModel, text: str) -> Any:
    match shape.kind:
        case "integer" | "long":
            return int(text)
        case "float" | "double":
            return float(text)
        case "boolean":
            return text == "true"
        case "blob":
            return b64decode(text)
    return text
