"""How the handlers of a worker without an engine stand, as its readers know it: nothing is read for it.

Theory of operation: a node asks its own log what each handler has not settled; a worker would have to ask for
records, which costs reads that its shards have not to spare. Its readers know what they have read and not
settled, and when they last saw nothing; shards that other workers read are told by these, and those that no
worker reads by the one that sees to them (worker/watching.py). A handler of which no shard is told here, or
whose stream could not be listed for a minute, is as late as that listing is old.
Rules of this file: rows and what is in memory; no stream is asked. Called by server/fleet.py. Stands alone
because a node's look (snapshot.py) is of the log.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from tailrace.app.app import App
from tailrace.runtime.sight import Sight
from tailrace.runtime.watermark import MappingName
from tailrace.server.observe import ShardProgress
from tailrace.views.live import live_status
from tailrace.views.reading import ViewSources
from tailrace.worker.watching import UnreadShard
from tailrace.worker.worker import Worker

STATES: Final = ("read", "unread", "unowned")
UNLISTED_MS: Final = 60_000
"""A listing that is older counts beside reads that succeed: shards may have begun that are not known."""


def declared_mappings(app: App) -> list[MappingName]:
    """The handlers of an app, whether or not a shard of theirs is read here."""
    return [MappingName(app.name, mapping.id, mapping.table.source) for mapping in app.mappings]


def unread_of(worker: Worker, mapping_id: str) -> Sequence[UnreadShard]:
    """The shards of a mapping that no worker reads, as far as this one tells them."""
    return () if worker.watch is None else worker.watch.of(mapping_id)


def shard_states(worker: Worker, sight: Sight) -> Mapping[tuple[str, str], int]:
    """How many shards of each table are in which state, as this worker knows it: `read` here, which means
    that a read of it succeeded within a minute; `unread`, whose lease it has all the same; `unowned`, which
    no living worker has, where this one tells them. A shard that is only listed is in none of them.
    """
    read: dict[tuple[str, str, str], bool] = {}
    for status in worker.status():
        shard = status.table, status.label, status.shard_id
        read[shard] = read.get(shard, False) or sight.unread_ms(status) <= UNLISTED_MS
    counts = Counter((table, "read" if is_read else "unread") for (table, *_), is_read in read.items())
    if worker.watch is not None:
        counts.update({(table, "unowned"): count for table, count in worker.watch.unowned.items()})
        held = {(shard.table, *place) for place, shard in worker.watch.held.items()} - read.keys()
        counts.update((table, "unread") for table, *_ in held)
    for table in {mapping.table.name for mapping in worker.app.mappings}:
        for state in STATES:
            counts.setdefault((table, state), 0)
    return counts


def readers_progress(
    reading: ViewSources, sight: Sight, mapping: MappingName, unread: Sequence[UnreadShard] = ()
) -> list[ShardProgress]:
    """How a handler stands in each shard that is read here, and in those that are `unread` and told here; at
    least one entry. Shape: that of its table as a whole names no shard.
    """
    now = reading.clock.now()
    progress = [
        ShardProgress(
            handler=mapping.handler,
            table=mapping.table,
            shard=status.shard_id,
            oldest_unsettled_ms=(
                None if status.read.oldest_ms is None else max(0, now.wall_ms - status.read.oldest_ms)
            ),
            still_ms=max(0, now.monotonic_ms - status.last_progress_ms),
            lag_ms=sight.lag_ms(status),
        )
        for status in live_status(reading.live, mapping).values()
    ]
    progress += [
        ShardProgress(
            handler=mapping.handler,
            table=mapping.table,
            shard=shard.shard_id,
            oldest_unsettled_ms=None if shard.oldest_ms is None else max(0, now.wall_ms - shard.oldest_ms),
            still_ms=max(0, now.monotonic_ms - shard.since_ms),
            lag_ms=max(0, now.monotonic_ms - shard.looked_ms),
        )
        for shard in unread
    ]
    unlisted_ms = sight.unlisted_ms(mapping.table)
    if not progress or unlisted_ms > UNLISTED_MS:
        progress.append(
            ShardProgress(mapping.handler, mapping.table, "", None, unlisted_ms, lag_ms=unlisted_ms)
        )
    return progress
