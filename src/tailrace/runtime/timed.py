"""A sink with a stop watch and a tally: how many attempts there are, how long they take and what comes of them.

Rules of this file: it changes nothing of what the sink says. Made by `runtime/worker.py`, its tally is read by `server.snapshot`.
"""

from tailrace.ports import Batch, Clock, Failed, Failure, Outcome, Sink
from tailrace.runtime.tally import Tally
from tailrace.runtime.threads import SHARED, Threads


class TimedSink:
    """A sink, the tally of its attempts, and the threads that its work blocks."""

    def __init__(
        self, sink: Sink, clock: Clock, tally: Tally | None = None, threads: Threads | None = None
    ) -> None:
        self.sink = sink
        self.threads = threads or SHARED
        self.tally = tally or Tally()
        self._clock = clock

    async def write(self, batch: Batch) -> Outcome:
        """What the sink says, timed; a failure takes its time too."""
        started = self._clock.now()
        self.tally.begin(batch, started.wall_ms)
        outcome: Outcome = Failed(whole=Failure(error="it was cut off"))
        try:
            with self.threads.used():
                outcome = await self.sink.write(batch)
        except Exception as error:  # it goes on to the driver, which makes the same of it
            outcome = Failed(whole=Failure(error=str(error), traceback=repr(error)))
            raise
        finally:
            took_ms = self._clock.now().monotonic_ms - started.monotonic_ms
            self.tally.end(len(batch.records), outcome, took_ms)
        return outcome

    @property
    def suppressed(self) -> int:
        """Recorded transactions that were applied before; 0 for a sink that has none."""
        found: int = getattr(self.sink, "suppressed", 0)
        return found
