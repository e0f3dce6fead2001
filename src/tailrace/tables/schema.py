"""A table's key schema: which attributes identify an item, and the bytes that order items.

Rules of this file: pure and hot (every read and write passes here once). Key bytes are eight bytes of hash of
the partition key, the partition key with its terminator, then the sort key: rows of one partition stand
together, in DynamoDB's order, and a scan walks the hash space. Called by `tables.mutate` and `engine`.
"""

from collections.abc import Callable
from hashlib import blake2b
from typing import Final, Literal, NamedTuple, Never, TypeAlias

import msgspec

from tailrace.errors import ApiError, validation_error
from tailrace.tables.limits import PARTITION_KEY_BYTES, SORT_KEY_BYTES
from tailrace.values.canonical import ordered_bytes, split_terminated, terminated, value_of
from tailrace.values.types import AttributeValue, Item

KeyType: TypeAlias = Literal["S", "N", "B"]
HASH_BYTES: Final = 8
MISMATCH: Final = "The provided key element does not match the schema"
INVALID: Final = "One or more parameter values were invalid: "
NOT_VALID: Final = "One or more parameter values are not valid. "
EMPTY_KINDS: Final = {"S": "string", "B": "binary"}


class ItemTarget(NamedTuple):
    """The item that an operation is about.

    Shape:   `keys` are its key attributes, `key_bytes` its place in the table, `partition` the hash of its
             partition key.
    """

    keys: Item
    key_bytes: bytes
    partition: int


