"""The catalog's documents: what table 0 of the store holds, as JSON with a version in each.

Rules of this file: layouts only, documented in docs/formats/catalog.md; a document of another version is
refused with a hint, never guessed at. Called by `engine.catalog`.
"""

from typing import Any, Final, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from tailrace.errors import StoreError
from tailrace.streams.arns import table_arn
from tailrace.streams.record import ViewType
from tailrace.streams.shards import HashedShard
from tailrace.tables.definition import TableDefinition
from tailrace.tables.indexes import IndexDefinition
from tailrace.tables.throughput import ThroughputHistory

CATALOG: Final = 0
COUNTERS: Final = b"counters"
SEQUENCE: Final = b"sequence"
STATE: Final = 1
TOKENS: Final = 2
FIRST_TABLE: Final = 16
"""Reserved table numbers; users' tables come after them."""
VERSION: Final = 1
ELSEWHERE: Final = 2
"""The version of documents of tables and streams outside the default namespace, so that a Tailrace of before
refuses them."""
INDEX_VERSION: Final = 2
"""Version 2 of an index's document knows its warm throughput; version 1 is read, and written as 2."""
IndexStatus: TypeAlias = Literal["CREATING", "ACTIVE", "DELETING"]
Busy: TypeAlias = Literal["CREATING", "UPDATING", "DELETING"]
DELAYS_MS: Final[dict[Busy, int]] = {"CREATING": 5_000, "UPDATING": 4_000, "DELETING": 3_000}
"""What AWS takes, about. Source: semantics §1.2 for UPDATING; the others are of the same order."""
DocumentT = TypeVar("DocumentT", bound=msgspec.Struct)


class TtlDocument(msgspec.Struct, frozen=True):
    """A table's time to live.

    Shape:   entries in the order of expiry are in table `number`, 0 while it is off; while `is_filling` they
             are complete up to the key bytes `position`.
    """

    attribute: str
    number: int
    changed_ms: int
    is_filling: bool = False
    position: bytes = b""


class BackupsDocument(msgspec.Struct, frozen=True):
    """What continuous backups were told: nothing is backed up. Units: days; since_ms since the epoch."""

    days: int
    since_ms: int


class TableDocument(msgspec.Struct, frozen=True):
    """A table.

    Shape:   `definition.stream` is the view type while a stream is on; `label` names the latest stream, on or
             off; `busy` holds until `busy_until_ms` and is then over; `gone_through` is the last record of
             streams that are gone; `region` and `account` are there outside the default namespace only.
    """

    definition: TableDefinition
    number: int
    table_id: str
    created_ms: int
    label: str | None = None
    busy: Busy | None = None
    busy_until_ms: int = 0
    on_demand_ms: int | None = None
    class_ms: int | None = None
    throughput: ThroughputHistory = ThroughputHistory()
    ttl: TtlDocument | None = None
    tags: dict[str, str] = {}
    backups: BackupsDocument | None = None
    gone_through: int = 0
    region: str | UnsetType = UNSET
    account: str | UnsetType = UNSET
    v: int = VERSION

    @property
    def key(self) -> str:
        """What rows call the table: its name, or its ARN outside the default namespace."""
        return key_of(self.definition.name, self.region, self.account)


class IndexDocument(msgspec.Struct, frozen=True):
    """An index of a table.

    Shape:   its rows are in table `number`; while it is CREATING it holds the items with key bytes up to
             `position`; `collections` is where a table's first local index weighs the table's item
             collections, 0 in others.
    """

    definition: IndexDefinition
    number: int
    table_number: int
    status: IndexStatus = "ACTIVE"
    position: bytes = b""
    collections: int = 0
    busy_until_ms: int = 0
    v: int = INDEX_VERSION


class StreamDocument(msgspec.Struct, frozen=True):
    """A stream, kept 24 hours after it was disabled or its table deleted. Labels are unique in a data
    directory.
    """

    label: str
    table: str
    table_number: int
    view_type: ViewType
    created_ms: int
    key_schema: list[dict[str, str]]
    shards: tuple[HashedShard, ...] = ()
    disabled_ms: int | None = None
    region: str | UnsetType = UNSET
    account: str | UnsetType = UNSET
    v: int = VERSION

    @property
    def key(self) -> str:
        """What rows call its table."""
        return key_of(self.table, self.region, self.account)


class NamespacesDocument(msgspec.Struct, frozen=True):
    """The default namespace of a data directory; `is_one`: there is no other, whatever region and account a
    request names."""

    region: str
    account: str
    is_one: bool = False
    v: int = VERSION


class SequenceDocument(msgspec.Struct, frozen=True):
    """The high-water mark of sequence numbers: every one that may have been issued is at most `reserved`."""

    reserved: int = 0
    v: int = 1


class CountersDocument(msgspec.Struct, frozen=True):
    """What is handed out once: table numbers, shard numbers, label times."""

    next_table: int = FIRST_TABLE
    next_shard: int = 1
    label_ms: int = 0
    v: int = VERSION


class SizeDocument(msgspec.Struct, frozen=True):
    """How many items a table holds, and their bytes."""

    items: int = 0
    size_bytes: int = 0
    v: int = VERSION


class TrimDocument(msgspec.Struct, frozen=True):
    """Up to where a shard's records are physically gone."""

    through: int
    v: int = VERSION


class PolicyDocument(msgspec.Struct, frozen=True):
    """A resource policy, as it was put; it is not enforced."""

    policy: str
    revision: str
    v: int = VERSION


class DroppedDocument(msgspec.Struct, frozen=True):
    """A deleted table whose rows housekeeping still removes."""

    number: int
    v: int = VERSION


class LostDocument(msgspec.Struct, frozen=True):
    """The last record of the streams that ended with deleted tables of one name and have passed their day
    while no table had it.
    """

    through: int
    v: int = VERSION


class RequestDocument(msgspec.Struct, frozen=True):
    """A request that was made under a ClientRequestToken; `read_units` by table once it was done, None if it
    was cancelled.
    """

    digest: str
    until_ms: int
    read_units: dict[str, float] | None = None
    v: int = VERSION


NEWEST: Final[dict[type[msgspec.Struct], int]] = {
    IndexDocument: INDEX_VERSION, TableDocument: ELSEWHERE, StreamDocument: ELSEWHERE,
}  # fmt: skip


def key_of(name: str, region: str | UnsetType, account: str | UnsetType) -> str:
    """What rows call a table: its name, or its ARN outside the default namespace, where region and account
    are told."""
    if region is UNSET or account is UNSET:
        return name
    return table_arn(region, account, name)


def decode(key: bytes, data: bytes, document: type[DocumentT]) -> DocumentT:
    """Read one document. Raises: StoreError when it is damaged or of another version."""
    try:
        version: Any = msgspec.json.decode(data, type=dict[str, Any]).get("v")
        newest = NEWEST.get(document, VERSION)
        if version not in range(VERSION, newest + 1):
            raise StoreError(
                f"catalog document {key.decode(errors='replace')!r} has version {version!r}; this "
                f"Tailrace reads up to {newest}",
                hint="open the data directory with the version of Tailrace that wrote it",
            )
        decoded = msgspec.json.decode(data, type=document)
        return msgspec.structs.replace(decoded, v=newest) if document is IndexDocument else decoded
    except msgspec.DecodeError as error:
        raise StoreError(
            f"catalog document {key.decode(errors='replace')!r} is damaged: {error}",
            hint="restore the data directory from a copy, or start with an empty one: --data DIR",
        ) from error
