"""How what an app declares becomes a mapping: it is checked here as a whole and entered under its id.

Theory of operation: `App` has the words that users write. What they said arrives here: the target, the
function or the sink, and `CommonSettings`, which every declaration takes. A declaration that passes is one
`HandlerMapping`; its id is unique, its table is of this app and has a stream.
Rules of this file: it only declares. Nothing is opened, read or started; what is wrong is refused here, where
it is written, in words that name the setting. Called by app.py.
"""

from collections.abc import Callable, Collection
from collections.abc import Mapping as Names
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, cast

from tailrace.app.archiving import ArchivePlan, archive_id, archive_settings, check_history
from tailrace.app.change import Change
from tailrace.app.checking import check_given, check_timeout, check_where, is_async
from tailrace.app.client import check_client
from tailrace.app.data_stream import DataStream, check_of_data
from tailrace.app.depends import Signature, check_cycles, place_of, signature_of
from tailrace.app.destination_config import destination_arn
from tailrace.app.entity import Entity
from tailrace.app.filtering import Filter, filter_of
from tailrace.app.function_settings import NAMES as FUNCTION_NAMES
from tailrace.app.function_settings import FunctionSettings, function_named
from tailrace.app.item import ENTITY
from tailrace.app.mapping import Appended, HandlerMapping, Kind, Target, Where
from tailrace.app.on_failure import Discard, Drop, Park, Policy, settings_of
from tailrace.app.projection import Projection, declared_by
from tailrace.app.retry import Retry, check_retry
from tailrace.app.settings import check_names, whole_shards
from tailrace.app.sinking import (
    Writes,
    check_snapshot,
    check_takes_sink,
    is_mirror,
    sink_id,
    transactional_settings,
    width_of,
)
from tailrace.app.snapshots import BY_HAND, Snapshots
from tailrace.app.table import Changes, Table
from tailrace.app.unmatched import Unmatched, unmatched_id
from tailrace.app.window import WindowPlan, check_window
from tailrace.errors import SettingsError
from tailrace.mapping.filters import check_data_filters
from tailrace.mapping.settings import MappingSettings

T = TypeVar("T")
Handler = TypeVar("Handler", bound=Callable[..., Any])
Clients = tuple[Callable[[], Any], Callable[[], Any]]


def _kept(_: Any) -> None:
    """Stands for the handler of an archive, which has none."""


@dataclass(frozen=True, slots=True)
class CommonSettings:
    """What every declaration may set.

    Shape:   without `id` a handler has its function's name; `settings` are by keyword (HandlerSettings).
    """

    id: str | None = None
    where: Where | None = None
    retry: Retry | None = None
    timeout: float | None = None
    on_failure: Policy | None = None
    settings: Names[str, Any] = field(default_factory=dict)

    @property
    def destination(self) -> Any:
        """Where failures are told of; None: nowhere."""
        return self.on_failure.to if isinstance(self.on_failure, Discard) else None

    def name_of(self, function: Callable[..., Any], kind: str) -> str:
        """The id of the mapping of a function."""
        return self.id or str(getattr(function, "__qualname__", kind))

    def of_mapping(
        self, place: str, name: str, changes: Changes[Entity[Any]], sink: Writes | None = None
    ) -> MappingSettings:
        """The machine's settings; `sink` is whose mapping it is. Raises: SettingsError."""
        check_names(name, self.settings)
        retry = self.retry or Retry()
        try:
            check_retry(retry)
            owned = transactional_settings(sink, self.on_failure, self.settings)
            policy = self.on_failure or (Discard() if owned else Park.key)
            width = {} if sink is None or owned else width_of(sink)
            return MappingSettings(
                name,
                maximum_retry_attempts=retry.retries,
                backoff=retry.settings(),
                accepts=filter_of(changes, self.where, of_state=is_mirror(sink)),
                **settings_of(policy),
                **changes.table.order,
                **owned,
                **{**width, **self.settings},
            )
        except (SettingsError, TypeError) as error:
            raise SettingsError(f"{place}: {error}") from error


def check_feed(kind: Kind, common: CommonSettings, table: Table) -> None:
    """Refuse what would leave a hole in the feed of an aggregate. Raises: SettingsError."""
    if kind != "on":
        raise SettingsError(
            f"app.{kind} of an aggregate: its events come one after the other, so a handler is given one: "
            "@app.on(accounts); accounts.events is for what takes them in any order"
        )
    if table.stream in ("KEYS_ONLY", "OLD_IMAGE"):
        raise SettingsError(
            f"table {table.name!r} has stream={table.stream!r}, and a handler of an aggregate needs the "
            f"events: "
            "stream='NEW_IMAGE' or 'NEW_AND_OLD_IMAGES'"
        )
    if common.where is not None or "filters" in common.settings:
        raise SettingsError(
            "where= on an aggregate would leave holes in its feed: let the handler return for events "
            "that it does not "
            "want; accounts.events is for what takes them in any order"
        )
    if isinstance(common.on_failure, Discard) or common.on_failure is Drop:
        raise SettingsError(
            f"on_failure={common.on_failure!r} on an aggregate would leave a hole in its feed: it is "
            f"Park.key or "
            "Park.shard"
        )


