"""Change records for the tests of streams: one of every kind, with sizes that add up."""

from typing import Any

import orjson

from tailrace.streams.record import CLOCK_BITS, ChangeRecord, change_record
from tailrace.values.canonical import size_bytes
from tailrace.values.types import Item

CREATED_MS = 1_789_651_658_987
SEQUENCE = CREATED_MS << CLOCK_BITS
KEYS: Item = {"Username": {"S": "Fred"}}
SMALL: Item = {**KEYS}
LARGE: Item = {
    **KEYS,
    "n": {"N": "1"},
    "bin": {"B": "AAEC"},
    "list": {"L": [{"S": 'a "quote"'}, {"NULL": True}]},
}


def record(old: Item | None, new: Item | None, **changes: Any) -> ChangeRecord:
    """The record of this change."""
    sizes = [size_bytes(KEYS), size_bytes(old) if old else 0, size_bytes(new) if new else 0]
    settings: dict[str, Any] = {
        "sequence": SEQUENCE, "shard": 7, "created_ms": CREATED_MS, "partition": (1 << 64) - 1,
        "key": b"\0key\xff",
        "keys": KEYS, "old": orjson.dumps(old) if old else None, "new": orjson.dumps(new) if new else None,
        "size_bytes": sum(sizes), "keys_size": sizes[0], "new_size": sizes[2],
    }  # fmt: skip
    return change_record(**settings | changes)


INSERT = record(None, LARGE)
MODIFY = record(SMALL, LARGE)
REMOVE = record(LARGE, None)
EXPIRY = record(LARGE, None, by_ttl=True)
ALL = (INSERT, MODIFY, REMOVE, EXPIRY)
