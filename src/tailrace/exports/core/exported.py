"""What an export holds: one item or change, where reading stands, and a page of it.

Rules of this file: values alone. Items are canonical (values/types.py), as everywhere in Tailrace.
Guarantee: a position is exact: what is read after it begins with the first item that the page before it did
not have.
"""

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from tailrace.errors import ApiError, Refused
from tailrace.tables.schema import ItemTarget, TableSchema
from tailrace.values.types import Item

ExportType: TypeAlias = Literal["FULL_EXPORT", "INCREMENTAL_EXPORT"]
OutputFormat: TypeAlias = Literal["DYNAMODB_JSON", "ION"]
Compression: TypeAlias = Literal["GZIP", "ZSTD", "NONE"]


class ExportedItem(Struct, frozen=True, gc=False):
    """One line: an item of a full export, or what became of an item in the window of an incremental one.

    Shape:   `keys` its key attributes; None where a line has only the item (then `located` knows them).
             `new` the item, None when it was deleted; `old` what it was before the window, None when it was
             not there, or the export does not show it.
    Units:   written_us of the last write in the window, since the epoch; None in a full export.
    """

    keys: Item | None
    new: Item | None
    old: Item | None = None
    written_us: int | None = None

    @property
    def is_deleted(self) -> bool:
        """Whether the item was not there at the end of the window."""
        return self.new is None


def located(schema: TableSchema, exported: ExportedItem) -> ItemTarget:
    """Where an exported item belongs in a table: its keys, the bytes that order it, its partition hash.

    Raises:  Refused for an item that does not have the keys of that table.
    """
    try:
        if exported.keys is not None:
            return schema.locate_key(exported.keys)
        return schema.locate_item(exported.new or {})
    except ApiError as error:
        names = " and ".join(schema.key_names)
        raise Refused(
            f"an exported item does not have the key of table {schema.name!r} ({names}): {error.message}",
            hint="name the table that was exported, or the export of that table: tailrace export ls PLACE",
        ) from error


class DataFile(Struct, frozen=True):
    """One file of data: what may be read beside the others.

    Shape:   `name` below the place; `items` and `md5` (base64) as the manifest says them, None where there is
             no manifest.
    Units:   size in bytes, as the file lies there.
    """

    name: str
    size: int
    format: OutputFormat
    compression: Compression
    items: int | None = None
    md5: str | None = None


class ExportPosition(Struct, frozen=True):
    """Where reading stands: `items` of file `number` are done, and all files before it.

    Shape:   `number` counts from 0 in the order of the files; that of the end is their count. `name` is the
             file's, so that a position in another export is known for one; "" at the beginning and the end.
    """

    number: int = 0
    items: int = 0
    name: str = ""


BEGINNING: Final = ExportPosition()


class ExportProgress(Struct, frozen=True):
    """How far reading is.

    Shape:   `total_items` None where no manifest says it; then `items` counts from where reading began.
    Units:   bytes of files as they lie there, compressed.
    """

    items: int
    bytes: int
    total_items: int | None
    total_bytes: int


class ExportPage(Struct, frozen=True):
    """Items one after the other, and where to go on after them.

    Guarantee: the position of a file's last page, and no position behind it, is told only after the file was
               read to its end and its checksum and its count are what the manifest says.
    """

    items: Sequence[ExportedItem]
    position: ExportPosition
    progress: ExportProgress


def checked_position(position: ExportPosition, files: Sequence[DataFile]) -> ExportPosition:
    """A position that these files have. Raises: Refused for one of other files."""
    if position.number > len(files) or (
        position.name and (position.number == len(files) or files[position.number].name != position.name)
    ):
        raise Refused(
            f"a position in file {position.number + 1}, {position.name or 'without a name'}, is none of this "
            f"export, which has {len(files)} files and others in that order",
            hint="read it from the beginning, or open the export that the position was taken in",
        )
    return position
