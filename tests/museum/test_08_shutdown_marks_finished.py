"""A shutdown marks shards as finished that were not (data-prepper #3676).

In the wild: an orderly shutdown ended the readers of the shards, and a reader that had ended counted as one
that had finished its shard. After the next start no worker read the rest.

Here: a machine that is told to stop drains and saves what is settled; `finished` is in the checkpoint only
when the source has said that the shard is closed and nothing of it is open.
"""

from typing import Any

from tests.museum.reader import Place, Reader
from tests.museum.stage import RIGHT, Stage


class Stoppable(Reader):
    """A plain reader that is told to stop in the middle of a page."""

    is_stopping = False

    def deliver(self, place: Place, records: list[dict[str, Any]]) -> None:
        for record in records:
            if self.is_stopping:
                return
            super().deliver(place, [record])
            self.is_stopping = len(self.delivered) == 2

    def read(self, shard_id: str, place: Place) -> None:
        super().read(shard_id, place)
        if self.is_stopping:
            place.iterator, place.is_finished = None, False  # the rest of the page was not delivered


class EndedIsFinished(Stoppable):
    """The mistake: a worker that stops reading has finished."""

    def read(self, shard_id: str, place: Place) -> None:
        super().read(shard_id, place)
        place.is_finished = place.is_finished or self.is_stopping


def play(stage: Stage, reader: Stoppable) -> None:
    stage.takes_s = 1.0
    stage.put("a", "b", "c", "d", "e", "f")
    stage.world.advance("2s")
    stage.stop()
    reader.poll()
    reader.crash()
    reader.is_stopping = False
    stage.world.restart()
    stage.pass_time("10m", reader)


def test_the_model_forgets_the_rest_of_the_shard() -> None:
    with Stage() as stage:
        reader = EndedIsFinished(stage)
        play(stage, reader)
        assert stage.judge(reader.delivered).lost == ["c1", "d1", "e1", "f1"]
        assert stage.judge_ours() == RIGHT


def test_ours_and_a_plain_reader_lose_nothing() -> None:
    with Stage() as stage:
        reader = Stoppable(stage)
        play(stage, reader)
        assert stage.judge(reader.delivered) == stage.judge_ours() == RIGHT
