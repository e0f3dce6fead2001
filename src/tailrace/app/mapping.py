"""A mapping as an application declares it: one handler, sink, function or projection on one table.

Rules of this file: values only; what is wrong with them was refused before. Made by declaring.py, read by
the worker.
"""

from collections.abc import Callable, Collection
from collections.abc import Mapping as Names
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol, TypeAlias, runtime_checkable

from tailrace.app.archiving import ArchivePlan
from tailrace.app.change import Change
from tailrace.app.data_stream import DataStream
from tailrace.app.depends import Depends
from tailrace.app.entity import Entity
from tailrace.app.function_settings import CodePlace, FunctionSettings
from tailrace.app.predicates import Predicate
from tailrace.app.projection import Projection
from tailrace.app.sinking import Writes
from tailrace.app.snapshots import BY_HAND, Snapshots
from tailrace.app.table import Changes, Table
from tailrace.app.window import WindowPlan
from tailrace.errors import SettingsError
from tailrace.mapping.settings import MappingSettings

Kind: TypeAlias = Literal["on", "batch", "function", "sink", "projection", "window", "archive"]


@runtime_checkable
class Appended(Protocol):
    """An aggregate, as far as handlers are declared on it."""

    @property
    def appended(self) -> Changes[Entity[Any]]:
        """Its events, as they are appended."""


Target: TypeAlias = Table | DataStream | Changes[Entity[Any]] | Entity[Any] | type[Any] | Appended
"""What a handler is declared on: a table, an entity, some kinds of changes of one, or an aggregate's
events.
"""
Where: TypeAlias = Predicate | Callable[[Change[Any]], bool]
PLAIN_FUNCTION: Final = FunctionSettings()
OVER_STREAMS: Final[tuple[Kind, ...]] = ("on", "batch", "sink")
"""What may read a table's changes over a data stream."""


@dataclass(frozen=True, slots=True)
class HandlerMapping:
    """One handler on one table.

    Shape:   `target` is what is called; `timeout_s` bounds one call of a coroutine; `dependencies` by
             parameter; `sink` gets what the handler returns, or, of the kind "sink", the changes themselves
             after `transform` and `enrich`; `destination` is told of what was given up, of a function by its
             ARN; `code` is where a function's name says that it stands.
    """

    id: str
    table: Table
    kind: Kind
    target: Callable[..., Any]
    settings: MappingSettings
    timeout_s: float | None = None
    function_name: str = ""
    entity: Entity[Any] | None = None
    dependencies: Names[str, Depends] = field(default_factory=dict)
    sink: Writes | None = None
    destination: Any = None
    once: bool = False
    transform: Callable[..., Any] | None = None
    enrich: Callable[..., Any] | None = None
    function: FunctionSettings = PLAIN_FUNCTION
    code: CodePlace | None = None
    projection: Projection | None = None
    window: WindowPlan | None = None
    is_mirror: bool = False
    """Whether its sink has a row for each item, and remembers deletions."""
    snapshots: Snapshots = BY_HAND
    """How its sink is given the whole table, where it takes one."""
    archive: ArchivePlan | None = None
    """Where its changes are kept, of the kind "archive"."""
    is_feed: bool = False
    """Whether it is given the events of aggregates, each aggregate's by their versions."""
    order_wait_ms: int | None = None
    """How long a change waits at most for older ones of other shards; None: it does not wait for them."""
    only_counts: bool = False
    """Ours, for what fits no entity: it may come and go with the typed handlers."""

    def __post_init__(self) -> None:
        if self.table.over is not None and (self.kind not in OVER_STREAMS or self.snapshot):
            what = "a snapshot" if self.kind in OVER_STREAMS else f"a {self.kind}"
            raise SettingsError(
                f"{self.id!r}: {what} of {self.table.name!r} is not read over the data stream "
                f"{self.table.over.stream!r}; handlers, batches and sinks are: let it read the table's own "
                "stream"
            )

    @property
    def snapshot(self) -> bool:
        """Whether its sink is given the whole table by itself, and every change after it."""
        return self.snapshots.automatic


def archives_of(mappings: Collection[HandlerMapping]) -> dict[str, HandlerMapping]:
    """What keeps journals, by the names of their tables: a table has one at most."""
    return {mapping.table.name: mapping for mapping in mappings if mapping.archive is not None}


def projection_named(
    app: str, mappings: Collection[HandlerMapping], projection: Callable[..., Any] | str
) -> Projection:
    """The projection of that function or id, in its highest version. Raises: SettingsError."""
    declared = [mapping.projection for mapping in mappings if mapping.projection is not None]
    matches = [
        candidate
        for candidate in declared
        if projection in (candidate.function, candidate.id, candidate.mapping_id)
    ]
    if not matches:
        ids = ", ".join(dict.fromkeys(candidate.id for candidate in declared)) or "none"
        raise SettingsError(f"{projection!r} is no projection of app {app!r}; declared so far: {ids}")
    return max(matches, key=lambda candidate: candidate.version)
