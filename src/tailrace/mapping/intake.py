"""What a source without order delivers, on its way to the flow; and its settlement.

Theory of operation: what was read goes through the holding stage (holding.py). What waits there is unsettled
like everything that was read, and takes room; where room runs out for nothing but what waits, the first of it
waits no more. Filters come behind the stage: also a change that is refused is one that others follow. The
settlement of such a shard takes records in any order, and some that have no place in the shard: what waited
in a shard that it continues. Its checkpoints have the rows of chains, and what did not come in them.
Rules of this file: each record that comes in is settled here, or goes on exactly once. Called by shard.py,
for mappings whose source does not keep the order of an item's changes.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from tailrace.mapping.commands import GivenUp, SaveCheckpoint, Settled, SettledAs, Start
from tailrace.mapping.holding import ChainHole, HoldingStage, Judged
from tailrace.mapping.settings import MappingSettings
from tailrace.mapping.settlement import Settlement
from tailrace.streams.moment import Now
from tailrace.streams.record import ChangeRecord, ReadDone
from tailrace.streams.version import Version

Records = Sequence[ChangeRecord]


class ChainedSettlement(Settlement):
    """A settlement whose records come in another order than they were read, and go with their chains."""

    __slots__ = ("_holes", "_over", "_sent", "_sent_over", "_stage")

    def __init__(self, start: Start, stage: HoldingStage) -> None:
        super().__init__(start.checkpoint, start.passed)
        self._stage = stage
        self._holes: list[ChainHole] = []
        self._over: list[Settled] = []
        """What came to an end of shards that are over."""
        self._sent: SaveCheckpoint | None = None
        self._sent_over: list[Settled] = []

    @property
    def waiting(self) -> int:
        """Records of shards that are over among them."""
        return self.watermark.unsettled + self._stage.carried

    @property
    def is_complete(self) -> bool:
        """Whether everything that went to the flow is settled; what waits is carried over."""
        return self.watermark.is_complete and not self._stage.in_flow

    def take_over(self, records: Records) -> None:
        """Records of shards that are over are this one's now."""
        self.taken += len(records)
        self.open_bytes += sum([record.size_bytes for record in records])

    def settle(self, records: Records, outcome: SettledAs) -> None:
        """These records came to this end."""
        over = [record for record in records if self._stage.is_carried(record)]
        self._stage.settle(records)
        if over:
            self.settle_over(over, outcome)
            numbers = {record.sequence for record in over}
            records = [record for record in records if record.sequence not in numbers]
        super().settle(sorted(records, key=lambda record: record.sequence), outcome)

    def settle_over(self, records: Records, outcome: SettledAs) -> None:
        """These records of shards that are over came to this end."""
        self.totals[outcome] += len(records)
        self.unsaved += len(records)
        self.open_bytes -= sum([record.size_bytes for record in records])
        self._over += [Settled(record.sequence, record.sequence, 1, outcome) for record in records]
        if outcome == "handled":
            self._note_passed(records)

    def _note_passed(self, records: Records) -> None:
        for record in records:
            if record.key in self.watched:
                self.note_redriven(record.key, record.version)

    def lost_in_chains(self, holes: Sequence[ChainHole]) -> None:
        """Changes of these items did not come within the bound of disorder."""
        self._holes += holes

    def has_news(self, *, finished: bool) -> bool:
        """Whether a checkpoint would say something that the last saved one does not."""
        return bool(self._holes or self._over) or self._stage.has_news or super().has_news(finished=finished)

    def save(self, *, finished: bool) -> SaveCheckpoint:
        """The command for everything unsaved, with the rows of chains that have changed."""
        command = super().save(finished=finished)
        chains, holes, over = tuple(self._stage.save().items()), tuple(self._holes), self._over
        self._holes, self._over = [], []
        self._sent = replace(command, settled=(*command.settled, *over), chains=chains, holes=holes)
        self._sent_over = over
        return self._sent

    def saved(self) -> None:
        """The last command of save() is durable."""
        super().saved()
        if self._sent is not None:
            self._stage.saved(self._sent.checkpoint.watermark)
            self._sent = None

    def not_saved(self) -> None:
        """Nothing of the last command of save() is durable: the next one carries it again."""
        super().not_saved()
        if self._sent is not None:
            self._holes = [*self._sent.holes, *self._holes]
            self._over = [*self._sent_over, *self._over]
            self._stage.not_saved([key for key, _ in self._sent.chains])
            self._sent = None


