"""A buffer that keeps duplicates away overflows (a limit that redpanda connect documents).

In the wild: what had been seen was remembered in a buffer of a fixed size. When it was full the duplicates
were simply let through, at the very moment when there was most to repeat.

Here: `once=True` marks the last change of each *item*, durably, and one number is enough, because the changes
of an item come in order. There is nothing to overflow.
"""

from typing import Any

from tests.museum.reader import Reader
from tests.museum.stage import RIGHT, Stage

BUFFER = 4


class Remembering(Reader):
    """A plain reader that remembers everything it has delivered."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self.seen: set[str] = set()

    def sink(self, record: dict[str, Any]) -> None:
        if record["eventID"] not in self.seen:
            super().sink(record)
            self.seen.add(record["eventID"])


class Overflows(Remembering):
    """The mistake: a full buffer is switched off."""

    def sink(self, record: dict[str, Any]) -> None:
        if len(self.seen) == BUFFER:
            Reader.sink(self, record)
        else:
            super().sink(record)


def play(stage: Stage, reader: Reader) -> None:
    stage.put("a", "b", "c", "a", "b", "c")
    with stage.world.faults(duplicates=1.0):
        reader.poll()
        reader.crash()
        for place in reader.places.values():
            place.after = None  # nothing was saved yet: all of it comes again
        reader.poll()
        stage.world.settle()
    assert any(fault.startswith("duplicate") for fault in stage.world.struck)


def test_the_model_repeats_what_does_not_fit() -> None:
    with Stage() as stage:
        reader = Overflows(stage)
        play(stage, reader)
        assert stage.judge(reader.delivered).repeated == ["a1", "b1", "c1", "a2", "b2", "c2"]


def test_ours_and_a_plain_reader_repeat_nothing() -> None:
    with Stage(settings={"once": True}) as stage:
        reader = Remembering(stage)
        play(stage, reader)
        assert stage.judge(reader.delivered) == stage.judge_ours() == RIGHT
