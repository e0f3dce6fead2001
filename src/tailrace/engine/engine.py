"""The table engine: one owner of tables, streams and state over one store.

Rules of this file: synchronous, one owner, never asyncio. A write goes straight down: read the old item,
decide (`tables.mutate`, pure), record (`streams.record`, pure), add both to the group (`engine.committer`).
What takes more than a few lines lives in the module named after it, and no part's method is repeated here
that takes no more than the part knows. Called by `api`, `sources.embedded`, `runtime`.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from typing import Any, Final
from weakref import WeakValueDictionary

import orjson
from msgspec.structs import replace

from tailrace.engine.catalog import Catalog, Namespace, TableState
from tailrace.engine.committer import Committer
from tailrace.engine.destinations.control import DestinationDoor
from tailrace.engine.destinations.destinations import Destinations
from tailrace.engine.expiry import Housekeeping
from tailrace.engine.horizon import Horizon
from tailrace.engine.index_lifecycle import IndexLifecycle
from tailrace.engine.indexing import Indexing, check_operation
from tailrace.engine.judgement import judged, takes_long
from tailrace.engine.kinesis.kinesis import DataDoor, Kinesis
from tailrace.engine.lifecycle import Lifecycle
from tailrace.engine.lineage import Lineage
from tailrace.engine.namespaces import kept_settings
from tailrace.engine.opening import open_page, readable_index
from tailrace.engine.paging import ItemPage, PageAsOf, Paging, QueryRequest, ScanRequest
from tailrace.engine.places import named_damage
from tailrace.engine.reading import ShardReader
from tailrace.engine.requests import Requests
from tailrace.engine.resources import Resources, check_tags
from tailrace.engine.settings import EngineSettings
from tailrace.engine.slices import Slices, at_once
from tailrace.engine.state import StateRows
from tailrace.engine.streams import RecordsPage, Streams
from tailrace.engine.time_to_live import TimeToLive
from tailrace.engine.transact import Decided, KeyOf, Place, Transactions, read_all
from tailrace.engine.upgrade_to_versions import rekey
from tailrace.ports import Clock, LogRow, Shard, Store, StreamRef
from tailrace.streams.iterators import IteratorStart
from tailrace.streams.record import ViewType, decided_row
from tailrace.tables.definition import TableChange, TableDefinition
from tailrace.tables.indexes import TableIndexSchema
from tailrace.tables.mutate import (
    Delete,
    Mutation,
    Operation,
    Put,
    Update,
    check_scalars,
    locate,
    mutate,
)
from tailrace.tables.schema import ItemTarget, TableSchema
from tailrace.telemetry import PointReached, pass_by
from tailrace.values.canonical import size_bytes
from tailrace.values.types import Item
from tailrace.values.wire import dump_item

__all__ = ["Engine", "EngineSettings", "ItemPage", "QueryRequest", "RecordsPage", "ScanRequest"]

PLAIN: Final = EngineSettings()
LARGE: Final = 65_536
"""What an item weighs before and after together, from which on the committer is told of it."""
NO_TAGS: Final[Mapping[str, str]] = {}


class Engine:
    """Tables, streams and state.

    Shape:     the methods are operations on tables, items and streams, each table by what rows call it (its
               name in the default namespace, its ARN in others); `of` is what a client of a region and
               account sees; `log` reads shards, `state` has rows of state, `committer` the pending group,
               `kinesis` the data streams.
    Guarantee: an item and its change record are added to one group and become durable in one commit, or
               never. Writes take effect at once for readers of this engine, and are durable after
               `committer.flush()`.
    Raises:    ApiError in AWS's words for what a client did, StoreError for what the store did.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        settings: EngineSettings = PLAIN,
        reached: PointReached = pass_by,
    ) -> None:
        self.clock = clock
        self._reached = reached
        self.committer = Committer(store, reached)
        self.settings = settings = kept_settings(self.committer, settings)
        self._catalog = Catalog(self.committer, settings)
        self._horizon = Horizon(clock)
        self.log = ShardReader(self.committer, self._catalog, clock, settings, self._horizon)
        self._lineage = Lineage(self.committer, self._catalog, self.log, settings, self._horizon)
        self._kinesis = Kinesis(self.committer, self._catalog, self.log, self._horizon, clock, settings)
        self._destinations = Destinations(self._kinesis)
        self._indexing = Indexing(self.committer, self._catalog)
        self._indexes = IndexLifecycle(self.committer, self._catalog, self._indexing, clock, settings)
        self.state = StateRows(self.committer, self._write_items)
        self._views: WeakValueDictionary[tuple[str, str], Engine] = WeakValueDictionary()
        self._see(self._catalog.default, is_whole=True)
        self.ancestry = ""
        """The handlers that what is written now descends from; set by `caused_by`."""
        self.as_of: PageAsOf | None = None
        """What the pages that are opened now tell their position; set by `read_as_of`."""
        self.workers: set[str] = set()
        """The names of the workers on this engine: another that left leases in its store has ended."""
        self.endpoint = "localhost"
        """Host and port under which clients reach this engine, as DescribeEndpoints tells them."""
        self.committer.after_failure = self._reload
        self.committer.describe = lambda error: named_damage(self._catalog, self._kinesis.documents(), error)
        self._catalog.load(is_start=True)
        self._kinesis.load()
        self._destinations.load()
        newest = (self.log, self._kinesis, self._destinations)
        self._catalog.created_ms = max(part.newest_created_ms() for part in newest)
        rekey(self.state, self.committer)

    def _see(self, namespace: Namespace, *, is_whole: bool = False) -> None:
        """Take the parts that find tables, by name in a namespace or, for the whole engine, by key."""
        catalog, committer, clock, settings = self._catalog, self.committer, self.clock, self.settings
        tables = catalog.tables if is_whole else namespace.tables
        self._tables = tables
        self._lifecycle = Lifecycle(tables, namespace, catalog, self._lineage, self._indexes, clock, settings)
        here = None if is_whole else namespace
        self._streams = Streams(here, catalog, self._lineage, self.log, clock, settings)
        self.kinesis = DataDoor(self._kinesis, namespace)
        self.destinations = DestinationDoor(self._destinations, self._lifecycle)
        self._transactions = Transactions(self)
        self.requests = Requests(namespace, committer, clock)
        self.resources = Resources(namespace, committer, catalog, self._lifecycle, clock)
        self.time_to_live = TimeToLive(
            committer, catalog, self._lifecycle, self._write, clock, settings, self._horizon
        )

    def of(self, region: str, account: str) -> "Engine":
        """The engine as a region and an account see it: their tables, by name, and nothing else of it.

        Guarantee: the same store, commits, clock and records; the same object as long as a caller holds it.
        """
        namespace = self._catalog.namespace(region, account)
        key = (namespace.region, namespace.account)
        view = self._views.get(key)
        if view is None:
            view = self._views[key] = copy(self)
            view.settings = replace(self.settings, region=namespace.region, account=namespace.account)
            view.ancestry, view.as_of = "", None
            view._see(namespace)
        return view

    def _reload(self) -> None:
        self._catalog.load()
        self._kinesis.load()
        self._destinations.load()
        self.log.forget()

    # ---- items ---------------------------------------------------------------------------------------------

    def write(self, operation: Operation) -> Mutation:
        """PutItem, UpdateItem or DeleteItem. Raises: ApiError. Source: semantics §6.4, §6.5, §6.8."""
        return self._write(operation)

    def put(self, operation: Put) -> Mutation:
        """PutItem. Raises: ApiError. Source: semantics §6.5, §6.8."""
        return self._write(operation)

    def update(self, operation: Update) -> Mutation:
        """UpdateItem. Raises: ApiError. Source: semantics §6.4, §6.8."""
        return self._write(operation)

    def delete(self, operation: Delete) -> Mutation:
        """DeleteItem; deleting an absent item is no error. Raises: ApiError."""
        return self._write(operation)

    def transact(self, operations: Sequence[Operation]) -> list[Mutation]:
        """All of it or nothing, one action an item. Raises: ApiError (TransactionCanceledException)."""
        return at_once(self._transactions.slices(operations))

    def transact_slices(self, operations: Sequence[Operation]) -> Slices[list[Mutation]]:
        """The same, decided in slices and added at once."""
        return self._transactions.slices(operations)

    def takes_long(self, operation: Operation) -> bool:
        """Whether the condition is to be judged in slices, by `judged`."""
        return takes_long(operation, self.stored)

    def judged(self, operation: Operation) -> Slices[Operation]:
        """The operation without its condition, once that holds, judged in slices. Raises: ApiError."""
        return judged(operation, self.stored)

    def stored(self, operation: Operation) -> tuple[TableState, bytes | None]:
        """The table that an operation is about, and the bytes of the item. Raises: ApiError."""
        table = self._table(operation.table)
        return table, self.committer.get(table.schema.number, locate(table.schema, operation).key_bytes)

    def _write_items(self, operations: Sequence[Operation], ancestry: str) -> None:
        """All of them or nothing, by whom these handlers called. Raises: ApiError."""
        with self.caused_by(ancestry):
            self.transact(operations)

    @contextmanager
    def caused_by(self, ancestry: str) -> Iterator[None]:
        """What is written inside descends from these handlers. Nothing may be awaited inside."""
        self.ancestry = ancestry
        try:
            yield
        finally:
            self.ancestry = ""

    def _write(self, operation: Operation) -> Mutation:
        decided = self.decide(operation)
        self.apply(decided, by_ttl=isinstance(operation, Delete) and operation.by_ttl)
        return decided[0]

    def place(self, operation: Operation) -> Place:
        """The item that an operation is about. Raises: ApiError."""
        schema = self._table(operation.table).schema
        return schema.number, locate(schema, operation).key_bytes

    def _table(self, name: str) -> TableState:
        """A table whose items can be read and written. Raises: ApiError."""
        table = self._tables.get(name)
        if table is None or table.document.busy is not None:
            return self._lifecycle.readable(name)
        return table

    def decide(self, operation: Operation) -> Decided:
        """What an operation would do. Nothing is written. Raises: ApiError."""
        table = self._table(operation.table)
        schema = table.schema
        target = locate(schema, operation)
        if table.indexes:
            check_operation([index.schema for index in table.indexes], operation)
        old_data = self.committer.get(schema.number, target.key_bytes)
        old: Item | None = None if old_data is None else orjson.loads(old_data)
        mutation = mutate(schema, old, operation, target)
        if table.indexes:
            self._indexing.check(table, operation, mutation)
        self._reached("write.mutated")
        if not mutation.changed:
            return mutation, table, old_data, None, 0
        new = mutation.new
        new_data = None if new is None else dump_item(new)
        return mutation, table, old_data, new_data, 0 if old is None else size_bytes(old)

    def apply(self, decided: Decided, *, by_ttl: bool = False, is_in_transaction: bool = False) -> None:
        """Add a decided change and its records to the group; what changed nothing leaves no trace, but for
        what a transaction writes to a table with a destination.
        """
        mutation, table, old_data, new_data, old_size = decided
        if table.destination and (mutation.changed or is_in_transaction):
            self._destinations.record(table, decided, by_ttl=by_ttl, ancestry=self.ancestry)
        if not mutation.changed:
            return
        old, new = mutation.old, mutation.new
        if old_size + mutation.size > LARGE:
            self.committer.note_weight(len(old_data or b"") + 2 * len(new_data or b""))
        row: LogRow | None = None
        if table.stream is not None:
            wall_ms, stream, partition = self.clock.now().wall_ms, table.stream, mutation.partition
            if wall_ms < stream.steady_ms:
                shard = stream.shard_for(partition)
            else:
                shard = self._lineage.shard_for(stream, partition, wall_ms)
            sequence = self._catalog.take_sequence(wall_ms)
            row = decided_row(
                shard.number, sequence, self._catalog.take_created_ms(wall_ms), mutation, old_data, new_data,
                old_size, by_ttl=by_ttl, ancestry=self.ancestry,
            )  # fmt: skip
        if table.indexes:
            self._indexing.write(table, mutation, new_data)
        if table.expiry is not None:
            self.time_to_live.write(table.expiry, mutation)
        self._catalog.resize(table, (new is not None) - (old is not None), mutation.size - old_size)
        self.committer.add_change(table.schema.number, mutation.key_bytes, new_data, row)

    def get(self, table: str, key: Item) -> Item | None:
        """GetItem, decoded. Raises: ApiError."""
        data = self.get_bytes(table, key)
        if data is None:
            return None
        item: Item = orjson.loads(data)
        return item

    def get_bytes(self, table: str, key: Item) -> bytes | None:
        """GetItem as the JSON bytes that are answered. Raises: ApiError."""
        schema = self._table(table).schema
        return self.committer.get(schema.number, schema.locate_key(key).key_bytes)

    def partition(self, table: str, key: Item) -> int:
        """The number of the open shard of an item's stream, 0 without a stream. Raises: ApiError."""
        state = self._table(table)
        if state.stream is None:
            return 0
        return state.stream.shard_for(state.schema.locate_key(key).partition).number

    def transact_get(self, keys: Sequence[KeyOf]) -> list[bytes | None]:
        """The stored bytes of several items as of one moment. Raises: ApiError as `transact`."""

        def place(key: KeyOf) -> Place:
            schema = self._table(key[0]).schema
            return schema.number, schema.locate_key(key[1]).key_bytes

        return read_all(keys, place, lambda row: self.committer.get(*row))

    def query(self, request: QueryRequest) -> ItemPage:
        """One page of a Query. Raises: ApiError. Source: semantics §6.6."""
        return self.open(request).whole()

    def scan(self, request: ScanRequest) -> ItemPage:
        """One page of a Scan. Raises: ApiError. Source: semantics §6.6."""
        return self.open(request).whole()

    def open(self, request: QueryRequest | ScanRequest) -> Paging:
        """One page of a Query or a Scan, to be read whole or in slices. Raises: ApiError."""
        paging = open_page(self.committer, self._lifecycle, request)
        if self.as_of is not None:
            self.as_of.begin()
            paging.has_passed = self.as_of.has_passed
        return paging

    @contextmanager
    def read_as_of(self) -> Iterator[PageAsOf]:
        """A page that is opened inside is as of one sequence number, and ends where it would not be any more.
        Nothing may be awaited inside, and the page's first slice is read at once.
        """
        self.as_of = as_of = PageAsOf(lambda: self.last_sequence)
        try:
            yield as_of
        finally:
            self.as_of = None

    # ---- indexes -------------------------------------------------------------------------------------------

    def index(self, table: str, name: str) -> TableIndexSchema:
        """An index that can be read. Raises: ApiError. Source: semantics §6.6."""
        return readable_index(self._table(table), name)

    def indexes(self, table: str) -> tuple[TableIndexSchema, ...]:
        """The indexes that writes to a table keep. Raises: ApiError."""
        return tuple(index.schema for index in self._table(table).indexes)

    def check(self, operation: Operation) -> ItemTarget:
        """The item of a write, once all is checked that needs no stored item. Raises: ApiError."""
        table = self._table(operation.table)
        target = locate(table.schema, operation)
        if table.indexes:
            check_operation([index.schema for index in table.indexes], operation)
        return target

    def check_paths(self, table: str, nested: Collection[str]) -> None:
        """Refuse paths into a key attribute; `nested` are the first names of such paths. Raises: ApiError."""
        if not nested:
            return
        state = self._table(table)
        check_scalars(state.schema.key_names, nested)
        for index in state.indexes:
            check_scalars((name for name, _ in index.schema.definition.key), nested, "IndexKey")

    def collection_bytes(self, table: str, keys: Item) -> int | None:
        """What the items with this partition key weigh together; None for a table without local indexes."""
        state = self._table(table)
        return self._indexing.collection_bytes(state, keys) if state.collections else None

    def on_index_work(self, callback: Callable[[], None]) -> None:
        """Call back when there is an index to fill: it waits for `fill_indexes`."""
        self._indexes.on_work = callback

    def fill_indexes(self) -> Iterator[None]:
        """Fill the indexes that are being created, in slices of about two milliseconds; flush after each."""
        return self._indexes.fill_all()

    # ---- tables --------------------------------------------------------------------------------------------

    def create_table(self, definition: TableDefinition, tags: Mapping[str, str] = NO_TAGS) -> dict[str, Any]:
        """CreateTable. Returns: AWS's TableDescription, status CREATING. Raises: ApiError."""
        check_tags(tags)
        return self._lifecycle.create(definition, tags)

    def describe_table(self, name: str) -> dict[str, Any]:
        """DescribeTable. Returns: AWS's description, the value of `TableState`. Raises: ApiError."""
        return self._lifecycle.describe(name)

    def list_tables(self, start: str | None = None, limit: int | None = None) -> dict[str, Any]:
        """ListTables after `start`. Returns: TableNames, LastEvaluatedTableName when there are more."""
        return self._lifecycle.listed(start, limit)

    def update_table(self, name: str, change: TableChange) -> dict[str, Any]:
        """UpdateTable. Returns: AWS's TableDescription, status UPDATING. Raises: ApiError."""
        return self._lifecycle.update(name, change)

    def update_stream(self, name: str, enabled: bool, view_type: ViewType | None = None) -> dict[str, Any]:
        """UpdateTable with nothing but a stream specification."""
        return self.update_table(name, TableChange(stream_enabled=enabled, stream_view=view_type))

    def delete_table(self, name: str) -> dict[str, Any]:
        """DeleteTable. Returns: AWS's TableDescription, status DELETING. Raises: ApiError."""
        return self._lifecycle.delete(name)

    def schema(self, table: str) -> TableSchema:
        """A table's key schema. Raises: ApiError (ResourceNotFoundException)."""
        return self._table(table).schema

    # ---- streams -------------------------------------------------------------------------------------------

    def list_streams(
        self, table: str | None = None, limit: int | None = None, start_arn: str | None = None
    ) -> dict[str, Any]:
        """ListStreams. Returns: Streams, LastEvaluatedStreamArn when there are more. Raises: ApiError."""
        return self._streams.listed(table, limit, start_arn)

    def describe_stream(
        self,
        arn: str,
        limit: int | None = None,
        start_shard_id: str | None = None,
        filter: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """DescribeStream; `filter` is ShardFilter. Returns: AWS's StreamDescription. Raises: ApiError."""
        return self._streams.describe(arn, limit, start_shard_id, filter)

    def get_shard_iterator(self, arn: str, shard_id: str, start: IteratorStart) -> str:
        """GetShardIterator. Returns: the token. Raises: ApiError."""
        return self._streams.iterator(arn, shard_id, start)

    def get_records(self, token: str, limit: int | None = None) -> RecordsPage:
        """GetRecords. Returns: (records, next token or None, view type). Raises: ApiError."""
        return self._streams.records(token, limit)

    def stream_of(self, table: str) -> StreamRef:
        """The stream that is on. Raises: ApiError when the table or its stream is not there."""
        return self._streams.of_table(table)

    def stream_named(self, arn: str) -> StreamRef:
        """A stream that can be read, on or off, also of a table that was deleted. Raises: ApiError."""
        return self._streams.of_arn(arn)

    def earlier_streams_of(self, table: str, *, keeps_held: bool = False) -> list[StreamRef]:
        """Ended streams of the table, and of deleted ones of its name, that can be read, the oldest first."""
        return self._streams.earlier(table, keeps_held=keeps_held)

    def split_shards(self, table: str, shard_id: str | None = None) -> list[Shard]:
        """Split one open shard of a table's stream, or all of them. Returns: the shards that are open then.

        Raises:  ApiError without a table or stream; SettingsError for a shard that is not open, or too many.
        """
        return self._streams.split(table, shard_id)

    @property
    def last_sequence(self) -> int:
        """The highest sequence number that was issued: what is written from now on is behind it."""
        return self._streams.last_sequence

    def shards_of(self, arn: str, *, keeps_held: bool = False) -> list[Shard]:
        """Every shard that can still be read, parents before children; with `keeps_held` also by an archive
        alone (engine/holding.py). Raises: ApiError.
        """
        return self._streams.shards(arn, keeps_held=keeps_held)

    # ---- housekeeping --------------------------------------------------------------------------------------

    def housekeeping(self) -> Iterator[None]:
        """One round of trimming, rollover and removal, in slices of about 2 ms; flush after each."""
        return Housekeeping(
            self.committer,
            self._catalog,
            self._lineage,
            self._lifecycle,
            self._indexes,
            self.log,
            self._horizon,
            self.time_to_live,
            self.requests,
            self._kinesis,
            self._destinations,
            self.clock,
            self.settings.slice_rows,
        ).slices()

    def listens_at(self, endpoint: str) -> None:
        """Clients reach this engine there. Shape: host and port."""
        self.endpoint = endpoint
        for view in self._views.values():
            view.endpoint = endpoint

    def close(self) -> None:
        """Make the last group durable and give the store back. Repeatable."""
        try:
            self.committer.flush()
        finally:
            self.committer.store.close()
