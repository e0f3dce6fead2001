"""Aggregates as they are declared and used: `accounts = app.aggregate("account", bank, decide=…, evolve=…,
…)`.

Theory of operation: `decide(command, state)` says which events a command comes to, `evolve(state, event)`
what an event does to the state; both are plain functions. `handle` loads, decides and appends; what it asks
of DynamoDB are steps (aggregates/run), carried out by whatever the caller has: a handler's client, or the
DynamoDB that the app is attached to. Events, markers and snapshots are entities of the table, so handlers,
projections and sinks take events as they take anything.
Rules of this file: declaring and carrying out; layouts and decisions are of aggregates/core.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Generic, Protocol, TypeVar, overload

from msgspec import structs

from tailrace.aggregates.core.folding import Loaded
from tailrace.aggregates.core.layout import (
    COMMAND_SORT,
    EVENT_SORT,
    SNAPSHOT_SORT,
    Place,
    StoredEvent,
    event_item,
)
from tailrace.aggregates.run.handling import (
    ATTEMPTS,
    Asked,
    Decided,
    Steps,
    Terms,
    handle,
    load,
    whole_events,
)
from tailrace.app.aggregate_fixture import Given
from tailrace.app.aggregate_model import AggregateModel, Events
from tailrace.app.aggregate_samples import check_samples, write_sample
from tailrace.app.client import AsyncClient, Attached, Client, Door, answered, awaited
from tailrace.app.codec import Attribute
from tailrace.app.entity import Entity
from tailrace.app.item import declare
from tailrace.app.plain import to_item
from tailrace.app.table import Changes, Table
from tailrace.errors import ItemError, SettingsError
from tailrace.values.types import Item

S = TypeVar("S")
S_co = TypeVar("S_co", covariant=True)
"""Of what stands in a list beside others: their states need not be of one class."""
T = TypeVar("T")
Upcaster = Callable[[dict[str, Any]], dict[str, Any]]
Database = Client | Door | None
NO_META: Final[Mapping[str, Any]] = MappingProxyType({})
FEED_EVENTS: Final = ("INSERT",)


class Attaches(Protocol):
    """An app, as far as its aggregates ask it."""

    @property
    def attached(self) -> Attached:
        """Where they are handled."""


@dataclass(frozen=True)
class Recorded:
    """One event as it is kept: what handlers of an aggregate are given as `change.new`.

    Shape:   `id` and `version` name it, `event` is an instance of its class in today's schema, `type` and
             `schema` what it was written as, `through` the version of the last event of the same append;
             `command_id` and `meta` are what `handle` was told.
    Units:   recorded_ms since the epoch, by the clock of who appended it.
    """

    id: str
    version: int
    type: str
    event: Annotated[Any, Attribute("data")]
    schema: int
    through: int
    append: str
    recorded_ms: int
    previous_ms: int
    command_id: Annotated[str | None, Attribute("command")] = None
    meta: dict[str, Any] = field(default_factory=dict)
    v: int = 1


class EventEntity(Entity[Recorded]):
    """The events of one aggregate in its table."""

    aggregate: AggregateModel[Any]

    def decode(self, item: Item) -> Recorded:
        """An event. Raises: ItemError, naming it when it is unknown or was written by newer code."""
        recorded = super().decode(item)
        place = f"event {recorded.version} of {recorded.id!r}"
        event = self.aggregate.read_data(place, recorded.type, recorded.schema, item["data"]["M"])
        return replace(recorded, event=event)

    def encode(self, instance: Recorded) -> Item:
        """Refused: only `handle` appends. Raises: ItemError."""
        raise ItemError(
            f"{instance!r} is an event, and events are appended by {self.aggregate.name}.handle(…)"
        )


@dataclass(frozen=True)
class CommandMarker:
    """That a command was handled: its events are those from `first` to `last`."""

    id: str
    command_id: str
    first: int
    last: int
    append: str
    recorded_ms: int
    v: int = 1


@dataclass(frozen=True)
class StateSnapshot:
    """The state at a version, as code of that version folded it."""

    id: str
    version: int
    code: str
    state: dict[str, Any]
    recorded_ms: int
    v: int = 1


@dataclass(frozen=True, slots=True)
class Directed(Generic[S_co]):
    """A command for one aggregate, for `app.handle_together`. Made by `accounts.to("a1", Deposit(5))`."""

    aggregate: "Aggregate[S_co]"
    id: str
    command: Any
    expected: int | None = None


class Aggregate(Generic[S]):
    """A kind of aggregates in a table. Made by `app.aggregate`.

    Shape:   `events` is the entity of its events: `@app.on(accounts)` and `app.projection(accounts.events,
             …)` take them.
    """

    def __init__(self, app: Attaches, name: str, table: Table, model: AggregateModel[S]) -> None:
        self.name = name
        self.table = table
        self.model = model
        self._app = app
        _check_table(name, table)
        pk = f"{name.replace('{', '{{').replace('}', '}}')}#{{id}}"
        entity = EventEntity(type(f"{name} event", (Recorded,), {}), table, pk, EVENT_SORT)
        entity.aggregate = model
        entity.try_compile()
        self.events: Entity[Recorded] = entity
        self._marker = declare(type(f"{name} command", (CommandMarker,), {}), table, pk, COMMAND_SORT)
        declare(type(f"{name} snapshot", (StateSnapshot,), {}), table, pk, SNAPSHOT_SORT)
        if model.snapshot_every:
            model.check_snapshots()

    def __repr__(self) -> str:
        return f"<Aggregate {self.name} in {self.table}>"

    @property
    def appended(self) -> Changes[Entity[Any]]:
        """What handlers are declared on: its events, as they are appended."""
        return Changes(self.table, FEED_EVENTS, self.events)

    # ---- commands ------------------------------------------------------------------------------------------

    @overload
    def handle(
        self,
        id: str,
        command: Any,
        *,
        db: AsyncClient,
        command_id: str | None = None,
        expected: int | None = None,
        meta: Mapping[str, Any] = NO_META,
        attempts: int = ATTEMPTS,
    ) -> Awaitable[Decided[S]]: ...
    @overload
    def handle(
        self,
        id: str,
        command: Any,
        *,
        db: Database = None,
        command_id: str | None = None,
        expected: int | None = None,
        meta: Mapping[str, Any] = NO_META,
        attempts: int = ATTEMPTS,
    ) -> Decided[S]: ...
    def handle(
        self,
        id: str,
        command: Any,
        *,
        db: AsyncClient | Database = None,
        command_id: str | None = None,
        expected: int | None = None,
        meta: Mapping[str, Any] = NO_META,
        attempts: int = ATTEMPTS,
    ) -> Decided[S] | Awaitable[Decided[S]]:
        """Decide a command and append its events: `accounts.handle("a1", Deposit(5), command_id="c1")`.

        Shape:   `db` is a handler's client (an AsyncClient's answer is awaited); without it, the DynamoDB
                 that the app is attached to (`app.attach`, a test world). With `expected` the aggregate must
                 be at that version; 0: it has no event yet. `meta` is kept with each event.
        Guarantee: all events are appended, or none; with a `command_id` once, whatever is repeated: the same
                 id again answers what was decided the first time. Without one, a command whose answer was
                 lost may have been applied.
        Raises:  what `decide` raises; Conflict; MissingEvents; ApiError; Throttled, Unavailable.
        """
        steps = self._one([self.asked(id, command, expected)], self._app_terms(command_id, meta, attempts))
        return carried(self._app, steps, db)

    @overload
    def append(
        self, id: str, events: Sequence[Any], *, db: AsyncClient, expected: int | None = None
    ) -> Awaitable[Decided[S]]: ...
    @overload
    def append(
        self, id: str, events: Sequence[Any], *, db: Database = None, expected: int | None = None
    ) -> Decided[S]: ...
    def append(
        self,
        id: str,
        events: Sequence[Any],
        *,
        db: AsyncClient | Database = None,
        expected: int | None = None,
    ) -> Decided[S] | Awaitable[Decided[S]]:
        """Append events that are decided already, as by an import. Raises: as handle."""
        asked = structs.replace(self.asked(id, None, expected), decide=lambda _: tuple(events))
        steps = self._one([asked], self._app_terms(None, NO_META, ATTEMPTS))
        return carried(self._app, steps, db)

    def to(self, id: str, command: Any, *, expected: int | None = None) -> Directed[S]:
        """A command for `app.handle_together`."""
        return Directed(self, id, command, expected)

    @overload
    def load(self, id: str, *, db: AsyncClient) -> Awaitable[Loaded[S]]: ...
    @overload
    def load(self, id: str, *, db: Database = None) -> Loaded[S]: ...
    def load(self, id: str, *, db: AsyncClient | Database = None) -> Loaded[S] | Awaitable[Loaded[S]]:
        """The state as it is now and its version: `accounts.load("a1").state`. Raises: MissingEvents, as
        handle.
        """
        return carried(self._app, load(self.model, self.place(id)), db)

    @overload
    def read(self, id: str, *, db: AsyncClient) -> Awaitable[list[Recorded]]: ...
    @overload
    def read(self, id: str, *, db: Database = None) -> list[Recorded]: ...
    def read(
        self, id: str, *, db: AsyncClient | Database = None
    ) -> list[Recorded] | Awaitable[list[Recorded]]:
        """Every event of an aggregate, in order. Raises: MissingEvents, ItemError, as handle."""
        return carried(self._app, self._recorded(id), db)

    def _one(self, asked: Sequence[Asked], terms: Terms) -> Steps[Decided[S]]:
        (answer,) = yield from handle(asked, terms)
        return answer

    def _recorded(self, id: str) -> Steps[list[Recorded]]:
        stored = yield from whole_events(self.place(id))
        return [self.recorded(id, event) for event in stored]

    def recorded(self, id: str, stored: StoredEvent) -> Recorded:
        """An event as people read it. Raises: ItemError."""
        return self.events.decode(event_item(self.place(id), stored))

    def place(self, id: str) -> Place:
        """Where one of them is kept. Raises: ItemError for an id that cannot stand in a key."""
        if not isinstance(id, str):
            raise ItemError(f"{self.name}: {id!r} is no id; it is a text")
        _ = self.events.key_item({"id": id, "version": 1})
        return Place(self.table.name, self.table.pk, str(self.table.sk), self.name, id)

    def asked(self, id: str, command: Any, expected: int | None) -> Asked:
        """A command as the steps take it. Raises: SettingsError, ItemError."""
        if expected is not None and (type(expected) is not int or expected < 0):
            raise SettingsError(
                f"{self.name}: expected={expected!r} is not allowed; it is a version, 0 (no event yet) or "
                f"None (any)"
            )
        return Asked(self.model, self.place(id), partial(self.model.decide, command), expected)

    def _app_terms(self, command_id: str | None, meta: Mapping[str, Any], attempts: int) -> Terms:
        return terms_of(self._app, [self], command_id, meta, attempts)

    def check_command_id(self, command_id: str) -> None:
        """Require that it can stand in a key. Raises: ItemError."""
        _ = self._marker.key_item({"id": "any", "command_id": command_id})

    # ---- schemas -------------------------------------------------------------------------------------------

    def upcast(self, type: str, schema: int, *, into: str = "") -> Callable[[Upcaster], Upcaster]:
        """Make today's events of old ones: `@accounts.upcast("Deposited", 1)` on a function of a dict.

        Shape:   from that schema version of that type to the next one, or into another type's first. The
                 version in which an event is written is one more than its last upcaster's.
        Raises:  SettingsError.
        """

        def enter(upcaster: Upcaster) -> Upcaster:
            self.model.upcast(type, schema, upcaster, into)
            return upcaster

        return enter

    def write_sample(self, directory: str | Path, event: Any, name: str = "") -> Path:
        """Keep an event, as it is written today, beside the tests: in `<type>.<schema>[.name].json`.

        Raises:  SettingsError when there is another one under that name; ItemError.
        """
        return write_sample(self.model, Path(directory), event, name)

    def check_samples(self, directory: str | Path) -> list[Any]:
        """Require that every event that was ever written can be read: a sample of each schema version of each
        type stands in the directory. Returns: the events. Raises: AssertionError naming what is missing or
        cannot be read.
        """
        return check_samples(self.model, Path(directory))

    # ---- tests ---------------------------------------------------------------------------------------------

    def given(self, *events: Any) -> "Given[S]":
        """A test of decisions, without any table:
        `accounts.given(Opened()).when(Deposit(5)).then(Deposited(5))`.
        """
        return Given(self, events)


# ---- carrying out ------------------------------------------------------------------------------------------


def carried(app: Attaches, steps: Steps[T], db: AsyncClient | Database) -> T | Awaitable[T]:
    """Carry out steps: now, or, over an AsyncClient, when they are awaited."""
    if isinstance(db, AsyncClient):
        return awaited(steps, db.door)
    if db is None:
        return answered(steps, app.attached.door())
    return answered(steps, db.door if isinstance(db, Client) else db)


def terms_of(
    app: Attaches,
    aggregates: Sequence[Aggregate[Any]],
    command_id: str | None,
    meta: Mapping[str, Any],
    attempts: int = ATTEMPTS,
) -> Terms:
    """How commands are handled. Raises: SettingsError, ItemError."""
    if command_id is not None:
        for aggregate in aggregates:
            aggregate.check_command_id(command_id)
    if attempts < 1:
        raise SettingsError(f"attempts: {attempts} is not allowed; it is at least 1")
    if not isinstance(meta, Mapping):
        raise SettingsError(f"meta: {meta!r} is not allowed; it is a dict of what the caller notes")
    at = app.attached
    return Terms(at.now_ms, at.new_name, command_id, to_item(meta) if meta else {}, attempts)


def together(directed: Sequence[Directed[Any]], terms: Terms) -> Steps[list[Decided[Any]]]:
    """The steps of several commands in one transaction. Raises: SettingsError."""
    asked = [one.aggregate.asked(one.id, one.command, one.expected) for one in directed]
    places = [(one.place.table, one.place.name, one.place.id) for one in asked]
    if not asked:
        raise SettingsError(
            "handle_together: [] is not allowed; name commands: accounts.to('a1', Deposit(5))"
        )
    for place in places:
        if places.count(place) > 1:
            raise SettingsError(
                f"handle_together: {place[1]} {place[2]!r} is named twice; an aggregate decides one "
                f"command at a time"
            )
    return handle(asked, terms)


def _check_table(name: str, table: Table) -> None:
    if not isinstance(table, Table):
        raise SettingsError(f"aggregate {name!r}: {table!r} is no table: app.table('bank', pk='pk', sk='sk')")
    if table.sk is None or (table.pk_type, table.sk_type) != ("S", "S"):
        raise SettingsError(
            f"aggregate {name!r}: table {table.name!r} needs a partition key and a sort key, both texts: "
            f"app.table({table.name!r}, pk='pk', sk='sk')"
        )
    if not name or "#" in name:
        raise SettingsError(
            f"aggregate {name!r}: its name stands in keys before a '#': it is a text without one"
        )


def aggregate_of_class(
    app: Attaches, cls: type[Any], name: str, table: Table, events: Events, every: int
) -> Aggregate[Any]:
    """An aggregate of a class with the three functions. Raises: SettingsError."""
    instance = cls()
    lacking = [word for word in ("initial", "decide", "evolve") if not hasattr(instance, word)]
    if lacking:
        raise SettingsError(
            f"aggregate {name!r}: {cls.__name__} has no {lacking[0]}: it needs initial(self), "
            "decide(self, command, state) and evolve(self, state, event)"
        )
    model: AggregateModel[Any] = AggregateModel(
        name, instance.initial, instance.decide, instance.evolve, events, every
    )
    return Aggregate(app, name, table, model)
