"""What one transaction of state takes, and that whatever writes rows keeps to it."""

import asyncio
from collections.abc import Sequence

import pytest

from tailrace.deadletters.core.head import claimed_free
from tailrace.deadletters.core.passed import passed_key, passed_write, read_passed
from tailrace.deadletters.core.redriving import Claimant, Ended, WriteRows, put_back_letter
from tailrace.errors import InternalError, LeaseLost
from tailrace.mapping.batch import too_old
from tailrace.mapping.commands import Checkpoint, GivenUp, ParkKey, SaveCheckpoint, Settled
from tailrace.mapping.parking import MOST_AT_ONCE
from tailrace.mapping.settlement import MOST_GIVEN_UP, MOST_WINDOWS, Settlement
from tailrace.ports import Action, Failure, ItemWrite
from tailrace.rows.bounds import MOST_BYTES, MOST_ROWS, MOST_TOGETHER, SLICE, bounded, slices
from tailrace.rows.kinds import MAPPING, PAUSE_SEEN
from tailrace.rows.writes import Check, Equals, Write
from tailrace.runtime.delivering import Settling, park
from tailrace.runtime.mapping_rows import rename_mapping
from tailrace.runtime.steps import Transact
from tailrace.stores.memory import MemoryStateStore
from tailrace.streams.version import NOTHING, Version
from tests.unit.deadletters.test_redrive import letter
from tests.unit.mapping.records import record as change
from tests.unit.mapping.records import records
from tests.unit.runtime.performed import performed
from tests.unit.runtime.test_delivering import PLACE, settling
from tests.unit.sinks.batches import record

DEAD = [GivenUp(record(number, f"{number}"), "RetryAttemptsExhausted", 6, Failure(), 10, 20)
        for number in range(1, MOST_GIVEN_UP + 1)]  # fmt: skip


def rows(count: int, text: str = "") -> list[Action]:
    return [Write(f"lease/shop/{number}", {"text": text}) for number in range(count)]


def is_taken(writes: Sequence[Action]) -> bool:
    try:
        bounded(writes)
    except InternalError:
        return False
    return True


