"""A table copied into a data stream by its destination, and a handler that reads it there, under faults."""

from collections import defaultdict

import pytest

from tailrace import App, Change
from tailrace.testing import World

TIMES = 8
ITEMS = "abc"


@pytest.mark.parametrize("seed", range(3))
def test_what_comes_late_and_again_is_handed_over_once_and_in_order(seed: int) -> None:
    app = App("shop")
    orders = app.table("orders", pk="id", stream=None)
    seen: dict[str, list[int]] = defaultdict(list)

    @app.on(app.kinesis("orders-changes", disorder="1m").of(orders))
    def handled(change: Change) -> None:
        seen[str(change.key)].append(int(change.new["n"]))

    with World(App("empty"), seed=seed) as world:
        world.client("kinesis").create_stream(StreamName="orders-changes", ShardCount=2)
        arn = "arn:aws:kinesis:us-east-1:000000000000:stream/orders-changes"
        world.use(app)
        world.client("dynamodb").enable_kinesis_streaming_destination(TableName="orders", StreamArn=arn)
        with world.faults(kinesis=0.4) as struck:
            for number in range(TIMES):
                for name in ITEMS:
                    world.put(orders, {"id": name, "n": number})
            world.settle()
        assert struck["kinesis"] > 2
    assert seen == {name: list(range(TIMES)) for name in ITEMS}
