"""Order of the whole shard: one batch in flight, in sequence, a prefix without holes, and what a refused
record comes to.
"""

from typing import Any

import pytest
from msgspec.structs import replace

from tailrace.mapping.commands import (
    Checkpoint,
    CheckpointDone,
    Command,
    Invoke,
    InvokeDone,
    ParkedHead,
    Read,
    Redriven,
    Released,
    SaveCheckpoint,
    Start,
    Stop,
    Stopped,
    Wake,
    Woken,
)
from tailrace.mapping.outcomes import Failed, FailedFrom, Failure, FailureKind, Outcome, Written
from tailrace.mapping.settings import Backoff, MappingSettings
from tailrace.mapping.shard import ShardMachine
from tailrace.mapping.suspension import Suspended
from tailrace.streams.record import ReadDone
from tailrace.streams.version import Version
from tests.unit.mapping.records import now, record, records

RECORD, TIMEOUT = FailureKind.RECORD, FailureKind.TIMEOUT
THROTTLED, UNAVAILABLE = FailureKind.THROTTLED, FailureKind.UNAVAILABLE
SINK = MappingSettings("m", order="shard", on_failure="discard", backoff=Backoff(100, 2.0, 1_000))
ARCHIVE = replace(SINK, on_failure="block")


class Played:
    """A machine, its checkpoints answered at once. Shape: `invokes` and `saves` in their order; `wake_ms` of
    the last Wake.
    """

    def __init__(self, settings: MappingSettings, start: Start | None = None) -> None:
        self.machine = ShardMachine(settings)
        self.ms = 0
        self.invokes: list[Invoke] = []
        self.saves: list[SaveCheckpoint] = []
        self.commands: list[Command] = []
        self.give(start or Start(Checkpoint()))

    def give(self, completion: Any) -> list[Command]:
        """One completion, and what the machine asks for."""
        commands = self.machine.step(completion, now(self.ms))
        self.commands += commands
        for command in commands:
            if isinstance(command, Invoke):
                self.invokes.append(command)
            if isinstance(command, SaveCheckpoint):
                self.saves.append(command)
                self.give(CheckpointDone())
        return commands

    def read(self, *sequences: int, closed: bool = False) -> None:
        """Records come."""
        self.give(ReadDone(records(*sequences), sequences[-1], closed))

    def answer(self, outcome: Outcome) -> None:
        """The sink answers for the last batch."""
        self.give(InvokeDone(self.invokes[-1].id, outcome))

    def later(self, ms: int) -> None:
        """Time passes."""
        self.ms += ms
        self.give(Woken())

    @property
    def last(self) -> list[int]:
        """What the last batch had."""
        return [record.sequence for record in self.invokes[-1].records]

    @property
    def mark(self) -> int:
        """The last saved watermark."""
        return self.saves[-1].checkpoint.watermark if self.saves else 0


def test_the_next_batch_waits_for_the_one_before() -> None:
    played = Played(replace(SINK, batch_size=2))
    played.read(1, 2, 3)
    assert ([played.last], len(played.invokes)) == ([[1, 2]], 1)
    played.answer(Written())
    assert (played.last, played.mark) == ([3], 2)


REPEATS: list[tuple[Outcome, int, list[int]]] = [
    #  what the sink says of [1 2 3 4]      → the watermark, and what comes next
    (FailedFrom(0, Failure()), 0, [1]),
    (FailedFrom(1, Failure()), 1, [2]),
    (FailedFrom(3, Failure()), 3, [4]),
    (FailedFrom(4, Failure()), 0, [1, 2]),  # one past the batch: what was meant is unknown
    (
        Failed({2: Failure(), 3: Failure()}),
        2,
        [3],
    ),  # the lowest one that failed; later ones may have been accepted
    (Failed({0: Failure()}), 0, [1]),
    (Failed({}), 4, []),
    (Failed(whole=Failure()), 0, [1, 2]),
    (Failed(whole=Failure(TIMEOUT)), 0, [1, 2]),
    (Failed(whole=Failure(THROTTLED)), 0, [1, 2, 3, 4]),  # an outage never splits a batch
    (FailedFrom(2, Failure(THROTTLED)), 2, [3, 4]),
    (FailedFrom(2, Failure(UNAVAILABLE)), 2, [3, 4]),
    (FailedFrom(1, Failure(TIMEOUT)), 1, [2]),  # of three that are left, the first half
]


