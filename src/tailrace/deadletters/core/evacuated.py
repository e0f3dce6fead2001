"""What is saved from the trim: changes that a mapping has not handled when the stream is about to forget
them.

Theory of operation: a stream forgets after a day, a mapping may wait longer: for its other side, for a
person, for a repair. Two hours before the trim what it has not handled is copied, in stream order, into
rows of the mapping and shard. These rows are the beginning of the shard from then on: a reader of the
mapping's changes after a position takes them first, and then the stream behind the last one copied. Nothing
else changes: the checkpoint still says what is settled, lag still counts what waits, and a crash at any
moment copies some rows again.
Rules of this file: pure layouts and transitions, docs/formats/state.md. The row of an evacuation is
conditional on its stamp; a copied change is the same from every worker. Called by runtime/evacuation.py and
by the views. Source: growth §2.10.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from tailrace.rows.kinds import EVACUATED, EVACUATION
from tailrace.rows.writes import Absent, Equals, Write, readable
from tailrace.streams.record import ChangeRecord, ViewType
from tailrace.streams.shards import Shard
from tailrace.streams.stored import WITH_VERSION, read_record, record_fields
from tailrace.streams.version import FIRST_GENERATION, Version

WITH_PARENTS: Final = 2
"""The format of an evacuation since which its shard may have several parents, and needs no hashes."""
LEAD_MS: Final = 7_200_000
"""How long before the trim the copying begins."""
SLOWEST: Final = 2
"""Where copying is slow, it begins so many times earlier than it would just be done."""


class LostChanges(Struct, frozen=True):
    """Changes that were trimmed before they could be copied. Shape: sequence numbers, inclusive."""

    first: int
    last: int


class Evacuation(Struct, frozen=True):
    """How far the changes of one mapping in one shard are saved.

    Shape:   what was not handled behind `begin` and up to `through` is in rows; `closed`: and that is all of
             the shard. `lost` was trimmed before. Table, stream and shard are kept too: the source may have
             forgotten them.
    """

    app: str
    mapping_id: str
    table: str
    stream: tuple[str, str, ViewType, str]
    """ARN, label, view type, region."""
    shard: Shard
    begin: int = 0
    through: int = 0
    closed: bool = False
    lost: tuple[LostChanges, ...] = ()
    version: int = 0
    generation: int = FIRST_GENERATION
    """Of the stream."""

    @property
    def words(self) -> tuple[str, str, str, str]:
        """What names its rows."""
        return self.app, self.mapping_id, self.stream[1], self.shard.shard_id

    @property
    def stamp(self) -> str:
        """This version of this evacuation: one that begins after the last one ended has version 1 again."""
        return f"{self.begin}/{self.version}"

    @property
    def age(self) -> tuple[int, int]:
        """Greater with every write of it, and with every one that follows in its shard."""
        return self.begin, self.version

    @property
    def row_key(self) -> str:
        """One a mapping and shard."""
        return EVACUATION.key(*self.words)

    @property
    def prefix(self) -> str:
        """What the rows of the copied changes begin with."""
        return EVACUATED.prefix(*self.words)

    def key_after(self, sequence: int) -> str:
        """A key below the row of every copied change after this sequence number, and not below an earlier
        one.
        """
        return f"{self.prefix}{Version(self.generation, sequence).text}"


def copied(
    before: Evacuation,
    after: int,
    records: Sequence[ChangeRecord],
    *,
    through: int,
    closed: bool,
    shard: Shard,
    trimmed: bool,
) -> tuple[Evacuation, list[Write]]:
    """These changes, everything of the shard after that sequence number, are saved now. Repeatable: the same
    rows again, and one more version.

    Shape:   `trimmed`: something between the last one saved and these was gone already.
    """
    lost = before.lost
    if trimmed:
        last = records[0].sequence - 1 if records else through
        lost = (*lost, LostChanges(after + 1, max(after + 1, last)))
    saved = replace(
        before,
        through=max(before.through, through),
        closed=closed,
        lost=lost,
        version=before.version + 1,
        shard=shard,
    )
    guard = Equals("stamp", before.stamp) if before.version else Absent()
    rows = [
        Write(saved.key_after(record.sequence), {"v": WITH_VERSION, **record_fields(record)})
        for record in records
    ]
    return saved, [Write(saved.row_key, _fields(saved), guard), *rows]


def ended(evacuation: Evacuation) -> Write:
    """All that was saved is handled: the stream alone goes on."""
    return Write(evacuation.row_key, None, Equals("stamp", evacuation.stamp))


def read_evacuation(app: str, mapping_id: str, fields: Mapping[str, Any]) -> Evacuation:
    """The evacuation behind a row. Raises: StoreError when its format is not known."""
    row = readable(fields, "evacuation", WITH_PARENTS)
    arn, label, view_type, region = row["stream"]
    return Evacuation(
        app,
        mapping_id,
        row["table"],
        (arn, label, view_type, region),
        _read_shard(row["shard"], label, row["v"]),
        int(row["begin"]),
        int(row["through"]),
        row["closed"],
        tuple(LostChanges(int(first), int(last)) for first, last in row["lost"]),
        row["version"],
        row.get("generation", FIRST_GENERATION),
    )


def _read_shard(shard: Mapping[str, Any], label: str, version: int) -> Shard:
    if version < WITH_PARENTS:  # of the embedded engine, as all were
        return Shard(
            shard["id"],
            shard["starting"],
            () if shard["parent"] is None else (shard["parent"],),
            shard["ending"],
            (int(shard["first"], 16), int(shard["last"], 16)),
            label,
            shard["created_ms"],
            shard["before"],
        )
    hashes, last, before = shard["hashes"], shard["last"], shard["before"]
    return Shard(
        shard["id"],
        int(shard["first"]),
        tuple(shard["parents"]),
        None if last is None else int(last),
        None if hashes is None else (int(hashes[0], 16), int(hashes[1], 16)),
        label,
        shard["created_ms"],
        None if before is None else int(before),
    )


def read_evacuated(fields: Mapping[str, Any]) -> ChangeRecord:
    """The change behind a row. Raises: StoreError when its format is not known."""
    row = readable(fields, "evacuated change", WITH_VERSION)
    return read_record(row, row["v"])


def lead_ms(retention_ms: int, copied_ms: int, elapsed_ms: int) -> int:
    """How long before the trim to begin: two hours, more where copying has been slow, at most half of the
    retention.

    Units:   copied_ms of the stream's time were copied in elapsed_ms.

    >>> lead_ms(86_400_000, 3_600_000, 1_000) == LEAD_MS
    True
    >>> lead_ms(86_400_000, 3_600_000, 600_000) // 3_600_000
    8
    """
    needed = retention_ms * elapsed_ms * SLOWEST // copied_ms if copied_ms > 0 else 0
    return min(max(LEAD_MS, needed), retention_ms // 2)


def _fields(evacuation: Evacuation) -> dict[str, Any]:
    shard = evacuation.shard
    last, before, hashes = shard.last, shard.before, shard.hash_range
    return {
        "v": WITH_PARENTS,
        "table": evacuation.table,
        "stream": list(evacuation.stream),
        "begin": str(evacuation.begin),
        "through": str(evacuation.through),
        "closed": evacuation.closed,
        "lost": [[str(gap.first), str(gap.last)] for gap in evacuation.lost],
        "version": evacuation.version,
        "generation": evacuation.generation,
        "stamp": evacuation.stamp,
        "shard": {
            "id": shard.shard_id,
            "first": str(shard.first),
            "last": None if last is None else str(last),
            "parents": list(shard.parents),
            "hashes": None if hashes is None else [f"{bound:016x}" for bound in hashes],
            "created_ms": shard.created_ms,
            "before": None if before is None else str(before),
        },
    }
