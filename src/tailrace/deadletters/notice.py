"""What an on-failure destination is told: a notice about one batch that was given up, kept until it is delivered.

Rules of this file: a layout over one row, format 1, docs/formats/state.md; the letters hold the records. Written in the transaction
of the checkpoint that passes them. Called by runtime/courier.py. Source: semantics §2.8.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tailrace.leases.rows import VERSION, key_of, readable
from tailrace.streams.sequence import DIGITS


@dataclass(frozen=True, slots=True)
class Notice:
    """One batch given up. Shape: `sequences` ascending; `attempts` really made; `at_ms` since the epoch."""

    handler: str
    shard_id: str
    sequences: tuple[int, ...]
    condition: str
    attempts: int
    request: int
    at_ms: int
    tries: int = 0

    def fields(self) -> dict[str, Any]:
        """Its row."""
        return {
            "v": VERSION, "handler": self.handler, "shard_id": self.shard_id, "sequences": list(self.sequences),
            "condition": self.condition, "attempts": self.attempts, "request": self.request, "at_ms": self.at_ms,
            "tries": self.tries,
        }  # fmt: skip


def outbox_prefix(app: str) -> str:
    """What the rows of an app's notices start with."""
    return key_of("outbox", app, "")


def outbox_key(app: str, notice: Notice) -> str:
    """The row of one notice: by its first record, so that writing it again changes nothing."""
    return key_of("outbox", app, notice.handler, f"{notice.sequences[0]:0{DIGITS}d}")


def read_notice(fields: Mapping[str, Any]) -> Notice:
    """The notice behind a row. Raises: StoreError when its format is not known."""
    row = readable(fields, "notice")
    return Notice(
        row["handler"], row["shard_id"], tuple(row["sequences"]), row["condition"], row["attempts"], row["request"],
        row["at_ms"], row["tries"],
    )  # fmt: skip
