"""The sink of a projection: every change of a batch is applied to the builds of its version.

Theory of operation: usually there is one build; while it is rebuilt there are two, and both are kept up to date, so that what is served does not
stand still. Each change counts once in each of them, because a build knows of every item what it applied last.
Rules of this file: failures are told by the record that they come from. Declared by `@app.projection`, made by sinks/making.py.
"""

from tailrace.app.projection import Projection
from tailrace.errors import SettingsError
from tailrace.ports import Batch, Clock, Failed, Failure, Outcome, Written
from tailrace.projections.folding import Step
from tailrace.runtime.builds import Builds
from tailrace.runtime.projecting import apply_steps
from tailrace.sinks.calling import failure_of
from tailrace.streams.record import ChangeRecord, image
from tailrace.telemetry import PointReached, pass_by


class ProjectionSink:
    """One version of a projection. Shape: `suppressed` counts changes that were applied before, or overtaken."""

    def __init__(
        self, projection: Projection, builds: Builds, clock: Clock, reached: PointReached = pass_by
    ) -> None:
        self._projection = projection
        self._builds = builds
        self._clock = clock
        self._reached = reached
        self.suppressed = 0

    async def write(self, batch: Batch) -> Outcome:
        """Apply the batch. Raises: StoreError, Unavailable."""
        now_ms = self._clock.now().wall_ms
        steps = [step_of(record, now_ms) for record in batch.records]
        failures: dict[int, Failure] = {}
        for _, store in await self._builds.current(self._projection):
            applied = await apply_steps(store, self._projection, steps)
            self.suppressed += applied.ignored
            for index, error in applied.failures.items():
                failures.setdefault(index, failure_of(error))
        self._reached("invoke.done")
        return Failed(dict(sorted(failures.items()))) if failures else Written()


def step_of(record: ChangeRecord, now_ms: int) -> Step:
    """A change as the folding takes it: its old image is of no use. Raises: SettingsError."""
    if record.event_name != "REMOVE" and record.new is None:
        raise SettingsError("a projection needs the new image: the stream's view type has none")
    return Step(record.key.hex(), record.sequence, image(record.new), now_ms)
