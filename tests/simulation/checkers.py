"""What must hold in every simulated run, judged from what could be observed outside the machine.

Rules of this file: fed only with what reached the sink and what became durable, never with the machine's own
state; each checker is named, so that its canary can ask whether *it* noticed. Called by tests/simulation.
"""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Sequence

from tailrace.deadletters.core.entry import deadletter_key, parked_key
from tailrace.deadletters.core.gap import Gap
from tailrace.deadletters.core.head import head_key, read_head
from tailrace.leases.lease import LEASE_DURATION_MS
from tailrace.mapping.commands import Checkpoint, GivenUp, Invoke, ParkKey, SaveCheckpoint
from tailrace.mapping.outcomes import FailureKind, Outcome, Written
from tailrace.mapping.settings import INFINITE
from tailrace.streams.moment import Now
from tailrace.streams.record import ChangeRecord
from tailrace.streams.version import Version
from tailrace.testing.simulation import Run
from tailrace.testing.simulation_plan import MappingPlan, SimulationPlan
from tailrace.testing.simulation_roles import Tenure
from tailrace.testing.simulation_rows import APP
from tailrace.testing.simulation_windows import records_of
from tailrace.testing.simulation_workers import SimulatedWorker
from tests.simulation.accounts import all_gaps, wrong_in_gaps, wrong_in_ledger
from tests.simulation.seen import Seen, counted_twice, covered, covers, failures_of, wrong_in_window

CHECKERS = (
    "nothing is lost",
    "the order of a key is kept",
    "a checkpoint covers only what is settled",
    "a checkpoint never goes back",
    "one batch at a time for a lane or key",
    "attempts stay within the limit",
    "what is given up is a dead letter by the policy",
    "one worker saves under one epoch",
    "the ledger balances",
    "what a checkpoint covers is not delivered again",
    "progress once the faults stop",
    "a parked key waits for the redriver",
    "what is put back comes in its order",
    "parking is bounded",
    "what no filter lets through is never handed over",
    "what is trimmed unread is named",
    "a gap only where nobody could save",
    "a window has what its checkpoint covers",
    "a window counts a record once",
    "a whole shard is delivered in sequence",
    "a whole shard's checkpoint has no ranges",
    "a child begins after its parents",
    "who has lost a shard saves nothing",
    "nothing is stranded once the faults stop",
    "one worker delivers under one epoch",
    "no batch begins when the heartbeat has failed",
    "a target applies a change once",
    "a position is never ahead of its rows",
)


NOT_BEGUN = Seen(Checkpoint())
OF_TARGETS = (
    "a target applies a change once",
    "a position is never ahead of its rows",
    "progress once the faults stop",
    "nothing is stranded once the faults stop",
    "one worker delivers under one epoch",
)
"""What holds also of a target that was emptied."""


