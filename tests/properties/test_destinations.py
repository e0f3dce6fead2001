"""A data stream's records, without repetitions and in the order of each item, give the table back.

Rules of this file: the model knows a dict of items and a list of changes; it knows nothing of logs, shards or
rounds. Writes, transactions of what is there already, rounds that are cut off, busy shards, splits, streams
that are away, failed commits and restarts come in any order.
"""

from itertools import islice
from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tailrace.clocks.manual import ManualClock
from tailrace.engine.engine import Engine, EngineSettings
from tailrace.errors import StoreError
from tailrace.tables.mutate import Delete, Put
from tailrace.values.types import Item
from tests.unit.engine.building import START_MS, FailingStore, defined
from tests.unit.engine.destinations.replicating import ARN, Copied, copied, deliver, make_stream

NAMES = "abcde"
names = st.sampled_from(NAMES)
numbers = st.integers(0, 2)
Change = tuple[str, str, Item | None, Item | None]


def made(name: str, number: int) -> Item:
    return {"pk": {"S": name}, "n": {"N": str(number)}}


class DestinationAgainstDict(RuleBasedStateMachine):
    """Steps that a client, the clock, the disk and an operator may take."""

    @initialize(shards=st.integers(1, 3), is_limited=st.booleans())
    def open(self, shards: int, is_limited: bool) -> None:
        """A table with a destination that is ACTIVE."""
        self.settings = EngineSettings(slice_rows=2, shard_limits=is_limited)
        self.store, self.clock = FailingStore(), ManualClock(START_MS)
        self.engine = Engine(self.store, self.clock, self.settings)
        self.engine.create_table(defined(stream=None))
        make_stream(self.engine, shards)
        self.engine.destinations.enable("orders", ARN, None)
        self.engine.committer.flush()
        self.items: dict[str, Item] = {}
        self.changes: list[Change] = []
        self.may_repeat = False
        self.durable: tuple[dict[str, Item], list[Change]] = ({}, [])

    # ---- writes --------------------------------------------------------------------------------------------

    @rule(name=names, number=numbers)
    def put(self, name: str, number: int) -> None:
        """Put an item."""
        new, old = made(name, number), self.items.get(name)
        self.engine.put(Put("orders", new))
        if new != old:
            self.changes.append((name, "INSERT" if old is None else "MODIFY", old, new))
        self.items[name] = new

    @rule(name=names)
    def delete(self, name: str) -> None:
        """Delete an item, if it is there."""
        old = self.items.pop(name, None)
        self.engine.delete(Delete("orders", {"pk": {"S": name}}))
        if old is not None:
            self.changes.append((name, "REMOVE", old, None))

    @rule(name=names, number=numbers)
    def transact(self, name: str, number: int) -> None:
        """Put an item in a transaction: what is there already has a record, too."""
        new, old = made(name, number), self.items.get(name)
        self.engine.transact([Put("orders", new)])
        self.changes.append((name, "INSERT" if old is None else "MODIFY", old, new))
        self.items[name] = new

    # ---- the disk ------------------------------------------------------------------------------------------

    @rule()
    def flush(self) -> None:
        """A commit."""
        self.engine.committer.flush()
        self.durable = dict(self.items), list(self.changes)

    @rule()
    def fail(self) -> None:
        """A commit that fails."""
        self.may_repeat = True
        self.store.is_broken = True
        try:
            self.engine.committer.flush()
        except StoreError:
            self.items, self.changes = dict(self.durable[0]), list(self.durable[1])
        self.store.is_broken = False

    @rule()
    def restart(self) -> None:
        """The process ends and another one begins."""
        self.may_repeat = True
        self.items, self.changes = dict(self.durable[0]), list(self.durable[1])
        self.engine = Engine(self.store, self.clock, self.settings)

    # ---- the way to the stream -----------------------------------------------------------------------------

    @rule(slices=st.integers(1, 4))
    def deliver_some(self, slices: int) -> None:
        """A round that is cut off."""
        self.flush()
        deliver(self.engine, slices)

    @rule(slices=st.integers(1, 3))
    def deliver_in_vain(self, slices: int) -> None:
        """A round with a commit that fails in the middle."""
        self.flush()
        rounds = self.engine.destinations.deliveries.slices()
        for _ in islice(rounds, slices):
            pass
        self.fail()
        for _ in rounds:
            self.flush()

    @rule(time_ms=st.sampled_from((1, 200, 1_000)))
    def wait(self, time_ms: int) -> None:
        """Time passes."""
        self.clock.advance(time_ms)

    @rule(room=st.sampled_from((0, 340, 380, 450, 800)))
    def exhaust(self, room: int) -> None:
        """Every shard is so busy that it takes so many bytes, where there are limits: a record or two, or a
        small one and no large one.
        """
        rates, now_ms = self.engine._kinesis.rates, self.clock.now().monotonic_ms
        for shard in self.stream.open_shards if self.settings.shard_limits else ():
            left = rates._of(shard, now_ms).filled(now_ms).written.left
            if left > room:
                rates.put(self.stream, shard, int(left - room))

    @rule(choice=st.integers(0, 5))
    def split(self, choice: int) -> None:
        """A shard of the data stream is split in its middle."""
        shards = self.stream.open_shards
        if len(self.stream.document.shards) < 8:
            shard = shards[choice % len(shards)]
            middle = (int(shard.starting_hash_key) + int(shard.ending_hash_key)) // 2
            self.engine.kinesis.resharding.split(self.stream, shard.shard_id, str(middle))
            self.flush()

    @property
    def stream(self) -> Any:
        """The data stream."""
        return self.engine.kinesis.streams.named("orders")

    # ---- what holds ----------------------------------------------------------------------------------------

    @invariant()
    def nothing_is_there_that_was_not_written(self) -> None:
        """Whatever has come, each item's records begin as its history does."""
        if hasattr(self, "engine"):
            self.compare(copied(self.engine), is_whole=False)

    def teardown(self) -> None:
        """In the end everything has come, and gives the table back."""
        if not hasattr(self, "engine"):
            return
        self.flush()
        while True:
            self.clock.advance(1_000)
            deliver(self.engine)
            if self.engine.destinations.deliveries.next_ms is None:
                break
        records = copied(self.engine)
        self.compare(records, is_whole=True)
        if not self.may_repeat:
            assert records == firsts(records)
        images = {one.name: one.new for one in firsts(records)}
        assert {name: new for name, new in images.items() if new is not None} == self.items
        (state,) = self.engine.destinations.deliveries.catalog.by_log.values()
        assert self.store.read_log(state.document.log, 0, 10) == []
        assert (state.document.failed, state.document.lost) == (0, 0)

    def compare(self, records: list[Copied], *, is_whole: bool) -> None:
        """Each item's records, at their first appearance, are its history, or begin as that does."""
        for name in NAMES:
            seen = [(one.name, one.event, one.old, one.new) for one in firsts(records) if one.name == name]
            wanted = [change for change in self.changes if change[0] == name]
            assert seen == (wanted if is_whole else wanted[: len(seen)])


def firsts(records: list[Copied]) -> list[Copied]:
    """Each record at its first appearance, by its id."""
    return list({one.event_id: one for one in reversed(records)}.values())[::-1]


DestinationAgainstDict.TestCase.settings = settings(
    max_examples=200, stateful_step_count=25, deadline=None, derandomize=True
)
TestDestinations = DestinationAgainstDict.TestCase
