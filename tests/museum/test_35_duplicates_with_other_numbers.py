"""A change comes again under another sequence number (documented for DynamoDB's records).

In the wild: DynamoDB delivers at least once into a data stream: after a destination was disabled and enabled
again, or when an answer of Kinesis was lost, a change stands there twice. What stands there twice are two
records, with a sequence number each. Readers that knew duplicates by that number let them through, and an
older change was applied after a newer one.

Here: a change is known by its item, its time and its images, whatever number it has. One that was settled is
left out and counted, also after a restart and in a child of the shard it came in first.
"""

from typing import Any

from tests.museum.data_stage import DataReader, DataStage
from tests.museum.reader import Place
from tests.museum.stage import RIGHT, Verdict


class KnowsNumbers(DataReader):
    """The mistake: a record is taken for a repetition when its sequence number was seen."""

    def __init__(self, stage: DataStage) -> None:
        super().__init__(stage)
        self.numbers: set[str] = set()

    def deliver(self, place: Place, records: list[dict[str, Any]]) -> None:
        fresh = [record for record in records if record["SequenceNumber"] not in self.numbers]
        self.numbers |= {record["SequenceNumber"] for record in fresh}
        super().deliver(place, fresh)


def play(stage: DataStage, reader: DataReader) -> None:
    stage.put("a", "b")
    stage.put("a")
    changes = stage.changes()
    stage.tell(*changes)
    stage.pass_time("1m", reader, every="1m")
    stage.tell(*changes[:2])  # it was disabled, and enabled again
    stage.split()
    stage.world.restart()
    stage.tell(*changes)
    stage.pass_time("2m", reader, every="1m")


def test_the_model_repeats_them_and_applies_old_ones_last() -> None:
    with DataStage(is_copied=False) as stage:
        reader = KnowsNumbers(stage)
        play(stage, reader)
        assert stage.judge(reader.delivered) == Verdict([], ["a1", "b1", "a2"], [])


def test_ours_leaves_out_what_was_settled() -> None:
    with DataStage(is_copied=False) as stage:
        play(stage, KnowsNumbers(stage))
        assert stage.judge_ours() == RIGHT
