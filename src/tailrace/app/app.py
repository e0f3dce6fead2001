"""The application: tables and the handlers of their changes.

Rules of this file: it only declares. Nothing is opened, read or started; what is wrong is refused here, where it is
written, in words that name the setting.
"""

import os
from collections.abc import Callable, Collection
from collections.abc import Mapping as Names
from dataclasses import replace
from typing import Any, TypeVar, Unpack, cast

from tailrace.app.change import Batch, Change
from tailrace.app.checking import check_given, check_timeout, check_where, is_async
from tailrace.app.client import AsyncClient, Client, check_client, unprovided
from tailrace.app.depends import check_cycles, place_of, signature_of
from tailrace.app.destination_config import destination_arn
from tailrace.app.entity import Entity
from tailrace.app.explain import Explanation, explain
from tailrace.app.filtering import Filter, filter_of
from tailrace.app.function_settings import NAMES as FUNCTION_NAMES
from tailrace.app.function_settings import FunctionSettings, function_named
from tailrace.app.index import Index, KeyType
from tailrace.app.item import ENTITY, declare
from tailrace.app.mapping import HandlerMapping, Kind, Target, Where, projection_named
from tailrace.app.on_failure import Discard, Park, Policy, settings_of
from tailrace.app.operations import Ask, DeadLetters
from tailrace.app.projected import Projected
from tailrace.app.projection import UNSET, Swap, declared_by, projection_of
from tailrace.app.retry import Retry, check_retry
from tailrace.app.settings import BatchSettings, HandlerSettings, LambdaSettings, SinkSettings, check_names
from tailrace.app.sinking import (
    Writes,
    check_sink_shape,
    check_snapshot,
    check_takes_sink,
    sink_id,
    with_width,
)
from tailrace.app.table import EVENTS, Changes, Table, name_in
from tailrace.app.unmatched import Unmatched, unmatched_id
from tailrace.app.window import check_window, window_plan
from tailrace.errors import SettingsError
from tailrace.mapping.settings import MappingSettings
from tailrace.streams.arns import ACCOUNT, region_of
from tailrace.streams.record import ViewType

T = TypeVar("T")
Handler = TypeVar("Handler", bound=Callable[..., Any])