# ---- the bound ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("why", "writes", "expected"),
    [
        ("a hundred rows", rows(MOST_ROWS), True),
        ("one more", rows(MOST_ROWS + 1), False),
        ("one of them twice", [*rows(MOST_ROWS), *rows(1)], True),
        ("a check is a row, too", [*rows(MOST_ROWS), Check("lease/shop/more", Equals("n", 1))], False),
        ("so is a write to a table", [*rows(MOST_ROWS), ItemWrite("Put", {})], False),
        ("99 and the mark", [*[ItemWrite("Put", {})] * 99, *rows(1)], True),
        ("a large one needs room beside it", [*rows(98), Write("large", {"t": "x" * MOST_BYTES})], True),
        ("and takes it", [*rows(99), Write("large", {"t": "x" * MOST_BYTES})], False),
        ("as large as an item", [*rows(99), Write("x", {"t": "x" * (MOST_BYTES - len('{"t":""}'))})], True),
        ("many that fit together", rows(100, "x" * (MOST_TOGETHER // 100 - len('{"text":""}'))), True),
        ("and one byte more", rows(100, "x" * (MOST_TOGETHER // 100 - len('{"text":""}') + 1)), False),
        ("large ones that are removed", [Write(f"lease/{number}", None) for number in range(100)], True),
    ],
)  # fmt: skip
def test_a_transaction_is_bounded_by_rows_and_by_bytes(
    why: str, writes: Sequence[Action], expected: bool
) -> None:
    assert is_taken(writes) is expected, why


def test_what_is_refused_is_told_by_the_kinds_of_its_rows() -> None:
    with pytest.raises(InternalError, match=r"101 rows \(gap, lease\), of which 100 are the most"):
        bounded([*rows(MOST_ROWS), Write("gap/shop/note/1", None)])


def test_slices_are_of_all_and_leave_room() -> None:
    assert [len(some) for some in slices(rows(2 * SLICE + 1))] == [SLICE, SLICE, 1]
    assert list(slices([])) == []
    assert is_taken([*rows(SLICE), *(Check(f"{number}", Equals("n", 1)) for number in range(9))])


# ---- what machines ask for ---------------------------------------------------------------------------------


def ledger(count: int) -> Settlement:
    settlement = Settlement(Checkpoint())
    settlement.watermark.read(records(*range(1, count + 1)), count)
    return settlement


def test_what_is_given_up_beyond_one_transaction_is_not_settled_before_the_next() -> None:
    settlement = ledger(2 * MOST_GIVEN_UP + 1)
    settlement.give_up([too_old(entry) for entry in records(*range(1, 2 * MOST_GIVEN_UP + 2))])
    saved: list[SaveCheckpoint] = []
    while settlement.has_news(finished=False):
        assert settlement.is_behind is (len(saved) < 2), len(saved)
        saved.append(settlement.save(finished=False))
        settlement.saved()
    assert [len(command.given_up) for command in saved] == [MOST_GIVEN_UP, MOST_GIVEN_UP, 1]
    assert [command.checkpoint.watermark for command in saved] == [24, 48, 49]
    assert [run.count for command in saved for run in command.settled] == [24, 24, 1]
    assert settlement.totals["discarded"] == 49
    assert not settlement.has_unsaved_letters


def test_what_is_given_up_while_a_checkpoint_is_saved_has_room_with_it_when_that_fails() -> None:
    settlement = ledger(MOST_GIVEN_UP + 1)
    settlement.give_up([too_old(entry) for entry in records(*range(1, MOST_GIVEN_UP))])
    settlement.save(finished=False)
    settlement.give_up([too_old(entry) for entry in records(MOST_GIVEN_UP, MOST_GIVEN_UP + 1)])
    settlement.not_saved()
    assert settlement.is_behind
    assert settlement.has_unsaved_letters
    assert len(settlement.save(finished=False).given_up) == MOST_GIVEN_UP
    settlement.saved()
    assert len(settlement.save(finished=False).given_up) == 1


def test_of_a_key_whose_dead_letter_waits_for_room_it_is_told_what_was_handled_since() -> None:
    """A later change of the key is handled, and saved, before there is room for its letter."""
    first, later = change(1, "a"), change(2, "a")
    others = records(*range(3, MOST_GIVEN_UP + 3))
    settlement = Settlement(Checkpoint())
    settlement.watermark.read([first, later, *others], MOST_GIVEN_UP + 2)
    settlement.give_up([too_old(entry) for entry in [*others, first]])
    settlement.settle([later], "handled")
    (before, after) = (
        settlement.save(finished=False),
        (settlement.saved(), settlement.save(finished=False))[1],
    )
    assert first.key in dict(before.passed)
    assert [entry.record for entry in after.given_up] == [first]
    assert dict(after.passed)[first.key] == later.version


def test_the_most_that_a_machine_puts_into_one_checkpoint_fits() -> None:
    """Each record with a letter, a notice and its key, each window with a row and a notice, beside the
    checkpoint.
    """
    assert 1 + 3 * MOST_GIVEN_UP + 2 * MOST_WINDOWS < SLICE


def test_a_key_is_parked_in_as_many_transactions_as_it_takes() -> None:
    async def main() -> None:
        state = MemoryStateStore()
        settled = await settling(state)
        entries = [
            GivenUp(record(number, "a"), "RetryAttemptsExhausted", 6, Failure(), 1, 2)
            for number in range(1, MOST_AT_ONCE + 1)
        ]
        await performed(state, park(PLACE, settled.fence, ParkKey(1, b"a", tuple(entries)), "v7"))
        assert await state.count("parked/shop/note/") == MOST_AT_ONCE

    asyncio.run(main())


def calls_of(command: SaveCheckpoint, settled: Settling) -> list[Transact]:
    return [call for call in settled.save(command) if isinstance(call, Transact)]


@pytest.mark.parametrize(
    ("passed", "transactions"), [(SLICE - 2 * MOST_GIVEN_UP - 1, 1), (SLICE - 2 * MOST_GIVEN_UP, 2)]
)
def test_what_has_no_room_beside_letters_goes_before_their_checkpoint_under_its_epoch(
    passed: int, transactions: int
) -> None:
    async def main() -> None:
        keys = [(f"key {number}".encode(), Version(1, number + 1)) for number in range(passed)]
        keys += [(entry.record.key, NOTHING) for entry in DEAD]
        command = SaveCheckpoint(Checkpoint(99), (Settled(1, 99, 99, "discarded"),), tuple(DEAD), tuple(keys))
        settled = await settling(MemoryStateStore())
        calls = calls_of(command, settled)
        assert len(calls) == transactions
        for call in calls:
            bounded(call.writes)
        for early in calls[:-1]:
            assert early.writes[0] == settled.fence
        assert (
            sum(isinstance(write, Write) for call in calls for write in call.writes)
            == 1 + 2 * MOST_GIVEN_UP + passed
        )
        last = [write.key.partition("/")[0] for write in calls[-1].writes]
        assert last.count("deadletter") == MOST_GIVEN_UP, "letters are one with the checkpoint"
        assert last.count("passed") >= MOST_GIVEN_UP, "and with what says that their items have some"

    asyncio.run(main())


def test_who_lost_the_lease_writes_nothing_of_what_goes_before_its_checkpoint() -> None:
    async def main() -> None:
        state = MemoryStateStore()
        settled = await settling(state)
        await settling(state, "another")
        keys = tuple((f"{number}".encode(), Version(1, number + 1)) for number in range(SLICE))
        with pytest.raises(LeaseLost):
            await performed(state, settled.save(SaveCheckpoint(Checkpoint(9), (), (), keys)))
        assert await state.count("passed/") == 0

    asyncio.run(main())


def test_what_a_redrive_has_said_meanwhile_of_an_item_with_one_more_dead_letter_stays() -> None:
    async def main() -> None:
        state = MemoryStateStore()
        settled = await settling(state)
        entry = DEAD[3]
        key, handled = entry.record.key, Version(1, 3)
        await state.transact([passed_write("shop", "note", key, handled)])
        await performed(state, settled.save(SaveCheckpoint(Checkpoint(9), (), (entry,), ((key, NOTHING),))))
        row = await state.get(passed_key("shop", "note", key))
        assert row is not None
        assert read_passed(row.fields) == handled
        assert await state.count("deadletter/") == 1

    asyncio.run(main())


# ---- redrives, renamings -----------------------------------------------------------------------------------


def claimed_with(fences: int, holds: Sequence[bool]) -> tuple[list[WriteRows], Ended]:
    """The writes of a claim under so many epochs, and how it ended; `holds` answers them."""
    checks = tuple(
        Check(f"checkpoint/shop/note/label/{number}", Equals("epoch", 1)) for number in range(fences)
    )
    by = Claimant("r1", "one", lambda _: False)
    steps = put_back_letter("shop", letter(), by, lambda: 1_000, even_if_overtaken=False)
    written: list[WriteRows] = []
    answers = [*holds]
    answer: object = None
    try:
        step = next(steps)
        while True:
            if isinstance(step, WriteRows):
                written.append(step)
                bounded(step.rows)
                answer = answers.pop(0)
            else:
                answer = checks if type(step).__name__ == "HoldKey" else None
            step = steps.send(answer)
    except StopIteration as end:
        ended: Ended = end.value
        return written, ended


def test_a_claim_under_more_epochs_than_a_transaction_takes_is_looked_at_again_when_it_is_durable() -> None:
    written, ended = claimed_with(SLICE, [True, True])
    assert (len(written), ended.how) == (2, "gone"), "the claim, and what came of it"
    written, ended = claimed_with(SLICE + 1, [True, True, True])
    assert (len(written), ended.how) == (3, "gone")
    assert [len(step.rows) for step in written[:2]] == [SLICE + 1, 1]


def test_a_claim_is_given_back_when_one_of_the_epochs_behind_it_does_not_hold() -> None:
    written, ended = claimed_with(SLICE + 1, [True, False, True])
    assert ended == Ended("taken")
    head, _ = claimed_free(letter(), "shop", "r1/one", 1_000)
    last = written[-1].rows[-1]
    assert isinstance(last, Write)
    assert (last.key, last.fields) == (head.row_key, None)


class EndsAfter(MemoryStateStore):
    """A store that is there for so many transactions."""

    left = 10**9

    async def transact(self, writes: Sequence[Action]) -> None:
        if not self.left:
            raise ConnectionError("killed")
        self.left -= 1
        await super().transact(writes)


def test_a_renaming_that_is_cut_off_anywhere_goes_on_and_loses_no_row() -> None:
    async def main() -> None:
        count, cut = 3 * SLICE, 0
        while True:
            state = EndsAfter()
            await state.transact(
                [Write(MAPPING.key("shop", "old"), {"v": 1, "id": "old", "table": "orders"})]
            )
            for some in slices(range(count)):
                await state.transact(
                    [
                        Write(PAUSE_SEEN.key("shop", "old", f"{number}"), {"v": 1, "owner": "w"})
                        for number in some
                    ]
                )
            state.left = cut
            try:
                await rename_mapping(state, "shop", "old", "orders", "new")
                break
            except ConnectionError:
                state.left = 10**9
            row = await state.get(MAPPING.key("shop", "old"))
            assert row is not None, f"cut off after {cut}"
            assert row.fields.get("renaming_to") == ("new" if cut else None)
            await rename_mapping(state, "shop", "old", "orders", "new")
            assert await state.count(PAUSE_SEEN.prefix("shop", "new")) == count
            assert await state.count(PAUSE_SEEN.prefix("shop", "old")) == 0
            moved = await state.get(MAPPING.key("shop", "new"))
            assert moved is not None
            assert moved.fields == {"v": 1, "id": "new", "table": "orders"}
            assert await state.get(MAPPING.key("shop", "old")) is None
            cut += 1
        assert cut > count * 2 / MOST_ROWS

    asyncio.run(main())
