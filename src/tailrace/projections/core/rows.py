"""Rows of a projection: one for each item, with the image that was applied last, and one for each group, with
its state.

Rules of this file: layouts only, format 2 of an item, 1 of a group, documented in
docs/formats/projections.md. A build is one set of these rows: a version of the function has one, and another
while it is rebuilt. Called by folding.py and by every adapter of `ports.ProjectionStore`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias
from zlib import crc32

from msgspec import Struct

from tailrace.rows.kinds import PROJECTION_GROUP, PROJECTION_ITEM
from tailrace.rows.writes import VERSION, readable
from tailrace.streams.version import NOTHING, Version, row_version
from tailrace.values.types import AttributeValue, Item

NOWHERE: Final = ""
"""The group of a tombstone."""
BUCKETS: Final = 256
"""Items are kept in so many parts by a hash of their key, so that all of them can be read in slices, and
spread over partitions.
"""


@dataclass(frozen=True, slots=True)
class AppliedItem:
    """What was applied of one item.

    Shape:   `key` is the item's, hex; `version` of the last change applied; `image` None is a tombstone: the
             item was removed, and a late duplicate must not bring it back.
    Units:   at_ms since the epoch, when it was applied.
    """

    key: str
    version: Version
    group: str = NOWHERE
    image: Item | None = None
    at_ms: int = 0
    is_of_before: bool = field(default=False, compare=False)
    """Whether its row has a sequence number instead: it was written before there were versions."""

    @property
    def name(self) -> str:
        """What tells it from its like."""
        return self.key

    @property
    def stamp(self) -> int | str:
        """What moves with every write: the condition of the next one."""
        return self.version.sequence if self.is_of_before else self.version.text

    @property
    def stamped(self) -> str:
        """The field in which it stands."""
        return "sequence" if self.is_of_before else "version"


class GroupState(Struct, frozen=True):
    """The state of one group.

    Shape:   `key` is the JSON text of its key as an attribute value, `version` moves with every write,
             `count` is how many items are in it. A group without items stays for a while, so that a version
             is never seen twice.
    """

    key: str
    version: int
    count: int
    state: AttributeValue
    at_ms: int = 0

    @property
    def name(self) -> str:
        """What tells it from its like."""
        return self.key

    @property
    def stamp(self) -> int | str:
        """What moves with every write: the condition of the next one."""
        return self.version

    @property
    def stamped(self) -> str:
        """The field in which it stands."""
        return "version"


ProjectedRow: TypeAlias = AppliedItem | GroupState


class RowChange(Struct, frozen=True):
    """One row before and after. It is written only if the present row is `before` (None: there is none);
    `after` None deletes it.
    """

    before: ProjectedRow | None
    after: ProjectedRow | None

    @property
    def row(self) -> ProjectedRow:
        """Either of them, for its kind and name."""
        row = self.after if self.after is not None else self.before
        assert row is not None, "a change of nothing"
        return row


def build_name(projection: str, build: str) -> str:
    """A build's name, under which its rows are kept.

    >>> build_name("sales", "2.1")
    'sales@v2.1'
    """
    return f"{projection}@v{build}"


# ---- in a StateStore ---------------------------------------------------------------------------------------


def bucket_of(key: str) -> int:
    """The bucket of an item's key (hex)."""
    return crc32(bytes.fromhex(key)) % BUCKETS


def items_prefix(app: str, name: str, bucket: int) -> str:
    """Before the rows of a build's items in one bucket."""
    return PROJECTION_ITEM.prefix(app, name, f"{bucket:02x}")


def item_key(app: str, name: str, key: str) -> str:
    """In its bucket. Shape: `key` in hexadecimal digits."""
    return PROJECTION_ITEM.key(app, name, f"{bucket_of(key):02x}", key)


def groups_prefix(app: str, name: str) -> str:
    """Before the rows of a build's groups."""
    return PROJECTION_GROUP.prefix(app, name)


def group_key(app: str, name: str, key: str) -> str:
    """Shape: `key` is the JSON text of the key as an attribute value."""
    return PROJECTION_GROUP.key(app, name, key)


def item_fields(row: AppliedItem) -> dict[str, Any]:
    """As docs/formats/state.md has them; `read_item_row` takes them back."""
    return {
        "v": PROJECTION_ITEM.format,
        "key": row.key,
        "version": row.version.text,
        "group": row.group,
        "image": row.image,
        "at_ms": row.at_ms,
    }


def group_fields(row: GroupState) -> dict[str, Any]:
    """As docs/formats/state.md has them; `read_group_row` takes them back."""
    return {
        "v": VERSION,
        "key": row.key,
        "version": row.version,
        "count": row.count,
        "state": row.state,
        "at_ms": row.at_ms,
    }


def read_item_row(fields: Mapping[str, Any]) -> AppliedItem:
    """An item's row. Raises: StoreError for a format of another version."""
    row = readable(fields, "projection", PROJECTION_ITEM.format)
    version = row_version(row) or NOTHING
    return AppliedItem(row["key"], version, row["group"], row["image"], row["at_ms"], "version" not in row)


def read_group_row(fields: Mapping[str, Any]) -> GroupState:
    """A group's row. Raises: StoreError for a format of another version."""
    row = readable(fields, "projection")
    return GroupState(row["key"], row["version"], row["count"], row["state"], row["at_ms"])
