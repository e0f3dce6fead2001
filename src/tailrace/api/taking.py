"""A large request taken apart: read, checked, canonical and packed, so that little is left for the loop.

Theory of operation: an operation reads its members before it asks the engine for anything. Here it is run
with an engine that is not there: what it refuses by then is the answer; where it asks the engine, everything
it reads has been found good. Then the request is packed: its items as the bytes that are stored, everything
else beside them. `unpacked` makes members of it again, item by item, in slices.
Rules of this file: no sockets, no processes: `server.taking_process` runs `take` in a process of its own.
Bytes go over, never pickle.
"""

import logging
from collections.abc import Generator, Mapping, Sequence
from typing import Any, Final, NamedTuple, Never

import orjson

from tailrace.api.encoding import TooLargeInside, decoded
from tailrace.api.registry import KINESIS, Operation
from tailrace.api.shapes import AnyValue, AttributeMap, Binary, Many, Shape, StringMap, Structure
from tailrace.api.validation import read_blob
from tailrace.api.wire import (
    TOO_LARGE,
    Headers,
    Payload,
    internal_server_error,
    is_of_kinesis,
    read_call,
    refusal_body,
)
from tailrace.api.wordings import of_request
from tailrace.engine.slices import Effort, Slices, at_once
from tailrace.errors import CORAL, ApiError, validation_error
from tailrace.tables.limits import ITEM_BYTES
from tailrace.values.canonical import size_bytes, value_size
from tailrace.values.types import AttributeValue, Item
from tailrace.values.wire import Checked, dump_item, read_item, read_value

_log = logging.getLogger("tailrace.server")

LARGE: Final = 262_144
"""Bodies of more bytes are taken apart in another process."""
BESIDE_BYTES: Final = 4 * 1024 * 1024
"""How much may stand beside the items of a request: placeholders are 2 MB at most."""
LARGE_BLOBS: Final = 1_048_576
"""Of Kinesis, which is mostly base64: so much is read in the time that items of a quarter take."""
TOLD: Final = (
    b"x-amz-target", b"authorization", b"x-amz-date", b"date", b"content-encoding", b"content-type",
)  # fmt: skip
"""The headers that taking apart looks at."""


def is_soon_read(headers: Headers, body: bytes) -> bool:
    """Whether a large body is read sooner here than by another process."""
    return len(body) <= LARGE_BLOBS and is_of_kinesis(headers) and b"content-encoding" not in headers


class Taken(NamedTuple):
    """A request taken apart.

    Shape:   `status` 200 for one that is to be done, then `target` names its operation, `beside` is its
             members as JSON, with numbers where items stand, and `items` are these items. Else `beside` is
             the body of the error.
    """

    status: int
    target: bytes
    beside: bytes
    items: Sequence[bytes] = ()


class _Reached(BaseException):
    """The operation has asked for the engine."""


class _Nowhere:
    """An engine that is not there."""

    def __getattr__(self, name: str) -> Never:
        raise _Reached


def take(
    headers: Headers, query: bytes, body: bytes, limit: int, operations: Mapping[bytes, Operation]
) -> Taken:
    """Take a request apart. Never raises. Units: `limit` in bytes, of the body when it is decompressed."""
    target = b""
    try:
        body = decoded(body, headers.get(b"content-encoding", b"identity"), limit)
        operation, payload = read_call(headers, query, body, operations)
        target = operation.target
        payload = _read(operation, payload)
        items: list[bytes] = []
        beside = orjson.dumps(_packing(operation, payload, items))
        if len(beside) > BESIDE_BYTES:
            raise validation_error("The request has exceeded the maximum allowed size beside its items")
    except TooLargeInside:
        return _refused(headers, TOO_LARGE, target)
    except ApiError as error:
        return _refused(headers, error, target)
    except RecursionError:
        return _refused(headers, ApiError("SerializationException", None, prefix=CORAL), target)
    except (
        Exception
    ):  # a fault of ours must not end the process: its client is told as of any fault of the server
        _log.exception("a large request could not be taken apart")
        return _refused(headers, internal_server_error(), target)
    return Taken(200, target, beside, items)


def _refused(headers: Headers, error: ApiError, target: bytes) -> Taken:
    return Taken(error.status, target, refusal_body(headers, error))


def _read(operation: Operation, payload: Payload) -> Payload:
    """Run the operation to where it asks for the engine. Returns: its members, checked. Raises: ApiError."""
    try:
        nowhere: Any = _Nowhere()
        checked = operation.check(payload)
        try:
            result = operation.run(nowhere, checked)
            if isinstance(result, Generator):
                at_once(result)
        except _Reached:
            pass
        return checked
    except ApiError as error:
        raise operation.worded(error, payload) from None


def _packing(operation: Operation, payload: Payload, items: list[bytes]) -> Any:
    """What is wrong here is wrong with the request, whatever table it names. Raises: ApiError."""
    try:
        return _packed(operation.input.structure, payload, items)
    except ApiError as error:
        raise of_request(operation.name, operation.worded(error)) from None


# ---- packing -----------------------------------------------------------------------------------------------


def _packed(shape: Shape, value: Any, items: list[bytes]) -> Any:
    """A value with its items taken out. Members that AWS does not know are left out, and so are nulls."""
    match shape:
        case Structure(members=members):
            return {
                name: _packed(members[name], inner, items)
                for name, inner in value.items()
                if inner is not None and name in members
            }
        case Many(of):
            return [_packed(of, element, items) for element in value if element is not None]
        case StringMap(of):
            return {name: _packed(of, inner, items) for name, inner in value.items() if inner is not None}
        case AttributeMap(of_expression=True):
            return {name: _value_out(inner, items) for name, inner in value.items()}
        case AttributeMap():
            item = read_item(value)
            return _taken_out(item, size_bytes(item), items)
        case AnyValue():
            return _value_out(value, items)
        case Binary():
            items.append(read_blob(value))
            return len(items) - 1
        case _:
            return value


def _value_out(value: object, items: list[bytes]) -> int:
    read = read_value(value, any_depth=True)  # the operation has judged its depth
    return _taken_out(read, value_size(read), items)


def _taken_out(canonical: Item | AttributeValue, size: int, items: list[bytes]) -> int:
    if size > ITEM_BYTES:
        raise validation_error("Item size has exceeded the maximum allowed size")
    items.append(dump_item(canonical))
    return len(items) - 1


def unpacked(operation: Operation, taken: Taken) -> Slices[Payload]:
    """The members of a request again, in slices; its items are known to be good."""
    if operation.service is KINESIS:  # whose items are blobs
        blobs: Payload = _filled(operation.input.structure, orjson.loads(taken.beside), taken.items)
        return blobs
    effort = Effort()
    items: list[Checked] = []
    for data in taken.items:
        items.append(Checked(orjson.loads(data)))
        if effort.takes(len(data)):
            yield
    payload: Payload = _filled(operation.input.structure, orjson.loads(taken.beside), items)
    return payload


def _filled(shape: Shape, value: Any, items: Sequence[Checked | bytes]) -> Any:
    match shape:
        case Structure(members=members):
            return {name: _filled(members[name], inner, items) for name, inner in value.items()}
        case Many(of):
            return [_filled(of, element, items) for element in value]
        case StringMap(of):
            return {name: _filled(of, inner, items) for name, inner in value.items()}
        case AttributeMap(of_expression=True):
            return {name: items[index] for name, index in value.items()}
        case AttributeMap() | AnyValue() | Binary():
            return items[value]
        case _:
            return value
