"""What an app offers for event sourcing: `app.aggregate`, `app.handle_together`, `app.attach`.

Theory of operation: an app without aggregates loads nothing of them.
Rules of this file: signatures and loading; aggregate.py has the rest. Stands alone because app.py has no
room; `App` is one of these.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar, overload

from tailrace.app.client import Attached, unattached
from tailrace.app.table import Table
from tailrace.errors import SettingsError

if TYPE_CHECKING:
    from tailrace.aggregates.run.handling import Decided
    from tailrace.app.aggregate import Aggregate, Directed
    from tailrace.app.aggregate_model import Events
    from tailrace.app.client import AsyncClient, Client, Door

S = TypeVar("S")
NEEDED = "app.aggregate('account', bank, initial=…, decide=…, evolve=…, events=[…])"


class WithAggregates:
    """An app as far as aggregates ask it."""

    remote: tuple[Any, str] | None
    _attached: Attached | None = None

    @overload
    def aggregate(
        self,
        name: str,
        table: Table,
        *,
        initial: Callable[[], S],
        decide: Callable[[Any, S], Any],
        evolve: Callable[[S, Any], S],
        events: "Events",
        snapshot_every: int = 0,
    ) -> "Aggregate[S]": ...
    @overload
    def aggregate(
        self, name: Table, *, events: "Events", id: str | None = None, snapshot_every: int = 0
    ) -> "Callable[[type[Any]], Aggregate[Any]]": ...
    def aggregate(
        self,
        name: str | Table,
        table: Table | None = None,
        *,
        events: "Events",
        initial: Any = None,
        decide: Callable[[Any, Any], Any] | None = None,
        evolve: Callable[[Any, Any], Any] | None = None,
        id: str | None = None,
        snapshot_every: int = 0,
    ) -> "Aggregate[Any] | Callable[[type[Any]], Aggregate[Any]]":
        """Declare a kind of aggregates, event-sourced in a table: by three functions, or, as
        `@app.aggregate(bank, events=[…])`, by a class that has them.

        Shape:   `initial()` is the state before the first event, `decide(command, state)` the event or
                 events of a command (or nothing; it raises to refuse), `evolve(state, event)` the state
                 after an event; `events` are its classes, by their names or as {"name": class}. The table
                 has two keys, both texts; other items may be in it. Each `snapshot_every` events the state
                 is kept; another version of the code folds anew. `id` is the name of a class's aggregates,
                 else its own in small letters.
        Raises:  SettingsError.
        """
        from tailrace.app.aggregate import Aggregate, aggregate_of_class
        from tailrace.app.aggregate_model import AggregateModel

        if snapshot_every < 0:
            raise SettingsError(
                f"snapshot_every: {snapshot_every!r} is not allowed; it is a number of events, or 0"
            )
        if isinstance(name, Table):
            of = name

            def declared(cls: type[Any]) -> "Aggregate[Any]":
                return aggregate_of_class(self, cls, id or cls.__name__.lower(), of, events, snapshot_every)

            return declared
        if table is None or initial is None or decide is None or evolve is None:
            raise SettingsError(f"aggregate {name!r}: a part is missing: {NEEDED}")
        model: AggregateModel[Any] = AggregateModel(name, initial, decide, evolve, events, snapshot_every)
        return Aggregate(self, name, table, model)

    @overload
    def handle_together(
        self,
        commands: "Sequence[Directed[Any]]",
        *,
        db: "AsyncClient",
        command_id: str | None = None,
        meta: Mapping[str, Any] = ...,
    ) -> "Awaitable[list[Decided[Any]]]": ...
    @overload
    def handle_together(
        self,
        commands: "Sequence[Directed[Any]]",
        *,
        db: "Client | Door | None" = None,
        command_id: str | None = None,
        meta: Mapping[str, Any] = ...,
    ) -> "list[Decided[Any]]": ...
    def handle_together(
        self,
        commands: "Sequence[Directed[Any]]",
        *,
        db: "AsyncClient | Client | Door | None" = None,
        command_id: str | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> "list[Decided[Any]] | Awaitable[list[Decided[Any]]]":
        """Decide commands of several aggregates in one transaction:
        `app.handle_together([accounts.to("a1", Withdraw(5)), accounts.to("a2", Deposit(5))],
        command_id="t1")`.

        Shape:   each decides on its own state; an aggregate for which nothing is decided is only checked to
                 stand where it stood. Events, commands and checks are at most 100, and 4 MB.
        Guarantee: all are appended, or none; otherwise as `handle`.
        Raises:  as `handle`; Conflict names each aggregate that lost, and to which version.
        """
        from tailrace.app.aggregate import carried, terms_of, together

        terms = terms_of(self, [one.aggregate for one in commands], command_id, meta or {})
        return carried(self, together(commands, terms), db)

    # ---- where they are ------------------------------------------------------------------------------------

    def attach(self, client: Any) -> None:
        """Say in which DynamoDB aggregates are handled where no `db=` says another: in services and scripts.

        Shape:   a boto3 `dynamodb` client of AWS or any other endpoint, or `sinks.AwsAccess(…)`. Without it,
                 that of `transactions`.
        """
        door = import_module("tailrace.sinks.dynamodb_door").DynamoDbDoor(client)
        system = import_module("tailrace.clocks.system")
        self.bind_door(Attached(lambda: door, system.wall_ms, system.new_name))

    def bind_door(self, attached: Attached | None) -> Attached | None:
        """Say what carries requests out, and what time it is; called by a test world, and by a dry run.
        Returns: what was said before.
        """
        before, self._attached = self._attached, attached
        return before

    @property
    def attached(self) -> Attached:
        """Where aggregates are handled; without a DynamoDB its door raises SettingsError."""
        if self._attached is None and self.remote is not None:
            self.attach(self.remote[0])
        if self._attached is None:
            system = import_module("tailrace.clocks.system")
            return Attached(unattached, system.wall_ms, system.new_name)
        return self._attached
