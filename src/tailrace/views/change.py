"""One change, as commands and the admin API show it.

Rules of this file: values that are JSON. Called by `tail`, stories and dead letters.
"""

from typing import Any

import orjson

from tailrace.streams.arns import label_of
from tailrace.streams.envelopes import event_id
from tailrace.streams.record import ChangeRecord


def change_value(record: ChangeRecord, table: str, shard_id: str) -> dict[str, Any]:
    """One change as the admin API shows it, with both images in DynamoDB JSON."""
    return {
        "event_id": event_id(record),
        "event_name": record.event_name,
        "at": f"{label_of(record.created_ms)}Z",
        "sequence_number": record.sequence_number.wire,
        "table": table,
        "shard": shard_id,
        "keys": orjson.loads(record.keys),
        "old": None if record.old is None else orjson.loads(record.old),
        "new": None if record.new is None else orjson.loads(record.new),
        "by_ttl": record.by_ttl,
        "size_bytes": record.size_bytes,
    }
