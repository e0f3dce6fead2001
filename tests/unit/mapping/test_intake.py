"""A machine whose source keeps no order: what its commands say, and that it never stands still."""

from collections.abc import Sequence
from typing import TypeVar

import pytest

from tailrace.errors import SettingsError
from tailrace.mapping.commands import (
    Checkpoint,
    CheckpointDone,
    CheckpointFailed,
    Command,
    Completion,
    Invoke,
    InvokeDone,
    Read,
    ReadFailed,
    SaveCheckpoint,
    Start,
    Stopped,
    Wake,
    Woken,
)
from tailrace.mapping.outcomes import Failed, Failure, FailureKind, Written
from tailrace.mapping.settings import Backoff, MappingSettings
from tailrace.mapping.shard import ShardMachine
from tailrace.streams.record import ReadDone
from tests.unit.mapping.records import now
from tests.unit.mapping.test_holding import SECOND_MS, change, numbers

T = TypeVar("T")
SETTINGS = MappingSettings("m", disorder_ms=SECOND_MS)


class Played:
    """A machine and what it asks for. Units: ms since the start."""

    def __init__(self, settings: MappingSettings = SETTINGS, start: Start | None = None) -> None:
        self.machine = ShardMachine(settings)
        self.ms = 0
        self.commands: list[Command] = []
        self.holes: list[bytes] = []
        """The items of all holes that were told."""
        self.tell(start or Start(Checkpoint()))

    def tell(self, completion: Completion) -> None:
        commands = self.machine.step(completion, now(self.ms))
        self.commands += commands
        for command in commands:
            if isinstance(command, SaveCheckpoint):
                self.holes += [hole.key for hole in command.holes]

    def read(self, *records: object, closed: bool = False) -> None:
        there = list(records)
        last = max((record.sequence for record in there), default=self.machine.position)  # type: ignore[attr-defined]
        self.tell(ReadDone(there, last, closed=closed))  # type: ignore[arg-type]

    def pass_ms(self, ms: int) -> None:
        self.ms += ms
        self.tell(Woken())

    def taken(self, kind: type[T]) -> list[T]:
        """The commands of one kind that were asked for since the last look."""
        asked = [command for command in self.commands if isinstance(command, kind)]
        self.commands = [command for command in self.commands if not isinstance(command, kind)]
        return asked

    def accept(self) -> list[int]:
        """The sink takes everything. Returns: the numbers of what it was given."""
        given: list[int] = []
        while invokes := self.taken(Invoke):
            for invoke in invokes:
                given += numbers(list(invoke.records))
                self.tell(InvokeDone(invoke.id, Written()))
        return given

    def save(self) -> SaveCheckpoint:
        """The last checkpoint that was asked for is durable, and what comes of that too."""
        saves = self.taken(SaveCheckpoint)
        last = saves[-1]
        self.tell(CheckpointDone())
        return last if not self.commands_of(SaveCheckpoint) else self.save()

    def commands_of(self, kind: type[T]) -> Sequence[T]:
        return [command for command in self.commands if isinstance(command, kind)]


def test_a_record_that_waits_is_not_settled_and_keeps_the_watermark() -> None:
    played = Played()
    played.read(change(1, 0, None, 1), change(2, 2, 2, 3), change(3, 3, None, 1, key=b"o"))
    assert played.accept() == [1, 3]
    saved = played.save()
    assert (saved.checkpoint.watermark, saved.checkpoint.ranges) == (1, ((3, 3),))
    assert [(key, [link.number for link in row.links]) for key, row in saved.chains if row] == [
        (b"k", [1]),
        (b"o", [3]),
    ]
    assert played.machine.unbalanced == 0


def test_the_machine_wakes_when_what_waits_is_due_and_tells_the_hole() -> None:
    played = Played()
    played.read(change(1, 0, None, 1), change(2, 2, 2, 3))
    assert played.accept() == [1]
    assert SECOND_MS + 1 in [wake.at_ms for wake in played.taken(Wake)]
    played.save()
    played.pass_ms(SECOND_MS)
    assert played.accept() == []
    played.pass_ms(1)
    assert played.accept() == [2]
    assert played.holes == [b"k"]


def test_time_in_which_the_source_failed_is_no_silence() -> None:
    played = Played()
    played.read(change(1, 0, None, 1), change(2, 2, 2, 3))
    played.accept()
    played.ms = 10 * SECOND_MS
    played.tell(ReadFailed(Failure(FailureKind.UNAVAILABLE, "away")))
    played.pass_ms(SECOND_MS)
    played.read(change(3, 1, 1, 2))
    assert played.accept() == [3, 2]


def test_a_duplicate_and_a_change_that_changes_nothing_are_settled_and_counted() -> None:
    played = Played()
    played.read(change(1, 0, None, 1), change(2, 0, None, 1), change(3, 1, 1, 1))
    assert played.accept() == [1]
    saved = played.save()
    assert saved.checkpoint.watermark == 3
    assert played.machine.totals["duplicate"] == played.machine.totals["filtered"] == 1