class App:
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
        self.name = name
        self.region = region_of(os.environ)
        """Where its tables are that name no other: AWS_REGION, else AWS_DEFAULT_REGION, else us-east-1."""
        self.tables: dict[str, Table] = {}
        self.overrides: dict[Callable[..., Any], Callable[..., Any]] = {}
        """Providers and what stands for them: `app.overrides[mailer] = lambda: outbox`."""
        self._mappings: dict[str, HandlerMapping] = {}
        self._ask: Ask | None = None
        self.remote: tuple[Any, str] | None = None
        """A DynamoDB client and a table: where transactions are committed; None: in the embedded engine."""
        self._counting: dict[str, HandlerMapping] = {}

    @property
    def mappings(self) -> Collection[HandlerMapping]:
        """Every handler, in the order of declaration; then what counts the records that fit no entity of a table."""
        typed = dict.fromkeys(
            mapping.table.name for mapping in self._mappings.values() if mapping.entity is not None
        )
        counting = [
            self._count_unmatched(self.tables[name])
            for name in typed
            if unmatched_id(name) not in self._mappings
        ]
        return [*self._mappings.values(), *counting]

    def table(
        self, name: str, *, pk: str, sk: str | None = None, pk_type: KeyType = "S", sk_type: KeyType = "S",
        ttl: str | None = None, stream: ViewType | None = "NEW_AND_OLD_IMAGES", indexes: Names[str, Index] | None = None,
        region: str | None = None, account: str = ACCOUNT,
    ) -> Table:  # fmt: skip
        """Declare a table, with its secondary indexes by name: `indexes={"by_total": Index("country", "total")}`.

        Shape:   `region` is the app's unless told; of one name in two regions or accounts are two tables.
        Raises:  SettingsError.
        """
        name = name_in(name, region or self.region, account, self.region)
        if name in self.tables:
            raise SettingsError(f"table {name!r} is declared twice in app {self.name!r}")
        table = Table(name, pk, sk, pk_type, sk_type, ttl, stream, indexes=dict(indexes or {}))
        self.tables[name] = table
        return table

    def entity(
        self, cls: type[T], table: Table | None = None, *, pk: str | None = None, sk: str | None = None,
        keys: Names[str, str] | None = None,
    ) -> Entity[T]:  # fmt: skip
        """Keep a dataclass, an attrs class or a pydantic model in a table, as it is; without a table: find what was declared.

        Shape:   `pk`, `sk` are the templates of the table's key, `keys` those of attributes that are keys of its indexes.

        Raises:  SettingsError.
        """
        if table is not None:
            return declare(cls, table, pk, sk, keys=keys)
        found = self._entity(cls)
        _ = found.model
        return found

    def on(
        self, target: Target, *, where: Where | None = None, retry: Retry | None = None,
        batch_size: int = 100, concurrency: int = 1, timeout: float | None = None, id: str | None = None,
        on_failure: Policy = Park.key, once: bool = False, **settings: Unpack[HandlerSettings],
    ) -> Callable[[Handler], Handler]:  # fmt: skip
        """Call the handler for every change, in order for each item. Further settings: HandlerSettings.

        Shape:   `target` is a table, an entity (`Order`) or a kind of its changes (`Order.removed`); `where` chooses changes;
                 `concurrency` batches may run at once, never two with one item; `on_failure` is what becomes of a change
                 after its last attempt; `once` marks each change when the handler has returned, so that it is not called for
                 it again unless a crash falls between the two (what `change.transaction` writes is exactly once anyway).
        Units:   timeout in seconds, for coroutines.
        Raises:  SettingsError.
        """
        return self._declare("on", target, where, retry, timeout, id, on_failure, once,
                             batch_size=batch_size, concurrency=concurrency, **settings)  # fmt: skip

    def batch(
        self, target: Target, *, batch_size: int = 100, where: Where | None = None,
        retry: Retry | None = None, timeout: float | None = None, id: str | None = None,
        on_failure: Policy = Park.key, **settings: Unpack[BatchSettings],
    ) -> Callable[[Handler], Handler]:  # fmt: skip
        """Call the handler with a Batch; when it raises, the batch is halved until the record at fault is alone."""
        return self._declare(
            "batch", target, where, retry, timeout, id, on_failure, batch_size=batch_size, **settings
        )

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

        Shape:   `function` is the callable or "module:attribute" (also "module.attribute"), which is what runs; settings by AWS's names, with
                 AWS's defaults: `BatchSize=100, BisectBatchOnFunctionError=True, …`, and of the function itself `Timeout=3,
                 MemorySize=128, Environment={"Variables": {…}}`. `DestinationConfig={"OnFailure": {"Destination": ARN}}` is
                 told of what was given up. `name` is the function's, when it is not that of the mapping.
        Raises:  SettingsError.
        """
        called, code = function_named(function) if isinstance(function, str) else (function, None)
        own_id: str = id or (code.attribute if code else str(getattr(called, "__qualname__", "function")))
        changes = self._changes(target)
        accepts = filter_of(changes, None)
        given: dict[str, Any] = {**settings}
        destination = destination_arn(given.pop("DestinationConfig", None))
        own = FunctionSettings.read({each: given.pop(each) for each in FUNCTION_NAMES if each in given})
        chosen = MappingSettings.for_lambda(own_id, accepts=accepts, **given)
        self._add(
            HandlerMapping(
                own_id, changes.table, "function", called, chosen, function_name=name or own_id, entity=changes.entity,
                destination=destination, function=own, code=code,
            )
        )  # fmt: skip

    def withdraw(self, handler: str) -> None:
        """Take back what was declared under this id: a worker that is told to `change` drains it."""
        self._mappings.pop(handler, None)

    def dlq(self, handler: Callable[..., Any] | str) -> DeadLetters:
        """The dead letters and parked changes of a handler: `app.dlq(receipt).where(error="SMTP*").redrive(rate="10/s")`.

        Raises:  SettingsError for an unknown handler, or when nobody was bound who could answer.
        """
        found = [mapping.id for mapping in self._mappings.values() if handler in (mapping.id, mapping.target)]
        if not found and isinstance(handler, str):
            found = [handler]  # one that was declared once: its dead letters are there
        if len(found) != 1:
            raise SettingsError(
                f"dlq: {handler!r} is {'no handler' if not found else 'several handlers'} of app {self.name!r}"
            )
        return DeadLetters(self._asked("dlq"), found[0])

    def transactions(self, client: Any, table: str) -> None:
        """Commit what handlers record on `change.transaction` in that DynamoDB, with its marks in `table` there.

        Shape:   `client` is a boto3 `dynamodb` client of AWS or any other endpoint, or `sinks.AwsAccess(…)`; the table has the keys `pk` and `sk`.
        """
        self.remote = (client, table)

    def client(self) -> Client:
        """What a `def` handler reads and writes with: `db: Annotated[Client, Depends(app.client)]`; of the embedded engine, or of `transactions`.

        Raises:  SettingsError when it is called: a worker provides it.
        """
        raise unprovided("Client", "client")

    def async_client(self) -> AsyncClient:
        """The same for an `async def` handler: `db: Annotated[AsyncClient, Depends(app.async_client)]`. Raises: SettingsError when it is called."""
        raise unprovided("AsyncClient", "async_client")

    def bind(self, ask: Ask) -> None:
        """Say who answers questions about this app; called by the world and by `tailrace.connect`."""
        self._ask = ask

    def unmatched(
        self, table: Table, *, retry: Retry | None = None, timeout: float | None = None
    ) -> Callable[[Handler], Handler]:
        """Call the handler for every change whose key fits no entity of the table; without one they are counted and logged.

        Raises:  SettingsError.
        """
        changes = self._changes(table)
        if changes.entity is not None or len(changes.events) < len(EVENTS):
            raise SettingsError(f"unmatched: {table!r} is not allowed; it is a table")
        others = replace(changes, unmatched=True)
        return self._declare("on", others, None, retry, timeout, unmatched_id(changes.table.name))

    def explain(self, handler: Callable[..., Any] | str) -> Explanation:
        """What reaches a handler: the event pattern, what is judged in process besides, and why. Raises: SettingsError."""
        mapping = self._handler("explain", handler)
        accepts = mapping.settings.accepts
        changes = Changes(mapping.table, entity=mapping.entity)
        where: Where | None = None
        if isinstance(accepts, Filter):
            changes, where = accepts.changes, accepts.where
        return explain(mapping.id, changes, where, mapping.settings.filters, mapping.settings.order)

    def sink(
        self, source: Target | Callable[..., Any] | str, sink: Writes, *, transform: Callable[[Change[Any]], Any] | None = None,
        enrich: Callable[[list[Any]], Any] | None = None, where: Where | None = None, retry: Retry | None = None,
        id: str | None = None, on_failure: Policy = Park.key, snapshot: bool = False, **settings: Unpack[SinkSettings],
    ) -> None:  # fmt: skip
        """Write what a handler returns to a sink, or every change of a table or an entity.

        Shape:   with a handler, one attempt is the handler and the write. With a table, an entity or a kind of its changes the sink has a
                 mapping of its own (`id`: `orders.EventBridge`): `transform` makes a value of each change (None: nothing; a
                 list: several), `enrich` is given the values of a batch and answers with as many. Further settings: HandlerSettings.
        Raises:  SettingsError.
        """
        check_sink_shape(sink)
        check_snapshot(snapshot)
        if isinstance(source, Table | Changes | Entity | type):
            changes = self._changes(source)
            name = id or sink_id(changes, sink)
            check_where(f"sink {name!r}", where, changes)
            self._add(
                HandlerMapping(
                    name, changes.table, "sink", cast("Any", sink),
                    self._settings(f"sink {name!r}", name, changes, where, retry or Retry(), on_failure, with_width(sink, settings)),
                    entity=changes.entity, sink=sink, destination=_destination(on_failure), transform=transform, enrich=enrich,
                )
            )  # fmt: skip
            return
        mapping = self._handler("sink", source)
        check_takes_sink(mapping.id, mapping.kind, sink, has_sink=mapping.sink is not None, once=mapping.once)
        if transform or enrich or where or retry or id or settings or on_failure is not Park.key:
            raise SettingsError(
                f"sink: {mapping.id!r} is a handler: what it returns goes to the sink as it is, and its own settings hold"
            )
        self._mappings[mapping.id] = replace(mapping, sink=sink)

    def projection(
        self, target: Target | None = None, *, by: Any = None, version: int = 1, initial: Any = UNSET, into: Any = None,
        swap: Swap = "auto", retry: Retry | None = None, batch_size: int = 100, concurrency: int = 1, id: str | None = None,
        on_failure: Policy = Park.key, **settings: Unpack[HandlerSettings],
    ) -> Callable[[Handler], Handler]:  # fmt: skip
        """Keep a state for each group of items: the function adds an item's image (sign +1) or takes it out again (sign −1).

        Shape:   the entity is the annotation of the function's second parameter unless `target` says it; `by` is a field, several, a function
                 of the item, or nothing: one group. The state begins as `type()` of the first parameter's annotation, or as `initial`. `into`
                 is where the rows are kept: an `app.table(…)`, `sinks.DuckDB(…)`, or the app's own state. Another `version` is built
                 beside the one that is served, from the table's items, and takes its place when it has caught up, or by
                 `tailrace projection swap` with `swap="manual"`. Further settings: HandlerSettings.
        Raises:  SettingsError.
        """

        def register(function: Handler) -> Handler:
            name: str = id or str(getattr(function, "__qualname__", "projection"))
            declared = declared_by(name, function)
            if target is None and (not isinstance(declared.item, type) or declared.item in (dict, Any)):
                raise SettingsError(
                    f"{declared.place}: say of what: @app.projection(orders, …), or an entity as its second parameter, order: Order"
                )
            changes = self._changes(declared.item if target is None else target)
            found = projection_of(
                declared, changes, function, id=name, version=version, by=by, initial=initial, into=into, swap=swap,
            )  # fmt: skip
            chosen = self._settings(
                declared.place, found.mapping_id, changes, None, retry or Retry(), on_failure,
                {"batch_size": batch_size, "concurrency": concurrency, **settings},
            )  # fmt: skip
            self._add(
                HandlerMapping(
                    found.mapping_id, changes.table, "projection", function, chosen, entity=changes.entity,
                    destination=_destination(on_failure), projection=found,
                )
            )  # fmt: skip
            return function

        return register

    def window(
        self, target: Target, *, every: str | None = None, length: str | None = None, gap: str | None = None, by: Any = None, at: Any = None,
        lateness: str = "0s", keep: str = "24h", retry: Retry | None = None, batch_size: int = 100, timeout: float | None = None,
        id: str | None = None, on_failure: Policy = Park.key, **settings: Unpack[BatchSettings],
    ) -> Callable[[Handler], Handler]:  # fmt: skip
        """Call the handler with what happened in each window of event time, once it is over; what it returns goes to its sink.

        Shape:   `every="1m"` is tumbling, with `length="5m"` sliding, `gap="30m"` is sessions. `by` is a field, several, or a function of the item;
                 `at` the item's time (a field, or a function), else that of the change. A window is told `lateness` after its end, and
                 again, as a correction, whenever a later change alters it, until `keep` has passed. Further settings: HandlerSettings.
        Raises:  SettingsError.
        """
        changes = self._changes(target)

        def register(handler: Handler) -> Handler:
            name: str = id or str(getattr(handler, "__qualname__", "window"))
            place = f"window {name!r}{place_of(handler)}"
            signature = signature_of(name, handler, "window")
            check_window(place, signature.given, changes)
            check_cycles(name, signature.dependencies)
            check_client(
                place, signature.dependencies, self.async_client if not is_async(handler) else self.client
            )
            check_timeout(name, handler, timeout)
            plan = window_plan(
                place, changes, every=every, length=length, gap=gap, by=by, at=at, lateness=lateness, keep=keep,
            )  # fmt: skip
            chosen = self._settings(
                place, name, changes, None, retry or Retry(), on_failure, {"batch_size": batch_size, **settings},
            )  # fmt: skip
            self._add(
                HandlerMapping(
                    name, changes.table, "window", handler, chosen, timeout, entity=changes.entity,
                    dependencies=signature.dependencies, destination=_destination(on_failure), window=plan,
                )
            )  # fmt: skip
            return handler

        return register

    def projected(self, projection: Callable[..., Any] | str) -> Projected:
        """What a projection says now, by the keys of its groups: `app.projected(sales)["NL"]`. Raises: SettingsError."""
        return Projected(
            self._asked("projected"),
            self.name,
            projection_named(self.name, self._mappings.values(), projection),
        )

    def _asked(self, word: str) -> Ask:
        if self._ask is None:
            raise SettingsError(
                f"{word}: app {self.name!r} is declared and not connected to any data",
                hint="tailrace.connect(app, '.tailrace'), or world.use(app) in a test",
            )
        return self._ask

    def _handler(self, word: str, handler: Callable[..., Any] | str) -> HandlerMapping:
        found = [mapping for mapping in self.mappings if handler in (mapping.id, mapping.target)]
        if not found:
            ids = ", ".join(mapping.id for mapping in self.mappings)
            raise SettingsError(
                f"{word}: {handler!r} is no handler of app {self.name!r}; declared so far: {ids or 'none'}"
            )
        if len(found) > 1:
            ids = ", ".join(repr(mapping.id) for mapping in found)
            raise SettingsError(
                f"{word}: {handler!r} is declared {len(found)} times: name one by its id: {ids}"
            )
        return found[0]

    def _changes(self, target: object) -> Changes[Entity[Any]]:
        match target:
            case Changes():
                changes = target
            case Table():
                changes = Changes(target)
            case Entity():
                changes = target.changes
            case type():
                changes = self._entity(target).changes
            case _:
                raise SettingsError(
                    f"{target!r} is no table and no entity: orders = app.table('orders', pk='id') makes a table"
                )
        if changes.entity is not None:
            _ = changes.entity.model  # what is wrong with the class is refused here, where the app is loaded
        return changes

    def _entity(self, cls: type[T]) -> Entity[T]:
        if isinstance(own := cls.__dict__.get(ENTITY), Entity):
            return own
        found: list[Entity[T]] = [
            each for table in self.tables.values() for each in table.entities if each.cls is cls
        ]
        if len(found) != 1:
            many = "no table" if not found else "several tables"
            raise SettingsError(
                f"{cls.__name__} is in {many} of app {self.name!r}: class {cls.__name__}(Item, table=shop, "
                f"pk='{cls.__name__.upper()}#{{id}}') puts it in one, and so does app.entity({cls.__name__}, shop, pk=…), whose "
                "answer a handler can be declared on"
            )
        return found[0]

    def _count_unmatched(self, table: Table) -> HandlerMapping:
        if table.name in self._counting:
            return self._counting[table.name]
        name, unmatched = unmatched_id(table.name), Unmatched(table)
        settings = MappingSettings(name, accepts=Filter(Changes(table, unmatched=True)))
        counting = self._counting[table.name] = HandlerMapping(
            name, table, "on", unmatched.log, settings, only_counts=True
        )
        return counting

    def _declare(
        self, kind: Kind, target: object, where: Where | None,
        retry: Retry | None, timeout: float | None, id: str | None, on_failure: Policy = Park.key, once: bool = False,
        **settings: Any,
    ) -> Callable[[Handler], Handler]:  # fmt: skip
        changes = self._changes(target)
        retrying = retry or Retry()

        def register(handler: Handler) -> Handler:
            name: str = id or str(getattr(handler, "__qualname__", "handler"))
            place = f"handler {name!r}{place_of(handler)}"
            signature = signature_of(name, handler)
            check_given(place, kind, signature.given, changes)
            check_where(place, where, changes)
            check_cycles(name, signature.dependencies)
            check_client(
                place, signature.dependencies, self.async_client if not is_async(handler) else self.client
            )
            check_timeout(name, handler, timeout)
            chosen = self._settings(place, name, changes, where, retrying, on_failure, settings)
            self._add(
                HandlerMapping(
                    name, changes.table, kind, handler, chosen, timeout, entity=changes.entity,
                    dependencies=signature.dependencies, destination=_destination(on_failure), once=once,
                )
            )  # fmt: skip
            return handler

        return register

    def _settings(
        self, place: str, name: str, changes: Changes[Entity[Any]], where: Where | None, retry: Retry, on_failure: Policy,
        settings: Names[str, Any],
    ) -> MappingSettings:  # fmt: skip
        check_names(name, settings)
        try:
            check_retry(retry)
            return MappingSettings(
                name, maximum_retry_attempts=retry.retries, backoff=retry.settings(),
                accepts=filter_of(changes, where), **settings_of(on_failure), **settings,
            )  # fmt: skip
        except (SettingsError, TypeError) as error:
            raise SettingsError(f"{place}: {error}") from error

    def _add(self, mapping: HandlerMapping) -> None:
        if mapping.id in self._mappings:
            raise SettingsError(
                f"two handlers of app {self.name!r} have the id {mapping.id!r}: give one of them another with id="
            )
        if self.tables.get(mapping.table.name) is not mapping.table:
            raise SettingsError(
                f"handler {mapping.id!r}: table {mapping.table.name!r} belongs to another app"
            )
        if mapping.table.stream is None:
            raise SettingsError(
                f"handler {mapping.id!r}: table {mapping.table.name!r} has no stream (stream=None), so nothing would come"
            )
        self._mappings[mapping.id] = mapping


def _destination(on_failure: Policy) -> Any:
    return on_failure.to if isinstance(on_failure, Discard) else None


__all__ = ["App", "Batch", "Change", "HandlerMapping", "Retry", "Table", "is_async"]
