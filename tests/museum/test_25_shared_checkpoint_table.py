"""Two people share a table of checkpoints (redpanda connect #4319).

In the wild: checkpoints were kept by table and shard. Two pipelines over the same table, say those of two
developers, used one default name for the table of checkpoints, and each went on where the *other* one was.

Here: every row of state begins with the app, and a checkpoint is of one mapping. Two apps, or two handlers of
one, each get everything.
"""

from tailrace import App, Change
from tests.museum.reader import Reader
from tests.museum.stage import RIGHT, Stage


class Shared(Reader):
    """The mistake: positions are found by the shard alone, whichever pipeline asks."""

    def __init__(self, stage: Stage, other: Reader) -> None:
        super().__init__(stage)
        self.places = other.places


def test_two_models_share_the_records_between_them() -> None:
    with Stage() as stage:
        stage.put("a", "b")
        one = Reader(stage)
        two = Shared(stage, one)
        one.poll()
        stage.put("c")
        two.poll()
        one.poll()
        assert (one.delivered, two.delivered) == (["a1", "b1"], ["c1"])


def test_two_apps_of_ours_each_get_everything() -> None:
    other, seen = App("another"), []
    orders = other.table("orders", pk="id")

    @other.on(orders, id="ours")  # even under the same name
    def handle(change: Change) -> None:
        seen.append(f"{change.key}{change.new['n']}")

    with Stage() as stage:
        stage.world.use(other)
        stage.put("a", "b")
        stage.world.settle()
        stage.put("c")
        assert stage.judge_ours() == stage.judge(seen) == RIGHT
