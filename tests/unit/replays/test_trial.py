"""Handlers on trial: their effects are noted, nothing leaves, and time and chance are those of the change."""

import importlib
import random
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import pytest

from tailrace import App, AsyncClient, Change, Client, Depends, Item
from tailrace.app.table import schema_of
from tailrace.errors import SettingsError, Unavailable
from tailrace.journal.run.past import PastReader
from tailrace.journal.run.reading import JournalGap, JournalView
from tailrace.replays.core.differences import EffectComparison, paired
from tailrace.replays.core.effects import ReplayedChange, ReplayEnd
from tailrace.replays.core.runs import ReplayQuestion
from tailrace.replays.run.calls import DryRun
from tailrace.replays.run.noting import notes_here, trial
from tailrace.replays.run.stubs import stubs_of
from tailrace.replays.run.trial import run_dry
from tailrace.testing import World
from tests.bank import Deposit, Deposited, Open, bank_app

FAR_US = 10**18


def shop() -> App:
    app = App("shop")
    orders = app.table("orders", pk="id")
    stock = app.table("stock", pk="sku")
    for table in (orders, stock):
        app.archive(table, f"history/{table.name}/")
    return app


@pytest.fixture
def journaled() -> Iterator[tuple[World, App]]:
    """A world with three changes of orders, and no handler yet."""
    app = shop()
    with World(app, seed=1) as world:
        world.put("stock", {"sku": "there"})
        world.put("orders", {"id": "o1", "total": Decimal("1.50")})
        world.advance("1m")
        world.put("orders", {"id": "o2", "total": Decimal(2)})
        world.advance("1m")
        world.delete("orders", {"id": "o1"})
        world.settle()
        yield world, app


def replayed(
    world: World, app: App, handler: Callable[..., Any] | str, *, stubs: Any = None, **asked: Any
) -> tuple[list[ReplayedChange], ReplayEnd]:
    mapping = app._declared.mapping_of("replay", handler)
    question = ReplayQuestion(mapping.id, asked.pop("since_us", 0), keys=asked.pop("keys", ()))
    changes: list[ReplayedChange] = []
    until_us = asked.pop("until_us", FAR_US)
    chosen = stubs_of(stubs or {}, mapping)
    end = run_dry(
        DryRun(app, mapping, question, until_us, world._past_of, stubs=chosen, **asked), changes.append
    )
    return changes, end


def effects(changes: list[ReplayedChange]) -> list[tuple[Any, ...]]:
    return [(effect.kind, effect.target, effect.body) for change in changes for effect in change.effects]


class Queue:
    """A sink of a user's."""

    async def write(self, batch: Any) -> Any:
        raise AssertionError("nothing is sent on trial")


Journaled = tuple[World, App]


# ---- what is noted -----------------------------------------------------------------------------------------


def test_outputs_are_noted_and_not_sent(journaled: Journaled) -> None:
    world, app = journaled

    @app.on(app.tables["orders"], where=lambda change: change.event_name != "REMOVE")
    def told(change: Change) -> dict[str, Any]:
        assert change.is_replay
        assert change.replay_id == "replay-dry-run"
        return {"id": change.key, "total": change.new["total"]}

    app.sink(told, Queue())
    changes, end = replayed(world, app, told)
    assert effects(changes) == [
        ("output", "Queue", '{"id":"o1","total":1.5}'),
        ("output", "Queue", '{"id":"o2","total":2}'),
    ]
    assert [(change.place, change.key) for change in changes] == [
        (0, '{"id":{"S":"o1"}}'), (1, '{"id":{"S":"o2"}}')
    ]  # fmt: skip
    assert (end.counts.changes, end.counts.called, end.counts.effects, end.counts.unknown) == (3, 2, 2, 0)
    assert "not known before" in end.notes[0]


