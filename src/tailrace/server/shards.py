"""Verbs about shards: those of a table's stream, and splitting them.

Rules of this file: a split is the engine's own, in one commit with its children. Registered by `verbs`.
Stands alone as every family of verbs does.
"""

from collections.abc import Sequence
from typing import Any

from tailrace.engine.engine import Engine
from tailrace.errors import TailraceError
from tailrace.server.control import Arguments, Subject, verb
from tailrace.server.tail import check_table
from tailrace.streams.shards import HASHES, Shard
from tailrace.views.shards import shard_values


@verb("shards.ls", works_afar=True)
async def ls(subject: Subject, arguments: Arguments) -> object:
    """Arguments: table."""
    table = table_of(arguments)
    if subject.is_far:
        return {"table": table, "shards": await shard_values(subject.reading, table)}
    return {"table": table, "shards": shown(shards_of(subject.engine, table))}


@verb("shards.split", changes=True, works_offline=True)
async def split(subject: Subject, arguments: Arguments) -> object:
    """Arguments: table, shard (all open ones without it), dry_run."""
    table, engine = table_of(arguments), subject.engine
    before = [shard for shard in shards_of(engine, table) if not shard.is_closed]
    chosen = [shard for shard in before if arguments.get("shard") in (None, shard.shard_id)]
    if not arguments.get("dry_run"):
        engine.split_shards(table, arguments.get("shard"))
        await subject.settle()
    open_now = [shard for shard in shards_of(engine, table) if not shard.is_closed]
    return {"table": table, "split": [shard.shard_id for shard in chosen], "shards": shown(open_now)}


def table_of(arguments: Arguments) -> str:
    """The table that is meant. Raises: TailraceError."""
    table = arguments.get("table")
    if not isinstance(table, str) or not table:
        raise TailraceError("This needs the name of a table.", hint="tailrace status")
    return table


def shards_of(engine: Engine, table: str) -> list[Shard]:
    """Every readable shard of the stream that is on. Raises: TailraceError that names the tables."""
    check_table(engine, table)
    return engine.shards_of(engine.stream_of(table).arn)


def _share(shard: Shard) -> float | None:
    if shard.hash_range is None:
        return None
    first, last = shard.hash_range
    return (last - first + 1) / HASHES


def shown(shards: Sequence[Shard]) -> list[dict[str, Any]]:
    """Shards as JSON; `share` is a shard's part of all partition keys, None: unknown."""
    return [
        {
            "shard": shard.shard_id,
            "parent": next(iter(shard.parents), None),
            "closed": shard.is_closed,
            "share": _share(shard),
        }
        for shard in shards
    ]
