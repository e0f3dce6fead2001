"""CBOR, as the SDKs for Java speak it to Kinesis: one value of JSON's kinds, with bytes and points in time.

Theory of operation: RFC 8949. Read is whatever a client may send: lengths that are told before or not at all
(Jackson streams its maps), numbers and floats of every width, tags. Written is the shortest form with lengths
told before. A point in time has tag 1; as a whole number it counts milliseconds, which is how AWS's SDKs
write and read it, as a fraction seconds, which is what the RFC says. Other tags are passed over.
Rules of this file: pure. What is read is bounded by what came: a length that is told is never believed
beyond the bytes that are left, and nothing is nested deeper than `DEEPEST`. Source: RFC 8949; fleet §4.1.
"""

import struct
from collections.abc import Sequence
from typing import Any, Final

from tailrace.errors import CORAL, ApiError
from tailrace.streams.moment import Moment

DEEPEST: Final = 64
TIME: Final = 1
"""The tag of a point in time."""
UNSIGNED, NEGATIVE, BYTES, TEXT, ARRAY, MAP, TAG, SIMPLE = range(8)
INDEFINITE: Final = 31
BREAK: Final = 0xFF
FALSE, TRUE, NULL, UNDEFINED, HALF, SINGLE, DOUBLE = 20, 21, 22, 23, 25, 26, 27
FLOATS: Final = {HALF: struct.Struct(">e"), SINGLE: struct.Struct(">f"), DOUBLE: struct.Struct(">d")}
WIDTHS: Final = {24: 1, 25: 2, 26: 4, 27: 8}
LARGEST: Final = 1 << 64
"""What integers have in 64 bits; none of an answer is wider."""


class _Wrong(ValueError):
    """The bytes are no CBOR, or none that we read."""


def read_cbor(data: bytes) -> Any:
    """The value that bytes are. Raises: ApiError SerializationException.

    >>> read_cbor(bytes.fromhex("a1614483010243abcdef"))
    {'D': [1, 2, b'\\xab\\xcd\\xef']}
    """
    reader = _Reader(data)
    try:
        value = reader.value(0)
        if reader.at != len(data):
            raise _Wrong(f"{len(data) - reader.at} bytes follow the value")
    except (_Wrong, UnicodeDecodeError) as error:
        raise ApiError("SerializationException", f"the body is not CBOR: {error}", prefix=CORAL) from None
    return value


class _Reader:
    """Bytes and how far they are read."""

    __slots__ = ("at", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def value(self, depth: int) -> Any:
        """The next value, whole."""
        if depth > DEEPEST:
            raise _Wrong(f"more than {DEEPEST} levels")
        kind, more = divmod(self._byte(), 32)
        match kind:
            case 0:
                return self._number(more)
            case 1:
                return -1 - self._number(more)
            case 2:
                return b"".join(self._pieces(kind, more))
            case 3:
                return "".join(piece.decode() for piece in self._pieces(kind, more))
            case 4:
                return self._array(more, depth)
            case 5:
                return self._map(more, depth)
            case 6:
                tag, value = self._number(more), self.value(depth + 1)
                return value / 1_000 if tag == TIME and type(value) is int else value
            case _:
                return self._simple(more)

    def _byte(self) -> int:
        if self.at >= len(self.data):
            raise _Wrong("it ends early")
        self.at += 1
        return self.data[self.at - 1]

    def _take(self, length: int) -> bytes:
        if length > len(self.data) - self.at:
            raise _Wrong("it ends early")
        self.at += length
        return self.data[self.at - length : self.at]

    def _number(self, more: int) -> int:
        if more < min(WIDTHS):
            return more
        width = WIDTHS.get(more)
        if width is None:
            raise _Wrong(f"no length has the form {more}")
        return int.from_bytes(self._take(width))

    def _pieces(self, kind: int, more: int) -> list[bytes]:
        if more != INDEFINITE:
            return [self._take(self._number(more))]
        pieces: list[bytes] = []
        while (first := self._byte()) != BREAK:
            inner, length = divmod(first, 32)
            if inner != kind or length == INDEFINITE:
                raise _Wrong("a piece of a string is of another kind")
            pieces.append(self._take(self._number(length)))
        return pieces

    def _is_over(self) -> bool:
        """Whether the next byte ends what has no length; then it is taken."""
        if self._byte() == BREAK:
            return True
        self.at -= 1
        return False

    def _counted(self, more: int) -> int:
        count = self._number(more)
        if count > len(self.data) - self.at:  # each has a byte at least
            raise _Wrong("it ends early")
        return count

    def _array(self, more: int, depth: int) -> list[Any]:
        if more != INDEFINITE:
            return [self.value(depth + 1) for _ in range(self._counted(more))]
        values: list[Any] = []
        while not self._is_over():
            values.append(self.value(depth + 1))
        return values

    def _map(self, more: int, depth: int) -> dict[str, Any]:
        members: dict[str, Any] = {}
        left = -1 if more == INDEFINITE else self._counted(more)
        while left != 0:
            if left < 0 and self._is_over():
                break
            left -= 1
            name = self.value(depth + 1)
            if type(name) is not str:
                raise _Wrong("the name of a member is no text")
            members[name] = self.value(depth + 1)
        return members

    def _simple(self, more: int) -> Any:
        match more:
            case 20 | 21:
                return more == TRUE
            case 22 | 23:
                return None
            case _ if more in FLOATS:
                form = FLOATS[more]
                return form.unpack(self._take(form.size))[0]
            case _:
                raise _Wrong(f"simple value {more} means nothing")


def cbor_of(value: object) -> bytes:
    """A value as bytes. Raises: TypeError for what has no form.

    >>> cbor_of({"D": [1, b"a", Moment(5)]}).hex()
    'a1614483014161c105'
    """
    out = bytearray()
    _write(out, value)
    return bytes(out)


def _write(out: bytearray, value: object) -> None:
    match value:
        case str():
            data = value.encode()
            _head(out, TEXT, len(data))
            out += data
        case bytes():
            _head(out, BYTES, len(value))
            out += value
        case bool() | None:
            out.append(SIMPLE << 5 | (NULL if value is None else TRUE if value else FALSE))
        case int() if -LARGEST <= value < LARGEST:
            _head(out, *((UNSIGNED, value) if value >= 0 else (NEGATIVE, -1 - value)))
        case float():
            out.append(SIMPLE << 5 | DOUBLE)
            out += FLOATS[DOUBLE].pack(value)
        case Moment(ms):
            _head(out, TAG, TIME)
            _write(out, ms)
        case list() | tuple():
            _head(out, ARRAY, len(value))
            for element in value:
                _write(out, element)
        case dict():
            _head(out, MAP, len(value))
            for name, member in value.items():
                _write(out, name)
                _write(out, member)
        case _:
            raise TypeError(f"{type(value).__name__} has no form in CBOR")


def array_of(elements: Sequence[bytes]) -> bytes:
    """A list of values that are CBOR already.

    >>> array_of([cbor_of(1), cbor_of("a")]) == cbor_of([1, "a"])
    True
    """
    out = bytearray()
    _head(out, ARRAY, len(elements))
    return b"".join((out, *elements))


def _head(out: bytearray, kind: int, number: int) -> None:
    """What a value begins with: its kind, and its number in the fewest bytes."""
    if number < min(WIDTHS):
        out.append(kind << 5 | number)
        return
    for more, width in WIDTHS.items():
        if number < 1 << 8 * width:
            out.append(kind << 5 | more)
            out += number.to_bytes(width)
            return
    raise TypeError(f"{number} does not fit into CBOR's 64 bits")
