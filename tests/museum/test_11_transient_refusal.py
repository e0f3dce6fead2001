"""A refusal that passes kills the stream for good (spiceai #10755).

In the wild: while credentials were renewed one call was answered with an access error. It counted as
final, the stream's task ended, and nothing was read until an operator restarted the process. Gauges went
on to show active shards.

Here: what a source says when it fails is never final. The machine asks again with growing pauses, and
`status` says since when nothing has moved.
"""

import pytest
from botocore.exceptions import ClientError
from msgspec.structs import replace

from tailrace.errors import SourceError
from tailrace.ports import ReadDone, Shard
from tailrace.sources.embedded import EmbeddedSource
from tests.museum.reader import Place, Reader
from tests.museum.stage import RIGHT, Stage

REFUSALS = 3


class Refused(Reader):
    """A plain reader whose first reads are refused."""

    refused = 0

    def iterator_of(self, shard_id: str, place: Place) -> str:
        if self.refused < REFUSALS:
            self.refused += 1
            raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "GetShardIterator")
        return super().iterator_of(shard_id, place)


class TakesItForFinal(Refused):
    """The mistake: an access error ends the shard's reader."""

    def failed(self, shard_id: str, place: Place, code: str) -> None:
        place.is_finished = True


def play(stage: Stage, reader: Reader) -> None:
    stage.put("a", "b")
    stage.pass_time("30m", reader)


def test_the_model_never_reads_again() -> None:
    with Stage() as stage:
        reader = TakesItForFinal(stage)
        play(stage, reader)
        assert stage.judge(reader.delivered).lost == ["a1", "b1"]


def test_ours_and_a_plain_reader_lose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    read, refused = EmbeddedSource.read, []

    async def refusing(source: EmbeddedSource, shard: Shard, after: int, limit: int) -> ReadDone:
        if len(refused) < REFUSALS:
            refused.append(after)
            raise SourceError("AccessDeniedException")
        return replace(await read(source, shard, after, limit))

    monkeypatch.setattr(EmbeddedSource, "read", refusing)
    with Stage() as stage:
        reader = Refused(stage)
        play(stage, reader)
        assert stage.judge(reader.delivered) == stage.judge_ours() == RIGHT
        assert len(refused) == REFUSALS
