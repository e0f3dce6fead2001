"""An iterator expires while the sink is slow (redpanda connect #4545).

In the wild: while the pipeline behind it pushed back, a reader held its iterator for longer than the quarter
of an hour that it lives. The refusal ended that shard's reader; the connector went on to call itself running.

Here: a position is a sequence number, no iterator is held between two reads, and how slow a handler is does
not matter to the source.
"""

from typing import Any

from tests.museum.reader import PAGE, Place, Reader
from tests.museum.stage import RIGHT, Stage


class SlowSink(Reader):
    """A plain reader whose sink takes twenty minutes for a page."""

    def deliver(self, place: Place, records: list[dict[str, Any]]) -> None:
        if records:
            self.stage.world.advance("20m")
        super().deliver(place, records)


class EndsWhenExpired(SlowSink):
    """The mistake: an expired iterator is an error like any other, and an error ends the shard's reader."""

    def failed(self, shard_id: str, place: Place, code: str) -> None:
        place.is_finished = True


def play(stage: Stage, reader: Reader) -> None:
    stage.takes_s = 130.0
    stage.put(*(f"i{number:02}" for number in range(2 * PAGE)))
    stage.pass_time("1h", reader)
    stage.put("i00")
    stage.pass_time("1h", reader)


def test_the_model_stops_reading_and_says_nothing() -> None:
    with Stage() as stage:
        reader = EndsWhenExpired(stage)
        play(stage, reader)
        assert len(stage.judge(reader.delivered).lost) == PAGE + 1
        assert stage.judge_ours() == RIGHT


def test_ours_and_a_plain_reader_lose_nothing() -> None:
    with Stage() as stage:
        reader = SlowSink(stage)
        play(stage, reader)
        assert stage.judge(reader.delivered) == stage.judge_ours() == RIGHT
