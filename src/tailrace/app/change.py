"""What a handler is given: a change, or a batch of changes.

Rules of this file: images are decoded when the handler asks for them, at most once. A change knows its
record, the entity that it is of, and nothing of how it got here.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeAlias, overload

from tailrace.app.plain import to_plain, to_plain_item
from tailrace.app.transaction import NO_TABLES, Transaction
from tailrace.streams.envelopes import event_id
from tailrace.streams.record import ChangeRecord, EventName, image
from tailrace.values.types import Item

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    from tailrace.app.entity import Entity
    from tailrace.app.table import Table

    # Type checkers know typing_extensions without its being installed, and `Change` alone shall mean plain
    # values.
    T = TypeVar("T", default=dict[str, Any])
else:
    from typing import TypeVar

    T = TypeVar("T")

Origin: TypeAlias = Literal["user", "ttl", "replica"]
REPLICATED_FROM: Final = "aws:rep:updateregion"
"""Where global tables of version 2017.11.29 note the region of the last write; later versions do not."""


class Change(Generic[T]):
    """One change of one item.

    Shape:   `old` and `new` are the item before and after it, None where there is none: instances of the
             entity, or plain Python values (Decimal, bytes, set …) for a handler of a table. `raw_old`,
             `raw_new` are the same in DynamoDB JSON. For type checkers they are `T | Any`, as
             `re.Match.group` is: a handler knows which of them is there.
    """

    tables: "Mapping[str, Table]" = NO_TABLES
    """The tables of the app, by which `transaction` knows their keys. Set where the change is delivered."""
    replay_id: str | None = None
    """The run of `tailrace replay` that delivers it; None: it is live. Set where the change is delivered."""
    is_late: bool = False
    """Whether a handler of `app.merged` was given a younger change before it. Set where it is delivered."""
    recorded: Transaction | None = None
    """What `transaction` made, None before the handler asks: every change is looked at, so without a call."""

    def __init__(
        self, record: ChangeRecord, table: str, entity: "Entity[Any] | None" = None, region: str = ""
    ) -> None:
        self.record = record
        self.table = table
        self.entity = entity
        self.region = region

    def __repr__(self) -> str:
        return f"<Change {self.event_name} {self.table}/{self.key} {self.sequence_number}>"

    @property
    def event_name(self) -> EventName:
        """INSERT, MODIFY or REMOVE."""
        return self.record.event_name

    @cached_property
    def event_id(self) -> str:
        """The record's id: the same whenever this change is delivered, so an idempotency key."""
        return event_id(self.record)

    @property
    def sequence_number(self) -> str:
        """The record's number as AWS writes it."""
        return self.record.sequence_number.wire

    @property
    def at(self) -> datetime:
        """When the change was made, in UTC."""
        return datetime.fromtimestamp(self.record.created_ms / 1_000, UTC)

    @property
    def by_ttl(self) -> bool:
        """Whether the item expired rather than being deleted."""
        return self.record.by_ttl

    @property
    def origin(self) -> Origin:
        """Who made it: a user, TTL, or a replica in another region (as far as an item says so)."""
        if self.record.by_ttl:
            return "ttl"
        item = self.raw_old if self.raw_new is None else self.raw_new
        region = (item or {}).get(REPLICATED_FROM, {}).get("S", self.region)
        return "user" if region == self.region else "replica"

    @property
    def is_replay(self) -> bool:
        """Whether it is delivered by `tailrace replay`, live or on trial, rather than by its stream."""
        return self.replay_id is not None

    @cached_property
    def raw_keys(self) -> Item:
        """The key attributes, in DynamoDB JSON."""
        return image(self.record.keys) or {}

    @cached_property
    def raw_old(self) -> Item | None:
        """The item before, in DynamoDB JSON."""
        return image(self.record.old)

    @cached_property
    def raw_new(self) -> Item | None:
        """The item after, in DynamoDB JSON."""
        return image(self.record.new)

    @cached_property
    def keys(self) -> dict[str, Any]:
        """The key attributes."""
        return to_plain_item(self.raw_keys)

    @property
    def key(self) -> Any:
        """The value of the field (fields: a tuple) that its entity's key is made of, else that of the key."""
        if self.entity is not None:
            return self.entity.key_of(self.raw_keys)
        values = tuple(self.keys.values())
        return values[0] if len(values) == 1 else values

    @cached_property
    def old(self) -> T | Any:
        """The item before this change. Raises: ItemError when it does not fit its class."""
        return self._decoded(self.raw_old)

    @cached_property
    def new(self) -> T | Any:
        """The item after this change. Raises: ItemError when it does not fit its class."""
        return self._decoded(self.raw_new)

    def _decoded(self, raw: Item | None) -> Any:
        if raw is None:
            return None
        return to_plain_item(raw) if self.entity is None else self.entity.decode(raw)

    def diff(self) -> dict[str, tuple[Any, Any]]:
        """Attribute, or field of an entity → (before, after), for those that differ; absent is None."""
        # Compared in DynamoDB JSON: in Python, True == 1 and an absent attribute looks like NULL.
        raw_old, raw_new = self.raw_old or {}, self.raw_new or {}
        differing = [name for name in {**raw_old, **raw_new} if raw_old.get(name) != raw_new.get(name)]
        if self.entity is not None:
            return self.entity.diff(self.old, self.new, raw_old, raw_new, differing)
        return {
            name: tuple(None if name not in raw else to_plain(raw[name]) for raw in (raw_old, raw_new))  # type: ignore[misc]
            for name in differing
        }

    @property
    def transaction(self) -> Transaction:
        """Writes to commit once, together, after the handler has returned."""
        if self.recorded is None:
            self.recorded = Transaction(self.tables)
        return self.recorded

    @property
    def has_transaction(self) -> bool:
        """Whether anything was recorded."""
        return self.recorded is not None and bool(self.recorded.writes)


class Batch(Sequence[Change[T]]):
    """Changes of one shard, in order."""

    def __init__(self, changes: Sequence[Change[T]], shard_id: str = "", attempt: int = 1) -> None:
        self._changes = changes
        self.shard_id = shard_id
        self.attempt = attempt

    @overload
    def __getitem__(self, index: int) -> Change[T]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Change[T]]: ...
    def __getitem__(self, index: int | slice) -> Change[T] | Sequence[Change[T]]:
        return self._changes[index]

    def __len__(self) -> int:
        return len(self._changes)

    def __iter__(self) -> Iterator[Change[T]]:
        return iter(self._changes)
