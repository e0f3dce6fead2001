"""The change record: what happened, its images, and the row in which the log keeps it."""

from collections.abc import Callable

import pytest

from tailrace.errors import StoreError
from tailrace.streams.record import ChangeRecord, LogRow, image, log_row, read_log_row, read_log_rows
from tailrace.values.canonical import size_bytes
from tests.unit.streams.records import ALL, CREATED_MS, EXPIRY, INSERT, KEYS, LARGE, MODIFY, REMOVE


@pytest.mark.parametrize(
    ("record", "name"), [(INSERT, "INSERT"), (MODIFY, "MODIFY"), (REMOVE, "REMOVE"), (EXPIRY, "REMOVE")]
)
def test_the_images_say_what_happened(record: ChangeRecord, name: str) -> None:
    assert record.event_name == name


def test_an_absent_image_stays_absent() -> None:
    assert image(INSERT.old) is None
    assert image(INSERT.new) == LARGE


def test_a_record_tells_its_sequence_number_in_the_wires_form() -> None:
    assert INSERT.sequence_number == INSERT.sequence
    assert INSERT.sequence_number.wire.endswith(str(INSERT.sequence))


# ---- the log -----------------------------------------------------------------------------------------------


def read_page(row: LogRow) -> ChangeRecord:
    """Of a page of three, the one in the middle."""
    first, record, last = read_log_rows([log_row(INSERT), row, log_row(MODIFY)])
    assert (first, last) == (INSERT, MODIFY)
    return record


READERS = pytest.mark.parametrize("read", [read_log_row, read_page])


@READERS
@pytest.mark.parametrize("record", ALL)
def test_a_record_survives_the_log(record: ChangeRecord, read: Callable[[LogRow], ChangeRecord]) -> None:
    assert read(log_row(record)) == record


def test_the_log_keeps_both_images_apart_from_the_header() -> None:
    row = log_row(MODIFY)
    assert (row.shard, row.sequence, row.old, row.new) == (7, MODIFY.sequence, MODIFY.old, MODIFY.new)
    assert row.header[0] == 1
    assert b"NULL" not in row.header


def test_the_header_is_as_documented() -> None:
    header = log_row(EXPIRY).header
    at = lambda start, length: int.from_bytes(header[start : start + length], "big")  # noqa: E731
    assert (at(0, 1), at(1, 1), at(2, 1), at(3, 1)) == (1, 2, 1, 0)
    assert at(4, 8) == CREATED_MS
    assert (at(12, 4), at(16, 4), at(20, 4)) == (size_bytes(KEYS) + size_bytes(LARGE), size_bytes(KEYS), 0)
    assert at(24, 8) == EXPIRY.partition
    assert at(32, 2) == len(EXPIRY.key)
    assert header[34:] == EXPIRY.key + EXPIRY.keys


@READERS
@pytest.mark.parametrize("header", [b"\3" + log_row(INSERT).header[1:], b"\3", b"\0", b""])
def test_another_format_is_refused(header: bytes, read: Callable[[LogRow], ChangeRecord]) -> None:
    with pytest.raises(StoreError, match="reads formats 1 and 2") as caught:
        read(LogRow(7, 9, header, None, b"{}"))
    assert caught.value.hint


@READERS
@pytest.mark.parametrize("header", [b"\1", log_row(INSERT).header[:20], b"\1\7" + log_row(INSERT).header[2:]])
def test_a_damaged_row_is_refused(header: bytes, read: Callable[[LogRow], ChangeRecord]) -> None:
    with pytest.raises(StoreError, match="record 9 of shard 7 is damaged") as caught:
        read(LogRow(7, 9, header, None, b"{}"))
    assert caught.value.hint
