"""The shards of data streams, read: what can still be read, positions, pages of durable records.

Theory of operation: a shard is read by the engine's own numbers, from behind one; 0 is the oldest there is.
Retention is enforced at every read, whether or not rows are already removed. A reader beside the API finds a
shard with `place`, a position with `after`, and reads `page` after `page`; the committer tells its listeners
`shard.number` when a shard has advanced or was closed.
Rules of this file: only durable records are handed out; which are too old is found as `engine.reading` finds
it. Nothing here writes. Source: semantics §5.2.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple, assert_never

from msgspec import Struct

from tailrace.engine.kinesis.catalog import DataParts, DataStreamState
from tailrace.engine.kinesis.documents import DataStreamDocument
from tailrace.engine.reading import created_ms
from tailrace.errors import ApiError
from tailrace.streams.iterators import IteratorStart
from tailrace.streams.kinesis.data_records import DataPage, read_data_rows
from tailrace.streams.kinesis.data_shards import DataShard, children_of, unexpired
from tailrace.streams.kinesis.sequence_numbers import LAST, read_sequence_number

INVALID: Final = "InvalidArgumentException"
NOT_FROM_HERE: Final = (
    "StartingSequenceNumber {0} used in GetShardIterator on shard {1} in stream {2} under account {3} is "
    "invalid because it did not come from this stream."
)
OTHER_SHARD: Final = (
    "Invalid StartingSequenceNumber. It encodes {0}, while it was used in a call to a shard with {1}"
)
FUTURE: Final = (
    "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. "
    "timestampInMillis: {0}, currentTimestampInMillis: {1}"
)


PIECE_RECORDS: Final = 500
PIECE_BYTES: Final = 262_144


class DataPlace(NamedTuple):
    """A shard of a stream, as it is now."""

    stream: DataStreamState
    shard: DataShard


class DataReader(Struct, frozen=True):
    """Reads every shard of every data stream."""

    _parts: DataParts

    # ---- what there is -------------------------------------------------------------------------------------

    def horizon_ms(self, document: DataStreamDocument) -> int:
        """What was written before it can no longer be read. Units: milliseconds since the epoch."""
        parts = self._parts
        kept_from_ms = parts.clock.now().wall_ms - document.retention_ms - parts.horizon.look()
        return max(document.kept_from_ms, kept_from_ms)

    def shards(self, stream: DataStreamState) -> list[DataShard]:
        """The shards that can still be read, in the order of their indexes: parents before children."""
        return unexpired(stream.document.shards, self.horizon_ms(stream.document))

    def place(self, stream: DataStreamState, shard_id: str) -> DataPlace:
        """A shard that can still be read. Raises: ApiError (ResourceNotFoundException)."""
        shard = stream.by_id.get(shard_id)
        if shard is not None and unexpired((shard,), self.horizon_ms(stream.document)):
            return DataPlace(stream, shard)
        raise ApiError(
            "ResourceNotFoundException",
            f"Shard {shard_id} in {stream} does not exist",
        )

    def place_of(self, number: int) -> DataPlace | None:
        """The shard with one of the engine's numbers, as it is now; None: it is gone."""
        known = self._parts.streams.shards.get(number)
        if known is None or not unexpired(known[1:], self.horizon_ms(known[0].document)):
            return None
        return DataPlace(*known)

    def last_sequence(self) -> int:
        """The highest number that was issued: what is written from now on is behind it."""
        return self._parts.catalog.last_sequence

    def gone(self, place: DataPlace) -> int:
        """The last record of a shard that can no longer be read, 0 for none."""
        log, number = self._parts.log, place.shard.number
        gone = log.gone_before(number, self.horizon_ms(place.stream.document))
        return max(gone, self._parts.catalog.trimmed.get(number, 0))

    def last(self, number: int) -> int | None:
        """The last record there was in a shard that is gone, 0 for none; None: nobody knows any more, its
        records are removed.
        """
        parts = self._parts
        row = parts.committer.last_readable(number)
        if row is not None:
            return row.sequence
        return parts.catalog.trimmed.get(number, 0 if number in parts.streams.dropped else None)

    def pending_since(self, number: int) -> int | None:
        """When the oldest record that is not durable yet was written; None: all are. Units: ms since the
        epoch.
        """
        row = self._parts.committer.first_pending(number)
        return None if row is None else created_ms(row)

    # ---- positions -----------------------------------------------------------------------------------------

    def after(self, place: DataPlace, start: IteratorStart) -> int:
        """The number behind which a start begins to read; one before the horizon is the oldest there is.

        Raises:  ApiError (InvalidArgumentException).
        """
        shard = place.shard
        match start.kind:
            case "TRIM_HORIZON":
                return 0
            case "LATEST":
                return LAST if shard.is_closed else self.last_sequence()
            case "AT_TIMESTAMP":
                wall_ms = self._parts.clock.now().wall_ms
                assert start.timestamp_ms is not None
                if start.timestamp_ms > wall_ms:
                    raise ApiError(INVALID, FUTURE.format(start.timestamp_ms, wall_ms))
                return self._parts.log.last_before(shard.number, start.timestamp_ms)
            case "AT_SEQUENCE_NUMBER":
                return max(0, self._own(place, start.sequence_number or "") - 1)
            case "AFTER_SEQUENCE_NUMBER":
                return self._own(place, start.sequence_number or "")
            case _:
                assert_never(start.kind)

    def _own(self, place: DataPlace, text: str) -> int:
        """The engine's number in a client's. Raises: ApiError."""
        stream, shard = place
        number = read_sequence_number(text)
        if number is not None and number.shard_index == shard.index and number.shard_second == shard.second:
            return number.own
        other = (
            None
            if number is None
            else next((one for one in stream.document.shards if one.index == number.shard_index), None)
        )
        if number is not None and other is not None and other.second == number.shard_second:
            raise ApiError(INVALID, OTHER_SHARD.format(other.shard_id, shard.shard_id))
        account = stream.document.account
        raise ApiError(INVALID, NOT_FROM_HERE.format(text, shard.shard_id, stream.name, account))

    # ---- pages ---------------------------------------------------------------------------------------------

    def page(self, place: DataPlace, after: int, limit: int, most_bytes: int) -> DataPage:
        """Durable records with numbers > after, one at least if there is one. Units: bytes of data and keys.

        Raises:  StoreError.
        """
        stream, shard = place
        log, committer = self._parts.log, self._parts.committer
        # What is not durable yet may still be taken back: the shard is not at its end before that is decided.
        may_end = shard.is_closed and not committer.is_pending(shard.number)
        start = max(after, log.known(shard.number))
        rows, is_end = log.rows(shard.number, start, limit + 1, most_bytes)
        if rows and created_ms(rows[0]) < (horizon_ms := self.horizon_ms(stream.document)):
            start = max(start, log.gone_before(shard.number, horizon_ms))
            rows, is_end = log.rows(shard.number, start, limit + 1, most_bytes)
        if len(rows) > limit:  # one more tells whether these are the last
            del rows[limit:]
            is_end = False
        records = read_data_rows(rows, shard)
        behind_ms = 0
        if records and not is_end:
            behind_ms = max(0, self._parts.clock.now().wall_ms - records[-1].created_ms)
        is_over = may_end and is_end
        return DataPage(
            records,
            records[-1].sequence if records else start,
            closed=is_over,
            trimmed=0 < after < start,
            at_tip=is_end,
            millis_behind=behind_ms,
            children=children_of(stream.document.shards, shard.index) if is_over else (),
        )

    def pieces(self, place: DataPlace, after: int, limit: int, most_bytes: int) -> Iterator[DataPage]:
        """The same page in pieces of about two milliseconds: what they have together is within both limits,
        but for a first record that is larger. The last one says how it goes on. Raises: StoreError.
        """
        taken = 0
        while True:
            page = self.page(place, after, min(limit, PIECE_RECORDS), min(most_bytes - taken, PIECE_BYTES))
            size = sum(len(record.data) for record in page.records)
            if taken and taken + size > most_bytes:  # one record that does not fit any more
                return
            yield page
            taken, limit, after = taken + size, limit - len(page.records), page.next_after
            if page.at_tip or limit == 0 or taken >= most_bytes:
                return
