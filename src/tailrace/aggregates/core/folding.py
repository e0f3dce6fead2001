"""What a state is made of: a model of the user's functions, a snapshot, and events without a hole.

Rules of this file: pure. The functions are the user's: what they raise goes through. A snapshot that other
code has folded is as good as none.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from msgspec import Struct

from tailrace.aggregates.core.layout import FoldedState, Place, StoredEvent
from tailrace.values.types import Item

S = TypeVar("S")


class EventData(NamedTuple):
    """An event as it is written. Shape: `data` is canonical."""

    type: str
    schema: int
    data: Item


class Model(Protocol[S]):
    """What an aggregate is, in the user's own functions."""

    @property
    def code(self) -> str:
        """Names the code that folds; another one does not use its snapshots."""

    @property
    def snapshot_every(self) -> int:
        """After how many events a snapshot is kept; 0: never."""

    def initial(self) -> S:
        """The state before the first event."""

    def decide(self, command: Any, state: S) -> Sequence[Any]:
        """The events that a command comes to. Raises: what the user's function raises."""

    def evolve(self, state: S, event: Any) -> S:
        """The state after an event."""

    def write(self, event: Any) -> EventData:
        """An event for its item. Raises: ItemError for one that the aggregate does not know."""

    def read(self, event: StoredEvent) -> Any:
        """An event of its item. Raises: ItemError for one that the aggregate does not know."""

    def write_state(self, state: S) -> Item:
        """A state for a snapshot. Raises: ItemError."""

    def read_state(self, item: Item) -> S:
        """A state of a snapshot. Raises: ItemError."""


class Loaded(Struct, Generic[S], frozen=True):
    """A state and the version that it is of; 0: no event yet. Units: recorded_ms of the last event."""

    state: S
    version: int = 0
    recorded_ms: int = 0


def begun(model: Model[S], snapshot: FoldedState | None) -> Loaded[S]:
    """Where folding begins: at a snapshot of this very code, else before the first event."""
    if snapshot is None or snapshot.code != model.code:
        return Loaded(model.initial())
    return Loaded(model.read_state(snapshot.state), snapshot.version, snapshot.recorded_ms)


def folded(model: Model[S], loaded: Loaded[S], events: Iterable[StoredEvent]) -> Loaded[S]:
    """The state after these events, which follow it without a hole."""
    for event in events:
        state = model.evolve(loaded.state, model.read(event))
        loaded = Loaded(state, event.version, event.recorded_ms)
    return loaded


def hole(after: int, events: Sequence[StoredEvent]) -> int | None:
    """The first version that is missing in what was read behind a version, in order; None: it is whole.

    Theory of operation: a query is no snapshot of the partition, so it may see the second event of an append
    and not the first, or the first and not the last. Reading again shows them all.
    """
    for event in events:
        after += 1
        if event.version != after:
            return after
    return after + 1 if events and events[-1].through > after else None


def crosses(every: int, before: int, after: int) -> bool:
    """Whether a snapshot is due when an aggregate goes from one version to another.

    >>> crosses(10, 9, 10), crosses(10, 10, 19), crosses(0, 9, 10)
    (True, False, False)
    """
    return every > 0 and after // every > before // every


def missing_words(place: Place, version: int | None) -> str:
    """What a hole means, for people."""
    return (
        f"{place}: event {version} is not in table {place.table}, and a later one is: an event was "
        f"deleted, so its "
        "state is not known"
    )
