"""What a write does to the indexes of its table: entries change in the group of the item.

Rules of this file: called for tables with indexes only, so that a write to any other table pays nothing. Item
collections (tables with local indexes) are weighed in a row of their own, by what changes, so that an
estimate costs one read. Called by `engine.engine`. Source: semantics §6.3, §6.6, §6.7.
"""

from typing import Final

from tailrace.engine.catalog import Catalog, TableState
from tailrace.engine.committer import Committer
from tailrace.errors import ApiError
from tailrace.tables.index_keys import check_mutation, check_operation
from tailrace.tables.indexes import EntryChange
from tailrace.tables.limits import COLLECTION_BYTES
from tailrace.tables.mutate import Mutation, Operation
from tailrace.tables.schema import TableSchema
from tailrace.values.canonical import size_bytes
from tailrace.values.types import Item
from tailrace.values.wire import dump_item

__all__ = ["Indexing", "check_operation"]

TOO_LARGE: Final = "Collection size exceeded."


class Indexing:
    """Keeps entries and collection sizes beside the items."""

    def __init__(self, committer: Committer, catalog: Catalog) -> None:
        self._committer = committer
        self._catalog = catalog

    def check(self, table: TableState, operation: Operation, mutation: Mutation) -> None:
        """Refuse what the indexes do not allow. Raises: ApiError."""
        check_mutation([index.schema for index in table.indexes], operation, mutation)
        if table.collections and mutation.changed:
            growth = _growth(table, mutation)
            if growth > 0 and self._weight(table, mutation.keys) + growth > COLLECTION_BYTES:
                raise ApiError("ItemCollectionSizeLimitExceededException", TOO_LARGE)

    def write(self, table: TableState, mutation: Mutation, new_data: bytes | None) -> None:
        """Add to the group what a change does to each index."""
        if table.collections:
            weight = self._weight(table, mutation.keys) + _growth(table, mutation)
            key = _collection_key(table.schema, mutation.keys)
            self._committer.put_row(table.collections, key, b"%d" % weight if weight > 0 else None)
        for index in table.indexes:
            if index.covers(mutation.key_bytes):
                change = index.schema.change(mutation)
                if change is not None:
                    whole = new_data if index.schema.projected is None else None
                    self.replace(index.number, change, whole)
                    items, grown = (change.new is not None) - (change.old is not None), _difference(change)
                    self._catalog.resize(index, items, grown)

    def replace(self, number: int, change: EntryChange, data: bytes | None) -> None:
        """Write the rows of one changed entry; `data` are the bytes of the new one where they are known."""
        old, new = change
        if old is not None and (new is None or new.key != old.key):
            self._committer.put_row(number, old.key, None)
        if new is not None:
            self._committer.put_row(number, new.key, dump_item(new.item) if data is None else data)

    def collection_bytes(self, table: TableState, keys: Item) -> int:
        """What all items with this partition key weigh, entries in local indexes included. Units: bytes."""
        return self._weight(table, keys)

    def _weight(self, table: TableState, keys: Item) -> int:
        data = self._committer.get(table.collections, _collection_key(table.schema, keys))
        return 0 if data is None else int(data)


def _collection_key(schema: TableSchema, keys: Item) -> bytes:
    return schema.partition_prefix(keys[schema.hash_name])


def _growth(table: TableState, mutation: Mutation) -> int:
    growth = mutation.size - (0 if mutation.old is None else size_bytes(mutation.old))
    for index in table.indexes:
        if index.schema.is_local:
            change = index.schema.change(mutation)
            growth += 0 if change is None else _difference(change)
    return growth


def _difference(change: EntryChange) -> int:
    old, new = (0 if entry is None else size_bytes(entry.item) for entry in change)
    return new - old
