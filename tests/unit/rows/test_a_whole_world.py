"""What really runs keeps only rows of registered kinds and none that has expired, and a mapping that was
renamed while it had work goes on with it.

Rules of this file: worlds of many features; every row that they leave is looked at.
"""

import asyncio
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest

from tailrace import App, Change, Discard, Item, Retry, Window
from tailrace.errors import SinkError
from tailrace.leases.checkpoint import EARLIER
from tailrace.rows.kinds import AUDIT, CHECKPOINT, KINDS, LEASE, OUTBOX, kind_of, of_mapping, words_of
from tailrace.rows.writes import Write
from tailrace.server.control import Subject, find_verb
from tailrace.sources.embedded_log import EmbeddedLog
from tailrace.testing import World
from tailrace.testing.mirrors import MirrorMemory
from tailrace.views.at_once import at_once


class Destination:
    """A destination that refuses as often as it was told, and keeps what it is given."""

    def __init__(self, refusals: int = 0) -> None:
        self.refusals = refusals
        self.documents: list[dict[str, Any]] = []

    async def deliver(self, failure: Any) -> None:
        if self.refusals:
            self.refusals -= 1
            raise SinkError("access denied")
        self.documents.append(json.loads(failure.message))


def asked(world: World, name: str, **arguments: object) -> Any:
    """What a verb answers while no handler runs."""

    async def collect() -> list[Any]:
        subject = Subject(world.engine, world.clock)
        return [value async for value in find_verb(name).run(subject, arguments)]

    answer = asyncio.run(collect())[-1]
    world.engine.committer.flush()
    return answer


class Trouble:
    """What is wrong with the handlers of a rich app and with its destination, until it is mended."""

    def __init__(self) -> None:
        self.destination = Destination(10**9)
        self.is_there = True

    def strike(self) -> None:
        if self.is_there:
            raise ValueError("no")

    def mend(self) -> None:
        self.is_there, self.destination.refusals = False, 0


def rich(trouble: Trouble) -> App:
    """An app with everything that keeps rows."""
    app = App("shop")
    orders = app.table("orders", pk="id")

    class Order(Item, table=orders):
        id: str
        country: str = "NL"
        total: int = 1

    @app.on(orders, id="park", retry=Retry(1))
    def park(change: Change) -> None:
        trouble.strike()

    @app.on(orders, id="discard", retry=Retry(1), on_failure=Discard(to=trouble.destination))
    def discard(change: Change) -> None:
        trouble.strike()

    @app.on(orders, id="once", once=True)
    def once(change: Change) -> None: ...

    loops = app.table("loops", pk="id")

    @app.on(loops, id="itself", max_generations=2)
    def itself(change: Change) -> None:
        if trouble.is_there:
            change.transaction.put(loops, {"id": change.key, "n": change.new["n"] + 1})

    @app.window(Order, id="minutes", every="1m", by=Order.country)
    def minutes(window: Window[Order]) -> None: ...

    def tumbling(event: Mapping[str, Any], context: object) -> Any:
        if event.get("isFinalInvokeForWindow"):
            trouble.strike()
        return {"state": {}}

    app.function(
        tumbling,
        orders,
        id="tumbling",
        TumblingWindowInSeconds=30,
        MaximumRetryAttempts=1,
        batch_size=10,
    )

    app.sink(Order, MirrorMemory(), id="copy", snapshot=True)

    @app.projection(Order, by=Order.country, id="sales")
    def sales(count: int, order: Order, sign: int) -> int:
        return count + sign

    return app


def test_every_row_that_a_world_of_all_features_keeps_is_of_a_registered_kind() -> None:
    seen: set[str] = set()
    with World(rich(Trouble()), seed=3, allow_failures=True) as world:
        seen |= worked(world)
        world._ask("resume", {"handler": "itself"})
        seen |= kinds_in(world)
    expected = {name for name, kind in KINDS.items() if kind.owner in ("mapping", "shard", "projection")}
    assert expected - seen == {
        "chain",
        "redrive",
        "replay",
        "evacuated",
        "evacuation",
        "gap",
        "resumed",
        "ledger",
        "start",
        "alert",
        "placed",
        "window-duty",
        "unread-duty",
        "hand-over",
    }, "this world should keep rows of these kinds, too"


def worked(world: World) -> set[str]:
    """A hundred seconds of a rich app. Returns: the kinds of rows that there were meanwhile."""
    seen: set[str] = set()
    for name in ("o1", "o2"):
        world.put("orders", {"id": name, "country": "NL", "total": 1})
    world.put("loops", {"id": "l1", "n": 1})
    for _ in range(20):
        world.advance("5s")
        seen |= kinds_in(world)
    return seen


def aged(world: World, days: int) -> set[str]:
    """Days in a world. Returns: the kinds of rows that there were meanwhile."""
    seen: set[str] = set()
    for _ in range(6 * days):
        world.advance("4h")
        seen |= kinds_in(world)
    return seen


