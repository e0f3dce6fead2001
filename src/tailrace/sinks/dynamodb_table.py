"""A DynamoDB table as a sink: the newest image of each item, in any region, account or endpoint.

Theory of operation: each written item carries the version of the change it comes from, and a write holds only
over an older one, so a repeated or late change never overtakes a later one. A removal leaves an item with the
keys, the version and `tailrace_deleted`, under the same condition, so that nothing older brings the item
back; `tailrace_expires_at` is for the table's Time to Live, which takes it away when nothing older can come.
Items are written side by side, the changes of one item one after the other.
Rules of this file: a condition that fails means that the table is newer: the change is accepted. Declared as
`sinks.DynamoDB(…)`.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from tailrace.app.plain import to_item
from tailrace.app.sinking import AlwaysOpen
from tailrace.aws.errors import is_condition, is_kept_from_us
from tailrace.aws.tables import with_bytes
from tailrace.errors import ApiError, SettingsError, SinkError
from tailrace.leases.generation import BEFORE, check_kept
from tailrace.ports import Failure, Outcome, RecordBatch
from tailrace.sinks.aws import EVERYWHERE, AwsAccess
from tailrace.sinks.calling import failure_of
from tailrace.sinks.messages import Failures
from tailrace.streams.record import ChangeRecord, image
from tailrace.streams.version import FIRST_GENERATION, Version
from tailrace.values.types import Item

CONDITION: Final = (
    "attribute_not_exists(#version) OR (attribute_type(#version, :text) AND #version < :version) "
    "OR (attribute_type(#version, :numeric) AND #version < :number)"
)
"""The stored version is older: a text, or, from before versions, a number of the first generation."""
MOST_NUMBER: Final = 10**37
"""More than any sequence number that was written as one, and a number that DynamoDB knows."""
PARALLEL: Final = 8
DELETED: Final = "tailrace_deleted"
EXPIRES_AT: Final = "tailrace_expires_at"
"""When a deletion may be forgotten. Units: seconds since the epoch, as Time to Live has them."""
SOURCES: Final = "tailrace_sources"
"""The attribute with the numbers of sources, in an item of its own, and that item's key."""
KEYS: Final[Mapping[str, Any]] = {
    "S": SOURCES,
    "B": SOURCES.encode(),
    "N": "-9.9999999999999999999999999999999999999E+125",
}
"""That key by the type of a key attribute; the smallest of all numbers, because no app uses it."""


