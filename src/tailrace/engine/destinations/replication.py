"""The way from a destination's log into its data stream: rounds over what waits there, in slices.

Theory of operation: a record is put and its row is trimmed in one group, so that what is durable is delivered
once, unless some of it went ahead of what waited when the process ended. What a shard is too busy for waits,
with what follows of its item, and the rest goes on. While a stream is away everything waits, a day at most;
what then is too old, and what no stream can take, is counted, told and passed.
Rules of this file: a generator whose caller flushes after each slice; one round at a time, the last one that
began. It reads durable rows only and is called by nobody who writes. Called by `destinations`.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, Protocol

from msgspec.structs import replace

from tailrace.engine.destinations.catalog import DestinationCatalog, DestinationState
from tailrace.engine.destinations.documents import DestinationDocument
from tailrace.engine.destinations.states import DEFAULT
from tailrace.engine.destinations.targets import DestinationStreams
from tailrace.engine.kinesis.catalog import DataParts, DataStreamState
from tailrace.engine.rounds import in_turn
from tailrace.errors import DamagedData
from tailrace.ports import Trim
from tailrace.streams.kinesis.destination import encode, partition_key
from tailrace.streams.record import ChangeRecord, read_log_rows

RETRY_MS: Final = 200
"""How long it is until a shard that was too busy is asked again."""
AWAY_MS: Final = 1_000
"""How long it is until a stream that was away is looked for again."""
KEPT_MS: Final = 86_400_000
"""For so long changes wait. Source: AWS Developer Guide, "Using Kinesis Data Streams to capture changes"."""
SLICE_BYTES: Final = 1 << 20
_log: Final = logging.getLogger("tailrace.destinations")


class Weather(Protocol):
    """What may happen to deliveries, as it does on AWS; asked once a record."""

    def late_ms(self) -> int:
        """For how long a record, and what follows of its item, is held back; 0: not at all."""

    def again_ms(self) -> int | None:
        """After how long a record that was delivered comes once more; None: it does not."""


class _Repeat(NamedTuple):
    """A record that is to come once more."""

    due_ms: int
    log: int
    key: str
    data: bytes


class Replication:
    """Delivers every destination's log.

    Shape:   `next_ms` as `Destinations.next_ms`.
    """

    def __init__(
        self,
        parts: DataParts,
        catalog: DestinationCatalog,
        targets: DestinationStreams,
        settle: Callable[[DestinationState], DestinationDocument],
    ) -> None:
        self._parts = parts
        self._catalog = catalog
        self._targets = targets
        self._settle = settle
        self.weather: Weather | None = None
        self.next_ms: int | None = None
        self._rounds = 0
        self._late_until: dict[tuple[int, int], int] = {}
        self._repeats: list[_Repeat] = []

    def slices(self) -> Iterator[None]:
        """One round over all destinations; an earlier one ends where it stands. Raises: StoreError, after the
        others had their turn.
        """
        self._rounds += 1
        number, self.next_ms = self._rounds, None
        states = tuple(self._catalog.by_log.values())
        yield from in_turn(self._of(state, number) for state in states)
        if self._repeats and number == self._rounds:
            self._again()
            yield

    def forget_repeats(self) -> None:
        """Repeat nothing: what was to come once more may not have come."""
        self._repeats.clear()

    @property
    def is_repeating(self) -> bool:
        """Whether something is to come once more."""
        return bool(self._repeats)

    # ---- one destination -----------------------------------------------------------------------------------

    def _of(self, state: DestinationState, number: int) -> Iterator[None]:
        if not self._goes_on(state, number):
            return
        document = self._settle(state)
        if document.until_ms:
            self._look_in(document.until_ms - self._wall_ms)
        if not state.has_work:
            self._forget(state)
            return
        if self._is_behind_another(document):
            self._look_in(RETRY_MS)
            return
        stream = self._targets.open(document)
        if stream is None:
            yield from self._expire(state, number)
        else:
            yield from self._round(state, stream, number)
        if self._goes_on(state, number):
            self._forget(state)

    def _goes_on(self, state: DestinationState, number: int) -> bool:
        """Whether, while others had their turn, no other round began, and the destination was not read anew
        after a commit that failed.
        """
        return number == self._rounds and self._catalog.by_log.get(state.document.log) is state

    def _is_behind_another(self, document: DestinationDocument) -> bool:
        """Whether changes of an earlier table of this name wait for the same stream."""
        return any(
            state.has_work
            and (state.document.table, state.document.stream_arn) == (document.table, document.stream_arn)
            for number, state in self._catalog.by_log.items()
            if number < document.log
        )

    def _forget(self, state: DestinationState) -> None:
        """A table that is gone takes its destination along, once what was written before is delivered."""
        committer = self._parts.committer
        if self._catalog.table_of(state.document) is None and not state.has_work:
            if committer.is_pending(state.document.log):
                state.has_work = True  # the commit that is under way wakes the next round
            else:
                self._catalog.remove(state)

    def _round(self, state: DestinationState, stream: DataStreamState | None, number: int) -> Iterator[None]:
        passage, counted = state.passage, Counter[str]()
        passage.begin()
        after = passage.through
        while stream is not None:
            records, is_end = self._page(state, after)
            state.has_work = not is_end
            for record in records:
                after = record.sequence
                if passage.is_open(after, record.key):
                    counted[self._deliver(state, stream, record)] += 1
                if passage.is_full:
                    break
            self._passed(state)
            self._tell(state, counted)
            if is_end or passage.is_full:
                break
            yield
            if not self._goes_on(state, number):
                return
            stream = self._targets.open(state.document)
        if stream is None or not passage.is_whole:
            state.has_work = True
        if stream is None:
            self._look_in(AWAY_MS)
        yield

    def _deliver(self, state: DestinationState, stream: DataStreamState, record: ChangeRecord) -> str:
        """Put one record, or have it wait. Returns: what became of it."""
        document, passage = state.document, state.passage
        if self.weather is not None and self._is_late(document.log, record.sequence):
            passage.wait(record.key)
            return "late"
        precision = document.precision or DEFAULT
        table = document.table.rpartition("/")[2]
        data = encode(record, table, self._targets.region_of(document), precision)
        key = partition_key(record.key)
        outcome: str = self._targets.put(stream, key, data)
        if outcome == "throttled":
            if record.created_ms >= self._wall_ms - KEPT_MS:
                passage.wait(record.key)
                return outcome
            outcome = "lost"
            self._count_lost(state, record)
        elif outcome == "too large":
            self._count_failed(state, record, f"{len(data) + len(key):,} bytes")
        elif self.weather is not None and (again_ms := self.weather.again_ms()) is not None:
            self._repeats.append(_Repeat(self._now_ms + again_ms, document.log, key, data))
        passage.done(record.sequence)
        return outcome

    def _expire(self, state: DestinationState, number: int) -> Iterator[None]:
        """The stream is away: what has waited a day is given up, the rest waits on."""
        passage, counted, is_end = state.passage, Counter[str](), False
        passage.begin()
        while not is_end and self._goes_on(state, number):
            records, is_end = self._page(state, passage.through)
            state.has_work = not is_end
            for record in records:
                if record.created_ms >= self._wall_ms - KEPT_MS:
                    state.has_work = is_end = True
                    break
                if passage.is_open(record.sequence, record.key):
                    self._count_lost(state, record)
                    counted["lost"] += 1
                    passage.done(record.sequence)
            self._passed(state)
            self._tell(state, counted)
            yield
        if state.has_work:
            self._look_in(AWAY_MS)

    # ---- the log -------------------------------------------------------------------------------------------

    def _page(self, state: DestinationState, after: int) -> tuple[list[ChangeRecord], bool]:
        """Durable records after a number, and whether the log ends with them. A damaged one is passed,
        counted and told. Raises: StoreError.
        """
        parts, number = self._parts, state.document.log
        while True:
            try:
                rows, is_end = parts.log.rows(number, after, parts.settings.slice_rows, SLICE_BYTES)
                return read_log_rows(rows), is_end
            except DamagedData as error:
                if not error.sequence:
                    raise
                after = error.sequence
                if state.passage.is_open(after, b""):
                    document = state.document
                    self._save(state, failed=document.failed + 1, last_failure=str(error))
                    _log.error("table %s: not copied to %s: %s", document.table, document.stream_arn, error)
                    state.passage.done(after)

    def _passed(self, state: DestinationState) -> None:
        """Trim what is done, in the group of what was put."""
        through = state.passage.through
        if through > self._parts.catalog.trimmed.get(state.document.log, 0):
            self._parts.committer.add_trim(Trim(state.document.log, through))
            self._catalog.save_passed(state)
            for place in [place for place in self._late_until if place[0] == state.document.log]:
                if place[1] <= through:
                    del self._late_until[place]

    # ---- what is counted and told --------------------------------------------------------------------------

    def _count_failed(self, state: DestinationState, record: ChangeRecord, size: str) -> None:
        words = f"change {record.sequence_number.wire} with {size} is larger than a record of the stream"
        self._save(state, failed=state.document.failed + 1, last_failure=words)

    def _count_lost(self, state: DestinationState, record: ChangeRecord) -> None:
        words = f"change {record.sequence_number.wire} of {record.created_ms} waited for more than 24 h"
        self._save(state, lost=state.document.lost + 1, last_loss=words)

    def _save(self, state: DestinationState, **changes: object) -> None:
        self._catalog.save(replace(state.document, **changes))

    def _tell(self, state: DestinationState, counted: Counter[str]) -> None:
        """What became of the records of a slice: another round may take its place after it."""
        document = state.document
        if counted["throttled"]:
            state.throttled += counted["throttled"]
            self._look_in(RETRY_MS)
        for outcome, words in (("too large", document.last_failure), ("lost", document.last_loss)):
            if counted[outcome]:
                _log.error(
                    "table %s: changes not copied to %s: %d, the last one because %s",
                    document.table, document.stream_arn, counted[outcome], words,
                )  # fmt: skip
        counted.clear()

    # ---- time ----------------------------------------------------------------------------------------------

    @property
    def _wall_ms(self) -> int:
        return self._parts.clock.now().wall_ms

    @property
    def _now_ms(self) -> int:
        return self._parts.clock.now().monotonic_ms

    def _look_in(self, delay_ms: int) -> None:
        """Look again after so long at the latest."""
        due_ms = self._now_ms + max(1, delay_ms)
        self.next_ms = due_ms if self.next_ms is None else min(self.next_ms, due_ms)

    def _is_late(self, log: int, sequence: int) -> bool:
        """Whether a record is held back by the weather; it is asked once."""
        assert self.weather is not None
        until_ms = self._late_until.get((log, sequence))
        if until_ms is None:
            until_ms = self._late_until[log, sequence] = self._now_ms + self.weather.late_ms()
        if self._now_ms >= until_ms:
            return False
        self._look_in(until_ms - self._now_ms)
        return True

    def _again(self) -> None:
        """Put once more what the weather repeats."""
        now_ms, waiting = self._now_ms, []
        for repeat in self._repeats:
            state = self._catalog.by_log.get(repeat.log)
            stream = None if state is None else self._targets.open(state.document)
            if stream is None:
                continue
            if repeat.due_ms > now_ms:
                waiting.append(repeat)
                self._look_in(repeat.due_ms - now_ms)
            else:
                self._targets.put(stream, repeat.key, repeat.data)
        self._repeats = waiting
