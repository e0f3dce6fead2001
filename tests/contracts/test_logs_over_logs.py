"""Logs that hand over to an engine's log keep the contract of LogReader, and tell what the far log tells.

Rules of this file: the canaries of the contract are beside it (test_log_reader.py).
"""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tailrace.cli import node_log
from tailrace.cli.node_log import NodeLog
from tailrace.cli.place import NodeAt
from tailrace.journal.core.change import JournalChange
from tailrace.journal.core.records import journal_change
from tailrace.journal.run.wire_log import WireLog
from tailrace.ports import LogReader
from tailrace.server.control import Subject, find_verb
from tailrace.sources.embedded_log import EmbeddedLog
from tailrace.sources.loop_log import LoopLog
from tailrace.testing import check_log_reader
from tests.contracts.test_dynamodb_streams import FarLog
from tests.contracts.test_log_reader import Fed, switch, write


class Wired(WireLog):
    """In the numbers of the wire."""

    def __init__(self) -> None:
        self.fed = Fed()
        super().__init__(self.fed)


class Looped(LoopLog):
    """On the loop that made it."""

    def __init__(self) -> None:
        self.fed = Fed()
        super().__init__(self.fed)


class OfNode(NodeLog):
    """By the verbs of a node."""

    def __init__(self) -> None:
        self.fed = Fed()
        super().__init__(NodeAt("http://localhost:1", 1))


Made = Wired | Looped | OfNode


def feed(reader: LogReader, count: int, durable: bool) -> None:
    assert isinstance(reader, Made)
    write(reader.fed, count, durable)


def switched(reader: LogReader) -> None:
    assert isinstance(reader, Made)
    switch(reader.fed)


@pytest.mark.parametrize("make", [Wired, Looped])
def test_what_hands_over_keeps_the_contract(make: Callable[[], LogReader]) -> None:
    check_log_reader(make, feed, switched, table="orders")


def test_the_streams_of_a_node_keep_the_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[OfNode] = []

    def ask(place: Any, verb: str, arguments: dict[str, Any]) -> Any:
        async def answer() -> Any:
            subject = Subject(made[-1].fed.engine, made[-1].fed.clock)
            return [value async for value in find_verb(verb).run(subject, arguments)]

        (value,) = asyncio.run(answer())
        return value

    def make() -> LogReader:
        made.append(OfNode())
        return made[-1]

    monkeypatch.setattr(node_log, "ask", ask)
    check_log_reader(make, feed, switched, table="orders", sees_pending=False)


def test_an_engines_stream_in_the_numbers_of_the_wire_is_what_clients_have() -> None:
    async def changes(log: LogReader) -> list[JournalChange]:
        return [
            journal_change(record, shard.shard_id)
            for stream in await log.streams("orders")
            for shard in await log.shards(stream)
            for record in (await log.read(shard, 0, 100)).records
        ]

    async def places(log: LogReader) -> list[tuple[Any, ...]]:
        (stream,) = await log.streams("orders")
        return [(one.place, one.first, one.parents, one.last) for one in await log.shards(stream)]

    async def main() -> None:
        far = FarLog(2)
        try:
            far.table.write(7)
            far.table.roll()
            far.table.write(7)
            own = WireLog(EmbeddedLog(far.table.served.engine))
            assert await places(own) == await places(far)
            told = await changes(own)
            assert len(told) == 14
            assert told == await changes(far)
        finally:
            far.close()

    asyncio.run(main())
