"""Faults laid around a worker's parts: slow or repeating sinks, throttled stores, a death.

Rules of this file: what a fault does, no more: whether one strikes is asked of faults.py, and the machine is
told nothing that a real port could not tell it. Laid by `world` around every worker that it starts.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final

from msgspec.structs import replace

from tailrace.app.alerting import AlertSink
from tailrace.app.app import App, HandlerMapping, is_async
from tailrace.app.fence import Death
from tailrace.app.sinking import Writes, whole
from tailrace.archives import MemoryArchive
from tailrace.engine.destinations.replication import Weather
from tailrace.engine.engine import Engine
from tailrace.errors import PortError, SourceError, StoreError
from tailrace.ports import (
    Action,
    ArchiveStore,
    Clock,
    Failed,
    FailedFrom,
    Failure,
    FailureKind,
    Outcome,
    ReadDone,
    RecordBatch,
    Shard,
    Sink,
    Source,
    StateStore,
    StreamRef,
    Written,
)
from tailrace.rows.writes import StateRow
from tailrace.runtime.around import Around
from tailrace.sinks.making import mark_name
from tailrace.testing.faults import Faults
from tailrace.testing.journal import Journal, KeysOf
from tailrace.testing.keeping import KeepingAlertSink, KeepingDestination, KeepingSink, KeptWrites
from tailrace.testing.observing import NOTED, ObservingSink, WorldObserver, accepted_by, noted

INJECTED = "injected by world.faults"


class Crashed(Death):
    """The worker died here: nothing may catch it and go on."""


def is_outage(error: BaseException | None) -> bool:
    """Whether a worker ended because its ports failed, and for no other reason."""
    if isinstance(error, BaseExceptionGroup):
        return all(is_outage(cause) for cause in error.exceptions)
    return isinstance(error, PortError)


class KinesisWeather(Weather):
    """What a world lets happen to changes on their way into data streams: nothing without faults."""

    def __init__(self, faults: Faults, note: Callable[..., None]) -> None:
        self._faults = faults
        self._note = note

    def late_ms(self) -> int:
        """For how long a change is held back."""
        late_ms = self._faults.kinesis_ms("kinesis-late")
        if late_ms is not None:
            self._note("fault {}: a change comes into its data stream {} ms late", self._struck, late_ms)
        return late_ms or 0

    def again_ms(self) -> int | None:
        """After how long it comes once more."""
        again_ms = self._faults.kinesis_ms("kinesis-again")
        if again_ms is not None:
            self._note("fault {}: it comes into its data stream again after {} ms", self._struck, again_ms)
        return again_ms

    @property
    def _struck(self) -> str:
        return self._faults.struck[-1]


class Laid(Around):
    """What a world lays around the parts of a worker."""

    def __init__(
        self,
        app: App,
        engine: Engine,
        faults: Faults,
        journal: Journal,
        observer: WorldObserver,
        kept: KeptWrites | None = None,
        archives: dict[str, MemoryArchive] | None = None,
    ) -> None:
        self._app = app
        self._engine = engine
        self._faults = faults
        self._journal = journal
        self._observer = observer
        self._kept = kept
        self._archives = {} if archives is None else archives

    def archive(self, place: str, opened: Callable[[], ArchiveStore]) -> ArchiveStore:
        """One in the world's memory."""
        if self._kept is None:
            return opened()
        return self._archives.setdefault(place, MemoryArchive())

    def merges_journals(self) -> bool:
        """No: a world starts no process."""
        return False

    def output(self, handler: str, sink: Writes) -> Writes:
        """A sink that keeps what it would send."""
        return sink if self._kept is None else KeepingSink(whole(sink), handler, self._kept)

    def destination(self, handler: str, destination: Any) -> Any:
        """A destination that keeps what it would send."""
        return destination if self._kept is None else KeepingDestination(destination, handler, self._kept)

    def alert_sink(self, sink: AlertSink) -> AlertSink:
        """One that keeps what it would send."""
        return sink if self._kept is None else KeepingAlertSink(sink, self._kept)

    def remote(self, remote: tuple[Any, str] | None) -> tuple[Any, str] | None:
        """The world's engine stands for the other DynamoDB."""
        return remote if self._kept is None else None

    def target(self, mapping: HandlerMapping) -> Callable[..., Any]:
        """Notes of every call."""
        if mapping.kind not in NOTED:
            return mapping.target
        called = noted(mapping, self._observer.notes(mapping.id), self._journal)
        return self._slowed(mapping.id, called) if is_async(mapping.target) else called

    def _slowed(self, handler: str, called: Callable[..., Any]) -> Callable[..., Any]:
        """A coroutine function that may be slow inside its time-out."""

        @wraps(called)
        async def call(argument: Any, **needed: Any) -> Any:
            delay = delay_of(handler, self._faults, self._journal)
            await delay.before(self._engine.clock)
            answer = await called(argument, **needed)
            await delay.after(self._engine.clock)
            return answer

        return call

    def sink(self, mapping: HandlerMapping, sink: Sink) -> Sink:
        """Notes of what the sink says, and faults outside of them."""
        notes, name = self._observer.notes(mapping.id), mark_name(self._app, mapping)
        observed = ObservingSink(sink, mapping, notes, self._engine.state, name)
        is_slow = mapping.kind not in NOTED or not is_async(mapping.target)
        return FaultySink(
            observed,
            mapping.id,
            self._faults,
            self._journal,
            self._engine.clock,
            is_slow=is_slow,
            repeats_whole=mapping.settings.order != "key",
        )

    def source(self, source: Source) -> Source:
        """A stream that may be throttled."""
        return FaultySource(source, self._faults, self._journal)

    def state(self, state: StateStore) -> StateStore:
        """A state store that may be throttled."""
        return FaultyState(state, self._faults, self._journal)


