"""Parked keys inside the machine: when a key may be parked, and what of it must not start meanwhile."""

from tailrace.mapping.commands import (
    Checkpoint,
    CheckpointDone,
    Command,
    GivenUp,
    Invoke,
    InvokeDone,
    ParkDone,
    ParkedHead,
    ParkKey,
    Redriven,
    Released,
    SaveCheckpoint,
    Start,
    Stop,
    Stopped,
)
from tailrace.mapping.outcomes import Failed, Failure, FailureKind, Written
from tailrace.mapping.parking import Parking
from tailrace.mapping.settings import MappingSettings
from tailrace.mapping.settlement import Settlement
from tailrace.mapping.shard import ShardMachine
from tailrace.streams.record import (
    ChangeRecord,
    ReadDone,
)
from tailrace.streams.version import Version
from tests.unit.mapping.records import now, record, records

POISON = Failure(FailureKind.RECORD, "no")
WHOLE = Failed(whole=POISON)


def too_old(record: ChangeRecord) -> GivenUp:
    return GivenUp(record, "RecordAgeExceeded", 0, None, 0, 0)


def exhausted(record: ChangeRecord) -> GivenUp:
    return GivenUp(record, "RetryAttemptsExhausted", 1, POISON, 0, 0)


def parks(commands: list[Command]) -> list[tuple[bytes, list[int]]]:
    return [
        (command.key, [entry.record.sequence for entry in command.entries])
        for command in commands
        if isinstance(command, ParkKey)
    ]


def invoked(commands: list[Command]) -> list[list[int]]:
    return [
        [record.sequence for record in command.records] for command in commands if isinstance(command, Invoke)
    ]


def begun(settings: MappingSettings, *parked: ParkedHead) -> ShardMachine:
    machine = ShardMachine(settings)
    machine.step(Start(Checkpoint(), parked), now())
    return machine


def test_a_key_is_not_parked_before_its_earlier_dead_letter_is_saved_or_a_crash_would_lose_that() -> None:
    settlement = Settlement(Checkpoint())
    first, second = settlement.read(records(1, 2, key="k"), 2)
    parking = Parking(MappingSettings("m"), settlement)
    settlement.give_up([too_old(first)])
    parking.add(exhausted(second))
    assert parking.start(lambda key: False) == [], "the letter waits for a checkpoint"
    settlement.save(finished=False)
    assert parking.start(lambda key: False) == [], "the checkpoint is on its way"
    settlement.not_saved()
    assert parking.start(lambda key: False) == [], "and had to be made again"
    settlement.save(finished=False)
    settlement.saved()
    assert parks([*parking.start(lambda key: False)]) == [(b"k", [2])]


def test_after_a_crash_what_lies_before_the_first_parked_change_of_a_key_counts_as_handled() -> None:
    """Why the test above matters: killed between parking and checkpoint, no other row tells of the change
    that was given up.
    """
    settlement = Settlement(Checkpoint())
    parking = Parking(MappingSettings("m"), settlement, [ParkedHead(b"k", Version(1, 2), Version(1, 2), 1)])
    assert parking.divert(settlement.read(records(1, 2, key="k"), 2)) == []
    assert (settlement.totals["handled"], settlement.totals["parked"]) == (1, 1)
    assert settlement.save(finished=False).given_up == ()


def test_a_machine_that_gave_up_a_change_by_age_parks_its_key_only_after_the_checkpoint() -> None:
    settings = MappingSettings(
        "m",
        batch_size=1,
        maximum_retry_attempts=0,
        maximum_record_age_ms=60_000,
        checkpoint_interval_ms=60_000,
    )
    machine = begun(settings)
    old = record(1, "k", created_ms=now().wall_ms - 61_000)
    commands = machine.step(ReadDone([old, record(2, "k")], 2), now())
    assert invoked(commands) == [[2]]
    commands = machine.step(InvokeDone(1, WHOLE), now())
    assert parks(commands) == []
    (save,) = [
        command for command in machine.step(Stop(), now()) if isinstance(command, SaveCheckpoint)
    ]  # urgent by now
    assert [given_up.record.sequence for given_up in save.given_up] == [1]
    assert parks(machine.step(CheckpointDone(), now())) == [(b"k", [2])]


def test_a_key_is_not_parked_while_a_half_of_a_batch_has_a_later_change_of_it() -> None:
    machine = begun(MappingSettings("m", batch_size=4, maximum_retry_attempts=0))
    changes = [record(1, "k"), record(2, "j"), record(3, "k"), record(4, "i")]
    assert invoked(machine.step(ReadDone(changes, 4), now())) == [[1, 2, 3, 4]]
    assert invoked(machine.step(InvokeDone(1, WHOLE), now())) == [[1, 2]]
    assert invoked(machine.step(InvokeDone(2, WHOLE), now())) == [[1]]
    commands = machine.step(InvokeDone(3, WHOLE), now())
    assert (invoked(commands), parks(commands)) == ([[2]], []), "3 is in a half that has not been sent since"
    commands = machine.step(InvokeDone(4, Written()), now())
    assert (invoked(commands), parks(commands)) == ([[4]], [(b"k", [1, 3])]), "in order, and 3 not delivered"