def test_a_live_change_is_no_replay() -> None:
    app = shop()
    seen: list[tuple[bool, Any]] = []

    @app.on(app.tables["orders"])
    def live(change: Change) -> None:
        seen.append((change.is_replay, change.replay_id))

    with World(app, seed=1) as world:
        world.put("orders", {"id": "o1"})
        world.settle()
    assert seen == [(False, None)]


def test_recorded_writes_are_the_items_that_would_be_there(journaled: Journaled) -> None:
    world, app = journaled
    world.put("stock", {"sku": "a", "n": Decimal(5)})
    world.advance("1m")
    world.put("orders", {"id": "o3"})
    world.advance("1m")
    world.put("stock", {"sku": "a", "n": Decimal(100)})
    world.settle()

    @app.on(app.tables["orders"], where=lambda change: change.key == "o3")
    def take(change: Change) -> None:
        change.transaction.update("stock", {"sku": "a"}, "ADD n :n", values={":n": Decimal(-1)})
        change.transaction.put("stock", {"sku": "b"})
        change.transaction.check("stock", {"sku": "c"}, "attribute_not_exists(sku)")

    changes, _ = replayed(world, app, take)
    assert effects(changes) == [
        ("transaction", "Update stock", '{"item":{"sku":{"S":"a"},"n":{"N":"4"}}}'),
        ("transaction", "Put stock", '{"item":{"sku":{"S":"b"}}}'),
        ("transaction", "ConditionCheck stock", '{"item":null}'),
    ]
    assert world.get("stock", {"sku": "b"}) is None


def test_a_condition_that_fails_is_what_would_become_a_dead_letter(journaled: Journaled) -> None:
    world, app = journaled

    @app.on(app.tables["orders"].inserted)
    def once(change: Change) -> None:
        change.transaction.put("orders", {"id": "o1"}, condition="attribute_not_exists(id)")

    changes, _ = replayed(world, app, once)
    assert [(kind, target) for kind, target, _ in effects(changes)] == [
        ("deadletter", "change.transaction")
    ] * 2
    assert "ConditionalCheckFailed" in effects(changes)[0][2]


def test_what_a_handler_raises_is_a_dead_letter_and_the_next_change_goes_on(journaled: Journaled) -> None:
    world, app = journaled

    @app.on(app.tables["orders"])
    def fails(change: Change) -> None:
        if change.key == "o1":
            raise ValueError(f"no {change.event_name}")

    changes, end = replayed(world, app, fails)
    assert effects(changes) == [
        ("deadletter", "ValueError", '{"error":"ValueError: no INSERT"}'),
        ("deadletter", "ValueError", '{"error":"ValueError: no REMOVE"}'),
    ]
    assert end.counts.called == 3


def test_writes_of_a_client_are_noted_and_read_again_by_the_same_change(journaled: Journaled) -> None:
    world, app = journaled
    seen: list[Any] = []

    @app.on(app.tables["orders"])
    def sync(change: Change, db: Annotated[Client, Depends(app.client)]) -> None:
        seen.append(db.get("stock", {"sku": "x"}))
        db.put("stock", {"sku": "x", "by": change.key})
        seen.append(db.get("stock", {"sku": "x"}))

    changes, end = replayed(world, app, sync)
    assert seen == [
        None,
        {"sku": "x", "by": "o1"},
        None,
        {"sku": "x", "by": "o2"},
        None,
        {"sku": "x", "by": "o1"},
    ]
    assert [target for _, target, _ in effects(changes)] == ["Put stock"] * 3
    assert end.counts.unknown == 0


def test_reads_are_answered_as_of_the_change(journaled: Journaled) -> None:
    world, app = journaled
    seen: list[Any] = []

    @app.on(app.tables["orders"])
    async def look(change: Change, db: Annotated[AsyncClient, Depends(app.async_client)]) -> None:
        both = [await db.get("orders", {"id": key}) for key in ("o1", "o2")]
        seen.append([None if item is None else int(item["total"] * 2) for item in both])

    replayed(world, app, look)
    assert seen == [[3, None], [3, 4], [None, 4]]


