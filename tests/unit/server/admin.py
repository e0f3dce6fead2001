"""An engine in memory with a handler's rows laid by hand, for the tests of the verbs."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from tailrace.app.app import App
from tailrace.clocks.manual import ManualClock
from tailrace.deadletters.core.entry import DeadLetter, deadletter_fields, deadletter_key
from tailrace.engine.engine import Engine, EngineSettings
from tailrace.leases.checkpoint import CheckpointRow, checkpoint_key, ledger_of
from tailrace.rows.writes import Write
from tailrace.runtime.attempting import TimedSink
from tailrace.runtime.attempts import Attempts
from tailrace.runtime.driver import Status
from tailrace.server.control import Subject, find_verb
from tailrace.stores.memory import MemoryStore
from tailrace.streams.envelopes import event_id
from tailrace.streams.record import ChangeRecord
from tailrace.streams.shards import Shard
from tailrace.tables.definition import TableDefinition
from tailrace.tables.mutate import Delete, Put

START_MS = 1_700_000_000_000


def live(ground: "Ground", in_flight: int = 0, shard: int = 0, attempts: Attempts | None = None) -> Status:
    """What a worker says of the handler `mail`, which moved now."""
    moved = ground.clock.now().monotonic_ms
    return Status(
        "app",
        "mail",
        "shop",
        ground.shards()[shard].shard_id,
        0,
        in_flight,
        0,
        0,
        {},
        moved,
        None,
        attempts=attempts,
    )


class FixedWorker:
    """A worker that says what it was told."""

    def __init__(self, *said: Status, sinks: Mapping[str, TimedSink] | None = None) -> None:
        self.app = App("app")
        self.said = said
        self.sinks = sinks or {}
        self.windows = ()

    def status(self) -> Sequence[Status]:
        return self.said


class Ground:
    """An engine with the table `shop`, and a subject for verbs."""

    def __init__(self, shards: int = 1) -> None:
        self.clock = ManualClock(START_MS)
        self.engine = Engine(MemoryStore(), self.clock, EngineSettings(shards=shards))
        self.subject = Subject(self.engine, self.clock)
        self.engine.create_table(TableDefinition("shop", "pk", "S", stream="NEW_AND_OLD_IMAGES"))
        self.engine.committer.flush()
        self.clock.advance(1_000)

    def put(self, pk: str, **attributes: str) -> None:
        item: Any = {"pk": {"S": pk}, **{name: {"S": value} for name, value in attributes.items()}}
        self.engine.put(Put("shop", item))
        self.engine.committer.flush()

    def delete(self, pk: str) -> None:
        self.engine.delete(Delete("shop", {"pk": {"S": pk}}))
        self.engine.committer.flush()

    def shards(self) -> list[Shard]:
        return self.engine.shards_of(self.engine.stream_of("shop").arn)

    def records(self) -> list[ChangeRecord]:
        return [record for shard in self.shards() for record in self.engine.log.read(shard, 0, 1_000).records]

    def settle(
        self,
        handler: str,
        watermark: int,
        settled: Sequence[tuple[int, int, int, str]] = (),
        ranges: Sequence[tuple[int, int]] = (),
        times: Mapping[int, tuple[int, int]] | None = None,
    ) -> None:
        """Write what a worker would have saved in the first shard."""
        shard, label = self.shards()[0], self.engine.stream_of("shop").label
        checkpoint = checkpoint_key("app", handler, label, shard.shard_id)
        known = {first: (from_ms, until_ms) for first, (from_ms, until_ms) in (times or {}).items()}
        ledger = ledger_of(self.engine.state.get(checkpoint)).after(settled, known)
        row = CheckpointRow(1, 0, watermark, tuple(ranges), ledger=ledger)
        self.engine.state.transact([Write(checkpoint, row.fields())])
        self.engine.committer.flush()

    def give_up(self, handler: str, record: ChangeRecord) -> None:
        """Write a dead letter."""
        letter = DeadLetter(
            record=record,
            event_id=event_id(record),
            shard_id=self.shards()[0].shard_id,
            handler=handler,
            condition="RetryAttemptsExhausted",
            attempts=6,
            error="SMTPError: no",
            traceback="Traceback…",
            first_failure_ms=START_MS,
            last_failure_ms=START_MS + 5_000,
        )
        key = deadletter_key("app", handler, record.version)
        self.engine.state.transact([Write(key, deadletter_fields(letter))])
        self.engine.committer.flush()

    def all(self, name: str, **arguments: object) -> list[Any]:
        """Every value of a verb that ends."""

        async def collect() -> list[Any]:
            return [value async for value in find_verb(name).run(self.subject, arguments)]

        return asyncio.run(collect())

    def ask(self, name: str, **arguments: object) -> Any:
        """The value of a verb that answers once."""
        (value,) = self.all(name, **arguments)
        return value
