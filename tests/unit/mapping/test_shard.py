"""What the scenarios do not show of the machine: its life, its bounds, its speed in steps."""

from collections import Counter, deque
from typing import Literal

import pytest

from tailrace.errors import InternalError
from tailrace.mapping.commands import (
    Checkpoint,
    CheckpointDone,
    CheckpointFailed,
    Command,
    Invoke,
    InvokeDone,
    LeaseTaken,
    Read,
    ReadFailed,
    Redriven,
    Released,
    SaveCheckpoint,
    Settled,
    Start,
    Stop,
    Stopped,
    Wake,
    Woken,
)
from tailrace.mapping.outcomes import Failed, FailedFrom, Failure, FailureKind, Outcome, Written
from tailrace.mapping.settings import Backoff, MappingSettings
from tailrace.mapping.shard import ShardMachine
from tailrace.streams.record import ReadDone
from tailrace.streams.version import NOTHING, Version
from tests.unit.mapping.records import now, record, records


def begun(settings: MappingSettings, checkpoint: Checkpoint = Checkpoint()) -> ShardMachine:  # noqa: B008 - frozen
    machine = ShardMachine(settings)
    machine.step(Start(checkpoint), now())
    return machine


def names(commands: list[Command]) -> list[str]:
    return [type(command).__name__ for command in commands]


def test_nothing_is_asked_before_the_start() -> None:
    machine = ShardMachine(MappingSettings("m"))
    assert machine.step(Woken(), now()) == []
    assert machine.step(Start(Checkpoint(41)), now()) == [Read(41, 2_000)]


def test_a_machine_is_started_once() -> None:
    machine = begun(MappingSettings("m"))
    with pytest.raises(InternalError):
        machine.step(Start(Checkpoint()), now())


def test_a_finished_checkpoint_ends_at_once() -> None:
    machine = ShardMachine(MappingSettings("m"))
    assert machine.step(Start(Checkpoint(9, (), True)), now()) == [Stopped(finished=True)]
    assert machine.step(Woken(), now()) == []


@pytest.mark.parametrize("end", [Stop(), LeaseTaken()])
def test_a_machine_that_never_started_stops_at_once(end: Stop | LeaseTaken) -> None:
    assert ShardMachine(MappingSettings("m")).step(end, now()) == [Stopped(finished=False)]


def test_stopping_does_not_wait_for_a_read() -> None:
    machine = begun(MappingSettings("m"))
    assert machine.step(Stop(), now()) == [Stopped(finished=False)]
    assert machine.step(ReadDone(records(1), 1), now()) == []


def test_a_checkpoint_that_fails_while_stopping_is_saved_before_the_end() -> None:
    machine = begun(MappingSettings("m"))
    machine.step(ReadDone(records(1), 1), now())
    machine.step(InvokeDone(1, Written()), now())
    machine.step(Stop(), now())
    assert names(machine.step(CheckpointFailed(Failure()), now())) == ["Wake"]
    assert names(machine.step(Woken(), now(100))) == ["SaveCheckpoint"]
    assert machine.step(CheckpointDone(), now(100)) == [Stopped(finished=False)]


@pytest.mark.parametrize(("told_ms", "waits_ms"), [(0, 100), (60_000, 60_000)])
def test_a_port_that_fails_is_asked_again_when_it_says_and_never_sooner_than_the_machine_waits(
    told_ms: int, waits_ms: int
) -> None:
    failure = Failure(FailureKind.UNAVAILABLE, retry_after_ms=told_ms)
    machine = begun(MappingSettings("m"))
    assert machine.step(ReadFailed(failure), now()) == [Wake(waits_ms)]
    assert names(machine.step(Woken(), now(waits_ms))) == ["Read"]
    machine.step(ReadDone(records(1), 1), now(waits_ms))
    assert "SaveCheckpoint" in names(machine.step(InvokeDone(1, Written()), now(waits_ms)))
    assert Wake(2 * waits_ms) in machine.step(CheckpointFailed(failure), now(waits_ms))
    assert "SaveCheckpoint" in names(machine.step(Woken(), now(2 * waits_ms)))


def test_a_checkpoint_answered_after_the_lease_is_lost_is_harmless() -> None:
    machine = begun(MappingSettings("m", batch_size=1))
    machine.step(ReadDone(records(1, 2), 2), now())
    assert "SaveCheckpoint" in names(machine.step(InvokeDone(1, Written()), now()))
    assert machine.step(LeaseTaken(), now()) == []
    assert machine.step(CheckpointDone(), now()) == []
    assert machine.step(InvokeDone(2, Written()), now()) == [Stopped(finished=False)]


def test_reads_go_on_while_a_batch_is_at_the_sink_until_the_buffer_is_half_full() -> None:
    machine = begun(MappingSettings("m", batch_size=2, buffer_records=4))
    commands = machine.step(ReadDone(records(1, 2, 3, 4), 4), now())
    assert [command for command in commands if isinstance(command, Read)] == [Read(4, 2)]
    assert "Read" not in names(machine.step(ReadDone(records(5, 6), 6), now()))
    assert Read(6, 2) in machine.step(InvokeDone(1, Written()), now())


