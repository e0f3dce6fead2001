"""The sink of each mapping: the handler's form decides.

Rules of this file: it only puts parts together. Called by `compose_worker` for a worker, and again for each
redrive, whose marks are of their own run.
"""

from collections.abc import Callable, Iterator
from collections.abc import Mapping as Names
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any, cast

from msgspec import Struct, field, structs

from tailrace.app.app import App, HandlerMapping
from tailrace.app.sinking import Writes, transactional, whole
from tailrace.errors import InternalError
from tailrace.ports import Mirror, Sink, StateStore, Versioned
from tailrace.projections.run.builds import Builds
from tailrace.runtime.agreeing import Agreeing, SourcesOfMarks, VersionedRows
from tailrace.runtime.around import Around
from tailrace.runtime.attempting import CommittingSink, OpenedSink, OpenedTarget, Openings
from tailrace.runtime.attempts import Tally
from tailrace.runtime.causing import Causes
from tailrace.runtime.dependencies import Dependencies
from tailrace.runtime.driver import AskedTarget
from tailrace.runtime.effects import LIVE, Effects, Marking
from tailrace.runtime.parts import Parts
from tailrace.runtime.recursion import ancestor_name
from tailrace.sinks.destinations import destination_of
from tailrace.sinks.feed import FeedSink
from tailrace.sinks.function import BatchSink, HandlerSink, filter_of
from tailrace.sinks.lambda_function import LambdaSink, Runner
from tailrace.sinks.projected import ProjectionSink
from tailrace.sinks.projection_places import ProjectionPlaces
from tailrace.sinks.streamed import StreamedSink
from tailrace.sinks.time_ordered import ReadShards, TimeOrderedSink
from tailrace.sinks.windowed import WindowSink
from tailrace.snapshots.run.beginning import BegunMirror
from tailrace.snapshots.run.kept_tables import KeptTable
from tailrace.windows.run.changes import WindowChanges


class AppSinks(Struct, frozen=True):
    """What an app declares, with what this worker lays around it.

    Shape:   every sink is opened and closed through `openings`. By mapping: `destinations` of what is given
             up, `functions` by their names; both as they were when they were last read. `archiver_of` makes
             what writes a table's journal; one is made for each archive that is declared.
    """

    app: App
    account: str
    around: Around
    openings: Openings
    archiver_of: Callable[[HandlerMapping], Writes]
    destinations: dict[str, Any] = field(default_factory=dict)
    functions: dict[str, str] = field(default_factory=dict)
    archivers: dict[str, tuple[HandlerMapping, Writes]] = field(default_factory=dict)

    def read(self) -> None:
        """Take over what the app declares now."""
        self.destinations.clear()
        self.functions.clear()
        for mapping in self.app.mappings:
            if mapping.destination is not None:
                is_arn = isinstance(mapping.destination, str)
                destination = destination_of(mapping.destination) if is_arn else mapping.destination
                self.destinations[mapping.id] = self.around.destination(mapping.id, destination)
            if mapping.function_name:
                self.functions[mapping.id] = mapping.function_name

    def mapping(self, id: str) -> HandlerMapping:
        """As the app declares it now. Raises: ValueError when it does not."""
        (mapping,) = [mapping for mapping in self.app.mappings if mapping.id == id]
        return mapping

    def laid(self, mapping: HandlerMapping) -> HandlerMapping:
        """A mapping whose target and sink are those that are called."""
        return replace(mapping, target=self.around.target(mapping), sink=self.output(mapping))

    def output(self, mapping: HandlerMapping) -> Sink | None:
        """Where a mapping's values, or the changes themselves, go."""
        declared = self.declared(mapping)
        return None if declared is None else self._opened(mapping, declared)

    def declared(self, mapping: HandlerMapping) -> Writes | None:
        """What a mapping writes to, with nothing around it."""
        if mapping.archive is None:
            return mapping.sink
        before = self.archivers.get(mapping.id)
        if before is None or before[0].archive is not mapping.archive:
            before = self.archivers[mapping.id] = (mapping, self.archiver_of(mapping))
        return before[1]

    def target(self, mapping: HandlerMapping) -> AskedTarget | None:
        """Where a mapping's positions are; None: in the state."""
        declared = self.declared(mapping)
        if declared is None or not mapping.settings.is_transactional:
            return None
        return OpenedTarget(self._opened(mapping, declared), transactional(declared))

    def _opened(self, mapping: HandlerMapping, declared: Writes) -> OpenedSink:
        sink = declared
        if mapping.settings.is_transactional:
            sink = CommittingSink(whole(declared), transactional(declared))
        return self.openings.of(mapping.id, declared, self.around.output(mapping.id, sink))