def test_of_changes_of_one_millisecond_the_later_ones_are_not_there_yet() -> None:
    app = shop()
    with World(app, seed=1) as world:
        world.put("stock", {"sku": "a", "n": Decimal(1)})
        world.put("orders", {"id": "o1"})
        world.put("stock", {"sku": "a", "n": Decimal(2)})
        world.put("orders", {"id": "o1", "again": True})
        world.settle()
        seen: list[Any] = []

        @app.on(app.tables["orders"])
        def look(change: Change, db: Annotated[Client, Depends(app.client)]) -> None:
            stock = db.query("stock", "sku = :s", values={":s": "a"})
            own = db.query("orders", "id = :o", values={":o": "o1"})
            seen.append((int(db.get("stock", {"sku": "a"})["n"]), [int(one["n"]) for one in stock], own))  # type: ignore[index]

        replayed(world, app, look)
    assert seen == [(1, [1], [{"id": "o1"}]), (2, [2], [{"id": "o1", "again": True}])]


def test_items_of_entities_and_batches_are_as_in_a_worker() -> None:
    app = App("typed")
    table = app.table("shop", pk="pk")
    app.archive(table, "history/")

    class Order(Item, table=table, pk="ORDER#{id}"):
        id: str
        at: datetime
        on: date = date(2026, 1, 1)

    with World(app, seed=1) as world:
        world.put(Order(id="o1", at=datetime(2026, 1, 2, tzinfo=UTC)))
        world.settle()

        @app.batch(Order)
        def tally(batch: Any) -> None:
            for change in batch:
                change.transaction.put(Order(id="copy", at=change.new.at, on=date(2026, 1, 3)))

        @app.on(Order)
        def same(change: Change[Order]) -> Order:
            return change.new

        app.sink(same, Queue())
        changes, _ = replayed(world, app, tally)
        values, _ = replayed(world, app, same)
    assert effects(changes)[0][2].count("2026-01-0") == 2
    assert effects(values) == [
        ("output", "Queue", '{"id":"o1","at":"2026-01-02T00:00:00+00:00","on":"2026-01-01"}')
    ]


def test_functions_and_sinks_of_tables_are_replayed_too(journaled: Journaled) -> None:
    world, app = journaled
    events: list[Any] = []
    app.function(lambda event, context: events.append(event), app.tables["orders"], id="legacy")
    app.sink(app.tables["orders"], Queue(), id="queue", transform=lambda change: change.event_name)
    _, end = replayed(world, app, "legacy")
    assert [record["eventName"] for event in events for record in event["Records"]] == [
        "INSERT",
        "INSERT",
        "REMOVE",
    ]
    assert end.counts.called == 3
    changes, _ = replayed(world, app, "queue")
    assert [body for _, _, body in effects(changes)] == ['"INSERT"', '"INSERT"', '"REMOVE"']


def test_what_cannot_be_replayed_is_refused(journaled: Journaled) -> None:
    world, app = journaled

    @app.projection(app.tables["orders"], initial=0)
    def count(total: int, item: Any, sign: int) -> int:
        return total + sign

    app.function(
        lambda event, context: {"state": {}}, app.tables["orders"], id="w", TumblingWindowInSeconds=60
    )
    bare = app.table("bare", pk="id")

    @app.on(bare)
    def unkept(change: Change) -> None: ...

    for handler, words in (
        (count, "projection rebuild"), ("orders.archive", "a journal is what is replayed"),
        ("w", "tumbling window"), (unkept, "no journal"),
    ):  # fmt: skip
        with pytest.raises(SettingsError) as raised:
            replayed(world, app, handler)
        assert words in str(raised.value)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"keys": []}, r"keys=\[\] is not allowed: it names at least one item"),
        ({"keys": ()}, "keys=None is all of them"),
        ({"keys": "orders/o0"}, "keys='orders/o0' is not allowed"),
        ({"keys": {"id": "o0"}}, "is not allowed"),
        ({"where": {"eventName": ["INSERT"]}}, "an event pattern as text"),
    ],
)
def test_what_would_choose_everything_by_mistake_is_refused(
    asked: dict[str, Any], words: str, journaled: Journaled
) -> None:
    _, app = journaled

    @app.on(app.tables["orders"])
    def seen(change: Change) -> None: ...

    for effects in ("dry-run", "live"):
        with pytest.raises(SettingsError) as refused:
            app.replay(seen, since="2026-01-01T00:00Z", effects=effects, **asked)
        assert re.search(words, str(refused.value))


