"""The shards of a table's streams at another server: which continue which, which worker reads them, and how
long what waits in them can still be read.

Rules of this file: it only reads, one page a handler and shard as `status` does. Stands alone because the
shards of the engine are asked without a handler. Called by the `shards` verbs from afar.
"""

from typing import Any

from tailrace.errors import TailraceError
from tailrace.runtime.watermark import HandlerPosition, positions
from tailrace.views.leases import leases
from tailrace.views.progress import begun
from tailrace.views.reading import ViewSources


async def shard_values(reading: ViewSources, table: str) -> list[dict[str, Any]]:
    """The shards of all streams of a table, as `tailrace shards ls --json` has them. Shape: `owner` is the
    worker that has the lease; `waiting` are handlers that have changes to handle there, and `finished` those
    that are done with it. Units: retention_left_ms until the oldest of these changes may be trimmed; None
    where none waits.

    Raises:  TailraceError that names the tables; SourceError, StoreError.
    """
    streams = [stream for stream in await reading.log.streams() if stream.table == table]
    if not streams:
        names = ", ".join(dict.fromkeys(stream.table for stream in await reading.log.streams())) or "none"
        raise TailraceError(
            f"The app follows no stream of a table {table!r}; there are: {names}.", hint="tailrace status"
        )
    owners = await leases(reading.state, reading.app)
    mappings = [mapping for mapping in await begun(reading) if mapping.table == table]
    standing: dict[tuple[str, str], list[HandlerPosition]] = {}
    async for place in positions(reading.state, reading.log, mappings):
        standing.setdefault((place.label, place.shard.shard_id), []).append(place)
    values = []
    for stream in streams:
        for shard in await reading.log.shards(stream):
            key = (stream.label, shard.shard_id)
            there, lease = standing.get(key, []), owners.get(key)
            values.append(
                {
                    "shard": shard.shard_id,
                    "parent": next(iter(shard.parents), None),
                    "parents": list(shard.parents),
                    "closed": shard.is_closed,
                    "share": None,
                    "stream": stream.label,
                    "owner": (lease.owner or None) if lease is not None else None,
                    "waiting": sorted({place.mapping.handler for place in there if place.oldest is not None}),
                    "finished": sorted({place.mapping.handler for place in there if place.finished}),
                    "retention_left_ms": _left_ms(reading, there),
                }
            )
    return values


def _left_ms(reading: ViewSources, there: list[HandlerPosition]) -> int | None:
    created = [place.oldest.created_ms for place in there if place.oldest is not None]
    if not created:
        return None
    return max(0, min(created) + reading.retention_ms - reading.clock.now().wall_ms)
