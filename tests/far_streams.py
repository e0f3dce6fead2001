"""A table with a stream behind a real HTTP server, and the source that reads it from there: for tests of
readers.

Rules of this file: one server for many tables, each with a name of its own; writes are made in the server's
thread, and are durable when they return. The server's time is driven, so no test waits for it.
"""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tailrace.aws.places import KNOWN, Access
from tailrace.engine.engine import EngineSettings
from tailrace.streams.record import ViewType
from tailrace.tables.definition import TableChange, TableDefinition
from tailrace.tables.mutate import Delete, Put
from tailrace.values.types import AttributeValue
from tests.serving import Served, serving

HOUR_MS = 3_600_000
NAMES = itertools.count(1)


class FarTable:
    """A table of a server."""

    def __init__(
        self,
        served: Served,
        view_type: ViewType = "NEW_AND_OLD_IMAGES",
        *,
        sort: bool = False,
        name: str = "",
    ) -> None:
        self.served = served
        self.name = name or f"orders-{next(NAMES)}"
        self.total = 0
        definition = TableDefinition(self.name, "pk", "S", stream=view_type)
        if sort:
            definition = TableDefinition(self.name, "pk", "S", "sk", "N", stream=view_type)

        def create() -> None:
            served.engine.create_table(definition)
            served.engine.committer.flush()

        served.call(create)

    @property
    def arn(self) -> str:
        """Its present stream."""
        return self.served.call(lambda: self.served.engine.stream_of(self.name).arn)

    def put(self, *keys: str, **attributes: AttributeValue) -> None:
        """Write items, one after the other."""

        def putting() -> None:
            for key in keys:
                self.served.engine.put(Put(self.name, {"pk": {"S": key}, **attributes}))
            self.served.engine.committer.flush()

        self.served.call(putting)

    def write(self, count: int) -> int:
        """Write so many new items. Returns: how many there are in all."""
        self.put(*(f"item {self.total + place}" for place in range(count)))
        self.total += count
        return self.total

    def delete(self, key: str, *, by_ttl: bool = False) -> None:
        """Delete an item."""

        def deleting() -> None:
            self.served.engine.delete(Delete(self.name, {"pk": {"S": key}}, by_ttl=by_ttl))
            self.served.engine.committer.flush()

        self.served.call(deleting)

    def switch(self, view_type: ViewType | None) -> None:
        """Switch its stream off, or on."""

        def switching() -> None:
            self.served.engine.update_table(self.name, TableChange(view_type is not None, view_type))
            self.served.engine.committer.flush()

        self.served.call(switching)

    def make_again(self) -> None:
        """Delete the table, and make one of its name some seconds later."""

        def making() -> None:
            engine = self.served.engine
            engine.delete_table(self.name)
            engine.committer.flush()
            self.served.clock.advance(10_000)
            engine.create_table(TableDefinition(self.name, "pk", "S", stream="NEW_AND_OLD_IMAGES"))
            engine.committer.flush()

        self.served.call(making)

    def pass_time(self, milliseconds: int) -> None:
        """Let the server's time pass: its shards roll over and are trimmed."""

        def passing() -> None:
            self.served.clock.advance(milliseconds)
            engine = self.served.engine
            for stream in engine.list_streams(None, None, None)["Streams"]:
                engine.describe_stream(stream["StreamArn"], None, None, None)
            engine.committer.flush()

        self.served.call(passing)

    def roll(self) -> None:
        """Close its open shards and open their children."""
        self.pass_time(4 * HOUR_MS)


@contextmanager
def far(shards: int = 1) -> Iterator[tuple[Served, Access]]:
    """A server whose tables have that many shards, and how it is called."""
    with serving(engine=EngineSettings(shards=shards)) as served, pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "any")
        KNOWN.forget(None)
        yield served, Access("us-east-1", f"http://127.0.0.1:{served.port}")
    KNOWN.forget(None)
