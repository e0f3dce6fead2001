"""Lease tables as each KCL writes them, and the stream that they are of.

Rules of this file: tables are written by hand from reference/fleet §2 and semantics §4, never by tailrace.
"""

import json
from pathlib import Path
from typing import Any

from tailrace.kcl.core.importing import ReadableStream
from tailrace.kcl.core.lease_table import LeaseTable, read_table
from tailrace.sources.dialects import AWS
from tailrace.streams.shards import Shard

TABLES = Path(__file__).parent / "tables"
LABEL = "2026-11-28T10:00:00.000"
NAME = "eu-west-1$123456789012$orders$2026-11-28T10_00_00.000"
A = "shardId-00000001795856400000-aaaaaaaa"
B = "shardId-00000001795870800000-bbbbbbbb"
C = "shardId-00000001795870800000-cccccccc"


def number(place: int) -> int:
    """A sequence number of that stream."""
    return int(f"4000000000000000000{place:04d}")


SHARDS = (
    Shard(A, number(100), (), number(199), stream=LABEL, created_ms=1_795_856_400_000),
    Shard(B, number(200), (A,), stream=LABEL, created_ms=1_795_870_800_000),
    Shard(C, number(200), (A,), stream=LABEL, created_ms=1_795_870_800_000),
)


def raw(name: str) -> dict[str, Any]:
    """A table as it is kept."""
    table: dict[str, Any] = json.loads((TABLES / f"{name}.json").read_text())
    return table


def table_of(name: str) -> LeaseTable:
    """The same as it is read."""
    kept = raw(name)
    return read_table(
        kept["table"], kept["items"], has_owner_index="LeaseOwnerToLeaseKeyIndex" in kept["indexes"]
    )


def stream(*shards: Shard, gone: dict[str, int] | None = None, label: str = LABEL) -> ReadableStream:
    """The stream as it can be read now."""
    return ReadableStream(label, NAME.replace("2026-11-28", label[:10]), shards or SHARDS, AWS, gone or {})


def lease(shard_id: str, checkpoint: str, **attributes: Any) -> dict[str, Any]:
    """A row. Shape: attributes by name, in DynamoDB's JSON."""
    return {
        "leaseKey": {"S": shard_id},
        "leaseCounter": {"N": "1"},
        "checkpoint": {"S": checkpoint},
        "checkpointSubSequenceNumber": {"N": "0"},
        **attributes,
    }
