"""What one process of a function keeps between its invocations: the handlers' sinks, what they depend on,
where state is kept, the numbers of streams.

Theory of operation: Lambda calls a process again and again, so what is opened is opened at the first batch
and stays. A process that is thrown away closes nothing, as a worker that is killed. Between two batches
nothing is believed but the numbers of streams, which never change, and which changes were handled here, by
the ids of their events: where Lambda sends a batch again for one that failed, the others are not handled
again by the same process.
Rules of this file: it makes and holds; what happens to a batch is delivering.py's. Called by handler.py, and
by tests with a store and a clock of their own.
"""

from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, Final, assert_never, cast

from msgspec import structs

from tailrace.app.app import App
from tailrace.app.client import AsyncClient, Client
from tailrace.app.code_version import code_version
from tailrace.app.mapping import HandlerMapping
from tailrace.app.typed import entity_among
from tailrace.entry.events import EventSource, Incoming
from tailrace.entry.fitness import STATE, chosen
from tailrace.errors import ApiError, SettingsError
from tailrace.ports import Action, Clock, Sink, StateStore, Versioned
from tailrace.runtime.agreeing import Agreeing, SourcesOfMarks, VersionedRows
from tailrace.runtime.attempting import OpenedSink, Openings, TimedSink
from tailrace.runtime.dependencies import Dependencies
from tailrace.runtime.effects import LIVE, Effects, Marking
from tailrace.runtime.parts import Parts
from tailrace.runtime.reading import NumberedSource
from tailrace.runtime.recursion import ancestor_name
from tailrace.runtime.threads import Threads, threads_for
from tailrace.sinks.function import BatchSink, HandlerSink
from tailrace.sinks.streamed import StreamedSink
from tailrace.stores.memory import MemoryStateStore
from tailrace.stores.rowless import Rowless
from tailrace.streams.version import FIRST_GENERATION

MOST_HANDLED: Final = 20_000
"""Changes that a process remembers to have handled: two batches of the largest size."""


class NoStateTable(Rowless):
    """Stands where marks would be kept: it has none, and takes none."""

    async def transact(self, writes: Sequence[Action]) -> None:
        """Raises: ApiError, as an endpoint does that refuses: the change fails."""
        raise ApiError(
            "NoStateTable",
            f"its mark has no place: set {STATE}=dynamodb:TABLE, or app.transactions(client, table)",
        )