class Intake:
    """What comes into the machine of one shard whose source keeps no order."""

    def __init__(self, settings: MappingSettings, start: Start) -> None:
        self._settings = settings
        self._stage = HoldingStage(
            settings.disorder_ms, most=settings.max_waiting, waits_always=settings.waits_always
        )
        self.settlement = ChainedSettlement(start, self._stage)
        self._since_ms: int | None = None
        """Since when the machine listens, monotonic; None: it does not."""

    def begin(self, start: Start) -> Records:
        """Take over what waited in shards that this one continues. Returns: what goes on at once."""
        self._stage.saved(start.checkpoint.watermark)
        self.settlement.take_over([record for _, row in start.chains for record in row.carried])
        return self._judged(self._stage.load(start.chains))

    def read(self, fresh: Records, done: ReadDone, now: Now) -> Records:
        """Take what was read and is not settled. Returns: what goes on."""
        elapsed_ms = 0 if self._since_ms is None else now.monotonic_ms - self._since_ms
        self._since_ms = None
        ready = self._judged(self._stage.hold(fresh, elapsed_ms))
        if done.closed:
            self.settlement.settle(self._stage.close().carried, "carried")
        return ready

    def listens(self, now: Now) -> None:
        """A read is asked for: what was there has come."""
        self._since_ms = now.monotonic_ms

    def hears_nothing(self) -> None:
        """The source has failed: the time says nothing of what was there."""
        self._since_ms = None

    def pass_time(self, now: Now, *, can_read: bool) -> Records:
        """Let go of what has waited for its bound, or of what waits where there is no room for more."""
        stage, since_ms = self._stage, self._since_ms
        if not stage.waiting:
            return ()
        if since_ms is not None:
            self._since_ms = now.monotonic_ms
            return self._judged(stage.listened(now.monotonic_ms - since_ms))
        is_all_there_is = self.settlement.watermark.unsettled <= stage.waiting and not stage.in_flow
        return () if can_read or not is_all_there_is else self._judged(stage.relieve())

    def wake_ms(self, now: Now) -> int | None:
        """When what waits has waited for its bound if nothing is heard until then. Units: monotonic."""
        due_ms = self._stage.due_in_ms
        return None if self._since_ms is None or due_ms is None else now.monotonic_ms + due_ms

    def _judged(self, judged: Judged) -> Records:
        """Settle what the stage is done with. Returns: what goes on."""
        settlement = self.settlement
        settlement.settle(judged.duplicates, "duplicate")
        settlement.settle(judged.unchanged, "filtered")
        settlement.settle_over(judged.repeated, "duplicate")
        settlement.lost_in_chains(judged.holes)
        if judged.late:
            self._give_up(judged.late)
        return judged.ready

    def _give_up(self, late: Records) -> None:
        """Later changes of the item were handed over: these are kept, and overtaken."""
        if self._settings.on_failure == "drop":
            self.settlement.settle(late, "dropped")
            return
        keyed = late if self._settings.ordered_by == "item" else self._settings.keyed(late)
        self.settlement.give_up([GivenUp(record, "ArrivedLate", 0, None, 0, 0) for record in keyed])
        for own, record in zip(late, keyed, strict=True):
            if last := self._stage.last_settled(own.key):
                self.settlement.note_redriven(record.key, Version(record.generation, last))