@dataclass(frozen=True, slots=True)
class DynamoDB(AlwaysOpen):
    """A table, by its name or ARN. It has the key attributes of what is written.

    Shape:   `sequence` is the attribute that keeps the version of the change, a text. With a transform that
             returns dictionaries those are the items. `keep_deletions`: for so long after a removal an item
             without its attributes, with `tailrace_deleted`, says that nothing older may bring it back; None
             removes the item itself, and what is older and comes later does.
    """

    table: str
    access: AwsAccess = EVERYWHERE
    sequence: str = "tailrace_sequence"
    keep_deletions: timedelta | None = timedelta(days=7)

    @property
    def keys_at_once(self) -> int:
        """So many items are written side by side."""
        return PARALLEL

    @property
    def tells_repeats(self) -> bool:
        """Whether a repeated change has no effect: its condition fails."""
        return True

    async def write(self, batch: RecordBatch) -> Outcome:
        """Put or delete an item for each change. Raises: SettingsError."""
        failures = Failures()
        places: dict[bytes, list[int]] = {}
        for place, record in enumerate(batch.records):
            places.setdefault(record.key, []).append(place)
        gate = asyncio.Semaphore(PARALLEL)

        async def write_in_order(indexes: list[int]) -> None:
            for place in indexes:
                async with gate:
                    failure = await self._write_one(batch, place)
                if failure is not None:
                    failures.add_record(place, batch.records[place], failure)
                    return

        await asyncio.gather(*map(write_in_order, places.values()))
        return failures.outcome

    async def _write_one(self, batch: RecordBatch, place: int) -> Failure | None:
        record = batch.records[place]
        try:
            item = _item(record) if batch.values is None else _value_item(batch.values[place])
            parameters = self._condition(record)
            if item is None and self.keep_deletions is None:
                key = with_bytes(image(record.keys) or {})
                await self.access.call("dynamodb", "delete_item", TableName=self.table, Key=key, **parameters)
            else:
                item = {**(item or self._deleted(record)), self.sequence: {"S": record.version.text}}
                await self.access.call(
                    "dynamodb", "put_item", TableName=self.table, Item=with_bytes(item), **parameters
                )
        except SinkError as error:
            return None if is_condition(error) else failure_of(error)
        except (ApiError, SettingsError) as error:
            return failure_of(error)
        return None

    def _deleted(self, record: ChangeRecord) -> Item:
        """What is left of an item that was removed."""
        until_s = record.created_us // 1_000_000 + int((self.keep_deletions or timedelta()).total_seconds())
        return {**(image(record.keys) or {}), DELETED: {"BOOL": True}, EXPIRES_AT: {"N": str(until_s)}}

    async def sources(self) -> Mapping[str, int]:
        """Which generation each source is whose changes are there; of a table that we may not describe and
        read, nothing. Raises: SinkError.
        """
        there = await self._described()
        return {} if there is None else await self._stored_sources(*there)

    async def keep_sources(self, sources: Mapping[str, int]) -> None:
        """Keep these too, in their own item. Raises: SettingsError naming source and numbers; SinkError."""
        there = await self._described()
        if there is None:
            return
        while True:
            kept = await self._stored_sources(*there)
            check_kept(f"table {self.table}", kept, sources)
            before = {source: number for source, number in kept.items() if source != BEFORE}
            after = {**before, **sources}
            if after == before:
                return
            condition, values = (
                ("attribute_not_exists(#kept)", {})
                if not before
                else ("#kept = :before", {":before": _numbers(before)})
            )
            try:
                await self.access.call(
                    "dynamodb",
                    "update_item",
                    TableName=self.table,
                    Key=there[0],
                    UpdateExpression="SET #kept = :after",
                    ConditionExpression=condition,
                    ExpressionAttributeNames={"#kept": SOURCES},
                    ExpressionAttributeValues={**values, ":after": _numbers(after)},
                )
            except SinkError as error:
                if not is_condition(error):
                    raise
                continue  # another worker keeps some at the same time
            return

    async def _described(self) -> tuple[Item, bool] | None:
        """The key of the item with the sources, and whether there are others; None: unknown."""
        try:
            answer = await self.access.call("dynamodb", "describe_table", TableName=self.table)
        except SinkError as error:
            if is_kept_from_us(error):
                return None
            raise
        table = answer["Table"]
        kinds = {
            definition["AttributeName"]: definition["AttributeType"]
            for definition in table["AttributeDefinitions"]
        }
        key = {
            element["AttributeName"]: {kinds[element["AttributeName"]]: KEYS[kinds[element["AttributeName"]]]}
            for element in table["KeySchema"]
        }
        return key, bool(table.get("ItemCount"))

    async def _stored_sources(self, key: Item, has_rows: bool) -> dict[str, int]:
        try:
            answer = await self.access.call(
                "dynamodb", "get_item", TableName=self.table, Key=key, ConsistentRead=True
            )
        except SinkError as error:
            if is_kept_from_us(error):
                return {}
            raise
        kept = answer.get("Item", {}).get(SOURCES, {"M": {}})["M"]
        if not kept:
            return {BEFORE: FIRST_GENERATION} if has_rows else {}
        return {source: int(number["N"]) for source, number in kept.items()}

    def _condition(self, record: ChangeRecord) -> dict[str, Any]:
        return {
            "ConditionExpression": CONDITION,
            "ExpressionAttributeNames": {"#version": self.sequence},
            "ExpressionAttributeValues": {
                ":version": {"S": record.version.text},
                ":number": {"N": str(_number(record.version))},
                ":text": {"S": "S"},
                ":numeric": {"S": "N"},
            },
        }


def _numbers(sources: Mapping[str, int]) -> dict[str, Any]:
    return {"M": {source: {"N": str(number)} for source, number in sources.items()}}


def _number(version: Version) -> int:
    """Numbers from before versions are older below this; in a later generation all of them are."""
    return min(version.sequence, MOST_NUMBER) if version.generation == FIRST_GENERATION else MOST_NUMBER


def _item(record: ChangeRecord) -> Item | None:
    if record.event_name != "REMOVE" and record.new is None:
        raise SettingsError("sinks.DynamoDB needs the new image: the stream's view type has none")
    return image(record.new)


def _value_item(value: object) -> Item:
    if not isinstance(value, Mapping):
        raise SettingsError(f"sinks.DynamoDB writes dictionaries, not {type(value).__name__}")
    return to_item(value)