@dataclass(frozen=True, slots=True)
class Delay:
    """How long something takes before its effect and after it. Units: milliseconds."""

    before_ms: int = 0
    after_ms: int = 0

    async def before(self, clock: Clock) -> None:
        """Wait until the effect."""
        if self.before_ms:
            await clock.sleep_until(clock.now().monotonic_ms + self.before_ms)

    async def after(self, clock: Clock) -> None:
        """Wait until the answer."""
        if self.after_ms:
            await clock.sleep_until(clock.now().monotonic_ms + self.after_ms)


NO_DELAY: Final = Delay()


def delay_of(handler: str, faults: Faults, journal: Journal) -> Delay:
    """How slow a handler is this time."""
    slow, before_ms, after_ms = faults.delay_ms()
    if slow is None:
        return NO_DELAY
    journal.note(
        "fault {}: {} takes {} ms before its effect and {} ms after it", slow, handler, before_ms, after_ms
    )
    return Delay(before_ms, after_ms)


class FaultySink:
    """A sink that is throttled, unavailable, slow, or given some changes twice."""

    def __init__(
        self,
        sink: Sink,
        handler: str,
        faults: Faults,
        journal: Journal,
        clock: Clock,
        *,
        is_slow: bool = True,
        repeats_whole: bool = False,
    ) -> None:
        self.sink = sink
        self._repeats_whole = repeats_whole
        self._is_slow = is_slow
        self._handler = handler
        self._faults = faults
        self._journal = journal
        self._clock = clock

    async def open(self, clock: Clock) -> None:
        """Open the sink behind it; nothing is injected."""
        await self.sink.open(clock)

    async def write(self, batch: RecordBatch) -> Outcome:
        """What the sink says, or what is injected."""
        self._journal.begin(self._handler, batch)
        refusal = self._refusal()
        if refusal is not None:
            return Failed(whole=refusal)
        delay = delay_of(self._handler, self._faults, self._journal) if self._is_slow else NO_DELAY
        await delay.before(self._clock)
        outcome = await self.sink.write(batch)
        await delay.after(self._clock)
        if places := self._repeated(outcome, batch):
            again = replace(batch, records=[batch.records[place] for place in places])
            outcome = merged(outcome, await self.sink.write(again), places, len(batch.records))
        return outcome

    def close(self) -> Awaitable[None]:
        """Close the sink behind it; nothing is injected."""
        return self.sink.close()

    def _repeated(self, outcome: Outcome, batch: RecordBatch) -> list[int]:
        """Which of the accepted changes come again: as after a crash, with all later ones of their items.

        A function gets a batch again as a whole, with the state of its window.
        """
        accepted = sorted(accepted_by(outcome, batch))
        struck = {place: name for place in accepted if (name := self._faults.duplicate()) is not None}
        for place, name in struck.items():
            change_key = KeysOf(replace(batch, records=[batch.records[place]]))
            self._journal.note(f"fault {name}: {self._handler} is given {{}} again", change_key)
        if not struck or self._repeats_whole:
            return accepted if struck and isinstance(outcome, Written) else []
        keys: set[bytes] = set()
        repeated: list[int] = []
        for place in accepted:
            key = batch.records[place].key
            if place in struck or key in keys:
                keys.add(key)
                repeated.append(place)
        return repeated

    def _refusal(self) -> Failure | None:
        left_ms = self._faults.outage_left_ms(self._handler, self._clock.now().monotonic_ms)
        if left_ms:
            self._journal.note(f"fault outage: {self._handler} is unavailable for {left_ms:,} ms more")
            return Failure(FailureKind.UNAVAILABLE, f"Unavailable: {INJECTED}")
        struck = self._faults.throttle("sink")
        if struck is None:
            return None
        self._journal.note(f"fault {struck}: {self._handler} is throttled")
        return Failure(FailureKind.THROTTLED, f"Throttled: {INJECTED}")


