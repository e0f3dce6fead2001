"""The shard is gone before its iterator is refreshed (redpanda connect #4722, data-prepper #4401).

In the wild: after an expired iterator a reader asked for a new one, of a shard that had vanished
meanwhile. It asked again, and again; its place in the worker was never given back, and the shard's
children were never begun.

Here: a shard that has vanished is passed over at the next look at the stream. What may have been lost with it
is named (`gaps`), and its children go on.
"""

from tests.museum.reader import Place, Reader
from tests.museum.stage import Stage


class Bounded(Reader):
    """A plain reader that reads one shard at a time."""

    def discover(self) -> None:
        if all(place.is_finished for place in self.places.values()):
            super().discover()


class AsksForEver(Bounded):
    """The mistake: that the shard is not found is taken for a passing failure."""

    def failed(self, shard_id: str, place: Place, code: str) -> None:
        place.iterator = None


def play(stage: Stage, reader: Reader) -> None:
    stage.put("a")
    stage.pass_time("5m", reader)
    stage.put("b")  # no reader reads it: all are away for more than a day
    stage.world.kill()
    stage.world.advance("27h")
    stage.put("a")
    stage.world.advance("2h")
    stage.world.restart()
    stage.pass_time("2h", reader)


def test_the_model_never_comes_to_what_can_still_be_read() -> None:
    with Stage() as stage:
        reader = AsksForEver(stage)
        play(stage, reader)
        assert reader.delivered == ["a1"]


def test_ours_goes_on_and_names_what_is_lost() -> None:
    with Stage() as stage:
        plain = Bounded(stage)
        play(stage, plain)
        assert (
            stage.judge_ours().lost == stage.judge(plain.delivered).lost == ["b1"]
        )  # its 24 hours had passed
        assert [gap.handler for gap in stage.world.gaps()] == ["ours"]