@pytest.mark.parametrize(("outcome", "mark", "again"), REPEATS)
def test_a_failure_repeats_from_the_first_record_that_was_not_accepted(
    outcome: Outcome, mark: int, again: list[int]
) -> None:
    played = Played(replace(SINK, breaker=None))
    played.read(1, 2, 3, 4)
    played.answer(outcome)
    played.later(1_000)
    assert played.mark == mark
    assert (played.last if len(played.invokes) > 1 else []) == again


def test_what_follows_a_failing_record_comes_after_it() -> None:
    played = Played(SINK)
    played.read(1, 2, 3, 4)
    played.answer(FailedFrom(1, Failure()))
    played.read(5)
    assert len(played.invokes) == 1  # 2 waits out its back-off, and all the others behind it
    played.later(100)
    assert played.last == [2]
    played.answer(Written())
    assert (played.last, played.mark) == ([3, 4], 2)
    played.answer(Written())
    assert (played.last, played.mark) == ([5], 4)


ATTEMPTS = [
    #  the failure,          retries allowed → attempts until it is refused
    (Failure(RECORD), 0, 1),
    (Failure(RECORD), 2, 3),
    (Failure(RECORD, final=True), 5, 1),
]


@pytest.mark.parametrize(("failure", "retries", "attempts"), ATTEMPTS)
def test_a_refused_record_is_a_letter_in_the_commit_that_passes_it(
    failure: Failure, retries: int, attempts: int
) -> None:
    played = Played(replace(SINK, maximum_retry_attempts=retries))
    played.read(1, 2, 3)
    for attempt in range(attempts):
        assert 2 in played.last
        assert played.mark == (1 if attempt else 0)
        played.answer(FailedFrom(played.last.index(2), failure))
        if attempt < attempts - 1:
            played.later(1_000)
    assert (played.last, played.mark) == ([3], 2)
    passing = played.saves[-1]
    assert [
        (given_up.record.sequence, given_up.condition, given_up.attempts) for given_up in passing.given_up
    ] == [(2, "RetryAttemptsExhausted", attempts)]
    assert [(span.first, span.outcome) for span in passing.settled] == [(1, "handled"), (2, "discarded")][
        1 if attempts > 1 else 0 :
    ]


def test_a_record_that_spoils_its_batch_is_found_by_halves() -> None:
    played = Played(replace(SINK, maximum_retry_attempts=0))
    played.read(1, 2, 3, 4)
    seen = []
    for _ in range(20):
        seen.append(played.last)
        played.answer(Failed(whole=Failure(final=True)) if 3 in played.last else Written())
        if played.mark == 4:
            break
    assert seen == [[1, 2, 3, 4], [1, 2], [3, 4], [3], [4]]
    assert [given_up.record.sequence for save in played.saves for given_up in save.given_up] == [3]


@pytest.mark.parametrize("kind", [TIMEOUT, THROTTLED, UNAVAILABLE])
def test_what_is_slow_or_out_refuses_nothing(kind: FailureKind) -> None:
    played = Played(replace(SINK, maximum_retry_attempts=0))
    played.read(1)
    for _ in range(50):
        played.answer(Failed(whole=Failure(kind)))
        played.later(60_000)
    assert (played.last, played.invokes[-1].attempt, len(played.invokes)) == ([1], 1, 51)
    assert played.saves == []
    played.answer(Written())
    assert played.mark == 1


def test_waiting_for_what_is_slow_grows_to_its_bound() -> None:
    played = Played(SINK)
    played.read(1)
    waits = []
    for _ in range(6):
        played.answer(Failed(whole=Failure(TIMEOUT)))
        wakes = [command for command in played.commands if isinstance(command, Wake)]
        waits.append(wakes[-1].at_ms - played.ms)
        played.later(waits[-1])
    assert waits == [100, 200, 400, 800, 1_000, 1_000]


def test_an_archive_stops_in_words_at_what_is_refused() -> None:
    played = Played(replace(ARCHIVE, maximum_retry_attempts=1))
    played.read(1, 2, 3)
    played.answer(FailedFrom(1, Failure(error="too wide\nfor a column")))
    assert played.machine.blocked is None  # it has an attempt left
    played.later(100)
    played.answer(Failed({0: Failure(error="too wide\nfor a column")}))
    assert played.machine.blocked == (
        "record 2 is refused (too wide), and nothing of the shard may be left out (order='shard', "
        "on_failure='block'): it is tried again until it is accepted"
    )
    played.later(999)
    assert len(played.invokes) == 2
    played.later(1)
    assert (played.last, played.invokes[-1].attempt) == ([2], 3)
    played.answer(Written())
    assert (played.machine.blocked, played.last, played.mark) == (None, [3], 2)
    assert all(save.given_up == () for save in played.saves)


