"""A checkpoint is saved before the delivery is acknowledged (redpanda connect #4687, data-prepper #5413).

In the wild: the position was saved when records had been read, not when the sink had taken them. A crash in
between lost what was on its way.

Here: a checkpoint covers only what is settled, and is one transaction with the dead letters of
what was given up.
"""

from typing import Any

from tests.museum.reader import Place, Reader
from tests.museum.stage import RIGHT, Stage


class Died(Exception):
    """The process is gone."""


class Dies(Reader):
    """A plain reader whose process dies at the second record, once."""

    def sink(self, record: dict[str, Any]) -> None:
        if len(self.delivered) == 1 and not hasattr(self, "died"):
            self.died = True
            raise Died
        super().sink(record)


class SavesFirst(Dies):
    """The mistake: the position moves when records arrive."""

    def deliver(self, place: Place, records: list[dict[str, Any]]) -> None:
        if records:
            place.after = records[-1]["dynamodb"]["SequenceNumber"]
        for record in records:
            self.sink(record)


def play(stage: Stage, reader: Reader) -> None:
    stage.put("a", "b", "c")
    with stage.world.faults(crash=["invoke.begun", "checkpoint.begun"]):
        try:
            reader.poll()
        except Died:
            reader.crash()
        reader.poll()
        stage.world.settle()
    assert {fault.split(".")[0] for fault in stage.world.struck} == {"crash-invoke", "crash-checkpoint"}


def test_the_model_loses_what_was_on_its_way() -> None:
    with Stage() as stage:
        reader = SavesFirst(stage)
        play(stage, reader)
        assert stage.judge(reader.delivered).lost == ["b1", "c1"]
        assert stage.judge_ours().lost == []


def test_ours_and_a_plain_reader_lose_nothing() -> None:
    with Stage() as stage:
        reader = Dies(stage)
        play(stage, reader)
        assert stage.judge(reader.delivered) == RIGHT
        assert stage.judge_ours().lost == stage.judge_ours().disordered == []
