"""Live replays in worlds: a run of their own, in order, once, and on again where they stood still."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any

import pytest

from tailrace import App, Change, Depends
from tailrace.app.retry import Retry
from tailrace.errors import ReplayStopped, SettingsError, Unavailable
from tailrace.mapping.outcomes import Failed, FailedFrom, Failure, Written
from tailrace.replays.core.runs import Reached, read_run
from tailrace.replays.run.live import unsettled
from tailrace.rows.kinds import REPLAY, kind_of
from tailrace.rows.writes import Write
from tailrace.streams.record import ChangeRecord
from tailrace.testing import World
from tests.bank import Deposit, Open, bank_app


class Shop:
    """An app whose handler counts, and fails where it is told to."""

    def __init__(self) -> None:
        self.app = App("shop")
        orders = self.app.table("orders", pk="id")
        self.app.table("counts", pk="id")
        self.app.archive(orders, "history/")
        self.seen: list[tuple[str, int, str | None]] = []
        self.fails: dict[tuple[str, int], BaseException] = {}

        @self.app.on(orders, retry=Retry(2, backoff="1s..2s"), id="count")
        def count(change: Change) -> dict[str, Any]:
            name = change.key, int(change.new["n"])
            if change.is_replay and name in self.fails:
                raise self.fails[name]
            self.seen.append((*name, change.replay_id))
            change.transaction.update("counts", {"id": change.key}, "ADD n :n", values={":n": Decimal(1)})
            return {"id": change.key, "n": change.new["n"], "replay": change.is_replay}

        self.sent = Sent()
        self.app.sink(count, self.sent)

    def again(self) -> list[tuple[str, int]]:
        return [(key, number) for key, number, run in self.seen if run is not None]


class Sent:
    def __init__(self) -> None:
        self.values: list[Any] = []

    async def write(self, batch: Any) -> Any:
        self.values += batch.values
        return Written()


WRITTEN = [(f"o{number % 3}", number) for number in range(12)]


@pytest.fixture
def shop() -> Iterator[tuple[Shop, World]]:
    shop = Shop()
    with World(shop.app, seed=1, shards=2, allow_failures=True) as world:
        for key, number in WRITTEN:
            world.put("orders", {"id": key, "n": Decimal(number)})
            world.advance("1s")
        world.settle()
        yield shop, world


Shopped = tuple[Shop, World]


def counts(world: World) -> dict[str, int]:
    items = (world.get("counts", {"id": f"o{number}"}) for number in range(3))
    return {item["id"]: int(item["n"]) for item in items if item is not None}


def rows(world: World) -> list[Any]:
    return [read_run(row.fields) for row in world.engine.state.query(REPLAY.prefix("shop"))]


def by_key(seen: list[tuple[str, int]]) -> dict[str, list[int]]:
    return {key: [number for name, number in seen if name == key] for key in ("o0", "o1", "o2")}


def test_effects_happen_again_and_tell_that_they_are_replayed(shop: Shopped) -> None:
    before, world = shop
    assert counts(world) == {"o0": 4, "o1": 4, "o2": 4}
    report = before.app.replay("count", since=0, effects="live")
    assert before.again() == WRITTEN
    assert {run for _, _, run in before.seen} == {None, report.run_id}
    assert counts(world) == {"o0": 8, "o1": 8, "o2": 8}
    assert (report.counts.changes, report.counts.called) == (12, 12)
    assert "not known before" in report.notes[0]
    assert rows(world) == []
    assert [value["replay"] for value in before.sent.values] == [False] * 12 + [True] * 12


def test_every_run_is_its_own(shop: Shopped) -> None:
    before, world = shop
    one = before.app.replay("count", since=0, effects="live")
    other = before.app.replay("count", since=0, effects="live")
    assert one.run_id != other.run_id
    assert counts(world) == {"o0": 12, "o1": 12, "o2": 12}


def test_a_change_that_fails_stops_the_run_before_it_and_the_same_question_goes_on(shop: Shopped) -> None:
    before, world = shop
    before.fails[("o1", 7)] = ValueError("no")
    with pytest.raises(ReplayStopped) as raised:
        before.app.replay("count", since=0, effects="live")
    (run,) = rows(world)
    assert (run.done, run.total) == (7, 12)
    assert "ValueError: no" in run.stopped
    assert "stands still before orders" in str(raised.value)
    assert f"--resume {run.id}" in str(raised.value)
    assert ("o1", 10) not in before.again()
    before.fails.clear()
    report = before.app.replay("count", since=0, effects="live")
    assert report.run_id == run.id
    assert rows(world) == []
    assert (report.counts.changes, report.counts.called) == (12, 12)
    assert {key: list(dict.fromkeys(numbers)) for key, numbers in by_key(before.again()).items()} == by_key(
        WRITTEN
    )
    assert counts(world) == {"o0": 8, "o1": 8, "o2": 8}  # what was handled behind it is not applied twice


def test_a_run_goes_on_by_its_name_and_an_unknown_one_is_refused(shop: Shopped) -> None:
    before, world = shop
    before.fails[("o0", 3)] = ValueError("no")
    with pytest.raises(ReplayStopped):
        before.app.replay("count", since=0, keys=[{"id": "o0"}], effects="live")
    (run,) = rows(world)
    assert (run.done, run.total) == (1, 4)
    with pytest.raises(SettingsError, match="no unfinished replay 'replay-x'"):
        before.app.replay("count", resume="replay-x", effects="live")
    before.fails.clear()
    report = before.app.replay("count", resume=run.id, effects="live")
    assert report.run_id == run.id
    assert by_key(before.again()) == {**by_key(WRITTEN), "o1": [], "o2": []}


def test_a_question_begins_anew_where_that_is_wanted(shop: Shopped) -> None:
    before, world = shop
    before.fails[("o0", 3)] = ValueError("no")
    with pytest.raises(ReplayStopped):
        before.app.replay("count", since=0, effects="live")
    (run,) = rows(world)
    before.fails.clear()
    before.seen.clear()
    report = before.app.replay("count", since=0, effects="live", anew=True)
    assert report.run_id != run.id
    assert before.again() == WRITTEN
    assert rows(world) == []


def test_a_run_that_forgets_how_far_it_was_is_caught(shop: Shopped, monkeypatch: pytest.MonkeyPatch) -> None:
    """The canary: what is handled again from the beginning is seen, though marks keep the counts right."""
    before, world = shop
    before.fails[("o1", 7)] = ValueError("no")
    with pytest.raises(ReplayStopped):
        before.app.replay("count", since=0, effects="live")
    handled = len(before.again())
    monkeypatch.setattr(Reached, "is_before", lambda *place: True)
    before.fails.clear()
    before.app.replay("count", since=0, effects="live")
    assert before.again()[handled:] == WRITTEN  # and not those from 7 on
    assert counts(world) == {"o0": 8, "o1": 8, "o2": 8}


def test_a_provider_of_the_world_stands_in_a_dry_run_too() -> None:
    app = App("shop")
    orders = app.table("orders", pk="id")
    app.archive(orders, "history/")

    def rate() -> int:
        raise AssertionError

    @app.on(orders, id="price")
    def price(change: Change, by: Annotated[int, Depends(rate)]) -> int:
        return by

    app.sink(price, Sent())
    with World(app, seed=1) as world:
        world.override(rate, lambda: 3)
        world.put(orders, {"id": "o1"})
        world.settle()
        assert [effect.body for effect in app.replay("price", since=0).effects] == ["3"]


def test_an_outage_uses_up_no_attempt(shop: Shopped) -> None:
    before, world = shop
    before.fails[("o1", 4)] = Unavailable("down")
    failing = before.fails
    begun_ms = world.clock.now().wall_ms
    asked: list[int] = []

    class Mending(dict[tuple[str, int], BaseException]):
        def __contains__(self, name: object) -> bool:
            if name == ("o1", 4):
                asked.append(1)
                return len(asked) < 9
            return False

    before.fails = Mending(failing)
    before.app.replay("count", since=0, effects="live")
    assert by_key(before.again()) == by_key(WRITTEN)
    assert len(asked) == 9
    assert world.clock.now().wall_ms - begun_ms > 8_000


def test_a_rate_is_kept(shop: Shopped) -> None:
    before, world = shop
    begun_ms = world.clock.now().wall_ms
    before.app.replay("count", since=0, effects="live", rate=2)
    assert 4_500 <= world.clock.now().wall_ms - begun_ms <= 7_000


def test_times_and_where_choose_what_is_replayed(shop: Shopped) -> None:
    before, _ = shop
    begin_s = 1_767_225_600
    before.app.replay("count", since=begin_s + 3, until=begin_s + 6, effects="live")
    assert before.again() == WRITTEN[3:6]
    before.seen.clear()
    report = before.app.replay("count", since=0, where=lambda change: change.new["n"] > 9, effects="live")
    assert before.again() == WRITTEN[10:]
    assert (report.counts.changes, report.counts.called) == (12, 2)


def test_changes_that_come_later_are_not_replayed(shop: Shopped) -> None:
    before, world = shop
    before.fails[("o1", 4)] = ValueError("no")
    with pytest.raises(ReplayStopped):
        before.app.replay("count", since=0, effects="live")
    world.put("orders", {"id": "o0", "n": Decimal(100)})
    world.settle()
    before.fails.clear()
    before.app.replay("count", since=0, effects="live")
    assert ("o0", 100) not in before.again()


def test_another_process_that_has_taken_a_run_up_ends_this_one(shop: Shopped) -> None:
    before, world = shop

    def taken(change: Change) -> bool:
        for row in world.engine.state.query(REPLAY.prefix("shop")):
            fields = {**row.fields, "taken": row.fields["taken"] + 1}
            world.engine.state.transact([Write(row.key, fields)])
        return True

    with pytest.raises(ReplayStopped, match="taken up by another process"):
        before.app.replay("count", since=0, where=taken, effects="live")


def test_what_contradicts_itself_is_refused(shop: Shopped) -> None:
    before, _ = shop
    for asked, words in (
        ({"effects": "wet"}, "dry-run"), ({}, "since= is missing"), ({"since": 5, "until": 5}, "not after"),
        ({"since": 0, "rate": 2}, "live"), ({"since": 0, "anew": True}, "live"),
        ({"since": 0, "effects": "live", "stubs": {}}, "dry-run"),
        ({"since": 0, "effects": "live", "rate": 0}, "more than 0"),
        ({"since": "2026-01-01T00:00"}, "no zone"),
    ):  # fmt: skip
        with pytest.raises(SettingsError) as raised:
            before.app.replay("count", **asked)  # type: ignore[arg-type]
        assert words in str(raised.value)
    with pytest.raises(SettingsError, match="not connected"):
        Shop().app.replay("count", since=0, effects="live")


def test_on_trial_from_a_program_nothing_happens(shop: Shopped) -> None:
    before, world = shop
    report = before.app.replay("count", since=0, keys=[{"id": "o2"}])
    assert counts(world) == {"o0": 4, "o1": 4, "o2": 4}
    assert [effect.kind for effect in report.effects] == ["transaction", "output"] * 4
    assert report.unknown == {}
    assert len(before.sent.values) == 12


def test_the_events_of_an_aggregate_are_replayed_by_their_versions() -> None:
    app, accounts = bank_app()
    app.archive(app.tables["bank"], "history/")
    seen: list[tuple[str, int, bool]] = []

    @app.on(accounts, id="note")
    def note(change: Change) -> None:
        seen.append((change.new.id, change.new.version, change.is_replay))

    with World(app, seed=1, shards=2) as world:
        for name in ("ann", "bob"):
            accounts.handle(name, Open(name))
        for amount in (1, 2, 3):
            for name in ("ann", "bob"):
                accounts.handle(name, Deposit(amount))
        world.settle()
        app.replay("note", since=0, effects="live")
    again = [(name, version) for name, version, is_replay in seen if is_replay]
    assert [version for name, version in again if name == "ann"] == [1, 2, 3, 4]
    assert [version for name, version in again if name == "bob"] == [1, 2, 3, 4]
    assert len(seen) == 16


def test_a_batch_that_fails_as_a_whole_is_handed_out_one_by_one() -> None:
    app = App("shop")
    orders = app.table("orders", pk="id")
    app.archive(orders, "history/")
    sizes: list[int] = []

    @app.batch(orders, retry=Retry(0), id="tally")
    def tally(batch: Any) -> None:
        if not batch[0].is_replay:
            return
        sizes.append(len(batch))
        if any(change.key == "o2" for change in batch):
            raise ValueError("no")

    with World(app, seed=1) as world:
        for number in range(4):
            world.put(orders, {"id": f"o{number}"})
        world.settle()
        with pytest.raises(ReplayStopped, match="ValueError: no"):
            app.replay("tally", since=0, effects="live")
        assert sizes == [4, 1, 1, 1]
        (run,) = rows(world)
        assert run.done == 2


def test_a_run_of_a_handler_that_is_renamed_goes_with_it(shop: Shopped) -> None:
    before, world = shop
    before.fails[("o1", 4)] = ValueError("no")
    with pytest.raises(ReplayStopped):
        before.app.replay("count", since=0, effects="live")
    (row,) = world.engine.state.query(REPLAY.prefix("shop"))
    assert kind_of(row.key) is REPLAY
    assert REPLAY.moves_with_rename
    assert REPLAY.goes_with_mapping
    assert [row.fields[name] for name in REPLAY.ids] == ["count"]


def record(key: bytes, number: int) -> ChangeRecord:
    return ChangeRecord(number, 0, "MODIFY", 0, 0, 0, key, b"{}")


RECORDS = [record(b"a", 1), record(b"b", 2), record(b"a", 3), record(b"c", 4)]
FAILURE = Failure(error="no")


@pytest.mark.parametrize(
    ("outcome", "left"),
    [
        (Written(), []),
        (Failed({}), []),
        (Failed({0: FAILURE}), [1, 3]),
        (Failed({1: FAILURE}), [2]),
        (Failed({2: FAILURE, 3: FAILURE}), [3, 4]),
        (Failed(whole=FAILURE), [1, 2, 3, 4]),
        (FailedFrom(2, FAILURE), [3, 4]),
    ],
)
def test_what_failed_is_left_with_what_follows_it_of_its_item(outcome: Any, left: list[int]) -> None:
    records, failure = unsettled(outcome, RECORDS)
    assert [one.sequence for one in records] == left
    assert (failure is None) == (not left)
