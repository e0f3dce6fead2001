"""The contract of `Sink`.

Rules of this file: a batch is written, the outcome is believed, and what arrived is compared with it. A sink
may say `whole` when it cannot tell records apart; it may never call a record accepted that did not arrive.
Every sink is opened before it is written to, and closed after its rule, as a worker does. Called by
tests/contracts and by users.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from tailrace.app.sinking import OnlyWrites, Writes, whole
from tailrace.clocks.manual import ManualClock
from tailrace.errors import SinkOutage
from tailrace.ports import (
    Failed,
    FailedFrom,
    Failure,
    FailureKind,
    Outcome,
    RecordBatch,
    Sink,
    StreamRef,
    Written,
)
from tailrace.streams.record import ChangeRecord, change_record, following
from tailrace.testing.contracts.rules import ContractBroken, finished, holds, run_async, same

Refused = frozenset[int]
Make = Callable[[Refused], Writes]
Arrived = Callable[[Any], Iterable[int]]
LONG: Final = 150
ITEMS: Final = 26
LARGE_BYTES: Final = 400_000
"""Near DynamoDB's 400 KB for an item; most queues take 256 KB."""
OUTAGES: Final = frozenset((FailureKind.THROTTLED, FailureKind.UNAVAILABLE))
FOR_EVER: Final = "what can never be written is no outage: it would be tried for ever"
CLOCK: Final = ManualClock()
START_MS: Final = 1_767_225_600_000
STREAM: Final = StreamRef(
    "arn:aws:dynamodb:us-east-1:000000000000:table/contract/stream/2026-01-01T00:00:00.000",
    "contract",
    "2026-01-01T00:00:00.000",
    "NEW_AND_OLD_IMAGES",
)


class World(NamedTuple):
    """What a rule works with."""

    make: Make
    arrived: Arrived
    throttled: Callable[[], Writes] | None = None
    made: list[Sink] | None = None


def check_sink(make: Make, arrived: Arrived, *, throttled: Callable[[], Writes] | None = None) -> None:
    """Whether a sink keeps the contract of `ports.Sink`.

    Shape:   `make(refused)` gives a sink whose far side refuses the records with these sequence numbers; it
             is called inside a running loop. One that has only `write` is a sink too, with nothing to open
             and nothing to close. `arrived(sink)` gives the sequence numbers that reached the far side and
             were accepted there, in order, repeats included. `throttled()` gives a sink whose far side wants
             fewer calls, or is away; without it nothing about outages is checked.
    Raises:  ContractBroken, naming the rule.
    """
    bound = []
    for rule in RULES if throttled is None else (*RULES, *OUTAGE_RULES):
        bound_rule = partial(_with_world, rule)
        bound_rule.__doc__ = rule.__doc__
        bound.append(bound_rule)
    run_async(bound, lambda: World(make, arrived, throttled))


async def _with_world(rule: Callable[[World], object], world: World) -> None:
    made: list[Sink] = []
    try:
        await finished(rule(world._replace(made=made)))
    finally:
        for sink in made:
            await sink.close()


async def everything_written_arrived(world: World) -> None:
    """A good batch is Written, and every record of it arrived, those of one item in order."""
    records = batch_of("abcabca")
    sink = await _made(world)
    outcome = await sink.write(_batch(records))
    holds(isinstance(outcome, Written), f"the outcome is {outcome!r}")
    same(sorted(await _arrived(world, sink)), [record.sequence for record in records], "what arrived")
    _in_order(records, await _arrived(world, sink))


