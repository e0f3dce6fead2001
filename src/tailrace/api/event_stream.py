"""The frames of AWS's event streams (`application/vnd.amazon.eventstream`), written and read.

Theory of operation: a frame is two lengths with a checksum of their own, headers, a payload, and a checksum
of all before it; numbers are big-endian. Headers say what a frame is: an event, an exception, an error.
Rules of this file: pure. What comes from a wire ends in a frame or in `BadFrame`, in whatever pieces.
Source: semantics §5.4; AWS's page on the event stream encoding of smithy.
"""

import struct
from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias

from isal.isal_zlib import crc32
from msgspec import Struct

CONTENT_TYPE: Final = b"application/vnd.amazon.eventstream"
HEADERS_BYTES: Final = 128 * 1024
PAYLOAD_BYTES: Final = 24 * 1024 * 1024
LARGEST_TEXT: Final = 32_767
"""A header's value of text or bytes."""
LARGEST_NAME: Final = 255

Header: TypeAlias = "bool | int | bytes | str"

_LENGTHS: Final = struct.Struct(">II")
_CRC: Final = struct.Struct(">I")
_TEXT_LENGTH: Final = struct.Struct(">H")
_PRELUDE: Final = _LENGTHS.size + _CRC.size
_BESIDE: Final = _PRELUDE + _CRC.size
_NUMBERS: Final = {
    2: struct.Struct(">b"),
    3: struct.Struct(">h"),
    4: struct.Struct(">i"),
    5: struct.Struct(">q"),
    8: struct.Struct(">q"),
}
"""By the kinds of headers; a timestamp is the last."""
_BYTES: Final = 6


class BadFrame(ValueError):
    """What came is no frame: the message says why."""


class EventFrame(Struct, frozen=True):
    """One frame. Shape: numbers of every width and timestamps are integers, a UUID its 16 bytes."""

    headers: Mapping[str, Header]
    payload: bytes


# ---- writing -----------------------------------------------------------------------------------------------


def header_bytes(headers: Mapping[str, str]) -> bytes:
    """Headers of text, as they stand in a frame. Raises: ValueError beyond a bound.

    >>> header_bytes({":a": "b"})
    b'\\x02:a\\x07\\x00\\x01b'
    """
    parts = []
    for name, value in headers.items():
        called, text = name.encode(), value.encode()
        if not 0 < len(called) <= LARGEST_NAME:
            raise ValueError(f"a header's name has 1 to {LARGEST_NAME} bytes, not {len(called)}")
        if len(text) > LARGEST_TEXT:
            raise ValueError(f"the header {name} has {len(text)} bytes, and {LARGEST_TEXT} at most")
        parts.append(b"%c%b\x07%b%b" % (len(called), called, _TEXT_LENGTH.pack(len(text)), text))
    return b"".join(parts)


def frame_bytes(headers: bytes, payload: bytes) -> bytes:
    """A whole frame. Shape: `headers` from `header_bytes`. Raises: ValueError beyond a bound."""
    if len(headers) > HEADERS_BYTES:
        raise ValueError(f"a frame's headers have {len(headers)} bytes, and {HEADERS_BYTES} at most")
    if len(payload) > PAYLOAD_BYTES:
        raise ValueError(f"a frame's payload has {len(payload)} bytes, and {PAYLOAD_BYTES} at most")
    lengths = _LENGTHS.pack(_BESIDE + len(headers) + len(payload), len(headers))
    before = b"%b%b%b" % (lengths, _CRC.pack(crc32(lengths)), headers)
    return b"%b%b%b" % (before, payload, _CRC.pack(crc32(payload, crc32(before))))


def event_bytes(event: str, payload: bytes, kind: str) -> bytes:
    """An event. Shape: `event` as the model calls it; `kind` is the content type of the payload."""
    return frame_bytes(
        header_bytes({":message-type": "event", ":event-type": event, ":content-type": kind}), payload
    )


def exception_bytes(code: str, payload: bytes, kind: str) -> bytes:
    """An exception that the model knows, told inside the stream."""
    return frame_bytes(
        header_bytes({":message-type": "exception", ":exception-type": code, ":content-type": kind}), payload
    )


# ---- reading -----------------------------------------------------------------------------------------------


class FrameReader:
    """Frames from bytes that come in pieces. After `BadFrame` nothing more can be read."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def is_between(self) -> bool:
        """Whether what came ends where a frame does."""
        return not self._buffer

    def feed(self, data: bytes) -> Iterator[EventFrame]:
        """The frames that are whole now. Raises: BadFrame."""
        self._buffer += data
        while len(self._buffer) >= _PRELUDE:
            size = _size(self._buffer)
            if len(self._buffer) < size:
                return
            whole = bytes(self._buffer[:size])
            del self._buffer[:size]
            yield _frame(whole)


def _size(data: bytearray) -> int:
    """The bytes of the frame that begins here."""
    total, headers = _LENGTHS.unpack_from(data)
    if crc32(data[: _LENGTHS.size]) != _CRC.unpack_from(data, _LENGTHS.size)[0]:
        raise BadFrame("the checksum of a frame's lengths is wrong")
    payload = total - headers - _BESIDE
    if headers > HEADERS_BYTES or not 0 <= payload <= PAYLOAD_BYTES:
        raise BadFrame(f"a frame has {headers} bytes of headers and {payload} of payload")
    size: int = total
    return size


def _frame(whole: bytes) -> EventFrame:
    if crc32(whole[: -_CRC.size]) != _CRC.unpack_from(whole, len(whole) - _CRC.size)[0]:
        raise BadFrame("the checksum of a frame is wrong")
    end = _PRELUDE + _LENGTHS.unpack_from(whole)[1]
    try:
        headers = _headers(whole[_PRELUDE:end])
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise BadFrame(f"the headers of a frame cannot be read: {error}") from error
    return EventFrame(headers, whole[end : -_CRC.size])


def _headers(data: bytes) -> dict[str, Header]:
    headers: dict[str, Header] = {}
    at = 0
    while at < len(data):
        name = _piece(data, at + 1, data[at]).decode()
        at += 1 + data[at]
        kind = data[at]
        at += 1
        if name in headers:
            raise BadFrame(f"a frame has the header {name} twice")
        headers[name], width = _value(data, at, kind)
        at += width
    return headers


def _value(data: bytes, at: int, kind: int) -> tuple[Header, int]:
    """A header's value, and the bytes that it takes."""
    match kind:
        case 0 | 1:
            return kind == 0, 0
        case 2 | 3 | 4 | 5 | 8:
            number = _NUMBERS[kind]
            return number.unpack_from(data, at)[0], number.size
        case 6 | 7:
            size = _TEXT_LENGTH.unpack_from(data, at)[0]
            value = _piece(data, at + _TEXT_LENGTH.size, size)
            return value if kind == _BYTES else value.decode(), _TEXT_LENGTH.size + size
        case 9:
            return _piece(data, at, 16), 16
        case _:
            raise BadFrame(f"a header has a value of kind {kind}")


def _piece(data: bytes, at: int, size: int) -> bytes:
    piece = data[at : at + size]
    if len(piece) < size:
        raise BadFrame("a header ends behind its frame's headers")
    return piece
