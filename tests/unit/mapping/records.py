"""Records for the tests of the machine, as short as possible."""

from tailrace.streams.moment import Now
from tailrace.streams.record import MILLISECOND, ChangeRecord

WALL_MS = 1_000_000_000


def record(
    sequence: int, key: str = "", *, partition: int = 0, created_ms: int = WALL_MS, size: int = 10
) -> ChangeRecord:
    """A change with this sequence number; its key is its own unless given."""
    return ChangeRecord(
        sequence=sequence,
        shard=1,
        event_name="MODIFY",
        created_us=created_ms * MILLISECOND,
        size_bytes=100,
        partition=partition,
        key=(key or str(sequence)).encode(),
        keys=b"{}",
        new=b"x" * size,
    )


def records(*sequences: int, key: str = "") -> list[ChangeRecord]:
    """Changes with these sequence numbers."""
    return [record(sequence, key) for sequence in sequences]


def now(ms: int = 0) -> Now:
    """So many milliseconds after the start."""
    return Now(WALL_MS + ms, ms)
