"""Parts of a hot group: what changes of one shard have added to it, in a row of its own, so that shards do
not wait for each other; the state of the group is all of its parts, combined.

Theory of operation: a part is a group to everything that folds and commits. Its key is the group's with the
part's number behind it, and an item's row has that key: so the image that an item added is taken out of the
part that it was added to, whichever shard the item's next change comes from. A filling adds to the group
itself, which is a part as any other. Parts are few and numbered, because shards are replaced for ever.
Rules of this file: pure. Called by sinks/projected.py for what is written, by the `projection` verbs and
projections/run/verifying.py for what is read.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final
from zlib import crc32

from tailrace.projections.core.rows import GroupState
from tailrace.values.types import AttributeValue

PARTS: Final = 16
"""How many parts of shards a group may have; shards that meet in one wait for each other."""
MARK: Final = "#"
"""Before the number of a part. The text of a key ends with a brace, so that nothing else looks like it."""


def part_of(shard_id: str) -> str:
    """What stands behind the key of a group that a shard's changes enter.

    >>> part_of("shard-1")
    '#0c'
    """
    return f"{MARK}{crc32(shard_id.encode()) % PARTS:02x}"


def whole_key(key: str) -> str:
    """The key of the group that a row is of, or a part of.

    >>> whole_key('{"S":"a}#"}#0c'), whole_key('{"S":"a}#"}')
    ('{"S":"a}#"}', '{"S":"a}#"}')
    """
    return key[: key.rindex("}") + 1]


def part_in(key: str) -> str:
    """What stands behind it; nothing for the group itself.

    >>> part_in('{"S":"NL"}#0c'), part_in('{"S":"NL"}')
    ('#0c', '')
    """
    return key[key.rindex("}") + 1 :]


def part_keys(key: str) -> list[str]:
    """The keys of all rows that a group may have."""
    return [key, *(f"{key}{MARK}{number:02x}" for number in range(PARTS))]


def whole_groups(
    groups: Iterable[GroupState], combined: Callable[[Sequence[AttributeValue]], AttributeValue]
) -> list[GroupState]:
    """The groups that these rows are, or are parts of; those without items are left out. Raises: what
    `combined` raises.
    """
    parts: dict[str, list[GroupState]] = {}
    for group in groups:
        if group.count:
            parts.setdefault(whole_key(group.key), []).append(group)
    return [
        GroupState(
            key,
            sum(part.version for part in rows),
            sum(part.count for part in rows),
            rows[0].state if len(rows) == 1 else combined([part.state for part in rows]),
            max(part.at_ms for part in rows),
        )
        for key, rows in parts.items()
    ]
