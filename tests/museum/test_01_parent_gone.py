"""A child waits for a parent that is gone (data-prepper #3614).

In the wild: a child was begun when its parent was marked as finished. A parent whose shard had expired could
not be read to its end any more, so it was never marked, and nothing that came after it was ever read.

Here: a child waits only for a parent that is still listed, or that is being read. What went with a parent is
named as a gap; here nothing did, and nothing is missing.
"""

from tests.museum.reader import Place, Reader, Shard
from tests.museum.stage import RIGHT, Stage


class WaitsForever(Reader):
    """The mistake: only a shard that was read to its end makes way for its children; one that
    is gone is dropped.
    """

    def may_begin(self, shard: Shard, listed: set[str]) -> bool:
        parent = shard.get("ParentShardId")
        return parent is None or (parent in self.places and self.places[parent].is_finished)

    def failed(self, shard_id: str, place: Place, code: str) -> None:
        if code == "ResourceNotFoundException":
            del self.places[shard_id]
        else:
            super().failed(shard_id, place, code)


def play(stage: Stage, reader: Reader) -> None:
    stage.put("a", "b")
    stage.pass_time("5m", reader)
    stage.world.kill()  # everybody is away while the shard rolls over and expires: hours 4 to 28
    stage.world.advance("5h")
    stage.put("a", "c")  # in the child, which lives longer
    stage.world.advance("1410m")
    stage.world.restart()
    stage.pass_time("30m", reader)


def test_the_model_never_reads_the_child_of_an_expired_parent() -> None:
    with Stage() as stage:
        reader = WaitsForever(stage)
        play(stage, reader)
        assert stage.judge(reader.delivered).lost == ["a2", "c1"]
        assert stage.judge_ours() == RIGHT


def test_ours_and_a_plain_reader_lose_nothing() -> None:
    with Stage() as stage:
        reader = Reader(stage)
        play(stage, reader)
        assert stage.judge(reader.delivered) == stage.judge_ours() == RIGHT
        assert stage.world.gaps() == []
