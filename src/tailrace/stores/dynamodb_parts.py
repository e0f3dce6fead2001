"""Rows that are too large for an item: their fields in pieces, which are written before the row that names
them.

Theory of operation. The large rows of one transaction share a *set*: a head, which lists them, and for each
row pieces of its fields. First the head is written, then the pieces, then the transaction: its rows name the
set, and it requires the head to be there. So whoever finds a head none of whose rows names the set may remove
the head under the condition that it is still so: from then on no transaction can name the set, and its pieces
go, too. Nobody's clock decides whether that is right; that a head is left alone for a minute after it was
first seen so only spares a writer that is between its pieces and its rows.
Rules of this file: a row is never without its pieces; a piece may be without its row, for a while. Called by
stores/dynamodb.py. Source: growth §3.3.
"""

from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import orjson

from tailrace.aws.errors import AwsError, Meaning
from tailrace.rows.bounds import MOST_BYTES, MOST_TOGETHER
from tailrace.stores.dynamodb_layout import BUCKETS, PART_SETS, PARTS, ItemPlace, bucket_of

Call = Callable[[str, Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
UNCLAIMED: Final = "attribute_not_exists(pk)"
SPARED_MS: Final = 60_000
"""How long a set without rows is left alone after it was first seen so."""
MOST_KNOWN: Final = 10_000
"""Rows of which it is remembered that they have pieces; what others leave is cleaned a little later."""
LOOKS: Final = 4
"""Heads that are looked at after a large write."""


class PartSet(NamedTuple):
    """The pieces of one transaction. Shape: `rows` are the places of its large rows, in the order of their
    numbers.
    """

    name: str
    rows: tuple[ItemPlace, ...]

    @property
    def head(self) -> ItemPlace:
        """Where its head lies."""
        return ItemPlace(f"{PART_SETS}#{bucket_of([self.name]):02x}", self.name)

    def piece(self, row: int, number: int) -> ItemPlace:
        """Where a piece lies. Shape: both count from 0."""
        return ItemPlace(f"{PARTS}/{self.name}", f"/{row:03d}/{number:04d}")

    def named(self, row: int, size: int) -> dict[str, Any]:
        """What the row says of its pieces. Shape: `size` in bytes of all its fields."""
        return {
            "parts": {"S": f"{self.name}/{row:03d}"},
            "pieces": {"N": str(len(_cuts(size)))},
            "size": {"N": str(size)},
        }


class LargeRow(NamedTuple):
    """A row whose fields stand in pieces."""

    place: ItemPlace
    text: bytes


class LargeRows(NamedTuple):
    """The rows of a transaction that stand in pieces. Shape: `indexes` among its actions, `sizes` in
    bytes.
    """

    parts: PartSet
    indexes: Sequence[int]
    sizes: Sequence[int]

    def named(self, index: int) -> Mapping[str, Any]:
        """What the row with this index says of its pieces; {} for one that has none."""
        if index not in self.indexes:
            return {}
        row = self.indexes.index(index)
        return self.parts.named(row, self.sizes[row])


def chosen_large(sizes: Mapping[int, int]) -> list[int]:
    """Which rows of a transaction stand in pieces: those above the bound of one item, and the largest of the
    others until the rest fits into one transaction. Shape: bytes by index.

    >>> chosen_large({0: 10, 1: 300_001, 2: 300_000})
    [1]
    """
    together = sum(sizes.values())
    large: list[int] = []
    for index in sorted(sizes, key=lambda index: -sizes[index]):
        if sizes[index] <= MOST_BYTES and together <= MOST_TOGETHER:
            break
        large.append(index)
        together -= sizes[index]
    return sorted(large)


class RowParts:
    """The pieces in one table."""

    def __init__(self, call: Call, table: str, owner: str = "") -> None:
        self._call = call
        self._table = table
        self._owner = owner
        self._sets = 0
        self._known: dict[ItemPlace, Mapping[str, Any]] = {}
        """What rows that were read or written here say of their pieces."""
        self._suspects: dict[str, int] = {}
        self._bucket = 0
        self._after: ItemPlace | None = None

    async def write(self, rows: Sequence[LargeRow]) -> PartSet:
        """The head of a set that nobody has, and then the pieces. Returns: the set. Raises: AwsError."""
        parts = await self._claimed(tuple(row.place for row in rows))
        for number, row in enumerate(rows):
            for index, (begin, end) in enumerate(_cuts(len(row.text))):
                data = b64encode(row.text[begin:end]).decode()
                await self._put({**parts.piece(number, index).key, "piece": {"B": data}})
        return parts

    async def _claimed(self, rows: tuple[ItemPlace, ...]) -> PartSet:
        """A set whose head was not there. The owner's name makes its own names those of nobody else, also
        later; the condition does it where there is no owner.
        """
        while True:
            self._sets += 1
            parts = PartSet(f"{self._owner}.{self._sets}", rows)
            claim = {"Item": _head_item(parts), "ConditionExpression": UNCLAIMED}
            try:
                await self._call("PutItem", {"TableName": self._table, **claim})
            except AwsError as error:
                if error.verdict.meaning is not Meaning.CONDITION:
                    raise
            else:
                return parts

    async def read(self, item: Mapping[str, Any]) -> bytes | None:
        """The fields of a row, out of its pieces; None: they are gone, so the row is another one by now.
        Raises: AwsError.
        """
        name, _, row = item["parts"]["S"].partition("/")
        pieces = int(item["pieces"]["N"])
        asked: dict[str, Any] = {
            "TableName": self._table,
            "ConsistentRead": True,
            "KeyConditionExpression": "pk = :pk AND begins_with(sk, :sk)",
            "ExpressionAttributeValues": {":pk": {"S": f"{PARTS}/{name}"}, ":sk": {"S": f"/{row}/"}},
        }
        read: list[bytes] = []
        async for page in self._pages(asked):
            read += [b64decode(piece["piece"]["B"]) for piece in page]
        text = b"".join(read)
        return text if len(read) == pieces and len(text) == int(item["size"]["N"]) else None

    def note(self, place: ItemPlace, item: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        """What a row says of its pieces from now on. Returns: what it said before, where that is known."""
        before = self._known.pop(place, None)
        if item is not None and "parts" in item:
            if len(self._known) >= MOST_KNOWN:
                del self._known[next(iter(self._known))]
            self._known[place] = {name: item[name] for name in ("parts", "pieces")}
        return before

    async def remove_of_row(self, said: Mapping[str, Any]) -> None:
        """Remove the pieces of a row that names them no more, and the head if it lists no other. Raises:
        AwsError.
        """
        name, _, row = said["parts"]["S"].partition("/")
        parts = PartSet(name, ())
        for number in range(int(said["pieces"]["N"])):
            await self._delete(parts.piece(int(row), number))
        answer = await self._call(
            "GetItem", {"TableName": self._table, "Key": parts.head.key, "ConsistentRead": True}
        )
        if "Item" in answer and len(_set_of(answer["Item"]).rows) == 1:
            await self._delete(parts.head)

    async def remove(self, parts: PartSet) -> None:
        """Remove a set that no row can name: pieces, then the head. Raises: AwsError."""
        asked: dict[str, Any] = {
            "TableName": self._table,
            "ConsistentRead": True,
            "ProjectionExpression": "pk, sk",
            "KeyConditionExpression": "pk = :pk",
            "ExpressionAttributeValues": {":pk": {"S": f"{PARTS}/{parts.name}"}},
        }
        async for page in self._pages(asked):
            for piece in page:
                await self._delete(ItemPlace(piece["pk"]["S"], piece["sk"]["S"]))
        await self._delete(parts.head)

    async def clean(self, now_ms: int, looks: int | None = LOOKS) -> int:
        """Look at some heads, going on where the last call ended, or at all of them (None); remove sets that
        no row names, a minute after the first look. Returns: how many. Units: of a monotonic clock. Raises:
        AwsError.
        """
        removed = 0
        async for parts in self._heads(looks):
            if await self._is_named(parts):
                self._suspects.pop(parts.name, None)
            elif now_ms - self._suspects.setdefault(parts.name, now_ms) >= SPARED_MS:
                if await self._is_condemned(parts):
                    await self.remove(parts)
                    removed += 1
                self._suspects.pop(parts.name, None)
        return removed

    async def _heads(self, looks: int | None) -> Any:
        buckets = range(BUCKETS) if looks is None else [self._bucket]
        for bucket in buckets:
            asked: dict[str, Any] = {
                "TableName": self._table,
                "ConsistentRead": True,
                "KeyConditionExpression": "pk = :pk",
                "ExpressionAttributeValues": {":pk": {"S": f"{PART_SETS}#{bucket:02x}"}},
            }
            if looks is None:
                async for page in self._pages(asked):
                    for item in page:
                        yield _set_of(item)
                continue
            asked["Limit"] = looks
            if self._after is not None:
                asked["ExclusiveStartKey"] = self._after.key
            answer = await self._call("Query", asked)
            self._after = _set_of(answer["Items"][-1]).head if "LastEvaluatedKey" in answer else None
            if self._after is None:
                self._bucket = (self._bucket + 1) % BUCKETS
            for item in answer["Items"]:
                yield _set_of(item)

    async def _is_named(self, parts: PartSet) -> bool:
        """Whether a row names the set. What the others of it left is removed by the way: once a row names the
        set its transaction is over, so a row that does not name it now never will.
        """
        unnamed = [row for row in range(len(parts.rows)) if not await self._names(parts, row)]
        if len(unnamed) == len(parts.rows):
            return False
        # Those that were read before the transaction ended are read again: it is over now.
        await self._remove_rows(parts, [row for row in unnamed if not await self._names(parts, row)])
        return True

    async def _names(self, parts: PartSet, row: int) -> bool:
        asked = {"TableName": self._table, "Key": parts.rows[row].key, "ConsistentRead": True}
        item = (await self._call("GetItem", asked)).get("Item", {})
        return str(item.get("parts", {}).get("S", "")).startswith(f"{parts.name}/")

    async def _remove_rows(self, parts: PartSet, numbers: Sequence[int]) -> None:
        for number in numbers:
            asked: dict[str, Any] = {
                "TableName": self._table,
                "ConsistentRead": True,
                "ProjectionExpression": "pk, sk",
                "KeyConditionExpression": "pk = :pk AND begins_with(sk, :sk)",
                "ExpressionAttributeValues": {
                    ":pk": {"S": f"{PARTS}/{parts.name}"},
                    ":sk": {"S": f"/{number:03d}/"},
                },
            }
            async for page in self._pages(asked):
                for piece in page:
                    await self._delete(ItemPlace(piece["pk"]["S"], piece["sk"]["S"]))

    async def _is_condemned(self, parts: PartSet) -> bool:
        """Mark the head, so that no transaction can name the set any more, if no row does. Whether it was."""
        unnamed = [
            {
                "ConditionCheck": {
                    "TableName": self._table,
                    "Key": place.key,
                    "ConditionExpression": "attribute_not_exists(parts) OR NOT begins_with(parts, :set)",
                    "ExpressionAttributeValues": {":set": {"S": f"{parts.name}/"}},
                }
            }
            for place in parts.rows
        ]
        mark = {
            "TableName": self._table,
            "Item": {**_head_item(parts), "condemned": {"N": "1"}},
            "ConditionExpression": "attribute_exists(pk)",
        }
        try:
            await self._call("TransactWriteItems", {"TransactItems": [{"Put": mark}, *unnamed]})
        except AwsError as error:
            if error.code != "TransactionCanceledException":
                raise
            return False
        return True

    async def _pages(self, asked: dict[str, Any]) -> Any:
        while True:
            page = await self._call("Query", asked)
            yield page["Items"]
            if "LastEvaluatedKey" not in page:
                return
            asked["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    async def _put(self, item: Mapping[str, Any]) -> None:
        await self._call("PutItem", {"TableName": self._table, "Item": item})

    async def _delete(self, place: ItemPlace) -> None:
        await self._call("DeleteItem", {"TableName": self._table, "Key": place.key})


def required_head(parts: PartSet, table: str) -> dict[str, Any]:
    """The action by which a transaction requires that its set has not been condemned."""
    return {
        "ConditionCheck": {
            "TableName": table,
            "Key": parts.head.key,
            "ConditionExpression": "attribute_exists(pk) AND attribute_not_exists(condemned)",
        }
    }


def _head_item(parts: PartSet) -> dict[str, Any]:
    listed = orjson.dumps([tuple(place) for place in parts.rows]).decode()
    return {**parts.head.key, "rows": {"S": listed}}


def _set_of(head: Mapping[str, Any]) -> PartSet:
    rows = orjson.loads(head["rows"]["S"])
    return PartSet(head["sk"]["S"], tuple(ItemPlace(*row) for row in rows))


def _cuts(size: int) -> list[tuple[int, int]]:
    return list(_begins_and_ends(size))


def _begins_and_ends(size: int) -> Iterator[tuple[int, int]]:
    for begin in range(0, size, MOST_BYTES):
        yield begin, min(begin + MOST_BYTES, size)
