"""The catalog: tables, streams and counters, in memory for speed and in table 0 of the store for good.

Rules of this file: every change of what is kept goes through the pending group; after a failed commit all of
it is read again. Nothing here decides; `engine.lifecycle` and `engine.lineage` do. No counter issues a number
twice, whatever is lost: sequence numbers are reserved in blocks, in the commit that first uses one, which is
fully synced, and a start begins above the block that its predecessor reserved. Called by everything in
`engine`.
"""

from collections.abc import Iterable, Mapping
from typing import Final, TypeVar
from weakref import WeakValueDictionary

import msgspec

from tailrace.engine.committer import Committer
from tailrace.engine.documents import (
    CATALOG,
    COUNTERS,
    SEQUENCE,
    CountersDocument,
    DroppedDocument,
    IndexDocument,
    LostDocument,
    SequenceDocument,
    SizeDocument,
    StreamDocument,
    TableDocument,
    TrimDocument,
    decode,
)
from tailrace.engine.namespaces import NAMESPACES, document_of
from tailrace.engine.settings import EngineSettings
from tailrace.engine.table_index import TableIndex
from tailrace.streams.arns import stream_arn, table_arn
from tailrace.streams.record import BLOCK, following
from tailrace.streams.shards import HashedShard, shard_for
from tailrace.tables.schema import TableSchema

NEVER_MS: Final = 1 << 62
UNUSED: Final = CountersDocument()
VANISHED: Final = 10_000
LOST: Final = 1_000
"""How many forgotten shards are remembered in memory: more than a reader can be behind by."""
DocumentT = TypeVar("DocumentT", bound=msgspec.Struct)


class Namespace:
    """The tables of one account in one region, by name."""

    __slots__ = ("__weakref__", "account", "is_default", "region", "tables")

    def __init__(self, region: str, account: str, *, is_default: bool = False) -> None:
        self.region = region
        self.account = account
        self.is_default = is_default
        self.tables: dict[str, TableState] = {}

    def __str__(self) -> str:
        return f"region {self.region}, account {self.account}"

    def table_arn(self, name: str) -> str:
        """The ARN of a table of this account and region."""
        return table_arn(self.region, self.account, name)

    def key(self, name: str) -> str:
        """What rows call a table: its name in the default namespace, its ARN in others."""
        return name if self.is_default else self.table_arn(name)


class StreamState:
    """A stream in memory: its document, and its open shards in the order of their hashes.

    Shape:   `key` is what rows call its table; before `rolls_ms` no open shard is due to be rolled over, and
             before `steady_ms` none is closed by a write; housekeeping has nothing to do before `due_ms`, 0
             when it has not looked yet.
    """

    __slots__ = (
        "_open", "_settings", "arn", "document", "due_ms", "key", "namespace", "rolls_ms", "steady_ms",
        "vanish_from_ms",
    )  # fmt: skip

    def __init__(self, document: StreamDocument, namespace: Namespace, settings: EngineSettings) -> None:
        self.arn = stream_arn(namespace.table_arn(document.table), document.label)
        self.key = document.key
        self.namespace = namespace
        self._settings = settings
        self.replace(document)

    def replace(self, document: StreamDocument) -> None:
        """Take a document with other shards; what is due is looked up again."""
        self.due_ms = 0
        self.document = document
        self._open = sorted(
            (shard for shard in document.shards if not shard.is_closed), key=lambda shard: shard.first
        )
        created_ms = min((shard.created_ms for shard in self._open), default=NEVER_MS)
        self.rolls_ms = created_ms + self._settings.rollover_ms
        self.steady_ms = 0 if self._settings.split_records else self.rolls_ms
        closed = [shard.closed_ms for shard in document.shards if shard.closed_ms is not None]
        self.vanish_from_ms = min(closed, default=NEVER_MS)

    @property
    def open_shards(self) -> list[HashedShard]:
        """The shards that still take records."""
        return self._open

    def shard_for(self, partition: int) -> HashedShard:
        """The open shard of a partition's hash."""
        if len(self._open) == 1:
            return self._open[0]
        return shard_for(self._open, partition)


class Expiry:
    """What a write to a table with time to live must know. Shape: nothing is due before `next_ms`, 0 when
    housekeeping has not looked yet.
    """

    __slots__ = ("attribute", "next_ms", "number")

    def __init__(self, attribute: str, number: int) -> None:
        self.attribute = attribute
        self.number = number
        self.next_ms = 0


