"""A worker says in its log when its settings do not fit, with its own engine, drivers and clock."""

import logging
from functools import partial

import pytest

from tailrace import App, Change
from tailrace.alerts.run.load import LoadWatch
from tailrace.compose_worker import WorkerOptions
from tailrace.testing import World


def watch(world: World, crowded: dict[str, list[str]] | None = None) -> LoadWatch:
    (running,) = world._running
    worker = running.worker
    return LoadWatch(
        running.app, world.clock, lambda: worker.drivers, worker.tallies, lambda: 0, lambda: crowded or {}
    )


def test_a_handler_that_falls_behind_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    app = App("shop")
    orders = app.table("orders", pk="id")

    @app.on(orders, id="slow", concurrency=4, batch_size=2)
    async def slow(change: Change) -> None:
        await world.clock.sleep_until(world.clock.now().monotonic_ms + 2_000)

    with World(app, seed=1) as world, caplog.at_level(logging.WARNING, "tailrace.worker"):
        looking = watch(world)
        for number in range(400):
            world.put(orders, {"id": "hot", "n": number})
            world.advance("1s")
            if not number % 15:
                looking.look()
    words = [record.getMessage() for record in caplog.records if "slow" in record.getMessage()]
    assert len(words) == 2
    falling, unused = sorted(words, key=lambda text: "may have" in text)
    assert falling.startswith("slow: falls behind: its oldest change waited for")
    assert "about 1.0 changes a second come and 0.5 are handled, with 1.0 of 4 batches at once" in falling
    assert "may have 4 batches at once and had 1 at most" in unused


def test_threads_that_do_not_suffice_are_told(caplog: pytest.LogCaptureFixture) -> None:
    app = App("shop")
    orders = app.table("orders", pk="id")

    @app.on(orders, concurrency=20)
    def blocking(change: Change) -> None: ...

    with World(app, seed=1, shards=2) as world, caplog.at_level(logging.WARNING, "tailrace.worker"):
        world.advance("1s")
        looking = watch(world)
        looking.look()
        looking.look()
    (words,) = [record.getMessage() for record in caplog.records if "blocking" in record.getMessage()]
    assert "may have 40 batches at once (20 in each of 2 shards)" in words


def test_a_worker_of_dev_looks_by_itself_and_sees_a_third_reader(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("tailrace.testing.world.WorkerOptions", partial(WorkerOptions, load_ms=15_000))
    app = App("shop")
    orders = app.table("orders", pk="id")

    @app.on(orders, id="note")
    def note(change: Change) -> None: ...

    with World(app, seed=1) as world, caplog.at_level(logging.WARNING, "tailrace.worker"):
        streams = world.client("dynamodbstreams")
        arn = streams.list_streams(TableName="orders")["Streams"][0]["StreamArn"]
        (shard,) = world.engine.shards_of(arn)
        asked = {"StreamArn": arn, "ShardId": shard.shard_id, "ShardIteratorType": "TRIM_HORIZON"}
        tokens = [streams.get_shard_iterator(**asked)["ShardIterator"] for _ in range(2)]
        for number in range(40):
            world.put(orders, {"id": "o1", "n": number})
            for place, token in enumerate(tokens[: 1 if number < 20 else 2]):
                tokens[place] = streams.get_records(ShardIterator=token)["NextShardIterator"]
            world.advance("2s")
            if number == 19:
                assert caplog.records == []
    (words,) = [record.getMessage() for record in caplog.records]
    assert words == (
        f"note: shard {shard.shard_id} has more than 2 readers, this worker among them: AWS throttles all of "
        "them then"
    )


def test_clients_that_read_a_shard_are_counted() -> None:
    app = App("shop")
    orders = app.table("orders", pk="id")
    with World(app, seed=1) as world:
        streams = world.client("dynamodbstreams")
        arn = streams.list_streams(TableName="orders")["Streams"][0]["StreamArn"]
        (shard,) = world.engine.shards_of(arn)
        asked = {"StreamArn": arn, "ShardId": shard.shard_id, "ShardIteratorType": "TRIM_HORIZON"}
        tokens = [streams.get_shard_iterator(**asked)["ShardIterator"] for _ in range(2)]
        counts = []
        for number in range(3):
            world.put(orders, {"id": "o1", "n": number})
            for place, token in enumerate(tokens):
                tokens[place] = streams.get_records(ShardIterator=token)["NextShardIterator"]
            counts.append(world.engine.log.clients_of(shard))
    assert counts == [2, 2, 2]
