"""Windows of the past in worlds: on trial, live, and the border to those that are told live."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Annotated, Any
from uuid import uuid4

import pytest

from tailrace import App, Client, Depends, Item, Retry, Window
from tailrace.errors import ReplayStopped, SettingsError, Unavailable
from tailrace.mapping.outcomes import Written
from tailrace.replays.core.runs import read_run
from tailrace.rows.kinds import REPLAY
from tailrace.rows.writes import Write
from tailrace.streams.envelopes import event_id
from tailrace.testing import World
from tailrace.windows.core.rows import read_told
from tailrace.windows.run.retelling import Retelling

BEGUN = datetime(2026, 1, 1, tzinfo=UTC)


TIMED = """
import time

def now():
    return time.strftime("%M:%S", time.gmtime())
"""
"""What a handler asks: on trial it is not the time of the test."""


class Rows:
    """A sink as tables are: of each key the newest version stays."""

    def __init__(self) -> None:
        self.rows: dict[bytes, tuple[Any, Any]] = {}
        self.sent: list[tuple[str, Any]] = []

    async def write(self, batch: Any) -> Any:
        for record, value in zip(batch.records, batch.values, strict=True):
            self.sent.append((event_id(record), value))
            there = self.rows.get(record.keys)
            if there is None or there[0] < record.version:
                self.rows[record.keys] = record.version, value
        return Written()

    @property
    def values(self) -> dict[str, Any]:
        """By start, without the day."""
        return {key.decode().split("T")[1][:5]: value for key, (_, value) in self.rows.items()}


class Minutes:
    """An app with windows of a minute, and what its handler was called for."""

    def __init__(self, **window: Any) -> None:
        self.app = App("shop")
        self.orders = self.app.table("orders", pk="id")
        self.app.archive(self.orders, "history/")
        self.told: list[tuple[str, list[str], bool]] = []
        self.runs: set[str | None] = set()
        self.fails: dict[str, BaseException] = {}
        self.marked = ""
        self.rows = Rows()
        self.window = {"every": "1m", "keep": "40m", "retry": Retry(2, backoff="1s..2s"), **window}

        class Order(Item, table=self.orders):
            id: str
            shop: str = "NL"
            placed: datetime

        self.order = Order

    def declare(self) -> None:
        """Add the handler."""

        @self.app.window(self.order, at=self.order.placed, id="spike", **self.window)
        def spike(window: Window[Any]) -> list[str]:
            start, ids = f"{window.start:%H:%M}", [order.id for order in window]
            if window.is_replay and start in self.fails:
                raise self.fails[start]
            self.told.append((start, ids, window.is_replay))
            self.runs.add(window.replay_id)
            return [*ids, *([self.marked] if self.marked else [])]

        self.app.sink(spike, self.rows)

    def put(self, world: World, id: str, minute: float) -> None:
        world.put(self.order(id=id, placed=BEGUN + timedelta(minutes=minute)))

    def again(self) -> list[tuple[str, list[str]]]:
        return [(start, ids) for start, ids, is_replay in self.told if is_replay]

    def live(self) -> list[tuple[str, list[str]]]:
        return [(start, ids) for start, ids, is_replay in self.told if not is_replay]


def an_hour(minutes: Minutes, world: World) -> None:
    """An order a minute from 00:01 to 00:30; the journal begins at 00:00."""
    for minute in range(31):
        minutes.put(world, f"o{minute}", minute)
        world.advance("1m")


@pytest.fixture
def shop() -> Iterator[tuple[Minutes, World]]:
    minutes = Minutes()
    minutes.declare()
    with World(minutes.app, seed=1, shards=2, allow_failures=True, sinks="kept") as world:
        an_hour(minutes, world)
        yield minutes, world


@pytest.fixture
def added() -> Iterator[tuple[Minutes, World]]:
    """The same, of a handler that is added two days later: the stream has nothing of it any more."""
    minutes = Minutes(keep="72h")
    with World(minutes.app, seed=1, shards=2, allow_failures=True) as world:
        an_hour(minutes, world)
        world.advance("48h")
        yield minutes, world


Shopped = tuple[Minutes, World]


def run_rows(world: World) -> list[Any]:
    return [read_run(row.fields) for row in world.engine.state.query(REPLAY.prefix("shop"))]


# ---- on trial ----------------------------------------------------------------------------------------------


def test_a_dry_run_shows_each_window_once_as_it_was_last(shop: Shopped) -> None:
    minutes, world = shop
    minutes.put(world, "o1", 2.5)  # moved: 00:01 has nothing left
    minutes.put(world, "late", 3.5)
    world.advance("2h")
    before, sent = list(minutes.told), len(minutes.rows.sent)
    report = minutes.app.replay("spike", since="2026-01-01T00:02Z", until="2026-01-01T00:06Z")
    assert [change.window.items for change in report.changes if change.window] == [
        ('{"id":{"S":"o2"}}',), ('{"id":{"S":"o3"}}',), ('{"id":{"S":"o4"}}',), ('{"id":{"S":"o5"}}',)
    ]  # fmt: skip
    assert len(minutes.told) == len(before) + 4
    whole = minutes.app.replay("spike", since="2026-01-01T00:02Z")
    assert [effect.value for effect in whole.effects][:3] == [["o2", "o1"], ["o3", "late"], ["o4"]]
    (first, *_) = whole.changes
    assert first.window is not None
    assert (first.window.key, first.window.start_ms // 60_000 % 60, first.event) == ("null", 2, "WINDOW")
    assert (whole.counts.changes, whole.counts.called, whole.counts.unknown) == (33, 29, 0)
    assert whole.run_id == "replay-dry-run"
    assert len(minutes.rows.sent) == sent


def test_until_says_what_a_window_held_then(shop: Shopped) -> None:
    minutes, world = shop
    minutes.put(world, "o5", 6.5)
    world.advance("2h")
    asked: dict[str, Any] = {"since": "2026-01-01T00:05:30Z"}
    then = minutes.app.replay("spike", until="2026-01-01T00:31Z", **asked)
    assert then.effects[0].value == ["o5"]
    assert minutes.app.replay("spike", **asked).effects[0].value == ["o6", "o5"]


def test_windows_of_two_times_that_meet_are_those_of_both(shop: Shopped) -> None:
    minutes, world = shop
    world.advance("2h")
    edges = ["2026-01-01T00:00Z", "2026-01-01T00:10:00Z", "2026-01-01T00:20:30Z", "2026-01-01T03:00Z"]
    parts = [minutes.app.replay("spike", since=since, until=until) for since, until in pairwise(edges)]
    whole = minutes.app.replay("spike", since=edges[0], until=edges[-1])
    told = [change.window for part in parts for change in part.changes]
    assert told == [change.window for change in whole.changes]
    assert len(told) == 31


def test_the_handlers_time_is_the_end_of_its_window_and_chance_is_its_own() -> None:
    minutes = Minutes()
    app = minutes.app
    handlers_time: dict[str, Any] = {}
    exec(TIMED, handlers_time)

    @app.window(minutes.order, every="1m", at=minutes.order.placed, id="timed")
    def timed(window: Window[Any]) -> list[str]:
        return [handlers_time["now"](), str(uuid4())]

    app.sink(timed, minutes.rows)
    with World(app, seed=1) as world:
        an_hour(minutes, world)
        world.advance("1h")
        one, other = (app.replay(timed, since=0).effects for _ in range(2))
    assert [effect.value[0] for effect in one[:2]] == ["01:00", "02:00"]
    assert one == other
    assert len({effect.value[1] for effect in one}) == len(one)


def test_tables_are_read_as_of_the_end_and_other_calls_are_unknown() -> None:
    minutes = Minutes()
    app = minutes.app
    stock = app.table("stock", pk="sku")
    app.archive(stock, "history/stock/")

    @app.window(minutes.order, every="1m", at=minutes.order.placed, id="stocked")
    def stocked(window: Window[Any], client: Annotated[Client, Depends(app.client)]) -> Any:
        if window.start.minute == 3:
            import socket

            socket.create_connection(("127.0.0.1", 9))
        item = client.get("stock", {"sku": "s"})
        return None if item is None else int(item["n"])

    app.sink(stocked, minutes.rows)
    with World(app, seed=1, allow_failures=True) as world:
        for minute in range(5):
            minutes.put(world, f"o{minute}", minute)
            world.put("stock", {"sku": "s", "n": minute})
            world.advance("1m")
        world.advance("1h")
        report = app.replay(stocked, since=0)
    told = {change.window.start_ms // 60_000 % 60: change for change in report.changes if change.window}
    assert [effect.body for effect in told[1].effects] == ["1"]
    assert [effect.body for effect in told[4].effects] == ["4"]
    assert told[3].effects == ()
    assert "127.0.0.1:9" in told[3].unknown
    assert report.counts.unknown == 1


def test_a_handler_that_fails_leaves_its_dead_letter(shop: Shopped) -> None:
    minutes, world = shop
    world.advance("1h")
    minutes.fails["00:04"] = ValueError("no")
    report = minutes.app.replay("spike", since="2026-01-01T00:04:30Z", until="2026-01-01T00:06Z")
    assert [(effect.kind, effect.target) for effect in report.effects] == [
        ("deadletter", "ValueError"), ("output", "Rows")
    ]  # fmt: skip


def test_windows_of_before_the_journal_are_counted_and_not_told() -> None:
    minutes = Minutes()
    minutes.declare()
    with World(minutes.app, seed=1) as world:
        world.advance("90s")
        minutes.put(world, "o1", 1.6)
        minutes.put(world, "o2", 2.5)
        world.advance("2h")
        report = minutes.app.replay("spike", since=0)
        assert [effect.value for effect in report.effects] == [["o2"]]
        (told,) = [words for words in report.notes if "not complete" in words]
        assert told.startswith("1 windows")


def test_what_was_there_before_the_journal_is_in_the_windows_of_its_time() -> None:
    """An appointment that was made before, by the base, and one that is moved later, by its old image."""
    minutes = Minutes()
    app = App("shop")
    orders = app.table("orders", pk="id")
    world = World(app, seed=1)
    for name in ("kept", "moved"):
        at = (BEGUN + timedelta(minutes=30)).isoformat()
        world.put(orders, {"id": name, "shop": "NL", "placed": at})
    world.advance("5m")
    minutes.declare()
    with world:
        world.use(minutes.app)
        world.advance("30m")
        minutes.put(world, "moved", 40)
        world.advance("30m")
        report = minutes.app.replay("spike", since=0)
    assert [effect.value for effect in report.effects] == [["kept"], ["moved"]]


def test_windows_that_lack_changes_of_a_gap_are_not_told(
    shop: Shopped, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tailrace.journal.core.past import Coverage, LostTime

    minutes, world = shop
    world.advance("2h")
    whole = minutes.app.replay("spike", since=0)
    minute_us = 60_000_000
    begun_us = int(BEGUN.timestamp()) * 1_000_000
    gap = LostTime("", begun_us + 8 * minute_us, begun_us + 9 * minute_us, "a gap of a minute")
    monkeypatch.setattr(Coverage, "lost", (gap,), raising=False)
    replaced = Coverage.__getattribute__
    monkeypatch.setattr(
        Coverage, "__getattribute__", lambda self, name: (gap,) if name == "lost" else replaced(self, name)
    )
    report = minutes.app.replay("spike", since=0)
    starts = [change.window.start_ms // 60_000 % 60 for change in report.changes if change.window]
    # what began before the end of the gap, and could still be changed when it began
    assert starts == [minute for minute in range(31) if minute >= 9]
    assert "a gap of a minute" in report.notes
    assert any(words.startswith("9 windows are not complete") for words in report.notes)
    assert len(whole.changes) == 31


@pytest.mark.parametrize(
    "asked",
    [
        {"keys": [{"id": "o1"}]},
        {"where": '{"eventName": ["INSERT"]}'},
        {"where": lambda change: True},
        {"where": lambda change: True, "effects": "live"},
    ],
)
def test_a_choice_of_changes_is_refused_for_windows(shop: Shopped, asked: dict[str, Any]) -> None:
    minutes, _ = shop
    with pytest.raises(SettingsError, match="a window is all of its items"):
        minutes.app.replay("spike", since=0, **asked)


def test_changes_without_a_window_are_counted_with_the_first_reason(shop: Shopped) -> None:
    minutes, world = shop
    world.put("orders", {"id": "broken", "shop": "NL", "placed": "soon"})
    world.advance("2h")
    report = minutes.app.replay("spike", since=0)
    (told,) = [words for words in report.notes if "have no window" in words]
    assert told.startswith("1 changes")
    assert '{"id":{"S":"broken"}}' in told
    assert report.counts.called == 31


# ---- live --------------------------------------------------------------------------------------------------


def test_words_of_the_past_are_told_again_and_replace_what_was_told(shop: Shopped) -> None:
    minutes, world = shop
    world.advance("2h")
    assert minutes.rows.values["00:07"] == ["o7"]
    minutes.marked = "mended"
    report = minutes.app.replay("spike", since="2026-01-01T00:06Z", until="2026-01-01T00:09Z", effects="live")
    assert minutes.again() == [("00:06", ["o6"]), ("00:07", ["o7"]), ("00:08", ["o8"])]
    assert minutes.runs == {None, report.run_id}
    assert minutes.rows.values["00:07"] == ["o7", "mended"]
    assert minutes.rows.values["00:09"] == ["o9"]
    assert (report.counts.changes, report.counts.called) == (31, 3)
    assert run_rows(world) == []


def test_each_run_is_newer_than_the_one_before(shop: Shopped) -> None:
    minutes, world = shop
    world.advance("2h")
    asked: dict[str, Any] = {"since": "2026-01-01T00:06Z", "until": "2026-01-01T00:07Z", "effects": "live"}
    for marked in ("first", "second"):
        minutes.marked = marked
        minutes.app.replay("spike", **asked)
        assert minutes.rows.values["00:06"] == ["o6", marked]
    assert len({name for name, value in minutes.rows.sent if value[0] == "o6"}) == 3


def test_a_later_live_word_is_newer_than_that_of_a_replay() -> None:
    """A window of which everything is closed that is in it, and that something new can still come to."""
    minutes = Minutes(every="1m", length="3m", keep="10m")
    minutes.declare()
    with World(minutes.app, seed=1) as world:
        world.advance("5m")
        minutes.put(world, "first", 5)
        minutes.put(world, "o6", 6.5)
        world.advance("13m")  # 00:18: 00:06 is closed for good, and 00:07 is not
        world.advance("90s")
        minutes.marked = "replayed"
        minutes.app.replay("spike", since=0, effects="live")
        assert minutes.rows.values["00:06"] == ["o6", "replayed"]
        minutes.marked = "corrected"
        minutes.put(world, "o8", 8.5)
        world.advance("1m")
        assert minutes.rows.values["00:06"] == ["o6", "o8", "corrected"]
        rows = [read_told(row.fields) for row in world.engine.state.query("window-told/")]
        assert any(row.revision == 2 and row.generation > 1 for row in rows)


def test_what_a_replay_notes_of_windows_is_forgotten_like_what_live_delivery_does() -> None:
    minutes = Minutes(every="1m", length="3m", keep="10m")
    minutes.declare()
    with World(minutes.app, seed=1) as world:
        world.advance("5m")
        minutes.put(world, "o6", 6.5)
        world.advance("14m")
        minutes.app.replay("spike", since=0, effects="live")
        rows = [read_told(row.fields) for row in world.engine.state.query("window-told/")]
        assert any(row.generation > 1 for row in rows)
        world.advance("49h")
        assert world.engine.state.query("window-") == []


def test_a_handler_of_today_has_the_history_of_the_journal(added: Shopped) -> None:
    """Beyond the border windows are told live, with what the journal knows and the stream has forgotten."""
    minutes, world = added
    minutes.declare()
    world.restart()
    world.advance("10m")
    assert minutes.told == []
    report = minutes.app.replay("spike", since=0, effects="live")
    world.advance("1m")
    assert minutes.again() == []
    assert minutes.live() == [(f"00:{minute:02d}", [f"o{minute}"]) for minute in range(31)]
    assert report.counts.called == 0
    assert "told by the live handler" in report.notes[-1]


@pytest.mark.parametrize("shape", [{"every": "1m"}, {"every": "1m", "length": "4m"}, {"gap": "90s"}])
@pytest.mark.parametrize("lateness", ["0s", "2m"])
def test_the_border_is_exact(shape: dict[str, str], lateness: str) -> None:
    """A handler that is added later tells, with one replay, what one has told that was there from the
    beginning: no window by none of the two, none by both with different content.
    """
    words = []
    for is_added in (False, True):
        minutes = Minutes(**{"every": None, **shape}, keep="2871m", lateness=lateness)
        with World(minutes.app, seed=1, shards=2) as world:
            if not is_added:
                minutes.declare()
                world.restart()
            minutes.put(world, "begun", -9 * 24 * 60)
            world.advance("10m")
            for minute in range(31):
                if minute % 7 != 3:
                    minutes.put(world, f"o{minute}", minute + 10.5)
                world.advance("1m")
            minutes.put(world, "o4", 31.75)
            world.delete(minutes.order, id="o20")
            world.advance("2850m")
            if is_added:
                minutes.declare()
                world.restart()
            minutes.put(world, "new", 39.75)
            world.advance("1m")
            if is_added:
                minutes.app.replay("spike", since=0, effects="live")
            world.advance("1m")
        last = {start: ids for start, ids, _ in minutes.told}
        words.append({start: ids for start, ids in last.items() if ids})
        if is_added:
            assert minutes.again(), "some are the replay's"
            assert minutes.live(), "some are told live"
            both = {start for start, _ in minutes.again()} & {start for start, ids in minutes.live() if ids}
            assert both == set()
    assert words[0] == words[1]


def test_a_border_that_leaves_windows_to_nobody_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The canary: what a replay does not hand over, nobody tells."""

    async def nothing(self: Retelling, *members: Any) -> None:
        return None

    monkeypatch.setattr(Retelling, "hand_over", nothing)
    with pytest.raises(AssertionError):
        test_the_border_is_exact({"every": "1m", "length": "4m"}, "0s")


