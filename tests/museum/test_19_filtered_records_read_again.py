"""Records that a filter drops are read again and again (ministack #1034).

In the wild: an emulator moved a mapping's cursor when a batch had been delivered. When nothing of a page
passed the filter there was no batch, the cursor stayed, and the next poll read the same page; what came after
it was never seen.

Here: to be filtered out is one way of being settled. The checkpoint passes such records like any other.
"""

from typing import Any

import pytest

from tailrace.ports import ReadDone, Shard
from tailrace.sources.embedded import EmbeddedSource
from tests.museum.reader import PAGE, Place, Reader, name_of
from tests.museum.stage import Stage

NOISE = [f"noise{number}-" for number in range(PAGE)]


class Filtering(Reader):
    """A plain reader of what is not noise."""

    fetched = 0

    def deliver(self, place: Place, records: list[dict[str, Any]]) -> None:
        self.fetched += len(records)
        super().deliver(place, records)

    def sink(self, record: dict[str, Any]) -> None:
        if not name_of(record).startswith("noise"):
            super().sink(record)


class MovesWithDeliveries(Filtering):
    """The mistake: without a delivery the cursor stays where it is."""

    def read(self, shard_id: str, place: Place) -> None:
        answer = self.client.get_records(ShardIterator=self.iterator_of(shard_id, place), Limit=PAGE)
        before = len(self.delivered)
        cursor = place.after
        self.deliver(place, answer["Records"])
        if len(self.delivered) == before:
            place.after = cursor


def play(stage: Stage, reader: Reader) -> None:
    stage.put(*NOISE, "a")
    stage.pass_time("30m", reader)


def test_the_model_never_comes_past_a_page_of_noise() -> None:
    with Stage() as stage:
        reader = MovesWithDeliveries(stage)
        play(stage, reader)
        assert reader.delivered == []
        assert reader.fetched == 6 * PAGE


def test_ours_and_a_plain_reader_read_everything_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read, fetched = EmbeddedSource.read, []

    async def counting(source: EmbeddedSource, shard: Shard, after: int, limit: int) -> ReadDone:
        page = await read(source, shard, after, limit)
        fetched.extend(page.records)
        return page

    monkeypatch.setattr(EmbeddedSource, "read", counting)
    with Stage(settings={"where": lambda change: not change.key.startswith("noise")}) as stage:
        reader = Filtering(stage)
        play(stage, reader)
        stage.world.restart()
        stage.world.settle()
        assert (reader.delivered, reader.fetched) == (["a1"], PAGE + 1)
        assert (stage.ours, len(fetched)) == (["a1"], PAGE + 1)
