"""The tail of a closed shard is left unread (estuary #3418).

In the wild: a shard that was listed as closed was marked as finished after one read of it, although a read is
only a page: what stood on the following pages was skipped, and the children were begun.

Here: a shard is finished when its source says that nothing will ever follow *and* every record of it is
settled, in one checkpoint.
"""

from tests.museum.reader import PAGE, Place, Reader
from tests.museum.stage import RIGHT, Stage


class MarksAfterOnePage(Reader):
    """The mistake: closed, and read once, is taken for finished."""

    def read(self, shard_id: str, place: Place) -> None:
        closed = {
            shard["ShardId"]
            for shard in self.listing()
            if "EndingSequenceNumber" in shard["SequenceNumberRange"]
        }
        answer = self.client.get_records(
            ShardIterator=place.iterator or self.iterator_of(shard_id, place), Limit=PAGE
        )
        self.deliver(place, answer["Records"])
        place.iterator = answer.get("NextShardIterator")
        place.is_finished = place.iterator is None or shard_id in closed


def play(stage: Stage, reader: Reader) -> None:
    stage.put(*(f"i{number:02}" for number in range(PAGE + 5)))
    stage.world.advance("5h")  # no reader has polled until the shard rolls over
    stage.put("i00")
    stage.pass_time("30m", reader)


def test_the_model_loses_what_follows_the_first_page() -> None:
    with Stage() as stage:
        reader = MarksAfterOnePage(stage)
        play(stage, reader)
        assert stage.judge(reader.delivered).lost == ["i101", "i111", "i121", "i131", "i141"]
        assert stage.judge_ours() == RIGHT


def test_ours_and_a_plain_reader_lose_nothing() -> None:
    with Stage() as stage:
        reader = Reader(stage)
        play(stage, reader)
        assert stage.judge(reader.delivered) == stage.judge_ours() == RIGHT
