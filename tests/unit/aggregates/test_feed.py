"""The feed of an aggregate: its events come to a handler by their versions, whatever fails, repeats or
overtakes.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace import App, Change, Discard, Drop
from tailrace.aggregates.core import sequencing
from tailrace.aggregates.core.layout import Place, StoredEvent, event_item, event_sort
from tailrace.aggregates.core.sequencing import STREAM_MS, FeedEvent, Hole, verdict
from tailrace.clocks.manual import ManualClock
from tailrace.engine.state import state_of
from tailrace.errors import SettingsError
from tailrace.mapping.outcomes import Failed, Failure, FailureKind, Outcome, Written
from tailrace.mapping.retry import RetryAfter, after_failure
from tailrace.mapping.settings import MappingSettings
from tailrace.ports import RecordBatch, StreamRef
from tailrace.runtime.attempts import Tally
from tailrace.sinks import feed
from tailrace.sinks.feed import FeedSink
from tailrace.stores.memory import MemoryStateStore
from tailrace.streams.record import ChangeRecord
from tailrace.testing import World
from tests.bank import Account, Deposit, Deposited, Opened, bank_app, decide, evolve

# ---- verdicts ----------------------------------------------------------------------------------------------


def test_the_next_event_is_given_and_one_that_was_handled_is_not() -> None:
    assert verdict(None, FeedEvent(1, 0), 0) == "next"
    assert verdict(4, FeedEvent(5, 0), 0) == "next"
    assert verdict(5, FeedEvent(5, 0), 0) == "handled"
    assert verdict(5, FeedEvent(1, 0), 0) == "handled"


@pytest.mark.parametrize(("last", "missing"), [(None, 6), (4, 5)])
def test_a_hole_is_waited_for_until_the_stream_has_forgotten_what_fills_it(
    last: int | None, missing: int
) -> None:
    event = FeedEvent(7, previous_ms=1_000)
    assert verdict(last, event, 1_000 + STREAM_MS - 1) == Hole(missing, 1_000 + STREAM_MS)
    assert verdict(last, event, 1_000 + STREAM_MS) == "next"


def test_what_comes_too_early_uses_up_no_attempt() -> None:
    early = Failure(FailureKind.EARLY)
    assert after_failure(MappingSettings("feed"), early, size=1, attempts=99) == RetryAfter(
        1_000, counts=False
    )


# ---- the sink ----------------------------------------------------------------------------------------------


def record_of(account: str, version: int, previous_ms: int = 0) -> ChangeRecord:
    place = Place("bank", "pk", "sk", "account", account)
    item = event_item(place, StoredEvent(version, "Deposited", 1, {}, version, "x", previous_ms=previous_ms))
    keys = place.key(event_sort(version))
    return ChangeRecord(
        version, 1, "INSERT", 0, 1, 0, account.encode(), orjson.dumps(keys), None, orjson.dumps(item)
    )


class Handler:
    """Keeps what it is given, and refuses what it is told to."""

    def __init__(self) -> None:
        self.given: list[tuple[str, int]] = []
        self.refuses: set[tuple[str, int]] = set()

    async def open(self, clock: Any) -> None: ...
    async def close(self) -> None: ...

    async def write(self, batch: RecordBatch) -> Outcome:
        failures: dict[int, Failure] = {}
        failed: set[bytes] = set()
        for index, record in enumerate(batch.records):
            name = (record.key.decode(), record.sequence)
            if record.key in failed:
                continue
            if name in self.refuses:
                failures[index] = Failure(error=f"{name} fails")
                failed.add(record.key)
            else:
                self.given.append(name)
        return Failed(failures) if failures else Written()


class Feed:
    """A feed over a handler, and its state."""

    def __init__(self) -> None:
        self.handler, self.state, self.clock, self.tally = (
            Handler(),
            MemoryStateStore(),
            ManualClock(),
            Tally(),
        )
        self.sink = FeedSink(self.handler, self.state, self.clock, "app.seen", "sk", self.tally)

    def write(self, *events: tuple[str, int]) -> Outcome:
        now_ms = self.clock.now().wall_ms
        records = [record_of(account, version, now_ms) for account, version in events]
        stream = StreamRef("label", "bank", "", "NEW_AND_OLD_IMAGES", region="us-east-1")
        return asyncio.run(self.sink.write(RecordBatch(records, "seen", stream, "shard")))


def failing(outcome: Outcome) -> dict[int, FailureKind]:
    assert isinstance(outcome, Failed)
    return {index: failure.kind for index, failure in outcome.failures.items()}


def test_event_two_before_event_one_waits_and_says_for_what() -> None:
    feed = Feed()
    outcome = feed.write(("a", 2), ("a", 3), ("b", 1))
    assert failing(outcome) == {0: FailureKind.EARLY}
    assert isinstance(outcome, Failed)
    assert "event 2 of account#a waits: event 1 has not come" in outcome.failures[0].error
    assert feed.write(("a", 1)) == Written()
    assert feed.write(("a", 2), ("a", 3)) == Written()
    assert feed.handler.given == [("b", 1), ("a", 1), ("a", 2), ("a", 3)]


def test_an_event_that_failed_is_not_overtaken_and_comes_again() -> None:
    feed = Feed()
    feed.handler.refuses = {("a", 2)}
    assert failing(feed.write(("a", 1), ("a", 2), ("a", 3), ("b", 1))) == {1: FailureKind.RECORD}
    assert failing(feed.write(("a", 3))) == {0: FailureKind.EARLY}
    feed.handler.refuses = set()
    assert feed.write(("a", 2), ("a", 3)) == Written()
    assert feed.handler.given == [("a", 1), ("b", 1), ("a", 2), ("a", 3)]


def test_what_was_handled_is_passed_over_and_counted() -> None:
    feed = Feed()
    feed.write(("a", 1), ("a", 2))
    assert feed.write(("a", 1), ("a", 2), ("a", 3)) == Written()
    assert feed.handler.given == [("a", 1), ("a", 2), ("a", 3)]
    assert feed.tally.suppressed == 2


def test_a_whole_failure_is_of_each_event_that_was_given() -> None:
    feed = Feed()

    async def refuse(batch: RecordBatch) -> Outcome:
        return Failed(whole=Failure(FailureKind.UNAVAILABLE, "out"))

    feed.handler.write = refuse  # type: ignore[method-assign]
    outcome = feed.write(("b", 2), ("a", 1), ("a", 2))
    assert failing(outcome) == {0: FailureKind.EARLY, 1: FailureKind.UNAVAILABLE, 2: FailureKind.UNAVAILABLE}
    assert failing(feed.write(("a", 2))) == {0: FailureKind.EARLY}


def scrambled(seed: int, verdict_of: Any = None) -> list[tuple[str, int]]:
    """What a handler is given when two shards, failures and repetitions mix the events of three accounts."""
    chance, feed = Random(seed), Feed()
    waiting = {account: [*range(1, 8)] for account in "abc"}
    left = [(account, version) for account in "abc" for version in waiting[account]]
    for _ in range(400):
        if not left:
            break
        some = chance.sample(left, min(len(left), chance.randint(1, 4)))
        feed.handler.refuses = {event for event in some if chance.random() < 0.2}
        outcome = feed.write(*some, *chance.sample(feed.handler.given, min(len(feed.handler.given), 2)))
        assert not isinstance(outcome, Failed) or outcome.whole is None
        left = [event for event in left if event not in feed.handler.given]
    assert not left
    return feed.handler.given


def in_sequence(given_events: Sequence[tuple[str, int]]) -> bool:
    by_account: dict[str, list[int]] = defaultdict(list)
    for account, version in given_events:
        by_account[account].append(version)
    return all(versions == [*range(1, 8)] for versions in by_account.values())


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32))
def test_whatever_is_mixed_each_aggregate_comes_in_sequence_and_once(seed: int) -> None:
    assert in_sequence(scrambled(seed))


def test_a_feed_that_does_not_wait_at_a_hole_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def hasty(last: int | None, event: FeedEvent, now_ms: int) -> Any:
        judged = sequencing.verdict(last, event, now_ms)
        return "next" if isinstance(judged, Hole) else judged

    monkeypatch.setattr(feed, "verdict", hasty)
    with pytest.raises(AssertionError):
        assert all(in_sequence(scrambled(seed)) for seed in range(5))


# ---- in the world ------------------------------------------------------------------------------------------


class Bad(Exception):
    pass


def test_event_one_fails_and_event_two_waits_until_it_is_put_back() -> None:
    app, accounts = bank_app()
    seen: list[tuple[str, int]] = []
    broken = True

    @app.on(accounts)
    def note(change: Change[Any]) -> None:
        if broken and change.new.id == "a" and change.new.version == 1:
            raise Bad
        seen.append((change.new.id, change.new.version))

    with World(app, seed=1, allow_failures=True) as world:
        for account in "ab":
            accounts.append(account, [Opened(account), Deposited(1)])
        accounts.append("a", [Deposited(2)])
        world.settle()
        assert seen == [("b", 1), ("b", 2)]
        waiting = [(letter["key"], letter["state"]) for letter in app.dlq(note)]
        assert [key for key, _ in waiting] == [f"account#a/{event_sort(version)}" for version in (1, 2, 3)]
        assert [state for _, state in waiting] == ["parked", "waiting", "waiting"]
        accounts.append("a", [Deposited(3)])
        world.settle()
        broken = False
        app.dlq(note).redrive()
        world.settle()
        accounts.append("a", [Deposited(4)])
        world.settle()
        assert seen[2:] == [("a", version) for version in (1, 2, 3, 4, 5)]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), concurrency=st.sampled_from((1, 3)))
def test_each_aggregate_comes_in_sequence_through_failures_and_restarts(seed: int, concurrency: int) -> None:
    app, accounts = bank_app()
    chance = Random(seed)
    seen: dict[str, list[int]] = defaultdict(list)

    @app.on(accounts, concurrency=concurrency, batch_size=chance.randint(1, 5))
    def note(change: Change[Any]) -> None:
        if chance.random() < 0.15:
            raise Bad
        seen[change.new.id].append(change.new.version)

    with World(app, seed=seed, allow_failures=True) as world:
        for _ in range(6):
            for account in chance.sample("abcd", 3):
                accounts.handle(account, Deposit(1, times=chance.randint(1, 3)))
            if chance.random() < 0.3:
                world.restart()
            if chance.random() < 0.5:
                world.settle()
        world.settle()
        for _ in range(20):
            if not len(app.dlq(note)):
                break
            app.dlq(note).redrive()
            world.settle()
        versions = {account: accounts.load(account).version for account in "abcd"}
    for account, last in versions.items():
        assert list(dict.fromkeys(seen[account])) == [*range(1, last + 1)]
        assert sorted(seen[account]) == seen[account]


def test_a_handler_of_today_begins_where_the_stream_does() -> None:
    app, accounts = bank_app()
    with World(app, seed=1) as world:
        accounts.append("a", [Opened("a"), Deposited(1)])
        world.advance("30h")
        seen: list[int] = []

        @app.on(accounts)
        def note(change: Change[Any]) -> None:
            seen.append(change.new.version)

        world.use(app)
        accounts.append("a", [Deposited(2), Deposited(3)])
        world.settle()
        assert seen == [3, 4]


def test_what_would_leave_a_hole_in_a_feed_is_refused() -> None:
    app, accounts = bank_app()

    def handler(change: Change[Any]) -> None: ...

    with pytest.raises(SettingsError, match="where= on an aggregate would leave holes"):
        app.on(accounts, where=lambda change: True)(handler)
    for policy in (Drop, Discard()):
        with pytest.raises(SettingsError, match="would leave a hole in its feed"):
            app.on(accounts, on_failure=policy)(handler)
    with pytest.raises(SettingsError, match=r"app\.batch of an aggregate"):
        app.batch(accounts)(handler)
    with pytest.raises(SettingsError, match="ordered_by='partition' is for handlers"):
        app.projection(accounts.events, ordered_by="partition")(_counted)
    with pytest.raises(SettingsError, match="ordered_by='partition' with order='lane'"):
        MappingSettings.for_lambda("f", ordered_by="partition")
    with pytest.raises(SettingsError, match="ordered_by: 'shard' is not allowed"):
        MappingSettings("f", ordered_by="shard")  # type: ignore[arg-type]


def test_a_feed_needs_the_events_in_its_stream() -> None:
    app = App("bank")
    table = app.table("bank", pk="pk", sk="sk", stream="KEYS_ONLY")
    accounts = app.aggregate("account", table, initial=Account, decide=decide, evolve=evolve, events=[Opened])
    with pytest.raises(
        SettingsError, match="stream='KEYS_ONLY', and a handler of an aggregate needs the events"
    ):
        app.on(accounts)(lambda change: None)


def test_marks_of_a_parked_partition_are_kept_as_long_as_it_is_parked() -> None:
    app, accounts = bank_app()

    @app.on(accounts, once=True)
    def note(change: Change[Any]) -> None:
        if change.new.event == Deposited(13):
            raise Bad

    with World(app, seed=1, allow_failures=True) as world:
        accounts.append("a", [Opened("a"), Deposited(13)])
        accounts.append("b", [Opened("b")])
        world.settle()
        before = [row.key for row in asyncio.run(state_of(world.engine).query("mark/"))]
        world.advance("75h")
        after = [row.key for row in asyncio.run(state_of(world.engine).query("mark/"))]
    assert len(before) == 4  # of each account its first event and the feed
    assert sorted(after) == sorted(key for key in before if b"account#a".hex() in key.rpartition("/")[2])


def _counted(total: int, event: Any, sign: int) -> int:
    return total + sign


def test_any_handler_may_be_ordered_by_partition() -> None:
    app = App("orders")
    table = app.table("orders", pk="pk", sk="sk")
    seen: list[Any] = []

    @app.on(table, ordered_by="partition")
    def note(change: Change) -> None:
        if change.key == ("p", "1"):
            raise Bad
        seen.append(change.key)

    with World(app, seed=1, allow_failures=True) as world:
        for key in (("p", "1"), ("p", "2"), ("q", "1")):
            world.put(table, dict(zip(("pk", "sk"), key, strict=True)))
        world.settle()
        assert seen == [("q", "1")]
        assert [letter["key"] for letter in app.dlq(note)] == ["p/1", "p/2"]
        assert app.dlq(note).show(next(iter(app.dlq(note)))["event_id"])["behind"][0]["keys"] == {
            "pk": {"S": "p"},
            "sk": {"S": "2"},
        }
