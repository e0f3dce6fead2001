"""The head of a parked key: one row that says which changes of an item wait, and who is putting them back.

Rules of this file: pure transitions; every write is conditional on the version that was read and raises it,
so that of the machine's append and the redriver's steps one always notices the other. Only the redriver
unparks, and only when the head's tail is the last change that it has put back. Format 2,
docs/formats/state.md. Called by runtime/delivering.py, deadletters/run/redriver.py and the simulation.
Source: architecture §5.3.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from tailrace.deadletters.core.entry import DeadLetter, deadletter_fields, parked_key
from tailrace.leases.lease import Sighting, sighted
from tailrace.rows.kinds import HEAD
from tailrace.rows.writes import Absent, Condition, Equals, Write, readable
from tailrace.streams.version import FIRST_GENERATION, Version

VERSION: Final = 2
"""1 did not say where a key was parked, and had sequence numbers instead of versions."""
CLAIM_MS: Final = 30_000
"""How long a redriver that says nothing keeps a key: each change that it puts back renews its claim."""


class Head(Struct, frozen=True):
    """A parked key.

    Shape:   the changes from `first` to `tail` were parked, `count` of them still wait; with 0 nothing was
             parked: it is the claim of who puts a discarded change of the key back, `first`; `claimed_by` is
             the redriver that puts them back, "" for none; `seen` is the stamp in its row, "" in one of a
             version that wrote no stamps; `stream` (its label) and `shard_id` are where it was parked, "" in
             rows of versions that did not say; `tried` is the last request that has left it as it is. Units:
             claimed_ms and parked_ms since the epoch.
    """

    app: str
    mapping_id: str
    key: bytes
    partition: int
    version: int
    first: Version
    tail: Version
    count: int
    parked_ms: int = 0
    claimed_by: str = ""
    claimed_ms: int = 0
    seen: str = ""
    stream: str = ""
    shard_id: str = ""
    tried: str = ""

    @property
    def stamp(self) -> str:
        """This version of this parking: a key that is parked anew begins with version 1 again, and who knew
        the old one must notice.
        """
        return f"{self.first.text}/{self.parked_ms}/{self.version}"

    @property
    def row_key(self) -> str:
        """One an item of a mapping."""
        return head_key(self.app, self.mapping_id, self.key)


class HeadClaims:
    """The claims of others as one redriver sees them: a claim runs out when its head has not moved for
    `CLAIM_MS` of this observer's own clock.
    """

    __slots__ = ("_seen",)

    def __init__(self) -> None:
        self._seen: dict[tuple[str, bytes], Sighting] = {}

    def is_taken(self, head: Head, by: str, monotonic_ms: int) -> bool:
        """Whether another redriver has this key and is alive."""
        place = head.mapping_id, head.key
        if head.claimed_by in ("", by, by.partition("/")[0]):  # the last is what versions before owners wrote
            self._seen.pop(place, None)
            return False
        seen = self._seen[place] = sighted(self._seen.get(place), head.stamp, monotonic_ms)
        return not seen.has_expired(monotonic_ms, CLAIM_MS)


def head_key(app: str, mapping_id: str, key: bytes) -> str:
    """The row of one parked key.

    >>> head_key("shop", "mail", b"o1")
    'head/shop/mail/6f31'
    """
    return f"{head_prefix(app, mapping_id)}{key.hex()}"


def head_prefix(app: str, mapping_id: str) -> str:
    """What the rows of all parked keys of a mapping start with."""
    return HEAD.prefix(app, mapping_id)


def read_head(app: str, mapping_id: str, fields: Mapping[str, Any]) -> Head:
    """The head behind a row. Raises: StoreError when its format is not known."""
    row = readable(fields, "parked key", VERSION)
    return Head(
        app,
        mapping_id,
        bytes.fromhex(row["key"]),
        int(row["partition"]),
        row["version"],
        _read(row["first"]),
        _read(row["tail"]),
        row["count"],
        row["parked_ms"],
        row["claimed_by"],
        row["claimed_ms"],
        row.get("stamp", ""),
        row.get("stream", ""),
        row.get("shard", ""),
        row.get("tried", ""),
    )


def _read(stored: str | int) -> Version:
    """A version, in a row of format 1 a sequence number of the first generation."""
    return Version.from_text(stored) if isinstance(stored, str) else Version(FIRST_GENERATION, stored)


# ---- transitions -------------------------------------------------------------------------------------------


def parked(
    app: str,
    mapping_id: str,
    before: Head | None,
    letters: Sequence[DeadLetter],
    now_ms: int,
    stream: str = "",
) -> list[Write]:
    """Park these changes of one key, in order; [] when all of them are parked already. Shape: `stream` is the
    label of the one that they are of.

    Guarantee: repeating it changes nothing. A head that was not there is made only if it is still not there.
    """
    fresh = [letter for letter in letters if before is None or letter.record.version > before.tail]
    if not fresh:
        return []
    first, last = fresh[0].record, fresh[-1].record
    if before is None:
        head = Head(
            app,
            mapping_id,
            first.key,
            first.partition,
            1,
            first.version,
            last.version,
            len(fresh),
            now_ms,
            stream=stream,
            shard_id=fresh[0].shard_id,
        )
        condition: Condition = Absent()
    else:
        head = replace(
            before,
            version=before.version + 1,
            tail=last.version,
            count=before.count + len(fresh),
        )
        condition = _unchanged(before)
    rows = [
        Write(parked_key(app, mapping_id, head.key, letter.record.version), deadletter_fields(letter))
        for letter in fresh
    ]
    return [Write(head.row_key, _fields(head), condition), *rows]


def claimed(head: Head, by: str, now_ms: int) -> tuple[Head, Write]:
    """Take a parked key to put it back; also to renew that. The caller has looked at `is_claimed`."""
    return _changed(head, claimed_by=by, claimed_ms=now_ms)


def claimed_free(letter: DeadLetter, app: str, by: str, now_ms: int) -> tuple[Head, Write]:
    """Take a key that is not parked, to put a discarded change of it back: a head behind which nothing waits.

    Guarantee: a worker that begins a shard that continues the letter's knows of it from now on, and parks
               what comes of the key.
    """
    record = letter.record
    head = Head(
        app,
        letter.handler,
        record.key,
        record.partition,
        1,
        record.version,
        record.version,
        0,
        now_ms,
        claimed_by=by,
        claimed_ms=now_ms,
        shard_id=letter.shard_id,
    )
    return replace(head, seen=head.stamp), Write(head.row_key, _fields(head), Absent())


def freed(head: Head) -> Write:
    """Nothing waits behind this head, and no redriver puts anything back any more: the key is free."""
    return Write(head.row_key, None, _unchanged(head))


def released(head: Head, tried: str = "") -> tuple[Head, Write]:
    """Leave a key to the next redriver: something in it still fails, or the work was stopped. `tried`: not to
    one that carries out this request.
    """
    return _changed(head, claimed_by="", claimed_ms=0, tried=tried)


def put_back(head: Head, version: Version, now_ms: int) -> tuple[Head | None, list[Write]]:
    """One change, the oldest that waits, was handled or dropped: its row goes, and after the tail the head
    too.

    Returns: None as the head when the key is unparked.
    """
    entry = Write(parked_key(head.app, head.mapping_id, head.key, version), None)
    if version == head.tail:
        return None, [Write(head.row_key, None, _unchanged(head)), entry]
    after, write = _changed(head, count=head.count - 1, claimed_ms=now_ms)
    return after, [write, entry]


def failed_again(head: Head, letter: DeadLetter, tried: str = "") -> tuple[Head, list[Write]]:
    """Putting a change back failed: its letter says so, and the key is left to the next redriver."""
    after, write = released(head, tried)
    row = parked_key(head.app, head.mapping_id, head.key, letter.record.version)
    return after, [write, Write(row, deadletter_fields(letter))]


def _changed(head: Head, **changes: Any) -> tuple[Head, Write]:
    after = replace(head, version=head.version + 1, **changes)
    return replace(after, seen=after.stamp), Write(head.row_key, _fields(after), _unchanged(head))


def _unchanged(head: Head) -> Condition:
    return Equals("stamp", head.seen) if head.seen else Equals("version", head.version)


def _fields(head: Head) -> dict[str, Any]:
    return {
        "v": VERSION,
        "key": head.key.hex(),
        "partition": str(head.partition),
        "version": head.version,
        "stamp": head.stamp,
        "first": head.first.text,
        "tail": head.tail.text,
        "count": head.count,
        "parked_ms": head.parked_ms,
        "claimed_by": head.claimed_by,
        "claimed_ms": head.claimed_ms,
        "stream": head.stream,
        "shard": head.shard_id,
        "tried": head.tried,
    }
