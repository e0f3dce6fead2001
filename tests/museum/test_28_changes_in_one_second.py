"""Two changes in the same second are a tie (documented by data-prepper).

In the wild: the version of a document was the time of its change, which a stream gives in whole seconds. The
second change of an item in one second was not newer than the first, and was refused.

Here: the order of an item's changes is that of their sequence numbers, which never tie; they are what marks,
checkpoints and sinks compare.
"""

from typing import Any

from tailrace import App, Change
from tailrace.testing import World
from tests.museum.reader import Reader, name_of
from tests.museum.stage import Stage


class NewestBySecond(Reader):
    """The mistake: the time is the version."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self.target: dict[str, tuple[Any, str]] = {}

    def sink(self, record: dict[str, Any]) -> None:
        key, version = (
            record["dynamodb"]["Keys"]["id"]["S"],
            record["dynamodb"]["ApproximateCreationDateTime"],
        )
        if key not in self.target or self.target[key][0] < version:
            self.target[key] = (version, name_of(record))


def test_the_model_stays_with_the_first_change_of_the_second() -> None:
    with Stage() as stage:
        stage.put("a", "a")
        reader = NewestBySecond(stage)
        reader.poll()
        assert reader.target["a"][1] == "a1"


def test_ours_ends_with_the_last_change_of_the_second() -> None:
    app, target = App("museum"), {}
    orders = app.table("orders", pk="id")

    @app.on(orders)
    def keep(change: Change) -> None:
        if target.get(change.key, ("", 0))[0] < change.sequence_number:
            target[change.key] = (change.sequence_number, change.new["n"])

    with World(app, seed=1) as world:
        world.put(orders, {"id": "a", "n": 1})
        world.put(orders, {"id": "a", "n": 2})
        world.settle()
    assert target["a"][1] == 2
