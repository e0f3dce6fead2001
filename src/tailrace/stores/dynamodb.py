"""State in a DynamoDB table, at AWS or at any endpoint that speaks its protocol: marks beside users' items in
one TransactWriteItems.

Theory of operation: a write under one condition is one conditional PutItem or DeleteItem, half the price of a
transaction; a lone check is one read. Everything else is one TransactWriteItems. What another transaction has
under way at this moment (TransactionConflict) says nothing about a condition: it is a StoreError, and the
transaction is tried again. A query reads the buckets that its rows may lie in and merges them.
Rules of this file: it never retries. Which item a row is says dynamodb_layout.py, what is too large for one
dynamodb_parts.py. Needs the extra `aws`. Formats 1 and 2, docs/formats/state-places.md. Made by
compose_worker and stores/state_targets.py.
"""

import asyncio
import heapq
from collections.abc import AsyncIterator, Awaitable, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, TypeAlias, TypeVar

import orjson

from tailrace.aws.errors import PASSING_REASONS, AwsError, Meaning, store_error
from tailrace.aws.tables import Members, tables_of
from tailrace.errors import ApiError, OutcomeUnknown, StateConflict, StoreError, TailraceError
from tailrace.ports import Action, Clock, ItemWrite
from tailrace.rows.bounds import bounded
from tailrace.rows.writes import Check, Condition, StateRow, Write, holds
from tailrace.stores.dynamodb_layout import (
    FORMAT,
    FORMAT_ITEM,
    OLDEST,
    StoredRow,
    expression_of,
    fields_of,
    item_of,
    key_of,
    place_of,
    prefix_place,
    text_of,
)
from tailrace.stores.dynamodb_parts import (
    LargeRow,
    LargeRows,
    RowParts,
    chosen_large,
    required_head,
)
from tailrace.stores.row_keys import LONGEST_WORD, Ordering, first_stored, following

Joined: TypeAlias = tuple[int, Action, tuple[Condition, ...]]
Tried: TypeAlias = tuple[Sequence[Action], Sequence[int]]
Fact = TypeVar("Fact")
AT_ONCE: Final = 8
OLD_WORDS: Final = ("mark", "sources")
"""Partition keys of format 1: a table of it has held marks, so it has one of these."""
LOOKS_AT_A_ROW: Final = 5
"""How often a large row is read anew that was replaced while its pieces were read."""
ALWAYS_HOLDS: Final = {"ConditionExpression": "(attribute_exists(pk) OR attribute_not_exists(pk))"}
"""A check that demands nothing still needs an expression."""


