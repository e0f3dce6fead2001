"""The contract of `Mirror`: deletions are remembered, scans complete it, what is compared is what is there.

Theory of operation: beside single rules there are random histories: items that are changed, deleted and put
again over several generations, delivered twice, replayed from earlier, mixed over keys, by two sinks over one
target, with scan rows and sweeps between them. Whatever the order, each item is in the end what its newest
change says, as a dozen lines of the law compute it here again.
Rules of this file: a seed is a history; nothing is random but by it. Called by tests/contracts and by users.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from msgspec import structs
from msgspec.structs import replace

from tailrace.clocks.manual import ManualClock
from tailrace.ports import Mirror, RecordBatch, Sink, SinkRow, Versioned, Written
from tailrace.streams.record import ChangeRecord, change_record
from tailrace.streams.version import Version
from tailrace.testing.contracts.rules import holds, run_async, same, with_both_open
from tailrace.testing.contracts.sink import START_MS, STREAM

CLOCK: Final = ManualClock()
START_US: Final = START_MS * 1_000
HISTORIES: Final = 6
WIDE: Final = 10**39
"""A position of another server's stream: no time."""
MANY: Final = 100


class MirrorSink(Sink, Versioned, Mirror, Protocol):
    """A sink that is all three."""


class Place(NamedTuple):
    """What a rule works with.

    Shape:   `other` is a second sink over the same target; `shown` gives the attribute `n` of each item that
             readers of the target see, by its key `pk`.
    """

    sink: MirrorSink
    other: MirrorSink
    shown: Callable[[Any], Mapping[str, int]]


def check_mirror_sink(
    make: Callable[[], MirrorSink],
    shown: Callable[[Any], Mapping[str, int]],
    *,
    again: Callable[[Any], MirrorSink],
) -> None:
    """Whether a sink keeps the contract of `ports.Mirror`.

    Shape:   `make` gives a sink over a new, empty target; it is called inside a running loop. `again(sink)`
             gives another sink over the same target, as another worker has it. `shown(sink)` gives what
             readers of the target see: the attribute `n` of each item, by its key `pk`. Items are
             `{"pk": "a", "n": 1}`, of the key `pk` alone.
    Raises:  ContractBroken, naming the rule.
    """

    def place() -> Place:
        sink = make()
        return Place(sink, again(sink), shown)

    run_async(with_both_open(RULES, CLOCK), place)


async def a_deletion_is_remembered(place: Place) -> None:
    """After a deletion nothing older brings the item back, also of an item that was never there; what is
    newer does.
    """
    await _write(place.sink, put("a", 1, (1, 5)), gone("a", (1, 8)), gone("b", (1, 8)))
    await _write(place.other, put("a", 2, (1, 7)), put("b", 2, (1, 7)), put("a", 3, (0, 10**15)))
    same(dict(place.shown(place.sink)), {}, "what is shown")
    await _write(place.sink, put("b", 4, (1, 9)))
    same(dict(place.shown(place.other)), {"b": 4}, "what is shown after a newer change")


async def the_newest_of_a_batch_is_written(place: Place) -> None:
    """Of several changes of an item in one batch the newest counts, in whatever order they stand."""
    await _write(place.sink, put("a", 3, (1, 7)), put("a", 1, (1, 5)), put("b", 1, (1, 5)), gone("b", (1, 6)))
    await _write(place.sink, gone("c", (1, 5)), put("c", 2, (2, 1)), put("d", 2, (2, 1)), gone("d", (1, 9)))
    same(dict(place.shown(place.sink)), {"a": 3, "c": 2, "d": 2}, "what is shown")