class Declarations:
    """The tables and the mappings of one app.

    Shape:   `clients` provide `Client` and `AsyncClient`: for `def` handlers and for coroutines.
    """

    def __init__(self, app: str, clients: Clients) -> None:
        self.app = app
        self.tables: dict[str, Table] = {}
        self.data_streams: dict[str, DataStream] = {}
        self.mappings: dict[str, HandlerMapping] = {}
        self._clients = clients
        self._counting: dict[str, HandlerMapping] = {}

    # ---- reading -------------------------------------------------------------------------------------------

    def all_mappings(self) -> Collection[HandlerMapping]:
        """The declared ones in their order; then what counts the records that fit no entity of a table."""
        typed = dict.fromkeys(
            mapping.table.name for mapping in self.mappings.values() if mapping.entity is not None
        )
        counting = [
            self._count_unmatched(self.tables[name])
            for name in typed
            if unmatched_id(name) not in self.mappings
        ]
        return [*self.mappings.values(), *counting]

    def mapping_of(self, word: str, handler: Callable[..., Any] | str) -> HandlerMapping:
        """The mapping of a handler, by its function or its id.

        Raises:  SettingsError that begins with `word`, what was asked for.
        """
        mappings = self.all_mappings()
        matches = [mapping for mapping in mappings if handler in (mapping.id, mapping.target)]
        if not matches:
            ids = ", ".join(mapping.id for mapping in mappings)
            raise SettingsError(
                f"{word}: {handler!r} is no handler of app {self.app!r}; declared so far: {ids or 'none'}"
            )
        if len(matches) > 1:
            ids = ", ".join(repr(mapping.id) for mapping in matches)
            raise SettingsError(
                f"{word}: {handler!r} is declared {len(matches)} times: name one by its id: {ids}"
            )
        return matches[0]

    def changes(self, target: object) -> Changes[Entity[Any]]:
        """The changes that a target means. Raises: SettingsError."""
        match target:
            case Changes():
                changes = target
            case Table():
                changes = Changes(target)
            case Entity():
                changes = target.changes
            case type():
                changes = self.entity(target).changes
            case Appended():
                changes = target.appended
            case DataStream():
                changes = Changes(target.source)
            case _:
                raise SettingsError(
                    f"{target!r} is no table and no entity: orders = app.table('orders', pk='id') makes a "
                    "table, clicks = app.data_stream('clicks') a data stream, "
                    "app.kinesis('copies').of(orders) the changes of a table in one"
                )
        if changes.entity is not None:
            _ = changes.entity.model  # what is wrong with the class is refused here, where the app is loaded
        return changes

    def entity(self, cls: type[T]) -> Entity[T]:
        """The entity of a class. Raises: SettingsError when the class is in no table, or in several."""
        if isinstance(own := cls.__dict__.get(ENTITY), Entity):
            return own
        entities: list[Entity[T]] = [
            entity for table in self.tables.values() for entity in table.entities if entity.cls is cls
        ]
        if len(entities) != 1:
            many = "no table" if not entities else "several tables"
            raise SettingsError(
                f"{cls.__name__} is in {many} of app {self.app!r}: class {cls.__name__}(Item, table=shop, "
                f"pk='{cls.__name__.upper()}#{{id}}') puts it in one, and so does "
                f"app.entity({cls.__name__}, shop, pk=…), whose answer a handler can be declared on"
            )
        return entities[0]

    # ---- entering ------------------------------------------------------------------------------------------

    def handler(
        self,
        kind: Kind,
        target: object,
        common: CommonSettings,
        *,
        once: bool = False,
        order_wait_ms: int | None = None,
    ) -> Callable[[Handler], Handler]:
        """What enters a handler of changes or batches. Raises: SettingsError."""
        changes = self.changes(target)
        check_of_data(kind if order_wait_ms is None else "merged", changes)
        is_feed = isinstance(target, Appended)
        if is_feed and order_wait_ms is not None:
            raise SettingsError("app.merged of an aggregate: its feed goes by versions: @app.on(accounts)")
        if is_feed:
            check_feed(kind, common, changes.table)
            common = replace(common, settings={**common.settings, "ordered_by": "partition"})

        def register(handler: Handler) -> Handler:
            name = common.name_of(handler, "handler")
            place = f"handler {name!r}{place_of(handler)}"
            signature = signature_of(name, handler)
            check_given(place, kind, signature.given, changes)
            check_where(place, common.where, changes)
            self._check_call(name, place, handler, signature, common)
            settings = common.of_mapping(place, name, changes)
            if order_wait_ms is not None:
                settings = whole_shards(place, settings)
            self._add(
                HandlerMapping(
                    name,
                    changes.table,
                    kind,
                    handler,
                    settings,
                    common.timeout,
                    entity=changes.entity,
                    dependencies=signature.dependencies,
                    destination=common.destination,
                    once=once,
                    is_feed=is_feed,
                    order_wait_ms=order_wait_ms,
                )
            )
            return handler

        return register

    def function(
        self,
        function: str | Callable[..., Any],
        target: Target,
        id: str | None,
        name: str | None,
        settings: Names[str, Any],
    ) -> None:
        """Enter a Lambda function with its event source mapping. Raises: SettingsError."""
        called, code = function_named(function) if isinstance(function, str) else (function, None)
        own_id: str = id or (code.attribute if code else str(getattr(called, "__qualname__", "function")))
        changes = self.changes(target)
        accepts = None if isinstance(target, DataStream) else filter_of(changes, None)
        of_mapping = dict(settings)
        destination = destination_arn(of_mapping.pop("DestinationConfig", None))
        own: dict[str, Any] = {
            setting: of_mapping.pop(setting) for setting in FUNCTION_NAMES if setting in of_mapping
        }
        function_settings = FunctionSettings.read(own)
        mapping_settings = MappingSettings.for_lambda(own_id, accepts=accepts, **of_mapping)
        if isinstance(target, DataStream):
            check_data_filters(mapping_settings.filters)
        self._add(
            HandlerMapping(
                own_id,
                changes.table,
                "function",
                called,
                mapping_settings,
                function_name=name or own_id,
                entity=changes.entity,
                destination=destination,
                function=function_settings,
                code=code,
            )
        )

    def sink(
        self,
        source: object,
        sink: Writes,
        common: CommonSettings,
        transform: Callable[[Change[Any]], Any] | None,
        enrich: Callable[[list[Any]], Any] | None,
        *,
        snapshots: Snapshots = BY_HAND,
    ) -> None:
        """Enter a sink of changes, or give a handler one. Raises: SettingsError."""
        if isinstance(source, Table | Changes | Entity | DataStream | type):
            changes = self.changes(source)
            check_of_data("sink", changes, sink)
            name = common.id or sink_id(changes, sink)
            place = f"sink {name!r}"
            check_where(place, common.where, changes)
            if snapshots is not BY_HAND:
                check_snapshot(name, sink, changes, common.where)
            self._check_alone(name, sink, snapshot=snapshots.automatic)
            self._add(
                HandlerMapping(
                    name,
                    changes.table,
                    "sink",
                    cast("Any", sink),
                    common.of_mapping(place, name, changes, sink),
                    entity=changes.entity,
                    sink=sink,
                    destination=common.destination,
                    transform=transform,
                    enrich=enrich,
                    is_mirror=is_mirror(sink),
                    snapshots=snapshots,
                )
            )
            return
        mapping = self.mapping_of("sink", cast("Any", source))
        if snapshots is not BY_HAND:
            raise SettingsError(
                f"sink: {mapping.id!r} is a handler, and what it returns for a change is no item of a table: "
                "snapshot=True is for the sink of a table or an entity, app.sink(Order, …)"
            )
        check_takes_sink(mapping.id, mapping.kind, sink, has_sink=mapping.sink is not None, once=mapping.once)
        if transform or enrich or common != CommonSettings():
            raise SettingsError(
                f"sink: {mapping.id!r} is a handler: what it returns goes to the sink as it is, and its own "
                "settings hold"
            )
        self.mappings[mapping.id] = replace(mapping, sink=sink)

    def archive(self, table: object, id: str | None, plan: ArchivePlan, retry: Retry | None) -> None:
        """Enter the archive of a table. Raises: SettingsError."""
        if not isinstance(table, Table):
            raise SettingsError(
                f"archive: {table!r} is no table: a journal has every change of one, app.archive(shop, …)"
            )
        name = id or archive_id(table)
        for other in self.mappings.values():
            if other.archive is not None and other.table is table:
                raise SettingsError(
                    f"archive: table {table.name!r} has an archive already ({other.id!r}): a journal has one "
                    "writer"
                )
        settings = archive_settings(name, table, retry)
        self._add(HandlerMapping(name, table, "archive", _kept, settings, archive=plan))

    def _check_alone(self, name: str, sink: Writes, *, snapshot: bool) -> None:
        """Require that no other mapping writes to a mirror that is swept: its rows would be taken for those
        of items that are gone. Raises: SettingsError.
        """
        for other in self.mappings.values():
            if other.sink is sink and is_mirror(sink) and (snapshot or other.snapshot):
                raise SettingsError(
                    f"sink: {name!r} and {other.id!r} write to one mirror, and one of them has "
                    "snapshot=True: its scan would delete the rows of the other, which it does not see; give "
                    "each a table of its own"
                )

    def projection(
        self, target: Target | None, common: CommonSettings, projection_of: Callable[..., Projection]
    ) -> Callable[[Handler], Handler]:
        """What enters a projection that `projection_of` makes of the function. Raises: SettingsError."""

        def register(function: Handler) -> Handler:
            name = common.name_of(function, "projection")
            declared = declared_by(name, function)
            if target is None and (not isinstance(declared.item, type) or declared.item in (dict, Any)):
                raise SettingsError(
                    f"{declared.place}: say of what: @app.projection(orders, …), or an entity as its second "
                    "parameter, order: Order"
                )
            changes = self.changes(declared.item if target is None else target)
            check_of_data("projection", changes)
            projection = projection_of(declared, changes, function, id=name)
            if projection.history:
                others = self.mappings.values()
                has_archive = any(one.archive is not None and one.table is changes.table for one in others)
                check_history(declared.place, changes.table, has_archive=has_archive)
            self._add(
                HandlerMapping(
                    projection.mapping_id,
                    changes.table,
                    "projection",
                    function,
                    common.of_mapping(declared.place, projection.mapping_id, changes),
                    entity=changes.entity,
                    destination=common.destination,
                    projection=projection,
                )
            )
            return function

        return register

    def window(
        self,
        target: Target,
        common: CommonSettings,
        plan_of: Callable[[str, Changes[Entity[Any]]], WindowPlan],
    ) -> Callable[[Handler], Handler]:
        """What enters a handler of the windows that `plan_of` makes. Raises: SettingsError."""
        changes = self.changes(target)
        check_of_data("window", changes)

        def register(handler: Handler) -> Handler:
            name = common.name_of(handler, "window")
            place = f"window {name!r}{place_of(handler)}"
            signature = signature_of(name, handler, "window")
            check_window(place, signature.given, changes)
            self._check_call(name, place, handler, signature, common)
            plan = plan_of(place, changes)
            self._add(
                HandlerMapping(
                    name,
                    changes.table,
                    "window",
                    handler,
                    common.of_mapping(place, name, changes),
                    common.timeout,
                    entity=changes.entity,
                    dependencies=signature.dependencies,
                    destination=common.destination,
                    window=plan,
                )
            )
            return handler

        return register

    def _check_call(
        self, name: str, place: str, handler: Callable[..., Any], signature: Signature, common: CommonSettings
    ) -> None:
        check_cycles(name, signature.dependencies)
        client, async_client = self._clients
        check_client(place, signature.dependencies, client if is_async(handler) else async_client)
        check_timeout(name, handler, common.timeout)

    def _add(self, mapping: HandlerMapping) -> None:
        if mapping.id in self.mappings:
            raise SettingsError(
                f"two handlers of app {self.app!r} have the id {mapping.id!r}: give one of them another "
                "with id="
            )
        if mapping.settings.ordered_by == "partition" and mapping.kind not in ("on", "batch"):
            raise SettingsError(
                f"{mapping.id!r}: ordered_by='partition' is for handlers, app.on and app.batch: a "
                f"{mapping.kind} keeps a row for each item"
            )
        sources = {stream.source.name: stream.source for stream in self.data_streams.values()}
        if not mapping.table.is_among({**self.tables, **sources}):
            raise SettingsError(
                f"handler {mapping.id!r}: table {mapping.table.name!r} belongs to another app"
            )
        if mapping.table.stream is None and mapping.table.over is None:
            raise SettingsError(
                f"handler {mapping.id!r}: table {mapping.table.name!r} has no stream (stream=None), so "
                "nothing would come"
            )
        self.mappings[mapping.id] = mapping

    def _count_unmatched(self, table: Table) -> HandlerMapping:
        if table.name in self._counting:
            return self._counting[table.name]
        name, unmatched = unmatched_id(table.name), Unmatched(table)
        settings = MappingSettings(name, accepts=Filter(Changes(table, unmatched=True)))
        counting = self._counting[table.name] = HandlerMapping(
            name, table, "on", unmatched.log, settings, only_counts=True
        )
        return counting
