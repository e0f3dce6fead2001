"""What a handler is given: a change, or a batch of changes.

Rules of this file: images are decoded when somebody looks, at most once. A change knows its record and nothing of how it
got here.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, overload

from tailrace.app.plain import to_plain_item
from tailrace.app.transaction import Transaction
from tailrace.streams.envelopes import event_id
from tailrace.streams.record import ChangeRecord, EventName, image
from tailrace.values.types import Item


class Change:
    """One change of one item.

    Shape:   `old` and `new` are the item before and after it as plain Python (Decimal, bytes, set …), None where there
             is none; `raw_old`, `raw_new` are the same in DynamoDB JSON.
    """

    def __init__(self, record: ChangeRecord, table: str) -> None:
        self.record = record
        self.table = table

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
        """The key's value; of a key with two attributes, both as a tuple."""
        values = tuple(self.keys.values())
        return values[0] if len(values) == 1 else values

    @cached_property
    def old(self) -> dict[str, Any] | None:
        """The item before this change."""
        return None if self.raw_old is None else to_plain_item(self.raw_old)

    @cached_property
    def new(self) -> dict[str, Any] | None:
        """The item after this change."""
        return None if self.raw_new is None else to_plain_item(self.raw_new)

    def diff(self) -> dict[str, tuple[Any, Any]]:
        """Attribute → (before, after), for those that differ; None stands for absent."""
        # Compared in DynamoDB JSON: in Python, True == 1 and an absent attribute looks like NULL.
        raw_old, raw_new = self.raw_old or {}, self.raw_new or {}
        old, new = self.old or {}, self.new or {}
        return {
            name: (old.get(name), new.get(name))
            for name in {**raw_old, **raw_new}
            if raw_old.get(name) != raw_new.get(name)
        }

    @cached_property
    def transaction(self) -> Transaction:
        """Writes to commit once, together, after the handler has returned."""
        return Transaction()

    @property
    def has_transaction(self) -> bool:
        """Whether anything was recorded."""
        return "transaction" in self.__dict__ and bool(self.transaction.writes)


class Batch(Sequence[Change]):
    """Changes of one shard, in order."""

    def __init__(self, changes: Sequence[Change], shard_id: str = "", attempt: int = 1) -> None:
        self._changes = changes
        self.shard_id = shard_id
        self.attempt = attempt

    @overload
    def __getitem__(self, index: int) -> Change: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Change]: ...
    def __getitem__(self, index: int | slice) -> Change | Sequence[Change]:
        return self._changes[index]

    def __len__(self) -> int:
        return len(self._changes)

    def __iter__(self) -> Iterator[Change]:
        return iter(self._changes)
