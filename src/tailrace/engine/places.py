"""What a row of the store is, in the names that people know: an item by its table and key, a record by its
stream.

Rules of this file: it knows numbers and key bytes alone, because what stands in a damaged row is not to be
believed; it never fails. Layouts: docs/formats/catalog.md. Called by `engine.engine` for what is read, and by
`tailrace check` for what was scanned.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import msgspec
import orjson
from msgspec import Struct

from tailrace.engine.documents import CATALOG, STATE, TOKENS, IndexDocument, StreamDocument, TableDocument
from tailrace.engine.kinesis.documents import DataStreamDocument
from tailrace.errors import DamagedData
from tailrace.tables.schema import TableSchema
from tailrace.values.types import Item

if TYPE_CHECKING:
    from tailrace.engine.catalog import Catalog

DocumentT = TypeVar("DocumentT")
OWN: Final = {CATALOG: "catalog", STATE: "state", TOKENS: "requests"}
"""Tables of ours, whose keys are mostly text."""


class Location(Struct, frozen=True):
    """Where something is kept. Shape: `table` for a program, `key` as JSON or text, `words` name both for
    people.
    """

    table: str
    key: str
    words: str


class _Log(NamedTuple):
    """What a shard's records are and of what. Shape: `table` as in `Location`, `of` for people."""

    table: str
    of: str
    record: str
    shard: str


class Places:
    """What the numbers of tables and shards stand for."""

    def __init__(
        self,
        tables: Iterable[TableDocument],
        indexes: Iterable[IndexDocument],
        streams: Iterable[StreamDocument],
        data_streams: Iterable[DataStreamDocument] = (),
    ) -> None:
        self._tables: dict[int, TableSchema] = {}
        self._beside: dict[int, tuple[str, str]] = {}
        for table in tables:
            name, number = table.key, table.number
            self._tables[number] = _schema(table)
            if table.ttl is not None and table.ttl.number:
                self._beside[table.ttl.number] = name, "an entry of time to live"
        for index in indexes:
            schema = self._tables.get(index.table_number)
            name = "?" if schema is None else schema.name
            self._beside[index.number] = name, f"an entry of index {index.definition.name}"
            if index.collections:
                self._beside[index.collections] = name, "the weight of an item collection"
        self._shards = {
            shard.number: _Log(stream.key, f"table {stream.key}", "change", shard.shard_id)
            for stream in streams
            for shard in stream.shards
        }
        self._shards |= {
            shard.number: _Log(name, name, "record", shard.shard_id)
            for stream in data_streams
            for name in (f"data stream {stream.name}",)
            for shard in stream.shards
        }

    def row(self, number: int, key: bytes) -> Location:
        """Table, key and words for a row."""
        if (own := OWN.get(number)) is not None:
            text = printed(key)
            return Location(own, text, f"row {text} of the {own}")
        if (schema := self._tables.get(number)) is not None:
            read = read_key(schema, key)
            text = f"0x{key.hex()}" if read is None else orjson.dumps(read).decode()
            return Location(schema.name, text, f"item {text} of table {schema.name}")
        text = f"0x{key.hex()}"
        if (beside := self._beside.get(number)) is not None:
            return Location(beside[0], text, f"{beside[1]} of table {beside[0]}, key {text},")
        return Location(
            f"number {number}", text, f"row {text} of table number {number}, which is no table now,"
        )

    def record(self, shard: int, sequence: int) -> Location:
        """Table, sequence number and words for a record of the log."""
        log = self._log(shard)
        words = f"{log.record} {sequence} of {log.of} (shard {log.shard})"
        return Location(log.table, str(sequence), words)

    def table(self, number: int) -> str:
        """What a table's number stands for."""
        if (own := OWN.get(number)) is not None:
            return f"the {own}"
        if (schema := self._tables.get(number)) is not None:
            return f"table {schema.name}"
        if (beside := self._beside.get(number)) is not None:
            return f"table {beside[0]}, {beside[1].removeprefix('an entry of ').removeprefix('the ')}"
        return f"table number {number}, which is no table now"

    def shard(self, number: int) -> str:
        """What a shard's number stands for."""
        log = self._log(number)
        return f"the {log.record}s of {log.of} in shard {log.shard}"

    def _log(self, number: int) -> _Log:
        return self._shards.get(number) or _Log("?", "table ?", "change", f"number {number}")

    def described(self, error: DamagedData) -> str:
        """What was found damaged."""
        if error.shard is not None:
            return self.record(error.shard, error.sequence).words
        return self.row(error.table or 0, error.key).words


def named_damage(catalog: "Catalog", data_streams: Iterable[DataStreamDocument], error: DamagedData) -> str:
    """What was found damaged, in the names that an engine in use knows."""
    tables = list(catalog.tables.values())
    return Places(
        [table.document for table in tables],
        [index.document for table in tables for index in table.every_index],
        [stream.document for stream in catalog.streams.values()],
        data_streams,
    ).described(error)


def places_of_rows(rows: Mapping[bytes, bytes]) -> Places:
    """The names that the rows of the catalog tell; those that cannot be read tell nothing."""
    return Places(
        _documents(rows, b"table/", TableDocument),
        _documents(rows, b"index/", IndexDocument),
        _documents(rows, b"stream/", StreamDocument),
        _documents(rows, b"data-stream/", DataStreamDocument),
    )


def read_key(schema: TableSchema, key: bytes) -> Item | None:
    """The key attributes of the item with these key bytes; None when they are none of this table's."""
    try:
        return schema.read_key(key)
    except (ValueError, IndexError):
        return None


def printed(key: bytes) -> str:
    """A key of words as they are; what is no text is escaped."""
    text = key.decode(errors="backslashreplace")
    return "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in text)


def _schema(table: TableDocument) -> TableSchema:
    of = table.definition
    return TableSchema(
        table.key, table.number, table.table_id, of.hash_name, of.hash_type, of.range_name, of.range_type
    )


def _documents(rows: Mapping[bytes, bytes], prefix: bytes, kind: type[DocumentT]) -> Iterable[DocumentT]:
    for key, data in rows.items():
        if key.startswith(prefix):
            try:
                yield msgspec.json.decode(data, type=kind)
            except msgspec.MsgspecError:  # `check` says that it is damaged
                continue
