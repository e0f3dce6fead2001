"""A fleet, or a node, at one moment: its workers, its shards, how far handlers are behind and with which
keys; and what happened between two moments.

Theory of operation: everything is read from rows and streams, so it is the same from any machine. How often
the state is written stands in the rows themselves: a checkpoint counts its writes under its epoch, leases
and workers count theirs, so two moments tell what was written between them, whichever worker wrote it. Keys
are counted among the changes that wait, where most wait: of each shard the first page.
Rules of this file: it only reads; numbers of two moments are compared by `between`, which is pure. One read
of the stream a handler and shard, and one more of each shard that waits, up to HOT_SHARDS. Called by the
`top` verb.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tailrace.deadletters.core.redrive import key_words
from tailrace.deadletters.views.letters import letter_counts
from tailrace.leases.lease import Lease
from tailrace.rows.kinds import CHECKPOINT
from tailrace.runtime.pages import rows
from tailrace.runtime.watermark import HandlerPosition, MappingName, positions
from tailrace.views.gaps import gap_age_ms, open_gaps
from tailrace.views.leases import leases, signs
from tailrace.views.live import live_status
from tailrace.views.pauses import is_paused
from tailrace.views.progress import begun, totals
from tailrace.views.reading import ViewSources

HOT_SHARDS: Final = 20
HOT_PAGE: Final = 1_000
HOT_KEYS: Final = 20


async def fleet(reading: ViewSources) -> dict[str, Any]:
    """A fleet at this moment, as `tailrace top --json` has it. Raises: SourceError, StoreError."""
    now = reading.clock.now()
    handlers: list[dict[str, Any]] = []
    shards: dict[tuple[str, str, str], dict[str, Any]] = {}
    waiting: list[HandlerPosition] = []
    held: dict[str, Mapping[tuple[str, str], Lease]] = {}
    for mapping in await begun(reading):
        if mapping.app not in held:
            held[mapping.app] = await leases(reading.state, mapping.app)
        there = [place async for place in positions(reading.state, reading.log, [mapping])]
        handlers.append(await _handler(reading, mapping, there))
        for place in there:
            _note_shard(shards, place, held[mapping.app], now.wall_ms)
        waiting += [place for place in there if place.oldest is not None]
    listed = sorted(shards.values(), key=lambda shard: (-shard["lag_ms"], shard["table"], shard["shard"]))
    return {
        "wall_ms": now.wall_ms,
        "monotonic_ms": now.monotonic_ms,
        "workers": _workers(held.values(), listed),
        "handlers": handlers,
        "shards": listed,
        "hot_keys": await _hot_keys(reading, waiting),
        "writes": await _writes(reading),
    }


async def _handler(
    reading: ViewSources, mapping: MappingName, there: Sequence[HandlerPosition]
) -> dict[str, Any]:
    """One handler. Units: lag_ms is the age of its oldest change that waits, or is lost in an open gap."""
    now_ms = reading.clock.now().wall_ms
    letters = await letter_counts(reading.state, mapping.app, mapping.handler)
    lost = await open_gaps(reading.state, mapping)
    live = live_status(reading.live, mapping).values()
    ages = [_age_ms(place, now_ms) for place in there]
    return {
        "handler": mapping.handler,
        "app": mapping.app,
        "table": mapping.table,
        "paused": await is_paused(reading.state, mapping.app, mapping.handler),
        "lag_ms": max([gap_age_ms(reading, lost) or 0, *ages]),
        "shards": len(there),
        "waiting_shards": sum(place.oldest is not None for place in there),
        "parked_keys": letters.parked_keys,
        "dead_letters": letters.discarded + letters.parked,
        "open_gaps": len(lost),
        "in_flight": sum(status.in_flight for status in live) if live else None,
        "settled": sum((await totals(reading.state, mapping)).values()),
    }


def _age_ms(place: HandlerPosition, now_ms: int) -> int:
    return 0 if place.oldest is None else max(0, now_ms - place.oldest.created_ms)


def _note_shard(
    shards: dict[tuple[str, str, str], dict[str, Any]],
    place: HandlerPosition,
    held: Mapping[tuple[str, str], Lease],
    now_ms: int,
) -> None:
    """A shard, for all handlers that read it: finished when all have finished it."""
    lease = held.get((place.label, place.shard.shard_id))
    key = (place.mapping.app, place.label, place.shard.shard_id)
    shard = shards.setdefault(
        key,
        {
            "app": place.mapping.app,
            "table": place.mapping.table,
            "stream": place.label,
            "shard": place.shard.shard_id,
            "closed": place.shard.is_closed,
            "owner": lease.owner or None if lease is not None else None,
            "lag_ms": 0,
            "waiting": 0,
            "finished": True,
        },
    )
    shard["lag_ms"] = max(shard["lag_ms"], _age_ms(place, now_ms))
    shard["waiting"] += place.oldest is not None
    shard["finished"] = shard["finished"] and place.finished


def _workers(held: Any, shards: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Who holds leases, most first. Units: lag_ms of the shard that is furthest behind."""
    counts = Counter(lease.owner for by_shard in held for lease in by_shard.values() if lease.owner)
    behind: dict[str, int] = {}
    for shard in shards:
        if shard["owner"] is not None:
            behind[shard["owner"]] = max(shard["lag_ms"], behind.get(shard["owner"], 0))
    return [
        {"worker": owner, "leases": count, "lag_ms": behind.get(owner, 0)}
        for owner, count in sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    ]


