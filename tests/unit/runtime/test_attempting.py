"""When sinks are opened and closed, and how long attempts take.

Rules of this file: a sink notes what is done to it, in order.
"""

import asyncio
from collections.abc import Awaitable

import pytest

from tailrace.app.sinking import AlwaysOpen, OnlyWrites, whole
from tailrace.clocks.manual import ManualClock
from tailrace.errors import SettingsError, SinkError, Throttled, Unavailable
from tailrace.ports import Failed, FailureKind, Outcome, RecordBatch, Sink, StreamRef, Written
from tailrace.runtime.attempting import Openings, TimedSink, attempt
from tests.unit.sinks.noted import Noted

BATCH = RecordBatch([], "audit", StreamRef("arn", "orders", "label", "KEYS_ONLY"), "shardId-1")


def test_a_sink_is_opened_once_before_its_first_write_whoever_writes_first() -> None:
    async def write() -> list[str]:
        file, openings = Noted(), Openings(ManualClock())
        sinks = [openings.of(f"mapping {number}", file, file) for number in range(3)]
        assert file.done == []
        await asyncio.gather(*(sink.write(BATCH) for sink in sinks))
        return file.done

    assert asyncio.run(write()) == ["open", "write", "write", "write"]


def test_a_sink_is_closed_when_the_last_mapping_that_writes_to_it_is_withdrawn() -> None:
    async def withdraw() -> list[str]:
        file, openings = Noted(), Openings(ManualClock())
        first, second = (openings.of(name, file, file) for name in ("first", "second"))
        await first.write(BATCH)
        await second.write(BATCH)
        await first.close()
        file.done.append("first is withdrawn")
        await second.close()
        await second.close()
        await openings.close()
        return file.done

    assert asyncio.run(withdraw()) == ["open", "write", "write", "first is withdrawn", "close"]


def test_a_sink_that_was_closed_is_opened_again_before_it_is_written_to_and_closed_with_the_worker() -> None:
    async def redrive() -> list[str]:
        file, openings = Noted(), Openings(ManualClock())
        sink = openings.of("audit", file, file)
        await sink.write(BATCH)
        await sink.close()
        await sink.write(BATCH)
        await openings.close()
        await openings.close()
        return file.done

    assert asyncio.run(redrive()) == ["open", "write", "close", "open", "write", "close"]


def test_a_sink_that_nobody_wrote_to_is_neither_opened_nor_closed() -> None:
    async def end() -> list[str]:
        file, openings = Noted(), Openings(ManualClock())
        await openings.of("audit", file, file).close()
        await openings.close()
        return file.done

    assert asyncio.run(end()) == []


@pytest.mark.parametrize(
    ("raised", "kind", "words"),
    [
        (
            ConnectionError("refused"),
            FailureKind.UNAVAILABLE,
            "the sink cannot be opened: ConnectionError: refused",
        ),
        (SettingsError("no such table"), FailureKind.UNAVAILABLE, "SettingsError: no such table"),
        (SinkError("not yet"), FailureKind.UNAVAILABLE, "not yet"),
        (Unavailable("away", retry_after=3), FailureKind.UNAVAILABLE, "away"),
        (Throttled("slower", retry_after=3), FailureKind.THROTTLED, "slower"),
    ],
)
def test_what_opening_raises_is_an_outage_and_the_next_attempt_opens_again(
    raised: Exception, kind: FailureKind, words: str
) -> None:
    async def attempts() -> tuple[Outcome, Outcome, list[str]]:
        file = Noted(raised)
        sink = TimedSink(file, ManualClock())
        return await attempt(sink, BATCH), await attempt(sink, BATCH), file.done

    first, second, done = asyncio.run(attempts())
    assert isinstance(first, Failed)
    assert first.whole is not None
    assert (first.whole.kind, first.whole.final) == (kind, False)
    assert words in first.whole.error
    assert first.whole.retry_after_ms == getattr(raised, "retry_after_ms", 0)
    assert (second, done) == (Written(), ["open", "open", "write"])


def test_what_closing_raises_is_said_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    class Stuck(Noted):
        async def close(self) -> None:
            raise OSError("the disk is gone")

    async def end() -> list[str]:
        stuck, file, openings = Stuck(), Noted(), Openings(ManualClock())
        await openings.of("stuck", stuck, stuck).write(BATCH)
        await openings.of("file", file, file).write(BATCH)
        await openings.close()
        return file.done

    assert asyncio.run(end()) == ["open", "write", "close"]
    assert "Stuck could not be closed: OSError: the disk is gone" in caplog.text


def test_an_object_that_only_writes_is_a_sink_and_its_own_close_is_left_to_its_user() -> None:
    class Shelf:
        is_closed = False

        async def write(self, batch: RecordBatch) -> Outcome:
            return Written()

        def close(self) -> None:
            self.is_closed = True

    async def end() -> bool:
        shelf, openings = Shelf(), Openings(ManualClock())
        sink = openings.of("shelf", shelf, shelf)
        assert await sink.write(BATCH) == Written()
        await openings.close()
        return shelf.is_closed

    assert asyncio.run(end()) is False


def test_a_whole_sink_is_itself() -> None:
    class Plain(AlwaysOpen):
        async def write(self, batch: RecordBatch) -> Outcome:
            return Written()

    class HasNoOpen:
        async def write(self, batch: RecordBatch) -> Outcome:
            return Written()

        def close(self) -> Awaitable[None]:
            raise AssertionError

    file, plain = Noted(), Plain()
    assert whole(file) is file
    assert whole(plain) is plain
    assert isinstance(whole(HasNoOpen()), OnlyWrites)
    assert isinstance(whole(HasNoOpen()), Sink)


# ---- timed -------------------------------------------------------------------------------------------------


class Slow(AlwaysOpen):
    """Takes the times it is given, and fails when one is negative."""

    def __init__(self, clock: ManualClock, *took_ms: int) -> None:
        self.clock = clock
        self.took_ms = iter(took_ms)

    async def write(self, batch: RecordBatch) -> Outcome:
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
