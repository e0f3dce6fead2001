"""A storm of splits and merges overtakes a reader that knows one parent.

In the wild: an auto-scaler split and merged while a reader was behind. A shard that comes from a merge has
two parents, in two fields, `ParentShardId` and `AdjacentParentShardId`. Readers that began as readers of
DynamoDB's streams knew the first one: when that was at its end they began the child, and what still stood in
the other parent came after what had followed it.

Here: a shard waits for all of its parents, of however many generations the storm was, and each of them is
read to its end, though it lived for a moment.
"""

from tests.museum.data_stage import DataReader, DataStage
from tests.museum.reader import PAGE, PageAPoll, Shard
from tests.museum.stage import RIGHT


class DataPageAPoll(PageAPoll, DataReader):
    """The plain reader that reads one page of every shard, of a data stream."""


class KnowsOneParent(DataPageAPoll):
    """The mistake: the other parent of a merged shard is not waited for."""

    def parents_of(self, shard: Shard) -> list[str]:
        return super().parents_of(shard)[:1]


def play(stage: DataStage, reader: DataReader) -> None:
    for _ in range(2):
        stage.split()
        stage.put("f", *("a" for _ in range(3 * PAGE)))  # one is in the lower half, the other in the upper
        stage.merge()
        stage.put("a", "f")
    stage.split()
    stage.split()
    stage.put("a", "f")
    stage.pass_time("1h", reader, every="1m")


def test_the_model_reads_a_merged_shard_before_one_of_its_parents() -> None:
    with DataStage() as stage:
        reader = KnowsOneParent(stage)
        play(stage, reader)
        assert stage.judge(reader.delivered) == ([], [], ["a31", "a62"])
        assert stage.judge_ours() == RIGHT


def test_ours_and_a_plain_reader_keep_the_order_through_the_storm() -> None:
    with DataStage() as stage:
        reader = DataPageAPoll(stage)
        play(stage, reader)
        assert stage.judge(reader.delivered) == stage.judge_ours() == RIGHT