class SinkMaker(Struct, frozen=True):
    """Everything that sinks share. Shape: the parts' state keeps marks, `state` all else; `runner_of` gives
    what runs a function; `changes` are those of windows.
    """

    app: App
    parts: Parts
    outputs: AppSinks
    needed: Dependencies
    runner_of: Callable[[HandlerMapping], Runner]
    builds: Builds
    changes: Names[str, WindowChanges]
    places: ProjectionPlaces
    state: StateStore
    read_shards: ReadShards = field(default_factory=ReadShards)
    """Of handlers in order of time over all shards."""

    def make(self, mapping: HandlerMapping, run_id: str = LIVE) -> Sink:
        """Its own, inside of what agrees on sources and guards it; of a replay unless the run is live."""
        made = self._made(mapping, run_id)
        declared = cast("object", mapping.sink)
        if run_id == LIVE and isinstance(declared, Mirror):
            opened = partial(self.asked, mapping)
            made = BegunMirror(made, declared, opened, self.state, self.app.name, mapping.id)
        for beside in self._beside(mapping):
            made = Agreeing(made, beside, self.state, self.app.name, mapping.table.name)
        return made

    def _sequenced(self, mapping: HandlerMapping, sink: Sink, tally: Tally) -> Sink:
        """A handler's sink behind what keeps the events of an aggregate in sequence, also when they are put
        back.
        """
        name, sort_key = mark_name(self.app, mapping), str(mapping.table.sk)
        return FeedSink(sink, self.parts.state, self.parts.clock, name, sort_key, tally)

    def streamed(self, mapping: HandlerMapping) -> StreamedSink:
        """What says what a mapping without a handler would write."""
        return StreamedSink(self.outputs.laid(mapping), self.parts.reached, Causes(mapping.id))

    def asked(self, mapping: HandlerMapping) -> AbstractAsyncContextManager[None]:
        """A mapping's sink open for a question, whether or not it is written to. Raises: SinkOutage."""
        output = self.outputs.output(mapping)
        return output.asked() if isinstance(output, OpenedSink) else nullcontext()

    def besides(self, table: str) -> list[VersionedRows]:
        """Every place with rows of a table's changes."""
        mappings = [mapping for mapping in self.app.mappings if mapping.table.name == table]
        return [beside for mapping in mappings for beside in self._beside(mapping)]

    def kept_tables(self) -> list[KeptTable]:
        """The mappings whose sinks are given whole tables, now or when a person wants it."""
        return [self._kept(mapping) for mapping in self.app.mappings if mapping.snapshot or mapping.is_mirror]

    def _kept(self, mapping: HandlerMapping) -> KeptTable:
        declared = cast("object", mapping.sink)
        return KeptTable(
            mapping.id,
            mapping.table.name,
            self.make(mapping),
            declared if isinstance(declared, Mirror) else None,
            partial(self.asked, mapping),
            mapping.snapshots,
            is_judging(mapping),
        )

    def _beside(self, mapping: HandlerMapping) -> Iterator[VersionedRows]:
        """Where rows of a mapping are with their versions, outside the state, which has the numbers."""
        if (
            mapping.projection is not None
            and (place := self.places.versioned(mapping.projection)) is not None
        ):
            yield VersionedRows(f"the place of projection {mapping.projection.id!r}", place, nullcontext)
        if mapping.once and self.parts.state is not self.state:
            marks = SourcesOfMarks(
                self.parts.state, self.app.name, mapping.table.name, mark_name(self.app, mapping)
            )
            name = f"the table with the marks of {mapping.id!r}"
            yield VersionedRows(name, marks, nullcontext, is_of_marks=True)
        output = self.outputs.output(mapping)
        if isinstance(output, OpenedSink):
            sink = output.sink.sink if isinstance(output.sink, CommittingSink) else output.sink
            if isinstance(sink, Versioned):
                yield VersionedRows(f"the {type(sink).__name__} sink of {mapping.id!r}", sink, output.asked)

    def _made(self, mapping: HandlerMapping, run_id: str) -> Sink:
        mapping = self.outputs.laid(mapping)
        reached, clock = self.parts.reached, self.parts.clock
        tally = self.parts.tallies.of(mapping.id) if run_id == LIVE else Tally()
        effects = Effects(
            self.parts.state,
            Marking(
                mark_name(self.app, mapping), run_id, mapping.once, mapping.settings.ordered_by == "partition"
            ),
            clock=clock,
            reached=reached,
            tally=tally,
            cause=ancestor_name(self.app.name, mapping.id),
            tables=self.app.tables,
        )
        match mapping.kind:
            case "on" if mapping.order_wait_ms is not None:
                parts = structs.replace(self.parts, state=self.state)
                return TimeOrderedSink(mapping, effects, self.needed, parts, self.read_shards, self.app.name)
            case "on":
                made = HandlerSink(mapping, effects, reached, self.needed)
                # A journal gives events in sequence, and what keeps them so knows those of the live feed.
                is_sequenced = mapping.is_feed and effects.replay_id is None
                return self._sequenced(mapping, made, tally) if is_sequenced else made
            case "batch":
                return BatchSink(mapping, effects, reached, self.needed)
            case "function":
                return LambdaSink(
                    mapping, self.runner_of(mapping), self.outputs.account, reached, effects.causes
                )
            case "sink":
                return StreamedSink(mapping, reached, effects.causes)
            case "projection":
                if mapping.projection is None:
                    raise InternalError(f"{mapping.id!r} is a projection without one")
                return ProjectionSink(mapping.projection, self.builds, clock, reached, tally)
            case "archive":
                if mapping.sink is None:
                    raise InternalError(f"{mapping.id!r} is an archive without an archiver")
                return whole(mapping.sink)
            case "window":
                return WindowSink(self.changes[mapping.id], reached)


def is_judging(mapping: HandlerMapping) -> bool:
    """Whether a mapping without a handler may leave an item out of its mirror."""
    judged = filter_of(mapping)
    return mapping.transform is not None or (judged is not None and judged.where is not None)


def mark_name(app: App, mapping: HandlerMapping) -> str:
    """Under which name a handler's marks are kept: ids are unique only inside an app."""
    return f"{app.name}.{mapping.id}"