class TableSchema(msgspec.Struct, frozen=True):
    """What identifies an item of one table.

    Shape:   `number` is the engine's own, never used twice in a data directory; a table without a sort key
             has None for `range_name` and `range_type`.
    """

    name: str
    number: int
    table_id: str
    hash_name: str
    hash_type: KeyType
    range_name: str | None = None
    range_type: KeyType | None = None

    @property
    def key_names(self) -> tuple[str, ...]:
        """The key attributes, the partition key first."""
        return (self.hash_name,) if self.range_name is None else (self.hash_name, self.range_name)

    @property
    def hash_names(self) -> tuple[str, ...]:
        """The partition key, as an index names its hash attributes."""
        return (self.hash_name,)

    @property
    def range_names(self) -> tuple[str, ...]:
        """The sort key if there is one, as an index names its range attributes."""
        return () if self.range_name is None else (self.range_name,)

    def key_of(self, item: Item) -> Item:
        """The key attributes of an item that has them."""
        return {name: item[name] for name in self.key_names}

    def check_key(self, key: Item) -> None:
        """Require exactly the key, well typed and sized. Raises: ApiError. Source: semantics §6.5."""
        self.locate_key(key)

    def check_item(self, item: Item) -> None:
        """Require the key attributes in a whole item. Raises: ApiError. Source: semantics §6.5."""
        self.locate_item(item)

    def key_bytes(self, key: Item) -> bytes:
        """The order-preserving bytes of a key."""
        return self.locate_key(key).key_bytes

    def read_key(self, data: bytes) -> Item:
        """The key attributes of key bytes. Raises: ValueError, IndexError for another table's bytes."""
        partition, rest = split_terminated(data[HASH_BYTES:])
        key: Item = {self.hash_name: value_of(self.hash_type, partition)}
        if self.range_name is not None and self.range_type is not None:
            key[self.range_name] = value_of(self.range_type, rest)
        return key

    def partition(self, key: Item) -> int:
        """The hash of the partition key: it chooses the shard and the lane. Units: 64 bits, unsigned."""
        return self.locate_key(key).partition

    def locate_item(self, item: Item) -> ItemTarget:
        """Where a whole item belongs. Raises: ApiError naming the key attribute that is missing or wrong."""
        hash_name, range_name = self.hash_name, self.range_name
        try:
            hash_value = item[hash_name]
            range_value = None if range_name is None else item[range_name]
        except KeyError:
            self._refuse(item, _missing)
        if self.hash_type not in hash_value:
            self._refuse(item, _missing)
        if range_value is None:
            return self._target({hash_name: hash_value}, hash_value, None)
        assert range_name is not None
        assert self.range_type is not None
        if self.range_type not in range_value:
            self._refuse(item, _missing)
        return self._target({hash_name: hash_value, range_name: range_value}, hash_value, range_value)

    def locate_key(self, key: Item) -> ItemTarget:
        """Where a key points. Raises: ApiError, for its sizes or when it does not match the schema."""
        hash_value = key.get(self.hash_name)
        if hash_value is None or self.hash_type not in hash_value:
            raise validation_error(MISMATCH)
        if self.range_name is None:
            if len(key) != 1:
                raise validation_error(MISMATCH)
            return self._target(key, hash_value, None)
        range_value = key.get(self.range_name)
        if len(key) != 2:
            raise validation_error(MISMATCH)
        if range_value is None or self.range_type not in range_value:
            self._refuse(key, _unfit)
        return self._target(key, hash_value, range_value)

    def _refuse(self, item: Item, blame: Callable[[str, str, AttributeValue | None], ApiError]) -> Never:
        """Raise the first error of the key attributes, one after the other: kind, then size."""
        for name, kind, check in (
            (self.hash_name, self.hash_type, self._partition_bytes),
            (self.range_name, self.range_type, self.sort_bytes),
        ):
            if name is None or kind is None:
                break
            value = item.get(name)
            if value is None or kind not in value:
                raise blame(name, kind, value)
            check(value)
        raise AssertionError("nothing is wrong with the key")

    def partition_prefix(self, value: AttributeValue) -> bytes:
        """What the key bytes of every item of one partition begin with. Raises: ApiError."""
        return self._partition_bytes(value)

    def sort_bytes(self, value: AttributeValue) -> bytes:
        """What follows the partition's prefix in key bytes. Raises: ApiError."""
        ordered = ordered_bytes(value)
        if self.range_type != "N":
            if not ordered:
                raise _empty(self.range_name or "", self.range_type or "S")
            if len(ordered) > SORT_KEY_BYTES:
                raise validation_error(
                    f"{INVALID}Aggregated size of all range keys has exceeded the size limit of 1024 bytes"
                )
        return ordered

    def _partition_bytes(self, value: AttributeValue) -> bytes:
        ordered = ordered_bytes(value)
        if self.hash_type != "N":
            if not ordered:
                raise _empty(self.hash_name, self.hash_type)
            if len(ordered) > PARTITION_KEY_BYTES:
                # AWS's text really has no blank before the number.
                raise validation_error(
                    f"{INVALID}Size of hashkey has exceeded the maximum size limit of2048 bytes"
                )
        return blake2b(ordered, digest_size=HASH_BYTES).digest() + terminated(ordered)

    def _target(
        self, keys: Item, hash_value: AttributeValue, range_value: AttributeValue | None
    ) -> ItemTarget:
        data = self._partition_bytes(hash_value)
        partition = int.from_bytes(data[:HASH_BYTES])
        if range_value is not None:
            data += self.sort_bytes(range_value)
        return ItemTarget(keys, data, partition)


def partition_of_key(key: bytes) -> bytes:
    """What the key bytes of every item of its partition begin with; of that itself, itself.

    >>> schema = TableSchema("orders", 0, "", "pk", "S", "sk", "S")
    >>> keys = [schema.key_bytes({"pk": {"S": "a"}, "sk": {"S": text}}) for text in ("1", "2")]
    >>> {partition_of_key(key) for key in keys} == {schema.partition_prefix({"S": "a"})}
    True
    """
    end = HASH_BYTES
    while True:
        end = key.index(b"\x00", end)
        if key[end + 1 : end + 2] == b"\x01":
            return key[: end + 2]
        end += 2


def _unfit(name: str, expected: str, value: AttributeValue | None) -> ApiError:
    return validation_error(MISMATCH)


def _missing(name: str, expected: str, value: AttributeValue | None) -> ApiError:
    if value is None:
        return validation_error(f"{INVALID}Missing the key {name} in the item")
    actual = next(iter(value))
    return validation_error(f"{INVALID}Type mismatch for key {name} expected: {expected} actual: {actual}")


def _empty(name: str, kind: str) -> ApiError:
    return validation_error(
        f"{NOT_VALID}The AttributeValue for a key attribute cannot contain an empty "
        f"{EMPTY_KINDS[kind]} value. Key: {name}"
    )
