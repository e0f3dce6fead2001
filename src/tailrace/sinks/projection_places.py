"""Where the rows of a projection's builds are kept: its `into` decides.

Rules of this file: it only chooses. What is neither the app's state nor a table brings its own adapter (`sinks.DuckDB`). Made by compose.
"""

from dataclasses import dataclass

from tailrace.app.app import App
from tailrace.app.projection import Projection
from tailrace.app.table import Table
from tailrace.engine.engine import Engine
from tailrace.ports import ProjectionStore, StateStore
from tailrace.runtime.projected_state import StateProjectionStore
from tailrace.sinks.projected_table import EngineRows, RemoteRows, Rows, TableProjectionStore

ROWS_AT_ONCE = 300
"""One batch of 100 changes, each with an item and two groups, is one transaction."""


@dataclass(frozen=True, slots=True)
class ProjectionPlaces:
    """Makes the adapter of a build. Shape: `effects` is where `change.transaction` is committed."""

    app: App
    state: StateStore
    effects: StateStore
    engine: Engine

    def __call__(self, projection: Projection, name: str) -> ProjectionStore:
        """The rows of the build of that full name."""
        match projection.into:
            case None:
                return StateProjectionStore(self.state, self.app.name, name, ROWS_AT_ONCE)
            case Table() as table:
                remote = self.app.remote
                rows: Rows = EngineRows(self.engine) if remote is None else RemoteRows(remote[0])
                return TableProjectionStore(table, projection.id, name, self.effects, rows)
            case place:
                made: ProjectionStore = place.projection_store(projection, name)
                return made
