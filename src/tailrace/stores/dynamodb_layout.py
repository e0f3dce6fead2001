"""How rows of state lie in a DynamoDB table: which item a row is, and what a condition is as an expression.

Theory of operation, format 2. A row's key begins with a *head*: its kind and whose it is (the app, of marks
app and mapping). The partition key is the head, and for kinds that may be written a thousand times a second
(`RowKind.spread`) the number of one of 16 buckets behind a `#`; the sort key is the rest. A partition takes
1,000 writes a second, so a kind takes 16,000. Words of more than 400 letters are cut (row_keys.py) and the
whole key stands beside the row. Format 1 had the first word as the partition key and cut nothing.
Conditions look at numbers and texts, so these are attributes of their own; of a text of more than 256 letters
its digest.
Rules of this file: pure. Called by stores/dynamodb.py and stores/dynamodb_parts.py. Source: growth §3.3,
docs/formats/state-places.md, "In a DynamoDB table".
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Final, NamedTuple
from zlib import crc32

import orjson
from msgspec import Struct

from tailrace.rows.kinds import KINDS, RowKind, kind_of
from tailrace.rows.writes import Absent, AbsentOrOlder, Always, Condition, Equals
from tailrace.stores.row_keys import cut_key, cut_prefix
from tailrace.streams.version import FIRST_GENERATION, Version

BUCKETS: Final = 16
FORMAT: Final = 2
OLDEST: Final = 1
LARGEST: Final = 1 << 63
"""No row of before versions has such a number, and DynamoDB knows none of more than 38 digits."""
MOST_DIGITS: Final = 38
LONGEST_TEXT: Final = 256
"""Letters of a text that stands whole in an attribute of its own; of a longer one its digest does."""
ALONE: Final = "-"
"""The sort key of a row whose key is its head."""
KEYS: Final = {"pk": "HASH", "sk": "RANGE"}
OURS: Final = "tailrace"
TARGET: Final = "dynamodb:"
"""What the name of a table begins with where a place for state is typed."""
PARTS: Final = "tailrace-parts"
PART_SETS: Final = "tailrace-part-sets"
"""Partition keys of items that are no rows: no kind has these names."""
FORMAT_ITEM: Final = {"pk": {"S": OURS}, "sk": {"S": "format"}}


def named_table(target: str) -> str | None:
    """The table that a place for state names; None: it names another place, or none.

    >>> named_table("dynamodb:tailrace"), named_table("dynamodb://table"), named_table("sqlite:x")
    ('tailrace', None, None)
    """
    table = target.removeprefix(TARGET)
    return table if target.startswith(TARGET) and table and not table.startswith("/") else None


class ItemPlace(NamedTuple):
    """Where an item lies: its partition key and its sort key."""

    pk: str
    sk: str

    @property
    def key(self) -> dict[str, Any]:
        """As DynamoDB wants it."""
        return {"pk": {"S": self.pk}, "sk": {"S": self.sk}}


class StoredRow(NamedTuple):
    """A row as it was read, whose fields are still in its item."""

    key: str
    item: Mapping[str, Any]


class PrefixPlace(Struct, frozen=True):
    """Where the rows of a prefix lie: in these partitions, all of one head, with sort keys that begin so."""

    head: str
    partitions: tuple[str, ...]
    sk: str


def place_of(key: str, number: int = FORMAT) -> ItemPlace:
    """Where a row lies.

    >>> place_of("pause/shop/mail")
    ItemPlace(pk='pause/shop', sk='/mail')
    >>> place_of("lease/shop/2026-11-01/shard-1")
    ItemPlace(pk='lease/shop#01', sk='/2026-11-01/shard-1')
    """
    if number == OLDEST:
        word, slash, rest = key.partition("/")
        return ItemPlace(word, f"{slash}{rest}" or ALONE)
    stored = cut_key(key)
    kind = kind_of(key)
    words = stored.split("/")
    head, rest_words = _parted(words, kind)
    if not rest_words:
        return ItemPlace(head, ALONE)
    spread = kind.spread if kind is not None else 0
    bucket = f"#{bucket_of(rest_words[:spread]):02x}" if spread else ""
    return ItemPlace(f"{head}{bucket}", stored[len(head) :])


def prefix_place(prefix: str, number: int = FORMAT) -> PrefixPlace | None:
    """Where the rows of a prefix lie; None: anywhere, because it does not have a whole head."""
    if number == OLDEST:
        word, slash, rest = prefix.partition("/")
        return PrefixPlace(word, (word,), f"/{rest}") if slash else None
    stored = cut_prefix(prefix)
    kind = kind_of(prefix)
    words = stored.split("/")
    head, rest_words = _parted(words, kind)
    if not rest_words:
        return None
    spread = kind.spread if kind is not None else 0
    if not spread:
        return PrefixPlace(head, (head,), stored[len(head) :])
    whole = rest_words[:-1]
    buckets = [bucket_of(whole[:spread])] if len(whole) >= spread else range(BUCKETS)
    return PrefixPlace(head, tuple(f"{head}#{bucket:02x}" for bucket in buckets), stored[len(head) :])


def bucket_of(words: Sequence[str]) -> int:
    """The bucket of rows that have these words behind their head."""
    return crc32("/".join(words).encode()) % BUCKETS


def key_of(item: Mapping[str, Any], number: int = FORMAT) -> str | None:
    """The whole key of the row that an item is; None for an item that is none."""
    if "key" in item:
        return str(item["key"]["S"])
    pk: str = item["pk"]["S"]
    sk: str = item["sk"]["S"]
    if pk.startswith(OURS) or not {"fields", "parts"} & item.keys():
        return None
    if sk == ALONE:
        return pk
    kind = KINDS.get(pk.partition("/")[0])
    is_spread = number != OLDEST and kind is not None and kind.spread > 0
    return f"{pk.rpartition('#')[0] if is_spread else pk}{sk}"


def item_of(key: str, fields: Mapping[str, Any], text: str | None, number: int = FORMAT) -> dict[str, Any]:
    """A row as an item. Shape: `text` are its fields in JSON; None: they stand in parts, which the caller
    names.
    """
    place = place_of(key, number)
    item = place.key
    if number != OLDEST and cut_key(key) != key:
        item["key"] = {"S": key}
    if text is not None:
        item["fields"] = {"S": text}
    for name, value in fields.items():
        attribute = _scalar(value)
        if attribute is not None:
            item[f"f_{name}"] = attribute
    return item


def text_of(fields: Mapping[str, Any]) -> str:
    """Fields as they are kept."""
    return orjson.dumps(fields).decode()


def fields_of(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """The fields of a row that has no parts."""
    fields: Mapping[str, Any] = orjson.loads(item["fields"]["S"])
    return fields


def expression_of(conditions: Sequence[Condition]) -> dict[str, Any]:
    """All of these conditions as one expression; {} when none of them demands anything."""
    texts: list[str] = []
    names: dict[str, str] = {}
    values: dict[str, Any] = {}
    for number, condition in enumerate(conditions):
        match condition:
            case Always():
                continue
            case Absent():
                texts.append("attribute_not_exists(pk)")
            case Equals(field, value):
                texts.append(f"#f{number} = :v{number}")
                names[f"#f{number}"] = f"f_{field}"
                values[f":v{number}"] = _scalar(value) or {"S": str(value)}
            case AbsentOrOlder(version):
                texts.append(_older(number, version, names, values))
    if not texts:
        return {}
    asked: dict[str, Any] = {"ConditionExpression": " AND ".join(texts)}
    if names:
        asked |= {"ExpressionAttributeNames": names, "ExpressionAttributeValues": values}
    return asked


def _parted(words: Sequence[str], kind: RowKind | None) -> tuple[str, Sequence[str]]:
    """The head of a key, and the words behind it: kinds of an app have two words in their head."""
    count = 2 if kind is not None and kind.owner != "directory" else 1
    return "/".join(words[:count]), words[count:]


def _scalar(value: Any) -> dict[str, str] | None:
    if isinstance(value, str):
        is_long = len(value) > LONGEST_TEXT
        return {"S": f"sha256:{sha256(value.encode()).hexdigest()}" if is_long else value}
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**MOST_DIGITS:
        return {"N": str(value)}
    return None


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