async def a_scan_replaces_nothing_that_a_change_has_written(place: Place) -> None:
    """A row of a scan is written where its item has no newer row, deleted ones included."""
    await _write(place.sink, put("a", 5, (1, 1)), gone("b", (1, 2)))
    await _scan(
        place.sink, put("a", 1, (0, START_US)), put("b", 1, (0, START_US)), put("c", 1, (0, START_US))
    )
    same(dict(place.shown(place.sink)), {"a": 5, "c": 1}, "what is shown")
    await _scan(place.sink, put("a", 7, (2, START_US)), put("c", 6, (0, START_US - 1)))
    same(dict(place.shown(place.sink)), {"a": 7, "c": 1}, "what is shown after a later scan")


async def rows_are_listed_in_pages(place: Place) -> None:
    """`rows` lists each row once, deleted ones too, in the order of keys, with its version."""
    same(list(await place.sink.rows(b"", 3)), [], "the rows of an empty target")
    await _write(place.sink, *(put(item, 1, (1, number)) for number, item in enumerate("bdac", 1)))
    await _write(place.sink, gone("d", (1, 9)))
    rows = await _rows(place.other, 3)
    seen = [(row.key, row.version, row.is_deleted) for row in rows]
    expected = [(b"a", (1, 3), False), (b"b", (1, 1), False), (b"c", (1, 4), False), (b"d", (1, 9), True)]
    same(seen, [(key, Version(*version), deleted) for key, version, deleted in expected], "the rows")


async def a_digest_is_of_what_is_shown(place: Place) -> None:
    """A row's digest is that of the change that it was written from, whatever its version and in whatever
    order its attributes stand; another image has another one; a deleted row's is empty.
    """
    changes = [put("a", 1, (1, 1)), put("b", 1, (1, 2)), gone("c", (1, 3))]
    await _write(place.sink, *changes)
    rows = await _rows(place.sink)
    digests = [row.digest for row in rows]
    same(list(await place.sink.digests(_batch(changes))), digests, "the digests")
    holds(len(set(digests)) == 3 and digests[2] == b"", f"the digests are {digests}")
    turned = structs.replace(put("a", 1, (2, 8)), new=b'{"n":{"N":"1"},"pk":{"S":"a"}}')
    later = await place.other.digests(_batch([turned, put("a", 2, (1, 1))]))
    holds(later[0] == digests[0], "the digest of one image depends on its version or the order in it")
    holds(later[1] != digests[0], "two images have one digest")
    same(await _rows(place.sink), rows, "the rows after asking")


async def a_sweep_deletes_what_is_old(place: Place) -> None:
    """A sweep deletes rows below a version, at most so many at once, inside its keys; what is as new or newer
    stays, and nothing older than the sweep comes back.
    """
    await _write(place.sink, *(put(item, 1, (1, 5)) for item in "abcde"), gone("f", (1, 5)))
    await _scan(place.sink, put("c", 2, (2, START_US)))
    await _write(place.sink, put("d", 3, (3, 1)))
    tombstone = Version(2, START_US + 9)
    same(
        await place.other.sweep(b"b", b"e", Version(2, 0), tombstone, 9),
        1,
        "how many are swept between b and e",
    )
    same(dict(place.shown(place.sink)), {"a": 1, "c": 2, "d": 3, "e": 1}, "what is shown")
    for swept in (1, 1, 0):
        same(await place.sink.sweep(b"", None, Version(2, 0), tombstone, 1), swept, "how many are swept")
    await _write(place.sink, *(put(item, 4, (1, 900)) for item in "abe"), put("a", 5, (2, START_US + 8)))
    same(dict(place.shown(place.sink)), {"c": 2, "d": 3}, "what is shown after older changes")
    await _write(place.sink, put("a", 6, (3, 1)))
    same(dict(place.shown(place.sink)), {"a": 6, "c": 2, "d": 3}, "what is shown after a newer change")
    kept = {row.key: row.version for row in await _rows(place.sink)}
    same(kept[b"b"], tombstone, "the version of a swept row")
    same(kept[b"f"], Version(1, 5), "the version of a row that was deleted before")


