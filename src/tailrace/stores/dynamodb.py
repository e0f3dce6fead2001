"""State in a DynamoDB table, at AWS or at any endpoint that speaks its protocol: marks beside users' items in
one TransactWriteItems.

Rules of this file: a row is an item (`pk` the first word of its key, `sk` the rest); numbers and texts of its
fields are attributes of their own too, because conditions look at them. It never retries. Needs the extra
`aws`. Format 1, docs/formats/state.md. Made by `compose_worker`.
"""

import json
from collections.abc import Mapping, Sequence
from threading import Event
from typing import Any, Final, TypeAlias

from tailrace.aws.errors import PASSING_REASONS, AwsError, store_error
from tailrace.aws.tables import Members, tables_of
from tailrace.errors import ApiError, StateConflict
from tailrace.ports import Action, ItemWrite
from tailrace.rows.writes import Absent, AbsentOrOlder, Always, Check, Condition, Equals, StateRow
from tailrace.streams.version import FIRST_GENERATION, Version

LARGEST: Final = 1 << 63
"""No row of before versions has such a number, and DynamoDB knows none of more than 38 digits."""
Joined: TypeAlias = tuple[int, Action, tuple[Condition, ...]]
Tried: TypeAlias = tuple[Sequence[Action], Sequence[int]]
KEYS: Final = {"pk": "HASH", "sk": "RANGE"}
SOON_S: Final = 1.0
"""Between two looks at a table that is being made."""


