"""The rows of a KCL lease table: how leases of every version read, which rows are none, which version wrote
them, and whether a worker lives.

Theory of operation. A lease is a row by the shard's id (for several streams by `<stream identifier>:<shard
id>`), and its checkpoint is a sequence number or a sentinel. KCL 3.5 keeps its leader, its migrations and the
metrics of its workers in the same table: such rows say so by `entityType`, and are understood or refused,
never taken for leases. No row says which version wrote it: some attributes came with a version, and their
presence tells. A worker lives when something that it moves moves: the counter of a lease, the record of the
leader's lock, the time of its metrics. So one look tells nothing, and two are needed.
Rules of this file: pure; items as DynamoDB's JSON has them. Source: reference/fleet §2, semantics §4.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct

from tailrace.errors import SettingsError

Item: TypeAlias = Mapping[str, Mapping[str, Any]]
Sentinel: TypeAlias = Literal["TRIM_HORIZON", "LATEST", "AT_TIMESTAMP", "SHARD_END"]
SENTINELS: Final[Mapping[str, int]] = {"AT_TIMESTAMP": -3, "TRIM_HORIZON": -2, "LATEST": -1, "SHARD_END": 1}
"""In KCL's order; a sequence number stands at 0."""
LEASE_KEY: Final = "leaseKey"
SEVERAL_STREAMS: Final = re.compile(r"([0-9]+:[^:]+:[0-9]+):(.+)")
"""The key of a lease in a table for several streams: account, stream name, epoch; and the shard."""
IDENTIFIER: Final = re.compile(r"[0-9]+:([^:]+):[0-9]+")
KINESIS_SHARD: Final = re.compile(r"shardId-[0-9]{12}")
NO_LEASES: Final[Mapping[str, str]] = {
    "STREAM": "stream",
    "LEADER": "leader's lock",
    "CLIENT_VERSION_MIGRATION": "migration of clients",
    "TABLE_MIGRATION": "migration of tables",
    "WORKER_METRIC_STATS": "metrics of a worker",
}
"""The kinds of rows of KCL 3.5 that are no lease, as people read them."""
TABLES_BESIDE: Final[Mapping[str, str]] = {
    "key": "the coordinator's state",
    "wid": "metrics of workers",
}
"""The hash keys of the tables that KCL 3.0 to 3.4 keeps beside its leases."""
LeaseTableVersion: TypeAlias = Literal["1.x or 2.x", "2.x", "3.0 to 3.4", "3.5"]


class KclCheckpoint(Struct, frozen=True):
    """A place in a shard, as KCL writes it. Shape: `text` digits or a sentinel; `part` the subsequence
    number: how far inside the record, 0 for a record that has no parts.
    """

    text: str
    part: int = 0

    @property
    def is_number(self) -> bool:
        """Whether it names a record."""
        return self.text not in SENTINELS

    @property
    def order(self) -> tuple[int, int, int]:
        """KCL's order of checkpoints.

        >>> texts = ["SHARD_END", "10", "9", "LATEST", "TRIM_HORIZON", "AT_TIMESTAMP"]
        >>> [place.text for place in sorted(map(KclCheckpoint, texts), key=lambda place: place.order)]
        ['AT_TIMESTAMP', 'TRIM_HORIZON', 'LATEST', '9', '10', 'SHARD_END']
        """
        return (0, int(self.text), self.part) if self.is_number else (SENTINELS[self.text], 0, 0)

    def __str__(self) -> str:
        return f"{self.text}/{self.part}" if self.part else self.text


class KclLease(Struct, frozen=True):
    """A lease as its row says it. Shape: `stream` is the name in the key of a table for several streams, ""
    in one for a single stream; `pending` a checkpoint that was prepared and not made; `owners` who holds it,
    and who still drains it.
    """

    key: str
    shard_id: str
    stream: str
    checkpoint: KclCheckpoint
    counter: int
    owners: tuple[str, ...]
    pending: KclCheckpoint | None
    item: Item

    @property
    def has_ended(self) -> bool:
        """Whether KCL is done with its shard."""
        return self.checkpoint.text == "SHARD_END"


