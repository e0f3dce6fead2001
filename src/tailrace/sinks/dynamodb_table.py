"""A DynamoDB table as a sink: the newest image of each item, in any region, account or endpoint.

Theory of operation: each written item carries the version of the change it comes from, and a write holds only over an older one, so a
repeated or late change never overtakes a later one. A removal deletes under the same condition. Items are written side by side, the
changes of one item one after the other.
Rules of this file: a condition that fails means that the table is newer: the change is accepted. Declared as `sinks.DynamoDB(…)`.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tailrace.app.plain import to_item
from tailrace.app.sinking import AlwaysOpen
from tailrace.aws.errors import is_condition
from tailrace.aws.tables import with_bytes
from tailrace.errors import ApiError, SettingsError, SinkError
from tailrace.ports import Batch, Failure, Outcome
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
"""What is there is older: a version, a text, or what was written before there were versions, a number of the first generation."""
MOST_NUMBER: Final = 10**37
"""More than any sequence number that was written as one, and a number that DynamoDB knows."""
PARALLEL: Final = 8


@dataclass(frozen=True, slots=True)
class DynamoDB(AlwaysOpen):
    """A table, by its name or ARN. It has the key attributes of what is written.

    Shape:   `sequence` is the attribute that keeps the version of the change, a text. With a transform that returns dictionaries those are the items.
    """

    table: str
    access: AwsAccess = EVERYWHERE
    sequence: str = "tailrace_sequence"

    @property
    def keys_at_once(self) -> int:
        """So many items are written side by side."""
        return PARALLEL

    @property
    def tells_repeats(self) -> bool:
        """Whether a repeated change has no effect: its condition fails."""
        return True

    async def write(self, batch: Batch) -> Outcome:
        """Put or delete an item for each change. Raises: SettingsError."""
        failures = Failures()
        places: dict[bytes, list[int]] = {}
        for place, record in enumerate(batch.records):
            places.setdefault(record.key, []).append(place)
        gate = asyncio.Semaphore(PARALLEL)

        async def write_in_order(mine: list[int]) -> None:
            for place in mine:
                async with gate:
                    failure = await self._write_one(batch, place)
                if failure is not None:
                    failures.add_record(place, batch.records[place], failure)
                    return

        await asyncio.gather(*map(write_in_order, places.values()))
        return failures.outcome

    async def _write_one(self, batch: Batch, place: int) -> Failure | None:
        record = batch.records[place]
        try:
            item = _item(record) if batch.values is None else _given(batch.values[place])
            parameters = self._condition(record)
            if item is None:
                key = with_bytes(image(record.keys) or {})
                await self.access.call("dynamodb", "delete_item", TableName=self.table, Key=key, **parameters)
            else:
                item = {**item, self.sequence: {"S": record.version.text}}
                await self.access.call(
                    "dynamodb", "put_item", TableName=self.table, Item=with_bytes(item), **parameters
                )
        except SinkError as error:
            return None if is_condition(error) else failure_of(error)
        except (ApiError, SettingsError) as error:
            return failure_of(error)
        return None

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


def _number(version: Version) -> int:
    """What a number of before versions must be below for this to be newer: in a later generation it is whatever it says."""
    return min(version.sequence, MOST_NUMBER) if version.generation == FIRST_GENERATION else MOST_NUMBER


def _item(record: ChangeRecord) -> Item | None:
    if record.event_name != "REMOVE" and record.new is None:
        raise SettingsError("sinks.DynamoDB needs the new image: the stream's view type has none")
    return image(record.new)


def _given(value: object) -> Item:
    if not isinstance(value, Mapping):
        raise SettingsError(f"sinks.DynamoDB writes dictionaries, not {type(value).__name__}")
    return to_item(value)
