"""A sink with a stop watch: how long attempts take.

Rules of this file: it changes nothing of what the sink says. Counted cumulatively by upper bound, as Prometheus wants it,
since the start of the worker. Made by `runtime/worker.py`, read by `server.snapshot`.
"""

from bisect import bisect_left
from typing import Final

from tailrace.ports import Batch, Clock, Failed, Failure, Outcome, Sink

BOUNDS_MS: Final = (1, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000)


class TimedSink:
    """A sink, and the times of its attempts. Units: total_ms milliseconds by the monotonic clock."""

    def __init__(self, sink: Sink, clock: Clock) -> None:
        self.sink = sink
        self.total_ms = 0
        self._clock = clock
        self.last: Outcome | None = None
        """What came of the last attempt; None before the first."""
        self._counts = [0] * (len(BOUNDS_MS) + 1)

    async def write(self, batch: Batch) -> Outcome:
        """What the sink says, timed; a failure takes its time too."""
        started_ms = self._clock.now().monotonic_ms
        try:
            self.last = await self.sink.write(batch)
            return self.last
        except Exception as error:  # it goes on to the driver, which makes the same of it
            self.last = Failed(whole=Failure(error=str(error)))
            raise
        finally:
            took_ms = self._clock.now().monotonic_ms - started_ms
            self.total_ms += took_ms
            self._counts[bisect_left(BOUNDS_MS, took_ms)] += 1

    @property
    def suppressed(self) -> int:
        """Recorded transactions that were applied before; 0 for a sink that has none."""
        found: int = getattr(self.sink, "suppressed", 0)
        return found

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative counts by upper bound in seconds, the last one "+Inf"."""
        found, total = [], 0
        for bound, count in zip(
            (*(f"{ms / 1_000:g}" for ms in BOUNDS_MS), "+Inf"), self._counts, strict=True
        ):
            total += count
            found.append((bound, float(total)))
        return found