async def all_kinds_of_records_are_taken(world: World) -> None:
    """Insertions, changes and removals are taken, expired items and an empty batch too."""
    sink = await _made(world)
    kinds = [
        _record(1, "a", None, b'{"pk":{"S":"a"},"n":{"N":"1"}}'),
        _record(2, "a", b'{"pk":{"S":"a"}}', b'{"pk":{"S":"a"},"l":{"L":[]}}'),
        _record(3, "a", b'{"pk":{"S":"a"}}', None),
        _record(4, "b", b'{"pk":{"S":"b"}}', None, by_ttl=True),
    ]
    for record in kinds:
        outcome = await sink.write(_batch([record]))
        holds(isinstance(outcome, Written), f"{record.event_name} gave {outcome!r}")
    holds(isinstance(await sink.write(_batch([])), Written), "an empty batch was not Written")
    same(await _arrived(world, sink), [record.sequence for record in kinds], "what arrived")


async def a_batch_may_come_again(world: World) -> None:
    """The same batch written again is accepted: delivery repeats after a crash."""
    records = batch_of("ab")
    sink = await _made(world)
    for _ in range(2):
        outcome = await sink.write(_batch(records))
        holds(isinstance(outcome, Written), f"the outcome is {outcome!r}")
    same(set(await _arrived(world, sink)), {record.sequence for record in records}, "what arrived")


async def failures_are_told(world: World) -> None:
    """Whatever is refused, no record counts as accepted that did not arrive."""
    records = batch_of("abacbad")
    for refused in ({0}, {2}, {6}, {1, 2}, {0, 3, 6}, set(range(7))):
        sink = await _made(world, [records[index] for index in refused])
        outcome = await _outcome(sink, records)
        arrived = await _arrived(world, sink)
        accepted = accepted_by(outcome, records)
        numbers = {records[index].sequence for index in accepted}
        holds(
            numbers <= set(arrived),
            f"{outcome!r} accepts {sorted(numbers - set(arrived))}, which did not arrive",
        )
        holds(not accepted & refused, f"{outcome!r} accepts records that were refused")
        _in_order(records, arrived)


async def nothing_overtakes_a_failure(world: World) -> None:
    """After a record that failed by itself, later records of the same item in the batch did not arrive."""
    records = batch_of("abaab")
    sink = await _made(world, [records[0]])
    outcome = await _outcome(sink, records)
    if isinstance(outcome, Failed) and outcome.whole is None:
        arrived = await _arrived(world, sink)
        overtaking = [index for index in (2, 3) if records[index].sequence in arrived]
        same(overtaking, [], "the later records of the failed item that arrived")


async def the_rest_can_be_sent_again(world: World) -> None:
    """What an outcome leaves over can be written later and is then accepted."""
    records = batch_of("abab")
    sink = await _made(world, [records[1]])
    accepted = accepted_by(await _outcome(sink, records), records)
    healthy = await _made(world)
    rest = [record for index, record in enumerate(records) if index not in accepted]
    outcome = await healthy.write(_batch(rest, attempt=2))
    holds(isinstance(outcome, Written), f"the outcome of the rest is {outcome!r}")
    same(
        sorted(await _arrived(world, healthy)),
        [record.sequence for record in rest],
        "what arrived of the rest",
    )


async def batches_may_overlap(world: World) -> None:
    """Several batches of different items may be written at the same time."""
    sink = await _made(world)
    batches = [batch_of(letter * 5, start=100 * place) for place, letter in enumerate("abcd")]
    outcomes = await asyncio.gather(*(sink.write(_batch(records)) for records in batches))
    holds(all(isinstance(outcome, Written) for outcome in outcomes), f"the outcomes are {outcomes!r}")
    arrived = await _arrived(world, sink)
    for records in batches:
        _in_order(records, arrived)
    same(len(arrived), 20, "how many arrived")


async def a_long_batch_arrives_whole(world: World) -> None:
    """A batch that is longer than a call of the far side arrives whole, each item in order."""
    records = batch_of("".join(chr(ord("a") + place * 7 % ITEMS) for place in range(LONG)))
    sink = await _made(world)
    outcome = await sink.write(_batch(records))
    holds(isinstance(outcome, Written), f"the outcome is {outcome!r}")
    same(sorted(await _arrived(world, sink)), [record.sequence for record in records], "what arrived")
    _in_order(records, await _arrived(world, sink))