class LeaseTable(Struct, frozen=True):
    """What a look at a lease table saw.

    Shape:   `others` counts rows that are no lease, by kind; `migrations` says in words how far its own
             migrations are; `signs` what living workers move, by what it is called; `holders` the worker
             behind each of these, where it is known.
    """

    name: str
    version: LeaseTableVersion
    leases: tuple[KclLease, ...]
    others: Mapping[str, int]
    migrations: tuple[str, ...]
    signs: Mapping[str, str]
    holders: Mapping[str, str]

    def alive_since(self, before: "LeaseTable") -> tuple[str, ...]:
        """The workers that have moved something since an earlier look, by name; what they moved where no
        name is known.
        """
        moved = [name for name, sign in self.signs.items() if before.signs.get(name) != sign]
        gone = [name for name in before.signs if name not in self.signs]
        return tuple(
            dict.fromkeys(
                self.holders.get(name) or before.holders.get(name) or name for name in [*moved, *gone]
            )
        )


def check_key(table: str, hash_key: str, range_key: str) -> None:
    """See that a table can be a lease table, by its key. Raises: SettingsError saying what it is instead."""
    if hash_key == LEASE_KEY and not range_key:
        return
    beside = TABLES_BESIDE.get(hash_key)
    if beside is not None:
        lease_table = table.removesuffix("-CoordinatorState").removesuffix("-WorkerMetricStats")
        other = lease_table if lease_table != table else "LEASE_TABLE"
        raise SettingsError(
            f"table {table!r} has {beside} of a KCL application, and no leases",
            hint=f"name the table of its leases, whose name is that of the application: {other}",
        )
    keys = f"{hash_key} and {range_key}" if range_key else hash_key
    raise SettingsError(
        f"table {table!r} is no lease table: its key is {keys}, and that of KCL's is {LEASE_KEY}",
        hint="a KCL application keeps its leases in the table of its own name",
    )


def read_table(name: str, items: Iterable[Item], *, has_owner_index: bool = False) -> LeaseTable:
    """What the rows of a lease table say. Shape: `has_owner_index` it has KCL 3's index of owners.

    Raises:  SettingsError for a row that is neither a lease nor one of KCL's others, naming it.
    """
    leases: list[KclLease] = []
    others: dict[str, int] = {}
    migrations: list[str] = []
    signs: dict[str, str] = {}
    holders: dict[str, str] = {}
    has_entities = False
    for item in items:
        kind = _text(item, "entityType")
        has_entities = has_entities or bool(kind)
        if kind in ("", "LEASE"):
            lease = read_lease_item(name, item)
            leases.append(lease)
            if lease.owners:
                sign = f"lease {lease.key}"
                signs[sign], holders[sign] = f"{lease.owners}/{lease.counter}", lease.owners[0]
        elif kind in NO_LEASES:
            others[kind] = others.get(kind, 0) + 1
            _sign(kind, item, signs, holders)
            migrations += _migration(kind, item)
        else:
            raise SettingsError(
                f"row {_text(item, LEASE_KEY)!r} of {name} is a {kind}, which is none of KCL's kinds up to "
                f"3.5: LEASE, {', '.join(NO_LEASES)}",
                hint="a newer KCL wrote it: look whether this version of tailrace is the newest",
            )
    version = _version(leases, has_entities=has_entities, has_owner_index=has_owner_index)
    ordered = tuple(sorted(leases, key=lambda lease: lease.key))
    return LeaseTable(name, version, ordered, dict(sorted(others.items())), tuple(migrations), signs, holders)


