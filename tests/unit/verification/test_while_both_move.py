"""A comparison while the table is written and delivery lags: what is wrong is told, what is on its way is
not, and a repair leaves the mirror as the table is. Each part of the judgement that is left out is noticed.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

import pytest
from msgspec.structs import replace

from tailrace.errors import SourceError
from tailrace.ports import RecordBatch
from tailrace.streams.version import Version
from tailrace.testing.mirrors import MirrorMemory
from tailrace.verification.core import judging
from tailrace.verification.core.sampling import SampleSize
from tailrace.verification.run import looking_again, pacing
from tailrace.verification.run.comparing import How
from tailrace.verification.run.reading import ExactMarks, TablePage
from tailrace.verification.run.report import VerificationReport
from tests.unit.verification.living import COLD, HOT, LivingTable, key_of, told

SEEDS: Final = 60
CANARY_SEEDS: Final = 400
TELLING: Final = How()
MENDING: Final = How(mending="yes")
Seen: TypeAlias = Sequence[Version | None]
Mend: TypeAlias = Callable[[MirrorMemory, RecordBatch, Seen], Awaitable[Sequence[bool]]]


async def begun(table: LivingTable) -> dict[str, str]:
    """Write everything once, let it settle, delete some, damage some rows. Returns: what must be told."""
    for number, name in enumerate((*HOT, *COLD)):
        table.write(name, number)
    for name in COLD[:2]:
        table.write(name, None)
    await table.settle()
    return {name: table.damage(name) for name in table.random.sample(COLD, 3)}


async def compared_while_written(
    table: LivingTable, how: How = TELLING
) -> tuple[dict[str, str], VerificationReport]:
    """What must be told, and what was."""
    damaged = await begun(table)
    writer = asyncio.ensure_future(table.keep_writing())
    await table.clock.sleep_until(table.clock.now().monotonic_ms + table.random.randrange(3_000))
    try:
        report = await table.compare(how)
    finally:
        writer.cancel()
    await table.settle()
    return damaged, report


@pytest.mark.parametrize("is_exact", [True, False])
def test_what_is_wrong_is_told_and_what_is_on_its_way_is_not(is_exact: bool) -> None:
    looked_again = 0
    for seed in range(SEEDS):
        table = LivingTable(seed, is_exact=is_exact)
        damaged, report = table.run(compared_while_written(table))
        assert told(report) == damaged, f"seed {seed}"
        assert report.left == 3, f"seed {seed}"
        assert not report.is_equal
        looked_again += report.suspects - 3
    assert looked_again > SEEDS, "the table did not move enough to prove anything"


@pytest.mark.parametrize("is_exact", [True, False])
def test_a_repair_leaves_the_mirror_as_the_table_is(is_exact: bool) -> None:
    for seed in range(SEEDS):
        table = LivingTable(seed, is_exact=is_exact)

        async def story(table: LivingTable = table) -> tuple[VerificationReport, VerificationReport]:
            damaged, repaired = await compared_while_written(table, MENDING)
            assert told(repaired) == damaged
            return repaired, await table.compare()

        repaired, after = table.run(story())
        assert (repaired.mended, repaired.left) == (3, 0), f"seed {seed}"
        assert table.shown() == table.items, f"seed {seed}"
        assert after.is_equal, f"seed {seed}"


def test_a_dry_run_says_what_it_would_write_and_writes_nothing() -> None:
    table = LivingTable(1)

    async def story() -> VerificationReport:
        await begun(table)
        rows = dict(table.mirror.target.rows)
        report = await table.compare(How(mending="dry"))
        assert table.mirror.target.rows == rows
        return report

    report = table.run(story())
    assert [difference.mended for difference in report.differences] == ["would be written"] * 3
    assert (report.mended, report.left) == (0, 3)


def test_a_sample_of_a_moving_table_tells_nothing_that_is_only_on_its_way() -> None:
    for seed in range(SEEDS // 3):
        table = LivingTable(seed)
        damaged, report = table.run(compared_while_written(table, How(sample=SampleSize(items=4), seed=seed)))
        assert told(report).items() <= damaged.items(), f"seed {seed}"
        assert report.drawn


def test_an_item_that_moves_whenever_it_is_looked_at_is_counted_and_not_told() -> None:
    table = LivingTable(2)

    async def story() -> VerificationReport:
        for number, name in enumerate(COLD):
            table.write(name, number)
        await table.settle()
        del table.mirror.target.rows[key_of(COLD[0])]
        table.unsettled.append(table.records[0])  # as a shard that a handler holds for good
        return await table.compare()

    report = table.run(story())
    assert (report.differences, report.unjudged, report.is_equal) == ([], 1, False)


def test_a_handler_that_never_goes_on_holds_up_a_comparison_for_less_than_a_minute() -> None:
    table = LivingTable(3)

    async def story() -> tuple[VerificationReport, int]:
        for number in range(250):
            table.write(f"item{number}", number)
        await table.settle()
        table.mirror.target.rows.clear()
        table.unsettled.append(table.records[0])
        began = table.clock.now().monotonic_ms
        return await table.compare(), table.clock.now().monotonic_ms - began - table.reads * 200

    report, took_ms = table.run(story())
    assert (report.unjudged, report.differences) == (250, [])
    assert took_ms < 60_000


@pytest.mark.parametrize("segments", [1, 3])
def test_what_the_table_says_instead_of_an_answer_is_what_is_raised(
    segments: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = LivingTable(4)

    async def page(*_: object) -> TablePage:
        raise SourceError("table 'orders' is away")

    monkeypatch.setattr(LivingTable, "page", page)
    with pytest.raises(SourceError, match="is away"):
        table.run(table.compare(How(segments=segments)))


# ---- canaries ----------------------------------------------------------------------------------------------


def false_alarm(table: LivingTable) -> bool:
    """Whether a comparison tells something that was not damaged."""
    damaged, report = table.run(compared_while_written(table))
    return told(report) != damaged


def noticed() -> bool:
    """Whether a false alarm is seen within the seeds."""
    return any(false_alarm(LivingTable(seed)) for seed in range(CANARY_SEEDS))


def test_telling_at_the_second_look_whatever_moved_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking_again, "judge", judged_at_once)
    assert noticed()


@pytest.mark.parametrize("left_out", ["version", "item"])
def test_a_judgement_that_leaves_out_what_moved_is_noticed(
    left_out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def judged(
        earlier: judging.Look, later: judging.Look, expected: bytes, *, is_settled: bool
    ) -> judging.Verdict:
        same_row = replace(earlier.row, version=later.row.version)
        seen = replace(earlier, row=same_row) if left_out == "version" else replace(earlier, item=later.item)
        return judging.judge(seen, later, expected, is_settled=is_settled)

    monkeypatch.setattr(looking_again, "judge", judged)
    assert noticed()


def test_not_waiting_for_the_mapping_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def at_once(self: pacing.Pacing, marks: ExactMarks) -> bool:
        return True

    monkeypatch.setattr(pacing.Pacing, "settled", at_once)
    assert noticed()


def test_a_mark_that_is_taken_too_early_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def early(self: ExactMarks) -> int:
        return 0

    monkeypatch.setattr(ExactMarks, "mark", early)
    assert noticed()


def judged_at_once(
    earlier: judging.Look, later: judging.Look, expected: bytes, *, is_settled: bool
) -> judging.Verdict:
    """A judgement of one look alone."""
    return judging.judge(later, later, expected, is_settled=True)


def is_wrong_after_a_repair(table: LivingTable) -> bool:
    """Whether the mirror is not what the table is when everything was delivered."""
    table.run(compared_while_written(table, MENDING))
    return table.shown() != table.items


def slow(table_mend: Mend, seen_of: Callable[[MirrorMemory, RecordBatch, Seen], Seen]) -> Mend:
    """A `mend` that is long on its way."""

    async def mend(self: MirrorMemory, batch: RecordBatch, seen: Seen) -> Sequence[bool]:
        await asyncio.sleep(2)
        return await table_mend(self, batch, seen_of(self, batch, seen))

    return mend


def test_a_repair_of_what_was_only_on_its_way_harms_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare and set on the version that was seen: what is newer wins, whenever it comes."""
    monkeypatch.setattr(looking_again, "judge", judged_at_once)
    monkeypatch.setattr(MirrorMemory, "mend", slow(MirrorMemory.mend, lambda mirror, batch, seen: seen))
    wrong = [seed for seed in range(SEEDS) if is_wrong_after_a_repair(LivingTable(seed))]
    assert wrong == []


def test_a_repair_that_overwrites_what_is_newer_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def there(mirror: MirrorMemory, batch: RecordBatch, seen: Seen) -> Seen:
        rows = [mirror.target.rows.get(record.key) for record in batch.records]
        return [None if row is None else row.version for row in rows]

    monkeypatch.setattr(looking_again, "judge", judged_at_once)
    monkeypatch.setattr(MirrorMemory, "mend", slow(MirrorMemory.mend, there))
    assert any(is_wrong_after_a_repair(LivingTable(seed)) for seed in range(CANARY_SEEDS))
