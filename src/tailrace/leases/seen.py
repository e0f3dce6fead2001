"""Who numbers by a reset already: the rows in which workers acknowledge it, and who still has to.

Theory of operation: the rows of a scan are newer than what was there before and older than what follows
(leases/generation.py). A worker that has not heard of the reset would number a change that is written during
the scan as one of before it, the sink would ignore it, and the checkpoint would pass it. So the scan waits
until every worker that has a lease of the table's shards has acknowledged the reset. A worker that is not
heard of any more still has its leases: it is waited for until another one has them. Whoever takes a lease
afterwards reads the numbers after that and before its first read.
Rules of this file: pure layouts, format 1, docs/formats/state.md. Called by runtime/reading.py, which
acknowledges, and by snapshots. Source: ADR 65.
Stands alone because it reads the rows of leases beside those of numbers.
"""

from collections.abc import Collection, Iterable

from tailrace.leases.generation import Generations
from tailrace.leases.lease import lease_key, read_lease
from tailrace.rows.kinds import SOURCES_SEEN
from tailrace.rows.writes import VERSION, StateRow, Write, readable
from tailrace.streams.shards import Shard


def seen_write(known: Generations, owner: str) -> Write:
    """The row in which a worker says that it numbers by what is known."""
    row = {"v": VERSION, "owner": owner, "revision": known.revision}
    return Write(SOURCES_SEEN.key(known.app, known.table, owner), row)


def seen_prefix(app: str, table: str) -> str:
    """What the rows of all workers begin with."""
    return SOURCES_SEEN.prefix(app, table)


def still_to_see(
    known: Generations, shards: Collection[Shard], leases: Iterable[StateRow], seen: Iterable[StateRow]
) -> list[str]:
    """The workers that may read the table without knowing its newest reset, by name.

    Shape:   `shards` are those of the table that can be read; `leases` and `seen` are rows that were read
             after the reset was durable. Raises: StoreError for a row of an unknown format.
    """
    keys = {lease_key(known.app, *shard.place) for shard in shards}
    owners = {
        lease.owner for row in leases if row.key in keys and (lease := read_lease(row.key, row.fields)).owner
    }
    heard = {
        str(fields["owner"])
        for row in seen
        if (fields := readable(row.fields, "acknowledgement of a reset"))["revision"] >= known.revision
    }
    return sorted(owners - heard)
