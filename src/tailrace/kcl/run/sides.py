"""The two sides between which checkpoints move: a handler with its state and its table's streams, and a lease
table; and whether either is at work.

Theory of operation: nobody says that a worker lives, on either side; what it moves does. So both sides are
looked at twice, so many milliseconds apart, and what was seen second counts.
Rules of this file: it only reads; what is written is said by importing.py and exporting.py.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from msgspec import Struct

from tailrace.app.app import App, HandlerMapping
from tailrace.errors import SourceError
from tailrace.kcl.core.importing import ReadableStream
from tailrace.kcl.core.lease_table import LeaseTable, stream_name
from tailrace.kcl.run.lease_table import KclTable
from tailrace.leases.checkpoint import CheckpointRow, ledger_key, read_row
from tailrace.ports import Clock, Shard, Source, StateStore, StreamRef
from tailrace.rows.kinds import CHECKPOINT, LEASE, MEMBER, words_of
from tailrace.rows.writes import StateRow
from tailrace.runtime.pages import rows
from tailrace.sources.dialects import dialect_of
from tailrace.worker.beginning import StartedTable

LOOK_MS: Final = 10_000
"""KCL's failover time: so long may a counter stand still of a worker that lives. Source: semantics §4.2."""
AT_WORK: Final = "stop it, and say the same again; with --even-if-alive what it does meanwhile is repeated"


class HandlerSide(Struct, frozen=True):
    """A handler whose checkpoints move. Shape: `source` its table as the endpoint tells it; `numbered` the
    same with generations, which writes them; `started` the table as a start asks it.
    """

    app: App
    handler: HandlerMapping
    state: StateStore
    clock: Clock
    source: Source
    numbered: Source
    started: StartedTable

    async def streams(self) -> list[tuple[StreamRef, Sequence[Shard]]]:
        """Every stream of the table that can be read, with its shards, the oldest first. Raises:
        SourceError.
        """
        present: list[StreamRef] = []
        with suppress(SourceError):  # it is off
            present = [await self.source.stream()]
        arns = {stream.arn for stream in present}
        earlier = [stream for stream in await self.source.earlier() if stream.arn not in arns]
        readable = [stream for stream in (*earlier, *present) if not stream.is_of_deleted]
        if not readable:
            await self.source.stream()  # says why there is none
        return [(stream, await self.source.shards(stream)) for stream in readable]

    async def readable(self, after: Callable[[StreamRef, Shard], int | None]) -> list[ReadableStream]:
        """The same, and what of each shard behind a position is trimmed. Shape: `after` None: it is not asked
        for. Raises: SourceError.
        """
        return [await self._readable(stream, shards, after) for stream, shards in await self.streams()]

    async def _readable(
        self, stream: StreamRef, shards: Sequence[Shard], after: Callable[[StreamRef, Shard], int | None]
    ) -> ReadableStream:
        gone: dict[str, int] = {}
        for shard in shards:
            position = after(stream, shard)
            if position is not None:
                gone[shard.shard_id] = (await self.source.read(shard, position, 0)).next_after
        return ReadableStream(stream.label, adapter_name(stream), shards, dialect_of(stream.arn), gone)

    async def generations(self) -> dict[str, int]:
        """The number of each stream, given now where it has none. Raises: SourceError, StoreError."""
        streams = await self.numbered.earlier()
        with suppress(SourceError):  # it is off
            streams.append(await self.numbered.stream())
        return {stream.label: stream.generation for stream in streams}

    async def checkpoints(self) -> dict[tuple[str, str], CheckpointRow]:
        """Where the handler stands, by stream label and shard. Raises: StoreError."""
        prefix = CHECKPOINT.prefix(self.app.name, self.handler.id)
        return {_place(row): await self.read(row) async for row in rows(self.state, prefix)}

    async def read(self, row: StateRow) -> CheckpointRow:
        """A checkpoint, with a ledger that an older version kept beside it. Raises: StoreError."""
        older = await self.state.get(ledger_key(self.app.name, self.handler.id, *_place(row)))
        return read_row(row.fields, None if older is None else older.fields)

    async def signs(self) -> dict[str, tuple[str, str]]:
        """What living workers of the app move: by row, its owner and how it stands. Raises: StoreError."""
        signs: dict[str, tuple[str, str]] = {}
        for kind in (LEASE, MEMBER):
            async for row in rows(self.state, kind.prefix(self.app.name)):
                owner = str(row.fields.get("owner", words_of(row.key)[-1]))
                if owner:
                    signs[row.key] = owner, f"{row.fields.get('counter')}/{row.fields.get('epoch')}"
        return signs


class Looks(Struct, frozen=True):
    """What was seen second. Shape: `kcl` and `workers` are those that live, by name."""

    table: LeaseTable | None
    kcl: tuple[str, ...]
    workers: tuple[str, ...]


async def look_twice(table: KclTable, side: HandlerSide, apart_ms: int) -> Looks:
    """Both sides, now and a while later. Raises: SettingsError, StoreError."""
    before, signs_before = await table.look(), await side.signs()
    await side.clock.sleep_until(side.clock.now().monotonic_ms + apart_ms)
    now, signs = await table.look(), await side.signs()
    kcl = () if now is None or before is None else now.alive_since(before)
    moved = [owner for key, (owner, sign) in signs.items() if signs_before.get(key, ("", ""))[1] != sign]
    gone = [owner for key, (owner, _) in signs_before.items() if key not in signs]
    return Looks(now, kcl, tuple(dict.fromkeys([*moved, *gone])))


def adapter_name(stream: StreamRef) -> str:
    """What the DynamoDB Streams adapter calls a stream; an old name of Alternator's tells no account.

    >>> arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/orders/stream/2026-11-28T10:00:00.000"
    >>> adapter_name(StreamRef(arn, "orders", "2026-11-28T10:00:00.000", "KEYS_ONLY", "eu-west-1"))
    'eu-west-1$123456789012$orders$2026-11-28T10_00_00.000'
    >>> adapter_name(StreamRef("S0123abcd-0123-0123-0123-0123456789ab", "orders", "0123", "KEYS_ONLY", "dc1"))
    'dc1$$orders$0123'
    """
    words = stream.arn.split(":")
    return stream_name(stream.region, words[4] if len(words) > 5 else "", stream.table, stream.label)


def _place(row: StateRow) -> tuple[str, str]:
    _, _, _, label, shard_id = words_of(row.key)
    return label, shard_id