class DynamoDbStateStore:
    """The StateStore port over DynamoDB.

    Shape:   `client` is an AwsAccess, or a boto3 `dynamodb` client, which is called in threads; the table has
             the keys `pk` and `sk`, both text. A table in which rows of format 1 are is read and written in
             that format. With a clock, pieces of large rows that no row names are removed by the way.
             `owner` is a name that no other process has or ever had.
    """

    def __init__(self, client: Any, table: str, clock: Clock | None = None, owner: str = "") -> None:
        self._tables = tables_of(client)
        self._table = table
        self._clock = clock
        self._number: int | None = None
        self._parts = RowParts(self._tables.call, table, owner)

    async def get(self, key: str) -> StateRow | None:
        """One row, as it is now."""
        place = place_of(key, await self.format())
        for _ in range(LOOKS_AT_A_ROW):
            asked = {"TableName": self._table, "Key": place.key, "ConsistentRead": True}
            item = (await self._call("GetItem", asked)).get("Item")
            if item is None:
                return None
            row = await self._row(StoredRow(key, item))
            if row is not None:
                return row
        raise StoreError(f"{self._table}: {key} was replaced {LOOKS_AT_A_ROW} times while it was read")

    async def query(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[StateRow]:
        """Every row whose key starts with the prefix and comes after `after`, in key order; at most `limit`
        of them.

        One without a whole head (the kind, and the app) reads the whole table.
        """
        if after > prefix and not after.startswith(prefix):
            return []
        rows: list[StateRow] = []
        async for stored in self._stored(prefix, after, limit):
            row = await self._row(stored)
            if row is None:  # it was replaced meanwhile, or deleted
                row = await self.get(stored.key)
            if row is not None:
                rows.append(row)
            if len(rows) == limit:
                break
        return rows

    async def count(self, prefix: str) -> int:
        """How many rows have keys that start with the prefix; only the number travels, unless the prefix has
        no whole head or ends within a long word.
        """
        place = prefix_place(prefix, await self.format())
        if place is None or len(prefix.rpartition("/")[2]) > LONGEST_WORD:
            return len([row async for row in self._stored(prefix, "", None)])
        return sum(await _some_at_once([self._counted(pk, place.sk) for pk in place.partitions]))

    async def transact(self, writes: Sequence[Action]) -> None:
        """All of it, or nothing. Raises: StateConflict, ApiError for a user's item, StoreError; of these
        OutcomeUnknown when no answer came.
        """
        if not writes:
            return
        bounded(writes)
        has_rows = any(not isinstance(write, ItemWrite) for write in writes)
        number = await self.format() if has_rows else FORMAT
        joined = joined_by_row(writes)
        texts = {
            index: text_of(write.fields).encode()
            for index, (_, write, _) in enumerate(joined)
            if isinstance(write, Write) and write.fields is not None
        }
        large = chosen_large({index: len(text) for index, text in texts.items()}) if number != OLDEST else []
        if large:
            await self._transact_large(writes, joined, texts, large)
        else:
            await self._write(writes, joined, texts, None, number)

    async def format(self) -> int:
        """The format of the rows in the table: the newest, unless there are some of format 1. Raises:
        StoreError for a later one.
        """
        if self._number is None:
            self._number = await self._read_format()
        return self._number

    async def clean(self) -> int:
        """Remove pieces of large rows that no row names: of writers that were killed. Those that are seen for
        the first time stay. Returns: how many sets of pieces. Raises: StoreError. Repeatable.
        """
        if self._clock is None or await self.format() == OLDEST:
            return 0
        try:
            return await self._parts.clean(self._clock.now().monotonic_ms, None)
        except AwsError as error:
            raise store_error(error, self._table) from error

    # ---- reading ----

    async def _row(self, stored: StoredRow) -> StateRow | None:
        """A row with its fields; None when its pieces are gone, for then it is another one by now."""
        if "fields" in stored.item:
            self._parts.note(place_of(stored.key, await self.format()), None)
            return StateRow(stored.key, fields_of(stored.item))
        self._parts.note(place_of(stored.key), stored.item)
        try:
            text = await self._parts.read(stored.item)
        except AwsError as error:
            raise store_error(error, self._table) from error
        return None if text is None else StateRow(stored.key, orjson.loads(text))

    async def _stored(self, prefix: str, after: str, limit: int | None) -> AsyncIterator[StoredRow]:
        """Rows of a prefix in key order, with their items; about as many as are wanted are read ahead."""
        number = await self.format()
        place = prefix_place(prefix, number)
        if place is None:
            scanned = [row async for row in self._scanned() if row.key.startswith(prefix) and row.key > after]
            for row in sorted(scanned, key=lambda row: row.key):
                yield row
            return
        begin = max(prefix, after) if number == OLDEST else first_stored(prefix, after)
        first_sk = begin[len(place.head) :]
        at_once = None if limit is None else limit // len(place.partitions) + 2
        pages = [Bucket(self._pages(pk, first_sk, place.sk, at_once)) for pk in place.partitions]
        await _some_at_once([bucket.fill() for bucket in pages])
        order = Ordering[StoredRow](prefix, after)
        heap = [(bucket.items[0]["sk"]["S"], index) for index, bucket in enumerate(pages) if bucket.items]
        heapq.heapify(heap)
        while heap:
            sk, index = heapq.heappop(heap)
            item = pages[index].items.pop(0)
            if not pages[index].items:
                await pages[index].fill()
            if pages[index].items:
                heapq.heappush(heap, (pages[index].items[0]["sk"]["S"], index))
            key = key_of(item, number)
            if key is not None:
                for row in order.add([(f"{place.head}{sk}", StoredRow(key, item))]):
                    yield row
        for row in order.rest():
            yield row

    async def _pages(
        self, pk: str, first_sk: str, prefix_sk: str, at_once: int | None
    ) -> AsyncIterator[list[Mapping[str, Any]]]:
        end = following(prefix_sk)
        assert end is not None, "a sort key begins with a slash"
        asked: dict[str, Any] = {
            "TableName": self._table,
            "ConsistentRead": True,
            "KeyConditionExpression": "pk = :pk AND sk BETWEEN :begin AND :end",
            "ExpressionAttributeValues": {":pk": {"S": pk}, ":begin": {"S": first_sk}, ":end": {"S": end}},
        }
        if at_once is not None:
            asked["Limit"] = at_once
        while True:
            page = await self._call("Query", asked)
            yield page["Items"]
            if "LastEvaluatedKey" not in page:
                return
            asked["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    async def _scanned(self) -> AsyncIterator[StoredRow]:
        asked: dict[str, Any] = {"TableName": self._table, "ConsistentRead": True}
        while True:
            page = await self._call("Scan", asked)
            for item in page["Items"]:
                key = key_of(item, await self.format())
                if key is not None:
                    yield StoredRow(key, item)
            if "LastEvaluatedKey" not in page:
                return
            asked["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    async def _counted(self, pk: str, sk: str) -> int:
        asked: dict[str, Any] = {
            "TableName": self._table,
            "ConsistentRead": True,
            "Select": "COUNT",
            "KeyConditionExpression": "pk = :pk AND begins_with(sk, :sk)",
            "ExpressionAttributeValues": {":pk": {"S": pk}, ":sk": {"S": sk}},
        }
        total = 0
        while True:
            page = await self._call("Query", asked)
            total += int(page["Count"])
            if "LastEvaluatedKey" not in page:
                return total
            asked["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    async def _read_format(self) -> int:
        asked = {"TableName": self._table, "Key": FORMAT_ITEM, "ConsistentRead": True}
        item = (await self._call("GetItem", asked)).get("Item")
        if item is not None:
            number = int(item["format"]["N"])
            if number > FORMAT:
                raise StoreError(
                    f"{self._table}: the table has format {number}; this version reads 1 to {FORMAT}",
                    hint="install the version of tailrace that made it, or a later one",
                )
            return number
        for word in OLD_WORDS:
            asked = {
                "TableName": self._table,
                "ConsistentRead": True,
                "Limit": 1,
                "KeyConditionExpression": "pk = :pk",
                "ExpressionAttributeValues": {":pk": {"S": word}},
            }
            page = await self._call("Query", asked)
            if page["Items"]:
                return OLDEST
        await self._call("PutItem", {"TableName": self._table, "Item": format_item()})
        return FORMAT

    # ---- writing ----

    async def _transact_large(
        self,
        writes: Sequence[Action],
        joined: Sequence[Joined],
        texts: Mapping[int, bytes],
        large: Sequence[int],
    ) -> None:
        rows = [LargeRow(place_of(joined[index][1].key), texts[index]) for index in large]  # type: ignore[union-attr]
        try:
            parts = await self._parts.write(rows)
        except AwsError as error:
            raise store_error(error, self._table) from error
        try:
            named = LargeRows(parts, large, [len(row.text) for row in rows])
            await self._write(writes, joined, texts, named, FORMAT)
        except OutcomeUnknown:
            raise  # a row may name them
        except TailraceError:
            await self._removed(self._parts.remove(parts))
            raise
        if self._clock is not None:
            await self._removed(self._parts.clean(self._clock.now().monotonic_ms))

    async def _write(
        self,
        writes: Sequence[Action],
        joined: Sequence[Joined],
        texts: Mapping[int, bytes],
        large: LargeRows | None,
        number: int,
    ) -> None:
        tried = writes, [first for first, _, _ in joined]
        if len(joined) == 1 and large is None and not isinstance(joined[0][1], ItemWrite):
            await self._write_one(joined[0], texts.get(0), tried, number)
        else:
            actions = [
                self._action(action, texts.get(index), {} if large is None else large.named(index), number)
                for index, action in enumerate(joined)
            ]
            if large is not None:
                actions.append(required_head(large.parts, self._table))
            await self._call("TransactWriteItems", {"TransactItems": actions}, tried, writes=True)
        await self._note(joined, large, number)

    async def _write_one(self, joined: Joined, text: bytes | None, tried: Tried, number: int) -> None:
        """A row under its conditions: half the price of a transaction."""
        _, write, conditions = joined
        if isinstance(write, Check):
            row = await self.get(write.key)
            if not all(holds(condition, None if row is None else row.fields) for condition in conditions):
                raise conflict_of(write, 0)
            return
        ((operation, asked),) = self._action(joined, text, {}, number).items()
        await self._call(f"{operation}Item", asked, tried, writes=True)

    def _action(
        self, joined: Joined, text: bytes | None, named: Mapping[str, Any], number: int
    ) -> dict[str, Any]:
        _, write, conditions = joined
        if isinstance(write, ItemWrite):
            return {write.action: dict(write.parameters)}
        asked = {"TableName": self._table, **expression_of(conditions)}
        key = place_of(write.key, number).key
        if isinstance(write, Check):
            return {"ConditionCheck": {**ALWAYS_HOLDS, **asked, "Key": key}}
        if write.fields is None or text is None:
            return {"Delete": {**asked, "Key": key}}
        item = item_of(write.key, write.fields, None if named else text.decode(), number)
        return {"Put": {**asked, "Item": {**item, **named}}}

    async def _note(self, joined: Sequence[Joined], large: LargeRows | None, number: int) -> None:
        """Remember which rows have pieces, and remove those of rows that had others before."""
        for index, (_, write, _) in enumerate(joined):
            if isinstance(write, Write):
                before = self._parts.note(
                    place_of(write.key, number), None if large is None else large.named(index) or None
                )
                if before is not None:
                    await self._removed(self._parts.remove_of_row(before))

    async def _removed(self, work: Awaitable[object]) -> None:
        """Remove what no row names. If it fails now, another large write of anybody does it."""
        with suppress(AwsError):
            await work

    async def _call(
        self, operation: str, members: Members, tried: Tried = ((), ()), *, writes: bool = False
    ) -> Any:
        try:
            return await self._tables.call(operation, members)
        except AwsError as error:
            if writes and error.verdict.meaning is Meaning.UNAVAILABLE:
                raise OutcomeUnknown(
                    f"{self._table}: {error.text}: it is not known whether it was written", hint=error.hint
                ) from error
            raise refusal(error, *tried, table=self._table) from error


class Bucket:
    """What has been read of one partition and not been given on yet."""

    def __init__(self, pages: AsyncIterator[list[Mapping[str, Any]]]) -> None:
        self.items: list[Mapping[str, Any]] = []
        self._pages = pages

    async def fill(self) -> None:
        """Read on until there is an item, or the end."""
        while not self.items:
            try:
                self.items = list(await anext(self._pages))
            except StopAsyncIteration:
                return


async def _some_at_once(work: Sequence[Coroutine[Any, Any, Fact]]) -> list[Fact]:
    """All of it, eight at a time: a client of boto3's has ten connections unless it was told. What has not
    begun when one fails does not begin.
    """
    done: list[Fact] = []
    for start in range(0, len(work), AT_ONCE):
        try:
            done += await asyncio.gather(*work[start : start + AT_ONCE])
        except BaseException:
            for left in work[start + AT_ONCE :]:
                left.close()  # or Python warns that it was never awaited, on the worker's standard error
            raise
    return done


def format_item() -> dict[str, Any]:
    """What says that rows of the newest format are in a table."""
    return {**FORMAT_ITEM, "format": {"N": str(FORMAT)}}


def conflict_of(write: Write | Check, index: int) -> StateConflict:
    """A condition that does not hold."""
    return StateConflict(f"state {write.key!r} is not as expected: {write.condition}", index=index)


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
            kept = before if isinstance(write, Check) else write
            joined[places[write.key]] = (first, kept, (*conditions, write.condition))
        else:
            places[write.key] = len(joined)
            joined.append((index, write, (write.condition,)))
    return joined


def refusal(error: AwsError, writes: Sequence[Action], origins: Sequence[int], *, table: str) -> Exception:
    """AWS's refusal of a transaction, as the port says it. Shape: `origins` are the writes' indexes by
    action.
    """
    reasons = [str(reason.get("Code", "None")) for reason in error.members.get("CancellationReasons", ())]
    if any(reason in PASSING_REASONS for reason in reasons):
        return store_error(error, table)
    if error.code == "ConditionalCheckFailedException" and origins:
        write = writes[origins[0]]
        assert not isinstance(write, ItemWrite)
        return conflict_of(write, origins[0])
    if error.code == "TransactionConflictException":
        return store_error(error, table)
    for reason, index in zip(reasons, origins, strict=False):
        write = writes[index]
        if reason == "ConditionalCheckFailed" and not isinstance(write, ItemWrite):
            return conflict_of(write, index)
    if reasons and all(reason == "None" for reason in reasons[: len(origins)]) and reasons[-1] != "None":
        return StoreError(f"{table}: the pieces of a large row were removed before it was written: again")
    if any(reason != "None" for reason in reasons) or error.code in (
        "ValidationException",
        "ResourceNotFoundException",
    ):
        return ApiError(error.code, error.words)
    return store_error(error, table)