class TableState:
    """A table in memory.

    Shape:   `key` is what rows call it; `stream` is the one that is on; `indexes` are those that writes keep,
             `every_index` also those that go; `destination` is the log of what is copied to a data stream, 0
             for none; `collections` is where item collections are weighed, 0 without local indexes.
    """

    __slots__ = (
        "collections", "destination", "document", "every_index", "expiry", "indexes", "items", "key",
        "namespace", "schema", "size_bytes", "stream",
    )  # fmt: skip

    def __init__(
        self, document: TableDocument, namespace: Namespace, stream: StreamState | None = None
    ) -> None:
        definition = document.definition
        self.document = document
        self.key = document.key
        self.namespace = namespace
        self.stream = stream
        self.destination = 0
        self.items = 0
        self.size_bytes = 0
        self.schema = TableSchema(
            definition.name,
            document.number,
            document.table_id,
            definition.hash_name,
            definition.hash_type,
            definition.range_name,
            definition.range_type,
        )
        self.every_index: tuple[TableIndex, ...] = ()
        self.indexes: tuple[TableIndex, ...] = ()
        self.collections = 0
        self.expiry: Expiry | None = None
        self.set_expiry()

    def set_expiry(self) -> None:
        """Take time to live from the document."""
        ttl = self.document.ttl
        self.expiry = None if ttl is None or not ttl.number else Expiry(ttl.attribute, ttl.number)

    @property
    def number(self) -> int:
        """Where its rows are."""
        return self.schema.number

    def set_indexes(self, indexes: Iterable[TableIndex]) -> None:
        """Take these indexes; writes keep those that are not being deleted."""
        self.every_index = tuple(indexes)
        self.indexes = tuple(index for index in self.every_index if index.document.status != "DELETING")
        self.collections = max((index.document.collections for index in self.every_index), default=0)


