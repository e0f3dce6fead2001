"""The contract of `Versioned`: what a sink does with changes out of order, and of another history.

Rules of this file: only versions are compared, for what a row holds beside its version is `check_sink`'s.
Called by tests/contracts and by users.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple, Protocol

from msgspec import structs
from msgspec.structs import replace

from tailrace.clocks.manual import ManualClock
from tailrace.errors import SettingsError
from tailrace.ports import RecordBatch, Sink, Versioned, Written
from tailrace.streams.record import ChangeRecord, change_record
from tailrace.streams.version import MOST_SEQUENCE, Version
from tailrace.testing.contracts.rules import ContractBroken, holds, run_async, same
from tailrace.testing.contracts.sink import START_MS, STREAM

CLOCK: Final = ManualClock()
WIDE: Final = 10**39


class VersionedSink(Sink, Versioned, Protocol):
    """A sink that is both."""


class Place(NamedTuple):
    """What a rule works with.

    Shape:   `again` gives another sink over the same target, `versions` the version of each row there.
    """

    sink: VersionedSink
    again: Callable[[VersionedSink], VersionedSink]
    versions: Callable[[Any], Mapping[str, Version]]


def check_versioned_sink(
    make: Callable[[], VersionedSink],
    versions: Callable[[Any], Mapping[str, Version]],
    *,
    again: Callable[[Any], VersionedSink],
) -> None:
    """Whether a sink keeps the contract of `ports.Versioned`.

    Shape:   `make` gives a sink over a new, empty target; it is called inside a running loop. `again(sink)`
             gives another sink over the same target, as the next process has it. `versions(sink)` gives the
             version of each item that readers of the target see, by its key `pk`.
    Raises:  ContractBroken, naming the rule.
    """
    run_async(RULES, lambda: Place(make(), again, versions))


async def the_newest_of_an_item_stays(place: Place) -> None:
    """A change replaces an older one of its item and no newer one, in any order; all are Written."""
    await place.sink.open(CLOCK)
    for number, expected in ((5, 5), (9, 9), (7, 9), (9, 9), (10, 10)):
        await _write(place, _changed("a", number))
        _same(place, {"a": Version(1, expected)})
    await _write(place, _changed("b", 3))
    _same(place, {"a": Version(1, 10), "b": Version(1, 3)})
    await place.sink.close()


async def generations_come_before_sequences(place: Place) -> None:
    """A change of a later source is newer, however small its number; of an earlier one, older."""
    await place.sink.open(CLOCK)
    for version, expected in (
        ((1, 900), (1, 900)),
        ((2, 7), (2, 7)),
        ((1, WIDE), (2, 7)),
        ((2, 8), (2, 8)),
        ((10, 1), (10, 1)),
        ((9, 5), (10, 1)),
    ):
        await _write(place, _changed("a", version[1], version[0]))
        _same(place, {"a": Version(*expected)})
    await place.sink.close()


async def wide_numbers_are_exact(place: Place) -> None:
    """Numbers of up to 56 digits are compared and kept digit by digit."""
    await place.sink.open(CLOCK)
    newest = 0
    for number in (
        1 << 63,
        (1 << 63) + 1,
        WIDE + 1,
        WIDE + 2,
        WIDE + 1,
        9,
        MOST_SEQUENCE - 1,
        MOST_SEQUENCE,
        WIDE,
    ):
        newest = max(newest, number)
        await _write(place, _changed("a", number))
        _same(place, {"a": Version(1, newest)})
    await place.sink.close()


async def an_older_deletion_deletes_nothing(place: Place) -> None:
    """A deletion takes away what is older than it, and nothing newer, of its source and of later ones."""
    await place.sink.open(CLOCK)
    await _write(place, _changed("a", 5), _changed("b", 5), _changed("c", 1, 2))
    await _write(place, _deleted("a", 4), _deleted("b", 6), _deleted("c", 900, 1))
    _same(place, {"a": Version(1, 5), "c": Version(2, 1)})
    await _write(place, _deleted("c", 2, 2), _deleted("a", 1, 2))
    _same(place, {})
    await place.sink.close()


async def a_deletion_is_remembered(place: Place) -> None:
    """Nothing older than a deletion brings its item back, from whichever process; what is newer does."""
    await place.sink.open(CLOCK)
    await _write(place, _changed("a", 5), _deleted("a", 8), _deleted("b", 8, 2))
    await place.sink.close()
    after = place._replace(sink=place.again(place.sink))
    await after.sink.open(CLOCK)
    await _write(after, _changed("a", 7), _changed("a", 8), _changed("b", 900, 1))
    _same(after, {})
    await _write(after, _changed("a", 9), _changed("b", 9, 2))
    _same(after, {"a": Version(1, 9), "b": Version(2, 9)})
    await after.sink.close()


async def the_next_process_finds_the_versions(place: Place) -> None:
    """What one sink has written another one over the same target does not replace by something older."""
    await place.sink.open(CLOCK)
    await _write(place, _changed("a", 5, 3))
    await place.sink.close()
    after = place._replace(sink=place.again(place.sink))
    await after.sink.open(CLOCK)
    await _write(after, _changed("a", 900, 2))
    _same(after, {"a": Version(3, 5)})
    await after.sink.close()


async def sources_are_kept_beside_the_rows(place: Place) -> None:
    """The sources are kept in the target with their numbers: the next process finds all of them."""
    await place.sink.open(CLOCK)
    same(dict(await place.sink.sources()), {}, "the sources of an empty target")
    await place.sink.keep_sources({"2026-01-01": 1})
    for _ in range(2):
        await place.sink.keep_sources({"2026-01-02": 2, "2026-01-03": 3})
    expected = {"2026-01-01": 1, "2026-01-02": 2, "2026-01-03": 3}
    same(dict(await place.sink.sources()), expected, "the sources")
    await place.sink.close()
    after = place.again(place.sink)
    await after.open(CLOCK)
    same(dict(await after.sources()), expected, "the sources that the next process finds")
    await after.close()


async def another_history_is_refused(place: Place) -> None:
    """A source that is there with another number is refused by name, and nothing of it is kept."""
    await place.sink.open(CLOCK)
    await place.sink.keep_sources({"2026-01-01": 17})
    try:
        await place.sink.keep_sources({"2026-01-02": 18, "2026-01-01": 23})
    except SettingsError as error:
        missing = [words for words in ("2026-01-01", "17", "23") if words not in str(error)]
        holds(not missing, f"{error} does not name {', '.join(missing)}")
    else:
        raise ContractBroken("nothing was raised")
    same(dict(await place.sink.sources()), {"2026-01-01": 17}, "the sources after it")
    await place.sink.close()


def _changed(item: str, sequence: int, generation: int = 1) -> ChangeRecord:
    return _record(item, sequence, generation, None, b'{"pk":{"S":"%b"},"n":{"N":"1"}}' % item.encode())


def _deleted(item: str, sequence: int, generation: int = 1) -> ChangeRecord:
    return _record(item, sequence, generation, b'{"pk":{"S":"%b"}}' % item.encode(), None)


def _record(item: str, sequence: int, generation: int, old: bytes | None, new: bytes | None) -> ChangeRecord:
    record = change_record(
        sequence=sequence,
        shard=1,
        created_ms=START_MS,
        partition=ord(item),
        key=item.encode(),
        keys={"pk": {"S": item}},
        old=old,
        new=new,
        size_bytes=9,
    )
    return structs.replace(record, generation=generation)


async def _write(place: Place, *records: ChangeRecord) -> None:
    """Write these, each source's in batches of its own."""
    for generation in sorted({record.generation for record in records}):
        mine = [record for record in records if record.generation == generation]
        stream = replace(STREAM, generation=generation)
        outcome = await place.sink.write(RecordBatch(mine, "contract", stream, "shardId-1"))
        holds(isinstance(outcome, Written), f"the outcome is {outcome!r}")


def _same(place: Place, expected: Mapping[str, Version]) -> None:
    same(dict(place.versions(place.sink)), expected, "the versions of the rows")


RULES: Final[tuple[Callable[[Place], Awaitable[None]], ...]] = (
    the_newest_of_an_item_stays,
    generations_come_before_sequences,
    wide_numbers_are_exact,
    an_older_deletion_deletes_nothing,
    a_deletion_is_remembered,
    the_next_process_finds_the_versions,
    sources_are_kept_beside_the_rows,
    another_history_is_refused,
)