def test_an_archive_stops_at_once_at_what_can_never_be_accepted() -> None:
    played = Played(ARCHIVE)
    played.read(1)
    played.answer(Failed({0: Failure(error="broken", final=True)}))
    assert played.machine.blocked is not None
    assert "record 1 is refused (broken)" in played.machine.blocked


def test_what_is_filtered_is_settled_in_its_turn() -> None:
    played = Played(replace(SINK, accepts=lambda record: record.sequence % 2 == 1, batch_size=1))
    played.read(1, 2, 3, 4)
    assert (played.last, played.saves) == ([1], [])
    played.answer(Written())
    assert (played.last, played.mark) == ([3], 2)
    played.answer(Written())
    assert played.mark == 4
    assert all(save.checkpoint.ranges == () for save in played.saves)
    settled = [(span.first, span.last, span.outcome) for save in played.saves for span in save.settled]
    assert settled == [(1, 1, "handled"), (2, 2, "filtered"), (3, 3, "handled"), (4, 4, "filtered")]


def test_what_is_filtered_behind_a_failing_batch_waits_for_it() -> None:
    played = Played(replace(SINK, accepts=lambda record: record.sequence < 2))
    played.read(1, 2)
    played.answer(Failed(whole=Failure(UNAVAILABLE)))
    assert (played.saves, played.machine.unsettled) == ([], 2)
    played.later(1_000)
    played.answer(Written())
    assert played.mark == 2


def test_what_no_filter_lets_through_is_settled_at_once_when_nothing_waits() -> None:
    played = Played(replace(SINK, accepts=lambda _: False))
    played.read(1, 2)
    assert (played.invokes, played.mark) == ([], 2)


@pytest.mark.parametrize(("last", "reads_on"), [(3, True), (4, False)])
def test_filtered_records_that_wait_count_for_the_buffer(last: int, reads_on: bool) -> None:
    played = Played(
        replace(SINK, accepts=lambda record: record.sequence == 1, buffer_records=4, batch_size=1)
    )
    played.read(*range(1, last + 1))
    assert played.machine.is_reading is reads_on
    played.answer(Written())
    assert played.machine.is_reading


def test_a_full_buffer_behind_a_failing_batch_is_said_in_words() -> None:
    played = Played(replace(SINK, buffer_records=2, batch_size=1, breaker=None))
    played.read(1, 2)
    played.answer(Failed(whole=Failure(THROTTLED)))
    assert played.machine.blocked is None
    played.read(3)
    assert played.machine.blocked == "2 records wait behind the failing batch that begins with record 1"


def test_ranges_of_another_order_are_delivered_again_in_sequence() -> None:
    played = Played(SINK, Start(Checkpoint(1, ((3, 4),))))
    played.read(2, 3, 4, 5)
    assert played.last == [2, 3, 4, 5]
    played.answer(Written())
    assert played.saves[-1].checkpoint == Checkpoint(5)


def test_a_pause_of_another_order_is_over() -> None:
    for order in (SINK, MappingSettings.for_lambda("m")):
        played = Played(order, Start(Checkpoint(1, suspended=Suspended("f", "e", 1))))
        assert played.machine.suspended is None
        assert played.machine.blocked is None


def test_keys_that_were_parked_before_come_first() -> None:
    head = ParkedHead(b"1", Version(1, 1), Version(1, 1), 1)
    played = Played(SINK, Start(Checkpoint(1), (head,)))
    played.read(2, 3)
    assert (played.invokes, played.machine.in_flight) == ([], 0)
    assert played.machine.blocked is not None
    assert "1 keys were parked before order='shard' began" in played.machine.blocked
    played.give(Redriven(b"1", Version(1, 1)))
    assert (played.last, played.machine.blocked) == ([2, 3], None)


