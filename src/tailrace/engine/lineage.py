"""The shards of the engine's streams: made, rolled over after four hours, closed, forgotten 24 hours later.

Rules of this file: transitions are `streams.shards`' pure ones; here they meet the clock, the numbers and the
catalog. A closing is one commit with its children. Numbers of a child are greater than every number of its
parent. Called by `engine.engine` (for each write), `engine.lifecycle`, `engine.streams`, `engine.expiry`.
"""

from collections.abc import Container

import msgspec

from tailrace.engine.catalog import NEVER_MS, Catalog, StreamState
from tailrace.engine.committer import Committer
from tailrace.engine.documents import DELAYS_MS, StreamDocument, TableDocument
from tailrace.engine.horizon import Horizon
from tailrace.engine.reading import ShardReader
from tailrace.engine.settings import EngineSettings
from tailrace.errors import SettingsError
from tailrace.streams import shards as transitions
from tailrace.streams.arns import label_of
from tailrace.streams.record import ViewType
from tailrace.streams.shards import HashedShard
from tailrace.tables.limits import SHARDS_PER_STREAM


class Lineage:
    """Shards over time."""

    def __init__(
        self,
        committer: Committer,
        catalog: Catalog,
        reader: ShardReader,
        settings: EngineSettings,
        horizon: Horizon,
    ) -> None:
        self._committer = committer
        self._reader = reader
        self._catalog = catalog
        self._settings = settings
        self._horizon = horizon
        self._holds = reader.holds
        self._load: dict[int, tuple[int, int]] = {}
        """How many records an open shard took in a second: (second, count)."""

    # ---- transitions ---------------------------------------------------------------------------------------

    def create(
        self, document: TableDocument, view_type: ViewType, label_ms: int, wall_ms: int
    ) -> StreamState:
        """A new stream with its first shards."""
        label = label_of(label_ms)
        count = self._settings.shards
        first = self._catalog.take_shard_numbers(count)
        stream = StreamDocument(
            label,
            document.definition.name,
            document.number,
            view_type,
            label_ms,
            document.definition.key_schema(),
            tuple(
                msgspec.structs.replace(shard, before=document.gone_through)
                for shard in transitions.initial(
                    label, count, first, wall_ms, self._catalog.take_sequence(wall_ms)
                )
            ),
            region=document.region,
            account=document.account,
            v=document.v,
        )
        return self._catalog.save_stream(stream)

    def shard_for(self, stream: StreamState, partition: int, wall_ms: int) -> HashedShard:
        """The shard that takes a record from `steady_ms` on; one that is due is rolled over first."""
        if wall_ms >= stream.rolls_ms:
            self.roll(stream, wall_ms)
        shard = stream.shard_for(partition)
        if self._settings.split_records and self._note_load(stream, shard, wall_ms):
            return stream.shard_for(partition)
        return shard

    def roll(self, stream: StreamState, wall_ms: int) -> None:
        """Close every open shard that is due; one child continues each. Source: semantics §1.5."""
        due = {
            shard.number
            for shard in stream.open_shards
            if wall_ms - shard.created_ms >= self._settings.rollover_ms
        }
        if due:
            self._continue(stream, due, wall_ms, is_split=False)

    def split(self, stream: StreamState, numbers: Container[int], wall_ms: int) -> None:
        """Close these open shards; two children, each with half of the hashes, continue each of them.

        Raises:  SettingsError when the stream would have more open shards than one may have.
        """
        due = {
            shard.number
            for shard in stream.open_shards
            if shard.number in numbers and shard.first < shard.last
        }
        if len(stream.open_shards) + len(due) > SHARDS_PER_STREAM:
            raise SettingsError(
                f"stream {stream.arn} would have more than {SHARDS_PER_STREAM} open shards: it has "
                f"{len(stream.open_shards)}"
            )
        self._continue(stream, due, wall_ms, is_split=True)

    def _continue(self, stream: StreamState, due: set[int], wall_ms: int, *, is_split: bool) -> None:
        """Close shards and open their children, in one group. Source: semantics §1.5."""
        follow, count = (transitions.split, 2) if is_split else (transitions.rollover, 1)
        shards: list[HashedShard] = []
        for shard in stream.document.shards:
            if shard.number not in due:
                shards.append(shard)
                continue
            number = self._catalog.take_shard_numbers(count)
            ending, starting = self._catalog.take_sequence(wall_ms), self._catalog.take_sequence(wall_ms)
            shards.extend(
                follow(shard, stream.document.label, number, wall_ms, ending=ending, starting=starting)
            )
            self._committer.note_closed(shard.number)
        self._catalog.save_stream(msgspec.structs.replace(stream.document, shards=tuple(shards)))

    def _note_load(self, stream: StreamState, shard: HashedShard, wall_ms: int) -> bool:
        """Count a record; whether its shard was split for it. Only with the setting `split_records`."""
        second, count = self._load.get(shard.number, (0, 0))
        count = count + 1 if second == wall_ms // 1_000 else 1
        self._load[shard.number] = wall_ms // 1_000, count
        is_full = len(stream.open_shards) >= SHARDS_PER_STREAM or shard.first == shard.last
        if count <= self._settings.split_records or is_full:
            return False
        del self._load[shard.number]
        self.split(stream, (shard.number,), wall_ms)
        return True

    def disable(self, stream: StreamState, wall_ms: int) -> None:
        """Close a stream for good; it stays readable for 24 hours. Source: semantics §1.2."""
        shards: list[HashedShard] = []
        for shard in stream.document.shards:
            if shard.is_closed:
                shards.append(shard)
            else:
                shards.append(transitions.close(shard, self._catalog.take_sequence(wall_ms), wall_ms))
                self._committer.note_closed(shard.number)
        self._catalog.save_stream(
            msgspec.structs.replace(stream.document, shards=tuple(shards), disabled_ms=wall_ms)
        )

    def next_due_ms(self, stream: StreamState) -> int:
        """Before this moment no shard of the stream is rolled over or vanishes."""
        return min(
            stream.rolls_ms,
            stream.vanish_from_ms + self._settings.retention_ms,
            NEVER_MS
            if stream.document.disabled_ms is None
            else stream.document.disabled_ms + self._settings.retention_ms,
        )

    # ---- what is left --------------------------------------------------------------------------------------

    def is_over(self, stream: StreamState, wall_ms: int) -> bool:
        """Whether a disabled stream has passed its 24 hours."""
        disabled_ms = stream.document.disabled_ms
        return disabled_ms is not None and self._is_old(disabled_ms, wall_ms)

    def is_vanished(self, shard: HashedShard, wall_ms: int) -> bool:
        """Whether a closed shard has passed its 24 hours."""
        return shard.closed_ms is not None and self._is_old(shard.closed_ms, wall_ms)

    def _is_old(self, moment_ms: int, wall_ms: int) -> bool:
        age_ms = wall_ms - moment_ms
        return (
            age_ms >= self._settings.retention_ms
            and age_ms >= self._settings.retention_ms + self._horizon.look()
        )

    def readable_shards(
        self, stream: StreamState, wall_ms: int, *, keeps_held: bool = False
    ) -> list[HashedShard]:
        """The shards that can still be read, parents before children; with `keeps_held` those too that an
        archive is not done with.
        """
        shards = _in_order(stream)
        if wall_ms >= stream.vanish_from_ms + self._settings.retention_ms:
            gone = self._gone(stream, wall_ms)
            left = transitions.forget(shards, self._released(stream, gone) if keeps_held else gone)
            shards = list(left.remaining)
        return shards

    def is_held(self, stream: StreamState) -> bool:
        """Whether an archive still needs something of a stream."""
        label = stream.document.label
        return any(
            self._holds.is_held(stream.key, label, shard, self._reader.last)
            for shard in stream.document.shards
        )

    def _released(self, stream: StreamState, gone: dict[int, int]) -> dict[int, int]:
        """Those of the vanished shards that no archive waits for."""
        label = stream.document.label
        held = {
            shard.number
            for shard in stream.document.shards
            if shard.number in gone and self._holds.is_held(stream.key, label, shard, self._reader.last)
        }
        return {number: last for number, last in gone.items() if number not in held}

    def _gone(self, stream: StreamState, wall_ms: int) -> dict[int, int]:
        """The last records of the shards that have vanished, by number."""
        return {
            shard.number: max(self._reader.last(shard), self._catalog.trimmed.get(shard.number, 0))
            for shard in stream.document.shards
            if self.is_vanished(shard, wall_ms)
        }

    def forget_vanished(self, stream: StreamState, wall_ms: int) -> list[int]:
        """Forget shards whose records are removed, and the stream when nothing of it is left. Returns: their
        numbers.
        """
        forgotten = transitions.forget(
            _in_order(stream),
            {
                number: last
                for number, last in self._released(stream, self._gone(stream, wall_ms)).items()
                if not self._committer.is_pending(number)
            },
        )
        remaining, gone = forgotten.remaining, forgotten.through
        label = stream.document.label
        self._catalog.note_vanished(
            {
                (label, shard.shard_id): gone[shard.number]
                for shard in stream.document.shards
                if shard.number in gone
            }
        )
        for number in gone:
            self._load.pop(number, None)
        if not remaining and self.is_over(stream, wall_ms):
            self._catalog.remove_stream(stream)
            self._remember_lost(stream.document, max(gone.values(), default=0))
        elif gone:
            self._catalog.save_stream(msgspec.structs.replace(stream.document, shards=remaining))
        return list(gone)

    def _remember_lost(self, document: StreamDocument, through: int) -> None:
        """A reader of a later stream of the table, or of the next one of its name, must know what is lost."""
        table = self._catalog.tables.get(document.key)
        if not through:
            return
        if table is None:
            self._catalog.note_lost(document.key, through)
            return
        through = max(through, table.document.gone_through)
        self._catalog.save_table(table, msgspec.structs.replace(table.document, gone_through=through))
        later = self.streams_of(document.key, table.number)
        if later:
            shards = _in_order(later[0])
            ids = {shard.shard_id for shard in shards}
            updated = tuple(
                shard
                if shard.parent_id in ids
                else msgspec.structs.replace(shard, before=max(shard.before, through))
                for shard in shards
            )
            self._catalog.save_stream(msgspec.structs.replace(later[0].document, shards=updated))

    def streams_of(self, table: str, number: int | None = None) -> list[StreamState]:
        """The streams of one table, or of all that rows called so, the oldest first."""
        streams = [
            stream
            for stream in self._catalog.streams.values()
            if stream.key == table and number in (None, stream.document.table_number)
        ]
        return sorted(streams, key=lambda stream: stream.document.created_ms)

    def status(self, stream: StreamState) -> str:
        """AWS's StreamStatus: while its table waits for the stream, the stream is not there yet, or not gone
        yet.
        """
        document = stream.document
        is_off = document.disabled_ms is not None
        table = self._catalog.tables.get(stream.key)
        is_waiting = (
            table is not None
            and table.document.label == document.label
            and (busy := table.document.busy) is not None
            and (document.disabled_ms or document.created_ms)
            >= table.document.busy_until_ms - DELAYS_MS[busy]
        )
        if is_waiting:
            return "DISABLING" if is_off else "ENABLING"
        return "DISABLED" if is_off else "ENABLED"


def _in_order(stream: StreamState) -> list[HashedShard]:
    """Parents before children."""
    return sorted(stream.document.shards, key=lambda shard: (shard.starting, shard.number))