def test_reads_stop_while_what_is_not_settled_weighs_too_much() -> None:
    machine = begun(MappingSettings("m", batch_size=1, buffer_bytes=200))  # a record weighs 100
    assert "Read" in names(machine.step(ReadDone(records(1), 1), now()))
    assert "Read" not in names(machine.step(ReadDone(records(2), 2), now()))
    assert Read(2, 2_000) in machine.step(InvokeDone(1, Written()), now())


def test_what_stands_behind_a_failing_key_and_weighs_too_much_blocks_in_words() -> None:
    settings = MappingSettings("m", batch_size=1, buffer_bytes=200, breaker=None, backoff=Backoff(60_000))
    machine = begun(settings)
    machine.step(ReadDone(records(1, 2, key="k"), 2), now())
    machine.step(InvokeDone(1, Failed(whole=Failure(FailureKind.RECORD, "no"))), now())
    assert machine.blocked == "the records behind failing keys weigh 200 bytes (buffer_bytes)"


def test_a_read_that_goes_back_is_not_believed() -> None:
    machine = begun(MappingSettings("m"), Checkpoint(5))
    (invoke, *_) = machine.step(ReadDone(records(4, 5, 6), 6), now())
    assert isinstance(invoke, Invoke)
    assert [record.sequence for record in invoke.records] == [6]


def test_a_shard_that_vanished_without_saying_how_far_it_went_is_still_a_gap() -> None:
    machine = begun(MappingSettings("m"), Checkpoint(5))
    (save, *_) = machine.step(ReadDone((), 5, closed=True, trimmed=True), now())
    assert isinstance(save, SaveCheckpoint)
    assert save.settled == (Settled(6, 6, 0, "trimmed", 0, now().wall_ms),)


def test_a_gap_does_not_end_before_it_begins_when_the_clock_was_ahead_as_the_mapping_began() -> None:
    machine = begun(MappingSettings("m"), Checkpoint(5, created_ms=now().wall_ms + 90_000))
    (next_one,) = records(90)
    (_, save, *_) = machine.step(ReadDone([next_one], 90, trimmed=True), now())
    assert isinstance(save, SaveCheckpoint)
    assert save.settled == (Settled(6, 89, 0, "trimmed", next_one.created_ms, next_one.created_ms),)


def test_trimmed_records_are_reported_as_a_gap() -> None:
    machine = begun(MappingSettings("m"), Checkpoint(5, created_ms=1_000))
    (lost,) = records(90)
    (_, save, *_) = machine.step(ReadDone([lost], 90, trimmed=True), now())
    assert save == SaveCheckpoint(Checkpoint(5), (Settled(6, 89, 0, "trimmed", 1_000, lost.created_ms),), ())
    machine.step(CheckpointDone(), now())
    (save, *_) = machine.step(InvokeDone(1, Written()), now())
    assert save == SaveCheckpoint(Checkpoint(90), (Settled(90, 90, 1, "handled"),), ())


def test_checkpoints_keep_their_interval_but_not_at_the_end() -> None:
    machine = begun(MappingSettings("m", checkpoint_interval_ms=1_000, batch_size=1))
    machine.step(ReadDone(records(1, 2), 2), now())
    assert names(machine.step(InvokeDone(1, Written()), now(10))) == ["Invoke", "Wake"]
    assert names(machine.step(InvokeDone(2, Written()), now(20))) == []
    assert "SaveCheckpoint" in names(machine.step(Woken(), now(1_000)))
    machine.step(CheckpointDone(), now(1_000))
    assert names(machine.step(ReadDone([], 2, closed=True), now(1_001))) == ["SaveCheckpoint"]


def test_redriven_changes_nothing_yet() -> None:
    assert begun(MappingSettings("m")).step(Redriven(b"a", Version(1, 1)), now()) == []


def test_what_was_put_back_counts_as_handled_for_an_item_with_discarded_changes_and_for_no_other() -> None:
    machine = begun(MappingSettings("m"))
    machine._settlement.watched[b"a"] = NOTHING
    for key in (b"a", b"b"):
        machine.step(Redriven(key, Version(1, 2), Version(1, 1)), now())
    assert (machine.last_passed(b"a"), machine.last_passed(b"b")) == (Version(1, 1), NOTHING)


ENDS: list[tuple[str, Outcome, list[int]]] = [
    ("an index outside the batch is a total failure", FailedFrom(7), []),
    ("an empty vector is a success", Failed(), [1, 2, 3, 4]),
    ("a vector counts from its lowest index", Failed({3: Failure(), 1: Failure()}), [1]),
    ("an index outside in a vector is a total failure", Failed({9: Failure()}), []),
]


@pytest.mark.parametrize(("why", "outcome", "settled"), ENDS, ids=[why for why, _, _ in ENDS])
def test_a_lane_reads_outcomes_as_lambda_does(why: str, outcome: Outcome, settled: list[int]) -> None:
    machine = begun(MappingSettings.for_lambda("m"))
    machine.step(ReadDone(records(1, 2, 3, 4), 4), now())
    machine.step(InvokeDone(1, outcome), now())
    assert machine.watermark == (settled[-1] if settled else 0), why


