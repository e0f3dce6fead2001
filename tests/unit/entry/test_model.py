"""Seeded runs of the entry against a model of what it promises: failures, lost answers, killed processes,
stores that do not answer.

Lambda is played here by its rules: it sends a batch from its position, goes on behind it when it is answered,
from the named record when one is named, and sends it again when the process dies, before its answer or after
its work. Between batches a schedule redrives. Whatever happens, at the end of every run: each change was
handled; of each item first deliveries came in order; what was put in a transaction was put once, in order.
The canaries break one rule each, and the model must find it.
"""

import asyncio
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest

from tailrace.app.app import App
from tailrace.clocks.manual import ManualClock
from tailrace.deadletters.core.head import CLAIM_MS
from tailrace.entry import delivering
from tailrace.entry.delivering import deliver
from tailrace.entry.keeping import EventDelivery
from tailrace.entry.redriving import RedriverEvent
from tailrace.errors import StoreError
from tailrace.mapping.commands import ParkDone
from tailrace.rows.writes import ALWAYS, Write
from tailrace.runtime import effects
from tests.unit.entry.invoking import MINUTE_MS, Process, TablesInMemory, event_record

SEEDS = range(25)
ITEMS = "abcdef"


class Violation(AssertionError):
    """What is promised does not hold."""


class Faulty(TablesInMemory):
    """A state table that now and then does not answer: before it has written, or after."""

    def __init__(self, random: Random) -> None:
        super().__init__()
        self.random, self.is_faulty = random, True

    async def transact(self, writes: Any) -> None:
        await asyncio.sleep(self.random.random() / 10)
        is_lost = self.is_faulty and self.random.random() < 0.05
        if is_lost and self.random.random() < 0.5:
            raise StoreError("no answer")
        await super().transact(writes)
        if is_lost:
            raise StoreError("no answer, though it was written")


class History:
    """One seeded run."""

    def __init__(self, seed: int, *, keeps: bool) -> None:
        self.random = Random(seed)
        self.seed, self.keeps = seed, keeps
        self.clock = ManualClock()
        self.state = Faulty(self.random)
        self.poison = {number for number in range(1, 41) if self.random.random() < 0.15}
        self.changes = [(number, self.random.choice(ITEMS)) for number in range(1, 41)]
        self.first: list[int] = []
        self.app = self._declared()
        self.processes = 0
        self.process = self._started()

    def _declared(self) -> App:
        app = App("shop")
        orders, totals = app.table("orders", pk="id"), app.table("totals", pk="id")

        @app.on(
            orders,
            id="audit",
            concurrency=self.random.choice([1, 3]),
            batch_size=self.random.choice([2, 100]),
        )
        async def audit(change: Any) -> None:
            number = int(change.new["n"])
            await asyncio.sleep(self.random.random() / 5)
            if number in self.poison and self.random.random() < 0.9:
                raise ValueError("poison")
            if number not in self.first:
                self.first.append(number)
            if self.keeps:
                change.transaction.put(totals, {"id": f"{number}", "n": number})

        return app

    def _started(self) -> Process:
        self.processes += 1
        return Process(
            self.app, self.state if self.keeps else None, self.clock, self.seed * 1_000 + self.processes
        )

    def _invoked(self, records: Sequence[dict[str, Any]]) -> Any:
        """What Lambda hears of a batch; None: nothing, for the process has died at some moment."""
        work = deliver(self.process.sandbox, {"Records": list(records)}, MINUTE_MS)
        dies_ms = self.random.choice([None, None, None, self.random.randrange(3_000)])
        if dies_ms is None:
            answer = self.process.run(work).value()
            return None if self.random.random() < 0.05 else answer

        async def cut_off() -> Any:
            try:
                async with asyncio.timeout(dies_ms / 1_000):
                    return (await work).value()
            except TimeoutError:
                return None

        answer = self.process.run(cut_off())
        self.process = self._started()
        return answer

    def run(self) -> None:
        """Everything is delivered; failures end in time. Raises: Violation."""
        records = [event_record(number, key) for number, key in self.changes]
        position = tries = 0
        while position < len(records):
            tries += 1
            if tries > 60:
                self.poison.clear()  # they are mended, as code is
            size = self.random.randint(1, 12)
            batch = records[position : position + size]
            answer = self._invoked(batch)
            if answer is not None:
                named = [entry["itemIdentifier"] for entry in answer["batchItemFailures"]]
                numbers = [entry["dynamodb"]["SequenceNumber"] for entry in batch]
                position += numbers.index(named[0]) if named else len(batch)
            if self.keeps and self.random.random() < 0.3:
                self.process.run(self._redriven(self.random.choice([500, MINUTE_MS])))
        self.poison.clear()
        self.state.is_faulty = False
        for _ in range(6 if self.keeps else 0):
            self.clock.advance(CLAIM_MS + 1)
            self.process.run(self._redriven(MINUTE_MS))
        self.check()

    async def _redriven(self, remaining_ms: int) -> None:
        try:
            await self.process.redrives.run(RedriverEvent(), remaining_ms)
        except StoreError:
            return

    def check(self) -> None:
        """Raises: Violation."""
        if missing := {number for number, _ in self.changes} - set(self.first):
            raise Violation(f"never handled: {sorted(missing)}")
        for item in ITEMS:
            mine = [number for number, key in self.changes if key == item]
            if (order := [number for number in self.first if number in mine]) != mine:
                raise Violation(f"item {item}: first deliveries {order}, written {mine}")
            written = [int(entry["Item"]["n"]["N"]) for entry in self.state.written]
            if self.keeps and [number for number in written if number in mine] != mine:
                raise Violation(f"item {item}: put {[n for n in written if n in mine]}, written {mine}")