async def opening_and_closing_repeat(world: World) -> None:
    """A sink may be opened and closed repeatedly, and closed unopened; while open, writes arrive."""
    first, second = batch_of("a"), batch_of("b", start=100)
    sink = await _made(world)
    await sink.open(CLOCK)
    holds(isinstance(await sink.write(_batch(first)), Written), "opened twice, it did not accept a record")
    await sink.close()
    await sink.close()
    await sink.open(CLOCK)
    holds(
        isinstance(await sink.write(_batch(second)), Written),
        "opened after it was closed, it did not accept a record",
    )
    same(set(await _arrived(world, sink)), {record.sequence for record in (*first, *second)}, "what arrived")
    await whole(world.make(frozenset())).close()


async def a_large_record_harms_no_other(world: World) -> None:
    """A record of DynamoDB's largest size arrives or fails for good (`final`), and harms no other."""
    first, last = batch_of("ac")
    large = _record(2, "b", None, b'{"pk":{"S":"b"},"text":{"S":"%b"}}' % (b"x" * LARGE_BYTES))
    records = [first, large, _record(3, "c", None, last.new)]
    sink = await _made(world)
    try:
        outcome: Outcome | None = await sink.write(_batch(records))
    except SinkOutage as error:
        raise ContractBroken(f"{error!r}: {FOR_EVER}") from error
    except Exception:  # raising is a sink's way to say that the whole batch failed
        outcome = None
    await _accepts_what_arrived(world, sink, outcome, records)
    holds(
        {failure.kind for failure in _failures(outcome)} <= {FailureKind.RECORD}, f"{outcome!r}: {FOR_EVER}"
    )
    if isinstance(outcome, Failed) and outcome.whole is None:
        same(sorted(outcome.failures), [1], "the records that failed beside the large one")
        holds(
            outcome.failures[1].final,
            f"{outcome!r} does not say `final`: the large one would be tried again and again",
        )


async def an_outage_is_no_poison(world: World) -> None:
    """A far side that wants fewer calls, or is away, is THROTTLED or UNAVAILABLE: no attempt is used."""
    assert world.throttled is not None
    records = batch_of("abca")
    sink = whole(await finished(world.throttled()))
    _note(world, sink)
    try:
        await sink.open(CLOCK)
    except Exception:  # whatever opening raises is an outage
        return
    try:
        outcome: Outcome = await sink.write(_batch(records))
    except SinkOutage:
        return
    await _accepts_what_arrived(world, sink, outcome, records)
    kinds = {failure.kind for failure in _failures(outcome)}
    holds(bool(kinds) and kinds <= OUTAGES, f"the outcome is {outcome!r}")


async def _accepts_what_arrived(
    world: World, sink: Sink, outcome: Outcome | None, records: Sequence[ChangeRecord]
) -> None:
    accepted = {records[index].sequence for index in accepted_by(outcome, records)}
    missing = accepted - set(await _arrived(world, sink))
    holds(not missing, f"{outcome!r} accepts {sorted(missing)}, which did not arrive")


def _failures(outcome: Outcome | None) -> list[Failure]:
    match outcome:
        case Failed(failures=failures, whole=whole):
            return [*failures.values(), *([] if whole is None else [whole])]
        case FailedFrom(failure=failure):
            return [failure]
        case _:
            return []


# ---- reading outcomes --------------------------------------------------------------------------------------