def test_a_held_key_holds_the_shard_before_its_next_change() -> None:
    played = Played(replace(SINK, batch_size=1))
    played.read(1, 2, 3)
    assert not played.machine.hold(b"1")  # it is at the sink
    assert played.machine.hold(b"2")
    assert not played.machine.hold(b"2")
    played.answer(Written())
    assert len(played.invokes) == 1
    played.give(Released(b"2"))
    assert played.last == [2]
    played.answer(Failed(whole=Failure()))
    assert not played.machine.hold(b"2")  # it is to be sent again


@pytest.mark.parametrize(("waited", "count"), [(499, 0), (500, 1)])
def test_a_batching_window_is_waited_for(waited: int, count: int) -> None:
    played = Played(replace(SINK, batching_window_ms=500))
    played.read(1)
    played.later(waited)
    assert len(played.invokes) == count


def test_the_end_of_the_shard_ends_the_window() -> None:
    played = Played(replace(SINK, batching_window_ms=500))
    played.read(1, closed=True)
    assert played.last == [1]
    played.answer(Written())
    assert played.saves[-1].checkpoint == Checkpoint(1, (), True)
    assert played.commands[-1] == Stopped(finished=True)


@pytest.mark.parametrize(("size", "first"), [(2_000, [1, 2]), (1_999, [1])])
def test_a_batch_ends_at_its_payload(size: int, first: list[int]) -> None:
    played = Played(replace(SINK, batch_bytes=size))
    made = [record(sequence, size=1_000 - 600 - len(b"{}")) for sequence in (1, 2)]
    played.give(ReadDone(made, 2))
    assert played.last == first


def test_an_outage_opens_the_breaker_and_its_end_closes_it() -> None:
    played = Played(SINK)
    played.read(1, 2)
    played.answer(Failed(whole=Failure(UNAVAILABLE, "gone")))
    assert played.machine.blocked is not None
    assert "cannot reach its other side (gone)" in played.machine.blocked
    played.later(999)
    assert len(played.invokes) == 1
    played.later(1)
    assert played.last == [1, 2]
    played.answer(Written())
    assert (played.machine.blocked, played.mark) == (None, 2)


def test_nothing_is_too_old_for_a_whole_shard() -> None:
    played = Played(replace(SINK, maximum_retry_attempts=-1))
    played.read(1)
    for _ in range(4):
        played.answer(Failed(whole=Failure()))
        played.later(86_400_000)
    assert (played.last, played.saves) == ([1], [])


def test_stopping_lets_the_batch_end_and_nothing_new_begin() -> None:
    played = Played(replace(SINK, batch_size=1))
    played.read(1, 2)
    played.give(Stop())
    played.answer(Written())
    assert (len(played.invokes), played.mark, played.commands[-1]) == (1, 1, Stopped(finished=False))


def test_a_record_that_is_read_again_is_not_delivered_again() -> None:
    played = Played(SINK)
    played.read(1, 2)
    played.answer(Written())
    assert [command for command in played.commands if isinstance(command, Read)][-1].after == 2
    played.read(1, 2, 3)
    assert played.last == [3]


# ---- a target that has the position beside its rows --------------------------------------------------------

TARGET = replace(SINK, is_transactional=True, breaker=None)
PARTS: list[tuple[Outcome, list[list[int]]]] = [
    #  what the target says of [1 2 3 4], of which it has taken nothing  → what comes next, accepted each time
    (FailedFrom(0, Failure()), [[1], [2, 3, 4]]),
    (FailedFrom(1, Failure()), [[1], [2], [3, 4]]),
    (FailedFrom(3, Failure()), [[1, 2, 3], [4]]),
    (FailedFrom(4, Failure()), [[1, 2], [3, 4]]),  # one past the batch: what was meant is unknown
    (Failed({2: Failure(), 3: Failure()}), [[1, 2], [3], [4]]),
    (Failed(whole=Failure()), [[1, 2], [3, 4]]),
    (FailedFrom(2, Failure(THROTTLED)), [[1, 2, 3, 4]]),
    (FailedFrom(2, Failure(TIMEOUT)), [[1, 2], [3, 4]]),
]


@pytest.mark.parametrize(("outcome", "parts"), PARTS)
def test_a_transaction_that_failed_has_accepted_nothing_whichever_record_it_names(
    outcome: Outcome, parts: list[list[int]]
) -> None:
    played = Played(TARGET)
    played.read(1, 2, 3, 4)
    played.answer(outcome)
    played.later(1_000)
    assert played.mark == 0
    for part in parts:
        assert played.last == part
        played.answer(Written())
    assert (played.mark, played.machine.totals["handled"]) == (4, 4)


