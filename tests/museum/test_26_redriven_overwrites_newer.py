"""A redriven change overwrites a newer one (told at mymemowall, 2023).

In the wild: the first change of an item failed and went to a dead-letter queue; the third one succeeded. When
the queue was put back, the first change was applied last, and the target kept what was long out of date.

Here: two answers. By default the item is parked: its later changes wait behind the failing one and are put
back in order. Where a change is discarded and the later ones go on, a redrive leaves out what was overtaken,
and says so.
"""

from tailrace import Discard, Retry
from tests.museum.stage import RIGHT, Stage


class Queue:
    """The model. The mistake: whatever is in the queue is applied when it is put back."""

    def __init__(self) -> None:
        self.target: dict[str, int] = {}
        self.letters: list[tuple[str, int]] = []

    def handle(self, item: str, count: int, *, fails: bool = False) -> None:
        if fails:
            self.letters.append((item, count))
        else:
            self.target[item] = count

    def redrive(self) -> None:
        for item, count in self.letters:
            self.handle(item, count)


def test_the_model_goes_back_to_the_first_version() -> None:
    queue = Queue()
    queue.handle("a", 1, fails=True)
    queue.handle("a", 3)
    queue.redrive()
    assert queue.target == {"a": 1}


def test_ours_parks_the_item_and_puts_its_changes_back_in_order() -> None:
    with Stage(settings={"retry": Retry(0)}) as stage:
        stage.refused = {"a1"}
        stage.put("a", "b", "a", "a")
        stage.world.settle()
        assert stage.ours == ["b1"]
        stage.refused.clear()
        stage.world.dlq(stage.handler).redrive()
        assert stage.judge_ours() == RIGHT
        assert stage.ours[-1] == "a3"


def test_ours_leaves_out_what_was_overtaken() -> None:
    with Stage(settings={"retry": Retry(0), "on_failure": Discard()}) as stage:
        stage.refused = {"a1"}
        stage.put("a", "a", "a")
        stage.world.settle()
        stage.refused.clear()
        done = stage.world.dlq(stage.handler).redrive()
        assert (done["done"], done["overtaken"]) == (0, 1)
        assert stage.ours == ["a2", "a3"]