class Checkers:
    """All checkers of one mapping in one run."""

    def __init__(self, plan: SimulationPlan, mapping: MappingPlan) -> None:
        self.plan = plan
        self.mapping = mapping
        self.settings = mapping.settings
        self.limit = self.settings.maximum_retry_attempts
        self.policy = "discard" if self.settings.order == "lane" else self.settings.on_failure
        if self.policy == "block":
            self.limit = INFINITE
        self.run: Run | None = None
        self.parked_ever: set[int] = set()
        self.dropped: set[int] = set()
        self.claimed: set[bytes] = set()
        """The keys of which a discarded change was claimed when a worker began: what comes of them is parked,
        whether there is room or not.
        """
        self.letters_back: set[int] = set()
        self.lines: dict[bytes, list[int]] = defaultdict(list)
        self.violations: list[tuple[str, str]] = []
        self.records = {
            shard.shard_id: {record.sequence: record for _, record in shard.writes} for shard in plan.shards
        }
        self.sequences = {shard_id: sorted(records) for shard_id, records in self.records.items()}
        self.by_key: dict[bytes, list[int]] = defaultdict(list)
        for shard in plan.shards:
            for _, record in shard.writes:
                if self.is_wanted(record):
                    self.lines[record.key].append(record.sequence)
                    self.by_key[shard.shard_id.encode() + record.key].append(record.sequence)
        self.wanted = {
            shard_id: [sequence for sequence in sequences if self.is_wanted(self.records[shard_id][sequence])]
            for shard_id, sequences in self.sequences.items()
        }
        self.seen: dict[int, Seen] = {}
        self.accepted: set[int] = set()
        self.durable: dict[str, Checkpoint] = {}
        self.durable_cover: dict[str, set[int]] = defaultdict(set)
        self.closed: set[int] = set()
        """What was in the windows that a durable checkpoint has closed."""
        self.epochs: dict[tuple[str, int], SimulatedWorker] = {}
        self.newest_epoch: dict[str, int] = {}
        """The highest epoch under which any worker has begun with a shard."""
        self.before_it: dict[str, set[int]] = {}
        """What was trimmed before the mapping was attached to a shard: it begins with the
        oldest record there is.
        """
        self.latest_wall_ms = 0
        self.horizon: dict[str, int] = {}
        self.saved_ever: set[int] = set()
        """What was saved from the trim."""
        self.is_emptied = False
        """Whether its target has lost everything once."""

    def wrong(self, checker: str, text: str) -> None:
        """Note a violation."""
        is_judged = not self.is_emptied or checker in OF_TARGETS
        if is_judged and sum(name == checker for name, _ in self.violations) < 3:
            self.violations.append((checker, text))

    def is_wanted(self, record: ChangeRecord) -> bool:
        """Whether the mapping's filter lets it through."""
        return self.mapping.is_wanted(record)

    # ---- what happened -------------------------------------------------------------------------------------

    def started(self, tenure: Tenure, checkpoint: Checkpoint) -> None:
        heads = (
            {}
            if self.run is None
            else {head.key: head.first.sequence for head in self.run.rows.heads(self.mapping.id)}
        )
        self.seen[tenure.name] = Seen(checkpoint, heads=heads)
        self._look_into_the_target()
        claims = [] if self.run is None else self.run.rows.heads(self.mapping.id)
        self.claimed |= {head.key for head in claims if not head.count}
        shard_id, epoch = tenure.shard.shard_id, tenure.lease.epoch
        self.newest_epoch[shard_id] = max(epoch, self.newest_epoch.get(shard_id, 0))
        if shard_id not in self.before_it:
            gone = self.sequences[shard_id]
            self.before_it[shard_id] = set(gone[: bisect_right(gone, checkpoint.watermark)]) - self.saved_ever
        for parent in tenure.shard.parents:
            uncovered = self.records[parent].keys() - self.durable_cover[parent]
            unread = [sequence for sequence in uncovered if not self._is_gone(parent, sequence)]
            if unread or not self.durable.get(parent, Checkpoint()).finished:
                self.wrong(
                    "a child begins after its parents", f"{tenure.shard.shard_id}, without {sorted(unread)}"
                )

    def begun(self, tenure: Tenure, invoke: Invoke, now: Now) -> None:
        seen = self.seen[tenure.name]
        self.latest_wall_ms = max(self.latest_wall_ms, now.wall_ms)
        self._has_its_shard(tenure, now)
        self._one_at_a_time(seen, invoke)
        if self.settings.order == "shard":
            self._in_sequence(tenure, seen, invoke)
        self._within_limit(seen, invoke)
        self._waits_for_the_redriver(tenure, invoke)
        for record in invoke.records:
            if covers(seen.start, record.sequence):
                self.wrong("what a checkpoint covers is not delivered again", f"record {record.sequence}")
            if not self.is_wanted(record):
                self.wrong("what no filter lets through is never handed over", f"record {record.sequence}")
        self._in_order(tenure, seen, invoke)
        if invoke.window is not None:
            for text in counted_twice(invoke, invoke.window):
                self.wrong("a window counts a record once", text)

    def _has_its_shard(self, tenure: Tenure, now: Now) -> None:
        """One owner of an epoch, and none whose heartbeat others may take for dead; a worker that did nothing
        for a while may begin one batch before it knows.
        """
        place = tenure.shard.shard_id, tenure.lease.epoch
        if self.epochs.setdefault(place, tenure.worker) is not tenure.worker:
            self.wrong("one worker delivers under one epoch", f"epoch {place[1]} of {place[0]}")
        worker = tenure.worker
        assert isinstance(worker, SimulatedWorker)
        if worker.rounds.silence_ms(now) > LEASE_DURATION_MS and worker.frozen_ms != now.monotonic_ms:
            self.wrong("no batch begins when the heartbeat has failed", f"{worker.owner}, {place[0]}")

    def _one_at_a_time(self, seen: Seen, invoke: Invoke) -> None:
        is_key = self.settings.order == "key"
        mine: set[bytes | int] = {record.key for record in invoke.records} if is_key else {invoke.lane}
        for other in seen.at_sink.values():
            if other & mine:
                self.wrong("one batch at a time for a lane or key", f"{sorted(map(str, other & mine))}")
        seen.at_sink[invoke.id] = mine
        most = self.settings.concurrency if is_key else self.settings.parallelization_factor
        if len(seen.at_sink) > most:
            self.wrong(
                "one batch at a time for a lane or key", f"{len(seen.at_sink)} batches, {most} allowed"
            )

    def _in_sequence(self, tenure: Tenure, seen: Seen, invoke: Invoke) -> None:
        """A batch has neighbours, and everything before it is settled."""
        wanted = self.wanted[tenure.shard.shard_id]
        batch = [record.sequence for record in invoke.records]
        place = bisect_left(wanted, batch[0])
        if wanted[place : place + len(batch)] != batch:
            here = set(batch)
            between = wanted[place : bisect_right(wanted, batch[-1])]
            left_out = [
                sequence
                for sequence in between
                if sequence not in here and not self._is_gone(tenure.shard.shard_id, sequence)
            ]
            if left_out:
                self.wrong("a whole shard is delivered in sequence", f"{batch} without {left_out}")
        while seen.in_sequence < place and (
            self._is_settled(tenure, seen, wanted[seen.in_sequence])
            or self._is_refused(seen, wanted[seen.in_sequence])
        ):
            seen.in_sequence += 1
        if seen.in_sequence < place:
            self.wrong(
                "a whole shard is delivered in sequence", f"{batch[0]} before {wanted[seen.in_sequence]}"
            )

    def _is_refused(self, seen: Seen, sequence: int) -> bool:
        """Whether it failed often enough to be left out; that its letter is saved is seen when
        a checkpoint passes it.
        """
        if self.policy == "block":
            return False
        if self.mapping.are_final:
            return seen.failures[sequence] > 0
        return self.limit != INFINITE and seen.failures[sequence] > self.limit

    def _within_limit(self, seen: Seen, invoke: Invoke) -> None:
        records = tuple(record.sequence for record in invoke.records)
        if seen.requests.setdefault(invoke.request, records) != records:
            self.wrong("attempts stay within the limit", f"request {invoke.request} changed its records")
        if self.limit == INFINITE:
            return
        if invoke.attempt > self.limit + 1:
            self.wrong(
                "attempts stay within the limit", f"attempt {invoke.attempt} of at most {self.limit + 1}"
            )
        if self.settings.breaker is None and seen.request_failures[invoke.request] > self.limit:
            self.wrong("attempts stay within the limit", f"request {invoke.request} failed often enough")

    def _in_order(self, tenure: Tenure, seen: Seen, invoke: Invoke) -> None:
        shard = tenure.shard.shard_id.encode()
        here = {record.sequence for record in invoke.records}
        before = 0
        for record in invoke.records:
            if record.sequence <= before:
                self.wrong(
                    "the order of a key is kept", f"record {record.sequence} after {before} in one batch"
                )
            before = record.sequence
            line = self.by_key[shard + record.key]
            place = seen.passed.get(record.key, 0)
            while place < len(line) and line[place] < record.sequence:
                earlier = line[place]
                before_head = earlier in self.accepted and earlier < seen.heads.get(record.key, 0)
                if not (earlier in here or before_head or self._is_settled(tenure, seen, earlier)):
                    seen.overtaken.add(earlier)
                place += 1
            if not seen.overtaken:
                seen.passed[record.key] = place

    def _waits_for_the_redriver(self, tenure: Tenure, invoke: Invoke) -> None:
        """The worker that holds the lease delivers nothing of a key that is durably parked."""
        assert self.run is not None
        lease = self.run.rows.get(tenure.lease.key, {})
        for record in invoke.records:
            head = self.run.rows.get(head_key(APP, self.mapping.id, record.key))
            # Behind a head of which nothing waits a discarded change was put back: the worker that kept the
            # item away may have let it go.
            is_parked = head is not None and head["count"] > 0
            if head is not None and is_parked and lease.get("epoch") == tenure.lease.epoch:
                self.wrong(
                    "a parked key waits for the redriver", f"record {record.sequence} behind {head['first']}"
                )

    def _is_settled(self, tenure: Tenure, seen: Seen, sequence: int) -> bool:
        return (
            sequence in seen.accepted
            or sequence in seen.given_up
            or sequence in self.parked_ever
            or sequence in self.dropped
            or covers(seen.start, sequence)
            or self._is_gone(tenure.shard.shard_id, sequence)
            or self._is_done_with(tenure, sequence)
        )

    def _is_done_with(self, tenure: Tenure, sequence: int) -> bool:
        """Whether a worker that has the shard by now has saved that it is handled: then what was kept of it
        is removed, whichever worker reads on.
        """
        shard_id = tenure.shard.shard_id
        is_lost = tenure.lease.epoch < self.newest_epoch.get(shard_id, 0)
        return is_lost and sequence in self.saved_ever and sequence in self.durable_cover[shard_id]

    def _is_gone(self, shard_id: str, sequence: int) -> bool:
        """Whether no worker can read it any more."""
        return sequence <= self.horizon.get(shard_id, 0) and sequence not in self.saved_ever

    def answered(
        self, tenure: Tenure, invoke: Invoke, accepted: list[ChangeRecord], outcome: Outcome
    ) -> None:
        seen, numbers = self.seen[tenure.name], [record.sequence for record in accepted]
        seen.at_sink.pop(invoke.id, None)
        self.accepted.update(numbers)
        if tenure.is_alive:
            seen.accepted.update(numbers)
            if invoke.window is not None and invoke.window.is_final and isinstance(outcome, Written):
                seen.closed.update(records_of(invoke.window.state))
        for kind, refused in failures_of(invoke, outcome):
            if kind is FailureKind.RECORD or (kind is FailureKind.TIMEOUT and self.settings.order != "shard"):
                seen.failures.update(record.sequence for record in refused)
                is_free = seen.is_suspended  # then one change a minute is tried, which uses no attempt
                seen.request_failures[invoke.request] += not is_free

    def parked(self, tenure: Tenure, park: ParkKey) -> None:
        assert self.run is not None
        seen = self.seen[tenure.name]
        self._still_has_it(tenure, "a parked key")
        self.latest_wall_ms = max(self.latest_wall_ms, self.run.now.wall_ms)
        for entry in park.entries:
            self.parked_ever.add(entry.record.sequence)
            if entry.condition != "KeyParked":
                self._by_the_policy(seen, entry, is_parked=True)
        heads = [
            head
            for head in self.run.rows.heads(self.mapping.id)
            if tenure.shard.has(head.partition) and head.count and head.key not in self.claimed
        ]
        most = max((head.count for head in heads), default=0)
        merged = max(
            1, len(tenure.shard.parents)
        )  # each of the shards that were merged may have parked as many
        if len(heads) > merged * self.settings.max_keys or most > self.settings.max_per_key + 1:
            self.wrong("parking is bounded", f"{len(heads)} keys, {most} changes of one")

    def put_back(self, record: ChangeRecord, *, accepted: bool) -> None:
        """Every earlier change of the item was accepted, or is gone for good, and none of it is at the
        handler where its shard is read.
        """
        assert self.run is not None
        for tenure in self.run.tenures():
            seen = self.seen.get(tenure.name)
            if (
                seen is not None
                and tenure.mapped.id == self.mapping.id
                and self.run.rows[tenure.lease.key]["epoch"] == tenure.lease.epoch
                and any(record.key in keys for keys in seen.at_sink.values())
            ):
                self.wrong(
                    "one batch at a time for a lane or key", f"{record.sequence} is put back beside it"
                )
        for sequence in self.lines[record.key]:
            if sequence >= record.sequence:
                break
            dead = self._is_dead(sequence)
            lost = sequence not in self.saved_ever and any(
                sequence <= self.horizon.get(shard, 0) for shard in self.horizon
            )
            if not (sequence in self.accepted or dead or lost or sequence in self.dropped):
                self.wrong("what is put back comes in its order", f"{record.sequence} before {sequence}")
        if record.sequence not in self.parked_ever:
            covered: set[int] = set().union(*self.durable_cover.values())
            # One that was accepted just before a crash, and then given up, parked behind a claim, or trimmed
            # before it was read again: no row tells that it was handled.
            later = [
                sequence
                for sequence in self.lines[record.key]
                if sequence > record.sequence
                and sequence in self.accepted & covered
                and not self._is_dead(sequence)
                and not self._waits(record.key, sequence)
                and not self._is_in_a_gap(record, sequence)
            ]
            # That a later one was handled is saved after the commit: in the target the version decides.
            if later and not self.settings.is_transactional:
                self.wrong("what is put back comes in its order", f"{record.sequence} after {later[0]}")
        if accepted:
            self.accepted.add(record.sequence)
            if self._is_dead(record.sequence):
                self.letters_back.add(record.sequence)

    def _is_dead(self, sequence: int) -> bool:
        """Whether it waits among the discarded ones."""
        assert self.run is not None
        return deadletter_key(APP, self.mapping.id, Version(1, sequence)) in self.run.rows

    def _waits(self, key: bytes, sequence: int) -> bool:
        """Whether it is parked now."""
        assert self.run is not None
        return parked_key(APP, self.mapping.id, key, Version(1, sequence)) in self.run.rows

    def _is_in_a_gap(self, record: ChangeRecord, sequence: int) -> bool:
        """Whether a later change of its item was told to be lost."""
        assert self.run is not None
        shards = {shard.shard_id for shard in self.run.plan.shards if shard.has(record.partition)}
        gaps = all_gaps(self.run, self.mapping.id)
        return any(gap.shard_id in shards and gap.first <= sequence <= gap.last for gap in gaps)

    def saving(self, tenure: Tenure, save: SaveCheckpoint, now: Now) -> None:
        seen = self.seen[tenure.name]
        seen.is_suspended = save.checkpoint.suspended is not None
        self.latest_wall_ms = max(self.latest_wall_ms, now.wall_ms)
        self._note_dropped(tenure, seen, save)
        if tenure.machine.unbalanced:
            self.wrong("the ledger balances", f"{tenure.machine.unbalanced} have no end, or several")
        for entry in save.given_up:
            seen.given_up[entry.record.sequence] = entry
            self._by_the_policy(seen, entry)
        discarded = sum(span.count for span in save.settled if span.outcome == "discarded")
        if discarded != len(save.given_up):
            self.wrong(
                "what is given up is a dead letter by the policy",
                f"{discarded} discarded, {len(save.given_up)} dead letters",
            )
        if self.settings.order == "shard" and save.checkpoint.ranges:
            self.wrong("a whole shard's checkpoint has no ranges", str(save.checkpoint))
        seen.cover = covered(self.sequences[tenure.shard.shard_id], save.checkpoint)
        for sequence in seen.cover - seen.accepted - seen.proven:
            record = self.records[tenure.shard.shard_id][sequence]
            was_before_parked = sequence < seen.heads.get(record.key, 0)  # put back since, perhaps
            is_before_parked = sequence in self.accepted and (
                was_before_parked or self._is_before_parked(record)
            )
            # What another worker has taken over is settled when that one's checkpoint says so, whatever this
            # one thinks of it.
            is_saved = sequence in self.durable_cover[tenure.shard.shard_id]
            is_proven = is_saved or is_before_parked or not self.is_wanted(record)
            if is_proven or self._is_settled(tenure, seen, sequence):
                seen.proven.add(sequence)
            else:
                text = f"{sequence} at {save.checkpoint.watermark}"
                self.wrong("a checkpoint covers only what is settled", text)
        if self.settings.tumbling_window_ms:
            self._window_has(tenure, seen, save)

    def _window_has(self, tenure: Tenure, seen: Seen, save: SaveCheckpoint) -> None:
        """What a checkpoint covers is in its window, or in one that was closed; and its
        window has nothing else.
        """
        shard_id = tenure.shard.shard_id
        seen.note_closed(save)
        given_up = {entry.record.sequence for entry in save.given_up}
        handled = {
            sequence
            for sequence in seen.cover - given_up
            if not self._is_gone(shard_id, sequence) and not self._is_dead(sequence)
        }
        for text in wrong_in_window(save, handled - seen.closed - self.closed, seen.cover):
            self.wrong("a window has what its checkpoint covers", text)

    def _is_before_parked(self, record: ChangeRecord) -> bool:
        """Whether a later change of its key is parked: then a restart need not deliver it again."""
        assert self.run is not None
        head = self.run.rows.get(head_key(APP, self.mapping.id, record.key))
        return head is not None and read_head(APP, self.mapping.id, head).first > record.version

    def _note_dropped(self, tenure: Tenure, seen: Seen, save: SaveCheckpoint) -> None:
        sequences = self.sequences[tenure.shard.shard_id]
        for span in save.settled:
            if span.outcome != "dropped":
                continue
            gone = sequences[bisect_left(sequences, span.first) : bisect_right(sequences, span.last)]
            self.dropped.update(gone)
            for sequence in gone:
                age_ms = self.latest_wall_ms - self.records[tenure.shard.shard_id][sequence].created_ms
                is_old = INFINITE != self.settings.maximum_record_age_ms < age_ms
                is_exhausted = self.limit != INFINITE and seen.failures[sequence] > self.limit
                if self.policy != "drop" or not (is_old or is_exhausted):
                    self.wrong("what is given up is a dead letter by the policy", f"{sequence} dropped")

    def _by_the_policy(self, seen: Seen, entry: GivenUp, *, is_parked: bool = False) -> None:
        sequence, age_ms = entry.record.sequence, self.latest_wall_ms - entry.record.created_ms
        if entry.condition == "RecordAgeExceeded":
            is_right = INFINITE != self.settings.maximum_record_age_ms < age_ms
        else:
            is_exhausted = self.limit != INFINITE and entry.attempts == self.limit + 1
            is_right = (
                (is_exhausted or (self.mapping.are_final and self.policy != "block"))
                and seen.failures[sequence] >= entry.attempts
                and entry.failure is not None
            )
        if self.settings.order != "lane":
            is_right = is_right and sequence not in seen.accepted
        if is_parked or self.policy in ("park", "drop"):
            is_right = is_right and is_parked == (self.policy == "park" and entry.failure is not None)
        if not is_right:
            self.wrong(
                "what is given up is a dead letter by the policy",
                f"{sequence} {entry.condition} {entry.attempts}",
            )

    def saved(self, tenure: Tenure, save: SaveCheckpoint) -> None:
        shard_id, epoch = tenure.shard.shard_id, tenure.lease.epoch
        if self.epochs.setdefault((shard_id, epoch), tenure.worker) is not tenure.worker:
            self.wrong("one worker saves under one epoch", f"epoch {epoch} of {shard_id}")
        self._still_has_it(tenure, "a checkpoint")
        before = self.durable.get(shard_id, Checkpoint())
        cover = self.seen[tenure.name].cover
        lost = self.durable_cover[shard_id] - cover
        if (
            lost
            or save.checkpoint.watermark < before.watermark
            or (before.finished and not save.checkpoint.finished)
        ):
            self.wrong("a checkpoint never goes back", f"{before} then {save.checkpoint}")
        self.durable[shard_id] = save.checkpoint
        self.durable_cover[shard_id] = cover
        self.closed |= self.seen[tenure.name].saving_closed

    def _still_has_it(self, tenure: Tenure, what: str) -> None:
        """No worker that began later has the shard: what was saved now would not be known to that one."""
        newest = self.newest_epoch.get(tenure.shard.shard_id, 0)
        if tenure.lease.epoch < newest:
            text = f"{what} of {tenure.shard.shard_id} under epoch {tenure.lease.epoch}, after {newest}"
            self.wrong("who has lost a shard saves nothing", text)

    def _in_the_target(self, run: Run, shard_id: str, gaps: Sequence[Gap], dead: set[int]) -> None:
        """Each change is in the target once, unless it was a dead letter: that may have been put back before
        the commit that passes it. How many were handled right before a crash no ledger knows.
        """
        times = Counter(run.mapping(self.mapping.id).target.arrived)
        before_it = self.before_it.get(shard_id, set())
        for sequence in self.wanted[shard_id]:
            was_dead = sequence in dead or sequence in self.letters_back
            is_told = any(gap.first <= sequence <= gap.last for gap in gaps) or sequence in before_it
            if times[sequence] != 1 and not was_dead and not (is_told and not times[sequence]):
                self.wrong("a target applies a change once", f"record {sequence}: {times[sequence]} times")

    def _look_into_the_target(self) -> None:
        """What is there was accepted, also by an earlier life of the mapping."""
        if self.settings.is_transactional and self.run is not None:
            self.accepted.update(self.run.mapping(self.mapping.id).target.arrived)

    def moved(self, shard_id: str, before: int, after: int) -> None:
        """What the target has passed is in it, or a durable dead letter, or can be read no more."""
        assert self.run is not None
        arrived = set(self.run.mapping(self.mapping.id).target.arrived)
        # Also where the worker never hears of it: nothing of a commit comes again.
        self.accepted.update(sequence for sequence in arrived if before < sequence <= after)
        for sequence in self.wanted[shard_id]:
            if before < sequence <= after and sequence not in arrived | self.letters_back:
                if self._is_dead(sequence) or self._is_gone(shard_id, sequence):
                    continue
                self.wrong("a position is never ahead of its rows", f"{sequence} at {after} of {shard_id}")

    def emptied(self) -> None:
        """From now on only what is in the target in the end is judged."""
        self.is_emptied = True
        self.durable.clear()

    def clock_steps(self, now: Now) -> None:
        self.latest_wall_ms = max(self.latest_wall_ms, now.wall_ms)

    def evacuated(self, shard_id: str, record: ChangeRecord) -> None:
        if record.sequence > self.horizon.get(shard_id, 0):  # or it may have been told as a gap already
            self.saved_ever.add(record.sequence)

    def trimmed(self, shard_id: str, through: int) -> None:
        before, self.horizon[shard_id] = self.horizon.get(shard_id, 0), through
        self._look_into_the_target()
        if not self.plan.retention_ms or self.settings.order == "lane":
            return
        assert self.run is not None
        for sequence, record in self.records[shard_id].items():
            is_safe = (
                not before < sequence <= through
                or not self.is_wanted(record)
                or sequence in self.saved_ever | self.accepted | self.parked_ever | self.dropped
                or sequence in self.durable_cover[shard_id]
                or any(sequence in seen.given_up for seen in self.seen.values())
            )
            if not is_safe and self.run.retention.could_save(self.mapping.id, shard_id, record.created_ms):
                self.wrong("a gap only where nobody could save", f"record {sequence} of {shard_id}")

    def ended(self, tenure: Tenure, how: str) -> None:
        seen = self.seen.get(tenure.name, NOT_BEGUN)  # its target was not stamped yet
        for sequence in seen.overtaken - seen.given_up.keys() - self.parked_ever - self.dropped:
            record = self.records[tenure.shard.shard_id][sequence]
            age_ms = self.latest_wall_ms - record.created_ms
            may_be_old = INFINITE != self.settings.maximum_record_age_ms < age_ms
            may_be_exhausted = self._is_refused(seen, sequence)
            if how == "finished" or not (may_be_old or may_be_exhausted):
                self.wrong(
                    "the order of a key is kept", f"record {sequence} was overtaken by a later one of its key"
                )

    def over(self, run: Run) -> None:
        if not run.is_over:
            mapped = run.mapping(self.mapping.id)
            self.wrong("progress once the faults stop", f"{mapped.id} finished {sorted(mapped.finished)}")
            for shard in run.plan.shards:
                is_left = shard.shard_id not in mapped.finished and not run.working_on(mapped, shard)
                if is_left and mapped.finished.issuperset(shard.parents):
                    self.wrong(
                        "nothing is stranded once the faults stop", f"no worker reads {shard.shard_id}"
                    )
            return
        every_gap = all_gaps(run, self.mapping.id)
        for text in wrong_in_gaps(every_gap):
            self.wrong("what is trimmed unread is named", text)
        for shard_id, records in self.records.items():
            gaps = [gap for gap in every_gap if gap.shard_id == shard_id]
            dead = {sequence for sequence in records if self._is_dead(sequence)}
            before_it = self.before_it.get(shard_id, set())
            for sequence, record in records.items():
                is_there = sequence in self.accepted or sequence in dead or not self.is_wanted(record)
                is_there = is_there or sequence in before_it or sequence in self.dropped
                if not is_there and (sequence > run.source.trimmed[shard_id] or sequence in self.saved_ever):
                    self.wrong("nothing is lost", f"record {sequence}")
                elif not is_there and not any(gap.first <= sequence <= gap.last for gap in gaps):
                    self.wrong("what is trimmed unread is named", f"record {sequence}, but {gaps}")
            if self.settings.is_transactional:
                self._in_the_target(run, shard_id, gaps, dead)
                continue
            counted = {sequence: self.is_wanted(records[sequence]) for sequence in records.keys() - before_it}
            # A redriver that dies between a delivery and the removal of its letter leaves the letter where it
            # was.
            back = (self.letters_back & records.keys()) - dead
            for text in wrong_in_ledger(
                run.rows.ledger(self.mapping.id, shard_id), counted, gaps, len(dead), len(back)
            ):
                self.wrong("the ledger balances", text)
