"""Rows of windows: one for each item, with what it contributes now, one for each contribution, by group and
pane, and what was told.

Rules of this file: layouts only, format 1 (2 for a window that is being told, 3 for one that was told by a
replay), documented in
docs/formats/windows.md. Times are written with fifteen digits, so that rows sort by them. Called by
folding.py and windows/run/windowing.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple
from zlib import crc32

from msgspec import Struct
from msgspec.structs import replace

from tailrace.rows.kinds import KINDS, joined
from tailrace.rows.writes import VERSION, readable
from tailrace.streams.version import FIRST_GENERATION, NOTHING, Version, row_version
from tailrace.values.types import Item

DIGITS: Final = 15
LATEST_MS: Final = 10**DIGITS - 1
DAY_MS: Final = 86_400_000
WITH_ATTEMPT: Final = 2
"""The format of a window of which one more revision may have been seen: an older version would give its
number to something else.
"""
WITH_GENERATION: Final = 3
"""The format of a window that a replay has told: an older version would tell it under an older number."""
WITH_VERSION: Final = 2
"""The format of an item and a member since which they have a version instead of a sequence number."""
SLICES: Final = 256
"""Parts of a day that are forgotten one after the other."""


class WindowOwner(Struct, frozen=True):
    """The mapping that a window's rows belong to; it makes their keys."""

    app: str
    mapping_id: str

    def key(self, kind: str, *words: str) -> str:
        """The key of a row, or the beginning of several."""
        return KINDS[f"window-{kind}"].key(self.app, self.mapping_id, *words)


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one item contributes: its last applied image, at its time, to its group.

    Shape:   `key` is the item's, hex; `group` the JSON text of the group's key; `image` None contributes
             nothing: the item was removed, or came too late, and a late duplicate must not bring it back.
    Units:   at_ms since the epoch.
    """

    key: str
    version: Version
    group: str = ""
    at_ms: int = 0
    image: Item | None = None
    is_of_before: bool = field(default=False, compare=False)
    """Whether its row has a sequence number instead: it was written before there were versions."""


class Attempt(NamedTuple):
    """A revision that is being told, and the digest of what is in it: a reader may have seen it."""

    revision: int
    digest: str


class WindowInvocation(Struct, frozen=True):
    """What was told of one window last: the digest of what was in it, how often it was told, and the digest
    of what came of it.

    Shape:   `attempt` is the revision after it, from before its first attempt until it is known how that
             ended. `value` is empty, too, when it is not known what its sink has. `generation` is that of
             the replay that told it last.
    """

    start_ms: int
    end_ms: int
    revision: int = 0
    digest: str = ""
    value: str = ""
    attempt: Attempt | None = None
    generation: int = FIRST_GENERATION

    def is_last_word(self, digest: str) -> bool:
        """Whether this was told, and nothing that a reader may have seen after it."""
        return self.attempt is None and self.digest == digest

    def telling(self, digest: str) -> "WindowInvocation":
        """The row that must be durable before this is told: a revision has one content, whatever dies when.

        >>> first = WindowInvocation(0, 60).telling("a")
        >>> first.attempt, first.telling("a").attempt, first.telling("").attempt
        (Attempt(revision=1, digest='a'), Attempt(revision=1, digest='a'), Attempt(revision=2, digest=''))
        """
        if self.attempt is None:
            return replace(self, attempt=Attempt(self.revision + 1, digest))
        if self.attempt.digest == digest:
            return self
        return replace(self, value="", attempt=Attempt(self.attempt.revision + 1, digest))


def digits(time_ms: int) -> str:
    """A time inside a key."""
    return f"{time_ms:0{DIGITS}d}"


def item_key(owner: WindowOwner, key: str) -> str:
    """Where it is kept which pane its last version is in."""
    return owner.key("item", key)


def member_key(owner: WindowOwner, group: str, pane: int, key: str) -> str:
    """The row of one contribution; without a key, what those of a pane begin with."""
    return owner.key("member", group, digits(pane), key)


def touched_key(owner: WindowOwner, group: str, pane: int) -> str:
    """The row that says that something changed in a pane of a group."""
    return owner.key("touched", digits(pane), group)


def told_key(owner: WindowOwner, group: str, start_ms: int | None) -> str:
    """The row of what was told of a window; without a start, what those of a group begin with."""
    return owner.key("told", group, "" if start_ms is None else digits(start_ms))


def day_key(owner: WindowOwner, time_ms: int, *words: str) -> str:
    """The row that says what there is to forget of a day."""
    number = crc32("/".join(words).encode()) % SLICES
    return f"{day_prefix(owner, time_ms // DAY_MS, number)}{joined(*words)}"


def day_prefix(owner: WindowOwner, day: int, number: int) -> str:
    """What the rows of one slice of a day begin with."""
    return owner.key("day", f"{day:06d}", f"{number:02x}", "")


def all_days(owner: WindowOwner) -> str:
    """What the rows of all days begin with."""
    return owner.key("day", "")


def before_day(owner: WindowOwner, day: int) -> str:
    """A key before all rows of a day, and after those of every earlier one."""
    return owner.key("day", f"{day:06d}")


def day_of(owner: WindowOwner, key: str) -> int:
    """Units: days since 1970."""
    return int(key[len(all_days(owner)) :].partition("/")[0])


def contribution_fields(row: Contribution) -> dict[str, Any]:
    """The fields of an item's row, and of a member's."""
    return {
        "v": WITH_VERSION,
        "key": row.key,
        "version": row.version.text,
        "group": row.group,
        "at_ms": row.at_ms,
        "image": row.image,
    }


def read_contribution(fields: Mapping[str, Any]) -> Contribution:
    """The same, read. Raises: StoreError for a format of another version."""
    row = readable(fields, "window", WITH_VERSION)
    version = row_version(row) or NOTHING
    return Contribution(row["key"], version, row["group"], row["at_ms"], row["image"], "version" not in row)


def told_fields(row: WindowInvocation) -> dict[str, Any]:
    """The fields of a window's row."""
    fields = {
        "v": VERSION,
        "start_ms": row.start_ms,
        "end_ms": row.end_ms,
        "revision": row.revision,
        "digest": row.digest,
        "value": row.value,
    }
    if row.attempt is not None:
        fields = {**fields, "v": WITH_ATTEMPT, "attempt": list(row.attempt)}
    if row.generation != FIRST_GENERATION:
        fields = {**fields, "v": WITH_GENERATION, "generation": row.generation}
    return fields


def read_told(fields: Mapping[str, Any]) -> WindowInvocation:
    """The same, read. Raises: StoreError for a format of another version."""
    row = readable(fields, "window", WITH_GENERATION)
    attempt = row.get("attempt")
    return WindowInvocation(
        row["start_ms"],
        row["end_ms"],
        row["revision"],
        row["digest"],
        row["value"],
        None if attempt is None else Attempt(*attempt),
        row.get("generation", FIRST_GENERATION),
    )
