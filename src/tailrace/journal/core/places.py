"""Where a table's journal is in an archive: a folder for each incarnation of the table, and what names them.

Theory of operation: `<region>/<account>/<table id>/` is one incarnation, with `_manifest/` and `segments/`.
Which incarnations a table of a name has had, and of which one each of its streams is, stands under
`<region>/<account>/_tables/<name>/`, in a manifest of its own that has notes alone; it has the numbers of
the sources too, for they go over incarnations.
Rules of this file: pure; names and notes.
"""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Struct

from tailrace.manifests.core.manifest import TableManifest, place_name
from tailrace.manifests.core.names import digest, file_stem, safe
from tailrace.streams.arns import ACCOUNT, parse_table_arn

MANIFEST: Final = "_manifest"
SEGMENTS: Final = "segments"
TABLES: Final = "_tables"
STREAM: Final = "stream/"
TABLE: Final = "table"
BASE: Final = "base"
BASE_AT: Final = "base-at"
"""Notes: of a stream in the manifest of the name; of the table and of its base in that of an incarnation."""


class JournaledTable(Struct, frozen=True):
    """Which table. Shape: its name in its region and account."""

    name: str
    region: str
    account: str

    @property
    def folder(self) -> str:
        """Above all of its incarnations, and of the other tables there."""
        return f"{safe(self.region)}/{safe(self.account)}"

    @property
    def names_folder(self) -> str:
        """Where its incarnations are named."""
        return f"{self.folder}/{TABLES}/{safe(self.name)}"


class JournaledStream(Struct, frozen=True):
    """A stream that a journal has something of. Shape: `incarnation` is the table's id, or, where the table
    was gone before its id was known, `stream-` and the stream's label.
    """

    label: str
    incarnation: str
    arn: str


def journaled_table(name: str, region: str, account: str = ACCOUNT) -> JournaledTable:
    """A table as an app names it: by its name, or by its ARN where it is in another region or account.

    >>> journaled_table("orders", "eu-west-1").folder
    'eu-west-1/000000000000'
    """
    arn = parse_table_arn(name)
    if arn is None:
        return JournaledTable(name, region, account)
    return JournaledTable(arn.table, arn.region, arn.account)


def incarnation_folder(table: JournaledTable, incarnation: str) -> str:
    """Where an incarnation is. Shape: `incarnation` is its table's id, or what stands for it."""
    return f"{table.folder}/{safe(incarnation)}"


def unknown_incarnation(label: str) -> str:
    """What the incarnation of a stream is called whose table was gone before its id was known."""
    return f"stream-{label}"


def shard_place(_: str, stream: str, shard: str) -> str:
    """What a shard is called in a journal's manifest: whatever the mapping is called, for a journal is one
    chain a shard, whoever writes it.
    """
    return place_name("", stream, shard)


def segment_name(folder: str, shard: str, after: int, through: int, data: bytes, salt: int = 0) -> str:
    """The name of a segment with these bytes. Shape: `salt` is counted up where a name is taken."""
    end = f"-{salt}" if salt else ""
    return f"{folder}/{SEGMENTS}/{file_stem(shard, after, through)}-{digest(data)}{end}.parquet"


def streams_of(manifest: TableManifest) -> dict[str, JournaledStream]:
    """The streams that a name's manifest notes, by label."""
    return {
        name.removeprefix(STREAM): msgspec.json.decode(text, type=JournaledStream)
        for name, text in manifest.notes.items()
        if name.startswith(STREAM)
    }


def table_noted(manifest: TableManifest) -> JournaledTable | None:
    """Whose manifest it is; None: nothing is noted yet."""
    text = manifest.notes.get(TABLE)
    return None if text is None else msgspec.json.decode(text, type=JournaledTable)


def stream_note(stream: JournaledStream) -> Mapping[str, str]:
    """What a name's manifest notes of a stream. Shape: one text, under the stream's label."""
    return {f"{STREAM}{stream.label}": msgspec.json.encode(stream).decode()}
