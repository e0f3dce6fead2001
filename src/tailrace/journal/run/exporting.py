"""A journal as exports are written of it: the table just before a moment, and what became of each key in a
window.

Theory of operation: an export of a moment has what was written before it, as AWS means it; so a full one is
the table as of a microsecond earlier, and a window ends before its last moment. What the journal does not
know is no export: it is refused, for who reads one cannot be told.
Rules of this file: it reads. Implements `exports.run.writing.ExportSource`; called by `export write`.
"""

from collections.abc import AsyncIterator
from contextlib import aclosing

import orjson
from msgspec import Struct

from tailrace.errors import NotKnown
from tailrace.exports.core.exported import ExportedItem
from tailrace.exports.core.plan import net_change
from tailrace.journal.core.places import table_noted
from tailrace.journal.core.records import PART_CHANGES
from tailrace.journal.run.past import PastReader, TableThen
from tailrace.tables.schema import TableSchema
from tailrace.values.types import Item

JUST_BEFORE_US = 1


class JournaledMoment(Struct, frozen=True):
    """What there is to be exported of a moment.

    Shape:   `arn` and `table_id` of the table that had its name then; `items` a full export would have, None:
             of a window. `later` says what the journal does not have yet and could be of that time, "".
    """

    arn: str
    table_id: str
    items: int | None
    later: str


class JournalExports:
    """The exports of a table's journal. Shape: `schema` is the table's."""

    def __init__(self, reader: PastReader, schema: TableSchema) -> None:
        self._reader = reader
        self._schema = schema

    async def newest_us(self) -> int:
        """The last moment of which the journal has a change, and the millisecond in which it is: a moment
        that an export can have. Raises: NotKnown without one, Unavailable.
        """
        now = await self._reader.newest()
        end_us = None if now is None else now.coverage.end_us
        if end_us is None:
            raise NotKnown(f"the journal of {self._schema.name} has no change yet")
        return (end_us // 1_000 + 1) * 1_000

    async def moment(self, at_us: int, from_us: int | None = None) -> JournaledMoment:
        """What an export as of a moment, or of a window, would be of. Raises: NotKnown, SettingsError,
        Unavailable.
        """
        then = await self._reader.at(at_us - JUST_BEFORE_US)
        named = table_noted(then.now.view.manifest)
        if named is None or not then.now.view.manifest.of_part(PART_CHANGES):
            raise NotKnown(f"the journal of {self._schema.name} has no change yet")
        items = None
        if from_us is None:
            items = await then.count()
        else:
            await self._reader.between(from_us - JUST_BEFORE_US, at_us - JUST_BEFORE_US)
        arn = f"arn:aws:dynamodb:{named.region}:{named.account}:table/{named.name}"
        return JournaledMoment(arn, then.now.view.folder.rpartition("/")[2], items, then.later)

    async def state(self, at_us: int) -> AsyncIterator[ExportedItem]:
        """Every item as it was just before a moment. Raises: NotKnown, Unavailable."""
        then: TableThen = await self._reader.at(at_us - JUST_BEFORE_US)
        async with aclosing(then.items()) as items:
            async for _, image in items:
                yield ExportedItem(None, orjson.loads(image))

    async def changes(self, from_us: int, to_us: int) -> AsyncIterator[ExportedItem]:
        """What became of every key that was written from one moment to before another. Raises: NotKnown,
        Unavailable.
        """
        asked = self._reader.written(from_us - JUST_BEFORE_US, to_us - JUST_BEFORE_US)
        async with aclosing(asked) as written:
            async for item in written:
                if not item.changes:
                    continue
                keys = self._schema.read_key(item.key)
                last_us = max(change.created_us for change in item.changes)
                steps = [
                    ExportedItem(keys, None, _item(item.before.item), last_us),
                    ExportedItem(keys, _item(item.after.item), None, last_us),
                ]
                if (told := net_change(steps)) is not None:
                    yield told


def _item(image: bytes | None) -> Item | None:
    return None if image is None else orjson.loads(image)
