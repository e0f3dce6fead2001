"""A shard ends, and no lease is made for its child (dynamodb-streams-kinesis-adapter #20).

In the wild: at the end of a shard its children were looked up in a listing that was kept to spare calls. The
listing was older than the children, so none was found, no lease was made, and a shard without a lease is read
by no worker.

Here: that a shard is finished makes the worker look at the stream again; and the worker that has
finished a shard before is asked at every look what follows it, so that a look that came too early is
repaired by the next one.
"""

from tests.museum.reader import Place, Reader, Shard
from tests.museum.stage import RIGHT, Stage

KEPT_FOR_S = 3_600


class OldListing(Reader):
    """The mistake: children are looked for once, when the parent ends, in a listing that may
    be an hour old.
    """

    def discover(self) -> None:
        if not self.places:
            super().discover()

    def listing(self) -> list[Shard]:
        now = self.stage.world.moment.timestamp()
        if not hasattr(self, "kept") or now - self.listed > KEPT_FOR_S:
            self.kept, self.listed = super().listing(), now
        return self.kept

    def read(self, shard_id: str, place: Place) -> None:
        super().read(shard_id, place)
        if place.is_finished:
            children = [
                shard["ShardId"] for shard in self.listing() if shard.get("ParentShardId") == shard_id
            ]
            self.places.update({child: Place() for child in children})


def play(stage: Stage, reader: Reader) -> None:
    stage.world.advance("230m")
    reader.poll()  # ten minutes before the shard rolls over
    stage.put("a")
    stage.pass_time("1h", reader)
    stage.put("a")
    stage.pass_time("5h", reader)


def test_the_model_reads_nothing_any_more() -> None:
    with Stage() as stage:
        reader = OldListing(stage)
        play(stage, reader)
        assert stage.judge(reader.delivered).lost == ["a2"]
        assert stage.judge_ours() == RIGHT


def test_ours_and_a_plain_reader_lose_nothing() -> None:
    with Stage() as stage:
        reader = Reader(stage)
        play(stage, reader)
        assert stage.judge(reader.delivered) == stage.judge_ours() == RIGHT