def accepted_by(outcome: Outcome | None, records: Sequence[ChangeRecord]) -> set[int]:
    """The indexes that an outcome calls accepted (None: the sink raised).

    Raises:  ContractBroken for an outcome that makes no sense.
    """
    count = len(records)
    match outcome:
        case None:
            return set()
        case Written():
            return set(range(count))
        case FailedFrom(index=index):
            holds(0 <= index < count, f"FailedFrom({index}) of a batch of {count}")
            return set(range(index))
        case Failed(whole=whole) if whole is not None:
            _kind(whole.kind)
            return set()
        case Failed(failures=failures):
            holds(bool(failures), "Failed without a failure: Written says that everything was accepted")
            holds(
                all(0 <= index < count for index in failures),
                f"indexes {list(failures)} of a batch of {count}",
            )
            for failure in failures.values():
                _kind(failure.kind)
            return _beside_failures(failures, records)
    raise ContractBroken(f"{outcome!r} is no outcome")


def _beside_failures(failures: Collection[int], records: Sequence[ChangeRecord]) -> set[int]:
    """All but the failures and what follows them of their items, which was not attempted."""
    accepted: set[int] = set()
    failed_keys: set[bytes] = set()
    for index, record in enumerate(records):
        if index in failures:
            failed_keys.add(record.key)
        elif record.key not in failed_keys:
            accepted.add(index)
    return accepted


def _kind(kind: FailureKind) -> None:
    holds(isinstance(kind, FailureKind), f"{kind!r} is no FailureKind")


async def _outcome(sink: Sink, records: Sequence[ChangeRecord]) -> Outcome | None:
    try:
        return await sink.write(_batch(records))
    except Exception:  # raising is a sink's way to say that the whole batch failed
        return None


def _in_order(records: Sequence[ChangeRecord], arrived: Sequence[int]) -> None:
    """The first arrivals of one item's records are in order."""
    for key in {record.key for record in records}:
        mine = [record.sequence for record in records if record.key == key]
        first = list(dict.fromkeys(number for number in arrived if number in mine))
        same(first, sorted(first), f"the order in which the records of {key!r} arrived")


# ---- records to write --------------------------------------------------------------------------------------


def batch_of(letters: str, start: int = 0) -> list[ChangeRecord]:
    """A record for every letter, the letter being the item: "aab" changes item a twice, then item b."""
    return [
        _record(
            start + place + 1,
            letter,
            b'{"pk":{"S":"%b"}}' % letter.encode(),
            b'{"pk":{"S":"%b"},"n":{"N":"%d"}}' % (letter.encode(), place),
        )
        for place, letter in enumerate(letters)
    ]


def _record(
    number: int, letter: str, old: bytes | None, new: bytes | None, by_ttl: bool = False
) -> ChangeRecord:
    return change_record(
        sequence=following(0, START_MS) + number,
        shard=1,
        created_ms=START_MS,
        partition=ord(letter),
        key=letter.encode(),
        keys={"pk": {"S": letter}},
        old=old,
        new=new,
        size_bytes=9,
        keys_size=3,
        new_size=3,
        by_ttl=by_ttl,
    )


def _batch(records: Sequence[ChangeRecord], attempt: int = 1) -> RecordBatch:
    return RecordBatch(
        records, "contract", STREAM, "shardId-00000001767225600000-00000000", attempt, str(attempt)
    )


async def _made(world: World, refused: Iterable[ChangeRecord] = ()) -> Sink:
    sink = whole(world.make(frozenset(record.sequence for record in refused)))
    _note(world, sink)
    await sink.open(CLOCK)
    return sink


def _note(world: World, sink: Sink) -> None:
    if world.made is not None:
        world.made.append(sink)


async def _arrived(world: World, sink: Sink) -> list[int]:
    return list(world.arrived(sink.sink if isinstance(sink, OnlyWrites) else sink))


RULES: Final = (
    everything_written_arrived,
    all_kinds_of_records_are_taken,
    a_batch_may_come_again,
    failures_are_told,
    nothing_overtakes_a_failure,
    the_rest_can_be_sent_again,
    batches_may_overlap,
    a_long_batch_arrives_whole,
    a_large_record_harms_no_other,
    opening_and_closing_repeat,
)
OUTAGE_RULES: Final = (an_outage_is_no_poison,)