@pytest.mark.parametrize("keeps", [True, False], ids=["with a state table", "without"])
def test_nothing_is_lost_and_items_keep_their_order_whatever_fails(keeps: bool) -> None:
    for seed in SEEDS:
        try:
            History(seed, keeps=keeps).run()
        except Violation as error:
            raise AssertionError(f"seed {seed}: {error}") from error


def finds(keeps: bool) -> bool:
    """Whether some seed finds that something is broken."""
    for seed in SEEDS:
        try:
            History(seed, keeps=keeps).run()
        except Violation:
            return True
    return False


def test_canary_a_parked_change_that_is_not_durable_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgets(self: EventDelivery, command: Any) -> Any:
        yield from ()
        return (ParkDone(command.id),)

    monkeypatch.setattr(EventDelivery, "_park_in_parts", forgets)
    assert finds(keeps=True)


def test_canary_an_answer_that_names_nothing_loses_what_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivering.BatchAnswer, "value", lambda self: {"batchItemFailures": []})
    assert finds(keeps=False)


def test_canary_a_batch_that_does_not_ask_what_is_parked_overtakes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def knows_nothing(self: Any) -> Any:
        return delivering.Start(delivering.checkpoint_of(self._begun))

    monkeypatch.setattr(delivering.HandlerRun, "_start", knows_nothing)
    assert finds(keeps=True)


def test_canary_what_waits_behind_a_failure_is_left_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def leaves_the_first_alone(self: EventDelivery, id: int, entries: Any) -> Any:
        self.left.update((entry.record.sequence, entry) for entry in entries if entry.failure is not None)
        return (ParkDone(id),)

    monkeypatch.setattr(EventDelivery, "_leave", leaves_the_first_alone)
    assert finds(keeps=False)


def test_canary_without_marks_effects_come_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    def unconditional(key: str, version: Any, now_ms: int) -> Write:
        return Write(key, {"v": 1, "version": version.text}, ALWAYS)

    monkeypatch.setattr(effects, "mark_write", unconditional)
    assert finds(keeps=True)
