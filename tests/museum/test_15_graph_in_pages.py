"""The graph of shards is put together from a part of it (flink-connector-aws #151).

In the wild: a listing of the shards comes in pages, and need not be of one moment. A child whose parent was
not in the same part of the listing was taken for the beginning of a stream and read at once: later changes of
an item came before earlier ones.

Here: whether a shard has a parent to wait for is asked of the whole listing, and of every shard that this
worker has begun; our own service lists parents before children, from one state.
"""

from tests.museum.reader import PAGE, PageAPoll, Place, Reader
from tests.museum.stage import RIGHT, Stage


class TakesAPageForAll(PageAPoll):
    """The mistake: parents are looked for on the page of the listing that is at hand."""

    def discover(self) -> None:
        shards = self.listing()
        for first in range(len(shards)):  # pages of one shard, to keep the example small
            page = shards[first : first + 1]
            for shard in page:
                if shard["ShardId"] not in self.places and self.may_begin(shard, {page[0]["ShardId"]}):
                    self.places[shard["ShardId"]] = Place()


def play(stage: Stage, reader: Reader) -> None:
    stage.put(*("a" for _ in range(PAGE + 2)))
    stage.world.advance("5h")  # the shard rolls over
    stage.put("a")
    stage.pass_time("30m", reader)


def test_the_model_reads_the_child_before_its_parent() -> None:
    with Stage() as stage:
        reader = TakesAPageForAll(stage)
        play(stage, reader)
        assert stage.judge(reader.delivered).disordered == ["a13"]
        assert stage.judge_ours() == RIGHT


def test_ours_and_a_plain_reader_keep_the_order() -> None:
    with Stage() as stage:
        reader = PageAPoll(stage)
        play(stage, reader)
        assert stage.judge(reader.delivered) == stage.judge_ours() == RIGHT