async def _hot_keys(reading: ViewSources, waiting: Sequence[HandlerPosition]) -> list[dict[str, Any]]:
    """The items with most changes that wait, as they stand in the first page of each shard. Shape: `changes`
    of them, `handler` for which they wait.
    """
    now_ms = reading.clock.now().wall_ms
    counts: Counter[tuple[str, str, str]] = Counter()
    for place in sorted(waiting, key=lambda place: -_age_ms(place, now_ms))[:HOT_SHARDS]:
        page = await reading.log.read(place.shard, place.watermark, HOT_PAGE)
        for record in page.records:
            if not any(first <= record.sequence <= last for first, last in place.ranges):
                counts[place.mapping.handler, place.mapping.table, key_words(record)] += 1
    return [
        {"handler": handler, "table": table, "key": key, "changes": count}
        for (handler, table, key), count in counts.most_common(HOT_KEYS)
    ]


async def _writes(reading: ViewSources) -> dict[str, dict[str, list[int]]]:
    """How often rows were written, by kind and key: `[epoch, writes under it]` of checkpoints, `[0, writes]`
    of the others.
    """
    checkpoints = {
        row.key: [int(part) for part in str(row.fields.get("revision", "0/0")).split("/")]
        async for row in rows(reading.state, CHECKPOINT.prefix(*reading.scope))
    }
    owned = {key: [0, counter] for key, (_, counter) in (await signs(reading.state, *reading.scope)).items()}
    return {"checkpoints": checkpoints, "leases and heartbeats": owned}


# ---- between two moments -----------------------------------------------------------------------------------


def between(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """What happened between two moments of a fleet: changes settled a second by handler, and writes of its
    state a second by kind.

    >>> def at(ms, settled, writes):
    ...     handler = {"app": "shop", "handler": "mail", "settled": settled}
    ...     return {"monotonic_ms": ms, "handlers": [handler], "writes": {"checkpoints": {"row": writes}}}
    >>> between(at(0, 10, [1, 4]), at(2_000, 30, [1, 8]))
    {'seconds': 2.0, 'settled': {'shop/mail': 10.0}, 'writes': {'checkpoints': 2.0}}
    >>> between(at(0, 10, [1, 4]), at(2_000, 30, [2, 1]))["writes"]  # the stamp of a new epoch, and one more
    {'checkpoints': 1.0}
    """
    seconds = max(0.001, (after["monotonic_ms"] - before["monotonic_ms"]) / 1_000)
    known = {_name(handler): handler["settled"] for handler in before["handlers"]}
    settled = {
        _name(handler): max(0, handler["settled"] - known.get(_name(handler), handler["settled"])) / seconds
        for handler in after["handlers"]
    }
    writes = {
        kind: sum(_made(before["writes"].get(kind, {}).get(key), now) for key, now in by_key.items())
        / seconds
        for kind, by_key in after["writes"].items()
    }
    return {"seconds": seconds, "settled": settled, "writes": writes}


def _name(handler: Mapping[str, Any]) -> str:
    return f"{handler['app']}/{handler['handler']}"


def _made(before: Sequence[int] | None, after: Sequence[int]) -> int:
    """How many writes a row's numbers tell of. A row that is new was written as often as it says."""
    epoch, writes = after
    if before is None or before[0] != epoch:
        return writes + 1
    return max(0, writes - before[1])
