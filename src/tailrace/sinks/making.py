"""The sink of each mapping: the handler's form decides.

Rules of this file: it only puts parts together. Called by `compose` for a worker, and again for each redrive, whose marks are of their own run.
"""

from collections.abc import Callable
from collections.abc import Mapping as Names
from dataclasses import dataclass, replace

from tailrace.app.app import App, Mapping
from tailrace.errors import InternalError
from tailrace.ports import Clock, Sink, StateStore
from tailrace.runtime.around import Around
from tailrace.runtime.builds import Builds
from tailrace.runtime.dependencies import Dependencies
from tailrace.runtime.effects import LIVE, Effects
from tailrace.runtime.recursion import ancestor_name
from tailrace.runtime.window_changes import WindowChanges
from tailrace.sinks.function import BatchSink, HandlerSink
from tailrace.sinks.lambda_function import LambdaSink, Runner
from tailrace.sinks.projected import ProjectionSink
from tailrace.sinks.streamed import StreamedSink
from tailrace.sinks.windowed import WindowSink
from tailrace.telemetry import PointReached


@dataclass(frozen=True, slots=True)
class SinkMaker:
    """Everything that sinks share. Shape: `state` keeps marks; `runner_of` gives what runs a function; `changes` are those of windows."""

    app: App
    state: StateStore
    clock: Clock
    account: str
    needed: Dependencies
    runner_of: Callable[[Mapping], Runner]
    around: Around
    reached: PointReached
    builds: Builds
    changes: Names[str, WindowChanges]

    def make(self, mapping: Mapping, run_id: str = LIVE) -> Sink:
        """The sink of one mapping."""
        use_clock = getattr(mapping.sink, "use_clock", None)
        if use_clock is not None:  # a sink that signs a time signs the engine's
            use_clock(self.clock)
        output = self.around.output(mapping.id, mapping.sink)
        mapping = replace(mapping, target=self.around.target(mapping), sink=output)
        effects = Effects(
            self.state,
            mark_name(self.app, mapping),
            run_id,
            self.reached,
            clock=self.clock,
            marks_all=mapping.once,
            cause=ancestor_name(self.app.name, mapping.id),
            tables=self.app.tables,
        )
        match mapping.kind:
            case "on":
                return HandlerSink(mapping, effects, self.reached, self.needed)
            case "batch":
                return BatchSink(mapping, effects, self.reached, self.needed)
            case "function":
                return LambdaSink(
                    mapping, self.runner_of(mapping), self.account, self.reached, effects.causes
                )
            case "sink":
                return StreamedSink(mapping, self.reached, effects.causes)
            case "projection":
                if mapping.projection is None:
                    raise InternalError(f"{mapping.id!r} is a projection without one")
                return ProjectionSink(mapping.projection, self.builds, self.clock, self.reached)
            case "window":
                return WindowSink(self.changes[mapping.id], self.reached)


def mark_name(app: App, mapping: Mapping) -> str:
    """Under which name a handler's marks are kept: ids are unique only inside an app."""
    return f"{app.name}.{mapping.id}"
