"""Ancestries: texts that survive headers, log rows and names of every kind."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tailrace.errors import StoreError
from tailrace.streams.ancestry import ancestry_of, descended, merged, times, trace_id
from tailrace.streams.record import ChangeRecord, LogRow, log_row, read_log_row, read_log_rows

NAMES = some.text(min_size=1, max_size=12)
REQUEST = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"


@given(some.lists(NAMES, max_size=12))
def test_every_handler_is_counted_as_often_as_it_answered(names: list[str]) -> None:
    ancestry = ""
    for name in names:
        ancestry = descended(ancestry, name)
    for name in {*names, "nobody"}:
        assert times(ancestry, name) == names.count(name)


@given(some.lists(NAMES, max_size=12))
def test_an_ancestry_survives_the_header_of_a_client_that_quotes_it(names: list[str]) -> None:
    ancestry = ""
    for name in names:
        ancestry = descended(ancestry, name)
    trace = trace_id(ancestry, 1_700_000_000_000, REQUEST)
    for sent in (trace, quote(trace, safe="-=;:+&[]{}\"',")):  # as botocore writes it
        assert ancestry_of(sent.encode("latin-1")) == ancestry


@pytest.mark.parametrize(
    "trace",
    [b"", b";",
     b"Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1;Lineage=25:a87bd80c:1",
     b"Tailrace=", b"Tailrace=a", b"Tailrace=a:b", b"Tailrace=a:1,,b:2,c", b"\xff\xfe", b"Tailrace=%ff:1"],
)  # fmt: skip
def test_what_is_no_ancestry_of_ours_is_none_or_harmless(trace: bytes) -> None:
    ancestry = ancestry_of(trace)
    assert times(ancestry, "anything") == 0


def test_a_batch_descends_from_the_deepest_of_its_changes() -> None:
    assert merged([]) == merged(["", ""]) == ""
    assert times(merged(["a:3", "a:1,b:2", ""]), "a") == 3
    assert times(merged(["a:3", "a:1,b:2", ""]), "b") == 2


PLAIN = ChangeRecord(
    5, 3, "INSERT", 7_000, 20, 9, b"key", b'{"id":{"S":"o1"}}', None, b"{}", keys_size=4, new_size=6
)


@given(some.lists(NAMES, min_size=1, max_size=4))
def test_a_log_row_keeps_an_ancestry(names: list[str]) -> None:
    ancestry = ""
    for name in names:
        ancestry = descended(ancestry, name)
    record = ChangeRecord(
        5,
        3,
        "MODIFY",
        7_000,
        20,
        9,
        b"key",
        b'{"id":{"S":"o1"}}',
        b"{}",
        b"{}",
        keys_size=4,
        new_size=6,
        ancestry=ancestry,
    )
    row = log_row(record)
    assert row.header[0] == 2
    assert read_log_row(row) == record
    assert read_log_rows([row, log_row(PLAIN), row]) == [record, PLAIN, record]


def test_a_record_without_one_is_written_as_before() -> None:
    row = log_row(PLAIN)
    assert (row.header[0], len(row.header)) == (1, 34 + len(PLAIN.key) + len(PLAIN.keys))
    assert read_log_row(row) == PLAIN


def test_a_format_of_the_future_is_refused_by_its_number() -> None:
    header = b"\x03" + log_row(PLAIN).header[1:]
    with pytest.raises(StoreError, match="has format 3; this version of tailrace reads formats 1 and 2"):
        read_log_row(LogRow(3, 5, header, None, b"{}"))