class Catalog:
    """Everything the engine knows besides items and records."""

    def __init__(self, committer: Committer, settings: EngineSettings) -> None:
        self._committer = committer
        self._settings = settings
        self._resized: dict[int, TableState | TableIndex] = {}
        self.tables: dict[str, TableState] = {}
        """All tables, by what rows call them."""
        self.default = Namespace(settings.region, settings.account, is_default=True)
        self.namespaces: WeakValueDictionary[tuple[str, str], Namespace] = WeakValueDictionary()
        """Those that have a table or that a caller holds: requests may name as many regions as they like."""
        self.namespaces[settings.region, settings.account] = self.default
        self.streams: dict[str, StreamState] = {}
        self.shards: dict[int, HashedShard] = {}
        self.trimmed: dict[int, int] = {}
        self.places: dict[tuple[str, str], HashedShard] = {}
        """The shards by the labels of their streams and their ids."""
        self.vanished: dict[tuple[str, str], int] = {}
        """The last records that went with shards that were forgotten lately and all before them, for readers
        that still hold one of them.
        """
        self.dropped: set[int] = set()
        self.lost: dict[str, int] = {}
        """The last records of streams that are gone, by names without a table; the next table takes it."""
        self.counters = CountersDocument()
        self.last_sequence = 0
        self._reserved = 0
        self.created_ms = 0
        """The creation time of the last record."""

    # ---- reading -------------------------------------------------------------------------------------------

    def load(self, *, is_start: bool = False) -> None:
        """Read everything from the store; without a start sequence numbers just go on. Raises: StoreError."""
        data = self._committer.get(CATALOG, SEQUENCE)
        self._reserved = 0 if data is None else decode(SEQUENCE, data, SequenceDocument).reserved
        if is_start:
            self.last_sequence = self._reserved
        data = self._committer.get(CATALOG, COUNTERS)
        self.counters = CountersDocument() if data is None else decode(COUNTERS, data, CountersDocument)
        self._resized.clear()
        streams = [self._stream(document) for document in self.documents(b"stream/", StreamDocument).values()]
        self.streams = {stream.arn: stream for stream in streams}
        self.shards.clear()
        self.places.clear()
        for stream in streams:
            self._note_shards(stream.document)
        on = {
            stream.document.table_number: stream for stream in streams if stream.document.disabled_ms is None
        }
        self.tables.clear()
        for namespace in self.namespaces.values():
            namespace.tables.clear()
        for document in self.documents(b"table/", TableDocument).values():
            self._note_table(TableState(document, self.namespace_of(document), on.get(document.number)))
        self._load_indexes()
        sizes = self.documents(b"size/", SizeDocument)
        for table in self.tables.values():
            counted: tuple[TableState | TableIndex, ...] = (table, *table.every_index)
            for sized in counted:
                size = sizes.get(_size_key(sized.number), SizeDocument())
                sized.items, sized.size_bytes = size.items, size.size_bytes
        self.trimmed = {
            int(key.removeprefix(b"trim/")): document.through
            for key, document in self.documents(b"trim/", TrimDocument).items()
        }
        self.dropped = {document.number for document in self.documents(b"dropped/", DroppedDocument).values()}

        self.lost = {
            key.removeprefix(b"lost/").decode(): document.through
            for key, document in self.documents(b"lost/", LostDocument).items()
        }

    def _load_indexes(self) -> None:
        by_number = {table.number: table for table in self.tables.values()}
        for document in self.documents(b"index/", IndexDocument).values():
            table = by_number[document.table_number]
            table.set_indexes((*table.every_index, TableIndex(document, table.schema)))

    def documents(self, prefix: bytes, document: type[DocumentT]) -> dict[bytes, DocumentT]:
        """All of one kind by their keys. Shape: the prefix ends with "/". Raises: StoreError."""
        documents: dict[bytes, DocumentT] = {}
        first = prefix
        last = prefix[:-1] + b"0"  # "0" follows "/"
        while rows := self._committer.query(CATALOG, first, last, 1_000):
            documents.update((key, decode(key, data, document)) for key, data in rows)
            first = rows[-1][0] + b"\0"
        return documents

    def _stream(self, document: StreamDocument) -> StreamState:
        return StreamState(document, self.namespace_of(document), self._settings)

    def namespace(self, region: str, account: str) -> Namespace:
        """The namespace of a region and account; where there is one alone, it is of all of them."""
        if self._settings.one_namespace:
            return self.default
        namespace = self.namespaces.get((region, account))
        if namespace is None:
            namespace = self.namespaces[region, account] = Namespace(region, account)
        return namespace

    def namespace_of(self, document: TableDocument | StreamDocument) -> Namespace:
        """The namespace that a table or a stream is in."""
        if document.region is msgspec.UNSET or document.account is msgspec.UNSET:
            return self.default
        return self.namespace(document.region, document.account)

    # ---- writing -------------------------------------------------------------------------------------------

    def save_table(self, table: TableState, document: TableDocument) -> None:
        """Keep a table's new document, in memory at once, in the store with the group."""
        table.document = document
        self._note_table(table)
        self._put(_table_key(table.key), document)

    def remove_table(self, table: TableState) -> None:
        """Forget a table and its indexes; the rows are left to housekeeping."""
        name, namespace = table.schema.name, table.namespace
        for index in table.every_index:
            self.remove_index(table, index)
        if table.expiry is not None:
            self.drop(table.expiry.number)
        del self.tables[table.key], namespace.tables[name]
        self._committer.put_row(CATALOG, policy_key(namespace.table_arn(name)), None)
        self._committer.put_row(CATALOG, _table_key(table.key), None)
        self.drop(table.number)
        if table.document.gone_through:
            self.note_lost(table.key, table.document.gone_through)

    def _note_table(self, table: TableState) -> None:
        self.tables[table.key] = table
        table.namespace.tables[table.schema.name] = table

    def drop(self, number: int) -> None:
        """Leave the rows under this number to housekeeping."""
        self._committer.put_row(CATALOG, _size_key(number), None)
        self._resized.pop(number, None)
        self.dropped.add(number)
        self._put(_dropped_key(number), DroppedDocument(number))

    def save_index(self, table: TableState, document: IndexDocument) -> None:
        """Keep an index's new document."""
        for index in table.every_index:
            if index.number == document.number:
                index.replace(document, table.schema)
                table.set_indexes(table.every_index)
                break
        else:
            table.set_indexes((*table.every_index, TableIndex(document, table.schema)))
        self._put(_index_key(document.number), document)

    def remove_index(self, table: TableState, index: TableIndex) -> None:
        """Forget an index; its rows are left to housekeeping."""
        table.set_indexes(other for other in table.every_index if other is not index)
        self._committer.put_row(CATALOG, _index_key(index.number), None)
        self.drop(index.number)
        if index.document.collections:
            self.drop(index.document.collections)

    def forget_dropped(self, number: int) -> None:
        """The last row of a deleted table is gone."""
        self.dropped.discard(number)
        self._committer.put_row(CATALOG, _dropped_key(number), None)

    def save_stream(self, document: StreamDocument) -> StreamState:
        """Keep a stream's new document."""
        namespace = self.namespace_of(document)
        stream = self.streams.get(stream_arn(namespace.table_arn(document.table), document.label))
        if stream is None:
            stream = StreamState(document, namespace, self._settings)
            self.streams[stream.arn] = stream
        else:
            self._forget_shards(stream)
            stream.replace(document)
        self._note_shards(document)
        self._put(_stream_key(document.label), document)
        return stream

    def remove_stream(self, stream: StreamState) -> None:
        """Forget a stream, its shards and its policy."""
        del self.streams[stream.arn]
        self._committer.put_row(CATALOG, policy_key(stream.arn), None)
        self._forget_shards(stream)
        self._committer.put_row(CATALOG, _stream_key(stream.document.label), None)

    def _note_shards(self, document: StreamDocument) -> None:
        for shard in document.shards:
            self.shards[shard.number] = shard
            self.places[document.label, shard.shard_id] = shard

    def _forget_shards(self, stream: StreamState) -> None:
        for shard in stream.document.shards:
            del self.shards[shard.number]
            del self.places[stream.document.label, shard.shard_id]

    def save_trimmed(self, shard: int, through: int | None) -> None:
        """Keep up to where a shard's records are gone; None forgets the shard."""
        if through is None:
            self.trimmed.pop(shard, None)
            self._committer.put_row(CATALOG, _trim_key(shard), None)
        else:
            self.trimmed[shard] = through
            self._put(_trim_key(shard), TrimDocument(through))

    def note_lost(self, table: str, through: int) -> None:
        """Keep how far the streams of deleted tables of a key went; of very many the oldest are forgotten."""
        self.lost[table] = max(through, self.lost.get(table, 0))
        self._put(_lost_key(table), LostDocument(self.lost[table]))
        if len(self.lost) > LOST:
            self.take_lost(min(self.lost, key=self.lost.__getitem__))

    def take_lost(self, table: str) -> int:
        """How far they went, 0 for not at all; the table that takes the name remembers it from now on."""
        through = self.lost.pop(table, 0)
        if through:
            self._committer.put_row(CATALOG, _lost_key(table), None)
        return through

    def note_vanished(self, gone: Mapping[tuple[str, str], int]) -> None:
        """Remember for a while how far shards that are forgotten now and all before them went."""
        self.vanished.update(gone)
        while len(self.vanished) > VANISHED:
            del self.vanished[next(iter(self.vanished))]

    def take_table_number(self) -> int:
        """A table number that was never used."""
        return self._count(next_table=self.counters.next_table + 1).next_table

    def take_shard_numbers(self, count: int) -> int:
        """The first of `count` shard numbers that were never used."""
        return self._count(next_shard=self.counters.next_shard + count).next_shard

    def take_label_ms(self, wall_ms: int) -> int:
        """A time for a label that no other stream or table has, the present one if possible."""
        label_ms = max(wall_ms, self.counters.label_ms + 1)
        self._count(label_ms=label_ms)
        return label_ms

    def take_sequence(self, wall_ms: int) -> int:
        """The next sequence number, above every one before. Reserves the next block when one is used up."""
        number = following(self.last_sequence, wall_ms)
        if number > self._reserved:
            self._reserved = number + BLOCK
            self._put(SEQUENCE, SequenceDocument(self._reserved))
            self._committer.need_sync()
        self.last_sequence = number
        return number

    def take_created_ms(self, wall_ms: int) -> int:
        """The creation time of a record written now; it never goes back. Units: milliseconds since 1970."""
        if wall_ms > self.created_ms:
            self.created_ms = wall_ms
        return self.created_ms

    def _count(self, **changes: int) -> CountersDocument:
        before = self.counters
        if before == UNUSED:  # nothing was ever made here: from now on the namespaces are what they are
            self._put(NAMESPACES, document_of(self._settings))
        self.counters = msgspec.structs.replace(before, **changes)
        self._put(COUNTERS, self.counters)
        return before

    def resize(self, table: TableState | TableIndex, items: int, size_bytes: int) -> None:
        """Count an item or an entry that came, went or changed; the new size is written once a group."""
        table.items += items
        table.size_bytes += size_bytes
        if not self._resized:
            self._committer.add_last(self._save_sizes)
        self._resized[table.number] = table

    def _save_sizes(self) -> None:
        for number, table in self._resized.items():
            self._put(_size_key(number), SizeDocument(table.items, table.size_bytes))
        self._resized.clear()

    def _put(self, key: bytes, document: msgspec.Struct) -> None:
        self._committer.put_row(CATALOG, key, msgspec.json.encode(document))


def policy_key(arn: str) -> bytes:
    """The row of a table's or a stream's resource policy."""
    return b"policy/" + arn.encode()


def _table_key(table: str) -> bytes:
    return b"table/" + table.encode()


def _index_key(number: int) -> bytes:
    return b"index/%010d" % number


def _stream_key(label: str) -> bytes:
    return b"stream/" + label.encode()


def _size_key(number: int) -> bytes:
    return b"size/%010d" % number


def _trim_key(shard: int) -> bytes:
    return b"trim/%019d" % shard


def _lost_key(table: str) -> bytes:
    return b"lost/" + table.encode()


def _dropped_key(number: int) -> bytes:
    return b"dropped/%010d" % number
