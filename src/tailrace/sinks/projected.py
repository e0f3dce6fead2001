"""The sink of a projection: every change of a batch is applied to the builds of its version.

Theory of operation: usually there is one build; while it is rebuilt there are two, and both are kept up to
date, so that what is served does not stand still. Each change counts once in each of them, because a build
knows of every item what it applied last. Which builds there are is asked for each batch, after its changes
were read: one that begins later is filled with them.
A build whose pages told no position takes changes that may be older than it as items are now
(projections/core/timed.py).
Rules of this file: failures are told by the record that they come from. Declared by `@app.projection`, made
by sinks/making.py.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import orjson

from tailrace.app.projection import Projection
from tailrace.app.sinking import AlwaysOpen
from tailrace.errors import SettingsError
from tailrace.ports import (
    Clock,
    Failed,
    Failure,
    FailureKind,
    Outcome,
    ProjectionStore,
    RecordBatch,
    Written,
)
from tailrace.projections.core.builds import Build
from tailrace.projections.core.folding import ItemChange
from tailrace.projections.core.known import BuildGone
from tailrace.projections.core.parts import part_of
from tailrace.projections.core.timed import as_present, may_precede
from tailrace.projections.run.applying import CONTENDED_MS, Applied, Contended, apply_steps
from tailrace.projections.run.builds import Builds
from tailrace.runtime.attempts import Tally
from tailrace.sinks.calling import failure_of
from tailrace.streams.record import ChangeRecord, image
from tailrace.telemetry import PointReached, pass_by
from tailrace.values.types import Item

CONTENDED_ROUNDS: Final = 50
"""How often a batch is applied again when others write its groups: a second, then it waits."""


class ProjectionSink(AlwaysOpen):
    """One version of a projection. Shape: the tally's `suppressed`: changes applied before or overtaken."""

    def __init__(
        self,
        projection: Projection,
        builds: Builds,
        clock: Clock,
        reached: PointReached = pass_by,
        tally: Tally | None = None,
    ) -> None:
        self._projection = projection
        self._builds = builds
        self._clock = clock
        self._reached = reached
        self._tally = tally or Tally()

    async def write(self, batch: RecordBatch) -> Outcome:
        """Apply the batch. Raises: StoreError, Unavailable."""
        now_ms = self._clock.now().wall_ms
        steps = [step_of(record, now_ms) for record in batch.records]
        created_ms = [record.created_ms for record in batch.records]
        failures: dict[int, Failure] = {}
        current = await self._builds.applicable(self._projection)
        present = await self._present(batch.records, [build for build, _ in current])
        for build, store in current:
            is_parted = build.is_parted and self._projection.combine is not None
            part = part_of(batch.shard_id) if is_parted else ""
            with suppress(BuildGone):  # another worker has removed it meanwhile: no reader asks it any more
                fitting = as_present(steps, created_ms, present, build)
                applied = await self._applied(store, fitting, part)
                for index, error in applied.failures.items():
                    failures.setdefault(index, _failure(error))
        failed = {steps[index].key for index in failures}
        self._builds.delivered(
            self._projection.mapping_id, [step.key for step in steps if step.key not in failed]
        )
        self._reached("invoke.done")
        return Failed(dict(sorted(failures.items()))) if failures else Written()

    async def _present(
        self, records: Sequence[ChangeRecord], builds: Sequence[Build]
    ) -> dict[str, Item | None]:
        """The items as they are now of changes that may be older than a build that cannot tell: by one read
        each, however many changes of an item there are.
        """
        keys = {
            record.key.hex(): orjson.loads(record.keys)
            for record in records
            if any(may_precede(record.created_ms, build) for build in builds)
        }
        if not keys:
            return {}
        images = await self._builds.present(self._projection, list(keys.values()))
        return dict(zip(keys, images, strict=True))

    async def _applied(self, store: ProjectionStore, steps: Sequence[ItemChange], part: str) -> Applied:
        applied = await apply_steps(store, self._projection, steps, part)
        self._tally.suppressed += applied.ignored
        for _ in range(CONTENDED_ROUNDS if applied.is_contended else 0):
            await self._clock.sleep_until(self._clock.now().monotonic_ms + CONTENDED_MS)
            applied = await apply_steps(store, self._projection, steps, part)
            if not applied.is_contended:
                break
        return applied


def _failure(error: BaseException) -> Failure:
    if isinstance(error, Contended):  # no fault of the handler: no attempt, and no trace of ours
        return Failure(FailureKind.THROTTLED, str(error))
    return failure_of(error)


def step_of(record: ChangeRecord, now_ms: int) -> ItemChange:
    """A change as the folding takes it: its old image is of no use. Raises: SettingsError."""
    if record.event_name != "REMOVE" and record.new is None:
        raise SettingsError("a projection needs the new image: the stream's view type has none")
    return ItemChange(record.key.hex(), record.version, image(record.new), now_ms)
