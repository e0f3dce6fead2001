"""A secondary index in memory: its document, its work-ready form, and how much it holds.

Rules of this file: nothing here decides or writes. While an index is being filled it holds the items up to
the position of its document and no other: a write beyond it is left to the back-fill, which will meet it.
Made by `engine.catalog`.
"""

from tailrace.engine.documents import IndexDocument
from tailrace.tables.indexes import IndexDefinition, TableIndexSchema, make_index
from tailrace.tables.schema import TableSchema


class TableIndex:
    """How an index is now: its document, its schema, and what its entries weigh."""

    __slots__ = ("document", "items", "schema", "size_bytes")

    def __init__(self, document: IndexDocument, schema: TableSchema) -> None:
        self.items = 0
        self.size_bytes = 0
        self.replace(document, schema)

    def replace(self, document: IndexDocument, schema: TableSchema) -> None:
        """Take a new document."""
        self.document = document
        self.schema: TableIndexSchema = make_index(document.definition, schema, document.number)

    @property
    def number(self) -> int:
        """Where its rows are."""
        return self.document.number

    @property
    def definition(self) -> IndexDefinition:
        """What it is declared to be."""
        return self.document.definition

    def covers(self, key_bytes: bytes) -> bool:
        """Whether the item with these key bytes belongs into the index now."""
        return self.document.status == "ACTIVE" or key_bytes <= self.document.position
