"""`once=True`, marks that expire, and transactions committed in another DynamoDB."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from tailrace import App, Batch, Change, sinks
from tailrace.app.fence import Death
from tailrace.errors import SettingsError
from tailrace.testing import World
from tests.serving import serving


def app_of(seen: list[int], **options: Any) -> App:
    app = App("shop")
    orders = app.table("orders", pk="id")

    @app.on(orders, id="note", **options)
    def note(change: Change) -> None:
        assert change.new is not None
        seen.append(int(change.new["n"]))

    return app


class Killed(Death):
    """The process dies here."""


@pytest.mark.parametrize(("once", "expected"), [(True, [1]), (False, [1, 1])])
def test_a_change_delivered_again_is_not_handled_again(once: bool, expected: list[int]) -> None:
    seen: list[int] = []
    points: list[str] = []
    app = app_of(seen, once=once)

    with World(app, seed=1, reached=points.append) as world:
        world.put("orders", {"id": "a", "n": 1})
        while "transaction.done" not in points and "invoke.done" not in points:
            world.advance(0)
        world.settle()
        # What a crash before the checkpoint leaves: the mark is there, the checkpoint is not.
        for row in [*world.engine.state.query("checkpoint/"), *world.engine.state.query("ledger/")]:
            from tailrace.rows.writes import Write

            world.engine.state.transact([Write(row.key, None)])
        world.engine.committer.flush()
        world.restart()
        world.settle()
    assert seen == expected


def test_every_change_of_an_item_is_handled_in_order_with_once() -> None:
    seen: list[int] = []
    with World(app_of(seen, once=True), seed=1) as world:
        for n in range(5):
            world.put("orders", {"id": "a", "n": n})
        world.settle()
    assert seen == [0, 1, 2, 3, 4]


def test_marks_expire_when_nothing_can_deliver_their_change_again() -> None:
    with World(app_of([], once=True), seed=1) as world:
        world.put("orders", {"id": "a", "n": 1})
        world.settle()
        world.advance("40h")
        assert world.engine.state.count("mark/") == 1
        world.advance("10h")
        assert world.engine.state.count("mark/") == 0


def test_an_item_with_dead_letters_keeps_its_mark() -> None:
    app = App("shop")
    orders = app.table("orders", pk="id")

    @app.on(orders, id="note", once=True)
    def note(change: Change) -> None:
        if change.new is not None and change.new["n"] == 2:
            raise ValueError("two")

    with World(app, seed=1) as world:
        for n in (1, 2):
            world.put(orders, {"id": "a", "n": n})
            world.settle()
        world.advance("60h")
        assert world.engine.state.count("mark/") == 1
        assert len(world.dead_letters("note")) == 1


def test_once_and_a_sink_exclude_each_other() -> None:
    app = app_of([], once=True)
    with pytest.raises(SettingsError, match="once=True"):
        app.sink("note", sinks.Function(print))


@pytest.fixture
def remote() -> Iterator[Any]:
    with serving() as served:
        client = boto3.client(
            "dynamodb",
            endpoint_url=f"http://127.0.0.1:{served.port}",
            region_name="us-east-1",
            aws_access_key_id="any",
            aws_secret_access_key="any",
        )
        keys = {"id": "S"}
        client.create_table(
            TableName="effects",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[
                {"AttributeName": name, "AttributeType": kind} for name, kind in keys.items()
            ],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        )
        yield client


def test_transactions_are_committed_once_in_another_dynamodb(remote: Any) -> None:
    import asyncio

    from tailrace.app.change import Change as Given
    from tailrace.runtime.effects import Effects, Marking
    from tailrace.stores.dynamodb import DynamoDbStateStore
    from tailrace.stores.dynamodb_table import create_table
    from tests.unit.sinks.batches import record

    store = DynamoDbStateStore(remote, "marks")
    create_table(remote, "marks")

    def given() -> Given[Any]:
        change: Given[Any] = Given(record(5, "a"), "orders")
        change.transaction.update("effects", {"id": "a"}, "ADD n :one", values={":one": 1})
        return change

    effects = Effects(store, Marking("shop.note"))
    for _ in range(3):
        assert asyncio.run(effects.apply([(0, given())])) == {}
    assert effects.tally.suppressed == 2
    assert remote.get_item(TableName="effects", Key={"id": {"S": "a"}})["Item"]["n"] == {"N": "1"}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("is_async", [False, True])
def test_a_mark_that_cannot_be_written_is_tried_again_and_not_the_handler(seed: int, is_async: bool) -> None:
    app, effects = App("shop"), []
    orders = app.table("orders", pk="id")
    app.table("totals", pk="id", stream=None)

    def effect(change: Change) -> None:
        effects.append(change.event_id)
        change.transaction.update("totals", {"id": "all"}, "ADD n :one", values={":one": 1})

    if is_async:

        @app.on(orders, id="note", once=True)
        async def note(change: Change) -> None:
            effect(change)
    else:
        app.on(orders, id="note", once=True)(effect)

    with World(app, seed=seed) as world:
        with world.faults(throttle=0.3):
            for number in range(20):
                world.put(orders, {"id": f"o{number % 7}", "n": number})
            world.settle()
        assert world.get("totals", {"id": "all"}) == {"id": "all", "n": 20}
    assert len(effects) == len(set(effects)) == 20


@pytest.mark.parametrize("seed", range(6))
def test_a_batch_whose_commit_fails_is_not_handed_out_again(seed: int) -> None:
    app, effects = App("shop"), []
    orders = app.table("orders", pk="id")
    app.table("totals", pk="id", stream=None)

    @app.batch(orders, id="note", batch_size=5)
    def note(batch: Batch) -> None:
        for change in batch:
            effects.append(change.event_id)
            change.transaction.put("totals", {"id": change.event_id})

    with World(app, seed=seed) as world:
        with world.faults(throttle=0.3):
            for number in range(20):
                world.put(orders, {"id": f"o{number}"})
            world.settle()
        assert len(world.scan("totals")) == 20
    assert sorted(effects) == sorted(set(effects))