def test_what_is_late_is_a_dead_letter_that_is_overtaken() -> None:
    played = Played()
    played.read(change(1, 0, None, 1), change(2, 9, 1, 2))
    played.accept()
    played.save()
    played.read(change(3, 5, 1, 7))
    saved = played.save()
    (letter,) = saved.given_up
    assert (letter.condition, letter.record.sequence, letter.failure) == ("ArrivedLate", 3, None)
    ((key, passed),) = saved.passed
    assert key == b"k"
    assert passed > letter.record.version
    assert saved.checkpoint.watermark == 3


def test_what_is_late_is_dropped_where_the_mapping_says_so() -> None:
    played = Played(MappingSettings("m", disorder_ms=SECOND_MS, on_failure="drop"))
    played.read(change(1, 0, None, 1), change(2, 9, 1, 2), change(3, 5, 1, 7))
    played.accept()
    saved = played.save()
    assert saved.given_up == ()
    assert played.machine.totals["dropped"] == 1


def test_rows_and_holes_of_a_checkpoint_that_failed_are_in_the_next_one() -> None:
    played = Played()
    played.read(change(1, 0, None, 1), change(2, 2, 2, 3))
    played.accept()
    played.save()
    played.pass_ms(SECOND_MS + 1)
    played.accept()
    (first,) = played.taken(SaveCheckpoint)
    assert first.holes
    played.tell(CheckpointFailed(Failure(FailureKind.UNAVAILABLE, "away")))
    played.pass_ms(100)
    again = played.taken(SaveCheckpoint)[-1]
    assert again.holes == first.holes
    assert dict(again.chains)[b"k"] is not None


def test_filters_come_behind_the_chain() -> None:
    played = Played(MappingSettings("m", disorder_ms=SECOND_MS, accepts=lambda record: record.sequence != 3))
    played.read(change(1, 0, None, 1), change(2, 2, 2, 3), change(3, 1, 1, 2))
    assert played.accept() == [1, 2]
    assert played.save().checkpoint.watermark == 3


def test_a_failing_change_keeps_the_later_ones_of_its_item_behind_it_by_time() -> None:
    played = Played(MappingSettings("m", disorder_ms=SECOND_MS, backoff=Backoff(10, 1.0, 10), concurrency=2))
    played.read(change(1, 0, None, 1), change(2, 2, 2, 3), change(3, 1, 1, 2))
    (invoke,) = played.taken(Invoke)
    assert numbers(list(invoke.records)) == [1, 3, 2]
    played.tell(InvokeDone(invoke.id, Failed({0: Failure(FailureKind.RECORD, "no")})))
    played.pass_ms(10)
    assert played.accept() == [1, 3, 2]


def test_a_closed_shard_is_finished_when_what_waits_is_carried_over_durably() -> None:
    played = Played()
    played.read(change(1, 0, None, 1), change(2, 2, 2, 3), closed=True)
    assert played.accept() == [1]
    saved = played.save()
    rows = {key: row for key, row in saved.chains if row is not None}
    assert saved.checkpoint.finished
    assert played.machine.totals["carried"] == 1
    assert played.taken(Stopped) == [Stopped(finished=True)]
    child = Played(start=Start(Checkpoint(9), chains=tuple(rows.items())))
    assert child.accept() == []
    child.read(change(10, 1, 1, 2))
    assert child.accept() == [10, 2]
    saved = child.save()
    assert (saved.checkpoint.watermark, saved.checkpoint.ranges) == (10, ())
    assert (child.machine.totals["handled"], child.machine.unbalanced) == (2, 0)


def test_a_shard_is_not_finished_while_what_was_carried_over_is_at_the_sink() -> None:
    parent = Played()
    parent.read(change(1, 0, None, 1), change(2, 2, 2, 3), closed=True)
    parent.accept()
    rows = tuple((key, row) for key, row in parent.save().chains if row is not None)
    child = Played(start=Start(Checkpoint(9), chains=rows))
    child.read(change(10, 1, 1, 2), closed=True)
    (invoke,) = child.taken(Invoke)
    assert not child.machine.is_finished
    child.tell(InvokeDone(invoke.id, Written()))
    assert child.machine.is_finished


@pytest.mark.parametrize("bound", [{"max_ranges": 2}, {"buffer_bytes": 100}])
def test_where_room_runs_out_for_nothing_but_what_waits_the_first_of_it_waits_no_more(
    bound: dict[str, int],
) -> None:
    played = Played(MappingSettings("m", disorder_ms=SECOND_MS, **bound))  # type: ignore[arg-type]
    ones = [change(2 * n + 1, 0, None, 1, key=b"%d" % n) for n in range(20)]
    behind = [change(2 * n + 2, 2, 2, 3, key=b"%d" % n) for n in range(20)]
    played.read(*(record for pair in zip(ones, behind, strict=True) for record in pair))
    given = played.accept()
    played.taken(Read)
    played.read(change(99, 0, None, 1, key=b"another"))
    for _ in range(40):
        if played.taken(SaveCheckpoint):
            played.tell(CheckpointDone())
        played.pass_ms(1)
        given += played.accept()
    assert played.commands_of(Read), "it reads on"
    assert played.holes
    assert set(given) >= {record.sequence for record in ones}


@pytest.mark.parametrize("order", ["lane", "shard"])
def test_only_an_order_by_key_takes_a_source_without_order(order: str) -> None:
    with pytest.raises(SettingsError, match="does not keep the order"):
        MappingSettings("m", order=order, on_failure="discard", disorder_ms=1)  # type: ignore[arg-type]
