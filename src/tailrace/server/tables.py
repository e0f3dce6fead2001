"""The tables of an engine, for people.

Rules of this file: it only reads, and it is the engine's own: a table lies in one engine, its handlers may
run anywhere. Called by the verbs, the snapshot and `dev`.
"""

from collections.abc import Iterator
from typing import Any

from tailrace.engine.engine import Engine


def tables(engine: Engine) -> Iterator[str]:
    """The names of all tables."""
    start: str | None = None
    while True:
        page = engine.list_tables(start)
        yield from page["TableNames"]
        start = page.get("LastEvaluatedTableName")
        if start is None:
            return


def table_values(engine: Engine) -> list[dict[str, Any]]:
    """The tables: the stream of each, the shards of it, and the data streams that it is copied to."""
    standing = engine.destinations.deliveries.standing()
    return [
        {
            **table_value(engine, table),
            "destinations": [
                {
                    "stream": one.stream_arn,
                    "status": one.status,
                    "oldest_ms": one.oldest_ms,
                    "throttled": one.throttled,
                    "failed": one.failed,
                    "lost": one.lost,
                }
                for one in standing
                if one.table == table
            ],
        }
        for table in tables(engine)
    ]


def table_value(engine: Engine, table: str) -> dict[str, Any]:
    """One table: its stream, and the shards of it."""
    description = engine.describe_table(table)
    stream = description.get("StreamSpecification") or {}
    shards = {"open": 0, "closed": 0}
    if stream.get("StreamEnabled"):
        for shard in engine.shards_of(description["LatestStreamArn"]):
            shards["closed" if shard.is_closed else "open"] += 1
    return {
        "table": table,
        "items": description.get("ItemCount", 0),
        "view_type": stream.get("StreamViewType"),
        "shards": shards,
    }
