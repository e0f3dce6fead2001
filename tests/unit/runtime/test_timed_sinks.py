"""How long attempts take."""

import asyncio

import pytest

from tailrace.app.sinking import AlwaysOpen
from tailrace.clocks.manual import ManualClock
from tailrace.ports import Batch, Outcome, StreamRef, Written
from tailrace.runtime.opening import TimedSink

BATCH = Batch([], "mail", StreamRef("arn", "shop", "label", "NEW_IMAGE"), "shardId-1")


class Slow(AlwaysOpen):
    """Takes the times it is given, and fails when one is negative."""

    def __init__(self, clock: ManualClock, *took_ms: int) -> None:
        self.clock = clock
        self.took_ms = iter(took_ms)

    async def write(self, batch: Batch) -> Outcome:
        took_ms = next(self.took_ms)
        self.clock.advance(abs(took_ms))
        if took_ms < 0:
            raise ValueError("no")
        return Written()


def test_attempts_are_counted_under_every_bound_that_they_keep() -> None:
    clock = ManualClock()
    sink = TimedSink(Slow(clock, 0, 5, 6, 70_000), clock)
    for _ in range(4):
        assert asyncio.run(sink.write(BATCH)) == Written()
    counts = dict(sink.tally.buckets())
    assert (counts["0.001"], counts["0.005"], counts["0.01"], counts["60"], counts["+Inf"]) == (1, 2, 3, 3, 4)
    assert (sink.tally.total_ms, sink.tally.invocations, sink.tally.errors) == (70_011, 4, 0)


def test_a_failure_takes_its_time_and_is_raised() -> None:
    clock = ManualClock()
    sink = TimedSink(Slow(clock, -20), clock)
    with pytest.raises(ValueError, match="no"):
        asyncio.run(sink.write(BATCH))
    assert (sink.tally.total_ms, dict(sink.tally.buckets())["0.025"]) == (20, 1.0)
    assert (sink.tally.invocations, sink.tally.errors, sink.tally.concurrent) == (1, 1, 0)