def test_a_key_flow_keeps_later_changes_of_a_failing_key_behind_it() -> None:
    machine = begun(MappingSettings("m"))
    machine.step(ReadDone([record(1, "a"), record(2, "b"), record(3, "a")], 3), now())
    machine.step(InvokeDone(1, Failed({0: Failure()})), now())
    assert (machine.retrying_keys, machine.unsettled, machine.watermark) == (1, 2, 0)


def test_an_outage_puts_a_batch_back_and_says_so() -> None:
    machine = begun(MappingSettings("m"))
    machine.step(ReadDone(records(1, 2), 2), now())
    commands = machine.step(InvokeDone(1, Failed(whole=Failure(FailureKind.UNAVAILABLE))), now())
    assert names(commands) == ["Wake"]
    assert (machine.blocked or "").startswith("m cannot reach its other side")
    (probe, *_) = machine.step(Woken(), now(1_000))
    assert isinstance(probe, Invoke)
    assert [record.sequence for record in probe.records] == [1]


@pytest.mark.parametrize(
    "settings", [MappingSettings("m"), MappingSettings.for_lambda("m")], ids=["key", "lane"]
)
def test_steps_are_counted_per_batch_never_per_record(settings: MappingSettings) -> None:
    machine = ShardMachine(settings)
    log = records(*range(1, 10_001))
    waiting, steps, batches = [Start(Checkpoint())], 0, 0
    while waiting:
        steps += 1
        for command in machine.step(waiting.pop(0), now()):  # type: ignore[arg-type]
            match command:
                case Read(after, limit):
                    page = log[after : after + limit]
                    waiting.append(ReadDone(page, after + len(page), closed=after + len(page) == 10_000))  # type: ignore[arg-type]
                case Invoke(id=id):
                    batches += 1
                    waiting.append(InvokeDone(id, Written()))  # type: ignore[arg-type]
                case SaveCheckpoint():
                    waiting.append(CheckpointDone())  # type: ignore[arg-type]
    assert (machine.is_finished, machine.watermark, batches) == (True, 10_000, 100)
    assert steps <= 230


def test_a_batch_in_which_everything_fails_is_no_outage() -> None:
    machine = begun(MappingSettings("m", order="key", batch_size=100, backoff=Backoff(60_000)))
    commands = machine.step(ReadDone(records(*range(1, 101)), 100), now())
    (invoke,) = [command for command in commands if isinstance(command, Invoke)]
    failures = {index: Failure(error="no") for index in range(100)}
    machine.step(InvokeDone(invoke.id, Failed(failures)), now())
    assert machine.blocked is None


@pytest.mark.parametrize("batch_size", [1, 7, 100, 1_000])
def test_few_busy_keys_are_all_worked_on_whatever_the_batch_size(batch_size: int) -> None:
    """Fault 2.8: a batch held keys that others could work on, so that a hundred slots did the work of one."""
    keys, count = 10, 1_000
    machine = begun(MappingSettings("m", concurrency=100, batch_size=batch_size, buffer_records=count))
    waiting = [record(number, f"k{number % keys}") for number in range(1, count + 1)]
    running = deque(c for c in machine.step(ReadDone(waiting, count), now()) if isinstance(c, Invoke))
    left, order = Counter(record.key for record in waiting), dict[bytes, int]()
    while running:
        assert {record.key for invoke in running for record in invoke.records} == set(left)
        assert len(running) == len(left)
        invoke = running.popleft()
        for change in invoke.records:
            assert order.get(change.key, 0) < change.sequence
            order[change.key] = change.sequence
        left -= Counter(record.key for record in invoke.records)
        running += (c for c in machine.step(InvokeDone(invoke.id, Written()), now()) if isinstance(c, Invoke))
    assert not left
    assert machine.unsettled == 0


@pytest.mark.parametrize("order", ["key", "lane"])
def test_an_item_whose_change_is_at_the_sink_cannot_be_held_for_a_redrive(
    order: Literal["key", "lane"],
) -> None:
    machine = begun(MappingSettings("m", order=order, batch_size=1))
    machine.step(ReadDone(records(1, 2, key="k"), 2), now())
    assert machine.hold(b"k") is False, (
        "an older change of it would be delivered beside the one that is there"
    )
    assert machine.hold(b"j") is True


@pytest.mark.parametrize("order", ["key", "lane"])
def test_no_change_of_an_item_starts_while_a_redrive_holds_it(order: Literal["key", "lane"]) -> None:
    machine = begun(MappingSettings("m", order=order, batch_size=2))
    assert machine.hold(b"k") is True
    assert machine.hold(b"k") is False, "a call has it"
    commands = machine.step(ReadDone(records(1, 2, key="k"), 2), now())
    assert "Invoke" not in names(commands)
    (invoke,) = [command for command in machine.step(Released(b"k"), now()) if isinstance(command, Invoke)]
    assert [record.sequence for record in invoke.records] == [1, 2]