class DynamoDbStateStore:
    """The StateStore port over DynamoDB.

    Shape:   `client` is an AwsAccess, or a boto3 `dynamodb` client, which is called in threads; the table has
             the keys `pk` and `sk`, both text.
    """

    def __init__(self, client: Any, table: str) -> None:
        self._tables = tables_of(client)
        self._table = table

    def create(self) -> None:
        """Make the table where it is not there, and wait until it can be used. Raises: StoreError. Blocks."""
        try:
            self._make()
        except AwsError as error:
            raise store_error(error, self._table) from error

    def _make(self) -> None:
        try:
            described = self._tables.call_here("DescribeTable", {"TableName": self._table})
        except AwsError as error:
            if error.code != "ResourceNotFoundException":
                raise
            self._tables.call_here(
                "CreateTable",
                {
                    "TableName": self._table,
                    "BillingMode": "PAY_PER_REQUEST",
                    "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in KEYS],
                    "KeySchema": [{"AttributeName": name, "KeyType": kind} for name, kind in KEYS.items()],
                },
            )
            described = self._tables.call_here("DescribeTable", {"TableName": self._table})
        while described["Table"].get("TableStatus") == "CREATING":
            Event().wait(SOON_S)
            described = self._tables.call_here("DescribeTable", {"TableName": self._table})

    async def get(self, key: str) -> StateRow | None:
        """One row, as it is now."""
        answer = await self._call(
            "GetItem", {"TableName": self._table, "Key": _key(key), "ConsistentRead": True}
        )
        item = answer.get("Item")
        return None if item is None else StateRow(key, _fields(item))

    async def query(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[StateRow]:
        """Every row whose key starts with the prefix and comes after `after`, in key order; at most `limit`
        of them.

        One without a whole first word reads the whole table.
        """
        word, slash, rest = prefix.partition("/")
        asked: dict[str, Any] = {"TableName": self._table, "ConsistentRead": True}
        if slash:
            asked["KeyConditionExpression"] = "pk = :pk AND begins_with(sk, :sk)"
            asked["ExpressionAttributeValues"] = {":pk": {"S": word}, ":sk": {"S": f"/{rest}"}}
            if after > prefix and after.startswith(prefix):
                asked["ExclusiveStartKey"] = _key(after)
            if limit is not None:
                asked["Limit"] = limit
        rows: list[StateRow] = []
        while True:
            page = await self._call("Query" if slash else "Scan", asked)
            rows += [StateRow(_name(item), _fields(item)) for item in page["Items"]]
            if "LastEvaluatedKey" not in page or (slash and limit is not None and len(rows) >= limit):
                break
            asked["ExclusiveStartKey"] = page["LastEvaluatedKey"]
        wanted = (row for row in rows if row.key.startswith(prefix) and row.key > after)
        return sorted(wanted, key=lambda row: row.key)[:limit]

    async def count(self, prefix: str) -> int:
        """How many rows have keys that start with the prefix; only the number travels, unless the prefix has
        no whole first word.
        """
        word, slash, rest = prefix.partition("/")
        if not slash:
            return len(await self.query(prefix))
        asked: dict[str, Any] = {
            "TableName": self._table,
            "ConsistentRead": True,
            "Select": "COUNT",
            "KeyConditionExpression": "pk = :pk AND begins_with(sk, :sk)",
            "ExpressionAttributeValues": {":pk": {"S": word}, ":sk": {"S": f"/{rest}"}},
        }
        total = 0
        while True:
            page = await self._call("Query", asked)
            total += int(page["Count"])
            if "LastEvaluatedKey" not in page:
                return total
            asked["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    async def transact(self, writes: Sequence[Action]) -> None:
        """All of it, or nothing. Raises: StateConflict, ApiError for a user's item, StoreError."""
        if not writes:
            return
        joined = joined_by_row(writes)
        actions = [self._action(row) for row in joined]
        tried = writes, [row[0] for row in joined]
        await self._call("TransactWriteItems", {"TransactItems": actions}, tried)

    def _action(self, joined: Joined) -> dict[str, Any]:
        _, write, conditions = joined
        if isinstance(write, ItemWrite):
            return {write.action: dict(write.parameters)}
        asked = {"TableName": self._table, **_expression(conditions)}
        if isinstance(write, Check):
            return {"ConditionCheck": {**asked, "Key": _key(write.key)}}
        if write.fields is None:
            return {"Delete": {**asked, "Key": _key(write.key)}}
        return {"Put": {**asked, "Item": _item(write.key, write.fields)}}

    async def _call(self, operation: str, members: Members, tried: Tried = ((), ())) -> Any:
        try:
            return await self._tables.call(operation, members)
        except AwsError as error:
            raise refusal(error, *tried, table=self._table) from error


def joined_by_row(writes: Sequence[Action]) -> list[Joined]:
    """One action a row, because a transaction may name an item once: its first place, its last write, all of
    its conditions.
    """
    joined: list[Joined] = []
    places: dict[str, int] = {}
    for index, write in enumerate(writes):
        if isinstance(write, ItemWrite):
            joined.append((index, write, ()))
        elif write.key in places:
            first, before, conditions = joined[places[write.key]]
            row = before if isinstance(write, Check) else write
            joined[places[write.key]] = (first, row, (*conditions, write.condition))
        else:
            places[write.key] = len(joined)
            joined.append((index, write, (write.condition,)))
    return joined


def refusal(error: AwsError, writes: Sequence[Action], origins: Sequence[int], *, table: str) -> Exception:
    """AWS's refusal of a transaction, as the port says it. Shape: `origins` are the writes' indexes by
    action.
    """
    reasons = [
        str(cancellation.get("Code", "None")) for cancellation in error.members.get("CancellationReasons", ())
    ]
    if any(reason in PASSING_REASONS for reason in reasons):
        return store_error(error, table)
    for reason, index in zip(reasons, origins, strict=False):
        write = writes[index]
        if reason == "ConditionalCheckFailed" and not isinstance(write, ItemWrite):
            return StateConflict(f"state {write.key!r} is not as expected: {write.condition}", index=index)
    if any(reason != "None" for reason in reasons) or error.code in (
        "ValidationException",
        "ResourceNotFoundException",
    ):
        return ApiError(error.code, error.words)
    return store_error(error, table)


def _key(key: str) -> dict[str, Any]:
    word, slash, rest = key.partition("/")
    return {"pk": {"S": word}, "sk": {"S": f"{slash}{rest}" or "-"}}


def _name(item: Mapping[str, Any]) -> str:
    rest: str = item["sk"]["S"]
    word: str = item["pk"]["S"]
    return word if rest == "-" else f"{word}{rest}"


def _item(key: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    item = {**_key(key), "fields": {"S": json.dumps(fields)}}
    for name, value in fields.items():
        if isinstance(value, str):
            item[f"f_{name}"] = {"S": value}
        elif isinstance(value, int) and not isinstance(value, bool):
            item[f"f_{name}"] = {"N": str(value)}
    return item


def _fields(item: Mapping[str, Any]) -> Mapping[str, Any]:
    fields: Mapping[str, Any] = json.loads(item["fields"]["S"])
    return fields


def _older(number: int, version: Version, names: dict[str, str], values: dict[str, Any]) -> str:
    """That a row is absent or older, in either form: of a first generation a row of before versions has a
    smaller number, of a later one any.
    """
    names |= {f"#f{number}": "f_version", f"#s{number}": "f_sequence"}
    values[f":v{number}"] = {"S": version.text}
    before = f"attribute_not_exists(#s{number})"
    if version.generation == FIRST_GENERATION:
        values[f":s{number}"] = {"N": str(min(version.sequence, LARGEST))}
        before = f"({before} OR #s{number} < :s{number})"
    else:
        before = f"({before} OR attribute_exists(#s{number}))"
    return f"(#f{number} < :v{number} OR (attribute_not_exists(#f{number}) AND {before}))"


def _expression(conditions: Sequence[Condition]) -> dict[str, Any]:
    """All of these conditions as one expression; a check that demands nothing still needs one."""
    texts: list[str] = []
    names: dict[str, str] = {}
    values: dict[str, Any] = {}
    for number, condition in enumerate(conditions):
        match condition:
            case Always():
                texts.append("(attribute_exists(pk) OR attribute_not_exists(pk))")
                continue
            case Absent():
                texts.append("attribute_not_exists(pk)")
                continue
            case Equals(field, value):
                texts.append(f"#f{number} = :v{number}")
            case AbsentOrOlder(version):
                texts.append(_older(number, version, names, values))
                continue
        names[f"#f{number}"] = f"f_{field}"
        values[f":v{number}"] = {"S" if isinstance(value, str) else "N": str(value)}
    asked: dict[str, Any] = {"ConditionExpression": " AND ".join(texts)}
    if names:
        asked |= {"ExpressionAttributeNames": names, "ExpressionAttributeValues": values}
    return asked
