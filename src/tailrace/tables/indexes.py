"""Secondary indexes: which entry an item has in one, and what a write does to the entries.

Rules of this file: pure and on the path of every write to a table with indexes. An entry's key bytes are
eight bytes of hash of the index's hash attributes, each key attribute with its terminator, then the item's
own key bytes, so that entries of one index key stand together and never collide. An item without a fit value
for every key attribute has no entry. Called by `engine.indexing` and `engine.index_query`. Source: semantics
§6.6, §6.7.
"""

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec
from msgspec import Struct

from tailrace.tables.limits import PARTITION_KEY_BYTES, SORT_KEY_BYTES
from tailrace.tables.mutate import Mutation
from tailrace.tables.schema import HASH_BYTES, KeyType, TableSchema
from tailrace.values.canonical import ordered_bytes, size_bytes, terminated
from tailrace.values.types import Item

IndexKind: TypeAlias = Literal["GLOBAL", "LOCAL"]
ProjectionType: TypeAlias = Literal["ALL", "KEYS_ONLY", "INCLUDE"]
WRITE_BYTES: Final = 1_024
"""Units: bytes of one write unit. Source: semantics §6.7."""


class KeyAttribute(NamedTuple):
    """An attribute that orders or partitions entries. Shape: `type` is S, N or B."""

    name: str
    type: KeyType


class IndexDefinition(Struct, frozen=True):
    """An index as CreateTable or UpdateTable declares it.

    Shape:   one to four hash attributes, none to four range attributes (a local index has the table's one and
             one); `included` are NonKeyAttributes; units are 0 on demand; the `most_*` are
             OnDemandThroughput, None without; `warm` is (reads, writes) a second as asked for, else None.
    """

    name: str
    kind: IndexKind
    hash_key: tuple[KeyAttribute, ...]
    range_key: tuple[KeyAttribute, ...] = ()
    projection: ProjectionType = "ALL"
    included: tuple[str, ...] = ()
    read_units: int = 0
    write_units: int = 0
    most_read_units: int | None = None
    most_write_units: int | None = None
    warm: tuple[int, int] | None = None

    @property
    def key(self) -> tuple[KeyAttribute, ...]:
        """Every key attribute, the hash attributes first."""
        return self.hash_key + self.range_key

    @property
    def key_names(self) -> tuple[str, ...]:
        """The names of the key attributes."""
        return tuple(attribute.name for attribute in self.key)

    def key_schema(self) -> list[dict[str, str]]:
        """AWS's KeySchema."""
        return [
            *({"AttributeName": attribute.name, "KeyType": "HASH"} for attribute in self.hash_key),
            *({"AttributeName": attribute.name, "KeyType": "RANGE"} for attribute in self.range_key),
        ]


class IndexEntry(NamedTuple):
    """An item's place in an index, and what is kept there."""

    key: bytes
    item: Item


class EntryChange(NamedTuple):
    """What a write does to an index: with equal keys the entry is replaced, else it moves, comes or goes."""

    old: IndexEntry | None
    new: IndexEntry | None

    def units(self) -> int:
        """Write units: one size for an entry that comes, goes or is replaced, both for one that moves.

        >>> EntryChange(IndexEntry(b"a", {"a": {"S": "x"}}), IndexEntry(b"b", {"a": {"S": "y"}})).units()
        2
        """
        sizes = [size_bytes(entry.item) for entry in self if entry is not None]
        if self.old is not None and self.new is not None and self.old.key == self.new.key:
            sizes = [max(sizes)]
        return sum(max(1, -(-size // WRITE_BYTES)) for size in sizes)


class TableIndexSchema(msgspec.Struct, frozen=True):
    """An index of one table, ready for work.

    Shape:   `number` is where its rows are; `projected` names what an entry holds, keys included, None for
             everything.
    """

    definition: IndexDefinition
    table: TableSchema
    number: int
    projected: frozenset[str] | None

    @property
    def name(self) -> str:
        """As Query's IndexName has it."""
        return self.definition.name

    @property
    def is_local(self) -> bool:
        """Whether it shares the table's partitions."""
        return self.definition.kind == "LOCAL"

    @property
    def hash_names(self) -> tuple[str, ...]:
        """The names of the hash attributes."""
        return tuple(attribute.name for attribute in self.definition.hash_key)

    @property
    def range_names(self) -> tuple[str, ...]:
        """The names of the range attributes."""
        return tuple(attribute.name for attribute in self.definition.range_key)

    @property
    def start_names(self) -> tuple[str, ...]:
        """The attributes of an ExclusiveStartKey: the index's key, then what the table's key adds."""
        names = self.definition.key_names
        return names + tuple(name for name in self.table.key_names if name not in names)

    def project(self, item: Item) -> Item:
        """What an entry keeps of an item."""
        projected = self.projected
        if projected is None:
            return item
        return {name: value for name, value in item.items() if name in projected}

    def key_bytes(self, item: Item, table_key: bytes) -> bytes | None:
        """Where an item stands in the index; None where it does not."""
        hashes = values_bytes(self.definition.hash_key, item, PARTITION_KEY_BYTES)
        ranges = values_bytes(self.definition.range_key, item, SORT_KEY_BYTES)
        if hashes is None or ranges is None:
            return None
        return partition_bytes(hashes) + b"".join(map(terminated, ranges)) + table_key

    def entry(self, item: Item, table_key: bytes) -> IndexEntry | None:
        """An item's entry; None: it has none."""
        key = self.key_bytes(item, table_key)
        return None if key is None else IndexEntry(key, self.project(item))

    def change(self, mutation: Mutation) -> EntryChange | None:
        """What a write does to this index; None: nothing."""
        old = None if mutation.old is None else self.entry(mutation.old, mutation.key_bytes)
        new = None if mutation.new is None else self.entry(mutation.new, mutation.key_bytes)
        return None if old == new else EntryChange(old, new)


def make_index(definition: IndexDefinition, table: TableSchema, number: int) -> TableIndexSchema:
    """Ready for work: with what its entries hold of an item. Shape: `number` as rows have it."""
    projected = None
    if definition.projection != "ALL":
        projected = frozenset((*table.key_names, *definition.key_names, *definition.included))
    return TableIndexSchema(definition, table, number, projected)


def values_bytes(attributes: Sequence[KeyAttribute], item: Item, most: int) -> list[bytes] | None:
    """The ordered bytes of key attributes; None: one is missing, of another type, or does not fit a key."""
    parts: list[bytes] = []
    for name, kind in attributes:
        value = item.get(name)
        if value is None or kind not in value:
            return None
        ordered = ordered_bytes(value)
        if not ordered:
            return None
        parts.append(ordered)
    return parts if sum(map(len, parts)) <= most else None


def partition_bytes(hashes: Sequence[bytes]) -> bytes:
    """What the key bytes of every entry of one partition of an index begin with.

    One hash attribute gives the same eight bytes as it would as the table's partition key, so a local index
    is scanned in the same segments as its table.
    """
    joined = b"".join(map(terminated, hashes))
    hashed = hashes[0] if len(hashes) == 1 else joined
    return blake2b(hashed, digest_size=HASH_BYTES).digest() + joined


def entry_bytes(indexes: Iterable[TableIndexSchema], item: Item, key_bytes: bytes) -> int:
    """The weight of an item's entries in local indexes, part of the item's limit. Units: bytes."""
    entries = (index.entry(item, key_bytes) for index in indexes if index.is_local)
    return sum(size_bytes(entry.item) for entry in entries if entry is not None)
