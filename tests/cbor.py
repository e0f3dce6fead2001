"""CBOR by another hand: botocore's own serializer and parser, as it has them for other services."""

from typing import Any

import botocore.session
from botocore.parsers import BaseCBORParser
from botocore.serialize import CBORSerializer


class Told:
    """What stands behind the tag of a point in time."""

    def __init__(self, number: float) -> None:
        self.number = number


class _Parser(BaseCBORParser):  # type: ignore[misc]
    def _parse_datetime(self, value: Any) -> Told:
        return Told(value)


def parsed(data: bytes) -> Any:
    """The value that bytes are, every byte of them."""
    parser = _Parser()
    stream = parser.get_peekable_stream_from_bytes(data)
    value = parser.parse_data_item(stream)
    assert stream.read() == b""
    return value


def serialized(operation: str, members: dict[str, Any], service: str = "kinesis") -> bytes:
    """The body of a request; a time is told in whole seconds, or in a fraction."""
    shape = botocore.session.get_session().get_service_model(service).operation_model(operation).input_shape
    body = bytearray()
    CBORSerializer()._serialize_type_structure(body, members, shape, None)
    return bytes(body)
