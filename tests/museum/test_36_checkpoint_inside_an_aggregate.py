"""A checkpoint is in the middle of an aggregate (what sub-sequence numbers are for).

In the wild: the Kinesis Producer Library puts many user records into one record of a stream. A reader took
them apart, handed over as many as a batch has, and saved the sequence number of the last one as its position.
All records of an aggregate have that number. When the shard went to another worker, that one went on behind
it, and the rest of the aggregate was never seen.

Here: the machine settles records of the stream. An aggregate is one of them, which a handler takes apart by
itself, so no position is ever inside of it: what is not handled to its end comes again, whole.
"""

from typing import Any

from tailrace.streams.kinesis.aggregation import read_aggregate
from tests.museum.data_stage import FIRST_SHARD, ClicksStage

BATCH = 3
DATA = [b"%d" % number for number in range(8)]
Position = tuple[int, int]


class TakesApart:
    """A plain reader of aggregates. Shape: a position is a sequence number and a sub-sequence number."""

    def __init__(self, kinesis: Any) -> None:
        self.kinesis = kinesis
        self.saved: Position = (0, 0)
        self.buffer: list[tuple[Position, bytes]] = []
        self.delivered: list[bytes] = []

    def poll(self) -> None:
        if not self.buffer:
            self.fetch()
        for position, data in self.buffer[:BATCH]:
            self.delivered.append(data)
            self.saved = position
        del self.buffer[:BATCH]

    def fetch(self) -> None:
        token = self.kinesis.get_shard_iterator(
            StreamName="clicks", ShardId=FIRST_SHARD, ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        for record in self.kinesis.get_records(ShardIterator=token)["Records"]:
            for place, user in enumerate(read_aggregate(record["Data"]) or ()):
                position = int(record["SequenceNumber"]), place
                if self.is_behind(position):
                    self.buffer.append((position, user.data))

    def is_behind(self, position: Position) -> bool:
        return position > self.saved

    def move(self) -> None:
        """The shard goes to another worker, which knows what was saved."""
        self.buffer.clear()


class SavesTheNumber(TakesApart):
    """The mistake: what has the sequence number that was saved is taken for handled."""

    def is_behind(self, position: Position) -> bool:
        return position[0] > self.saved[0]


def play(stage: ClicksStage, reader: TakesApart) -> None:
    with stage.world as world:
        stage.put_aggregate(*DATA[:5])
        stage.put_aggregate(*DATA[5:])
        world.advance("150s")
        assert len(stage.ours) == 2  # in the middle of the first
        world._running[0].worker.stop()
        reader.poll()
        reader.move()
        world.advance("10m")
        world.restart()
        for _ in DATA:
            reader.poll()
        world.settle()


def test_the_model_loses_the_rest_of_the_aggregate() -> None:
    stage = ClicksStage()
    reader = SavesTheNumber(stage.kinesis)
    play(stage, reader)
    assert reader.delivered == [*DATA[:3], *DATA[5:]]
    assert stage.ours == DATA


def test_ours_and_a_plain_reader_hand_over_all_of_it() -> None:
    stage = ClicksStage()
    reader = TakesApart(stage.kinesis)
    play(stage, reader)
    assert reader.delivered == stage.ours == DATA