def test_a_record_named_behind_others_uses_up_its_attempts_alone() -> None:
    played = Played(replace(TARGET, maximum_retry_attempts=0))
    played.read(1, 2, 3)
    played.answer(FailedFrom(1, Failure()))
    assert (played.last, played.mark, played.machine.totals["discarded"]) == ([1], 0, 0)
    played.answer(Written())
    assert (played.last, played.invokes[-1].attempt) == ([2], 1)
    played.answer(Failed({0: Failure()}))
    assert (played.last, played.mark) == ([3], 2)
    assert [given_up.attempts for save in played.saves for given_up in save.given_up] == [1]


def test_nothing_begins_behind_a_letter_that_is_not_durable() -> None:
    played = Played(replace(TARGET, maximum_retry_attempts=0, batch_size=1, checkpoint_interval_ms=60_000))
    played.read(1, 2)
    commands = played.machine.step(InvokeDone(played.invokes[-1].id, Failed(whole=Failure())), now(0))
    assert [type(command) for command in commands if not isinstance(command, Read | Wake)] == [SaveCheckpoint]
    assert any(isinstance(command, SaveCheckpoint) and command.given_up for command in commands)
    commands = played.give(CheckpointDone())
    assert [
        record.sequence for command in commands if isinstance(command, Invoke) for record in command.records
    ] == [2]


def test_a_sink_that_has_no_position_goes_on_while_a_letter_is_saved() -> None:
    played = Played(replace(SINK, maximum_retry_attempts=0, batch_size=1))
    played.read(1, 2)
    commands = played.machine.step(InvokeDone(played.invokes[-1].id, Failed(whole=Failure())), now(0))
    assert {Invoke, SaveCheckpoint} <= {type(command) for command in commands}


THROUGH = [
    #  which pass, batch size, read        → the batch, and where the shard stands behind it
    ((1, 2, 3), 2, (1, 2, 3), [1, 2], 2),
    ((1, 4), 2, (1, 2, 3, 4), [1, 4], 4),
    ((1, 4), 1, (1, 2, 3, 4), [1], 3),
    ((2,), 9, (1, 2, 3, 4), [2], 4),
    ((2, 5), 9, (2, 3, 5, 6, 9), [2, 5], 9),
]


@pytest.mark.parametrize(("passing", "size", "read", "batch", "through"), THROUGH)
def test_a_batch_says_where_the_shard_stands_with_what_is_filtered_behind_it(
    passing: tuple[int, ...], size: int, read: tuple[int, ...], batch: list[int], through: int
) -> None:
    played = Played(replace(TARGET, batch_size=size, accepts=lambda record: record.sequence in passing))
    played.read(*read)
    assert (played.last, played.invokes[-1].through) == (batch, through)
    played.answer(Written())
    assert played.mark == through


def test_where_the_last_part_of_a_batch_leads_to_is_where_all_of_it_led() -> None:
    """It may have been committed, and its answer lost: by this number alone the target knows it again."""
    played = Played(replace(TARGET, accepts=lambda record: record.sequence in (1, 3)))
    played.read(1, 2, 3, 4)
    assert (played.last, played.invokes[-1].through) == ([1, 3], 4)
    played.read(5, 6)
    for expected in (4, 4):
        played.answer(Failed(whole=Failure(UNAVAILABLE)))
        played.later(60_000)
        assert (played.last, played.invokes[-1].through) == ([1, 3], expected)
    played.answer(Failed(whole=Failure()))
    assert (played.last, played.invokes[-1].through) == ([1], 1)
    played.answer(Written())
    assert (played.last, played.invokes[-1].through) == ([3], 4)
    played.answer(Written())
    assert played.mark == 6


def test_nothing_begins_behind_a_gap_that_is_not_durable() -> None:
    played = Played(replace(TARGET, checkpoint_interval_ms=60_000))
    commands = played.machine.step(ReadDone(records(5, 6), 6, trimmed=True), now(0))
    assert [type(command) for command in commands if isinstance(command, SaveCheckpoint | Invoke)] == [
        SaveCheckpoint
    ]
    commands = played.give(CheckpointDone())
    assert [command.through for command in commands if isinstance(command, Invoke)] == [6]