def test_what_is_handed_over_is_what_live_windows_do_not_know(shop: Shopped) -> None:
    minutes, world = shop
    before = len(minutes.told)
    rows = {row.key: row.fields for row in world.engine.state.query("window-")}
    minutes.app.replay("spike", since="2026-01-01T00:30Z", effects="live")
    world.advance("10s")
    assert len(minutes.told) == before
    assert {row.key: row.fields for row in world.engine.state.query("window-")} == rows


def test_a_window_that_fails_stops_the_run_before_it_and_the_same_question_goes_on(shop: Shopped) -> None:
    minutes, world = shop
    world.advance("2h")
    minutes.fails["00:07"] = ValueError("no")
    with pytest.raises(ReplayStopped, match="stands still before the window 2026-01-01T00:07:00Z") as raised:
        minutes.app.replay("spike", since=0, effects="live")
    (run,) = run_rows(world)
    assert (run.done, run.total) == (7, 31)
    assert f"--resume {run.id}" in str(raised.value)
    minutes.fails.clear()
    report = minutes.app.replay("spike", since=0, effects="live")
    assert report.run_id == run.id
    assert minutes.again() == [(f"00:{minute:02d}", [f"o{minute}"]) for minute in range(31)]
    assert report.counts.called == 31


def test_an_outage_uses_up_no_attempt(shop: Shopped) -> None:
    minutes, world = shop
    world.advance("2h")
    asked: list[int] = []

    class Mending(dict[str, BaseException]):
        def __contains__(self, start: object) -> bool:
            if start == "00:05":
                asked.append(1)
            return start == "00:05" and len(asked) < 9

    minutes.fails = Mending({"00:05": Unavailable("down")})
    minutes.app.replay("spike", since=0, effects="live")
    assert len(minutes.again()) == 31
    assert len(asked) == 9