def test_handlers_of_aggregates_append_as_of_the_change() -> None:
    app, accounts = bank_app()
    app.archive(app.tables["bank"], "history/")
    with World(app, seed=1) as world:
        for name in ("ann", "bob"):
            accounts.handle(name, Open(name), command_id="open")
        world.advance("1s")
        accounts.handle("ann", Deposit(10), command_id="first")
        world.advance("1s")
        accounts.handle("bob", Deposit(5), command_id="first")
        world.settle()
        seen: list[Any] = []

        @app.on(accounts, id="mirror")
        def mirror(change: Change, db: Annotated[Client, Depends(app.client)]) -> None:
            if change.new.id == "ann" and isinstance(change.new.event, Deposited):
                seen.append(accounts.load("bob", db=db).state.balance)
                accounts.handle("bob", Deposit(change.new.event.amount), command_id="copy", db=db)

        one, end = replayed(world, app, mirror)
        two, _ = replayed(world, app, mirror)
        assert accounts.load("bob").state.balance == 5
    assert seen == [0, 0]
    assert [target for _, target, _ in effects(one)] == ["Put bank", "Put bank"]
    assert one == two
    assert end.counts.unknown == 0


# ---- which changes -----------------------------------------------------------------------------------------


def test_times_keys_and_where_choose_changes(journaled: Journaled) -> None:
    world, app = journaled
    seen: list[str] = []

    @app.on(app.tables["orders"])
    def tell(change: Change) -> str:
        seen.append(f"{change.event_name} {change.key}")
        return seen[-1]

    def told(**asked: Any) -> list[str]:
        seen.clear()
        replayed(world, app, tell, **asked)
        return [*seen]

    app.sink(tell, Queue())
    begun_us = next(iter(replayed(world, app, tell)[0])).created_us
    minute_us = 60_000_000
    assert told() == ["INSERT o1", "INSERT o2", "REMOVE o1"]
    assert told(since_us=begun_us, until_us=begun_us + minute_us) == ["INSERT o1"]
    assert told(since_us=begun_us + 1, until_us=begun_us + minute_us + 1) == ["INSERT o2"]
    key = schema_of(app.tables["orders"]).key_bytes({"id": {"S": "o1"}})
    other = schema_of(app.tables["orders"]).key_bytes({"id": {"S": "o2"}})
    assert told(keys=(key,)) == ["INSERT o1", "REMOVE o1"]
    assert told(keys=(key, other)) == ["INSERT o1", "INSERT o2", "REMOVE o1"]
    assert told(where=lambda change: change.key == "o2") == ["INSERT o2"]
    assert told(where='{"eventName": ["REMOVE"]}') == ["REMOVE o1"]
    with pytest.raises(SettingsError, match="where"):
        told(where="{")


