"""Dead letters are kept whole and read back."""

from typing import Any

import msgspec
import orjson
import pytest

from tailrace.deadletters.core.entry import (
    MAX_TEXT,
    DeadLetter,
    deadletter_fields,
    deadletter_key,
    deadletter_prefix,
    read_deadletter,
)
from tailrace.errors import StoreError
from tailrace.streams.record import ChangeRecord
from tailrace.streams.version import MOST_SEQUENCE, Version

RECORD = ChangeRecord(
    sequence=42,
    shard=3,
    event_name="MODIFY",
    created_us=1_000_000,
    size_bytes=77,
    partition=2**64 - 1,
    key=b"\x01\xff",
    keys=b'{"pk":{"S":"\xc3\xa4"}}',
    old=b'{"pk":{"S":"a"}}',
    new=b'{"pk":{"S":"a"},"n":{"N":"12"}}',
    by_ttl=True,
    keys_size=4,
    new_size=6,
)
LETTER = DeadLetter(
    record=RECORD,
    event_id="e",
    shard_id="shard-3",
    handler="app.mail",
    condition="RetryAttemptsExhausted",
    attempts=6,
    error="ValueError: no",
    traceback="Traceback",
    first_failure_ms=5,
    last_failure_ms=9,
    code_version="abc",
    trace="t",
)


def test_a_dead_letter_is_read_back_whole() -> None:
    fields = deadletter_fields(LETTER)
    assert fields["v"] == 3
    assert read_deadletter(orjson.loads(orjson.dumps(fields))) == LETTER


def test_a_format_of_the_future_is_refused_with_a_hint() -> None:
    with pytest.raises(StoreError, match="format 4") as refused:
        read_deadletter({**deadletter_fields(LETTER), "v": 4})
    assert refused.value.hint is not None


def test_keys_sort_by_version_under_their_mappings_prefix() -> None:
    keys = [deadletter_key("shop", "mail", Version(1, number)) for number in (2, 10, 1 << 62)]
    assert keys == sorted(keys)
    assert all(key.startswith(deadletter_prefix("shop", "mail")) for key in keys)
    assert not deadletter_key("shop", "mailer", Version(1, 1)).startswith(deadletter_prefix("shop", "mail"))


def test_an_endless_traceback_keeps_its_end() -> None:
    letter = DeadLetter(
        record=RECORD,
        event_id="e",
        shard_id="s",
        handler="h",
        condition="RetryAttemptsExhausted",
        attempts=1,
        traceback="x" * MAX_TEXT + "the last line",
    )
    kept = deadletter_fields(letter)["traceback"]
    assert len(kept) == MAX_TEXT
    assert kept.endswith("the last line")


def of_before_versions(format: int) -> dict[str, Any]:
    fields = deadletter_fields(LETTER) | {"v": format, "sequence": 42, "created_ms": 1_000}
    del fields["version"], fields["created_us"], fields["precision_us"]
    return fields


def test_a_letter_of_format_2_is_of_the_first_generation_and_counts_milliseconds() -> None:
    kept = read_deadletter(of_before_versions(2))
    assert kept == LETTER
    assert (kept.record.version, kept.record.precision_us) == (Version(1, 42), 1_000)


def test_a_sequence_number_of_56_digits_comes_out_as_it_went_in() -> None:
    record = msgspec.structs.replace(
        RECORD, sequence=MOST_SEQUENCE, generation=7, created_us=1_000_001, precision_us=1
    )
    letter = msgspec.structs.replace(LETTER, record=record)
    assert read_deadletter(orjson.loads(orjson.dumps(deadletter_fields(letter)))) == letter


def test_a_letter_of_format_1_is_read_and_its_sizes_are_counted_again() -> None:
    fields = of_before_versions(1)
    del fields["keys_size"], fields["new_size"]
    assert read_deadletter(fields) == LETTER


def test_words_that_have_no_utf8_do_not_keep_a_letter_from_being_written() -> None:
    letter = msgspec.structs.replace(LETTER, error="no such city: \ud800", traceback="x\udfff" * MAX_TEXT)
    kept = read_deadletter(orjson.loads(orjson.dumps(deadletter_fields(letter))))
    assert kept.error == "no such city: \\ud800"
    assert kept.traceback.endswith("x\\udfff")
    assert len(kept.traceback) == MAX_TEXT