def test_what_waited_behind_a_batch_is_not_delivered_when_its_key_was_parked_meanwhile() -> None:
    machine = begun(MappingSettings("m", batch_size=2, concurrency=2, maximum_retry_attempts=0))
    machine.step(ReadDone([record(1, "k"), record(2, "j"), record(3, "k"), record(4, "j")], 4), now())
    sent: list[int] = []
    parked: list[tuple[bytes, list[int]]] = []
    number, commands = 0, machine.step(InvokeDone(1, Failed({0: POISON})), now())
    for _ in range(10):
        sent += [sequence for batch in invoked(commands) for sequence in batch]
        parked += parks(commands)
        answers = [InvokeDone(command.id, Written()) for command in commands if isinstance(command, Invoke)]
        commands = [command for answer in answers for command in machine.step(answer, now())]
        number += len(answers)
    assert 3 not in sent
    assert [key for key, _ in parked] == [b"k"]
    assert parked[0][1][0] == 1


def test_new_changes_of_a_parked_key_wait_behind_it() -> None:
    machine = begun(MappingSettings("m"), ParkedHead(b"k", Version(1, 1), Version(1, 1), 1))
    commands = machine.step(ReadDone([record(2, "k"), record(3, "j")], 3), now())
    assert (invoked(commands), parks(commands)) == ([[3]], [(b"k", [2])])


def test_a_parked_key_that_is_kept_for_the_redriver_is_no_batch_s_before_it_is_released() -> None:
    machine = begun(MappingSettings("m"), ParkedHead(b"k", Version(1, 1), Version(1, 1), 0))
    assert machine.hold(b"k") is True
    assert machine.hold(b"k") is False, "a call has it"
    machine.step(Redriven(b"k", Version(1, 1)), now())
    commands = machine.step(ReadDone([record(2, "k"), record(3, "j")], 3), now())
    assert invoked(commands) == [[3]]
    machine.step(InvokeDone(1, Written()), now())
    assert machine.unsettled == 1
    assert invoked(machine.step(Released(b"k"), now())) == [[2]]


def test_a_machine_that_is_to_start_keeps_no_key() -> None:
    machine = ShardMachine(MappingSettings("m"))
    assert machine.hold(b"k") is False, "what is on its way is not known yet"
    machine.step(Start(Checkpoint()), now())
    assert invoked(machine.step(ReadDone([record(1, "k")], 1), now())) == [[1]]
    machine.step(Released(b"k"), now())
    assert machine.step(InvokeDone(1, Written()), now()) is not None
    assert machine.unsettled == 0


def test_a_machine_that_has_finished_its_shard_keeps_no_key_and_one_that_keeps_one_does_not_finish() -> None:
    machine = begun(MappingSettings("m"))
    assert machine.hold(b"k") is True
    machine.step(ReadDone([record(1, "j")], 1, closed=True), now())
    machine.step(InvokeDone(1, Written()), now())
    machine.step(CheckpointDone(), now())
    assert machine.is_finished is False
    commands = machine.step(Released(b"k"), now())
    assert [command.checkpoint.finished for command in commands if isinstance(command, SaveCheckpoint)] == [
        True
    ]
    assert machine.hold(b"k") is False, "what continues the shard may begin"


def test_a_machine_that_is_told_of_a_key_which_it_did_not_keep_lets_no_batch_s_go() -> None:
    machine = begun(MappingSettings("m", concurrency=2))
    assert invoked(machine.step(ReadDone([record(1, "k")], 1), now())) == [[1]]
    machine.step(Released(b"k"), now())
    assert invoked(machine.step(ReadDone([record(2, "k")], 2), now())) == [], "the earlier one is at the sink"
    assert invoked(machine.step(InvokeDone(1, Written()), now())) == [[2]]


def test_a_machine_that_stops_waits_for_the_parks_that_are_on_their_way() -> None:
    machine = begun(MappingSettings("m", maximum_retry_attempts=0))
    machine.step(ReadDone(records(1), 1), now())
    (park,) = [
        command for command in machine.step(InvokeDone(1, WHOLE), now()) if isinstance(command, ParkKey)
    ]
    assert not any(isinstance(command, Stopped) for command in machine.step(Stop(), now()))
    (save,) = [
        command
        for command in machine.step(ParkDone(park.id, False), now())
        if isinstance(command, SaveCheckpoint)
    ]
    assert [(span.first, span.outcome) for span in save.settled] == [(1, "parked")]
    assert machine.step(CheckpointDone(), now()) == [Stopped(finished=False)]
