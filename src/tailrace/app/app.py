"""The application: tables and the handlers of their changes, in the words that users write.

Rules of this file: signatures and what they mean; declaring.py checks and enters what each word says. Nothing
is opened, read or started.
"""

import os
from collections.abc import Callable, Collection
from collections.abc import Mapping as Names
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, Unpack

from tailrace.app.alerting import AlertPlan, AlertSink, alert_plan
from tailrace.app.archiving import HOLD_BYTES, archive_plan, merge_interval
from tailrace.app.change import Batch, Change
from tailrace.app.checking import is_async
from tailrace.app.client import AsyncClient, Client, unprovided
from tailrace.app.data_stream import DataStream
from tailrace.app.declaring import CommonSettings, Declarations, Handler
from tailrace.app.entity import Entity
from tailrace.app.explain import Explanation, explain
from tailrace.app.filtering import Filter
from tailrace.app.index import Index, KeyType
from tailrace.app.item import declare
from tailrace.app.kinesis import OverKinesis
from tailrace.app.mapping import HandlerMapping, Target, Where, archives_of, projection_named
from tailrace.app.merged import InTimeOrder
from tailrace.app.on_failure import Park, Policy
from tailrace.app.on_lambda import OnLambda
from tailrace.app.operations import Ask, DeadLetters
from tailrace.app.past import Past
from tailrace.app.projected import Projected
from tailrace.app.projection import UNSET, Swap, projection_of
from tailrace.app.replaying import Replaying
from tailrace.app.retry import Retry
from tailrace.app.settings import BatchSettings, HandlerSettings, LambdaSettings, SinkSettings
from tailrace.app.sinking import Writes, check_sink_shape
from tailrace.app.snapshots import Snapshots, snapshots_of
from tailrace.app.table import EVENTS, Changes, Table, name_in
from tailrace.app.typed import entity_among
from tailrace.app.unmatched import unmatched_id
from tailrace.app.window import window_plan
from tailrace.app.with_aggregates import WithAggregates
from tailrace.errors import SettingsError
from tailrace.ports import ArchiveStore
from tailrace.streams.arns import ACCOUNT, region_of
from tailrace.streams.record import ViewType

T = TypeVar("T")


