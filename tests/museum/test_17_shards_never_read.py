"""After a reshard some shards are never read (amazon-kinesis-client #339).

In the wild: a stream went from 340 shards to 435, and five of the new ones never got a lease. The report
tells the symptom; the model has one mechanism that leads to it: the ends of shards ask for a synchronisation,
and one that runs already swallows the request, although it works with a listing from before.

Here: there is no synchronisation to be missed. Every look at the stream asks of *every* listed shard whether
it may be begun, and the end of a shard makes the worker look again after the look that is under way.
"""

from tests.museum.reader import Place, Reader
from tests.museum.stage import RIGHT, Stage


class Swallows(Reader):
    """The mistake: what ends while a synchronisation runs is not looked at again."""

    def discover(self) -> None:
        if not self.places:
            super().discover()

    def poll(self) -> None:
        super().poll()
        ended = {shard_id for shard_id, place in self.places.items() if place.is_finished}
        new = ended - getattr(self, "known", set())
        if not new:
            return
        self.known = ended
        listing = self.listing()
        self.during_synchronisation()
        for shard in listing:  # of before
            if shard.get("ParentShardId") in new:
                self.places[shard["ShardId"]] = Place()
        self.known |= {
            shard_id for shard_id, place in self.places.items() if self.is_drained(shard_id, place)
        }

    def during_synchronisation(self) -> None:
        """Half of the shards are split again while the listing is worked on."""
        if not hasattr(self, "has_split"):
            self.has_split = True
            self.stage.world.split("orders")

    def is_drained(self, shard_id: str, place: Place) -> bool:
        """Whether a shard ends now."""
        self.read(shard_id, place)
        return place.is_finished


def play(stage: Stage, reader: Reader) -> None:
    items = [f"i{number:02}" for number in range(20)]
    stage.put(*items)
    reader.poll()
    stage.world.split("orders")
    stage.pass_time("10m", reader)
    if not hasattr(reader, "has_split"):
        stage.world.split("orders")
    stage.put(*items)
    stage.pass_time("30m", reader)


def test_the_model_never_reads_the_second_generation() -> None:
    with Stage(shards=2) as stage:
        reader = Swallows(stage)
        play(stage, reader)
        assert len(stage.judge(reader.delivered).lost) == 20
        assert stage.judge_ours() == RIGHT


def test_ours_and_a_plain_reader_lose_nothing() -> None:
    with Stage(shards=2) as stage:
        reader = Reader(stage)
        play(stage, reader)
        assert stage.judge(reader.delivered) == stage.judge_ours() == RIGHT
