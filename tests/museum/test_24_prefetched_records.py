"""A rebalance skips records that were fetched ahead (faust #216, #221, #502).

In the wild: records are fetched ahead into a buffer. When the shard went to another worker, the position that
was handed over was that of the fetching, so that whatever stood in the buffer was skipped; where the buffer
was kept, its records came twice.

Here: the position of reading and the watermark of what is settled are two numbers; only the second one is
saved. What was read ahead belongs to one life of a machine and ends with it.
"""

from typing import Any

from tests.museum.reader import Place, Reader
from tests.museum.stage import RIGHT, Stage

ONE_BY_ONE = {"batch_size": 1}


class Buffering(Reader):
    """A plain reader that fetches ahead, hands over one record a poll, and saves what it has handed over."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self.buffer: list[tuple[Place, dict[str, Any]]] = []

    def deliver(self, place: Place, records: list[dict[str, Any]]) -> None:
        self.buffer += [(place, record) for record in records]

    def poll(self) -> None:
        super().poll()
        for place, record in self.buffer[:1]:
            super().deliver(place, [record])
        del self.buffer[:1]

    def rebalance(self) -> None:
        """Another worker goes on from what was saved."""
        self.crash()
        self.buffer.clear()


class SavesWhatIsFetched(Buffering):
    """The mistake: the position is that of the fetching."""

    def deliver(self, place: Place, records: list[dict[str, Any]]) -> None:
        super().deliver(place, records)
        for record in records:
            place.after = record["dynamodb"]["SequenceNumber"]

    def poll(self) -> None:
        Reader.poll(self)
        for _, record in self.buffer[:1]:
            self.sink(record)
        del self.buffer[:1]


class KeepsItsBuffer(Buffering):
    """The other mistake: the buffer outlives the hand-over, and its records are fetched again."""

    def rebalance(self) -> None:
        self.crash()


def play(stage: Stage, reader: Buffering) -> None:
    stage.takes_s = 60.0
    stage.put("a", "b", "c", "d")
    stage.pass_time("2m", reader, every="1m")
    stage.stop()
    assert len(stage.ours) < 4  # it had read the rest
    reader.rebalance()
    stage.world.restart()
    stage.pass_time("20m", reader, every="1m")


def test_one_model_skips_what_it_had_fetched() -> None:
    with Stage(settings=ONE_BY_ONE) as stage:
        reader = SavesWhatIsFetched(stage)
        play(stage, reader)
        assert stage.judge(reader.delivered).lost == ["c1", "d1"]
        assert stage.judge_ours() == RIGHT


def test_the_other_model_repeats_it() -> None:
    with Stage(settings=ONE_BY_ONE) as stage:
        reader = KeepsItsBuffer(stage)
        play(stage, reader)
        assert stage.judge(reader.delivered).repeated == ["c1", "d1"]
        assert stage.judge_ours() == RIGHT


def test_ours_and_a_plain_reader_neither_skip_nor_repeat() -> None:
    with Stage(settings=ONE_BY_ONE) as stage:
        reader = Buffering(stage)
        play(stage, reader)
        assert stage.judge(reader.delivered) == stage.judge_ours() == RIGHT
