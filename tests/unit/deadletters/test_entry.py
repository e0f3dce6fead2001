"""Dead letters are kept whole and read back."""

import orjson
import pytest

from tailrace.deadletters.entry import (
    MAX_TEXT,
    DeadLetter,
    deadletter_fields,
    deadletter_key,
    deadletter_prefix,
    read_deadletter,
)  # fmt: skip
from tailrace.errors import StoreError
from tailrace.streams.record import ChangeRecord

RECORD = ChangeRecord(
    sequence=42, shard=3, event_name="MODIFY", created_ms=1_000, size_bytes=77, partition=2**64 - 1, key=b"\x01\xff",
    keys=b'{"pk":{"S":"\xc3\xa4"}}', old=b'{"pk":{"S":"a"}}', new=None, by_ttl=True,
)  # fmt: skip
LETTER = DeadLetter(
    record=RECORD, event_id="e", shard_id="shard-3", handler="app.mail", condition="RetryAttemptsExhausted", attempts=6,
    error="ValueError: no", traceback="Traceback", first_failure_ms=5, last_failure_ms=9, code_version="abc", trace="t",
)  # fmt: skip


def test_a_dead_letter_is_read_back_whole() -> None:
    fields = deadletter_fields(LETTER)
    assert fields["v"] == 1
    assert read_deadletter(orjson.loads(orjson.dumps(fields))) == LETTER


def test_a_format_of_the_future_is_refused_with_a_hint() -> None:
    with pytest.raises(StoreError, match="format 2") as refused:
        read_deadletter({**deadletter_fields(LETTER), "v": 2})
    assert refused.value.hint is not None


def test_keys_sort_by_sequence_number_under_their_mappings_prefix() -> None:
    keys = [deadletter_key("shop", "mail", number) for number in (2, 10, 1 << 62)]
    assert keys == sorted(keys)
    assert all(key.startswith(deadletter_prefix("shop", "mail")) for key in keys)
    assert not deadletter_key("shop", "mailer", 1).startswith(deadletter_prefix("shop", "mail"))


def test_an_endless_traceback_keeps_its_end() -> None:
    letter = DeadLetter(
        record=RECORD, event_id="e", shard_id="s", handler="h", condition="RetryAttemptsExhausted", attempts=1,
        traceback="x" * MAX_TEXT + "the last line",
    )  # fmt: skip
    kept = deadletter_fields(letter)["traceback"]
    assert len(kept) == MAX_TEXT
    assert kept.endswith("the last line")
