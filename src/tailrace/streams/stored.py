"""A change record as a row of JSON keeps it: the one codec of every store but the log.

Rules of this file: what goes in comes out, field by field; images stay the JSON text that clients are
answered. A field added to `ChangeRecord` has its place here and in envelopes.py (its log form), and
tests/properties/test_stored_records.py fails until it has. Called by deadletters/core/entry.py. Layout:
docs/formats/state.md.
"""

from collections.abc import Mapping
from typing import Any, Final

from tailrace.streams.record import MILLISECOND, ChangeRecord, image
from tailrace.streams.version import FIRST_GENERATION, Version
from tailrace.values.canonical import size_bytes

WITH_SIZES: Final = 2
"""The format since which a row has the sizes that the view types need."""
WITH_VERSION: Final = 3
"""The format since which a row has a version and microseconds; before, a sequence number of the first
generation and milliseconds.
"""


def record_fields(record: ChangeRecord) -> dict[str, Any]:
    """A record as JSON members. Shape: `partition` is text because it has 64 bits, `key` hex. Raises:
    SourceError for a version that is too wide.
    """
    return {
        "version": record.version.text,
        "shard": record.shard,
        "event_name": record.event_name,
        "created_us": record.created_us,
        "precision_us": record.precision_us,
        "size_bytes": record.size_bytes,
        "keys_size": record.keys_size,
        "new_size": record.new_size,
        "partition": str(record.partition),
        "key": record.key.hex(),
        "keys": record.keys.decode(),
        "old": _text(record.old),
        "new": _text(record.new),
        "by_ttl": record.by_ttl,
        **({"ancestry": record.ancestry} if record.ancestry else {}),
        **({"source_id": record.source_id} if record.source_id else {}),
        **({"sequence": str(record.sequence)} if record.rank else {}),
    }


def read_record(fields: Mapping[str, Any], version: int) -> ChangeRecord:
    """The record behind JSON members. Shape: `version` is the row's format; before 2 the sizes are counted
    again.
    """
    keys, new, rank = fields["keys"].encode(), _data(fields["new"]), 0
    if version >= WITH_VERSION:
        generation, sequence = Version.from_text(fields["version"])
        created_us, precision_us = fields["created_us"], fields["precision_us"]
        if (number := fields.get("sequence")) is not None:  # its version is not its number
            sequence, rank = int(number), sequence
    else:
        generation, sequence = FIRST_GENERATION, fields["sequence"]
        created_us, precision_us = fields["created_ms"] * MILLISECOND, MILLISECOND
    if version >= WITH_SIZES:
        keys_size, new_size = fields["keys_size"], fields["new_size"]
    elif fields["size_bytes"] == 0:  # it stands for something that is no item, and has no size
        keys_size = new_size = 0
    else:
        keys_size, new_size = (size_bytes(image(data) or {}) for data in (keys, new))
    return ChangeRecord(
        sequence=sequence,
        shard=fields["shard"],
        event_name=fields["event_name"],
        created_us=created_us,
        size_bytes=fields["size_bytes"],
        partition=int(fields["partition"]),
        key=bytes.fromhex(fields["key"]),
        keys=keys,
        old=_data(fields["old"]),
        new=new,
        by_ttl=fields["by_ttl"],
        keys_size=keys_size,
        new_size=new_size,
        ancestry=fields.get("ancestry", ""),
        generation=generation,
        precision_us=precision_us,
        source_id=fields.get("source_id", ""),
        rank=rank,
    )


def _text(data: bytes | None) -> str | None:
    return None if data is None else data.decode()


def _data(text: str | None) -> bytes | None:
    return None if text is None else text.encode()
