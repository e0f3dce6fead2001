"""The sinks keep the contract of Sink, and the check catches a sink that does not.

Rules of this file: one canary a rule. The far side of the package's own sinks is a handler
that refuses some records.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from msgspec.structs import replace

from tailrace.app.app import App
from tailrace.app.change import Batch as ChangeBatch
from tailrace.app.change import Change
from tailrace.clocks.manual import ManualClock
from tailrace.errors import Throttled, Unavailable
from tailrace.functions.runners import Runners
from tailrace.ports import (
    Clock,
    Failed,
    FailedFrom,
    Failure,
    FailureKind,
    Outcome,
    RecordBatch,
    Sink,
    Written,
)
from tailrace.runtime.effects import Effects, Marking
from tailrace.sinks.function import BatchSink, HandlerSink
from tailrace.sinks.lambda_function import LambdaSink
from tailrace.stores.memory import MemoryStateStore
from tailrace.streams.record import SequenceNumber
from tailrace.testing import check_sink
from tailrace.testing.contracts import sink
from tests.contracts.breaking import breaks


class Refused(Exception):
    """What a handler raises for a record that it refuses."""


class Handlers:
    """Handlers of every form, which note what they accepted."""

    def __init__(self, refused: frozenset[int]) -> None:
        self.refused = refused
        self.arrived: list[int] = []

    def take(self, sequence: int) -> None:
        if sequence in self.refused:
            raise Refused(sequence)
        self.arrived.append(sequence)

    def on_change(self, change: Change) -> None:
        self.take(change.record.sequence)

    async def on_change_async(self, change: Change) -> None:
        self.take(change.record.sequence)

    def on_batch(self, batch: ChangeBatch) -> None:
        if self.refused & {change.record.sequence for change in batch}:
            raise Refused
        self.arrived += [change.record.sequence for change in batch]

    def on_event(self, event: dict[str, Any], context: object) -> dict[str, Any]:
        for record in event["Records"]:
            text = record["dynamodb"]["SequenceNumber"]
            try:
                self.take(SequenceNumber.from_wire(text))
            except Refused:
                return {"batchItemFailures": [{"itemIdentifier": text}]}
        return {"batchItemFailures": []}

    def on_event_raising(self, event: dict[str, Any], context: object) -> None:
        for record in event["Records"]:
            self.take(SequenceNumber.from_wire(record["dynamodb"]["SequenceNumber"]))


FARS: dict[int, Handlers] = {}


def arrived(made: Sink) -> Iterable[int]:
    return FARS[id(made)].arrived


def _kept(made: Sink, handlers: Handlers) -> Sink:
    FARS[id(made)] = handlers
    KEPT.append(made)
    return made


KEPT: list[Sink] = []
"""Every sink that was made, so that no two have one id."""


def handler_sink(refused: frozenset[int], *, is_async: bool = False) -> Sink:
    handlers = Handlers(refused)
    app = App("contract")
    table = app.table("contract", pk="pk")
    app.on(table, id="handler")(handlers.on_change_async if is_async else handlers.on_change)
    (mapping,) = app.mappings
    return _kept(HandlerSink(mapping, Effects(MemoryStateStore(), Marking("handler"))), handlers)


def async_handler_sink(refused: frozenset[int]) -> Sink:
    return handler_sink(refused, is_async=True)


def batch_sink(refused: frozenset[int]) -> Sink:
    handlers = Handlers(refused)
    app = App("contract")
    app.batch(app.table("contract", pk="pk"), id="handler")(handlers.on_batch)
    (mapping,) = app.mappings
    return _kept(BatchSink(mapping, Effects(MemoryStateStore(), Marking("handler"))), handlers)


def lambda_sink(refused: frozenset[int], *, reports: bool = True) -> Sink:
    handlers = Handlers(refused)
    app = App("contract")
    function = handlers.on_event if reports else handlers.on_event_raising
    responses = ["ReportBatchItemFailures"] if reports else []
    app.function(function, app.table("contract", pk="pk"), id="handler", FunctionResponseTypes=responses)
    (mapping,) = app.mappings
    return _kept(LambdaSink(mapping, Runners(ManualClock()).of(mapping), "000000000000"), handlers)


def raising_lambda_sink(refused: frozenset[int]) -> Sink:
    return lambda_sink(refused, reports=False)


@pytest.mark.parametrize(
    "make", [handler_sink, async_handler_sink, batch_sink, lambda_sink, raising_lambda_sink]
)
def test_the_sink_keeps_the_contract(make: Callable[[frozenset[int]], Sink]) -> None:
    check_sink(make, arrived)


# ---- canaries ----------------------------------------------------------------------------------------------


class MemorySink:
    """Keeps what it is given, stops at the first record that it refuses: the shortest sink there is."""

    def __init__(self, refused: frozenset[int]) -> None:
        self.refused = refused
        self.arrived: list[int] = []

    async def write(self, batch: RecordBatch) -> Outcome:
        for index, record in enumerate(batch.records):
            if record.sequence in self.refused:
                return FailedFrom(index)
            self.arrived.append(record.sequence)
        return Written()


def kept_by(made: Sink) -> Iterable[int]:
    assert isinstance(made, MemorySink)
    return made.arrived


def test_the_shortest_sink_keeps_the_contract() -> None:
    check_sink(MemorySink, kept_by)


class LosesTheLast(MemorySink):
    async def write(self, batch: RecordBatch) -> Outcome:
        outcome = await super().write(batch)
        if len(batch.records) > 2 and isinstance(outcome, Written):
            self.arrived.pop()
        return outcome


class WritesBackwards(MemorySink):
    async def write(self, batch: RecordBatch) -> Outcome:
        outcome = await super().write(batch)
        self.arrived.reverse()
        return outcome


class TakesNoRemovals(MemorySink):
    async def write(self, batch: RecordBatch) -> Outcome:
        if any(record.new is None for record in batch.records):
            return Failed(whole=Failure(error="no image"))
        return await super().write(batch)


class RefusesRepeats(MemorySink):
    async def write(self, batch: RecordBatch) -> Outcome:
        repeated = {
            index: Failure() for index, record in enumerate(batch.records) if record.sequence in self.arrived
        }
        return Failed(repeated) if repeated else await super().write(batch)


class AcceptsOneTooMany(MemorySink):
    async def write(self, batch: RecordBatch) -> Outcome:
        outcome = await super().write(batch)
        if isinstance(outcome, FailedFrom) and outcome.index + 1 < len(batch.records):
            return FailedFrom(outcome.index + 1)
        return outcome


class CountsFromOne(MemorySink):
    async def write(self, batch: RecordBatch) -> Outcome:
        outcome = await super().write(batch)
        return FailedFrom(outcome.index + 1) if isinstance(outcome, FailedFrom) else outcome


class ForgetsToSayWhich(MemorySink):
    async def write(self, batch: RecordBatch) -> Outcome:
        outcome = await super().write(batch)
        return Failed({}) if isinstance(outcome, FailedFrom) else outcome


class GoesOnAfterAFailure(MemorySink):
    async def write(self, batch: RecordBatch) -> Outcome:
        failures: dict[int, Failure] = {}
        for index, record in enumerate(batch.records):
            if record.sequence in self.refused:
                failures[index] = Failure()
            else:
                self.arrived.append(record.sequence)
        return Failed(failures) if failures else Written()


class BreaksAfterSecondAttempts(MemorySink):
    async def write(self, batch: RecordBatch) -> Outcome:
        if batch.attempt > 1:
            return Failed(whole=Failure(error="second attempts are not understood"))
        return await super().write(batch)


class TakesOneBatchAtATime(MemorySink):
    is_busy = False

    async def write(self, batch: RecordBatch) -> Outcome:
        if self.is_busy:
            raise RuntimeError("a batch is under way")
        self.is_busy = True
        await asyncio.sleep(0)
        self.is_busy = False
        return await super().write(batch)


class TakesTenAndForgetsTheRest(MemorySink):
    async def write(self, batch: RecordBatch) -> Outcome:
        return await super().write(replace(batch, records=batch.records[:10]))


class CallsTheLargeOneAnOutage(MemorySink):
    async def write(self, batch: RecordBatch) -> Outcome:
        large = next(
            (place for place, record in enumerate(batch.records) if len(record.new or b"") > 262_144), None
        )
        if large is None:
            return await super().write(batch)
        return FailedFrom(large, Failure(FailureKind.UNAVAILABLE))


class RaisesAnOutageForTheLargeOne(MemorySink):
    async def write(self, batch: RecordBatch) -> Outcome:
        if any(len(record.new or b"") > 262_144 for record in batch.records):
            raise Throttled("413")
        return await super().write(batch)


class TriesTheLargeOneAgain(MemorySink):
    async def write(self, batch: RecordBatch) -> Outcome:
        large = [place for place, record in enumerate(batch.records) if len(record.new or b"") > 262_144]
        others = [record for place, record in enumerate(batch.records) if place not in large]
        outcome = await super().write(replace(batch, records=others))
        return Failed({place: Failure(error="413") for place in large}) if large else outcome


class FailsTheOthersToo(MemorySink):
    async def write(self, batch: RecordBatch) -> Outcome:
        if any(len(record.new or b"") > 262_144 for record in batch.records):
            return Failed({index: Failure() for index, _ in enumerate(batch.records)})
        return await super().write(batch)


class CutsTheLargeOneAway(MemorySink):
    async def write(self, batch: RecordBatch) -> Outcome:
        return await super().write(
            replace(batch, records=[record for record in batch.records if len(record.new or b"") <= 262_144])
        )


class Opened(MemorySink):
    """Is opened and closed, as a file is."""

    is_open = False

    async def open(self, clock: Clock) -> None:
        self.is_open = True

    async def write(self, batch: RecordBatch) -> Outcome:
        if not self.is_open:
            raise ConnectionError("it is closed")
        return await super().write(batch)

    async def close(self) -> None:
        self.is_open = False


class OpensOnce(Opened):
    async def open(self, clock: Clock) -> None:
        if self.is_open:
            raise ConnectionError("it is open")
        await super().open(clock)


class ClosesForGood(Opened):
    was_closed = False

    async def open(self, clock: Clock) -> None:
        self.is_open = not self.was_closed

    async def close(self) -> None:
        await super().close()
        self.was_closed = True


class ClosesOnce(Opened):
    async def close(self) -> None:
        if not self.is_open:
            raise ConnectionError("it is closed")
        await super().close()


class ForgetsAtItsClosing(Opened):
    async def close(self) -> None:
        await super().close()
        self.arrived.clear()


def test_a_sink_that_must_be_open_to_be_written_to_keeps_the_contract() -> None:
    made: list[Opened] = []

    def make(refused: frozenset[int]) -> Sink:
        made.append(Opened(refused))
        return made[-1]

    check_sink(make, kept_by)
    assert len(made) > len(sink.RULES)
    assert not any(sink.is_open for sink in made)


CANARIES: list[tuple[Callable[[frozenset[int]], Sink], Callable[..., object]]] = [
    (LosesTheLast, sink.everything_written_arrived),
    (WritesBackwards, sink.everything_written_arrived),
    (TakesNoRemovals, sink.all_kinds_of_records_are_taken),
    (RefusesRepeats, sink.a_batch_may_come_again),
    (AcceptsOneTooMany, sink.failures_are_told),
    (CountsFromOne, sink.failures_are_told),
    (ForgetsToSayWhich, sink.failures_are_told),
    (GoesOnAfterAFailure, sink.nothing_overtakes_a_failure),
    (BreaksAfterSecondAttempts, sink.the_rest_can_be_sent_again),
    (TakesOneBatchAtATime, sink.batches_may_overlap),
    (TakesTenAndForgetsTheRest, sink.a_long_batch_arrives_whole),
    (CallsTheLargeOneAnOutage, sink.a_large_record_harms_no_other),
    (RaisesAnOutageForTheLargeOne, sink.a_large_record_harms_no_other),
    (TriesTheLargeOneAgain, sink.a_large_record_harms_no_other),
    (FailsTheOthersToo, sink.a_large_record_harms_no_other),
    (CutsTheLargeOneAway, sink.a_large_record_harms_no_other),
    (OpensOnce, sink.opening_and_closing_repeat),
    (ClosesForGood, sink.opening_and_closing_repeat),
    (ClosesOnce, sink.opening_and_closing_repeat),
    (ForgetsAtItsClosing, sink.opening_and_closing_repeat),
]


@pytest.mark.parametrize(("make", "rule"), CANARIES)
def test_a_broken_sink_is_caught(make: Callable[[frozenset[int]], Sink], rule: Callable[..., object]) -> None:
    breaks(rule, lambda: check_sink(make, kept_by))


def test_every_rule_has_a_canary() -> None:
    assert {rule for _, rule in CANARIES} == set(sink.RULES)


class AwayWhenOpened(MemorySink):
    """Its far side is away before the first write."""

    async def open(self, clock: Clock) -> None:
        raise ConnectionError("away")

    async def close(self) -> None: ...


def test_a_sink_that_cannot_be_opened_tells_an_outage() -> None:
    check_sink(MemorySink, kept_by, throttled=lambda: AwayWhenOpened(frozenset()))


class Away(MemorySink):
    """Its far side is away, in the given words."""

    def __init__(self, answer: Outcome | Exception) -> None:
        super().__init__(frozenset())
        self.answer = answer

    async def write(self, batch: RecordBatch) -> Outcome:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


AWAY: list[Outcome | Exception] = [
    Throttled("slower"), Unavailable("away"), Failed(whole=Failure(FailureKind.THROTTLED)),
    Failed({0: Failure(FailureKind.UNAVAILABLE), 1: Failure(FailureKind.THROTTLED),
            2: Failure(FailureKind.UNAVAILABLE)}),
    FailedFrom(0, Failure(FailureKind.UNAVAILABLE)),
]  # fmt: skip
WRONG: list[Outcome | Exception] = [
    Written(), Failed(whole=Failure()), FailedFrom(0), FailedFrom(1, Failure(FailureKind.THROTTLED)),
    ConnectionError("away"),
]  # fmt: skip


@pytest.mark.parametrize("answer", AWAY)
def test_every_way_to_say_that_the_far_side_is_away_keeps_the_contract(answer: Outcome | Exception) -> None:
    check_sink(MemorySink, kept_by, throttled=lambda: Away(answer))


@pytest.mark.parametrize("answer", WRONG)
def test_an_outage_that_is_told_otherwise_is_caught(answer: Outcome | Exception) -> None:
    breaks(
        sink.an_outage_is_no_poison, lambda: check_sink(MemorySink, kept_by, throttled=lambda: Away(answer))
    )


def test_every_rule_of_outages_has_a_canary() -> None:
    assert (sink.an_outage_is_no_poison,) == sink.OUTAGE_RULES
