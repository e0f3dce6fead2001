"""Discovery of 684 shards cannot finish in its budget (redpanda connect #4737).

In the wild: a look at the stream was given a number of calls. A stream with more pages of shards than that
was never seen to its end: each look began again at the first page, the same shards were found again, and the
newest ones, where the writes went, were never read.

Here: a look at a stream is over when the listing is. The embedded source lists all shards at once.
"""

from tests.museum.reader import Reader, Shard
from tests.museum.stage import RIGHT, Stage

SHARDS, GENERATIONS, BUDGET = 114, 6, 3
"""114 shards, rolled over five times in 24 hours: 684 of them, on seven pages."""


class BeginsAnew(Reader):
    """The mistake: a look that has used up its calls is broken off, and the next one starts
    at the first page.
    """

    def listing(self) -> list[Shard]:
        shards: list[Shard] = []
        start: dict[str, str] = {}
        for _ in range(BUDGET):
            page = self.client.describe_stream(StreamArn=self.arn, **start)["StreamDescription"]
            shards += page["Shards"]
            if "LastEvaluatedShardId" not in page:
                break
            start = {"ExclusiveStartShardId": page["LastEvaluatedShardId"]}
        return shards


def play(stage: Stage, reader: Reader) -> None:
    stage.world.kill()  # everybody begins when the shards are there
    for _ in range(GENERATIONS - 1):
        stage.world.advance("241m")
    stage.put("a", "b", "c")
    stage.world.restart()
    for _ in range(GENERATIONS):
        reader.poll()


def test_the_model_never_sees_the_newest_shards() -> None:
    with Stage(shards=SHARDS) as stage:
        reader = BeginsAnew(stage)
        play(stage, reader)
        assert len(Reader.listing(reader)) == SHARDS * GENERATIONS == 684
        assert stage.judge(reader.delivered).lost == ["a1", "b1", "c1"]
        assert stage.judge_ours() == RIGHT


def test_ours_and_a_plain_reader_lose_nothing() -> None:
    with Stage(shards=SHARDS) as stage:
        reader = Reader(stage)
        play(stage, reader)
        assert stage.judge(reader.delivered) == stage.judge_ours() == RIGHT
