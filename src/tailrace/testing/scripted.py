"""A source whose stream does what a script says: for authors of sources, and for work with those of others.

Theory of operation: sources differ in what no handler sees: how wide numbers are, whether shards split or
merge, whether hashes are published, what is remembered of what is gone. A script decides all of it, so that
delivery is tested against the streams of others without them. Only the script knows which keys a shard has.
Rules of this file: nothing happens by itself, not even time; a read waits until the script goes on.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final

import orjson

from tailrace.errors import SettingsError, SourceError
from tailrace.ports import ReadDone, Shard, StreamRef
from tailrace.streams.record import ChangeRecord, change_record
from tailrace.values.types import Item

START_MS: Final = 1_767_225_600_000
HASH_BITS: Final = 64
STEP: Final = 7
"""From one number to the next: a source may leave numbers out."""


@dataclass(slots=True)
class _Scripted:
    """One shard.

    Shape:   `ranges` are of the hashes of its keys, both ends included; the script keeps them to itself.
    """

    shard: Shard
    number: int
    ranges: list[tuple[int, int]]
    records: list[ChangeRecord] = field(default_factory=list)
    trimmed: int = 0
    is_gone: bool = False


@dataclass(slots=True)
class _Stream:
    reference: StreamRef
    shards: dict[str, _Scripted] = field(default_factory=dict)
    is_on: bool = True
    is_gone: bool = False


class ScriptedSource:
    """A `Source` that tells what a script has written.

    Shape:   numbers have `digits` digits and begin anew with each stream; shards are called `shard-1`,
             `shard-2` and so on, in each stream from the beginning, as Kinesis does; their hash ranges are
             published only with `tells_hashes`.
    Units:   now_ms since the epoch.

    >>> source = ScriptedSource("orders", digits=27)
    >>> source.begin(shards=2)
    ['shard-1', 'shard-2']
    >>> source.write("o1", total=5) > 10**26
    True
    >>> source.merge("shard-1", "shard-2")
    'shard-3'
    """

    def __init__(
        self,
        table: str,
        *,
        digits: int = 40,
        now_ms: Callable[[], int] = lambda: START_MS,
        tells_hashes: bool = False,
    ) -> None:
        self.table = table
        self._digits = digits
        self._now_ms = now_ms
        self._tells_hashes = tells_hashes
        self._streams: list[_Stream] = []
        self._number = 0
        self._shard_numbers = 0
        self._items: dict[str, Item] = {}
        self._moved = asyncio.Event()

    # ---- the script ----------------------------------------------------------------------------------------

    def begin(self, shards: int = 1) -> list[str]:
        """Begin a stream, after the one before it has ended. Returns: its shards.

        Raises:  SettingsError while a stream is on.
        """
        if self._streams and self._streams[-1].is_on:
            raise SettingsError(f"a stream of {self.table} is on: end() it first")
        label = f"stream-{len(self._streams) + 1}"
        arn = f"arn:scripted:{self.table}/{label}"
        self._streams.append(_Stream(StreamRef(arn, self.table, label, "NEW_AND_OLD_IMAGES")))
        self._number = 10 ** (self._digits - 1)
        hashes = 1 << HASH_BITS
        parts = [(hashes * part // shards, hashes * (part + 1) // shards - 1) for part in range(shards)]
        return [self._open((), [part]) for part in parts]

    def write(self, key: str, **attributes: Any) -> int:
        """Put an item with this key and attributes, as JSON values. Returns: the change's sequence number."""
        hashed, scripted = _hash(key), self._stream.shards[self.shard_of(key)]
        item: Item = {"id": {"S": key}, **{name: _value(value) for name, value in attributes.items()}}
        old, self._items[key] = self._items.get(key), item
        new_bytes, old_bytes = orjson.dumps(item), None if old is None else orjson.dumps(old)
        record = change_record(
            sequence=self._next(),
            shard=scripted.number,
            created_ms=self._now_ms(),
            partition=hashed,
            key=key.encode(),
            keys={"id": item["id"]},
            old=old_bytes,
            new=new_bytes,
            size_bytes=len(new_bytes),
        )
        scripted.records.append(record)
        self._go_on()
        return self._number

    def shard_of(self, key: str) -> str:
        """The shard that takes a change of this key now, which no source tells. Raises: SettingsError."""
        hashed = _hash(key)
        for shard_id, scripted in self._stream.shards.items():
            if not scripted.shard.is_closed and any(
                first <= hashed <= last for first, last in scripted.ranges
            ):
                return shard_id
        raise SettingsError(f"no open shard takes {key!r}")

    def split(self, shard_id: str) -> list[str]:
        """Close a shard and open two that continue it, each with half of its keys. Returns: their ids."""
        ranges = self._close(shard_id).ranges
        halves = [(first, (first + last) // 2, last) for first, last in ranges]
        return [
            self._open((shard_id,), [(first, middle) for first, middle, _ in halves]),
            self._open((shard_id,), [(middle + 1, last) for _, middle, last in halves]),
        ]

    def merge(self, *shard_ids: str) -> str:
        """Close shards and open one that continues all of them. Returns: its id."""
        ranges = [hash_range for shard_id in shard_ids for hash_range in self._close(shard_id).ranges]
        return self._open(shard_ids, ranges)

    def end(self) -> None:
        """Close every shard of the stream; it can still be read."""
        for scripted in self._stream.shards.values():
            if not scripted.shard.is_closed:
                self._close(scripted.shard.shard_id)
        self._stream.is_on = False
        self._go_on()

    def trim(self, shard_id: str, through: int | None = None) -> None:
        """Forget the changes of a shard up to this number; None: all that there are."""
        scripted = self._scripted(shard_id)
        last = scripted.records[-1].sequence if scripted.records else scripted.trimmed
        scripted.trimmed = max(scripted.trimmed, last if through is None else through)
        scripted.records = [record for record in scripted.records if record.sequence > scripted.trimmed]

    def forget(self, shard_id: str) -> None:
        """Have a closed shard vanish with all of its changes, as its parents have before.

        Raises:  SettingsError.
        """
        scripted = self._scripted(shard_id)
        listed = {known.shard.shard_id for known in self._stream.shards.values() if not known.is_gone}
        if not scripted.shard.is_closed or not listed.isdisjoint(scripted.shard.parents):
            raise SettingsError(
                f"{shard_id} is open, or a parent of it is still there: that shard goes first"
            )
        self.trim(shard_id)
        scripted.is_gone = True

    def forget_streams(self) -> None:
        """Have every stream that has ended vanish with all of its shards."""
        for stream in self._streams:
            if not stream.is_on:
                for scripted in stream.shards.values():
                    scripted.trimmed = max(
                        [scripted.trimmed, *(record.sequence for record in scripted.records)]
                    )
                    scripted.records, scripted.is_gone = [], True
                stream.is_gone = True

    @property
    def open_shards(self) -> list[str]:
        """The shards that take changes now."""
        return [
            scripted.shard.shard_id
            for scripted in self._stream.shards.values()
            if not scripted.shard.is_closed
        ]

    @property
    def _stream(self) -> _Stream:
        if not self._streams:
            raise SettingsError(f"no stream of {self.table} was begun: begin() one")
        return self._streams[-1]

    def _scripted(self, shard_id: str) -> _Scripted:
        for stream in reversed(self._streams):
            if shard_id in stream.shards:
                return stream.shards[shard_id]
        raise SettingsError(f"there is no shard {shard_id!r}")

    def _next(self) -> int:
        self._number += STEP
        return self._number

    def _open(self, parents: tuple[str, ...], ranges: list[tuple[int, int]]) -> str:
        stream = self._stream
        shard_id = f"shard-{len(stream.shards) + 1}"
        shard = Shard(
            shard_id,
            self._next(),
            parents,
            stream=stream.reference.label,
            created_ms=self._now_ms(),
            hash_range=ranges[0] if self._tells_hashes and len(ranges) == 1 else None,
        )
        self._shard_numbers += 1
        stream.shards[shard_id] = _Scripted(shard, self._shard_numbers, ranges)
        self._go_on()
        return shard_id

    def _close(self, shard_id: str) -> _Scripted:
        scripted = self._stream.shards.get(shard_id)
        if scripted is None or scripted.shard.is_closed:
            raise SettingsError(f"there is no open shard {shard_id!r}")
        shard = scripted.shard
        scripted.shard = Shard(
            shard.shard_id,
            shard.first,
            shard.parents,
            self._next(),
            shard.hash_range,
            shard.stream,
            shard.created_ms,
        )
        self._go_on()
        return scripted

    def _go_on(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()

    # ---- the source ----------------------------------------------------------------------------------------

    async def stream(self) -> StreamRef:
        """The stream that is on. Raises: SourceError when none is."""
        if not self._streams or not self._streams[-1].is_on:
            raise SourceError(f"no stream of {self.table} is on")
        return self._streams[-1].reference

    async def earlier(self) -> list[StreamRef]:
        """Those that have ended and can still be read, the oldest first."""
        return [stream.reference for stream in self._streams if not stream.is_on and not stream.is_gone]

    async def shards(self, stream: StreamRef | None = None) -> list[Shard]:
        """Every shard that can still be read, parents before children. Raises: SourceError."""
        label = (await self.stream() if stream is None else stream).label
        for scripted_stream in self._streams:
            if scripted_stream.reference.label == label and not scripted_stream.is_gone:
                return [
                    scripted.shard for scripted in scripted_stream.shards.values() if not scripted.is_gone
                ]
        raise SourceError(f"stream {label} is gone")

    async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        """Changes after a number; waits while there are none and the shard is open.

        Shape:   a shard that is gone is closed, and what it had is trimmed.
        """
        (stream,) = (stream for stream in self._streams if stream.reference.label == shard.stream)
        scripted = stream.shards[shard.shard_id]
        while True:
            moved = self._moved
            records = [record for record in scripted.records if record.sequence > after]
            position = max(after, scripted.trimmed)
            is_trimmed = 0 < after < scripted.trimmed
            if limit == 0:
                return ReadDone([], position, trimmed=is_trimmed)
            page = records[:limit]
            is_closed = (scripted.shard.is_closed or scripted.is_gone) and len(page) == len(records)
            if page or is_closed or is_trimmed:
                return ReadDone(page, page[-1].sequence if page else position, is_closed, is_trimmed)
            await moved.wait()


def _hash(key: str) -> int:
    return int.from_bytes(blake2b(key.encode(), digest_size=HASH_BITS // 8).digest(), "big")


def _value(value: Any) -> dict[str, Any]:
    return {"N": str(value)} if isinstance(value, int) else {"S": str(value)}
