"""Where the rows of a projection's builds are kept: its `into` decides.

Rules of this file: it only chooses. What is neither the app's state nor a table brings its own adapter (`sinks.DuckDB`). Made by compose.
"""

from dataclasses import dataclass

from tailrace.app.projection import Projection
from tailrace.ports import ProjectionStore, StateStore
from tailrace.stores.projected_state import StateProjectionStore

ROWS_AT_ONCE = 300
"""One batch of 100 changes, each with an item and two groups, is one transaction."""


@dataclass(frozen=True, slots=True)
class ProjectionStores:
    """Makes the adapter of a build."""

    app: str
    state: StateStore

    def __call__(self, projection: Projection, name: str) -> ProjectionStore:
        """The rows of the build of that full name."""
        match projection.into:
            case None:
                return StateProjectionStore(self.state, self.app, name, ROWS_AT_ONCE)
            case place:
                made: ProjectionStore = place.projection_store(projection, name)
                return made