def test_what_the_journal_does_not_know_is_said(
    journaled: Journaled, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, app = journaled

    @app.on(app.tables["orders"])
    def tell(change: Change) -> int:
        return 1

    app.sink(tell, Queue())
    (first, *_), end = replayed(world, app, tell)
    assert "not known before" in end.notes[0]
    begin_us = first.created_us
    assert replayed(world, app, tell, since_us=begin_us)[1].notes == ()
    monkeypatch.setattr(JournalView, "precision_us", 1_000_000)
    assert "within a second" in replayed(world, app, tell, since_us=begin_us)[1].notes[0]
    monkeypatch.setattr(JournalView, "gaps", [JournalGap("l", "shard-1", 1, 5)])
    assert "changes 1 to 5 of shard shard-1" in replayed(world, app, tell, since_us=begin_us)[1].notes[0]


def test_a_replayed_change_is_the_one_that_was_delivered() -> None:
    app = shop()
    live: list[Any] = []
    again: list[Any] = []

    def shown(change: Change) -> Any:
        record = change.record
        return (
            change.event_id, change.event_name, change.at, str(change.raw_old), str(change.raw_new),
            change.by_ttl, record.version, record.key, record.partition, record.size_bytes, record.keys_size,
            record.new_size,
        )  # fmt: skip

    @app.on(app.tables["orders"])
    def tell(change: Change) -> None:
        (again if change.is_replay else live).append(shown(change))

    with World(app, seed=1, shards=3) as world:
        for number in range(9):
            world.put("orders", {"id": f"o{number % 4}", "n": Decimal(number)})
        world.delete("orders", {"id": "o1"})
        world.settle()
        replayed(world, app, tell)
    assert sorted(again) == sorted(live)
    assert len(again) == 10


# ---- time and chance ---------------------------------------------------------------------------------------


ASKING = """
import datetime as datetimes
import random
import re
import secrets
import time
import uuid
from datetime import UTC, date, datetime


def drawn(change):
    shuffled = [*range(10)]
    random.shuffle(shuffled)
    return {
        "uuid": str(uuid.uuid4()),
        "random": random.random(),
        "choice": shuffled,
        "token": secrets.token_hex(8),
        "system": random.SystemRandom().randrange(10**9),
        "time": time.time(),
        "ns": time.time_ns(),
        "now": datetime.now(UTC).isoformat(),
        "by module": datetimes.datetime.now(UTC).isoformat(),
        "utc": datetime.utcnow().isoformat(),
        "naive": datetime.now().timestamp(),
        "day": datetimes.date.today().isoformat(),
        "year": time.gmtime().tm_year,
        "kinds": [isinstance(datetime.now(), datetime), isinstance(date.today(), datetimes.date)],
    }


async def awaited(change):
    return drawn(change)


def slept(change):
    begun = time.time()
    time.sleep(3_600)
    return time.time() - begun


def names():
    return [time.time, time.sleep, datetime, date, datetimes, random._urandom]


def present():
    return time.time()
"""
"""A module of a user's that asks for time and chance."""


@pytest.fixture
def asking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "asking_for_chance.py").write_text(ASKING)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("asking_for_chance")
    del sys.modules["asking_for_chance"]


@pytest.mark.parametrize("name", ["drawn", "awaited"])
@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow")
def test_time_and_chance_are_those_of_the_change(journaled: Journaled, asking: Any, name: str) -> None:
    world, app = journaled
    app.on(app.tables["orders"], id="draw")(getattr(asking, name))
    app.sink("draw", Queue())
    state = random.getstate()
    one, _ = replayed(world, app, "draw")
    assert random.getstate() == state
    two, _ = replayed(world, app, "draw")
    assert one == two
    bodies = [change.effects[0].value for change in one]
    for name in ("uuid", "random", "choice", "token", "system", "time", "now"):
        assert len({str(body[name]) for body in bodies}) == 3, name
    for change, body in zip(one, bodies, strict=True):
        second = change.created_us / 1_000_000
        moment = datetime.fromtimestamp(second, UTC)
        assert float(body["time"]) == second
        assert body["ns"] == change.created_us * 1_000
        assert body["now"] == body["by module"] == moment.isoformat()
        assert body["utc"] == moment.replace(tzinfo=None).isoformat()
        assert float(body["naive"]) == second
        assert body["day"] == moment.astimezone().date().isoformat()
        assert body["year"] == moment.year
        assert body["kinds"] == [True, True]