async def mending_compares_and_sets(place: Place) -> None:
    """`mend` writes a row whose version is the one that was seen, also a deleted or missing one, and no
    other.
    """
    await _write(place.sink, put("a", 1, (1, 5)), put("b", 1, (1, 5)), gone("c", (1, 5)))
    changes = [put("a", 2, (1, 5)), put("b", 2, (1, 4)), put("c", 2, (1, 5)), put("d", 2, (0, 1))]
    seen = [Version(1, 5), Version(1, 4), Version(1, 5), None]
    same(list(await place.sink.mend(_batch(changes), seen)), [True, False, True, True], "which were mended")
    same(dict(place.shown(place.other)), {"a": 2, "b": 1, "c": 2, "d": 2}, "what is shown")
    again = await place.other.mend(_batch([gone("a", (1, 5)), put("d", 3, (0, 2))]), [Version(1, 5), None])
    same(list(again), [True, False], "which were mended")
    same(dict(place.shown(place.other)), {"b": 1, "c": 2, "d": 2}, "what is shown after a deletion")


async def old_deletions_are_forgotten(place: Place) -> None:
    """`forget` takes away rows that were deleted before a time, at most so many at once, and nothing that is
    shown or was deleted then or later.
    """
    changes = [gone(item, (1, number), START_US + number) for number, item in enumerate("abcd")]
    await _write(place.sink, *changes, put("e", 1, (1, 0), START_US))
    for forgotten in (2, 1, 0):
        same(await place.sink.forget(START_US + 3, 2), forgotten, "how many are forgotten")
    same([row.key for row in await _rows(place.other)], [b"d", b"e"], "the rows that are left")
    await _write(place.sink, put("a", 7, (1, 0)))
    same(dict(place.shown(place.sink)), {"a": 7, "e": 1}, "what is shown")


async def a_swept_row_is_old_from_then_on(place: Place) -> None:
    """What a sweep deletes is as old as the sweep, by the sink's clock, whatever version it gets."""
    await _write(place.sink, put("a", 1, (1, 5)))
    same(await place.sink.sweep(b"", None, Version(2, 0), Version(2, WIDE), 9), 1, "how many are swept")
    now_us = CLOCK.now().wall_ms * 1_000
    same(await place.sink.forget(now_us - 1, 9), 0, "how many are forgotten as older than the sweep")
    same(await place.sink.forget(now_us + 60_000_000, 9), 1, "how many are forgotten later")


async def whatever_the_order_it_converges(place: Place) -> None:
    """After any history of changes, repeats, replays, scans and sweeps by two sinks, in any order, each item
    is what its newest change says.
    """
    for seed in range(HISTORIES):
        expected = await _history(place, random.Random(seed), f"h{seed}-")
        shown = {key: n for key, n in place.shown(place.sink).items() if key.startswith(f"h{seed}-")}
        same(shown, expected, f"what is shown after history {seed}")


async def two_writers_at_once_converge(place: Place) -> None:
    """Two sinks that write the same keys at the same time leave the newest of each."""
    for turn in range(HISTORIES):
        draw = random.Random(turn)
        items = [f"t{turn}-{number}" for number in range(8)]
        batches = [
            [put(draw.choice(items), number, (1, number + 1)) for number in draw.sample(range(40), 20)]
            for _ in range(4)
        ]
        sinks = (place.sink, place.other)
        await asyncio.gather(*(_write(sinks[index % 2], *batch) for index, batch in enumerate(batches)))
        expected: dict[str, int] = {}
        for record in sorted((record for batch in batches for record in batch), key=lambda one: one.version):
            expected[record.key.decode()] = record.sequence - 1
        shown = {key: n for key, n in place.shown(place.sink).items() if key.startswith(f"t{turn}-")}
        same(shown, expected, f"what is shown after turn {turn}")


