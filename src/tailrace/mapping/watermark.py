"""The low watermark: below it every record of the shard is settled, above it compact ranges are.

Rules of this file: records are counted by *ordinals*, their places in reading order, so that two settled neighbours are
one range whatever the gap between their sequence numbers. The work is done per run of records. Called by settlement.py.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence

from tailrace.errors import InternalError
from tailrace.mapping.commands import Checkpoint
from tailrace.streams.record import MILLISECOND, ChangeRecord


class Watermark:
    """What is settled of one shard.

    Shape:   `position` is the last sequence number read; `_sequences` are those read above the watermark, the first of
             them has the ordinal `_base`; `_starts`/`_ends` are the settled spans of ordinals, half open, disjoint and
             never touching; `_restored` are ranges of the checkpoint at the start, kept until the watermark
             has passed them (their records may be trimmed meanwhile and never be read again).
    Units:   created_ms, read_ms since the epoch: when the last record at or below the watermark, and the last one read, were
             written; 0: not known.
    """

    __slots__ = (
        "_base", "_created_us", "_ends", "_restored", "_sequences", "_starts", "created_ms", "position", "read_ms", "value",
    )  # fmt: skip

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.value = self.position = checkpoint.watermark
        self.created_ms = self.read_ms = checkpoint.created_ms
        self._base = 0
        self._sequences: list[int] = []
        self._created_us: list[int] = []
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._restored = list(checkpoint.ranges)

    @property
    def unsettled(self) -> int:
        """How many records were read and are not settled."""
        return len(self._sequences) - sum(self._ends) + sum(self._starts)

    @property
    def oldest_open_ms(self) -> int | None:
        """When the oldest record that is not settled was written; None: everything read is settled."""
        return self._created_us[0] // MILLISECOND if self._created_us else None

    @property
    def is_complete(self) -> bool:
        """Whether everything read is settled."""
        return not self._sequences

    @property
    def range_count(self) -> int:
        """How many ranges the next checkpoint needs."""
        return len(self._starts) + len(self._restored)

    @property
    def end(self) -> int:
        """The ordinal of the next record to be read."""
        return self._base + len(self._sequences)

    def is_compact(self, most: int) -> bool:
        """Whether reading on is allowed: few enough ranges, or nothing open that could make them fewer."""
        return not self._sequences or self.range_count <= most

    def read(self, records: Sequence[ChangeRecord], next_after: int) -> Sequence[ChangeRecord]:
        """Take note of records in reading order; returns those that are not settled yet."""
        self._sequences.extend([record.sequence for record in records])
        self._created_us.extend([record.created_us for record in records])
        if records:
            self.read_ms = records[-1].created_ms
        fresh = records
        if self._restored and records and self._restored[-1][1] > self.position:
            settled, fresh = self._split_restored(records)
            for start, end in self.spans(settled):
                self.settle(start, end)
        self.position = max(self.position, next_after, records[-1].sequence if records else 0)
        self.advance()
        return fresh

    def _split_restored(
        self, records: Sequence[ChangeRecord]
    ) -> tuple[list[ChangeRecord], list[ChangeRecord]]:
        firsts = [first for first, _ in self._restored]
        settled: list[ChangeRecord] = []
        fresh: list[ChangeRecord] = []
        for record in records:
            place = bisect_right(firsts, record.sequence) - 1
            inside = place >= 0 and record.sequence <= self._restored[place][1]
            (settled if inside else fresh).append(record)
        return settled, fresh

    def spans(self, records: Sequence[ChangeRecord]) -> Iterator[tuple[int, int]]:
        """The spans of ordinals of these records, which are in reading order. One step when they are neighbours."""
        if not records:
            return
        start, last = self.ordinal(records[0].sequence), self.ordinal(records[-1].sequence)
        if last - start + 1 == len(records):
            yield start, last + 1
            return
        sequences, base = self._sequences, self._base
        end = start + 1 - base
        for record in records[1:]:
            if sequences[end] != record.sequence:
                yield start, end + base
                start = self.ordinal(record.sequence, end)
                end = start - base
            end += 1
        yield start, end + base

    def ordinal(self, sequence: int, low: int = 0) -> int:
        """The place of a record in reading order. Raises: InternalError when it is settled below the watermark."""
        index = bisect_left(self._sequences, sequence, low)
        if index == len(self._sequences) or self._sequences[index] != sequence:
            raise InternalError(f"record {sequence} is not open above the watermark {self.value}")
        return self._base + index

    def sequence(self, ordinal: int) -> int:
        """The sequence number at a place in reading order."""
        return self._sequences[ordinal - self._base]

    def settle(self, start: int, end: int) -> None:
        """Settle a span of ordinals. Raises: InternalError when a part of it was settled before."""
        starts, ends = self._starts, self._ends
        place = bisect_left(starts, start)
        if (place and ends[place - 1] > start) or (place < len(starts) and starts[place] < end):
            raise InternalError(f"records at {start} to {end} are settled twice")
        joins_left = place > 0 and ends[place - 1] == start
        joins_right = place < len(starts) and starts[place] == end
        if joins_left and joins_right:
            ends[place - 1] = ends.pop(place)
            del starts[place]
        elif joins_left:
            ends[place - 1] = end
        elif joins_right:
            starts[place] = start
        else:
            starts.insert(place, start)
            ends.insert(place, end)

    def advance(self) -> None:
        """Move the watermark over what is settled. Apart from settle(): spans() needs the ordinals below it until then."""
        if self._starts and self._starts[0] == self._base:
            end = self._ends.pop(0)
            del self._starts[0]
            self.value = self._sequences[end - 1 - self._base]
            self.created_ms = self._created_us[end - 1 - self._base] // MILLISECOND
            del self._sequences[: end - self._base]
            del self._created_us[: end - self._base]
            self._base = end
        if not self._sequences:
            self.value = max(self.value, self.position)
        while self._restored and self._restored[0][1] <= self.value:
            self._restored.pop(0)

    def checkpoint(self, *, finished: bool) -> Checkpoint:
        """Where the mapping stands now."""
        spans = zip(self._starts, self._ends, strict=True)
        ranges = [(self.sequence(start), self.sequence(end - 1)) for start, end in spans]
        if self._restored:
            ranges = _union(ranges + [(max(first, self.value + 1), last) for first, last in self._restored])
        return Checkpoint(self.value, tuple(ranges), finished, created_ms=self.created_ms)


def _union(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same numbers in ascending ranges that do not touch."""
    united: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if united and first <= united[-1][1] + 1:
            united[-1] = (united[-1][0], max(last, united[-1][1]))
        else:
            united.append((first, last))
    return united