class Sandbox:
    """One app in one process. Shape: `state` is None where there is no state table; `environment` names the
    handlers (`TAILRACE_HANDLERS`).

    Raises:  SettingsError for handlers that Lambda cannot run.
    """

    def __init__(
        self,
        app: App,
        state: StateStore | None,
        clock: Clock,
        owner: str,
        environment: Mapping[str, str],
        *,
        access: Any = None,
    ) -> None:
        self.app = app
        self.owner = owner
        self.keeps = state is not None
        self.mappings = chosen(app, environment, keeps=self.keeps)
        self.parts = Parts(state or MemoryStateStore(), clock)
        self._effects = _effects_state(app, state)
        self._numbers = self._effects if state is None and app.remote is not None else self.parts.state
        """Where the numbers of streams are: in the state, or beside the marks that are compared by them."""
        self._has_numbers = self.keeps or app.remote is not None
        self._openings = Openings(clock)
        self._needed = _needed(app, access)
        self._codes = {mapping.id: code_version(mapping) for mapping in self.mappings}
        self.sinks = {mapping.id: self._timed(mapping) for mapping in self.mappings}
        self._generations: dict[str, int] = {}
        self._handled: dict[tuple[str, str], None] = {}

    @property
    def marks(self) -> StateStore | None:
        """Where marks are, in the state or in a table of their own; None: there is no state, whose heads and
        dead letters say which are needed.
        """
        return self._effects if self.keeps else None

    def code(self, mapping_id: str) -> str:
        """The version of a handler's code."""
        return self._codes.get(mapping_id, "")

    def mapping(self, mapping_id: str) -> HandlerMapping:
        """The handler with this id. Raises: SettingsError."""
        for mapping in self.mappings:
            if mapping.id == mapping_id:
                return mapping
        raise SettingsError(f"{mapping_id!r} does not run in this function")

    # ---- streams -------------------------------------------------------------------------------------------

    async def numbered(self, incoming: Incoming) -> Incoming:
        """A batch whose records know the generation of their stream. Raises: SourceError, StoreError."""
        if not self._has_numbers:
            return incoming
        arn = incoming.stream.arn
        if arn not in self._generations:
            source = NumberedSource(
                EventSource(incoming), self._numbers, self.app, incoming.table.name, self._besides
            )
            self._generations[arn] = (await source.stream()).generation
        generation = self._generations[arn]
        if generation == FIRST_GENERATION:
            return incoming
        records = [structs.replace(record, generation=generation) for record in incoming.records]
        stream = structs.replace(incoming.stream, generation=generation)
        return structs.replace(incoming, stream=stream, records=records)

    def _besides(self, table: str) -> list[VersionedRows]:
        mine = [mapping for mapping in self.mappings if mapping.table.name == table]
        return [beside for mapping in mine for beside in self._beside(mapping)]

    # ---- what was handled ----------------------------------------------------------------------------------

    def has_handled(self, mapping_id: str, event_id: str) -> bool:
        """Whether this process knows that a handler has handled a change."""
        return (mapping_id, event_id) in self._handled

    def note_handled(self, mapping_id: str, event_ids: Iterable[str]) -> None:
        """A handler has handled these. The oldest are forgotten beyond the bound: they are handled again."""
        for event_id in event_ids:
            if event_id:
                self._handled.pop((mapping_id, event_id), None)
                self._handled[(mapping_id, event_id)] = None
        while len(self._handled) > MOST_HANDLED:
            del self._handled[next(iter(self._handled))]

    # ---- sinks ---------------------------------------------------------------------------------------------

    def make(self, mapping: HandlerMapping, run_id: str = LIVE) -> Sink:
        """The sink of a handler, whose marks are those of a run."""
        output = self._output(mapping)
        made = self._made(replace(mapping, sink=output), run_id)
        for beside in self._beside(mapping):
            made = Agreeing(made, beside, self._numbers, self.app.name, mapping.table.name)
        return made

    def _timed(self, mapping: HandlerMapping) -> TimedSink:
        threads = Threads(mapping.id, threads_for(mapping.settings.concurrency))
        return TimedSink(self.make(mapping), self.parts.clock, self.parts.tallies.of(mapping.id), threads)

    def _output(self, mapping: HandlerMapping) -> Sink | None:
        if mapping.sink is None:
            return None
        return self._openings.of(mapping.id, mapping.sink, mapping.sink)

    def _made(self, mapping: HandlerMapping, run_id: str) -> Sink:
        name = ancestor_name(self.app.name, mapping.id)
        effects = Effects(
            self._effects,
            Marking(name, run_id, mapping.once),
            clock=self.parts.clock,
            tally=self.parts.tallies.of(mapping.id),
            cause=name,
            tables=self.app.tables,
        )
        match mapping.kind:
            case "on":
                return HandlerSink(mapping, effects, needed=self._needed)
            case "batch":
                return BatchSink(mapping, effects, needed=self._needed)
            case "sink":
                return StreamedSink(mapping, causes=effects.causes)
            case "function" | "projection" | "window" | "archive":
                raise SettingsError(f"{mapping.id!r} cannot run on Lambda")  # `chosen` has said why
            case _:
                assert_never(mapping.kind)

    def _beside(self, mapping: HandlerMapping) -> list[VersionedRows]:
        """Where rows of a handler are with their versions; nothing of what is in the state itself."""
        places: list[VersionedRows] = []
        if mapping.once and self._numbers is not self._effects and self.app.remote is not None:
            marks = SourcesOfMarks(
                self._effects, self.app.name, mapping.table.name, ancestor_name(self.app.name, mapping.id)
            )
            name = f"the table with the marks of {mapping.id!r}"
            places.append(VersionedRows(name, marks, nullcontext, is_of_marks=True))
        output = self._output(mapping)
        if isinstance(output, OpenedSink) and isinstance(output.sink, Versioned):
            name = f"the {type(output.sink).__name__} sink of {mapping.id!r}"
            places.append(VersionedRows(name, output.sink, output.asked))
        return places


def _effects_state(app: App, state: StateStore | None) -> StateStore:
    """Where marks and effects are kept: beside the items that are written."""
    if app.remote is not None:
        from tailrace.stores.dynamodb import DynamoDbStateStore

        return DynamoDbStateStore(*app.remote)
    return NoStateTable() if state is None else state


def _needed(app: App, access: Any) -> Dependencies:
    """What handlers depend on, the clients of `app.client` among it."""
    entity_of = entity_among(app.tables)

    async def client() -> Client:
        return Client(_door(app, access), entity_of)

    async def async_client() -> AsyncClient:
        return AsyncClient(_door(app, access), entity_of)

    providers: dict[Callable[..., Any], Callable[..., Any]] = {
        app.client: client, app.async_client: async_client,
    }  # fmt: skip
    return Dependencies(ChainMap(cast("dict[Any, Any]", app.overrides), providers))


def _door(app: App, access: Any) -> Any:
    from tailrace.sinks.dynamodb_door import DynamoDbDoor

    return DynamoDbDoor(access if app.remote is None else app.remote[0])


def state_named(target: str, access: Any) -> StateStore:
    """The state store of a target, which on Lambda is a table. Raises: SettingsError."""
    from tailrace.stores.dynamodb import DynamoDbStateStore  # where there is none, it is not loaded
    from tailrace.stores.dynamodb_layout import named_table

    table = named_table(target)
    if table is None:
        raise SettingsError(f"{STATE}: {target!r} is not allowed; on Lambda it is dynamodb:TABLE")
    return DynamoDbStateStore(access, table)
