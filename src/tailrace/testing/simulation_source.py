"""The stream of a simulated world: what was written, what is trimmed, and reads that wait for records.

Rules of this file: a read is answered as soon as there is something, sometimes with less than there is, or
with records that were given already; an old iterator is refused once.
"""

from bisect import bisect_left, bisect_right
from typing import Final

from msgspec.structs import replace

from tailrace.runtime.steps import Peek, ReadShard
from tailrace.streams.record import ChangeRecord, ReadDone
from tailrace.streams.shards import Shard
from tailrace.testing.simulation_plan import WALL_MS, ShardPlan
from tailrace.testing.simulation_roles import Act, SimulationRun, Tenure
from tailrace.testing.simulation_rows import STREAM

ITERATOR_MS: Final = 20_000
"""How long an iterator lives: AWS's quarter of an hour, in the measure of these runs."""
REPEATED_RATE: Final = 0.01
"""How often a source repeats records that it has given already."""


class SimulatedSource:
    """All shards of one stream. Shape: by shard, `log` the records, `trimmed` the last that is gone."""

    def __init__(self, run: SimulationRun) -> None:
        self._run = run
        self.log: dict[str, list[ChangeRecord]] = {shard.shard_id: [] for shard in run.plan.shards}
        self.trimmed = dict.fromkeys(self.log, 0)
        self._shards = {shard.shard_id: shard for shard in run.plan.shards}

    def known(self, shard: ShardPlan) -> Shard:
        """A shard as a source tells of it."""
        return Shard(
            shard.shard_id,
            shard.begins,
            shard.parents,
            hash_range=(shard.first, shard.last),
            stream=STREAM.label,
            created_ms=WALL_MS,
            before=None if self._run.plan.has_earlier_stream else 0,
        )

    def write(self, shard: ShardPlan, record: ChangeRecord) -> None:
        """A change is committed."""
        self.log[shard.shard_id].append(record)
        self.wake(shard)

    def wake(self, shard: ShardPlan) -> None:
        """A reader that waits for this shard looks again."""
        for worker in self._run.workers:
            for tenure in worker.tenures_of(shard.shard_id):
                if tenure.reading is not None and worker.is_alive:
                    self.look(tenure.reading)

    def trim(self, shard_id: str, through: int) -> None:
        """Records up to a number are gone."""
        if through > self.trimmed[shard_id]:
            self.trimmed[shard_id] = through
            for mapped in self._run.mappings:
                mapped.observer.trimmed(shard_id, through)

    def is_closed(self, shard: ShardPlan) -> bool:
        """Whether no record will ever follow."""
        return self._run.time_ms >= shard.closed_ms

    def look(self, act: Act) -> None:
        """Answer a read, or let it wait for the next record."""
        run, tenure = self._run, act.tenure
        if tenure is None or tenure.reading is not act or not tenure.is_alive:
            return
        if run.port_fails("read-failure") or self._has_expired(tenure):
            run.performing.answer_read(act, None, fails=True)
            return
        done = self._page(tenure, act.call)
        if done is not None:
            tenure.iterator_ms = run.time_ms
            run.performing.answer_read(act, done)

    def peek(self, call: Peek) -> ReadDone | None:
        """What a look beside the machines finds; it does not wait, so of an empty shard it is nothing."""
        return self._after(self._shards[call.shard.shard_id], call.after, call.limit)

    def _after(self, shard: ShardPlan, after: int, limit: int) -> ReadDone | None:
        """At most so many records after a position, or what else there is to tell."""
        log, horizon = self.log[shard.shard_id], self.trimmed[shard.shard_id]
        first = bisect_right(log, max(after, horizon), key=_sequence)
        page = log[first : first + limit]
        closed = self.is_closed(shard) and first + len(page) == len(log)
        is_trimmed = after < horizon and bisect_right(log, after, key=_sequence) < first
        if not (page or closed or is_trimmed):
            return None
        return ReadDone(page, page[-1].sequence if page else max(after, horizon), closed, is_trimmed)

    def _page(self, tenure: Tenure, read: ReadShard) -> ReadDone | None:
        run, log = self._run, self.log[tenure.shard.shard_id]
        done = self._after(tenure.shard, read.after, min(read.limit, run.random.choice((1, 10, 1_000))))
        if done is None:
            return None
        run.counts["fault trim-overtakes"] += done.trimmed
        run.counts["fault close-in-flight"] += done.closed and bool(tenure.at_sink)
        if done.records and not done.trimmed and run.random.random() < REPEATED_RATE:
            first = bisect_left(log, done.records[0].sequence, key=_sequence)
            run.counts["fault repeated-records"] += first > 0
            return replace(done, records=[*log[max(0, first - 3) : first], *done.records])
        return done

    def _has_expired(self, tenure: Tenure) -> bool:
        """Whether an iterator is too old; the next read takes another one."""
        run = self._run
        if run.time_ms - tenure.iterator_ms <= ITERATOR_MS or run.time_ms >= run.plan.heal_ms:
            return False
        tenure.iterator_ms = run.time_ms
        run.counts["fault iterator-expiry"] += 1
        return True


def _sequence(record: ChangeRecord) -> int:
    return record.sequence
