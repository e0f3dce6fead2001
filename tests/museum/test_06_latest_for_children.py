"""LATEST is applied to the shards that follow (redpanda connect #4687).

In the wild: a pipeline that was told to begin with what is newest began *every* shard it found there, also
the children of shards that it had read to the end. What was written between a rollover and the next look at
the stream was skipped, every few hours.

Here: where to begin is decided once, for a mapping; a shard that continues another one is read
from its first record.
"""

from tests.museum.reader import Place, Reader
from tests.museum.stage import RIGHT, Stage


class AlwaysLatest(Reader):
    """The mistake: no position, so begin with what is newest. (The first shard was begun
    when there was nothing.)
    """

    def iterator_of(self, shard_id: str, place: Place) -> str:
        if place.after is not None:
            return super().iterator_of(shard_id, place)
        iterator: str = self.client.get_shard_iterator(
            StreamArn=self.arn, ShardId=shard_id, ShardIteratorType="LATEST"
        )["ShardIterator"]
        return iterator


def play(stage: Stage, reader: Reader) -> None:
    reader.poll()
    stage.put("a")
    stage.pass_time("239m", reader)
    for _ in range(3):  # rollovers, each followed by a write that comes before the next look
        stage.world.advance("2m")
        stage.put("a")
        stage.pass_time("238m", reader)


def test_the_model_skips_what_was_written_before_it_looked() -> None:
    with Stage() as stage:
        reader = AlwaysLatest(stage)
        play(stage, reader)
        assert stage.judge(reader.delivered).lost == ["a2", "a3", "a4"]
        assert stage.judge_ours() == RIGHT


def test_ours_and_a_plain_reader_lose_nothing() -> None:
    with Stage() as stage:
        reader = Reader(stage)
        play(stage, reader)
        assert stage.judge(reader.delivered) == stage.judge_ours() == RIGHT
