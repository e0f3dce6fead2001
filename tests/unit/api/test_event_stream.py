"""Frames of event streams: botocore reads what is written, bounds hold, damage is seen."""

import contextlib
import struct
from typing import Any, Final
from zlib import crc32

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from tailrace.api.event_stream import (
    HEADERS_BYTES,
    LARGEST_NAME,
    LARGEST_TEXT,
    PAYLOAD_BYTES,
    BadFrame,
    EventFrame,
    FrameReader,
    event_bytes,
    exception_bytes,
    frame_bytes,
    header_bytes,
)

KIND: Final = "application/x-amz-json-1.1"
NAMES: Final = st.text(min_size=1, max_size=40)
TEXTS: Final = st.text(max_size=200)


def read(*pieces: bytes) -> list[EventFrame]:
    reader = FrameReader()
    frames = [frame for piece in pieces for frame in reader.feed(piece)]
    assert reader.is_between
    return frames


def as_botocore_reads(data: bytes) -> list[tuple[dict[str, Any], bytes]]:
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    return [(message.headers, message.payload) for message in buffer]


def raw(headers: bytes, payload: bytes = b"") -> bytes:
    """A frame with right checksums around any headers."""
    lengths = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    before = lengths + struct.pack(">I", crc32(lengths)) + headers + payload
    return before + struct.pack(">I", crc32(before))


def test_botocore_reads_an_event_and_an_exception() -> None:
    data = event_bytes("SubscribeToShardEvent", b'{"Records":[]}', KIND) + exception_bytes(
        "ResourceInUseException", b'{"message":"taken"}', KIND
    )
    assert as_botocore_reads(data) == [
        (
            {":message-type": "event", ":event-type": "SubscribeToShardEvent", ":content-type": KIND},
            b'{"Records":[]}',
        ),
        (
            {
                ":message-type": "exception",
                ":exception-type": "ResourceInUseException",
                ":content-type": KIND,
            },
            b'{"message":"taken"}',
        ),
    ]


@given(st.lists(st.tuples(st.dictionaries(NAMES, TEXTS, max_size=5), st.binary(max_size=300)), max_size=4))
def test_whatever_is_written_is_read_by_botocore_and_by_us(
    frames: list[tuple[dict[str, str], bytes]],
) -> None:
    data = b"".join(frame_bytes(header_bytes(headers), payload) for headers, payload in frames)
    assert as_botocore_reads(data) == frames
    assert [(frame.headers, frame.payload) for frame in read(data)] == frames


@given(st.integers(1, 7), st.binary(max_size=40))
def test_frames_come_in_whatever_pieces(size: int, payload: bytes) -> None:
    data = event_bytes("e", payload, KIND) * 2
    frames = read(*(data[at : at + size] for at in range(0, len(data), size)))
    assert [frame.payload for frame in frames] == [payload, payload]


def test_values_of_every_kind_are_read() -> None:
    identity = bytes(range(16))
    values: list[tuple[int, bytes, object]] = [
        (0, b"", True),
        (1, b"", False),
        (2, b"\xff", -1),
        (3, b"\x80\x00", -32_768),
        (4, b"\x7f\xff\xff\xff", 2**31 - 1),
        (5, b"\x80" + b"\0" * 7, -(2**63)),
        (6, b"\0\x02\xff\xfe", b"\xff\xfe"),
        (7, b"\0\x02\xc3\xa4", "ä"),
        (8, (1_780_000_000_123).to_bytes(8), 1_780_000_000_123),
        (9, identity, identity),
    ]
    data = raw(b"".join(b"\x02h%d%c%b" % (kind, kind, value) for kind, value, _ in values))
    (frame,) = read(data)
    assert frame.headers == {f"h{kind}": value for kind, _, value in values}
    ((theirs, _),) = as_botocore_reads(data)
    assert theirs == frame.headers


def test_every_flipped_bit_is_seen() -> None:
    whole = event_bytes("e", b"payload", KIND)
    for flipped in range(8 * len(whole)):
        data = bytearray(whole)
        data[flipped // 8] ^= 1 << flipped % 8
        with pytest.raises(BadFrame, match="checksum"):
            read(bytes(data), bytes(64))


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        (b"\x01a\x0a", "kind 10"),
        (b"\x01a", "cannot be read"),
        (b"\x05a\x00", "ends behind"),
        (b"\x01a\x07\x00\x09b", "ends behind"),
        (b"\x01a\x05\x00", "cannot be read"),
        (b"\x01\xff\x00", "cannot be read"),
        (b"\x01a\x00\x01a\x01", "twice"),
    ],
)
def test_headers_that_are_none_are_refused(headers: bytes, reason: str) -> None:
    with pytest.raises(BadFrame, match=reason):
        read(raw(headers))


def test_a_name_and_a_text_have_bounds() -> None:
    assert read(frame_bytes(header_bytes({"n" * LARGEST_NAME: "v" * LARGEST_TEXT}), b""))
    with pytest.raises(ValueError, match="not 256"):
        header_bytes({"n" * (LARGEST_NAME + 1): ""})
    with pytest.raises(ValueError, match="not 0"):
        header_bytes({"": ""})
    with pytest.raises(ValueError, match="32768 bytes"):
        header_bytes({"n": "v" * (LARGEST_TEXT + 1)})


def filling(size: int) -> bytes:
    """Headers of exactly so many bytes."""
    whole, rest = divmod(size, 4 + 2 + 32_000)
    headers = {f"h{index}": "v" * 32_000 for index in range(whole)}
    return header_bytes({**headers, "r0": "v" * (rest - 6)})


def test_headers_have_a_bound() -> None:
    at_bound = filling(HEADERS_BYTES)
    assert len(at_bound) == HEADERS_BYTES
    assert read(frame_bytes(at_bound, b""))
    assert as_botocore_reads(frame_bytes(at_bound, b""))
    with pytest.raises(ValueError, match="131073 bytes"):
        frame_bytes(filling(HEADERS_BYTES + 1), b"")
    with pytest.raises(BadFrame, match="131073 bytes of headers"):
        read(raw(filling(HEADERS_BYTES + 1)))


def test_a_payload_has_a_bound() -> None:
    whole = frame_bytes(b"", bytes(PAYLOAD_BYTES))
    assert len(read(whole)[0].payload) == PAYLOAD_BYTES
    assert as_botocore_reads(whole)
    with pytest.raises(ValueError, match="25165825 bytes"):
        frame_bytes(b"", bytes(PAYLOAD_BYTES + 1))
    lengths = struct.pack(">II", 16 + PAYLOAD_BYTES + 1, 0)
    with pytest.raises(BadFrame, match="25165825 of payload"):
        read(lengths + struct.pack(">I", crc32(lengths)))


def test_a_frame_that_is_shorter_than_what_is_around_it_is_refused() -> None:
    for total, headers in ((15, 0), (16, 1)):
        lengths = struct.pack(">II", total, headers)
        with pytest.raises(BadFrame, match="-1 of payload"):
            read(lengths + struct.pack(">I", crc32(lengths)) + bytes(64))


@given(st.binary(max_size=200))
def test_any_bytes_end_in_a_frame_or_in_bad_frame(data: bytes) -> None:
    reader = FrameReader()
    with contextlib.suppress(BadFrame):
        for frame in reader.feed(data):
            assert as_botocore_reads(data)[0][1] == frame.payload


def test_half_a_frame_is_not_the_end() -> None:
    reader = FrameReader()
    assert list(reader.feed(event_bytes("e", b"", KIND)[:-1])) == []
    assert not reader.is_between
