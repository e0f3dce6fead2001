"""A dead letter: a record given up, kept whole, with everything a person needs to judge it.

Rules of this file: a pure layout over one row of state, format 3 (2 with a sequence number instead of a
version, 1 without the sizes of the view types, too), documented in docs/formats/state.md. Images stay the
JSON text that clients are answered. Written in one transaction with the checkpoint that passes the record;
writing it again changes nothing. Called by runtime/delivering.py, `why` and the test world.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tailrace.rows.kinds import DEADLETTER, PARKED
from tailrace.rows.writes import readable
from tailrace.streams.record import ChangeRecord
from tailrace.streams.stored import WITH_VERSION, read_record, record_fields
from tailrace.streams.version import Version

VERSION: Final = WITH_VERSION
WINDOW_SHARD: Final = "window"
"""In place of a shard's id: the letter is of a window's result, not of a change."""
MAX_TEXT: Final = 16_000
"""Characters of an error or traceback that are kept: their ends say most, and a row must stay writable."""


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """One record given up.

    Shape:   `condition` is Lambda's word (`RetryAttemptsExhausted`, `RecordAgeExceeded`), `KeyParked` for a
             later change that waits behind a parked one of its key, or `ArrivedLate` for one that came when
             later ones of its item were handed over; `attempts` really made; `table` the change's, "" in
             rows of versions before 0.2; `tried` is the last request that has left it as it is.
    Units:   *_ms since the epoch; 0 when the sink was never tried.
    """

    record: ChangeRecord
    event_id: str
    shard_id: str
    handler: str
    condition: str
    attempts: int
    error: str = ""
    traceback: str = ""
    first_failure_ms: int = 0
    last_failure_ms: int = 0
    code_version: str = ""
    trace: str = ""
    table: str = ""
    tried: str = ""

    @property
    def is_waiting(self) -> bool:
        """Whether it never failed: it only waits behind a parked change of its key."""
        return self.condition == "KeyParked"

    @property
    def is_of_window(self) -> bool:
        """Whether it is a window whose handler failed; its record stands for the window and is of no item."""
        return self.shard_id == WINDOW_SHARD


def deadletter_key(app: str, mapping_id: str, version: Version) -> str:
    """The row of one dead letter. Sorted by version inside a mapping.

    >>> deadletter_key("shop", "send_mail", Version(1, 42))[-30:]
    '000000000000000000000000000042'
    """
    return f"{deadletter_prefix(app, mapping_id)}{version.text}"


def deadletter_prefix(app: str, mapping_id: str) -> str:
    """What the rows of all dead letters of a mapping start with."""
    return DEADLETTER.prefix(app, mapping_id)


def parked_key(app: str, mapping_id: str, key: bytes, version: Version) -> str:
    """The row of one parked change. Sorted by version inside its item's key."""
    return f"{parked_prefix(app, mapping_id, key)}{version.text}"


def parked_prefix(app: str, mapping_id: str, key: bytes | None = None) -> str:
    """What the rows of all parked changes of a mapping, or of one item, start with.

    >>> parked_prefix("shop", "mail", b"o1")
    'parked/shop/mail/6f31/'
    """
    words = ("",) if key is None else (key.hex(), "")
    return PARKED.key(app, mapping_id, *words)


def deadletter_fields(letter: DeadLetter) -> dict[str, Any]:
    """The row of a dead letter."""
    return {
        "v": VERSION,
        **record_fields(letter.record),
        "event_id": letter.event_id,
        "shard_id": letter.shard_id,
        "handler": letter.handler,
        "condition": letter.condition,
        "attempts": letter.attempts,
        "error": kept_text(letter.error),
        "traceback": kept_text(letter.traceback),
        "first_failure_ms": letter.first_failure_ms,
        "last_failure_ms": letter.last_failure_ms,
        "code_version": letter.code_version,
        "trace": letter.trace,
        "table": letter.table,
        **({"tried": letter.tried} if letter.tried else {}),
    }


def read_deadletter(fields: Mapping[str, Any]) -> DeadLetter:
    """The dead letter behind a row. Raises: StoreError when its format is not known."""
    readable(fields, "dead letter", VERSION)
    record = read_record(fields, fields["v"])
    return DeadLetter(
        record=record,
        event_id=fields["event_id"],
        shard_id=fields["shard_id"],
        handler=fields["handler"],
        condition=fields["condition"],
        attempts=fields["attempts"],
        error=fields["error"],
        traceback=fields["traceback"],
        first_failure_ms=fields["first_failure_ms"],
        last_failure_ms=fields["last_failure_ms"],
        code_version=fields["code_version"],
        trace=fields["trace"],
        table=fields.get("table", ""),
        tried=fields.get("tried", ""),
    )


def kept_text(text: str) -> str:
    """The end of an error's words, as a row can keep them: a lone surrogate has no UTF-8, and may not keep
    the letter from being written.

    >>> kept_text("no such city: \\ud800")
    'no such city: \\\\ud800'
    """
    return text[-MAX_TEXT:].encode(errors="backslashreplace").decode()[-MAX_TEXT:]