def test_a_rate_is_kept(shop: Shopped) -> None:
    minutes, world = shop
    world.advance("2h")
    begun_ms = world.clock.now().wall_ms
    minutes.app.replay("spike", since=0, effects="live", rate=10)
    assert 2_500 <= world.clock.now().wall_ms - begun_ms <= 5_000


def test_another_process_that_has_taken_a_run_up_ends_this_one(shop: Shopped) -> None:
    minutes, world = shop
    world.advance("2h")

    class Taking(dict[str, BaseException]):
        def __contains__(self, start: object) -> bool:
            if start == "00:05":
                for row in world.engine.state.query(REPLAY.prefix("shop")):
                    fields = {**row.fields, "taken": row.fields["taken"] + 1}
                    world.engine.state.transact([Write(row.key, fields)])
            return False

    minutes.fails = Taking()
    with pytest.raises(ReplayStopped, match="taken up by another process"):
        minutes.app.replay("spike", since=0, effects="live")


def test_a_run_that_is_cut_off_tells_the_rest_and_at_most_a_batch_again(shop: Shopped) -> None:
    minutes, world = shop
    world.advance("2h")
    minutes.fails["00:25"] = KeyboardInterrupt()
    minutes.window["batch_size"] = 10
    with pytest.raises(ReplayStopped):
        minutes.app.replay("spike", since=0, effects="live")
    told = len(minutes.again())
    sent = len(minutes.rows.sent)
    # as a kill leaves it: the last save is that of the last whole batch
    (row,) = world.engine.state.query(REPLAY.prefix("shop"))
    run = read_run(row.fields)
    assert run.told is not None
    place = [run.told[0] - 5 * 60_000, *run.told[1:]]
    place[2] -= 5 * 60_000
    world.engine.state.transact([Write(row.key, {**row.fields, "told": place, "done": run.done - 5})])
    minutes.fails.clear()
    minutes.app.replay("spike", resume=run.id, effects="live")
    again = minutes.again()
    assert again[told:] == [(f"00:{minute:02d}", [f"o{minute}"]) for minute in range(20, 31)]
    repeated = [name for name, _ in minutes.rows.sent[sent - 5 : sent]]
    assert [name for name, _ in minutes.rows.sent[sent : sent + 5]] == repeated


def test_a_run_that_forgets_how_far_it_was_is_caught(shop: Shopped, monkeypatch: pytest.MonkeyPatch) -> None:
    """The canary."""
    from tailrace.windows.core.past import PastWindow

    minutes, world = shop
    world.advance("2h")
    minutes.fails["00:07"] = ValueError("no")
    with pytest.raises(ReplayStopped):
        minutes.app.replay("spike", since=0, effects="live")
    minutes.fails.clear()
    monkeypatch.setattr(PastWindow, "place", (1 << 62, "", 0))
    with pytest.raises(Exception):  # noqa: B017 - whatever it comes to, it is no quiet success
        minutes.app.replay("spike", since=0, effects="live")
        assert minutes.again() == [(f"00:{minute:02d}", [f"o{minute}"]) for minute in range(31)]