class App(OnLambda, Past, Replaying, WithAggregates, InTimeOrder, OverKinesis):
    """Tables and handlers under one name.

    >>> app = App("shop")
    >>> orders = app.table("orders", pk="id")
    >>> @app.on(orders.removed)
    ... def audit(change: Change) -> None: ...
    >>> [mapping.id for mapping in app.mappings]
    ['audit']
    """

    def __init__(self, name: str) -> None:
        if not name:
            raise SettingsError(
                "name: '' is not allowed; an app needs a name, its checkpoints are kept under it"
            )
        super().__init__()
        self.name = name
        self.region = region_of(os.environ)
        """Where its tables are that name no other: AWS_REGION, else AWS_DEFAULT_REGION, else us-east-1."""
        self.overrides: dict[Callable[..., Any], Callable[..., Any]] = {}
        """Providers and what stands for them: `app.overrides[mailer] = lambda: outbox`."""
        self.remote: tuple[Any, str] | None = None
        """A DynamoDB client and a table: where transactions are committed; None: in the embedded engine."""
        self._declared = Declarations(name, (self.client, self.async_client))
        self.tables = self._declared.tables
        self.data_streams = self._declared.data_streams
        self._ask: Ask | None = None
        self.alert_plan: AlertPlan | None = None
        """Who is told before it hurts; None: no one is."""

    @property
    def mappings(self) -> Collection[HandlerMapping]:
        """Every handler, in the order of declaration; then what counts records that fit no entity."""
        return self._declared.all_mappings()

    # ---- tables and entities -------------------------------------------------------------------------------

    def table(
        self,
        name: str,
        *,
        pk: str,
        sk: str | None = None,
        pk_type: KeyType = "S",
        sk_type: KeyType = "S",
        ttl: str | None = None,
        stream: ViewType | None = "NEW_AND_OLD_IMAGES",
        indexes: Names[str, Index] | None = None,
        region: str | None = None,
        account: str = ACCOUNT,
    ) -> Table:
        """Declare a table, with its secondary indexes: `indexes={"by_total": Index("country", "total")}`.

        Shape:   `region` is the app's unless told; of one name in two regions or accounts are two tables.
        Raises:  SettingsError.
        """
        name = name_in(name, region or self.region, account, self.region)
        if name in self.tables:
            raise SettingsError(f"table {name!r} is declared twice in app {self.name!r}")
        table = Table(name, pk, sk, pk_type, sk_type, ttl, stream, indexes=dict(indexes or {}))
        self.tables[name] = table
        return table

    def data_stream(self, name: str, *, shards: int = 1) -> DataStream:
        """Declare a data stream (Kinesis), whose records go to `@app.on`, `@app.batch`, `app.function` and
        sinks that append.

        Shape:   with `shards` it begins where it is made; one that is there keeps what it has.
        Raises:  SettingsError.
        """
        if name in self.data_streams:
            raise SettingsError(f"data stream {name!r} is declared twice in app {self.name!r}")
        stream = self.data_streams[name] = DataStream(name, shards)
        return stream

    def entity(
        self,
        cls: type[T],
        table: Table | None = None,
        *,
        pk: str | None = None,
        sk: str | None = None,
        keys: Names[str, str] | None = None,
    ) -> Entity[T]:
        """Keep a dataclass, an attrs class or a pydantic model in a table; without one: the declared entity.

        Shape:   `pk`, `sk` are the templates of the table's key, `keys` those of the keys of its indexes.
        Raises:  SettingsError.
        """
        if table is not None:
            return declare(cls, table, pk, sk, keys=keys)
        entity = self._declared.entity(cls)
        _ = entity.model
        return entity

    # ---- handlers ------------------------------------------------------------------------------------------

    def on(
        self,
        target: Target,
        *,
        where: Where | None = None,
        retry: Retry | None = None,
        batch_size: int = 100,
        concurrency: int = 1,
        timeout: float | None = None,
        id: str | None = None,
        on_failure: Policy = Park.key,
        once: bool = False,
        **settings: Unpack[HandlerSettings],
    ) -> Callable[[Handler], Handler]:
        """Call the handler for every change, in order for each item. Further settings: HandlerSettings.

        Shape:   `target` is a table, an entity (`Order`) or a kind of its changes (`Order.removed`); `where`
                 chooses changes; `concurrency` batches may run at once, never two with one item; `on_failure`
                 is what becomes of a change after its last attempt; `once` marks each change when the handler
                 has returned, so that it is not called for it again unless a crash falls between the two
                 (what `change.transaction` writes is exactly once anyway).
        Units:   timeout in seconds, for coroutines.
        Raises:  SettingsError.
        """
        sizes = {"batch_size": batch_size, "concurrency": concurrency}
        common = CommonSettings(id, where, retry, timeout, on_failure, {**sizes, **settings})
        return self._declared.handler("on", target, common, once=once)

    def batch(
        self,
        target: Target,
        *,
        batch_size: int = 100,
        where: Where | None = None,
        retry: Retry | None = None,
        timeout: float | None = None,
        id: str | None = None,
        on_failure: Policy = Park.key,
        **settings: Unpack[BatchSettings],
    ) -> Callable[[Handler], Handler]:
        """Call the handler with a Batch; if it raises, the batch is halved down to the record at fault."""
        sizes = {"batch_size": batch_size}
        common = CommonSettings(id, where, retry, timeout, on_failure, {**sizes, **settings})
        return self._declared.handler("batch", target, common)

    def function(
        self,
        function: str | Callable[..., Any],
        target: Target,
        *,
        id: str | None = None,
        name: str | None = None,
        **settings: Unpack[LambdaSettings],
    ) -> None:
        """Run a Lambda function `handler(event, context)` with an event source mapping of AWS's own settings.

        Shape:   `function` is the callable, or its name as "module:attribute" or "module.attribute"; settings
                 by AWS's names, with AWS's defaults: `BatchSize=100, BisectBatchOnFunctionError=True, …`, and
                 of the function itself `Timeout=3, MemorySize=128, Environment={"Variables": {…}}`.
                 `DestinationConfig={"OnFailure": {"Destination": ARN}}` is told of what was given up. `name`
                 is the function's, when it is not that of the mapping.
        Raises:  SettingsError.
        """
        self._declared.function(function, target, id, name, {**settings})

    def unmatched(
        self, table: Table, *, retry: Retry | None = None, timeout: float | None = None
    ) -> Callable[[Handler], Handler]:
        """Call the handler for every change whose key fits no entity of the table; else they are counted.

        Raises:  SettingsError.
        """
        changes = self._declared.changes(table)
        if changes.entity is not None or len(changes.events) < len(EVENTS):
            raise SettingsError(f"unmatched: {table!r} is not allowed; it is a table")
        common = CommonSettings(unmatched_id(changes.table.name), retry=retry, timeout=timeout)
        return self._declared.handler("on", replace(changes, unmatched=True), common)

    def sink(
        self,
        source: Target | Callable[..., Any] | str,
        sink: Writes,
        *,
        transform: Callable[[Change[Any]], Any] | None = None,
        enrich: Callable[[list[Any]], Any] | None = None,
        where: Where | None = None,
        retry: Retry | None = None,
        id: str | None = None,
        on_failure: Policy | None = None,
        snapshot: bool | Snapshots = False,
        **settings: Unpack[SinkSettings],
    ) -> None:
        """Write what a handler returns to a sink, or every change of a table or an entity.

        Shape:   with a handler, one attempt is the handler and the write. With a table, an entity or a kind
                 of its changes the sink has a mapping of its own (`id`: `orders.EventBridge`): `transform`
                 makes a value of each change (None: nothing; a list: several), `enrich` is given the values
                 of a batch and answers with as many. `on_failure` is Park.key, and Discard for a sink that
                 has the position of each shard beside its rows. `snapshot`: the sink is given the whole table
                 first, and again after what the stream has lost; it must be a mirror (docs/snapshots.md);
                 `Snapshots(…)` says at which pace. Further settings: HandlerSettings.
        Raises:  SettingsError.
        """
        check_sink_shape(sink)
        common = CommonSettings(id, where, retry, None, on_failure, {**settings})
        self._declared.sink(source, sink, common, transform, enrich, snapshots=snapshots_of(snapshot))

    def archive(
        self,
        table: Table,
        place: str | Path | ArchiveStore,
        *,
        id: str | None = None,
        access: Any = None,
        hold_bytes: int = HOLD_BYTES,
        retry: Retry | None = None,
        actor: str | None = None,
        base: bool = True,
        base_read_units: float | None = None,
        merge: str | None = "1h",
    ) -> None:
        """Keep every change of a table for ever, in a journal: `app.archive(shop, "history/")`.

        Shape:   `place` is a directory or `s3://bucket/prefix`; `access` (`sinks.AwsAccess(…)`) says where
                 and as whom S3 is called. Nothing is filtered, parked or given up: what cannot be kept stops
                 its shard, in words, until it can. Beside the embedded engine, changes that have passed their
                 24 hours stay until the journal has them, up to `hold_bytes` of the table. `actor` names the
                 attribute in which whoever writes an item says so, for `blame`. A journal begins with the
                 table as it is then, read once; with `base=False` it does not, and `tailrace journal base`
                 makes one of exports. So often as `merge` says, many small segments become few large ones, in
                 a process of its own; None leaves that to `tailrace journal merge`.
        Units:   base_read_units a second that reading may use at most; None: as the table gives them.
        Raises:  SettingsError.
        """
        plan = archive_plan(place, access, hold_bytes, actor, base, base_read_units)
        plan = replace(plan, merge_ms=merge_interval(merge))
        self._declared.archive(table, id, plan, retry)

    def projection(
        self,
        target: Target | None = None,
        *,
        by: Any = None,
        version: int = 1,
        initial: Any = UNSET,
        into: Any = None,
        swap: Swap = "auto",
        combine: Callable[[Any, Any], Any] | None = None,
        history: bool = False,
        retry: Retry | None = None,
        batch_size: int = 100,
        concurrency: int = 1,
        id: str | None = None,
        on_failure: Policy = Park.key,
        **settings: Unpack[HandlerSettings],
    ) -> Callable[[Handler], Handler]:
        """Keep a state for each group of items: the function adds an image (sign +1) or takes it out (−1).

        Shape:   the entity is the annotation of the function's second parameter unless `target` says it; `by`
                 is a field, several, a function of the item, or nothing: one group. The state begins as
                 `type()` of the first parameter's annotation, or as `initial`. `into` is where the rows are
                 kept: an `app.table(…)`, `sinks.DuckDB(…)`, or the app's own state. Another `version` is
                 built beside the one that is served, from the table's items, and takes its place when it has
                 caught up, or by `tailrace projection swap` with `swap="manual"`. `combine` makes one state
                 of two: then shards keep parts of a group, and do not wait for each other. With `history`
                 a state is of all that was ever there: the function need not undo what it did, and what it
                 is built from is the journal of the table (`app.archive`). Further settings: HandlerSettings.
        Raises:  SettingsError.
        """
        sizes = {"batch_size": batch_size, "concurrency": concurrency}
        common = CommonSettings(id, None, retry, None, on_failure, {**sizes, **settings})
        make = partial(
            projection_of,
            version=version,
            by=by,
            initial=initial,
            into=into,
            swap=swap,
            combine=combine,
            history=history,
        )
        return self._declared.projection(target, common, make)

    def window(
        self,
        target: Target,
        *,
        every: str | None = None,
        length: str | None = None,
        gap: str | None = None,
        by: Any = None,
        at: Any = None,
        lateness: str = "0s",
        keep: str = "24h",
        retry: Retry | None = None,
        batch_size: int = 100,
        timeout: float | None = None,
        id: str | None = None,
        on_failure: Policy = Park.key,
        **settings: Unpack[BatchSettings],
    ) -> Callable[[Handler], Handler]:
        """Call the handler with what happened in each window of event time, once it is over.

        Shape:   what the handler returns goes to its sink. `every="1m"` is tumbling, with `length="5m"`
                 sliding, `gap="30m"` is sessions. `by` is a field, several, or a function of the item; `at`
                 is the item's time (a field, or a function), else that of the change. A window is told
                 `lateness` after its end, and again, as a correction, whenever a later change alters it,
                 until `keep` has passed. Further settings: HandlerSettings.
        Raises:  SettingsError.
        """
        sizes = {"batch_size": batch_size}
        common = CommonSettings(id, None, retry, timeout, on_failure, {**sizes, **settings})
        plan_of = partial(
            window_plan, every=every, length=length, gap=gap, by=by, at=at, lateness=lateness, keep=keep
        )
        return self._declared.window(target, common, plan_of)

    # ---- who is told -------------------------------------------------------------------------------------

    def alerts(
        self,
        *sinks: AlertSink,
        late: str = "15m",
        stuck: str = "10m",
        left: str = "4h",
        quiet: str = "15m",
        again: str = "1h",
    ) -> None:
        """Tell people when a handler is late, stuck, has a gap, saves changes from the trim, has more dead
        letters, or is run by two workers: `app.alerts(sinks.Webhook("https://…"))`.

        Shape:   each alert is told once when it begins and once when it ends, by one of all workers; one that
                 lasts every `again`. A handler is late when its lag is above `late` or its oldest change is
                 trimmed in less than `left`; stuck when older changes wait in a shard that has not moved for
                 longer than `stuck`; dead letters have grown until none has come for `quiet`.
        Units:   durations, as "15m".
        Raises:  SettingsError, also when it is called twice.
        """
        if self.alert_plan is not None:
            raise SettingsError("alerts: they are declared already; name all sinks in one call")
        self.alert_plan = alert_plan(sinks, late=late, stuck=stuck, left=left, quiet=quiet, again=again)

    def withdraw(self, handler: str) -> None:
        """Take back what was declared under this id: a worker that is told to `change` drains it."""
        self._declared.mappings.pop(handler, None)

    # ---- what handlers use ---------------------------------------------------------------------------------

    def transactions(self, client: Any, table: str) -> None:
        """Commit what handlers record on `change.transaction` in that DynamoDB, its marks in `table` there.

        Shape:   `client` is a boto3 `dynamodb` client of AWS or any other endpoint, or `sinks.AwsAccess(…)`;
                 the table has the keys `pk` and `sk`.
        """
        self.remote = (client, table)

    def client(self) -> Client:
        """What a `def` handler reads and writes with: `db: Annotated[Client, Depends(app.client)]`.

        Shape:   of the embedded engine, or of the DynamoDB of `transactions`.
        Raises:  SettingsError when it is called: a worker provides it.
        """
        raise unprovided("Client", "client")

    def async_client(self) -> AsyncClient:
        """`client` for an `async def` handler: `db: Annotated[AsyncClient, Depends(app.async_client)]`.

        Raises:  SettingsError when it is called: a worker provides it.
        """
        raise unprovided("AsyncClient", "async_client")

    # ---- asking --------------------------------------------------------------------------------------------

    def bind(self, ask: Ask) -> None:
        """Say what answers questions about this app; called by the world and by `tailrace.connect`."""
        self._ask = ask

    def dlq(self, handler: Callable[..., Any] | str) -> DeadLetters:
        """The dead letters and parked changes of a handler: `app.dlq(receipt).redrive(rate="10/s")`.

        Raises:  SettingsError for an unknown handler, or when nothing is bound that could answer.
        """
        mappings = self._declared.mappings.values()
        ids = [mapping.id for mapping in mappings if handler in (mapping.id, mapping.target)]
        if not ids and isinstance(handler, str):
            ids = [handler]  # one that was declared once: its dead letters are there
        if len(ids) != 1:
            raise SettingsError(
                f"dlq: {handler!r} is {'no handler' if not ids else 'several handlers'} of app {self.name!r}"
            )
        return DeadLetters(self._asked("dlq"), ids[0])

    def projected(self, projection: Callable[..., Any] | str) -> Projected:
        """What a projection says now, by the keys of its groups: `app.projected(sales)["NL"]`.

        Raises:  SettingsError.
        """
        return Projected(
            self._asked("projected"),
            self.name,
            projection_named(self.name, self._declared.mappings.values(), projection),
        )

    def explain(self, handler: Callable[..., Any] | str) -> Explanation:
        """What reaches a handler: the event pattern, what is judged in process besides, and why.

        Raises:  SettingsError.
        """
        mapping = self._declared.mapping_of("explain", handler)
        accepts = mapping.settings.accepts
        changes = Changes(mapping.table, entity=mapping.entity)
        where: Where | None = None
        if isinstance(accepts, Filter):
            changes, where = accepts.changes, accepts.where
        return explain(mapping.id, changes, where, mapping.settings.filters, mapping.settings.order)

    def mapping_of(self, word: str, handler: Callable[..., Any] | str) -> HandlerMapping:
        """A handler by its function or its id. Raises: SettingsError that begins with `word`."""
        return self._declared.mapping_of(word, handler)

    def _archives(self) -> dict[str, HandlerMapping]:
        return archives_of(self.mappings)

    def _entity_of(self, cls: type[Any]) -> Entity[Any]:
        return entity_among(self.tables)(cls)

    def _asked(self, word: str) -> Ask:
        if self._ask is None:
            raise SettingsError(
                f"{word}: app {self.name!r} is declared and not connected to any data",
                hint="tailrace.connect(app, '.tailrace'), or world.use(app) in a test",
            )
        return self._ask


__all__ = ["App", "Batch", "Change", "HandlerMapping", "Retry", "Table", "is_async"]