def read_lease_item(table: str, item: Item) -> KclLease:
    """A lease. Raises: SettingsError for a row that is none, naming it."""
    key = _text(item, LEASE_KEY)
    if "completed" in item:
        raise SettingsError(
            f"lease {key!r} of {table} has `completed`, which KCL does not write: it is of another consumer",
            hint="only lease tables of KCL 1.x to 3.5 are read",
        )
    stream, shard_id = _place(key, item)
    checkpoint = _checkpoint(item, "checkpoint", "checkpointSubSequenceNumber")
    if not key or checkpoint is None:
        raise SettingsError(
            f"row {key!r} of {table} has no checkpoint that KCL writes: {_text(item, 'checkpoint')!r}",
            hint="a checkpoint is a sequence number, TRIM_HORIZON, LATEST, AT_TIMESTAMP or SHARD_END",
        )
    owners = [_text(item, name) for name in ("leaseOwner", "checkpointOwner")]
    return KclLease(
        key,
        shard_id,
        stream,
        checkpoint,
        _number(item, "leaseCounter"),
        tuple(dict.fromkeys(owner for owner in owners if owner)),
        _checkpoint(item, "pendingCheckpoint", "pendingCheckpointSubSequenceNumber"),
        item,
    )


def stream_name(region: str, account: str, table: str, label: str) -> str:
    """What the DynamoDB Streams adapter calls a stream in keys of leases. Source: semantics §4.8.

    >>> stream_name("eu-west-1", "123456789012", "orders", "2026-11-28T10:00:00.000")
    'eu-west-1$123456789012$orders$2026-11-28T10_00_00.000'
    """
    return "$".join((region, account, table, label.replace(":", "_")))


def _place(key: str, item: Item) -> tuple[str, str]:
    """The stream and the shard of a lease; no stream in a table for one alone."""
    shard_id = _text(item, "shardId")
    if shard_id and key.endswith(f":{shard_id}"):
        identifier = key.removesuffix(f":{shard_id}")
    else:
        several = SEVERAL_STREAMS.fullmatch(key)
        if several is None:
            return "", key
        identifier, shard_id = several.groups()
    named = IDENTIFIER.fullmatch(identifier)
    return (identifier if named is None else named[1]), shard_id


def _checkpoint(item: Item, name: str, part: str) -> KclCheckpoint | None:
    text = _text(item, name)
    if text in SENTINELS or (text.isascii() and text.isdigit()):
        return KclCheckpoint(text, _number(item, part))
    return None


def _text(item: Item, name: str) -> str:
    return str(item.get(name, {}).get("S", ""))


def _number(item: Item, name: str) -> int:
    text = str(item.get(name, {}).get("N", "0"))
    return int(text) if text.isascii() and text.isdigit() else 0


# ---- what is no lease --------------------------------------------------------------------------------------


def _sign(kind: str, item: Item, signs: dict[str, str], holders: dict[str, str]) -> None:
    """What a living worker moves in a row that is no lease."""
    if kind == "LEADER" and not _is_released(item):
        signs["the leader's lock"] = _text(item, "recordVersionNumber")
        holders["the leader's lock"] = _text(item, "ownerName")
    if kind == "WORKER_METRIC_STATS":
        worker = _text(item, "wid") or _text(item, LEASE_KEY)
        signs[f"metrics of {worker}"] = f"{item.get('lut', {}).get('N')}/{item.get('slu', {}).get('N')}"
        holders[f"metrics of {worker}"] = worker


def _is_released(item: Item) -> bool:
    """Whether the leader has given its lock back: the lock's client writes that it was, or nothing."""
    said = item.get("isReleased", {})
    return bool(said.get("BOOL", said))


def _migration(kind: str, item: Item) -> list[str]:
    """How far a migration of KCL's own is, in words."""
    match kind:
        case "CLIENT_VERSION_MIGRATION":
            return [f"clients: {_text(item, 'cv') or 'unknown'}"]
        case "TABLE_MIGRATION":
            return [f"tables: {_text(item, 'tm') or 'unknown'}"]
        case _:
            return []


def _version(leases: Iterable[KclLease], *, has_entities: bool, has_owner_index: bool) -> LeaseTableVersion:
    """The oldest version that writes all that is there. Source: reference/fleet §2."""
    names = {name for lease in leases for name in lease.item}
    if has_entities:
        return "3.5"
    if has_owner_index or names & {"throughputKBps", "checkpointOwner"}:
        return "3.0 to 3.4"
    if names & {"childShardIds", "startingHashKey", "pendingCheckpointState", "streamName"}:
        return "2.x"
    return "1.x or 2.x"
