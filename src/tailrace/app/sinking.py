"""What `app.sink` takes and refuses, how half a sink becomes a whole one, and the id of a table's sink.

Rules of this file: checks and words; the only place that knows of objects with `write` and no more.
"""

from collections.abc import Awaitable, Generator, Mapping
from typing import Any, Final, Protocol, runtime_checkable

from tailrace.app.entity import Entity
from tailrace.app.on_failure import Discard, Policy
from tailrace.app.predicates import Predicate, asks_for_change
from tailrace.app.table import EVENTS, Changes
from tailrace.errors import SettingsError
from tailrace.ports import Clock, Mirror, Outcome, RecordBatch, Sink, Transactional

WORDS = {"INSERT": "inserted", "MODIFY": "modified", "REMOVE": "removed"}


class Writes(Protocol):
    """What a user gives as a sink at the least: a sink with nothing to open and nothing to close."""

    async def write(self, batch: RecordBatch) -> Outcome:
        """As `ports.Sink.write`."""


@runtime_checkable
class Closes(Protocol):
    """What a user may close: a whole sink, or an object that only writes and has a `close` of any kind."""

    def close(self) -> object:
        """Give everything back."""


class _Nothing:
    """An awaitable that is done already."""

    def __await__(self) -> Generator[None, None, None]:
        yield from ()


DONE: Final[Awaitable[None]] = _Nothing()


class AlwaysOpen:
    """The `open` and `close` of a sink that holds nothing between two writes."""

    __slots__ = ()

    async def open(self, clock: Clock) -> None:
        """Nothing is made ready."""

    def close(self) -> Awaitable[None]:
        """Nothing is given back."""
        return DONE


class OnlyWrites(AlwaysOpen):
    """A user's object with `write`, as a sink. The user calls its `close`: writes may follow it."""

    __slots__ = ("sink",)

    def __init__(self, sink: Writes) -> None:
        self.sink = sink

    async def write(self, batch: RecordBatch) -> Outcome:
        """What the object says."""
        return await self.sink.write(batch)


def whole(sink: Writes) -> Sink:
    """A sink with all of its port: itself, or what stands around an object that only writes."""
    return sink if isinstance(sink, Sink) else OnlyWrites(sink)


def transactional(sink: object) -> Transactional:
    """A sink that owns the checkpoint. Raises: SettingsError."""
    if not isinstance(sink, Transactional):
        raise SettingsError(f"sink: {type(sink).__name__} has no positions of its own")
    return sink


def check_sink_shape(sink: object) -> None:
    """Require something that can be written to. Raises: SettingsError."""
    if not callable(getattr(sink, "write", None)):
        raise SettingsError(f"sink: {sink!r} is no sink: a sink has `async def write(self, batch)`")


def width_of(sink: object) -> dict[str, Any]:
    """The setting that a sink says itself: how many items of a batch it works on at once."""
    return {"keys_at_once": getattr(sink, "keys_at_once", 1)}


def transactional_settings(
    sink: object, policy: Policy | None, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """What a sink that owns the checkpoint makes of a mapping's settings: every change of a shard in
    sequence, one batch at a time. Raises: SettingsError for what contradicts that.
    """
    if not isinstance(sink, Transactional):
        return {}
    name = type(sink).__name__
    if not isinstance(policy, Discard | None):
        raise SettingsError(
            f"on_failure: {policy!r} is not allowed with {name}, which has the position of each shard beside "
            "its rows: what it refuses becomes a dead letter before the commit that passes it, so it is "
            "Discard(to=…)"
        )
    for setting in ("keys_at_once", "max_ranges"):
        if setting in settings:
            raise SettingsError(
                f"{setting} is not allowed with {name}, which has the position of each shard beside its "
                "rows: its changes come in sequence, in one batch at a time"
            )
    return {"order": "shard", "is_transactional": True}


def is_mirror(sink: object) -> bool:
    """Whether a sink has a row for each item, and remembers deletions."""
    return isinstance(sink, Mirror)


def check_snapshot(id: str, sink: object, changes: Changes[Entity[Any]], where: object) -> None:
    """Require that a whole table can be brought to a sink, and be kept equal to it. Raises: SettingsError."""
    place = f"sink: {id!r} has snapshot=True"
    if not (is_mirror(sink) or getattr(sink, "takes_snapshots", False)):
        raise SettingsError(
            f"{place}, and {type(sink).__name__} keeps no versions and deletions beside its rows: an item "
            "that was deleted while the table is read would come back; a snapshot takes a mirror "
            "(ports.Mirror), or a log that says `takes_snapshots = True` and leaves the newest version to "
            "its readers; leave it out"
        )
    if set(changes.events) != set(EVENTS):
        raise SettingsError(
            f"{place} and only some kinds of changes: items that are changed or deleted otherwise would stay "
            "as they were read; declare it on the table or the entity"
        )
    if isinstance(where, Predicate) and (words := asks_for_change(where)):
        raise SettingsError(
            f"{place}, and where= asks for {words}: an item that is read from the table has no change that "
            "could answer it; a snapshot filters by new(…) alone"
        )


def check_takes_sink(id: str, kind: str, sink: object, *, has_sink: bool, once: bool) -> None:
    """Require a handler whose returned values can go to this sink. Raises: SettingsError."""
    if kind not in ("on", "window"):
        raise SettingsError(
            f"sink: {id!r} is no handler of single changes, so it has no output for each of them"
        )
    if once and not getattr(sink, "tells_repeats", False):
        raise SettingsError(
            f"sink: {id!r} has once=True, and {type(sink).__name__} could not tell a repeated output, which "
            "a crash makes: that takes a FIFO queue or topic, EventBridge, a webhook, DynamoDB or DuckDB, "
            "or a sink of yours that says `tells_repeats = True`; or leave once= out"
        )
    if has_sink:
        raise SettingsError(f"sink: {id!r} has a sink already; a second one is a second handler")


def sink_id(changes: Changes[Entity[Any]], sink: object) -> str:
    """The id of a sink's mapping, unless the app gives it another: the same at every start.

    >>> from tailrace.app.table import Table
    >>> sink_id(Changes(Table("orders", "id"), ("REMOVE",)), {})
    'orders.removed.dict'
    """
    name = changes.table.name if changes.entity is None else changes.entity.cls.__name__
    kinds = [] if set(changes.events) == set(EVENTS) else [WORDS[event] for event in changes.events]
    return ".".join((name, *kinds, type(sink).__name__))