def merged(first: Outcome, second: Outcome, places: Sequence[int], count: int) -> Outcome:
    """What came of a batch of which some changes were delivered again."""
    if len(places) == count:
        return second
    failures = dict(first.failures) if isinstance(first, Failed) else {}
    match second:
        case Failed(_, whole) if whole is not None:
            failures.update(dict.fromkeys(places, whole))
        case Failed(by_index):
            failures.update({places[index]: failure for index, failure in by_index.items()})
        case FailedFrom(index, failure):
            failures.update(dict.fromkeys(places[index:], failure))
    return Failed(dict(sorted(failures.items()))) if failures else first


class FaultyState:
    """A state store that is throttled now and then: nothing of the call is done."""

    def __init__(self, state: StateStore, faults: Faults, journal: Journal) -> None:
        self._state = state
        self._faults = faults
        self._journal = journal

    def _throttle(self) -> None:
        struck = self._faults.throttle("state")
        if struck is not None:
            self._journal.note(f"fault {struck}: the state store is throttled")
            raise StoreError(f"the state store is throttled ({struck}, {INJECTED})")

    async def get(self, key: str) -> StateRow | None:
        """One row. Raises: StoreError when the call is throttled."""
        self._throttle()
        return await self._state.get(key)

    async def query(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[StateRow]:
        """Rows by prefix."""
        return await self._state.query(prefix, after=after, limit=limit)

    async def count(self, prefix: str) -> int:
        """How many rows there are."""
        return await self._state.count(prefix)

    async def transact(self, writes: Sequence[Action]) -> None:
        """All of it or nothing. Raises: StoreError when the call is throttled: then nothing."""
        self._throttle()
        await self._state.transact(writes)


class FaultySource:
    """A stream whose reads are throttled now and then."""

    def __init__(self, source: Source, faults: Faults, journal: Journal) -> None:
        self._source = source
        self._faults = faults
        self._journal = journal

    async def stream(self) -> StreamRef:
        """The present stream; only reads are throttled."""
        return await self._source.stream()

    async def earlier(self) -> list[StreamRef]:
        """Earlier streams."""
        return await self._source.earlier()

    async def shards(self, stream: StreamRef | None = None) -> list[Shard]:
        """As they are: no listing fails."""
        return await self._source.shards(stream)

    async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        """Records, unless the stream is throttled."""
        page = await self._source.read(shard, after, limit)
        struck = self._faults.throttle("stream")
        if struck is not None:
            self._journal.note(f"fault {struck}: the stream is throttled")
            raise SourceError(f"the stream is throttled ({struck}, {INJECTED})")
        return page
