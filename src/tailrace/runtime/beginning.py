"""Where a mapping begins in a stream that it never read: by name, and never by a word that means another
place with every shard.

Theory of operation. AWS's LATEST is a place in one shard at one moment: asked again, or of a shard that
began meanwhile, it means another one, and what was written between is lost. So "end" is resolved once
into a time, the server's own, and that is saved before the first read. A shard that was there at that
time is read from then on, each that began later from its oldest record, and one that had been continued
by then is not read at all. Records tell their time to the second, so a change of that very second is
delivered: rather one too many than one too few.
Rules of this file: pure; steps. Performed by sources/dynamodb_streams.py (`since_ms`). Source: growth §3.1.
"""

from collections.abc import Iterable
from typing import Final, Literal, TypeAlias, assert_never

from msgspec import Struct

from tailrace.errors import StateConflict
from tailrace.rows.kinds import START
from tailrace.rows.writes import Absent, StateRow, Write, readable
from tailrace.runtime.steps import Get, Steps, Transact
from tailrace.streams.record import ChangeRecord
from tailrace.streams.shards import Shard

MARGIN_MS: Final = 60_000
"""A child begins as its parent closes; by so much may their times differ."""


class AtName(Struct, frozen=True):
    """The oldest record that there is, what comes from now on, or where the mapping was: at the
    beginning if it never was here.
    """

    name: Literal["beginning", "end", "where it was"]


class AtTime(Struct, frozen=True):
    """What was written then or later. Units: ms since the epoch."""

    wall_ms: int


StartPosition: TypeAlias = AtName | AtTime


def resolved_ms(start: StartPosition, server_ms: int) -> int | None:
    """The time that is saved before the first read, once; None: everything there is. Shape: `server_ms`
    is the server's own time.

    >>> resolved_ms(AtName("end"), 1_795_860_000_000), resolved_ms(AtName("beginning"), 1_795_860_000_000)
    (1795860000000, None)
    """
    if isinstance(start, AtTime):
        return start.wall_ms
    match start.name:
        case "end":
            return server_ms
        case "beginning" | "where it was":
            return None
        case _:
            assert_never(start.name)


def saved_start(app: str, mapping_id: str, start: StartPosition, server_ms: int) -> Steps[int | None]:
    """From when on a mapping wants changes: as it was saved, whatever is asked for now; else as it is asked
    for, saved before anything is read. Returns: ms since the epoch; None: everything there is.

    Guarantee: the same for every worker, and at every start.
    Raises:  StoreError.
    """
    key = START.key(app, mapping_id)
    while True:
        row: StateRow | None = yield Get(key)
        if row is not None:
            since_ms: int | None = readable(row.fields, START.name, START.format)["since_ms"]
            return since_ms
        fields = {"v": START.format, "id": mapping_id, "since_ms": resolved_ms(start, server_ms)}
        try:
            yield Transact((Write(key, fields, Absent()),))
        except StateConflict:
            continue  # another worker was faster: what it saved is it


FirstRead: TypeAlias = Literal["oldest", "since", "not"]


def first_read(shard: Shard, children: Iterable[Shard], since_ms: int | None) -> FirstRead:
    """How a shard is read that was never read: from its oldest record, from what was written since then,
    or not.

    Shape:   `children` are the shards that continue it, as far as they are listed.

    >>> first_read(Shard("a", 1, created_ms=5), [], 7), first_read(Shard("b", 1, created_ms=9), [], 7)
    ('since', 'oldest')
    """
    if since_ms is None or shard.created_ms > since_ms:
        return "oldest"
    begun = [child.created_ms for child in children]
    if shard.is_closed and begun and all(0 < created < since_ms - MARGIN_MS for created in begun):
        return "not"
    return "since"


def is_wanted(record: ChangeRecord, since_ms: int) -> bool:
    """Whether a record was written then or later, as far as its time tells.

    >>> from tailrace.streams.record import ChangeRecord
    >>> at_five = ChangeRecord(1, 1, "INSERT", 5_000_000, 0, 0, b"", b"{}", precision_us=1_000_000)
    >>> is_wanted(at_five, 5_999), is_wanted(at_five, 6_000)
    (True, False)
    """
    return record.created_us + record.precision_us > since_ms * 1_000
