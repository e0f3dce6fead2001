"""Tables that are copied into the data streams over which an app reads their changes, as a node does it."""

import logging
from typing import Any

import pytest

from tailrace import App, Change, Record
from tailrace.compose import CHOICES
from tailrace.engine.engine import EngineSettings
from tailrace.errors import SettingsError
from tailrace.testing import World

STREAM = "orders-changes"


class Copied:
    """A world whose handler reads `orders` over the data stream; `start` is what a node does at its start."""

    def __init__(self, **settings: Any) -> None:
        self.app = App("shop")
        self.orders = self.app.table("orders", pk="id")
        self.seen: list[int] = []

        @self.app.on(self.app.kinesis(STREAM).of(self.orders))
        def ship(change: Change) -> None:
            self.seen.append(int(change.new["n"]))

        self.world = World(self.app, seed=1, **settings)
        self.dynamodb = self.world.client("dynamodb")
        self.kinesis = self.world.client("kinesis")

    def start(self) -> None:
        CHOICES.create_tables(self.app, self.world.engine)
        self.world.engine.committer.flush()

    def destinations(self) -> list[tuple[str, str]]:
        """Name of the stream and status of each."""
        listed = self.dynamodb.describe_kinesis_streaming_destination(TableName="orders")
        return [
            (one["StreamArn"].rpartition("/")[2], one["DestinationStatus"])
            for one in listed["KinesisDataStreamDestinations"]
        ]


def test_a_node_copies_a_table_into_the_data_stream_over_which_its_changes_are_read() -> None:
    copied = Copied()
    with copied.world as world:
        copied.start()
        for number in range(3):
            world.put(copied.orders, {"id": "a", "n": number})
            world.advance("1s")
        world.settle()
        assert copied.seen == [0, 1, 2]
        assert copied.destinations() == [(STREAM, "ACTIVE")]


def test_the_next_start_leaves_the_stream_and_the_destination_as_they_are() -> None:
    copied = Copied()
    with copied.world:
        copied.start()
        before = copied.kinesis.describe_stream_summary(StreamName=STREAM)["StreamDescriptionSummary"]
        copied.start()
        after = copied.kinesis.describe_stream_summary(StreamName=STREAM)["StreamDescriptionSummary"]
        assert (before, copied.destinations()) == (after, [(STREAM, "ACTIVE")])


def test_a_destination_that_failed_for_want_of_a_stream_is_enabled_again() -> None:
    copied = Copied()
    with copied.world as world:
        arn = f"arn:aws:kinesis:us-east-1:000000000000:stream/{STREAM}"
        copied.dynamodb.enable_kinesis_streaming_destination(TableName="orders", StreamArn=arn)
        world.advance("1s")
        assert copied.destinations() == [(STREAM, "ENABLE_FAILED")]
        copied.start()
        world.advance("1s")
        assert copied.destinations() == [(STREAM, "ACTIVE")]


def test_a_destination_that_was_disabled_stays_so_and_is_told(caplog: pytest.LogCaptureFixture) -> None:
    copied = Copied()
    with copied.world as world:
        copied.start()
        arn = f"arn:aws:kinesis:us-east-1:000000000000:stream/{STREAM}"
        copied.dynamodb.disable_kinesis_streaming_destination(TableName="orders", StreamArn=arn)
        world.advance("1s")
        with caplog.at_level(logging.WARNING, "tailrace.handlers"):
            copied.start()
        assert f"table orders is not copied into the data stream {STREAM}" in caplog.text
        assert f"enable-kinesis-streaming-destination --table-name orders --stream-arn {arn}" in caplog.text
        assert copied.destinations() == [(STREAM, "DISABLED")]


def test_a_table_that_is_copied_elsewhere_is_refused_and_named() -> None:
    copied = Copied()
    with copied.world as world:
        copied.kinesis.create_stream(StreamName="others", ShardCount=1)
        arn = "arn:aws:kinesis:us-east-1:000000000000:stream/others"
        copied.dynamodb.enable_kinesis_streaming_destination(TableName="orders", StreamArn=arn)
        world.advance("1s")
        with pytest.raises(SettingsError, match=f"'orders' cannot be copied into the data stream '{STREAM}'"):
            copied.start()
        assert copied.destinations() == [("others", "ACTIVE")]


def test_a_table_or_stream_that_is_still_being_made_is_copied_by_a_later_start(
    caplog: pytest.LogCaptureFixture,
) -> None:
    copied = Copied(settings=EngineSettings(aws_delays=True))
    with copied.world as world:
        with caplog.at_level(logging.WARNING, "tailrace.handlers"):
            copied.start()
        assert f"table orders: it is copied into the data stream {STREAM}" in caplog.text
        assert "from the next start on" in caplog.text
        assert copied.destinations() == []
        world.advance("30s")
        copied.start()
        world.advance("30s")
        assert copied.destinations() == [(STREAM, "ACTIVE")]


def test_a_table_that_is_still_being_made_says_when_its_items_can_expire() -> None:
    app = App("shop")
    app.table("orders", pk="id", ttl="gone")
    with World(seed=1, settings=EngineSettings(aws_delays=True)) as world:
        with pytest.raises(SettingsError, match="'orders': its items cannot be let expire yet") as refused:
            CHOICES.create_tables(app, world.engine)
        assert refused.value.hint == "start again in some seconds"
        world.advance("30s")
        CHOICES.create_tables(app, world.engine)
        assert world.engine.time_to_live.describe("orders")["AttributeName"] == "gone"


def test_one_data_stream_is_read_as_changes_of_each_table_and_as_plain_records() -> None:
    app = App("shop")
    orders, carts = app.table("orders", pk="id"), app.table("carts", pk="cart")
    copies = app.kinesis(STREAM)
    seen: list[tuple[str, Any]] = []

    @app.on(copies.of(orders))
    def ordered(change: Change) -> None:
        seen.append(("orders", change.key))

    @app.on(copies.of(carts))
    def filled(change: Change) -> None:
        seen.append(("carts", change.key))

    @app.on(app.data_stream(STREAM))
    def plain(record: Record) -> None:
        seen.append(("plain", record.json()["tableName"]))

    with World(app, seed=1) as world:
        CHOICES.create_tables(app, world.engine)
        world.engine.committer.flush()
        for number in range(2):
            world.put(orders, {"id": f"o{number}"})
            world.put(carts, {"cart": f"c{number}"})
            world.advance("1s")
        world.advance("20m")  # the stream was not there yet when the readers began
        world.settle()
    assert sorted(seen) == [
        ("carts", "c0"), ("carts", "c1"), ("orders", "o0"), ("orders", "o1"),
        ("plain", "carts"), ("plain", "carts"), ("plain", "orders"), ("plain", "orders"),
    ]  # fmt: skip
