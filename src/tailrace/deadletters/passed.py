"""How far a mapping has come with an item that has dead letters: the last change of it that was handled since.

Rules of this file: a layout, format 1. Written with the checkpoint that settles the change; whether a dead letter is overtaken is
judged by it alone, never by the item's present state. Called by runtime/settle.py, runtime/redriver.py and `dlq`.
"""

from collections.abc import Mapping
from typing import Any

from tailrace.rows.kinds import PASSED
from tailrace.rows.writes import VERSION, Write, readable


def passed_prefix(app: str, mapping_id: str) -> str:
    """What these rows of a mapping start with."""
    return PASSED.prefix(app, mapping_id)


def passed_key(app: str, mapping_id: str, key: bytes) -> str:
    """The row of one item."""
    return f"{passed_prefix(app, mapping_id)}{key.hex()}"


def passed_write(app: str, mapping_id: str, key: bytes, sequence: int) -> Write:
    """The mapping has handled this change of the item, which has dead letters (0: none since)."""
    fields = {"v": VERSION, "key": key.hex(), "sequence": sequence}
    return Write(passed_key(app, mapping_id, key), fields)


def read_passed(fields: Mapping[str, Any] | None) -> int:
    """The last change of the item that was handled; 0: none since its dead letter. Raises: StoreError."""
    if fields is None:
        return 0
    sequence: int = readable(fields, "passed item")["sequence"]
    return sequence
