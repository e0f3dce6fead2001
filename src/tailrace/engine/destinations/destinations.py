"""All destinations of an engine: settled by the clock, written to by writes, delivered by rounds.

Rules of this file: it joins the parts. A write adds to a destination's log and calls nobody; who commits
hears of the log as of any shard. Made by `engine.engine`.
"""

from collections.abc import Callable, Iterator

from msgspec import Struct

from tailrace.engine.catalog import TableState
from tailrace.engine.destinations import states
from tailrace.engine.destinations.catalog import DestinationCatalog, DestinationState
from tailrace.engine.destinations.documents import RECORDING, DestinationDocument, DestinationStatus
from tailrace.engine.destinations.replication import Replication
from tailrace.engine.destinations.targets import DestinationStreams
from tailrace.engine.destinations.trials import TrialWeather
from tailrace.engine.kinesis.kinesis import Kinesis
from tailrace.engine.reading import created_ms
from tailrace.engine.transact import Decided
from tailrace.streams.kinesis.destination import has_record
from tailrace.streams.record import decided_row


class DestinationStanding(Struct, frozen=True):
    """How a destination is getting on. Shape: `table` is what rows call it. Units: milliseconds; `throttled`
    since the start.
    """

    table: str
    stream_arn: str
    status: DestinationStatus
    oldest_ms: int
    throttled: int
    failed: int
    lost: int


class Destinations:
    """The destinations of every table.

    Shape:   `on_work` is called when there may be something to deliver, `next_ms` is when there may be
             without a call (monotonic), None for never.
    """

    def __init__(self, kinesis: Kinesis) -> None:
        parts = self._parts = kinesis.parts
        self.catalog = DestinationCatalog(parts.committer, parts.catalog)
        self.targets = DestinationStreams(kinesis)
        self.on_work: Callable[[], None] = _nobody
        self.replication = Replication(parts, self.catalog, self.targets, self.settle)
        if (faults := parts.settings.kinesis_faults) is not None:
            self.replication.weather = TrialWeather(faults)
        self._is_listening = False

    def load(self) -> None:
        """Read everything from the store, behind tables and streams. Raises: StoreError."""
        self.catalog.load()
        self.replication.forget_repeats()
        if self.catalog.by_log:
            self._listen()

    # ---- how they stand ------------------------------------------------------------------------------------

    @property
    def wall_ms(self) -> int:
        """The time. Units: milliseconds since the epoch."""
        return self._parts.clock.now().wall_ms

    def until_ms(self, delay_ms: int) -> int:
        """Until when a status that passes holds: with `aws_delays` so long, otherwise no longer."""
        return self.wall_ms + (delay_ms if self._parts.settings.aws_delays else 0)

    def log_number(self) -> int:
        """The number of a log that was never used."""
        return self._parts.catalog.take_shard_numbers(1)

    def of_table(self, table: TableState) -> list[DestinationState]:
        """Those of a table as they stand now, the oldest first."""
        present = self.catalog.of_table(table)
        for state in present:
            self.settle(state)
        return present

    def settle(self, state: DestinationState) -> DestinationDocument:
        """End a destination's waiting when its time has come. Returns: its document."""
        document = state.document
        if document.until_ms == 0 or self.wall_ms < document.until_ms:
            return document
        changed = states.settled(document, self.wall_ms, self.targets.wrong(document))
        self.catalog.save(changed)
        return changed

    def save(self, document: DestinationDocument) -> None:
        """Keep what a client has changed; what passes at once has passed."""
        self.settle(self.catalog.save(document))
        self._listen()

    def standing(self) -> list[DestinationStanding]:
        """How each is getting on, the oldest first. Raises: StoreError."""
        return [
            DestinationStanding(
                document.table,
                document.stream_arn,
                document.status,
                self._oldest_ms(state),
                state.throttled,
                document.failed,
                document.lost,
            )
            for state in self.catalog.by_log.values()
            for document in (self.settle(state),)
        ]

    def _oldest_ms(self, state: DestinationState) -> int:
        rows = self._parts.committer.read_readable_log(state.document.log, state.passage.through, 1)
        return max(0, self.wall_ms - created_ms(rows[0])) if rows else 0

    # ---- writes --------------------------------------------------------------------------------------------

    def record(self, table: TableState, decided: Decided, *, by_ttl: bool, ancestry: str) -> None:
        """Record a write to a table with a destination, while that takes changes."""
        log = table.destination
        mutation, _, old_data, new_data, old_size = decided
        if self.settle(self.catalog.by_log[log]).status not in RECORDING:
            return
        if not mutation.changed:  # a transaction wrote what was there already
            if not has_record(mutation.old, mutation.new, is_in_transaction=True):
                return
            new_data, old_size = old_data, mutation.size
        parts, wall_ms = self._parts, self.wall_ms
        row = decided_row(
            log,
            parts.catalog.take_sequence(wall_ms),
            parts.catalog.take_created_ms(wall_ms),
            mutation,
            old_data,
            new_data,
            old_size,
            by_ttl=by_ttl,
            ancestry=ancestry,
        )
        parts.committer.add_record(row)

    # ---- deliveries ----------------------------------------------------------------------------------------

    def _listen(self) -> None:
        """Hear of commits once there is anything to hear of: they are many."""
        if not self._is_listening:
            self._is_listening = True
            self._parts.committer.on_commit(self._advanced)

    def _advanced(self, shards: frozenset[int]) -> None:
        logs = self.catalog.by_log.keys() & shards
        for log in logs:
            self.catalog.by_log[log].has_work = True
        if logs:
            self.on_work()

    @property
    def next_ms(self) -> int | None:
        """When a round has something to do without a commit. Units: of the monotonic clock."""
        return self.replication.next_ms

    def slices(self) -> Iterator[None]:
        """Deliver what can be delivered, in slices; flush after each. A round that begins while another is
        under way takes its place. Raises: StoreError.
        """
        return self.replication.slices()

    @property
    def is_busy(self) -> bool:
        """Whether something is on its way into a stream that is there."""
        return self.replication.is_repeating or any(
            state.has_work and self.targets.open(state.document) is not None
            for state in self.catalog.by_log.values()
        )

    def newest_created_ms(self) -> int:
        """When the newest change that waits was written: times do not go back over a restart."""
        return self._parts.log.newest_ms(dict.fromkeys(self.catalog.by_log, 0))


def _nobody() -> None:
    """Until somebody waits for work."""