def expiring() -> set[str]:
    """The kinds of rows that end while their owner lives, but for the audit, which is only kept short."""
    return {kind.name for kind in KINDS.values() if kind.expires not in ("never", AUDIT.expires)}


def overdue(world: World) -> set[str]:
    """The kinds that expire and of which there are rows, but for those of shards that can be read."""
    log = EmbeddedLog(world.engine)
    present = {
        (stream.label, shard.shard_id)
        for stream in at_once(log.streams())
        for shard in at_once(log.shards(stream))
    }
    left = set[str]()
    for row in world.engine.state.query(""):
        kind, words = kind_of(row.key), words_of(row.key)
        assert kind is not None
        if kind.name in expiring() and (
            kind.expires != LEASE.expires or (words[-2], words[-1]) not in {*present, (EARLIER, EARLIER)}
        ):
            left.add(kind.name)
    return left


@pytest.mark.slow
def test_a_row_of_every_kind_that_expires_is_gone_when_nothing_is_left_to_do() -> None:
    trouble = Trouble()
    with World(rich(trouble), seed=3, allow_failures=True) as world:
        seen = worked(world) | aged(world, days=1)
        assert overdue(world) != set()
        trouble.mend()
        world._ask("resume", {"handler": "itself"})
        for handler in ("park", "discard"):
            world.dlq(handler).redrive()
        seen |= aged(world, days=4)
        world.advance("2h")  # what is gone goes at the second look, an hour after the first
        assert overdue(world) == set()
    # Those of alerts come and go in tests/unit/alerts/test_watch.py: a look a minute for days takes long;
    # a hand-over needs two workers: tests/unit/worker/test_forgetting.py; an acknowledgement of a reset needs
    # a table at another server: tests/simulation/snapshot_worlds.py; a replay has a world of its own:
    # tests/unit/replays/test_live.py; chains are of sources without order: tests/properties/test_holding.py.
    assert expiring() - seen == {"chain", "redrive", "replay", "alert", "hand-over", "sources-seen"}, (
        "rows of these kinds should come and go in this world, too"
    )


def test_a_row_that_should_be_gone_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    novel = of_mapping("novel", expires="when done")
    monkeypatch.setitem(KINDS, novel.name, novel)
    with World(rich(Trouble()), seed=3) as world:
        world.settle()
        assert overdue(world) == set()
        for kind in (novel, CHECKPOINT):
            world.engine.state.transact([Write(kind.key("shop", "once", "gone", "shard"), {"v": 1})])
        assert overdue(world) == {"novel", "checkpoint"}


def kinds_in(world: World) -> set[str]:
    names: set[str] = set()
    for row in world.engine.state.query(""):
        kind = kind_of(row.key)
        assert kind is not None, f"{row.key}: register its kind in tailrace.rows.kinds"
        assert row.fields["v"] in range(1, kind.format + 1), row
        names.add(kind.name)
    return names


class Orders:
    """An app with a window over orders, under the name that it is given."""

    def __init__(self, name: str) -> None:
        self.app = App("shop")
        table = self.app.table("orders", pk="id")
        self.told: list[list[str]] = []

        class Order(Item, table=table):
            id: str
            placed: datetime

        self.Order = Order

        @self.app.window(Order, id=name, every="1m", at=Order.placed)
        def hourly(window: Window[Order]) -> None:
            self.told.append([order.id for order in window])


def test_a_window_that_was_open_when_its_handler_was_renamed_is_told_whole() -> None:
    before, after = Orders("old"), Orders("new")
    with World(before.app, seed=1, allow_failures=True) as world:
        at = world.moment
        world.put(before.Order(id="o1", placed=at))
        world.settle(within="1s")
        world.kill()
        asked(world, "mapping.rename", handler="old", to="new")
        world.use(after.app)
        world.put(after.Order(id="o2", placed=at))
        world.advance("10m")
        assert [sorted(ids) for ids in after.told] == [["o1", "o2"]]
        assert before.told == []


def noting(name: str, destination: Destination) -> App:
    app = App("shop")
    orders = app.table("orders", pk="id")

    @app.on(orders, retry=Retry(1), on_failure=Discard(to=destination), id=name)
    def note(change: Change) -> None:
        raise ValueError("no")

    return app


def test_a_notice_that_waited_when_its_handler_was_renamed_is_sent() -> None:
    away, there = Destination(10**9), Destination()
    with World(noting("old", away), seed=1, allow_failures=True) as world:
        world.put("orders", {"id": "o1"})
        world.settle()
        world.kill()
        asked(world, "mapping.rename", handler="old", to="new")
        world.use(noting("new", there))
        world.advance("10m")
        assert len(there.documents) == 1
        assert world.engine.state.query(OUTBOX.prefix()) == []
    assert away.documents == []
