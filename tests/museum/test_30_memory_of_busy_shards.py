"""All shards are busy, and the memory is used up (estuary connectors #1045).

In the wild: every shard had a reader of its own with a buffer of its own. With many shards and a slow sink
all of them were filled at once, and the process was killed for its memory.

Here: a machine reads only while what it has read and not settled fits its bounds
(`buffer_records`, `buffer_bytes`); what a worker keeps of the shards for handlers that come later
has one budget for all of them.
"""

from typing import Any

from tests.museum.reader import Place, Reader
from tests.museum.stage import RIGHT, Stage

SHARDS, RECORDS, BUFFER = 8, 480, 10


class ReadsAhead(Reader):
    """The mistake: what is read waits in memory for a sink that does not come after."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self.buffer: list[dict[str, Any]] = []

    def deliver(self, place: Place, records: list[dict[str, Any]]) -> None:
        self.buffer += records


def write(stage: Stage) -> None:
    stage.takes_s = 60.0
    stage.put(*(f"i{number:03}" for number in range(RECORDS)))
    stage.world.advance("1m")


def test_the_model_holds_everything_in_memory() -> None:
    with Stage(shards=SHARDS) as stage:
        write(stage)
        reader = ReadsAhead(stage)
        reader.poll()
        assert len(reader.buffer) == RECORDS


def test_ours_holds_what_fits_its_bounds() -> None:
    with Stage(shards=SHARDS, settings={"buffer_records": BUFFER, "batch_size": 1}) as stage:
        write(stage)
        unsettled = [status.unsettled for status in stage.world._running[0].worker.status()]
        assert len(unsettled) == SHARDS
        assert 0 < max(unsettled) <= 2 * BUFFER
        assert stage.judge_ours() == RIGHT
