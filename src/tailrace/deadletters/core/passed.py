"""How far a mapping has come with an item that has dead letters: the last change of it that was handled
since.

Rules of this file: a layout, format 2 (1 with a sequence number instead of a version). Written with the
checkpoint that settles the change; whether a dead letter is overtaken is judged by it alone, never by the
item's present state. Called by runtime/delivering.py, deadletters/run/redriver.py and `dlq`.
"""

from collections.abc import Mapping
from typing import Any

from tailrace.rows.kinds import PASSED
from tailrace.rows.writes import AbsentOrOlder, Write, readable
from tailrace.streams.version import NOTHING, Version, row_version


def passed_prefix(app: str, mapping_id: str) -> str:
    """What these rows of a mapping start with."""
    return PASSED.prefix(app, mapping_id)


def passed_key(app: str, mapping_id: str, key: bytes) -> str:
    """The row of one item."""
    return f"{passed_prefix(app, mapping_id)}{key.hex()}"


def passed_write(app: str, mapping_id: str, key: bytes, version: Version) -> Write:
    """The mapping has handled this change of the item, which has dead letters (`NOTHING`: none since)."""
    fields = {"v": PASSED.format, "key": key.hex(), "version": version.text}
    return Write(passed_key(app, mapping_id, key), fields)


def watched_write(app: str, mapping_id: str, key: bytes, version: Version) -> Write:
    """The same of an item that has one more dead letter, unless the row says by now that a later change was
    handled: whoever has put that back may have said so meanwhile.
    """
    write = passed_write(app, mapping_id, key, version)
    no_later = AbsentOrOlder(Version(version.generation, version.sequence + 1))
    return Write(write.key, write.fields, no_later)


def read_passed(fields: Mapping[str, Any] | None) -> Version:
    """The last change of the item that was handled; `NOTHING`: none since its dead letter. Raises:
    StoreError.
    """
    version = None if fields is None else row_version(readable(fields, "passed item", PASSED.format))
    return NOTHING if version is None or not version.sequence else version