async def _history(place: Place, draw: random.Random, prefix: str) -> dict[str, int]:
    """One history, delivered. Returns: what must be shown."""
    changes: list[ChangeRecord] = []
    for number in range(MANY):
        item = prefix + draw.choice("abcdef")
        version = (1 + number // 40, number % 40 + 1)
        changes.append(gone(item, version) if draw.random() < 0.3 else put(item, number, version))
    last = {record.key: record for record in changes}
    sent = [*changes, *draw.sample(changes, MANY // 2)]
    draw.shuffle(sent)
    while sent:
        size = draw.randrange(1, 25)
        part, sent = sent[:size], sent[size:]
        sink = draw.choice((place.sink, place.other))
        match draw.randrange(4):
            case 0:
                await _scan(
                    sink,
                    *(structs.replace(one, generation=0, event_name="INSERT") for one in part if one.new),
                )
            case 1:
                await sink.sweep(prefix.encode(), prefix.encode() + b"\xff", Version(1, 0), Version(1, 0), 3)
        await _write(sink, *part)
    return {key.decode(): _n(record) for key, record in last.items() if record.event_name != "REMOVE"}


def _n(record: ChangeRecord) -> int:
    return (record.generation - 1) * 40 + record.sequence - 1


def put(item: str, n: int, version: tuple[int, int], created_us: int = START_US) -> ChangeRecord:
    """A change that leaves this item. Shape: of the key `pk` and the attribute `n`."""
    return _record(item, version, created_us, b'{"pk":{"S":"%b"},"n":{"N":"%d"}}' % (item.encode(), n))


def gone(item: str, version: tuple[int, int], created_us: int = START_US) -> ChangeRecord:
    """A deletion."""
    return _record(item, version, created_us, None)


def _record(item: str, version: tuple[int, int], created_us: int, new: bytes | None) -> ChangeRecord:
    record = change_record(
        sequence=version[1],
        shard=1,
        created_ms=created_us // 1_000,
        partition=sum(item.encode()),
        key=item.encode(),
        keys={"pk": {"S": item}},
        old=b'{"pk":{"S":"%b"}}' % item.encode() if new is None else None,
        new=new,
        size_bytes=9,
    )
    return structs.replace(record, generation=version[0], created_us=created_us)


def _batch(records: Sequence[ChangeRecord], *, is_snapshot: bool = False) -> RecordBatch:
    return RecordBatch(records, "contract", STREAM, "shardId-1", is_snapshot=is_snapshot)


async def _write(sink: MirrorSink, *records: ChangeRecord) -> None:
    """Write these, each generation's in batches of its own, in the order in which they stand."""
    for generation in sorted({record.generation for record in records}):
        mine = [record for record in records if record.generation == generation]
        batch = _batch(mine)
        outcome = await sink.write(replace(batch, stream=replace(STREAM, generation=generation)))
        holds(isinstance(outcome, Written), f"the outcome is {outcome!r}")


async def _scan(sink: MirrorSink, *records: ChangeRecord) -> None:
    outcome = await sink.write(_batch(records, is_snapshot=True))
    holds(isinstance(outcome, Written), f"the outcome of a scan's rows is {outcome!r}")


async def _rows(sink: MirrorSink, page: int = 100) -> list[SinkRow]:
    rows: list[SinkRow] = []
    while True:
        after = rows[-1].key if rows else b""
        more = await sink.rows(after, page)
        holds(all(row.key > after for row in more), f"a row after {after!r} is not behind it")
        rows += more
        if len(more) < page:
            return rows


RULES: Final[tuple[Callable[[Place], Awaitable[None]], ...]] = (
    a_deletion_is_remembered,
    the_newest_of_a_batch_is_written,
    a_scan_replaces_nothing_that_a_change_has_written,
    rows_are_listed_in_pages,
    a_digest_is_of_what_is_shown,
    a_sweep_deletes_what_is_old,
    mending_compares_and_sets,
    old_deletions_are_forgotten,
    a_swept_row_is_old_from_then_on,
    whatever_the_order_it_converges,
    two_writers_at_once_converge,
)
