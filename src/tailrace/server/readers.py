"""How the handlers of a worker without an engine stand, as its readers know it: nothing is read for it.

Theory of operation: a node asks its own log what each handler has not settled; a worker would have to ask for
records, which costs reads that its shards have not to spare. Its readers know what they have read and not
settled, and when they last saw nothing; shards that other workers read are told by these. A handler of which
no shard is read here, or whose stream could not be listed for a minute, is as late as that listing is old.
Rules of this file: rows and what is in memory; no stream is asked. Called by server/fleet.py. Stands alone
because a node's look (snapshot.py) is of the log.
"""

from typing import Final

from tailrace.app.app import App
from tailrace.runtime.sight import Sight
from tailrace.runtime.watermark import MappingName
from tailrace.server.observe import ShardProgress
from tailrace.views.live import live_status
from tailrace.views.reading import ViewSources

UNLISTED_MS: Final = 60_000
"""A listing that is older counts beside reads that succeed: shards may have begun that are not known."""


def declared_mappings(app: App) -> list[MappingName]:
    """The handlers of an app, whether or not a shard of theirs is read here."""
    return [MappingName(app.name, mapping.id, mapping.table.name) for mapping in app.mappings]


def readers_progress(reading: ViewSources, sight: Sight, mapping: MappingName) -> list[ShardProgress]:
    """How a handler stands in each shard that is read here; at least one entry. Shape: that of its table as
    a whole names no shard.
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
    unlisted_ms = sight.unlisted_ms(mapping.table)
    if not progress or unlisted_ms > UNLISTED_MS:
        progress.append(
            ShardProgress(mapping.handler, mapping.table, "", None, unlisted_ms, lag_ms=unlisted_ms)
        )
    return progress
