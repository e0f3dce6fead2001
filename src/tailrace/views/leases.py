"""Who reads which shard, as the lease rows say.

Rules of this file: it only reads; whether a lease has expired is for its observers, by their own clocks.
Called by `status`, which says of each shard who reads it; it stands alone because a fleet's members and
hand-overs are told beside it.
"""

from tailrace.leases.lease import Lease, read_lease
from tailrace.ports import StateStore
from tailrace.rows.kinds import LEASE, words_of
from tailrace.runtime.pages import rows


async def leases(state: StateStore, app: str) -> dict[tuple[str, str], Lease]:
    """Every lease of an app, by stream label and shard; one that was given back is among them."""
    by_shard: dict[tuple[str, str], Lease] = {}
    async for row in rows(state, LEASE.prefix(app)):
        _, _, label, shard_id = words_of(row.key)
        by_shard[label, shard_id] = read_lease(row.key, row.fields)
    return by_shard
