"""Where the rows of a projection's builds are kept: its `into` decides.

Rules of this file: it only chooses. What is neither the app's state nor a table brings its own adapter
(`sinks.DuckDB`). Made by `compose_worker`.
"""

from msgspec import Struct

from tailrace.app.app import App
from tailrace.app.projection import Projection
from tailrace.app.table import Table
from tailrace.ports import ProjectionStore, StateStore, Versioned
from tailrace.projections.core.known import is_there
from tailrace.projections.core.rows import build_name
from tailrace.projections.run.state_store import StateProjectionStore
from tailrace.rows.bounds import SLICE
from tailrace.sinks.projected_table import ConsistentRows, TableProjectionStore, TableSources


class ProjectionPlaces(Struct, frozen=True):
    """Makes the adapter of a build. Shape: `effects` is where `change.transaction` is committed, `rows` reads
    what it wrote.
    """

    app: App
    state: StateStore
    effects: StateStore
    rows: ConsistentRows

    def __call__(self, projection: Projection, name: str) -> ProjectionStore:
        """The rows of the build of that full name."""
        match projection.into:
            case None:
                build = name.removeprefix(build_name(projection.id, ""))
                fence = is_there(self.app.name, projection.id, build)
                return StateProjectionStore(self.state, self.app.name, name, SLICE, fence)
            case Table() as table:
                return TableProjectionStore(table, projection.id, name, self.effects, self.rows)
            case place:
                made: ProjectionStore = place.projection_store(projection, name)
                return made

    def versioned(self, projection: Projection) -> Versioned | None:
        """Where the sources of a projection's rows are kept; None: in the state, or not at all."""
        match projection.into:
            case Table() as table:
                return TableSources(table, projection.id, self.effects, self.rows)
            case Versioned() as place:
                return place
        return None