def test_keys_alone_replay_with_the_same_chance(journaled: Journaled, asking: Any) -> None:
    world, app = journaled
    app.on(app.tables["orders"], id="draw")(asking.drawn)
    app.sink("draw", Queue())
    every, _ = replayed(world, app, "draw")
    key = schema_of(app.tables["orders"]).key_bytes({"id": {"S": "o2"}})
    alone, _ = replayed(world, app, "draw", keys=(key,))
    assert [change.effects for change in alone] == [every[1].effects]


def test_a_copy_that_fixes_nothing_is_caught(
    journaled: Journaled, asking: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The canary: without what is laid over, two replays of one revision differ."""
    world, app = journaled
    app.on(app.tables["orders"], id="draw")(asking.drawn)
    app.sink("draw", Queue())
    monkeypatch.setattr("tailrace.replays.run.trial.fixed", nullcontext)
    monkeypatch.setattr("tailrace.replays.run.change_calls.begin_chance", lambda notes: None)
    one, _ = replayed(world, app, "draw")
    two, _ = replayed(world, app, "draw")
    comparison = EffectComparison()
    for before, now in paired(iter(one), iter(two)):
        comparison.compare("draw", before, now)
    (group,) = comparison.ordered()
    assert {"uuid", "random", "token", "time"} <= {*group.name.attributes}


def test_nothing_is_laid_over_after_a_trial(journaled: Journaled, asking: Any) -> None:
    world, app = journaled
    before = asking.names()

    @app.on(app.tables["orders"])
    def fails(change: Change) -> None:
        assert [one is other for one, other in zip(before, asking.names(), strict=True)] == [False] * 6
        raise SystemExit(3)

    changes, _ = replayed(world, app, fails)
    assert [target for _, target, _ in effects(changes)] == ["SystemExit"] * 3
    assert all(one is other for one, other in zip(before, asking.names(), strict=True))
    assert notes_here() is None


def test_sleeping_passes_time_without_waiting(journaled: Journaled, asking: Any) -> None:
    world, app = journaled
    app.on(app.tables["orders"], id="wait")(asking.slept)
    app.sink("wait", Queue())
    changes, _ = replayed(world, app, "wait")
    assert [body for _, _, body in effects(changes)] == ["3600.0"] * 3


# ---- what leaves -------------------------------------------------------------------------------------------


def connect() -> None:
    socket.create_connection(("127.0.0.1", 9))


def swallow() -> None:
    with suppress(Exception):
        connect()


def in_a_thread() -> None:
    worker = threading.Thread(target=swallow)
    worker.start()
    worker.join()


def run_program() -> None:
    subprocess.run(["true"], check=True)


def write_file() -> None:
    Path("out.txt").write_text("x")


def ask_aws() -> None:
    import boto3

    boto3.client("sqs", region_name="us-east-1").send_message(QueueUrl="q", MessageBody="b")


def ask_postgresql() -> None:
    import psycopg

    psycopg.connect("host=127.0.0.1 port=9")


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (connect, "127.0.0.1:9, called in connect"),
        (swallow, "127.0.0.1:9, called in connect"),
        (in_a_thread, "127.0.0.1:9, called in connect"),
        (run_program, "the program true, called in run_program"),
        (write_file, "the file out.txt, called in write_file"),
        (ask_aws, "sqs.SendMessage, called in ask_aws"),
        (ask_postgresql, "PostgreSQL, called in ask_postgresql"),
    ],
)
@pytest.mark.parametrize("is_async", [False, True])
def test_what_nothing_answers_is_named_and_ends_what_is_known(
    journaled: Journaled, call: Callable[[], None], named: str, is_async: bool, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    world, app = journaled
    monkeypatch.chdir(tmp_path)
    import boto3  # noqa: F401 - there before the trial, as in an app
    import psycopg  # noqa: F401

    def calls(change: Change) -> None:
        change.transaction.put("stock", {"sku": change.key})
        if change.key == "o1":
            call()

    async def awaits(change: Change) -> None:
        calls(change)

    app.on(app.tables["orders"], id="calls")(awaits if is_async else calls)
    changes, end = replayed(world, app, "calls")
    assert [change.unknown for change in changes] == [named, "", named]
    assert [len(change.effects) for change in changes] == [0, 1, 0]
    assert end.counts.unknown == 2
    assert [*tmp_path.iterdir()] == []


def test_effects_of_before_an_unknown_call_are_known(journaled: Journaled) -> None:
    world, app = journaled

    @app.on(app.tables["orders"])
    def both(change: Change, db: Annotated[Client, Depends(app.client)]) -> None:
        db.put("stock", {"sku": "1"})
        connect()
        db.put("stock", {"sku": "2"})

    changes, _ = replayed(world, app, both)
    assert [target for _, target, _ in effects(changes)] == ["Put stock"] * 3
    assert all(change.unknown for change in changes)


def test_reads_that_the_journal_does_not_know_are_unknown(journaled: Journaled) -> None:
    world, app = journaled
    app.table("bare", pk="id")

    @app.on(app.tables["orders"])
    def look(change: Change, db: Annotated[Client, Depends(app.client)]) -> None:
        db.get("bare", {"id": "x"})

    changes, _ = replayed(world, app, look)
    assert {change.unknown for change in changes} == {
        "GetItem of bare: it has no journal: app.archive(bare, …) keeps one, called in "
        "test_reads_that_the_journal_does_not_know_are_unknown.<locals>.look"
    }


@pytest.mark.parametrize("how", ["read", "write"])
def test_an_archive_that_is_away_ends_the_trial_and_is_named(
    journaled: Journaled, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    world, app = journaled
    calls: list[str] = []

    @app.on(app.tables["orders"])
    def look(change: Change, db: Annotated[Client, Depends(app.client)]) -> None:
        calls.append(change.key)
        with suppress(Exception):  # a fallback would be the outage's doing
            if how == "read":
                db.get("stock", {"sku": "there"})
            else:
                db.update("stock", {"sku": "there"}, "SET n = :n", values={":n": Decimal(1)})

    known = PastReader.known

    async def away(self: PastReader, *asked: Any) -> Any:
        if calls:
            raise Unavailable("S3 does not answer", hint="wait")
        return await known(self, *asked)

    monkeypatch.setattr(PastReader, "known", away)
    with pytest.raises(Unavailable, match="S3 does not answer"):
        replayed(world, app, look)
    assert calls == ["o1"]


def test_a_table_whose_journal_is_not_begun_is_unknown(journaled: Journaled) -> None:
    world, app = journaled

    @app.on(app.tables["orders"])
    def look(change: Change, db: Annotated[Client, Depends(app.client)]) -> None:
        db.get("later", {"id": "x"})

    later = app.table("later", pk="id")
    app.archive(later, "history/later/")
    changes, _ = replayed(world, app, look)
    assert {change.unknown.partition(",")[0] for change in changes} == {
        "GetItem of later: there is no journal of it yet"
    }


def test_how_far_it_is_is_told_after_each_change(journaled: Journaled) -> None:
    world, app = journaled

    @app.on(app.tables["orders"].inserted)
    def look(change: Change) -> None:
        pass

    mapping = app._declared.mapping_of("replay", look)
    dry = DryRun(app, mapping, ReplayQuestion(mapping.id, 0), FAR_US, world._past_of)
    told: list[tuple[int, int, int]] = []
    run_dry(
        dry, lambda change: None, lambda counts, total: told.append((counts.changes, counts.called, total))
    )
    assert told == [(1, 1, 3), (2, 2, 3), (3, 2, 3)]


def test_others_in_the_process_are_let_through(journaled: Journaled, asking: Any, tmp_path: Path) -> None:
    world, app = journaled
    begun, written = threading.Event(), threading.Event()
    times: list[float] = []

    def other() -> None:
        begun.wait()
        (tmp_path / "other").write_text("x")
        times.append(asking.present())
        written.set()

    threading.Thread(target=other).start()

    @app.on(app.tables["orders"])
    def wait(change: Change) -> float:
        begun.set()
        written.wait()
        return float(asking.present())

    app.sink(wait, Queue())
    changes, _ = replayed(world, app, wait)
    assert (tmp_path / "other").exists()
    assert str(times[0]) not in {body for _, _, body in effects(changes)}
    assert [change.unknown for change in changes] == [""] * 3


def test_two_trials_at_once_are_refused(journaled: Journaled) -> None:
    world, app = journaled
    raised: list[str] = []

    @app.on(app.tables["orders"])
    def nested(change: Change) -> None:
        try:
            with trial(alone=False):
                raise AssertionError
        except SettingsError as error:
            raised.append(str(error))

    replayed(world, app, nested)
    assert len(raised) == 3


# ---- stubs -------------------------------------------------------------------------------------------------


def send(to: str, body: object) -> str:
    raise AssertionError("nothing is sent on trial")


class Mailer:
    sender = "shop"

    def send(self, to: str) -> str:
        raise AssertionError("nothing is sent on trial")


def mailer() -> Mailer:
    raise AssertionError("a stub stands for it")


def test_a_stub_answers_and_its_calls_are_effects(journaled: Journaled) -> None:
    world, app = journaled
    answers: list[Any] = []

    @app.on(app.tables["orders"])
    def mail(change: Change, by: Annotated[Mailer, Depends(mailer)]) -> None:
        answers.append(
            (send(change.key, body={"n": Decimal("1.50"), "who": object()}), by.send("you"), by.sender)
        )

    class Fake(Mailer):
        def send(self, to: str) -> str:
            return f"to {to}"

    stubs = {f"{__name__}.send": lambda to, body: f"sent {to}", f"{__name__}.mailer": Fake}
    changes, end = replayed(world, app, mail, stubs=stubs)
    assert answers[0] == ("sent o1", "to you", "shop")
    assert effects(changes)[:2] == [
        (
            "call",
            f"{__name__}.send",
            '{"arguments":["o1"],"named":{"body":{"n":1.50,"who":"<builtins.object>"}}}',
        ),
        ("call", "mailer.send", '{"arguments":["you"],"named":{}}'),
    ]
    assert end.counts.unknown == 0
    with pytest.raises(AssertionError):
        send("a", "b")


def test_a_stub_of_nothing_is_refused(journaled: Journaled) -> None:
    _, app = journaled

    @app.on(app.tables["orders"])
    def mail(change: Change) -> None: ...

    mapping = app._declared.mapping_of("replay", mail)
    for named in (
        {f"{__name__}.nothing": send},
        {"no_such_module.send": send},
        {f"{__name__}.send": 3},
        {"x": send},
    ):
        with pytest.raises(SettingsError, match="stubs"):
            stubs_of(named, mapping)  # type: ignore[arg-type]


def test_a_provider_that_opens_a_connection_is_an_unknown_call(journaled: Journaled) -> None:
    world, app = journaled

    def opened() -> socket.socket:
        return socket.create_connection(("127.0.0.1", 9))

    @app.on(app.tables["orders"])
    def use(change: Change, by: Annotated[Any, Depends(opened)]) -> None: ...

    changes, _ = replayed(world, app, use)
    assert len(changes) == 3
    assert all("127.0.0.1:9, called in" in change.unknown for change in changes)
    assert effects(changes) == []
