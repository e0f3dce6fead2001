"""The end of a shard is taken for an error, and its children are found late (async-kinesis #29, #26).

In the wild: every page of a shard has an iterator for the next one, but the last. A reader took it from the
answer before it handed the page over; at the end of a shard that failed, the last page was lost with it, and
the shard's reader was gone. Its children were found when the stream was looked at again, much later, and were
begun with what came from then on.

Here: that a shard ends is an answer of its own. What stood on the last page is delivered like all before it,
and a shard that continues another one is read from its first record, whenever it is found.
"""

from typing import Any

from tests.museum.data_stage import STREAM, DataReader, DataStage
from tests.museum.reader import Place
from tests.museum.stage import RIGHT


class LooksNowAndThen(DataReader):
    """A plain reader that looks for shards when it is told to."""

    is_looking = True

    def discover(self) -> None:
        if self.is_looking:
            super().discover()


class DiesAtTheEnd(LooksNowAndThen):
    """The mistakes: the next iterator is always taken, and what is found late begins with what comes."""

    def read(self, shard_id: str, place: Place) -> None:
        iterator = place.iterator or self.iterator_of(shard_id, place)
        try:
            answer: dict[str, Any] = self.client.get_records(ShardIterator=iterator)
            place.iterator = answer["NextShardIterator"]
            self.deliver(place, answer["Records"])
        except KeyError:
            place.is_finished = True

    def iterator_of(self, shard_id: str, place: Place) -> str:
        kind = "TRIM_HORIZON" if len(self.places) == 1 else "LATEST"
        iterator: str = self.client.get_shard_iterator(
            StreamName=STREAM, ShardId=shard_id, ShardIteratorType=kind
        )["ShardIterator"]
        return iterator


def play(stage: DataStage, reader: LooksNowAndThen) -> None:
    stage.put("a", "b")
    stage.pass_time("2m", reader, every="1m")
    reader.is_looking = False
    stage.put("a")
    stage.split()
    stage.put("a", "b")
    stage.pass_time("20m", reader, every="2m")
    reader.is_looking = True
    reader.poll()
    stage.put("a", "b")
    stage.pass_time("20m", reader, every="2m")


def test_the_model_loses_the_last_page_and_what_came_before_it_looked_again() -> None:
    with DataStage() as stage:
        reader = DiesAtTheEnd(stage)
        play(stage, reader)
        assert stage.judge(reader.delivered).lost == ["a2", "a3", "b2"]
        assert stage.judge_ours() == RIGHT


def test_ours_and_a_plain_reader_lose_nothing() -> None:
    with DataStage() as stage:
        reader = LooksNowAndThen(stage)
        play(stage, reader)
        assert stage.judge(reader.delivered) == stage.judge_ours() == RIGHT
