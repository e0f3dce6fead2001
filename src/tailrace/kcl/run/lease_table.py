"""A KCL lease table at an endpoint: looked at, made, and written to under the condition of what was seen.

Rules of this file: it never retries and never sleeps; a write that finds another lease than was seen is told,
not repeated. Errors are SettingsError for what is there, StoreError for an endpoint that does not answer.
"""

from collections.abc import Iterable
from typing import Any, Final

from msgspec import Struct

from tailrace.aws import client
from tailrace.aws.errors import AwsError, store_error
from tailrace.aws.places import Access
from tailrace.errors import SettingsError
from tailrace.kcl.core.exporting import ExportedLease
from tailrace.kcl.core.lease_table import LEASE_KEY, Item, LeaseTable, check_key, read_table

GONE: Final = "ResourceNotFoundException"
CONFLICT: Final = "ConditionalCheckFailedException"
OWNER_INDEX: Final = "LeaseOwnerToLeaseKeyIndex"


class KclTable(Struct, frozen=True):
    """A table of leases by its name. Guarantee: a write holds only of a lease that is as it was seen."""

    access: Access
    name: str

    async def look(self) -> LeaseTable | None:
        """What its rows say now; None: there is no such table. Raises: SettingsError, StoreError."""
        described = await self._described()
        if described is None:
            return None
        keys = {key["KeyType"]: str(key["AttributeName"]) for key in described["KeySchema"]}
        check_key(self.name, keys.get("HASH", ""), keys.get("RANGE", ""))
        indexes = {index["IndexName"] for index in described.get("GlobalSecondaryIndexes", ())}
        return read_table(self.name, await self._items(), has_owner_index=OWNER_INDEX in indexes)

    async def create(self) -> None:
        """Make it, on demand, as KCL makes it. Raises: StoreError; SettingsError when it is there."""
        try:
            await self._call(
                "create_table",
                KeySchema=[{"AttributeName": LEASE_KEY, "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": LEASE_KEY, "AttributeType": "S"}],
                BillingMode="PAY_PER_REQUEST",
            )
        except AwsError as error:
            raise store_error(error, self.name) from error

    async def is_active(self) -> bool:
        """Whether it can be written to. Raises: StoreError."""
        described = await self._described()
        return described is not None and described["TableStatus"] == "ACTIVE"

    async def put(self, lines: Iterable[ExportedLease]) -> list[ExportedLease]:
        """Write leases. Returns: those that were not what had been seen any more, and are as they were.
        Repeatable. Raises: StoreError.
        """
        changed = []
        for line in lines:
            if line.item is None:
                continue
            members: dict[str, Any] = {
                "Item": line.item,
                "ConditionExpression": f"attribute_not_exists({LEASE_KEY})",
            }
            if line.seen is not None:
                members["ConditionExpression"] = "leaseCounter = :seen"
                members["ExpressionAttributeValues"] = {":seen": {"N": str(line.seen.counter)}}
            try:
                await self._call("put_item", **members)
            except AwsError as error:
                if error.code != CONFLICT:
                    raise store_error(error, self.name) from error
                changed.append(line)
        return changed

    async def _described(self) -> dict[str, Any] | None:
        try:
            table: dict[str, Any] = (await self._call("describe_table"))["Table"]
        except AwsError as error:
            if error.code != GONE:
                raise store_error(error, self.name) from error
            return None
        return table

    async def _items(self) -> list[Item]:
        items: list[Item] = []
        members: dict[str, Any] = {"ConsistentRead": True}
        while True:
            try:
                page = await self._call("scan", **members)
            except AwsError as error:
                raise store_error(error, self.name) from error
            items += page["Items"]
            if not page.get("LastEvaluatedKey"):
                return items
            members["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    async def _call(self, operation: str, **members: Any) -> dict[str, Any]:
        return await client.call(self.access, "dynamodb", operation, {"TableName": self.name, **members})


def absent(table: KclTable, hint: str) -> SettingsError:
    """What is said of a name that no table has. Shape: `hint` says what to do."""
    return SettingsError(
        f"there is no table {table.name!r} at {table.access.endpoint_url or 'AWS'}", hint=hint
    )
